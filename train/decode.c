/* decode.c - translating a corpus: batches of like length, results in its order. */
#include "data/vocab.h"
#include "train/decode_internal.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

void weft_hypotheses_free(weft_hypotheses *hypotheses)
{
    weft_free(hypotheses->offsets);
    weft_free(hypotheses->ids);
    weft_free(hypotheses->scores);
    *hypotheses = (weft_hypotheses){ 0 };
}

double weft_length_penalty_alpha(weft_length_penalty penalty)
{
    static const double alphas[] = {
        [WEFT_PENALTY_GNMT] = 0.6, [WEFT_PENALTY_POWER] = 1, [WEFT_PENALTY_WORD] = 0
    };
    return alphas[penalty];
}

/* A sentence's number and its source tokens, </s> included. */
typedef struct item {
    int64_t sentence, n;
} item;

static int by_length(const void *a, const void *b)
{
    const item *x = a, *y = b;
    if (x->n != y->n) return x->n < y->n ? -1 : 1;
    return (x->sentence > y->sentence) - (x->sentence < y->sentence);
}

/* A hypothesis among all that was said. */
typedef struct place {
    int64_t begin, end;
    double score;
} place;

typedef struct pass {
    const weft_corpus *corpus;
    const weft_decode_spec *spec;
    int64_t n_best;
    item *items;                          /* by length */
    int32_t *ids, *offsets, *rows;        /* of a batch */
    int32_t *prefix_ids, *prefix_offsets; /* the same of its prefixes */
    int32_t *said;                        /* hypotheses in the order of decoding */
    int64_t n_said;
    place *places;        /* [sentences, n_best] in said[] */
    weft_reader *readers; /* of each model, for one batch after another */
    int n_readers;
} pass;

static void pass_free(pass *p)
{
    weft_free(p->items);
    weft_free(p->ids);
    weft_free(p->offsets);
    weft_free(p->rows);
    weft_free(p->prefix_ids);
    weft_free(p->prefix_offsets);
    weft_free(p->said);
    weft_free(p->places);
    weft_readers_free(p->readers, p->n_readers);
}

static weft_status sort_items(pass *p, const weft_translator models[], int n_models,
                              int64_t *longest, int64_t *total)
{
    const int64_t n = weft_corpus_size(p->corpus);
    *longest = *total = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t n_ids;
        if (!weft_corpus_ids(p->corpus, WEFT_SOURCE, i, &n_ids))
            return weft_error(WEFT_ERR_STATE,
                              "weft_decode_corpus: the corpus has no encoded source");
        const weft_status status =
            weft_translators_reach(models, n_models, p->spec->first + i, n_ids);
        if (status != WEFT_OK) return status;
        p->items[i] = (item){ i, n_ids + 1 };
        *total += n_ids + 1;
        if (*longest < n_ids + 1) *longest = n_ids + 1;
    }
    qsort(p->items, (size_t)n, sizeof *p->items, by_length);
    return WEFT_OK;
}

static weft_status init_prefixes(pass *p, size_t room)
{
    if (!weft_corpus_has(p->corpus, WEFT_TARGET))
        return weft_error(WEFT_ERR_STATE,
                          "weft_decode_corpus: the corpus has no target to begin with");
    const int64_t n = weft_corpus_tokens(p->corpus, WEFT_TARGET, NULL);
    p->prefix_ids = weft_alloc((size_t)n, sizeof *p->prefix_ids);
    p->prefix_offsets = weft_alloc(room + 1, sizeof *p->prefix_offsets);
    return p->prefix_ids && p->prefix_offsets ? WEFT_OK : WEFT_ERR_MEMORY;
}

static weft_status pass_init(pass *p, const weft_translator models[], int n_models,
                             int64_t batch_tokens)
{
    const size_t n = (size_t)weft_corpus_size(p->corpus);
    int64_t longest, total;
    p->n_best = p->spec->n_best > 0 ? p->spec->n_best : 1;
    p->items = weft_alloc(n, sizeof *p->items);
    if (!p->items) return WEFT_ERR_MEMORY;
    const weft_status status = sort_items(p, models, n_models, &longest, &total);
    if (status != WEFT_OK) return status;
    if (batch_tokens > total) batch_tokens = total;
    const size_t room = (size_t)(longest > batch_tokens ? longest : batch_tokens);
    p->ids = weft_alloc(room, sizeof *p->ids);
    p->offsets = weft_alloc(room + 1, sizeof *p->offsets);
    p->rows = weft_alloc(room, 2 * sizeof *p->rows);
    p->places = weft_alloc(n, (size_t)p->n_best * sizeof *p->places);
    p->readers = weft_alloc((size_t)n_models, sizeof *p->readers);
    p->n_readers = n_models;
    if (!p->ids || !p->offsets || !p->rows || !p->places || !p->readers) return WEFT_ERR_MEMORY;
    for (size_t i = 0; i < n * (size_t)p->n_best; i++)
        p->places[i].score = i % (size_t)p->n_best == 0 ? 0 : -INFINITY;
    return p->spec->forced ? init_prefixes(p, room) : WEFT_OK;
}

/* Items from `first` on into a batch; returns the first one that is not in it. */
static int64_t fill_batch(pass *p, int64_t first, int64_t batch_tokens, weft_tokens *batch)
{
    const int64_t n_items = weft_corpus_size(p->corpus);
    int64_t i = first, N = 0;
    assert(p->ids && p->offsets && p->rows);
    for (; i < n_items && (i == first || N + p->items[i].n <= batch_tokens); i++) {
        int64_t n;
        const int32_t *const ids =
            weft_corpus_ids(p->corpus, WEFT_SOURCE, p->items[i].sentence, &n);
        p->offsets[i - first] = (int32_t)N;
        for (int64_t k = 0; k <= n; k++) {
            p->ids[N + k] = k < n ? ids[k] : WEFT_EOS;
            p->rows[2 * (N + k)] = (int32_t)p->items[i].sentence;
            p->rows[2 * (N + k) + 1] = (int32_t)k;
        }
        N += n + 1;
    }
    p->offsets[i - first] = (int32_t)N;
    *batch = (weft_tokens){ i - first, N, p->ids, p->offsets, p->rows };
    return i;
}

/* What the hypotheses of items first .. first + B - 1 begin with. */
static weft_tokens fill_prefixes(pass *p, int64_t first, int64_t B)
{
    int64_t N = 0;
    for (int64_t b = 0; b < B; b++) {
        int64_t n = 0;
        const int32_t *const ids =
            weft_corpus_ids(p->corpus, WEFT_TARGET, p->items[first + b].sentence, &n);
        p->prefix_offsets[b] = (int32_t)N;
        if (n > 0) memcpy(p->prefix_ids + N, ids, (size_t)n * sizeof *ids);
        N += n;
    }
    p->prefix_offsets[B] = (int32_t)N;
    return (weft_tokens){ B, N, p->prefix_ids, p->prefix_offsets, NULL };
}

/* Append what was said to items first .. of a batch. */
static weft_status append(pass *p, int64_t first, const weft_hypotheses *h)
{
    assert(h->offsets && p->places); /* a decoded batch has its offsets */
    const int64_t n = h->offsets[h->B];
    int32_t *const said = weft_realloc(p->said, (size_t)(p->n_said + n), sizeof *said);
    if (!said) return WEFT_ERR_MEMORY;
    p->said = said;
    if (n > 0) memcpy(said + p->n_said, h->ids, (size_t)n * sizeof *said);
    for (int64_t i = 0; i < h->B; i++) {
        const int64_t sentence = p->items[first + i / p->n_best].sentence;
        p->places[sentence * p->n_best + i % p->n_best] =
            (place){ p->n_said + h->offsets[i], p->n_said + h->offsets[i + 1], h->scores[i] };
    }
    p->n_said += n;
    return WEFT_OK;
}

/* The hypotheses in the corpus' order. */
static weft_status reorder(const pass *p, weft_hypotheses *out)
{
    const int64_t B = weft_corpus_size(p->corpus) * p->n_best;
    weft_hypotheses h = { .B = B,
                          .offsets = weft_alloc((size_t)B + 1, sizeof *h.offsets),
                          .ids = weft_alloc((size_t)p->n_said, sizeof *h.ids),
                          .scores = weft_alloc((size_t)B, sizeof *h.scores) };
    if (!h.offsets || !h.ids || !h.scores) {
        weft_hypotheses_free(&h);
        return WEFT_ERR_MEMORY;
    }
    for (int64_t i = 0; i < B; i++) {
        const place at = p->places[i];
        const int64_t n = at.end - at.begin;
        assert(n == 0 || p->said);
        if (n > 0) memcpy(h.ids + h.offsets[i], p->said + at.begin, (size_t)n * sizeof *h.ids);
        h.offsets[i + 1] = h.offsets[i] + n;
        h.scores[i] = at.score;
    }
    weft_hypotheses_free(out);
    *out = h;
    return WEFT_OK;
}

static weft_status decode_pass(pass *p, const weft_translator models[], int n_models,
                               int64_t batch_tokens, weft_hypotheses *out)
{
    const int64_t n = weft_corpus_size(p->corpus);
    weft_status status = WEFT_OK;
    weft_hypotheses part = { 0 };
    int64_t i = 0;
    while (i < n && p->items[i].n == 1) i++; /* </s> alone: nothing is said */
    while (i < n && status == WEFT_OK) {
        weft_tokens batch, prefixes;
        if (p->spec->stop && *p->spec->stop != 0) {
            status = weft_error(WEFT_ERR_STOPPED, "stopped while translating");
            break;
        }
        const int64_t next = fill_batch(p, i, batch_tokens, &batch);
        if (p->spec->forced) prefixes = fill_prefixes(p, i, batch.B);
        status = weft_decode_with(p->readers, models, n_models, &batch,
                                  p->spec->forced ? &prefixes : NULL, p->spec, &part);
        if (status == WEFT_OK) status = append(p, i, &part);
        i = next;
    }
    weft_hypotheses_free(&part);
    return status == WEFT_OK ? reorder(p, out) : status;
}

weft_status weft_decode_corpus(const weft_translator models[], int n_models,
                               const weft_corpus *corpus, int64_t batch_tokens,
                               const weft_decode_spec *spec, weft_hypotheses *out)
{
    if (batch_tokens < 1 || batch_tokens > INT32_MAX)
        return weft_error(WEFT_ERR_RANGE, "weft_decode_corpus: batches of %lld tokens",
                          (long long)batch_tokens);
    weft_status status = weft_decode_spec_check(spec);
    if (status == WEFT_OK) status = weft_translators_check("weft_decode", models, n_models);
    if (status != WEFT_OK) return status;
    pass p = { .corpus = corpus, .spec = spec };
    status = pass_init(&p, models, n_models, batch_tokens);
    if (status == WEFT_OK) status = decode_pass(&p, models, n_models, batch_tokens, out);
    pass_free(&p);
    return status;
}
