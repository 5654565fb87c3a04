/* test_approx.c - precision: double - attention that leaves pairs out by what the data say: buckets of
 * Reformers, chosen queries of Informers, and the projected keys of Linformers. Gradients and definitions
 * are the matter of test_ops.c. */
#include "autograd/autograd.h"
#include "tests/check_main.h"

#include <math.h>
#include <string.h>

static weft_var normal(weft_tape *t, uint64_t key, int64_t R, int64_t C)
{
    weft_real *x = malloc((size_t)(R * C) * sizeof *x);
    for (int64_t i = 0; i < R * C; i++) x[i] = weft_random_normal(key, (uint64_t)i, 0);
    const weft_var y = weft_leaf(t, WEFT_DIMS(R, C), x);
    free(x);
    return y;
}

/* Largest difference of two dense tensors of one size. */
static double differ(weft_tensor a, weft_tensor b)
{
    double worst = 0;
    ck_assert(a.data && b.data);
    ck_assert_int_eq(weft_size(&a), weft_size(&b));
    for (int64_t i = 0; i < weft_size(&a); i++) {
        ck_assert(isfinite(a.real[i]) && isfinite(b.real[i]));
        worst = fmax(worst, fabs(a.real[i] - b.real[i]));
    }
    return worst;
}

/* Slope of log y over log x = log(from 2^i), i = 0 .. n-1. */
static double slope_of(int n, double from, const double *y)
{
    double sx = 0, sy = 0, sxx = 0, sxy = 0;
    for (int i = 0; i < n; i++) {
        const double x = log(from) + i * log(2), ly = log(y[i]);
        sx += x;
        sy += ly;
        sxx += x * x;
        sxy += x * ly;
    }
    return (n * sxy - sx * sy) / (n * sxx - sx * sx);
}

/* ---- buckets ------------------------------------------------------------------------------------ */

/* Shared-QK attention that never attends to itself but where there is nothing else: one head. */
static void shared_attention(int64_t n, int64_t K, int64_t Kv, const weft_real *q,
                             const weft_real *v, bool causal, weft_real *o)
{
    for (int64_t i = 0; i < n; i++) {
        double sum = 0;
        for (int64_t c = 0; c < Kv; c++) o[i * Kv + c] = 0;
        for (int64_t j = 0; j < (causal ? i : n); j++) {
            if (j == i) continue;
            double s = 0, square = 0;
            for (int64_t c = 0; c < K; c++) {
                s += q[i * K + c] * q[j * K + c];
                square += q[j * K + c] * q[j * K + c];
            }
            const double weight = exp(s / sqrt(square) / sqrt((double)K));
            sum += weight;
            for (int64_t c = 0; c < Kv; c++) o[i * Kv + c] += weight * v[j * Kv + c];
        }
        for (int64_t c = 0; c < Kv; c++)
            o[i * Kv + c] = sum == 0 ? v[i * Kv + c] : o[i * Kv + c] / sum;
    }
}

START_TEST(one_bucket_is_full_shared_attention)
{
    enum { LONGEST = 150, K = 5, KV = 7 };
    static const int64_t lengths[] = { 1, 2, 63, 64, 65, 150 };
    weft_tape *t = weft_tape_new(0);
    for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++)
        for (int causal = 0; causal < 2; causal++)
            for (int rounds = 1; rounds < 3; rounds++) {
                const int64_t n = lengths[l];
                weft_real o[LONGEST * KV];
                weft_tape_reset(t);
                const weft_var q = normal(t, 1, n, K), v = normal(t, 2, n, KV);
                const weft_lsh_spec spec = {
                    .heads = 1, .rounds = rounds, .buckets = 1, .chunk = 150, .causal = causal
                };
                const weft_tensor y = weft_value(t, weft_lsh_attention(t, q, v, &spec));
                shared_attention(n, K, KV, weft_value(t, q).real, weft_value(t, v).real, causal, o);
                weft_tensor expected = y;
                expected.real = o;
                ck_assert_double_le(differ(y, expected), 1e-11);
            }
    weft_tape_free(t);
}
END_TEST

/* Of how many tokens the key of the largest score was found. */
static double recall(int rounds, bool causal)
{
    enum { N = 256, K = 16 };
    static weft_real unit[N * N];
    for (int i = 0; i < N; i++) unit[i * N + i] = 1;
    weft_tape *t = weft_tape_new(WEFT_NO_GRAD);
    const weft_var x = normal(t, 5, N, K);
    const weft_lsh_spec spec = {
        .heads = 1, .rounds = rounds, .buckets = 16, .chunk = 32, .causal = causal, .key = 3
    };
    const weft_tensor q = weft_value(t, x),
                      w = weft_value(t, weft_lsh_attention(
                                            t, x, weft_constant(t, WEFT_DIMS(N, N), unit), &spec));
    int found = 0, all = 0;
    for (int i = 1; i < N; i++) {
        int best = -1;
        double most = 0;
        for (int j = 0; j < (causal ? i : N); j++) {
            double s = 0, square = 0;
            for (int c = 0; c < K; c++) {
                s += q.real[i * K + c] * q.real[j * K + c];
                square += q.real[j * K + c] * q.real[j * K + c];
            }
            s /= sqrt(square);
            if (j == i || (best >= 0 && s <= most)) continue;
            most = s;
            best = j;
        }
        all++;
        found += w.real[i * N + best] > 0;
    }
    weft_tape_free(t);
    return (double)found / all;
}

START_TEST(recall_rises_with_rounds)
{
    for (int causal = 0; causal < 2; causal++) {
        double before = 0;
        for (int rounds = 1; rounds <= 16; rounds *= 2) {
            const double now = recall(rounds, causal);
            ck_assert_msg(now > before, "%d rounds: %g, before %g", rounds, now, before);
            before = now;
        }
        ck_assert_double_ge(before, 0.9);
    }
}
END_TEST

START_TEST(collisions_fall_with_the_angle)
{
    enum { K = 16, ROUNDS = 64, KEYS = 40, ANGLES = 7 };
    int collisions[ANGLES] = { 0 };
    weft_tape *t = weft_tape_new(0);
    for (uint64_t key = 0; key < KEYS; key++) {
        weft_real x[(ANGLES + 1) * K] = { 0 };
        for (int a = 0; a <= ANGLES; a++) {
            const double angle = a == 0 ? 0 : (a - 0.5) * 0.4;
            x[a * K] = cos(angle);
            x[a * K + 1] = sin(angle);
        }
        weft_tape_reset(t);
        const weft_tensor h = weft_value(
            t, weft_lsh_hash(
                   t, weft_constant(t, WEFT_DIMS(ANGLES + 1, K), x),
                   &(weft_lsh_spec){ .heads = 1, .rounds = ROUNDS, .buckets = 16, .key = key }));
        for (int a = 0; a < ANGLES; a++)
            for (int r = 0; r < ROUNDS; r++)
                collisions[a] += h.i32[r] == h.i32[(a + 1) * ROUNDS + r];
    }
    for (int a = 1; a < ANGLES; a++) ck_assert_int_lt(collisions[a], collisions[a - 1]);
    ck_assert_int_eq(collisions[ANGLES - 1] < ROUNDS * KEYS / 100, 1);
    weft_tape_free(t);
}
END_TEST

/* Many buckets are a product of hashes: as many as asked for, or a few more, and all of them in use. */
START_TEST(many_buckets_are_a_product)
{
    enum { N = 20000, K = 8, BUCKETS = 200 };
    weft_tape *t = weft_tape_new(0);
    const weft_tensor h =
        weft_value(t, weft_lsh_hash(t, normal(t, 1, N, K),
                                    &(weft_lsh_spec){ .heads = 1, .buckets = BUCKETS }));
    int32_t most = 0;
    for (int i = 0; i < N; i++) most = h.i32[i] > most ? h.i32[i] : most;
    ck_assert_int_ge(most, BUCKETS - 2);
    ck_assert_int_lt(most, 16 * 16);
    weft_tape_free(t);
}
END_TEST

/* What a further round finds again counts once. */
START_TEST(repeats_count_once)
{
    enum { N = 90, K = 4 };
    int32_t once[N], twice[2 * N];
    for (int i = 0; i < N; i++)
        once[i] = twice[2 * i] = twice[2 * i + 1] = (int32_t)weft_random_below(1, (uint64_t)i, 5);
    weft_tape *t = weft_tape_new(0);
    const weft_var x = normal(t, 1, N, K);
    weft_lsh_spec spec = { .heads = 1, .chunk = 16 };
    spec.hashes = weft_constant_int(t, WEFT_DIMS(N, 1), once);
    const weft_tensor a = weft_value(t, weft_lsh_attention(t, x, x, &spec));
    spec.rounds = 2;
    spec.hashes = weft_constant_int(t, WEFT_DIMS(N, 2), twice);
    ck_assert_double_eq(differ(a, weft_value(t, weft_lsh_attention(t, x, x, &spec))), 0);
    weft_tape_free(t);
}
END_TEST

/* Causal attention never weighs the future, yet buckets know it: other tokens at the end move the chunks
 * of those before. */
START_TEST(buckets_leak_though_weights_do_not)
{
    enum { N = 200, KEPT = 150, K = 8 };
    weft_tape *t = weft_tape_new(0);
    weft_lsh_spec spec = { .heads = 1, .chunk = 16, .causal = true };
    const weft_var x = normal(t, 1, N, K), y = weft_lsh_attention(t, x, x, &spec),
                   past = weft_slice(t, y, 0, 0, KEPT);
    weft_keep(t, past);
    ck_assert_int_eq(weft_backward(t, weft_sum(t, past, WEFT_ALL, false), NULL), WEFT_OK);
    const weft_tensor dx = weft_gradient(t, x);
    for (int i = KEPT * K; i < N * K; i++) ck_assert_double_eq(dx.real[i], 0);

    weft_tape *other = weft_tape_new(0);
    weft_real changed[N * K];
    memcpy(changed, weft_value(t, x).real, sizeof changed);
    for (int i = KEPT * K; i < N * K; i++) changed[i] = -changed[i];
    const weft_var z = weft_constant(other, WEFT_DIMS(N, K), changed);
    const weft_var leaked = weft_slice(other, weft_lsh_attention(other, z, z, &spec), 0, 0, KEPT);
    ck_assert_double_gt(differ(weft_value(t, past), weft_value(other, leaked)), 1e-6);
    weft_tape_free(t);
    weft_tape_free(other);
}
END_TEST

/* A sentence alone gives what it gives in a batch, to the bit; `attend` gets the offsets. */
typedef weft_var attend(weft_tape *t, weft_var x, weft_var offsets, int kind);

static void check_isolated(attend *f, int kind)
{
    enum { N = 300, FROM = 90, TO = 221, C = 16 };
    weft_tape *t = weft_tape_new(0), *alone = weft_tape_new(0);
    const weft_var x = normal(t, 1, N, C);
    const weft_var y =
        f(t, x, weft_constant_int(t, WEFT_DIMS(5), (int32_t[]){ 0, FROM, TO, TO, N }), kind);
    const weft_var z =
        weft_constant(alone, WEFT_DIMS(TO - FROM, C), weft_value(t, x).real + FROM * C);
    const weft_tensor packed = weft_value(t, y),
                      one = weft_value(alone, f(alone, z, WEFT_NIL, kind));
    ck_assert_msg(packed.data && one.data, "%s", weft_message());
    ck_assert_int_eq(memcmp(packed.real + FROM * C, one.real, (TO - FROM) * C * sizeof(weft_real)),
                     0);
    weft_tape_free(t);
    weft_tape_free(alone);
}

static weft_var by_buckets(weft_tape *t, weft_var x, weft_var offsets, int kind)
{
    return weft_lsh_attention(
        t, x, x,
        &(weft_lsh_spec){
            .heads = 2, .rounds = 2, .chunk = 16, .causal = kind == 1, .offsets = offsets });
}

static weft_var by_choice(weft_tape *t, weft_var x, weft_var offsets, int kind)
{
    return weft_probsparse_attention(
        t, x, x, x,
        &(weft_probsparse_spec){
            .heads = 2, .kind = (weft_probsparse_kind)kind, .factor = 2, .q_offsets = offsets });
}

/* NaN in token AT: by given buckets, or chosen queries, only who sees it has one, and nobody's gradient but
 * of those that such a query sees. */
START_TEST(nan_stays)
{
    enum { N = 150, AT = 80, K = 4 };
    int32_t own[N];
    weft_tape *t = weft_tape_new(WEFT_RETAIN);
    const weft_var q = normal(t, 1, N, K), k = normal(t, 2, N, K), v = normal(t, 3, N, K);
    for (int c = 0; c < K; c++)
        weft_value(t, q).real[AT * K + c] = weft_value(t, k).real[AT * K + c] =
            weft_value(t, v).real[AT * K + c] = NAN;
    for (int i = 0; i < N; i++) own[i] = _i == 0 ? i % 3 : i % 2;
    const weft_var choice = weft_constant_int(t, WEFT_DIMS(N, 1), own);
    const weft_var y =
        _i == 0 ? weft_lsh_attention(
                      t, q, v,
                      &(weft_lsh_spec){ .heads = 1, .chunk = N, .causal = true, .hashes = choice })
                : weft_probsparse_attention(
                      t, q, k, v,
                      &(weft_probsparse_spec){ .heads = 1,
                                               .kind = _i == 1 ? WEFT_PROBSPARSE_CAUSAL
                                                               : WEFT_PROBSPARSE_PUBLISHED,
                                               .selected = choice });
    const weft_var loss = weft_sum(t, weft_mul(t, y, y), WEFT_ALL, false);
    ck_assert_msg(weft_backward(t, loss, NULL) == WEFT_OK, "%s", weft_message());
    const weft_tensor o = weft_value(t, y), dq = weft_gradient(t, q), dv = weft_gradient(t, v);
    for (int i = 0; i < N; i++) {
        const bool meets = _i > 0 || own[i] == own[AT]; /* tokens of one bucket */
        ck_assert_int_eq(isnan(o.real[i * o.ld]), meets && i >= AT);
        if (_i == 0 ? !meets : i < AT) ck_assert(isfinite(dq.real[i * dq.ld]));
        if (_i == 0 && !meets) ck_assert(isfinite(dv.real[i * dv.ld]));
    }
    weft_tape_free(t);
}
END_TEST

START_TEST(sentences_are_isolated)
{
    for (int causal = 0; causal < 2; causal++) check_isolated(by_buckets, causal);
    for (int kind = 0; kind < 3; kind++) check_isolated(by_choice, kind);
}
END_TEST

static double planned(attend *f, int64_t n, int kind)
{
    weft_tape *t = weft_tape_new(WEFT_DRY);
    const weft_var x = weft_leaf(t, WEFT_DIMS(n, 512), NULL), y = f(t, x, WEFT_NIL, kind);
    ck_assert_int_eq(weft_backward(t, weft_sum(t, y, WEFT_ALL, false), NULL), WEFT_OK);
    const double bytes = (double)weft_tape_peak_bytes(t);
    weft_tape_free(t);
    return bytes;
}

static weft_var by_projection(weft_tape *t, weft_var x, weft_var offsets, int kind)
{
    const weft_tensor shape = weft_shape(t, x);
    const weft_var w = weft_leaf(t, WEFT_DIMS(256, weft_rows(&shape)), NULL),
                   y = weft_sentence_project(t, w, x, offsets);
    (void)kind;
    return weft_attention(t, x, y, y, &(weft_attention_spec){ .heads = 8 });
}

START_TEST(memory_is_linear)
{
    enum { N = 1 << 14 };
    ck_assert_double_le(log2(planned(by_buckets, 2 * N, 0) / planned(by_buckets, N, 0)), 1.02);
    ck_assert_double_le(log2(planned(by_projection, 2 * N, 0) / planned(by_projection, N, 0)),
                        1.02);
    for (int kind = 0; kind < 3; kind++)
        ck_assert_double_le(log2(planned(by_choice, 2 * N, kind) / planned(by_choice, N, kind)),
                            1.02);
}
END_TEST

/* ---- chosen queries ----------------------------------------------------------------------------- */

START_TEST(choosing_all_is_full_attention)
{
    enum { N = 140, H = 2, K = 6 };
    weft_tape *t = weft_tape_new(0);
    for (int kind = 0; kind < 3; kind++) {
        weft_tape_reset(t);
        const weft_var q = normal(t, 1, N, H * K), k = normal(t, 2, N, H * K),
                       v = normal(t, 3, N, H * K);
        const weft_probsparse_spec spec = { .heads = H,
                                            .kind = (weft_probsparse_kind)kind,
                                            .factor = 1000 };
        const weft_attention_spec full = { .heads = H, .causal = kind != WEFT_PROBSPARSE };
        /* of the first token alone ln 1 = 0 are chosen; its mean is its value all the same */
        ck_assert_double_le(differ(weft_value(t, weft_probsparse_attention(t, q, k, v, &spec)),
                                   weft_value(t, weft_attention(t, q, k, v, &full))),
                            1e-13);
    }
    weft_tape_free(t);
}
END_TEST

START_TEST(equal_queries_give_means)
{
    enum { N = 100, K = 4 };
    weft_tape *t = weft_tape_new(0);
    weft_real same[N * K];
    for (int i = 0; i < N * K; i++) same[i] = 0.3 * (i % K);
    for (int kind = 0; kind < 3; kind++) {
        weft_tape_reset(t);
        const weft_var q = weft_constant(t, WEFT_DIMS(N, K), same), v = normal(t, 3, N, K);
        const weft_probsparse_spec spec = { .heads = 1, .kind = (weft_probsparse_kind)kind };
        const weft_tensor chosen = weft_value(t, weft_probsparse_select(t, q, q, &spec)),
                          y = weft_value(t, weft_probsparse_attention(t, q, q, v, &spec)),
                          x = weft_value(t, v);
        double sum[K] = { 0 };
        int n_lazy = 0;
        for (int j = 0; j < N && kind == WEFT_PROBSPARSE; j++)
            for (int c = 0; c < K; c++) sum[c] += x.real[j * K + c] / N;
        for (int i = 0; i < N; i++) {
            for (int c = 0; c < K && kind != WEFT_PROBSPARSE; c++) sum[c] += x.real[i * K + c];
            const double share = kind == WEFT_PROBSPARSE_CAUSAL ? 1.0 / (i + 1) : 1;
            for (int c = 0; c < K && !chosen.i32[i]; c++)
                ck_assert_double_le(fabs(y.real[i * K + c] - share * sum[c]), 1e-13);
            n_lazy += !chosen.i32[i];
        }
        ck_assert_int_gt(n_lazy, N / 2);
    }
    weft_tape_free(t);
}
END_TEST

START_TEST(as_many_are_chosen_as_published)
{
    enum { N = 1000, H = 3, K = 4 };
    weft_tape *t = weft_tape_new(0);
    const weft_var q = normal(t, 1, N, H * K), k = normal(t, 2, N, H * K);
    weft_probsparse_spec spec = { .heads = H };
    const weft_tensor a = weft_value(t, weft_probsparse_select(t, q, k, &spec)),
                      again = weft_value(t, weft_probsparse_select(t, q, k, &spec));
    spec.key = 1;
    const weft_tensor other = weft_value(t, weft_probsparse_select(t, q, k, &spec));
    spec.kind = WEFT_PROBSPARSE_CAUSAL;
    const weft_tensor causal = weft_value(t, weft_probsparse_select(t, q, k, &spec));
    for (int h = 0; h < H; h++) {
        int n = 0, n_causal = 0;
        for (int i = 0; i < N; i++) {
            n += a.i32[i * H + h];
            n_causal += causal.i32[i * H + h];
        }
        ck_assert_int_eq(n, 5 * 7); /* ceil(ln 1000) = 7 */
        ck_assert_int_lt(n_causal, 5 * 7 * 7);
        ck_assert_int_gt(n_causal, n);
    }
    ck_assert_int_eq(memcmp(a.i32, again.i32, N * H * sizeof(int32_t)), 0);
    ck_assert_int_ne(memcmp(a.i32, other.i32, N * H * sizeof(int32_t)), 0);
    weft_tape_free(t);
}
END_TEST

/* Other tokens at the end: the strictly causal kind does not see them, to the bit; as published, they
 * change what is chosen before them. */
START_TEST(only_one_kind_is_causal)
{
    enum { N = 200, KEPT = 150, C = 8 };
    for (int kind = WEFT_PROBSPARSE_PUBLISHED; kind <= WEFT_PROBSPARSE_CAUSAL; kind++)
        for (int n = KEPT; n <= N; n += N - KEPT) {
            weft_tape *t = weft_tape_new(0);
            const weft_var x = normal(t, 1, N, C);
            const weft_tensor y = weft_value(t, by_choice(t, x, WEFT_NIL, kind));
            weft_real changed[N * C];
            memcpy(changed, weft_value(t, x).real, sizeof changed);
            for (int i = KEPT * C; i < N * C; i++) changed[i] = 3 - changed[i];
            const weft_tensor z = weft_value(
                t, by_choice(t, weft_constant(t, WEFT_DIMS(n, C), changed), WEFT_NIL, kind));
            ck_assert(y.data && z.data);
            const bool equal = memcmp(y.real, z.real, KEPT * C * sizeof *y.real) == 0;
            ck_assert_int_eq(equal, kind == WEFT_PROBSPARSE_CAUSAL);
            weft_tape_free(t);
        }
}
END_TEST

/* ---- projected keys ----------------------------------------------------------------------------- */

START_TEST(the_unit_matrix_is_full_attention)
{
    enum { N = 100, H = 2, K = 5 };
    static weft_real unit[N * N];
    for (int i = 0; i < N; i++) unit[i * N + i] = 1;
    weft_tape *t = weft_tape_new(0);
    const weft_var q = normal(t, 1, N, H * K), k = normal(t, 2, N, H * K),
                   v = normal(t, 3, N, H * K), e = weft_constant(t, WEFT_DIMS(N, N), unit);
    const weft_attention_spec spec = { .heads = H };
    const weft_var y = weft_attention(t, q, weft_sentence_project(t, e, k, WEFT_NIL),
                                      weft_sentence_project(t, e, v, WEFT_NIL), &spec);
    ck_assert_double_le(differ(weft_value(t, y), weft_value(t, weft_attention(t, q, k, v, &spec))),
                        1e-14);
    weft_tape_free(t);
}
END_TEST

/* A short sentence is one filled up with zeros. */
START_TEST(zeros_behind_a_sentence_change_nothing)
{
    enum { K = 7, LONGEST = 30, C = 4 };
    static const int32_t offsets[] = { 0, 12, 12, 42, 43 };
    weft_tape *t = weft_tape_new(0);
    const weft_var w = normal(t, 1, K, LONGEST), x = normal(t, 2, 43, C);
    const weft_tensor y =
        weft_value(t, weft_sentence_project(t, w, x, weft_constant_int(t, WEFT_DIMS(5), offsets)));
    for (int b = 0; b < 4; b++) {
        const int32_t n = offsets[b + 1] - offsets[b];
        const weft_var filled =
            weft_pad(t, weft_slice(t, x, 0, offsets[b], offsets[b + 1]), 0, 0, LONGEST - n);
        weft_tensor expected = weft_value(t, weft_matmul(t, w, filled)), of_b = expected;
        of_b.real = y.real + b * K * C;
        ck_assert_double_le(differ(of_b, expected), 1e-13);
    }
    weft_tape_free(t);
}
END_TEST

/* Random projections keep products up to an error of 1 / sqrt(k) (Johnson & Lindenstrauss 1984). */
START_TEST(projection_error_falls_with_the_root_of_k)
{
    enum { N = 64, POINTS = 7, DRAWS = 300 };
    double error[POINTS] = { 0 };
    weft_tape *t = weft_tape_new(0);
    for (int p = 0; p < POINTS; p++)
        for (int draw = 0; draw < DRAWS; draw++) {
            const int64_t k = 8 << p;
            weft_tape_reset(t);
            const weft_var x = normal(t, 1, N, 2),
                           w = weft_scale(t, normal(t, 100 + (uint64_t)draw, k, N),
                                          1 / sqrt((double)k)),
                           y = weft_sentence_project(t, w, x, WEFT_NIL);
            const weft_tensor before = weft_value(t, x), after = weft_value(t, y);
            double exact = 0, estimate = 0;
            for (int i = 0; i < N; i++) exact += before.real[2 * i] * before.real[2 * i + 1];
            for (int i = 0; i < k; i++) estimate += after.real[2 * i] * after.real[2 * i + 1];
            error[p] += (estimate - exact) * (estimate - exact) / DRAWS;
        }
    weft_tape_free(t);
    const double slope = 0.5 * slope_of(POINTS, 8, error);
    ck_assert_msg(fabs(slope + 0.5) <= 0.05, "slope %g", slope);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("approx");
    TCase *buckets = tcase_create("buckets");
    tcase_add_test(buckets, one_bucket_is_full_shared_attention);
    tcase_add_test(buckets, recall_rises_with_rounds);
    tcase_add_test(buckets, collisions_fall_with_the_angle);
    tcase_add_test(buckets, many_buckets_are_a_product);
    tcase_add_test(buckets, repeats_count_once);
    tcase_add_test(buckets, buckets_leak_though_weights_do_not);
    suite_add_tcase(suite, buckets);
    TCase *choice = tcase_create("choice");
    tcase_add_test(choice, choosing_all_is_full_attention);
    tcase_add_test(choice, equal_queries_give_means);
    tcase_add_test(choice, as_many_are_chosen_as_published);
    tcase_add_test(choice, only_one_kind_is_causal);
    suite_add_tcase(suite, choice);
    TCase *projection = tcase_create("projection");
    tcase_add_test(projection, the_unit_matrix_is_full_attention);
    tcase_add_test(projection, zeros_behind_a_sentence_change_nothing);
    tcase_add_test(projection, projection_error_falls_with_the_root_of_k);
    suite_add_tcase(suite, projection);
    TCase *all = tcase_create("all");
    tcase_add_test(all, sentences_are_isolated);
    tcase_add_loop_test(all, nan_stays, 0, 3);
    tcase_add_test(all, memory_is_linear);
    suite_add_tcase(suite, all);
    return run_suite(suite);
}
