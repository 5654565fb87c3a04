/* certify_config.c - from a configuration to the model that is certified. */
#include "train/certify_internal.h"
#include "train/model.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const names[WEFT_CERTIFICATES] = {
    [WEFT_CERTIFY_CAUSALITY] = "causality", [WEFT_CERTIFY_ISOLATION] = "isolation",
    [WEFT_CERTIFY_GRADIENT] = "gradient",   [WEFT_CERTIFY_ROWS] = "rows",
    [WEFT_CERTIFY_POSITIONS] = "positions", [WEFT_CERTIFY_DECODING] = "decoding",
    [WEFT_CERTIFY_LIMITS] = "limits",
};

const char *weft_certificate_name(weft_certificate_kind kind) { return names[kind]; }

/* ---- how long probes are ------------------------------------------------------------------------- */

/* Beyond so many tokens a model does something else, as a key says. */
typedef struct span {
    const char *key;
    int64_t n;
} span;
enum { SPANS = 2 };

static int spans_of(const weft_config *config, span spans[SPANS])
{
    const weft_exact_config exact = weft_model_shape(config, 1, 1).layer.exact;
    int n = 0;
    spans[n].n = weft_certify_span(config, true, &spans[n].key);
    n += spans[n].n > 0;
    if (config->model.rope_scaling == WEFT_SCALE_DYNAMIC)
        spans[n++] = (span){ "model.rope_length", config->model.rope_length };
    if (exact.relative >= WEFT_RELATIVE_T5)
        spans[n++] = (span){ "model.max_distance", exact.reach };
    return n;
}

/* Beyond two of whatever a sentence is cut into, as far as the configuration lets sentences be. */
static int64_t longest(const weft_config *config, weft_certificate_kind kind)
{
    enum { TILE = 64, MOST = 1024 };
    span spans[SPANS];
    int64_t most = TILE;
    for (int i = kind == WEFT_CERTIFY_GRADIENT ? 0 : spans_of(config, spans); i-- > 0;)
        if (spans[i].n > most) most = spans[i].n < MOST ? spans[i].n : MOST;
    most = 2 * most + 2;
    if (most > config->data.max_length + 1) most = config->data.max_length + 1;
    if (config->model.position == WEFT_CONFIG_LEARNED && most > config->model.max_positions)
        most = config->model.max_positions;
    return most > 2 ? most : 2;
}

/* The longest sentences with which a certificate takes no more than a minute, and no more than a few
 * gigabytes: of a gradient each tensor takes several passes; weights are held of all layers at once. */
static int64_t affordable(weft_certificate_kind kind, const weft_transformer *model,
                          const weft_params *params)
{
    const weft_transformer_config *config = &model->config;
    const int layers = config->encoder_layers > config->decoder_layers ? config->encoder_layers
                                                                       : config->decoder_layers;
    const int64_t n_gradient = (1 << 26) / weft_params_size(params),
                  n_pass = (INT64_C(1) << 35) / weft_params_size(params),
                  n_weights = (int64_t)sqrt((1 << 26) / (3.0 * layers * config->layer.heads));
    if (kind == WEFT_CERTIFY_GRADIENT) return n_gradient > 8 ? n_gradient : 8;
    const bool weights = kind == WEFT_CERTIFY_ROWS || kind == WEFT_CERTIFY_DECODING;
    const int64_t n = weights && n_weights < n_pass ? n_weights : n_pass;
    return n > WEFT_CERTIFY_LONGEST ? n : WEFT_CERTIFY_LONGEST;
}

/* What holds was shown of sentences that long; and what of a failure is known beforehand. */
static void add_notes(const weft_config *config, int64_t longest, weft_certificate *c)
{
    span spans[SPANS];
    const int n = spans_of(config, spans);
    for (int i = 0; i < n; i++) {
        const size_t at = strlen(c->text);
        const bool dynamic = strcmp(spans[i].key, "model.rope_length") == 0;
        if (c->verdict == WEFT_HOLDS && longest <= spans[i].n)
            snprintf(c->text + at, sizeof c->text - at,
                     "; no probe is longer than the %lld tokens that %s spans",
                     (long long)spans[i].n, spans[i].key);
        if (c->verdict == WEFT_FAILS && dynamic && longest > spans[i].n)
            snprintf(c->text + at, sizeof c->text - at,
                     "; model.rope_scaling = dynamic: beyond %s = %lld tokens all angles depend on "
                     "how many there are",
                     spans[i].key, (long long)spans[i].n);
    }
}

/* ---- the model of a configuration ---------------------------------------------------------------- */

/* Positions that occur: of training, and of what is decoded. */
static int64_t positions(const weft_config *config)
{
    enum { MOST = 2048 };
    int64_t n = config->data.max_length + 1;
    if (n < config->train.max_decode_length + 1) n = config->train.max_decode_length + 1;
    return n < MOST ? n : MOST;
}

static weft_status ask(weft_certificate_kind kind, const weft_certify_spec *spec,
                       const weft_transformer *model, weft_params *params, int64_t n_positions,
                       weft_certificate *c)
{
    const weft_subject subject = weft_subject_of(model, params);
    switch (kind) {
    case WEFT_CERTIFY_CAUSALITY: return weft_certify_causality(&subject, spec, c);
    case WEFT_CERTIFY_ISOLATION: return weft_certify_isolation(&subject, spec, c);
    case WEFT_CERTIFY_GRADIENT: return weft_certify_gradient(&subject, spec, c);
    case WEFT_CERTIFY_ROWS: return weft_certify_rows(model, params, spec, c);
    case WEFT_CERTIFY_DECODING: return weft_certify_decoding(model, params, spec, c);
    case WEFT_CERTIFY_POSITIONS: return weft_certify_positions(model, n_positions, c);
    case WEFT_CERTIFY_LIMITS:
    case WEFT_CERTIFICATES: break;
    }
    return WEFT_OK;
}

weft_status weft_certify(const weft_config *config, weft_certificate_kind kind,
                         const weft_certify_spec *given, weft_certificate *certificate)
{
    weft_certify_spec spec = given ? *given : (weft_certify_spec){ 0 };
    *certificate = (weft_certificate){ .verdict = WEFT_HOLDS };
    if (kind == WEFT_CERTIFY_LIMITS) return weft_certify_limits(config, certificate);
    if (spec.longest == 0) spec.longest = longest(config, kind);
    const int64_t V = weft_subject_ids(&spec);
    if (V == 0) return WEFT_ERR_RANGE; /* weft_message() says which number */
    weft_transformer_config shape = weft_model_shape(config, V, V);
    /* A tied matrix has gradients of its other use in the rows of all ids. */
    if (kind != WEFT_CERTIFY_GRADIENT) shape.tie = WEFT_TIE_NONE;
    weft_params *params = weft_params_new((uint64_t)config->train.seed);
    weft_transformer *model = weft_alloc(1, sizeof *model);
    weft_status status =
        params && model ? weft_transformer_init(model, params, &shape) : WEFT_ERR_MEMORY;
    if (status == WEFT_OK && (!given || given->longest == 0)) {
        const int64_t most = affordable(kind, model, params);
        if (spec.longest > most) spec.longest = most;
    }
    if (status == WEFT_OK) status = ask(kind, &spec, model, params, positions(config), certificate);
    if (status == WEFT_OK && kind != WEFT_CERTIFY_GRADIENT && kind != WEFT_CERTIFY_POSITIONS)
        add_notes(config, spec.longest, certificate);
    weft_free(model);
    weft_params_free(params);
    return status;
}
