/**
 * weft_scale - a constant times x.
 *
 *     y = factor x
 *
 * @param x       any shape
 * @param factor  any number; it is rounded to weft_real
 * @return        the same shape
 *
 * Gradient       dx = factor dy
 */
#include "autograd/ops_internal.h"

#include "core/kernel.h"

WEFT_KERNEL static void kernel(int64_t n, const weft_real *x, weft_real *y, const void *attr)
{
    const weft_real factor = (weft_real) * (const double *)attr;
    for (int64_t k = 0; k < n; k++) y[k] = factor * x[k];
}

static void forward(const weft_call *c) { weft_map_unary(c, kernel); }

static void vjp(weft_rule *r)
{
    r->din[0] = weft_scale(r->tape, r->dout[0], *(const double *)r->attr);
}

static weft_var third(weft_tape *t, weft_var x) { return weft_scale(t, x, -1.0 / 3); }

static weft_var sample(weft_tape *t, int i)
{
    if (i == 10) return weft_scale(t, weft_sample_normal(t, WEFT_DIMS(6)), 1e4);
    if (i == 11) {
        weft_sample_zero_gradient(t);
        return weft_scale(t, weft_sample_normal(t, WEFT_DIMS(2, 3)), 0);
    }
    return weft_sample_unary(t, i, third, -2, 2);
}

static weft_var misuse(weft_tape *t, int i) { return weft_misuse_unary(t, i, third); }

const weft_op weft_op_scale = { .name = "scale",
                                .inputs = "x",
                                .n_in = 1,
                                .strided = 1,
                                .infer = weft_infer_unary,
                                .forward = forward,
                                .vjp = vjp,
                                .sample = sample,
                                .misuse = misuse };

weft_var weft_scale(weft_tape *tape, weft_var x, double factor)
{
    return weft_apply1(tape, &weft_op_scale, 1, &x, &factor, sizeof factor);
}
