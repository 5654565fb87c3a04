/* batches.h - an encoded corpus as packed batches, in an order that depends on seed and epoch
 * alone.
 *
 * Sentences: an epoch is planned by shuffling the sentences, sorting them stably by source and then
 * by target length, cutting that list where the next sentence would exceed the limit, and shuffling
 * the batches. source = ids </s>, target = <s> ids, labels = ids </s>. The list of lengths is the
 * same in every epoch, and so are the number of batches and the sizes of the largest; but not with
 * BPE-dropout, which cuts every text anew for each epoch, nor with weights that are not whole.
 *
 * Weights (weft_corpus_set_weight) say how often an item is in an epoch; `in_order` it is there once. An
 * epoch for which small weights draw nothing is passed over.
 *
 * Running text (`context` > 0): every item is cut into windows; target = t0 .. tL-1, labels =
 * t1 .. tL, so every token but an item's first is predicted once an epoch. In training the first
 * cut falls at a random place below `context`, so that windows differ from epoch to epoch. */
#ifndef WEFT_DATA_BATCHES_H
#define WEFT_DATA_BATCHES_H

#include "../layers/batch.h"
#include "corpus.h"

typedef struct weft_batches_spec {
    int64_t batch_tokens; /* at most so many source tokens and so many target tokens a batch */
    int64_t
        max_length;   /* sentences with more tokens on a side (</s> counts) are left out, and those
                             with more than batch_tokens, which in order are batches of their own;
                             0: batch_tokens, and a longer sentence is an error */
    double max_ratio; /* pairs are left out of which one side has more than so many times the
                             tokens of the other (</s> does not count); 0: none are */
    int64_t context;  /* 0: items are sentences; L > 0: windows of at most L tokens */
    bool in_order;    /* the corpus' own order, equal in every epoch: for validation */
    uint64_t seed;
    double bpe_dropout;          /* sentences only; in [0, 1). Lengths are filtered as without it,
                                    and a sentence that it makes too long is taken without it */
    const weft_vocab *vocabs[2]; /* of source and target, for bpe_dropout */
} weft_batches_spec;

typedef struct weft_batches weft_batches;

/** The corpus must be encoded, outlive the iterator and not change, and so must vocabularies. All
 *  memory is taken here: the other functions never allocate. Stands at (epoch 0, batch 0).
 *  WEFT_ERR_STATE: not encoded, or BPE-dropout without vocabularies that have codes;
 *  WEFT_ERR_RANGE: the numbers of `spec`; WEFT_ERR_INPUT: a sentence that is too long (which, how
 *  long), or nothing is left. *batches is then NULL. */
weft_status weft_batches_new(const weft_corpus *corpus, const weft_batches_spec *spec,
                             weft_batches **batches) WEFT_MUST_CHECK;
void weft_batches_free(weft_batches *batches); /* NULL is allowed */

/** The next batch, going on to the next epoch by itself. Its arrays belong to the iterator and are
 *  valid until the next call of _next, _get or _largest. */
void weft_batches_next(weft_batches *batches, weft_batch *batch);
/** Where _next stands: what it will give next. Save both in a checkpoint. */
void weft_batches_position(const weft_batches *batches, int64_t *epoch, int64_t *index);
/** Go there. WEFT_ERR_RANGE unless epoch >= 0 and 0 <= index < number of batches of that epoch. */
weft_status weft_batches_seek(weft_batches *batches, int64_t epoch, int64_t index) WEFT_MUST_CHECK;

/** Batches in the epoch where _next stands (running text: may differ by one between epochs). */
int64_t weft_batches_count(const weft_batches *batches);
/** Batch `index` of that epoch, without moving: a validation pass is
 *  `for (i = 0; i < weft_batches_count(b); i++) weft_batches_get(b, i, &batch)`.
 *  WEFT_ERR_RANGE for an index out of range. */
weft_status weft_batches_get(weft_batches *batches, int64_t index,
                             weft_batch *batch) WEFT_MUST_CHECK;

/* What no batch of any epoch exceeds, on either side the tokens of a sentence; and the sentences left
 * out: in all, by max_length, by max_ratio; and the first of them (its number from 0; -1: none). */
typedef struct weft_batches_limits {
    int64_t source_tokens, target_tokens, sentences, longest, dropped, too_long, uneven,
        first_dropped;
} weft_batches_limits;
weft_batches_limits weft_batches_get_limits(const weft_batches *batches);
/** The batch of this epoch with the most tokens on both sides together, for a dry plan; `longest` is that
 *  of any batch. */
void weft_batches_largest(weft_batches *batches, weft_batch *batch);

/** Part j of k (0 <= j < k) of a batch of this iterator, cut between sentences so that target (or,
 *  without target, source) tokens are shared as evenly as that allows; with more parts than
 *  sentences some are empty (B = 0). Valid until the next call of this function or while `batch`
 *  is. WEFT_ERR_RANGE. Row keys are those of the whole batch: so are all random numbers. */
weft_status weft_batches_part(weft_batches *batches, const weft_batch *batch, int64_t k, int64_t j,
                              weft_batch *part) WEFT_MUST_CHECK;

#endif
