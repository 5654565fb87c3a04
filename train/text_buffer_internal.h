/* text_buffer_internal.h - text that grows. */
#ifndef WEFT_TRAIN_TEXT_BUFFER_INTERNAL_H
#define WEFT_TRAIN_TEXT_BUFFER_INTERNAL_H

#include "core/core.h"

#include <stdarg.h>

/* n_bytes used, always ended by a zero byte once reserved. */
typedef struct weft_text_buffer {
    char *text;
    size_t n_bytes, room_bytes;
} weft_text_buffer;

/* Room for `bytes` characters and the zero byte. The contents are kept. */
weft_status weft_text_reserve(weft_text_buffer *buffer, size_t bytes) WEFT_MUST_CHECK;
/* Add at the end, printf format. After an error nothing is added. */
weft_status weft_text_append(weft_text_buffer *buffer, const char *fmt, ...)
    WEFT_PRINTF(2, 3) WEFT_MUST_CHECK;
weft_status weft_text_append_list(weft_text_buffer *buffer, const char *fmt, va_list args)
    WEFT_PRINTF(2, 0) WEFT_MUST_CHECK;
void weft_text_release(weft_text_buffer *buffer);

#endif
