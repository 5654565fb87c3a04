/* log.c - JSON lines: writing them, and cutting a log back to the update that a run resumes from. */
#include "train/log.h"
#include "data/data.h"
#include "train/text_buffer_internal.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

weft_log_field weft_log_integer(const char *name, int64_t value)
{
    return (weft_log_field){ .name = name, .kind = WEFT_LOG_INTEGER, .integer = value };
}

weft_log_field weft_log_real(const char *name, double value)
{
    return (weft_log_field){ .name = name, .kind = WEFT_LOG_REAL, .real = value };
}

weft_log_field weft_log_text(const char *name, const char *value)
{
    return (weft_log_field){ .name = name, .kind = WEFT_LOG_TEXT, .text = value };
}

weft_log_field weft_log_bool(const char *name, bool value)
{
    return (weft_log_field){ .name = name, .kind = WEFT_LOG_BOOL, .boolean = value };
}

/* ---- writing --------------------------------------------------------------------------------- */

/* One character of a JSON string (RFC 8259, section 7). */
static weft_status append_character(weft_text_buffer *out, char c)
{
    static const char named[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
    const char *found = c != '\0' ? strchr(named, c) : NULL;
    if (found != NULL) return weft_text_append(out, "\\%c", letters[found - named]);
    if ((unsigned char)c < 0x20 || c == 0x7F) return weft_text_append(out, "\\u%04x", (unsigned)c);
    return weft_text_append(out, "%c", c);
}

static weft_status append_string(weft_text_buffer *out, const char *text)
{
    size_t n_valid = weft_utf8_check(text, strlen(text));
    weft_status status = weft_text_append(out, "\"");
    for (size_t i = 0; text[i] != '\0' && status == WEFT_OK; i++) {
        if (i < n_valid) {
            status = append_character(out, text[i]);
        } else { /* text[i] is the first byte that is wrong */
            status = weft_text_append(out, "\\ufffd");
            n_valid = i + 1 + weft_utf8_check(text + i + 1, strlen(text + i + 1));
        }
    }
    return status == WEFT_OK ? weft_text_append(out, "\"") : status;
}

static weft_status append_value(weft_text_buffer *out, const weft_log_field *field)
{
    switch (field->kind) {
    case WEFT_LOG_INTEGER: return weft_text_append(out, "%lld", (long long)field->integer);
    case WEFT_LOG_REAL:
        if (!isfinite(field->real)) break;
        return weft_text_append(out, "%.9g", field->real);
    case WEFT_LOG_TEXT:
        if (field->text == NULL) break;
        return append_string(out, field->text);
    case WEFT_LOG_BOOL: return weft_text_append(out, "%s", field->boolean ? "true" : "false");
    }
    return weft_text_append(out, "null");
}

static weft_status append_line(weft_text_buffer *out, const char *event, int n_fields,
                               const weft_log_field fields[])
{
    weft_status status = weft_text_append(out, "{\"event\": ");
    if (status == WEFT_OK) status = append_string(out, event);
    for (int i = 0; i < n_fields && status == WEFT_OK; i++) {
        status = weft_text_append(out, ", ");
        if (status == WEFT_OK) status = append_string(out, fields[i].name);
        if (status == WEFT_OK) status = weft_text_append(out, ": ");
        if (status == WEFT_OK) status = append_value(out, &fields[i]);
    }
    return status == WEFT_OK ? weft_text_append(out, "}\n") : status;
}

weft_status weft_log_write(FILE *file, const char *event, int n_fields,
                           const weft_log_field fields[])
{
    weft_text_buffer line = { 0 };
    weft_status status = append_line(&line, event, n_fields, fields);
    if (status == WEFT_OK &&
        (fwrite(line.text, 1, line.n_bytes, file) != line.n_bytes || fflush(file) != 0)) {
        status = weft_error(WEFT_ERR_IO, "the log could not be written: %s", strerror(errno));
    }
    weft_text_release(&line);
    return status;
}

/* ---- resuming -------------------------------------------------------------------------------- */

/* Does this line, without its end, stay when the run goes on after `update`? */
static bool line_stays(const char *line, size_t n_bytes, int64_t update)
{
    json_t *json = json_loadb(line, n_bytes, 0, NULL);
    const json_t *of = json_object_get(json, "update");
    const bool stays = json_is_object(json) && (of == NULL || json_integer_value(of) <= update);
    json_decref(json);
    return stays;
}

/* Add the next line with its end to the empty buffer; false at the end of the file or on an error.
 * The end of the file may leave a line without an end. */
static bool read_line(FILE *file, weft_text_buffer *line, weft_status *status)
{
    char part[512];
    line->n_bytes = 0;
    while (*status == WEFT_OK && fgets(part, sizeof part, file) != NULL) {
        *status = weft_text_append(line, "%s", part);
        if (*status == WEFT_OK && line->text[line->n_bytes - 1] == '\n') return true;
    }
    return false;
}

weft_status weft_log_resume(FILE *file, int64_t update)
{
    weft_text_buffer line = { 0 };
    weft_status status = WEFT_OK;
    long keep_bytes = 0;
    rewind(file);
    while (read_line(file, &line, &status) && line_stays(line.text, line.n_bytes - 1, update)) {
        keep_bytes = ftell(file);
    }
    weft_text_release(&line);
    if (status != WEFT_OK) return status;
    if (ferror(file) || keep_bytes < 0 || fseek(file, keep_bytes, SEEK_SET) != 0 ||
        ftruncate(fileno(file), keep_bytes) != 0) {
        return weft_error(WEFT_ERR_IO, "the log could not be cut back to update %lld: %s",
                          (long long)update, strerror(errno));
    }
    return WEFT_OK;
}
