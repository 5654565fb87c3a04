/**
 * weft_sinusoid - the fixed position encoding of Vaswani et al. 2017, section 3.5.
 *
 *     y[n, 2i] = sin(p / 10000^(2i/D)),   y[n, 2i+1] = cos(p / 10000^(2i/D)),   p = rows[n, 1]
 *
 * @param rows  int32 [N, 2]: sentence and position (>= 0) of each row
 * @param D     >= 1
 * @return      [N, D]; a constant: there is nothing to differentiate
 *
 * Errors       WEFT_ERR_SHAPE  rows or D;  WEFT_ERR_RANGE  a negative position
 */
#include "autograd/ops_internal.h"

#include <math.h>
#include <string.h>

typedef struct sinusoid_attr {
    int64_t D;
} sinusoid_attr;

/* Most sentences are shorter than this: their rows are copied from a table made once a call. */
enum { TABLE = 256 };

static bool infer(weft_call *c)
{
    const sinusoid_attr *a = c->attr;
    const weft_tensor *rows = &c->in[0];
    if (rows->rank != 2 || rows->dim[1] != 2)
        return weft_fail(c, WEFT_ERR_SHAPE, "rows must be [N, 2]: sentence and position");
    if (a->D < 1) return weft_fail(c, WEFT_ERR_SHAPE, "D is %lld", (long long)a->D);
    for (int64_t n = 0; !weft_call_is_dry(c) && n < rows->dim[0]; n++)
        if (rows->i32[n * rows->ld + 1] < 0)
            return weft_fail(c, WEFT_ERR_RANGE, "position %d of row %lld is negative",
                             rows->i32[n * rows->ld + 1], (long long)n);
    if (!weft_out(c, 0, WEFT_REAL, 2, (int64_t[]){ rows->dim[0], a->D })) return false;
    c->scratch_bytes = (size_t)a->D * (sizeof(double) + TABLE * sizeof(weft_real));
    return true;
}

static void encode(int64_t p, int64_t D, const double *frequency, weft_real *row)
{
    for (int64_t i = 0; i < D; i += 2) {
        const double angle = (double)p * frequency[i / 2];
        row[i] = (weft_real)sin(angle);
        if (i + 1 < D) row[i + 1] = (weft_real)cos(angle);
    }
}

static void forward(const weft_call *c)
{
    const int64_t D = ((const sinusoid_attr *)c->attr)->D, N = c->in[0].dim[0];
    const weft_tensor *rows = &c->in[0];
    double *frequency = c->scratch;
    weft_real *table = (void *)(frequency + D);
    int64_t longest = 0; /* rows of the table that are needed */
    for (int64_t n = 0; n < N; n++) {
        const int64_t p = rows->i32[n * rows->ld + 1];
        if (p < TABLE && p >= longest) longest = p + 1;
    }
    for (int64_t i = 0; i < D; i += 2) frequency[i / 2] = pow(10000.0, -(double)i / (double)D);
#pragma omp parallel for schedule(static) num_threads(weft_team(longest, 64 * longest * D))
    for (int64_t p = 0; p < longest; p++) encode(p, D, frequency, table + p * D);
#pragma omp parallel for schedule(static) num_threads(weft_team(N, N *D))
    for (int64_t n = 0; n < N; n++) {
        const int64_t p = rows->i32[n * rows->ld + 1];
        weft_real *y = c->out[0].real + n * D;
        if (p < TABLE)
            memcpy(y, table + p * D, (size_t)D * sizeof *y);
        else
            encode(p, D, frequency, y);
    }
}

static weft_var sample(weft_tape *t, int i)
{
    static const int64_t N[] = { 1, 5, 3, 2, 4, 1, 7, 2, 33, 3 };
    static const int64_t D[] = { 1, 4, 7, 128, 2, 3, 6, 16, 5, 8 };
    static const int32_t high[] = { 1, 5, 300, 9, 100000, 257, 2, 256, 40, 1 };
    if (i >= 10) return WEFT_NIL;
    return weft_sinusoid(t, weft_sample_int(t, 0, high[i], WEFT_DIMS(N[i], 2)), D[i]);
}

static weft_var misuse(weft_tape *t, int i)
{
    switch (i) {
    case 0: return weft_sinusoid(t, weft_sample_int(t, 0, 3, WEFT_DIMS(4)), 4);
    case 1: return weft_sinusoid(t, weft_sample_int(t, 0, 3, WEFT_DIMS(4, 2)), 0);
    case 2: return weft_sinusoid(t, weft_sample_int(t, -3, -1, WEFT_DIMS(4, 2)), 4);
    case 3: return weft_sinusoid(t, weft_sample_normal(t, WEFT_DIMS(4, 2)), 4);
    default: return WEFT_NIL;
    }
}

const weft_op weft_op_sinusoid = { .name = "sinusoid",
                                   .inputs = "rows",
                                   .n_in = 1,
                                   .integer = 1,
                                   .strided = 1,
                                   .infer = infer,
                                   .forward = forward,
                                   .sample = sample,
                                   .misuse = misuse };

weft_var weft_sinusoid(weft_tape *tape, weft_var rows, int64_t D)
{
    const sinusoid_attr attr = { D };
    return weft_apply1(tape, &weft_op_sinusoid, 1, &rows, &attr, sizeof attr);
}
