/* attention_internal.h - attention of one head within one sentence, tile by tile. Not installed.
 *
 * A tile is at most WEFT_ATTENTION_TILE queries by as many keys: its scores, and a tile of keys, lie in
 * the first cache. Tiles begin at multiples of their size, counted from the sentence's first row, so
 * that no result depends on how the tiles are shared among threads. */
#ifndef WEFT_ATTENTION_INTERNAL_H
#define WEFT_ATTENTION_INTERNAL_H

#include "autograd/autograd.h"

enum { WEFT_ATTENTION_TILE = 64 };

/* One head of one sentence. Matrices are read and written in place, by their leading dimension. */
typedef struct weft_attention_head {
    int64_t n_q, n_k; /* queries and keys of the sentence */
    int64_t K, Kv;    /* width of a query or key, and of a value */
    weft_real scale;
    bool causal;
    const weft_real *q, *k, *v; /* [n_q, K], [n_k, K], [n_k, Kv] */
    int64_t ldq, ldk, ldv;
    weft_real *o; /* [n_q, Kv]: written by the forward, read by the backward pass */
    int64_t ldo;
    weft_real
        *stats; /* [n_q, 2]: largest score, 1 / sum of exp(score - largest); NULL: not wanted */
    /* dropout of the weights */
    double p;
    uint64_t key;
    uint32_t head;
    int64_t first_row; /* of the queries, among all */
    const weft_tensor *rows;
    /* backward */
    const weft_real *dout;   /* [n_q, Kv], lddo apart */
    weft_real *dq, *dk, *dv; /* NULL: not wanted */
    int64_t lddo, lddq, lddk, lddv;
    bool add_q, add_k, add_v;
} weft_attention_head;

/** Elements of weft_real that the functions below want as workspace, for one thread; the workspace
 *  lies on a cache line. */
int64_t weft_attention_work(int64_t K, int64_t Kv);

/** o (and stats) for the tile of queries that begins at `from`. */
void weft_attention_forward_tile(const weft_attention_head *h, int64_t from, weft_real *work);
/** dq, dk and dv of a sentence of at most one tile. */
void weft_attention_backward_sentence(const weft_attention_head *h, weft_real *work);
/** dq for the tile of queries that begins at `from`. */
void weft_attention_backward_queries(const weft_attention_head *h, int64_t from, weft_real *work);
/** dk and dv for the tile of keys that begins at `from`. */
void weft_attention_backward_keys(const weft_attention_head *h, int64_t from, weft_real *work);

#endif
