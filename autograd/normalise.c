/* normalise.c - rows of LayerNorm (Ba et al. 2016, eq. 4) and RMSNorm (Zhang & Sennrich 2019, eq. 4):
 *
 *     y_c = gain_c xhat_c + bias_c,   xhat = (s - mean) rstd,   rstd = 1 / sqrt(var + eps)
 *
 * with mean = 0 and var = the mean square for RMSNorm. The gradient, with g = gain dy:
 *
 *     ds = rstd (g - mean(g) - xhat mean(g xhat))        (RMSNorm: without mean(g))
 *
 * Sums run in 16 chains, so that they vectorise and have the same order everywhere. */
#include "autograd/fused_internal.h"

#include "core/kernel.h"

#include <math.h>
#include <string.h>

enum { CHAINS = 16 };

WEFT_INLINE double chains_sum(const weft_real s[CHAINS])
{
    double sum = 0;
    for (int i = 0; i < CHAINS; i++) sum += (double)s[i];
    return sum;
}

WEFT_INLINE double row_sum(int64_t C, const weft_real *x)
{
    weft_real s[CHAINS] = { 0 };
    int64_t c = 0;
    for (; c + CHAINS <= C; c += CHAINS)
        for (int i = 0; i < CHAINS; i++) s[i] += x[c + i];
    for (int i = 0; c < C; c++, i++) s[i] += x[c];
    return chains_sum(s);
}

WEFT_INLINE double row_sum_of_squares(int64_t C, const weft_real *x, weft_real mean)
{
    weft_real s[CHAINS] = { 0 };
    int64_t c = 0;
    for (; c + CHAINS <= C; c += CHAINS)
        for (int i = 0; i < CHAINS; i++) s[i] += (x[c + i] - mean) * (x[c + i] - mean);
    for (int i = 0; c < C; c++, i++) s[i] += (x[c] - mean) * (x[c] - mean);
    return chains_sum(s);
}

WEFT_KERNEL static void normalise(bool rms, double eps, int64_t C, const weft_real *s,
                                  const weft_real *gain, const weft_real *bias, weft_real *y,
                                  weft_real *mean, weft_real *rstd)
{
    *mean = rms ? 0 : (weft_real)(row_sum(C, s) / (double)C);
    const double var = row_sum_of_squares(C, s, *mean) / (double)C;
    *rstd = (weft_real)(1 / sqrt(var + eps));
    const weft_real m = *mean, q = *rstd;
    if (bias)
        for (int64_t c = 0; c < C; c++) y[c] = gain[c] * ((s[c] - m) * q) + bias[c];
    else
        for (int64_t c = 0; c < C; c++) y[c] = gain[c] * ((s[c] - m) * q);
}

void weft_normalise_row(const weft_norm_spec *norm, int64_t C, const weft_real *s,
                        const weft_real *gain, const weft_real *bias, weft_real *y, weft_real *mean,
                        weft_real *rstd)
{
    normalise(norm->kind == WEFT_RMS_NORM, norm->eps, C, s, gain, bias, y, mean, rstd);
}

WEFT_KERNEL static void gradient(bool rms, int64_t C, const weft_real *s, const weft_real *gain,
                                 weft_real mean, weft_real rstd, const weft_real *dy, weft_real *ds,
                                 weft_real *dgain, weft_real *dbias)
{
    weft_real sum_g[CHAINS] = { 0 }, sum_gx[CHAINS] = { 0 };
    int64_t c = 0;
    for (; c + CHAINS <= C; c += CHAINS)
        for (int i = 0; i < CHAINS; i++) {
            const weft_real g = dy[c + i] * gain[c + i];
            sum_g[i] += g;
            sum_gx[i] += g * ((s[c + i] - mean) * rstd);
        }
    for (int i = 0; c < C; c++, i++) {
        const weft_real g = dy[c] * gain[c];
        sum_g[i] += g;
        sum_gx[i] += g * ((s[c] - mean) * rstd);
    }
    const weft_real mean_g = rms ? 0 : (weft_real)(chains_sum(sum_g) / (double)C);
    const weft_real mean_gx = (weft_real)(chains_sum(sum_gx) / (double)C);
    if (dgain)
        for (int64_t k = 0; k < C; k++) dgain[k] += dy[k] * ((s[k] - mean) * rstd);
    if (dbias)
        for (int64_t k = 0; k < C; k++) dbias[k] += dy[k];
    for (int64_t k = 0; k < C; k++)
        ds[k] = rstd * (dy[k] * gain[k] - mean_g - (s[k] - mean) * rstd * mean_gx);
}

void weft_normalise_row_gradient(const weft_norm_spec *norm, int64_t C, const weft_real *s,
                                 const weft_real *gain, weft_real mean, weft_real rstd,
                                 const weft_real *dy, weft_real *ds, weft_real *dgain,
                                 weft_real *dbias)
{
    gradient(norm->kind == WEFT_RMS_NORM, C, s, gain, mean, rstd, dy, ds, dgain, dbias);
}

void weft_sum_parts(int64_t n, int64_t stride, int64_t C, const weft_real *part, bool add,
                    weft_real *dx)
{
    enum { WIDTH = 64 }; /* columns side by side, so that each row of parts is read in one go */
    for (int64_t from = 0; from < C; from += WIDTH) {
        const int64_t width = C - from < WIDTH ? C - from : WIDTH;
        double sum[WIDTH] = { 0 };
        for (int64_t b = 0; b < n; b++)
            for (int64_t c = 0; c < width; c++) sum[c] += (double)part[b * stride + from + c];
        for (int64_t c = 0; c < width; c++)
            dx[from + c] = add ? dx[from + c] + (weft_real)sum[c] : (weft_real)sum[c];
    }
}

weft_var weft_norm_define(weft_tape *tape, weft_var s, weft_var gain, weft_var bias,
                          const weft_norm_spec *norm)
{
    const weft_var centred =
        norm->kind == WEFT_RMS_NORM ? s : weft_sub(tape, s, weft_mean(tape, s, -1, true));
    const weft_var var = weft_mean(tape, weft_mul(tape, centred, centred), -1, true);
    const weft_var root = weft_sqrt(tape, weft_add(tape, var, weft_scalar(tape, norm->eps)));
    const weft_var y = weft_mul(tape, weft_div(tape, centred, root), gain);
    return weft_is_nil(bias) ? y : weft_add(tape, y, bias);
}

bool weft_check_norm(const weft_call *c, const weft_norm_spec *norm, const weft_tensor *x,
                     const weft_tensor *gain, const weft_tensor *bias)
{
    const int64_t C = weft_cols(x);
    if (norm->eps <= 0 || !isfinite(norm->eps))
        return weft_fail(c, WEFT_ERR_RANGE, "eps must be positive, not %g", norm->eps);
    if (x->rank < 1 || C < 1) return weft_fail(c, WEFT_ERR_SHAPE, "needs rows [.., C] with C >= 1");
    if (gain->rank != 1 || gain->dim[0] != C)
        return weft_fail(c, WEFT_ERR_SHAPE, "gain must be [%lld], the last dim of x", (long long)C);
    if (bias->rank >= 0 && (bias->rank != 1 || bias->dim[0] != C))
        return weft_fail(c, WEFT_ERR_SHAPE, "bias must be [%lld], the last dim of x", (long long)C);
    return true;
}
