/**
 * weft_embedding - rows of a table, times a constant.
 *
 *     y[n, :] = scale weight[ids[n], :]
 *
 * (Vaswani et al. 2017, section 3.4: scale = sqrt(D).)
 *
 * @param weight  [V, D]
 * @param ids     int32, any shape [..], each in [0, V)
 * @param scale   finite
 * @return        [.., D]
 *
 * Gradient       dweight[v, :] = scale sum of dy[n, :] over the n with ids[n] = v, in their order;
 *                threads own columns, so there is one writer an element
 * Errors         WEFT_ERR_RANGE  an id out of range (the first is named);  WEFT_ERR_SHAPE  weight
 */
#include "autograd/fused_internal.h"

#include "core/kernel.h"

#include <math.h>
#include <string.h>

typedef struct embedding_attr {
    double scale;
} embedding_attr;

static bool infer(weft_call *c)
{
    const embedding_attr *a = c->attr;
    const weft_tensor *weight = &c->in[0], *ids = &c->in[1];
    if (weight->rank != 2) return weft_fail(c, WEFT_ERR_SHAPE, "weight must be [V, D]");
    if (!isfinite(a->scale)) return weft_fail(c, WEFT_ERR_RANGE, "scale is %g", a->scale);
    if (ids->rank == WEFT_MAX_RANK)
        return weft_fail(c, WEFT_ERR_SHAPE, "ids have too many dimensions");
    const int64_t V = weight->dim[0], n = weft_size(ids);
    for (int64_t k = 0; !weft_call_is_dry(c) && k < n; k++)
        if (ids->i32[k] < 0 || ids->i32[k] >= V)
            return weft_fail(c, WEFT_ERR_RANGE,
                             "id %d at place %lld is not in 0 .. %lld (V = %lld)", ids->i32[k],
                             (long long)k, (long long)V - 1, (long long)V);
    int64_t dim[WEFT_MAX_RANK];
    memcpy(dim, ids->dim, sizeof dim);
    dim[ids->rank] = weight->dim[1];
    return weft_out(c, 0, WEFT_REAL, ids->rank + 1, dim);
}

WEFT_KERNEL static void scaled(int64_t n, weft_real scale, const weft_real *x, weft_real *y)
{
    for (int64_t k = 0; k < n; k++) y[k] = scale * x[k];
}

WEFT_KERNEL static void add_scaled(int64_t n, weft_real scale, const weft_real *x, weft_real *y)
{
    for (int64_t k = 0; k < n; k++) y[k] += scale * x[k];
}

static void forward(const weft_call *c)
{
    const weft_real scale = (weft_real)((const embedding_attr *)c->attr)->scale;
    const weft_tensor *weight = &c->in[0], *ids = &c->in[1];
    const int64_t N = weft_size(ids), D = weight->dim[1];
#pragma omp parallel for schedule(static) num_threads(weft_team(N, N *D))
    for (int64_t n = 0; n < N; n++)
        scaled(D, scale, weight->real + ids->i32[n] * weight->ld, c->out[0].real + n * D);
}

static void backward(const weft_call *c)
{
    enum { WIDTH = 16 }; /* columns that one thread owns: a cache line of floats at least */
    const weft_real scale = (weft_real)((const embedding_attr *)c->attr)->scale;
    const weft_tensor *ids = &c->in[1], *dweight = &c->din[0];
    if (!dweight->data) return;
    const int64_t N = weft_size(ids), V = dweight->dim[0], D = dweight->dim[1];
    const int64_t n_parts = (D + WIDTH - 1) / WIDTH, team = weft_team(n_parts, N * D);
#pragma omp parallel for schedule(static) num_threads((int)team)
    for (int64_t part = 0; part < team; part++) {
        const int64_t from = n_parts * part / team * WIDTH,
                      end = n_parts * (part + 1) / team * WIDTH;
        const int64_t width = (end < D ? end : D) - from;
        for (int64_t v = 0; !c->add[0] && v < V; v++)
            memset(dweight->real + v * dweight->ld + from, 0, (size_t)width * sizeof(weft_real));
        for (int64_t n = 0; n < N; n++)
            add_scaled(width, scale, c->dout[0].real + n * D + from,
                       dweight->real + ids->i32[n] * dweight->ld + from);
    }
}

/* y = scale onehot(ids) weight */
static void define(weft_rule *r)
{
    const embedding_attr *a = r->attr;
    const weft_tensor weight = weft_shape(r->tape, r->in[0]), ids = weft_value(r->tape, r->in[1]);
    const int64_t N = weft_size(&ids), V = weight.dim[0];
    int64_t dim[WEFT_MAX_RANK];
    memcpy(dim, ids.dim, sizeof dim);
    dim[ids.rank] = weight.dim[1];
    const weft_var onehot = weft_full(r->tape, WEFT_DIMS(N, V), 0);
    weft_real *x = weft_value(r->tape, onehot).real;
    for (int64_t n = 0; x && n < N; n++) x[n * V + ids.i32[n]] = (weft_real)a->scale;
    r->result[0] = weft_reshape(r->tape, weft_matmul(r->tape, onehot, r->in[0]), ids.rank + 1, dim);
}

static weft_var table(weft_tape *t, int64_t V, int64_t D)
{
    return weft_sample_normal(t, WEFT_DIMS(V, D));
}

static weft_var sample(weft_tape *t, int i)
{
    const int32_t twice[4] = { 1, 1, 0, 1 };
    switch (i) {
    case 0: return weft_embedding(t, table(t, 7, 4), weft_sample_int(t, 0, 7, WEFT_DIMS(5)), 1);
    case 1: return weft_embedding(t, table(t, 7, 4), weft_sample_int(t, 0, 7, WEFT_DIMS(5)), 2);
    case 2: return weft_embedding(t, table(t, 3, 17), weft_sample_int(t, 0, 3, WEFT_DIMS(9)), 4.1);
    case 3:
        return weft_embedding(t, table(t, 5, 3), weft_sample_int(t, 0, 5, WEFT_DIMS(2, 3)), 0.5);
    case 4: return weft_embedding(t, table(t, 1, 1), weft_sample_int(t, 0, 1, WEFT_DIMS(1)), 1);
    case 5:
        return weft_embedding(t, table(t, 4, 2), weft_constant_int(t, WEFT_DIMS(4), twice), 1.5);
    case 6:
        return weft_embedding(t, weft_sample_strided(t, WEFT_DIMS(6, 5)),
                              weft_sample_int(t, 0, 6, WEFT_DIMS(7)), 1);
    case 7: return weft_embedding(t, table(t, 6, 33), weft_sample_int(t, 0, 6, WEFT_DIMS(3)), -1);
    case 8:
        return weft_embedding(t, weft_sample_uniform(t, -1e4, 1e4, WEFT_DIMS(4, 3)),
                              weft_sample_int(t, 0, 4, WEFT_DIMS(6)), 1);
    case 9: return weft_embedding(t, table(t, 9, 2), weft_sample_int(t, 3, 4, WEFT_DIMS(1)), 3);
    case 10: return weft_embedding(t, table(t, 5, 4), weft_sample_int(t, 0, 5, 0, NULL), 1);
    default: return WEFT_NIL;
    }
}

static weft_var misuse(weft_tape *t, int i)
{
    const weft_var weight = table(t, 4, 2), ids = weft_sample_int(t, 0, 4, WEFT_DIMS(3));
    switch (i) {
    case 0: return weft_embedding(t, weight, weft_sample_int(t, 4, 5, WEFT_DIMS(1)), 1);
    case 1: return weft_embedding(t, weight, weft_sample_int(t, -1, 0, WEFT_DIMS(1)), 1);
    case 2: return weft_embedding(t, weft_sample_normal(t, WEFT_DIMS(3)), ids, 1);
    case 3: return weft_embedding(t, weight, weight, 1);
    case 4: return weft_embedding(t, weight, ids, (double)INFINITY);
    default: return WEFT_NIL;
    }
}

const weft_op weft_op_embedding = { .name = "embedding",
                                    .inputs = "weight ids",
                                    .n_in = 2,
                                    .integer = 2,
                                    .strided = 1,
                                    .infer = infer,
                                    .forward = forward,
                                    .backward = backward,
                                    .define = define,
                                    .sample = sample,
                                    .misuse = misuse };

weft_var weft_embedding(weft_tape *tape, weft_var weight, weft_var ids, double scale)
{
    const embedding_attr attr = { scale };
    return weft_apply1(tape, &weft_op_embedding, 2, (weft_var[]){ weight, ids }, &attr,
                       sizeof attr);
}
