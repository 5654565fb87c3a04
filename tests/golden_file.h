/* golden_file.h - reads the files of tests/golden and holds what weft computes against them:
 * outputs and gradients, in double to 1e-10. */
#ifndef WEFT_TESTS_GOLDEN_FILE_H
#define WEFT_TESTS_GOLDEN_FILE_H

#include "check_main.h"

#include "data/data.h"
#include "layers/layers.h"

#include <math.h>
#include <string.h>

static weft_store *store;

/* Outputs and gradients: in double to 1e-10, in float to what its digits allow. */
static const double close_enough = sizeof(weft_real) == sizeof(double) ? 1e-10 : 2e-5;

static inline void open_golden(const char *file)
{
    char path[512];
    snprintf(path, sizeof path, WEFT_SOURCE_DIR "/tests/golden/%s", file);
    ck_assert_msg(weft_store_open(path, WEFT_STORE_UNHASHED, &store) == WEFT_OK, "%s",
                  weft_message());
}

static inline void close_golden(void) { weft_store_free(store); }

/* GROUP/NAME; NULL where the file has none. */
static inline const weft_store_entry *look_up(const char *group, const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", group, name);
    return weft_store_find(store, path);
}

static inline const weft_store_entry *find(const char *group, const char *name)
{
    const weft_store_entry *entry = look_up(group, name);
    ck_assert_msg(entry != NULL, "the golden file has no %s/%s", group, name);
    return entry;
}

/* New memory with the values of GROUP/NAME. */
static inline void *read_new(const char *group, const char *name, weft_store_type type)
{
    void *values;
    ck_assert_msg(weft_store_read_new(store, find(group, name)->name, type, NULL, &values) ==
                      WEFT_OK,
                  "%s", weft_message());
    return values;
}

static inline weft_var leaf(weft_tape *tape, const char *group, const char *name)
{
    const weft_store_entry *e = find(group, name);
    weft_real *values = read_new(group, name, WEFT_STORE_REAL);
    const weft_var x = weft_leaf(tape, e->rank, e->dim, values);
    weft_free(values);
    return x;
}

static inline weft_var integers(weft_tape *tape, const char *group, const char *name)
{
    const weft_store_entry *e = find(group, name);
    int32_t *values = read_new(group, name, WEFT_STORE_I32);
    const weft_var x = weft_constant_int(tape, e->rank, e->dim, values);
    weft_free(values);
    return x;
}

static inline weft_packed packed_by(weft_tape *tape, const char *group, const char *name, int64_t N)
{
    return (weft_packed){ .B = find(group, name)->dim[0] - 1,
                          .N = N,
                          .offsets = integers(tape, group, name) };
}

/* |x - GROUP/NAME| is at most tolerance times the largest |element| or 1. */
static inline void expect(weft_tensor x, const char *group, const char *name, double tolerance)
{
    double *want = read_new(group, name, WEFT_STORE_F64), size = 1;
    const int64_t n = find(group, name)->size, cols = weft_cols(&x);
    ck_assert_int_eq(weft_size(&x), n);
    for (int64_t k = 0; k < n; k++) size = fmax(size, fabs(want[k]));
    for (int64_t k = 0; k < n; k++) {
        const double got = (double)x.real[k / cols * x.ld + k % cols];
        ck_assert_msg(fabs(got - want[k]) <= tolerance * size, "%s/%s[%lld] is %.12g, not %.12g",
                      group, name, (long long)k, got, want[k]);
    }
    weft_free(want);
}

/* Every parameter from GROUP/NAME, one for one. */
static inline void load_params(weft_params *params, const char *group)
{
    int n = 0;
    char prefix[256];
    snprintf(prefix, sizeof prefix, "%s/", group);
    for (int i = 0; i < weft_store_count(store); i++)
        n += strncmp(weft_store_at(store, i)->name, prefix, strlen(prefix)) == 0;
    ck_assert_int_eq(n, weft_params_count(params));
    for (int i = 0; i < weft_params_count(params); i++) {
        const weft_tensor x = weft_params_value(params, i);
        const weft_store_entry *e = find(group, weft_params_name(params, i));
        ck_assert_msg(weft_store_read(store, e->name, WEFT_STORE_REAL, x.rank, x.dim, x.real) ==
                          WEFT_OK,
                      "%s", weft_message());
    }
    weft_params_changed(params);
}

static inline void expect_gradients(const weft_params *params, const char *group, double tolerance)
{
    for (int i = 0; i < weft_params_count(params); i++)
        expect(weft_params_gradient(params, i), group, weft_params_name(params, i), tolerance);
}

#endif
