/* gemm_tile_internal.h - a tile of C in the registers of AVX-512: what the products of floats
 * (gemm_avx512.c) and of bfloat16 (gemm_bf16.c) have in common (not installed).
 *
 * Both multiply words of 32 bits, sixteen at a time: a float, or two neighbours of bfloat16. The one
 * broadcast of A's word serves two multiply-adds, and 24 sums stay in registers. */
#ifndef WEFT_GEMM_TILE_INTERNAL_H
#define WEFT_GEMM_TILE_INTERNAL_H

#include "core/gemm_internal.h"
#include "core/transpose_internal.h"

#define TILE_INLINE TARGET_AVX512 static inline __attribute__((always_inline))

enum { COLS = 32, ROWS = 12, FEW_ROWS = 4, WIDTH = 256 };

/* Where a tile of C goes: its first element, and how it is written. */
typedef struct target {
    float *C;
    int64_t ldc;
    int n_cols; /* at most COLS */
    bool add;
    float alpha;
} target;

/* sum + x y, lane by lane. */
typedef __m512 multiply_add(__m512 sum, __m512 x, __m512 y);

static inline __mmask16 first(int64_t n)
{
    return n >= LANES ? 0xffff : (__mmask16)((1u << (n < 0 ? 0 : n)) - 1);
}

static inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

TILE_INLINE void write_row(const target *t, int64_t row, __m512 left, __m512 right)
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

/* `rows` rows (a constant) of a tile over n words; word (i, k) of A is a[i a_row + k a_col]. */
TILE_INLINE void tile(const int rows, multiply_add *step, int64_t n, const float *a, int64_t a_row,
                      int64_t a_col, const float *b, int n_rows, const target *t)
{
    __m512 left[ROWS], right[ROWS];
#pragma GCC unroll 12
    for (int i = 0; i < rows; ++i) left[i] = right[i] = _mm512_setzero_ps();
    for (int64_t k = 0; k < n; ++k) {
        const __m512 b_left = _mm512_load_ps(b + k * COLS);
        const __m512 b_right = _mm512_load_ps(b + k * COLS + LANES);
#pragma GCC unroll 12
        for (int i = 0; i < rows; ++i) {
            const __m512 x = _mm512_set1_ps(a[i * a_row + k * a_col]);
            left[i] = step(left[i], x, b_left);
            right[i] = step(right[i], x, b_right);
        }
    }
#pragma GCC unroll 12
    for (int i = 0; i < rows; ++i)
        if (i < n_rows) write_row(t, i, left[i], right[i]);
}

/* A tile of n_rows rows, at most ROWS. */
TILE_INLINE void tile_any(multiply_add *step, int64_t n, const float *a, int64_t a_row,
                          int64_t a_col, const float *b, int n_rows, const target *t)
{
    if (n_rows == ROWS) {
        tile(ROWS, step, n, a, a_row, a_col, b, ROWS, t);
        return;
    }
    target part = *t;
    for (int i = 0; i < n_rows; i += FEW_ROWS) {
        tile(FEW_ROWS, step, n, a + i * a_row, a_row, a_col, b, n_rows - i, &part);
        part.C += FEW_ROWS * part.ldc;
    }
}

#endif
