/* test_optim.c - optimisers against the textbook loop, and schedules against closed forms. */
#include "check_main.h"

#include "core/core.h"
#include "optim/optim.h"

#include <float.h>
#include <math.h>
#include <string.h>

#ifdef WEFT_F64
#define TOLERANCE 1e-13
#else
#define TOLERANCE 2e-6
#endif

enum { BIG = 5003, N_PARAMS = 3 }; /* more than one piece of a sweep, and gaps between parameters */
static const int64_t sizes[N_PARAMS] = { 1, BIG, 17 };

static weft_params *make_params(void)
{
    static const char *const names[N_PARAMS] = { "first", "big", "last" };
    weft_params *params = weft_params_new(7);
    ck_assert_ptr_nonnull(params);
    for (int i = 0; i < N_PARAMS; i++) {
        weft_param p;
        ck_assert_int_eq(weft_params_add(params, names[i], 1, &sizes[i],
                                         (weft_init){ .kind = WEFT_INIT_NORMAL }, &p),
                         WEFT_OK);
    }
    return params;
}

static void draw_gradients(weft_params *params, int64_t update)
{
    for (int i = 0; i < N_PARAMS; i++) {
        const weft_tensor g = weft_params_gradient(params, i);
        const uint64_t key = weft_random_key(3, (uint64_t)update, (uint64_t)i);
        for (int64_t k = 0; k < sizes[i]; k++)
            g.real[k] = (weft_real)weft_random_normal(key, (uint64_t)k, 0);
    }
}

static weft_optimiser *make(const weft_params *params, const weft_optimiser_spec *spec)
{
    weft_optimiser *optimiser = weft_optimiser_new(params, spec);
    ck_assert_msg(optimiser != NULL, "%s", weft_message());
    return optimiser;
}

static void expect_close(double value, double expected, const char *what, int64_t k)
{
    ck_assert_msg(fabs(value - expected) <= TOLERANCE * (1 + fabs(expected)),
                  "%s %lld: %.17g, expected %.17g", what, (long long)k, value, expected);
}

/* ---- the updates, straight from the papers, in double ----------------------------------------- */

enum { N_ALL = 1 + BIG + 17 };
typedef struct textbook {
    double p[N_ALL], a[N_ALL], b[N_ALL]; /* parameters; m or momentum; v */
} textbook;

static double textbook_step(textbook *s, const weft_optimiser_spec *spec, int64_t t, double lr,
                            double scale, const weft_params *params)
{
    static double g[N_ALL];
    double square = 0;
    int64_t k = 0;
    for (int i = 0; i < N_PARAMS; i++)
        for (int64_t j = 0; j < sizes[i]; j++, k++) {
            g[k] = scale * (double)weft_params_gradient(params, i).real[j];
            square += g[k] * g[k];
        }
    const double norm = sqrt(square);
    const double clip = spec->clip > 0 ? fmin(1, spec->clip / (norm + 1e-6)) : 1;
    for (k = 0; k < N_ALL; k++) {
        g[k] *= clip;
        if (spec->kind == WEFT_SGD) {
            g[k] += spec->weight_decay * s->p[k];
            s->a[k] = spec->momentum * s->a[k] + g[k];
            s->p[k] -= lr * s->a[k];
            continue;
        }
        s->p[k] -= lr * spec->weight_decay * s->p[k];
        s->a[k] = spec->beta1 * s->a[k] + (1 - spec->beta1) * g[k];
        s->b[k] = spec->beta2 * s->b[k] + (1 - spec->beta2) * g[k] * g[k];
        const double m = s->a[k] / (1 - pow(spec->beta1, (double)t));
        const double v = s->b[k] / (1 - pow(spec->beta2, (double)t));
        s->p[k] -= lr * m / (sqrt(v) + spec->eps);
    }
    return norm;
}

static const weft_optimiser_spec specs[] = {
    { .kind = WEFT_ADAM, .beta1 = 0.9, .beta2 = 0.98, .eps = 1e-9 },
    { .kind = WEFT_ADAM, .beta1 = 0.9, .beta2 = 0.98, .eps = 1e-9, .clip = 0.3 },
    { .kind = WEFT_ADAM, .beta1 = 0, .beta2 = 0.999, .eps = 1e-3, .clip = 1e9 },
    { .kind = WEFT_ADAMW, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0.1 },
    { .kind = WEFT_SGD },
    { .kind = WEFT_SGD, .weight_decay = 0.2, .clip = 2 },
    { .kind = WEFT_SGD, .momentum = 0.9, .weight_decay = 0.1 },
};
enum { N_SPECS = sizeof specs / sizeof *specs };

START_TEST(test_textbook)
{
    const weft_optimiser_spec *spec = &specs[_i];
    const double lr = 0.01, scale = 0.25;
    weft_params *params = make_params();
    weft_optimiser *optimiser = make(params, spec);
    static textbook s;
    memset(&s, 0, sizeof s);
    for (int64_t i = 0, k = 0; i < N_PARAMS; i++)
        for (int64_t j = 0; j < sizes[i]; j++)
            s.p[k++] = (double)weft_params_value(params, (int)i).real[j];

    for (int64_t t = 1; t <= 12; t++) {
        draw_gradients(params, t);
        const double expected = textbook_step(&s, spec, t, lr / (double)t, scale, params);
        const uint64_t version = weft_params_version(params);
        double norm;
        ck_assert_int_eq(weft_optimiser_step(optimiser, params, lr / (double)t, scale, &norm),
                         WEFT_OK);
        ck_assert_double_eq_tol(norm, expected, 1e-12 * expected);
        ck_assert_uint_ne(weft_params_version(params), version);
        ck_assert_int_eq(weft_optimiser_updates(optimiser), t);
    }
    const int n_blocks = weft_optimiser_n_blocks(optimiser);
    ck_assert_int_eq(n_blocks, spec->kind != WEFT_SGD ? 2 : spec->momentum != 0 ? 1 : 0);
    for (int64_t i = 0, k = 0; i < N_PARAMS; i++)
        for (int64_t j = 0; j < sizes[i]; j++, k++) {
            const int64_t at = weft_params_offset(params, (int)i) + j;
            expect_close((double)weft_params_values(params)[at], s.p[k], "parameter", k);
            if (n_blocks > 0)
                expect_close((double)weft_optimiser_block(optimiser, 0)[at], s.a[k], "block 0", k);
            if (n_blocks > 1)
                expect_close((double)weft_optimiser_block(optimiser, 1)[at], s.b[k], "block 1", k);
        }
    /* The whole block of gradients is 0, and what lies between parameters stayed 0 everywhere. */
    bool used[2 * N_ALL] = { false };
    for (int i = 0; i < N_PARAMS; i++)
        for (int64_t j = 0; j < sizes[i]; j++) used[weft_params_offset(params, i) + j] = true;
    const int64_t n = weft_params_block_size(params);
    ck_assert_int_gt(n, N_ALL);
    ck_assert_int_le(n, 2 * N_ALL);
    for (int64_t k = 0; k < n; k++) {
        ck_assert(weft_params_gradients(params)[k] == 0);
        if (used[k]) continue;
        ck_assert(weft_params_values(params)[k] == 0);
        for (int b = 0; b < n_blocks; b++) ck_assert(weft_optimiser_block(optimiser, b)[k] == 0);
    }
    weft_optimiser_free(optimiser);
    weft_params_free(params);
}
END_TEST

/* The paper's values stand for zeros; the first step of Adam is lr g / (|g| + eps). */
START_TEST(test_defaults)
{
    weft_params *params = make_params();
    weft_optimiser *optimiser = make(params, &(weft_optimiser_spec){ 0 });
    ck_assert_str_eq(weft_optimiser_block_name(optimiser, 0), "m");
    ck_assert_str_eq(weft_optimiser_block_name(optimiser, 1), "v");
    const double before = (double)weft_params_value(params, 0).real[0];
    weft_params_gradient(params, 0).real[0] = -3;
    ck_assert_int_eq(weft_optimiser_step(optimiser, params, 0.5, 1, NULL), WEFT_OK);
    expect_close((double)weft_params_value(params, 0).real[0], before + 0.5 * 3 / (3 + 1e-9),
                 "parameter", 0);
    const int64_t at = weft_params_offset(params, 0);
    expect_close((double)weft_optimiser_block(optimiser, 0)[at], 0.1 * -3, "m", 0);
    expect_close((double)weft_optimiser_block(optimiser, 1)[at], 0.02 * 9, "v", 0);
    weft_optimiser_free(optimiser);

    optimiser = make(params, &(weft_optimiser_spec){ .kind = WEFT_SGD, .momentum = 0.5 });
    ck_assert_str_eq(weft_optimiser_block_name(optimiser, 0), "momentum");
    weft_optimiser_free(optimiser);
    weft_params_free(params);
}
END_TEST

/* The sweep is the operation weft_adam, which autograd proves. */
START_TEST(test_operation)
{
    const weft_optimiser_spec *spec = &specs[_i];
    weft_params *params = make_params();
    weft_optimiser *adam = make(params, spec);
    weft_tape *tape = weft_tape_new(WEFT_NO_GRAD);
    static weft_real p[BIG], m[BIG], v[BIG]; /* as the operation has them, of parameter "big" */
    const weft_tensor value = weft_params_value(params, 1);
    const int64_t at = weft_params_offset(params, 1);
    memcpy(p, value.real, sizeof p);
    memset(m, 0, sizeof m);
    memset(v, 0, sizeof v);
    for (int64_t t = 1; t <= 5; t++) {
        draw_gradients(params, t);
        weft_tape_reset(tape);
        const weft_adam_spec s = { spec->beta1, spec->beta2, spec->eps, spec->weight_decay, t };
        weft_var m_out, v_out;
        const weft_var p_out = weft_adam(
            tape, weft_constant(tape, WEFT_DIMS(BIG), p),
            weft_constant(tape, WEFT_DIMS(BIG), weft_params_gradient(params, 1).real),
            weft_constant(tape, WEFT_DIMS(BIG), m), weft_constant(tape, WEFT_DIMS(BIG), v),
            weft_scalar(tape, 0.01), &s, &m_out, &v_out);
        ck_assert_msg(weft_tape_status(tape) == WEFT_OK, "%s", weft_tape_message(tape));
        memcpy(p, weft_value(tape, p_out).real, sizeof p);
        memcpy(m, weft_value(tape, m_out).real, sizeof m);
        memcpy(v, weft_value(tape, v_out).real, sizeof v);
        ck_assert_int_eq(weft_optimiser_step(adam, params, 0.01, 1, NULL), WEFT_OK);
    }
    for (int64_t k = 0; k < BIG; k++) {
        expect_close((double)value.real[k], (double)p[k], "parameter", k);
        expect_close((double)weft_optimiser_block(adam, 0)[at + k], (double)m[k], "m", k);
        expect_close((double)weft_optimiser_block(adam, 1)[at + k], (double)v[k], "v", k);
    }
    weft_tape_free(tape);
    weft_optimiser_free(adam);
    weft_params_free(params);
}
END_TEST

/* ---- threads ---------------------------------------------------------------------------------- */

/* Enough values that four threads each get work. */
static void run_threads(const weft_optimiser_spec *spec, int n_threads, int64_t n, weft_real *out)
{
    ck_assert_int_eq(weft_threads_set(n_threads), WEFT_OK);
    weft_params *params = weft_params_new(1);
    weft_param p;
    ck_assert_int_eq(
        weft_params_add(params, "w", 1, &n, (weft_init){ .kind = WEFT_INIT_NORMAL }, &p), WEFT_OK);
    weft_optimiser *optimiser = make(params, spec);
    (void)weft_team_largest();
    for (int64_t t = 1; t <= 3; t++) {
        weft_real *g = weft_params_gradients(params);
        for (int64_t i = 0; i < n; i++)
            g[i] = (weft_real)(weft_random_uniform(2, (uint64_t)i, (uint32_t)t) - 0.5);
        double norm;
        ck_assert_int_eq(weft_optimiser_step(optimiser, params, 0.01, 0.1, &norm), WEFT_OK);
        out[n + t - 1] = (weft_real)norm;
    }
    ck_assert_int_eq(weft_team_largest(), n_threads);
    memcpy(out, weft_params_values(params), (size_t)n * sizeof *out);
    weft_optimiser_free(optimiser);
    weft_params_free(params);
}

START_TEST(test_threads)
{
    const int64_t n = 70001;
    const size_t n_out = (size_t)n + 3;
    weft_real *one = calloc(n_out, sizeof *one), *many = calloc(n_out, sizeof *many);
    weft_optimiser_spec spec = specs[_i];
    spec.clip = 0.5;
    run_threads(&spec, 1, n, one);
    for (int n_threads = 2; n_threads <= 4; n_threads++) {
        run_threads(&spec, n_threads, n, many);
        ck_assert_mem_eq(many, one, n_out * sizeof *one);
    }
    free(one);
    free(many);
}
END_TEST

/* ---- what is refused -------------------------------------------------------------------------- */

static void expect_message(const char *part)
{
    ck_assert_msg(strstr(weft_message(), part) != NULL, "\"%s\" does not say \"%s\"",
                  weft_message(), part);
}

/* A step that must fail with this code and change nothing at all. */
static void expect_refusal(weft_optimiser *optimiser, weft_params *params, double lr, double scale,
                           weft_status code, const char *part)
{
    const size_t bytes = (size_t)weft_params_block_size(params) * sizeof(weft_real);
    weft_real *blocks[4] = { weft_params_values(params), weft_params_gradients(params),
                             weft_optimiser_block(optimiser, 0),
                             weft_optimiser_block(optimiser, 1) };
    void *before[4];
    for (int i = 0; i < 4; i++) {
        before[i] = malloc(bytes);
        memcpy(before[i], blocks[i], bytes);
    }
    const uint64_t version = weft_params_version(params);
    const int64_t n_updates = weft_optimiser_updates(optimiser);
    ck_assert_int_eq(weft_optimiser_step(optimiser, params, lr, scale, NULL), code);
    expect_message(part);
    for (int i = 0; i < 4; i++) {
        ck_assert_mem_eq(blocks[i], before[i], bytes);
        free(before[i]);
    }
    ck_assert_uint_eq(weft_params_version(params), version);
    ck_assert_int_eq(weft_optimiser_updates(optimiser), n_updates);
}

START_TEST(test_refusal)
{
    weft_params *params = make_params();
    weft_optimiser *adam = make(params, &(weft_optimiser_spec){ .clip = 1 });
    draw_gradients(params, 1);
    ck_assert_int_eq(weft_optimiser_step(adam, params, 0.1, 1, NULL), WEFT_OK);
    draw_gradients(params, 2);
    const weft_real good = weft_params_gradient(params, 1).real[4999];

    weft_params_gradient(params, 1).real[4999] = (weft_real)NAN;
    weft_params_gradient(params, 2).real[0] = (weft_real)NAN;
    expect_refusal(adam, params, 0.1, 1, WEFT_ERR_NUMERIC, "gradient of big [5003] is");
    expect_message("element 4999");
    weft_params_gradient(params, 1).real[4999] = good;
    expect_refusal(adam, params, 0.1, 1, WEFT_ERR_NUMERIC, "gradient of last [17] is");
    weft_params_gradient(params, 2).real[0] = (weft_real)-INFINITY;
    double norm = 0;
    ck_assert_int_eq(weft_optimiser_step(adam, params, 0.1, 1, &norm), WEFT_ERR_NUMERIC);
    ck_assert(isinf(norm));
    expect_message("last [17] is -inf at element 0");
    weft_params_gradient(params, 2).real[0] = 1;

    expect_refusal(adam, params, NAN, 1, WEFT_ERR_RANGE, "learning rate nan");
    expect_refusal(adam, params, INFINITY, 1, WEFT_ERR_RANGE, "learning rate inf");
    expect_refusal(adam, params, -1e-9, 1, WEFT_ERR_RANGE, "learning rate -1e-09");
    expect_refusal(adam, params, 0.1, 0, WEFT_ERR_RANGE, "gradient_scale = 0");
    expect_refusal(adam, params, 0.1, NAN, WEFT_ERR_RANGE, "gradient_scale = nan");
    expect_refusal(adam, params, 0.1, INFINITY, WEFT_ERR_RANGE, "gradient_scale = inf");
    if (sizeof(weft_real) == sizeof(float)) { /* finite as a double alone */
        expect_refusal(adam, params, 1e39, 1, WEFT_ERR_RANGE, "learning rate 1e+39");
        expect_refusal(adam, params, 0.1, 1e39, WEFT_ERR_RANGE, "gradient_scale = 1e+39");
        expect_refusal(adam, params, 0.1, 1e-60, WEFT_ERR_RANGE, "gradient_scale = 1e-60");
    }
    ck_assert_int_eq(weft_optimiser_step(adam, params, 0, 1, NULL), WEFT_OK); /* 0 is a rate */
    weft_optimiser_free(adam);

    /* Finite gradients whose squares are not: v would be infinite for ever. */
    const weft_real huge = (weft_real)(sizeof(weft_real) == 4 ? 1e30 : 1e200);
    adam = make(params, &(weft_optimiser_spec){ 0 });
    weft_params_gradient(params, 0).real[0] = huge;
    expect_refusal(adam, params, 0.1, 1, WEFT_ERR_NUMERIC, "too large to be squared");
    weft_optimiser_free(adam);
    weft_params_free(params);
}
END_TEST

START_TEST(test_growth)
{
    weft_params *params = make_params();
    weft_optimiser *adam = make(params, &(weft_optimiser_spec){ 0 });
    weft_param p;
    ck_assert_int_eq(weft_params_add(params, "late", 1, (int64_t[]){ 3 },
                                     (weft_init){ .kind = WEFT_INIT_ONES }, &p),
                     WEFT_OK);
    ck_assert_int_eq(weft_optimiser_step(adam, params, 0.1, 1, NULL), WEFT_ERR_STATE);
    expect_message("make it when all parameters are there");
    ck_assert(weft_params_value(params, p.index).real[0] == 1);
    weft_optimiser_free(adam);
    weft_params_free(params);
}
END_TEST

START_TEST(test_misuse)
{
    weft_params *params = make_params();
    const struct {
        weft_optimiser_spec spec;
        const char *part;
    } cases[] = {
        { { .kind = (weft_optimiser_kind)9 }, "no kind 9" },
        { { .beta1 = 1, .beta2 = 0.9, .eps = 1e-9 }, "beta1 = 1" },
        { { .beta1 = 0.9, .beta2 = -0.1, .eps = 1e-9 }, "beta2 = -0.1" },
        { { .beta1 = 0.9, .beta2 = NAN, .eps = 1e-9 }, "beta2 = nan" },
        { { .beta1 = 0.9, .beta2 = 0.98 }, "eps = 0" },
        { { .beta1 = 0.9, .beta2 = 0.98, .eps = INFINITY }, "eps = inf" },
        { { .momentum = 0.9 }, "belongs to SGD" },
        { { .kind = WEFT_SGD, .momentum = 1 }, "momentum = 1" },
        { { .weight_decay = 0.1 }, "needs AdamW or SGD" },
        { { .kind = WEFT_ADAMW, .weight_decay = -1 }, "weight_decay = -1" },
        { { .kind = WEFT_ADAMW, .weight_decay = NAN }, "weight_decay = nan" },
        { { .clip = -1 }, "clip = -1" },
        { { .clip = INFINITY }, "clip = inf" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ck_assert_ptr_null(weft_optimiser_new(params, &cases[i].spec));
        expect_message(cases[i].part);
    }
    weft_optimiser *adam = make(params, &(weft_optimiser_spec){ 0 });
    ck_assert_int_eq(weft_optimiser_set_updates(adam, -1), WEFT_ERR_RANGE);
    ck_assert_int_eq(weft_optimiser_set_updates(adam, 41), WEFT_OK);
    ck_assert_int_eq(weft_optimiser_updates(adam), 41);
    weft_optimiser_free(adam);
    weft_optimiser_free(NULL);
    weft_params_free(params);
}
END_TEST

/* Every allocation fails once; a step makes none. */
START_TEST(test_memory)
{
    weft_params *params = make_params();
    int n_failed = 0;
    weft_optimiser *adam = NULL;
    for (int i = 1; !adam; i++) {
        weft_alloc_fail_at(i, false);
        adam = weft_optimiser_new(params, &(weft_optimiser_spec){ 0 });
        weft_alloc_fail_at(0, false);
        n_failed += !adam;
    }
    ck_assert_int_eq(n_failed, 4); /* itself, m, v, partial sums */
    const int64_t n_allocations = weft_alloc_count();
    draw_gradients(params, 1);
    ck_assert_int_eq(weft_optimiser_step(adam, params, 0.1, 1, NULL), WEFT_OK);
    ck_assert_int_eq(weft_alloc_count(), n_allocations);
    weft_optimiser_free(adam);
    weft_params_free(params);

    params = weft_params_new(1); /* a model without parameters */
    adam = make(params, &(weft_optimiser_spec){ 0 });
    double norm = 1;
    ck_assert_int_eq(weft_optimiser_step(adam, params, 0.1, 1, &norm), WEFT_OK);
    ck_assert(norm == 0);
    weft_optimiser_free(adam);
    weft_params_free(params);

    const weft_schedule schedule = { .width = 512 };
    weft_alloc_fail_at(1, false);
    ck_assert_ptr_null(weft_schedule_table(&schedule, 10));
    weft_alloc_fail_at(0, false);
}
END_TEST

/* Interrupted after three updates and resumed from the blocks and the counter: the same bits. */
START_TEST(test_resume)
{
    const weft_optimiser_spec *spec = &specs[_i];
    weft_params *whole = make_params(), *resumed = make_params();
    const size_t bytes = (size_t)weft_params_block_size(whole) * sizeof(weft_real);
    weft_optimiser *a = make(whole, spec), *b = make(resumed, spec);
    for (int64_t t = 1; t <= 6; t++) {
        draw_gradients(whole, t);
        ck_assert_int_eq(weft_optimiser_step(a, whole, 0.1, 1, NULL), WEFT_OK);
        if (t < 3) continue;
        if (t > 3) {
            draw_gradients(resumed, t);
            ck_assert_int_eq(weft_optimiser_step(b, resumed, 0.1, 1, NULL), WEFT_OK);
            continue;
        }
        memcpy(weft_params_values(resumed), weft_params_values(whole), bytes);
        for (int i = 0; i < weft_optimiser_n_blocks(a); i++)
            memcpy(weft_optimiser_block(b, i), weft_optimiser_block(a, i), bytes);
        ck_assert_int_eq(weft_optimiser_set_updates(b, weft_optimiser_updates(a)), WEFT_OK);
    }
    ck_assert_mem_eq(weft_params_values(resumed), weft_params_values(whole), bytes);
    weft_optimiser_free(a);
    weft_optimiser_free(b);
    weft_params_free(whole);
    weft_params_free(resumed);
}
END_TEST

/* ---- schedules -------------------------------------------------------------------------------- */

static void expect_rate(const weft_schedule *schedule, int64_t t, double expected)
{
    const double rate = weft_schedule_rate(schedule, t);
    ck_assert_msg(fabs(rate - expected) <= 1e-14 * fabs(expected), "update %lld: %.17g, not %.17g",
                  (long long)t, rate, expected);
}

START_TEST(test_noam)
{
    const weft_schedule paper = { .width = 512 };
    const weft_schedule s = { .lr = 2, .width = 64, .warmup = 100 };
    for (int64_t t = 1; t <= 20000; t += 7) {
        const double x = (double)t;
        expect_rate(&paper, t, pow(512, -0.5) * fmin(pow(x, -0.5), x * pow(4000, -1.5)));
        expect_rate(&s, t, 2 * pow(64, -0.5) * fmin(pow(x, -0.5), x * pow(100, -1.5)));
    }
    ck_assert_double_eq_tol(weft_schedule_rate(&paper, 4000), 6.987712429686843e-4, 1e-17);
    ck_assert(weft_schedule_rate(&s, 100) == 2 / 80.0); /* the peak, and nothing above it */
    ck_assert(weft_schedule_rate(&s, 99) < 2 / 80.0 && weft_schedule_rate(&s, 101) < 2 / 80.0);
    ck_assert(weft_schedule_rate(&s, 400) == 2 / 160.0);
}
END_TEST

START_TEST(test_schedules)
{
    const weft_schedule root = { .kind = WEFT_SCHEDULE_INVERSE_SQRT, .lr = 5e-3, .warmup = 2000 };
    const weft_schedule cosine = { WEFT_SCHEDULE_COSINE, 1e-3, 1e-5, 0, 10, 110 };
    const weft_schedule linear = { WEFT_SCHEDULE_LINEAR, 0.5, 0.25, 0, 0, 4 };
    const weft_schedule constant = { .kind = WEFT_SCHEDULE_CONSTANT, .lr = 0.3, .warmup = 4 };
    for (int64_t t = 1; t <= 300; t++) {
        const double x = (double)t;
        expect_rate(&root, 40 * t, 5e-3 * (t < 50 ? x / 50 : sqrt(50 / x)));
        expect_rate(&constant, t, t < 4 ? 0.3 * x / 4 : 0.3);
        const double down = 1e-5 + (1e-3 - 1e-5) * 0.5 * (1 + cos(acos(-1) * (x - 10) / 100));
        expect_rate(&cosine, t, t <= 10 ? 1e-3 * x / 10 : t < 110 ? down : 1e-5);
    }
    ck_assert(weft_schedule_rate(&root, 2000) == 5e-3 && weft_schedule_rate(&root, 8000) == 2.5e-3);
    ck_assert(weft_schedule_rate(&cosine, 10) == 1e-3 && weft_schedule_rate(&cosine, 110) == 1e-5);
    expect_rate(&cosine, 60, (1e-3 + 1e-5) / 2);
    const double lines[] = { 0.4375, 0.375, 0.3125, 0.25, 0.25 };
    for (int t = 1; t <= 5; t++) ck_assert(weft_schedule_rate(&linear, t) == lines[t - 1]);
    ck_assert(weft_schedule_rate(&linear, INT64_MAX) == 0.25);
}
END_TEST

START_TEST(test_schedule_misuse)
{
    const struct {
        weft_schedule s;
        const char *part;
    } cases[] = {
        { { .kind = (weft_schedule_kind)5, .lr = 1 }, "no kind 5" },
        { { 0 }, "noam: width = 0" },
        { { .lr = -1, .width = 8 }, "noam: lr = -1" },
        { { .lr = NAN, .width = 8 }, "noam: lr = nan" },
        { { .width = 8, .warmup = -3 }, "noam: warmup = -3" },
        { { .kind = WEFT_SCHEDULE_CONSTANT }, "constant: lr = 0" },
        { { .kind = WEFT_SCHEDULE_INVERSE_SQRT, .lr = INFINITY }, "inverse_sqrt: lr = inf" },
        { { .kind = WEFT_SCHEDULE_COSINE, .lr = 1, .lr_end = 2, .n_updates = 9 }, "lr_end = 2" },
        { { .kind = WEFT_SCHEDULE_LINEAR, .lr = 1, .lr_end = -1, .n_updates = 9 }, "lr_end = -1" },
        { { .kind = WEFT_SCHEDULE_LINEAR, .lr = 1, .warmup = 9, .n_updates = 9 }, "above warmup" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ck_assert_int_eq(weft_schedule_check(&cases[i].s), WEFT_ERR_RANGE);
        expect_message(cases[i].part);
        ck_assert(isnan(weft_schedule_rate(&cases[i].s, 1)));
        ck_assert_ptr_null(weft_schedule_table(&cases[i].s, 10));
    }
    const weft_schedule good = { .width = 512 };
    ck_assert_int_eq(weft_schedule_check(&good), WEFT_OK);
    ck_assert(isnan(weft_schedule_rate(&good, 0)));
    ck_assert_ptr_null(weft_schedule_table(&good, 0));
    expect_message("a table of 0 updates");
}
END_TEST

START_TEST(test_table)
{
    char *text = weft_schedule_table(
        &(weft_schedule){ .kind = WEFT_SCHEDULE_CONSTANT, .lr = 0.5, .warmup = 2 }, 4);
    ck_assert_str_eq(text, "              update  constant\n"
                           "                   1  2.500000e-01\n"
                           "                   2  5.000000e-01\n"
                           "                   3  5.000000e-01\n"
                           "                   4  5.000000e-01\n");
    weft_free(text);

    /* 1, the warm-up at 4000 between 3500 and 7000, and 19 more up to the end. */
    const weft_schedule noam = { .width = 512 };
    text = weft_schedule_table(&noam, 70000);
    int n_lines = 0;
    for (const char *c = text; *c; c++) n_lines += *c == '\n';
    ck_assert_int_eq(n_lines, 1 + 1 + 20 + 1);
    ck_assert_ptr_nonnull(strstr(text, "3500  6.114248e-04\n                4000  6.987712e-04\n"
                                       "                7000  5.282214e-04\n"));
    ck_assert_ptr_nonnull(strstr(text, "70000  1.670383e-04\n"));
    weft_free(text);
    text = weft_schedule_table(&noam, INT64_MAX);
    ck_assert_ptr_nonnull(strstr(text, "9223372036854775807  "));
    weft_free(text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("optim");
    TCase *tcase = tcase_create("updates");
    tcase_add_loop_test(tcase, test_textbook, 0, N_SPECS);
    tcase_add_test(tcase, test_defaults);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("operation");
    tcase_add_loop_test(tcase, test_operation, 2, 4); /* an Adam and an AdamW, not clipped */
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("threads");
    tcase_add_loop_test(tcase, test_threads, 0, N_SPECS);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("refusal");
    tcase_add_test(tcase, test_refusal);
    tcase_add_test(tcase, test_growth);
    tcase_add_test(tcase, test_misuse);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("memory");
    tcase_add_test(tcase, test_memory);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("resume");
    tcase_add_loop_test(tcase, test_resume, 0, N_SPECS);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("schedules");
    tcase_add_test(tcase, test_noam);
    tcase_add_test(tcase, test_schedules);
    tcase_add_test(tcase, test_schedule_misuse);
    tcase_add_test(tcase, test_table);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
