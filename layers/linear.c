/* linear.c - y = f(x W^T + b). */
#include "layers/layers_internal.h"

weft_status weft_linear_layer_init(weft_linear_layer *layer, weft_params *params,
                                   const char *prefix, int64_t K, int64_t C, bool bias,
                                   weft_init init)
{
    *layer = (weft_linear_layer){ 0 };
    weft_status status =
        weft_add_param(params, prefix, "weight", WEFT_DIMS(C, K), init, &layer->weight);
    if (status == WEFT_OK && bias)
        status = weft_add_param(params, prefix, "bias", WEFT_DIMS(C),
                                (weft_init){ WEFT_INIT_ZEROS, 0, 0 }, &layer->bias);
    return status;
}

static weft_var bias_of(const weft_linear_layer *layer, weft_tape *tape)
{
    return weft_param_is_none(layer->bias) ? WEFT_NIL : weft_use(tape, layer->bias);
}

weft_var weft_linear_layer_apply(const weft_linear_layer *layer, weft_tape *tape, weft_var x,
                                 weft_activation f)
{
    const weft_var bias = bias_of(layer, tape);
    return weft_linear(tape, x, weft_use(tape, layer->weight), bias, f);
}

weft_var weft_linear_layer_dropout(const weft_linear_layer *layer, weft_tape *tape, weft_var x,
                                   weft_activation f, const weft_dropout_spec *dropout)
{
    const weft_var bias = bias_of(layer, tape);
    return weft_linear_dropout(tape, x, weft_use(tape, layer->weight), bias, f, dropout);
}
