/* temp_files.h - a folder of a test's own, and files in it. */
#ifndef WEFT_TESTS_TEMP_FILES_H
#define WEFT_TESTS_TEMP_FILES_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

enum { TEMP_PATH = 512, TEMP_FILES = 64 };

static char temp_dir[TEMP_PATH];
static char temp_paths[TEMP_FILES][TEMP_PATH];
static int n_temp_paths;

/* For tcase_add_checked_fixture: runs in the child of each test, before and after it. */
static inline void temp_setup(void)
{
    const char *base = getenv("TMPDIR");
    snprintf(temp_dir, sizeof temp_dir, "%s/weft-test-XXXXXX", base ? base : "/tmp");
    ck_assert_ptr_nonnull(mkdtemp(temp_dir));
    n_temp_paths = 0;
}

static inline void temp_teardown(void)
{
    for (int i = 0; i < n_temp_paths; i++) remove(temp_paths[i]);
    ck_assert_int_eq(rmdir(temp_dir), 0);
}

/* The path of a file in the folder, removed at the end. */
static inline const char *temp_path(const char *name)
{
    ck_assert_int_lt(n_temp_paths, TEMP_FILES);
    char *path = temp_paths[n_temp_paths++];
    ck_assert_int_lt(snprintf(path, TEMP_PATH, "%.300s/%s", temp_dir, name), TEMP_PATH);
    return path;
}

static inline const char *temp_write(const char *name, const void *bytes, size_t n_bytes)
{
    const char *path = temp_path(name);
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(bytes, 1, n_bytes, file), n_bytes);
    ck_assert_int_eq(fclose(file), 0);
    return path;
}

static inline const char *temp_text(const char *name, const char *text)
{
    return temp_write(name, text, strlen(text));
}

static inline const char *temp_gz(const char *name, const char *text)
{
    const char *path = temp_path(name);
    gzFile file = gzopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(gzwrite(file, text, (unsigned)strlen(text)), (int)strlen(text));
    ck_assert_int_eq(gzclose(file), Z_OK);
    return path;
}

/* Write `name` anew with the first `keep` bytes of the file at `path`, byte `flip` inverted if it
 * lies within. */
static inline const char *temp_damaged(const char *name, const char *path, size_t keep, size_t flip)
{
    static unsigned char bytes[1 << 20];
    FILE *file = fopen(path, "rb");
    ck_assert_ptr_nonnull(file);
    const size_t n = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    ck_assert_uint_le(keep, n);
    if (flip < keep) bytes[flip] ^= 0xFF;
    return temp_write(name, bytes, keep);
}

static inline size_t temp_size(const char *path)
{
    FILE *file = fopen(path, "rb");
    ck_assert_ptr_nonnull(file);
    fseek(file, 0, SEEK_END);
    const long n = ftell(file);
    fclose(file);
    return (size_t)n;
}

#endif
