/* test_validate.c - what is kept of validation and when it ends a run. */
#include "check_main.h"

#include "temp_dir.h"
#include "train/loop_internal.h"

#include <math.h>

#define OK(call) ck_assert_msg((call) == WEFT_OK, "%s: %s", #call, weft_message())

static void enter(void)
{
    temp_dir_enter();
    ck_assert_int_eq(weft_threads_set(1), WEFT_OK);
}

static weft_config tiny(const char *more)
{
    weft_config config;
    weft_config_init(&config);
    OK(weft_config_parse(&config,
                         "[data]\ntask = copy\ntrain_size = 60\nvalid_size = 10\n"
                         "[model]\nd_model = 16\nffn = 32\nheads = 2\nencoder_layers = 1\n"
                         "decoder_layers = 1\n[train]\nmax_updates = 20\nbatch_tokens = 120\n"
                         "max_decode_length = 22\n[optim]\nlr = 0.003\nschedule = cosine\n"
                         "warmup = 4\n",
                         "tiny"));
    OK(weft_config_parse(&config, more, "more"));
    OK(weft_config_check(&config));
    return config;
}

/* The largest value of a key in a log's validations; with sign -1 the least, and less than 0. */
static double best_score(FILE *log, const char *key, int sign)
{
    char line[512], name[32];
    double best = -INFINITY;
    snprintf(name, sizeof name, "\"%s\": ", key);
    rewind(log);
    while (fgets(line, sizeof line, log))
        if (strncmp(line, "{\"event\": \"validation\", ", 24) == 0)
            best = fmax(best, sign * strtod(strstr(line, name) + strlen(name), NULL));
    return best;
}

/* Each monitor keeps the best by its own score, and patience goes by it: at a rate so small that no
 * translation changes, the loss still falls. */
START_TEST(monitors_go_by_their_score)
{
    static const char *const names[] = { "loss", "bleu", "chrf", "exact" };
    for (int patient = 0; patient < 2; patient++) {
        char more[160];
        snprintf(more, sizeof more, "[train]\nmonitor = %s\nvalidate_every = %d\n%s", names[_i],
                 patient ? 1 : 4,
                 patient ? "patience = 2\nmax_updates = 9\n[optim]\nlr = 1e-5\n" : "");
        const weft_config config = tiny(more);
        weft_trainer *trainer;
        weft_train_end end;
        FILE *log = tmpfile();
        OK(weft_trainer_new(&config, &trainer));
        OK(weft_train(trainer, &(weft_train_run){ .dir = ".", .log = log }, &end));
        const double best = best_score(log, names[_i], _i > 0 ? 1 : -1);
        ck_assert_double_eq_tol(trainer->best[0].score, best, 1e-6);
        ck_assert_int_eq(end, patient && _i > 0 ? WEFT_TRAIN_PATIENCE : WEFT_TRAIN_UPDATES);
        if (patient) ck_assert_int_eq(weft_trainer_updates(trainer), _i > 0 ? 3 : 9);
        fclose(log);
        weft_trainer_free(trainer);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("validate");
    TCase *tc = tcase_create("monitors");
    tcase_add_checked_fixture(tc, enter, temp_dir_leave);
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, monitors_go_by_their_score, 0, 4);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
