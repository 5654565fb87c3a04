/**
 * weft_softplus - elementwise smooth rectifier (Dugas et al. 2001).
 *
 *     y = ln(1 + e^x) = max(x, 0) + ln(1 + e^-|x|)
 *
 * @param x  any shape; nothing overflows, and for large negative x the result is e^x to full precision
 * @return   the same shape
 *
 * Gradient  dx = dy / (1 + e^-x)
 */
#include "autograd/ops_internal.h"

#include "core/vecmath.h"

/* ln(1 + e) for 0 <= e <= 1. What rounding 1 + e loses counts by its share of the sum, the slope of
 * the logarithm; so a small e comes out whole. */
WEFT_INLINE weft_real log_1_plus(weft_real e)
{
    const weft_real sum = 1 + e, lost = e - (sum - 1);
    return real_log(sum) + lost / sum;
}

WEFT_KERNEL static void kernel(int64_t n, const weft_real *x, weft_real *y, const void *attr)
{
    (void)attr;
#pragma omp simd
    for (int64_t k = 0; k < n; k++) {
        const weft_real low = x[k] > 0 ? -x[k] : x[k]; /* -|x|; a NaN passes */
        y[k] = (x[k] > 0 ? x[k] : 0) + log_1_plus(real_exp(low));
    }
}

WEFT_KERNEL static void gradient(int64_t n, const weft_real *x, const weft_real *y,
                                 const weft_real *dy, bool add, weft_real *dx, const void *attr)
{
    (void)y;
    (void)attr;
#pragma omp simd
    for (int64_t k = 0; k < n; k++) dx[k] = (add ? dx[k] : 0) + dy[k] * real_sigmoid(x[k]);
}

static void forward(const weft_call *c) { weft_map_unary(c, kernel); }
static void backward(const weft_call *c) { weft_map_unary_gradient(c, gradient); }

/* Both halves have the same derivatives at 0, so that choosing by sign leaves no kink. */
static void define(weft_rule *r)
{
    weft_tape *t = r->tape;
    const weft_var x = r->in[0], zero = weft_scalar(t, 0), positive = weft_greater(t, x, zero);
    const weft_var low = weft_where(t, positive, weft_neg(t, x), x);
    const weft_var tail = weft_log(t, weft_add(t, weft_exp(t, low), weft_scalar(t, 1)));
    r->result[0] = weft_add(t, weft_where(t, positive, x, zero), tail);
}

static weft_var sample(weft_tape *t, int i)
{
    if (i == 10) return weft_softplus(t, weft_sample_uniform(t, -9, -5, WEFT_DIMS(6)));
    if (i == 11) return weft_softplus(t, weft_sample_uniform(t, 500, 1000, WEFT_DIMS(6)));
    if (i == 12) return weft_softplus(t, weft_sample_uniform(t, -1e-3, 1e-3, WEFT_DIMS(6)));
    return weft_sample_unary(t, i, weft_softplus, -4, 4);
}

static weft_var misuse(weft_tape *t, int i) { return weft_misuse_unary(t, i, weft_softplus); }

const weft_op weft_op_softplus = { .name = "softplus",
                                   .inputs = "x",
                                   .n_in = 1,
                                   .strided = 1,
                                   .infer = weft_infer_unary,
                                   .forward = forward,
                                   .backward = backward,
                                   .define = define,
                                   .sample = sample,
                                   .misuse = misuse };

weft_var weft_softplus(weft_tape *tape, weft_var x)
{
    return weft_apply1(tape, &weft_op_softplus, 1, &x, NULL, 0);
}
