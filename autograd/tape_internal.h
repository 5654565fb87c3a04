/* tape_internal.h - what tape.c, backward.c and grad.c share. */
#ifndef WEFT_TAPE_INTERNAL_H
#define WEFT_TAPE_INTERNAL_H

#include "autograd/autograd.h"

/* A block of the tape's arena; bytes = 0: none. */
typedef struct block {
    size_t offset, bytes;
} block;

/* Which columns of a gradient have been written, so that the first contribution overwrites and later
 * ones add, without a zeroing pass. Column slices of one product (q, k, v) fill theirs in turn. */
enum { MAX_RANGES = 8 };
typedef struct coverage {
    bool full;
    int n;
    int64_t ld; /* the columns are counted modulo this */
    struct {
        int64_t from, to;
    } range[MAX_RANGES];
} coverage;

/* A value: an output of a node, or a leaf. A view reads the memory of an older value, its root. */
typedef struct value {
    weft_tensor t;  /* t.data is filled in by tensor_of */
    uint32_t root;  /* index of the value that owns the memory; its own for all but views */
    int64_t offset; /* view: elements from the root's first */
    uint32_t node;  /* index of its node; NO_NODE for a leaf */
    uint8_t out;    /* which output of that node */
    bool wants;     /* a gradient */
    bool keep;      /* stays readable after a consuming backward */
    bool gone;      /* given up by a consuming backward */
    /* roots only: */
    block data, grad;
    coverage covered;
    weft_param param; /* a parameter: memory is that of its blocks, not the arena's */
    const void *lent; /* weft_borrow: memory is the caller's */
    const char *name;
} value;
enum { MAX_APART = 8 }; /* inputs of one node that share the gradient of an earlier one */
#define NO_NODE UINT32_MAX

typedef struct node {
    const weft_op *op;
    int n_in, n_out;
    uint32_t first_in;  /* place in tape->inputs: index + 1 of each input, 0 for a missing one */
    uint32_t first_out; /* index of output 0; the others follow */
    bool wants;
    void *attr;
    size_t attr_bytes;
    const char *scope;
    weft_tensor saved[WEFT_MAX_SAVED];
    block saved_block[WEFT_MAX_SAVED];
    size_t scratch_bytes, backward_scratch_bytes;
} node;

/* The values that stand for the parameters of one weft_params on this tape. */
typedef struct binding {
    weft_params *params;
    uint64_t version;
    uint32_t *value; /* [capacity] index + 1 */
    int capacity;
} binding;
enum { MAX_BINDINGS = 8, MAX_SCOPES = 32 };

struct weft_tape {
    unsigned flags;
    uint32_t epoch;
    weft_arena *arena;   /* values, gradients, saved arrays, scratch */
    weft_arena *records; /* attributes and scopes; never dry */
    value *values;
    uint32_t n_values, values_capacity;
    node *nodes;
    uint32_t n_nodes, nodes_capacity;
    uint32_t *inputs;
    uint32_t n_inputs, inputs_capacity;
    weft_tensor *call_in, *call_din; /* arrays of a call, grown to the largest number of inputs */
    bool *call_add, *call_wants;
    int call_capacity;
    binding bindings[MAX_BINDINGS];
    int n_bindings;
    bool consumed; /* a consuming backward has run */
    bool
        in_backward; /* operations recorded now are parts of a gradient: nothing is wanted of them */
    uint64_t seed, update, site;
    char scope[256];
    size_t scope_bytes, scope_end[MAX_SCOPES]; /* length of scope[] at each depth */
    int n_scopes;
    const char *scope_record; /* copy of scope[] in records, made when a node needs it */
    weft_watch *watch;        /* NULL: nobody */
    void *watch_context;
    bool sample_zero_gradient;
    uint32_t frozen; /* gradcheck: index + 1 of the leaf to record as a constant; 0: none */
    uint64_t sample_row;
    uint32_t *gradient_of; /* weft_grad: index + 1 of each value's gradient so far */
    bool *depends;         /* weft_grad: on one of the x */
    uint32_t grad_capacity;
    weft_account *account; /* NULL: not wanted */
    bool fullest;        /* the arena was never as full before, and nothing was given back since */
    uint32_t n_recorded; /* values from here on are parts of a gradient */
    weft_status status;
    char message[1024];
};

static inline weft_var weft_var_of(const weft_tape *tape, uint32_t index)
{
    return (weft_var){ index + 1, tape->epoch };
}

/* The i-th word of an operation's `inputs`, the last one for all further i: "gain". */
void weft_tape_input_name(const weft_op *op, int i, char name[32]);
/* The input of that name, or -1. */
int weft_tape_input_named(const weft_op *op, const char *name);
/* Find a value by handle; false (and the tape fails) for nil, stale or foreign handles. */
bool weft_tape_find(weft_tape *tape, weft_var x, const char *what, uint32_t *index);
/* The tensor of a value with its data pointer. */
weft_tensor weft_tape_tensor(const weft_tape *tape, uint32_t index);
/* Fill in what a call needs for node i: inputs, outputs, saved arrays, wants. */
void weft_tape_call(weft_tape *tape, uint32_t i, weft_call *c, weft_tensor out[WEFT_MAX_OUT]);
/* Tell who watches that node n computes (forward or backward). */
static inline void weft_tape_tell(const weft_tape *tape, const node *n, const weft_call *c,
                                  bool backward, bool done)
{
    if (tape->watch) tape->watch(tape->watch_context, &(weft_event){ c, n->scope, backward, done });
}
/* A new value; NULL and a failed tape when memory ran out. Takes no arena memory. */
value *weft_tape_push_value(weft_tape *tape, const weft_tensor *shape);
/* Memory of the arena; `what` asks for it and stands in the sentence when there is none. */
bool weft_tape_take(weft_tape *tape, const char *what, size_t bytes, block *out);
void weft_tape_give(weft_tape *tape, block *b);
/* account.c: enter what lies in the arena into the tape's account, where that has one. */
void weft_tape_enter(weft_tape *tape);
void weft_account_free(weft_account *account); /* NULL is allowed */
/* Forget everything recorded from node and value number on, and give its memory back. */
void weft_tape_forget(weft_tape *tape, uint32_t n_nodes, uint32_t n_values, uint32_t n_inputs);
/* The first value that is not finite puts the tape into its failed state. */
bool weft_tape_check_finite(weft_tape *tape, const node *n, const weft_tensor *x, const char *which,
                            const weft_call *c);
/* Parameters must be as they were when the tape used them. */
bool weft_tape_is_fresh(weft_tape *tape);
bool weft_tape_ready(weft_tape *tape, const char *what);
size_t weft_tensor_bytes(const weft_tensor *x);
/* x (dense or strided) into or onto y, row by row. */
void weft_tensor_copy(const weft_tensor *x, const weft_tensor *y, bool add);

#endif
