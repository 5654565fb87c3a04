/* strings_internal.h - a set of strings of bytes, numbered 0, 1, 2, ... as they come. */
#ifndef WEFT_DATA_STRINGS_INTERNAL_H
#define WEFT_DATA_STRINGS_INTERNAL_H

#include "core/core.h"

typedef struct weft_string {
    uint64_t hash;
    size_t begin, n_bytes; /* in `bytes`, followed by a NUL */
} weft_string;

/* { 0 } is an empty set. The first n_hidden strings have numbers, but are not found by what they
 * spell. */
typedef struct weft_strings {
    char *bytes; /* all strings, each followed by a NUL */
    size_t n_bytes, bytes_room;
    weft_string *at; /* [n] */
    size_t n, n_hidden, at_room;
    int32_t *slots; /* [n_slots], a power of two: number + 1, or 0 for none; linear probing */
    size_t n_slots;
} weft_strings;

void weft_strings_free(weft_strings *strings); /* its arrays; { 0 } is left */

/* The number of a string, a new one if need be; *is_new (may be NULL) tells. WEFT_ERR_MEMORY,
 * WEFT_ERR_OVERFLOW beyond 2^30 strings. */
weft_status weft_strings_intern(weft_strings *strings, const char *text, size_t n_bytes,
                                int32_t *number, bool *is_new) WEFT_MUST_CHECK;
/* A string that is not to be found; only while all are such. */
weft_status weft_strings_hide(weft_strings *strings, const char *text,
                              size_t n_bytes) WEFT_MUST_CHECK;
/* -1 where there is none. */
int32_t weft_strings_find(const weft_strings *strings, const char *text, size_t n_bytes);

static inline const char *weft_strings_text(const weft_strings *strings, int64_t number)
{
    return strings->bytes + strings->at[number].begin;
}

/* As strcmp orders bytes, but of strings that may hold any. */
int weft_strings_compare(const weft_strings *strings, int64_t a, int64_t b);

#endif
