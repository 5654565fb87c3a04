/* autograd.h - the tape, variables, parameters, the operations, and how to write one.
 *
 *     weft_tape *tape = weft_tape_new(0);
 *     weft_var x = weft_leaf(tape, 2, (int64_t[]){ 2, 3 }, data);
 *     weft_var y = weft_sum(tape, weft_mul(tape, x, x), WEFT_ALL, false);
 *     if (weft_backward(tape, y, NULL) != WEFT_OK) puts(weft_message());
 *     weft_tensor dx = weft_gradient(tape, x);
 *
 * Lifetimes: parameters live as long as the model (weft_params), values as long as a step (until
 * weft_tape_reset), workspace as long as a call. */
#ifndef WEFT_AUTOGRAD_H
#define WEFT_AUTOGRAD_H

#include "../core/core.h"

typedef struct weft_tape weft_tape;
typedef struct weft_params weft_params;
typedef struct weft_op weft_op;

/* A handle to a value on a tape: passed by value, nothing to free. Using it after the tape was
 * reset, or on another tape, is WEFT_ERR_STATE and never a stray pointer. */
typedef struct weft_var {
    uint32_t id;    /* 0 is nil: what a failed operation returns */
    uint32_t epoch; /* of the tape, unique in the process */
} weft_var;
#define WEFT_NIL ((weft_var){ 0, 0 })
static inline bool weft_is_nil(weft_var x) { return x.id == 0; }

/* ---- parameters (params.c) ------------------------------------------------------------------ */

/* A handle to one named parameter; { NULL, 0 } is none (a layer without bias). */
typedef struct weft_param {
    weft_params *params;
    int32_t index;
} weft_param;
static inline bool weft_param_is_none(weft_param p) { return p.params == NULL; }

typedef enum weft_init_kind {
    WEFT_INIT_ZEROS,
    WEFT_INIT_ONES,          /* times `scale` */
    WEFT_INIT_NORMAL,        /* mean 0, standard deviation `scale` */
    WEFT_INIT_UNIFORM,       /* in [-scale, scale] */
    WEFT_INIT_XAVIER_UNIFORM /* Glorot & Bengio 2010: bound scale * sqrt(6 / (fan_in + fan_out)) of
                                each of `blocks` equal blocks of rows (in_proj [3D, D]: 3 blocks are
                                the paper's [D, D] matrices, 1 is PyTorch's) */
} weft_init_kind;
typedef struct weft_init {
    weft_init_kind kind;
    double scale; /* 0 means 1 */
    int blocks;   /* 0 means 1 */
} weft_init;

/** Parameters of a model: values in one flat block and gradients in another, both starting at 0.
 *  `seed` keys the initial values (with the parameter's name, so order does not matter). */
weft_params *weft_params_new(uint64_t seed) WEFT_MUST_CHECK; /* NULL: weft_message() says why */
/** The same with shapes alone, for a dry tape: no value has memory, however large the model. */
weft_params *weft_params_new_dry(void) WEFT_MUST_CHECK;
void weft_params_free(weft_params *params); /* NULL is allowed */
/** Add and initialise one. Names are unique; PyTorch's, dots included. Blocks never move. */
weft_status weft_params_add(weft_params *params, const char *name, int rank, const int64_t dim[],
                            weft_init init, weft_param *out) WEFT_MUST_CHECK;
/** Draw rows [from, to) anew, as a matrix of their own. WEFT_ERR_RANGE: there are no such rows, or
 *  they do not divide into the blocks. */
weft_status weft_params_init_rows(weft_param param, int64_t from, int64_t to,
                                  weft_init init) WEFT_MUST_CHECK;
int weft_params_count(const weft_params *params);
int64_t weft_params_size(const weft_params *params); /* elements of all, without padding */
const char *weft_params_name(const weft_params *params, int index);
weft_tensor weft_params_value(const weft_params *params, int index);
weft_tensor weft_params_gradient(const weft_params *params, int index);
/** Index of a name, -1 when there is none. */
int weft_params_find(const weft_params *params, const char *name);
/** The flat blocks: weft_params_block_size elements each, parameters in order of addition, each
 *  starting on a cache line; what lies between them is 0 in both and stays 0. */
int64_t weft_params_block_size(const weft_params *params);
int64_t weft_params_offset(const weft_params *params, int index); /* of its first element */
weft_real *weft_params_values(weft_params *params);
weft_real *weft_params_gradients(weft_params *params);
void weft_params_zero_gradients(weft_params *params);
/** Say that the values were changed (optimisers and loaders do): tapes recorded before are stale. */
void weft_params_changed(weft_params *params);
uint64_t weft_params_version(const weft_params *params);

/* ---- the tape (tape.c) ---------------------------------------------------------------------- */

enum {
    WEFT_RETAIN = 1,       /* keep every value: repeated backward, weft_grad, replay, probes */
    WEFT_NO_GRAD = 2,      /* inference: no gradient is ever wanted */
    WEFT_DRY = 4,          /* shapes only: nothing is computed; weft_tape_peak_bytes is the plan */
    WEFT_CHECK_FINITE = 8, /* every value is looked at; the first NaN or infinity is an error that
                              names its operation (WEFT_ERR_NUMERIC) */
    WEFT_ACCOUNT = 16,     /* note what lies in the arena when it is fullest: weft_tape_account */
    WEFT_BF16 = 32 /* the products of linear and projection_loss, and those of their gradients, take
                      operands rounded to bfloat16 (weft_gemm_args); definitions and all else do not.
                      No tape, unless a dry one, where weft_gemm_check_bf16 refuses */
};
weft_tape *weft_tape_new(unsigned flags) WEFT_MUST_CHECK; /* NULL: weft_message() says why */
void weft_tape_free(weft_tape *tape);                     /* NULL is allowed */
/** Ends the life of every variable; keeps the memory; clears the error. */
void weft_tape_reset(weft_tape *tape);
unsigned weft_tape_flags(const weft_tape *tape);
/** Random numbers of the operations recorded from now on are keyed by (seed, update, their site =
 *  how many random operations were recorded before them since this call). */
void weft_tape_seed(weft_tape *tape, uint64_t seed, uint64_t update);
uint64_t weft_tape_update(const weft_tape *tape);
/** The key of the next site (constructors of random operations call it once each). */
uint64_t weft_tape_next_key(weft_tape *tape);

/** The first mistake since the reset; later operations return WEFT_NIL until the next reset. */
weft_status weft_tape_status(const weft_tape *tape);
const char *weft_tape_message(const weft_tape *tape); /* its sentence; "" when WEFT_OK */
/** Put the tape into its failed state (layers report their own mistakes with it); the first stays. */
weft_status weft_tape_fail(weft_tape *tape, weft_status code, const char *fmt, ...)
    WEFT_PRINTF(3, 4);

/** Where we are in the model, for messages: "encoder.layers.0.self_attn". Nests with dots. */
void weft_scope_push(weft_tape *tape, const char *fmt, ...) WEFT_PRINTF(2, 3);
void weft_scope_pop(weft_tape *tape);

size_t weft_tape_peak_bytes(const weft_tape *tape); /* of the arena, since the tape was made */
/** Size the arena, so that steps below that peak neither allocate nor fault. */
weft_status weft_tape_reserve(weft_tape *tape, size_t bytes) WEFT_MUST_CHECK;

/* What one part of the model holds of the arena, in bytes. */
typedef struct weft_account_row {
    char scope[128]; /* "encoder.layers.0.self_attn"; "": outside of all */
    size_t values, saved, gradients;
} weft_account_row;
/* The arena at the moment when it is fullest. All of it together is the peak. */
typedef struct weft_account {
    size_t peak;
    size_t leaves;    /* ids, offsets, constants, and the gradients of leaves */
    size_t workspace; /* of the operation that runs at that moment */
    size_t gaps;      /* between blocks: free, and too small for what was asked for since */
    int n_rows;
    weft_account_row *rows; /* in the order of recording */
} weft_account;
/** The account of a tape made with WEFT_ACCOUNT (NULL for others), since the tape was made. It belongs
 *  to the tape and is valid until that is used again. */
const weft_account *weft_tape_account(weft_tape *tape);

/* Leaves. `data` is copied; on a dry tape it may be NULL. */
weft_var weft_leaf(weft_tape *tape, int rank, const int64_t dim[], const weft_real *data);
weft_var weft_constant(weft_tape *tape, int rank, const int64_t dim[], const weft_real *data);
weft_var weft_constant_int(weft_tape *tape, int rank, const int64_t dim[], const int32_t *data);
/** A constant whose `data` is read where it lies: it must stay there, as it is, until the reset. */
weft_var weft_borrow(weft_tape *tape, int rank, const int64_t dim[], const weft_real *data);
weft_var weft_scalar(weft_tape *tape, double value); /* a constant of rank 0 */
weft_var weft_full(weft_tape *tape, int rank, const int64_t dim[], double value); /* a constant */
/** The parameter as a value of this tape (always the same one until reset), or what was bound. */
weft_var weft_use(weft_tape *tape, weft_param param);
/** Until reset, this tape uses `value` (same shape) wherever a layer names `param`: a model at
 *  parameters that are themselves computed. Before the parameter's first use. */
weft_status weft_bind(weft_tape *tape, weft_param param, weft_var value);
/** The same value, but no gradient flows through it. */
weft_var weft_stop_gradient(weft_tape *tape, weft_var x);
/** A name for messages: matmul(q [8, 12, 64], ...). The text must outlive the step. */
weft_var weft_name(weft_tape *tape, weft_var x, const char *name);
/** Let x's value be readable after a consuming backward. */
void weft_keep(weft_tape *tape, weft_var x);

/** The value, valid until the reset (or the consuming backward). A failed look-up gives
 *  data = NULL, rank 0, and puts the tape into its failed state. */
weft_tensor weft_value(weft_tape *tape, weft_var x);
/** Shape and type without the data: allowed at any time, also after a consuming backward. */
weft_tensor weft_shape(weft_tape *tape, weft_var x);
/** d y / d x after weft_backward, for leaves (and for any value on a retaining tape). data = NULL
 *  where no gradient reached x. */
weft_tensor weft_gradient(weft_tape *tape, weft_var x);
/** The single element of a value of size 1; NAN where there is none. */
double weft_item(weft_tape *tape, weft_var x);
bool weft_wants_gradient(weft_tape *tape, weft_var x);

/**
 * Add d(sum(y * dy)) / d(leaf) to the gradient of every leaf and parameter that y depends on.
 *
 * @param y   any shape
 * @param dy  dense, same shape as y; NULL for a y of size 1 and a weight of 1
 * @return    WEFT_OK, or the first error since the last reset (nothing is computed then)
 *
 * Consumes the tape unless it was made with WEFT_RETAIN: afterwards only y, leaves, their
 * gradients and values given to weft_keep may be read.
 */
weft_status weft_backward(weft_tape *tape, weft_var y, const weft_real *dy) WEFT_MUST_CHECK;

/**
 * Gradients that are variables on the tape, so that they can be differentiated again.
 *
 * @param y   any shape
 * @param dy  same shape as y; WEFT_NIL for a y of size 1 and a weight of 1
 * @param x   n values that y may depend on (leaves, parameters' values or anything between)
 * @param dx  n results, each of x's shape (zeros where y does not depend on x)
 *
 * Needs a tape made with WEFT_RETAIN. A fused operation is differentiated through its definition.
 */
weft_status weft_grad(weft_tape *tape, weft_var y, weft_var dy, int n, const weft_var x[],
                      weft_var dx[]) WEFT_MUST_CHECK;

/** Run every recorded operation again, oldest first, on the present values of the leaves (needs
 *  WEFT_RETAIN). Leaves are written through weft_value(tape, leaf).real. */
weft_status weft_replay(weft_tape *tape) WEFT_MUST_CHECK;
/** The same where only the leaves that lie in `changed` are others than when all was last computed: what
 *  does not depend on them keeps its values. */
weft_status weft_replay_changed(weft_tape *tape, const weft_tensor *changed) WEFT_MUST_CHECK;

/* ---- operations: one line each, in ops.def -------------------------------------------------- */

enum { WEFT_ALL = INT32_MIN }; /* as axis: all of them */

typedef enum weft_activation {
    WEFT_IDENTITY,
    WEFT_RELU,
    WEFT_GELU,      /* x Phi(x), with erf (Hendrycks & Gimpel 2016) */
    WEFT_GELU_TANH, /* its tanh approximation, as GPT-2 */
    WEFT_SILU,
    WEFT_LOGISTIC /* 1 / (1 + exp(-x)) */
} weft_activation;

#include "specs.h" /* argument structs of the larger operations */

#define WEFT_OP(name, prototype) prototype;
#include "ops.def"
#undef WEFT_OP

/* ---- looking into attention (attention_weights.c) ---------------------------------------------- */

/** The output of the nth operation, from 0, recorded in `scope` ("decoder.layers.0.multihead_attn") that
 *  has inputs named q, k (or both in one, qk) and v; WEFT_NIL, and no error, where there is none. */
weft_var weft_attention_find(weft_tape *tape, const char *scope, int nth);
/* What such an operation has read; WEFT_NIL for offsets that were not given. */
typedef struct weft_attention_parts {
    weft_var q, k, v, q_offsets, k_offsets;
} weft_attention_parts;
/** false, and the tape fails, where y is not the output of one. */
bool weft_attention_inputs(weft_tape *tape, weft_var y, weft_attention_parts *parts);
/**
 * The weights of an attention that was recorded, whatever kernel, pattern or bias it has.
 *
 * Attention is linear in its values: what it answers to unit values are its weights. So the same
 * operation is recorded once more, on the same inputs but v, and tiled kernels, which never hold their
 * weights, give exactly those that they use (dropout's multipliers included). They can be
 * differentiated, as any value.
 *
 * @param y      its output, [N, heads Kv] or [B, T, heads Kv]
 * @param heads  H >= 1, which divide its columns
 * @return       [N, H, S], S the keys of the longest sentence: the weight that query n gives to the
 *               key at place j of its sentence; 0 beyond its end
 *
 * Errors: WEFT_ERR_STATE where y is not the output of such an operation, or its values were given up
 * by a consuming backward; WEFT_ERR_RANGE for other heads; WEFT_ERR_MEMORY.
 */
weft_var weft_attention_weights(weft_tape *tape, weft_var y, int heads);
/** The same of a layer: of all such operations recorded in `scope`, added. Longformer records two, each of
 *  which answers some of the queries and leaves the others 0. WEFT_NIL, and no error, where there is none. */
weft_var weft_attention_weights_in(weft_tape *tape, const char *scope, int heads);

/* ---- writing an operation (autograd/README.md is the guide) ----------------------------------- */

/* What infer, forward and backward see.
 *
 * infer checks everything that can be wrong and says what the operation will need: it calls
 * weft_out for each output, weft_alias for an output that is a view of an input, weft_save for
 * each saved array, and sets the scratch sizes. It is the only step that may fail. Index
 * operations may look at the data of integer inputs there; it is NULL on a dry tape.
 * forward writes out[j] and saved[k]; backward writes (add[i] false) or adds to (true) din[i].
 * Gradients have the shape of their value; ld may be larger than C where the value's is. */
enum { WEFT_MAX_OUT = 4, WEFT_MAX_SAVED = 4 };
typedef struct weft_call {
    weft_tape *tape;
    const weft_op *op;
    const void *attr; /* the constructor's constants; the tape keeps a copy */
    int n_in, n_out;
    const weft_tensor *in;
    weft_tensor *out;
    const weft_tensor *dout; /* backward: gradient of each output; data NULL where none came */
    const weft_tensor *din;  /* backward: data NULL where none is wanted */
    const bool *add;         /* backward: add to din[i] instead of overwriting */
    bool records;            /* forward: a gradient will be wanted (saved[] is worth filling) */
    weft_tensor saved[WEFT_MAX_SAVED];            /* rank 1; typed; kept from forward to backward */
    size_t scratch_bytes, backward_scratch_bytes; /* set by infer */
    void *scratch;                                /* of that size, aligned to WEFT_ALIGN */
    const bool *wants; /* which inputs want a gradient (infer, forward, backward) */
    struct {
        int of; /* 1 + the input whose memory output j reads; 0: it has its own */
        int64_t offset;
    } alias[WEFT_MAX_OUT]; /* set by weft_alias */
} weft_call;

/* What vjp and define see: variables instead of memory. Expressions may fail without harm (the tape
 * keeps the first error), so rules are written as plain formulas. */
typedef struct weft_rule {
    weft_tape *tape;
    const weft_op *op;
    const void *attr;
    int n_in, n_out;
    const weft_var *in;   /* the inputs; WEFT_NIL where an optional one was not given */
    const weft_var *out;  /* vjp: the outputs */
    const weft_var *dout; /* vjp: their gradients; WEFT_NIL where none came */
    const bool *wants;    /* vjp: which inputs want a gradient */
    weft_var *din;        /* vjp: set din[i] for wanted inputs, of exactly in[i]'s shape */
    weft_var *result;     /* define: set result[j], the value of output j */
} weft_rule;

struct weft_op {
    const char *name;
    const char *inputs; /* "a b": names for messages, one per input; the last repeats */
    int n_in;           /* -1: any number, at least one */
    int n_out;          /* 1 .. WEFT_MAX_OUT; 0 means 1 */
    uint32_t integer;   /* bit i: input i must be int32 (the others must be real) */
    uint32_t any_type;  /* bit i: input i may be either */
    uint32_t optional;  /* bit i: input i may be WEFT_NIL (its tensor has data NULL and rank -1) */
    uint32_t constant;  /* bit i: input i is not differentiable although real */
    uint32_t detached;  /* bit j: no gradient flows through output j although it is real */
    uint32_t strided;   /* bit i: kernels read input i by its ld; others get a dense copy */
    bool (*infer)(weft_call *c);
    void (*forward)(const weft_call *c); /* NULL: every output is a view */
    /* primitive: */
    void (*vjp)(weft_rule *r); /* NULL for an operation without gradient (all outputs integer) */
    /* fused: */
    void (*backward)(const weft_call *c);
    void (*define)(weft_rule *r);
    /* tests: */
    weft_var (*sample)(weft_tape *tape, int i); /* i-th case; WEFT_NIL past the last */
    weft_var (*misuse)(weft_tape *tape, int i); /* i-th call that must fail; OK past the last */
};

/** Record one application. in[] holds op->n_in variables (n_in for a variadic one).
 *  Outputs 0 .. n_out-1 go to out[]; `out` of an operation with one output is one variable. */
bool weft_apply(weft_tape *tape, const weft_op *op, int n_in, const weft_var in[], const void *attr,
                size_t attr_bytes, weft_var out[]);
/** The same for one output, which is the result. */
weft_var weft_apply1(weft_tape *tape, const weft_op *op, int n_in, const weft_var in[],
                     const void *attr, size_t attr_bytes);

/* For infer. Each returns false after a failure, so that `return weft_fail(...)` reads well. */
/** Record the first error, headed by scope, operation, names and shapes of its inputs. */
bool weft_fail(const weft_call *c, weft_status code, const char *fmt, ...) WEFT_PRINTF(3, 4);
bool weft_out(weft_call *c, int j, weft_dtype dtype, int rank, const int64_t dim[]);
/** Output j (already given a shape of the same number of elements per view) reads input i's memory
 *  from element `offset` on, with rows `ld` apart. forward must not write it. */
void weft_alias(weft_call *c, int j, int i, int64_t offset, int64_t ld);
bool weft_save(weft_call *c, int k, weft_dtype dtype, int64_t n);
/** true where the tape computes nothing: integer data may not be looked at. */
bool weft_call_is_dry(const weft_call *c);

/* For samples: leaves that want a gradient, drawn from the tape's seed. */
weft_var weft_sample_normal(weft_tape *tape, int rank, const int64_t dim[]);
weft_var weft_sample_uniform(weft_tape *tape, double low, double high, int rank,
                             const int64_t dim[]);
weft_var weft_sample_int(weft_tape *tape, int32_t low, int32_t high, int rank, const int64_t dim[]);
/** A column slice [.., C] of a wider leaf [.., C + 3]: ld > C. */
weft_var weft_sample_strided(weft_tape *tape, int rank, const int64_t dim[]);
/** Say that the gradients of this sample are 0 by design, so that 0 = 0 is no vacuous check. */
void weft_sample_zero_gradient(weft_tape *tape);
#define WEFT_DIMS(...) \
    (int)(sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t)), (int64_t[]) { __VA_ARGS__ }

/* An operation is about to compute or (done) has computed; backward where that is part of a gradient.
 * A primitive's gradient shows as the operations it is made of. */
typedef struct weft_event {
    const weft_call *call; /* during weft_watch only */
    const char *scope;     /* "encoder.0.self_attn", until the tape is reset; NULL: none */
    bool backward, done;
} weft_event;
typedef void weft_watch(void *context, const weft_event *event);
/** Have `watch` called around all that computes on this tape, for clocks and traces; it must leave
 *  the tape alone. NULL: nobody watches, as on a new tape. */
void weft_tape_watch(weft_tape *tape, weft_watch *watch, void *context);

/* The table of the built-in operations, made from ops.def. */
extern const weft_op *const weft_op_table[];
extern const int weft_op_count;
const weft_op *weft_op_find(const char *name); /* NULL when there is none */

/* ---- checking gradients (gradcheck.c) --------------------------------------------------------- */

typedef struct weft_gradcheck_options {
    int directions;         /* random directions an input; 0 means 3 */
    double tolerance;       /* worst relative error allowed; 0 means 1e-7 (float build: 2e-2) */
    bool first_order_only;  /* leave out the second order */
    bool stop_at_failure;   /* end with the first failed check */
    uint64_t seed;          /* of samples, directions and weights; 0 means 1 */
    const weft_op *replace; /* for tests of the check: an operation that differs from `op` in its
                               gradient (vjp, backward, define) alone; nodes of `op` become it */
} weft_gradcheck_options;
typedef struct weft_gradcheck_report {
    int64_t n_checks, n_failed, n_samples, n_kinks;
    double worst;          /* relative error |<g, v> - difference| / max(||g|| / sqrt(n), 1e-8) */
    char worst_where[256]; /* "layer_norm, sample 3, input gain, direction 1, first order" */
    char failure[1024];    /* the first failed check: where, both values */
} weft_gradcheck_report;

/** Check every sample of one operation, built-in or the user's: first and second order against
 *  differences along random directions, the fused kernel against its definition, adding against
 *  writing, a consuming against a retaining tape, each gradient switched off, several threads.
 *  Adds to *report. `options` may be NULL. WEFT_OK also when checks failed; an error only when
 *  checking was impossible (no memory, no samples). */
weft_status weft_gradcheck(const weft_op *op, const weft_gradcheck_options *options,
                           weft_gradcheck_report *report) WEFT_MUST_CHECK;

#endif
