/* file_internal.h - whole files: read at once, replaced at once.
 *
 * Every call that touches a disk goes through one table, so that tests can make the n-th call fail,
 * write short, or kill the process, and look at what is left. */
#ifndef WEFT_FILE_INTERNAL_H
#define WEFT_FILE_INTERNAL_H

#include "core/core.h"

typedef struct weft_io {
    int (*open)(const char *path, int flags, unsigned mode);
    int64_t (*read)(int fd, void *to, size_t n_bytes);
    int64_t (*write)(int fd, const void *from, size_t n_bytes);
    int (*fchmod)(int fd, unsigned mode);
    int (*fsync)(int fd);
    int (*close)(int fd);
    int (*rename)(const char *from, const char *to);
    int (*unlink)(const char *path);
} weft_io;

extern const weft_io weft_io_system;
/** For tests: use these calls from now on; NULL puts the system's back. */
void weft_io_use(const weft_io *io);

/** Whose fault an errno is: WEFT_ERR_INPUT where another path would help (missing, a directory,
 *  forbidden ...), WEFT_ERR_MEMORY, else WEFT_ERR_IO. */
weft_status weft_file_status(int error);

/** The whole of a regular file, in new memory (weft_free). */
weft_status weft_file_read(const char *path, uint8_t **bytes, size_t *n_bytes) WEFT_MUST_CHECK;

/** Replace `path` by these bytes, or leave it as it was: written to a new file beside it
 *  (PATH.tmp.PID.N), synced, closed, read back and given to `check` (NULL: not checked), renamed,
 *  and the directory synced. Keeps the mode of the old file; a symbolic link is replaced itself.
 *  After an error the temporary file is gone (unless removing it failed too). */
weft_status weft_file_replace(const char *path, const void *bytes, size_t n_bytes,
                              weft_status (*check)(const char *tmp_path, void *user),
                              void *user) WEFT_MUST_CHECK;

/** Could weft_file_replace make a file there? For a path that is written to after much work. */
weft_status weft_file_can_replace(const char *path) WEFT_MUST_CHECK;

/** Remove PATH.tmp.PID.N of processes that are no more, and of this one; with "DIR/" as path those of
 *  every file in that folder. */
weft_status weft_file_remove_orphans(const char *path) WEFT_MUST_CHECK;

#endif
