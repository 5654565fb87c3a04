/* decode_internal.h - a decoder that reads one token a sentence at a time. Not installed. */
#ifndef WEFT_TRAIN_DECODE_INTERNAL_H
#define WEFT_TRAIN_DECODE_INTERNAL_H

#include "train/decode.h"

/* B sentences, each with t tokens read. Keys and values live here between steps, because every step
 * resets the tape: self[i] is [B, t, 2D], memory[i] [M, 2D] with sentence b from row
 * memory_offsets[b]. */
typedef struct weft_reader {
    const weft_transformer *model;
    weft_tape *tape;
    int64_t B, t;
    weft_real *self[WEFT_MAX_LAYERS], *memory[WEFT_MAX_LAYERS];
    int64_t self_room;                                /* elements that each of self[] holds */
    int32_t *memory_offsets, *offsets, *self_offsets; /* [B+1] */
    int32_t *rows;                                    /* [B, 2] */
    weft_past past;                                   /* on the tape of the last step */
} weft_reader;

/** A reader of `B` sentences without memory (decoder-only). */
weft_status weft_reader_init(weft_reader *reader, const weft_transformer *model, weft_tape *tape,
                             int64_t B) WEFT_MUST_CHECK;
/** Encode the source: what an encoder-decoder's reader needs before its first step. */
weft_status weft_reader_encode(weft_reader *reader, const weft_tokens *source) WEFT_MUST_CHECK;
void weft_reader_free(weft_reader *reader);

/** Read ids[B], one token a sentence. Returns the logits [B, V] on the tape, which the call has
 *  reset. Then weft_reader_keep must follow. */
weft_var weft_reader_step(weft_reader *reader, const int32_t *ids);
/** Go on with the n sentences keep[0] < keep[1] < ... only. */
weft_status weft_reader_keep(weft_reader *reader, int64_t n, const int32_t *keep) WEFT_MUST_CHECK;
/** Forget the tokens read, not the memory. */
void weft_reader_rewind(weft_reader *reader);

/** WEFT_ERR_STATE unless `tape` records no gradients and the model is of the kind. */
weft_status weft_decode_check(const char *function, const weft_transformer *model,
                              const weft_tape *tape, bool decoder_only) WEFT_MUST_CHECK;

#endif
