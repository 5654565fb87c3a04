/* attention.c - multi-head attention (Vaswani et al. 2017, section 3.2.2):
 *
 *     MultiHead(Q, K, V) = Concat(head_1 .. head_H) W^O,   head_i = Attention(Q W_i^Q, K W_i^K, V W_i^V)
 *
 * W^Q, W^K and W^V are stacked in in_proj_weight, as nn.MultiheadAttention has them. With G < H heads of
 * keys and values (Ainslie et al. 2023; G = 1: Shazeer 2019) W^K and W^V have G K and G Kv rows. The width
 * Kv of a head's values is K unless it is set (the paper's d_v). */
#include "layers/layers_internal.h"

#include "core/checked.h"

static int64_t groups_of(const weft_layer_config *config)
{
    return config->kv_heads > 0 ? config->kv_heads : config->heads;
}

int64_t weft_layer_v_width(const weft_layer_config *config)
{
    return groups_of(config) *
           (config->value_width > 0 ? config->value_width : config->D / config->heads);
}

int64_t weft_layer_kv_width(const weft_layer_config *config)
{
    return groups_of(config) * (config->D / config->heads) + weft_layer_v_width(config);
}

/* Rows of in_proj_weight; with buckets queries are keys. */
static int64_t stacked_rows(const weft_attention_layer *layer)
{
    const bool keys = layer->approximation.kind != WEFT_BY_BUCKETS;
    return layer->D + (keys ? layer->k_width : 0) + layer->v_width;
}

/* Each of the stacked matrices as one of its own: they may be of different heights, and DeepNorm scales
 * that of values alone. */
static weft_status init_blocks(const weft_attention_layer *layer, const weft_layer_config *config)
{
    const int64_t rows = stacked_rows(layer);
    const int64_t ends[] = { 0, layer->D, rows - layer->v_width, rows };
    weft_status status = WEFT_OK;
    for (int i = 0; i < 3 && status == WEFT_OK; i++)
        if (ends[i] < ends[i + 1])
            status = weft_params_init_rows(layer->in_weight, ends[i], ends[i + 1],
                                           i == 2 ? weft_scaled_init(config) : config->init);
    return status;
}

/* q_norm and k_norm. */
static weft_status init_norms(weft_attention_layer *layer, weft_params *params, const char *prefix,
                              const weft_layer_config *config)
{
    char name[WEFT_NAME_BYTES];
    const int64_t K = config->D / config->heads;
    const weft_norm_spec spec = { WEFT_RMS_NORM, config->norm.eps };
    weft_status status = weft_join_name(name, prefix, "q_norm");
    if (status == WEFT_OK)
        status = weft_norm_layer_init(&layer->q_norm, params, name, K, spec, false);
    if (layer->approximation.kind == WEFT_BY_BUCKETS) return status; /* queries are keys */
    if (status == WEFT_OK) status = weft_join_name(name, prefix, "k_norm");
    return status == WEFT_OK ? weft_norm_layer_init(&layer->k_norm, params, name, K, spec, false)
                             : status;
}

weft_status weft_attention_layer_init(weft_attention_layer *layer, weft_params *params,
                                      const char *prefix, const weft_layer_config *config)
{
    char out_name[WEFT_NAME_BYTES];
    const int64_t D = config->D;
    int64_t D_3;
    if (!weft_mul_i64(3, D, &D_3))
        return weft_error(WEFT_ERR_OVERFLOW, "%s: 3 D is beyond 64 bits: D = %lld", prefix,
                          (long long)D);
    const int64_t G = groups_of(config), v_width = weft_layer_v_width(config);
    *layer = (weft_attention_layer){
        .D = D,
        .k_width = weft_layer_kv_width(config) - v_width,
        .v_width = v_width,
        .heads = config->heads,
        .kv_heads = (int)G,
        .qk_norm = config->qk_norm,
        .rotary_halves = config->rotary_halves,
        .dropout = config->attention_dropout,
    };
    weft_status status = weft_approximation_init(layer, params, prefix, &config->approximation);
    if (status != WEFT_OK) return status;
    const int64_t rows = stacked_rows(layer);
    const bool apart = (rows != D_3 || v_width != D || config->beta > 0) && !config->init_stacked;
    weft_init init = config->init;
    init.blocks = config->init_stacked || apart ? 1 : 3;
    status = weft_add_param(params, prefix, "in_proj_weight", WEFT_DIMS(rows, D), init,
                            &layer->in_weight);
    if (status == WEFT_OK && apart) status = init_blocks(layer, config);
    if (status == WEFT_OK)
        status = weft_add_param(params, prefix, "in_proj_bias", WEFT_DIMS(rows),
                                (weft_init){ WEFT_INIT_ZEROS, 0, 0 }, &layer->in_bias);
    if (status == WEFT_OK) status = weft_join_name(out_name, prefix, "out_proj");
    if (status == WEFT_OK)
        status = weft_linear_layer_init(&layer->out, params, out_name, v_width / G * config->heads,
                                        D, true, weft_scaled_init(config));
    if (status == WEFT_OK && config->qk_norm) status = init_norms(layer, params, prefix, config);
    return status == WEFT_OK ? weft_exact_init(layer, params, prefix, config) : status;
}

/* What attention needs beside q, k and v. */
static weft_attention_spec spec_of(const weft_attention_layer *layer, weft_tape *tape,
                                   const weft_packed *packed, weft_var k_offsets, bool causal)
{
    return (weft_attention_spec){ .heads = layer->heads,
                                  .kv_heads = layer->kv_heads,
                                  .causal = causal,
                                  .q_offsets = packed->offsets,
                                  .k_offsets = k_offsets,
                                  .dropout = weft_training_dropout(tape, layer->dropout),
                                  .q_rows = packed->rows };
}

static weft_var project_out(const weft_attention_layer *layer, weft_tape *tape, weft_var y)
{
    return weft_linear_layer_apply(&layer->out, tape, y, WEFT_IDENTITY);
}

/* Queries or keys [N, n K] with each head normalised, where the layer does so (Henry et al. 2020 with a
 * unit norm; as here with gains: Dehghani et al. 2023, section 2.1). */
static weft_var normalise(const weft_attention_layer *layer, weft_tape *tape,
                          const weft_norm_layer *norm, weft_var x)
{
    const weft_tensor shape = weft_shape(tape, x);
    if (!layer->qk_norm || weft_is_nil(x)) return x;
    const int64_t N = shape.dim[0], C = shape.dim[1], K = norm->D;
    const weft_var heads = weft_reshape(tape, x, WEFT_DIMS(N * (C / K), K));
    return weft_reshape(tape, weft_norm_layer_apply(norm, tape, heads), WEFT_DIMS(N, C));
}

/* Keys of keys and values side by side [M, G (K + Kv)], and values. */
static weft_var keys_of(const weft_attention_layer *layer, weft_tape *tape, weft_var kv)
{
    return weft_slice(tape, kv, 1, 0, layer->k_width);
}

static weft_var values_of(const weft_attention_layer *layer, weft_tape *tape, weft_var kv)
{
    return weft_slice(tape, kv, 1, layer->k_width, layer->k_width + layer->v_width);
}

/* Both, the keys normalised where the layer does so. */
static weft_var with_norm(const weft_attention_layer *layer, weft_tape *tape, weft_var kv)
{
    if (!layer->qk_norm) return kv;
    const weft_var k = normalise(layer, tape, &layer->k_norm, keys_of(layer, tape, kv));
    return weft_concat(tape, 2, (weft_var[]){ k, values_of(layer, tape, kv) }, 1);
}

/* Queries or keys by their rotary positions, where there are any. */
static weft_var turn(const weft_attention_layer *layer, weft_tape *tape, weft_var x,
                     weft_var angles)
{
    return weft_is_nil(angles) ? x : weft_rotary(tape, x, angles, layer->rotary_halves);
}

typedef struct weft_qkv {
    weft_var q, k, v;
} weft_qkv;

/* The columns of the stacked projection, normalised and turned by their positions. */
static weft_qkv split(const weft_attention_layer *layer, weft_tape *tape, weft_var qkv,
                      weft_var angles)
{
    const int64_t D = layer->D, rows = stacked_rows(layer);
    const weft_var v = weft_slice(tape, qkv, 1, rows - layer->v_width, rows);
    weft_var q = normalise(layer, tape, &layer->q_norm, weft_slice(tape, qkv, 1, 0, D));
    q = turn(layer, tape, q, angles);
    if (layer->approximation.kind == WEFT_BY_BUCKETS) return (weft_qkv){ q, q, v };
    const weft_var k =
        normalise(layer, tape, &layer->k_norm, weft_slice(tape, qkv, 1, D, D + layer->k_width));
    return (weft_qkv){ q, turn(layer, tape, k, angles), v };
}

weft_var weft_attention_layer_self(const weft_attention_layer *layer, weft_tape *tape, weft_var x,
                                   const weft_packed *packed, bool causal)
{
    const weft_var qkv = weft_linear(tape, x, weft_use(tape, layer->in_weight),
                                     weft_use(tape, layer->in_bias), WEFT_IDENTITY);
    const weft_qkv in = split(layer, tape, qkv, packed->angles);
    if (layer->approximation.kind != WEFT_EXACT)
        return project_out(layer, tape,
                           weft_approximation_apply(layer, tape, in.q, in.k, in.v, packed, causal));
    const weft_attention_spec spec = spec_of(layer, tape, packed, packed->offsets, causal);
    const int64_t longest = packed->longest;
    weft_var y = weft_exact_apply(layer, tape, in.q, in.k, in.v, spec, longest, false);
    if (layer->exact.global_projections) {
        const weft_var stacked = weft_linear(tape, x, weft_use(tape, layer->global_weight),
                                             weft_use(tape, layer->global_bias), WEFT_IDENTITY);
        const weft_qkv of = split(layer, tape, stacked, packed->angles);
        y = weft_add(tape, y, weft_exact_apply(layer, tape, of.q, of.k, of.v, spec, longest, true));
    }
    return project_out(layer, tape, y);
}

/* Rows [from, to) of the stacked projection. */
static weft_var project(const weft_attention_layer *layer, weft_tape *tape, weft_var x,
                        int64_t from, int64_t to)
{
    const weft_var weight = weft_slice(tape, weft_use(tape, layer->in_weight), 0, from, to);
    const weft_var bias = weft_slice(tape, weft_use(tape, layer->in_bias), 0, from, to);
    return weft_linear(tape, x, weight, bias, WEFT_IDENTITY);
}

weft_var weft_attention_layer_memory(const weft_attention_layer *layer, weft_tape *tape,
                                     weft_var memory)
{
    return with_norm(layer, tape, project(layer, tape, memory, layer->D, stacked_rows(layer)));
}

weft_var weft_attention_layer_cross(const weft_attention_layer *layer, weft_tape *tape, weft_var x,
                                    const weft_packed *packed, weft_var kv, weft_var offsets)
{
    const weft_var q = normalise(layer, tape, &layer->q_norm, project(layer, tape, x, 0, layer->D));
    const weft_var k = keys_of(layer, tape, kv), v = values_of(layer, tape, kv);
    const weft_attention_spec spec = spec_of(layer, tape, packed, offsets, false);
    return project_out(layer, tape, weft_exact_apply(layer, tape, q, k, v, spec, 0, false));
}

weft_var weft_attention_layer_step(const weft_attention_layer *layer, weft_tape *tape, weft_var x,
                                   const weft_packed *packed, weft_var *past, weft_var offsets)
{
    const int64_t D = layer->D, W = layer->k_width + layer->v_width, B = packed->B;
    const bool turn_later = !weft_is_nil(packed->past_angles);
    const weft_var qkv = project(layer, tape, x, 0, stacked_rows(layer));
    if (layer->approximation.kind != WEFT_EXACT) {
        const weft_qkv in = split(layer, tape, qkv, packed->angles);
        return project_out(
            layer, tape,
            weft_approximation_step(layer, tape, in.q, in.k, in.v, packed, past, offsets));
    }
    weft_var q = normalise(layer, tape, &layer->q_norm, weft_slice(tape, qkv, 1, 0, D));
    weft_var kv = with_norm(layer, tape, weft_slice(tape, qkv, 1, D, D + W));
    q = turn(layer, tape, q, packed->angles);
    if (!weft_is_nil(packed->angles) && !turn_later) {
        const weft_var k = turn(layer, tape, keys_of(layer, tape, kv), packed->angles);
        kv = weft_concat(tape, 2, (weft_var[]){ k, values_of(layer, tape, kv) }, 1);
    }
    kv = weft_reshape(tape, kv, WEFT_DIMS(B, 1, W));
    if (!weft_is_nil(*past)) kv = weft_concat(tape, 2, (weft_var[]){ *past, kv }, 1);
    *past = kv;
    if (weft_is_nil(kv)) return WEFT_NIL;
    const int64_t T = weft_shape(tape, kv).dim[1];
    kv = weft_reshape(tape, kv, WEFT_DIMS(B * T, W));
    weft_var k = keys_of(layer, tape, kv);
    if (turn_later) k = turn(layer, tape, k, packed->past_angles);
    weft_attention_spec spec = spec_of(layer, tape, packed, offsets, true);
    spec.at_end = true;
    const weft_var v = values_of(layer, tape, kv);
    return project_out(layer, tape, weft_exact_apply(layer, tape, q, k, v, spec, T, false));
}
