/* test_blocks.c - layers of the kinds that came after 2017 against PyTorch: rotary positions, grouped
 * heads, RMSNorm, ScaleNorm, gated feed-forward (tests/golden/make_blocks.py). In double to 1e-10. */
#include "golden_file.h"

static const struct {
    const char *name;
    weft_layer_config layer;
    weft_sinusoid_spec frequencies;
} cases[] = {
    { "llama",
      { .kv_heads = 2, .place = WEFT_PRE_NORM, .activation = WEFT_SILU, .rotary_halves = true },
      { 0 } },
    { "gptj_yarn",
      { .place = WEFT_PRE_NORM, .qk_norm = true, .activation = WEFT_GELU },
      { .scaling = WEFT_SCALE_YARN, .factor = 4, .length = 64 } },
    { "multi_query_ntk",
      { .kv_heads = 1, .place = WEFT_SANDWICH_NORM, .one_gain = true, .activation = WEFT_LOGISTIC },
      { .scaling = WEFT_SCALE_NTK, .factor = 8 } },
};

START_TEST(blocks_equal_pytorch)
{
    const char *group = cases[_i].name;
    char param[64], dparam[64];
    snprintf(param, sizeof param, "%s/param", group);
    snprintf(dparam, sizeof dparam, "%s/dparam", group);
    open_golden("blocks.h5");
    weft_layer_config config = cases[_i].layer;
    config.D = 24;
    config.F = 10;
    config.heads = 6;
    config.gated = true;
    config.norm.kind = WEFT_RMS_NORM;
    weft_params *params = weft_params_new(1);
    weft_tape *tape = weft_tape_new(0);
    weft_encoder_layer layer;
    ck_assert_msg(weft_encoder_layer_init(&layer, params, "", &config) == WEFT_OK, "%s",
                  weft_message());
    load_params(params, param);

    const weft_var x = leaf(tape, group, "input/x");
    weft_packed packed = packed_by(tape, group, "input/offsets", weft_shape(tape, x).dim[0]);
    int32_t rows[64];
    const int32_t *offsets = weft_value(tape, packed.offsets).i32;
    for (int32_t b = 0; b < packed.B; b++)
        for (int32_t n = offsets[b]; n < offsets[b + 1]; n++)
            rows[2 * n] = b, rows[2 * n + 1] = n - offsets[b];
    packed.rows = weft_constant_int(tape, WEFT_DIMS(packed.N, 2), rows);
    packed.angles = weft_sinusoid(tape, packed.rows, 4, &cases[_i].frequencies);
    const weft_var y = weft_encoder_layer_apply(&layer, tape, x, &packed, true);
    weft_real *dy = read_new(group, "doutput/y", WEFT_STORE_REAL);
    weft_keep(tape, y);
    ck_assert_msg(weft_backward(tape, y, dy) == WEFT_OK, "%s", weft_message());
    expect(weft_value(tape, y), group, "output/y", close_enough);
    expect(weft_gradient(tape, x), group, "dinput/x", close_enough);
    expect_gradients(params, dparam, close_enough);
    weft_free(dy);
    weft_tape_free(tape);
    weft_params_free(params);
    close_golden();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("blocks");
    TCase *golden = tcase_create("golden");
    tcase_add_loop_test(golden, blocks_equal_pytorch, 0, 3);
    suite_add_tcase(suite, golden);
    return run_suite(suite);
}
