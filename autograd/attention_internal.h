/* attention_internal.h - what the files of attention share: the operation (ops/attention.c), its
 * definition and samples (attention_definition.c, attention_samples.c), who sees whom
 * (attention_pattern.c) and the kernels (attention_tile.c). Not installed.
 *
 * A tile is at most WEFT_ATTENTION_TILE queries by as many keys: its scores, and a tile of keys, lie in
 * the first cache. Tiles begin at multiples of their size, counted from the sentence's first row, so
 * that no result depends on how the tiles are shared among threads. */
#ifndef WEFT_ATTENTION_INTERNAL_H
#define WEFT_ATTENTION_INTERNAL_H

#include "autograd/autograd.h"

#ifndef WEFT_ATTENTION_TILE /* tests/test_attention_tiles.c has other sizes, too */
#define WEFT_ATTENTION_TILE 64
#endif
enum { WEFT_ATTENTION_TILES = 8 };

/* ---- who sees whom (attention_pattern.c) ---------------------------------------------------------- */

/* The plain values of a weft_pattern_spec. */
typedef struct weft_pattern {
    weft_pattern_kind kind;
    bool causal;
    int64_t window, gap, stride, summary, block, window_blocks, global_blocks, random_blocks,
        n_global;
    uint64_t key; /* of the random blocks */
    weft_pattern_rows rows;
} weft_pattern;

/* Who sees whom in one sentence, for one head. */
typedef struct weft_sight {
    const weft_pattern *pattern;
    int64_t n_q, n_k;      /* queries and keys of the sentence */
    int64_t first;         /* position of query 0 */
    const int32_t *global; /* [n_k]; NULL: none */
    const int32_t *mask;   /* [n_q, n_k], ldmask apart; NULL: none */
    int64_t ldmask;
    const int32_t *block_begin, *block_index; /* a list of blocks */
    const int32_t *random; /* BigBird's random blocks: [blocks of the sentence, H, random_blocks] at
                              this head */
    int64_t ldrandom;
    bool plain;          /* each query sees the keys from p - back to p + ahead and no other */
    int64_t back, ahead; /* farthest keys seen, where there is no global token */
} weft_sight;

typedef enum weft_seen { WEFT_SEES_NONE, WEFT_SEES_SOME, WEFT_SEES_ALL } weft_seen;
typedef struct weft_span {
    int64_t from, end;
} weft_span;

/** Fill plain, back and ahead from the rest. */
void weft_sight_init(weft_sight *s);
/** What n_i queries from i0 on see of n_j keys from j0 on. */
weft_seen weft_sight_tile(const weft_sight *s, int64_t i0, int64_t n_i, int64_t j0, int64_t n_j);
/** Which of n_j keys from j0 on query i sees: see[j] is 0 or 1. */
void weft_sight_row(const weft_sight *s, int64_t i, int64_t j0, int64_t n_j, uint8_t see[]);
/** No query of n_i from i0 on sees a key outside of this span; no key of n_j from j0 on is seen from
 *  outside of the other. Both begin at a multiple of the tile. */
weft_span weft_sight_keys(const weft_sight *s, int64_t i0, int64_t n_i);
weft_span weft_sight_queries(const weft_sight *s, int64_t j0, int64_t n_j);
/** Blocks of a sentence of n tokens. */
int64_t weft_pattern_blocks(const weft_pattern *pattern, int64_t n);
/** Draw the random blocks of a sentence of n_k keys for H heads: blocks[a, h, :], -1 where there are
 *  fewer to choose from. */
void weft_pattern_draw(const weft_pattern *pattern, int64_t n_k, int H, int32_t *blocks);
/** Slope of head h of H (Press et al. 2022): 2^(-8 (h+1) / H) for a power of two, else those of the
 *  next lower one and every other of the next higher one. */
double weft_alibi_slope(int h, int H);

/* ---- the operation (ops/attention.c) -------------------------------------------------------------- */

enum {
    WEFT_ATTENTION_Q,
    WEFT_ATTENTION_K,
    WEFT_ATTENTION_V,
    WEFT_ATTENTION_Q_OFFSETS,
    WEFT_ATTENTION_K_OFFSETS,
    WEFT_ATTENTION_Q_ROWS,
    WEFT_ATTENTION_BIAS,
    WEFT_ATTENTION_RELATIVE,
    WEFT_ATTENTION_RELATIVE_VALUES,
    WEFT_ATTENTION_MASK,
    WEFT_ATTENTION_GLOBAL,
    WEFT_ATTENTION_BLOCK_BEGIN,
    WEFT_ATTENTION_BLOCK_INDEX,
    WEFT_ATTENTION_INPUTS
};

typedef struct weft_attention_attr {
    int heads, kv_heads;
    double scale; /* 0: 1 / sqrt(K) */
    bool at_end, alibi, has_sigmoid_bias;
    weft_pattern pattern;
    weft_weights_kind weights;
    double sigmoid_bias;
    double p;
    uint64_t key;
    int n_threads; /* workspaces */
} weft_attention_attr;

/* What follows from the shapes. */
typedef struct weft_attention_sizes {
    int64_t B, N, M, H, G, K, Kv;
    weft_real scale;
} weft_attention_sizes;

/* Where the queries and keys of a sentence lie. */
typedef struct weft_attention_place {
    int64_t q_row, n_q, k_row, n_k;
} weft_attention_place;

weft_attention_sizes weft_attention_sizes_of(const weft_call *c);
weft_attention_place weft_attention_place_of(const weft_call *c, int64_t b);
/** Who sees whom in a sentence for head h; `random` holds the sentence's random blocks. */
weft_sight weft_attention_sight_of(const weft_call *c, const weft_attention_place *of, int64_t h,
                                   const int32_t *random);
/** What the sigmoid of query i adds to its scores. */
double weft_attention_sigmoid_bias(const weft_attention_attr *a, const weft_sight *s, int64_t i);

/* attention_definition.c and attention_samples.c: members of the descriptor. */
void weft_attention_define(weft_rule *r);
weft_var weft_attention_sample(weft_tape *t, int i);
weft_var weft_attention_misuse(weft_tape *t, int i);

/* ---- the kernels (attention_tile.c) --------------------------------------------------------------- */

/* One head of one sentence. Matrices are read and written in place, by their leading dimension. */
typedef struct weft_attention_head {
    const weft_attention_attr *attr;
    weft_sight sight; /* n_q and n_k are in it */
    int64_t K, Kv;    /* width of a query or key, and of a value */
    weft_real scale;
    const weft_real *q, *k, *v; /* [n_q, K], [n_k, K], [n_k, Kv] */
    int64_t ldq, ldk, ldv;
    const weft_real *bias;     /* [n_q, n_k]; NULL: none */
    const weft_real *relative; /* [2 reach + 1], ldrelative (0: one for all) apart; NULL: none */
    int64_t ldbias, ldrelative, reach;
    weft_real slope;                  /* of ALiBi, 0: none */
    const weft_real *relative_values; /* [2 values_reach + 1, Kv], dense; NULL: none */
    int64_t values_reach;
    weft_real *o; /* [n_q, Kv]: written by the forward, read by the backward pass */
    int64_t ldo;
    weft_real *stats; /* [n_q, 2]: largest score in units of ln 2, 1 / sum of 2^(score - largest);
                         NULL: not wanted */
    /* dropout of the weights */
    uint32_t head;
    int64_t first_row; /* of the queries, among all */
    const weft_tensor *rows;
    /* backward */
    const weft_real *dout;   /* [n_q, Kv], lddo apart */
    weft_real *dots;         /* [n_q]: workspace for rowsum(dO O) of the sentence */
    weft_real *dq, *dk, *dv; /* NULL: not wanted */
    int64_t lddo, lddq, lddk, lddv;
    bool add_q, add_k, add_v;
    weft_real *dbias;     /* [n_q, bias_cols]; NULL: not wanted */
    weft_real *drelative; /* [n_q, 2 reach + 1]; NULL: not wanted, or it is one for all: */
    double *relative_sum; /* [2 reach + 1], added to */
    double *values_sum;   /* [2 values_reach + 1, Kv], added to; NULL: not wanted */
    int64_t lddbias, lddrelative, bias_cols;
    bool add_bias, add_relative;
} weft_attention_head;

/** Elements of weft_real that the functions below want as workspace, for one thread; the workspace
 *  lies on a cache line. */
int64_t weft_attention_work(int64_t K, int64_t Kv);

/** o (and stats) for n_tiles tiles of queries (at most WEFT_ATTENTION_TILES) that begin at `from`:
 *  they share copies of the keys. */
void weft_attention_forward_tiles(const weft_attention_head *h, int64_t from, int n_tiles,
                                  weft_real *work);
/** All gradients of a sentence, of any length: each tile of scores is made once, where the two below
 *  make it twice, for more threads. The bits are the same. */
void weft_attention_backward_sentence(const weft_attention_head *h, weft_real *work);
/** dq and those of bias, relative and relative_values for the tile of queries that begins at `from`. */
void weft_attention_backward_queries(const weft_attention_head *h, int64_t from, weft_real *work);
/** dk and dv for the tile of keys that begins at `from`. */
void weft_attention_backward_keys(const weft_attention_head *h, int64_t from, weft_real *work);

#endif
