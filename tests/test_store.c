/* test_store.c - files of named arrays: what is read back, and what must be refused. Hostile files
 * are made with HDF5 itself, one for each rule of the reader. */
#include "check_main.h"

#include "data/file_internal.h"
#include "data/store.h"
#include "temp_dir.h"

#include <hdf5.h>
#include <math.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <xxhash.h>

#define OK(call) ck_assert_msg((call) == WEFT_OK, "%s", weft_message())

static void says(weft_status expected, weft_status status, const char *part)
{
    ck_assert_msg(status == expected, "%s instead of %s: %s", weft_status_name(status),
                  weft_status_name(expected), weft_message());
    ck_assert_msg(strstr(weft_message(), part) != NULL, "\"%s\" is not in: %s", part,
                  weft_message());
}

/* ---- reading back -------------------------------------------------------------------------------- */

static const float f32_values[6] = { 1.5f, -0.0f, 1e-45f, 3e38f, 0.1f, -7 };
static const double f64_values[3] = { 0.1, -1e300, 5e-324 };
static const int32_t i32_values[2] = { INT32_MIN, INT32_MAX };

static void write_sample(const char *path)
{
    weft_store_writer *writer = weft_store_writer_new(0);
    ck_assert_ptr_nonnull(writer);
    OK(weft_store_write(writer, "a/b/f32", WEFT_STORE_F32, 2, (int64_t[]){ 2, 3 }, f32_values));
    OK(weft_store_write(writer, "a/f64", WEFT_STORE_F64, 1, (int64_t[]){ 3 }, f64_values));
    OK(weft_store_write(writer, "i32", WEFT_STORE_I32, 1, (int64_t[]){ 2 }, i32_values));
    OK(weft_store_write_int(writer, "z.int", INT64_MIN));
    OK(weft_store_write_double(writer, "b.double", 0.1));
    OK(weft_store_write_text(writer, "a/text", "gr\xc3\xbc\xc3\x9f dich\n"));
    OK(weft_store_write_text(writer, "a/nothing", ""));
    OK(weft_store_write(writer, "a/empty", WEFT_STORE_F32, 2, (int64_t[]){ 4, 0 }, f32_values));
    for (int i = 0; i < 12; i++) { /* more names than HDF5 keeps in a group's header unasked */
        char name[32];
        snprintf(name, sizeof name, "many/%d", i);
        OK(weft_store_write_int(writer, name, i));
    }
    OK(weft_store_save(writer, path));
    weft_store_writer_free(writer);
}

static weft_store *open_sample(void)
{
    weft_store *store = NULL;
    write_sample("s.h5");
    OK(weft_store_open("s.h5", 0, &store));
    return store;
}

START_TEST(values_come_back_bit_for_bit)
{
    weft_store *store = open_sample();
    float f32[6];
    double f64[3], number;
    int32_t i32[2];
    int64_t integer;
    OK(weft_store_read(store, "a/b/f32", WEFT_STORE_F32, 2, (int64_t[]){ 2, 3 }, f32));
    ck_assert_mem_eq(f32, f32_values, sizeof f32);
    OK(weft_store_read(store, "a/f64", WEFT_STORE_F64, 1, (int64_t[]){ 3 }, f64));
    ck_assert_mem_eq(f64, f64_values, sizeof f64);
    OK(weft_store_read(store, "i32", WEFT_STORE_I32, 1, (int64_t[]){ 2 }, i32));
    ck_assert_mem_eq(i32, i32_values, sizeof i32);
    OK(weft_store_read(store, "z.int", WEFT_STORE_I64, 0, NULL, &integer));
    ck_assert(integer == INT64_MIN);
    OK(weft_store_read(store, "b.double", WEFT_STORE_F64, 0, NULL, &number));
    ck_assert(number == 0.1);
    char *text = NULL;
    OK(weft_store_read_text(store, "a/text", &text));
    ck_assert_str_eq(text, "gr\xc3\xbc\xc3\x9f dich\n");
    weft_free(text);
    OK(weft_store_read_text(store, "a/nothing", &text));
    ck_assert_str_eq(text, "");
    weft_free(text);
    OK(weft_store_read(store, "a/empty", WEFT_STORE_F32, 2, (int64_t[]){ 4, 0 }, f32));
    weft_store_free(store);
}
END_TEST

START_TEST(arrays_are_listed_in_the_order_of_writing)
{
    weft_store *store = open_sample();
    static const char *const names[] = { "a/b/f32", "a/f64", "a/text", "a/nothing",
                                         "a/empty", "i32",   "z.int",  "b.double" };
    ck_assert_int_eq(weft_store_count(store), 20);
    for (int i = 0; i < 8; i++) ck_assert_str_eq(weft_store_at(store, i)->name, names[i]);
    ck_assert_ptr_null(weft_store_at(store, 20));
    ck_assert_ptr_null(weft_store_at(store, -1));
    ck_assert_ptr_null(weft_store_find(store, "a"));
    char text[WEFT_SHAPE_TEXT];
    ck_assert_str_eq(weft_store_shape_text(weft_store_at(store, 0), text), "[2, 3]");
    ck_assert_str_eq(weft_store_type_name(weft_store_at(store, 1)->type), "float64");
    weft_store_free(store);
}
END_TEST

START_TEST(reals_are_read_in_either_precision)
{
    weft_store *store = open_sample();
    double wide[6];
    OK(weft_store_read(store, "a/b/f32", WEFT_STORE_F64, 2, (int64_t[]){ 2, 3 }, wide));
    for (int i = 0; i < 6; i++) ck_assert(wide[i] == (double)f32_values[i]);
    float narrow, three[3];
    OK(weft_store_read(store, "b.double", WEFT_STORE_F32, 0, NULL, &narrow));
    ck_assert(narrow == 0.1f);
    says(WEFT_ERR_RANGE,
         weft_store_read(store, "a/f64", WEFT_STORE_F32, 1, (int64_t[]){ 3 }, three),
         "a/f64: element 1 is -1e+300");
    void *block = NULL;
    const weft_store_entry *entry = NULL;
    OK(weft_store_read_new(store, "a/b/f32", WEFT_STORE_F64, &entry, &block));
    ck_assert_int_eq(entry->size, 6);
    ck_assert_mem_eq(block, wide, sizeof wide);
    weft_free(block);
    weft_store_free(store);
}
END_TEST

START_TEST(wrong_requests_are_sentences)
{
    weft_store *store = open_sample();
    float x[6];
    char *text;
    says(WEFT_ERR_FORMAT, weft_store_read(store, "a/b", WEFT_STORE_F32, 0, NULL, x),
         "s.h5: has no array a/b");
    says(WEFT_ERR_SHAPE,
         weft_store_read(store, "a/b/f32", WEFT_STORE_F32, 2, (int64_t[]){ 3, 2 }, x),
         "a/b/f32 is [2, 3] in the file, [3, 2] is wanted");
    says(WEFT_ERR_TYPE, weft_store_read(store, "i32", WEFT_STORE_F32, 1, (int64_t[]){ 2 }, x),
         "i32 is int32, not float32");
    says(WEFT_ERR_TYPE, weft_store_read_text(store, "i32", &text), "i32 is int32, not uint8");
    weft_store_free(store);
}
END_TEST

START_TEST(wrong_names_and_sizes_are_refused)
{
    static const char *const names[] = { "", "/", "a/", "/a", "a//b", ".", "a/..", "a/./b" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        weft_store_writer *writer = weft_store_writer_new(0);
        says(WEFT_ERR_INPUT, weft_store_write_int(writer, names[i], 1), "cannot name an array");
        says(WEFT_ERR_INPUT, weft_store_write_int(writer, "good", 1), "cannot name"); /* sticks */
        says(WEFT_ERR_INPUT, weft_store_save(writer, "x.h5"), "cannot name an array");
        weft_store_writer_free(writer);
    }
    weft_store_writer *writer = weft_store_writer_new(0);
    says(WEFT_ERR_OVERFLOW,
         weft_store_write(writer, "big", WEFT_STORE_F32, 2, (int64_t[]){ INT64_MAX, 2 }, names),
         "big: its size");
    weft_store_writer_free(writer);
    writer = weft_store_writer_new(0);
    OK(weft_store_write_int(writer, "a/x", 1));
    says(WEFT_ERR_STATE, weft_store_write_int(writer, "a/x", 1), "a/x: is written twice");
    weft_store_writer_free(writer);
    ck_assert_int_eq(temp_dir_entries(false), 0);
}
END_TEST

START_TEST(a_writer_saves_once)
{
    weft_store_writer *writer = weft_store_writer_new(0);
    OK(weft_store_write_int(writer, "x", 1));
    OK(weft_store_save(writer, "x.h5"));
    says(WEFT_ERR_STATE, weft_store_save(writer, "x.h5"), "saved already");
    says(WEFT_ERR_STATE, weft_store_write_int(writer, "y", 1), "saved already");
    weft_store_writer_free(writer);
}
END_TEST

START_TEST(golden_file_of_another_program_is_read)
{
    weft_store *store = NULL;
    OK(weft_store_open(WEFT_SOURCE_DIR "/tests/golden/pytorch.h5", WEFT_STORE_UNHASHED, &store));
    ck_assert_int_gt(weft_store_count(store), 100);
    weft_store_free(store);
    says(WEFT_ERR_FORMAT, weft_store_open(WEFT_SOURCE_DIR "/tests/golden/pytorch.h5", 0, &store),
         "weft");
}
END_TEST

/* ---- files that are no store --------------------------------------------------------------------- */

static void put(const char *path, const void *bytes, size_t n)
{
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(bytes, 1, n, file), n);
    ck_assert_int_eq(fclose(file), 0);
}

START_TEST(what_is_no_file_or_no_hdf5)
{
    weft_store *store;
    says(WEFT_ERR_INPUT, weft_store_open("none.h5", 0, &store),
         "none.h5: cannot open: No such file");
    mkdir("dir", 0777);
    says(WEFT_ERR_INPUT, weft_store_open("dir", 0, &store), "dir: is a directory");
    ck_assert_int_eq(mkfifo("pipe", 0666), 0);
    says(WEFT_ERR_INPUT, weft_store_open("pipe", 0, &store), "pipe: is not a regular file");
    put("empty", "", 0);
    says(WEFT_ERR_FORMAT, weft_store_open("empty", 0, &store), "empty: is empty");
    char text[4096];
    memset(text, 'x', sizeof text);
    put("text", text, sizeof text);
    says(WEFT_ERR_FORMAT, weft_store_open("text", 0, &store), "text: is not an HDF5 file");
    put("secret", text, sizeof text);
    chmod("secret", 0);
    if (geteuid() != 0)
        says(WEFT_ERR_INPUT, weft_store_open("secret", 0, &store), "Permission denied");
    weft_store_writer *writer = weft_store_writer_new(0);
    says(WEFT_ERR_INPUT, weft_store_save(writer, "dir"), "dir: is a directory");
    weft_store_writer_free(writer);
    writer = weft_store_writer_new(0);
    says(WEFT_ERR_INPUT, weft_store_save(writer, "nowhere/x.h5"), "No such file");
    weft_store_writer_free(writer);
}
END_TEST

/* ---- hostile files, one for each rule ------------------------------------------------------------ */

static hid_t new_file(void)
{
    const hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_libver_bounds(access, H5F_LIBVER_V18, H5F_LIBVER_V110);
    H5Pset_fclose_degree(access, H5F_CLOSE_STRONG);
    const hid_t file = H5Fcreate("bad.h5", H5F_ACC_TRUNC, H5P_DEFAULT, access);
    ck_assert(file >= 0);
    return file;
}

static hid_t add(hid_t file, const char *name, hid_t type, int rank, hsize_t n, hid_t plist)
{
    hsize_t dim[10];
    for (int i = 0; i < 10; i++) dim[i] = i ? 1 : n;
    const hid_t space = rank < 0 ? H5Screate(H5S_NULL) : H5Screate_simple(rank, dim, NULL);
    const hid_t dataset = H5Dcreate2(file, name, type, space, H5P_DEFAULT, plist, H5P_DEFAULT);
    ck_assert(dataset >= 0);
    return dataset;
}

static hid_t plist_of(H5D_layout_t layout)
{
    const hid_t plist = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_layout(plist, layout);
    return plist;
}

static void soft_link(hid_t f) { H5Lcreate_soft("/good", f, "x", 0, 0); }
static void external_link(hid_t f) { H5Lcreate_external("/etc/x.h5", "/x", f, "x", 0, 0); }
static void external_storage(hid_t f)
{
    const hid_t plist = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_external(plist, "/etc/passwd", 0, 256);
    add(f, "x", H5T_IEEE_F32LE, 1, 64, plist);
}
static void compact(hid_t f) { add(f, "x", H5T_IEEE_F32LE, 1, 4, plist_of(H5D_COMPACT)); }
static hid_t chunked_plist(void)
{
    const hid_t plist = plist_of(H5D_CHUNKED);
    H5Pset_chunk(plist, 1, (hsize_t[]){ 1024 });
    return plist;
}
static void shape_bomb(hid_t f)
{
    add(f, "x", H5T_IEEE_F32LE, 1, (hsize_t)1 << 58, chunked_plist());
}
static void filtered(hid_t f)
{
    const hid_t plist = chunked_plist();
    H5Pset_fletcher32(plist);
    add(f, "x", H5T_IEEE_F32LE, 1, 2048, plist);
}
static void virtual_array(hid_t f)
{
    const hid_t plist = H5Pcreate(H5P_DATASET_CREATE);
    const hid_t space = H5Screate_simple(1, (hsize_t[]){ 4 }, NULL);
    H5Pset_virtual(plist, space, "/etc/other.h5", "/x", space);
    add(f, "x", H5T_IEEE_F32LE, 1, 4, plist);
}
/* Contiguous, never written: the shape is far beyond what the file holds. */
static void late_bomb(hid_t f)
{
    const hid_t plist = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_alloc_time(plist, H5D_ALLOC_TIME_LATE);
    add(f, "x", H5T_IEEE_F32LE, 1, (hsize_t)1 << 40, plist);
}
static void nine_dims(hid_t f) { add(f, "x", H5T_IEEE_F32LE, 9, 1, H5P_DEFAULT); }
static void null_space(hid_t f) { add(f, "x", H5T_IEEE_F32LE, -1, 1, H5P_DEFAULT); }
static void big_endian(hid_t f) { add(f, "x", H5T_IEEE_F32BE, 1, 4, H5P_DEFAULT); }
static void half_type(hid_t f) { add(f, "x", H5T_STD_I16LE, 1, 4, H5P_DEFAULT); }
static void strings(hid_t f)
{
    const hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, H5T_VARIABLE);
    add(f, "x", type, 1, 4, H5P_DEFAULT);
}
static void wide_strings(hid_t f)
{
    const hid_t type = H5Tcopy(H5T_C_S1), plist = H5Pcreate(H5P_DATASET_CREATE);
    H5Tset_size(type, (size_t)1 << 20);
    H5Pset_alloc_time(plist, H5D_ALLOC_TIME_LATE);
    add(f, "x", type, 1, (hsize_t)1 << 40, plist);
}
static void named_type(hid_t f)
{
    H5Tcommit2(f, "x", H5Tcopy(H5T_IEEE_F32LE), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
}
static hid_t written(hid_t f, const char *name)
{
    const float four[4] = { 1, 2, 3, 4 };
    const hid_t dataset = add(f, name, H5T_IEEE_F32LE, 1, 4, H5P_DEFAULT);
    H5Dwrite(dataset, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, four);
    return dataset;
}
static void attribute(hid_t object, const char *name, hid_t type, int n)
{
    const uint64_t values[4] = { 5, 6, 7, 8 };
    const hid_t space =
        n ? H5Screate_simple(1, (hsize_t[]){ (hsize_t)n }, NULL) : H5Screate(H5S_SCALAR);
    const hid_t made = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    H5Awrite(made, H5T_NATIVE_UINT64, values);
}
static void no_hash(hid_t f) { written(f, "x"); }
static void wrong_hash(hid_t f) { attribute(written(f, "x"), "xxh3_64", H5T_STD_U64LE, 0); }
static void many_hashes(hid_t f) { attribute(written(f, "x"), "xxh3_64", H5T_STD_U64LE, 4); }
static void signed_hash(hid_t f) { attribute(written(f, "x"), "xxh3_64", H5T_STD_I64LE, 0); }
static void more_attributes(hid_t f)
{
    const hid_t x = written(f, "x");
    attribute(x, "xxh3_64", H5T_STD_U64LE, 0);
    attribute(x, "more", H5T_STD_U64LE, 4);
}
static void group_attribute(hid_t f)
{
    attribute(H5Gcreate2(f, "x", 0, 0, 0), "more", H5T_STD_U64LE, 4);
}
static void cyclic_group(hid_t f)
{
    const hid_t group = H5Gcreate2(f, "x", 0, 0, 0);
    H5Lcreate_hard(f, "/x", group, "x", 0, 0);
}
static void dense_group(hid_t f)
{
    const hid_t group = H5Gcreate2(f, "x", 0, 0, 0);
    char name[2] = "a";
    for (; *name <= 'z'; name[0]++) H5Gclose(H5Gcreate2(group, name, 0, 0, 0));
}
/* Eight names for the group itself at each of eight levels would be 8^8 visits. */
static void wide_cycle(hid_t f)
{
    const hid_t group = H5Gcreate2(f, "x", 0, 0, 0);
    char name[2] = "a";
    for (; *name <= 'z'; name[0]++) H5Lcreate_hard(f, "/x", group, name, 0, 0);
}

static const struct {
    const char *what;
    void (*make)(hid_t file);
    const char *says;
    bool also_foreign; /* refused too where hashes are not asked for */
} hostile[] = {
    { "soft link", soft_link, "x: is a link to elsewhere", true },
    { "external link", external_link, "x: is a link to elsewhere", true },
    { "external storage", external_storage, "x: its values lie in another file", true },
    { "compact", compact, "x: is not stored in one piece", true },
    { "shape bomb", shape_bomb, "x: is not stored in one piece", true },
    { "filtered", filtered, "x: is not stored in one piece", true },
    { "virtual", virtual_array, "x: is pieced together", true },
    { "late bomb", late_bomb, "x: its shape needs 4398046511104 bytes, but 0 are stored", true },
    { "nine dimensions", nine_dims, "x: has more than 8 dimensions", true },
    { "no shape", null_space, "x: has no shape", true },
    { "big-endian", big_endian, "x: is not of type", true },
    { "16 bits", half_type, "x: is not of type", true },
    { "variable strings", strings, "x: is not of type", true },
    { "strings beyond the file", wide_strings, "x: its shape needs", true },
    { "committed type", named_type, "x: is neither an array nor a group", true },
    { "no hash", no_hash, "x: has no hash", false },
    { "wrong hash", wrong_hash, "x: its values are damaged", true },
    { "four hashes", many_hashes, "x: its hash is not one", true },
    { "signed hash", signed_hash, "x: its hash is not one", true },
    { "more attributes", more_attributes, "x: has attributes", true },
    { "attributes of a group", group_attribute, "x: has attributes", false },
    { "cyclic group", cyclic_group, "nested too deeply", true },
    { "dense group", dense_group, "x: the group is kept in a form", false },
    { "wide cycle", wide_cycle, "", true },
};

START_TEST(hostile_files_are_refused)
{
    const int i = _i;
    const hid_t file = new_file();
    hostile[i].make(file);
    ck_assert(H5Fclose(file) >= 0);
    weft_store *store = NULL;
    says(WEFT_ERR_FORMAT, weft_store_open("bad.h5", 0, &store), hostile[i].says);
    ck_assert_msg(strstr(weft_message(), "bad.h5") != NULL, "%s", weft_message());
    const weft_status foreign = weft_store_open("bad.h5", WEFT_STORE_UNHASHED, &store);
    ck_assert_msg((foreign == WEFT_OK) == !hostile[i].also_foreign, "%s: %s", hostile[i].what,
                  weft_message());
    if (foreign == WEFT_OK) weft_store_free(store);
}
END_TEST

START_TEST(old_format_is_refused)
{
    const hid_t file = H5Fcreate("old.h5", H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    H5Fclose(file);
    weft_store *store;
    says(WEFT_ERR_FORMAT, weft_store_open("old.h5", 0, &store), "old format");
}
END_TEST

START_TEST(the_programs_own_hdf5_is_left_as_it_was)
{
    unsigned before, after;
    H5E_auto2_t print_before, print_after;
    void *data;
    H5PLget_loading_state(&before);
    H5Eget_auto2(H5E_DEFAULT, &print_before, &data);
    weft_store_free(open_sample());
    H5PLget_loading_state(&after);
    H5Eget_auto2(H5E_DEFAULT, &print_after, &data);
    ck_assert_uint_eq(before, after);
    ck_assert(print_before == print_after);
}
END_TEST

/* ---- damage -------------------------------------------------------------------------------------- */

/* The sample's values, whatever else is in the file. */
static bool is_the_sample(const weft_store *store)
{
    float f32[6];
    double f64[3];
    int64_t integer;
    return weft_store_count(store) == 20 &&
           weft_store_read(store, "a/b/f32", WEFT_STORE_F32, 2, (int64_t[]){ 2, 3 }, f32) ==
               WEFT_OK &&
           memcmp(f32, f32_values, sizeof f32) == 0 &&
           weft_store_read(store, "a/f64", WEFT_STORE_F64, 1, (int64_t[]){ 3 }, f64) == WEFT_OK &&
           memcmp(f64, f64_values, sizeof f64) == 0 &&
           weft_store_read(store, "z.int", WEFT_STORE_I64, 0, NULL, &integer) == WEFT_OK &&
           integer == INT64_MIN;
}

/* Exit code of a child: 0 refused, 1 read and right, 2 silently wrong. */
static int judge(const uint8_t *bytes, size_t n)
{
    put("m.h5", bytes, n);
    weft_store *store = NULL;
    const weft_status status = weft_store_open("m.h5", 0, &store);
    if (status != WEFT_OK) return strlen(weft_message()) > 0 && !store ? 0 : 2;
    const bool right = is_the_sample(store);
    weft_store_free(store);
    return right ? 1 : 2;
}

/* A batch of mutants in a child, so that a crash of the parser is seen and not ours. */
static void in_child(void (*batch)(uint8_t *bytes, size_t n, uint64_t seed), uint64_t seed)
{
    write_sample("s.h5");
    uint8_t *bytes;
    size_t n;
    OK(weft_file_read("s.h5", &bytes, &n));
    fflush(NULL);
    const pid_t child = fork();
    if (child == 0) {
        batch(bytes, n, seed);
        _exit(0);
    }
    int how;
    ck_assert_int_eq(waitpid(child, &how, 0), child);
    ck_assert_msg(WIFEXITED(how) && WEXITSTATUS(how) == 0, "seed %llu: %s %d",
                  (unsigned long long)seed, WIFSIGNALED(how) ? "signal" : "exit code",
                  WIFSIGNALED(how) ? WTERMSIG(how) : WEXITSTATUS(how));
    weft_free(bytes);
}

static void flip_bits(uint8_t *bytes, size_t n, uint64_t seed)
{
    int n_refused = 0;
    for (uint64_t k = 0; k < 500; k++) {
        const uint64_t bit = weft_random_below(seed, k, 8 * n);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        const int verdict = judge(bytes, n);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (verdict == 2) _exit(2);
        n_refused += verdict == 0;
    }
    if (n_refused < 100) _exit(3); /* the mutants must bite: most of a small file is metadata */
}

static void overwrite_bytes(uint8_t *bytes, size_t n, uint64_t seed)
{
    for (uint64_t k = 0; k < 500; k++) {
        const size_t from = (size_t)weft_random_below(seed, 3 * k, n);
        size_t length = 1 + (size_t)weft_random_below(seed, 3 * k + 1, 16);
        if (length > n - from) length = n - from;
        uint8_t old[16];
        memcpy(old, bytes + from, length);
        for (size_t i = 0; i < length; i++)
            bytes[from + i] = (uint8_t)weft_random_word(seed, k, 1, (uint32_t)i);
        const int verdict = judge(bytes, n);
        memcpy(bytes + from, old, length);
        if (verdict == 2) _exit(2);
    }
}

/* Every length near the start, then every 7th; and a tail of rubbish. */
static void cut_off(uint8_t *bytes, size_t n, uint64_t seed)
{
    (void)seed;
    for (size_t length = 0; length < n; length += length < 128 ? 1 : 7)
        if (judge(bytes, length) != 0) _exit(2);
    if (judge(bytes, n - 1) != 0) _exit(2);
    if (judge(bytes, n) != 1) _exit(4);
}

START_TEST(flipped_bits_are_never_silent) { in_child(flip_bits, (uint64_t)_i + 1); }
END_TEST
START_TEST(overwritten_bytes_are_never_silent) { in_child(overwrite_bytes, (uint64_t)_i + 101); }
END_TEST
START_TEST(every_truncation_is_refused) { in_child(cut_off, 0); }
END_TEST

START_TEST(damage_is_named_and_can_be_listed)
{
    write_sample("s.h5");
    uint8_t *bytes;
    size_t n;
    OK(weft_file_read("s.h5", &bytes, &n));
    size_t at = 0; /* of the float array */
    while (memcmp(bytes + at, f32_values, sizeof f32_values) != 0) at++;
    bytes[at] ^= 1;
    put("s.h5", bytes, n);
    weft_free(bytes);
    weft_store *store = NULL;
    says(WEFT_ERR_FORMAT, weft_store_open("s.h5", 0, &store),
         "s.h5: a/b/f32: its values are damaged");
    OK(weft_store_open("s.h5", WEFT_STORE_DAMAGED, &store));
    for (int i = 0; i < weft_store_count(store); i++)
        ck_assert_int_eq(weft_store_at(store, i)->hash, i == 0 ? WEFT_HASH_WRONG : WEFT_HASH_RIGHT);
    float x[6];
    says(WEFT_ERR_FORMAT,
         weft_store_read(store, "a/b/f32", WEFT_STORE_F32, 2, (int64_t[]){ 2, 3 }, x), "damaged");
    weft_store_free(store);
}
END_TEST

/* ---- memory -------------------------------------------------------------------------------------- */

/* Our own allocations fail one after the other; the growth of HDF5's file image is among them. */
START_TEST(running_out_of_memory_is_a_status)
{
    weft_store_free(open_sample()); /* HDF5 and its own memory are up */
    bool done = false;
    int n_failed = 0;
    for (int64_t n = 1; !done; n++) {
        ck_assert_int_lt(n, 1000);
        weft_alloc_fail_at(n, _i == 1);
        weft_store_writer *writer = weft_store_writer_new(0);
        weft_status status = writer ? WEFT_OK : WEFT_ERR_MEMORY;
        if (writer) {
            weft_store_write_int(writer, "a/x", n);
            status = weft_store_save(writer, "o.h5");
        }
        weft_store_writer_free(writer);
        weft_store *store = NULL;
        if (status == WEFT_OK) status = weft_store_open("o.h5", 0, &store);
        weft_alloc_fail_at(0, false);
        weft_store_free(store);
        ck_assert_msg(status == WEFT_OK || status == WEFT_ERR_MEMORY, "%d: %s: %s", (int)n,
                      weft_status_name(status), weft_message());
        done = status == WEFT_OK;
        n_failed += !done;
        ck_assert_int_le(temp_dir_entries(false), 2); /* s.h5, o.h5: no temporary file */
    }
    ck_assert_int_gt(n_failed, 8);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("store");
    TCase *values = tcase_create("values");
    tcase_add_checked_fixture(values, temp_dir_enter, temp_dir_leave);
    tcase_add_test(values, values_come_back_bit_for_bit);
    tcase_add_test(values, arrays_are_listed_in_the_order_of_writing);
    tcase_add_test(values, reals_are_read_in_either_precision);
    tcase_add_test(values, wrong_requests_are_sentences);
    tcase_add_test(values, wrong_names_and_sizes_are_refused);
    tcase_add_test(values, a_writer_saves_once);
    tcase_add_test(values, golden_file_of_another_program_is_read);
    suite_add_tcase(suite, values);

    TCase *refused = tcase_create("hostile");
    tcase_add_checked_fixture(refused, temp_dir_enter, temp_dir_leave);
    tcase_add_test(refused, what_is_no_file_or_no_hdf5);
    tcase_add_loop_test(refused, hostile_files_are_refused, 0, sizeof hostile / sizeof *hostile);
    tcase_add_test(refused, old_format_is_refused);
    tcase_add_test(refused, the_programs_own_hdf5_is_left_as_it_was);
    suite_add_tcase(suite, refused);

    TCase *damage = tcase_create("damage");
    tcase_add_checked_fixture(damage, temp_dir_enter, temp_dir_leave);
    tcase_set_timeout(damage, 240);
    tcase_add_loop_test(damage, flipped_bits_are_never_silent, 0, 4);
    tcase_add_loop_test(damage, overwritten_bytes_are_never_silent, 0, 4);
    tcase_add_test(damage, every_truncation_is_refused);
    tcase_add_test(damage, damage_is_named_and_can_be_listed);
    suite_add_tcase(suite, damage);

    TCase *memory = tcase_create("memory");
    tcase_add_checked_fixture(memory, temp_dir_enter, temp_dir_leave);
    tcase_set_timeout(memory, 240);
    tcase_add_loop_test(memory, running_out_of_memory_is_a_status, 0, 2);
    suite_add_tcase(suite, memory);
    return run_suite(suite);
}
