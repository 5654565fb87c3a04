/* ema.c - the running average of parameters. */
#include "optim/optim_internal.h"

#include "core/kernel.h"

WEFT_KERNEL static void mean_piece(weft_real share, int64_t n, const weft_real *restrict p,
                                   weft_real *restrict mean)
{
    for (int64_t i = 0; i < n; i++) mean[i] += share * (p[i] - mean[i]);
}

void weft_ema_update(weft_real *mean, weft_params *params, double decay, int64_t t)
{
    const double early = (1 + (double)t) / (10 + (double)t);
    const weft_real share = (weft_real)(1 - (decay < early ? decay : early));
    const weft_real *const p = weft_params_values(params);
    const int64_t n = weft_params_block_size(params), n_pieces = weft_sweep_pieces(n);
#pragma omp parallel for schedule(static) num_threads(weft_team(n_pieces, 4 * n))
    for (int64_t i = 0; i < n_pieces; i++) {
        const int64_t begin = i * WEFT_SWEEP, left = n - begin;
        mean_piece(share, left < WEFT_SWEEP ? left : WEFT_SWEEP, p + begin, mean + begin);
    }
}
