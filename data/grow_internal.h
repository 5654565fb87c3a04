/* grow_internal.h - blocks that grow by doubling. */
#ifndef WEFT_DATA_GROW_INTERNAL_H
#define WEFT_DATA_GROW_INTERNAL_H

#include "core/core.h"

/* The block, moved if need be so that `need` elements of `each_bytes` fit (*room of them fit now).
 * NULL and a message when memory ran out: then `block` and *room stay as they were. */
static inline void *weft_grow(void *block, size_t *room, size_t need, size_t each_bytes)
{
    if (block && need <= *room) return block;
    size_t new_room = *room < 16 ? 16 : *room;
    while (new_room < need) {
        if (__builtin_mul_overflow(new_room, 2, &new_room)) new_room = need;
    }
    void *grown = weft_realloc(block, new_room, each_bytes);
    if (grown) *room = new_room;
    return grown;
}

#endif
