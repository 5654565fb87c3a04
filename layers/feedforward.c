/* feedforward.c - the position-wise feed-forward sub-layer. */
#include "layers/layers_internal.h"

weft_var weft_feedforward(const weft_linear_layer *linear1, const weft_linear_layer *linear2,
                          const weft_layer_config *config, weft_tape *tape, weft_var x,
                          weft_var rows)
{
    const weft_var hidden = weft_linear_layer_apply(linear1, tape, x, config->activation);
    const double p = weft_training_dropout(tape, config->activation_dropout);
    const weft_var kept = weft_dropout(tape, hidden, &(weft_dropout_spec){ p, rows });
    return weft_linear_layer_apply(linear2, tape, kept, WEFT_IDENTITY);
}
