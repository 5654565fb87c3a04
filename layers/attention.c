/* attention.c - multi-head attention (Vaswani et al. 2017, section 3.2.2):
 *
 *     MultiHead(Q, K, V) = Concat(head_1 .. head_H) W^O,   head_i = Attention(Q W_i^Q, K W_i^K, V W_i^V)
 *
 * W^Q, W^K and W^V are stacked in in_proj_weight [3D, D], as nn.MultiheadAttention has them. */
#include "layers/layers_internal.h"

#include "core/checked.h"

weft_status weft_attention_layer_init(weft_attention_layer *layer, weft_params *params,
                                      const char *prefix, int64_t D, int heads, double dropout,
                                      weft_init init)
{
    char out_name[WEFT_NAME_BYTES];
    int64_t D_3;
    if (!weft_mul_i64(3, D, &D_3))
        return weft_error(WEFT_ERR_OVERFLOW, "%s: 3 D is beyond 64 bits: D = %lld", prefix,
                          (long long)D);
    *layer = (weft_attention_layer){ .D = D, .heads = heads, .dropout = dropout };
    weft_status status = weft_add_param(params, prefix, "in_proj_weight", WEFT_DIMS(D_3, D), init,
                                        &layer->in_weight);
    if (status == WEFT_OK)
        status = weft_add_param(params, prefix, "in_proj_bias", WEFT_DIMS(D_3),
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
                                       .causal = causal,
                                       .q_offsets = packed->offsets,
                                       .k_offsets = k_offsets,
                                       .dropout = weft_training_dropout(tape, layer->dropout),
                                       .q_rows = packed->rows };
    return weft_linear_layer_apply(&layer->out, tape, weft_attention(tape, q, k, v, &spec),
                                   WEFT_IDENTITY);
}

weft_var weft_attention_layer_self(const weft_attention_layer *layer, weft_tape *tape, weft_var x,
                                   const weft_packed *packed, bool causal)
{
    const int64_t D = layer->D;
    const weft_var qkv = weft_linear(tape, x, weft_use(tape, layer->in_weight),
                                     weft_use(tape, layer->in_bias), WEFT_IDENTITY);
    return attend(layer, tape, weft_slice(tape, qkv, 1, 0, D), weft_slice(tape, qkv, 1, D, 2 * D),
                  weft_slice(tape, qkv, 1, 2 * D, 3 * D), packed, packed->offsets, causal);
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
    return project(layer, tape, memory, layer->D, 3 * layer->D);
}

weft_var weft_attention_layer_cross(const weft_attention_layer *layer, weft_tape *tape, weft_var x,
                                    const weft_packed *packed, weft_var kv, weft_var offsets)
{
    const int64_t D = layer->D;
    return attend(layer, tape, project(layer, tape, x, 0, D), weft_slice(tape, kv, 1, 0, D),
                  weft_slice(tape, kv, 1, D, 2 * D), packed, offsets, false);
}

weft_var weft_attention_layer_step(const weft_attention_layer *layer, weft_tape *tape, weft_var x,
                                   const weft_packed *packed, weft_var *past, weft_var offsets)
{
    const int64_t D = layer->D, B = packed->B;
    const weft_var qkv = project(layer, tape, x, 0, 3 * D);
    const weft_var next = weft_slice(tape, qkv, 1, D, 3 * D);
    weft_var kv = weft_reshape(tape, next, WEFT_DIMS(B, 1, 2 * D));
    if (!weft_is_nil(*past)) kv = weft_concat(tape, 2, (weft_var[]){ *past, kv }, 1);
    *past = kv;
    if (weft_is_nil(kv)) return WEFT_NIL;
    const int64_t T = weft_shape(tape, kv).dim[1];
    kv = weft_reshape(tape, kv, WEFT_DIMS(B * T, 2 * D));
    return attend(layer, tape, weft_slice(tape, qkv, 1, 0, D), weft_slice(tape, kv, 1, 0, D),
                  weft_slice(tape, kv, 1, D, 2 * D), packed, offsets, false);
}
