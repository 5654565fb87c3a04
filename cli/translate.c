/* translate.c - `weft translate`: sentences in, translations out, line by line in the same order. */
#include "cli/cli.h"
#include "cli/options.h"
#include "train/decode.h"
#include "train/model.h"

#include <stdio.h>

typedef struct arguments {
    const char *model;
    int64_t batch_tokens, n_threads;
} arguments;

/* Every line of the standard input is an item, also an empty one. */
static weft_status read_sentences(weft_corpus *corpus)
{
    weft_lines *lines = NULL;
    const char *line = NULL;
    weft_status status = weft_lines_open("-", &lines);
    while (status == WEFT_OK) {
        status = weft_lines_next(lines, &line, NULL);
        if (status != WEFT_OK || !line) break;
        status = weft_corpus_add(corpus, line, NULL);
    }
    weft_lines_free(lines);
    return status;
}

static weft_status print(const weft_vocab *vocab, const weft_hypotheses *hypotheses)
{
    for (int64_t i = 0; i < hypotheses->B; i++) {
        const int64_t from = hypotheses->offsets[i];
        char *text = NULL;
        const weft_status status = weft_vocab_decode(vocab, hypotheses->ids + from,
                                                     hypotheses->offsets[i + 1] - from, &text);
        if (status != WEFT_OK) return status;
        puts(text);
        weft_free(text);
    }
    return WEFT_OK;
}

static weft_status translate(const arguments *args, const weft_model *model, weft_corpus *corpus,
                             weft_tape *tape)
{
    if (model->transformer.config.decoder_only)
        return weft_error(WEFT_ERR_INPUT,
                          "%s: the model continues text (weft generate), it does not translate",
                          args->model);
    weft_status status = read_sentences(corpus);
    if (status == WEFT_OK && weft_corpus_size(corpus) == 0) return WEFT_OK;
    if (status == WEFT_OK) status = weft_corpus_encode(corpus, model->source_vocab, NULL);
    weft_hypotheses hypotheses = { 0 };
    if (status == WEFT_OK)
        status = weft_greedy_corpus(&model->transformer, tape, corpus, args->batch_tokens, 0,
                                    &hypotheses);
    if (status == WEFT_OK) status = print(model->target_vocab, &hypotheses);
    weft_hypotheses_free(&hypotheses);
    return status;
}

static weft_status run(const arguments *args)
{
    weft_model *model = NULL;
    weft_status status = weft_threads_set((int)args->n_threads);
    if (status == WEFT_OK) status = weft_model_load(args->model, &model);
    if (status != WEFT_OK) return status;
    weft_corpus *corpus = weft_corpus_new();
    weft_tape *tape = weft_tape_new(WEFT_NO_GRAD);
    status = corpus && tape ? translate(args, model, corpus, tape) : WEFT_ERR_MEMORY;
    weft_tape_free(tape);
    weft_corpus_free(corpus);
    weft_model_free(model);
    return status;
}

int weft_cli_translate(int argc, char **argv)
{
    arguments args = { .batch_tokens = 4096 };
    const weft_cli_option options[] = {
        { "model", WEFT_CLI_TEXT, &args.model, "DIR", "folder of weft train, or a checkpoint", 0,
          0 },
        { "batch-tokens", WEFT_CLI_INTEGER, &args.batch_tokens, "N",
          "source tokens translated at a time; 4096", 1, 1 << 24 },
        { "threads", WEFT_CLI_INTEGER, &args.n_threads, "N", "threads; 0, as many as there are", 0,
          256 },
    };
    const weft_cli_command command = {
        .name = "translate",
        .synopsis = "--model DIR [--batch-tokens N] [--threads N] < source > hypotheses",
        .summary = "Translate sentences, one a line, taking the likeliest token at every step. An\n"
                   "empty line gives an empty line. All input is read before the first output.",
        .options = options,
        .n_options = sizeof options / sizeof *options,
    };
    int first_operand, exit_code;
    if (!weft_cli_parse(&command, argc, argv, &first_operand, &exit_code)) return exit_code;
    if (!args.model) {
        fprintf(stderr, "weft translate: a model is needed: --model DIR\n");
        return WEFT_EXIT_USE;
    }
    const weft_status status = run(&args);
    return status == WEFT_OK ? WEFT_EXIT_DONE : weft_cli_fail("translate", status);
}
