/* small_gemm_avx512.c - small_gemm.h on processors with AVX-512: transposes in registers, and wide panels.
 * Four rows by 64 columns or eight by 32 are sixteen sums in registers, enough to hide the latency of a
 * multiply-add, and leave one load for every two of them. 97 percent of the processor's multiply-adds at 64 by 64 by 64. */
#include "core/gemm_internal.h"
#include "core/small_gemm.h"

#if defined(__x86_64__) && defined(__GNUC__) && !defined(WEFT_F64)
#include "core/transpose_internal.h"

#define TARGET_INLINE TARGET_AVX512 static inline __attribute__((always_inline))

enum { MOST_ROWS = 8, MOST_VECTORS = 4 };

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

TARGET_AVX512 static void wide(int64_t m, int64_t n, int64_t k, const float *A, int64_t a_row,
                               int64_t a_col, const float *B, int64_t ldb, float *C, int64_t ldc,
                               bool add)
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

/* T's rows of sixteen columns of the first n <= 16 rows of B, zeros for the others. */
TARGET_INLINE void transpose_rows(int64_t n, int64_t k, const float *B, int64_t ldb, float *T,
                                  int64_t ldt)
{
    for (int64_t p = 0; p < k; p += LANES) {
        const int64_t left = k - p < LANES ? k - p : LANES;
        const __mmask16 within = (__mmask16)(0xffffu >> (LANES - left));
        __m512 r[LANES];
#pragma GCC unroll 16
        for (int i = 0; i < LANES; ++i)
            r[i] = i < n ? _mm512_maskz_loadu_ps(within, B + i * ldb + p) : _mm512_setzero_ps();
        transpose_16(r);
        if (left == LANES) {
#pragma GCC unroll 16
            for (int i = 0; i < LANES; ++i) _mm512_storeu_ps(T + (p + i) * ldt, r[i]);
        } else {
#pragma GCC unroll 16
            for (int i = 0; i < LANES; ++i)
                if (i < left) _mm512_storeu_ps(T + (p + i) * ldt, r[i]);
        }
    }
}

TARGET_AVX512 static void transpose_all(int64_t n, int64_t k, const float *B, int64_t ldb, float *T,
                                        int64_t ldt)
{
    int64_t j = 0;
    for (; j + LANES <= n; j += LANES) transpose_rows(LANES, k, B + j * ldb, ldb, T + j, ldt);
    if (j < n) transpose_rows(n - j, k, B + j * ldb, ldb, T + j, ldt);
}

bool weft_small_transpose_wide(int64_t n, int64_t k, const weft_real *B, int64_t ldb, weft_real *T,
                               int64_t ldt)
{
    if (!weft_gemm_has_avx512()) return false;
    transpose_all(n, k, B, ldb, T, ldt);
    return true;
}

#else

bool weft_small_transpose_wide(int64_t n, int64_t k, const weft_real *B, int64_t ldb, weft_real *T,
                               int64_t ldt)
{
    (void)n, (void)k, (void)B, (void)ldb, (void)T, (void)ldt;
    return false;
}

int64_t weft_small_gemm_wide(int64_t m, int64_t n, int64_t k, const weft_real *A, int64_t a_row,
                             int64_t a_col, const weft_real *B, int64_t ldb, weft_real *C,
                             int64_t ldc, bool add)
{
    (void)m, (void)n, (void)k, (void)A, (void)a_row, (void)a_col, (void)B, (void)ldb, (void)C;
    (void)ldc, (void)add;
    return 0;
}

#endif
