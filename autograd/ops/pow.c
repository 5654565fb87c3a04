/**
 * weft_pow - elementwise power with a constant exponent.
 *
 *     y = x^p
 *
 * @param x         any shape; x < 0 gives NaN unless p is a whole number, x = 0 gives inf for p < 0;
 *                  0^0 = 1 (C's pow)
 * @param exponent  p, any number
 * @return          the same shape
 *
 * Gradient         dx = p dy x^(p-1), so inf at x = 0 for p < 1; none at all for p = 0
 */
#include "autograd/ops_internal.h"

#include "core/kernel.h"

#include <tgmath.h>

WEFT_KERNEL static void kernel(int64_t n, const weft_real *x, weft_real *y, const void *attr)
{
    const weft_real p = (weft_real) * (const double *)attr;
    if (p == 2) /* far the commonest; exact, and it vectorises */
        for (int64_t k = 0; k < n; k++) y[k] = x[k] * x[k];
    else
        for (int64_t k = 0; k < n; k++) y[k] = pow(x[k], p);
}

static void forward(const weft_call *c) { weft_map_unary(c, kernel); }

static void vjp(weft_rule *r)
{
    const double p = *(const double *)r->attr;
    if (p == 0) return; /* a constant: no x^-1 that would make 0 times inf of it */
    const weft_var slope =
        p == 1 ? r->dout[0] : weft_mul(r->tape, r->dout[0], weft_pow(r->tape, r->in[0], p - 1));
    r->din[0] = weft_scale(r->tape, slope, p);
}

static weft_var root(weft_tape *t, weft_var x) { return weft_pow(t, x, 1.5); }

static weft_var sample(weft_tape *t, int i)
{
    switch (i) {
    case 10: return weft_pow(t, weft_sample_normal(t, WEFT_DIMS(2, 5)), 2);
    case 11: return weft_pow(t, weft_sample_normal(t, WEFT_DIMS(2, 5)), 3);
    case 12: return weft_pow(t, weft_sample_uniform(t, -2, -0.5, WEFT_DIMS(6)), -1);
    case 13: return weft_pow(t, weft_sample_uniform(t, 0.5, 2, WEFT_DIMS(6)), -0.5);
    case 14: return weft_pow(t, weft_sample_normal(t, WEFT_DIMS(3)), 1);
    case 15:
        weft_sample_zero_gradient(t);
        return weft_pow(t, weft_sample_normal(t, WEFT_DIMS(3)), 0);
    case 16: return weft_pow(t, weft_sample_uniform(t, 1e2, 1e3, WEFT_DIMS(6)), 0.25);
    default: return weft_sample_unary(t, i, root, 0.2, 3);
    }
}

static weft_var misuse(weft_tape *t, int i) { return weft_misuse_unary(t, i, root); }

const weft_op weft_op_pow = { .name = "pow",
                              .inputs = "x",
                              .n_in = 1,
                              .strided = 1,
                              .infer = weft_infer_unary,
                              .forward = forward,
                              .vjp = vjp,
                              .sample = sample,
                              .misuse = misuse };

weft_var weft_pow(weft_tape *tape, weft_var x, double exponent)
{
    return weft_apply1(tape, &weft_op_pow, 1, &x, &exponent, sizeof exponent);
}
