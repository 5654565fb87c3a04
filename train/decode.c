/* decode.c - greedy decoding: the likeliest token at every step, until </s>. */
#include "data/vocab.h"
#include "train/decode_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void weft_hypotheses_free(weft_hypotheses *hypotheses)
{
    weft_free(hypotheses->offsets);
    weft_free(hypotheses->ids);
    *hypotheses = (weft_hypotheses){ 0 };
}

/* What was said, in the order of saying: a sentence of the batch and its next token. */
typedef struct word {
    int32_t sentence, id;
} word;

typedef struct greedy {
    weft_reader reader;
    int64_t *limit;    /* [B] of each sentence of the batch, tokens */
    int32_t *sentence; /* [B] of the reader's: its number in the batch */
    int32_t *ids;      /* [B] what the reader reads next */
    int32_t *keep;     /* [B] */
    word *words;
    int64_t n_words, room;
} greedy;

static void greedy_free(greedy *g)
{
    weft_reader_free(&g->reader);
    weft_free(g->limit);
    weft_free(g->sentence);
    weft_free(g->ids);
    weft_free(g->keep);
    weft_free(g->words);
}

static weft_status greedy_init(greedy *g, const weft_transformer *model, weft_tape *tape,
                               const weft_tokens *source, int64_t max_length)
{
    *g = (greedy){ 0 };
    const int64_t B = source->B;
    weft_status status = weft_reader_init(&g->reader, model, tape, B);
    if (status != WEFT_OK) return status;
    const size_t n = (size_t)B;
    g->limit = weft_alloc(n, sizeof *g->limit);
    g->sentence = weft_alloc(n, sizeof *g->sentence);
    g->ids = weft_alloc(n, sizeof *g->ids);
    g->keep = weft_alloc(n, sizeof *g->keep);
    if (!g->limit || !g->sentence || !g->ids || !g->keep) return WEFT_ERR_MEMORY;
    for (int64_t b = 0; b < B; b++) {
        const int64_t n_source = source->offsets[b + 1] - source->offsets[b] - 1;
        g->limit[b] = max_length > 0 ? max_length : n_source + 50;
        if (model->config.position == WEFT_POSITION_LEARNED &&
            g->limit[b] > model->config.max_positions)
            g->limit[b] = model->config.max_positions;
        g->sentence[b] = (int32_t)b;
        g->ids[b] = WEFT_BOS;
    }
    return B > 0 ? weft_reader_encode(&g->reader, source) : WEFT_OK;
}

static weft_status say(greedy *g, int32_t sentence, int32_t id)
{
    if (g->n_words == g->room) {
        const int64_t room = 2 * g->room + 1024;
        word *const words = weft_realloc(g->words, (size_t)room, sizeof *words);
        if (!words) return WEFT_ERR_MEMORY;
        g->words = words;
        g->room = room;
    }
    g->words[g->n_words++] = (word){ sentence, id };
    return WEFT_OK;
}

/* One token for each sentence that has not ended. */
static weft_status step(greedy *g)
{
    weft_tape *const tape = g->reader.tape;
    weft_var best;
    const weft_var logits = weft_reader_step(&g->reader, g->ids);
    weft_max(tape, logits, 1, false, &best);
    if (weft_tape_status(tape) != WEFT_OK) return weft_tape_status(tape);
    const int32_t *const id = weft_value(tape, best).i32;
    const int64_t n_said = g->reader.t + 1;
    int64_t n = 0;
    for (int64_t b = 0; b < g->reader.B; b++) {
        const int32_t sentence = g->sentence[b];
        if (id[b] == WEFT_EOS) continue;
        const weft_status status = say(g, sentence, id[b]);
        if (status != WEFT_OK) return status;
        if (n_said == g->limit[sentence]) continue;
        g->keep[n] = (int32_t)b;
        g->sentence[n] = sentence;
        g->ids[n++] = id[b];
    }
    return weft_reader_keep(&g->reader, n, g->keep);
}

/* The words, sentence by sentence. */
static weft_status collect(const greedy *g, int64_t B, weft_hypotheses *out)
{
    weft_hypotheses h = { .B = B,
                          .offsets = weft_alloc((size_t)B + 2, sizeof *h.offsets),
                          .ids = weft_alloc((size_t)g->n_words, sizeof *h.ids) };
    if (!h.offsets || !h.ids) {
        weft_hypotheses_free(&h);
        return WEFT_ERR_MEMORY;
    }
    /* offsets[b + 1] is where sentence b goes on; at the end that is where it ends. */
    for (int64_t i = 0; i < g->n_words; i++) h.offsets[g->words[i].sentence + 2]++;
    for (int64_t b = 0; b < B; b++) h.offsets[b + 2] += h.offsets[b + 1];
    for (int64_t i = 0; i < g->n_words; i++)
        h.ids[h.offsets[g->words[i].sentence + 1]++] = g->words[i].id;
    weft_hypotheses_free(out);
    *out = h;
    return WEFT_OK;
}

weft_status weft_greedy(const weft_transformer *model, weft_tape *tape, const weft_tokens *source,
                        int64_t max_length, weft_hypotheses *out)
{
    weft_status status = weft_decode_check("weft_greedy", model, tape, false);
    if (status != WEFT_OK) return status;
    if (max_length < 0)
        return weft_error(WEFT_ERR_RANGE, "weft_greedy: max_length %lld is negative",
                          (long long)max_length);
    greedy g;
    status = greedy_init(&g, model, tape, source, max_length);
    while (status == WEFT_OK && g.reader.B > 0) status = step(&g);
    if (status == WEFT_OK) status = collect(&g, source->B, out);
    greedy_free(&g);
    return status;
}

/* ---- a corpus ---------------------------------------------------------------------------------- */

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

typedef struct pass {
    const weft_corpus *corpus;
    item *items;                   /* by length */
    int32_t *ids, *offsets, *rows; /* of a batch */
    int32_t *said;                 /* hypotheses in the order of decoding */
    int64_t n_said;
    int64_t *begin, *end; /* of each sentence in said[] */
} pass;

static void pass_free(pass *p)
{
    weft_free(p->items);
    weft_free(p->ids);
    weft_free(p->offsets);
    weft_free(p->rows);
    weft_free(p->said);
    weft_free(p->begin);
    weft_free(p->end);
}

static weft_status pass_init(pass *p, const weft_transformer *model, const weft_corpus *corpus,
                             int64_t batch_tokens)
{
    const int64_t n = weft_corpus_size(corpus);
    *p = (pass){ .corpus = corpus, .items = weft_alloc((size_t)n, sizeof *p->items) };
    if (!p->items) return WEFT_ERR_MEMORY;
    int64_t longest = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t n_ids;
        if (!weft_corpus_ids(corpus, WEFT_SOURCE, i, &n_ids))
            return weft_error(WEFT_ERR_STATE,
                              "weft_greedy_corpus: the corpus has no encoded source");
        if (model->config.position == WEFT_POSITION_LEARNED && n_ids >= model->config.max_positions)
            return weft_error(WEFT_ERR_INPUT,
                              "sentence %lld has %lld tokens; the model's positions end at %lld "
                              "(the end of the sentence counts)",
                              (long long)i + 1, (long long)n_ids,
                              (long long)model->config.max_positions);
        p->items[i] = (item){ i, n_ids + 1 };
        if (longest < n_ids + 1) longest = n_ids + 1;
    }
    qsort(p->items, (size_t)n, sizeof *p->items, by_length);
    int64_t total = 0;
    for (int64_t i = 0; i < n; i++) total += p->items[i].n;
    if (batch_tokens > total) batch_tokens = total;
    const size_t room = (size_t)(longest > batch_tokens ? longest : batch_tokens);
    p->ids = weft_alloc(room, sizeof *p->ids);
    p->offsets = weft_alloc(room + 1, sizeof *p->offsets);
    p->rows = weft_alloc(room, 2 * sizeof *p->rows);
    p->begin = weft_alloc((size_t)n, sizeof *p->begin);
    p->end = weft_alloc((size_t)n, sizeof *p->end);
    return p->ids && p->offsets && p->rows && p->begin && p->end ? WEFT_OK : WEFT_ERR_MEMORY;
}

/* Items from `first` on into a batch; returns the first one that is not in it. */
static int64_t fill_batch(pass *p, int64_t first, int64_t n_items, int64_t batch_tokens,
                          weft_tokens *batch)
{
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

/* Append what was said to items first .. of a batch. */
static weft_status append(pass *p, int64_t first, const weft_hypotheses *h)
{
    assert(h->offsets && p->begin && p->end); /* a decoded batch has its offsets */
    const int64_t n = h->offsets[h->B];
    int32_t *const said = weft_realloc(p->said, (size_t)(p->n_said + n), sizeof *said);
    if (!said) return WEFT_ERR_MEMORY;
    p->said = said;
    if (n > 0) memcpy(said + p->n_said, h->ids, (size_t)n * sizeof *said);
    for (int64_t b = 0; b < h->B; b++) {
        const int64_t sentence = p->items[first + b].sentence;
        p->begin[sentence] = p->n_said + h->offsets[b];
        p->end[sentence] = p->n_said + h->offsets[b + 1];
    }
    p->n_said += n;
    return WEFT_OK;
}

/* The hypotheses in the corpus' order. */
static weft_status reorder(const pass *p, int64_t n_items, weft_hypotheses *out)
{
    weft_hypotheses h = { .B = n_items,
                          .offsets = weft_alloc((size_t)n_items + 1, sizeof *h.offsets),
                          .ids = weft_alloc((size_t)p->n_said, sizeof *h.ids) };
    if (!h.offsets || !h.ids) {
        weft_hypotheses_free(&h);
        return WEFT_ERR_MEMORY;
    }
    assert(p->begin && p->end);
    for (int64_t i = 0; i < n_items; i++) {
        const int64_t n = p->end[i] - p->begin[i];
        assert(n == 0 || p->said);
        if (n > 0) memcpy(h.ids + h.offsets[i], p->said + p->begin[i], (size_t)n * sizeof *h.ids);
        h.offsets[i + 1] = h.offsets[i] + n;
    }
    weft_hypotheses_free(out);
    *out = h;
    return WEFT_OK;
}

static weft_status decode_pass(pass *p, const weft_transformer *model, weft_tape *tape,
                               int64_t batch_tokens, int64_t max_length, weft_hypotheses *out)
{
    const int64_t n = weft_corpus_size(p->corpus);
    weft_status status = WEFT_OK;
    weft_hypotheses part = { 0 };
    int64_t i = 0;
    while (i < n && p->items[i].n == 1) i++; /* </s> alone: nothing is said */
    while (i < n && status == WEFT_OK) {
        weft_tokens batch;
        const int64_t next = fill_batch(p, i, n, batch_tokens, &batch);
        status = weft_greedy(model, tape, &batch, max_length, &part);
        if (status == WEFT_OK) status = append(p, i, &part);
        i = next;
    }
    weft_hypotheses_free(&part);
    return status == WEFT_OK ? reorder(p, n, out) : status;
}

weft_status weft_greedy_corpus(const weft_transformer *model, weft_tape *tape,
                               const weft_corpus *corpus, int64_t batch_tokens, int64_t max_length,
                               weft_hypotheses *out)
{
    if (batch_tokens < 1 || batch_tokens > INT32_MAX)
        return weft_error(WEFT_ERR_RANGE, "weft_greedy_corpus: batches of %lld tokens",
                          (long long)batch_tokens);
    pass p;
    weft_status status = pass_init(&p, model, corpus, batch_tokens);
    if (status == WEFT_OK) status = decode_pass(&p, model, tape, batch_tokens, max_length, out);
    pass_free(&p);
    return status;
}
