/**
 * weft_probsparse_select - the queries that differ most in how they look at the keys (Zhou et al. 2021,
 * Informer, section 3.2 and its published code).
 *
 *     M_i = max of q_i . k_j - sum of q_i . k_j / L      over U = c ceil(ln L) keys drawn for query i
 *
 * for each head, with L keys; the u = c ceil(ln n) of n queries with the largest M are chosen, the first
 * of equals. As in the code, and unlike the paper's mean, the sum is divided by L and not by U. No more
 * than L keys are drawn (with repetition) nor more than n queries chosen.
 *
 * Strictly causal, query i counts as the last one: L = i + 1, drawn from the keys up to it, and i is
 * chosen where fewer than u of the queries before have as large an M. There the sum is divided by U,
 * as M of different L are compared. About c (ln n)^2 / 2 are chosen. As published, also of causal attention, M and u know the whole sentence: the choice reads
 * the future.
 *
 * @param q     [N, H K], or [B, T, H K]
 * @param k     [M, H K], or [B, S, H K]
 * @param spec  heads H, kind, factor c, key, q_offsets, k_offsets
 * @return      int32 [N, H]: 1 where query n of head h is chosen
 *
 * Gradient     none: it is a choice
 * Errors       WEFT_ERR_SHAPE  columns that are no H heads or differ, causal with unequal sentences;
 *              WEFT_ERR_RANGE  heads, factor, offsets
 * Numbers      keys are drawn by position in the sentence: the same for all sentences and heads
 */
#include "autograd/probsparse_internal.h"
#include "core/checked.h"
#include "core/kernel.h"

#include <string.h>

enum { Q, K_IN, Q_OFFSETS, K_OFFSETS, N_INPUTS };

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* c ceil(ln n), no more than n. */
static int64_t sparse(double factor, int64_t n)
{
    if (n < 1) return 0;
    const double u = ceil(factor * ceil(log((double)n)));
    return u < (double)n ? (int64_t)u : n;
}

static bool infer(weft_call *c)
{
    const weft_probsparse_attr *a = c->attr;
    const weft_tensor *q = &c->in[Q];
    if (!weft_probsparse_check(c, a, Q_OFFSETS)) return false;
    int64_t dim[WEFT_MAX_RANK] = { 0 };
    for (int i = 0; i < q->rank; i++) dim[i] = q->dim[i];
    dim[q->rank - 1] = a->heads;
    /* M of all; the largest of each sentence and head are a part of as many places */
    size_t bytes;
    if (!weft_mul_bytes((size_t)(weft_rows(q) * a->heads), 2 * sizeof(weft_real), &bytes))
        return weft_fail(c, WEFT_ERR_OVERFLOW, "too many queries");
    c->scratch_bytes = bytes;
    return weft_out(c, 0, WEFT_INT32, q->rank, dim);
}

/* One chain over the head: the same bits however it is called. */
WEFT_KERNEL static double dot(int64_t K, const weft_real *x, const weft_real *y)
{
    double s[8] = { 0 };
    int64_t c = 0;
    for (; c + 8 <= K; c += 8)
        for (int i = 0; i < 8; i++) s[i] += (double)x[c + i] * (double)y[c + i];
    for (int i = 0; c < K; c++, i++) s[i] += (double)x[c] * (double)y[c];
    return ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));
}

/* M of query `at` of a sentence, all heads; keys begin at row k_row. */
static void measure(const weft_call *c, int64_t row, int64_t at, int64_t k_row, int64_t n_k,
                    weft_real *M)
{
    enum { BLOCK = 64 };
    const weft_probsparse_attr *a = c->attr;
    const weft_tensor *q = &c->in[Q], *k = &c->in[K_IN];
    const int64_t H = a->heads, K = weft_cols(q) / H;
    const int64_t L = a->kind == WEFT_PROBSPARSE_CAUSAL ? at + 1 : n_k, U = sparse(a->factor, L);
    const double divisor = (double)(a->kind == WEFT_PROBSPARSE_CAUSAL ? U : L);
    for (int64_t h = 0; h < H; h++) M[h] = 0;
    int64_t drawn[BLOCK];
    for (int64_t from = 0; from < U; from += BLOCK) {
        const int64_t n = least(BLOCK, U - from);
        for (int64_t s = 0; s < n; s++)
            drawn[s] = (int64_t)weft_random_below(a->key, (uint64_t)at << 32 | (uint64_t)(from + s),
                                                  (uint64_t)L);
        for (int64_t h = 0; h < H; h++) {
            double max = 0, sum = 0;
            for (int64_t s = 0; s < n; s++) {
                const double score = dot(K, q->real + (row + at) * q->ld + h * K,
                                         k->real + (k_row + drawn[s]) * k->ld + h * K);
                if (s == 0 || score > max) max = score;
                sum += score;
            }
            /* blocks of keys: M holds the largest so far, the sums are taken off at the end */
            weft_real *sums = M + weft_rows(q) * H;
            M[h] = from == 0 || max > (double)M[h] ? (weft_real)max : M[h];
            sums[h] = (from == 0 ? 0 : sums[h]) + (weft_real)(sum / divisor);
        }
    }
    for (int64_t h = 0; h < H && U > 0; h++) M[h] -= M[weft_rows(q) * H + h];
}

/* top[0 .. n) falls; x goes in before the smaller ones, the last of `most` falls out. Returns how many
 * are at least x. */
static int64_t insert(weft_real *top, int64_t *n, int64_t most, weft_real x)
{
    int64_t at = *n;
    while (at > 0 && !(top[at - 1] >= x)) at--;
    if (at < most) {
        const int64_t moved = (*n < most ? *n : most - 1) - at;
        memmove(top + at + 1, top + at, (size_t)moved * sizeof *top);
        top[at] = x;
        if (*n < most) (*n)++;
    }
    return at;
}

/* Choose among the n queries of a head; M and chosen are `ld` apart; room for all that may be chosen. */
static void choose(const weft_probsparse_attr *a, int64_t n, const weft_real *M, int64_t ld,
                   weft_real *room, int32_t *chosen)
{
    const int64_t most = sparse(a->factor, n);
    int64_t n_top = 0;
    for (int64_t i = 0; i < n; i++) {
        const int64_t before = insert(room, &n_top, most, M[i * ld]);
        if (a->kind == WEFT_PROBSPARSE_CAUSAL) chosen[i * ld] = before < sparse(a->factor, i + 1);
    }
    if (a->kind == WEFT_PROBSPARSE_CAUSAL) return;
    int64_t above = 0, equal; /* of those equal to the last one chosen, the first ones count */
    while (above < most && room[above] > room[most - 1]) above++;
    equal = most - above;
    for (int64_t i = 0; i < n; i++) {
        const bool same = most > 0 && M[i * ld] == room[most - 1] && equal > 0;
        chosen[i * ld] = same || (most > 0 && M[i * ld] > room[most - 1]);
        equal -= same;
    }
}

static void forward(const weft_call *c)
{
    const weft_probsparse_attr *a = c->attr;
    const weft_tensor *q = &c->in[Q], *k = &c->in[K_IN];
    const int64_t H = a->heads, B = weft_packed_sentences(q, &c->in[Q_OFFSETS]), N = weft_rows(q);
    weft_real *M = c->scratch;
    /* NOLINTNEXTLINE: a pragma reads work */
    const int64_t work = N * weft_cols(q) * sparse(a->factor, weft_rows(k));
    /* many sentences are shared among threads, or the queries of one; never both */
#pragma omp parallel for schedule(static, 1) num_threads(weft_team(B, work))
    for (int64_t b = 0; b < B; b++) {
        const int64_t row = weft_packed_begin(q, &c->in[Q_OFFSETS], b),
                      n = weft_packed_begin(q, &c->in[Q_OFFSETS], b + 1) - row,
                      k_row = weft_packed_begin(k, &c->in[K_OFFSETS], b),
                      n_k = weft_packed_begin(k, &c->in[K_OFFSETS], b + 1) - k_row;
#pragma omp parallel for schedule(static) num_threads(weft_team(n, N > 0 ? work / N * n : 0))
        for (int64_t i = 0; i < n; i++) measure(c, row, i, k_row, n_k, M + (row + i) * H);
    }
#pragma omp parallel for schedule(static) num_threads(weft_team(B *H, N *H * 16))
    for (int64_t i = 0; i < B * H; i++) {
        const int64_t row = weft_packed_begin(q, &c->in[Q_OFFSETS], i / H), h = i % H,
                      n = weft_packed_begin(q, &c->in[Q_OFFSETS], i / H + 1) - row;
        choose(a, n, M + row * H + h, H, M + N * H + row * H + h * n, c->out[0].i32 + row * H + h);
    }
}

static weft_var pick(weft_tape *t, int64_t N, weft_probsparse_spec spec)
{
    return weft_probsparse_select(t, weft_sample_normal(t, WEFT_DIMS(N, 6)),
                                  weft_sample_normal(t, WEFT_DIMS(N, 6)), &spec);
}

static weft_var sample(weft_tape *t, int i)
{
    weft_probsparse_spec spec = { .heads = 2, .kind = (weft_probsparse_kind)(i % 3), .factor = 1 };
    switch (i / 3) {
    case 0: return pick(t, 9, spec);
    case 1: spec.factor = 0; return pick(t, 1, spec);
    case 2:
        spec.q_offsets = weft_constant_int(t, WEFT_DIMS(4), (int32_t[]){ 0, 40, 40, 91 });
        return pick(t, 91, spec);
    case 3: spec.factor = 100; return pick(t, 80, spec);
    default: break;
    }
    if (i > 12) return WEFT_NIL;
    spec.q_offsets = weft_constant_int(t, WEFT_DIMS(3), (int32_t[]){ 0, 5, 9 });
    spec.k_offsets = weft_constant_int(t, WEFT_DIMS(3), (int32_t[]){ 0, 0, 7 });
    return weft_probsparse_select(t, weft_sample_strided(t, WEFT_DIMS(9, 6)),
                                  weft_sample_strided(t, WEFT_DIMS(7, 6)), &spec);
}

static weft_var misuse(weft_tape *t, int i)
{
    const weft_var x = weft_sample_normal(t, WEFT_DIMS(6, 4)),
                   y = weft_sample_normal(t, WEFT_DIMS(5, 4));
    weft_probsparse_spec spec = { .heads = 2 };
    switch (i) {
    case 0: spec.heads = 3; break;
    case 1: spec.heads = 0; break;
    case 2: spec.factor = -1; break;
    case 3: spec.kind = WEFT_PROBSPARSE_CAUSAL; return weft_probsparse_select(t, x, y, &spec);
    case 4: spec.q_offsets = weft_constant_int(t, WEFT_DIMS(2), (int32_t[]){ 0, 5 }); break;
    case 5: return weft_probsparse_select(t, x, x, NULL);
    case 6: return weft_probsparse_select(t, x, weft_sample_normal(t, WEFT_DIMS(6, 6)), &spec);
    case 7: spec.scale = INFINITY; break;
    default: return WEFT_NIL;
    }
    return weft_probsparse_select(t, x, x, &spec);
}

const weft_op weft_op_probsparse_select = { .name = "probsparse_select",
                                            .inputs = "q k q_offsets k_offsets",
                                            .n_in = N_INPUTS,
                                            .integer = 1 << Q_OFFSETS | 1 << K_OFFSETS,
                                            .optional = 1 << Q_OFFSETS | 1 << K_OFFSETS,
                                            .strided = 1 << Q | 1 << K_IN,
                                            .infer = infer,
                                            .forward = forward,
                                            .sample = sample,
                                            .misuse = misuse };

weft_var weft_probsparse_select(weft_tape *tape, weft_var q, weft_var k,
                                const weft_probsparse_spec *spec)
{
    if (!spec) {
        weft_tape_fail(tape, WEFT_ERR_STATE,
                       "probsparse_select: no spec, which says how many heads");
        return WEFT_NIL;
    }
    const weft_probsparse_attr attr = weft_probsparse_attr_of(spec);
    const weft_var k_offsets = weft_is_nil(spec->k_offsets) ? spec->q_offsets : spec->k_offsets;
    return weft_apply1(tape, &weft_op_probsparse_select, N_INPUTS,
                       (weft_var[]){ q, k, spec->q_offsets, k_offsets }, &attr, sizeof attr);
}
