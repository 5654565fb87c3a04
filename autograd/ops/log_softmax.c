/**
 * weft_log_softmax - logarithm of the softmax over the last dimension.
 *
 *     y_k = x_k - max x - ln sum_j exp(x_j - max x)
 *
 * @param x  [.., C], at least one dimension; elements may be -inf (masked)
 * @return   the same shape; a row that is all -inf stays -inf
 *
 * Gradient  dx = dy - exp(y) sum_k dy_k; dy for a row that is all -inf
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
    const weft_real max = row_max(C, x);
    const double sum = row_exp(C, x, max, y);
    const double log_sum = sum == 0 ? 0 : log(sum), top = sum == 0 ? 0 : (double)max;
    for (int64_t k = 0; k < C; k++) y[k] = (weft_real)(((double)x[k] - top) - log_sum);
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
    const weft_var dy = r->dout[0], sum = weft_sum(t, dy, -1, true);
    r->din[0] = weft_sub(t, dy, weft_mul(t, weft_exp(t, r->out[0]), sum));
}

static weft_var sample(weft_tape *t, int i)
{
    weft_var x;
    switch (i) {
    case 0: return weft_log_softmax(t, weft_sample_normal(t, WEFT_DIMS(3, 4)));
    case 1: return weft_log_softmax(t, weft_sample_normal(t, WEFT_DIMS(2, 3, 5)));
    case 2: /* one element: 0, whatever it is */
        weft_sample_zero_gradient(t);
        return weft_log_softmax(t, weft_sample_normal(t, WEFT_DIMS(1)));
    case 3: return weft_log_softmax(t, weft_sample_normal(t, WEFT_DIMS(37)));
    case 4: return weft_log_softmax(t, weft_sample_strided(t, WEFT_DIMS(4, 5)));
    case 5: return weft_log_softmax(t, weft_sample_strided(t, WEFT_DIMS(2, 2, 3)));
    case 6:
        x = weft_sample_normal(t, WEFT_DIMS(3, 3));
        return weft_mul(t, x, weft_log_softmax(t, x));
    case 7: return weft_log_softmax(t, weft_sample_uniform(t, 998, 1002, WEFT_DIMS(2, 5)));
    case 8: return weft_log_softmax(t, weft_sample_uniform(t, -1002, -998, WEFT_DIMS(2, 5)));
    case 9: /* entropy */
        x = weft_sample_normal(t, WEFT_DIMS(2, 6));
        return weft_sum(t, weft_mul(t, weft_softmax(t, x), weft_log_softmax(t, x)), -1, false);
    default: return WEFT_NIL;
    }
}

static weft_var misuse(weft_tape *t, int i)
{
    return i == 2 ? weft_log_softmax(t, weft_scalar(t, 1))
                  : weft_misuse_unary(t, i, weft_log_softmax);
}

const weft_op weft_op_log_softmax = { .name = "log_softmax",
                                      .inputs = "x",
                                      .n_in = 1,
                                      .strided = 1,
                                      .infer = infer,
                                      .forward = forward,
                                      .vjp = vjp,
                                      .sample = sample,
                                      .misuse = misuse };

weft_var weft_log_softmax(weft_tape *tape, weft_var x)
{
    return weft_apply1(tape, &weft_op_log_softmax, 1, &x, NULL, 0);
}
