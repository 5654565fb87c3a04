/* recurrent_internal.h - one token of a recurrent cell: rows of numbers, no tape. The formulas stand
 * in ops/recurrent.c. Not installed. */
#ifndef WEFT_RECURRENT_INTERNAL_H
#define WEFT_RECURRENT_INTERNAL_H

#include "autograd/autograd.h"

/* Numbers a token, in units of D. */
int weft_cell_inputs(
    weft_cell cell); /* of x, and rows of the weight: one each for i f g o; r z n; 1 */
int weft_cell_state(weft_cell cell); /* of y: h and, of an LSTM, c */
int weft_cell_saved(weft_cell cell); /* of what backward reads of it */

/* What one token reads and writes. */
typedef struct weft_cell_row {
    const weft_real *x;       /* [inputs D] */
    const weft_real *prev;    /* [state D] the state before */
    const weft_real *product; /* [inputs D] U h + b; of GRU_BEFORE in two parts, see below */
    weft_real *y;             /* [state D] the state after */
    weft_real *saved;         /* [saved D] */
    weft_real *gated;         /* [D] r h, of GRU_BEFORE */
    const weft_real *dy;      /* [state D] gradient of y from outside, */
    weft_real *carry;        /* [state D] from the next token; becomes that of the state before, but
                                  for what comes through the product */
    weft_real *dproduct;     /* [inputs D] */
    const weft_real *dgated; /* [D] */
    weft_real *dx;           /* [inputs D]; NULL: not wanted */
    bool add;                /* to dx instead of overwriting it */
} weft_cell_row;

/** saved and y from x, product and prev. GRU_BEFORE: r, z and gated from the first two thirds of the
 *  product; its last third is then U_n gated, and weft_cell_finish gives y. */
void weft_cell_forward(weft_cell cell, int64_t D, const weft_cell_row *row);
void weft_cell_finish(int64_t D, const weft_cell_row *row);

/** dproduct, dx and carry from dy and carry. GRU_BEFORE: of dproduct the last third alone (and gated
 *  again); dgated is then U_n^T of it, and weft_cell_finish_backward gives the rest. */
void weft_cell_backward(weft_cell cell, int64_t D, const weft_cell_row *row);
void weft_cell_finish_backward(int64_t D, const weft_cell_row *row);

/** The state after one token, [1, state D], from values on a tape: what the above means. */
weft_var weft_cell_define(weft_tape *tape, weft_cell cell, int64_t D, weft_var x, weft_var prev,
                          weft_var weight, weft_var bias);

#endif
