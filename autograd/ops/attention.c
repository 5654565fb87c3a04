/**
 * weft_attention - scaled dot-product attention with many heads (Vaswani et al. 2017, equation 1).
 *
 *     S = scale Q K^T,   P = softmax of each row of S,   O = (P R) V     for each sentence and head
 *
 * with R the multipliers of dropout. Sentences are packed, heads lie side by side in the columns, and
 * neither is moved: tiles are read and written where they are. Key/value heads may be fewer than query
 * heads (Ainslie et al. 2023): head h reads group floor(h G / H). P is never stored: the forward pass
 * keeps two numbers a row and head, and the backward pass computes P again (Dao et al. 2022).
 *
 * @param q     [N, H K], or [B, T, H K] for B sentences of T queries
 * @param k     [M, G K], or [B, S, G K]
 * @param v     [M, G Kv], or [B, S, G Kv]; each of them may be a column slice of a wider product
 * @param spec  heads H, kv_heads G (0: H), scale (0: 1 / sqrt(K)), causal, q_offsets and k_offsets
 *              int32 [B+1] (nil k_offsets: as q_offsets; both nil: one sentence, or dim[0] of equal
 *              length), dropout of the weights and the row keys of the queries, q_rows int32 [N, 2]
 * @return      [N, H Kv], or [B, T, H Kv]; a query without keys gives 0
 *
 * Gradient     dV = (P R)^T dO,  dP = (dO V^T) R,  dS = P (dP - rowsum(dO O)),
 *              dQ = scale dS K,  dK = scale dS^T Q
 * Errors       WEFT_ERR_SHAPE  columns that are no H or G heads of one width, rows that differ,
 *                              numbers of sentences that differ, causal with unequal sentences
 *              WEFT_ERR_RANGE  heads, scale, dropout; offsets that do not rise from 0 to the rows
 * Saved        largest score and 1 / sum of exponentials, [H, N, 2]
 * Numbers      row sums in double; products as in core/small_gemm.h. Tiles begin at fixed places, and
 *              each element has one writer: the same bits for any number of threads, and a sentence
 *              alone gives what it gives in a batch
 */
#include "autograd/attention_internal.h"
#include "autograd/fused_internal.h"
#include "core/checked.h"

#include <math.h>
#include <omp.h>

enum { Q, K_IN, V_IN, Q_OFFSETS, K_OFFSETS, Q_ROWS, N_INPUTS };
enum { TILE = WEFT_ATTENTION_TILE };

typedef struct attention_attr {
    int heads, kv_heads;
    double scale; /* 0: 1 / sqrt(K) */
    bool causal;
    double p;
    uint64_t key;
    int n_threads; /* workspaces */
} attention_attr;

/* What follows from the shapes. */
typedef struct attention_sizes {
    int64_t B, N, M, H, G, K, Kv;
    weft_real scale;
} attention_sizes;

/* ---- infer -------------------------------------------------------------------------------------- */

static int64_t sentences(const weft_tensor *x, const weft_tensor *offsets)
{
    return offsets->rank >= 0 ? offsets->dim[0] - 1 : x->rank == 3 ? x->dim[0] : 1;
}

static attention_sizes sizes_of(const weft_call *c)
{
    const attention_attr *a = c->attr;
    const weft_tensor *in = c->in;
    attention_sizes s = { .B = sentences(&in[Q], &in[Q_OFFSETS]),
                          .N = weft_rows(&in[Q]),
                          .M = weft_rows(&in[K_IN]),
                          .H = a->heads,
                          .G = a->kv_heads };
    s.K = weft_cols(&in[Q]) / s.H;
    s.Kv = weft_cols(&in[V_IN]) / s.G;
    s.scale = (weft_real)(a->scale == 0 ? 1 / sqrt((double)s.K) : a->scale);
    return s;
}

/* Where sentence b begins. */
static int64_t begin(const weft_tensor *x, const weft_tensor *offsets, int64_t b)
{
    if (offsets->rank >= 0) return offsets->i32[b];
    return x->rank == 3 ? b * x->dim[1] : b * weft_rows(x);
}

static bool check_widths(const weft_call *c)
{
    const attention_attr *a = c->attr;
    const weft_tensor *q = &c->in[Q], *k = &c->in[K_IN], *v = &c->in[V_IN];
    const int64_t H = a->heads, G = a->kv_heads;
    if (H < 1 || G < 1 || H % G != 0)
        return weft_fail(c, WEFT_ERR_RANGE,
                         "%lld heads and %lld key/value heads: the latter must divide"
                         " the former",
                         (long long)H, (long long)G);
    if (!isfinite(a->scale)) return weft_fail(c, WEFT_ERR_RANGE, "scale is %g", a->scale);
    for (int i = Q; i <= V_IN; i++)
        if (c->in[i].rank != 2 && c->in[i].rank != 3)
            return weft_fail(c, WEFT_ERR_SHAPE,
                             "q, k and v must be [rows, heads * width] or "
                             "[sentences, rows, heads * width]");
    const int64_t K = weft_cols(q) / H, k_cols = K * G;
    if (K < 1 || weft_cols(q) != K * H)
        return weft_fail(c, WEFT_ERR_SHAPE, "last dim of q (%lld) is not a multiple of %lld heads",
                         (long long)weft_cols(q), (long long)H);
    if (weft_cols(k) != k_cols)
        return weft_fail(c, WEFT_ERR_SHAPE, "last dim of k (%lld) must be %lld: %lld heads of %lld",
                         (long long)weft_cols(k), (long long)k_cols, (long long)G, (long long)K);
    if (weft_cols(v) < G || weft_cols(v) % G != 0)
        return weft_fail(c, WEFT_ERR_SHAPE, "last dim of v (%lld) is not a multiple of %lld heads",
                         (long long)weft_cols(v), (long long)G);
    if (weft_rows(k) != weft_rows(v))
        return weft_fail(c, WEFT_ERR_SHAPE, "k has %lld rows, v %lld", (long long)weft_rows(k),
                         (long long)weft_rows(v));
    return true;
}

/* Do the offsets rise from 0 to `rows`? */
static bool check_offsets(const weft_call *c, int input, const char *name, int64_t rows)
{
    const weft_tensor *offsets = &c->in[input];
    if (offsets->rank < 0) return true;
    if (offsets->rank != 1 || offsets->dim[0] < 1)
        return weft_fail(c, WEFT_ERR_SHAPE, "%s must be [B+1]", name);
    if (weft_call_is_dry(c)) return true;
    const int64_t B = offsets->dim[0] - 1;
    const int32_t *at = offsets->i32;
    if (at[0] != 0 || at[B] != rows)
        return weft_fail(c, WEFT_ERR_RANGE, "%s go from %d to %d, not from 0 to the %lld rows",
                         name, (int)at[0], (int)at[B], (long long)rows);
    for (int64_t b = 0; b < B; b++)
        if (at[b] > at[b + 1])
            return weft_fail(c, WEFT_ERR_RANGE, "%s fall from %d to %d at sentence %lld", name,
                             (int)at[b], (int)at[b + 1], (long long)b);
    return true;
}

/* Causal: position j of the keys is position j of the queries. */
static bool check_causal(const weft_call *c, int64_t B)
{
    const weft_tensor *in = c->in;
    if (weft_call_is_dry(c)) return true;
    for (int64_t b = 0; b < B; b++) {
        const int64_t n_q = begin(&in[Q], &in[Q_OFFSETS], b + 1) - begin(&in[Q], &in[Q_OFFSETS], b),
                      n_k = begin(&in[K_IN], &in[K_OFFSETS], b + 1) -
                            begin(&in[K_IN], &in[K_OFFSETS], b);
        if (n_q != n_k)
            return weft_fail(c, WEFT_ERR_SHAPE,
                             "causal: sentence %lld has %lld queries and %lld keys", (long long)b,
                             (long long)n_q, (long long)n_k);
    }
    return true;
}

static bool check_sentences(const weft_call *c)
{
    const weft_tensor *in = c->in;
    const attention_attr *a = c->attr;
    if ((in[Q_OFFSETS].rank < 0) != (in[K_OFFSETS].rank < 0))
        return weft_fail(c, WEFT_ERR_SHAPE, "k_offsets without q_offsets");
    if (!check_offsets(c, Q_OFFSETS, "q_offsets", weft_rows(&in[Q])) ||
        !check_offsets(c, K_OFFSETS, "k_offsets", weft_rows(&in[K_IN])))
        return false;
    const int64_t B = sentences(&in[Q], &in[Q_OFFSETS]),
                  of_k = sentences(&in[K_IN], &in[K_OFFSETS]);
    if (B != of_k)
        return weft_fail(c, WEFT_ERR_SHAPE, "%lld sentences of queries, %lld of keys", (long long)B,
                         (long long)of_k);
    return weft_check_dropout(c, a->p, &in[Q_ROWS], weft_rows(&in[Q])) &&
           (!a->causal || check_causal(c, B));
}

/* ---- the plan: what threads share --------------------------------------------------------------- */

/* A tile of one sentence, to be treated for every head. */
typedef struct piece {
    enum { FORWARD, SENTENCE, QUERIES, KEYS } kind;
    int64_t q_row, n_q, k_row, n_k; /* of the sentence */
    int64_t from;                   /* the tile's first query or key */
} piece;

static bool set_scratch(weft_call *c, const attention_sizes *s)
{
    const attention_attr *a = c->attr;
    const size_t queries = (size_t)(s->B + s->N / TILE), keys = (size_t)(s->B + s->M / TILE);
    size_t work;
    if (!weft_mul_bytes((size_t)weft_attention_work(s->K, s->Kv), sizeof(weft_real), &work) ||
        !weft_mul_bytes(work, (size_t)a->n_threads, &work))
        return weft_fail(c, WEFT_ERR_OVERFLOW, "heads are too wide");
    c->scratch_bytes = work + queries * sizeof(piece);
    c->backward_scratch_bytes = work + (queries + keys) * sizeof(piece);
    return true;
}

static bool infer(weft_call *c)
{
    if (!check_widths(c) || !check_sentences(c)) return false;
    const attention_sizes s = sizes_of(c);
    int64_t dim[WEFT_MAX_RANK] = { 0 };
    for (int i = 0; i < c->in[Q].rank; i++) dim[i] = c->in[Q].dim[i];
    dim[c->in[Q].rank - 1] = s.H * s.Kv;
    return set_scratch(c, &s) && weft_out(c, 0, WEFT_REAL, c->in[Q].rank, dim) &&
           weft_save(c, 0, WEFT_REAL, 2 * s.H * s.N);
}

static int64_t add_tiles(piece *pieces, int64_t n_pieces, piece of, int64_t n)
{
    for (of.from = 0; of.from < n; of.from += TILE) pieces[n_pieces++] = of;
    return n_pieces;
}

/* The pieces of all sentences, and the scalar operations that they are. */
static int64_t plan(const weft_call *c, const attention_sizes *s, bool backward, piece *pieces,
                    int64_t *work)
{
    const weft_tensor *in = c->in;
    int64_t n = 0, pairs = 0;
    for (int64_t b = 0; b < s->B; b++) {
        piece of = { .q_row = begin(&in[Q], &in[Q_OFFSETS], b),
                     .k_row = begin(&in[K_IN], &in[K_OFFSETS], b) };
        of.n_q = begin(&in[Q], &in[Q_OFFSETS], b + 1) - of.q_row;
        of.n_k = begin(&in[K_IN], &in[K_OFFSETS], b + 1) - of.k_row;
        pairs += of.n_q * of.n_k;
        if (!backward) {
            of.kind = FORWARD;
            n = add_tiles(pieces, n, of, of.n_q);
        } else if (of.n_q <= TILE && of.n_k <= TILE) {
            of.kind = SENTENCE;
            pieces[n++] = of;
        } else {
            of.kind = QUERIES;
            n = add_tiles(pieces, n, of, c->din[Q].data ? of.n_q : 0);
            of.kind = KEYS;
            n = add_tiles(pieces, n, of, c->din[K_IN].data || c->din[V_IN].data ? of.n_k : 0);
        }
    }
    *work = (backward ? 3 : 1) * pairs * s->H * (s->K + s->Kv);
    return n;
}

/* Head h of the sentence of a piece. */
static weft_attention_head head_of(const weft_call *c, const attention_sizes *s, const piece *of,
                                   int64_t h)
{
    const attention_attr *a = c->attr;
    const weft_tensor *q = &c->in[Q], *k = &c->in[K_IN], *v = &c->in[V_IN], *o = &c->out[0];
    const int64_t g = h / (s->H / s->G), at_k = g * s->K, at_v = g * s->Kv;
    weft_attention_head head = { .n_q = of->n_q,
                                 .n_k = of->n_k,
                                 .K = s->K,
                                 .Kv = s->Kv,
                                 .scale = s->scale,
                                 .causal = a->causal,
                                 .q = q->real + of->q_row * q->ld + h * s->K,
                                 .k = k->real + of->k_row * k->ld + at_k,
                                 .v = v->real + of->k_row * v->ld + at_v,
                                 .ldq = q->ld,
                                 .ldk = k->ld,
                                 .ldv = v->ld,
                                 .o = o->real + of->q_row * o->ld + h * s->Kv,
                                 .ldo = o->ld,
                                 .p = a->p,
                                 .key = a->key,
                                 .head = (uint32_t)h,
                                 .first_row = of->q_row,
                                 .rows = &c->in[Q_ROWS] };
    if (c->saved[0].data) head.stats = c->saved[0].real + 2 * (h * s->N + of->q_row);
    if (of->kind == FORWARD) return head;

    const weft_tensor *dq = &c->din[Q], *dk = &c->din[K_IN], *dv = &c->din[V_IN];
    const bool later = h % (s->H / s->G) != 0; /* heads of a group add to what its first wrote */
    head.dout = c->dout[0].real + of->q_row * c->dout[0].ld + h * s->Kv;
    head.lddo = c->dout[0].ld;
    if (dq->data) head.dq = dq->real + of->q_row * dq->ld + h * s->K;
    if (dk->data) head.dk = dk->real + of->k_row * dk->ld + at_k;
    if (dv->data) head.dv = dv->real + of->k_row * dv->ld + at_v;
    head.lddq = dq->ld;
    head.lddk = dk->ld;
    head.lddv = dv->ld;
    head.add_q = c->add[Q];
    head.add_k = c->add[K_IN] || later;
    head.add_v = c->add[V_IN] || later;
    return head;
}

static void treat(const weft_attention_head *head, const piece *of, weft_real *work)
{
    switch (of->kind) {
    case FORWARD: weft_attention_forward_tile(head, of->from, work); break;
    case SENTENCE: weft_attention_backward_sentence(head, work); break;
    case QUERIES: weft_attention_backward_queries(head, of->from, work); break;
    case KEYS: weft_attention_backward_keys(head, of->from, work); break;
    }
}

/* One sweep over pieces and groups of heads, dealt out in turn: causal tiles grow towards the end. */
static void sweep(const weft_call *c, bool backward)
{
    const attention_attr *a = c->attr;
    const attention_sizes s = sizes_of(c);
    const int64_t each = weft_attention_work(s.K, s.Kv), per_group = s.H / s.G;
    weft_real *works = c->scratch;
    piece *pieces = (piece *)(works + a->n_threads * each);
    int64_t work;
    const int64_t n = plan(c, &s, backward, pieces, &work) * s.G;
    int team = weft_team(n, work);
    /* The number of threads may have been raised in between. NOLINTNEXTLINE: a pragma reads team */
    if (team > a->n_threads) team = a->n_threads;
#pragma omp parallel for schedule(static, 1) num_threads(team)
    for (int64_t i = 0; i < n; i++) {
        const piece *of = &pieces[i / s.G];
        for (int64_t h = i % s.G * per_group; h < (i % s.G + 1) * per_group; h++) {
            const weft_attention_head head = head_of(c, &s, of, h);
            treat(&head, of, works + omp_get_thread_num() * each);
        }
    }
}

static void forward(const weft_call *c) { sweep(c, false); }
static void backward(const weft_call *c) { sweep(c, true); }

/* ---- definition --------------------------------------------------------------------------------- */

/* Constants of one sentence: who sees whom, and the multipliers of dropout of one head. */
static weft_var causal_mask(weft_tape *t, int64_t n_q, int64_t n_k)
{
    int32_t *mask = weft_alloc((size_t)(n_q * n_k), sizeof *mask);
    if (!mask) {
        weft_tape_fail(t, WEFT_ERR_MEMORY, "attention: %s", weft_message());
        return WEFT_NIL;
    }
    for (int64_t i = 0; i < n_q; i++)
        for (int64_t j = 0; j < n_k; j++) mask[i * n_k + j] = j <= i;
    const weft_var x = weft_constant_int(t, WEFT_DIMS(n_q, n_k), mask);
    weft_free(mask);
    return x;
}

static weft_var dropout_factors(weft_tape *t, const attention_attr *a, const weft_tensor *rows,
                                int64_t q_row, int64_t n_q, int64_t n_k, int64_t h)
{
    weft_real *keep = weft_alloc((size_t)(n_q * n_k), sizeof *keep);
    if (!keep) {
        weft_tape_fail(t, WEFT_ERR_MEMORY, "attention: %s", weft_message());
        return WEFT_NIL;
    }
    for (int64_t i = 0; i < n_q; i++)
        weft_dropout_row(a->key, weft_row_key(rows, q_row + i), (uint32_t)h, a->p, n_k,
                         keep + i * n_k);
    const weft_var x = weft_constant(t, WEFT_DIMS(n_q, n_k), keep);
    weft_free(keep);
    return x;
}

/* Rows [row, row + n), columns [h C, (h + 1) C). */
static weft_var part(weft_tape *t, weft_var x, int64_t row, int64_t n, int64_t h, int64_t C)
{
    return weft_slice(t, weft_slice(t, x, 0, row, row + n), 1, h * C, (h + 1) * C);
}

typedef struct definition {
    weft_tape *t;
    const attention_attr *a;
    attention_sizes s;
    weft_var q, k, v; /* [rows, columns] */
    weft_tensor rows;
} definition;

static weft_var define_head(const definition *d, const piece *of, weft_var mask, int64_t h)
{
    weft_tape *t = d->t;
    const attention_sizes *s = &d->s;
    const int64_t g = h / (s->H / s->G);
    const weft_var q = part(t, d->q, of->q_row, of->n_q, h, s->K),
                   k = part(t, d->k, of->k_row, of->n_k, g, s->K),
                   v = part(t, d->v, of->k_row, of->n_k, g, s->Kv);
    weft_var scores = weft_scale(t, weft_matmul_t(t, q, false, k, true), (double)s->scale);
    if (d->a->causal) scores = weft_where(t, mask, scores, weft_scalar(t, -INFINITY));
    weft_var weights = weft_softmax(t, scores);
    if (d->a->p > 0)
        weights = weft_mul(t, weights,
                           dropout_factors(t, d->a, &d->rows, of->q_row, of->n_q, of->n_k, h));
    return weft_matmul(t, weights, v);
}

static weft_var define_sentence(const definition *d, const piece *of)
{
    weft_tape *t = d->t;
    const int64_t H = d->s.H;
    if (of->n_k == 0) return weft_full(t, WEFT_DIMS(of->n_q, H * d->s.Kv), 0);
    const weft_var mask = d->a->causal ? causal_mask(t, of->n_q, of->n_k) : WEFT_NIL;
    weft_var *heads = weft_alloc((size_t)H, sizeof *heads);
    if (!heads) {
        weft_tape_fail(t, WEFT_ERR_MEMORY, "attention: %s", weft_message());
        return WEFT_NIL;
    }
    for (int64_t h = 0; h < H; h++) heads[h] = define_head(d, of, mask, h);
    const weft_var y = weft_concat(t, (int)H, heads, 1);
    weft_free(heads);
    return y;
}

static weft_var as_matrix(weft_tape *t, weft_var x)
{
    const weft_tensor shape = weft_shape(t, x);
    if (shape.rank == 2) return x;
    return weft_reshape(t, x, WEFT_DIMS(weft_rows(&shape), weft_cols(&shape)));
}

static void define(weft_rule *r)
{
    weft_tape *t = r->tape;
    weft_tensor in[N_INPUTS];
    for (int i = 0; i < N_INPUTS; i++) {
        in[i] = (weft_tensor){ .rank = -1 };
        if (!weft_is_nil(r->in[i])) in[i] = weft_value(t, r->in[i]);
    }
    if (weft_tape_flags(t) & WEFT_DRY) /* offsets are not known: as if it were one sentence */
        in[Q_OFFSETS].rank = in[K_OFFSETS].rank = -1;
    const weft_call c = { .tape = t, .attr = r->attr, .in = in };
    const definition d = { .t = t,
                           .a = r->attr,
                           .s = sizes_of(&c),
                           .q = as_matrix(t, r->in[Q]),
                           .k = as_matrix(t, r->in[K_IN]),
                           .v = as_matrix(t, r->in[V_IN]),
                           .rows = in[Q_ROWS] };
    weft_var *parts = weft_alloc((size_t)d.s.B + 1, sizeof *parts);
    if (!parts) {
        weft_tape_fail(t, WEFT_ERR_MEMORY, "attention: %s", weft_message());
        return;
    }
    int n = 0;
    for (int64_t b = 0; b < d.s.B; b++) {
        piece of = { .q_row = begin(&in[Q], &in[Q_OFFSETS], b),
                     .k_row = begin(&in[K_IN], &in[K_OFFSETS], b) };
        of.n_q = begin(&in[Q], &in[Q_OFFSETS], b + 1) - of.q_row;
        of.n_k = begin(&in[K_IN], &in[K_OFFSETS], b + 1) - of.k_row;
        if (of.n_q > 0) parts[n++] = define_sentence(&d, &of);
    }
    if (n == 0) parts[n++] = weft_full(t, WEFT_DIMS(0, d.s.H * d.s.Kv), 0);
    int64_t dim[WEFT_MAX_RANK] = { 0 };
    for (int i = 0; i < in[Q].rank; i++) dim[i] = in[Q].dim[i];
    dim[in[Q].rank - 1] = d.s.H * d.s.Kv;
    r->result[0] = weft_reshape(t, weft_concat(t, n, parts, 0), in[Q].rank, dim);
    weft_free(parts);
}

/* ---- tests -------------------------------------------------------------------------------------- */

static weft_var integers(weft_tape *t, int64_t n, const int32_t *x)
{
    return weft_constant_int(t, WEFT_DIMS(n), x);
}

/* q, k, v of H heads (G of keys), K wide. */
static weft_var self(weft_tape *t, int64_t N, int64_t K, const weft_attention_spec *spec)
{
    const int64_t H = spec->heads, G = spec->kv_heads ? spec->kv_heads : H;
    const weft_var q = weft_sample_normal(t, WEFT_DIMS(N, H * K)),
                   k = weft_sample_normal(t, WEFT_DIMS(N, G * K)),
                   v = weft_sample_normal(t, WEFT_DIMS(N, G * (K + 1)));
    return weft_attention(t, q, k, v, spec);
}

static weft_var sample_cross(weft_tape *t)
{
    /* the second sentence has no keys, the fourth no queries */
    const weft_attention_spec spec = { .heads = 2,
                                       .q_offsets =
                                           integers(t, 6, (int32_t[]){ 0, 3, 5, 6, 6, 10 }),
                                       .k_offsets =
                                           integers(t, 6, (int32_t[]){ 0, 2, 2, 7, 9, 10 }),
                                       .dropout = 0.3 };
    const weft_var q = weft_sample_normal(t, WEFT_DIMS(10, 6)),
                   k = weft_sample_strided(t, WEFT_DIMS(10, 6)),
                   v = weft_sample_strided(t, WEFT_DIMS(10, 8));
    return weft_attention(t, q, k, v, &spec);
}

/* Tiles: sentences longer than one, ragged, beside a short one. */
static weft_var sample_long(weft_tape *t, bool causal, double dropout, int kv_heads)
{
    const weft_attention_spec spec = { .heads = 2,
                                       .kv_heads = kv_heads,
                                       .causal = causal,
                                       .dropout = dropout,
                                       .q_offsets = integers(t, 4, (int32_t[]){ 0, 131, 140, 205 }),
                                       .q_rows = weft_sample_int(t, 0, 1000, WEFT_DIMS(205, 2)) };
    return self(t, 205, 3, &spec);
}

/* Slices of one product, as a layer makes them. */
static weft_var sample_sliced(weft_tape *t)
{
    const weft_var x = weft_sample_normal(t, WEFT_DIMS(7, 18)),
                   o = integers(t, 3, (int32_t[]){ 0, 4, 7 });
    return weft_attention(t, weft_slice(t, x, 1, 0, 6), weft_slice(t, x, 1, 6, 12),
                          weft_slice(t, x, 1, 12, 18),
                          &(weft_attention_spec){ .heads = 3, .causal = true, .q_offsets = o });
}

static weft_var sample(weft_tape *t, int i)
{
    weft_var x;
    switch (i) {
    case 0: return self(t, 5, 3, &(weft_attention_spec){ .heads = 2 });
    case 1: return self(t, 6, 4, &(weft_attention_spec){ .heads = 2, .causal = true });
    case 2:
        return self(t, 17, 2, &(weft_attention_spec){ .heads = 4, .kv_heads = 2, .scale = 0.7 });
    case 3:
        return self(t, 9, 5, &(weft_attention_spec){ .heads = 3, .kv_heads = 1, .dropout = 0.4 });
    case 4: return sample_sliced(t);
    case 5: return sample_cross(t);
    case 6: return sample_long(t, false, 0, 0);
    case 7: return sample_long(t, true, 0.2, 1);
    case 8: /* one value as q, k and v */
        x = weft_sample_normal(t, WEFT_DIMS(5, 4));
        return weft_attention(t, x, x, x, &(weft_attention_spec){ .heads = 2, .causal = true });
    case 9: /* batches of equal lengths */
        return weft_attention(
            t, weft_sample_normal(t, WEFT_DIMS(2, 3, 4)), weft_sample_normal(t, WEFT_DIMS(2, 5, 4)),
            weft_sample_normal(t, WEFT_DIMS(2, 5, 6)), &(weft_attention_spec){ .heads = 2 });
    case 10: /* scores of hundreds: weights of nearly 0 and 1 */
        return weft_attention(t, weft_sample_uniform(t, -20, 20, WEFT_DIMS(4, 3)),
                              weft_sample_uniform(t, -20, 20, WEFT_DIMS(4, 3)),
                              weft_sample_normal(t, WEFT_DIMS(4, 2)),
                              &(weft_attention_spec){ .heads = 1, .scale = 0.05 });
    case 11: /* one key: its weight is 1, whatever the score */
        weft_sample_zero_gradient(t);
        return self(t, 1, 1, &(weft_attention_spec){ .heads = 1 });
    case 12: return sample_long(t, true, 0, 0);
    default: return WEFT_NIL;
    }
}

static weft_var misuse(weft_tape *t, int i)
{
    const weft_var x = weft_sample_normal(t, WEFT_DIMS(6, 4)),
                   y = weft_sample_normal(t, WEFT_DIMS(5, 4));
    const weft_var good = integers(t, 3, (int32_t[]){ 0, 2, 6 });
    weft_attention_spec spec = { .heads = 2 };
    switch (i) {
    case 0: spec.heads = 3; return weft_attention(t, x, x, x, &spec);
    case 1: spec.heads = 0; return weft_attention(t, x, x, x, &spec);
    case 2: spec.kv_heads = 3; return weft_attention(t, x, x, x, &spec);
    case 3: return weft_attention(t, x, x, y, &spec);
    case 4: spec.causal = true; return weft_attention(t, x, y, y, &spec);
    case 5:
        spec.q_offsets = integers(t, 3, (int32_t[]){ 0, 2, 5 });
        return weft_attention(t, x, x, x, &spec);
    case 6:
        spec.q_offsets = integers(t, 4, (int32_t[]){ 0, 4, 2, 6 });
        return weft_attention(t, x, x, x, &spec);
    case 7: spec.k_offsets = good; return weft_attention(t, x, x, x, &spec);
    case 8:
        spec.q_offsets = good;
        spec.k_offsets = integers(t, 2, (int32_t[]){ 0, 6 });
        return weft_attention(t, x, x, x, &spec);
    case 9: spec.dropout = 1; return weft_attention(t, x, x, x, &spec);
    case 10:
        spec.q_rows = weft_sample_int(t, 0, 9, WEFT_DIMS(5, 2));
        return weft_attention(t, x, x, x, &spec);
    case 11: spec.scale = INFINITY; return weft_attention(t, x, x, x, &spec);
    case 12: return weft_attention(t, weft_sample_normal(t, WEFT_DIMS(4)), x, x, &spec);
    case 13: spec.kv_heads = 1; return weft_attention(t, x, x, x, &spec);
    case 14:
        spec.causal = true;
        spec.q_offsets = good;
        spec.k_offsets = integers(t, 3, (int32_t[]){ 0, 3, 6 });
        return weft_attention(t, x, x, x, &spec);
    case 15: return weft_attention(t, x, WEFT_NIL, x, &spec);
    case 16: return weft_attention(t, x, x, x, NULL);
    default: return WEFT_NIL;
    }
}

const weft_op weft_op_attention = { .name = "attention",
                                    .inputs = "q k v q_offsets k_offsets q_rows",
                                    .n_in = N_INPUTS,
                                    .integer = 1 << Q_OFFSETS | 1 << K_OFFSETS | 1 << Q_ROWS,
                                    .optional = 1 << Q_OFFSETS | 1 << K_OFFSETS | 1 << Q_ROWS,
                                    .strided = 1 << Q | 1 << K_IN | 1 << V_IN | 1 << Q_ROWS,
                                    .infer = infer,
                                    .forward = forward,
                                    .backward = backward,
                                    .define = define,
                                    .sample = sample,
                                    .misuse = misuse };

weft_var weft_attention(weft_tape *tape, weft_var q, weft_var k, weft_var v,
                        const weft_attention_spec *spec)
{
    if (!spec) {
        weft_tape_fail(tape, WEFT_ERR_STATE, "attention: no spec, which says how many heads");
        return WEFT_NIL;
    }
    const attention_attr attr = { .heads = spec->heads,
                                  .kv_heads = spec->kv_heads ? spec->kv_heads : spec->heads,
                                  .scale = spec->scale,
                                  .causal = spec->causal,
                                  .p = spec->dropout,
                                  .key = weft_tape_next_key(tape),
                                  .n_threads = weft_threads() };
    const weft_var k_offsets = weft_is_nil(spec->k_offsets) ? spec->q_offsets : spec->k_offsets;
    return weft_apply1(tape, &weft_op_attention, N_INPUTS,
                       (weft_var[]){ q, k, v, spec->q_offsets, k_offsets, spec->q_rows }, &attr,
                       sizeof attr);
}
