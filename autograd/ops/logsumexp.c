/**
 * weft_logsumexp - logarithm of the sum of exponentials over the last dimension.
 *
 *     y = max x + ln sum_k exp(x_k - max x)
 *
 * @param x     [.., C], at least one dimension; elements may be -inf
 * @param keep  leave the last dimension with size 1
 * @return      [..], or [.., 1]; a row that is all -inf (or empty) gives -inf
 *
 * Gradient     dx = dy softmax(x); 0 for a row that is all -inf
 * Errors       WEFT_ERR_SHAPE  a scalar
 * Numbers      the sum of a row in double, in eight chains
 */
#include "autograd/ops_internal.h"
#include "autograd/rows_internal.h"

#include <string.h>

static bool infer(weft_call *c)
{
    const weft_tensor *x = &c->in[0];
    const bool keep = *(const bool *)c->attr;
    if (x->rank == 0) return weft_fail(c, WEFT_ERR_SHAPE, "a scalar has no last dimension");
    int64_t dim[WEFT_MAX_RANK];
    memcpy(dim, x->dim, sizeof dim);
    dim[x->rank - 1] = 1;
    return weft_out(c, 0, WEFT_REAL, keep ? x->rank : x->rank - 1, dim);
}

enum { CHUNK = 512 }; /* exponentials on the stack; only their sum is wanted */

WEFT_KERNEL static weft_real row(int64_t C, const weft_real *x)
{
    const weft_real max = row_max(C, x);
    weft_real exponentials[CHUNK];
    double sum = 0;
    for (int64_t k = 0; k < C; k += CHUNK)
        sum += row_exp(C - k < CHUNK ? C - k : CHUNK, x + k, max, exponentials);
    return (weft_real)(sum == 0 ? -INFINITY : log(sum) + (double)max);
}

static void forward(const weft_call *c)
{
    const weft_tensor *x = &c->in[0], *y = &c->out[0];
    const int64_t R = weft_rows(x), C = weft_cols(x);
#pragma omp parallel for schedule(static) num_threads(weft_team(R, 16 * R * C))
    for (int64_t r = 0; r < R; r++) y->real[r] = row(C, x->real + r * x->ld);
}

static void vjp(weft_rule *r)
{
    weft_tape *t = r->tape;
    const weft_tensor x = weft_shape(t, r->in[0]);
    int64_t dim[WEFT_MAX_RANK];
    memcpy(dim, x.dim, sizeof dim);
    dim[x.rank - 1] = 1;
    r->din[0] = weft_mul(t, weft_softmax(t, r->in[0]), weft_reshape(t, r->dout[0], x.rank, dim));
}

static weft_var sample(weft_tape *t, int i)
{
    weft_var x;
    switch (i) {
    case 0: return weft_logsumexp(t, weft_sample_normal(t, WEFT_DIMS(3, 4)), false);
    case 1: return weft_logsumexp(t, weft_sample_normal(t, WEFT_DIMS(2, 3, 5)), true);
    case 2: return weft_logsumexp(t, weft_sample_normal(t, WEFT_DIMS(1)), false);
    case 3: return weft_logsumexp(t, weft_sample_normal(t, WEFT_DIMS(37)), false);
    case 4: return weft_logsumexp(t, weft_sample_strided(t, WEFT_DIMS(4, 5)), true);
    case 5: return weft_logsumexp(t, weft_sample_strided(t, WEFT_DIMS(2, 2, 3)), false);
    case 6:
        x = weft_sample_normal(t, WEFT_DIMS(3, 3));
        return weft_mul(t, x, weft_logsumexp(t, x, true));
    case 7: return weft_logsumexp(t, weft_sample_uniform(t, 998, 1002, WEFT_DIMS(2, 5)), false);
    case 8: return weft_logsumexp(t, weft_sample_uniform(t, -1002, -998, WEFT_DIMS(2, 5)), false);
    case 9: return weft_logsumexp(t, weft_sample_normal(t, WEFT_DIMS(2, 600)), false);
    default: return WEFT_NIL;
    }
}

static weft_var kept(weft_tape *t, weft_var x) { return weft_logsumexp(t, x, true); }

static weft_var misuse(weft_tape *t, int i)
{
    return i == 2 ? kept(t, weft_scalar(t, 1)) : weft_misuse_unary(t, i, kept);
}

const weft_op weft_op_logsumexp = { .name = "logsumexp",
                                    .inputs = "x",
                                    .n_in = 1,
                                    .strided = 1,
                                    .infer = infer,
                                    .forward = forward,
                                    .vjp = vjp,
                                    .sample = sample,
                                    .misuse = misuse };

weft_var weft_logsumexp(weft_tape *tape, weft_var x, bool keep)
{
    return weft_apply1(tape, &weft_op_logsumexp, 1, &x, &keep, sizeof keep);
}
