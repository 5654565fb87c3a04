/**
 * weft_scatter_add - elements added into zeros along one dimension, each at an index of its own: the
 * transpose of weft_gather.
 *
 *     y[.., j, ..] = sum of x[.., k, ..] over all k with index[.., k, ..] = j
 *
 * @param x      [.., m, ..]
 * @param axis   -rank .. rank-1
 * @param index  int32, x's shape, in 0 .. n-1
 * @param n      size of the result along the axis
 * @return       [.., n, ..]
 *
 * Gradient      dx[.., k, ..] = dy[.., index[.., k, ..], ..]   (weft_gather)
 * Errors        WEFT_ERR_SHAPE  the shapes differ, a scalar
 *               WEFT_ERR_RANGE  no such axis, n < 0; an index that is not in 0 .. n-1 (the first is
 *               named)
 * Numbers       sums in double, in the order of k, by one thread for each line along the axis
 */
#include "autograd/ops_internal.h"

#include "core/checked.h"

#include <string.h>

typedef struct scatter_attr {
    int axis;
    int64_t n;
} scatter_attr;

static bool infer(weft_call *c)
{
    const scatter_attr *a = c->attr;
    const weft_tensor *x = &c->in[0];
    if (x->rank == 0) return weft_fail(c, WEFT_ERR_SHAPE, "a scalar has no dimension to spread");
    const int axis = weft_axis(c, a->axis, x->rank);
    if (axis < 0) return false;
    if (!weft_same_shape(x, &c->in[1]))
        return weft_fail(c, WEFT_ERR_SHAPE, "every element of x needs one index");
    if (a->n < 0) return weft_fail(c, WEFT_ERR_RANGE, "a size of %lld cannot be", (long long)a->n);
    int64_t dim[WEFT_MAX_RANK];
    memcpy(dim, x->dim, sizeof dim);
    dim[axis] = a->n;
    if (!weft_out(c, 0, WEFT_REAL, x->rank, dim) || !weft_check_index(c, 1, a->n)) return false;
    return weft_mul_bytes((size_t)weft_size(&c->out[0]), sizeof(double), &c->scratch_bytes) ||
           weft_fail(c, WEFT_ERR_OVERFLOW, "the result is too large");
}

/* Line tiles of one outer index: columns [from, to), all k in order. */
static void add_columns(const weft_real *x, const int32_t *index, weft_axis_view view, int64_t n,
                        int64_t from, int64_t to, double *sum, weft_real *y)
{
    const int64_t C = view.inner;
    for (int64_t j = 0; j < n; j++)
        for (int64_t k = from; k < to; k++) sum[j * C + k] = 0;
    for (int64_t m = 0; m < view.n; m++)
        for (int64_t k = from; k < to; k++) sum[index[m * C + k] * C + k] += (double)x[m * C + k];
    for (int64_t j = 0; j < n; j++)
        for (int64_t k = from; k < to; k++) y[j * C + k] = (weft_real)sum[j * C + k];
}

static void forward(const weft_call *c)
{
    enum { TILE = 64 };
    const scatter_attr *a = c->attr;
    const weft_tensor *x = &c->in[0], *y = &c->out[0];
    const int32_t *index = c->in[1].i32;
    const weft_axis_view view = weft_axis_view_of(x, a->axis);
    double *sum = c->scratch;
    const int64_t n_tiles = (view.inner + TILE - 1) / TILE;
    const int64_t work = weft_size(x) + 2 * weft_size(y); /* NOLINT: num_threads reads it */
#pragma omp parallel for schedule(static) num_threads(weft_team(view.outer *n_tiles, 2 * work))
    for (int64_t i = 0; i < view.outer * n_tiles; i++) {
        const int64_t o = i / n_tiles, from = i % n_tiles * TILE,
                      to = from + TILE < view.inner ? from + TILE : view.inner;
        const int64_t at_x = o * view.n * view.inner, at_y = o * a->n * view.inner;
        add_columns(x->real + at_x, index + at_x, view, a->n, from, to, sum + at_y, y->real + at_y);
    }
}

static void vjp(weft_rule *r)
{
    const scatter_attr *a = r->attr;
    r->din[0] = weft_gather(r->tape, r->dout[0], a->axis, r->in[1]);
}

static weft_var sample(weft_tape *t, int i)
{
    weft_var x;
    switch (i) {
    case 0:
        return weft_scatter_add(t, weft_sample_normal(t, WEFT_DIMS(3, 4)), 1,
                                weft_sample_int(t, 0, 6, WEFT_DIMS(3, 4)), 6);
    case 1:
        return weft_scatter_add(t, weft_sample_normal(t, WEFT_DIMS(5, 2)), 0,
                                weft_sample_int(t, 0, 3, WEFT_DIMS(5, 2)), 3);
    case 2:
        return weft_scatter_add(t, weft_sample_normal(t, WEFT_DIMS(2, 6, 3)), 1,
                                weft_sample_int(t, 0, 4, WEFT_DIMS(2, 6, 3)), 4);
    case 3:
        return weft_scatter_add(t, weft_sample_normal(t, WEFT_DIMS(2, 3, 1)), -1,
                                weft_sample_int(t, 0, 5, WEFT_DIMS(2, 3, 1)), 5);
    case 4:
        return weft_scatter_add(t, weft_sample_strided(t, WEFT_DIMS(3, 5)), 1,
                                weft_sample_int(t, 0, 4, WEFT_DIMS(3, 5)), 4);
    case 5:
        return weft_scatter_add(t, weft_sample_normal(t, WEFT_DIMS(1)), 0,
                                weft_sample_int(t, 0, 1, WEFT_DIMS(1)), 1);
    case 6: /* all to one place */
        return weft_scatter_add(t, weft_sample_normal(t, WEFT_DIMS(5)), 0,
                                weft_constant_int(t, WEFT_DIMS(5), (int32_t[]){ 1, 1, 1, 1, 1 }),
                                3);
    case 7:
        x = weft_sample_normal(t, WEFT_DIMS(3, 4));
        return weft_mul(t, x,
                        weft_scatter_add(t, x, 1, weft_sample_int(t, 0, 4, WEFT_DIMS(3, 4)), 4));
    case 8:
        return weft_scatter_add(t, weft_sample_uniform(t, -1e5, 1e5, WEFT_DIMS(2, 3)), 1,
                                weft_sample_int(t, 0, 2, WEFT_DIMS(2, 3)), 2);
    case 9: /* more than one tile */
        return weft_scatter_add(t, weft_sample_normal(t, WEFT_DIMS(3, 70)), 0,
                                weft_sample_int(t, 0, 2, WEFT_DIMS(3, 70)), 2);
    default: return WEFT_NIL;
    }
}

static weft_var misuse(weft_tape *t, int i)
{
    const weft_var x = weft_sample_normal(t, WEFT_DIMS(2, 3));
    switch (i) {
    case 0: return weft_scatter_add(t, x, 2, weft_sample_int(t, 0, 2, WEFT_DIMS(2, 3)), 2);
    case 1: return weft_scatter_add(t, x, 1, weft_sample_int(t, 0, 2, WEFT_DIMS(2, 2)), 2);
    case 2: return weft_scatter_add(t, x, 1, weft_sample_int(t, 3, 4, WEFT_DIMS(2, 3)), 3);
    case 3: return weft_scatter_add(t, x, 1, weft_sample_int(t, 0, 2, WEFT_DIMS(2, 3)), -1);
    case 4: return weft_scatter_add(t, x, 1, x, 3);
    case 5:
        return weft_scatter_add(t, weft_scalar(t, 1), 0,
                                weft_constant_int(t, 0, NULL, &(int32_t){ 0 }), 1);
    case 6:
        return weft_scatter_add(t, x, 1, weft_sample_int(t, 0, 2, WEFT_DIMS(2, 3)), INT64_MAX / 8);
    default: return WEFT_NIL;
    }
}

const weft_op weft_op_scatter_add = { .name = "scatter_add",
                                      .inputs = "x index",
                                      .n_in = 2,
                                      .integer = 2,
                                      .infer = infer,
                                      .forward = forward,
                                      .vjp = vjp,
                                      .sample = sample,
                                      .misuse = misuse };

weft_var weft_scatter_add(weft_tape *tape, weft_var x, int axis, weft_var index, int64_t n)
{
    const scatter_attr attr = { axis, n };
    return weft_apply1(tape, &weft_op_scatter_add, 2, (weft_var[]){ x, index }, &attr, sizeof attr);
}
