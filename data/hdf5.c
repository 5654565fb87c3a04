/* hdf5.c - the only file that knows HDF5: arrays into a file image in memory, and back.
 *
 * HDF5 never touches a disk here. It builds the file in memory (core driver) and data/file.c puts
 * the bytes in place; it reads an image that data/file.c has read. So no I/O error can catch it half
 * way, no lock is taken, and two parsers never see two states of a file.
 *
 * Layout (why: docs/checkpoint.md): format of HDF5 1.8, whose metadata carries checksums; contiguous
 * little-endian arrays; no times; creation order kept; the hash of an array's bytes beside it. */
#include "data/store_internal.h"

#include "core/checked.h"

#include <hdf5.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#if !defined(__BYTE_ORDER__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "weft reads and writes the arrays of a file as they lie in memory: little-endian only"
#endif

static const char hash_name[] = "xxh3_64";

/* ---- the library's state ------------------------------------------------------------------------- */

/* H5dont_atexit must come before anything else: HDF5's exit handler crashes after some errors. It
 * fails where the program has used HDF5 before us; then its own rules hold. */
static void start_hdf5(void)
{
    H5dont_atexit();
    H5open();
}

/* What we change for the length of a call and give back: the program may use HDF5 itself. */
typedef struct hdf5_state {
    H5E_auto2_t print;
    void *print_data;
    unsigned plugins;
} hdf5_state;

static hdf5_state enter(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, start_hdf5);
    hdf5_state was = { .print = NULL, .print_data = NULL, .plugins = 0 };
    H5Eget_auto2(H5E_DEFAULT, &was.print, &was.print_data);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    H5PLget_loading_state(&was.plugins);
    H5PLset_loading_state(0); /* a file must not make us load code */
    return was;
}

static void leave(hdf5_state was)
{
    H5Eclear2(H5E_DEFAULT);
    H5PLset_loading_state(was.plugins);
    H5Eset_auto2(H5E_DEFAULT, was.print, was.print_data);
}

/* HDF5's error stack as part of one sentence: the innermost entry is the cause. */
static herr_t innermost(unsigned n, const H5E_error2_t *error, void *user)
{
    if (n == 0) snprintf(user, 200, "%s", error->desc ? error->desc : "");
    return 0;
}

static weft_status hdf5_failed(weft_status code, const char *label, const char *name,
                               const char *what)
{
    char cause[200] = "";
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, innermost, cause);
    return weft_error(code, "%s: %s%s%s%s%s%s", label, name, *name ? ": " : "", what,
                      *cause ? " (HDF5: " : "", cause, *cause ? ")" : "");
}

/* Names of files in memory: HDF5 takes two open files of the same name for one; and nothing of this
 * name can exist on disk. */
static void image_name(char name[64])
{
    static atomic_uint counter;
    snprintf(name, 64, "/dev/null/weft.%u", atomic_fetch_add(&counter, 1));
}

/* The type of numbers. */
static hid_t file_type(weft_store_type type)
{
    switch (type) {
    case WEFT_STORE_F32: return H5T_IEEE_F32LE;
    case WEFT_STORE_F64: return H5T_IEEE_F64LE;
    case WEFT_STORE_I32: return H5T_STD_I32LE;
    case WEFT_STORE_I64: return H5T_STD_I64LE;
    default: return H5T_STD_U8LE;
    }
}

/* Strings of one width, in new memory of HDF5's (H5Tclose). */
static hid_t string_type(size_t width)
{
    const hid_t type = H5Tcopy(H5T_C_S1);
    if (type < 0) return type;
    if (H5Tset_size(type, width) >= 0 && H5Tset_cset(type, H5T_CSET_UTF8) >= 0 &&
        H5Tset_strpad(type, H5T_STR_NULLPAD) >= 0)
        return type;
    H5Tclose(type);
    return H5I_INVALID_HID;
}

/* ---- reading: every array of an image ------------------------------------------------------------ */

enum { MAX_NAME = 1023, MAX_DEPTH = 8 };
enum { IMAGE_STEP = 1 << 16 }; /* bytes by which the core driver's memory grows */

typedef struct reader {
    const char *label;
    const uint8_t *image;
    size_t image_bytes;
    bool foreign; /* arrays without hash, any attributes, no checksums in the metadata */
    weft_store_entry *entries;
    int n_entries, capacity;
    size_t
        links_left; /* a file of n bytes has fewer than n links, unless groups contain themselves */
    char name[MAX_NAME + 1]; /* of what is being looked at */
    int depth;
    weft_status status;
} reader;

static weft_status refuse(reader *r, const char *what)
{
    return weft_error(WEFT_ERR_FORMAT, "%s: %s%s%s", r->label, r->name, *r->name ? ": " : "", what);
}

static weft_status broken(reader *r, const char *what)
{
    return hdf5_failed(WEFT_ERR_FORMAT, r->label, r->name, what);
}

/* Contiguous bytes inside this file, untransformed. Asked before the shape: HDF5 opens the sources
 * of a virtual array when asked for its extent. */
static weft_status check_storage(reader *r, hid_t dataset)
{
    const hid_t plist = H5Dget_create_plist(dataset);
    if (plist < 0) return broken(r, "its properties cannot be read");
    const H5D_layout_t layout = H5Pget_layout(plist);
    const int n_external = H5Pget_external_count(plist), n_filters = H5Pget_nfilters(plist);
    H5Pclose(plist);
    if (n_external != 0) return refuse(r, "its values lie in another file; that is never followed");
    if (layout == H5D_VIRTUAL) return refuse(r, "is pieced together from other files or arrays");
    if (layout != H5D_CONTIGUOUS) return refuse(r, "is not stored in one piece");
    if (n_filters != 0) return refuse(r, "is compressed or filtered");
    return WEFT_OK;
}

static weft_status read_type(reader *r, hid_t dataset, weft_store_entry *entry)
{
    const hid_t type = H5Dget_type(dataset);
    if (type < 0) return broken(r, "its type cannot be read");
    int found = 0;
    while (found < WEFT_STORE_STRING && H5Tequal(type, file_type((weft_store_type)found)) <= 0)
        found++;
    const bool string = found == WEFT_STORE_STRING && H5Tget_class(type) == H5T_STRING &&
                        H5Tis_variable_str(type) == 0;
    entry->width = H5Tget_size(type);
    entry->type = (weft_store_type)found;
    H5Tclose(type);
    if (found < WEFT_STORE_STRING || (string && entry->width > 0)) return WEFT_OK;
    return refuse(r, "is not of type float32, float64, int32, int64 or uint8, little-endian, nor "
                     "strings of one width");
}

static weft_status shape_of(reader *r, hid_t space, weft_store_entry *entry)
{
    const H5S_class_t kind = H5Sget_simple_extent_type(space);
    if (kind != H5S_SCALAR && kind != H5S_SIMPLE) return refuse(r, "has no shape");
    const int rank = H5Sget_simple_extent_ndims(space);
    if (rank < 0 || rank > WEFT_MAX_RANK) return refuse(r, "has more than 8 dimensions");
    hsize_t dim[WEFT_MAX_RANK];
    if (H5Sget_simple_extent_dims(space, dim, NULL) != rank)
        return broken(r, "its shape cannot be read");
    entry->rank = rank;
    entry->size = 1;
    for (int i = 0; i < rank; i++) {
        if (dim[i] > INT64_MAX) return refuse(r, "declares an impossible size");
        entry->dim[i] = (int64_t)dim[i];
        if (!weft_mul_i64(entry->size, entry->dim[i], &entry->size))
            return refuse(r, "declares an impossible size");
    }
    if (!weft_mul_bytes((size_t)entry->size, entry->width, &entry->n_bytes))
        return refuse(r, "declares an impossible size");
    return WEFT_OK;
}

static weft_status read_shape(reader *r, hid_t dataset, weft_store_entry *entry)
{
    const hid_t space = H5Dget_space(dataset);
    if (space < 0) return broken(r, "its shape cannot be read");
    const weft_status status = shape_of(r, space, entry);
    H5Sclose(space);
    return status;
}

/* The bytes are in the image, all of them: a shape larger than the file stops here. */
static weft_status locate(reader *r, hid_t dataset, weft_store_entry *entry)
{
    entry->data = r->image;
    if (entry->n_bytes == 0) return WEFT_OK;
    const hsize_t stored = H5Dget_storage_size(dataset);
    if (stored != entry->n_bytes || entry->n_bytes > r->image_bytes)
        return weft_error(WEFT_ERR_FORMAT,
                          "%s: %s: its shape needs %zu bytes, but %llu are stored in this file of "
                          "%zu",
                          r->label, r->name, entry->n_bytes, (unsigned long long)stored,
                          r->image_bytes);
    const haddr_t address = H5Dget_offset(dataset);
    if (address == HADDR_UNDEF || address > r->image_bytes - entry->n_bytes)
        return refuse(r, "its values lie outside of the file");
    entry->data = r->image + address;
    return WEFT_OK;
}

static weft_status hash_of(reader *r, hid_t attribute, weft_store_entry *entry)
{
    const hid_t type = H5Aget_type(attribute), space = H5Aget_space(attribute);
    const bool right = type >= 0 && space >= 0 && H5Tequal(type, H5T_STD_U64LE) > 0 &&
                       H5Sget_simple_extent_type(space) == H5S_SCALAR &&
                       H5Aget_storage_size(attribute) == sizeof entry->xxh3;
    if (type >= 0) H5Tclose(type);
    if (space >= 0) H5Sclose(space);
    if (!right) return refuse(r, "its hash is not one unsigned 64-bit integer");
    if (H5Aread(attribute, H5T_NATIVE_UINT64, &entry->xxh3) < 0)
        return broken(r, "its hash cannot be read");
    entry->hash = WEFT_HASH_RIGHT;
    return WEFT_OK;
}

static weft_status read_hash(reader *r, hid_t dataset, hsize_t n_attributes,
                             weft_store_entry *entry)
{
    if (!r->foreign && n_attributes > 1) return refuse(r, "has attributes that weft does not know");
    const htri_t exists = H5Aexists(dataset, hash_name);
    if (exists < 0) return broken(r, "its attributes cannot be read");
    entry->hash = WEFT_HASH_NONE;
    if (exists == 0)
        return r->foreign ? WEFT_OK : refuse(r, "has no hash: the file was not written by weft");
    if (!r->foreign && n_attributes != 1)
        return refuse(r, "has attributes that weft does not know");
    const hid_t attribute = H5Aopen(dataset, hash_name, H5P_DEFAULT);
    if (attribute < 0) return broken(r, "its hash cannot be read");
    const weft_status status = hash_of(r, attribute, entry);
    H5Aclose(attribute);
    return status;
}

static weft_status append(reader *r, const weft_store_entry *entry)
{
    if (r->n_entries == r->capacity) {
        const int capacity = r->capacity ? 2 * r->capacity : 64;
        weft_store_entry *grown = weft_realloc(r->entries, (size_t)capacity, sizeof *grown);
        if (!grown) return WEFT_ERR_MEMORY;
        r->entries = grown;
        r->capacity = capacity;
    }
    char *name = weft_strdup(r->name);
    if (!name) return WEFT_ERR_MEMORY;
    r->entries[r->n_entries] = *entry;
    r->entries[r->n_entries++].name = name;
    return WEFT_OK;
}

static weft_status index_dataset(reader *r, hid_t dataset, hsize_t n_attributes)
{
    weft_store_entry entry = { .rank = 0 };
    weft_status status = check_storage(r, dataset);
    if (status == WEFT_OK) status = read_type(r, dataset, &entry);
    if (status == WEFT_OK) status = read_shape(r, dataset, &entry);
    if (status == WEFT_OK) status = locate(r, dataset, &entry);
    if (status == WEFT_OK) status = read_hash(r, dataset, n_attributes, &entry);
    return status == WEFT_OK ? append(r, &entry) : status;
}

static weft_status index_group(reader *r, hid_t group);

static weft_status index_object(reader *r, hid_t object)
{
    H5O_info_t info;
    if (H5Oget_info2(object, &info, H5O_INFO_BASIC | H5O_INFO_NUM_ATTRS) < 0)
        return broken(r, "cannot be read");
    if (info.type == H5O_TYPE_DATASET) return index_dataset(r, object, info.num_attrs);
    if (info.type != H5O_TYPE_GROUP) return refuse(r, "is neither an array nor a group");
    if (!r->foreign && info.num_attrs != 0)
        return refuse(r, "has attributes that weft does not know");
    return index_group(r, object);
}

/* One link of a group: r->name is extended by it while its object is looked at. */
static weft_status index_link(reader *r, hid_t group, const char *link, H5L_type_t type)
{
    const size_t n = strlen(r->name), n_link = strlen(link);
    if (n + 1 + n_link > MAX_NAME) return refuse(r, "contains too long a name");
    snprintf(r->name + n, sizeof r->name - n, "%s%s", n ? "/" : "", link);
    weft_status status = WEFT_OK;
    if (type != H5L_TYPE_HARD) status = refuse(r, "is a link to elsewhere; that is never followed");
    if (status == WEFT_OK && r->links_left-- == 0) status = refuse(r, "groups contain themselves");
    const hid_t object = status == WEFT_OK ? H5Oopen(group, link, H5P_DEFAULT) : H5I_INVALID_HID;
    if (status == WEFT_OK)
        status = object < 0 ? broken(r, "cannot be opened") : index_object(r, object);
    if (object >= 0) H5Oclose(object);
    if (status == WEFT_OK) r->name[n] = '\0';
    return status;
}

static herr_t visit_link(hid_t group, const char *link, const H5L_info_t *info, void *user)
{
    reader *r = user;
    r->status = index_link(r, group, link, info->type);
    return r->status == WEFT_OK ? 0 : -1;
}

/* Only groups whose names lie in their header: HDF5 1.10 frees uninitialised pointers when the heap of
 * the other ("dense") form is damaged. */
static weft_status index_group(reader *r, hid_t group)
{
    if (++r->depth > MAX_DEPTH) return refuse(r, "groups are nested too deeply");
    const hid_t plist = H5Gget_create_plist(group);
    unsigned order = 0;
    H5G_info_t info;
    const bool known = plist >= 0 && H5Pget_link_creation_order(plist, &order) >= 0 &&
                       H5Gget_info(group, &info) >= 0;
    if (plist >= 0) H5Pclose(plist);
    if (!known) return broken(r, "the group's properties cannot be read");
    if (!r->foreign && info.storage_type != H5G_STORAGE_TYPE_COMPACT)
        return refuse(r, "the group is kept in a form that weft does not write");
    const H5_index_t by = order & H5P_CRT_ORDER_TRACKED ? H5_INDEX_CRT_ORDER : H5_INDEX_NAME;
    hsize_t next = 0;
    r->status = WEFT_OK;
    const herr_t rc = H5Literate(group, by, H5_ITER_INC, &next, visit_link, r);
    r->depth--;
    if (r->status != WEFT_OK) return r->status;
    return rc < 0 ? broken(r, "the group's names cannot be read") : WEFT_OK;
}

/* The core driver asks through these for memory to keep the image in; we own the image and lend it.
 * Opened read-only, it is never written nor resized. */
static void *lend(size_t n_bytes, H5FD_file_image_op_t op, void *image)
{
    (void)n_bytes, (void)op;
    return image;
}
static void *lend_copy(void *to, const void *from, size_t n_bytes, H5FD_file_image_op_t op,
                       void *image)
{
    (void)n_bytes, (void)op, (void)image;
    return to == from ? to : NULL;
}
static void *refuse_resize(void *block, size_t n_bytes, H5FD_file_image_op_t op, void *image)
{
    (void)block, (void)n_bytes, (void)op, (void)image;
    return NULL;
}
static herr_t lend_end(void *block, H5FD_file_image_op_t op, void *image)
{
    (void)block, (void)op, (void)image;
    return 0;
}
static void *same_user(void *user) { return user; }
static herr_t keep_user(void *user)
{
    (void)user;
    return 0;
}

static hid_t open_image(const uint8_t *image, size_t image_bytes)
{
    const hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    void *lent = (void *)image;
    H5FD_file_image_callbacks_t calls = { lend,      lend_copy, refuse_resize, lend_end,
                                          same_user, keep_user, lent };
    char name[64];
    image_name(name);
    hid_t file = H5I_INVALID_HID;
    if (access >= 0 && H5Pset_fapl_core(access, IMAGE_STEP, 0) >= 0 &&
        H5Pset_fclose_degree(access, H5F_CLOSE_STRONG) >= 0 &&
        H5Pset_file_image_callbacks(access, &calls) >= 0 &&
        H5Pset_file_image(access, lent, image_bytes) >= 0)
        file = H5Fopen(name, H5F_ACC_RDONLY, access);
    if (access >= 0) H5Pclose(access);
    return file;
}

/* Superblock of version 2 and 3 (HDF5 1.8 on), little-endian: signature 8, version 1, sizes of
 * offsets and lengths 2, flags 1, base address 8, extension 8, end of file 8, root 8, checksum 4. */
enum { SUPERBLOCK_BYTES = 48, SUPERBLOCK_END = 28 };
static uint64_t superblock_end(const uint8_t *image)
{
    uint64_t end;
    memcpy(&end, image + SUPERBLOCK_END, sizeof end);
    return end;
}

static weft_status check_superblock(const reader *r)
{
    static const uint8_t signature[8] = { 0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n' };
    if (r->image_bytes == 0) return weft_error(WEFT_ERR_FORMAT, "%s: is empty", r->label);
    if (r->image_bytes < SUPERBLOCK_BYTES || memcmp(r->image, signature, sizeof signature) != 0)
        return weft_error(WEFT_ERR_FORMAT, "%s: is not an HDF5 file", r->label);
    const int version = r->image[8];
    if (version < 2)
        return r->foreign ? WEFT_OK
                          : weft_error(WEFT_ERR_FORMAT,
                                       "%s: is an HDF5 file of an old format, not written by weft",
                                       r->label);
    if (superblock_end(r->image) != r->image_bytes)
        return weft_error(WEFT_ERR_FORMAT,
                          "%s: is cut off or damaged: it was written with %llu bytes and has %zu",
                          r->label, (unsigned long long)superblock_end(r->image), r->image_bytes);
    return WEFT_OK;
}

static weft_status index_image(reader *r)
{
    const weft_status status = check_superblock(r);
    if (status != WEFT_OK) return status;
    const hid_t file = open_image(r->image, r->image_bytes);
    if (file < 0) return broken(r, "cannot be opened as HDF5");
    const hid_t root = H5Oopen(file, "/", H5P_DEFAULT);
    const weft_status found =
        root < 0 ? broken(r, "cannot be opened as HDF5") : index_object(r, root);
    H5Fclose(file); /* and with it, all that is still open */
    return found;
}

weft_status weft_hdf5_index(const char *label, const uint8_t *image, size_t image_bytes,
                            unsigned flags, weft_store_entry **entries, int *n_entries)
{
    reader r = { .label = label,
                 .image = image,
                 .image_bytes = image_bytes,
                 .foreign = (flags & WEFT_STORE_UNHASHED) != 0,
                 .links_left = image_bytes };
    const hdf5_state was = enter();
    const weft_status status = index_image(&r);
    leave(was);
    if (status != WEFT_OK) {
        for (int i = 0; i < r.n_entries; i++) weft_free((void *)r.entries[i].name);
        weft_free(r.entries);
        return status;
    }
    *entries = r.entries;
    *n_entries = r.n_entries;
    return WEFT_OK;
}

/* ---- writing: an image that grows ---------------------------------------------------------------- */

struct weft_hdf5_image {
    hid_t file, group_plist, array_plist; /* file is invalid once finished */
    uint8_t *bytes; /* the core driver's memory, lent through the calls below */
    size_t capacity;
    bool stuck; /* HDF5 could not close the file and still holds our memory */
};

/* What was reserved lasts for a file of the expected size: then HDF5 never sees memory run out here,
 * which it would survive, but leak. */
static void *image_resize(void *block, size_t n_bytes, H5FD_file_image_op_t op, void *user)
{
    (void)block, (void)op;
    weft_hdf5_image *image = user;
    if (n_bytes <= image->capacity) return image->bytes;
    size_t capacity;
    if (!weft_add_bytes(n_bytes, n_bytes / 2, &capacity)) return NULL;
    uint8_t *grown = weft_realloc(image->bytes, capacity, 1);
    if (!grown) return NULL;
    image->bytes = grown;
    image->capacity = capacity;
    return grown;
}
static void *image_alloc(size_t n_bytes, H5FD_file_image_op_t op, void *user)
{
    return image_resize(NULL, n_bytes, op, user);
}
/* The driver gives its memory back when the file is closed: that is the finished file. */
static herr_t image_keep(void *block, H5FD_file_image_op_t op, void *user)
{
    (void)block, (void)op, (void)user;
    return 0;
}

/* Groups keep the order of creation, no times, and their names in the header at any number. */
static bool set_group(hid_t plist)
{
    return H5Pset_link_creation_order(plist, H5P_CRT_ORDER_TRACKED) >= 0 &&
           H5Pset_link_phase_change(plist, 65535, 0) >= 0 &&
           H5Pset_obj_track_times(plist, false) >= 0;
}

static hid_t create_file(weft_hdf5_image *image)
{
    const hid_t access = H5Pcreate(H5P_FILE_ACCESS), create = H5Pcreate(H5P_FILE_CREATE);
    H5FD_file_image_callbacks_t calls = { image_alloc, NULL,      image_resize, image_keep,
                                          same_user,   keep_user, image };
    char name[64];
    image_name(name);
    hid_t file = H5I_INVALID_HID;
    if (access >= 0 && create >= 0 && H5Pset_fapl_core(access, IMAGE_STEP, 0) >= 0 &&
        H5Pset_fclose_degree(access, H5F_CLOSE_STRONG) >= 0 &&
        H5Pset_libver_bounds(access, H5F_LIBVER_V18, H5F_LIBVER_V18) >= 0 &&
        H5Pset_file_image_callbacks(access, &calls) >= 0 && set_group(create))
        file = H5Fcreate(name, H5F_ACC_TRUNC, create, access);
    if (access >= 0) H5Pclose(access);
    if (create >= 0) H5Pclose(create);
    return file;
}

static bool start_image(weft_hdf5_image *image)
{
    image->group_plist = H5Pcreate(H5P_GROUP_CREATE);
    image->array_plist = H5Pcreate(H5P_DATASET_CREATE);
    if (image->group_plist < 0 || image->array_plist < 0 || !set_group(image->group_plist) ||
        H5Pset_obj_track_times(image->array_plist, false) < 0 ||
        H5Pset_layout(image->array_plist, H5D_CONTIGUOUS) < 0 ||
        H5Pset_fill_time(image->array_plist, H5D_FILL_TIME_NEVER) < 0)
        return false;
    image->file = create_file(image);
    return image->file >= 0;
}

weft_hdf5_image *weft_hdf5_image_new(size_t expected_bytes)
{
    weft_hdf5_image *image = weft_alloc(1, sizeof *image);
    if (!image) return NULL;
    image->file = image->group_plist = image->array_plist = H5I_INVALID_HID;
    if (weft_add_bytes(expected_bytes, 4 * IMAGE_STEP, &image->capacity))
        image->bytes = weft_alloc(image->capacity, 1);
    else
        weft_error(WEFT_ERR_OVERFLOW, "a file of %zu bytes is too large", expected_bytes);
    if (!image->bytes) {
        weft_free(image);
        return NULL;
    }
    const hdf5_state was = enter();
    const bool started = start_image(image);
    if (!started) hdf5_failed(WEFT_ERR_MEMORY, "HDF5", "", "cannot start a file in memory");
    leave(was);
    if (started) return image;
    weft_hdf5_image_free(image);
    return NULL;
}

void weft_hdf5_image_free(weft_hdf5_image *image)
{
    if (!image) return;
    const hdf5_state was = enter();
    if (image->file >= 0 && H5Fclose(image->file) < 0) image->stuck = true;
    if (image->group_plist >= 0) H5Pclose(image->group_plist);
    if (image->array_plist >= 0) H5Pclose(image->array_plist);
    leave(was);
    if (image->stuck) return; /* a leak, not a dangling pointer inside HDF5 */
    weft_free(image->bytes);
    weft_free(image);
}

/* A group's header has room for its names from the start: growing it takes time that is more than
 * quadratic in their number (2,000 parameters with two moments: a minute instead of a second). */
static weft_status make_group(weft_hdf5_image *image, const char *path, unsigned n_names)
{
    enum { USUAL_NAME = 40 }; /* bytes */
    const htri_t exists = H5Lexists(image->file, path, H5P_DEFAULT);
    if (exists > 0) return WEFT_OK;
    hid_t group = H5I_INVALID_HID;
    if (exists == 0 && H5Pset_est_link_info(image->group_plist, n_names, USUAL_NAME) >= 0)
        group = H5Gcreate2(image->file, path, H5P_DEFAULT, image->group_plist, H5P_DEFAULT);
    if (group < 0) return hdf5_failed(WEFT_ERR_MEMORY, path, "", "cannot make the group");
    H5Gclose(group);
    return WEFT_OK;
}

/* The groups of "a/b/name": a and a/b. */
static weft_status make_groups(weft_hdf5_image *image, const char *name)
{
    char path[MAX_NAME + 1];
    weft_status status = WEFT_OK;
    const char *slash = strchr(name, '/');
    for (; slash && status == WEFT_OK; slash = strchr(slash + 1, '/')) {
        snprintf(path, sizeof path, "%.*s", (int)(slash - name), name);
        status = make_group(image, path, 8);
    }
    return status;
}

weft_status weft_hdf5_image_group(weft_hdf5_image *image, const char *name, int n_arrays)
{
    const hdf5_state was = enter();
    weft_status status = make_groups(image, name);
    const unsigned n_names = n_arrays < 65535 ? (unsigned)n_arrays : 65535; /* HDF5's limit */
    if (status == WEFT_OK) status = make_group(image, name, n_names);
    leave(was);
    return status;
}

static bool write_hash(hid_t dataset, uint64_t xxh3)
{
    const hid_t space = H5Screate(H5S_SCALAR);
    if (space < 0) return false;
    const hid_t attribute =
        H5Acreate2(dataset, hash_name, H5T_STD_U64LE, space, H5P_DEFAULT, H5P_DEFAULT);
    bool written = attribute >= 0 && H5Awrite(attribute, H5T_NATIVE_UINT64, &xxh3) >= 0;
    if (attribute >= 0 && H5Aclose(attribute) < 0) written = false;
    H5Sclose(space);
    return written;
}

static bool write_array(weft_hdf5_image *image, const weft_store_entry *entry)
{
    hsize_t dim[WEFT_MAX_RANK];
    for (int i = 0; i < entry->rank; i++) dim[i] = (hsize_t)entry->dim[i];
    const hid_t space =
        entry->rank ? H5Screate_simple(entry->rank, dim, NULL) : H5Screate(H5S_SCALAR);
    if (space < 0) return false;
    const bool string = entry->type == WEFT_STORE_STRING;
    const hid_t type = string ? string_type(entry->width) : file_type(entry->type);
    const hid_t dataset = H5Dcreate2(image->file, entry->name, type, space, H5P_DEFAULT,
                                     image->array_plist, H5P_DEFAULT);
    bool written = dataset >= 0 &&
                   (entry->n_bytes == 0 ||
                    H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, entry->data) >= 0) &&
                   write_hash(dataset, entry->xxh3);
    if (dataset >= 0 && H5Dclose(dataset) < 0) written = false;
    if (string && type >= 0) H5Tclose(type);
    H5Sclose(space);
    return written;
}

weft_status weft_hdf5_image_write(weft_hdf5_image *image, const weft_store_entry *entry)
{
    const hdf5_state was = enter();
    weft_status status = make_groups(image, entry->name);
    if (status == WEFT_OK && H5Lexists(image->file, entry->name, H5P_DEFAULT) > 0)
        status = weft_error(WEFT_ERR_STATE, "array %s: is written twice", entry->name);
    if (status == WEFT_OK && !write_array(image, entry))
        status =
            hdf5_failed(WEFT_ERR_MEMORY, entry->name, "", "cannot be put into a file in memory");
    leave(was);
    return status;
}

weft_status weft_hdf5_image_finish(weft_hdf5_image *image, const uint8_t **bytes, size_t *n_bytes)
{
    const hdf5_state was = enter();
    weft_status status = WEFT_OK;
    if (H5Fflush(image->file, H5F_SCOPE_GLOBAL) < 0 || H5Fclose(image->file) < 0) {
        status = hdf5_failed(WEFT_ERR_MEMORY, "HDF5", "", "cannot finish the file in memory");
        image->stuck = true;
    }
    image->file = H5I_INVALID_HID;
    leave(was);
    if (status != WEFT_OK) return status;
    /* The driver's memory grows in steps; the superblock says where the file ends. */
    const uint64_t end = image->capacity < SUPERBLOCK_BYTES ? 0 : superblock_end(image->bytes);
    if (end < SUPERBLOCK_BYTES || end > image->capacity)
        return weft_error(WEFT_ERR_STATE, "HDF5 made a file of %llu bytes in a memory of %zu",
                          (unsigned long long)end, image->capacity);
    *bytes = image->bytes;
    *n_bytes = (size_t)end;
    return WEFT_OK;
}
