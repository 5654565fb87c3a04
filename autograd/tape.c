/* tape.c - record operations, hold their values, say what went wrong. It knows no operation by name
 * but `contiguous`, which it puts before kernels that want dense inputs. */
#include "autograd/tape_internal.h"

#include "core/checked.h"

#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

static atomic_uint next_epoch = 1;

/* ---- life of a tape -------------------------------------------------------------------------- */

weft_tape *weft_tape_new(unsigned flags)
{
    if (flags & ~(unsigned)(WEFT_RETAIN | WEFT_NO_GRAD | WEFT_DRY | WEFT_CHECK_FINITE |
                            WEFT_ACCOUNT | WEFT_BF16)) {
        weft_error(WEFT_ERR_RANGE, "weft_tape_new: unknown flags 0x%x", flags);
        return NULL;
    }
    if ((flags & WEFT_BF16) && !(flags & WEFT_DRY) && weft_gemm_check_bf16() != WEFT_OK)
        return NULL;
    weft_tape *tape = weft_alloc(1, sizeof *tape);
    if (!tape) return NULL;
    tape->flags = flags;
    tape->arena = weft_arena_new(flags & WEFT_DRY);
    tape->records = weft_arena_new(false);
    if (flags & WEFT_ACCOUNT) tape->account = weft_alloc(1, sizeof *tape->account);
    if (!tape->arena || !tape->records || (flags & WEFT_ACCOUNT && !tape->account)) {
        weft_tape_free(tape);
        return NULL;
    }
    weft_tape_reset(tape);
    weft_tape_seed(tape, 1, 0);
    return tape;
}

void weft_tape_free(weft_tape *tape)
{
    if (!tape) return;
    weft_arena_free(tape->arena);
    weft_arena_free(tape->records);
    weft_free(tape->values);
    weft_free(tape->nodes);
    weft_free(tape->inputs);
    weft_free(tape->call_in);
    weft_free(tape->call_din);
    weft_free(tape->call_add);
    weft_free(tape->call_wants);
    weft_free(tape->gradient_of);
    weft_free(tape->depends);
    weft_account_free(tape->account);
    for (int i = 0; i < MAX_BINDINGS; i++) weft_free(tape->bindings[i].value);
    weft_free(tape);
}

void weft_tape_reset(weft_tape *tape)
{
    tape->epoch = atomic_fetch_add(&next_epoch, 1);
    if (tape->epoch == 0) tape->epoch = atomic_fetch_add(&next_epoch, 1); /* 0 is nil's */
    weft_tape_enter(tape);
    weft_arena_reset(tape->arena);
    weft_arena_reset(tape->records);
    tape->n_values = tape->n_nodes = tape->n_inputs = 0;
    for (int i = 0; i < tape->n_bindings; i++)
        if (tape->bindings[i].value)
            memset(tape->bindings[i].value, 0,
                   (size_t)tape->bindings[i].capacity * sizeof(uint32_t));
    tape->n_bindings = 0;
    tape->consumed = tape->in_backward = false;
    tape->scope[0] = '\0';
    tape->scope_bytes = 0;
    tape->n_scopes = 0;
    tape->scope_record = NULL;
    tape->sample_zero_gradient = false;
    tape->frozen = 0;
    tape->sample_row = 0;
    tape->site = 0;
    tape->n_recorded = UINT32_MAX;
    tape->status = WEFT_OK;
    tape->message[0] = '\0';
}

unsigned weft_tape_flags(const weft_tape *tape) { return tape->flags; }

void weft_tape_seed(weft_tape *tape, uint64_t seed, uint64_t update)
{
    tape->seed = seed;
    tape->update = update;
    tape->site = 0;
}

uint64_t weft_tape_update(const weft_tape *tape) { return tape->update; }

uint64_t weft_tape_next_key(weft_tape *tape)
{
    return weft_random_key(tape->seed, tape->update, tape->site++);
}

void weft_tape_watch(weft_tape *tape, weft_watch *watch, void *context)
{
    tape->watch = watch;
    tape->watch_context = context;
}

size_t weft_tape_peak_bytes(const weft_tape *tape) { return weft_arena_peak_bytes(tape->arena); }

weft_status weft_tape_reserve(weft_tape *tape, size_t bytes)
{
    return weft_arena_reserve(tape->arena, bytes);
}

/* ---- failing --------------------------------------------------------------------------------- */

weft_status weft_tape_status(const weft_tape *tape) { return tape->status; }
const char *weft_tape_message(const weft_tape *tape) { return tape->message; }

/* Take this thread's message as the tape's, in front of it the scope; the first mistake stays. */
static void fail_with_message(weft_tape *tape, weft_status code, const char *scope)
{
    if (tape->status != WEFT_OK) return;
    if (scope && *scope) weft_error_prefix(code, "%s: ", scope);
    tape->status = code;
    snprintf(tape->message, sizeof tape->message, "%s", weft_message());
}

weft_status weft_tape_fail(weft_tape *tape, weft_status code, const char *fmt, ...)
{
    if (tape->status == WEFT_OK) {
        char text[1024];
        va_list args;
        va_start(args, fmt);
        vsnprintf(text, sizeof text, fmt, args);
        va_end(args);
        weft_error(code, "%s", text);
        fail_with_message(tape, code, tape->scope);
    }
    return tape->status;
}

void weft_tape_input_name(const weft_op *op, int i, char name[32])
{
    const char *word = op->inputs ? op->inputs : "x";
    for (; i > 0; i--) {
        const char *next = strchr(word, ' ');
        if (!next) break;
        word = next + 1;
    }
    snprintf(name, 32, "%.*s", (int)strcspn(word, " "), word);
}

int weft_tape_input_named(const weft_op *op, const char *name)
{
    char found[32];
    for (int i = 0; i < op->n_in; i++) {
        weft_tape_input_name(op, i, found);
        if (strcmp(found, name) == 0) return i;
    }
    return -1;
}

/* "matmul(q [8, 12, 64], b [8, 12, 64])" */
static void describe_call(const weft_call *c, const uint32_t *ids, char *text, size_t bytes)
{
    const weft_tape *tape = c->tape;
    size_t n = (size_t)snprintf(text, bytes, "%s(", c->op->name);
    for (int i = 0; i < c->n_in && n < bytes; i++) {
        char letter[32], shape[WEFT_SHAPE_TEXT];
        weft_tape_input_name(c->op, i, letter);
        const uint32_t id = ids ? ids[i] : 0;
        const char *name = id && tape->values[id - 1].name ? tape->values[id - 1].name : letter;
        if (i >= 8) {
            n += (size_t)snprintf(text + n, bytes - n, ", ... %d in all", c->n_in);
            break;
        }
        n += (size_t)snprintf(text + n, bytes - n, "%s%s %s", i ? ", " : "", name,
                              c->in[i].rank < 0 ? "(none)" : weft_shape_text(&c->in[i], shape));
    }
    if (n < bytes) snprintf(text + n, bytes - n, ")");
}

bool weft_fail(const weft_call *c, weft_status code, const char *fmt, ...)
{
    if (c->tape->status != WEFT_OK) return false;
    char call[512], text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    /* While infer runs, the inputs are the last ones of the list. */
    describe_call(c, c->tape->inputs + c->tape->n_inputs - c->n_in, call, sizeof call);
    weft_tape_fail(c->tape, code, "%s: %s", call, text);
    return false;
}

void weft_scope_push(weft_tape *tape, const char *fmt, ...)
{
    size_t n = tape->scope_bytes;
    const size_t room = sizeof tape->scope;
    if (n > 0 && n + 1 < room) tape->scope[n++] = '.';
    va_list args;
    va_start(args, fmt);
    const int written = vsnprintf(tape->scope + n, room - n, fmt, args);
    va_end(args);
    n += written > 0 ? (size_t)written : 0;
    tape->scope_bytes = n < room ? n : room - 1;
    tape->scope_record = NULL;
    tape->n_scopes++;
    if (tape->n_scopes <= MAX_SCOPES) tape->scope_end[tape->n_scopes - 1] = tape->scope_bytes;
}

void weft_scope_pop(weft_tape *tape)
{
    if (tape->n_scopes == 0) return;
    tape->n_scopes--;
    if (tape->n_scopes >= MAX_SCOPES) return;
    tape->scope_bytes = tape->n_scopes ? tape->scope_end[tape->n_scopes - 1] : 0;
    tape->scope[tape->scope_bytes] = '\0';
    tape->scope_record = NULL;
}

bool weft_tape_is_fresh(weft_tape *tape)
{
    for (int i = 0; i < tape->n_bindings; i++) {
        const binding *b = &tape->bindings[i];
        if (weft_params_version(b->params) == b->version) continue;
        weft_tape_fail(tape, WEFT_ERR_STATE,
                       "the parameters were changed after this tape used them (an optimiser step, "
                       "a load or a new parameter): reset the tape and record again");
        return false;
    }
    return true;
}

/* Can anything more be recorded on or computed from this tape? */
bool weft_tape_ready(weft_tape *tape, const char *what)
{
    if (tape->status != WEFT_OK) return false;
    if (tape->consumed) {
        weft_tape_fail(tape, WEFT_ERR_STATE,
                       "%s: this tape was consumed by weft_backward: reset it and record again, or "
                       "make it with WEFT_RETAIN",
                       what);
        return false;
    }
    return weft_tape_is_fresh(tape);
}

/* ---- values ---------------------------------------------------------------------------------- */

size_t weft_tensor_bytes(const weft_tensor *x)
{
    return (size_t)weft_size(x) * weft_dtype_bytes(x->dtype);
}

bool weft_tape_take(weft_tape *tape, const char *what, size_t bytes, block *out)
{
    size_t offset;
    const size_t peak = weft_arena_peak_bytes(tape->arena);
    const weft_status status = weft_arena_take(tape->arena, bytes, &offset);
    if (status != WEFT_OK) {
        weft_error_prefix(status, "%s: ", what);
        fail_with_message(tape, status, tape->scope);
        return false;
    }
    if (weft_arena_peak_bytes(tape->arena) > peak) tape->fullest = true;
    *out = (block){ offset, bytes ? bytes : 1 };
    return true;
}

void weft_tape_give(weft_tape *tape, block *b)
{
    if (b->bytes) {
        weft_tape_enter(tape);
        weft_arena_give(tape->arena, b->offset, b->bytes);
    }
    b->bytes = 0;
}

/* Make room for `more` elements behind the n of an array that grows by doubling. */
static bool grow(weft_tape *tape, void **array, uint32_t n, uint32_t more, uint32_t *capacity,
                 size_t each_bytes)
{
    if (more <= *capacity - n) return true;
    uint64_t want = *capacity ? 2 * (uint64_t)*capacity : 256;
    while (want < (uint64_t)n + more) want *= 2;
    void *new = want < UINT32_MAX ? weft_realloc(*array, (size_t)want, each_bytes) : NULL;
    if (!new) {
        weft_tape_fail(tape, WEFT_ERR_MEMORY, "out of memory: the tape holds %u values", n);
        return false;
    }
    *array = new;
    *capacity = (uint32_t)want;
    return true;
}

value *weft_tape_push_value(weft_tape *tape, const weft_tensor *shape)
{
    if (!grow(tape, (void **)&tape->values, tape->n_values, 1, &tape->values_capacity,
              sizeof *tape->values))
        return NULL;
    value *v = &tape->values[tape->n_values];
    *v = (value){ .t = *shape, .root = tape->n_values, .node = NO_NODE };
    v->t.data = NULL;
    tape->n_values++;
    return v;
}

weft_tensor weft_tape_tensor(const weft_tape *tape, uint32_t index)
{
    const value *v = &tape->values[index], *root = &tape->values[v->root];
    weft_tensor t = v->t;
    char *memory = NULL;
    if (!weft_param_is_none(root->param) && !(tape->flags & WEFT_DRY))
        memory = weft_params_value(root->param.params, root->param.index).data;
    else if (root->lent)
        memory = (char *)root->lent; /* nobody writes to a constant */
    else if (root->data.bytes)
        memory = weft_arena_at(tape->arena, root->data.offset);
    if (memory) t.data = memory + v->offset * (int64_t)weft_dtype_bytes(t.dtype);
    return t;
}

bool weft_tape_find(weft_tape *tape, weft_var x, const char *what, uint32_t *index)
{
    if (x.id != 0 && x.epoch == tape->epoch && x.id <= tape->n_values) {
        *index = x.id - 1;
        return true;
    }
    if (tape->status == WEFT_OK) {
        if (x.id == 0)
            weft_tape_fail(tape, WEFT_ERR_STATE, "%s: nil instead of a value", what);
        else
            weft_tape_fail(tape, WEFT_ERR_STATE,
                           "%s: a value of an earlier step (before weft_tape_reset) or of another "
                           "tape",
                           what);
    }
    return false;
}

/* A leaf with memory of its own, which the caller fills; NULL after a failure. */
static value *push_leaf(weft_tape *tape, const char *what, weft_dtype dtype, int rank,
                        const int64_t dim[])
{
    weft_tensor shape;
    if (!weft_tape_ready(tape, what)) return NULL;
    const weft_status status = weft_tensor_init(&shape, dtype, rank, dim);
    if (status != WEFT_OK) {
        weft_error_prefix(status, "%s: ", what);
        fail_with_message(tape, status, tape->scope);
        return NULL;
    }
    block memory;
    if (!weft_tape_take(tape, what, weft_tensor_bytes(&shape), &memory)) return NULL;
    value *v = weft_tape_push_value(tape, &shape);
    if (!v) {
        weft_tape_give(tape, &memory);
        return NULL;
    }
    v->data = memory;
    v->keep = true;
    return v;
}

static weft_var leaf_of(weft_tape *tape, const char *what, weft_dtype dtype, int rank,
                        const int64_t dim[], const void *data, bool wants)
{
    value *v = push_leaf(tape, what, dtype, rank, dim);
    if (!v) return WEFT_NIL;
    v->wants = wants && !(tape->flags & WEFT_NO_GRAD) && tape->n_values != tape->frozen;
    void *to = weft_arena_at(tape->arena, v->data.offset);
    const size_t bytes = weft_tensor_bytes(&v->t);
    if (to && bytes && !data) {
        weft_tape_fail(tape, WEFT_ERR_STATE, "%s: no data (NULL is allowed on a dry tape only)",
                       what);
        return WEFT_NIL;
    }
    if (to && bytes) memcpy(to, data, bytes);
    return weft_var_of(tape, tape->n_values - 1);
}

weft_var weft_leaf(weft_tape *tape, int rank, const int64_t dim[], const weft_real *data)
{
    return leaf_of(tape, "leaf", WEFT_REAL, rank, dim, data, true);
}

weft_var weft_constant(weft_tape *tape, int rank, const int64_t dim[], const weft_real *data)
{
    return leaf_of(tape, "constant", WEFT_REAL, rank, dim, data, false);
}

weft_var weft_constant_int(weft_tape *tape, int rank, const int64_t dim[], const int32_t *data)
{
    return leaf_of(tape, "constant_int", WEFT_INT32, rank, dim, data, false);
}

weft_var weft_full(weft_tape *tape, int rank, const int64_t dim[], double x)
{
    const value *v = push_leaf(tape, "full", WEFT_REAL, rank, dim);
    if (!v) return WEFT_NIL;
    weft_real *data = weft_arena_at(tape->arena, v->data.offset);
    for (int64_t k = 0, size = weft_size(&v->t); data && k < size; k++) data[k] = (weft_real)x;
    return weft_var_of(tape, tape->n_values - 1);
}

weft_var weft_scalar(weft_tape *tape, double x) { return weft_full(tape, 0, NULL, x); }

weft_var weft_name(weft_tape *tape, weft_var x, const char *name)
{
    uint32_t i;
    if (weft_tape_find(tape, x, "weft_name", &i)) tape->values[i].name = name;
    return x;
}

void weft_keep(weft_tape *tape, weft_var x)
{
    uint32_t i;
    if (!weft_tape_find(tape, x, "weft_keep", &i)) return;
    tape->values[i].keep = tape->values[tape->values[i].root].keep = true;
}

weft_var weft_stop_gradient(weft_tape *tape, weft_var x)
{
    uint32_t i;
    if (!weft_tape_ready(tape, "stop_gradient") || !weft_tape_find(tape, x, "stop_gradient", &i))
        return WEFT_NIL;
    const value of = tape->values[i];
    value *v = weft_tape_push_value(tape, &of.t);
    if (!v) return WEFT_NIL;
    v->root = of.root;
    v->offset = of.offset;
    return weft_var_of(tape, tape->n_values - 1);
}

/* ---- reading --------------------------------------------------------------------------------- */

static const weft_tensor nothing = { .rank = 0, .ld = 1 };

weft_tensor weft_shape(weft_tape *tape, weft_var x)
{
    uint32_t i;
    return weft_tape_find(tape, x, "weft_shape", &i) ? tape->values[i].t : nothing;
}

weft_tensor weft_value(weft_tape *tape, weft_var x)
{
    uint32_t i;
    if (!weft_tape_find(tape, x, "weft_value", &i)) return nothing;
    if (tape->values[tape->values[i].root].gone) {
        weft_tape_fail(tape, WEFT_ERR_STATE,
                       "weft_value: this value was given up by weft_backward, which consumes the "
                       "tape: call weft_keep before, or make the tape with WEFT_RETAIN");
        return nothing;
    }
    return weft_tape_tensor(tape, i);
}

weft_tensor weft_gradient(weft_tape *tape, weft_var x)
{
    uint32_t i;
    if (!weft_tape_find(tape, x, "weft_gradient", &i)) return nothing;
    const value *v = &tape->values[i], *root = &tape->values[v->root];
    weft_tensor g = v->t;
    g.data = NULL;
    /* A value that wants none may share memory with one that does (weft_stop_gradient). */
    if (!v->wants || (tape->flags & WEFT_DRY)) return g;
    if (!weft_param_is_none(root->param))
        g.real = weft_params_gradient(root->param.params, root->param.index).real + v->offset;
    else if (root->grad.bytes)
        g.real = (weft_real *)weft_arena_at(tape->arena, root->grad.offset) + v->offset;
    return g;
}

double weft_item(weft_tape *tape, weft_var x)
{
    const weft_tensor t = weft_value(tape, x);
    if (!t.data) return NAN;
    if (weft_size(&t) != 1) {
        char text[WEFT_SHAPE_TEXT];
        weft_tape_fail(tape, WEFT_ERR_SHAPE, "weft_item: one element is wanted, not %s",
                       weft_shape_text(&t, text));
        return NAN;
    }
    return t.dtype == WEFT_REAL    ? (double)t.real[0]
           : t.dtype == WEFT_INT32 ? (double)t.i32[0]
                                   : (double)t.byte[0];
}

bool weft_wants_gradient(weft_tape *tape, weft_var x)
{
    uint32_t i;
    return weft_tape_find(tape, x, "weft_wants_gradient", &i) && tape->values[i].wants;
}

/* ---- what infer calls ------------------------------------------------------------------------ */

bool weft_out(weft_call *c, int j, weft_dtype dtype, int rank, const int64_t dim[])
{
    assert(j < c->n_out);
    const weft_status status = weft_tensor_init(&c->out[j], dtype, rank, dim);
    return status == WEFT_OK || weft_fail(c, status, "output %d: %s", j, weft_message());
}

void weft_alias(weft_call *c, int j, int i, int64_t offset, int64_t ld)
{
    assert(j < c->n_out && i < c->n_in);
    c->out[j].ld = ld;
    c->alias[j].of = i + 1;
    c->alias[j].offset = offset;
}

bool weft_save(weft_call *c, int k, weft_dtype dtype, int64_t n)
{
    assert(k < WEFT_MAX_SAVED);
    const weft_status status = weft_tensor_init(&c->saved[k], dtype, 1, &n);
    return status == WEFT_OK || weft_fail(c, status, "saved array %d: %s", k, weft_message());
}

bool weft_call_is_dry(const weft_call *c) { return c->tape->flags & WEFT_DRY; }

/* ---- recording ------------------------------------------------------------------------------- */

static bool grow_call(weft_tape *tape, int n_in)
{
    if (n_in <= tape->call_capacity) return true;
    int n = tape->call_capacity ? tape->call_capacity : 16;
    while (n < n_in) n *= 2;
    void *in = weft_realloc(tape->call_in, (size_t)n, sizeof *tape->call_in);
    if (in) tape->call_in = in;
    void *din = weft_realloc(tape->call_din, (size_t)n, sizeof *tape->call_din);
    if (din) tape->call_din = din;
    void *add = weft_realloc(tape->call_add, (size_t)n, sizeof *tape->call_add);
    if (add) tape->call_add = add;
    void *wants = weft_realloc(tape->call_wants, (size_t)n, sizeof *tape->call_wants);
    if (wants) tape->call_wants = wants;
    if (!in || !din || !add || !wants) {
        fail_with_message(tape, WEFT_ERR_MEMORY, tape->scope);
        return false;
    }
    tape->call_capacity = n;
    return true;
}

static void *record(weft_tape *tape, const void *data, size_t bytes)
{
    size_t offset;
    const weft_status status = weft_arena_take(tape->records, bytes, &offset);
    if (status != WEFT_OK) {
        fail_with_message(tape, status, tape->scope);
        return NULL;
    }
    return memcpy(weft_arena_at(tape->records, offset), data, bytes);
}

/* Find the inputs, check their types, and put dense copies in front of kernels that need them. */
static bool gather_inputs(weft_tape *tape, const weft_op *op, int n_in, const weft_var in[],
                          uint32_t ids[])
{
    for (int i = 0; i < n_in; i++) {
        const uint32_t bit = i < 32 ? UINT32_C(1) << i : 0;
        char letter[32];
        weft_tape_input_name(op, i, letter);
        if (weft_is_nil(in[i]) && (op->optional & bit)) {
            ids[i] = 0;
            continue;
        }
        char what[96];
        snprintf(what, sizeof what, "%s: input %s", op->name, letter);
        uint32_t index;
        if (!weft_tape_find(tape, in[i], what, &index)) return false;
        const weft_dtype dtype = tape->values[index].t.dtype;
        const bool integer = op->integer & bit;
        if (!(op->any_type & bit) && (dtype == WEFT_INT32) != integer) {
            weft_tape_fail(tape, WEFT_ERR_TYPE, "%s: must be %s", what,
                           integer ? "int32, not real" : "real, not int32");
            return false;
        }
        if (!(op->strided & bit) && !weft_is_dense(&tape->values[index].t)) {
            const weft_var dense = weft_contiguous(tape, in[i]);
            if (weft_is_nil(dense)) return false;
            index = dense.id - 1;
        }
        ids[i] = index + 1;
    }
    return true;
}

void weft_tape_call(weft_tape *tape, uint32_t i, weft_call *c, weft_tensor out[WEFT_MAX_OUT])
{
    node *n = &tape->nodes[i];
    *c = (weft_call){ .tape = tape,
                      .op = n->op,
                      .attr = n->attr,
                      .n_in = n->n_in,
                      .n_out = n->n_out,
                      .in = tape->call_in,
                      .out = out,
                      .records = n->wants,
                      .scratch_bytes = n->scratch_bytes,
                      .backward_scratch_bytes = n->backward_scratch_bytes,
                      .wants = tape->call_wants };
    for (int k = 0; k < n->n_in; k++) {
        const uint32_t id = tape->inputs[n->first_in + (uint32_t)k];
        tape->call_in[k] = id ? weft_tape_tensor(tape, id - 1) : (weft_tensor){ .rank = -1 };
        tape->call_wants[k] =
            id && tape->values[id - 1].wants && !(k < 32 && (n->op->constant >> k & 1));
    }
    for (int j = 0; j < n->n_out; j++) out[j] = weft_tape_tensor(tape, n->first_out + (uint32_t)j);
    for (int k = 0; k < WEFT_MAX_SAVED; k++) {
        c->saved[k] = n->saved[k];
        if (n->saved_block[k].bytes)
            c->saved[k].data = weft_arena_at(tape->arena, n->saved_block[k].offset);
    }
}

static bool compute(weft_tape *tape, uint32_t i)
{
    node *n = &tape->nodes[i];
    block scratch = { 0 };
    if (n->scratch_bytes && !weft_tape_take(tape, n->op->name, n->scratch_bytes, &scratch))
        return false;
    if (n->op->forward && !(tape->flags & WEFT_DRY)) {
        weft_call c;
        weft_tensor out[WEFT_MAX_OUT];
        weft_tape_call(tape, i, &c, out);
        if (scratch.bytes) c.scratch = weft_arena_at(tape->arena, scratch.offset);
        weft_tape_tell(tape, n, &c, tape->in_backward, false);
        n->op->forward(&c);
        weft_tape_tell(tape, n, &c, tape->in_backward, true);
        for (int j = 0; (tape->flags & WEFT_CHECK_FINITE) && j < n->n_out; j++)
            if (!weft_tape_check_finite(tape, n, &out[j], "", &c)) break;
    }
    weft_tape_give(tape, &scratch);
    return tape->status == WEFT_OK;
}

/* Room for outputs and saved arrays of the node that was just inferred. */
static bool take_memory(weft_tape *tape, node *n, const weft_call *c)
{
    for (int j = 0; j < n->n_out; j++) {
        const uint32_t index = n->first_out + (uint32_t)j;
        if (c->alias[j].of == 0) {
            block memory;
            if (!weft_tape_take(tape, n->op->name, weft_tensor_bytes(&c->out[j]), &memory))
                return false;
            tape->values[index].data = memory;
        }
    }
    for (int k = 0; k < WEFT_MAX_SAVED; k++) {
        n->saved[k] = c->saved[k];
        if (c->saved[k].rank == 1 && n->wants &&
            !weft_tape_take(tape, n->op->name, weft_tensor_bytes(&c->saved[k]), &n->saved_block[k]))
            return false;
    }
    return true;
}

static bool push_outputs(weft_tape *tape, node *n, const weft_call *c)
{
    n->first_out = tape->n_values;
    for (int j = 0; j < n->n_out; j++) {
        value *v = weft_tape_push_value(tape, &c->out[j]);
        if (!v) return false;
        v->node = tape->n_nodes;
        v->out = (uint8_t)j;
        v->wants = n->wants && c->out[j].dtype == WEFT_REAL && !(n->op->detached >> j & 1);
        if (c->alias[j].of) {
            const uint32_t id = tape->inputs[n->first_in + (uint32_t)c->alias[j].of - 1];
            v->root = tape->values[id - 1].root;
            v->offset = tape->values[id - 1].offset + c->alias[j].offset;
        }
    }
    return true;
}

bool weft_apply(weft_tape *tape, const weft_op *op, int n_in, const weft_var in[], const void *attr,
                size_t attr_bytes, weft_var out[])
{
    const int n_out = op->n_out ? op->n_out : 1;
    for (int j = 0; j < n_out; j++) out[j] = WEFT_NIL;
    if (!weft_tape_ready(tape, op->name)) return false;
    if (n_in < 1 || (op->n_in >= 0 && n_in != op->n_in)) {
        weft_tape_fail(tape, WEFT_ERR_STATE, "%s: %d inputs given, %d wanted", op->name, n_in,
                       op->n_in < 0 ? 1 : op->n_in);
        return false;
    }

    /* Dense copies are recorded first, so the list of inputs is finished before the node begins. */
    const uint32_t values_before = tape->n_values, nodes_before = tape->n_nodes,
                   inputs_before = tape->n_inputs;
    if (!grow_call(tape, n_in)) return false;
    uint32_t few[16], *ids = n_in <= 16 ? few : weft_alloc((size_t)n_in, sizeof *ids);
    if (!ids) {
        fail_with_message(tape, WEFT_ERR_MEMORY, tape->scope);
        return false;
    }
    node n = { .op = op, .n_in = n_in, .n_out = n_out, .attr_bytes = attr_bytes };
    weft_call c = { .tape = tape,
                    .op = op,
                    .attr = attr,
                    .n_in = n_in,
                    .n_out = n_out,
                    .in = tape->call_in,
                    .wants = tape->call_wants };
    weft_tensor shapes[WEFT_MAX_OUT] = { { 0 } };
    c.out = shapes;
    for (int k = 0; k < WEFT_MAX_SAVED; k++) c.saved[k].rank = -1;

    bool ok = gather_inputs(tape, op, n_in, in, ids) &&
              grow(tape, (void **)&tape->inputs, tape->n_inputs, (uint32_t)n_in,
                   &tape->inputs_capacity, sizeof *tape->inputs) &&
              grow(tape, (void **)&tape->nodes, tape->n_nodes, 1, &tape->nodes_capacity,
                   sizeof *tape->nodes);
    if (ok) {
        n.first_in = tape->n_inputs;
        memcpy(tape->inputs + tape->n_inputs, ids, (size_t)n_in * sizeof *ids);
        tape->n_inputs += (uint32_t)n_in;
        for (int i = 0; i < n_in; i++) {
            tape->call_in[i] =
                ids[i] ? weft_tape_tensor(tape, ids[i] - 1) : (weft_tensor){ .rank = -1 };
            tape->call_wants[i] = ids[i] && tape->values[ids[i] - 1].wants && !tape->in_backward &&
                                  !(i < 32 && (op->constant >> i & 1));
            n.wants = n.wants || tape->call_wants[i];
        }
        n.wants = n.wants && (op->vjp || op->backward);
        c.records = n.wants;
        ok = op->infer(&c);
        assert(ok || tape->status != WEFT_OK);
    }
    if (ids != few) weft_free(ids);
    n.scratch_bytes = c.scratch_bytes;
    n.backward_scratch_bytes = c.backward_scratch_bytes;
    ok = ok && push_outputs(tape, &n, &c) && take_memory(tape, &n, &c);
    if (ok && attr_bytes) ok = (n.attr = record(tape, attr, attr_bytes)) != NULL;
    if (ok && !tape->scope_record && tape->scope_bytes)
        ok = (tape->scope_record = record(tape, tape->scope, tape->scope_bytes + 1)) != NULL;
    n.scope = tape->scope_record;
    if (ok) {
        tape->nodes[tape->n_nodes++] = n;
        ok = compute(tape, tape->n_nodes - 1);
    } else {
        for (int k = 0; k < WEFT_MAX_SAVED; k++) weft_tape_give(tape, &n.saved_block[k]);
    }
    if (!ok) {
        weft_tape_forget(tape, nodes_before, values_before, inputs_before);
        return false;
    }
    for (int j = 0; j < n_out; j++)
        out[j] = weft_var_of(tape, tape->nodes[tape->n_nodes - 1].first_out + (uint32_t)j);
    return true;
}

weft_var weft_apply1(weft_tape *tape, const weft_op *op, int n_in, const weft_var in[],
                     const void *attr, size_t attr_bytes)
{
    weft_var out[WEFT_MAX_OUT];
    return weft_apply(tape, op, n_in, in, attr, attr_bytes, out) ? out[0] : WEFT_NIL;
}

void weft_tape_forget(weft_tape *tape, uint32_t n_nodes, uint32_t n_values, uint32_t n_inputs)
{
    for (uint32_t i = n_nodes; i < tape->n_nodes; i++)
        for (int k = 0; k < WEFT_MAX_SAVED; k++)
            weft_tape_give(tape, &tape->nodes[i].saved_block[k]);
    for (uint32_t i = n_values; i < tape->n_values; i++) {
        weft_tape_give(tape, &tape->values[i].data);
        weft_tape_give(tape, &tape->values[i].grad);
    }
    tape->n_nodes = n_nodes;
    tape->n_values = n_values;
    tape->n_inputs = n_inputs;
}

weft_status weft_replay(weft_tape *tape)
{
    if (!weft_tape_ready(tape, "weft_replay")) return tape->status;
    if (!(tape->flags & WEFT_RETAIN))
        return weft_tape_fail(tape, WEFT_ERR_STATE, "weft_replay: needs a tape with WEFT_RETAIN");
    for (uint32_t i = 0; i < tape->n_nodes && tape->status == WEFT_OK; i++) compute(tape, i);
    return tape->status;
}

static bool lies_in(const weft_tensor *x, const weft_tensor *all)
{
    const uintptr_t at = (uintptr_t)x->data, from = (uintptr_t)all->data;
    return at >= from && at < from + (size_t)weft_size(all) * sizeof(weft_real);
}

/* Does node n depend on a marked value? Then so do its outputs. */
static bool pass_mark(const weft_tape *tape, const node *n, bool marks[])
{
    bool depends = false;
    for (int i = 0; i < n->n_in && !depends; i++) {
        const uint32_t in = tape->inputs[n->first_in + (uint32_t)i];
        depends = in > 0 && marks[in - 1];
    }
    for (int j = 0; j < n->n_out && depends; j++) marks[n->first_out + (uint32_t)j] = true;
    return depends;
}

weft_status weft_replay_changed(weft_tape *tape, const weft_tensor *changed)
{
    if (!weft_tape_ready(tape, "weft_replay_changed")) return tape->status;
    if (!(tape->flags & WEFT_RETAIN))
        return weft_tape_fail(tape, WEFT_ERR_STATE,
                              "weft_replay_changed: needs a tape with WEFT_RETAIN");
    bool *marks = weft_alloc((size_t)tape->n_values + 1, sizeof *marks);
    if (!marks) return weft_tape_fail(tape, WEFT_ERR_MEMORY, "%s", weft_message());
    for (uint32_t i = 0; i < tape->n_values; i++) {
        const weft_tensor x = weft_tape_tensor(tape, i);
        marks[i] = lies_in(&x, changed);
    }
    for (uint32_t i = 0; i < tape->n_nodes && tape->status == WEFT_OK; i++)
        if (pass_mark(tape, &tape->nodes[i], marks)) compute(tape, i);
    weft_free(marks);
    return tape->status;
}

/* ---- looking for NaN ------------------------------------------------------------------------- */

/* First element that is not finite, -1 when all are. */
static int64_t first_bad(const weft_tensor *x)
{
    const int64_t R = weft_rows(x), C = weft_cols(x);
    for (int64_t r = 0; r < R; r++)
        for (int64_t c = 0; c < C; c++)
            if (!isfinite(x->real[r * x->ld + c])) return r * C + c;
    return -1;
}

static void range_text(const weft_tensor *x, char *text, size_t bytes)
{
    double low = INFINITY, high = -INFINITY;
    const int64_t R = weft_rows(x), C = weft_cols(x);
    int64_t n_bad = 0;
    for (int64_t r = 0; r < R; r++) {
        for (int64_t c = 0; c < C; c++) {
            const double e = (double)x->real[r * x->ld + c];
            if (!isfinite(e)) n_bad++;
            low = e < low ? e : low;
            high = e > high ? e : high;
        }
    }
    snprintf(text, bytes, "in [%.4g, %.4g]%s", low, high, n_bad ? " and not all finite" : "");
}

bool weft_tape_check_finite(weft_tape *tape, const node *n, const weft_tensor *x, const char *which,
                            const weft_call *c)
{
    if (x->dtype != WEFT_REAL || !x->data) return true;
    const int64_t at = first_bad(x);
    if (at < 0) return true;

    char call[512], ranges[512] = "";
    const uint32_t *ids = tape->inputs + n->first_in;
    describe_call(c, ids, call, sizeof call);
    size_t used = 0;
    for (int i = 0; i < c->n_in && used < sizeof ranges; i++) {
        char letter[32], range[96];
        if (c->in[i].rank < 0 || c->in[i].dtype != WEFT_REAL || !c->in[i].data) continue;
        weft_tape_input_name(n->op, i, letter);
        range_text(&c->in[i], range, sizeof range);
        used += (size_t)snprintf(ranges + used, sizeof ranges - used, "%s%s %s", used ? ", " : "",
                                 letter, range);
    }
    const int64_t C = weft_cols(x);
    const double bad = (double)x->real[at / C * x->ld + at % C];
    weft_error(WEFT_ERR_NUMERIC, "%s%s is %g at element %lld; inputs: %s", call, which, bad,
               (long long)at, ranges);
    fail_with_message(tape, WEFT_ERR_NUMERIC, n->scope);
    return false;
}
