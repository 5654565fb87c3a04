/**
 * weft_pad - zeros before and after, along one dimension.
 *
 * @param x              [..., n, ...]
 * @param axis           -rank .. rank-1
 * @param before, after  >= 0
 * @return               [..., before + n + after, ...]
 *
 * Gradient              dx = the part of dy that x fills
 * Errors                WEFT_ERR_RANGE  axis, or a negative count;  WEFT_ERR_SHAPE  x is a scalar
 */
#include "autograd/ops_internal.h"

#include "core/checked.h"

#include <string.h>

typedef struct pad_attr {
    int axis;
    int64_t before, after;
} pad_attr;

static bool infer(weft_call *c)
{
    const pad_attr *a = c->attr;
    const weft_tensor *x = &c->in[0];
    if (x->rank == 0) return weft_fail(c, WEFT_ERR_SHAPE, "a scalar cannot be padded");
    const int axis = weft_axis(c, a->axis, x->rank);
    if (axis < 0) return false;
    if (a->before < 0 || a->after < 0)
        return weft_fail(c, WEFT_ERR_RANGE, "%lld before and %lld after: neither may be negative",
                         (long long)a->before, (long long)a->after);
    int64_t dim[WEFT_MAX_RANK];
    memcpy(dim, x->dim, sizeof dim);
    if (!weft_add_i64(dim[axis], a->before, &dim[axis]) ||
        !weft_add_i64(dim[axis], a->after, &dim[axis]))
        return weft_fail(c, WEFT_ERR_OVERFLOW, "%lld before and %lld after are too many",
                         (long long)a->before, (long long)a->after);
    return weft_out(c, 0, WEFT_REAL, x->rank, dim);
}

static void forward(const weft_call *c)
{
    const pad_attr *a = c->attr;
    const weft_tensor *x = &c->in[0], *y = &c->out[0];
    const int axis = a->axis < 0 ? a->axis + x->rank : a->axis;
    int64_t outer = 1, inner = 1; /* elements below the axis */
    for (int i = 0; i < axis; i++) outer *= x->dim[i];
    for (int i = axis + 1; i < x->rank; i++) inner *= x->dim[i];
    const int64_t before = a->before * inner, n = x->dim[axis] * inner, after = a->after * inner;
    const int64_t total = before + n + after;
#pragma omp parallel for schedule(static) num_threads(weft_team(outer, outer *total))
    for (int64_t o = 0; o < outer; o++) {
        weft_real *to = y->real + o * total;
        memset(to, 0, (size_t)before * sizeof *to);
        memcpy(to + before, x->real + o * n, (size_t)n * sizeof *to);
        memset(to + before + n, 0, (size_t)after * sizeof *to);
    }
}

static void vjp(weft_rule *r)
{
    const pad_attr *a = r->attr;
    const weft_tensor x = weft_shape(r->tape, r->in[0]);
    const int axis = a->axis < 0 ? a->axis + x.rank : a->axis;
    r->din[0] = weft_slice(r->tape, r->dout[0], axis, a->before, a->before + x.dim[axis]);
}

static weft_var sample(weft_tape *t, int i)
{
    weft_var x;
    switch (i) {
    case 0: return weft_pad(t, weft_sample_normal(t, WEFT_DIMS(3, 4)), 1, 2, 1);
    case 1: return weft_pad(t, weft_sample_normal(t, WEFT_DIMS(3, 4)), 0, 1, 2);
    case 2: return weft_pad(t, weft_sample_normal(t, WEFT_DIMS(2, 3, 4)), 1, 0, 3);
    case 3: return weft_pad(t, weft_sample_normal(t, WEFT_DIMS(5)), -1, 0, 0);
    case 4: return weft_pad(t, weft_sample_normal(t, WEFT_DIMS(1)), 0, 3, 3);
    case 5: return weft_pad(t, weft_sample_strided(t, WEFT_DIMS(4, 3)), 1, 1, 1);
    case 6: return weft_pad(t, weft_sample_strided(t, WEFT_DIMS(4, 3)), 0, 0, 2);
    case 7:
        x = weft_sample_normal(t, WEFT_DIMS(2, 3));
        return weft_mul(t, weft_pad(t, x, 1, 1, 0), weft_pad(t, x, 1, 0, 1));
    case 8: return weft_pad(t, weft_sample_normal(t, WEFT_DIMS(2, 2, 2, 2)), 2, 1, 1);
    case 9: return weft_pad(t, weft_sample_uniform(t, -1e4, 1e4, WEFT_DIMS(3, 1)), 1, 0, 2);
    default: return WEFT_NIL;
    }
}

static weft_var misuse(weft_tape *t, int i)
{
    const weft_var x = weft_sample_normal(t, WEFT_DIMS(2, 3));
    switch (i) {
    case 0: return weft_pad(t, x, 2, 0, 1);
    case 1: return weft_pad(t, x, 1, -1, 0);
    case 2: return weft_pad(t, weft_sample_normal(t, 0, NULL), 0, 0, 1);
    case 3: return weft_pad(t, x, 1, INT64_MAX, 1);
    default: return WEFT_NIL;
    }
}

const weft_op weft_op_pad = { .name = "pad",
                              .inputs = "x",
                              .n_in = 1,
                              .infer = infer,
                              .forward = forward,
                              .vjp = vjp,
                              .sample = sample,
                              .misuse = misuse };

weft_var weft_pad(weft_tape *tape, weft_var x, int axis, int64_t before, int64_t after)
{
    const pad_attr attr = { axis, before, after };
    return weft_apply1(tape, &weft_op_pad, 1, &x, &attr, sizeof attr);
}
