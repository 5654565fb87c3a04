/* loss_internal.h - what cross_entropy and projection_loss share: one row of label-smoothed
 * cross-entropy, its checks and its definition. Not installed. */
#ifndef WEFT_LOSS_INTERNAL_H
#define WEFT_LOSS_INTERNAL_H

#include "autograd/ops_internal.h"
#include "autograd/rows_internal.h"

/* Label smoothing, of any kind, as a distribution q: 1 - rest at the target, and `rest` in equal shares
 * to n classes, the target among them: to all, or (never >= 0) to all but one. */
typedef struct weft_loss_labels {
    double rest;
    int64_t n, never;
} weft_loss_labels;

WEFT_INLINE weft_loss_labels loss_labels(const weft_cross_entropy_spec *spec, int64_t V)
{
    const bool all = spec->kind != WEFT_LABELS_ANNOTATED;
    const int64_t n = all ? V : V - 1;
    double rest = spec->smoothing;
    if (spec->kind != WEFT_LABELS_UNIFORM)
        rest *= (double)n / (double)(n - 1); /* share: eps/(n-1) */
    return (weft_loss_labels){ rest, n, all ? -1 : spec->never };
}

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

/* The mean of z over the classes that have a share of the rest; 0 where there is no rest. */
WEFT_INLINE double loss_mean(int64_t V, const weft_real *z, weft_loss_labels labels)
{
    if (!(labels.rest > 0)) return 0;
    const int64_t never = labels.never;
    const double sum =
        never < 0 ? row_sum(V, z) : row_sum(never, z) + row_sum(V - never - 1, z + never + 1);
    return sum / (double)labels.n;
}

/* loss = sum_j q_j (ln sum_k exp(z_k) - z_j), from the maximum and the sum of exp(z - max). */
WEFT_INLINE void loss_of_row(weft_loss_row *row, double z_target, double z_mean, double rest)
{
    const double log_sum = log(row->sum), max = (double)row->max;
    row->nll = log_sum - (z_target - max);
    row->loss = row->nll;
    if (rest > 0) row->loss = (1 - rest) * row->nll + rest * (log_sum - (z_mean - max));
}

/** For infer: eps in [0, 1), enough classes for it, R targets, each in 0 .. V-1 or the ignored one. */
bool weft_check_targets(const weft_call *c, int input, int64_t R, int64_t V,
                        const weft_cross_entropy_spec *spec);
/** The definition: losses [R] of logits [R, V] (and the plain ones in *nll unless it is NULL). */
weft_var weft_cross_entropy_define(weft_tape *tape, weft_var logits, weft_var targets,
                                   const weft_cross_entropy_spec *spec, weft_var *nll);

#endif
