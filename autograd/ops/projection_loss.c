/**
 * weft_projection_loss - projection to the vocabulary and label-smoothed cross-entropy in one, without
 * ever holding all logits.
 *
 *     z_r = W x_r + b,   y = sum_r sum_j q_rj (ln sum_k exp(z_rk) - z_rj)
 *
 * with q_r the smoothed target of row r, which spec->kind chooses (weft_cross_entropy has the three).
 * Blocks of rows are projected, turned into losses and, where a gradient will be wanted, into dx and
 * dW at once, while the block is still in the cache.
 *
 * @param x        [.., D]
 * @param weight   W [V, D]
 * @param bias     b [V] or WEFT_NIL
 * @param targets  int32, one for each row of x, in 0 .. V-1; rows whose target is spec->ignore (where
 *                 has_ignore) count 0
 * @param spec     NULL means no smoothing and nothing ignored
 * @param nll      if not NULL: the sum of the plain negative log-likelihoods (for perplexity), a
 *                 value through which no gradient flows
 * @return         a scalar, the sum over the rows (not the mean)
 *
 * Gradient        dz_r = dy (softmax(z_r) - q_r);  dx = dz W,  dW = dz^T x,  db = sum of dz over the
 *                 rows
 * Errors          WEFT_ERR_RANGE  smoothing, `never`, a target (the first bad one is named, also one
 *                 that is `never`)
 *                 WEFT_ERR_SHAPE  last dim of x and W differ, W is no matrix, b does not fit, V = 0
 *                 (others: below 2, annotated: below 3), another number of targets than rows
 * Saved           the gradients for dy = 1: as large as x, W and b
 * Numbers         losses and db are summed in double, rows in their order; dW block by block
 */
#include "autograd/loss_internal.h"

#include "core/checked.h"

#include <string.h>

enum { X, WEIGHT, BIAS, TARGETS };

/* Rows of a block: its logits (a few MB) stay in the cache, and the products are large enough. */
static int64_t block_rows(int64_t R, int64_t V)
{
    enum { BLOCK_LOGITS = 1 << 21, FEWEST = 64, MOST = 512 };
    int64_t rows = BLOCK_LOGITS / V / 16 * 16;
    rows = rows < FEWEST ? FEWEST : rows > MOST ? MOST : rows;
    return rows < R ? rows : R;
}

/* What lies in the scratch memory: column sums of dz [V], losses [rows, 2], logits [rows, V]. */
typedef struct workspace {
    double *column, *losses;
    weft_real *z;
} workspace;

static int64_t n_doubles(int64_t rows, int64_t V) { return (V + 2 * rows + 7) / 8 * 8; }

static bool check_shapes(weft_call *c)
{
    const weft_tensor *x = &c->in[X], *weight = &c->in[WEIGHT], *bias = &c->in[BIAS];
    if (x->rank < 1) return weft_fail(c, WEFT_ERR_SHAPE, "x must be [.., D], not a scalar");
    if (weight->rank != 2) return weft_fail(c, WEFT_ERR_SHAPE, "weight must be [V, D]");
    if (weft_cols(x) != weight->dim[1])
        return weft_fail(c, WEFT_ERR_SHAPE,
                         "last dim of x (%lld) must equal last dim of weight (%lld)",
                         (long long)weft_cols(x), (long long)weight->dim[1]);
    if (bias->rank >= 0 && (bias->rank != 1 || bias->dim[0] != weight->dim[0]))
        return weft_fail(c, WEFT_ERR_SHAPE, "bias must be [%lld], the rows of weight",
                         (long long)weight->dim[0]);
    return weft_check_targets(c, TARGETS, weft_rows(x), weight->dim[0], c->attr);
}

static bool infer(weft_call *c)
{
    if (!check_shapes(c)) return false;
    const int64_t R = weft_rows(&c->in[X]), D = weft_cols(&c->in[X]), V = c->in[WEIGHT].dim[0];
    const int64_t rows = block_rows(R, V);
    size_t bytes;
    if (!weft_mul_bytes((size_t)rows * sizeof(weft_real), (size_t)V, &bytes) ||
        !weft_add_bytes(bytes, (size_t)n_doubles(rows, V) * sizeof(double), &bytes))
        return weft_fail(c, WEFT_ERR_OVERFLOW, "%lld rows of %lld logits do not fit",
                         (long long)rows, (long long)V);
    c->scratch_bytes = bytes;
    if (!weft_out(c, 0, WEFT_REAL, 0, NULL) || !weft_out(c, 1, WEFT_REAL, 0, NULL)) return false;
    return (!c->wants[X] || weft_save(c, X, WEFT_REAL, R * D)) &&
           (!c->wants[WEIGHT] || weft_save(c, WEIGHT, WEFT_REAL, V * D)) &&
           (!c->wants[BIAS] || weft_save(c, BIAS, WEFT_REAL, V));
}

static workspace workspace_of(const weft_call *c, int64_t rows, int64_t V)
{
    workspace w = { .column = c->scratch };
    w.losses = w.column + V;
    w.z = (void *)(w.column + n_doubles(rows, V));
    return w;
}

/* One row of logits becomes its two losses and, where wanted, its gradient. */
WEFT_KERNEL static void treat_row(int64_t V, weft_real *z, const weft_real *bias, int32_t target,
                                  weft_loss_labels labels, bool gradient, double losses[2])
{
    if (bias)
        for (int64_t k = 0; k < V; k++) z[k] += bias[k];
    weft_loss_row row = { .max = row_max(V, z) };
    const double z_target = (double)z[target], z_mean = loss_mean(V, z, labels);
    row.sum = row_exp(V, z, row.max, z);
    loss_of_row(&row, z_target, z_mean, labels.rest);
    losses[0] = row.loss;
    losses[1] = row.nll;
    if (!gradient) return;
    const weft_real factor = (weft_real)(1 / row.sum),
                    share = (weft_real)(labels.rest / (double)labels.n);
    for (int64_t k = 0; k < V; k++) z[k] = z[k] * factor - share;
    if (labels.never >= 0) z[labels.never] += share;
    z[target] -= (weft_real)(1 - labels.rest);
}

static void treat_rows(const weft_call *c, const workspace *w, int64_t from, int64_t n, int64_t V)
{
    const weft_cross_entropy_spec *spec = c->attr;
    const weft_real *bias = c->in[BIAS].rank >= 0 ? c->in[BIAS].real : NULL;
    const int32_t *targets = c->in[TARGETS].i32 + from;
    const weft_loss_labels labels = loss_labels(spec, V);
#pragma omp parallel for schedule(static) num_threads(weft_team(n, 16 * n * V))
    for (int64_t r = 0; r < n; r++) {
        weft_real *z = w->z + r * V;
        double *losses = w->losses + 2 * r;
        if (loss_counts(spec, targets[r])) {
            treat_row(V, z, bias, targets[r], labels, c->records, losses);
        } else {
            losses[0] = losses[1] = 0;
            memset(z, 0, (size_t)V * sizeof *z);
        }
    }
}

/* column[k] += sum over n rows of z[r, k]: threads own columns, each sum runs down the rows. */
WEFT_KERNEL static void add_rows(int64_t n, int64_t width, const weft_real *z, int64_t ld,
                                 double *column)
{
    for (int64_t r = 0; r < n; r++)
        for (int64_t k = 0; k < width; k++) column[k] += (double)z[r * ld + k];
}

static void add_columns(int64_t n, int64_t V, const weft_real *z, double *column)
{
    enum { WIDTH = 128 };
    const int64_t n_tiles = (V + WIDTH - 1) / WIDTH;
#pragma omp parallel for schedule(static) num_threads(weft_team(n_tiles, n *V))
    for (int64_t t = 0; t < n_tiles; t++) {
        const int64_t from = t * WIDTH, width = V - from < WIDTH ? V - from : WIDTH;
        add_rows(n, width, z + from, V, column + from);
    }
}

/* Logits of rows from .. from + n - 1, without the bias. */
static void project(const weft_call *c, const workspace *w, int64_t from, int64_t n)
{
    const weft_tensor *x = &c->in[X], *weight = &c->in[WEIGHT];
    weft_gemm(&(weft_gemm_args){ .bf16 = weft_products_bf16(c),
                                 .trans_b = true,
                                 .M = n,
                                 .N = weight->dim[0],
                                 .K = weight->dim[1],
                                 .alpha = 1,
                                 .A = x->real + from * x->ld,
                                 .lda = x->ld,
                                 .B = weight->real,
                                 .ldb = weight->ld,
                                 .C = w->z,
                                 .ldc = weight->dim[0] });
}

/* w->z holds dz of these rows: what follows from it for x, W and b. */
static void keep_gradients(const weft_call *c, const workspace *w, int64_t from, int64_t n)
{
    const weft_tensor *x = &c->in[X], *weight = &c->in[WEIGHT];
    const int64_t V = weight->dim[0], D = weight->dim[1];
    if (c->saved[X].data)
        weft_gemm(&(weft_gemm_args){ .bf16 = weft_products_bf16(c),
                                     .M = n,
                                     .N = D,
                                     .K = V,
                                     .alpha = 1,
                                     .A = w->z,
                                     .lda = V,
                                     .B = weight->real,
                                     .ldb = weight->ld,
                                     .C = c->saved[X].real + from * D,
                                     .ldc = D });
    if (c->saved[WEIGHT].data)
        weft_gemm(&(weft_gemm_args){ .bf16 = weft_products_bf16(c),
                                     .trans_a = true,
                                     .M = V,
                                     .N = D,
                                     .K = n,
                                     .alpha = 1,
                                     .A = w->z,
                                     .lda = V,
                                     .B = x->real + from * x->ld,
                                     .ldb = x->ld,
                                     .beta = from > 0,
                                     .C = c->saved[WEIGHT].real,
                                     .ldc = D });
    if (c->saved[BIAS].data) add_columns(n, V, w->z, w->column);
}

static void forward(const weft_call *c)
{
    const int64_t R = weft_rows(&c->in[X]), V = c->in[WEIGHT].dim[0], rows = block_rows(R, V);
    const workspace w = workspace_of(c, rows, V);
    double loss = 0, nll = 0;
    for (int64_t k = 0; k < V; k++) w.column[k] = 0;
    if (R == 0 && c->saved[WEIGHT].data)
        memset(c->saved[WEIGHT].real, 0, (size_t)weft_size(&c->saved[WEIGHT]) * sizeof(weft_real));
    for (int64_t from = 0; from < R; from += rows) {
        const int64_t n = R - from < rows ? R - from : rows;
        project(c, &w, from, n);
        treat_rows(c, &w, from, n, V);
        if (c->records) keep_gradients(c, &w, from, n);
        for (int64_t r = 0; r < n; r++) {
            loss += w.losses[2 * r];
            nll += w.losses[2 * r + 1];
        }
    }
    if (c->saved[BIAS].data)
        for (int64_t k = 0; k < V; k++) c->saved[BIAS].real[k] = (weft_real)w.column[k];
    c->out[0].real[0] = (weft_real)loss;
    c->out[1].real[0] = (weft_real)nll;
}

WEFT_KERNEL static void scale_row(int64_t n, weft_real dy, const weft_real *unit, bool add,
                                  weft_real *dx)
{
    if (add)
        for (int64_t k = 0; k < n; k++) dx[k] += dy * unit[k];
    else
        for (int64_t k = 0; k < n; k++) dx[k] = dy * unit[k];
}

static void backward(const weft_call *c)
{
    const weft_real dy = c->dout[0].data ? c->dout[0].real[0] : 0;
    for (int i = X; i <= BIAS; i++) {
        const weft_tensor *dx = &c->din[i];
        if (!dx->data) continue;
        const int64_t R = weft_rows(dx), C = weft_cols(dx);
#pragma omp parallel for schedule(static) num_threads(weft_team(R, R *C))
        for (int64_t r = 0; r < R; r++)
            scale_row(C, dy, c->saved[i].real + r * C, c->add[i], dx->real + r * dx->ld);
    }
}

static void define(weft_rule *r)
{
    weft_tape *t = r->tape;
    const weft_tensor x = weft_shape(t, r->in[X]);
    const weft_var rows = weft_reshape(t, r->in[X], WEFT_DIMS(weft_rows(&x), weft_cols(&x)));
    weft_var z = weft_matmul_t(t, rows, false, r->in[WEIGHT], true), nll;
    if (!weft_is_nil(r->in[BIAS])) z = weft_add(t, z, r->in[BIAS]);
    r->result[0] = weft_sum(t, weft_cross_entropy_define(t, z, r->in[TARGETS], r->attr, &nll),
                            WEFT_ALL, false);
    r->result[1] = weft_sum(t, nll, WEFT_ALL, false);
}

static weft_var with(weft_tape *t, weft_var x, int64_t V, bool bias, double smoothing)
{
    const weft_tensor shape = weft_shape(t, x);
    const weft_var weight = weft_sample_normal(t, WEFT_DIMS(V, weft_cols(&shape)));
    const weft_var b = bias ? weft_sample_normal(t, WEFT_DIMS(V)) : WEFT_NIL;
    return weft_projection_loss(t, x, weight, b,
                                weft_sample_int(t, 0, (int32_t)V, WEFT_DIMS(weft_rows(&shape))),
                                &(weft_cross_entropy_spec){ .smoothing = smoothing }, NULL);
}

static weft_var sample(weft_tape *t, int i)
{
    const weft_cross_entropy_spec ignoring = { .smoothing = 0.1, .has_ignore = true, .ignore = 2 },
                                  others = { .smoothing = 0.1, .kind = WEFT_LABELS_OTHERS },
                                  annotated = { 0.1, WEFT_LABELS_ANNOTATED, .never = 2,
                                                .has_ignore = true };
    weft_var x;
    switch (i) {
    case 0: return with(t, weft_sample_normal(t, WEFT_DIMS(4, 3)), 5, false, 0);
    case 1: return with(t, weft_sample_normal(t, WEFT_DIMS(4, 3)), 5, true, 0.1);
    case 2: return with(t, weft_sample_normal(t, WEFT_DIMS(2, 3, 4)), 37, true, 0.1);
    case 3: return with(t, weft_sample_normal(t, WEFT_DIMS(1, 1)), 2, true, 0.2);
    case 4: return with(t, weft_sample_strided(t, WEFT_DIMS(5, 4)), 6, true, 0.1);
    case 5: /* several blocks of rows, the last one ragged */
        return with(t, weft_sample_normal(t, WEFT_DIMS(1043, 2)), 3, true, 0.1);
    case 6: /* some rows do not count */
        return weft_projection_loss(t, weft_sample_normal(t, WEFT_DIMS(9, 3)),
                                    weft_sample_normal(t, WEFT_DIMS(4, 3)),
                                    weft_sample_normal(t, WEFT_DIMS(4)),
                                    weft_sample_int(t, 0, 4, WEFT_DIMS(9)), &ignoring, NULL);
    case 7: /* one value as x and W */
        x = weft_sample_normal(t, WEFT_DIMS(4, 3));
        return weft_projection_loss(t, x, x, WEFT_NIL, weft_sample_int(t, 0, 4, WEFT_DIMS(4)), NULL,
                                    NULL);
    case 8: return with(t, weft_sample_uniform(t, -30, 30, WEFT_DIMS(3, 4)), 7, true, 0.3);
    case 9: /* a weight that is used elsewhere too, and a column slice */
        x = weft_sample_strided(t, WEFT_DIMS(6, 3));
        return weft_mul(t, weft_sum(t, weft_mul(t, x, x), WEFT_ALL, false),
                        weft_projection_loss(t, weft_sample_normal(t, WEFT_DIMS(4, 3)), x, WEFT_NIL,
                                             weft_sample_int(t, 0, 6, WEFT_DIMS(4)), NULL, NULL));
    case 10: return weft_scale(t, with(t, weft_sample_normal(t, WEFT_DIMS(3)), 4, true, 0), -2);
    case 11:
        return weft_projection_loss(t, weft_sample_normal(t, WEFT_DIMS(2, 3, 4)),
                                    weft_sample_normal(t, WEFT_DIMS(5, 4)),
                                    weft_sample_normal(t, WEFT_DIMS(5)),
                                    weft_sample_int(t, 0, 5, WEFT_DIMS(6)), &others, NULL);
    case 12: /* `never` in the middle, some rows do not count */
        return weft_projection_loss(
            t, weft_sample_normal(t, WEFT_DIMS(5, 3)), weft_sample_normal(t, WEFT_DIMS(7, 3)),
            weft_sample_normal(t, WEFT_DIMS(7)),
            weft_constant_int(t, WEFT_DIMS(5), (int32_t[]){ 0, 6, 1, 0, 3 }), &annotated, NULL);
    default: return WEFT_NIL;
    }
}

static weft_var misuse(weft_tape *t, int i)
{
    const weft_var x = weft_sample_normal(t, WEFT_DIMS(2, 3)),
                   w = weft_sample_normal(t, WEFT_DIMS(5, 3)),
                   b = weft_sample_normal(t, WEFT_DIMS(5)),
                   y = weft_sample_int(t, 0, 5, WEFT_DIMS(2)),
                   wrong = weft_constant_int(t, WEFT_DIMS(2), (int32_t[]){ 4, 5 });
    switch (i) {
    case 0: return weft_projection_loss(t, x, w, b, wrong, NULL, NULL);
    case 1: return weft_projection_loss(t, b, w, b, y, NULL, NULL);
    case 2: return weft_projection_loss(t, x, w, x, y, NULL, NULL);
    case 3: return weft_projection_loss(t, x, b, b, y, NULL, NULL);
    case 4: return weft_projection_loss(t, w, w, b, y, NULL, NULL);
    case 5:
        return weft_projection_loss(t, x, w, b, y, &(weft_cross_entropy_spec){ .smoothing = 1 },
                                    NULL);
    case 6: return weft_projection_loss(t, weft_scalar(t, 1), w, b, y, NULL, NULL);
    case 7: return weft_projection_loss(t, x, w, b, WEFT_NIL, NULL, NULL);
    case 8:
        return weft_projection_loss(t, x, weft_sample_normal(t, WEFT_DIMS(0, 3)), WEFT_NIL, y, NULL,
                                    NULL);
    case 9:
        return weft_projection_loss(
            t, x, w, b, y, &(weft_cross_entropy_spec){ 0.1, WEFT_LABELS_ANNOTATED, .never = 5 },
            NULL);
    default: return WEFT_NIL;
    }
}

const weft_op weft_op_projection_loss = { .name = "projection_loss",
                                          .inputs = "x weight bias targets",
                                          .n_in = 4,
                                          .n_out = 2,
                                          .detached = 2,
                                          .integer = 1 << TARGETS,
                                          .optional = 1 << BIAS,
                                          .strided = 1 << X | 1 << WEIGHT,
                                          .infer = infer,
                                          .forward = forward,
                                          .backward = backward,
                                          .define = define,
                                          .sample = sample,
                                          .misuse = misuse };

weft_var weft_projection_loss(weft_tape *tape, weft_var x, weft_var weight, weft_var bias,
                              weft_var targets, const weft_cross_entropy_spec *spec, weft_var *nll)
{
    const weft_cross_entropy_spec attr = spec ? *spec : (weft_cross_entropy_spec){ 0 };
    weft_var out[2];
    const bool ok = weft_apply(tape, &weft_op_projection_loss, 4,
                               (weft_var[]){ x, weight, bias, targets }, &attr, sizeof attr, out);
    if (nll) *nll = ok ? out[1] : WEFT_NIL;
    return out[0];
}
