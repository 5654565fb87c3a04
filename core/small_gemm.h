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

/* Two rows of C and four steps of k: eight products for four loads of B and two of C. a is the first
 * row's first value, its rows a_row and its columns a_col apart; fresh begins the chains at 0. */
WEFT_INLINE void small_rows_2(int64_t n, const weft_real *a, int64_t a_row, int64_t a_col,
                              const weft_real *b, int64_t ldb, weft_real *c, int64_t ldc,
                              bool fresh)
{
    const weft_real p0 = a[0], p1 = a[a_col], p2 = a[2 * a_col], p3 = a[3 * a_col];
    const weft_real *q = a + a_row;
    const weft_real q0 = q[0], q1 = q[a_col], q2 = q[2 * a_col], q3 = q[3 * a_col];
    const weft_real *b1 = b + ldb, *b2 = b + 2 * ldb, *b3 = b + 3 * ldb;
    weft_real *d = c + ldc;
#pragma omp simd
    for (int64_t j = 0; j < n; ++j) {
        weft_real s = fresh ? 0 : c[j], t = fresh ? 0 : d[j];
        s = SMALL_FMA(p0, b[j], s);
        t = SMALL_FMA(q0, b[j], t);
        s = SMALL_FMA(p1, b1[j], s);
        t = SMALL_FMA(q1, b1[j], t);
        s = SMALL_FMA(p2, b2[j], s);
        t = SMALL_FMA(q2, b2[j], t);
        c[j] = SMALL_FMA(p3, b3[j], s);
        d[j] = SMALL_FMA(q3, b3[j], t);
    }
}

/* One row and four steps of k. */
WEFT_INLINE void small_row(int64_t n, const weft_real *a, int64_t a_col, const weft_real *b,
                           int64_t ldb, weft_real *c, bool fresh)
{
    const weft_real p0 = a[0], p1 = a[a_col], p2 = a[2 * a_col], p3 = a[3 * a_col];
    const weft_real *b1 = b + ldb, *b2 = b + 2 * ldb, *b3 = b + 3 * ldb;
#pragma omp simd
    for (int64_t j = 0; j < n; ++j) {
        weft_real s = fresh ? 0 : c[j];
        s = SMALL_FMA(p0, b[j], s);
        s = SMALL_FMA(p1, b1[j], s);
        s = SMALL_FMA(p2, b2[j], s);
        c[j] = SMALL_FMA(p3, b3[j], s);
    }
}

/* One row and one step of k: what four leaves over. */
WEFT_INLINE void small_step(int64_t n, weft_real a, const weft_real *b, weft_real *c, bool fresh)
{
#pragma omp simd
    for (int64_t j = 0; j < n; ++j) c[j] = SMALL_FMA(a, b[j], fresh ? 0 : c[j]);
}

/* C[m, n] (+)= A[m, k] B[k, n] with A's rows a_row and its columns a_col apart. */
WEFT_INLINE void small_gemm_strided(int64_t m, int64_t n, int64_t k, const weft_real *A,
                                    int64_t a_row, int64_t a_col, const weft_real *B, int64_t ldb,
                                    weft_real *C, int64_t ldc, bool add)
{
    if (k == 0 && !add)
        for (int64_t i = 0; i < m; ++i)
            for (int64_t j = 0; j < n; ++j) C[i * ldc + j] = 0;
    const int64_t k_4 = k - k % 4;
    int64_t i = 0;
    for (; i + 2 <= m; i += 2) {
        const weft_real *a = A + i * a_row;
        weft_real *c = C + i * ldc;
        if (k_4 > 0) {
            if (add)
                small_rows_2(n, a, a_row, a_col, B, ldb, c, ldc, false);
            else
                small_rows_2(n, a, a_row, a_col, B, ldb, c, ldc, true);
        }
        for (int64_t p = 4; p < k_4; p += 4)
            small_rows_2(n, a + p * a_col, a_row, a_col, B + p * ldb, ldb, c, ldc, false);
    }
    if (i < m && k_4 > 0) {
        if (add)
            small_row(n, A + i * a_row, a_col, B, ldb, C + i * ldc, false);
        else
            small_row(n, A + i * a_row, a_col, B, ldb, C + i * ldc, true);
        for (int64_t p = 4; p < k_4; p += 4)
            small_row(n, A + i * a_row + p * a_col, a_col, B + p * ldb, ldb, C + i * ldc, false);
    }
    for (int64_t p = k_4; p < k; ++p)
        for (int64_t r = 0; r < m; ++r)
            small_step(n, A[r * a_row + p * a_col], B + p * ldb, C + r * ldc, !add && p == 0);
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
    int64_t p = 0;
    for (; p + 4 <= k; p += 4) {
        const weft_real *b = B + p;
        weft_real *t0 = T + p * ldt, *t1 = t0 + ldt, *t2 = t1 + ldt, *t3 = t2 + ldt;
#pragma omp simd
        for (int64_t j = 0; j < n; ++j) {
            t0[j] = b[j * ldb];
            t1[j] = b[j * ldb + 1];
            t2[j] = b[j * ldb + 2];
            t3[j] = b[j * ldb + 3];
        }
    }
    for (; p < k; ++p)
        for (int64_t j = 0; j < n; ++j) T[p * ldt + j] = B[j * ldb + p];
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
