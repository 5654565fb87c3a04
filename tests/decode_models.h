/* decode_models.h - small models with random weights, and sentences, for the tests of decoding. */
#ifndef WEFT_TESTS_DECODE_MODELS_H
#define WEFT_TESTS_DECODE_MODELS_H

#include "check_main.h"

#include "data/data.h"
#include "train/decode.h"

#include <string.h>

enum { V = 11, MOST = 512 };

typedef struct model {
    weft_params *params;
    weft_transformer *net;
    weft_tape *tape;
} model;

/* Random weights, large enough that what is said depends on what was read. */
static inline model model_with(bool decoder_only, bool pre_norm, weft_position_kind position,
                               int64_t n_tokens, uint64_t seed)
{
    const weft_transformer_config config = {
        .decoder_only = decoder_only,
        .layer = { .D = 16,
                   .F = 24,
                   .heads = 2,
                   .place = pre_norm ? WEFT_PRE_NORM : WEFT_POST_NORM,
                   .activation = WEFT_RELU,
                   .dropout = 0.3,
                   .init = { WEFT_INIT_XAVIER_UNIFORM, 1.5, 0 } },
        .encoder_layers = 2,
        .decoder_layers = 2,
        .source_V = n_tokens,
        .target_V = n_tokens,
        .final_norm = pre_norm,
        .position = position,
        .max_positions = 24,
        .embedding_std = 1,
    };
    model m = { weft_params_new(seed), calloc(1, sizeof(weft_transformer)),
                weft_tape_new(WEFT_NO_GRAD) };
    ck_assert_ptr_nonnull(m.params);
    ck_assert_ptr_nonnull(m.net);
    ck_assert_ptr_nonnull(m.tape);
    ck_assert_int_eq(weft_transformer_init(m.net, m.params, &config), WEFT_OK);
    return m;
}

static inline model model_new(bool decoder_only, bool pre_norm, weft_position_kind position,
                              uint64_t seed)
{
    return model_with(decoder_only, pre_norm, position, V, seed);
}

static inline void model_free(model *m)
{
    weft_tape_free(m->tape);
    weft_params_free(m->params);
    free(m->net);
}

/* Sentences of 0 .. 9 tokens, </s> at the end of each. */
enum { N_SENTENCES = 12 };
typedef struct sentences {
    int32_t ids[MOST], offsets[N_SENTENCES + 1], rows[2 * MOST];
    weft_tokens tokens;
} sentences;

static inline void sentences_make(sentences *s)
{
    int32_t N = 0;
    for (int b = 0; b < N_SENTENCES; b++) {
        const int n = (b * 7 + 3) % 10;
        s->offsets[b] = N;
        for (int k = 0; k <= n; k++, N++) {
            s->ids[N] =
                k < n ? WEFT_N_SPECIALS + (b * 5 + k * k + k) % (V - WEFT_N_SPECIALS) : WEFT_EOS;
            s->rows[2 * N] = b;
            s->rows[2 * N + 1] = k;
        }
    }
    s->offsets[N_SENTENCES] = N;
    s->tokens = (weft_tokens){ N_SENTENCES, N, s->ids, s->offsets, s->rows };
}

static inline weft_tokens one_sentence(const sentences *s, int b, int32_t offsets[2])
{
    const int32_t from = s->offsets[b], n = s->offsets[b + 1] - from;
    offsets[0] = 0;
    offsets[1] = n;
    return (weft_tokens){ 1, n, s->ids + from, offsets, s->rows + 2 * (ptrdiff_t)from };
}

/* The logits after target[0 .. n-1], read as a whole: a row on the model's tape. */
static inline weft_var logits_after(const model *m, const weft_tokens *source,
                                    const int32_t *target, int n)
{
    int32_t offsets[2] = { 0, n }, rows[2 * MOST];
    for (int k = 0; k < n; k++) {
        rows[2 * k] = 0;
        rows[2 * k + 1] = k;
    }
    const weft_tokens read = { 1, n, target, offsets, rows };
    weft_tape_reset(m->tape);
    const weft_var memory = source ? weft_transformer_encode(m->net, m->tape, source) : WEFT_NIL;
    const weft_var x = weft_transformer_decode(m->net, m->tape, &read, memory, source);
    const weft_var logits = weft_transformer_logits(m->net, m->tape, x);
    ck_assert_msg(weft_tape_status(m->tape) == WEFT_OK, "%s", weft_tape_message(m->tape));
    return weft_slice(m->tape, logits, 0, n - 1, n);
}

static inline void same_hypotheses(const weft_hypotheses *a, const weft_hypotheses *b)
{
    ck_assert_int_eq(a->B, b->B);
    ck_assert_mem_eq(a->offsets, b->offsets, (size_t)(a->B + 1) * sizeof *a->offsets);
    ck_assert_mem_eq(a->ids, b->ids, (size_t)a->offsets[a->B] * sizeof *a->ids);
}

static inline bool has_repeat(const int32_t *ids, int64_t n_ids, int64_t n)
{
    for (int64_t i = 0; i + n <= n_ids; i++)
        for (int64_t k = i + 1; k + n <= n_ids; k++)
            if (memcmp(ids + i, ids + k, (size_t)n * sizeof *ids) == 0) return true;
    return false;
}

static inline void refused(weft_status got, weft_status expected, const char *text)
{
    ck_assert_int_eq(got, expected);
    ck_assert_msg(strstr(weft_message(), text) != NULL, "\"%s\" lacks \"%s\"", weft_message(),
                  text);
}

/* A corpus with the sentences above as text: letters for ids. */
static inline weft_corpus *corpus_make(const sentences *s, weft_vocab **vocab)
{
    const weft_vocab_spec spec = { .tokens = WEFT_TOKENS_CHARS };
    ck_assert_int_eq(weft_vocab_new(&spec, vocab), WEFT_OK);
    ck_assert_int_eq(weft_vocab_count(*vocab, "aaaaaaaabbbbbbbccccccdddddeeeefffgghh"), WEFT_OK);
    ck_assert_int_eq(weft_vocab_build(*vocab), WEFT_OK);
    weft_corpus *corpus = weft_corpus_new();
    ck_assert_ptr_nonnull(corpus);
    for (int b = 0; b < N_SENTENCES; b++) {
        char text[MOST] = "";
        int n = 0;
        for (int32_t i = s->offsets[b]; i < s->offsets[b + 1] - 1; i++)
            text[n++] = *weft_vocab_token(*vocab, s->ids[i]);
        ck_assert_int_eq(weft_corpus_add(corpus, text, NULL), WEFT_OK);
    }
    ck_assert_int_eq(weft_corpus_encode(corpus, *vocab, NULL), WEFT_OK);
    return corpus;
}

#endif
