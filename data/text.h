/* text.h - lines of plain or gzip-compressed text, checked to be UTF-8. */
#ifndef WEFT_DATA_TEXT_H
#define WEFT_DATA_TEXT_H

#include "../core/core.h"

/* A file being read line by line. Lines end at '\n' alone (U+0085, U+2028, '\v', '\f' are ordinary
 * characters); one '\r' before it, and a byte order mark at the start of the file, are not part of
 * the text. A last line without '\n' is a line. Lines may be of any length. */
typedef struct weft_lines weft_lines;

/** Open a file, plain or gzip (found out from its content; a name that ends in ".gz" must hold
 *  gzip). "-" is the standard input, plain only, read as it arrives. WEFT_ERR_INPUT where there
 *  is no such file, or it is a directory or forbidden; WEFT_ERR_FORMAT for a .gz that is none;
 *  WEFT_ERR_IO, WEFT_ERR_MEMORY. *lines is then NULL. */
weft_status weft_lines_open(const char *path, weft_lines **lines) WEFT_MUST_CHECK;
void weft_lines_free(weft_lines *lines); /* NULL is allowed */

/** The next line, NUL-terminated, valid until the next call; *line = NULL at the end of the file.
 *  `n_bytes` may be NULL. Errors, all with file and line: WEFT_ERR_INPUT for a byte that is not
 *  valid UTF-8 (with its column) or is NUL, a file that looks like UTF-16 or that has '\r' for '\n'
 *  throughout; WEFT_ERR_FORMAT for truncated or damaged gzip data, WEFT_ERR_IO, WEFT_ERR_MEMORY. A line
 *  that is no text counts, and the next call gives the line behind it; after any other error every
 *  further call gives that status again. */
weft_status weft_lines_next(weft_lines *lines, const char **line, size_t *n_bytes) WEFT_MUST_CHECK;

int64_t weft_lines_number(const weft_lines *lines); /* lines read so far: number of the last one */
const char *weft_lines_path(const weft_lines *lines);

/** Index of the first byte that is not part of valid UTF-8 (RFC 3629: no surrogates, no overlong
 *  forms, nothing above U+10FFFF) or is NUL; `n_bytes` where all is well. */
size_t weft_utf8_check(const char *text, size_t n_bytes);

#endif
