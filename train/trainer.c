/* trainer.c - one update: batches -> loss -> backward -> optimiser; and what has to stand before. */
#include "train/loop_internal.h"

#include <math.h>
#include <string.h>

weft_optimiser_spec weft_trainer_optimiser(const weft_config *config)
{
    static const weft_optimiser_kind kinds[] = { [WEFT_CONFIG_ADAM] = WEFT_ADAM,
                                                 [WEFT_CONFIG_ADAMW] = WEFT_ADAMW,
                                                 [WEFT_CONFIG_SGD] = WEFT_SGD };
    const bool sgd = config->optim.kind == WEFT_CONFIG_SGD;
    return (weft_optimiser_spec){ .kind = kinds[config->optim.kind],
                                  .beta1 = sgd ? 0 : config->optim.beta1,
                                  .beta2 = sgd ? 0 : config->optim.beta2,
                                  .eps = sgd ? 0 : config->optim.eps,
                                  .momentum = config->optim.momentum,
                                  .weight_decay = config->optim.weight_decay,
                                  .clip = config->optim.clip };
}

static weft_schedule schedule_of(const weft_config *config)
{
    static const weft_schedule_kind kinds[] = {
        [WEFT_CONFIG_NOAM] = WEFT_SCHEDULE_NOAM,
        [WEFT_CONFIG_INVERSE_SQRT] = WEFT_SCHEDULE_INVERSE_SQRT,
        [WEFT_CONFIG_COSINE] = WEFT_SCHEDULE_COSINE,
        [WEFT_CONFIG_LINEAR] = WEFT_SCHEDULE_LINEAR,
        [WEFT_CONFIG_CONSTANT] = WEFT_SCHEDULE_CONSTANT,
    };
    return (weft_schedule){ .kind = kinds[config->optim.schedule],
                            .lr = config->optim.lr,
                            .lr_end = config->optim.lr_end,
                            .width = config->model.d_model,
                            .warmup = config->optim.warmup,
                            .n_updates = config->train.max_updates };
}

const char *weft_trainer_valid_name(const weft_config *config)
{
    return config->data.valid[0] != '\0' ? config->data.valid : config->data.task;
}

weft_length_limit weft_trainer_longest(const weft_config *config, bool validation)
{
    const bool learned = config->model.position == WEFT_CONFIG_LEARNED,
               projects = config->model.attention == WEFT_CONFIG_LINFORMER;
    const weft_length_limit limits[] = {
        { validation ? weft_config_longest(config) : config->data.max_length,
          validation ? "ten times data.max_length" : "data.max_length" },
        { validation ? INT64_MAX : config->train.batch_tokens, "train.batch_tokens" },
        { learned ? config->model.max_positions : INT64_MAX, "model.max_positions" },
        { projects ? config->model.linformer_length : INT64_MAX, "model.linformer_length" },
    };
    weft_length_limit least = limits[0];
    for (size_t i = 1; i < sizeof limits / sizeof *limits; i++)
        if (limits[i].most < least.most) least = limits[i];
    return least;
}

weft_status weft_trainer_batches(const weft_config *config, const weft_vocab *const vocabs[2],
                                 const weft_corpus *corpus, bool validation, weft_batches **batches)
{
    const int64_t most = config->train.batch_tokens, length = config->data.max_length;
    const bool running = config->model.kind == WEFT_CONFIG_DECODER_ONLY;
    const weft_batches_spec spec = { .batch_tokens = most,
                                     .max_length = running ? 0
                                                   : validation
                                                       ? weft_trainer_longest(config, true).most
                                                       : length,
                                     .context = !running        ? 0
                                                : length < most ? length
                                                                : most,
                                     .in_order = validation,
                                     .seed = (uint64_t)config->train.seed,
                                     .max_ratio = validation ? 0 : config->data.max_ratio,
                                     .bpe_dropout = validation ? 0 : config->data.bpe_dropout,
                                     .vocabs = { vocabs[0], vocabs[1] } };
    return weft_batches_new(corpus, &spec, batches);
}

weft_status weft_trainer_sample(const weft_model *model, const weft_corpus *valid,
                                weft_corpus **sample)
{
    const int64_t n = weft_corpus_size(valid), limit = model->config.train.validate_sentences;
    const int64_t wanted = model->config.data.task[0] == '\0' && limit > 0 ? limit : n;
    const int64_t longest = weft_trainer_longest(&model->config, true).most;
    *sample = weft_corpus_new();
    weft_status status = *sample ? WEFT_OK : WEFT_ERR_MEMORY;
    for (int64_t i = 0; i < n && status == WEFT_OK && weft_corpus_size(*sample) < wanted; i++) {
        int64_t n_source, n_target;
        weft_corpus_ids(valid, WEFT_SOURCE, i, &n_source);
        weft_corpus_ids(valid, WEFT_TARGET, i, &n_target);
        if (n_source >= longest || n_target >= longest) continue;
        status = weft_corpus_add(*sample, weft_corpus_text(valid, WEFT_SOURCE, i),
                                 weft_corpus_text(valid, WEFT_TARGET, i));
    }
    if (status != WEFT_OK) return status;
    return weft_corpus_encode(*sample, model->source_vocab, model->target_vocab);
}

unsigned weft_trainer_tape_flags(const weft_config *config)
{
    return config->train.precision == WEFT_CONFIG_BF16 ? WEFT_BF16 : 0;
}

/* All of validation: its text, ids, batches, and what is translated. */
static weft_status read_validation(weft_trainer *t, const weft_vocab *const vocabs[2])
{
    const weft_config *config = &t->model->config;
    weft_status status = weft_dataset_read(config, WEFT_PART_VALID, &t->valid);
    if (status != WEFT_OK || !t->valid) return status;
    status = weft_corpus_encode(t->valid, vocabs[0], vocabs[1]);
    if (status == WEFT_OK)
        status = weft_trainer_batches(config, vocabs, t->valid, true, &t->valid_batches);
    if (status != WEFT_OK)
        return weft_error_prefix(status, "validation (%s): ", weft_trainer_valid_name(config));
    return config->model.kind == WEFT_CONFIG_ENCODER_DECODER
               ? weft_trainer_sample(t->model, t->valid, &t->sample)
               : WEFT_OK;
}

/* The ids of training, and all of validation. */
static weft_status encode(weft_trainer *t)
{
    const weft_config *config = &t->model->config;
    const weft_vocab *const vocabs[2] = { t->model->source_vocab, t->model->target_vocab };
    weft_status status = weft_corpus_encode(t->train, vocabs[0], vocabs[1]);
    if (status == WEFT_OK)
        status = weft_trainer_batches(config, vocabs, t->train, false, &t->batches);
    return status == WEFT_OK ? read_validation(t, vocabs) : status;
}

/* Everything but the model and the texts. */
static weft_status prepare(weft_trainer *t)
{
    const weft_config *config = &t->model->config;
    t->schedule = schedule_of(config);
    const weft_status status = weft_schedule_check(&t->schedule);
    if (status != WEFT_OK) return status;
    const weft_optimiser_spec spec = weft_trainer_optimiser(config);
    t->optimiser = weft_optimiser_new(t->model->params, &spec);
    if (config->train.ema > 0) {
        const size_t size = (size_t)weft_params_block_size(t->model->params);
        t->ema = weft_alloc(size, sizeof *t->ema);
        if (!t->ema) return WEFT_ERR_MEMORY;
        memcpy(t->ema, weft_params_values(t->model->params), size * sizeof *t->ema);
    }
    t->tape = weft_tape_new(weft_trainer_tape_flags(config) |
                            (config->train.check_finite ? WEFT_CHECK_FINITE : 0));
    t->valid_tape = weft_tape_new(WEFT_NO_GRAD);
    return t->optimiser && t->tape && t->valid_tape ? WEFT_OK : WEFT_ERR_MEMORY;
}

/* What the largest step of any epoch needs, found out without computing it; then no step allocates or
 * faults. A dry tape sees the sizes of a batch alone: as many tokens on each side as any batch has, in
 * as many sentences as the largest of this epoch; others may have some more, hence a little more. */
static weft_status reserve(weft_trainer *t)
{
    const weft_batches_limits limits = weft_batches_get_limits(t->batches);
    weft_batch largest;
    weft_batches_largest(t->batches, &largest);
    largest.source.N = limits.source_tokens;
    largest.target.N = limits.target_tokens;
    weft_tape *plan = weft_tape_new(WEFT_DRY | weft_trainer_tape_flags(&t->model->config));
    if (!plan) return WEFT_ERR_MEMORY;
    const weft_var loss = weft_transformer_loss(&t->model->transformer, plan, &largest, NULL);
    weft_status status = weft_backward(plan, loss, NULL);
    t->reserved_bytes = weft_tape_peak_bytes(plan) / 64 * 65;
    if (status == WEFT_OK) status = weft_tape_reserve(t->tape, t->reserved_bytes);
    weft_tape_free(plan);
    return status;
}

/* The model, with vocabularies of its own text or those of a checkpoint. */
static weft_status make_model(weft_trainer *t, const weft_config *config,
                              const weft_checkpoint_file *file)
{
    weft_vocab *source = NULL, *target = NULL;
    if (file) return weft_model_read(file, config, &t->model);
    const double start_s = weft_seconds();
    weft_status status = weft_dataset_vocabs(config, t->train, &source, &target);
    t->read_s += weft_seconds() - start_s;
    if (status == WEFT_OK) status = weft_model_new(config, source, target, &t->model);
    if (status != WEFT_OK) {
        if (source != target) weft_vocab_free(source);
        weft_vocab_free(target);
    }
    return status;
}

/* resume: in the state of the checkpoint as well. */
static weft_status build(weft_trainer *t, const weft_config *config,
                         const weft_checkpoint_file *file, bool resume)
{
    weft_status status = WEFT_OK;
    if (config->train.precision == WEFT_CONFIG_BF16) status = weft_gemm_check_bf16();
    if (status != WEFT_OK) return weft_error_prefix(status, "train.precision = bf16: ");
    status = weft_dataset_read(config, WEFT_PART_TRAIN, &t->train);
    t->read_s = weft_seconds() - t->begin_s;
    if (status == WEFT_OK) status = make_model(t, config, file);
    const double start_s = weft_seconds();
    if (status == WEFT_OK) status = encode(t);
    t->read_s += weft_seconds() - start_s;
    if (status == WEFT_OK) status = prepare(t);
    if (status == WEFT_OK && resume) status = weft_trainer_restore(t, file);
    if (status == WEFT_OK) status = reserve(t);
    if (status != WEFT_OK) return status;
    t->n_batches = weft_batches_count(t->batches);
    return weft_prefetch_new(t->batches, &t->prefetch);
}

/* A new one, of the model of a checkpoint, or that of a checkpoint. */
static weft_status make(const weft_config *config, const weft_checkpoint_file *file, bool resume,
                        weft_trainer **trainer)
{
    *trainer = NULL;
    weft_trainer *t = weft_alloc(1, sizeof *t);
    if (!t) return WEFT_ERR_MEMORY;
    t->validated = -1;
    t->begin_s = weft_seconds();
    const weft_status status = build(t, config, file, resume);
    if (status != WEFT_OK) {
        weft_trainer_free(t);
        return status;
    }
    *trainer = t;
    return WEFT_OK;
}

weft_status weft_trainer_new(const weft_config *config, weft_trainer **trainer)
{
    return make(config, NULL, false, trainer);
}

weft_status weft_trainer_resume(const weft_config *config, const char *path, weft_trainer **trainer)
{
    weft_checkpoint_file *file = NULL;
    weft_config before;
    *trainer = NULL;
    weft_status status = weft_checkpoint_open(path, &file);
    if (status == WEFT_OK) status = weft_model_config(file, &before);
    if (status == WEFT_OK) status = weft_trainer_compare(&before, config);
    if (status == WEFT_OK) status = make(config, file, true, trainer);
    weft_checkpoint_close(file);
    return status;
}

/* Vocabularies are the checkpoint's: the configuration must mean as many. */
static weft_status check_sides(const weft_config *before, const weft_config *config)
{
    static const char *const kinds[] = { "encoder-decoder", "decoder-only" };
    static const char *const words[] = { "false", "true" };
    if (before->model.kind != config->model.kind)
        return weft_error(WEFT_ERR_INPUT,
                          "a checkpoint with model.kind = %s cannot begin one of %s",
                          kinds[before->model.kind], kinds[config->model.kind]);
    if (config->model.kind == WEFT_CONFIG_ENCODER_DECODER &&
        before->data.joint_vocab != config->data.joint_vocab)
        return weft_error(WEFT_ERR_INPUT,
                          "a checkpoint with data.joint_vocab = %s cannot begin a run with %s",
                          words[before->data.joint_vocab], words[config->data.joint_vocab]);
    return WEFT_OK;
}

weft_status weft_trainer_init(const weft_config *config, const char *path, weft_trainer **trainer)
{
    weft_checkpoint_file *file = NULL;
    weft_config before;
    weft_trainer *t = NULL;
    *trainer = NULL;
    weft_status status = weft_model_open(path, &file);
    if (status == WEFT_OK) status = weft_model_config(file, &before);
    if (status == WEFT_OK) status = check_sides(&before, config);
    if (status == WEFT_OK) status = make(config, file, false, &t);
    if (status == WEFT_OK) status = weft_dataset_check_vocab(config, t->model->target_vocab);
    if (status == WEFT_OK) status = weft_trainer_changes(&before, config, &t->changes);
    if (status == WEFT_OK && !(t->from = weft_strdup(path))) status = WEFT_ERR_MEMORY;
    if (status == WEFT_OK)
        *trainer = t;
    else
        weft_trainer_free(t);
    weft_checkpoint_close(file);
    return status == WEFT_OK ? status : weft_error_prefix(status, "--init %s: ", path);
}

void weft_trainer_free(weft_trainer *t)
{
    if (!t) return;
    weft_tape_free(t->tape);
    weft_tape_free(t->valid_tape);
    weft_prefetch_free(t->prefetch);
    weft_batches_free(t->batches);
    weft_batches_free(t->valid_batches);
    weft_corpus_free(t->train);
    weft_corpus_free(t->valid);
    weft_corpus_free(t->sample);
    weft_optimiser_free(t->optimiser);
    weft_free(t->ema);
    weft_free(t->from);
    weft_free(t->changes);
    weft_model_free(t->model);
    weft_free(t);
}

const weft_model *weft_trainer_model(const weft_trainer *t) { return t->model; }
int64_t weft_trainer_updates(const weft_trainer *t) { return t->update; }

void weft_trainer_exchange(weft_trainer *t)
{
    if (!t->ema) return;
    weft_real *const p = weft_params_values(t->model->params);
    for (int64_t i = 0; i < weft_params_block_size(t->model->params); i++) {
        const weft_real value = p[i];
        p[i] = t->ema[i];
        t->ema[i] = value;
    }
    weft_params_changed(t->model->params);
}

/* ---- one update ---------------------------------------------------------------------------------- */

/* The loss was not finite: compute it once more and look at every value on the way. */
static weft_status find_origin(weft_trainer *t, const weft_batch *batch)
{
    weft_tape *tape = weft_tape_new(weft_trainer_tape_flags(&t->model->config) | WEFT_CHECK_FINITE);
    if (!tape) return WEFT_ERR_MEMORY;
    weft_tape_seed(tape, (uint64_t)t->model->config.train.seed, (uint64_t)t->update + 1);
    const weft_var loss = weft_transformer_loss(&t->model->transformer, tape, batch, NULL);
    weft_status status = weft_backward(tape, loss, NULL);
    if (status == WEFT_OK) status = weft_error(WEFT_ERR_NUMERIC, "the loss is not finite");
    weft_tape_free(tape);
    return status;
}

weft_status weft_trainer_gradient(weft_trainer *t, const weft_batch *batch, double *loss)
{
    /* One key for all batches of an update: their rows have keys of their own. */
    weft_tape_reset(t->tape);
    weft_tape_seed(t->tape, (uint64_t)t->model->config.train.seed, (uint64_t)t->update + 1);
    const weft_var sum = weft_transformer_loss(&t->model->transformer, t->tape, batch, NULL);
    weft_status status = weft_backward(t->tape, sum, NULL);
    if (status == WEFT_OK) {
        *loss = weft_item(t->tape, sum);
        if (!isfinite(*loss)) status = find_origin(t, batch);
    }
    if (status == WEFT_OK) return WEFT_OK;
    return weft_error_prefix(status, "update %lld: ", (long long)t->update + 1);
}

weft_status weft_trainer_apply(weft_trainer *t, int64_t tokens, double *lr, double *norm)
{
    *lr = weft_schedule_rate(&t->schedule, t->update + 1);
    const weft_status status =
        weft_optimiser_step(t->optimiser, t->model->params, *lr, 1.0 / (double)tokens, norm);
    if (status != WEFT_OK)
        return weft_error_prefix(status, "update %lld: ", (long long)t->update + 1);
    t->update++;
    t->tokens += tokens;
    if (t->ema) weft_ema_update(t->ema, t->model->params, t->model->config.train.ema, t->update);
    return WEFT_OK;
}

weft_status weft_trainer_step(weft_trainer *t, weft_train_step *step)
{
    *step = (weft_train_step){ 0 };
    double sum = 0, loss = 0;
    for (int64_t i = 0; i < t->model->config.train.accumulate; i++) {
        weft_batch batch;
        weft_prefetch_next(t->prefetch, &batch);
        const weft_status status = weft_trainer_gradient(t, &batch, &loss);
        if (status != WEFT_OK) return status;
        sum += loss;
        step->tokens += batch.target.N;
    }
    step->loss = sum / (double)step->tokens;
    return weft_trainer_apply(t, step->tokens, &step->lr, &step->norm);
}
