/* gradcheck_internal.h - what the files of the gradient check share, and faults planted on purpose. */
#ifndef WEFT_GRADCHECK_INTERNAL_H
#define WEFT_GRADCHECK_INTERNAL_H

#include "autograd/autograd.h"

/* ---- differences (gradcheck_difference.c) ------------------------------------------------------ */

/* The function whose derivative is taken: f = sum_j <w_j, y_j> of variables on a retaining tape, as
 * it depends on one leaf. */
typedef struct weft_difference {
    weft_tape *tape;
    int n;
    const weft_var *y;
    const weft_real *w; /* all w_j, one after the other */
    weft_tensor x;      /* the leaf */
    const weft_real *v; /* direction of its change, norm 1 */
    weft_real *room;    /* size(x) + 2 size(w) elements */
    double scale;       /* a step that is small for x; set by weft_difference_begin */
} weft_difference;

void weft_difference_begin(weft_difference *d);
/** df/dv by central differences of steps h, h/2, h/4, ..., extrapolated to h = 0; ends early below
 *  an estimated error of `goal`. NAN where f is not finite. */
double weft_difference_central(weft_difference *d, double goal);
/** Derivatives to the left and to the right. */
void weft_difference_sides(weft_difference *d, double side[2]);
/** Put x back and compute everything anew. */
void weft_difference_end(weft_difference *d);

#endif
