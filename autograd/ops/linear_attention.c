/**
 * weft_linear_attention - attention with a kernel that is a product of features (Katharopoulos et al.
 * 2020, equations 4 to 12).
 *
 *     o_i = phi(q_i) S_i / (phi(q_i) z_i + eps),   S_i = sum of phi(k_j)^T v_j,   z_i = sum of phi(k_j)^T
 *
 * over all keys j of the sentence, causal over j <= i. phi(x) = elu(x) + 1, or q and k are features
 * already (weft_favor). Scores are not divided by sqrt(K). Time O(N K Kv), memory O(N + K Kv): causal
 * sums go from chunk to chunk, forwards for dq and backwards for dk and dv, and are never stored.
 *
 * weft_linear_attention_step is the causal form for one further token a sentence, as a recurrent network:
 * *state holds S and z.
 *
 * @param q      [N, H K], or [B, T, H K] for B sentences of T queries; step: [B, H K]
 * @param k      [M, G K], or [B, S, G K]; step: [B, G K]. Head h reads group floor(h G / H)
 * @param v      [M, G Kv], or [B, S, G Kv]; step: [B, G Kv]
 * @param state  [B, G, K (Kv + 1)], WEFT_NIL before the first token
 * @param spec   heads H, kv_heads G, map, causal, eps, q_offsets and k_offsets as weft_attention
 * @return       [N, H Kv], [B, T, H Kv]; step: [B, H Kv]. A query without keys gives 0
 *
 * Gradient      see autograd/linear_attention_chunk.c; exact, features included
 * Errors        WEFT_ERR_SHAPE  columns that are no heads of one width, rows that differ, numbers of
 *                               sentences that differ, causal with unequal sentences
 *               WEFT_ERR_RANGE  heads, eps; offsets that do not rise from 0 to the rows
 * Saved         1 / denominator, [H, N]
 * Numbers       products as in core/small_gemm.h. One thread for a sentence and group: the same bits for
 *               any number of threads, and a sentence alone gives what it gives in a batch
 */
#include "autograd/linear_attention_internal.h"
#include "autograd/packed_internal.h"
#include "core/checked.h"

#include <math.h>
#include <omp.h>

enum { Q, K_IN, V_IN, Q_OFFSETS, K_OFFSETS, N_INPUTS };

typedef struct linear_attr {
    int heads, kv_heads;
    weft_feature_map map;
    bool causal;
    double eps;
    int n_threads; /* workspaces */
} linear_attr;

static linear_attr attr_of(const weft_linear_attention_spec *spec)
{
    return (linear_attr){ .heads = spec->heads,
                          .kv_heads = spec->kv_heads ? spec->kv_heads : spec->heads,
                          .map = spec->map,
                          .causal = spec->causal,
                          .eps = spec->eps == 0 ? 1e-6 : spec->eps,
                          .n_threads = weft_threads() };
}

static bool check_widths(const weft_call *c)
{
    const linear_attr *a = c->attr;
    const int64_t H = a->heads, G = a->kv_heads;
    if (H < 1 || G < 1 || H % G != 0)
        return weft_fail(c, WEFT_ERR_RANGE,
                         "%lld heads and %lld key/value heads: the latter must divide the former",
                         (long long)H, (long long)G);
    if (!isfinite(a->eps) || a->eps < 0) return weft_fail(c, WEFT_ERR_RANGE, "eps is %g", a->eps);
    if (!weft_packed_check_heads(c, Q, "q", H) || !weft_packed_check_heads(c, K_IN, "k", G) ||
        !weft_packed_check_heads(c, V_IN, "v", G))
        return false;
    const weft_tensor *q = &c->in[Q], *k = &c->in[K_IN], *v = &c->in[V_IN];
    if (weft_cols(k) / G != weft_cols(q) / H)
        return weft_fail(c, WEFT_ERR_SHAPE, "heads of q are %lld wide, those of k %lld",
                         (long long)(weft_cols(q) / H), (long long)(weft_cols(k) / G));
    if (weft_rows(k) != weft_rows(v))
        return weft_fail(c, WEFT_ERR_SHAPE, "k has %lld rows, v %lld", (long long)weft_rows(k),
                         (long long)weft_rows(v));
    return true;
}

static bool infer(weft_call *c)
{
    const linear_attr *a = c->attr;
    if (!check_widths(c) || !weft_packed_check_pair(c, Q, Q_OFFSETS, K_IN, K_OFFSETS, a->causal))
        return false;
    const int64_t K = weft_cols(&c->in[Q]) / a->heads, Kv = weft_cols(&c->in[V_IN]) / a->kv_heads;
    int64_t each;
    size_t work;
    if (!weft_linear_attention_work(K, Kv, &each) ||
        !weft_mul_bytes((size_t)each, sizeof(weft_real) * (size_t)a->n_threads, &work))
        return weft_fail(c, WEFT_ERR_OVERFLOW, "heads are too wide");
    c->scratch_bytes = c->backward_scratch_bytes = work;
    return weft_packed_out(c, Q, a->heads * Kv) &&
           weft_save(c, 0, WEFT_REAL, a->heads * weft_rows(&c->in[Q]));
}

/* Group g of sentence b. */
static weft_linear_group group_of(const weft_call *c, int64_t b, int64_t g, bool backward)
{
    const linear_attr *a = c->attr;
    const weft_tensor *q = &c->in[Q], *k = &c->in[K_IN], *v = &c->in[V_IN], *o = &c->out[0];
    const int64_t heads = a->heads / a->kv_heads, K = weft_cols(q) / a->heads,
                  Kv = weft_cols(v) / a->kv_heads;
    const int64_t q_row = weft_packed_begin(q, &c->in[Q_OFFSETS], b),
                  k_row = weft_packed_begin(k, &c->in[K_OFFSETS], b);
    const int64_t at_q = g * heads * K, at_o = g * heads * Kv;
    weft_linear_group group = { .n_q = weft_packed_begin(q, &c->in[Q_OFFSETS], b + 1) - q_row,
                                .n_k = weft_packed_begin(k, &c->in[K_OFFSETS], b + 1) - k_row,
                                .K = K,
                                .Kv = Kv,
                                .heads = heads,
                                .causal = a->causal,
                                .elu = a->map == WEFT_FEATURES_ELU,
                                .eps = (weft_real)a->eps,
                                .q = q->real + q_row * q->ld + at_q,
                                .k = k->real + k_row * k->ld + g * K,
                                .v = v->real + k_row * v->ld + g * Kv,
                                .ldq = q->ld,
                                .ldk = k->ld,
                                .ldv = v->ld,
                                .o = o->real + q_row * o->ld + at_o,
                                .ldo = o->ld,
                                .per_head = weft_rows(q) };
    if (c->saved[0].data) group.inverse = c->saved[0].real + g * heads * group.per_head + q_row;
    if (!backward) return group;
    const weft_tensor *dq = &c->din[Q], *dk = &c->din[K_IN], *dv = &c->din[V_IN];
    group.dout = c->dout[0].real + q_row * c->dout[0].ld + at_o;
    group.lddo = c->dout[0].ld;
    if (dq->data) group.dq = dq->real + q_row * dq->ld + at_q;
    if (dk->data) group.dk = dk->real + k_row * dk->ld + g * K;
    if (dv->data) group.dv = dv->real + k_row * dv->ld + g * Kv;
    group.lddq = dq->ld;
    group.lddk = dk->ld;
    group.lddv = dv->ld;
    group.add_q = c->add[Q];
    group.add_k = c->add[K_IN];
    group.add_v = c->add[V_IN];
    return group;
}

/* One sweep over sentences and groups. */
static void sweep(const weft_call *c, bool backward)
{
    const linear_attr *a = c->attr;
    const int64_t K = weft_cols(&c->in[Q]) / a->heads, Kv = weft_cols(&c->in[V_IN]) / a->kv_heads,
                  G = a->kv_heads, n = weft_packed_sentences(&c->in[Q], &c->in[Q_OFFSETS]) * G;
    const int64_t work =
        2 * (weft_rows(&c->in[Q]) * a->heads + weft_rows(&c->in[K_IN]) * G) * K * Kv;
    int64_t each;
    if (!weft_linear_attention_work(K, Kv, &each)) return; /* infer has asked */
    weft_real *works = c->scratch;
    int team = weft_team(n, work);
    /* The number of threads may have been raised in between. NOLINTNEXTLINE: a pragma reads team */
    if (team > a->n_threads) team = a->n_threads;
#pragma omp parallel for schedule(static, 1) num_threads(team)
    for (int64_t i = 0; i < n; i++) {
        const weft_linear_group group = group_of(c, i / G, i % G, backward);
        weft_real *mine = works + omp_get_thread_num() * each;
        if (backward)
            weft_linear_attention_backward(&group, mine);
        else
            weft_linear_attention_forward(&group, mine);
    }
}

static void forward(const weft_call *c) { sweep(c, false); }
static void backward(const weft_call *c) { sweep(c, true); }

/* ---- definition, and the recurrent form --------------------------------------------------------- */

/* elu(x) + 1; exp is not asked for where it could overflow. */
static weft_var map(weft_tape *t, weft_feature_map kind, weft_var x)
{
    if (kind == WEFT_FEATURES_GIVEN) return x;
    const weft_var zero = weft_scalar(t, 0), positive = weft_greater(t, x, zero);
    return weft_where(t, positive, weft_add(t, x, weft_scalar(t, 1)),
                      weft_exp(t, weft_where(t, positive, zero, x)));
}

typedef struct definition {
    weft_tape *t;
    const linear_attr *a;
    weft_tensor in[N_INPUTS];
    weft_var q, k, v;
    int64_t K, Kv;
} definition;

static bool seen(const void *context, int64_t i, int64_t j)
{
    const definition *d = context;
    return !d->a->causal || j <= i;
}

static weft_var define_head(const void *context, int64_t b, int64_t h)
{
    const definition *d = context;
    weft_tape *t = d->t;
    const weft_tensor *in = d->in;
    const int64_t g = h / (d->a->heads / d->a->kv_heads);
    const int64_t q_row = weft_packed_begin(&in[Q], &in[Q_OFFSETS], b),
                  n_q = weft_packed_begin(&in[Q], &in[Q_OFFSETS], b + 1) - q_row,
                  k_row = weft_packed_begin(&in[K_IN], &in[K_OFFSETS], b),
                  n_k = weft_packed_begin(&in[K_IN], &in[K_OFFSETS], b + 1) - k_row;
    if (n_k == 0) return weft_full(t, WEFT_DIMS(n_q, d->Kv), 0);
    const weft_var q = map(t, d->a->map, weft_packed_part(t, d->q, q_row, n_q, h, d->K)),
                   k = map(t, d->a->map, weft_packed_part(t, d->k, k_row, n_k, g, d->K)),
                   v = weft_packed_part(t, d->v, k_row, n_k, g, d->Kv);
    weft_var scores = weft_matmul_t(t, q, false, k, true);
    if (d->a->causal)
        scores = weft_where(t, weft_packed_mask(t, n_q, n_k, seen, d), scores, weft_scalar(t, 0));
    const weft_var sum = weft_add(t, weft_sum(t, scores, 1, true), weft_scalar(t, d->a->eps));
    return weft_matmul(t, weft_div(t, scores, sum), v);
}

static weft_var define_sentence(const void *context, int64_t b)
{
    const definition *d = context;
    const weft_tensor *in = d->in;
    if (weft_packed_begin(&in[Q], &in[Q_OFFSETS], b + 1) ==
        weft_packed_begin(&in[Q], &in[Q_OFFSETS], b))
        return WEFT_NIL;
    return weft_packed_heads(d->t, d->a->heads, b, define_head, d);
}

static void define(weft_rule *r)
{
    definition d = { .t = r->tape, .a = r->attr };
    weft_packed_inputs(r, Q_OFFSETS, d.in);
    d.q = weft_packed_matrix(r->tape, r->in[Q]);
    d.k = weft_packed_matrix(r->tape, r->in[K_IN]);
    d.v = weft_packed_matrix(r->tape, r->in[V_IN]);
    d.K = weft_cols(&d.in[Q]) / d.a->heads;
    d.Kv = weft_cols(&d.in[V_IN]) / d.a->kv_heads;
    weft_packed_define(r, &d.in[Q], weft_packed_sentences(&d.in[Q], &d.in[Q_OFFSETS]),
                       d.a->heads * d.Kv, define_sentence, &d);
}

weft_var weft_linear_attention_step(weft_tape *t, weft_var q, weft_var k, weft_var v,
                                    weft_var *state, const weft_linear_attention_spec *spec)
{
    const linear_attr a = attr_of(spec);
    const weft_tensor of_q = weft_shape(t, q), of_v = weft_shape(t, v);
    const int64_t H = a.heads, G = a.kv_heads;
    if (weft_tape_status(t) != WEFT_OK) return WEFT_NIL;
    if (of_q.rank != 2 || H < 1 || G < 1 || H % G != 0 || of_q.dim[1] % H != 0 ||
        weft_cols(&of_v) % G != 0) {
        weft_tape_fail(t, WEFT_ERR_SHAPE,
                       "linear_attention_step: q must be [B, H K] and v [B, G Kv] for %lld heads"
                       " and %lld key/value heads",
                       (long long)H, (long long)G);
        return WEFT_NIL;
    }
    const int64_t B = of_q.dim[0], K = of_q.dim[1] / H, Kv = weft_cols(&of_v) / G;
    const weft_var key = weft_reshape(t, map(t, a.map, k), WEFT_DIMS(B * G, K, 1)),
                   one = weft_full(t, WEFT_DIMS(B * G, 1, 1), 1),
                   value = weft_concat(
                       t, 2, (weft_var[]){ weft_reshape(t, v, WEFT_DIMS(B * G, 1, Kv)), one }, 2);
    weft_var sum = weft_mul(t, key, value);
    if (!weft_is_nil(*state))
        sum = weft_add(t, weft_reshape(t, *state, WEFT_DIMS(B * G, K, Kv + 1)), sum);
    *state = weft_reshape(t, sum, WEFT_DIMS(B, G, K * (Kv + 1)));
    const weft_var queries = weft_reshape(t, map(t, a.map, q), WEFT_DIMS(B * G, H / G, K)),
                   number = weft_matmul(t, queries, sum);
    const weft_var y =
        weft_div(t, weft_slice(t, number, 2, 0, Kv),
                 weft_add(t, weft_slice(t, number, 2, Kv, Kv + 1), weft_scalar(t, a.eps)));
    return weft_reshape(t, y, WEFT_DIMS(B, H * Kv));
}

/* ---- tests -------------------------------------------------------------------------------------- */

static weft_var integers(weft_tape *t, int64_t n, const int32_t *x)
{
    return weft_constant_int(t, WEFT_DIMS(n), x);
}

/* q, k, v of H heads (G of keys), K wide; features that are given are positive. */
static weft_var self(weft_tape *t, int64_t N, int64_t K, const weft_linear_attention_spec *spec)
{
    const int64_t H = spec->heads, G = spec->kv_heads ? spec->kv_heads : H;
    const bool given = spec->map == WEFT_FEATURES_GIVEN;
    const weft_var q = given ? weft_sample_uniform(t, 0.1, 2, WEFT_DIMS(N, H * K))
                             : weft_sample_normal(t, WEFT_DIMS(N, H * K)),
                   k = given ? weft_sample_uniform(t, 0.1, 2, WEFT_DIMS(N, G * K))
                             : weft_sample_normal(t, WEFT_DIMS(N, G * K)),
                   v = weft_sample_normal(t, WEFT_DIMS(N, G * (K + 1)));
    return weft_linear_attention(t, q, k, v, spec);
}

static weft_var sample_cross(weft_tape *t)
{
    /* the second sentence has no keys, the fourth no queries */
    const weft_linear_attention_spec spec = {
        .heads = 2,
        .q_offsets = integers(t, 6, (int32_t[]){ 0, 3, 5, 6, 6, 10 }),
        .k_offsets = integers(t, 6, (int32_t[]){ 0, 2, 2, 7, 9, 10 })
    };
    const weft_var q = weft_sample_normal(t, WEFT_DIMS(10, 6)),
                   k = weft_sample_strided(t, WEFT_DIMS(10, 6)),
                   v = weft_sample_strided(t, WEFT_DIMS(10, 8));
    return weft_linear_attention(t, q, k, v, &spec);
}

/* Sentences longer than a chunk, ragged, beside a short one. */
static weft_var sample_long(weft_tape *t, bool causal, int kv_heads, weft_feature_map kind)
{
    const weft_linear_attention_spec spec = { .heads = 2,
                                              .kv_heads = kv_heads,
                                              .map = kind,
                                              .causal = causal,
                                              .q_offsets =
                                                  integers(t, 4, (int32_t[]){ 0, 131, 140, 205 }) };
    return self(t, 205, 3, &spec);
}

static weft_var sample(weft_tape *t, int i)
{
    weft_var x;
    switch (i) {
    case 0: return self(t, 5, 3, &(weft_linear_attention_spec){ .heads = 2 });
    case 1: return self(t, 6, 4, &(weft_linear_attention_spec){ .heads = 2, .causal = true });
    case 2:
        return self(t, 17, 2,
                    &(weft_linear_attention_spec){ .heads = 4, .kv_heads = 2, .eps = 0.5 });
    case 3:
        return self(t, 9, 5,
                    &(weft_linear_attention_spec){
                        .heads = 3, .kv_heads = 1, .causal = true, .map = WEFT_FEATURES_GIVEN });
    case 4: return sample_cross(t);
    case 5: return sample_long(t, false, 0, WEFT_FEATURES_ELU);
    case 6: return sample_long(t, true, 0, WEFT_FEATURES_ELU);
    case 7: return sample_long(t, true, 1, WEFT_FEATURES_GIVEN);
    case 8: /* one value as q, k and v */
        x = weft_sample_normal(t, WEFT_DIMS(5, 4));
        return weft_linear_attention(t, x, x, x,
                                     &(weft_linear_attention_spec){ .heads = 2, .causal = true });
    case 9: /* batches of equal lengths */
        return weft_linear_attention(
            t, weft_sample_normal(t, WEFT_DIMS(2, 3, 4)), weft_sample_normal(t, WEFT_DIMS(2, 5, 4)),
            weft_sample_normal(t, WEFT_DIMS(2, 5, 6)), &(weft_linear_attention_spec){ .heads = 2 });
    case 10: /* one token: its weight is nearly 1 but for eps */
        return self(t, 1, 1,
                    &(weft_linear_attention_spec){ .heads = 1, .causal = true, .eps = 0.5 });
    case 11: return sample_long(t, false, 1, WEFT_FEATURES_GIVEN);
    case 12: return self(t, 8, 17, &(weft_linear_attention_spec){ .heads = 1, .causal = true });
    default: return WEFT_NIL;
    }
}

static weft_var misuse(weft_tape *t, int i)
{
    const weft_var x = weft_sample_normal(t, WEFT_DIMS(6, 4)),
                   y = weft_sample_normal(t, WEFT_DIMS(5, 4));
    const weft_var good = integers(t, 3, (int32_t[]){ 0, 2, 6 });
    weft_linear_attention_spec spec = { .heads = 2 };
    switch (i) {
    case 0: spec.heads = 3; break;
    case 1: spec.heads = 0; break;
    case 2: spec.kv_heads = 3; break;
    case 3: return weft_linear_attention(t, x, x, y, &spec);
    case 4: spec.causal = true; return weft_linear_attention(t, x, y, y, &spec);
    case 5: spec.q_offsets = integers(t, 3, (int32_t[]){ 0, 2, 5 }); break;
    case 6: spec.q_offsets = integers(t, 4, (int32_t[]){ 0, 4, 2, 6 }); break;
    case 7: spec.k_offsets = good; break;
    case 8:
        spec.q_offsets = good;
        spec.k_offsets = integers(t, 2, (int32_t[]){ 0, 6 });
        break;
    case 9: spec.eps = -1; break;
    case 10: return weft_linear_attention(t, weft_sample_normal(t, WEFT_DIMS(4)), x, x, &spec);
    case 11: spec.kv_heads = 1; break;
    case 12: return weft_linear_attention(t, x, x, x, NULL);
    default: return WEFT_NIL;
    }
    return weft_linear_attention(t, x, x, x, &spec);
}

const weft_op weft_op_linear_attention = { .name = "linear_attention",
                                           .inputs = "q k v q_offsets k_offsets",
                                           .n_in = N_INPUTS,
                                           .integer = 1 << Q_OFFSETS | 1 << K_OFFSETS,
                                           .optional = 1 << Q_OFFSETS | 1 << K_OFFSETS,
                                           .strided = 1 << Q | 1 << K_IN | 1 << V_IN,
                                           .infer = infer,
                                           .forward = forward,
                                           .backward = backward,
                                           .define = define,
                                           .sample = sample,
                                           .misuse = misuse };

weft_var weft_linear_attention(weft_tape *tape, weft_var q, weft_var k, weft_var v,
                               const weft_linear_attention_spec *spec)
{
    if (!spec) {
        weft_tape_fail(tape, WEFT_ERR_STATE,
                       "linear_attention: no spec, which says how many heads");
        return WEFT_NIL;
    }
    const linear_attr attr = attr_of(spec);
    const weft_var k_offsets = weft_is_nil(spec->k_offsets) ? spec->q_offsets : spec->k_offsets;
    return weft_apply1(tape, &weft_op_linear_attention, N_INPUTS,
                       (weft_var[]){ q, k, v, spec->q_offsets, k_offsets }, &attr, sizeof attr);
}
