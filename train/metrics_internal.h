/* metrics_internal.h - text preparation that the metrics share. */
#ifndef WEFT_TRAIN_METRICS_INTERNAL_H
#define WEFT_TRAIN_METRICS_INTERNAL_H

#include "train/text_buffer_internal.h"

/* Code point at text[0], its length in *n_bytes; -1 where text is not valid UTF-8. The zero byte at
 * the end is code point 0 of length 1. */
int32_t weft_text_point(const char *text, size_t *n_bytes);

/* Unicode white space: where Python's str.split() splits. */
bool weft_text_is_space(int32_t point);

/* `text` as it is. Errors: WEFT_ERR_INPUT invalid UTF-8. */
weft_status weft_text_copy(const char *text, weft_text_buffer *out);

/* `text` in lower case. Errors: WEFT_ERR_INPUT invalid UTF-8. */
weft_status weft_text_lower(const char *text, weft_text_buffer *out);

/* The words of `text` by the 13a tokeniser, one space between them; `scratch` is overwritten.
 * Errors: WEFT_ERR_INPUT invalid UTF-8. */
weft_status weft_text_tokenise_13a(const char *text, weft_text_buffer *scratch,
                                   weft_text_buffer *out);

#endif
