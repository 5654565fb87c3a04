/* test_beam.c - beam search against all hypotheses and against the whole prefix recomputed. */
#include "decode_models.h"

#include <math.h>
#include <stdlib.h>

static const weft_translator *translator(const model *m)
{
    static weft_translator one;
    one = (weft_translator){ m->net, m->tape };
    return &one;
}

static void decode(const model *m, const weft_tokens *source, const weft_decode_spec *spec,
                   weft_hypotheses *h)
{
    ck_assert_msg(weft_decode(translator(m), 1, source, NULL, spec, h) == WEFT_OK, "%s",
                  weft_message());
}

/* ---- an own search, without cache ---------------------------------------------------------------- */

typedef struct hypothesis {
    int32_t ids[32];
    int n, order; /* order: in which it ended */
    double log_p, score;
} hypothesis;

/* A way to go on from a row. */
typedef struct way {
    double log_p;
    weft_real logit;
    int row;
    int32_t id;
} way;

/* All ways on from a row, with log p as the library rounds it: the logit less the log of the sum. */
static int ways_on(const model *m, const weft_tokens *source, const hypothesis *h, int row,
                   way ways[])
{
    int32_t read[33] = { WEFT_BOS };
    memcpy(read + 1, h->ids, (size_t)h->n * sizeof *read);
    const weft_var logits = logits_after(m, source, read, h->n + 1);
    const weft_tensor of_row = weft_value(m->tape, logits);
    const weft_real sum = weft_value(m->tape, weft_logsumexp(m->tape, logits, false)).real[0];
    for (int32_t i = 0; i < weft_size(&of_row); i++)
        ways[i] =
            (way){ h->log_p + ((double)of_row.real[i] - (double)sum), of_row.real[i], row, i };
    return (int)weft_size(&of_row);
}

static void first_log_p(const model *m, const weft_tokens *source, double log_p[V])
{
    way ways[V];
    ways_on(m, source, &(hypothesis){ .n = 0 }, 0, ways);
    for (int i = 0; i < V; i++) log_p[i] = ways[i].log_p;
}

static double with_length(const weft_decode_spec *spec, double log_p, int L)
{
    if (spec->penalty == WEFT_PENALTY_GNMT) return log_p / pow((5.0 + L) / 6, spec->alpha);
    if (spec->penalty == WEFT_PENALTY_POWER) return log_p / pow(L, spec->alpha);
    return log_p - spec->alpha * L;
}

/* Of equals those of the earlier row, and there the lower id. */
static int by_log_p(const void *a, const void *b)
{
    const way *x = a, *y = b;
    if (x->log_p != y->log_p) return x->log_p > y->log_p ? -1 : 1;
    if (x->row != y->row) return x->row - y->row;
    return x->logit != y->logit ? (x->logit < y->logit) - (x->logit > y->logit) : x->id - y->id;
}

static int by_score(const void *a, const void *b)
{
    const hypothesis *x = a, *y = b;
    if (x->score != y->score) return x->score > y->score ? -1 : 1;
    return x->order - y->order;
}

/* The ended hypotheses, best first; returns their number. */
static int search(const model *m, const weft_tokens *source, const weft_decode_spec *spec,
                  hypothesis ended[])
{
    enum { MOST_ROWS = 2048, MOST_WAYS = 32768 };
    static hypothesis rows[MOST_ROWS], from[MOST_ROWS];
    static way all[MOST_WAYS];
    const int K = (int)spec->beam;
    int n_rows = 1, n_ended = 0;
    rows[0] = (hypothesis){ .n = 0 };
    for (int t = 0; t < spec->max_length && n_rows > 0 && n_ended < K; t++) {
        int n = 0;
        for (int r = 0; r < n_rows; r++) n += ways_on(m, source, &rows[r], r, all + n);
        qsort(all, (size_t)n, sizeof *all, by_log_p);
        memcpy(from, rows, (size_t)n_rows * sizeof *rows);
        n_rows = 0;
        for (int i = 0; i < n && n_rows < K; i++) {
            hypothesis h = from[all[i].row];
            h.log_p = all[i].log_p;
            h.score = with_length(spec, h.log_p, t + 1);
            if (all[i].id != WEFT_EOS) {
                h.ids[h.n++] = all[i].id;
                rows[n_rows++] = h;
            } else if (i < K && n_ended < K) {
                ended[n_ended++] = h;
            }
        }
    }
    for (int r = 0; r < n_rows && n_ended < K && rows[0].n == spec->max_length; r++)
        ended[n_ended++] = rows[r];
    for (int i = 0; i < n_ended; i++) ended[i].order = i;
    qsort(ended, (size_t)n_ended, sizeof *ended, by_score);
    return n_ended;
}

/* Same hypotheses, same bits of their scores. */
static void same_as_search(const model *m, const sentences *s, const weft_decode_spec *spec)
{
    static hypothesis expected[2048];
    weft_hypotheses h = { 0 };
    decode(m, &s->tokens, spec, &h);
    ck_assert_int_eq(h.B, N_SENTENCES * spec->n_best);
    for (int b = 0; b < N_SENTENCES; b++) {
        int32_t offsets[2];
        const weft_tokens source = one_sentence(s, b, offsets);
        const int n = search(m, &source, spec, expected);
        for (int k = 0; k < spec->n_best; k++) {
            const int64_t i = b * spec->n_best + k, n_said = h.offsets[i + 1] - h.offsets[i];
            if (k >= n) {
                ck_assert(isinf(h.scores[i]) && n_said == 0);
                continue;
            }
            ck_assert_msg(h.scores[i] == expected[k].score, "%d.%d: %.17g, not %.17g", b, k,
                          h.scores[i], expected[k].score);
            ck_assert_int_eq(n_said, expected[k].n);
            ck_assert_mem_eq(h.ids + h.offsets[i], expected[k].ids,
                             (size_t)n_said * sizeof(int32_t));
        }
    }
    weft_hypotheses_free(&h);
}

START_TEST(as_without_cache)
{
    static const weft_length_penalty penalties[] = { WEFT_PENALTY_GNMT, WEFT_PENALTY_POWER,
                                                     WEFT_PENALTY_WORD };
    static const double alphas[] = { 0.6, 1, -0.3 };
    sentences s;
    sentences_make(&s);
    for (int i = 0; i < 3; i++) {
        model m = model_new(false, i == 1, WEFT_POSITION_SINUSOIDAL, 24 + (uint64_t)i);
        for (int64_t beam = 1; beam <= 4; beam++)
            same_as_search(&m, &s,
                           &(weft_decode_spec){ .beam = beam,
                                                .n_best = beam,
                                                .penalty = penalties[i],
                                                .alpha = alphas[i],
                                                .max_length = 10 });
        model_free(&m);
    }
}
END_TEST

/* More tokens than are looked at together, in a beam narrower and wider than they are many; and a model
 * to which all tokens are alike. */
START_TEST(many_tokens)
{
    enum { N_TOKENS = 150 };
    sentences s;
    sentences_make(&s);
    model m = model_with(false, true, WEFT_POSITION_SINUSOIDAL, N_TOKENS, 26);
    for (int alike = 0; alike < 2; alike++) {
        for (int64_t beam = 20; beam <= 180; beam *= 9)
            same_as_search(&m, &s,
                           &(weft_decode_spec){ .beam = beam, .n_best = 20, .max_length = 3 });
        memset(weft_params_values(m.params), 0,
               (size_t)weft_params_block_size(m.params) * sizeof(weft_real));
    }
    model_free(&m);
}
END_TEST

/* A beam wide enough holds all there is: 1 + 10 + 100 that have ended and 1000 at the limit. */
START_TEST(wide_beam_finds_all)
{
    model m = model_new(false, false, WEFT_POSITION_LEARNED, 25);
    sentences s;
    int32_t offsets[2];
    sentences_make(&s);
    const weft_tokens source = one_sentence(&s, 2, offsets);
    const weft_decode_spec spec = {
        .beam = 1200, .n_best = 1200, .penalty = WEFT_PENALTY_POWER, .alpha = 1, .max_length = 3
    };
    weft_hypotheses h = { 0 }, narrow = { 0 };
    decode(&m, &source, &spec, &h);
    double sum = 0;
    for (int64_t i = 0; i < 1111; i++) {
        const int64_t n = h.offsets[i + 1] - h.offsets[i];
        if (i > 0) ck_assert_double_ge(h.scores[i - 1], h.scores[i]);
        sum += exp(h.scores[i] * (double)(n < 3 ? n + 1 : 3));
    }
    ck_assert_double_eq_tol(sum, 1, 1e-4); /* their probabilities */
    for (int64_t i = 1111; i < 1200; i++) ck_assert(isinf(h.scores[i]));
    weft_hypotheses_free(&h);
    weft_hypotheses_free(&narrow);
    model_free(&m);
}
END_TEST

/* ---- batches and threads ------------------------------------------------------------------------- */

static const weft_decode_spec specs[] = {
    { .beam = 4, .n_best = 3, .alpha = 0.6, .max_length = 12 },
    { .beam = 3, .n_best = 2, .alpha = 1, .penalty = WEFT_PENALTY_POWER, .no_repeat_ngram = 2 },
    { .beam = 3, .n_best = 3, .sample = true, .temperature = 2, .top_p = 0.9, .seed = 4 },
    { .beam = 2, .sample = true, .temperature = 1, .top_k = 4, .no_repeat_ngram = 1, .seed = 5 },
};
enum { N_SPECS = sizeof specs / sizeof *specs };

START_TEST(alone_as_in_a_batch)
{
    sentences s;
    sentences_make(&s);
    for (int i = 0; i < N_SPECS; i++) {
        model m = model_new(false, i % 2 == 1, WEFT_POSITION_SINUSOIDAL, 24);
        const int64_t n_best = specs[i].n_best > 0 ? specs[i].n_best : 1;
        weft_hypotheses all = { 0 }, one = { 0 };
        decode(&m, &s.tokens, &specs[i], &all);
        for (int b = 0; b < N_SENTENCES; b++) {
            int32_t offsets[2];
            const weft_tokens source = one_sentence(&s, b, offsets);
            decode(&m, &source, &specs[i], &one);
            const int64_t first = b * n_best, from = all.offsets[first];
            ck_assert_mem_eq(one.scores, all.scores + first, (size_t)n_best * sizeof *one.scores);
            for (int64_t k = 0; k <= n_best; k++)
                ck_assert_int_eq(one.offsets[k], all.offsets[first + k] - from);
            ck_assert_mem_eq(one.ids, all.ids + from,
                             (size_t)one.offsets[n_best] * sizeof *one.ids);
        }
        weft_hypotheses_free(&all);
        weft_hypotheses_free(&one);
        model_free(&m);
    }
}
END_TEST

START_TEST(corpus_in_batches_of_any_size)
{
    static const int64_t batch_tokens[] = { 4096, 1, 7, 20 };
    sentences s;
    weft_vocab *vocab;
    sentences_make(&s);
    weft_corpus *corpus = corpus_make(&s, &vocab);
    model m = model_new(false, false, WEFT_POSITION_SINUSOIDAL, 24);
    for (int i = 0; i < N_SPECS; i++) {
        weft_hypotheses first = { 0 }, h = { 0 };
        for (int k = 0; k < 4; k++) {
            ck_assert_int_eq(weft_decode_corpus(translator(&m), 1, corpus, batch_tokens[k],
                                                &specs[i], k == 0 ? &first : &h),
                             WEFT_OK);
            if (k == 0) continue;
            same_hypotheses(&first, &h);
            ck_assert_mem_eq(first.scores, h.scores, (size_t)h.B * sizeof *h.scores);
        }
        weft_hypotheses_free(&first);
        weft_hypotheses_free(&h);
    }
    weft_corpus_free(corpus);
    weft_vocab_free(vocab);
    model_free(&m);
}
END_TEST

/* What is drawn for an item depends on its number, wherever it stands. */
START_TEST(number_of_the_first_item)
{
    sentences s;
    weft_vocab *vocab;
    sentences_make(&s);
    weft_corpus *corpus = corpus_make(&s, &vocab), *one = weft_corpus_new();
    ck_assert_ptr_nonnull(one);
    model m = model_new(false, false, WEFT_POSITION_SINUSOIDAL, 24);
    weft_decode_spec spec = { .beam = 1, .sample = true, .temperature = 3, .max_length = 20 };
    weft_hypotheses all = { 0 }, h = { 0 };
    ck_assert_int_eq(weft_decode_corpus(translator(&m), 1, corpus, 99, &spec, &all), WEFT_OK);
    const int64_t i = 5, n = all.offsets[i + 1] - all.offsets[i];
    ck_assert_int_eq(weft_corpus_add(one, weft_corpus_text(corpus, WEFT_SOURCE, i), NULL), WEFT_OK);
    ck_assert_int_eq(weft_corpus_encode(one, vocab, NULL), WEFT_OK);
    spec.first = i;
    ck_assert_int_eq(weft_decode_corpus(translator(&m), 1, one, 99, &spec, &h), WEFT_OK);
    ck_assert_int_eq(h.offsets[1], n);
    ck_assert_mem_eq(h.ids, all.ids + all.offsets[i], (size_t)n * sizeof *h.ids);
    spec.first = i + 1;
    ck_assert_int_eq(weft_decode_corpus(translator(&m), 1, one, 99, &spec, &h), WEFT_OK);
    ck_assert(h.offsets[1] != n || memcmp(h.ids, all.ids + all.offsets[i], (size_t)n * 4) != 0);
    weft_hypotheses_free(&all);
    weft_hypotheses_free(&h);
    weft_corpus_free(one);
    weft_corpus_free(corpus);
    weft_vocab_free(vocab);
    model_free(&m);
}
END_TEST

START_TEST(any_number_of_threads)
{
    model m = model_new(false, false, WEFT_POSITION_SINUSOIDAL, 24);
    sentences s;
    sentences_make(&s);
    for (int i = 0; i < N_SPECS; i++) {
        weft_hypotheses first = { 0 }, h = { 0 };
        for (int threads = 1; threads <= 4; threads++) {
            ck_assert_int_eq(weft_threads_set(threads), WEFT_OK);
            decode(&m, &s.tokens, &specs[i], threads == 1 ? &first : &h);
            if (threads > 1) same_hypotheses(&first, &h);
        }
        weft_hypotheses_free(&first);
        weft_hypotheses_free(&h);
    }
    model_free(&m);
}
END_TEST

/* ---- options ------------------------------------------------------------------------------------- */

START_TEST(no_ngram_twice)
{
    sentences s;
    sentences_make(&s);
    for (int64_t n = 1; n <= 3; n++)
        for (int sample = 0; sample < 2; sample++) {
            model m = model_new(false, false, WEFT_POSITION_SINUSOIDAL, 1);
            weft_decode_spec spec = {
                .beam = 3, .n_best = 3, .max_length = 25, .sample = sample, .temperature = 1
            };
            weft_hypotheses h = { 0 };
            int n_free = 0;
            for (int barred = 0; barred < 2; barred++) {
                spec.no_repeat_ngram = barred ? n : 0;
                decode(&m, &s.tokens, &spec, &h);
                for (int64_t i = 0; i < h.B; i++) {
                    const bool repeat =
                        has_repeat(h.ids + h.offsets[i], h.offsets[i + 1] - h.offsets[i], n);
                    if (barred) ck_assert(!repeat);
                    n_free += repeat;
                }
            }
            ck_assert_int_gt(n_free, 5); /* else there was nothing to bar */
            weft_hypotheses_free(&h);
            model_free(&m);
        }
}
END_TEST

/* Prefixes of 0, 1, 2 and 3 tokens: what follows is what follows from them. */
START_TEST(prefix_is_forced)
{
    model m = model_new(false, false, WEFT_POSITION_SINUSOIDAL, 24);
    sentences s;
    sentences_make(&s);
    int32_t ids[MOST], offsets[N_SENTENCES + 1] = { 0 };
    for (int b = 0; b < N_SENTENCES; b++) {
        offsets[b + 1] = offsets[b] + b % 4;
        for (int k = offsets[b]; k < offsets[b + 1]; k++)
            ids[k] = WEFT_N_SPECIALS + (k * 3 + b) % 8;
    }
    const weft_tokens prefix = { N_SENTENCES, offsets[N_SENTENCES], ids, offsets, NULL };
    for (int i = 0; i < N_SPECS; i++) {
        const int64_t n_best = specs[i].n_best > 0 ? specs[i].n_best : 1;
        weft_hypotheses h = { 0 };
        ck_assert_int_eq(weft_decode(translator(&m), 1, &s.tokens, &prefix, &specs[i], &h),
                         WEFT_OK);
        for (int64_t k = 0; k < h.B; k++) {
            const int64_t b = k / n_best, n = offsets[b + 1] - offsets[b];
            if (isinf(h.scores[k])) continue;
            ck_assert_int_ge(h.offsets[k + 1] - h.offsets[k], n);
            ck_assert_mem_eq(h.ids + h.offsets[k], ids + offsets[b], (size_t)n * sizeof *ids);
        }
        weft_hypotheses_free(&h);
    }
    /* Greedy, forced to what it says by itself, says the same. */
    const weft_decode_spec greedy = { .beam = 1, .max_length = 9 };
    weft_hypotheses free_h = { 0 }, forced = { 0 };
    decode(&m, &s.tokens, &greedy, &free_h);
    int32_t own[N_SENTENCES + 1];
    for (int b = 0; b <= N_SENTENCES; b++) own[b] = (int32_t)free_h.offsets[b];
    const weft_tokens said = { N_SENTENCES, own[N_SENTENCES], free_h.ids, own, NULL };
    ck_assert_int_eq(weft_decode(translator(&m), 1, &s.tokens, &said, &greedy, &forced), WEFT_OK);
    same_hypotheses(&free_h, &forced);
    ck_assert_mem_eq(free_h.scores, forced.scores, N_SENTENCES * sizeof *forced.scores);
    weft_hypotheses_free(&free_h);
    weft_hypotheses_free(&forced);
    model_free(&m);
}
END_TEST

/* A forced corpus takes the prefixes from its target side. */
START_TEST(corpus_with_prefixes)
{
    model m = model_new(false, false, WEFT_POSITION_SINUSOIDAL, 24);
    const weft_vocab_spec spec = { .tokens = WEFT_TOKENS_CHARS };
    weft_vocab *vocab;
    weft_corpus *corpus = weft_corpus_new();
    ck_assert_ptr_nonnull(corpus);
    ck_assert_int_eq(weft_vocab_new(&spec, &vocab), WEFT_OK);
    ck_assert_int_eq(weft_vocab_count(vocab, "abcdefgh"), WEFT_OK);
    ck_assert_int_eq(weft_vocab_build(vocab), WEFT_OK);
    static const char *const pairs[][2] = {
        { "abc", "" }, { "fe", "cab" }, { "", "h" }, { "gggg", "b" }, { "a", "hh" }
    };
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(weft_corpus_add(corpus, pairs[i][0], pairs[i][1]), WEFT_OK);
    ck_assert_int_eq(weft_corpus_encode(corpus, vocab, vocab), WEFT_OK);
    weft_hypotheses h = { 0 };
    weft_decode_spec decode_spec = { .beam = 3, .forced = true, .max_length = 6 };
    for (int64_t batch_tokens = 1; batch_tokens < 20; batch_tokens += 6) {
        ck_assert_int_eq(
            weft_decode_corpus(translator(&m), 1, corpus, batch_tokens, &decode_spec, &h), WEFT_OK);
        for (int i = 0; i < 5; i++) {
            char *text = NULL;
            const int64_t n = h.offsets[i + 1] - h.offsets[i];
            ck_assert_int_eq(weft_vocab_decode(vocab, h.ids + h.offsets[i], n, &text), WEFT_OK);
            if (pairs[i][0][0] == '\0') {
                ck_assert_int_eq(n, 0);
            } else {
                ck_assert_int_eq(strncmp(text, pairs[i][1], strlen(pairs[i][1])), 0);
            }
            weft_free(text);
        }
    }
    decode_spec.max_length = 2;
    refused(weft_decode_corpus(translator(&m), 1, corpus, 9, &decode_spec, &h), WEFT_ERR_RANGE,
            "sentence 2: its prefix has 3 tokens, a hypothesis at most 2");
    const volatile sig_atomic_t stop = 1;
    decode_spec.max_length = 0;
    decode_spec.stop = &stop;
    refused(weft_decode_corpus(translator(&m), 1, corpus, 9, &decode_spec, &h), WEFT_ERR_STOPPED,
            "stopped while translating");
    weft_hypotheses_free(&h);
    weft_corpus_free(corpus);
    weft_vocab_free(vocab);
    model_free(&m);
}
END_TEST

/* ---- several models ------------------------------------------------------------------------------ */

START_TEST(twice_the_same_model)
{
    model a = model_new(false, false, WEFT_POSITION_SINUSOIDAL, 24);
    weft_tape *second = weft_tape_new(WEFT_NO_GRAD);
    sentences s;
    sentences_make(&s);
    const weft_translator both[] = { { a.net, a.tape }, { a.net, second } };
    weft_hypotheses one = { 0 }, two = { 0 };
    decode(&a, &s.tokens, &specs[0], &one);
    ck_assert_int_eq(weft_decode(both, 2, &s.tokens, NULL, &specs[0], &two), WEFT_OK);
    same_hypotheses(&one, &two);
    for (int64_t i = 0; i < one.B; i++)
        ck_assert_double_eq_tol(one.scores[i], two.scores[i], 1e-5 * fabs(one.scores[i]));
    weft_hypotheses_free(&one);
    weft_hypotheses_free(&two);
    weft_tape_free(second);
    model_free(&a);
}
END_TEST

/* The first token's score is the log of the mean probability. */
START_TEST(mean_of_probabilities)
{
    model m[3];
    weft_translator all[3];
    sentences s;
    int32_t offsets[2];
    sentences_make(&s);
    const weft_tokens source = one_sentence(&s, 3, offsets);
    double mean[V] = { 0 };
    for (int i = 0; i < 3; i++) {
        double log_p[V];
        m[i] = model_new(false, i == 1, WEFT_POSITION_SINUSOIDAL, 30 + (uint64_t)i);
        all[i] = (weft_translator){ m[i].net, m[i].tape };
        first_log_p(&m[i], &source, log_p);
        for (int k = 0; k < V; k++) mean[k] += exp(log_p[k]) / 3;
    }
    weft_hypotheses h = { 0 };
    const weft_decode_spec spec = { .beam = V, .n_best = V, .max_length = 1 };
    ck_assert_int_eq(weft_decode(all, 3, &source, NULL, &spec, &h), WEFT_OK);
    for (int i = 0; i < V; i++) {
        const int32_t id = h.offsets[i + 1] > h.offsets[i] ? h.ids[h.offsets[i]] : WEFT_EOS;
        ck_assert_double_eq_tol(exp(h.scores[i]), mean[id], 1e-6);
        mean[id] = -1; /* each once */
    }
    weft_hypotheses_free(&h);
    for (int i = 0; i < 3; i++) model_free(&m[i]);
}
END_TEST

/* ---- given pairs --------------------------------------------------------------------------------- */

/* Ended hypotheses as the targets of a corpus: log p is their score, by one model and by two. */
START_TEST(logprob_is_the_score)
{
    enum { N_BEST = 12 };
    sentences s;
    weft_vocab *vocab;
    sentences_make(&s);
    weft_corpus *corpus = corpus_make(&s, &vocab), *pairs = weft_corpus_new();
    ck_assert_ptr_nonnull(pairs);
    model a = model_new(false, false, WEFT_POSITION_SINUSOIDAL, 24);
    model b = model_new(false, true, WEFT_POSITION_SINUSOIDAL, 25);
    const weft_translator both[] = { { a.net, a.tape }, { b.net, b.tape } };
    for (int n_models = 1; n_models <= 2; n_models++) {
        const weft_decode_spec spec = { .beam = N_BEST, .n_best = N_BEST, .max_length = 40 };
        weft_hypotheses h = { 0 };
        double scores[N_BEST * N_SENTENCES], log_p[N_BEST * N_SENTENCES];
        int n = 0;
        weft_corpus_free(pairs);
        pairs = weft_corpus_new();
        ck_assert_ptr_nonnull(pairs);
        ck_assert_int_eq(weft_decode_corpus(both, n_models, corpus, 50, &spec, &h), WEFT_OK);
        for (int64_t i = 0; i < h.B; i++) {
            const int64_t n_ids = h.offsets[i + 1] - h.offsets[i];
            const char *const source = weft_corpus_text(corpus, WEFT_SOURCE, i / N_BEST);
            char *text = NULL;
            bool special = false; /* which no text gives */
            for (int64_t k = h.offsets[i]; k < h.offsets[i + 1]; k++)
                special = special || h.ids[k] < WEFT_N_SPECIALS;
            if (*source == '\0' || isinf(h.scores[i]) || n_ids == 40 || special) continue;
            ck_assert_int_eq(weft_vocab_decode(vocab, h.ids + h.offsets[i], n_ids, &text), WEFT_OK);
            ck_assert_int_eq(weft_corpus_add(pairs, source, text), WEFT_OK);
            scores[n++] = h.scores[i];
            weft_free(text);
        }
        ck_assert_int_gt(n, 8);
        ck_assert_int_eq(weft_corpus_encode(pairs, vocab, vocab), WEFT_OK);
        for (int64_t batch_tokens = 1; batch_tokens < 200; batch_tokens *= 9) {
            ck_assert_int_eq(weft_logprob(both, n_models, pairs, batch_tokens, log_p), WEFT_OK);
            for (int i = 0; i < n; i++)
                ck_assert_double_eq_tol(log_p[i], scores[i], 1e-5 * (1 - scores[i]));
        }
        weft_hypotheses_free(&h);
    }
    double log_p[N_BEST * N_SENTENCES];
    refused(weft_logprob(both, 2, pairs, 0, log_p), WEFT_ERR_RANGE, "batch_tokens is 0");
    refused(weft_logprob(both, 0, pairs, 9, log_p), WEFT_ERR_RANGE, "at least one model");
    refused(weft_logprob(both, 2, corpus, 9, log_p), WEFT_ERR_STATE, "lacks");
    weft_status status = WEFT_ERR_MEMORY;
    for (int64_t n = 1; status != WEFT_OK; n++) {
        weft_alloc_fail_at(n, false);
        status = weft_logprob(both, 2, pairs, 50, log_p);
        weft_alloc_fail_at(0, false);
        ck_assert(status == WEFT_OK || status == WEFT_ERR_MEMORY);
    }
    weft_corpus_free(corpus);
    weft_corpus_free(pairs);
    weft_vocab_free(vocab);
    model_free(&a);
    model_free(&b);
}
END_TEST

/* ---- drawing ------------------------------------------------------------------------------------- */

/* How often each token comes first, against its probability in the nucleus of 0.7. */
START_TEST(nucleus_frequencies)
{
    enum { N_DRAWS = 3000 };
    model m = model_new(false, false, WEFT_POSITION_SINUSOIDAL, 24);
    sentences s;
    int32_t offsets[2];
    sentences_make(&s);
    const weft_tokens source = one_sentence(&s, 1, offsets);
    double log_p[V], p[V], sum = 0;
    first_log_p(&m, &source, log_p);
    for (int i = 0; i < V; i++) {
        double above = 0;
        for (int k = 0; k < V; k++) above += log_p[k] > log_p[i] ? exp(log_p[k]) : 0;
        p[i] = above < 0.7 ? exp(log_p[i]) : 0;
        sum += p[i];
    }
    ck_assert_double_lt(sum, 0.999);
    int count[V] = { 0 };
    weft_hypotheses h = { 0 };
    const weft_decode_spec spec = { .beam = N_DRAWS,
                                    .n_best = N_DRAWS,
                                    .sample = true,
                                    .temperature = 1,
                                    .top_p = 0.7,
                                    .max_length = 1 };
    decode(&m, &source, &spec, &h);
    for (int i = 0; i < N_DRAWS; i++) {
        const int32_t id = h.offsets[i + 1] > h.offsets[i] ? h.ids[h.offsets[i]] : WEFT_EOS;
        count[id]++;
        ck_assert_double_eq_tol(h.scores[i], log_p[id], 1e-5); /* of the whole distribution */
    }
    for (int i = 0; i < V; i++) {
        const double mean = N_DRAWS * p[i] / sum, deviation = sqrt(mean * (1 - p[i] / sum));
        ck_assert_msg(fabs(count[i] - mean) <= 4 * deviation, "token %d: %d times, not %g +- %g", i,
                      count[i], mean, deviation);
    }
    weft_hypotheses_free(&h);
    model_free(&m);
}
END_TEST

/* ---- mistakes ------------------------------------------------------------------------------------ */

START_TEST(misuse)
{
    model m = model_new(false, false, WEFT_POSITION_SINUSOIDAL, 1);
    model alone = model_new(true, false, WEFT_POSITION_SINUSOIDAL, 1);
    sentences s;
    sentences_make(&s);
    weft_hypotheses h = { 0 };
    static const struct {
        weft_decode_spec spec;
        const char *text;
    } wrong[] = {
        { { .beam = 0 }, "a beam of 0: at least 1" },
        { { .beam = 2, .n_best = 3 }, "the 3 best of a beam of 2" },
        { { .beam = 2, .n_best = -1 }, "the -1 best" },
        { { .beam = 1, .max_length = -1 }, "max_length -1" },
        { { .beam = 1, .alpha = (double)INFINITY }, "length penalty of inf" },
        { { .beam = 1, .no_repeat_ngram = -2 }, "no_repeat_ngram -2" },
        { { .beam = 1, .temperature = -1 }, "temperature of -1" },
        { { .beam = 1, .top_k = -1 }, "top_k -1" },
        { { .beam = 1, .top_p = 1.5 }, "top_p 1.5" },
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        refused(weft_decode(translator(&m), 1, &s.tokens, NULL, &wrong[i].spec, &h), WEFT_ERR_RANGE,
                wrong[i].text);
    const weft_decode_spec spec = { .beam = 2 };
    refused(weft_decode(translator(&m), 0, &s.tokens, NULL, &spec, &h), WEFT_ERR_RANGE,
            "at least one model");
    const weft_translator mixed[] = { { m.net, m.tape }, { alone.net, alone.tape } };
    refused(weft_decode(mixed, 2, &s.tokens, NULL, &spec, &h), WEFT_ERR_STATE, "no encoder");
    refused(weft_decode(translator(&m), 1, &s.tokens, NULL,
                        &(weft_decode_spec){ .beam = INT32_MAX }, &h),
            WEFT_ERR_OVERFLOW, "12 sentences");
    weft_transformer *other = malloc(sizeof *other);
    ck_assert_ptr_nonnull(other);
    *other = *m.net;
    other->config.target_V = V + 1;
    const weft_translator unlike[] = { { m.net, m.tape }, { other, alone.tape } };
    refused(weft_decode(unlike, 2, &s.tokens, NULL, &spec, &h), WEFT_ERR_SHAPE,
            "weft_decode: models of different vocabularies: 11 and 11 tokens, and 11 and 12");
    free(other);
    int32_t ids[] = { 3, WEFT_EOS }, offsets[N_SENTENCES + 1] = { 0 };
    for (int b = 1; b <= N_SENTENCES; b++) offsets[b] = 2;
    const weft_tokens prefix = { N_SENTENCES, 2, ids, offsets, NULL };
    refused(weft_decode(translator(&m), 1, &s.tokens, &prefix, &spec, &h), WEFT_ERR_RANGE,
            "id 2 in a prefix");
    ids[1] = V;
    refused(weft_decode(translator(&m), 1, &s.tokens, &prefix, &spec, &h), WEFT_ERR_RANGE,
            "id 11 in a prefix");
    weft_params_value(m.params, 0).real[(ptrdiff_t)s.ids[0] * 16] = (weft_real)NAN;
    refused(weft_decode(translator(&m), 1, &s.tokens, NULL, &spec, &h), WEFT_ERR_NUMERIC,
            "not finite");
    ck_assert_ptr_null(h.offsets);
    model_free(&m);
    model_free(&alone);
}
END_TEST

START_TEST(memory_runs_out)
{
    model m = model_new(false, false, WEFT_POSITION_SINUSOIDAL, 24);
    weft_tape *second = weft_tape_new(WEFT_NO_GRAD);
    weft_vocab *vocab;
    sentences s;
    sentences_make(&s);
    weft_corpus *corpus = corpus_make(&s, &vocab);
    const weft_translator both[] = { { m.net, m.tape }, { m.net, second } };
    for (int i = 0; i < N_SPECS; i++) {
        weft_hypotheses first = { 0 }, h = { 0 };
        weft_status status = WEFT_ERR_MEMORY;
        for (int64_t n = 1; status != WEFT_OK; n++) {
            weft_alloc_fail_at(n, false);
            status = weft_decode_corpus(both, 2, corpus, 30, &specs[i], &h);
            weft_alloc_fail_at(0, false);
            ck_assert(status == WEFT_OK || (status == WEFT_ERR_MEMORY && h.offsets == NULL));
        }
        ck_assert_int_eq(weft_decode_corpus(both, 2, corpus, 30, &specs[i], &first), WEFT_OK);
        same_hypotheses(&first, &h);
        weft_hypotheses_free(&first);
        weft_hypotheses_free(&h);
    }
    weft_corpus_free(corpus);
    weft_vocab_free(vocab);
    weft_tape_free(second);
    model_free(&m);
}
END_TEST

static void add_case(Suite *suite, TCase *tcase, const TTest *const tests[], int n)
{
    for (int i = 0; i < n; i++) tcase_add_test(tcase, tests[i]);
    tcase_set_timeout(tcase, 60);
    suite_add_tcase(suite, tcase);
}

int main(void)
{
    Suite *suite = suite_create("beam");
    add_case(suite, tcase_create("search"),
             (const TTest *[]){ as_without_cache, many_tokens, wide_beam_finds_all }, 3);
    add_case(suite, tcase_create("batches"),
             (const TTest *[]){ alone_as_in_a_batch, corpus_in_batches_of_any_size,
                                number_of_the_first_item },
             3);
    add_case(suite, tcase_create("threads"), (const TTest *[]){ any_number_of_threads }, 1);
    add_case(suite, tcase_create("options"),
             (const TTest *[]){ no_ngram_twice, prefix_is_forced, corpus_with_prefixes }, 3);
    add_case(suite, tcase_create("several"),
             (const TTest *[]){ twice_the_same_model, mean_of_probabilities }, 2);
    add_case(suite, tcase_create("pairs"), (const TTest *[]){ logprob_is_the_score }, 1);
    add_case(suite, tcase_create("drawing"), (const TTest *[]){ nucleus_frequencies }, 1);
    add_case(suite, tcase_create("errors"), (const TTest *[]){ misuse }, 1);
    add_case(suite, tcase_create("memory"), (const TTest *[]){ memory_runs_out }, 1);
    return run_suite(suite);
}
