/* validate.c - how good a model is on text that it was not trained on. */
#include "train/decode.h"
#include "train/loop_internal.h"
#include "train/metrics.h"

#include <math.h>
#include <string.h>

/* Mean -log p of the target tokens, in the corpus' order. */
static weft_status mean_loss(weft_trainer *t, const volatile sig_atomic_t *stop, double *loss)
{
    double sum = 0;
    int64_t tokens = 0;
    for (int64_t i = 0; i < weft_batches_count(t->valid_batches); i++) {
        weft_batch batch;
        if (stop && *stop != 0) return weft_error(WEFT_ERR_STOPPED, "stopped while validating");
        weft_status status = weft_batches_get(t->valid_batches, i, &batch);
        if (status != WEFT_OK) return status;
        weft_var nll = WEFT_NIL;
        weft_tape_reset(t->valid_tape);
        (void)weft_transformer_loss(&t->model->transformer, t->valid_tape, &batch, &nll);
        sum += weft_item(t->valid_tape, nll);
        tokens += batch.target.N;
        status = weft_tape_status(t->valid_tape);
        if (status != WEFT_OK) return weft_error(status, "%s", weft_tape_message(t->valid_tape));
    }
    *loss = sum / (double)tokens;
    return WEFT_OK;
}

typedef struct scores {
    weft_metric *exact, *bleu, *chrf;
} scores;

static weft_status add(scores *s, const char *hypothesis, const char *reference)
{
    weft_status status = weft_metric_add(s->exact, hypothesis, &reference);
    if (status == WEFT_OK) status = weft_metric_add(s->bleu, hypothesis, &reference);
    if (status == WEFT_OK) status = weft_metric_add(s->chrf, hypothesis, &reference);
    return status;
}

/* References are compared as the vocabulary reads them: a model can say nothing else. */
static weft_status compare(const weft_model *model, const weft_corpus *corpus,
                           const weft_hypotheses *hypotheses, weft_translation_visitor *visit,
                           void *user, scores *s)
{
    const weft_vocab *const vocab = model->target_vocab;
    weft_status status = WEFT_OK;
    for (int64_t i = 0; i < hypotheses->B && status == WEFT_OK; i++) {
        const int64_t begin = hypotheses->offsets[i], end = hypotheses->offsets[i + 1];
        char *reference = NULL, *text = NULL;
        status = weft_vocab_normalise(vocab, weft_corpus_text(corpus, WEFT_TARGET, i), &reference);
        if (status == WEFT_OK)
            status = weft_vocab_decode(vocab, hypotheses->ids + begin, end - begin, &text);
        if (status == WEFT_OK) status = add(s, text, reference);
        if (status == WEFT_OK && visit)
            visit(weft_corpus_text(corpus, WEFT_SOURCE, i), reference, text, user);
        weft_free(reference);
        weft_free(text);
    }
    return status;
}

static weft_status new_metric(weft_metric_kind kind, weft_metric **metric)
{
    return weft_metric_new(&(weft_metric_spec){ .kind = kind, .n_refs = 1 }, metric);
}

weft_status weft_evaluate(const weft_model *model, weft_tape *tape, const weft_corpus *corpus,
                          const volatile sig_atomic_t *stop, weft_translation_visitor *visit,
                          void *user, weft_validation *result)
{
    const weft_config *config = &model->config;
    weft_hypotheses hypotheses = { 0 };
    scores s = { NULL, NULL, NULL };
    const weft_translator translator = { &model->transformer, tape };
    const double alpha = config->train.length_penalty;
    const weft_decode_spec spec = { .beam = config->train.beam,
                                    .penalty = config->train.penalty,
                                    .alpha = alpha != 0
                                                 ? alpha
                                                 : weft_length_penalty_alpha(config->train.penalty),
                                    .max_length = config->train.max_decode_length,
                                    .stop = stop };
    weft_status status =
        weft_decode_corpus(&translator, 1, corpus, config->train.batch_tokens, &spec, &hypotheses);
    if (status == WEFT_OK) status = new_metric(WEFT_METRIC_EXACT, &s.exact);
    if (status == WEFT_OK) status = new_metric(WEFT_METRIC_BLEU, &s.bleu);
    if (status == WEFT_OK) status = new_metric(WEFT_METRIC_CHRF, &s.chrf);
    if (status == WEFT_OK) status = compare(model, corpus, &hypotheses, visit, user, &s);
    if (status == WEFT_OK) {
        result->sentences = weft_metric_segments(s.exact);
        result->n_exact =
            llround(weft_metric_score(s.exact) / 100 * (double)weft_metric_segments(s.exact));
        result->bleu = weft_metric_score(s.bleu);
        result->chrf = weft_metric_score(s.chrf);
    }
    weft_metric_free(s.exact);
    weft_metric_free(s.bleu);
    weft_metric_free(s.chrf);
    weft_hypotheses_free(&hypotheses);
    return status;
}

weft_status weft_trainer_validate_each(weft_trainer *t, const volatile sig_atomic_t *stop,
                                       weft_translation_visitor *visit, void *user,
                                       weft_validation *result)
{
    if (!t->valid) return weft_error(WEFT_ERR_STATE, "there is no validation text: set data.valid");
    *result = (weft_validation){ 0 };
    weft_trainer_exchange(t);
    weft_status status = mean_loss(t, stop, &result->loss);
    if (status == WEFT_OK && t->sample)
        status = weft_evaluate(t->model, t->valid_tape, t->sample, stop, visit, user, result);
    weft_trainer_exchange(t);
    return status;
}

weft_status weft_trainer_validate(weft_trainer *t, weft_validation *result)
{
    return weft_trainer_validate_each(t, NULL, NULL, NULL, result);
}
