/* gradcheck.c - are the gradients of an operation right? Every sample is asked in several ways:
 *
 *   first order    the gradient of <u, outputs>, u random, against differences along random directions
 *   second order   the gradient of <w, gradient> the same way, through weft_grad
 *   to the bit     consuming = retaining tape; each gradient switched off; several threads
 *   nearly         adding to noise = writing onto noise; fused kernel = definition
 *
 * The measure is |<g, v> - difference| / max(||g|| / sqrt(n), 1e-8) with ||v|| = 1: of each input by
 * itself, so that a wrong bias does not hide behind a large matrix. */
#include "autograd/gradcheck_internal.h"
#include "autograd/tape_internal.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#ifdef WEFT_F64
static const double default_tolerance = 1e-7, equality = 1e-12;
#else
static const double default_tolerance = 2e-2, equality = 1e-4;
#endif
static const double least_gradient = 1e-8; /* below it a check is vacuous */

enum { MAX_LEAVES = 64, THREADS = 3, DIRT_BYTES = 1 << 16 };

typedef struct check {
    const weft_op *op;
    weft_gradcheck_options options;
    weft_gradcheck_report *report;
    int sample;
    weft_tape *retain, *consume;
    weft_status status; /* anything but WEFT_OK: checking is impossible */
} check;

/* One sample as recorded: y = outputs of the node that the sample returned, weighted by leaves u. */
typedef struct probe {
    weft_tape *tape;
    int n_x, n_leaves, n_out; /* leaves: n_x of the sample, then the n_out weights */
    weft_var leaf[MAX_LEAVES + WEFT_MAX_OUT], out[WEFT_MAX_OUT], phi;
    int64_t at[MAX_LEAVES + WEFT_MAX_OUT + 1]; /* where each leaf's gradient lies in a flat array */
    bool zero;                                 /* its gradients are 0 by design */
} probe;

/* ---- the report ------------------------------------------------------------------------------- */

static bool stopped(const check *c)
{
    return c->status != WEFT_OK || (c->options.stop_at_failure && c->report->n_failed > 0);
}

/* Count a check; a failed one needs a sentence. */
static bool WEFT_PRINTF(3, 4) count(check *c, bool passed, const char *fmt, ...)
{
    c->report->n_checks++;
    if (passed) return true;
    if (c->report->n_failed++ > 0) return false;
    char text[768];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    snprintf(c->report->failure, sizeof c->report->failure, "%s, sample %d, %s", c->op->name,
             c->sample, text);
    return false;
}

/* A tape that failed: out of memory ends the check, anything else is the operation's fault. */
static bool tape_failed(check *c, const weft_tape *tape, const char *what)
{
    if (weft_tape_status(tape) == WEFT_OK) return false;
    if (weft_tape_status(tape) == WEFT_ERR_MEMORY)
        c->status = weft_error(WEFT_ERR_MEMORY, "gradcheck: %s", weft_tape_message(tape));
    else
        count(c, false, "%s: %s", what, weft_tape_message(tape));
    return true;
}

static void *allocate(check *c, int64_t n, size_t each_bytes)
{
    void *room = weft_alloc((size_t)n, each_bytes);
    if (!room) c->status = WEFT_ERR_MEMORY;
    return room;
}

/* "input gain" where the operation takes this leaf as it is, else "leaf 2" */
static const char *leaf_name(const check *c, const probe *p, int i, char text[48])
{
    if (i >= p->n_x) {
        snprintf(text, 48, "weights of output %d", i - p->n_x);
        return text;
    }
    for (uint32_t k = 0; k < p->tape->n_nodes; k++) {
        const node *n = &p->tape->nodes[k];
        for (int m = 0; m < n->n_in; m++) {
            const uint32_t id = p->tape->inputs[n->first_in + (uint32_t)m];
            if ((n->op != c->op && n->op != c->options.replace) || id == 0 ||
                p->tape->values[id - 1].root + 1 != p->leaf[i].id)
                continue;
            char word[32];
            weft_tape_input_name(n->op, m, word);
            snprintf(text, 48, "input %s", word);
            return text;
        }
    }
    snprintf(text, 48, "leaf %d", i);
    return text;
}

/* ---- recording a sample ------------------------------------------------------------------------ */

/* Fill the arena's free memory with NaN: what is read before it was written will be noticed. */
static void soil(weft_tape *tape)
{
    const size_t peak = weft_tape_peak_bytes(tape), bytes = peak > DIRT_BYTES ? peak : DIRT_BYTES;
    block dirt = { 0 };
    if (!weft_tape_take(tape, "weft_gradcheck", bytes, &dirt)) return;
    weft_real *x = weft_arena_at(tape->arena, dirt.offset);
    for (size_t k = 0; k < bytes / sizeof *x; k++) x[k] = (weft_real)NAN;
    weft_tape_give(tape, &dirt);
}

/* Nodes of the operation from number `first` on become those of its replacement. What phi is made of
 * stays right: two equal faults could cancel out. */
static void replace(const check *c, weft_tape *tape, uint32_t first)
{
    for (uint32_t i = first; c->options.replace && i < tape->n_nodes; i++)
        if (tape->nodes[i].op == c->op) tape->nodes[i].op = c->options.replace;
}

/* Does a gradient flow through output j? */
static bool has_gradient(const weft_tape *tape, const node *n, int j)
{
    return tape->values[n->first_out + (uint32_t)j].t.dtype == WEFT_REAL &&
           !(n->op->detached >> j & 1);
}

/* reached[]: the values that depend on leaf `from` in a way that has a gradient. */
static void reach(const weft_tape *tape, uint32_t from, bool reached[])
{
    memset(reached, 0, tape->n_values * sizeof *reached);
    reached[from] = true;
    for (uint32_t i = 0; i < tape->n_nodes; i++) {
        const node *n = &tape->nodes[i];
        bool any = false;
        for (int k = 0; k < n->n_in; k++) {
            const uint32_t id = tape->inputs[n->first_in + (uint32_t)k];
            any |= id && reached[id - 1] && !(k < 32 && (n->op->constant >> k & 1));
        }
        any = any && (n->op->vjp || n->op->backward);
        for (int j = 0; j < n->n_out; j++)
            reached[n->first_out + (uint32_t)j] = any && has_gradient(tape, n, j);
    }
}

/* The leaves that y's outputs depend on. */
static bool find_leaves(check *c, probe *p)
{
    weft_tape *tape = p->tape;
    bool *reached = allocate(c, tape->n_values, sizeof *reached);
    if (!reached) return false;
    for (uint32_t i = 0; i < tape->n_values; i++) {
        const value *v = &tape->values[i];
        if (v->node != NO_NODE || v->root != i || v->t.dtype != WEFT_REAL || !v->data.bytes ||
            (!v->wants && tape->frozen != i + 1))
            continue;
        reach(tape, i, reached);
        bool any = false;
        for (int j = 0; j < p->n_out; j++) any |= reached[p->out[j].id - 1];
        if (!any) continue;
        if (p->n_x == MAX_LEAVES) {
            weft_tape_fail(tape, WEFT_ERR_STATE, "a sample has more than %d leaves", MAX_LEAVES);
            break;
        }
        p->at[p->n_x + 1] = p->at[p->n_x] + weft_size(&v->t);
        p->leaf[p->n_x++] = weft_var_of(tape, i);
    }
    weft_free(reached);
    return tape->status == WEFT_OK;
}

/* phi = sum over the real outputs of <u, output>, with u drawn as leaves of their own. */
static void weigh(check *c, probe *p)
{
    weft_tape *tape = p->tape;
    weft_tape_seed(tape, c->options.seed + 1000003 * (uint64_t)(c->sample + 1), 0);
    p->n_leaves = p->n_x;
    for (int j = 0; j < p->n_out; j++) {
        const weft_tensor shape = weft_shape(tape, p->out[j]);
        const weft_var u = weft_sample_normal(tape, shape.rank, shape.dim);
        const weft_var term = weft_sum(tape, weft_mul(tape, u, p->out[j]), WEFT_ALL, false);
        p->phi = j ? weft_add(tape, p->phi, term) : term;
        p->at[p->n_leaves + 1] = p->at[p->n_leaves] + weft_size(&shape);
        p->leaf[p->n_leaves++] = u;
    }
}

/* Record the sample; `frozen` (index + 1, or 0) is the leaf to be a constant. false: past the last
 * sample (p->tape is NULL then) or failed. */
static bool record(check *c, weft_tape *tape, uint32_t frozen, probe *p)
{
    *p = (probe){ .tape = tape };
    weft_tape_reset(tape);
    soil(tape);
    weft_tape_seed(tape, c->options.seed + (uint64_t)c->sample, 0);
    tape->frozen = frozen;
    const weft_var y = c->op->sample(tape, c->sample);
    if (weft_is_nil(y) && tape->status == WEFT_OK) {
        p->tape = NULL;
        return false;
    }
    if (tape_failed(c, tape, "recording")) return false;
    p->zero = tape->sample_zero_gradient;
    const value *v = &tape->values[y.id - 1];
    if (v->node == NO_NODE) {
        if (v->t.dtype == WEFT_REAL) p->out[p->n_out++] = y;
    } else {
        const node *n = &tape->nodes[v->node];
        for (int j = 0; j < n->n_out; j++)
            if (has_gradient(tape, n, j))
                p->out[p->n_out++] = weft_var_of(tape, n->first_out + (uint32_t)j);
    }
    replace(c, tape, 0);
    if (find_leaves(c, p)) weigh(c, p);
    return c->status == WEFT_OK && !tape_failed(c, tape, "recording");
}

/* ---- gradients, and whether two sets of them agree ----------------------------------------------- */

static void flatten(const weft_tensor *x, int64_t size, weft_real *to)
{
    if (!x->data) { /* no gradient came here */
        memset(to, 0, (size_t)size * sizeof *to);
        return;
    }
    const int64_t R = weft_rows(x), C = weft_cols(x);
    for (int64_t r = 0; r < R; r++) memcpy(to + r * C, x->real + r * x->ld, (size_t)C * sizeof *to);
}

static void gather(const probe *p, weft_real *g)
{
    for (int i = 0; i < p->n_leaves; i++) {
        const weft_tensor d = weft_gradient(p->tape, p->leaf[i]);
        flatten(&d, p->at[i + 1] - p->at[i], g + p->at[i]);
    }
}

static bool backward(check *c, const probe *p, weft_var y, weft_real *g)
{
    if (weft_backward(p->tape, y, NULL) == WEFT_OK) gather(p, g);
    return !tape_failed(c, p->tape, "backward");
}

/* Compare gradients, leaf by leaf: to the bit where tolerance is 0. */
static void compare(check *c, const probe *p, const char *what, const weft_real *a,
                    const weft_real *b, double tolerance, int except)
{
    char name[48];
    for (int i = 0; i < p->n_leaves; i++) {
        double largest = 1e-6, worst = 0;
        if (i == except) continue;
        for (int64_t k = p->at[i]; k < p->at[i + 1]; k++) {
            const double difference = fabs((double)a[k] - (double)b[k]);
            largest = fmax(largest, fabs((double)a[k]));
            if (!(difference <= worst)) worst = difference; /* NaN counts as worst */
        }
        const bool equal = tolerance > 0
                               ? worst <= tolerance * largest
                               : memcmp(a + p->at[i], b + p->at[i],
                                        (size_t)(p->at[i + 1] - p->at[i]) * sizeof *a) == 0;
        count(c, equal, "%s: %s: the gradients differ by %.3g, the largest is %.3g", what,
              leaf_name(c, p, i, name), worst, largest);
    }
}

/* Gradients laid onto noise must be added to it. */
static void check_adding(check *c, const probe *p, const weft_real *g, weft_real *again)
{
    const uint64_t key = weft_random_key(c->options.seed, 7, (uint64_t)c->sample);
    for (int i = 0; i < p->n_leaves; i++) {
        const weft_tensor d = weft_gradient(p->tape, p->leaf[i]);
        for (int64_t k = 0; d.data && k < weft_size(&d); k++)
            d.real[k] = (weft_real)weft_random_normal(key, (uint64_t)i, (uint32_t)k);
    }
    if (!backward(c, p, p->phi, again)) return;
    for (int i = 0; i < p->n_leaves; i++) {
        const weft_tensor d = weft_gradient(p->tape, p->leaf[i]);
        for (int64_t k = 0; d.data && k < weft_size(&d); k++)
            again[p->at[i] + k] -= (weft_real)weft_random_normal(key, (uint64_t)i, (uint32_t)k);
    }
    /* The noise of size 1 is rounded too; compare() takes the largest of g, so lift small ones. */
    char name[48];
    for (int i = 0; i < p->n_leaves; i++) {
        double largest = 1, worst = 0;
        for (int64_t k = p->at[i]; k < p->at[i + 1]; k++) {
            const double difference = fabs((double)g[k] - (double)again[k]);
            largest = fmax(largest, fabs((double)g[k]));
            if (!(difference <= worst)) worst = difference;
        }
        count(c, worst <= equality * largest,
              "adding: %s: what was added to a gradient differs by %.3g from what was written",
              leaf_name(c, p, i, name), worst);
    }
}

static void check_consuming(check *c, const weft_real *g, weft_real *again)
{
    probe p;
    if (!record(c, c->consume, 0, &p) || !backward(c, &p, p.phi, again)) return;
    compare(c, &p, "consuming tape", g, again, 0, -1);
}

static void check_frozen(check *c, const probe *of, const weft_real *g, weft_real *again)
{
    for (int i = 0; i < of->n_x && of->n_x > 1; i++) {
        probe p;
        char what[80], name[48];
        if (!record(c, c->consume, of->leaf[i].id, &p) || !backward(c, &p, p.phi, again)) return;
        snprintf(what, sizeof what, "without the gradient of %s", leaf_name(c, &p, i, name));
        compare(c, &p, what, g, again, 0, i);
        const weft_tensor none = weft_gradient(p.tape, p.leaf[i]);
        count(c, !none.data, "%s: it got one", what);
    }
}

static void check_threads(check *c, weft_real *g, weft_real *again)
{
    probe p;
    const int before = weft_threads();
    weft_team_work(1); /* share even the smallest loop */
    bool ok =
        weft_threads_set(1) == WEFT_OK && record(c, c->consume, 0, &p) && backward(c, &p, p.phi, g);
    ok = ok && weft_threads_set(THREADS) == WEFT_OK && record(c, c->consume, 0, &p) &&
         backward(c, &p, p.phi, again);
    weft_team_work(0);
    if (weft_threads_set(before) != WEFT_OK || !ok) return;
    compare(c, &p, "three threads against one", g, again, 0, -1);
}

/* ---- against differences --------------------------------------------------------------------- */

/* A random direction of norm 1. */
static void draw_direction(uint64_t key, uint64_t row, int64_t n, weft_real *v)
{
    double squares = 0;
    for (int64_t k = 0; k < n; k++) {
        v[k] = (weft_real)weft_random_normal(key, row, (uint32_t)k);
        squares += (double)v[k] * (double)v[k];
    }
    for (int64_t k = 0; k < n; k++) v[k] = (weft_real)((double)v[k] / sqrt(squares));
}

/* Do the derivatives to both sides disagree, and is g one that lies between them? */
static bool is_kink(weft_difference *d, double gv, double unit, bool *between)
{
    double side[2];
    weft_difference_sides(d, side);
    const double low = fmin(side[0], side[1]), high = fmax(side[0], side[1]);
    const double small = 1e-3 * fmax(unit, fmax(fabs(low), fabs(high)));
    *between = gv >= low - small && gv <= high + small;
    return high - low > small;
}

/* One direction of one leaf, whose gradient is g. */
static void check_direction(check *c, weft_difference *d, const weft_real *g, bool may_vanish,
                            const char *where)
{
    const int64_t n = weft_size(&d->x);
    double gv = 0, squares = 0;
    for (int64_t k = 0; k < n; k++) {
        gv += (double)g[k] * (double)d->v[k];
        squares += (double)g[k] * (double)g[k];
    }
    const double unit = fmax(sqrt(squares / (double)n), least_gradient);
    const double goal = 1e-3 * c->options.tolerance * fmax(fmin(unit, fabs(gv)), least_gradient);
    weft_difference_begin(d);
    const double difference = weft_difference_central(d, goal);
    const double error = fabs(gv - difference) / unit;
    bool passed = error <= c->options.tolerance, between = false;
    if (!passed && is_kink(d, gv, unit, &between)) {
        c->report->n_kinks++;
        count(c, between, "%s: at a kink the gradient gives %.9g, which lies outside of it", where,
              gv);
        weft_difference_end(d);
        return;
    }
    weft_difference_end(d);
    if (tape_failed(c, d->tape, where)) return;
    if (!(error <= c->report->worst)) {
        c->report->worst = isnan(error) ? INFINITY : error;
        snprintf(c->report->worst_where, sizeof c->report->worst_where, "%s, sample %d, %s",
                 c->op->name, c->sample, where);
    }
    const bool vacuous = sqrt(squares / (double)n) < least_gradient &&
                         fabs(difference) < least_gradient && !may_vanish;
    count(c, passed && !vacuous,
          vacuous ? "%s: gradient %.9g and difference %.9g are both 0: nothing was checked (is it "
                    "meant? weft_sample_zero_gradient says so)"
                  : "%s: the gradient gives %.12g, the difference %.12g: relative error %.3g",
          where, gv, difference, error);
}

/* Leaves [0, n) of a probe: sum_j <w_j, y_j> along random directions against its gradient g. */
static void check_differences(check *c, const probe *p, int n, int n_y, const weft_var y[],
                              const weft_real *w, int64_t w_size, const weft_real *g, int order)
{
    const int64_t largest = p->at[p->n_leaves];
    weft_real *v = allocate(c, 2 * largest + 2 * w_size, sizeof *v);
    if (!v) return;
    const uint64_t key = weft_random_key(c->options.seed, 11, (uint64_t)c->sample);
    for (int i = 0; i < n && !stopped(c); i++) {
        const int64_t size = p->at[i + 1] - p->at[i];
        weft_difference d = { .tape = p->tape,
                              .n = n_y,
                              .y = y,
                              .w = w,
                              .x = weft_value(p->tape, p->leaf[i]),
                              .v = v,
                              .room = v + largest };
        /* Second derivatives may well be 0, but what depends on the weights may not. */
        const bool may_vanish = p->zero || (order == 2 && i < p->n_x);
        for (int k = 0; k < c->options.directions && size > 0 && !stopped(c); k++) {
            char where[128], name[48];
            snprintf(where, sizeof where, "%s, direction %d, %s order", leaf_name(c, p, i, name), k,
                     order == 1 ? "first" : "second");
            draw_direction(key, (uint64_t)i * (uint64_t)c->options.directions + (uint64_t)k, size,
                           v);
            check_direction(c, &d, g + p->at[i], may_vanish, where);
            if (weft_tape_status(p->tape) != WEFT_OK) break;
        }
    }
    weft_free(v);
}

/* The weights u of the outputs, as they lie behind the gradients of the sample's leaves. */
static void gather_weights(const probe *p, weft_real *w)
{
    for (int i = p->n_x; i < p->n_leaves; i++) {
        const weft_tensor u = weft_value(p->tape, p->leaf[i]);
        flatten(&u, p->at[i + 1] - p->at[i], w + (p->at[i] - p->at[p->n_x]));
    }
}

/* ---- definitions and second order ---------------------------------------------------------------- */

/* The value of a fused node beside that of its definition. */
static void check_definition(check *c, weft_tape *tape, uint32_t i)
{
    const node n = tape->nodes[i];
    weft_var in[MAX_LEAVES], out[WEFT_MAX_OUT], result[WEFT_MAX_OUT] = { { 0, 0 } };
    if (n.n_in > MAX_LEAVES) return;
    for (int k = 0; k < n.n_in; k++) {
        const uint32_t id = tape->inputs[n.first_in + (uint32_t)k];
        in[k] = id ? weft_var_of(tape, id - 1) : WEFT_NIL;
    }
    for (int j = 0; j < n.n_out; j++) out[j] = weft_var_of(tape, n.first_out + (uint32_t)j);
    weft_rule rule = { .tape = tape,
                       .op = n.op,
                       .attr = n.attr,
                       .n_in = n.n_in,
                       .n_out = n.n_out,
                       .in = in,
                       .out = out,
                       .result = result };
    n.op->define(&rule);
    if (tape_failed(c, tape, "definition")) return;
    for (int j = 0; j < n.n_out; j++) {
        if (weft_is_nil(result[j])) continue;
        const weft_tensor a = weft_value(tape, out[j]), b = weft_value(tape, result[j]);
        if (!count(c, weft_same_shape(&a, &b) && a.dtype == b.dtype,
                   "output %d has another shape or type than its definition", j))
            return;
        if (a.dtype != WEFT_REAL) continue;
        double largest = 1e-6, worst = 0;
        const int64_t R = weft_rows(&a), C = weft_cols(&a);
        for (int64_t r = 0; r < R; r++) {
            for (int64_t k = 0; k < C; k++) {
                const double x = (double)a.real[r * a.ld + k], y = (double)b.real[r * b.ld + k];
                largest = fmax(largest, fabs(x));
                if (!(fabs(x - y) <= worst)) worst = fabs(x - y);
            }
        }
        count(c, worst <= equality * largest,
              "output %d differs by %.3g from its definition, the largest value is %.3g", j, worst,
              largest);
    }
}

/* phi2 = sum of <w, gradient> over all leaves: recorded, w drawn. */
static weft_var weigh_gradients(probe *p, const weft_var dx[], weft_real *w)
{
    weft_tape *tape = p->tape;
    weft_var sum = WEFT_NIL;
    for (int i = 0; i < p->n_leaves; i++) {
        const weft_tensor shape = weft_shape(tape, dx[i]);
        const weft_var weight = weft_sample_normal(tape, shape.rank, shape.dim),
                       term =
                           weft_sum(tape, weft_mul(tape, weft_stop_gradient(tape, weight), dx[i]),
                                    WEFT_ALL, false);
        if (weft_is_nil(term)) return WEFT_NIL;
        const weft_tensor drawn = weft_value(tape, weight);
        flatten(&drawn, p->at[i + 1] - p->at[i], w + p->at[i]);
        sum = i ? weft_add(tape, sum, term) : term;
    }
    return sum;
}

/* The gradients that weft_grad recorded must be those of weft_backward at other values of the leaves
 * too: as functions, not as numbers. a, b: room. */
static void check_elsewhere(check *c, const probe *p, const weft_var dx[], weft_real *a,
                            weft_real *b)
{
    const uint64_t key = weft_random_key(c->options.seed, 13, (uint64_t)c->sample);
    for (int i = 0; i < p->n_leaves; i++) {
        const weft_tensor x = weft_value(p->tape, p->leaf[i]);
        const weft_tensor d = weft_gradient(p->tape, p->leaf[i]);
        for (int64_t k = 0; k < weft_size(&x); k++)
            x.real[k] *=
                (weft_real)(0.99 + 0.02 * weft_random_uniform(key, (uint64_t)i, (uint32_t)k));
        if (d.data) memset(d.data, 0, (size_t)weft_size(&d) * sizeof *d.real);
    }
    if (weft_replay(p->tape) != WEFT_OK) {
        tape_failed(c, p->tape, "replay");
        return;
    }
    for (int i = 0; i < p->n_leaves; i++) {
        const weft_tensor d = weft_value(p->tape, dx[i]);
        flatten(&d, p->at[i + 1] - p->at[i], a + p->at[i]);
    }
    if (backward(c, p, p->phi, b))
        compare(c, p, "weft_grad replayed elsewhere", a, b, equality, -1);
}

/* g: gradients by weft_backward; w, g2: room for as many elements. */
static void check_second_order(check *c, const weft_real *g, weft_real *w, weft_real *g2)
{
    probe p;
    weft_var dx[MAX_LEAVES + WEFT_MAX_OUT];
    if (!record(c, c->retain, 0, &p)) return;
    uint32_t n_nodes = p.tape->n_nodes;
    for (uint32_t i = 0; i < n_nodes; i++) {
        const weft_op *op = p.tape->nodes[i].op;
        if ((op == c->op || op == c->options.replace) && op->define) check_definition(c, p.tape, i);
        if (weft_tape_status(p.tape) != WEFT_OK) return;
    }
    n_nodes = p.tape->n_nodes;
    const weft_status status = weft_grad(p.tape, p.phi, WEFT_NIL, p.n_leaves, p.leaf, dx);
    replace(c, p.tape, n_nodes);
    if (status != WEFT_OK) {
        tape_failed(c, p.tape, "weft_grad");
        return;
    }
    for (int i = 0; i < p.n_leaves; i++) {
        const weft_tensor d = weft_value(p.tape, dx[i]);
        flatten(&d, p.at[i + 1] - p.at[i], w + p.at[i]);
    }
    compare(c, &p, "weft_grad (through the definition of what is fused)", g, w, equality, -1);
    if (c->options.first_order_only || stopped(c)) return;

    const weft_var phi2 = weigh_gradients(&p, dx, w);
    if (tape_failed(c, p.tape, "weighing gradients") || !backward(c, &p, phi2, g2)) return;
    check_differences(c, &p, p.n_leaves, p.n_leaves, dx, w, p.at[p.n_leaves], g2, 2);
    if (!stopped(c)) check_elsewhere(c, &p, dx, w, g2);
}

/* ---- one sample, all samples --------------------------------------------------------------------- */

static void check_sample(check *c, const probe *p)
{
    const bool has_none = !c->op->vjp && !c->op->backward;
    if (p->n_out == 0 || (p->n_x == 0 && has_none)) return; /* there is no gradient */
    if (!count(c, p->n_x > 0, "there is no leaf that the outputs depend on")) return;
    const int64_t size = p->at[p->n_leaves], w_size = size - p->at[p->n_x];
    weft_real *g = allocate(c, 4 * size, sizeof *g);
    if (!g) return;
    weft_real *again = g + size, *w = again + size, *g2 = w + size;
    if (backward(c, p, p->phi, g)) {
        check_adding(c, p, g, again);
        gather_weights(p, w);
        if (!stopped(c)) check_differences(c, p, p->n_x, p->n_out, p->out, w, w_size, g, 1);
        if (!stopped(c)) check_consuming(c, g, again);
        if (!stopped(c)) check_frozen(c, p, g, again);
        if (!stopped(c) && !c->options.replace) check_threads(c, w, again);
        if (!stopped(c)) check_second_order(c, g, w, g2);
    }
    weft_free(g);
}

weft_status weft_gradcheck(const weft_op *op, const weft_gradcheck_options *options,
                           weft_gradcheck_report *report)
{
    check c = { .op = op, .report = report };
    if (options) c.options = *options;
    if (c.options.directions <= 0) c.options.directions = 3;
    if (c.options.tolerance <= 0) c.options.tolerance = default_tolerance;
    if (c.options.seed == 0) c.options.seed = 1;
    if (!op->sample)
        return weft_error(WEFT_ERR_STATE, "gradcheck: operation %s has no samples", op->name);
    const int64_t n_samples = report->n_samples;
    c.retain = weft_tape_new(WEFT_RETAIN);
    c.consume = weft_tape_new(0);
    if (!c.retain || !c.consume) c.status = WEFT_ERR_MEMORY;
    for (; !stopped(&c); c.sample++) {
        probe p;
        const bool recorded = record(&c, c.retain, 0, &p);
        if (!p.tape) break; /* past the last */
        report->n_samples++;
        if (recorded) check_sample(&c, &p);
    }
    weft_tape_free(c.retain);
    weft_tape_free(c.consume);
    if (c.status == WEFT_OK && report->n_samples == n_samples)
        c.status = weft_error(WEFT_ERR_STATE, "gradcheck: operation %s has no samples", op->name);
    return c.status;
}
