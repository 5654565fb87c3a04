/* text_buffer.c - text that grows. */
#include "core/checked.h"
#include "train/text_buffer_internal.h"

#include <assert.h>
#include <stdio.h>

weft_status weft_text_reserve(weft_text_buffer *buffer, size_t bytes)
{
    size_t room_bytes;
    if (!weft_add_bytes(bytes, 1, &room_bytes)) {
        return weft_error(WEFT_ERR_OVERFLOW, "a text of %zu bytes is too long", bytes);
    }
    if (room_bytes <= buffer->room_bytes) return WEFT_OK;
    size_t grown_bytes; /* half as much again, so that growth is rare */
    if (weft_add_bytes(room_bytes, room_bytes / 2, &grown_bytes)) room_bytes = grown_bytes;
    char *text = weft_realloc(buffer->text, room_bytes, 1);
    if (text == NULL) return WEFT_ERR_MEMORY;
    buffer->text = text;
    buffer->room_bytes = room_bytes;
    return WEFT_OK;
}

weft_status weft_text_append_list(weft_text_buffer *buffer, const char *fmt, va_list args)
{
    va_list measured;
    va_copy(measured, args);
    const int n = vsnprintf(NULL, 0, fmt, measured);
    va_end(measured);
    assert(n >= 0);
    size_t n_bytes;
    if (!weft_add_bytes(buffer->n_bytes, (size_t)n, &n_bytes)) {
        return weft_error(WEFT_ERR_OVERFLOW, "a text of %zu bytes is too long", buffer->n_bytes);
    }
    const weft_status status = weft_text_reserve(buffer, n_bytes);
    if (status != WEFT_OK) return status;
    vsnprintf(buffer->text + buffer->n_bytes, (size_t)n + 1, fmt, args);
    buffer->n_bytes = n_bytes;
    return WEFT_OK;
}

weft_status weft_text_append(weft_text_buffer *buffer, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    const weft_status status = weft_text_append_list(buffer, fmt, args);
    va_end(args);
    return status;
}

void weft_text_release(weft_text_buffer *buffer)
{
    weft_free(buffer->text);
    *buffer = (weft_text_buffer){ 0 };
}
