/* pairs.c - a hash table with open addressing. */
#include "data/pairs_internal.h"

#include <assert.h>

static size_t hash(int32_t left, int32_t right)
{
    const uint64_t both = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    const uint64_t mixed = (both ^ (both >> 29)) * UINT64_C(0x9E3779B97F4A7C15); /* 2^64 / golden */
    return (size_t)(mixed ^ (mixed >> 32));
}

static size_t find_slot(const weft_pairs *pairs, int32_t left, int32_t right)
{
    const size_t mask = pairs->n_slots - 1;
    size_t i = hash(left, right) & mask;
    while (pairs->slots[i].value != 0 &&
           (pairs->slots[i].left != left || pairs->slots[i].right != right)) {
        i = (i + 1) & mask;
    }
    return i;
}

int32_t weft_pairs_find(const weft_pairs *pairs, int32_t left, int32_t right)
{
    if (pairs->n_slots == 0) return -1;
    return pairs->slots[find_slot(pairs, left, right)].value - 1;
}

static weft_status grow(weft_pairs *pairs)
{
    enum { FIRST_SLOTS = 1024 };
    weft_pairs larger = { .n_slots = pairs->n_slots == 0 ? FIRST_SLOTS : 2 * pairs->n_slots };
    larger.slots = weft_alloc(larger.n_slots, sizeof *larger.slots);
    if (!larger.slots) return WEFT_ERR_MEMORY;
    for (size_t i = 0; i < pairs->n_slots; i++) {
        const weft_pair_slot *slot = &pairs->slots[i];
        if (slot->value != 0) larger.slots[find_slot(&larger, slot->left, slot->right)] = *slot;
    }
    larger.n = pairs->n;
    weft_free(pairs->slots);
    *pairs = larger;
    return WEFT_OK;
}

weft_status weft_pairs_put(weft_pairs *pairs, int32_t left, int32_t right, int32_t value)
{
    if (2 * (pairs->n + 1) > pairs->n_slots) {
        const weft_status status = grow(pairs);
        if (status != WEFT_OK) return status;
    }
    weft_pair_slot *slot = &pairs->slots[find_slot(pairs, left, right)];
    assert(slot->value == 0 && value >= 0);
    *slot = (weft_pair_slot){ left, right, value + 1 };
    pairs->n++;
    return WEFT_OK;
}
