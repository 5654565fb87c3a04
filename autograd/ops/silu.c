/**
 * weft_silu - elementwise x times the logistic function (Hendrycks & Gimpel 2016; also called swish).
 *
 *     y = x sigmoid(x)
 *
 * @param x  any shape
 * @return   the same shape
 *
 * Gradient  dx = dy s (1 + x (1 - s)),   s = sigmoid(x)
 */
#include "autograd/fused_internal.h"

static void kernel(int64_t n, const weft_real *x, weft_real *y, const void *attr)
{
    (void)attr;
    weft_activate(WEFT_SILU, n, x, y);
}

static void gradient(int64_t n, const weft_real *x, const weft_real *y, const weft_real *dy,
                     bool add, weft_real *dx, const void *attr)
{
    (void)attr;
    weft_activate_gradient(WEFT_SILU, n, x, y, dy, add, dx);
}

static void forward(const weft_call *c) { weft_map_unary(c, kernel); }
static void backward(const weft_call *c) { weft_map_unary_gradient(c, gradient); }

static void define(weft_rule *r)
{
    weft_tape *t = r->tape;
    const weft_var x = r->in[0];
    r->result[0] = weft_mul(t, x, weft_sigmoid(t, x));
}

static weft_var sample(weft_tape *t, int i)
{
    if (i == 10) return weft_silu(t, weft_sample_uniform(t, -6, 6, WEFT_DIMS(6)));
    return weft_sample_unary(t, i, weft_silu, -3, 3);
}

static weft_var misuse(weft_tape *t, int i) { return weft_misuse_unary(t, i, weft_silu); }

const weft_op weft_op_silu = { .name = "silu",
                               .inputs = "x",
                               .n_in = 1,
                               .strided = 1,
                               .infer = weft_infer_unary,
                               .forward = forward,
                               .backward = backward,
                               .define = define,
                               .sample = sample,
                               .misuse = misuse };

weft_var weft_silu(weft_tape *tape, weft_var x)
{
    return weft_apply1(tape, &weft_op_silu, 1, &x, NULL, 0);
}
