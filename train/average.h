/* average.h - one model from several states of a run. */
#ifndef WEFT_TRAIN_AVERAGE_H
#define WEFT_TRAIN_AVERAGE_H

#include "../core/core.h"

/**
 * Replace `path` by a checkpoint whose parameters are the mean of those of n checkpoints of equal
 * models (Vaswani et al. 2017, section 6.1, took the last 5 to 20; weft_model_read_params), summed in
 * double in the given order. It holds what a model needs to be used, not what a run needs to go on.
 *
 * Errors: WEFT_ERR_RANGE for n < 1; WEFT_ERR_INPUT, WEFT_ERR_FORMAT for a file that is none;
 * WEFT_ERR_SHAPE for other parameters, WEFT_ERR_INPUT for another vocabulary than the first one's;
 * WEFT_ERR_IO; WEFT_ERR_MEMORY. `path` is then as it was.
 */
weft_status weft_average(int n, const char *const checkpoints[], const char *path) WEFT_MUST_CHECK;

#endif
