/* optim.h - optimisers over the flat block of parameters, and schedules of the learning rate.
 *
 *     weft_optimiser *adam = weft_optimiser_new(params, &(weft_optimiser_spec){ .clip = 1 });
 *     for (int64_t update = 1; update <= n_updates; update++) {
 *         ... one or several weft_backward ...
 *         if (weft_optimiser_step(adam, params, weft_schedule_rate(&schedule, update),
 *                                 1.0 / n_tokens, &norm) != WEFT_OK) puts(weft_message());
 *     }
 *
 * A step reads the gradients that weft_backward added up, so accumulating over several batches is
 * calling weft_backward several times: sum the losses, then divide by all their tokens
 * (gradient_scale). It leaves the gradients 0 for the next one. */
#ifndef WEFT_OPTIM_H
#define WEFT_OPTIM_H

#include "../autograd/autograd.h"

/* ---- optimisers (optimiser.c, adam.c, sgd.c, clip.c) ------------------------------------------ */

/* For parameter p with gradient g at update t, learning rate lr:
 *   WEFT_ADAM   Kingma & Ba 2015, algorithm 1:
 *                 m = beta1 m + (1 - beta1) g         v = beta2 v + (1 - beta2) g^2
 *                 p = p - lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps)
 *   WEFT_ADAMW  Loshchilov & Hutter 2019: the same, after p = p - lr weight_decay p
 *   WEFT_SGD    momentum u = momentum u + (g + weight_decay p);  p = p - lr u    (as PyTorch) */
typedef enum weft_optimiser_kind { WEFT_ADAM, WEFT_ADAMW, WEFT_SGD } weft_optimiser_kind;

typedef struct weft_optimiser_spec {
    weft_optimiser_kind kind;
    double beta1, beta2; /* of the Adams, in [0, 1) */
    double eps;          /* > 0, outside the root; all three 0 mean 0.9, 0.98, 1e-9 */
    double momentum;     /* of SGD, in [0, 1) */
    double weight_decay; /* of AdamW and SGD, >= 0; of every parameter */
    double clip;         /* largest norm of all gradients together, > 0: gradients are multiplied by
                            min(1, clip / (norm + 1e-6)), as PyTorch does; 0: not clipped */
} weft_optimiser_spec;

typedef struct weft_optimiser weft_optimiser;

/** An optimiser for these parameters as they are now (parameters added later are an error at the
 *  next step). It keeps no pointer to them. NULL: weft_message() says why. */
weft_optimiser *weft_optimiser_new(const weft_params *params,
                                   const weft_optimiser_spec *spec) WEFT_MUST_CHECK;
void weft_optimiser_free(weft_optimiser *optimiser); /* NULL is allowed */
/** Bytes of the flat blocks and sums that such an optimiser takes, without making it. */
size_t weft_optimiser_bytes(const weft_params *params, const weft_optimiser_spec *spec);

/**
 * One update of all parameters from their gradients, which are 0 afterwards.
 *
 * @param lr              learning rate, >= 0 and finite as a weft_real
 * @param gradient_scale  multiplies every gradient first: 1 / tokens; > 0 and finite as a
 *                        weft_real
 * @param norm            result: 2-norm of all scaled gradients, before clipping; may be NULL
 *
 * Errors: WEFT_ERR_NUMERIC where the norm (for the Adams: or its square) is no finite weft_real,
 * naming the first parameter with such a gradient; WEFT_ERR_STATE where `params` have another
 * layout than those of weft_optimiser_new; WEFT_ERR_RANGE. Parameters, gradients and moments are
 * then as they were. Tapes recorded before are stale after a step. Allocates nothing; the same bits
 * for any number of threads.
 */
weft_status weft_optimiser_step(weft_optimiser *optimiser, weft_params *params, double lr,
                                double gradient_scale, double *norm) WEFT_MUST_CHECK;

/* What a checkpoint has to keep, beside the parameters. */

/** Updates made so far: t of the next step is one more. */
int64_t weft_optimiser_updates(const weft_optimiser *optimiser);
/** For going on with a run: n_updates >= 0, else WEFT_ERR_RANGE. */
weft_status weft_optimiser_set_updates(weft_optimiser *optimiser,
                                       int64_t n_updates) WEFT_MUST_CHECK;
/** Flat blocks of weft_params_block_size values, laid out as the parameters, 0 at first: "m" and "v"
 *  of the Adams, "momentum" of SGD unless its momentum is 0. index: 0 .. n - 1. */
int weft_optimiser_n_blocks(const weft_optimiser *optimiser);
const char *weft_optimiser_block_name(const weft_optimiser *optimiser, int index);
weft_real *weft_optimiser_block(weft_optimiser *optimiser, int index);

/* ---- running average (ema.c) ------------------------------------------------------------------ */

/** mean += (1 - d) (p - mean) for all parameters p after update t >= 1, where d = min(decay,
 *  (1 + t) / (10 + t)) lets the beginning be forgotten soon (as TensorFlow's
 *  ExponentialMovingAverage). `mean` is laid out as the parameters' block and begins as a copy of
 *  it; decay in [0, 1). The same bits for any number of threads. */
void weft_ema_update(weft_real *mean, weft_params *params, double decay, int64_t t);

/* ---- schedules of the learning rate (schedule.c) ----------------------------------------------- */

/* Rate at update t = 1, 2, ...; w = warmup, n = n_updates. Up to w all of them grow linearly; from
 * there on, with x = min(1, (t - w) / (n - w)):
 *   NOAM          lr D^-0.5 min(t^-0.5, t w^-1.5)              (Vaswani et al. 2017, eq. 3)
 *   INVERSE_SQRT  lr sqrt(w / t)
 *   COSINE        lr_end + (lr - lr_end) (1 + cos(pi x)) / 2   (Loshchilov & Hutter 2017, eq. 5)
 *   LINEAR        lr + (lr_end - lr) x
 *   CONSTANT      lr */
typedef enum weft_schedule_kind {
    WEFT_SCHEDULE_NOAM,
    WEFT_SCHEDULE_INVERSE_SQRT,
    WEFT_SCHEDULE_COSINE,
    WEFT_SCHEDULE_LINEAR,
    WEFT_SCHEDULE_CONSTANT
} weft_schedule_kind;

typedef struct weft_schedule {
    weft_schedule_kind kind;
    double lr;         /* highest rate, > 0; of NOAM a factor, where 0 means 1 */
    double lr_end;     /* of COSINE and LINEAR, in [0, lr] */
    int64_t width;     /* D >= 1, of NOAM alone */
    int64_t warmup;    /* updates; of NOAM and INVERSE_SQRT at least 1, where 0 means 4000 */
    int64_t n_updates; /* of COSINE and LINEAR: where they reach lr_end, above warmup */
} weft_schedule;

/** WEFT_ERR_RANGE with a sentence where a number does not fit its kind. */
weft_status weft_schedule_check(const weft_schedule *schedule) WEFT_MUST_CHECK;
/** The rate of update t >= 1. NAN, which weft_optimiser_step refuses, where t or the schedule is
 *  wrong. */
double weft_schedule_rate(const weft_schedule *schedule, int64_t t);
/** Updates and their rates up to n_updates >= 1, one line each, with a head: the first, the end of
 *  the warm-up and twenty evenly spaced. New memory, weft_free gives it back; NULL: weft_message(). */
char *weft_schedule_table(const weft_schedule *schedule, int64_t n_updates) WEFT_MUST_CHECK;

#endif
