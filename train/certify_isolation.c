/* certify_isolation.c - is a sentence the same among others as alone? */
#include "train/certify_internal.h"

#include <stdio.h>
#include <string.h>

/* What one batch gave. */
typedef struct outcome {
    int64_t V, D[2];
    weft_real *logits;  /* [N, V] */
    double *loss;       /* [B] of each sentence */
    weft_real *grad[2]; /* [N of the side, D] by each token's embedding */
} outcome;

static void outcome_free(outcome *o)
{
    weft_free(o->logits);
    weft_free(o->loss);
    weft_free(o->grad[0]);
    weft_free(o->grad[1]);
    *o = (outcome){ 0 };
}

static weft_param embedding(const weft_subject *s, int side)
{
    return side ? s->target_embed : s->source_embed;
}

static weft_status allocate(const weft_subject *s, const weft_probe *p, outcome *o)
{
    *o = (outcome){ .V = s->V };
    o->logits = weft_alloc((size_t)(p->N[1] * s->V), sizeof *o->logits);
    o->loss = weft_alloc((size_t)p->B, sizeof *o->loss);
    bool ok = o->logits && o->loss;
    for (int side = 0; side < 2; side++) {
        if (p->N[side] == 0) continue;
        const weft_param embed = embedding(s, side);
        const weft_tensor table = weft_params_value(embed.params, embed.index);
        o->D[side] = weft_cols(&table);
        o->grad[side] = weft_alloc((size_t)(p->N[side] * o->D[side]), sizeof(weft_real));
        ok = ok && o->grad[side];
    }
    if (ok) return WEFT_OK;
    outcome_free(o);
    return WEFT_ERR_MEMORY;
}

/* The batch as training sees it, its loss sentence by sentence, and one backward from all of it. */
static weft_status run(const weft_subject *s, const weft_certify_spec *spec, weft_tape *tape,
                       const weft_probe *p, outcome *o)
{
    weft_status status = allocate(s, p, o);
    if (status != WEFT_OK) return status;
    weft_tape_reset(tape);
    weft_tape_seed(tape, spec->seed, 1);
    weft_params_zero_gradients(s->params);
    const weft_var x = s->hidden(s->model, tape, &p->batch), y = s->logits(s->model, tape, x);
    const weft_var labels = weft_constant_int(tape, WEFT_DIMS(p->N[1]), p->labels);
    const weft_var all = s->loss(s->model, tape, x, labels);
    for (int64_t b = 0; b < p->B; b++) {
        const int64_t from = p->offsets[1][b], to = p->offsets[1][b + 1];
        o->loss[b] = weft_item(tape, s->loss(s->model, tape, weft_slice(tape, x, 0, from, to),
                                             weft_slice(tape, labels, 0, from, to)));
    }
    const weft_tensor logits = weft_value(tape, y);
    if (weft_tape_status(tape) != WEFT_OK) return weft_tape_status(tape);
    for (int64_t r = 0; r < p->N[1]; r++)
        memcpy(o->logits + r * s->V, logits.real + r * logits.ld, (size_t)s->V * sizeof(weft_real));
    status = weft_backward(tape, all, NULL);
    for (int side = 0; side < 2 && status == WEFT_OK; side++) {
        if (!o->grad[side]) continue;
        const weft_param embed = embedding(s, side);
        const weft_tensor g = weft_params_gradient(embed.params, embed.index);
        const int64_t D = o->D[side];
        for (int64_t r = 0; r < p->N[side]; r++)
            memcpy(o->grad[side] + r * D, g.real + p->ids[side][r] * g.ld,
                   (size_t)D * sizeof(weft_real));
    }
    return status;
}

/* The first of n rows of C values that differ; -1: none. */
static int64_t differing(const weft_real *a, const weft_real *b, int64_t n, int64_t C)
{
    for (int64_t r = 0; r < n; r++)
        if (memcmp(a + r * C, b + r * C, (size_t)C * sizeof *a) != 0) return r;
    return -1;
}

typedef struct question {
    const weft_subject *subject;
    const weft_certify_spec *spec;
    weft_certificate *certificate;
    const weft_probe *alone, *batch;
    int64_t sentence, at; /* its number; its place in the batch */
} question;

/* Name the operation in which the other sentences enter. */
static weft_status name_leak(const question *q, const char *what, int64_t row)
{
    char where[WEFT_PLACE];
    int64_t first = row;
    weft_span span = { .a = { 0, 0 } };
    for (int side = 0; side < 2; side++) {
        span.b[side] = q->batch->offsets[side][q->at];
        span.n[side] = weft_probe_length(q->batch, side, q->at);
    }
    const weft_status status =
        weft_trace_name(q->subject, q->spec, q->alone, q->batch, &span, where, &first);
    weft_certify_fail(
        q->certificate,
        "%s%ssentence %lld (%lld tokens), position %lld: other bits in its %s than alone", where,
        *where ? ": " : "", (long long)q->sentence, (long long)weft_probe_length(q->alone, 1, 0),
        (long long)(*where ? first : row), what);
    return status;
}

static weft_status compare(const question *q, const outcome *alone, const outcome *batch)
{
    static const char *const sides[] = { "gradients by the source", "gradients by the target" };
    const weft_probe *p = q->batch;
    const int64_t from = p->offsets[1][q->at], n = weft_probe_length(p, 1, q->at), V = batch->V;
    q->certificate->n_questions += 4;
    int64_t r = differing(alone->logits, batch->logits + from * V, n, V);
    if (r >= 0) return name_leak(q, "logits", r);
    if (!weft_same_bits(alone->loss, &batch->loss[q->at], sizeof *alone->loss))
        return name_leak(q, "summed loss", 0);
    for (int side = 0; side < 2; side++) {
        if (!batch->grad[side]) continue;
        const int64_t D = batch->D[side];
        r = differing(alone->grad[side], batch->grad[side] + p->offsets[side][q->at] * D,
                      weft_probe_length(p, side, q->at), D);
        if (r >= 0) return name_leak(q, sides[side], r);
    }
    return WEFT_OK;
}

/* Each sentence alone against one batch of them all. */
static weft_status ask(const weft_subject *s, const weft_certify_spec *spec, weft_tape *tape,
                       const weft_probe *all, const weft_probe *batch, const int64_t order[],
                       weft_certificate *certificate)
{
    outcome together = { 0 };
    weft_status status = run(s, spec, tape, batch, &together);
    for (int64_t i = 0; i < batch->B && status == WEFT_OK; i++) {
        weft_probe one = { 0 };
        outcome alone = { 0 };
        if (certificate->verdict == WEFT_FAILS) break;
        status = weft_probe_select(all, 1, &order[i], &one);
        if (status == WEFT_OK) status = run(s, spec, tape, &one, &alone);
        const question q = { s, spec, certificate, &one, batch, order[i], i };
        if (status == WEFT_OK) status = compare(&q, &alone, &together);
        outcome_free(&alone);
        weft_probe_free(&one);
    }
    outcome_free(&together);
    return status;
}

weft_status weft_certify_isolation(const weft_subject *subject, const weft_certify_spec *given,
                                   weft_certificate *certificate)
{
    weft_certify_spec spec;
    weft_probe all = { 0 };
    static const int64_t orders[][WEFT_PROBE_SENTENCES] = { { 0, 1, 2, 3, 4, 5 },
                                                            { 5, 3, 1, 0, 4, 2 } };
    enum { N_ORDERS = sizeof orders / sizeof orders[0] };
    *certificate = (weft_certificate){ .verdict = WEFT_HOLDS };
    weft_status status = weft_certify_defaults(given, &spec);
    if (status == WEFT_OK) status = weft_probe_init(&all, subject, &spec);
    weft_tape *tape = status == WEFT_OK ? weft_tape_new(0) : NULL;
    if (status == WEFT_OK && !tape) status = WEFT_ERR_MEMORY;
    for (int i = 0; i < N_ORDERS && status == WEFT_OK; i++) {
        weft_probe batch = { 0 };
        status = weft_probe_select(&all, all.B, orders[i], &batch);
        if (status == WEFT_OK)
            status = ask(subject, &spec, tape, &all, &batch, orders[i], certificate);
        weft_probe_free(&batch);
    }
    weft_certify_say(
        certificate,
        "%d sentences of 1 to %lld tokens, alone and in %d batches: logits, losses and "
        "gradients by embeddings keep their bits",
        WEFT_PROBE_SENTENCES, (long long)spec.longest, N_ORDERS);
    weft_tape_free(tape);
    weft_probe_free(&all);
    return status;
}
