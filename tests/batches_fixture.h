/* batches_fixture.h - corpora whose every row can be recomputed, for the tests of packed batches. */
#ifndef WEFT_TESTS_BATCHES_FIXTURE_H
#define WEFT_TESTS_BATCHES_FIXTURE_H

#include "check_main.h"

#include <string.h>

#include "data/data.h"
/* A corpus of n sentences "0 1 2 ..." with lengths that differ from side to side, encoded; word w
 * of sentence i is (i + w) % 50, so that every row can be recomputed. */
typedef struct fixture {
    weft_corpus *corpus;
    weft_vocab *vocab;
} fixture;

static inline int length_of(int64_t i, int side)
{
    return (int)weft_random_below(7, (uint64_t)(2 * i + side), 12) + (i == 3 ? 0 : 1);
}

static inline void make_text(int64_t i, int side, char text[128])
{
    text[0] = '\0';
    for (int w = 0; w < length_of(i, side); w++) {
        snprintf(text + strlen(text), 128 - strlen(text), "%s%d", w > 0 ? " " : "",
                 (int)((i + w) % 50));
    }
}

static inline fixture make(int64_t n, bool source, bool target)
{
    fixture f = { weft_corpus_new(), NULL };
    const weft_vocab_spec spec = { .tokens = WEFT_TOKENS_SPACE };
    ck_assert_int_eq(weft_vocab_new(&spec, &f.vocab), WEFT_OK);
    for (int64_t i = 0; i < n; i++) {
        char text[2][128];
        for (int s = 0; s < 2; s++) make_text(i, s, text[s]);
        ck_assert_int_eq(
            weft_corpus_add(f.corpus, source ? text[0] : NULL, target ? text[1] : NULL), WEFT_OK);
    }
    if (source) ck_assert_int_eq(weft_corpus_count(f.corpus, WEFT_SOURCE, f.vocab), WEFT_OK);
    if (target) ck_assert_int_eq(weft_corpus_count(f.corpus, WEFT_TARGET, f.vocab), WEFT_OK);
    ck_assert_int_eq(weft_vocab_build(f.vocab), WEFT_OK);
    ck_assert_int_eq(weft_corpus_encode(f.corpus, f.vocab, f.vocab), WEFT_OK);
    return f;
}

static inline void drop(fixture *f)
{
    weft_corpus_free(f->corpus);
    weft_vocab_free(f->vocab);
}

static inline weft_batches *iterate(const fixture *f, weft_batches_spec spec)
{
    weft_batches *batches;
    ck_assert_int_eq(weft_batches_new(f->corpus, &spec, &batches), WEFT_OK);
    return batches;
}

/* One side of a batch against the corpus: ids, offsets, rows. */
static inline void check_side(const fixture *f, const weft_tokens *x, weft_side side,
                              const int32_t *labels)
{
    ck_assert_int_eq(x->offsets[0], 0);
    ck_assert_int_eq(x->offsets[x->B], x->N);
    for (int64_t b = 0; b < x->B; b++) {
        const int64_t first = x->offsets[b], n = x->offsets[b + 1] - first;
        const int32_t number = x->rows[2 * first];
        int64_t n_ids;
        const int32_t *ids = weft_corpus_ids(f->corpus, side, number, &n_ids);
        ck_assert_int_eq(n, n_ids + 1);
        for (int64_t i = 0; i < n; i++) {
            ck_assert_int_eq(x->rows[2 * (first + i)], number);
            ck_assert_int_eq(x->rows[2 * (first + i) + 1], i);
            const int32_t with_end = i < n_ids ? ids[i] : WEFT_EOS;
            const int32_t with_begin = i > 0 ? ids[i - 1] : WEFT_BOS;
            ck_assert_int_eq(x->ids[first + i], side == WEFT_SOURCE ? with_end : with_begin);
            if (labels) ck_assert_int_eq(labels[first + i], with_end);
        }
    }
}

static inline void check_batch(const fixture *f, const weft_batch *batch)
{
    if (batch->source.B > 0) check_side(f, &batch->source, WEFT_SOURCE, NULL);
    if (batch->target.B > 0) check_side(f, &batch->target, WEFT_TARGET, batch->labels);
    for (int64_t b = 0; b < batch->source.B && b < batch->target.B; b++) {
        ck_assert_int_eq(batch->source.rows[2 * batch->source.offsets[b]],
                         batch->target.rows[2 * batch->target.offsets[b]]);
    }
}

/* All of a batch as one number. */
static inline uint64_t hash_of(const weft_batch *batch)
{
    uint64_t hash = 14695981039346656037u;
    const weft_tokens *sides[2] = { &batch->source, &batch->target };
    for (int s = 0; s < 2; s++) {
        for (int64_t i = 0; i < sides[s]->N; i++) {
            hash = (hash ^ (uint32_t)sides[s]->ids[i]) * 1099511628211u;
            hash = (hash ^ (uint32_t)sides[s]->rows[2 * i]) * 1099511628211u;
        }
        for (int64_t b = 0; b < sides[s]->B; b++) {
            hash = (hash ^ (uint32_t)sides[s]->offsets[b + 1]) * 1099511628211u;
        }
    }
    return hash;
}

enum { N_SENTENCES = 500, BATCH_TOKENS = 90 };

/* Sentences of a few words, each of which three merges make whole. */
static inline fixture make_pieces(void)
{
    static const char *const words[] = { "abcd", "bcd", "dcba", "abab" };
    fixture f = { weft_corpus_new(), NULL };
    for (uint64_t i = 0; i < 100; i++) {
        char text[2][64] = { "", "" };
        for (int side = 0; side < 2; side++) {
            const uint64_t n = 1 + weft_random_below(1, 2 * i + (uint64_t)side, 5);
            for (uint64_t w = 0; w < n; w++) {
                const size_t at = strlen(text[side]);
                snprintf(text[side] + at, sizeof text[side] - at, "%s%s", w > 0 ? " " : "",
                         words[weft_random_below(2, 100 * i + 10 * (uint64_t)side + w, 4)]);
            }
        }
        ck_assert_int_eq(weft_corpus_add(f.corpus, text[0], text[1]), WEFT_OK);
    }
    weft_vocab *counted;
    weft_bpe *bpe;
    ck_assert_int_eq(weft_vocab_new(&(weft_vocab_spec){ .min_count = 0 }, &counted), WEFT_OK);
    for (int side = 0; side < 2; side++)
        ck_assert_int_eq(weft_corpus_count(f.corpus, (weft_side)side, counted), WEFT_OK);
    ck_assert_int_eq(weft_bpe_learn(counted, &(weft_bpe_spec){ .merges = 20 }, &bpe), WEFT_OK);
    const weft_vocab_spec spec = { .bpe = bpe, .bpe_symbols = true };
    ck_assert_int_eq(weft_vocab_new(&spec, &f.vocab), WEFT_OK);
    ck_assert_int_eq(weft_vocab_count_words(f.vocab, counted), WEFT_OK);
    ck_assert_int_eq(weft_vocab_build(f.vocab), WEFT_OK);
    ck_assert_int_eq(weft_corpus_encode(f.corpus, f.vocab, f.vocab), WEFT_OK);
    weft_vocab_free(counted);
    weft_bpe_free(bpe);
    return f;
}

static inline weft_batches_spec dropout_spec(const fixture *f, double p)
{
    return (weft_batches_spec){ .batch_tokens = 40,
                                .max_length = 12,
                                .in_order = true, /* so that cuts alone may differ */
                                .bpe_dropout = p,
                                .vocabs = { f->vocab, f->vocab } };
}

#endif
