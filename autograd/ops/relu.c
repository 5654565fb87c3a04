/**
 * weft_relu - elementwise rectifier.
 *
 *     y = max(x, 0)
 *
 * Its gradient at 0 is 0.
 *
 * @param x  any shape
 * @return   the same shape
 *
 * Gradient  dx = dy where x > 0, else 0
 */
#include "autograd/fused_internal.h"

static void kernel(int64_t n, const weft_real *x, weft_real *y, const void *attr)
{
    (void)attr;
    weft_activate(WEFT_RELU, n, x, y);
}

static void gradient(int64_t n, const weft_real *x, const weft_real *y, const weft_real *dy,
                     bool add, weft_real *dx, const void *attr)
{
    (void)attr;
    weft_activate_gradient(WEFT_RELU, n, x, y, dy, add, dx);
}

static void forward(const weft_call *c) { weft_map_unary(c, kernel); }
static void backward(const weft_call *c) { weft_map_unary_gradient(c, gradient); }

static void define(weft_rule *r)
{
    weft_tape *t = r->tape;
    const weft_var x = r->in[0];
    const weft_var zero = weft_scalar(t, 0);
    r->result[0] = weft_where(t, weft_greater(t, x, zero), x, zero);
}

static weft_var sample(weft_tape *t, int i)
{
    if (i == 10) return weft_relu(t, weft_sample_uniform(t, -6, 6, WEFT_DIMS(6)));
    return weft_sample_unary(t, i, weft_relu, -2, 2);
}

static weft_var misuse(weft_tape *t, int i) { return weft_misuse_unary(t, i, weft_relu); }

const weft_op weft_op_relu = { .name = "relu",
                               .inputs = "x",
                               .n_in = 1,
                               .strided = 1,
                               .infer = weft_infer_unary,
                               .forward = forward,
                               .backward = backward,
                               .define = define,
                               .sample = sample,
                               .misuse = misuse };

weft_var weft_relu(weft_tape *tape, weft_var x)
{
    return weft_apply1(tape, &weft_op_relu, 1, &x, NULL, 0);
}
