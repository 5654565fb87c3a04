/* position.c - where in its sentence a token stands: an encoding that is added to embeddings, or angles
 * by which attention turns queries and keys. */
#include "layers/layers_internal.h"

weft_status weft_position_layer_init(weft_position_layer *layer, weft_params *params,
                                     const char *prefix, const weft_position_config *config)
{
    *layer = (weft_position_layer){ .config = *config };
    if (config->kind == WEFT_POSITION_ROTARY && config->width % 2 != 0)
        return weft_error(WEFT_ERR_SHAPE,
                          "%s: rotary positions turn pairs of channels: heads %lld wide are odd",
                          prefix, (long long)config->width);
    if (config->kind == WEFT_POSITION_SINUSOIDAL_HALF) layer->config.frequencies.halves = true;
    if (config->kind != WEFT_POSITION_LEARNED) return WEFT_OK;
    if (config->max_positions < 1)
        return weft_error(WEFT_ERR_RANGE, "%s: learned positions need max_positions >= 1, not %lld",
                          prefix, (long long)config->max_positions);
    return weft_add_param(params, prefix, "weight", WEFT_DIMS(config->max_positions, config->width),
                          (weft_init){ WEFT_INIT_NORMAL, 0.02, 0 }, &layer->table);
}

weft_var weft_position_layer_add(const weft_position_layer *layer, weft_tape *tape, weft_var x,
                                 const weft_packed *packed)
{
    const weft_position_config *config = &layer->config;
    switch (config->kind) {
    case WEFT_POSITION_SINUSOIDAL:
    case WEFT_POSITION_SINUSOIDAL_HALF:
        return weft_add(tape, x,
                        weft_sinusoid(tape, packed->rows, config->width, &config->frequencies));
    case WEFT_POSITION_LEARNED: {
        const weft_var positions = weft_slice(tape, packed->rows, 1, 1, 2); /* [N, 1] */
        const weft_var ids = weft_reshape(tape, positions, WEFT_DIMS(packed->N));
        return weft_add(tape, x, weft_embedding(tape, weft_use(tape, layer->table), ids, 1));
    }
    case WEFT_POSITION_ROTARY:
    case WEFT_POSITION_NONE: break;
    }
    return x;
}

weft_var weft_position_layer_angles(const weft_position_layer *layer, weft_tape *tape,
                                    weft_var rows)
{
    const weft_position_config *config = &layer->config;
    return config->kind == WEFT_POSITION_ROTARY
               ? weft_sinusoid(tape, rows, config->width, &config->frequencies)
               : WEFT_NIL;
}
