/* position.c - where in its sentence a token stands. */
#include "layers/layers_internal.h"

weft_status weft_position_layer_init(weft_position_layer *layer, weft_params *params,
                                     const char *prefix, weft_position_kind kind, int64_t D,
                                     int64_t max_positions)
{
    *layer = (weft_position_layer){ .kind = kind, .D = D };
    if (kind == WEFT_POSITION_SINUSOIDAL) return WEFT_OK;
    if (max_positions < 1)
        return weft_error(WEFT_ERR_RANGE, "%s: learned positions need max_positions >= 1, not %lld",
                          prefix, (long long)max_positions);
    return weft_add_param(params, prefix, "weight", WEFT_DIMS(max_positions, D),
                          (weft_init){ WEFT_INIT_NORMAL, 0.02, 0 }, &layer->table);
}

weft_var weft_position_layer_apply(const weft_position_layer *layer, weft_tape *tape,
                                   const weft_packed *packed)
{
    if (layer->kind == WEFT_POSITION_SINUSOIDAL) return weft_sinusoid(tape, packed->rows, layer->D);
    const weft_var positions = weft_slice(tape, packed->rows, 1, 1, 2); /* [N, 1] */
    return weft_embedding(tape, weft_use(tape, layer->table),
                          weft_reshape(tape, positions, WEFT_DIMS(packed->N)), 1);
}
