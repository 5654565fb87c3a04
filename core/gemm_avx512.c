/* gemm_avx512.c - the product of floats on processors with AVX-512.
 *
 * BLIS transposes its rows of A into panels and pays for it at the widths of small models, 128 to 512.
 * Here only B is packed: a panel of 32 columns, K at most 384 deep, in the second cache. Twelve rows of A
 * are copied as they lie, into the first, and multiplied tile by tile (gemm_tile_internal.h; Goto and
 * van de Geijn 2008, Anatomy of high-performance matrix multiplication).
 *
 * An element's sum is one chain of fused multiply-adds over k, begun at 0 for each 384 of K (or for a rest
 * of up to 480) and then added to C. That depends on neither M, N nor the tile, and is what BLIS's kernel
 * skx computes. */
#include "core/gemm_internal.h"

#if defined(__x86_64__) && defined(__GNUC__) && !defined(WEFT_F64)
#include "core/gemm_tile_internal.h"

#include <string.h>

enum { DEPTH = 384, MOST_DEPTH = 480 };
/* Rows of the copy of A are this far apart: not a power of 2, so that they do not share cache sets. */
enum { A_ROW = MOST_DEPTH + LANES };

/* What is packed lies in memory of the thread: products run in many threads at a time. */
static _Thread_local struct {
    _Alignas(64) float b[WIDTH / COLS][MOST_DEPTH * COLS];
    _Alignas(64) float a[ROWS * A_ROW];
} packed;

TILE_INLINE __m512 step(__m512 sum, __m512 x, __m512 y) { return _mm512_fmadd_ps(x, y, sum); }

/* From the copy of A: by rows, or (transposed) by steps of k. */
TARGET_AVX512 static void tile_of_rows(int64_t K, const float *b, int n_rows, const target *t)
{
    tile_any(step, K, packed.a, A_ROW, 1, b, n_rows, t);
}

TARGET_AVX512 static void tile_of_columns(int64_t K, const float *b, int n_rows, const target *t)
{
    tile_any(step, K, packed.a, 1, ROWS, b, n_rows, t);
}

/* ---- packing ------------------------------------------------------------------------------------- */

/* Sixteen columns of B, whose rows are here ldb apart, as sixteen steps of k. The processor does not
 * foresee these rows: those of the next panel are asked for. */
TARGET_AVX512 static void transpose(const float *b, int64_t ldb, float *to)
{
    __m512 r[LANES];
#pragma GCC unroll 16
    for (int i = 0; i < LANES; ++i) {
        r[i] = _mm512_loadu_ps(b + i * ldb);
        _mm_prefetch((const char *)(b + (i + COLS) * ldb), _MM_HINT_T0);
    }
    transpose_16(r);
#pragma GCC unroll 16
    for (int i = 0; i < LANES; ++i) _mm512_store_ps(to + i * COLS, r[i]);
}

/* A panel [K, COLS] of n columns of B, zeros behind them. */
TARGET_AVX512 static void pack_b(bool trans, int64_t K, int n, const float *B, int64_t ldb,
                                 float *to)
{
    for (int64_t k = 0; k < K && !trans; ++k) {
        const __m512 left = _mm512_maskz_loadu_ps(first(n), B + k * ldb);
        const __m512 right = _mm512_maskz_loadu_ps(first(n - LANES), B + k * ldb + LANES);
        _mm512_store_ps(to + k * COLS, left);
        _mm512_store_ps(to + k * COLS + LANES, right);
    }
    for (int j = 0; j < COLS && trans; j += LANES) {
        int64_t k = 0;
        for (; j + LANES <= n && k + LANES <= K; k += LANES)
            transpose(B + j * ldb + k, ldb, to + k * COLS + j);
        for (; k < K; ++k)
            for (int i = j; i < j + LANES; ++i) to[k * COLS + i] = i < n ? B[i * ldb + k] : 0;
    }
}

/* n rows of A, K deep: rows stay rows; of a transposed A each k gives its n values. What lies behind
 * them is old, and computes what nobody writes. */
TARGET_AVX512 static void copy_a(bool trans, int64_t K, int n, const float *A, int64_t lda)
{
    for (int i = 0; i < n && !trans; ++i)
        memcpy(packed.a + i * A_ROW, A + i * lda, (size_t)K * sizeof *A);
    for (int64_t k = 0; k < K && trans; ++k) {
        const __m512 x = _mm512_maskz_loadu_ps(first(n), A + k * lda);
        _mm512_mask_storeu_ps(packed.a + k * ROWS, first(ROWS), x);
    }
}

/* ---- the product --------------------------------------------------------------------------------- */

/* Columns col .. col + n - 1 of C, `depth` steps from `from` on. */
static void block(const weft_gemm_args *g, int64_t col, int64_t n, int64_t from, int64_t depth)
{
    for (int64_t j = 0; j < n; j += COLS) {
        const float *b = g->B + (g->trans_b ? (col + j) * g->ldb + from : from * g->ldb + col + j);
        pack_b(g->trans_b, depth, (int)least(COLS, n - j), b, g->ldb, packed.b[j / COLS]);
    }
    for (int64_t row = 0; row < g->M; row += ROWS) {
        const int n_rows = (int)least(ROWS, g->M - row);
        copy_a(g->trans_a, depth, n_rows,
               g->A + (g->trans_a ? from * g->lda + row : row * g->lda + from), g->lda);
        for (int64_t j = 0; j < n; j += COLS) {
            const target t = { g->C + row * g->ldc + col + j, g->ldc, (int)least(COLS, n - j),
                               g->beta != 0 || from > 0, g->alpha };
            (g->trans_a ? tile_of_columns : tile_of_rows)(depth, packed.b[j / COLS], n_rows, &t);
        }
    }
}

void weft_gemm_avx512(const weft_gemm_args *g)
{
    for (int64_t col = 0; col < g->N; col += WIDTH)
        for (int64_t from = 0, depth; from < g->K; from += depth) {
            depth = g->K - from <= MOST_DEPTH ? g->K - from : DEPTH;
            block(g, col, least(WIDTH, g->N - col), from, depth);
        }
}

bool weft_gemm_has_avx512(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
}

#else

bool weft_gemm_has_avx512(void) { return false; }
void weft_gemm_avx512(const weft_gemm_args *g) { weft_gemm_reference(g); }

#endif
