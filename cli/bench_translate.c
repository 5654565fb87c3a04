/* bench_translate.c - `weft bench translate`: how many tokens a second a model says, without the time
 * to load it and to cut text into tokens. */
#include "cli/bench_internal.h"
#include "cli/cli.h"
#include "cli/models.h"
#include "core/core.h"

#include <math.h>
#include <stdio.h>

enum { MOST_PASSES = 1000 };

typedef struct bench {
    weft_cli_texts paths;
    const char *source;
    int64_t batch_tokens, n_threads, n_passes;
    int penalty; /* weft_length_penalty */
    weft_decode_spec spec;
    bool json, with_profile;
    weft_cli_models models;
    weft_corpus *corpus;
    weft_bench_profile *profile;
    double times_s[MOST_PASSES];
    int64_t n_said; /* tokens, </s> included */
} bench;

static weft_status read_source(bench *b)
{
    weft_lines *lines = NULL;
    const char *line = NULL;
    weft_status status = weft_lines_open(b->source, &lines);
    b->corpus = weft_corpus_new();
    if (status == WEFT_OK && !b->corpus) status = WEFT_ERR_MEMORY;
    while (status == WEFT_OK) {
        status = weft_lines_next(lines, &line, NULL);
        if (status != WEFT_OK || !line) break;
        status = weft_corpus_add(b->corpus, line, NULL);
    }
    weft_lines_free(lines);
    const weft_model *model = b->models.model[0];
    if (status == WEFT_OK && weft_corpus_size(b->corpus) == 0)
        status = weft_error(WEFT_ERR_INPUT, "%s: the file is empty", b->source);
    if (status == WEFT_OK)
        status = weft_corpus_encode(b->corpus, model->source_vocab, model->target_vocab);
    return status;
}

/* All sentences, after a pass that does not count. */
static weft_status measure(bench *b)
{
    weft_hypotheses said = { 0 };
    weft_status status = WEFT_OK;
    for (int64_t pass = -1; pass < b->n_passes && status == WEFT_OK; pass++) {
        if (pass == 0 && b->profile)
            weft_tape_watch(b->models.translators[0].tape, weft_bench_profile_watch, b->profile);
        if (b->profile) weft_bench_profile_begin(b->profile);
        const double start_s = weft_seconds();
        status = weft_decode_corpus(b->models.translators, 1, b->corpus, b->batch_tokens, &b->spec,
                                    &said);
        if (status != WEFT_OK || pass < 0) continue;
        b->times_s[pass] = weft_seconds() - start_s;
        b->n_said = said.offsets[said.B] + said.B;
        if (b->profile) weft_bench_profile_end(b->profile);
    }
    weft_hypotheses_free(&said);
    return status;
}

static void report(bench *b)
{
    const double s = weft_bench_median(b->n_passes, b->times_s);
    const long long n = weft_corpus_size(b->corpus), n_said = b->n_said, beam = b->spec.beam;
    const double n_per_s = (double)n / s, said_per_s = (double)n_said / s;
    if (b->json)
        printf("{\"sentences\": %lld, \"tokens\": %lld, \"beam\": %lld, \"threads\": %d, "
               "\"s\": %.4f, \"s_min\": %.4f, \"tokens_per_s\": %.0f, \"kernel\": \"%s\"}\n",
               n, n_said, beam, weft_threads(), s, b->times_s[0], said_per_s, weft_gemm_kernel());
    else
        printf("%lld sentences, %lld tokens said, beam %lld, %d threads: %.3f s (quickest %.3f), "
               "%.0f tokens/s, %.0f sentences/s\n",
               n, n_said, beam, weft_threads(), s, b->times_s[0], said_per_s, n_per_s);
    if (b->profile) weft_bench_profile_print(b->profile, b->json);
}

static weft_status run(bench *b)
{
    weft_status status = weft_threads_set((int)b->n_threads);
    if (status == WEFT_OK) status = weft_cli_models_load(&b->paths, &b->models);
    if (status == WEFT_OK) status = read_source(b);
    if (status == WEFT_OK && b->with_profile) {
        b->profile = weft_bench_profile_new(NULL);
        if (!b->profile) status = WEFT_ERR_MEMORY;
    }
    if (status == WEFT_OK && b->spec.max_length == 0)
        b->spec.max_length = b->models.model[0]->config.train.max_decode_length;
    if (status == WEFT_OK) status = measure(b);
    if (status == WEFT_OK) report(b);
    weft_corpus_free(b->corpus);
    weft_cli_models_free(&b->models);
    const weft_status closed = weft_bench_profile_free(b->profile);
    return status == WEFT_OK ? closed : status;
}

int weft_cli_bench_translate(int argc, char **argv)
{
    bench b = { .source = "-",
                .batch_tokens = 4096,
                .n_passes = 3,
                .spec = { .beam = 4, .alpha = (double)NAN } };
    const weft_cli_option options[] = {
        { "model", WEFT_CLI_TEXTS, &b.paths, "DIR", "folder of weft train, or a checkpoint", 0, 0 },
        { "source", WEFT_CLI_TEXT, &b.source, "FILE", "sentences, one a line; -, standard input", 0,
          0 },
        { "beam", WEFT_CLI_INTEGER, &b.spec.beam, "K", "hypotheses followed at a time; 4", 1,
          10000 },
        { "penalty", WEFT_CLI_CHOICE, &b.penalty, "gnmt|power|word", "as of weft translate; gnmt",
          0, 0 },
        { "length-penalty", WEFT_CLI_REAL, &b.spec.alpha, "A", "gnmt 0.6, power 1, word 0", -1e6,
          1e6 },
        { "max-length", WEFT_CLI_INTEGER, &b.spec.max_length, "N",
          "tokens of a translation at most; as train.max_decode_length of the model", 1, 1 << 24 },
        { "batch-tokens", WEFT_CLI_INTEGER, &b.batch_tokens, "N",
          "source tokens translated at a time; 4096", 1, 1 << 24 },
        { "threads", WEFT_CLI_INTEGER, &b.n_threads, "N", "threads; 0, as many as there are", 0,
          256 },
        { "passes", WEFT_CLI_INTEGER, &b.n_passes, "N",
          "times that all sentences are translated, after one that does not count; 3", 1,
          MOST_PASSES },
        { "json", WEFT_CLI_FLAG, &b.json, NULL, "print JSON, one object a line", 0, 0 },
        { "profile", WEFT_CLI_FLAG, &b.with_profile, NULL,
          "also print the time of each operation in a pass", 0, 0 },
    };
    const weft_cli_command command = {
        .name = "bench translate",
        .synopsis = "--model DIR [--source FILE] [--beam K] [--batch-tokens N] [--threads N]\n"
                    "                            [--passes N] [--json] [--profile]",
        .summary = "Time the translation of sentences, without loading the model and cutting text\n"
                   "into tokens.",
        .options = options,
        .n_options = sizeof options / sizeof *options,
    };
    int first_operand, exit_code;
    if (!weft_cli_parse(&command, argc, argv, &first_operand, &exit_code)) return exit_code;
    if (b.paths.n != 1) {
        fprintf(stderr, "weft bench translate: one model is needed: --model DIR\n");
        return WEFT_EXIT_USE;
    }
    b.spec.penalty = (weft_length_penalty)b.penalty;
    if (isnan(b.spec.alpha)) b.spec.alpha = weft_length_penalty_alpha(b.spec.penalty);
    const weft_status status = run(&b);
    return status == WEFT_OK ? WEFT_EXIT_DONE : weft_cli_fail("bench translate", status);
}
