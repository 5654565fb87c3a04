/**
 * weft_expand - repeat along dimensions of size 1 (and new leading ones), as broadcasting does.
 *
 * @param x    a shape that broadcasts to dim without growing it
 * @param dim  rank sizes
 * @return     [dim[0], ..., dim[rank-1]]
 *
 * Gradient    dx = the sum of dy over the repeated dimensions
 * Errors      WEFT_ERR_SHAPE  x does not broadcast to this shape
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
    weft_tensor want;
    int rank;
    int64_t dim[WEFT_MAX_RANK];
    weft_status status = weft_tensor_init(&want, WEFT_REAL, a->rank, a->dim);
    if (status == WEFT_OK) status = weft_broadcast(&c->in[0], &want, &rank, dim);
    if (status != WEFT_OK) return weft_fail(c, status, "%s", weft_message());
    if (!weft_out(c, 0, WEFT_REAL, rank, dim)) return false;
    if (!weft_same_shape(&c->out[0], &want)) {
        char text[WEFT_SHAPE_TEXT];
        return weft_fail(c, WEFT_ERR_SHAPE, "does not broadcast to %s",
                         weft_shape_text(&want, text));
    }
    return true;
}

static void forward(const weft_call *c)
{
    const weft_tensor *x = &c->in[0], *y = &c->out[0];
    const weft_broadcast_rows rows = weft_broadcast_rows_of(x, y);
    const int64_t R = weft_rows(y), C = weft_cols(y);
#pragma omp parallel for schedule(static) num_threads(weft_team(R, R *C))
    for (int64_t r = 0; r < R; r++) {
        const weft_real *from = x->real + weft_broadcast_row(&rows, r);
        for (int64_t k = 0; k < C; k++) y->real[r * C + k] = from[k * rows.last];
    }
}

static void vjp(weft_rule *r) { r->din[0] = weft_sum_like(r->tape, r->dout[0], r->in[0]); }

static weft_var sample(weft_tape *t, int i)
{
    weft_var x;
    switch (i) {
    case 0: return weft_expand(t, weft_sample_normal(t, WEFT_DIMS(3, 1)), WEFT_DIMS(3, 4));
    case 1: return weft_expand(t, weft_sample_normal(t, WEFT_DIMS(4)), WEFT_DIMS(3, 4));
    case 2: return weft_expand(t, weft_sample_normal(t, 0, NULL), WEFT_DIMS(2, 3));
    case 3: return weft_expand(t, weft_sample_normal(t, WEFT_DIMS(2, 1, 3)), WEFT_DIMS(2, 4, 3));
    case 4: return weft_expand(t, weft_sample_normal(t, WEFT_DIMS(3, 4)), WEFT_DIMS(3, 4));
    case 5: return weft_expand(t, weft_sample_strided(t, WEFT_DIMS(1, 5)), WEFT_DIMS(4, 5));
    case 6: return weft_expand(t, weft_sample_strided(t, WEFT_DIMS(4, 1)), WEFT_DIMS(2, 4, 5));
    case 7: return weft_expand(t, weft_sample_normal(t, WEFT_DIMS(1)), WEFT_DIMS(1));
    case 8:
        x = weft_expand(t, weft_sample_normal(t, WEFT_DIMS(1, 3)), WEFT_DIMS(2, 3));
        return weft_mul(t, x, x);
    case 9:
        return weft_expand(t, weft_sample_uniform(t, -1e4, 1e4, WEFT_DIMS(1, 2, 1)),
                           WEFT_DIMS(3, 2, 2));
    default: return WEFT_NIL;
    }
}

static weft_var misuse(weft_tape *t, int i)
{
    const weft_var x = weft_sample_normal(t, WEFT_DIMS(2, 3));
    switch (i) {
    case 0: return weft_expand(t, x, WEFT_DIMS(2, 4));
    case 1: return weft_expand(t, x, WEFT_DIMS(3));
    case 2: return weft_expand(t, x, WEFT_DIMS(1, 3));
    case 3: return weft_expand(t, x, 9, (int64_t[9]){ 1, 1, 1, 1, 1, 1, 1, 2, 3 });
    case 4: return weft_expand(t, weft_sample_normal(t, WEFT_DIMS(1)), WEFT_DIMS(INT64_MAX));
    default: return WEFT_NIL;
    }
}

const weft_op weft_op_expand = { .name = "expand",
                                 .inputs = "x",
                                 .n_in = 1,
                                 .strided = 1,
                                 .infer = infer,
                                 .forward = forward,
                                 .vjp = vjp,
                                 .sample = sample,
                                 .misuse = misuse };

weft_var weft_expand(weft_tape *tape, weft_var x, int rank, const int64_t dim[])
{
    shape_attr attr = { .rank = rank };
    if (rank > 0 && rank <= WEFT_MAX_RANK) memcpy(attr.dim, dim, (size_t)rank * sizeof *dim);
    return weft_apply1(tape, &weft_op_expand, 1, &x, &attr, sizeof attr);
}
