/**
 * weft_lsh_attention - attention within buckets of similar tokens (Kitaev et al. 2020, Reformer).
 *
 *     k_j = q_j / |q_j|,   s_ij = scale q_i . k_j,   o_i = sum over j in P_i of softmax(s_i)_j v_j
 *
 * Each round sorts the tokens of a sentence by bucket and position and cuts them into chunks. P_i are
 * the tokens that in some round share i's bucket and lie in its chunk or the one before; causal: at
 * positions before i. i itself is in P_i only where nothing else is. A token found in several rounds
 * counts once: of rounds merged by their log-sum-exp the paper subtracts log N_ij, which is the same sum.
 * Time O(N rounds chunk (K + Kv)) beyond hashing and sorting; memory O(N (K + Kv + rounds)).
 *
 * Buckets are a choice: no gradient flows through them. They are `hashes` where given, else those of
 * weft_lsh_hash. Even causal attention depends on the future through them: tokens that come later shift
 * the chunks of those before.
 *
 * @param qk    [N, H K], or [B, T, H K]: queries, and keys once normalised
 * @param v     [N, H Kv], or [B, T, H Kv]
 * @param spec  heads H, rounds, buckets, chunk, causal, scale (0: 1 / sqrt(K)), key, offsets, hashes
 * @return      [N, H Kv], or [B, T, H Kv]
 *
 * Gradient     dV, dQ, dK as in attention; through the normalisation dq += (dk - k (k . dk)) / |q|
 *              A weight that is exactly 0 passes nothing on, not even a NaN of its key or value
 * Errors       WEFT_ERR_SHAPE  columns that are no H heads of one width, rows that differ;
 *              WEFT_ERR_RANGE  heads, rounds, buckets, chunk, scale, offsets, a hash below 0 or above
 *              262143
 * Saved        largest score and 1 / sum of exponentials, [H, N, 2]; the latter 0 for a token alone
 * Numbers      row sums in double; rounds, chunks and tiles in their order by one thread for each
 *              sentence and head
 */
#include "autograd/gathered_internal.h"
#include "autograd/lsh_internal.h"
#include "autograd/rows_internal.h"
#include "core/checked.h"

#include <omp.h>

enum { QK, V_IN, HASHES, OFFSETS, N_INPUTS };
enum { TILE = WEFT_GATHERED_TILE, MAX_HASH = 1 << 18 };
static const double tiny = 1e-12; /* under the root of |q|^2 */

/* One head of one sentence. Arrays of n in the order of positions, but `order`. */
typedef struct lsh_head {
    const weft_lsh_attr *a;
    int64_t n, K, Kv;
    const weft_real *qk, *v, *dout;
    weft_real *o, *stats, *dqk, *dv;
    const int32_t *hashes; /* [n, rounds] */
    int64_t ldqk, ldv, ldo, ldh, lddo, lddqk, lddv;
    /* workspace */
    int32_t *bucket, *chunk; /* [rounds, n] */
    int32_t *order, *room;   /* [n] */
    weft_real *inverse_norm; /* [n] */
    weft_real *max;          /* [n] */
    double *sum;             /* [n]: of exponentials; backward: rowsum(dO O) */
} lsh_head;

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* ---- infer -------------------------------------------------------------------------------------- */

/* Bytes of the workspace of one thread; a multiple of 8. */
static bool work_bytes(const weft_call *c, size_t *bytes)
{
    const weft_lsh_attr *a = c->attr;
    int64_t tiles;
    size_t rows, each;
    if (!weft_gathered_work(weft_cols(&c->in[QK]) / a->heads, weft_cols(&c->in[V_IN]) / a->heads,
                            &tiles))
        return false;
    each = (size_t)(2 * a->rounds + 2) * sizeof(int32_t) + 2 * sizeof(weft_real) + sizeof(double);
    return weft_mul_bytes((size_t)weft_rows(&c->in[QK]), each, &rows) &&
           weft_add_bytes(rows, (size_t)tiles * sizeof(weft_real), bytes) &&
           weft_align_bytes(*bytes, WEFT_ALIGN, bytes);
}

static bool check_hashes(const weft_call *c, const weft_lsh_attr *a)
{
    const weft_tensor *hashes = &c->in[HASHES];
    const int64_t cols = (int64_t)a->heads * a->rounds;
    if (weft_rows(hashes) != weft_rows(&c->in[QK]) || weft_cols(hashes) != cols)
        return weft_fail(c, WEFT_ERR_SHAPE, "hashes must be [%lld, %lld]: rows, heads times rounds",
                         (long long)weft_rows(&c->in[QK]), (long long)cols);
    for (int64_t i = 0; i < weft_size(hashes) && !weft_call_is_dry(c); i++)
        if (hashes->i32[i] < 0 || hashes->i32[i] >= MAX_HASH)
            return weft_fail(c, WEFT_ERR_RANGE, "hash %d of row %lld is not 0 to %d",
                             (int)hashes->i32[i], (long long)(i / cols), MAX_HASH - 1);
    return true;
}

static bool infer(weft_call *c)
{
    const weft_lsh_attr *a = c->attr;
    const weft_tensor *in = c->in;
    if (!weft_lsh_check(c, a) || !weft_packed_check_heads(c, QK, "qk", a->heads) ||
        !weft_packed_check_heads(c, V_IN, "v", a->heads) ||
        !weft_packed_check(c, OFFSETS, "offsets", weft_rows(&in[QK])))
        return false;
    if (!isfinite(a->scale)) return weft_fail(c, WEFT_ERR_RANGE, "scale is %g", a->scale);
    if (weft_rows(&in[QK]) != weft_rows(&in[V_IN]))
        return weft_fail(c, WEFT_ERR_SHAPE, "qk has %lld rows, v %lld",
                         (long long)weft_rows(&in[QK]), (long long)weft_rows(&in[V_IN]));
    size_t bytes;
    if (!work_bytes(c, &bytes) || !weft_mul_bytes(bytes, (size_t)a->n_threads, &bytes))
        return weft_fail(c, WEFT_ERR_OVERFLOW, "heads are too wide");
    c->scratch_bytes = c->backward_scratch_bytes = bytes;
    return check_hashes(c, a) && weft_packed_out(c, QK, weft_cols(&in[V_IN])) &&
           weft_save(c, 0, WEFT_REAL, 2 * a->heads * weft_rows(&in[QK]));
}

/* ---- sorting ------------------------------------------------------------------------------------ */

/* order = positions by bucket, equal ones by position: a byte of the bucket at a time. */
static void sort(int64_t n, const int32_t *bucket, int32_t *order, int32_t *room)
{
    int32_t most = 0;
    for (int64_t i = 0; i < n; i++) {
        order[i] = (int32_t)i;
        if (bucket[i] > most) most = bucket[i];
    }
    for (int shift = 0; most >> shift > 0; shift += 8) {
        int64_t begin[257] = { 0 };
        for (int64_t i = 0; i < n; i++) begin[(bucket[i] >> shift & 255) + 1]++;
        for (int i = 0; i < 256; i++) begin[i + 1] += begin[i];
        for (int64_t i = 0; i < n; i++) room[begin[bucket[order[i]] >> shift & 255]++] = order[i];
        memcpy(order, room, (size_t)n * sizeof *order);
    }
}

static void sort_round(const lsh_head *h, int r)
{
    int32_t *bucket = h->bucket + r * h->n, *chunk = h->chunk + r * h->n;
    for (int64_t i = 0; i < h->n; i++) bucket[i] = h->hashes[i * h->ldh + r];
    sort(h->n, bucket, h->order, h->room);
    for (int64_t s = 0; s < h->n; s++) chunk[h->order[s]] = (int32_t)(s / h->a->chunk);
}

/* ---- tiles -------------------------------------------------------------------------------------- */

/* Queries [from, from + n_q) of the order of round r by keys [key, key + n_k). */
typedef struct tile {
    int r;
    int64_t from, key;
} tile;

/* seen[j] = 0 for keys that query i found in an earlier round, or may not see. */
WEFT_KERNEL static void mask_tile(const lsh_head *h, const tile *at, weft_gathered *g)
{
    int32_t position[TILE], bucket[TILE], chunk[TILE];
    const int32_t *queries = h->order + at->from, *keys = h->order + at->key;
    for (int r = at->r; r >= 0; r--) {
        const int32_t *buckets = h->bucket + r * h->n, *chunks = h->chunk + r * h->n;
        for (int64_t j = 0; j < g->n_k; j++) {
            position[j] = keys[j];
            bucket[j] = buckets[keys[j]];
            chunk[j] = chunks[keys[j]];
        }
        for (int64_t i = 0; i < g->n_q; i++) {
            const int32_t p = queries[i], b = buckets[p], c = chunks[p];
            const int32_t end = h->a->causal ? p : INT32_MAX;
            weft_real *mask = g->mask + i * TILE;
            const weft_real none = (weft_real)-INFINITY;
            if (r == at->r)
                for (int64_t j = 0; j < g->n_k; j++) {
                    const bool seen = (bucket[j] == b) & (position[j] != p) & (position[j] < end);
                    mask[j] = seen ? 0 : none;
                }
            else
                for (int64_t j = 0; j < g->n_k; j++) {
                    const bool before = (bucket[j] == b) & ((c == chunk[j]) | (c == chunk[j] + 1));
                    mask[j] = before ? none : mask[j];
                }
        }
    }
}

/* Loads the keys of a tile that has its queries; false where the buckets of both are apart. */
static bool load_keys(const lsh_head *h, const tile *at, int64_t n_k, weft_gathered *g)
{
    const int32_t *bucket = h->bucket + at->r * h->n, *order = h->order;
    if (bucket[order[at->key + n_k - 1]] < bucket[order[at->from]] ||
        bucket[order[at->key]] > bucket[order[at->from + g->n_q - 1]])
        return false;
    g->n_k = n_k;
    weft_gather_rows(n_k, order + at->key, h->K, h->qk, h->ldqk, g->k);
    for (int64_t j = 0; j < n_k; j++)
        for (int64_t c = 0; c < h->K; c++)
            g->k[j * h->K + c] *= h->inverse_norm[order[at->key + j]];
    weft_gather_rows(n_k, order + at->key, h->Kv, h->v, h->ldv, g->v);
    mask_tile(h, at, g);
    return true;
}

static void norms(const lsh_head *h)
{
    for (int64_t i = 0; i < h->n; i++) {
        const weft_real *q = h->qk + i * h->ldqk;
        h->inverse_norm[i] = (weft_real)(1 / sqrt(row_product(h->K, q, q) + tiny));
    }
}

/* ---- forward ------------------------------------------------------------------------------------ */

/* The queries of one tile, and all keys of their chunk and the one before. */
static void forward_queries(const lsh_head *h, tile at, int64_t n_q, weft_gathered *g)
{
    const int32_t *queries = h->order + at.from;
    const int64_t C = h->a->chunk, chunk = at.from / C, begin = chunk > 0 ? (chunk - 1) * C : 0,
                  end = least(h->n, (chunk + 1) * C);
    g->n_q = n_q;
    weft_gather_rows(n_q, queries, h->K, h->qk, h->ldqk, g->q);
    weft_gathered_begin(g);
    for (int64_t i = 0; i < n_q && at.r > 0; i++) {
        g->max[i] = h->max[queries[i]];
        g->sum[i] = h->sum[queries[i]];
    }
    if (at.r > 0) weft_gather_rows(n_q, queries, h->Kv, h->o, h->ldo, g->o);
    for (at.key = begin; at.key < end; at.key += TILE)
        if (load_keys(h, &at, least(TILE, end - at.key), g)) weft_gathered_forward(g);
    weft_scatter_rows(n_q, queries, h->Kv, g->o, false, h->o, h->ldo);
    for (int64_t i = 0; i < n_q; i++) {
        h->max[queries[i]] = g->max[i];
        h->sum[queries[i]] = g->sum[i];
    }
}

/* Rows by their sums; a token alone gives its own value. */
static void finish(const lsh_head *h)
{
    for (int64_t i = 0; i < h->n; i++) {
        weft_real *o = h->o + i * h->ldo;
        const bool alone = h->sum[i] == 0;
        const weft_real inverse = alone ? 0 : (weft_real)(1 / h->sum[i]);
        for (int64_t c = 0; c < h->Kv; c++) o[c] = alone ? h->v[i * h->ldv + c] : o[c] * inverse;
        if (!h->stats) continue;
        h->stats[2 * i] = alone ? 0 : h->max[i];
        h->stats[2 * i + 1] = inverse;
    }
}

typedef void treat_queries(const lsh_head *h, tile at, int64_t n_q, weft_gathered *g);

/* All rounds: tiles of queries begin with their chunk. */
static void rounds(const lsh_head *h, weft_gathered *g, treat_queries *treat)
{
    const int64_t C = h->a->chunk;
    norms(h);
    for (int r = 0; r < h->a->rounds; r++) {
        sort_round(h, r);
        for (int64_t chunk = 0; chunk < h->n; chunk += C)
            for (int64_t from = chunk; from < least(h->n, chunk + C); from += TILE)
                treat(h, (tile){ .r = r, .from = from }, least(TILE, least(h->n, chunk + C) - from),
                      g);
        if (C >= h->n && h->a->buckets == 1) break; /* all is seen: further rounds find nothing */
    }
}

/* ---- backward ----------------------------------------------------------------------------------- */

/* dq of keys: through the normalisation. */
static void give_keys(const lsh_head *h, int64_t n, const int32_t *keys, weft_gathered *g)
{
    for (int64_t j = 0; j < n; j++) {
        const weft_real norm = h->inverse_norm[keys[j]], *k = g->k + j * h->K;
        weft_real *dk = g->dk + j * h->K;
        const weft_real along = (weft_real)row_product(h->K, k, dk);
        for (int64_t c = 0; c < h->K; c++) dk[c] = (dk[c] - k[c] * along) * norm;
    }
    weft_scatter_rows(n, keys, h->K, g->dk, true, h->dqk, h->lddqk);
}

static void backward_queries(const lsh_head *h, tile at, int64_t n_q, weft_gathered *g)
{
    const int32_t *queries = h->order + at.from;
    const int64_t C = h->a->chunk, chunk = at.from / C, begin = chunk > 0 ? (chunk - 1) * C : 0,
                  end = least(h->n, (chunk + 1) * C);
    g->n_q = n_q;
    weft_gather_rows(n_q, queries, h->K, h->qk, h->ldqk, g->q);
    weft_gather_rows(n_q, queries, h->Kv, h->dout, h->lddo, g->dout);
    for (int64_t i = 0; i < n_q; i++) {
        g->max[i] = h->stats[2 * queries[i]];
        g->inverse[i] = h->stats[2 * queries[i] + 1];
        g->dot[i] = (weft_real)h->sum[queries[i]];
    }
    for (at.key = begin; at.key < end; at.key += TILE) {
        const int64_t n_k = least(TILE, end - at.key);
        if (!load_keys(h, &at, n_k, g)) continue;
        weft_gathered_backward(g);
        if (h->dv) weft_scatter_rows(n_k, h->order + at.key, h->Kv, g->dv, true, h->dv, h->lddv);
        if (!h->dqk) continue;
        weft_scatter_rows(n_q, queries, h->K, g->dq, true, h->dqk, h->lddqk);
        give_keys(h, n_k, h->order + at.key, g);
    }
}

/* What is not added to begins at 0; a token alone hands its gradient to its value. */
static void begin_gradients(const lsh_head *h, bool add_qk, bool add_v)
{
    for (int64_t i = 0; i < h->n; i++) {
        const weft_real *dout = h->dout + i * h->lddo;
        h->sum[i] = row_product(h->Kv, dout, h->o + i * h->ldo);
        for (int64_t c = 0; c < h->K && h->dqk && !add_qk; c++) h->dqk[i * h->lddqk + c] = 0;
        if (!h->dv) continue;
        const bool alone = h->stats[2 * i + 1] == 0;
        for (int64_t c = 0; c < h->Kv; c++)
            h->dv[i * h->lddv + c] = (add_v ? h->dv[i * h->lddv + c] : 0) + (alone ? dout[c] : 0);
    }
}

/* ---- the sweep ---------------------------------------------------------------------------------- */

static void take_room(lsh_head *h, char *work)
{
    const int64_t n = h->n, R = h->a->rounds;
    h->sum = (double *)(void *)work;
    h->max = (weft_real *)(void *)(h->sum + n);
    h->inverse_norm = h->max + n;
    h->bucket = (int32_t *)(void *)(h->inverse_norm + n);
    h->chunk = h->bucket + R * n;
    h->order = h->chunk + R * n;
    h->room = h->order + n;
}

static lsh_head head_of(const weft_call *c, int64_t b, int64_t i, bool is_backward)
{
    const weft_lsh_attr *a = c->attr;
    const weft_tensor *qk = &c->in[QK], *v = &c->in[V_IN], *hashes = &c->in[HASHES],
                      *o = &c->out[0];
    const int64_t row = weft_packed_begin(qk, &c->in[OFFSETS], b), K = weft_cols(qk) / a->heads,
                  Kv = weft_cols(v) / a->heads;
    lsh_head h = { .a = a,
                   .n = weft_packed_begin(qk, &c->in[OFFSETS], b + 1) - row,
                   .K = K,
                   .Kv = Kv,
                   .qk = qk->real + row * qk->ld + i * K,
                   .v = v->real + row * v->ld + i * Kv,
                   .o = o->real + row * o->ld + i * Kv,
                   .hashes = hashes->i32 + row * hashes->ld + i * a->rounds,
                   .ldqk = qk->ld,
                   .ldv = v->ld,
                   .ldo = o->ld,
                   .ldh = hashes->ld };
    if (is_backward || c->saved[0].data) h.stats = c->saved[0].real + 2 * (i * weft_rows(qk) + row);
    if (!is_backward) return h;
    const weft_tensor *dqk = &c->din[QK], *dv = &c->din[V_IN];
    h.dout = c->dout[0].real + row * c->dout[0].ld + i * Kv;
    h.lddo = c->dout[0].ld;
    if (dqk->data) h.dqk = dqk->real + row * dqk->ld + i * K;
    if (dv->data) h.dv = dv->real + row * dv->ld + i * Kv;
    h.lddqk = dqk->ld;
    h.lddv = dv->ld;
    return h;
}

static void sweep(const weft_call *c, bool is_backward)
{
    const weft_lsh_attr *a = c->attr;
    const weft_tensor *qk = &c->in[QK];
    const int64_t H = a->heads, K = weft_cols(qk) / H, Kv = weft_cols(&c->in[V_IN]) / H,
                  n = weft_packed_sentences(qk, &c->in[OFFSETS]) * H;
    int64_t tiles;
    size_t each;
    if (!work_bytes(c, &each) || !weft_gathered_work(K, Kv, &tiles)) return; /* infer has asked */
    const weft_real scale = (weft_real)(a->scale == 0 ? 1 / sqrt((double)K) : a->scale);
    int team = weft_team(n, weft_rows(qk) * H * a->rounds * a->chunk * (K + Kv));
    /* The number of threads may have been raised in between. NOLINTNEXTLINE: a pragma reads team */
    if (team > a->n_threads) team = a->n_threads;
#pragma omp parallel for schedule(static, 1) num_threads(team)
    for (int64_t i = 0; i < n; i++) {
        char *work = (char *)c->scratch + (size_t)omp_get_thread_num() * each;
        weft_gathered g = weft_gathered_of(K, Kv, scale, (weft_real *)(void *)work);
        lsh_head h = head_of(c, i / H, i % H, is_backward);
        take_room(&h, work + (size_t)tiles * sizeof(weft_real));
        if (is_backward) {
            begin_gradients(&h, c->add[QK], c->add[V_IN]);
            rounds(&h, &g, backward_queries);
        } else {
            rounds(&h, &g, forward_queries);
            finish(&h);
        }
    }
}

static void forward(const weft_call *c) { sweep(c, false); }
static void backward(const weft_call *c) { sweep(c, true); }

/* ---- definition --------------------------------------------------------------------------------- */

typedef struct definition {
    weft_tape *t;
    const weft_lsh_attr *a;
    weft_tensor in[N_INPUTS];
    weft_var qk, v;
    int64_t K, Kv;
} definition;

/* Which pairs of one head of one sentence attend. */
typedef struct pairs {
    const weft_lsh_attr *a;
    const int32_t *hashes; /* of the head, NULL where nothing is known */
    int64_t ld, n;
} pairs;

static int64_t chunk_of(const pairs *p, int64_t i, int r)
{
    int64_t before = 0;
    for (int64_t j = 0; j < p->n; j++) {
        const int32_t a = p->hashes[j * p->ld + r], b = p->hashes[i * p->ld + r];
        before += a < b || (a == b && j < i);
    }
    return before / p->a->chunk;
}

static bool found(const pairs *p, int64_t i, int64_t j)
{
    if (i == j || (p->a->causal && j > i)) return false;
    if (!p->hashes) return true;
    for (int r = 0; r < p->a->rounds; r++) {
        if (p->hashes[i * p->ld + r] != p->hashes[j * p->ld + r]) continue;
        const int64_t apart = chunk_of(p, i, r) - chunk_of(p, j, r);
        if (apart == 0 || apart == 1) return true;
    }
    return false;
}

static bool seen(const void *context, int64_t i, int64_t j)
{
    const pairs *p = context;
    if (i != j) return found(p, i, j);
    for (int64_t other = 0; other < p->n; other++)
        if (found(p, i, other)) return false;
    return true;
}

static weft_var define_head(const void *context, int64_t b, int64_t h)
{
    const definition *d = context;
    weft_tape *t = d->t;
    const weft_tensor *hashes = &d->in[HASHES];
    const int64_t row = weft_packed_begin(&d->in[QK], &d->in[OFFSETS], b),
                  n = weft_packed_begin(&d->in[QK], &d->in[OFFSETS], b + 1) - row;
    const pairs p = { .a = d->a,
                      .hashes = hashes->rank >= 0
                                    ? hashes->i32 + row * hashes->ld + h * d->a->rounds
                                    : NULL,
                      .ld = hashes->ld,
                      .n = n };
    const weft_var q = weft_packed_part(t, d->qk, row, n, h, d->K),
                   v = weft_packed_part(t, d->v, row, n, h, d->Kv);
    const weft_var square = weft_sum(t, weft_mul(t, q, q), 1, true),
                   norm = weft_sqrt(t, weft_add(t, square, weft_scalar(t, tiny)));
    const double scale = d->a->scale == 0 ? 1 / sqrt((double)d->K) : d->a->scale;
    const weft_var scores =
        weft_scale(t, weft_matmul_t(t, q, false, weft_div(t, q, norm), true), scale);
    const weft_var masked =
        weft_where(t, weft_packed_mask(t, n, n, seen, &p), scores, weft_scalar(t, -INFINITY));
    return weft_matmul(t, weft_softmax(t, masked), v);
}

static weft_var define_sentence(const void *context, int64_t b)
{
    const definition *d = context;
    if (weft_packed_begin(&d->in[QK], &d->in[OFFSETS], b) ==
        weft_packed_begin(&d->in[QK], &d->in[OFFSETS], b + 1))
        return WEFT_NIL;
    return weft_packed_heads(d->t, d->a->heads, b, define_head, d);
}

static void define(weft_rule *r)
{
    definition d = { .t = r->tape, .a = r->attr };
    weft_packed_inputs(r, HASHES, d.in);
    d.qk = weft_packed_matrix(r->tape, r->in[QK]);
    d.v = weft_packed_matrix(r->tape, r->in[V_IN]);
    d.K = weft_cols(&d.in[QK]) / d.a->heads;
    d.Kv = weft_cols(&d.in[V_IN]) / d.a->heads;
    weft_packed_define(r, &d.in[QK], weft_packed_sentences(&d.in[QK], &d.in[OFFSETS]),
                       d.a->heads * d.Kv, define_sentence, &d);
}

/* ---- tests -------------------------------------------------------------------------------------- */

/* Hashes drawn, below `buckets`: the choice does not change with the differences. */
static weft_var attend(weft_tape *t, int64_t N, int64_t K, int32_t buckets, weft_lsh_spec spec)
{
    const int64_t R = spec.rounds ? spec.rounds : 1, H = spec.heads;
    spec.hashes = weft_sample_int(t, 0, buckets, WEFT_DIMS(N, H * R));
    return weft_lsh_attention(t, weft_sample_normal(t, WEFT_DIMS(N, H * K)),
                              weft_sample_normal(t, WEFT_DIMS(N, H * (K + 1))), &spec);
}

static weft_var sample_packed(weft_tape *t, bool causal, int rounds, int64_t chunk)
{
    const weft_lsh_spec spec = { .heads = 2,
                                 .rounds = rounds,
                                 .chunk = chunk,
                                 .causal = causal,
                                 .scale = 0.7,
                                 .offsets = weft_constant_int(t, WEFT_DIMS(5),
                                                              (int32_t[]){ 0, 1, 140, 140, 171 }) };
    return attend(t, 171, 3, 7, spec);
}

static weft_var sample(weft_tape *t, int i)
{
    weft_lsh_spec spec = { .heads = 2, .rounds = 2, .chunk = 3, .causal = true };
    switch (i) {
    case 0: return attend(t, 9, 3, 3, (weft_lsh_spec){ .heads = 1, .chunk = 2 });
    case 1: return attend(t, 9, 3, 3, (weft_lsh_spec){ .heads = 2, .chunk = 4, .causal = true });
    case 2: return attend(t, 12, 4, 4, (weft_lsh_spec){ .heads = 2, .rounds = 3, .chunk = 3 });
    case 3: return sample_packed(t, false, 1, 8);
    case 4: return sample_packed(t, true, 3, 5);
    case 5: return sample_packed(t, false, 2, 100);
    case 6: return sample_packed(t, true, 2, 0);
    case 7: /* one bucket: each sees all others */
        return attend(t, 70, 2, 1,
                      (weft_lsh_spec){ .heads = 1, .buckets = 1, .rounds = 2, .chunk = 70 });
    case 8: /* buckets of one token: each sees itself */
        spec.hashes = weft_constant_int(t, WEFT_DIMS(3, 4),
                                        (int32_t[]){ 0, 1, 2, 3, 1, 2, 3, 4, 2, 3, 4, 300 });
        return weft_lsh_attention(t, weft_constant(t, WEFT_DIMS(3, 4), (weft_real[12]){ 1, 2, 3 }),
                                  weft_sample_normal(t, WEFT_DIMS(3, 4)), &spec);
    case 9: /* one value as both, a batch of equal lengths */
        spec.hashes = weft_sample_int(t, 0, 3, WEFT_DIMS(2, 5, 4));
        {
            const weft_var x = weft_sample_normal(t, WEFT_DIMS(2, 5, 6));
            return weft_lsh_attention(t, x, x, &spec);
        }
    case 10:
        spec.hashes = weft_sample_int(t, 0, 3, WEFT_DIMS(8, 4));
        return weft_lsh_attention(t, weft_sample_strided(t, WEFT_DIMS(8, 4)),
                                  weft_sample_strided(t, WEFT_DIMS(8, 6)), &spec);
    default: return WEFT_NIL;
    }
}

static weft_var misuse(weft_tape *t, int i)
{
    const weft_var x = weft_sample_normal(t, WEFT_DIMS(6, 4)),
                   y = weft_sample_normal(t, WEFT_DIMS(5, 4));
    weft_lsh_spec spec = { .heads = 2, .hashes = weft_sample_int(t, 0, 3, WEFT_DIMS(6, 2)) };
    switch (i) {
    case 0: spec.heads = 3; break;
    case 1: spec.heads = 0; break;
    case 2: spec.rounds = 2; break;
    case 3: spec.buckets = 7; break;
    case 4: spec.chunk = -4; break;
    case 5: return weft_lsh_attention(t, x, y, &spec);
    case 6: spec.scale = NAN; break;
    case 7: spec.offsets = weft_constant_int(t, WEFT_DIMS(2), (int32_t[]){ 0, 5 }); break;
    case 8: spec.hashes = weft_sample_int(t, -3, 0, WEFT_DIMS(6, 2)); break;
    case 9: spec.hashes = weft_sample_int(t, MAX_HASH, MAX_HASH + 1, WEFT_DIMS(6, 2)); break;
    case 10: return weft_lsh_attention(t, x, x, NULL);
    case 11: return weft_lsh_attention(t, weft_sample_normal(t, WEFT_DIMS(4)), x, &spec);
    default: return WEFT_NIL;
    }
    return weft_lsh_attention(t, x, x, &spec);
}

const weft_op weft_op_lsh_attention = { .name = "lsh_attention",
                                        .inputs = "qk v hashes offsets",
                                        .n_in = N_INPUTS,
                                        .integer = 1 << HASHES | 1 << OFFSETS,
                                        .optional = 1 << OFFSETS,
                                        .strided = 1 << QK | 1 << V_IN,
                                        .infer = infer,
                                        .forward = forward,
                                        .backward = backward,
                                        .define = define,
                                        .sample = sample,
                                        .misuse = misuse };

weft_var weft_lsh_attention(weft_tape *tape, weft_var qk, weft_var v, const weft_lsh_spec *spec)
{
    if (!spec) {
        weft_tape_fail(tape, WEFT_ERR_STATE, "lsh_attention: no spec, which says how many heads");
        return WEFT_NIL;
    }
    const weft_lsh_attr attr = weft_lsh_attr_of(spec);
    const weft_var hashes =
        weft_is_nil(spec->hashes) ? weft_lsh_hash(tape, qk, spec) : spec->hashes;
    return weft_apply1(tape, &weft_op_lsh_attention, N_INPUTS,
                       (weft_var[]){ qk, v, hashes, spec->offsets }, &attr, sizeof attr);
}
