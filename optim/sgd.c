/* sgd.c - stochastic gradient descent with momentum, in PyTorch's form, where the learning rate
 * multiplies the whole momentum:  u = momentum u + (g + decay p);  p = p - lr u. */
#include "optim/optim_internal.h"

#include "core/kernel.h"

typedef struct constants {
    weft_real factor, momentum, decay, lr;
} constants;

WEFT_KERNEL static void momentum_piece(const constants *constant, int64_t n, weft_real *restrict p,
                                       weft_real *restrict g, weft_real *restrict u)
{
    const constants c = *constant;
    for (int64_t i = 0; i < n; i++) {
        u[i] = c.momentum * u[i] + (g[i] * c.factor + c.decay * p[i]);
        p[i] -= c.lr * u[i];
        g[i] = 0;
    }
}

WEFT_KERNEL static void plain_piece(const constants *constant, int64_t n, weft_real *restrict p,
                                    weft_real *restrict g)
{
    const constants c = *constant;
    for (int64_t i = 0; i < n; i++) {
        p[i] -= c.lr * (g[i] * c.factor + c.decay * p[i]);
        g[i] = 0;
    }
}

void weft_sgd_sweep(const weft_optimiser_spec *spec, double lr, double factor, int64_t n,
                    weft_real *p, weft_real *g, weft_real *momentum)
{
    const constants c = { (weft_real)factor, (weft_real)spec->momentum,
                          (weft_real)spec->weight_decay, (weft_real)lr };
    const int64_t n_pieces = weft_sweep_pieces(n);
#pragma omp parallel for schedule(static) num_threads(weft_team(n_pieces, 8 * n))
    for (int64_t i = 0; i < n_pieces; i++) {
        const int64_t begin = i * WEFT_SWEEP, left = n - begin;
        const int64_t size = left < WEFT_SWEEP ? left : WEFT_SWEEP;
        if (momentum)
            momentum_piece(&c, size, p + begin, g + begin, momentum + begin);
        else
            plain_piece(&c, size, p + begin, g + begin);
    }
}
