/**
 * weft_dropout - zero elements with probability p, scale the others by 1 / (1 - p).
 *
 *     y[r, c] = x[r, c] keep(key, row key of r, c)
 *
 * (Srivastava et al. 2014, in the inverted form.) The mask is not stored: it is drawn again from the
 * counter (key of seed, update and site; sentence and position; channel), so that replay, other
 * batch compositions and resumed runs see the same one.
 *
 * @param x     [.., C]
 * @param spec  p in [0, 1): 0 records nothing and returns x; rows int32 [R, 2] or WEFT_NIL
 * @return      x's shape
 *
 * Gradient     dx = dy keep
 * Errors       WEFT_ERR_RANGE  p;  WEFT_ERR_SHAPE  rows do not belong to x
 */
#include "autograd/fused_internal.h"

#include "core/kernel.h"

typedef struct dropout_attr {
    double p;
    uint64_t key;
} dropout_attr;

bool weft_check_dropout(const weft_call *c, double p, const weft_tensor *rows, int64_t R)
{
    if (!(p >= 0 && p < 1)) return weft_fail(c, WEFT_ERR_RANGE, "p is %g: it must be in [0, 1)", p);
    if (rows->rank >= 0 && (rows->rank != 2 || rows->dim[0] != R || rows->dim[1] != 2)) {
        char text[WEFT_SHAPE_TEXT];
        return weft_fail(c, WEFT_ERR_SHAPE,
                         "rows must be [%lld, 2] (sentence and position of each row), not %s",
                         (long long)R, weft_shape_text(rows, text));
    }
    return true;
}

static bool infer(weft_call *c)
{
    const dropout_attr *a = c->attr;
    return weft_check_dropout(c, a->p, &c->in[1], weft_rows(&c->in[0])) && weft_infer_unary(c);
}

WEFT_KERNEL static void multiply(int64_t n, const weft_real *x, weft_real *y)
{
    for (int64_t c = 0; c < n; c++) y[c] *= x[c];
}

static void forward(const weft_call *c)
{
    const dropout_attr *a = c->attr;
    const weft_tensor *x = &c->in[0], *rows = &c->in[1];
    const int64_t R = weft_rows(x), C = weft_cols(x);
#pragma omp parallel for schedule(static) num_threads(weft_team(R, 8 * R * C))
    for (int64_t r = 0; r < R; r++) {
        weft_real *y = c->out[0].real + r * C;
        weft_dropout_row(a->key, weft_row_key(rows, r), 0, a->p, C, y);
        multiply(C, x->real + r * x->ld, y);
    }
}

static void vjp(weft_rule *r)
{
    const dropout_attr *a = r->attr;
    r->din[0] = weft_dropout_keyed(r->tape, r->dout[0], r->in[1], a->p, a->key);
}

static weft_var with(weft_tape *t, weft_var x, double p, weft_var rows)
{
    return weft_dropout(t, x, &(weft_dropout_spec){ .p = p, .rows = rows });
}

static weft_var sample(weft_tape *t, int i)
{
    weft_var x;
    switch (i) {
    case 0: return with(t, weft_sample_normal(t, WEFT_DIMS(5, 8)), 0.5, WEFT_NIL);
    case 1: return with(t, weft_sample_normal(t, WEFT_DIMS(4, 13)), 0.1, WEFT_NIL);
    case 2:
        return with(t, weft_sample_normal(t, WEFT_DIMS(6, 5)), 0.3,
                    weft_sample_int(t, 0, 100, WEFT_DIMS(6, 2)));
    case 3: return with(t, weft_sample_normal(t, WEFT_DIMS(2, 3, 7)), 0.4, WEFT_NIL);
    case 4: return with(t, weft_sample_strided(t, WEFT_DIMS(4, 9)), 0.25, WEFT_NIL);
    case 5: return with(t, weft_sample_normal(t, WEFT_DIMS(40)), 0.9, WEFT_NIL);
    case 6:
        x = weft_sample_normal(t, WEFT_DIMS(3, 6));
        return weft_mul(t, with(t, x, 0.2, WEFT_NIL), with(t, x, 0.2, WEFT_NIL));
    case 7: return with(t, weft_sample_uniform(t, -1e4, 1e4, WEFT_DIMS(4, 6)), 0.5, WEFT_NIL);
    case 8:
        return weft_mul(t, with(t, weft_sample_normal(t, WEFT_DIMS(1)), 0.0, WEFT_NIL),
                        weft_scalar(t, 2));
    case 9:
        return with(t, weft_sample_normal(t, WEFT_DIMS(2, 2, 5)), 0.5,
                    weft_sample_int(t, 0, 9, WEFT_DIMS(4, 2)));
    case 10: return with(t, weft_sample_normal(t, WEFT_DIMS(1, 33)), 0.6, WEFT_NIL);
    case 11: return with(t, weft_sample_normal(t, WEFT_DIMS(17, 3)), 0.5, WEFT_NIL);
    default: return WEFT_NIL;
    }
}

static weft_var misuse(weft_tape *t, int i)
{
    const weft_var x = weft_sample_normal(t, WEFT_DIMS(2, 3));
    switch (i) {
    case 0: return with(t, x, 1.0, WEFT_NIL);
    case 1: return with(t, x, -0.1, WEFT_NIL);
    case 2: return with(t, x, 0.1, weft_sample_int(t, 0, 3, WEFT_DIMS(3, 2)));
    case 3: return with(t, x, 0.1, x);
    case 4: return with(t, WEFT_NIL, 0, WEFT_NIL);
    case 5: return weft_dropout(t, x, NULL);
    default: return WEFT_NIL;
    }
}

const weft_op weft_op_dropout = { .name = "dropout",
                                  .inputs = "x rows",
                                  .n_in = 2,
                                  .integer = 2,
                                  .optional = 2,
                                  .strided = 3,
                                  .infer = infer,
                                  .forward = forward,
                                  .vjp = vjp,
                                  .sample = sample,
                                  .misuse = misuse };

weft_var weft_dropout_keyed(weft_tape *tape, weft_var x, weft_var rows, double p, uint64_t key)
{
    const dropout_attr attr = { p, key };
    if (p == 0 && !weft_is_nil(x)) return x;
    return weft_apply1(tape, &weft_op_dropout, 2, (weft_var[]){ x, rows }, &attr, sizeof attr);
}

weft_var weft_dropout(weft_tape *tape, weft_var x, const weft_dropout_spec *spec)
{
    if (!spec) {
        weft_tape_fail(tape, WEFT_ERR_STATE, "dropout: no spec, which says how much");
        return WEFT_NIL;
    }
    return weft_dropout_keyed(tape, x, spec->rows, spec->p, weft_tape_next_key(tape));
}
