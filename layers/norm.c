/* norm.c - LayerNorm (Ba et al. 2016) and RMSNorm (Zhang & Sennrich 2019), alone or with the residual
 * in front. */
#include "layers/layers_internal.h"

weft_status weft_norm_layer_init(weft_norm_layer *layer, weft_params *params, const char *prefix,
                                 int64_t D, weft_norm_spec spec)
{
    *layer = (weft_norm_layer){ .spec = spec };
    weft_status status = weft_add_param(params, prefix, "weight", WEFT_DIMS(D),
                                        (weft_init){ WEFT_INIT_ONES, 0, 0 }, &layer->gain);
    if (status == WEFT_OK && spec.kind == WEFT_LAYER_NORM)
        status = weft_add_param(params, prefix, "bias", WEFT_DIMS(D),
                                (weft_init){ WEFT_INIT_ZEROS, 0, 0 }, &layer->bias);
    return status;
}

weft_var weft_norm_layer_apply_residual(const weft_norm_layer *layer, weft_tape *tape,
                                        weft_var residual, weft_var x, double dropout,
                                        weft_var rows, weft_var *sum)
{
    const weft_var bias = weft_param_is_none(layer->bias) ? WEFT_NIL : weft_use(tape, layer->bias);
    return weft_add_norm(tape, residual, x, weft_use(tape, layer->gain), bias,
                         &(weft_add_norm_spec){ .norm = layer->spec, .dropout = { dropout, rows } },
                         sum);
}

weft_var weft_norm_layer_apply(const weft_norm_layer *layer, weft_tape *tape, weft_var x)
{
    return weft_norm_layer_apply_residual(layer, tape, WEFT_NIL, x, 0, WEFT_NIL, NULL);
}
