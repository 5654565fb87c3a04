/* bench_variants.h - the kinds of attention that `weft bench attention` measures. */
#ifndef WEFT_BENCH_VARIANTS_H
#define WEFT_BENCH_VARIANTS_H

#include "autograd/autograd.h"

/* One sentence of n tokens. */
typedef struct weft_bench_shape {
    int64_t n, width; /* tokens; columns of a head */
    int heads;
    bool causal;
} weft_bench_shape;

typedef struct weft_bench_variant {
    const char *name;
    bool causal, not_causal;                  /* which of them there is */
    const char *claimed_time, *claimed_bytes; /* as its paper has them, in n */
    /* Record it: q, k, v are [n, heads width], and so is the result. */
    weft_var (*record)(weft_tape *tape, const weft_bench_shape *shape, weft_var q, weft_var k,
                       weft_var v);
} weft_bench_variant;

extern const weft_bench_variant weft_bench_variants[];
extern const int weft_bench_n_variants;
/** NULL where there is none of that name. */
const weft_bench_variant *weft_bench_variant_find(const char *name);

#endif
