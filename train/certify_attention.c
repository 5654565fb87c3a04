/* certify_attention.c - what holds of the weights of attention, and of decoding with a past. */
#include "autograd/tape_internal.h"
#include "train/certify_internal.h"
#include "train/decode_internal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const double tolerance = sizeof(weft_real) == 4 ? 1e-4 : 1e-12;

/* ---- rows of weights ---------------------------------------------------------------------------- */

typedef struct rows_search {
    const weft_transformer *model;
    weft_certificate *certificate;
    int64_t n_layers;   /* attentions looked at */
    weft_scopes scopes; /* where attention was recorded */
} rows_search;

/* Of softmax or of features: the weights of a row are divided by their sum. */
static void watch_scopes(void *context, const weft_event *event)
{
    rows_search *s = context;
    const weft_op *op = event->call->op;
    if (event->done && weft_tape_input_named(op, "v") >= 0)
        weft_scopes_note(&s->scopes, event->scope, op->name);
}

static double sum_of(const weft_real *row, int64_t n, double *least)
{
    double sum = 0;
    for (int64_t j = 0; j < n; j++) {
        sum += (double)row[j];
        if ((double)row[j] < *least) *least = (double)row[j];
    }
    return sum;
}

/* The weights [N, H, S] of the attention recorded in scope i, where there is one. Denominators of features
 * have 1e-12 added to them, and features may be small. */
static weft_status ask_weights(rows_search *s, weft_tape *tape, int i)
{
    weft_certificate *c = s->certificate;
    const char *scope = s->scopes.name[i];
    const bool features = strcmp(s->scopes.op[i], "linear_attention") == 0;
    const double allowed = features ? fmax(tolerance, 1e-6) : tolerance;
    const int H = s->model->config.layer.heads;
    const weft_var weights = weft_attention_weights_in(tape, scope, H);
    if (weft_is_nil(weights)) return weft_tape_status(tape);
    const weft_tensor w = weft_value(tape, weights);
    if (weft_tape_status(tape) != WEFT_OK) return weft_tape_status(tape);
    s->n_layers++;
    const int64_t S = weft_cols(&w);
    for (int64_t r = 0; r < weft_rows(&w); r++) {
        double least = 0;
        const double sum = sum_of(w.real + r * w.ld, S, &least), error = fabs(sum - 1);
        c->n_questions++;
        if (error <= allowed && error > c->worst) c->worst = error;
        if (!(error <= allowed))
            weft_certify_fail(c, "%s, head %lld: the weights of row %lld sum to %.15g", scope,
                              (long long)(r % H), (long long)(r / H), sum);
        if (least < 0)
            weft_certify_fail(c, "%s, head %lld: row %lld has the weight %g", scope,
                              (long long)(r % H), (long long)(r / H), least);
    }
    return WEFT_OK;
}

static weft_status ask_all_weights(rows_search *s, const weft_certify_spec *spec,
                                   const weft_subject *subject, const weft_probe *p)
{
    weft_tape *tape = weft_tape_new(WEFT_NO_GRAD);
    if (!tape) return WEFT_ERR_MEMORY;
    weft_tape_seed(tape, spec->seed, 1);
    weft_tape_watch(tape, watch_scopes, s);
    (void)subject->hidden(subject->model, tape, &p->batch);
    weft_tape_watch(tape, NULL, NULL);
    weft_status status = weft_tape_status(tape);
    for (int i = 0; i < s->scopes.n && status == WEFT_OK; i++) status = ask_weights(s, tape, i);
    weft_tape_free(tape);
    return status;
}

/* ---- rows of the scores' gradient ---------------------------------------------------------------- */

/* What a head of keys of one sentence is asked with. */
typedef struct key_head {
    const weft_call *call;
    int heads, per_group; /* of queries; of these for one of keys */
    int64_t g, q_from, q_to, k_from, k_to;
} key_head;

/* dK is a sum over the queries of dS_ij q_i / sqrt(K), and dS_ij = P_ij (dO_i . v_j - D_i). Over the keys
 * both parts cancel, each of them as large as this: sums of rounding alone are some digits below. */
static double size_of_terms(const key_head *at)
{
    const weft_call *call = at->call;
    const weft_tensor *q = &call->in[weft_tape_input_named(call->op, "q")],
                      *v = &call->in[weft_tape_input_named(call->op, "v")], *dy = &call->dout[0];
    const int added = weft_tape_input_named(call->op, "relative_values");
    const int64_t K = weft_cols(q) / at->heads, C = weft_cols(dy) / at->heads;
    double most = weft_largest_in(v, at->k_from, at->k_to, at->g * C, C), sum = 0;
    if (added >= 0 && call->in[added].data)
        most += weft_largest_in(&call->in[added], 0, weft_rows(&call->in[added]), 0, C);
    for (int64_t i = at->q_from; i < at->q_to; i++)
        for (int64_t h = at->g * at->per_group; h < (at->g + 1) * at->per_group; h++) {
            double norm = 0;
            for (int64_t c = h * C; c < (h + 1) * C; c++)
                norm += fabs((double)dy->real[i * dy->ld + c]);
            sum += norm * weft_largest_in(q, i, i + 1, h * K, K);
        }
    return sum * most / sqrt((double)K);
}

/* Where each row of dS sums to 0, adding one vector to all keys of a sentence changes nothing, and dK
 * sums to 0 over them. */
static void ask_key_head(weft_rows_watch *w, const key_head *at, int64_t K, const weft_tensor *dk,
                         const char *where)
{
    const double unit = size_of_terms(at);
    for (int64_t k = at->g * K; k < (at->g + 1) * K; k++) {
        double sum = 0;
        for (int64_t r = at->k_from; r < at->k_to; r++) sum += (double)dk->real[r * dk->ld + k];
        const double error = sum == 0 ? 0 : fabs(sum) / unit;
        w->certificate->n_questions++;
        if (error <= tolerance && error > w->certificate->worst) w->certificate->worst = error;
        if (!(error <= tolerance))
            weft_certify_fail(w->certificate,
                              "%s: the gradients by the keys from row %lld on sum to %g in column "
                              "%lld, %.1e of what they are made of: rows of the scores' gradient "
                              "do not sum to 0",
                              where ? where : "attention", (long long)at->k_from, sum, (long long)k,
                              error);
    }
}

void weft_rows_watch_keys(void *context, const weft_event *event)
{
    weft_rows_watch *w = context;
    const weft_call *call = event->call;
    const char *name = call->op->name;
    const bool softmax =
        strcmp(name, "attention") == 0 || strcmp(name, "probsparse_attention") == 0;
    if (!event->done || !event->backward || !softmax || !call->dout[0].data) return;
    const int at_k = weft_tape_input_named(call->op, "k");
    const weft_tensor *dk = &call->din[at_k],
                      *q_offsets = &call->in[weft_tape_input_named(call->op, "q_offsets")],
                      *k_offsets = &call->in[weft_tape_input_named(call->op, "k_offsets")];
    if (!k_offsets->data) k_offsets = q_offsets;
    if (!dk->data || call->add[at_k] || !k_offsets->data) return;
    const int64_t K = weft_cols(&call->in[weft_tape_input_named(call->op, "q")]) / w->heads,
                  G = weft_cols(dk) / K;
    w->asked = true;
    for (int64_t b = 0; b + 1 < k_offsets->dim[0]; b++)
        for (int64_t g = 0; g < G; g++) {
            const key_head at = { .call = call,
                                  .heads = w->heads,
                                  .per_group = w->heads / (int)G,
                                  .g = g,
                                  .q_from = q_offsets->i32[b],
                                  .q_to = q_offsets->i32[b + 1],
                                  .k_from = k_offsets->i32[b],
                                  .k_to = k_offsets->i32[b + 1] };
            ask_key_head(w, &at, K, dk, event->scope);
        }
}

static weft_status ask_gradients(weft_rows_watch *w, const weft_certify_spec *spec,
                                 const weft_subject *subject, const weft_probe *p)
{
    weft_tape *tape = weft_tape_new(0);
    if (!tape) return WEFT_ERR_MEMORY;
    weft_tape_seed(tape, spec->seed, 1);
    weft_tape_watch(tape, weft_rows_watch_keys, w);
    weft_params_zero_gradients(subject->params);
    const weft_var labels = weft_constant_int(tape, WEFT_DIMS(p->N[1]), p->labels);
    const weft_var x = subject->hidden(subject->model, tape, &p->batch);
    const weft_status status =
        weft_backward(tape, subject->loss(subject->model, tape, x, labels), NULL);
    weft_tape_free(tape);
    return status;
}

weft_status weft_certify_rows(const weft_transformer *model, weft_params *params,
                              const weft_certify_spec *given, weft_certificate *certificate)
{
    weft_certify_spec spec;
    weft_probe p = { 0 };
    rows_search s = { .model = model, .certificate = certificate };
    weft_rows_watch w = { .certificate = certificate, .heads = model->config.layer.heads };
    const weft_subject subject = weft_subject_of(model, params);
    *certificate = (weft_certificate){ .verdict = WEFT_HOLDS };
    if (model->config.layer.exact.weights == WEFT_SIGMOID) {
        certificate->verdict = WEFT_NOT_ASKED;
        weft_certify_say(certificate, "sigmoid weights are not normalised: nothing has to be 1");
        return WEFT_OK;
    }
    weft_status status = weft_certify_defaults(given, &spec);
    if (status == WEFT_OK) status = weft_probe_init(&p, &subject, &spec);
    if (status == WEFT_OK) status = ask_all_weights(&s, &spec, &subject, &p);
    if (status == WEFT_OK && s.n_layers > 0) status = ask_gradients(&w, &spec, &subject, &p);
    if (s.n_layers == 0) certificate->verdict = WEFT_NOT_ASKED;
    if (s.n_layers == 0)
        weft_certify_say(certificate, "the model has no attention");
    else
        weft_certify_say(certificate, "%lld attentions: weights sum to 1%s, within %.1e",
                         (long long)s.n_layers,
                         w.asked ? ", rows of the scores' gradient to 0" : "", certificate->worst);
    weft_probe_free(&p);
    return status;
}

/* ---- decoding ----------------------------------------------------------------------------------- */

enum { DECODED = 3 }; /* sentences, all of T tokens */

typedef struct decoding {
    const weft_transformer *model;
    const weft_certify_spec *spec;
    weft_certificate *certificate;
    weft_probe source; /* its first side alone is used */
    int64_t T;
    int32_t *ids, offsets[DECODED + 1], *rows;
    weft_real *logits; /* [DECODED T, V] of reading all at once */
    bool same_bits;
} decoding;

static weft_status make_target(decoding *d)
{
    d->ids = weft_alloc((size_t)(DECODED * d->T), sizeof *d->ids);
    d->rows = weft_alloc((size_t)(DECODED * d->T), 2 * sizeof *d->rows);
    if (!d->ids || !d->rows) return WEFT_ERR_MEMORY;
    const uint64_t key = weft_random_key(d->spec->seed, 3, 0);
    const int64_t V = d->model->config.target_V;
    for (int64_t r = 0; r < DECODED * d->T; r++) {
        d->ids[r] = (int32_t)weft_random_below(key, (uint64_t)r, (uint64_t)V);
        d->rows[2 * r] = (int32_t)(r / d->T);
        d->rows[2 * r + 1] = (int32_t)(r % d->T);
    }
    for (int64_t b = 0; b <= DECODED; b++) d->offsets[b] = (int32_t)(b * d->T);
    return WEFT_OK;
}

/* Weights that a step gives to what it has not read. */
static weft_status ask_beyond(decoding *d, weft_tape *tape)
{
    const int H = d->model->config.layer.heads;
    for (int i = 0; i < d->model->config.decoder_layers; i++) {
        char scope[64];
        snprintf(scope, sizeof scope, "decoder.layers.%d.self_attn", i);
        const weft_var weights = weft_attention_weights_in(tape, scope, H);
        if (weft_is_nil(weights)) continue;
        const weft_tensor w = weft_value(tape, weights);
        if (weft_tape_status(tape) != WEFT_OK) return weft_tape_status(tape);
        for (int64_t r = 0; r < weft_rows(&w); r++)
            for (int64_t j = r / H % d->T + 1; j < weft_cols(&w); j++) {
                d->certificate->n_questions++;
                if (w.real[r * w.ld + j] != 0)
                    weft_certify_fail(
                        d->certificate,
                        "%s, head %lld: position %lld gives position %lld the weight %g", scope,
                        (long long)(r % H), (long long)(r / H % d->T), (long long)j,
                        (double)w.real[r * w.ld + j]);
            }
    }
    return WEFT_OK;
}

static weft_status read_all(decoding *d, weft_tape *tape)
{
    const int64_t N = DECODED * d->T, V = d->model->config.target_V;
    const weft_batch batch = { .source = d->source.batch.source,
                               .target = { DECODED, N, d->ids, d->offsets, d->rows } };
    const weft_subject s = weft_subject_of(d->model, NULL);
    weft_tape_reset(tape);
    const weft_var y = s.logits(d->model, tape, s.hidden(d->model, tape, &batch));
    const weft_tensor logits = weft_value(tape, y);
    if (weft_tape_status(tape) != WEFT_OK) return weft_tape_status(tape);
    d->logits = weft_alloc((size_t)(N * V), sizeof *d->logits);
    if (!d->logits) return WEFT_ERR_MEMORY;
    for (int64_t r = 0; r < N; r++)
        memcpy(d->logits + r * V, logits.real + r * logits.ld, (size_t)V * sizeof(weft_real));
    return ask_beyond(d, tape);
}

static void compare_step(decoding *d, const weft_tensor *step, int64_t t)
{
    const int64_t V = d->model->config.target_V;
    for (int64_t b = 0; b < DECODED; b++) {
        const weft_real *x = d->logits + (b * d->T + t) * V, *y = step->real + b * step->ld;
        double largest = 0, apart = 0;
        for (int64_t k = 0; k < V; k++) {
            largest = fmax(largest, fabs((double)x[k]));
            apart = fmax(apart, fabs((double)x[k] - (double)y[k]));
        }
        const double error = apart / fmax(largest, 1e-300);
        d->certificate->n_questions++;
        d->same_bits &= memcmp(x, y, (size_t)V * sizeof *x) == 0;
        if (error <= tolerance && error > d->certificate->worst) d->certificate->worst = error;
        if (!(error <= tolerance))
            weft_certify_fail(d->certificate,
                              "step %lld of sentence %lld: logits differ by %.1e from those of "
                              "reading all at once",
                              (long long)t, (long long)b, error);
    }
}

static weft_status read_steps(decoding *d, weft_tape *tape)
{
    weft_reader reader = { 0 };
    static const int32_t each[DECODED] = { 0, 1, 2 };
    weft_status status = weft_reader_init(&reader, d->model, tape, DECODED, DECODED, DECODED);
    if (status == WEFT_OK && !d->model->config.decoder_only)
        status = weft_reader_encode(&reader, &d->source.batch.source);
    for (int64_t t = 0; t < d->T && status == WEFT_OK; t++) {
        if (d->certificate->verdict == WEFT_FAILS) break;
        int32_t ids[DECODED];
        for (int64_t b = 0; b < DECODED; b++) ids[b] = d->ids[b * d->T + t];
        const weft_var y = weft_reader_step(&reader, ids);
        const weft_tensor logits = weft_value(tape, y);
        status = weft_tape_status(tape);
        if (status == WEFT_OK) compare_step(d, &logits, t);
        if (status == WEFT_OK) status = weft_reader_keep(&reader, DECODED, each);
    }
    weft_reader_free(&reader);
    return status;
}

weft_status weft_certify_decoding(const weft_transformer *model, weft_params *params,
                                  const weft_certify_spec *given, weft_certificate *certificate)
{
    weft_certify_spec spec;
    weft_probe all = { 0 };
    decoding d = { .model = model, .spec = &spec, .certificate = certificate, .same_bits = true };
    const weft_subject subject = weft_subject_of(model, params);
    *certificate = (weft_certificate){ .verdict = WEFT_HOLDS };
    weft_status status = weft_certify_defaults(given, &spec);
    if (status == WEFT_OK) status = weft_probe_init(&all, &subject, &spec);
    if (status == WEFT_OK)
        status = weft_probe_select(&all, DECODED, (const int64_t[]){ 0, 3, 4 }, &d.source);
    weft_tape *tape = status == WEFT_OK ? weft_tape_new(WEFT_NO_GRAD) : NULL;
    if (status == WEFT_OK && !tape) status = WEFT_ERR_MEMORY;
    d.T = spec.longest;
    if (status == WEFT_OK) status = make_target(&d);
    if (status == WEFT_OK) status = read_all(&d, tape);
    if (status == WEFT_OK) status = read_steps(&d, tape);
    weft_certify_say(
        certificate,
        "%d sentences of %lld tokens: step by step as all at once, %s; weights beyond a "
        "step are 0",
        DECODED, (long long)d.T, d.same_bits ? "bit by bit" : "up to rounding");
    weft_tape_free(tape);
    weft_free(d.ids);
    weft_free(d.rows);
    weft_free(d.logits);
    weft_probe_free(&d.source);
    weft_probe_free(&all);
    return status;
}
