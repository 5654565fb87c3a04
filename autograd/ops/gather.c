/**
 * weft_gather - elements chosen along one dimension, each by an index of its own.
 *
 *     y[.., k, ..] = x[.., index[.., k, ..], ..]
 *
 * @param x      [.., n, ..]
 * @param axis   -rank .. rank-1
 * @param index  int32 [.., m, ..] in 0 .. n-1; all other sizes as in x
 * @return       the shape of index
 *
 * Gradient      dx = dy, each element added where it came from (weft_scatter_add)
 * Errors        WEFT_ERR_SHAPE  shapes that differ beside the axis, a scalar
 *               WEFT_ERR_RANGE  no such axis; an index that is not in 0 .. n-1 (the first is named)
 */
#include "autograd/ops_internal.h"

static bool infer(weft_call *c)
{
    const weft_tensor *x = &c->in[0], *index = &c->in[1];
    if (x->rank == 0) return weft_fail(c, WEFT_ERR_SHAPE, "a scalar has no dimension to choose in");
    const int axis = weft_axis(c, *(const int *)c->attr, x->rank);
    if (axis < 0) return false;
    bool fits = x->rank == index->rank;
    for (int i = 0; fits && i < x->rank; i++) fits = i == axis || x->dim[i] == index->dim[i];
    if (!fits) return weft_fail(c, WEFT_ERR_SHAPE, "the shapes differ beside dimension %d", axis);
    return weft_check_index(c, 1, x->dim[axis]) &&
           weft_out(c, 0, WEFT_REAL, index->rank, index->dim);
}

static void forward(const weft_call *c)
{
    const weft_tensor *x = &c->in[0], *index = &c->in[1], *y = &c->out[0];
    const weft_axis_view from = weft_axis_view_of(x, *(const int *)c->attr),
                         to = weft_axis_view_of(y, *(const int *)c->attr);
    const int64_t R = to.outer * to.n, C = to.inner;
#pragma omp parallel for schedule(static) num_threads(weft_team(R, 4 * R * C))
    for (int64_t r = 0; r < R; r++) {
        const weft_real *plane = x->real + r / to.n * from.n * C;
        for (int64_t k = 0; k < C; k++) y->real[r * C + k] = plane[index->i32[r * C + k] * C + k];
    }
}

static void vjp(weft_rule *r)
{
    const int axis = *(const int *)r->attr;
    const weft_tensor x = weft_shape(r->tape, r->in[0]);
    r->din[0] = weft_scatter_add(r->tape, r->dout[0], axis, r->in[1],
                                 x.dim[axis < 0 ? axis + x.rank : axis]);
}

static weft_var sample(weft_tape *t, int i)
{
    weft_var x;
    switch (i) {
    case 0:
        return weft_gather(t, weft_sample_normal(t, WEFT_DIMS(3, 4)), 1,
                           weft_sample_int(t, 0, 4, WEFT_DIMS(3, 2)));
    case 1:
        return weft_gather(t, weft_sample_normal(t, WEFT_DIMS(3, 4)), 0,
                           weft_sample_int(t, 0, 3, WEFT_DIMS(5, 4)));
    case 2:
        return weft_gather(t, weft_sample_normal(t, WEFT_DIMS(2, 3, 4)), 1,
                           weft_sample_int(t, 0, 3, WEFT_DIMS(2, 6, 4)));
    case 3:
        return weft_gather(t, weft_sample_normal(t, WEFT_DIMS(2, 3, 4)), -1,
                           weft_sample_int(t, 0, 4, WEFT_DIMS(2, 3, 1)));
    case 4:
        return weft_gather(t, weft_sample_strided(t, WEFT_DIMS(3, 5)), 1,
                           weft_sample_int(t, 0, 5, WEFT_DIMS(3, 7)));
    case 5:
        return weft_gather(t, weft_sample_normal(t, WEFT_DIMS(1)), 0,
                           weft_sample_int(t, 0, 1, WEFT_DIMS(1)));
    case 6: /* the same element often */
        return weft_gather(t, weft_sample_normal(t, WEFT_DIMS(4)), 0,
                           weft_constant_int(t, WEFT_DIMS(5), (int32_t[]){ 2, 2, 0, 2, 3 }));
    case 7:
        x = weft_sample_normal(t, WEFT_DIMS(3, 4));
        return weft_mul(t, x, weft_gather(t, x, 1, weft_sample_int(t, 0, 4, WEFT_DIMS(3, 4))));
    case 8:
        return weft_gather(t, weft_sample_uniform(t, -1e5, 1e5, WEFT_DIMS(2, 9)), 1,
                           weft_sample_int(t, 0, 9, WEFT_DIMS(2, 3)));
    case 9: /* columns of a wider index */
        return weft_gather(t, weft_sample_normal(t, WEFT_DIMS(4, 3)), -2,
                           weft_slice(t, weft_sample_int(t, 0, 4, WEFT_DIMS(2, 5)), 1, 1, 4));
    default: return WEFT_NIL;
    }
}

static weft_var misuse(weft_tape *t, int i)
{
    const weft_var x = weft_sample_normal(t, WEFT_DIMS(2, 3));
    switch (i) {
    case 0: return weft_gather(t, x, 2, weft_sample_int(t, 0, 2, WEFT_DIMS(2, 3)));
    case 1: return weft_gather(t, x, 1, weft_sample_int(t, 0, 2, WEFT_DIMS(3, 3)));
    case 2: return weft_gather(t, x, 1, weft_sample_int(t, 0, 2, WEFT_DIMS(2)));
    case 3:
        return weft_gather(t, x, 1,
                           weft_constant_int(t, WEFT_DIMS(2, 2), (int32_t[]){ 0, 2, 3, -1 }));
    case 4:
        return weft_gather(t, x, 0, weft_constant_int(t, WEFT_DIMS(1, 3), (int32_t[]){ 0, -1, 1 }));
    case 5: return weft_gather(t, x, 1, x);
    case 6:
        return weft_gather(t, weft_scalar(t, 1), 0, weft_constant_int(t, 0, NULL, &(int32_t){ 0 }));
    default: return WEFT_NIL;
    }
}

const weft_op weft_op_gather = { .name = "gather",
                                 .inputs = "x index",
                                 .n_in = 2,
                                 .integer = 2,
                                 .infer = infer,
                                 .forward = forward,
                                 .vjp = vjp,
                                 .sample = sample,
                                 .misuse = misuse };

weft_var weft_gather(weft_tape *tape, weft_var x, int axis, weft_var index)
{
    return weft_apply1(tape, &weft_op_gather, 2, (weft_var[]){ x, index }, &axis, sizeof axis);
}
