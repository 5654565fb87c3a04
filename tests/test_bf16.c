/* test_bf16.c - products with operands in bfloat16, and training with them. Where the processor has no
 * AVX512_BF16 (or the library is in double) only the refusals are left. */
#include "check_main.h"

#include "temp_dir.h"
#include "train/loop_internal.h"

#include <math.h>
#include <string.h>

#define OK(call) ck_assert_msg((call) == WEFT_OK, "%s: %s", #call, weft_message())

/* May this test go on? What is missing must be said. */
static bool has_bf16(void)
{
    if (weft_gemm_check_bf16() == WEFT_OK) return true;
    ck_assert_ptr_nonnull(strstr(weft_message(), "products in bfloat16 need "));
    return false;
}

static weft_real *random_matrix(int64_t n, uint64_t seed)
{
    weft_real *x = weft_alloc((size_t)n, sizeof *x);
    ck_assert_ptr_nonnull(x);
    for (int64_t i = 0; i < n; ++i)
        x[i] = (weft_real)(weft_random_uniform(seed, 0, (uint32_t)i) - 0.5);
    return x;
}

#ifndef WEFT_F64
/* ---- the product, bit by bit --------------------------------------------------------------------- */

/* To nearest, ties to even. */
static float rounded(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    bits = (bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static float element_of(bool trans, const float *x, int64_t ld, int64_t row, int64_t col)
{
    return rounded(trans ? x[col * ld + row] : x[row * ld + col]);
}

/* One element of C as core/gemm_bf16.c says: chains over pairs, k + 1 before k, 768 or the rest. */
static float wanted(const weft_gemm_args *g, int64_t i, int64_t j, float c)
{
    c = g->beta == 0 ? 0 : c * g->beta;
    for (int64_t from = 0, depth; from < g->K; from += depth) {
        float sum = 0;
        depth = g->K - from <= 960 ? g->K - from : 768;
        for (int64_t pair = from; pair < from + depth; pair += 2)
            for (int64_t k = pair + 1; k >= pair; --k)
                if (k < from + depth)
                    sum = fmaf(element_of(g->trans_a, g->A, g->lda, i, k),
                               element_of(g->trans_b, g->B, g->ldb, k, j), sum);
        sum = g->alpha == 1 ? sum : sum * g->alpha;
        c = from == 0 && g->beta == 0 ? sum : c + sum;
    }
    return c;
}

/* A matrix whose rows are `width` of ld; what lies between is not for reading. */
static float *with_gaps(int64_t rows, int64_t width, int64_t ld, uint64_t seed)
{
    float *x = random_matrix(rows * ld, seed);
    for (int64_t i = 0; i < rows; ++i)
        for (int64_t j = width; j < ld; ++j) x[i * ld + j] = NAN;
    return x;
}

START_TEST(has_the_bits_of_its_definition)
{
    static const int64_t Ks[] = { 1, 2, 3, 17, 31, 32, 33, 64, 767, 959, 960, 961, 1700 };
    static const int64_t Ms[] = { 1, 3, 4, 11, 12, 13, 25 };
    static const int64_t Ns[] = { 1, 15, 16, 17, 31, 32, 33, 70, 300 };
    static const float alphas[] = { 1, 1, 0.7F }, betas[] = { 0, 1, -0.3F };
    if (!has_bf16()) return;
    ck_assert_int_eq(weft_threads_set(1), WEFT_OK);
    for (uint64_t n = 0; n < 120; ++n) {
        weft_gemm_args g = { .bf16 = true, .trans_a = n & 1, .trans_b = n & 2 };
        g.M = Ms[n % 7];
        g.N = Ns[n % 9];
        g.K = Ks[n % 13];
        g.alpha = alphas[n / 3 % 3];
        g.beta = betas[n % 3];
        const int64_t a_cols = g.trans_a ? g.M : g.K, b_cols = g.trans_b ? g.K : g.N;
        g.lda = a_cols + (int64_t)(n % 4);
        g.ldb = b_cols + (int64_t)(n % 5);
        g.ldc = g.N + (int64_t)(n % 3);
        float *A = with_gaps(g.trans_a ? g.K : g.M, a_cols, g.lda, n + 1);
        float *B = with_gaps(g.trans_b ? g.N : g.K, b_cols, g.ldb, n + 2);
        float *C = random_matrix(g.M * g.ldc, n + 3), *old = random_matrix(g.M * g.ldc, n + 3);
        g.A = A;
        g.B = B;
        g.C = C;
        weft_gemm(&g);
        for (int64_t i = 0; i < g.M; ++i)
            for (int64_t j = 0; j < g.ldc; ++j) {
                const float was = old[i * g.ldc + j];
                const float want = j < g.N ? wanted(&g, i, j, was) : was;
                ck_assert_msg(memcmp(&C[i * g.ldc + j], &want, sizeof want) == 0,
                              "product %d, element (%d, %d): %a instead of %a", (int)n, (int)i,
                              (int)j, (double)C[i * g.ldc + j], (double)want);
            }
        weft_free(A);
        weft_free(B);
        weft_free(C);
        weft_free(old);
    }
}
END_TEST

/* beta = 0 reads no C; NaN and infinity come through; what is too small counts 0. */
START_TEST(borders)
{
    if (!has_bf16()) return;
    float A[3] = { 1, 2, 3 }, B[3] = { 4, 5, 6 }, C[1] = { NAN };
    weft_gemm_args g = { .bf16 = true,
                         .M = 1,
                         .N = 1,
                         .K = 3,
                         .alpha = 1,
                         .A = A,
                         .lda = 3,
                         .B = B,
                         .ldb = 1,
                         .C = C,
                         .ldc = 1 };
    weft_gemm(&g);
    ck_assert(C[0] == 32);
    A[2] = 0x1p-130F;
    B[2] = 0x1p120F;
    weft_gemm(&g);
    ck_assert(C[0] == 14);
    B[2] = INFINITY;
    A[2] = 1;
    weft_gemm(&g);
    ck_assert(C[0] == INFINITY);
    A[0] = NAN;
    weft_gemm(&g);
    ck_assert(isnan(C[0]));
    g.K = 0;
    weft_gemm(&g);
    ck_assert(C[0] == 0);
}
END_TEST
#endif

START_TEST(same_bits_for_any_number_of_threads)
{
    enum { M = 150, N = 330, K = 1100, N_ROWS = 7 };
    if (!has_bf16()) return;
    weft_real *A = random_matrix(M * K, 1), *B = random_matrix(N * K, 2), *C[5] = { NULL };
    for (int n_threads = 1; n_threads <= 4; ++n_threads) {
        C[n_threads] = random_matrix(M * N, 3);
        const weft_gemm_args g = { .bf16 = true,
                                   .trans_a = true,
                                   .trans_b = true,
                                   .M = M,
                                   .N = N,
                                   .K = K,
                                   .alpha = 1,
                                   .A = A,
                                   .lda = M,
                                   .B = B,
                                   .ldb = K,
                                   .beta = 1,
                                   .C = C[n_threads],
                                   .ldc = N };
        OK(weft_threads_set(n_threads));
        (void)weft_team_largest();
        weft_gemm(&g);
        ck_assert_int_eq(weft_team_largest(), n_threads);
        ck_assert_int_eq(memcmp(C[1], C[n_threads], (size_t)(M * N) * sizeof *A), 0);
        /* some rows alone, as a batch of products */
        weft_gemm_args rows[N_ROWS];
        weft_real *alone = random_matrix(M * N, 3);
        for (int i = 0; i < N_ROWS; ++i) {
            rows[i] = g;
            rows[i].M = 1;
            rows[i].A = A + 20 * i;
            rows[i].C = alone + 20 * i * N;
        }
        weft_gemm_batch(N_ROWS, rows);
        for (int i = 0; i < N_ROWS; ++i)
            ck_assert_int_eq(memcmp(alone + 20 * i * N, C[1] + 20 * i * N, (size_t)N * sizeof *A),
                             0);
        weft_free(alone);
    }
    for (int n_threads = 1; n_threads <= 4; ++n_threads) weft_free(C[n_threads]);
    weft_free(A);
    weft_free(B);
}
END_TEST

/* ---- on a tape ----------------------------------------------------------------------------------- */

enum { ROWS = 40, D = 48, V = 70 };

/* A layer and a loss: y, and the gradients of x and both matrices, one behind the other in out. */
enum { N_OUT = 1 + ROWS * D + D * D + V * D };
static void compute(unsigned flags, weft_real *out)
{
    weft_real *data[3] = { random_matrix(ROWS * D, 1), random_matrix(D * D, 2),
                           random_matrix(V * D, 3) };
    const int64_t rows[3] = { ROWS, D, V };
    int32_t labels[ROWS];
    for (int i = 0; i < ROWS; ++i) labels[i] = 7 * i % V;
    weft_tape *tape = weft_tape_new(flags);
    ck_assert_ptr_nonnull(tape);
    weft_var x[3];
    for (int i = 0; i < 3; ++i) x[i] = weft_leaf(tape, WEFT_DIMS(rows[i], D), data[i]);
    const weft_var z = weft_linear(tape, x[0], x[1], WEFT_NIL, WEFT_GELU);
    const weft_var target = weft_constant_int(tape, WEFT_DIMS(ROWS), labels);
    const weft_var loss = weft_projection_loss(tape, z, x[2], WEFT_NIL, target, NULL, NULL);
    OK(weft_backward(tape, loss, NULL));
    *out++ = (weft_real)weft_item(tape, loss);
    for (int i = 0; i < 3; ++i) {
        const weft_tensor g = weft_gradient(tape, x[i]);
        memcpy(out, g.real, (size_t)weft_size(&g) * sizeof *out);
        out += weft_size(&g);
        weft_free(data[i]);
    }
    weft_tape_free(tape);
}

START_TEST(a_tape_has_its_precision)
{
    static weft_real plain[N_OUT], bf16[N_OUT], again[N_OUT];
    if (!has_bf16()) return;
    OK(weft_threads_set(1));
    compute(0, plain);
    compute(WEFT_BF16, bf16);
    OK(weft_threads_set(3));
    weft_team_work(1);
    compute(WEFT_BF16, again);
    weft_team_work(0);
    ck_assert_int_eq(memcmp(bf16, again, sizeof bf16), 0);
    ck_assert_double_le(fabs((double)(bf16[0] / plain[0]) - 1), 0x1p-8);
    const int size[3] = { ROWS * D, D * D, V * D };
    for (int i = 0, k = 1; i < 3; ++i) {
        double difference = 0, norm = 0;
        for (const int end = k + size[i]; k < end; ++k) {
            difference += pow((double)(bf16[k] - plain[k]), 2);
            norm += pow((double)plain[k], 2);
        }
        /* rounded operands differ by 2^-9 at most; each gradient is a product, so it must differ */
        ck_assert_double_le(sqrt(difference / norm), 0x1p-6);
        ck_assert_double_ge(sqrt(difference / norm), 0x1p-12);
    }
}
END_TEST

/* ---- training ------------------------------------------------------------------------------------ */

static void enter(void)
{
    temp_dir_enter();
    OK(weft_threads_set(1));
}

static weft_config config_of(bool bf16)
{
    weft_config config;
    weft_config_init(&config);
    OK(weft_config_parse(&config,
                         "[data]\ntask = copy\ntrain_size = 1000\nvalid_size = 20\n"
                         "[model]\nd_model = 32\nffn = 64\nheads = 2\nencoder_layers = 1\n"
                         "decoder_layers = 1\ndropout = 0\n"
                         "[train]\nmax_updates = 200\nbatch_tokens = 300\nlabel_smoothing = 0\n"
                         "[optim]\nlr = 0.005\nschedule = constant\nwarmup = 20\n",
                         "bf16"));
    if (bf16) OK(weft_config_set(&config, "train.precision=bf16"));
    OK(weft_config_check(&config));
    return config;
}

static void step(weft_trainer *trainer, int n)
{
    weft_train_step s;
    for (int i = 0; i < n; ++i) OK(weft_trainer_step(trainer, &s));
}

static weft_trainer *trained(bool bf16, int n, double *loss)
{
    const weft_config config = config_of(bf16);
    weft_trainer *trainer;
    weft_validation v;
    OK(weft_trainer_new(&config, &trainer));
    step(trainer, n);
    OK(weft_trainer_validate(trainer, &v));
    *loss = v.loss;
    return trainer;
}

START_TEST(learns_as_float_does)
{
    double plain, bf16;
    if (!has_bf16()) return;
    weft_trainer_free(trained(false, 100, &plain));
    weft_trainer_free(trained(true, 100, &bf16));
    ck_assert_double_lt(plain, 3.2); /* ln V = 3.4; much later, two runs part by rounding alone */
    ck_assert_double_ne(plain, bf16);
    ck_assert_double_le(fabs(bf16 - plain), 0.02 * plain);
}
END_TEST

static bool same_parameters(weft_trainer *a, weft_trainer *b)
{
    const size_t size = (size_t)weft_params_block_size(a->model->params);
    return memcmp(weft_params_values(a->model->params), weft_params_values(b->model->params),
                  size * sizeof(weft_real)) == 0;
}

/* With another number of threads, too. */
START_TEST(resumed_equals_uninterrupted)
{
    double loss;
    weft_trainer *parts;
    const weft_config plain = config_of(false), bf16 = config_of(true);
    if (!has_bf16()) return;
    weft_trainer *whole = trained(true, 12, &loss), *first = trained(true, 5, &loss);
    OK(weft_trainer_save(first, "x.h5"));
    OK(weft_threads_set(2));
    weft_team_work(1);
    OK(weft_trainer_resume(&bf16, "x.h5", &parts));
    step(parts, 7);
    ck_assert(same_parameters(whole, parts));
    weft_trainer_free(parts);
    ck_assert_int_eq(weft_trainer_resume(&plain, "x.h5", &parts), WEFT_ERR_INPUT);
    ck_assert_ptr_nonnull(strstr(weft_message(), "\"precision = bf16\" in section [train]"));
    weft_trainer_free(whole);
    weft_trainer_free(first);
}
END_TEST

/* ---- where it cannot be -------------------------------------------------------------------------- */

/* Another kernel stands for another processor. */
START_TEST(refused_with_a_sentence)
{
    const weft_config config = config_of(true);
    weft_trainer *trainer;
    OK(weft_gemm_init("reference"));
    ck_assert(!has_bf16());
    ck_assert_ptr_null(weft_tape_new(WEFT_BF16));
    ck_assert_ptr_nonnull(strstr(weft_message(), "products in bfloat16 need "));
    if (sizeof(weft_real) == sizeof(double))
        ck_assert_ptr_nonnull(strstr(weft_message(), "this library is in double"));
    ck_assert_int_eq(weft_trainer_new(&config, &trainer), WEFT_ERR_INPUT);
    ck_assert_ptr_null(trainer);
    ck_assert_ptr_nonnull(
        strstr(weft_message(), "train.precision = bf16: products in bfloat16 need "));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("bf16");
    TCase *tc = tcase_create("product");
#ifndef WEFT_F64
    tcase_add_test(tc, has_the_bits_of_its_definition);
    tcase_add_test(tc, borders);
#endif
    tcase_add_test(tc, a_tape_has_its_precision);
    suite_add_tcase(suite, tc);

    tc = tcase_create("threads");
    tcase_add_test(tc, same_bits_for_any_number_of_threads);
    suite_add_tcase(suite, tc);

    tc = tcase_create("training");
    tcase_add_checked_fixture(tc, enter, temp_dir_leave);
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, learns_as_float_does);
    tcase_add_test(tc, resumed_equals_uninterrupted);
    suite_add_tcase(suite, tc);

    tc = tcase_create("refusal");
    tcase_add_test(tc, refused_with_a_sentence);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
