/**
 * weft_mean - mean over one dimension, or over all of them.
 *
 *     y = (1/n) sum_i x[.., i, ..]
 *
 * @param x     any shape
 * @param axis  -rank .. rank-1, or WEFT_ALL
 * @param keep  leave the dimension with size 1
 * @return      x's shape without the dimension (or with size 1); a scalar for WEFT_ALL
 *
 * Gradient     dx = dy / n, repeated along the dimension
 * Errors       WEFT_ERR_RANGE  no such axis;  WEFT_ERR_SHAPE  a mean of no elements
 * Numbers      the sum is that of weft_sum, rounded, then divided
 */
#include "autograd/ops_internal.h"

static int64_t count(const weft_tensor *x, uint32_t mask)
{
    int64_t n = 1;
    for (int i = 0; i < x->rank; i++)
        if (mask >> i & 1) n *= x->dim[i];
    return n;
}

static bool infer(weft_call *c)
{
    const weft_sum_attr *a = c->attr;
    if (!weft_infer_sum(c)) return false;
    return count(&c->in[0], a->mask) > 0 ||
           weft_fail(c, WEFT_ERR_SHAPE, "no elements have no mean");
}

static void forward(const weft_call *c)
{
    const weft_sum_attr *a = c->attr;
    const weft_tensor *y = &c->out[0];
    const weft_real n = (weft_real)count(&c->in[0], a->mask);
    weft_forward_sum(c);
    for (int64_t k = 0, size = weft_size(y); k < size; k++) y->real[k] /= n;
}

static void vjp(weft_rule *r)
{
    const weft_sum_attr *a = r->attr;
    const weft_tensor x = weft_shape(r->tape, r->in[0]);
    const weft_var each = weft_scale(r->tape, r->dout[0], 1.0 / (double)count(&x, a->mask));
    r->din[0] = weft_unsum(r->tape, each, r->in[0], *a);
}

static weft_var sample(weft_tape *t, int i)
{
    weft_var x;
    switch (i) {
    case 0: return weft_mean(t, weft_sample_normal(t, WEFT_DIMS(3, 4)), WEFT_ALL, false);
    case 1: return weft_mean(t, weft_sample_normal(t, WEFT_DIMS(3, 4)), 0, false);
    case 2: return weft_mean(t, weft_sample_normal(t, WEFT_DIMS(3, 4)), 1, true);
    case 3: return weft_mean(t, weft_sample_normal(t, WEFT_DIMS(2, 3, 4)), 1, false);
    case 4: return weft_mean(t, weft_sample_normal(t, WEFT_DIMS(2, 3, 4)), -1, false);
    case 5: return weft_mean(t, weft_sample_normal(t, 0, NULL), WEFT_ALL, false);
    case 6: return weft_mean(t, weft_sample_strided(t, WEFT_DIMS(5, 4)), 0, false);
    case 7: return weft_mean(t, weft_sample_normal(t, WEFT_DIMS(1)), 0, true);
    case 8:
        x = weft_sample_normal(t, WEFT_DIMS(3, 4));
        return weft_mul(t, x, weft_mean(t, x, 1, true));
    case 9: return weft_mean(t, weft_sample_uniform(t, -1e4, 1e4, WEFT_DIMS(13)), WEFT_ALL, true);
    case 10: return weft_mean(t, weft_sample_strided(t, WEFT_DIMS(2, 3, 4)), WEFT_ALL, false);
    default: return WEFT_NIL;
    }
}

static weft_var misuse(weft_tape *t, int i)
{
    const weft_var x = weft_sample_normal(t, WEFT_DIMS(2, 3));
    switch (i) {
    case 0: return weft_mean(t, x, 2, false);
    case 1: return weft_mean(t, x, -3, true);
    case 2: return weft_mean(t, weft_sample_int(t, 0, 3, WEFT_DIMS(3)), 0, false);
    case 3: return weft_mean(t, weft_sample_normal(t, WEFT_DIMS(0, 3)), 0, false);
    default: return WEFT_NIL;
    }
}

const weft_op weft_op_mean = { .name = "mean",
                               .inputs = "x",
                               .n_in = 1,
                               .infer = infer,
                               .forward = forward,
                               .vjp = vjp,
                               .sample = sample,
                               .misuse = misuse };

weft_var weft_mean(weft_tape *tape, weft_var x, int axis, bool keep)
{
    const weft_sum_attr attr = weft_sum_attr_of(tape, x, axis, keep);
    return weft_apply1(tape, &weft_op_mean, 1, &x, &attr, sizeof attr);
}
