/* test_blocks.c - layers of the kinds that came after 2017 against PyTorch: rotary positions, grouped
 * heads, RMSNorm, ScaleNorm, gated feed-forward (tests/golden/make_blocks.py). In double to 1e-10. */
#include "check_main.h"

#include "data/data.h"
#include "layers/layers.h"

#include <math.h>
#include <string.h>

static const double close_enough = sizeof(weft_real) == sizeof(double) ? 1e-10 : 2e-5;
static weft_store *store;
static const char *group;

static void *read_new(const char *part, const char *name, weft_store_type type,
                      const weft_store_entry **entry)
{
    char path[256];
    void *values;
    snprintf(path, sizeof path, "%s/%s/%s", group, part, name);
    *entry = weft_store_find(store, path);
    ck_assert_msg(*entry != NULL, "the golden file has no %s", path);
    ck_assert_msg(weft_store_read_new(store, path, type, NULL, &values) == WEFT_OK, "%s",
                  weft_message());
    return values;
}

static void expect(const weft_real *x, const char *part, const char *name)
{
    const weft_store_entry *e;
    double *want = read_new(part, name, WEFT_STORE_F64, &e), size = 1;
    for (int64_t k = 0; k < e->size; k++) size = fmax(size, fabs(want[k]));
    for (int64_t k = 0; k < e->size; k++)
        ck_assert_msg(fabs((double)x[k] - want[k]) <= close_enough * size,
                      "%s/%s/%s: element %lld is %.12g, not %.12g", group, part, name, (long long)k,
                      (double)x[k], want[k]);
    weft_free(want);
}

static void load_params(weft_params *params)
{
    int n = 0;
    char prefix[64];
    snprintf(prefix, sizeof prefix, "%s/param/", group);
    for (int i = 0; i < weft_store_count(store); i++)
        n += strncmp(weft_store_at(store, i)->name, prefix, strlen(prefix)) == 0;
    ck_assert_int_eq(n, weft_params_count(params));
    for (int i = 0; i < n; i++) {
        const weft_tensor x = weft_params_value(params, i);
        const weft_store_entry *e;
        weft_real *values = read_new("param", weft_params_name(params, i), WEFT_STORE_REAL, &e);
        ck_assert_int_eq(e->size, weft_size(&x));
        memcpy(x.real, values, (size_t)e->size * sizeof *values);
        weft_free(values);
    }
    weft_params_changed(params);
}

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
    group = cases[_i].name;
    ck_assert_msg(weft_store_open(WEFT_SOURCE_DIR "/tests/golden/blocks.h5", WEFT_STORE_UNHASHED,
                                  &store) == WEFT_OK,
                  "%s", weft_message());
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
    load_params(params);

    const weft_store_entry *ex, *eo;
    weft_real *x_values = read_new("input", "x", WEFT_STORE_REAL, &ex);
    int32_t *offsets = read_new("input", "offsets", WEFT_STORE_I32, &eo);
    const int64_t B = eo->dim[0] - 1, N = ex->dim[0];
    int32_t rows[64];
    for (int32_t b = 0; b < B; b++)
        for (int32_t n = offsets[b]; n < offsets[b + 1]; n++)
            rows[2 * n] = b, rows[2 * n + 1] = n - offsets[b];
    const weft_var x = weft_leaf(tape, 2, ex->dim, x_values);
    weft_packed packed = { .B = B,
                           .N = N,
                           .offsets = weft_constant_int(tape, WEFT_DIMS(B + 1), offsets),
                           .rows = weft_constant_int(tape, WEFT_DIMS(N, 2), rows) };
    packed.angles = weft_sinusoid(tape, packed.rows, 4, &cases[_i].frequencies);
    const weft_var y = weft_encoder_layer_apply(&layer, tape, x, &packed, true);
    const weft_store_entry *ey;
    weft_real *dy = read_new("doutput", "y", WEFT_STORE_REAL, &ey);
    weft_keep(tape, y);
    ck_assert_msg(weft_backward(tape, y, dy) == WEFT_OK, "%s", weft_message());
    expect(weft_value(tape, y).real, "output", "y");
    expect(weft_gradient(tape, x).real, "dinput", "x");
    for (int i = 0; i < weft_params_count(params); i++)
        expect(weft_params_gradient(params, i).real, "dparam", weft_params_name(params, i));
    weft_free(x_values);
    weft_free(offsets);
    weft_free(dy);
    weft_tape_free(tape);
    weft_params_free(params);
    weft_store_free(store);
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
