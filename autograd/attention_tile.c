/* attention_tile.c - the kernels of attention (Dao et al. 2022, FlashAttention; Dao 2023), with S the
 * scores, P the weights, R the multipliers of dropout:
 *
 *     S = scale Q K^T,   P = exp(S - max) / sum,   O = (P R) V
 *     dV = (P R)^T dO,   dP = (dO V^T) R,   dS = P (dP - rowsum(dO O)) scale,   dQ = dS K,   dK = dS^T Q
 *
 * Columns of a tile of scores are filled up to a multiple of 16 with keys that nobody sees: loops
 * then have no remainder. Such weights are exactly 0. */
#include "autograd/attention_internal.h"

#include "autograd/fused_internal.h"
#include "autograd/rows_internal.h"
#include "core/small_gemm.h"

enum { TILE = WEFT_ATTENTION_TILE, PAD = 16 };

typedef struct workspace {
    weft_real *kt, *vt;          /* a tile of keys [K, pad] and values [Kv, pad], transposed */
    weft_real *weights, *dscore; /* [TILE, pad] each */
    weft_real *keep;             /* [TILE] */
    weft_real *row;              /* [TILE]: largest score so far, or rowsum(dO O) */
    weft_real *sum;              /* [TILE, 2]: TILE doubles */
} workspace;

int64_t weft_attention_work(int64_t K, int64_t Kv) { return TILE * (K + Kv + 2 * TILE + 4); }

static workspace workspace_of(const weft_attention_head *h, weft_real *work)
{
    workspace w = { .kt = work };
    w.vt = w.kt + TILE * h->K;
    w.weights = w.vt + TILE * h->Kv;
    w.dscore = w.weights + TILE * TILE;
    w.keep = w.dscore + TILE * TILE;
    w.row = w.keep + TILE;
    w.sum = w.row + TILE;
    return w;
}

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t padded(int64_t n) { return (n + PAD - 1) / PAD * PAD; }

/* Keys that the tile of queries [from, from + n) sees, counted from the sentence's first. */
static int64_t keys_end(const weft_attention_head *h, int64_t from, int64_t n)
{
    return h->causal ? least(h->n_k, from + n) : h->n_k;
}

/* How many of the n_j keys from j0 on query i sees. */
WEFT_INLINE int64_t visible(const weft_attention_head *h, int64_t i, int64_t j0, int64_t n_j)
{
    if (!h->causal || i + 1 - j0 >= n_j) return n_j;
    return i + 1 > j0 ? i + 1 - j0 : 0;
}

/* T [C, pad] = the n rows of x, transposed, zeros behind. */
WEFT_INLINE void transpose(int64_t n, int64_t C, const weft_real *x, int64_t ld, weft_real *T)
{
    const int64_t pad = padded(n);
    small_transpose(n, C, x, ld, T, pad);
    for (int64_t c = 0; c < C; c++)
        for (int64_t j = n; j < pad; j++) T[c * pad + j] = 0;
}

/* scale s where the key is seen, -inf elsewhere. */
WEFT_INLINE void mask_row(int64_t pad, int64_t limit, weft_real scale, weft_real *s)
{
    for (int64_t j = 0; j < pad; j++) s[j] *= scale;
    for (int64_t j = limit; j < pad; j++) s[j] = (weft_real)-INFINITY;
}

WEFT_INLINE void multiply_row(int64_t n, const weft_real *x, weft_real *y)
{
    for (int64_t j = 0; j < n; j++) y[j] *= x[j];
}

WEFT_INLINE void scale_row(int64_t n, weft_real factor, weft_real *y)
{
    for (int64_t j = 0; j < n; j++) y[j] *= factor;
}

static void draw_keep(const weft_attention_head *h, int64_t i, int64_t j0, int64_t pad,
                      weft_real *keep)
{
    weft_dropout_span(h->key, weft_row_key(h->rows, h->first_row + i), h->head, h->p, j0, pad,
                      keep);
}

/* ---- forward ------------------------------------------------------------------------------------ */

/* One row of a tile: scores become exp(score - largest so far), what was summed before is brought to
 * the new largest score. */
WEFT_INLINE void online_row(int64_t pad, weft_real *s, weft_real *max, double *sum, bool first,
                            int64_t Kv, weft_real *o)
{
    const weft_real in_tile = row_max(pad, s), old = *max, new = in_tile > old ? in_tile : old;
    const double part = row_exp(pad, s, new, s);
    *max = new;
    if (first || new == old) {
        *sum += part;
        return;
    }
    const weft_real factor = real_exp(old - new);
    *sum = *sum * (double)factor + part;
    scale_row(Kv, factor, o);
}

/* O (+)= P V where each row sees its own number of keys: those beyond are not even multiplied by 0,
 * so that a NaN of the future stays there. Rows go together over the keys that the first one sees. */
WEFT_INLINE void causal_product(const weft_attention_head *h, int64_t from, int64_t n, int64_t j0,
                                int64_t n_j, int64_t pad, const weft_real *weights, weft_real *o)
{
    const weft_real *v = h->v + j0 * h->ldv;
    const bool add = j0 > 0;
    for (int64_t i = 0; i < n; i += SMALL_ROWS) {
        const int64_t end = least(n, i + SMALL_ROWS), limit = visible(h, from + i, j0, n_j);
        small_gemm_nn(end - i, h->Kv, limit, weights + i * pad, pad, v, h->ldv, o + i * h->ldo,
                      h->ldo, add);
        for (int64_t r = i + 1; r < end; r++)
            for (int64_t j = limit; j < visible(h, from + r, j0, n_j); j++)
                small_step(h->Kv, weights[r * pad + j], v + j * h->ldv, o + r * h->ldo,
                           !add && j == 0);
    }
}

WEFT_KERNEL static void forward_tile(const weft_attention_head *h, int64_t from, workspace w)
{
    const int64_t n = least(TILE, h->n_q - from), end = keys_end(h, from, n);
    double *sum = (void *)w.sum;
    weft_real *o = h->o + from * h->ldo;
    for (int64_t i = 0; i < n; i++) {
        w.row[i] = (weft_real)-INFINITY;
        sum[i] = 0;
    }
    for (int64_t j0 = 0; j0 < end; j0 += TILE) {
        const int64_t n_j = least(TILE, end - j0), pad = padded(n_j);
        transpose(n_j, h->K, h->k + j0 * h->ldk, h->ldk, w.kt);
        small_gemm_nn(n, pad, h->K, h->q + from * h->ldq, h->ldq, w.kt, pad, w.weights, pad, false);
        for (int64_t i = 0; i < n; i++) {
            weft_real *s = w.weights + i * pad;
            mask_row(pad, visible(h, from + i, j0, n_j), h->scale, s);
            online_row(pad, s, &w.row[i], &sum[i], j0 == 0, h->Kv, o + i * h->ldo);
            if (h->p > 0) {
                draw_keep(h, from + i, j0, pad, w.keep);
                multiply_row(pad, w.keep, s);
            }
        }
        if (h->causal && j0 + n_j > from)
            causal_product(h, from, n, j0, n_j, pad, w.weights, o);
        else
            small_gemm_nn(n, h->Kv, n_j, w.weights, pad, h->v + j0 * h->ldv, h->ldv, o, h->ldo,
                          j0 > 0);
    }
    for (int64_t i = 0; i < n; i++) {
        const weft_real inverse = sum[i] == 0 ? 0 : (weft_real)(1 / sum[i]);
        if (end == 0)
            for (int64_t j = 0; j < h->Kv; j++) o[i * h->ldo + j] = 0;
        else
            scale_row(h->Kv, inverse, o + i * h->ldo);
        if (!h->stats) continue;
        h->stats[2 * (from + i)] = w.row[i] == (weft_real)-INFINITY ? 0 : w.row[i];
        h->stats[2 * (from + i) + 1] = inverse;
    }
}

void weft_attention_forward_tile(const weft_attention_head *h, int64_t from, weft_real *work)
{
    forward_tile(h, from, workspace_of(h, work));
}

/* ---- backward ----------------------------------------------------------------------------------- */

/* exp(s - max) / sum of a row, from what the forward pass left. */
WEFT_INLINE void weights_row(int64_t pad, const weft_real stats[2], weft_real *s)
{
    const weft_real max = stats[0], inverse = stats[1];
#pragma omp simd
    for (int64_t j = 0; j < pad; j++) s[j] = real_exp(s[j] - max) * inverse;
}

/* dS = P (dP - dot) scale */
WEFT_INLINE void dscore_row(int64_t pad, const weft_real *weights, weft_real dot, weft_real scale,
                            weft_real *ds)
{
    for (int64_t j = 0; j < pad; j++) ds[j] = weights[j] * (ds[j] - dot) * scale;
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
    for (int64_t i = from; i < from + n; i++)
        dot[i - from] = (weft_real)row_dot(h->Kv, h->dout + i * h->lddo, h->o + i * h->ldo);
}

/* P R and dS of the queries [from, from + n) and the n_j keys from j0 on, whose transposes are in w. */
WEFT_INLINE void tile_gradient(const weft_attention_head *h, int64_t from, int64_t n, int64_t j0,
                               int64_t n_j, const workspace *w)
{
    const int64_t pad = padded(n_j);
    small_gemm_nn(n, pad, h->K, h->q + from * h->ldq, h->ldq, w->kt, pad, w->weights, pad, false);
    small_gemm_nn(n, pad, h->Kv, h->dout + from * h->lddo, h->lddo, w->vt, pad, w->dscore, pad,
                  false);
    for (int64_t i = 0; i < n; i++) {
        weft_real *s = w->weights + i * pad, *ds = w->dscore + i * pad;
        mask_row(pad, visible(h, from + i, j0, n_j), h->scale, s);
        weights_row(pad, h->stats + 2 * (from + i), s);
        if (h->p > 0) {
            draw_keep(h, from + i, j0, pad, w->keep);
            multiply_row(pad, w->keep, ds);
        }
        dscore_row(pad, s, w->row[i], h->scale, ds);
        if (h->p > 0) multiply_row(pad, w->keep, s);
    }
}

WEFT_INLINE void transpose_keys(const weft_attention_head *h, int64_t j0, int64_t n_j,
                                const workspace *w)
{
    transpose(n_j, h->K, h->k + j0 * h->ldk, h->ldk, w->kt);
    transpose(n_j, h->Kv, h->v + j0 * h->ldv, h->ldv, w->vt);
}

/* dQ of the tile (+)= dS K. */
WEFT_INLINE void give_queries(const weft_attention_head *h, int64_t from, int64_t n, int64_t j0,
                              int64_t n_j, bool add, const workspace *w)
{
    if (h->dq)
        small_gemm_nn(n, h->K, n_j, w->dscore, padded(n_j), h->k + j0 * h->ldk, h->ldk,
                      h->dq + from * h->lddq, h->lddq, add);
}

/* dK of the tile (+)= dS^T Q, dV (+)= (P R)^T dO. */
WEFT_INLINE void give_keys(const weft_attention_head *h, int64_t from, int64_t n, int64_t j0,
                           int64_t n_j, bool add_k, bool add_v, const workspace *w)
{
    const int64_t pad = padded(n_j);
    if (h->dk)
        small_gemm_tn(n_j, h->K, n, w->dscore, pad, h->q + from * h->ldq, h->ldq,
                      h->dk + j0 * h->lddk, h->lddk, add_k);
    if (h->dv)
        small_gemm_tn(n_j, h->Kv, n, w->weights, pad, h->dout + from * h->lddo, h->lddo,
                      h->dv + j0 * h->lddv, h->lddv, add_v);
}

WEFT_KERNEL static void backward_sentence(const weft_attention_head *h, workspace w)
{
    output_dots(h, 0, h->n_q, w.row);
    transpose_keys(h, 0, h->n_k, &w);
    tile_gradient(h, 0, h->n_q, 0, h->n_k, &w);
    give_queries(h, 0, h->n_q, 0, h->n_k, h->add_q, &w);
    give_keys(h, 0, h->n_q, 0, h->n_k, h->add_k, h->add_v, &w);
}

WEFT_KERNEL static void backward_queries(const weft_attention_head *h, int64_t from, workspace w)
{
    const int64_t n = least(TILE, h->n_q - from), end = keys_end(h, from, n);
    output_dots(h, from, n, w.row);
    if (end == 0) give_queries(h, from, n, 0, 0, h->add_q, &w);
    for (int64_t j0 = 0; j0 < end; j0 += TILE) {
        const int64_t n_j = least(TILE, end - j0);
        transpose_keys(h, j0, n_j, &w);
        tile_gradient(h, from, n, j0, n_j, &w);
        give_queries(h, from, n, j0, n_j, h->add_q || j0 > 0, &w);
    }
}

WEFT_KERNEL static void backward_keys(const weft_attention_head *h, int64_t j0, workspace w)
{
    const int64_t n_j = least(TILE, h->n_k - j0), first = h->causal ? j0 : 0;
    if (first >= h->n_q) give_keys(h, 0, 0, j0, n_j, h->add_k, h->add_v, &w);
    transpose_keys(h, j0, n_j, &w);
    for (int64_t from = first; from < h->n_q; from += TILE) {
        const int64_t n = least(TILE, h->n_q - from);
        output_dots(h, from, n, w.row);
        tile_gradient(h, from, n, j0, n_j, &w);
        give_keys(h, from, n, j0, n_j, h->add_k || from > first, h->add_v || from > first, &w);
    }
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
