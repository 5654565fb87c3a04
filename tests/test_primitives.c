/* test_primitives.c - what the primitive operations promise beside their gradients: values against
 * plain loops, the documented edge cases, messages, and the same bits for any number of threads. */
#include "autograd/autograd.h"
#include "tests/check_main.h"

#include <float.h>
#include <math.h>
#include <string.h>

#define LOW ((weft_real)-INFINITY)
#define EPS (sizeof(weft_real) == sizeof(double) ? DBL_EPSILON : (double)FLT_EPSILON)

static weft_tape *new_tape(unsigned flags)
{
    weft_tape *tape = weft_tape_new(flags);
    ck_assert_ptr_nonnull(tape);
    return tape;
}

static void check_values(weft_tape *tape, weft_var x, int64_t n, const double want[])
{
    const weft_tensor t = weft_value(tape, x);
    ck_assert_msg(t.data != NULL, "%s", weft_message());
    ck_assert_int_eq(weft_size(&t), n);
    for (int64_t k = 0; k < n; k++) {
        if (isnan(want[k]))
            ck_assert(isnan(t.real[k]));
        else if (isinf(want[k]))
            ck_assert(isinf(t.real[k]) && (t.real[k] < 0) == (want[k] < 0));
        else
            ck_assert_double_le(fabs((double)t.real[k] - want[k]), 4 * EPS * fabs(want[k]));
    }
}

/* ---- documented edge cases ------------------------------------------------------------------- */

START_TEST(softmax_of_a_masked_row_is_zero)
{
    weft_tape *tape = new_tape(WEFT_RETAIN);
    const weft_real data[9] = { LOW, LOW, LOW, 1000, LOW, 1000, (weft_real)NAN, LOW, LOW };
    const weft_var x = weft_leaf(tape, WEFT_DIMS(3, 3), data);
    check_values(tape, weft_softmax(tape, x), 9, (double[]){ 0, 0, 0, 0.5, 0, 0.5, NAN, NAN, NAN });
    check_values(tape, weft_logsumexp(tape, x, false), 3,
                 (double[]){ -INFINITY, 1000 + log(2), NAN });
    check_values(
        tape, weft_log_softmax(tape, x), 9,
        (double[]){ -INFINITY, -INFINITY, -INFINITY, -log(2), -INFINITY, -log(2), NAN, NAN, NAN });
    const weft_var first = weft_slice(tape, weft_softmax(tape, x), 0, 0, 1);
    ck_assert_int_eq(weft_backward(tape, first, (weft_real[]){ 1, 2, 3 }), WEFT_OK);
    const weft_tensor dx = weft_gradient(tape, x);
    for (int k = 0; k < 3; k++) ck_assert(dx.real[k] == 0);
    weft_tape_free(tape);
}
END_TEST

START_TEST(max_takes_the_first_of_equals_and_keeps_nan)
{
    weft_tape *tape = new_tape(WEFT_RETAIN);
    const weft_real data[9] = { 1, 3, 3, 5, (weft_real)NAN, 7, LOW, LOW, LOW };
    const weft_var x = weft_leaf(tape, WEFT_DIMS(3, 3), data);
    weft_var index;
    const weft_var y = weft_max(tape, x, 1, false, &index);
    check_values(tape, y, 3, (double[]){ 3, NAN, -INFINITY });
    const weft_tensor at = weft_value(tape, index);
    ck_assert_int_eq(at.i32[0], 1);
    ck_assert_int_eq(at.i32[1], 1);
    ck_assert_int_eq(at.i32[2], 0);
    ck_assert_int_eq(weft_backward(tape, y, (weft_real[]){ 2, 4, 8 }), WEFT_OK);
    const weft_real want[9] = { 0, 2, 0, 0, 4, 0, 8, 0, 0 };
    ck_assert_mem_eq(weft_gradient(tape, x).real, want, sizeof want);
    weft_tape_free(tape);
}
END_TEST

START_TEST(root_has_gradient_zero_at_zero)
{
    weft_tape *tape = new_tape(WEFT_RETAIN);
    const weft_var x = weft_leaf(tape, WEFT_DIMS(2), (weft_real[]){ 0, 4 });
    const weft_var y = weft_sum(tape, weft_sqrt(tape, x), WEFT_ALL, false);
    weft_var dx, ddx;
    ck_assert_int_eq(weft_grad(tape, y, WEFT_NIL, 1, &x, &dx), WEFT_OK);
    check_values(tape, dx, 2, (double[]){ 0, 0.25 });
    const weft_var sum = weft_sum(tape, dx, WEFT_ALL, false);
    ck_assert_int_eq(weft_grad(tape, sum, WEFT_NIL, 1, &x, &ddx), WEFT_OK);
    check_values(tape, ddx, 2, (double[]){ 0, -1.0 / 32 });
    weft_tape_free(tape);
}
END_TEST

START_TEST(softplus_keeps_small_and_large)
{
    weft_tape *tape = new_tape(0);
    const weft_var x = weft_leaf(tape, WEFT_DIMS(5), (weft_real[]){ -60, -20, 0, 20, 5000 });
    check_values(
        tape, weft_softplus(tape, x), 5,
        (double[]){ log1p(exp(-60)), log1p(exp(-20)), log(2), 20 + log1p(exp(-20)), 5000 });
    weft_tape_free(tape);
}
END_TEST

START_TEST(where_keeps_out_what_was_not_chosen)
{
    weft_tape *tape = new_tape(0);
    const weft_var a = weft_leaf(tape, WEFT_DIMS(2), (weft_real[]){ 1, (weft_real)NAN });
    const weft_var b = weft_leaf(tape, WEFT_DIMS(2), (weft_real[]){ (weft_real)INFINITY, 2 });
    const weft_var y =
        weft_where(tape, weft_constant_int(tape, WEFT_DIMS(2), (int32_t[]){ 7, 0 }), a, b);
    check_values(tape, y, 2, (double[]){ 1, 2 });
    ck_assert_int_eq(weft_backward(tape, y, (weft_real[]){ 3, 5 }), WEFT_OK);
    const weft_real da[2] = { 3, 0 }, db[2] = { 0, 5 };
    ck_assert_mem_eq(weft_gradient(tape, a).real, da, sizeof da);
    ck_assert_mem_eq(weft_gradient(tape, b).real, db, sizeof db);
    weft_tape_free(tape);
}
END_TEST

/* Columns that no slice reached get zeros, whatever their memory held before. */
START_TEST(unused_columns_of_a_leaf_have_gradient_zero)
{
    weft_tape *tape = new_tape(WEFT_RETAIN);
    const weft_real data[8] = { 1, 2, 3, 4, 5, 6, 7, 8 }, want[8] = { 0, 1, 1, 0, 0, 1, 1, 0 };
    const weft_real ones[4] = { 1, 1, 1, 1 };
    const weft_var x = weft_leaf(tape, WEFT_DIMS(2, 4), data);
    const int32_t index[4] = { 0, 1, 1, 0 };
    const weft_var y = weft_gather(tape, weft_slice(tape, x, 1, 1, 3), 1,
                                   weft_constant_int(tape, WEFT_DIMS(2, 2), index));
    ck_assert_int_eq(weft_backward(tape, y, ones), WEFT_OK);
    ck_assert_mem_eq(weft_gradient(tape, x).real, want, sizeof want);
    weft_tape_free(tape);
}
END_TEST

/* ---- values against plain loops -------------------------------------------------------------- */

START_TEST(permute_equals_a_plain_loop)
{
    static const int axes[][4] = { { 0, 1, 2, 3 }, { 3, 2, 1, 0 }, { 0, 2, 1, 3 }, { 1, 3, 0, 2 },
                                   { 2, 0, 3, 1 }, { 0, 1, 3, 2 }, { 3, 0, 1, 2 } };
    const int64_t dim[4] = { 2, 37, 3, 41 };
    weft_tape *tape = new_tape(WEFT_RETAIN);
    const weft_var x = weft_sample_strided(tape, 4, dim);
    const weft_tensor from = weft_value(tape, x);
    for (size_t i = 0; i < sizeof axes / sizeof axes[0]; i++) {
        const weft_tensor to = weft_value(tape, weft_permute(tape, x, 4, axes[i]));
        int64_t k[4], n = 0;
        for (k[0] = 0; k[0] < to.dim[0]; k[0]++)
            for (k[1] = 0; k[1] < to.dim[1]; k[1]++)
                for (k[2] = 0; k[2] < to.dim[2]; k[2]++)
                    for (k[3] = 0; k[3] < to.dim[3]; k[3]++) {
                        int64_t at[4];
                        for (int j = 0; j < 4; j++) at[axes[i][j]] = k[j];
                        const int64_t row = (at[0] * dim[1] + at[1]) * dim[2] + at[2];
                        ck_assert(to.real[n++] == from.real[row * from.ld + at[3]]);
                    }
    }
    const weft_var ids = weft_constant_int(tape, WEFT_DIMS(2, 3), (int32_t[]){ 1, 2, 3, 4, 5, 6 });
    const int32_t want[6] = { 1, 4, 2, 5, 3, 6 };
    ck_assert_mem_eq(weft_value(tape, weft_permute(tape, ids, 2, (int[]){ 1, 0 })).i32, want,
                     sizeof want);
    weft_tape_free(tape);
}
END_TEST

START_TEST(lines_along_an_axis)
{
    weft_tape *tape = new_tape(WEFT_RETAIN);
    const weft_real data[6] = { 1, 2, 3, 4, 5, 6 };
    const weft_var x = weft_leaf(tape, WEFT_DIMS(2, 3), data);
    const weft_var rows = weft_constant_int(tape, WEFT_DIMS(2, 3), (int32_t[]){ 1, 0, 1, 1, 1, 0 });
    check_values(tape, weft_gather(tape, x, 0, rows), 6, (double[]){ 4, 2, 6, 4, 5, 3 });
    check_values(tape, weft_scatter_add(tape, x, 0, rows, 3), 9,
                 (double[]){ 0, 2, 6, 5, 5, 3, 0, 0, 0 });
    check_values(tape, weft_cumsum(tape, x, 0), 6, (double[]){ 1, 2, 3, 5, 7, 9 });
    check_values(tape, weft_cumsum(tape, x, 1), 6, (double[]){ 1, 3, 6, 4, 9, 15 });
    check_values(tape, weft_mean(tape, x, 1, false), 2, (double[]){ 2, 5 });
    check_values(tape, weft_concat(tape, 2, (weft_var[]){ x, weft_slice(tape, x, 1, 1, 2) }, 1), 8,
                 (double[]){ 1, 2, 3, 2, 4, 5, 6, 5 });
    check_values(tape, weft_pow(tape, x, -1), 6, (double[]){ 1, 0.5, 1.0 / 3, 0.25, 0.2, 1.0 / 6 });
    check_values(tape, weft_pow(tape, x, 2), 6, (double[]){ 1, 4, 9, 16, 25, 36 });
    weft_tape_free(tape);
}
END_TEST

/* ---- messages -------------------------------------------------------------------------------- */

static void check_message(weft_tape *tape, weft_status code, const char *part)
{
    ck_assert_int_eq(weft_tape_status(tape), code);
    ck_assert_msg(strstr(weft_tape_message(tape), part) != NULL, "\"%s\" lacks \"%s\"",
                  weft_tape_message(tape), part);
    weft_tape_reset(tape);
}

START_TEST(the_first_bad_index_is_named)
{
    weft_tape *tape = new_tape(0);
    const int32_t bad[4] = { 0, 2, 3, -1 };
    weft_gather(tape, weft_sample_normal(tape, WEFT_DIMS(2, 3)), 1,
                weft_constant_int(tape, WEFT_DIMS(2, 2), bad));
    check_message(tape, WEFT_ERR_RANGE, "index 3 (element 2) is not in 0 .. 2");
    weft_scatter_add(tape, weft_sample_normal(tape, WEFT_DIMS(2, 2)), 1,
                     weft_constant_int(tape, WEFT_DIMS(2, 2), bad), 4);
    check_message(tape, WEFT_ERR_RANGE, "index -1 (element 3) is not in 0 .. 3");
    weft_tape_free(tape);

    tape = new_tape(WEFT_DRY); /* there is no index to look at */
    const weft_var y = weft_gather(tape, weft_sample_normal(tape, WEFT_DIMS(2, 3)), 1,
                                   weft_constant_int(tape, WEFT_DIMS(2, 2), NULL));
    ck_assert_int_eq(weft_shape(tape, y).dim[1], 2);
    ck_assert_int_eq(weft_tape_status(tape), WEFT_OK);
    weft_tape_free(tape);
}
END_TEST

/* ---- threads --------------------------------------------------------------------------------- */

enum { ROWS = 96, COLS = 700 };

/* Everything with a loop of its own, as one vector of sums and values; the caller frees it. */
static weft_real *all_values(int n_threads, int64_t *n)
{
    ck_assert_int_eq(weft_threads_set(n_threads), WEFT_OK);
    weft_tape *tape = new_tape(WEFT_RETAIN);
    const weft_var x = weft_sample_normal(tape, WEFT_DIMS(ROWS, COLS));
    const weft_var index = weft_sample_int(tape, 0, ROWS, WEFT_DIMS(ROWS, COLS));
    const weft_var turned = weft_permute(tape, x, 2, (int[]){ 1, 0 });
    const weft_var part[] = {
        weft_softmax(tape, x),
        weft_log_softmax(tape, x),
        weft_logsumexp(tape, x, true),
        weft_softplus(tape, x),
        weft_pow(tape, weft_exp(tape, x), 0.3),
        weft_gather(tape, x, 0, index),
        weft_scatter_add(tape, x, 0, index, ROWS),
        weft_cumsum(tape, x, 0),
        weft_max(tape, x, 1, true, NULL),
        weft_where(tape, weft_greater(tape, x, weft_scalar(tape, 0)), x, weft_scalar(tape, 1)),
        weft_permute(tape, turned, 2, (int[]){ 1, 0 }),
    };
    const weft_var all = weft_concat(tape, (int)(sizeof part / sizeof part[0]), part, 1);
    ck_assert_int_eq(
        weft_backward(tape, weft_sum(tape, weft_mul(tape, all, all), WEFT_ALL, false), NULL),
        WEFT_OK);
    const weft_tensor y = weft_value(tape, all), dx = weft_gradient(tape, x);
    *n = weft_size(&y) + weft_size(&dx);
    weft_real *copy = malloc((size_t)*n * sizeof *copy);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, y.real, (size_t)weft_size(&y) * sizeof *copy);
    memcpy(copy + weft_size(&y), dx.real, (size_t)weft_size(&dx) * sizeof *copy);
    weft_tape_free(tape);
    return copy;
}

START_TEST(same_bits_for_any_number_of_threads)
{
    int64_t n;
    weft_real *one = all_values(1, &n);
    ck_assert_int_eq(weft_team_largest(), 1);
    for (int threads = 2; threads <= 3; threads++) {
        weft_real *many = all_values(threads, &n);
        ck_assert_int_eq(weft_team_largest(), threads);
        ck_assert_mem_eq(one, many, (size_t)n * sizeof *one);
        free(many);
    }
    free(one);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("primitives");
    TCase *edges = tcase_create("edges");
    tcase_add_test(edges, softmax_of_a_masked_row_is_zero);
    tcase_add_test(edges, max_takes_the_first_of_equals_and_keeps_nan);
    tcase_add_test(edges, root_has_gradient_zero_at_zero);
    tcase_add_test(edges, softplus_keeps_small_and_large);
    tcase_add_test(edges, where_keeps_out_what_was_not_chosen);
    tcase_add_test(edges, unused_columns_of_a_leaf_have_gradient_zero);
    suite_add_tcase(suite, edges);
    TCase *values = tcase_create("values");
    tcase_add_test(values, permute_equals_a_plain_loop);
    tcase_add_test(values, lines_along_an_axis);
    suite_add_tcase(suite, values);
    TCase *messages = tcase_create("messages");
    tcase_add_test(messages, the_first_bad_index_is_named);
    suite_add_tcase(suite, messages);
    TCase *threads = tcase_create("threads");
    tcase_add_test(threads, same_bits_for_any_number_of_threads);
    suite_add_tcase(suite, threads);
    return run_suite(suite);
}
