/* beam.c - the search for the translations of one batch.
 *
 * Hypotheses share their beginnings: each is a chain of nodes from its last token back. All rows of a
 * sentence stand side by side, so that they read one copy of its source. */
#include "data/vocab.h"
#include "train/decode_internal.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

/* A token and the node before it; -1 before the first. */
typedef struct node {
    int32_t before, id;
} node;

/* A hypothesis that has not ended. */
typedef struct row {
    int32_t sentence, last; /* last: its node */
    int32_t place;          /* among those that its sentence began with: a key of what is drawn */
    double score;           /* log p of its tokens */
} row;

/* A way to go on. */
typedef struct candidate {
    double score;
    weft_real logit;
    int32_t row, id;
} candidate;

/* A hypothesis that has ended. */
typedef struct ended {
    double score; /* with the length in it */
    int32_t last, order;
} ended;

typedef struct search {
    const weft_decode_spec *spec;
    weft_reader *readers; /* the caller's */
    int n_models;
    const weft_tokens *source, *prefix;
    int64_t V, n_said;
    int64_t most;   /* candidates of a sentence: </s> may take half of them */
    int64_t *limit; /* [B] tokens of each sentence */
    int64_t *n_ended;
    ended *ended; /* [B, beam] */
    row *rows, *next;
    int64_t n_rows;
    int32_t *ids, *keep; /* of each row: what is read next, and the row it goes on from */
    int64_t *first;      /* [n_open + 1] rows of each sentence that is not over */
    int64_t n_open;
    candidate *candidates; /* [B, most] */
    int64_t *n_candidates; /* [B] */
    weft_choice *choices;  /* [V], for drawing */
    node *nodes;
    int64_t n_nodes, room;
} search;

/* ---- beginning ----------------------------------------------------------------------------------- */

weft_status weft_decode_spec_check(const weft_decode_spec *spec)
{
    if (spec->beam < 1)
        return weft_error(WEFT_ERR_RANGE, "weft_decode: a beam of %lld: at least 1 is needed",
                          (long long)spec->beam);
    if (spec->n_best < 0 || spec->n_best > spec->beam)
        return weft_error(WEFT_ERR_RANGE, "weft_decode: the %lld best of a beam of %lld",
                          (long long)spec->n_best, (long long)spec->beam);
    if (!isfinite(spec->alpha))
        return weft_error(WEFT_ERR_RANGE, "weft_decode: a length penalty of %g", spec->alpha);
    if (spec->max_length < 0)
        return weft_error(WEFT_ERR_RANGE, "weft_decode: max_length %lld is negative",
                          (long long)spec->max_length);
    if (spec->no_repeat_ngram < 0)
        return weft_error(WEFT_ERR_RANGE, "weft_decode: no_repeat_ngram %lld is negative",
                          (long long)spec->no_repeat_ngram);
    return weft_draw_check("weft_decode", spec->temperature, spec->top_k, spec->top_p);
}

static int64_t length_limit(const search *s, int64_t b)
{
    const int64_t n_source = s->source->offsets[b + 1] - s->source->offsets[b] - 1;
    int64_t limit = s->spec->max_length > 0 ? s->spec->max_length : n_source + 50;
    for (int i = 0; i < s->n_models; i++) {
        const weft_transformer_config *config = &s->readers[i].model->config;
        if (config->position == WEFT_POSITION_LEARNED && limit > config->max_positions)
            limit = config->max_positions;
    }
    return limit;
}

static int64_t prefix_length(const search *s, int64_t b)
{
    return s->prefix ? s->prefix->offsets[b + 1] - s->prefix->offsets[b] : 0;
}

/* What a sentence is called. */
static int64_t number_of(const search *s, int64_t b)
{
    return s->spec->first + s->source->rows[2 * (ptrdiff_t)s->source->offsets[b]];
}

static weft_status check_prefix(const search *s, int64_t b)
{
    const int64_t n = prefix_length(s, b);
    if (n > s->limit[b])
        return weft_error(WEFT_ERR_RANGE,
                          "sentence %lld: its prefix has %lld tokens, a hypothesis at most %lld",
                          (long long)number_of(s, b) + 1, (long long)n, (long long)s->limit[b]);
    for (int64_t i = 0; i < n; i++) {
        const int32_t id = s->prefix->ids[s->prefix->offsets[b] + i];
        if (id < 0 || id >= s->V || id == WEFT_EOS)
            return weft_error(WEFT_ERR_RANGE, "weft_decode: id %d in a prefix", id);
    }
    return WEFT_OK;
}

static void search_free(search *s)
{
    weft_free(s->limit);
    weft_free(s->n_ended);
    weft_free(s->ended);
    weft_free(s->rows);
    weft_free(s->next);
    weft_free(s->ids);
    weft_free(s->keep);
    weft_free(s->first);
    weft_free(s->candidates);
    weft_free(s->n_candidates);
    weft_free(s->choices);
    weft_free(s->nodes);
}

/* Memory for `most` rows. */
static weft_status allocate(search *s, int64_t most)
{
    const size_t B = (size_t)s->source->B, n = (size_t)most;
    s->most = 2 * s->spec->beam;
    s->limit = weft_alloc(B, sizeof *s->limit);
    s->n_ended = weft_alloc(B, sizeof *s->n_ended);
    s->ended = weft_alloc(n, sizeof *s->ended);
    s->rows = weft_alloc(n, sizeof *s->rows);
    s->next = weft_alloc(n, sizeof *s->next);
    s->ids = weft_alloc(n, sizeof *s->ids);
    s->keep = weft_alloc(n, sizeof *s->keep);
    s->first = weft_alloc(B + 1, sizeof *s->first);
    s->candidates = weft_alloc(B, (size_t)s->most * sizeof *s->candidates);
    s->n_candidates = weft_alloc(B, sizeof *s->n_candidates);
    if (s->spec->sample) s->choices = weft_alloc((size_t)s->V, sizeof *s->choices);
    return s->limit && s->n_ended && s->ended && s->rows && s->next && s->ids && s->keep &&
                   s->first && s->candidates && s->n_candidates && (s->choices || !s->spec->sample)
               ? WEFT_OK
               : WEFT_ERR_MEMORY;
}

/* A search begins with one row a sentence, drawing with all of them. */
static void first_rows(search *s)
{
    const int64_t n_each = s->spec->sample ? s->spec->beam : 1;
    s->n_rows = s->source->B * n_each;
    for (int64_t r = 0; r < s->n_rows; r++) {
        s->rows[r] = (row){ (int32_t)(r / n_each), -1, (int32_t)(r % n_each), 0 };
        s->ids[r] = WEFT_BOS;
    }
}

static weft_status search_init(search *s, const weft_translator models[])
{
    const int64_t B = s->source->B, K = s->spec->beam;
    if (K > INT32_MAX / 2 || (B > 0 && B > INT32_MAX / (2 * K)))
        return weft_error(WEFT_ERR_OVERFLOW, "weft_decode: %lld sentences with a beam of %lld",
                          (long long)B, (long long)K);
    s->V = models[0].model->config.target_V;
    weft_status status = allocate(s, B * K);
    if (status != WEFT_OK) return status;
    first_rows(s);
    for (int i = 0; i < s->n_models && status == WEFT_OK; i++)
        status =
            weft_reader_init(&s->readers[i], models[i].model, models[i].tape, B, s->n_rows, B * K);
    for (int64_t b = 0; b < B && status == WEFT_OK; b++) {
        s->limit[b] = length_limit(s, b);
        status = check_prefix(s, b);
    }
    for (int i = 0; i < s->n_models && status == WEFT_OK && B > 0; i++)
        status = weft_reader_encode(&s->readers[i], s->source);
    return status;
}

/* ---- what the models say ------------------------------------------------------------------------- */

/* The logits of all rows on the first tape; for several models the log of their mean probability. */
static weft_var read_next(search *s)
{
    weft_tape *const tape = s->readers[0].tape;
    const weft_var logits = weft_reader_step(&s->readers[0], s->ids);
    if (s->n_models == 1) return logits;
    weft_var sum = weft_softmax(tape, logits);
    for (int i = 1; i < s->n_models; i++) {
        weft_tape *const other = s->readers[i].tape;
        const weft_var p = weft_softmax(other, weft_reader_step(&s->readers[i], s->ids));
        if (weft_tape_status(other) != WEFT_OK) return WEFT_NIL;
        sum = weft_add(tape, sum,
                       weft_constant(tape, WEFT_DIMS(s->n_rows, s->V), weft_value(other, p).real));
    }
    return weft_log(tape, weft_scale(tape, sum, 1.0 / s->n_models));
}

static weft_status reader_status(const search *s)
{
    for (int i = 0; i < s->n_models; i++) {
        const weft_status status = weft_tape_status(s->readers[i].tape);
        if (status != WEFT_OK)
            return weft_error(status, "%s", weft_tape_message(s->readers[i].tape));
    }
    return WEFT_OK;
}

/* ---- candidates ---------------------------------------------------------------------------------- */

/* Are the n tokens up to node a those up to the later node b? */
static bool same_tokens(const search *s, int32_t a, int32_t b, int64_t n)
{
    for (; n > 0; n--) {
        if (a < 0 || s->nodes[a].id != s->nodes[b].id) return false;
        a = s->nodes[a].before;
        b = s->nodes[b].before;
    }
    return true;
}

/* Would `id` after `last` end n tokens that were said already? */
static bool repeats(const search *s, int32_t last, int32_t id)
{
    const int64_t n = s->spec->no_repeat_ngram;
    for (int32_t k = last; n > 0 && k >= 0; k = s->nodes[k].before)
        if (s->nodes[k].id == id && same_tokens(s, s->nodes[k].before, last, n - 1)) return true;
    return false;
}

static candidate way_on(const search *s, int64_t r, int64_t id, weft_real logit, double total)
{
    return (candidate){ s->rows[r].score + ((double)logit - total), logit, (int32_t)r,
                        (int32_t)id };
}

/* Better ones come first, of equals the earlier row's and there the larger logit's, then the lower id. */
static bool precedes(const candidate *a, const candidate *b)
{
    if (a->score != b->score) return a->score > b->score;
    if (a->row != b->row) return a->row < b->row;
    if (a->logit != b->logit) return a->logit > b->logit;
    return a->id < b->id;
}

static int best_first(const void *a, const void *b) { return precedes(a, b) ? -1 : precedes(b, a); }

/* Add a candidate to the best so far, a heap with the worst on top, which leaves when it is full. */
static void take(candidate best[], int64_t *n, int64_t most, candidate c)
{
    int64_t i = 0;
    if (*n < most) {
        i = (*n)++;
        for (int64_t above; i > 0; i = above) {
            above = (i - 1) / 2;
            if (!precedes(&best[above], &c)) break;
            best[i] = best[above];
        }
    } else {
        for (int64_t below; (below = 2 * i + 1) < most; i = below) {
            if (below + 1 < most && precedes(&best[below], &best[below + 1])) below++;
            if (!precedes(&c, &best[below])) break;
            best[i] = best[below];
        }
    }
    best[i] = c;
}

static weft_real largest_of(const weft_real *x, int64_t n)
{
    weft_real largest = x[0];
#pragma omp simd reduction(max : largest)
    for (int64_t i = 1; i < n; i++) largest = x[i] > largest ? x[i] : largest;
    return largest;
}

/* Add the likeliest tokens of a row to the best of its sentence so far. Whole blocks that cannot hold
 * one are passed by. */
static void likeliest(const search *s, int64_t r, const weft_real *logits, double total,
                      candidate best[], int64_t *n)
{
    enum { BLOCK = 64 };
    for (int64_t from = 0; from < s->V; from += BLOCK) {
        const int64_t to = from + BLOCK < s->V ? from + BLOCK : s->V;
        const candidate bound = way_on(s, r, from, largest_of(logits + from, to - from), total);
        if (*n == s->most && !precedes(&bound, &best[0])) continue;
        for (int64_t i = from; i < to; i++) {
            const candidate c = way_on(s, r, i, logits[i], total);
            if (!(logits[i] > -(weft_real)INFINITY) || (*n == s->most && !precedes(&c, &best[0])) ||
                repeats(s, s->rows[r].last, c.id))
                continue;
            take(best, n, s->most, c);
        }
    }
}

static candidate draw(const search *s, int64_t r, const weft_real *logits, double total)
{
    const weft_decode_spec *spec = s->spec;
    const row *const from = &s->rows[r];
    const int64_t n = spec->no_repeat_ngram;
    for (int64_t i = 0; i < s->V; i++)
        s->choices[i] = (weft_choice){ .logit = (double)logits[i], .id = (int32_t)i };
    for (int32_t k = from->last; n > 0 && k >= 0; k = s->nodes[k].before)
        if (same_tokens(s, s->nodes[k].before, from->last, n - 1))
            s->choices[s->nodes[k].id].logit = -INFINITY;
    const uint64_t key =
        weft_random_key(spec->seed, (uint64_t)number_of(s, from->sentence), (uint64_t)from->place);
    const int32_t id = weft_draw(s->choices, s->V, spec->temperature, spec->top_k, spec->top_p,
                                 weft_random_uniform(key, (uint64_t)s->n_said, 0));
    return way_on(s, r, id, logits[id], total);
}

/* What row r is forced to say next; -1: it is free. */
static int32_t forced_id(const search *s, int64_t r)
{
    const int32_t b = s->rows[r].sentence;
    return s->n_said < prefix_length(s, b) ? s->prefix->ids[s->prefix->offsets[b] + s->n_said] : -1;
}

/* The ways on from all rows of an open sentence: the best, in their order; or one drawn for each row. */
static void find_candidates(const search *s, int64_t open, const weft_real *logits,
                            const weft_real *total)
{
    candidate *const found = &s->candidates[open * s->most];
    int64_t n = 0;
    for (int64_t r = s->first[open]; r < s->first[open + 1]; r++) {
        const weft_real *const of_row = logits + r * s->V;
        const double sum = (double)total[r];
        const int32_t id = forced_id(s, r);
        if (id >= 0)
            found[n++] = way_on(s, r, id, of_row[id], sum);
        else if (s->spec->sample)
            found[n++] = draw(s, r, of_row, sum);
        else
            likeliest(s, r, of_row, sum, found, &n);
    }
    if (!s->spec->sample) qsort(found, (size_t)n, sizeof *found, best_first);
    s->n_candidates[open] = n;
}

/* ---- a step -------------------------------------------------------------------------------------- */

static double with_length(const weft_decode_spec *spec, double score, int64_t n_tokens)
{
    const double L = (double)n_tokens;
    switch (spec->penalty) {
    case WEFT_PENALTY_GNMT: return score / pow((5 + L) / 6, spec->alpha);
    case WEFT_PENALTY_POWER: return score / pow(L, spec->alpha);
    case WEFT_PENALTY_WORD: break;
    }
    return score - spec->alpha * L;
}

static void end(search *s, int32_t sentence, double score, int32_t last, int64_t n_tokens)
{
    const int64_t K = s->spec->beam, n = s->n_ended[sentence];
    if (n == K) return;
    s->ended[sentence * K + n] = (ended){ with_length(s->spec, score, n_tokens), last, (int32_t)n };
    s->n_ended[sentence]++;
}

static weft_status say(search *s, int32_t before, int32_t id, int32_t *said)
{
    if (s->n_nodes == s->room) {
        const int64_t room = 2 * s->room + 1024;
        if (room > INT32_MAX)
            return weft_error(WEFT_ERR_OVERFLOW, "weft_decode: hypotheses of %lld tokens",
                              (long long)s->n_nodes);
        node *const nodes = weft_realloc(s->nodes, (size_t)room, sizeof *nodes);
        if (!nodes) return WEFT_ERR_MEMORY;
        s->nodes = nodes;
        s->room = room;
    }
    *said = (int32_t)s->n_nodes;
    s->nodes[s->n_nodes++] = (node){ before, id };
    return WEFT_OK;
}

/* The rows that an open sentence goes on with, from its candidates; *n_next counts those of the batch. */
static weft_status choose(search *s, int64_t open, int64_t *n_next)
{
    const int64_t K = s->spec->beam, begin = *n_next;
    const int32_t b = s->rows[s->first[open]].sentence;
    const candidate *const all = &s->candidates[open * s->most];
    for (int64_t i = 0; i < s->n_candidates[open] && *n_next - begin < K; i++) {
        const row *const from = &s->rows[all[i].row];
        if (all[i].id == WEFT_EOS) {
            if (i < K) end(s, b, all[i].score, from->last, s->n_said + 1);
            continue;
        }
        int32_t last = -1;
        const weft_status status = say(s, from->last, all[i].id, &last);
        if (status != WEFT_OK) return status;
        s->next[*n_next] = (row){ b, last, from->place, all[i].score };
        s->ids[*n_next] = all[i].id;
        s->keep[(*n_next)++] = all[i].row;
    }
    if (s->n_said + 1 == s->limit[b]) /* the best of these, which come first */
        for (int64_t i = begin; i < *n_next; i++)
            end(s, b, s->next[i].score, s->next[i].last, s->n_said + 1);
    if (s->n_ended[b] == K || s->n_said + 1 == s->limit[b]) *n_next = begin;
    return WEFT_OK;
}

static void find_open(search *s)
{
    s->n_open = 0;
    for (int64_t r = 0; r < s->n_rows; r++)
        if (r == 0 || s->rows[r].sentence != s->rows[r - 1].sentence) s->first[s->n_open++] = r;
    s->first[s->n_open] = s->n_rows;
}

/* One more token for each row. */
static weft_status step(search *s)
{
    weft_tape *const tape = s->readers[0].tape;
    const weft_var logits = read_next(s), total = weft_logsumexp(tape, logits, false);
    weft_status status = reader_status(s);
    if (status != WEFT_OK) return status;
    const weft_real *const sums = weft_value(tape, total).real;
    for (int64_t r = 0; r < s->n_rows; r++)
        if (!isfinite(sums[r]))
            return weft_error(
                WEFT_ERR_NUMERIC,
                "weft_decode: the logits of token %lld of a hypothesis are not finite",
                (long long)s->n_said + 1);
    find_open(s);
    const weft_real *const all = weft_value(tape, logits).real;
    const bool one_by_one = s->spec->sample; /* drawing has one row's memory */
#pragma omp parallel for if (!one_by_one) num_threads(weft_team(s->n_open, s->n_rows * s->V))
    for (int64_t open = 0; open < s->n_open; open++) find_candidates(s, open, all, sums);
    int64_t n_next = 0;
    for (int64_t open = 0; open < s->n_open && status == WEFT_OK; open++)
        status = choose(s, open, &n_next);
    for (int i = 0; i < s->n_models && status == WEFT_OK; i++)
        status = weft_reader_keep(&s->readers[i], n_next, s->keep);
    row *const rows = s->rows;
    s->rows = s->next;
    s->next = rows;
    s->n_rows = n_next;
    s->n_said++;
    return status;
}

/* ---- the end ------------------------------------------------------------------------------------- */

static int by_rank(const void *a, const void *b)
{
    const ended *x = a, *y = b;
    if (x->score != y->score) return x->score > y->score ? -1 : 1;
    return (x->order > y->order) - (x->order < y->order);
}

static int64_t length_of(const search *s, int32_t last)
{
    int64_t n = 0;
    for (; last >= 0; last = s->nodes[last].before, n++) assert(s->nodes);
    return n;
}

/* The best hypotheses of each sentence. */
static weft_status collect(search *s, weft_hypotheses *out)
{
    const int64_t K = s->spec->beam, n_best = s->spec->n_best > 0 ? s->spec->n_best : 1;
    const int64_t B = s->source->B * n_best;
    weft_hypotheses h = { .B = B,
                          .offsets = weft_alloc((size_t)B + 1, sizeof *h.offsets),
                          .scores = weft_alloc((size_t)B, sizeof *h.scores) };
    int64_t n = 0;
    assert(s->n_ended && s->ended); /* a search that has begun has them */
    for (int64_t i = 0; h.offsets && i < B; i++) {
        const int64_t b = i / n_best, rank = i % n_best;
        if (rank == 0 && s->n_ended[b] > 1)
            qsort(&s->ended[b * K], (size_t)s->n_ended[b], sizeof *s->ended, by_rank);
        if (rank < s->n_ended[b]) n += length_of(s, s->ended[b * K + rank].last);
        h.offsets[i + 1] = n;
    }
    h.ids = weft_alloc((size_t)n, sizeof *h.ids);
    if (!h.offsets || !h.scores || !h.ids) {
        weft_hypotheses_free(&h);
        return WEFT_ERR_MEMORY;
    }
    for (int64_t i = 0; i < B; i++) {
        const int64_t b = i / n_best, rank = i % n_best;
        h.scores[i] = rank < s->n_ended[b] ? s->ended[b * K + rank].score : -INFINITY;
        int64_t at = h.offsets[i + 1];
        for (int32_t k = rank < s->n_ended[b] ? s->ended[b * K + rank].last : -1; k >= 0;
             k = s->nodes[k].before) {
            assert(s->nodes);
            h.ids[--at] = s->nodes[k].id;
        }
    }
    weft_hypotheses_free(out);
    *out = h;
    return WEFT_OK;
}

weft_status weft_decode_with(weft_reader readers[], const weft_translator models[], int n_models,
                             const weft_tokens *source, const weft_tokens *prefix,
                             const weft_decode_spec *spec, weft_hypotheses *out)
{
    search s = {
        .spec = spec, .readers = readers, .n_models = n_models, .source = source, .prefix = prefix
    };
    weft_status status = search_init(&s, models);
    while (status == WEFT_OK && s.n_rows > 0) status = step(&s);
    if (status == WEFT_OK) status = collect(&s, out);
    search_free(&s);
    return status;
}

weft_status weft_decode(const weft_translator models[], int n_models, const weft_tokens *source,
                        const weft_tokens *prefix, const weft_decode_spec *spec,
                        weft_hypotheses *out)
{
    weft_status status = weft_decode_spec_check(spec);
    if (status == WEFT_OK) status = weft_translators_check("weft_decode", models, n_models);
    if (status != WEFT_OK) return status;
    weft_reader *readers = weft_alloc((size_t)n_models, sizeof *readers);
    if (!readers) return WEFT_ERR_MEMORY;
    status = weft_decode_with(readers, models, n_models, source, prefix, spec, out);
    weft_readers_free(readers, n_models);
    return status;
}
