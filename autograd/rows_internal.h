/* rows_internal.h - what softmax and its kin do with one row; they become part of the kernel that
 * calls them, so that they get its instruction set. Not installed. */
#ifndef WEFT_ROWS_INTERNAL_H
#define WEFT_ROWS_INTERNAL_H

#include "core/vecmath.h"

/* The largest element, NaN left out; -inf for an empty row. */
WEFT_INLINE weft_real row_max(int64_t C, const weft_real *x)
{
    enum { LANES = 16 };
    weft_real max[LANES];
    int64_t k = 0;
    for (int i = 0; i < LANES; i++) max[i] = (weft_real)-INFINITY;
    for (; k + LANES <= C; k += LANES)
        for (int i = 0; i < LANES; i++) max[i] = x[k + i] > max[i] ? x[k + i] : max[i];
    for (int i = 0; k < C; k++, i++) max[i] = x[k] > max[i] ? x[k] : max[i];
    for (int i = 1; i < LANES; i++) max[0] = max[i] > max[0] ? max[i] : max[0];
    return max[0];
}

/* Sum in double, in eight chains added in a fixed order. */
WEFT_INLINE double row_sum(int64_t C, const weft_real *x)
{
    double s[8] = { 0 };
    int64_t k = 0;
    for (; k + 8 <= C; k += 8)
        for (int i = 0; i < 8; i++) s[i] += (double)x[k + i];
    for (int i = 0; k < C; k++, i++) s[i] += (double)x[k];
    return ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));
}

/* The sum of x y, in the same way. */
WEFT_INLINE double row_product(int64_t C, const weft_real *x, const weft_real *y)
{
    double s[8] = { 0 };
    int64_t k = 0;
    for (; k + 8 <= C; k += 8)
        for (int i = 0; i < 8; i++) s[i] += (double)x[k + i] * (double)y[k + i];
    for (int i = 0; k < C; k++, i++) s[i] += (double)x[k] * (double)y[k];
    return ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));
}

/* y = exp(x - max), and the sum of y. Where max is -inf nothing is subtracted: a row that is all
 * -inf gives zeros and the sum 0, a NaN stays NaN. */
WEFT_INLINE double row_exp(int64_t C, const weft_real *x, weft_real max, weft_real *y)
{
    const weft_real shift = max == (weft_real)-INFINITY ? 0 : max;
#pragma omp simd
    for (int64_t k = 0; k < C; k++) y[k] = real_exp(x[k] - shift);
    return row_sum(C, y);
}

#endif
