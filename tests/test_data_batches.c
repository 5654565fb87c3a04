/* precision: float - packed batches: contents, limits, determinism, resuming, parts, windows. */
#include "batches_fixture.h"

START_TEST(each_sentence_once_an_epoch)
{
    const bool has[3][2] = { { true, true }, { true, false }, { false, true } };
    fixture f = make(N_SENTENCES, has[_i][0], has[_i][1]);
    weft_batches *batches = iterate(&f, (weft_batches_spec){ .batch_tokens = BATCH_TOKENS });
    const weft_batches_limits limits = weft_batches_get_limits(batches);
    const int64_t n_batches = weft_batches_count(batches);
    ck_assert_int_gt(n_batches, 10);
    int64_t most[3] = { 0, 0, 0 };
    for (int64_t epoch = 0; epoch < 3; epoch++) {
        int seen[N_SENTENCES] = { 0 };
        for (int64_t i = 0; i < n_batches; i++) {
            int64_t at_epoch, at_index;
            weft_batches_position(batches, &at_epoch, &at_index);
            ck_assert_int_eq(at_epoch, epoch);
            ck_assert_int_eq(at_index, i);
            weft_batch batch;
            weft_batches_next(batches, &batch);
            check_batch(&f, &batch);
            const weft_tokens *x = has[_i][0] ? &batch.source : &batch.target;
            for (int64_t b = 0; b < x->B; b++) seen[x->rows[2 * x->offsets[b]]]++;
            const int64_t sizes[3] = { batch.source.N, batch.target.N, x->B };
            for (int k = 0; k < 3; k++) most[k] = sizes[k] > most[k] ? sizes[k] : most[k];
            ck_assert_int_le(batch.source.N, BATCH_TOKENS);
            ck_assert_int_le(batch.target.N, BATCH_TOKENS);
            ck_assert_int_eq(batch.source.B, has[_i][0] ? x->B : 0);
            ck_assert_int_eq(batch.target.B, has[_i][1] ? x->B : 0);
        }
        for (int i = 0; i < N_SENTENCES; i++) ck_assert_int_eq(seen[i], 1);
        ck_assert_int_eq(weft_batches_count(batches), n_batches);
    }
    ck_assert_int_eq(most[0], limits.source_tokens);
    ck_assert_int_eq(most[1], limits.target_tokens);
    ck_assert_int_eq(most[2], limits.sentences);
    ck_assert_int_eq(limits.dropped, 0);
    weft_batches_free(batches);
    drop(&f);
}
END_TEST

/* Lengths within a batch lie close together, and batches do not come by length. */
START_TEST(bucketed_and_shuffled)
{
    fixture f = make(N_SENTENCES, true, true);
    weft_batches *batches = iterate(&f, (weft_batches_spec){ .batch_tokens = BATCH_TOKENS });
    int64_t n_falls = 0, before = 0;
    for (int64_t i = 0; i < weft_batches_count(batches); i++) {
        weft_batch batch;
        weft_batches_next(batches, &batch);
        const int32_t *o = batch.target.offsets;
        const int64_t B = batch.target.B, shortest = o[1], longest = o[B] - o[B - 1];
        ck_assert_int_le(longest - shortest, 2);
        n_falls += longest < before;
        before = longest;
    }
    ck_assert_int_gt(n_falls, 5);
    weft_batches_free(batches);
    drop(&f);
}
END_TEST

static void record(weft_batches *batches, int64_t n, uint64_t hashes[])
{
    for (int64_t i = 0; i < n; i++) {
        weft_batch batch;
        weft_batches_next(batches, &batch);
        hashes[i] = hash_of(&batch);
    }
}

START_TEST(order_depends_on_seed_and_epoch)
{
    fixture f = make(N_SENTENCES, true, true);
    weft_batches_spec spec = { .batch_tokens = BATCH_TOKENS, .seed = 5 };
    weft_batches *a = iterate(&f, spec), *b = iterate(&f, spec);
    spec.seed = 6;
    weft_batches *c = iterate(&f, spec);
    spec.in_order = true;
    weft_batches *d = iterate(&f, spec);
    enum { N = 200 };
    uint64_t ha[N] = { 0 }, hb[N] = { 0 }, hc[N] = { 0 }, hd[N] = { 0 };
    const int64_t n = weft_batches_count(a), n_in_order = weft_batches_count(d);
    ck_assert_int_le(2 * n, N);
    ck_assert_int_le(2 * n_in_order, N);
    record(a, 2 * n, ha);
    record(b, 2 * n, hb);
    record(c, 2 * n, hc);
    record(d, 2 * n_in_order, hd);
    ck_assert_mem_eq(ha, hb, (size_t)(2 * n) * sizeof *ha);
    int64_t n_same_epoch = 0, n_same_seed = 0;
    for (int64_t i = 0; i < n; i++) {
        n_same_epoch += ha[i] == ha[n + i];
        n_same_seed += ha[i] == hc[i];
    }
    ck_assert_int_le(n_same_epoch, 2);
    ck_assert_int_le(n_same_seed, 2);
    ck_assert_mem_eq(hd, hd + n_in_order, (size_t)n_in_order * sizeof *hd);
    weft_batches_free(a);
    weft_batches_free(b);
    weft_batches_free(c);
    weft_batches_free(d);
    drop(&f);
}
END_TEST

static int by_value(const void *left, const void *right)
{
    const uint64_t *a = left, *b = right;
    return (*a > *b) - (*a < *b);
}

/* From epoch to epoch sentences meet in other batches, and the batches' lengths come in another
 * order: both shuffles take the epoch. */
START_TEST(both_shuffles_change_with_the_epoch)
{
    fixture f = make(N_SENTENCES, true, true);
    weft_batches *batches = iterate(&f, (weft_batches_spec){ .batch_tokens = BATCH_TOKENS });
    enum { N = 100 };
    uint64_t hashes[2][N] = { { 0 } };
    int64_t longest[2][N] = { { 0 } };
    const int64_t n = weft_batches_count(batches);
    ck_assert_int_le(n, N);
    for (int epoch = 0; epoch < 2; epoch++) {
        for (int64_t i = 0; i < n; i++) {
            weft_batch batch;
            weft_batches_next(batches, &batch);
            hashes[epoch][i] = hash_of(&batch);
            longest[epoch][i] = batch.target.N - batch.target.offsets[batch.target.B - 1];
        }
        qsort(hashes[epoch], (size_t)n, sizeof hashes[epoch][0], by_value);
    }
    int64_t n_same_batch = 0, n_same_length = 0;
    for (int64_t i = 0; i < n; i++) {
        n_same_batch +=
            bsearch(&hashes[0][i], hashes[1], (size_t)n, sizeof hashes[1][0], by_value) != NULL;
        n_same_length += longest[0][i] == longest[1][i];
    }
    ck_assert_int_lt(n_same_batch, n / 4);
    ck_assert_int_lt(n_same_length, n / 2);
    weft_batches_free(batches);
    drop(&f);
}
END_TEST

START_TEST(in_order_is_the_order_of_the_corpus)
{
    fixture f = make(N_SENTENCES, true, true);
    weft_batches *batches =
        iterate(&f, (weft_batches_spec){ .batch_tokens = BATCH_TOKENS, .in_order = true });
    int64_t number = 0;
    for (int64_t i = 0; i < weft_batches_count(batches); i++) {
        weft_batch batch;
        ck_assert_int_eq(weft_batches_get(batches, i, &batch), WEFT_OK);
        check_batch(&f, &batch);
        for (int64_t b = 0; b < batch.target.B; b++) {
            ck_assert_int_eq(batch.target.rows[2 * batch.target.offsets[b]], number++);
        }
    }
    ck_assert_int_eq(number, N_SENTENCES);
    int64_t epoch, index;
    weft_batches_position(batches, &epoch, &index);
    ck_assert_int_eq(epoch, 0); /* _get does not move */
    ck_assert_int_eq(index, 0);
    weft_batches_free(batches);
    drop(&f);
}
END_TEST

/* From every position, a new iterator that goes there gives what the old one gives. */
static void check_resume(const fixture *f, weft_batches_spec spec)
{
    weft_batches *whole = iterate(f, spec), *resumed = iterate(f, spec);
    for (int i = 0; i < 150; i++) {
        int64_t epoch, index;
        weft_batches_position(whole, &epoch, &index);
        weft_batch a, b;
        weft_batches_next(whole, &a);
        if (i % 7 == 0) {
            weft_batches_free(resumed);
            resumed = iterate(f, spec);
            ck_assert_int_eq(weft_batches_seek(resumed, epoch, index), WEFT_OK);
        }
        weft_batches_next(resumed, &b);
        ck_assert_uint_eq(hash_of(&a), hash_of(&b));
    }
    weft_batches_free(whole);
    weft_batches_free(resumed);
}

START_TEST(resuming_by_seek)
{
    fixture f = make(N_SENTENCES, true, true);
    const weft_batches_spec spec = { .batch_tokens = BATCH_TOKENS, .seed = 9 };
    check_resume(&f, spec);
    weft_batches *batches = iterate(&f, spec);
    const int64_t n = weft_batches_count(batches);
    ck_assert_int_eq(weft_batches_seek(batches, 0, 2), WEFT_OK);
    ck_assert_int_eq(weft_batches_seek(batches, 4, n), WEFT_ERR_RANGE);
    ck_assert_int_eq(weft_batches_seek(batches, 4, -1), WEFT_ERR_RANGE);
    ck_assert_int_eq(weft_batches_seek(batches, -1, 0), WEFT_ERR_RANGE);
    weft_batch batch;
    ck_assert_int_eq(weft_batches_get(batches, n, &batch), WEFT_ERR_RANGE);
    ck_assert_int_eq(weft_batches_get(batches, -1, &batch), WEFT_ERR_RANGE);
    int64_t epoch, index; /* a failed seek does not move */
    weft_batches_position(batches, &epoch, &index);
    ck_assert_int_eq(epoch, 0);
    ck_assert_int_eq(index, 2);
    weft_batches_next(batches, &batch);
    const uint64_t after = hash_of(&batch);
    ck_assert_int_eq(weft_batches_get(batches, 2, &batch), WEFT_OK);
    ck_assert_uint_eq(hash_of(&batch), after);
    weft_batches_free(batches);
    drop(&f);
}
END_TEST

START_TEST(long_sentences)
{
    fixture f = make(N_SENTENCES, true, true);
    weft_batches *batches;
    weft_batches_spec spec = { .batch_tokens = 8 };
    ck_assert_int_eq(weft_batches_new(f.corpus, &spec, &batches), WEFT_ERR_INPUT);
    ck_assert_ptr_null(batches);
    int64_t first = 0;
    while (length_of(first, 0) <= 7 && length_of(first, 1) <= 7) first++;
    const int n_source = length_of(first, 0) + 1, n_target = length_of(first, 1) + 1;
    char expected[256];
    snprintf(
        expected, sizeof expected,
        "sentence %d has %d %s tokens, more than a batch holds (8): raise batch_tokens, or set "
        "max_length to leave such sentences out",
        (int)first + 1, n_source > n_target ? n_source : n_target,
        n_source > n_target ? "source" : "target");
    ck_assert_str_eq(weft_message(), expected);

    spec.max_length = 6;
    batches = iterate(&f, spec);
    int64_t n_fitting = 0, n_seen = 0;
    for (int64_t i = 0; i < N_SENTENCES; i++) {
        n_fitting += length_of(i, 0) < 6 && length_of(i, 1) < 6;
    }
    ck_assert_int_eq(weft_batches_get_limits(batches).dropped, N_SENTENCES - n_fitting);
    for (int64_t i = 0; i < weft_batches_count(batches); i++) {
        weft_batch batch;
        weft_batches_next(batches, &batch);
        check_batch(&f, &batch);
        n_seen += batch.target.B;
    }
    ck_assert_int_eq(n_seen, n_fitting);
    weft_batches_free(batches);
    drop(&f);

    f = make(2, true, true);
    spec.max_length = 1;
    ck_assert_int_eq(weft_batches_new(f.corpus, &spec, &batches), WEFT_ERR_INPUT);
    ck_assert_str_eq(weft_message(), "all 2 sentences are longer than max_length (1)");
    spec = (weft_batches_spec){ .batch_tokens = 1, .max_length = 100 };
    ck_assert_int_eq(weft_batches_new(f.corpus, &spec, &batches), WEFT_ERR_INPUT);
    ck_assert_str_eq(weft_message(), "all 2 sentences are longer than batch_tokens (1)");
    drop(&f);
}
END_TEST

/* Beside max_length it is batch_tokens that leaves sentences out; in order these are batches of their
 * own. */
START_TEST(sentences_longer_than_a_batch)
{
    fixture f = make(N_SENTENCES, true, true);
    weft_batches_spec spec = { .batch_tokens = 8, .max_length = 11 };
    int64_t n_fitting = 0, n_kept = 0, n_seen = 0, n_alone = 0;
    for (int64_t i = 0; i < N_SENTENCES; i++) {
        n_fitting += length_of(i, 0) < 8 && length_of(i, 1) < 8;
        n_kept += length_of(i, 0) < 11 && length_of(i, 1) < 11;
    }
    weft_batches *batches = iterate(&f, spec);
    ck_assert_int_eq(weft_batches_get_limits(batches).too_long, N_SENTENCES - n_fitting);
    weft_batches_free(batches);

    spec.in_order = true;
    batches = iterate(&f, spec);
    ck_assert_int_eq(weft_batches_get_limits(batches).too_long, N_SENTENCES - n_kept);
    for (int64_t i = 0; i < weft_batches_count(batches); i++) {
        weft_batch batch;
        ck_assert_int_eq(weft_batches_get(batches, i, &batch), WEFT_OK);
        check_batch(&f, &batch);
        const bool is_large = batch.source.N > 8 || batch.target.N > 8;
        ck_assert(!is_large || batch.target.B == 1);
        n_alone += is_large;
        n_seen += batch.target.B;
    }
    ck_assert_int_eq(n_seen, n_kept);
    ck_assert_int_eq(n_alone, n_kept - n_fitting);
    weft_batches_free(batches);
    drop(&f);
}
END_TEST

START_TEST(uneven_sentences)
{
    fixture f = make(N_SENTENCES, true, true);
    const weft_batches_spec spec = { .batch_tokens = BATCH_TOKENS,
                                     .max_length = 9,
                                     .max_ratio = 2 };
    weft_batches *batches = iterate(&f, spec);
    int64_t n_long = 0, n_uneven = 0, first = -1, n_seen = 0;
    for (int64_t i = 0; i < N_SENTENCES; i++) {
        const int a = length_of(i, 0), b = length_of(i, 1);
        const bool is_long = a >= 9 || b >= 9, is_uneven = !is_long && (a > 2 * b || b > 2 * a);
        n_long += is_long;
        n_uneven += is_uneven;
        if (first < 0 && (is_long || is_uneven)) first = i;
    }
    const weft_batches_limits limits = weft_batches_get_limits(batches);
    ck_assert(n_long > 20 && n_uneven > 20);
    ck_assert_int_eq(limits.too_long, n_long);
    ck_assert_int_eq(limits.uneven, n_uneven);
    ck_assert_int_eq(limits.dropped, n_long + n_uneven);
    ck_assert_int_eq(limits.first_dropped, first);
    for (int64_t i = 0; i < weft_batches_count(batches); i++) {
        weft_batch batch;
        weft_batches_next(batches, &batch);
        check_batch(&f, &batch);
        n_seen += batch.target.B;
    }
    ck_assert_int_eq(n_seen, N_SENTENCES - limits.dropped);
    weft_batches_free(batches);

    weft_corpus_free(f.corpus);
    f.corpus = weft_corpus_new();
    ck_assert_int_eq(weft_corpus_add(f.corpus, "a b c", "a"), WEFT_OK);
    ck_assert_int_eq(weft_corpus_encode(f.corpus, f.vocab, f.vocab), WEFT_OK);
    ck_assert_int_eq(weft_batches_new(f.corpus, &spec, &batches), WEFT_ERR_INPUT);
    ck_assert_str_eq(weft_message(), "no sentence is left: 0 are longer than max_length (9), 1 "
                                     "differ in length by more than max_ratio (2)");
    drop(&f);
}
END_TEST

START_TEST(misuse)
{
    fixture f = make(20, true, true);
    weft_batches *batches;
    const weft_batches_spec wrong[] = { { .batch_tokens = 0 },
                                        { .batch_tokens = INT32_MAX },
                                        { .batch_tokens = 50, .max_length = INT32_MAX },
                                        { .batch_tokens = 50, .max_length = -1 },
                                        { .batch_tokens = 50, .context = -1 },
                                        { .batch_tokens = 50, .context = 51 } };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        ck_assert_int_eq(weft_batches_new(f.corpus, &wrong[i], &batches), WEFT_ERR_RANGE);
        ck_assert_ptr_null(batches);
    }
    const weft_batches_spec windows = { .batch_tokens = 50, .context = 10 };
    ck_assert_int_eq(weft_batches_new(f.corpus, &windows, &batches), WEFT_ERR_STATE);
    ck_assert_int_eq(weft_corpus_add(f.corpus, "a", "b"), WEFT_OK);
    const weft_batches_spec right = { .batch_tokens = 50 };
    ck_assert_int_eq(weft_batches_new(f.corpus, &right, &batches), WEFT_ERR_STATE);
    ck_assert_str_eq(weft_message(), "the corpus is not encoded (or changed since)");
    weft_batches_free(NULL);
    drop(&f);
}
END_TEST

START_TEST(the_largest_batch)
{
    fixture f = make(N_SENTENCES, true, true);
    weft_batches *batches = iterate(&f, (weft_batches_spec){ .batch_tokens = BATCH_TOKENS });
    weft_batch batch;
    weft_batches_largest(batches, &batch);
    check_batch(&f, &batch);
    const int64_t largest = batch.source.N + batch.target.N;
    int64_t most = 0;
    for (int64_t i = 0; i < 3 * weft_batches_count(batches); i++) {
        weft_batches_next(batches, &batch);
        const int64_t n = batch.source.N + batch.target.N;
        most = n > most ? n : most;
    }
    ck_assert_int_eq(most, largest);
    weft_batches_free(batches);
    drop(&f);
}
END_TEST

/* The parts of a batch, one after the other, are the batch. */
START_TEST(parts_of_a_batch)
{
    fixture f = make(N_SENTENCES, _i != 2, _i != 1);
    weft_batches *batches = iterate(&f, (weft_batches_spec){ .batch_tokens = BATCH_TOKENS });
    weft_batch batch, part;
    for (int64_t i = 0; i < weft_batches_count(batches); i++) {
        weft_batches_next(batches, &batch);
        const int64_t B = _i == 1 ? batch.source.B : batch.target.B;
        for (int64_t k = 1; k <= B + 2; k++) {
            int64_t n_source = 0, n_target = 0, n_sentences = 0;
            for (int64_t j = 0; j < k; j++) {
                ck_assert_int_eq(weft_batches_part(batches, &batch, k, j, &part), WEFT_OK);
                if (part.source.B > 0 || part.target.B > 0) check_batch(&f, &part);
                ck_assert_ptr_eq(part.source.N > 0 ? part.source.ids : NULL,
                                 part.source.N > 0 ? batch.source.ids + n_source : NULL);
                ck_assert_ptr_eq(part.target.N > 0 ? part.target.ids : NULL,
                                 part.target.N > 0 ? batch.target.ids + n_target : NULL);
                n_source += part.source.N;
                n_target += part.target.N;
                n_sentences += _i == 1 ? part.source.B : part.target.B;
                /* No further from the fair share than one sentence. */
                const weft_tokens *x = _i == 1 ? &part.source : &part.target;
                const weft_tokens *all = _i == 1 ? &batch.source : &batch.target;
                ck_assert_int_le(labs((long)(x->N - all->N / k)), 14);
            }
            ck_assert_int_eq(n_source, batch.source.N);
            ck_assert_int_eq(n_target, batch.target.N);
            ck_assert_int_eq(n_sentences, B);
        }
    }
    ck_assert_int_eq(weft_batches_part(batches, &batch, 0, 0, &part), WEFT_ERR_RANGE);
    ck_assert_int_eq(weft_batches_part(batches, &batch, 2, 2, &part), WEFT_ERR_RANGE);
    ck_assert_int_eq(weft_batches_part(batches, &batch, 2, -1, &part), WEFT_ERR_RANGE);
    weft_batches_free(batches);
    drop(&f);
}
END_TEST

/* Documents of 1, 2, 57 and 400 characters; character c of document d is 'a' + (7 d + c) % 26. */
static fixture make_documents(void)
{
    static const int lengths[] = { 1, 2, 57, 400 };
    fixture f = { weft_corpus_new(), NULL };
    const weft_vocab_spec spec = { .tokens = WEFT_TOKENS_CHARS };
    ck_assert_int_eq(weft_vocab_new(&spec, &f.vocab), WEFT_OK);
    for (int d = 0; d < 4; d++) {
        char text[512] = "";
        for (int c = 0; c < lengths[d]; c++) text[c] = (char)('a' + (7 * d + c) % 26);
        ck_assert_int_eq(weft_corpus_add(f.corpus, NULL, text), WEFT_OK);
    }
    ck_assert_int_eq(weft_corpus_count(f.corpus, WEFT_TARGET, f.vocab), WEFT_OK);
    ck_assert_int_eq(weft_vocab_build(f.vocab), WEFT_OK);
    ck_assert_int_eq(weft_corpus_encode(f.corpus, NULL, f.vocab), WEFT_OK);
    return f;
}

/* Every token but a document's first is a label once, its predecessor beside it. */
static void check_windows(const fixture *f, weft_batches *batches, int64_t context)
{
    int64_t n_labels = 0;
    int n_times[32] = { 0 }; /* each token as a predecessor, in the text less in the batches */
    for (int64_t d = 0; d < 4; d++) {
        int64_t n;
        const int32_t *ids = weft_corpus_ids(f->corpus, WEFT_TARGET, d, &n);
        for (int64_t i = 0; i + 1 < n; i++) n_times[ids[i]]++;
        n_labels += n - 1;
    }
    const int64_t n_batches = weft_batches_count(batches);
    for (int64_t i = 0; i < n_batches; i++) {
        weft_batch batch;
        weft_batches_next(batches, &batch);
        const weft_tokens *x = &batch.target;
        ck_assert_int_eq(batch.source.B, 0);
        ck_assert_int_le(x->N, 60);
        for (int64_t b = 0; b < x->B; b++) {
            const int32_t first = x->offsets[b], last = x->offsets[b + 1];
            ck_assert_int_ge(last - first, 1);
            ck_assert_int_le(last - first, context);
            for (int32_t t = first; t < last; t++) {
                ck_assert_int_eq(x->rows[2 * t + 1], t - first);
                const char *now = weft_vocab_token(f->vocab, x->ids[t]);
                const char *next = weft_vocab_token(f->vocab, batch.labels[t]);
                ck_assert_int_eq((now[0] - 'a' + 1) % 26, next[0] - 'a');
                if (t + 1 < last) ck_assert_int_eq(batch.labels[t], x->ids[t + 1]);
                n_times[x->ids[t]]--;
            }
            n_labels -= last - first;
        }
    }
    ck_assert_int_eq(n_labels, 0);
    for (int i = 0; i < 32; i++) ck_assert_int_eq(n_times[i], 0);
}

START_TEST(windows_of_running_text)
{
    fixture f = make_documents();
    weft_batches_spec spec = { .batch_tokens = 60, .context = 16, .seed = 3 };
    weft_batches *batches = iterate(&f, spec);
    for (int epoch = 0; epoch < 20; epoch++) check_windows(&f, batches, spec.context);
    weft_batches_free(batches);
    check_resume(&f, spec);

    spec.in_order = true;
    batches = iterate(&f, spec);
    check_windows(&f, batches, spec.context);
    weft_batch batch; /* full but for the last of a document */
    ck_assert_int_eq(weft_batches_get(batches, 0, &batch), WEFT_OK);
    static const int32_t offsets[] = { 0, 1, 17, 33, 49, 57 };
    ck_assert_int_eq(batch.target.B, 5);
    ck_assert_mem_eq(batch.target.offsets, offsets, sizeof offsets);
    weft_batches_free(batches);
    drop(&f);
}
END_TEST

/* Without the random first cut, windows of 16 from these documents have lengths 1, 8, 15, 16. */
START_TEST(windows_move_from_epoch_to_epoch)
{
    fixture f = make_documents();
    weft_batches *batches = iterate(&f, (weft_batches_spec){ .batch_tokens = 60, .context = 16 });
    bool seen[17] = { false };
    for (int i = 0; i < 200; i++) {
        weft_batch batch;
        weft_batches_next(batches, &batch);
        const int32_t *o = batch.target.offsets;
        for (int64_t b = 0; b < batch.target.B; b++) seen[o[b + 1] - o[b]] = true;
    }
    for (int length = 1; length <= 16; length++) ck_assert(seen[length]);
    weft_batches_free(batches);
    drop(&f);
}
END_TEST

START_TEST(text_without_two_tokens)
{
    fixture f = { weft_corpus_new(), NULL };
    const weft_vocab_spec chars = { .tokens = WEFT_TOKENS_CHARS };
    ck_assert_int_eq(weft_vocab_new(&chars, &f.vocab), WEFT_OK);
    ck_assert_int_eq(weft_vocab_build(f.vocab), WEFT_OK);
    ck_assert_int_eq(weft_corpus_add(f.corpus, NULL, "x"), WEFT_OK);
    ck_assert_int_eq(weft_corpus_encode(f.corpus, NULL, f.vocab), WEFT_OK);
    int64_t n_unknown;
    ck_assert_int_eq(weft_corpus_tokens(f.corpus, WEFT_TARGET, &n_unknown), 1);
    ck_assert_int_eq(n_unknown, 1);
    weft_batches *batches;
    const weft_batches_spec spec = { .batch_tokens = 8, .context = 4 };
    ck_assert_int_eq(weft_batches_new(f.corpus, &spec, &batches), WEFT_ERR_INPUT);
    ck_assert_str_eq(weft_message(), "the text has no two tokens to learn from");
    drop(&f);
}
END_TEST

START_TEST(no_allocation_after_new)
{
    fixture sentences = make(N_SENTENCES, true, true), documents = make_documents();
    weft_batches *batches[2] = {
        iterate(&sentences, (weft_batches_spec){ .batch_tokens = BATCH_TOKENS }),
        iterate(&documents, (weft_batches_spec){ .batch_tokens = 60, .context = 16 })
    };
    const int64_t before = weft_alloc_count();
    for (int k = 0; k < 2; k++) {
        weft_batch batch, part;
        for (int i = 0; i < 300; i++) weft_batches_next(batches[k], &batch);
        ck_assert_int_eq(weft_batches_part(batches[k], &batch, 2, 1, &part), WEFT_OK);
        weft_batches_largest(batches[k], &batch);
        ck_assert_int_eq(weft_batches_seek(batches[k], 5, 1), WEFT_OK);
    }
    ck_assert_int_eq(weft_alloc_count(), before);
    weft_batches_free(batches[0]);
    weft_batches_free(batches[1]);
    drop(&sentences);
    drop(&documents);
}
END_TEST

START_TEST(every_allocation_may_fail)
{
    fixture f = _i == 0 ? make(20, true, true) : make_pieces();
    const weft_batches_spec spec =
        _i == 0 ? (weft_batches_spec){ .batch_tokens = BATCH_TOKENS } : dropout_spec(&f, 0.5);
    int64_t n = 0;
    weft_status status;
    do {
        weft_batches *batches;
        weft_alloc_fail_at(++n, false);
        status = weft_batches_new(f.corpus, &spec, &batches);
        weft_alloc_fail_at(0, false);
        ck_assert_int_lt(n, 100);
        ck_assert_int_eq(status, batches ? WEFT_OK : WEFT_ERR_MEMORY);
        weft_batches_free(batches);
    } while (status != WEFT_OK);
    ck_assert_int_gt(n, 10);
    drop(&f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("data_batches");
    TCase *plan = tcase_create("plan");
    tcase_add_loop_test(plan, each_sentence_once_an_epoch, 0, 3);
    tcase_add_test(plan, bucketed_and_shuffled);
    tcase_add_test(plan, order_depends_on_seed_and_epoch);
    tcase_add_test(plan, both_shuffles_change_with_the_epoch);
    tcase_add_test(plan, in_order_is_the_order_of_the_corpus);
    tcase_add_test(plan, resuming_by_seek);
    tcase_add_test(plan, long_sentences);
    tcase_add_test(plan, sentences_longer_than_a_batch);
    tcase_add_test(plan, uneven_sentences);
    tcase_add_test(plan, the_largest_batch);
    suite_add_tcase(suite, plan);
    TCase *parts = tcase_create("parts");
    tcase_add_loop_test(parts, parts_of_a_batch, 0, 3);
    suite_add_tcase(suite, parts);
    TCase *windows = tcase_create("windows");
    tcase_add_test(windows, windows_of_running_text);
    tcase_add_test(windows, windows_move_from_epoch_to_epoch);
    tcase_add_test(windows, text_without_two_tokens);
    suite_add_tcase(suite, windows);
    TCase *errors = tcase_create("errors");
    tcase_add_test(errors, misuse);
    suite_add_tcase(suite, errors);
    TCase *memory = tcase_create("memory");
    tcase_add_test(memory, no_allocation_after_new);
    tcase_add_loop_test(memory, every_allocation_may_fail, 0, 2);
    suite_add_tcase(suite, memory);
    return run_suite(suite);
}
