/* convert.h - a trained model in another form. */
#ifndef WEFT_TRAIN_CONVERT_H
#define WEFT_TRAIN_CONVERT_H

#include "model.h"

/** Give the model fewer heads of keys and values, each the mean of those it takes the place of (Ainslie
 *  et al. 2023): exact where these are equal, else to be trained further. WEFT_ERR_INPUT where kv_heads
 *  does not divide the model's present number; the model is then as it was. */
weft_status weft_model_group_heads(weft_model *model, int64_t kv_heads) WEFT_MUST_CHECK;

/**
 * Read a checkpoint, change it, and write a model into `path`.
 *
 * @param from      folder of weft train, or a checkpoint
 * @param set       n assignments "section.key=value" that leave the parameters' shapes as they are, such
 *                  as model.rope_scaling=yarn
 * @param kv_heads  0: as before
 * @param changes   gets lines "key = value, before key = value" of the keys of [model] by which the new
 *                  model asks of the parameters what they were not trained for, so that it is to be
 *                  trained on; not of the reach of rotary positions. In new memory (weft_free), or NULL
 *                  after an error.
 *
 * Errors: those of weft_config_set, weft_config_check_model, weft_model_read (shapes that differ),
 * weft_model_group_heads, weft_model_save.
 */
weft_status weft_convert(const char *from, int n, const char *const set[], int64_t kv_heads,
                         const char *path, char **changes) WEFT_MUST_CHECK;

#endif
