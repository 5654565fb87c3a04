/* planted.c - what check_alone must tell from one another: tests that pass and tests that do not. */
#include "../check_main.h"

#include <unistd.h>

static int n_set_up;
static void set_up(void) { n_set_up++; }

START_TEST(holds)
{
    ck_assert_int_eq(n_set_up, 1);
    const char text[] = "abc";
    ck_assert(_i == 1 || _i == 2);
    ck_assert_int_eq(-_i, -_i);
    ck_assert_uint_lt(1u, UINT64_MAX);
    ck_assert_double_eq_tol(0.1 + 0.2, 0.3, 1e-9);
    ck_assert_ptr_eq(text, text);
    ck_assert_str_ne(text, "abd");
    ck_assert_mem_eq(text, "abd", 2);
}
END_TEST

START_TEST(is_false) { ck_assert_int_gt(_i, 2); }
END_TEST

START_TEST(crashes) { raise(SIGSEGV); }
END_TEST

START_TEST(never_ends) { pause(); }
END_TEST

START_TEST(gives_up) { exit(3); }
END_TEST

int main(void)
{
    Suite *suite = suite_create("planted");
    TCase *passing = tcase_create("holds");
    tcase_add_checked_fixture(passing, set_up, NULL);
    tcase_add_loop_test(passing, holds, 1, 3);
    suite_add_tcase(suite, passing);
    static ck_function *const failing[] = { is_false, crashes, never_ends, gives_up };
    static const char *const names[] = { "is_false", "crashes", "never_ends", "gives_up" };
    for (int i = 0; i < 4; i++) {
        TCase *tcase = tcase_create(names[i]);
        tcase_add_loop_test(tcase, failing[i], 2, 4);
        suite_add_tcase(suite, tcase);
    }
    return run_suite(suite);
}
