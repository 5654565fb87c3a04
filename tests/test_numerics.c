/* test_numerics.c - random numbers, vectorising functions and matrix products of core/. */
#include "core/core.h"
#include "core/small_gemm.h"
#include "core/vecmath.h"
#include "tests/check_main.h"

#include <float.h>
#include <math.h>
#include <omp.h>
#include <string.h>

/* ---- random numbers ------------------------------------------------------------------------- */

/* kat_vectors of Random123 1.09, philox4x32-10. */
START_TEST(philox_known_answers)
{
    static const struct {
        weft_philox_counter counter;
        uint64_t key;
        weft_philox_counter out;
    } known[] = {
        { { { 0, 0, 0, 0 } }, 0, { { 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 } } },
        { { { 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff } },
          0xffffffffffffffff,
          { { 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd } } },
        { { { 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344 } },
          0x299f31d0a4093822,
          { { 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 } } },
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; ++i) {
        const weft_philox_counter out = weft_philox(known[i].counter, known[i].key);
        for (int j = 0; j < 4; ++j) ck_assert_uint_eq(out.w[j], known[i].out.w[j]);
    }
}
END_TEST

START_TEST(words_depend_on_every_coordinate)
{
    const uint64_t key = weft_random_key(1, 2, 3);
    ck_assert_uint_ne(key, weft_random_key(2, 2, 3));
    ck_assert_uint_ne(key, weft_random_key(1, 3, 3));
    ck_assert_uint_ne(key, weft_random_key(1, 2, 4));
    ck_assert_uint_ne(key, weft_random_key(1, (uint64_t)2 << 32, 3));
    ck_assert_uint_ne(key, weft_random_key(1, 2, (uint64_t)3 << 32));
    const uint32_t word = weft_random_word(key, 5, 6, 7);
    ck_assert_uint_ne(word, weft_random_word(key + 1, 5, 6, 7));
    ck_assert_uint_ne(word, weft_random_word(key, 4, 6, 7));
    ck_assert_uint_ne(word, weft_random_word(key, (uint64_t)5 << 32, 6, 7));
    ck_assert_uint_ne(word, weft_random_word(key, 5, 5, 7));
    ck_assert_uint_ne(word, weft_random_word(key, 5, 6, 6));
    ck_assert_uint_ne(word, weft_random_word(key, 5, 6, 11));
}
END_TEST

START_TEST(uniform_and_normal_have_their_moments)
{
    enum { N = 200000 };
    const uint64_t key = weft_random_key(11, 0, 0);
    double sum = 0, squares = 0, normal = 0, normal_2 = 0, normal_4 = 0, pairs = 0;
    for (uint32_t i = 0; i < N; ++i) {
        const double u = weft_random_uniform(key, 1, i), z = weft_random_normal(key, 2, i);
        ck_assert(u > 0 && u < 1);
        ck_assert(isfinite(z));
        sum += u;
        squares += u * u;
        normal += z;
        normal_2 += z * z;
        normal_4 += z * z * z * z;
        if (i % 2 == 0) pairs += z * weft_random_normal(key, 2, i + 1);
    }
    /* Five standard deviations of each mean. */
    ck_assert_double_lt(fabs(sum / N - 0.5), 5 * sqrt(1.0 / 12 / N));
    ck_assert_double_lt(fabs(squares / N - 1.0 / 3), 5 * sqrt(4.0 / 45 / N));
    ck_assert_double_lt(fabs(normal / N), 5 * sqrt(1.0 / N));
    ck_assert_double_lt(fabs(normal_2 / N - 1), 5 * sqrt(2.0 / N));
    ck_assert_double_lt(fabs(normal_4 / N - 3), 5 * sqrt(96.0 / N));
    ck_assert_double_lt(fabs(pairs / (N / 2)), 5 * sqrt(2.0 / N));
}
END_TEST

START_TEST(below_is_in_range_and_without_bias)
{
    const uint64_t key = weft_random_key(3, 1, 4);
    int count[6] = { 0 };
    for (uint64_t row = 0; row < 60000; ++row) ++count[weft_random_below(key, row, 6)];
    for (int i = 0; i < 6; ++i) ck_assert_int_lt(abs(count[i] - 10000), 500);
    ck_assert_uint_eq(weft_random_below(key, 0, 1), 0);
    /* n = 3 2^62: a plain remainder would take the lowest third twice as often. */
    const uint64_t n = (uint64_t)3 << 62;
    int low = 0;
    for (uint64_t row = 0; row < 30000; ++row) {
        const uint64_t x = weft_random_below(key, row, n);
        ck_assert_uint_lt(x, n);
        if (x < n / 3) ++low;
    }
    ck_assert_int_lt(abs(low - 10000), 500);
}
END_TEST

START_TEST(permutation_has_each_once_and_every_order)
{
    enum { N = 1000 };
    int64_t order[N];
    bool seen[N] = { false };
    weft_random_permutation(7, N, order);
    int fixed = 0;
    for (int i = 0; i < N; ++i) {
        ck_assert(order[i] >= 0 && order[i] < N && !seen[order[i]]);
        seen[order[i]] = true;
        if (order[i] == i) ++fixed;
    }
    ck_assert_int_lt(fixed, 10);
    int count[6] = { 0 }; /* orders of three: first place, and whether the rest ascends */
    for (uint64_t key = 0; key < 6000; ++key) {
        weft_random_permutation(weft_random_key(key, 0, 0), 3, order);
        ++count[2 * order[0] + (order[1] < order[2])];
    }
    for (int i = 0; i < 6; ++i) ck_assert_int_lt(abs(count[i] - 1000), 150);
    weft_random_permutation(7, 0, order);
    weft_random_permutation(7, 1, order);
    ck_assert_int_eq(order[0], 0);
}
END_TEST

START_TEST(dropout_equals_the_words)
{
    static const double ps[] = { 0, 1e-12, 0.1, 0.5, 0.999, 1 - 0x1p-53 };
    weft_real keep[301];
    for (size_t i = 0; i < sizeof ps / sizeof ps[0]; ++i) {
        for (int64_t C = 0; C <= 300; C += C < 140 ? 1 : 40) {
            const uint64_t row = (uint64_t)C << 31;
            const uint32_t head = (uint32_t)i;
            keep[C] = -7;
            weft_dropout_row(42, row, head, ps[i], C, keep);
            for (int64_t c = 0; c < C; ++c) {
                const bool dropped = weft_random_word(42, row, head, (uint32_t)c) < ps[i] * 0x1p32;
                ck_assert(keep[c] == (dropped ? 0 : (weft_real)(1 / (1 - ps[i]))));
            }
            ck_assert(keep[C] == -7); /* nothing behind the row is written */
            for (int64_t from = 0; from < C; from += 12) {
                weft_real part[301];
                weft_dropout_span(42, row, head, ps[i], from, C - from, part);
                ck_assert_mem_eq(part, keep + from, (size_t)(C - from) * sizeof *part);
            }
        }
    }
}
END_TEST

/* ---- exp, log, tanh, erf, sigmoid ------------------------------------------------------------ */

typedef void span_function(int64_t n, const weft_real *x, weft_real *y);

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }

/* One element in a function without WEFT_KERNEL: the baseline's instructions. */
static weft_real one_exp(weft_real x) { return real_exp(x); }
static weft_real one_log(weft_real x) { return real_log(x); }
static weft_real one_tanh(weft_real x) { return real_tanh(x); }
static weft_real one_erf(weft_real x) { return real_erf(x); }
static weft_real one_sigmoid(weft_real x) { return real_sigmoid(x); }

static const struct {
    const char *name;
    span_function *span;
    weft_real (*one)(weft_real x);
    double (*oracle)(double x);
} functions[] = {
    { "exp", weft_vexp, one_exp, exp },
    { "log", weft_vlog, one_log, log },
    { "tanh", weft_vtanh, one_tanh, tanh },
    { "erf", weft_verf, one_erf, erf },
    { "sigmoid", weft_vsigmoid, one_sigmoid, sigmoid },
};
enum { N_FUNCTIONS = sizeof functions / sizeof functions[0] };

static bool same_bits(weft_real a, weft_real b)
{
    return (isnan(a) && isnan(b)) || memcmp(&a, &b, sizeof a) == 0;
}

#ifndef WEFT_F64
/* Distance in units of the last place of the float nearest to `want` (of a denormal: 2^-149). */
static double ulps(float got, double want)
{
    if (isnan(want) || isnan(got)) return isnan(want) && isnan(got) ? 0 : INFINITY;
    if (got == (float)want) {
        if (got == 0) return signbit(got) == signbit(want) ? 0 : INFINITY;
        if (isinf(got)) return 0;
    }
    int exponent = -125;
    if (want != 0) (void)frexp(fmin(fabs(want), FLT_MAX), &exponent);
    const double unit = ldexp(1, exponent - 24 < -149 ? -149 : exponent - 24);
    const double limited = isinf(got) ? copysign(0x1p128, got) : got;
    return fabs(limited - fmax(fmin(want, 0x1p128), -0x1p128)) / unit;
}

START_TEST(at_most_two_ulps)
{
    enum { BLOCK = 1024, STRIDE = 16411 }; /* a prime: all low bits occur */
    float x[BLOCK], y[BLOCK];
    double worst = 0;
    for (uint64_t bits = 0; bits < (uint64_t)1 << 32;) {
        int n = 0;
        for (; n < BLOCK && bits < (uint64_t)1 << 32; bits += STRIDE)
            x[n++] = float_of_bits((uint32_t)bits);
        functions[_i].span(n, x, y);
        for (int i = 0; i < n; ++i) {
            const double error = ulps(y[i], functions[_i].oracle(x[i]));
            ck_assert_msg(error <= 2, "%s(%a) = %a is %g ULP off", functions[_i].name, x[i], y[i],
                          error);
            worst = fmax(worst, error);
        }
    }
    ck_assert_double_gt(worst, 0.4); /* the measure measures: nothing is right to less than half */
}
END_TEST

START_TEST(float_borders)
{
    ck_assert(real_exp(88.72284f) == 88.72284f * 0 + (float)exp(88.72284f));
    ck_assert(isinf(real_exp(88.7229f)));
    ck_assert(real_exp(-103.97f) == 0x1p-149f);
    ck_assert(real_exp(-103.98f) == 0);
    ck_assert(ulps(real_log(0x1p-149f), log(0x1p-149)) <= 2);
    ck_assert(real_tanh(9.1f) == 1 && real_erf(4.0f) == 1 && real_erf(3.0f) < 1);
    ck_assert(ulps(real_sigmoid(-100.0f), sigmoid(-100.0)) <= 2);
}
END_TEST
#endif

START_TEST(special_values)
{
    const weft_real inf = INFINITY, zero = 0, minus_zero = -zero;
    ck_assert(real_exp(zero) == 1 && real_exp(minus_zero) == 1);
    ck_assert(real_exp(-inf) == 0 && real_exp(inf) == inf);
    ck_assert(real_log(zero) == -inf && real_log(minus_zero) == -inf && real_log(inf) == inf);
    ck_assert(same_bits(real_log(1), 0) && isnan(real_log(-1)) && isnan(real_log(-inf)));
    ck_assert(same_bits(real_tanh(minus_zero), minus_zero) && real_tanh(-inf) == -1);
    ck_assert(same_bits(real_erf(minus_zero), minus_zero) && real_erf(-inf) == -1);
    ck_assert(real_sigmoid(zero) == (weft_real)0.5 && real_sigmoid(inf) == 1);
    ck_assert(real_sigmoid(-inf) == 0);
    for (int f = 0; f < N_FUNCTIONS; ++f) ck_assert(isnan(functions[f].one((weft_real)NAN)));
}
END_TEST

/* A span, whichever instruction set the loader chose and however it is cut, gives the bits of one
 * element computed with the baseline's instructions; in place too. */
START_TEST(spans_equal_single_elements)
{
    enum { N = 1001 };
    weft_real x[N] = { 0 }, y[N] = { 0 };
    for (int n = 0; n <= N; n += n < 40 ? 1 : 961) {
        for (int i = 0; i < n; ++i)
            x[i] = (weft_real)(30 * (weft_random_uniform(5, (uint64_t)n, (uint32_t)i) - 0.5));
        functions[_i].span(n, x, y);
        for (int i = 0; i < n; ++i) ck_assert(same_bits(y[i], functions[_i].one(x[i])));
        functions[_i].span(n, x, x);
        for (int i = 0; i < n; ++i) ck_assert(same_bits(x[i], y[i]));
    }
}
END_TEST

/* ---- matrix products ------------------------------------------------------------------------- */

static weft_real *random_matrix(int64_t n, uint64_t seed)
{
    weft_real *x = weft_alloc((size_t)n, sizeof *x);
    ck_assert_ptr_nonnull(x);
    for (int64_t i = 0; i < n; ++i)
        x[i] = (weft_real)(weft_random_uniform(seed, 0, (uint32_t)i) - 0.5);
    return x;
}

/* A random product: sizes up to `largest`, K to four times that at times; leading dimensions wider
 * than the rows; every transposition, alpha and beta. C is left to the caller. */
typedef struct example {
    weft_gemm_args args;
    weft_real *A, *B, *C;
    int64_t c_size;
} example;

static int64_t draw(uint64_t number, int64_t which, int64_t n)
{
    return (int64_t)weft_random_below(weft_random_key(number, 1, (uint64_t)which), 0, (uint64_t)n);
}

static example example_new(uint64_t number, int64_t largest)
{
    static const weft_real alphas[] = { 1, 1, (weft_real)0.7 }, betas[] = { 0, 1, (weft_real)-0.3 };
    weft_gemm_args g = { .trans_a = draw(number, 0, 2) == 1, .trans_b = draw(number, 1, 2) == 1 };
    g.M = 1 + draw(number, 2, largest);
    g.N = 1 + draw(number, 3, largest);
    g.K = 1 + draw(number, 4, draw(number, 5, 4) == 0 ? 8 * largest : largest);
    g.alpha = alphas[draw(number, 6, 3)];
    g.beta = betas[draw(number, 7, 3)];
    g.lda = (g.trans_a ? g.M : g.K) + draw(number, 8, 5);
    g.ldb = (g.trans_b ? g.K : g.N) + draw(number, 9, 5);
    g.ldc = g.N + draw(number, 10, 5);
    example e = { .args = g, .c_size = g.M * g.ldc };
    e.A = random_matrix((g.trans_a ? g.K : g.M) * g.lda, number + 1);
    e.B = random_matrix((g.trans_b ? g.N : g.K) * g.ldb, number + 2);
    e.C = random_matrix(e.c_size, number + 3);
    e.args.A = e.A;
    e.args.B = e.B;
    e.args.C = e.C;
    return e;
}

static void example_free(example *e)
{
    weft_free(e->A);
    weft_free(e->B);
    weft_free(e->C);
}

/* A copy of the example's C for another way of computing it. */
static weft_real *copy_of_c(const example *e)
{
    weft_real *copy = weft_alloc((size_t)e->c_size, sizeof *copy);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, e->C, (size_t)e->c_size * sizeof *copy);
    return copy;
}

static const char *const kernels[] = { "auto",    "avx512",  "skx",      "zen3",
                                       "haswell", "generic", "reference" };
enum { N_KERNELS = sizeof kernels / sizeof kernels[0] };

/* Check runs each loop iteration in a process of its own, so each starts with its kernel. */
static bool start_kernel(int i)
{
    const weft_status status = weft_gemm_init(kernels[i]);
    if (status == WEFT_OK) return true;
    ck_assert_int_eq(status, WEFT_ERR_INPUT); /* the processor or the build lacks it */
    ck_assert_msg(i != 0 && i != N_KERNELS - 1, "%s must work everywhere: %s", kernels[i],
                  weft_message());
    return false;
}

START_TEST(equals_the_reference)
{
    if (!start_kernel(_i)) return;
    for (uint64_t number = 0; number < 30; ++number) {
        example e = example_new(100 * number, 70);
        weft_gemm_args want = e.args;
        want.C = copy_of_c(&e);
        weft_gemm(&e.args);
        weft_gemm_reference(&want);
        const double bound = (double)(e.args.K + 4) * (sizeof(weft_real) == 4 ? 0x1p-24 : 0x1p-53);
        for (int64_t i = 0; i < e.c_size; ++i)
            ck_assert_double_le(fabs((double)e.C[i] - (double)want.C[i]), bound);
        weft_free(want.C);
        example_free(&e);
    }
}
END_TEST

/* The reference itself against the definition, one element at a time in long double. */
START_TEST(reference_equals_the_definition)
{
    for (uint64_t number = 0; number < 30; ++number) {
        example e = example_new(100 * number, 25);
        const weft_gemm_args *g = &e.args;
        weft_real *old = copy_of_c(&e);
        weft_gemm_reference(g);
        for (int64_t i = 0; i < g->M; ++i) {
            for (int64_t j = 0; j < g->ldc; ++j) {
                long double sum = 0;
                for (int64_t k = 0; k < g->K && j < g->N; ++k)
                    sum += (long double)g->A[g->trans_a ? k * g->lda + i : i * g->lda + k] *
                           (long double)g->B[g->trans_b ? j * g->ldb + k : k * g->ldb + j];
                const long double c = old[i * g->ldc + j];
                const long double want =
                    j < g->N ? (long double)g->beta * c + (long double)g->alpha * sum : c;
                const double bound = (sizeof(weft_real) == 4 ? 1e-7 : 1e-15) * (double)g->K;
                ck_assert_double_le(fabs((double)(e.C[i * g->ldc + j] - want)), bound);
            }
        }
        weft_free(old);
        example_free(&e);
    }
}
END_TEST

START_TEST(a_row_alone_equals_the_row_in_a_batch)
{
    if (!start_kernel(_i)) return;
    for (uint64_t number = 0; number < 30; ++number) {
        example e = example_new(100 * number + 7, 60);
        ck_assert_int_eq(weft_threads_set(1 + (int)(number % 4)), WEFT_OK);
        weft_real *alone = copy_of_c(&e);
        for (int64_t i = 0; i < e.args.M; ++i) {
            weft_gemm_args row = e.args;
            row.M = 1;
            row.A = e.A + (row.trans_a ? i : i * row.lda);
            row.C = alone + i * row.ldc;
            weft_gemm(&row);
        }
        weft_gemm(&e.args);
        ck_assert_int_eq(memcmp(alone, e.C, (size_t)e.c_size * sizeof *alone), 0);
        weft_free(alone);
        example_free(&e);
    }
}
END_TEST

START_TEST(same_bits_for_any_number_of_threads)
{
    if (!start_kernel(_i)) return;
    static const int64_t shapes[][3] = { { 130, 200, 300 }, { 257, 64, 129 }, { 7, 1000, 300 } };
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; ++s) {
        const int64_t M = shapes[s][0], N = shapes[s][1], K = shapes[s][2];
        weft_real *A = random_matrix(M * K, 1), *B = random_matrix(K * N, 2);
        weft_real *C[5] = { NULL };
        for (int n_threads = 1; n_threads <= 4; ++n_threads) {
            C[n_threads] = random_matrix(M * N, 3);
            const weft_gemm_args args = { .M = M,
                                          .N = N,
                                          .K = K,
                                          .alpha = 1,
                                          .A = A,
                                          .lda = K,
                                          .B = B,
                                          .ldb = N,
                                          .beta = 1,
                                          .C = C[n_threads],
                                          .ldc = N };
            ck_assert_int_eq(weft_threads_set(n_threads), WEFT_OK);
            (void)weft_team_largest();
            weft_gemm(&args);
            ck_assert_int_eq(weft_team_largest(), n_threads);
            ck_assert_int_eq(memcmp(C[1], C[n_threads], (size_t)(M * N) * sizeof *A), 0);
        }
        for (int n_threads = 1; n_threads <= 4; ++n_threads) weft_free(C[n_threads]);
        weft_free(A);
        weft_free(B);
    }
}
END_TEST

START_TEST(batch_and_nested_calls_equal_single_calls)
{
    if (!start_kernel(_i)) return;
    enum { N = 19 };
    example e[N];
    weft_gemm_args nested[N], batch[N];
    ck_assert_int_eq(weft_threads_set(3), WEFT_OK);
    for (int i = 0; i < N; ++i) {
        e[i] = example_new((uint64_t)(100 * i + 11), 60);
        nested[i] = batch[i] = e[i].args;
        nested[i].C = copy_of_c(&e[i]);
        batch[i].C = copy_of_c(&e[i]);
        weft_gemm(&e[i].args);
    }
    (void)weft_team_largest();
    weft_gemm_batch(N, batch);
    ck_assert_int_eq(weft_team_largest(), 3);
#pragma omp parallel for schedule(static) num_threads(3)
    for (int i = 0; i < N; ++i) weft_gemm(&nested[i]);
    for (int i = 0; i < N; ++i) {
        const size_t bytes = (size_t)e[i].c_size * sizeof *e[i].C;
        ck_assert_int_eq(memcmp(e[i].C, batch[i].C, bytes), 0);
        ck_assert_int_eq(memcmp(e[i].C, nested[i].C, bytes), 0);
        weft_free(batch[i].C);
        weft_free(nested[i].C);
        example_free(&e[i]);
    }
    weft_gemm_batch(0, NULL);
}
END_TEST

START_TEST(borders_of_a_product)
{
    if (!start_kernel(_i)) return;
    weft_real A[4] = { 1, 2, 3, 4 }, B[4] = { 5, 6, 7, 8 }, C[4];
    weft_gemm_args g = { .M = 2,
                         .N = 2,
                         .K = 2,
                         .alpha = 1,
                         .A = A,
                         .lda = 2,
                         .B = B,
                         .ldb = 2,
                         .beta = 0,
                         .C = C,
                         .ldc = 2 };
    for (int i = 0; i < 4; ++i) C[i] = (weft_real)NAN;
    weft_gemm(&g); /* beta = 0 does not read C */
    ck_assert(C[0] == 19 && C[1] == 22 && C[2] == 43 && C[3] == 50);
    g.beta = 2;
    weft_gemm(&g);
    ck_assert(C[0] == 57 && C[3] == 150);
    g.K = 0; /* an empty sum */
    weft_gemm(&g);
    ck_assert(C[0] == 114 && C[3] == 300);
    g.beta = 0;
    for (int i = 0; i < 4; ++i) C[i] = (weft_real)NAN;
    weft_gemm(&g);
    ck_assert(C[0] == 0 && C[1] == 0 && C[2] == 0 && C[3] == 0);
    g.M = 0;
    g.C = NULL;
    g.A = NULL;
    weft_gemm(&g); /* nothing to do, nothing touched */
    g.M = 2;
    g.N = 0;
    weft_gemm(&g);
}
END_TEST

/* Ours is quicker than BLIS's kernel skx, and not another one: sizes around its blocks. */
START_TEST(avx512_has_the_bits_of_skx)
{
    if (weft_gemm_init("avx512") != WEFT_OK) return;
    if (setenv("BLIS_ARCH_TYPE", "skx", 1) != 0) return;
    static const int64_t Ks[] = { 1, 17, 385, 480, 481, 1000 };
    for (uint64_t number = 0; number < 48; ++number) {
        const int64_t M = 1 + (int64_t)(number * 7 % 41), N = 1 + (int64_t)(number * 61 % 301),
                      K = Ks[number % 6];
        weft_real *A = random_matrix(M * K, 1), *B = random_matrix(K * N, 2);
        weft_real *C = random_matrix(M * N, 3), *want = random_matrix(M * N, 3);
        weft_gemm_args g = { .trans_a = number & 1,
                             .trans_b = number & 2,
                             .M = M,
                             .N = N,
                             .K = K,
                             .alpha = 1,
                             .A = A,
                             .lda = number & 1 ? M : K,
                             .B = B,
                             .ldb = number & 2 ? K : N,
                             .beta = (weft_real)(number / 4 % 2),
                             .C = C,
                             .ldc = N };
        weft_gemm(&g);
        g.C = want;
        const weft_status status = weft_gemm_library(&g);
        if (status == WEFT_OK)
            ck_assert_int_eq(memcmp(C, want, (size_t)(M * N) * sizeof *C), 0);
        else
            ck_assert_int_eq(status, WEFT_ERR_STATE); /* built without BLIS */
        weft_free(A);
        weft_free(B);
        weft_free(C);
        weft_free(want);
    }
}
END_TEST

START_TEST(describes_itself)
{
    ck_assert_int_eq(weft_threads_set(2), WEFT_OK);
    const char *line = weft_gemm_describe();
    ck_assert_ptr_nonnull(strstr(line, weft_gemm_kernel()));
    ck_assert_ptr_nonnull(strstr(line, "threads=2"));
    ck_assert_str_ne(weft_gemm_kernel(), "generic");
    ck_assert_double_gt(weft_fma_peak(1), 0.1);
    ck_assert_double_gt(weft_copy_peak(2), 0.1);
}
END_TEST

START_TEST(a_kernel_that_is_not_there)
{
    ck_assert_int_eq(weft_gemm_init("mmx"), WEFT_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(weft_message(), "\"mmx\""));
    ck_assert_ptr_nonnull(strstr(weft_message(), "reference"));
    ck_assert_int_eq(weft_gemm_init("reference"), WEFT_OK); /* the failure was no choice */
    ck_assert_str_eq(weft_gemm_kernel(), "reference");
    ck_assert_int_eq(weft_gemm_init(NULL), WEFT_OK);
    ck_assert_int_eq(weft_gemm_init("reference"), WEFT_OK);
    ck_assert_int_eq(weft_gemm_init("haswell"), WEFT_ERR_STATE);
    ck_assert_ptr_nonnull(strstr(weft_message(), "already in use"));
}
END_TEST

/* BLIS would abort, or take such a value for skx and die of an illegal instruction. */
START_TEST(an_environment_that_is_wrong)
{
    static const char *const values[] = { "77", "-1", "knl", "nonsense", "" };
    ck_assert_int_eq(setenv("BLIS_ARCH_TYPE", values[_i], 1), 0);
    const bool blis = weft_gemm_init(NULL) != WEFT_OK;
    if (!blis) { /* built without BLIS: nobody reads the variable */
        ck_assert_ptr_null(strstr(weft_gemm_describe(), "BLIS_ARCH_TYPE"));
        return;
    }
    ck_assert_ptr_nonnull(strstr(weft_message(), "BLIS_ARCH_TYPE"));
    weft_real a = 3, b = 4, c = 0;
    const weft_gemm_args g = {
        .M = 1, .N = 1, .K = 1, .alpha = 1, .A = &a, .lda = 1, .B = &b, .ldb = 1, .C = &c, .ldc = 1
    };
    weft_gemm(&g); /* a product still comes out, and the line says why it is slow */
    ck_assert(c == 12);
    ck_assert_str_eq(weft_gemm_kernel(), "reference");
    ck_assert_ptr_nonnull(strstr(weft_gemm_describe(), "BLIS_ARCH_TYPE"));
}
END_TEST

START_TEST(an_environment_by_name)
{
    ck_assert_int_eq(setenv("BLIS_ARCH_TYPE", "generic", 1), 0);
    ck_assert_int_eq(weft_gemm_init(NULL), WEFT_OK);
    if (strncmp(weft_gemm_describe(), "BLIS", 4) == 0)
        ck_assert_str_eq(weft_gemm_kernel(), "generic");
}
END_TEST

/* ---- small products -------------------------------------------------------------------------- */

WEFT_KERNEL
static void small_product(const weft_gemm_args *g, bool add, weft_real *scratch)
{
    if (g->trans_a)
        small_gemm_tn(g->M, g->N, g->K, g->A, g->lda, g->B, g->ldb, g->C, g->ldc, add);
    else if (g->trans_b)
        small_gemm_nt(g->M, g->N, g->K, g->A, g->lda, g->B, g->ldb, g->C, g->ldc, add, scratch);
    else
        small_gemm_nn(g->M, g->N, g->K, g->A, g->lda, g->B, g->ldb, g->C, g->ldc, add);
}

START_TEST(small_products_are_one_chain)
{
    static weft_real A[2000], B[2000], C[2000], old[2000], scratch[2000];
    for (uint64_t number = 0; number < 400; ++number) {
        weft_gemm_args g = { .trans_a = number % 3 == 0, .trans_b = number % 3 == 1 };
        g.M = draw(number, 0, 20);
        g.N = draw(number, 1, 40);
        g.K = draw(number, 2, 40);
        g.lda = (g.trans_a ? g.M : g.K) + 3;
        g.ldb = (g.trans_b ? g.K : g.N) + 2;
        g.ldc = g.N + 1;
        const bool add = draw(number, 3, 2) == 1;
        for (uint32_t i = 0; i < 2000; ++i) {
            A[i] = (weft_real)(weft_random_uniform(number, 1, i) - 0.5);
            B[i] = (weft_real)(weft_random_uniform(number, 2, i) - 0.5);
            old[i] = C[i] = add ? (weft_real)i : (weft_real)NAN;
        }
        g.A = A;
        g.B = B;
        g.C = C;
        small_product(&g, add, scratch);
        for (int64_t i = 0; i < g.M; ++i) {
            for (int64_t j = 0; j < g.ldc; ++j) {
                weft_real chain = add || j == g.N ? old[i * g.ldc + j] : 0;
                for (int64_t k = 0; k < g.K && j < g.N; ++k)
                    chain = SMALL_FMA(A[g.trans_a ? k * g.lda + i : i * g.lda + k],
                                      B[g.trans_b ? j * g.ldb + k : k * g.ldb + j], chain);
                ck_assert(same_bits(C[i * g.ldc + j], chain));
            }
        }
    }
}
END_TEST

/* Rows of B become columns, zeros fill up to sixteen, and nothing else is touched. */
START_TEST(wide_transposes_move_all_and_no_more)
{
    enum { PAD = 16, MOST = 70, LD = MOST + 3 };
    static weft_real B[MOST * LD], T[LD * (MOST + 2 * PAD)];
    static const int64_t sizes[] = { 0, 1, 2, 15, 16, 17, 31, 32, 33, 64, MOST };
    const int n_sizes = (int)(sizeof sizes / sizeof *sizes);
    for (uint32_t i = 0; i < MOST * LD; ++i) B[i] = (weft_real)(i + 1);
    for (int which = 0; which < n_sizes * n_sizes; ++which) {
        const int64_t n = sizes[which / n_sizes], k = sizes[which % n_sizes],
                      cols = (n + PAD - 1) / PAD * PAD, ldt = cols + PAD;
        for (int64_t i = 0; i < (k + 1) * ldt; ++i) T[i] = -1;
        if (!weft_small_transpose_wide(n, k, B, LD, T, ldt)) return; /* no such registers */
        for (int64_t p = 0; p <= k; ++p)
            for (int64_t j = 0; j < ldt; ++j)
                ck_assert(T[p * ldt + j] == (p == k || j >= cols ? -1 : j < n ? B[j * LD + p] : 0));
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("numerics");
    TCase *random = tcase_create("random");
    tcase_add_test(random, philox_known_answers);
    tcase_add_test(random, words_depend_on_every_coordinate);
    tcase_add_test(random, uniform_and_normal_have_their_moments);
    tcase_add_test(random, below_is_in_range_and_without_bias);
    tcase_add_test(random, permutation_has_each_once_and_every_order);
    tcase_add_test(random, dropout_equals_the_words);
    suite_add_tcase(suite, random);

    TCase *vecmath = tcase_create("vecmath");
#ifndef WEFT_F64
    tcase_add_loop_test(vecmath, at_most_two_ulps, 0, N_FUNCTIONS);
    tcase_add_test(vecmath, float_borders);
#endif
    tcase_add_test(vecmath, special_values);
    tcase_add_loop_test(vecmath, spans_equal_single_elements, 0, N_FUNCTIONS);
    tcase_set_timeout(vecmath, 240);
    suite_add_tcase(suite, vecmath);

    TCase *gemm = tcase_create("gemm");
    tcase_add_loop_test(gemm, equals_the_reference, 0, N_KERNELS);
    tcase_add_test(gemm, reference_equals_the_definition);
    tcase_add_loop_test(gemm, a_row_alone_equals_the_row_in_a_batch, 0, N_KERNELS);
    tcase_add_loop_test(gemm, borders_of_a_product, 0, N_KERNELS);
    tcase_set_timeout(gemm, 240);
    suite_add_tcase(suite, gemm);

    TCase *gemm_threads = tcase_create("gemm-threads");
    tcase_add_loop_test(gemm_threads, same_bits_for_any_number_of_threads, 0, N_KERNELS);
    tcase_add_loop_test(gemm_threads, batch_and_nested_calls_equal_single_calls, 0, N_KERNELS);
    tcase_set_timeout(gemm_threads, 240);
    suite_add_tcase(suite, gemm_threads);

    TCase *kernel = tcase_create("gemm-kernel");
    tcase_add_test(kernel, avx512_has_the_bits_of_skx);
    tcase_add_test(kernel, describes_itself);
    tcase_add_test(kernel, a_kernel_that_is_not_there);
    tcase_add_loop_test(kernel, an_environment_that_is_wrong, 0, 5);
    tcase_add_test(kernel, an_environment_by_name);
    suite_add_tcase(suite, kernel);

    TCase *small = tcase_create("small-gemm");
    tcase_add_test(small, small_products_are_one_chain);
    tcase_add_test(small, wide_transposes_move_all_and_no_more);
    suite_add_tcase(suite, small);
    return run_suite(suite);
}
