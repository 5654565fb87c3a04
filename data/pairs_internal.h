/* pairs_internal.h - a table from pairs of numbers to numbers. */
#ifndef WEFT_DATA_PAIRS_INTERNAL_H
#define WEFT_DATA_PAIRS_INTERNAL_H

#include "core/core.h"

typedef struct weft_pair_slot {
    int32_t left, right;
    int32_t value; /* + 1; 0 for a free slot */
} weft_pair_slot;

/* { 0 } is an empty table; weft_free(slots) ends it. */
typedef struct weft_pairs {
    weft_pair_slot *slots; /* [n_slots], a power of two; linear probing */
    size_t n, n_slots;
} weft_pairs;

/* What belongs to a pair; -1 for nothing. */
int32_t weft_pairs_find(const weft_pairs *pairs, int32_t left, int32_t right);
/* Put a pair that is not there yet; 0 <= value < 2^31 - 1. */
weft_status weft_pairs_put(weft_pairs *pairs, int32_t left, int32_t right,
                           int32_t value) WEFT_MUST_CHECK;

#endif
