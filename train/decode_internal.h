/* decode_internal.h - a decoder that reads one token a sentence at a time. Not installed. */
#ifndef WEFT_TRAIN_DECODE_INTERNAL_H
#define WEFT_TRAIN_DECODE_INTERNAL_H

#include "train/decode.h"

/* B sentences, each with t tokens read; sentences groups[s] .. groups[s+1] - 1 translate source s of
 * S. Keys and values live here between steps, because every step resets the tape: self[i] is
 * [B, t, G (K + Kv)] (recurrent: the state [B, 1, S]), memory[i] [M, G (K + Kv)] with source s from row memory_offsets[s]. */
typedef struct weft_reader {
    const weft_transformer *model;
    weft_tape *tape;
    int64_t S, B, t;
    weft_real *self[WEFT_MAX_LAYERS], *memory[WEFT_MAX_LAYERS];
    int64_t self_room, memory_room;   /* elements that each of self[] and memory[] holds */
    int64_t S_room, B_room;           /* sources and sentences that the tables hold */
    int32_t *memory_offsets, *groups; /* [S+1] */
    int32_t *offsets, *self_offsets;  /* [B+1] */
    int32_t *rows;                    /* [B, 2] */
    int32_t *self_rows; /* [B (t+1), 2] where the model's steps need them, with room for */
    int64_t self_rows_room;
    weft_past past; /* on the tape of the last step */
} weft_reader;

/** A reader of S sources with B / S sentences each, and room for `most` sentences. It is { 0 }, or one that
 *  has read other sources for the same model: then its memory serves again. Also after an error
 *  weft_reader_free must follow. */
weft_status weft_reader_init(weft_reader *reader, const weft_transformer *model, weft_tape *tape,
                             int64_t S, int64_t B, int64_t most) WEFT_MUST_CHECK;
/** Encode the source: what an encoder-decoder's reader needs before its first step. */
weft_status weft_reader_encode(weft_reader *reader, const weft_tokens *source) WEFT_MUST_CHECK;
void weft_reader_free(weft_reader *reader);
/** All of n, and the array; NULL is allowed. */
void weft_readers_free(weft_reader readers[], int n);

/** Read ids[B], one token a sentence. Returns the logits [B, V] on the tape, which the call has
 *  reset. Then weft_reader_keep must follow. */
weft_var weft_reader_step(weft_reader *reader, const int32_t *ids);
/** Go on with n sentences that have read what keep[i] has: in the order of their sources, each any
 *  number of times. A source without sentences is forgotten. */
weft_status weft_reader_keep(weft_reader *reader, int64_t n, const int32_t *keep) WEFT_MUST_CHECK;
/** Forget the tokens read, not the memory. */
void weft_reader_rewind(weft_reader *reader);

/** WEFT_ERR_STATE unless `tape` records no gradients and the model is of the kind. */
weft_status weft_decode_check(const char *function, const weft_transformer *model,
                              const weft_tape *tape, bool decoder_only) WEFT_MUST_CHECK;

/** The same for models that are to decide together: WEFT_ERR_SHAPE for different vocabularies. */
weft_status weft_translators_check(const char *function, const weft_translator models[],
                                   int n_models) WEFT_MUST_CHECK;
/** WEFT_ERR_INPUT where item i, of n tokens, is longer than a model's learned positions or projection of
 *  keys. */
weft_status weft_translators_reach(const weft_translator models[], int n_models, int64_t i,
                                   int64_t n) WEFT_MUST_CHECK;

/** weft_decode, for one batch after another: with a reader for each model, as weft_reader_init takes it, and
 *  models and a spec that were checked. */
weft_status weft_decode_with(weft_reader readers[], const weft_translator models[], int n_models,
                             const weft_tokens *source, const weft_tokens *prefix,
                             const weft_decode_spec *spec, weft_hypotheses *out) WEFT_MUST_CHECK;

/** WEFT_ERR_RANGE for values that mean nothing. */
weft_status weft_decode_spec_check(const weft_decode_spec *spec) WEFT_MUST_CHECK;

/* A token that may be said next. */
typedef struct weft_choice {
    double logit, weight;
    int32_t id;
} weft_choice;
/** The token that the uniform number u in (0, 1) draws from softmax(logits / temperature), cut to the
 *  top_k likeliest (0: all) and of these to the fewest whose probabilities reach top_p (0: all).
 *  Temperature 0: the likeliest, the lowest id of equals. A logit of -inf is never drawn. `choices`,
 *  n >= 1, get another order. */
int32_t weft_draw(weft_choice choices[], int64_t n, double temperature, int64_t top_k, double top_p,
                  double u);
/** WEFT_ERR_RANGE where weft_draw could not. */
weft_status weft_draw_check(const char *function, double temperature, int64_t top_k,
                            double top_p) WEFT_MUST_CHECK;

#endif
