/* attention.c - multi-head attention (Vaswani et al. 2017, section 3.2.2):
 *
 *     MultiHead(Q, K, V) = Concat(head_1 .. head_H) W^O,   head_i = Attention(Q W_i^Q, K W_i^K, V W_i^V)
 *
 * W^Q, W^K and W^V are stacked in in_proj_weight, as nn.MultiheadAttention has them. With G < H heads of
 * keys and values (Ainslie et al. 2023; G = 1: Shazeer 2019) W^K and W^V have G K rows, not D. */
#include "layers/layers_internal.h"

#include "core/checked.h"

int64_t weft_layer_kv_width(const weft_layer_config *config)
{
    const int64_t G = config->kv_heads > 0 ? config->kv_heads : config->heads;
    return 2 * G * (config->D / config->heads);
}

/* Rows of in_proj_weight; with buckets queries are keys. */
static int64_t stacked_rows(const weft_attention_layer *layer)
{
    const int64_t W = layer->kv_width / 2;
    return layer->D + (layer->approximation.kind == WEFT_BY_BUCKETS ? W : 2 * W);
}

/* Each of the stacked matrices as one of its own: that of queries may be taller than the others, and
 * DeepNorm scales that of values alone. */
static weft_status init_blocks(const weft_attention_layer *layer, const weft_layer_config *config)
{
    const int64_t D = layer->D, W = layer->kv_width / 2, rows = stacked_rows(layer);
    const int64_t ends[] = { 0, D, rows - W, rows };
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
    *layer = (weft_attention_layer){
        .D = D,
        .kv_width = weft_layer_kv_width(config),
        .heads = config->heads,
        .kv_heads = config->kv_heads > 0 ? config->kv_heads : config->heads,
        .qk_norm = config->qk_norm,
        .rotary_halves = config->rotary_halves,
        .dropout = config->attention_dropout,
    };
    weft_status status = weft_approximation_init(layer, params, prefix, &config->approximation);
    if (status != WEFT_OK) return status;
    const int64_t rows = stacked_rows(layer);
    const bool apart = (rows < D_3 || config->beta > 0) && !config->init_stacked;
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
        status = weft_linear_layer_init(&layer->out, params, out_name, D, D, true,
                                        weft_scaled_init(config));
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

/* Keys and values side by side [M, 2 G K], the keys normalised where the layer does so. */
static weft_var with_norm(const weft_attention_layer *layer, weft_tape *tape, weft_var kv)
{
    const int64_t W = layer->kv_width / 2;
    if (!layer->qk_norm) return kv;
    const weft_var k = normalise(layer, tape, &layer->k_norm, weft_slice(tape, kv, 1, 0, W));
    return weft_concat(tape, 2, (weft_var[]){ k, weft_slice(tape, kv, 1, W, 2 * W) }, 1);
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
    const int64_t D = layer->D, W = layer->kv_width / 2, rows = stacked_rows(layer);
    const weft_var v = weft_slice(tape, qkv, 1, rows - W, rows);
    weft_var q = normalise(layer, tape, &layer->q_norm, weft_slice(tape, qkv, 1, 0, D));
    q = turn(layer, tape, q, angles);
    if (layer->approximation.kind == WEFT_BY_BUCKETS) return (weft_qkv){ q, q, v };
    const weft_var k = normalise(layer, tape, &layer->k_norm, weft_slice(tape, qkv, 1, D, D + W));
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
    const weft_var kv = project(layer, tape, memory, layer->D, layer->D + layer->kv_width);
    return with_norm(layer, tape, kv);
}

weft_var weft_attention_layer_cross(const weft_attention_layer *layer, weft_tape *tape, weft_var x,
                                    const weft_packed *packed, weft_var kv, weft_var offsets)
{
    const int64_t W = layer->kv_width / 2;
    const weft_var q = normalise(layer, tape, &layer->q_norm, project(layer, tape, x, 0, layer->D));
    const weft_var k = weft_slice(tape, kv, 1, 0, W), v = weft_slice(tape, kv, 1, W, 2 * W);
    const weft_attention_spec spec = spec_of(layer, tape, packed, offsets, false);
    return project_out(layer, tape, weft_exact_apply(layer, tape, q, k, v, spec, 0, false));
}

weft_var weft_attention_layer_step(const weft_attention_layer *layer, weft_tape *tape, weft_var x,
                                   const weft_packed *packed, weft_var *past, weft_var offsets)
{
    const int64_t D = layer->D, W = layer->kv_width / 2, B = packed->B;
    const bool turn_later = !weft_is_nil(packed->past_angles);
    const weft_var qkv = project(layer, tape, x, 0, stacked_rows(layer));
    if (layer->approximation.kind != WEFT_EXACT) {
        const weft_qkv in = split(layer, tape, qkv, packed->angles);
        return project_out(
            layer, tape,
            weft_approximation_step(layer, tape, in.q, in.k, in.v, packed, past, offsets));
    }
    weft_var q = normalise(layer, tape, &layer->q_norm, weft_slice(tape, qkv, 1, 0, D));
    weft_var kv = with_norm(layer, tape, weft_slice(tape, qkv, 1, D, D + 2 * W));
    q = turn(layer, tape, q, packed->angles);
    if (!weft_is_nil(packed->angles) && !turn_later) {
        const weft_var k = turn(layer, tape, weft_slice(tape, kv, 1, 0, W), packed->angles);
        kv = weft_concat(tape, 2, (weft_var[]){ k, weft_slice(tape, kv, 1, W, 2 * W) }, 1);
    }
    kv = weft_reshape(tape, kv, WEFT_DIMS(B, 1, 2 * W));
    if (!weft_is_nil(*past)) kv = weft_concat(tape, 2, (weft_var[]){ *past, kv }, 1);
    *past = kv;
    if (weft_is_nil(kv)) return WEFT_NIL;
    const int64_t T = weft_shape(tape, kv).dim[1];
    kv = weft_reshape(tape, kv, WEFT_DIMS(B * T, 2 * W));
    weft_var k = weft_slice(tape, kv, 1, 0, W);
    if (turn_later) k = turn(layer, tape, k, packed->past_angles);
    weft_attention_spec spec = spec_of(layer, tape, packed, offsets, true);
    spec.at_end = true;
    const weft_var v = weft_slice(tape, kv, 1, W, 2 * W);
    return project_out(layer, tape, weft_exact_apply(layer, tape, q, k, v, spec, T, false));
}
