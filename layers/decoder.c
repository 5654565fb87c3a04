/* decoder.c - one layer of the decoder: masked self-attention, attention to the encoder's output, and
 * feed-forward, each in its residual (Vaswani et al. 2017, section 3.1; residual.c). */
#include "layers/layers_internal.h"

weft_status weft_decoder_layer_init(weft_decoder_layer *layer, weft_params *params,
                                    const char *prefix, const weft_layer_config *config)
{
    weft_status status = weft_layer_config_check(config, prefix);
    if (status != WEFT_OK) return status;
    *layer = (weft_decoder_layer){ .config = *config };
    /* Projected keys are for the encoder: they cannot be causal. */
    weft_layer_config own = *config, cross = *config;
    if (own.approximation.kind == WEFT_BY_PROJECTION) own.approximation.kind = WEFT_EXACT;
    cross.approximation.kind = WEFT_EXACT;
    own.exact = weft_exact_of_decoder(&config->exact);
    cross.exact = weft_exact_of_memory(&config->exact);
    char multihead_attn[WEFT_NAME_BYTES];
    if ((status = weft_join_name(multihead_attn, prefix, "multihead_attn")) != WEFT_OK ||
        (status = weft_mixer_init(&layer->self_attn, &layer->recurrent, params, prefix, &own)) !=
            WEFT_OK ||
        (status = weft_attention_layer_init(&layer->multihead_attn, params, multihead_attn,
                                            &cross)) != WEFT_OK ||
        (status = weft_feedforward_init(&layer->feedforward, params, prefix, config)) != WEFT_OK)
        return status;
    for (int i = 0; i < 3 && status == WEFT_OK; i++)
        status = weft_residual_init(&layer->residual[i], params, prefix, i + 1, i == 0, config);
    return status;
}

/* With `step`, x is the next token of each sentence; else all tokens of the target. */
static weft_var run(const weft_decoder_layer *layer, weft_tape *tape, weft_var x,
                    const weft_packed *packed, weft_var memory_kv, weft_var memory_offsets,
                    weft_var groups, weft_var *step, weft_var step_offsets)
{
    weft_packed queries = *packed;
    queries.offsets = groups;
    const weft_layer_config *config = &layer->config;
    const weft_residual *residual = layer->residual;
    weft_stream s = weft_stream_of(config, &residual[0], tape, x);

    weft_var y = weft_mixer_apply(&layer->self_attn, &layer->recurrent, config, tape, s.x, packed,
                                  true, step, step_offsets);
    s = weft_join(config, &residual[0], &residual[1], tape, s, y, packed->rows);

    weft_scope_push(tape, "multihead_attn");
    y = weft_attention_layer_cross(&layer->multihead_attn, tape, s.x, &queries, memory_kv,
                                   memory_offsets);
    weft_scope_pop(tape);
    s = weft_join(config, &residual[1], &residual[2], tape, s, y, packed->rows);

    y = weft_feedforward_apply(&layer->feedforward, config, tape, s.x, packed->rows);
    return weft_join(config, &residual[2], NULL, tape, s, y, packed->rows).stream;
}

weft_var weft_decoder_layer_apply(const weft_decoder_layer *layer, weft_tape *tape, weft_var x,
                                  const weft_packed *packed, weft_var memory,
                                  const weft_packed *memory_packed)
{
    weft_scope_push(tape, "multihead_attn");
    const weft_var kv = weft_attention_layer_memory(&layer->multihead_attn, tape, memory);
    weft_scope_pop(tape);
    return run(layer, tape, x, packed, kv, memory_packed->offsets, packed->offsets, NULL, WEFT_NIL);
}

weft_var weft_decoder_layer_step(const weft_decoder_layer *layer, weft_tape *tape, weft_var x,
                                 const weft_packed *packed, weft_var *past, weft_var past_offsets,
                                 weft_var memory_kv, weft_var memory_offsets, weft_var groups)
{
    return run(layer, tape, x, packed, memory_kv, memory_offsets, groups, past, past_offsets);
}
