/* test_probe.c - the looks at a configuration before training. */
#include "check_main.h"

#include "train/loop_internal.h"
#include "train/probe.h"

#include <math.h>
#include <string.h>

#define OK(call) ck_assert_msg((call) == WEFT_OK, "%s: %s", #call, weft_message())

static weft_config tiny(const char *more)
{
    weft_config config;
    weft_config_init(&config);
    OK(weft_config_parse(&config,
                         "[data]\ntask = copy\ntrain_size = 60\nvalid_size = 10\n"
                         "[model]\nd_model = 32\nffn = 64\nheads = 2\nencoder_layers = 1\n"
                         "decoder_layers = 2\n[train]\nmax_updates = 20\nbatch_tokens = 100\n"
                         "max_decode_length = 22\n[optim]\nschedule = cosine\nlr = 0.01\n"
                         "warmup = 5\n",
                         "tiny"));
    OK(weft_config_parse(&config, more, "more"));
    OK(weft_config_check(&config));
    OK(weft_threads_set(1));
    return config;
}

START_TEST(a_sound_model_passes)
{
    const weft_config config = tiny("[model]\ndropout = 0.5\n[train]\nlabel_smoothing = 0.3\n"
                                    "smoothing = annotated\n");
    weft_sanity s;
    OK(weft_sanity_check(&config, 1000, &s));
    ck_assert_double_eq_tol(s.uniform_loss, log(29), 1e-12);
    ck_assert(s.starts_blind && s.starts_even && s.reaches_all);
    ck_assert_msg(s.learns, "loss %g after %g", s.last_loss, s.first_loss);
    ck_assert(s.last_loss < log(29) / 10 && s.updates < 300); /* it ends once the batch is known */
    static const char *const names[] = { "src_embed", "encoder.layers.0", "decoder.layers.0",
                                         "decoder.layers.1" };
    ck_assert_int_eq(s.n_layers, 4);
    for (int i = 0; i < 4; i++) ck_assert_str_eq(s.layers[i].name, names[i]);
    ck_assert_int_eq(s.layers[0].size, 29 * 32);

    /* The norms, put together, are that of the first update. */
    double sum = 0;
    for (int i = 0; i < 4; i++) sum = hypot(sum, s.layers[i].norm);
    weft_config same = tiny("[model]\ndropout = 0\n[train]\nlabel_smoothing = 0\n");
    weft_trainer *trainer;
    weft_train_step step;
    OK(weft_trainer_new(&same, &trainer));
    OK(weft_trainer_step(trainer, &step));
    ck_assert_double_eq_tol(sum, step.norm, 1e-5 * sum);
    ck_assert_double_eq_tol(s.first_loss, step.loss, 1e-12);
    weft_trainer_free(trainer);
    weft_sanity_free(&s);
    ck_assert_ptr_null(s.layers);
}
END_TEST

/* Small embeddings that nothing scales learn slowly: so long as the loss falls, that is no mistake. */
START_TEST(a_slow_one_is_sound)
{
    const weft_config config =
        tiny("[model]\nembed_scale = false\ninit = normal\nnorm = pre\nfinal_norm = true\n"
             "d_model = 16\n[train]\nbatch_tokens = 500\n[data]\ntrain_size = 2000\n");
    weft_sanity s;
    OK(weft_sanity_check(&config, 3000, &s));
    ck_assert_int_gt(s.updates, WEFT_SANITY_UPDATES);
    ck_assert_int_lt(s.updates, 3000);
    ck_assert_msg(s.starts_even && s.learns, "loss %g", s.last_loss);
    weft_sanity_free(&s);
}
END_TEST

/* Wide and tied, the model begins by saying again what it has read. */
START_TEST(large_logits_at_the_start_are_no_mistake)
{
    const weft_config config = tiny("[model]\nd_model = 256\n");
    weft_sanity s;
    OK(weft_sanity_check(&config, 300, &s));
    ck_assert_msg(s.first_loss > s.uniform_loss + 1, "loss %g", s.first_loss);
    ck_assert(s.starts_blind && !s.starts_even && s.learns);
    weft_sanity_free(&s);
}
END_TEST

START_TEST(an_unsound_one_does_not)
{
    weft_config config = tiny("[model]\nnorm = pre\ntie = none\n");
    weft_sanity s;
    OK(weft_sanity_check(&config, 1, &s)); /* too few updates to learn by heart */
    ck_assert(!s.learns && s.updates == 1);
    weft_sanity_free(&s);
    weft_config narrow = tiny("[model]\nd_model = 2\nffn = 2\n");
    OK(weft_sanity_check(&narrow, 3000, &s)); /* it holds no batch, and the loss stops falling */
    ck_assert(!s.learns && s.starts_even && s.reaches_all);
    ck_assert_msg(s.updates < 3000, "loss %g after %lld", s.last_loss, (long long)s.updates);
    weft_sanity_free(&s);
    ck_assert_int_eq(weft_sanity_check(&config, 0, &s), WEFT_ERR_RANGE);
    config.data.train_size = 0; /* nothing to train on */
    ck_assert_int_ne(weft_sanity_check(&config, 1, &s), WEFT_OK);
    ck_assert_ptr_null(s.layers);
}
END_TEST

START_TEST(rates_grow_until_the_loss_does)
{
    const weft_config config = tiny("[model]\ndropout = 0\n");
    enum { N = 120 };
    weft_rate_point points[N];
    int64_t n;
    OK(weft_rate_range(&config, N, 1e-5, 100, points, &n));
    ck_assert_int_gt(n, 40);
    ck_assert_double_eq(points[0].lr, 1e-5);
    for (int64_t i = 1; i < n; i++)
        ck_assert_double_eq_tol(points[i].lr / points[i - 1].lr, pow(1e7, 1.0 / (N - 1)), 1e-9);
    const weft_rate_advice found = weft_rate_advise(points, n);
    ck_assert_msg(found.steepest > 1e-4 && found.steepest < 1, "steepest at %g", found.steepest);
    ck_assert(found.from <= found.to && found.steepest < found.least);
    ck_assert_int_eq(weft_rate_range(&config, 1, 1e-5, 1, points, &n), WEFT_ERR_RANGE);
    ck_assert_int_eq(weft_rate_range(&config, 9, 1, 1, points, &n), WEFT_ERR_RANGE);
    ck_assert_int_eq(weft_rate_range(&config, 9, 0, 1, points, &n), WEFT_ERR_RANGE);
    ck_assert_int_eq(n, 0);
}
END_TEST

static void advises(const weft_rate_point points[], int64_t n, double steepest, double least,
                    double from, double to)
{
    const weft_rate_advice found = weft_rate_advise(points, n);
    ck_assert_double_eq(found.steepest, steepest);
    ck_assert_double_eq(found.least, least);
    ck_assert_double_eq(found.from, from);
    ck_assert_double_eq(found.to, to);
}

START_TEST(advice_is_an_interval)
{
    /* From 5 to 3 by a factor of 4; a tenth of the best rate is less. */
    static const weft_rate_point early[] = {
        { 1, 5 }, { 2, 4.9 }, { 4, 3 }, { 8, 3.5 }, { 16, 6 }
    };
    advises(early, 5, 2, 4, 0.4, 2);
    advises(early, 0, 0, 0, 0, 0);
    advises(early, 1, 0, 0, 0, 0);
    /* The loss falls on slowly after its fastest fall. */
    static const weft_rate_point late[] = { { 1, 5 }, { 10, 3 }, { 100, 2 }, { 1000, 1.5 } };
    advises(late, 4, 10, 1000, 10, 100);
    /* A fall from a peak says nothing. */
    static const weft_rate_point peak[] = { { 1, 5 },  { 2, 4.5 }, { 4, 4 },
                                            { 8, 15 }, { 16, 15 }, { 32, 5 } };
    advises(peak, 6, 2, 4, 0.4, 2);
    static const weft_rate_point rise[] = { { 1, 5 }, { 2, 5 }, { 4, 6 }, { 8, 5.5 } };
    advises(rise, 4, 0, 0, 0, 0);
}
END_TEST

START_TEST(memory_runs_out)
{
    const weft_config config = tiny("[data]\ntrain_size = 20\nvalid_size = 2\n");
    weft_status status = WEFT_ERR_MEMORY;
    weft_sanity s;
    for (int64_t n = 1; status != WEFT_OK; n += 7) {
        weft_alloc_fail_at(n, false);
        status = weft_sanity_check(&config, 1, &s);
        weft_alloc_fail_at(0, false);
        ck_assert_msg(status == WEFT_OK || (status == WEFT_ERR_MEMORY && !s.layers), "%s",
                      weft_message());
    }
    weft_sanity_free(&s);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("probe");
    TCase *tc = tcase_create("sanity");
    tcase_add_test(tc, a_sound_model_passes);
    tcase_add_test(tc, a_slow_one_is_sound);
    tcase_add_test(tc, large_logits_at_the_start_are_no_mistake);
    tcase_add_test(tc, an_unsound_one_does_not);
    tcase_add_test(tc, memory_runs_out);
    suite_add_tcase(suite, tc);
    tc = tcase_create("rates");
    tcase_add_test(tc, rates_grow_until_the_loss_does);
    tcase_add_test(tc, advice_is_an_interval);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
