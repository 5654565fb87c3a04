/* heads.c - entropy, saturation and gradients of attention heads. */
#include "train/heads.h"
#include "train/maps_internal.h"

#include <math.h>

enum { MOST_TOKENS = 1024 };

static weft_status status_of(weft_tape *tape)
{
    const weft_status status = weft_tape_status(tape);
    return status == WEFT_OK ? WEFT_OK : weft_error(status, "%s", weft_tape_message(tape));
}

/* ---- weights ------------------------------------------------------------------------------------ */

/* Is row n the first of its sentence? */
static bool is_first(const weft_tensor *q, const weft_tensor *offsets, int64_t n)
{
    if (offsets->data) {
        for (int64_t b = 0; b + 1 < offsets->dim[0]; b++)
            if (offsets->i32[b] == n) return true;
        return false;
    }
    return q->rank == 3 ? n % q->dim[1] == 0 : n == 0;
}

static void add_row(const weft_real *w, int64_t S, bool first, weft_head_stats *stats, int64_t *n)
{
    double entropy = 0, largest = 0;
    for (int64_t j = 0; j < S; j++) {
        const double x = (double)w[j];
        if (x > 0) entropy -= x * log(x);
        if (x > largest) largest = x;
    }
    if (largest == 0 || (first && largest == 1)) return; /* sees nobody, or one */
    stats->entropy += entropy;
    stats->largest += largest;
    stats->saturated += largest > 0.99;
    ++*n;
}

weft_status weft_head_weights(weft_tape *tape, weft_var y, int heads, weft_head_stats stats[])
{
    weft_attention_parts parts;
    const weft_var weights = weft_attention_weights(tape, y, heads);
    if (weft_is_nil(weights) || !weft_attention_inputs(tape, y, &parts)) return status_of(tape);
    const weft_tensor w = weft_value(tape, weights), q = weft_value(tape, parts.q);
    weft_tensor offsets = { .rank = -1 };
    if (!weft_is_nil(parts.q_offsets)) offsets = weft_value(tape, parts.q_offsets);
    const int64_t N = w.dim[0], S = w.dim[2];
    for (int h = 0; h < heads; h++) {
        weft_head_stats *const s = &stats[h];
        int64_t n = 0;
        s->entropy = s->largest = s->saturated = 0;
        for (int64_t i = 0; i < N; i++)
            add_row(w.real + (i * heads + h) * S, S, is_first(&q, &offsets, i), s, &n);
        const double share = n > 0 ? 1 / (double)n : 0;
        s->entropy *= share;
        s->largest *= share;
        s->saturated *= share;
    }
    return status_of(tape);
}

/* ---- gradients ---------------------------------------------------------------------------------- */

/* Of the columns of head h, of `heads` equal ones. */
static double norm_of(const weft_tensor *g, int64_t heads, int64_t h)
{
    if (!g->data) return 0; /* none came */
    const int64_t C = weft_cols(g) / heads;
    double sum = 0;
    for (int64_t r = 0; r < weft_rows(g); r++)
        for (int64_t c = h * C; c < (h + 1) * C; c++) {
            const double x = (double)g->real[r * g->ld + c];
            sum += x * x;
        }
    return sqrt(sum);
}

weft_status weft_head_gradients(weft_tape *tape, weft_var y, int heads, weft_head_stats stats[])
{
    weft_attention_parts parts;
    if (!weft_attention_inputs(tape, y, &parts)) return status_of(tape);
    const weft_var of[3] = { parts.q, parts.k, parts.v };
    const weft_tensor q = weft_shape(tape, parts.q), k = weft_shape(tape, parts.k);
    const int64_t K = heads > 0 ? weft_cols(&q) / heads : 0, G = K > 0 ? weft_cols(&k) / K : 0;
    if (G < 1 || heads % G != 0 || K * heads != weft_cols(&q) || K * G != weft_cols(&k))
        return weft_error(WEFT_ERR_RANGE,
                          "weft_head_gradients: queries of %lld columns have not %d "
                          "heads",
                          (long long)weft_cols(&q), heads);
    for (int i = 0; i < 3; i++) {
        const weft_tensor g = weft_gradient(tape, of[i]);
        for (int h = 0; h < heads; h++)
            stats[h].gradient[i] = i == 0 ? norm_of(&g, heads, h) : norm_of(&g, G, h / (heads / G));
    }
    return status_of(tape);
}

/* ---- a whole model ------------------------------------------------------------------------------ */

/* The first sentences of a batch. */
static weft_tokens first_of(const weft_tokens *tokens, int64_t B)
{
    weft_tokens part = *tokens;
    part.B = tokens->B < B ? tokens->B : B;
    part.N = part.B > 0 ? tokens->offsets[part.B] : 0;
    return part;
}

static weft_batch small_batch(const weft_batch *batch)
{
    int64_t B = 1;
    while (B < batch->target.B && batch->target.offsets[B + 1] <= MOST_TOKENS &&
           (batch->source.B == 0 || batch->source.offsets[B + 1] <= MOST_TOKENS))
        B++;
    weft_batch part = *batch;
    part.source = first_of(&batch->source, B);
    part.target = first_of(&batch->target, B);
    return part;
}

/* The output of an attention layer, of global tokens' own projections apart; WEFT_NIL where it has no
 * weights. */
static weft_var output_of(weft_tape *tape, weft_map_kind kind, int layer, char scope[])
{
    weft_map_scope(scope, kind, layer);
    return weft_attention_find(tape, scope, 0);
}

/* One layer on both tapes. */
static weft_status measure_layer(weft_tape *tape, weft_tape *grad, weft_map_kind kind, int layer,
                                 int heads, weft_head_stats stats[], weft_head_visitor *visit,
                                 void *user)
{
    char scope[WEFT_MAP_SCOPE];
    const weft_var plain = output_of(tape, kind, layer, scope),
                   trained = output_of(grad, kind, layer, scope);
    if (weft_is_nil(plain) || weft_is_nil(trained)) return WEFT_OK;
    weft_status status = weft_head_weights(tape, plain, heads, stats);
    if (status == WEFT_OK) status = weft_head_gradients(grad, trained, heads, stats);
    for (int h = 0; h < heads && status == WEFT_OK; h++) visit(scope, h, &stats[h], user);
    return status;
}

static weft_status measure(const weft_model *model, weft_tape *tape, weft_tape *grad,
                           weft_head_visitor *visit, void *user)
{
    const weft_transformer_config *config = &model->transformer.config;
    const int layers[WEFT_MAP_KINDS] = { [WEFT_MAP_ENCODER] =
                                             config->decoder_only ? 0 : config->encoder_layers,
                                         [WEFT_MAP_DECODER] = config->decoder_layers,
                                         [WEFT_MAP_CROSS] =
                                             config->decoder_only ? 0 : config->decoder_layers };
    static const weft_map_kind order[] = { WEFT_MAP_ENCODER, WEFT_MAP_DECODER, WEFT_MAP_CROSS };
    const int heads = config->layer.heads;
    weft_head_stats *const stats = weft_alloc((size_t)heads, sizeof *stats);
    weft_status status = stats ? WEFT_OK : WEFT_ERR_MEMORY;
    for (int k = 0; k < WEFT_MAP_KINDS; k++)
        for (int i = 0; i < layers[order[k]] && status == WEFT_OK; i++)
            status = measure_layer(tape, grad, order[k], i, heads, stats, visit, user);
    weft_free(stats);
    return status;
}

weft_status weft_heads_measure(const weft_model *model, weft_tape *tape, const weft_batch *batch,
                               uint64_t update, weft_head_visitor *visit, void *user)
{
    const weft_batch part = small_batch(batch);
    weft_tape *const grad = weft_tape_new(WEFT_RETAIN);
    if (!grad) return WEFT_ERR_MEMORY;
    weft_tape_reset(tape);
    (void)weft_transformer_loss(&model->transformer, tape, &part, NULL);
    weft_status status = status_of(tape);
    if (status == WEFT_OK) {
        weft_tape_seed(grad, (uint64_t)model->config.train.seed, update);
        const weft_var sum = weft_transformer_loss(&model->transformer, grad, &part, NULL),
                       mean = weft_scale(grad, sum, 1 / (double)part.target.N);
        status = weft_backward(grad, mean, NULL);
    }
    if (status == WEFT_OK) status = measure(model, tape, grad, visit, user);
    weft_params_zero_gradients(model->params);
    weft_tape_free(grad);
    return status;
}
