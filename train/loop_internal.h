/* loop_internal.h - what the files of the training loop share. Not installed. */
#ifndef WEFT_TRAIN_LOOP_INTERNAL_H
#define WEFT_TRAIN_LOOP_INTERNAL_H

#include "optim/optim.h"
#include "train/dataset.h"
#include "train/loop.h"

/* A validation: what train.monitor looks at, with the sign by which more is better. */
typedef struct weft_best {
    int64_t update;
    double score;
} weft_best;
enum { WEFT_MOST_BEST = 32 };

struct weft_trainer {
    weft_model *model;
    weft_optimiser *optimiser;
    weft_schedule schedule;
    weft_corpus *train, *valid, *sample; /* sample: the part of `valid` that is translated */
    weft_batches *batches, *valid_batches;
    weft_prefetch *prefetch; /* of `batches`, which are its own from the first step on */
    int64_t n_batches;       /* of the epoch that it began in */
    double begin_s,
        read_s; /* when it was begun; what texts and vocabularies took of the time since */
    weft_tape *tape, *valid_tape;
    size_t reserved_bytes;  /* of `tape`: no step takes more */
    int64_t update, tokens; /* made; target tokens seen */
    double line_loss;       /* sum over the tokens since the last line of the log */
    int64_t line_tokens;
    weft_real *ema;                 /* running average of the parameters' block; NULL: none */
    weft_best best[WEFT_MOST_BEST]; /* validations, the best first: train.keep_best of them */
    int64_t n_best;
    int64_t n_worse;   /* validations since the best */
    int64_t validated; /* the update of the last validation, -1: none yet; what it found: */
    int64_t n_sentences, n_exact;
    bool other_numerics; /* the checkpoint was made with another kernel */
    char *from,
        *changes; /* the checkpoint it began from, and what of [model] is another since; NULL:
                             it began anew */
};

/** What all tapes that training computes on have in common. */
unsigned weft_trainer_tape_flags(const weft_config *config);
/** What the configuration says of the optimiser, and of the batches of an encoded corpus. */
weft_optimiser_spec weft_trainer_optimiser(const weft_config *config);
weft_status weft_trainer_batches(const weft_config *config, const weft_vocab *const vocabs[2],
                                 const weft_corpus *corpus, bool validation,
                                 weft_batches **batches) WEFT_MUST_CHECK;

/* Most tokens of a sentence, its end included, and the key that says so. */
typedef struct weft_length_limit {
    int64_t most;
    const char *key;
} weft_length_limit;
/** What training takes, or validation, which takes what `weft translate` does and the model's tables reach. */
weft_length_limit weft_trainer_longest(const weft_config *config, bool validation);
/** The file of validation, or the task. */
const char *weft_trainer_valid_name(const weft_config *config);

/** The first sentences of an encoded validation text, encoded: all of a task, of files
 *  train.validate_sentences; without those that are too long for validation. */
weft_status weft_trainer_sample(const weft_model *model, const weft_corpus *valid,
                                weft_corpus **sample) WEFT_MUST_CHECK;

/** weft_trainer_validate that shows what it translates, and ends as weft_evaluate where it is to stop. */
weft_status weft_trainer_validate_each(weft_trainer *trainer, const volatile sig_atomic_t *stop,
                                       weft_translation_visitor *visit, void *user,
                                       weft_validation *result) WEFT_MUST_CHECK;

/** Say what in the pairs of training and validation is seldom meant: lengths that do not fit, sides that are
 *  exchanged. */
void weft_trainer_doubts(const weft_trainer *trainer, weft_progress *progress);

/** The gradient of one batch, added to the parameters'; its summed loss in *loss. */
weft_status weft_trainer_gradient(weft_trainer *trainer, const weft_batch *batch,
                                  double *loss) WEFT_MUST_CHECK;
/** An update with the gradients of `tokens` target tokens. */
weft_status weft_trainer_apply(weft_trainer *trainer, int64_t tokens, double *lr,
                               double *norm) WEFT_MUST_CHECK;

/** Exchange the parameters with their running average, where there is one; twice is back again. */
void weft_trainer_exchange(weft_trainer *trainer);

/** Put the state of a checkpoint into a trainer that was just made from its configuration. */
weft_status weft_trainer_restore(weft_trainer *trainer,
                                 const weft_checkpoint_file *file) WEFT_MUST_CHECK;
/** Lines "heads = 4, before heads = 2" of the keys of [model] that differ, on the heap. */
weft_status weft_trainer_changes(const weft_config *before, const weft_config *config,
                                 char **changes) WEFT_MUST_CHECK;
/** Would `config` change what a run with the configuration `before` has done so far? */
weft_status weft_trainer_compare(const weft_config *before,
                                 const weft_config *config) WEFT_MUST_CHECK;

#endif
