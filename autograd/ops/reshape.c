/**
 * weft_reshape - the same elements in the same order under another shape; a view, no copy.
 *
 * @param x    any shape; a column slice is copied first unless the last dimension stays
 * @param dim  rank sizes; one of them may be -1: what is left over
 * @return     [dim[0], ..., dim[rank-1]]
 *
 * Gradient    dx = dy, reshaped back
 * Errors      WEFT_ERR_SHAPE  another number of elements, or more than one -1
 */
#include "autograd/ops_internal.h"

#include <string.h>

typedef struct shape_attr {
    int rank;
    int64_t dim[WEFT_MAX_RANK];
} shape_attr;

static bool infer(weft_call *c)
{
    const shape_attr *a = c->attr;
    const int64_t size = weft_size(&c->in[0]);
    int64_t dim[WEFT_MAX_RANK] = { 0 };
    weft_tensor known;
    int open = -1;
    if (a->rank < 0 || a->rank > WEFT_MAX_RANK)
        return weft_fail(c, WEFT_ERR_SHAPE, "rank %d is not in 0 .. %d", a->rank, WEFT_MAX_RANK);
    for (int i = 0; i < a->rank; i++) {
        dim[i] = a->dim[i];
        if (dim[i] != -1) continue;
        if (open >= 0)
            return weft_fail(c, WEFT_ERR_SHAPE, "dimensions %d and %d are both -1", open, i);
        open = i;
        dim[i] = 1;
    }
    const weft_status status = weft_tensor_init(&known, c->in[0].dtype, a->rank, dim);
    if (status != WEFT_OK) return weft_fail(c, status, "%s", weft_message());
    const int64_t product = weft_size(&known);
    if (open >= 0 && product > 0 && size % product == 0) dim[open] = size / product;
    if (!weft_out(c, 0, c->in[0].dtype, a->rank, dim)) return false;
    if (weft_size(&c->out[0]) != size) {
        char text[WEFT_SHAPE_TEXT];
        if (open >= 0) known.dim[open] = -1; /* the shape as it was asked for */
        return weft_fail(c, WEFT_ERR_SHAPE, "%lld elements do not make %s", (long long)size,
                         weft_shape_text(&known, text));
    }
    weft_alias(c, 0, 0, 0, weft_cols(&c->out[0]));
    return true;
}

static void vjp(weft_rule *r)
{
    const weft_tensor x = weft_shape(r->tape, r->in[0]);
    r->din[0] = weft_reshape(r->tape, r->dout[0], x.rank, x.dim);
}

static weft_var sample(weft_tape *t, int i)
{
    weft_var x;
    switch (i) {
    case 0: return weft_reshape(t, weft_sample_normal(t, WEFT_DIMS(3, 4)), WEFT_DIMS(12));
    case 1: return weft_reshape(t, weft_sample_normal(t, WEFT_DIMS(3, 4)), WEFT_DIMS(2, 2, 3));
    case 2: return weft_reshape(t, weft_sample_normal(t, WEFT_DIMS(3, 4)), WEFT_DIMS(-1, 2));
    case 3: return weft_reshape(t, weft_sample_normal(t, WEFT_DIMS(1)), 0, NULL);
    case 4: return weft_reshape(t, weft_sample_normal(t, 0, NULL), WEFT_DIMS(1, 1, 1));
    case 5: return weft_reshape(t, weft_sample_strided(t, WEFT_DIMS(4, 6)), WEFT_DIMS(8, 3));
    case 6: return weft_reshape(t, weft_sample_strided(t, WEFT_DIMS(2, 3, 4)), WEFT_DIMS(6, 4));
    case 7:
        x = weft_sample_normal(t, WEFT_DIMS(2, 6));
        return weft_mul(t, weft_reshape(t, x, WEFT_DIMS(3, 4)),
                        weft_reshape(t, x, WEFT_DIMS(3, 4)));
    case 8: return weft_reshape(t, weft_sample_normal(t, WEFT_DIMS(2, 2, 2, 2)), WEFT_DIMS(4, -1));
    case 9: /* columns of a reshaped value: the gradient is written in place */
        x = weft_reshape(t, weft_sample_normal(t, WEFT_DIMS(4, 6)), WEFT_DIMS(8, 3));
        return weft_mul(t, weft_slice(t, x, 1, 0, 1), weft_slice(t, x, 1, 1, 3));
    default: return WEFT_NIL;
    }
}

static weft_var misuse(weft_tape *t, int i)
{
    const weft_var x = weft_sample_normal(t, WEFT_DIMS(2, 3));
    switch (i) {
    case 0: return weft_reshape(t, x, WEFT_DIMS(2, 2));
    case 1: return weft_reshape(t, x, WEFT_DIMS(-1, -1));
    case 2: return weft_reshape(t, x, WEFT_DIMS(4, -1));
    case 3: return weft_reshape(t, x, WEFT_DIMS(2, -3));
    case 4: return weft_reshape(t, x, 9, (int64_t[9]){ 1, 1, 1, 1, 1, 1, 1, 2, 3 });
    case 5: return weft_reshape(t, x, WEFT_DIMS(INT64_MAX, INT64_MAX));
    default: return WEFT_NIL;
    }
}

const weft_op weft_op_reshape = { .name = "reshape",
                                  .inputs = "x",
                                  .n_in = 1,
                                  .any_type = 1,
                                  .infer = infer,
                                  .vjp = vjp,
                                  .sample = sample,
                                  .misuse = misuse };

weft_var weft_reshape(weft_tape *tape, weft_var x, int rank, const int64_t dim[])
{
    shape_attr attr = { .rank = rank };
    if (rank > 0 && rank <= WEFT_MAX_RANK) memcpy(attr.dim, dim, (size_t)rank * sizeof *dim);
    return weft_apply1(tape, &weft_op_reshape, 1, &x, &attr, sizeof attr);
}
