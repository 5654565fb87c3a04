/* bpe_internal.h - codes, and cutting one word. */
#ifndef WEFT_DATA_BPE_INTERNAL_H
#define WEFT_DATA_BPE_INTERNAL_H

#include "data/bpe.h"
#include "data/pairs_internal.h"
#include "data/strings_internal.h"

#define WEFT_BPE_WORD_END "</w>"
#define WEFT_BPE_MARK "@@" /* behind a piece that is not the last of its word */
enum { WEFT_BPE_WORD_END_BYTES = 4, WEFT_BPE_MARK_BYTES = 2 };

typedef struct weft_bpe_merge {
    int32_t left, right, result; /* numbers of symbols */
} weft_bpe_merge;

struct weft_bpe {
    weft_strings symbols; /* "lo", "w</w>": all that stand in merges, and all that they make */
    weft_bpe_merge *merges;
    size_t n, room;
    weft_pairs ranks; /* of two symbols: the first merge of them */
    int32_t *made_by; /* [symbols.n]: the first merge that makes a symbol; -1: none */
    size_t made_by_room;
};

weft_bpe *weft_bpe_new(void) WEFT_MUST_CHECK;
/* Append a merge. */
weft_status weft_bpe_add(weft_bpe *bpe, const char *left, size_t n_left, const char *right,
                         size_t n_right) WEFT_MUST_CHECK;
/* The merges of the first n_lines lines of `text` (each ends in '\n'), of which the first one is
 * line `number` of the file; *rest is what follows. */
weft_status weft_bpe_parse_lines(const char *text, int64_t n_lines, const char *name,
                                 int64_t number, weft_bpe **bpe, const char **rest) WEFT_MUST_CHECK;
weft_status weft_bpe_copy(const weft_bpe *bpe, weft_bpe **copy) WEFT_MUST_CHECK;
/* Bytes of the merges as lines, and the lines; returns where they end. */
size_t weft_bpe_lines_bytes(const weft_bpe *bpe);
char *weft_bpe_write_lines(const weft_bpe *bpe, char *out);

/* A piece of a word: bytes begin .. begin + n_bytes - 1, and its symbol, -1 for a character that no
 * merge has. */
typedef struct weft_bpe_piece {
    int32_t begin, n_bytes, symbol;
} weft_bpe_piece;

typedef struct weft_bpe_node {
    int32_t begin, symbol, before, after;
} weft_bpe_node;
typedef struct weft_bpe_candidate {
    int32_t rank, at; /* the merge; the node of its left symbol */
} weft_bpe_candidate;

/* Memory that is kept from word to word; start with { 0 }. */
typedef struct weft_bpe_work {
    weft_bpe_piece *pieces; /* the result */
    int32_t n_pieces;
    size_t pieces_room;
    weft_bpe_node *nodes;
    size_t nodes_room;
    weft_bpe_candidate *heap, *batch, *passed;
    size_t heap_room, batch_room, passed_room;
    size_t n_heap, n_batch, n_passed;
    weft_bpe_dropout dropout; /* p = 0: none */
    uint32_t n_drawn;         /* of its random numbers; to be set to 0 where a row begins */
} weft_bpe_work;
void weft_bpe_work_free(weft_bpe_work *work);

/* Cut a word of valid UTF-8, at least one character, into work->pieces. */
weft_status weft_bpe_cut(const weft_bpe *bpe, weft_bpe_work *work, const char *word,
                         size_t n_bytes) WEFT_MUST_CHECK;
/* Undo the merge that made a piece; false where none did. */
bool weft_bpe_undo(const weft_bpe *bpe, const weft_bpe_piece *piece, weft_bpe_piece *left,
                   weft_bpe_piece *right);

#endif
