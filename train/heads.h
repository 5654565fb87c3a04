/* heads.h - is each attention head alive? Its entropy, how saturated it is, and the gradients it gets.
 *
 * Scores that are too large, such as those without the factor 1/sqrt(K) (Vaswani et al. 2017, section
 * 3.2.1), make nearly every query look at one key alone: the entropy falls to 0, and most queries are
 * saturated and get no gradient, while the few that waver between two keys get a large one.
 * examples/06_forgotten_scale.c shows it. */
#ifndef WEFT_TRAIN_HEADS_H
#define WEFT_TRAIN_HEADS_H

#include "model.h"

/* Means over the queries, but for those that are the first of their sentence and see one key. */
typedef struct weft_head_stats {
    double entropy;     /* - sum of w ln w, nats: ln n where n keys are looked at alike */
    double largest;     /* the largest weight */
    double saturated;   /* the part of the queries whose largest weight is above 0.99 */
    double gradient[3]; /* norms of the gradients by the head's queries, keys and values */
} weft_head_stats;

/** Entropy and saturation of the heads of an attention whose output y was recorded on the tape
 *  (weft_attention_weights), into stats[heads]; gradients are left alone. Errors: the tape's. */
weft_status weft_head_weights(weft_tape *tape, weft_var y, int heads,
                              weft_head_stats stats[]) WEFT_MUST_CHECK;
/** The gradients, after weft_backward on a tape made with WEFT_RETAIN; heads that share keys and values
 *  share their gradients, too. Errors: the tape's. */
weft_status weft_head_gradients(weft_tape *tape, weft_var y, int heads,
                                weft_head_stats stats[]) WEFT_MUST_CHECK;

/** Called for each head; `layer` is "decoder.layers.0.self_attn". */
typedef void weft_head_visitor(const char *layer, int head, const weft_head_stats *stats,
                               void *user);
/**
 * All heads of a model, by the first sentences of a batch, at most 1024 tokens but one sentence at least:
 * weights without dropout, gradients of the mean loss as in training; of Longformer those of all queries
 * but the global tokens', which have projections of their own. Layers whose attention has no
 * weights to show are passed over.
 *
 * @param tape  made with WEFT_NO_GRAD; it is reset
 *
 * The gradients of the parameters are 0 afterwards. Errors: those of the tapes; WEFT_ERR_MEMORY.
 */
weft_status weft_heads_measure(const weft_model *model, weft_tape *tape, const weft_batch *batch,
                               uint64_t update, weft_head_visitor *visit,
                               void *user) WEFT_MUST_CHECK;

#endif
