/* tokens_internal.h - cutting text into tokens and joining them again. */
#ifndef WEFT_DATA_TOKENS_INTERNAL_H
#define WEFT_DATA_TOKENS_INTERNAL_H

#include "data/vocab.h"

/* A walk over the tokens of one text. Start with zeros and kind, lowercase; the memory for the text
 * in lower case and normalised, and for tokens that are no pieces of it (marked), is kept from text
 * to text. */
typedef struct weft_token_walk {
    weft_tokens_kind kind;
    bool lowercase;
    const char *at; /* the text still to come */
    int32_t before; /* the code point just before `at`; 0 at the start */
    int32_t *codes; /* while a text is normalised */
    char *normal, *lower, *marked;
    size_t codes_room, normal_room, lower_room, marked_room;
    const char *token; /* the token found, not NUL-terminated */
    size_t n_bytes;
} weft_token_walk;

/* Begin a text, valid UTF-8, which must stay until the walk is over. WEFT_ERR_MEMORY. */
weft_status weft_token_start(weft_token_walk *walk, const char *text) WEFT_MUST_CHECK;
void weft_token_end(weft_token_walk *walk); /* frees the memory */

/* Find the next token; token = NULL at the end. WEFT_ERR_MEMORY. */
weft_status weft_token_next(weft_token_walk *walk) WEFT_MUST_CHECK;

/* Append a token to out[*n_out ..]; `glued` says whether the token before asked to be touched (set
 * it to true before the first), and is set for the next. `out` has room for n_bytes + 1 more. */
void weft_token_join(weft_tokens_kind kind, const char *token, size_t n_bytes, bool *glued,
                     char *out, size_t *n_out);

#endif
