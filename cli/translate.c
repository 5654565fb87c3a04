/* translate.c - `weft translate`: sentences in, translations out, line by line in the same order. */
#include "cli/attention.h"
#include "cli/cli.h"
#include "cli/models.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

typedef struct arguments {
    weft_cli_texts models;
    const char *prefix;
    int penalty; /* weft_length_penalty, in the order of the option's names */
    bool stream, replace_unknown;
    bool told;       /* that words are unknown */
    bool unanswered; /* a line of --stream */
    int64_t batch_tokens, n_threads, seed, max_source;
    weft_decode_spec spec;
    weft_cli_attention attention;
} arguments;

/* Input: sentences, and with --prefix what each translation begins with. */
typedef struct input {
    weft_lines *source, *prefix;
} input;

static weft_status open_input(const arguments *args, input *in)
{
    weft_status status = weft_lines_open("-", &in->source);
    if (status == WEFT_OK && args->prefix) status = weft_lines_open(args->prefix, &in->prefix);
    return status;
}

/* The next line; *taken: there was one, if not of text. */
static weft_status next_line(weft_lines *lines, const char **line, bool *taken)
{
    const int64_t before = weft_lines_number(lines);
    const weft_status status = weft_lines_next(lines, line, NULL);
    *taken = weft_lines_number(lines) > before;
    return status;
}

/* The next line as an item, also an empty one. *taken: there was one; else the input is at its end, or
 * no more of it can be read. */
static weft_status read_sentence(const input *in, weft_corpus *corpus, bool *taken)
{
    const char *line, *prefix = NULL;
    weft_status status = next_line(in->source, &line, taken);
    if (in->prefix) {
        bool prefix_taken;
        const weft_status of_prefix = next_line(in->prefix, &prefix, &prefix_taken);
        if (status == WEFT_OK) status = of_prefix;
        if (status == WEFT_OK && *taken != prefix_taken)
            status = weft_error(WEFT_ERR_INPUT, "line counts differ: there are more %s",
                                *taken ? "sentences than prefixes" : "prefixes than sentences");
        *taken = *taken && prefix_taken;
    }
    return status == WEFT_OK && *taken ? weft_corpus_add(corpus, line, prefix) : status;
}

/* Hypothesis i as text, with --replace-unknown without unknown words. */
static weft_status text_of(const arguments *args, const weft_cli_models *models,
                           const weft_corpus *corpus, const weft_hypotheses *hypotheses, int64_t i,
                           char **text)
{
    const int64_t n_best = args->spec.n_best > 0 ? args->spec.n_best : 1;
    const int32_t *const said = hypotheses->ids + hypotheses->offsets[i];
    const int64_t n = hypotheses->offsets[i + 1] - hypotheses->offsets[i];
    bool unknown = false;
    for (int64_t t = 0; t < n; t++) unknown |= said[t] == WEFT_UNK;
    if (!args->replace_unknown || !unknown)
        return weft_vocab_decode(models->model[0]->target_vocab, said, n, text);
    int64_t n_ids;
    const int32_t *const ids = weft_corpus_ids(corpus, WEFT_SOURCE, i / n_best, &n_ids);
    return weft_maps_known(models->model[0], models->translators[0].tape,
                           weft_corpus_text(corpus, WEFT_SOURCE, i / n_best), ids, n_ids, said, n,
                           &args->attention.choice, text);
}

static weft_status flush(void)
{
    return fflush(stdout) == 0 ? WEFT_OK
                               : weft_error(WEFT_ERR_IO, "the translations could not be written");
}

static void print_rank(const arguments *args, int64_t sentence, double score)
{
    if (args->spec.n_best > 0)
        printf("%" PRId64 "\t%.6f\t", args->spec.first + sentence + 1, score);
}

/* A translation a line; with --n-best several, each with the number of its sentence and its score. */
static weft_status print(const arguments *args, const weft_cli_models *models,
                         const weft_corpus *corpus, const weft_hypotheses *hypotheses)
{
    const int64_t n_best = args->spec.n_best > 0 ? args->spec.n_best : 1;
    for (int64_t i = 0; i < hypotheses->B; i++) {
        char *text = NULL;
        if (isinf(hypotheses->scores[i]) && i % n_best > 0) continue; /* not so many were found */
        const weft_status status = text_of(args, models, corpus, hypotheses, i, &text);
        if (status != WEFT_OK) return status;
        print_rank(args, i / n_best, hypotheses->scores[i]);
        puts(text);
        weft_free(text);
    }
    return flush();
}

/* What is wrong with a line of --stream is said, and it is answered by an empty one. */
static weft_status answer_nothing(arguments *args, weft_status status)
{
    (void)weft_cli_fail("translate", status);
    args->unanswered = true;
    print_rank(args, 0, -INFINITY);
    puts("");
    return flush();
}

/* The maps of the best hypothesis of each sentence; an empty one has none. */
static weft_status add_maps(arguments *args, const weft_cli_models *models,
                            const weft_corpus *corpus, const weft_hypotheses *hypotheses)
{
    const int64_t n_best = args->spec.n_best > 0 ? args->spec.n_best : 1;
    weft_status status = WEFT_OK;
    for (int64_t i = 0; i < weft_corpus_size(corpus) && status == WEFT_OK; i++) {
        int64_t n;
        const int32_t *const ids = weft_corpus_ids(corpus, WEFT_SOURCE, i, &n),
                             from = hypotheses->offsets[i * n_best];
        if (n > 0)
            status = weft_cli_attention_add(&args->attention, models->model[0],
                                            models->translators[0].tape, args->spec.first + i + 1,
                                            ids, n, hypotheses->ids + from,
                                            hypotheses->offsets[i * n_best + 1] - from);
    }
    return status;
}

static weft_status check_lengths(const arguments *args, const weft_corpus *corpus)
{
    return weft_corpus_check_lengths(corpus, WEFT_SOURCE, args->spec.first, args->max_source,
                                     "--max-source N");
}

/* Does the model know this language at all? Unknown words, and characters spelt in bytes, are counted. */
static void tell_unknown(arguments *args, const weft_model *model, const weft_corpus *corpus)
{
    int64_t n_unknown, n;
    const int64_t n_tokens = weft_corpus_tokens(corpus, WEFT_SOURCE, &n_unknown);
    const bool bytes = weft_vocab_get_spec(model->source_vocab).bpe != NULL;
    for (int64_t i = 0; bytes && i < weft_corpus_size(corpus); i++) {
        const int32_t *const ids = weft_corpus_ids(corpus, WEFT_SOURCE, i, &n);
        for (int64_t k = 0; ids && k < n; k++)
            n_unknown += ids[k] >= WEFT_FIRST_BYTE && ids[k] < WEFT_FIRST_BYTE + WEFT_N_BYTES;
    }
    if (args->told || 2 * n_unknown <= n_tokens) return;
    args->told = true;
    fprintf(stderr,
            "weft translate: %" PRId64 " of %" PRId64
            " tokens are %s: is this the language that the model was trained on?\n",
            n_unknown, n_tokens, bytes ? "characters spelt in bytes" : "unknown to the model");
}

static weft_status translate(arguments *args, const weft_cli_models *models, weft_corpus *corpus,
                             weft_hypotheses *hypotheses)
{
    const weft_model *model = models->model[0];
    weft_status status = weft_corpus_encode(corpus, model->source_vocab, model->target_vocab);
    if (status == WEFT_OK) status = check_lengths(args, corpus);
    if (status != WEFT_OK) return status;
    tell_unknown(args, model, corpus);
    return weft_decode_corpus(models->translators, models->n, corpus, args->batch_tokens,
                              &args->spec, hypotheses);
}

/* Translate what comes next, all or (--stream) a line. *more: it was a line. */
static weft_status translate_next(arguments *args, const weft_cli_models *models, const input *in,
                                  bool *more)
{
    weft_hypotheses hypotheses = { 0 };
    weft_corpus *corpus = weft_corpus_new();
    if (!corpus) return WEFT_ERR_MEMORY;
    weft_status status = WEFT_OK;
    do status = read_sentence(in, corpus, more);
    while (status == WEFT_OK && *more && !args->stream);
    const bool any = weft_corpus_size(corpus) > 0;
    if (status == WEFT_OK && any) status = translate(args, models, corpus, &hypotheses);
    if (args->stream && *more && (status == WEFT_ERR_INPUT || status == WEFT_ERR_RANGE)) {
        status = answer_nothing(args, status);
    } else if (any) {
        if (status == WEFT_OK) status = print(args, models, corpus, &hypotheses);
        if (status == WEFT_OK && args->attention.path)
            status = add_maps(args, models, corpus, &hypotheses);
    }
    weft_hypotheses_free(&hypotheses);
    weft_corpus_free(corpus);
    return status;
}

static weft_status check_replacing(const arguments *args, const weft_cli_models *models)
{
    const weft_model *model = models->model[0];
    if (weft_vocab_get_spec(model->source_vocab).bpe ||
        weft_vocab_get_spec(model->target_vocab).bpe)
        return weft_error(
            WEFT_ERR_INPUT,
            "--replace-unknown is for vocabularies of words: pieces and bytes, as this "
            "model has them, leave nothing unknown");
    return weft_map_choice_check(&args->attention.choice, &model->transformer.config);
}

/* What the options left open: as long as in validation, and ten times as long as in training. */
static void set_lengths(arguments *args, const weft_config *config)
{
    if (args->spec.max_length == 0) args->spec.max_length = config->train.max_decode_length;
    if (args->max_source == 0) args->max_source = weft_config_longest(config);
}

static weft_status run(arguments *args)
{
    weft_cli_models models = { 0 };
    input in = { NULL, NULL };
    weft_status status = weft_threads_set((int)args->n_threads);
    if (status == WEFT_OK) status = weft_cli_models_load(&args->models, &models);
    if (status == WEFT_OK) set_lengths(args, &models.model[0]->config);
    if (status == WEFT_OK) status = open_input(args, &in);
    if (status == WEFT_OK && args->replace_unknown) status = check_replacing(args, &models);
    if (status == WEFT_OK && args->attention.path)
        status = weft_cli_attention_begin(&args->attention, models.model[0]);
    for (bool more = true; status == WEFT_OK && more; args->spec.first++)
        status = translate_next(args, &models, &in, &more);
    if (status == WEFT_OK && args->attention.path)
        status = weft_cli_attention_end(&args->attention, models.model[0]);
    weft_cli_attention_free(&args->attention);
    weft_lines_free(in.source);
    weft_lines_free(in.prefix);
    weft_cli_models_free(&models);
    return status;
}

/* What the options say together. */
static bool complete(arguments *args)
{
    weft_decode_spec *spec = &args->spec;
    if (args->models.n == 0) {
        fprintf(stderr, "weft translate: a model is needed: --model DIR\n");
        return false;
    }
    const bool drawing =
        args->seed >= 0 || spec->top_k > 0 || spec->top_p > 0 || !isnan(spec->temperature);
    if (drawing && !spec->sample) {
        fprintf(stderr,
                "weft translate: --temperature, --top-k, --top-p and --seed need --sample\n");
        return false;
    }
    if (args->attention.path && args->models.n > 1) {
        fprintf(stderr, "weft translate: --attention shows one model, not several together\n");
        return false;
    }
    if (spec->n_best > spec->beam) {
        fprintf(stderr, "weft translate: --n-best %lld needs a --beam of at least as many\n",
                (long long)spec->n_best);
        return false;
    }
    spec->penalty = (weft_length_penalty)args->penalty;
    if (isnan(spec->alpha)) spec->alpha = weft_length_penalty_alpha(spec->penalty);
    if (isnan(spec->temperature)) spec->temperature = 1;
    spec->seed = args->seed >= 0 ? (uint64_t)args->seed : 1;
    spec->forced = args->prefix != NULL;
    return true;
}

int weft_cli_translate(int argc, char **argv)
{
    arguments args = { .batch_tokens = 4096,
                       .seed = -1,
                       .attention = { .choice = { -1, -1 } },
                       .spec = { .beam = 1, .alpha = (double)NAN, .temperature = (double)NAN } };
    weft_decode_spec *const spec = &args.spec;
    const weft_cli_option options[] = {
        { "model", WEFT_CLI_TEXTS, &args.models, "DIR",
          "folder of weft train, or a checkpoint; several decide together", 0, 0 },
        { "beam", WEFT_CLI_INTEGER, &spec->beam, "K", "hypotheses followed at a time; 1, greedy", 1,
          10000 },
        { "penalty", WEFT_CLI_CHOICE, &args.penalty, "gnmt|power|word",
          "log p / ((5+L)/6)^A, log p / L^A, or log p - A L for length L; gnmt", 0, 0 },
        { "length-penalty", WEFT_CLI_REAL, &spec->alpha, "A", "gnmt 0.6, power 1, word 0", -1e6,
          1e6 },
        { "n-best", WEFT_CLI_INTEGER, &spec->n_best, "N",
          "print the N best of a sentence: number, tab, score, tab, text", 1, 10000 },
        { "max-length", WEFT_CLI_INTEGER, &spec->max_length, "N",
          "tokens of a translation at most; as train.max_decode_length of the model", 1, 1 << 24 },
        { "max-source", WEFT_CLI_INTEGER, &args.max_source, "N",
          "tokens of a line at most; ten times the model's data.max_length", 1, 1 << 24 },
        { "no-repeat-ngram", WEFT_CLI_INTEGER, &spec->no_repeat_ngram, "N",
          "say no N tokens twice; 0, they may be", 0, 1 << 24 },
        { "prefix", WEFT_CLI_TEXT, &args.prefix, "FILE",
          "what each translation begins with, a line a sentence", 0, 0 },
        { "sample", WEFT_CLI_FLAG, &spec->sample, NULL,
          "draw the K hypotheses instead of searching for the likeliest", 0, 0 },
        { "temperature", WEFT_CLI_REAL, &spec->temperature, "T", "logits are divided by it; 1", 0,
          1e6 },
        { "top-k", WEFT_CLI_INTEGER, &spec->top_k, "N", "draw from the N likeliest tokens; 0, all",
          0, 1 << 24 },
        { "top-p", WEFT_CLI_REAL, &spec->top_p, "P",
          "draw from the likeliest tokens that together reach this probability; 0, all", 0, 1 },
        { "seed", WEFT_CLI_INTEGER, &args.seed, "S", "equal seeds draw equal translations; 1", 0,
          9007199254740992.0 },
        { "replace-unknown", WEFT_CLI_FLAG, &args.replace_unknown, NULL,
          "put the source word that the attention looked at most for each <unk>", 0, 0 },
        WEFT_CLI_ATTENTION(args.attention),
        { "stream", WEFT_CLI_FLAG, &args.stream, NULL,
          "answer each line as it comes; one that cannot be translated by an empty line", 0, 0 },
        { "batch-tokens", WEFT_CLI_INTEGER, &args.batch_tokens, "N",
          "source tokens translated at a time; 4096", 1, 1 << 24 },
        { "threads", WEFT_CLI_INTEGER, &args.n_threads, "N", "threads; 0, as many as there are", 0,
          256 },
    };
    const weft_cli_command command = {
        .name = "translate",
        .synopsis = "--model DIR [--model DIR]... [--beam K] [options] < source > hypotheses",
        .summary =
            "Translate sentences, one a line. An empty line gives an empty line. All input is\n"
            "read before the first output, unless --stream. A translation does not depend on\n"
            "the others, nor on --batch-tokens and --threads. Exit code 1: --stream left lines\n"
            "unanswered.",
        .options = options,
        .n_options = sizeof options / sizeof *options,
    };
    int first_operand, exit_code;
    if (!weft_cli_parse(&command, argc, argv, &first_operand, &exit_code)) return exit_code;
    if (!complete(&args)) return WEFT_EXIT_USE;
    const weft_status status = run(&args);
    if (status != WEFT_OK) return weft_cli_fail("translate", status);
    return args.unanswered ? WEFT_EXIT_NO : WEFT_EXIT_DONE;
}
