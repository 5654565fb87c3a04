/* status.c - codes, their texts, and the message of a thread's last failure. */
#include "core.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define WEFT_STATUS_NAME(code, text) #code,
static const char *const names[] = { WEFT_STATUS_LIST(WEFT_STATUS_NAME) };
#define WEFT_STATUS_TEXT(code, text) text,
static const char *const texts[] = { WEFT_STATUS_LIST(WEFT_STATUS_TEXT) };

static _Thread_local char message[1024];

static bool known(weft_status status) { return (unsigned)status < WEFT_STATUS_COUNT; }

const char *weft_status_name(weft_status status)
{
    return known(status) ? names[status] : "(no weft_status)";
}

const char *weft_status_text(weft_status status)
{
    return known(status) ? texts[status] : "(no weft_status)";
}

const char *weft_message(void) { return message; }

/* Cut off a UTF-8 character that did not fit whole, so that a message is always valid text. */
static void end_on_whole_character(char *text, size_t n)
{
    if (n + 1 < sizeof message) return;
    size_t i = n;
    while (i > 0 && ((unsigned char)text[i - 1] & 0xC0) == 0x80) i--;
    if (i == 0) return;
    const unsigned char lead = (unsigned char)text[i - 1];
    const size_t needed = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    if (n - (i - 1) < needed) text[i - 1] = '\0';
}

weft_status weft_error(weft_status code, const char *fmt, ...)
{
    char text[sizeof message]; /* the arguments may point into the old message */
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    end_on_whole_character(text, strlen(text));
    memcpy(message, text, sizeof message);
    return code;
}

weft_status weft_error_prefix(weft_status code, const char *fmt, ...)
{
    char text[sizeof message];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    const size_t n = strlen(text);
    snprintf(text + n, sizeof text - n, "%s", message);
    end_on_whole_character(text, strlen(text));
    memcpy(message, text, sizeof message);
    return code;
}
