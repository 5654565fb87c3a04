/**
 * weft_sigmoid - elementwise logistic function.
 *
 *     y = 1 / (1 + e^-x)
 *
 * @param x  any shape
 * @return   the same shape
 *
 * Gradient  dx = dy y (1 - y)
 */
#include "autograd/ops_internal.h"

#include "core/vecmath.h"

WEFT_KERNEL static void kernel(int64_t n, const weft_real *x, weft_real *y, const void *attr)
{
    (void)attr;
    for (int64_t k = 0; k < n; k++) y[k] = real_sigmoid(x[k]);
}

static void forward(const weft_call *c) { weft_map_unary(c, kernel); }

static void vjp(weft_rule *r)
{
    weft_tape *t = r->tape;
    const weft_var y = r->out[0];
    r->din[0] = weft_mul(t, r->dout[0], weft_mul(t, y, weft_sub(t, weft_scalar(t, 1), y)));
}

static weft_var sample(weft_tape *t, int i)
{
    if (i == 10) return weft_sigmoid(t, weft_sample_uniform(t, -6, 6, WEFT_DIMS(6)));
    return weft_sample_unary(t, i, weft_sigmoid, -3, 3);
}

static weft_var misuse(weft_tape *t, int i) { return weft_misuse_unary(t, i, weft_sigmoid); }

const weft_op weft_op_sigmoid = { .name = "sigmoid",
                                  .inputs = "x",
                                  .n_in = 1,
                                  .strided = 1,
                                  .infer = weft_infer_unary,
                                  .forward = forward,
                                  .vjp = vjp,
                                  .sample = sample,
                                  .misuse = misuse };

weft_var weft_sigmoid(weft_tape *tape, weft_var x)
{
    return weft_apply1(tape, &weft_op_sigmoid, 1, &x, NULL, 0);
}
