/**
 * weft_concat - values one behind the other along one dimension.
 *
 * @param n     how many, at least 1
 * @param x     n values of one shape but for their size along the axis
 * @param axis  -rank .. rank-1
 * @return      [.., n_1 + n_2 + ..., ..]
 *
 * Gradient     dx_i = its part of dy
 * Errors       WEFT_ERR_SHAPE  scalars, or shapes that differ elsewhere;  WEFT_ERR_RANGE  no such axis
 */
#include "autograd/ops_internal.h"

#include "core/checked.h"

#include <string.h>

static bool infer(weft_call *c)
{
    const weft_tensor *first = &c->in[0];
    if (first->rank == 0) return weft_fail(c, WEFT_ERR_SHAPE, "scalars have no dimension to join");
    const int axis = weft_axis(c, *(const int *)c->attr, first->rank);
    if (axis < 0) return false;
    int64_t dim[WEFT_MAX_RANK];
    memcpy(dim, first->dim, sizeof dim);
    for (int i = 1; i < c->n_in; i++) {
        const weft_tensor *x = &c->in[i];
        bool fits = x->rank == first->rank;
        for (int k = 0; fits && k < x->rank; k++) fits = k == axis || x->dim[k] == first->dim[k];
        if (!fits) {
            char a[WEFT_SHAPE_TEXT], b[WEFT_SHAPE_TEXT];
            return weft_fail(c, WEFT_ERR_SHAPE,
                             "input %d is %s: but for dimension %d it must be as the first, %s", i,
                             weft_shape_text(x, a), axis, weft_shape_text(first, b));
        }
        if (!weft_add_i64(dim[axis], x->dim[axis], &dim[axis]))
            return weft_fail(c, WEFT_ERR_OVERFLOW, "the sizes along dimension %d are too large",
                             axis);
    }
    return weft_out(c, 0, WEFT_REAL, first->rank, dim);
}

static void forward(const weft_call *c)
{
    const weft_tensor *y = &c->out[0];
    const weft_axis_view whole = weft_axis_view_of(y, *(const int *)c->attr);
    int64_t before = 0; /* elements of earlier inputs within one outer index */
    if (weft_size(y) == 0) return;
    for (int i = 0; i < c->n_in; i++) {
        const weft_tensor *x = &c->in[i];
        const int64_t C = weft_cols(x), R = weft_rows(x), R_each = R / whole.outer,
                      part = weft_size(x) / whole.outer;
#pragma omp parallel for schedule(static) num_threads(weft_team(R, R *C))
        for (int64_t r = 0; r < R; r++)
            memcpy(y->real + r / R_each * whole.n * whole.inner + before + r % R_each * C,
                   x->real + r * x->ld, (size_t)C * sizeof *x->real);
        before += part;
    }
}

static void vjp(weft_rule *r)
{
    const int rank = weft_shape(r->tape, r->in[0]).rank;
    const int axis =
        *(const int *)r->attr < 0 ? *(const int *)r->attr + rank : *(const int *)r->attr;
    int64_t from = 0;
    for (int i = 0; i < r->n_in; i++) {
        const int64_t to = from + weft_shape(r->tape, r->in[i]).dim[axis];
        if (r->wants[i]) r->din[i] = weft_slice(r->tape, r->dout[0], axis, from, to);
        from = to;
    }
}

static weft_var pair(weft_tape *t, weft_var a, weft_var b, int axis)
{
    return weft_concat(t, 2, (weft_var[]){ a, b }, axis);
}

static weft_var sample(weft_tape *t, int i)
{
    weft_var x, many[20];
    switch (i) {
    case 0:
        return pair(t, weft_sample_normal(t, WEFT_DIMS(3, 4)),
                    weft_sample_normal(t, WEFT_DIMS(3, 2)), 1);
    case 1:
        return pair(t, weft_sample_normal(t, WEFT_DIMS(3, 4)),
                    weft_sample_normal(t, WEFT_DIMS(1, 4)), 0);
    case 2:
        return pair(t, weft_sample_normal(t, WEFT_DIMS(2, 3, 4)),
                    weft_sample_normal(t, WEFT_DIMS(2, 1, 4)), 1);
    case 3:
        return pair(t, weft_sample_normal(t, WEFT_DIMS(2, 3, 1)),
                    weft_sample_normal(t, WEFT_DIMS(2, 3, 5)), -1);
    case 4:
        return pair(t, weft_sample_strided(t, WEFT_DIMS(3, 4)),
                    weft_sample_strided(t, WEFT_DIMS(3, 2)), 1);
    case 5:
        return pair(t, weft_sample_strided(t, WEFT_DIMS(2, 3, 4)),
                    weft_sample_normal(t, WEFT_DIMS(2, 2, 4)), -2);
    case 6: x = weft_sample_normal(t, WEFT_DIMS(5)); return weft_concat(t, 1, &x, 0);
    case 7:
        x = weft_sample_normal(t, WEFT_DIMS(2, 3));
        return weft_concat(t, 3, (weft_var[]){ x, weft_mul(t, x, x), x }, 0);
    case 8:
        for (int k = 0; k < 20; k++) many[k] = weft_sample_normal(t, WEFT_DIMS(2, 1 + k % 3));
        return weft_concat(t, 20, many, 1);
    case 9:
        return pair(t, weft_sample_uniform(t, -1e5, 1e5, WEFT_DIMS(1)),
                    weft_sample_normal(t, WEFT_DIMS(1)), 0);
    case 10: /* one of them is empty */
        return pair(t, weft_sample_normal(t, WEFT_DIMS(3, 2)),
                    weft_constant(t, WEFT_DIMS(3, 0), NULL), 1);
    default: return WEFT_NIL;
    }
}

static weft_var misuse(weft_tape *t, int i)
{
    const weft_var x = weft_sample_normal(t, WEFT_DIMS(2, 3));
    switch (i) {
    case 0: return pair(t, x, weft_sample_normal(t, WEFT_DIMS(3, 3)), 1);
    case 1: return pair(t, x, x, 2);
    case 2: return pair(t, x, weft_sample_normal(t, WEFT_DIMS(3)), 0);
    case 3: return pair(t, weft_scalar(t, 1), weft_scalar(t, 1), 0);
    case 4: return pair(t, x, WEFT_NIL, 0);
    case 5: return weft_concat(t, 0, NULL, 0);
    case 6: return pair(t, weft_sample_int(t, 0, 3, WEFT_DIMS(2, 3)), x, 0);
    default: return WEFT_NIL;
    }
}

const weft_op weft_op_concat = { .name = "concat",
                                 .inputs = "x",
                                 .n_in = -1,
                                 .strided = UINT32_MAX,
                                 .infer = infer,
                                 .forward = forward,
                                 .vjp = vjp,
                                 .sample = sample,
                                 .misuse = misuse };

weft_var weft_concat(weft_tape *tape, int n, const weft_var x[], int axis)
{
    return weft_apply1(tape, &weft_op_concat, n, x, &axis, sizeof axis);
}
