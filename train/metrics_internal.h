/* metrics_internal.h - text preparation that the metrics share. */
#ifndef WEFT_TRAIN_METRICS_INTERNAL_H
#define WEFT_TRAIN_METRICS_INTERNAL_H

#include "train/metrics.h"
#include "train/text_buffer_internal.h"

enum { WEFT_METRIC_ORDERS = WEFT_CHRF_ORDER + 2 };

/* Counts of n-grams of one order. */
typedef struct weft_order_counts {
    int64_t hypothesis, reference, matches;
} weft_order_counts;

/* All that a score is made of: the sum over segments, or that of one. */
typedef struct weft_statistics {
    int64_t n_segments, n_exact;
    int64_t hypothesis_words, reference_words;   /* BLEU */
    weft_order_counts order[WEFT_METRIC_ORDERS]; /* BLEU leaves `reference` 0; chrF++ has its words
                                                    behind the characters */
} weft_statistics;

void weft_statistics_add(weft_statistics *sum, const weft_statistics *of);
double weft_statistics_score(const weft_metric_spec *spec, const weft_statistics *of);
/* Those of each segment, in the order of adding, and the spec. */
const weft_statistics *weft_metric_each(const weft_metric *metric, weft_metric_spec *spec);

/* Code point at text[0], its length in *n_bytes; -1 where text is not valid UTF-8. The zero byte at
 * the end is code point 0 of length 1. */
int32_t weft_text_point(const char *text, size_t *n_bytes);

/* Unicode white space: where Python's str.split() splits. */
bool weft_text_is_space(int32_t point);

/* `text` as it is. Errors: WEFT_ERR_INPUT invalid UTF-8. */
weft_status weft_text_copy(const char *text, weft_text_buffer *out);

/* `text` in lower case. Errors: WEFT_ERR_INPUT invalid UTF-8. */
weft_status weft_text_lower(const char *text, weft_text_buffer *out);

/* The words of `text`, which is valid UTF-8, one space between them, an ASCII punctuation mark at the
 * end (else at the beginning) of a longer word apart, as chrF++ wants them; `scratch` is overwritten. */
weft_status weft_text_split_marks(const weft_text_buffer *text, weft_text_buffer *scratch,
                                  weft_text_buffer *out);

/* The words of `text` by the 13a tokeniser, one space between them; `scratch` is overwritten.
 * Errors: WEFT_ERR_INPUT invalid UTF-8. */
weft_status weft_text_tokenise_13a(const char *text, weft_text_buffer *scratch,
                                   weft_text_buffer *out);

#endif
