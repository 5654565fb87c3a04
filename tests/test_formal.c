/* precision: float - nothing here depends on it
 *
 * test_formal.c - the tasks on formal languages and on memory: right answers, found here in another
 * way; lengths and k as asked for; answers that guessing does not find. */
#include "task_table.h"

enum { N = 4000 };

/* Check talks to its parent at every assertion of its own: too slow for inner loops. */
#define MUST(condition)                                                             \
    do {                                                                            \
        if (!(condition)) ck_abort_msg("%s: %s -> %s", #condition, source, target); \
    } while (0)

typedef struct lines {
    char source[WEFT_TASK_LINE_BYTES], target[WEFT_TASK_LINE_BYTES];
    int n_source;
    bool held_out;
} lines;

static lines draw(const char *name, int64_t index, int shortest, int longest, int k)
{
    lines l = { .held_out = index % 3 == 0 };
    const weft_task_stream stream = { weft_task_find(name), 5, l.held_out, shortest, longest, k };
    if (weft_task_example(&stream, index, l.source, sizeof l.source, l.target, sizeof l.target) !=
        WEFT_OK)
        ck_abort_msg("%s", weft_message());
    l.n_source = (int)strlen(l.source);
    return l;
}

/* Calls `is_right` with many examples of the task's own lengths, of 21 to 60, and of the longest;
 * each answer makes at most `most_percent` of those of the first. */
static void check_task(const char *name, int symbols_a_length, int most_percent,
                       bool (*is_right)(const char *source, const char *target))
{
    const weft_task_range length = weft_task_find(name)->length;
    int n_of[256] = { 0 }, n_of_length[64] = { 0 };
    for (int i = 0; i < N; i++) {
        const lines own = draw(name, i, 0, 0, 0), longer = draw(name, i, 21, 60, 0);
        const char *source = own.source, *target = own.target;
        MUST(own.n_source >= length.least && own.n_source <= symbols_a_length * length.usual);
        MUST(is_right(source, target));
        MUST(!own.held_out || own.n_source > 2);
        n_of[(unsigned char)target[0]]++;
        n_of_length[own.n_source]++;
        source = longer.source, target = longer.target;
        MUST(longer.n_source >= 21 && longer.n_source <= symbols_a_length * 60);
        MUST(is_right(source, target));
    }
    for (int c = 0; c < 256; c++) ck_assert_int_le(n_of[c], N * most_percent / 100);
    ck_assert_int_gt(n_of_length[symbols_a_length * (length.usual - 1) + 1], N / 50);
    for (int i = 0; i < 5; i++) {
        const lines l = draw(name, i, length.most, length.most, 0);
        const char *source = l.source, *target = l.target;
        MUST(is_right(source, target) && l.n_source >= WEFT_TASK_LONGEST - 1);
    }
}

static bool is_parity(const char *source, const char *target)
{
    bool odd = false;
    for (; *source != '\0'; source++) odd ^= *source == '1';
    return strcmp(target, odd ? "1" : "0") == 0;
}

static bool is_first(const char *source, const char *target)
{
    return target[0] == source[0] && target[1] == '\0' && strspn(source, "01") == strlen(source);
}

/* One letter after the other, as an automaton with a counter reads them. */
static bool is_anbn(const char *source, const char *target)
{
    int n_open = 0, n_switches = 0;
    if (strlen(source) % 2 != 0) return false;
    for (char before = '\0'; *source != '\0'; before = *source++) {
        if (*source == 'a' && before == 'b') {
            if (n_open != 0) return false; /* a word is complete before the next begins */
            n_switches++;
        }
        n_open += *source == 'a' ? 1 : -1;
        if (n_open < 0 || (*source != 'a' && *source != 'b')) return false;
        if (source[1] == '\0' && *source != 'b') return false;
    }
    return strcmp(target, n_open > 0 ? "b" : "a") == 0;
}

/* Whole pairs are taken out until none is left: what stays are the brackets that are open. */
static bool is_dyck(const char *source, const char *target)
{
    static const char *const pairs[] = { "()", "[]", "{}", "<>" };
    char text[WEFT_TASK_LINE_BYTES];
    strcpy(text, source);
    for (bool again = true; again;) {
        again = false;
        for (int i = 0; i < 4; i++) {
            char *const at = strstr(text, pairs[i]);
            if (at == NULL) continue;
            memmove(at, at + 2, strlen(at + 2) + 1);
            again = true;
        }
    }
    if (strspn(text, "([{<") != strlen(text)) return false;
    if (text[0] == '\0') return strcmp(target, ".") == 0;
    const char open = text[strlen(text) - 1];
    for (int i = 0; i < 4; i++)
        if (pairs[i][0] == open) return target[0] == pairs[i][1] && target[1] == '\0';
    return false;
}

/* Products first, then the sum, in exact numbers modulo k. */
static bool is_modular_of(const char *source, const char *target, int k)
{
    int numbers[WEFT_TASK_LONGEST], n = 0;
    char before = '+';
    for (const char *c = source; *c != '\0'; c += 2) {
        const int number = *c - '0';
        if (number < 0 || number >= k) return false;
        if (before == '*') {
            numbers[n - 1] = numbers[n - 1] * number % k;
        } else {
            numbers[n++] = before == '-' ? k - number : number;
        }
        before = c[1];
        if (before == '\0') break;
    }
    int sum = 0;
    for (int i = 0; i < n; i++) sum += numbers[i];
    return target[0] - '0' == sum % k && target[1] == '\0';
}

static bool is_modular(const char *source, const char *target)
{
    return is_modular_of(source, target, 5);
}

static bool is_induction(const char *source, const char *target)
{
    const size_t n = strlen(source);
    const char *const place = strchr(source, source[n - 1]);
    return place < source + n - 2 && strchr(place + 1, source[n - 1]) == source + n - 1 &&
           target[0] == place[1] && target[1] == '\0';
}

static bool is_selective(const char *source, const char *target)
{
    const size_t n_letters = strlen(target);
    for (; *source != '\0'; source++)
        if (*source != '.' && *source != *target++) return false;
    return *target == '\0' && n_letters >= 1 && n_letters <= 16;
}

START_TEST(answers_are_right_at_every_length)
{
    check_task("parity", 1, 53, is_parity);
    check_task("first", 1, 53, is_first);
    check_task("anbn", 1, 53, is_anbn);
    check_task("dyck", 1, 50, is_dyck);
    check_task("modular", 2, 30, is_modular);
    check_task("induction", 1, 8, is_induction);
    check_task("selective", 1, 8, is_selective);
}
END_TEST

START_TEST(k_is_the_kinds_of_brackets_and_the_modulus)
{
    for (int k = 1; k <= 4; k++) {
        int n_of[256] = { 0 };
        for (int i = 0; i < N; i++) {
            const lines l = draw("dyck", i, 10, 20, k);
            const char *source = l.source, *target = l.target;
            MUST(is_dyck(source, target));
            n_of[(unsigned char)target[0]]++;
        }
        for (int i = 0; i < 4; i++)
            ck_assert_int_eq(n_of[(unsigned char)")]}>"[i]] > N / 10, i < k);
    }
    for (int k = 2; k <= 10; k++) {
        int n_of[256] = { 0 };
        for (int i = 0; i < N; i++) {
            const lines l = draw("modular", i, 1, 8, k);
            const char *source = l.source, *target = l.target;
            MUST(is_modular_of(source, target, k));
            n_of[(unsigned char)target[0]]++;
        }
        for (int i = 0; i < 10; i++) ck_assert_int_eq(n_of['0' + i] > N / 20, i < k);
    }
}
END_TEST

/* The last bracket of dyck closes one where it can, so the answer must be looked for further back. */
START_TEST(dyck_does_not_give_its_answer_away)
{
    for (int i = 0; i < N; i++) {
        const lines l = draw("dyck", i, 2, 20, 0);
        const char *source = l.source, *target = l.target;
        const bool opens = strchr("([", source[l.n_source - 1]) != NULL;
        lines before = l;
        before.source[l.n_source - 1] = '\0';
        MUST(!opens || is_dyck(before.source, "."));
    }
}
END_TEST

/* Strings of the older tasks, and the digits of sums, can be longer too. */
START_TEST(lengths_are_those_asked_for)
{
    static const char *const names[] = { "copy", "reverse", "sort" };
    for (int t = 0; t < 3; t++) {
        int n_of_length[41] = { 0 };
        for (int i = 0; i < 2000; i++) {
            const lines l = draw(names[t], i, 31, 40, 0);
            const char *source = l.source, *target = l.target;
            MUST(l.n_source >= 31 && l.n_source <= 40);
            n_of_length[l.n_source]++;
        }
        for (int n = 31; n <= 40; n++) ck_assert_int_gt(n_of_length[n], 100);
    }
    for (int i = 0; i < 2000; i++) {
        const lines l = draw("add_plain", i, 17, 18, 0);
        const char *source = l.source, *target = l.target;
        long long a, b, sum;
        MUST(sscanf(source, "%lld+%lld", &a, &b) == 2 && sscanf(target, "%lld", &sum) == 1);
        MUST(a >= 10000000000000000 && a < 1000000000000000000);
        MUST(b >= 10000000000000000 && b < 1000000000000000000 && a + b == sum);
    }
}
END_TEST

static void assert_refused(weft_task_stream stream, const char *sentence)
{
    char source[WEFT_TASK_LINE_BYTES], target[WEFT_TASK_LINE_BYTES];
    ck_assert_int_eq(weft_task_example(&stream, 0, source, sizeof source, target, sizeof target),
                     WEFT_ERR_RANGE);
    ck_assert_str_eq(weft_message(), sentence);
}

START_TEST(lengths_and_k_that_are_not_there_are_errors)
{
    const weft_task *parity = weft_task_find("parity"), *dyck = weft_task_find("dyck"),
                    *anbn = weft_task_find("anbn"), *phrases = weft_task_find("phrases");
    assert_refused((weft_task_stream){ parity, .longest = 1001 },
                   "task parity: lengths from 1 to 1001: they are 1 to 1000 at most");
    assert_refused((weft_task_stream){ parity, .shortest = 21 },
                   "task parity: lengths from 21 to 20: they are 1 to 1000 at most");
    assert_refused((weft_task_stream){ anbn, .shortest = 3 },
                   "task anbn: lengths from 3 to 40: they are 4 to 1000 at most");
    assert_refused((weft_task_stream){ phrases, .longest = 5 },
                   "task phrases has no length to be chosen");
    assert_refused((weft_task_stream){ dyck, .k = 5 }, "task dyck: k = 5: it is 1 to 4");
    assert_refused((weft_task_stream){ dyck, .k = -1 }, "task dyck: k = -1: it is 1 to 4");
    assert_refused((weft_task_stream){ parity, .k = 2 }, "task parity has no k to be chosen");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("formal");
    TCase *answers = tcase_create("answers");
    tcase_add_test(answers, answers_are_right_at_every_length);
    tcase_add_test(answers, k_is_the_kinds_of_brackets_and_the_modulus);
    tcase_add_test(answers, dyck_does_not_give_its_answer_away);
    suite_add_tcase(suite, answers);
    TCase *lengths = tcase_create("lengths");
    tcase_add_test(lengths, lengths_are_those_asked_for);
    tcase_add_test(lengths, lengths_and_k_that_are_not_there_are_errors);
    suite_add_tcase(suite, lengths);
    return run_suite(suite);
}
