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

/* A path to write to. */
typedef struct target {
    const char *path;
    struct stat old; /* what stands there now */
    bool exists;     /* anything does */
    char *tmp; /* a name beside it, in the same directory: rename does not cross file systems */
    size_t tmp_bytes;
    bool created; /* there is a file of that name, ours */
} target;

static weft_status target_init(target *t, const char *path)
{
    *t = (target){ .path = path, .tmp_bytes = strlen(path) + 64 };
    t->exists = stat(path, &t->old) == 0;
    if (t->exists && S_ISDIR(t->old.st_mode))
        return weft_error(WEFT_ERR_INPUT, "%s: is a directory, not a file", path);
    if (t->exists && !S_ISREG(t->old.st_mode))
        return weft_error(WEFT_ERR_INPUT, "%s: is not a regular file, it will not be replaced",
                          path);
    t->tmp = weft_alloc(t->tmp_bytes, 1);
    return t->tmp ? WEFT_OK : WEFT_ERR_MEMORY;
}

static void target_end(target *t)
{
    if (t->created)
        io->unlink(t->tmp); /* where this fails too, the next start removes the orphan */
    weft_free(t->tmp);
}

/* A new file of a name that nobody has. */
static weft_status open_beside(target *t, int *fd)
{
    for (int k = 0; k < 1000; k++) {
        snprintf(t->tmp, t->tmp_bytes, "%s.tmp.%ld.%d", t->path, (long)getpid(), k);
        *fd = open_again(t->tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0666);
        t->created = *fd >= 0;
        if (t->created) return WEFT_OK;
        if (errno != EEXIST) break;
    }
    return system_error(t->path, "create");
}

/* Bytes, mode and sync, on the file beside. */
static weft_status fill(const target *t, int fd, const void *bytes, size_t n_bytes)
{
    const weft_status status = write_all(t->path, fd, bytes, n_bytes);
    if (status != WEFT_OK) return status;
    if (t->exists && io->fchmod(fd, (unsigned)t->old.st_mode & 07777) < 0)
        return system_error(t->path, "set the mode of");
    if (sync_again(fd) < 0) return system_error(t->path, "sync");
    return WEFT_OK;
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

static weft_status replace(target *t, const void *bytes, size_t n_bytes,
                           weft_status (*check)(const char *tmp_path, void *user), void *user)
{
    int fd;
    weft_status status = open_beside(t, &fd);
    if (status != WEFT_OK) return status;
    status = fill(t, fd, bytes, n_bytes);
    const int closed = close_once(fd);
    if (status == WEFT_OK && closed < 0) status = system_error(t->path, "close");
    if (status == WEFT_OK && check) status = check(t->tmp, user);
    if (status != WEFT_OK) return status;
    if (io->rename(t->tmp, t->path) < 0) return system_error(t->path, "replace");
    t->created = false;
    return sync_directory_of(t->path, t->tmp);
}

weft_status weft_file_replace(const char *path, const void *bytes, size_t n_bytes,
                              weft_status (*check)(const char *tmp_path, void *user), void *user)
{
    target t;
    weft_status status = target_init(&t, path);
    if (status == WEFT_OK) status = replace(&t, bytes, n_bytes, check, user);
    target_end(&t);
    return status;
}

weft_status weft_file_can_replace(const char *path)
{
    target t;
    int fd;
    weft_status status = target_init(&t, path);
    if (status == WEFT_OK) status = open_beside(&t, &fd);
    if (status == WEFT_OK) close_once(fd);
    target_end(&t);
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
