/**
 * weft_mse - mean squared error.
 *
 *     y = (1 / n) sum_k (a_k - b_k)^2
 *
 * @param a, b  one shape, n >= 1 elements
 * @return      a scalar
 *
 * Gradient     da = dy 2 (a - b) / n, db = -da
 * Errors       WEFT_ERR_SHAPE  shapes that differ (nothing is broadcast), no elements
 * Numbers      the sum in double, in fixed chunks
 */
#include "autograd/ops_internal.h"

enum { CHUNK = 4096 };

static int64_t n_chunks(const weft_call *c) { return (weft_size(&c->in[0]) + CHUNK - 1) / CHUNK; }

static bool infer(weft_call *c)
{
    if (!weft_same_shape(&c->in[0], &c->in[1]))
        return weft_fail(c, WEFT_ERR_SHAPE, "a and b must be of one shape");
    if (weft_size(&c->in[0]) == 0) return weft_fail(c, WEFT_ERR_SHAPE, "there are no elements");
    c->scratch_bytes = (size_t)n_chunks(c) * sizeof(double);
    return weft_out(c, 0, WEFT_REAL, 0, NULL);
}

static void forward(const weft_call *c)
{
    const weft_real *a = c->in[0].real, *b = c->in[1].real;
    const int64_t size = weft_size(&c->in[0]), n = n_chunks(c);
    double *parts = c->scratch, sum = 0;
#pragma omp parallel for schedule(static) num_threads(weft_team(n, 2 * size))
    for (int64_t i = 0; i < n; i++) {
        const int64_t to = (i + 1) * CHUNK < size ? (i + 1) * CHUNK : size;
        parts[i] = 0;
        for (int64_t k = i * CHUNK; k < to; k++) {
            const double d = (double)a[k] - (double)b[k];
            parts[i] += d * d;
        }
    }
    for (int64_t i = 0; i < n; i++) sum += parts[i];
    c->out[0].real[0] = (weft_real)(sum / (double)size);
}

static void backward(const weft_call *c)
{
    const weft_real *a = c->in[0].real, *b = c->in[1].real;
    const int64_t size = weft_size(&c->in[0]);
    const weft_real factor = (weft_real)(2 * (double)c->dout[0].real[0] / (double)size);
    for (int i = 0; i < 2; i++) {
        weft_real *dx = c->din[i].real;
        const weft_real signed_factor = i == 0 ? factor : -factor;
        if (!dx) continue;
#pragma omp parallel for schedule(static) num_threads(weft_team(size, 2 * size))
        for (int64_t k = 0; k < size; k++)
            dx[k] = (c->add[i] ? dx[k] : 0) + signed_factor * (a[k] - b[k]);
    }
}

static void define(weft_rule *r)
{
    const weft_var d = weft_sub(r->tape, r->in[0], r->in[1]);
    r->result[0] = weft_mean(r->tape, weft_mul(r->tape, d, d), WEFT_ALL, false);
}

static weft_var sample(weft_tape *t, int i)
{
    weft_var x;
    switch (i) {
    case 0:
    case 1:
    case 2:
    case 3: {
        static const int64_t dims[4][3] = { { 3, 4, 1 }, { 7, 1, 1 }, { 2, 3, 5 }, { 1, 1, 1 } };
        return weft_mse(t, weft_sample_normal(t, i + 1 < 3 ? i + 1 : 3, dims[i]),
                        weft_sample_normal(t, i + 1 < 3 ? i + 1 : 3, dims[i]));
    }
    case 4: return weft_mse(t, weft_sample_normal(t, 0, NULL), weft_sample_normal(t, 0, NULL));
    case 5:
        return weft_mse(t, weft_sample_strided(t, WEFT_DIMS(4, 5)),
                        weft_sample_normal(t, WEFT_DIMS(4, 5)));
    case 6: /* nothing to tell apart */
        weft_sample_zero_gradient(t);
        x = weft_sample_normal(t, WEFT_DIMS(5));
        return weft_mse(t, x, x);
    case 7: x = weft_sample_normal(t, WEFT_DIMS(3, 3)); return weft_mse(t, x, weft_mul(t, x, x));
    case 8:
        return weft_mse(t, weft_sample_uniform(t, -1e3, 1e3, WEFT_DIMS(9)),
                        weft_sample_normal(t, WEFT_DIMS(9)));
    case 9: /* more than a chunk */
        return weft_scale(t,
                          weft_mse(t, weft_sample_normal(t, WEFT_DIMS(4099)),
                                   weft_sample_normal(t, WEFT_DIMS(4099))),
                          1000);
    default: return WEFT_NIL;
    }
}

static weft_var misuse(weft_tape *t, int i)
{
    const weft_var x = weft_sample_normal(t, WEFT_DIMS(2, 3));
    switch (i) {
    case 0: return weft_mse(t, x, weft_sample_normal(t, WEFT_DIMS(3)));
    case 1: return weft_mse(t, x, WEFT_NIL);
    case 2:
        return weft_mse(t, weft_sample_normal(t, WEFT_DIMS(0)),
                        weft_sample_normal(t, WEFT_DIMS(0)));
    case 3: return weft_mse(t, x, weft_sample_int(t, 0, 3, WEFT_DIMS(2, 3)));
    default: return WEFT_NIL;
    }
}

const weft_op weft_op_mse = { .name = "mse",
                              .inputs = "a b",
                              .n_in = 2,
                              .infer = infer,
                              .forward = forward,
                              .backward = backward,
                              .define = define,
                              .sample = sample,
                              .misuse = misuse };

weft_var weft_mse(weft_tape *tape, weft_var a, weft_var b)
{
    return weft_apply1(tape, &weft_op_mse, 2, (weft_var[]){ a, b }, NULL, 0);
}
