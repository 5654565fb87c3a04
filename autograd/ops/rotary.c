/**
 * weft_rotary - rotary positions: each pair of channels of a head turns by an angle of the row
 * (Su et al. 2021, equations 14 and 15).
 *
 *     y_a = x_a cos - x_b sin,   y_b = x_a sin + x_b cos
 *
 * for pair i of every head, with sin = angles[n, 2i] and cos = angles[n, 2i+1]. (a, b) is
 * (2i, 2i + 1) as in the paper, or with `halves` (i, i + K/2) as GPT-NeoX and LLaMA have it: the same
 * up to a fixed order of the channels. With the angles of weft_sinusoid(rows, K) the product of a
 * turned query and a turned key depends on the distance of their positions alone.
 *
 * @param x       [N, H K]; may be columns of a wider product
 * @param angles  [N, K], K even: sines and cosines
 * @param halves  pairs (i, i + K/2)
 * @return        [N, H K]
 *
 * Gradient       the turn back: dx_a = dy_a cos + dy_b sin,   dx_b = dy_b cos - dy_a sin; none by
 *                the angles
 * Errors         WEFT_ERR_SHAPE  columns that are no heads of width K, an odd K, rows that differ
 */
#include "autograd/ops_internal.h"

#include "core/kernel.h"

enum { X, ANGLES, N_IN };

typedef struct rotary_attr {
    bool halves;
} rotary_attr;

static bool infer(weft_call *c)
{
    const weft_tensor *x = &c->in[X], *angles = &c->in[ANGLES];
    if (x->rank != 2 || angles->rank != 2 || x->dim[0] != angles->dim[0])
        return weft_fail(c, WEFT_ERR_SHAPE, "x must be [N, heads * K] and angles [N, K]");
    const int64_t K = angles->dim[1];
    if (K < 2 || K % 2 != 0)
        return weft_fail(c, WEFT_ERR_SHAPE, "a head of width %lld has no pairs: K must be even",
                         (long long)K);
    if (x->dim[1] % K != 0)
        return weft_fail(c, WEFT_ERR_SHAPE, "%lld columns of x are no heads of width %lld",
                         (long long)x->dim[1], (long long)K);
    return weft_out(c, 0, WEFT_REAL, 2, x->dim);
}

/* One row of heads: y (+)= x turned, `forth` by the angles, else back. */
WEFT_KERNEL static void turn(int64_t C, int64_t K, bool halves, bool forth, const weft_real *angles,
                             const weft_real *x, bool add, weft_real *y)
{
    const int64_t step = halves ? 1 : 2, to_b = halves ? K / 2 : 1;
    const weft_real sign = forth ? 1 : -1;
    for (int64_t h = 0; h < C; h += K) {
#pragma omp simd
        for (int64_t i = 0; i < K / 2; i++) {
            const int64_t a = h + i * step, b = a + to_b;
            const weft_real sine = sign * angles[2 * i], cosine = angles[2 * i + 1];
            const weft_real y_a = x[a] * cosine - x[b] * sine, y_b = x[a] * sine + x[b] * cosine;
            y[a] = add ? y[a] + y_a : y_a;
            y[b] = add ? y[b] + y_b : y_b;
        }
    }
}

static void forward(const weft_call *c)
{
    const rotary_attr *attr = c->attr;
    const weft_tensor *x = &c->in[X], *angles = &c->in[ANGLES], *y = &c->out[0];
    const int64_t N = x->dim[0], C = x->dim[1], K = angles->dim[1];
#pragma omp parallel for schedule(static) num_threads(weft_team(N, 4 * N * C))
    for (int64_t n = 0; n < N; n++)
        turn(C, K, attr->halves, true, angles->real + n * angles->ld, x->real + n * x->ld, false,
             y->real + n * y->ld);
}

static void backward(const weft_call *c)
{
    const rotary_attr *attr = c->attr;
    const weft_tensor *dx = &c->din[X], *angles = &c->in[ANGLES], *dy = &c->dout[0];
    const int64_t N = dx->dim[0], C = dx->dim[1], K = angles->dim[1];
#pragma omp parallel for schedule(static) num_threads(weft_team(N, 4 * N * C))
    for (int64_t n = 0; n < N; n++)
        turn(C, K, attr->halves, false, angles->real + n * angles->ld, dy->real + n * dy->ld,
             c->add[X], dx->real + n * dx->ld);
}

static void define(weft_rule *r)
{
    weft_tape *t = r->tape;
    const weft_tensor x = weft_shape(t, r->in[X]), angles = weft_shape(t, r->in[ANGLES]);
    const int64_t N = x.dim[0], K = angles.dim[1], H = x.dim[1] / K;
    const bool halves = ((const rotary_attr *)r->attr)->halves;
    const int axis = halves ? 2 : 3; /* of a and b */
    const weft_var pairs = halves ? weft_reshape(t, r->in[X], WEFT_DIMS(N, H, 2, K / 2))
                                  : weft_reshape(t, r->in[X], WEFT_DIMS(N, H, K / 2, 2));
    const weft_var a = weft_slice(t, pairs, axis, 0, 1), b = weft_slice(t, pairs, axis, 1, 2);
    const weft_var both = weft_reshape(t, r->in[ANGLES], WEFT_DIMS(N, 1, K / 2, 2));
    weft_var sine = weft_slice(t, both, 3, 0, 1), cosine = weft_slice(t, both, 3, 1, 2);
    if (halves) {
        sine = weft_reshape(t, sine, WEFT_DIMS(N, 1, 1, K / 2));
        cosine = weft_reshape(t, cosine, WEFT_DIMS(N, 1, 1, K / 2));
    }
    const weft_var y[] = { weft_sub(t, weft_mul(t, a, cosine), weft_mul(t, b, sine)),
                           weft_add(t, weft_mul(t, a, sine), weft_mul(t, b, cosine)) };
    r->result[0] = weft_reshape(t, weft_concat(t, 2, y, axis), WEFT_DIMS(N, H * K));
}

static weft_var angles_of(weft_tape *t, int64_t N, int64_t K)
{
    return weft_sinusoid(t, weft_sample_int(t, 0, 50, WEFT_DIMS(N, 2)), K, NULL);
}

static weft_var sample(weft_tape *t, int i)
{
    static const int64_t N[] = { 1, 5, 3, 2, 4, 7 }, H[] = { 1, 2, 3, 1, 4, 2 },
                         K[] = { 2, 4, 6, 34, 2, 16 };
    if (i < 12) {
        const int s = i / 2;
        return weft_rotary(t, weft_sample_normal(t, WEFT_DIMS(N[s], H[s] * K[s])),
                           angles_of(t, N[s], K[s]), i % 2 == 1);
    }
    const weft_var angles = angles_of(t, 5, 6);
    switch (i) {
    case 12: return weft_rotary(t, weft_sample_strided(t, WEFT_DIMS(5, 12)), angles, false);
    case 13: return weft_rotary(t, weft_sample_strided(t, WEFT_DIMS(5, 12)), angles, true);
    case 14: { /* queries and keys of one product, as attention has them */
        const weft_var qkv = weft_sample_normal(t, WEFT_DIMS(5, 24));
        const weft_var q = weft_rotary(t, weft_slice(t, qkv, 1, 0, 12), angles, true),
                       k = weft_rotary(t, weft_slice(t, qkv, 1, 12, 18), angles, true);
        return weft_matmul_t(t, weft_slice(t, q, 1, 0, 6), false, k, true);
    }
    case 15: { /* one value turned twice */
        const weft_var x = weft_sample_normal(t, WEFT_DIMS(5, 6));
        return weft_mul(t, weft_rotary(t, x, angles, false), weft_rotary(t, x, angles, true));
    }
    default: return WEFT_NIL;
    }
}

static weft_var misuse(weft_tape *t, int i)
{
    const weft_var x = weft_sample_normal(t, WEFT_DIMS(5, 6));
    switch (i) {
    case 0: return weft_rotary(t, x, weft_sample_normal(t, WEFT_DIMS(4, 6)), false);
    case 1: return weft_rotary(t, x, weft_sample_normal(t, WEFT_DIMS(5, 3)), false);
    case 2: return weft_rotary(t, x, weft_sample_normal(t, WEFT_DIMS(5, 4)), false);
    case 3: return weft_rotary(t, weft_sample_normal(t, WEFT_DIMS(6)), angles_of(t, 1, 6), false);
    default: return WEFT_NIL;
    }
}

const weft_op weft_op_rotary = { .name = "rotary",
                                 .inputs = "x angles",
                                 .n_in = N_IN,
                                 .constant = 1 << ANGLES,
                                 .strided = 1 << X | 1 << ANGLES,
                                 .infer = infer,
                                 .forward = forward,
                                 .backward = backward,
                                 .define = define,
                                 .sample = sample,
                                 .misuse = misuse };

weft_var weft_rotary(weft_tape *tape, weft_var x, weft_var angles, bool halves)
{
    const rotary_attr attr = { halves };
    return weft_apply1(tape, &weft_op_rotary, N_IN, (weft_var[]){ x, angles }, &attr, sizeof attr);
}
