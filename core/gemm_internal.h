/* gemm_internal.h - what the files of the matrix product share (not installed). */
#ifndef WEFT_GEMM_INTERNAL_H
#define WEFT_GEMM_INTERNAL_H

#include "core/core.h"

/* Multiplications of a product, for weft_team; saturates instead of overflowing. */
static inline int64_t weft_gemm_work(const weft_gemm_args *args)
{
    int64_t work;
    if (__builtin_mul_overflow(args->M, args->N, &work)) return INT64_MAX;
    if (__builtin_mul_overflow(work, args->K, &work)) return INT64_MAX;
    return work;
}

/* gemm_avx512.c: floats, where the processor has AVX-512. One thread; beta 0 or 1, K > 0. */
bool weft_gemm_has_avx512(void);
void weft_gemm_avx512(const weft_gemm_args *args);
/* gemm_bf16.c: the same with operands rounded to bfloat16, where it has AVX512_BF16 too. */
bool weft_gemm_has_bf16(void);
void weft_gemm_bf16(const weft_gemm_args *args);

#endif
