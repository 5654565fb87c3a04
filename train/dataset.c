/* dataset.c - from the section [data] of a configuration to corpora and vocabularies. */
#include "train/dataset.h"
#include "data/tasks.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static weft_status read_task(const weft_config *config, weft_part part, weft_corpus *corpus)
{
    const weft_task *task = weft_task_find(config->data.task);
    if (!task) return WEFT_ERR_INPUT;
    if (config->model.kind == WEFT_CONFIG_DECODER_ONLY)
        return weft_error(WEFT_ERR_INPUT,
                          "data.task = %s has a source and a target: it needs model.kind = "
                          "encoder-decoder; a decoder alone trains on running text (data.train)",
                          task->name);
    const int64_t longest = config->data.length > 0 ? config->data.length : task->length.usual;
    const int64_t test_length = config->data.test_length;
    if (test_length > 0 && test_length <= longest)
        return weft_error(WEFT_ERR_INPUT,
                          "data.test_length = %lld must be above the %lld symbols of training",
                          (long long)test_length, (long long)longest);
    weft_task_stream stream = { .task = task,
                                .seed = (uint64_t)config->train.seed,
                                .held_out = part != WEFT_PART_TRAIN,
                                .longest = (int)longest,
                                .k = (int)config->data.task_k };
    int64_t first = 0;
    if (part == WEFT_PART_TEST && test_length > 0) {
        stream.shortest = (int)longest + 1;
        stream.longest = (int)test_length;
    } else if (part == WEFT_PART_TEST) {
        first = config->data.valid_size;
    }
    const int64_t n = stream.held_out ? config->data.valid_size : config->data.train_size;
    return weft_task_corpus(&stream, first, n, corpus);
}

static bool ends_in(const char *path, const char *ending)
{
    const size_t n = strlen(path), n_ending = strlen(ending);
    return n >= n_ending && strcmp(path + n - n_ending, ending) == 0;
}

/* The common beginning of two files, and not one file of pairs? */
static bool is_parallel(const weft_config *config, const char *path)
{
    return config->data.src[0] != '\0' && !ends_in(path, ".tsv") && !ends_in(path, ".tsv.gz");
}

static bool is_missing(const weft_config *config, const char *path)
{
    const char *const suffixes[] = { config->data.src, config->data.tgt };
    char name[2 * WEFT_CONFIG_TEXT + sizeof ".gz"];
    if (!is_parallel(config, path)) return access(path, F_OK) != 0;
    for (int side = 0; side < 2; side++) {
        snprintf(name, sizeof name, "%s.%s.gz", path, suffixes[side]);
        const bool zipped = access(name, F_OK) == 0;
        name[strlen(name) - strlen(".gz")] = '\0';
        if (!zipped && access(name, F_OK) != 0) return true;
    }
    return false;
}

static weft_status read_files(const weft_config *config, const char *key, const char *path,
                              weft_corpus *corpus)
{
    weft_status status;
    if (config->model.kind == WEFT_CONFIG_DECODER_ONLY) {
        status = weft_corpus_read_text(corpus, path);
    } else if (is_parallel(config, path)) {
        status = weft_corpus_read_parallel(corpus, path, config->data.src, config->data.tgt);
    } else {
        status = weft_corpus_read_tsv(corpus, path);
    }
    /* A run may go on long after it began: its texts may lie elsewhere by then. */
    if (status == WEFT_ERR_INPUT && is_missing(config, path))
        return weft_error(status, "%s; --set data.%s=PATH names another", weft_message(), key);
    return status;
}

/* All texts of training, each with its weight. */
static weft_status read_train(const weft_config *config, weft_corpus *corpus)
{
    static const char *const keys[WEFT_CONFIG_CORPORA] = { "train", "train2", "train3", "train4" };
    weft_status status = WEFT_OK;
    for (int i = 0; i < WEFT_CONFIG_CORPORA && status == WEFT_OK; i++) {
        const char *path = i == 0 ? config->data.train : config->data.more[i - 1];
        if (path[0] == '\0') continue;
        status = weft_corpus_set_weight(corpus, config->data.weight[i]);
        if (status == WEFT_OK) status = read_files(config, keys[i], path, corpus);
    }
    return status;
}

weft_status weft_dataset_read(const weft_config *config, weft_part part, weft_corpus **corpus)
{
    const char *const paths[] = { [WEFT_PART_TRAIN] = config->data.train,
                                  [WEFT_PART_VALID] = config->data.valid,
                                  [WEFT_PART_TEST] = config->data.test };
    const bool task = config->data.task[0] != '\0';
    *corpus = NULL;
    if (!task && paths[part][0] == '\0') return WEFT_OK;
    weft_corpus *read = weft_corpus_new();
    if (!read) return WEFT_ERR_MEMORY;
    weft_status status;
    if (task) {
        status = read_task(config, part, read);
    } else if (part == WEFT_PART_TRAIN) {
        status = read_train(config, read);
    } else {
        status = read_files(config, part == WEFT_PART_VALID ? "valid" : "test", paths[part], read);
    }
    if (status == WEFT_OK) {
        *corpus = read;
    } else {
        weft_corpus_free(read);
    }
    return status;
}

static weft_tokens_kind tokens_of(const weft_config *config)
{
    if (config->data.task[0] != '\0') {
        const weft_task *task = weft_task_find(config->data.task);
        if (task) return task->tokens;
    }
    if (config->data.vocab == WEFT_CONFIG_CHAR) return WEFT_TOKENS_CHARS;
    return config->data.tokenise == WEFT_CONFIG_PUNCT ? WEFT_TOKENS_PUNCT : WEFT_TOKENS_SPACE;
}

static const char *cut_into(weft_tokens_kind tokens, bool pieces)
{
    if (pieces) return "pieces (data.vocab = bpe)";
    return tokens == WEFT_TOKENS_CHARS   ? "characters"
           : tokens == WEFT_TOKENS_PUNCT ? "words and punctuation (data.tokenise = punct)"
                                         : "words between spaces";
}

weft_status weft_dataset_check_vocab(const weft_config *config, const weft_vocab *vocab)
{
    const weft_vocab_spec is = weft_vocab_get_spec(vocab);
    const weft_tokens_kind wanted = tokens_of(config);
    const bool pieces = config->data.vocab == WEFT_CONFIG_BPE;
    if (is.tokens != wanted || (is.bpe != NULL) != pieces)
        return weft_error(WEFT_ERR_INPUT,
                          "its vocabulary is of %s, and the configuration asks for %s",
                          cut_into(is.tokens, is.bpe != NULL), cut_into(wanted, pieces));
    if (is.lowercase != config->data.lowercase)
        return weft_error(WEFT_ERR_INPUT, "its vocabulary is%s in lower case: data.lowercase = %s",
                          is.lowercase ? "" : " not", is.lowercase ? "false" : "true");
    return WEFT_OK;
}

/* Which sides a vocabulary is of, and where its codes are to be read. */
typedef struct share {
    bool source, target;
    const char *codes; /* "" to learn them */
} share;

static weft_status count(const weft_corpus *train, share of, weft_vocab *vocab)
{
    weft_status status = WEFT_OK;
    if (of.source) status = weft_corpus_count(train, WEFT_SOURCE, vocab);
    if (of.target && status == WEFT_OK) status = weft_corpus_count(train, WEFT_TARGET, vocab);
    return status;
}

/* Codes from the file, or learnt from the words that were counted. */
static weft_status make_codes(const weft_config *config, share of, const weft_vocab *words,
                              weft_bpe **bpe)
{
    if (of.codes[0] != '\0') return weft_bpe_read(of.codes, bpe);
    const int64_t room = config->data.max_vocab - WEFT_FIRST_BYTE - WEFT_N_BYTES;
    const weft_bpe_spec spec = { .merges = config->data.merges,
                                 .vocab_size = config->data.merges > 0 ? 0 : room };
    return weft_bpe_learn(words, &spec, bpe);
}

/* A vocabulary of pieces: count words, cut each as often as it was counted. */
static weft_status build_pieces(const weft_config *config, const weft_corpus *train, share of,
                                weft_vocab_spec spec, weft_vocab **vocab)
{
    weft_vocab *words = NULL;
    weft_bpe *bpe = NULL;
    const weft_vocab_spec whole = { .tokens = spec.tokens, .lowercase = spec.lowercase };
    if (spec.tokens == WEFT_TOKENS_CHARS)
        return weft_error(WEFT_ERR_INPUT,
                          "data.vocab = bpe cuts words, and data.task = %s has none",
                          config->data.task);
    weft_status status = weft_vocab_new(&whole, &words);
    if (status == WEFT_OK) status = count(train, of, words);
    if (status == WEFT_OK) status = make_codes(config, of, words, &bpe);
    spec.bpe = bpe;
    spec.bpe_symbols = config->data.bpe_dropout > 0;
    if (status == WEFT_OK) status = weft_vocab_new(&spec, vocab);
    if (status == WEFT_OK) status = weft_vocab_count_words(*vocab, words);
    weft_vocab_free(words);
    weft_bpe_free(bpe);
    return status;
}

/* A vocabulary of one side, or of both. */
static weft_status build(const weft_config *config, const weft_corpus *train, share of,
                         weft_vocab **vocab)
{
    const weft_vocab_spec spec = { .tokens = tokens_of(config),
                                   .lowercase = config->data.lowercase,
                                   .min_count = config->data.min_count,
                                   .max_size = config->data.max_vocab };
    *vocab = NULL;
    weft_status status;
    if (config->data.vocab == WEFT_CONFIG_BPE) {
        status = build_pieces(config, train, of, spec, vocab);
    } else {
        status = weft_vocab_new(&spec, vocab);
        if (status == WEFT_OK) status = count(train, of, *vocab);
    }
    if (status == WEFT_OK) status = weft_vocab_build(*vocab);
    if (status != WEFT_OK) {
        weft_vocab_free(*vocab);
        *vocab = NULL;
    }
    return status;
}

weft_status weft_dataset_vocabs(const weft_config *config, const weft_corpus *train,
                                weft_vocab **source, weft_vocab **target)
{
    *source = NULL;
    *target = NULL;
    const char *codes = config->data.codes;
    const char *codes_tgt = config->data.codes_tgt[0] != '\0' ? config->data.codes_tgt : codes;
    if (config->model.kind == WEFT_CONFIG_DECODER_ONLY)
        return build(config, train, (share){ .target = true, .codes = codes }, target);
    if (config->data.joint_vocab) {
        const share both = { .source = true, .target = true, .codes = codes };
        const weft_status status = build(config, train, both, source);
        *target = *source;
        return status;
    }
    weft_status status = build(config, train, (share){ .source = true, .codes = codes }, source);
    if (status == WEFT_OK)
        status = build(config, train, (share){ .target = true, .codes = codes_tgt }, target);
    if (status != WEFT_OK) {
        weft_vocab_free(*source);
        *source = NULL;
    }
    return status;
}
