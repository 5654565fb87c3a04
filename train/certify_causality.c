/* certify_causality.c - does an output know what comes later?
 *
 * Three questions, because each sees what the others do not: the derivative sees influence too small for
 * a digit, other tokens see a choice (a bucket, a selected query) through which no gradient flows, and no
 * tokens see how many there are. */
#include "train/certify_internal.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

typedef struct search {
    const weft_subject *subject;
    weft_certify_spec spec;
    weft_certificate *certificate;
    weft_probe probe;
    weft_tape *tape, *other; /* tape retains: one forward, many backward */
    weft_var logits;
    weft_real *dy; /* [N, V] */
} search;

/* A sentence, and the last position that an output may know. */
typedef struct place {
    int64_t b, t, first, length; /* first: row of the sentence */
} place;

static weft_var record(const weft_subject *s, const weft_certify_spec *spec, weft_tape *tape,
                       const weft_batch *batch)
{
    weft_tape_reset(tape);
    weft_tape_seed(tape, spec->seed, 1);
    return s->logits(s->model, tape, s->hidden(s->model, tape, batch));
}

/* First the longest sentence's beginning, end and middle, then anywhere. */
static place choose(const search *s, int64_t i)
{
    const weft_probe *p = &s->probe;
    const uint64_t key = weft_random_key(s->spec.seed, 1, 0);
    place at = { .b = 0 };
    for (int64_t b = 0; b < p->B; b++)
        if (weft_probe_length(p, 1, b) > weft_probe_length(p, 1, at.b)) at.b = b;
    if (i >= 3 && i % 2 == 1) {
        do at.b = (int64_t)weft_random_below(key, (uint64_t)(3 * i + at.b), (uint64_t)p->B);
        while (weft_probe_length(p, 1, at.b) < 2 && ++i);
    }
    at.length = weft_probe_length(p, 1, at.b);
    at.first = p->offsets[1][at.b];
    at.t = i == 0   ? 0
           : i == 1 ? at.length - 2
           : i == 2 ? at.length / 2 - 1
                    : (int64_t)weft_random_below(key + 1, (uint64_t)i, (uint64_t)at.length - 1);
    return at;
}

/* ---- other tokens ------------------------------------------------------------------------------- */

/* Give rows from .. to - 1 of the target other ids, or (back) their own. */
static void exchange(weft_probe *p, int64_t from, int64_t to, bool back)
{
    for (int64_t r = from; r < to; r++)
        p->ids[1][r] =
            back ? (int32_t)(weft_probe_other_id(p, r) - p->N[1]) : weft_probe_other_id(p, r);
}

/* The first of n rows that differ, from row at_a of a and at_b of b on; -1: none. */
static int64_t differing(const weft_tensor *a, int64_t at_a, const weft_tensor *b, int64_t at_b,
                         int64_t n)
{
    const size_t row_bytes = (size_t)weft_cols(a) * sizeof(weft_real);
    for (int64_t r = 0; r < n; r++)
        if (!weft_same_bits(a->real + (at_a + r) * a->ld, b->real + (at_b + r) * b->ld, row_bytes))
            return r;
    return -1;
}

/* One later token that alone changes rows first .. first + t; length where it takes several. */
static weft_status culprit(search *s, const place *at, int64_t *position)
{
    enum { MOST = 48 };
    const weft_tensor before = weft_value(s->tape, s->logits);
    weft_status status = WEFT_OK;
    *position = at->length;
    for (int64_t k = at->t + 1; k < at->length && k <= at->t + MOST; k++) {
        exchange(&s->probe, at->first + k, at->first + k + 1, false);
        const weft_var y = record(s->subject, &s->spec, s->other, &s->probe.batch);
        exchange(&s->probe, at->first + k, at->first + k + 1, true);
        status = weft_tape_status(s->other);
        if (status != WEFT_OK) return status;
        const weft_tensor after = weft_value(s->other, y);
        if (differing(&before, at->first, &after, at->first, at->t + 1) < 0) continue;
        *position = k;
        return WEFT_OK;
    }
    return status;
}

/* Name the operation in which what comes later than `at` enters. `row` of the sentence differs; -1 where
 * that is not known, and then nothing is said unless something does. */
static weft_status name_leak(search *s, const place *at, int64_t row)
{
    char where[WEFT_PLACE];
    int64_t position, first = 0;
    weft_probe changed;
    weft_status status = culprit(s, at, &position);
    if (status != WEFT_OK) return status;
    int64_t order[WEFT_PROBE_SENTENCES];
    for (int64_t b = 0; b < s->probe.B; b++) order[b] = b;
    status = weft_probe_select(&s->probe, s->probe.B, order, &changed);
    if (status != WEFT_OK) return status;
    for (int64_t r = at->first + at->t + 1; r < at->first + at->length; r++)
        if (position == at->length || r == at->first + position)
            changed.ids[1][r] = weft_probe_other_id(&s->probe, r);
    const weft_span span = { .a = { 0, at->first }, .b = { 0, at->first }, .n = { 0, at->t + 1 } };
    status = weft_trace_name(s->subject, &s->spec, &s->probe, &changed, &span, where, &first);
    weft_probe_free(&changed);
    if (status != WEFT_OK) return status;
    if (*where == '\0' && row < 0) return WEFT_OK;
    if (*where == '\0') first = row;
    char which[64];
    snprintf(which, sizeof which, position < at->length ? "position %lld" : "what is after %lld",
             (long long)(position < at->length ? position : at->t));
    weft_certify_fail(s->certificate, "%s%sposition %lld depends on %s (a sentence of %lld tokens)",
                      where, *where ? ": " : "", (long long)first, which, (long long)at->length);
    return WEFT_OK;
}

static weft_status ask_bits(search *s, const place *at)
{
    const weft_probe *p = &s->probe;
    const int64_t from = at->first + at->t + 1, end = at->first + at->length;
    exchange(&s->probe, from, end, false);
    const weft_var y = record(s->subject, &s->spec, s->other, &s->probe.batch);
    exchange(&s->probe, from, end, true);
    if (weft_tape_status(s->other) != WEFT_OK) return weft_tape_status(s->other);
    const weft_tensor before = weft_value(s->tape, s->logits), after = weft_value(s->other, y);
    s->certificate->n_questions++;
    const int64_t row = differing(&before, at->first, &after, at->first, at->t + 1);
    if (row >= 0) return name_leak(s, at, row);
    int64_t other = differing(&before, 0, &after, 0, at->first);
    if (other < 0 && (other = differing(&before, end, &after, end, p->N[1] - end)) >= 0)
        other += end;
    if (other >= 0)
        weft_certify_fail(s->certificate,
                          "row %lld of the batch depends on tokens of another sentence (%lld)",
                          (long long)other, (long long)at->b);
    return WEFT_OK;
}

/* ---- no tokens ---------------------------------------------------------------------------------- */

/* Name the operation that knows how long the sentence is; `row` differs. */
static weft_status name_length(search *s, const place *at, const weft_probe *prefix, int64_t row)
{
    char where[WEFT_PLACE];
    int64_t first = row;
    const weft_span span = { .a = { s->probe.offsets[0][at->b], at->first },
                             .n = { weft_probe_length(prefix, 0, 0), at->t + 1 } };
    const weft_status status =
        weft_trace_name(s->subject, &s->spec, &s->probe, prefix, &span, where, &first);
    weft_certify_fail(s->certificate,
                      "%s%sposition %lld depends on how long its sentence is (%lld tokens; alone, "
                      "its first %lld give other bits)",
                      where, *where ? ": " : "", (long long)(*where ? first : row),
                      (long long)at->length, (long long)at->t + 1);
    return status;
}

/* The sentence up to `at` alone. */
static weft_status ask_prefix(search *s, const place *at)
{
    weft_probe prefix;
    weft_status status = weft_probe_prefix(&s->probe, at->b, at->t + 1, &prefix);
    if (status != WEFT_OK) return status;
    const weft_var y = record(s->subject, &s->spec, s->other, &prefix.batch);
    status = weft_tape_status(s->other);
    if (status == WEFT_OK) {
        const weft_tensor whole = weft_value(s->tape, s->logits), alone = weft_value(s->other, y);
        s->certificate->n_questions++;
        const int64_t row = differing(&whole, at->first, &alone, 0, at->t + 1);
        if (row >= 0) status = name_length(s, at, &prefix, row);
    }
    weft_probe_free(&prefix);
    return status;
}

/* ---- derivatives -------------------------------------------------------------------------------- */

static bool is_zero(const weft_real *x, int64_t n)
{
    for (int64_t k = 0; k < n; k++)
        if (x[k] != 0) return false;
    return true;
}

/* The gradients by the embeddings of one side: 0 but in rows from .. to - 1, and there somewhere not. */
static int64_t stray(const search *s, int side, int64_t from, int64_t to, bool *reached)
{
    const weft_param embed = side ? s->subject->target_embed : s->subject->source_embed;
    const weft_tensor g = weft_params_gradient(embed.params, embed.index);
    const int64_t D = weft_cols(&g);
    *reached = false;
    for (int64_t r = 0; r < s->probe.N[side]; r++) {
        const bool zero = is_zero(g.real + s->probe.ids[side][r] * g.ld, D);
        if (r >= from && r < to)
            *reached |= !zero;
        else if (!zero)
            return r;
    }
    return -1;
}

static weft_status ask_derivative(search *s, const place *at)
{
    const weft_probe *p = &s->probe;
    const int64_t V = s->subject->V, row = at->first + at->t;
    const uint64_t key = weft_random_key(s->spec.seed, 2, 0);
    bool reached, source_reached = true;
    weft_params_zero_gradients(s->subject->params);
    for (int64_t c = 0; c < V; c++)
        s->dy[row * V + c] = (weft_real)weft_random_normal(key, (uint64_t)row, (uint32_t)c);
    const weft_status status = weft_backward(s->tape, s->logits, s->dy);
    memset(s->dy + row * V, 0, (size_t)V * sizeof *s->dy);
    if (status != WEFT_OK) return status;
    s->certificate->n_questions++;
    const int64_t r = stray(s, 1, at->first, row + 1, &reached);
    if (r >= at->first && r < at->first + at->length) {
        const weft_status named = name_leak(s, at, -1);
        weft_certify_fail(s->certificate,
                          "the derivative of position %lld by position %lld is not 0",
                          (long long)at->t, (long long)(r - at->first));
        return named;
    }
    if (r >= 0)
        weft_certify_fail(s->certificate,
                          "the derivative of position %lld of sentence %lld by row %lld of the "
                          "batch, another sentence, is not 0",
                          (long long)at->t, (long long)at->b, (long long)r);
    if (p->N[0] > 0 &&
        stray(s, 0, p->offsets[0][at->b], p->offsets[0][at->b + 1], &source_reached) >= 0)
        weft_certify_fail(s->certificate,
                          "the derivative of sentence %lld by the source of another is not 0",
                          (long long)at->b);
    if (!reached || !source_reached)
        weft_certify_fail(s->certificate, "position %lld of sentence %lld depends on no token%s",
                          (long long)at->t, (long long)at->b, reached ? " of its source" : "");
    return WEFT_OK;
}

/* ---- the whole ---------------------------------------------------------------------------------- */

static weft_status prepare(search *s)
{
    const weft_status status = weft_probe_init(&s->probe, s->subject, &s->spec);
    if (status != WEFT_OK) return status;
    s->dy = weft_alloc((size_t)(s->probe.N[1] * s->subject->V), sizeof *s->dy);
    s->tape = weft_tape_new(WEFT_RETAIN);
    s->other = weft_tape_new(0);
    if (!s->dy || !s->tape || !s->other) return WEFT_ERR_MEMORY;
    s->logits = record(s->subject, &s->spec, s->tape, &s->probe.batch);
    return weft_tape_status(s->tape);
}

weft_status weft_certify_causality(const weft_subject *subject, const weft_certify_spec *spec,
                                   weft_certificate *certificate)
{
    search s = { .subject = subject, .certificate = certificate };
    *certificate = (weft_certificate){ .verdict = WEFT_HOLDS };
    weft_status status = weft_certify_defaults(spec, &s.spec);
    if (status == WEFT_OK) status = prepare(&s);
    for (int64_t i = 0; i < s.spec.probes && status == WEFT_OK; i++) {
        const place at = choose(&s, i);
        if (certificate->verdict == WEFT_FAILS) break;
        status = ask_derivative(&s, &at);
        if (status == WEFT_OK && certificate->verdict == WEFT_HOLDS) status = ask_bits(&s, &at);
        if (status == WEFT_OK && certificate->verdict == WEFT_HOLDS) status = ask_prefix(&s, &at);
    }
    weft_certify_say(
        certificate,
        "%lld places in sentences of up to %lld tokens: derivatives by later inputs and "
        "other sentences are 0, logits keep their bits whatever follows, and if nothing "
        "does",
        (long long)s.spec.probes, (long long)s.spec.longest);
    weft_tape_free(s.tape);
    weft_tape_free(s.other);
    weft_free(s.dy);
    weft_probe_free(&s.probe);
    return status;
}
