/* test_train.c - the training loop: it learns, goes on bit for bit, and fails in words. */
#include "check_main.h"

#include "data/tasks.h"
#include "train/average.h"
#include "train_runs.h"

#include <math.h>
#include <sys/resource.h>
#include <tgmath.h>

static bool exists(const char *path)
{
    struct stat about;
    return stat(path, &about) == 0;
}

/* ---- learning ----------------------------------------------------------------------------------- */

START_TEST(loss_falls)
{
    const weft_config config =
        tiny("[data]\ntrain_size = 2000\n[model]\nd_model = 32\ndropout = 0\n"
             "attention_dropout = 0\nactivation_dropout = 0\n"
             "[train]\nmax_updates = 150\nbatch_tokens = 300\n"
             "label_smoothing = 0\n[optim]\nlr = 0.005\nwarmup = 20\n");
    weft_trainer *trainer = new_trainer(&config);
    weft_validation before, after;
    OK(weft_trainer_validate(trainer, &before));
    const double first = step(trainer, 1);
    const double last = step(trainer, 149);
    OK(weft_trainer_validate(trainer, &after));
    /* Letters alone, without looking at the source, would give log 26 = 3.26 at best. */
    ck_assert_double_gt(first, 3.2);
    ck_assert_msg(last < 3, "the loss after 150 updates is %g", last);
    ck_assert_msg(after.loss < 3, "the validation loss after 150 updates is %g", after.loss);
    ck_assert_double_gt(before.loss, after.loss);
    ck_assert_int_eq(after.sentences, 10);
    weft_trainer_free(trainer);
}
END_TEST

/* Text of which every sentence is learnt by heart is translated without fault. */
START_TEST(learns_by_heart)
{
    FILE *file = fopen("pairs.tsv", "w");
    fputs("a b c\tx y\nb c\tz\nc a b\ty y x\na a\tx z\n", file);
    fclose(file);
    const weft_config config =
        tiny("[data]\ntask =\ntrain = pairs.tsv\nvalid = pairs.tsv\n[model]\ndropout = 0\n"
             "attention_dropout = 0\nactivation_dropout = 0\n[train]\nlabel_smoothing = 0\n"
             "max_updates = 300\nvalidate_every = 25\ntarget_exact = 100\n[optim]\nlr = 0.01\n"
             "schedule = constant\n");
    weft_trainer *trainer = new_trainer(&config);
    ck_assert_int_eq(train_in(trainer, "run", NULL), WEFT_TRAIN_TARGET);
    weft_validation result;
    OK(weft_trainer_validate(trainer, &result));
    ck_assert_int_eq(result.sentences, 4);
    ck_assert_int_eq(result.n_exact, 4);
    weft_trainer_free(trainer);

    weft_model *model;
    OK(weft_model_load("run", &model));
    ck_assert_str_eq(model->config.data.train, "");
    ck_assert_int_eq(weft_vocab_size(model->target_vocab), 3 + 6);
    weft_model_free(model);
    remove_run("run");
}
END_TEST

/* The same with plain text, pieces of words, characters spelt in bytes, and cuts that change: what
 * comes out is plain text again. References may write a letter as two characters, or two spaces. */
START_TEST(learns_plain_text_by_heart)
{
    FILE *file = fopen("pairs.tsv", "w");
    fputs("A dog sleeps.\tEin Hund schla\xCC\x88"
          "ft.\n"
          "\"Two dogs\", he said!\t\xE2\x80\x9EZwei Hunde\xE2\x80\x9C, sagte er!\n"
          "It's 3.50 (net)\tEs sind  3,50 (netto) \n"
          "\xE6\x97\xA5\tTag: \xE6\x97\xA5@@\n",
          file);
    fclose(file);
    const weft_config config =
        tiny("[data]\ntask =\ntrain = pairs.tsv\nvalid = pairs.tsv\nvocab = bpe\nmerges = 30\n"
             "max_vocab = 310\ntokenise = punct\nbpe_dropout = 0.1\n[model]\ndropout = 0\n"
             "attention_dropout = 0\nactivation_dropout = 0\nd_model = 32\n[train]\n"
             "label_smoothing = 0\nbatch_tokens = 300\nmax_decode_length = 60\n"
             "max_updates = 600\nvalidate_every = 50\ntarget_exact = 100\n[optim]\nlr = 0.01\n"
             "schedule = constant\n");
    weft_trainer *trainer = new_trainer(&config);
    ck_assert_int_eq(train_in(trainer, "run", NULL), WEFT_TRAIN_TARGET);
    weft_trainer_free(trainer);
    remove_run("run");
}
END_TEST

START_TEST(running_text)
{
    FILE *file = fopen("text", "w");
    for (int i = 0; i < 40; i++) fputs("to be or not to be, that is the question\n", file);
    fclose(file);
    const weft_config config =
        tiny("[data]\ntask =\ntrain = text\nvalid = text\nvocab = char\nmax_length = 32\n"
             "[model]\nkind = decoder-only\ndropout = 0\nattention_dropout = 0\n"
             "activation_dropout = 0\n[train]\nlabel_smoothing = 0\nmax_updates = 150\n"
             "[optim]\nlr = 0.01\n");
    weft_trainer *trainer = new_trainer(&config);
    const double first = step(trainer, 1), last = step(trainer, 149);
    ck_assert_double_gt(first, 2);
    ck_assert_msg(last < 0.8, "the loss after 150 updates is %g", last);
    weft_validation result;
    OK(weft_trainer_validate(trainer, &result));
    ck_assert_double_lt(result.loss, 0.8);
    ck_assert_int_eq(result.sentences, 0);
    weft_trainer_free(trainer);
}
END_TEST

/* Each kind has a loss of its own, and a checkpoint says which it was. */
START_TEST(smoothing_by_name)
{
    static const char *const kinds[] = { "uniform", "others", "annotated" };
    double losses[3];
    for (int i = 0; i < 3; i++) {
        char more[96];
        snprintf(more, sizeof more, "[train]\nlabel_smoothing = 0.4\nsmoothing = %s\n", kinds[i]);
        const weft_config config = tiny(more);
        weft_trainer *trainer = new_trainer(&config);
        weft_model *model;
        losses[i] = step(trainer, 1);
        OK(weft_trainer_save(trainer, "x.h5"));
        OK(weft_model_load("x.h5", &model));
        ck_assert_int_eq(model->transformer.config.loss.kind, i);
        ck_assert_int_eq(model->transformer.config.loss.never, WEFT_BOS);
        weft_model_free(model);
        weft_trainer_free(trainer);
    }
    ck_assert(losses[0] != losses[1] && losses[0] != losses[2] && losses[1] != losses[2]);
}
END_TEST

/* ---- the same bits ------------------------------------------------------------------------------ */

/* What changes from epoch to epoch: the cuts of words. */
static const char pieces[] = "[data]\ntask = phrases\nvocab = bpe\nmerges = 80\nbpe_dropout = 0.2\n"
                             "max_ratio = 3\n";

/* What is drawn anew every few updates. */
#define DRAWN "[model]\nattention_dropout = 0\nredraw = 3\nattention = "

/* Interrupted after any number of updates, across the end of an epoch too. */
START_TEST(resumed_equals_uninterrupted)
{
    static const char *const drawn[] = { DRAWN "lsh\nlsh_chunk = 4\n",
                                         DRAWN "performer\nfeatures = 8\n",
                                         DRAWN "probsparse_causal\nprobsparse_factor = 1\n" };
    weft_config config = tiny(_i == 0 ? NULL : _i == 1 ? pieces : drawn[_i - 2]);
    if (_i == 1) config.data.train_size = 40;
    weft_trainer *trainer = new_trainer(&config);
    const int64_t per_epoch = weft_batches_count(trainer->batches);
    ck_assert_int_gt(per_epoch, 3);
    ck_assert_int_lt(per_epoch, 18);
    step(trainer, 20);
    OK(weft_trainer_save(trainer, "whole.h5"));
    weft_trainer_free(trainer);
    const int at[] = { 0, 1, 4, (int)per_epoch, (int)per_epoch + 1, 19 };
    for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
        trainer = new_trainer(&config);
        step(trainer, at[i]);
        OK(weft_trainer_save(trainer, "part.h5"));
        weft_trainer_free(trainer);
        OK(weft_trainer_resume(&config, "part.h5", &trainer));
        ck_assert_int_eq(weft_trainer_updates(trainer), at[i]);
        OK(weft_trainer_save(trainer, "again.h5"));
        ck_assert(same_files("part.h5", "again.h5"));
        step(trainer, 20 - at[i]);
        OK(weft_trainer_save(trainer, "part.h5"));
        ck_assert_msg(same_files("whole.h5", "part.h5"), "interrupted after %d updates", at[i]);
        weft_trainer_free(trainer);
    }
}
END_TEST

/* Whole runs with validations: stopped at once, ended after 8 updates, gone on with to the 20th. */
START_TEST(stopped_run_goes_on)
{
    weft_config config = tiny("[optim]\nschedule = constant\n");
    if (_i == 1) config.train.ema = 0.9;
    if (_i == 1) config.train.keep_best = 3;
    weft_config eight = config;
    eight.train.max_updates = 8;
    weft_trainer *trainer = new_trainer(&config);
    ck_assert_int_eq(train_in(trainer, "whole", NULL), WEFT_TRAIN_UPDATES);
    weft_trainer_free(trainer);

    volatile sig_atomic_t stop = 1;
    trainer = new_trainer(&config);
    ck_assert_int_eq(train_in(trainer, "parts", &stop), WEFT_TRAIN_STOPPED);
    weft_trainer_free(trainer);
    const struct {
        const weft_config *config;
        int64_t from, to;
    } parts[] = { { &eight, 0, 8 }, { &eight, 8, 8 }, { &config, 8, 20 } };
    for (int i = 0; i < 3; i++) {
        OK(weft_trainer_resume(parts[i].config, "parts/checkpoint.h5", &trainer));
        ck_assert_int_eq(weft_trainer_updates(trainer), parts[i].from);
        ck_assert_int_eq(train_in(trainer, "parts", NULL), WEFT_TRAIN_UPDATES);
        ck_assert_int_eq(weft_trainer_updates(trainer), parts[i].to);
        weft_trainer_free(trainer);
    }
    ck_assert(same_files("whole/best.h5", "parts/best.h5"));
    if (_i == 1) ck_assert(same_files("whole/best-14.h5", "parts/best-14.h5"));
    ck_assert(same_files("whole/checkpoint.h5", "parts/checkpoint.h5"));
    remove_run("whole");
    remove_run("parts");
}
END_TEST

/* A run whose last validation reached the target has ended, also for one that was killed just then or
 * stopped by a signal: it goes on to no further update. */
START_TEST(reached_target_stays_reached)
{
    const weft_config config = tiny("[train]\ntarget_exact = 90\n");
    weft_trainer *trainer = new_trainer(&config);
    step(trainer, 7);
    trainer->validated = 7;
    trainer->n_sentences = 10;
    trainer->n_exact = 9;
    mkdir("killed", 0777);
    OK(weft_trainer_save(trainer, "killed/checkpoint.h5"));
    OK(weft_trainer_save(trainer, "before.h5"));
    weft_trainer_free(trainer);
    for (volatile sig_atomic_t stop = 0; stop < 2; stop++) {
        OK(weft_trainer_resume(&config, "killed/checkpoint.h5", &trainer));
        ck_assert_int_eq(train_in(trainer, "killed", &stop), WEFT_TRAIN_TARGET);
        ck_assert_int_eq(weft_trainer_updates(trainer), 7);
        weft_trainer_free(trainer);
        ck_assert(same_files("before.h5", "killed/checkpoint.h5"));
    }
    remove_run("killed");
}
END_TEST

/* What a killed run left beside any of its files. */
START_TEST(orphans_are_removed)
{
    static const char *const names[] = { "run/checkpoint.h5.tmp.2147483646.0",
                                         "run/checkpoint-5.h5.tmp.2147483646.0",
                                         "run/config.ini.tmp.2147483646.12" };
    const weft_config config = tiny("[train]\nmax_updates = 5\n");
    weft_trainer *trainer = new_trainer(&config);
    mkdir("run", 0777);
    for (size_t i = 0; i < 3; i++) fclose(fopen(names[i], "w"));
    train_in(trainer, "run", NULL);
    for (size_t i = 0; i < 3; i++) ck_assert_msg(!exists(names[i]), "%s", names[i]);
    weft_trainer_free(trainer);
    remove_run("run");
}
END_TEST

START_TEST(any_number_of_threads)
{
    const weft_config config = tiny("[train]\naccumulate = 2\n");
    char path[32];
    weft_team_work(1); /* share every loop that can be shared */
    for (int n = 1; n <= 3; n++) {
        OK(weft_threads_set(n));
        weft_team_largest();
        weft_trainer *trainer = new_trainer(&config);
        step(trainer, 5);
        snprintf(path, sizeof path, "threads%d.h5", n);
        OK(weft_trainer_save(trainer, path));
        weft_trainer_free(trainer);
        ck_assert_int_eq(weft_team_largest(), n);
        ck_assert(same_files("threads1.h5", path));
    }
}
END_TEST

/* ---- accumulation ------------------------------------------------------------------------------- */

/* Four parts of a batch, with dropout, give its gradient. */
START_TEST(parts_equal_batch)
{
    const weft_config config = tiny("[train]\nbatch_tokens = 400\n");
    weft_trainer *trainer = new_trainer(&config);
    weft_params *params = trainer->model->params;
    const size_t n = (size_t)weft_params_block_size(params);
    weft_real *whole = malloc(n * sizeof *whole);
    weft_batch batch, part;
    double loss, sum = 0, largest = 0, worst = 0;
    step(trainer, 2);
    weft_prefetch_next(trainer->prefetch, &batch);
    ck_assert_int_gt(batch.target.B, 8);
    OK(weft_trainer_gradient(trainer, &batch, &loss));
    memcpy(whole, weft_params_gradients(params), n * sizeof *whole);
    weft_params_zero_gradients(params);
    for (int j = 0; j < 4; j++) {
        double loss_j;
        OK(weft_batches_part(trainer->batches, &batch, 4, j, &part));
        ck_assert_int_gt(part.target.B, 0);
        ck_assert_int_lt(part.target.B, batch.target.B);
        OK(weft_trainer_gradient(trainer, &part, &loss_j));
        sum += loss_j;
    }
    for (size_t i = 0; i < n; i++) {
        largest = fmax(largest, fabs((double)whole[i]));
        worst = fmax(worst, fabs((double)(whole[i] - weft_params_gradients(params)[i])));
    }
    const double tolerance = sizeof(weft_real) == 8 ? 1e-12 : 2e-5;
    ck_assert_double_gt(largest, 0.1);
    ck_assert_msg(worst <= tolerance * largest, "worst difference %g of %g", worst, largest);
    ck_assert_double_le(fabs(sum - loss), tolerance * loss);
    free(whole);
    weft_trainer_free(trainer);
}
END_TEST

/* An update over three batches: their gradients summed, divided by all their tokens. */
START_TEST(accumulates)
{
    const weft_config config = tiny("[train]\naccumulate = 3\n");
    weft_trainer *trainer = new_trainer(&config), *by_hand = new_trainer(&config);
    weft_train_step s;
    OK(weft_trainer_step(trainer, &s));
    int64_t tokens = 0;
    double lr, norm, loss, sum = 0;
    for (int i = 0; i < 3; i++) {
        weft_batch batch;
        weft_prefetch_next(by_hand->prefetch, &batch);
        OK(weft_trainer_gradient(by_hand, &batch, &loss));
        tokens += batch.target.N;
        sum += loss;
    }
    OK(weft_trainer_apply(by_hand, tokens, &lr, &norm));
    ck_assert_int_eq(s.tokens, tokens);
    ck_assert_double_eq(s.loss, sum / (double)tokens);
    ck_assert_double_eq(s.norm, norm);
    OK(weft_trainer_save(trainer, "a.h5"));
    OK(weft_trainer_save(by_hand, "b.h5"));
    ck_assert(same_files("a.h5", "b.h5"));
    weft_trainer_free(trainer);
    weft_trainer_free(by_hand);
}
END_TEST

/* ---- memory ------------------------------------------------------------------------------------- */

static long page_faults(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_minflt;
}

/* Nothing is allocated and no page is met for the first time after the first steps, whatever batches
 * later epochs bring. */
START_TEST(steady_state)
{
    weft_config config = tiny(_i == 0 ? NULL : pieces);
    if (_i == 1) config.data.train_size = 40;
    weft_trainer *trainer = new_trainer(&config);
    step(trainer, 2);
    const int64_t n_allocations = weft_alloc_count();
    const long n_faults = page_faults();
    step(trainer, 1000);
    ck_assert_int_eq(weft_alloc_count(), n_allocations);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    ck_assert_int_le(page_faults() - n_faults, 2); /* the kernel may take a page away */
#endif
    (void)n_faults;
    weft_trainer_free(trainer);
}
END_TEST

/* Memory was set aside for every batch of every epoch: of sentences, of changing cuts, of windows. */
START_TEST(reserve_holds_all_batches)
{
    FILE *file = fopen("text", "w");
    for (int i = 0; i < 60; i++) fprintf(file, "%.*s\n", i % 17 + 2, "to be or not to be, it is");
    fclose(file);
    static const char *const kinds[] = {
        NULL, pieces,
        "[data]\ntask =\ntrain = text\nvalid = text\nvocab = char\nmax_length = 32\n"
        "[model]\nkind = decoder-only\n",
        "[model]\nposition = shaw\nmax_distance = 400\n" /* beyond any text */
    };
    const weft_config config = tiny(kinds[_i]);
    weft_trainer *trainer = new_trainer(&config);
    weft_tape *plan = weft_tape_new(WEFT_DRY);
    int64_t epoch = 0, index;
    size_t most = 0;
    while (epoch < 20) {
        weft_batch batch;
        weft_prefetch_next(trainer->prefetch, &batch);
        weft_tape_reset(plan);
        const weft_var y = weft_transformer_loss(&trainer->model->transformer, plan, &batch, NULL);
        OK(weft_backward(plan, y, NULL));
        if (weft_tape_peak_bytes(plan) > most) most = weft_tape_peak_bytes(plan);
        weft_prefetch_position(trainer->prefetch, &epoch, &index);
    }
    ck_assert_msg(most <= trainer->reserved_bytes, "%zu bytes of %zu", most,
                  trainer->reserved_bytes);
    ck_assert_uint_gt(most, trainer->reserved_bytes / 2);
    weft_tape_free(plan);
    weft_trainer_free(trainer);
}
END_TEST

/* The plan made without computing is what the step then takes. */
START_TEST(plan_equals_peak)
{
    const weft_config config = tiny(NULL);
    weft_trainer *trainer = new_trainer(&config);
    weft_batch batch;
    double loss;
    weft_batches_largest(trainer->batches, &batch);
    weft_tape *plan = weft_tape_new(WEFT_DRY);
    const weft_var y = weft_transformer_loss(&trainer->model->transformer, plan, &batch, NULL);
    OK(weft_backward(plan, y, NULL));
    OK(weft_trainer_gradient(trainer, &batch, &loss));
    ck_assert_uint_gt(weft_tape_peak_bytes(plan), 0);
    ck_assert_uint_eq(weft_tape_peak_bytes(plan), weft_tape_peak_bytes(trainer->tape));
    weft_tape_free(plan);
    weft_trainer_free(trainer);
}
END_TEST

START_TEST(out_of_memory)
{
    weft_config config = tiny(_i == 0 ? NULL : pieces);
    config.data.train_size = 8;
    config.data.valid_size = 3;
    weft_status status = WEFT_ERR_MEMORY;
    int n_failed = 0;
    for (int64_t n = 1; status != WEFT_OK; n += 1 + n / 8) {
        weft_trainer *trainer;
        weft_alloc_fail_at(n, true);
        status = weft_trainer_new(&config, &trainer);
        if (status == WEFT_OK) {
            weft_validation result;
            status = weft_trainer_validate(trainer, &result);
            if (status == WEFT_OK) status = weft_trainer_save(trainer, "x.h5");
        }
        weft_alloc_fail_at(0, false);
        weft_trainer_free(trainer);
        if (status == WEFT_OK) break;
        n_failed++;
        ck_assert_msg(status == WEFT_ERR_MEMORY, "allocation %lld: %s", (long long)n,
                      weft_message());
    }
    ck_assert_int_gt(n_failed, 20);
}
END_TEST

/* ---- ends and errors ---------------------------------------------------------------------------- */

START_TEST(ends)
{
    const weft_config patient =
        tiny("[train]\nmax_updates = 20\nvalidate_every = 1\npatience = 2\n[optim]\nlr = 1e-30\n");
    weft_trainer *trainer = new_trainer(&patient);
    ck_assert_int_eq(train_in(trainer, "run", NULL), WEFT_TRAIN_PATIENCE);
    ck_assert_int_lt(weft_trainer_updates(trainer), 6);
    weft_trainer_free(trainer);
    remove_run("run");

    const weft_config timed = tiny("[train]\nmax_updates = 0\nmax_minutes = 0.005\n[optim]\n"
                                   "schedule = constant\n");
    trainer = new_trainer(&timed);
    ck_assert_int_eq(train_in(trainer, "run", NULL), WEFT_TRAIN_TIME);
    ck_assert_int_gt(weft_trainer_updates(trainer), 0);
    weft_trainer_free(trainer);
    ck_assert(exists("run/checkpoint.h5") && exists("run/best.h5"));
    remove("run/checkpoint.h5");
    remove("run/best.h5");
    for (int i = 5; i < 100000 && rmdir("run") != 0; i += 5) ck_assert_int_lt(i, 99000);
}
END_TEST

/* Of five validations with a falling loss the last three are the best; by exact match, where all are
 * alike, the first three. */
START_TEST(keeps_the_best)
{
    for (int exact = 0; exact < 2; exact++) {
        const weft_config config =
            tiny(exact ? "[train]\nkeep_best = 3\nvalidate_every = 1\nmax_updates = 5\n"
                         "monitor = exact\n[optim]\nlr = 1e-30\n"
                       : "[train]\nkeep_best = 3\nvalidate_every = 4\n");
        weft_trainer *trainer = new_trainer(&config);
        ck_assert_int_eq(train_in(trainer, "run", NULL), WEFT_TRAIN_UPDATES);
        const int64_t every = exact ? 1 : 4, first = exact ? 1 : 3;
        ck_assert_int_eq(trainer->n_best, 3);
        for (int64_t i = 1; i <= 5; i++) {
            char path[32];
            snprintf(path, sizeof path, "run/best-%d.h5", (int)(i * every));
            ck_assert_int_eq(exists(path), i >= first && i < first + 3);
            remove(path);
        }
        for (int i = 1; i < 3; i++)
            ck_assert_double_ge(trainer->best[i - 1].score, trainer->best[i].score);
        weft_trainer_free(trainer);
        remove_run("run");
    }
}
END_TEST

/* The average, its place in the files and what is validated. */
START_TEST(running_average)
{
    const weft_config config = tiny("[train]\nema = 0.7\nvalidate_every = 20\n");
    weft_trainer *trainer = new_trainer(&config);
    weft_params *const params = trainer->model->params;
    const size_t n = (size_t)weft_params_block_size(params);
    weft_real *const mean = malloc(n * sizeof *mean);
    memcpy(mean, weft_params_values(params), n * sizeof *mean);
    for (int t = 1; t <= 6; t++) {
        step(trainer, 1);
        const double decay = fmin(0.7, (1.0 + t) / (10.0 + t));
        for (size_t i = 0; i < n; i++)
            mean[i] += (weft_real)(1 - decay) * (weft_params_values(params)[i] - mean[i]);
        ck_assert_mem_eq(mean, trainer->ema, n * sizeof *mean);
    }
    weft_validation of_mean, of_params;
    OK(weft_trainer_validate(trainer, &of_mean));
    ck_assert_mem_eq(mean, trainer->ema, n * sizeof *mean);
    weft_trainer_exchange(trainer);
    ck_assert_mem_eq(mean, weft_params_values(params), n * sizeof *mean);
    OK(weft_trainer_validate(trainer, &of_params));
    ck_assert_double_ne(of_mean.loss, of_params.loss);
    weft_trainer_free(trainer);

    trainer = new_trainer(&config);
    ck_assert_int_eq(train_in(trainer, "run", NULL), WEFT_TRAIN_UPDATES);
    weft_model *model;
    OK(weft_average(1, (const char *const[]){ "run/checkpoint.h5" }, "mean.h5"));
    static const char *const validated[] = { "run/best.h5", "run/checkpoint.h5", "mean.h5" };
    for (int i = 0; i < 3; i++) {
        OK(weft_model_load(validated[i], &model));
        ck_assert_mem_eq(weft_params_values(model->params), trainer->ema, n * sizeof *mean);
        weft_model_free(model);
    }
    weft_trainer *resumed;
    OK(weft_trainer_resume(&config, "run/checkpoint.h5", &resumed));
    ck_assert_mem_eq(resumed->ema, trainer->ema, n * sizeof *mean);
    ck_assert_mem_eq(weft_params_values(resumed->model->params),
                     weft_params_values(trainer->model->params), n * sizeof *mean);
    ck_assert_mem_ne(weft_params_values(trainer->model->params), trainer->ema, n * sizeof *mean);
    weft_trainer_free(resumed);
    weft_trainer_free(trainer);
    remove("mean.h5");
    weft_config other = config;
    other.train.ema = 0.8;
    ck_assert_int_eq(weft_trainer_resume(&other, "run/checkpoint.h5", &trainer), WEFT_ERR_INPUT);
    free(mean);
    remove_run("run");
}
END_TEST

START_TEST(average_of_checkpoints)
{
    const weft_config config = tiny("[train]\nkeep = 4\n");
    weft_trainer *trainer = new_trainer(&config);
    ck_assert_int_eq(train_in(trainer, "run", NULL), WEFT_TRAIN_UPDATES);
    weft_trainer_free(trainer);
    const char *const paths[] = { "run/checkpoint-5.h5", "run/checkpoint-10.h5",
                                  "run/checkpoint-20.h5" };
    OK(weft_average(3, paths, "mean.h5"));
    weft_model *model[3], *mean;
    for (int i = 0; i < 3; i++) OK(weft_model_load(paths[i], &model[i]));
    OK(weft_model_load("mean.h5", &mean));
    for (int64_t i = 0; i < weft_params_block_size(mean->params); i++) {
        double sum = 0;
        for (int k = 0; k < 3; k++) sum += (double)weft_params_values(model[k]->params)[i];
        ck_assert_double_eq((double)weft_params_values(mean->params)[i],
                            (double)(weft_real)(sum / 3));
    }
    for (int i = 0; i < 3; i++) weft_model_free(model[i]);
    weft_model_free(mean);
    OK(weft_average(1, paths, "one.h5")); /* of one: itself */
    OK(weft_model_load("one.h5", &mean));
    OK(weft_model_load(paths[0], &model[0]));
    ck_assert_mem_eq(weft_params_values(mean->params), weft_params_values(model[0]->params),
                     (size_t)weft_params_block_size(mean->params) * sizeof(weft_real));
    weft_model_free(model[0]);
    weft_model_free(mean);

    ck_assert_int_eq(weft_average(0, paths, "none.h5"), WEFT_ERR_RANGE);
    const weft_config wide = tiny("[model]\nd_model = 32\n"),
                      sums = tiny("[data]\ntask = add\n[model]\ntie = none\n");
    const weft_config *const others[] = { &wide, &sums };
    for (int i = 0; i < 2; i++) {
        trainer = new_trainer(others[i]);
        OK(weft_trainer_save(trainer, "other.h5"));
        weft_trainer_free(trainer);
        const char *const unlike[] = { paths[0], "other.h5" };
        ck_assert_int_eq(weft_average(2, unlike, "none.h5"), WEFT_ERR_SHAPE);
    }
    const char *const missing[] = { paths[0], "nowhere.h5" };
    ck_assert_int_eq(weft_average(2, missing, "none.h5"), WEFT_ERR_INPUT);
    ck_assert(!exists("none.h5"));
    weft_status status = WEFT_ERR_MEMORY;
    for (int64_t n = 1; status != WEFT_OK; n++) {
        weft_alloc_fail_at(n, false);
        status = weft_average(3, paths, "again.h5");
        weft_alloc_fail_at(0, false);
        ck_assert_msg(status == WEFT_OK || status == WEFT_ERR_MEMORY, "%s", weft_message());
    }
    ck_assert(same_files("mean.h5", "again.h5"));
    remove_run("run");
}
END_TEST

START_TEST(keeps_the_last)
{
    const weft_config config = tiny("[train]\nkeep = 2\n");
    weft_trainer *trainer = new_trainer(&config);
    ck_assert_int_eq(train_in(trainer, "run", NULL), WEFT_TRAIN_UPDATES);
    weft_trainer_free(trainer);
    ck_assert(!exists("run/checkpoint-5.h5") && !exists("run/checkpoint-10.h5"));
    ck_assert(exists("run/checkpoint-15.h5"));
    ck_assert(same_files("run/checkpoint-20.h5", "run/checkpoint.h5"));
    remove_run("run");
}
END_TEST

START_TEST(log_lines)
{
    const weft_config config = tiny(NULL);
    weft_trainer *trainer = new_trainer(&config);
    FILE *log = tmpfile(), *progress = tmpfile();
    weft_train_end end;
    mkdir("run", 0777);
    OK(weft_train(trainer, &(weft_train_run){ .dir = "run", .log = log, .progress = progress },
                  &end));
    weft_trainer_free(trainer);
    char line[512];
    int n_train = 0, n_validation = 0, n_other = 0;
    rewind(log);
    while (fgets(line, sizeof line, log)) {
        n_train += strncmp(line, "{\"event\": \"train\", ", 19) == 0;
        n_validation += strncmp(line, "{\"event\": \"validation\", ", 24) == 0;
        n_other += strncmp(line, "{\"event\": \"start\", ", 19) == 0 ||
                   strncmp(line, "{\"event\": \"end\", ", 17) == 0;
    }
    ck_assert_int_eq(n_train, 7); /* every third of 20, and the rest */
    ck_assert_int_eq(n_validation, 3);
    ck_assert_int_eq(n_other, 2);
    ck_assert_int_gt(ftell(progress), 0);
    fclose(log);
    fclose(progress);
    remove_run("run");
}
END_TEST

/* A value that is not finite: the sentence names where it arose, files stay as they were. */
START_TEST(not_finite)
{
    const weft_config config = tiny(NULL);
    weft_trainer *trainer = new_trainer(&config);
    weft_params *params = trainer->model->params;
    step(trainer, 3);
    OK(weft_trainer_save(trainer, "good.h5"));
    OK(weft_trainer_save(trainer, "kept.h5"));
    const weft_tensor w =
        weft_params_value(params, weft_params_find(params, "decoder.layers.0.linear1.weight"));
    w.real[0] = (weft_real)INFINITY;
    weft_params_changed(params);
    weft_train_step s;
    ck_assert_int_eq(weft_trainer_step(trainer, &s), WEFT_ERR_NUMERIC);
    ck_assert_msg(strncmp(weft_message(), "update 4: decoder.layers.0", 26) == 0 &&
                      strstr(weft_message(), "linear") != NULL,
                  "%s", weft_message());
    ck_assert_int_eq(weft_trainer_updates(trainer), 3);
    ck_assert_int_eq(weft_trainer_save(trainer, "kept.h5"), WEFT_ERR_NUMERIC);
    ck_assert(same_files("good.h5", "kept.h5"));
    weft_trainer_free(trainer);
}
END_TEST

START_TEST(bad_input)
{
    weft_trainer *trainer;
    weft_config config = tiny(NULL);
    strcpy(config.data.task, "phrasse");
    ck_assert_int_eq(weft_trainer_new(&config, &trainer), WEFT_ERR_INPUT);
    ck_assert_ptr_null(trainer);
    ck_assert_msg(strstr(weft_message(), "phrases") != NULL, "%s", weft_message());

    config = tiny("[data]\ntask =\ntrain = nowhere.tsv\n");
    ck_assert_int_eq(weft_trainer_new(&config, &trainer), WEFT_ERR_INPUT);
    ck_assert_msg(strstr(weft_message(), "nowhere.tsv") != NULL, "%s", weft_message());

    config = tiny("[model]\nkind = decoder-only\n");
    ck_assert_int_eq(weft_trainer_new(&config, &trainer), WEFT_ERR_INPUT);
    ck_assert_msg(strstr(weft_message(), "encoder-decoder") != NULL, "%s", weft_message());

    weft_model *model;
    ck_assert_int_eq(weft_model_load("nowhere", &model), WEFT_ERR_INPUT);
    ck_assert_int_eq(weft_model_load(".", &model), WEFT_ERR_INPUT);
    ck_assert_ptr_null(model);
}
END_TEST

/* What would make a resumed run another one is refused by name; the rest may change. */
START_TEST(resume_with_changes)
{
    static const struct {
        const char *change, *said;
    } refused[] = { { "[model]\nffn = 64\n", "\"ffn = 32\" in section [model]" },
                    { "[model]\ndropout = 0.2\n", "\"dropout = 0.1\"" },
                    { "[data]\ntrain_size = 70\n", "\"train_size = 60\"" },
                    { "[data]\nvocab = bpe\nbpe_dropout = 0.1\n", "\"vocab = word\"" },
                    { "[train]\nseed = 2\n", "\"seed = 1\"" },
                    { "[train]\nbatch_tokens = 100\n", "\"batch_tokens = 120\"" },
                    { "[train]\nprecision = bf16\n", "\"precision = float\" in section [train]" },
                    { "[optim]\nkind = sgd\n", "\"kind = adam\" in section [optim]" } };
    weft_trainer *trainer;
    weft_config config = tiny(NULL);
    trainer = new_trainer(&config);
    OK(weft_trainer_save(trainer, "x.h5"));
    weft_trainer_free(trainer);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        config = tiny(refused[i].change);
        ck_assert_int_eq(weft_trainer_resume(&config, "x.h5", &trainer), WEFT_ERR_INPUT);
        ck_assert_ptr_null(trainer);
        ck_assert_msg(strstr(weft_message(), refused[i].said) != NULL, "%s", weft_message());
    }
    config = tiny("[train]\nmax_updates = 30\nlog_every = 1\n[optim]\nlr = 0.001\n");
    OK(weft_trainer_resume(&config, "x.h5", &trainer));
    step(trainer, 1);
    weft_trainer_free(trainer);
}
END_TEST

START_TEST(resume_with_another_text)
{
    FILE *file = fopen("pairs.tsv", "w");
    fputs("a b\tx y\nb c\tz\n", file);
    fclose(file);
    const weft_config config = tiny("[data]\ntask =\ntrain = pairs.tsv\n");
    weft_trainer *trainer = new_trainer(&config);
    weft_validation result;
    ck_assert_int_eq(weft_trainer_validate(trainer, &result), WEFT_ERR_STATE);
    OK(weft_trainer_save(trainer, "x.h5"));
    weft_trainer_free(trainer);
    file = fopen("pairs.tsv", "w"); /* as many items and tokens, and the same words */
    fputs("b a\tx y\nb c\tz\n", file);
    fclose(file);
    ck_assert_int_eq(weft_trainer_resume(&config, "x.h5", &trainer), WEFT_ERR_INPUT);
    ck_assert_str_eq(weft_message(),
                     "data.train: the text is another one than when this run began");
    file = fopen("pairs.tsv", "w");
    fputs("a b\tx y\nb c\tz\nc\tx\n", file);
    fclose(file);
    ck_assert_int_eq(weft_trainer_resume(&config, "x.h5", &trainer), WEFT_ERR_INPUT);
    ck_assert_msg(strstr(weft_message(), "2 items with 5 target tokens then") == NULL &&
                      strstr(weft_message(), "2 items with 3 target tokens then, 3 with 4 now"),
                  "%s", weft_message());
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("train");
    TCase *tc = tcase_create("learning");
    tcase_add_checked_fixture(tc, enter, temp_dir_leave);
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, loss_falls);
    tcase_add_test(tc, learns_by_heart);
    tcase_add_test(tc, learns_plain_text_by_heart);
    tcase_add_test(tc, running_text);
    tcase_add_test(tc, smoothing_by_name);
    suite_add_tcase(suite, tc);

    tc = tcase_create("resume");
    tcase_add_checked_fixture(tc, enter, temp_dir_leave);
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, resumed_equals_uninterrupted, 0, 5);
    tcase_add_test(tc, reached_target_stays_reached);
    tcase_add_test(tc, orphans_are_removed);
    tcase_add_loop_test(tc, stopped_run_goes_on, 0, 2);
    tcase_add_test(tc, resume_with_changes);
    tcase_add_test(tc, resume_with_another_text);
    suite_add_tcase(suite, tc);

    tc = tcase_create("threads");
    tcase_add_checked_fixture(tc, enter, temp_dir_leave);
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, any_number_of_threads);
    suite_add_tcase(suite, tc);

    tc = tcase_create("accumulation");
    tcase_add_checked_fixture(tc, enter, temp_dir_leave);
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, parts_equal_batch);
    tcase_add_test(tc, accumulates);
    suite_add_tcase(suite, tc);

    tc = tcase_create("memory");
    tcase_add_checked_fixture(tc, enter, temp_dir_leave);
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, steady_state, 0, 2);
    tcase_add_loop_test(tc, reserve_holds_all_batches, 0, 4);
    tcase_add_test(tc, plan_equals_peak);
    tcase_add_loop_test(tc, out_of_memory, 0, 2);
    suite_add_tcase(suite, tc);

    tc = tcase_create("ends");
    tcase_add_checked_fixture(tc, enter, temp_dir_leave);
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, ends);
    tcase_add_test(tc, keeps_the_last);
    tcase_add_test(tc, keeps_the_best);
    tcase_add_test(tc, running_average);
    tcase_add_test(tc, average_of_checkpoints);
    tcase_add_test(tc, log_lines);
    tcase_add_test(tc, not_finite);
    tcase_add_test(tc, bad_input);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
