/**
 * weft_sqrt - elementwise square root.
 *
 *     y = sqrt(x)
 *
 * @param x  any shape; a negative element gives NaN
 * @return   the same shape
 *
 * Gradient  dx = dy / (2 y) for x > 0, and 0 at x = 0, where the root has no derivative: so the
 *           norm of a vector of zeros, and Adam's update of a row never used, have gradient 0 and
 *           not NaN, to any order
 */
#include "autograd/ops_internal.h"

#include "core/kernel.h"
#include <tgmath.h>

WEFT_KERNEL static void kernel(int64_t n, const weft_real *x, weft_real *y, const void *attr)
{
    (void)attr;
    for (int64_t k = 0; k < n; k++) y[k] = sqrt(x[k]);
}

static void forward(const weft_call *c) { weft_map_unary(c, kernel); }

static void vjp(weft_rule *r)
{
    weft_tape *t = r->tape;
    const weft_var zero = weft_scalar(t, 0), positive = weft_greater(t, r->in[0], zero);
    const weft_var half = weft_where(t, positive, weft_scalar(t, 0.5), zero);
    const weft_var root = weft_where(t, positive, r->out[0], weft_scalar(t, 1));
    r->din[0] = weft_mul(t, r->dout[0], weft_div(t, half, root));
}

static weft_var sample(weft_tape *t, int i)
{
    if (i == 10) return weft_sqrt(t, weft_sample_uniform(t, 1e2, 1e4, WEFT_DIMS(6)));
    if (i == 11) { /* at 0 */
        weft_sample_zero_gradient(t);
        return weft_sqrt(t, weft_scale(t, weft_sample_normal(t, WEFT_DIMS(2, 3)), 0));
    }
    return weft_sample_unary(t, i, weft_sqrt, 0.2, 3);
}

static weft_var misuse(weft_tape *t, int i) { return weft_misuse_unary(t, i, weft_sqrt); }

const weft_op weft_op_sqrt = { .name = "sqrt",
                               .inputs = "x",
                               .n_in = 1,
                               .strided = 1,
                               .infer = weft_infer_unary,
                               .forward = forward,
                               .vjp = vjp,
                               .sample = sample,
                               .misuse = misuse };

weft_var weft_sqrt(weft_tape *tape, weft_var x)
{
    return weft_apply1(tape, &weft_op_sqrt, 1, &x, NULL, 0);
}
