/* file.c - whole files: read at once, replaced at once, on a table of system calls. */
#include "data/file_internal.h"

#include "core/checked.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- the table ---------------------------------------------------------------------------------- */

static int system_open(const char *path, int flags, unsigned mode)
{
    return open(path, flags, (mode_t)mode);
}

static int64_t system_read(int fd, void *to, size_t n_bytes) { return read(fd, to, n_bytes); }

static int64_t system_write(int fd, const void *from, size_t n_bytes)
{
    return write(fd, from, n_bytes);
}

static int system_fchmod(int fd, unsigned mode) { return fchmod(fd, (mode_t)mode); }

const weft_io weft_io_system = { .open = system_open,
                                 .read = system_read,
                                 .write = system_write,
                                 .fchmod = system_fchmod,
                                 .fsync = fsync,
                                 .close = close,
                                 .rename = rename,
                                 .unlink = unlink };
static const weft_io *io = &weft_io_system;

void weft_io_use(const weft_io *table) { io = table ? table : &weft_io_system; }

static int open_again(const char *path, int flags, unsigned mode)
{
    int fd;
    do fd = io->open(path, flags | O_CLOEXEC, mode);
    while (fd < 0 && errno == EINTR);
    return fd;
}

/* Not retried: after EINTR Linux has closed the descriptor. */
static int close_once(int fd) { return io->close(fd) < 0 && errno != EINTR ? -1 : 0; }

static int sync_again(int fd)
{
    int rc;
    do rc = io->fsync(fd);
    while (rc < 0 && errno == EINTR);
    return rc;
}

/* What the user can mend (a wrong path) is his input; the rest is the system's failure. */
weft_status weft_file_status(int error)
{
    switch (error) {
    case ENOENT:
    case ENOTDIR:
    case EISDIR:
    case EACCES:
    case EPERM:
    case EROFS:
    case ELOOP:
    case ENAMETOOLONG:
    case EEXIST: return WEFT_ERR_INPUT;
    case ENOMEM: return WEFT_ERR_MEMORY;
    default: return WEFT_ERR_IO;
    }
}

static weft_status system_error(const char *path, const char *what)
{
    const int error = errno;
    return weft_error(weft_file_status(error), "%s: cannot %s: %s", path, what, strerror(error));
}

/* ---- reading ------------------------------------------------------------------------------------- */

enum { LARGEST_CALL = 1 << 30 }; /* bytes; Linux moves at most 2^31 - 4096 in one call */

static weft_status read_all(const char *path, int fd, uint8_t *bytes, size_t n_bytes)
{
    for (size_t done = 0; done < n_bytes;) {
        const size_t want = n_bytes - done < LARGEST_CALL ? n_bytes - done : LARGEST_CALL;
        const int64_t n = io->read(fd, bytes + done, want);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return system_error(path, "read");
        if (n == 0)
            return weft_error(WEFT_ERR_IO, "%s: ends after %zu of %zu bytes: it shrank while read",
                              path, done, n_bytes);
        done += (size_t)n;
    }
    return WEFT_OK;
}

static weft_status read_open(const char *path, int fd, uint8_t **bytes, size_t *n_bytes)
{
    struct stat about;
    if (fstat(fd, &about) < 0) return system_error(path, "read");
    if (S_ISDIR(about.st_mode))
        return weft_error(WEFT_ERR_INPUT, "%s: is a directory, not a file", path);
    if (!S_ISREG(about.st_mode))
        return weft_error(WEFT_ERR_INPUT, "%s: is not a regular file", path);
    uint8_t *block = weft_alloc((size_t)about.st_size, 1);
    if (!block) return weft_error_prefix(WEFT_ERR_MEMORY, "%s: ", path);
    const weft_status status = read_all(path, fd, block, (size_t)about.st_size);
    if (status != WEFT_OK) {
        weft_free(block);
        return status;
    }
    *bytes = block;
    *n_bytes = (size_t)about.st_size;
    return WEFT_OK;
}

weft_status weft_file_read(const char *path, uint8_t **bytes, size_t *n_bytes)
{
    /* O_NONBLOCK: opening a named pipe must not wait for a writer. */
    const int fd = open_again(path, O_RDONLY | O_NONBLOCK, 0);
    if (fd < 0) return system_error(path, "open");
    const weft_status status = read_open(path, fd, bytes, n_bytes);
    close_once(fd); /* nothing was written: its result says nothing about the bytes read */
    return status;
}

/* ---- replacing ----------------------------------------------------------------------------------- */

static weft_status write_all(const char *path, int fd, const uint8_t *bytes, size_t n_bytes)
{
    for (size_t done = 0; done < n_bytes;) {
        const size_t want = n_bytes - done < LARGEST_CALL ? n_bytes - done : LARGEST_CALL;
        const int64_t n = io->write(fd, bytes + done, want);
        if (n < 0 && errno == EINTR) continue;
        if (n == 0) errno = ENOSPC;
        if (n <= 0) return system_error(path, "write");
        done += (size_t)n;
    }
    return WEFT_OK;
}

/* Bytes, mode and sync, on a file that is new and ours. */
static weft_status fill(const char *path, int fd, const void *bytes, size_t n_bytes,
                        const struct stat *old)
{
    const weft_status status = write_all(path, fd, bytes, n_bytes);
    if (status != WEFT_OK) return status;
    if (old && io->fchmod(fd, (unsigned)old->st_mode & 07777) < 0)
        return system_error(path, "set the mode of");
    if (sync_again(fd) < 0) return system_error(path, "sync");
    return WEFT_OK;
}

/* A name that nobody has, in the same directory (rename does not cross file systems). */
static weft_status open_beside(const char *path, char *tmp, size_t tmp_bytes, int *fd)
{
    for (int k = 0; k < 1000; k++) {
        snprintf(tmp, tmp_bytes, "%s.tmp.%ld.%d", path, (long)getpid(), k);
        *fd = open_again(tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0666);
        if (*fd >= 0) return WEFT_OK;
        if (errno != EEXIST) break;
    }
    return system_error(tmp, "create");
}

static weft_status sync_directory_of(const char *path, char *buffer)
{
    const char *slash = strrchr(path, '/');
    const size_t n = slash && slash > path ? (size_t)(slash - path) : 1; /* else "/" or "." */
    memcpy(buffer, slash ? path : ".", n);
    buffer[n] = '\0';
    const int fd = open_again(buffer, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0) return system_error(buffer, "open");
    /* Some file systems cannot sync a directory and say EINVAL: nothing more can be done there. */
    const bool failed = sync_again(fd) < 0 && errno != EINVAL && errno != ENOTSUP;
    const weft_status status = failed ? system_error(buffer, "sync the directory") : WEFT_OK;
    close_once(fd);
    return status;
}

/* From the temporary file's name on; *renamed tells the caller that it is no longer there. */
static weft_status replace_by(char *tmp, size_t tmp_bytes, const char *path, const void *bytes,
                              size_t n_bytes, const struct stat *old,
                              weft_status (*check)(const char *tmp_path, void *user), void *user,
                              bool *created)
{
    int fd;
    weft_status status = open_beside(path, tmp, tmp_bytes, &fd);
    if (status != WEFT_OK) return status;
    *created = true;
    status = fill(tmp, fd, bytes, n_bytes, old);
    const int closed = close_once(fd);
    if (status == WEFT_OK && closed < 0) status = system_error(tmp, "close");
    if (status == WEFT_OK && check) status = check(tmp, user);
    if (status != WEFT_OK) return status;
    if (io->rename(tmp, path) < 0) return system_error(path, "replace");
    *created = false;
    return sync_directory_of(path, tmp);
}

weft_status weft_file_replace(const char *path, const void *bytes, size_t n_bytes,
                              weft_status (*check)(const char *tmp_path, void *user), void *user)
{
    struct stat about;
    const bool exists = stat(path, &about) == 0;
    if (exists && S_ISDIR(about.st_mode))
        return weft_error(WEFT_ERR_INPUT, "%s: is a directory, not a file", path);
    if (exists && !S_ISREG(about.st_mode))
        return weft_error(WEFT_ERR_INPUT, "%s: is not a regular file, it will not be replaced",
                          path);

    const size_t tmp_bytes = strlen(path) + 64;
    char *tmp = weft_alloc(tmp_bytes, 1);
    if (!tmp) return WEFT_ERR_MEMORY;
    bool created = false;
    const weft_status status = replace_by(tmp, tmp_bytes, path, bytes, n_bytes,
                                          exists ? &about : NULL, check, user, &created);
    if (created) io->unlink(tmp); /* where this fails too, the next start removes the orphan */
    weft_free(tmp);
    return status;
}

/* ---- orphans ------------------------------------------------------------------------------------- */

/* "BASE.tmp.PID.N", where an empty BASE stands for any: true, and PID. */
static bool is_temporary_of(const char *name, const char *base, long *pid)
{
    const size_t n = strlen(base);
    const char *p = name + n;
    if (strncmp(name, base, n) != 0) return false;
    for (const char *at = name; n == 0 && (at = strstr(at, ".tmp.")) != NULL; at++) p = at;
    if (strncmp(p, ".tmp.", 5) != 0) return false;
    p += 5;
    if (!isdigit((unsigned char)*p)) return false;
    char *end;
    errno = 0;
    *pid = strtol(p, &end, 10);
    if (errno != 0 || *pid <= 0 || *pid > INT32_MAX || *end++ != '.' || !*end) return false;
    return strspn(end, "0123456789") == strlen(end);
}

static bool is_dead_or_us(long pid)
{
    return pid == (long)getpid() || (kill((pid_t)pid, 0) < 0 && errno == ESRCH);
}

weft_status weft_file_remove_orphans(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *base = slash ? slash + 1 : path;
    const size_t n_dir = slash ? (size_t)(slash - path) + 1 : 0;
    const size_t full_bytes = strlen(path) + 512; /* a directory entry has at most 255 bytes */
    char *full = weft_alloc(full_bytes, 1);
    if (!full) return WEFT_ERR_MEMORY;
    snprintf(full, full_bytes, "%.*s", n_dir ? (int)n_dir : 1, n_dir ? path : ".");
    DIR *dir = opendir(full);
    if (!dir) {
        const weft_status status = system_error(full, "list");
        weft_free(full);
        return status;
    }
    weft_status status = WEFT_OK;
    const struct dirent *entry;
    long pid;
    while ((entry = readdir(dir)) != NULL) {
        if (!is_temporary_of(entry->d_name, base, &pid) || !is_dead_or_us(pid)) continue;
        snprintf(full, full_bytes, "%.*s%s", (int)n_dir, path, entry->d_name);
        if (io->unlink(full) < 0 && errno != ENOENT) status = system_error(full, "remove");
    }
    closedir(dir);
    weft_free(full);
    return status;
}
