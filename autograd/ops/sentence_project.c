/**
 * weft_sentence_project - each sentence, of whatever length, as k rows (Wang et al. 2020, Linformer,
 * equation 7: E K and F V).
 *
 *     Y_b = W[:, 0 .. n_b) X_b        for each sentence b of n_b rows
 *
 * which is what W [k, n] gives for a sentence filled up with zeros to n. With Y of keys and of values,
 * weft_attention takes k keys a sentence (k_offsets = 0, k, 2k, ...) instead of n_b: time O(N k D),
 * memory O(N + B k D) for it.
 *
 * @param weight   W [k, n]
 * @param x        [N, C], or [B, T, C]
 * @param offsets  int32 [B+1], as in specs.h
 * @return         [B k, C], or [B, k, C]
 *
 * Gradient  dW[:, 0 .. n_b) = sum of dY_b X_b^T,  dX_b = W[:, 0 .. n_b)^T dY_b
 * Errors    WEFT_ERR_RANGE  a sentence longer than n; offsets that do not rise from 0 to the rows
 *           WEFT_ERR_SHAPE  a weight that is no matrix, x that is neither
 * Numbers   products by weft_gemm, dW sentence by sentence in their order
 */
#include "autograd/packed_internal.h"
#include "core/checked.h"

#include <string.h>

enum { W, X, OFFSETS, N_INPUTS };

static bool infer(weft_call *c)
{
    const weft_tensor *w = &c->in[W], *x = &c->in[X], *offsets = &c->in[OFFSETS];
    if (w->rank != 2) return weft_fail(c, WEFT_ERR_SHAPE, "weight must be [k, n]");
    if (x->rank != 2 && x->rank != 3)
        return weft_fail(c, WEFT_ERR_SHAPE, "x must be [rows, C] or [sentences, rows, C]");
    if (!weft_packed_check(c, OFFSETS, "offsets", weft_rows(x))) return false;
    const int64_t B = weft_packed_sentences(x, offsets), k = w->dim[0];
    for (int64_t b = 0; b < B && !weft_call_is_dry(c); b++) {
        const int64_t n = weft_packed_begin(x, offsets, b + 1) - weft_packed_begin(x, offsets, b);
        if (n > w->dim[1])
            return weft_fail(c, WEFT_ERR_RANGE,
                             "sentence %lld has %lld rows, the weight is for at most %lld",
                             (long long)b, (long long)n, (long long)w->dim[1]);
    }
    int64_t rows;
    if (!weft_mul_i64(B, k, &rows)) return weft_fail(c, WEFT_ERR_OVERFLOW, "too many rows");
    c->scratch_bytes = c->backward_scratch_bytes = (size_t)B * sizeof(weft_gemm_args);
    if (x->rank == 3 && offsets->rank < 0)
        return weft_out(c, 0, WEFT_REAL, WEFT_DIMS(B, k, weft_cols(x)));
    return weft_out(c, 0, WEFT_REAL, WEFT_DIMS(rows, weft_cols(x)));
}

static void forward(const weft_call *c)
{
    const weft_tensor *w = &c->in[W], *x = &c->in[X], *offsets = &c->in[OFFSETS], *y = &c->out[0];
    const int64_t B = weft_packed_sentences(x, offsets), k = w->dim[0];
    weft_gemm_args *products = c->scratch;
    for (int64_t b = 0; b < B; b++) {
        const int64_t row = weft_packed_begin(x, offsets, b);
        products[b] = (weft_gemm_args){ .M = k,
                                        .N = weft_cols(x),
                                        .K = weft_packed_begin(x, offsets, b + 1) - row,
                                        .alpha = 1,
                                        .A = w->real,
                                        .lda = w->ld,
                                        .B = x->real + row * x->ld,
                                        .ldb = x->ld,
                                        .C = y->real + b * k * y->ld,
                                        .ldc = y->ld };
    }
    weft_gemm_batch(B, products);
}

static void backward(const weft_call *c)
{
    const weft_tensor *w = &c->in[W], *x = &c->in[X], *offsets = &c->in[OFFSETS], *dy = &c->dout[0],
                      *dw = &c->din[W], *dx = &c->din[X];
    const int64_t B = weft_packed_sentences(x, offsets), k = w->dim[0], C = weft_cols(x);
    weft_gemm_args *products = c->scratch;
    for (int64_t i = 0; i < k && dw->data && !c->add[W]; i++)
        memset(dw->real + i * dw->ld, 0, (size_t)w->dim[1] * sizeof *dw->real);
    for (int64_t b = 0; b < B; b++) {
        const int64_t row = weft_packed_begin(x, offsets, b),
                      n = weft_packed_begin(x, offsets, b + 1) - row;
        const weft_real *dy_b = dy->real + b * k * dy->ld;
        if (dx->data)
            products[b] = (weft_gemm_args){ .trans_a = true,
                                            .M = n,
                                            .N = C,
                                            .K = k,
                                            .alpha = 1,
                                            .A = w->real,
                                            .lda = w->ld,
                                            .B = dy_b,
                                            .ldb = dy->ld,
                                            .beta = c->add[X] ? 1 : 0,
                                            .C = dx->real + row * dx->ld,
                                            .ldc = dx->ld };
        if (dw->data)
            weft_gemm(&(weft_gemm_args){ .trans_b = true,
                                         .M = k,
                                         .N = n,
                                         .K = C,
                                         .alpha = 1,
                                         .A = dy_b,
                                         .lda = dy->ld,
                                         .B = x->real + row * x->ld,
                                         .ldb = x->ld,
                                         .beta = 1,
                                         .C = dw->real,
                                         .ldc = dw->ld });
    }
    if (dx->data) weft_gemm_batch(B, products);
}

typedef struct definition {
    weft_tape *t;
    weft_tensor in[N_INPUTS];
    weft_var w, x;
} definition;

static weft_var define_sentence(const void *context, int64_t b)
{
    const definition *d = context;
    weft_tape *t = d->t;
    const int64_t row = weft_packed_begin(&d->in[X], &d->in[OFFSETS], b),
                  n = weft_packed_begin(&d->in[X], &d->in[OFFSETS], b + 1) - row;
    return weft_matmul(t, weft_slice(t, d->w, 1, 0, n), weft_slice(t, d->x, 0, row, row + n));
}

static void define(weft_rule *r)
{
    weft_tape *t = r->tape;
    definition d = { .t = t, .w = r->in[W], .x = weft_packed_matrix(t, r->in[X]) };
    weft_packed_inputs(r, OFFSETS, d.in);
    const int64_t B = weft_packed_sentences(&d.in[X], &d.in[OFFSETS]);
    const weft_tensor out = weft_shape(t, r->out[0]);
    if (weft_tape_flags(t) & WEFT_DRY) { /* offsets are not known: a product of the same shape */
        const weft_var first =
            weft_matmul(t, weft_slice(t, d.w, 1, 0, 1), weft_slice(t, d.x, 0, 0, 1));
        r->result[0] = weft_expand(t, first, out.rank, out.dim);
        return;
    }
    weft_packed_define(r, &out, B, weft_cols(&d.in[X]), define_sentence, &d);
}

/* ---- tests -------------------------------------------------------------------------------------- */

static weft_var project(weft_tape *t, int64_t k, int64_t n, int64_t N, int64_t C, weft_var offsets)
{
    return weft_sentence_project(t, weft_sample_normal(t, WEFT_DIMS(k, n)),
                                 weft_sample_normal(t, WEFT_DIMS(N, C)), offsets);
}

static weft_var offsets_of(weft_tape *t, int64_t n, const int32_t *x)
{
    return weft_constant_int(t, WEFT_DIMS(n), x);
}

static weft_var sample(weft_tape *t, int i)
{
    weft_var x;
    switch (i) {
    case 0: return project(t, 3, 5, 5, 4, WEFT_NIL);
    case 1: return project(t, 3, 9, 5, 4, WEFT_NIL);
    case 2: return project(t, 1, 1, 1, 1, WEFT_NIL);
    case 3: return project(t, 4, 6, 12, 3, offsets_of(t, 4, (int32_t[]){ 0, 6, 7, 12 }));
    case 4: return project(t, 2, 6, 12, 3, offsets_of(t, 5, (int32_t[]){ 0, 6, 6, 7, 12 }));
    case 5: return project(t, 7, 100, 130, 5, offsets_of(t, 3, (int32_t[]){ 0, 90, 130 }));
    case 6:
        return weft_sentence_project(t, weft_sample_normal(t, WEFT_DIMS(2, 4)),
                                     weft_sample_normal(t, WEFT_DIMS(3, 4, 5)), WEFT_NIL);
    case 7:
        return weft_sentence_project(t, weft_sample_strided(t, WEFT_DIMS(2, 8)),
                                     weft_sample_strided(t, WEFT_DIMS(8, 5)),
                                     offsets_of(t, 3, (int32_t[]){ 0, 3, 8 }));
    case 8:
        x = weft_sample_normal(t, WEFT_DIMS(4, 4));
        return weft_sentence_project(t, x, x, WEFT_NIL);
    case 9: return project(t, 70, 66, 66, 3, WEFT_NIL);
    default: return WEFT_NIL;
    }
}

static weft_var misuse(weft_tape *t, int i)
{
    switch (i) {
    case 0: return project(t, 3, 4, 5, 4, WEFT_NIL);
    case 1: return project(t, 3, 4, 9, 4, offsets_of(t, 3, (int32_t[]){ 0, 5, 9 }));
    case 2: return project(t, 3, 9, 9, 4, offsets_of(t, 3, (int32_t[]){ 0, 5, 8 }));
    case 3:
        return weft_sentence_project(t, weft_sample_normal(t, WEFT_DIMS(4)),
                                     weft_sample_normal(t, WEFT_DIMS(3, 4)), WEFT_NIL);
    case 4:
        return weft_sentence_project(t, weft_sample_normal(t, WEFT_DIMS(4, 4)),
                                     weft_sample_normal(t, WEFT_DIMS(3)), WEFT_NIL);
    default: return WEFT_NIL;
    }
}

const weft_op weft_op_sentence_project = { .name = "sentence_project",
                                           .inputs = "weight x offsets",
                                           .n_in = N_INPUTS,
                                           .integer = 1 << OFFSETS,
                                           .optional = 1 << OFFSETS,
                                           .strided = 1 << W | 1 << X,
                                           .infer = infer,
                                           .forward = forward,
                                           .backward = backward,
                                           .define = define,
                                           .sample = sample,
                                           .misuse = misuse };

weft_var weft_sentence_project(weft_tape *tape, weft_var weight, weft_var x, weft_var offsets)
{
    return weft_apply1(tape, &weft_op_sentence_project, N_INPUTS,
                       (weft_var[]){ weight, x, offsets }, NULL, 0);
}
