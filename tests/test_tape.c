/* test_tape.c - the tape: modes, lifetimes of handles, sticky errors and their sentences, parameters and
 * bindings, gradients of any order, gradients of slices and repeated values. */
#include "autograd/autograd.h"
#include "tests/check_main.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static weft_tape *new_tape(unsigned flags)
{
    weft_tape *tape = weft_tape_new(flags);
    ck_assert_msg(tape != NULL, "%s", weft_message());
    return tape;
}

static weft_var leaf3(weft_tape *tape)
{
    return weft_leaf(tape, WEFT_DIMS(3), (weft_real[]){ 1, 2, 3 });
}

static weft_var cube_sum(weft_tape *tape, weft_var x)
{
    return weft_sum(tape, weft_mul(tape, x, weft_mul(tape, x, x)), WEFT_ALL, false);
}

static void check_real(weft_tensor t, int64_t n, const double want[])
{
    ck_assert_ptr_nonnull(t.data);
    ck_assert_int_eq(weft_size(&t), n);
    for (int64_t r = 0, k = 0; r < weft_rows(&t); r++)
        for (int64_t c = 0; c < weft_cols(&t); c++, k++)
            ck_assert_double_eq((double)t.real[r * t.ld + c], want[k]);
}

static void check_failed(weft_tape *tape, weft_status code, const char *sentence)
{
    ck_assert_str_eq(weft_tape_message(tape), sentence);
    ck_assert_str_eq(weft_message(), sentence);
    ck_assert_int_eq(weft_tape_status(tape), code);
    weft_tape_reset(tape);
    ck_assert_int_eq(weft_tape_status(tape), WEFT_OK);
}

static const double cube_gradient[3] = { 3, 12, 27 };

/* ---- modes -------------------------------------------------------------------------------------- */

START_TEST(consuming_backward_keeps_only_what_was_asked)
{
    weft_tape *tape = new_tape(0);
    const weft_var x = leaf3(tape), square = weft_mul(tape, x, x), kept = weft_mul(tape, square, x);
    const weft_var y = weft_sum(tape, kept, WEFT_ALL, false);
    weft_keep(tape, kept);
    ck_assert_int_eq(weft_backward(tape, y, NULL), WEFT_OK);
    ck_assert_double_eq(weft_item(tape, y), 36);
    check_real(weft_gradient(tape, x), 3, cube_gradient);
    check_real(weft_value(tape, x), 3, (double[]){ 1, 2, 3 });
    check_real(weft_value(tape, kept), 3, (double[]){ 1, 8, 27 });
    ck_assert_int_eq(weft_shape(tape, square).dim[0], 3);
    ck_assert_ptr_null(weft_value(tape, square).data);
    check_failed(tape, WEFT_ERR_STATE,
                 "weft_value: this value was given up by weft_backward, which consumes the tape: "
                 "call weft_keep before, or make the tape with WEFT_RETAIN");
    const weft_var z = leaf3(tape);
    ck_assert_int_eq(weft_backward(tape, cube_sum(tape, z), NULL), WEFT_OK);
    ck_assert(weft_is_nil(weft_add(tape, z, z)));
    check_failed(tape, WEFT_ERR_STATE,
                 "add: this tape was consumed by weft_backward: reset it and record again, or make "
                 "it with WEFT_RETAIN");
    weft_tape_free(tape);
}
END_TEST

START_TEST(retaining_backward_repeats_and_accumulates)
{
    weft_tape *tape = new_tape(WEFT_RETAIN);
    const weft_var x = leaf3(tape), y = cube_sum(tape, x), two = weft_scale(tape, y, 2);
    ck_assert_int_eq(weft_backward(tape, y, NULL), WEFT_OK);
    check_real(weft_gradient(tape, x), 3, cube_gradient);
    ck_assert_int_eq(weft_backward(tape, two, NULL), WEFT_OK);
    check_real(weft_gradient(tape, x), 3, (double[]){ 9, 36, 81 });
    weft_tensor v = weft_value(tape, x);
    v.real[0] = 2;
    ck_assert_int_eq(weft_replay(tape), WEFT_OK);
    ck_assert_double_eq(weft_item(tape, two), 86);
    weft_tape_free(tape);
}
END_TEST

/* Only what depends on the leaf is computed again, through views too. */
START_TEST(replay_of_what_changed)
{
    weft_tape *tape = new_tape(WEFT_RETAIN);
    const weft_var x = leaf3(tape), z = leaf3(tape);
    const weft_var a = cube_sum(tape, weft_slice(tape, x, 0, 0, 2)), b = cube_sum(tape, z);
    const weft_var both = weft_add(tape, a, b);
    weft_tensor of_x = weft_value(tape, x), of_z = weft_value(tape, z);
    of_x.real[0] = 2;
    of_z.real[0] = 2;
    ck_assert_int_eq(weft_replay_changed(tape, &of_x), WEFT_OK);
    ck_assert_double_eq(weft_item(tape, a), 16);
    ck_assert_double_eq(weft_item(tape, b), 36);
    ck_assert_double_eq(weft_item(tape, both), 52);
    ck_assert_int_eq(weft_replay_changed(tape, &of_z), WEFT_OK);
    ck_assert_double_eq(weft_item(tape, both), 59);
    weft_tape_free(tape);
    tape = new_tape(0);
    const weft_var y = leaf3(tape);
    of_x = weft_value(tape, y);
    ck_assert_int_eq(weft_replay_changed(tape, &of_x), WEFT_ERR_STATE);
    check_failed(tape, WEFT_ERR_STATE, "weft_replay_changed: needs a tape with WEFT_RETAIN");
    weft_tape_free(tape);
}
END_TEST

START_TEST(no_grad_and_dry_tapes)
{
    weft_tape *tape = new_tape(WEFT_NO_GRAD);
    weft_var y = cube_sum(tape, leaf3(tape));
    ck_assert_double_eq(weft_item(tape, y), 36);
    ck_assert(!weft_wants_gradient(tape, y));
    ck_assert_int_eq(weft_backward(tape, y, NULL), WEFT_ERR_STATE);
    check_failed(tape, WEFT_ERR_STATE,
                 "weft_backward: y depends on no leaf or parameter that wants a gradient (the tape "
                 "was made with WEFT_NO_GRAD)");
    weft_tape_free(tape);

    tape = new_tape(WEFT_DRY);
    y = cube_sum(tape, weft_leaf(tape, WEFT_DIMS(1000000, 1000), NULL));
    ck_assert_ptr_null(weft_value(tape, y).data);
    ck_assert_int_eq(weft_backward(tape, y, NULL), WEFT_OK);
    ck_assert_uint_ge(weft_tape_peak_bytes(tape), (size_t)3000000000 * sizeof(weft_real));
    ck_assert(isnan(weft_item(tape, y)));
    ck_assert_int_eq(weft_tape_status(tape), WEFT_OK);
    weft_tape_free(tape);

    ck_assert_ptr_null(weft_tape_new(1u << 20));
    ck_assert_str_eq(weft_message(), "weft_tape_new: unknown flags 0x100000");
    weft_tape_free(NULL);
}
END_TEST

START_TEST(borrowed_memory_is_read_where_it_lies)
{
    weft_real data[] = { 1, 2, 3 };
    weft_tape *tape = new_tape(0), *dry = new_tape(WEFT_DRY);
    const weft_var x = leaf3(tape), fixed = weft_borrow(tape, WEFT_DIMS(3), data);
    const weft_var column = weft_slice(tape, weft_reshape(tape, fixed, WEFT_DIMS(1, 3)), 1, 1, 3);
    ck_assert_ptr_eq(weft_value(tape, fixed).real, data);
    ck_assert_ptr_eq(weft_value(tape, column).real, data + 1);
    const weft_var y = weft_sum(tape, weft_mul(tape, x, fixed), WEFT_ALL, false);
    ck_assert_int_eq(weft_backward(tape, y, NULL), WEFT_OK);
    check_real(weft_gradient(tape, x), 3, (double[]){ 1, 2, 3 });
    check_real(weft_value(tape, fixed), 3, (double[]){ 1, 2, 3 });
    ck_assert_ptr_null(weft_gradient(tape, fixed).data);
    weft_tape_reset(tape);

    ck_assert(weft_is_nil(weft_borrow(tape, WEFT_DIMS(3), NULL)));
    check_failed(tape, WEFT_ERR_STATE, "borrow: no data (NULL is allowed on a dry tape only)");
    ck_assert(weft_is_nil(weft_borrow(tape, WEFT_DIMS(-1), data)));
    ck_assert_ptr_nonnull(strstr(weft_tape_message(tape), "borrow: "));
    ck_assert_ptr_null(weft_value(dry, weft_borrow(dry, WEFT_DIMS(3), data)).data);
    ck_assert(!weft_is_nil(weft_borrow(dry, WEFT_DIMS(3), NULL)));
    weft_tape_free(dry);
    weft_tape_free(tape);
}
END_TEST

START_TEST(the_first_nan_names_its_operation)
{
    weft_tape *tape = new_tape(WEFT_CHECK_FINITE);
    weft_scope_push(tape, "block.%d", 2);
    const weft_var x = weft_name(tape, leaf3(tape), "scores");
    weft_exp(tape, weft_log(tape, weft_scale(tape, x, -1)));
    ck_assert_int_eq(weft_tape_status(tape), WEFT_ERR_NUMERIC);
    ck_assert_ptr_nonnull(strstr(weft_tape_message(tape), "block.2: log(x [3]) is "));
    ck_assert_ptr_nonnull(strstr(weft_tape_message(tape), "at element 0; inputs: x in [-3, -1]"));
    weft_tape_free(tape);
}
END_TEST

/* ---- handles and errors ------------------------------------------------------------------------- */

typedef struct seen {
    int n;
    char text[512];
} seen;

static void note(void *context, const weft_event *event)
{
    seen *s = context;
    s->n++;
    if (!event->done) return;
    const size_t used = strlen(s->text);
    snprintf(s->text + used, sizeof s->text - used, "%s %s %s; ", event->call->op->name,
             event->scope ? event->scope : "-", event->backward ? "backward" : "forward");
}

START_TEST(a_watch_sees_all_that_computes_and_changes_nothing)
{
    weft_tape *tape = new_tape(0);
    for (int watched = 1; watched >= 0; watched--) {
        seen s = { 0 };
        weft_tape_watch(tape, watched ? note : NULL, &s);
        const weft_var x = leaf3(tape);
        weft_scope_push(tape, "a");
        const weft_var y = weft_neg(tape, weft_relu(tape, weft_reshape(tape, x, WEFT_DIMS(3, 1))));
        weft_scope_pop(tape);
        ck_assert_int_eq(
            weft_backward(tape,
                          weft_linear(tape, weft_sum(tape, y, 0, false),
                                      weft_full(tape, WEFT_DIMS(1, 1), 2), WEFT_NIL, WEFT_IDENTITY),
                          NULL),
            WEFT_OK);
        check_real(weft_gradient(tape, x), 3, (double[]){ -2, -2, -2 });
        if (watched)
            ck_assert_msg(strstr(s.text, "relu a forward; neg a forward; sum - forward; linear - "
                                         "forward; linear - backward; ") == s.text &&
                              strstr(s.text, "neg a backward; ") && s.n % 2 == 0,
                          "%d events: %s", s.n, s.text);
        else
            ck_assert_int_eq(s.n, 0);
        weft_tape_reset(tape);
    }
    weft_tape_free(tape);
}
END_TEST

START_TEST(stale_and_foreign_handles_are_errors)
{
    weft_tape *tape = new_tape(0), *other = new_tape(0);
    const weft_var x = leaf3(tape);
    const char *stale = "weft_value: a value of an earlier step (before weft_tape_reset) or of "
                        "another tape";
    weft_tape_reset(tape);
    ck_assert_ptr_null(weft_value(tape, x).data);
    check_failed(tape, WEFT_ERR_STATE, stale);
    weft_value(tape, leaf3(other));
    check_failed(tape, WEFT_ERR_STATE, stale);
    weft_gradient(tape, x);
    check_failed(tape, WEFT_ERR_STATE,
                 "weft_gradient: a value of an earlier step (before weft_tape_reset) or of another "
                 "tape");
    weft_add(tape, leaf3(tape), x);
    check_failed(tape, WEFT_ERR_STATE,
                 "add: input b: a value of an earlier step (before weft_tape_reset) or of another "
                 "tape");
    weft_shape(tape, WEFT_NIL);
    check_failed(tape, WEFT_ERR_STATE, "weft_shape: nil instead of a value");
    ck_assert_int_eq(weft_backward(tape, x, NULL), WEFT_ERR_STATE);
    weft_tape_free(tape);
    weft_tape_free(other);
}
END_TEST

START_TEST(the_first_mistake_stays_and_says_where)
{
    weft_tape *tape = new_tape(0);
    weft_scope_push(tape, "encoder.layers.%d", 0);
    weft_scope_push(tape, "self_attn");
    const weft_real zeros[12] = { 0 };
    const weft_var q = weft_name(tape, weft_leaf(tape, WEFT_DIMS(3, 4), zeros), "q");
    const weft_var bad = weft_matmul(tape, q, weft_leaf(tape, WEFT_DIMS(3, 4), zeros));
    ck_assert(weft_is_nil(bad));
    weft_scope_pop(tape);
    ck_assert(weft_is_nil(weft_exp(tape, bad)));
    ck_assert(weft_is_nil(weft_sum(tape, q, 7, false)));
    ck_assert_int_eq(weft_backward(tape, q, NULL), WEFT_ERR_SHAPE);
    const char *where = "encoder.layers.0.self_attn: matmul(q [3, 4], b [3, 4]): ";
    ck_assert_int_eq(strncmp(weft_tape_message(tape), where, strlen(where)), 0);
    weft_tape_reset(tape);
    weft_sum(tape, leaf3(tape), 7, false);
    check_failed(tape, WEFT_ERR_RANGE, "sum(x [3]): the axis to sum over is not one of its 1");
    weft_reshape(tape, leaf3(tape), WEFT_DIMS(-1, 2));
    check_failed(tape, WEFT_ERR_SHAPE, "reshape(x [3]): 3 elements do not make [-1, 2]");
    weft_expand(tape, weft_scalar(tape, 1), WEFT_DIMS(INT64_MAX / 8));
    ck_assert_int_eq(weft_tape_status(tape), WEFT_ERR_MEMORY);
    const char *short_of = "expand: out of memory: ";
    ck_assert_int_eq(strncmp(weft_tape_message(tape), short_of, strlen(short_of)), 0);
    weft_tape_reset(tape);
    ck_assert_int_eq(weft_tape_fail(tape, WEFT_ERR_INPUT, "layer %d", 3), WEFT_ERR_INPUT);
    ck_assert_int_eq(weft_tape_fail(tape, WEFT_ERR_SHAPE, "later"), WEFT_ERR_INPUT);
    ck_assert_str_eq(weft_tape_message(tape), "layer 3");
    for (int i = 0; i < 100; i++) weft_scope_push(tape, "a_rather_long_scope_%d", i);
    for (int i = 0; i < 200; i++) weft_scope_pop(tape);
    weft_tape_free(tape);
}
END_TEST

START_TEST(backward_and_grad_refuse)
{
    weft_tape *tape = new_tape(0);
    weft_var x = leaf3(tape), dx;
    ck_assert_int_eq(weft_backward(tape, x, NULL), WEFT_ERR_SHAPE);
    check_failed(tape, WEFT_ERR_SHAPE,
                 "weft_backward: y is [3]: without dy it must have one "
                 "element (sum it first)");
    ck_assert_int_eq(weft_backward(tape, weft_scalar(tape, 1), NULL), WEFT_ERR_STATE);
    check_failed(tape, WEFT_ERR_STATE,
                 "weft_backward: y depends on no leaf or parameter that "
                 "wants a gradient");
    x = leaf3(tape);
    ck_assert_int_eq(weft_grad(tape, cube_sum(tape, x), WEFT_NIL, 1, &x, &dx), WEFT_ERR_STATE);
    ck_assert(weft_is_nil(dx));
    check_failed(tape, WEFT_ERR_STATE, "weft_grad: needs a tape made with WEFT_RETAIN");
    ck_assert_int_eq(weft_replay(tape), WEFT_ERR_STATE);
    check_failed(tape, WEFT_ERR_STATE, "weft_replay: needs a tape with WEFT_RETAIN");
    ck_assert(isnan(weft_item(tape, leaf3(tape))));
    check_failed(tape, WEFT_ERR_SHAPE, "weft_item: one element is wanted, not [3]");
    weft_leaf(tape, WEFT_DIMS(2), NULL);
    check_failed(tape, WEFT_ERR_STATE, "leaf: no data (NULL is allowed on a dry tape only)");
    weft_tape_free(tape);
}
END_TEST

/* ---- gradients ---------------------------------------------------------------------------------- */

START_TEST(derivatives_of_a_polynomial_are_exact)
{
    weft_tape *tape = new_tape(WEFT_RETAIN);
    const weft_var x = leaf3(tape);
    weft_var y = cube_sum(tape, x), d[4];
    static const double want[4][3] = { { 3, 12, 27 }, { 6, 12, 18 }, { 6, 6, 6 }, { 0, 0, 0 } };
    for (int k = 0; k < 4; k++) {
        ck_assert_int_eq(weft_grad(tape, y, WEFT_NIL, 1, &x, &d[k]), WEFT_OK);
        check_real(weft_value(tape, d[k]), 3, want[k]);
        y = weft_sum(tape, d[k], WEFT_ALL, false);
    }
    /* with a weight of its own, and by a value between x and y */
    const weft_var square = weft_mul(tape, x, x), z = weft_mul(tape, square, x);
    weft_var both[2];
    ck_assert_int_eq(weft_grad(tape, z, leaf3(tape), 2, (weft_var[]){ square, x }, both), WEFT_OK);
    check_real(weft_value(tape, both[0]), 3, (double[]){ 1, 4, 9 });
    ck_assert_int_eq(weft_backward(tape, weft_sum(tape, d[1], WEFT_ALL, false), NULL), WEFT_OK);
    check_real(weft_gradient(tape, x), 3, want[2]);
    weft_tape_free(tape);
}
END_TEST

START_TEST(one_value_as_several_inputs_and_slices)
{
    for (unsigned flags = 0; flags <= WEFT_RETAIN; flags++) {
        weft_tape *tape = new_tape(flags);
        const weft_var x =
            weft_leaf(tape, WEFT_DIMS(2, 4), (weft_real[]){ 1, 2, 3, 4, 5, 6, 7, 8 });
        const weft_var a = weft_slice(tape, x, 1, 0, 2), b = weft_slice(tape, x, 1, 2, 3),
                       whole = weft_mul(tape, x, x); /* b leaves a column, a overlaps the whole */
        const weft_var y = weft_add(
            tape,
            weft_add(tape, weft_sum(tape, weft_mul(tape, a, a), WEFT_ALL, false),
                     weft_sum(tape, b, WEFT_ALL, false)),
            weft_sum(tape, weft_concat(tape, 3, (weft_var[]){ whole, x, x }, 0), WEFT_ALL, false));
        ck_assert_int_eq(weft_backward(tape, y, NULL), WEFT_OK);
        check_real(weft_gradient(tape, x), 8, (double[]){ 6, 10, 9, 10, 22, 26, 17, 18 });
        weft_tape_reset(tape);
        const weft_var z = weft_leaf(tape, WEFT_DIMS(2, 3), (weft_real[]){ 1, 2, 3, 4, 5, 6 });
        const weft_var middle = weft_slice(tape, z, 1, 1, 2);
        ck_assert_int_eq(weft_backward(tape, middle, (weft_real[]){ 7, 8 }), WEFT_OK);
        check_real(weft_gradient(tape, z), 6, (double[]){ 0, 7, 0, 0, 8, 0 });
        weft_tape_free(tape);
    }
}
END_TEST

START_TEST(stop_gradient_stops)
{
    weft_tape *tape = new_tape(WEFT_RETAIN);
    const weft_var x = leaf3(tape), fixed = weft_stop_gradient(tape, x);
    ck_assert(!weft_wants_gradient(tape, fixed));
    check_real(weft_value(tape, fixed), 3, (double[]){ 1, 2, 3 });
    const weft_var y = weft_sum(tape, weft_mul(tape, x, fixed), WEFT_ALL, false);
    weft_var dx;
    ck_assert_int_eq(weft_grad(tape, y, WEFT_NIL, 1, &x, &dx), WEFT_OK);
    ck_assert_int_eq(weft_backward(tape, y, NULL), WEFT_OK);
    check_real(weft_value(tape, dx), 3, (double[]){ 1, 2, 3 });
    check_real(weft_gradient(tape, x), 3, (double[]){ 1, 2, 3 });
    ck_assert_ptr_null(weft_gradient(tape, fixed).data); /* although it shares x's memory */
    weft_tape_free(tape);
}
END_TEST

/* ---- parameters --------------------------------------------------------------------------------- */

START_TEST(parameters_bind_accumulate_and_go_stale)
{
    weft_params *params = weft_params_new(1);
    weft_param w, v;
    const weft_init ones = { .kind = WEFT_INIT_ONES };
    ck_assert_ptr_nonnull(params);
    ck_assert_int_eq(weft_params_add(params, "w", WEFT_DIMS(3), ones, &w), WEFT_OK);
    ck_assert_int_eq(weft_params_add(params, "v", WEFT_DIMS(3), ones, &v), WEFT_OK);
    weft_tape *tape = new_tape(0);
    for (int k = 1; k <= 3; k++) {
        weft_tape_reset(tape);
        const weft_var used = weft_use(tape, w);
        ck_assert_uint_eq(weft_use(tape, w).id, used.id);
        ck_assert_int_eq(weft_backward(tape, cube_sum(tape, used), NULL), WEFT_OK);
        check_real(weft_params_gradient(params, 0), 3, (double[]){ 3.0 * k, 3.0 * k, 3.0 * k });
    }
    check_real(weft_params_gradient(params, 1), 3, (double[]){ 0, 0, 0 });
    weft_params_zero_gradients(params);

    weft_tape_reset(tape);
    const weft_var x = leaf3(tape);
    ck_assert_int_eq(weft_bind(tape, w, weft_scale(tape, x, 2)), WEFT_OK);
    ck_assert_int_eq(weft_backward(tape, cube_sum(tape, weft_use(tape, w)), NULL), WEFT_OK);
    check_real(weft_gradient(tape, x), 3, (double[]){ 24, 96, 216 });
    check_real(weft_params_gradient(params, 0), 3, (double[]){ 0, 0, 0 });

    weft_tape_reset(tape);
    weft_use(tape, w);
    ck_assert_int_eq(weft_bind(tape, w, leaf3(tape)), WEFT_ERR_STATE);
    check_failed(tape, WEFT_ERR_STATE, "weft_bind: w was already used or bound on this tape");
    ck_assert_int_eq(weft_bind(tape, v, weft_scalar(tape, 1)), WEFT_ERR_SHAPE);
    check_failed(tape, WEFT_ERR_SHAPE, "weft_bind: v is [3], the value is []");
    weft_use(tape, (weft_param){ NULL, 0 });
    check_failed(tape, WEFT_ERR_STATE, "weft_use: not a parameter (was its layer initialised?)");

    const weft_var y = cube_sum(tape, weft_use(tape, w));
    weft_params_changed(params);
    ck_assert_int_eq(weft_backward(tape, y, NULL), WEFT_ERR_STATE);
    check_failed(tape, WEFT_ERR_STATE,
                 "the parameters were changed after this tape used them (an optimiser step, a load "
                 "or a new parameter): reset the tape and record again");
    weft_tape_free(tape);
    weft_params_free(params);
}
END_TEST

/* Each allocation of a second-order gradient fails in turn. */
START_TEST(failing_allocations_of_weft_grad_are_statuses)
{
    int64_t n = 1;
    for (bool done = false; !done; n++) {
        weft_alloc_fail_at(n, false);
        weft_tape *tape = weft_tape_new(WEFT_RETAIN);
        weft_status status = WEFT_ERR_MEMORY;
        if (tape) {
            const weft_var x = leaf3(tape);
            weft_var many[20], dx = WEFT_NIL;
            for (int k = 0; k < 20; k++) many[k] = weft_mul(tape, x, x);
            const weft_var y = cube_sum(tape, weft_concat(tape, 20, many, 0));
            status = weft_grad(tape, y, WEFT_NIL, 1, &x, &dx);
            if (status == WEFT_OK)
                status = weft_backward(tape, weft_sum(tape, dx, WEFT_ALL, false), NULL);
        }
        weft_alloc_fail_at(0, false);
        done = status == WEFT_OK;
        if (!done) ck_assert_int_eq(status, WEFT_ERR_MEMORY);
        weft_tape_free(tape);
    }
    ck_assert_int_gt(n, 15);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tape");
    TCase *modes = tcase_create("modes");
    tcase_add_test(modes, consuming_backward_keeps_only_what_was_asked);
    tcase_add_test(modes, retaining_backward_repeats_and_accumulates);
    tcase_add_test(modes, replay_of_what_changed);
    tcase_add_test(modes, no_grad_and_dry_tapes);
    tcase_add_test(modes, borrowed_memory_is_read_where_it_lies);
    tcase_add_test(modes, the_first_nan_names_its_operation);
    tcase_add_test(modes, a_watch_sees_all_that_computes_and_changes_nothing);
    suite_add_tcase(suite, modes);
    TCase *errors = tcase_create("errors");
    tcase_add_test(errors, stale_and_foreign_handles_are_errors);
    tcase_add_test(errors, the_first_mistake_stays_and_says_where);
    tcase_add_test(errors, backward_and_grad_refuse);
    tcase_set_timeout(errors, 60);
    tcase_add_test(errors, failing_allocations_of_weft_grad_are_statuses);
    suite_add_tcase(suite, errors);
    TCase *gradients = tcase_create("gradients");
    tcase_add_test(gradients, derivatives_of_a_polynomial_are_exact);
    tcase_add_test(gradients, one_value_as_several_inputs_and_slices);
    tcase_add_test(gradients, stop_gradient_stops);
    tcase_add_test(gradients, parameters_bind_accumulate_and_go_stale);
    suite_add_tcase(suite, gradients);
    return run_suite(suite);
}
