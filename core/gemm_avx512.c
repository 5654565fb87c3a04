/* gemm_avx512.c - the product of floats on processors with AVX-512.
 *
 * BLIS transposes its rows of A into panels and pays for it at the widths of small models, 128 to 512.
 * Here only B is packed: a panel of 32 columns, K at most 384 deep, in the second cache. Twelve rows of A
 * are copied as they lie, into the first, where one broadcast serves two multiply-adds: 24 sums stay in
 * registers (Goto and van de Geijn 2008, Anatomy of high-performance matrix multiplication).
 *
 * An element's sum is one chain of fused multiply-adds over k, begun at 0 for each 384 of K (or for a rest
 * of up to 480) and then added to C. That depends on neither M, N nor the tile, and is what BLIS's kernel
 * skx computes. */
#include "core/gemm_internal.h"

#if defined(__x86_64__) && defined(__GNUC__) && !defined(WEFT_F64)
#include <immintrin.h>
#include <string.h>

#define TARGET __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,fma")))
#define TARGET_INLINE TARGET static inline __attribute__((always_inline))

enum { LANES = 16, COLS = 32, ROWS = 12, FEW_ROWS = 4, DEPTH = 384, MOST_DEPTH = 480, WIDTH = 256 };
/* Rows of the copy of A are this far apart: not a power of 2, so that they do not share cache sets. */
enum { A_ROW = MOST_DEPTH + LANES };

/* What is packed lies in memory of the thread: products run in many threads at a time. */
static _Thread_local struct {
    _Alignas(64) float b[WIDTH / COLS][MOST_DEPTH * COLS];
    _Alignas(64) float a[ROWS * A_ROW];
} packed;

/* Where a tile of C goes: its first element, and how it is written. */
typedef struct target {
    float *C;
    int64_t ldc;
    int n_cols; /* at most COLS */
    bool add;
    float alpha;
} target;

static __mmask16 first(int n)
{
    return n >= LANES ? 0xffff : (__mmask16)((1u << (n < 0 ? 0 : n)) - 1);
}

TARGET_INLINE void write_row(const target *t, int64_t row, __m512 left, __m512 right)
{
    const __mmask16 in_left = first(t->n_cols), in_right = first(t->n_cols - LANES);
    float *c = t->C + row * t->ldc;
    if (t->alpha != 1) {
        left = _mm512_mul_ps(left, _mm512_set1_ps(t->alpha));
        right = _mm512_mul_ps(right, _mm512_set1_ps(t->alpha));
    }
    if (t->add) {
        left = _mm512_add_ps(_mm512_maskz_loadu_ps(in_left, c), left);
        right = _mm512_add_ps(_mm512_maskz_loadu_ps(in_right, c + LANES), right);
    }
    _mm512_mask_storeu_ps(c, in_left, left);
    _mm512_mask_storeu_ps(c + LANES, in_right, right);
}

/* `rows` rows (a constant) of a tile over K steps; element (i, k) of A is a[i a_row + k a_col]. */
TARGET_INLINE void tile(const int rows, int64_t K, const float *a, int64_t a_row, int64_t a_col,
                        const float *b, int n_rows, const target *t)
{
    __m512 left[ROWS], right[ROWS];
#pragma GCC unroll 12
    for (int i = 0; i < rows; ++i) left[i] = right[i] = _mm512_setzero_ps();
    for (int64_t k = 0; k < K; ++k) {
        const __m512 b_left = _mm512_load_ps(b + k * COLS);
        const __m512 b_right = _mm512_load_ps(b + k * COLS + LANES);
#pragma GCC unroll 12
        for (int i = 0; i < rows; ++i) {
            const __m512 x = _mm512_set1_ps(a[i * a_row + k * a_col]);
            left[i] = _mm512_fmadd_ps(x, b_left, left[i]);
            right[i] = _mm512_fmadd_ps(x, b_right, right[i]);
        }
    }
#pragma GCC unroll 12
    for (int i = 0; i < rows; ++i)
        if (i < n_rows) write_row(t, i, left[i], right[i]);
}

/* A tile of n_rows rows, at most ROWS, from the copy of A: by rows, or (transposed) by steps of k. */
TARGET_INLINE void tile_any(int64_t K, const float *a, int64_t a_row, int64_t a_col, const float *b,
                            int n_rows, const target *t)
{
    if (n_rows == ROWS) {
        tile(ROWS, K, a, a_row, a_col, b, ROWS, t);
        return;
    }
    target part = *t;
    for (int i = 0; i < n_rows; i += FEW_ROWS) {
        tile(FEW_ROWS, K, a + i * a_row, a_row, a_col, b, n_rows - i, &part);
        part.C += FEW_ROWS * part.ldc;
    }
}

TARGET static void tile_of_rows(int64_t K, const float *b, int n_rows, const target *t)
{
    tile_any(K, packed.a, A_ROW, 1, b, n_rows, t);
}

TARGET static void tile_of_columns(int64_t K, const float *b, int n_rows, const target *t)
{
    tile_any(K, packed.a, 1, ROWS, b, n_rows, t);
}

/* ---- packing ------------------------------------------------------------------------------------- */

/* Sixteen rows of sixteen, ldb apart, become sixteen rows of a panel: pairs, fours, then quarters. */
TARGET static void transpose_16(const float *b, int64_t ldb, float *to)
{
    __m512 r[LANES], s[LANES];
#pragma GCC unroll 16
    for (int i = 0; i < LANES; ++i) r[i] = _mm512_loadu_ps(b + i * ldb);
#pragma GCC unroll 8
    for (int i = 0; i < LANES; i += 2) {
        s[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
        s[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < LANES; i += 4) {
        const __m512d s0 = _mm512_castps_pd(s[i]), s1 = _mm512_castps_pd(s[i + 1]);
        const __m512d s2 = _mm512_castps_pd(s[i + 2]), s3 = _mm512_castps_pd(s[i + 3]);
        r[i] = _mm512_castpd_ps(_mm512_unpacklo_pd(s0, s2));
        r[i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(s0, s2));
        r[i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(s1, s3));
        r[i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(s1, s3));
    }
    /* Quarter g of r[4 i + j] is column 4 g + j of rows 4 i .. 4 i + 3. */
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
        const __m512 even_top = _mm512_shuffle_f32x4(r[j], r[4 + j], 0x88);
        const __m512 odd_top = _mm512_shuffle_f32x4(r[j], r[4 + j], 0xdd);
        const __m512 even_end = _mm512_shuffle_f32x4(r[8 + j], r[12 + j], 0x88);
        const __m512 odd_end = _mm512_shuffle_f32x4(r[8 + j], r[12 + j], 0xdd);
        _mm512_store_ps(to + j * COLS, _mm512_shuffle_f32x4(even_top, even_end, 0x88));
        _mm512_store_ps(to + (4 + j) * COLS, _mm512_shuffle_f32x4(odd_top, odd_end, 0x88));
        _mm512_store_ps(to + (8 + j) * COLS, _mm512_shuffle_f32x4(even_top, even_end, 0xdd));
        _mm512_store_ps(to + (12 + j) * COLS, _mm512_shuffle_f32x4(odd_top, odd_end, 0xdd));
    }
}

/* A panel [K, COLS] of n columns of B, zeros behind them. */
TARGET static void pack_b(bool trans, int64_t K, int n, const float *B, int64_t ldb, float *to)
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
            transpose_16(B + j * ldb + k, ldb, to + k * COLS + j);
        for (; k < K; ++k)
            for (int i = j; i < j + LANES; ++i) to[k * COLS + i] = i < n ? B[i * ldb + k] : 0;
    }
}

/* n rows of A, K deep: rows stay rows; of a transposed A each k gives its n values. What lies behind
 * them is old, and computes what nobody writes. */
TARGET static void copy_a(bool trans, int64_t K, int n, const float *A, int64_t lda)
{
    for (int i = 0; i < n && !trans; ++i)
        memcpy(packed.a + i * A_ROW, A + i * lda, (size_t)K * sizeof *A);
    for (int64_t k = 0; k < K && trans; ++k) {
        const __m512 x = _mm512_maskz_loadu_ps(first(n), A + k * lda);
        _mm512_mask_storeu_ps(packed.a + k * ROWS, first(ROWS), x);
    }
}

/* ---- the product --------------------------------------------------------------------------------- */

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

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
