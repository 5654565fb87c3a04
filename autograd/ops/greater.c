/**
 * weft_greater - elementwise comparison with NumPy broadcasting.
 *
 *     y = 1 where a > b, else 0 (also where one of them is NaN)
 *
 * @param a, b  shapes that broadcast
 * @return      int32, the broadcast shape
 *
 * Gradient     none: the result is an integer
 * Errors       WEFT_ERR_SHAPE  the shapes do not broadcast
 */
#include "autograd/ops_internal.h"

static bool infer(weft_call *c)
{
    int rank;
    int64_t dim[WEFT_MAX_RANK];
    const weft_status status = weft_broadcast(&c->in[0], &c->in[1], &rank, dim);
    return status == WEFT_OK ? weft_out(c, 0, WEFT_INT32, rank, dim)
                             : weft_fail(c, status, "%s", weft_message());
}

static void forward(const weft_call *c)
{
    const weft_tensor *a = &c->in[0], *b = &c->in[1], *y = &c->out[0];
    const weft_broadcast_rows rows_a = weft_broadcast_rows_of(a, y),
                              rows_b = weft_broadcast_rows_of(b, y);
    const int64_t R = weft_rows(y), C = weft_cols(y);
#pragma omp parallel for schedule(static) num_threads(weft_team(R, 2 * R * C))
    for (int64_t r = 0; r < R; r++) {
        const weft_real *row_a = a->real + weft_broadcast_row(&rows_a, r),
                        *row_b = b->real + weft_broadcast_row(&rows_b, r);
        for (int64_t k = 0; k < C; k++)
            y->i32[r * C + k] = row_a[k * rows_a.last] > row_b[k * rows_b.last];
    }
}

/* Seen through where, so that there is a gradient to check, by both inputs on either side. Random
 * values keep off the jump at a = b. */
static weft_var either(weft_tape *t, weft_var a, weft_var b)
{
    return weft_where(t, weft_greater(t, a, b), weft_mul(t, a, b), weft_sub(t, a, b));
}

static weft_var sample(weft_tape *t, int i) { return weft_sample_binary(t, i, either, -2, 2); }

static weft_var misuse(weft_tape *t, int i) { return weft_misuse_binary(t, i, weft_greater); }

const weft_op weft_op_greater = { .name = "greater",
                                  .inputs = "a b",
                                  .n_in = 2,
                                  .strided = 3,
                                  .infer = infer,
                                  .forward = forward,
                                  .sample = sample,
                                  .misuse = misuse };

weft_var weft_greater(weft_tape *tape, weft_var a, weft_var b)
{
    return weft_apply1(tape, &weft_op_greater, 2, (weft_var[]){ a, b }, NULL, 0);
}
