/**
 * weft_contiguous - a dense copy of a column slice (of integers or reals).
 *
 *     y = x
 *
 * The tape puts it in front of kernels that do not read rows by their stride, so it is seldom called
 * by hand.
 *
 * @param x  any shape
 * @return   the same shape, dense
 *
 * Gradient  dx = dy
 */
#include "autograd/ops_internal.h"

#include <string.h>

static bool infer(weft_call *c)
{
    return weft_out(c, 0, c->in[0].dtype, c->in[0].rank, c->in[0].dim);
}

static void forward(const weft_call *c)
{
    const weft_tensor *x = &c->in[0], *y = &c->out[0];
    const int64_t R = weft_rows(y), C = weft_cols(y),
                  each_bytes = (int64_t)weft_dtype_bytes(y->dtype);
#pragma omp parallel for schedule(static) num_threads(weft_team(R, R *C))
    for (int64_t r = 0; r < R; r++)
        memcpy(y->byte + r * C * each_bytes, x->byte + r * x->ld * each_bytes,
               (size_t)(C * each_bytes));
}

static void vjp(weft_rule *r) { r->din[0] = r->dout[0]; }

static weft_var sample(weft_tape *t, int i)
{
    switch (i) {
    case 0: return weft_contiguous(t, weft_sample_strided(t, WEFT_DIMS(4, 5)));
    case 1: return weft_contiguous(t, weft_sample_strided(t, WEFT_DIMS(2, 3, 4)));
    case 2: return weft_contiguous(t, weft_sample_strided(t, WEFT_DIMS(7)));
    case 3: return weft_contiguous(t, weft_sample_normal(t, WEFT_DIMS(3, 4)));
    case 4: return weft_contiguous(t, weft_sample_normal(t, 0, NULL));
    case 5: return weft_contiguous(t, weft_sample_strided(t, WEFT_DIMS(1, 1)));
    case 6: return weft_contiguous(t, weft_sample_strided(t, WEFT_DIMS(2, 2, 2, 3)));
    case 7: return weft_contiguous(t, weft_sample_normal(t, WEFT_DIMS(1)));
    case 8: return weft_contiguous(t, weft_sample_strided(t, WEFT_DIMS(31, 1)));
    case 9: return weft_contiguous(t, weft_sample_uniform(t, -1e5, 1e5, WEFT_DIMS(5, 2)));
    default: return WEFT_NIL;
    }
}

static weft_var misuse(weft_tape *t, int i)
{
    return i == 0 ? weft_contiguous(t, WEFT_NIL) : WEFT_NIL;
}

const weft_op weft_op_contiguous = { .name = "contiguous",
                                     .inputs = "x",
                                     .n_in = 1,
                                     .any_type = 1,
                                     .strided = 1,
                                     .infer = infer,
                                     .forward = forward,
                                     .vjp = vjp,
                                     .sample = sample,
                                     .misuse = misuse };

weft_var weft_contiguous(weft_tape *tape, weft_var x)
{
    return weft_apply1(tape, &weft_op_contiguous, 1, &x, NULL, 0);
}
