/**
 * weft_glu - a gated linear unit: one half of the columns times a function of the other (Dauphin et al.
 * 2017; Shazeer 2020 for the functions).
 *
 *     y = a f(b),   [a, b] = x
 *
 * with the halves in the order of nn.functional.glu. f sigmoid gives GLU, relu ReGLU, GELU GEGLU, SiLU
 * SwiGLU, the identity the bilinear form.
 *
 * @param x  [.., 2F]
 * @param f  any activation
 * @return   [.., F]
 *
 * Gradient  da = dy f(b),   db = dy a f'(b)
 * Errors    WEFT_ERR_SHAPE  a last dimension that is odd or missing;  WEFT_ERR_RANGE  f
 */
#include "autograd/fused_internal.h"

#include "core/kernel.h"

#include <string.h>

enum { CHUNK = 256 };

typedef struct glu_attr {
    weft_activation f;
} glu_attr;

static bool infer(weft_call *c)
{
    const weft_tensor *x = &c->in[0];
    int64_t dim[WEFT_MAX_RANK];
    if (x->rank < 1 || weft_cols(x) % 2 != 0)
        return weft_fail(c, WEFT_ERR_SHAPE, "the last dimension must be even: two halves");
    memcpy(dim, x->dim, sizeof dim);
    dim[x->rank - 1] /= 2;
    const weft_activation f = ((const glu_attr *)c->attr)->f;
    if (f < WEFT_IDENTITY || f > WEFT_LOGISTIC)
        return weft_fail(c, WEFT_ERR_RANGE, "no activation has number %d", (int)f);
    return weft_out(c, 0, WEFT_REAL, x->rank, dim);
}

WEFT_KERNEL static void multiply(int64_t n, const weft_real *a, weft_real *y)
{
    for (int64_t k = 0; k < n; k++) y[k] *= a[k];
}

static void forward(const weft_call *c)
{
    const weft_tensor *x = &c->in[0];
    const int64_t R = weft_rows(x), F = weft_cols(&c->out[0]);
    const weft_activation f = ((const glu_attr *)c->attr)->f;
#pragma omp parallel for schedule(static) num_threads(weft_team(R, 16 * R * F))
    for (int64_t r = 0; r < R; r++) {
        const weft_real *a = x->real + r * x->ld, *b = a + F;
        weft_real *y = c->out[0].real + r * F;
        for (int64_t from = 0; from < F; from += CHUNK) {
            const int64_t n = F - from < CHUNK ? F - from : CHUNK;
            weft_activate(f, n, b + from, y + from);
            multiply(n, a + from, y + from);
        }
    }
}

/* value = f(b), slope = f'(b) */
static void at(weft_activation f, int64_t n, const weft_real *b, weft_real *value, weft_real *slope)
{
    if (weft_activation_reads_input(f)) {
        memcpy(value, b, (size_t)n * sizeof *value);
        weft_activate_and_slope(f, n, value, slope);
        return;
    }
    weft_activate(f, n, b, value);
    for (int64_t k = 0; k < n; k++) slope[k] = f == WEFT_IDENTITY || b[k] > 0;
}

WEFT_KERNEL static void gradient(int64_t n, const weft_real *a, const weft_real *value,
                                 const weft_real *slope, const weft_real *dy, bool add,
                                 weft_real *da, weft_real *db)
{
    if (add) {
        for (int64_t k = 0; k < n; k++) da[k] += dy[k] * value[k];
        for (int64_t k = 0; k < n; k++) db[k] += dy[k] * a[k] * slope[k];
    } else {
        for (int64_t k = 0; k < n; k++) da[k] = dy[k] * value[k];
        for (int64_t k = 0; k < n; k++) db[k] = dy[k] * a[k] * slope[k];
    }
}

static void backward(const weft_call *c)
{
    const weft_tensor *x = &c->in[0], *dx = &c->din[0];
    const int64_t R = weft_rows(x), F = weft_cols(&c->out[0]);
    const weft_activation f = ((const glu_attr *)c->attr)->f;
#pragma omp parallel for schedule(static) num_threads(weft_team(R, 16 * R * F))
    for (int64_t r = 0; r < R; r++) {
        const weft_real *a = x->real + r * x->ld, *dy = c->dout[0].real + r * F;
        weft_real *da = dx->real + r * dx->ld, value[CHUNK], slope[CHUNK];
        for (int64_t from = 0; from < F; from += CHUNK) {
            const int64_t n = F - from < CHUNK ? F - from : CHUNK;
            at(f, n, a + F + from, value, slope);
            gradient(n, a + from, value, slope, dy + from, c->add[0], da + from, da + F + from);
        }
    }
}

static void define(weft_rule *r)
{
    weft_tape *t = r->tape;
    const weft_tensor x = weft_shape(t, r->in[0]);
    const int64_t F = weft_cols(&x) / 2;
    const int last = x.rank - 1;
    const weft_var a = weft_slice(t, r->in[0], last, 0, F),
                   b = weft_slice(t, r->in[0], last, F, 2 * F);
    r->result[0] = weft_mul(t, a, weft_activation_apply(t, ((const glu_attr *)r->attr)->f, b));
}

static weft_var sample(weft_tape *t, int i)
{
    static const weft_activation f[] = { WEFT_IDENTITY,  WEFT_RELU, WEFT_GELU,
                                         WEFT_GELU_TANH, WEFT_SILU, WEFT_LOGISTIC };
    if (i < 6) return weft_glu(t, weft_sample_normal(t, WEFT_DIMS(5, 6)), f[i]);
    switch (i) {
    case 6: return weft_glu(t, weft_sample_strided(t, WEFT_DIMS(4, 10)), WEFT_SILU);
    case 7: return weft_glu(t, weft_sample_normal(t, WEFT_DIMS(2, 3, 2)), WEFT_SILU);
    case 8: return weft_glu(t, weft_sample_normal(t, WEFT_DIMS(2, 2 * CHUNK + 14)), WEFT_GELU);
    case 9: return weft_glu(t, weft_sample_uniform(t, -5, 5, WEFT_DIMS(8)), WEFT_SILU);
    case 10: {
        const weft_var x = weft_sample_normal(t, WEFT_DIMS(3, 4));
        return weft_mul(t, weft_glu(t, x, WEFT_LOGISTIC), weft_glu(t, x, WEFT_SILU));
    }
    default: return WEFT_NIL;
    }
}

static weft_var misuse(weft_tape *t, int i)
{
    switch (i) {
    case 0: return weft_glu(t, weft_sample_normal(t, WEFT_DIMS(2, 3)), WEFT_SILU);
    case 1: return weft_glu(t, weft_sample_normal(t, 0, NULL), WEFT_SILU);
    case 2: return weft_glu(t, weft_sample_normal(t, WEFT_DIMS(2, 4)), (weft_activation)99);
    default: return WEFT_NIL;
    }
}

const weft_op weft_op_glu = { .name = "glu",
                              .inputs = "x",
                              .n_in = 1,
                              .strided = 1,
                              .infer = infer,
                              .forward = forward,
                              .backward = backward,
                              .define = define,
                              .sample = sample,
                              .misuse = misuse };

weft_var weft_glu(weft_tape *tape, weft_var x, weft_activation f)
{
    const glu_attr attr = { f };
    return weft_apply1(tape, &weft_op_glu, 1, &x, &attr, sizeof attr);
}
