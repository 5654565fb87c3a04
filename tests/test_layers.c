/* test_layers.c - what golden values do not show: packing, dropout's keys, threads, memory, misuse. */
#include "check_main.h"

#include "layers/layers.h"

#include <math.h>
#include <string.h>

static weft_transformer model;

static weft_transformer_config small(bool decoder_only)
{
    return (weft_transformer_config){
        .decoder_only = decoder_only,
        .layer = { .D = 16,
                   .F = 24,
                   .heads = 2,
                   .dropout = 0.2,
                   .attention_dropout = 0.1,
                   .activation_dropout = 0.1,
                   .init = { WEFT_INIT_XAVIER_UNIFORM, 0, 0 } },
        .encoder_layers = 2,
        .decoder_layers = 2,
        .source_V = 19,
        .target_V = 19,
        .tie = WEFT_TIE_ALL,
        .loss = { .smoothing = 0.1 },
    };
}

/* A batch of sentences of given lengths; ids and keys depend on the sentence's number alone. */
enum { MAX_B = 64, MAX_N = 2048 };
typedef struct packed_side {
    int32_t ids[MAX_N], offsets[MAX_B + 1], rows[2 * MAX_N];
} packed_side;

static weft_tokens pack(packed_side *side, int B, const int sentence[], const int length[],
                        int salt)
{
    int32_t n = 0;
    for (int b = 0; b < B; b++) {
        side->offsets[b] = n;
        for (int p = 0; p < length[b]; p++, n++) {
            side->ids[n] = (7 * sentence[b] + 3 * p + salt) % 19;
            side->rows[2 * n] = sentence[b];
            side->rows[2 * n + 1] = p;
        }
    }
    side->offsets[B] = n;
    return (weft_tokens){
        .B = B, .N = n, .ids = side->ids, .offsets = side->offsets, .rows = side->rows
    };
}

static weft_batch make_batch(packed_side sides[3], int B, const int sentence[])
{
    int source[MAX_B], target[MAX_B];
    for (int b = 0; b < B; b++) {
        source[b] = 1 + sentence[b] * 5 % 9;
        target[b] = 1 + sentence[b] * 3 % 7;
    }
    weft_batch batch = { .source = pack(&sides[0], B, sentence, source, 1),
                         .target = pack(&sides[1], B, sentence, target, 2) };
    batch.labels = pack(&sides[2], B, sentence, target, 5).ids;
    return batch;
}

static weft_params *build(const weft_transformer_config *config)
{
    weft_params *params = weft_params_new(7);
    ck_assert_ptr_nonnull(params);
    ck_assert_msg(weft_transformer_init(&model, params, config) == WEFT_OK, "%s", weft_message());
    return params;
}

/* Loss sum of some sentences, with dropout; gradients are added to the parameters'. */
static double loss_of(weft_tape *tape, int B, const int sentence[])
{
    static packed_side sides[3];
    const weft_batch batch = make_batch(sides, B, sentence);
    weft_tape_reset(tape);
    weft_tape_seed(tape, 3, 11);
    const weft_var loss = weft_transformer_loss(&model, tape, &batch, NULL);
    ck_assert_msg(weft_backward(tape, loss, NULL) == WEFT_OK, "%s", weft_message());
    return weft_item(tape, loss);
}

/* Loss and gradients of a batch are the sums over its parts, dropout included: random numbers belong
 * to sentences, not to places in a batch. */
START_TEST(a_batch_is_the_sum_of_its_parts)
{
    const weft_transformer_config config = small(_i == 1);
    weft_params *params = build(&config);
    weft_tape *tape = weft_tape_new(0);
    const int all[] = { 3, 8, 1, 12, 5, 20 };
    const double whole = loss_of(tape, 6, all);
    const int64_t n = weft_params_block_size(params);
    weft_real *g = weft_alloc((size_t)n, sizeof *g);
    memcpy(g, weft_params_gradients(params), (size_t)n * sizeof *g);
    weft_params_zero_gradients(params);
    const double parts =
        loss_of(tape, 2, all) + loss_of(tape, 1, all + 2) + loss_of(tape, 3, all + 3);
    const double eps = sizeof(weft_real) == sizeof(double) ? 1e-12 : 2e-5;
    ck_assert_double_le(fabs(whole - parts) / whole, eps);
    double worst = 0, size = 0;
    for (int64_t k = 0; k < n; k++) {
        size = fmax(size, fabs((double)g[k]));
        worst = fmax(worst, fabs((double)g[k] - (double)weft_params_gradients(params)[k]));
    }
    ck_assert_double_gt(size, 0);
    ck_assert_double_le(worst / size, eps);
    weft_free(g);
    weft_tape_free(tape);
    weft_params_free(params);
}
END_TEST

/* A sentence's outputs have the same bits alone and in any batch. */
START_TEST(a_sentence_alone_has_the_same_bits)
{
    const weft_transformer_config config = small(_i == 1);
    weft_params *params = build(&config);
    weft_tape *tape = weft_tape_new(WEFT_NO_GRAD);
    static packed_side sides[3];
    const int all[] = { 3, 8, 1, 12, 5, 20 };
    weft_real *rows = weft_alloc(MAX_N * 19, sizeof *rows);
    weft_batch batch = make_batch(sides, 6, all);
    int32_t offsets[7];
    memcpy(offsets, batch.target.offsets, sizeof offsets);
    weft_var memory = _i ? WEFT_NIL : weft_transformer_encode(&model, tape, &batch.source);
    weft_var y = weft_transformer_logits(
        &model, tape, weft_transformer_decode(&model, tape, &batch.target, memory, &batch.source));
    const weft_tensor x = weft_value(tape, y);
    ck_assert_msg(x.data != NULL, "%s", weft_message());
    memcpy(rows, x.real, (size_t)weft_size(&x) * sizeof *rows);
    for (int b = 0; b < 6; b++) {
        weft_tape_reset(tape);
        batch = make_batch(sides, 1, all + b);
        memory = _i ? WEFT_NIL : weft_transformer_encode(&model, tape, &batch.source);
        y = weft_transformer_logits(
            &model, tape,
            weft_transformer_decode(&model, tape, &batch.target, memory, &batch.source));
        const weft_tensor alone = weft_value(tape, y);
        ck_assert_int_eq(
            memcmp(alone.real, rows + offsets[b] * 19, (size_t)weft_size(&alone) * sizeof *rows),
            0);
    }
    weft_free(rows);
    weft_tape_free(tape);
    weft_params_free(params);
}
END_TEST

/* One to four threads give the same bits, at a size where every thread works. */
START_TEST(threads_do_not_change_a_bit)
{
    weft_transformer_config config = small(false);
    config.layer.D = 64;
    config.layer.F = 128;
    weft_params *params = build(&config);
    weft_tape *tape = weft_tape_new(0);
    int all[40];
    for (int b = 0; b < 40; b++) all[b] = b;
    const int64_t n = weft_params_block_size(params);
    weft_real *g = weft_alloc((size_t)n, sizeof *g);
    double first = 0;
    for (int threads = 1; threads <= 4; threads++) {
        ck_assert_int_eq(weft_threads_set(threads), WEFT_OK);
        weft_team_largest();
        weft_params_zero_gradients(params);
        const double loss = loss_of(tape, 40, all);
        ck_assert_int_eq(weft_team_largest(), threads);
        if (threads == 1) {
            first = loss;
            memcpy(g, weft_params_gradients(params), (size_t)n * sizeof *g);
        }
        ck_assert(loss == first);
        ck_assert_int_eq(memcmp(g, weft_params_gradients(params), (size_t)n * sizeof *g), 0);
    }
    weft_free(g);
    weft_tape_free(tape);
    weft_params_free(params);
}
END_TEST

/* d(sum y^2)/d(x, weight, bias) of the feed-forward layer's first half; the caller frees the tape. */
static weft_tape *half_a_layer(bool fused, weft_var of[4])
{
    weft_tape *tape = weft_tape_new(WEFT_RETAIN);
    weft_tape_seed(tape, 5, 1);
    of[0] = weft_sample_normal(tape, WEFT_DIMS(70, 12));
    of[1] = weft_sample_normal(tape, WEFT_DIMS(300, 12));
    of[2] = weft_sample_normal(tape, WEFT_DIMS(300));
    const weft_dropout_spec spec = { .p = 0.3 };
    if (fused)
        of[3] = weft_linear_dropout(tape, of[0], of[1], of[2], WEFT_RELU, &spec);
    else
        of[3] = weft_dropout(tape, weft_linear(tape, of[0], of[1], of[2], WEFT_RELU), &spec);
    const weft_var sum = weft_sum(tape, weft_mul(tape, of[3], of[3]), WEFT_ALL, false);
    ck_assert_int_eq(weft_backward(tape, sum, NULL), WEFT_OK);
    return tape;
}

START_TEST(dropout_in_the_wake_of_a_product_is_dropout)
{
    weft_var a[4], b[4];
    weft_tape *fused = half_a_layer(true, a), *apart = half_a_layer(false, b);
    for (int i = 0; i < 4; i++) {
        const weft_tensor x = i < 3 ? weft_gradient(fused, a[i]) : weft_value(fused, a[i]),
                          y = i < 3 ? weft_gradient(apart, b[i]) : weft_value(apart, b[i]);
        int64_t n_zero = 0;
        for (int64_t k = 0; k < weft_size(&x); k++) {
            ck_assert(x.real[k] == y.real[k]);
            n_zero += x.real[k] == 0;
        }
        ck_assert(n_zero < weft_size(&x));
    }
    weft_tape_free(fused);
    weft_tape_free(apart);
}
END_TEST

/* The norm of the loss's gradient by each layer's linear2.weight, at initial values. */
static void gradient_norms(weft_norm_place place, int n_layers, double norm[])
{
    weft_transformer_config config = small(true);
    config.layer.D = 32;
    config.layer.F = 128;
    config.layer.place = place;
    config.layer.dropout = config.layer.attention_dropout = config.layer.activation_dropout = 0;
    config.decoder_layers = n_layers;
    config.final_norm = place == WEFT_PRE_NORM;
    weft_params *params = build(&config);
    weft_tape *tape = weft_tape_new(0);
    int all[40];
    for (int b = 0; b < 40; b++) all[b] = b;
    (void)loss_of(tape, 40, all);
    for (int i = 0; i < n_layers; i++) {
        const weft_param weight = model.encoder[i].feedforward.linear2.weight;
        const weft_tensor g = weft_params_gradient(params, weight.index);
        double sum = 0;
        for (int64_t k = 0; k < weft_size(&g); k++) sum += (double)g.real[k] * (double)g.real[k];
        norm[i] = sqrt(sum);
    }
    weft_tape_free(tape);
    weft_params_free(params);
}

/* Xiong et al. 2020, theorem 1: with the norm after the sum, gradients are largest in the last layer, as large
 * in a deep model as in a shallow one; with the norm before sub-layers they fall with the root of the depth. */
START_TEST(norms_before_sub_layers_tame_gradients)
{
    enum { SHALLOW = 3, DEEP = 12 };
    double shallow[SHALLOW], deep[DEEP];
    gradient_norms(WEFT_POST_NORM, SHALLOW, shallow);
    gradient_norms(WEFT_POST_NORM, DEEP, deep);
    ck_assert_double_gt(deep[DEEP - 1], 2 * deep[0]);
    ck_assert_double_lt(fabs(deep[DEEP - 1] / shallow[SHALLOW - 1] - 1), 0.2);
    gradient_norms(WEFT_PRE_NORM, SHALLOW, shallow);
    gradient_norms(WEFT_PRE_NORM, DEEP, deep);
    ck_assert_double_lt(deep[DEEP - 1], deep[0]);
    ck_assert_double_lt(fabs(deep[DEEP - 1] / shallow[SHALLOW - 1] - sqrt((double)SHALLOW / DEEP)),
                        0.15);
}
END_TEST

/* The plan of a dry tape is the peak of a real one. */
START_TEST(dry_plan_is_the_real_peak)
{
    static packed_side sides[3];
    const weft_transformer_config config = small(_i == 1);
    weft_params *params = build(&config);
    int all[40];
    for (int b = 0; b < 40; b++) all[b] = b;
    size_t peak[2];
    for (int dry = 0; dry < 2; dry++) {
        weft_tape *tape = weft_tape_new(dry ? WEFT_DRY : 0);
        const weft_batch batch = make_batch(sides, 40, all);
        const weft_var loss = weft_transformer_loss(&model, tape, &batch, NULL);
        ck_assert_msg(weft_backward(tape, weft_scale(tape, loss, 0.1), NULL) == WEFT_OK, "%s",
                      weft_message());
        peak[dry] = weft_tape_peak_bytes(tape);
        weft_tape_free(tape);
    }
    ck_assert_uint_eq(peak[0], peak[1]);
    weft_params_free(params);
}
END_TEST

START_TEST(impossible_models_get_a_sentence)
{
    static const struct {
        const char *part;
        weft_status status;
    } expected[] = { { "does not divide into 3 heads", WEFT_ERR_SHAPE },
                     { "dropout of 1 is not in", WEFT_ERR_RANGE },
                     { "one matrix for all needs one vocabulary", WEFT_ERR_SHAPE },
                     { "encoder and", WEFT_ERR_RANGE },
                     { "learned positions need max_positions", WEFT_ERR_RANGE },
                     { "label smoothing", WEFT_ERR_RANGE },
                     { "more bytes than 64 bits", WEFT_ERR_OVERFLOW } };
    weft_transformer_config config = small(false);
    switch (_i) {
    case 0: config.layer.heads = 3; break;
    case 1: config.layer.dropout = 1; break;
    case 2: config.target_V = 20; break;
    case 3: config.encoder_layers = 0; break;
    case 4: config.position = WEFT_POSITION_LEARNED; break;
    case 5: config.loss.smoothing = 1; break;
    case 6: config.source_V = config.target_V = INT64_MAX / 4; break;
    }
    weft_params *params = weft_params_new(1);
    ck_assert_int_eq(weft_transformer_init(&model, params, &config), expected[_i].status);
    ck_assert_msg(strstr(weft_message(), expected[_i].part) != NULL, "%s", weft_message());
    weft_params_free(params);
}
END_TEST

START_TEST(a_width_beyond_64_bits_is_an_error)
{
    weft_params *params = weft_params_new(1);
    weft_encoder_layer layer;
    const weft_layer_config config = { .D = INT64_MAX / 2, .F = 1, .heads = 1 };
    ck_assert_ptr_nonnull(params);
    ck_assert_int_eq(weft_encoder_layer_init(&layer, params, "layer", &config), WEFT_ERR_OVERFLOW);
    ck_assert_str_eq(weft_message(),
                     "layer.self_attn: 3 D is beyond 64 bits: D = 4611686018427387903");
    ck_assert_int_eq(weft_params_count(params), 0);
    weft_params_free(params);
}
END_TEST

START_TEST(mistakes_name_the_place_in_the_model)
{
    static packed_side sides[3];
    const weft_transformer_config config = small(false);
    weft_params *params = build(&config);
    weft_tape *tape = weft_tape_new(0);
    weft_batch batch = make_batch(sides, 3, (const int[]){ 1, 2, 3 });
    sides[0].ids[1] = 19;
    weft_transformer_loss(&model, tape, &batch, NULL);
    ck_assert_int_eq(weft_tape_status(tape), WEFT_ERR_RANGE);
    ck_assert_msg(strstr(weft_tape_message(tape), "encoder: embedding(") != NULL, "%s",
                  weft_tape_message(tape));
    weft_tape_free(tape);
    weft_params_free(params);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("layers");
    TCase *packing = tcase_create("packing");
    tcase_add_loop_test(packing, a_batch_is_the_sum_of_its_parts, 0, 2);
    tcase_add_loop_test(packing, a_sentence_alone_has_the_same_bits, 0, 2);
    suite_add_tcase(suite, packing);
    TCase *threads = tcase_create("threads");
    tcase_add_test(threads, threads_do_not_change_a_bit);
    suite_add_tcase(suite, threads);
    TCase *memory = tcase_create("memory");
    tcase_add_loop_test(memory, dry_plan_is_the_real_peak, 0, 2);
    suite_add_tcase(suite, memory);
    TCase *fused = tcase_create("fused");
    tcase_add_test(fused, dropout_in_the_wake_of_a_product_is_dropout);
    suite_add_tcase(suite, fused);
    TCase *initial = tcase_create("initial");
    tcase_add_test(initial, norms_before_sub_layers_tame_gradients);
    suite_add_tcase(suite, initial);
    TCase *misuse = tcase_create("misuse");
    tcase_add_loop_test(misuse, impossible_models_get_a_sentence, 0, 7);
    tcase_add_test(misuse, mistakes_name_the_place_in_the_model);
    tcase_add_test(misuse, a_width_beyond_64_bits_is_an_error);
    suite_add_tcase(suite, misuse);
    return run_suite(suite);
}
