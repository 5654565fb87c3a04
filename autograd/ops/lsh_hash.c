/**
 * weft_lsh_hash - buckets of vectors that point into similar directions (Andoni et al. 2015; Kitaev et al.
 * 2020, Reformer, section 2).
 *
 *     h(x) = argmax [x R; -x R]        R [K, b / 2] random normal, b buckets
 *
 * for each head of each row and each of several rounds. More than 64 buckets are the product of two or
 * three hashes of equally many, which keeps the cost of a row near log b. The rotations are the same for
 * all heads and sentences; a sentence of n rows has `buckets` of them or, where that is 0, one up to
 * `chunk` rows and 2 ceil(n / chunk) beyond (the paper's m = 2 n / b for chunks of m).
 *
 * @param x     [N, H K], or [B, T, H K]
 * @param spec  heads H, rounds R, buckets, chunk, key, offsets
 * @return      int32 [N, H R]: column h R + r for round r of head h
 *
 * Gradient     none: it is a choice
 * Errors       WEFT_ERR_SHAPE  columns that are no H heads;  WEFT_ERR_RANGE  heads, rounds (1 to 64),
 *              buckets (1, or even up to 65536), chunk; offsets that do not rise from 0 to the rows
 */
#include "autograd/lsh_internal.h"
#include "core/checked.h"
#include "core/small_gemm.h"

#include <omp.h>

enum { X, OFFSETS, N_INPUTS };
enum { ROWS = 64, MOST = 64, HALF = MOST / 2, FACTORS = 3 };

/* Buckets are factor^n_factors. */
typedef struct hashing {
    int64_t factor;
    int n_factors;
} hashing;

static hashing hashing_of(const weft_lsh_attr *a, int64_t n)
{
    const int64_t buckets = a->buckets      ? a->buckets
                            : n <= a->chunk ? 1
                                            : 2 * ((n + a->chunk - 1) / a->chunk);
    hashing h = { .factor = buckets, .n_factors = 1 };
    if (buckets <= MOST) return h;
    h.n_factors = buckets <= MOST * MOST ? 2 : 3;
    for (h.factor = 2;; h.factor += 2) {
        int64_t all = h.factor * h.factor;
        if (h.n_factors == 3) all *= h.factor;
        if (all >= buckets || h.factor == MOST) return h;
    }
}

static int64_t longest(const weft_call *c)
{
    const weft_tensor *x = &c->in[X], *offsets = &c->in[OFFSETS];
    int64_t most = 0;
    for (int64_t b = 0; b < weft_packed_sentences(x, offsets); b++) {
        const int64_t n = weft_packed_begin(x, offsets, b + 1) - weft_packed_begin(x, offsets, b);
        if (n > most) most = n;
    }
    return most;
}

static bool infer(weft_call *c)
{
    const weft_lsh_attr *a = c->attr;
    const weft_tensor *x = &c->in[X];
    if (!weft_lsh_check(c, a) || !weft_packed_check_heads(c, X, "x", a->heads) ||
        !weft_packed_check(c, OFFSETS, "offsets", weft_rows(x)))
        return false;
    const int64_t K = weft_cols(x) / a->heads;
    size_t elements, bytes;
    if (!weft_mul_bytes((size_t)K, (size_t)a->rounds * FACTORS * HALF, &elements) ||
        !weft_mul_bytes(elements, sizeof(weft_real), &bytes))
        return weft_fail(c, WEFT_ERR_OVERFLOW, "heads are too wide");
    c->scratch_bytes = bytes;
    int64_t dim[WEFT_MAX_RANK] = { 0 };
    for (int i = 0; i < x->rank; i++) dim[i] = x->dim[i];
    dim[x->rank - 1] = (int64_t)a->heads * a->rounds;
    return weft_out(c, 0, WEFT_INT32, x->rank, dim);
}

/* Rotation f of round r, [K, HALF] each; columns from the key alone, so that a short sentence uses the
 * first ones of a long one's. */
static const weft_real *rotation(const weft_real *all, int64_t K, int r, int f)
{
    return all + ((int64_t)r * FACTORS + f) * K * HALF;
}

static void draw(const weft_lsh_attr *a, int64_t K, hashing most, weft_real *all)
{
    const int64_t n = (int64_t)a->rounds * most.n_factors, half = most.factor / 2;
#pragma omp parallel for schedule(static) num_threads(weft_team(n, n *K *half * 64))
    for (int64_t i = 0; i < n; i++) {
        const int64_t number = i / most.n_factors * FACTORS + i % most.n_factors;
        for (int64_t c = 0; c < K; c++)
            for (int64_t j = 0; j < half; j++)
                all[(number * K + c) * HALF + j] = (weft_real)weft_random_normal(
                    a->key, (uint64_t)(number * HALF + j), (uint32_t)c);
    }
}

/* The place of the largest of p and -p. */
WEFT_INLINE int32_t side(int64_t half, const weft_real *p)
{
    int64_t at = 0;
    weft_real most = p[0];
    for (int64_t j = 1; j < half; j++)
        if (p[j] > most) {
            most = p[j];
            at = j;
        }
    for (int64_t j = 0; j < half; j++)
        if (-p[j] > most) {
            most = -p[j];
            at = half + j;
        }
    return (int32_t)at;
}

/* n <= ROWS rows of one head, all rounds. */
WEFT_KERNEL static void hash_rows(const weft_lsh_attr *a, hashing h, int64_t n, int64_t K,
                                  const weft_real *x, int64_t ldx, const weft_real *all, int32_t *y,
                                  int64_t ldy)
{
    weft_real p[ROWS * HALF];
    for (int r = 0; r < a->rounds; r++) {
        for (int64_t i = 0; i < n; i++) y[i * ldy + r] = 0;
        for (int f = 0; f < h.n_factors && h.factor > 1; f++) {
            small_gemm_nn(n, h.factor / 2, K, x, ldx, rotation(all, K, r, f), HALF, p, HALF, false);
            for (int64_t i = 0; i < n; i++)
                y[i * ldy + r] =
                    y[i * ldy + r] * (int32_t)h.factor + side(h.factor / 2, p + i * HALF);
        }
    }
}

static void forward(const weft_call *c)
{
    const weft_lsh_attr *a = c->attr;
    const weft_tensor *x = &c->in[X], *y = &c->out[0], *offsets = &c->in[OFFSETS];
    const int64_t H = a->heads, K = weft_cols(x) / H, n = weft_packed_sentences(x, offsets) * H;
    const hashing most = hashing_of(a, longest(c));
    draw(a, K, most, c->scratch);
    /* NOLINTNEXTLINE: a pragma reads work */
    const int64_t work = weft_rows(x) * H * K * a->rounds * most.n_factors * most.factor;
#pragma omp parallel for schedule(static, 1) num_threads(weft_team(n, work))
    for (int64_t i = 0; i < n; i++) {
        const int64_t h = i % H, row = weft_packed_begin(x, offsets, i / H),
                      end = weft_packed_begin(x, offsets, i / H + 1);
        for (int64_t from = row; from < end; from += ROWS)
            hash_rows(a, hashing_of(a, end - row), end - from < ROWS ? end - from : ROWS, K,
                      x->real + from * x->ld + h * K, x->ld, c->scratch,
                      y->i32 + from * y->ld + h * a->rounds, y->ld);
    }
}

static weft_var sample(weft_tape *t, int i)
{
    static const weft_lsh_spec specs[] = { { .heads = 1 },
                                           { .heads = 2, .rounds = 3 },
                                           { .heads = 2, .buckets = 6 },
                                           { .heads = 1, .buckets = 1 },
                                           { .heads = 4, .buckets = 64, .rounds = 2 },
                                           { .heads = 2, .buckets = 66 },
                                           { .heads = 2, .buckets = 65536 },
                                           { .heads = 1, .chunk = 2 },
                                           { .heads = 2, .chunk = 1, .rounds = 4, .key = 5 } };
    enum { N_SPECS = sizeof specs / sizeof *specs };
    if (i < N_SPECS) return weft_lsh_hash(t, weft_sample_normal(t, WEFT_DIMS(9, 8)), &specs[i]);
    weft_lsh_spec spec = { .heads = 2, .chunk = 3 };
    if (i == N_SPECS) spec.offsets = weft_constant_int(t, WEFT_DIMS(4), (int32_t[]){ 0, 2, 2, 80 });
    if (i <= N_SPECS) return weft_lsh_hash(t, weft_sample_strided(t, WEFT_DIMS(80, 6)), &spec);
    if (i == N_SPECS + 1) return weft_lsh_hash(t, weft_sample_normal(t, WEFT_DIMS(2, 5, 4)), &spec);
    return WEFT_NIL;
}

static weft_var misuse(weft_tape *t, int i)
{
    const weft_var x = weft_sample_normal(t, WEFT_DIMS(6, 4));
    weft_lsh_spec spec = { .heads = 2 };
    switch (i) {
    case 0: spec.heads = 3; break;
    case 1: spec.heads = 0; break;
    case 2: spec.rounds = -1; break;
    case 3: spec.buckets = 3; break;
    case 4: spec.buckets = 65538; break;
    case 5: spec.chunk = -1; break;
    case 6: spec.offsets = weft_constant_int(t, WEFT_DIMS(2), (int32_t[]){ 0, 5 }); break;
    case 7: return weft_lsh_hash(t, x, NULL);
    case 8: return weft_lsh_hash(t, weft_sample_normal(t, WEFT_DIMS(4)), &spec);
    default: return WEFT_NIL;
    }
    return weft_lsh_hash(t, x, &spec);
}

const weft_op weft_op_lsh_hash = { .name = "lsh_hash",
                                   .inputs = "x offsets",
                                   .n_in = N_INPUTS,
                                   .integer = 1 << OFFSETS,
                                   .optional = 1 << OFFSETS,
                                   .strided = 1 << X,
                                   .infer = infer,
                                   .forward = forward,
                                   .sample = sample,
                                   .misuse = misuse };

weft_var weft_lsh_hash(weft_tape *tape, weft_var x, const weft_lsh_spec *spec)
{
    if (!spec) {
        weft_tape_fail(tape, WEFT_ERR_STATE, "lsh_hash: no spec, which says how many heads");
        return WEFT_NIL;
    }
    const weft_lsh_attr attr = weft_lsh_attr_of(spec);
    return weft_apply1(tape, &weft_op_lsh_hash, N_INPUTS, (weft_var[]){ x, spec->offsets }, &attr,
                       sizeof attr);
}
