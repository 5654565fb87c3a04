/* certify_internal.h - what the certificates share: probes, traces. Not installed. */
#ifndef WEFT_TRAIN_CERTIFY_INTERNAL_H
#define WEFT_TRAIN_CERTIFY_INTERNAL_H

#include "train/certify.h"

#include <string.h>

enum { WEFT_CERTIFY_LONGEST = 130 }; /* beyond two tiles of 64 */
/** The spec with its defaults; WEFT_ERR_RANGE for numbers out of range. */
weft_status weft_certify_defaults(const weft_certify_spec *given,
                                  weft_certify_spec *spec) WEFT_MUST_CHECK;
/** A wrong answer: the first one becomes the certificate's text. */
void weft_certify_fail(weft_certificate *certificate, const char *fmt, ...) WEFT_PRINTF(2, 3);
/** What was asked, unless an answer was wrong. */
void weft_certify_say(weft_certificate *certificate, const char *fmt, ...) WEFT_PRINTF(2, 3);

static inline bool weft_same_bits(const void *a, const void *b, size_t bytes)
{
    return memcmp(a, b, bytes) == 0;
}

/** Up to how many tokens self-attention sees a text as full attention would, all of it within one window,
 *  block, chunk or choice (in steps of a gap: how far the window reaches), and *key that says so. 0: it is
 *  full. */
int64_t weft_certify_span(const weft_config *config, bool causal, const char **key);

/* Where attention was recorded, and by which operation. */
typedef struct weft_scopes {
    int n;
    char name[3 * WEFT_MAX_LAYERS][64], op[3 * WEFT_MAX_LAYERS][32];
} weft_scopes;
/** One more, unless it is the last one again (global tokens with projections of their own are a second
 *  call in the same place) or there are as many as a model has. */
void weft_scopes_note(weft_scopes *scopes, const char *name, const char *op);

/** The largest magnitude in n columns of rows from .. to - 1. */
double weft_largest_in(const weft_tensor *x, int64_t from, int64_t to, int64_t column, int64_t n);

/* ---- rows (certify_attention.c) ----------------------------------------------------------------- */

/* What watches the backward passes of softmax attention: the gradients by the keys sum to 0. */
typedef struct weft_rows_watch {
    weft_certificate *certificate;
    int heads;
    bool asked; /* there was one */
} weft_rows_watch;
void weft_rows_watch_keys(void *context, const weft_event *event);

/* ---- probes (certify_probe.c) ------------------------------------------------------------------ */

enum { WEFT_PROBE_SENTENCES = 6 };

/* Sentences of various lengths, no id twice. */
typedef struct weft_probe {
    int64_t B, N[2];                                 /* rows of source and target; no source: 0 */
    int32_t *ids[2], *offsets[2], *rows[2], *labels; /* of each row of the target */
    weft_batch batch;                                /* points to these */
} weft_probe;

weft_status weft_probe_init(weft_probe *probe, const weft_subject *subject,
                            const weft_certify_spec *spec) WEFT_MUST_CHECK;
/** n of its sentences, in the order given, with their ids and row keys. */
weft_status weft_probe_select(const weft_probe *all, int64_t n, const int64_t sentences[],
                              weft_probe *some) WEFT_MUST_CHECK;
/** One of them alone, and of its target the first n tokens. */
weft_status weft_probe_prefix(const weft_probe *all, int64_t sentence, int64_t n,
                              weft_probe *some) WEFT_MUST_CHECK;
void weft_probe_free(weft_probe *probe);
/** An id for the r-th row of the target that no row has. */
int32_t weft_probe_other_id(const weft_probe *probe, int64_t r);
/** One text: token 0, L times. Free *memory, which `tokens` points to. */
weft_status weft_probe_repeat(int64_t L, weft_tokens *tokens, int32_t **memory) WEFT_MUST_CHECK;
static inline int64_t weft_probe_length(const weft_probe *p, int side, int64_t b)
{
    return p->offsets[side][b + 1] - p->offsets[side][b];
}

/* ---- traces (certify_trace.c) ------------------------------------------------------------------ */

typedef struct weft_trace_step {
    char op[32], scope[128];
    int side;     /* 0: its rows are those of the source, 1: of the target */
    int64_t C;    /* columns */
    int64_t hash; /* place of the first of its rows' hashes */
} weft_trace_step;

/* What each operation gave that has a row for each token: a hash of every row. */
typedef struct weft_trace {
    int64_t N[2];
    int n, n_room;
    weft_trace_step *steps;
    uint64_t *hashes;
    int64_t n_hashes, hashes_room;
    int kept; /* the step whose values are kept in `copy` as well; -1: none */
    weft_real *copy;
    bool no_memory;
} weft_trace;

/** Record the subject's logits anew with everything on the way noted. Free the trace afterwards. */
weft_status weft_trace_run(const weft_subject *subject, const weft_certify_spec *spec,
                           weft_tape *tape, const weft_probe *probe, int kept,
                           weft_trace *trace) WEFT_MUST_CHECK;
void weft_trace_free(weft_trace *trace);

/* Rows of two runs that should be equal. */
typedef struct weft_span {
    int64_t a[2], b[2],
        n[2]; /* of source and target: n rows from a on in one, from b on in the other */
} weft_span;
/** Where they differ first: the step, its row within the span; -1: nowhere. */
int weft_trace_first(const weft_trace *a, const weft_trace *b, const weft_span *span, int64_t *row);
/** "decoder.layers.1.self_attn (attention), head 2" of where two runs differ first; "" for nowhere. */
enum { WEFT_PLACE = 192 };
weft_status weft_trace_name(const weft_subject *subject, const weft_certify_spec *spec,
                            const weft_probe *a, const weft_probe *b, const weft_span *span,
                            char place[WEFT_PLACE], int64_t *row) WEFT_MUST_CHECK;

#endif
