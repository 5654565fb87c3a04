/* encoder.c - one layer of the encoder, or of a decoder-only model (then causal):
 *
 *     post-norm   x = norm1(x + self_attn(x)),    x = norm2(x + feed_forward(x))
 *     pre-norm    x = x + self_attn(norm1(x)),    x = x + feed_forward(norm2(x))
 *
 * (Vaswani et al. 2017, section 3.1; pre-norm: Xiong et al. 2020.) */
#include "layers/layers_internal.h"

weft_status weft_encoder_layer_init(weft_encoder_layer *layer, weft_params *params,
                                    const char *prefix, const weft_layer_config *config)
{
    weft_status status = weft_layer_config_check(config, prefix);
    if (status != WEFT_OK) return status;
    *layer = (weft_encoder_layer){ .config = *config };
    char linear1[WEFT_NAME_BYTES], linear2[WEFT_NAME_BYTES], norm1[WEFT_NAME_BYTES],
        norm2[WEFT_NAME_BYTES];
    if ((status = weft_join_name(linear1, prefix, "linear1")) != WEFT_OK ||
        (status = weft_join_name(linear2, prefix, "linear2")) != WEFT_OK ||
        (status = weft_join_name(norm1, prefix, "norm1")) != WEFT_OK ||
        (status = weft_join_name(norm2, prefix, "norm2")) != WEFT_OK)
        return status;
    const int64_t D = config->D, F = config->F;
    if ((status = weft_mixer_init(&layer->self_attn, &layer->recurrent, params, prefix, config)) !=
            WEFT_OK ||
        (status = weft_linear_layer_init(&layer->linear1, params, linear1, D, F, true,
                                         config->init)) != WEFT_OK ||
        (status = weft_linear_layer_init(&layer->linear2, params, linear2, F, D, true,
                                         config->init)) != WEFT_OK ||
        (status = weft_norm_layer_init(&layer->norm1, params, norm1, D, config->norm)) != WEFT_OK)
        return status;
    return weft_norm_layer_init(&layer->norm2, params, norm2, D, config->norm);
}

/* With `step`, x is the next token of each sentence; else all tokens. */
static weft_var run(const weft_encoder_layer *layer, weft_tape *tape, weft_var x,
                    const weft_packed *packed, bool causal, weft_var *step, weft_var step_offsets)
{
    const weft_layer_config *config = &layer->config;
    weft_stream s = { x, x };
    if (config->pre_norm) s.x = weft_norm_layer_apply(&layer->norm1, tape, x);

    weft_var y = weft_mixer_apply(&layer->self_attn, &layer->recurrent, config, tape, s.x, packed,
                                  causal, step, step_offsets);
    s = weft_join(config, &layer->norm1, &layer->norm2, tape, s, y, packed->rows);

    y = weft_feedforward(&layer->linear1, &layer->linear2, config, tape, s.x, packed->rows);
    return weft_join(config, &layer->norm2, NULL, tape, s, y, packed->rows).stream;
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
