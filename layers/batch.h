/* batch.h - what a model is fed with: packed token sequences (no padding, no mask). */
#ifndef WEFT_LAYERS_BATCH_H
#define WEFT_LAYERS_BATCH_H

#include "../core/core.h"

/* One side of a batch: the tokens of B sentences, one after the other. */
typedef struct weft_tokens {
    int64_t B, N;
    const int32_t *ids;     /* [N] */
    const int32_t *offsets; /* [B+1]: the row where each sentence begins; offsets[B] = N */
    const int32_t *rows;    /* [N, 2]: the sentence's number in the corpus, and the position in it;
                               the key of every random number drawn for this token */
    int64_t longest; /* tokens of the longest sentence, for a dry tape; 0: as the offsets say */
} weft_tokens;

/* A batch for training. Decoder-only models have no source (B = N = 0). */
typedef struct weft_batch {
    weft_tokens source;    /* x1 .. xn </s> */
    weft_tokens target;    /* <s> y1 .. yn: what the decoder reads */
    const int32_t *labels; /* [target.N] y1 .. yn </s>: what it is to say */
} weft_batch;

#endif
