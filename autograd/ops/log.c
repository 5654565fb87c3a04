/**
 * weft_log - elementwise natural logarithm.
 *
 *     y = ln x
 *
 * @param x  any shape; 0 gives -inf, a negative element NaN
 * @return   the same shape
 *
 * Gradient  dx = dy / x
 */
#include "autograd/ops_internal.h"

#include "core/vecmath.h"

WEFT_KERNEL static void kernel(int64_t n, const weft_real *x, weft_real *y, const void *attr)
{
    (void)attr;
    for (int64_t k = 0; k < n; k++) y[k] = real_log(x[k]);
}

static void forward(const weft_call *c) { weft_map_unary(c, kernel); }

static void vjp(weft_rule *r) { r->din[0] = weft_div(r->tape, r->dout[0], r->in[0]); }

static weft_var sample(weft_tape *t, int i)
{
    if (i == 10) return weft_log(t, weft_sample_uniform(t, 1e2, 1e3, WEFT_DIMS(6)));
    if (i == 11) return weft_log(t, weft_exp(t, weft_sample_normal(t, WEFT_DIMS(2, 3))));
    return weft_sample_unary(t, i, weft_log, 0.2, 3);
}

static weft_var misuse(weft_tape *t, int i) { return weft_misuse_unary(t, i, weft_log); }

const weft_op weft_op_log = { .name = "log",
                              .inputs = "x",
                              .n_in = 1,
                              .strided = 1,
                              .infer = weft_infer_unary,
                              .forward = forward,
                              .vjp = vjp,
                              .sample = sample,
                              .misuse = misuse };

weft_var weft_log(weft_tape *tape, weft_var x)
{
    return weft_apply1(tape, &weft_op_log, 1, &x, NULL, 0);
}
