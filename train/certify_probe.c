/* certify_probe.c - what certificates ask with: a subject, and sentences in which no id occurs twice. */
#include "train/certify_internal.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Ids below FIRST_ID are the special ones: they are neither read nor labels. */
enum { FIRST_ID = 4, PROBES = 8, MOST_LONGEST = 1 << 20 };

/* ---- certificates ------------------------------------------------------------------------------- */

weft_status weft_certify_defaults(const weft_certify_spec *given, weft_certify_spec *spec)
{
    *spec = given ? *given : (weft_certify_spec){ 0 };
    if (spec->longest == 0) spec->longest = WEFT_CERTIFY_LONGEST;
    if (spec->probes == 0) spec->probes = PROBES;
    if (spec->seed == 0) spec->seed = 1;
    if (spec->longest < 2 || spec->longest > MOST_LONGEST || spec->probes < 1)
        return weft_error(
            WEFT_ERR_RANGE,
            "certify: %lld probes in sentences of %lld tokens: at least 1, and 2 to %d",
            (long long)spec->probes, (long long)spec->longest, MOST_LONGEST);
    return WEFT_OK;
}

void weft_certify_fail(weft_certificate *c, const char *fmt, ...)
{
    if (c->verdict == WEFT_FAILS) return;
    va_list args;
    c->verdict = WEFT_FAILS;
    va_start(args, fmt);
    vsnprintf(c->text, sizeof c->text, fmt, args);
    va_end(args);
}

void weft_certify_say(weft_certificate *c, const char *fmt, ...)
{
    if (c->verdict == WEFT_FAILS) return;
    va_list args;
    va_start(args, fmt);
    vsnprintf(c->text, sizeof c->text, fmt, args);
    va_end(args);
}

double weft_largest_in(const weft_tensor *x, int64_t from, int64_t to, int64_t column, int64_t n)
{
    double largest = 0;
    for (int64_t r = from; r < to; r++)
        for (int64_t k = column; k < column + n; k++)
            largest = fmax(largest, fabs((double)x->real[r * x->ld + k]));
    return largest;
}

/* ---- a Transformer ------------------------------------------------------------------------------ */

static weft_var hidden_of(const void *model, weft_tape *tape, const weft_batch *batch)
{
    const weft_transformer *m = model;
    weft_var memory = WEFT_NIL;
    if (!m->config.decoder_only) memory = weft_transformer_encode(m, tape, &batch->source);
    return weft_transformer_decode(m, tape, &batch->target, memory, &batch->source);
}

static weft_var logits_of(const void *model, weft_tape *tape, weft_var hidden)
{
    return weft_transformer_logits(model, tape, hidden);
}

static weft_var loss_of(const void *model, weft_tape *tape, weft_var hidden, weft_var labels)
{
    const weft_transformer *m = model;
    return weft_projection_loss(tape, hidden, weft_use(tape, m->generator), WEFT_NIL, labels,
                                &m->config.loss, NULL);
}

weft_subject weft_subject_of(const weft_transformer *model, weft_params *params)
{
    return (weft_subject){ .model = model,
                           .params = params,
                           .source_embed = model->src_embed,
                           .target_embed = model->tgt_embed,
                           .V = model->config.target_V,
                           .heads = model->config.layer.heads,
                           .hidden = hidden_of,
                           .logits = logits_of,
                           .loss = loss_of };
}

/* ---- probes ------------------------------------------------------------------------------------- */

/* Short ones beside a long one, so that tiles, windows and blocks are whole, cut and empty; source and
 * target are of different lengths, in each sentence and in all. */
static void choose_lengths(int64_t L, int64_t lengths[2][WEFT_PROBE_SENTENCES])
{
    const int64_t half = (L < WEFT_CERTIFY_LONGEST ? L + 1 : WEFT_CERTIFY_LONGEST) / 2 + 1;
    const int64_t wanted[2][WEFT_PROBE_SENTENCES] = { { 4, half, 2, L, 1, 8 },
                                                      { 3, L, 1, 7, half, 2 } };
    for (int side = 0; side < 2; side++)
        for (int b = 0; b < WEFT_PROBE_SENTENCES; b++)
            lengths[side][b] = wanted[side][b] < L ? wanted[side][b] : L;
}

static int64_t total(const int64_t lengths[WEFT_PROBE_SENTENCES])
{
    int64_t sum = 0;
    for (int b = 0; b < WEFT_PROBE_SENTENCES; b++) sum += lengths[b];
    return sum;
}

int64_t weft_subject_ids(const weft_certify_spec *given)
{
    weft_certify_spec spec;
    int64_t lengths[2][WEFT_PROBE_SENTENCES];
    if (weft_certify_defaults(given, &spec) != WEFT_OK) return 0;
    choose_lengths(spec.longest, lengths);
    return FIRST_ID + total(lengths[0]) + 2 * total(lengths[1]);
}

static weft_status allocate(weft_probe *p, int64_t B, const int64_t N[2])
{
    *p = (weft_probe){ .B = B, .N = { N[0], N[1] } };
    bool ok = (p->labels = weft_alloc((size_t)N[1], sizeof(int32_t))) != NULL;
    for (int side = 0; side < 2; side++) {
        p->ids[side] = weft_alloc((size_t)N[side], sizeof(int32_t));
        p->offsets[side] = weft_alloc((size_t)B + 1, sizeof(int32_t));
        p->rows[side] = weft_alloc((size_t)N[side], 2 * sizeof(int32_t));
        ok = ok && p->ids[side] && p->offsets[side] && p->rows[side];
    }
    if (ok) return WEFT_OK;
    weft_probe_free(p);
    return WEFT_ERR_MEMORY;
}

static void point(weft_probe *p)
{
    weft_tokens side[2];
    for (int i = 0; i < 2; i++)
        side[i] = (weft_tokens){ p->B, p->N[i], p->ids[i], p->offsets[i], p->rows[i] };
    if (p->N[0] == 0) side[0] = (weft_tokens){ 0 };
    p->batch = (weft_batch){ side[0], side[1], p->labels };
}

weft_status weft_probe_init(weft_probe *p, const weft_subject *subject,
                            const weft_certify_spec *spec)
{
    int64_t lengths[2][WEFT_PROBE_SENTENCES], N[2];
    *p = (weft_probe){ 0 };
    if (subject->V < weft_subject_ids(spec))
        return weft_error(WEFT_ERR_SHAPE, "certify: the probes need %lld ids, the model has %lld",
                          (long long)weft_subject_ids(spec), (long long)subject->V);
    choose_lengths(spec->longest, lengths);
    N[0] = weft_param_is_none(subject->source_embed) ? 0 : total(lengths[0]);
    N[1] = total(lengths[1]);
    const weft_status status = allocate(p, WEFT_PROBE_SENTENCES, N);
    if (status != WEFT_OK) return status;
    const uint64_t key = weft_random_key(spec->seed, 0, 0);
    int32_t id = FIRST_ID;
    for (int side = 0; side < 2; side++) {
        int64_t r = 0;
        for (int64_t b = 0; b < p->B && N[side] > 0; b++) {
            for (int64_t k = 0; k < lengths[side][b]; k++, r++) {
                p->ids[side][r] = id++;
                p->rows[side][2 * r] = (int32_t)b;
                p->rows[side][2 * r + 1] = (int32_t)k;
            }
            p->offsets[side][b + 1] = (int32_t)r;
        }
    }
    for (int64_t r = 0; r < N[1]; r++)
        p->labels[r] = FIRST_ID + (int32_t)weft_random_below(key, (uint64_t)r,
                                                             (uint64_t)subject->V - FIRST_ID);
    point(p);
    return WEFT_OK;
}

weft_status weft_probe_select(const weft_probe *all, int64_t n, const int64_t sentences[],
                              weft_probe *some)
{
    int64_t N[2] = { 0, 0 };
    for (int side = 0; side < 2; side++)
        for (int64_t i = 0; i < n; i++) N[side] += weft_probe_length(all, side, sentences[i]);
    const weft_status status = allocate(some, n, N);
    if (status != WEFT_OK) return status;
    for (int side = 0; side < 2; side++) {
        int64_t r = 0;
        for (int64_t i = 0; i < n; i++) {
            const int64_t from = all->offsets[side][sentences[i]],
                          length = weft_probe_length(all, side, sentences[i]);
            for (int64_t k = from; k < from + length; k++, r++) {
                some->ids[side][r] = all->ids[side][k];
                memcpy(&some->rows[side][2 * r], &all->rows[side][2 * k], 2 * sizeof(int32_t));
                if (side == 1) some->labels[r] = all->labels[k];
            }
            some->offsets[side][i + 1] = (int32_t)r;
        }
    }
    point(some);
    return WEFT_OK;
}

weft_status weft_probe_prefix(const weft_probe *all, int64_t sentence, int64_t n, weft_probe *some)
{
    const weft_status status = weft_probe_select(all, 1, &sentence, some);
    if (status != WEFT_OK) return status;
    some->N[1] = n;
    some->offsets[1][1] = (int32_t)n;
    point(some);
    return WEFT_OK;
}

void weft_probe_free(weft_probe *p)
{
    for (int side = 0; side < 2; side++) {
        weft_free(p->ids[side]);
        weft_free(p->offsets[side]);
        weft_free(p->rows[side]);
    }
    weft_free(p->labels);
    *p = (weft_probe){ 0 };
}

int32_t weft_probe_other_id(const weft_probe *p, int64_t r)
{
    return (int32_t)(FIRST_ID + p->N[0] + p->N[1] + r);
}

weft_status weft_probe_repeat(int64_t L, weft_tokens *tokens, int32_t **memory)
{
    int32_t *x = weft_alloc((size_t)(3 * L + 2), sizeof *x); /* ids 0, offsets, rows */
    if (!x) return WEFT_ERR_MEMORY;
    x[L + 1] = (int32_t)L;
    for (int64_t p = 0; p < L; p++) x[L + 2 + 2 * p + 1] = (int32_t)p;
    *memory = x;
    *tokens = (weft_tokens){ 1, L, x, x + L, x + L + 2 };
    return WEFT_OK;
}

/* ---- what attention is recorded ------------------------------------------------------------------ */

void weft_scopes_note(weft_scopes *s, const char *name, const char *op)
{
    enum { MOST = sizeof s->name / sizeof s->name[0] };
    if (!name) name = "";
    if (s->n == MOST || (s->n > 0 && strcmp(s->name[s->n - 1], name) == 0)) return;
    snprintf(s->op[s->n], sizeof s->op[0], "%s", op);
    snprintf(s->name[s->n++], sizeof s->name[0], "%s", name);
}
