/* precision: float - nothing here depends on it
 *
 * test_tasks.c - the generated tasks: right answers, reproducible streams, and a border between
 * training and held-out examples that is checked on the text alone. */
#include "check_main.h"
#include "task_table.h"

enum { N_TRAIN = 50000, N_HELD_OUT = 2000 };

/* Check talks to its parent at every assertion of its own: too slow for inner loops. */
#define MUST(condition)                                                             \
    do {                                                                            \
        if (!(condition)) ck_abort_msg("%s: %s -> %s", #condition, source, target); \
    } while (0)

/* ---- all tasks ------------------------------------------------------------------------------ */

START_TEST(examples_are_a_function_of_their_arguments)
{
    char source[2][WEFT_TASK_LINE_BYTES], target[2][WEFT_TASK_LINE_BYTES];
    int64_t n_tasks;
    const weft_task *tasks = weft_task_list(&n_tasks);
    ck_assert_int_eq(n_tasks, 13);
    for (const weft_task *task = tasks; task < tasks + n_tasks; task++) {
        ck_assert_ptr_eq(weft_task_find(task->name), task);
        int n_same_of_other_seed = 0, n_same_of_next = 0;
        for (int64_t i = 0; i < 200; i++) {
            const bool held_out = i % 2 == 1;
            example(task, 7, i, held_out, source[0], target[0]);
            example(task, 8, i, held_out, source[1], target[1]);
            n_same_of_other_seed += strcmp(source[0], source[1]) == 0;
            example(task, 7, i + 2, held_out, source[1], target[1]);
            n_same_of_next += strcmp(source[0], source[1]) == 0;
            example(task, 7, i, held_out, source[1], target[1]);
            ck_assert_str_eq(source[0], source[1]);
            ck_assert_str_eq(target[0], target[1]);
        }
        ck_assert_int_lt(n_same_of_other_seed, 20);
        ck_assert_int_lt(n_same_of_next, 20);
    }
}
END_TEST

typedef struct stream {
    table *train, *held_out;
    int n_seen;
} stream;

static weft_status note_train(const char *source, const char *target, void *user)
{
    stream *s = user;
    const char *before = table_add(s->train, source, target);
    MUST(before == NULL || strcmp(before, target) == 0);
    s->n_seen++;
    return WEFT_OK;
}

static weft_status note_held_out(const char *source, const char *target, void *user)
{
    stream *s = user;
    MUST(table_count(s->train, source) == 0);
    MUST(table_add(s->held_out, source, target) == NULL);
    s->n_seen++;
    return WEFT_OK;
}

START_TEST(held_out_examples_are_distinct_and_never_in_training)
{
    int64_t n_tasks;
    const weft_task *task = &weft_task_list(&n_tasks)[_i];
    table train = table_new(), held_out = table_new();
    stream s = { &train, &held_out, 0 };
    for (uint64_t seed = 1; seed <= 2; seed++) {
        ck_assert_int_eq(
            weft_task_visit(&(weft_task_stream){ task, seed }, 0, N_TRAIN / 2, note_train, &s),
            WEFT_OK);
    }
    ck_assert_int_eq(s.n_seen, N_TRAIN);
    ck_assert_int_gt(train.n, N_TRAIN / 4);
    s.n_seen = 0;
    ck_assert_int_eq(
        weft_task_visit(&(weft_task_stream){ task, 3, true }, 0, N_HELD_OUT, note_held_out, &s),
        WEFT_OK);
    ck_assert_int_eq(s.n_seen, N_HELD_OUT);
    table_free(&train);
    table_free(&held_out);
}
END_TEST

/* ---- strings -------------------------------------------------------------------------------- */

static bool in_alphabet(const char *text, const char *alphabet)
{
    return strspn(text, alphabet) == strlen(text);
}

static void check_string_task(const char *name, const char *alphabet)
{
    char source[WEFT_TASK_LINE_BYTES], target[WEFT_TASK_LINE_BYTES];
    const weft_task *task = weft_task_find(name);
    int n_of_length[21] = { 0 }, n_of_symbol[256] = { 0 };
    for (int64_t i = 0; i < 3000; i++) {
        const bool held_out = i % 3 == 0;
        example(task, 1, i, held_out, source, target);
        const size_t n = strlen(source);
        MUST(n >= 1 && n <= 20 && in_alphabet(source, alphabet));
        MUST(strlen(target) == n);
        MUST(!held_out || n > 2);
        n_of_length[n]++;
        for (size_t j = 0; j < n; j++) n_of_symbol[(unsigned char)source[j]]++;
        int n_left[256] = { 0 };
        for (size_t j = 0; j < n; j++) {
            n_left[(unsigned char)source[j]]++;
            n_left[(unsigned char)target[j]]--;
            if (strcmp(name, "copy") == 0) MUST(target[j] == source[j]);
            if (strcmp(name, "reverse") == 0) MUST(target[j] == source[n - 1 - j]);
            if (strcmp(name, "sort") == 0 && j > 0) MUST(target[j] >= target[j - 1]);
        }
        for (const char *c = alphabet; *c != '\0'; c++) {
            MUST(n_left[(unsigned char)*c] == 0);
        }
    }
    for (int n = 1; n <= 20; n++) ck_assert_int_gt(n_of_length[n], 60);
    for (const char *c = alphabet; *c; c++) ck_assert_int_gt(n_of_symbol[(unsigned char)*c], 500);
}

START_TEST(copy_reverse_and_sort_are_right)
{
    check_string_task("copy", "abcdefghijklmnopqrstuvwxyz");
    check_string_task("reverse", "abcdefghijklmnopqrstuvwxyz");
    check_string_task("sort", "0123456789");
}
END_TEST

/* `units_first`: the digits of the answer from the units on. */
static void check_sums(const char *name, bool units_first, unsigned char side[1000][1000])
{
    char source[WEFT_TASK_LINE_BYTES], target[WEFT_TASK_LINE_BYTES], expected[16];
    const weft_task *task = weft_task_find(name);
    int n_in_both_orders = 0;
    for (int64_t i = 0; i < 100000; i++) {
        const bool held_out = i % 2 == 0;
        int a, b, n_read = 0;
        example(task, 1, i, held_out, source, target);
        MUST(sscanf(source, "%3d+%3d%n", &a, &b, &n_read) == 2);
        MUST(source[n_read] == '\0');
        snprintf(expected, sizeof expected, "%d+%d", a, b); /* no leading zeros */
        MUST(strcmp(source, expected) == 0);
        const int n = snprintf(expected, sizeof expected, "%d", a + b);
        MUST((int)strlen(target) == n);
        for (int k = 0; k < n; k++) MUST(target[k] == expected[units_first ? n - 1 - k : k]);
        MUST(!held_out || a > 9 || b > 9);
        const int of_this = held_out ? 2 : 1;
        MUST(((side[a][b] | side[b][a]) & ~of_this) == 0);
        n_in_both_orders += side[b][a] != 0 && a != b;
        side[a][b] |= (unsigned char)of_this;
    }
    ck_assert_int_gt(n_in_both_orders, 1000);
}

/* One table for both, whose borders are the same. */
START_TEST(sums_are_right_and_held_out_in_either_order)
{
    static unsigned char side[1000][1000]; /* 1: seen in training, 2: held out */
    check_sums("add", true, side);
    check_sums("add_plain", false, side);
}
END_TEST

/* ---- errors --------------------------------------------------------------------------------- */

START_TEST(an_unknown_task_is_answered_with_the_nearest)
{
    ck_assert_ptr_null(weft_task_find("phrase"));
    ck_assert_str_eq(weft_message(), "unknown task phrase (did you mean phrases?)");
    ck_assert_ptr_null(weft_task_find("rverse"));
    ck_assert_ptr_nonnull(strstr(weft_message(), "mean reverse?"));
    ck_assert_ptr_null(weft_task_find("translation"));
    ck_assert_str_eq(weft_message(),
                     "unknown task translation: there are copy, reverse, sort, add, "
                     "add_plain, phrases, parity, first, anbn, dyck, modular, induction and "
                     "selective");
    ck_assert_ptr_null(weft_task_find(""));
    char longest[5000] = { 0 };
    memset(longest, 'x', sizeof longest - 1);
    ck_assert_ptr_null(weft_task_find(longest));
}
END_TEST

START_TEST(a_small_buffer_is_an_error_and_never_overrun)
{
    const weft_task *task = weft_task_find("phrases");
    const weft_task_stream phrases = { task, 1 };
    char source[WEFT_TASK_LINE_BYTES], target[WEFT_TASK_LINE_BYTES], small[WEFT_TASK_LINE_BYTES];
    example(task, 1, 5, false, source, target);
    const size_t source_bytes = strlen(source) + 1, target_bytes = strlen(target) + 1;
    for (size_t n_bytes = 0; n_bytes < source_bytes; n_bytes++) {
        memset(small, '#', sizeof small);
        ck_assert_int_eq(weft_task_example(&phrases, 5, small, n_bytes, target, sizeof target),
                         WEFT_ERR_RANGE);
        ck_assert_str_eq(target, "");
        if (n_bytes > 0) ck_assert_str_eq(small, "");
        for (size_t i = n_bytes; i < sizeof small; i++) ck_assert_int_eq(small[i], '#');
    }
    ck_assert_ptr_nonnull(strstr(weft_message(), "2048 suffice"));
    ck_assert_int_eq(
        weft_task_example(&phrases, 5, source, sizeof source, target, target_bytes - 1),
        WEFT_ERR_RANGE);
    ck_assert_int_eq(weft_task_example(&phrases, 5, source, source_bytes, target, target_bytes),
                     WEFT_OK);
    ck_assert_int_eq(weft_task_example(&phrases, -1, source, sizeof source, target, sizeof target),
                     WEFT_ERR_RANGE);
}
END_TEST

static weft_status stop_at_third(const char *source, const char *target, void *user)
{
    (void)source, (void)target;
    return ++*(int *)user == 3 ? weft_error(WEFT_ERR_IO, "enough") : WEFT_OK;
}

START_TEST(walks_end_early_and_fail_cleanly)
{
    const weft_task *task = weft_task_find("copy");
    for (int held_out = 0; held_out < 2; held_out++) {
        int n = 0;
        ck_assert_int_eq(
            weft_task_visit(&(weft_task_stream){ task, 1, held_out }, 0, 9, stop_at_third, &n),
            WEFT_ERR_IO);
        ck_assert_int_eq(n, 3);
        ck_assert_int_eq(
            weft_task_visit(&(weft_task_stream){ task, 1, held_out }, 0, -1, stop_at_third, &n),
            WEFT_ERR_RANGE);
        ck_assert_int_eq(
            weft_task_visit(&(weft_task_stream){ task, 1, held_out }, -1, 9, stop_at_third, &n),
            WEFT_ERR_RANGE);
        ck_assert_int_eq(weft_task_visit(&(weft_task_stream){ task, 1, held_out }, INT64_MAX, 1,
                                         stop_at_third, &n),
                         WEFT_ERR_RANGE);
        ck_assert_int_eq(
            weft_task_visit(&(weft_task_stream){ task, 1, held_out }, 0, 0, stop_at_third, &n),
            WEFT_OK);
        ck_assert_int_eq(n, 3);
    }
    int n = 0;
    ck_assert_int_eq(
        weft_task_visit(&(weft_task_stream){ task, 1, true }, 0, INT64_MAX, stop_at_third, &n),
        WEFT_ERR_MEMORY);
    weft_alloc_fail_at(1, false);
    ck_assert_int_eq(weft_task_visit(&(weft_task_stream){ task, 1, true }, 0, 9, stop_at_third, &n),
                     WEFT_ERR_MEMORY);
    weft_alloc_fail_at(0, false);
    ck_assert_int_eq(n, 0);
}
END_TEST

static weft_status ignore(const char *source, const char *target, void *user)
{
    (void)source, (void)target, (void)user;
    return WEFT_OK;
}

/* add has about 49,000 unordered held-out sums, twice as many sources: not a million. */
START_TEST(a_space_that_is_exhausted_is_an_error)
{
    ck_assert_int_eq(weft_task_visit(&(weft_task_stream){ weft_task_find("add"), 1, true }, 0,
                                     1000000, ignore, NULL),
                     WEFT_ERR_RANGE);
    ck_assert_ptr_nonnull(strstr(weft_message(), "asked for 1000000 distinct held-out examples"));
}
END_TEST

START_TEST(a_corpus_is_filled_and_its_words_are_the_tokens)
{
    const weft_task *task = weft_task_find("phrases");
    char source[WEFT_TASK_LINE_BYTES], target[WEFT_TASK_LINE_BYTES];
    weft_corpus *corpus = weft_corpus_new();
    ck_assert_int_eq(weft_task_corpus(&(weft_task_stream){ task, 4 }, 0, 50, corpus), WEFT_OK);
    ck_assert_int_eq(weft_corpus_size(corpus), 50);
    example(task, 4, 49, false, source, target);
    ck_assert_str_eq(weft_corpus_text(corpus, WEFT_SOURCE, 49), source);
    ck_assert_str_eq(weft_corpus_text(corpus, WEFT_TARGET, 49), target);
    weft_corpus_free(corpus);
}
END_TEST

/* Short sources repeat in a stream; in the held-out one, which is cut into parts, none does. */
START_TEST(parts_of_a_stream_meet_end_to_end_and_share_nothing)
{
    enum { N = 400 };
    for (int held_out = 0; held_out < 2; held_out++) {
        weft_corpus *whole = weft_corpus_new(), *parts = weft_corpus_new();
        const weft_task *task = weft_task_find("sort");
        ck_assert_int_eq(
            weft_task_corpus(&(weft_task_stream){ task, 2, held_out }, 0, 2 * N, whole), WEFT_OK);
        ck_assert_int_eq(weft_task_corpus(&(weft_task_stream){ task, 2, held_out }, 0, N, parts),
                         WEFT_OK);
        ck_assert_int_eq(weft_task_corpus(&(weft_task_stream){ task, 2, held_out }, N, N, parts),
                         WEFT_OK);
        for (int i = 0; i < 2 * N; i++) {
            const char *source = weft_corpus_text(parts, WEFT_SOURCE, i);
            ck_assert_str_eq(source, weft_corpus_text(whole, WEFT_SOURCE, i));
            for (int j = 0; held_out && j < i; j++)
                ck_assert_str_ne(source, weft_corpus_text(parts, WEFT_SOURCE, j));
        }
        weft_corpus_free(whole);
        weft_corpus_free(parts);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tasks");
    TCase *streams = tcase_create("streams");
    tcase_set_timeout(streams, 60);
    tcase_add_test(streams, examples_are_a_function_of_their_arguments);
    tcase_add_loop_test(streams, held_out_examples_are_distinct_and_never_in_training, 0, 12);
    tcase_add_test(streams, parts_of_a_stream_meet_end_to_end_and_share_nothing);
    tcase_add_test(streams, a_corpus_is_filled_and_its_words_are_the_tokens);
    suite_add_tcase(suite, streams);

    TCase *strings = tcase_create("strings");
    tcase_set_timeout(strings, 60);
    tcase_add_test(strings, copy_reverse_and_sort_are_right);
    tcase_add_test(strings, sums_are_right_and_held_out_in_either_order);
    suite_add_tcase(suite, strings);

    TCase *errors = tcase_create("errors");
    tcase_set_timeout(errors, 60);
    tcase_add_test(errors, an_unknown_task_is_answered_with_the_nearest);
    tcase_add_test(errors, a_small_buffer_is_an_error_and_never_overrun);
    tcase_add_test(errors, walks_end_early_and_fail_cleanly);
    tcase_add_test(errors, a_space_that_is_exhausted_is_an_error);
    suite_add_tcase(suite, errors);
    return run_suite(suite);
}
