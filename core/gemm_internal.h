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

#endif
