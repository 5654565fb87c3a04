/* test_plan.c - labels: memory. The memory of a step is what was planned. */
#include "check_main.h"

#include "train/loop_internal.h"
#include "train/plan.h"

#include "temp_dir.h"

#include <string.h>

#define OK(call) ck_assert_msg((call) == WEFT_OK, "%s: %s", #call, weft_message())

static weft_config tiny(const char *more)
{
    weft_config config;
    weft_config_init(&config);
    OK(weft_config_parse(&config,
                         "[data]\ntask = copy\ntrain_size = 120\nvalid_size = 5\n"
                         "[model]\nd_model = 32\nffn = 64\nheads = 2\nencoder_layers = 2\n"
                         "decoder_layers = 2\nattention_dropout = 0.1\n[train]\nmax_updates = 20\n"
                         "batch_tokens = 300\nmax_decode_length = 22\n[optim]\nwarmup = 5\n",
                         "tiny"));
    OK(weft_config_parse(&config, more, "more"));
    OK(weft_config_check(&config));
    OK(weft_threads_set(1));
    return config;
}

static weft_plan plan_of(const weft_config *config)
{
    weft_planner *planner;
    weft_plan plan;
    OK(weft_planner_new(config, NULL, &planner));
    OK(weft_planner_plan(planner, 0, &plan));
    weft_planner_free(planner);
    return plan;
}

/* Train an epoch and look at what was there, of which the plan may be `percent` off. */
static void compare(const weft_config *config, size_t percent)
{
    weft_plan plan = plan_of(config);
    weft_trainer *t;
    OK(weft_trainer_new(config, &t));
    int64_t most = 0;
    for (int64_t i = 0, n = weft_batches_count(t->batches); i < n; i++) {
        weft_batch batch;
        double loss;
        weft_batches_next(t->batches, &batch);
        OK(weft_trainer_gradient(t, &batch, &loss));
        if (batch.source.N + batch.target.N > most) most = batch.source.N + batch.target.N;
    }
    const size_t peak = weft_tape_peak_bytes(t->tape);
    ck_assert_int_eq(most, plan.source_tokens + plan.target_tokens);
    ck_assert_msg(plan.tape <= peak + peak * percent / 100 && peak <= plan.tape + plan.tape / 100,
                  "%zu bytes were planned, %zu taken", plan.tape, peak);
    const size_t block = (size_t)weft_params_block_size(t->model->params) * sizeof(weft_real);
    ck_assert_uint_eq(plan.parameters, block);
    ck_assert_uint_eq(plan.gradients, block);
    ck_assert_uint_eq(plan.average, config->train.ema > 0 ? block : 0);
    ck_assert_uint_ge(plan.optimiser, block * (size_t)weft_optimiser_n_blocks(t->optimiser));
    ck_assert_uint_le(plan.optimiser,
                      block * (size_t)weft_optimiser_n_blocks(t->optimiser) + block / 100 + 64);
    size_t sum = plan.batch + plan.output + plan.workspace + plan.gaps;
    for (int i = 0; i < plan.n_parts; i++)
        sum += plan.parts[i].activations + plan.parts[i].gradients;
    ck_assert_uint_eq(sum, plan.tape);
    ck_assert_uint_eq(plan.step, plan.tape + 2 * block + plan.optimiser + plan.average);
    weft_trainer_free(t);
    weft_plan_release(&plan);
}

START_TEST(the_plan_is_what_a_run_takes)
{
    const char *const more[] = {
        "[model]\nnorm = post\n",
        "[model]\nnorm = pre\nfinal_norm = true\ntie = none\n[train]\nema = 0.9\n",
        "[model]\nposition = learned\nmax_positions = 300\nnorm_kind = rms\nactivation = gelu\n"
        "[optim]\nkind = sgd\nmomentum = 0.9\n",
        "[train]\nbatch_tokens = 60\nlabel_smoothing = 0\n[optim]\nkind = sgd\n",
        "[model]\nattention = window\nwindow = 6\nglobal_tokens = 1\n",
        "[model]\nattention = longformer\nwindow = 6\nglobal_tokens = 2\n",
        "[model]\nattention = linformer\nlinformer_length = 257\nlinformer_k = 5\n",
        "[model]\nattention = lsh\nlsh_chunk = 4\nattention_dropout = 0\n",
        "[model]\nattention = performer\nfeatures = 40\nattention_dropout = 0\n",
        "[model]\nposition = shaw\n",
    };
    for (size_t i = 0; i < sizeof more / sizeof *more; i++) {
        const weft_config config = tiny(more[i]);
        compare(&config, 1);
    }
}
END_TEST

START_TEST(of_running_text_too)
{
    temp_dir_enter();
    FILE *file = fopen("text", "w");
    for (int i = 0; i < 300; i++) fprintf(file, "%d to be or not to be\n", i * i);
    fclose(file);
    const weft_config config =
        tiny("[data]\ntask =\ntrain = text\nvocab = char\nmax_length = 50\n[model]\n"
             "kind = decoder-only\ndropout = 0\n[train]\nbatch_tokens = 500\n");
    compare(&config, 1);
    temp_dir_leave();
}
END_TEST

/* Every layer is there, and all layers of the encoder hold the same. */
START_TEST(parts_are_those_of_the_model)
{
    const weft_config config = tiny("");
    weft_plan plan = plan_of(&config);
    static const char *const names[] = { "encoder", "encoder.layers.0", "encoder.layers.1",
                                         "decoder", "decoder.layers.0", "decoder.layers.1" };
    ck_assert_int_eq(plan.n_parts, 6);
    for (int i = 0; i < 6; i++) {
        ck_assert_str_eq(plan.parts[i].name, names[i]);
        ck_assert_uint_gt(plan.parts[i].activations, 0);
    }
    ck_assert_uint_eq(plan.parts[1].activations, plan.parts[2].activations);
    ck_assert_uint_gt(plan.parts[4].activations, plan.parts[1].activations);
    weft_plan_release(&plan);
}
END_TEST

/* ---- the account of a tape ---------------------------------------------------------------------- */

START_TEST(an_account_says_what_lies_where)
{
    enum { N = 1024 }; /* whole cache lines */
    const size_t each = N * sizeof(weft_real);
    weft_tape *tape = weft_tape_new(WEFT_DRY | WEFT_ACCOUNT);
    const weft_var x = weft_leaf(tape, WEFT_DIMS(N), NULL);
    weft_scope_push(tape, "first");
    const weft_var y = weft_exp(tape, x);
    weft_scope_pop(tape);
    weft_scope_push(tape, "second");
    const weft_var z = weft_exp(tape, y);
    weft_scope_pop(tape);
    const weft_var sum = weft_sum(tape, z, WEFT_ALL, false);
    const weft_account *a = weft_tape_account(tape);
    ck_assert_uint_eq(a->peak, weft_tape_peak_bytes(tape));
    ck_assert_uint_eq(a->leaves, each);
    ck_assert_int_eq(a->n_rows, 3);
    ck_assert_str_eq(a->rows[0].scope, "first");
    ck_assert_str_eq(a->rows[1].scope, "second");
    ck_assert_str_eq(a->rows[2].scope, "");
    ck_assert_uint_eq(a->rows[0].values, each);
    ck_assert_uint_eq(a->rows[1].values, each);
    ck_assert_uint_eq(a->rows[0].gradients + a->gaps, 0);
    /* The gradients of z, y and x come, and z and y go. */
    OK(weft_backward(tape, sum, NULL));
    a = weft_tape_account(tape);
    ck_assert_uint_eq(a->peak, weft_tape_peak_bytes(tape));
    size_t all = a->leaves + a->workspace + a->gaps;
    for (int i = 0; i < a->n_rows; i++)
        all += a->rows[i].values + a->rows[i].saved + a->rows[i].gradients;
    ck_assert_uint_eq(all, a->peak);
    /* A smaller step leaves the account as it is. */
    const size_t peak = a->peak;
    weft_tape_reset(tape);
    (void)weft_exp(tape, weft_leaf(tape, WEFT_DIMS(1), NULL));
    ck_assert_uint_eq(weft_tape_account(tape)->peak, peak);
    weft_tape_free(tape);

    tape = weft_tape_new(0);
    ck_assert_ptr_null(weft_tape_account(tape));
    weft_tape_free(tape);
}
END_TEST

START_TEST(what_is_saved_is_in_it)
{
    weft_tape *tape = weft_tape_new(WEFT_DRY | WEFT_ACCOUNT);
    const weft_var x = weft_leaf(tape, WEFT_DIMS(64, 32), NULL);
    weft_scope_push(tape, "attention");
    /* two numbers a row and head */
    (void)weft_attention(tape, x, x, x, &(weft_attention_spec){ .heads = 2 });
    weft_scope_pop(tape);
    const weft_account *a = weft_tape_account(tape);
    ck_assert_int_eq(a->n_rows, 1);
    ck_assert_uint_eq(a->rows[0].saved, 64 * 2 * 2 * sizeof(weft_real));
    ck_assert_uint_eq(a->rows[0].values, 64 * 32 * sizeof(weft_real));
    ck_assert_uint_gt(a->workspace, 0); /* the tiles of the kernel */
    weft_tape_free(tape);
}
END_TEST

START_TEST(dry_parameters_have_no_values)
{
    weft_params *params = weft_params_new_dry();
    weft_param p;
    /* more than any computer has */
    OK(weft_params_add(params, "huge", WEFT_DIMS(1 << 30, 1 << 20),
                       (weft_init){ WEFT_INIT_NORMAL, 1, 0 }, &p));
    ck_assert_int_eq(weft_params_block_size(params), INT64_C(1) << 50);
    ck_assert_ptr_null(weft_params_value(params, 0).data);
    weft_params_zero_gradients(params);
    weft_tape *tape = weft_tape_new(0);
    ck_assert(weft_is_nil(weft_use(tape, p)));
    ck_assert_int_eq(weft_tape_status(tape), WEFT_ERR_STATE);
    ck_assert_ptr_nonnull(strstr(weft_tape_message(tape), "the parameters are dry"));
    weft_tape_free(tape);
    weft_params_free(params);
}
END_TEST

/* ---- the largest batch -------------------------------------------------------------------------- */

START_TEST(the_largest_batch_fits_and_a_larger_one_does_not)
{
    const weft_config config = tiny("");
    weft_planner *planner;
    weft_plan at, largest, next;
    OK(weft_planner_new(&config, NULL, &planner));
    OK(weft_planner_plan(planner, 200, &at));
    OK(weft_planner_largest(planner, at.step, &largest));
    ck_assert_int_ge(largest.batch_tokens, 200);
    ck_assert_uint_le(largest.step, at.step);
    OK(weft_planner_plan(planner, largest.batch_tokens + 1, &next));
    ck_assert_uint_gt(next.step, at.step);
    weft_plan_release(&next);
    weft_plan_release(&largest);
    /* All of the corpus in one batch, where there is room. */
    OK(weft_planner_largest(planner, (size_t)1 << 40, &largest));
    ck_assert_int_eq(largest.sentences, 120);
    weft_plan_release(&largest);
    /* Not even one sentence. */
    ck_assert_int_eq(weft_planner_largest(planner, 1000, &largest), WEFT_ERR_MEMORY);
    ck_assert_ptr_nonnull(strstr(weft_message(), "no batch fits into 1000 bytes"));
    ck_assert_ptr_null(largest.parts);
    ck_assert_int_eq(weft_planner_plan(planner, 1, &next), WEFT_ERR_INPUT); /* none is as short */
    ck_assert_int_eq(weft_planner_plan(planner, -1, &next), WEFT_ERR_RANGE);
    weft_plan_release(&at);
    weft_planner_free(planner);
}
END_TEST

START_TEST(sentences_of_one_shape_need_no_data)
{
    weft_config config = tiny("[data]\ntask =\ntrain = no/such/file\n");
    weft_planner *planner;
    weft_plan plan, half;
    const weft_plan_shape shape = { .length = 30, .V = 500 };
    OK(weft_planner_new(&config, &shape, &planner));
    OK(weft_planner_plan(planner, 300, &plan));
    ck_assert_int_eq(plan.sentences, 10);
    ck_assert_int_eq(plan.source_tokens, 300);
    ck_assert_uint_ge(plan.parameters, 500 * 32 * sizeof(weft_real));
    OK(weft_planner_plan(planner, 150, &half));
    ck_assert_uint_lt(half.tape, plan.tape);
    ck_assert_uint_eq(half.parameters, plan.parameters);
    weft_plan_release(&half);
    weft_plan_release(&plan);
    weft_planner_free(planner);
    ck_assert_int_eq(weft_planner_new(&config, &(weft_plan_shape){ 0, 5 }, &planner),
                     WEFT_ERR_RANGE);
    ck_assert_int_eq(weft_planner_new(&config, &(weft_plan_shape){ 5, 0 }, &planner),
                     WEFT_ERR_RANGE);
    ck_assert_ptr_null(planner);
    ck_assert_int_ne(weft_planner_new(&config, NULL, &planner),
                     WEFT_OK); /* there is no such file */
}
END_TEST

/* Distances beyond the longest sentence cost nothing but the parameters. The plan has the longest sentence
 * in the largest batch, which here it is not. */
START_TEST(a_far_reach_costs_what_sentences_use)
{
    const weft_config far_reach = tiny("[model]\nposition = shaw\nmax_distance = 5000\n");
    compare(&far_reach, 2);
    const char *const far[] = { "[model]\nposition = shaw\nmax_distance = 29\n",
                                "[model]\nposition = shaw\nmax_distance = 4096\n" };
    const weft_plan_shape shape = { .length = 30, .V = 100 };
    size_t tape[2];
    for (int i = 0; i < 2; i++) {
        const weft_config config = tiny(far[i]);
        weft_planner *planner;
        weft_plan plan;
        OK(weft_planner_new(&config, &shape, &planner));
        OK(weft_planner_plan(planner, 4096, &plan));
        tape[i] = plan.tape;
        weft_plan_release(&plan);
        weft_planner_free(planner);
    }
    ck_assert_uint_le(tape[1], tape[0] + tape[0] / 20);
}
END_TEST

START_TEST(memory_runs_out)
{
    const weft_config config = tiny("[data]\ntrain_size = 20\nvalid_size = 2\n");
    weft_status status = WEFT_ERR_MEMORY;
    for (int64_t n = 1; status != WEFT_OK; n += 3) {
        weft_planner *planner;
        weft_plan plan = { 0 };
        weft_alloc_fail_at(n, false);
        status = weft_planner_new(&config, NULL, &planner);
        if (status == WEFT_OK) status = weft_planner_plan(planner, 0, &plan);
        weft_alloc_fail_at(0, false);
        ck_assert_msg(status == WEFT_OK || (status == WEFT_ERR_MEMORY && !plan.parts), "%s",
                      weft_message());
        weft_plan_release(&plan);
        weft_planner_free(planner);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("plan");
    TCase *tc = tcase_create("step");
    tcase_add_test(tc, the_plan_is_what_a_run_takes);
    tcase_add_test(tc, of_running_text_too);
    tcase_add_test(tc, parts_are_those_of_the_model);
    tcase_add_test(tc, a_far_reach_costs_what_sentences_use);
    tcase_add_test(tc, memory_runs_out);
    suite_add_tcase(suite, tc);
    tc = tcase_create("account");
    tcase_add_test(tc, an_account_says_what_lies_where);
    tcase_add_test(tc, what_is_saved_is_in_it);
    tcase_add_test(tc, dry_parameters_have_no_values);
    suite_add_tcase(suite, tc);
    tc = tcase_create("largest");
    tcase_add_test(tc, the_largest_batch_fits_and_a_larger_one_does_not);
    tcase_add_test(tc, sentences_of_one_shape_need_no_data);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
