/* probe.h - looking at a configuration before hours are spent on it: does it learn at all, and at
 * which learning rate? Both work on a model of their own and write nothing. */
#ifndef WEFT_TRAIN_PROBE_H
#define WEFT_TRAIN_PROBE_H

#include "config.h"

/* ---- sanity (sanity.c) -------------------------------------------------------------------------- */

enum { WEFT_LAYER_NAME = 256, WEFT_SANITY_UPDATES = 300 };
/* A layer, or parameters that belong to none: their gradient before the first update. */
typedef struct weft_sanity_layer {
    char name[WEFT_LAYER_NAME]; /* "encoder.layers.0" */
    double norm;                /* of the gradient of the mean loss */
    int64_t size;               /* elements */
} weft_sanity_layer;

typedef struct weft_sanity {
    double uniform_loss; /* ln V: that of a model that knows nothing */
    double first_loss;   /* -log p a token, of one batch before the first update */
    double last_loss;    /* of the same batch after all of them: it should be learnt by heart */
    int64_t updates;     /* made */
    int64_t sentences, tokens; /* of the batch */
    int n_layers;
    weft_sanity_layer *layers; /* [n_layers] on the heap; weft_sanity_free */
    /* Above ln V - 1 at first: the model has not seen what it predicts. Below ln V + 1: its logits are
     * small (independent ones of variance 2 cost a nat). Large ones cost a model its first updates,
     * no more. */
    bool starts_blind, starts_even;
    bool reaches_all; /* every layer has a gradient */
    bool learns;      /* last_loss < ln V / 10 */
} weft_sanity;

/** Learn one batch of at most 512 tokens by heart, by at most n_updates of Adam at rate 0.001, without
 *  dropout and label smoothing. It ends once the batch is learnt, or when WEFT_SANITY_UPDATES have made
 *  the least loss less by no more than a tenth. Errors: those of weft_trainer_new and
 *  weft_trainer_step; WEFT_ERR_RANGE for n_updates < 1. *result is then empty. */
weft_status weft_sanity_check(const weft_config *config, int64_t n_updates,
                              weft_sanity *result) WEFT_MUST_CHECK;
void weft_sanity_free(weft_sanity *result);

/* ---- learning rates (rate_range.c) -------------------------------------------------------------- */

typedef struct weft_rate_point {
    double lr;
    double loss; /* a mean over the latest updates */
} weft_rate_point;

/** The range test of Smith 2017, "Cyclical Learning Rates", section 3.3: n >= 2 updates with the
 *  configuration's optimiser, whose rate grows by a constant factor from `low` to `high`. It ends
 *  early where the loss is four times its least, or not finite: *n_points were made. Errors: those
 *  of weft_trainer_new; WEFT_ERR_RANGE; WEFT_ERR_MEMORY. */
weft_status weft_rate_range(const weft_config *config, int64_t n, double low, double high,
                            weft_rate_point points[], int64_t *n_points) WEFT_MUST_CHECK;

/* What the points say of the highest rate of a training. */
typedef struct weft_rate_advice {
    double steepest; /* the rate at which the loss falls fastest per factor of the rate */
    double least;    /* that of the least loss, which is later than `steepest` */
    double from, to; /* it should lie between `steepest` and a tenth of `least`, of which either may
                        be the larger */
} weft_rate_advice;
/** All 0 where the loss never falls. */
weft_rate_advice weft_rate_advise(const weft_rate_point points[], int64_t n_points);

#endif
