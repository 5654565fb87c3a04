/* fused_internal.h - what the fused operations share: row keys of dropout, activations, norms. Not
 * installed. */
#ifndef WEFT_FUSED_INTERNAL_H
#define WEFT_FUSED_INTERNAL_H

#include "autograd/ops_internal.h"

/* ---- row keys ---------------------------------------------------------------------------------- */

/* The key of row r's random numbers: sentence and position from `rows` [N, 2], else r itself. */
static inline uint64_t weft_row_key(const weft_tensor *rows, int64_t r)
{
    if (rows->rank < 0 || !rows->i32) return (uint64_t)r;
    return (uint64_t)(uint32_t)rows->i32[r * rows->ld] << 32 |
           (uint32_t)rows->i32[r * rows->ld + 1];
}

/** For infer: rows is missing or int32 [R, 2], and p is in [0, 1). */
bool weft_check_dropout(const weft_call *c, double p, const weft_tensor *rows, int64_t R);
/** Dropout under a key that is known: what vjp and definitions use. p = 0 gives x itself. */
weft_var weft_dropout_keyed(weft_tape *tape, weft_var x, weft_var rows, double p, uint64_t key);

/* ---- activations (activation.c): y = f(z), and dz (+)= dy f'(z), over contiguous spans ------------- */

void weft_activate(weft_activation f, int64_t n, const weft_real *z, weft_real *y);
/** z becomes f(z), slope f'(z); not for ReLU, whose f(z) tells f'(z). */
void weft_activate_and_slope(weft_activation f, int64_t n, weft_real *z, weft_real *slope);
void weft_activate_gradient(weft_activation f, int64_t n, const weft_real *z, const weft_real *y,
                            const weft_real *dy, bool add, weft_real *dz);
/** Does the gradient read z (else y is enough)? */
bool weft_activation_reads_input(weft_activation f);
/** The same as an operation on the tape. */
weft_var weft_activation_apply(weft_tape *tape, weft_activation f, weft_var z);

/* ---- normalisation (normalise.c) ---------------------------------------------------------------- */

/* Rows are treated in blocks of this many; what blocks leave behind is summed in their order. */
enum { WEFT_NORM_BLOCK = 64 };
/** y = gain (s - mean) rstd + bias for one row of C; RMS: mean = 0, bias NULL allowed. */
void weft_normalise_row(const weft_norm_spec *norm, int64_t C, const weft_real *s,
                        const weft_real *gain, const weft_real *bias, weft_real *y, weft_real *mean,
                        weft_real *rstd);
/** ds of one row (overwritten); adds the row's part to dgain[C] and dbias[C] (NULL: not wanted). */
void weft_normalise_row_gradient(const weft_norm_spec *norm, int64_t C, const weft_real *s,
                                 const weft_real *gain, weft_real mean, weft_real rstd,
                                 const weft_real *dy, weft_real *ds, weft_real *dgain,
                                 weft_real *dbias);
/** dx[c] (+)= sum over n partial rows part[b * stride + c], in their order, in double. */
void weft_sum_parts(int64_t n, int64_t stride, int64_t C, const weft_real *part, bool add,
                    weft_real *dx);
/** The definition of weft_norm: mean, variance, root and all from primitives. */
weft_var weft_norm_define(weft_tape *tape, weft_var s, weft_var gain, weft_var bias,
                          const weft_norm_spec *norm);
/** For infer: gain [C], bias [C] or missing. */
bool weft_check_norm(const weft_call *c, const weft_norm_spec *norm, const weft_tensor *x,
                     const weft_tensor *gain, const weft_tensor *bias);

#endif
