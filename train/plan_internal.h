/* plan_internal.h - what a planner has read. Not installed. */
#ifndef WEFT_TRAIN_PLAN_INTERNAL_H
#define WEFT_TRAIN_PLAN_INTERNAL_H

#include "train/loop_internal.h"
#include "train/plan.h"

struct weft_planner {
    weft_config config;
    bool made_up; /* sentences of one shape instead of a corpus */
    weft_plan_shape shape;
    weft_corpus *corpus;   /* encoded */
    weft_vocab *vocabs[2]; /* may be one */
    weft_params *params;   /* dry */
    weft_transformer model;
};

#endif
