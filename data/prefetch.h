/* prefetch.h - the next batch, made by a thread of its own while the present one is computed with.
 *
 * What is given depends on the iterator alone, never on time: the same batches in the same order as
 * weft_batches_next gives them, BPE-dropout included. There is one batch ahead and no queue. The
 * iterator has one owner at a time: the thread, from being asked for a batch until that is made;
 * else the caller, who takes a copy of it and asks for the next one. */
#ifndef WEFT_DATA_PREFETCH_H
#define WEFT_DATA_PREFETCH_H

#include "batches.h"

typedef struct weft_prefetch weft_prefetch;

/** Give the batches of an iterator from where it stands. From the first _next on, until this is
 *  freed, nothing may be called with the iterator but weft_batches_get_limits, _part and _free
 *  after that. All memory is taken here. WEFT_ERR_MEMORY, also where the system gives no thread;
 *  *prefetch is then NULL. */
weft_status weft_prefetch_new(weft_batches *batches, weft_prefetch **prefetch) WEFT_MUST_CHECK;
/** Ends the thread, which finishes the batch that it is at. NULL is allowed. */
void weft_prefetch_free(weft_prefetch *prefetch);

/** The next batch; its arrays are valid until the next call. */
void weft_prefetch_next(weft_prefetch *prefetch, weft_batch *batch);
/** What _next will give next, as weft_batches_position says it: for a checkpoint. */
void weft_prefetch_position(const weft_prefetch *prefetch, int64_t *epoch, int64_t *index);
/** Seconds that all calls of _next together have waited for the thread. */
double weft_prefetch_waited_s(const weft_prefetch *prefetch);

#endif
