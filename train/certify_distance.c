/* certify_distance.c - what attention itself knows of positions: queries and keys that are turned, and
 * what is added to scores. Asked with one token over and over: rows then differ by their positions alone. */
#include "autograd/tape_internal.h"
#include "train/certify_internal.h"

#include <math.h>
#include <string.h>

static const double tolerance = sizeof(weft_real) == 4 ? 1e-5 : 1e-10;

typedef struct look {
    const weft_subject *subject;
    weft_certificate *certificate;
    const weft_position_formula *formula; /* turns */
    int64_t K;
    weft_scopes scopes; /* attentions that are asked */
    bool first;         /* the next one reads embeddings */
} look;

static const weft_tensor *input(const weft_call *call, const char *name)
{
    const int i = weft_tape_input_named(call->op, name);
    return i >= 0 && call->in[i].data ? &call->in[i] : NULL;
}

/* Values have no positions: rows that are still one token have one value. */
static bool has_one_value(const weft_tensor *v)
{
    const double unit = weft_largest_in(v, 0, 1, 0, weft_cols(v));
    for (int64_t r = 1; r < weft_rows(v); r++)
        for (int64_t k = 0; k < weft_cols(v); k++)
            if (fabs((double)v->real[r * v->ld + k] - (double)v->real[k]) > 0.1 * tolerance * unit)
                return false;
    return true;
}

/* Self-attention to be asked. Above a layer whose weights do not sum to 1, as of sigmoids, rows are no
 * longer one token; above embeddings they must be. */
static bool is_asked(look *w, const weft_event *event)
{
    const weft_call *call = event->call;
    const weft_tensor *v = input(call, "v"), *q_offsets = input(call, "q_offsets"),
                      *k_offsets = input(call, "k_offsets");
    w->first |= strcmp(call->op->name, "embedding") == 0;
    if (!v || (q_offsets && k_offsets && q_offsets->data != k_offsets->data)) return false;
    const bool one = has_one_value(v);
    if (w->first && !one)
        weft_certify_fail(w->certificate, "%s: one token is not read alike wherever it stands",
                          event->scope ? event->scope : call->op->name);
    w->first = false;
    return one;
}

/* Let the subject read one token L times, watched. */
static weft_status read_one_token(look *w, int64_t L, weft_watch *watch, weft_tape *tape)
{
    const weft_subject *s = w->subject;
    weft_batch batch = { 0 };
    int32_t *memory = NULL;
    const weft_status status = weft_probe_repeat(L, &batch.target, &memory);
    if (status != WEFT_OK) return status;
    if (!weft_param_is_none(s->source_embed)) batch.source = batch.target;
    weft_tape_watch(tape, watch, w);
    (void)s->hidden(s->model, tape, &batch);
    weft_tape_watch(tape, NULL, NULL);
    weft_free(memory);
    return weft_tape_status(tape);
}

static void say_none(look *w)
{
    if (w->scopes.n == 0) weft_certify_fail(w->certificate, "there is no self-attention to ask");
}

static void note_error(look *w, double error)
{
    w->certificate->n_questions++;
    if (error <= tolerance && error > w->certificate->worst) w->certificate->worst = error;
}

/* ---- turns -------------------------------------------------------------------------------------- */

/* Row p of queries or keys is row 0, each pair turned by its angle. */
static void ask_row(look *w, const weft_tensor *x, int64_t p, double unit, const char *whose,
                    const char *where)
{
    const weft_position_formula *f = w->formula;
    const int64_t half = w->K / 2, step = f->halves ? 1 : 2, to_b = f->halves ? half : 1;
    const weft_real *first = x->real, *row = x->real + p * x->ld;
    for (int64_t n = 0; n < weft_cols(x) / w->K * half; n++) {
        const int64_t h = n / half, i = n % half, a = h * w->K + i * step, b = a + to_b;
        const double x_a = (double)first[a], x_b = (double)first[b], is_a = (double)row[a],
                     is_b = (double)row[b], angle = (double)p * f->w[i],
                     y_a = x_a * cos(angle) - x_b * sin(angle),
                     y_b = x_a * sin(angle) + x_b * cos(angle),
                     error = fmax(fabs(y_a - is_a), fabs(y_b - is_b)) / unit;
        note_error(w, error);
        if (error <= tolerance) continue;
        const bool still = is_a == x_a && is_b == x_b;
        weft_certify_fail(w->certificate,
                          "%s: %s at position %lld, head %lld, pair %lld: (%.9g, %.9g) instead of "
                          "(%.9g, %.9g)%s",
                          where, whose, (long long)p, (long long)h, (long long)i, is_a, is_b, y_a,
                          y_b, still ? ": not turned" : "");
        return;
    }
}

static void ask_turned(look *w, const weft_event *event, const weft_tensor *x, const char *whose)
{
    const double unit = weft_largest_in(x, 0, 1, 0, weft_cols(x));
    const char *where = event->scope ? event->scope : event->call->op->name;
    for (int64_t p = 1; p < weft_rows(x) && w->certificate->verdict == WEFT_HOLDS; p++)
        ask_row(w, x, p, unit, whose, where);
}

/* Attention to features has read queries and keys before, one by one. */
static void watch_turns(void *context, const weft_event *event)
{
    static const struct {
        const char *name, *whose;
    } read[] = { { "q", "queries" }, { "k", "keys" }, { "qk", "queries and keys" } };
    look *w = context;
    const weft_call *call = event->call;
    const bool features = strcmp(call->op->name, "favor") == 0;
    if (!event->done || (!features && !is_asked(w, event))) return;
    if (features) ask_turned(w, event, input(call, "x"), "queries or keys");
    weft_scopes_note(&w->scopes, event->scope, call->op->name);
    if (strcmp(call->op->name, "linear_attention") == 0) return;
    for (size_t i = 0; i < sizeof read / sizeof *read; i++) {
        const weft_tensor *x = input(call, read[i].name);
        if (x) ask_turned(w, event, x, read[i].whose);
    }
}

weft_status weft_certify_turns(const weft_subject *subject, int64_t L, int64_t K,
                               const weft_position_formula *formula, weft_certificate *certificate)
{
    look w = { .subject = subject, .certificate = certificate, .formula = formula, .K = K };
    *certificate = (weft_certificate){ .verdict = WEFT_HOLDS };
    weft_tape *tape = weft_tape_new(WEFT_NO_GRAD);
    if (!tape) return WEFT_ERR_MEMORY;
    const weft_status status = read_one_token(&w, L, watch_turns, tape);
    say_none(&w);
    weft_certify_say(certificate, "queries and keys of %d attentions turned by them within %.1e",
                     w.scopes.n, certificate->worst);
    weft_tape_free(tape);
    return status;
}

/* ---- scores ------------------------------------------------------------------------------------- */

static void watch_exact(void *context, const weft_event *event)
{
    look *w = context;
    const char *op = event->call->op->name;
    if (event->done && is_asked(w, event) && strcmp(op, "attention") == 0)
        weft_scopes_note(&w->scopes, event->scope, op);
}

/* What a weight says of its score, but for what its row has in common; NAN where it is too small, or
 * too near to the most there is, to say it. */
static double score_of(double weight, weft_weights_kind kind)
{
    if (weight < 1e-30 || (kind == WEFT_SIGMOID && weight > 0.999)) return NAN;
    return kind == WEFT_SIGMOID ? log(weight / (1 - weight)) : log(weight);
}

/* The scores of one head, each less that of the token itself: by the formula, or all those of a distance
 * the same. found[L - 1 + distance] is NAN before there is one. */
static void ask_head(look *w, const weft_tensor *weights, int h, const weft_distances *of,
                     double *found, const char *where)
{
    const int H = w->subject->heads;
    const int64_t L = weft_cols(weights);
    double low = 0, high = 0;
    bool apart = false; /* a score of two positions was seen */
    for (int64_t d = 0; d < 2 * L - 1; d++) found[d] = NAN;
    for (int64_t n = 0; n < L * L && w->certificate->verdict == WEFT_HOLDS; n++) {
        const int64_t p = n / L, j = n % L, d = p < j ? j - p : p - j;
        const weft_real *row = weights->real + (p * H + h) * weights->ld;
        const double score =
            score_of((double)row[j], of->weights) - score_of((double)row[p], of->weights);
        double *first = &found[L - 1 + p - j];
        if (isnan(score)) continue;
        if (of->slopes || isnan(*first)) *first = of->slopes ? -of->slopes[h] * (double)d : score;
        apart |= d > 0;
        low = fmin(low, score);
        high = fmax(high, score);
        const double error = fabs(score - *first) / (1 + fabs(*first));
        note_error(w, error);
        if (error <= tolerance) continue;
        weft_certify_fail(w->certificate,
                          "%s, head %d: from position %lld to %lld the score is %.6g more than to "
                          "itself, not %.6g",
                          where, h, (long long)p, (long long)j, score, *first);
    }
    if (apart && high - low <= tolerance)
        weft_certify_fail(w->certificate, "%s, head %d: scores do not depend on distances", where,
                          h);
}

static weft_status ask_scores(look *w, weft_tape *tape, const weft_distances *of, const char *where)
{
    const int H = w->subject->heads;
    const weft_tensor weights = weft_value(tape, weft_attention_weights_in(tape, where, H));
    if (weft_tape_status(tape) != WEFT_OK) return weft_tape_status(tape);
    double *found = weft_alloc((size_t)(2 * weft_cols(&weights)), sizeof *found);
    if (!found) return WEFT_ERR_MEMORY;
    for (int h = 0; h < H; h++) ask_head(w, &weights, h, of, found, where);
    weft_free(found);
    return WEFT_OK;
}

weft_status weft_certify_distances(const weft_subject *subject, int64_t L, const weft_distances *of,
                                   weft_certificate *certificate)
{
    look w = { .subject = subject, .certificate = certificate };
    *certificate = (weft_certificate){ .verdict = WEFT_HOLDS };
    weft_tape *tape = weft_tape_new(WEFT_NO_GRAD);
    if (!tape) return WEFT_ERR_MEMORY;
    weft_status status = read_one_token(&w, L, watch_exact, tape);
    say_none(&w);
    for (int i = 0; i < w.scopes.n && status == WEFT_OK; i++)
        status = ask_scores(&w, tape, of, w.scopes.name[i]);
    weft_certify_say(certificate, "scores of %d attentions %s, up to %lld, within %.1e", w.scopes.n,
                     of->slopes ? "fall by the slopes of the formula with the distance"
                                : "depend on the distance alone",
                     (long long)L - 1, certificate->worst);
    weft_tape_free(tape);
    return status;
}
