/* coursework.h - what the exercises of docs/coursework.md share: how they are checked. */
#ifndef WEFT_COURSEWORK_H
#define WEFT_COURSEWORK_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft/weft.h>

/* The last line of an exercise, and its exit code. */
static inline int verdict(bool solved, const char *hint)
{
    printf(solved ? "solved\n" : "not yet: %s\n", hint);
    return solved ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* An operation's gradient by finite differences, and against its definition. */
static inline bool gradient_is_right(const weft_op *op)
{
    weft_gradcheck_report report = { 0 };
    if (weft_gradcheck(op, &(weft_gradcheck_options){ .stop_at_failure = true }, &report) !=
        WEFT_OK) {
        printf("%s\n", weft_message());
        return false;
    }
    if (report.n_failed > 0) printf("%s\n", report.failure);
    return report.n_failed == 0;
}

/* Are n values equal to those wanted? The first other one is printed, as row and column of C. */
static inline bool same(const weft_real *yours, const weft_real *wanted, int64_t n, int64_t C)
{
    for (int64_t i = 0; i < n; i++) {
        if (fabs(yours[i] - wanted[i]) <= 1e-9 * fmax(1, fabs(wanted[i]))) continue;
        printf("row %lld, column %lld: yours is %g, weft's %g\n", (long long)(i / C),
               (long long)(i % C), yours[i], wanted[i]);
        return false;
    }
    return true;
}

/* The same for values on a tape, where either may have failed. */
static inline bool same_values(weft_tape *tape, weft_var yours, weft_var wanted)
{
    if (weft_is_nil(yours) || weft_tape_status(tape) != WEFT_OK) {
        printf("there is no value%s%s\n", *weft_tape_message(tape) ? ": " : "",
               weft_tape_message(tape));
        return false;
    }
    const weft_tensor a = weft_value(tape, weft_contiguous(tape, yours)),
                      b = weft_value(tape, weft_contiguous(tape, wanted));
    if (!weft_same_shape(&a, &b)) {
        printf("the shapes differ\n");
        return false;
    }
    return same(a.real, b.real, weft_size(&b), weft_cols(&b));
}

/* A constant of random numbers; the same ones for the same number `i`. */
static inline weft_var draw(weft_tape *tape, int i, int64_t R, int64_t C)
{
    weft_real *x = weft_alloc((size_t)(R * C), sizeof *x);
    for (int64_t k = 0; x != NULL && k < R * C; k++)
        x[k] = weft_random_normal((uint64_t)i, (uint64_t)k, 0);
    const weft_var drawn = weft_constant(tape, WEFT_DIMS(R, C), x);
    weft_free(x);
    return drawn;
}

#endif
