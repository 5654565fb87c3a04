/* certify.h - is a model what it should be? Questions with an exact answer, asked of the model that a
 * configuration describes, or of a user's own (docs/check.md).
 *
 * What is certified has random initial values and a vocabulary of its own, in which no two tokens of
 * the probes share an id: the gradient of an embedding's row is then that by one token. Meant for
 * double; in float the questions about bits are as good, those about numbers are coarse. */
#ifndef WEFT_TRAIN_CERTIFY_H
#define WEFT_TRAIN_CERTIFY_H

#include "../layers/layers.h"
#include "config.h"

typedef enum weft_verdict {
    WEFT_HOLDS,
    WEFT_FAILS,
    WEFT_NOT_ASKED /* the question has no meaning for this model */
} weft_verdict;

typedef struct weft_certificate {
    weft_verdict verdict;
    int64_t n_questions; /* single comparisons */
    double worst;        /* largest error, where numbers are compared with a tolerance */
    char text[512];      /* what was asked; or the first answer that is wrong, and where */
} weft_certificate;

/* All of 0 are the defaults. */
typedef struct weft_certify_spec {
    int64_t longest; /* tokens of the longest probe, at least 2; 0 means 130 */
    int64_t probes;  /* places that are asked about; 0 means 8 */
    uint64_t seed;   /* 0 means 1 */
} weft_certify_spec;

/* A model, as these questions see it: tokens in, one row a target token out. */
typedef struct weft_subject {
    const void *model;
    weft_params *params;
    weft_param source_embed, target_embed; /* [V, ..], a row for each id; no source: none */
    int64_t V;
    int heads; /* of attention, to name one; 0: not known */
    /** [N, D]: what the rows of the target become. */
    weft_var (*hidden)(const void *model, weft_tape *tape, const weft_batch *batch);
    /** [N, V] of such rows. */
    weft_var (*logits)(const void *model, weft_tape *tape, weft_var hidden);
    /** A scalar: the sum over such rows, with int32 labels [N]. */
    weft_var (*loss)(const void *model, weft_tape *tape, weft_var hidden, weft_var labels);
} weft_subject;

/** Ids that probes of a subject use: at least so many it must have on either side. */
int64_t weft_subject_ids(const weft_certify_spec *spec);
/** A Transformer whose matrices are not tied. It must outlive the subject. */
weft_subject weft_subject_of(const weft_transformer *model, weft_params *params);

/* Each of these fills *certificate; an error means that asking was impossible. WEFT_ERR_RANGE for the
 * spec, WEFT_ERR_SHAPE for too few ids, WEFT_ERR_MEMORY, and those of the model. */

/** The derivative of output t by input s > t is 0, and by any input of another sentence, by one
 *  backward a probe; other tokens later on leave the logits up to t as they are, bit by bit, and so does
 *  the end of the sentence after t. */
weft_status weft_certify_causality(const weft_subject *subject, const weft_certify_spec *spec,
                                   weft_certificate *certificate) WEFT_MUST_CHECK;
/** A sentence alone, and among others in any order: the same bits in its logits, its summed loss and
 *  the gradients by its embeddings. Dropout is on. */
weft_status weft_certify_isolation(const weft_subject *subject, const weft_certify_spec *spec,
                                   weft_certificate *certificate) WEFT_MUST_CHECK;
/** Every parameter tensor's gradient of the loss against differences along spec->probes random
 *  directions (0 means 1), by the measure of docs/gradcheck.md. */
weft_status weft_certify_gradient(const weft_subject *subject, const weft_certify_spec *spec,
                                  weft_certificate *certificate) WEFT_MUST_CHECK;

/** The weights of each row sum to 1 and none is negative, softmax's and those of features. Scores of softmax
 *  that all grow alike change nothing: the gradients by the keys of a sentence sum to 0 (so each row of the
 *  scores' gradient does), up to the rounding of what they are made of. NOT_ASKED of sigmoid weights, nor
 *  where the model has no attention. */
weft_status weft_certify_rows(const weft_transformer *model, weft_params *params,
                              const weft_certify_spec *spec,
                              weft_certificate *certificate) WEFT_MUST_CHECK;
/** Reading token after token with the keys and values of the past gives the logits of reading all at
 *  once; and of the weights there, those beyond the step are exactly 0. */
weft_status weft_certify_decoding(const weft_transformer *model, weft_params *params,
                                  const weft_certify_spec *spec,
                                  weft_certificate *certificate) WEFT_MUST_CHECK;

/* ---- positions (certify_positions.c) ------------------------------------------------------------ */

/* Encodings of positions 0 .. L - 1, D values each, ld apart. */
typedef struct weft_position_table {
    const weft_real *x;
    int64_t L, D, ld;
} weft_position_table;
/* Pair i of position p is (magnitude sin(p w[i]), magnitude cos(p w[i])). */
typedef struct weft_position_formula {
    const double *w; /* [D/2] */
    double magnitude;
    bool halves; /* sines, then cosines; else in turns */
    double base; /* that w belong to: a table of another base is named by it */
} weft_position_formula;
/** The table follows the formula (NULL: it has none, as a learned one), and no two of its positions have
 *  one encoding. */
void weft_certify_table(const weft_position_table *table, const weft_position_formula *formula,
                        weft_certificate *certificate);
/** The same of a model's first `longest` positions, or of those it has, on both sides; of rotary ones,
 *  ALiBi, T5's and Shaw's also what attention makes of them (below), as the model's configuration says it
 *  should. NOT_ASKED where it knows of none. */
weft_status weft_certify_positions(const weft_transformer *model, int64_t longest,
                                   weft_certificate *certificate) WEFT_MUST_CHECK;

/* What attention itself knows of positions (certify_distance.c). The subject reads one token L times: its
 * rows differ by their positions alone. */

/** Self-attention turns queries and keys: in position p, pair i of each head (channels 2i and 2i + 1;
 *  formula->halves: i and i + K/2) is that of position 0 turned by p w[i], so scores depend on distances
 *  alone. w is [K/2]. */
weft_status weft_certify_turns(const weft_subject *subject, int64_t L, int64_t K,
                               const weft_position_formula *formula,
                               weft_certificate *certificate) WEFT_MUST_CHECK;
typedef struct weft_distances {
    const double
        *slopes; /* [heads]: a score falls by so much a token of distance; NULL: no formula */
    weft_weights_kind weights; /* that scores become */
} weft_distances;
/** Scores of exact self-attention depend on distances, and on nothing else: read from its weights. */
weft_status weft_certify_distances(const weft_subject *subject, int64_t L, const weft_distances *of,
                                   weft_certificate *certificate) WEFT_MUST_CHECK;

/* ---- the model of a configuration (certify_config.c) --------------------------------------------- */

typedef enum weft_certificate_kind {
    WEFT_CERTIFY_CAUSALITY,
    WEFT_CERTIFY_ISOLATION,
    WEFT_CERTIFY_GRADIENT,
    WEFT_CERTIFY_ROWS,
    WEFT_CERTIFY_POSITIONS,
    WEFT_CERTIFY_DECODING,
    WEFT_CERTIFY_LIMITS,
    WEFT_CERTIFICATES
} weft_certificate_kind;
const char *weft_certificate_name(weft_certificate_kind kind); /* "causality" */

/** One certificate of the model that a configuration describes (weft_config_check_model holds).
 *  spec->longest 0 means beyond two tiles, windows, blocks, chunks or other spans of the model, as far as
 *  the configuration lets sentences be and a minute lasts: the text names what no probe is beyond. For
 *  GRADIENT it means 130, fewer for large models. */
weft_status weft_certify(const weft_config *config, weft_certificate_kind kind,
                         const weft_certify_spec *spec,
                         weft_certificate *certificate) WEFT_MUST_CHECK;
/** LIMITS: is there room for the longest input? Texts that the configuration names are read: of none a
 *  sentence may be beyond learned positions, and the step of the largest batch must fit into this
 *  computer's memory. It says how many sentences training leaves out. */
weft_status weft_certify_limits(const weft_config *config,
                                weft_certificate *certificate) WEFT_MUST_CHECK;

#endif
