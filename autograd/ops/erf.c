/**
 * weft_erf - elementwise error function.
 *
 *     y = 2 / sqrt(pi) times the integral of e^-u^2 from 0 to x
 *
 * @param x  any shape
 * @return   the same shape
 *
 * Gradient  dx = dy 2 / sqrt(pi) e^-x^2
 */
#include "autograd/ops_internal.h"

#include "core/vecmath.h"

WEFT_KERNEL static void kernel(int64_t n, const weft_real *x, weft_real *y, const void *attr)
{
    (void)attr;
    for (int64_t k = 0; k < n; k++) y[k] = real_erf(x[k]);
}

static void forward(const weft_call *c) { weft_map_unary(c, kernel); }

static void vjp(weft_rule *r)
{
    weft_tape *t = r->tape;
    const double slope = 1.12837916709551257390; /* 2 / sqrt(pi) */
    const weft_var bell = weft_exp(t, weft_neg(t, weft_mul(t, r->in[0], r->in[0])));
    r->din[0] = weft_mul(t, r->dout[0], weft_scale(t, bell, slope));
}

static weft_var sample(weft_tape *t, int i)
{
    if (i == 10) return weft_erf(t, weft_sample_uniform(t, -6, 6, WEFT_DIMS(6)));
    return weft_sample_unary(t, i, weft_erf, -2, 2);
}

static weft_var misuse(weft_tape *t, int i) { return weft_misuse_unary(t, i, weft_erf); }

const weft_op weft_op_erf = { .name = "erf",
                              .inputs = "x",
                              .n_in = 1,
                              .strided = 1,
                              .infer = weft_infer_unary,
                              .forward = forward,
                              .vjp = vjp,
                              .sample = sample,
                              .misuse = misuse };

weft_var weft_erf(weft_tape *tape, weft_var x)
{
    return weft_apply1(tape, &weft_op_erf, 1, &x, NULL, 0);
}
