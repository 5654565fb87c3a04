/* vocab_internal.h - what the files of a vocabulary share, and what corpora and BPE need of it. */
#ifndef WEFT_DATA_VOCAB_INTERNAL_H
#define WEFT_DATA_VOCAB_INTERNAL_H

#include "data/bpe_internal.h"
#include "data/strings_internal.h"
#include "data/tokens_internal.h"

/* What encoding needs and gives. { 0 } and weft_encoder_init before the first text. */
typedef struct weft_encoder {
    weft_token_walk walk;
    weft_bpe_work cut; /* cut.dropout may be set before each text */
    char *token;       /* a piece with its mark */
    size_t token_room;
    weft_bpe_piece *pieces; /* of a word, the next one last */
    size_t pieces_room;
    int32_t *ids; /* [n_ids] the result of all texts so far, in new memory */
    int64_t n_ids;
    size_t ids_room;
} weft_encoder;

/* Token i has the id i; specials and bytes are the hidden ones. */
struct weft_vocab {
    weft_vocab_spec spec; /* spec.bpe == bpe */
    weft_bpe *bpe;        /* its own */
    bool built;
    weft_strings tokens;
    int64_t *counts; /* [tokens.n] before it is built */
    size_t counts_room;
    weft_encoder encoder; /* for counting */
};

void weft_encoder_init(weft_encoder *encoder, const weft_vocab *vocab);
void weft_encoder_free(weft_encoder *encoder);
/* Append the ids of a text known to be UTF-8. */
weft_status weft_encode(const weft_vocab *vocab, weft_encoder *encoder,
                        const char *text) WEFT_MUST_CHECK;

/* Make room for the name of any piece of so many bytes. */
weft_status weft_encoder_room(weft_encoder *encoder, size_t n_bytes) WEFT_MUST_CHECK;
/* Cut a word into encoder->cut.pieces, with room for the name of any part of it. */
weft_status weft_encoder_cut(const weft_vocab *vocab, weft_encoder *encoder, const char *word,
                             size_t n_bytes) WEFT_MUST_CHECK;
/* The token that a piece is: encoder->token, *n_name bytes. False where there can be none. */
bool weft_encoder_name(weft_encoder *encoder, const char *piece, size_t n_bytes, bool last,
                       size_t *n_name);

weft_status weft_vocab_check_text(const char *text) WEFT_MUST_CHECK;

/* What has been counted so far. */
typedef struct weft_counted {
    const char *token;
    size_t n_bytes;
    int64_t count;
} weft_counted;
size_t weft_vocab_counted(const weft_vocab *vocab);
weft_counted weft_vocab_counted_at(const weft_vocab *vocab, size_t i);

#endif
