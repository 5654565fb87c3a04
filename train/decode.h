/* decode.h - what a trained model says: translations, and text that goes on from a prompt.
 *
 * Keys and values of what was read are kept, so a further token costs one row a sentence. A
 * sentence's result does not depend on the others in its batch, nor on the number of threads. */
#ifndef WEFT_TRAIN_DECODE_H
#define WEFT_TRAIN_DECODE_H

#include "../data/chunks.h"
#include "../data/corpus.h"
#include "../layers/layers.h"

#include <signal.h>

/* B sentences of ids, without <s> and </s>; sentence b is ids[offsets[b]] .. ids[offsets[b+1] - 1].
 * On the heap: { 0 } before the first use, weft_hypotheses_free after the last. */
typedef struct weft_hypotheses {
    int64_t B;
    int64_t *offsets; /* [B+1] */
    int32_t *ids;     /* [offsets[B]] */
    double *scores;   /* [B] by which they were ranked; NULL for weft_sample */
} weft_hypotheses;
void weft_hypotheses_free(weft_hypotheses *hypotheses);

/* How the length L of a hypothesis, </s> included, enters its score. */
typedef enum weft_length_penalty {
    WEFT_PENALTY_GNMT, /* log p / ((5 + L) / 6)^alpha: Wu et al. 2016, equation 14; Vaswani et al.
                           2017 took alpha = 0.6 */
    WEFT_PENALTY_POWER, /* log p / L^alpha: fairseq's --lenpen, Marian's --normalize; 1 is the mean */
    WEFT_PENALTY_WORD   /* log p - alpha L: Marian's --word-penalty; below 0 it rewards words */
} weft_length_penalty;
/** The alpha that is usual: 0.6, 1 and 0. */
double weft_length_penalty_alpha(weft_length_penalty penalty);

/* Zero is a meaning of every field but `beam`. */
typedef struct weft_decode_spec {
    int64_t beam;   /* hypotheses followed at a time, at least 1; 1 takes the likeliest token at
                       every step (the lowest id of equals) */
    int64_t n_best; /* of these the best so many are returned, at most `beam`; 0 means 1 */
    weft_length_penalty penalty;
    double alpha;            /* of the penalty; 0: none */
    int64_t max_length;      /* tokens of a hypothesis at most; 0 means 50 more than its source, as
                                Vaswani et al. 2017, section 6.1. Learned positions end it as well. */
    int64_t no_repeat_ngram; /* say no n tokens twice (Paulus et al. 2018, 2.5); 0: any */
    bool forced;             /* weft_decode_corpus: hypotheses begin with the items' target side */
    bool sample;             /* draw each of the `beam` hypotheses by itself instead of searching */
    double temperature;      /* logits are divided by it; 0: always the likeliest token */
    int64_t top_k;           /* only the k likeliest may be drawn; 0: all */
    double top_p;            /* only the likeliest whose probabilities reach p; 0: all */
    uint64_t seed;
    int64_t first; /* weft_decode_corpus: number of its first item, a key of what is drawn */
    /* weft_decode_corpus: no further batch is begun once this is not 0; NULL: all are */
    const volatile sig_atomic_t *stop;
} weft_decode_spec;

/* A model that translates, and the tape it works on, made with WEFT_NO_GRAD. Several of them, each
 * with a tape of its own, decide by the mean of their probabilities. */
typedef struct weft_translator {
    const weft_transformer *model; /* an encoder-decoder */
    weft_tape *tape;               /* reset by every call */
} weft_translator;

/**
 * Translate a packed batch by beam search, or by drawing (spec->sample).
 *
 * A hypothesis ends with </s>; it is followed on only if it is among the `beam` best of its
 * sentence. The search for a sentence is over when `beam` of them have ended, or at max_length,
 * where the best of those that have not ended are taken as they are.
 *
 * @param source  x1 .. xn </s> of each sentence
 * @param prefix  tokens that each hypothesis begins with, without <s>; NULL: none
 * @param out     overwritten; n_best hypotheses of each sentence, the best first; fewer, where that
 *                many were not found, are followed by empty ones with score -inf. Unchanged after an
 *                error.
 *
 * Errors: WEFT_ERR_STATE for another kind of model or tape; WEFT_ERR_SHAPE for models of different
 * vocabularies; WEFT_ERR_RANGE for the spec, and a prefix longer than the limit or with ids out of
 * range; WEFT_ERR_NUMERIC where a model's logits are not numbers; WEFT_ERR_MEMORY.
 */
weft_status weft_decode(const weft_translator models[], int n_models, const weft_tokens *source,
                        const weft_tokens *prefix, const weft_decode_spec *spec,
                        weft_hypotheses *out) WEFT_MUST_CHECK;

/** The same for all items of an encoded corpus with a source, in its order: batches of sentences of
 *  like length with at most `batch_tokens` source tokens (a longer sentence alone). An item without
 *  tokens has one empty hypothesis with score 0. WEFT_ERR_INPUT names a sentence that is longer than
 *  a model's learned positions reach; WEFT_ERR_STOPPED where spec->stop says so. */
weft_status weft_decode_corpus(const weft_translator models[], int n_models,
                               const weft_corpus *corpus, int64_t batch_tokens,
                               const weft_decode_spec *spec, weft_hypotheses *out) WEFT_MUST_CHECK;

/**
 * log p(target | source) of every item of a corpus with both sides encoded, </s> included, in nats:
 * into log_p [items]. What weft_decode calls the score of a hypothesis that has ended, without a
 * length penalty, up to rounding.
 *
 * @param batch_tokens  source and target tokens at a time at most (a longer item is taken all the
 *                      same)
 *
 * Errors: those of weft_decode for models; WEFT_ERR_STATE without ids; WEFT_ERR_INPUT for an empty
 * corpus, or an item beyond learned positions; WEFT_ERR_RANGE; WEFT_ERR_MEMORY.
 */
weft_status weft_logprob(const weft_translator models[], int n_models, const weft_corpus *corpus,
                         int64_t batch_tokens, double log_p[]) WEFT_MUST_CHECK;
/**
 * How likely a decoder-only model finds each token of a text but the first, after those before it. The
 * text may be longer than what the model reads: it is cut into chunks that overlap (data/chunks.h).
 *
 * @param length   tokens of a chunk, of which `overlap` are those of the one before
 * @param merge    what a token gets that is predicted in several chunks; WEFT_MERGE_BEFORE reads each
 *                 after as much text as there is
 * @param log_p    [n - 1]: log p of ids[1] .. ids[n - 1], in nats
 *
 * Errors: WEFT_ERR_STATE the model has an encoder; WEFT_ERR_INPUT fewer than two tokens, or chunks
 * longer than learned positions; WEFT_ERR_RANGE length or overlap.
 */
weft_status weft_logprob_text(const weft_translator *of, const int32_t *ids, int64_t n,
                              int64_t length, int64_t overlap, weft_chunk_merge merge,
                              double log_p[]) WEFT_MUST_CHECK;

typedef struct weft_sample_spec {
    int64_t n_tokens;   /* to say at most; </s> ends it sooner */
    double temperature; /* logits are divided by it; 0: always the likeliest */
    int64_t top_k;      /* only the k likeliest may be said (Fan et al. 2018); 0: all */
    double top_p;       /* only the likeliest whose probabilities reach p (Holtzman et al. 2020); 0:
                           all */
    int64_t no_repeat_ngram; /* nothing is said that ends n tokens a second time; 0: it may */
    uint64_t seed;
    int64_t context; /* tokens that the model looks back over at most; 0: no limit but that of
                        learned positions. Once it is full, its older half is forgotten. */
} weft_sample_spec;

/**
 * Text that goes on after `prompt`, by a decoder-only model.
 *
 * The token at place i of the text is drawn with a random number keyed by (seed, i): equal calls
 * give equal texts, and a longer one begins with the shorter.
 *
 * @param tape    made with WEFT_NO_GRAD; it is reset
 * @param prompt  at least one id (<s> alone begins a sentence)
 * @param out     one sentence, the prompt not included; unchanged after an error
 *
 * Errors: WEFT_ERR_STATE, WEFT_ERR_RANGE, WEFT_ERR_NUMERIC where a logit is not finite,
 * WEFT_ERR_MEMORY.
 */
weft_status weft_sample(const weft_transformer *model, weft_tape *tape, const int32_t *prompt,
                        int64_t n_prompt, const weft_sample_spec *spec,
                        weft_hypotheses *out) WEFT_MUST_CHECK;

#endif
