/* test_attention_tiles.c - precision: double - tiles of any size give what the definition gives, within
 * 1e-13: outputs and all gradients. CMakeLists.txt builds this file with the kernels for tiles of several
 * sizes, which WEFT_ATTENTION_TILE says. */
#include "check_main.h"

#include "autograd/attention_internal.h"
#include "autograd/tape_internal.h"

#include <math.h>

enum { H = 2, G = 1, K = 3, KV = 5, N_LENGTHS = 9 };
/* On both sides of multiples of each tile, and of the four tiles that share their keys. */
static const int32_t lengths[N_LENGTHS] = { 1, 5, 16, 17, 47, 64, 65, 97, 130 };
/* A macro: to clang a const struct is no constant. */
#define BIGBIRD                                                                           \
    {                                                                                     \
        .kind = WEFT_PATTERN_BIGBIRD, .block = 7, .window_blocks = 3, .global_blocks = 2, \
        .random_blocks = 2, .seed = 3                                                     \
    }

static const weft_attention_spec specs[] = {
    { .causal = false },
    { .causal = true },
    { .pattern = { .kind = WEFT_PATTERN_WINDOW, .window = 20 } },
    { .pattern = { .kind = WEFT_PATTERN_WINDOW, .window = 50 }, .causal = true },
    { .pattern = { .kind = WEFT_PATTERN_WINDOW, .window = 9, .n_global = 3 } },
    { .pattern = { .kind = WEFT_PATTERN_DILATED, .window = 6, .gap = 11 }, .causal = true },
    { .pattern = { .kind = WEFT_PATTERN_STRIDED, .stride = 21 }, .causal = true },
    { .pattern = { .kind = WEFT_PATTERN_FIXED, .stride = 19, .summary = 4 }, .causal = true },
    { .pattern = BIGBIRD },
    { .pattern = BIGBIRD, .causal = true },
    { .alibi = true, .dropout = 0.2 },
    { .weights = WEFT_SIGMOID, .causal = true },
};
enum { N_SPECS = sizeof specs / sizeof *specs };

static weft_tape *tape;

/* The value of the last operation by its definition. */
static weft_tensor defined(weft_var y)
{
    const node n = tape->nodes[tape->n_nodes - 1];
    ck_assert_ptr_eq(n.op, weft_op_find("attention"));
    weft_var in[WEFT_ATTENTION_INPUTS], result = WEFT_NIL;
    for (int i = 0; i < n.n_in; i++) {
        const uint32_t id = tape->inputs[n.first_in + (uint32_t)i];
        in[i] = id ? weft_var_of(tape, id - 1) : WEFT_NIL;
    }
    weft_rule rule = { .tape = tape,
                       .op = n.op,
                       .attr = n.attr,
                       .n_in = n.n_in,
                       .n_out = 1,
                       .in = in,
                       .out = &y,
                       .result = &result };
    n.op->define(&rule);
    ck_assert_msg(weft_tape_status(tape) == WEFT_OK, "%s", weft_tape_message(tape));
    return weft_value(tape, result);
}

static void expect_near(weft_tensor a, weft_tensor b, const char *what)
{
    double worst = 0, size = 1;
    ck_assert(weft_same_shape(&a, &b));
    const int64_t C = weft_cols(&a);
    for (int64_t k = 0; k < weft_size(&a); k++) {
        const double x = (double)a.real[k / C * a.ld + k % C],
                     y = (double)b.real[k / C * b.ld + k % C];
        size = fmax(size, fabs(y));
        if (!(fabs(x - y) <= worst)) worst = fabs(x - y); /* NaN counts */
    }
    ck_assert_msg(worst <= 1e-13 * size, "tiles of %d: %s differs by %g", WEFT_ATTENTION_TILE, what,
                  worst);
}

/* Kernels against definition, on sentences at `offsets`. */
static void compare(weft_attention_spec spec, int64_t B, const int32_t offsets[], bool biased)
{
    const int64_t N = offsets[B];
    tape = weft_tape_new(WEFT_RETAIN);
    ck_assert_ptr_nonnull(tape);
    weft_tape_seed(tape, 11, 0);
    weft_var x[] = { weft_sample_normal(tape, WEFT_DIMS(N, H * K)),
                     weft_sample_normal(tape, WEFT_DIMS(N, G * K)),
                     weft_sample_normal(tape, WEFT_DIMS(N, G * KV)),
                     weft_sample_normal(tape, WEFT_DIMS(H, 41)),
                     weft_sample_normal(tape, WEFT_DIMS(H, N, 130)),
                     weft_sample_normal(tape, WEFT_DIMS(61, KV)) };
    const weft_var dy = weft_sample_normal(tape, WEFT_DIMS(N, H * KV));
    static const char *const names[] = {
        "dq", "dk", "dv", "drelative", "dbias", "drelative_values"
    };
    const int n_x = biased ? 6 : 3;
    spec.heads = H;
    spec.kv_heads = G;
    spec.q_offsets = weft_constant_int(tape, WEFT_DIMS(B + 1), offsets);
    spec.relative = biased ? x[3] : WEFT_NIL;
    spec.bias = biased ? x[4] : WEFT_NIL;
    spec.relative_values = biased ? x[5] : WEFT_NIL;
    const weft_var y = weft_attention(tape, x[0], x[1], x[2], &spec);
    ck_assert_msg(weft_tape_status(tape) == WEFT_OK, "%s", weft_tape_message(tape));
    expect_near(weft_value(tape, y), defined(y), "the output");
    weft_var dx[6];
    ck_assert_msg(weft_grad(tape, y, dy, n_x, x, dx) == WEFT_OK, "%s", weft_message());
    ck_assert_msg(weft_backward(tape, y, weft_value(tape, dy).real) == WEFT_OK, "%s",
                  weft_message());
    for (int i = 0; i < n_x; i++)
        expect_near(weft_gradient(tape, x[i]), weft_value(tape, dx[i]), names[i]);
    weft_tape_free(tape);
}

/* One thread takes sentences whole, several share the tiles of one. */
START_TEST(any_tile_is_the_definition)
{
    int32_t offsets[N_LENGTHS + 1] = { 0 };
    for (int b = 0; b < N_LENGTHS; b++) offsets[b + 1] = offsets[b] + lengths[b];
    weft_attention_spec spec = specs[_i];
    if (WEFT_ATTENTION_TILE % 4 != 0) spec.dropout = 0; /* its random numbers come in fours */
    weft_team_work(1);
    ck_assert_int_eq(weft_threads_set(1), WEFT_OK);
    compare(spec, N_LENGTHS, offsets, false);
    ck_assert_int_eq(weft_threads_set(3), WEFT_OK);
    compare(spec, N_LENGTHS, offsets, true);
    compare(spec, 1, (const int32_t[]){ 0, 130 }, false);
}
END_TEST

/* Are the kernels those of this size? Spans begin where a tile does. */
START_TEST(tiles_have_their_size)
{
    const weft_pattern window = { .kind = WEFT_PATTERN_WINDOW, .window = 7, .causal = true };
    weft_sight sight = { .pattern = &window, .n_q = 200, .n_k = 200 };
    weft_sight_init(&sight);
    ck_assert_int_eq(weft_sight_keys(&sight, 100, 1).from,
                     94 / WEFT_ATTENTION_TILE * WEFT_ATTENTION_TILE);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("attention_tiles");
    TCase *tests = tcase_create("definition");
    tcase_add_test(tests, tiles_have_their_size);
    tcase_add_loop_test(tests, any_tile_is_the_definition, 0, N_SPECS);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
