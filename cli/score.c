/* score.c - `weft score`: read hypotheses and references side by side, print a metric. */
#include "cli/cli.h"
#include "cli/options.h"
#include "data/data.h"
#include "train/metrics.h"

#include <stdio.h>

typedef struct arguments {
    weft_cli_texts refs;
    int metric; /* weft_metric_kind, in the order of the option's names */
    bool lowercase;
} arguments;

enum { MOST_FILES = WEFT_CLI_MOST_TEXTS + 1 }; /* file 0 is the hypotheses */

static const char *file_name(const arguments *args, int i)
{
    return i == 0 ? "the hypotheses" : args->refs.text[i - 1];
}

/* Files must have equally many lines, and at least one. */
static weft_status check_counts(const arguments *args, weft_lines *const files[])
{
    const long long n_first = weft_lines_number(files[0]);
    for (int i = 1; i <= args->refs.n; i++) {
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
                                 weft_metric *metric)
{
    const char *line[MOST_FILES] = { NULL };
    bool ended[MOST_FILES] = { false };
    for (int n_ended = 0; n_ended <= args->refs.n;) {
        for (int i = 0; i <= args->refs.n; i++) {
            if (ended[i]) continue;
            const weft_status status = weft_lines_next(files[i], &line[i], NULL);
            if (status != WEFT_OK) return status;
            ended[i] = line[i] == NULL;
            n_ended += ended[i];
        }
        if (n_ended > 0) continue;
        const weft_status status = weft_metric_add(metric, line[0], line + 1);
        if (status != WEFT_OK) return status;
    }
    return check_counts(args, files);
}

/* Opens `files`, which the caller closes. */
static weft_status score(const arguments *args, weft_lines *files[])
{
    char text[WEFT_METRIC_TEXT];
    weft_metric *metric = NULL;
    weft_status status = WEFT_OK;
    for (int i = 0; i <= args->refs.n && status == WEFT_OK; i++) {
        status = weft_lines_open(i == 0 ? "-" : args->refs.text[i - 1], &files[i]);
    }
    if (status == WEFT_OK) {
        status =
            weft_metric_new((weft_metric_kind)args->metric, args->refs.n, args->lowercase, &metric);
    }
    if (status == WEFT_OK) status = read_segments(args, files, metric);
    if (status == WEFT_OK) {
        printf("%s\n", weft_metric_line(metric, text));
        printf("%s\n", weft_metric_signature(metric, text));
    }
    weft_metric_free(metric);
    return status;
}

int weft_cli_score(int argc, char **argv)
{
    arguments args = { .metric = WEFT_METRIC_BLEU };
    const weft_cli_option options[] = {
        { "ref", WEFT_CLI_TEXTS, &args.refs, "FILE",
          "reference, a line for each hypothesis, plain or .gz; may be repeated", 0, 0 },
        { "metric", WEFT_CLI_CHOICE, &args.metric, "bleu|chrf|exact", "what to print; bleu", 0, 0 },
        { "lowercase", WEFT_CLI_FLAG, &args.lowercase, NULL, "compare in lower case", 0, 0 },
    };
    const weft_cli_command command = {
        .name = "score",
        .synopsis =
            "--ref FILE [--ref FILE]... [--metric bleu|chrf|exact] [--lowercase] < hypotheses",
        .summary =
            "Score hypotheses, one a line, against references. BLEU (13a tokeniser) and chrF2\n"
            "have the digits of sacreBLEU 2.6.0. Prints the score, then its signature.",
        .options = options,
        .n_options = sizeof options / sizeof *options,
    };
    int first_operand, exit_code;
    if (!weft_cli_parse(&command, argc, argv, &first_operand, &exit_code)) return exit_code;
    if (args.refs.n == 0) {
        fprintf(stderr, "weft score: a reference is needed: --ref FILE\n");
        return WEFT_EXIT_USE;
    }
    weft_lines *files[MOST_FILES] = { NULL };
    const weft_status status = score(&args, files);
    for (int i = 0; i <= args.refs.n; i++) weft_lines_free(files[i]);
    return status == WEFT_OK ? WEFT_EXIT_DONE : weft_cli_fail("score", status);
}
