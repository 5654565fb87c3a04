/* residual.c - a sub-layer f in its residual, in one of five forms:
 *
 *     post      x = norm(x + f(x))                 Vaswani et al. 2017, section 3.1
 *     pre       x = x + f(norm(x))                 Xiong et al. 2020
 *     hybrid    x = x + norm(f(norm(x))) for self-attention, the others pre: Ramapuram et al. 2024
 *     sandwich  x = x + norm(f(norm(x)))           Ding et al. 2021
 *     deep      x = norm(alpha x + f(x))           DeepNorm: Wang et al. 2022
 *
 * each with f(x) times a learned gain for each channel if wanted (LayerScale: Touvron et al. 2021). */
#include "layers/layers_internal.h"

#include <stdio.h>

static bool sums_first(const weft_layer_config *config)
{
    return config->place == WEFT_POST_NORM || config->place == WEFT_DEEP_NORM;
}

weft_status weft_residual_init(weft_residual *residual, weft_params *params, const char *prefix,
                               int number, bool self_attention, const weft_layer_config *config)
{
    char norm[32], out_norm[32], gain[32], name[WEFT_NAME_BYTES];
    const int64_t D = config->D;
    *residual = (weft_residual){ 0 };
    residual->norms_output = config->place == WEFT_SANDWICH_NORM ||
                             (config->place == WEFT_HYBRID_NORM && self_attention);
    snprintf(norm, sizeof norm, "norm%d", number);
    snprintf(out_norm, sizeof out_norm, "norm%d_out", number);
    snprintf(gain, sizeof gain, "ls%d", number);
    weft_status status = weft_join_name(name, prefix, norm);
    if (status == WEFT_OK)
        status =
            weft_norm_layer_init(&residual->norm, params, name, D, config->norm, config->one_gain);
    if (status == WEFT_OK && residual->norms_output) {
        status = weft_join_name(name, prefix, out_norm);
        if (status == WEFT_OK)
            status = weft_norm_layer_init(&residual->out_norm, params, name, D, config->norm,
                                          config->one_gain);
    }
    if (status == WEFT_OK && config->layer_scale > 0) {
        status = weft_join_name(name, prefix, gain);
        if (status == WEFT_OK)
            status = weft_add_param(params, name, "gamma", WEFT_DIMS(D),
                                    (weft_init){ WEFT_INIT_ONES, config->layer_scale, 0 },
                                    &residual->gamma);
    }
    return status;
}

weft_stream weft_stream_of(const weft_layer_config *config, const weft_residual *first,
                           weft_tape *tape, weft_var x)
{
    return (weft_stream){ sums_first(config) ? x : weft_norm_layer_apply(&first->norm, tape, x),
                          x };
}

weft_stream weft_join(const weft_layer_config *config, const weft_residual *residual,
                      const weft_residual *next, weft_tape *tape, weft_stream s, weft_var y,
                      weft_var rows)
{
    const double p = weft_training_dropout(tape, config->dropout);
    if (residual->norms_output) y = weft_norm_layer_apply(&residual->out_norm, tape, y);
    if (!weft_param_is_none(residual->gamma))
        y = weft_mul(tape, y, weft_use(tape, residual->gamma));
    if (sums_first(config)) {
        const weft_var kept =
            config->alpha > 0 ? weft_scale(tape, s.stream, config->alpha) : s.stream;
        const weft_var x =
            weft_norm_layer_apply_residual(&residual->norm, tape, kept, y, p, rows, NULL);
        return (weft_stream){ x, x };
    }
    weft_stream out;
    if (next) {
        out.x =
            weft_norm_layer_apply_residual(&next->norm, tape, s.stream, y, p, rows, &out.stream);
        return out;
    }
    const weft_var kept = weft_dropout(tape, y, &(weft_dropout_spec){ p, rows });
    out.x = out.stream = weft_add(tape, s.stream, kept);
    return out;
}
