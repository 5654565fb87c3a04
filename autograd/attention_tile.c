/* attention_tile.c - the kernels of attention (Dao et al. 2022, FlashAttention; Dao 2023), with S the
 * scores, P the weights, R the multipliers of dropout:
 *
 *     S = scale Q K^T,   P = exp(S - max) / sum,   O = (P R) V
 *     dV = (P R)^T dO,   dP = (dO V^T) R,   dS = P (dP - rowsum(dO O)),   dQ = scale dS K,   dK = scale dS^T Q
 *
 * with what is added to the scores, and the sigmoid in place of exp: dS = P (1 - P) dP.
 *
 * Queries are multiplied by the scale before all else, and for softmax by log2(e) as well: weights are
 * then powers of two, P = 2^(S - max) / sum, and no pass over a tile has a factor to apply.
 *
 * The forward pass has keys in the rows of a tile and queries in its columns, so that the largest
 * score and the sum of a query are lanes of vectors and nothing is ever added up across a vector. The
 * backward pass has no sums over keys; there queries are rows, and of its operands only those that
 * belong to keys, which stay for long, must be transposed.
 *
 * Columns are filled up to a multiple of 16, that loops have no remainder; products read none of what
 * lies there. */
#include "autograd/attention_internal.h"

#include "autograd/fused_internal.h"
#include "autograd/rows_internal.h"
#include "autograd/weighted_internal.h"

enum {
    TILE = WEFT_ATTENTION_TILE,
    TILES = WEFT_ATTENTION_TILES,
    KEY_TILES = TILES / 2, /* that the backward pass treats together */
    PAD = SMALL_LANES,
    LINE = 64 / sizeof(weft_real),      /* of a cache */
    ROOM = (TILE + PAD - 1) / PAD * PAD /* rows or columns of a tile in the workspace */
};

/* What is read or added to more than once lies here, row after row: rows of a wide matrix share few sets
 * of a cache. The two passes share the room. */
typedef struct workspace {
    weft_real *qt, *o;  /* forward, TILES of each: queries [K, pad], sums of values [TILE, Kv] */
    weft_real *kt, *vt; /* backward, KEY_TILES of each: keys [K, pad], values [Kv, pad], */
    weft_real *dk, *dv; /* and their gradients [TILE, K], [TILE, Kv] */
    weft_real *k, *v;   /* keys, KEY_TILES of them in the backward pass, and values */
    weft_real *q, *dout, *dq;    /* queries; backward: dO and dQ */
    weft_real *weights, *dscore; /* [TILE, pad] each */
    weft_real *terms;            /* [TILE, pad]: what is added to scores */
    weft_real *keep;             /* [pad] */
    weft_real *row;              /* [TILES, TILE]: largest score so far; backward: rowsum(dO O) */
    double *sum;                 /* [TILES, TILE] */
    uint8_t *see;                /* [TILE] */
} workspace;

/* A tile: n_i queries from i0 on, n_j keys from j0 on, and both filled up. */
typedef struct tile {
    int64_t i0, n_i, pad_i, j0, n_j, pad_j;
    weft_seen seen;
} tile;

int64_t weft_attention_work(int64_t K, int64_t Kv)
{
    return ROOM * ((TILES + KEY_TILES + 2) * K + (TILES + 1) * Kv + 3 * ROOM + 2 + 3 * TILES);
}

static workspace workspace_of(const weft_attention_head *h, weft_real *work)
{
    workspace w = { .qt = work, .kt = work };
    w.dk = w.kt + KEY_TILES * ROOM * h->K;
    w.o = w.vt = w.qt + TILES * ROOM * h->K;
    w.dv = w.vt + KEY_TILES * ROOM * h->Kv;
    w.k = w.o + TILES * ROOM * h->Kv;
    w.q = w.k + KEY_TILES * ROOM * h->K;
    w.dq = w.q + ROOM * h->K;
    w.v = w.dout = w.dq + ROOM * h->K;
    w.weights = w.dout + ROOM * h->Kv;
    w.dscore = w.weights + ROOM * ROOM;
    w.terms = w.dscore + ROOM * ROOM;
    w.keep = w.terms + ROOM * ROOM;
    w.row = w.keep + ROOM;
    w.sum = (double *)(void *)(w.row + TILES * ROOM);
    w.see = (uint8_t *)(w.sum + TILES * ROOM);
    return w;
}

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t padded(int64_t n) { return (n + PAD - 1) / PAD * PAD; }

static tile tile_of(const weft_attention_head *h, int64_t i0, int64_t j0)
{
    tile t = { .i0 = i0, .j0 = j0 };
    t.n_i = least(TILE, h->sight.n_q - i0);
    t.n_j = least(TILE, h->sight.n_k - j0);
    t.pad_i = padded(t.n_i);
    t.pad_j = padded(t.n_j);
    t.seen = weft_sight_tile(&h->sight, i0, t.n_i, j0, t.n_j);
    return t;
}

/* T [C, pad] = the n rows of x, transposed, zeros behind. */
WEFT_INLINE void transpose(int64_t n, int64_t C, const weft_real *x, int64_t ld, weft_real *T)
{
    const int64_t pad = padded(n), whole = n / PAD * PAD;
    if (weft_small_transpose_wide(n, C, x, ld, T, pad)) return;
    small_transpose(whole, C, x, ld, T, pad);
    if (whole == n) return;
    for (int64_t c = 0; c < C; c++) {
        weft_real column[PAD] = { 0 };
        for (int64_t j = whole; j < n; j++) column[j - whole] = x[j * ld + c];
        for (int64_t j = 0; j < PAD; j++) T[c * pad + whole + j] = column[j];
    }
}

/* Rows somewhere, `ld` apart. */
typedef struct rows {
    const weft_real *at;
    int64_t ld;
} rows;

/* Call part i of n of the rows into the second cache: they are far apart, and no processor foresees them. */
WEFT_INLINE void call_rows(int64_t R, int64_t C, const weft_real *x, int64_t ld, int64_t i,
                           int64_t n)
{
#ifdef __GNUC__
    for (int64_t r = R * i / n; r < R * (i + 1) / n; r++)
        for (int64_t c = 0; c < C; c += LINE) __builtin_prefetch(x + r * ld + c, 0, 2);
#else
    (void)R, (void)C, (void)x, (void)ld, (void)i, (void)n;
#endif
}

/* The same rows, one after the other. */
WEFT_INLINE rows take_rows(int64_t n, int64_t C, rows x, weft_real *to)
{
    for (int64_t r = 0; r < n; r++)
        for (int64_t c = 0; c < C; c++) to[r * C + c] = x.at[r * x.ld + c];
    return (rows){ to, C };
}

/* y (+)= factor x, n rows of C. */
WEFT_INLINE void give_rows(int64_t n, int64_t C, const weft_real *x, int64_t ldx, weft_real factor,
                           weft_real *y, int64_t ldy, bool add)
{
    for (int64_t r = 0; r < n; r++)
#pragma omp simd
        for (int64_t c = 0; c < C; c++) {
            const weft_real old = add ? y[r * ldy + c] : 0;
            y[r * ldy + c] = old + factor * x[r * ldx + c];
        }
}

WEFT_INLINE void multiply_row(int64_t n, const weft_real *x, weft_real *y)
{
    for (int64_t j = 0; j < n; j++) y[j] *= x[j];
}

WEFT_INLINE void scale_row(int64_t n, weft_real factor, weft_real *y)
{
    for (int64_t j = 0; j < n; j++) y[j] *= factor;
}

WEFT_INLINE void add_row(int64_t n, const weft_real *x, weft_real *y)
{
    for (int64_t j = 0; j < n; j++) y[j] += x[j];
}

static void draw_keep(const weft_attention_head *h, int64_t i, int64_t j0, int64_t pad,
                      weft_real *keep)
{
    weft_dropout_span(h->attr->key, weft_row_key(h->rows, h->first_row + i), h->head, h->attr->p,
                      j0, pad, keep);
}

/* ---- scores ------------------------------------------------------------------------------------- */

/* Where in a table of 2 reach + 1 the distance j - p stands. */
WEFT_INLINE int64_t distance_column(int64_t reach, int64_t distance)
{
    return least(most(distance, -reach), reach) + reach;
}

/* How many of n keys, the first at this distance, stand in its row of the table: far ones share one. */
WEFT_INLINE int64_t same_distance(int64_t reach, int64_t distance, int64_t n)
{
    if (distance >= reach) return n;
    return distance <= -reach ? least(n, 1 - reach - distance) : 1;
}

/* What is added to the scores of query i, row `i - i0` of the tile. */
WEFT_INLINE void bias_row(const weft_attention_head *h, int64_t i, const tile *t, weft_real *s)
{
    const int64_t d = t->j0 - (i + h->sight.first); /* j - p of the first key */
    if (h->bias) add_row(t->n_j, h->bias + i * h->ldbias + t->j0, s);
    if (h->slope != 0)
        for (int64_t j = 0; j < t->n_j; j++)
            s[j] -= h->slope * (weft_real)(d + j < 0 ? -d - j : d + j);
    if (h->relative) {
        const weft_real *table = h->relative + i * h->ldrelative;
        for (int64_t j = 0; j < t->n_j; j++) s[j] += table[distance_column(h->reach, d + j)];
    }
}

/* -inf where the key is not seen. */
WEFT_INLINE void mask_row(const weft_attention_head *h, int64_t i, const tile *t, uint8_t *see,
                          weft_real *s)
{
    const weft_sight *sight = &h->sight;
    if (t->seen != WEFT_SEES_ALL && sight->plain) {
        const int64_t p = i + sight->first - t->j0; /* as if j0 were 0 */
        for (int64_t j = 0; j < least(t->n_j, p - sight->back); j++) s[j] = (weft_real)-INFINITY;
        for (int64_t j = most(0, p + sight->ahead + 1); j < t->n_j; j++)
            s[j] = (weft_real)-INFINITY;
    } else if (t->seen != WEFT_SEES_ALL) {
        weft_sight_row(sight, i, t->j0, t->n_j, see);
        for (int64_t j = 0; j < t->n_j; j++) s[j] = see[j] ? s[j] : (weft_real)-INFINITY;
    }
}

/* Is anything added to products before they are scores? */
WEFT_INLINE bool has_terms(const weft_attention_head *h, const tile *t)
{
    return t->seen != WEFT_SEES_ALL || h->bias || h->slope != 0 || h->relative;
}

/* What is added to the scores of query i, -inf where the key is not seen. */
WEFT_INLINE void terms_row(const weft_attention_head *h, int64_t i, const tile *t, uint8_t *see,
                           weft_real *term)
{
    for (int64_t j = 0; j < t->pad_j; j++) term[j] = 0;
    bias_row(h, i, t, term);
    mask_row(h, i, t, see, term);
}

/* Scores of softmax are in units of ln 2. */
WEFT_INLINE weft_real unit_of(const weft_attention_head *h)
{
    return h->attr->weights == WEFT_SOFTMAX ? (weft_real)1.44269504088896340736 : 1;
}

/* A score that is not seen is -inf, even if it was NaN. */
WEFT_INLINE void add_terms(int64_t n, const weft_real *term, weft_real unit, weft_real *s)
{
#pragma omp simd
    for (int64_t k = 0; k < n; k++) {
        const weft_real sum = s[k] + unit * term[k];
        s[k] = term[k] == (weft_real)-INFINITY ? (weft_real)-INFINITY : sum;
    }
}

/* ---- products with weights that may be 0 ---------------------------------------------------------- */

WEFT_INLINE void weighted_product(weft_seen seen, int64_t m, int64_t n, int64_t k,
                                  const weft_real *a, int64_t a_row, int64_t a_col,
                                  const weft_real *b, int64_t ldb, weft_real *c, int64_t ldc,
                                  bool add)
{
    product_of_weights(seen == WEFT_SEES_ALL, m, n, k, a, a_row, a_col, b, ldb, c, ldc, add);
}

/* ---- forward ------------------------------------------------------------------------------------ */

#ifdef WEFT_F64
#define weight_exp2 exp2
#else
/* 2^x of what is at most 0, where what is below 2^-125 may be 0: one polynomial of what rounding x
 * leaves, fitted as those of core/vecmath.h are. A NaN stays one; -inf gives 0. Error below 1 ULP. */
WEFT_INLINE float weight_exp2(float x)
{
    const float shift = 0x1.8p23f + 127; /* x + shift ends in the exponent of 2^round(x) */
    const float shifted = x + shift, r = x - (shifted - shift);
    float p = SMALL_FMA(0x1.41fbap-13f, r, 0x1.5f3e8p-10f);
    p = SMALL_FMA(p, r, 0x1.3b2d4ep-7f);
    p = SMALL_FMA(p, r, 0x1.c6aee8p-5f);
    p = SMALL_FMA(p, r, 0x1.ebfbdcp-3f);
    p = SMALL_FMA(p, r, 0x1.62e43p-1f);
    p = SMALL_FMA(p, r, 1.0f);
    const float power = float_of_bits(float_bits(shifted) << 23);
    return x < -125.0f ? 0 : p * power;
}
#endif

/* Weights of PAD queries from their scores with n keys, rows of s `ld` apart: 2^(score - largest so far).
 * The sum over keys is of eight at a time, these sums in double. `factor` brings what was summed before to
 * the new largest score. Where that is -inf all are 0, or NaN. */
WEFT_INLINE void online_lanes(int64_t n, weft_real *s, int64_t ld, weft_real *max, double *sum,
                              weft_real *factor)
{
    enum { RUN = 8 };
    weft_real shift[PAD], part[PAD];
#pragma omp simd
    for (int l = 0; l < PAD; l++) shift[l] = max[l];
    for (int64_t j = 0; j < n; j++)
#pragma omp simd
        for (int l = 0; l < PAD; l++)
            shift[l] = s[j * ld + l] > shift[l] ? s[j * ld + l] : shift[l];
#pragma omp simd
    for (int l = 0; l < PAD; l++) {
        const weft_real new = shift[l];
        shift[l] = new == (weft_real)-INFINITY ? 0 : new;
        factor[l] = weight_exp2(max[l] - shift[l]);
        factor[l] = max[l] == new ? 1 : factor[l];
        max[l] = new;
    }
#pragma omp simd
    for (int l = 0; l < PAD; l++) sum[l] *= (double)factor[l];
    for (int64_t j0 = 0; j0 < n; j0 += RUN) {
#pragma omp simd
        for (int l = 0; l < PAD; l++) part[l] = 0;
        for (int64_t j = j0; j < least(j0 + RUN, n); j++)
#pragma omp simd
            for (int l = 0; l < PAD; l++) {
                s[j * ld + l] = weight_exp2(s[j * ld + l] - shift[l]);
                part[l] += s[j * ld + l];
            }
#pragma omp simd
        for (int l = 0; l < PAD; l++) sum[l] += (double)part[l];
    }
}

/* The weights of a tile by softmax; o is brought to the new largest scores. */
WEFT_INLINE void online_weights(const weft_attention_head *h, const tile *t, weft_real *max,
                                double *sum, weft_real *o, bool first, const workspace *w)
{
    weft_real factor[ROOM] = { 0 };
    for (int64_t l = 0; l < t->pad_i; l += PAD)
        online_lanes(t->n_j, w->weights + l, t->pad_i, max + l, sum + l, factor + l);
    for (int64_t r = 0; r < t->n_i && !first; r++)
        if (factor[r] != 1) scale_row(h->Kv, factor[r], o + r * h->Kv);
}

WEFT_INLINE void sigmoid_weights(const weft_attention_head *h, const tile *t, const workspace *w)
{
    weft_real b[ROOM] = { 0 };
    for (int64_t r = 0; r < t->n_i; r++)
        b[r] = (weft_real)weft_attention_sigmoid_bias(h->attr, &h->sight, t->i0 + r);
    for (int64_t j = 0; j < t->n_j; j++) {
        weft_real *s = w->weights + j * t->pad_i;
#pragma omp simd
        for (int64_t l = 0; l < t->pad_i; l++) s[l] = real_sigmoid(s[l] + b[l]);
    }
}

/* What belongs to pairs is made query by query, and turned. */
WEFT_INLINE void forward_terms(const weft_attention_head *h, const tile *t, const workspace *w)
{
    for (int64_t r = 0; r < t->n_i; r++)
        terms_row(h, t->i0 + r, t, w->see, w->terms + r * t->pad_j);
    transpose(t->n_i, t->n_j, w->terms, t->pad_j, w->dscore);
    add_terms(t->n_j * t->pad_i, w->dscore, unit_of(h), w->weights);
}

WEFT_INLINE void forward_dropout(const weft_attention_head *h, const tile *t, const workspace *w)
{
    for (int64_t r = 0; r < t->n_i; r++)
        draw_keep(h, t->i0 + r, t->j0, t->pad_j, w->terms + r * t->pad_j);
    transpose(t->n_i, t->n_j, w->terms, t->pad_j, w->dscore);
    multiply_row(t->n_j * t->pad_i, w->dscore, w->weights);
}

/* Sum of every step-th of x. */
WEFT_INLINE double sum_row(int64_t n, const weft_real *x, int64_t step)
{
    double sum = 0;
    for (int64_t j = 0; j < n; j++) sum += (double)x[j * step];
    return sum;
}

/* o of query i += its weights in the tile, a column of w, each times the value of its distance. */
WEFT_INLINE void add_relative_values(const weft_attention_head *h, int64_t i, const tile *t,
                                     const workspace *w)
{
    const int64_t d = t->j0 - (i + h->sight.first), r = i - t->i0;
    for (int64_t j = 0, n; j < t->n_j; j += n) {
        n = same_distance(h->values_reach, d + j, t->n_j - j);
        const weft_real weight = (weft_real)sum_row(n, w->weights + j * t->pad_i + r, t->pad_i);
        if (weight != 0)
            small_step(h->Kv, weight,
                       h->relative_values + distance_column(h->values_reach, d + j) * h->Kv,
                       w->o + r * h->Kv, false);
    }
}

/* A tile's share of o; max and sum are those of its queries so far. */
WEFT_INLINE void forward_tile(const weft_attention_head *h, const tile *t, rows k, rows v,
                              bool first, const workspace *w)
{
    small_gemm_nn(t->n_j, t->pad_i, h->K, k.at, k.ld, w->qt, t->pad_i, w->weights, t->pad_i, false);
    if (has_terms(h, t)) forward_terms(h, t, w);
    if (h->attr->weights == WEFT_SIGMOID)
        sigmoid_weights(h, t, w);
    else
        online_weights(h, t, w->row, w->sum, w->o, first, w);
    if (h->attr->p > 0) forward_dropout(h, t, w);
    weighted_product(t->seen, t->n_i, h->Kv, t->n_j, w->weights, 1, t->pad_i, v.at, v.ld, w->o,
                     h->Kv, !first);
    for (int64_t r = 0; r < t->n_i && h->relative_values; r++)
        add_relative_values(h, t->i0 + r, t, w);
}

/* Divide by the sums; note them and the largest scores. */
WEFT_INLINE void finish_rows(const weft_attention_head *h, int64_t from, int64_t n,
                             const workspace *w)
{
    for (int64_t r = 0; r < n; r++) {
        const weft_real inverse = w->sum[r] == 0 ? 0 : (weft_real)(1 / w->sum[r]);
        give_rows(1, h->Kv, w->o + r * h->Kv, h->Kv, inverse, h->o + (from + r) * h->ldo, h->ldo,
                  false);
        if (!h->stats) continue;
        h->stats[2 * (from + r)] = w->row[r] == (weft_real)-INFINITY ? 0 : w->row[r];
        h->stats[2 * (from + r) + 1] = inverse;
    }
}

WEFT_INLINE void clear_rows(int64_t R, int64_t C, weft_real *x, int64_t ld)
{
    for (int64_t r = 0; r < R; r++)
        for (int64_t c = 0; c < C; c++) x[r * ld + c] = 0;
}

/* The queries of a tile, scaled. */
WEFT_INLINE void take_scaled(const weft_attention_head *h, int64_t from, int64_t n, weft_real *q)
{
    give_rows(n, h->K, h->q + from * h->ldq, h->ldq, h->scale * unit_of(h), q, h->K, false);
}

/* The workspace of tile k of those that go together. */
WEFT_INLINE workspace forward_part(const weft_attention_head *h, const workspace *all, int64_t k)
{
    workspace w = *all;
    w.qt += k * ROOM * h->K;
    w.o += k * ROOM * h->Kv;
    w.row += k * ROOM;
    w.sum += k * ROOM;
    return w;
}

WEFT_INLINE void forward_begin(const weft_attention_head *h, int64_t from, const workspace *w)
{
    const int64_t n = least(TILE, h->sight.n_q - from);
    take_scaled(h, from, n, w->q);
    transpose(n, h->K, w->q, h->K, w->qt);
    for (int64_t r = 0; r < padded(n); r++) {
        w->row[r] = (weft_real)-INFINITY;
        w->sum[r] = 0;
    }
}

WEFT_INLINE void forward_end(const weft_attention_head *h, int64_t from, bool started,
                             const workspace *w)
{
    const int64_t n = least(TILE, h->sight.n_q - from);
    if (!started) clear_rows(n, h->Kv, w->o, h->Kv);
    if (h->attr->weights == WEFT_SOFTMAX)
        finish_rows(h, from, n, w);
    else
        give_rows(n, h->Kv, w->o, h->Kv, 1, h->o + from * h->ldo, h->ldo, false);
}

/* Part i of n of the keys and values from j0 on, which will be taken soon. */
WEFT_INLINE void call_keys(const weft_attention_head *h, int64_t j0, int64_t i, int64_t n)
{
    const int64_t n_j = least(TILE, h->sight.n_k - j0);
    if (n_j <= 0) return;
    call_rows(n_j, h->K, h->k + j0 * h->ldk, h->ldk, i, n);
    call_rows(n_j, h->Kv, h->v + j0 * h->ldv, h->ldv, i, n);
}

WEFT_KERNEL static void forward_tiles(const weft_attention_head *h, int64_t from, int64_t n_tiles,
                                      workspace all)
{
    const int64_t n = least(n_tiles * TILE, h->sight.n_q - from);
    const weft_span keys = weft_sight_keys(&h->sight, from, n);
    bool started[TILES] = { false };
    for (int64_t r = 0, i = 0; r < n; r += TILE, i++) {
        const workspace w = forward_part(h, &all, i);
        forward_begin(h, from + r, &w);
    }
    for (int64_t j0 = keys.from; j0 < keys.end; j0 += TILE) {
        rows k = { h->k + j0 * h->ldk, h->ldk }, v = { h->v + j0 * h->ldv, h->ldv };
        bool taken = n <= TILE; /* one tile may read them where they are */
        for (int64_t r = 0, i = 0; r < n; r += TILE, i++) {
            const tile t = tile_of(h, from + r, j0);
            if (t.seen == WEFT_SEES_NONE) continue;
            if (!taken) k = take_rows(t.n_j, h->K, k, all.k), v = take_rows(t.n_j, h->Kv, v, all.v);
            taken = true;
            call_keys(h, j0 + TILE, i, n_tiles);
            const workspace w = forward_part(h, &all, i);
            forward_tile(h, &t, k, v, !started[i], &w);
            started[i] = true;
        }
    }
    for (int64_t r = 0, i = 0; r < n; r += TILE, i++) {
        const workspace w = forward_part(h, &all, i);
        forward_end(h, from + r, started[i], &w);
    }
}

void weft_attention_forward_tiles(const weft_attention_head *h, int64_t from, int n_tiles,
                                  weft_real *work)
{
    forward_tiles(h, from, n_tiles, workspace_of(h, work));
}

/* ---- backward ----------------------------------------------------------------------------------- */

/* 2^(s - max) / sum of a row, from what the forward pass left; 0 where the key is not seen, even if
 * the row's sum is NaN. */
WEFT_INLINE void weights_row(int64_t pad, const weft_real stats[2], weft_real *s)
{
    const weft_real max = stats[0], inverse = stats[1];
#pragma omp simd
    for (int64_t j = 0; j < pad; j++) {
        const weft_real weight = weight_exp2(s[j] - max) * inverse;
        s[j] = s[j] == (weft_real)-INFINITY ? 0 : weight;
    }
}

/* dS = P (dP - dot); of a key that is not seen 0, whatever its dP. */
WEFT_INLINE void dscore_row(int64_t pad, const weft_real *weights, weft_real dot, weft_real *ds)
{
    for (int64_t j = 0; j < pad; j++) {
        const weft_real change = weights[j] * (ds[j] - dot);
        ds[j] = weights[j] == 0 ? 0 : change;
    }
}

/* dS = P (1 - P) dP */
WEFT_INLINE void dsigmoid_row(int64_t pad, const weft_real *weights, weft_real *ds)
{
    for (int64_t j = 0; j < pad; j++) {
        const weft_real change = weights[j] * (1 - weights[j]) * ds[j];
        ds[j] = weights[j] == 0 ? 0 : change;
    }
}

/* sum of x y, in double, in eight chains added in a fixed order. */
WEFT_INLINE double row_dot(int64_t C, const weft_real *x, const weft_real *y)
{
    double s[8] = { 0 };
    int64_t k = 0;
    for (; k + 8 <= C; k += 8)
        for (int i = 0; i < 8; i++) s[i] += (double)x[k + i] * (double)y[k + i];
    for (int i = 0; k < C; k++, i++) s[i] += (double)x[k] * (double)y[k];
    return ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));
}

/* rowsum(dO O) of n queries: what dP is compared with (equal to rowsum(P dP), but over Kv only). */
WEFT_INLINE void output_dots(const weft_attention_head *h, int64_t from, int64_t n, weft_real *dot)
{
    if (h->attr->weights == WEFT_SIGMOID) return;
    for (int64_t i = from; i < from + n; i++)
        dot[i - from] = (weft_real)row_dot(h->Kv, h->dout + i * h->lddo, h->o + i * h->ldo);
}

/* P and dS of a row without terms and dropout, in one pass. */
WEFT_INLINE void plain_gradient_row(int64_t pad, const weft_real stats[2], weft_real dot,
                                    weft_real *s, weft_real *ds)
{
    const weft_real max = stats[0], inverse = stats[1];
#pragma omp simd
    for (int64_t j = 0; j < pad; j++) {
        const weft_real weight = weight_exp2(s[j] - max) * inverse;
        const weft_real change = weight * (ds[j] - dot);
        s[j] = weight;
        ds[j] = weight == 0 ? 0 : change;
    }
}

WEFT_INLINE void sigmoid_row(const weft_attention_head *h, int64_t i, int64_t pad, weft_real *s)
{
    const weft_real b = (weft_real)weft_attention_sigmoid_bias(h->attr, &h->sight, i);
#pragma omp simd
    for (int64_t j = 0; j < pad; j++) s[j] = real_sigmoid(s[j] + b);
}

/* dP of query i += dO times the values of the distances. */
WEFT_INLINE void add_value_products(const weft_attention_head *h, int64_t i, const tile *t,
                                    const weft_real *dout, weft_real *dweights)
{
    const int64_t d = t->j0 - (i + h->sight.first);
    for (int64_t j = 0, n; j < t->n_j; j += n) {
        n = same_distance(h->values_reach, d + j, t->n_j - j);
        const weft_real *value =
            h->relative_values + distance_column(h->values_reach, d + j) * h->Kv;
        const weft_real product = (weft_real)row_dot(h->Kv, dout, value);
        for (int64_t k = j; k < j + n; k++) dweights[k] += product;
    }
}

/* P R and dS of a row. */
WEFT_INLINE void gradient_row(const weft_attention_head *h, int64_t i, const tile *t, weft_real dot,
                              weft_real *s, weft_real *ds, const workspace *w)
{
    if (has_terms(h, t)) {
        terms_row(h, i, t, w->see, w->terms);
        add_terms(t->pad_j, w->terms, unit_of(h), s);
    }
    if (h->relative_values) add_value_products(h, i, t, w->dout + (i - t->i0) * h->Kv, ds);
    if (h->attr->p > 0) {
        draw_keep(h, i, t->j0, t->pad_j, w->keep);
        multiply_row(t->pad_j, w->keep, ds);
    }
    if (h->attr->weights == WEFT_SIGMOID) {
        sigmoid_row(h, i, t->pad_j, s);
        dsigmoid_row(t->pad_j, s, ds);
    } else {
        weights_row(t->pad_j, h->stats + 2 * i, s);
        dscore_row(t->pad_j, s, dot, ds);
    }
    if (h->attr->p > 0) multiply_row(t->pad_j, w->keep, s);
}

WEFT_INLINE void take_queries(const weft_attention_head *h, int64_t from, const workspace *w)
{
    const int64_t n = least(TILE, h->sight.n_q - from);
    take_scaled(h, from, n, w->q);
    take_rows(n, h->Kv, (rows){ h->dout + from * h->lddo, h->lddo }, w->dout);
    if (h->dq) take_rows(n, h->K, (rows){ h->dq + from * h->lddq, h->lddq }, w->dq);
}

/* Part i of n of the queries from `from` on, which will be taken soon. */
WEFT_INLINE void call_queries(const weft_attention_head *h, int64_t from, int64_t i, int64_t n)
{
    const int64_t n_i = least(TILE, h->sight.n_q - from);
    if (n_i <= 0) return;
    call_rows(n_i, h->K, h->q + from * h->ldq, h->ldq, i, n);
    call_rows(n_i, h->Kv, h->dout + from * h->lddo, h->lddo, i, n);
    if (h->dq) call_rows(n_i, h->K, h->dq + from * h->lddq, h->lddq, i, n);
}

WEFT_INLINE void give_queries(const weft_attention_head *h, int64_t from, const workspace *w)
{
    const int64_t n = least(TILE, h->sight.n_q - from);
    if (h->dq) give_rows(n, h->K, w->dq, h->K, 1, h->dq + from * h->lddq, h->lddq, false);
}

/* Keys are scaled where dQ is made of them. */
WEFT_INLINE void take_keys(const weft_attention_head *h, int64_t j0, int64_t n_j,
                           const workspace *w)
{
    const weft_real *k = h->k + j0 * h->ldk;
    if (h->dq) give_rows(n_j, h->K, k, h->ldk, h->scale, w->k, h->K, false);
    transpose(n_j, h->K, k, h->ldk, w->kt);
    transpose(n_j, h->Kv, h->v + j0 * h->ldv, h->ldv, w->vt);
}

/* dK was made of scaled queries, whose unit it need not have. */
WEFT_INLINE void give_keys(const weft_attention_head *h, int64_t j0, int64_t n_j,
                           const workspace *w)
{
    if (h->dk)
        give_rows(n_j, h->K, w->dk, h->K, 1 / unit_of(h), h->dk + j0 * h->lddk, h->lddk, h->add_k);
    if (h->dv) give_rows(n_j, h->Kv, w->dv, h->Kv, 1, h->dv + j0 * h->lddv, h->lddv, h->add_v);
}

/* What nobody will see of n queries' gradients of bias and relative is 0. */
WEFT_INLINE void begin_biases(const weft_attention_head *h, int64_t from, int64_t n)
{
    if (h->dbias && !h->add_bias)
        clear_rows(n, h->bias_cols, h->dbias + from * h->lddbias, h->lddbias);
    if (h->drelative && !h->add_relative)
        clear_rows(n, 2 * h->reach + 1, h->drelative + from * h->lddrelative, h->lddrelative);
}

/* The gradient of the value of each distance += the weights at that distance, times dO. */
WEFT_INLINE void give_relative_values(const weft_attention_head *h, int64_t d, int64_t n_j,
                                      const weft_real *weights, const weft_real *dout)
{
    for (int64_t j = 0, n; j < n_j; j += n) {
        n = same_distance(h->values_reach, d + j, n_j - j);
        const double weight = sum_row(n, weights + j, 1);
        double *to = h->values_sum + distance_column(h->values_reach, d + j) * h->Kv;
        for (int64_t c = 0; c < h->Kv && weight != 0; c++) to[c] += weight * (double)dout[c];
    }
}

/* dbias += dS, drelative of each distance += the dS at that distance. */
WEFT_INLINE void give_biases(const weft_attention_head *h, const tile *t, const workspace *w)
{
    for (int64_t r = 0; r < t->n_i; r++) {
        const weft_real *ds = w->dscore + r * t->pad_j;
        const int64_t i = t->i0 + r, d = t->j0 - (i + h->sight.first);
        if (h->dbias) add_row(t->n_j, ds, h->dbias + i * h->lddbias + t->j0);
        for (int64_t j = 0; h->drelative && j < t->n_j; j++)
            h->drelative[i * h->lddrelative + distance_column(h->reach, d + j)] += ds[j];
        for (int64_t j = 0; h->relative_sum && j < t->n_j; j++)
            h->relative_sum[distance_column(h->reach, d + j)] += (double)ds[j];
        if (h->values_sum)
            give_relative_values(h, d, t->n_j, w->weights + r * t->pad_j, w->dout + r * h->Kv);
    }
}

/* P R and dS of a tile, from the queries and keys in w; with `biases`, their gradients too. */
WEFT_INLINE void tile_gradient(const weft_attention_head *h, const tile *t, const weft_real *dots,
                               bool biases, const workspace *w)
{
    const int64_t pad = t->pad_j;
    const bool plain = !has_terms(h, t) && !h->relative_values && h->attr->p == 0 &&
                       h->attr->weights == WEFT_SOFTMAX;
    small_gemm_nn(t->n_i, pad, h->K, w->q, h->K, w->kt, pad, w->weights, pad, false);
    small_gemm_nn(t->n_i, pad, h->Kv, w->dout, h->Kv, w->vt, pad, w->dscore, pad, false);
    for (int64_t r = 0; r < t->n_i; r++) {
        weft_real *s = w->weights + r * pad, *ds = w->dscore + r * pad;
        if (plain)
            plain_gradient_row(pad, h->stats + 2 * (t->i0 + r), dots[r], s, ds);
        else
            gradient_row(h, t->i0 + r, t, dots[r], s, ds, w);
    }
    if (biases && !plain) give_biases(h, t, w);
}

/* dQ of the tile += dS K. */
WEFT_INLINE void add_to_queries(const weft_attention_head *h, const tile *t, const workspace *w)
{
    if (h->dq)
        weighted_product(t->seen, t->n_i, h->K, t->n_j, w->dscore, t->pad_j, 1, w->k, h->K, w->dq,
                         h->K, true);
}

/* dK of the tile (+)= dS^T Q, dV (+)= (P R)^T dO. */
WEFT_INLINE void add_to_keys(const weft_attention_head *h, const tile *t, bool add,
                             const workspace *w)
{
    if (h->dk)
        weighted_product(t->seen, t->n_j, h->K, t->n_i, w->dscore, 1, t->pad_j, w->q, h->K, w->dk,
                         h->K, add);
    if (h->dv)
        weighted_product(t->seen, t->n_j, h->Kv, t->n_i, w->weights, 1, t->pad_j, w->dout, h->Kv,
                         w->dv, h->Kv, add);
}

WEFT_INLINE void clear_keys(const weft_attention_head *h, int64_t j0, int64_t n_j)
{
    if (h->dk && !h->add_k) clear_rows(n_j, h->K, h->dk + j0 * h->lddk, h->lddk);
    if (h->dv && !h->add_v) clear_rows(n_j, h->Kv, h->dv + j0 * h->lddv, h->lddv);
}

/* The workspace of tile k of those that go together. */
WEFT_INLINE workspace backward_part(const weft_attention_head *h, const workspace *all, int64_t k)
{
    workspace w = *all;
    w.kt += k * ROOM * h->K;
    w.vt += k * ROOM * h->Kv;
    w.k += k * ROOM * h->K;
    w.dk += k * ROOM * h->K;
    w.dv += k * ROOM * h->Kv;
    return w;
}

/* A few tiles of keys against all tiles of queries, whose dq is there to be added to. They stay in the
 * second cache, and what comes from farther away, a tile of queries, serves all of them. */
WEFT_INLINE void sentence_keys(const weft_attention_head *h, int64_t j0, const workspace *all)
{
    const int64_t n = least(KEY_TILES * TILE, h->sight.n_k - j0);
    const weft_span queries = weft_sight_queries(&h->sight, j0, n);
    bool started[KEY_TILES] = { false };
    for (int64_t from = queries.from; from < queries.end; from += TILE) {
        bool taken = false;
        for (int64_t j = 0, k = 0; j < n; j += TILE, k++) {
            const tile t = tile_of(h, from, j0 + j);
            if (t.seen == WEFT_SEES_NONE) continue;
            if (!taken) take_queries(h, from, all);
            taken = true;
            const workspace w = backward_part(h, all, k);
            if (!started[k]) take_keys(h, t.j0, t.n_j, &w);
            call_queries(h, from + TILE, k, KEY_TILES);
            tile_gradient(h, &t, h->dots + from, true, &w);
            add_to_queries(h, &t, &w);
            add_to_keys(h, &t, started[k], &w);
            started[k] = true;
        }
        if (taken) give_queries(h, from, all);
    }
    for (int64_t j = 0, k = 0; j < n; j += TILE, k++) {
        const workspace w = backward_part(h, all, k);
        if (started[k])
            give_keys(h, j0 + j, least(TILE, n - j), &w);
        else
            clear_keys(h, j0 + j, least(TILE, n - j));
    }
}

WEFT_KERNEL static void backward_sentence(const weft_attention_head *h, workspace w)
{
    begin_biases(h, 0, h->sight.n_q);
    output_dots(h, 0, h->sight.n_q, h->dots);
    if (h->dq && !h->add_q) clear_rows(h->sight.n_q, h->K, h->dq, h->lddq);
    for (int64_t j0 = 0; j0 < h->sight.n_k; j0 += KEY_TILES * TILE) sentence_keys(h, j0, &w);
}

WEFT_KERNEL static void backward_queries(const weft_attention_head *h, int64_t from, workspace w)
{
    const int64_t n = least(TILE, h->sight.n_q - from);
    const weft_span keys = weft_sight_keys(&h->sight, from, n);
    begin_biases(h, from, n);
    output_dots(h, from, n, w.row);
    if (h->dq && !h->add_q) clear_rows(n, h->K, h->dq + from * h->lddq, h->lddq);
    take_queries(h, from, &w);
    for (int64_t j0 = keys.from; j0 < keys.end; j0 += TILE) {
        const tile t = tile_of(h, from, j0);
        if (t.seen == WEFT_SEES_NONE) continue;
        take_keys(h, j0, t.n_j, &w);
        tile_gradient(h, &t, w.row, true, &w);
        add_to_queries(h, &t, &w);
    }
    give_queries(h, from, &w);
}

WEFT_KERNEL static void backward_keys(const weft_attention_head *h, int64_t j0, workspace w)
{
    const int64_t n_j = least(TILE, h->sight.n_k - j0);
    const weft_span queries = weft_sight_queries(&h->sight, j0, n_j);
    bool first = true;
    for (int64_t from = queries.from; from < queries.end; from += TILE) {
        const tile t = tile_of(h, from, j0);
        if (t.seen == WEFT_SEES_NONE) continue;
        if (first) take_keys(h, j0, n_j, &w);
        take_queries(h, from, &w);
        output_dots(h, from, t.n_i, w.row);
        tile_gradient(h, &t, w.row, false, &w);
        add_to_keys(h, &t, !first, &w);
        first = false;
    }
    if (first)
        clear_keys(h, j0, n_j);
    else
        give_keys(h, j0, n_j, &w);
}

void weft_attention_backward_sentence(const weft_attention_head *h, weft_real *work)
{
    backward_sentence(h, workspace_of(h, work));
}

void weft_attention_backward_queries(const weft_attention_head *h, int64_t from, weft_real *work)
{
    backward_queries(h, from, workspace_of(h, work));
}

void weft_attention_backward_keys(const weft_attention_head *h, int64_t from, weft_real *work)
{
    backward_keys(h, from, workspace_of(h, work));
}
