/* loss_internal.h - what cross_entropy and projection_loss share: one row of label-smoothed
 * cross-entropy, its checks and its definition. Not installed. */
#ifndef WEFT_LOSS_INTERNAL_H
#define WEFT_LOSS_INTERNAL_H

#include "autograd/ops_internal.h"
#include "autograd/rows_internal.h"

/* The softmax of a row z as exp(z - max) / sum, and its losses. */
typedef struct weft_loss_row {
    weft_real max;
    double sum;
    double loss, nll; /* label-smoothed; plain negative log-likelihood */
} weft_loss_row;

/* Does this row count? */
WEFT_INLINE bool loss_counts(const weft_cross_entropy_spec *spec, int32_t target)
{
    return !(spec->has_ignore && target == spec->ignore);
}

/* loss = sum_j q_j (ln sum_k exp(z_k) - z_j) with q = eps/V everywhere and 1 - eps more at the
 * target (Szegedy et al. 2016, section 7), from the maximum and the sum of exp(z - max). */
WEFT_INLINE void loss_of_row(weft_loss_row *row, double z_target, double z_mean, double eps)
{
    const double log_sum = log(row->sum), max = (double)row->max;
    row->nll = log_sum - (z_target - max);
    row->loss = row->nll;
    if (eps > 0) row->loss = (1 - eps) * row->nll + eps * (log_sum - (z_mean - max));
}

/** For infer: eps in [0, 1), R targets, each in 0 .. V-1 or the ignored one. */
bool weft_check_targets(const weft_call *c, int input, int64_t R, int64_t V,
                        const weft_cross_entropy_spec *spec);
/** The definition: losses [R] of logits [R, V] (and the plain ones in *nll unless it is NULL). */
weft_var weft_cross_entropy_define(weft_tape *tape, weft_var logits, weft_var targets,
                                   const weft_cross_entropy_spec *spec, weft_var *nll);

#endif
