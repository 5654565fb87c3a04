/* bpe.c - `weft bpe`: learn byte pair encoding from text, and cut text by it. */
#include "data/bpe.h"
#include "cli/cli.h"
#include "cli/dispatch.h"
#include "cli/options.h"
#include "data/file_internal.h"
#include "data/text.h"

#include <stdio.h>
#include <string.h>

/* How words are found. */
typedef struct words {
    int tokenise; /* weft_tokens_kind */
    bool lowercase;
} words;

/* ---- learn ----------------------------------------------------------------------------------- */

typedef struct learn_arguments {
    weft_cli_texts inputs;
    const char *out;
    words words;
    weft_bpe_spec spec;
} learn_arguments;

static weft_status count_file(const char *path, weft_vocab *vocab)
{
    weft_lines *lines = NULL;
    const char *line = NULL;
    weft_status status = weft_lines_open(path, &lines);
    while (status == WEFT_OK) {
        status = weft_lines_next(lines, &line, NULL);
        if (status != WEFT_OK || !line) break;
        status = weft_vocab_count(vocab, line);
    }
    weft_lines_free(lines);
    return status;
}

static weft_status write_codes(const weft_bpe *bpe, const char *path)
{
    char *text = weft_bpe_write(bpe);
    if (!text) return WEFT_ERR_MEMORY;
    weft_status status = WEFT_OK;
    if (path) {
        status = weft_file_replace(path, text, strlen(text), NULL, NULL);
    } else {
        fputs(text, stdout);
    }
    weft_free(text);
    return status;
}

static weft_status learn(const learn_arguments *args)
{
    const weft_vocab_spec kind = { .tokens = (weft_tokens_kind)args->words.tokenise,
                                   .lowercase = args->words.lowercase };
    weft_vocab *counted = NULL;
    weft_bpe *bpe = NULL;
    weft_status status = weft_vocab_new(&kind, &counted);
    if (status == WEFT_OK && args->inputs.n == 0) status = count_file("-", counted);
    for (int i = 0; i < args->inputs.n && status == WEFT_OK; i++)
        status = count_file(args->inputs.text[i], counted);
    if (status == WEFT_OK) status = weft_bpe_learn(counted, &args->spec, &bpe);
    if (status == WEFT_OK) status = write_codes(bpe, args->out);
    const int64_t n = args->spec.merges;
    if (status == WEFT_OK && weft_bpe_size(bpe) < n)
        fprintf(stderr, "the text has no more than %lld merges to learn\n",
                (long long)weft_bpe_size(bpe));
    weft_bpe_free(bpe);
    weft_vocab_free(counted);
    return status;
}

static int learn_command(int argc, char **argv)
{
    learn_arguments args = { .spec = { .min_count = 2 } };
    const weft_cli_option options[] = {
        { "input", WEFT_CLI_TEXTS, &args.inputs, "FILE",
          "text, may be repeated (both languages: joint codes); standard input", 0, 0 },
        { "merges", WEFT_CLI_INTEGER, &args.spec.merges, "N", "merges to learn", 1, INT32_MAX },
        { "vocab-size", WEFT_CLI_INTEGER, &args.spec.vocab_size, "N",
          "instead of --merges: so many less one for each character", 1, INT32_MAX },
        { "min-count", WEFT_CLI_INTEGER, &args.spec.min_count, "N",
          "stop before a pair that is rarer; 2", 1, INT32_MAX },
        { "tokenise", WEFT_CLI_CHOICE, &args.words.tokenise, "space|punct",
          "how words are found: at white space alone, or with punctuation apart; space", 0, 0 },
        { "lowercase", WEFT_CLI_FLAG, &args.words.lowercase, NULL, "read the text in lower case", 0,
          0 },
        { "out", WEFT_CLI_TEXT, &args.out, "FILE", "file of codes; standard output", 0, 0 },
    };
    const weft_cli_command command = {
        .name = "bpe learn",
        .synopsis = "[--input FILE]... --merges N | --vocab-size N [--min-count N]\n"
                    "                      [--tokenise space|punct] [--lowercase] [--out FILE]",
        .summary =
            "Learn byte pair encoding from text and write it as subword-nmt does (version 0.2).\n"
            "Training learns its own where data.codes names no file.",
        .options = options,
        .n_options = sizeof options / sizeof *options,
    };
    int first_operand, exit_code;
    if (!weft_cli_parse(&command, argc, argv, &first_operand, &exit_code)) return exit_code;
    if ((args.spec.merges > 0) == (args.spec.vocab_size > 0)) {
        fprintf(stderr, "weft bpe learn: one of --merges N and --vocab-size N is needed\n");
        return WEFT_EXIT_USE;
    }
    const weft_status status = learn(&args);
    return status == WEFT_OK ? WEFT_EXIT_DONE : weft_cli_fail("bpe learn", status);
}

/* ---- apply ----------------------------------------------------------------------------------- */

typedef struct apply_arguments {
    const char *codes;
    words words;
    double dropout;
    int64_t seed;
} apply_arguments;

/* Spaces at the ends of a line stay, as in subword-nmt. */
static void print_line(const char *line, const char *cut, bool spaces)
{
    const size_t n_bytes = strlen(line), n_before = spaces ? strspn(line, " ") : 0;
    size_t n_after = 0;
    while (spaces && n_before + n_after < n_bytes && line[n_bytes - 1 - n_after] == ' ') n_after++;
    printf("%.*s%s%s\n", (int)n_before, line, cut, line + n_bytes - n_after);
}

static weft_status apply_lines(const apply_arguments *args, const weft_bpe *bpe, weft_lines *lines)
{
    weft_bpe_apply_spec spec = {
        .tokens = (weft_tokens_kind)args->words.tokenise,
        .lowercase = args->words.lowercase,
        .dropout = { .p = args->dropout, .key = weft_random_key((uint64_t)args->seed, 0, 0) }
    };
    const char *line;
    for (;;) {
        weft_status status = weft_lines_next(lines, &line, NULL);
        if (status != WEFT_OK || !line) return status;
        char *cut = NULL;
        spec.dropout.row = (uint64_t)weft_lines_number(lines);
        status = weft_bpe_apply(bpe, &spec, line, &cut);
        if (status != WEFT_OK) return status;
        print_line(line, cut, spec.tokens == WEFT_TOKENS_SPACE);
        weft_free(cut);
    }
}

static weft_status apply(const apply_arguments *args)
{
    weft_bpe *bpe = NULL;
    weft_lines *lines = NULL;
    weft_status status = weft_bpe_read(args->codes, &bpe);
    if (status == WEFT_OK) status = weft_lines_open("-", &lines);
    if (status == WEFT_OK) status = apply_lines(args, bpe, lines);
    weft_lines_free(lines);
    weft_bpe_free(bpe);
    return status;
}

static int apply_command(int argc, char **argv)
{
    apply_arguments args = { .seed = 1 };
    const weft_cli_option options[] = {
        { "codes", WEFT_CLI_TEXT, &args.codes, "FILE", "of weft bpe learn or subword-nmt", 0, 0 },
        { "tokenise", WEFT_CLI_CHOICE, &args.words.tokenise, "space|punct",
          "how words are found; space", 0, 0 },
        { "lowercase", WEFT_CLI_FLAG, &args.words.lowercase, NULL, "read the text in lower case", 0,
          0 },
        { "dropout", WEFT_CLI_REAL, &args.dropout, "P",
          "pass over each merge with this probability (BPE-dropout); 0", 0, 0.999999 },
        { "seed", WEFT_CLI_INTEGER, &args.seed, "S", "equal seeds drop equal merges; 1", 0,
          9007199254740992.0 },
    };
    const weft_cli_command command = {
        .name = "bpe apply",
        .synopsis = "--codes FILE [--tokenise space|punct] [--lowercase]\n"
                    "                      [--dropout P] [--seed S] < text > pieces",
        .summary = "Cut the words of a text, to look at: \"@@ \" stands between pieces of a word.\n"
                   "Training and translation take plain text and do this themselves.",
        .options = options,
        .n_options = sizeof options / sizeof *options,
    };
    int first_operand, exit_code;
    if (!weft_cli_parse(&command, argc, argv, &first_operand, &exit_code)) return exit_code;
    if (!args.codes) {
        fprintf(stderr, "weft bpe apply: codes are needed: --codes FILE\n");
        return WEFT_EXIT_USE;
    }
    const weft_status status = apply(&args);
    return status == WEFT_OK ? WEFT_EXIT_DONE : weft_cli_fail("bpe apply", status);
}

/* ---- the command ----------------------------------------------------------------------------- */

int weft_cli_bpe(int argc, char **argv)
{
    static const weft_cli_subcommand subcommands[] = {
        { "learn", learn_command, "learn merges from text" },
        { "apply", apply_command, "cut the words of a text" },
    };
    return weft_cli_dispatch("weft bpe", "Byte pair encoding: words as pieces that were learnt.",
                             sizeof subcommands / sizeof *subcommands, subcommands, argc, argv);
}
