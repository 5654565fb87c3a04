/* packed_internal.h - sentences packed into one matrix, as the operations on whole sentences see them:
 * where each begins, what of it can be wrong, its rows in a definition. Not installed.
 *
 * `x` is [N, C] with offsets [B+1], or without offsets one sentence, or [B, T, C] of equal lengths. */
#ifndef WEFT_PACKED_INTERNAL_H
#define WEFT_PACKED_INTERNAL_H

#include "autograd/autograd.h"

/** B. */
int64_t weft_packed_sentences(const weft_tensor *x, const weft_tensor *offsets);
/** The row where sentence b begins; b = B gives the number of rows. */
int64_t weft_packed_begin(const weft_tensor *x, const weft_tensor *offsets, int64_t b);
/** For infer: input `input` is missing, or [B+1] and rises from 0 to `rows`. */
bool weft_packed_check(const weft_call *c, int input, const char *name, int64_t rows);
/** For infer: the sentences of inputs q and k, with the offsets at q_offsets and k_offsets, are as
 *  many; `same`: and as long. */
bool weft_packed_check_pair(const weft_call *c, int q, int q_offsets, int k, int k_offsets,
                            bool same);
/** For infer: the columns of input i are `heads` >= 1 heads of at least one column. */
bool weft_packed_check_heads(const weft_call *c, int i, const char *name, int64_t heads);
/** Output 0 as input `like`, with `cols` columns. */
bool weft_packed_out(weft_call *c, int like, int64_t cols);

/* ---- for definitions -------------------------------------------------------------------------- */

/** Rows [row, row + n), columns [h C, (h + 1) C) of a matrix. */
weft_var weft_packed_part(weft_tape *tape, weft_var x, int64_t row, int64_t n, int64_t h,
                          int64_t C);
/** [R, C] of any rank. */
weft_var weft_packed_matrix(weft_tape *tape, weft_var x);
/** The values of a definition's inputs: rank -1 where one is missing. On a dry tape the offsets
 *  (inputs from `first_offsets` on) are missing too: as if it were one sentence. */
void weft_packed_inputs(const weft_rule *r, int first_offsets, weft_tensor in[]);
/** A constant [n_q, n_k] of 0 and 1 from see(context, i, j). */
weft_var weft_packed_mask(weft_tape *tape, int64_t n_q, int64_t n_k,
                          bool (*see)(const void *context, int64_t i, int64_t j),
                          const void *context);
/** result[0] = the sentences' values below each other, in the shape of input 0 with `cols` columns;
 *  define_sentence(context, b) gives those of sentence b, WEFT_NIL for one without rows. */
void weft_packed_define(weft_rule *r, const weft_tensor *x, int64_t B, int64_t cols,
                        weft_var (*define_sentence)(const void *context, int64_t b),
                        const void *context);
/** H heads side by side; define_head(context, b, h) gives one. */
weft_var weft_packed_heads(weft_tape *tape, int64_t H, int64_t b,
                           weft_var (*define_head)(const void *context, int64_t b, int64_t h),
                           const void *context);

#endif
