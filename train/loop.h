/* loop.h - training a model: updates, validation, checkpoints, and going on after a stop.
 *
 * A run that was stopped and resumed ends with the same bits as one that was not, with any number
 * of threads. Time decides nothing but when to stop (train.max_minutes). */
#ifndef WEFT_TRAIN_LOOP_H
#define WEFT_TRAIN_LOOP_H

#include "log.h"
#include "model.h"

#include <signal.h>

typedef struct weft_trainer weft_trainer;

/** Read the texts, build vocabularies, model and optimiser, and set aside the memory of the largest
 *  step. The configuration must have passed weft_config_check. Nothing is written. */
weft_status weft_trainer_new(const weft_config *config, weft_trainer **trainer) WEFT_MUST_CHECK;
/** The same in the state that a checkpoint holds. `config` has the paths, and may differ from the
 *  file's in what does not change the past (WEFT_ERR_INPUT names a key that would, or training text
 *  that is another one). */
weft_status weft_trainer_resume(const weft_config *config, const char *path,
                                weft_trainer **trainer) WEFT_MUST_CHECK;
/** A new one whose model begins with the parameters and vocabularies of a checkpoint, or of a folder
 *  (weft_model_open), and a new optimiser: to train a model on, on other text or in another form.
 *  Where a tensor of the one is not in the other, or has another shape, WEFT_ERR_SHAPE names both;
 *  WEFT_ERR_INPUT: the configuration asks for vocabularies of another kind. Keys of [model] that fit
 *  all the same may differ: weft_train names them in its progress. */
weft_status weft_trainer_init(const weft_config *config, const char *path,
                              weft_trainer **trainer) WEFT_MUST_CHECK;
void weft_trainer_free(weft_trainer *trainer); /* NULL is allowed */

/* All of it belongs to the trainer. */
const weft_model *weft_trainer_model(const weft_trainer *trainer);
int64_t weft_trainer_updates(const weft_trainer *trainer); /* made so far */

/* One update. */
typedef struct weft_train_step {
    int64_t tokens; /* of the targets */
    double loss;    /* label-smoothed cross-entropy a token */
    double norm;    /* of all gradients, before clipping */
    double lr;
} weft_train_step;

/** Make one update from the next train.accumulate batches. WEFT_ERR_NUMERIC: a value was not finite;
 *  the sentence names the update and the first operation, and the parameters are as they were. */
weft_status weft_trainer_step(weft_trainer *trainer, weft_train_step *step) WEFT_MUST_CHECK;

/** Replace `path` by a checkpoint of this state. */
weft_status weft_trainer_save(weft_trainer *trainer, const char *path) WEFT_MUST_CHECK;

/* How good the model is on text it was not trained on. */
typedef struct weft_validation {
    double loss;       /* -log p a token, nats */
    int64_t sentences; /* translated; 0 for a decoder-only model */
    int64_t n_exact;   /* of these equal to their reference */
    double bleu, chrf; /* 0 to 100 */
} weft_validation;

/** Of the running average where train.ema keeps one. WEFT_ERR_STATE where the configuration names no
 *  validation text. */
weft_status weft_trainer_validate(weft_trainer *trainer, weft_validation *result) WEFT_MUST_CHECK;

/** Called for each sentence translated, in the corpus' order: with its source as it was given, which lives as
 *  long as the corpus, and during the call with the reference as the model's vocabulary reads it
 *  (weft_vocab_normalise), to which the hypothesis was compared. */
typedef void weft_translation_visitor(const char *source, const char *reference,
                                      const char *hypothesis, void *user);
/** Translate an encoded corpus with train.beam and its penalty, and compare; result->loss is left alone.
 *  `tape` was made with WEFT_NO_GRAD; `visit` may be NULL. WEFT_ERR_STOPPED where *stop is no longer 0,
 *  which is looked at before each batch; NULL: never. */
weft_status weft_evaluate(const weft_model *model, weft_tape *tape, const weft_corpus *corpus,
                          const volatile sig_atomic_t *stop, weft_translation_visitor *visit,
                          void *user, weft_validation *result) WEFT_MUST_CHECK;

/* ---- a whole run -------------------------------------------------------------------------------- */

typedef struct weft_train_run {
    const char *dir;                   /* checkpoint.h5, best.h5 go there; it exists */
    FILE *log;                         /* JSON lines; NULL: none */
    FILE *progress;                    /* for people; NULL: none */
    const volatile sig_atomic_t *stop; /* not 0: finish the update, or the batch of a
                                          validation, save, end; NULL: never */
} weft_train_run;

typedef enum weft_train_end {
    WEFT_TRAIN_UPDATES,  /* train.max_updates were made */
    WEFT_TRAIN_TIME,     /* train.max_minutes are over */
    WEFT_TRAIN_TARGET,   /* train.target_exact was reached */
    WEFT_TRAIN_PATIENCE, /* train.patience validations without a better one */
    WEFT_TRAIN_STOPPED   /* *stop was set */
} weft_train_end;

/**
 * Train until something ends it, with log lines, validations and checkpoints as the configuration
 * says. DIR/checkpoint.h5 is the last state, DIR/best.h5 that of the best
 * validation by train.monitor (or that which reached train.target_exact); with train.keep > 1 the last
 * so many are kept as DIR/checkpoint-UPDATE.h5 as well, with train.keep_best > 1 those of the best
 * validations as DIR/best-UPDATE.h5. With train.ema the files of the best have the running average as
 * parameters, and the parameters as block "ema". A validation that was stopped is made anew when the run
 * goes on.
 *
 * After an error the files are those of the last good checkpoint.
 */
weft_status weft_train(weft_trainer *trainer, const weft_train_run *run,
                       weft_train_end *end) WEFT_MUST_CHECK;

#endif
