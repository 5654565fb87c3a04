/* test_stop.c - a signal while a run validates. */
#include "train_runs.h"

/* A signal that comes while a run validates ends it there: in the midst of the run (7 of 20 updates), or at
 * its end. The validation is made when the run goes on, before what else is due. */
START_TEST(stopped_validation_is_made_anew)
{
    weft_config config = tiny("[train]\nlog_every = 7\ncheckpoint_every = 7\nkeep = 2\n");
    if (_i == 1) config.train.ema = 0.9;
    weft_trainer *trainer = new_trainer(&config);
    ck_assert_int_eq(train_in(trainer, "whole", NULL), WEFT_TRAIN_UPDATES);
    weft_trainer_free(trainer);

    volatile sig_atomic_t stop = 1;
    mkdir("parts", 0777);
    for (int n = 7; n <= 20; n += 13) {
        if (n == 7)
            trainer = new_trainer(&config);
        else
            OK(weft_trainer_resume(&config, "parts/checkpoint.h5", &trainer));
        step(trainer, n - (int)weft_trainer_updates(trainer));
        OK(weft_trainer_save(trainer, "before.h5"));
        OK(weft_trainer_save(trainer, "parts/checkpoint.h5"));
        ck_assert_int_eq(train_in(trainer, "parts", &stop), WEFT_TRAIN_STOPPED);
        ck_assert_int_eq(weft_trainer_updates(trainer), n);
        weft_trainer_free(trainer);
        ck_assert(same_files("before.h5", "parts/checkpoint.h5"));
        OK(weft_trainer_resume(&config, "parts/checkpoint.h5", &trainer));
        ck_assert_int_eq(train_in(trainer, "parts", NULL), WEFT_TRAIN_UPDATES);
        weft_trainer_free(trainer);
        ck_assert(same_files("whole/best.h5", "parts/best.h5"));
        ck_assert(same_files("whole/checkpoint.h5", "parts/checkpoint.h5"));
        ck_assert(same_files("whole/checkpoint-7.h5", "parts/checkpoint-7.h5"));
    }
    remove_run("whole");
    remove_run("parts");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stop");
    TCase *tc = tcase_create("validation");
    tcase_add_checked_fixture(tc, enter, temp_dir_leave);
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, stopped_validation_is_made_anew, 0, 2);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
