/**
 * weft_neg - elementwise negation.
 *
 *     y = -x
 *
 * @param x  any shape
 * @return   the same shape
 *
 * Gradient  dx = -dy
 */
#include "autograd/ops_internal.h"

#include "core/kernel.h"

WEFT_KERNEL static void kernel(int64_t n, const weft_real *x, weft_real *y, const void *attr)
{
    (void)attr;
    for (int64_t k = 0; k < n; k++) y[k] = -x[k];
}

static void forward(const weft_call *c) { weft_map_unary(c, kernel); }

static void vjp(weft_rule *r) { r->din[0] = weft_neg(r->tape, r->dout[0]); }

static weft_var sample(weft_tape *t, int i)
{
    if (i == 10) return weft_neg(t, weft_sample_uniform(t, -1e6, 1e6, WEFT_DIMS(6)));
    return weft_sample_unary(t, i, weft_neg, -2, 2);
}

static weft_var misuse(weft_tape *t, int i) { return weft_misuse_unary(t, i, weft_neg); }

const weft_op weft_op_neg = { .name = "neg",
                              .inputs = "x",
                              .n_in = 1,
                              .strided = 1,
                              .infer = weft_infer_unary,
                              .forward = forward,
                              .vjp = vjp,
                              .sample = sample,
                              .misuse = misuse };

weft_var weft_neg(weft_tape *tape, weft_var x)
{
    return weft_apply1(tape, &weft_op_neg, 1, &x, NULL, 0);
}
