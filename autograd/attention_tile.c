/* attention_tile.c - the kernels of attention (Dao et al. 2022, FlashAttention; Dao 2023), with S the
 * scores, P the weights, R the multipliers of dropout:
 *
 *     S = scale Q K^T,   P = exp(S - max) / sum,   O = (P R) V
 *     dV = (P R)^T dO,   dP = (dO V^T) R,   dS = P (dP - rowsum(dO O)),   dQ = scale dS K,   dK = scale dS^T Q
 *
 * with what is added to the scores, and the sigmoid in place of exp: dS = P (1 - P) dP.
 *
 * Columns of a tile of scores are filled up to a multiple of 16 with keys that nobody sees: loops
 * then have no remainder. Such weights are exactly 0. */
#include "autograd/attention_internal.h"

#include "autograd/fused_internal.h"
#include "autograd/rows_internal.h"
#include "autograd/weighted_internal.h"

enum {
    TILE = WEFT_ATTENTION_TILE,
    TILES = WEFT_ATTENTION_TILES,
    PAD = SMALL_LANES,
    ROOM = (TILE + PAD - 1) / PAD * PAD /* rows or columns of a tile in the workspace */
};

typedef struct workspace {
    weft_real *kt, *vt;      /* keys [K, pad] and values [Kv, pad], transposed: TILES of each */
    weft_real *k, *q, *dout; /* backward: keys (TILES tiles), queries and dO as they are, but row
                                    after row: rows of a wide matrix share few sets of a cache */
    weft_real *weights, *dscore; /* [TILE, pad] each */
    weft_real *keep;             /* [pad] */
    weft_real *row;              /* [TILES, TILE]: largest score so far, or rowsum(dO O) */
    double *sum;                 /* [TILES, TILE] */
    uint8_t *see;                /* [TILE] */
} workspace;

/* A tile: n_i queries from i0 on, n_j keys from j0 on, whose rows lie `pad` apart. */
typedef struct tile {
    int64_t i0, n_i, j0, n_j, pad;
    weft_seen seen;
} tile;

int64_t weft_attention_work(int64_t K, int64_t Kv)
{
    return ROOM * (2 * TILES * K + TILES * Kv + K + Kv + 2 * ROOM + 2 + 3 * TILES);
}

static workspace workspace_of(const weft_attention_head *h, weft_real *work)
{
    workspace w = { .kt = work };
    w.vt = w.kt + TILES * ROOM * h->K;
    w.k = w.vt + TILES * ROOM * h->Kv;
    w.q = w.k + TILES * ROOM * h->K;
    w.dout = w.q + ROOM * h->K;
    w.weights = w.dout + ROOM * h->Kv;
    w.dscore = w.weights + ROOM * ROOM;
    w.keep = w.dscore + ROOM * ROOM;
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
    tile t = { i0, least(TILE, h->sight.n_q - i0), j0, least(TILE, h->sight.n_k - j0), 0, 0 };
    t.pad = padded(t.n_j);
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

WEFT_INLINE void copy_rows(int64_t n, int64_t C, const weft_real *x, int64_t ld, weft_real *y)
{
    for (int64_t r = 0; r < n; r++)
        for (int64_t c = 0; c < C; c++) y[r * C + c] = x[r * ld + c];
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
    int64_t end = t->n_j;
    if (t->seen != WEFT_SEES_ALL && sight->plain) {
        const int64_t p = i + sight->first - t->j0; /* as if j0 were 0 */
        end = least(end, most(0, p + sight->ahead + 1));
        for (int64_t j = 0; j < least(end, p - sight->back); j++) s[j] = (weft_real)-INFINITY;
    } else if (t->seen != WEFT_SEES_ALL) {
        weft_sight_row(sight, i, t->j0, t->n_j, see);
        for (int64_t j = 0; j < t->n_j; j++) s[j] = see[j] ? s[j] : (weft_real)-INFINITY;
    }
    for (int64_t j = end; j < t->pad; j++) s[j] = (weft_real)-INFINITY;
}

/* Scores from products: scaled, biased, masked. */
WEFT_INLINE void score_row(const weft_attention_head *h, int64_t i, const tile *t, uint8_t *see,
                           weft_real *s)
{
    scale_row(t->pad, h->scale, s);
    bias_row(h, i, t, s);
    mask_row(h, i, t, see, s);
}

/* Are scores the scaled products and nothing else? Then the scale waits for whoever reads them. */
WEFT_INLINE bool is_plain(const weft_attention_head *h, const tile *t)
{
    return t->seen == WEFT_SEES_ALL && t->n_j == t->pad && h->scale > 0 && !h->bias &&
           h->slope == 0 && !h->relative && !h->relative_values && h->attr->p == 0 &&
           h->attr->weights == WEFT_SOFTMAX;
}

WEFT_INLINE void sigmoid_row(const weft_attention_head *h, int64_t i, int64_t pad, weft_real *s)
{
    const weft_real b = (weft_real)weft_attention_sigmoid_bias(h->attr, &h->sight, i);
#pragma omp simd
    for (int64_t j = 0; j < pad; j++) s[j] = real_sigmoid(s[j] + b);
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
#define weight_exp real_exp
#else
/* exp of what is at most 0, where what is below 2^-125 may be 0: half the work of real_exp, whose
 * polynomial this is. A NaN stays one; -inf gives 0. Error below 1 ULP. */
WEFT_INLINE float weight_exp(float x)
{
    const float shift = 0x1.8p23f; /* t + shift - shift rounds t to an integer */
    const float shifted = SMALL_FMA(x, 0x1.715476p0f, shift), n = shifted - shift;
    const float r = SMALL_FMA(n, 0x1.bd0106p-13f, SMALL_FMA(n, -0x1.63p-1f, x));
    float p = SMALL_FMA(0x1.6dbc64p-10f, r, 0x1.124148p-7f);
    p = SMALL_FMA(p, r, 0x1.555454p-5f);
    p = SMALL_FMA(p, r, 0x1.555486p-3f);
    p = SMALL_FMA(p, r, 0.5f);
    const float e = 1.0f + SMALL_FMA(r * r, p, r);
    const float power = float_of_bits((float_bits(shifted) - float_bits(shift) + 127u) << 23);
    return x < -86.5f ? 0 : e * power;
}
#endif

/* The largest of scale s, NaN left out: of whole vectors, halved again and again. */
WEFT_INLINE weft_real scaled_max(int64_t pad, const weft_real *s, weft_real scale)
{
    weft_real max[PAD];
#pragma omp simd
    for (int i = 0; i < PAD; i++) max[i] = (weft_real)-INFINITY;
    for (int64_t j = 0; j < pad; j += PAD) {
#pragma omp simd
        for (int i = 0; i < PAD; i++) max[i] = s[j + i] > max[i] ? s[j + i] : max[i];
    }
#pragma GCC unroll 4
    for (int half = PAD / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++) max[i] = max[i + half] > max[i] ? max[i + half] : max[i];
    return max[0] * scale;
}

/* s = exp(scale s - max), and their sum: over the vectors of a row as they are, at most four, then in
 * double. Where max is -inf all are 0, or NaN. */
WEFT_INLINE double scaled_exp(int64_t pad, weft_real *s, weft_real scale, weft_real max)
{
    const weft_real shift = max == (weft_real)-INFINITY ? 0 : max;
    weft_real sum[PAD];
    double part[PAD];
#pragma omp simd
    for (int i = 0; i < PAD; i++) sum[i] = 0;
    for (int64_t j = 0; j < pad; j += PAD) {
#pragma omp simd
        for (int i = 0; i < PAD; i++) {
            s[j + i] = weight_exp(s[j + i] * scale - shift);
            sum[i] += s[j + i];
        }
    }
#pragma omp simd
    for (int i = 0; i < PAD; i++) part[i] = (double)sum[i];
#pragma GCC unroll 4
    for (int half = PAD / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++) part[i] += part[i + half];
    return part[0];
}

/* One row of a tile: scores, still to be multiplied by scale > 0, become exp(score - largest so far),
 * what was summed before is brought to the new largest score. */
WEFT_INLINE void online_row(int64_t pad, weft_real *s, weft_real scale, weft_real *max, double *sum,
                            bool first, int64_t Kv, weft_real *o)
{
    const weft_real in_tile = scaled_max(pad, s, scale), old = *max,
                    new = in_tile > old ? in_tile : old;
    const double part = scaled_exp(pad, s, scale, new);
    *max = new;
    if (first || new == old) {
        *sum += part;
        return;
    }
    const weft_real factor = weight_exp(old - new);
    *sum = *sum * (double)factor + part;
    scale_row(Kv, factor, o);
}

/* The same for the rows of a plain tile; its width is known where it is a whole one. */
WEFT_INLINE void plain_weights(const weft_attention_head *h, const tile *t, bool first,
                               weft_real *max, double *sum, const workspace *w)
{
    weft_real *o = h->o + t->i0 * h->ldo;
    if (t->pad == TILE)
        for (int64_t r = 0; r < t->n_i; r++)
            online_row(TILE, w->weights + r * TILE, h->scale, &max[r], &sum[r], first, h->Kv,
                       o + r * h->ldo);
    else
        for (int64_t r = 0; r < t->n_i; r++)
            online_row(t->pad, w->weights + r * t->pad, h->scale, &max[r], &sum[r], first, h->Kv,
                       o + r * h->ldo);
}

WEFT_INLINE void any_weights(const weft_attention_head *h, const tile *t, bool first,
                             weft_real *max, double *sum, const workspace *w)
{
    for (int64_t r = 0; r < t->n_i; r++) {
        weft_real *s = w->weights + r * t->pad;
        score_row(h, t->i0 + r, t, w->see, s);
        if (h->attr->weights == WEFT_SIGMOID)
            sigmoid_row(h, t->i0 + r, t->pad, s);
        else
            online_row(t->pad, s, 1, &max[r], &sum[r], first, h->Kv, h->o + (t->i0 + r) * h->ldo);
        if (h->attr->p > 0) {
            draw_keep(h, t->i0 + r, t->j0, t->pad, w->keep);
            multiply_row(t->pad, w->keep, s);
        }
    }
}

WEFT_INLINE double sum_row(int64_t n, const weft_real *x)
{
    double sum = 0;
    for (int64_t j = 0; j < n; j++) sum += (double)x[j];
    return sum;
}

/* o of query i += its weights in the tile, each times the value of its distance. */
WEFT_INLINE void add_relative_values(const weft_attention_head *h, int64_t i, const tile *t,
                                     const weft_real *weights)
{
    const int64_t d = t->j0 - (i + h->sight.first);
    for (int64_t j = 0, n; j < t->n_j; j += n) {
        n = same_distance(h->values_reach, d + j, t->n_j - j);
        const weft_real weight = (weft_real)sum_row(n, weights + j);
        if (weight != 0)
            small_step(h->Kv, weight,
                       h->relative_values + distance_column(h->values_reach, d + j) * h->Kv,
                       h->o + i * h->ldo, false);
    }
}

/* A tile's share of o, from the keys and values in w; max and sum are those of its rows so far. */
WEFT_INLINE void forward_tile(const weft_attention_head *h, const tile *t, bool first,
                              weft_real *max, double *sum, const workspace *w)
{
    small_gemm_nn(t->n_i, t->pad, h->K, h->q + t->i0 * h->ldq, h->ldq, w->kt, t->pad, w->weights,
                  t->pad, false);
    if (is_plain(h, t))
        plain_weights(h, t, first, max, sum, w);
    else
        any_weights(h, t, first, max, sum, w);
    weighted_product(t->seen, t->n_i, h->Kv, t->n_j, w->weights, t->pad, 1, h->v + t->j0 * h->ldv,
                     h->ldv, h->o + t->i0 * h->ldo, h->ldo, !first);
    for (int64_t r = 0; r < t->n_i && h->relative_values; r++)
        add_relative_values(h, t->i0 + r, t, w->weights + r * t->pad);
}

/* Divide by the sums; note them and the largest scores. */
WEFT_INLINE void finish_rows(const weft_attention_head *h, int64_t from, int64_t n,
                             const weft_real *max, const double *sum)
{
    for (int64_t r = 0; r < n; r++) {
        const weft_real inverse = sum[r] == 0 ? 0 : (weft_real)(1 / sum[r]);
        scale_row(h->Kv, inverse, h->o + (from + r) * h->ldo);
        if (!h->stats) continue;
        h->stats[2 * (from + r)] = max[r] == (weft_real)-INFINITY ? 0 : max[r];
        h->stats[2 * (from + r) + 1] = inverse;
    }
}

WEFT_INLINE void clear_rows(int64_t R, int64_t C, weft_real *x, int64_t ld)
{
    for (int64_t r = 0; r < R; r++)
        for (int64_t c = 0; c < C; c++) x[r * ld + c] = 0;
}

WEFT_KERNEL static void forward_tiles(const weft_attention_head *h, int64_t from, int64_t n_tiles,
                                      workspace w)
{
    const int64_t n = least(n_tiles * TILE, h->sight.n_q - from);
    const weft_span keys = weft_sight_keys(&h->sight, from, n);
    bool started[TILES] = { false };
    for (int64_t r = 0; r < n; r++) {
        w.row[r] = (weft_real)-INFINITY;
        w.sum[r] = 0;
    }
    for (int64_t j0 = keys.from; j0 < keys.end; j0 += TILE) {
        bool transposed = false;
        for (int64_t r = 0; r < n; r += TILE) {
            const tile t = tile_of(h, from + r, j0);
            if (t.seen == WEFT_SEES_NONE) continue;
            if (!transposed) transpose(t.n_j, h->K, h->k + j0 * h->ldk, h->ldk, w.kt);
            transposed = true;
            forward_tile(h, &t, !started[r / TILE], w.row + r, w.sum + r, &w);
            started[r / TILE] = true;
        }
    }
    for (int64_t r = 0; r < n; r += TILE)
        if (!started[r / TILE])
            clear_rows(least(TILE, n - r), h->Kv, h->o + (from + r) * h->ldo, h->ldo);
    if (h->attr->weights == WEFT_SOFTMAX) finish_rows(h, from, n, w.row, w.sum);
}

void weft_attention_forward_tiles(const weft_attention_head *h, int64_t from, int n_tiles,
                                  weft_real *work)
{
    forward_tiles(h, from, n_tiles, workspace_of(h, work));
}

/* ---- backward ----------------------------------------------------------------------------------- */

/* exp(s - max) / sum of a row, from what the forward pass left; 0 where the key is not seen, even if
 * the row's sum is NaN. */
WEFT_INLINE void weights_row(int64_t pad, const weft_real stats[2], weft_real *s)
{
    const weft_real max = stats[0], inverse = stats[1];
#pragma omp simd
    for (int64_t j = 0; j < pad; j++) {
        const weft_real weight = weight_exp(s[j] - max) * inverse;
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

/* P and scale dS of a row of a plain tile, from products, in one pass. */
WEFT_INLINE void plain_gradient_row(int64_t pad, const weft_real stats[2], weft_real scale,
                                    weft_real dot, weft_real *s, weft_real *ds)
{
    const weft_real max = stats[0], inverse = stats[1];
#pragma omp simd
    for (int64_t j = 0; j < pad; j++) {
        const weft_real weight = weight_exp(s[j] * scale - max) * inverse;
        const weft_real change = weight * (ds[j] - dot) * scale;
        s[j] = weight;
        ds[j] = weight == 0 ? 0 : change;
    }
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

/* P R and dS of a row, without the scale. */
WEFT_INLINE void gradient_row(const weft_attention_head *h, int64_t i, const tile *t, weft_real dot,
                              weft_real *s, weft_real *ds, const workspace *w)
{
    score_row(h, i, t, w->see, s);
    if (h->relative_values) add_value_products(h, i, t, w->dout + (i - t->i0) * h->Kv, ds);
    if (h->attr->p > 0) {
        draw_keep(h, i, t->j0, t->pad, w->keep);
        multiply_row(t->pad, w->keep, ds);
    }
    if (h->attr->weights == WEFT_SIGMOID) {
        sigmoid_row(h, i, t->pad, s);
        dsigmoid_row(t->pad, s, ds);
    } else {
        weights_row(t->pad, h->stats + 2 * i, s);
        dscore_row(t->pad, s, dot, ds);
    }
    if (h->attr->p > 0) multiply_row(t->pad, w->keep, s);
}

WEFT_INLINE void take_queries(const weft_attention_head *h, int64_t from, const workspace *w)
{
    const int64_t n = least(TILE, h->sight.n_q - from);
    copy_rows(n, h->K, h->q + from * h->ldq, h->ldq, w->q);
    copy_rows(n, h->Kv, h->dout + from * h->lddo, h->lddo, w->dout);
}

WEFT_INLINE void take_keys(const weft_attention_head *h, int64_t j0, int64_t n_j,
                           const workspace *w)
{
    if (h->dq) copy_rows(n_j, h->K, h->k + j0 * h->ldk, h->ldk, w->k);
    transpose(n_j, h->K, h->k + j0 * h->ldk, h->ldk, w->kt);
    transpose(n_j, h->Kv, h->v + j0 * h->ldv, h->ldv, w->vt);
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
        const double weight = sum_row(n, weights + j);
        double *to = h->values_sum + distance_column(h->values_reach, d + j) * h->Kv;
        for (int64_t c = 0; c < h->Kv && weight != 0; c++) to[c] += weight * (double)dout[c];
    }
}

/* dbias += dS, drelative of each distance += the dS at that distance. */
WEFT_INLINE void give_biases(const weft_attention_head *h, const tile *t, const workspace *w)
{
    for (int64_t r = 0; r < t->n_i; r++) {
        const weft_real *ds = w->dscore + r * t->pad;
        const int64_t i = t->i0 + r, d = t->j0 - (i + h->sight.first);
        if (h->dbias) add_row(t->n_j, ds, h->dbias + i * h->lddbias + t->j0);
        for (int64_t j = 0; h->drelative && j < t->n_j; j++)
            h->drelative[i * h->lddrelative + distance_column(h->reach, d + j)] += ds[j];
        for (int64_t j = 0; h->relative_sum && j < t->n_j; j++)
            h->relative_sum[distance_column(h->reach, d + j)] += (double)ds[j];
        if (h->values_sum)
            give_relative_values(h, d, t->n_j, w->weights + r * t->pad, w->dout + r * h->Kv);
    }
}

/* P R and scale dS of a tile, from the queries and keys in w; with `biases`, their gradients too. */
WEFT_INLINE void tile_gradient(const weft_attention_head *h, const tile *t, const weft_real *dots,
                               bool biases, const workspace *w)
{
    const int64_t pad = t->pad;
    small_gemm_nn(t->n_i, pad, h->K, w->q, h->K, w->kt, pad, w->weights, pad, false);
    small_gemm_nn(t->n_i, pad, h->Kv, w->dout, h->Kv, w->vt, pad, w->dscore, pad, false);
    if (is_plain(h, t)) {
        for (int64_t r = 0; r < t->n_i; r++)
            plain_gradient_row(pad, h->stats + 2 * (t->i0 + r), h->scale, dots[r],
                               w->weights + r * pad, w->dscore + r * pad);
        return;
    }
    for (int64_t r = 0; r < t->n_i; r++)
        gradient_row(h, t->i0 + r, t, dots[r], w->weights + r * pad, w->dscore + r * pad, w);
    if (biases) give_biases(h, t, w);
    scale_row(t->n_i * pad, h->scale, w->dscore);
}

/* dQ of the tile += dS K. */
WEFT_INLINE void give_queries(const weft_attention_head *h, const tile *t, const workspace *w)
{
    if (h->dq)
        weighted_product(t->seen, t->n_i, h->K, t->n_j, w->dscore, t->pad, 1, w->k, h->K,
                         h->dq + t->i0 * h->lddq, h->lddq, true);
}

/* dK of the tile (+)= dS^T Q, dV (+)= (P R)^T dO. */
WEFT_INLINE void give_keys(const weft_attention_head *h, const tile *t, bool add_k, bool add_v,
                           const workspace *w)
{
    if (h->dk)
        weighted_product(t->seen, t->n_j, h->K, t->n_i, w->dscore, 1, t->pad, w->q, h->K,
                         h->dk + t->j0 * h->lddk, h->lddk, add_k);
    if (h->dv)
        weighted_product(t->seen, t->n_j, h->Kv, t->n_i, w->weights, 1, t->pad, w->dout, h->Kv,
                         h->dv + t->j0 * h->lddv, h->lddv, add_v);
}

WEFT_INLINE void clear_keys(const weft_attention_head *h, int64_t j0, int64_t n_j)
{
    if (h->dk && !h->add_k) clear_rows(n_j, h->K, h->dk + j0 * h->lddk, h->lddk);
    if (h->dv && !h->add_v) clear_rows(n_j, h->Kv, h->dv + j0 * h->lddv, h->lddv);
}

/* A few tiles of keys against all tiles of queries, whose dq is there to be added to. They stay in the
 * second cache, and what comes from farther away, a tile of queries, serves all of them. */
WEFT_INLINE void sentence_keys(const weft_attention_head *h, int64_t j0, const workspace *w)
{
    const int64_t n = least(TILES * TILE, h->sight.n_k - j0);
    const weft_span queries = weft_sight_queries(&h->sight, j0, n);
    bool started[TILES] = { false };
    for (int64_t from = queries.from; from < queries.end; from += TILE) {
        take_queries(h, from, w);
        for (int64_t j = 0, k = 0; j < n; j += TILE, k++) {
            const tile t = tile_of(h, from, j0 + j);
            if (t.seen == WEFT_SEES_NONE) continue;
            workspace own = *w;
            own.kt += k * ROOM * h->K;
            own.vt += k * ROOM * h->Kv;
            own.k += k * ROOM * h->K;
            if (!started[k]) take_keys(h, t.j0, t.n_j, &own);
            tile_gradient(h, &t, h->dots + from, true, &own);
            give_queries(h, &t, &own);
            give_keys(h, &t, h->add_k || started[k], h->add_v || started[k], &own);
            started[k] = true;
        }
    }
    for (int64_t j = 0, k = 0; j < n; j += TILE, k++)
        if (!started[k]) clear_keys(h, j0 + j, least(TILE, n - j));
}

WEFT_KERNEL static void backward_sentence(const weft_attention_head *h, workspace w)
{
    begin_biases(h, 0, h->sight.n_q);
    output_dots(h, 0, h->sight.n_q, h->dots);
    if (h->dq && !h->add_q) clear_rows(h->sight.n_q, h->K, h->dq, h->lddq);
    for (int64_t j0 = 0; j0 < h->sight.n_k; j0 += TILES * TILE) sentence_keys(h, j0, &w);
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
        give_queries(h, &t, &w);
    }
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
        give_keys(h, &t, h->add_k || !first, h->add_v || !first, &w);
        first = false;
    }
    if (first) clear_keys(h, j0, n_j);
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
