/**
 * weft_gelu_tanh - elementwise GELU in its tanh form (Hendrycks & Gimpel 2016, section 2).
 *
 *     y = x (1 + tanh(u)) / 2,   u = sqrt(2 / pi) (x + 0.044715 x^3)
 *
 * @param x  any shape
 * @return   the same shape
 *
 * Gradient  dx = dy (1 + tanh(u) + x (1 - tanh(u)^2) du/dx) / 2
 */
#include "autograd/fused_internal.h"

static void kernel(int64_t n, const weft_real *x, weft_real *y, const void *attr)
{
    (void)attr;
    weft_activate(WEFT_GELU_TANH, n, x, y);
}

static void gradient(int64_t n, const weft_real *x, const weft_real *y, const weft_real *dy,
                     bool add, weft_real *dx, const void *attr)
{
    (void)attr;
    weft_activate_gradient(WEFT_GELU_TANH, n, x, y, dy, add, dx);
}

static void forward(const weft_call *c) { weft_map_unary(c, kernel); }
static void backward(const weft_call *c) { weft_map_unary_gradient(c, gradient); }

static void define(weft_rule *r)
{
    weft_tape *t = r->tape;
    const weft_var x = r->in[0];
    const weft_var cube = weft_mul(t, weft_mul(t, x, x), x);
    const weft_var u =
        weft_scale(t, weft_add(t, x, weft_scale(t, cube, 0.044715)), 0.79788456080286535588);
    r->result[0] =
        weft_mul(t, weft_scale(t, x, 0.5), weft_add(t, weft_tanh(t, u), weft_scalar(t, 1)));
}

static weft_var sample(weft_tape *t, int i)
{
    if (i == 10) return weft_gelu_tanh(t, weft_sample_uniform(t, -6, 6, WEFT_DIMS(6)));
    return weft_sample_unary(t, i, weft_gelu_tanh, -2, 2);
}

static weft_var misuse(weft_tape *t, int i) { return weft_misuse_unary(t, i, weft_gelu_tanh); }

const weft_op weft_op_gelu_tanh = { .name = "gelu_tanh",
                                    .inputs = "x",
                                    .n_in = 1,
                                    .strided = 1,
                                    .infer = weft_infer_unary,
                                    .forward = forward,
                                    .backward = backward,
                                    .define = define,
                                    .sample = sample,
                                    .misuse = misuse };

weft_var weft_gelu_tanh(weft_tape *tape, weft_var x)
{
    return weft_apply1(tape, &weft_op_gelu_tanh, 1, &x, NULL, 0);
}
