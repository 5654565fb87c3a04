/* certify_positions.c - do encodings of positions follow their formula, and tell positions apart? */
#include "train/certify_internal.h"

#include <math.h>
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

/* ---- a model's layer ---------------------------------------------------------------------------- */

/* The encodings or angles of positions 0 .. L - 1 of one sentence. */
static weft_var encodings(const weft_position_layer *layer, weft_tape *tape, int64_t L,
                          const weft_tokens *tokens)
{
    const weft_packed packed = weft_packed_of(tape, tokens);
    if (layer->config.kind == WEFT_POSITION_ROTARY)
        return weft_position_layer_angles(layer, tape, packed.rows);
    const weft_var zero = weft_full(tape, WEFT_DIMS(L, layer->config.width), 0);
    return weft_position_layer_add(layer, tape, zero, &packed);
}

/* Turned queries and keys: their products depend on the distance alone. */
static weft_status ask_distance(weft_tape *tape, weft_var angles, bool halves, int64_t L, int64_t K,
                                weft_certificate *c)
{
    const uint64_t key = weft_random_key(1, 4, 0);
    weft_real *x = weft_alloc((size_t)(2 * L * K), sizeof *x);
    if (!x) return WEFT_ERR_MEMORY;
    for (int64_t p = 0; p < 2 * L; p++)
        for (int64_t k = 0; k < K; k++)
            x[p * K + k] = (weft_real)weft_random_normal(key, (uint64_t)(p / L), (uint32_t)k);
    const weft_var q = weft_rotary(tape, weft_constant(tape, WEFT_DIMS(L, K), x), angles, halves);
    const weft_var k =
        weft_rotary(tape, weft_constant(tape, WEFT_DIMS(L, K), x + L * K), angles, halves);
    weft_free(x);
    const weft_tensor scores = weft_value(tape, weft_matmul_t(tape, q, false, k, true));
    if (weft_tape_status(tape) != WEFT_OK) return weft_tape_status(tape);
    for (int64_t p = 1; p < L; p++)
        for (int64_t s = 1; s < L; s++) {
            const double before = (double)scores.real[(p - 1) * scores.ld + s - 1],
                         after = (double)scores.real[p * scores.ld + s];
            c->n_questions++;
            if (!(fabs(before - after) <= 100 * tolerance * (double)K))
                weft_certify_fail(c,
                                  "one query and one key %lld apart: score %.9g at position %lld, "
                                  "%.9g at the next",
                                  (long long)(p - s), before, (long long)p - 1, after);
        }
    return WEFT_OK;
}

static weft_status ask_layer(const weft_position_layer *layer, bool halves, weft_tape *tape,
                             const weft_tokens *tokens, double w[], weft_certificate *c)
{
    const weft_position_config *config = &layer->config;
    const int64_t L = tokens->N;
    const weft_var y = encodings(layer, tape, L, tokens);
    const weft_tensor x = weft_value(tape, y);
    if (weft_tape_status(tape) != WEFT_OK) return weft_tape_status(tape);
    for (int64_t i = 0; i < config->width / 2; i++) w[i] = frequency(config, i, L);
    const bool yarn = config->frequencies.scaling == WEFT_SCALE_YARN;
    const weft_position_formula formula = {
        .w = w,
        .magnitude = yarn ? 0.1 * log(fmax(config->frequencies.factor, 1)) + 1 : 1,
        .halves = config->frequencies.halves,
        .base = config->frequencies.base > 0 ? config->frequencies.base : 10000
    };
    const bool learned = config->kind == WEFT_POSITION_LEARNED;
    weft_certify_table(&(weft_position_table){ x.real, L, config->width, x.ld },
                       learned ? NULL : &formula, c);
    if (config->kind == WEFT_POSITION_ROTARY && c->verdict == WEFT_HOLDS)
        return ask_distance(tape, y, halves, L, config->width, c);
    return WEFT_OK;
}

static weft_status make_tokens(int64_t L, weft_tokens *tokens, int32_t **memory)
{
    int32_t *x = weft_alloc((size_t)(3 * L + 2), sizeof *x); /* ids 0, offsets, rows */
    if (!x) return WEFT_ERR_MEMORY;
    x[L + 1] = (int32_t)L;
    for (int64_t p = 0; p < L; p++) x[L + 2 + 2 * p + 1] = (int32_t)p;
    *memory = x;
    *tokens = (weft_tokens){ 1, L, x, x + L, x + L + 2 };
    return WEFT_OK;
}

weft_status weft_certify_positions(const weft_transformer *model, int64_t longest,
                                   weft_certificate *certificate)
{
    const weft_position_config *config = &model->tgt_position.config;
    const int64_t L = config->kind == WEFT_POSITION_LEARNED && longest > config->max_positions
                          ? config->max_positions
                          : longest;
    int32_t *memory = NULL;
    weft_tokens tokens;
    *certificate = (weft_certificate){ .verdict = WEFT_HOLDS };
    if (longest < 1)
        return weft_error(WEFT_ERR_RANGE, "certify: %lld positions", (long long)longest);
    if (config->kind == WEFT_POSITION_NONE) {
        certificate->verdict = WEFT_NOT_ASKED;
        weft_certify_say(certificate, "the model adds no encoding of positions to its "
                                      "embeddings, nor turns queries and keys");
        return WEFT_OK;
    }
    double *w = weft_alloc((size_t)config->width / 2, sizeof *w);
    weft_tape *tape = weft_tape_new(WEFT_NO_GRAD);
    weft_status status = w && tape ? make_tokens(L, &tokens, &memory) : WEFT_ERR_MEMORY;
    if (status == WEFT_OK)
        status = ask_layer(&model->tgt_position, model->config.layer.rotary_halves, tape, &tokens,
                           w, certificate);
    if (config->kind != WEFT_POSITION_LEARNED)
        weft_certify_say(certificate,
                         "%lld positions, %lld frequencies as the formula says within %.1e, no two "
                         "positions alike%s",
                         (long long)L, (long long)config->width / 2, certificate->worst,
                         config->kind == WEFT_POSITION_ROTARY ? "; scores depend on distances alone"
                                                              : "");
    weft_free(memory);
    weft_free(w);
    weft_tape_free(tape);
    return status;
}
