/* test_linear_attention.c - precision: double - linear attention in its three forms, and the random
 * features of Performers. Gradients and definitions are the matter of test_ops.c. */
#include "autograd/autograd.h"
#include "tests/check_main.h"

#include <math.h>
#include <string.h>

static weft_var normal(weft_tape *t, uint64_t key, int64_t R, int64_t C)
{
    weft_real *x = malloc((size_t)(R * C) * sizeof *x);
    for (int64_t i = 0; i < R * C; i++) x[i] = weft_random_normal(key, (uint64_t)i, 0);
    const weft_var y = weft_leaf(t, WEFT_DIMS(R, C), x);
    free(x);
    return y;
}

/* Largest difference of two dense tensors of one size. */
static double differ(weft_tensor a, weft_tensor b)
{
    double worst = 0;
    ck_assert(a.data && b.data);
    ck_assert_int_eq(weft_size(&a), weft_size(&b));
    for (int64_t i = 0; i < weft_size(&a); i++) {
        ck_assert(isfinite(a.real[i]) && isfinite(b.real[i]));
        worst = fmax(worst, fabs(a.real[i] - b.real[i]));
    }
    return worst;
}

static double phi(double x) { return x > 0 ? x + 1 : exp(x); }

/* The kernel matrix, row by row, for one head. */
static void explicit_form(int64_t n, int64_t K, int64_t Kv, const weft_real *q, const weft_real *k,
                          const weft_real *v, bool causal, weft_real *o)
{
    for (int64_t i = 0; i < n; i++) {
        double sum = 1e-6;
        for (int64_t c = 0; c < Kv; c++) o[i * Kv + c] = 0;
        for (int64_t j = 0; j < (causal ? i + 1 : n); j++) {
            double a = 0;
            for (int64_t c = 0; c < K; c++) a += phi(q[i * K + c]) * phi(k[j * K + c]);
            sum += a;
            for (int64_t c = 0; c < Kv; c++) o[i * Kv + c] += a * v[j * Kv + c];
        }
        for (int64_t c = 0; c < Kv; c++) o[i * Kv + c] /= sum;
    }
}

START_TEST(is_the_explicit_kernel_matrix)
{
    enum { LONGEST = 200, K = 5, KV = 7 };
    static const int64_t lengths[] = { 1, 2, 63, 64, 65, 128, 200 };
    weft_tape *t = weft_tape_new(0);
    for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++)
        for (int causal = 0; causal < 2; causal++) {
            const int64_t n = lengths[l];
            weft_real o[LONGEST * KV];
            weft_tape_reset(t);
            const weft_var q = normal(t, 1, n, K), k = normal(t, 2, n, K), v = normal(t, 3, n, KV);
            const weft_var y = weft_linear_attention(
                t, q, k, v, &(weft_linear_attention_spec){ .heads = 1, .causal = causal });
            explicit_form(n, K, KV, weft_value(t, q).real, weft_value(t, k).real,
                          weft_value(t, v).real, causal, o);
            ck_assert_int_eq(weft_tape_status(t), WEFT_OK);
            weft_tensor expected = weft_value(t, y);
            expected.real = o;
            ck_assert_double_le(differ(weft_value(t, y), expected), 1e-12);
        }
    weft_tape_free(t);
}
END_TEST

/* Token i of each of B sentences of T. */
static weft_var token(weft_tape *t, weft_var x, int64_t B, int64_t T, int64_t i)
{
    const weft_tensor shape = weft_shape(t, x);
    const int64_t C = weft_cols(&shape);
    return weft_reshape(t, weft_slice(t, weft_reshape(t, x, WEFT_DIMS(B, T, C)), 1, i, i + 1),
                        WEFT_DIMS(B, C));
}

START_TEST(recurrent_is_causal)
{
    enum { B = 3, T = 70, H = 4, G = 2, K = 3, KV = 5 };
    weft_tape *t = weft_tape_new(WEFT_RETAIN);
    const weft_var q = normal(t, 1, B * T, H * K), k = normal(t, 2, B * T, G * K),
                   v = normal(t, 3, B * T, G * KV);
    int32_t offsets[B + 1];
    for (int b = 0; b <= B; b++) offsets[b] = b * T;
    const weft_linear_attention_spec spec = { .heads = H,
                                              .kv_heads = G,
                                              .causal = true,
                                              .q_offsets =
                                                  weft_constant_int(t, WEFT_DIMS(B + 1), offsets) };
    const weft_var whole = weft_linear_attention(t, q, k, v, &spec);
    weft_var state = WEFT_NIL;
    for (int i = 0; i < T; i++) {
        const weft_var y = weft_linear_attention_step(t, token(t, q, B, T, i), token(t, k, B, T, i),
                                                      token(t, v, B, T, i), &state, &spec);
        const weft_var expected = token(t, whole, B, T, i);
        ck_assert_msg(weft_tape_status(t) == WEFT_OK, "%s", weft_tape_message(t));
        ck_assert_double_le(differ(weft_value(t, y), weft_value(t, expected)), 1e-12);
    }
    ck_assert_int_eq(weft_shape(t, state).dim[2], K * (KV + 1));
    ck_assert(weft_is_nil(weft_linear_attention_step(t, q, k, v, &state,
                                                     &(weft_linear_attention_spec){ .heads = 5 })));
    ck_assert_ptr_nonnull(strstr(weft_tape_message(t), "linear_attention_step"));
    weft_tape_free(t);
}
END_TEST

/* The weights themselves: v is the unit matrix. */
START_TEST(weights_are_a_distribution)
{
    enum { N = 90, K = 6 };
    weft_real unit[N * N] = { 0 };
    for (int i = 0; i < N; i++) unit[i * N + i] = 1;
    weft_tape *t = weft_tape_new(0);
    for (int causal = 0; causal < 2; causal++) {
        weft_tape_reset(t);
        const weft_tensor a =
            weft_value(t, weft_linear_attention(t, normal(t, 1, N, K), normal(t, 2, N, K),
                                                weft_constant(t, WEFT_DIMS(N, N), unit),
                                                &(weft_linear_attention_spec){
                                                    .heads = 1, .causal = causal, .eps = 1e-15 }));
        for (int i = 0; i < N; i++) {
            double sum = 0;
            for (int j = 0; j < N; j++) {
                sum += a.real[i * N + j];
                ck_assert_double_ge(a.real[i * N + j], 0);
                if (causal && j > i) ck_assert_double_eq(a.real[i * N + j], 0);
            }
            ck_assert_double_le(fabs(sum - 1), 1e-12);
        }
    }
    weft_tape_free(t);
}
END_TEST

/* A sentence alone and packed between others; NaN in others and in the future. */
START_TEST(sentences_and_past_are_isolated)
{
    enum { N = 150, FROM = 40, TO = 130, C = 8 };
    weft_tape *t = weft_tape_new(0), *alone = weft_tape_new(0);
    weft_var x = normal(t, 1, N, C);
    weft_real *data = weft_value(t, x).real;
    for (int i = 0; i < 3; i++) data[i] = NAN; /* in the first sentence */
    for (int i = 0; i < C; i++) data[(TO - 20) * C + i] = NAN;
    const weft_linear_attention_spec spec = { .heads = 2, .causal = true };
    weft_linear_attention_spec packed = spec;
    packed.q_offsets = weft_constant_int(t, WEFT_DIMS(4), (int32_t[]){ 0, FROM, TO, N });
    const weft_tensor y = weft_value(t, weft_linear_attention(t, x, x, x, &packed));
    const weft_var z = weft_constant(alone, WEFT_DIMS(TO - FROM, C), data + FROM * C);
    const weft_tensor one = weft_value(alone, weft_linear_attention(alone, z, z, z, &spec));
    ck_assert_int_eq(memcmp(y.real + FROM * C, one.real, (TO - 20 - FROM) * C * sizeof(weft_real)),
                     0);
    for (int i = 0; i < (TO - 20 - FROM) * C; i++) ck_assert(isfinite(one.real[i]));
    ck_assert(isnan(one.real[(TO - FROM) * C - 1]));
    weft_tape_free(t);
    weft_tape_free(alone);
}
END_TEST

static size_t planned(int64_t n, bool causal)
{
    weft_tape *t = weft_tape_new(WEFT_DRY);
    const weft_var x = weft_leaf(t, WEFT_DIMS(n, 512), NULL);
    const weft_var y = weft_linear_attention(
        t, x, x, x, &(weft_linear_attention_spec){ .heads = 8, .causal = causal });
    ck_assert_int_eq(weft_backward(t, weft_sum(t, y, WEFT_ALL, false), NULL), WEFT_OK);
    const size_t bytes = weft_tape_peak_bytes(t);
    weft_tape_free(t);
    return bytes;
}

START_TEST(memory_is_linear)
{
    for (int causal = 0; causal < 2; causal++) {
        const double slope =
            log2((double)planned(1 << 15, causal) / (double)planned(1 << 14, causal));
        ck_assert_double_le(slope, 1.02);
        ck_assert_double_le((double)planned(1 << 15, causal), 6.1 * 8 * 512 * (1 << 15));
    }
}
END_TEST

/* ---- random features ---------------------------------------------------------------------------- */

enum { D = 8 };
static const weft_real at_x[D] = { 0.3, -0.2, 0.1, 0.25, -0.15, 0.05, 0.2, -0.1 },
                       at_y[D] = { 0.2, 0.3, -0.1, 0.1, 0.15, 0.25, -0.2, 0.1 };

static double product(const double *x, const double *y)
{
    double sum = 0;
    for (int c = 0; c < D; c++) sum += x[c] * y[c];
    return sum;
}

/* phi(x) . phi(y) by m features of one draw. */
static double estimate(weft_tape *t, const weft_real *x, const weft_real *y, int64_t m,
                       bool independent, bool hyperbolic, uint64_t key)
{
    weft_real both[2 * D];
    memcpy(both, x, D * sizeof *x);
    memcpy(both + D, y, D * sizeof *y);
    weft_tape_reset(t);
    const weft_var w = weft_favor_directions(t, m, D, independent, key);
    const weft_tensor f = weft_value(
        t, weft_favor(t, weft_constant(t, WEFT_DIMS(2, D), both), w,
                      &(weft_favor_spec){ .heads = 1, .scale = 1, .hyperbolic = hyperbolic }));
    ck_assert_ptr_nonnull(f.data);
    double sum = 0;
    for (int64_t j = 0; j < weft_cols(&f); j++) sum += f.real[j] * f.real[f.ld + j];
    return sum;
}

/* Mean squared error over n draws, and in *bias the mean error. */
static double error_of(const weft_real *x, const weft_real *y, int64_t m, bool independent,
                       bool hyperbolic, int n, double *bias)
{
    weft_tape *t = weft_tape_new(WEFT_NO_GRAD);
    const double exact = exp(product(x, y));
    double squares = 0, sum = 0;
    for (int i = 0; i < n; i++) {
        const double e = estimate(t, x, y, m, independent, hyperbolic,
                                  weft_random_key(3, (uint64_t)m, (uint64_t)i)) -
                         exact;
        squares += e * e;
        sum += e;
    }
    weft_tape_free(t);
    if (bias) *bias = sum / n;
    return squares / n;
}

/* The error falls with the root of the number of features, whichever kind. */
START_TEST(error_falls_with_the_root_of_features)
{
    for (int kind = 0; kind < 2; kind++) {
        double n = 0, sx = 0, sy = 0, sxx = 0, sxy = 0;
        for (int64_t m = 16; m <= 4096; m *= 2) {
            const double lx = log((double)m),
                         ly = 0.5 * log(error_of(at_x, at_y, m, kind == 0, false, 400, NULL));
            n += 1;
            sx += lx;
            sy += ly;
            sxx += lx * lx;
            sxy += lx * ly;
        }
        const double slope = (n * sxy - sx * sy) / (n * sxx - sx * sx);
        ck_assert_msg(fabs(slope + 0.5) <= 0.05, "slope %g", slope);
    }
}
END_TEST

START_TEST(error_is_the_published_one)
{
    enum { M = 16, DRAWS = 10000 };
    double z[D], bias;
    for (int c = 0; c < D; c++) z[c] = at_x[c] + at_y[c];
    const double zz = product(z, z), sm = exp(product(at_x, at_y)),
                 published = exp(zz) * sm * sm * (1 - exp(-zz)) / M;
    const double measured = error_of(at_x, at_y, M, true, false, DRAWS, &bias);
    ck_assert_msg(fabs(measured / published - 1) <= 0.1, "%g, published %g", measured, published);
    ck_assert_double_le(fabs(bias), 3 * sqrt(published / DRAWS));
}
END_TEST

START_TEST(orthogonal_directions_do_better)
{
    double bias;
    const double independent = error_of(at_x, at_y, D, true, false, 6000, NULL),
                 orthogonal = error_of(at_x, at_y, D, false, false, 6000, &bias),
                 hyperbolic = error_of(at_x, at_y, D, false, true, 6000, NULL);
    ck_assert_double_lt(orthogonal, 0.95 * independent);
    ck_assert_double_lt(hyperbolic, orthogonal);
    ck_assert_double_le(fabs(bias), 3 * sqrt(orthogonal / 6000));
}
END_TEST

START_TEST(directions_are_orthogonal_and_as_long_as_gaussian_ones)
{
    enum { M = 64 * D };
    weft_tape *t = weft_tape_new(0);
    const weft_tensor w = weft_value(t, weft_favor_directions(t, M, D, false, 9));
    double squares = 0;
    for (int i = 0; i < M; i++) {
        squares += product(w.real + i * D, w.real + i * D);
        for (int j = i / D * D; j < i; j++)
            ck_assert_double_le(fabs(product(w.real + i * D, w.real + j * D)), 1e-12);
    }
    ck_assert_double_le(fabs(squares / M - D), 3 * sqrt(2.0 * D / M)); /* chi squared of D */
    const weft_tensor again = weft_value(t, weft_favor_directions(t, M, D, false, 9)),
                      other = weft_value(t, weft_favor_directions(t, M, D, false, 10));
    ck_assert_double_eq(differ(w, again), 0);
    ck_assert_double_ge(differ(w, other), 0.1);
    weft_tape_free(t);
}
END_TEST

/* Large rows of either sign: with the stabiliser nothing overflows, and no feature is negative. */
START_TEST(features_are_positive_and_finite)
{
    enum { N = 20, M = 32 };
    weft_tape *t = weft_tape_new(0);
    for (int stabiliser = WEFT_STABILISE_NONE; stabiliser <= WEFT_STABILISE_SENTENCE; stabiliser++)
        for (int hyperbolic = 0; hyperbolic < 2; hyperbolic++) {
            weft_tape_reset(t);
            const weft_var x =
                weft_scale(t, normal(t, 4, N, 2 * D), stabiliser == WEFT_STABILISE_NONE ? 1 : 300);
            const weft_tensor f = weft_value(
                t, weft_favor(t, x, weft_favor_directions(t, M, D, false, 3),
                              &(weft_favor_spec){ .heads = 2,
                                                  .eps = 1e-6,
                                                  .hyperbolic = hyperbolic,
                                                  .stabiliser = (weft_stabiliser)stabiliser }));
            for (int64_t i = 0; i < weft_size(&f); i++)
                ck_assert(f.real[i] > 0 && isfinite(f.real[i]));
        }
    weft_tape_free(t);
}
END_TEST

/* cos and sin of w x, times exp(|x|^2 / 2): the kernel by Bochner's theorem (Rahimi & Recht 2007). Where
 * the kernel is small their error is large, and they may even be negative. */
START_TEST(trigonometric_features_are_worse_where_the_kernel_is_small)
{
    enum { M = 64, DRAWS = 500 };
    weft_real x[D], y[D], difference[D];
    for (int c = 0; c < D; c++) {
        x[c] = 2 * at_x[c];
        y[c] = -2.2 * at_x[c];
        difference[c] = x[c] - y[c];
    }
    const double exact = exp(product(x, y));
    double squares = 0;
    weft_tape *t = weft_tape_new(0);
    for (int i = 0; i < DRAWS; i++) {
        weft_tape_reset(t);
        const weft_tensor w = weft_value(t, weft_favor_directions(t, M, D, true, (uint64_t)i));
        double sum = 0;
        for (int j = 0; j < M; j++) sum += cos(product(w.real + j * D, difference));
        const double e = exp(0.5 * (product(x, x) + product(y, y))) * sum / M - exact;
        squares += e * e;
    }
    weft_tape_free(t);
    const double positive = error_of(x, y, M, true, false, DRAWS, NULL);
    ck_assert_double_ge(squares / DRAWS, 25 * positive);
}
END_TEST

/* Both operations together are attention, the better the more features there are: the mean squared
 * difference. */
static double distance_to_attention(int64_t m, bool causal, uint64_t key)
{
    enum { N = 100, H = 2, K = 8 };
    weft_tape *t = weft_tape_new(WEFT_NO_GRAD);
    const weft_var q = weft_scale(t, normal(t, 1, N, H * K), 0.5),
                   k = weft_scale(t, normal(t, 2, N, H * K), 0.5), v = normal(t, 3, N, H * K),
                   w = weft_favor_directions(t, m, K, false, key);
    const weft_var fq = weft_favor(
                       t, q, w, &(weft_favor_spec){ .heads = H, .stabiliser = WEFT_STABILISE_ROW }),
                   fk = weft_favor(
                       t, k, w,
                       &(weft_favor_spec){ .heads = H,
                                           .stabiliser = causal ? WEFT_STABILISE_NONE
                                                                : WEFT_STABILISE_SENTENCE });
    const weft_var y = weft_linear_attention(
                       t, fq, fk, v,
                       &(weft_linear_attention_spec){ .heads = H,
                                                      .map = WEFT_FEATURES_GIVEN,
                                                      .causal = causal,
                                                      .eps = 1e-12 }),
                   exact = weft_attention(t, q, k, v,
                                          &(weft_attention_spec){ .heads = H, .causal = causal });
    const weft_tensor a = weft_value(t, y), b = weft_value(t, exact);
    double sum = 0;
    for (int64_t i = 0; i < weft_size(&a); i++)
        sum += (a.real[i] - b.real[i]) * (a.real[i] - b.real[i]);
    sum /= (double)weft_size(&a);
    weft_tape_free(t);
    return sum;
}

START_TEST(many_features_are_attention)
{
    for (int causal = 0; causal < 2; causal++) {
        double few = 0, many = 0;
        for (uint64_t key = 1; key <= 8; key++) {
            few += distance_to_attention(16, causal, key) / 8;
            many += distance_to_attention(2048, causal, key) / 8;
        }
        ck_assert_msg(sqrt(many) < 0.02 && many < 0.1 * few, "16: %g, 2048: %g", sqrt(few),
                      sqrt(many));
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("linear_attention");
    TCase *forms = tcase_create("forms");
    tcase_add_test(forms, is_the_explicit_kernel_matrix);
    tcase_add_test(forms, recurrent_is_causal);
    tcase_add_test(forms, weights_are_a_distribution);
    tcase_add_test(forms, sentences_and_past_are_isolated);
    tcase_add_test(forms, memory_is_linear);
    suite_add_tcase(suite, forms);
    TCase *features = tcase_create("features");
    tcase_add_test(features, error_falls_with_the_root_of_features);
    tcase_add_test(features, error_is_the_published_one);
    tcase_add_test(features, orthogonal_directions_do_better);
    tcase_add_test(features, directions_are_orthogonal_and_as_long_as_gaussian_ones);
    tcase_add_test(features, features_are_positive_and_finite);
    tcase_add_test(features, trigonometric_features_are_worse_where_the_kernel_is_small);
    tcase_add_test(features, many_features_are_attention);
    suite_add_tcase(suite, features);
    return run_suite(suite);
}
