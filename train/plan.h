/* plan.h - what a training step needs, found out before any of it is there.
 *
 * The model has shapes alone, the step is recorded on a dry tape. What is planned is equal to what a
 * run takes (docs/architecture.md, memory), for the batch that weft_trainer_new sets memory aside for:
 * that with the most tokens on both sides together. */
#ifndef WEFT_TRAIN_PLAN_H
#define WEFT_TRAIN_PLAN_H

#include "config.h"

enum { WEFT_PLAN_NAME = 64 };

/* A part of the model that records values: "encoder", of which embeddings and a last norm are,
 * "encoder.layers.0", ... */
typedef struct weft_plan_part {
    char name[WEFT_PLAN_NAME];
    size_t activations; /* values, and what is saved for backward */
    size_t gradients;   /* of values */
} weft_plan_part;

/* Bytes, unless it says otherwise. */
typedef struct weft_plan {
    int64_t batch_tokens;                            /* the limit that gives this batch */
    int64_t sentences, source_tokens, target_tokens; /* of the batch */
    size_t parameters, gradients, optimiser, average;
    /* the tape when it is fullest, part by part: */
    size_t batch; /* ids, offsets, labels, constants */
    int n_parts;
    weft_plan_part *parts; /* on the heap: weft_plan_release */
    size_t output;         /* projection, loss, and their gradients */
    size_t workspace;      /* of the operation that then runs */
    size_t gaps;           /* between blocks */
    size_t tape;           /* all of it */
    size_t step;           /* parameters, gradients, optimiser, average and tape */
} weft_plan;
void weft_plan_release(weft_plan *plan);

/* Instead of data. */
typedef struct weft_plan_shape {
    int64_t length; /* tokens of each sentence, on either side; >= 1 */
    int64_t V;      /* of either vocabulary; >= 1 */
} weft_plan_shape;

typedef struct weft_planner weft_planner;
/** Read the configuration's texts and vocabularies, or take sentences of one `shape` (NULL: read).
 *  Errors: those of weft_trainer_new; WEFT_ERR_RANGE for the shape. */
weft_status weft_planner_new(const weft_config *config, const weft_plan_shape *shape,
                             weft_planner **planner) WEFT_MUST_CHECK;
void weft_planner_free(weft_planner *planner); /* NULL is allowed */

/** The step with batches of at most `batch_tokens`; 0: train.batch_tokens. WEFT_ERR_INPUT where no
 *  sentence is that short. */
weft_status weft_planner_plan(weft_planner *planner, int64_t batch_tokens,
                              weft_plan *plan) WEFT_MUST_CHECK;
/** The largest batch_tokens with a step of at most `bytes`, and its plan. WEFT_ERR_MEMORY with a
 *  sentence where no batch fits. */
weft_status weft_planner_largest(weft_planner *planner, size_t bytes,
                                 weft_plan *plan) WEFT_MUST_CHECK;

#endif
