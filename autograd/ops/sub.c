/**
 * weft_sub - elementwise difference with NumPy broadcasting.
 *
 *     y = a - b
 *
 * @param a, b  shapes that broadcast
 * @return      the broadcast shape
 *
 * Gradient     da = dy, db = -dy, each summed over the dimensions along which it was broadcast
 * Errors       WEFT_ERR_SHAPE  the shapes do not broadcast
 */
#include "autograd/ops_internal.h"

#include "core/kernel.h"

WEFT_KERNEL static void kernel(int64_t n, const weft_real *a, int64_t sa, const weft_real *b,
                               int64_t sb, weft_real *y)
{
    if (sa && sb)
        for (int64_t k = 0; k < n; k++) y[k] = a[k] - b[k];
    else
        for (int64_t k = 0; k < n; k++) y[k] = a[k * sa] - b[k * sb];
}

static void forward(const weft_call *c) { weft_map_binary(c, kernel); }

static void vjp(weft_rule *r)
{
    if (r->wants[0]) r->din[0] = weft_sum_like(r->tape, r->dout[0], r->in[0]);
    if (r->wants[1]) r->din[1] = weft_neg(r->tape, weft_sum_like(r->tape, r->dout[0], r->in[1]));
}

static weft_var sample(weft_tape *t, int i) { return weft_sample_binary(t, i, weft_sub, -2, 2); }

static weft_var misuse(weft_tape *t, int i) { return weft_misuse_binary(t, i, weft_sub); }

const weft_op weft_op_sub = { .name = "sub",
                              .inputs = "a b",
                              .n_in = 2,
                              .strided = 3,
                              .infer = weft_infer_binary,
                              .forward = forward,
                              .vjp = vjp,
                              .sample = sample,
                              .misuse = misuse };

weft_var weft_sub(weft_tape *tape, weft_var a, weft_var b)
{
    return weft_apply1(tape, &weft_op_sub, 2, (weft_var[]){ a, b }, NULL, 0);
}
