/* lsh_internal.h - what hashing and attention by buckets share. Not installed. */
#ifndef WEFT_LSH_INTERNAL_H
#define WEFT_LSH_INTERNAL_H

#include "autograd/packed_internal.h"

enum { WEFT_LSH_MAX_BUCKETS = 65536, WEFT_LSH_MAX_ROUNDS = 64 };

typedef struct weft_lsh_attr {
    int heads, rounds;
    int64_t buckets, chunk;
    bool causal;
    double scale; /* 0: 1 / sqrt(K) */
    uint64_t key;
    int n_threads; /* workspaces */
} weft_lsh_attr;

static inline weft_lsh_attr weft_lsh_attr_of(const weft_lsh_spec *spec)
{
    return (weft_lsh_attr){ .heads = spec->heads,
                            .rounds = spec->rounds ? spec->rounds : 1,
                            .buckets = spec->buckets,
                            .chunk = spec->chunk ? spec->chunk : 64,
                            .causal = spec->causal,
                            .scale = spec->scale,
                            .key = spec->key,
                            .n_threads = weft_threads() };
}

/** For infer: rounds, buckets and chunk mean something. */
static inline bool weft_lsh_check(const weft_call *c, const weft_lsh_attr *a)
{
    if (a->rounds < 1 || a->rounds > WEFT_LSH_MAX_ROUNDS)
        return weft_fail(c, WEFT_ERR_RANGE, "%d rounds, not 1 to %d", a->rounds,
                         WEFT_LSH_MAX_ROUNDS);
    if (a->buckets < 0 || a->buckets > WEFT_LSH_MAX_BUCKETS ||
        (a->buckets > 1 && a->buckets % 2 != 0))
        return weft_fail(c, WEFT_ERR_RANGE, "%lld buckets: 1, or an even number up to %d",
                         (long long)a->buckets, WEFT_LSH_MAX_BUCKETS);
    if (a->chunk < 1)
        return weft_fail(c, WEFT_ERR_RANGE, "chunks of %lld tokens", (long long)a->chunk);
    return true;
}

#endif
