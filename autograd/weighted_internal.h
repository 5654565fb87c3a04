/* weighted_internal.h - products with weights, of which some are exactly 0 because a key is not seen; they
 * become part of the kernel that calls them. Not installed. */
#ifndef WEFT_WEIGHTED_INTERNAL_H
#define WEFT_WEIGHTED_INTERNAL_H

#include "core/small_gemm.h"

WEFT_INLINE bool all_finite(int64_t R, int64_t C, const weft_real *x, int64_t ld)
{
    int bad = 0;
    for (int64_t r = 0; r < R; r++)
        for (int64_t c = 0; c < C; c++) bad |= !(x[r * ld + c] - x[r * ld + c] == 0);
    return !bad;
}

/* C[m, n] (+)= A B, with A's element (i, k) at a[i a_row + k a_col]: what is exactly 0 in A adds
 * nothing, not even times a NaN or an infinity in B, so that these stay with those who see them. */
WEFT_INLINE void sparse_product(int64_t m, int64_t n, int64_t k, const weft_real *a, int64_t a_row,
                                int64_t a_col, const weft_real *b, int64_t ldb, weft_real *c,
                                int64_t ldc, bool add)
{
    for (int64_t i = 0; i < m; i++) {
        for (int64_t j = 0; j < n && !add; j++) c[i * ldc + j] = 0;
        for (int64_t p = 0; p < k; p++)
            if (a[i * a_row + p * a_col] != 0)
                small_step(n, a[i * a_row + p * a_col], b + p * ldb, c + i * ldc, false);
    }
}

/* The same, by the dense product where that gives the same: 0 times a number is 0. `dense`: no weight is
 * 0 for want of sight. */
WEFT_INLINE void product_of_weights(bool dense, int64_t m, int64_t n, int64_t k, const weft_real *a,
                                    int64_t a_row, int64_t a_col, const weft_real *b, int64_t ldb,
                                    weft_real *c, int64_t ldc, bool add)
{
    if (dense || all_finite(k, n, b, ldb))
        small_gemm_strided(m, n, k, a, a_row, a_col, b, ldb, c, ldc, add);
    else
        sparse_product(m, n, k, a, a_row, a_col, b, ldb, c, ldc, add);
}

#endif
