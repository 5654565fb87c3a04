/* text.c - lines of plain or gzip-compressed text, checked to be UTF-8. */
#include "data/text.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utf8proc.h>
#include <zlib.h>

#include "data/file_internal.h"
#include "data/grow_internal.h"

enum { READ_BYTES = 1 << 16, MESSAGE_BYTES = 1024 };

struct weft_lines {
    char *path;
    gzFile gz;   /* NULL for the standard input */
    char *bytes; /* [room]; bytes begin .. end-1 are read and not yet given */
    size_t room, begin, end;
    bool at_end;
    int64_t number;
    weft_status failed;
    char message[MESSAGE_BYTES];
};

size_t weft_utf8_check(const char *text, size_t n_bytes)
{
    size_t i = 0;
    while (i < n_bytes) {
        uint64_t eight;
        while (n_bytes - i >= sizeof eight) {
            memcpy(&eight, text + i, sizeof eight);
            /* Leave when a byte has its high bit set or is zero. */
            const uint64_t high = UINT64_C(0x8080808080808080), low = UINT64_C(0x0101010101010101);
            if ((eight | (eight - low)) & high) break;
            i += sizeof eight;
        }
        if (i == n_bytes || text[i] == '\0') return i;
        utf8proc_int32_t code;
        const size_t left = n_bytes - i < 4 ? n_bytes - i : 4;
        const utf8proc_ssize_t used =
            utf8proc_iterate((const utf8proc_uint8_t *)text + i, (utf8proc_ssize_t)left, &code);
        if (used <= 0) return i;
        i += (size_t)used;
    }
    return n_bytes;
}

static bool ends_in_gz(const char *path)
{
    const size_t n = strlen(path);
    return n >= 3 && strcmp(path + n - 3, ".gz") == 0;
}

static weft_status open_file(weft_lines *lines)
{
    if (strcmp(lines->path, "-") == 0) return WEFT_OK;
    const int fd = open(lines->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        const int error = errno;
        return weft_error(weft_file_status(error), "%s: %s", lines->path, strerror(error));
    }
    struct stat info;
    if (fstat(fd, &info) == 0 && S_ISDIR(info.st_mode)) {
        close(fd);
        return weft_error(WEFT_ERR_INPUT, "%s is a directory, not a file of text", lines->path);
    }
    lines->gz = gzdopen(fd, "rb");
    if (!lines->gz) {
        close(fd);
        return weft_error(WEFT_ERR_MEMORY, "%s: out of memory for reading", lines->path);
    }
    gzbuffer(lines->gz, READ_BYTES);
    /* gzdirect looks at the first bytes; a read error shows itself at the first read. */
    if (ends_in_gz(lines->path) && gzdirect(lines->gz)) {
        int code;
        gzerror(lines->gz, &code);
        if (code == Z_OK) {
            return weft_error(WEFT_ERR_FORMAT, "%s is named .gz but does not hold gzip data",
                              lines->path);
        }
    }
    return WEFT_OK;
}

weft_status weft_lines_open(const char *path, weft_lines **lines)
{
    *lines = NULL;
    weft_lines *opened = weft_alloc(1, sizeof *opened);
    if (!opened) return WEFT_ERR_MEMORY;
    opened->path = weft_strdup(path);
    const weft_status status = opened->path ? open_file(opened) : WEFT_ERR_MEMORY;
    if (status == WEFT_OK) {
        *lines = opened;
    } else {
        weft_lines_free(opened);
    }
    return status;
}

void weft_lines_free(weft_lines *lines)
{
    if (!lines) return;
    if (lines->gz) gzclose_r(lines->gz);
    weft_free(lines->bytes);
    weft_free(lines->path);
    weft_free(lines);
}

/* Keep the message for later calls: another failure in between may have replaced it. */
static weft_status fail(weft_lines *lines, weft_status status)
{
    lines->failed = status;
    strncpy(lines->message, weft_message(), sizeof lines->message - 1);
    return status;
}

/* What zlib says after a read that gave nothing. The line is the first that could not be given. */
static weft_status gz_status(const weft_lines *lines)
{
    int code;
    const int error = errno;
    const char *text = gzerror(lines->gz, &code);
    const long long line = (long long)lines->number + 1;
    switch (code) {
    case Z_OK:
    case Z_STREAM_END: return WEFT_OK;
    case Z_ERRNO:
        return weft_error(WEFT_ERR_IO, "%s:%lld: reading failed: %s", lines->path, line,
                          strerror(error));
    case Z_MEM_ERROR:
        return weft_error(WEFT_ERR_MEMORY, "%s: out of memory for decompression", lines->path);
    case Z_BUF_ERROR:
        return weft_error(WEFT_ERR_FORMAT, "%s:%lld: the gzip data ends too early (truncated file)",
                          lines->path, line);
    default: {
        /* zlib puts the number of the file in front: "<fd:3>: incorrect data check". */
        const char *reason = strstr(text, ": ");
        return weft_error(WEFT_ERR_FORMAT, "%s:%lld: the gzip data is damaged (%s)", lines->path,
                          line, reason ? reason + 2 : text);
    }
    }
}

/* Append what the file gives next to the buffer; sets at_end. */
static weft_status read_more(weft_lines *lines)
{
    if (lines->begin > 0) {
        memmove(lines->bytes, lines->bytes + lines->begin, lines->end - lines->begin);
        lines->end -= lines->begin;
        lines->begin = 0;
    }
    /* One byte more than is read, for the NUL of a last line without '\n'. */
    size_t need;
    if (__builtin_add_overflow(lines->end, READ_BYTES + 1, &need)) {
        return weft_error(WEFT_ERR_OVERFLOW, "%s:%lld: line too long", lines->path,
                          (long long)lines->number + 1);
    }
    char *bytes = weft_grow(lines->bytes, &lines->room, need, 1);
    if (!bytes) return WEFT_ERR_MEMORY;
    lines->bytes = bytes;
    ssize_t got;
    if (lines->gz) {
        got = gzread(lines->gz, bytes + lines->end, READ_BYTES);
        const weft_status status = got <= 0 ? gz_status(lines) : WEFT_OK;
        if (status != WEFT_OK) return status;
    } else {
        do {
            got = read(STDIN_FILENO, bytes + lines->end, READ_BYTES);
        } while (got < 0 && errno == EINTR);
    }
    if (got < 0) {
        const bool unfit = errno == EISDIR || errno == EBADF; /* the user's `< DIR` or `<&-` */
        return weft_error(unfit ? WEFT_ERR_INPUT : WEFT_ERR_IO, "%s:%lld: reading failed: %s",
                          lines->path, (long long)lines->number + 1, strerror(errno));
    }
    lines->at_end = got == 0;
    lines->end += (size_t)got;
    return WEFT_OK;
}

/* Find the next line: `bytes + begin`, *length bytes without '\n'. */
static weft_status find_line(weft_lines *lines, size_t *length, bool *found)
{
    size_t searched = 0;
    for (;;) {
        const size_t have = lines->end - lines->begin;
        char *start = lines->bytes + lines->begin;
        const char *newline =
            have > searched ? memchr(start + searched, '\n', have - searched) : NULL;
        if (newline || lines->at_end) {
            *length = newline ? (size_t)(newline - start) : have;
            *found = newline || have > 0;
            return WEFT_OK;
        }
        searched = have;
        const weft_status status = read_more(lines);
        if (status != WEFT_OK) return status;
    }
}

/* Does the file begin with U+FEFF in one of both orders, or with a character of ASCII in two bytes? */
static bool is_utf16(const weft_lines *lines, const char *text, size_t n_bytes)
{
    if (lines->number != 1 || n_bytes < 2) return false;
    return memcmp(text, "\xFF\xFE", 2) == 0 || memcmp(text, "\xFE\xFF", 2) == 0 ||
           (text[0] == '\0') != (text[1] == '\0');
}

/* Is the line the whole file, which has no '\n', but '\r' in the midst of it? */
static bool has_mac_lines(const weft_lines *lines, const char *text, size_t n_bytes)
{
    return lines->number == 1 && lines->at_end && memchr(text, '\r', n_bytes);
}

static weft_status check_line(const weft_lines *lines, const char *text, size_t n_bytes)
{
    if (has_mac_lines(lines, text, n_bytes)) {
        return weft_error(WEFT_ERR_INPUT,
                          "%s: its lines end in CR alone, as on old Macs: tr '\\r' '\\n' makes "
                          "lines of them",
                          lines->path);
    }
    const size_t bad = weft_utf8_check(text, n_bytes);
    if (bad == n_bytes) return WEFT_OK;
    if (is_utf16(lines, text, n_bytes)) {
        return weft_error(WEFT_ERR_INPUT,
                          "%s: looks like UTF-16, and UTF-8 is needed: iconv -f UTF-16 -t UTF-8 "
                          "converts it",
                          lines->path);
    }
    if (text[bad] == '\0') {
        return weft_error(WEFT_ERR_INPUT, "%s:%lld: byte %zu is NUL; this is not a file of text",
                          lines->path, (long long)lines->number, bad + 1);
    }
    return weft_error(WEFT_ERR_INPUT, "%s:%lld: byte %zu (0x%02X) is not valid UTF-8", lines->path,
                      (long long)lines->number, bad + 1, (unsigned)(unsigned char)text[bad]);
}

weft_status weft_lines_next(weft_lines *lines, const char **line, size_t *n_bytes)
{
    *line = NULL;
    if (n_bytes) *n_bytes = 0;
    if (lines->failed != WEFT_OK) return weft_error(lines->failed, "%s", lines->message);
    size_t length;
    bool found;
    weft_status status = find_line(lines, &length, &found);
    if (status != WEFT_OK) return fail(lines, status);
    if (!found) return WEFT_OK;

    char *text = lines->bytes + lines->begin;
    lines->begin += length < lines->end - lines->begin ? length + 1 : length;
    lines->number++;
    if (length > 0 && text[length - 1] == '\r') length--;
    text[length] = '\0';
    if (lines->number == 1 && length >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) {
        text += 3;
        length -= 3;
    }
    status = check_line(lines, text, length);
    if (status != WEFT_OK) return status;
    *line = text;
    if (n_bytes) *n_bytes = length;
    return WEFT_OK;
}

int64_t weft_lines_number(const weft_lines *lines) { return lines->number; }

const char *weft_lines_path(const weft_lines *lines) { return lines->path; }
