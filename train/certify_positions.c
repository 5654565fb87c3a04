/* certify_positions.c - do encodings of positions follow their formula, and tell positions apart? */
#include "train/certify_internal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const double tolerance = sizeof(weft_real) == 4 ? 1e-5 : 1e-10;

/* ---- a table ------------------------------------------------------------------------------------ */

/* The base that the frequencies of a table's row 1 belong to; 0 where they have none in common. */
static double base_of(const weft_position_table *t, const weft_position_formula *f)
{
    const int64_t half = t->D / 2;
    double base = 0;
    for (int64_t i = 1; i < half && t->L > 1; i++) {
        const weft_real *row = t->x + t->ld;
        const double s = (double)(f->halves ? row[i] : row[2 * i]),
                     c = (double)(f->halves ? row[half + i] : row[2 * i + 1]), w = atan2(s, c);
        const double exponent =
            f->halves ? (double)i / (double)(half - 1) : 2 * (double)i / (double)t->D;
        if (!(w > 0)) return 0;
        const double found = pow(w, -1 / exponent);
        if (i == 1) base = found;
        if (fabs(found - base) > 1e-3 * base) return 0;
    }
    return base;
}

static void ask_formula(const weft_position_table *t, const weft_position_formula *f,
                        weft_certificate *c)
{
    const int64_t half = t->D / 2;
    for (int64_t p = 0; p < t->L; p++) {
        const weft_real *row = t->x + p * t->ld;
        for (int64_t i = 0; i < half; i++) {
            const double s = f->magnitude * sin((double)p * f->w[i]),
                         k = f->magnitude * cos((double)p * f->w[i]),
                         is_s = (double)(f->halves ? row[i] : row[2 * i]),
                         is_k = (double)(f->halves ? row[half + i] : row[2 * i + 1]),
                         error = fmax(fabs(s - is_s), fabs(k - is_k));
            c->n_questions++;
            if (error <= tolerance && error > c->worst) c->worst = error;
            if (error <= tolerance) continue;
            const double base = base_of(t, f);
            if (base > 0 && fabs(base - f->base) > 1e-3 * f->base)
                weft_certify_fail(c, "the frequencies are those of base %.6g, not %.6g", base,
                                  f->base);
            else
                weft_certify_fail(c,
                                  "position %lld, pair %lld: (%.9g, %.9g) instead of (%.9g, %.9g)",
                                  (long long)p, (long long)i, is_s, is_k, s, k);
            return;
        }
    }
}

static double apart(const weft_position_table *t, int64_t p, int64_t q, double enough)
{
    const weft_real *x = t->x + p * t->ld, *y = t->x + q * t->ld;
    double most = 0;
    for (int64_t k = 0; k < t->D && most <= enough; k++)
        most = fmax(most, fabs((double)x[k] - (double)y[k]));
    return most;
}

/* Two positions with one encoding; a value that is none. */
static void ask_distinct(const weft_position_table *t, weft_certificate *c)
{
    double largest = 0;
    for (int64_t p = 0; p < t->L; p++)
        for (int64_t k = 0; k < t->D; k++) {
            const double x = (double)t->x[p * t->ld + k];
            if (!isfinite(x))
                weft_certify_fail(c, "position %lld has the value %g", (long long)p, x);
            largest = fmax(largest, fabs(x));
        }
    for (int64_t p = 0; p < t->L; p++)
        for (int64_t q = p + 1; q < t->L; q++) {
            c->n_questions++;
            if (apart(t, p, q, 1e-6 * largest) > 1e-6 * largest) continue;
            weft_certify_fail(c, "positions %lld and %lld have one encoding: it repeats",
                              (long long)p, (long long)q);
            return;
        }
}

void weft_certify_table(const weft_position_table *table, const weft_position_formula *formula,
                        weft_certificate *certificate)
{
    *certificate = (weft_certificate){ .verdict = WEFT_HOLDS };
    if (formula) ask_formula(table, formula, certificate);
    if (certificate->verdict == WEFT_HOLDS) ask_distinct(table, certificate);
    weft_certify_say(certificate, "%lld positions, no two alike", (long long)table->L);
}

/* ---- what the papers say ------------------------------------------------------------------------ */

/* Vaswani et al. 2017, section 3.5; tensor2tensor's halves; for rotary positions of a sentence of n
 * tokens Su et al. 2021, Chen et al. 2023, "NTK-aware" and YaRN (Peng et al. 2023). */
static double frequency(const weft_position_config *config, int64_t i, int64_t n)
{
    const weft_sinusoid_spec *f = &config->frequencies;
    const double D = (double)config->width, base = f->base > 0 ? f->base : 10000,
                 s = f->factor > 0 ? f->factor : 1, L = (double)f->length;
    if (f->halves) return exp(-log(base) * (double)i / fmax(D / 2 - 1, 1));
    const double w = exp(-log(base) * 2 * (double)i / D);
    const double grown = fmax(1, (double)n / L), power = D / (D - 2);
    switch (f->scaling) {
    case WEFT_UNSCALED: break;
    case WEFT_SCALE_LINEAR: return w / s;
    case WEFT_SCALE_NTK: return w * pow(s, -power * 2 * (double)i / D);
    case WEFT_SCALE_DYNAMIC: return w * pow(grown, -power * 2 * (double)i / D);
    case WEFT_SCALE_YARN: {
        const double turn = 2 * acos(-1), per = D / (2 * log(base));
        const double low = fmax(0, floor(per * log(L / (32 * turn)))),
                     high = fmin(D - 1, ceil(per * log(L / turn)));
        const double g = ((double)i - low) / (high > low ? high - low : 1e-3);
        const double mixed = g < 0 ? 0 : g > 1 ? 1 : g;
        return w / s * mixed + w * (1 - mixed);
    }
    }
    return w;
}

/* ---- a model ------------------------------------------------------------------------------------ */

/* What a model is asked with, and what its layers should be by its configuration. */
typedef struct inquiry {
    const weft_transformer *model;
    weft_certificate *certificate;
    weft_position_config config;
    int64_t longest;
    double *w; /* [width / 2]: frequencies of a sentence */
} inquiry;

/* The answers of a part. */
static void add(weft_certificate *all, const weft_certificate *part, const char *whose)
{
    all->n_questions += part->n_questions;
    all->worst = fmax(all->worst, part->worst);
    if (part->verdict == WEFT_FAILS) weft_certify_fail(all, "%s%s", whose, part->text);
}

/* Frequencies of a sentence of n tokens. */
static weft_position_formula formula_of(const inquiry *q, int64_t n)
{
    const weft_position_config *config = &q->config;
    const bool yarn = config->frequencies.scaling == WEFT_SCALE_YARN;
    for (int64_t i = 0; i < config->width / 2; i++) q->w[i] = frequency(config, i, n);
    return (weft_position_formula){
        .w = q->w,
        .magnitude = yarn ? 0.1 * log(fmax(config->frequencies.factor, 1)) + 1 : 1,
        .halves = config->frequencies.halves,
        .base = config->frequencies.base > 0 ? config->frequencies.base : 10000
    };
}

/* The encodings or angles of positions 0 .. L - 1 of one sentence. */
static weft_var encodings(const inquiry *q, const weft_position_layer *layer, weft_tape *tape,
                          const weft_tokens *tokens)
{
    const weft_packed packed = weft_packed_of(tape, tokens);
    if (q->config.kind == WEFT_POSITION_ROTARY)
        return weft_position_layer_angles(layer, tape, packed.rows);
    const weft_var zero = weft_full(tape, WEFT_DIMS(tokens->N, q->config.width), 0);
    return weft_position_layer_add(layer, tape, zero, &packed);
}

static weft_status ask_layer(inquiry *q, const weft_position_layer *layer, weft_tape *tape,
                             const weft_tokens *tokens, const char *whose)
{
    weft_certificate c;
    const weft_var y = encodings(q, layer, tape, tokens);
    if (weft_is_nil(y) && weft_tape_status(tape) == WEFT_OK) {
        weft_certify_fail(q->certificate, "%sthere are no angles", whose);
        return WEFT_OK;
    }
    const weft_tensor x = weft_value(tape, y);
    if (weft_tape_status(tape) != WEFT_OK) return weft_tape_status(tape);
    const weft_position_table table = { x.real, tokens->N, q->config.width, x.ld };
    const weft_position_formula formula = formula_of(q, tokens->N);
    const bool learned = q->config.kind == WEFT_POSITION_LEARNED;
    weft_certify_table(&table, learned ? NULL : &formula, &c);
    add(q->certificate, &c, whose);
    return WEFT_OK;
}

static weft_status ask_layers(inquiry *q)
{
    const bool running = q->model->config.decoder_only;
    const int64_t L =
        q->config.kind == WEFT_POSITION_LEARNED && q->longest > q->config.max_positions
            ? q->config.max_positions
            : q->longest;
    int32_t *memory = NULL;
    weft_tokens tokens;
    weft_tape *tape = weft_tape_new(WEFT_NO_GRAD);
    weft_status status = tape ? weft_probe_repeat(L, &tokens, &memory) : WEFT_ERR_MEMORY;
    if (status == WEFT_OK && !running)
        status = ask_layer(q, &q->model->src_position, tape, &tokens, "encoder: ");
    if (status == WEFT_OK)
        status = ask_layer(q, &q->model->tgt_position, tape, &tokens, running ? "" : "decoder: ");
    if (q->config.kind == WEFT_POSITION_LEARNED)
        weft_certify_say(q->certificate, "%lld positions%s, no two alike", (long long)L,
                         running ? "" : " of encoder and decoder");
    else
        weft_certify_say(q->certificate,
                         "%lld positions, %lld frequencies as the formula says within %.1e, no two "
                         "positions alike",
                         (long long)L, (long long)q->config.width / 2, q->certificate->worst);
    weft_free(memory);
    weft_tape_free(tape);
    return status;
}

/* Of H heads, head h from 0 (Press et al. 2022, and its published code): 2^(-8 (h + 1) / H); where H is no
 * power of two those of the next smaller one, then every second of the next larger one. */
static double alibi_slope(int h, int H)
{
    int power = 1;
    while (2 * power <= H) power *= 2;
    const int place = h < power ? 2 * (h + 1) : 2 * (h - power) + 1;
    return pow(2, -8.0 * place / (2 * power));
}

/* Attention, with as many tokens as two tiles have, or twice what relative positions tell apart. */
static weft_status ask_attention(inquiry *q)
{
    enum { MOST = 514 }; /* all weights are held */
    const weft_layer_config *layer = &q->model->config.layer;
    const weft_subject subject = weft_subject_of(q->model, NULL);
    const int64_t reach = layer->exact.relative >= WEFT_RELATIVE_T5 ? layer->exact.reach : 0;
    int64_t L = 2 * reach + 2 > WEFT_CERTIFY_LONGEST ? 2 * reach + 2 : WEFT_CERTIFY_LONGEST;
    if (L > MOST) L = MOST;
    if (L > q->longest) L = q->longest;
    weft_certificate c;
    weft_status status;
    if (q->config.kind == WEFT_POSITION_ROTARY) {
        weft_position_formula formula = formula_of(q, L);
        formula.halves = layer->rotary_halves;
        status = weft_certify_turns(&subject, L, q->config.width, &formula, &c);
    } else {
        double *slopes = weft_alloc((size_t)layer->heads, sizeof *slopes);
        if (!slopes) return WEFT_ERR_MEMORY;
        for (int h = 0; h < layer->heads; h++) slopes[h] = alibi_slope(h, layer->heads);
        const bool alibi = layer->exact.relative == WEFT_RELATIVE_ALIBI;
        const weft_distances of = { alibi ? slopes : NULL, layer->exact.weights };
        status = weft_certify_distances(&subject, L, &of, &c);
        weft_free(slopes);
    }
    if (status != WEFT_OK) return status;
    add(q->certificate, &c, "");
    const size_t at = strlen(q->certificate->text);
    if (q->certificate->verdict == WEFT_HOLDS)
        snprintf(q->certificate->text + at, sizeof c.text - at, "%s%s", at > 0 ? "; " : "", c.text);
    return WEFT_OK;
}

weft_status weft_certify_positions(const weft_transformer *model, int64_t longest,
                                   weft_certificate *certificate)
{
    const weft_transformer_config *shape = &model->config;
    const bool rotary = shape->position == WEFT_POSITION_ROTARY,
               relative = shape->layer.exact.relative != WEFT_RELATIVE_NONE;
    inquiry q = { .model = model,
                  .certificate = certificate,
                  .config = { .kind = shape->position,
                              .width =
                                  rotary ? shape->layer.D / shape->layer.heads : shape->layer.D,
                              .max_positions = shape->max_positions,
                              .frequencies = shape->frequencies },
                  .longest = longest };
    q.config.frequencies.halves = shape->position == WEFT_POSITION_SINUSOIDAL_HALF;
    *certificate = (weft_certificate){ .verdict = WEFT_HOLDS };
    if (longest < 1)
        return weft_error(WEFT_ERR_RANGE, "certify: %lld positions", (long long)longest);
    if (shape->position == WEFT_POSITION_NONE && !relative) {
        certificate->verdict = WEFT_NOT_ASKED;
        weft_certify_say(certificate, "the model knows of no positions: neither its embeddings nor "
                                      "queries, keys and scores");
        return WEFT_OK;
    }
    q.w = weft_alloc((size_t)q.config.width / 2, sizeof *q.w);
    weft_status status = q.w ? WEFT_OK : WEFT_ERR_MEMORY;
    if (status == WEFT_OK && shape->position != WEFT_POSITION_NONE) status = ask_layers(&q);
    if (status == WEFT_OK && (rotary || relative)) status = ask_attention(&q);
    weft_free(q.w);
    return status;
}
