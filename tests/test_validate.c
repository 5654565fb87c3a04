/* test_validate.c - what validation translates with, what is kept of it and when it ends a run. */
#include "train_runs.h"

#include <math.h>

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
        weft_trainer *trainer = new_trainer(&config);
        weft_train_end end;
        FILE *log = tmpfile();
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

/* A beam in the loop: its translations are no worse by their own score; BLEU decides what is best. */
START_TEST(beam_in_validation)
{
    const weft_config config = tiny("[train]\nbeam = 4\nmonitor = bleu\n");
    weft_trainer *trainer = new_trainer(&config);
    weft_validation result;
    ck_assert_int_eq(train_in(trainer, ".", NULL), WEFT_TRAIN_UPDATES);
    OK(weft_trainer_validate(trainer, &result));
    ck_assert_int_eq(result.sentences, 10);
    ck_assert_double_ge(result.chrf, 0);
    ck_assert_double_ge(trainer->best[0].score, result.bleu);
    weft_trainer_free(trainer);
}
END_TEST

static void join(const char *source, const char *reference, const char *hypothesis, void *user)
{
    (void)source, (void)reference;
    char *const all = user;
    snprintf(all + strlen(all), 1024 - strlen(all), "%s\n", hypothesis);
}

/* Validation says what weft_decode says with the penalty that the keys name. */
START_TEST(penalties_in_validation)
{
    static const struct {
        const char *keys;
        weft_length_penalty penalty;
        double alpha;
    } cases[] = { { "", WEFT_PENALTY_GNMT, 0.6 },
                  { "length_penalty = 3\n", WEFT_PENALTY_GNMT, 3 },
                  { "penalty = power\n", WEFT_PENALTY_POWER, 1 },
                  { "penalty = word\n", WEFT_PENALTY_WORD, 0 },
                  { "penalty = word\nlength_penalty = -3\n", WEFT_PENALTY_WORD, -3 } };
    enum { N_CASES = sizeof cases / sizeof *cases };
    char said[N_CASES][1024] = { "" };
    const weft_config config = tiny("[train]\nbeam = 4\n");
    weft_trainer *trainer = new_trainer(&config);
    step(trainer, 20);
    const weft_translator translator = { &trainer->model->transformer, trainer->valid_tape };
    for (int i = 0; i < N_CASES; i++) {
        char more[64], wanted[1024] = "";
        weft_validation result;
        weft_hypotheses h = { 0 };
        snprintf(more, sizeof more, "[train]\nbeam = 4\n%s", cases[i].keys);
        trainer->model->config = tiny(more);
        OK(weft_trainer_validate_each(trainer, NULL, join, said[i], &result));
        const weft_decode_spec spec = {
            .beam = 4, .penalty = cases[i].penalty, .alpha = cases[i].alpha, .max_length = 22
        };
        OK(weft_decode_corpus(&translator, 1, trainer->sample, 120, &spec, &h));
        for (int64_t b = 0; b < h.B; b++) {
            char *text;
            OK(weft_vocab_decode(trainer->model->target_vocab, h.ids + h.offsets[b],
                                 h.offsets[b + 1] - h.offsets[b], &text));
            join(NULL, NULL, text, wanted);
            weft_free(text);
        }
        weft_hypotheses_free(&h);
        ck_assert_str_eq(said[i], wanted);
    }
    ck_assert_str_ne(said[0], said[1]);
    ck_assert_str_ne(said[0], said[2]);
    ck_assert_str_ne(said[3], said[4]);
    weft_trainer_free(trainer);
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
    tc = tcase_create("beam");
    tcase_add_checked_fixture(tc, enter, temp_dir_leave);
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, beam_in_validation);
    tcase_add_test(tc, penalties_in_validation);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
