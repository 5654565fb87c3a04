/* train_runs.h - small runs and their files, for the tests of the training loop. */
#ifndef WEFT_TESTS_TRAIN_RUNS_H
#define WEFT_TESTS_TRAIN_RUNS_H

#include "check_main.h"

#include "temp_dir.h"
#include "train/loop_internal.h"

/* One thread unless a test says otherwise: tiny loops on a busy machine only wait for each other. */
static inline void enter(void)
{
    temp_dir_enter();
    ck_assert_int_eq(weft_threads_set(1), WEFT_OK);
}

#define OK(call) ck_assert_msg((call) == WEFT_OK, "%s: %s", #call, weft_message())

/* A tiny model on a small generated task, with every kind of dropout. */
static inline weft_config tiny(const char *more)
{
    weft_config config;
    weft_config_init(&config);
    OK(weft_config_parse(&config,
                         "[data]\ntask = copy\ntrain_size = 60\nvalid_size = 10\n"
                         "[model]\nd_model = 16\nffn = 32\nheads = 2\nencoder_layers = 1\n"
                         "decoder_layers = 1\ndropout = 0.1\nattention_dropout = 0.1\n"
                         "activation_dropout = 0.1\n"
                         "[train]\nmax_updates = 20\nbatch_tokens = 120\nvalidate_every = 7\n"
                         "checkpoint_every = 5\nlog_every = 3\nmax_decode_length = 22\n"
                         "[optim]\nlr = 0.003\nschedule = cosine\nwarmup = 4\nclip = 1\n",
                         "tiny"));
    if (more) OK(weft_config_parse(&config, more, "more"));
    OK(weft_config_check(&config));
    return config;
}

static inline weft_trainer *new_trainer(const weft_config *config)
{
    weft_trainer *trainer;
    OK(weft_trainer_new(config, &trainer));
    return trainer;
}

static inline double step(weft_trainer *trainer, int n)
{
    weft_train_step s = { 0 };
    for (int i = 0; i < n; i++) OK(weft_trainer_step(trainer, &s));
    return s.loss;
}

static inline unsigned char *read_all(const char *path, size_t *n)
{
    FILE *file = fopen(path, "rb");
    ck_assert_msg(file != NULL, "%s is not there", path);
    fseek(file, 0, SEEK_END);
    *n = (size_t)ftell(file);
    rewind(file);
    unsigned char *bytes = malloc(*n);
    ck_assert_uint_eq(fread(bytes, 1, *n, file), *n);
    fclose(file);
    return bytes;
}

static inline bool same_files(const char *a, const char *b)
{
    size_t n_a, n_b;
    unsigned char *x = read_all(a, &n_a), *y = read_all(b, &n_b);
    const bool same = n_a == n_b && memcmp(x, y, n_a) == 0;
    free(x);
    free(y);
    return same;
}

static inline weft_train_end train_in(weft_trainer *trainer, const char *dir,
                                      volatile sig_atomic_t *stop)
{
    weft_train_end end;
    mkdir(dir, 0777);
    OK(weft_train(trainer, &(weft_train_run){ .dir = dir, .stop = stop }, &end));
    return end;
}

static inline void remove_run(const char *dir)
{
    char path[512];
    const char *names[] = { "checkpoint.h5",    "best.h5",          "log.jsonl",
                            "best-1.h5",        "best-2.h5",        "best-3.h5",
                            "best-7.h5",        "best-14.h5",       "best-20.h5",
                            "best-8.h5",        "best-12.h5",       "best-16.h5",
                            "checkpoint-7.h5",  "checkpoint-14.h5", "checkpoint-5.h5",
                            "checkpoint-10.h5", "checkpoint-15.h5", "checkpoint-20.h5" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        remove(path);
    }
    ck_assert_int_eq(rmdir(dir), 0);
}

#endif
