/* dataset.c - from the section [data] of a configuration to corpora and vocabularies. */
#include "train/dataset.h"
#include "data/tasks.h"

static weft_status read_task(const weft_config *config, weft_part part, weft_corpus *corpus)
{
    const weft_task *task = weft_task_find(config->data.task);
    if (!task) return WEFT_ERR_INPUT;
    if (config->model.kind == WEFT_CONFIG_DECODER_ONLY)
        return weft_error(WEFT_ERR_INPUT,
                          "data.task = %s has a source and a target: it needs model.kind = "
                          "encoder-decoder",
                          task->name);
    const bool held_out = part != WEFT_PART_TRAIN;
    const int64_t n = held_out ? config->data.valid_size : config->data.train_size;
    return weft_task_corpus(task, (uint64_t)config->train.seed, n, held_out, corpus);
}

static weft_status read_files(const weft_config *config, const char *path, weft_corpus *corpus)
{
    if (config->model.kind == WEFT_CONFIG_DECODER_ONLY) return weft_corpus_read_text(corpus, path);
    if (config->data.src[0] != '\0')
        return weft_corpus_read_parallel(corpus, path, config->data.src, config->data.tgt);
    return weft_corpus_read_tsv(corpus, path);
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
    const weft_status status =
        task ? read_task(config, part, read) : read_files(config, paths[part], read);
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

/* A vocabulary of one side, or of both. */
static weft_status build(const weft_config *config, const weft_corpus *train, bool source,
                         bool target, weft_vocab **vocab)
{
    const weft_vocab_spec spec = { .tokens = tokens_of(config),
                                   .lowercase = config->data.lowercase,
                                   .min_count = config->data.min_count,
                                   .max_size = config->data.max_vocab };
    weft_status status = weft_vocab_new(&spec, vocab);
    if (status == WEFT_OK && source) status = weft_corpus_count(train, WEFT_SOURCE, *vocab);
    if (status == WEFT_OK && target) status = weft_corpus_count(train, WEFT_TARGET, *vocab);
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
    if (config->model.kind == WEFT_CONFIG_DECODER_ONLY)
        return build(config, train, false, true, target);
    if (config->data.joint_vocab) {
        const weft_status status = build(config, train, true, true, source);
        *target = *source;
        return status;
    }
    weft_status status = build(config, train, true, false, source);
    if (status == WEFT_OK) status = build(config, train, false, true, target);
    if (status != WEFT_OK) {
        weft_vocab_free(*source);
        *source = NULL;
    }
    return status;
}
