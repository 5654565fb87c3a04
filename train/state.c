/* state.c - a model, or a trainer's whole state, as a checkpoint, and back. */
#include "train/loop_internal.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum { MOST_BLOCKS = 4, N_INTEGERS = 15, NUMERICS_BYTES = 128 };

/* What the bits of a run depend on beside its configuration and texts. */
static void numerics_text(char buf[NUMERICS_BYTES])
{
    snprintf(buf, NUMERICS_BYTES, "weft %s, float%d, kernel %s", WEFT_VERSION,
             8 * (int)sizeof(weft_real), weft_gemm_kernel());
}

/* Text that the checkpoint holds; each may be NULL. */
typedef struct texts {
    char *config, *source, *target;
} texts;

static weft_status write_texts(const weft_model *model, texts *out)
{
    *out = (texts){ .config = weft_config_text(&model->config, false),
                    .target = weft_vocab_write(model->target_vocab) };
    const bool two = model->source_vocab && model->source_vocab != model->target_vocab;
    if (two) out->source = weft_vocab_write(model->source_vocab);
    return out->config && out->target && (out->source || !two) ? WEFT_OK : WEFT_ERR_MEMORY;
}

/* The model with its texts, and what else `state` has. */
static weft_status save(const weft_model *model, weft_checkpoint state, const char *path)
{
    texts written;
    char numerics[NUMERICS_BYTES];
    weft_status status = write_texts(model, &written);
    numerics_text(numerics);
    const weft_checkpoint_text saved[] = {
        { "config", written.config },
        { "numerics", numerics },
        { "target_vocab", written.target },
        { "source_vocab", written.source },
    };
    state.params = model->params;
    state.n_texts = written.source ? 4 : 3;
    state.texts = saved;
    if (status == WEFT_OK) status = weft_checkpoint_save(path, &state);
    weft_free(written.config);
    weft_free(written.source);
    weft_free(written.target);
    return status;
}

weft_status weft_model_save(const weft_model *model, const char *path)
{
    return save(model, (weft_checkpoint){ .n_blocks = 0 }, path);
}

/* Moments of the optimiser, and the running average. */
static int list_blocks(weft_trainer *t, weft_checkpoint_block blocks[MOST_BLOCKS])
{
    int n = weft_optimiser_n_blocks(t->optimiser);
    assert(n < MOST_BLOCKS);
    for (int i = 0; i < n; i++)
        blocks[i] = (weft_checkpoint_block){ weft_optimiser_block_name(t->optimiser, i),
                                             weft_optimiser_block(t->optimiser, i) };
    if (t->ema) blocks[n++] = (weft_checkpoint_block){ WEFT_RUNNING_AVERAGE, t->ema };
    return n;
}

static void best_name(char name[32], const char *what, int64_t i)
{
    snprintf(name, 32, "best_%.8s_%d", what, (int)i + 1);
}

weft_status weft_trainer_save(weft_trainer *t, const char *path)
{
    int64_t epoch, batch;
    char names[WEFT_MOST_BEST][2][32];
    weft_checkpoint_block blocks[MOST_BLOCKS];
    weft_checkpoint_integer integers[N_INTEGERS + WEFT_MOST_BEST];
    weft_checkpoint_double doubles[1 + WEFT_MOST_BEST] = { { "line_loss", t->line_loss } };
    weft_prefetch_position(t->prefetch, &epoch, &batch);
    const weft_checkpoint_integer fixed[N_INTEGERS] = {
        { "update", t->update },
        { "epoch", epoch },
        { "batch", batch },
        { "seed", t->model->config.train.seed },
        { "tokens", t->tokens },
        { "line_tokens", t->line_tokens },
        { "worse_validations", t->n_worse },
        { "best_validations", t->n_best },
        { "validated", t->validated },
        { "validated_sentences", t->n_sentences },
        { "validated_exact", t->n_exact },
        { "train_items", weft_corpus_size(t->train) },
        { "train_tokens", weft_corpus_tokens(t->train, WEFT_TARGET, NULL) },
        { "train_xxh3_64", (int64_t)weft_corpus_hash(t->train) },
        { "valid_xxh3_64", t->valid ? (int64_t)weft_corpus_hash(t->valid) : 0 },
    };
    memcpy(integers, fixed, sizeof fixed);
    for (int64_t i = 0; i < t->n_best; i++) {
        best_name(names[i][0], "update", i);
        best_name(names[i][1], "score", i);
        integers[N_INTEGERS + i] = (weft_checkpoint_integer){ names[i][0], t->best[i].update };
        doubles[1 + i] = (weft_checkpoint_double){ names[i][1], t->best[i].score };
    }
    return save(t->model,
                (weft_checkpoint){ .n_blocks = list_blocks(t, blocks),
                                   .blocks = blocks,
                                   .n_integers = N_INTEGERS + (int)t->n_best,
                                   .integers = integers,
                                   .n_doubles = 1 + (int)t->n_best,
                                   .doubles = doubles },
                path);
}

/* ---- back --------------------------------------------------------------------------------------- */

/* The same texts? 0 stands for none, which may come and go. */
static weft_status check_hash(const weft_checkpoint_file *file, const char *name, const char *key,
                              const weft_corpus *corpus)
{
    int64_t before;
    const weft_status status = weft_checkpoint_get_integer(file, name, &before);
    if (status != WEFT_OK || !corpus || before == 0 || before == (int64_t)weft_corpus_hash(corpus))
        return status;
    return weft_error(WEFT_ERR_INPUT, "%s: the text is another one than when this run began", key);
}

static weft_status check_texts(const weft_trainer *t, const weft_checkpoint_file *file)
{
    int64_t items, tokens;
    weft_status status = weft_checkpoint_get_integer(file, "train_items", &items);
    if (status == WEFT_OK) status = weft_checkpoint_get_integer(file, "train_tokens", &tokens);
    if (status != WEFT_OK) return status;
    const long long now = weft_corpus_size(t->train);
    const long long tokens_now = weft_corpus_tokens(t->train, WEFT_TARGET, NULL);
    if (items == now && tokens == tokens_now) {
        const bool task = t->model->config.data.task[0] != '\0';
        status = check_hash(file, "train_xxh3_64", task ? "data.task" : "data.train", t->train);
        if (status == WEFT_OK) status = check_hash(file, "valid_xxh3_64", "data.valid", t->valid);
        return status;
    }
    return weft_error(WEFT_ERR_INPUT,
                      "the training text is another one than when this run began: %lld items with "
                      "%lld target tokens then, %lld with %lld now",
                      (long long)items, (long long)tokens, now, tokens_now);
}

static weft_status restore_optimiser(weft_trainer *t, const weft_checkpoint_file *file)
{
    weft_status status = weft_optimiser_set_updates(t->optimiser, t->update);
    for (int i = 0; i < weft_optimiser_n_blocks(t->optimiser) && status == WEFT_OK; i++)
        status =
            weft_checkpoint_load_block(file, weft_optimiser_block_name(t->optimiser, i),
                                       t->model->params, weft_optimiser_block(t->optimiser, i));
    return status;
}

/* What was best so far, as much of it as train.keep_best asks for now. */
static weft_status restore_best(weft_trainer *t, const weft_checkpoint_file *file)
{
    char name[32];
    int64_t n = 0;
    weft_status status = weft_checkpoint_get_integer(file, "best_validations", &n);
    if (n > t->model->config.train.keep_best) n = t->model->config.train.keep_best;
    for (t->n_best = 0; t->n_best < n && status == WEFT_OK; t->n_best++) {
        weft_best *const best = &t->best[t->n_best];
        best_name(name, "update", t->n_best);
        status = weft_checkpoint_get_integer(file, name, &best->update);
        best_name(name, "score", t->n_best);
        if (status == WEFT_OK) status = weft_checkpoint_get_double(file, name, &best->score);
    }
    return status;
}

weft_status weft_trainer_restore(weft_trainer *t, const weft_checkpoint_file *file)
{
    int64_t epoch = 0, batch = 0;
    char *before = NULL, numerics[NUMERICS_BYTES];
    weft_status status = check_texts(t, file);
    if (status == WEFT_OK) status = weft_checkpoint_get_integer(file, "update", &t->update);
    if (status == WEFT_OK) status = weft_checkpoint_get_integer(file, "tokens", &t->tokens);
    if (status == WEFT_OK)
        status = weft_checkpoint_get_integer(file, "line_tokens", &t->line_tokens);
    if (status == WEFT_OK) status = weft_checkpoint_get_double(file, "line_loss", &t->line_loss);
    if (status == WEFT_OK) status = weft_checkpoint_get_integer(file, "epoch", &epoch);
    if (status == WEFT_OK) status = weft_checkpoint_get_integer(file, "batch", &batch);
    if (status == WEFT_OK)
        status = weft_checkpoint_get_integer(file, "worse_validations", &t->n_worse);
    if (status == WEFT_OK) status = weft_checkpoint_get_integer(file, "validated", &t->validated);
    if (status == WEFT_OK)
        status = weft_checkpoint_get_integer(file, "validated_sentences", &t->n_sentences);
    if (status == WEFT_OK)
        status = weft_checkpoint_get_integer(file, "validated_exact", &t->n_exact);
    if (status == WEFT_OK) status = restore_best(t, file);
    if (status == WEFT_OK) status = weft_batches_seek(t->batches, epoch, batch);
    if (status == WEFT_OK) status = restore_optimiser(t, file);
    if (status == WEFT_OK && t->ema) { /* the model was made with the average */
        status = weft_checkpoint_load_block(file, WEFT_RUNNING_AVERAGE, t->model->params, t->ema);
        if (status == WEFT_OK) status = weft_checkpoint_load_params(file, t->model->params);
    }
    if (status == WEFT_OK) status = weft_checkpoint_get_text(file, "numerics", &before);
    if (status != WEFT_OK) return status;
    numerics_text(numerics);
    t->other_numerics = strcmp(before, numerics) != 0;
    weft_free(before);
    return WEFT_OK;
}

/* Keys outside [data] and [model] that decide what the past of a run was. */
static bool decides_past(const char *section, const char *line)
{
    static const char *const keys[] = { "[train]seed =",      "[train]batch_tokens =",
                                        "[train]monitor =",   "[train]ema =",
                                        "[train]precision =", "[optim]kind =" };
    if (strcmp(section, "[data]") == 0 || strcmp(section, "[model]") == 0) return true;
    const size_t n_section = strlen(section);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (strncmp(keys[i], section, n_section) == 0 &&
            strncmp(keys[i] + n_section, line, strlen(keys[i] + n_section)) == 0)
            return true;
    return false;
}

/* Take the next line off *text; the newline becomes the end. NULL after the last. */
static char *next_line(char **text)
{
    char *line = *text;
    if (*line == '\0') return NULL;
    char *end = strchr(line, '\n');
    *text = end ? end + 1 : line + strlen(line);
    if (end) *end = '\0';
    return line;
}

/* Both texts have the same keys in the same order. */
static weft_status compare_texts(char *before, char *now)
{
    const char *section = "";
    char *old, *new;
    while ((old = next_line(&before)) != NULL && (new = next_line(&now)) != NULL) {
        if (*old == '[') section = old;
        if (strcmp(old, new) != 0 && decides_past(section, old))
            return weft_error(WEFT_ERR_INPUT,
                              "this run began with \"%s\" in section %s: it cannot go on with "
                              "\"%s\"",
                              old, section, new);
    }
    return WEFT_OK;
}

/* Both texts have the same keys in the same order. */
static void list_changes(char *before, char *now, char *changes, size_t bytes)
{
    const char *section = "";
    char *old, *new;
    size_t n = 0;
    changes[0] = '\0';
    while ((old = next_line(&before)) != NULL && (new = next_line(&now)) != NULL) {
        if (*old == '[') section = old;
        if (strcmp(section, "[model]") == 0 && strcmp(old, new) != 0)
            n += (size_t)snprintf(changes + n, bytes - n, "%s, before %s\n", new, old);
    }
}

weft_status weft_trainer_changes(const weft_config *before, const weft_config *config,
                                 char **changes)
{
    char *old = weft_config_text(before, false), *new = weft_config_text(config, false);
    const size_t bytes = old && new ? 8 * (strlen(old) + strlen(new)) : 0; /* more than all of it */
    *changes = bytes > 0 ? weft_alloc(bytes, 1) : NULL;
    if (*changes) list_changes(old, new, *changes, bytes);
    weft_free(old);
    weft_free(new);
    return *changes ? WEFT_OK : WEFT_ERR_MEMORY;
}

weft_status weft_trainer_compare(const weft_config *before, const weft_config *config)
{
    char *old = weft_config_text(before, false), *new = weft_config_text(config, false);
    const weft_status status = old && new ? compare_texts(old, new) : WEFT_ERR_MEMORY;
    weft_free(old);
    weft_free(new);
    return status;
}
