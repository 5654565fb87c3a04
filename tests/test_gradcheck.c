/* test_gradcheck.c - precision: double - does the gradient check find what is wrong, and nothing else?
 * Faults planted in every operation of the table, and a user's own operations, right and wrong. */
#include "autograd/gradcheck_internal.h"
#include "tests/check_main.h"

#include <math.h>
#include <omp.h>
#include <string.h>

/* ---- faults in the operations of the table ------------------------------------------------------ */

START_TEST(every_planted_fault_is_caught)
{
    const weft_op *op = weft_op_table[_i];
    int n_planted = 0;
    for (int fault = WEFT_FAULT_NONE + 1; fault < WEFT_FAULT_COUNT; fault++) {
        for (int k = 0; k < (op->n_in < 0 ? 2 : op->n_in); k++) {
            weft_gradcheck_report r = { 0 };
            bool planted;
            ck_assert_int_eq(weft_gradcheck_plant(op, (weft_fault)fault, k, &r, &planted), WEFT_OK);
            ck_assert_msg(!planted || r.n_failed > 0, "%s, input %d: %s was missed", op->name, k,
                          weft_fault_name((weft_fault)fault));
            n_planted += planted;
        }
    }
    ck_assert_msg(!(op->vjp || op->backward) || n_planted >= 10, "%s: only %d faults planted",
                  op->name, n_planted);
}
END_TEST

START_TEST(the_wrapper_of_faults_is_harmless)
{
    weft_gradcheck_report r = { 0 };
    bool planted;
    ck_assert_int_eq(weft_gradcheck_plant(weft_op_table[_i], WEFT_FAULT_NONE, 0, &r, &planted),
                     WEFT_OK);
    ck_assert_msg(r.n_failed == 0, "%s", r.failure);
    ck_assert(!planted);
}
END_TEST

/* ---- a user's own operation: y = a b^2, with what can be wrong about it -------------------------- */

typedef enum mistake {
    RIGHT,
    FACTOR,     /* dy/db without its 2 */
    OVERWRITES, /* where it should add */
    GARBAGE,    /* adds where it should write */
    DEFINITION,
    DEPENDS_ON_WANTS, /* da differs where db is not wanted */
    DEPENDS_ON_THREADS,
    VJP_OF_FUSED /* the definition's gradient is right only to first order */
} mistake;
static mistake present;

static bool my_infer(weft_call *c)
{
    if (!weft_same_shape(&c->in[0], &c->in[1]))
        return weft_fail(c, WEFT_ERR_SHAPE, "shapes must be equal");
    return weft_out(c, 0, WEFT_REAL, c->in[0].rank, c->in[0].dim);
}

static void my_forward(const weft_call *c)
{
    const weft_real *a = c->in[0].real, *b = c->in[1].real;
    const int64_t n = weft_size(&c->out[0]);
    double extra = 0;
    if (present == DEPENDS_ON_THREADS) {
#pragma omp parallel num_threads(weft_team(n, n))
        {
#pragma omp single
            extra = 1e-15 * omp_get_num_threads();
        }
    }
    for (int64_t k = 0; k < n; k++) c->out[0].real[k] = a[k] * b[k] * b[k] * (1 + extra);
}

static void my_backward(const weft_call *c)
{
    const weft_real *a = c->in[0].real, *b = c->in[1].real, *dy = c->dout[0].real;
    const double two = present == FACTOR ? 1 : 2;
    const double one = present == DEPENDS_ON_WANTS && !c->wants[1] ? 1 + 1e-13 : 1;
    for (int i = 0; i < 2; i++) {
        weft_real *d = c->din[i].real;
        bool add = c->add[i];
        if (present == OVERWRITES) add = false;
        if (present == GARBAGE) add = true;
        for (int64_t k = 0; d && k < weft_size(&c->in[0]); k++) {
            const double g = dy[k] * (i ? two * a[k] * b[k] : one * b[k] * b[k]);
            d[k] = add ? d[k] + g : g;
        }
    }
}

static void my_define(weft_rule *r)
{
    const weft_var b = r->in[1];
    r->result[0] = weft_mul(r->tape, r->in[0], weft_mul(r->tape, b, b));
    if (present == DEFINITION) r->result[0] = weft_scale(r->tape, r->result[0], 1 + 1e-9);
    if (present == VJP_OF_FUSED) { /* a (2 b b0 - b0^2): b0 a constant equal to b */
        const weft_var b0 = weft_stop_gradient(r->tape, b);
        r->result[0] = weft_mul(r->tape, r->in[0],
                                weft_sub(r->tape, weft_scale(r->tape, weft_mul(r->tape, b, b0), 2),
                                         weft_mul(r->tape, b0, b0)));
    }
}

static weft_var my_sample(weft_tape *tape, int i);
static const weft_op my_op = { .name = "my_op",
                               .inputs = "a b",
                               .n_in = 2,
                               .infer = my_infer,
                               .forward = my_forward,
                               .backward = my_backward,
                               .define = my_define,
                               .sample = my_sample };

static weft_var my_sample(weft_tape *tape, int i)
{
    const weft_var a = weft_sample_normal(tape, WEFT_DIMS(2, 3)),
                   b = weft_sample_normal(tape, WEFT_DIMS(2, 3));
    return i < 2 ? weft_apply1(tape, &my_op, 2, (weft_var[]){ a, i ? a : b }, NULL, 0) : WEFT_NIL;
}

static weft_gradcheck_report check_with(mistake m)
{
    weft_gradcheck_report r = { 0 };
    present = m;
    ck_assert_int_eq(weft_gradcheck(&my_op, NULL, &r), WEFT_OK);
    return r;
}

START_TEST(a_right_operation_of_the_user_passes)
{
    const weft_gradcheck_report r = check_with(RIGHT);
    ck_assert_msg(r.n_failed == 0, "%s", r.failure);
    ck_assert_int_eq(r.n_samples, 2);
    ck_assert_int_ge(r.n_checks, 50);
    ck_assert_double_le(r.worst, 1e-9);
    ck_assert_ptr_nonnull(strstr(r.worst_where, "my_op, sample "));
    ck_assert_str_eq(r.failure, "");
}
END_TEST

START_TEST(each_mistake_is_named)
{
    static const struct {
        mistake m;
        const char *part;
    } cases[] = {
        { FACTOR, "my_op, sample 0, input b, direction 0, first order: the gradient gives" },
        { OVERWRITES, "adding: input a: what was added to a gradient differs" },
        { GARBAGE, "adding: input a: what was added to a gradient differs by nan" },
        { DEFINITION, "output 0 differs by" },
        { DEPENDS_ON_WANTS, "without the gradient of input b: input a: the gradients differ" },
        { DEPENDS_ON_THREADS, "three threads against one: " },
        { VJP_OF_FUSED, "second order: the gradient gives" },
    };
    const weft_gradcheck_report r = check_with(cases[_i].m);
    ck_assert_int_gt(r.n_failed, 0);
    ck_assert_msg(strstr(r.failure, cases[_i].part) != NULL, "\"%s\" lacks \"%s\"", r.failure,
                  cases[_i].part);
}
END_TEST

START_TEST(reports_add_up_and_stop_early)
{
    weft_gradcheck_report r = { 0 };
    present = RIGHT;
    ck_assert_int_eq(weft_gradcheck(&my_op, NULL, &r), WEFT_OK);
    const int64_t once = r.n_checks;
    ck_assert_int_eq(weft_gradcheck(&my_op, NULL, &r), WEFT_OK);
    ck_assert_int_eq(r.n_checks, 2 * once);
    present = FACTOR;
    weft_gradcheck_report early = { 0 };
    const weft_gradcheck_options options = { .stop_at_failure = true, .directions = 1 };
    ck_assert_int_eq(weft_gradcheck(&my_op, &options, &early), WEFT_OK);
    ck_assert_int_eq(early.n_failed, 1);
    ck_assert_int_eq(early.n_samples, 1);
}
END_TEST

/* ---- vacuous checks and kinks -------------------------------------------------------------------- */

enum { ZERO_SILENT, ZERO_SAID, AT_KINK, NO_LEAF, FAILS } kind;

static weft_var odd_sample(weft_tape *tape, int i)
{
    const weft_real zeros[3] = { 0, 0, 0 };
    weft_var x = weft_sample_normal(tape, WEFT_DIMS(3));
    if (i > 0) return WEFT_NIL;
    switch (kind) {
    case ZERO_SAID: weft_sample_zero_gradient(tape); /* fall through */
    case ZERO_SILENT: return weft_relu(tape, weft_scale(tape, weft_mul(tape, x, x), -1));
    case AT_KINK: return weft_relu(tape, weft_leaf(tape, WEFT_DIMS(3), zeros));
    case NO_LEAF: return weft_relu(tape, weft_stop_gradient(tape, x));
    default: return weft_sum(tape, x, 5, false);
    }
}

static weft_gradcheck_report check_odd(void)
{
    weft_op op = *weft_op_find("relu");
    weft_gradcheck_report r = { 0 };
    op.sample = odd_sample;
    ck_assert_int_eq(weft_gradcheck(&op, NULL, &r), WEFT_OK);
    return r;
}

START_TEST(nothing_equal_to_nothing_is_no_check)
{
    kind = ZERO_SILENT;
    const weft_gradcheck_report silent = check_odd();
    ck_assert_int_gt(silent.n_failed, 0);
    ck_assert_ptr_nonnull(strstr(silent.failure, "are both 0: nothing was checked"));
    kind = ZERO_SAID;
    const weft_gradcheck_report said = check_odd();
    ck_assert_msg(said.n_failed == 0, "%s", said.failure);
    kind = NO_LEAF;
    ck_assert_ptr_nonnull(strstr(check_odd().failure, "there is no leaf"));
}
END_TEST

START_TEST(kinks_are_counted)
{
    kind = AT_KINK;
    const weft_gradcheck_report r = check_odd();
    ck_assert_int_gt(r.n_kinks, 0);
    kind = FAILS;
    ck_assert_ptr_nonnull(strstr(check_odd().failure, "recording: sum(x [3]): the axis"));
}
END_TEST

START_TEST(impossible_checks_are_errors)
{
    weft_op op = *weft_op_find("relu");
    weft_gradcheck_report r = { 0 };
    op.sample = NULL;
    ck_assert_int_eq(weft_gradcheck(&op, NULL, &r), WEFT_ERR_STATE);
    ck_assert_str_eq(weft_message(), "gradcheck: operation relu has no samples");
}
END_TEST

START_TEST(every_failing_allocation_is_an_error)
{
    const weft_gradcheck_options options = { .directions = 1 };
    present = RIGHT;
    for (int64_t n = 1;; n++) {
        weft_gradcheck_report r = { 0 };
        weft_alloc_fail_at(n, false);
        const weft_status status = weft_gradcheck(&my_op, &options, &r);
        weft_alloc_fail_at(0, false);
        if (status == WEFT_OK) {
            ck_assert_int_gt(n, 10);
            ck_assert_msg(r.n_failed == 0, "%s", r.failure);
            break;
        }
        ck_assert_int_eq(status, WEFT_ERR_MEMORY);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gradcheck");
    TCase *faults = tcase_create("faults");
    tcase_set_timeout(faults, 250);
    tcase_add_loop_test(faults, every_planted_fault_is_caught, 0, weft_op_count);
    tcase_add_loop_test(faults, the_wrapper_of_faults_is_harmless, 0, weft_op_count);
    suite_add_tcase(suite, faults);
    TCase *own = tcase_create("own");
    tcase_set_timeout(own, 60);
    tcase_add_test(own, a_right_operation_of_the_user_passes);
    tcase_add_loop_test(own, each_mistake_is_named, 0, 7);
    tcase_add_test(own, reports_add_up_and_stop_early);
    suite_add_tcase(suite, own);
    TCase *odd = tcase_create("odd");
    tcase_set_timeout(odd, 60);
    tcase_add_test(odd, nothing_equal_to_nothing_is_no_check);
    tcase_add_test(odd, kinks_are_counted);
    tcase_add_test(odd, impossible_checks_are_errors);
    tcase_add_test(odd, every_failing_allocation_is_an_error);
    suite_add_tcase(suite, odd);
    return run_suite(suite);
}
