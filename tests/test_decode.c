/* test_decode.c - greedy decoding and sampling against the whole prefix recomputed at every step. */
#include "decode_models.h"

#include <math.h>

static weft_status greedy(const model *m, const weft_tokens *source, int64_t max_length,
                          weft_hypotheses *out)
{
    return weft_decode(&(weft_translator){ m->net, m->tape }, 1, source, NULL,
                       &(weft_decode_spec){ .beam = 1, .max_length = max_length }, out);
}

static weft_status greedy_corpus(const model *m, const weft_corpus *corpus, int64_t batch_tokens,
                                 int64_t max_length, weft_hypotheses *out)
{
    return weft_decode_corpus(&(weft_translator){ m->net, m->tape }, 1, corpus, batch_tokens,
                              &(weft_decode_spec){ .beam = 1, .max_length = max_length }, out);
}

/* The likeliest token after target[0 .. n-1], from the logits of the whole prefix. */
static int32_t best_after(const model *m, const weft_tokens *source, const int32_t *target, int n)
{
    const weft_real *const row = weft_value(m->tape, logits_after(m, source, target, n)).real;
    int32_t best = 0;
    for (int32_t i = 1; i < V; i++)
        if (row[i] > row[best]) best = i;
    return best;
}

static void greedy_is_full_prefix(bool pre_norm, weft_position_kind position)
{
    int n_ended = 0, n_cut = 0;
    for (uint64_t seed = 24; seed <= 26; seed++) {
        model m = model_new(false, pre_norm, position, seed);
        sentences s;
        sentences_make(&s);
        weft_hypotheses h = { 0 };
        ck_assert_int_eq(greedy(&m, &s.tokens, 20, &h), WEFT_OK);
        ck_assert_int_eq(h.B, N_SENTENCES);
        ck_assert_int_eq(h.offsets[0], 0);
        for (int b = 0; b < N_SENTENCES; b++) {
            int32_t offsets[2], target[MOST] = { WEFT_BOS };
            const weft_tokens source = one_sentence(&s, b, offsets);
            int n = 0;
            for (; n < 20; n++)
                if ((target[n + 1] = best_after(&m, &source, target, n + 1)) == WEFT_EOS) break;
            ck_assert_int_eq(h.offsets[b + 1] - h.offsets[b], n);
            ck_assert_mem_eq(h.ids + h.offsets[b], target + 1, (size_t)n * sizeof *target);
            n_ended += n < 20;
            n_cut += n == 20;
        }
        weft_hypotheses_free(&h);
        model_free(&m);
    }
    ck_assert_int_gt(n_ended, 2); /* else the test would not see what is to be seen */
    ck_assert_int_gt(n_cut, 2);
}

START_TEST(greedy_post_norm) { greedy_is_full_prefix(false, WEFT_POSITION_SINUSOIDAL); }
END_TEST
START_TEST(greedy_pre_norm) { greedy_is_full_prefix(true, WEFT_POSITION_LEARNED); }
END_TEST

START_TEST(alone_as_in_a_batch)
{
    model m = model_new(false, false, WEFT_POSITION_SINUSOIDAL, 24);
    sentences s;
    sentences_make(&s);
    weft_hypotheses all = { 0 }, one = { 0 };
    ck_assert_int_eq(greedy(&m, &s.tokens, 0, &all), WEFT_OK);
    for (int b = 0; b < N_SENTENCES; b++) {
        int32_t offsets[2];
        const weft_tokens source = one_sentence(&s, b, offsets);
        ck_assert_int_eq(greedy(&m, &source, 0, &one), WEFT_OK);
        ck_assert_int_eq(one.offsets[1], all.offsets[b + 1] - all.offsets[b]);
        ck_assert_mem_eq(one.ids, all.ids + all.offsets[b],
                         (size_t)one.offsets[1] * sizeof *one.ids);
    }
    weft_hypotheses_free(&all);
    weft_hypotheses_free(&one);
    model_free(&m);
}
END_TEST

START_TEST(corpus_in_its_order)
{
    model m = model_new(false, false, WEFT_POSITION_SINUSOIDAL, 24);
    sentences s;
    sentences_make(&s);
    weft_vocab *vocab;
    weft_corpus *corpus = corpus_make(&s, &vocab);
    weft_hypotheses direct = { 0 }, h = { 0 };
    ck_assert_int_eq(greedy(&m, &s.tokens, 9, &direct), WEFT_OK);
    static const int64_t batch_tokens[] = { 1, 7, 20, 4096, INT32_MAX };
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(greedy_corpus(&m, corpus, batch_tokens[i], 9, &h), WEFT_OK);
        ck_assert_int_eq(h.B, N_SENTENCES);
        for (int b = 0; b < N_SENTENCES; b++) { /* an item without tokens: nothing is said */
            const bool empty = s.offsets[b + 1] - s.offsets[b] == 1;
            const int64_t n = empty ? 0 : direct.offsets[b + 1] - direct.offsets[b];
            ck_assert_int_eq(h.offsets[b + 1] - h.offsets[b], n);
            ck_assert_mem_eq(h.ids + h.offsets[b], direct.ids + direct.offsets[b],
                             (size_t)n * sizeof *h.ids);
        }
    }
    ck_assert_int_eq(greedy_corpus(&m, corpus, 0, 9, &h), WEFT_ERR_RANGE);
    ck_assert_int_eq(h.B, N_SENTENCES);
    weft_hypotheses_free(&direct);
    weft_hypotheses_free(&h);
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
    weft_hypotheses first = { 0 }, h = { 0 };
    for (int threads = 1; threads <= 4; threads++) {
        ck_assert_int_eq(weft_threads_set(threads), WEFT_OK);
        ck_assert_int_eq(greedy(&m, &s.tokens, 0, threads == 1 ? &first : &h), WEFT_OK);
        if (threads > 1) same_hypotheses(&first, &h);
    }
    weft_hypotheses_free(&first);
    weft_hypotheses_free(&h);
    model_free(&m);
}
END_TEST

static int64_t longest(const weft_hypotheses *h, const sentences *s, bool beyond_source)
{
    int64_t most = -1;
    for (int b = 0; b < N_SENTENCES; b++) {
        const int64_t n_source = s->offsets[b + 1] - s->offsets[b] - 1;
        const int64_t n = h->offsets[b + 1] - h->offsets[b] - (beyond_source ? n_source : 0);
        if (most < n) most = n;
    }
    return most;
}

START_TEST(length_has_a_limit)
{
    sentences s;
    sentences_make(&s);
    weft_hypotheses h = { 0 };
    model m = model_new(false, false, WEFT_POSITION_SINUSOIDAL, 1);
    ck_assert_int_eq(greedy(&m, &s.tokens, 1, &h), WEFT_OK);
    ck_assert_int_eq(longest(&h, &s, false), 1);
    ck_assert_int_eq(greedy(&m, &s.tokens, 0, &h), WEFT_OK);
    ck_assert_int_eq(longest(&h, &s, true), 50);
    model_free(&m);
    m = model_new(false, true, WEFT_POSITION_LEARNED, 1);
    ck_assert_int_eq(greedy(&m, &s.tokens, 0, &h), WEFT_OK);
    ck_assert_int_eq(longest(&h, &s, false), 24);
    model_free(&m);
    weft_hypotheses_free(&h);
}
END_TEST

static const int32_t prompt[] = { WEFT_BOS, 5, 8 };
enum { N_PROMPT = 3 };

static void sample(const model *m, const weft_sample_spec *spec, weft_hypotheses *h)
{
    ck_assert_msg(weft_sample(m->net, m->tape, prompt, N_PROMPT, spec, h) == WEFT_OK, "%s",
                  weft_message());
}

/* The likeliest text through windows: a full one forgets its older half. */
START_TEST(sample_is_full_prefix)
{
    static const int64_t contexts[] = { 0, 1, 2, 3, 7 };
    for (int c = 0; c < 10; c++) {
        const bool learned = c >= 5;
        model m =
            model_new(true, learned, learned ? WEFT_POSITION_LEARNED : WEFT_POSITION_SINUSOIDAL, 7);
        const int64_t context = contexts[c % 5], window = context ? context : learned ? 24 : MOST;
        const weft_sample_spec spec = { .n_tokens = 60, .context = context };
        weft_hypotheses h = { 0 };
        sample(&m, &spec, &h);
        int32_t text[MOST];
        int64_t begin = 0, n = N_PROMPT;
        memcpy(text, prompt, sizeof prompt);
        if (n > window) begin = n - window;
        for (; n < N_PROMPT + 60; n++) {
            if (n - begin > window) begin = n - (window > 1 ? window / 2 : 1);
            text[n] = best_after(&m, NULL, text + begin, (int)(n - begin));
            if (text[n] == WEFT_EOS) break;
        }
        ck_assert_int_eq(h.B, 1);
        ck_assert_int_eq(h.offsets[1], n - N_PROMPT);
        ck_assert_mem_eq(h.ids, text + N_PROMPT, (size_t)h.offsets[1] * sizeof *text);
        weft_hypotheses_free(&h);
        model_free(&m);
    }
}
END_TEST

START_TEST(sample_is_determined_by_its_seed)
{
    model m = model_new(true, true, WEFT_POSITION_SINUSOIDAL, 7);
    weft_sample_spec spec = { .n_tokens = 30, .temperature = 3, .seed = 9 };
    weft_hypotheses a = { 0 }, b = { 0 };
    sample(&m, &spec, &a);
    ck_assert_int_eq(weft_threads_set(3), WEFT_OK);
    sample(&m, &spec, &b);
    same_hypotheses(&a, &b);
    const int64_t n = a.offsets[1];
    ck_assert_int_gt(n, 3);
    spec.n_tokens = n - 2; /* a shorter text is the beginning of the longer one */
    sample(&m, &spec, &b);
    ck_assert_int_eq(b.offsets[1], n - 2);
    ck_assert_mem_eq(a.ids, b.ids, (size_t)(n - 2) * sizeof *a.ids);
    spec.seed = 10;
    sample(&m, &spec, &b);
    ck_assert_int_ne(memcmp(a.ids, b.ids, (size_t)b.offsets[1] * sizeof *a.ids), 0);
    spec = (weft_sample_spec){ .n_tokens = 30 };
    sample(&m, &spec, &a);
    spec.temperature = 3;
    spec.top_k = 1; /* one to choose from is no choice */
    sample(&m, &spec, &b);
    same_hypotheses(&a, &b);
    weft_hypotheses_free(&a);
    weft_hypotheses_free(&b);
    model_free(&m);
}
END_TEST

/* Neither what was said nor the prompt is repeated, whether the likeliest is taken or any is drawn. */
START_TEST(sample_repeats_no_ngram)
{
    for (int i = 0; i < 6; i++) {
        const int64_t n = 1 + i / 2;
        int n_free = 0;
        for (uint64_t seed = 0; seed < 10; seed++) {
            model m = model_new(true, false, WEFT_POSITION_SINUSOIDAL, seed);
            for (int barred = 0; barred < 2; barred++) {
                const weft_sample_spec spec = { .n_tokens = 40,
                                                .temperature = i % 2,
                                                .no_repeat_ngram = barred ? n : 0 };
                weft_hypotheses h = { 0 };
                int32_t text[N_PROMPT + 40];
                sample(&m, &spec, &h);
                memcpy(text, prompt, sizeof prompt);
                memcpy(text + N_PROMPT, h.ids, (size_t)h.offsets[1] * sizeof *text);
                const bool repeat = has_repeat(text, N_PROMPT + h.offsets[1], n);
                ck_assert(!(barred && repeat));
                n_free += repeat;
                weft_hypotheses_free(&h);
            }
            model_free(&m);
        }
        ck_assert_int_gt(n_free, 2); /* else there was nothing to bar */
    }
}
END_TEST

/* How often each token comes first, over many seeds, against its probability. */
START_TEST(sample_frequencies)
{
    enum { N_DRAWS = 4000, TOP_K = 5 };
    const double temperature = 1.7;
    model m = model_new(true, true, WEFT_POSITION_SINUSOIDAL, 5);
    int32_t offsets[] = { 0, N_PROMPT }, rows[] = { 0, 0, 0, 1, 0, 2 };
    const weft_tokens read = { 1, N_PROMPT, prompt, offsets, rows };
    weft_tape_reset(m.tape);
    const weft_var x = weft_transformer_decode(m.net, m.tape, &read, WEFT_NIL, NULL);
    const weft_tensor t = weft_value(m.tape, weft_transformer_logits(m.net, m.tape, x));
    double p[V], sum = 0;
    for (int i = 0; i < V; i++) {
        const weft_real *const logit = t.real + (N_PROMPT - 1) * V;
        int n_larger = 0;
        for (int k = 0; k < V; k++) n_larger += logit[k] > logit[i];
        p[i] = n_larger < TOP_K ? exp((double)logit[i] / temperature) : 0;
        sum += p[i];
    }
    int count[V] = { 0 };
    weft_hypotheses h = { 0 };
    for (uint64_t seed = 0; seed < N_DRAWS; seed++) {
        const weft_sample_spec spec = {
            .n_tokens = 1, .temperature = temperature, .top_k = TOP_K, .seed = seed
        };
        sample(&m, &spec, &h);
        count[h.offsets[1] == 0 ? WEFT_EOS : h.ids[0]]++;
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

START_TEST(misuse)
{
    model both = model_new(false, false, WEFT_POSITION_LEARNED, 1);
    model alone = model_new(true, false, WEFT_POSITION_SINUSOIDAL, 1);
    weft_tape *records = weft_tape_new(0);
    sentences s;
    sentences_make(&s);
    weft_hypotheses h = { 0 };
    refused(greedy(&alone, &s.tokens, 0, &h), WEFT_ERR_STATE, "no encoder");
    refused(greedy(&(model){ both.params, both.net, records }, &s.tokens, 0, &h), WEFT_ERR_STATE,
            "WEFT_NO_GRAD");
    refused(greedy(&both, &s.tokens, -1, &h), WEFT_ERR_RANGE, "-1");
    s.ids[0] = V;
    refused(greedy(&both, &s.tokens, 0, &h), WEFT_ERR_RANGE, "11");
    weft_sample_spec spec = { .n_tokens = 3 };
    refused(weft_sample(both.net, both.tape, prompt, 3, &spec, &h), WEFT_ERR_STATE, "an encoder");
    refused(weft_sample(alone.net, alone.tape, prompt, 0, &spec, &h), WEFT_ERR_RANGE, "at least");
    spec.temperature = -1;
    refused(weft_sample(alone.net, alone.tape, prompt, 3, &spec, &h), WEFT_ERR_RANGE,
            "temperature");
    spec.temperature = (double)NAN;
    refused(weft_sample(alone.net, alone.tape, prompt, 3, &spec, &h), WEFT_ERR_RANGE,
            "temperature");
    spec.temperature = 1;
    spec.top_k = -1;
    refused(weft_sample(alone.net, alone.tape, prompt, 3, &spec, &h), WEFT_ERR_RANGE, "top_k");
    spec.top_k = 0;
    spec.no_repeat_ngram = -1;
    refused(weft_sample(alone.net, alone.tape, prompt, 3, &spec, &h), WEFT_ERR_RANGE, "ngram -1");
    spec.no_repeat_ngram = 0;
    weft_params_value(alone.params, 0).real[5 * 16] = (weft_real)NAN; /* of the prompt's 5 */
    refused(weft_sample(alone.net, alone.tape, prompt, 3, &spec, &h), WEFT_ERR_NUMERIC, "logit");
    ck_assert_ptr_null(h.offsets);
    weft_tape_free(records);
    model_free(&both);
    model_free(&alone);
}
END_TEST

START_TEST(source_beyond_what_a_model_takes)
{
    model m = model_new(false, false, WEFT_POSITION_LEARNED, 1);
    weft_vocab *vocab;
    sentences s;
    sentences_make(&s);
    weft_corpus *corpus = corpus_make(&s, &vocab);
    weft_hypotheses h = { 0 };
    ck_assert_int_eq(weft_corpus_add(corpus, "abcdefghabcdefghabcdefg", NULL), WEFT_OK);
    ck_assert_int_eq(weft_corpus_encode(corpus, vocab, NULL), WEFT_OK);
    ck_assert_int_eq(greedy_corpus(&m, corpus, 99, 0, &h), WEFT_OK);
    ck_assert_int_eq(weft_corpus_add(corpus, "abcdefghabcdefghabcdefgh", NULL), WEFT_OK);
    ck_assert_int_eq(weft_corpus_encode(corpus, vocab, NULL), WEFT_OK);
    refused(greedy_corpus(&m, corpus, 99, 0, &h), WEFT_ERR_INPUT,
            "sentence 14 has 24 tokens; model.max_positions is 24");
    m.net->config.position = WEFT_POSITION_SINUSOIDAL;
    m.net->config.layer.approximation =
        (weft_approximation){ .kind = WEFT_BY_PROJECTION, .longest = 20 };
    refused(greedy_corpus(&m, corpus, 99, 0, &h), WEFT_ERR_INPUT,
            "sentence 13 has 23 tokens; model.linformer_length is 20");
    weft_hypotheses_free(&h);
    weft_corpus_free(corpus);
    weft_vocab_free(vocab);
    model_free(&m);
}
END_TEST

/* Every allocation fails once: an error, nothing lost, and then it works. */
START_TEST(memory_runs_out)
{
    model m = model_new(false, false, WEFT_POSITION_SINUSOIDAL, 1);
    model d = model_new(true, false, WEFT_POSITION_SINUSOIDAL, 1);
    weft_vocab *vocab;
    sentences s;
    sentences_make(&s);
    weft_corpus *corpus = corpus_make(&s, &vocab);
    const weft_sample_spec spec = { .n_tokens = 12, .temperature = 1 };
    for (int which = 0; which < 2; which++) {
        weft_hypotheses first = { 0 }, h = { 0 };
        weft_status status = WEFT_ERR_MEMORY;
        int64_t n = 0;
        while (status != WEFT_OK) {
            weft_alloc_fail_at(++n, false);
            status = which == 0 ? greedy_corpus(&m, corpus, 30, 8, &h)
                                : weft_sample(d.net, d.tape, prompt, N_PROMPT, &spec, &h);
            weft_alloc_fail_at(0, false);
            if (status == WEFT_OK) break;
            ck_assert_int_eq(status, WEFT_ERR_MEMORY);
            ck_assert_ptr_null(h.offsets);
        }
        ck_assert_int_gt(n, 6);
        ck_assert_int_eq(which == 0 ? greedy_corpus(&m, corpus, 30, 8, &first)
                                    : weft_sample(d.net, d.tape, prompt, N_PROMPT, &spec, &first),
                         WEFT_OK);
        same_hypotheses(&first, &h);
        weft_hypotheses_free(&first);
        weft_hypotheses_free(&h);
    }
    weft_corpus_free(corpus);
    weft_vocab_free(vocab);
    model_free(&m);
    model_free(&d);
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
    Suite *suite = suite_create("decode");
    add_case(suite, tcase_create("greedy"),
             (const TTest *[]){ greedy_post_norm, greedy_pre_norm, length_has_a_limit }, 3);
    add_case(suite, tcase_create("batches"),
             (const TTest *[]){ alone_as_in_a_batch, corpus_in_its_order }, 2);
    add_case(suite, tcase_create("threads"), (const TTest *[]){ any_number_of_threads }, 1);
    add_case(suite, tcase_create("sample"),
             (const TTest *[]){ sample_is_full_prefix, sample_is_determined_by_its_seed,
                                sample_repeats_no_ngram, sample_frequencies },
             4);
    add_case(suite, tcase_create("errors"),
             (const TTest *[]){ misuse, source_beyond_what_a_model_takes }, 2);
    add_case(suite, tcase_create("memory"), (const TTest *[]){ memory_runs_out }, 1);
    return run_suite(suite);
}
