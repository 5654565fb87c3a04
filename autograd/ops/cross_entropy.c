/**
 * weft_cross_entropy - label-smoothed cross-entropy of each row.
 *
 *     y_r = sum_j q_rj (ln sum_k exp(z_rk) - z_rj)
 *
 * eps = 0 is the negative log-likelihood. Where eps > 0, spec->kind says what q is:
 *
 *     kind        target           others      whose
 *     uniform     1 - eps + eps/V  eps/V       Szegedy et al. 2016, section 7; Vaswani et al. 2017;
 *                                              PyTorch
 *     others      1 - eps          eps/(V-1)   tensor2tensor, fairseq since 2020
 *     annotated   1 - eps          eps/(V-2),  The Annotated Transformer (Rush 2018), JoeyNMT
 *                                  `never` 0
 *
 * Each q sums to 1. The value is the cross-entropy, so that it goes to the negative log-likelihood with
 * eps, and kinds can be compared. tensor2tensor subtracts the entropy of q from it, and The Annotated
 * Transformer and JoeyNMT take the Kullback-Leibler divergence, which is the same:
 * y_r + sum_j q_rj ln q_rj. It is less by a constant, and its gradient is equal.
 *
 * @param logits   z [.., V]
 * @param targets  int32, one for each row of logits, in 0 .. V-1; rows whose target is spec->ignore
 *                 (where has_ignore) give 0
 * @param spec     NULL means no smoothing and nothing ignored
 * @return         [..]: one loss a row
 *
 * Gradient        dz_r = dy_r (softmax(z_r) - q_r)
 * Errors          WEFT_ERR_RANGE  smoothing, `never`, a target (the first bad one is named, also one
 *                 that is `never`)
 *                 WEFT_ERR_SHAPE  a scalar, V = 0 (others: below 2, annotated: below 3), another
 *                 number of targets than rows
 * Saved           maximum and sum of exponentials of each row; the logits are read again
 * Numbers         sums in double
 */
#include "autograd/loss_internal.h"

enum { LOGITS, TARGETS };

static bool check_smoothing(const weft_call *c, int64_t V, const weft_cross_entropy_spec *spec)
{
    const bool annotated = spec->kind == WEFT_LABELS_ANNOTATED;
    const int fewest = annotated ? 3 : spec->kind == WEFT_LABELS_OTHERS ? 2 : 1;
    if (!(spec->smoothing >= 0 && spec->smoothing < 1))
        return weft_fail(c, WEFT_ERR_RANGE, "smoothing is %g: it must be in [0, 1)",
                         spec->smoothing);
    if (V < 1) return weft_fail(c, WEFT_ERR_SHAPE, "there are no classes: V is 0");
    if (V < fewest)
        return weft_fail(c, WEFT_ERR_SHAPE,
                         "V is %lld: smoothing of the kind %s gives to classes other than the "
                         "target%s, so at least %d are needed",
                         (long long)V, annotated ? "annotated" : "others",
                         annotated ? " and `never`" : "", fewest);
    if (annotated && (spec->never < 0 || spec->never >= V))
        return weft_fail(c, WEFT_ERR_RANGE, "never is %d: it must be in 0 .. %lld",
                         (int)spec->never, (long long)V - 1);
    return true;
}

bool weft_check_targets(const weft_call *c, int input, int64_t R, int64_t V,
                        const weft_cross_entropy_spec *spec)
{
    const weft_tensor *targets = &c->in[input];
    if (!check_smoothing(c, V, spec)) return false;
    if (weft_size(targets) != R)
        return weft_fail(c, WEFT_ERR_SHAPE, "%lld targets for %lld rows",
                         (long long)weft_size(targets), (long long)R);
    if (weft_call_is_dry(c)) return true;
    for (int64_t r = 0; r < R; r++) {
        const int32_t target = targets->i32[r];
        if (!loss_counts(spec, target)) continue;
        if (target < 0 || target >= V)
            return weft_fail(c, WEFT_ERR_RANGE, "target %d (row %lld) is not in 0 .. %lld",
                             (int)target, (long long)r, (long long)V - 1);
        if (spec->kind == WEFT_LABELS_ANNOTATED && target == spec->never)
            return weft_fail(c, WEFT_ERR_RANGE,
                             "target %d (row %lld) is the class that is never a target",
                             (int)target, (long long)r);
    }
    return true;
}

static bool infer(weft_call *c)
{
    const weft_tensor *z = &c->in[LOGITS];
    if (z->rank < 1) return weft_fail(c, WEFT_ERR_SHAPE, "logits must be [.., V], not a scalar");
    const int64_t R = weft_rows(z);
    return weft_check_targets(c, TARGETS, R, weft_cols(z), c->attr) &&
           weft_out(c, 0, WEFT_REAL, z->rank - 1, z->dim) && weft_save(c, 0, WEFT_REAL, 2 * R);
}

/* The exponentials themselves are not kept: they go through a window of the stack. */
enum { WINDOW = 512 };

WEFT_KERNEL static weft_loss_row row_forward(int64_t V, const weft_real *z, int32_t target,
                                             weft_loss_labels labels)
{
    weft_real y[WINDOW];
    weft_loss_row row = { .max = row_max(V, z) };
    for (int64_t from = 0; from < V; from += WINDOW)
        row.sum += row_exp(V - from < WINDOW ? V - from : WINDOW, z + from, row.max, y);
    loss_of_row(&row, (double)z[target], loss_mean(V, z, labels), labels.rest);
    return row;
}

static void forward(const weft_call *c)
{
    const weft_cross_entropy_spec *spec = c->attr;
    const weft_tensor *z = &c->in[LOGITS];
    const int32_t *targets = c->in[TARGETS].i32;
    const int64_t R = weft_rows(z), V = weft_cols(z);
    const weft_loss_labels labels = loss_labels(spec, V);
    weft_real *saved = c->saved[0].data ? c->saved[0].real : NULL;
#pragma omp parallel for schedule(static) num_threads(weft_team(R, 16 * R * V))
    for (int64_t r = 0; r < R; r++) {
        weft_loss_row row = { .sum = 1 };
        if (loss_counts(spec, targets[r]))
            row = row_forward(V, z->real + r * z->ld, targets[r], labels);
        c->out[0].real[r] = (weft_real)row.loss;
        if (!saved) continue;
        saved[2 * r] = row.max;
        saved[2 * r + 1] = (weft_real)row.sum;
    }
}

/* dz of one row, `weight` times the gradient of its loss. */
WEFT_KERNEL static void row_backward(int64_t V, const weft_real *z, const weft_real saved[2],
                                     int32_t target, weft_loss_labels labels, double weight,
                                     bool add, weft_real *dz)
{
    const weft_real factor = (weft_real)(weight / (double)saved[1]),
                    share = (weft_real)(weight * labels.rest / (double)labels.n), max = saved[0];
#pragma omp simd
    for (int64_t k = 0; k < V; k++)
        dz[k] = (add ? dz[k] : 0) + (real_exp(z[k] - max) * factor - share);
    if (labels.never >= 0) dz[labels.never] += share;
    dz[target] -= (weft_real)(weight * (1 - labels.rest));
}

static void backward(const weft_call *c)
{
    const weft_cross_entropy_spec *spec = c->attr;
    const weft_tensor *z = &c->in[LOGITS], *dz = &c->din[LOGITS];
    const int32_t *targets = c->in[TARGETS].i32;
    const int64_t R = weft_rows(z), V = weft_cols(z);
    const weft_loss_labels labels = loss_labels(spec, V);
    if (!dz->data) return;
#pragma omp parallel for schedule(static) num_threads(weft_team(R, 16 * R * V))
    for (int64_t r = 0; r < R; r++) {
        weft_real *row = dz->real + r * dz->ld;
        if (loss_counts(spec, targets[r]))
            row_backward(V, z->real + r * z->ld, c->saved[0].real + 2 * r, targets[r], labels,
                         (double)c->dout[0].real[r], c->add[LOGITS], row);
        else if (!c->add[LOGITS])
            for (int64_t k = 0; k < V; k++) row[k] = 0;
    }
}

/* 1 where the row counts, and targets with 0 in place of the ignored one. */
static void split_ignored(weft_tape *t, weft_var targets, int64_t R,
                          const weft_cross_entropy_spec *spec, weft_var *index, weft_var *counts)
{
    const weft_tensor given = weft_value(t, targets);
    int32_t *both = weft_alloc(2 * (size_t)R, sizeof *both);
    if (!both) {
        weft_tape_fail(t, WEFT_ERR_MEMORY, "cross_entropy: %s", weft_message());
        return;
    }
    for (int64_t r = 0; given.data && r < R; r++) {
        both[r] = loss_counts(spec, given.i32[r]);
        both[R + r] = both[r] ? given.i32[r] : 0;
    }
    *counts = weft_constant_int(t, WEFT_DIMS(R), both);
    *index = weft_constant_int(t, WEFT_DIMS(R, 1), both + R);
    weft_free(both);
}

weft_var weft_cross_entropy_define(weft_tape *t, weft_var logits, weft_var targets,
                                   const weft_cross_entropy_spec *spec, weft_var *nll)
{
    const weft_tensor shape = weft_shape(t, logits);
    const int64_t R = weft_rows(&shape);
    const weft_loss_labels labels = loss_labels(spec, weft_cols(&shape));
    weft_var index = WEFT_NIL, counts = WEFT_NIL;
    if (spec->has_ignore)
        split_ignored(t, targets, R, spec, &index, &counts);
    else
        index = weft_reshape(t, targets, WEFT_DIMS(R, 1));
    const weft_var logs = weft_log_softmax(t, logits);
    weft_var plain = weft_neg(t, weft_reshape(t, weft_gather(t, logs, 1, index), WEFT_DIMS(R)));
    weft_var loss = plain;
    if (labels.rest > 0) {
        weft_var spread = weft_sum(t, logs, 1, false);
        if (labels.never >= 0)
            spread =
                weft_sub(t, spread,
                         weft_reshape(t, weft_slice(t, logs, 1, labels.never, labels.never + 1),
                                      WEFT_DIMS(R)));
        loss = weft_sub(t, weft_scale(t, plain, 1 - labels.rest),
                        weft_scale(t, spread, labels.rest / (double)labels.n));
    }
    if (spec->has_ignore) {
        loss = weft_where(t, counts, loss, weft_scalar(t, 0));
        plain = weft_where(t, counts, plain, weft_scalar(t, 0));
    }
    if (nll) *nll = plain;
    return loss;
}

static void define(weft_rule *r)
{
    weft_tape *t = r->tape;
    const weft_tensor z = weft_shape(t, r->in[LOGITS]);
    const weft_var rows = weft_reshape(t, r->in[LOGITS], WEFT_DIMS(weft_rows(&z), weft_cols(&z)));
    r->result[0] = weft_reshape(
        t, weft_cross_entropy_define(t, rows, r->in[TARGETS], r->attr, NULL), z.rank - 1, z.dim);
}

static weft_var with(weft_tape *t, weft_var logits, weft_var targets, double smoothing)
{
    return weft_cross_entropy(t, logits, targets,
                              &(weft_cross_entropy_spec){ .smoothing = smoothing });
}

/* The other two ways to smooth: few classes, `never` at either end and beside ignored rows. */
static weft_var sample_kind(weft_tape *t, int i)
{
    weft_cross_entropy_spec spec = { .smoothing = 0.1, .kind = WEFT_LABELS_OTHERS };
    switch (i) {
    case 0:
        return weft_cross_entropy(t, weft_sample_normal(t, WEFT_DIMS(5, 37)),
                                  weft_sample_int(t, 0, 37, WEFT_DIMS(5)), &spec);
    case 1: /* the target has less than the other */
        spec.smoothing = 0.9;
        return weft_cross_entropy(t, weft_sample_normal(t, WEFT_DIMS(3, 2)),
                                  weft_sample_int(t, 0, 2, WEFT_DIMS(3)), &spec);
    case 2:
        spec = (weft_cross_entropy_spec){ 0.2, WEFT_LABELS_ANNOTATED, .never = 1 };
        return weft_cross_entropy(t, weft_sample_strided(t, WEFT_DIMS(4, 7)),
                                  weft_sample_int(t, 2, 7, WEFT_DIMS(4)), &spec);
    case 3: /* padding */
        spec = (weft_cross_entropy_spec){ 0.1, WEFT_LABELS_ANNOTATED, .has_ignore = true };
        return weft_cross_entropy(t, weft_sample_normal(t, WEFT_DIMS(9, 3)),
                                  weft_sample_int(t, 0, 3, WEFT_DIMS(9)), &spec);
    case 4:
        spec = (weft_cross_entropy_spec){ 0.1, WEFT_LABELS_ANNOTATED, .never = 1099 };
        return weft_cross_entropy(t, weft_sample_normal(t, WEFT_DIMS(2, 1100)),
                                  weft_sample_int(t, 0, 1099, WEFT_DIMS(2)), &spec);
    default: return WEFT_NIL;
    }
}

static weft_var sample(weft_tape *t, int i)
{
    const weft_cross_entropy_spec ignoring = { .smoothing = 0.1, .has_ignore = true, .ignore = 2 };
    weft_var x;
    switch (i) {
    case 0:
        return with(t, weft_sample_normal(t, WEFT_DIMS(4, 5)),
                    weft_sample_int(t, 0, 5, WEFT_DIMS(4)), 0);
    case 1:
        return with(t, weft_sample_normal(t, WEFT_DIMS(3, 37)),
                    weft_sample_int(t, 0, 37, WEFT_DIMS(3)), 0.1);
    case 2:
        return with(t, weft_sample_normal(t, WEFT_DIMS(7)), weft_sample_int(t, 0, 7, 0, NULL), 0.2);
    case 3:
        return with(t, weft_sample_normal(t, WEFT_DIMS(2, 3, 4)),
                    weft_sample_int(t, 0, 4, WEFT_DIMS(2, 3)), 0.1);
    case 4:
        return with(t, weft_sample_strided(t, WEFT_DIMS(4, 6)),
                    weft_sample_int(t, 0, 6, WEFT_DIMS(4)), 0.1);
    case 5: /* one class: the loss is 0 */
        weft_sample_zero_gradient(t);
        return with(t, weft_sample_normal(t, WEFT_DIMS(2, 1)),
                    weft_sample_int(t, 0, 1, WEFT_DIMS(2)), 0);
    case 6: /* some rows do not count */
        return weft_cross_entropy(t, weft_sample_normal(t, WEFT_DIMS(9, 4)),
                                  weft_sample_int(t, 0, 4, WEFT_DIMS(9)), &ignoring);
    case 7: /* a target that is ignored need not be a class */
        return weft_cross_entropy(t, weft_sample_normal(t, WEFT_DIMS(2, 3)),
                                  weft_constant_int(t, WEFT_DIMS(2), (int32_t[]){ -100, 1 }),
                                  &(weft_cross_entropy_spec){ .has_ignore = true, .ignore = -100 });
    case 8:
        return with(t, weft_sample_uniform(t, 998, 1002, WEFT_DIMS(3, 4)),
                    weft_sample_int(t, 0, 4, WEFT_DIMS(3)), 0.3);
    case 9:
        x = weft_sample_normal(t, WEFT_DIMS(4, 3));
        return weft_mul(t, weft_sum(t, x, 1, false),
                        with(t, x, weft_sample_int(t, 0, 3, WEFT_DIMS(4)), 0.1));
    case 10: /* longer than the window */
        return with(t, weft_sample_normal(t, WEFT_DIMS(2, 1100)),
                    weft_sample_int(t, 0, 1100, WEFT_DIMS(2)), 0.1);
    default: return sample_kind(t, i - 11);
    }
}

static weft_var misuse(weft_tape *t, int i)
{
    const weft_cross_entropy_spec others = { .kind = WEFT_LABELS_OTHERS };
    weft_cross_entropy_spec annotated = { .kind = WEFT_LABELS_ANNOTATED, .never = 1 };
    const weft_var x = weft_sample_normal(t, WEFT_DIMS(2, 3)),
                   y = weft_sample_int(t, 0, 3, WEFT_DIMS(2));
    switch (i) {
    case 0: return with(t, x, weft_constant_int(t, WEFT_DIMS(2), (int32_t[]){ 0, 3 }), 0);
    case 1: return with(t, x, weft_constant_int(t, WEFT_DIMS(2), (int32_t[]){ -1, 0 }), 0);
    case 2: return with(t, x, weft_sample_int(t, 0, 3, WEFT_DIMS(3)), 0);
    case 3: return with(t, x, y, 1);
    case 4: return with(t, x, y, -0.1);
    case 5: return with(t, weft_scalar(t, 1), weft_sample_int(t, 0, 1, WEFT_DIMS(1)), 0);
    case 6: return with(t, weft_sample_normal(t, WEFT_DIMS(2, 0)), y, 0);
    case 7: return with(t, x, weft_sample_normal(t, WEFT_DIMS(2)), 0);
    case 8: return with(t, x, WEFT_NIL, 0);
    case 9:
        return weft_cross_entropy(t, weft_sample_normal(t, WEFT_DIMS(2, 1)),
                                  weft_sample_int(t, 0, 1, WEFT_DIMS(2)), &others);
    case 10:
        return weft_cross_entropy(t, weft_sample_normal(t, WEFT_DIMS(2, 2)),
                                  weft_sample_int(t, 0, 1, WEFT_DIMS(2)), &annotated);
    case 11: annotated.never = 3; return weft_cross_entropy(t, x, y, &annotated);
    case 12: annotated.never = -1; return weft_cross_entropy(t, x, y, &annotated);
    case 13:
        return weft_cross_entropy(t, x, weft_constant_int(t, WEFT_DIMS(2), (int32_t[]){ 0, 1 }),
                                  &annotated);
    default: return WEFT_NIL;
    }
}

const weft_op weft_op_cross_entropy = { .name = "cross_entropy",
                                        .inputs = "logits targets",
                                        .n_in = 2,
                                        .integer = 1 << TARGETS,
                                        .strided = 1 << LOGITS,
                                        .infer = infer,
                                        .forward = forward,
                                        .backward = backward,
                                        .define = define,
                                        .sample = sample,
                                        .misuse = misuse };

weft_var weft_cross_entropy(weft_tape *tape, weft_var logits, weft_var targets,
                            const weft_cross_entropy_spec *spec)
{
    const weft_cross_entropy_spec attr = spec ? *spec : (weft_cross_entropy_spec){ 0 };
    return weft_apply1(tape, &weft_op_cross_entropy, 2, (weft_var[]){ logits, targets }, &attr,
                       sizeof attr);
}
