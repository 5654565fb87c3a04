/* bpe_cut.c - cutting a word: a list of symbols, and a heap of the merges that could be made.
 *
 * As in subword-nmt, the first merge of the codes is made at all its places from left to right
 * before the next one is looked for. Only what a merge changes is looked at again, so a word of n
 * characters costs O(n log n). */
#include "data/bpe_internal.h"

#include <assert.h>
#include <string.h>

#include "data/grow_internal.h"

enum { NONE = -1, MERGED = -2 /* .after of a node that is part of the one before it */ };

void weft_bpe_work_free(weft_bpe_work *work)
{
    weft_free(work->pieces);
    weft_free(work->nodes);
    weft_free(work->heap);
    weft_free(work->batch);
    weft_free(work->passed);
    *work = (weft_bpe_work){ 0 };
}

/* ---- the heap: the least (rank, at) on top --------------------------------------------------- */

static bool comes_before(weft_bpe_candidate a, weft_bpe_candidate b)
{
    return a.rank != b.rank ? a.rank < b.rank : a.at < b.at;
}

static void push(weft_bpe_work *w, weft_bpe_candidate candidate)
{
    size_t i = w->n_heap++;
    assert(w->n_heap <= w->heap_room);
    for (size_t parent; i > 0; i = parent) {
        parent = (i - 1) / 2;
        if (!comes_before(candidate, w->heap[parent])) break;
        w->heap[i] = w->heap[parent];
    }
    w->heap[i] = candidate;
}

static weft_bpe_candidate pop(weft_bpe_work *w)
{
    const weft_bpe_candidate top = w->heap[0], last = w->heap[--w->n_heap];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < w->n_heap; i = child) {
        if (child + 1 < w->n_heap && comes_before(w->heap[child + 1], w->heap[child])) child++;
        if (!comes_before(w->heap[child], last)) break;
        w->heap[i] = w->heap[child];
    }
    w->heap[i] = last;
    return top;
}

/* ---- merging -------------------------------------------------------------------------------- */

/* What could be merged at a node joins the heap. */
static void consider(const weft_bpe *bpe, weft_bpe_work *w, int32_t at)
{
    if (at < 0 || w->nodes[at].after < 0) return;
    const int32_t left = w->nodes[at].symbol, right = w->nodes[w->nodes[at].after].symbol;
    if (left < 0 || right < 0) return;
    const int32_t rank = weft_pairs_find(&bpe->ranks, left, right);
    if (rank >= 0) push(w, (weft_bpe_candidate){ rank, at });
}

static bool still_there(const weft_bpe *bpe, const weft_bpe_work *w, weft_bpe_candidate c)
{
    const weft_bpe_node *node = &w->nodes[c.at];
    if (node->after < 0 || node->symbol != bpe->merges[c.rank].left) return false;
    return w->nodes[node->after].symbol == bpe->merges[c.rank].right;
}

static bool is_passed_over(weft_bpe_work *w)
{
    const weft_bpe_dropout *d = &w->dropout;
    return d->p > 0 && weft_random_uniform(d->key, d->row, w->n_drawn++) < d->p;
}

/* Take all places of the first merge off the heap, but for those that chance passes over. */
static void choose(const weft_bpe *bpe, weft_bpe_work *w)
{
    w->n_batch = w->n_passed = 0;
    while (w->n_heap > 0 && (w->n_batch == 0 || w->heap[0].rank == w->batch[0].rank)) {
        const weft_bpe_candidate candidate = pop(w);
        if (!still_there(bpe, w, candidate)) continue;
        if (is_passed_over(w)) {
            w->passed[w->n_passed++] = candidate;
        } else {
            w->batch[w->n_batch++] = candidate;
        }
    }
}

static void merge(weft_bpe_work *w, int32_t at, int32_t result)
{
    weft_bpe_node *node = &w->nodes[at], *right = &w->nodes[node->after];
    if (right->after >= 0) w->nodes[right->after].before = at;
    node->symbol = result;
    node->after = right->after;
    right->after = MERGED;
}

static void merge_all(const weft_bpe *bpe, weft_bpe_work *w)
{
    for (choose(bpe, w); w->n_batch > 0; choose(bpe, w)) {
        size_t n_made = 0;
        for (size_t i = 0; i < w->n_batch; i++) { /* "x x x" has (x, x) twice, but makes one */
            const weft_bpe_candidate c = w->batch[i];
            if (!still_there(bpe, w, c)) continue;
            merge(w, c.at, bpe->merges[c.rank].result);
            w->batch[n_made++] = c;
        }
        for (size_t i = 0; i < n_made; i++) {
            const int32_t at = w->batch[i].at, before = w->nodes[at].before;
            if (i == 0 || before != w->batch[i - 1].at) consider(bpe, w, before);
            consider(bpe, w, at);
        }
        for (size_t i = 0; i < w->n_passed; i++) push(w, w->passed[i]);
    }
}

/* ---- a word --------------------------------------------------------------------------------- */

static int32_t character_bytes(const char *text)
{
    const unsigned char first = (unsigned char)*text;
    return first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
}

/* The symbol of a character that ends a word. */
static int32_t last_symbol(const weft_bpe *bpe, const char *text, int32_t n_bytes)
{
    char both[4 + WEFT_BPE_WORD_END_BYTES];
    memcpy(both, text, (size_t)n_bytes);
    memcpy(both + n_bytes, WEFT_BPE_WORD_END, WEFT_BPE_WORD_END_BYTES);
    return weft_strings_find(&bpe->symbols, both, (size_t)n_bytes + WEFT_BPE_WORD_END_BYTES);
}

/* The list of a word's characters; returns their number. */
static int32_t make_nodes(const weft_bpe *bpe, weft_bpe_work *w, const char *word, int32_t n_bytes)
{
    int32_t n = 0;
    for (int32_t begin = 0; begin < n_bytes; n++) {
        const int32_t n_char = character_bytes(word + begin);
        const bool last = begin + n_char == n_bytes;
        const int32_t symbol = last
                                   ? last_symbol(bpe, word + begin, n_char)
                                   : weft_strings_find(&bpe->symbols, word + begin, (size_t)n_char);
        w->nodes[n] = (weft_bpe_node){ begin, symbol, n - 1, last ? NONE : n + 1 };
        begin += n_char;
    }
    return n;
}

static weft_status make_room(weft_bpe_work *w, size_t n_bytes)
{
    if (n_bytes > INT32_MAX / 4) {
        return weft_error(WEFT_ERR_OVERFLOW, "a word of %zu bytes; at most %d are cut", n_bytes,
                          INT32_MAX / 4);
    }
    weft_bpe_node *nodes = weft_grow(w->nodes, &w->nodes_room, n_bytes, sizeof *nodes);
    if (nodes) w->nodes = nodes;
    /* A merge adds two to the n - 1 of the beginning, and there are at most n - 1 merges. */
    weft_bpe_candidate *heap = weft_grow(w->heap, &w->heap_room, 3 * n_bytes, sizeof *heap);
    if (heap) w->heap = heap;
    weft_bpe_candidate *batch = weft_grow(w->batch, &w->batch_room, n_bytes, sizeof *batch);
    if (batch) w->batch = batch;
    weft_bpe_candidate *passed = weft_grow(w->passed, &w->passed_room, n_bytes, sizeof *passed);
    if (passed) w->passed = passed;
    weft_bpe_piece *pieces = weft_grow(w->pieces, &w->pieces_room, n_bytes, sizeof *pieces);
    if (pieces) w->pieces = pieces;
    return nodes && heap && batch && passed && pieces ? WEFT_OK : WEFT_ERR_MEMORY;
}

weft_status weft_bpe_cut(const weft_bpe *bpe, weft_bpe_work *w, const char *word, size_t n_bytes)
{
    const weft_status status = make_room(w, n_bytes);
    if (status != WEFT_OK) return status;
    const int32_t n_nodes = make_nodes(bpe, w, word, (int32_t)n_bytes);
    w->n_heap = 0;
    for (int32_t i = 0; i < n_nodes; i++) consider(bpe, w, i);
    merge_all(bpe, w);
    w->n_pieces = 0;
    for (int32_t i = 0; i >= 0; i = w->nodes[i].after) {
        const int32_t after = w->nodes[i].after, begin = w->nodes[i].begin;
        const int32_t end = after >= 0 ? w->nodes[after].begin : (int32_t)n_bytes;
        w->pieces[w->n_pieces++] = (weft_bpe_piece){ begin, end - begin, w->nodes[i].symbol };
    }
    return WEFT_OK;
}

bool weft_bpe_undo(const weft_bpe *bpe, const weft_bpe_piece *piece, weft_bpe_piece *left,
                   weft_bpe_piece *right)
{
    const int32_t by = piece->symbol < 0 ? -1 : bpe->made_by[piece->symbol];
    if (by < 0) return false;
    const weft_bpe_merge *merge = &bpe->merges[by];
    const int32_t n_left = (int32_t)bpe->symbols.at[merge->left].n_bytes;
    if (n_left >= piece->n_bytes) return false; /* codes that cut the "</w>" itself */
    *left = (weft_bpe_piece){ piece->begin, n_left, merge->left };
    *right = (weft_bpe_piece){ piece->begin + n_left, piece->n_bytes - n_left, merge->right };
    return true;
}
