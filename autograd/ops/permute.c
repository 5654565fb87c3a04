/**
 * weft_permute - dimensions in another order; a copy.
 *
 *     y.dim[i] = x.dim[axes[i]]
 *
 * @param x     any shape, real or int32
 * @param rank  of x
 * @param axes  each of 0 .. rank-1 (or -rank .. -1) once
 * @return      the permuted shape, dense
 *
 * Gradient     dx = dy, permuted back
 * Errors       WEFT_ERR_SHAPE  rank is not that of x;  WEFT_ERR_RANGE  axes is no permutation
 */
#include "autograd/ops_internal.h"

#include "core/kernel.h"

#include <string.h>

typedef struct permute_attr {
    int rank;
    int axes[WEFT_MAX_RANK];
} permute_attr;

static int axis_of(const permute_attr *a, int i)
{
    return a->axes[i] < 0 ? a->axes[i] + a->rank : a->axes[i];
}

static bool infer(weft_call *c)
{
    const permute_attr *a = c->attr;
    const weft_tensor *x = &c->in[0];
    int64_t dim[WEFT_MAX_RANK] = { 0 };
    uint32_t seen = 0;
    if (a->rank != x->rank)
        return weft_fail(c, WEFT_ERR_SHAPE, "%d axes for %d dimensions", a->rank, x->rank);
    for (int i = 0; i < x->rank; i++) {
        const int axis = weft_axis(c, a->axes[i], x->rank);
        if (axis < 0) return false;
        if (seen >> axis & 1) return weft_fail(c, WEFT_ERR_RANGE, "axis %d is named twice", axis);
        seen |= UINT32_C(1) << axis;
        dim[i] = x->dim[axis];
    }
    return weft_out(c, 0, x->dtype, x->rank, dim);
}

/* The output as rows and columns, each with its stride in the input, and the dimensions outside. */
typedef struct permute_plan {
    int n_outer;
    int64_t dim[WEFT_MAX_RANK], from[WEFT_MAX_RANK], to[WEFT_MAX_RANK];
    int64_t rows, row_from, row_to; /* of a tile */
    int64_t cols, col_from;         /* contiguous in the output */
} permute_plan;

/* Rows are the dimension that is contiguous in the input, so that both sides of a tile stay within
 * the cache; where that is the output's last one too, any other will do. */
static permute_plan plan_of(const permute_attr *a, const weft_tensor *x, const weft_tensor *y)
{
    int64_t stride[WEFT_MAX_RANK] = { 1 }, from[WEFT_MAX_RANK], to[WEFT_MAX_RANK];
    for (int64_t i = x->rank - 1, s = 1; i >= 0; i--) {
        stride[i] = s;
        s = i == x->rank - 1 ? x->ld : s * x->dim[i];
    }
    permute_plan plan = { .rows = 1, .cols = weft_cols(y), .col_from = 1 };
    int rows = y->rank - 2;
    for (int64_t i = y->rank - 1, s = 1; i >= 0; s *= y->dim[i--]) {
        from[i] = stride[axis_of(a, (int)i)];
        to[i] = s;
        if (axis_of(a, (int)i) == x->rank - 1 && i != y->rank - 1) rows = (int)i;
    }
    if (y->rank > 0) plan.col_from = from[y->rank - 1];
    for (int i = 0; i + 1 < y->rank; i++) {
        if (i == rows) {
            plan.rows = y->dim[i];
            plan.row_from = from[i];
            plan.row_to = to[i];
        } else {
            plan.dim[plan.n_outer] = y->dim[i];
            plan.from[plan.n_outer] = from[i];
            plan.to[plan.n_outer++] = to[i];
        }
    }
    return plan;
}

enum { TILE = 32 };

/* Rows [r, r_end) of one plane of the output; each_bytes is a constant where this is called. */
WEFT_INLINE void copy_rows(const permute_plan *p, const uint8_t *x, uint8_t *y, int64_t r,
                           int64_t r_end, size_t each_bytes)
{
    if (p->col_from == 1) {
        for (; r < r_end; r++)
            memcpy(y + (size_t)(r * p->row_to) * each_bytes,
                   x + (size_t)(r * p->row_from) * each_bytes, (size_t)p->cols * each_bytes);
        return;
    }
    for (int64_t c0 = 0; c0 < p->cols; c0 += TILE) {
        const int64_t c_end = c0 + TILE < p->cols ? c0 + TILE : p->cols;
        for (int64_t k = r; k < r_end; k++)
            for (int64_t c = c0; c < c_end; c++)
                memcpy(y + (size_t)(k * p->row_to + c) * each_bytes,
                       x + (size_t)(k * p->row_from + c * p->col_from) * each_bytes, each_bytes);
    }
}

static void forward(const weft_call *c)
{
    const weft_tensor *x = &c->in[0], *y = &c->out[0];
    const permute_plan plan = plan_of(c->attr, x, y);
    const size_t each_bytes = weft_dtype_bytes(y->dtype);
    const int64_t size = weft_size(y);
    if (size == 0) return;
    const int64_t n_outer = size / (plan.rows * plan.cols), n_tiles = (plan.rows + TILE - 1) / TILE;
#pragma omp parallel for schedule(static) num_threads(weft_team(n_outer *n_tiles, 2 * size))
    for (int64_t i = 0; i < n_outer * n_tiles; i++) {
        int64_t from = 0, to = 0;
        for (int64_t k = plan.n_outer - 1, rest = i / n_tiles; k >= 0; rest /= plan.dim[k--]) {
            from += rest % plan.dim[k] * plan.from[k];
            to += rest % plan.dim[k] * plan.to[k];
        }
        const int64_t r = i % n_tiles * TILE, r_end = r + TILE < plan.rows ? r + TILE : plan.rows;
        const uint8_t *at_x = x->byte + (size_t)from * each_bytes;
        uint8_t *at_y = y->byte + (size_t)to * each_bytes;
        if (each_bytes == sizeof(int32_t))
            copy_rows(&plan, at_x, at_y, r, r_end, sizeof(int32_t));
        else
            copy_rows(&plan, at_x, at_y, r, r_end, sizeof(weft_real));
    }
}

static void vjp(weft_rule *r)
{
    const permute_attr *a = r->attr;
    int back[WEFT_MAX_RANK] = { 0 };
    for (int i = 0; i < a->rank; i++) back[axis_of(a, i)] = i;
    r->din[0] = weft_permute(r->tape, r->dout[0], a->rank, back);
}

static weft_var sample(weft_tape *t, int i)
{
    weft_var x;
    switch (i) {
    case 0: return weft_permute(t, weft_sample_normal(t, WEFT_DIMS(3, 4)), 2, (int[]){ 1, 0 });
    case 1:
        return weft_permute(t, weft_sample_normal(t, WEFT_DIMS(2, 3, 4)), 3, (int[]){ 1, 0, 2 });
    case 2:
        return weft_permute(t, weft_sample_normal(t, WEFT_DIMS(2, 3, 4)), 3, (int[]){ 2, 0, 1 });
    case 3:
        return weft_permute(t, weft_sample_normal(t, WEFT_DIMS(2, 3, 4, 5)), 4,
                            (int[]){ 0, 2, 1, 3 });
    case 4:
        return weft_permute(t, weft_sample_normal(t, WEFT_DIMS(2, 3, 4, 2)), 4,
                            (int[]){ 3, 1, -4, 2 });
    case 5: return weft_permute(t, weft_sample_strided(t, WEFT_DIMS(4, 5)), 2, (int[]){ -1, -2 });
    case 6:
        return weft_permute(t, weft_sample_strided(t, WEFT_DIMS(3, 2, 5)), 3, (int[]){ 1, 0, 2 });
    case 7: return weft_permute(t, weft_sample_normal(t, 0, NULL), 0, NULL);
    case 8: return weft_permute(t, weft_sample_normal(t, WEFT_DIMS(7)), 1, (int[]){ 0 });
    case 9: /* x x^T, element by element */
        x = weft_sample_normal(t, WEFT_DIMS(4, 4));
        return weft_mul(t, x, weft_permute(t, x, 2, (int[]){ 1, 0 }));
    case 10: /* more than one tile each way */
        return weft_permute(t, weft_sample_normal(t, WEFT_DIMS(35, 67)), 2, (int[]){ 1, 0 });
    case 11:
        return weft_permute(t, weft_sample_uniform(t, -1e5, 1e5, WEFT_DIMS(1, 3, 1, 2)), 4,
                            (int[]){ 3, 2, 1, 0 });
    default: return WEFT_NIL;
    }
}

static weft_var misuse(weft_tape *t, int i)
{
    const weft_var x = weft_sample_normal(t, WEFT_DIMS(2, 3));
    switch (i) {
    case 0: return weft_permute(t, x, 1, (int[]){ 0 });
    case 1: return weft_permute(t, x, 2, (int[]){ 0, 2 });
    case 2: return weft_permute(t, x, 2, (int[]){ 1, 1 });
    case 3: return weft_permute(t, x, 2, (int[]){ 0, -2 });
    case 4: return weft_permute(t, x, 9, (int[9]){ 0, 1, 2, 3, 4, 5, 6, 7, 8 });
    case 5: return weft_permute(t, x, -1, NULL);
    default: return WEFT_NIL;
    }
}

const weft_op weft_op_permute = { .name = "permute",
                                  .inputs = "x",
                                  .n_in = 1,
                                  .any_type = 1,
                                  .strided = 1,
                                  .infer = infer,
                                  .forward = forward,
                                  .vjp = vjp,
                                  .sample = sample,
                                  .misuse = misuse };

weft_var weft_permute(weft_tape *tape, weft_var x, int rank, const int axes[])
{
    permute_attr attr = { .rank = rank };
    if (rank > 0 && rank <= WEFT_MAX_RANK) memcpy(attr.axes, axes, (size_t)rank * sizeof *axes);
    return weft_apply1(tape, &weft_op_permute, 1, &x, &attr, sizeof attr);
}
