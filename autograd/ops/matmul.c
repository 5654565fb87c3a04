/**
 * weft_matmul - matrix product of the last two dimensions, the leading ones broadcast.
 *
 *     y[.., i, j] = sum_k op(a)[.., i, k] op(b)[.., k, j],    op = identity or transpose
 *
 * @param a        [.., M, K], or [.., K, M] where trans_a
 * @param b        [.., K, N], or [.., N, K] where trans_b
 * @return         [.., M, N]; transposes are read in place, nothing is copied
 *
 * Gradient        da = dy op(b)^T, db = op(a)^T dy (transposed back), summed over broadcast dimensions
 * Errors          WEFT_ERR_SHAPE  rank below 2, inner dimensions that differ, leading ones that do
 *                 not broadcast
 * Numbers         as weft_gemm
 */
#include "autograd/ops_internal.h"

#include <string.h>

typedef struct matmul_attr {
    bool trans_a, trans_b;
} matmul_attr;

/* The leading dimensions as a tensor of their own. */
static weft_tensor leading(const weft_tensor *x)
{
    weft_tensor t = { .rank = x->rank - 2 };
    memcpy(t.dim, x->dim, sizeof t.dim);
    t.ld = t.rank ? t.dim[t.rank - 1] : 1;
    return t;
}

static bool infer(weft_call *c)
{
    const matmul_attr *at = c->attr;
    const weft_tensor *a = &c->in[0], *b = &c->in[1];
    if (a->rank < 2 || b->rank < 2)
        return weft_fail(c, WEFT_ERR_SHAPE, "needs matrices: two dimensions at least");
    const int64_t M = a->dim[a->rank - (at->trans_a ? 1 : 2)],
                  K = a->dim[a->rank - (at->trans_a ? 2 : 1)];
    const int64_t K_b = b->dim[b->rank - (at->trans_b ? 1 : 2)],
                  N = b->dim[b->rank - (at->trans_b ? 2 : 1)];
    if (K != K_b)
        return weft_fail(c, WEFT_ERR_SHAPE, "%s dim of a (%lld) must equal %s dim of b (%lld)",
                         at->trans_a ? "second-to-last" : "last", (long long)K,
                         at->trans_b ? "last" : "second-to-last", (long long)K_b);
    const weft_tensor lead_a = leading(a), lead_b = leading(b);
    int rank;
    int64_t dim[WEFT_MAX_RANK];
    const weft_status status = weft_broadcast(&lead_a, &lead_b, &rank, dim);
    if (status != WEFT_OK) return weft_fail(c, status, "leading dimensions: %s", weft_message());
    dim[rank] = M;
    dim[rank + 1] = N;
    if (!weft_out(c, 0, WEFT_REAL, rank + 2, dim)) return false;
    const int64_t n_products = weft_size(&c->out[0]) / (M * N > 0 ? M * N : 1);
    c->scratch_bytes = (size_t)n_products * sizeof(weft_gemm_args);
    return true;
}

/* The matrix of operand x that belongs to the batch index `at` of the output. */
static const weft_real *matrix(const weft_tensor *x, const weft_tensor *y, int64_t at)
{
    int64_t offset = 0, stride = x->dim[x->rank - 2] * x->ld;
    for (int i = 3; i <= y->rank; i++) {
        const int64_t n = y->dim[y->rank - i], k = at % n;
        at /= n;
        if (i > x->rank) continue;
        if (x->dim[x->rank - i] > 1) offset += k * stride;
        stride *= x->dim[x->rank - i];
    }
    return x->real + offset;
}

static void forward(const weft_call *c)
{
    const matmul_attr *at = c->attr;
    const weft_tensor *a = &c->in[0], *b = &c->in[1], *y = &c->out[0];
    const int64_t M = y->dim[y->rank - 2], N = y->dim[y->rank - 1];
    const int64_t K = a->dim[a->rank - (at->trans_a ? 2 : 1)];
    weft_gemm_args *products = c->scratch;
    if (weft_size(y) == 0) return;
    const int64_t n = weft_size(y) / (M * N);
    for (int64_t i = 0; i < n; i++)
        products[i] = (weft_gemm_args){ .trans_a = at->trans_a,
                                        .trans_b = at->trans_b,
                                        .M = M,
                                        .N = N,
                                        .K = K,
                                        .alpha = 1,
                                        .A = matrix(a, y, i),
                                        .lda = a->ld,
                                        .B = matrix(b, y, i),
                                        .ldb = b->ld,
                                        .beta = 0,
                                        .C = y->real + i * M * N,
                                        .ldc = N };
    if (n == 1)
        weft_gemm(products);
    else
        weft_gemm_batch(n, products);
}

static void vjp(weft_rule *r)
{
    const matmul_attr *at = r->attr;
    weft_tape *t = r->tape;
    const weft_var a = r->in[0], b = r->in[1], dy = r->dout[0];
    if (r->wants[0]) {
        const weft_var da = at->trans_a ? weft_matmul_t(t, b, at->trans_b, dy, true)
                                        : weft_matmul_t(t, dy, false, b, !at->trans_b);
        r->din[0] = weft_sum_like(t, da, a);
    }
    if (r->wants[1]) {
        const weft_var db = at->trans_b ? weft_matmul_t(t, dy, true, a, at->trans_a)
                                        : weft_matmul_t(t, a, !at->trans_a, dy, false);
        r->din[1] = weft_sum_like(t, db, b);
    }
}

static weft_var sample(weft_tape *t, int i)
{
    weft_var x;
    switch (i) {
    case 0:
        return weft_matmul(t, weft_sample_normal(t, WEFT_DIMS(3, 4)),
                           weft_sample_normal(t, WEFT_DIMS(4, 5)));
    case 1:
        return weft_matmul_t(t, weft_sample_normal(t, WEFT_DIMS(4, 3)), true,
                             weft_sample_normal(t, WEFT_DIMS(4, 5)), false);
    case 2:
        return weft_matmul_t(t, weft_sample_normal(t, WEFT_DIMS(3, 4)), false,
                             weft_sample_normal(t, WEFT_DIMS(5, 4)), true);
    case 3:
        return weft_matmul_t(t, weft_sample_normal(t, WEFT_DIMS(4, 3)), true,
                             weft_sample_normal(t, WEFT_DIMS(5, 4)), true);
    case 4:
        return weft_matmul(t, weft_sample_normal(t, WEFT_DIMS(2, 3, 4)),
                           weft_sample_normal(t, WEFT_DIMS(2, 4, 2)));
    case 5:
        return weft_matmul(t, weft_sample_normal(t, WEFT_DIMS(2, 3, 4)),
                           weft_sample_normal(t, WEFT_DIMS(4, 2)));
    case 6:
        return weft_matmul_t(t, weft_sample_normal(t, WEFT_DIMS(3, 1, 2, 4)), false,
                             weft_sample_normal(t, WEFT_DIMS(2, 5, 4)), true);
    case 7:
        return weft_matmul(t, weft_sample_strided(t, WEFT_DIMS(3, 4)),
                           weft_sample_strided(t, WEFT_DIMS(4, 5)));
    case 8: x = weft_sample_normal(t, WEFT_DIMS(4, 4)); return weft_matmul(t, x, x);
    case 9: x = weft_sample_normal(t, WEFT_DIMS(3, 5)); return weft_matmul_t(t, x, false, x, true);
    case 10:
        return weft_matmul(t, weft_sample_normal(t, WEFT_DIMS(1, 1)),
                           weft_sample_normal(t, WEFT_DIMS(1, 1)));
    case 11:
        return weft_matmul(t, weft_sample_uniform(t, -1e3, 1e3, WEFT_DIMS(2, 17)),
                           weft_sample_normal(t, WEFT_DIMS(17, 3)));
    case 12:
        return weft_matmul_t(t, weft_sample_strided(t, WEFT_DIMS(2, 4, 3)), true,
                             weft_sample_strided(t, WEFT_DIMS(2, 5, 4)), true);
    default: return WEFT_NIL;
    }
}

static weft_var misuse(weft_tape *t, int i)
{
    const weft_var x = weft_sample_normal(t, WEFT_DIMS(2, 3));
    switch (i) {
    case 0: return weft_matmul(t, x, x);
    case 1: return weft_matmul(t, x, weft_sample_normal(t, WEFT_DIMS(3)));
    case 2:
        return weft_matmul(t, weft_sample_normal(t, WEFT_DIMS(2, 2, 3)),
                           weft_sample_normal(t, WEFT_DIMS(3, 3, 2)));
    case 3: return weft_matmul_t(t, x, true, x, true);
    default: return WEFT_NIL;
    }
}

const weft_op weft_op_matmul = { .name = "matmul",
                                 .inputs = "a b",
                                 .n_in = 2,
                                 .strided = 3,
                                 .infer = infer,
                                 .forward = forward,
                                 .vjp = vjp,
                                 .sample = sample,
                                 .misuse = misuse };

weft_var weft_matmul_t(weft_tape *tape, weft_var a, bool trans_a, weft_var b, bool trans_b)
{
    const matmul_attr attr = { trans_a, trans_b };
    return weft_apply1(tape, &weft_op_matmul, 2, (weft_var[]){ a, b }, &attr, sizeof attr);
}

weft_var weft_matmul(weft_tape *tape, weft_var a, weft_var b)
{
    return weft_matmul_t(tape, a, false, b, false);
}
