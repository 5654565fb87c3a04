/* score.c - `weft score`: read hypotheses and references side by side, print a metric. */
#include "cli/cli.h"
#include "cli/options.h"
#include "data/data.h"
#include "train/metrics.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct arguments {
    weft_cli_texts refs;
    const char *against;
    int metric,
        smooth; /* weft_metric_kind and weft_smoothing, in the order of the options' names */
    double smooth_value;
    bool lowercase;
    int64_t n_samples, seed;
} arguments;

/* File 0 is the hypotheses, then come the references, then with --against the other system's. */
enum { MOST_FILES = WEFT_CLI_MOST_TEXTS + 2 };

static int n_files(const arguments *args) { return 1 + args->refs.n + (args->against != NULL); }

static const char *file_name(const arguments *args, int i)
{
    if (i == 0) return "the hypotheses";
    return i <= args->refs.n ? args->refs.text[i - 1] : args->against;
}

/* Files must have equally many lines, and at least one. */
static weft_status check_counts(const arguments *args, weft_lines *const files[])
{
    const long long n_first = weft_lines_number(files[0]);
    for (int i = 1; i < n_files(args); i++) {
        const long long n = weft_lines_number(files[i]);
        if (n != n_first) {
            return weft_error(WEFT_ERR_INPUT, "line counts differ: %s %lld, %s %lld",
                              file_name(args, 0), n_first, file_name(args, i), n);
        }
    }
    return n_first > 0 ? WEFT_OK : weft_error(WEFT_ERR_INPUT, "there are no hypotheses");
}

/* One segment a round; where a file ended early the others are read on to be counted. */
static weft_status read_segments(const arguments *args, weft_lines *const files[],
                                 weft_metric *const metrics[2])
{
    const char *line[MOST_FILES] = { NULL };
    bool ended[MOST_FILES] = { false };
    for (int n_ended = 0; n_ended < n_files(args);) {
        for (int i = 0; i < n_files(args); i++) {
            if (ended[i]) continue;
            const weft_status status = weft_lines_next(files[i], &line[i], NULL);
            if (status != WEFT_OK) return status;
            ended[i] = line[i] == NULL;
            n_ended += ended[i];
        }
        if (n_ended > 0) continue;
        weft_status status = weft_metric_add(metrics[0], line[0], line + 1);
        if (status == WEFT_OK && args->against)
            status = weft_metric_add(metrics[1], line[1 + args->refs.n], line + 1);
        if (status != WEFT_OK) return status;
    }
    return check_counts(args, files);
}

static weft_status print(const arguments *args, weft_metric *const metrics[2])
{
    char text[WEFT_METRIC_TEXT];
    weft_comparison c;
    printf("%s\n", weft_metric_line(metrics[0], text));
    if (args->against) {
        printf("%s: %s\n", args->against, weft_metric_line(metrics[1], text));
        const weft_status status =
            weft_metric_compare(metrics[0], metrics[1], args->n_samples, (uint64_t)args->seed, &c);
        if (status != WEFT_OK) return status;
        printf("%.2f +- %.2f against %.2f +- %.2f, p = %.4f (paired bootstrap, %lld samples, seed "
               "%lld)\n",
               c.system[0].mean, c.system[0].half_width, c.system[1].mean, c.system[1].half_width,
               c.p, (long long)args->n_samples, (long long)args->seed);
    }
    printf("%s\n", weft_metric_signature(metrics[0], text));
    return WEFT_OK;
}

/* Opens `files`, which the caller closes. */
static weft_status score(const arguments *args, weft_lines *files[])
{
    weft_metric *metrics[2] = { NULL, NULL };
    const weft_metric_spec spec = { .kind = (weft_metric_kind)args->metric,
                                    .n_refs = args->refs.n,
                                    .lowercase = args->lowercase,
                                    .smoothing = (weft_smoothing)args->smooth,
                                    .smooth_value = args->smooth_value,
                                    .keep_segments = args->against != NULL };
    weft_status status = WEFT_OK;
    for (int i = 0; i < n_files(args) && status == WEFT_OK; i++)
        status = weft_lines_open(i == 0 ? "-" : file_name(args, i), &files[i]);
    for (int i = 0; i < 2 && status == WEFT_OK; i++) status = weft_metric_new(&spec, &metrics[i]);
    if (status == WEFT_OK) status = read_segments(args, files, metrics);
    if (status == WEFT_OK) status = print(args, metrics);
    weft_metric_free(metrics[0]);
    weft_metric_free(metrics[1]);
    return status;
}

/* What would be ignored is refused; then the defaults of what was not given. */
static bool complete(arguments *args)
{
    const char *wrong = NULL;
    const bool takes_value = args->smooth == WEFT_SMOOTH_FLOOR || args->smooth == WEFT_SMOOTH_ADD_K;
    for (int i = 0; i < args->refs.n; i++)
        if (strcmp(args->refs.text[i], "-") == 0)
            wrong = "--ref -: the standard input holds the hypotheses";
    if (args->refs.n == 0)
        wrong = "a reference is needed: --ref FILE";
    else if (args->smooth >= 0 && args->metric != WEFT_METRIC_BLEU)
        wrong = "--smooth is for --metric bleu: the others have nothing to smooth";
    else if (!isnan(args->smooth_value) && !takes_value)
        wrong = "--smooth-value needs --smooth floor or --smooth add-k";
    else if (args->smooth_value == 0)
        wrong = "--smooth-value 0 smooths nothing: that is --smooth none";
    else if (!args->against && (args->n_samples > 0 || args->seed >= 0))
        wrong = "--samples and --seed are of the bootstrap: they need --against FILE";
    if (wrong) fprintf(stderr, "weft score: %s\n", wrong);
    if (args->smooth < 0) args->smooth = WEFT_SMOOTH_EXP;
    if (isnan(args->smooth_value)) args->smooth_value = 0; /* the method's own */
    if (args->n_samples == 0) args->n_samples = 1000;
    if (args->seed < 0) args->seed = 12345;
    return !wrong;
}

int weft_cli_score(int argc, char **argv)
{
    arguments args = {
        .metric = WEFT_METRIC_BLEU, .smooth = -1, .smooth_value = (double)NAN, .seed = -1
    };
    const weft_cli_option options[] = {
        { "ref", WEFT_CLI_TEXTS, &args.refs, "FILE",
          "reference, a line for each hypothesis, plain or .gz; may be repeated", 0, 0 },
        { "metric", WEFT_CLI_CHOICE, &args.metric, "bleu|chrf|chrf++|exact", "what to print; bleu",
          0, 0 },
        { "lowercase", WEFT_CLI_FLAG, &args.lowercase, NULL, "compare in lower case", 0, 0 },
        { "smooth", WEFT_CLI_CHOICE, &args.smooth, "exp|none|floor|add-k",
          "what an order of BLEU without a match counts; exp", 0, 0 },
        { "smooth-value", WEFT_CLI_REAL, &args.smooth_value, "X", "floor 0.1, add-k 1", 0, 1e6 },
        { "against", WEFT_CLI_TEXT, &args.against, "FILE",
          "hypotheses of another system: is the difference significant?", 0, 0 },
        { "samples", WEFT_CLI_INTEGER, &args.n_samples, "N", "of the bootstrap; 1000", 1, 1 << 24 },
        { "seed", WEFT_CLI_INTEGER, &args.seed, "S", "of the bootstrap; 12345", 0,
          9007199254740992.0 },
    };
    const weft_cli_command command = {
        .name = "score",
        .synopsis =
            "--ref FILE [--ref FILE]... [--metric bleu|chrf|chrf++|exact] [--lowercase]\n"
            "                  [--smooth exp|none|floor|add-k] [--against FILE] < hypotheses",
        .summary =
            "Score hypotheses, one a line, against references. BLEU (13a tokeniser) and chrF\n"
            "have the digits of sacreBLEU 2.6.0. Prints the score, then its signature.",
        .options = options,
        .n_options = sizeof options / sizeof *options,
    };
    int first_operand, exit_code;
    if (!weft_cli_parse(&command, argc, argv, &first_operand, &exit_code)) return exit_code;
    if (!complete(&args)) return WEFT_EXIT_USE;
    weft_lines *files[MOST_FILES] = { NULL };
    const weft_status status = score(&args, files);
    for (int i = 0; i < n_files(&args); i++) weft_lines_free(files[i]);
    return status == WEFT_OK ? WEFT_EXIT_DONE : weft_cli_fail("score", status);
}
