/**
 * weft_cumsum - running sum along one dimension.
 *
 *     y_k = x_0 + ... + x_k
 *
 * @param x     [.., n, ..]
 * @param axis  -rank .. rank-1
 * @return      the same shape
 *
 * Gradient     dx_k = dy_k + ... + dy_(n-1): the running sum from the end
 * Errors       WEFT_ERR_RANGE  no such axis;  WEFT_ERR_SHAPE  x is a scalar
 * Numbers      sums in double, in order, by one thread for each line along the axis
 */
#include "autograd/ops_internal.h"

typedef struct cumsum_attr {
    int axis;
    bool from_end;
} cumsum_attr;

static bool infer(weft_call *c)
{
    const cumsum_attr *a = c->attr;
    const weft_tensor *x = &c->in[0];
    if (x->rank == 0) return weft_fail(c, WEFT_ERR_SHAPE, "a scalar has no dimension to sum along");
    return weft_axis(c, a->axis, x->rank) >= 0 && weft_infer_unary(c);
}

enum { TILE = 64 };

/* `width` <= TILE neighbouring lines of n elements, `stride` apart (negative: from the end). */
static void run(int64_t n, int64_t width, int64_t stride, const weft_real *x, weft_real *y)
{
    double sum[TILE] = { 0 };
    for (int64_t k = 0; k < n; k++)
        for (int64_t i = 0; i < width; i++) {
            sum[i] += (double)x[k * stride + i];
            y[k * stride + i] = (weft_real)sum[i];
        }
}

static void forward(const weft_call *c)
{
    const cumsum_attr *a = c->attr;
    const weft_tensor *x = &c->in[0], *y = &c->out[0];
    const weft_axis_view view = weft_axis_view_of(x, a->axis);
    const int64_t n_tiles = (view.inner + TILE - 1) / TILE;
    if (weft_size(x) == 0) return;
#pragma omp parallel for schedule(static) num_threads(weft_team(view.outer *n_tiles, weft_size(x)))
    for (int64_t i = 0; i < view.outer * n_tiles; i++) {
        const int64_t from = i % n_tiles * TILE;
        const int64_t width = view.inner - from < TILE ? view.inner - from : TILE;
        int64_t at = i / n_tiles * view.n * view.inner + from;
        if (a->from_end) at += (view.n - 1) * view.inner;
        run(view.n, width, a->from_end ? -view.inner : view.inner, x->real + at, y->real + at);
    }
}

static weft_var apply(weft_tape *tape, weft_var x, cumsum_attr attr);

static void vjp(weft_rule *r)
{
    const cumsum_attr *a = r->attr;
    r->din[0] = apply(r->tape, r->dout[0], (cumsum_attr){ a->axis, !a->from_end });
}

static weft_var sample(weft_tape *t, int i)
{
    weft_var x;
    switch (i) {
    case 0: return weft_cumsum(t, weft_sample_normal(t, WEFT_DIMS(3, 4)), 1);
    case 1: return weft_cumsum(t, weft_sample_normal(t, WEFT_DIMS(3, 4)), 0);
    case 2: return weft_cumsum(t, weft_sample_normal(t, WEFT_DIMS(2, 3, 4)), 1);
    case 3: return weft_cumsum(t, weft_sample_normal(t, WEFT_DIMS(2, 3, 4)), -1);
    case 4: return weft_cumsum(t, weft_sample_strided(t, WEFT_DIMS(4, 5)), 1);
    case 5: return weft_cumsum(t, weft_sample_strided(t, WEFT_DIMS(4, 5)), 0);
    case 6: return weft_cumsum(t, weft_sample_normal(t, WEFT_DIMS(1)), 0);
    case 7: return weft_cumsum(t, weft_sample_normal(t, WEFT_DIMS(3, 70)), 0);
    case 8: x = weft_sample_normal(t, WEFT_DIMS(3, 3)); return weft_mul(t, x, weft_cumsum(t, x, 1));
    case 9: return weft_cumsum(t, weft_sample_uniform(t, -1e4, 1e4, WEFT_DIMS(13)), 0);
    case 10: /* the one from the end */
        return apply(t, weft_sample_normal(t, WEFT_DIMS(2, 5)), (cumsum_attr){ 1, true });
    default: return WEFT_NIL;
    }
}

static weft_var misuse(weft_tape *t, int i)
{
    const weft_var x = weft_sample_normal(t, WEFT_DIMS(2, 3));
    switch (i) {
    case 0: return weft_cumsum(t, x, 2);
    case 1: return weft_cumsum(t, x, WEFT_ALL);
    case 2: return weft_cumsum(t, weft_scalar(t, 1), 0);
    case 3: return weft_cumsum(t, weft_sample_int(t, 0, 3, WEFT_DIMS(3)), 0);
    default: return WEFT_NIL;
    }
}

const weft_op weft_op_cumsum = { .name = "cumsum",
                                 .inputs = "x",
                                 .n_in = 1,
                                 .infer = infer,
                                 .forward = forward,
                                 .vjp = vjp,
                                 .sample = sample,
                                 .misuse = misuse };

static weft_var apply(weft_tape *tape, weft_var x, cumsum_attr attr)
{
    return weft_apply1(tape, &weft_op_cumsum, 1, &x, &attr, sizeof attr);
}

weft_var weft_cumsum(weft_tape *tape, weft_var x, int axis)
{
    return apply(tape, x, (cumsum_attr){ axis, false });
}
