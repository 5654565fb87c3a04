/* train.c - `weft train`: make a folder, train into it, show what was learnt. */
#include "cli/cli.h"
#include "cli/config.h"
#include "cli/options.h"
#include "cli/probe.h"
#include "data/file_internal.h"
#include "train/dataset.h"
#include "train/loop.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES = 4096 };

typedef struct arguments {
    const char *config, *task, *resume, *init, *out;
    weft_cli_texts set;
    int64_t threads;
    bool dump_config, sanity, lr_range;
} arguments;

static volatile sig_atomic_t signal_seen;

static void on_signal(int number) { signal_seen = number; }

/* The first signal ends the run after the present update or batch of a validation, a second one ends the
 * program. */
static void catch_signals(void)
{
    struct sigaction action = { .sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND };
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

static void leave_signals(void)
{
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
}

/* ---- the configuration -------------------------------------------------------------------------- */

static weft_status join(const char *dir, const char *name, char path[PATH_BYTES])
{
    if (snprintf(path, PATH_BYTES, "%s/%s", dir, name) < PATH_BYTES) return WEFT_OK;
    return weft_error(WEFT_ERR_INPUT, "%s: the path is too long", dir);
}

/* With --init all that is not said is as the model had it: its checkpoint has no paths. */
static weft_status read_init(const arguments *args, weft_config *config)
{
    weft_checkpoint_file *file = NULL;
    weft_status status = weft_model_open(args->init, &file);
    if (status == WEFT_OK) status = weft_model_config(file, config);
    weft_checkpoint_close(file);
    return status == WEFT_OK ? status : weft_error_prefix(status, "--init %s: ", args->init);
}

static weft_status read_config(const arguments *args, weft_config *config)
{
    char path[PATH_BYTES], init[PATH_BYTES];
    weft_status status = WEFT_OK;
    weft_config_init(config);
    if (args->resume) status = join(args->resume, "config.ini", path);
    if (args->init) status = read_init(args, config);
    if (status == WEFT_OK)
        status =
            weft_cli_config_on(args->resume ? path : args->config, args->task, &args->set, config);
    if (status == WEFT_OK && args->init) {
        snprintf(init, sizeof init, "train.init=%s", args->init);
        status = weft_config_set(config, init);
    }
    /* What is only to be looked at need not be complete. */
    return status == WEFT_OK && !args->dump_config ? weft_config_check(config) : status;
}

static weft_status print_config(const weft_config *config)
{
    char *text = weft_config_text(config, true);
    if (!text) return WEFT_ERR_MEMORY;
    fputs(text, stdout);
    weft_free(text);
    return WEFT_OK;
}

/* ---- the folder --------------------------------------------------------------------------------- */

/* out/NAME after the task or the configuration's file. */
static void default_folder(const arguments *args, char path[PATH_BYTES])
{
    const char *name = args->config ? args->config : args->task ? args->task : "init";
    const char *slash = strrchr(name, '/');
    if (slash) name = slash + 1;
    const char *dot = args->config ? strrchr(name, '.') : NULL;
    const int n = dot && dot > name ? (int)(dot - name) : (int)strlen(name);
    snprintf(path, PATH_BYTES, "out/%.*s", n, name);
}

/* Is nothing in that folder, or nothing but what a start that was killed leaves? */
static bool is_unused(const char *path)
{
    DIR *const dir = opendir(path);
    bool unused = dir != NULL;
    for (const struct dirent *entry; unused && (entry = readdir(dir)) != NULL;)
        unused = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
                 strncmp(entry->d_name, "config.ini.tmp.", strlen("config.ini.tmp.")) == 0;
    if (dir) closedir(dir);
    return unused;
}

static weft_status check_new(const char *dir)
{
    struct stat about;
    if (lstat(dir, &about) != 0 || is_unused(dir)) return WEFT_OK;
    return weft_error(
        WEFT_ERR_INPUT,
        "%s exists already: name another folder with --out, or go on with --resume %s", dir, dir);
}

/* The folder and those above it. */
static weft_status make_folder(const char *dir)
{
    char path[PATH_BYTES];
    weft_status status = join(dir, "", path); /* "a/b/" */
    for (char *p = path + 1; status == WEFT_OK && (p = strchr(p, '/')) != NULL; p++) {
        if (p[-1] == '/') continue;
        *p = '\0';
        if (mkdir(path, 0777) != 0 && errno != EEXIST)
            status = weft_error(weft_file_status(errno), "%s: %s", path, strerror(errno));
        *p = '/';
    }
    return status;
}

/* Hold the folder against a second run, as long as *lock is open: the system lets go of it however this
 * process ends. File systems that know no locks are taken as they are. */
static weft_status lock_folder(const char *dir, int *lock)
{
    *lock = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*lock < 0) return weft_error(weft_file_status(errno), "%s: %s", dir, strerror(errno));
    if (flock(*lock, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return WEFT_OK;
    return weft_error(WEFT_ERR_INPUT,
                      "%s: another weft train is at work in this folder; wait for its end, or stop "
                      "it",
                      dir);
}

/* The run may go on from another working directory. */
static weft_status write_config(const weft_config *config, const char *dir)
{
    char path[PATH_BYTES], here[PATH_BYTES];
    weft_config placed = *config;
    weft_status status = join(dir, "config.ini", path);
    if (status != WEFT_OK) return status;
    if (getcwd(here, sizeof here)) weft_config_place(&placed, here);
    char *text = weft_config_text(&placed, true);
    if (!text) return WEFT_ERR_MEMORY;
    status = weft_file_replace(path, text, strlen(text), NULL, NULL);
    weft_free(text);
    return status;
}

static weft_status open_log(const char *dir, const weft_trainer *trainer, bool resume, FILE **log)
{
    char path[PATH_BYTES];
    const weft_status status = join(dir, "log.jsonl", path);
    if (status != WEFT_OK) return status;
    *log = resume && weft_trainer_updates(trainer) > 0 ? fopen(path, "r+") : NULL;
    if (*log) return weft_log_resume(*log, weft_trainer_updates(trainer));
    *log = fopen(path, "w+");
    if (*log) return WEFT_OK;
    return weft_error(weft_file_status(errno), "%s: %s", path, strerror(errno));
}

/* ---- afterwards: what has been learnt ------------------------------------------------------------ */

enum { N_BANDS = 5 };

typedef struct table {
    int64_t every; /* each so-manieth is shown */
    int64_t i;
    int64_t shortest, longest; /* sources in bytes: symbols, where a task's tokens are characters */
    int64_t n[N_BANDS], n_exact[N_BANDS]; /* by the length of the source */
} table;

static table table_of(const weft_corpus *corpus)
{
    enum { N_SHOWN = 8 };
    const int64_t n = weft_corpus_size(corpus);
    table t = { .every = (n + N_SHOWN - 1) / N_SHOWN, .shortest = INT64_MAX };
    for (int64_t i = 0; i < n; i++) {
        const int64_t length = (int64_t)strlen(weft_corpus_text(corpus, WEFT_SOURCE, i));
        if (length < t.shortest) t.shortest = length;
        if (length > t.longest) t.longest = length;
    }
    return t;
}

static void show(const char *source, const char *reference, const char *hypothesis, void *user)
{
    table *t = user;
    const bool exact = strcmp(reference, hypothesis) == 0;
    const int64_t from_shortest = (int64_t)strlen(source) - t->shortest;
    const int64_t band = from_shortest * N_BANDS / (t->longest - t->shortest + 1);
    t->n[band]++;
    t->n_exact[band] += exact;
    if (t->i++ % t->every != 0) return;
    const char *mark = exact ? "=" : "!";
    printf("  source      %s\n  reference   %s\n%s hypothesis  %s\n\n", source, reference, mark,
           hypothesis);
}

/* "sources of 21 to 36 symbols: 98.50 % (197 of 200)" */
static void show_bands(const table *t)
{
    const int64_t n_lengths = t->longest - t->shortest + 1;
    for (int64_t b = 0; b < N_BANDS; b++) {
        const int64_t low = t->shortest + (b * n_lengths + N_BANDS - 1) / N_BANDS;
        const int64_t high = t->shortest + ((b + 1) * n_lengths + N_BANDS - 1) / N_BANDS - 1;
        if (t->n[b] == 0) continue;
        printf("sources of %lld to %lld symbols: %.2f %% (%lld of %lld)\n", (long long)low,
               (long long)high, 100.0 * (double)t->n_exact[b] / (double)t->n[b],
               (long long)t->n_exact[b], (long long)t->n[b]);
    }
}

/* Read and encode the text of the final test, before the training: what cannot be read, or would not be
 * translated, is not to be found out after it. */
static weft_status read_test(const weft_config *config, const weft_model *model,
                             weft_corpus **corpus)
{
    if (config->model.kind != WEFT_CONFIG_ENCODER_DECODER) return WEFT_OK;
    weft_status status = weft_dataset_read(config, WEFT_PART_TEST, corpus);
    if (status != WEFT_OK || !*corpus) return status;
    status = weft_corpus_encode(*corpus, model->source_vocab, model->target_vocab);
    if (status != WEFT_OK || config->data.task[0] != '\0') return status;
    return weft_corpus_check_lengths(*corpus, WEFT_SOURCE, 0, weft_config_longest(config),
                                     "a larger data.max_length");
}

/* Translate what was held out, with the model that `weft translate` would load. */
static weft_status test(weft_corpus *corpus, const char *dir, table *t, weft_validation *result)
{
    weft_model *model = NULL;
    weft_tape *tape = NULL;
    *result = (weft_validation){ 0 };
    weft_status status = weft_model_load(dir, &model);
    if (status == WEFT_OK && (tape = weft_tape_new(WEFT_NO_GRAD)) == NULL) status = WEFT_ERR_MEMORY;
    if (status == WEFT_OK) {
        *t = table_of(corpus);
        printf("translations of held-out sentences\n\n");
        status = weft_evaluate(model, tape, corpus, &signal_seen, show, t, result);
    }
    weft_tape_free(tape);
    weft_model_free(model);
    return status;
}

static weft_status report(const weft_config *config, weft_corpus *corpus, const char *dir,
                          int *exit_code)
{
    weft_validation result;
    table t = { 0 };
    const weft_status status = test(corpus, dir, &t, &result);
    if (status != WEFT_OK || result.sentences == 0) return status;
    const double exact = 100.0 * (double)result.n_exact / (double)result.sentences;
    if (config->data.task[0] == '\0') printf("BLEU: %.2f\n", result.bleu);
    if (config->data.test_length > 0) show_bands(&t);
    printf("held-out exact match: %.2f %% (%lld of %lld)\n", exact, (long long)result.n_exact,
           (long long)result.sentences);
    if (exact < config->train.target_exact) *exit_code = WEFT_EXIT_NO;
    return WEFT_OK;
}

/* ---- the command -------------------------------------------------------------------------------- */

static weft_status train_into(weft_trainer *trainer, weft_corpus *test_corpus,
                              const arguments *args, const char *dir, int *lock, int *exit_code)
{
    FILE *log = NULL;
    weft_train_end end = WEFT_TRAIN_UPDATES;
    const weft_config *config = &weft_trainer_model(trainer)->config;
    weft_status status = args->resume ? WEFT_OK : make_folder(dir);
    if (status == WEFT_OK && !args->resume) status = lock_folder(dir, lock);
    if (status == WEFT_OK && !args->resume)
        status = check_new(dir); /* another may have been quicker */
    if (status == WEFT_OK) status = write_config(config, dir);
    if (status == WEFT_OK) status = open_log(dir, trainer, args->resume != NULL, &log);
    if (status == WEFT_OK) {
        catch_signals();
        const weft_train_run run = {
            .dir = dir, .log = log, .progress = stderr, .stop = &signal_seen
        };
        status = weft_train(trainer, &run, &end);
    }
    if (log && fclose(log) != 0 && status == WEFT_OK)
        status = weft_error(WEFT_ERR_IO, "%s/log.jsonl: %s", dir, strerror(errno));
    if (status == WEFT_ERR_NUMERIC)
        fprintf(stderr, "%s/checkpoint.h5 holds the last good state\n", dir);
    if (status == WEFT_OK && test_corpus && end != WEFT_TRAIN_STOPPED)
        status = report(config, test_corpus, dir, exit_code);
    leave_signals();
    if ((status == WEFT_OK && end == WEFT_TRAIN_STOPPED) || status == WEFT_ERR_STOPPED) {
        fprintf(stderr,
                "stopped after update %lld, all is saved; to go on: weft train --resume %s\n",
                (long long)weft_trainer_updates(trainer), dir);
        *exit_code = signal_seen == SIGTERM ? WEFT_EXIT_TERMINATE : WEFT_EXIT_INTERRUPT;
        return WEFT_OK;
    }
    return status;
}

/* Was the run of that folder killed before its first checkpoint? Only after that has its log a line. */
static bool has_not_begun(const char *checkpoint, const char *log)
{
    struct stat about;
    return access(checkpoint, F_OK) != 0 && (stat(log, &about) != 0 || about.st_size == 0);
}

/* That of a new run, or of one that goes on, whose folder is locked before its state is read. */
static weft_status make_trainer(const arguments *args, const weft_config *config, const char *dir,
                                int *lock, weft_trainer **trainer)
{
    char checkpoint[PATH_BYTES], log[PATH_BYTES];
    weft_status status = join(dir, "checkpoint.h5", checkpoint);
    if (status == WEFT_OK) status = join(dir, "log.jsonl", log);
    if (status == WEFT_OK) status = args->resume ? lock_folder(dir, lock) : check_new(dir);
    if (status != WEFT_OK) return status;
    if (args->resume && !has_not_begun(checkpoint, log))
        return weft_trainer_resume(config, checkpoint, trainer);
    const char *init = config->train.init;
    return init[0] ? weft_trainer_init(config, init, trainer) : weft_trainer_new(config, trainer);
}

static weft_status train(const arguments *args, int *exit_code)
{
    char dir[PATH_BYTES];
    int lock = -1;
    weft_config config;
    weft_trainer *trainer = NULL;
    weft_corpus *test_corpus = NULL;
    weft_status status = weft_threads_set((int)args->threads);
    if (status == WEFT_OK) status = read_config(args, &config);
    if (status != WEFT_OK) return status;
    if (args->dump_config) return print_config(&config);
    if (args->lr_range) return weft_cli_rate_range(&config);
    if (args->sanity) {
        bool passed = false;
        status = weft_cli_sanity(&config, &passed);
        if (!passed) *exit_code = WEFT_EXIT_NO;
        return status;
    }
    if (args->resume || args->out)
        snprintf(dir, sizeof dir, "%s", args->resume ? args->resume : args->out);
    else
        default_folder(args, dir);
    status = make_trainer(args, &config, dir, &lock, &trainer);
    if (status == WEFT_OK) status = read_test(&config, weft_trainer_model(trainer), &test_corpus);
    if (status == WEFT_OK) status = train_into(trainer, test_corpus, args, dir, &lock, exit_code);
    if (lock >= 0) (void)close(lock);
    weft_corpus_free(test_corpus);
    weft_trainer_free(trainer);
    return status;
}

static bool check_arguments(const arguments *args)
{
    const int n = (args->config != NULL) + (args->task != NULL) + (args->resume != NULL);
    if (n > 1 || (n == 0 && !args->init && !args->dump_config)) {
        fprintf(stderr, "weft train: one of --config FILE, --task NAME, --resume DIR and --init "
                        "DIR is needed\n");
        return false;
    }
    if (args->init && (args->resume || args->sanity || args->lr_range)) {
        fprintf(stderr, "weft train: --init begins a new run, without %s\n",
                args->resume   ? "--resume"
                : args->sanity ? "--sanity"
                               : "--lr-range");
        return false;
    }
    if (args->dump_config + args->sanity + args->lr_range > 1) {
        fprintf(stderr, "weft train: --dump-config, --sanity and --lr-range: one at a time\n");
        return false;
    }
    /* A folder without a name would be the root of the file system. */
    const bool no_name = args->resume && !*args->resume;
    if (no_name || (args->out && !*args->out)) {
        fprintf(stderr, "weft train: %s needs the name of a folder\n",
                no_name ? "--resume" : "--out");
        return false;
    }
    if (args->resume && args->out) {
        fprintf(stderr, "weft train: --resume goes on in its own folder, without --out\n");
        return false;
    }
    return true;
}

int weft_cli_train(int argc, char **argv)
{
    arguments args = { 0 };
    const weft_cli_option options[] = {
        { "config", WEFT_CLI_TEXT, &args.config, "FILE", "what to train, see docs/configuration.md",
          0, 0 },
        { "task", WEFT_CLI_TEXT, &args.task, "NAME",
          "a generated task: copy, reverse, sort, add, phrases, parity, ...: docs/tasks.md", 0, 0 },
        { "resume", WEFT_CLI_TEXT, &args.resume, "DIR", "go on with the run in that folder", 0, 0 },
        { "init", WEFT_CLI_TEXT, &args.init, "DIR",
          "begin with that model's parameters, vocabulary and configuration; on top of this\n"
          "                             come --config or --task, and --set",
          0, 0 },
        { "set", WEFT_CLI_TEXTS, &args.set, "SECTION.KEY=VALUE",
          "change the configuration; may be repeated", 0, 0 },
        { "out", WEFT_CLI_TEXT, &args.out, "DIR", "new folder for the run; out/NAME", 0, 0 },
        { "dump-config", WEFT_CLI_FLAG, &args.dump_config, NULL,
          "print the whole configuration as a file, by itself that of all defaults, and end", 0,
          0 },
        { "sanity", WEFT_CLI_FLAG, &args.sanity, NULL,
          "learn one batch by heart, look at the first loss and gradients, and end", 0, 0 },
        { "lr-range", WEFT_CLI_FLAG, &args.lr_range, NULL,
          "print the loss under a growing learning rate, and end", 0, 0 },
        { "threads", WEFT_CLI_INTEGER, &args.threads, "N",
          "threads; 0, as many as there are processors", 0, 256 },
    };
    const weft_cli_command command = {
        .name = "train",
        .synopsis = "--config FILE | --task NAME | --resume DIR | --init DIR\n"
                    "                  [--set SECTION.KEY=VALUE]... [--out DIR] [--threads N]\n"
                    "                  [--dump-config | --sanity | --lr-range]",
        .summary =
            "Train a Transformer. The folder gets config.ini, log.jsonl, checkpoint.h5 (the\n"
            "last state) and best.h5 (the best validation). Ctrl-C finishes the\n"
            "update, or the batch of a validation, saves, and says how to go on.",
        .options = options,
        .n_options = sizeof options / sizeof *options,
    };
    int first_operand, exit_code = WEFT_EXIT_DONE;
    if (!weft_cli_parse(&command, argc, argv, &first_operand, &exit_code)) return exit_code;
    if (!check_arguments(&args)) return WEFT_EXIT_USE;
    exit_code = WEFT_EXIT_DONE;
    const weft_status status = train(&args, &exit_code);
    return status == WEFT_OK ? exit_code : weft_cli_fail("train", status);
}
