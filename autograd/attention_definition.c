/* attention_definition.c - attention in primitives, holding all scores: what the kernels mean. Who sees
 * whom becomes a mask, by the same predicate that the kernels ask. */
#include "autograd/attention_internal.h"
#include "autograd/fused_internal.h"
#include "autograd/packed_internal.h"
#include "core/checked.h"

#include <math.h>

typedef struct definition {
    weft_tape *t;
    const weft_call *c;
    const weft_attention_attr *a;
    weft_attention_sizes s;
    const weft_var *in;
    weft_var q, k, v; /* [rows, columns] */
} definition;

/* One sentence of it, for one head. */
typedef struct part_of {
    weft_attention_place at;
    weft_sight sight;
    int64_t h;
} part_of;

static void *allocate(weft_tape *t, int64_t n, size_t each_bytes)
{
    void *room = weft_alloc((size_t)n, each_bytes);
    if (!room) weft_tape_fail(t, WEFT_ERR_MEMORY, "attention: %s", weft_message());
    return room;
}

/* ---- constants ---------------------------------------------------------------------------------- */

/* 1 where a query sees a key. On a dry tape nobody knows. */
static weft_var sight_mask(const definition *d, const part_of *of)
{
    const int64_t n_q = of->at.n_q, n_k = of->at.n_k;
    if (weft_tape_flags(d->t) & WEFT_DRY) return weft_constant_int(d->t, WEFT_DIMS(n_q, n_k), NULL);
    int32_t *mask = allocate(d->t, n_q * n_k, sizeof *mask);
    uint8_t *see = allocate(d->t, n_k, sizeof *see);
    weft_var x = WEFT_NIL;
    if (mask && see) {
        for (int64_t i = 0; i < n_q; i++) {
            weft_sight_row(&of->sight, i, 0, n_k, see);
            for (int64_t j = 0; j < n_k; j++) mask[i * n_k + j] = see[j];
        }
        x = weft_constant_int(d->t, WEFT_DIMS(n_q, n_k), mask);
    }
    weft_free(mask);
    weft_free(see);
    return x;
}

/* A constant [n_q, n_k] (columns: [n_q, 1]) of `value`. */
static weft_var constant(const definition *d, const part_of *of, int64_t n_k,
                         double (*value)(const definition *, const part_of *, int64_t i, int64_t j))
{
    const int64_t n_q = of->at.n_q;
    weft_real *x = allocate(d->t, n_q * n_k, sizeof *x);
    if (!x) return WEFT_NIL;
    for (int64_t i = 0; i < n_q; i++)
        for (int64_t j = 0; j < n_k; j++) x[i * n_k + j] = (weft_real)value(d, of, i, j);
    const weft_var y = weft_constant(d->t, WEFT_DIMS(n_q, n_k), x);
    weft_free(x);
    return y;
}

static double alibi(const definition *d, const part_of *of, int64_t i, int64_t j)
{
    const int64_t distance = i + of->sight.first - j;
    return -weft_alibi_slope((int)of->h, d->a->heads) *
           (double)(distance < 0 ? -distance : distance);
}

static double sigmoid_bias(const definition *d, const part_of *of, int64_t i, int64_t j)
{
    (void)j;
    return weft_attention_sigmoid_bias(d->a, &of->sight, i);
}

static weft_var dropout_factors(const definition *d, const part_of *of)
{
    const int64_t n_q = of->at.n_q, n_k = of->at.n_k;
    weft_real *keep = allocate(d->t, n_q * n_k, sizeof *keep);
    if (!keep) return WEFT_NIL;
    for (int64_t i = 0; i < n_q; i++)
        weft_dropout_row(d->a->key,
                         weft_row_key(&d->c->in[WEFT_ATTENTION_Q_ROWS], of->at.q_row + i),
                         (uint32_t)of->h, d->a->p, n_k, keep + i * n_k);
    const weft_var x = weft_constant(d->t, WEFT_DIMS(n_q, n_k), keep);
    weft_free(keep);
    return x;
}

/* ---- biases ------------------------------------------------------------------------------------- */

/* Rows of plane h of a bias [H, N, C]. */
static weft_var plane_rows(const definition *d, const part_of *of, weft_var x)
{
    const weft_tensor shape = weft_shape(d->t, x);
    const int64_t C = weft_cols(&shape);
    const weft_var plane =
        weft_reshape(d->t, weft_slice(d->t, x, 0, of->h, of->h + 1), WEFT_DIMS(d->s.N, C));
    return weft_slice(d->t, plane, 0, of->at.q_row, of->at.q_row + of->at.n_q);
}

/* The column of each distance j - p in a table of 2 reach + 1. */
static weft_var distances(const definition *d, const part_of *of, int64_t reach)
{
    const int64_t n_q = of->at.n_q, n_k = of->at.n_k;
    int32_t *index = allocate(d->t, n_q * n_k, sizeof *index);
    if (!index) return WEFT_NIL;
    for (int64_t i = 0; i < n_q; i++)
        for (int64_t j = 0; j < n_k; j++) {
            int64_t distance = j - i - of->sight.first;
            if (distance < -reach) distance = -reach;
            if (distance > reach) distance = reach;
            index[i * n_k + j] = (int32_t)(distance + reach);
        }
    const weft_var at = weft_constant_int(d->t, WEFT_DIMS(n_q, n_k), index);
    weft_free(index);
    return at;
}

/* The entries of `relative` at the distances j - p. */
static weft_var relative_scores(const definition *d, const part_of *of)
{
    weft_tape *t = d->t;
    const weft_var r = d->in[WEFT_ATTENTION_RELATIVE];
    const weft_tensor shape = weft_shape(t, r);
    const int64_t C = weft_cols(&shape);
    weft_var table;
    if (shape.rank == 3)
        table = plane_rows(d, of, r);
    else
        table = weft_expand(t, weft_slice(t, r, 0, of->h, of->h + 1), WEFT_DIMS(of->at.n_q, C));
    return weft_gather(t, weft_contiguous(t, table), 1, distances(d, of, C / 2));
}

/* y + the weights of each distance, summed, times the value of that distance. */
static weft_var add_relative_values(const definition *d, const part_of *of, weft_var weights,
                                    weft_var y)
{
    const weft_var values = d->in[WEFT_ATTENTION_RELATIVE_VALUES];
    if (weft_is_nil(values)) return y;
    const int64_t C = weft_shape(d->t, values).dim[0];
    const weft_var sums = weft_scatter_add(d->t, weights, 1, distances(d, of, C / 2), C);
    return weft_add(d->t, y, weft_matmul(d->t, sums, values));
}

static weft_var add_biases(const definition *d, const part_of *of, weft_var scores)
{
    weft_tape *t = d->t;
    const weft_var bias = d->in[WEFT_ATTENTION_BIAS];
    if (!weft_is_nil(bias))
        scores = weft_add(t, scores, weft_slice(t, plane_rows(d, of, bias), 1, 0, of->at.n_k));
    if (d->a->alibi) scores = weft_add(t, scores, constant(d, of, of->at.n_k, alibi));
    if (!weft_is_nil(d->in[WEFT_ATTENTION_RELATIVE]))
        scores = weft_add(t, scores, relative_scores(d, of));
    return scores;
}

/* ---- heads, sentences, all ------------------------------------------------------------------------ */

static weft_var define_weights(const definition *d, const part_of *of, weft_var scores)
{
    weft_tape *t = d->t;
    const bool sees_all =
        of->sight.plain && d->a->pattern.kind == WEFT_PATTERN_FULL && !d->a->pattern.causal;
    if (d->a->weights == WEFT_SIGMOID) {
        const weft_var weights =
            weft_sigmoid(t, weft_add(t, scores, constant(d, of, 1, sigmoid_bias)));
        return sees_all ? weights : weft_where(t, sight_mask(d, of), weights, weft_scalar(t, 0));
    }
    if (!sees_all) scores = weft_where(t, sight_mask(d, of), scores, weft_scalar(t, -INFINITY));
    return weft_softmax(t, scores);
}

static weft_var define_head(const definition *d, const part_of *of)
{
    weft_tape *t = d->t;
    const weft_attention_sizes *s = &d->s;
    const int64_t g = of->h / (s->H / s->G);
    const weft_var q = weft_packed_part(t, d->q, of->at.q_row, of->at.n_q, of->h, s->K),
                   k = weft_packed_part(t, d->k, of->at.k_row, of->at.n_k, g, s->K),
                   v = weft_packed_part(t, d->v, of->at.k_row, of->at.n_k, g, s->Kv);
    const weft_var scores = weft_scale(t, weft_matmul_t(t, q, false, k, true), (double)s->scale);
    weft_var weights = define_weights(d, of, add_biases(d, of, scores));
    if (d->a->p > 0) weights = weft_mul(t, weights, dropout_factors(d, of));
    return add_relative_values(d, of, weights, weft_matmul(t, weights, v));
}

static weft_var define_sentence(const definition *d, weft_attention_place at)
{
    weft_tape *t = d->t;
    const weft_pattern *pattern = &d->a->pattern;
    const int64_t H = d->s.H;
    if (at.n_k == 0) return weft_full(t, WEFT_DIMS(at.n_q, H * d->s.Kv), 0);
    weft_var *heads = allocate(t, H, sizeof *heads), y = WEFT_NIL;
    int32_t *random = NULL;
    if (pattern->kind == WEFT_PATTERN_BIGBIRD) {
        random = allocate(t, weft_pattern_blocks(pattern, at.n_k) * H * pattern->random_blocks,
                          sizeof *random);
        if (random) weft_pattern_draw(pattern, at.n_k, d->a->heads, random);
    }
    if (heads && (random || pattern->kind != WEFT_PATTERN_BIGBIRD)) {
        for (int64_t h = 0; h < H; h++) {
            const part_of of = { at, weft_attention_sight_of(d->c, &at, h, random), h };
            heads[h] = define_head(d, &of);
        }
        y = weft_concat(t, (int)H, heads, 1);
    }
    weft_free(random);
    weft_free(heads);
    return y;
}

void weft_attention_define(weft_rule *r)
{
    weft_tape *t = r->tape;
    weft_tensor in[WEFT_ATTENTION_INPUTS];
    for (int i = 0; i < WEFT_ATTENTION_INPUTS; i++) {
        in[i] = (weft_tensor){ .rank = -1 };
        if (!weft_is_nil(r->in[i])) in[i] = weft_value(t, r->in[i]);
    }
    if (weft_tape_flags(t) & WEFT_DRY) /* offsets are not known: as if it were one sentence */
        in[WEFT_ATTENTION_Q_OFFSETS].rank = in[WEFT_ATTENTION_K_OFFSETS].rank = -1;
    const weft_call c = { .tape = t, .attr = r->attr, .in = in };
    const definition d = { .t = t,
                           .c = &c,
                           .a = r->attr,
                           .s = weft_attention_sizes_of(&c),
                           .in = r->in,
                           .q = weft_packed_matrix(t, r->in[WEFT_ATTENTION_Q]),
                           .k = weft_packed_matrix(t, r->in[WEFT_ATTENTION_K]),
                           .v = weft_packed_matrix(t, r->in[WEFT_ATTENTION_V]) };
    weft_var *parts = allocate(t, d.s.B + 1, sizeof *parts);
    if (!parts) return;
    int n = 0;
    for (int64_t b = 0; b < d.s.B; b++) {
        const weft_attention_place at = weft_attention_place_of(&c, b);
        if (at.n_q > 0) parts[n++] = define_sentence(&d, at);
    }
    if (n == 0) parts[n++] = weft_full(t, WEFT_DIMS(0, d.s.H * d.s.Kv), 0);
    const weft_tensor *q = &in[WEFT_ATTENTION_Q];
    int64_t dim[WEFT_MAX_RANK] = { 0 };
    for (int i = 0; i < q->rank; i++) dim[i] = q->dim[i];
    dim[q->rank - 1] = d.s.H * d.s.Kv;
    r->result[0] = weft_reshape(t, weft_concat(t, n, parts, 0), q->rank, dim);
    weft_free(parts);
}
