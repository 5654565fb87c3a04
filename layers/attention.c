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

/* Each of the stacked matrices as one of its own: that of queries is taller than the others. */
static weft_status init_blocks(const weft_attention_layer *layer, weft_init init)
{
    const int64_t D = layer->D, W = layer->kv_width / 2;
    const int64_t ends[] = { 0, D, D + W, D + 2 * W };
    weft_status status = WEFT_OK;
    for (int i = 0; i < 3 && status == WEFT_OK; i++)
        status = weft_params_init_rows(layer->in_weight, ends[i], ends[i + 1], init);
    return status;
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
        .rotary_halves = config->rotary_halves,
        .dropout = config->attention_dropout,
    };
    const int64_t rows = D + layer->kv_width;
    const bool unequal = rows < D_3 && !config->init_stacked;
    weft_init init = config->init;
    init.blocks = config->init_stacked || unequal ? 1 : 3;
    weft_status status = weft_add_param(params, prefix, "in_proj_weight", WEFT_DIMS(rows, D), init,
                                        &layer->in_weight);
    if (status == WEFT_OK && unequal) status = init_blocks(layer, init);
    if (status == WEFT_OK)
        status = weft_add_param(params, prefix, "in_proj_bias", WEFT_DIMS(rows),
                                (weft_init){ WEFT_INIT_ZEROS, 0, 0 }, &layer->in_bias);
    if (status == WEFT_OK) status = weft_join_name(out_name, prefix, "out_proj");
    init.blocks = 0;
    if (status == WEFT_OK)
        status = weft_linear_layer_init(&layer->out, params, out_name, D, D, true, init);
    return status;
}

static weft_var attend(const weft_attention_layer *layer, weft_tape *tape, weft_var q, weft_var k,
                       weft_var v, const weft_packed *packed, weft_var k_offsets, bool causal)
{
    const weft_attention_spec spec = { .heads = layer->heads,
                                       .kv_heads = layer->kv_heads,
                                       .causal = causal,
                                       .q_offsets = packed->offsets,
                                       .k_offsets = k_offsets,
                                       .dropout = weft_training_dropout(tape, layer->dropout),
                                       .q_rows = packed->rows };
    return weft_linear_layer_apply(&layer->out, tape, weft_attention(tape, q, k, v, &spec),
                                   WEFT_IDENTITY);
}

/* Queries or keys by their rotary positions, where there are any. */
static weft_var turn(const weft_attention_layer *layer, weft_tape *tape, weft_var x,
                     weft_var angles)
{
    return weft_is_nil(angles) ? x : weft_rotary(tape, x, angles, layer->rotary_halves);
}

weft_var weft_attention_layer_self(const weft_attention_layer *layer, weft_tape *tape, weft_var x,
                                   const weft_packed *packed, bool causal)
{
    const int64_t D = layer->D, W = layer->kv_width / 2;
    const weft_var qkv = weft_linear(tape, x, weft_use(tape, layer->in_weight),
                                     weft_use(tape, layer->in_bias), WEFT_IDENTITY);
    const weft_var q = turn(layer, tape, weft_slice(tape, qkv, 1, 0, D), packed->angles);
    const weft_var k = turn(layer, tape, weft_slice(tape, qkv, 1, D, D + W), packed->angles);
    return attend(layer, tape, q, k, weft_slice(tape, qkv, 1, D + W, D + 2 * W), packed,
                  packed->offsets, causal);
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
    return project(layer, tape, memory, layer->D, layer->D + layer->kv_width);
}

weft_var weft_attention_layer_cross(const weft_attention_layer *layer, weft_tape *tape, weft_var x,
                                    const weft_packed *packed, weft_var kv, weft_var offsets)
{
    const int64_t W = layer->kv_width / 2;
    return attend(layer, tape, project(layer, tape, x, 0, layer->D), weft_slice(tape, kv, 1, 0, W),
                  weft_slice(tape, kv, 1, W, 2 * W), packed, offsets, false);
}

weft_var weft_attention_layer_step(const weft_attention_layer *layer, weft_tape *tape, weft_var x,
                                   const weft_packed *packed, weft_var *past, weft_var offsets)
{
    const int64_t D = layer->D, W = layer->kv_width / 2, B = packed->B;
    const bool turn_later = !weft_is_nil(packed->past_angles);
    const weft_var qkv = project(layer, tape, x, 0, D + 2 * W);
    const weft_var q = turn(layer, tape, weft_slice(tape, qkv, 1, 0, D), packed->angles);
    weft_var kv = weft_slice(tape, qkv, 1, D, D + 2 * W);
    if (!weft_is_nil(packed->angles) && !turn_later) {
        const weft_var k = turn(layer, tape, weft_slice(tape, qkv, 1, D, D + W), packed->angles);
        const weft_var v = weft_slice(tape, qkv, 1, D + W, D + 2 * W);
        kv = weft_concat(tape, 2, (weft_var[]){ k, v }, 1);
    }
    kv = weft_reshape(tape, kv, WEFT_DIMS(B, 1, 2 * W));
    if (!weft_is_nil(*past)) kv = weft_concat(tape, 2, (weft_var[]){ *past, kv }, 1);
    *past = kv;
    if (weft_is_nil(kv)) return WEFT_NIL;
    const int64_t T = weft_shape(tape, kv).dim[1];
    kv = weft_reshape(tape, kv, WEFT_DIMS(B * T, 2 * W));
    weft_var k = weft_slice(tape, kv, 1, 0, W);
    if (turn_later) k = turn(layer, tape, k, packed->past_angles);
    return attend(layer, tape, q, k, weft_slice(tape, kv, 1, W, 2 * W), packed, offsets, false);
}
