/* test_self_attention.c - what a layer of self-attention promises beside its operation: heads in any
 * order, global projections that begin as copies, draws that change when they should, how much it keeps
 * of a text, and distances beyond the text that change nothing. */
#include "check_main.h"

#include "layers/layers.h"

#include <math.h>
#include <string.h>

enum { D = 16, H = 4, K = D / H, MOST = 512 };

static const double nearly = sizeof(weft_real) == sizeof(double) ? 1e-13 : 3e-5;

static weft_attention_layer layer;

static weft_params *build(weft_layer_config config)
{
    config.D = D;
    config.F = D;
    config.heads = H;
    config.init = (weft_init){ WEFT_INIT_XAVIER_UNIFORM, 1.5, 0 };
    weft_params *params = weft_params_new(7);
    ck_assert_msg(weft_attention_layer_init(&layer, params, "a", &config) == WEFT_OK, "%s",
                  weft_message());
    return params;
}

static weft_tensor parameter(const weft_params *params, const char *name)
{
    const int at = weft_params_find(params, name);
    ck_assert_msg(at >= 0, "there is no %s", name);
    return weft_params_value(params, at);
}

/* B sentences of these lengths. */
static weft_packed pack(weft_tape *tape, int64_t B, const int32_t lengths[])
{
    int32_t offsets[MOST] = { 0 }, rows[2 * MOST], longest = 0;
    for (int64_t b = 0; b < B; b++) {
        offsets[b + 1] = offsets[b] + lengths[b];
        if (lengths[b] > longest) longest = lengths[b];
        for (int32_t p = 0; p < lengths[b]; p++) {
            rows[2 * (offsets[b] + p)] = (int32_t)b;
            rows[2 * (offsets[b] + p) + 1] = p;
        }
    }
    return (weft_packed){ .B = B,
                          .N = offsets[B],
                          .longest = longest,
                          .offsets = weft_constant_int(tape, WEFT_DIMS(B + 1), offsets),
                          .rows = weft_constant_int(tape, WEFT_DIMS(offsets[B], 2), rows) };
}

/* The same numbers at every call. */
static weft_var input(weft_tape *tape, int64_t N)
{
    weft_real x[MOST * D];
    for (int64_t k = 0; k < N * D; k++) x[k] = (weft_real)sin(1.7 * (double)k);
    return weft_leaf(tape, WEFT_DIMS(N, D), x);
}

/* The layer's output for sentences of these lengths, and its gradient by the input for an output gradient
 * that is the input's numbers. */
static void run(weft_tape *tape, int64_t B, const int32_t lengths[], weft_real y[], weft_real dx[])
{
    weft_tape_reset(tape);
    const weft_packed packed = pack(tape, B, lengths);
    const weft_var x = input(tape, packed.N),
                   out = weft_attention_layer_self(&layer, tape, x, &packed, false);
    const weft_tensor value = weft_value(tape, out);
    ck_assert_msg(value.data != NULL, "%s", weft_tape_message(tape));
    memcpy(y, value.real, (size_t)(packed.N * D) * sizeof *y);
    if (!dx) return;
    ck_assert_int_eq(weft_backward(tape, out, weft_value(tape, x).real), WEFT_OK);
    memcpy(dx, weft_gradient(tape, x).real, (size_t)(packed.N * D) * sizeof *dx);
}

static void expect_near(int64_t n, const weft_real a[], const weft_real b[])
{
    for (int64_t k = 0; k < n; k++) ck_assert_double_le(fabs((double)a[k] - (double)b[k]), nearly);
}

static const int32_t three[] = { 9, 1, 30 };
enum { N_THREE = 40 };
static weft_real y[2][MOST * D], dx[2][MOST * D];

/* ---- heads -------------------------------------------------------------------------------------- */

/* Swap heads a and b among rows (of a matrix or a bias) or, with `columns`, among columns. */
static void swap_heads(const weft_tensor *w, int64_t first, int a, int b, bool columns)
{
    const int64_t C = w->rank == 2 ? w->dim[1] : 1, n = columns ? w->dim[0] : C;
    for (int64_t k = 0; k < K; k++)
        for (int64_t i = 0; i < n; i++) {
            const int64_t at[] = { first + a * K + k, first + b * K + k };
            weft_real *x = w->real + (columns ? i * C + at[0] : at[0] * C + i),
                      *z = w->real + (columns ? i * C + at[1] : at[1] * C + i);
            const weft_real kept = *x;
            *x = *z;
            *z = kept;
        }
}

START_TEST(heads_may_stand_in_any_order)
{
    weft_params *params = build((weft_layer_config){ 0 });
    weft_tape *tape = weft_tape_new(WEFT_RETAIN);
    run(tape, 3, three, y[0], dx[0]);
    const weft_tensor in = parameter(params, "a.in_proj_weight"),
                      out = parameter(params, "a.out_proj.weight");
    for (int part = 0; part < 3; part++) swap_heads(&in, part * D, 0, 2, false);
    run(tape, 3, three, y[1], dx[1]);
    int n_changed = 0;
    for (int k = 0; k < N_THREE * D; k++)
        n_changed += fabs((double)y[0][k] - (double)y[1][k]) > 0.1;
    ck_assert_int_gt(n_changed, 0);
    swap_heads(&out, 0, 0, 2, true);
    run(tape, 3, three, y[1], dx[1]);
    expect_near(N_THREE * D, y[0], y[1]);
    expect_near(N_THREE * D, dx[0], dx[1]);
    weft_tape_free(tape);
    weft_params_free(params);
}
END_TEST

/* With a block-diagonal out_proj the channels of a block are those of one head: of attention by itself
 * times its block. */
START_TEST(a_block_of_the_output_is_of_one_head)
{
    weft_params *params = build((weft_layer_config){ 0 });
    weft_tape *tape = weft_tape_new(WEFT_NO_GRAD);
    const weft_tensor out = parameter(params, "a.out_proj.weight");
    for (int k = 0; k < D * D; k++)
        if (k / D / K != k % D / K) out.real[k] = 0;
    run(tape, 3, three, y[0], NULL);
    for (int h = 0; h < H; h++) {
        weft_tape_reset(tape);
        const weft_packed packed = pack(tape, 3, three);
        const weft_var x = input(tape, packed.N), w = weft_use(tape, layer.in_weight);
        weft_var part[3];
        for (int i = 0; i < 3; i++)
            part[i] = weft_matmul_t(
                tape, x, false, weft_slice(tape, w, 0, i * D + h * K, i * D + (h + 1) * K), true);
        const weft_attention_spec spec = { .heads = 1, .q_offsets = packed.offsets };
        const weft_var head = weft_attention(tape, part[0], part[1], part[2], &spec),
                       rows = weft_slice(tape, weft_use(tape, layer.out.weight), 0, h * K,
                                         (h + 1) * K),
                       block = weft_slice(tape, rows, 1, h * K, (h + 1) * K);
        const weft_tensor z = weft_value(tape, weft_matmul_t(tape, head, false, block, true));
        for (int64_t n = 0; n < N_THREE; n++)
            expect_near(K, y[0] + n * D + h * K, z.real + n * z.ld);
    }
    weft_tape_free(tape);
    weft_params_free(params);
}
END_TEST

/* Of a text of m tokens 2 m G K numbers are kept, m G (K + Kv) with values of another width; parameters
 * are 2 D^2 (1 + G / H) and biases (Ainslie et al. 2023). */
START_TEST(fewer_heads_keep_and_have_less)
{
    enum { T = 5 };
    const struct {
        int G;
        int64_t Kv;
    } of[] = { { H, 0 }, { 2, 0 }, { 1, 0 }, { 2, 6 } };
    for (int i = 0; i < 4; i++) {
        const weft_layer_config config = {
            .D = D, .heads = H, .kv_heads = of[i].G, .value_width = of[i].Kv
        };
        const int64_t G = of[i].G, Kv = of[i].Kv > 0 ? of[i].Kv : K;
        ck_assert_int_eq(weft_layer_past_rows(&config, T) * weft_layer_past_width(&config),
                         T * G * (K + Kv));
        weft_params *params = build(config);
        int64_t size = 0;
        for (int p = 0; p < weft_params_count(params); p++) {
            const weft_tensor x = weft_params_value(params, p);
            size += weft_size(&x);
        }
        ck_assert_int_eq(size, D * D + D * G * (K + Kv) + D * H * Kv + D + G * (K + Kv) + D);
        if (Kv == K) ck_assert_int_eq(size, 2 * D * D * (H + G) / H + 2 * D * (H + G) / H);
        weft_tape *tape = weft_tape_new(WEFT_NO_GRAD);
        weft_var past = WEFT_NIL;
        for (int32_t t = 0; t < T; t++) {
            const weft_packed next = pack(tape, 1, (int32_t[]){ 1 });
            const weft_var offsets = weft_constant_int(tape, WEFT_DIMS(2), (int32_t[]){ 0, t + 1 });
            (void)weft_attention_layer_step(&layer, tape, input(tape, 1), &next, &past, offsets);
        }
        const weft_tensor kept = weft_value(tape, past);
        ck_assert_msg(kept.data != NULL, "%s", weft_tape_message(tape));
        ck_assert_int_eq(weft_size(&kept), T * G * (K + Kv));
        weft_tape_free(tape);
        weft_params_free(params);
    }
}
END_TEST

/* ---- global projections -------------------------------------------------------------------------- */

/* Beltagy et al. 2020, section 3.1: they begin as the others, and so the layer as one that has none. */
START_TEST(global_projections_begin_as_copies)
{
    const weft_exact_config exact = {
        .pattern = { .kind = WEFT_PATTERN_WINDOW, .window = 4, .n_global = 2 },
        .global_projections = true
    };
    weft_params *params = build((weft_layer_config){ .exact = exact, .kv_heads = 2 });
    weft_tape *tape = weft_tape_new(WEFT_NO_GRAD);
    static const char *const names[][2] = {
        { "a.in_proj_weight", "a.in_proj_global_weight" },
        { "a.in_proj_bias", "a.in_proj_global_bias" },
    };
    for (int i = 0; i < 2; i++) {
        const weft_tensor of = parameter(params, names[i][0]),
                          global = parameter(params, names[i][1]);
        ck_assert(weft_same_shape(&of, &global));
        ck_assert_mem_eq(of.real, global.real, (size_t)weft_size(&of) * sizeof *of.real);
    }
    run(tape, 3, three, y[0], NULL);
    layer.exact.global_projections = false;
    run(tape, 3, three, y[1], NULL);
    expect_near(N_THREE * D, y[0], y[1]);
    weft_tape_free(tape);
    weft_params_free(params);
}
END_TEST

/* ---- what is drawn ------------------------------------------------------------------------------- */

/* The output of update `update`, in training or without gradients. */
static const weft_real *drawn(unsigned flags, uint64_t update, weft_real to[])
{
    weft_tape *tape = weft_tape_new(flags);
    weft_tape_seed(tape, 3, update);
    run(tape, 3, three, to, NULL);
    weft_tape_free(tape);
    return to;
}

/* Directions, rotations and samples change every `redraw` updates; without gradients they are the first. */
START_TEST(draws_change_when_they_should)
{
    static const weft_approximation kinds[] = {
        { .kind = WEFT_BY_RANDOM, .features = 8 },
        { .kind = WEFT_BY_BUCKETS, .rounds = 1, .chunk = 4 },
        { .kind = WEFT_BY_CHOICE, .factor = 1 },
    };
    enum { REDRAW = 5 };
    const size_t bytes = N_THREE * D * sizeof **y;
    weft_layer_config config = { .approximation = kinds[_i] };
    config.approximation.redraw = REDRAW;
    weft_params *params = build(config);
    for (uint64_t update = 0; update < 4 * REDRAW; update++) {
        const uint64_t same = update / REDRAW * REDRAW;
        ck_assert_mem_eq(drawn(0, update, y[0]), drawn(0, same, y[1]), bytes);
        ck_assert_mem_eq(drawn(WEFT_NO_GRAD, update, y[0]), drawn(0, 0, y[1]), bytes);
        if (same > 0)
            ck_assert(memcmp(drawn(0, update, y[0]), drawn(0, same - 1, y[1]), bytes) != 0);
    }
    layer.approximation.redraw = 0;
    ck_assert_mem_eq(drawn(0, 1000, y[0]), drawn(0, 0, y[1]), bytes);
    weft_params_free(params);
}
END_TEST

/* ---- distances ----------------------------------------------------------------------------------- */

/* Shaw's keys and values of distances that a text does not have take no part: the same bits beside a
 * longer text, and from a table that has no others. */
START_TEST(a_far_reach_changes_no_bit)
{
    enum { SHORT = 100, REACH = 380, ROWS = 2 * SHORT - 1 };
    const int32_t longer =
        _i == 0 ? 290 : 375; /* a product of 2 longer - 1 might be cut within SHORT */
    const size_t bytes = SHORT * D * sizeof **y;
    weft_layer_config config = { .exact = { .relative = WEFT_RELATIVE_SHAW, .reach = REACH } };
    weft_params *params = build(config);
    weft_tape *tape = weft_tape_new(WEFT_RETAIN);
    run(tape, 2, (int32_t[]){ SHORT, longer }, y[0], dx[0]);
    run(tape, 1, (int32_t[]){ SHORT }, y[1], dx[1]);
    ck_assert_mem_eq(y[0], y[1], bytes);
    ck_assert_mem_eq(dx[0], dx[1], bytes);

    config.exact.reach = SHORT - 1;
    weft_params *few = build(config);
    for (int p = 0; p < weft_params_count(few); p++) {
        const weft_tensor to = weft_params_value(few, p),
                          from = parameter(params, weft_params_name(few, p));
        const bool table = to.dim[0] == ROWS;
        memcpy(to.real, from.real + (table ? (REACH + 1 - SHORT) * K : 0),
               (size_t)weft_size(&to) * sizeof *to.real);
    }
    weft_params_changed(few);
    run(tape, 1, (int32_t[]){ SHORT }, y[0], dx[0]);
    ck_assert_mem_eq(y[0], y[1], bytes);
    ck_assert_mem_eq(dx[0], dx[1], bytes);
    weft_tape_free(tape);
    weft_params_free(few);
    weft_params_free(params);
}
END_TEST

/* ---- a list of blocks --------------------------------------------------------------------------- */

/* The window that BigBird has without other blocks, as a list; and that the list is what counts. */
START_TEST(a_list_of_blocks_is_a_window_of_blocks)
{
    const weft_pattern_kind kinds[] = { WEFT_PATTERN_BIGBIRD, WEFT_PATTERN_BLOCKS,
                                        WEFT_PATTERN_BLOCKS };
    weft_real out[3][MOST * D], back[3][MOST * D];
    for (int i = 0; i < 3; i++) {
        const weft_layer_config config = {
            .exact = { .pattern = { .kind = kinds[i], .block = 4, .window_blocks = 3 },
                       .n_blocks = i == 2 ? 2 : 3,
                       .blocks = { -1, 0, 1 } }
        };
        weft_params *params = build(config);
        weft_tape *tape = weft_tape_new(WEFT_RETAIN);
        run(tape, 3, three, out[i], back[i]);
        weft_tape_free(tape);
        weft_params_free(params);
    }
    const size_t bytes = N_THREE * D * sizeof **out;
    ck_assert_mem_eq(out[1], out[0], bytes);
    ck_assert_mem_eq(back[1], back[0], bytes);
    ck_assert(memcmp(out[2], out[0], bytes) != 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("self_attention");
    TCase *heads = tcase_create("heads");
    tcase_add_test(heads, heads_may_stand_in_any_order);
    tcase_add_test(heads, a_block_of_the_output_is_of_one_head);
    tcase_add_test(heads, fewer_heads_keep_and_have_less);
    tcase_add_test(heads, global_projections_begin_as_copies);
    suite_add_tcase(suite, heads);
    TCase *draws = tcase_create("draws");
    tcase_add_loop_test(draws, draws_change_when_they_should, 0, 3);
    suite_add_tcase(suite, draws);
    TCase *distances = tcase_create("distances");
    tcase_add_loop_test(distances, a_far_reach_changes_no_bit, 0, 2);
    suite_add_tcase(suite, distances);
    TCase *blocks = tcase_create("blocks");
    tcase_add_test(blocks, a_list_of_blocks_is_a_window_of_blocks);
    suite_add_tcase(suite, blocks);
    return run_suite(suite);
}
