/**
 * weft_linear - affine map of the last dimension, bias, activation and dropout in the product's wake.
 *
 *     z = x W^T + b,   y = f(z) keep
 *
 * weft_linear_dropout is weft_dropout(weft_linear(..)), to the bit where f is ReLU or none; weft_linear keeps all.
 *
 * @param x       [.., K]
 * @param weight  [C, K], as PyTorch's nn.Linear
 * @param bias    [C] or WEFT_NIL
 * @param f       activation
 * @param spec    dropout of f(z), as weft_dropout's
 * @return        [.., C]
 *
 * Gradient       dz = dy keep f'(z);  dx = dz W,  dW = dz^T x,  db = sum of dz over the rows
 * Errors         WEFT_ERR_SHAPE  last dim of x and of W differ, W is no matrix, b does not fit
 *                WEFT_ERR_RANGE  f, p
 * Saved          keep f'(z) where y does not tell it. Of ReLU it does: y > 0 where z > 0 was kept
 * Limit          the products (weft_gemm); all else is one pass over y
 */
#include "autograd/fused_internal.h"

#include "core/kernel.h"

#include <string.h>

typedef struct linear_attr {
    weft_activation f;
    double p;
    uint64_t key;
} linear_attr;

enum { X, WEIGHT, BIAS, ROWS, N_IN };

/* Does y = f(z) keep leave open what dz is? */
static bool saves_slope(const linear_attr *a)
{
    return weft_activation_reads_input(a->f) || (a->p > 0 && a->f != WEFT_RELU);
}

static bool infer(weft_call *c)
{
    const linear_attr *a = c->attr;
    const weft_tensor *x = &c->in[X], *weight = &c->in[WEIGHT], *bias = &c->in[BIAS];
    if (a->f > WEFT_LOGISTIC)
        return weft_fail(c, WEFT_ERR_RANGE, "no activation has number %d", (int)a->f);
    if (x->rank < 1) return weft_fail(c, WEFT_ERR_SHAPE, "x must be [.., K], not a scalar");
    if (weight->rank != 2) return weft_fail(c, WEFT_ERR_SHAPE, "weight must be [C, K]");
    const int64_t C = weight->dim[0], K = weight->dim[1];
    if (weft_cols(x) != K)
        return weft_fail(c, WEFT_ERR_SHAPE,
                         "last dim of x (%lld) must equal last dim of weight (%lld)",
                         (long long)weft_cols(x), (long long)K);
    if (bias->rank >= 0 && (bias->rank != 1 || bias->dim[0] != C))
        return weft_fail(c, WEFT_ERR_SHAPE, "bias must be [%lld], the rows of weight",
                         (long long)C);
    int64_t dim[WEFT_MAX_RANK];
    memcpy(dim, x->dim, sizeof dim);
    dim[x->rank - 1] = C;
    if (!weft_out(c, 0, WEFT_REAL, x->rank, dim)) return false;
    const int64_t size = weft_size(&c->out[0]), R = weft_rows(&c->out[0]);
    if (!weft_check_dropout(c, a->p, &c->in[ROWS], R)) return false;
    if (a->f != WEFT_IDENTITY || a->p > 0)
        c->backward_scratch_bytes = (size_t)size * sizeof(weft_real);
    return c->records && saves_slope(a) ? weft_save(c, 0, WEFT_REAL, size) : true;
}

WEFT_KERNEL static void add_bias(int64_t C, const weft_real *bias, weft_real *z)
{
    for (int64_t k = 0; k < C; k++) z[k] += bias[k];
}

WEFT_KERNEL static void multiply(int64_t n, const weft_real *x, const weft_real *y, weft_real *z)
{
    for (int64_t k = 0; k < n; k++) z[k] = x[k] * y[k];
}

/* Row r of f(z), and of f'(z) where it is saved, times keep. */
static void drop(const weft_call *c, int64_t r, int64_t C, weft_real *y, weft_real *slope)
{
    enum { SPAN = 256 };
    const linear_attr *a = c->attr;
    const uint64_t row = weft_row_key(&c->in[ROWS], r);
    weft_real keep[SPAN];
    for (int64_t from = 0; from < C; from += SPAN) {
        const int64_t n = C - from < SPAN ? C - from : SPAN;
        weft_dropout_span(a->key, row, 0, a->p, from, n, keep);
        multiply(n, y + from, keep, y + from);
        if (slope) multiply(n, slope + from, keep, slope + from);
    }
}

static void forward(const weft_call *c)
{
    const linear_attr *a = c->attr;
    const weft_tensor *x = &c->in[X], *weight = &c->in[WEIGHT], *bias = &c->in[BIAS];
    const int64_t R = weft_rows(x), K = weft_cols(x), C = weight->dim[0];
    weft_real *y = c->out[0].real, *slope = c->saved[0].data ? c->saved[0].real : NULL;
    weft_gemm(&(weft_gemm_args){ .bf16 = weft_products_bf16(c),
                                 .trans_b = true,
                                 .M = R,
                                 .N = C,
                                 .K = K,
                                 .alpha = 1,
                                 .A = x->real,
                                 .lda = x->ld,
                                 .B = weight->real,
                                 .ldb = weight->ld,
                                 .C = y,
                                 .ldc = C });
    if (bias->rank < 0 && a->f == WEFT_IDENTITY && a->p == 0) return;
#pragma omp parallel for schedule(static) num_threads(weft_team(R, 4 * R * C))
    for (int64_t r = 0; r < R; r++) {
        weft_real *row = y + r * C, *of = slope ? slope + r * C : NULL;
        if (bias->rank >= 0) add_bias(C, bias->real, row);
        if (slope)
            weft_activate_and_slope(a->f, C, row, of);
        else
            weft_activate(a->f, C, row, row);
        if (a->p > 0) drop(c, r, C, row, of);
    }
}

/* sum[k] += x[r, k] over the rows: `width` columns, each a chain of its own. */
WEFT_KERNEL static void add_rows(int64_t R, int64_t width, const weft_real *x, int64_t ld,
                                 double *sum)
{
    for (int64_t r = 0; r < R; r++)
        for (int64_t k = 0; k < width; k++) sum[k] += (double)x[r * ld + k];
}

/* dx[c] (+)= sum over the rows of z: threads own columns, each sum runs down the rows. */
static void sum_rows(int64_t R, int64_t C, const weft_real *z, bool add, weft_real *dx)
{
    enum { WIDTH = 64 };
    const int64_t n_tiles = (C + WIDTH - 1) / WIDTH;
#pragma omp parallel for schedule(static) num_threads(weft_team(n_tiles, R *C))
    for (int64_t t = 0; t < n_tiles; t++) {
        const int64_t from = t * WIDTH, width = C - from < WIDTH ? C - from : WIDTH;
        double sum[WIDTH] = { 0 };
        if (width == WIDTH)
            add_rows(R, WIDTH, z + from, C, sum);
        else
            add_rows(R, width, z + from, C, sum);
        for (int64_t k = 0; k < width; k++)
            dx[from + k] = add ? dx[from + k] + (weft_real)sum[k] : (weft_real)sum[k];
    }
}

/* dz of ReLU from y = max(z, 0) keep: where that is above 0, z was, and keep is 1 / (1 - p). */
WEFT_KERNEL static void relu_gradient(int64_t n, const weft_real *y, const weft_real *dy,
                                      weft_real kept, weft_real *dz)
{
    for (int64_t k = 0; k < n; k++) dz[k] = y[k] > 0 ? dy[k] * kept : 0;
}

static void backward(const weft_call *c)
{
    const linear_attr *a = c->attr;
    const weft_tensor *x = &c->in[X], *weight = &c->in[WEIGHT];
    const int64_t R = weft_rows(x), K = weft_cols(x), C = weight->dim[0];
    const weft_real *dz = c->dout[0].real;
    if (a->f != WEFT_IDENTITY || a->p > 0) {
        const weft_real kept = (weft_real)(1 / (1 - a->p));
        weft_real *to = c->scratch;
        const weft_real *slope = c->saved[0].data ? c->saved[0].real : NULL, *y = c->out[0].real;
#pragma omp parallel for schedule(static) num_threads(weft_team(R, 4 * R * C))
        for (int64_t r = 0; r < R; r++) {
            if (slope)
                multiply(C, dz + r * C, slope + r * C, to + r * C);
            else
                relu_gradient(C, y + r * C, dz + r * C, kept, to + r * C);
        }
        dz = to;
    }
    if (c->din[X].data)
        weft_gemm(&(weft_gemm_args){ .bf16 = weft_products_bf16(c),
                                     .M = R,
                                     .N = K,
                                     .K = C,
                                     .alpha = 1,
                                     .A = dz,
                                     .lda = C,
                                     .B = weight->real,
                                     .ldb = weight->ld,
                                     .beta = c->add[X],
                                     .C = c->din[X].real,
                                     .ldc = c->din[X].ld });
    if (c->din[WEIGHT].data)
        weft_gemm(&(weft_gemm_args){ .bf16 = weft_products_bf16(c),
                                     .trans_a = true,
                                     .M = C,
                                     .N = K,
                                     .K = R,
                                     .alpha = 1,
                                     .A = dz,
                                     .lda = C,
                                     .B = x->real,
                                     .ldb = x->ld,
                                     .beta = c->add[WEIGHT],
                                     .C = c->din[WEIGHT].real,
                                     .ldc = c->din[WEIGHT].ld });
    if (c->din[BIAS].data) sum_rows(R, C, dz, c->add[BIAS], c->din[BIAS].real);
}

static void define(weft_rule *r)
{
    const linear_attr *a = r->attr;
    weft_tape *t = r->tape;
    const weft_tensor x = weft_shape(t, r->in[X]);
    weft_var z;
    if (x.rank == 1) { /* a vector is one row */
        const weft_var row = weft_reshape(t, r->in[X], WEFT_DIMS(1, x.dim[0]));
        z = weft_matmul_t(t, row, false, r->in[WEIGHT], true);
        z = weft_reshape(t, z, WEFT_DIMS(-1));
    } else {
        z = weft_matmul_t(t, r->in[X], false, r->in[WEIGHT], true);
    }
    if (!weft_is_nil(r->in[BIAS])) z = weft_add(t, z, r->in[BIAS]);
    r->result[0] =
        weft_dropout_keyed(t, weft_activation_apply(t, a->f, z), r->in[ROWS], a->p, a->key);
}

static weft_var with(weft_tape *t, weft_var x, int64_t C, int64_t K, bool bias, weft_activation f)
{
    const weft_var weight = weft_sample_normal(t, WEFT_DIMS(C, K));
    return weft_linear(t, x, weight, bias ? weft_sample_normal(t, WEFT_DIMS(C)) : WEFT_NIL, f);
}

static weft_var dropping(weft_tape *t, int64_t R, int64_t C, weft_activation f, double p,
                         weft_var rows)
{
    return weft_linear_dropout(
        t, weft_sample_normal(t, WEFT_DIMS(R, 3)), weft_sample_normal(t, WEFT_DIMS(C, 3)),
        weft_sample_normal(t, WEFT_DIMS(C)), f, &(weft_dropout_spec){ .p = p, .rows = rows });
}

static weft_var sample(weft_tape *t, int i)
{
    weft_var x;
    switch (i) {
    case 0: return with(t, weft_sample_normal(t, WEFT_DIMS(4, 3)), 5, 3, true, WEFT_IDENTITY);
    case 1: return with(t, weft_sample_normal(t, WEFT_DIMS(4, 3)), 5, 3, false, WEFT_IDENTITY);
    case 2: return with(t, weft_sample_normal(t, WEFT_DIMS(4, 3)), 5, 3, true, WEFT_RELU);
    case 3: return with(t, weft_sample_normal(t, WEFT_DIMS(4, 3)), 5, 3, true, WEFT_GELU);
    case 4: return with(t, weft_sample_normal(t, WEFT_DIMS(4, 3)), 5, 3, false, WEFT_GELU_TANH);
    case 5: return with(t, weft_sample_normal(t, WEFT_DIMS(4, 3)), 5, 3, true, WEFT_SILU);
    case 6: return with(t, weft_sample_normal(t, WEFT_DIMS(2, 3, 4)), 37, 4, true, WEFT_IDENTITY);
    case 7: return with(t, weft_sample_strided(t, WEFT_DIMS(5, 6)), 4, 6, true, WEFT_RELU);
    case 8: return with(t, weft_sample_normal(t, WEFT_DIMS(3)), 2, 3, true, WEFT_IDENTITY);
    case 9: return with(t, weft_sample_normal(t, WEFT_DIMS(1, 1)), 1, 1, true, WEFT_GELU);
    case 10:
        x = weft_sample_normal(t, WEFT_DIMS(4, 4));
        return weft_linear(t, x, x, WEFT_NIL, WEFT_SILU);
    case 11:
        return with(t, weft_sample_uniform(t, -1e3, 1e3, WEFT_DIMS(3, 2)), 3, 2, true,
                    WEFT_IDENTITY);
    case 12: return with(t, weft_sample_normal(t, WEFT_DIMS(33, 2)), 3, 2, true, WEFT_GELU_TANH);
    case 13: return with(t, weft_sample_normal(t, WEFT_DIMS(4, 3)), 5, 3, true, WEFT_LOGISTIC);
    case 14: return dropping(t, 5, 7, WEFT_RELU, 0.4, WEFT_NIL);
    case 15: return dropping(t, 4, 6, WEFT_GELU, 0.3, weft_sample_int(t, 0, 99, WEFT_DIMS(4, 2)));
    case 16: return dropping(t, 3, 8, WEFT_IDENTITY, 0.5, WEFT_NIL);
    case 17: return dropping(t, 2, 300, WEFT_LOGISTIC, 0.2, WEFT_NIL); /* more than one span */
    case 18: return dropping(t, 3, 4, WEFT_SILU, 0, WEFT_NIL);
    default: return WEFT_NIL;
    }
}

static weft_var misuse(weft_tape *t, int i)
{
    const weft_var x = weft_sample_normal(t, WEFT_DIMS(4, 3));
    switch (i) {
    case 0: return with(t, x, 5, 4, true, WEFT_RELU);
    case 1: return weft_linear(t, x, x, weft_sample_normal(t, WEFT_DIMS(3)), WEFT_RELU);
    case 2: return weft_linear(t, x, weft_sample_normal(t, WEFT_DIMS(3)), WEFT_NIL, WEFT_RELU);
    case 3: return with(t, weft_sample_normal(t, 0, NULL), 2, 1, false, WEFT_IDENTITY);
    case 4: return with(t, x, 5, 3, true, (weft_activation)99);
    case 5: return dropping(t, 4, 5, WEFT_RELU, 1, WEFT_NIL);
    case 6: return dropping(t, 4, 5, WEFT_RELU, 0.1, weft_sample_int(t, 0, 9, WEFT_DIMS(3, 2)));
    case 7: return weft_linear_dropout(t, x, x, WEFT_NIL, WEFT_RELU, NULL);
    default: return WEFT_NIL;
    }
}

const weft_op weft_op_linear = { .name = "linear",
                                 .inputs = "x weight bias rows",
                                 .n_in = N_IN,
                                 .integer = 1 << ROWS,
                                 .optional = 1 << BIAS | 1 << ROWS,
                                 .strided = 1 << X | 1 << WEIGHT,
                                 .infer = infer,
                                 .forward = forward,
                                 .backward = backward,
                                 .define = define,
                                 .sample = sample,
                                 .misuse = misuse };

weft_var weft_linear(weft_tape *tape, weft_var x, weft_var weight, weft_var bias, weft_activation f)
{
    const linear_attr attr = { .f = f };
    return weft_apply1(tape, &weft_op_linear, N_IN, (weft_var[]){ x, weight, bias, WEFT_NIL },
                       &attr, sizeof attr);
}

weft_var weft_linear_dropout(weft_tape *tape, weft_var x, weft_var weight, weft_var bias,
                             weft_activation f, const weft_dropout_spec *spec)
{
    if (!spec) {
        weft_tape_fail(tape, WEFT_ERR_STATE, "linear: no spec, which says how much is dropped");
        return WEFT_NIL;
    }
    const linear_attr attr = { f, spec->p, weft_tape_next_key(tape) };
    return weft_apply1(tape, &weft_op_linear, N_IN, (weft_var[]){ x, weight, bias, spec->rows },
                       &attr, sizeof attr);
}
