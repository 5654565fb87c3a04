/* generate.c - `weft generate`: text that goes on from a prompt, by a decoder-only model. */
#include "cli/attention.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "train/decode.h"
#include "train/model.h"

#include <stdio.h>
#include <string.h>

typedef struct arguments {
    const char *model, *prompt;
    int64_t n_threads, seed;
    weft_sample_spec spec;
    weft_cli_attention attention;
} arguments;

/* A prompt of unknown words or characters is seldom meant. */
static void tell_unknown(const int32_t *ids, int64_t n)
{
    int64_t n_unknown = 0;
    for (int64_t i = 0; i < n; i++) n_unknown += ids[i] == WEFT_UNK;
    if (n_unknown > 0)
        fprintf(stderr,
                "weft generate: %lld of %lld tokens of the prompt are unknown to the model\n",
                (long long)n_unknown, (long long)n);
}

/* The prompt's ids, in new memory; without a prompt the end of a line, or where that is no token <s>.
 * *n_shown is 0 where the ids are not to be printed. */
static weft_status start(const arguments *args, const weft_vocab *vocab, int32_t **ids, int64_t *n,
                         int64_t *n_shown)
{
    const weft_status status = weft_vocab_encode(vocab, args->prompt, ids, n);
    if (status != WEFT_OK) return weft_error_prefix(status, "the prompt: ");
    *n_shown = *n;
    tell_unknown(*ids, *n);
    if (*n > 0) return WEFT_OK;
    weft_free(*ids);
    *ids = weft_alloc(1, sizeof **ids);
    if (!*ids) return WEFT_ERR_MEMORY;
    const int32_t line_end = weft_vocab_id(vocab, "\n");
    (*ids)[(*n)++] = line_end != WEFT_UNK ? line_end : WEFT_BOS;
    return WEFT_OK;
}

/* Prompt and continuation as one text, so that the tokens at the seam join as they should. */
static weft_status join(const int32_t *prompt, int64_t n_prompt, const weft_hypotheses *said,
                        int32_t **ids, int64_t *n)
{
    const int64_t n_said = said->offsets[1];
    *n = n_prompt + n_said;
    *ids = weft_alloc((size_t)*n, sizeof **ids);
    if (!*ids) return WEFT_ERR_MEMORY;
    memcpy(*ids, prompt, (size_t)n_prompt * sizeof **ids);
    if (n_said > 0) memcpy(*ids + n_prompt, said->ids, (size_t)n_said * sizeof **ids);
    return WEFT_OK;
}

/* The first n_hidden of the ids are not to be printed. */
static weft_status print(const weft_vocab *vocab, const int32_t *ids, int64_t n, int64_t n_hidden)
{
    char *text = NULL;
    const weft_status status = weft_vocab_decode(vocab, ids + n_hidden, n - n_hidden, &text);
    if (status == WEFT_OK) puts(text);
    weft_free(text);
    return status;
}

/* The maps of the text's end, as much of it as the model looks back over. */
static weft_status write_maps(arguments *args, const weft_model *model, weft_tape *tape,
                              const int32_t *ids, int64_t n)
{
    weft_cli_attention *const a = &args->attention;
    const int64_t most = args->spec.context + 1, from = n > most ? n - most : 0;
    weft_status status = weft_cli_attention_add(a, model, tape, 1, NULL, 0, ids + from, n - from);
    if (status == WEFT_OK) status = weft_cli_attention_end(a, model);
    return status;
}

static weft_status generate(arguments *args, const weft_model *model, weft_tape *tape)
{
    int32_t *prompt = NULL, *ids = NULL;
    int64_t n_prompt = 0, n_shown = 0, n = 0;
    weft_hypotheses said = { 0 };
    weft_status status = WEFT_OK;
    if (args->attention.path) status = weft_cli_attention_begin(&args->attention, model);
    if (status == WEFT_OK) status = start(args, model->target_vocab, &prompt, &n_prompt, &n_shown);
    if (status == WEFT_OK)
        status = weft_sample(&model->transformer, tape, prompt, n_prompt, &args->spec, &said);
    if (status == WEFT_OK) status = join(prompt, n_prompt, &said, &ids, &n);
    if (status == WEFT_OK) status = print(model->target_vocab, ids, n, n_prompt - n_shown);
    if (status == WEFT_OK && args->attention.path) status = write_maps(args, model, tape, ids, n);
    weft_cli_attention_free(&args->attention);
    weft_hypotheses_free(&said);
    weft_free(prompt);
    weft_free(ids);
    return status;
}

static weft_status run(arguments *args)
{
    weft_model *model = NULL;
    weft_status status = weft_threads_set((int)args->n_threads);
    if (status == WEFT_OK) status = weft_model_load(args->model, &model);
    if (status != WEFT_OK) return status;
    /* What training looked back over. */
    const weft_config *config = &model->config;
    args->spec.context = config->data.max_length < config->train.batch_tokens
                             ? config->data.max_length
                             : config->train.batch_tokens;
    weft_tape *tape = weft_tape_new(WEFT_NO_GRAD);
    if (!model->transformer.config.decoder_only)
        status = weft_error(WEFT_ERR_INPUT,
                            "%s: the model translates (weft translate), it does not continue text",
                            args->model);
    else
        status = tape ? generate(args, model, tape) : WEFT_ERR_MEMORY;
    weft_tape_free(tape);
    weft_model_free(model);
    return status;
}

int weft_cli_generate(int argc, char **argv)
{
    arguments args = { .prompt = "",
                       .seed = 1,
                       .attention = { .choice = { -1, -1 } },
                       .spec = { .n_tokens = 200, .temperature = 1 } };
    const weft_cli_option options[] = {
        { "model", WEFT_CLI_TEXT, &args.model, "DIR", "folder of weft train, or a checkpoint", 0,
          0 },
        { "prompt", WEFT_CLI_TEXT, &args.prompt, "TEXT", "what to go on from; nothing", 0, 0 },
        { "tokens", WEFT_CLI_INTEGER, &args.spec.n_tokens, "N", "tokens to say; 200", 0, 1 << 24 },
        { "temperature", WEFT_CLI_REAL, &args.spec.temperature, "T",
          "logits are divided by it; 0 takes the likeliest token; 1", 0, 1e6 },
        { "top-k", WEFT_CLI_INTEGER, &args.spec.top_k, "K",
          "choose among the K likeliest tokens; 0, all", 0, 1 << 24 },
        { "top-p", WEFT_CLI_REAL, &args.spec.top_p, "P",
          "choose among the likeliest tokens that together reach this probability; 0, all", 0, 1 },
        { "no-repeat-ngram", WEFT_CLI_INTEGER, &args.spec.no_repeat_ngram, "N",
          "say no N tokens twice, those of the prompt included; 0, they may be", 0, 1 << 24 },
        { "seed", WEFT_CLI_INTEGER, &args.seed, "S", "equal seeds give equal texts; 1", 0,
          9007199254740992.0 },
        WEFT_CLI_ATTENTION(args.attention),
        { "threads", WEFT_CLI_INTEGER, &args.n_threads, "N", "threads; 0, as many as there are", 0,
          256 },
    };
    const weft_cli_command command = {
        .name = "generate",
        .synopsis =
            "--model DIR [--prompt TEXT] [--tokens N] [--temperature T] [--top-k K]\n"
            "                     [--top-p P] [--no-repeat-ngram N] [--seed S] [--threads N]",
        .summary = "Print text that goes on from a prompt, by a decoder-only model.",
        .options = options,
        .n_options = sizeof options / sizeof *options,
    };
    int first_operand, exit_code;
    if (!weft_cli_parse(&command, argc, argv, &first_operand, &exit_code)) return exit_code;
    if (!args.model) {
        fprintf(stderr, "weft generate: a model is needed: --model DIR\n");
        return WEFT_EXIT_USE;
    }
    args.spec.seed = (uint64_t)args.seed;
    const weft_status status = run(&args);
    return status == WEFT_OK ? WEFT_EXIT_DONE : weft_cli_fail("generate", status);
}
