/* strings.c - interning: a growing block of bytes and a hash table over it. */
#include "data/strings_internal.h"

#include <assert.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "data/grow_internal.h"

enum { FIRST_SLOTS = 1024, MOST_STRINGS = 1 << 30 };

void weft_strings_free(weft_strings *strings)
{
    weft_free(strings->bytes);
    weft_free(strings->at);
    weft_free(strings->slots);
    *strings = (weft_strings){ 0 };
}

/* The slot where this string is, or the free one where it belongs. */
static size_t find_slot(const weft_strings *s, const char *text, size_t n_bytes, uint64_t hash)
{
    const size_t mask = s->n_slots - 1;
    size_t slot = (size_t)hash & mask;
    while (s->slots[slot] != 0) {
        const weft_string *at = &s->at[s->slots[slot] - 1];
        if (at->hash == hash && at->n_bytes == n_bytes &&
            memcmp(s->bytes + at->begin, text, n_bytes) == 0) {
            break;
        }
        slot = (slot + 1) & mask;
    }
    return slot;
}

static weft_status rehash(weft_strings *s, size_t n_slots)
{
    int32_t *slots = weft_alloc(n_slots, sizeof *slots);
    if (!slots) return WEFT_ERR_MEMORY;
    weft_free(s->slots);
    s->slots = slots;
    s->n_slots = n_slots;
    for (size_t i = s->n_hidden; i < s->n; i++) {
        const weft_string *at = &s->at[i];
        slots[find_slot(s, s->bytes + at->begin, at->n_bytes, at->hash)] = (int32_t)i + 1;
    }
    return WEFT_OK;
}

static weft_status append(weft_strings *s, const char *text, size_t n_bytes, uint64_t hash)
{
    if (s->n >= MOST_STRINGS) {
        return weft_error(WEFT_ERR_OVERFLOW, "more than %d different tokens", MOST_STRINGS);
    }
    weft_string *at = weft_grow(s->at, &s->at_room, s->n + 1, sizeof *at);
    if (!at) return WEFT_ERR_MEMORY;
    s->at = at;
    char *bytes = weft_grow(s->bytes, &s->bytes_room, s->n_bytes + n_bytes + 1, 1);
    if (!bytes) return WEFT_ERR_MEMORY;
    s->bytes = bytes;

    memcpy(bytes + s->n_bytes, text, n_bytes);
    bytes[s->n_bytes + n_bytes] = '\0';
    at[s->n++] = (weft_string){ hash, s->n_bytes, n_bytes };
    s->n_bytes += n_bytes + 1;
    return WEFT_OK;
}

weft_status weft_strings_hide(weft_strings *strings, const char *text, size_t n_bytes)
{
    assert(strings->n == strings->n_hidden);
    const weft_status status = append(strings, text, n_bytes, 0);
    if (status == WEFT_OK) strings->n_hidden++;
    return status;
}

weft_status weft_strings_intern(weft_strings *s, const char *text, size_t n_bytes, int32_t *number,
                                bool *is_new)
{
    if (is_new) *is_new = false;
    if (2 * (s->n + 1) > s->n_slots) {
        size_t n_slots = s->n_slots == 0 ? FIRST_SLOTS : 2 * s->n_slots;
        while (n_slots < 2 * (s->n + 1)) n_slots *= 2;
        const weft_status status = rehash(s, n_slots);
        if (status != WEFT_OK) return status;
    }
    const uint64_t hash = XXH3_64bits(text, n_bytes);
    const size_t slot = find_slot(s, text, n_bytes, hash);
    if (s->slots[slot] == 0) {
        const weft_status status = append(s, text, n_bytes, hash);
        if (status != WEFT_OK) return status;
        s->slots[slot] = (int32_t)s->n;
        if (is_new) *is_new = true;
    }
    *number = s->slots[slot] - 1;
    return WEFT_OK;
}

int32_t weft_strings_find(const weft_strings *strings, const char *text, size_t n_bytes)
{
    if (strings->n_slots == 0) return -1;
    return strings->slots[find_slot(strings, text, n_bytes, XXH3_64bits(text, n_bytes))] - 1;
}

int weft_strings_compare(const weft_strings *strings, int64_t a, int64_t b)
{
    const weft_string *x = &strings->at[a], *y = &strings->at[b];
    const size_t n = x->n_bytes < y->n_bytes ? x->n_bytes : y->n_bytes;
    const int order = memcmp(strings->bytes + x->begin, strings->bytes + y->begin, n);
    if (order != 0) return order;
    return (x->n_bytes > y->n_bytes) - (x->n_bytes < y->n_bytes);
}
