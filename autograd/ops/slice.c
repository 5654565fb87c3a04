/**
 * weft_slice - the part [from, to) of one dimension.
 *
 * Along the first and the last dimension it is a view: rows keep the stride of x. The gradients of
 * column slices of one value are written side by side into that value's gradient, without copies.
 *
 * @param x         [..., n, ...]
 * @param axis      -rank .. rank-1
 * @param from, to  0 <= from <= to <= n
 * @return          [..., to - from, ...]
 *
 * Gradient         dx = dy with zeros around
 * Errors           WEFT_ERR_RANGE  axis or bounds;  WEFT_ERR_SHAPE  x is a scalar
 */
#include "autograd/ops_internal.h"

#include <string.h>

typedef struct slice_attr {
    int axis;
    int64_t from, to;
} slice_attr;

static bool infer(weft_call *c)
{
    const slice_attr *a = c->attr;
    const weft_tensor *x = &c->in[0];
    if (x->rank == 0) return weft_fail(c, WEFT_ERR_SHAPE, "a scalar has no part");
    const int axis = weft_axis(c, a->axis, x->rank);
    if (axis < 0) return false;
    if (a->from < 0 || a->from > a->to || a->to > x->dim[axis])
        return weft_fail(c, WEFT_ERR_RANGE,
                         "[%lld, %lld) is no part of dimension %d, which has %lld",
                         (long long)a->from, (long long)a->to, axis, (long long)x->dim[axis]);
    int64_t dim[WEFT_MAX_RANK];
    memcpy(dim, x->dim, sizeof dim);
    dim[axis] = a->to - a->from;
    if (!weft_out(c, 0, x->dtype, x->rank, dim)) return false;
    if (axis == x->rank - 1) {
        weft_alias(c, 0, 0, a->from, x->ld);
    } else if (axis == 0) {
        const int64_t rows = x->dim[0] ? weft_rows(x) / x->dim[0] : 0; /* of one piece */
        weft_alias(c, 0, 0, a->from * rows * x->ld, x->ld);
    }
    return true;
}

/* Only for dimensions between the first and the last: `outer` pieces, each of rows that lie together. */
static void forward(const weft_call *c)
{
    const slice_attr *a = c->attr;
    const weft_tensor *x = &c->in[0], *y = &c->out[0];
    const int axis = a->axis < 0 ? a->axis + x->rank : a->axis;
    if (axis == x->rank - 1 || axis == 0) return; /* a view */
    const int64_t C = weft_cols(y);
    const size_t each_bytes = weft_dtype_bytes(y->dtype);
    int64_t outer = 1, inner = 1; /* inner: rows below the axis */
    for (int i = 0; i < axis; i++) outer *= x->dim[i];
    for (int i = axis + 1; i + 1 < x->rank; i++) inner *= x->dim[i];
    const int64_t n = (a->to - a->from) * inner;
    for (int64_t o = 0; o < outer; o++) {
        const int64_t row = (o * x->dim[axis] + a->from) * inner;
        for (int64_t r = 0; r < n; r++)
            memcpy(y->byte + (size_t)((o * n + r) * C) * each_bytes,
                   x->byte + (size_t)((row + r) * x->ld) * each_bytes, (size_t)C * each_bytes);
    }
}

static void vjp(weft_rule *r)
{
    const slice_attr *a = r->attr;
    const weft_tensor x = weft_shape(r->tape, r->in[0]);
    const int axis = a->axis < 0 ? a->axis + x.rank : a->axis;
    r->din[0] = weft_pad(r->tape, r->dout[0], axis, a->from, x.dim[axis] - a->to);
}

static weft_var sample(weft_tape *t, int i)
{
    weft_var x;
    switch (i) {
    case 0: return weft_slice(t, weft_sample_normal(t, WEFT_DIMS(3, 6)), 1, 2, 5);
    case 1: return weft_slice(t, weft_sample_normal(t, WEFT_DIMS(5, 3)), 0, 1, 4);
    case 2: return weft_slice(t, weft_sample_normal(t, WEFT_DIMS(2, 5, 3)), 1, 1, 3);
    case 3: return weft_slice(t, weft_sample_normal(t, WEFT_DIMS(2, 5, 3)), -1, 0, 3);
    case 4: return weft_slice(t, weft_sample_strided(t, WEFT_DIMS(4, 5)), 0, 1, 3);
    case 5: return weft_slice(t, weft_sample_strided(t, WEFT_DIMS(4, 5)), 1, 1, 4);
    case 6: return weft_slice(t, weft_sample_normal(t, WEFT_DIMS(1)), 0, 0, 1);
    case 7: /* q, k, v of one product: three slices that fill the gradient */
        x = weft_sample_normal(t, WEFT_DIMS(4, 9));
        return weft_mul(t, weft_slice(t, x, 1, 0, 3),
                        weft_mul(t, weft_slice(t, x, 1, 3, 6), weft_slice(t, x, 1, 6, 9)));
    case 8: /* slices that overlap */
        x = weft_sample_normal(t, WEFT_DIMS(3, 5));
        return weft_mul(t, weft_slice(t, x, 1, 0, 3), weft_slice(t, x, 1, 2, 5));
    case 9: /* a slice and the whole */
        x = weft_sample_normal(t, WEFT_DIMS(3, 4));
        return weft_mul(t, x, weft_slice(t, x, 1, 1, 2));
    case 10: return weft_slice(t, weft_sample_normal(t, WEFT_DIMS(2, 3, 4, 2)), 2, 1, 3);
    case 11: /* the same slice twice */
        x = weft_sample_normal(t, WEFT_DIMS(3, 4));
        return weft_mul(t, weft_slice(t, x, 1, 1, 3), weft_slice(t, x, 1, 1, 3));
    default: return WEFT_NIL;
    }
}

static weft_var misuse(weft_tape *t, int i)
{
    const weft_var x = weft_sample_normal(t, WEFT_DIMS(2, 3));
    switch (i) {
    case 0: return weft_slice(t, x, 2, 0, 1);
    case 1: return weft_slice(t, x, -3, 0, 1);
    case 2: return weft_slice(t, x, 1, 0, 4);
    case 3: return weft_slice(t, x, 1, 2, 1);
    case 4: return weft_slice(t, x, 0, -1, 1);
    case 5: return weft_slice(t, weft_sample_normal(t, 0, NULL), 0, 0, 1);
    default: return WEFT_NIL;
    }
}

const weft_op weft_op_slice = { .name = "slice",
                                .inputs = "x",
                                .n_in = 1,
                                .any_type = 1,
                                .strided = 1,
                                .infer = infer,
                                .forward = forward,
                                .vjp = vjp,
                                .sample = sample,
                                .misuse = misuse };

weft_var weft_slice(weft_tape *tape, weft_var x, int axis, int64_t from, int64_t to)
{
    const slice_attr attr = { axis, from, to };
    return weft_apply1(tape, &weft_op_slice, 1, &x, &attr, sizeof attr);
}
