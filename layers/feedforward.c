/* feedforward.c - the position-wise feed-forward sub-layer, W2 dropout(f(W1 x + b1)) + b2 (Vaswani et al.
 * 2017, equation 2), or gated, W2 dropout(a f(b)) + b2 with [a, b] = W1 x + b1 (Shazeer 2020). */
#include "layers/layers_internal.h"

weft_status weft_feedforward_init(weft_feedforward *layer, weft_params *params, const char *prefix,
                                  const weft_layer_config *config)
{
    char linear1[WEFT_NAME_BYTES], linear2[WEFT_NAME_BYTES];
    weft_init init = weft_scaled_init(config);
    const int64_t D = config->D, F = config->F;
    weft_status status = weft_join_name(linear1, prefix, "linear1");
    if (status == WEFT_OK) status = weft_join_name(linear2, prefix, "linear2");
    init.blocks = config->gated ? 2 : 1;
    if (status == WEFT_OK)
        status = weft_linear_layer_init(&layer->linear1, params, linear1, D, init.blocks * F, true,
                                        init);
    init.blocks = 1;
    if (status == WEFT_OK)
        status = weft_linear_layer_init(&layer->linear2, params, linear2, F, D, true, init);
    return status;
}

weft_var weft_feedforward_apply(const weft_feedforward *layer, const weft_layer_config *config,
                                weft_tape *tape, weft_var x, weft_var rows)
{
    const weft_activation f = config->activation;
    const weft_dropout_spec dropout = { weft_training_dropout(tape, config->activation_dropout),
                                        rows };
    weft_var hidden;
    if (config->gated) {
        const weft_var ab = weft_linear_layer_apply(&layer->linear1, tape, x, WEFT_IDENTITY);
        hidden = weft_dropout(tape, weft_glu(tape, ab, f), &dropout);
    } else {
        hidden = weft_linear_layer_dropout(&layer->linear1, tape, x, f, &dropout);
    }
    return weft_linear_layer_apply(&layer->linear2, tape, hidden, WEFT_IDENTITY);
}
