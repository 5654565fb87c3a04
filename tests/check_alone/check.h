/* check.h - as much of Check as weft's tests use, for a target that Check is not built for.
 *
 * The same names and the same meaning: each test runs in a process of its own, CK_RUN_CASE chooses
 * a case, a test that takes too long is ended. Every argument is evaluated once. */
#ifndef WEFT_TESTS_CHECK_ALONE_H
#define WEFT_TESTS_CHECK_ALONE_H

#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CK_ENV, CK_MOST = 64 };

typedef void ck_function(int _i);
typedef struct ck_test {
    const char *name;
    ck_function *run;
    int begin, end; /* values of _i */
} ck_test;

typedef struct TCase {
    const char *name;
    void (*setup)(void), (*teardown)(void); /* around each test, in its process */
    int n_tests;
    ck_test tests[CK_MOST];
} TCase;

typedef struct Suite {
    const char *name;
    int n_cases;
    TCase *cases[CK_MOST];
} Suite;

typedef struct SRunner {
    Suite *suite;
    int n_run, n_failed;
} SRunner;

#define START_TEST(name) static void name(int _i __attribute__((unused)))
#define END_TEST

/* ---- assertions: in the test's own process ------------------------------------------------------ */

#define ck_abort_msg(...)                                             \
    do {                                                              \
        fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, __func__); \
        fprintf(stderr, __VA_ARGS__);                                 \
        fputc('\n', stderr);                                          \
        _exit(EXIT_FAILURE);                                          \
    } while (0)
#define ck_assert_msg(condition, ...)                \
    do {                                             \
        if (!(condition)) ck_abort_msg(__VA_ARGS__); \
    } while (0)
#define ck_assert(condition) ck_assert_msg(condition, "%s is false", #condition)

#define CK_COMPARE(type, format, a, op, b)                                                    \
    do {                                                                                      \
        const type ck_a = (a), ck_b = (b);                                                    \
        ck_assert_msg(ck_a op ck_b, "%s %s %s: they are " format " and " format, #a, #op, #b, \
                      ck_a, ck_b);                                                            \
    } while (0)
#define ck_assert_int_eq(a, b) CK_COMPARE(intmax_t, "%jd", a, ==, b)
#define ck_assert_int_ne(a, b) CK_COMPARE(intmax_t, "%jd", a, !=, b)
#define ck_assert_int_lt(a, b) CK_COMPARE(intmax_t, "%jd", a, <, b)
#define ck_assert_int_le(a, b) CK_COMPARE(intmax_t, "%jd", a, <=, b)
#define ck_assert_int_gt(a, b) CK_COMPARE(intmax_t, "%jd", a, >, b)
#define ck_assert_int_ge(a, b) CK_COMPARE(intmax_t, "%jd", a, >=, b)
#define ck_assert_uint_eq(a, b) CK_COMPARE(uintmax_t, "%ju", a, ==, b)
#define ck_assert_uint_ne(a, b) CK_COMPARE(uintmax_t, "%ju", a, !=, b)
#define ck_assert_uint_lt(a, b) CK_COMPARE(uintmax_t, "%ju", a, <, b)
#define ck_assert_uint_le(a, b) CK_COMPARE(uintmax_t, "%ju", a, <=, b)
#define ck_assert_uint_gt(a, b) CK_COMPARE(uintmax_t, "%ju", a, >, b)
#define ck_assert_uint_ge(a, b) CK_COMPARE(uintmax_t, "%ju", a, >=, b)
#define ck_assert_double_eq(a, b) CK_COMPARE(double, "%.17g", a, ==, b)
#define ck_assert_double_ne(a, b) CK_COMPARE(double, "%.17g", a, !=, b)
#define ck_assert_double_lt(a, b) CK_COMPARE(double, "%.17g", a, <, b)
#define ck_assert_double_le(a, b) CK_COMPARE(double, "%.17g", a, <=, b)
#define ck_assert_double_gt(a, b) CK_COMPARE(double, "%.17g", a, >, b)
#define ck_assert_double_ge(a, b) CK_COMPARE(double, "%.17g", a, >=, b)
#define ck_assert_double_eq_tol(a, b, tolerance) \
    CK_COMPARE(double, "%.17g", fabs((a) - (b)), <, tolerance)
#define ck_assert_ptr_eq(a, b) \
    CK_COMPARE(uintptr_t, "%" PRIxPTR, (uintptr_t)(a), ==, (uintptr_t)(b))
#define ck_assert_ptr_ne(a, b) \
    CK_COMPARE(uintptr_t, "%" PRIxPTR, (uintptr_t)(a), !=, (uintptr_t)(b))
#define ck_assert_ptr_null(a) ck_assert_msg((a) == NULL, "%s is not NULL", #a)
#define ck_assert_ptr_nonnull(a) ck_assert_msg((a) != NULL, "%s is NULL", #a)
#define CK_STRINGS(a, op, b)                                                                    \
    do {                                                                                        \
        const char *const ck_a = (a), *const ck_b = (b);                                        \
        ck_assert_msg(strcmp(ck_a, ck_b) op 0, "%s %s %s: they are \"%s\" and \"%s\"", #a, #op, \
                      #b, ck_a, ck_b);                                                          \
    } while (0)
#define ck_assert_str_eq(a, b) CK_STRINGS(a, ==, b)
#define ck_assert_str_ne(a, b) CK_STRINGS(a, !=, b)
#define ck_assert_mem_eq(a, b, n) \
    ck_assert_msg(memcmp(a, b, n) == 0, "%s and %s differ in their first %s bytes", #a, #b, #n)

/* ---- suites, which live as long as the program -------------------------------------------------- */

/* Each block leads to the one before, so that none is a leak to who looks for them. */
static inline void *ck_alloc(size_t n_bytes)
{
    static void *newest;
    void **block = calloc(1, sizeof(max_align_t) + n_bytes);
    if (!block) abort();
    *block = newest;
    newest = block;
    return (char *)block + sizeof(max_align_t);
}

static inline Suite *suite_create(const char *name)
{
    Suite *suite = ck_alloc(sizeof *suite);
    suite->name = name;
    return suite;
}

static inline TCase *tcase_create(const char *name)
{
    TCase *tcase = ck_alloc(sizeof *tcase);
    tcase->name = name;
    return tcase;
}

static inline void suite_add_tcase(Suite *suite, TCase *tcase)
{
    if (suite->n_cases == CK_MOST) abort();
    suite->cases[suite->n_cases++] = tcase;
}

static inline void ck_add(TCase *tcase, const char *name, ck_function *run, int begin, int end)
{
    if (tcase->n_tests == CK_MOST) abort();
    tcase->tests[tcase->n_tests++] = (ck_test){ name, run, begin, end };
}
#define tcase_add_loop_test(tcase, run, begin, end) ck_add(tcase, #run, run, begin, end)
#define tcase_add_test(tcase, run) ck_add(tcase, #run, run, 0, 1)

static inline void tcase_add_checked_fixture(TCase *tcase, void (*setup)(void),
                                             void (*teardown)(void))
{
    tcase->setup = setup;
    tcase->teardown = teardown;
}

/* ctest ends a case that takes too long; so CK_DEFAULT_TIMEOUT alone counts here. */
static inline void tcase_set_timeout(TCase *tcase, double seconds) { (void)tcase, (void)seconds; }

/* ---- running ------------------------------------------------------------------------------------ */

static inline SRunner *srunner_create(Suite *suite)
{
    SRunner *runner = ck_alloc(sizeof *runner);
    runner->suite = suite;
    return runner;
}

static inline int ck_timeout(void)
{
    const char *seconds = getenv("CK_DEFAULT_TIMEOUT"), *times = getenv("CK_TIMEOUT_MULTIPLIER");
    return (seconds ? atoi(seconds) : 4) * (times ? atoi(times) : 1);
}

static inline void ck_run(SRunner *runner, const TCase *tcase, const ck_test *test, int i)
{
    int status = 0;
    fflush(NULL);
    const pid_t child = fork();
    if (child < 0) abort();
    if (child == 0) {
        alarm((unsigned)ck_timeout());
        if (tcase->setup) tcase->setup();
        test->run(i);
        if (tcase->teardown) tcase->teardown();
        exit(EXIT_SUCCESS);
    }
    if (waitpid(child, &status, 0) != child) abort();
    runner->n_run++;
    if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS) return;
    runner->n_failed++;
    fprintf(stderr, "%s: %s(%d) failed: ", tcase->name, test->name, i);
    if (WIFSIGNALED(status)) {
        fprintf(stderr, "%s\n", strsignal(WTERMSIG(status)));
    } else {
        fprintf(stderr, "exit code %d\n", WEXITSTATUS(status));
    }
}

static inline void srunner_run_all(SRunner *runner, int mode)
{
    (void)mode;
    const Suite *suite = runner->suite;
    const char *only = getenv("CK_RUN_CASE");
    for (int c = 0; c < suite->n_cases; c++) {
        const TCase *tcase = suite->cases[c];
        if (only && strcmp(only, tcase->name) != 0) continue;
        for (int t = 0; t < tcase->n_tests; t++)
            for (int i = tcase->tests[t].begin; i < tcase->tests[t].end; i++)
                ck_run(runner, tcase, &tcase->tests[t], i);
    }
    printf("%s: Checks: %d, Failures: %d\n", suite->name, runner->n_run, runner->n_failed);
}

static inline int srunner_ntests_run(const SRunner *runner) { return runner->n_run; }
static inline int srunner_ntests_failed(const SRunner *runner) { return runner->n_failed; }
static inline void srunner_free(SRunner *runner) { (void)runner; }

#endif
