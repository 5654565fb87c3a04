/* encoder.c - one layer of the encoder, or of a decoder-only model (then causal): self-attention and
 * feed-forward, each in its residual (residual.c). */
#include "layers/layers_internal.h"

weft_status weft_encoder_layer_init(weft_encoder_layer *layer, weft_params *params,
                                    const char *prefix, const weft_layer_config *config)
{
    weft_status status = weft_layer_config_check(config, prefix);
    if (status != WEFT_OK) return status;
    *layer = (weft_encoder_layer){ .config = *config };
    if ((status = weft_mixer_init(&layer->self_attn, &layer->recurrent, params, prefix, config)) !=
            WEFT_OK ||
        (status = weft_feedforward_init(&layer->feedforward, params, prefix, config)) != WEFT_OK)
        return status;
    for (int i = 0; i < 2 && status == WEFT_OK; i++)
        status = weft_residual_init(&layer->residual[i], params, prefix, i + 1, i == 0, config);
    return status;
}

/* With `step`, x is the next token of each sentence; else all tokens. */
static weft_var run(const weft_encoder_layer *layer, weft_tape *tape, weft_var x,
                    const weft_packed *packed, bool causal, weft_var *step, weft_var step_offsets)
{
    const weft_layer_config *config = &layer->config;
    const weft_residual *residual = layer->residual;
    weft_stream s = weft_stream_of(config, &residual[0], tape, x);

    weft_var y = weft_mixer_apply(&layer->self_attn, &layer->recurrent, config, tape, s.x, packed,
                                  causal, step, step_offsets);
    s = weft_join(config, &residual[0], &residual[1], tape, s, y, packed->rows);

    y = weft_feedforward_apply(&layer->feedforward, config, tape, s.x, packed->rows);
    return weft_join(config, &residual[1], NULL, tape, s, y, packed->rows).stream;
}

weft_var weft_encoder_layer_apply(const weft_encoder_layer *layer, weft_tape *tape, weft_var x,
                                  const weft_packed *packed, bool causal)
{
    return run(layer, tape, x, packed, causal, NULL, WEFT_NIL);
}

weft_var weft_encoder_layer_step(const weft_encoder_layer *layer, weft_tape *tape, weft_var x,
                                 const weft_packed *packed, weft_var *past, weft_var past_offsets)
{
    return run(layer, tape, x, packed, true, past, past_offsets);
}
