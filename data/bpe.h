/* bpe.h - byte pair encoding: words cut into pieces that were learnt from a text.
 *
 * Sennrich, Haddow and Birch 2016: a word begins as its characters; the most frequent pair of
 * neighbours in the text becomes one symbol, then the next, N times. A new word is cut by making
 * the same merges in the same order. Files, learning and cutting agree with those authors' program
 * subword-nmt to the byte; that program cuts words at ' ' alone, and has a white space of Unicode
 * within a word upset its learning, which happens here in neither case.
 *
 * BPE-dropout (Provilkov, Emelianenko and Voita 2020): while a word is cut, each merge that could
 * be made next is passed over with probability p, so that training sees a word in many cuts. */
#ifndef WEFT_DATA_BPE_H
#define WEFT_DATA_BPE_H

#include "vocab.h"

typedef struct weft_bpe_spec {
    int64_t merges;     /* at most so many; or, where this is 0, */
    int64_t vocab_size; /* so many less one for each character: those within words and those at an
                           end count apart (subword-nmt's --total-symbols) */
    int64_t min_count;  /* stop before a pair that is rarer; 0 means 2, as in subword-nmt */
} weft_bpe_spec;

/** Learn merges from words: what `words`, a vocabulary without codes of its own and not yet built,
 *  has counted. Equal counts go to the pair that comes last in order. WEFT_ERR_RANGE: a wrong spec;
 *  WEFT_ERR_STATE: `words` is built, or has tokens of single characters. */
weft_status weft_bpe_learn(const weft_vocab *words, const weft_bpe_spec *spec,
                           weft_bpe **bpe) WEFT_MUST_CHECK;

/** A file of codes, plain or gzip: a line "#version: 0.2", then a merge a line, two symbols with a
 *  space between; "</w>" is the end of a word. WEFT_ERR_INPUT, WEFT_ERR_IO: it cannot be read;
 *  WEFT_ERR_FORMAT, with file and line: it is damaged, or of version 0.1. */
weft_status weft_bpe_read(const char *path, weft_bpe **bpe) WEFT_MUST_CHECK;
/** The text of such a file; NULL when memory ran out. The caller frees it with weft_free. */
char *weft_bpe_write(const weft_bpe *bpe) WEFT_MUST_CHECK;
void weft_bpe_free(weft_bpe *bpe);          /* NULL is allowed */
int64_t weft_bpe_size(const weft_bpe *bpe); /* merges */

typedef struct weft_bpe_dropout {
    double p;     /* in [0, 1); 0: the cut is the plain one */
    uint64_t key; /* equal keys and rows give equal cuts */
    uint64_t row;
} weft_bpe_dropout;

typedef struct weft_bpe_apply_spec {
    weft_tokens_kind tokens; /* how words are found; not characters */
    bool lowercase;
    weft_bpe_dropout dropout;
} weft_bpe_apply_spec;

/** Cut the words of a text, as `weft bpe apply` prints it: "lo@@ w lo@@ we@@ r". `spec` may be NULL
 *  (words between white space, no dropout). WEFT_ERR_INPUT if the text is not UTF-8, WEFT_ERR_RANGE
 *  for a wrong spec. The caller frees *cut with weft_free. */
weft_status weft_bpe_apply(const weft_bpe *bpe, const weft_bpe_apply_spec *spec, const char *text,
                           char **cut) WEFT_MUST_CHECK;

#endif
