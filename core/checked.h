/* checked.h - the one place where sizes are multiplied and added. Each function returns false when
 * the result does not fit; *out is then undefined. */
#ifndef WEFT_CHECKED_H
#define WEFT_CHECKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool weft_mul_i64(int64_t a, int64_t b, int64_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}

static inline bool weft_add_i64(int64_t a, int64_t b, int64_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}

static inline bool weft_mul_bytes(size_t a, size_t b, size_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}

static inline bool weft_add_bytes(size_t a, size_t b, size_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}

/* Round a up to a multiple of `align`, a power of two. */
static inline bool weft_align_bytes(size_t a, size_t align, size_t *out)
{
    size_t sum;
    if (!weft_add_bytes(a, align - 1, &sum)) return false;
    *out = sum & ~(align - 1);
    return true;
}

#endif
