/* precision: float - batches that are drawn anew each epoch: weights of sentences, BPE-dropout. */
#include "batches_fixture.h"

#include <math.h>

/* ---- weights ---------------------------------------------------------------------------------- */

/* 60 sentences that count 2, 60 that count 0.5, 60 that count 1.25. */
static const double weights[3] = { 2, 0.5, 1.25 };
enum { PART = 60 };

static fixture make_weighted(void)
{
    fixture f = make(3 * PART, true, true);
    weft_corpus *weighted = weft_corpus_new();
    for (int64_t i = 0; i < 3 * PART; i++) {
        if (i % PART == 0)
            ck_assert_int_eq(weft_corpus_set_weight(weighted, weights[i / PART]), WEFT_OK);
        ck_assert_int_eq(weft_corpus_add(weighted, weft_corpus_text(f.corpus, WEFT_SOURCE, i),
                                         weft_corpus_text(f.corpus, WEFT_TARGET, i)),
                         WEFT_OK);
    }
    weft_corpus_free(f.corpus);
    f.corpus = weighted;
    ck_assert_int_eq(weft_corpus_encode(f.corpus, f.vocab, f.vocab), WEFT_OK);
    return f;
}

/* How often each sentence is in the epoch where _next stands, which this goes through. */
static void count_epoch(weft_batches *batches, int n[3 * PART])
{
    const int64_t n_batches = weft_batches_count(batches);
    memset(n, 0, 3 * PART * sizeof *n);
    for (int64_t i = 0; i < n_batches; i++) {
        weft_batch batch;
        weft_batches_next(batches, &batch);
        ck_assert_int_le(batch.source.N, BATCH_TOKENS);
        ck_assert_int_le(batch.target.N, BATCH_TOKENS);
        for (int64_t b = 0; b < batch.target.B; b++)
            n[batch.target.rows[2 * batch.target.offsets[b]] % (3 * PART)]++;
    }
}

START_TEST(weights_say_how_often)
{
    fixture f = make_weighted();
    weft_batches *batches = iterate(&f, (weft_batches_spec){ .batch_tokens = BATCH_TOKENS });
    int sum[3] = { 0 }, first[3 * PART], n[3 * PART], n_changed = 0;
    enum { N_EPOCHS = 40 };
    for (int epoch = 0; epoch < N_EPOCHS; epoch++) {
        count_epoch(batches, n);
        if (epoch == 0) memcpy(first, n, sizeof n);
        for (int i = 0; i < 3 * PART; i++) {
            const double weight = weights[i / PART];
            ck_assert(n[i] == (int)weight || n[i] == (int)weight + (weight > (int)weight));
            sum[i / PART] += n[i];
            n_changed += n[i] != first[i];
        }
    }
    ck_assert_int_gt(n_changed, N_EPOCHS * PART / 3); /* which half it is changes */
    ck_assert_int_eq(sum[0], 2 * PART * N_EPOCHS);
    ck_assert_double_eq_tol(sum[1], 0.5 * PART * N_EPOCHS, 120); /* five standard deviations */
    ck_assert_double_eq_tol(sum[2], 1.25 * PART * N_EPOCHS, 110);
    /* The same epoch again is the same. */
    ck_assert_int_eq(weft_batches_seek(batches, 0, 0), WEFT_OK);
    count_epoch(batches, n);
    ck_assert_mem_eq(n, first, sizeof n);
    weft_batches_free(batches);

    /* For validation each is there once. */
    batches = iterate(&f, (weft_batches_spec){ .batch_tokens = BATCH_TOKENS, .in_order = true });
    count_epoch(batches, n);
    for (int i = 0; i < 3 * PART; i++) ck_assert_int_eq(n[i], 1);
    weft_batches_free(batches);
    drop(&f);
}
END_TEST

/* The copies of a sentence have keys of their own: dropout differs. */
START_TEST(copies_have_row_keys_of_their_own)
{
    fixture f = make_weighted();
    weft_batches *batches = iterate(&f, (weft_batches_spec){ .batch_tokens = BATCH_TOKENS });
    int seen[6 * PART] = { 0 };
    for (int64_t i = weft_batches_count(batches); i > 0; i--) {
        weft_batch batch;
        weft_batches_next(batches, &batch);
        for (int64_t b = 0; b < batch.target.B; b++) {
            const int32_t number = batch.target.rows[2 * batch.target.offsets[b]];
            ck_assert_int_lt(number, 6 * PART);
            ck_assert_int_eq(number, batch.source.rows[2 * batch.source.offsets[b]]);
            ck_assert_int_eq(seen[number]++, 0);
        }
    }
    weft_batches_free(batches);
    drop(&f);
}
END_TEST

START_TEST(weights_of_running_text)
{
    weft_corpus *corpus = weft_corpus_new();
    weft_vocab *vocab;
    ck_assert_int_eq(weft_vocab_new(&(weft_vocab_spec){ .tokens = WEFT_TOKENS_CHARS }, &vocab),
                     WEFT_OK);
    ck_assert_int_eq(weft_corpus_add(corpus, NULL, "abcdefghij"), WEFT_OK);
    ck_assert_int_eq(weft_corpus_set_weight(corpus, 3), WEFT_OK);
    ck_assert_int_eq(weft_corpus_add(corpus, NULL, "ABCDEF"), WEFT_OK);
    ck_assert(weft_corpus_weight(corpus, 0) == 1 && weft_corpus_weight(corpus, 1) == 3);
    ck_assert_int_eq(weft_corpus_count(corpus, WEFT_TARGET, vocab), WEFT_OK);
    ck_assert_int_eq(weft_vocab_build(vocab), WEFT_OK);
    ck_assert_int_eq(weft_corpus_encode(corpus, NULL, vocab), WEFT_OK);
    weft_batches *batches;
    const weft_batches_spec spec = { .batch_tokens = 8, .context = 4 };
    ck_assert_int_eq(weft_batches_new(corpus, &spec, &batches), WEFT_OK);
    for (int epoch = 0; epoch < 5; epoch++) {
        int64_t n_labels = 0;
        for (int64_t i = weft_batches_count(batches); i > 0; i--) {
            weft_batch batch;
            weft_batches_next(batches, &batch);
            n_labels += batch.target.N;
        }
        ck_assert_int_eq(n_labels, 9 + 3 * 5); /* all but the first of each */
    }
    weft_batches_free(batches);
    weft_corpus_free(corpus);
    weft_vocab_free(vocab);
}
END_TEST

/* Epochs for which nothing is drawn are passed over; where the first one is such, the weight is named. */
START_TEST(small_weights)
{
    fixture f = make(3, true, true);
    weft_corpus *few = weft_corpus_new();
    ck_assert_int_eq(weft_corpus_set_weight(few, 0.1), WEFT_OK);
    for (int64_t i = 0; i < 3; i++)
        ck_assert_int_eq(weft_corpus_add(few, weft_corpus_text(f.corpus, WEFT_SOURCE, i),
                                         weft_corpus_text(f.corpus, WEFT_TARGET, i)),
                         WEFT_OK);
    ck_assert_int_eq(weft_corpus_encode(few, f.vocab, f.vocab), WEFT_OK);
    weft_batches *batches = NULL;
    weft_batches_spec spec = { .batch_tokens = BATCH_TOKENS };
    int n_refused = 0;
    while (weft_batches_new(few, &spec, &batches) != WEFT_OK) {
        ck_assert_str_eq(weft_message(), "nothing is drawn for the first epoch: weight (0.1) is "
                                         "too small for a text of 3 items");
        spec.seed++;
        n_refused++;
    }
    ck_assert_int_gt(n_refused, 0);
    int64_t epoch, index;
    for (int i = 0; i < 20; i++) {
        weft_batch batch;
        weft_batches_next(batches, &batch);
        check_batch(&f, &batch);
        weft_batches_position(batches, &epoch, &index);
        ck_assert_int_eq(weft_batches_seek(batches, epoch, index), WEFT_OK);
    }
    ck_assert_int_gt(epoch, 40); /* about one in four has a sentence */
    weft_batches_free(batches);
    weft_corpus_free(few);
    drop(&f);
}
END_TEST

START_TEST(wrong_weights)
{
    weft_corpus *corpus = weft_corpus_new();
    const double wrong[] = { 0, -1, 1001, (double)NAN };
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(weft_corpus_set_weight(corpus, wrong[i]), WEFT_ERR_RANGE);
    ck_assert(weft_corpus_weight(corpus, 0) == 1);
    weft_corpus_free(corpus);
}
END_TEST

/* ---- BPE-dropout ------------------------------------------------------------------------------ */

/* Each side of each sentence is its text, however it is cut; returns the tokens. */
static int64_t check_texts(const fixture *f, weft_batches *batches, uint64_t *hash)
{
    int64_t n_tokens = 0;
    *hash = 0;
    for (int64_t i = weft_batches_count(batches); i > 0; i--) {
        weft_batch batch;
        weft_batches_next(batches, &batch);
        const weft_batches_limits limits = weft_batches_get_limits(batches);
        *hash = *hash * 31 + hash_of(&batch);
        const weft_tokens *sides[2] = { &batch.source, &batch.target };
        for (int side = 0; side < 2; side++) {
            const weft_tokens *x = sides[side];
            n_tokens += x->N;
            ck_assert_int_le(x->N, side == 0 ? limits.source_tokens : limits.target_tokens);
            ck_assert_int_le(x->B, limits.sentences);
            for (int64_t b = 0; b < x->B; b++) {
                char *text;
                const int64_t from = x->offsets[b], n = x->offsets[b + 1] - from;
                ck_assert_int_le(n, 12);
                ck_assert_int_eq(weft_vocab_decode(f->vocab, x->ids + from, n, &text), WEFT_OK);
                ck_assert_str_eq(text,
                                 weft_corpus_text(f->corpus, (weft_side)side, x->rows[2 * from]));
                weft_free(text);
            }
        }
    }
    return n_tokens;
}

START_TEST(dropout_cuts_anew_in_every_epoch)
{
    fixture f = make_pieces();
    weft_batches *plain = iterate(&f, dropout_spec(&f, 0)), *same;
    weft_batches *batches = iterate(&f, dropout_spec(&f, 0.3));
    uint64_t hash[3], again;
    const int64_t n_plain = check_texts(&f, plain, &again);
    for (int epoch = 0; epoch < 3; epoch++) {
        /* Some sentences become too long, and are taken as they were. */
        ck_assert_int_gt(check_texts(&f, batches, &hash[epoch]), n_plain + n_plain / 5);
    }
    ck_assert(hash[0] != hash[1] && hash[1] != hash[2]);
    const weft_batches_limits a = weft_batches_get_limits(plain),
                              b = weft_batches_get_limits(batches);
    ck_assert_int_eq(a.dropped, b.dropped); /* lengths are filtered as without it */
    ck_assert_int_eq(weft_batches_seek(batches, 1, 0), WEFT_OK);
    check_texts(&f, batches, &again);
    ck_assert(again == hash[1]);
    same = iterate(&f, dropout_spec(&f, 0.3));
    check_texts(&f, same, &again);
    ck_assert(again == hash[0]);
    weft_batches_free(same);
    weft_batches_spec other = dropout_spec(&f, 0.3);
    other.seed = 5;
    same = iterate(&f, other);
    check_texts(&f, same, &again);
    ck_assert(again != hash[0]);
    weft_batches_free(same);
    other.in_order = false;
    same = iterate(&f, other);
    ck_assert_int_gt(check_texts(&f, same, &again), n_plain + n_plain / 5);
    weft_batches_free(same);
    weft_batches_free(plain);
    weft_batches_free(batches);
    drop(&f);
}
END_TEST

START_TEST(dropout_allocates_once)
{
    fixture f = make_pieces();
    weft_batches_spec spec = dropout_spec(&f, 0.5);
    weft_batches *batches = iterate(&f, spec);
    const int64_t before = weft_alloc_count();
    for (int64_t epoch = 0; epoch < 50; epoch++)
        ck_assert_int_eq(weft_batches_seek(batches, epoch, 0), WEFT_OK);
    ck_assert_int_eq(weft_alloc_count(), before);
    weft_batches_free(batches);
    drop(&f);
}
END_TEST

START_TEST(dropout_misuse)
{
    fixture f = make_pieces(), words = make(5, true, true);
    weft_batches *batches;
    const weft_batches_spec wrong[] = { dropout_spec(&f, -0.1),
                                        dropout_spec(&f, 1),
                                        { .batch_tokens = 9, .max_ratio = 0.5 } };
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(weft_batches_new(f.corpus, &wrong[i], &batches), WEFT_ERR_RANGE);
    weft_batches_spec spec = dropout_spec(&words, 0.1);
    ck_assert_int_eq(weft_batches_new(f.corpus, &spec, &batches), WEFT_ERR_STATE);
    ck_assert_str_eq(weft_message(), "BPE-dropout needs sentences, and vocabularies with codes");
    spec.vocabs[0] = NULL;
    ck_assert_int_eq(weft_batches_new(f.corpus, &spec, &batches), WEFT_ERR_STATE);
    ck_assert_ptr_null(batches);
    drop(&f);
    drop(&words);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("data_draws");
    TCase *weighted = tcase_create("weights");
    tcase_add_test(weighted, weights_say_how_often);
    tcase_add_test(weighted, copies_have_row_keys_of_their_own);
    tcase_add_test(weighted, weights_of_running_text);
    tcase_add_test(weighted, small_weights);
    tcase_add_test(weighted, wrong_weights);
    suite_add_tcase(suite, weighted);
    TCase *dropout = tcase_create("dropout");
    tcase_add_test(dropout, dropout_cuts_anew_in_every_epoch);
    tcase_add_test(dropout, dropout_allocates_once);
    tcase_add_test(dropout, dropout_misuse);
    suite_add_tcase(suite, dropout);
    return run_suite(suite);
}
