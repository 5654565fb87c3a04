/**
 * weft_gelu - elementwise Gaussian error linear unit (Hendrycks & Gimpel 2016).
 *
 *     y = x Phi(x) = x (1 + erf(x / sqrt(2))) / 2
 *
 * @param x  any shape
 * @return   the same shape
 *
 * Gradient  dx = dy (Phi(x) + x phi(x))
 */
#include "autograd/fused_internal.h"

static void kernel(int64_t n, const weft_real *x, weft_real *y, const void *attr)
{
    (void)attr;
    weft_activate(WEFT_GELU, n, x, y);
}

static void gradient(int64_t n, const weft_real *x, const weft_real *y, const weft_real *dy,
                     bool add, weft_real *dx, const void *attr)
{
    (void)attr;
    weft_activate_gradient(WEFT_GELU, n, x, y, dy, add, dx);
}

static void forward(const weft_call *c) { weft_map_unary(c, kernel); }
static void backward(const weft_call *c) { weft_map_unary_gradient(c, gradient); }

static void define(weft_rule *r)
{
    weft_tape *t = r->tape;
    const weft_var x = r->in[0];
    const weft_var erf = weft_erf(t, weft_scale(t, x, 0.70710678118654752440));
    r->result[0] = weft_mul(t, weft_scale(t, x, 0.5), weft_add(t, erf, weft_scalar(t, 1)));
}

static weft_var sample(weft_tape *t, int i)
{
    if (i == 10) return weft_gelu(t, weft_sample_uniform(t, -6, 6, WEFT_DIMS(6)));
    return weft_sample_unary(t, i, weft_gelu, -2, 2);
}

static weft_var misuse(weft_tape *t, int i) { return weft_misuse_unary(t, i, weft_gelu); }

const weft_op weft_op_gelu = { .name = "gelu",
                               .inputs = "x",
                               .n_in = 1,
                               .strided = 1,
                               .infer = weft_infer_unary,
                               .forward = forward,
                               .backward = backward,
                               .define = define,
                               .sample = sample,
                               .misuse = misuse };

weft_var weft_gelu(weft_tape *tape, weft_var x)
{
    return weft_apply1(tape, &weft_op_gelu, 1, &x, NULL, 0);
}
