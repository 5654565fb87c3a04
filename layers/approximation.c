/* approximation.c - what a model can have in place of exact self-attention: linear attention, random
 * features, buckets, projected keys, chosen queries. The operations are in autograd/ops; here they get
 * their parameters, their random numbers and what decoding keeps. */
#include "layers/layers_internal.h"

#include <math.h>

/* ---- what is possible --------------------------------------------------------------------------- */

static const char *name_of(weft_approximation_kind kind)
{
    static const char *const names[] = {
        [WEFT_EXACT] = "exact attention",
        [WEFT_BY_FEATURES] = "linear attention",
        [WEFT_BY_RANDOM] = "attention by random features",
        [WEFT_BY_BUCKETS] = "attention by buckets",
        [WEFT_BY_PROJECTION] = "attention to projected keys",
        [WEFT_BY_CHOICE] = "attention of chosen queries",
        [WEFT_BY_CAUSAL_CHOICE] = "strictly causal attention of chosen queries",
    };
    return names[kind];
}

static bool is_choice(weft_approximation_kind kind)
{
    return kind == WEFT_BY_CHOICE || kind == WEFT_BY_CAUSAL_CHOICE;
}

static weft_status check_sizes(const weft_approximation *a)
{
    const bool wrong = (a->kind == WEFT_BY_RANDOM && a->features < 1) ||
                       (a->kind == WEFT_BY_BUCKETS && (a->rounds < 1 || a->chunk < 1)) ||
                       (a->kind == WEFT_BY_PROJECTION && (a->k < 1 || a->longest < 1)) ||
                       (is_choice(a->kind) && !(a->factor > 0)) || a->redraw < 0;
    return wrong ? weft_error(WEFT_ERR_RANGE,
                              "transformer: %s needs positive sizes: rounds, chunk, features, k, "
                              "longest, factor",
                              name_of(a->kind))
                 : WEFT_OK;
}

weft_status weft_approximation_check(const weft_transformer_config *config)
{
    const weft_layer_config *layer = &config->layer;
    const weft_approximation *a = &layer->approximation;
    const char *const name = name_of(a->kind);
    if (a->kind == WEFT_EXACT) return WEFT_OK;
    if (layer->mixer != WEFT_MIX_ATTENTION)
        return weft_error(WEFT_ERR_STATE, "transformer: %s and a recurrent layer in its place",
                          name);
    if (a->kind == WEFT_BY_PROJECTION && config->decoder_only)
        return weft_error(WEFT_ERR_STATE,
                          "transformer: %s mixes all positions, so it cannot be causal: it needs "
                          "an encoder",
                          name);
    if (a->kind != WEFT_BY_PROJECTION && layer->attention_dropout > 0)
        return weft_error(WEFT_ERR_STATE,
                          "transformer: %s has no weights that attention_dropout = %g could drop",
                          name, layer->attention_dropout);
    if ((a->kind == WEFT_BY_BUCKETS || is_choice(a->kind)) && layer->kv_heads > 0 &&
        layer->kv_heads < layer->heads)
        return weft_error(WEFT_ERR_STATE,
                          "transformer: %s needs as many heads of keys and values as of queries, "
                          "not %d for %d",
                          name, layer->kv_heads, layer->heads);
    if (config->position == WEFT_POSITION_ROTARY &&
        (a->kind == WEFT_BY_FEATURES || a->kind == WEFT_BY_PROJECTION))
        return weft_error(WEFT_ERR_STATE,
                          "transformer: %s has no scores of single pairs, which rotary positions "
                          "would make depend on the distance",
                          name);
    if (config->position == WEFT_POSITION_ROTARY &&
        config->frequencies.scaling == WEFT_SCALE_DYNAMIC)
        return weft_error(WEFT_ERR_STATE,
                          "transformer: %s keeps keys that are turned, which dynamic rotary "
                          "positions would turn anew",
                          name);
    return check_sizes(a);
}

/* ---- parameters --------------------------------------------------------------------------------- */

/* A number for each name (FNV-1a). */
static uint64_t site_of(const char *name)
{
    uint64_t x = 0xcbf29ce484222325u;
    for (; *name; name++) x = (x ^ (uint8_t)*name) * 0x100000001b3u;
    return x;
}

/* E or F, N(0, 1/k) as in theorem 2 of Wang et al.; one that exists already is shared. */
static weft_status add_projection(weft_params *params, const char *prefix, const char *name,
                                  const weft_approximation *a, weft_param *out)
{
    char full[WEFT_NAME_BYTES];
    const weft_status status = weft_join_name(full, prefix, name);
    if (status != WEFT_OK) return status;
    *out = (weft_param){ params, weft_params_find(params, full) };
    if (out->index >= 0) return WEFT_OK;
    return weft_params_add(params, full, WEFT_DIMS(a->k, a->longest),
                           (weft_init){ WEFT_INIT_NORMAL, 1 / sqrt((double)a->k), 0 }, out);
}

weft_status weft_approximation_init(weft_attention_layer *layer, weft_params *params,
                                    const char *prefix, const weft_approximation *approximation)
{
    layer->approximation = *approximation;
    layer->site = site_of(prefix);
    if (approximation->kind != WEFT_BY_PROJECTION) return WEFT_OK;
    const weft_projection_sharing sharing = approximation->sharing;
    if (sharing == WEFT_SHARE_LAYERWISE) prefix = "encoder";
    const weft_status status =
        add_projection(params, prefix, sharing == WEFT_SHARE_HEADWISE ? "length_k" : "length_kv",
                       approximation, &layer->project_k);
    layer->project_v = layer->project_k;
    return status == WEFT_OK && sharing == WEFT_SHARE_HEADWISE
               ? add_projection(params, prefix, "length_v", approximation, &layer->project_v)
               : status;
}

/* ---- attention ---------------------------------------------------------------------------------- */

/* Of directions, rotations or samples. */
static uint64_t key_of(const weft_attention_layer *layer, const weft_tape *tape)
{
    const weft_approximation *a = &layer->approximation;
    uint64_t draw = 0;
    if (a->redraw > 0 && !(weft_tape_flags(tape) & WEFT_NO_GRAD))
        draw = weft_tape_update(tape) / (uint64_t)a->redraw;
    return weft_random_key(a->seed, draw, layer->site);
}

/* An eps that leaves rows of weights summing to 1: features are above 0, random ones by 1e-4. */
static weft_linear_attention_spec linear_spec(const weft_attention_layer *layer, weft_var offsets,
                                              bool causal)
{
    const bool random = layer->approximation.kind == WEFT_BY_RANDOM;
    return (weft_linear_attention_spec){ .heads = layer->heads,
                                         .kv_heads = layer->kv_heads,
                                         .map = random ? WEFT_FEATURES_GIVEN : WEFT_FEATURES_ELU,
                                         .eps = random ? 1e-30 : 1e-12,
                                         .causal = causal,
                                         .q_offsets = offsets };
}

/* Queries and keys become random features, where they are to. Each feature has 1e-4 added to it, as in
 * the published code. */
static void random_features(const weft_attention_layer *layer, weft_tape *tape, weft_var *q,
                            weft_var *k, weft_var offsets, bool causal)
{
    const weft_approximation *a = &layer->approximation;
    if (a->kind != WEFT_BY_RANDOM) return;
    const weft_var w = weft_favor_directions(tape, a->features, layer->D / layer->heads, false,
                                             key_of(layer, tape));
    weft_favor_spec spec = { .heads = layer->heads,
                             .hyperbolic = a->hyperbolic,
                             .eps = 1e-4,
                             .stabiliser = WEFT_STABILISE_ROW,
                             .offsets = offsets };
    *q = weft_favor(tape, *q, w, &spec);
    spec.heads = layer->kv_heads;
    spec.stabiliser = causal ? WEFT_STABILISE_NONE : WEFT_STABILISE_SENTENCE;
    *k = weft_favor(tape, *k, w, &spec);
}

/* b k for sentence b: each has k keys. */
static weft_var projected_offsets(weft_tape *tape, int64_t B, int64_t k)
{
    int32_t *x = weft_alloc((size_t)B + 1, sizeof *x);
    if (!x || B * k > INT32_MAX) {
        weft_tape_fail(tape, x ? WEFT_ERR_OVERFLOW : WEFT_ERR_MEMORY,
                       "%lld sentences of %lld projected keys", (long long)B, (long long)k);
        weft_free(x);
        return WEFT_NIL;
    }
    for (int64_t b = 0; b <= B; b++) x[b] = (int32_t)(b * k);
    const weft_var offsets = weft_constant_int(tape, WEFT_DIMS(B + 1), x);
    weft_free(x);
    return offsets;
}

static weft_var by_projection(const weft_attention_layer *layer, weft_tape *tape, weft_var q,
                              weft_var k, weft_var v, const weft_packed *packed)
{
    k = weft_sentence_project(tape, weft_use(tape, layer->project_k), k, packed->offsets);
    v = weft_sentence_project(tape, weft_use(tape, layer->project_v), v, packed->offsets);
    const weft_attention_spec spec = { .heads = layer->heads,
                                       .kv_heads = layer->kv_heads,
                                       .q_offsets = packed->offsets,
                                       .k_offsets = projected_offsets(tape, packed->B,
                                                                      layer->approximation.k),
                                       .dropout = weft_training_dropout(tape, layer->dropout),
                                       .q_rows = packed->rows };
    return weft_attention(tape, q, k, v, &spec);
}

weft_var weft_approximation_apply(const weft_attention_layer *layer, weft_tape *tape, weft_var q,
                                  weft_var k, weft_var v, const weft_packed *packed, bool causal)
{
    const weft_approximation *a = &layer->approximation;
    switch (a->kind) {
    case WEFT_EXACT: break;
    case WEFT_BY_FEATURES:
    case WEFT_BY_RANDOM: {
        const weft_linear_attention_spec spec = linear_spec(layer, packed->offsets, causal);
        random_features(layer, tape, &q, &k, packed->offsets, causal);
        return weft_linear_attention(tape, q, k, v, &spec);
    }
    case WEFT_BY_BUCKETS:
        return weft_lsh_attention(tape, q, v,
                                  &(weft_lsh_spec){ .heads = layer->heads,
                                                    .rounds = a->rounds,
                                                    .chunk = a->chunk,
                                                    .causal = causal,
                                                    .key = key_of(layer, tape),
                                                    .offsets = packed->offsets });
    case WEFT_BY_PROJECTION: return by_projection(layer, tape, q, k, v, packed);
    case WEFT_BY_CHOICE:
    case WEFT_BY_CAUSAL_CHOICE: {
        const weft_probsparse_kind masked =
            a->kind == WEFT_BY_CHOICE ? WEFT_PROBSPARSE_PUBLISHED : WEFT_PROBSPARSE_CAUSAL;
        return weft_probsparse_attention(
            tape, q, k, v,
            &(weft_probsparse_spec){ .heads = layer->heads,
                                     .kind = causal ? masked : WEFT_PROBSPARSE,
                                     .factor = a->factor,
                                     .key = key_of(layer, tape),
                                     .q_offsets = packed->offsets });
    }
    }
    return WEFT_NIL;
}

/* ---- decoding ----------------------------------------------------------------------------------- */

bool weft_approximation_keeps_sums(const weft_layer_config *config)
{
    const weft_approximation_kind kind = config->approximation.kind;
    return kind == WEFT_BY_FEATURES || kind == WEFT_BY_RANDOM;
}

int64_t weft_approximation_past_width(const weft_layer_config *config)
{
    const weft_approximation *a = &config->approximation;
    const int64_t D = config->D, K = D / config->heads, kv_width = weft_layer_kv_width(config),
                  v_width = weft_layer_v_width(config), G = (kv_width - v_width) / K;
    switch (a->kind) {
    case WEFT_BY_FEATURES: return K * (v_width + G);
    case WEFT_BY_RANDOM: return (a->hyperbolic ? 2 : 1) * a->features * (v_width + G);
    case WEFT_BY_BUCKETS: return D + v_width;
    case WEFT_BY_CHOICE:
    case WEFT_BY_CAUSAL_CHOICE: return D + kv_width;
    case WEFT_EXACT:
    case WEFT_BY_PROJECTION: break; /* in the encoder; the decoder's is exact */
    }
    return kv_width;
}

/* As a recurrent network: one row, the sums over all keys. */
static weft_var step_by_sums(const weft_attention_layer *layer, weft_tape *tape, weft_var q,
                             weft_var k, weft_var v, weft_var *past, int64_t B)
{
    const weft_linear_attention_spec spec = linear_spec(layer, WEFT_NIL, true);
    const int64_t G = layer->kv_heads;
    random_features(layer, tape, &q, &k, WEFT_NIL, true);
    weft_var state = *past;
    if (!weft_is_nil(state))
        state = weft_reshape(tape, state, WEFT_DIMS(B, G, weft_shape(tape, state).dim[2] / G));
    const weft_var y = weft_linear_attention_step(tape, q, k, v, &state, &spec);
    if (weft_is_nil(y)) return WEFT_NIL;
    *past = weft_reshape(tape, state, WEFT_DIMS(B, 1, G * weft_shape(tape, state).dim[2]));
    return y;
}

/* Queries, keys and values of all tokens so far attend anew, and the last one's output counts: what was
 * chosen may change with each token. */
weft_var weft_approximation_step(const weft_attention_layer *layer, weft_tape *tape, weft_var q,
                                 weft_var k, weft_var v, const weft_packed *packed, weft_var *past,
                                 weft_var offsets)
{
    const weft_approximation_kind kind = layer->approximation.kind;
    const int64_t B = packed->B, D = layer->D, v_width = layer->v_width;
    if (kind == WEFT_BY_FEATURES || kind == WEFT_BY_RANDOM)
        return step_by_sums(layer, tape, q, k, v, past, B);
    const int64_t W = kind == WEFT_BY_BUCKETS ? 0 : layer->k_width, width = D + W + v_width;
    const weft_var next = W ? weft_concat(tape, 3, (weft_var[]){ q, k, v }, 1)
                            : weft_concat(tape, 2, (weft_var[]){ q, v }, 1);
    weft_var all = weft_reshape(tape, next, WEFT_DIMS(B, 1, width));
    if (!weft_is_nil(*past)) all = weft_concat(tape, 2, (weft_var[]){ *past, all }, 1);
    *past = all;
    if (weft_is_nil(all)) return WEFT_NIL;
    const int64_t T = weft_shape(tape, all).dim[1];
    all = weft_reshape(tape, all, WEFT_DIMS(B * T, width));
    const weft_packed whole = { .B = B, .N = B * T, .offsets = offsets };
    const weft_var queries = weft_slice(tape, all, 1, 0, D),
                   keys = W ? weft_slice(tape, all, 1, D, D + W) : queries;
    const weft_var y = weft_approximation_apply(
        layer, tape, queries, keys, weft_slice(tape, all, 1, D + W, width), &whole, true);
    /* as many heads of values as of queries */
    const weft_var of_all = weft_reshape(tape, y, WEFT_DIMS(B, T, v_width));
    return weft_reshape(tape, weft_slice(tape, of_all, 1, T - 1, T), WEFT_DIMS(B, v_width));
}
