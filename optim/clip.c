/* clip.c - the global norm of the gradients, and how much of them clipping leaves
 * (Pascanu et al. 2013). */
#include "optim/optim_internal.h"

#include "core/kernel.h"

#include <math.h>

enum { CHAINS = 16 };

/* Sixteen chains, so that the sum vectorises and has one order on every processor. */
WEFT_KERNEL static double sum_of_squares(int64_t n, const weft_real *x)
{
    double s[CHAINS] = { 0 };
    int64_t i = 0;
    for (; i + CHAINS <= n; i += CHAINS)
        for (int c = 0; c < CHAINS; c++) s[c] += (double)x[i + c] * (double)x[i + c];
    for (int c = 0; i < n; i++, c++) s[c] += (double)x[i] * (double)x[i];
    double sum = 0;
    for (int c = 0; c < CHAINS; c++) sum += s[c];
    return sum;
}

double weft_sweep_norm(int64_t n, const weft_real *x, double *partial)
{
    const int64_t n_pieces = weft_sweep_pieces(n);
#pragma omp parallel for schedule(static) num_threads(weft_team(n_pieces, 2 * n))
    for (int64_t i = 0; i < n_pieces; i++) {
        const int64_t begin = i * WEFT_SWEEP, left = n - begin;
        partial[i] = sum_of_squares(left < WEFT_SWEEP ? left : WEFT_SWEEP, x + begin);
    }
    double sum = 0;
    for (int64_t i = 0; i < n_pieces; i++) sum += partial[i];
    return sqrt(sum);
}

/* PyTorch adds 1e-6 against a division by 0; we follow, since losses would differ by 1e-7. */
double weft_clip_factor(double norm, double clip)
{
    const double factor = clip / (norm + 1e-6);
    return clip > 0 && factor < 1 ? factor : 1;
}
