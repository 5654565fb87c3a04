/* chunks.c - where chunks lie, and what a token gets that lies in several. */
#include "data/chunks.h"

/* Tokens of the text in a whole chunk. */
static int64_t room(const weft_chunks *c) { return c->length - c->reserved; }
static int64_t stride(const weft_chunks *c) { return room(c) - c->overlap; }

weft_status weft_chunks_check(const weft_chunks *chunks)
{
    if (chunks->reserved < 0)
        return weft_error(WEFT_ERR_RANGE, "chunks with room for %lld more tokens",
                          (long long)chunks->reserved);
    if (chunks->n >= 0 && chunks->overlap >= 0 && chunks->overlap < room(chunks)) return WEFT_OK;
    return weft_error(WEFT_ERR_RANGE,
                      "chunks of %lld tokens with an overlap of %lld: it must be below the length",
                      (long long)room(chunks), (long long)chunks->overlap);
}

int64_t weft_chunks_count(const weft_chunks *chunks)
{
    if (chunks->n <= room(chunks)) return chunks->n > 0;
    return 1 + (chunks->n - room(chunks) - 1) / stride(chunks) + 1;
}

weft_chunk weft_chunks_get(const weft_chunks *chunks, int64_t i)
{
    const int64_t from = i * stride(chunks);
    return (weft_chunk){ from, chunks->n - from < room(chunks) ? chunks->n : from + room(chunks) };
}

int64_t weft_chunks_row(const weft_chunks *chunks, int64_t i)
{
    const int64_t count = weft_chunks_count(chunks); /* all but the last are whole */
    if (i < count || i == 0) return i * room(chunks);
    const weft_chunk last = weft_chunks_get(chunks, count - 1);
    return (count - 1) * room(chunks) + last.to - last.from;
}

/* How much a chunk shows of what is around token p. */
static int64_t context(const weft_chunks *c, weft_chunk_merge merge, weft_chunk at, int64_t p)
{
    if (merge == WEFT_MERGE_BEFORE) return p - at.from;
    const int64_t before = at.from == 0 ? c->n : p - at.from;
    const int64_t after = at.to == c->n ? c->n : at.to - 1 - p;
    return before < after ? before : after;
}

void weft_chunks_merge(const weft_chunks *chunks, weft_chunk_merge merge, int64_t W,
                       const double rows[], double merged[])
{
    const int64_t count = weft_chunks_count(chunks), length = room(chunks);
    for (int64_t p = 0; p < chunks->n; p++) {
        const int64_t first = p < length ? 0 : (p - length) / stride(chunks) + 1;
        int64_t last = p / stride(chunks), best = -1;
        double *const y = merged + p * W;
        if (last > count - 1) last = count - 1;
        for (int64_t w = 0; w < W; w++) y[w] = 0;
        for (int64_t i = first; i <= last; i++) {
            const weft_chunk at = weft_chunks_get(chunks, i);
            const double *const x = rows + (weft_chunks_row(chunks, i) + p - at.from) * W;
            const int64_t seen = context(chunks, merge, at, p);
            const bool mean = merge == WEFT_MERGE_MEAN;
            if (!mean && seen <= best) continue;
            best = seen;
            for (int64_t w = 0; w < W; w++)
                y[w] = mean ? y[w] + x[w] / (double)(last - first + 1) : x[w];
        }
    }
}
