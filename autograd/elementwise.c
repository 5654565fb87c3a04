/* elementwise.c - loops of the elementwise operations: rows shared among threads, the operation's own
 * kernel within a row. */
#include "autograd/ops_internal.h"

enum { CHUNK = 4096 }; /* elements a kernel call, so that one long row is shared too */

bool weft_infer_unary(weft_call *c)
{
    return weft_out(c, 0, WEFT_REAL, c->in[0].rank, c->in[0].dim);
}

bool weft_infer_binary(weft_call *c)
{
    int rank;
    int64_t dim[WEFT_MAX_RANK];
    const weft_status status = weft_broadcast(&c->in[0], &c->in[1], &rank, dim);
    return status == WEFT_OK ? weft_out(c, 0, WEFT_REAL, rank, dim)
                             : weft_fail(c, status, "%s", weft_message());
}

/* Dense tensors are one row of all their elements. */
static void rows_and_columns(bool dense, const weft_tensor *y, int64_t *R, int64_t *C)
{
    *R = dense ? 1 : weft_rows(y);
    *C = dense ? weft_size(y) : weft_cols(y);
}

void weft_map_unary(const weft_call *c, weft_unary_kernel *f)
{
    const weft_tensor *x = &c->in[0], *y = &c->out[0];
    int64_t R, C;
    rows_and_columns(weft_is_dense(x), y, &R, &C);
    const int64_t n_chunks = (C + CHUNK - 1) / CHUNK;
#pragma omp parallel for schedule(static) num_threads(weft_team(R *n_chunks, 8 * R * C))
    for (int64_t i = 0; i < R * n_chunks; i++) {
        const int64_t r = i / n_chunks, from = i % n_chunks * CHUNK;
        const int64_t n = C - from < CHUNK ? C - from : CHUNK;
        f(n, x->real + r * x->ld + from, y->real + r * C + from, c->attr);
    }
}

void weft_map_unary_gradient(const weft_call *c, weft_unary_gradient *f)
{
    const weft_tensor *x = &c->in[0], *y = &c->out[0], *dx = &c->din[0], *dy = &c->dout[0];
    if (!dx->data) return;
    int64_t R, C;
    rows_and_columns(weft_is_dense(x) && weft_is_dense(dx), y, &R, &C);
    const int64_t n_chunks = (C + CHUNK - 1) / CHUNK;
#pragma omp parallel for schedule(static) num_threads(weft_team(R *n_chunks, 8 * R * C))
    for (int64_t i = 0; i < R * n_chunks; i++) {
        const int64_t r = i / n_chunks, from = i % n_chunks * CHUNK;
        const int64_t n = C - from < CHUNK ? C - from : CHUNK, at = r * C + from;
        f(n, x->real + r * x->ld + from, y->real + at, dy->real + at, c->add[0],
          dx->real + r * dx->ld + from, c->attr);
    }
}

weft_broadcast_rows weft_broadcast_rows_of(const weft_tensor *x, const weft_tensor *out)
{
    weft_broadcast_rows rows = { .rank = out->rank > 0 ? out->rank - 1 : 0,
                                 .last = weft_cols(x) > 1 };
    int64_t stride = x->ld;
    for (int i = 2; i <= out->rank; i++) { /* from the last but one dimension to the first */
        const int at = out->rank - i;
        const int64_t size = i <= x->rank ? x->dim[x->rank - i] : 1;
        rows.dim[at] = out->dim[at];
        rows.stride[at] = size > 1 ? stride : 0;
        stride *= size;
    }
    return rows;
}

int64_t weft_broadcast_row(const weft_broadcast_rows *rows, int64_t r)
{
    int64_t at = 0;
    for (int i = rows->rank - 1; i >= 0; i--) {
        at += r % rows->dim[i] * rows->stride[i];
        r /= rows->dim[i];
    }
    return at;
}

void weft_map_binary(const weft_call *c, weft_binary_kernel *f)
{
    const weft_tensor *a = &c->in[0], *b = &c->in[1], *y = &c->out[0];
    const bool plain = weft_same_shape(a, b) && weft_is_dense(a) && weft_is_dense(b);
    int64_t R, C;
    rows_and_columns(plain, y, &R, &C);
    const weft_broadcast_rows rows_a = weft_broadcast_rows_of(a, y),
                              rows_b = weft_broadcast_rows_of(b, y);
    const int64_t step_a = plain ? 1 : rows_a.last, step_b = plain ? 1 : rows_b.last;
    const int64_t n_chunks = (C + CHUNK - 1) / CHUNK;
#pragma omp parallel for schedule(static) num_threads(weft_team(R *n_chunks, 2 * R * C))
    for (int64_t i = 0; i < R * n_chunks; i++) {
        const int64_t r = i / n_chunks, from = i % n_chunks * CHUNK;
        const int64_t n = C - from < CHUNK ? C - from : CHUNK;
        const int64_t at_a = plain ? 0 : weft_broadcast_row(&rows_a, r),
                      at_b = plain ? 0 : weft_broadcast_row(&rows_b, r);
        f(n, a->real + at_a + from * step_a, step_a, b->real + at_b + from * step_b, step_b,
          y->real + r * C + from);
    }
}

int weft_axis(const weft_call *c, int axis, int rank)
{
    if (axis >= -rank && axis < rank) return axis < 0 ? axis + rank : axis;
    if (rank == 0)
        weft_fail(c, WEFT_ERR_RANGE, "axis %d: a scalar has none", axis);
    else
        weft_fail(c, WEFT_ERR_RANGE, "axis %d is not in -%d .. %d", axis, rank, rank - 1);
    return -1;
}

weft_axis_view weft_axis_view_of(const weft_tensor *x, int axis)
{
    weft_axis_view view = { 1, 1, 1 };
    if (axis < 0) axis += x->rank;
    for (int i = 0; i < x->rank; i++)
        *(i < axis ? &view.outer : i > axis ? &view.inner : &view.n) *= x->dim[i];
    return view;
}

bool weft_check_index(const weft_call *c, int input, int64_t n)
{
    const weft_tensor *index = &c->in[input];
    const int64_t size = weft_size(index);
    if (weft_call_is_dry(c)) return true;
    for (int64_t k = 0; k < size; k++)
        if (index->i32[k] < 0 || index->i32[k] >= n)
            return weft_fail(c, WEFT_ERR_RANGE, "index %d (element %lld) is not in 0 .. %lld",
                             (int)index->i32[k], (long long)k, (long long)n - 1);
    return true;
}

/* ---- reductions that undo broadcasting ------------------------------------------------------- */

weft_var weft_sum_like(weft_tape *tape, weft_var x, weft_var like)
{
    const weft_tensor from = weft_shape(tape, x), to = weft_shape(tape, like);
    if (weft_same_shape(&from, &to)) return x;
    uint32_t mask = 0;
    const int extra = from.rank - to.rank;
    for (int i = 0; i < from.rank; i++)
        if (i < extra || (to.dim[i - extra] == 1 && from.dim[i] != 1)) mask |= UINT32_C(1) << i;
    return weft_reshape(tape, weft_sum_axes(tape, x, mask, true), to.rank, to.dim);
}

weft_var weft_expand_like(weft_tape *tape, weft_var x, weft_var like)
{
    const weft_tensor from = weft_shape(tape, x), to = weft_shape(tape, like);
    return weft_same_shape(&from, &to) ? x : weft_expand(tape, x, to.rank, to.dim);
}
