/**
 * weft_max - largest element along one dimension, or of all, and where it is.
 *
 *     y = max_k x[.., k, ..],   index = the smallest k with x[.., k, ..] = y
 *
 * A NaN counts as larger than any number, so that it is not lost.
 *
 * @param x      any shape
 * @param axis   -rank .. rank-1, or WEFT_ALL
 * @param keep   leave the dimension with size 1 (all of them for WEFT_ALL)
 * @param index  NULL, or int32 of y's shape: the place along the axis; for WEFT_ALL among all elements
 * @return       x's shape without the dimension (or with size 1); a scalar for WEFT_ALL
 *
 * Gradient      dx = dy at index, 0 elsewhere; with equal elements the first one gets it all
 * Errors        WEFT_ERR_RANGE  no such axis;  WEFT_ERR_SHAPE  none of no elements is the largest
 *               WEFT_ERR_OVERFLOW  more than 2^31 - 1 elements to choose from
 */
#include "autograd/ops_internal.h"

#include <string.h>

typedef struct max_attr {
    int axis; /* or WEFT_ALL */
    bool keep;
} max_attr;

/* [outer, n, inner] around the axis; everything is n for WEFT_ALL. */
static weft_axis_view view_of(const weft_tensor *x, int axis)
{
    return axis == WEFT_ALL ? (weft_axis_view){ 1, weft_size(x), 1 } : weft_axis_view_of(x, axis);
}

/* x's shape with size 1 along what was searched; the rank, 0 for all without keep. */
static int kept_shape(const weft_tensor *x, int axis, int64_t dim[])
{
    for (int i = 0; i < x->rank; i++) dim[i] = axis == WEFT_ALL || i == axis ? 1 : x->dim[i];
    return x->rank;
}

static bool infer(weft_call *c)
{
    const max_attr *a = c->attr;
    const weft_tensor *x = &c->in[0];
    const int axis = a->axis == WEFT_ALL ? WEFT_ALL : weft_axis(c, a->axis, x->rank);
    if (axis == -1) return false;
    const int64_t n = view_of(x, axis).n;
    if (n == 0) return weft_fail(c, WEFT_ERR_SHAPE, "of no elements none is the largest");
    if (n > INT32_MAX)
        return weft_fail(c, WEFT_ERR_OVERFLOW, "%lld elements are more than an index counts",
                         (long long)n);
    int64_t dim[WEFT_MAX_RANK];
    int rank = kept_shape(x, axis, dim);
    if (!a->keep && axis == WEFT_ALL) {
        rank = 0;
    } else if (!a->keep) {
        memmove(dim + axis, dim + axis + 1, (size_t)(rank - axis - 1) * sizeof *dim);
        rank--;
    }
    return weft_out(c, 0, WEFT_REAL, rank, dim) && weft_out(c, 1, WEFT_INT32, rank, dim);
}

static void line(int64_t n, int64_t stride, const weft_real *x, weft_real *y, int32_t *index)
{
    int64_t best = 0;
    for (int64_t k = 1; k < n && x[best * stride] == x[best * stride]; k++)
        if (!(x[k * stride] <= x[best * stride])) best = k; /* larger, or the first NaN */
    *y = x[best * stride];
    *index = (int32_t)best;
}

static void forward(const weft_call *c)
{
    const max_attr *a = c->attr;
    const weft_tensor *x = &c->in[0];
    const weft_axis_view view = view_of(x, a->axis);
    const int64_t R = view.outer * view.inner;
#pragma omp parallel for schedule(static) num_threads(weft_team(R, 2 * weft_size(x)))
    for (int64_t r = 0; r < R; r++)
        line(view.n, view.inner, x->real + r / view.inner * view.n * view.inner + r % view.inner,
             c->out[0].real + r, c->out[1].i32 + r);
}

static void vjp(weft_rule *r)
{
    const max_attr *a = r->attr;
    weft_tape *t = r->tape;
    const weft_tensor x = weft_shape(t, r->in[0]);
    if (weft_is_nil(r->dout[0])) return;
    if (a->axis == WEFT_ALL) {
        const int64_t one = 1;
        const weft_var flat = weft_scatter_add(t, weft_reshape(t, r->dout[0], 1, &one), 0,
                                               weft_reshape(t, r->out[1], 1, &one), weft_size(&x));
        r->din[0] = weft_reshape(t, flat, x.rank, x.dim);
        return;
    }
    const int axis = a->axis < 0 ? a->axis + x.rank : a->axis;
    int64_t dim[WEFT_MAX_RANK];
    kept_shape(&x, axis, dim);
    r->din[0] = weft_scatter_add(t, weft_reshape(t, r->dout[0], x.rank, dim), axis,
                                 weft_reshape(t, r->out[1], x.rank, dim), x.dim[axis]);
}

/* Random elements differ by far more than a gradient check moves them: no sample is at a kink. */
static weft_var sample(weft_tape *t, int i)
{
    weft_var x, index;
    switch (i) {
    case 0: return weft_max(t, weft_sample_normal(t, WEFT_DIMS(3, 4)), 1, false, NULL);
    case 1: return weft_max(t, weft_sample_normal(t, WEFT_DIMS(3, 4)), 0, true, NULL);
    case 2: return weft_max(t, weft_sample_normal(t, WEFT_DIMS(2, 3, 4)), 1, false, NULL);
    case 3: return weft_max(t, weft_sample_normal(t, WEFT_DIMS(2, 3, 4)), WEFT_ALL, false, NULL);
    case 4: return weft_max(t, weft_sample_strided(t, WEFT_DIMS(4, 5)), -1, true, NULL);
    case 5: return weft_max(t, weft_sample_strided(t, WEFT_DIMS(4, 5)), WEFT_ALL, true, NULL);
    case 6: return weft_max(t, weft_sample_normal(t, WEFT_DIMS(1)), 0, false, NULL);
    case 7: return weft_max(t, weft_sample_normal(t, 0, NULL), WEFT_ALL, false, NULL);
    case 8:
        x = weft_sample_normal(t, WEFT_DIMS(3, 5));
        return weft_mul(t, x, weft_max(t, x, 1, true, NULL));
    case 9: /* the index chooses in another value */
        x = weft_max(t, weft_sample_normal(t, WEFT_DIMS(3, 5)), 1, true, &index);
        return weft_mul(t, x, weft_gather(t, weft_sample_normal(t, WEFT_DIMS(3, 5)), 1, index));
    case 10: return weft_max(t, weft_sample_uniform(t, -1e4, 1e4, WEFT_DIMS(2, 7)), 1, false, NULL);
    default: return WEFT_NIL;
    }
}

static weft_var misuse(weft_tape *t, int i)
{
    const weft_var x = weft_sample_normal(t, WEFT_DIMS(2, 3));
    switch (i) {
    case 0: return weft_max(t, x, 2, false, NULL);
    case 1: return weft_max(t, x, -3, false, NULL);
    case 2: return weft_max(t, weft_sample_normal(t, WEFT_DIMS(2, 0)), 1, false, NULL);
    case 3: return weft_max(t, weft_sample_int(t, 0, 3, WEFT_DIMS(3)), 0, false, NULL);
    case 4: return weft_max(t, weft_scalar(t, 1), 0, false, NULL);
    default: return WEFT_NIL;
    }
}

const weft_op weft_op_max = { .name = "max",
                              .inputs = "x",
                              .n_in = 1,
                              .n_out = 2,
                              .infer = infer,
                              .forward = forward,
                              .vjp = vjp,
                              .sample = sample,
                              .misuse = misuse };

weft_var weft_max(weft_tape *tape, weft_var x, int axis, bool keep, weft_var *index)
{
    const max_attr attr = { axis, keep };
    weft_var out[2];
    weft_apply(tape, &weft_op_max, 1, &x, &attr, sizeof attr, out);
    if (index) *index = out[1];
    return out[0];
}
