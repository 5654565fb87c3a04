/* probsparse_internal.h - what the choice of queries and their attention share. Not installed. */
#ifndef WEFT_PROBSPARSE_INTERNAL_H
#define WEFT_PROBSPARSE_INTERNAL_H

#include "autograd/packed_internal.h"

#include <math.h>

typedef struct weft_probsparse_attr {
    int heads;
    weft_probsparse_kind kind;
    double factor;
    double scale; /* 0: 1 / sqrt(K) */
    uint64_t key;
    int n_threads; /* workspaces */
} weft_probsparse_attr;

static inline weft_probsparse_attr weft_probsparse_attr_of(const weft_probsparse_spec *spec)
{
    return (weft_probsparse_attr){ .heads = spec->heads,
                                   .kind = spec->kind,
                                   .factor = spec->factor == 0 ? 5 : spec->factor,
                                   .scale = spec->scale,
                                   .key = spec->key,
                                   .n_threads = weft_threads() };
}

/** For infer: inputs 0 and 1 are q and k, with offsets at q_offsets and the input behind it. */
static inline bool weft_probsparse_check(const weft_call *c, const weft_probsparse_attr *a,
                                         int q_offsets)
{
    if (!weft_packed_check_heads(c, 0, "q", a->heads) ||
        !weft_packed_check_heads(c, 1, "k", a->heads))
        return false;
    if (weft_cols(&c->in[0]) != weft_cols(&c->in[1]))
        return weft_fail(c, WEFT_ERR_SHAPE, "q has %lld columns, k %lld",
                         (long long)weft_cols(&c->in[0]), (long long)weft_cols(&c->in[1]));
    if (!isfinite(a->factor) || a->factor <= 0)
        return weft_fail(c, WEFT_ERR_RANGE, "factor is %g", a->factor);
    if (!isfinite(a->scale)) return weft_fail(c, WEFT_ERR_RANGE, "scale is %g", a->scale);
    return weft_packed_check_pair(c, 0, q_offsets, 1, q_offsets + 1, a->kind != WEFT_PROBSPARSE);
}

#endif
