/* common.c - names, checks and initial values that encoder and decoder layers share. */
#include "layers/layers_internal.h"

#include <stdio.h>

static int64_t longest_of(const weft_tokens *tokens)
{
    int64_t longest = tokens->longest;
    if (longest > 0 || !tokens->offsets) return longest;
    for (int64_t b = 0; b < tokens->B; b++) {
        const int64_t n = tokens->offsets[b + 1] - tokens->offsets[b];
        if (n > longest) longest = n;
    }
    return longest;
}

weft_packed weft_packed_of(weft_tape *tape, const weft_tokens *tokens)
{
    const int64_t B = tokens->B, N = tokens->N;
    return (weft_packed){ .B = B,
                          .N = N,
                          .longest = longest_of(tokens),
                          .ids = weft_constant_int(tape, WEFT_DIMS(N), tokens->ids),
                          .offsets = weft_constant_int(tape, WEFT_DIMS(B + 1), tokens->offsets),
                          .rows = weft_constant_int(tape, WEFT_DIMS(N, 2), tokens->rows) };
}

weft_status weft_join_name(char buf[WEFT_NAME_BYTES], const char *prefix, const char *name)
{
    const int n = snprintf(buf, WEFT_NAME_BYTES, "%s%s%s", prefix, *prefix ? "." : "", name);
    return n < WEFT_NAME_BYTES
               ? WEFT_OK
               : weft_error(WEFT_ERR_RANGE, "the name %.40s... has %d bytes; %d are allowed", buf,
                            n, WEFT_NAME_BYTES - 1);
}

weft_status weft_add_param(weft_params *params, const char *prefix, const char *name, int rank,
                           const int64_t dim[], weft_init init, weft_param *out)
{
    char full[WEFT_NAME_BYTES];
    const weft_status status = weft_join_name(full, prefix, name);
    return status == WEFT_OK ? weft_params_add(params, full, rank, dim, init, out) : status;
}

weft_init weft_scaled_init(const weft_layer_config *config)
{
    weft_init init = config->init;
    if (config->beta > 0) init.scale = (init.scale == 0 ? 1 : init.scale) * config->beta;
    return init;
}

double weft_training_dropout(const weft_tape *tape, double p)
{
    return weft_tape_flags(tape) & WEFT_NO_GRAD ? 0 : p;
}

enum { MOST_VALUE_WIDTH = 1 << 30 }; /* times heads, beside D, within 64 bits */

weft_status weft_layer_config_check(const weft_layer_config *config, const char *what)
{
    if (config->D < 1 || config->F < 1 || config->heads < 1)
        return weft_error(WEFT_ERR_RANGE, "%s: D = %lld, F = %lld and heads = %d must be positive",
                          what, (long long)config->D, (long long)config->F, config->heads);
    if (config->D % config->heads != 0)
        return weft_error(WEFT_ERR_SHAPE, "%s: D = %lld does not divide into %d heads", what,
                          (long long)config->D, config->heads);
    if (config->kv_heads < 0 || (config->kv_heads > 0 && config->heads % config->kv_heads != 0))
        return weft_error(WEFT_ERR_SHAPE, "%s: %d heads do not divide among %d of keys and values",
                          what, config->heads, config->kv_heads);
    if (config->value_width < 0 || config->value_width > MOST_VALUE_WIDTH)
        return weft_error(WEFT_ERR_RANGE, "%s: heads with values %lld wide", what,
                          (long long)config->value_width);
    if (!(config->layer_scale >= 0) || !(config->alpha >= 0) || !(config->beta >= 0))
        return weft_error(WEFT_ERR_RANGE, "%s: layer_scale, alpha and beta must not be negative",
                          what);
    if (config->beta > 0 && config->init_stacked)
        return weft_error(WEFT_ERR_RANGE,
                          "%s: DeepNorm draws values apart from queries and keys: not init_stacked",
                          what);
    const double p[] = { config->dropout, config->attention_dropout, config->activation_dropout };
    for (int i = 0; i < 3; i++)
        if (!(p[i] >= 0 && p[i] < 1))
            return weft_error(WEFT_ERR_RANGE, "%s: a dropout of %g is not in [0, 1)", what, p[i]);
    return WEFT_OK;
}
