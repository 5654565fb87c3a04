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
    double first;       /* step to begin with; 0: a tenth of scale */
} weft_difference;

void weft_difference_begin(weft_difference *d);
/** df/dv by central differences of steps h, h/2, h/4, ..., extrapolated to h = 0; ends early below
 *  an estimated error of `goal`. NAN where f is not finite. */
double weft_difference_central(weft_difference *d, double goal);
/** Derivatives to the left and to the right. */
void weft_difference_sides(weft_difference *d, double side[2]);
/** Put x back and compute everything anew. */
void weft_difference_end(weft_difference *d);

/* ---- faults planted on purpose (gradcheck_faults.c) --------------------------------------------- */

typedef enum weft_fault {
    WEFT_FAULT_NONE,         /* the right gradient, wrapped all the same: must pass */
    WEFT_FAULT_NOTHING,      /* the gradient is not written */
    WEFT_FAULT_ZERO,         /* it is 0 */
    WEFT_FAULT_SIGN,         /* times -1 */
    WEFT_FAULT_TWICE,        /* times 2 */
    WEFT_FAULT_SCALE,        /* times 1.0001: a factor forgotten that is nearly 1 */
    WEFT_FAULT_MISSING,      /* the last element is 0 */
    WEFT_FAULT_TRANSPOSED,   /* rows and columns exchanged; one row or column: reversed */
    WEFT_FAULT_TERM,         /* a constant term too many */
    WEFT_FAULT_UNMASKED,     /* not 0 where it should be */
    WEFT_FAULT_SWAPPED,      /* that of another input of the same size */
    WEFT_FAULT_NO_UPSTREAM,  /* for an upstream gradient of 1 */
    WEFT_FAULT_NO_REDUCTION, /* only the last row of the output counts */
    WEFT_FAULT_OVERWRITES,   /* fused: overwrites where it should add */
    WEFT_FAULT_ADDS,         /* fused: adds where it should overwrite */
    WEFT_FAULT_DEFINITION,   /* fused: the definition is another function */
    WEFT_FAULT_DETACHED,     /* primitive: right, but with a derivative of 0 */
    WEFT_FAULT_COUNT
} weft_fault;
const char *weft_fault_name(weft_fault fault); /* "times -1" */

/** Check `op` with a fault in its gradient by input `input`. *planted: the fault changed a gradient;
 *  it was caught where report->n_failed > 0. */
weft_status weft_gradcheck_plant(const weft_op *op, weft_fault fault, int input,
                                 weft_gradcheck_report *report, bool *planted) WEFT_MUST_CHECK;

#endif
