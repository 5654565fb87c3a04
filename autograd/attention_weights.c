/* attention_weights.c - the weights of attention operations, which do not keep them: an operation that is
 * linear in its values gives its weights where the values are unit vectors. */
#include "autograd/tape_internal.h"
#include "core/checked.h"

#include <stdio.h>
#include <string.h>

/* The input of that name, or -1; queries and keys may be one, "qk", and so may their offsets. */
static int either_named(const weft_op *op, const char *name, const char *shared)
{
    const int i = weft_tape_input_named(op, name);
    return i >= 0 ? i : weft_tape_input_named(op, shared);
}

static bool is_attention(const weft_op *op)
{
    return either_named(op, "q", "qk") >= 0 && either_named(op, "k", "qk") >= 0 &&
           weft_tape_input_named(op, "v") >= 0;
}

weft_var weft_attention_find(weft_tape *tape, const char *scope, int nth)
{
    for (uint32_t i = 0; i < tape->n_nodes; i++) {
        const node *n = &tape->nodes[i];
        if (n->scope && strcmp(n->scope, scope) == 0 && is_attention(n->op) && nth-- == 0)
            return weft_var_of(tape, n->first_out);
    }
    return WEFT_NIL;
}

/* The node that y is the first output of. */
static const node *node_of(weft_tape *tape, weft_var y)
{
    uint32_t index;
    if (!weft_tape_find(tape, y, "weft_attention_weights", &index)) return NULL;
    const value *v = &tape->values[index];
    if (v->node != NO_NODE && v->out == 0 && is_attention(tape->nodes[v->node].op))
        return &tape->nodes[v->node];
    weft_tape_fail(tape, WEFT_ERR_STATE,
                   "weft_attention_weights: y is not the output of an operation with queries, keys "
                   "and values");
    return NULL;
}

static weft_var input(const weft_tape *tape, const node *n, int i)
{
    const uint32_t id = i < 0 ? 0 : tape->inputs[n->first_in + (uint32_t)i];
    return id ? weft_var_of(tape, id - 1) : WEFT_NIL;
}

static weft_attention_parts parts_of(const weft_tape *tape, const node *n)
{
    return (weft_attention_parts){
        .q = input(tape, n, either_named(n->op, "q", "qk")),
        .k = input(tape, n, either_named(n->op, "k", "qk")),
        .v = input(tape, n, weft_tape_input_named(n->op, "v")),
        .q_offsets = input(tape, n, either_named(n->op, "q_offsets", "offsets")),
        .k_offsets = input(tape, n, either_named(n->op, "k_offsets", "offsets"))
    };
}

bool weft_attention_inputs(weft_tape *tape, weft_var y, weft_attention_parts *parts)
{
    const node *n = node_of(tape, y);
    if (n) *parts = parts_of(tape, n);
    return n != NULL;
}

/* The sentences of the keys: rows `from` to `to` of sentence b; false after the last. */
static bool sentence(const weft_tensor *v, const weft_tensor *offsets, int64_t b, int64_t *from,
                     int64_t *to)
{
    if (offsets->data) {
        if (b + 1 >= offsets->dim[0]) return false;
        *from = offsets->i32[b];
        *to = offsets->i32[b + 1];
    } else {
        const int64_t B = v->rank == 3 ? v->dim[0] : 1, S = weft_rows(v) / (B > 0 ? B : 1);
        if (b >= B) return false;
        *from = b * S;
        *to = (b + 1) * S;
    }
    return true;
}

/* Values of G heads, S wide: the key at place j of its sentence has 1 in column j of each head. */
static weft_var unit_values(weft_tape *tape, const weft_tensor *v, const weft_tensor *offsets,
                            int64_t G, int64_t S)
{
    int64_t dim[WEFT_MAX_RANK], columns, size, from, to;
    memcpy(dim, v->dim, sizeof dim);
    if (!weft_mul_i64(G, S, &columns) || !weft_mul_i64(weft_rows(v), columns, &size)) {
        weft_tape_fail(tape, WEFT_ERR_OVERFLOW, "weft_attention_weights: %lld keys are too many",
                       (long long)S);
        return WEFT_NIL;
    }
    dim[v->rank - 1] = columns;
    weft_real *x = weft_alloc((size_t)size, sizeof *x);
    if (!x) {
        weft_tape_fail(tape, WEFT_ERR_MEMORY, "weft_attention_weights: %s", weft_message());
        return WEFT_NIL;
    }
    for (int64_t b = 0; sentence(v, offsets, b, &from, &to); b++)
        for (int64_t j = from; j < to; j++)
            for (int64_t g = 0; g < G; g++) x[j * columns + g * S + (j - from)] = 1;
    const weft_var units = weft_constant(tape, v->rank, dim, x);
    weft_free(x);
    return units;
}

/* How many heads the keys have: those of the queries are heads wide, and all of one width. */
static bool key_heads(weft_tape *tape, const weft_tensor *q, const weft_tensor *k, int heads,
                      int64_t *G)
{
    const int64_t K = heads > 0 ? weft_cols(q) / heads : 0;
    *G = K > 0 ? weft_cols(k) / K : 0;
    if (K > 0 && K * heads == weft_cols(q) && *G > 0 && *G * K == weft_cols(k) && heads % *G == 0)
        return true;
    weft_tape_fail(tape, WEFT_ERR_RANGE,
                   "weft_attention_weights: queries of %lld and keys of %lld columns have not %d "
                   "heads",
                   (long long)weft_cols(q), (long long)weft_cols(k), heads);
    return false;
}

/* The same operation once more, with other values, and nothing added to them. */
static weft_var again(weft_tape *tape, const node *n, int at_v, weft_var values)
{
    weft_var *in = weft_alloc((size_t)n->n_in, sizeof *in), out[WEFT_MAX_OUT];
    if (!in) {
        weft_tape_fail(tape, WEFT_ERR_MEMORY, "weft_attention_weights: %s", weft_message());
        return WEFT_NIL;
    }
    const int added = weft_tape_input_named(n->op, "relative_values");
    for (int i = 0; i < n->n_in; i++)
        in[i] = i == at_v ? values : i == added ? WEFT_NIL : input(tape, n, i);
    const bool done = weft_apply(tape, n->op, n->n_in, in, n->attr, n->attr_bytes, out);
    weft_free(in);
    return done ? out[0] : WEFT_NIL;
}

weft_var weft_attention_weights(weft_tape *tape, weft_var y, int heads)
{
    const node *found = weft_tape_status(tape) == WEFT_OK ? node_of(tape, y) : NULL;
    if (!found) return WEFT_NIL;
    const node n = *found; /* the tape's nodes move as it grows */
    const weft_attention_parts parts = parts_of(tape, &n);
    const weft_tensor tq = weft_value(tape, parts.q), tk = weft_value(tape, parts.k),
                      tv = weft_value(tape, parts.v);
    weft_tensor offsets = { .rank = -1 };
    if (!weft_is_nil(parts.k_offsets)) offsets = weft_value(tape, parts.k_offsets);
    int64_t G, S = 0, from, to;
    if (weft_tape_status(tape) != WEFT_OK || !key_heads(tape, &tq, &tk, heads, &G)) return WEFT_NIL;
    for (int64_t b = 0; sentence(&tv, &offsets, b, &from, &to); b++)
        if (to - from > S) S = to - from;
    if (S == 0) return weft_full(tape, WEFT_DIMS(weft_rows(&tq), heads, 0), 0);
    const weft_var units = unit_values(tape, &tv, &offsets, G, S),
                   weights = again(tape, &n, weft_tape_input_named(n.op, "v"), units);
    return weft_reshape(tape, weights, WEFT_DIMS(weft_rows(&tq), heads, S));
}

weft_var weft_attention_weights_in(weft_tape *tape, const char *scope, int heads)
{
    int n = 0; /* counted first: what is recorded below may lie in the same scope */
    while (!weft_is_nil(weft_attention_find(tape, scope, n))) n++;
    weft_var sum = WEFT_NIL;
    for (int i = 0; i < n; i++) {
        const weft_var y = weft_attention_find(tape, scope, i),
                       weights = weft_attention_weights(tape, y, heads);
        sum = i == 0 ? weights : weft_add(tape, sum, weights);
    }
    return sum;
}
