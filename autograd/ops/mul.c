/**
 * weft_mul - elementwise product with NumPy broadcasting.
 *
 *     y = a b
 *
 * @param a, b  shapes that broadcast
 * @return      the broadcast shape
 *
 * Gradient     da = dy b, db = dy a, each summed over the dimensions along which it was broadcast
 * Errors       WEFT_ERR_SHAPE  the shapes do not broadcast
 */
#include "autograd/ops_internal.h"

static void kernel(int64_t n, const weft_real *a, int64_t sa, const weft_real *b, int64_t sb,
                   weft_real *y)
{
    if (sa && sb)
        for (int64_t k = 0; k < n; k++) y[k] = a[k] * b[k];
    else
        for (int64_t k = 0; k < n; k++) y[k] = a[k * sa] * b[k * sb];
}

static void forward(const weft_call *c) { weft_map_binary(c, kernel); }

static void vjp(weft_rule *r)
{
    for (int i = 0; i < 2; i++)
        if (r->wants[i])
            r->din[i] =
                weft_sum_like(r->tape, weft_mul(r->tape, r->dout[0], r->in[1 - i]), r->in[i]);
}

static weft_var sample(weft_tape *t, int i)
{
    weft_var x;
    switch (i) {
    case 0:
        return weft_mul(t, weft_sample_normal(t, WEFT_DIMS(3, 4)),
                        weft_sample_normal(t, WEFT_DIMS(3, 4)));
    case 1: return weft_mul(t, weft_sample_normal(t, 0, NULL), weft_sample_normal(t, 0, NULL));
    case 2:
        return weft_mul(t, weft_sample_normal(t, WEFT_DIMS(2, 3, 4)),
                        weft_sample_normal(t, WEFT_DIMS(4)));
    case 3:
        return weft_mul(t, weft_sample_normal(t, WEFT_DIMS(5, 1)),
                        weft_sample_normal(t, WEFT_DIMS(1, 7)));
    case 4: x = weft_sample_normal(t, WEFT_DIMS(3, 5)); return weft_mul(t, x, x);
    case 5:
        return weft_mul(t, weft_sample_strided(t, WEFT_DIMS(4, 5)),
                        weft_sample_normal(t, WEFT_DIMS(4, 5)));
    case 6:
        return weft_mul(t, weft_sample_strided(t, WEFT_DIMS(2, 3, 5)),
                        weft_sample_strided(t, WEFT_DIMS(3, 5)));
    case 7:
        return weft_mul(t, weft_sample_normal(t, 0, NULL), weft_sample_normal(t, WEFT_DIMS(2, 3)));
    case 8:
        return weft_mul(t, weft_sample_uniform(t, -1e3, 1e3, WEFT_DIMS(6)),
                        weft_sample_normal(t, WEFT_DIMS(6)));
    case 9:
        return weft_mul(t, weft_sample_normal(t, WEFT_DIMS(2, 1, 3, 1)),
                        weft_sample_normal(t, WEFT_DIMS(4, 1, 5)));
    case 10:
        return weft_mul(t, weft_sample_normal(t, WEFT_DIMS(1)),
                        weft_sample_normal(t, WEFT_DIMS(9)));
    default: return WEFT_NIL;
    }
}

static weft_var misuse(weft_tape *t, int i)
{
    const weft_var x = weft_sample_normal(t, WEFT_DIMS(2, 3));
    switch (i) {
    case 0: return weft_mul(t, x, weft_sample_normal(t, WEFT_DIMS(3, 2)));
    case 1: return weft_mul(t, WEFT_NIL, x);
    case 2: return weft_mul(t, weft_sample_int(t, 0, 5, WEFT_DIMS(2, 3)), x);
    default: return WEFT_NIL;
    }
}

const weft_op weft_op_mul = { .name = "mul",
                              .inputs = "a b",
                              .n_in = 2,
                              .strided = 3,
                              .infer = weft_infer_binary,
                              .forward = forward,
                              .vjp = vjp,
                              .sample = sample,
                              .misuse = misuse };

weft_var weft_mul(weft_tape *tape, weft_var a, weft_var b)
{
    return weft_apply1(tape, &weft_op_mul, 2, (weft_var[]){ a, b }, NULL, 0);
}
