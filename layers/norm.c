/* norm.c - LayerNorm (Ba et al. 2016), RMSNorm (Zhang & Sennrich 2019) and ScaleNorm (Nguyen & Salazar
 * 2019), alone or with the residual in front.
 *
 * ScaleNorm, g x / |x| with one number g, is RMSNorm whose gains are all g / sqrt(D). */
#include "layers/layers_internal.h"

#include <math.h>

weft_status weft_norm_layer_init(weft_norm_layer *layer, weft_params *params, const char *prefix,
                                 int64_t D, weft_norm_spec spec, bool one_gain)
{
    if (one_gain && spec.kind != WEFT_RMS_NORM)
        return weft_error(WEFT_ERR_SHAPE, "%s: LayerNorm has a gain for each channel, not one",
                          prefix);
    *layer = (weft_norm_layer){ .D = D, .spec = spec, .one_gain = one_gain };
    const weft_init ones = { WEFT_INIT_ONES, one_gain ? sqrt((double)D) : 1, 0 };
    weft_status status =
        weft_add_param(params, prefix, "weight", WEFT_DIMS(one_gain ? 1 : D), ones, &layer->gain);
    if (status == WEFT_OK && spec.kind == WEFT_LAYER_NORM)
        status = weft_add_param(params, prefix, "bias", WEFT_DIMS(D),
                                (weft_init){ WEFT_INIT_ZEROS, 0, 0 }, &layer->bias);
    return status;
}

static weft_var gain_of(const weft_norm_layer *layer, weft_tape *tape)
{
    const weft_var gain = weft_use(tape, layer->gain);
    if (!layer->one_gain) return gain;
    return weft_expand(tape, weft_scale(tape, gain, 1 / sqrt((double)layer->D)),
                       WEFT_DIMS(layer->D));
}

weft_var weft_norm_layer_apply_residual(const weft_norm_layer *layer, weft_tape *tape,
                                        weft_var residual, weft_var x, double dropout,
                                        weft_var rows, weft_var *sum)
{
    const weft_var bias = weft_param_is_none(layer->bias) ? WEFT_NIL : weft_use(tape, layer->bias);
    return weft_add_norm(tape, residual, x, gain_of(layer, tape), bias,
                         &(weft_add_norm_spec){ .norm = layer->spec, .dropout = { dropout, rows } },
                         sum);
}

weft_var weft_norm_layer_apply(const weft_norm_layer *layer, weft_tape *tape, weft_var x)
{
    return weft_norm_layer_apply_residual(layer, tape, WEFT_NIL, x, 0, WEFT_NIL, NULL);
}
