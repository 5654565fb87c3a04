/* linear_attention_internal.h - linear attention of the heads of one group within one sentence, chunk
 * by chunk. Not installed. */
#ifndef WEFT_LINEAR_ATTENTION_INTERNAL_H
#define WEFT_LINEAR_ATTENTION_INTERNAL_H

#include "autograd/autograd.h"

/* Matrices are read and written in place, by their leading dimension; those of queries hold the
 * group's heads side by side. */
typedef struct weft_linear_group {
    int64_t n_q, n_k, K, Kv, heads;
    bool causal, elu;
    weft_real eps;
    const weft_real *q, *k, *v;
    int64_t ldq, ldk, ldv;
    weft_real *o;
    int64_t ldo;
    weft_real *inverse; /* 1 / denominator, [heads, per_head]; NULL where no gradient is wanted */
    int64_t per_head;
    /* backward */
    const weft_real *dout;
    weft_real *dq, *dk, *dv; /* NULL: not wanted */
    int64_t lddo, lddq, lddk, lddv;
    bool add_q, add_k, add_v;
} weft_linear_group;

/** Elements of workspace that either needs; beyond 64 bits: false. */
bool weft_linear_attention_work(int64_t K, int64_t Kv, int64_t *n) WEFT_MUST_CHECK;
void weft_linear_attention_forward(const weft_linear_group *g, weft_real *work);
void weft_linear_attention_backward(const weft_linear_group *g, weft_real *work);

#endif
