/* logprob.c - how likely a model finds given translations. */
#include "train/decode_internal.h"

#include "data/batches.h"

#include <math.h>

/* log(exp(a) + exp(b)) */
static double log_add(double a, double b)
{
    const double high = a > b ? a : b, low = a > b ? b : a;
    return isinf(high) ? high : high + log1p(exp(low - high));
}

/* Add a model's p of labels ids [N] after the decoder's outputs x to the sums in log_p [N], which the
 * first one begins. */
static weft_status add_labels(const weft_translator *of, weft_var x, int64_t N, const int32_t *ids,
                              bool first, double log_p[])
{
    weft_tape *const tape = of->tape;
    const weft_var logits = weft_transformer_logits(of->model, tape, x);
    const weft_var labels = weft_constant_int(tape, WEFT_DIMS(N, 1), ids);
    const weft_var logit = weft_gather(tape, logits, 1, labels);
    const weft_var total = weft_logsumexp(tape, logits, false);
    if (weft_tape_status(tape) != WEFT_OK)
        return weft_error(weft_tape_status(tape), "%s", weft_tape_message(tape));
    const weft_real *const l = weft_value(tape, logit).real, *const t =
                                                                 weft_value(tape, total).real;
    for (int64_t i = 0; i < N; i++) {
        const double own = (double)l[i] - (double)t[i];
        log_p[i] = first ? own : log_add(log_p[i], own);
    }
    return WEFT_OK;
}

/* Add a model's p of each label of the batch to the sums in log_p [N], which the first one begins. */
static weft_status add_model(const weft_translator *of, const weft_batch *batch, bool first,
                             double log_p[])
{
    weft_tape *const tape = of->tape;
    const int64_t N = batch->target.N;
    weft_tape_reset(tape);
    const weft_var memory = weft_transformer_encode(of->model, tape, &batch->source);
    const weft_var x =
        weft_transformer_decode(of->model, tape, &batch->target, memory, &batch->source);
    return add_labels(of, x, N, batch->labels, first, log_p);
}

static weft_status add_batch(const weft_translator models[], int n_models, const weft_batch *batch,
                             double tokens[], double log_p[])
{
    for (int i = 0; i < n_models; i++) {
        const weft_status status = add_model(&models[i], batch, i == 0, tokens);
        if (status != WEFT_OK) return status;
    }
    for (int64_t b = 0; b < batch->target.B; b++) {
        double sum = 0;
        for (int32_t i = batch->target.offsets[b]; i < batch->target.offsets[b + 1]; i++)
            sum += tokens[i] - log((double)n_models);
        log_p[batch->target.rows[2 * (ptrdiff_t)batch->target.offsets[b]]] = sum;
    }
    return WEFT_OK;
}

static weft_status check(const weft_translator models[], int n_models, const weft_corpus *corpus,
                         int64_t *longest)
{
    weft_status status = weft_translators_check("weft_logprob", models, n_models);
    *longest = 0;
    for (int64_t i = 0; i < weft_corpus_size(corpus) && status == WEFT_OK; i++)
        for (int side = WEFT_SOURCE; side <= WEFT_TARGET && status == WEFT_OK; side++) {
            int64_t n;
            if (!weft_corpus_ids(corpus, (weft_side)side, i, &n))
                return weft_error(WEFT_ERR_STATE,
                                  "weft_logprob: the corpus lacks an encoded source or target");
            if (n + 1 > *longest) *longest = n + 1;
            status = weft_translators_reach(models, n_models, i, n);
        }
    return status;
}

weft_status weft_logprob(const weft_translator models[], int n_models, const weft_corpus *corpus,
                         int64_t batch_tokens, double log_p[])
{
    int64_t longest;
    weft_status status = check(models, n_models, corpus, &longest);
    if (status != WEFT_OK) return status;
    const weft_batches_spec spec = { .batch_tokens = batch_tokens,
                                     .max_length = longest,
                                     .in_order = true };
    weft_batches *batches = NULL;
    status = weft_batches_new(corpus, &spec, &batches);
    if (status != WEFT_OK) return status;
    double *const tokens =
        weft_alloc((size_t)weft_batches_get_limits(batches).target_tokens, sizeof *tokens);
    if (!tokens) status = WEFT_ERR_MEMORY;
    for (int64_t i = 0; i < weft_batches_count(batches) && status == WEFT_OK; i++) {
        weft_batch batch;
        status = weft_batches_get(batches, i, &batch);
        if (status == WEFT_OK) status = add_batch(models, n_models, &batch, tokens, log_p);
    }
    weft_free(tokens);
    weft_batches_free(batches);
    return status;
}

/* ---- a text in chunks ----------------------------------------------------------------------------- */

static weft_status check_text(const weft_translator *of, int64_t n, const weft_chunks *chunks)
{
    const weft_transformer_config *config = &of->model->config;
    weft_status status = weft_decode_check("weft_logprob_text", of->model, of->tape, true);
    if (status == WEFT_OK) status = weft_chunks_check(chunks);
    if (status != WEFT_OK) return status;
    if (n < 2)
        return weft_error(WEFT_ERR_INPUT,
                          "a text of %lld tokens: the first is not predicted, so two are needed",
                          (long long)n);
    if (config->position == WEFT_POSITION_LEARNED && chunks->length > config->max_positions)
        return weft_error(WEFT_ERR_INPUT,
                          "chunks of %lld tokens: the model's positions end at %lld",
                          (long long)chunks->length, (long long)config->max_positions);
    return WEFT_OK;
}

/* log p of each token of a chunk: what follows tokens from .. to - 1. */
static weft_status read_chunk(const weft_translator *of, const int32_t *ids, weft_chunk at,
                              int32_t rows[], double log_p[])
{
    const int64_t N = at.to - at.from;
    const int32_t offsets[] = { 0, (int32_t)N };
    for (int64_t p = 0; p < N; p++) {
        rows[2 * p] = 0;
        rows[2 * p + 1] = (int32_t)p;
    }
    const weft_tokens read = { 1, N, ids + at.from, offsets, rows };
    weft_tape_reset(of->tape);
    const weft_var x = weft_transformer_decode(of->model, of->tape, &read, WEFT_NIL, NULL);
    return add_labels(of, x, N, ids + at.from + 1, true, log_p);
}

weft_status weft_logprob_text(const weft_translator *of, const int32_t *ids, int64_t n,
                              int64_t length, int64_t overlap, weft_chunk_merge merge,
                              double log_p[])
{
    const weft_chunks chunks = { n > 0 ? n - 1 : 0, length, overlap };
    weft_status status = check_text(of, n, &chunks);
    if (status != WEFT_OK) return status;
    const int64_t count = weft_chunks_count(&chunks);
    const int64_t longest = chunks.n < length ? chunks.n : length;
    double *const parts = weft_alloc((size_t)weft_chunks_row(&chunks, count), sizeof *parts);
    int32_t *const rows = weft_alloc((size_t)longest, 2 * sizeof *rows);
    if (!parts || !rows) status = WEFT_ERR_MEMORY;
    for (int64_t i = 0; i < count && status == WEFT_OK; i++)
        status = read_chunk(of, ids, weft_chunks_get(&chunks, i), rows,
                            parts + weft_chunks_row(&chunks, i));
    if (status == WEFT_OK) weft_chunks_merge(&chunks, merge, 1, parts, log_p);
    weft_free(parts);
    weft_free(rows);
    return status;
}
