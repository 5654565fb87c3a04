/* backward.c - reverse mode: walk the tape from y to its beginning and carry gradients along.
 *
 * A value's gradient lies in a block of the arena (a parameter's in its flat block). The first
 * contribution overwrites, later ones add. A node that was passed gives its memory back, if the tape
 * is a consuming one, and the gradients still to come are laid into it. */
#include "autograd/tape_internal.h"

#include <stdio.h>
#include <string.h>

static bool is_param(const value *v) { return !weft_param_is_none(v->param); }

/* ---- gradient memory ------------------------------------------------------------------------- */

/* The gradient of value `index`, memory already taken. */
static weft_tensor gradient_of(const weft_tape *tape, uint32_t index)
{
    const value *v = &tape->values[index], *root = &tape->values[v->root];
    weft_tensor g = v->t;
    g.data = NULL;
    if (tape->flags & WEFT_DRY) return g;
    weft_real *base = is_param(root)
                          ? weft_params_gradient(root->param.params, root->param.index).real
                          : weft_arena_at(tape->arena, root->grad.offset);
    g.real = base + v->offset;
    return g;
}

void weft_tensor_copy(const weft_tensor *x, const weft_tensor *y, bool add)
{
    const int64_t R = weft_rows(x), C = weft_cols(x);
    if (!x->data || !y->data) return;
#pragma omp parallel for schedule(static) num_threads(weft_team(R, R *C))
    for (int64_t r = 0; r < R; r++) {
        const weft_real *from = x->real + r * x->ld;
        weft_real *to = y->real + r * y->ld;
        if (add)
            for (int64_t c = 0; c < C; c++) to[c] += from[c];
        else
            memcpy(to, from, (size_t)C * sizeof *to);
    }
}

static void zero_columns(const weft_tape *tape, const value *root, int64_t ld, int64_t from,
                         int64_t to)
{
    if (tape->flags & WEFT_DRY) return;
    weft_real *base = weft_arena_at(tape->arena, root->grad.offset);
    const int64_t R = ld ? weft_size(&root->t) / ld : 0;
    for (int64_t r = 0; r < R; r++)
        memset(base + r * ld + from, 0, (size_t)(to - from) * sizeof *base);
}

/* Zero what no contribution has written yet. */
static void complete(const weft_tape *tape, value *root)
{
    coverage *covered = &root->covered;
    if (covered->full) return;
    const int64_t ld = covered->ld;
    for (int64_t from = 0; from < ld;) { /* the ranges are few and in no order */
        int64_t to = ld, skip = from;
        for (int i = 0; i < covered->n; i++) {
            if (covered->range[i].from <= from && from < covered->range[i].to)
                skip = covered->range[i].to;
            else if (covered->range[i].from > from && covered->range[i].from < to)
                to = covered->range[i].from;
        }
        if (skip > from) {
            from = skip;
            continue;
        }
        zero_columns(tape, root, ld, from, to);
        from = to;
    }
    covered->full = true;
}

/* Where the gradient of value `index` goes, and whether there is something to add to. */
static bool target(weft_tape *tape, uint32_t index, weft_tensor *g, bool *add)
{
    const value *v = &tape->values[index];
    value *root = &tape->values[v->root];
    if (!is_param(root) && root->grad.bytes == 0) {
        if (!weft_tape_take(tape, "weft_backward", weft_tensor_bytes(&root->t), &root->grad))
            return false;
        root->covered = (coverage){ 0 };
    }
    coverage *covered = &root->covered;
    *add = covered->full;
    *g = gradient_of(tape, index);
    if (covered->full || weft_size(&v->t) == 0) return true;

    const int64_t size = weft_size(&v->t), from = v->t.ld ? v->offset % v->t.ld : 0,
                  to = from + weft_cols(&v->t);
    const bool whole = size == weft_size(&root->t) && weft_is_dense(&v->t);
    if (whole && covered->n == 0) {
        covered->full = true;
        return true;
    }
    bool same_rows = !whole && size / weft_cols(&v->t) * v->t.ld == weft_size(&root->t) &&
                     (covered->n == 0 || covered->ld == v->t.ld) && covered->n < MAX_RANGES;
    bool equal = false, overlaps = false;
    for (int i = 0; same_rows && i < covered->n; i++) {
        equal |= covered->range[i].from == from && covered->range[i].to == to;
        overlaps |= covered->range[i].from < to && from < covered->range[i].to;
    }
    *add = overlaps || !same_rows;
    if (!same_rows ||
        (overlaps && !equal)) { /* no simple picture: zero the rest, add from now on */
        if (covered->n == 0) covered->ld = weft_cols(&root->t);
        complete(tape, root);
    } else if (!overlaps) {
        covered->ld = v->t.ld;
        covered->range[covered->n].from = from;
        covered->range[covered->n++].to = to;
    }
    return true;
}

/* ---- one node ------------------------------------------------------------------------------- */

/* Has any output received a gradient? Completes those that did in part. */
static bool gather_dout(weft_tape *tape, const node *n, weft_tensor dout[], bool has[])
{
    bool any = false;
    for (int j = 0; j < n->n_out; j++) {
        const uint32_t index = n->first_out + (uint32_t)j;
        value *v = &tape->values[index];
        dout[j] = v->t;
        dout[j].data = NULL;
        has[j] = v->root == index && v->grad.bytes > 0;
        if (!has[j]) continue;
        complete(tape, v);
        dout[j] = gradient_of(tape, index);
        any = true;
    }
    return any;
}

/* Do two inputs share gradient memory? Column slices of one value that lie apart do not. */
static bool overlap(const weft_tape *tape, uint32_t a, uint32_t b)
{
    const value *x = &tape->values[a], *y = &tape->values[b];
    if (x->root != y->root) return false;
    if (x->t.ld != y->t.ld || x->t.ld == 0) return true;
    const int64_t x0 = x->offset % x->t.ld, y0 = y->offset % y->t.ld;
    /* A row of a view may run over the end of a row of ld: then columns say nothing. */
    if (x0 + weft_cols(&x->t) > x->t.ld || y0 + weft_cols(&y->t) > y->t.ld) return true;
    return x0 < y0 + weft_cols(&y->t) && y0 < x0 + weft_cols(&x->t);
}

static bool check_gradients(weft_tape *tape, const node *n, const weft_call *c)
{
    if (!(tape->flags & WEFT_CHECK_FINITE)) return true;
    for (int i = 0; i < n->n_in; i++) {
        char which[48];
        snprintf(which, sizeof which, ": the gradient by input %d", i);
        if (c->din[i].data && !weft_tape_check_finite(tape, n, &c->din[i], which, c)) return false;
    }
    return true;
}

/* Kernels write straight into the gradients of the inputs. An input that shares its gradient with an
 * earlier one gets a block of its own, added afterwards, so that kernels may write in any order. */
static bool run_kernel(weft_tape *tape, uint32_t i, const weft_tensor dout[])
{
    weft_call c;
    weft_tensor out[WEFT_MAX_OUT];
    weft_tape_call(tape, i, &c, out);
    const node *n = &tape->nodes[i];
    block apart[MAX_APART], scratch = { 0 };
    int n_apart = 0, apart_input[MAX_APART];
    bool ok = true;

    for (int k = 0; k < n->n_in && ok; k++) {
        tape->call_din[k] = c.in[k];
        tape->call_din[k].data = NULL;
        tape->call_add[k] = false;
        if (!c.wants[k]) continue;
        const uint32_t index = tape->inputs[n->first_in + (uint32_t)k] - 1;
        bool shared = false;
        for (int m = 0; m < k && !shared; m++)
            shared =
                c.wants[m] && overlap(tape, index, tape->inputs[n->first_in + (uint32_t)m] - 1);
        if (!shared) {
            ok = target(tape, index, &tape->call_din[k], &tape->call_add[k]);
        } else if (n_apart == MAX_APART) {
            weft_tape_fail(tape, WEFT_ERR_STATE, "%s: the same value more than %d times as input",
                           n->op->name, MAX_APART);
            ok = false;
        } else {
            weft_tensor *g = &tape->call_din[k];
            g->ld = weft_cols(g);
            ok = weft_tape_take(tape, n->op->name, weft_tensor_bytes(g), &apart[n_apart]);
            if (ok) g->data = weft_arena_at(tape->arena, apart[n_apart].offset);
            if (ok) apart_input[n_apart++] = k;
        }
    }
    if (ok && n->backward_scratch_bytes)
        ok = weft_tape_take(tape, n->op->name, n->backward_scratch_bytes, &scratch);
    if (ok && !(tape->flags & WEFT_DRY)) {
        c.dout = dout;
        c.din = tape->call_din;
        c.add = tape->call_add;
        if (scratch.bytes) c.scratch = weft_arena_at(tape->arena, scratch.offset);
        weft_tape_tell(tape, n, &c, true, false);
        n->op->backward(&c);
        weft_tape_tell(tape, n, &c, true, true);
        ok = check_gradients(tape, n, &c);
    }
    weft_tape_give(tape, &scratch);
    for (int m = 0; m < n_apart; m++) {
        weft_tensor g;
        bool add;
        const uint32_t index = tape->inputs[n->first_in + (uint32_t)apart_input[m]] - 1;
        if (ok && target(tape, index, &g, &add))
            weft_tensor_copy(&tape->call_din[apart_input[m]], &g, add);
        weft_tape_give(tape, &apart[m]);
    }
    return ok;
}

/* Add the value of `from` to the gradient of `index`; take over its block where that is the same. */
static bool contribute(weft_tape *tape, uint32_t from, uint32_t index, bool may_take, uint32_t mark)
{
    value *f = &tape->values[from], *v = &tape->values[index];
    value *owner = &tape->values[f->root];
    const bool whole =
        weft_size(&owner->t) == weft_size(&f->t) && f->offset == 0 && weft_is_dense(&f->t);
    if (may_take && whole && f->root >= mark && owner->data.bytes && v->root == index &&
        !is_param(v) && v->grad.bytes == 0) {
        v->grad = owner->data;
        v->covered = (coverage){ .full = true };
        owner->data.bytes = 0;
        return true;
    }
    weft_tensor g;
    bool add;
    const weft_tensor x = weft_tape_tensor(tape, from);
    if (!target(tape, index, &g, &add)) return false;
    weft_tensor_copy(&x, &g, add);
    return true;
}

/* Check what a vjp returned and hand it on. */
static bool take_results(weft_tape *tape, uint32_t i, const weft_var din[], const bool wants[],
                         uint32_t mark)
{
    const node n = tape->nodes[i];
    for (int k = 0; k < n.n_in; k++) {
        if (!wants[k]) continue;
        uint32_t from;
        const uint32_t index = tape->inputs[n.first_in + (uint32_t)k] - 1;
        if (weft_is_nil(din[k])) continue; /* a gradient of zero */
        if (!weft_tape_find(tape, din[k], n.op->name, &from)) return false;
        if (!weft_same_shape(&tape->values[from].t, &tape->values[index].t)) {
            char a[WEFT_SHAPE_TEXT], b[WEFT_SHAPE_TEXT];
            weft_tape_fail(tape, WEFT_ERR_SHAPE,
                           "%s: vjp gave a gradient %s for input %d, which is %s", n.op->name,
                           weft_shape_text(&tape->values[from].t, a), k,
                           weft_shape_text(&tape->values[index].t, b));
            return false;
        }
        bool last = true; /* is the block still needed by a later input? */
        for (int m = k + 1; m < n.n_in && last; m++)
            last = !wants[m] || weft_is_nil(din[m]) ||
                   tape->values[din[m].id - 1].root != tape->values[from].root;
        if (!contribute(tape, from, index, last, mark)) return false;
    }
    return true;
}

/* A primitive's gradient is made of operations: record them behind the tape's end, take the results,
 * forget them. */
static bool run_vjp(weft_tape *tape, uint32_t i, const bool has[])
{
    const node n = tape->nodes[i];
    const uint32_t n_nodes = tape->n_nodes, n_values = tape->n_values, n_inputs = tape->n_inputs;
    weft_var few[3 * 16], *vars = n.n_in <= 16 ? few : weft_alloc(3 * (size_t)n.n_in, sizeof *vars);
    bool few_wants[16], *wants = n.n_in <= 16 ? few_wants : weft_alloc((size_t)n.n_in, 1);
    weft_var out[WEFT_MAX_OUT], dout[WEFT_MAX_OUT] = { { 0, 0 } };
    bool ok = vars && wants;
    if (!ok) weft_tape_fail(tape, WEFT_ERR_MEMORY, "%s", weft_message());

    weft_var *in = vars, *din = vars + n.n_in;
    for (int k = 0; ok && k < n.n_in; k++) {
        const uint32_t id = tape->inputs[n.first_in + (uint32_t)k];
        in[k] = id ? weft_var_of(tape, id - 1) : WEFT_NIL;
        din[k] = WEFT_NIL;
        wants[k] = id && tape->values[id - 1].wants && !(k < 32 && (n.op->constant >> k & 1));
    }
    for (int j = 0; ok && j < n.n_out; j++) {
        out[j] = weft_var_of(tape, n.first_out + (uint32_t)j);
        if (!has[j]) continue;
        const weft_tensor shape = tape->values[n.first_out + (uint32_t)j].t;
        value *g = weft_tape_push_value(tape, &shape);
        if (!(ok = g != NULL)) break;
        value *v = &tape->values[n.first_out + (uint32_t)j];
        g->data = v->grad; /* lent; on a consuming tape it may be taken over by an input */
        v->grad.bytes = 0;
        dout[j] = weft_var_of(tape, tape->n_values - 1);
    }
    const char *scope = tape->scope_record;
    tape->scope_record = n.scope;
    tape->in_backward = true;
    tape->n_recorded = n_values;
    if (ok) {
        weft_rule rule = { .tape = tape,
                           .op = n.op,
                           .attr = n.attr,
                           .n_in = n.n_in,
                           .n_out = n.n_out,
                           .in = in,
                           .out = out,
                           .dout = dout,
                           .wants = wants,
                           .din = din };
        const uint32_t first_own = tape->n_values; /* older ones are the lent gradients */
        n.op->vjp(&rule);
        const uint32_t may_take = tape->flags & WEFT_RETAIN ? first_own : n_values;
        ok = tape->status == WEFT_OK && take_results(tape, i, din, wants, may_take);
    }
    for (int j = 0; j < n.n_out; j++) { /* what was not taken over goes back to its value */
        if (weft_is_nil(dout[j])) continue;
        value *g = &tape->values[dout[j].id - 1];
        tape->values[n.first_out + (uint32_t)j].grad = g->data;
        g->data.bytes = 0;
    }
    tape->in_backward = false;
    tape->scope_record = scope;
    weft_tape_forget(tape, n_nodes, n_values, n_inputs);
    tape->n_recorded = UINT32_MAX;
    if (vars != few) weft_free(vars);
    if (wants != few_wants) weft_free(wants);
    return ok;
}

/* ---- the whole walk ------------------------------------------------------------------------- */

static void give_up_node(weft_tape *tape, node *n, uint32_t y_root)
{
    for (int k = 0; k < WEFT_MAX_SAVED; k++) weft_tape_give(tape, &n->saved_block[k]);
    for (int j = 0; j < n->n_out; j++) {
        const uint32_t index = n->first_out + (uint32_t)j;
        value *v = &tape->values[index];
        weft_tape_give(tape, &v->grad);
        if (v->keep || v->root != index || index == y_root) continue;
        weft_tape_give(tape, &v->data);
        v->gone = true;
    }
}

/* The weight that y starts with. */
static bool seed(weft_tape *tape, uint32_t y, const weft_real *dy)
{
    weft_tensor g;
    bool add;
    const weft_tensor *t = &tape->values[y].t;
    if (!dy && weft_size(t) != 1) {
        char text[WEFT_SHAPE_TEXT];
        weft_tape_fail(tape, WEFT_ERR_SHAPE,
                       "weft_backward: y is %s: without dy it must have one element (sum it first)",
                       weft_shape_text(t, text));
        return false;
    }
    if (t->dtype != WEFT_REAL) {
        weft_tape_fail(tape, WEFT_ERR_TYPE, "weft_backward: an integer has no gradient");
        return false;
    }
    if (!tape->values[y].wants) {
        weft_tape_fail(tape, WEFT_ERR_STATE,
                       "weft_backward: y depends on no leaf or parameter that wants a gradient%s",
                       tape->flags & WEFT_NO_GRAD ? " (the tape was made with WEFT_NO_GRAD)" : "");
        return false;
    }
    if (!target(tape, y, &g, &add)) return false;
    const weft_real one = 1;
    weft_tensor x = tape->values[y].t;
    x.ld = weft_cols(&x);
    x.real = (weft_real *)(dy ? dy : &one);
    weft_tensor_copy(&x, &g, add);
    return true;
}

/* A retaining tape starts each backward afresh, but leaves go on accumulating. */
static void clear_gradients(weft_tape *tape)
{
    for (uint32_t i = 0; i < tape->n_values; i++) {
        value *v = &tape->values[i];
        if (v->node != NO_NODE) weft_tape_give(tape, &v->grad);
    }
}

/* Leaves of which only some columns were used: the others' gradient is 0. (What has a node was
 * completed when the walk came to it.) */
static void complete_leaves(weft_tape *tape)
{
    for (uint32_t i = 0; i < tape->n_values; i++) {
        value *v = &tape->values[i];
        if (v->node == NO_NODE && v->grad.bytes && !is_param(v)) complete(tape, v);
    }
}

weft_status weft_backward(weft_tape *tape, weft_var y, const weft_real *dy)
{
    uint32_t index;
    if (!weft_tape_ready(tape, "weft_backward") ||
        !weft_tape_find(tape, y, "weft_backward: y", &index))
        return tape->status;
    const bool consumes = !(tape->flags & WEFT_RETAIN);
    clear_gradients(tape);
    if (!seed(tape, index, dy)) return tape->status;

    const uint32_t y_root = tape->values[index].root;
    for (uint32_t i = tape->n_nodes; i-- > 0 && tape->status == WEFT_OK;) {
        node *n = &tape->nodes[i];
        weft_tensor dout[WEFT_MAX_OUT];
        bool has[WEFT_MAX_OUT];
        if (n->wants && gather_dout(tape, n, dout, has)) {
            if (n->op->backward)
                run_kernel(tape, i, dout);
            else
                run_vjp(tape, i, has);
        }
        if (consumes) give_up_node(tape, &tape->nodes[i], y_root);
    }
    complete_leaves(tape);
    if (consumes) tape->consumed = true;
    return tape->status;
}
