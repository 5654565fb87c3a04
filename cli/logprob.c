/* logprob.c - `weft logprob`: log-probabilities of given translations, a line each, or of a text. */
#include "cli/cli.h"
#include "cli/models.h"

#include <stdio.h>

typedef struct arguments {
    weft_cli_texts models;
    const char *pairs, *text;
    int merge; /* weft_chunk_merge, in the order of the option's names */
    int64_t batch_tokens, n_threads, max_length, chunk, overlap;
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

static weft_status print_text(const arguments *args, const weft_model *model, weft_tape *tape,
                              const int32_t *ids, int64_t n)
{
    static const weft_chunk_merge merges[] = { WEFT_MERGE_BEFORE, WEFT_MERGE_MEAN };
    const weft_config *config = &model->config;
    const int64_t looked_back = config->data.max_length < config->train.batch_tokens
                                    ? config->data.max_length
                                    : config->train.batch_tokens;
    const int64_t length = args->chunk > 0 ? args->chunk : looked_back;
    const int64_t overlap = args->overlap >= 0 ? args->overlap : length / 2;
    double *const log_p = weft_alloc((size_t)(n > 0 ? n : 1), sizeof *log_p), sum = 0;
    weft_status status = log_p ? WEFT_OK : WEFT_ERR_MEMORY;
    if (status == WEFT_OK)
        status = weft_logprob_text(&(weft_translator){ &model->transformer, tape }, ids, n, length,
                                   overlap, merges[args->merge], log_p);
    for (int64_t i = 0; i < n - 1 && status == WEFT_OK; i++) sum += log_p[i];
    if (status == WEFT_OK) printf("%.6f\t%lld\n", sum, (long long)n - 1);
    weft_free(log_p);
    return status;
}

static weft_status run_text(const arguments *args)
{
    weft_model *model = NULL;
    weft_corpus *corpus = weft_corpus_new();
    weft_tape *tape = weft_tape_new(WEFT_NO_GRAD);
    weft_status status = corpus && tape ? weft_threads_set((int)args->n_threads) : WEFT_ERR_MEMORY;
    if (status == WEFT_OK) status = weft_model_load(args->models.text[0], &model);
    if (status == WEFT_OK && !model->transformer.config.decoder_only)
        status =
            weft_error(WEFT_ERR_INPUT, "%s: the model translates: it takes --pairs, not --text",
                       args->models.text[0]);
    if (status == WEFT_OK) status = weft_corpus_read_text(corpus, args->text);
    if (status == WEFT_OK) status = weft_corpus_encode(corpus, NULL, model->target_vocab);
    if (status == WEFT_OK) {
        int64_t n = 0;
        const int32_t *const ids = weft_corpus_ids(corpus, WEFT_TARGET, 0, &n);
        status = print_text(args, model, tape, ids, n);
    }
    weft_tape_free(tape);
    weft_corpus_free(corpus);
    weft_model_free(model);
    return status;
}

static weft_status check_lengths(const arguments *args, const weft_config *config,
                                 const weft_corpus *corpus)
{
    const int64_t most = args->max_length > 0 ? args->max_length : weft_config_longest(config);
    const weft_status status =
        weft_corpus_check_lengths(corpus, WEFT_SOURCE, 0, most, "--max-length N");
    if (status != WEFT_OK) return status;
    return weft_corpus_check_lengths(corpus, WEFT_TARGET, 0, most, "--max-length N");
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
    if (status == WEFT_OK) status = check_lengths(args, &models.model[0]->config, corpus);
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
    arguments args = { .batch_tokens = 2048, .overlap = -1 };
    const weft_cli_option options[] = {
        { "model", WEFT_CLI_TEXTS, &args.models, "DIR",
          "folder of weft train, or a checkpoint; several decide together", 0, 0 },
        { "pairs", WEFT_CLI_TEXT, &args.pairs, "FILE",
          "source, tab, target: a line each, plain or .gz", 0, 0 },
        { "max-length", WEFT_CLI_INTEGER, &args.max_length, "N",
          "tokens of a side of a pair at most; ten times the model's data.max_length", 1, 1 << 24 },
        { "text", WEFT_CLI_TEXT, &args.text, "FILE",
          "running text for a decoder-only model, plain or .gz", 0, 0 },
        { "chunk", WEFT_CLI_INTEGER, &args.chunk, "N",
          "tokens of a text read at a time; as many as training looked back over", 1, 1 << 24 },
        { "overlap", WEFT_CLI_INTEGER, &args.overlap, "M",
          "tokens that a chunk shares with the one before; half a chunk", 0, 1 << 24 },
        { "merge", WEFT_CLI_CHOICE, &args.merge, "context|mean",
          "of a token in several chunks: that with most text before it, or the mean; context", 0,
          0 },
        { "batch-tokens", WEFT_CLI_INTEGER, &args.batch_tokens, "N",
          "tokens a side read at a time; 2048", 1, 1 << 24 },
        { "threads", WEFT_CLI_INTEGER, &args.n_threads, "N", "threads; 0, as many as there are", 0,
          256 },
    };
    const weft_cli_command command = {
        .name = "logprob",
        .synopsis =
            "--model DIR [--model DIR]... --pairs FILE [--max-length N] [--batch-tokens N]\n"
            "                    [--threads N]\n"
            "       weft logprob --model DIR --text FILE [--chunk N] [--overlap M] "
            "[--merge context|mean]",
        .summary = "Print for each pair log p(target | source) in nats, a tab, and the number of\n"
                   "target tokens; both count the end of the sentence. Or log p of a text, of\n"
                   "whatever length, and the number of tokens that were predicted.",
        .options = options,
        .n_options = sizeof options / sizeof *options,
    };
    int first_operand, exit_code;
    if (!weft_cli_parse(&command, argc, argv, &first_operand, &exit_code)) return exit_code;
    if (args.models.n == 0 || (!args.pairs && !args.text)) {
        fprintf(stderr, "weft logprob: --model DIR and --pairs FILE or --text FILE are needed\n");
        return WEFT_EXIT_USE;
    }
    if (args.text && (args.pairs || args.models.n > 1)) {
        fprintf(stderr, "weft logprob: --text goes with one --model and without --pairs\n");
        return WEFT_EXIT_USE;
    }
    const weft_status status = args.text ? run_text(&args) : run(&args);
    return status == WEFT_OK ? WEFT_EXIT_DONE : weft_cli_fail("logprob", status);
}
