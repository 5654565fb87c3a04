/* nearest_internal.h - "did you mean": the known name that a mistyped word is most like. */
#ifndef WEFT_CORE_NEAREST_INTERNAL_H
#define WEFT_CORE_NEAREST_INTERNAL_H

#include "core/core.h"

/* Offer every known name; `name` is then the first of the nearest, NULL where none is alike. */
typedef struct weft_nearest {
    const char *word, *name;
    int distance;
} weft_nearest;

weft_nearest weft_nearest_init(const char *word);
void weft_nearest_offer(weft_nearest *nearest, const char *name);

/* Fewest insertions, deletions, replacements and swaps of neighbours that make b of a (optimal
 * string alignment; Damerau 1964). Bytes; beyond 63 of them a word is cut. */
int weft_edit_distance(const char *a, const char *b);

#endif
