/**
 * weft_softmax - softmax over the last dimension.
 *
 *     y_k = exp(x_k - max x) / sum_j exp(x_j - max x)
 *
 * @param x  [.., C], at least one dimension; elements may be -inf (masked)
 * @return   the same shape; a row that is all -inf gives 0, not NaN
 *
 * Gradient  dx = y (dy - sum_k dy_k y_k); 0 for a row that is all -inf
 * Errors    WEFT_ERR_SHAPE  a scalar
 * Numbers   the sum of a row in double, in eight chains
 */
#include "autograd/ops_internal.h"
#include "autograd/rows_internal.h"

static bool infer(weft_call *c)
{
    if (c->in[0].rank == 0) return weft_fail(c, WEFT_ERR_SHAPE, "a scalar has no last dimension");
    return weft_infer_unary(c);
}

WEFT_KERNEL static void row(int64_t C, const weft_real *x, weft_real *y)
{
    const double sum = row_exp(C, x, row_max(C, x), y);
    const weft_real scale = (weft_real)(sum == 0 ? 0 : 1 / sum);
    for (int64_t k = 0; k < C; k++) y[k] *= scale;
}

static void forward(const weft_call *c)
{
    const weft_tensor *x = &c->in[0], *y = &c->out[0];
    const int64_t R = weft_rows(y), C = weft_cols(y);
#pragma omp parallel for schedule(static) num_threads(weft_team(R, 16 * R * C))
    for (int64_t r = 0; r < R; r++) row(C, x->real + r * x->ld, y->real + r * C);
}

static void vjp(weft_rule *r)
{
    weft_tape *t = r->tape;
    const weft_var y = r->out[0], dy = r->dout[0];
    const weft_var mean = weft_sum(t, weft_mul(t, dy, y), -1, true);
    r->din[0] = weft_mul(t, y, weft_sub(t, dy, mean));
}

/* A row of -inf above a row of numbers, part of them masked. */
static weft_var masked(weft_tape *t)
{
    const weft_real low = (weft_real)-INFINITY;
    const weft_var x = weft_sample_normal(t, WEFT_DIMS(2, 3));
    const weft_real mask[6] = { low, low, low, 0, low, 0 };
    return weft_softmax(t, weft_add(t, x, weft_constant(t, WEFT_DIMS(2, 3), mask)));
}

static weft_var sample(weft_tape *t, int i)
{
    weft_var x;
    switch (i) {
    case 0: return weft_softmax(t, weft_sample_normal(t, WEFT_DIMS(3, 4)));
    case 1: return weft_softmax(t, weft_sample_normal(t, WEFT_DIMS(2, 3, 5)));
    case 2: /* one element: 1, whatever it is */
        weft_sample_zero_gradient(t);
        return weft_softmax(t, weft_sample_normal(t, WEFT_DIMS(1)));
    case 3: return weft_softmax(t, weft_sample_normal(t, WEFT_DIMS(37)));
    case 4: return weft_softmax(t, weft_sample_strided(t, WEFT_DIMS(4, 5)));
    case 5: return weft_softmax(t, weft_sample_strided(t, WEFT_DIMS(2, 2, 3)));
    case 6: x = weft_sample_normal(t, WEFT_DIMS(3, 3)); return weft_mul(t, x, weft_softmax(t, x));
    case 7: return weft_softmax(t, weft_sample_uniform(t, 998, 1002, WEFT_DIMS(2, 5)));
    case 8: return weft_softmax(t, weft_sample_uniform(t, -1002, -998, WEFT_DIMS(2, 5)));
    case 9: return masked(t);
    case 10: return weft_softmax(t, weft_softmax(t, weft_sample_normal(t, WEFT_DIMS(2, 4))));
    default: return WEFT_NIL;
    }
}

static weft_var misuse(weft_tape *t, int i)
{
    return i == 2 ? weft_softmax(t, weft_scalar(t, 1)) : weft_misuse_unary(t, i, weft_softmax);
}

const weft_op weft_op_softmax = { .name = "softmax",
                                  .inputs = "x",
                                  .n_in = 1,
                                  .strided = 1,
                                  .infer = infer,
                                  .forward = forward,
                                  .vjp = vjp,
                                  .sample = sample,
                                  .misuse = misuse };

weft_var weft_softmax(weft_tape *tape, weft_var x)
{
    return weft_apply1(tape, &weft_op_softmax, 1, &x, NULL, 0);
}
