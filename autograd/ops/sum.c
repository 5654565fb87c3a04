/**
 * weft_sum - sum over one dimension, or over all of them.
 *
 *     y = sum_i x[.., i, ..]
 *
 * @param x     any shape; an empty dimension sums to 0
 * @param axis  -rank .. rank-1, or WEFT_ALL
 * @param keep  leave the summed dimension with size 1
 * @return      x's shape without the dimension (or with size 1); a scalar for WEFT_ALL
 *
 * Gradient     dx = dy, repeated along the dimension
 * Errors       WEFT_ERR_RANGE  no such axis
 * Numbers      sums of blocks of 4,096 elements in double, block sums added in order: the same bits
 *              for any number of threads
 */
#include "autograd/ops_internal.h"

#include <string.h>

enum { BLOCK = 4096 };

/* Shape with every summed dimension as 1. */
static void kept_shape(const weft_tensor *x, uint32_t mask, int64_t dim[])
{
    for (int i = 0; i < x->rank; i++) dim[i] = mask >> i & 1 ? 1 : x->dim[i];
}

bool weft_infer_sum(weft_call *c)
{
    const weft_sum_attr *a = c->attr;
    const weft_tensor *x = &c->in[0];
    int64_t dim[WEFT_MAX_RANK];
    if (a->mask != WEFT_SUM_ALL && a->mask >> x->rank)
        return weft_fail(c, WEFT_ERR_RANGE, "the axis to sum over is not one of its %d", x->rank);
    kept_shape(x, a->mask, dim);
    int rank = x->rank;
    if (!a->keep) {
        rank = 0;
        for (int i = 0; i < x->rank; i++)
            if (!(a->mask >> i & 1)) dim[rank++] = dim[i];
    }
    c->scratch_bytes = (size_t)(weft_size(x) / BLOCK + 1) * sizeof(double);
    return weft_out(c, 0, WEFT_REAL, rank, dim);
}

static double sum_of(const weft_real *x, int64_t n)
{
    double s[8] = { 0 }; /* eight chains, so that the additions overlap */
    int64_t k = 0;
    for (; k + 8 <= n; k += 8)
        for (int i = 0; i < 8; i++) s[i] += (double)x[k + i];
    for (int i = 0; k < n; k++, i++) s[i] += (double)x[k];
    return ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));
}

/* One sum of n elements that lie together. */
static void sum_all(const weft_real *x, int64_t n, double *blocks, weft_real *y)
{
    const int64_t n_blocks = (n + BLOCK - 1) / BLOCK;
#pragma omp parallel for schedule(static) num_threads(weft_team(n_blocks, n))
    for (int64_t b = 0; b < n_blocks; b++)
        blocks[b] = sum_of(x + b * BLOCK, n - b * BLOCK < BLOCK ? n - b * BLOCK : BLOCK);
    double sum = 0;
    for (int64_t b = 0; b < n_blocks; b++) sum += blocks[b];
    *y = (weft_real)sum;
}

/* Dimensions [0, outer) stay, the next ones (n elements in all) are summed, `inner` elements below
 * stay: y[o, i] = sum_k x[o, k, i]. */
static void sum_middle(const weft_real *x, int64_t outer, int64_t n, int64_t inner, weft_real *y)
{
    enum { TILE = 64 };
    const int64_t n_tiles = (inner + TILE - 1) / TILE;
#pragma omp parallel for schedule(static) num_threads(weft_team(outer *n_tiles, outer *n *inner))
    for (int64_t t = 0; t < outer * n_tiles; t++) {
        const int64_t o = t / n_tiles, from = t % n_tiles * TILE;
        const int64_t width = inner - from < TILE ? inner - from : TILE;
        double sum[TILE] = { 0 };
        for (int64_t k = 0; k < n; k++) {
            const weft_real *row = x + (o * n + k) * inner + from;
            for (int64_t i = 0; i < width; i++) sum[i] += (double)row[i];
        }
        for (int64_t i = 0; i < width; i++) y[o * inner + from + i] = (weft_real)sum[i];
    }
}

/* Summed and kept dimensions in any order: each output walks its elements in their order. */
static void sum_general(const weft_tensor *x, uint32_t mask, weft_real *y)
{
    int64_t stride[WEFT_MAX_RANK], s = 1, n = 1, size = 1;
    for (int i = x->rank - 1; i >= 0; s *= x->dim[i--]) stride[i] = s;
    for (int i = 0; i < x->rank; i++)
        if (mask >> i & 1)
            n *= x->dim[i];
        else
            size *= x->dim[i];
#pragma omp parallel for schedule(static) num_threads(weft_team(size, 8 * size * n))
    for (int64_t o = 0; o < size; o++) {
        int64_t at = 0;
        for (int64_t i = x->rank - 1, rest = o; i >= 0; i--) {
            if (mask >> i & 1) continue;
            at += rest % x->dim[i] * stride[i];
            rest /= x->dim[i];
        }
        double sum = 0;
        for (int64_t k = 0; k < n; k++) {
            int64_t offset = 0;
            for (int64_t i = x->rank - 1, rest = k; i >= 0; i--) {
                if (!(mask >> i & 1)) continue;
                offset += rest % x->dim[i] * stride[i];
                rest /= x->dim[i];
            }
            sum += (double)x->real[at + offset];
        }
        y[o] = (weft_real)sum;
    }
}

void weft_forward_sum(const weft_call *c)
{
    const weft_sum_attr *a = c->attr;
    const weft_tensor *x = &c->in[0];
    int first = x->rank, last = -1; /* of the summed dimensions */
    for (int i = 0; i < x->rank; i++)
        if (a->mask >> i & 1) {
            if (first == x->rank) first = i;
            last = i;
        }
    bool together = true;
    int64_t outer = 1, n = 1, inner = 1;
    for (int i = 0; i < x->rank; i++) {
        if (i < first)
            outer *= x->dim[i];
        else if (i > last)
            inner *= x->dim[i];
        else
            n *= x->dim[i], together = together && (a->mask >> i & 1);
    }
    if (!together)
        sum_general(x, a->mask, c->out[0].real);
    else if (outer * inner == 1)
        sum_all(x->real, n, c->scratch, c->out[0].real);
    else
        sum_middle(x->real, outer, n, inner, c->out[0].real);
}

weft_var weft_unsum(weft_tape *tape, weft_var dy, weft_var x, weft_sum_attr attr)
{
    const weft_tensor shape = weft_shape(tape, x);
    int64_t dim[WEFT_MAX_RANK];
    kept_shape(&shape, attr.mask, dim);
    return weft_expand(tape, weft_reshape(tape, dy, shape.rank, dim), shape.rank, shape.dim);
}

static void vjp(weft_rule *r)
{
    r->din[0] = weft_unsum(r->tape, r->dout[0], r->in[0], *(const weft_sum_attr *)r->attr);
}

static weft_var sample(weft_tape *t, int i)
{
    weft_var x;
    switch (i) {
    case 0: return weft_sum(t, weft_sample_normal(t, WEFT_DIMS(3, 4)), WEFT_ALL, false);
    case 1: return weft_sum(t, weft_sample_normal(t, WEFT_DIMS(3, 4)), 0, false);
    case 2: return weft_sum(t, weft_sample_normal(t, WEFT_DIMS(3, 4)), 1, true);
    case 3: return weft_sum(t, weft_sample_normal(t, WEFT_DIMS(2, 3, 4)), 1, false);
    case 4: return weft_sum(t, weft_sample_normal(t, WEFT_DIMS(2, 3, 4)), -1, false);
    case 5: return weft_sum(t, weft_sample_normal(t, 0, NULL), WEFT_ALL, false);
    case 6: return weft_sum(t, weft_sample_strided(t, WEFT_DIMS(5, 4)), 0, false);
    case 7: return weft_sum_axes(t, weft_sample_normal(t, WEFT_DIMS(2, 3, 4)), 5, false);
    case 8: return weft_sum_axes(t, weft_sample_normal(t, WEFT_DIMS(2, 3, 2, 2)), 10, true);
    case 9: return weft_sum(t, weft_sample_normal(t, WEFT_DIMS(1)), 0, true);
    case 10:
        x = weft_sum(t, weft_sample_normal(t, WEFT_DIMS(3, 70)), 0, false);
        return weft_mul(t, x, x);
    case 11: return weft_sum(t, weft_sample_uniform(t, -1e4, 1e4, WEFT_DIMS(13)), WEFT_ALL, true);
    default: return WEFT_NIL;
    }
}

static weft_var misuse(weft_tape *t, int i)
{
    const weft_var x = weft_sample_normal(t, WEFT_DIMS(2, 3));
    switch (i) {
    case 0: return weft_sum(t, x, 2, false);
    case 1: return weft_sum(t, x, -3, true);
    case 2: return weft_sum(t, weft_sample_int(t, 0, 3, WEFT_DIMS(3)), 0, false);
    default: return WEFT_NIL;
    }
}

const weft_op weft_op_sum = { .name = "sum",
                              .inputs = "x",
                              .n_in = 1,
                              .infer = weft_infer_sum,
                              .forward = weft_forward_sum,
                              .vjp = vjp,
                              .sample = sample,
                              .misuse = misuse };

weft_var weft_sum_axes(weft_tape *tape, weft_var x, uint32_t mask, bool keep)
{
    const weft_sum_attr attr = { mask, keep };
    return weft_apply1(tape, &weft_op_sum, 1, &x, &attr, sizeof attr);
}

weft_sum_attr weft_sum_attr_of(weft_tape *tape, weft_var x, int axis, bool keep)
{
    if (axis == WEFT_ALL) return (weft_sum_attr){ WEFT_SUM_ALL, keep };
    const int rank = weft_shape(tape, x).rank, at = axis < 0 ? axis + rank : axis;
    const int bit = at >= 0 && at < rank ? at : WEFT_MAX_RANK + 1;
    return (weft_sum_attr){ UINT32_C(1) << bit, keep };
}

weft_var weft_sum(weft_tape *tape, weft_var x, int axis, bool keep)
{
    const weft_sum_attr attr = weft_sum_attr_of(tape, x, axis, keep);
    return weft_sum_axes(tape, x, attr.mask, attr.keep);
}
