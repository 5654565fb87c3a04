/**
 * weft_where - choose element by element, with NumPy broadcasting.
 *
 *     y = a where condition != 0, else b
 *
 * @param condition  int32; shapes of all three broadcast
 * @param a, b       what is not chosen may be inf or NaN: it reaches neither y nor a gradient
 * @return           the broadcast shape
 *
 * Gradient          da = dy where chosen, else 0; db = dy where not; each summed over the dimensions
 *                   along which it was broadcast
 * Errors            WEFT_ERR_SHAPE  the shapes do not broadcast
 */
#include "autograd/ops_internal.h"

static bool infer(weft_call *c)
{
    int rank;
    int64_t dim[WEFT_MAX_RANK];
    weft_tensor both;
    weft_status status = weft_broadcast(&c->in[1], &c->in[2], &rank, dim);
    if (status == WEFT_OK) status = weft_tensor_init(&both, WEFT_REAL, rank, dim);
    if (status == WEFT_OK) status = weft_broadcast(&c->in[0], &both, &rank, dim);
    return status == WEFT_OK ? weft_out(c, 0, WEFT_REAL, rank, dim)
                             : weft_fail(c, status, "%s", weft_message());
}

static void forward(const weft_call *c)
{
    const weft_tensor *condition = &c->in[0], *a = &c->in[1], *b = &c->in[2], *y = &c->out[0];
    const weft_broadcast_rows rows_c = weft_broadcast_rows_of(condition, y),
                              rows_a = weft_broadcast_rows_of(a, y),
                              rows_b = weft_broadcast_rows_of(b, y);
    const int64_t R = weft_rows(y), C = weft_cols(y);
#pragma omp parallel for schedule(static) num_threads(weft_team(R, 3 * R * C))
    for (int64_t r = 0; r < R; r++) {
        const int32_t *row_c = condition->i32 + weft_broadcast_row(&rows_c, r);
        const weft_real *row_a = a->real + weft_broadcast_row(&rows_a, r),
                        *row_b = b->real + weft_broadcast_row(&rows_b, r);
        for (int64_t k = 0; k < C; k++)
            y->real[r * C + k] =
                row_c[k * rows_c.last] ? row_a[k * rows_a.last] : row_b[k * rows_b.last];
    }
}

static void vjp(weft_rule *r)
{
    weft_tape *t = r->tape;
    const weft_var condition = r->in[0], dy = r->dout[0], zero = weft_scalar(t, 0);
    if (r->wants[1]) r->din[1] = weft_sum_like(t, weft_where(t, condition, dy, zero), r->in[1]);
    if (r->wants[2]) r->din[2] = weft_sum_like(t, weft_where(t, condition, zero, dy), r->in[2]);
}

static weft_var coin(weft_tape *t, int rank, const int64_t dim[])
{
    return weft_sample_int(t, 0, 2, rank, dim);
}

static weft_var sample(weft_tape *t, int i)
{
    weft_var x;
    switch (i) {
    case 0:
        return weft_where(t, coin(t, WEFT_DIMS(3, 4)), weft_sample_normal(t, WEFT_DIMS(3, 4)),
                          weft_sample_normal(t, WEFT_DIMS(3, 4)));
    case 1:
        return weft_where(t, weft_constant_int(t, 0, NULL, (int32_t[]){ 1 }),
                          weft_sample_normal(t, 0, NULL), weft_scalar(t, 3));
    case 2:
        return weft_where(t, coin(t, WEFT_DIMS(6)), weft_sample_normal(t, WEFT_DIMS(2, 6)),
                          weft_scalar(t, 0));
    case 3:
        return weft_where(t, coin(t, WEFT_DIMS(3, 5)), weft_sample_normal(t, WEFT_DIMS(5)),
                          weft_sample_normal(t, WEFT_DIMS(2, 1, 1)));
    case 4:
        return weft_where(t, coin(t, WEFT_DIMS(4, 5)), weft_sample_strided(t, WEFT_DIMS(4, 5)),
                          weft_sample_normal(t, WEFT_DIMS(4, 5)));
    case 5:
        return weft_where(t, coin(t, WEFT_DIMS(3, 1)), weft_sample_strided(t, WEFT_DIMS(2, 3, 5)),
                          weft_sample_strided(t, WEFT_DIMS(3, 5)));
    case 6:
        x = weft_sample_normal(t, WEFT_DIMS(3, 3));
        return weft_where(t, coin(t, WEFT_DIMS(3, 3)), x, x);
    case 7:
        x = weft_sample_normal(t, WEFT_DIMS(7));
        return weft_mul(t, x, weft_where(t, coin(t, WEFT_DIMS(7)), weft_mul(t, x, x), x));
    case 8:
        return weft_where(t, coin(t, WEFT_DIMS(9)), weft_sample_uniform(t, -1e4, 1e4, WEFT_DIMS(9)),
                          weft_sample_normal(t, WEFT_DIMS(9)));
    case 9: /* columns of integers */
        return weft_where(t, weft_slice(t, coin(t, WEFT_DIMS(4, 6)), 1, 1, 4),
                          weft_sample_normal(t, WEFT_DIMS(4, 3)),
                          weft_sample_normal(t, WEFT_DIMS(4, 3)));
    default: return WEFT_NIL;
    }
}

static weft_var misuse(weft_tape *t, int i)
{
    const weft_var x = weft_sample_normal(t, WEFT_DIMS(2, 3)), c = coin(t, WEFT_DIMS(2, 3));
    switch (i) {
    case 0: return weft_where(t, c, x, weft_sample_normal(t, WEFT_DIMS(2, 4)));
    case 1: return weft_where(t, coin(t, WEFT_DIMS(2)), x, x);
    case 2: return weft_where(t, x, x, x);
    case 3: return weft_where(t, c, c, x);
    case 4: return weft_where(t, c, x, WEFT_NIL);
    default: return WEFT_NIL;
    }
}

const weft_op weft_op_where = { .name = "where",
                                .inputs = "condition a b",
                                .n_in = 3,
                                .integer = 1,
                                .strided = 7,
                                .infer = infer,
                                .forward = forward,
                                .vjp = vjp,
                                .sample = sample,
                                .misuse = misuse };

weft_var weft_where(weft_tape *tape, weft_var condition, weft_var a, weft_var b)
{
    return weft_apply1(tape, &weft_op_where, 3, (weft_var[]){ condition, a, b }, NULL, 0);
}
