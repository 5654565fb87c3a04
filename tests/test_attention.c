/* test_attention.c - what the forms of attention have to do with each other: docs/attention.md has a
 * line for each of these. Gradients against differences, and kernel against definition, are the
 * operation's samples (test_ops). */
#include "check_main.h"

#include "autograd/autograd.h"

#include <math.h>
#include <string.h>

/* How nearly two ways of computing the same agree. */
static const double nearly = sizeof(weft_real) == sizeof(double) ? 1e-13 : 3e-5;

static weft_tape *tape;
static void open_tape(void)
{
    tape = weft_tape_new(WEFT_RETAIN);
    ck_assert_ptr_nonnull(tape);
    weft_tape_seed(tape, 3, 0);
}
static void close_tape(void) { weft_tape_free(tape); }

static weft_var integers(int64_t n, const int32_t *x)
{
    return weft_constant_int(tape, WEFT_DIMS(n), x);
}

/* ---- two ways of computing the same -------------------------------------------------------------- */

typedef struct qkv {
    weft_var q, k, v;
} qkv;

/* H heads of queries, G of keys and values, K and K + 1 wide. */
static qkv draw(int64_t N, int64_t M, int64_t H, int64_t G, int64_t K)
{
    return (qkv){ weft_sample_normal(tape, WEFT_DIMS(N, H * K)),
                  weft_sample_normal(tape, WEFT_DIMS(M, G * K)),
                  weft_sample_normal(tape, WEFT_DIMS(M, G * (K + 1))) };
}

static weft_var copy_leaf(weft_var x)
{
    const weft_tensor value = weft_value(tape, x);
    return weft_leaf(tape, value.rank, value.dim, value.real);
}

static qkv copy(qkv x) { return (qkv){ copy_leaf(x.q), copy_leaf(x.k), copy_leaf(x.v) }; }

static weft_var attend(qkv x, weft_attention_spec spec)
{
    const weft_var y = weft_attention(tape, x.q, x.k, x.v, &spec);
    ck_assert_msg(!weft_is_nil(y), "%s", weft_tape_message(tape));
    return y;
}

static double difference(weft_tensor a, weft_tensor b)
{
    ck_assert(weft_same_shape(&a, &b));
    double worst = 0;
    for (int64_t r = 0; r < weft_rows(&a); r++)
        for (int64_t c = 0; c < weft_cols(&a); c++) {
            const double d = fabs((double)a.real[r * a.ld + c] - (double)b.real[r * b.ld + c]);
            if (!(d <= worst)) worst = d; /* NaN counts */
        }
    return worst;
}

static void expect_near(weft_tensor a, weft_tensor b, double tolerance, const char *what)
{
    const double d = difference(a, b);
    ck_assert_msg(d <= tolerance, "%s differs by %g", what, d);
}

/* Gradients of <u, y> by the kernels, with u fixed numbers; several y at once. */
static void backward(int n, const weft_var y[])
{
    weft_var loss = weft_scalar(tape, 0);
    for (int i = 0; i < n; i++) {
        const weft_tensor shape = weft_shape(tape, y[i]);
        weft_real *u = weft_alloc((size_t)weft_size(&shape), sizeof *u);
        ck_assert_ptr_nonnull(u);
        for (int64_t k = 0; k < weft_size(&shape); k++) u[k] = (weft_real)sin(1.0 + (double)k);
        const weft_var weights = weft_constant(tape, shape.rank, shape.dim, u);
        weft_free(u);
        loss = weft_add(tape, loss, weft_sum(tape, weft_mul(tape, y[i], weights), WEFT_ALL, false));
    }
    ck_assert_msg(weft_backward(tape, loss, NULL) == WEFT_OK, "%s", weft_message());
}

/* Two specs on the same q, k, v: equal values and gradients. */
static void expect_same(qkv x, weft_attention_spec a, weft_attention_spec b, double tolerance)
{
    const qkv xa = copy(x), xb = copy(x);
    const weft_var y[2] = { attend(xa, a), attend(xb, b) };
    backward(2, y);
    expect_near(weft_value(tape, y[0]), weft_value(tape, y[1]), tolerance, "the output");
    expect_near(weft_gradient(tape, xa.q), weft_gradient(tape, xb.q), tolerance, "dq");
    expect_near(weft_gradient(tape, xa.k), weft_gradient(tape, xb.k), tolerance, "dk");
    expect_near(weft_gradient(tape, xa.v), weft_gradient(tape, xb.v), tolerance, "dv");
}

static const weft_attention_spec full = { .heads = 4 };
static weft_attention_spec with(weft_pattern_spec pattern, bool causal)
{
    return (weft_attention_spec){ .heads = 4, .causal = causal, .pattern = pattern };
}

/* ---- patterns that cover everything --------------------------------------------------------------- */

START_TEST(covering_patterns)
{
    const int64_t lengths[] = { 1, 13, 64, 65, 150 };
    for (int i = 0; i < 5; i++)
        for (int causal = 0; causal < 2; causal++) {
            const int64_t N = lengths[i];
            const qkv x = draw(N, N, 4, 4, 3);
            weft_attention_spec plain = full;
            plain.causal = causal;
            const weft_pattern_spec covering[] = {
                { .kind = WEFT_PATTERN_WINDOW, .window = 2 * N },
                { .kind = WEFT_PATTERN_DILATED, .window = 2 * N, .gap = 1 },
                { .kind = WEFT_PATTERN_STRIDED, .stride = 1 },
                { .kind = WEFT_PATTERN_STRIDED, .stride = N },
                { .kind = WEFT_PATTERN_FIXED, .stride = N, .summary = 1 },
                { .kind = WEFT_PATTERN_FIXED, .stride = 7, .summary = 7 },
                { .kind = WEFT_PATTERN_WINDOW, .window = 1, .n_global = N },
                { .kind = WEFT_PATTERN_BIGBIRD, .block = 8, .window_blocks = 2 * N / 8 * 2 + 1 },
                { .kind = WEFT_PATTERN_BIGBIRD,
                  .block = 8,
                  .window_blocks = 1,
                  .random_blocks = N / 8 + 1 },
                { .kind = WEFT_PATTERN_BIGBIRD,
                  .block = 8,
                  .window_blocks = 1,
                  .global_blocks = N / 8 + 1 },
            };
            for (int p = 0; p < (int)(sizeof covering / sizeof *covering); p++)
                expect_same(x, plain, with(covering[p], causal), 0);
        }
}
END_TEST

START_TEST(all_blocks)
{
    const int64_t N = 150;
    int32_t begin[11], index[100];
    for (int a = 0; a <= 10; a++) begin[a] = 10 * a;
    for (int k = 0; k < 100; k++) index[k] = k % 10;
    const weft_pattern_spec list = { .kind = WEFT_PATTERN_BLOCKS,
                                     .block = 15,
                                     .block_begin = integers(11, begin),
                                     .block_index = integers(100, index) };
    expect_same(draw(N, N, 4, 4, 3), full, with(list, false), 0);
}
END_TEST

/* A window is a list of blocks of one token; BigBird without chance is one of larger blocks. */
START_TEST(patterns_as_lists)
{
    enum { N = 77, LARGE = 7 };
    int32_t begin[N + 1] = { 0 }, index[N * N], n = 0;
    for (int i = 0; i < N; i++) {
        for (int j = 0; j < N; j++)
            if (abs(i - j) <= 3) index[n++] = j;
        begin[i + 1] = n;
    }
    weft_pattern_spec list = { .kind = WEFT_PATTERN_BLOCKS, .block = 1 };
    list.block_begin = integers(N + 1, begin);
    list.block_index = integers(n, index);
    const qkv x = draw(N, N, 4, 4, 3);
    const weft_pattern_spec window = { .kind = WEFT_PATTERN_WINDOW, .window = 6 };
    expect_same(x, with(window, false), with(list, false), 0);
    const weft_pattern_spec causal = { .kind = WEFT_PATTERN_WINDOW, .window = 4 };
    expect_same(x, with(causal, true), with(list, true), 0);

    n = 0;
    const int A = N / LARGE;
    for (int a = 0; a < A; a++) {
        for (int c = 0; c < A; c++)
            if (abs(a - c) <= 1 || a == 0 || c == 0 || a == A - 1 || c == A - 1) index[n++] = c;
        begin[a + 1] = n;
    }
    list.block = LARGE;
    list.block_begin = integers(A + 1, begin);
    list.block_index = integers(n, index);
    const weft_pattern_spec bigbird = {
        .kind = WEFT_PATTERN_BIGBIRD, .block = LARGE, .window_blocks = 3, .global_blocks = 2
    };
    expect_same(x, with(bigbird, false), with(list, false), 0);
}
END_TEST

/* The weights of one head, [N, N]: what attention makes of the identity. */
static weft_var weights_of(weft_var q, weft_var k, weft_attention_spec spec, int64_t M)
{
    weft_real *identity = weft_alloc((size_t)(M * M), sizeof *identity);
    ck_assert_ptr_nonnull(identity);
    for (int64_t n = 0; n < M * M; n++) identity[n] = n % (M + 1) == 0;
    const weft_var v = weft_constant(tape, WEFT_DIMS(M, M), identity);
    weft_free(identity);
    spec.heads = 1;
    return attend((qkv){ q, k, v }, spec);
}

static void expect_sight(weft_pattern_spec pattern, bool causal, bool (*sees)(int i, int j))
{
    enum { N = 150 };
    const qkv x = draw(N, N, 1, 1, 2);
    const weft_tensor P = weft_value(tape, weights_of(x.q, x.k, with(pattern, causal), N));
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            ck_assert_msg((P.real[i * P.ld + j] != 0) == sees(i, j), "query %d, key %d", i, j);
}

static bool in_window(int i, int j) { return abs(i - j) <= 5; }
static bool in_causal_window(int i, int j) { return i - j >= 0 && i - j < 10; }
static bool in_dilated(int i, int j) { return abs(i - j) <= 20 && (i - j) % 4 == 0; }
static bool in_causal_dilated(int i, int j) { return in_dilated(i, j) && i - j >= 0 && i - j < 20; }
static bool in_strided(int i, int j) { return j <= i && (i - j <= 9 || (i - j) % 9 == 0); }
static bool in_fixed(int i, int j) { return j <= i && (i / 9 == j / 9 || j % 9 >= 7); }
static bool in_global(int i, int j) { return in_window(i, j) || i < 3 || j < 3; }

START_TEST(sights)
{
    const weft_pattern_spec window = { .kind = WEFT_PATTERN_WINDOW, .window = 10 },
                            dilated = { .kind = WEFT_PATTERN_DILATED, .window = 10, .gap = 4 },
                            causal_dilated = { .kind = WEFT_PATTERN_DILATED,
                                               .window = 5,
                                               .gap = 4 },
                            strided = { .kind = WEFT_PATTERN_STRIDED, .stride = 9 },
                            fixed = { .kind = WEFT_PATTERN_FIXED, .stride = 9, .summary = 2 },
                            global = { .kind = WEFT_PATTERN_WINDOW, .window = 10, .n_global = 3 };
    expect_sight(window, false, in_window);
    expect_sight(window, true, in_causal_window);
    expect_sight(dilated, false, in_dilated);
    expect_sight(causal_dilated, true, in_causal_dilated);
    expect_sight(strided, true, in_strided);
    expect_sight(fixed, true, in_fixed);
    expect_sight(global, false, in_global);
}
END_TEST

/* L layers of window w, in steps of g: output i depends on input j where |i - j| <= L g w / 2 is a multiple
 * of g, and nowhere else. */
START_TEST(receptive_field)
{
    enum { N = 100, LAYERS = 3, HALF = 4 };
    const int gap = _i == 0 ? 1 : 3;
    const weft_attention_spec spec = { .heads = 1,
                                       .pattern = { .kind = gap == 1 ? WEFT_PATTERN_WINDOW
                                                                     : WEFT_PATTERN_DILATED,
                                                    .window = 2 * HALF,
                                                    .gap = gap } };
    qkv x = draw(N, N, 1, 1, 2);
    x.v = weights_of(x.q, x.k, spec, N);
    for (int l = 1; l < LAYERS; l++) x.v = attend(x, spec);
    const weft_tensor P = weft_value(tape, x.v);
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            ck_assert((P.real[i * P.ld + j] != 0) ==
                      (abs(i - j) <= LAYERS * gap * HALF && (i - j) % gap == 0));
}
END_TEST

/* A causal window of one token is the token's own value. */
START_TEST(seeing_oneself_alone)
{
    enum { N = 130 };
    const weft_attention_spec spec = { .heads = 2,
                                       .causal = true,
                                       .pattern = { .kind = WEFT_PATTERN_WINDOW, .window = 1 } };
    const qkv x = draw(N, N, 2, 2, 3);
    ck_assert(difference(weft_value(tape, attend(x, spec)), weft_value(tape, x.v)) == 0);
}
END_TEST

/* BigBird: as many keys a row as it says, the same again from the same seed, others from another;
 * causal: what a block sees does not depend on how the sentence goes on. */
START_TEST(random_blocks)
{
    enum { N = 128, BLOCK = 8 };
    weft_pattern_spec p = { .kind = WEFT_PATTERN_BIGBIRD,
                            .block = BLOCK,
                            .window_blocks = 3,
                            .global_blocks = 2,
                            .random_blocks = 3,
                            .seed = 1 };
    const qkv x = draw(N, N, 1, 1, 2);
    const weft_tensor P = weft_value(tape, weights_of(x.q, x.k, with(p, false), N)),
                      again = weft_value(tape, weights_of(x.q, x.k, with(p, false), N));
    ck_assert(difference(P, again) == 0);
    for (int i = 2 * BLOCK; i < N - 2 * BLOCK; i++) { /* density (g + w + r) b / n */
        int seen = 0;
        for (int j = 0; j < N; j++) seen += P.real[i * P.ld + j] != 0;
        ck_assert_int_eq(seen, (3 + 2 + 3) * BLOCK);
    }
    p.seed = 2;
    ck_assert(difference(P, weft_value(tape, weights_of(x.q, x.k, with(p, false), N))) > 0);

    const weft_tensor whole = weft_value(tape, weights_of(x.q, x.k, with(p, true), N));
    for (int64_t n = 1; n < N; n += 23) {
        const weft_tensor part =
            weft_value(tape, weights_of(weft_slice(tape, x.q, 0, 0, n),
                                        weft_slice(tape, x.k, 0, 0, n), with(p, true), n));
        for (int64_t i = 0; i < n; i++)
            ck_assert(memcmp(part.real + i * part.ld, whole.real + i * whole.ld,
                             (size_t)n * sizeof *part.real) == 0);
    }
}
END_TEST

/* ---- decoding: a query at the end sees what it saw among all -------------------------------------- */

START_TEST(at_the_end)
{
    enum { N = 150 };
    weft_attention_spec specs[] = {
        full,
        { .heads = 4, .pattern = { .kind = WEFT_PATTERN_WINDOW, .window = 9 } },
        { .heads = 4, .pattern = { .kind = WEFT_PATTERN_DILATED, .window = 5, .gap = 9 } },
        { .heads = 4, .pattern = { .kind = WEFT_PATTERN_STRIDED, .stride = 11 } },
        { .heads = 4, .pattern = { .kind = WEFT_PATTERN_FIXED, .stride = 11, .summary = 2 } },
        { .heads = 4,
          .pattern = { .kind = WEFT_PATTERN_BIGBIRD,
                       .block = 8,
                       .window_blocks = 3,
                       .global_blocks = 1,
                       .random_blocks = 2 } },
        { .heads = 4, .alibi = true },
        { .heads = 4, .weights = WEFT_SIGMOID },
        { .heads = 4, .relative = weft_sample_normal(tape, WEFT_DIMS(4, 33)) },
        { .heads = 4, .relative_values = weft_sample_normal(tape, WEFT_DIMS(33, 4)) },
    };
    const qkv x = draw(N, N, 4, 4, 3);
    for (int i = 0; i < (int)(sizeof specs / sizeof *specs); i++) {
        specs[i].causal = true;
        const weft_tensor all = weft_value(tape, attend(x, specs[i]));
        specs[i].at_end = true;
        for (int64_t n = 1; n <= N; n += 1 + n / 3) {
            const qkv step = { weft_slice(tape, x.q, 0, n - 1, n), weft_slice(tape, x.k, 0, 0, n),
                               weft_slice(tape, x.v, 0, 0, n) };
            const weft_tensor one = weft_value(tape, attend(step, specs[i]));
            ck_assert_msg(memcmp(one.real, all.real + (n - 1) * all.ld,
                                 (size_t)weft_cols(&all) * sizeof *one.real) == 0,
                          "spec %d, token %d", i, (int)n);
        }
    }
}
END_TEST

/* ---- heads ---------------------------------------------------------------------------------------- */

/* Columns of `G` heads, each `times` times in turn. */
static weft_var replicate(weft_var x, int64_t G, int64_t times)
{
    const weft_tensor shape = weft_shape(tape, x);
    const int64_t N = weft_rows(&shape), K = weft_cols(&shape) / G;
    const weft_var one = weft_reshape(tape, x, WEFT_DIMS(N, G, 1, K));
    return weft_reshape(tape, weft_expand(tape, one, WEFT_DIMS(N, G, times, K)),
                        WEFT_DIMS(N, G * times * K));
}

/* Heads of keys replicated are grouped heads; their gradients are then the sum of the members'. */
START_TEST(grouped_heads)
{
    enum { N = 70, H = 6, K = 3 };
    for (int G = 1; G <= H; G++) {
        if (H % G != 0) continue;
        const qkv a = draw(N, N, H, G, K), b = copy(a);
        const qkv many = { b.q, replicate(b.k, G, H / G), replicate(b.v, G, H / G) };
        const weft_attention_spec grouped = { .heads = H, .kv_heads = G, .causal = true },
                                  plain = { .heads = H, .causal = true };
        const weft_var y[2] = { attend(a, grouped), attend(many, plain) };
        backward(2, y);
        ck_assert(difference(weft_value(tape, y[0]), weft_value(tape, y[1])) == 0);
        ck_assert(difference(weft_gradient(tape, a.q), weft_gradient(tape, b.q)) == 0);
        expect_near(weft_gradient(tape, a.k), weft_gradient(tape, b.k), nearly, "dk");
        expect_near(weft_gradient(tape, a.v), weft_gradient(tape, b.v), nearly, "dv");
    }
}
END_TEST

/* Longformer's two calls are one where both have the same projections. */
START_TEST(global_rows)
{
    enum { N = 150, GLOBAL = 70 };
    const weft_pattern_spec pattern = { .kind = WEFT_PATTERN_WINDOW,
                                        .window = 8,
                                        .n_global = GLOBAL };
    for (int weights = WEFT_SOFTMAX; weights <= WEFT_SIGMOID; weights++) {
        const qkv a = draw(N, N, 2, 2, 3), b = copy(a);
        weft_attention_spec spec = { .heads = 2, .weights = (weft_weights_kind)weights };
        spec.pattern = pattern;
        const weft_var both = attend(a, spec);
        spec.pattern.rows = WEFT_ROWS_LOCAL;
        const weft_var local = attend(b, spec);
        spec.pattern.rows = WEFT_ROWS_GLOBAL;
        const weft_var global = attend(b, spec);
        const weft_tensor rows = weft_value(tape, global);
        for (int64_t r = 0; r < N; r++) ck_assert((rows.real[r * rows.ld] != 0) == (r < GLOBAL));
        const weft_var y[2] = { both, weft_add(tape, local, global) };
        backward(2, y);
        ck_assert(difference(weft_value(tape, y[0]), weft_value(tape, y[1])) == 0);
        ck_assert(difference(weft_gradient(tape, a.q), weft_gradient(tape, b.q)) == 0);
        expect_near(weft_gradient(tape, a.k), weft_gradient(tape, b.k), nearly, "dk");
        expect_near(weft_gradient(tape, a.v), weft_gradient(tape, b.v), nearly, "dv");
    }
}
END_TEST

/* ---- biases --------------------------------------------------------------------------------------- */

/* [H, N, N] of f. */
static weft_var plane(int64_t H, int64_t N, double (*f)(int64_t h, int64_t i, int64_t j))
{
    weft_real *x = weft_alloc((size_t)(H * N * N), sizeof *x);
    ck_assert_ptr_nonnull(x);
    for (int64_t k = 0; k < H * N * N; k++) x[k] = (weft_real)f(k / (N * N), k / N % N, k % N);
    const weft_var y = weft_constant(tape, WEFT_DIMS(H, N, N), x);
    weft_free(x);
    return y;
}

/* Press et al. 2022 print 1/2 .. 1/256 for eight heads; three have those of two, 1/16 and 1/256, and
 * the first of four, 1/4. */
static double alibi_8(int64_t h, int64_t i, int64_t j)
{
    return -pow(0.5, (double)h + 1) * fabs((double)(i - j));
}
static double alibi_3(int64_t h, int64_t i, int64_t j)
{
    static const double slope[] = { 1 / 16.0, 1 / 256.0, 1 / 4.0 };
    return -slope[h] * fabs((double)(i - j));
}
static double no_future(int64_t h, int64_t i, int64_t j)
{
    (void)h;
    return j <= i ? 0 : -INFINITY;
}
static double keys_only(int64_t h, int64_t i, int64_t j)
{
    (void)i;
    return pow(0.5, (double)h + 1) * (double)j;
}

START_TEST(slopes)
{
    enum { N = 90 };
    const qkv x = draw(N, N, 8, 8, 2), y = draw(N, N, 3, 3, 2);
    for (int causal = 0; causal < 2; causal++) {
        expect_same(
            x, (weft_attention_spec){ .heads = 8, .causal = causal, .alibi = true },
            (weft_attention_spec){ .heads = 8, .causal = causal, .bias = plane(8, N, alibi_8) },
            nearly);
        expect_same(
            y, (weft_attention_spec){ .heads = 3, .causal = causal, .alibi = true },
            (weft_attention_spec){ .heads = 3, .causal = causal, .bias = plane(3, N, alibi_3) },
            nearly);
    }
    /* softmax does not see what a whole row has in common: -m (i - j) is m j; the sigmoid does */
    weft_attention_spec alibi = { .heads = 8, .causal = true, .alibi = true },
                        keys = { .heads = 8, .causal = true, .bias = plane(8, N, keys_only) };
    expect_same(x, alibi, keys, 100 * nearly);
    alibi.weights = keys.weights = WEFT_SIGMOID;
    ck_assert(difference(weft_value(tape, attend(x, alibi)), weft_value(tape, attend(x, keys))) >
              0.1);
}
END_TEST

static double by_distance(int64_t h, int64_t i, int64_t j)
{
    const int64_t d = j - i < -4 ? -4 : j - i > 4 ? 4 : j - i;
    return sin((double)(9 * h + d + 4));
}

START_TEST(relative_biases)
{
    enum { N = 90, H = 2 };
    weft_real table[H * 9], rows[H * N * 9];
    for (int k = 0; k < H * 9; k++) table[k] = (weft_real)sin((double)k);
    for (int k = 0; k < H * N * 9; k++) rows[k] = table[k / (N * 9) * 9 + k % 9];
    const qkv x = draw(N, N, H, H, 3);
    const weft_attention_spec bias = { .heads = H, .bias = plane(H, N, by_distance) },
                              one = { .heads = H,
                                      .relative = weft_constant(tape, WEFT_DIMS(H, 9), table) },
                              each = { .heads = H,
                                       .relative = weft_constant(tape, WEFT_DIMS(H, N, 9), rows) };
    expect_same(x, one, bias, nearly);
    expect_same(x, each, one, 0);
}
END_TEST

/* Shaw et al. 2018, equation 3, from the weights; what all distances have in common is added as it is,
 * since the weights sum to 1. */
START_TEST(relative_values)
{
    enum { N = 90, H = 2, L = 6, C = 2 * L - 1, KV = 4 };
    const qkv x = draw(N, N, H, H, 3);
    weft_attention_spec spec = { .heads = H, .causal = true };
    const weft_tensor plain = weft_value(tape, attend(x, spec));
    spec.relative_values = weft_sample_normal(tape, WEFT_DIMS(C, KV));
    const weft_var y = attend(x, spec);
    const weft_tensor o = weft_value(tape, y), table = weft_value(tape, spec.relative_values),
                      P = weft_value(tape, weft_attention_weights(tape, y, H)); /* [N, H, N] */
    for (int64_t i = 0; i < N; i++)
        for (int64_t h = 0; h < H; h++)
            for (int64_t c = 0; c < KV; c++) {
                double sum = (double)plain.real[i * plain.ld + h * KV + c];
                for (int64_t j = 0; j < N; j++) {
                    const int64_t d = j - i < 1 - L ? 1 - L : j - i > L - 1 ? L - 1 : j - i;
                    sum += (double)P.real[(i * H + h) * N + j] *
                           (double)table.real[(d + L - 1) * KV + c];
                }
                ck_assert_double_le(fabs((double)o.real[i * o.ld + h * KV + c] - sum), nearly);
            }
    weft_real same[C * KV];
    for (int k = 0; k < C * KV; k++) same[k] = (weft_real)(k % KV + 1);
    spec.relative_values = weft_constant(tape, WEFT_DIMS(C, KV), same);
    const weft_tensor shifted = weft_value(tape, attend(x, spec));
    for (int64_t k = 0; k < N * H * KV; k++)
        ck_assert_double_le(
            fabs((double)shifted.real[k] - (double)plain.real[k] - (double)(k % KV + 1)),
            10 * nearly);
}
END_TEST

/* A mask that forbids is a bias of -inf is causal. */
START_TEST(masks)
{
    enum { N = 90 };
    int32_t below[N * N];
    for (int k = 0; k < N * N; k++) below[k] = k % N <= k / N;
    const qkv x = draw(N, N, 2, 2, 3);
    const weft_attention_spec causal = { .heads = 2, .causal = true },
                              mask = { .heads = 2,
                                       .mask = weft_constant_int(tape, WEFT_DIMS(N, N), below) },
                              bias = { .heads = 2, .bias = plane(2, N, no_future) };
    expect_same(x, causal, mask, 0);
    expect_same(x, causal, bias, 0);
}
END_TEST

/* ---- weights -------------------------------------------------------------------------------------- */

/* Keys and their values in another order: the same output, and the weights in that order. */
START_TEST(keys_in_any_order)
{
    enum { N = 150, H = 2 };
    const qkv x = draw(N, N, H, H, 3);
    int32_t other[N];
    for (int i = 0; i < N; i++) other[i] = (7 * i + 3) % N;
    const weft_var order = integers(N, other);
    const qkv z = { x.q, weft_embedding(tape, x.k, order, 1), weft_embedding(tape, x.v, order, 1) };
    const weft_var a = attend(x, (weft_attention_spec){ .heads = H }),
                   b = attend(z, (weft_attention_spec){ .heads = H });
    expect_near(weft_value(tape, a), weft_value(tape, b), nearly, "the output");
    const weft_tensor P = weft_value(tape, weft_attention_weights(tape, a, H)),
                      Q = weft_value(tape, weft_attention_weights(tape, b, H)); /* [N, H, N] */
    for (int64_t r = 0; r < N * H; r++)
        for (int64_t j = 0; j < N; j++)
            ck_assert_double_le(fabs((double)Q.real[r * N + j] - (double)P.real[r * N + other[j]]),
                                nearly);
}
END_TEST

/* Of queries and keys of variance 1 scores have variance 1, not K (Vaswani et al. 2017, section 3.2.1). They
 * are the logarithms of the weights, but for what a row has in common. */
START_TEST(scores_of_variance_1)
{
    enum { N = 512, K = 64 };
    const weft_var q = weft_sample_normal(tape, WEFT_DIMS(N, K)),
                   k = weft_sample_normal(tape, WEFT_DIMS(N, K));
    for (int scaled = 0; scaled < 2; scaled++) {
        const weft_attention_spec spec = { .scale = scaled ? 0 : 1 };
        const weft_tensor P = weft_value(tape, weights_of(q, k, spec, N));
        double sum = 0;
        for (int64_t i = 0; i < N; i++) {
            double mean = 0, square = 0;
            for (int64_t j = 0; j < N; j++) {
                const double s = log((double)P.real[i * P.ld + j]);
                mean += s / N;
                square += s * s / N;
            }
            sum += (square - mean * mean) * N / (N - 1);
        }
        const double variance = sum / N, wanted = scaled ? 1 : K;
        ck_assert_msg(fabs(variance / wanted - 1) < 0.05, "the variance is %g", variance);
    }
}
END_TEST

/* Rows of softmax sum to 1 and rows of dS to 0; a row that sees nobody is 0 in everything. */
START_TEST(softmax_rows)
{
    enum { N = 130, H = 2 };
    int32_t mask[N * N];
    for (int k = 0; k < N * N; k++) mask[k] = k / N != 5 && k % 7 != 0;
    const qkv x = draw(N, N, H, H, 3);
    const weft_var bias = weft_sample_normal(tape, WEFT_DIMS(H, N, N));
    const weft_attention_spec spec = { .heads = H,
                                       .bias = bias,
                                       .mask = weft_constant_int(tape, WEFT_DIMS(N, N), mask) };
    const weft_var y = attend(x, spec);
    backward(1, &y);
    const weft_tensor dS = weft_gradient(tape, bias), dq = weft_gradient(tape, x.q),
                      o = weft_value(tape, y);
    for (int64_t r = 0; r < H * N; r++) {
        double sum = 0;
        for (int64_t j = 0; j < N; j++) sum += (double)dS.real[r * dS.ld + j];
        ck_assert_double_le(fabs(sum), nearly);
    }
    for (int64_t c = 0; c < H * 3; c++) ck_assert(dq.real[5 * dq.ld + c] == 0);
    for (int64_t c = 0; c < H * 4; c++) ck_assert(o.real[5 * o.ld + c] == 0);

    const weft_tensor P = weft_value(
        tape, weights_of(weft_slice(tape, x.q, 1, 0, 3), weft_slice(tape, x.k, 1, 0, 3), full, N));
    for (int64_t i = 0; i < N; i++) {
        double sum = 0;
        for (int64_t j = 0; j < N; j++) sum += (double)P.real[i * P.ld + j];
        ck_assert_double_le(fabs(sum - 1), nearly);
    }
}
END_TEST

/* Ramapuram et al. 2024: at scores of 0 each weight is 1 / (n + 1); a weight does not depend on the
 * other keys. */
START_TEST(sigmoid_rows)
{
    enum { N = 100 };
    const weft_var zero = weft_full(tape, WEFT_DIMS(N, 3), 0);
    weft_attention_spec spec = { .weights = WEFT_SIGMOID };
    const weft_tensor P = weft_value(tape, weights_of(zero, zero, spec, N));
    for (int64_t k = 0; k < N * N; k++)
        ck_assert_double_le(fabs((double)P.real[k] - 1.0 / (N + 1)), nearly);
    spec.causal = true; /* token i has i + 1 keys */
    const weft_tensor C = weft_value(tape, weights_of(zero, zero, spec, N));
    for (int64_t i = 0; i < N; i++)
        for (int64_t j = 0; j < N; j++)
            ck_assert_double_le(
                fabs((double)C.real[i * N + j] - (j <= i ? 1.0 / (double)(i + 2) : 0)), nearly);

    spec = (weft_attention_spec){ .weights = WEFT_SIGMOID,
                                  .has_sigmoid_bias = true,
                                  .sigmoid_bias = -3 };
    const qkv x = draw(N, N, 1, 1, 3);
    const weft_tensor all = weft_value(tape, weights_of(x.q, x.k, spec, N)),
                      few = weft_value(tape,
                                       weights_of(x.q, weft_slice(tape, x.k, 0, 0, 40), spec, 40));
    for (int64_t i = 0; i < N; i++)
        for (int64_t j = 0; j < 40; j++) ck_assert(all.real[i * N + j] == few.real[i * 40 + j]);
}
END_TEST

START_TEST(large_scores)
{
    enum { N = 70 };
    const qkv x = { weft_sample_uniform(tape, -300, 300, WEFT_DIMS(N, 8)),
                    weft_sample_uniform(tape, -300, 300, WEFT_DIMS(N, 8)),
                    weft_sample_normal(tape, WEFT_DIMS(N, 8)) };
    for (int weights = WEFT_SOFTMAX; weights <= WEFT_SIGMOID; weights++) {
        const qkv own = copy(x);
        const weft_var y =
            attend(own, (weft_attention_spec){ .heads = 2, .weights = (weft_weights_kind)weights });
        backward(1, &y);
        const weft_tensor of[] = { weft_value(tape, y), weft_gradient(tape, own.q),
                                   weft_gradient(tape, own.k), weft_gradient(tape, own.v) };
        for (int i = 0; i < 4; i++)
            for (int64_t k = 0; k < weft_size(&of[i]); k++) ck_assert(isfinite(of[i].real[k]));
    }
}
END_TEST

/* NaN in the key and value 80, and in the query 80: only who sees them has one. */
START_TEST(nan_stays)
{
    enum { N = 140, AT = 80, K = 3 };
    const weft_pattern_spec patterns[] = { { .kind = WEFT_PATTERN_FULL },
                                           { .kind = WEFT_PATTERN_WINDOW, .window = 6 } };
    for (int i = 0; i < 4; i++) {
        const qkv x = draw(N, N, 1, 1, K);
        for (int64_t c = 0; c < K; c++) {
            weft_value(tape, x.q).real[AT * K + c] = NAN;
            weft_value(tape, x.k).real[AT * K + c] = NAN;
            weft_value(tape, x.v).real[AT * (K + 1) + c] = NAN;
        }
        const weft_attention_spec spec = { .heads = 1,
                                           .causal = true,
                                           .weights = i / 2 ? WEFT_SIGMOID : WEFT_SOFTMAX,
                                           .pattern = patterns[i % 2] };
        const weft_var y = attend(x, spec);
        backward(1, &y);
        const weft_tensor o = weft_value(tape, y), dq = weft_gradient(tape, x.q),
                          dk = weft_gradient(tape, x.k), dv = weft_gradient(tape, x.v);
        for (int64_t r = 0; r < N; r++) {
            const bool seen = r >= AT && (i % 2 == 0 || r < AT + 6); /* by query r */
            ck_assert(isnan(o.real[r * o.ld]) == seen);
            ck_assert(isnan(dq.real[r * dq.ld]) == seen);
            if (r > AT && i % 2 == 1 && r > AT + 5) {
                ck_assert(isfinite(dk.real[r * dk.ld]));
                ck_assert(isfinite(dv.real[r * dv.ld]));
            }
        }
    }
}
END_TEST

/* ---- threads -------------------------------------------------------------------------------------- */

/* Output and all gradients of a packed batch, for a number of threads, one after the other; with 1
 * or 2 of the tables by distance. */
static int64_t run_packed(int threads, int relative, weft_real *out)
{
    enum { N = 330, H = 2 };
    weft_tape *t = weft_tape_new(0);
    ck_assert_ptr_nonnull(t);
    weft_tape_seed(t, 9, 0);
    ck_assert_int_eq(weft_threads_set(threads), WEFT_OK);
    const weft_var x[] = {
        weft_sample_normal(t, WEFT_DIMS(N, H * 3)), weft_sample_normal(t, WEFT_DIMS(N, H * 3)),
        weft_sample_normal(t, WEFT_DIMS(N, H * 3)), weft_sample_normal(t, WEFT_DIMS(H, N, 200)),
        weft_sample_normal(t, WEFT_DIMS(H, 21)),    weft_sample_normal(t, WEFT_DIMS(9, 3))
    };
    const weft_attention_spec spec = { .heads = H,
                                       .causal = true,
                                       .bias = x[3],
                                       .relative = relative ? x[4] : WEFT_NIL,
                                       .relative_values = relative == 2 ? x[5] : WEFT_NIL,
                                       .dropout = 0.1,
                                       .q_offsets = weft_constant_int(
                                           t, WEFT_DIMS(4), (int32_t[]){ 0, 200, 210, 330 }),
                                       .pattern = { .kind = WEFT_PATTERN_BIGBIRD,
                                                    .block = 16,
                                                    .window_blocks = 3,
                                                    .global_blocks = 1,
                                                    .random_blocks = 1 } };
    const weft_var y = weft_attention(t, x[0], x[1], x[2], &spec);
    weft_keep(t, y);
    ck_assert_msg(weft_backward(t, weft_sum(t, weft_mul(t, y, y), WEFT_ALL, false), NULL) ==
                      WEFT_OK,
                  "%s", weft_message());
    int64_t n = 0;
    for (int i = -1; i < 4 + relative; i++) {
        const weft_tensor v = i < 0 ? weft_value(t, y) : weft_gradient(t, x[i]);
        memcpy(out + n, v.real, (size_t)weft_size(&v) * sizeof *out);
        n += weft_size(&v);
    }
    weft_tape_free(t);
    return n;
}

START_TEST(same_bits)
{
    enum { MOST = 330 * 6 * 4 + 2 * 330 * 200 + 42 + 27 };
    weft_real *a = weft_alloc(MOST, sizeof *a), *b = weft_alloc(MOST, sizeof *b);
    ck_assert(a && b);
    weft_team_work(1);
    for (int relative = 0; relative < 3; relative++) {
        const int64_t n = run_packed(1, relative, a);
        for (int threads = 2; threads <= 8; threads++) { /* six sentences and heads */
            weft_team_largest();
            ck_assert_int_eq(run_packed(threads, relative, b), n);
            ck_assert_int_eq(weft_team_largest(), threads);
            ck_assert(memcmp(a, b, (size_t)n * sizeof *a) == 0);
        }
    }
    weft_free(a);
    weft_free(b);
}
END_TEST

static void add(Suite *suite, TCase *tests)
{
    tcase_add_checked_fixture(tests, open_tape, close_tape);
    suite_add_tcase(suite, tests);
}

int main(void)
{
    Suite *suite = suite_create("attention");
    TCase *patterns = tcase_create("patterns");
    tcase_add_test(patterns, covering_patterns);
    tcase_add_test(patterns, all_blocks);
    tcase_add_test(patterns, patterns_as_lists);
    tcase_add_test(patterns, sights);
    tcase_add_loop_test(patterns, receptive_field, 0, 2);
    tcase_add_test(patterns, seeing_oneself_alone);
    tcase_add_test(patterns, random_blocks);
    tcase_add_test(patterns, at_the_end);
    add(suite, patterns);
    TCase *scores = tcase_create("scores");
    tcase_add_test(scores, grouped_heads);
    tcase_add_test(scores, global_rows);
    tcase_add_test(scores, slopes);
    tcase_add_test(scores, relative_biases);
    tcase_add_test(scores, relative_values);
    tcase_add_test(scores, masks);
    tcase_add_test(scores, keys_in_any_order);
    tcase_add_test(scores, scores_of_variance_1);
    tcase_add_test(scores, softmax_rows);
    tcase_add_test(scores, sigmoid_rows);
    tcase_add_test(scores, large_scores);
    tcase_add_test(scores, nan_stays);
    add(suite, scores);
    TCase *threads = tcase_create("threads");
    tcase_add_test(threads, same_bits);
    suite_add_tcase(suite, threads);
    return run_suite(suite);
}
