/* gemm_bf16.c - the product of floats whose operands are rounded to bfloat16, on processors with
 * AVX512_BF16: twice the multiply-adds of gemm_avx512.c, and half the memory packed.
 *
 * It has that file's structure. Operands are rounded (to nearest, ties to even) while they are packed,
 * and lie there in words of two, k and k + 1; vdpbf16ps adds both products to a float. So K may be twice
 * as deep in the same cache.
 *
 * An element's sum is one chain of fused multiply-adds over the pairs of k, in each pair k + 1 before k
 * (as the instruction has it), begun at 0 for each 768 of K (or for a rest of up to 960) and then added
 * to C. That depends on neither M, N nor the tile. The instructions take numbers below 2^-126 for 0. */
#include "core/gemm_internal.h"

#if defined(__x86_64__) && defined(__GNUC__) && !defined(WEFT_F64)
#include "core/gemm_tile_internal.h"

#define TARGET_BF16 __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx512bf16,fma")))
#define BF16_INLINE TARGET_BF16 static inline __attribute__((always_inline))

enum { DEPTH = 768, MOST_DEPTH = 960, MOST_PAIRS = MOST_DEPTH / 2 };
/* Rows of the copy of A are this far apart: not a power of 2, so that they do not share cache sets. */
enum { A_ROW = MOST_PAIRS + LANES };

/* Words of two bfloat16 each, k in the low half; a float is what the tile takes a word for. */
static _Thread_local struct {
    _Alignas(64) float b[WIDTH / COLS][MOST_PAIRS * COLS];
    _Alignas(64) float a[ROWS * A_ROW];
} packed;

BF16_INLINE __m512 step(__m512 sum, __m512 x, __m512 y)
{
    return _mm512_dpbf16_ps(sum, (__m512bh)x, (__m512bh)y);
}

TARGET_BF16 static void tile_of_rows(int64_t n, const float *b, int n_rows, const target *t)
{
    tile_any(step, n, packed.a, A_ROW, 1, b, n_rows, t);
}

TARGET_BF16 static void tile_of_columns(int64_t n, const float *b, int n_rows, const target *t)
{
    tile_any(step, n, packed.a, 1, ROWS, b, n_rows, t);
}

/* ---- packing ------------------------------------------------------------------------------------- */

/* Up to 32 neighbours along k, zeros behind them, as sixteen words. */
BF16_INLINE __m512 pairs_along(const float *x, int64_t n)
{
    const __m512 low = _mm512_maskz_loadu_ps(first(n), x);
    const __m512 high = _mm512_maskz_loadu_ps(first(n - LANES), x + LANES);
    return (__m512)_mm512_cvtne2ps_pbh(high, low);
}

/* Step k, and k + 1 (NULL behind the last) of the columns in `in`: word j is of column j. */
BF16_INLINE __m512 pairs_across(__mmask16 in, const float *even, const float *odd)
{
    static const _Alignas(64) uint16_t order[2 * LANES] = { 0,  16, 1,  17, 2,  18, 3,  19,
                                                            4,  20, 5,  21, 6,  22, 7,  23,
                                                            8,  24, 9,  25, 10, 26, 11, 27,
                                                            12, 28, 13, 29, 14, 30, 15, 31 };
    const __m512 low = _mm512_maskz_loadu_ps(in, even);
    const __m512 high = odd ? _mm512_maskz_loadu_ps(in, odd) : _mm512_setzero_ps();
    return (__m512)_mm512_permutexvar_epi16(_mm512_load_si512(order),
                                            (__m512i)_mm512_cvtne2ps_pbh(high, low));
}

/* A panel [pairs of K, COLS] of n columns of B, zeros behind them. */
TARGET_BF16 static void pack_b_rows(int64_t K, int n, const float *B, int64_t ldb, float *to)
{
    for (int64_t k = 0; k < K; k += 2, to += COLS) {
        const float *even = B + k * ldb, *odd = k + 1 < K ? even + ldb : NULL;
        _mm512_store_ps(to, pairs_across(first(n), even, odd));
        _mm512_store_ps(to + LANES,
                        pairs_across(first(n - LANES), even + LANES, odd ? odd + LANES : NULL));
    }
}

/* The same of a transposed B, whose columns lie along k. */
TARGET_BF16 static void pack_b_columns(int64_t K, int n, const float *B, int64_t ldb, float *to)
{
    for (int j = 0; j < COLS; j += LANES)
        for (int64_t k = 0; k < K; k += 2 * LANES) {
            __m512 r[LANES];
#pragma GCC unroll 16
            for (int i = 0; i < LANES; ++i)
                r[i] = j + i < n ? pairs_along(B + (j + i) * ldb + k, K - k) : _mm512_setzero_ps();
            transpose_16(r);
#pragma GCC unroll 16
            for (int i = 0; i < LANES; ++i) _mm512_store_ps(to + (k / 2 + i) * COLS + j, r[i]);
        }
}

/* n rows of A, K deep: rows stay rows; of a transposed A each pair of k gives its n words. What lies
 * behind them is old, and computes what nobody writes. */
TARGET_BF16 static void copy_a(bool trans, int64_t K, int n, const float *A, int64_t lda)
{
    for (int i = 0; i < n && !trans; ++i)
        for (int64_t k = 0; k < K; k += 2 * LANES)
            _mm512_storeu_ps(packed.a + i * A_ROW + k / 2, pairs_along(A + i * lda + k, K - k));
    for (int64_t k = 0; k < K && trans; k += 2) {
        const float *even = A + k * lda, *odd = k + 1 < K ? even + lda : NULL;
        _mm512_mask_storeu_ps(packed.a + k / 2 * ROWS, first(ROWS),
                              pairs_across(first(n), even, odd));
    }
}

/* ---- the product --------------------------------------------------------------------------------- */

/* Columns col .. col + n - 1 of C, `depth` steps from `from` on. */
static void block(const weft_gemm_args *g, int64_t col, int64_t n, int64_t from, int64_t depth)
{
    for (int64_t j = 0; j < n; j += COLS) {
        const float *b = g->B + (g->trans_b ? (col + j) * g->ldb + from : from * g->ldb + col + j);
        (g->trans_b ? pack_b_columns : pack_b_rows)(depth, (int)least(COLS, n - j), b, g->ldb,
                                                    packed.b[j / COLS]);
    }
    for (int64_t row = 0; row < g->M; row += ROWS) {
        const int n_rows = (int)least(ROWS, g->M - row);
        copy_a(g->trans_a, depth, n_rows,
               g->A + (g->trans_a ? from * g->lda + row : row * g->lda + from), g->lda);
        for (int64_t j = 0; j < n; j += COLS) {
            const target t = { g->C + row * g->ldc + col + j, g->ldc, (int)least(COLS, n - j),
                               g->beta != 0 || from > 0, g->alpha };
            (g->trans_a ? tile_of_columns : tile_of_rows)((depth + 1) / 2, packed.b[j / COLS],
                                                          n_rows, &t);
        }
    }
}

void weft_gemm_bf16(const weft_gemm_args *g)
{
    for (int64_t col = 0; col < g->N; col += WIDTH)
        for (int64_t from = 0, depth; from < g->K; from += depth) {
            depth = g->K - from <= MOST_DEPTH ? g->K - from : DEPTH;
            block(g, col, least(WIDTH, g->N - col), from, depth);
        }
}

bool weft_gemm_has_bf16(void)
{
    __builtin_cpu_init();
    return weft_gemm_has_avx512() && __builtin_cpu_supports("avx512bf16");
}

#else

bool weft_gemm_has_bf16(void) { return false; }
void weft_gemm_bf16(const weft_gemm_args *g) { weft_gemm_reference(g); }

#endif
