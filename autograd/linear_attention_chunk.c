/* linear_attention_chunk.c - the kernels of linear attention. With v+ = [v, 1] the numerators and the
 * denominator are one product, S = sum of phi(k_j)^T v+_j, and so are their gradients:
 *
 *     n_i = phi(q_i) S,   o_i = n_i[values] / d_i,   d_i = n_i[last] + eps
 *     dn_i = [do_i, - do_i . o_i] / d_i,   dphi(q_i) = dn_i S^T
 *     dS = sum of phi(q_i)^T dn_i,   dphi(k_j) = v+_j dS^T,   dv+_j = phi(k_j) dS
 *
 * Causal, S holds the keys of the chunks before and dS the queries of those behind; within a chunk it is
 * the masked matrix of products. Nothing but S and dS outlives a chunk. */
#include "autograd/linear_attention_internal.h"

#include "autograd/rows_internal.h"
#include "core/checked.h"
#include "core/small_gemm.h"

enum { CHUNK = 64, PAD = 8 };

typedef struct workspace {
    int64_t P;                 /* columns of v+: values, 1, zeros */
    weft_real *phi_q, *phi_k;  /* [CHUNK, K] */
    weft_real *dphi;           /* [CHUNK, K] */
    weft_real *value, *dvalue; /* [CHUNK, P]: v+ */
    weft_real *number;         /* [CHUNK, P]: n, or dn */
    weft_real *kt, *vt;        /* [K, CHUNK], [P, CHUNK]: transposed */
    weft_real *score, *dscore; /* [CHUNK, CHUNK] */
    weft_real *sum, *dsum;     /* [K, P]: S, dS */
    weft_real *turned;         /* [P, K]: either transposed */
} workspace;

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t padded(int64_t Kv) { return (Kv + PAD) / PAD * PAD; }

bool weft_linear_attention_work(int64_t K, int64_t Kv, int64_t *n)
{
    int64_t P, widths, squares;
    if (!weft_add_i64(Kv, PAD, &P)) return false;
    P = padded(Kv);
    return weft_add_i64(K, P, &widths) && weft_add_i64(widths, CHUNK, &widths) &&
           weft_mul_i64(widths, 4 * CHUNK, &widths) && weft_mul_i64(K, P, &squares) &&
           weft_mul_i64(squares, 3, &squares) && weft_add_i64(widths, squares, n);
}

static workspace workspace_of(const weft_linear_group *g, weft_real *work)
{
    const int64_t P = padded(g->Kv), rows_k = CHUNK * g->K, rows_p = CHUNK * P;
    workspace w = { .P = P, .phi_q = work };
    w.phi_k = w.phi_q + rows_k;
    w.dphi = w.phi_k + rows_k;
    w.kt = w.dphi + rows_k;
    w.value = w.kt + rows_k;
    w.dvalue = w.value + rows_p;
    w.number = w.dvalue + rows_p;
    w.vt = w.number + rows_p;
    w.score = w.vt + rows_p;
    w.dscore = w.score + CHUNK * CHUNK;
    w.sum = w.dscore + CHUNK * CHUNK;
    w.dsum = w.sum + g->K * P;
    w.turned = w.dsum + g->K * P;
    return w;
}

/* ---- rows --------------------------------------------------------------------------------------- */

/* phi(x) of n rows: elu(x) + 1, or x. */
WEFT_INLINE void features(const weft_linear_group *g, int64_t n, const weft_real *x, int64_t ld,
                          weft_real *phi)
{
    for (int64_t i = 0; i < n; i++) {
        const weft_real *from = x + i * ld;
        weft_real *to = phi + i * g->K;
        if (!g->elu) {
            memcpy(to, from, (size_t)g->K * sizeof *to);
            continue;
        }
#pragma omp simd
        for (int64_t c = 0; c < g->K; c++) {
            const weft_real below = real_exp(from[c] < 0 ? from[c] : 0);
            to[c] = from[c] > 0 ? from[c] + 1 : below;
        }
    }
}

/* dx (+)= dphi phi'(x) of n rows. */
WEFT_INLINE void give_features(const weft_linear_group *g, int64_t n, const weft_real *x,
                               int64_t ld, const weft_real *phi, const weft_real *dphi,
                               weft_real *dx, int64_t lddx, bool add)
{
    for (int64_t i = 0; i < n; i++)
        for (int64_t c = 0; c < g->K; c++) {
            const weft_real slope = !g->elu || x[i * ld + c] > 0 ? 1 : phi[i * g->K + c];
            dx[i * lddx + c] = (add ? dx[i * lddx + c] : 0) + dphi[i * g->K + c] * slope;
        }
}

/* v+ of n rows. */
WEFT_INLINE void values(const weft_linear_group *g, int64_t P, int64_t n, const weft_real *v,
                        weft_real *value)
{
    for (int64_t i = 0; i < n; i++) {
        weft_real *to = value + i * P;
        memcpy(to, v + i * g->ldv, (size_t)g->Kv * sizeof *to);
        to[g->Kv] = 1;
        for (int64_t c = g->Kv + 1; c < P; c++) to[c] = 0;
    }
}

WEFT_INLINE void give_values(const weft_linear_group *g, int64_t P, int64_t n,
                             const weft_real *dvalue, weft_real *dv)
{
    for (int64_t i = 0; i < n; i++)
        for (int64_t c = 0; c < g->Kv; c++)
            dv[i * g->lddv + c] = (g->add_v ? dv[i * g->lddv + c] : 0) + dvalue[i * P + c];
}

/* o and 1 / d of the queries [from, from + n) of head h. */
WEFT_INLINE void outputs(const weft_linear_group *g, int64_t h, int64_t from, int64_t n,
                         const workspace *w)
{
    for (int64_t i = 0; i < n; i++) {
        const weft_real *number = w->number + i * w->P;
        const weft_real inverse = g->n_k == 0 ? 0 : 1 / (number[g->Kv] + g->eps);
        weft_real *o = g->o + (from + i) * g->ldo + h * g->Kv;
        for (int64_t c = 0; c < g->Kv; c++) o[c] = number[c] * inverse;
        if (g->inverse) g->inverse[h * g->per_head + from + i] = inverse;
    }
}

/* dn of the same. */
WEFT_INLINE void output_gradients(const weft_linear_group *g, int64_t h, int64_t from, int64_t n,
                                  const workspace *w)
{
    for (int64_t i = 0; i < n; i++) {
        const weft_real *dout = g->dout + (from + i) * g->lddo + h * g->Kv;
        const weft_real *o = g->o + (from + i) * g->ldo + h * g->Kv;
        const weft_real inverse = g->inverse[h * g->per_head + from + i];
        weft_real *number = w->number + i * w->P;
        for (int64_t c = 0; c < g->Kv; c++) number[c] = dout[c] * inverse;
        number[g->Kv] = (weft_real)-row_product(g->Kv, dout, o) * inverse;
        for (int64_t c = g->Kv + 1; c < w->P; c++) number[c] = 0;
    }
}

/* ---- products within a chunk: what is masked is not even multiplied by 0, so that a NaN of the future
 * stays there ------------------------------------------------------------------------------------- */

/* Y[i] += sum over j <= i of W[i, j] X[j]. */
WEFT_INLINE void lower_product(int64_t n, int64_t C, const weft_real *W, const weft_real *X,
                               weft_real *Y)
{
    for (int64_t i = 0; i < n; i += SMALL_ROWS) {
        const int64_t end = least(n, i + SMALL_ROWS);
        small_gemm_nn(end - i, C, i + 1, W + i * CHUNK, CHUNK, X, C, Y + i * C, C, true);
        for (int64_t r = i + 1; r < end; r++)
            for (int64_t j = i + 1; j <= r; j++)
                small_step(C, W[r * CHUNK + j], X + j * C, Y + r * C, false);
    }
}

/* Y[j] += sum over i >= j of W[i, j] X[i]. */
WEFT_INLINE void upper_product(int64_t n, int64_t C, const weft_real *W, const weft_real *X,
                               weft_real *Y)
{
    for (int64_t j = 0; j < n; j += SMALL_ROWS) {
        const int64_t last = least(n, j + SMALL_ROWS) - 1; /* from here on all of them are seen */
        small_gemm_tn(last + 1 - j, C, n - last, W + last * CHUNK + j, CHUNK, X + last * C, C,
                      Y + j * C, C, true);
        for (int64_t r = j; r < last; r++)
            for (int64_t i = r; i < last; i++)
                small_step(C, W[i * CHUNK + r], X + i * C, Y + r * C, false);
    }
}

/* ---- chunks ------------------------------------------------------------------------------------- */

WEFT_INLINE void zero(int64_t n, weft_real *x) { memset(x, 0, (size_t)n * sizeof *x); }

WEFT_INLINE void load_keys(const weft_linear_group *g, int64_t from, int64_t n, const workspace *w)
{
    features(g, n, g->k + from * g->ldk, g->ldk, w->phi_k);
    values(g, w->P, n, g->v + from * g->ldv, w->value);
}

WEFT_INLINE void load_queries(const weft_linear_group *g, int64_t h, int64_t from, int64_t n,
                              const workspace *w)
{
    features(g, n, g->q + from * g->ldq + h * g->K, g->ldq, w->phi_q);
}

WEFT_INLINE void add_keys(const weft_linear_group *g, int64_t n, const workspace *w)
{
    small_gemm_tn(g->K, w->P, n, w->phi_k, g->K, w->value, w->P, w->sum, w->P, true);
}

WEFT_INLINE void sum_keys(const weft_linear_group *g, const workspace *w)
{
    zero(g->K * w->P, w->sum);
    for (int64_t from = 0; from < g->n_k; from += CHUNK) {
        const int64_t n = least(CHUNK, g->n_k - from);
        load_keys(g, from, n, w);
        add_keys(g, n, w);
    }
}

WEFT_KERNEL static void forward_all(const weft_linear_group *g, const workspace *w)
{
    sum_keys(g, w);
    for (int64_t h = 0; h < g->heads; h++)
        for (int64_t from = 0; from < g->n_q; from += CHUNK) {
            const int64_t n = least(CHUNK, g->n_q - from);
            load_queries(g, h, from, n, w);
            small_gemm_nn(n, w->P, g->K, w->phi_q, g->K, w->sum, w->P, w->number, w->P, false);
            outputs(g, h, from, n, w);
        }
}

WEFT_KERNEL static void forward_causal(const weft_linear_group *g, const workspace *w)
{
    zero(g->K * w->P, w->sum);
    for (int64_t from = 0; from < g->n_q; from += CHUNK) {
        const int64_t n = least(CHUNK, g->n_q - from);
        load_keys(g, from, n, w);
        small_transpose(n, g->K, w->phi_k, g->K, w->kt, CHUNK);
        for (int64_t h = 0; h < g->heads; h++) {
            load_queries(g, h, from, n, w);
            small_gemm_nn(n, n, g->K, w->phi_q, g->K, w->kt, CHUNK, w->score, CHUNK, false);
            small_gemm_nn(n, w->P, g->K, w->phi_q, g->K, w->sum, w->P, w->number, w->P, false);
            lower_product(n, w->P, w->score, w->value, w->number);
            outputs(g, h, from, n, w);
        }
        add_keys(g, n, w);
    }
}

void weft_linear_attention_forward(const weft_linear_group *g, weft_real *work)
{
    const workspace w = workspace_of(g, work);
    if (g->causal)
        forward_causal(g, &w);
    else
        forward_all(g, &w);
}

/* ---- backward ----------------------------------------------------------------------------------- */

WEFT_INLINE void give_queries(const weft_linear_group *g, int64_t h, int64_t from, int64_t n,
                              const workspace *w)
{
    give_features(g, n, g->q + from * g->ldq + h * g->K, g->ldq, w->phi_q, w->dphi,
                  g->dq + from * g->lddq + h * g->K, g->lddq, g->add_q);
}

WEFT_INLINE void give_keys(const weft_linear_group *g, int64_t from, int64_t n, const workspace *w)
{
    if (g->dk)
        give_features(g, n, g->k + from * g->ldk, g->ldk, w->phi_k, w->dphi, g->dk + from * g->lddk,
                      g->lddk, g->add_k);
    if (g->dv) give_values(g, w->P, n, w->dvalue, g->dv + from * g->lddv);
}

/* dphi(q) = dn S^T with S^T in `turned`; dS += phi(q)^T dn. */
WEFT_INLINE void from_sum(const weft_linear_group *g, int64_t n, const workspace *w)
{
    small_gemm_nn(n, g->K, w->P, w->number, w->P, w->turned, g->K, w->dphi, g->K, false);
}

WEFT_INLINE void add_queries(const weft_linear_group *g, int64_t n, const workspace *w)
{
    small_gemm_tn(g->K, w->P, n, w->phi_q, g->K, w->number, w->P, w->dsum, w->P, true);
}

/* dphi(k) = v+ dS^T, dv+ = phi(k) dS. */
WEFT_INLINE void from_dsum(const weft_linear_group *g, int64_t n, const workspace *w)
{
    small_gemm_nn(n, g->K, w->P, w->value, w->P, w->turned, g->K, w->dphi, g->K, false);
    small_gemm_nn(n, w->P, g->K, w->phi_k, g->K, w->dsum, w->P, w->dvalue, w->P, false);
}

WEFT_KERNEL static void backward_all(const weft_linear_group *g, const workspace *w)
{
    if (g->dq) {
        sum_keys(g, w);
        small_transpose(g->K, w->P, w->sum, w->P, w->turned, g->K);
    }
    zero(g->K * w->P, w->dsum);
    for (int64_t h = 0; h < g->heads; h++)
        for (int64_t from = 0; from < g->n_q; from += CHUNK) {
            const int64_t n = least(CHUNK, g->n_q - from);
            load_queries(g, h, from, n, w);
            output_gradients(g, h, from, n, w);
            add_queries(g, n, w);
            if (!g->dq) continue;
            from_sum(g, n, w);
            give_queries(g, h, from, n, w);
        }
    if (!g->dk && !g->dv) return;
    small_transpose(g->K, w->P, w->dsum, w->P, w->turned, g->K);
    for (int64_t from = 0; from < g->n_k; from += CHUNK) {
        const int64_t n = least(CHUNK, g->n_k - from);
        load_keys(g, from, n, w);
        from_dsum(g, n, w);
        give_keys(g, from, n, w);
    }
}

/* dn v+^T of a chunk: the gradient of its scores. */
WEFT_INLINE void score_gradients(int64_t n, const workspace *w)
{
    small_gemm_nn(n, n, w->P, w->number, w->P, w->vt, CHUNK, w->dscore, CHUNK, false);
}

/* Forwards, with S of the chunks before. */
WEFT_KERNEL static void backward_causal_queries(const weft_linear_group *g, const workspace *w)
{
    zero(g->K * w->P, w->sum);
    for (int64_t from = 0; from < g->n_q; from += CHUNK) {
        const int64_t n = least(CHUNK, g->n_q - from);
        load_keys(g, from, n, w);
        small_transpose(n, w->P, w->value, w->P, w->vt, CHUNK);
        small_transpose(g->K, w->P, w->sum, w->P, w->turned, g->K);
        for (int64_t h = 0; h < g->heads; h++) {
            load_queries(g, h, from, n, w);
            output_gradients(g, h, from, n, w);
            score_gradients(n, w);
            from_sum(g, n, w);
            lower_product(n, g->K, w->dscore, w->phi_k, w->dphi);
            give_queries(g, h, from, n, w);
        }
        add_keys(g, n, w);
    }
}

/* Backwards, with dS of the chunks behind. */
WEFT_KERNEL static void backward_causal_keys(const weft_linear_group *g, const workspace *w)
{
    zero(g->K * w->P, w->dsum);
    for (int64_t from = (g->n_k - 1) / CHUNK * CHUNK; from >= 0; from -= CHUNK) {
        const int64_t n = least(CHUNK, g->n_k - from);
        load_keys(g, from, n, w);
        small_transpose(n, g->K, w->phi_k, g->K, w->kt, CHUNK);
        small_transpose(n, w->P, w->value, w->P, w->vt, CHUNK);
        small_transpose(g->K, w->P, w->dsum, w->P, w->turned, g->K);
        from_dsum(g, n, w);
        for (int64_t h = 0; h < g->heads; h++) {
            load_queries(g, h, from, n, w);
            output_gradients(g, h, from, n, w);
            score_gradients(n, w);
            small_gemm_nn(n, n, g->K, w->phi_q, g->K, w->kt, CHUNK, w->score, CHUNK, false);
            upper_product(n, g->K, w->dscore, w->phi_q, w->dphi);
            upper_product(n, w->P, w->score, w->number, w->dvalue);
            add_queries(g, n, w);
        }
        give_keys(g, from, n, w);
    }
}

void weft_linear_attention_backward(const weft_linear_group *g, weft_real *work)
{
    const workspace w = workspace_of(g, work);
    if (!g->causal) {
        backward_all(g, &w);
        return;
    }
    if (g->dq) backward_causal_queries(g, &w);
    if ((g->dk || g->dv) && g->n_k > 0) backward_causal_keys(g, &w);
}
