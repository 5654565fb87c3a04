/* test_golden.c - weft against PyTorch: layers, whole models and training steps, from the values of
 * tests/golden/pytorch.h5, and label smoothing from smoothing.h5 (golden/README.md describes the
 * files). In double to 1e-10. */
#include "golden_file.h"

#include "optim/optim.h"

static void open_store(void) { open_golden("pytorch.h5"); }
static void open_smoothing(void) { open_golden("smoothing.h5"); }

/* ---- layers ---------------------------------------------------------------------------------- */

static const char *const layer_cases[] = { "post_relu", "post_gelu", "pre_relu", "pre_gelu" };

static weft_layer_config layer_config(int i, int64_t D, int64_t F)
{
    return (weft_layer_config){ .D = D,
                                .F = F,
                                .heads = 3,
                                .place = i >= 2 ? WEFT_PRE_NORM : WEFT_POST_NORM,
                                .activation = i % 2 ? WEFT_GELU : WEFT_RELU,
                                .init = { WEFT_INIT_XAVIER_UNIFORM, 0, 0 } };
}

static void check_layer(bool decoder, int i)
{
    char group[64], sub[96];
    snprintf(group, sizeof group, "layers/%s_%s", decoder ? "decoder" : "encoder", layer_cases[i]);
    weft_params *params = weft_params_new(1);
    weft_tape *tape = weft_tape_new(0);
    snprintf(sub, sizeof sub, "%s/param", group);
    const weft_layer_config config =
        layer_config(i, find(sub, "linear1.weight")->dim[1], find(sub, "linear1.weight")->dim[0]);
    static weft_encoder_layer encoder;
    static weft_decoder_layer decoder_layer;
    ck_assert_int_eq(decoder ? weft_decoder_layer_init(&decoder_layer, params, "", &config)
                             : weft_encoder_layer_init(&encoder, params, "", &config),
                     WEFT_OK);
    load_params(params, sub);

    snprintf(sub, sizeof sub, "%s/input", group);
    const weft_var x = leaf(tape, sub, "x");
    const weft_packed packed = packed_by(tape, sub, "offsets", find(sub, "x")->dim[0]);
    weft_var memory = WEFT_NIL, y;
    if (decoder) {
        memory = leaf(tape, sub, "memory");
        const weft_packed m = packed_by(tape, sub, "memory_offsets", find(sub, "memory")->dim[0]);
        y = weft_decoder_layer_apply(&decoder_layer, tape, x, &packed, memory, &m);
    } else {
        y = weft_encoder_layer_apply(&encoder, tape, x, &packed, false);
    }
    ck_assert_msg(weft_tape_status(tape) == WEFT_OK, "%s", weft_tape_message(tape));
    snprintf(sub, sizeof sub, "%s/doutput", group);
    weft_real *dy = read_new(sub, "y", WEFT_STORE_REAL);
    ck_assert_msg(weft_backward(tape, y, dy) == WEFT_OK, "%s", weft_message());
    weft_free(dy);

    snprintf(sub, sizeof sub, "%s/output", group);
    expect(weft_value(tape, y), sub, "y", close_enough);
    snprintf(sub, sizeof sub, "%s/dinput", group);
    expect(weft_gradient(tape, x), sub, "x", close_enough);
    if (decoder) expect(weft_gradient(tape, memory), sub, "memory", close_enough);
    snprintf(sub, sizeof sub, "%s/dparam", group);
    expect_gradients(params, sub, close_enough);
    weft_tape_free(tape);
    weft_params_free(params);
}

START_TEST(encoder_layer_equals_pytorch) { check_layer(false, _i); }
END_TEST

START_TEST(decoder_layer_equals_pytorch) { check_layer(true, _i); }
END_TEST

/* ---- whole models ---------------------------------------------------------------------------- */

typedef struct model_case {
    const char *name;
    bool decoder_only, pre_norm, final_norm, unscaled;
    int layers, heads;
    weft_activation activation;
    weft_tie tie;
} model_case;

static const model_case model_cases[] = {
    { "models/post_final_tied_all", false, false, true, false, 2, 2, WEFT_RELU, WEFT_TIE_ALL },
    { "models/pre_final_tied_all", false, true, true, false, 2, 2, WEFT_GELU, WEFT_TIE_ALL },
    { "models/post_tied_all", false, false, false, false, 1, 2, WEFT_RELU, WEFT_TIE_ALL },
    { "models/post_tied_target", false, false, false, false, 1, 2, WEFT_RELU, WEFT_TIE_TARGET },
    { "models/post_untied", false, false, false, false, 1, 2, WEFT_RELU, WEFT_TIE_NONE },
    { "models/lm_pre", true, true, true, true, 2, 3, WEFT_GELU_TANH, WEFT_TIE_ALL },
    { "models/lm_post", true, false, false, false, 2, 3, WEFT_GELU_TANH, WEFT_TIE_ALL },
};
enum { N_MODELS = sizeof model_cases / sizeof *model_cases };
static const model_case training_case = { "training", false, false,     false,       false,
                                          1,          2,     WEFT_RELU, WEFT_TIE_ALL };

static weft_transformer model;

static weft_params *build(const model_case *m)
{
    char sub[128];
    snprintf(sub, sizeof sub, "%s/param", m->name);
    weft_params *params = weft_params_new(1);
    const weft_store_entry *linear1 = find(sub, "decoder.layers.0.linear1.weight");
    const weft_store_entry *target = find(
        sub, m->decoder_only || m->tie != WEFT_TIE_ALL ? "tgt_embed.weight" : "src_embed.weight");
    weft_transformer_config config = { .decoder_only = m->decoder_only,
                                       .encoder_layers = m->layers,
                                       .decoder_layers = m->layers,
                                       .target_V = target->dim[0],
                                       .tie = m->tie,
                                       .final_norm = m->final_norm,
                                       .no_embed_scale = m->unscaled,
                                       .loss = { .smoothing = 0.1 } };
    config.layer = (weft_layer_config){ .D = linear1->dim[1],
                                        .F = linear1->dim[0],
                                        .heads = m->heads,
                                        .place = m->pre_norm ? WEFT_PRE_NORM : WEFT_POST_NORM,
                                        .activation = m->activation,
                                        .init = { WEFT_INIT_XAVIER_UNIFORM, 0, 0 } };
    if (m->decoder_only) {
        config.position = WEFT_POSITION_LEARNED;
        config.max_positions = find(sub, "tgt_position.weight")->dim[0];
    } else {
        config.source_V = find(sub, "src_embed.weight")->dim[0];
    }
    ck_assert_msg(weft_transformer_init(&model, params, &config) == WEFT_OK, "%s", weft_message());
    load_params(params, sub);
    return params;
}

static weft_tokens tokens_of(const char *group, const char *side)
{
    char ids[32], offsets[32], rows[32];
    snprintf(ids, sizeof ids, "%s_ids", side);
    snprintf(offsets, sizeof offsets, "%s_offsets", side);
    snprintf(rows, sizeof rows, "%s_rows", side);
    return (weft_tokens){ .B = find(group, offsets)->dim[0] - 1,
                          .N = find(group, ids)->dim[0],
                          .ids = read_new(group, ids, WEFT_STORE_I32),
                          .offsets = read_new(group, offsets, WEFT_STORE_I32),
                          .rows = read_new(group, rows, WEFT_STORE_I32) };
}

static weft_batch batch_of(const char *group, bool decoder_only)
{
    weft_batch batch = { .target = tokens_of(group, "target"),
                         .labels = read_new(group, "labels", WEFT_STORE_I32) };
    if (!decoder_only) batch.source = tokens_of(group, "source");
    return batch;
}

static void free_tokens(const weft_tokens *tokens)
{
    weft_free((void *)tokens->ids);
    weft_free((void *)tokens->offsets);
    weft_free((void *)tokens->rows);
}

static void free_batch(const weft_batch *batch)
{
    free_tokens(&batch->source);
    free_tokens(&batch->target);
    weft_free((void *)batch->labels);
}

START_TEST(model_equals_pytorch)
{
    const model_case *m = &model_cases[_i];
    char sub[128];
    weft_params *params = build(m);
    weft_tape *tape = weft_tape_new(0);
    snprintf(sub, sizeof sub, "%s/input", m->name);
    const weft_batch batch = batch_of(sub, m->decoder_only);

    const weft_var memory =
        m->decoder_only ? WEFT_NIL : weft_transformer_encode(&model, tape, &batch.source);
    const weft_var y = weft_transformer_decode(&model, tape, &batch.target, memory, &batch.source);
    const weft_var logits = weft_transformer_logits(&model, tape, y);
    ck_assert_msg(weft_tape_status(tape) == WEFT_OK, "%s", weft_tape_message(tape));
    snprintf(sub, sizeof sub, "%s/output", m->name);
    expect(weft_value(tape, logits), sub, "logits", close_enough);

    weft_tape_reset(tape);
    const weft_var sum = weft_transformer_loss(&model, tape, &batch, NULL);
    const weft_var loss = weft_scale(tape, sum, 1 / (double)batch.target.N);
    ck_assert_msg(weft_backward(tape, loss, NULL) == WEFT_OK, "%s", weft_message());
    expect(weft_value(tape, loss), sub, "loss", close_enough);
    snprintf(sub, sizeof sub, "%s/dparam", m->name);
    expect_gradients(params, sub, close_enough);
    free_batch(&batch);
    weft_tape_free(tape);
    weft_params_free(params);
}
END_TEST

/* ---- training -------------------------------------------------------------------------------- */

/* Steps with one optimiser against PyTorch's; the key biases, whose gradients are rounding noise, are
 * left out of the comparison of final parameters (golden/README.md). */
static void train(const char *name, weft_optimiser_spec spec, int n_steps, double tolerance)
{
    char group[64], rates[64], final[64];
    snprintf(group, sizeof group, "training/%s", name);
    snprintf(final, sizeof final, "training/%s_param", name);
    snprintf(rates, sizeof rates, "training/%s", name);
    weft_params *params = build(&training_case);
    weft_optimiser *optimiser = weft_optimiser_new(params, &spec);
    weft_tape *tape = weft_tape_new(0);
    double *rate = read_new(rates, "rate", WEFT_STORE_F64);
    double *want = read_new(group, "loss", WEFT_STORE_F64);
    double *want_norm = read_new(group, "grad_norm", WEFT_STORE_F64);
    weft_batch batches[3];
    for (int b = 0; b < 3; b++) {
        snprintf(group, sizeof group, "training/batch%d", b);
        batches[b] = batch_of(group, false);
    }
    for (int step = 0; step < n_steps; step++) {
        double norm;
        const weft_batch *batch = &batches[step % 3];
        weft_tape_reset(tape);
        const weft_var sum = weft_transformer_loss(&model, tape, batch, NULL);
        ck_assert_msg(weft_backward(tape, sum, NULL) == WEFT_OK, "%s", weft_message());
        const double loss = weft_item(tape, sum) / (double)batch->target.N;
        ck_assert_msg(fabs(loss - want[step]) <= tolerance, "%s: loss %d is %.15g, not %.15g", name,
                      step, loss, want[step]);
        ck_assert_int_eq(
            weft_optimiser_step(optimiser, params, rate[step], 1 / (double)batch->target.N, &norm),
            WEFT_OK);
        ck_assert_double_le(fabs(norm - want_norm[step]), 10 * tolerance);
    }
    for (int i = 0; i < weft_params_count(params) && sizeof(weft_real) == sizeof(double); i++)
        if (!strstr(weft_params_name(params, i), "in_proj_bias"))
            expect(weft_params_value(params, i), final, weft_params_name(params, i), tolerance);
    for (int b = 0; b < 3; b++) free_batch(&batches[b]);
    weft_free(rate);
    weft_free(want);
    weft_free(want_norm);
    weft_tape_free(tape);
    weft_optimiser_free(optimiser);
    weft_params_free(params);
}

START_TEST(training_equals_pytorch)
{
    const double tolerance = sizeof(weft_real) == sizeof(double) ? 1e-10 : 1e-4;
    train("adam", (weft_optimiser_spec){ .kind = WEFT_ADAM, .clip = 1 }, 20, tolerance);
    train("adamw", (weft_optimiser_spec){ .kind = WEFT_ADAMW, .weight_decay = 0.01 }, 5, tolerance);
    train("sgd", (weft_optimiser_spec){ .kind = WEFT_SGD, .momentum = 0.9 }, 5, tolerance);
}
END_TEST

/* The rates in the file are those of the paper's schedule (eq. 3). */
START_TEST(noam_schedule_equals_the_rates)
{
    double *rate = read_new("training/adam", "rate", WEFT_STORE_F64);
    const weft_schedule noam = { .kind = WEFT_SCHEDULE_NOAM, .width = 8, .warmup = 8 };
    for (int64_t t = 1; t <= 20; t++)
        ck_assert_double_le(fabs(weft_schedule_rate(&noam, t) - rate[t - 1]), 1e-15);
    weft_free(rate);
}
END_TEST

/* ---- label smoothing ------------------------------------------------------------------------- */

/* Each kind by either operation, against soft targets written out. */
START_TEST(smoothing_equals_pytorch)
{
    static const char *const kinds[] = { "uniform", "others", "annotated" };
    const char *const group = kinds[_i];
    const weft_cross_entropy_spec spec = { 0.2, (weft_label_smoothing)_i, .never = 1 };
    weft_tape *tape = weft_tape_new(WEFT_RETAIN);
    const weft_var x = leaf(tape, group, "input/x"), weight = leaf(tape, group, "input/weight"),
                   bias = leaf(tape, group, "input/bias"),
                   logits = leaf(tape, group, "input/logits"),
                   labels = integers(tape, group, "input/labels");
    weft_real *dy = read_new(group, "doutput/loss", WEFT_STORE_REAL);
    const weft_var rows = weft_cross_entropy(tape, logits, labels, &spec);
    const weft_var loss = weft_sum(tape, rows, WEFT_ALL, false);
    ck_assert_msg(weft_backward(tape, loss, dy) == WEFT_OK, "%s", weft_message());
    expect(weft_value(tape, rows), group, "output/y", close_enough);
    expect(weft_gradient(tape, logits), group, "dinput/logits", close_enough);

    const weft_var whole = weft_projection_loss(tape, x, weight, bias, labels, &spec, NULL);
    ck_assert_msg(weft_backward(tape, whole, dy) == WEFT_OK, "%s", weft_message());
    expect(weft_value(tape, whole), group, "output/loss", close_enough);
    expect(weft_gradient(tape, x), group, "dinput/x", close_enough);
    expect(weft_gradient(tape, weight), group, "dinput/weight", close_enough);
    expect(weft_gradient(tape, bias), group, "dinput/bias", close_enough);
    weft_free(dy);
    weft_tape_free(tape);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("golden");
    TCase *layers = tcase_create("layers");
    tcase_add_checked_fixture(layers, open_store, close_golden);
    tcase_add_loop_test(layers, encoder_layer_equals_pytorch, 0, 4);
    tcase_add_loop_test(layers, decoder_layer_equals_pytorch, 0, 4);
    suite_add_tcase(suite, layers);
    TCase *models = tcase_create("models");
    tcase_add_checked_fixture(models, open_store, close_golden);
    tcase_add_loop_test(models, model_equals_pytorch, 0, N_MODELS);
    suite_add_tcase(suite, models);
    TCase *training = tcase_create("training");
    tcase_add_checked_fixture(training, open_store, close_golden);
    tcase_add_test(training, training_equals_pytorch);
    tcase_add_test(training, noam_schedule_equals_the_rates);
    suite_add_tcase(suite, training);
    TCase *smoothing = tcase_create("smoothing");
    tcase_add_checked_fixture(smoothing, open_smoothing, close_golden);
    tcase_add_loop_test(smoothing, smoothing_equals_pytorch, 0, 3);
    suite_add_tcase(suite, smoothing);
    return run_suite(suite);
}
