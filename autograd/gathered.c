/* gathered.c - tiles of attention between gathered rows: see gathered_internal.h. The arithmetic is that
 * of attention_tile.c (Dao et al. 2022): scores seen so far are kept relative to the largest. A weight
 * that is exactly 0 passes nothing on, not even a NaN of its key or value. */
#include "autograd/gathered_internal.h"

#include "autograd/rows_internal.h"
#include "autograd/weighted_internal.h"
#include "core/checked.h"

enum { TILE = WEFT_GATHERED_TILE, PAD = 16 };

bool weft_gathered_work(int64_t K, int64_t Kv, int64_t *n)
{
    int64_t cols;
    if (!weft_add_i64(K, Kv, &cols) || cols > INT64_MAX / (8 * TILE)) return false;
    /* q k v, dq dk dv, the transposes; o, dout; mask, score, dscore; max, inverse, dot, sum */
    *n = TILE * (5 * K + 6 * Kv) + 3 * TILE * TILE + 5 * TILE;
    return true;
}

weft_gathered weft_gathered_of(int64_t K, int64_t Kv, weft_real scale, weft_real *work)
{
    const int64_t k = TILE * K, v = TILE * Kv, square = TILE * TILE;
    weft_gathered g = { .K = K, .Kv = Kv, .scale = scale, .sum = (double *)(void *)work };
    work += 2 * TILE;
    g.max = work;
    g.inverse = g.max + TILE;
    g.dot = g.inverse + TILE;
    g.q = g.dot + TILE;
    g.k = g.q + k;
    g.dq = g.k + k;
    g.dk = g.dq + k;
    g.kt = g.dk + k;
    g.v = g.kt + k;
    g.dv = g.v + v;
    g.vt = g.dv + v;
    g.o = g.vt + v;
    g.dout = g.o + v;
    g.mask = g.dout + v;
    g.score = g.mask + square;
    g.dscore = g.score + square;
    return g;
}

void weft_gather_rows(int64_t n, const int32_t *at, int64_t C, const weft_real *from, int64_t ld,
                      weft_real *to)
{
    for (int64_t i = 0; i < n; i++) memcpy(to + i * C, from + at[i] * ld, (size_t)C * sizeof *to);
}

void weft_scatter_rows(int64_t n, const int32_t *at, int64_t C, const weft_real *from, bool add,
                       weft_real *to, int64_t ld)
{
    for (int64_t i = 0; i < n; i++) {
        const weft_real *x = from + i * C;
        weft_real *y = to + at[i] * ld;
        for (int64_t c = 0; c < C; c++) y[c] = add ? y[c] + x[c] : x[c];
    }
}

void weft_gathered_begin(weft_gathered *g)
{
    memset(g->o, 0, (size_t)(g->n_q * g->Kv) * sizeof *g->o);
    for (int64_t i = 0; i < g->n_q; i++) {
        g->max[i] = (weft_real)-INFINITY;
        g->sum[i] = 0;
    }
}

/* scale Q K^T, -inf where masked; columns are filled up to `pad`, the last ones as if masked. */
WEFT_INLINE int64_t scores(const weft_gathered *g)
{
    const int64_t pad = (g->n_k + PAD - 1) / PAD * PAD;
    small_transpose(g->n_k, g->K, g->k, g->K, g->kt, pad);
    for (int64_t c = 0; c < g->K; c++)
        for (int64_t j = g->n_k; j < pad; j++) g->kt[c * pad + j] = 0;
    small_gemm_nn(g->n_q, pad, g->K, g->q, g->K, g->kt, pad, g->score, TILE, false);
    for (int64_t i = 0; i < g->n_q; i++) {
        weft_real *s = g->score + i * TILE;
        const weft_real *mask = g->mask + i * TILE;
        for (int64_t j = 0; j < g->n_k; j++) s[j] = mask[j] == 0 ? s[j] * g->scale : mask[j];
        for (int64_t j = g->n_k; j < pad; j++) s[j] = (weft_real)-INFINITY;
    }
    return pad;
}

WEFT_KERNEL static void forward(weft_gathered *g)
{
    const int64_t pad = scores(g);
    for (int64_t i = 0; i < g->n_q; i++) {
        weft_real *s = g->score + i * TILE, *o = g->o + i * g->Kv;
        const weft_real in_tile = row_max(pad, s), old = g->max[i];
        const weft_real new = in_tile > old ? in_tile : old;
        const weft_real factor = new == old ? 1 : real_exp(old - new);
        g->sum[i] = g->sum[i] * (double)factor + row_exp(pad, s, new, s);
        g->max[i] = new;
        for (int64_t c = 0; c < g->Kv && factor != 1; c++) o[c] *= factor;
    }
    product_of_weights(false, g->n_q, g->Kv, g->n_k, g->score, TILE, 1, g->v, g->Kv, g->o, g->Kv,
                       true);
}

void weft_gathered_forward(weft_gathered *g) { forward(g); }

WEFT_KERNEL static void backward(weft_gathered *g)
{
    const int64_t pad = scores(g);
    small_transpose(g->n_k, g->Kv, g->v, g->Kv, g->vt, pad);
    for (int64_t c = 0; c < g->Kv; c++)
        for (int64_t j = g->n_k; j < pad; j++) g->vt[c * pad + j] = 0;
    small_gemm_nn(g->n_q, pad, g->Kv, g->dout, g->Kv, g->vt, pad, g->dscore, TILE, false);
    for (int64_t i = 0; i < g->n_q; i++) {
        weft_real *s = g->score + i * TILE, *ds = g->dscore + i * TILE;
        const weft_real max = g->max[i], inverse = g->inverse[i], dot = g->dot[i];
#pragma omp simd
        for (int64_t j = 0; j < pad; j++) {
            const weft_real weight = real_exp(s[j] - max) * inverse;
            s[j] = s[j] == (weft_real)-INFINITY ? 0 : weight;
            const weft_real change = s[j] * (ds[j] - dot) * g->scale;
            ds[j] = s[j] == 0 ? 0 : change;
        }
    }
    product_of_weights(false, g->n_q, g->K, g->n_k, g->dscore, TILE, 1, g->k, g->K, g->dq, g->K,
                       false);
    product_of_weights(false, g->n_k, g->K, g->n_q, g->dscore, 1, TILE, g->q, g->K, g->dk, g->K,
                       false);
    product_of_weights(false, g->n_k, g->Kv, g->n_q, g->score, 1, TILE, g->dout, g->Kv, g->dv,
                       g->Kv, false);
}

void weft_gathered_backward(weft_gathered *g) { backward(g); }
