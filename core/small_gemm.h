/* small_gemm.h - products of small matrices inside a kernel: heads of attention, a sentence of a
 * dozen tokens, where a call of BLIS costs more than the product (internal, not installed).
 *
 * Row-major with leading dimensions in elements; no two operands overlap; any size may be 0. Each
 * element of C is one chain of fused multiply-adds over k from 0 upwards, begun at 0 or (add) at
 * the old C: its bits depend on its row of A and its column of B alone, not on m, n, the blocks
 * below or the instruction set. That is also what BLIS computes for K within one of its blocks.
 *
 * Where the buffers are yours, let n be a multiple of 16 (zeros behind): 13 columns take longer
 * than 16. Call them from a function marked WEFT_KERNEL. Without FMA in the processor they are right but
 * slow (libm's fma). */
#ifndef WEFT_SMALL_GEMM_H
#define WEFT_SMALL_GEMM_H

#include "core/core.h"
#include "core/kernel.h"

#include <math.h>

#ifdef WEFT_F64
#define SMALL_FMA fma
#else
#define SMALL_FMA fmaf
#endif

enum { SMALL_LANES = 16, SMALL_ROWS = 6 };

/** The leading columns of the product below that wider registers take, a multiple of 32: how many, 0
 *  where this processor has none. The bits are the same. (small_gemm_avx512.c) */
int64_t weft_small_gemm_wide(int64_t m, int64_t n, int64_t k, const weft_real *A, int64_t a_row,
                             int64_t a_col, const weft_real *B, int64_t ldb, weft_real *C,
                             int64_t ldc, bool add);

/** T [k, columns] = B [n, k]^T, zeros behind column n up to the next multiple of 16, by wider registers;
 *  false where this processor has none: then nothing was done. */
bool weft_small_transpose_wide(int64_t n, int64_t k, const weft_real *B, int64_t ldb, weft_real *T,
                               int64_t ldt);

/* `rows` rows of C by `lanes` columns (constants, at most SMALL_ROWS and SMALL_LANES), over all of k: the
 * sums stay in registers, of AVX2 just so. */
WEFT_INLINE void small_tile(const int rows, const int lanes, int64_t k, const weft_real *a,
                            int64_t a_row, int64_t a_col, const weft_real *b, int64_t ldb,
                            weft_real *c, int64_t ldc, bool add)
{
    weft_real sum[SMALL_ROWS][SMALL_LANES];
#pragma GCC unroll 6
    for (int i = 0; i < rows; ++i) {
#pragma omp simd
        for (int l = 0; l < lanes; ++l) sum[i][l] = add ? c[i * ldc + l] : 0;
    }
    for (int64_t p = 0; p < k; ++p) {
#pragma GCC unroll 6
        for (int i = 0; i < rows; ++i) {
            const weft_real x = a[i * a_row + p * a_col];
#pragma omp simd
            for (int l = 0; l < lanes; ++l) sum[i][l] = SMALL_FMA(x, b[p * ldb + l], sum[i][l]);
        }
    }
#pragma GCC unroll 6
    for (int i = 0; i < rows; ++i) {
#pragma omp simd
        for (int l = 0; l < lanes; ++l) c[i * ldc + l] = sum[i][l];
    }
}

/* c[j] (+)= a b[j] for one row and one step of k. */
WEFT_INLINE void small_step(int64_t n, weft_real a, const weft_real *b, weft_real *c, bool fresh)
{
#pragma omp simd
    for (int64_t j = 0; j < n; ++j) c[j] = SMALL_FMA(a, b[j], fresh ? 0 : c[j]);
}

/* All rows of `lanes` columns. */
WEFT_INLINE void small_panel(const int lanes, int64_t m, int64_t k, const weft_real *a,
                             int64_t a_row, int64_t a_col, const weft_real *b, int64_t ldb,
                             weft_real *c, int64_t ldc, bool add)
{
    int64_t i = 0;
    for (; i + SMALL_ROWS <= m; i += SMALL_ROWS)
        small_tile(SMALL_ROWS, lanes, k, a + i * a_row, a_row, a_col, b, ldb, c + i * ldc, ldc,
                   add);
    for (; i + 2 <= m; i += 2)
        small_tile(2, lanes, k, a + i * a_row, a_row, a_col, b, ldb, c + i * ldc, ldc, add);
    if (i < m) small_tile(1, lanes, k, a + i * a_row, a_row, a_col, b, ldb, c + i * ldc, ldc, add);
}

/* C[m, n] (+)= A[m, k] B[k, n] with A's rows a_row and its columns a_col apart. */
WEFT_INLINE void small_gemm_strided(int64_t m, int64_t n, int64_t k, const weft_real *A,
                                    int64_t a_row, int64_t a_col, const weft_real *B, int64_t ldb,
                                    weft_real *C, int64_t ldc, bool add)
{
    int64_t j = n < 2 * SMALL_LANES
                    ? 0
                    : weft_small_gemm_wide(m, n, k, A, a_row, a_col, B, ldb, C, ldc, add);
    for (; j + SMALL_LANES <= n; j += SMALL_LANES)
        small_panel(SMALL_LANES, m, k, A, a_row, a_col, B + j, ldb, C + j, ldc, add);
    if (j + SMALL_LANES / 2 <= n) {
        small_panel(SMALL_LANES / 2, m, k, A, a_row, a_col, B + j, ldb, C + j, ldc, add);
        j += SMALL_LANES / 2;
    }
    for (; j < n; ++j) small_panel(1, m, k, A, a_row, a_col, B + j, ldb, C + j, ldc, add);
}

/** C[m, n] (+)= A[m, k] B[k, n]. */
WEFT_INLINE void small_gemm_nn(int64_t m, int64_t n, int64_t k, const weft_real *A, int64_t lda,
                               const weft_real *B, int64_t ldb, weft_real *C, int64_t ldc, bool add)
{
    small_gemm_strided(m, n, k, A, lda, 1, B, ldb, C, ldc, add);
}

/** C[m, n] (+)= A[k, m]^T B[k, n]. */
WEFT_INLINE void small_gemm_tn(int64_t m, int64_t n, int64_t k, const weft_real *A, int64_t lda,
                               const weft_real *B, int64_t ldb, weft_real *C, int64_t ldc, bool add)
{
    small_gemm_strided(m, n, k, A, 1, lda, B, ldb, C, ldc, add);
}

/** T[k, n] = B[n, k]^T, rows of T ldt apart. For the keys of several blocks of queries: transpose
 *  once, then small_gemm_nn. */
WEFT_INLINE void small_transpose(int64_t n, int64_t k, const weft_real *B, int64_t ldb,
                                 weft_real *T, int64_t ldt)
{
    int64_t j = 0;
    for (; j + SMALL_LANES <= n; j += SMALL_LANES)
        for (int64_t p = 0; p < k; ++p) {
            weft_real column[SMALL_LANES];
#pragma GCC unroll 16
            for (int l = 0; l < SMALL_LANES; ++l) column[l] = B[(j + l) * ldb + p];
            for (int l = 0; l < SMALL_LANES; ++l) T[p * ldt + j + l] = column[l];
        }
    for (; j < n; ++j)
        for (int64_t p = 0; p < k; ++p) T[p * ldt + j] = B[j * ldb + p];
}

/** C[m, n] (+)= A[m, k] B[n, k]^T; `scratch` holds n k values. */
WEFT_INLINE void small_gemm_nt(int64_t m, int64_t n, int64_t k, const weft_real *A, int64_t lda,
                               const weft_real *B, int64_t ldb, weft_real *C, int64_t ldc, bool add,
                               weft_real *scratch)
{
    small_transpose(n, k, B, ldb, scratch, n);
    small_gemm_strided(m, n, k, A, lda, 1, scratch, n, C, ldc, add);
}

#endif
