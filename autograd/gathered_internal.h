/* gathered_internal.h - softmax attention of chosen queries to chosen keys, whose rows were gathered into
 * buffers: the tiles of sparse attention whose pattern only the data knows. Not installed. */
#ifndef WEFT_GATHERED_INTERNAL_H
#define WEFT_GATHERED_INTERNAL_H

#include "autograd/autograd.h"

enum { WEFT_GATHERED_TILE = 64 };

/* At most TILE queries and TILE keys; buffers are dense. */
typedef struct weft_gathered {
    int64_t n_q, n_k, K, Kv;
    weft_real scale;
    weft_real *q, *k, *v;      /* [n_q, K], [n_k, K], [n_k, Kv] */
    weft_real *mask;           /* [TILE, TILE]: 0 where query i sees key j, -inf where not */
    weft_real *o;              /* [n_q, Kv]: forward, the sum so far */
    weft_real *max;            /* [n_q]: the largest score, so far or (backward) of all */
    double *sum;               /* [n_q]: forward, of exponentials so far */
    weft_real *inverse;        /* [n_q]: backward, 1 / sum */
    weft_real *dot;            /* [n_q]: backward, rowsum(dO O) */
    weft_real *dout;           /* [n_q, Kv] */
    weft_real *dq, *dk, *dv;   /* backward: what this tile gives, as q, k, v */
    weft_real *kt, *vt;        /* workspace: [K, TILE], [Kv, TILE] */
    weft_real *score, *dscore; /* workspace: [TILE, TILE] each */
} weft_gathered;

/** Elements of a workspace for heads of K and Kv columns; false beyond 64 bits. */
bool weft_gathered_work(int64_t K, int64_t Kv, int64_t *n) WEFT_MUST_CHECK;
/** All buffers within `work`. */
weft_gathered weft_gathered_of(int64_t K, int64_t Kv, weft_real scale, weft_real *work);

/** Begin rows of o, max and sum: nothing seen yet. */
void weft_gathered_begin(weft_gathered *g);
/** Add a tile of keys to o, max and sum. */
void weft_gathered_forward(weft_gathered *g);
/** dq, dk and dv of the tile, from max, inverse, dot and dout. */
void weft_gathered_backward(weft_gathered *g);

/** to[i] = the row from[at[i]] of n rows of C; ld apart. */
void weft_gather_rows(int64_t n, const int32_t *at, int64_t C, const weft_real *from, int64_t ld,
                      weft_real *to);
/** to[at[i]] = or (add) += from[i]. */
void weft_scatter_rows(int64_t n, const int32_t *at, int64_t C, const weft_real *from, bool add,
                       weft_real *to, int64_t ld);

#endif
