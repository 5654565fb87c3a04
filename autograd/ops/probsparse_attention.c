/**
 * weft_probsparse_attention - attention of the queries that matter (Zhou et al. 2021, Informer).
 *
 * Chosen queries attend to all keys of their sentence, causal to those up to their own; of the others
 * o_i is
 *
 *     the mean of all v_j              WEFT_PROBSPARSE
 *     v_0 + ... + v_i                  WEFT_PROBSPARSE_PUBLISHED: a sum, as the published code has it
 *     (v_0 + ... + v_i) / (i + 1)      WEFT_PROBSPARSE_CAUSAL
 *
 * Time O(n u (K + Kv)) for n keys and u chosen queries, memory O(N). The choice is `selected` where given,
 * else weft_probsparse_select's; no gradient flows through it. As published it reads future keys, so
 * only WEFT_PROBSPARSE_CAUSAL is causal.
 *
 * @param q     [N, H K], or [B, T, H K]
 * @param k     [M, H K], or [B, S, H K]
 * @param v     [M, H Kv], or [B, S, H Kv]
 * @param spec  heads H, kind, factor, scale (0: 1 / sqrt(K)), key, q_offsets, k_offsets, selected
 * @return      [N, H Kv], or [B, T, H Kv]; a query without keys gives 0
 *
 * Gradient     that of attention for the chosen queries; of the others dv_j gets its share of do_i
 *              A weight that is exactly 0 passes nothing on, not even a NaN of its key or value
 * Errors       WEFT_ERR_SHAPE  columns that are no H heads of one width, rows that differ, numbers of
 *                              sentences that differ, causal with unequal sentences
 *              WEFT_ERR_RANGE  heads, factor, scale, offsets
 * Saved        largest score and 1 / sum of exponentials, [H, N, 2]
 * Numbers      sums of values in double; one thread for each sentence and head
 */
#include "autograd/gathered_internal.h"
#include "autograd/probsparse_internal.h"
#include "autograd/rows_internal.h"
#include "core/checked.h"

#include <omp.h>

enum { Q, K_IN, V_IN, SELECTED, Q_OFFSETS, K_OFFSETS, N_INPUTS };
enum { TILE = WEFT_GATHERED_TILE };

/* One head of one sentence. */
typedef struct sparse_head {
    weft_probsparse_kind kind;
    int64_t n_q, n_k, K, Kv;
    const weft_real *q, *k, *v, *dout;
    weft_real *o, *stats, *dq, *dk, *dv;
    const int32_t *selected;
    int64_t ldq, ldk, ldv, ldo, lds, lddo, lddq, lddk, lddv;
    bool add_q, add_k, add_v;
    /* workspace */
    int32_t *chosen; /* [n_q]: rows of the chosen queries, rising */
    int64_t n_chosen;
    double *sum; /* [Kv] */
} sparse_head;

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* Bytes of the workspace of one thread; a multiple of WEFT_ALIGN. */
static bool work_bytes(const weft_call *c, size_t *bytes)
{
    const weft_probsparse_attr *a = c->attr;
    const int64_t Kv = weft_cols(&c->in[V_IN]) / a->heads;
    int64_t tiles;
    size_t rows, sums;
    return weft_gathered_work(weft_cols(&c->in[Q]) / a->heads, Kv, &tiles) &&
           weft_mul_bytes((size_t)weft_rows(&c->in[Q]), sizeof(int32_t), &rows) &&
           weft_mul_bytes((size_t)Kv, sizeof(double), &sums) && weft_add_bytes(rows, sums, bytes) &&
           weft_add_bytes(*bytes, (size_t)tiles * sizeof(weft_real), bytes) &&
           weft_align_bytes(*bytes, WEFT_ALIGN, bytes);
}

static bool infer(weft_call *c)
{
    const weft_probsparse_attr *a = c->attr;
    const weft_tensor *in = c->in;
    if (!weft_probsparse_check(c, a, Q_OFFSETS) || !weft_packed_check_heads(c, V_IN, "v", a->heads))
        return false;
    if (weft_rows(&in[K_IN]) != weft_rows(&in[V_IN]))
        return weft_fail(c, WEFT_ERR_SHAPE, "k has %lld rows, v %lld",
                         (long long)weft_rows(&in[K_IN]), (long long)weft_rows(&in[V_IN]));
    if (weft_rows(&in[SELECTED]) != weft_rows(&in[Q]) || weft_cols(&in[SELECTED]) != a->heads)
        return weft_fail(c, WEFT_ERR_SHAPE, "selected must be [%lld, %d]: rows, heads",
                         (long long)weft_rows(&in[Q]), a->heads);
    size_t bytes;
    if (!work_bytes(c, &bytes) || !weft_mul_bytes(bytes, (size_t)a->n_threads, &bytes))
        return weft_fail(c, WEFT_ERR_OVERFLOW, "heads are too wide");
    c->scratch_bytes = c->backward_scratch_bytes = bytes;
    return weft_packed_out(c, Q, weft_cols(&in[V_IN])) &&
           weft_save(c, 0, WEFT_REAL, 2 * a->heads * weft_rows(&in[Q]));
}

/* ---- chosen queries ----------------------------------------------------------------------------- */

static void list_chosen(sparse_head *h)
{
    h->n_chosen = 0;
    for (int64_t i = 0; i < h->n_q; i++)
        if (h->selected[i * h->lds]) h->chosen[h->n_chosen++] = (int32_t)i;
}

/* A tile of keys [from, from + n_k) for the queries in g; the keys are dense rows. */
static void load_keys(const sparse_head *h, const int32_t *queries, int64_t from, weft_gathered *g)
{
    for (int64_t j = 0; j < g->n_k; j++) {
        memcpy(g->k + j * h->K, h->k + (from + j) * h->ldk, (size_t)h->K * sizeof *g->k);
        memcpy(g->v + j * h->Kv, h->v + (from + j) * h->ldv, (size_t)h->Kv * sizeof *g->v);
    }
    for (int64_t i = 0; i < g->n_q; i++)
        for (int64_t j = 0; j < g->n_k; j++)
            g->mask[i * TILE + j] =
                h->kind != WEFT_PROBSPARSE && from + j > queries[i] ? (weft_real)-INFINITY : 0;
}

/* Keys that the last of the queries sees. */
static int64_t keys_end(const sparse_head *h, const int32_t *queries, int64_t n)
{
    return h->kind == WEFT_PROBSPARSE ? h->n_k : least(h->n_k, queries[n - 1] + 1);
}

static void forward_chosen(const sparse_head *h, weft_gathered *g)
{
    for (int64_t at = 0; at < h->n_chosen; at += TILE) {
        const int32_t *queries = h->chosen + at;
        g->n_q = least(TILE, h->n_chosen - at);
        weft_gather_rows(g->n_q, queries, h->K, h->q, h->ldq, g->q);
        weft_gathered_begin(g);
        const int64_t end = keys_end(h, queries, g->n_q);
        for (int64_t from = 0; from < end; from += TILE) {
            g->n_k = least(TILE, end - from);
            load_keys(h, queries, from, g);
            weft_gathered_forward(g);
        }
        for (int64_t i = 0; i < g->n_q; i++) {
            const weft_real inverse = g->sum[i] == 0 ? 0 : (weft_real)(1 / g->sum[i]);
            weft_real *o = h->o + queries[i] * h->ldo;
            for (int64_t c = 0; c < h->Kv; c++) o[c] = g->o[i * h->Kv + c] * inverse;
            if (!h->stats) continue;
            h->stats[2 * queries[i]] = inverse == 0 ? 0 : g->max[i];
            h->stats[2 * queries[i] + 1] = inverse;
        }
    }
}

static void add_rows(int64_t n, int64_t C, const weft_real *from, weft_real *to, int64_t ld)
{
    for (int64_t j = 0; j < n && to; j++)
        for (int64_t c = 0; c < C; c++) to[j * ld + c] += from[j * C + c];
}

static void backward_chosen(const sparse_head *h, weft_gathered *g)
{
    for (int64_t at = 0; at < h->n_chosen; at += TILE) {
        const int32_t *queries = h->chosen + at;
        g->n_q = least(TILE, h->n_chosen - at);
        weft_gather_rows(g->n_q, queries, h->K, h->q, h->ldq, g->q);
        weft_gather_rows(g->n_q, queries, h->Kv, h->dout, h->lddo, g->dout);
        for (int64_t i = 0; i < g->n_q; i++) {
            g->max[i] = h->stats[2 * queries[i]];
            g->inverse[i] = h->stats[2 * queries[i] + 1];
            g->dot[i] =
                (weft_real)row_product(h->Kv, g->dout + i * h->Kv, h->o + queries[i] * h->ldo);
        }
        const int64_t end = keys_end(h, queries, g->n_q);
        for (int64_t from = 0; from < end; from += TILE) {
            g->n_k = least(TILE, end - from);
            load_keys(h, queries, from, g);
            weft_gathered_backward(g);
            if (h->dq) weft_scatter_rows(g->n_q, queries, h->K, g->dq, true, h->dq, h->lddq);
            add_rows(g->n_k, h->K, g->dk, h->dk ? h->dk + from * h->lddk : NULL, h->lddk);
            add_rows(g->n_k, h->Kv, g->dv, h->dv ? h->dv + from * h->lddv : NULL, h->lddv);
        }
    }
}

/* ---- the other queries -------------------------------------------------------------------------- */

/* What of the running sum of values query i gets. */
static double share(const sparse_head *h, int64_t i)
{
    if (h->kind == WEFT_PROBSPARSE) return h->n_k == 0 ? 0 : 1 / (double)h->n_k;
    return h->kind == WEFT_PROBSPARSE_PUBLISHED ? 1 : 1 / (double)(i + 1);
}

static void forward_lazy(const sparse_head *h)
{
    int64_t j = 0;
    memset(h->sum, 0, (size_t)h->Kv * sizeof *h->sum);
    for (int64_t i = 0; i < h->n_q; i++) {
        const int64_t end = h->kind == WEFT_PROBSPARSE ? h->n_k : i + 1;
        for (; j < end; j++)
            for (int64_t c = 0; c < h->Kv; c++) h->sum[c] += (double)h->v[j * h->ldv + c];
        if (h->selected[i * h->lds]) continue;
        for (int64_t c = 0; c < h->Kv; c++)
            h->o[i * h->ldo + c] = (weft_real)(h->sum[c] * share(h, i));
    }
}

/* The first writer of dv: from the last query back, each of which counts for the values up to its own. */
static void backward_lazy(const sparse_head *h)
{
    int64_t i = h->n_q;
    memset(h->sum, 0, (size_t)h->Kv * sizeof *h->sum);
    for (int64_t j = h->n_k - 1; j >= 0; j--) {
        const int64_t first = h->kind == WEFT_PROBSPARSE ? 0 : j;
        while (i > first) {
            i--;
            if (h->selected[i * h->lds]) continue;
            for (int64_t c = 0; c < h->Kv; c++)
                h->sum[c] += (double)h->dout[i * h->lddo + c] * share(h, i);
        }
        weft_real *dv = h->dv + j * h->lddv;
        for (int64_t c = 0; c < h->Kv; c++) dv[c] = (h->add_v ? dv[c] : 0) + (weft_real)h->sum[c];
    }
}

static void zero_rows(int64_t n, int64_t C, weft_real *x, int64_t ld, bool keep)
{
    for (int64_t i = 0; i < n && x && !keep; i++) memset(x + i * ld, 0, (size_t)C * sizeof *x);
}

/* ---- the sweep ---------------------------------------------------------------------------------- */

static sparse_head head_of(const weft_call *c, int64_t b, int64_t i, bool is_backward)
{
    const weft_probsparse_attr *a = c->attr;
    const weft_tensor *q = &c->in[Q], *k = &c->in[K_IN], *v = &c->in[V_IN],
                      *selected = &c->in[SELECTED], *o = &c->out[0];
    const int64_t row = weft_packed_begin(q, &c->in[Q_OFFSETS], b),
                  k_row = weft_packed_begin(k, &c->in[K_OFFSETS], b), K = weft_cols(q) / a->heads,
                  Kv = weft_cols(v) / a->heads;
    sparse_head h = { .kind = a->kind,
                      .n_q = weft_packed_begin(q, &c->in[Q_OFFSETS], b + 1) - row,
                      .n_k = weft_packed_begin(k, &c->in[K_OFFSETS], b + 1) - k_row,
                      .K = K,
                      .Kv = Kv,
                      .q = q->real + row * q->ld + i * K,
                      .k = k->real + k_row * k->ld + i * K,
                      .v = v->real + k_row * v->ld + i * Kv,
                      .o = o->real + row * o->ld + i * Kv,
                      .selected = selected->i32 + row * selected->ld + i,
                      .ldq = q->ld,
                      .ldk = k->ld,
                      .ldv = v->ld,
                      .ldo = o->ld,
                      .lds = selected->ld };
    if (is_backward || c->saved[0].data) h.stats = c->saved[0].real + 2 * (i * weft_rows(q) + row);
    if (!is_backward) return h;
    const weft_tensor *dq = &c->din[Q], *dk = &c->din[K_IN], *dv = &c->din[V_IN];
    h.dout = c->dout[0].real + row * c->dout[0].ld + i * Kv;
    h.lddo = c->dout[0].ld;
    if (dq->data) h.dq = dq->real + row * dq->ld + i * K;
    if (dk->data) h.dk = dk->real + k_row * dk->ld + i * K;
    if (dv->data) h.dv = dv->real + k_row * dv->ld + i * Kv;
    h.lddq = dq->ld;
    h.lddk = dk->ld;
    h.lddv = dv->ld;
    h.add_q = c->add[Q];
    h.add_k = c->add[K_IN];
    h.add_v = c->add[V_IN];
    return h;
}

static void treat(sparse_head *h, bool is_backward, weft_gathered *g)
{
    list_chosen(h);
    if (!is_backward) {
        forward_chosen(h, g);
        forward_lazy(h);
        return;
    }
    zero_rows(h->n_q, h->K, h->dq, h->lddq, h->add_q);
    zero_rows(h->n_k, h->K, h->dk, h->lddk, h->add_k);
    if (h->dv) backward_lazy(h);
    backward_chosen(h, g);
}

static void sweep(const weft_call *c, bool is_backward)
{
    const weft_probsparse_attr *a = c->attr;
    const weft_tensor *q = &c->in[Q];
    const int64_t H = a->heads, K = weft_cols(q) / H, Kv = weft_cols(&c->in[V_IN]) / H,
                  n = weft_packed_sentences(q, &c->in[Q_OFFSETS]) * H;
    int64_t tiles;
    size_t each;
    if (!work_bytes(c, &each) || !weft_gathered_work(K, Kv, &tiles)) return; /* infer has asked */
    const weft_real scale = (weft_real)(a->scale == 0 ? 1 / sqrt((double)K) : a->scale);
    int team = weft_team(n, (weft_rows(q) + weft_rows(&c->in[K_IN])) * H * TILE * (K + Kv));
    /* The number of threads may have been raised in between. NOLINTNEXTLINE: a pragma reads team */
    if (team > a->n_threads) team = a->n_threads;
#pragma omp parallel for schedule(static, 1) num_threads(team)
    for (int64_t i = 0; i < n; i++) {
        char *work = (char *)c->scratch + (size_t)omp_get_thread_num() * each;
        weft_gathered g = weft_gathered_of(K, Kv, scale, (weft_real *)(void *)work);
        sparse_head h = head_of(c, i / H, i % H, is_backward);
        h.sum = (double *)(void *)(work + (size_t)tiles * sizeof(weft_real));
        h.chosen = (int32_t *)(void *)(h.sum + Kv);
        treat(&h, is_backward, &g);
    }
}

static void forward(const weft_call *c) { sweep(c, false); }
static void backward(const weft_call *c) { sweep(c, true); }

/* ---- definition --------------------------------------------------------------------------------- */

typedef struct definition {
    weft_tape *t;
    const weft_probsparse_attr *a;
    weft_tensor in[N_INPUTS];
    weft_var q, k, v;
    int64_t K, Kv;
} definition;

/* One head of one sentence; selected NULL where nothing is known. */
typedef struct pairs {
    weft_probsparse_kind kind;
    const int32_t *selected;
    int64_t ld;
} pairs;

static bool seen(const void *context, int64_t i, int64_t j)
{
    const pairs *p = context;
    return p->kind == WEFT_PROBSPARSE || j <= i;
}

static bool chosen(const void *context, int64_t i, int64_t j)
{
    const pairs *p = context;
    (void)j;
    return !p->selected || p->selected[i * p->ld];
}

static weft_var define_head(const void *context, int64_t b, int64_t h)
{
    const definition *d = context;
    weft_tape *t = d->t;
    const weft_tensor *in = d->in, *selected = &in[SELECTED];
    const int64_t row = weft_packed_begin(&in[Q], &in[Q_OFFSETS], b),
                  n_q = weft_packed_begin(&in[Q], &in[Q_OFFSETS], b + 1) - row,
                  k_row = weft_packed_begin(&in[K_IN], &in[K_OFFSETS], b),
                  n_k = weft_packed_begin(&in[K_IN], &in[K_OFFSETS], b + 1) - k_row;
    if (n_k == 0) return weft_full(t, WEFT_DIMS(n_q, d->Kv), 0);
    const pairs p = { .kind = d->a->kind,
                      .selected =
                          selected->rank >= 0 ? selected->i32 + row * selected->ld + h : NULL,
                      .ld = selected->ld };
    const weft_var q = weft_packed_part(t, d->q, row, n_q, h, d->K),
                   k = weft_packed_part(t, d->k, k_row, n_k, h, d->K),
                   v = weft_packed_part(t, d->v, k_row, n_k, h, d->Kv);
    const double scale = d->a->scale == 0 ? 1 / sqrt((double)d->K) : d->a->scale;
    const weft_var mask = weft_packed_mask(t, n_q, n_k, seen, &p);
    const weft_var scores =
        weft_where(t, mask, weft_scale(t, weft_matmul_t(t, q, false, k, true), scale),
                   weft_scalar(t, -INFINITY));
    const weft_var ones = weft_where(t, mask, weft_scalar(t, 1), weft_scalar(t, 0));
    const weft_var even =
        p.kind == WEFT_PROBSPARSE_PUBLISHED ? ones : weft_div(t, ones, weft_sum(t, ones, 1, true));
    const weft_var weights =
        weft_where(t, weft_packed_mask(t, n_q, n_k, chosen, &p), weft_softmax(t, scores), even);
    return weft_matmul(t, weights, v);
}

static weft_var define_sentence(const void *context, int64_t b)
{
    const definition *d = context;
    if (weft_packed_begin(&d->in[Q], &d->in[Q_OFFSETS], b) ==
        weft_packed_begin(&d->in[Q], &d->in[Q_OFFSETS], b + 1))
        return WEFT_NIL;
    return weft_packed_heads(d->t, d->a->heads, b, define_head, d);
}

static void define(weft_rule *r)
{
    definition d = { .t = r->tape, .a = r->attr };
    weft_packed_inputs(r, SELECTED, d.in);
    d.q = weft_packed_matrix(r->tape, r->in[Q]);
    d.k = weft_packed_matrix(r->tape, r->in[K_IN]);
    d.v = weft_packed_matrix(r->tape, r->in[V_IN]);
    d.K = weft_cols(&d.in[Q]) / d.a->heads;
    d.Kv = weft_cols(&d.in[V_IN]) / d.a->heads;
    weft_packed_define(r, &d.in[Q], weft_packed_sentences(&d.in[Q], &d.in[Q_OFFSETS]),
                       d.a->heads * d.Kv, define_sentence, &d);
}

/* ---- tests -------------------------------------------------------------------------------------- */

/* The choice is drawn: it does not change with the differences. `of`: one query in so many is chosen. */
static weft_var attend(weft_tape *t, int64_t N, int64_t K, int32_t of, weft_probsparse_spec spec)
{
    const int64_t H = spec.heads;
    spec.selected =
        weft_greater(t, weft_scalar(t, 0.99 / of),
                     weft_stop_gradient(t, weft_sample_uniform(t, 0, 1, WEFT_DIMS(N, H))));
    return weft_probsparse_attention(t, weft_sample_normal(t, WEFT_DIMS(N, H * K)),
                                     weft_sample_normal(t, WEFT_DIMS(N, H * K)),
                                     weft_sample_normal(t, WEFT_DIMS(N, H * (K + 1))), &spec);
}

static weft_var sample(weft_tape *t, int i)
{
    weft_probsparse_spec spec = { .heads = 2, .kind = (weft_probsparse_kind)(i % 3) };
    switch (i / 3) {
    case 0: return attend(t, 9, 3, 2, spec);
    case 1:
        spec.q_offsets = weft_constant_int(t, WEFT_DIMS(5), (int32_t[]){ 0, 1, 140, 140, 171 });
        spec.scale = 0.7;
        return attend(t, 171, 2, 2, spec);
    case 2: return attend(t, 6, 4, 1, spec);
    case 3: /* one value as all three, a batch of equal lengths */
        spec.selected = weft_constant_int(t, WEFT_DIMS(2, 3, 2),
                                          (int32_t[]){ 0, 0, 1, 0, 0, 1, 1, 1, 0, 1, 1, 0 });
        {
            const weft_var x = weft_sample_normal(t, WEFT_DIMS(2, 3, 4));
            return weft_probsparse_attention(t, x, x, x, &spec);
        }
    default: break;
    }
    if (i > 12) return WEFT_NIL;
    /* other keys than queries; a sentence without keys, one without queries */
    spec.q_offsets = weft_constant_int(t, WEFT_DIMS(4), (int32_t[]){ 0, 5, 9, 9 });
    spec.k_offsets = weft_constant_int(t, WEFT_DIMS(4), (int32_t[]){ 0, 6, 6, 8 });
    spec.selected = weft_sample_int(t, 0, 2, WEFT_DIMS(9, 2));
    return weft_probsparse_attention(t, weft_sample_strided(t, WEFT_DIMS(9, 6)),
                                     weft_sample_strided(t, WEFT_DIMS(8, 6)),
                                     weft_sample_strided(t, WEFT_DIMS(8, 4)), &spec);
}

static weft_var misuse(weft_tape *t, int i)
{
    const weft_var x = weft_sample_normal(t, WEFT_DIMS(6, 4)),
                   y = weft_sample_normal(t, WEFT_DIMS(5, 4));
    weft_probsparse_spec spec = { .heads = 2,
                                  .selected = weft_sample_int(t, 0, 2, WEFT_DIMS(6, 2)) };
    switch (i) {
    case 0: spec.heads = 3; break;
    case 1: spec.heads = 0; break;
    case 2: spec.factor = -1; break;
    case 3:
        spec.kind = WEFT_PROBSPARSE_PUBLISHED;
        return weft_probsparse_attention(t, x, y, y, &spec);
    case 4: spec.q_offsets = weft_constant_int(t, WEFT_DIMS(2), (int32_t[]){ 0, 5 }); break;
    case 5: return weft_probsparse_attention(t, x, x, x, NULL);
    case 6: return weft_probsparse_attention(t, x, x, y, &spec);
    case 7: spec.selected = weft_sample_int(t, 0, 2, WEFT_DIMS(6, 1)); break;
    case 8:
        return weft_probsparse_attention(t, x, x, weft_sample_normal(t, WEFT_DIMS(6, 3)), &spec);
    default: return WEFT_NIL;
    }
    return weft_probsparse_attention(t, x, x, x, &spec);
}

const weft_op weft_op_probsparse_attention = { .name = "probsparse_attention",
                                               .inputs = "q k v selected q_offsets k_offsets",
                                               .n_in = N_INPUTS,
                                               .integer =
                                                   1 << SELECTED | 1 << Q_OFFSETS | 1 << K_OFFSETS,
                                               .optional = 1 << Q_OFFSETS | 1 << K_OFFSETS,
                                               .strided = 1 << Q | 1 << K_IN | 1 << V_IN,
                                               .infer = infer,
                                               .forward = forward,
                                               .backward = backward,
                                               .define = define,
                                               .sample = sample,
                                               .misuse = misuse };

weft_var weft_probsparse_attention(weft_tape *tape, weft_var q, weft_var k, weft_var v,
                                   const weft_probsparse_spec *spec)
{
    if (!spec) {
        weft_tape_fail(tape, WEFT_ERR_STATE,
                       "probsparse_attention: no spec, which says how many heads");
        return WEFT_NIL;
    }
    const weft_probsparse_attr attr = weft_probsparse_attr_of(spec);
    const weft_var selected =
        weft_is_nil(spec->selected) ? weft_probsparse_select(tape, q, k, spec) : spec->selected;
    const weft_var k_offsets = weft_is_nil(spec->k_offsets) ? spec->q_offsets : spec->k_offsets;
    return weft_apply1(tape, &weft_op_probsparse_attention, N_INPUTS,
                       (weft_var[]){ q, k, v, selected, spec->q_offsets, k_offsets }, &attr,
                       sizeof attr);
}
