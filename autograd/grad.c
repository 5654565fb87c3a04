/* grad.c - gradients that are variables: the same walk as backward.c, but recorded.
 *
 * A primitive's vjp is recorded as it stands. A fused operation is recorded once more by its
 * definition, on the same inputs and keys, and the walk goes through that. So every gradient is made
 * of primitives and can be differentiated again, to any order. */
#include "autograd/tape_internal.h"

#include <string.h>

/* One entry of gradient_of[] and depends[] for every value that there is now. */
static bool grow_maps(weft_tape *tape)
{
    if (tape->n_values <= tape->grad_capacity) return true;
    const uint32_t n = tape->values_capacity;
    uint32_t *gradient_of = weft_realloc(tape->gradient_of, n, sizeof *gradient_of);
    if (gradient_of) tape->gradient_of = gradient_of;
    bool *depends = weft_realloc(tape->depends, n, sizeof *depends);
    if (depends) tape->depends = depends;
    if (!gradient_of || !depends) {
        weft_tape_fail(tape, WEFT_ERR_MEMORY, "weft_grad: %s", weft_message());
        return false;
    }
    const uint32_t old = tape->grad_capacity;
    memset(gradient_of + old, 0, (n - old) * sizeof *gradient_of);
    memset(depends + old, 0, (n - old) * sizeof *depends);
    tape->grad_capacity = n;
    return true;
}

/* Mark the outputs of nodes [from, to) that depend on one of the x. */
static bool mark_dependent(weft_tape *tape, uint32_t from, uint32_t to)
{
    if (!grow_maps(tape)) return false;
    for (uint32_t i = from; i < to; i++) {
        const node *n = &tape->nodes[i];
        bool depends = false;
        for (int k = 0; k < n->n_in; k++) {
            const uint32_t id = tape->inputs[n->first_in + (uint32_t)k];
            depends |= id && tape->depends[id - 1] && !(k < 32 && (n->op->constant >> k & 1));
        }
        for (int j = 0; j < n->n_out; j++) {
            const uint32_t index = n->first_out + (uint32_t)j;
            tape->depends[index] |=
                depends && tape->values[index].t.dtype == WEFT_REAL && !(n->op->detached >> j & 1);
        }
    }
    return true;
}

static bool add_to(weft_tape *tape, uint32_t index, weft_var g)
{
    if (!grow_maps(tape)) return false;
    const uint32_t old = tape->gradient_of[index];
    const weft_var sum = old ? weft_add(tape, weft_var_of(tape, old - 1), g) : g;
    if (weft_is_nil(sum) || !grow_maps(tape)) return false;
    tape->gradient_of[index] = sum.id;
    return true;
}

static bool walk(weft_tape *tape, uint32_t from, uint32_t to);

/* The variables of node i, as vjp and define see them. */
typedef struct rule_vars {
    weft_rule rule;
    weft_var out[WEFT_MAX_OUT], dout[WEFT_MAX_OUT], result[WEFT_MAX_OUT];
    weft_var *in; /* in and din, one block */
    bool *wants;
} rule_vars;

static bool rule_of(weft_tape *tape, uint32_t i, rule_vars *v)
{
    const node *n = &tape->nodes[i];
    *v = (rule_vars){ .in = weft_alloc(2 * (size_t)n->n_in, sizeof *v->in),
                      .wants = weft_alloc((size_t)n->n_in, sizeof *v->wants) };
    v->rule = (weft_rule){ .tape = tape,
                           .op = n->op,
                           .attr = n->attr,
                           .n_in = n->n_in,
                           .n_out = n->n_out,
                           .in = v->in,
                           .out = v->out,
                           .dout = v->dout,
                           .wants = v->wants,
                           .din = v->in + n->n_in,
                           .result = v->result };
    if (!v->in || !v->wants) {
        weft_tape_fail(tape, WEFT_ERR_MEMORY, "weft_grad: %s", weft_message());
        return false;
    }
    for (int k = 0; k < n->n_in; k++) {
        const uint32_t id = tape->inputs[n->first_in + (uint32_t)k];
        v->in[k] = id ? weft_var_of(tape, id - 1) : WEFT_NIL;
        v->wants[k] = id && tape->depends[id - 1] && !(k < 32 && (n->op->constant >> k & 1));
    }
    for (int j = 0; j < n->n_out; j++) {
        const uint32_t index = n->first_out + (uint32_t)j, g = tape->gradient_of[index];
        v->out[j] = weft_var_of(tape, index);
        v->dout[j] = g ? weft_var_of(tape, g - 1) : WEFT_NIL;
    }
    return true;
}

static bool through_vjp(weft_tape *tape, uint32_t i, rule_vars *v)
{
    tape->nodes[i].op->vjp(&v->rule);
    if (tape->status != WEFT_OK) return false;
    for (int k = 0; k < v->rule.n_in; k++)
        if (v->wants[k] && !weft_is_nil(v->rule.din[k]) &&
            !add_to(tape, v->in[k].id - 1, v->rule.din[k]))
            return false;
    return true;
}

static bool through_definition(weft_tape *tape, uint32_t i, rule_vars *v)
{
    const uint32_t from = tape->n_nodes;
    tape->nodes[i].op->define(&v->rule);
    if (tape->status != WEFT_OK || !mark_dependent(tape, from, tape->n_nodes)) return false;
    for (int j = 0; j < v->rule.n_out; j++)
        if (!weft_is_nil(v->dout[j]) && !weft_is_nil(v->result[j]) &&
            !add_to(tape, v->result[j].id - 1, v->dout[j]))
            return false;
    return walk(tape, from, tape->n_nodes);
}

/* Carry gradients through nodes [from, to), newest first. What that records lies behind them. */
static bool walk(weft_tape *tape, uint32_t from, uint32_t to)
{
    for (uint32_t i = to; i-- > from;) {
        const node *n = &tape->nodes[i];
        bool has = false;
        for (int j = 0; j < n->n_out; j++)
            has |= tape->depends[n->first_out + (uint32_t)j] &&
                   tape->gradient_of[n->first_out + (uint32_t)j];
        if (!has) continue;
        const bool primitive = n->op->vjp != NULL;
        rule_vars v;
        bool ok = rule_of(tape, i, &v);
        if (ok) ok = primitive ? through_vjp(tape, i, &v) : through_definition(tape, i, &v);
        weft_free(v.in);
        weft_free(v.wants);
        if (!ok) return false;
    }
    return true;
}

static bool check_request(weft_tape *tape, weft_var y, weft_var dy, int n, const weft_var x[])
{
    uint32_t index, i;
    if (!weft_tape_ready(tape, "weft_grad") || !weft_tape_find(tape, y, "weft_grad: y", &index))
        return false;
    if (!(tape->flags & WEFT_RETAIN)) {
        weft_tape_fail(tape, WEFT_ERR_STATE, "weft_grad: needs a tape made with WEFT_RETAIN");
        return false;
    }
    const weft_tensor shape = tape->values[index].t;
    char a[WEFT_SHAPE_TEXT], b[WEFT_SHAPE_TEXT];
    if (weft_is_nil(dy) && weft_size(&shape) != 1) {
        weft_tape_fail(tape, WEFT_ERR_SHAPE,
                       "weft_grad: y is %s: without dy it must have one element (sum it first)",
                       weft_shape_text(&shape, a));
        return false;
    }
    if (!weft_is_nil(dy)) {
        if (!weft_tape_find(tape, dy, "weft_grad: dy", &i)) return false;
        if (!weft_same_shape(&tape->values[i].t, &shape) || tape->values[i].t.dtype != WEFT_REAL) {
            weft_tape_fail(tape, WEFT_ERR_SHAPE, "weft_grad: y is %s, dy is %s",
                           weft_shape_text(&shape, a), weft_shape_text(&tape->values[i].t, b));
            return false;
        }
    }
    for (int k = 0; k < n; k++) {
        if (!weft_tape_find(tape, x[k], "weft_grad: x", &i)) return false;
        if (tape->values[i].t.dtype != WEFT_REAL) {
            weft_tape_fail(tape, WEFT_ERR_TYPE,
                           "weft_grad: x[%d] is an integer: it has no gradient", k);
            return false;
        }
    }
    return true;
}

weft_status weft_grad(weft_tape *tape, weft_var y, weft_var dy, int n, const weft_var x[],
                      weft_var dx[])
{
    for (int k = 0; k < n; k++) dx[k] = WEFT_NIL;
    if (!check_request(tape, y, dy, n, x) || !grow_maps(tape)) return tape->status;
    memset(tape->gradient_of, 0, tape->grad_capacity * sizeof *tape->gradient_of);
    memset(tape->depends, 0, tape->grad_capacity * sizeof *tape->depends);

    const uint32_t end = tape->n_nodes;
    const weft_tensor shape = tape->values[y.id - 1].t;
    for (int k = 0; k < n; k++) tape->depends[x[k].id - 1] = true;
    if (!mark_dependent(tape, 0, end)) return tape->status;
    const weft_var seed = weft_is_nil(dy) ? weft_full(tape, shape.rank, shape.dim, 1) : dy;
    if (weft_is_nil(seed) || !add_to(tape, y.id - 1, seed) || !walk(tape, 0, end))
        return tape->status;

    for (int k = 0; k < n; k++) {
        const uint32_t g = tape->gradient_of[x[k].id - 1];
        const weft_tensor of = tape->values[x[k].id - 1].t;
        dx[k] = g ? weft_var_of(tape, g - 1) : weft_full(tape, of.rank, of.dim, 0);
    }
    return tape->status;
}
