/* certify_config.c - from a configuration to the model that is certified. */
#include "train/certify_internal.h"
#include "train/model.h"

static const char *const names[WEFT_CERTIFICATES] = {
    [WEFT_CERTIFY_CAUSALITY] = "causality", [WEFT_CERTIFY_ISOLATION] = "isolation",
    [WEFT_CERTIFY_GRADIENT] = "gradient",   [WEFT_CERTIFY_ROWS] = "rows",
    [WEFT_CERTIFY_POSITIONS] = "positions", [WEFT_CERTIFY_DECODING] = "decoding",
    [WEFT_CERTIFY_LIMITS] = "limits",
};

const char *weft_certificate_name(weft_certificate_kind kind) { return names[kind]; }

/* Probes as long as the default, or as the model can take. */
static int64_t longest(const weft_config *config)
{
    int64_t most = WEFT_CERTIFY_LONGEST;
    if (most > config->data.max_length + 1) most = config->data.max_length + 1;
    if (config->model.position == WEFT_CONFIG_LEARNED && most > config->model.max_positions)
        most = config->model.max_positions;
    return most > 2 ? most : 2;
}

/* Each tensor takes several passes over all parameters: the more of these, the shorter the sentences. */
static int64_t longest_for_gradient(int64_t longest, int64_t n_parameters)
{
    const int64_t n = (1 << 26) / n_parameters;
    return n >= longest ? longest : n > 8 ? n : 8;
}

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
    if (spec.longest == 0) spec.longest = longest(config);
    const int64_t V = weft_subject_ids(&spec);
    if (V == 0) return WEFT_ERR_RANGE; /* weft_message() says which number */
    weft_transformer_config shape = weft_model_shape(config, V, V);
    /* A tied matrix has gradients of its other use in the rows of all ids. */
    if (kind != WEFT_CERTIFY_GRADIENT) shape.tie = WEFT_TIE_NONE;
    weft_params *params = weft_params_new((uint64_t)config->train.seed);
    weft_transformer *model = weft_alloc(1, sizeof *model);
    weft_status status =
        params && model ? weft_transformer_init(model, params, &shape) : WEFT_ERR_MEMORY;
    if (status == WEFT_OK && kind == WEFT_CERTIFY_GRADIENT && (!given || given->longest == 0))
        spec.longest = longest_for_gradient(spec.longest, weft_params_size(params));
    if (status == WEFT_OK) status = ask(kind, &spec, model, params, positions(config), certificate);
    weft_free(model);
    weft_params_free(params);
    return status;
}
