/* group_heads.c - from many heads of keys and values to few (Ainslie et al. 2023, section 2.1): the
 * projections of a group are the mean of those of its heads. */
#include "layers/layers_internal.h"

#include <string.h>

/* Rows [from, from + W) of x, r heads of K rows at a time as their mean. */
static weft_var pool(weft_tape *tape, weft_var x, int64_t from, int64_t W, int64_t K, int64_t r)
{
    const weft_tensor shape = weft_shape(tape, x);
    const int64_t C = shape.rank == 2 ? shape.dim[1] : 1;
    const weft_var heads =
        weft_reshape(tape, weft_slice(tape, x, 0, from, from + W), WEFT_DIMS(W / K / r, r, K * C));
    return weft_reshape(tape, weft_mean(tape, heads, 1, false), shape.rank,
                        shape.rank == 2 ? (int64_t[]){ W / r, C } : (int64_t[]){ W / r });
}

/* in_proj_weight or in_proj_bias: queries as they are, keys and values pooled. */
static weft_status pool_projection(weft_tape *tape, const weft_layer_config *from, int64_t r,
                                   const weft_tensor *old, const weft_tensor *pooled)
{
    const int64_t D = from->D, K = D / from->heads, V = weft_layer_v_width(from),
                  W = weft_layer_kv_width(from) - V, Kv = V / (W / K);
    weft_tape_reset(tape);
    const weft_var x = weft_constant(tape, old->rank, old->dim, old->real);
    const weft_var parts[] = { weft_slice(tape, x, 0, 0, D), pool(tape, x, D, W, K, r),
                               pool(tape, x, D + W, V, Kv, r) };
    const weft_tensor y = weft_value(tape, weft_concat(tape, 3, parts, 0));
    if (!y.data) return weft_error(weft_tape_status(tape), "%s", weft_tape_message(tape));
    if (!weft_same_shape(&y, pooled))
        return weft_error(WEFT_ERR_SHAPE, "the models differ in more than heads of keys");
    memcpy(pooled->real, y.real, (size_t)weft_size(&y) * sizeof *y.real);
    return WEFT_OK;
}

static weft_status take(weft_tape *tape, const weft_layer_config *config, int64_t r,
                        const weft_params *from, weft_params *to, int i)
{
    const char *name = weft_params_name(to, i);
    const int at = weft_params_find(from, name);
    if (at < 0)
        return weft_error(WEFT_ERR_SHAPE, "%s: the model whose heads are grouped has none", name);
    const weft_tensor x = weft_params_value(from, at), y = weft_params_value(to, i);
    if (strstr(name, ".in_proj_")) return pool_projection(tape, config, r, &x, &y);
    if (!weft_same_shape(&x, &y))
        return weft_error(WEFT_ERR_SHAPE, "%s: the models differ in more than heads of keys", name);
    memcpy(y.real, x.real, (size_t)weft_size(&x) * sizeof *x.real);
    return WEFT_OK;
}

weft_status weft_transformer_group_heads(const weft_transformer *from, weft_transformer *to)
{
    const weft_layer_config *a = &from->config.layer, *b = &to->config.layer;
    const int64_t G = weft_layer_kv_width(a), fewer = weft_layer_kv_width(b);
    if (a->D != b->D || a->heads != b->heads || G % fewer != 0)
        return weft_error(WEFT_ERR_SHAPE,
                          "%lld channels of keys and values cannot be pooled into %lld",
                          (long long)G, (long long)fewer);
    weft_params *const params = to->tgt_embed.params;
    weft_tape *tape = weft_tape_new(WEFT_NO_GRAD);
    weft_status status = tape ? WEFT_OK : WEFT_ERR_MEMORY;
    for (int i = 0; i < weft_params_count(params) && status == WEFT_OK; i++)
        status = take(tape, a, G / fewer, from->tgt_embed.params, params, i);
    weft_params_changed(params);
    weft_tape_free(tape);
    return status;
}
