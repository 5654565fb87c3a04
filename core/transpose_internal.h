/* transpose_internal.h - sixteen by sixteen words in the registers of AVX-512, for the sources that
 * multiply with them (not installed). */
#ifndef WEFT_TRANSPOSE_INTERNAL_H
#define WEFT_TRANSPOSE_INTERNAL_H

#include <immintrin.h>

#define TARGET_AVX512 __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,fma")))

enum { LANES = 16 };

/* Sixteen rows of sixteen words become their columns: pairs, fours, then quarters. */
TARGET_AVX512 static inline __attribute__((always_inline)) void transpose_16(__m512 r[LANES])
{
    __m512 s[LANES];
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
        r[j] = _mm512_shuffle_f32x4(even_top, even_end, 0x88);
        r[4 + j] = _mm512_shuffle_f32x4(odd_top, odd_end, 0x88);
        r[8 + j] = _mm512_shuffle_f32x4(even_top, even_end, 0xdd);
        r[12 + j] = _mm512_shuffle_f32x4(odd_top, odd_end, 0xdd);
    }
}

#endif
