/* temp_dir.h - a directory of its own for each test of files. */
#ifndef WEFT_TESTS_TEMP_DIR_H
#define WEFT_TESTS_TEMP_DIR_H

#include <check.h>
#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* HDF5 leaks when it gives up on a damaged file; AddressSanitizer's leak checker asks for this. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) { return "leak:libhdf5"; }

static char temp_dir[512];

static void temp_dir_enter(void)
{
    const char *base = getenv("TMPDIR");
    snprintf(temp_dir, sizeof temp_dir, "%s/weft_test_XXXXXX", base && *base ? base : "/tmp");
    ck_assert_ptr_nonnull(mkdtemp(temp_dir));
    ck_assert_int_eq(chdir(temp_dir), 0);
}

/* Entries of the directory; with `remove_them`, they are removed. */
static int temp_dir_entries(bool remove_them)
{
    DIR *dir = opendir(temp_dir);
    ck_assert_ptr_nonnull(dir);
    int n = 0;
    const struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        n++;
        if (remove_them && unlink(entry->d_name) != 0) rmdir(entry->d_name);
    }
    closedir(dir);
    return n;
}

static void temp_dir_leave(void)
{
    temp_dir_entries(true);
    ck_assert_int_eq(chdir("/"), 0);
    rmdir(temp_dir);
}

#endif
