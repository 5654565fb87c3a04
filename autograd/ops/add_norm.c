/**
 * weft_add_norm - residual connection, dropout and normalisation in one pass.
 *
 *     s = residual + dropout(x),   y = gain (s - mean) / sqrt(var + eps) + bias
 *
 * over the last dimension (Vaswani et al. 2017, section 5.4: dropout of the sub-layer's output before
 * it is added and normalised). s serves pre-norm models as the new residual stream.
 *
 * @param residual  [.., C] or WEFT_NIL (then s = x, and this is LayerNorm or RMSNorm alone)
 * @param x         [.., C]
 * @param gain      [C]
 * @param bias      [C] or WEFT_NIL
 * @param spec      kind, eps, dropout
 * @param sum       s, [.., C]; NULL where it is not wanted
 * @return          y, [.., C]
 *
 * Gradient         ds = ds' + rstd (g - mean(g) - xhat mean(g xhat)), g = gain dy (normalise.c);
 *                  dresidual = ds, dx = keep ds; dgain = sum of dy xhat, dbias = sum of dy
 * Errors           WEFT_ERR_SHAPE, WEFT_ERR_RANGE  eps or p
 * Saved            mean and rstd of each row
 * Limit            memory: one pass forward, one backward; dgain and dbias by a fixed tree of blocks
 *                  of 64 rows
 */
#include "autograd/fused_internal.h"

#include "core/kernel.h"

#include <string.h>

enum { RESIDUAL, X, GAIN, BIAS, ROWS, N_IN };
enum { SUM, Y };

typedef struct add_norm_attr {
    weft_norm_spec norm;
    double p;
    uint64_t key;
} add_norm_attr;

static int64_t n_blocks(int64_t R) { return (R + WEFT_NORM_BLOCK - 1) / WEFT_NORM_BLOCK; }

static bool infer(weft_call *c)
{
    const add_norm_attr *a = c->attr;
    const weft_tensor *x = &c->in[X], *residual = &c->in[RESIDUAL];
    const int64_t R = weft_rows(x), C = weft_cols(x);
    if (residual->rank >= 0 && !weft_same_shape(residual, x))
        return weft_fail(c, WEFT_ERR_SHAPE, "residual and x must have the same shape");
    if (!weft_check_norm(c, &a->norm, x, &c->in[GAIN], &c->in[BIAS]) ||
        !weft_check_dropout(c, a->p, &c->in[ROWS], R) ||
        !weft_out(c, SUM, WEFT_REAL, x->rank, x->dim) ||
        !weft_out(c, Y, WEFT_REAL, x->rank, x->dim) || !weft_save(c, 0, WEFT_REAL, 2 * R))
        return false;
    /* a row of multipliers for each block; backward also its parts of dgain and dbias */
    c->scratch_bytes = (size_t)(n_blocks(R) * C + 2 * R) * sizeof(weft_real);
    c->backward_scratch_bytes = (size_t)(n_blocks(R) * 4 * C) * sizeof(weft_real);
    return true;
}

WEFT_KERNEL static void add_kept(int64_t C, const weft_real *residual, const weft_real *x,
                                 const weft_real *keep, weft_real *s)
{
    if (residual && keep)
        for (int64_t k = 0; k < C; k++) s[k] = residual[k] + x[k] * keep[k];
    else if (residual)
        for (int64_t k = 0; k < C; k++) s[k] = residual[k] + x[k];
    else if (keep)
        for (int64_t k = 0; k < C; k++) s[k] = x[k] * keep[k];
    else
        memcpy(s, x, (size_t)C * sizeof *s);
}

static void forward(const weft_call *c)
{
    const add_norm_attr *a = c->attr;
    const weft_tensor *x = &c->in[X], *residual = &c->in[RESIDUAL];
    const weft_real *bias = c->in[BIAS].rank >= 0 ? c->in[BIAS].real : NULL;
    const int64_t R = weft_rows(x), C = weft_cols(x), n = n_blocks(R);
    weft_real *keeps = c->scratch;
    weft_real *statistics = c->saved[0].data ? c->saved[0].real : keeps + n * C;
#pragma omp parallel for schedule(static) num_threads(weft_team(n, 16 * R * C))
    for (int64_t b = 0; b < n; b++) {
        weft_real *keep = a->p > 0 ? keeps + b * C : NULL;
        for (int64_t r = b * WEFT_NORM_BLOCK; r < R && r < (b + 1) * WEFT_NORM_BLOCK; r++) {
            weft_real *s = c->out[SUM].real + r * C;
            if (keep) weft_dropout_row(a->key, weft_row_key(&c->in[ROWS], r), 0, a->p, C, keep);
            add_kept(C, residual->rank >= 0 ? residual->real + r * residual->ld : NULL,
                     x->real + r * x->ld, keep, s);
            weft_normalise_row(&a->norm, C, s, c->in[GAIN].real, bias, c->out[Y].real + r * C,
                               &statistics[2 * r], &statistics[2 * r + 1]);
        }
    }
}

WEFT_KERNEL static void add_rows(int64_t C, const weft_real *x, weft_real *y)
{
    for (int64_t k = 0; k < C; k++) y[k] += x[k];
}

/* dx (+)= ds keep */
WEFT_KERNEL static void hand_on(int64_t C, const weft_real *ds, const weft_real *keep, bool add,
                                weft_real *dx)
{
    if (keep && add)
        for (int64_t k = 0; k < C; k++) dx[k] += ds[k] * keep[k];
    else if (keep)
        for (int64_t k = 0; k < C; k++) dx[k] = ds[k] * keep[k];
    else if (add)
        add_rows(C, ds, dx);
    else
        memcpy(dx, ds, (size_t)C * sizeof *dx);
}

static void backward_row(const weft_call *c, int64_t r, weft_real *ds, weft_real *keep,
                         weft_real *dgain, weft_real *dbias)
{
    const add_norm_attr *a = c->attr;
    const int64_t C = weft_cols(&c->in[X]);
    const weft_real *statistics = c->saved[0].real;
    if (c->dout[Y].data)
        weft_normalise_row_gradient(&a->norm, C, c->out[SUM].real + r * C, c->in[GAIN].real,
                                    statistics[2 * r], statistics[2 * r + 1],
                                    c->dout[Y].real + r * C, ds, dgain, dbias);
    else
        memset(ds, 0, (size_t)C * sizeof *ds);
    if (c->dout[SUM].data) add_rows(C, c->dout[SUM].real + r * C, ds);
    const weft_tensor *dx = &c->din[X], *dresidual = &c->din[RESIDUAL];
    if (dx->data) {
        if (a->p > 0) weft_dropout_row(a->key, weft_row_key(&c->in[ROWS], r), 0, a->p, C, keep);
        hand_on(C, ds, a->p > 0 ? keep : NULL, c->add[X], dx->real + r * dx->ld);
    }
    if (dresidual->data)
        hand_on(C, ds, NULL, c->add[RESIDUAL], dresidual->real + r * dresidual->ld);
}

static void backward(const weft_call *c)
{
    const int64_t R = weft_rows(&c->in[X]), C = weft_cols(&c->in[X]), n = n_blocks(R);
    weft_real *parts = c->scratch; /* [n, 4, C]: dgain, dbias, and one row each of ds and keep */
#pragma omp parallel for schedule(static) num_threads(weft_team(n, 16 * R * C))
    for (int64_t b = 0; b < n; b++) {
        weft_real *dgain = parts + 4 * b * C, *dbias = dgain + C, *ds = dbias + C, *keep = ds + C;
        memset(dgain, 0, 2 * (size_t)C * sizeof *dgain);
        for (int64_t r = b * WEFT_NORM_BLOCK; r < R && r < (b + 1) * WEFT_NORM_BLOCK; r++)
            backward_row(c, r, ds, keep, c->din[GAIN].data ? dgain : NULL,
                         c->din[BIAS].data ? dbias : NULL);
    }
    if (c->din[GAIN].data) weft_sum_parts(n, 4 * C, C, parts, c->add[GAIN], c->din[GAIN].real);
    if (c->din[BIAS].data) weft_sum_parts(n, 4 * C, C, parts + C, c->add[BIAS], c->din[BIAS].real);
}

static void define(weft_rule *r)
{
    const add_norm_attr *a = r->attr;
    const weft_var kept = weft_dropout_keyed(r->tape, r->in[X], r->in[ROWS], a->p, a->key);
    const weft_var s = weft_is_nil(r->in[RESIDUAL]) ? weft_contiguous(r->tape, kept)
                                                    : weft_add(r->tape, r->in[RESIDUAL], kept);
    r->result[SUM] = s;
    r->result[Y] = weft_norm_define(r->tape, s, r->in[GAIN], r->in[BIAS], &a->norm);
}

/* ---- samples --------------------------------------------------------------------------------- */

static weft_var with(weft_tape *t, weft_var residual, weft_var x, bool bias, weft_norm_kind kind,
                     double p, weft_var rows)
{
    const weft_tensor shape = weft_shape(t, x);
    const weft_var gain = weft_sample_uniform(t, 0.5, 2, WEFT_DIMS(weft_cols(&shape)));
    return weft_add_norm(
        t, residual, x, gain, bias ? weft_sample_normal(t, WEFT_DIMS(weft_cols(&shape))) : WEFT_NIL,
        &(weft_add_norm_spec){ .norm = { kind, 0 }, .dropout = { p, rows } }, NULL);
}

static weft_var sample(weft_tape *t, int i)
{
    const weft_var x = weft_sample_normal(t, WEFT_DIMS(5, 8));
    const weft_var residual = weft_sample_normal(t, WEFT_DIMS(5, 8));
    switch (i) {
    case 0: return with(t, residual, x, true, WEFT_LAYER_NORM, 0, WEFT_NIL);
    case 1: return with(t, residual, x, true, WEFT_LAYER_NORM, 0.3, WEFT_NIL);
    case 2:
        return with(t, residual, x, false, WEFT_RMS_NORM, 0.3,
                    weft_sample_int(t, 0, 9, WEFT_DIMS(5, 2)));
    case 3:
        return with(t, WEFT_NIL, weft_sample_normal(t, WEFT_DIMS(70, 3)), true, WEFT_LAYER_NORM, 0,
                    WEFT_NIL);
    case 4:
        return with(t, WEFT_NIL, weft_sample_normal(t, WEFT_DIMS(2, 3, 17)), false, WEFT_RMS_NORM,
                    0, WEFT_NIL);
    case 5:
        return with(t, weft_sample_strided(t, WEFT_DIMS(4, 6)),
                    weft_sample_strided(t, WEFT_DIMS(4, 6)), true, WEFT_LAYER_NORM, 0.2, WEFT_NIL);
    case 6: return with(t, x, x, true, WEFT_LAYER_NORM, 0.4, WEFT_NIL);
    case 7:
        return with(t, WEFT_NIL, weft_sample_normal(t, WEFT_DIMS(9)), true, WEFT_LAYER_NORM, 0,
                    WEFT_NIL);
    case 8:
        return with(t, WEFT_NIL, weft_sample_uniform(t, -1e3, 1e3, WEFT_DIMS(3, 6)), true,
                    WEFT_LAYER_NORM, 0, WEFT_NIL);
    case 9:
        return with(t, WEFT_NIL, weft_sample_normal(t, WEFT_DIMS(3, 2)), false, WEFT_RMS_NORM, 0.5,
                    WEFT_NIL);
    case 10: return with(t, residual, x, true, WEFT_RMS_NORM, 0, WEFT_NIL);
    case 11: {
        weft_var s;
        const weft_var gain = weft_sample_uniform(t, 0.5, 2, WEFT_DIMS(8));
        const weft_var y =
            weft_add_norm(t, residual, x, gain, WEFT_NIL, &(weft_add_norm_spec){ 0 }, &s);
        return weft_mul(t, y, s);
    }
    default: return WEFT_NIL;
    }
}

static weft_var misuse(weft_tape *t, int i)
{
    const weft_var x = weft_sample_normal(t, WEFT_DIMS(2, 3)),
                   gain = weft_sample_normal(t, WEFT_DIMS(3));
    weft_add_norm_spec spec = { 0 };
    switch (i) {
    case 0:
        return weft_add_norm(t, weft_sample_normal(t, WEFT_DIMS(3, 2)), x, gain, gain, &spec, NULL);
    case 1: return weft_add_norm(t, x, x, weft_sample_normal(t, WEFT_DIMS(2)), gain, &spec, NULL);
    case 2: return weft_add_norm(t, x, x, gain, x, &spec, NULL);
    case 3: spec.norm.eps = -1; return weft_add_norm(t, x, x, gain, gain, &spec, NULL);
    case 4: spec.dropout.p = 1; return weft_add_norm(t, x, x, gain, gain, &spec, NULL);
    case 5:
        return weft_add_norm(t, WEFT_NIL, weft_sample_normal(t, 0, NULL), gain, gain, &spec, NULL);
    case 6: return weft_add_norm(t, x, x, gain, gain, NULL, NULL);
    default: return WEFT_NIL;
    }
}

const weft_op weft_op_add_norm = { .name = "add_norm",
                                   .inputs = "residual x gain bias rows",
                                   .n_in = N_IN,
                                   .n_out = 2,
                                   .integer = 1 << ROWS,
                                   .optional = 1 << RESIDUAL | 1 << BIAS | 1 << ROWS,
                                   .strided = 1 << RESIDUAL | 1 << X | 1 << ROWS,
                                   .infer = infer,
                                   .forward = forward,
                                   .backward = backward,
                                   .define = define,
                                   .sample = sample,
                                   .misuse = misuse };

weft_var weft_add_norm(weft_tape *tape, weft_var residual, weft_var x, weft_var gain, weft_var bias,
                       const weft_add_norm_spec *spec, weft_var *sum)
{
    if (sum) *sum = WEFT_NIL;
    if (!spec) {
        weft_tape_fail(tape, WEFT_ERR_STATE, "add_norm: no spec; one of zeros is LayerNorm");
        return WEFT_NIL;
    }
    add_norm_attr attr = { .norm = spec->norm, .p = spec->dropout.p };
    if (attr.norm.eps == 0) attr.norm.eps = 1e-5;
    if (attr.p > 0) attr.key = weft_tape_next_key(tape);
    weft_var out[2];
    weft_apply(tape, &weft_op_add_norm, N_IN,
               (weft_var[]){ residual, x, gain, bias, spec->dropout.rows }, &attr, sizeof attr,
               out);
    if (sum) *sum = out[SUM];
    return out[Y];
}
