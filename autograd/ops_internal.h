/* ops_internal.h - what several operations share: elementwise kernels over broadcast operands, and
 * the reductions that undo broadcasting. Not installed. */
#ifndef WEFT_OPS_INTERNAL_H
#define WEFT_OPS_INTERNAL_H

#include "autograd/autograd.h"

/* ---- elementwise (elementwise.c) --------------------------------------------------------------- */

/* y[k] = f(x[k]) for n contiguous elements; `attr` is the operation's. */
typedef void weft_unary_kernel(int64_t n, const weft_real *x, weft_real *y, const void *attr);
/* dx[k] (+)= dy[k] f'(x[k]), with y = f(x) at hand. */
typedef void weft_unary_gradient(int64_t n, const weft_real *x, const weft_real *y,
                                 const weft_real *dy, bool add, weft_real *dx, const void *attr);
/* y[k] = f(a[k sa], b[k sb]); the strides are 0 (broadcast) or 1. */
typedef void weft_binary_kernel(int64_t n, const weft_real *a, int64_t sa, const weft_real *b,
                                int64_t sb, weft_real *y);

bool weft_infer_unary(weft_call *c);  /* one real output of the input's shape */
bool weft_infer_binary(weft_call *c); /* one real output of the broadcast shape of inputs 0 and 1 */
void weft_map_unary(const weft_call *c, weft_unary_kernel *f); /* strided input allowed */
void weft_map_unary_gradient(const weft_call *c, weft_unary_gradient *f);
void weft_map_binary(const weft_call *c, weft_binary_kernel *f); /* strided inputs allowed */

/* Broadcasting: for each row r of an output [.., C], the element of operand x where its row begins,
 * and the stride (0 or 1) along the row. */
typedef struct weft_broadcast_rows {
    int rank;
    int64_t dim[WEFT_MAX_RANK], stride[WEFT_MAX_RANK]; /* of the output's leading dimensions */
    int64_t last;                                      /* 0 or 1 */
} weft_broadcast_rows;
weft_broadcast_rows weft_broadcast_rows_of(const weft_tensor *x, const weft_tensor *out);
int64_t weft_broadcast_row(const weft_broadcast_rows *rows, int64_t r);

/* ---- products ------------------------------------------------------------------------------------ */

/* Does this tape want products with operands in bfloat16? */
static inline bool weft_products_bf16(const weft_call *c)
{
    return (weft_tape_flags(c->tape) & WEFT_BF16) != 0;
}

/* ---- sums (ops/sum.c), of which mean is made too ------------------------------------------------ */

typedef struct weft_sum_attr {
    uint32_t mask; /* bit i: sum over axis i; WEFT_SUM_ALL: over every one */
    bool keep;
} weft_sum_attr;
#define WEFT_SUM_ALL UINT32_MAX
/** The attributes that weft_sum's arguments mean; a mask beyond the rank where axis is none. */
weft_sum_attr weft_sum_attr_of(weft_tape *tape, weft_var x, int axis, bool keep);
bool weft_infer_sum(weft_call *c);
void weft_forward_sum(const weft_call *c);
/** dy, one for each sum, repeated over what was summed: the gradient of sum. */
weft_var weft_unsum(weft_tape *tape, weft_var dy, weft_var x, weft_sum_attr attr);

/* ---- along one axis ---------------------------------------------------------------------------- */

/* A dense tensor as [outer, n, inner] around one axis. */
typedef struct weft_axis_view {
    int64_t outer, n, inner;
} weft_axis_view;
weft_axis_view weft_axis_view_of(const weft_tensor *x, int axis); /* axis in -rank .. rank-1 */
/** Every index in 0 .. n-1? (true on a dry tape); the first other one is named. For infer. */
bool weft_check_index(const weft_call *c, int input, int64_t n);

/* ---- shared samples (samples.c) ---------------------------------------------------------------- */

/** Cases 0 .. 9 of an elementwise f of one input, drawn from (low, high); WEFT_NIL past them. */
weft_var weft_sample_unary(weft_tape *tape, int i, weft_var (*f)(weft_tape *, weft_var), double low,
                           double high);
/** Calls of f that must fail. */
weft_var weft_misuse_unary(weft_tape *tape, int i, weft_var (*f)(weft_tape *, weft_var));
/** Cases 0 .. 9 of a broadcasting f of two inputs, b drawn from (low, high). */
weft_var weft_sample_binary(weft_tape *tape, int i, weft_var (*f)(weft_tape *, weft_var, weft_var),
                            double low, double high);
weft_var weft_misuse_binary(weft_tape *tape, int i, weft_var (*f)(weft_tape *, weft_var, weft_var));

/* ---- for rules --------------------------------------------------------------------------------- */

/** Sum over the axes in `mask` (bit i: axis i); keep: leave them as size 1. */
weft_var weft_sum_axes(weft_tape *tape, weft_var x, uint32_t mask, bool keep);
/** Undo broadcasting: sum x down to the shape of `like`. */
weft_var weft_sum_like(weft_tape *tape, weft_var x, weft_var like);
/** Broadcast x to the shape of `like`. */
weft_var weft_expand_like(weft_tape *tape, weft_var x, weft_var like);
/** An axis in -rank .. rank-1 as 0 .. rank-1; -1 and a failed tape when it is out of range. */
int weft_axis(const weft_call *c, int axis, int rank);

#endif
