/* test_ops.c - precision: double - what every operation of the table owes: right gradients, samples,
 * sentences for misuse, the same values in every mode of the tape. Loops over the table. */
#include "autograd/autograd.h"
#include "tests/check_main.h"

#include <string.h>

START_TEST(gradients_are_right)
{
    const weft_op *op = weft_op_table[_i];
    weft_gradcheck_report r = { 0 };
    ck_assert_int_eq(weft_gradcheck(op, NULL, &r), WEFT_OK);
    ck_assert_msg(r.n_failed == 0, "%s: %lld failed: %s", op->name, (long long)r.n_failed,
                  r.failure);
    ck_assert_msg(r.n_samples >= 10, "%s: only %lld samples", op->name, (long long)r.n_samples);
    ck_assert_double_le(r.worst, 1e-7);
}
END_TEST

START_TEST(misuse_gets_a_sentence)
{
    const weft_op *op = weft_op_table[_i];
    weft_tape *tape = weft_tape_new(0);
    ck_assert_ptr_nonnull(tape);
    ck_assert_msg(op->misuse != NULL, "%s has no misuse", op->name);
    int i = 0;
    for (;; i++) {
        const weft_var y = op->misuse(tape, i);
        if (weft_tape_status(tape) == WEFT_OK) break;
        ck_assert_msg(weft_is_nil(y), "%s, misuse %d: a value came out", op->name, i);
        ck_assert_msg(strstr(weft_tape_message(tape), op->name) != NULL,
                      "%s, misuse %d: the sentence does not name it: %s", op->name, i,
                      weft_tape_message(tape));
        weft_tape_reset(tape);
    }
    ck_assert_msg(i > 0, "%s has no misuse", op->name);
    weft_tape_free(tape);
}
END_TEST

/* Record sample i and carry its gradient back where there is one; WEFT_NIL past the last. */
static weft_var record(weft_tape *tape, const weft_op *op, int i)
{
    weft_tape_reset(tape);
    weft_tape_seed(tape, 5, 0);
    const weft_var y = op->sample(tape, i);
    ck_assert_msg(weft_tape_status(tape) == WEFT_OK, "%s, sample %d: %s", op->name, i,
                  weft_tape_message(tape));
    if (!weft_is_nil(y) && weft_wants_gradient(tape, y)) {
        const weft_var sum = weft_sum(tape, y, WEFT_ALL, false);
        weft_keep(tape, y);
        ck_assert_msg(weft_backward(tape, sum, NULL) == WEFT_OK, "%s, sample %d: %s", op->name, i,
                      weft_tape_message(tape));
    }
    return y;
}

START_TEST(a_dry_tape_plans_what_a_real_one_needs)
{
    const weft_op *op = weft_op_table[_i];
    for (int i = 0;; i++) {
        weft_tape *dry = weft_tape_new(WEFT_DRY), *real = weft_tape_new(0);
        ck_assert(dry && real);
        const weft_var planned = record(dry, op, i), y = record(real, op, i);
        const bool last = weft_is_nil(y);
        ck_assert_int_eq(weft_is_nil(planned), last);
        if (!last) {
            const weft_tensor a = weft_shape(dry, planned), b = weft_shape(real, y);
            ck_assert_msg(weft_same_shape(&a, &b) && a.dtype == b.dtype && a.ld == b.ld,
                          "%s, sample %d: another shape on a dry tape", op->name, i);
            ck_assert_msg(weft_tape_peak_bytes(dry) == weft_tape_peak_bytes(real),
                          "%s, sample %d: %zu bytes planned, %zu needed", op->name, i,
                          weft_tape_peak_bytes(dry), weft_tape_peak_bytes(real));
        }
        weft_tape_free(dry);
        weft_tape_free(real);
        if (last) break;
    }
}
END_TEST

START_TEST(values_are_the_same_in_every_mode)
{
    const weft_op *op = weft_op_table[_i];
    static const unsigned modes[] = { WEFT_RETAIN, WEFT_NO_GRAD };
    for (int i = 0;; i++) {
        weft_tape *tape = weft_tape_new(0), *other;
        const weft_var y = record(tape, op, i);
        if (weft_is_nil(y)) {
            weft_tape_free(tape);
            break;
        }
        const weft_tensor a = weft_value(tape, y);
        for (int m = 0; m < 2; m++) {
            other = weft_tape_new(modes[m]);
            const weft_tensor b = weft_value(other, record(other, op, i));
            const int64_t R = weft_rows(&a), C = weft_cols(&a);
            const size_t bytes = weft_dtype_bytes(a.dtype);
            for (int64_t r = 0; r < R; r++)
                ck_assert_msg(memcmp(a.byte + (size_t)(r * a.ld) * bytes,
                                     b.byte + (size_t)(r * b.ld) * bytes, (size_t)C * bytes) == 0,
                              "%s, sample %d: other values with flags %u", op->name, i, modes[m]);
            weft_tape_free(other);
        }
        weft_tape_free(tape);
    }
}
END_TEST

START_TEST(the_table_is_whole)
{
    const weft_op *op = weft_op_table[_i];
    ck_assert_ptr_eq(weft_op_find(op->name), op);
    ck_assert_msg(op->infer && op->sample && op->misuse && op->inputs, "%s lacks a part", op->name);
    ck_assert_msg(!(op->vjp && op->backward), "%s is both primitive and fused", op->name);
    ck_assert_msg((op->backward != NULL) == (op->define != NULL),
                  "%s: a fused operation has backward and define", op->name);
    ck_assert_ptr_null(weft_op_find("no such operation"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ops");
    TCase *gradients = tcase_create("gradients");
    tcase_set_timeout(gradients, 250);
    tcase_add_loop_test(gradients, gradients_are_right, 0, weft_op_count);
    suite_add_tcase(suite, gradients);
    TCase *misuse = tcase_create("misuse");
    tcase_add_loop_test(misuse, misuse_gets_a_sentence, 0, weft_op_count);
    tcase_add_loop_test(misuse, the_table_is_whole, 0, weft_op_count);
    suite_add_tcase(suite, misuse);
    TCase *modes = tcase_create("modes");
    tcase_set_timeout(modes, 60);
    tcase_add_loop_test(modes, a_dry_tape_plans_what_a_real_one_needs, 0, weft_op_count);
    tcase_add_loop_test(modes, values_are_the_same_in_every_mode, 0, weft_op_count);
    suite_add_tcase(suite, modes);
    return run_suite(suite);
}
