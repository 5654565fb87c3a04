/* store_internal.h - what data/hdf5.c, the only file that knows HDF5, does for data/store.c. */
#ifndef WEFT_STORE_INTERNAL_H
#define WEFT_STORE_INTERNAL_H

#include "data/store.h"

/** Find and check every array of a file in memory.
 *
 *  @param label    the file's name, for messages
 *  @param image    its bytes; entries point into them
 *  @param entries  new array (weft_free), each name in new memory of its own (weft_free)
 *
 *  Checks everything but the hash's value: entry->xxh3 is what the file claims. */
weft_status weft_hdf5_index(const char *label, const uint8_t *image, size_t image_bytes,
                            unsigned flags, weft_store_entry **entries,
                            int *n_entries) WEFT_MUST_CHECK;

/* A file that grows in memory. Names and shapes have been checked by the caller. */
typedef struct weft_hdf5_image weft_hdf5_image;
weft_hdf5_image *weft_hdf5_image_new(size_t expected_bytes) WEFT_MUST_CHECK;
weft_status weft_hdf5_image_group(weft_hdf5_image *image, const char *name, int n_arrays);
weft_status weft_hdf5_image_write(weft_hdf5_image *image, const weft_store_entry *entry);
/** Close the file; its bytes, valid until weft_hdf5_image_free. */
weft_status weft_hdf5_image_finish(weft_hdf5_image *image, const uint8_t **bytes, size_t *n_bytes);
void weft_hdf5_image_free(weft_hdf5_image *image);

#endif
