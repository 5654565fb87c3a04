/* chunks.h - a text longer than a model reads, cut into chunks that overlap, and their results merged.
 *
 * Chunks of length - reserved tokens begin every length - reserved - overlap tokens; the last is the
 * first that reaches the end, so none lies inside another. Their results are rows, chunk after chunk. */
#ifndef WEFT_DATA_CHUNKS_H
#define WEFT_DATA_CHUNKS_H

#include "../core/core.h"

typedef struct weft_chunks {
    int64_t n;               /* tokens of the text */
    int64_t length, overlap; /* of a chunk; shared with the next */
    int64_t reserved;        /* of the length, for what is put around each chunk: [CLS], [SEP] */
} weft_chunks;
typedef struct weft_chunk {
    int64_t from, to; /* tokens from .. to - 1 */
} weft_chunk;

/* Which result a token gets that stands in several chunks. */
typedef enum weft_chunk_merge {
    WEFT_MERGE_BEFORE, /* of the chunk with most tokens before it: models that read from the left */
    WEFT_MERGE_AROUND, /* of the chunk whose nearer end is farthest, the text's own ends not counted:
                          models that read both ways. Of equals the first */
    WEFT_MERGE_MEAN    /* the mean of all */
} weft_chunk_merge;

/** WEFT_ERR_RANGE unless n >= 0, reserved >= 0 and 0 <= overlap < length - reserved. */
weft_status weft_chunks_check(const weft_chunks *chunks) WEFT_MUST_CHECK;
/** How many there are; 0 for an empty text. */
int64_t weft_chunks_count(const weft_chunks *chunks);
/** Chunk i, 0 <= i < count. */
weft_chunk weft_chunks_get(const weft_chunks *chunks, int64_t i);
/** Where chunk i's results begin among the rows of all chunks (i = count: how many rows there are). */
int64_t weft_chunks_row(const weft_chunks *chunks, int64_t i);
/** rows: the results of all chunks, W numbers a token. merged [n, W]. */
void weft_chunks_merge(const weft_chunks *chunks, weft_chunk_merge merge, int64_t W,
                       const double rows[], double merged[]);

#endif
