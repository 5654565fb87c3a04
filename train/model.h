/* model.h - a Transformer with all that belongs to it: configuration, vocabularies, parameters. */
#ifndef WEFT_TRAIN_MODEL_H
#define WEFT_TRAIN_MODEL_H

#include "../data/data.h"
#include "../layers/layers.h"
#include "config.h"

typedef struct weft_model {
    weft_config config;       /* without paths where it was loaded */
    weft_vocab *source_vocab; /* NULL for a decoder-only model */
    weft_vocab *target_vocab; /* one for both languages: the same object */
    weft_params *params;
    weft_transformer transformer;
} weft_model;

/** What weft_transformer_init needs, for vocabularies of these sizes (no source: 0). */
weft_transformer_config weft_model_shape(const weft_config *config, int64_t source_V,
                                         int64_t target_V);

/** A model with initial values, keyed by train.seed. On success it owns the vocabularies; after an
 *  error the caller still does. `source` is NULL for a decoder-only model, and may be `target`. */
weft_status weft_model_new(const weft_config *config, weft_vocab *source, weft_vocab *target,
                           weft_model **model) WEFT_MUST_CHECK;
void weft_model_free(weft_model *model); /* NULL is allowed */

/** Open a checkpoint file, or that of a folder that `weft train` wrote: its best.h5 where there is
 *  one, else its checkpoint.h5. WEFT_ERR_INPUT: there is none; WEFT_ERR_FORMAT: it is damaged. */
weft_status weft_model_open(const char *path, weft_checkpoint_file **file) WEFT_MUST_CHECK;
/** The model in it. */
weft_status weft_model_load(const char *path, weft_model **model) WEFT_MUST_CHECK;
/** The same from an open checkpoint; with `config` instead of the file's own unless that is NULL. */
weft_status weft_model_read(const weft_checkpoint_file *file, const weft_config *config,
                            weft_model **model) WEFT_MUST_CHECK;
/** The block of a run's checkpoints that has it (train.ema). */
#define WEFT_RUNNING_AVERAGE "average"
/** Its parameters as the run's validations saw them: the running average where the checkpoint has one
 *  (train.ema). Errors: those of weft_checkpoint_load_params. */
weft_status weft_model_read_params(const weft_checkpoint_file *file,
                                   weft_params *params) WEFT_MUST_CHECK;
/** Replace `path` by a checkpoint of the model alone: enough to use it, not to go on with a run. */
weft_status weft_model_save(const weft_model *model, const char *path) WEFT_MUST_CHECK;
/** The configuration in a checkpoint, without paths. */
weft_status weft_model_config(const weft_checkpoint_file *file,
                              weft_config *config) WEFT_MUST_CHECK;

#endif
