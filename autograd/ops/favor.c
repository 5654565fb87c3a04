/**
 * weft_favor - positive random features of the softmax kernel (Choromanski et al. 2021, Performer).
 *
 *     phi_j(x) = (exp(w_j . s x - |s x|^2 / 2 - c) + eps) / sqrt(m)
 *
 * for each head of each row. With c = eps = 0 the product of two rows of features is an unbiased estimate
 * of exp(s x . s y); s = K^(-1/4) makes that the weight of attention. Its mean squared error with
 * independent w_j is exp(|s(x + y)|^2) (1 - exp(-|s(x + y)|^2)) / m times the square of what is estimated
 * (lemma 2); orthogonal ones do better. Hyperbolic features are those of all w_j and then of all -w_j,
 * over sqrt(2 m). c, the stabiliser, is the largest exponent of the row (for queries) or of the head in
 * its sentence (for keys): in linear attention it cancels out up to eps. For keys of causal attention
 * it would be taken from the future, so there it is 0; exponents are never above |w|^2 / 2.
 *
 * weft_linear_attention takes such features as q and k with WEFT_FEATURES_GIVEN.
 *
 * weft_favor_directions draws w [m, K] from N(0, I), in orthogonal blocks of K unless `independent`; the
 * same key gives the same.
 *
 * @param x           [N, H K], or [B, T, H K]
 * @param directions  [m, K]; no gradient
 * @param spec        heads H, hyperbolic, scale s (0: K^(-1/4)), eps, stabiliser, offsets as
 *                    weft_attention
 * @return            [N, H F], F = m or 2 m
 *
 * Gradient  through the exponents and through c, to the first of equal largest ones
 * Errors    WEFT_ERR_SHAPE  columns that are no H heads of K;  WEFT_ERR_RANGE  heads, scale, eps; offsets
 *           that do not rise from 0 to the rows
 * Saved     c and where it is
 * Numbers   products as in core/small_gemm.h; one thread for a head of a sentence
 */
#include "autograd/packed_internal.h"
#include "autograd/rows_internal.h"
#include "core/checked.h"
#include "core/small_gemm.h"

#include <omp.h>

enum { X, W, OFFSETS, N_INPUTS };
enum { CHUNK = 64 };

typedef struct favor_attr {
    int heads;
    bool hyperbolic;
    double scale, eps;
    weft_stabiliser stabiliser;
    int n_threads; /* workspaces */
} favor_attr;

/* One head of one sentence. */
typedef struct favor_head {
    int64_t n, K, m, F;
    bool hyperbolic;
    weft_stabiliser stabiliser;
    weft_real scale, eps, factor;
    const weft_real *x, *w, *wt; /* w [m, K], transposed [K, m] */
    weft_real *y;                /* forward */
    weft_real *shift;            /* [n]: c; the sentence's in the first */
    int32_t *at;                 /* [n]: where in the row; sentence: [0] feature, [1] row */
    int64_t ldx, ldy;
    const weft_real *dy; /* backward */
    weft_real *dx;
    int64_t lddy, lddx;
    bool add;
} favor_head;

typedef struct workspace {
    weft_real *scaled, *dscaled; /* [CHUNK, K] */
    weft_real *e;                /* [CHUNK, F] */
} workspace;

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* ---- kernels ------------------------------------------------------------------------------------ */

/* Exponents of n rows before the stabiliser; s x stays in w->scaled. */
WEFT_INLINE void exponents(const favor_head *h, int64_t from, int64_t n, const workspace *w,
                           weft_real *e, int64_t lde)
{
    for (int64_t i = 0; i < n; i++)
        for (int64_t c = 0; c < h->K; c++)
            w->scaled[i * h->K + c] = h->x[(from + i) * h->ldx + c] * h->scale;
    small_gemm_nn(n, h->m, h->K, w->scaled, h->K, h->wt, h->m, e, lde, false);
    for (int64_t i = 0; i < n; i++) {
        const weft_real *s = w->scaled + i * h->K;
        const weft_real half = (weft_real)(0.5 * row_product(h->K, s, s));
        weft_real *row = e + i * lde;
        if (h->hyperbolic)
            for (int64_t j = 0; j < h->m; j++) row[h->m + j] = -row[j] - half;
        for (int64_t j = 0; j < h->m; j++) row[j] -= half;
    }
}

WEFT_INLINE int64_t first_of(int64_t n, const weft_real *x, weft_real value)
{
    int64_t j = 0;
    while (j < n - 1 && x[j] != value) j++;
    return j;
}

WEFT_INLINE void finish_row(const favor_head *h, weft_real shift, weft_real *y)
{
#pragma omp simd
    for (int64_t j = 0; j < h->F; j++) y[j] = (real_exp(y[j] - shift) + h->eps) * h->factor;
}

WEFT_KERNEL static void forward_head(const favor_head *h, const workspace *w)
{
    weft_real largest = (weft_real)-INFINITY;
    for (int64_t from = 0; from < h->n; from += CHUNK) {
        const int64_t n = least(CHUNK, h->n - from);
        exponents(h, from, n, w, h->y + from * h->ldy, h->ldy);
        for (int64_t i = from; i < from + n && h->stabiliser != WEFT_STABILISE_NONE; i++) {
            weft_real *y = h->y + i * h->ldy;
            const weft_real max = row_max(h->F, y);
            if (h->stabiliser == WEFT_STABILISE_ROW) {
                if (h->shift) {
                    h->shift[i] = max;
                    h->at[2 * i] = (int32_t)first_of(h->F, y, max);
                }
                finish_row(h, max, y);
            } else if (i == 0 || max > largest) {
                largest = max;
                if (!h->shift) continue;
                h->shift[0] = max;
                h->at[0] = (int32_t)first_of(h->F, y, max);
                h->at[1] = (int32_t)i;
            }
        }
    }
    if (h->stabiliser == WEFT_STABILISE_ROW) return;
    const weft_real shift = h->stabiliser == WEFT_STABILISE_NONE ? 0 : largest;
    for (int64_t i = 0; i < h->n; i++) finish_row(h, shift, h->y + i * h->ldy);
}

/* dexponents of a row, from its exponents, into e; their sum is returned. */
WEFT_INLINE double row_gradient(const favor_head *h, int64_t i, weft_real *e)
{
    const weft_real *dy = h->dy + i * h->lddy;
    const weft_real shift = h->stabiliser == WEFT_STABILISE_NONE  ? 0
                            : h->stabiliser == WEFT_STABILISE_ROW ? h->shift[i]
                                                                  : h->shift[0];
#pragma omp simd
    for (int64_t j = 0; j < h->F; j++) e[j] = dy[j] * h->factor * real_exp(e[j] - shift);
    const double sum = row_sum(h->F, e);
    if (h->stabiliser != WEFT_STABILISE_ROW) return sum;
    e[h->at[2 * i]] -= (weft_real)sum;
    return 0;
}

/* What the sentence's c owes the row that it came from. */
WEFT_INLINE void give_largest(const favor_head *h, double total)
{
    const int64_t row = h->at[1], j = h->at[0] % h->m;
    const weft_real sign = h->at[0] < h->m ? 1 : -1, d = (weft_real)-total * h->scale;
    weft_real *dx = h->dx + row * h->lddx;
    for (int64_t c = 0; c < h->K; c++)
        dx[c] += d * (sign * h->w[j * h->K + c] - h->x[row * h->ldx + c] * h->scale);
}

WEFT_KERNEL static void backward_head(const favor_head *h, const workspace *w)
{
    double total = 0;
    for (int64_t from = 0; from < h->n; from += CHUNK) {
        const int64_t n = least(CHUNK, h->n - from);
        weft_real sums[CHUNK];
        exponents(h, from, n, w, w->e, h->F);
        for (int64_t i = 0; i < n; i++) {
            weft_real *e = w->e + i * h->F;
            const double sum = row_gradient(h, from + i, e);
            sums[i] = (weft_real)sum;
            total += sum;
            if (h->hyperbolic)
                for (int64_t j = 0; j < h->m; j++) e[j] -= e[h->m + j];
        }
        small_gemm_nn(n, h->K, h->m, w->e, h->F, h->w, h->K, w->dscaled, h->K, false);
        for (int64_t i = 0; i < n; i++) {
            weft_real *dx = h->dx + (from + i) * h->lddx;
            for (int64_t c = 0; c < h->K; c++) {
                const int64_t k = i * h->K + c;
                dx[c] = (h->add ? dx[c] : 0) + (w->dscaled[k] - sums[i] * w->scaled[k]) * h->scale;
            }
        }
    }
    if (h->stabiliser == WEFT_STABILISE_SENTENCE && h->n > 0) give_largest(h, total);
}

WEFT_KERNEL static void transpose(int64_t m, int64_t K, const weft_real *w, weft_real *wt)
{
    small_transpose(m, K, w, K, wt, m);
}

/* ---- the operation ------------------------------------------------------------------------------ */

static bool infer(weft_call *c)
{
    const favor_attr *a = c->attr;
    const weft_tensor *x = &c->in[X], *w = &c->in[W];
    if (!weft_packed_check_heads(c, X, "x", a->heads) ||
        !weft_packed_check(c, OFFSETS, "offsets", weft_rows(x)))
        return false;
    if (!isfinite(a->scale)) return weft_fail(c, WEFT_ERR_RANGE, "scale is %g", a->scale);
    if (!isfinite(a->eps) || a->eps < 0) return weft_fail(c, WEFT_ERR_RANGE, "eps is %g", a->eps);
    const int64_t K = weft_cols(x) / a->heads;
    if (w->rank != 2 || w->dim[0] < 1 || w->dim[1] != K)
        return weft_fail(c, WEFT_ERR_SHAPE, "directions must be [m, %lld]: heads of x are so wide",
                         (long long)K);
    const int64_t F = w->dim[0] * (a->hyperbolic ? 2 : 1);
    int64_t cols;
    size_t each, all;
    if (F > INT32_MAX || !weft_mul_i64(F, a->heads, &cols) ||
        !weft_mul_bytes(CHUNK * sizeof(weft_real), (size_t)(2 * K + F), &each) ||
        !weft_mul_bytes(each, (size_t)a->n_threads, &all))
        return weft_fail(c, WEFT_ERR_OVERFLOW, "too many features");
    all += (size_t)weft_size(w) * sizeof(weft_real);
    c->scratch_bytes = c->backward_scratch_bytes = all;
    return weft_packed_out(c, X, cols) && weft_save(c, 0, WEFT_REAL, a->heads * weft_rows(x)) &&
           weft_save(c, 1, WEFT_INT32, 2 * a->heads * weft_rows(x));
}

static favor_head head_of(const weft_call *c, int64_t b, int64_t head, const weft_real *wt,
                          bool backward)
{
    const favor_attr *a = c->attr;
    const weft_tensor *x = &c->in[X], *w = &c->in[W], *y = &c->out[0];
    const int64_t K = weft_cols(w), m = weft_rows(w), F = a->hyperbolic ? 2 * m : m,
                  row = weft_packed_begin(x, &c->in[OFFSETS], b);
    favor_head h = { .n = weft_packed_begin(x, &c->in[OFFSETS], b + 1) - row,
                     .K = K,
                     .m = m,
                     .F = F,
                     .hyperbolic = a->hyperbolic,
                     .stabiliser = a->stabiliser,
                     .scale = (weft_real)(a->scale == 0 ? pow((double)K, -0.25) : a->scale),
                     .eps = (weft_real)a->eps,
                     .factor = (weft_real)(1 / sqrt((double)F)),
                     .x = x->real + row * x->ld + head * K,
                     .w = w->real,
                     .wt = wt,
                     .y = y->real + row * y->ld + head * F,
                     .ldx = x->ld,
                     .ldy = y->ld };
    if (backward || c->saved[0].data) {
        const int64_t at = head * weft_rows(x) + row;
        h.shift = c->saved[0].real + at;
        h.at = c->saved[1].i32 + 2 * at;
    }
    if (!backward) return h;
    h.dy = c->dout[0].real + row * c->dout[0].ld + head * F;
    h.lddy = c->dout[0].ld;
    h.dx = c->din[X].real + row * c->din[X].ld + head * K;
    h.lddx = c->din[X].ld;
    h.add = c->add[X];
    return h;
}

static void sweep(const weft_call *c, bool backward)
{
    const favor_attr *a = c->attr;
    const weft_tensor *x = &c->in[X], *w = &c->in[W];
    const int64_t K = weft_cols(w), m = weft_rows(w), F = a->hyperbolic ? 2 * m : m, H = a->heads;
    const int64_t n = weft_packed_sentences(x, &c->in[OFFSETS]) * H, each = CHUNK * (2 * K + F);
    weft_real *wt = c->scratch, *works = wt + m * K;
    transpose(m, K, w->real, wt);
    int team = weft_team(n, 2 * weft_rows(x) * H * m * K);
    /* The number of threads may have been raised in between. NOLINTNEXTLINE: a pragma reads team */
    if (team > a->n_threads) team = a->n_threads;
#pragma omp parallel for schedule(static, 1) num_threads(team)
    for (int64_t i = 0; i < n; i++) {
        const favor_head h = head_of(c, i / H, i % H, wt, backward);
        workspace work = { .scaled = works + omp_get_thread_num() * each };
        work.dscaled = work.scaled + CHUNK * K;
        work.e = work.dscaled + CHUNK * K;
        if (backward)
            backward_head(&h, &work);
        else
            forward_head(&h, &work);
    }
}

static void forward(const weft_call *c) { sweep(c, false); }

static void backward(const weft_call *c)
{
    if (c->din[X].data) sweep(c, true);
}

/* ---- definition --------------------------------------------------------------------------------- */

typedef struct definition {
    weft_tape *t;
    const favor_attr *a;
    weft_tensor in[N_INPUTS];
    weft_var x, w;
} definition;

static weft_var define_head(const void *context, int64_t b, int64_t h)
{
    const definition *d = context;
    weft_tape *t = d->t;
    const favor_attr *a = d->a;
    const int64_t K = weft_cols(&d->in[W]), m = weft_rows(&d->in[W]),
                  row = weft_packed_begin(&d->in[X], &d->in[OFFSETS], b),
                  n = weft_packed_begin(&d->in[X], &d->in[OFFSETS], b + 1) - row;
    const double scale = a->scale == 0 ? pow((double)K, -0.25) : a->scale;
    const weft_var x = weft_scale(t, weft_packed_part(t, d->x, row, n, h, K), scale),
                   half = weft_scale(t, weft_sum(t, weft_mul(t, x, x), 1, true), 0.5),
                   along = weft_matmul_t(t, x, false, d->w, true);
    weft_var e = weft_sub(t, along, half);
    if (a->hyperbolic)
        e = weft_concat(t, 2, (weft_var[]){ e, weft_sub(t, weft_neg(t, along), half) }, 1);
    if (a->stabiliser != WEFT_STABILISE_NONE) {
        const int axis = a->stabiliser == WEFT_STABILISE_ROW ? 1 : WEFT_ALL;
        e = weft_sub(t, e, weft_max(t, e, axis, true, NULL));
    }
    const weft_var y = weft_add(t, weft_exp(t, e), weft_scalar(t, a->eps));
    return weft_scale(t, y, 1 / sqrt((double)(a->hyperbolic ? 2 * m : m)));
}

static weft_var define_sentence(const void *context, int64_t b)
{
    const definition *d = context;
    if (weft_packed_begin(&d->in[X], &d->in[OFFSETS], b) ==
        weft_packed_begin(&d->in[X], &d->in[OFFSETS], b + 1))
        return WEFT_NIL;
    return weft_packed_heads(d->t, d->a->heads, b, define_head, d);
}

static void define(weft_rule *r)
{
    definition d = { .t = r->tape, .a = r->attr, .w = r->in[W] };
    weft_packed_inputs(r, OFFSETS, d.in);
    d.x = weft_packed_matrix(r->tape, r->in[X]);
    const int64_t F = weft_rows(&d.in[W]) * (d.a->hyperbolic ? 2 : 1);
    weft_packed_define(r, &d.in[X], weft_packed_sentences(&d.in[X], &d.in[OFFSETS]), d.a->heads * F,
                       define_sentence, &d);
}

/* ---- tests -------------------------------------------------------------------------------------- */

/* x [N, H K], m directions. */
static weft_var features(weft_tape *t, int64_t N, int64_t K, int64_t m, const weft_favor_spec *spec)
{
    return weft_favor(t, weft_sample_normal(t, WEFT_DIMS(N, spec->heads * K)),
                      weft_favor_directions(t, m, K, false, 7), spec);
}

static weft_var sample_packed(weft_tape *t, weft_stabiliser stabiliser, bool hyperbolic)
{
    const weft_favor_spec spec = { .heads = 2,
                                   .hyperbolic = hyperbolic,
                                   .eps = 0.1,
                                   .stabiliser = stabiliser,
                                   .offsets = weft_constant_int(t, WEFT_DIMS(5),
                                                                (int32_t[]){ 0, 66, 66, 67, 75 }) };
    return features(t, 75, 3, 5, &spec);
}

static weft_var sample(weft_tape *t, int i)
{
    weft_var x;
    switch (i) {
    case 0: return features(t, 5, 4, 6, &(weft_favor_spec){ .heads = 1 });
    case 1: return features(t, 5, 3, 4, &(weft_favor_spec){ .heads = 2, .eps = 0.2 });
    case 2:
        return features(
            t, 4, 3, 7,
            &(weft_favor_spec){ .heads = 2, .eps = 0.2, .stabiliser = WEFT_STABILISE_ROW });
    case 3:
        return features(
            t, 4, 3, 2,
            &(weft_favor_spec){ .heads = 3, .eps = 0.2, .stabiliser = WEFT_STABILISE_SENTENCE });
    case 4: return features(t, 6, 5, 3, &(weft_favor_spec){ .heads = 1, .hyperbolic = true });
    case 5: return sample_packed(t, WEFT_STABILISE_ROW, true);
    case 6: return sample_packed(t, WEFT_STABILISE_SENTENCE, true);
    case 7: return sample_packed(t, WEFT_STABILISE_SENTENCE, false);
    case 8: return sample_packed(t, WEFT_STABILISE_NONE, false);
    case 9: /* batches of equal lengths, a slice */
        x = weft_sample_normal(t, WEFT_DIMS(2, 3, 6));
        return weft_favor(
            t, x, weft_favor_directions(t, 5, 3, true, 8),
            &(weft_favor_spec){
                .heads = 2, .scale = 0.5, .eps = 0.1, .stabiliser = WEFT_STABILISE_SENTENCE });
    case 10:
        x = weft_sample_strided(t, WEFT_DIMS(7, 4));
        return weft_favor(t, x, weft_favor_directions(t, 3, 2, false, 9),
                          &(weft_favor_spec){ .heads = 2 });
    case 11:
        return features(
            t, 1, 1, 2,
            &(weft_favor_spec){ .heads = 1, .eps = 0.3, .stabiliser = WEFT_STABILISE_ROW });
    default: return WEFT_NIL;
    }
}

static weft_var misuse(weft_tape *t, int i)
{
    const weft_var x = weft_sample_normal(t, WEFT_DIMS(6, 4)),
                   w = weft_favor_directions(t, 3, 2, false, 1);
    weft_favor_spec spec = { .heads = 2 };
    switch (i) {
    case 0: spec.heads = 3; break;
    case 1: spec.heads = 0; break;
    case 2: spec.heads = 1; break;
    case 3: spec.eps = -1; break;
    case 4: spec.scale = NAN; break;
    case 5: spec.offsets = weft_constant_int(t, WEFT_DIMS(2), (int32_t[]){ 0, 5 }); break;
    case 6: return weft_favor(t, x, w, NULL);
    case 7: return weft_favor(t, x, weft_favor_directions(t, 0, 2, false, 1), &spec);
    case 8: return weft_favor(t, weft_sample_normal(t, WEFT_DIMS(4)), w, &spec);
    default: return WEFT_NIL;
    }
    return weft_favor(t, x, w, &spec);
}

const weft_op weft_op_favor = { .name = "favor",
                                .inputs = "x directions offsets",
                                .n_in = N_INPUTS,
                                .integer = 1 << OFFSETS,
                                .optional = 1 << OFFSETS,
                                .constant = 1 << W,
                                .strided = 1 << X,
                                .infer = infer,
                                .forward = forward,
                                .backward = backward,
                                .define = define,
                                .sample = sample,
                                .misuse = misuse };

weft_var weft_favor(weft_tape *tape, weft_var x, weft_var directions, const weft_favor_spec *spec)
{
    if (!spec) {
        weft_tape_fail(tape, WEFT_ERR_STATE, "favor: no spec, which says how many heads");
        return WEFT_NIL;
    }
    const favor_attr attr = { .heads = spec->heads,
                              .hyperbolic = spec->hyperbolic,
                              .scale = spec->scale,
                              .eps = spec->eps,
                              .stabiliser = spec->stabiliser,
                              .n_threads = weft_threads() };
    return weft_apply1(tape, &weft_op_favor, N_INPUTS, (weft_var[]){ x, directions, spec->offsets },
                       &attr, sizeof attr);
}
