/* kernel.h - one word in front of the row functions of a kernel (internal, not installed).
 *
 * WEFT_KERNEL compiles a function for AVX-512, AVX2 and the baseline, and the loader picks one.
 * OpenMP moves the body of a parallel loop into a function of its own that gets no such copies, so
 * the word belongs to the function that treats one row (or block), called inside the loop. Because
 * of -ffp-contract=off and branch-free arithmetic all copies give the same bits, as long as what is
 * to be fused is written as fma and sums have a written order. A choice between two floats
 * (c ? a : b) vectorises because we compile with -fno-trapping-math, which changes no result. */
#ifndef WEFT_KERNEL_H
#define WEFT_KERNEL_H

#include <stddef.h> /* on glibc this also tells __GLIBC__; other C libraries have no ifunc */
#include <stdint.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define WEFT_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(memory_sanitizer)
#define WEFT_SANITIZED 1
#endif
#endif

#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(WEFT_NATIVE) && !defined(WEFT_SANITIZED)
#if __GNUC__ >= 12
#define WEFT_KERNEL __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#endif
#endif
#ifndef WEFT_KERNEL
#define WEFT_KERNEL
#endif

/* For the functions of vecmath.h and small_gemm.h: they become part of the kernel that calls them
 * and so get its instruction set. */
#if defined(__GNUC__)
#define WEFT_INLINE static inline __attribute__((always_inline))
#else
#define WEFT_INLINE static inline
#endif

#endif
