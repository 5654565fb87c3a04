/**
 * weft_attention - exact attention with many heads (Vaswani et al. 2017, equation 1): every pattern of
 * keys, every bias of the scores, softmax or sigmoid weights, by one family of kernels.
 *
 *     S = scale Q K^T + bias,   P = softmax of each row of S over the keys that the query sees, or
 *     sigmoid(S + b),           O = (P R) V                           for each sentence and head
 *
 * with R the multipliers of dropout, and to v_j relative_values' row of the distance added where there are
 * any. Sentences are packed, heads lie side by side in the columns, and
 * neither is moved: tiles are read and written where they are. Key/value heads may be fewer than query
 * heads (Ainslie et al. 2023): head h reads group floor(h G / H). P is never stored: the forward pass
 * keeps two numbers a row and head, and the backward pass computes P again (Dao et al. 2022). Tiles of
 * 64 by 64 in which nobody sees anybody are not visited.
 *
 * @param q     [N, H K], or [B, T, H K] for B sentences of T queries
 * @param k     [M, G K], or [B, S, G K]
 * @param v     [M, G Kv], or [B, S, G Kv]; each of them may be a column slice of a wider product
 * @param spec  specs.h has each field. Offsets: nil k_offsets are as q_offsets; both nil: one sentence,
 *              or dim[0] of equal length
 * @return      [N, H Kv], or [B, T, H Kv]; a query without keys gives 0
 *
 * Gradient     dV = (P R)^T dO,  dP = (dO V^T) R (with what is added to V),  dS = P (dP - rowsum(dO O)), sigmoid: P (1 - P) dP,
 *              dQ = scale dS K,  dK = scale dS^T Q,  dbias = dS,  drelative = dS summed by distance,
 *              drelative_values = (P R summed by distance)^T dO, summed over heads.
 *              A weight that is exactly 0 passes nothing on, not even a NaN of its key or value
 * Errors       WEFT_ERR_SHAPE  columns that are no H or G heads of one width, rows that differ,
 *                              numbers of sentences that differ, causal with unequal sentences, bias,
 *                              mask, relative or relative_values of another shape
 *              WEFT_ERR_RANGE  heads, scale, dropout; offsets that do not rise from 0 to the rows; a
 *                              pattern's numbers
 * Saved        largest score in units of ln 2 and 1 / sum of 2^(score - largest), [H, N, 2]: their sum as
 *              one logarithm would lose the digits of 2^(S - L) where scores are large
 * Numbers      row sums of eight at a time, these in double; products as in core/small_gemm.h. Tiles begin at fixed places, and
 *              each element has one writer: the same bits for any number of threads, and a sentence
 *              alone gives what it gives in a batch
 */
#include "autograd/attention_internal.h"
#include "autograd/fused_internal.h"
#include "autograd/packed_internal.h"
#include "core/checked.h"

#include <math.h>
#include <omp.h>
#include <string.h>

enum { /* inputs */
       Q = WEFT_ATTENTION_Q,
       K_IN = WEFT_ATTENTION_K,
       V_IN = WEFT_ATTENTION_V,
       Q_OFFSETS = WEFT_ATTENTION_Q_OFFSETS,
       K_OFFSETS = WEFT_ATTENTION_K_OFFSETS,
       Q_ROWS = WEFT_ATTENTION_Q_ROWS,
       BIAS = WEFT_ATTENTION_BIAS,
       RELATIVE = WEFT_ATTENTION_RELATIVE,
       RELATIVE_VALUES = WEFT_ATTENTION_RELATIVE_VALUES,
       MASK = WEFT_ATTENTION_MASK,
       GLOBAL = WEFT_ATTENTION_GLOBAL,
       BLOCK_BEGIN = WEFT_ATTENTION_BLOCK_BEGIN,
       BLOCK_INDEX = WEFT_ATTENTION_BLOCK_INDEX,
       N_INPUTS = WEFT_ATTENTION_INPUTS
};
/* The gradients of what all queries share, by distance, are summed in this many parts, in their order. */
enum { TILE = WEFT_ATTENTION_TILE, TILES = WEFT_ATTENTION_TILES, PARTS = 8 };

typedef weft_attention_attr attention_attr;
typedef weft_attention_sizes attention_sizes;

/* ---- infer -------------------------------------------------------------------------------------- */

attention_sizes weft_attention_sizes_of(const weft_call *c)
{
    const attention_attr *a = c->attr;
    const weft_tensor *in = c->in;
    attention_sizes s = { .B = weft_packed_sentences(&in[Q], &in[Q_OFFSETS]),
                          .N = weft_rows(&in[Q]),
                          .M = weft_rows(&in[K_IN]),
                          .H = a->heads,
                          .G = a->kv_heads };
    s.K = weft_cols(&in[Q]) / s.H;
    s.Kv = weft_cols(&in[V_IN]) / s.G;
    s.scale = (weft_real)(a->scale == 0 ? 1 / sqrt((double)s.K) : a->scale);
    return s;
}

weft_attention_place weft_attention_place_of(const weft_call *c, int64_t b)
{
    const weft_tensor *in = c->in;
    weft_attention_place of = { .q_row = weft_packed_begin(&in[Q], &in[Q_OFFSETS], b),
                                .k_row = weft_packed_begin(&in[K_IN], &in[K_OFFSETS], b) };
    of.n_q = weft_packed_begin(&in[Q], &in[Q_OFFSETS], b + 1) - of.q_row;
    of.n_k = weft_packed_begin(&in[K_IN], &in[K_OFFSETS], b + 1) - of.k_row;
    return of;
}

weft_sight weft_attention_sight_of(const weft_call *c, const weft_attention_place *of, int64_t h,
                                   const int32_t *random)
{
    const attention_attr *a = c->attr;
    const weft_tensor *in = c->in, *mask = &in[MASK];
    weft_sight s = { .pattern = &a->pattern,
                     .n_q = of->n_q,
                     .n_k = of->n_k,
                     .first = a->at_end ? of->n_k - of->n_q : 0 };
    if (in[GLOBAL].rank >= 0) s.global = in[GLOBAL].i32 + of->k_row;
    if (mask->rank >= 0) {
        const int64_t plane = mask->rank == 3 ? h * mask->dim[1] : 0;
        s.ldmask = mask->ld;
        s.mask = mask->i32 + (plane + of->q_row) * mask->ld;
    }
    if (a->pattern.kind == WEFT_PATTERN_BLOCKS) {
        s.block_begin = in[BLOCK_BEGIN].i32;
        s.block_index = in[BLOCK_INDEX].i32;
    }
    if (random) {
        s.ldrandom = a->heads * a->pattern.random_blocks;
        s.random = random + h * a->pattern.random_blocks;
    }
    weft_sight_init(&s);
    return s;
}

double weft_attention_sigmoid_bias(const attention_attr *a, const weft_sight *s, int64_t i)
{
    if (a->has_sigmoid_bias) return a->sigmoid_bias;
    const int64_t up_to = i + s->first + 1, n = s->n_k;
    return -log((double)(a->pattern.causal && up_to < n ? up_to : n));
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

/* Where positions on both sides are those of one sentence: as many queries as keys, or at its end. */
static bool check_positions(const weft_call *c, int64_t B, const char *what)
{
    const attention_attr *a = c->attr;
    if (weft_call_is_dry(c)) return true;
    for (int64_t b = 0; b < B; b++) {
        const weft_attention_place of = weft_attention_place_of(c, b);
        if (a->at_end ? of.n_q > of.n_k : of.n_q != of.n_k)
            return weft_fail(c, WEFT_ERR_SHAPE, "%s: sentence %lld has %lld queries and %lld keys",
                             what, (long long)b, (long long)of.n_q, (long long)of.n_k);
    }
    return true;
}

static bool check_sentences(const weft_call *c)
{
    const weft_tensor *in = c->in;
    const attention_attr *a = c->attr;
    if ((in[Q_OFFSETS].rank < 0) != (in[K_OFFSETS].rank < 0))
        return weft_fail(c, WEFT_ERR_SHAPE, "k_offsets without q_offsets");
    if (!weft_packed_check(c, Q_OFFSETS, "q_offsets", weft_rows(&in[Q])) ||
        !weft_packed_check(c, K_OFFSETS, "k_offsets", weft_rows(&in[K_IN])))
        return false;
    const int64_t B = weft_packed_sentences(&in[Q], &in[Q_OFFSETS]),
                  of_k = weft_packed_sentences(&in[K_IN], &in[K_OFFSETS]);
    if (B != of_k)
        return weft_fail(c, WEFT_ERR_SHAPE, "%lld sentences of queries, %lld of keys", (long long)B,
                         (long long)of_k);
    const bool one_sentence = a->pattern.kind == WEFT_PATTERN_BIGBIRD ||
                              a->pattern.kind == WEFT_PATTERN_BLOCKS || a->pattern.n_global > 0 ||
                              in[GLOBAL].rank >= 0;
    return weft_check_dropout(c, a->p, &in[Q_ROWS], weft_rows(&in[Q])) &&
           (!a->pattern.causal || check_positions(c, B, "causal")) &&
           (!a->at_end || check_positions(c, B, "at_end")) &&
           (!one_sentence || check_positions(c, B, "pattern"));
}

/* ---- infer: patterns and biases ------------------------------------------------------------------ */

static bool check_number(const weft_call *c, const char *name, int64_t value, int64_t least)
{
    if (value >= least && value <= INT32_MAX) return true;
    return weft_fail(c, WEFT_ERR_RANGE, "pattern.%s is %lld: it must be %lld to %lld", name,
                     (long long)value, (long long)least, (long long)INT32_MAX);
}

static bool check_bigbird(const weft_call *c, const weft_pattern *p)
{
    if (!check_number(c, "block", p->block, 1) ||
        !check_number(c, "window_blocks", p->window_blocks, 1) ||
        !check_number(c, "global_blocks", p->global_blocks, 0) ||
        !check_number(c, "random_blocks", p->random_blocks, 0))
        return false;
    return p->window_blocks % 2 == 1
               ? true
               : weft_fail(c, WEFT_ERR_RANGE,
                           "pattern.window_blocks is %lld: the query's own and as many on each side"
                           " make an odd number",
                           (long long)p->window_blocks);
}

/* A list of blocks: offsets that rise, within each row blocks that rise; all sentences within it. */
static bool check_blocks(const weft_call *c, const weft_pattern *p)
{
    const weft_tensor *start = &c->in[BLOCK_BEGIN], *index = &c->in[BLOCK_INDEX];
    if (!check_number(c, "block", p->block, 1)) return false;
    if (start->rank != 1 || start->dim[0] < 1 || index->rank != 1)
        return weft_fail(c, WEFT_ERR_SHAPE,
                         "a list of blocks needs block_begin [A+1] and"
                         " block_index [n]");
    if (weft_call_is_dry(c)) return true;
    const int64_t A = start->dim[0] - 1, n = index->dim[0];
    if (start->i32[0] != 0 || start->i32[A] != n)
        return weft_fail(c, WEFT_ERR_RANGE, "block_begin goes from %d to %d, not from 0 to %lld",
                         (int)start->i32[0], (int)start->i32[A], (long long)n);
    for (int64_t a = 0; a < A; a++) {
        if (start->i32[a] > start->i32[a + 1])
            return weft_fail(c, WEFT_ERR_RANGE, "block_begin falls at block %lld", (long long)a);
        for (int32_t k = start->i32[a]; k < start->i32[a + 1]; k++)
            if (index->i32[k] < 0 || (k > start->i32[a] && index->i32[k] <= index->i32[k - 1]))
                return weft_fail(c, WEFT_ERR_RANGE, "block_index %d of block %lld does not rise",
                                 (int)index->i32[k], (long long)a);
    }
    for (int64_t b = 0; b < weft_packed_sentences(&c->in[Q], &c->in[Q_OFFSETS]); b++) {
        const weft_attention_place of = weft_attention_place_of(c, b);
        if (of.n_k > A * p->block)
            return weft_fail(c, WEFT_ERR_RANGE,
                             "sentence %lld has %lld keys, the list %lld blocks of %lld",
                             (long long)b, (long long)of.n_k, (long long)A, (long long)p->block);
    }
    return true;
}

static bool check_pattern(const weft_call *c)
{
    const weft_pattern *p = &((const attention_attr *)c->attr)->pattern;
    const weft_tensor *global = &c->in[GLOBAL];
    if (!check_number(c, "n_global", p->n_global, 0)) return false;
    if (global->rank >= 0 && (global->rank != 1 || global->dim[0] != weft_rows(&c->in[K_IN])))
        return weft_fail(c, WEFT_ERR_SHAPE, "pattern.global must be [%lld], one number a key",
                         (long long)weft_rows(&c->in[K_IN]));
    if ((int)p->rows < WEFT_ROWS_ALL || p->rows > WEFT_ROWS_GLOBAL)
        return weft_fail(c, WEFT_ERR_RANGE, "pattern.rows is %d", (int)p->rows);
    switch (p->kind) {
    case WEFT_PATTERN_FULL: return true;
    case WEFT_PATTERN_WINDOW: return check_number(c, "window", p->window, 1);
    case WEFT_PATTERN_DILATED:
        return check_number(c, "window", p->window, 1) && check_number(c, "gap", p->gap, 1);
    case WEFT_PATTERN_STRIDED: return check_number(c, "stride", p->stride, 1);
    case WEFT_PATTERN_FIXED:
        return check_number(c, "stride", p->stride, 1) &&
               check_number(c, "summary", p->summary, 1) &&
               (p->summary <= p->stride ||
                weft_fail(c, WEFT_ERR_RANGE, "pattern.summary is %lld of a stride of %lld",
                          (long long)p->summary, (long long)p->stride));
    case WEFT_PATTERN_BIGBIRD: return check_bigbird(c, p);
    case WEFT_PATTERN_BLOCKS: return check_blocks(c, p);
    }
    return weft_fail(c, WEFT_ERR_RANGE, "pattern.kind is %d", (int)p->kind);
}

/* A row for each query, a column for each key of its sentence. */
static bool check_plane(const weft_call *c, int input, const char *name, bool shared)
{
    const weft_tensor *x = &c->in[input];
    const int64_t N = weft_rows(&c->in[Q]), H = ((const attention_attr *)c->attr)->heads;
    if (x->rank < 0) return true;
    if (!(x->rank == 3 && x->dim[0] == H && x->dim[1] == N) &&
        !(shared && x->rank == 2 && x->dim[0] == N))
        return weft_fail(c, WEFT_ERR_SHAPE, "%s must be [%lld, %lld, C]%s", name, (long long)H,
                         (long long)N, shared ? " or without its first dimension" : "");
    if (weft_call_is_dry(c)) return true;
    for (int64_t b = 0; b < weft_packed_sentences(&c->in[Q], &c->in[Q_OFFSETS]); b++) {
        const weft_attention_place of = weft_attention_place_of(c, b);
        if (of.n_q > 0 && of.n_k > weft_cols(x))
            return weft_fail(c, WEFT_ERR_SHAPE, "%s has %lld columns, sentence %lld %lld keys",
                             name, (long long)weft_cols(x), (long long)b, (long long)of.n_k);
    }
    return true;
}

static bool check_biases(const weft_call *c)
{
    const attention_attr *a = c->attr;
    const weft_tensor *r = &c->in[RELATIVE];
    const int64_t N = weft_rows(&c->in[Q]);
    if (!check_plane(c, BIAS, "bias", false) || !check_plane(c, MASK, "mask", true)) return false;
    if (a->weights != WEFT_SOFTMAX && a->weights != WEFT_SIGMOID)
        return weft_fail(c, WEFT_ERR_RANGE, "weights is %d", (int)a->weights);
    if (!isfinite(a->sigmoid_bias))
        return weft_fail(c, WEFT_ERR_RANGE, "sigmoid_bias is %g", a->sigmoid_bias);
    const weft_tensor *values = &c->in[RELATIVE_VALUES];
    const int64_t Kv = weft_cols(&c->in[V_IN]) / a->kv_heads;
    if (values->rank >= 0 && (values->rank != 2 || values->dim[0] % 2 != 1 || values->dim[1] != Kv))
        return weft_fail(c, WEFT_ERR_SHAPE, "relative_values must be [2L-1, %lld]", (long long)Kv);
    if (r->rank < 0) return true;
    const bool fits = (r->rank == 2 && r->dim[0] == a->heads) ||
                      (r->rank == 3 && r->dim[0] == a->heads && r->dim[1] == N);
    if (!fits || weft_cols(r) % 2 != 1)
        return weft_fail(c, WEFT_ERR_SHAPE, "relative must be [%d, 2L-1] or [%d, %lld, 2L-1]",
                         a->heads, a->heads, (long long)N);
    return true;
}

/* ---- the plan: what threads share --------------------------------------------------------------- */

/* A tile of one sentence, to be treated for every head. */
typedef struct piece {
    enum { FORWARD, SENTENCE, QUERIES, KEYS } kind;
    weft_attention_place place;
    int64_t from;          /* the tile's first query or key */
    int n_tiles;           /* FORWARD: how many in a row */
    const int32_t *random; /* the sentence's random blocks */
} piece;

/* What one call shares among its threads, laid out in its scratch. */
typedef struct plan {
    attention_sizes s;
    weft_real *works; /* one for each thread */
    piece *pieces;
    weft_real *dots; /* [H, N], backward */
    double *parts;   /* [PARTS, n_sums(c)] */
    int32_t *random; /* [blocks, H, random_blocks] */
    int64_t each;    /* elements of a workspace */
    int64_t n_pieces, work;
} plan;

/* Is there one gradient of `relative` for all queries? */
static bool sums_relative(const weft_call *c)
{
    return c->in[RELATIVE].rank == 2 && c->wants[RELATIVE];
}

/* And of relative_values, which all heads share besides? */
static bool sums_values(const weft_call *c)
{
    return c->in[RELATIVE_VALUES].rank >= 0 && c->wants[RELATIVE_VALUES];
}

/* Numbers of a part: sums for `relative` [H, C], then for `relative_values` [2L-1, Kv]. */
static int64_t n_sums(const weft_call *c)
{
    return (sums_relative(c) ? weft_size(&c->in[RELATIVE]) : 0) +
           (sums_values(c) ? weft_size(&c->in[RELATIVE_VALUES]) : 0);
}

static size_t n_random(const weft_call *c, const attention_sizes *s)
{
    const attention_attr *a = c->attr;
    if (a->pattern.kind != WEFT_PATTERN_BIGBIRD) return 0;
    /* a sentence's blocks lie from its first key's block + its number on */
    return (size_t)((s->B + s->M / a->pattern.block) * s->H * a->pattern.random_blocks);
}

/* Elements of the dots: an even number, what follows are doubles. */
static size_t dots_size(const attention_sizes *s) { return (size_t)((s->H * s->N + 1) / 2 * 2); }

static bool set_scratch(weft_call *c, const attention_sizes *s)
{
    const attention_attr *a = c->attr;
    const size_t queries = (size_t)(s->B + s->N / TILE), keys = (size_t)(s->B + s->M / TILE);
    const size_t random = n_random(c, s) * sizeof(int32_t);
    const size_t parts = (size_t)(PARTS * n_sums(c));
    size_t work;
    if (!weft_mul_bytes((size_t)weft_attention_work(s->K, s->Kv), sizeof(weft_real), &work) ||
        !weft_mul_bytes(work, (size_t)a->n_threads, &work))
        return weft_fail(c, WEFT_ERR_OVERFLOW, "heads are too wide");
    c->scratch_bytes = work + queries * sizeof(piece) + random;
    c->backward_scratch_bytes = work + dots_size(s) * sizeof(weft_real) + parts * sizeof(double) +
                                (queries + keys) * sizeof(piece) + random;
    return true;
}

static bool infer(weft_call *c)
{
    if (!check_widths(c) || !check_sentences(c) || !check_pattern(c) || !check_biases(c))
        return false;
    const attention_sizes s = weft_attention_sizes_of(c);
    return set_scratch(c, &s) && weft_packed_out(c, Q, s.H * s.Kv) &&
           weft_save(c, 0, WEFT_REAL, 2 * s.H * s.N);
}

static void add_tiles(plan *p, piece of, int64_t n)
{
    const int64_t step = (of.kind == FORWARD ? of.n_tiles : 1) * TILE;
    for (of.from = 0; of.from < n; of.from += step) p->pieces[p->n_pieces++] = of;
}

/* How the pieces are cut decides how many threads have work, and how much is done twice; it never
 * changes a bit. */
static void add_pieces(const weft_call *c, bool backward, piece of, plan *p)
{
    const weft_attention_place *at = &of.place;
    const int64_t threads = ((const attention_attr *)c->attr)->n_threads, sweeps = p->s.G * p->s.B;
    if (!backward) {
        of.kind = FORWARD;
        of.n_tiles = sweeps * (at->n_q / (TILES * TILE)) >= 2 * threads ? TILES : 1;
        add_tiles(p, of, at->n_q);
    } else if ((at->n_q <= TILE && at->n_k <= TILE) || (sweeps >= threads && n_sums(c) == 0)) {
        of.kind = SENTENCE;
        p->pieces[p->n_pieces++] = of;
    } else {
        of.kind = QUERIES;
        const bool of_rows = c->din[Q].data || c->din[BIAS].data || c->din[RELATIVE].data ||
                             c->din[RELATIVE_VALUES].data;
        add_tiles(p, of, of_rows ? at->n_q : 0);
        of.kind = KEYS;
        add_tiles(p, of, c->din[K_IN].data || c->din[V_IN].data ? at->n_k : 0);
    }
}

/* The pieces of all sentences, and the scalar operations that they are at most. */
static plan plan_of(const weft_call *c, bool backward)
{
    const attention_attr *a = c->attr;
    plan p = { .s = weft_attention_sizes_of(c), .works = c->scratch };
    const attention_sizes *s = &p.s;
    p.each = weft_attention_work(s->K, s->Kv);
    p.dots = p.works + a->n_threads * p.each;
    p.parts = (double *)(void *)(p.dots + (backward ? dots_size(s) : 0));
    p.pieces = (piece *)(p.parts + (backward ? PARTS * n_sums(c) : 0));
    const int64_t n_pieces = s->B + s->N / TILE + (backward ? s->B + s->M / TILE : 0);
    p.random = (int32_t *)(p.pieces + n_pieces);
    for (int64_t b = 0; b < s->B; b++) {
        piece of = { .place = weft_attention_place_of(c, b) };
        if (a->pattern.kind == WEFT_PATTERN_BIGBIRD) {
            const int64_t block = of.place.k_row / a->pattern.block + b;
            int32_t *random = p.random + block * s->H * a->pattern.random_blocks;
            weft_pattern_draw(&a->pattern, of.place.n_k, a->heads, random);
            of.random = random;
        }
        p.work += (backward ? 3 : 1) * of.place.n_q * of.place.n_k * s->H * (s->K + s->Kv);
        add_pieces(c, backward, of, &p);
    }
    return p;
}

/* What is added to the scores and values of head h, and its gradients. */
static void set_biases(const weft_call *c, const piece *of, int64_t h, double *parts,
                       weft_attention_head *head)
{
    const weft_tensor *bias = &c->in[BIAS], *r = &c->in[RELATIVE];
    const int64_t row = of->place.q_row;
    const attention_attr *a = c->attr;
    if (a->alibi) head->slope = (weft_real)weft_alibi_slope((int)h, a->heads);
    if (bias->rank >= 0) {
        head->ldbias = bias->ld;
        head->bias = bias->real + (h * bias->dim[1] + row) * bias->ld;
    }
    const weft_tensor *values = &c->in[RELATIVE_VALUES];
    if (values->rank >= 0) {
        head->values_reach = values->dim[0] / 2;
        head->relative_values = values->real;
    }
    const int64_t plane = r->rank == 3 ? h * r->dim[1] + row : h;
    if (r->rank >= 0) {
        head->reach = weft_cols(r) / 2;
        head->ldrelative = r->rank == 3 ? r->ld : 0;
        head->relative = r->real + plane * r->ld;
    }
    if (of->kind != SENTENCE && of->kind != QUERIES) return;
    const weft_tensor *dbias = &c->din[BIAS], *dr = &c->din[RELATIVE];
    if (dbias->data) {
        head->lddbias = dbias->ld;
        head->bias_cols = weft_cols(bias);
        head->dbias = dbias->real + (h * bias->dim[1] + row) * dbias->ld;
        head->add_bias = c->add[BIAS];
    }
    if (dr->data && r->rank == 3) {
        head->lddrelative = dr->ld;
        head->drelative = dr->real + plane * dr->ld;
        head->add_relative = c->add[RELATIVE];
    } else if (dr->data) {
        head->relative_sum = parts + h * weft_cols(r);
    }
    if (c->din[RELATIVE_VALUES].data)
        head->values_sum = parts + (sums_relative(c) ? weft_size(r) : 0);
}

/* Head h of the sentence of a piece; `parts` takes the gradients of what queries share. */
static weft_attention_head head_of(const weft_call *c, const attention_sizes *s, const piece *of,
                                   int64_t h, weft_real *dots, double *parts)
{
    const weft_tensor *q = &c->in[Q], *k = &c->in[K_IN], *v = &c->in[V_IN], *o = &c->out[0];
    const int64_t g = h / (s->H / s->G), at_k = g * s->K, at_v = g * s->Kv, q_row = of->place.q_row,
                  k_row = of->place.k_row;
    weft_attention_head head = { .attr = c->attr,
                                 .sight = weft_attention_sight_of(c, &of->place, h, of->random),
                                 .K = s->K,
                                 .Kv = s->Kv,
                                 .scale = s->scale,
                                 .q = q->real + q_row * q->ld + h * s->K,
                                 .k = k->real + k_row * k->ld + at_k,
                                 .v = v->real + k_row * v->ld + at_v,
                                 .ldq = q->ld,
                                 .ldk = k->ld,
                                 .ldv = v->ld,
                                 .o = o->real + q_row * o->ld + h * s->Kv,
                                 .ldo = o->ld,
                                 .head = (uint32_t)h,
                                 .first_row = q_row,
                                 .rows = &c->in[Q_ROWS] };
    if (c->saved[0].data) head.stats = c->saved[0].real + 2 * (h * s->N + q_row);
    set_biases(c, of, h, parts, &head);
    if (of->kind == FORWARD) return head;

    const weft_tensor *dq = &c->din[Q], *dk = &c->din[K_IN], *dv = &c->din[V_IN];
    const bool later = h % (s->H / s->G) != 0; /* heads of a group add to what its first wrote */
    head.dout = c->dout[0].real + q_row * c->dout[0].ld + h * s->Kv;
    head.lddo = c->dout[0].ld;
    head.dots = dots + h * s->N + q_row;
    /* Where keys have pieces of their own, those of queries write dQ, perhaps at this moment. */
    if (dq->data && of->kind != KEYS) head.dq = dq->real + q_row * dq->ld + h * s->K;
    if (dk->data) head.dk = dk->real + k_row * dk->ld + at_k;
    if (dv->data) head.dv = dv->real + k_row * dv->ld + at_v;
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
    case FORWARD: weft_attention_forward_tiles(head, of->from, of->n_tiles, work); break;
    case SENTENCE: weft_attention_backward_sentence(head, work); break;
    case QUERIES: weft_attention_backward_queries(head, of->from, work); break;
    case KEYS: weft_attention_backward_keys(head, of->from, work); break;
    }
}

/* dx (+)= the parts, in their order; those of an input begin at `from`. */
static void add_parts(const weft_call *c, int input, const double *from)
{
    const weft_tensor *dx = &c->din[input];
    const int64_t C = weft_cols(dx), n = weft_size(dx), apart = n_sums(c);
    for (int64_t k = 0; k < n; k++) {
        double sum = 0;
        for (int i = 0; i < PARTS; i++) sum += from[i * apart + k];
        weft_real *to = dx->real + k / C * dx->ld + k % C;
        *to = (c->add[input] ? *to : 0) + (weft_real)sum;
    }
}

/* One sweep over pieces and shares of the heads, dealt out in turn: causal tiles grow towards the end.
 * A share is a group of heads; all, where they add to the same sums. Where a gradient is summed over
 * the pieces, these go together in a fixed number of parts. */
static void sweep(const weft_call *c, bool backward)
{
    const attention_attr *a = c->attr;
    const plan p = plan_of(c, backward);
    const int64_t sums = backward ? n_sums(c) : 0;
    const int64_t shares = backward && sums_values(c) ? 1 : p.s.G, per_share = p.s.H / shares;
    const int64_t run = sums > 0 ? (p.n_pieces + PARTS - 1) / PARTS : 1;
    const int64_t n = run > 0 ? (p.n_pieces + run - 1) / run * shares : 0;
    if (sums > 0) memset(p.parts, 0, (size_t)(PARTS * sums) * sizeof *p.parts);
    int team = weft_team(n, p.work);
    /* The number of threads may have been raised in between. NOLINTNEXTLINE: a pragma reads team */
    if (team > a->n_threads) team = a->n_threads;
#pragma omp parallel for schedule(static, 1) num_threads(team)
    for (int64_t i = 0; i < n; i++) {
        weft_real *work = p.works + omp_get_thread_num() * p.each;
        double *part = sums > 0 ? p.parts + i / shares * sums : NULL;
        const int64_t first = i / shares * run, share = i % shares;
        for (int64_t k = first; k < first + run && k < p.n_pieces; k++)
            for (int64_t h = share * per_share; h < (share + 1) * per_share; h++) {
                const weft_attention_head head = head_of(c, &p.s, &p.pieces[k], h, p.dots, part);
                treat(&head, &p.pieces[k], work);
            }
    }
    if (backward && sums_relative(c)) add_parts(c, RELATIVE, p.parts);
    if (backward && sums_values(c))
        add_parts(c, RELATIVE_VALUES,
                  p.parts + (sums_relative(c) ? weft_size(&c->in[RELATIVE]) : 0));
}

static void forward(const weft_call *c) { sweep(c, false); }
static void backward(const weft_call *c) { sweep(c, true); }

/* ---- the descriptor ------------------------------------------------------------------------------ */

const weft_op weft_op_attention = { .name = "attention",
                                    .inputs = "q k v q_offsets k_offsets q_rows bias relative "
                                              "relative_values mask global block_begin block_index",
                                    .n_in = N_INPUTS,
                                    .integer = 1 << Q_OFFSETS | 1 << K_OFFSETS | 1 << Q_ROWS |
                                               1 << MASK | 1 << GLOBAL | 1 << BLOCK_BEGIN |
                                               1 << BLOCK_INDEX,
                                    .optional = 1 << Q_OFFSETS | 1 << K_OFFSETS | 1 << Q_ROWS |
                                                1 << BIAS | 1 << RELATIVE | 1 << RELATIVE_VALUES |
                                                1 << MASK | 1 << GLOBAL | 1 << BLOCK_BEGIN |
                                                1 << BLOCK_INDEX,
                                    .strided = 1 << Q | 1 << K_IN | 1 << V_IN | 1 << Q_ROWS,
                                    .infer = infer,
                                    .forward = forward,
                                    .backward = backward,
                                    .define = weft_attention_define,
                                    .sample = weft_attention_sample,
                                    .misuse = weft_attention_misuse };

weft_var weft_attention(weft_tape *tape, weft_var q, weft_var k, weft_var v,
                        const weft_attention_spec *spec)
{
    if (!spec) {
        weft_tape_fail(tape, WEFT_ERR_STATE, "attention: no spec, which says how many heads");
        return WEFT_NIL;
    }
    const weft_pattern_spec *p = &spec->pattern;
    const uint64_t key = weft_tape_next_key(tape);
    const attention_attr attr = { .heads = spec->heads,
                                  .kv_heads = spec->kv_heads ? spec->kv_heads : spec->heads,
                                  .scale = spec->scale,
                                  .at_end = spec->at_end,
                                  .alibi = spec->alibi,
                                  .has_sigmoid_bias = spec->has_sigmoid_bias,
                                  .pattern = { .kind = p->kind,
                                               .causal = spec->causal,
                                               .window = p->window,
                                               .gap = p->gap,
                                               .stride = p->stride,
                                               .summary = p->summary,
                                               .block = p->block,
                                               .window_blocks = p->window_blocks,
                                               .global_blocks = p->global_blocks,
                                               .random_blocks = p->random_blocks,
                                               .n_global = p->n_global,
                                               .rows = p->rows,
                                               .key = weft_random_key(p->seed, 0, 0) },
                                  .weights = spec->weights,
                                  .sigmoid_bias = spec->sigmoid_bias,
                                  .p = spec->dropout,
                                  .key = key,
                                  .n_threads = weft_threads() };
    const weft_var k_offsets = weft_is_nil(spec->k_offsets) ? spec->q_offsets : spec->k_offsets;
    const weft_var in[N_INPUTS] = { [Q] = q,
                                    [K_IN] = k,
                                    [V_IN] = v,
                                    [Q_OFFSETS] = spec->q_offsets,
                                    [K_OFFSETS] = k_offsets,
                                    [Q_ROWS] = spec->q_rows,
                                    [BIAS] = spec->bias,
                                    [RELATIVE] = spec->relative,
                                    [RELATIVE_VALUES] = spec->relative_values,
                                    [MASK] = spec->mask,
                                    [GLOBAL] = p->global,
                                    [BLOCK_BEGIN] = p->block_begin,
                                    [BLOCK_INDEX] = p->block_index };
    return weft_apply1(tape, &weft_op_attention, N_INPUTS, in, &attr, sizeof attr);
}
