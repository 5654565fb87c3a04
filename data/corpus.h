/* corpus.h - sentence pairs, or running text, in memory: first as text, then as ids. */
#ifndef WEFT_DATA_CORPUS_H
#define WEFT_DATA_CORPUS_H

#include "vocab.h"

typedef enum weft_side { WEFT_SOURCE, WEFT_TARGET } weft_side;

/* n items, each with a source and a target (translation), a target alone (decoder-only models: a
 * sentence, or a document of running text), or a source alone (text to translate). All items of a
 * corpus are of one kind. Texts and ids lie in one block a side. */
typedef struct weft_corpus weft_corpus;

weft_corpus *weft_corpus_new(void) WEFT_MUST_CHECK;
void weft_corpus_free(weft_corpus *corpus); /* NULL is allowed */

/* Each of these appends items and on error leaves the corpus as it was. Errors name file and line.
 * Adding after weft_corpus_encode means encoding anew. */

/** One item from memory, copied; UTF-8; NULL for a side that this corpus does not have. An empty
 *  string is allowed (it becomes the end of sentence alone). */
weft_status weft_corpus_add(weft_corpus *corpus, const char *source,
                            const char *target) WEFT_MUST_CHECK;
/** Tab-separated pairs, source first; columns after the second (attributions) are ignored. A line
 *  without tab, or with an empty side, is WEFT_ERR_INPUT; so is a file without lines. */
weft_status weft_corpus_read_tsv(weft_corpus *corpus, const char *path) WEFT_MUST_CHECK;
/** Two files that pair line by line: PREFIX.SRC and PREFIX.TGT, each plain or else with .gz. */
weft_status weft_corpus_read_parallel(weft_corpus *corpus, const char *prefix, const char *src,
                                      const char *tgt) WEFT_MUST_CHECK;
/** A file of sentences, one a line, as items with only that side; empty lines are errors. */
weft_status weft_corpus_read_lines(weft_corpus *corpus, const char *path,
                                   weft_side side) WEFT_MUST_CHECK;
/** A file of running text as one item (target alone). Every line ends in '\n'. */
weft_status weft_corpus_read_text(weft_corpus *corpus, const char *path) WEFT_MUST_CHECK;

/** Move the last part into `tail`, an empty corpus: for a corpus of one item the last
 *  round(fraction n) of its n characters, else of its n items. 0 < fraction < 1, both parts get at
 *  least one (WEFT_ERR_RANGE otherwise). */
weft_status weft_corpus_split(weft_corpus *corpus, double fraction,
                              weft_corpus *tail) WEFT_MUST_CHECK;

/** Items added from now on stand `weight` times in an epoch of batches: 2, each twice; 0.5, a half of
 *  them drawn anew for each epoch. 1 before the first call. WEFT_ERR_RANGE unless 0 < weight <= 1000. */
weft_status weft_corpus_set_weight(weft_corpus *corpus, double weight) WEFT_MUST_CHECK;
double weft_corpus_weight(const weft_corpus *corpus, int64_t i);

int64_t weft_corpus_size(const weft_corpus *corpus); /* items */
bool weft_corpus_has(const weft_corpus *corpus, weft_side side);
/** Text of item i, 0 <= i < size; NULL when out of range or without that side. Valid until the
 *  corpus changes. */
const char *weft_corpus_text(const weft_corpus *corpus, weft_side side, int64_t i);

/** The file that item i was read from (of two that pair, the source's) and its line; NULL, and *line as it
 *  was, for one from memory, or moved by weft_corpus_split. */
const char *weft_corpus_file(const weft_corpus *corpus, int64_t i, int64_t *line);

/** XXH3-64 of all texts in their order. */
uint64_t weft_corpus_hash(const weft_corpus *corpus);

/** Count one side into a vocabulary (call for both sides for a joint one). */
weft_status weft_corpus_count(const weft_corpus *corpus, weft_side side,
                              weft_vocab *vocab) WEFT_MUST_CHECK;
/** Text to ids. A vocabulary may be NULL where the corpus has no such side. */
weft_status weft_corpus_encode(weft_corpus *corpus, const weft_vocab *source,
                               const weft_vocab *target) WEFT_MUST_CHECK;
/** Ids of item i, without BOS and EOS, *n of them; NULL when there are none. */
const int32_t *weft_corpus_ids(const weft_corpus *corpus, weft_side side, int64_t i, int64_t *n);
/** Tokens of one side, and how many of them are WEFT_UNK (may be NULL); 0 before encoding. */
int64_t weft_corpus_tokens(const weft_corpus *corpus, weft_side side, int64_t *n_unknown);
/** WEFT_ERR_INPUT for the first item with more than `most` tokens on a side: a line far beyond what a model
 *  was trained on is a mistake, and may take for ever. The sentence names its file and line, or of an item
 *  from memory line first + i + 1, and what allows more. */
weft_status weft_corpus_check_lengths(const weft_corpus *corpus, weft_side side, int64_t first,
                                      int64_t most, const char *more) WEFT_MUST_CHECK;

#endif
