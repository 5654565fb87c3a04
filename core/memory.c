/* memory.c - the heap, and the arena of a step.
 *
 * An arena is a range of addresses, reserved once:
 *
 *     0                    top                 committed                          reserved
 *     |  taken | gap | taken |   free for growth   |   addresses without memory   |
 *
 * `gaps` lists the free blocks below `top`, ordered by place and never adjacent to one another.
 * take() uses the smallest gap that fits (the lowest among equals), else grows `top`. Where a block
 * lies therefore depends on the calls alone, so a dry arena, which only keeps this book, predicts
 * the peak of the real one exactly. Memory is committed in growing steps and kept until free. */
#include "core/checked.h"
#include "core/core.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define WEFT_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WEFT_ASAN 1
#endif
#endif
#ifdef WEFT_ASAN
#include <sanitizer/asan_interface.h>
static void poison(const void *p, size_t bytes) { __asan_poison_memory_region(p, bytes); }
static void unpoison(const void *p, size_t bytes) { __asan_unpoison_memory_region(p, bytes); }
#else
static void poison(const void *p, size_t bytes) { (void)p, (void)bytes; }
static void unpoison(const void *p, size_t bytes) { (void)p, (void)bytes; }
#endif

/* ---- heap ------------------------------------------------------------------------------------ */

static atomic_llong n_allocations;
static atomic_llong fail_at; /* counts down to 0; 0 = never */
static atomic_bool fail_forever;

void weft_alloc_fail_at(int64_t n, bool forever)
{
    fail_forever = forever;
    fail_at = n;
}

int64_t weft_alloc_count(void) { return n_allocations; }

/* Is this the allocation that a test wants to fail? */
static bool must_fail(void)
{
    n_allocations++;
    if (fail_at == 0) return false;
    if (fail_at > 1) {
        fail_at--;
        return false;
    }
    if (!fail_forever) fail_at = 0;
    return true;
}

static bool heap_bytes(size_t n, size_t each_bytes, size_t *bytes)
{
    if (!weft_mul_bytes(n, each_bytes, bytes) || *bytes > PTRDIFF_MAX) {
        weft_error(WEFT_ERR_OVERFLOW, "%zu elements of %zu bytes are more than memory can address",
                   n, each_bytes);
        return false;
    }
    if (*bytes == 0) *bytes = 1;
    return true;
}

void *weft_alloc(size_t n, size_t each_bytes)
{
    size_t bytes;
    if (!heap_bytes(n, each_bytes, &bytes)) return NULL;
    void *block = must_fail() ? NULL : calloc(1, bytes);
    if (!block) weft_error(WEFT_ERR_MEMORY, "out of memory: %zu bytes were asked for", bytes);
    return block;
}

void *weft_realloc(void *old, size_t n, size_t each_bytes)
{
    size_t bytes;
    if (!heap_bytes(n, each_bytes, &bytes)) return NULL;
    void *block = must_fail() ? NULL : realloc(old, bytes);
    if (!block) weft_error(WEFT_ERR_MEMORY, "out of memory: %zu bytes were asked for", bytes);
    return block;
}

void weft_free(void *block) { free(block); }

char *weft_strdup(const char *text)
{
    const size_t bytes = strlen(text) + 1;
    char *copy = weft_alloc(bytes, 1);
    return copy ? memcpy(copy, text, bytes) : NULL;
}

/* ---- arena ----------------------------------------------------------------------------------- */

typedef struct gap {
    size_t offset, bytes;
} gap;

struct weft_arena {
    char *base; /* NULL when dry */
    size_t reserved, committed;
    size_t top, used, peak; /* bytes */
    gap *gaps;
    size_t n_gaps, gaps_capacity;
};

enum { COMMIT_STEP = 1 << 21 }; /* a huge page */

#ifndef WEFT_ARENA_MOST
#define WEFT_ARENA_MOST \
    (SIZE_MAX / 2) /* less where addresses alone cost: see cmake/aarch64.cmake */
#endif

/* Twice the physical memory: more can never be of use, and asking for more is a mistake that
 * deserves a sentence. Halved where the system grants less (a limit on address space). */
static char *reserve_addresses(size_t *reserved)
{
    const long pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE);
    size_t bytes =
        pages > 0 && page_bytes > 0 ? 2 * (size_t)pages * (size_t)page_bytes : (size_t)1 << 34;
    if (bytes > WEFT_ARENA_MOST) bytes = WEFT_ARENA_MOST;
    bytes = (bytes + COMMIT_STEP - 1) / COMMIT_STEP * COMMIT_STEP;
    for (; bytes >= COMMIT_STEP; bytes /= 2) {
        void *base =
            mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (base != MAP_FAILED) {
            *reserved = bytes;
            return base;
        }
    }
    return NULL;
}

weft_arena *weft_arena_new(bool dry)
{
    weft_arena *arena = weft_alloc(1, sizeof *arena);
    if (!arena) return NULL;
    arena->reserved = SIZE_MAX / 2;
    if (!dry && (must_fail() || !(arena->base = reserve_addresses(&arena->reserved)))) {
        weft_error(WEFT_ERR_MEMORY, "out of memory: no addresses for an arena");
        weft_free(arena);
        return NULL;
    }
    return arena;
}

void weft_arena_free(weft_arena *arena)
{
    if (!arena) return;
    if (arena->base) {
        unpoison(arena->base, arena->committed);
        munmap(arena->base, arena->reserved);
    }
    weft_free(arena->gaps);
    weft_free(arena);
}

static weft_status too_large(const weft_arena *arena, size_t bytes)
{
    return weft_error(WEFT_ERR_MEMORY,
                      "out of memory: %zu MiB are asked for, %zu MiB are taken, and more than %zu "
                      "MiB in all cannot be had here",
                      bytes >> 20, arena->top >> 20, arena->reserved >> 20);
}

/* Make [0, bytes) usable; bytes is at most what is reserved. */
static weft_status commit(weft_arena *arena, size_t bytes)
{
    if (!arena->base || bytes <= arena->committed) return WEFT_OK;

    /* Grow by a quarter at least, so that growth is rare, by whole huge pages. */
    size_t want = arena->committed + arena->committed / 4;
    if (want < bytes) want = bytes;
    want = (want + COMMIT_STEP - 1) / COMMIT_STEP * COMMIT_STEP;
    if (want > arena->reserved) want = arena->reserved;
    char *from = arena->base + arena->committed;
    if (must_fail() || mprotect(from, want - arena->committed, PROT_READ | PROT_WRITE) != 0)
        return weft_error(WEFT_ERR_MEMORY, "out of memory: the system does not give %zu MiB",
                          bytes >> 20);
#ifdef MADV_HUGEPAGE
    madvise(from, want - arena->committed, MADV_HUGEPAGE); /* a hint: failure is harmless */
#endif
    poison(from, want - arena->committed);
    arena->committed = want;
    return WEFT_OK;
}

weft_status weft_arena_reserve(weft_arena *arena, size_t bytes)
{
    if (bytes > arena->reserved) return too_large(arena, bytes);
    const weft_status status = commit(arena, bytes);
    if (status != WEFT_OK || !arena->base) return status;

    /* Touch the pages that no block has used yet; what lies below the peak is in use or was. */
    const size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    const size_t first = (arena->peak + page_bytes - 1) / page_bytes * page_bytes;
    for (size_t at = first; at < bytes; at += page_bytes) {
        unpoison(arena->base + at, 1);
        *(volatile char *)(arena->base + at) = 0;
        poison(arena->base + at, 1);
    }
    return WEFT_OK;
}

static bool insert_gap(weft_arena *arena, size_t i, gap g)
{
    if (arena->n_gaps == arena->gaps_capacity) {
        const size_t capacity = arena->gaps_capacity ? 2 * arena->gaps_capacity : 256;
        gap *gaps = weft_realloc(arena->gaps, capacity, sizeof *gaps);
        if (!gaps) return false;
        arena->gaps = gaps;
        arena->gaps_capacity = capacity;
    }
    memmove(arena->gaps + i + 1, arena->gaps + i, (arena->n_gaps - i) * sizeof *arena->gaps);
    arena->gaps[i] = g;
    arena->n_gaps++;
    return true;
}

static void remove_gap(weft_arena *arena, size_t i)
{
    arena->n_gaps--;
    memmove(arena->gaps + i, arena->gaps + i + 1, (arena->n_gaps - i) * sizeof *arena->gaps);
}

static size_t rounded(size_t bytes)
{
    return bytes ? (bytes + WEFT_ALIGN - 1) / WEFT_ALIGN * WEFT_ALIGN : WEFT_ALIGN;
}

weft_status weft_arena_take(weft_arena *arena, size_t bytes, size_t *offset)
{
    if (bytes > arena->reserved) return too_large(arena, bytes); /* and could not be rounded */
    bytes = rounded(bytes);

    size_t best = arena->n_gaps;
    for (size_t i = 0; i < arena->n_gaps; i++)
        if (arena->gaps[i].bytes >= bytes &&
            (best == arena->n_gaps || arena->gaps[i].bytes < arena->gaps[best].bytes))
            best = i;

    if (best < arena->n_gaps) {
        gap *g = &arena->gaps[best];
        *offset = g->offset;
        g->offset += bytes;
        g->bytes -= bytes;
        if (g->bytes == 0) remove_gap(arena, best);
    } else {
        if (bytes > arena->reserved - arena->top) return too_large(arena, bytes);
        const weft_status status = commit(arena, arena->top + bytes);
        if (status != WEFT_OK) return status;
        *offset = arena->top;
        arena->top += bytes;
        if (arena->top > arena->peak) arena->peak = arena->top;
    }
    arena->used += bytes;
    if (arena->base) unpoison(arena->base + *offset, bytes);
    return WEFT_OK;
}

void weft_arena_give(weft_arena *arena, size_t offset, size_t bytes)
{
    bytes = rounded(bytes);
    arena->used -= bytes;
    if (arena->base) poison(arena->base + offset, bytes);

    if (offset + bytes == arena->top) { /* the last one: lower the top, below a gap before it too */
        arena->top = offset;
        const gap *last = arena->n_gaps ? &arena->gaps[arena->n_gaps - 1] : NULL;
        if (last && last->offset + last->bytes == offset) {
            arena->top = last->offset;
            arena->n_gaps--;
        }
        return;
    }
    size_t i = 0, end = arena->n_gaps; /* first gap behind the block */
    while (i < end) {
        const size_t middle = (i + end) / 2;
        if (arena->gaps[middle].offset < offset)
            i = middle + 1;
        else
            end = middle;
    }
    const bool joins_left = i > 0 && arena->gaps[i - 1].offset + arena->gaps[i - 1].bytes == offset;
    const bool joins_right = i < arena->n_gaps && offset + bytes == arena->gaps[i].offset;
    if (joins_left) {
        arena->gaps[i - 1].bytes += bytes;
        if (joins_right) {
            arena->gaps[i - 1].bytes += arena->gaps[i].bytes;
            remove_gap(arena, i);
        }
    } else if (joins_right) {
        arena->gaps[i].offset = offset;
        arena->gaps[i].bytes += bytes;
    } else {
        /* Without memory for the book the block stays unused until the reset. */
        (void)insert_gap(arena, i, (gap){ offset, bytes });
    }
}

void weft_arena_reset(weft_arena *arena)
{
    if (arena->base) poison(arena->base, arena->top);
    arena->top = arena->used = arena->n_gaps = 0;
}

void *weft_arena_at(const weft_arena *arena, size_t offset)
{
    return arena->base ? arena->base + offset : NULL;
}

size_t weft_arena_used_bytes(const weft_arena *arena) { return arena->used; }
size_t weft_arena_peak_bytes(const weft_arena *arena) { return arena->peak; }
bool weft_arena_is_dry(const weft_arena *arena) { return arena->base == NULL; }
