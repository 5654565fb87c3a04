/**
 * weft_recurrent - a recurrent layer over packed sentences, all its time steps in one operation.
 *
 * From the input x_t of a token and the state before it, with U = weight and b = bias,
 *
 *     tanh        h_t = tanh(x_t + U h_{t-1} + b)
 *     LSTM        i, f, g, o = the four D-wide parts of x_t + U h_{t-1} + b;
 *                 c_t = sigma(f) c_{t-1} + sigma(i) tanh(g),   h_t = sigma(o) tanh(c_t)
 *     GRU         r, z = sigma(the first two parts of x_t + U h_{t-1} + b),
 *                 n = tanh(x_n + r (U_n h_{t-1} + b_n)),   h_t = (1 - z) n + z h_{t-1}
 *     GRU_BEFORE  the same with n = tanh(x_n + U_n (r h_{t-1}) + b_n)
 *
 * Parts stand in the order of PyTorch's nn.LSTM and nn.GRU. x is what a linear layer has made of the
 * tokens (W x + its bias). Sentences are those of spec->offsets.
 *
 * @param x       [N, P D], P = 1, 4, 3, 3
 * @param weight  [P D, D]
 * @param bias    [P D] or WEFT_NIL
 * @param spec    cell; offsets int32 [B+1] (WEFT_NIL: one sentence); state [B, S D] (WEFT_NIL: 0)
 * @return        [N, S D], the state after each token: h, and behind it c of an LSTM (S = 2, else 1).
 *                Its last row of a sentence is the state to go on from.
 *
 * Gradient       backpropagation through time, whole: formulas in recurrent_cell.c
 * Errors         WEFT_ERR_SHAPE; WEFT_ERR_RANGE  no such cell; offsets that do not rise from 0 to N
 * Saved          the gates (LSTM, GRU 4 N D; GRU_BEFORE 3 N D; tanh nothing)
 * Limit          a product [sentences, D] x [D, P D] a time step: latency for short batches
 */
#include "autograd/packed_internal.h"
#include "autograd/recurrent_internal.h"

#include "core/checked.h"

#include <string.h>

enum { X, WEIGHT, BIAS, OFFSETS, STATE, N_INPUTS };

typedef struct recurrent_attr {
    weft_cell cell;
} recurrent_attr;

/* Sizes, in elements. */
typedef struct sizes {
    weft_cell cell;
    int64_t B, N, D, P, S, G; /* P, S, G: of a row of x, of the state, of what is saved */
} sizes;

static sizes sizes_of(const weft_call *c)
{
    const weft_cell cell = ((const recurrent_attr *)c->attr)->cell;
    const int64_t D = c->in[WEIGHT].dim[1];
    return (sizes){ .cell = cell,
                    .B = c->in[OFFSETS].rank < 0 ? 1 : c->in[OFFSETS].dim[0] - 1,
                    .N = c->in[X].dim[0],
                    .D = D,
                    .P = weft_cell_inputs(cell) * D,
                    .S = weft_cell_state(cell) * D,
                    .G = weft_cell_saved(cell) * D };
}

/* ---- time ------------------------------------------------------------------------------------- */

/* Rows by time: those of step t are row[start[t]] .. row[start[t+1] - 1], one of each sentence that
 * is so long, in the order of sentences. */
typedef struct times {
    int64_t n_steps;
    int32_t *start, *row, *sentence;
} times;

static size_t times_bytes(const sizes *s) { return (size_t)(3 * s->N + 1) * sizeof(int32_t); }

static times times_of(const weft_call *c, const sizes *s, void *memory)
{
    const int32_t whole[] = { 0, (int32_t)s->N };
    const int32_t *offsets = c->in[OFFSETS].rank < 0 ? whole : c->in[OFFSETS].i32;
    times t = { .start = memory };
    t.row = t.start + s->N + 1;
    t.sentence = t.row + s->N;
    t.start[0] = 0;
    for (int32_t j = 0; j < s->N; t.start[++t.n_steps] = j)
        for (int64_t b = 0; b < s->B; b++) {
            if (offsets[b] + t.n_steps >= offsets[b + 1]) continue;
            t.row[j] = offsets[b] + (int32_t)t.n_steps;
            t.sentence[j++] = (int32_t)b;
        }
    return t;
}

/* The state before row j of step t, [S]; `zeros` where there is none. */
static const weft_real *state_before(const weft_call *c, const sizes *s, const times *t,
                                     int64_t step, int64_t j, const weft_real *zeros)
{
    if (step > 0) return c->out[0].real + (t->row[j] - 1) * s->S;
    const weft_tensor *state = &c->in[STATE];
    return state->rank < 0 ? zeros : state->real + t->sentence[j] * s->S;
}

/* The workspace: times, then reals. */
typedef struct workspace {
    times t;
    weft_real *zeros;          /* [S] */
    weft_real *hidden, *gated; /* h before, r h: forward of a step, backward of all: [.., D] */
    weft_real *product;        /* forward: of a step [B, P] */
    weft_real *saved;          /* forward of a tape that does not record: of a step [B, G] */
    weft_real *dproduct;       /* backward: of all [N, P] */
    weft_real *carry;          /* backward: [B, S] */
    weft_real *through;        /* backward: what comes through a product, of a step [B, D] */
} workspace;

static bool infer(weft_call *c)
{
    const recurrent_attr *a = c->attr;
    const weft_tensor *x = &c->in[X], *weight = &c->in[WEIGHT], *bias = &c->in[BIAS],
                      *state = &c->in[STATE];
    if (a->cell > WEFT_CELL_GRU_BEFORE)
        return weft_fail(c, WEFT_ERR_RANGE, "no cell has number %d", (int)a->cell);
    const long long P = weft_cell_inputs(a->cell);
    if (x->rank != 2 || weight->rank != 2)
        return weft_fail(c, WEFT_ERR_SHAPE, "x must be [N, %lld D], weight [%lld D, D]", P, P);
    const sizes s = sizes_of(c);
    if (weight->dim[0] != s.P || x->dim[1] != s.P)
        return weft_fail(c, WEFT_ERR_SHAPE, "for D = %lld x must be [N, %lld], weight [%lld, %lld]",
                         (long long)s.D, (long long)s.P, (long long)s.P, (long long)s.D);
    if (bias->rank >= 0 && (bias->rank != 1 || bias->dim[0] != s.P))
        return weft_fail(c, WEFT_ERR_SHAPE, "bias must be [%lld]", (long long)s.P);
    if (!weft_packed_check(c, OFFSETS, "offsets", s.N)) return false;
    if (state->rank >= 0 && (state->rank != 2 || state->dim[0] != s.B || state->dim[1] != s.S))
        return weft_fail(c, WEFT_ERR_SHAPE, "state must be [%lld, %lld]", (long long)s.B,
                         (long long)s.S);
    if (!weft_out(c, 0, WEFT_REAL, WEFT_DIMS(s.N, s.S))) return false;
    const int64_t most = s.B < s.N ? s.B : s.N; /* rows of a step */
    const size_t real = sizeof(weft_real), head = times_bytes(&s) + WEFT_ALIGN + (size_t)s.S * real;
    c->scratch_bytes = head + (size_t)(most * (2 * s.D + s.P + s.G)) * real;
    c->backward_scratch_bytes =
        head + (size_t)(s.N * (2 * s.D + s.P) + s.B * s.S + most * s.D) * real;
    return s.G == 0 || weft_save(c, 0, WEFT_REAL, s.N * s.G);
}

static workspace workspace_of(const weft_call *c, const sizes *s, bool backward)
{
    const int64_t most = s->B < s->N ? s->B : s->N, R = backward ? s->N : most;
    const size_t after = (times_bytes(s) + WEFT_ALIGN - 1) / WEFT_ALIGN * WEFT_ALIGN;
    workspace w = { .t = times_of(c, s, c->scratch) };
    w.zeros = (void *)((char *)c->scratch + after);
    memset(w.zeros, 0, (size_t)s->S * sizeof *w.zeros);
    w.hidden = w.zeros + s->S;
    w.gated = w.hidden + R * s->D;
    w.product = w.dproduct = w.gated + R * s->D;
    w.saved = w.carry = w.product + R * s->P;
    w.through = w.carry + s->B * s->S;
    return w;
}

/* y [R, C] (+)= x [R, K] op(U), for C or K from row `first` of the weight on. */
static void multiply(const weft_call *c, int64_t R, const weft_real *x, int64_t ldx, int64_t K,
                     int64_t first, int64_t C, bool transposed, weft_real *y, int64_t ldy)
{
    const weft_tensor *weight = &c->in[WEIGHT];
    weft_gemm(&(weft_gemm_args){ .trans_b = transposed,
                                 .M = R,
                                 .N = C,
                                 .K = K,
                                 .alpha = 1,
                                 .A = x,
                                 .lda = ldx,
                                 .B = weight->real + first * weight->ld,
                                 .ldb = weight->ld,
                                 .C = y,
                                 .ldc = ldy });
}

/* ---- forward ---------------------------------------------------------------------------------- */

static void add_bias(const weft_call *c, int64_t from, int64_t to, weft_real *row)
{
    if (c->in[BIAS].rank < 0) return;
    const weft_real *bias = c->in[BIAS].real;
    for (int64_t k = from; k < to; k++) row[k] += bias[k];
}

static weft_cell_row forward_row(const weft_call *c, const sizes *s, const workspace *w,
                                 int64_t step, int64_t i)
{
    const int64_t j = w->t.start[step] + i, row = w->t.row[j];
    weft_real *saved = c->saved[0].data ? c->saved[0].real + j * s->G : w->saved + i * s->G;
    return (weft_cell_row){ .x = c->in[X].real + row * c->in[X].ld,
                            .prev = state_before(c, s, &w->t, step, j, w->zeros),
                            .product = w->product + i * s->P,
                            .y = c->out[0].real + row * s->S,
                            .saved = saved,
                            .gated = w->gated + i * s->D };
}

static void forward_step(const weft_call *c, const sizes *s, const workspace *w, int64_t step)
{
    const int64_t D = s->D, first = w->t.start[step], n = w->t.start[step + 1] - first;
    const bool before = s->cell == WEFT_CELL_GRU_BEFORE;
    const int64_t C = before ? 2 * D : s->P; /* of the first product */
    for (int64_t i = 0; i < n; i++)
        memcpy(w->hidden + i * D, state_before(c, s, &w->t, step, first + i, w->zeros),
               (size_t)D * sizeof(weft_real));
    multiply(c, n, w->hidden, D, D, 0, C, true, w->product, s->P);
#pragma omp parallel for schedule(static) num_threads(weft_team(n, 16 * n * s->P))
    for (int64_t i = 0; i < n; i++) {
        const weft_cell_row row = forward_row(c, s, w, step, i);
        add_bias(c, 0, C, w->product + i * s->P);
        weft_cell_forward(s->cell, D, &row);
    }
    if (!before) return;
    multiply(c, n, w->gated, D, D, 2 * D, D, true, w->product + 2 * D, s->P);
#pragma omp parallel for schedule(static) num_threads(weft_team(n, 16 * n * D))
    for (int64_t i = 0; i < n; i++) {
        const weft_cell_row row = forward_row(c, s, w, step, i);
        add_bias(c, 2 * D, 3 * D, w->product + i * s->P);
        weft_cell_finish(D, &row);
    }
}

static void forward(const weft_call *c)
{
    const sizes s = sizes_of(c);
    const workspace w = workspace_of(c, &s, false);
    for (int64_t step = 0; step < w.t.n_steps; step++) forward_step(c, &s, &w, step);
}

/* ---- backward --------------------------------------------------------------------------------- */

static weft_cell_row backward_row(const weft_call *c, const sizes *s, const workspace *w,
                                  int64_t step, int64_t i)
{
    const int64_t j = w->t.start[step] + i, row = w->t.row[j];
    const weft_tensor *dx = &c->din[X];
    return (weft_cell_row){ .prev = state_before(c, s, &w->t, step, j, w->zeros),
                            .y = c->out[0].real + row * s->S,
                            .saved = s->G > 0 ? c->saved[0].real + j * s->G : NULL,
                            .gated = w->gated + j * s->D,
                            .dy = c->dout[0].real + row * s->S,
                            .carry = w->carry + w->t.sentence[j] * s->S,
                            .dproduct = w->dproduct + j * s->P,
                            .dgated = w->through + i * s->D,
                            .dx = dx->data ? dx->real + row * dx->ld : NULL,
                            .add = c->add[X] };
}

static void backward_step(const weft_call *c, const sizes *s, const workspace *w, int64_t step)
{
    const int64_t D = s->D, P = s->P, first = w->t.start[step], n = w->t.start[step + 1] - first;
    const bool before = s->cell == WEFT_CELL_GRU_BEFORE;
    weft_real *dproduct = w->dproduct + first * P;
#pragma omp parallel for schedule(static) num_threads(weft_team(n, 16 * n * P))
    for (int64_t i = 0; i < n; i++) {
        const weft_cell_row row = backward_row(c, s, w, step, i);
        memcpy(w->hidden + (first + i) * D, row.prev, (size_t)D * sizeof(weft_real));
        weft_cell_backward(s->cell, D, &row);
    }
    if (before) {
        multiply(c, n, dproduct + 2 * D, P, D, 2 * D, D, false, w->through, D);
#pragma omp parallel for schedule(static) num_threads(weft_team(n, 16 * n * D))
        for (int64_t i = 0; i < n; i++) {
            const weft_cell_row row = backward_row(c, s, w, step, i);
            weft_cell_finish_backward(D, &row);
        }
    }
    multiply(c, n, dproduct, P, before ? 2 * D : P, 0, D, false, w->through, D);
    for (int64_t i = 0; i < n; i++) {
        weft_real *carry = w->carry + w->t.sentence[first + i] * s->S;
        for (int64_t k = 0; k < D; k++) carry[k] += w->through[i * D + k];
    }
}

/* Rows [first, first + C) of dU (+)= dproduct^T x. */
static void weight_gradient(const weft_call *c, const sizes *s, const workspace *w, int64_t first,
                            int64_t C, const weft_real *x)
{
    const weft_tensor *dweight = &c->din[WEIGHT];
    weft_gemm(&(weft_gemm_args){ .trans_a = true,
                                 .M = C,
                                 .N = s->D,
                                 .K = s->N,
                                 .alpha = 1,
                                 .A = w->dproduct + first,
                                 .lda = s->P,
                                 .B = x,
                                 .ldb = s->D,
                                 .beta = c->add[WEIGHT],
                                 .C = dweight->real + first * dweight->ld,
                                 .ldc = dweight->ld });
}

static void bias_gradient(const weft_call *c, const sizes *s, const workspace *w)
{
    weft_real *dbias = c->din[BIAS].real;
#pragma omp parallel for schedule(static) num_threads(weft_team(s->P, s->N * s->P))
    for (int64_t k = 0; k < s->P; k++) {
        double sum = 0;
        for (int64_t j = 0; j < s->N; j++) sum += (double)w->dproduct[j * s->P + k];
        dbias[k] = c->add[BIAS] ? dbias[k] + (weft_real)sum : (weft_real)sum;
    }
}

static void state_gradient(const weft_call *c, const sizes *s, const workspace *w)
{
    const weft_tensor *dstate = &c->din[STATE];
    for (int64_t b = 0; b < s->B; b++)
        for (int64_t k = 0; k < s->S; k++) {
            const weft_real d = w->carry[b * s->S + k];
            weft_real *to = dstate->real + b * dstate->ld + k;
            *to = c->add[STATE] ? *to + d : d;
        }
}

static void backward(const weft_call *c)
{
    const sizes s = sizes_of(c);
    const workspace w = workspace_of(c, &s, true);
    memset(w.carry, 0, (size_t)(s.B * s.S) * sizeof *w.carry);
    for (int64_t step = w.t.n_steps - 1; step >= 0; step--) backward_step(c, &s, &w, step);
    if (c->din[WEIGHT].data && s.cell == WEFT_CELL_GRU_BEFORE) {
        weight_gradient(c, &s, &w, 0, 2 * s.D, w.hidden);
        weight_gradient(c, &s, &w, 2 * s.D, s.D, w.gated);
    } else if (c->din[WEIGHT].data) {
        weight_gradient(c, &s, &w, 0, s.P, w.hidden);
    }
    if (c->din[BIAS].data) bias_gradient(c, &s, &w);
    if (c->din[STATE].data) state_gradient(c, &s, &w);
}

/* ---- the definition: one token after the other -------------------------------------------------- */

static void define(weft_rule *r)
{
    weft_tape *t = r->tape;
    const weft_cell cell = ((const recurrent_attr *)r->attr)->cell;
    const int64_t N = weft_shape(t, r->in[X]).dim[0], D = weft_shape(t, r->in[WEIGHT]).dim[1],
                  S = weft_cell_state(cell) * D;
    const bool whole = weft_is_nil(r->in[OFFSETS]) || weft_tape_flags(t) & WEFT_DRY;
    const int32_t *offsets = whole ? NULL : weft_value(t, r->in[OFFSETS]).i32;
    const int64_t B = whole ? 1 : weft_shape(t, r->in[OFFSETS]).dim[0] - 1;
    weft_var *states = weft_alloc((size_t)N + 1, sizeof *states);
    if (!states) {
        weft_tape_fail(t, WEFT_ERR_MEMORY, "%s", weft_message());
        return;
    }
    states[N] = weft_full(t, WEFT_DIMS(0, S), 0); /* for N = 0 */
    for (int64_t b = 0; b < B; b++) {
        weft_var state = weft_is_nil(r->in[STATE]) ? weft_full(t, WEFT_DIMS(1, S), 0)
                                                   : weft_slice(t, r->in[STATE], 0, b, b + 1);
        const int64_t end = whole ? N : offsets[b + 1];
        for (int64_t n = whole ? 0 : offsets[b]; n < end; n++)
            states[n] = state = weft_cell_define(t, cell, D, weft_slice(t, r->in[X], 0, n, n + 1),
                                                 state, r->in[WEIGHT], r->in[BIAS]);
    }
    r->result[0] = weft_concat(t, (int)N + 1, states, 0);
    weft_free(states);
}

/* ---- tests ------------------------------------------------------------------------------------- */

static weft_var with(weft_tape *t, weft_cell cell, int64_t D, weft_var x, bool bias,
                     const int32_t *offsets, int64_t B, bool state)
{
    const int64_t P = weft_cell_inputs(cell) * D, S = weft_cell_state(cell) * D;
    const weft_var weight = weft_sample_uniform(t, -1, 1, WEFT_DIMS(P, D));
    const weft_recurrent_spec spec = {
        .cell = cell,
        .offsets = offsets ? weft_constant_int(t, WEFT_DIMS(B + 1), offsets) : WEFT_NIL,
        .state = state ? weft_sample_normal(t, WEFT_DIMS(B, S)) : WEFT_NIL
    };
    return weft_recurrent(t, x, weight, bias ? weft_sample_normal(t, WEFT_DIMS(P)) : WEFT_NIL,
                          &spec);
}

static weft_var sample(weft_tape *t, int i)
{
    enum { N_EACH = 5 };
    static const int32_t ragged[] = { 0, 3, 3, 4, 9 }, /* the second sentence is empty */
        one_each[] = { 0, 1, 2, 3 };
    if (i >= 4 * N_EACH) return WEFT_NIL;
    const weft_cell cell = (weft_cell)(i / N_EACH);
    const int64_t P = weft_cell_inputs(cell);
    switch (i % N_EACH) {
    case 0: /* twenty steps */
        return with(t, cell, 3, weft_sample_normal(t, WEFT_DIMS(20, 3 * P)), true, NULL, 1, false);
    case 1:
        return with(t, cell, 4, weft_sample_normal(t, WEFT_DIMS(9, 4 * P)), false, ragged, 4, true);
    case 2:
        return with(t, cell, 2, weft_sample_strided(t, WEFT_DIMS(9, 2 * P)), true, ragged, 4,
                    false);
    case 3:
        return with(t, cell, 5, weft_sample_normal(t, WEFT_DIMS(3, 5 * P)), true, one_each, 3,
                    true);
    default:
        return with(t, cell, 1, weft_sample_uniform(t, -4, 4, WEFT_DIMS(2, P)), true, NULL, 1,
                    true);
    }
}

static weft_var misuse(weft_tape *t, int i)
{
    static const int32_t fall[] = { 0, 4, 2, 6 }, good[] = { 0, 2, 6 };
    const weft_var x = weft_sample_normal(t, WEFT_DIMS(6, 8)),
                   weight = weft_sample_normal(t, WEFT_DIMS(8, 2)),
                   bias = weft_sample_normal(t, WEFT_DIMS(2));
    weft_recurrent_spec spec = { .cell = WEFT_CELL_LSTM,
                                 .offsets = weft_constant_int(t, WEFT_DIMS(3), good) };
    switch (i) {
    case 0: spec.cell = (weft_cell)9; return weft_recurrent(t, x, weight, WEFT_NIL, &spec);
    case 1: return weft_recurrent(t, bias, weight, WEFT_NIL, &spec);
    case 2: spec.cell = WEFT_CELL_GRU; return weft_recurrent(t, x, weight, WEFT_NIL, &spec);
    case 3: return weft_recurrent(t, weight, weight, WEFT_NIL, &spec);
    case 4: return weft_recurrent(t, x, weight, bias, &spec);
    case 5:
        spec.offsets = weft_constant_int(t, WEFT_DIMS(4), fall);
        return weft_recurrent(t, x, weight, WEFT_NIL, &spec);
    case 6:
        spec.offsets = weft_constant_int(t, WEFT_DIMS(2), good);
        return weft_recurrent(t, x, weight, WEFT_NIL, &spec);
    case 7:
        spec.offsets = weft_constant_int(t, WEFT_DIMS(3, 1), good);
        return weft_recurrent(t, x, weight, WEFT_NIL, &spec);
    case 8:
        spec.state = weft_sample_normal(t, WEFT_DIMS(2, 2));
        return weft_recurrent(t, x, weight, WEFT_NIL, &spec);
    case 9: return weft_recurrent(t, x, weight, WEFT_NIL, NULL);
    default: return WEFT_NIL;
    }
}

const weft_op weft_op_recurrent = { .name = "recurrent",
                                    .inputs = "x weight bias offsets state",
                                    .n_in = N_INPUTS,
                                    .integer = 1 << OFFSETS,
                                    .optional = 1 << BIAS | 1 << OFFSETS | 1 << STATE,
                                    .strided = 1 << X | 1 << WEIGHT,
                                    .infer = infer,
                                    .forward = forward,
                                    .backward = backward,
                                    .define = define,
                                    .sample = sample,
                                    .misuse = misuse };

weft_var weft_recurrent(weft_tape *tape, weft_var x, weft_var weight, weft_var bias,
                        const weft_recurrent_spec *spec)
{
    if (!spec) {
        weft_tape_fail(tape, WEFT_ERR_STATE, "recurrent: no spec, which says what cell");
        return WEFT_NIL;
    }
    const recurrent_attr attr = { spec->cell };
    return weft_apply1(tape, &weft_op_recurrent, N_INPUTS,
                       (weft_var[]){ x, weight, bias, spec->offsets, spec->state }, &attr,
                       sizeof attr);
}
