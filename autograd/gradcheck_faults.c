/* gradcheck_faults.c - wrong gradients, to see whether the gradient check finds them.
 *
 * A broken operation calls the gradient of the right one and spoils what that gives for one input,
 * so every operation of the table can be broken in every way without a line about it. */
#include "autograd/gradcheck_internal.h"
#include "autograd/tape_internal.h"

#include <math.h>
#include <string.h>

typedef struct broken_op {
    weft_op op; /* first: the operation that nodes point to is this struct */
    const weft_op *right;
    weft_fault fault;
    int input;
    bool *planted, *no_memory;
} broken_op;

static const char *const fault_names[WEFT_FAULT_COUNT] = {
    [WEFT_FAULT_NONE] = "right",
    [WEFT_FAULT_NOTHING] = "not written",
    [WEFT_FAULT_ZERO] = "zero",
    [WEFT_FAULT_SIGN] = "times -1",
    [WEFT_FAULT_TWICE] = "times 2",
    [WEFT_FAULT_SCALE] = "times 1.0001",
    [WEFT_FAULT_MISSING] = "last element missing",
    [WEFT_FAULT_TRANSPOSED] = "transposed",
    [WEFT_FAULT_TERM] = "a term too many",
    [WEFT_FAULT_UNMASKED] = "unmasked",
    [WEFT_FAULT_SWAPPED] = "another input's",
    [WEFT_FAULT_NO_UPSTREAM] = "upstream ignored",
    [WEFT_FAULT_NO_REDUCTION] = "no sum over rows",
    [WEFT_FAULT_OVERWRITES] = "overwrites",
    [WEFT_FAULT_ADDS] = "adds to garbage",
    [WEFT_FAULT_DEFINITION] = "other definition",
    [WEFT_FAULT_DETACHED] = "detached",
};

const char *weft_fault_name(weft_fault fault) { return fault_names[fault]; }

static double largest(int64_t n, const weft_real *g)
{
    double most = 0;
    for (int64_t k = 0; k < n; k++)
        if (fabs((double)g[k]) > most) most = fabs((double)g[k]);
    return most;
}

/* Spoil n = R C gradient values g into `bad`; `other` is another input's gradient or NULL. */
static void spoil(weft_fault fault, int64_t R, int64_t C, const weft_real *g,
                  const weft_real *other, weft_real *bad)
{
    const int64_t n = R * C;
    const weft_real most = (weft_real)largest(n, g);
    const double factor = fault == WEFT_FAULT_ZERO    ? 0
                          : fault == WEFT_FAULT_SIGN  ? -1
                          : fault == WEFT_FAULT_TWICE ? 2
                          : fault == WEFT_FAULT_SCALE ? 1.0001
                                                      : 1;
    for (int64_t k = 0; k < n; k++) {
        const int64_t r = k / C, c = k % C;
        bad[k] = (weft_real)(factor * (double)g[k]);
        if (fault == WEFT_FAULT_MISSING && k == n - 1) bad[k] = 0;
        if (fault == WEFT_FAULT_TRANSPOSED) bad[k] = R > 1 && C > 1 ? g[c * R + r] : g[n - 1 - k];
        if (fault == WEFT_FAULT_TERM) bad[k] += (weft_real)1e-3 * most;
        if (fault == WEFT_FAULT_UNMASKED && g[k] == 0) bad[k] = most;
        if (fault == WEFT_FAULT_SWAPPED && other) bad[k] = other[k];
    }
}

/* Does the fault show, in the sense that another gradient came out? */
static void note(const broken_op *b, int64_t n, const weft_real *g, const weft_real *bad)
{
    const double small = 1e-5 * largest(n, g);
    for (int64_t k = 0; k < n; k++)
        if (small > 1e-12 && fabs((double)g[k] - (double)bad[k]) > small) *b->planted = true;
}

/* The upstream gradient of this fault. */
static void spoil_upstream(weft_fault fault, int64_t R, int64_t C, weft_real *dy)
{
    for (int64_t k = 0; k < R * C; k++) {
        if (fault == WEFT_FAULT_NO_UPSTREAM) dy[k] = 1;
        if (fault == WEFT_FAULT_NO_REDUCTION && k < (R - 1) * C) dy[k] = 0;
    }
}

static bool is_upstream(weft_fault fault)
{
    return fault == WEFT_FAULT_NO_UPSTREAM || fault == WEFT_FAULT_NO_REDUCTION;
}

/* A dense copy on the heap; NULL when there is no memory. */
static weft_real *dense_copy(const weft_tensor *x)
{
    weft_tensor y = *x;
    y.ld = weft_cols(x);
    y.real = weft_alloc((size_t)weft_size(x), sizeof *y.real);
    if (y.real) weft_tensor_copy(x, &y, false);
    return y.real;
}

/* ---- fused: kernels ------------------------------------------------------------------------------ */

/* The right gradients for these dout, written into dense blocks of their own. */
static bool right_backward(const weft_call *c, const broken_op *b, const weft_tensor *dout,
                           weft_tensor *din)
{
    bool *add = weft_alloc((size_t)c->n_in, sizeof *add); /* all false */
    bool ok = add != NULL;
    for (int i = 0; i < c->n_in; i++) {
        din[i] = c->din[i];
        if (!din[i].data) continue;
        din[i].ld = weft_cols(&din[i]);
        din[i].real = weft_alloc((size_t)weft_size(&din[i]), sizeof *din[i].real);
        ok = ok && din[i].real;
    }
    if (ok) {
        weft_call call = *c;
        call.op = b->right;
        call.dout = dout;
        call.din = din;
        call.add = add;
        b->right->backward(&call);
    }
    weft_free(add);
    return ok;
}

/* Spoil din[b->input]; what is to be written instead lies there afterwards. */
static bool spoil_kernel(const weft_call *c, const broken_op *b, weft_tensor *din)
{
    weft_tensor *d = &din[b->input];
    const int64_t R = weft_rows(d), C = weft_cols(d);
    weft_real *g = dense_copy(d);
    const weft_real *other = NULL;
    bool ok = g != NULL;
    for (int i = 0; i < c->n_in; i++)
        if (i != b->input && din[i].data && weft_size(&din[i]) == R * C) other = din[i].real;
    if (ok && is_upstream(b->fault)) {
        weft_tensor dout[WEFT_MAX_OUT], *again = weft_alloc((size_t)c->n_in, sizeof *again);
        ok = again != NULL;
        for (int j = 0; j < c->n_out; j++) {
            dout[j] = c->dout[j];
            if (!dout[j].data) continue;
            dout[j].real = dense_copy(&c->dout[j]);
            dout[j].ld = weft_cols(&dout[j]);
            ok = ok && dout[j].real;
            if (dout[j].real)
                spoil_upstream(b->fault, weft_rows(&dout[j]), weft_cols(&dout[j]), dout[j].real);
        }
        ok = ok && right_backward(c, b, dout, again);
        if (ok) memcpy(d->real, again[b->input].real, (size_t)(R * C) * sizeof *g);
        for (int i = 0; again && i < c->n_in; i++) weft_free(again[i].data);
        for (int j = 0; j < c->n_out; j++) weft_free(dout[j].data);
        weft_free(again);
    } else if (ok) {
        spoil(b->fault, R, C, g, other, d->real);
    }
    if (ok) note(b, R * C, g, d->real);
    weft_free(g);
    return ok;
}

static void broken_backward(const weft_call *c)
{
    const broken_op *b = (const broken_op *)c->op;
    weft_tensor *din = weft_alloc((size_t)c->n_in, sizeof *din);
    const bool spoils = b->input < c->n_in && c->din[b->input].data;
    bool ok = din && right_backward(c, b, c->dout, din);
    if (ok && spoils) ok = spoil_kernel(c, b, din);
    for (int i = 0; ok && i < c->n_in; i++) {
        bool add = c->add[i];
        if (!din[i].data) continue;
        if (spoils && i == b->input) {
            const bool any = largest(weft_size(&din[i]), din[i].real) > 0;
            if (b->fault == WEFT_FAULT_OVERWRITES) *b->planted |= add && any;
            if (b->fault == WEFT_FAULT_ADDS) *b->planted |= !add && any;
            if (b->fault == WEFT_FAULT_NOTHING) *b->planted |= any;
            if (b->fault == WEFT_FAULT_OVERWRITES) add = false;
            if (b->fault == WEFT_FAULT_ADDS) add = true;
            if (b->fault == WEFT_FAULT_NOTHING) continue;
        }
        weft_tensor_copy(&din[i], &c->din[i], add);
    }
    for (int i = 0; din && i < c->n_in; i++) weft_free(din[i].data);
    weft_free(din);
    if (!ok) *b->no_memory = true;
}

static void broken_define(weft_rule *r)
{
    const broken_op *b = (const broken_op *)r->op;
    b->right->define(r);
    if (b->fault != WEFT_FAULT_DEFINITION || b->input != 0) return;
    r->result[0] = weft_scale(r->tape, r->result[0], 1.0001);
    *b->planted = true;
}

/* ---- primitives: rules ---------------------------------------------------------------------------- */

/* A constant of the values of x, spoilt by the caller first; WEFT_NIL after a failure. */
static weft_var constant_of(const broken_op *b, weft_rule *r, weft_var x, weft_tensor *shape,
                            weft_real **values)
{
    *shape = weft_value(r->tape, x);
    *values = shape->data ? dense_copy(shape) : NULL;
    if (!*values) *b->no_memory = true;
    return x;
}

static weft_var spoil_rule(const broken_op *b, weft_rule *r)
{
    weft_tape *t = r->tape;
    weft_tensor shape, other_shape;
    weft_real *g, *other = NULL, *bad;
    weft_var result = WEFT_NIL;
    constant_of(b, r, r->din[b->input], &shape, &g);
    if (!g) return WEFT_NIL;
    const int64_t R = weft_rows(&shape), C = weft_cols(&shape);
    for (int i = 0; i < r->n_in && !other; i++) {
        if (i == b->input || !r->wants[i] || weft_is_nil(r->din[i])) continue;
        other_shape = weft_shape(t, r->din[i]);
        if (weft_size(&other_shape) == R * C) constant_of(b, r, r->din[i], &other_shape, &other);
    }
    bad = weft_alloc((size_t)(R * C), sizeof *bad);
    if (bad) {
        spoil(b->fault, R, C, g, other, bad);
        note(b, R * C, g, bad);
        *b->planted |= b->fault == WEFT_FAULT_DETACHED && largest(R * C, g) > 0;
        result = weft_constant(t, shape.rank, shape.dim, bad);
    } else {
        *b->no_memory = true;
    }
    weft_free(g);
    weft_free(other);
    weft_free(bad);
    return result;
}

/* The right rule with another upstream gradient; only din[input] of it is taken. */
static weft_var rule_for_upstream(const broken_op *b, weft_rule *r)
{
    weft_tape *t = r->tape;
    weft_var dout[WEFT_MAX_OUT], *din = weft_alloc((size_t)r->n_in, sizeof *din);
    if (!din) {
        *b->no_memory = true;
        return WEFT_NIL;
    }
    for (int j = 0; j < r->n_out; j++) {
        weft_tensor shape;
        weft_real *dy;
        dout[j] = r->dout[j];
        if (weft_is_nil(dout[j])) continue;
        constant_of(b, r, dout[j], &shape, &dy);
        if (!dy) continue;
        spoil_upstream(b->fault, weft_rows(&shape), weft_cols(&shape), dy);
        dout[j] = weft_constant(t, shape.rank, shape.dim, dy);
        weft_free(dy);
    }
    weft_rule again = *r;
    again.op = b->right;
    again.dout = dout;
    again.din = din;
    b->right->vjp(&again);
    const weft_var result = din[b->input];
    weft_free(din);
    weft_tensor right, wrong;
    weft_real *g, *bad;
    constant_of(b, r, r->din[b->input], &right, &g);
    constant_of(b, r, result, &wrong, &bad);
    if (g && bad) note(b, weft_size(&right), g, bad);
    weft_free(g);
    weft_free(bad);
    return result;
}

static void broken_vjp(weft_rule *r)
{
    const broken_op *b = (const broken_op *)r->op;
    b->right->vjp(r);
    if (b->fault == WEFT_FAULT_NONE || b->input >= r->n_in || !r->wants[b->input] ||
        weft_is_nil(r->din[b->input]) || weft_tape_status(r->tape) != WEFT_OK)
        return;
    if (b->fault == WEFT_FAULT_NOTHING) {
        const weft_tensor g = weft_value(r->tape, r->din[b->input]);
        weft_real *values = dense_copy(&g);
        *b->planted |= values && largest(weft_size(&g), values) > 0;
        weft_free(values);
        r->din[b->input] = WEFT_NIL;
    } else {
        r->din[b->input] = is_upstream(b->fault) ? rule_for_upstream(b, r) : spoil_rule(b, r);
    }
}

/* ---- planting ------------------------------------------------------------------------------------ */

/* Faults that an operation of this kind can have. */
static bool applies(const weft_op *op, weft_fault fault)
{
    switch (fault) {
    case WEFT_FAULT_OVERWRITES:
    case WEFT_FAULT_ADDS:
    case WEFT_FAULT_DEFINITION: return op->backward != NULL;
    case WEFT_FAULT_DETACHED: return op->vjp != NULL;
    default: return op->vjp || op->backward;
    }
}

weft_status weft_gradcheck_plant(const weft_op *op, weft_fault fault, int input,
                                 weft_gradcheck_report *report, bool *planted)
{
    bool no_memory = false;
    broken_op b = { .op = *op,
                    .right = op,
                    .fault = fault,
                    .input = input,
                    .planted = planted,
                    .no_memory = &no_memory };
    *planted = false;
    if (!applies(op, fault) || (op->integer >> input & 1)) return WEFT_OK;
    if (op->backward) b.op.backward = broken_backward;
    if (op->define) b.op.define = broken_define;
    if (op->vjp) b.op.vjp = broken_vjp;
    const weft_gradcheck_options options = { .directions = 2,
                                             .first_order_only = fault != WEFT_FAULT_DETACHED,
                                             .stop_at_failure = true,
                                             .replace = &b.op };
    const weft_status status = weft_gradcheck(op, &options, report);
    return status == WEFT_OK && no_memory ? WEFT_ERR_MEMORY : status;
}
