/* store.h - a file of named arrays: HDF5 on disk, plain C here.
 *
 *     weft_store *store;                                          // reading
 *     if (weft_store_open("golden.h5", WEFT_STORE_UNHASHED, &store) != WEFT_OK) puts(weft_message());
 *     double x[6];
 *     weft_store_read(store, "encoder/x", WEFT_STORE_F64, 2, (int64_t[]){ 2, 3 }, x);
 *     weft_store_free(store);
 *
 * A store is written in memory and then put in place as a whole (data/file_internal.h), and read
 * as a whole: when weft_store_open returns, the file has been checked to the last byte (structure,
 * links, types, sizes, the hash of every array) and is closed. Nothing in it is followed out of the
 * file, nothing is allocated by a size that it declares. docs/checkpoint.md describes the layout. */
#ifndef WEFT_STORE_H
#define WEFT_STORE_H

#include "../core/core.h"

/* Little-endian on disk. Reals are read in either precision, whatever was written. */
typedef enum weft_store_type {
    WEFT_STORE_F32,
    WEFT_STORE_F64,
    WEFT_STORE_I32,
    WEFT_STORE_I64,
    WEFT_STORE_U8,
    WEFT_STORE_STRING, /* UTF-8, all elements of one width, filled up with zero bytes */
    WEFT_STORE_TYPES
} weft_store_type;
#ifdef WEFT_F64
#define WEFT_STORE_REAL WEFT_STORE_F64
#else
#define WEFT_STORE_REAL WEFT_STORE_F32
#endif

typedef enum weft_store_hash {
    WEFT_HASH_RIGHT,
    WEFT_HASH_NONE, /* only with WEFT_STORE_UNHASHED */
    WEFT_HASH_WRONG /* only with WEFT_STORE_DAMAGED: the values cannot be trusted */
} weft_store_hash;

typedef struct weft_store_entry {
    const char *name; /* "params/encoder.norm.weight": components joined by '/', none in front */
    weft_store_type type;
    int rank; /* 0 is a single value */
    int64_t dim[WEFT_MAX_RANK];
    int64_t size; /* elements */
    size_t width; /* bytes of an element */
    size_t n_bytes;
    weft_store_hash hash;
    uint64_t xxh3;    /* of the values' bytes (XXH3-64) */
    const void *data; /* in the store's memory; any alignment */
} weft_store_entry;

enum {
    WEFT_STORE_UNHASHED = 1, /* arrays without a hash are welcome (files of other programs) */
    WEFT_STORE_DAMAGED = 2   /* list arrays whose hash is wrong instead of refusing the file */
};

typedef struct weft_store weft_store;

const char *weft_store_type_name(weft_store_type type); /* "float32" */
/** "[512, 128]"; returns buf. */
const char *weft_store_shape_text(const weft_store_entry *entry, char buf[WEFT_SHAPE_TEXT]);

/* ---- reading ---------------------------------------------------------------------------------- */

/** Read and check the whole file. WEFT_ERR_INPUT: it cannot be opened; WEFT_ERR_IO: the system
 *  failed; WEFT_ERR_FORMAT: it is damaged or foreign, and the sentence says which array and how. */
weft_status weft_store_open(const char *path, unsigned flags, weft_store **store) WEFT_MUST_CHECK;
void weft_store_free(weft_store *store); /* NULL is allowed */
const char *weft_store_path(const weft_store *store);

/** Every array, in the order of writing (of names, where the file does not keep an order). */
int weft_store_count(const weft_store *store);
const weft_store_entry *weft_store_at(const weft_store *store, int index);
/** NULL when there is none of that name. */
const weft_store_entry *weft_store_find(const weft_store *store, const char *name);

/** Copy one array to `out`, which has room for its dim[0] * ... * dim[rank-1] values of type `as`
 *  (strings: of the entry's width).
 *  Errors: no such name, another shape (WEFT_ERR_SHAPE), another type than `as` (a real is
 *  converted, rounding to nearest; a finite double beyond float is WEFT_ERR_RANGE). */
weft_status weft_store_read(const weft_store *store, const char *name, weft_store_type as, int rank,
                            const int64_t dim[], void *out) WEFT_MUST_CHECK;
/** The same for an array of any shape, into new memory that weft_free gives back; its shape in
 *  *entry (may be NULL). */
weft_status weft_store_read_new(const weft_store *store, const char *name, weft_store_type as,
                                const weft_store_entry **entry, void **out) WEFT_MUST_CHECK;
/** The bytes of an array of rank 1 as a text, NUL-terminated, in new memory (weft_free). A NUL
 *  inside is an error. */
weft_status weft_store_read_text(const weft_store *store, const char *name,
                                 char **text) WEFT_MUST_CHECK;

/* ---- writing ---------------------------------------------------------------------------------- */

/* The first failure sticks: later writes do nothing and weft_store_save returns it. */
typedef struct weft_store_writer weft_store_writer;

/** `expected_bytes`: memory set aside for the file (it grows where that is not enough): the arrays'
 *  bytes and about 1,000 for each array; 0 for small files. NULL: weft_message() says why. */
weft_store_writer *weft_store_writer_new(size_t expected_bytes) WEFT_MUST_CHECK;
void weft_store_writer_free(weft_store_writer *writer); /* NULL is allowed */
/** Make a group with room for so many arrays: much faster for hundreds of them. */
weft_status weft_store_write_group(weft_store_writer *writer, const char *name, int n_arrays);
/** Add an array; `data` is copied. Groups are made as the name needs them. Names: components of 1
 *  to 255 bytes, joined by single '/', none "." or "..", each array once. */
weft_status weft_store_write(weft_store_writer *writer, const char *name, weft_store_type type,
                             int rank, const int64_t dim[], const void *data);
weft_status weft_store_write_int(weft_store_writer *writer, const char *name, int64_t value);
weft_status weft_store_write_double(weft_store_writer *writer, const char *name, double value);
weft_status weft_store_write_text(weft_store_writer *writer, const char *name, const char *text);
/** n strings, [n]: programs that read HDF5 show them as text. */
weft_status weft_store_write_strings(weft_store_writer *writer, const char *name, int64_t n,
                                     const char *const strings[]);
/** Put the file in place: all of it, or the old one stays. Same writes, same bytes. A writer can be
 *  saved once. */
weft_status weft_store_save(weft_store_writer *writer, const char *path) WEFT_MUST_CHECK;

/** Remove what writers of `path` left behind that were killed. Not while another thread of this
 *  process, or a process on another machine, is saving to the same path. */
weft_status weft_store_remove_orphans(const char *path) WEFT_MUST_CHECK;

#endif
