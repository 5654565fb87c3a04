/* adam.c - one pass over memory for Adam's update: clip, both moments, weight decay, parameter, and
 * the gradient set back to 0.
 *
 * Kingma & Ba 2015, algorithm 1; decoupled weight decay: Loshchilov & Hutter 2019, algorithm 2. The
 * bias corrections are the same for all elements and go into two constants:
 *
 *     p = (1 - lr decay) p - rate m / (sqrt(v) spread + eps)
 *     rate = lr / (1 - beta1^t),   spread = 1 / sqrt(1 - beta2^t) */
#include "optim/optim_internal.h"

#include "core/kernel.h"

#include <math.h>
#include <tgmath.h>

typedef struct constants {
    weft_real factor, beta1, rest1, beta2, rest2, keep, rate, spread, eps;
} constants;

WEFT_KERNEL static void adam_piece(const constants *constant, int64_t n, weft_real *restrict p,
                                   weft_real *restrict g, weft_real *restrict m,
                                   weft_real *restrict v)
{
    const constants c = *constant;
    for (int64_t i = 0; i < n; i++) {
        const weft_real gi = g[i] * c.factor;
        const weft_real mi = c.beta1 * m[i] + c.rest1 * gi;
        const weft_real vi = c.beta2 * v[i] + c.rest2 * (gi * gi);
        p[i] = c.keep * p[i] - c.rate * mi / (sqrt(vi) * c.spread + c.eps);
        m[i] = mi;
        v[i] = vi;
        g[i] = 0;
    }
}

void weft_adam_sweep(const weft_optimiser_spec *spec, int64_t t, double lr, double factor,
                     int64_t n, weft_real *p, weft_real *g, weft_real *m, weft_real *v)
{
    const constants c = {
        .factor = (weft_real)factor,
        .beta1 = (weft_real)spec->beta1,
        .rest1 = (weft_real)(1 - spec->beta1),
        .beta2 = (weft_real)spec->beta2,
        .rest2 = (weft_real)(1 - spec->beta2),
        .keep = (weft_real)(1 - lr * spec->weight_decay),
        .rate = (weft_real)(lr / (1 - pow(spec->beta1, (double)t))),
        .spread = (weft_real)(1 / sqrt(1 - pow(spec->beta2, (double)t))),
        .eps = (weft_real)spec->eps,
    };
    const int64_t n_pieces = weft_sweep_pieces(n);
#pragma omp parallel for schedule(static) num_threads(weft_team(n_pieces, 16 * n))
    for (int64_t i = 0; i < n_pieces; i++) {
        const int64_t begin = i * WEFT_SWEEP, left = n - begin;
        adam_piece(&c, left < WEFT_SWEEP ? left : WEFT_SWEEP, p + begin, g + begin, m + begin,
                   v + begin);
    }
}
