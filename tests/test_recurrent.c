/* test_recurrent.c - recurrent layers: equal to PyTorch, to themselves step by step, and to nothing
 * but their own sentence. */
#include "golden_file.h"

enum { N_CELLS = 4, C = 6, D = 5, B = 4, N = 13 };
static const int32_t offsets[B + 1] = { 0, 4, 4, 5, 13 }; /* the second sentence is empty */
static const weft_cell cells[N_CELLS] = { WEFT_CELL_TANH, WEFT_CELL_LSTM, WEFT_CELL_GRU,
                                          WEFT_CELL_GRU_BEFORE };

typedef struct fixture {
    weft_params *params;
    weft_tape *tape;
    weft_recurrent_layer layer;
    weft_real x[N * C];
} fixture;

static fixture fixture_new(weft_cell cell)
{
    fixture f = { .params = weft_params_new(3), .tape = weft_tape_new(WEFT_RETAIN) };
    ck_assert_int_eq(weft_recurrent_layer_init(&f.layer, f.params, "cell", C, D, cell), WEFT_OK);
    for (int i = 0; i < weft_params_count(f.params); i++) { /* no bias is 0 */
        const weft_tensor p = weft_params_value(f.params, i);
        for (int64_t k = 0; k < weft_size(&p); k++)
            p.real[k] = (weft_real)(0.8 * sin((double)(i * 100 + k)));
    }
    for (int k = 0; k < N * C; k++) f.x[k] = (weft_real)cos(1.7 * k);
    return f;
}

static void fixture_free(fixture *f)
{
    weft_tape_free(f->tape);
    weft_params_free(f->params);
}

static weft_packed pack(weft_tape *tape, int64_t n_sentences, const int32_t *at)
{
    return (weft_packed){ .B = n_sentences,
                          .N = at[n_sentences],
                          .offsets = weft_constant_int(tape, WEFT_DIMS(n_sentences + 1), at) };
}

/* All of the batch at once, into y [N, D] and dx [N, C]; gradients of parameters in f->params. */
static void run_batch(fixture *f, weft_real *y, weft_real *dx)
{
    weft_tape_reset(f->tape);
    weft_params_zero_gradients(f->params);
    const weft_var x = weft_leaf(f->tape, WEFT_DIMS(N, C), f->x);
    const weft_packed packed = pack(f->tape, B, offsets);
    const weft_var h = weft_recurrent_layer_apply(&f->layer, f->tape, x, &packed);
    const weft_var loss = weft_sum(f->tape, weft_mul(f->tape, h, h), WEFT_ALL, false);
    ck_assert_msg(weft_backward(f->tape, loss, NULL) == WEFT_OK, "%s", weft_message());
    const weft_tensor value = weft_value(f->tape, h), gradient = weft_gradient(f->tape, x);
    for (int64_t r = 0; r < N; r++) {
        memcpy(y + r * D, value.real + r * value.ld, D * sizeof *y);
        memcpy(dx + r * C, gradient.real + r * gradient.ld, C * sizeof *dx);
    }
}

/* ---- PyTorch ----------------------------------------------------------------------------------- */

START_TEST(layers_equal_pytorch)
{
    static const char *const names[] = { "rnn", "lstm", "gru" };
    const char *group = names[_i];
    char param[32], dparam[32];
    snprintf(param, sizeof param, "%s/param", group);
    snprintf(dparam, sizeof dparam, "%s/dparam", group);
    open_golden("recurrent.h5");
    weft_params *params = weft_params_new(1);
    weft_tape *tape = weft_tape_new(WEFT_RETAIN);
    const weft_var x = leaf(tape, group, "input/x");
    const weft_tensor shape = weft_shape(tape, x);
    const weft_packed packed = packed_by(tape, group, "input/offsets", shape.dim[0]);
    weft_recurrent_layer layer;
    ck_assert_int_eq(weft_recurrent_layer_init(&layer, params, "", shape.dim[1], 5, cells[_i]),
                     WEFT_OK);
    load_params(params, param);
    const weft_var y = weft_recurrent_layer_apply(&layer, tape, x, &packed);
    expect(weft_value(tape, y), group, "output/y", close_enough);
    weft_real *dy = read_new(group, "doutput/y", WEFT_STORE_REAL);
    ck_assert_msg(weft_backward(tape, y, dy) == WEFT_OK, "%s", weft_message());
    expect(weft_gradient(tape, x), group, "dinput/x", close_enough);
    expect_gradients(params, dparam, close_enough);
    weft_free(dy);
    weft_tape_free(tape);
    weft_params_free(params);
    close_golden();
}
END_TEST

/* ---- by itself ---------------------------------------------------------------------------------- */

START_TEST(parameters_are_counted_and_the_forget_gate_is_open)
{
    static const int parts[] = { 1, 4, 3, 3 };
    for (int i = 0; i < N_CELLS; i++) {
        weft_params *params = weft_params_new(1);
        weft_recurrent_layer layer;
        ck_assert_int_eq(weft_recurrent_layer_init(&layer, params, "x", C, D, cells[i]), WEFT_OK);
        ck_assert_int_eq(weft_params_size(params), parts[i] * (D * D + D * C + 2 * D));
        const weft_real *bias =
            weft_params_value(params, weft_params_find(params, "x.bias_ih_l0")).real;
        for (int k = 0; k < parts[i] * D; k++)
            ck_assert(bias[k] == (cells[i] == WEFT_CELL_LSTM && k / D == 1 ? 1 : 0));
        weft_params_free(params);
    }
}
END_TEST

START_TEST(a_step_has_the_bits_of_the_whole)
{
    fixture f = fixture_new(cells[_i]);
    weft_real y[N * D], dx[N * C];
    run_batch(&f, y, dx);
    static const int32_t one[] = { 0, 1 };
    for (int b = 0; b < B; b++) {
        weft_real past[2 * D];
        int64_t S = 0;
        for (int32_t n = offsets[b]; n < offsets[b + 1]; n++) {
            weft_tape_reset(f.tape);
            const weft_packed packed = pack(f.tape, 1, one);
            weft_var state = S == 0 ? WEFT_NIL : weft_constant(f.tape, WEFT_DIMS(1, 1, S), past);
            const weft_var x = weft_constant(f.tape, WEFT_DIMS(1, C), f.x + n * C);
            const weft_var h = weft_recurrent_layer_step(&f.layer, f.tape, x, &packed, &state);
            ck_assert_msg(weft_tape_status(f.tape) == WEFT_OK, "%s", weft_tape_message(f.tape));
            ck_assert(memcmp(weft_value(f.tape, h).real, y + n * D, D * sizeof *y) == 0);
            S = weft_shape(f.tape, state).dim[2];
            memcpy(past, weft_value(f.tape, state).real, (size_t)S * sizeof *past);
        }
    }
    fixture_free(&f);
}
END_TEST

/* Another sentence, changed, leaves the bits of these: what is before a sentence does not reach it. */
START_TEST(sentences_do_not_see_one_another)
{
    fixture f = fixture_new(cells[_i]);
    weft_real y[2][N * D], dx[2][N * C];
    run_batch(&f, y[0], dx[0]);
    for (int k = 0; k < C; k++) f.x[2 * C + k] += 1; /* the third token of the first sentence */
    run_batch(&f, y[1], dx[1]);
    ck_assert(memcmp(y[0], y[1], 2 * D * sizeof(weft_real)) == 0);
    ck_assert(memcmp(y[0] + 2 * D, y[1] + 2 * D, D * sizeof(weft_real)) != 0);
    ck_assert(memcmp(y[0] + 4 * D, y[1] + 4 * D, (N - 4) * D * sizeof(weft_real)) == 0);
    ck_assert(memcmp(dx[0] + 4 * C, dx[1] + 4 * C, (N - 4) * C * sizeof(weft_real)) == 0);
    ck_assert(memcmp(dx[0], dx[1], C * sizeof(weft_real)) != 0); /* through time, backward */
    fixture_free(&f);
}
END_TEST

/* A model whose layers have a recurrent mixer: token by token as all at once, to the bit, both kinds. */
START_TEST(models_step_as_they_run)
{
    enum { V = 11, T = 7, M = 5, WIDTH = 8 };
    static const int32_t ids[T] = { 1, 7, 3, 3, 9, 10, 4 }, source_ids[M] = { 5, 6, 8, 4, 2 },
                         one[] = { 0, 1 }, memory_at[] = { 0, M }, target_at[] = { 0, T };
    const bool decoder_only = _i % 2 == 1;
    int32_t rows[2 * T] = { 0 };
    for (int32_t t = 0; t < T; t++) rows[2 * t + 1] = t;
    const weft_layer_config layer = { .mixer = WEFT_MIX_RECURRENT,
                                      .cell = cells[_i / 2],
                                      .D = WIDTH,
                                      .F = 12,
                                      .heads = 2,
                                      .init = { WEFT_INIT_XAVIER_UNIFORM, 0, 0 } };
    weft_params *params = weft_params_new(5);
    static weft_transformer model;
    const weft_transformer_config config = { .decoder_only = decoder_only,
                                             .layer = layer,
                                             .encoder_layers = 2,
                                             .decoder_layers = 2,
                                             .source_V = V,
                                             .target_V = V,
                                             .position = WEFT_POSITION_NONE };
    ck_assert_msg(weft_transformer_init(&model, params, &config) == WEFT_OK, "%s", weft_message());
    ck_assert_int_eq(weft_params_find(params, "decoder.layers.0.self_attn.in_proj_weight"), -1);
    ck_assert_int_ge(weft_params_find(params, "decoder.layers.0.recurrent.weight_hh_l0"), 0);
    weft_tape *tape = weft_tape_new(WEFT_NO_GRAD);
    const weft_tokens source = { 1, M, source_ids, memory_at, rows },
                      target = { 1, T, ids, target_at, rows };
    weft_var memory = decoder_only ? WEFT_NIL : weft_transformer_encode(&model, tape, &source);
    const weft_var whole = weft_transformer_decode(&model, tape, &target, memory, &source);
    ck_assert_msg(weft_tape_status(tape) == WEFT_OK, "%s", weft_tape_message(tape));

    weft_past past = { .self_offsets = weft_constant_int(tape, WEFT_DIMS(2), one),
                       .memory_offsets = weft_constant_int(tape, WEFT_DIMS(2), memory_at),
                       .groups = weft_constant_int(tape, WEFT_DIMS(2), one) };
    if (!decoder_only) weft_transformer_memory(&model, tape, memory, &past);
    for (int t = 0; t < T; t++) {
        const weft_tokens next = { 1, 1, ids + t, one, rows + 2 * t };
        const weft_var y = weft_transformer_step(&model, tape, &next, &past);
        ck_assert_msg(weft_tape_status(tape) == WEFT_OK, "%s", weft_tape_message(tape));
        ck_assert(memcmp(weft_value(tape, y).real, weft_value(tape, whole).real + t * WIDTH,
                         WIDTH * sizeof(weft_real)) == 0);
        const weft_tensor kept = weft_shape(tape, past.self[1]);
        ck_assert_int_eq(kept.dim[1], weft_layer_past_rows(&layer, t + 1));
        ck_assert_int_eq(kept.dim[2], weft_layer_past_width(&layer));
    }
    weft_tape_free(tape);
    weft_params_free(params);
}
END_TEST

START_TEST(threads_do_not_change_a_bit)
{
    weft_real y[2][N * D], dx[2][N * C];
    static weft_real gradients[2][1000];
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(weft_threads_set(i == 0 ? 1 : 3), WEFT_OK);
        weft_team_work(1);
        fixture f = fixture_new(cells[_i]);
        run_batch(&f, y[i], dx[i]);
        const int64_t n = weft_params_block_size(f.params);
        ck_assert_int_le(n, 1000);
        memcpy(gradients[i], weft_params_gradients(f.params), (size_t)n * sizeof(weft_real));
        if (i == 1) ck_assert_int_eq(weft_team_largest(), 3);
        fixture_free(&f);
    }
    ck_assert(memcmp(y[0], y[1], sizeof y[0]) == 0);
    ck_assert(memcmp(dx[0], dx[1], sizeof dx[0]) == 0);
    ck_assert(memcmp(gradients[0], gradients[1], sizeof gradients[0]) == 0);
}
END_TEST

START_TEST(mistakes_get_a_sentence)
{
    weft_params *params = weft_params_new(1);
    weft_recurrent_layer layer;
    ck_assert_int_eq(weft_recurrent_layer_init(&layer, params, "a", 0, D, WEFT_CELL_LSTM),
                     WEFT_ERR_RANGE);
    ck_assert_str_eq(weft_message(), "a: a recurrent layer from 0 to 5, cell 1");
    ck_assert_int_eq(weft_recurrent_layer_init(&layer, params, "a", C, D, (weft_cell)7),
                     WEFT_ERR_RANGE);
    ck_assert_int_eq(
        weft_recurrent_layer_init(&layer, params, "a", C, INT64_MAX / 2, WEFT_CELL_LSTM),
        WEFT_ERR_OVERFLOW);
    weft_params_free(params);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("recurrent");
    TCase *golden = tcase_create("golden");
    tcase_add_loop_test(golden, layers_equal_pytorch, 0, 3);
    suite_add_tcase(suite, golden);
    TCase *layers = tcase_create("layers");
    tcase_add_test(layers, parameters_are_counted_and_the_forget_gate_is_open);
    tcase_add_loop_test(layers, a_step_has_the_bits_of_the_whole, 0, N_CELLS);
    tcase_add_loop_test(layers, sentences_do_not_see_one_another, 0, N_CELLS);
    tcase_add_loop_test(layers, models_step_as_they_run, 0, 2 * N_CELLS);
    tcase_add_test(layers, mistakes_get_a_sentence);
    suite_add_tcase(suite, layers);
    TCase *threads = tcase_create("threads");
    tcase_add_loop_test(threads, threads_do_not_change_a_bit, 0, N_CELLS);
    suite_add_tcase(suite, threads);
    return run_suite(suite);
}
