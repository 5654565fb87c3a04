/* decoder.c - one layer of the decoder: masked self-attention, attention to the encoder's output, and
 * feed-forward, each in its residual as in encoder.c (Vaswani et al. 2017, section 3.1). */
#include "layers/layers_internal.h"

weft_status weft_decoder_layer_init(weft_decoder_layer *layer, weft_params *params,
                                    const char *prefix, const weft_layer_config *config)
{
    weft_status status = weft_layer_config_check(config, prefix);
    if (status != WEFT_OK) return status;
    *layer = (weft_decoder_layer){ .config = *config };
    static const char *const name[] = { "multihead_attn", "linear1", "linear2",
                                        "norm1",          "norm2",   "norm3" };
    enum { CROSS, LINEAR1, LINEAR2, NORM1, NORM2, NORM3, N_NAMES };
    char full[N_NAMES][WEFT_NAME_BYTES];
    for (int i = 0; i < N_NAMES; i++)
        if ((status = weft_join_name(full[i], prefix, name[i])) != WEFT_OK) return status;

    const int64_t D = config->D, F = config->F;
    if ((status = weft_mixer_init(&layer->self_attn, &layer->recurrent, params, prefix, config)) !=
            WEFT_OK ||
        (status = weft_attention_layer_init(&layer->multihead_attn, params, full[CROSS], config)) !=
            WEFT_OK ||
        (status = weft_linear_layer_init(&layer->linear1, params, full[LINEAR1], D, F, true,
                                         config->init)) != WEFT_OK ||
        (status = weft_linear_layer_init(&layer->linear2, params, full[LINEAR2], F, D, true,
                                         config->init)) != WEFT_OK ||
        (status = weft_norm_layer_init(&layer->norm1, params, full[NORM1], D, config->norm)) !=
            WEFT_OK ||
        (status = weft_norm_layer_init(&layer->norm2, params, full[NORM2], D, config->norm)) !=
            WEFT_OK)
        return status;
    return weft_norm_layer_init(&layer->norm3, params, full[NORM3], D, config->norm);
}

/* With `step`, x is the next token of each sentence; else all tokens of the target. */
static weft_var run(const weft_decoder_layer *layer, weft_tape *tape, weft_var x,
                    const weft_packed *packed, weft_var memory_kv, weft_var memory_offsets,
                    weft_var groups, weft_var *step, weft_var step_offsets)
{
    weft_packed queries = *packed;
    queries.offsets = groups;
    const weft_layer_config *config = &layer->config;
    weft_stream s = { x, x };
    if (config->pre_norm) s.x = weft_norm_layer_apply(&layer->norm1, tape, x);

    weft_var y = weft_mixer_apply(&layer->self_attn, &layer->recurrent, config, tape, s.x, packed,
                                  true, step, step_offsets);
    s = weft_join(config, &layer->norm1, &layer->norm2, tape, s, y, packed->rows);

    weft_scope_push(tape, "multihead_attn");
    y = weft_attention_layer_cross(&layer->multihead_attn, tape, s.x, &queries, memory_kv,
                                   memory_offsets);
    weft_scope_pop(tape);
    s = weft_join(config, &layer->norm2, &layer->norm3, tape, s, y, packed->rows);

    y = weft_feedforward(&layer->linear1, &layer->linear2, config, tape, s.x, packed->rows);
    return weft_join(config, &layer->norm3, NULL, tape, s, y, packed->rows).stream;
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
