/* recurrent.c - recurrent layers over packed sentences: what comes from the tokens is one product for
 * all of them, what comes from the state before is weft_recurrent. */
#include "layers/layers_internal.h"

#include "core/checked.h"

#include <math.h>

/* Parts of D that a cell's weights have. */
static int parts_of(weft_cell cell)
{
    return cell == WEFT_CELL_TANH ? 1 : cell == WEFT_CELL_LSTM ? 4 : 3;
}

/* b_f = 1, the second of the four parts i, f, g, o. */
static void open_forget_gate(const weft_recurrent_layer *layer)
{
    weft_params *params = layer->bias_ih.params;
    weft_real *bias = weft_params_value(params, layer->bias_ih.index).real;
    for (int64_t k = layer->D; k < 2 * layer->D; k++) bias[k] = 1;
    weft_params_changed(params);
}

weft_status weft_recurrent_layer_init(weft_recurrent_layer *layer, weft_params *params,
                                      const char *prefix, int64_t C, int64_t D, weft_cell cell)
{
    int64_t P_D;
    if (C < 1 || D < 1 || cell > WEFT_CELL_GRU_BEFORE)
        return weft_error(WEFT_ERR_RANGE, "%s: a recurrent layer from %lld to %lld, cell %d",
                          prefix, (long long)C, (long long)D, (int)cell);
    if (!weft_mul_i64(parts_of(cell), D, &P_D))
        return weft_error(WEFT_ERR_OVERFLOW, "%s: %d D is beyond 64 bits: D = %lld", prefix,
                          parts_of(cell), (long long)D);
    *layer = (weft_recurrent_layer){ .D = D, .cell = cell };
    const weft_init weights = { WEFT_INIT_UNIFORM, 1 / sqrt((double)D), 0 },
                    zeros = { WEFT_INIT_ZEROS, 0, 0 };
    weft_status status;
    if ((status = weft_add_param(params, prefix, "weight_ih_l0", WEFT_DIMS(P_D, C), weights,
                                 &layer->weight_ih)) != WEFT_OK ||
        (status = weft_add_param(params, prefix, "weight_hh_l0", WEFT_DIMS(P_D, D), weights,
                                 &layer->weight_hh)) != WEFT_OK ||
        (status = weft_add_param(params, prefix, "bias_ih_l0", WEFT_DIMS(P_D), zeros,
                                 &layer->bias_ih)) != WEFT_OK ||
        (status = weft_add_param(params, prefix, "bias_hh_l0", WEFT_DIMS(P_D), zeros,
                                 &layer->bias_hh)) != WEFT_OK)
        return status;
    if (cell == WEFT_CELL_LSTM) open_forget_gate(layer);
    return WEFT_OK;
}

/* The whole states [N, S] after each token. */
static weft_var run(const weft_recurrent_layer *layer, weft_tape *tape, weft_var x,
                    const weft_packed *packed, weft_var state)
{
    const weft_var in = weft_linear(tape, x, weft_use(tape, layer->weight_ih),
                                    weft_use(tape, layer->bias_ih), WEFT_IDENTITY);
    const weft_recurrent_spec spec = { .cell = layer->cell,
                                       .offsets = packed->offsets,
                                       .state = state };
    return weft_recurrent(tape, in, weft_use(tape, layer->weight_hh),
                          weft_use(tape, layer->bias_hh), &spec);
}

weft_var weft_recurrent_layer_apply(const weft_recurrent_layer *layer, weft_tape *tape, weft_var x,
                                    const weft_packed *packed)
{
    return weft_slice(tape, run(layer, tape, x, packed, WEFT_NIL), 1, 0, layer->D);
}

weft_var weft_recurrent_layer_step(const weft_recurrent_layer *layer, weft_tape *tape, weft_var x,
                                   const weft_packed *packed, weft_var *past)
{
    const int64_t B = packed->B;
    const weft_var before =
        weft_is_nil(*past) ? WEFT_NIL : weft_reshape(tape, *past, WEFT_DIMS(B, -1));
    const weft_var after = run(layer, tape, x, packed, before);
    *past = weft_reshape(tape, after, WEFT_DIMS(B, 1, -1));
    return weft_slice(tape, after, 1, 0, layer->D);
}

/* ---- in the place of self-attention ------------------------------------------------------------- */

int64_t weft_layer_past_rows(const weft_layer_config *config, int64_t t)
{
    const bool one = config->mixer == WEFT_MIX_RECURRENT || weft_approximation_keeps_sums(config);
    return one && t > 1 ? 1 : t;
}

int64_t weft_layer_past_width(const weft_layer_config *config)
{
    if (config->mixer != WEFT_MIX_RECURRENT) return weft_approximation_past_width(config);
    return config->cell == WEFT_CELL_LSTM ? 2 * config->D : config->D;
}

weft_status weft_mixer_init(weft_attention_layer *self_attn, weft_recurrent_layer *recurrent,
                            weft_params *params, const char *prefix,
                            const weft_layer_config *config)
{
    const bool attention = config->mixer == WEFT_MIX_ATTENTION;
    char name[WEFT_NAME_BYTES];
    const weft_status status = weft_join_name(name, prefix, attention ? "self_attn" : "recurrent");
    if (status != WEFT_OK) return status;
    return attention ? weft_attention_layer_init(self_attn, params, name, config)
                     : weft_recurrent_layer_init(recurrent, params, name, config->D, config->D,
                                                 config->cell);
}

weft_var weft_mixer_apply(const weft_attention_layer *self_attn,
                          const weft_recurrent_layer *recurrent, const weft_layer_config *config,
                          weft_tape *tape, weft_var x, const weft_packed *packed, bool causal,
                          weft_var *step, weft_var step_offsets)
{
    const bool attention = config->mixer == WEFT_MIX_ATTENTION;
    weft_var y;
    weft_scope_push(tape, attention ? "self_attn" : "recurrent");
    if (attention)
        y = step ? weft_attention_layer_step(self_attn, tape, x, packed, step, step_offsets)
                 : weft_attention_layer_self(self_attn, tape, x, packed, causal);
    else
        y = step ? weft_recurrent_layer_step(recurrent, tape, x, packed, step)
                 : weft_recurrent_layer_apply(recurrent, tape, x, packed);
    weft_scope_pop(tape);
    return y;
}
