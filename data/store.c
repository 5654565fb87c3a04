/* store.c - a file of named arrays, in plain C: data/hdf5.c knows the format, data/file.c the disk. */
#include "data/store.h"

#include "core/checked.h"
#include "data/file_internal.h"
#include "data/store_internal.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static const struct {
    const char *name;
    size_t n_bytes;
} types[WEFT_STORE_TYPES] = {
    [WEFT_STORE_F32] = { "float32", 4 }, [WEFT_STORE_F64] = { "float64", 8 },
    [WEFT_STORE_I32] = { "int32", 4 },   [WEFT_STORE_I64] = { "int64", 8 },
    [WEFT_STORE_U8] = { "uint8", 1 },    [WEFT_STORE_STRING] = { "string", 1 }
};

static bool is_type(weft_store_type type) { return (unsigned)type < WEFT_STORE_TYPES; }
static bool is_real(weft_store_type type)
{
    return type == WEFT_STORE_F32 || type == WEFT_STORE_F64;
}

const char *weft_store_type_name(weft_store_type type)
{
    return is_type(type) ? types[type].name : "(no weft_store_type)";
}

const char *weft_store_shape_text(const weft_store_entry *entry, char buf[WEFT_SHAPE_TEXT])
{
    weft_tensor shape = { .rank = entry->rank };
    memcpy(shape.dim, entry->dim, sizeof shape.dim);
    return weft_shape_text(&shape, buf);
}

/* ---- reading ------------------------------------------------------------------------------------- */

struct weft_store {
    char *path;
    uint8_t *image;
    size_t image_bytes;
    weft_store_entry *entries; /* in the order of the file */
    int n_entries;
    const weft_store_entry **by_name; /* sorted */
};

static int compare_names(const void *a, const void *b)
{
    return strcmp((*(const weft_store_entry *const *)a)->name,
                  (*(const weft_store_entry *const *)b)->name);
}

static weft_status check_hashes(weft_store *store, unsigned flags)
{
    for (int i = 0; i < store->n_entries; i++) {
        weft_store_entry *entry = &store->entries[i];
        const uint64_t found = XXH3_64bits(entry->data, entry->n_bytes);
        if (entry->hash == WEFT_HASH_NONE) entry->xxh3 = found;
        if (entry->xxh3 == found) continue;
        if (!(flags & WEFT_STORE_DAMAGED))
            return weft_error(WEFT_ERR_FORMAT,
                              "%s: %s: its values are damaged (hash %016llx, written with %016llx)",
                              store->path, entry->name, (unsigned long long)found,
                              (unsigned long long)entry->xxh3);
        entry->hash = WEFT_HASH_WRONG;
    }
    return WEFT_OK;
}

static weft_status open_store(weft_store *store, const char *path, unsigned flags)
{
    store->path = weft_strdup(path);
    if (!store->path) return WEFT_ERR_MEMORY;
    weft_status status = weft_file_read(path, &store->image, &store->image_bytes);
    if (status != WEFT_OK) return status;
    status = weft_hdf5_index(path, store->image, store->image_bytes, flags, &store->entries,
                             &store->n_entries);
    if (status != WEFT_OK) return status;
    status = check_hashes(store, flags);
    if (status != WEFT_OK) return status;
    store->by_name = weft_alloc((size_t)store->n_entries, sizeof *store->by_name);
    if (!store->by_name) return WEFT_ERR_MEMORY;
    for (int i = 0; i < store->n_entries; i++) store->by_name[i] = &store->entries[i];
    qsort(store->by_name, (size_t)store->n_entries, sizeof *store->by_name, compare_names);
    return WEFT_OK;
}

weft_status weft_store_open(const char *path, unsigned flags, weft_store **store)
{
    weft_store *opened = weft_alloc(1, sizeof *opened);
    if (!opened) return WEFT_ERR_MEMORY;
    const weft_status status = open_store(opened, path, flags);
    if (status != WEFT_OK) {
        weft_store_free(opened);
        return status;
    }
    *store = opened;
    return WEFT_OK;
}

void weft_store_free(weft_store *store)
{
    if (!store) return;
    for (int i = 0; i < store->n_entries; i++) weft_free((void *)store->entries[i].name);
    weft_free(store->entries);
    weft_free(store->by_name);
    weft_free(store->image);
    weft_free(store->path);
    weft_free(store);
}

const char *weft_store_path(const weft_store *store) { return store->path; }
int weft_store_count(const weft_store *store) { return store->n_entries; }

const weft_store_entry *weft_store_at(const weft_store *store, int index)
{
    return index >= 0 && index < store->n_entries ? &store->entries[index] : NULL;
}

const weft_store_entry *weft_store_find(const weft_store *store, const char *name)
{
    const weft_store_entry key = { .name = name }, *const at = &key;
    const weft_store_entry *const *found = bsearch(&at, store->by_name, (size_t)store->n_entries,
                                                   sizeof *store->by_name, compare_names);
    return found ? *found : NULL;
}

/* The entry, fit to be read as `as`. */
static weft_status find_readable(const weft_store *store, const char *name, weft_store_type as,
                                 const weft_store_entry **entry)
{
    if (!is_type(as)) return weft_error(WEFT_ERR_TYPE, "%s: no such type: %d", name, (int)as);
    const weft_store_entry *found = weft_store_find(store, name);
    if (!found) return weft_error(WEFT_ERR_FORMAT, "%s: has no array %s", store->path, name);
    if (found->hash == WEFT_HASH_WRONG)
        return weft_error(WEFT_ERR_FORMAT, "%s: %s: its values are damaged", store->path, name);
    if (found->type != as && !(is_real(found->type) && is_real(as)))
        return weft_error(WEFT_ERR_TYPE, "%s: %s is %s, not %s", store->path, name,
                          types[found->type].name, types[as].name);
    *entry = found;
    return WEFT_OK;
}

static weft_status narrow(const weft_store *store, const weft_store_entry *entry, float *out)
{
    const uint8_t *from = entry->data;
    for (int64_t i = 0; i < entry->size; i++) {
        double x;
        memcpy(&x, from + (size_t)i * sizeof x, sizeof x);
        out[i] = (float)x;
        if (isfinite(x) && !isfinite(out[i]))
            return weft_error(WEFT_ERR_RANGE, "%s: %s: element %lld is %g, beyond a float",
                              store->path, entry->name, (long long)i, x);
    }
    return WEFT_OK;
}

static weft_status copy_out(const weft_store *store, const weft_store_entry *entry,
                            weft_store_type as, void *out)
{
    if (entry->type == as) {
        memcpy(out, entry->data, entry->n_bytes);
        return WEFT_OK;
    }
    if (as == WEFT_STORE_F32) return narrow(store, entry, out);
    const uint8_t *from = entry->data;
    for (int64_t i = 0; i < entry->size; i++) {
        float x;
        memcpy(&x, from + (size_t)i * sizeof x, sizeof x);
        ((double *)out)[i] = x;
    }
    return WEFT_OK;
}

weft_status weft_store_read(const weft_store *store, const char *name, weft_store_type as, int rank,
                            const int64_t dim[], void *out)
{
    const weft_store_entry *entry = NULL;
    const weft_status status = find_readable(store, name, as, &entry);
    if (status != WEFT_OK) return status;
    assert(entry);
    bool same = rank == entry->rank;
    for (int i = 0; same && i < rank; i++) same = dim[i] == entry->dim[i];
    if (!same) {
        weft_store_entry wanted = { .rank = rank < 0 || rank > WEFT_MAX_RANK ? 0 : rank };
        for (int i = 0; i < wanted.rank; i++) wanted.dim[i] = dim[i];
        char has[WEFT_SHAPE_TEXT], wants[WEFT_SHAPE_TEXT];
        return weft_error(WEFT_ERR_SHAPE, "%s: %s is %s in the file, %s is wanted", store->path,
                          name, weft_store_shape_text(entry, has),
                          weft_store_shape_text(&wanted, wants));
    }
    return copy_out(store, entry, as, out);
}

weft_status weft_store_read_new(const weft_store *store, const char *name, weft_store_type as,
                                const weft_store_entry **entry, void **out)
{
    const weft_store_entry *found = NULL;
    weft_status status = find_readable(store, name, as, &found);
    if (status != WEFT_OK) return status;
    assert(found);
    const size_t width = as == WEFT_STORE_STRING ? found->width : types[as].n_bytes;
    void *block = weft_alloc((size_t)found->size, width);
    if (!block) return WEFT_ERR_MEMORY;
    status = copy_out(store, found, as, block);
    if (status != WEFT_OK) {
        weft_free(block);
        return status;
    }
    *out = block;
    if (entry) *entry = found;
    return WEFT_OK;
}

weft_status weft_store_read_text(const weft_store *store, const char *name, char **text)
{
    const weft_store_entry *entry = NULL;
    const weft_status status = find_readable(store, name, WEFT_STORE_U8, &entry);
    if (status != WEFT_OK) return status;
    assert(entry);
    if (entry->rank != 1) return weft_error(WEFT_ERR_SHAPE, "%s: %s is no text", store->path, name);
    if (memchr(entry->data, '\0', entry->n_bytes))
        return weft_error(WEFT_ERR_FORMAT, "%s: %s: a text with a NUL byte inside", store->path,
                          name);
    size_t with_end;
    if (!weft_add_bytes(entry->n_bytes, 1, &with_end))
        return weft_error(WEFT_ERR_OVERFLOW, "%s: %s is too long", store->path, name);
    char *copy = weft_alloc(with_end, 1);
    if (!copy) return WEFT_ERR_MEMORY;
    memcpy(copy, entry->data, entry->n_bytes);
    *text = copy;
    return WEFT_OK;
}

/* ---- writing ------------------------------------------------------------------------------------- */

struct weft_store_writer {
    weft_hdf5_image *image;
    int n_entries;      /* written */
    weft_status status; /* of the first failure, and its sentence */
    char message[1024];
};

static weft_status stick(weft_store_writer *writer, weft_status status)
{
    writer->status = status;
    snprintf(writer->message, sizeof writer->message, "%s", weft_message());
    return status;
}

weft_store_writer *weft_store_writer_new(size_t expected_bytes)
{
    weft_store_writer *writer = weft_alloc(1, sizeof *writer);
    if (!writer) return NULL;
    writer->image = weft_hdf5_image_new(expected_bytes);
    if (writer->image) return writer;
    weft_free(writer);
    return NULL;
}

void weft_store_writer_free(weft_store_writer *writer)
{
    if (!writer) return;
    weft_hdf5_image_free(writer->image);
    weft_free(writer);
}

static bool is_name(const char *name)
{
    if (strlen(name) > 1023) return false;
    for (const char *p = name;; p++) {
        const size_t n = strcspn(p, "/");
        if (n == 0 || n > 255) return false;
        if ((n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.')) return false;
        p += n;
        if (!*p) return true;
    }
}

static weft_status describe(const char *name, weft_store_type type, size_t width, int rank,
                            const int64_t dim[], const void *data, weft_store_entry *entry)
{
    *entry = (weft_store_entry){
        .name = name, .type = type, .rank = rank, .size = 1, .width = width, .data = data
    };
    if (!is_name(name)) return weft_error(WEFT_ERR_INPUT, "\"%s\" cannot name an array", name);
    if (rank < 0 || rank > WEFT_MAX_RANK)
        return weft_error(WEFT_ERR_SHAPE, "%s: %d dimensions, 0 to %d are possible", name, rank,
                          WEFT_MAX_RANK);
    for (int i = 0; i < rank; i++) {
        if (dim[i] < 0)
            return weft_error(WEFT_ERR_SHAPE, "%s: dimension %d is %lld", name, i,
                              (long long)dim[i]);
        entry->dim[i] = dim[i];
        if (!weft_mul_i64(entry->size, dim[i], &entry->size))
            return weft_error(WEFT_ERR_OVERFLOW, "%s: its size does not fit", name);
    }
    if (!weft_mul_bytes((size_t)entry->size, width, &entry->n_bytes))
        return weft_error(WEFT_ERR_OVERFLOW, "%s: its size does not fit", name);
    return WEFT_OK;
}

/* Nothing more is written after a failure or a save. */
static weft_status check_open(weft_store_writer *writer, const char *name)
{
    if (writer->status != WEFT_OK) return weft_error(writer->status, "%s", writer->message);
    if (writer->image) return WEFT_OK;
    return stick(writer, weft_error(WEFT_ERR_STATE, "%s: the store is saved already", name));
}

weft_status weft_store_write_group(weft_store_writer *writer, const char *name, int n_arrays)
{
    weft_status status = check_open(writer, name);
    if (status != WEFT_OK) return status;
    if (!is_name(name) || n_arrays < 0)
        status =
            weft_error(WEFT_ERR_INPUT, "\"%s\" cannot name a group of %d arrays", name, n_arrays);
    else
        status = weft_hdf5_image_group(writer->image, name, n_arrays);
    return status == WEFT_OK ? WEFT_OK : stick(writer, status);
}

static weft_status write_array(weft_store_writer *writer, const char *name, weft_store_type type,
                               size_t width, int rank, const int64_t dim[], const void *data)
{
    weft_store_entry entry;
    weft_status status = describe(name, type, width, rank, dim, data, &entry);
    if (status == WEFT_OK) {
        entry.xxh3 = XXH3_64bits(data, entry.n_bytes);
        status = weft_hdf5_image_write(writer->image, &entry);
    }
    if (status != WEFT_OK) return stick(writer, status);
    writer->n_entries++;
    return WEFT_OK;
}

weft_status weft_store_write(weft_store_writer *writer, const char *name, weft_store_type type,
                             int rank, const int64_t dim[], const void *data)
{
    const weft_status status = check_open(writer, name);
    if (status != WEFT_OK) return status;
    if (!is_type(type) || type == WEFT_STORE_STRING)
        return stick(writer, weft_error(WEFT_ERR_TYPE, "%s: no such type: %d", name, (int)type));
    return write_array(writer, name, type, types[type].n_bytes, rank, dim, data);
}

weft_status weft_store_write_strings(weft_store_writer *writer, const char *name, int64_t n,
                                     const char *const strings[])
{
    size_t width = 1; /* HDF5 knows no narrower ones */
    const weft_status status = check_open(writer, name);
    if (status != WEFT_OK) return status;
    for (int64_t i = 0; i < n; i++)
        if (strlen(strings[i]) > width) width = strlen(strings[i]);
    char *const block = weft_alloc((size_t)n, width);
    if (!block) return stick(writer, WEFT_ERR_MEMORY);
    for (int64_t i = 0; i < n; i++)
        memcpy(block + (size_t)i * width, strings[i], strlen(strings[i]));
    const weft_status written = write_array(writer, name, WEFT_STORE_STRING, width, 1, &n, block);
    weft_free(block);
    return written;
}

weft_status weft_store_write_int(weft_store_writer *writer, const char *name, int64_t value)
{
    return weft_store_write(writer, name, WEFT_STORE_I64, 0, NULL, &value);
}

weft_status weft_store_write_double(weft_store_writer *writer, const char *name, double value)
{
    return weft_store_write(writer, name, WEFT_STORE_F64, 0, NULL, &value);
}

weft_status weft_store_write_text(weft_store_writer *writer, const char *name, const char *text)
{
    const int64_t n = (int64_t)strlen(text);
    return weft_store_write(writer, name, WEFT_STORE_U8, 1, &n, text);
}

/* What was written, read back from the disk: structure, sizes and hashes, before it replaces what
 * was there. */
static weft_status read_back(const char *tmp_path, void *user)
{
    const int *n_entries = user;
    weft_store *store;
    const weft_status status = weft_store_open(tmp_path, 0, &store);
    if (status != WEFT_OK) return status;
    const int n = store->n_entries;
    weft_store_free(store);
    if (n == *n_entries) return WEFT_OK;
    return weft_error(WEFT_ERR_IO, "%s: %d of %d arrays are there after writing", tmp_path, n,
                      *n_entries);
}

weft_status weft_store_save(weft_store_writer *writer, const char *path)
{
    if (writer->status != WEFT_OK)
        return weft_error(writer->status, "%s: %s", path, writer->message);
    if (!writer->image) return weft_error(WEFT_ERR_STATE, "%s: the store is saved already", path);
    const uint8_t *bytes;
    size_t n_bytes;
    weft_status status = weft_hdf5_image_finish(writer->image, &bytes, &n_bytes);
    if (status != WEFT_OK)
        weft_error_prefix(status, "%s: ", path);
    else
        status = weft_file_replace(path, bytes, n_bytes, read_back, &writer->n_entries);
    weft_hdf5_image_free(writer->image);
    writer->image = NULL;
    return status;
}

weft_status weft_store_remove_orphans(const char *path) { return weft_file_remove_orphans(path); }
