/* logprob.c - `weft logprob`: log-probabilities of given translations, a line each. */
#include "cli/cli.h"
#include "cli/models.h"

#include <stdio.h>

typedef struct arguments {
    weft_cli_texts models;
    const char *pairs;
    int64_t batch_tokens, n_threads;
} arguments;

static weft_status print(const weft_corpus *corpus, const double log_p[])
{
    for (int64_t i = 0; i < weft_corpus_size(corpus); i++) {
        int64_t n;
        (void)weft_corpus_ids(corpus, WEFT_TARGET, i, &n);
        printf("%.6f\t%lld\n", log_p[i], (long long)n + 1);
    }
    return WEFT_OK;
}

static weft_status run(const arguments *args)
{
    weft_cli_models models = { 0 };
    weft_corpus *corpus = weft_corpus_new();
    double *log_p = NULL;
    weft_status status = corpus ? weft_threads_set((int)args->n_threads) : WEFT_ERR_MEMORY;
    if (status == WEFT_OK) status = weft_cli_models_load(&args->models, &models);
    if (status == WEFT_OK) status = weft_corpus_read_tsv(corpus, args->pairs);
    if (status == WEFT_OK)
        status = weft_corpus_encode(corpus, models.model[0]->source_vocab,
                                    models.model[0]->target_vocab);
    if (status == WEFT_OK) {
        log_p = weft_alloc((size_t)weft_corpus_size(corpus), sizeof *log_p);
        status = log_p
                     ? weft_logprob(models.translators, models.n, corpus, args->batch_tokens, log_p)
                     : WEFT_ERR_MEMORY;
    }
    if (status == WEFT_OK) status = print(corpus, log_p);
    weft_free(log_p);
    weft_corpus_free(corpus);
    weft_cli_models_free(&models);
    return status;
}

int weft_cli_logprob(int argc, char **argv)
{
    arguments args = { .batch_tokens = 2048 };
    const weft_cli_option options[] = {
        { "model", WEFT_CLI_TEXTS, &args.models, "DIR",
          "folder of weft train, or a checkpoint; several decide together", 0, 0 },
        { "pairs", WEFT_CLI_TEXT, &args.pairs, "FILE",
          "source, tab, target: a line each, plain or .gz", 0, 0 },
        { "batch-tokens", WEFT_CLI_INTEGER, &args.batch_tokens, "N",
          "tokens a side read at a time; 2048", 1, 1 << 24 },
        { "threads", WEFT_CLI_INTEGER, &args.n_threads, "N", "threads; 0, as many as there are", 0,
          256 },
    };
    const weft_cli_command command = {
        .name = "logprob",
        .synopsis = "--model DIR [--model DIR]... --pairs FILE [--batch-tokens N] [--threads N]",
        .summary = "Print for each pair log p(target | source) in nats, a tab, and the number of\n"
                   "target tokens; both count the end of the sentence.",
        .options = options,
        .n_options = sizeof options / sizeof *options,
    };
    int first_operand, exit_code;
    if (!weft_cli_parse(&command, argc, argv, &first_operand, &exit_code)) return exit_code;
    if (args.models.n == 0 || !args.pairs) {
        fprintf(stderr, "weft logprob: --model DIR and --pairs FILE are needed\n");
        return WEFT_EXIT_USE;
    }
    const weft_status status = run(&args);
    return status == WEFT_OK ? WEFT_EXIT_DONE : weft_cli_fail("logprob", status);
}
