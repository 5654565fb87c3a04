/* decode.h - what a trained model says: translations, and text that goes on from a prompt.
 *
 * Keys and values of what was read are kept, so a further token costs one row a sentence. A
 * sentence's result does not depend on the others in its batch, nor on the number of threads. */
#ifndef WEFT_TRAIN_DECODE_H
#define WEFT_TRAIN_DECODE_H

#include "../data/corpus.h"
#include "../layers/layers.h"

/* B sentences of ids, without <s> and </s>; sentence b is ids[offsets[b]] .. ids[offsets[b+1] - 1].
 * On the heap: { 0 } before the first use, weft_hypotheses_free after the last. */
typedef struct weft_hypotheses {
    int64_t B;
    int64_t *offsets; /* [B+1] */
    int32_t *ids;     /* [offsets[B]] */
} weft_hypotheses;
void weft_hypotheses_free(weft_hypotheses *hypotheses);

/**
 * Translate a packed batch, taking the likeliest token at every step (the lowest id of equals).
 *
 * @param model       an encoder-decoder
 * @param tape        made with WEFT_NO_GRAD; it is reset
 * @param source      x1 .. xn </s> of each sentence
 * @param max_length  tokens of a hypothesis at most; 0 means 50 more than its source, as Vaswani et
 *                    al. 2017, section 6.1. Learned positions end it as well.
 * @param out         overwritten; unchanged after an error
 *
 * Errors: WEFT_ERR_STATE for another kind of model or tape, WEFT_ERR_RANGE, WEFT_ERR_MEMORY.
 */
weft_status weft_greedy(const weft_transformer *model, weft_tape *tape, const weft_tokens *source,
                        int64_t max_length, weft_hypotheses *out) WEFT_MUST_CHECK;

/** The same for all items of an encoded corpus with a source, in its order: batches of sentences of
 *  like length with at most `batch_tokens` source tokens (a longer sentence alone). Nothing is said
 *  for an item without tokens. WEFT_ERR_INPUT names a sentence that is longer than the model's
 *  learned positions reach. */
weft_status weft_greedy_corpus(const weft_transformer *model, weft_tape *tape,
                               const weft_corpus *corpus, int64_t batch_tokens, int64_t max_length,
                               weft_hypotheses *out) WEFT_MUST_CHECK;

typedef struct weft_sample_spec {
    int64_t n_tokens;   /* to say at most; </s> ends it sooner */
    double temperature; /* logits are divided by it; 0: always the likeliest */
    int64_t top_k;      /* only the k likeliest may be said (Fan et al. 2018); 0: all */
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
