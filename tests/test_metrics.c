/* precision: float. Metrics against sacreBLEU 2.6.0 on the vectors in golden/sacrebleu. */
#include "check_main.h"
#include "train/metrics.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

#define GOLDEN WEFT_SOURCE_DIR "/tests/golden/sacrebleu/"

enum { MAX_REFS = 3, LINE_BYTES = 4096 };

static weft_metric *new_of(const weft_metric_spec *spec)
{
    weft_metric *metric;
    ck_assert_msg(weft_metric_new(spec, &metric) == WEFT_OK, "%d references: %s", spec->n_refs,
                  weft_message());
    return metric;
}

static weft_metric *new_metric(weft_metric_kind kind, int n_refs, bool lowercase)
{
    return new_of(&(weft_metric_spec){ .kind = kind, .n_refs = n_refs, .lowercase = lowercase });
}

/* Read a line without its end; false at the end of the file. */
static bool read_line(FILE *file, char line[LINE_BYTES])
{
    if (fgets(line, LINE_BYTES, file) == NULL) return false;
    ck_assert(strchr(line, '\n') != NULL);
    line[strcspn(line, "\n")] = '\0';
    return true;
}

/* The score of the corpus golden/sacrebleu/NAME. */
static weft_metric *score_corpus(const char *name, weft_metric_spec spec)
{
    char path[512], line[MAX_REFS + 1][LINE_BYTES];
    FILE *file[MAX_REFS + 1];
    snprintf(path, sizeof path, GOLDEN "%s.hyp", name);
    file[0] = fopen(path, "r");
    ck_assert_msg(file[0] != NULL, "%s", path);
    int n_refs = 0;
    for (; n_refs < MAX_REFS; n_refs++) {
        snprintf(path, sizeof path, GOLDEN "%s.ref%d", name, n_refs);
        file[n_refs + 1] = fopen(path, "r");
        if (file[n_refs + 1] == NULL) break;
    }
    spec.n_refs = n_refs;
    weft_metric *metric = new_of(&spec);
    while (read_line(file[0], line[0])) {
        const char *refs[MAX_REFS];
        for (int i = 0; i < n_refs; i++) {
            ck_assert(read_line(file[i + 1], line[i + 1]));
            refs[i] = line[i + 1];
        }
        ck_assert_msg(weft_metric_add(metric, line[0], refs) == WEFT_OK, "%s", weft_message());
    }
    for (int i = 0; i <= n_refs; i++) fclose(file[i]);
    return metric;
}

static void assert_near(const char *name, const char *what, double got, double wanted)
{
    ck_assert_msg(fabs(got - wanted) <= 1e-12 * fabs(wanted), "%s %s: %.17g, sacreBLEU %.17g", name,
                  what, got, wanted);
}

static void assert_score(const char *name, const json_t *expected, const char *key,
                         weft_metric_spec spec)
{
    weft_metric *metric = score_corpus(name, spec);
    const json_t *wanted = json_object_get(expected, key);
    ck_assert(json_is_number(wanted));
    assert_near(name, key, weft_metric_score(metric), json_number_value(wanted));
    weft_metric_free(metric);
}

static void assert_bleu_parts(const char *name, const json_t *expected)
{
    char line[WEFT_METRIC_TEXT];
    weft_metric *metric = score_corpus(name, (weft_metric_spec){ .kind = WEFT_METRIC_BLEU });
    const weft_bleu bleu = weft_metric_bleu(metric);
    assert_near(name, "bp", bleu.brevity, json_number_value(json_object_get(expected, "bp")));
    ck_assert_int_eq(bleu.hypothesis_words,
                     json_integer_value(json_object_get(expected, "sys_len")));
    ck_assert_int_eq(bleu.reference_words,
                     json_integer_value(json_object_get(expected, "ref_len")));
    for (size_t i = 0; i < WEFT_BLEU_ORDER; i++) {
        const json_t *counts = json_object_get(expected, "counts");
        const json_t *totals = json_object_get(expected, "totals");
        ck_assert_int_eq(bleu.matches[i], json_integer_value(json_array_get(counts, i)));
        ck_assert_int_eq(bleu.ngrams[i], json_integer_value(json_array_get(totals, i)));
    }
    ck_assert_str_eq(weft_metric_line(metric, line),
                     json_string_value(json_object_get(expected, "line")));
    weft_metric_free(metric);
}

static const struct {
    const char *key; /* in expected.json */
    weft_metric_spec spec;
} expectations[] = {
    { "bleu", { .kind = WEFT_METRIC_BLEU } },
    { "bleu_lc", { .kind = WEFT_METRIC_BLEU, .lowercase = true } },
    { "bleu_floor", { .kind = WEFT_METRIC_BLEU, .smoothing = WEFT_SMOOTH_FLOOR } },
    { "bleu_addk", { .kind = WEFT_METRIC_BLEU, .smoothing = WEFT_SMOOTH_ADD_K } },
    { "bleu_nosmooth", { .kind = WEFT_METRIC_BLEU, .smoothing = WEFT_SMOOTH_NONE } },
    { "chrf", { .kind = WEFT_METRIC_CHRF } },
    { "chrf_lc", { .kind = WEFT_METRIC_CHRF, .lowercase = true } },
    { "chrf++", { .kind = WEFT_METRIC_CHRF_PLUS_PLUS } },
};

START_TEST(equals_sacrebleu_on_every_corpus)
{
    json_error_t error;
    json_t *all = json_load_file(GOLDEN "expected.json", 0, &error);
    ck_assert_msg(all != NULL, "%s", error.text);
    ck_assert_uint_eq(json_object_size(all), 32);
    const char *name;
    json_t *expected;
    json_object_foreach(all, name, expected)
    {
        assert_bleu_parts(name, expected);
        for (size_t i = 0; i < sizeof expectations / sizeof *expectations; i++)
            assert_score(name, expected, expectations[i].key, expectations[i].spec);
    }
    json_decref(all);
}
END_TEST

START_TEST(tokeniser_equals_sacrebleu)
{
    FILE *file = fopen(GOLDEN "tok13a.tsv", "r");
    ck_assert(file != NULL);
    char line[LINE_BYTES];
    int n_cases = 0;
    for (; read_line(file, line); n_cases++) {
        char *tab = strchr(line, '\t');
        ck_assert(tab != NULL);
        *tab = '\0';
        json_t *input = json_loads(line, JSON_DECODE_ANY, NULL);
        json_t *wanted = json_loads(tab + 1, JSON_DECODE_ANY, NULL);
        char *words = weft_tokenise_13a(json_string_value(input));
        ck_assert_msg(words != NULL, "%s", weft_message());
        ck_assert_str_eq(words, json_string_value(wanted));
        weft_free(words);
        json_decref(input);
        json_decref(wanted);
    }
    fclose(file);
    ck_assert_int_eq(n_cases, 56);
}
END_TEST

/* "-\n", "\n" and spaces at the end come from the API alone, never from a file of lines. */
START_TEST(tokeniser_joins_lines)
{
    char *words = weft_tokenise_13a("a hy-\nphen and\nmore 5-\n \xC2\xA0");
    ck_assert_str_eq(words, "a hyphen and more 5 -");
    weft_free(words);
}
END_TEST

static double score_one(weft_metric_kind kind, bool lowercase, const char *hypothesis,
                        const char *reference)
{
    weft_metric *metric = new_metric(kind, 1, lowercase);
    ck_assert_int_eq(weft_metric_add(metric, hypothesis, &reference), WEFT_OK);
    ck_assert_int_eq(weft_metric_segments(metric), 1);
    const double score = weft_metric_score(metric);
    weft_metric_free(metric);
    return score;
}

START_TEST(lower_case_is_unicodes_full_mapping)
{
    /* hypothesis in capitals, what Python's str.lower() makes of it */
    static const char *const pairs[][2] = {
        { "STRASSE \xC3\x84\xC3\x96", "strasse \xC3\xA4\xC3\xB6" },
        { "\xC4\xB0", "i\xCC\x87" },                  /* I with dot above */
        { "\xCE\x91\xCE\xA3", "\xCE\xB1\xCF\x82" },   /* final sigma */
        { "\xCE\x91\xCE\xA3.", "\xCE\xB1\xCF\x82." }, /* a period is ignorable */
        { "\xCE\x91\xCE\xA3'\xCE\x91", "\xCE\xB1\xCF\x83'\xCE\xB1" },
        { "\xCE\xA3", "\xCF\x83" }, /* nothing before it */
        { "1\xCE\xA3", "1\xCF\x83" },
        { "\xCE\x91\xCE\xA3\xC2\xAA", "\xCE\xB1\xCF\x83\xC2\xAA" }, /* an ordinal has case */
        { "\xE1\xBA\x9E", "\xC3\x9F" },                             /* capital sharp s */
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        ck_assert_msg(score_one(WEFT_METRIC_EXACT, true, pairs[i][0], pairs[i][1]) == 100,
                      "pair %zu", i);
        ck_assert(score_one(WEFT_METRIC_EXACT, false, pairs[i][0], pairs[i][1]) == 0);
    }
}
END_TEST

START_TEST(exact_match_counts_equal_segments)
{
    weft_metric *metric = new_metric(WEFT_METRIC_EXACT, 2, false);
    static const char *const refs[] = { "a b", "a  b" };
    static const char *const hypotheses[] = { "a b", "a  b", "a b ", "A b" };
    char text[WEFT_METRIC_TEXT];
    ck_assert_str_eq(weft_metric_line(metric, text), "exact match: 0.00 % (0 of 0)");
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(weft_metric_add(metric, hypotheses[i], refs), WEFT_OK);
    }
    ck_assert_str_eq(weft_metric_line(metric, text), "exact match: 50.00 % (2 of 4)");
    ck_assert_str_eq(weft_metric_signature(metric, text),
                     "exact|nrefs:2|case:mixed|version:weft-" WEFT_VERSION);
    weft_metric_free(metric);
}
END_TEST

/* References that score alike but differ in length: the first one's counts are taken. */
START_TEST(chrf_ties_go_to_the_first_reference)
{
    static const char *const refs[2][2] = { { "x", "xyz" }, { "abcd", "abcd" } };
    weft_metric *metric = new_metric(WEFT_METRIC_CHRF, 2, false);
    ck_assert_int_eq(weft_metric_add(metric, "q", refs[0]), WEFT_OK);
    ck_assert_int_eq(weft_metric_add(metric, "abcd", refs[1]), WEFT_OK);
    assert_near("tie", "chrf", weft_metric_score(metric), 95.0); /* 74.7 with the second */
    weft_metric_free(metric);
}
END_TEST

START_TEST(signatures_have_sacrebleus_form)
{
    char text[WEFT_METRIC_TEXT];
    weft_metric *bleu = new_metric(WEFT_METRIC_BLEU, 3, true);
    ck_assert_str_eq(weft_metric_signature(bleu, text),
                     "BLEU|nrefs:3|case:lc|eff:no|tok:13a|smooth:exp|version:weft-" WEFT_VERSION);
    weft_metric_free(bleu);
    weft_metric *chrf = new_metric(WEFT_METRIC_CHRF, 1, false);
    ck_assert_str_eq(
        weft_metric_signature(chrf, text),
        "chrF2|nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:weft-" WEFT_VERSION);
    ck_assert_str_eq(weft_metric_line(chrf, text), "chrF2 = 0.00");
    weft_metric_free(chrf);
}
END_TEST

/* Against itself nothing is luck; against a worse system little; the same seed draws the same. */
START_TEST(paired_bootstrap)
{
    const weft_metric_spec spec = { .kind = WEFT_METRIC_BLEU, .keep_segments = true };
    weft_metric *good = score_corpus("en.p10", spec), *bad = score_corpus("en.p70", spec);
    weft_comparison same, other, again;
    ck_assert_int_eq(weft_metric_compare(good, good, 200, 1, &same), WEFT_OK);
    ck_assert_double_eq(same.system[0].score, weft_metric_score(good));
    ck_assert_double_eq(same.system[0].mean, same.system[1].mean);
    ck_assert_double_eq(same.p, 1);
    ck_assert_double_lt(fabs(same.system[0].mean - same.system[0].score), 1.5);
    ck_assert_double_gt(same.system[0].half_width, 0.3);
    ck_assert_double_lt(same.system[0].half_width, 5);
    ck_assert_int_eq(weft_metric_compare(good, bad, 200, 1, &other), WEFT_OK);
    ck_assert_double_eq(other.p, 1.0 / 201);
    ck_assert_double_eq(other.system[1].score, weft_metric_score(bad));
    ck_assert_int_eq(weft_metric_compare(good, bad, 200, 1, &again), WEFT_OK);
    ck_assert_mem_eq(&other, &again, sizeof other);
    ck_assert_int_eq(weft_metric_compare(good, bad, 200, 2, &again), WEFT_OK);
    ck_assert_double_ne(other.system[0].mean, again.system[0].mean);

    weft_metric *few = new_of(&(weft_metric_spec){ .n_refs = 1, .keep_segments = true });
    weft_metric *loose = score_corpus("en.p10", (weft_metric_spec){ .kind = WEFT_METRIC_BLEU });
    weft_metric *chrf = score_corpus(
        "en.p10", (weft_metric_spec){ .kind = WEFT_METRIC_CHRF, .keep_segments = true });
    ck_assert_int_eq(weft_metric_compare(good, bad, 0, 1, &again), WEFT_ERR_RANGE);
    ck_assert_int_eq(weft_metric_compare(good, few, 9, 1, &again), WEFT_ERR_STATE);
    ck_assert_int_eq(weft_metric_compare(good, loose, 9, 1, &again), WEFT_ERR_STATE);
    ck_assert_int_eq(weft_metric_compare(good, chrf, 9, 1, &again), WEFT_ERR_STATE);
    for (int64_t n = 1; n <= 3; n++) {
        weft_alloc_fail_at(n, false);
        ck_assert_int_eq(weft_metric_compare(good, bad, 9, 1, &again), WEFT_ERR_MEMORY);
        weft_alloc_fail_at(0, false);
    }
    weft_metric_free(good);
    weft_metric_free(bad);
    weft_metric_free(few);
    weft_metric_free(loose);
    weft_metric_free(chrf);
}
END_TEST

START_TEST(no_segments_score_nothing)
{
    char text[WEFT_METRIC_TEXT];
    weft_metric *bleu = new_metric(WEFT_METRIC_BLEU, 1, false);
    ck_assert_str_eq(
        weft_metric_line(bleu, text),
        "BLEU = 0.00 0.0/0.0/0.0/0.0 (BP = 1.000 ratio = 0.000 hyp_len = 0 ref_len = 0)");
    weft_metric_free(bleu);
}
END_TEST

START_TEST(bad_input_gets_a_sentence)
{
    weft_metric *none;
    ck_assert_int_eq(weft_metric_new(&(weft_metric_spec){ .n_refs = 0 }, &none), WEFT_ERR_RANGE);
    ck_assert_ptr_null(none);
    ck_assert_str_eq(weft_message(), "metric: n_refs is 0, at least 1 reference is needed");
    static const weft_metric_kind kinds[] = { WEFT_METRIC_BLEU, WEFT_METRIC_CHRF,
                                              WEFT_METRIC_EXACT };
    for (int i = 0; i < 6; i++) {
        weft_metric *metric = new_metric(kinds[i / 2], 2, i % 2 == 1);
        const char *good[] = { "x", "y" }, *bad[] = { "x", "caf\xC3" };
        ck_assert_int_eq(weft_metric_add(metric, "ab\xFF", good), WEFT_ERR_INPUT);
        ck_assert_str_eq(weft_message(), "hypothesis: not valid UTF-8 at byte 3");
        ck_assert_int_eq(weft_metric_add(metric, "ab", bad), WEFT_ERR_INPUT);
        ck_assert_str_eq(weft_message(), "reference 2: not valid UTF-8 at byte 4");
        ck_assert_int_eq(weft_metric_segments(metric), 0);
        weft_metric_free(metric);
    }
    ck_assert_ptr_null(weft_tokenise_13a("\xED\xA0\x80")); /* a surrogate */
}
END_TEST

/* Every allocation fails once; what was counted before stays, and the segment can be added again.
 */
START_TEST(no_memory_is_an_error_and_loses_nothing)
{
    static const char *const refs[] = { "the cat sat on the mat", "a cat sat on mats" };
    for (int kind = WEFT_METRIC_BLEU; kind <= WEFT_METRIC_EXACT; kind++) {
        int n_failed = 0;
        for (int64_t n = 1;; n++) {
            weft_alloc_fail_at(n, false);
            weft_metric *metric;
            weft_status status =
                weft_metric_new(&(weft_metric_spec){ .kind = (weft_metric_kind)kind,
                                                     .n_refs = 2,
                                                     .lowercase = true,
                                                     .keep_segments = true },
                                &metric);
            if (status == WEFT_OK) status = weft_metric_add(metric, "the cat sat on the hat", refs);
            weft_alloc_fail_at(0, false);
            if (status == WEFT_OK) {
                weft_metric_free(metric);
                break;
            }
            n_failed++;
            ck_assert_int_eq(status, WEFT_ERR_MEMORY);
            if (metric == NULL) continue;
            ck_assert(weft_metric_score(metric) == 0 && weft_metric_segments(metric) == 0);
            ck_assert_int_eq(weft_metric_add(metric, "a cat sat on mats", refs), WEFT_OK);
            ck_assert(fabs(weft_metric_score(metric) - 100) < 1e-12);
            weft_metric_free(metric);
        }
        ck_assert_int_gt(n_failed, 4);
    }
}
END_TEST

/* A long segment against a count made the plain way. */
START_TEST(matches_equal_a_plain_count)
{
    enum { N = 300 };
    char text[2][2 * N + 1];
    int symbol[2][N];
    for (int t = 0; t < 2; t++) {
        for (int i = 0; i < N; i++) {
            symbol[t][i] = (int)weft_random_below(7, (uint64_t)(t * N + i), 3);
            text[t][2 * i] = (char)('a' + symbol[t][i]);
            text[t][2 * i + 1] = ' ';
        }
        text[t][2 * N] = '\0';
    }
    weft_metric *metric = new_metric(WEFT_METRIC_BLEU, 1, false);
    const char *refs[] = { text[1] };
    ck_assert_int_eq(weft_metric_add(metric, text[0], refs), WEFT_OK);
    const weft_bleu bleu = weft_metric_bleu(metric);
    for (int order = 1; order <= WEFT_BLEU_ORDER; order++) {
        int count[2][81] = { 0 }, n_matches = 0;
        for (int t = 0; t < 2; t++) {
            for (int i = 0; i + order <= N; i++) {
                int code = 0;
                for (int k = 0; k < order; k++) code = 3 * code + symbol[t][i + k];
                count[t][code]++;
            }
        }
        for (int c = 0; c < 81; c++) {
            n_matches += count[0][c] < count[1][c] ? count[0][c] : count[1][c];
        }
        ck_assert_int_eq(bleu.matches[order - 1], n_matches);
    }
    weft_metric_free(metric);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("metrics");
    TCase *golden = tcase_create("golden");
    tcase_add_test(golden, equals_sacrebleu_on_every_corpus);
    tcase_add_test(golden, tokeniser_equals_sacrebleu);
    suite_add_tcase(suite, golden);
    TCase *text = tcase_create("text");
    tcase_add_test(text, tokeniser_joins_lines);
    tcase_add_test(text, lower_case_is_unicodes_full_mapping);
    suite_add_tcase(suite, text);
    TCase *scores = tcase_create("scores");
    tcase_add_test(scores, exact_match_counts_equal_segments);
    tcase_add_test(scores, chrf_ties_go_to_the_first_reference);
    tcase_add_test(scores, signatures_have_sacrebleus_form);
    tcase_add_test(scores, paired_bootstrap);
    tcase_add_test(scores, no_segments_score_nothing);
    tcase_add_test(scores, matches_equal_a_plain_count);
    suite_add_tcase(suite, scores);
    TCase *errors = tcase_create("errors");
    tcase_add_test(errors, bad_input_gets_a_sentence);
    tcase_add_test(errors, no_memory_is_an_error_and_loses_nothing);
    suite_add_tcase(suite, errors);
    return run_suite(suite);
}
