/* check_main.h - what every test program starts with: Check, and a main that runs the suite and
 * fails when no test ran (a misspelt CK_RUN_CASE would otherwise pass). */
#ifndef WEFT_TESTS_CHECK_MAIN_H
#define WEFT_TESTS_CHECK_MAIN_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

/* Check forks each test. The parent must never open a parallel region (libgomp's children would
 * hang), so nothing of weft is called before srunner_run_all. */
static int run_suite(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int n_run = srunner_ntests_run(runner), n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    if (n_run == 0) fprintf(stderr, "no test ran: is CK_RUN_CASE misspelt?\n");
    return n_run > 0 && n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
