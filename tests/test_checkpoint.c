/* test_checkpoint.c - a run's state goes to disk and back; a save that is stopped anywhere leaves
 * the old file or the new one. */
#include "check_main.h"

#include "data/checkpoint.h"
#include "data/file_internal.h"
#include "temp_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define OK(call) ck_assert_msg((call) == WEFT_OK, "%s", weft_message())

static void says(weft_status expected, weft_status status, const char *part)
{
    ck_assert_msg(status == expected, "%s instead of %s: %s", weft_status_name(status),
                  weft_status_name(expected), weft_message());
    ck_assert_msg(strstr(weft_message(), part) != NULL, "\"%s\" is not in: %s", part,
                  weft_message());
}

/* ---- a small run --------------------------------------------------------------------------------- */

static void add(weft_params *params, const char *name, int64_t R, int64_t C)
{
    weft_param unused;
    const int64_t dim[2] = { R, C };
    OK(weft_params_add(params, name, C ? 2 : 1, dim, (weft_init){ .kind = WEFT_INIT_NORMAL },
                       &unused));
}

static weft_params *new_model(uint64_t seed)
{
    weft_params *params = weft_params_new(seed);
    ck_assert_ptr_nonnull(params);
    add(params, "src_embed.weight", 7, 5);
    add(params, "encoder.layers.0.norm1.bias", 5, 0);
    for (int i = 0; i < 12; i++) { /* enough for HDF5's dense form of a group */
        char name[64];
        snprintf(name, sizeof name, "decoder.layers.%d.linear1.weight", i);
        add(params, name, 3, 5);
    }
    return params;
}

/* Saves the model with `update` as the mark that tells two saves apart. */
static weft_status save(const char *path, const weft_params *params, int64_t update)
{
    weft_real *m = weft_alloc((size_t)weft_params_block_size(params), sizeof *m);
    if (!m) return WEFT_ERR_MEMORY;
    for (int64_t i = 0; i < weft_params_block_size(params); i++) m[i] = (weft_real)i / 3;
    const weft_checkpoint_block blocks[] = { { "m", m }, { "v", m } };
    const weft_checkpoint_integer integers[] = { { "update", update }, { "seed", -5 } };
    const weft_checkpoint_double doubles[] = { { "best_score", 0.1 } };
    const weft_checkpoint_text texts[] = { { "config", "[model]\nd_model = 5\n" },
                                           { "source_vocab", "<pad>\nder\n" } };
    const weft_checkpoint state = { .params = params,
                                    .n_blocks = 2,
                                    .blocks = blocks,
                                    .n_integers = 2,
                                    .integers = integers,
                                    .n_doubles = 1,
                                    .doubles = doubles,
                                    .n_texts = 2,
                                    .texts = texts };
    const weft_status status = weft_checkpoint_save(path, &state);
    weft_free(m);
    return status;
}

/* The mark of the file, read and checked in full; -1 where it cannot be read. */
static int64_t mark_of(const char *path)
{
    weft_checkpoint_file *file = NULL;
    int64_t update = -1;
    if (weft_checkpoint_open(path, &file) != WEFT_OK) return -1;
    if (weft_checkpoint_get_integer(file, "update", &update) != WEFT_OK) update = -1;
    weft_checkpoint_close(file);
    return update;
}

static bool same_files(const char *a, const char *b)
{
    uint8_t *x, *y;
    size_t n_x, n_y;
    OK(weft_file_read(a, &x, &n_x));
    OK(weft_file_read(b, &y, &n_y));
    const bool same = n_x == n_y && memcmp(x, y, n_x) == 0;
    weft_free(x);
    weft_free(y);
    return same;
}

static bool same_values(const weft_params *a, const weft_params *b)
{
    for (int i = 0; i < weft_params_count(a); i++) {
        const weft_tensor x = weft_params_value(a, i), y = weft_params_value(b, i);
        if (memcmp(x.real, y.real, (size_t)weft_size(&x) * sizeof *x.real) != 0) return false;
    }
    return true;
}

/* ---- to disk and back ---------------------------------------------------------------------------- */

START_TEST(everything_comes_back_bit_for_bit)
{
    weft_params *saved = new_model(1), *loaded = new_model(2);
    OK(save("c.h5", saved, 42));
    weft_checkpoint_file *file = NULL;
    OK(weft_checkpoint_open("c.h5", &file));
    int64_t integer;
    double number;
    char *text = NULL;
    OK(weft_checkpoint_get_integer(file, "update", &integer));
    ck_assert_int_eq(integer, 42);
    OK(weft_checkpoint_get_integer(file, "seed", &integer));
    ck_assert_int_eq(integer, -5);
    OK(weft_checkpoint_get_double(file, "best_score", &number));
    ck_assert(number == 0.1);
    OK(weft_checkpoint_get_text(file, "config", &text));
    ck_assert_str_eq(text, "[model]\nd_model = 5\n");
    weft_free(text);
    says(WEFT_ERR_FORMAT, weft_checkpoint_get_integer(file, "epoch", &integer),
         "c.h5: has no array state/epoch");
    says(WEFT_ERR_TYPE, weft_checkpoint_get_integer(file, "best_score", &integer),
         "state/best_score is float64, not int64");
    ck_assert(weft_checkpoint_has_block(file, "v") && !weft_checkpoint_has_block(file, "ema"));

    const uint64_t version = weft_params_version(loaded);
    OK(weft_checkpoint_load_params(file, loaded));
    ck_assert(same_values(saved, loaded));
    ck_assert(weft_params_version(loaded) != version);
    const int64_t n = weft_params_block_size(loaded);
    weft_real *v = weft_alloc((size_t)n, sizeof *v);
    OK(weft_checkpoint_load_block(file, "v", loaded, v));
    for (int i = 0; i < weft_params_count(loaded); i++) {
        const weft_tensor shape = weft_params_value(loaded, i);
        const int64_t at = weft_params_offset(loaded, i);
        for (int64_t k = at; k < at + weft_size(&shape); k++) ck_assert(v[k] == (weft_real)k / 3);
    }
    says(WEFT_ERR_SHAPE, weft_checkpoint_load_block(file, "ema", loaded, v),
         "optim/ema/src_embed.weight is missing");
    weft_free(v);
    weft_checkpoint_close(file);
    weft_params_free(saved);
    weft_params_free(loaded);
}
END_TEST

START_TEST(equal_runs_give_equal_files)
{
    weft_params *params = new_model(1);
    OK(save("a.h5", params, 1));
    sleep(2); /* no clock in the file */
    mkdir("elsewhere", 0777);
    OK(save("elsewhere/b.h5", params, 1)); /* and no path */
    ck_assert(same_files("a.h5", "elsewhere/b.h5"));
    weft_params *loaded = new_model(2);
    weft_checkpoint_file *file = NULL;
    OK(weft_checkpoint_open("a.h5", &file));
    OK(weft_checkpoint_load_params(file, loaded));
    weft_checkpoint_close(file);
    OK(save("c.h5", loaded, 1)); /* and what was loaded is saved the same */
    ck_assert(same_files("a.h5", "c.h5"));
    OK(save("c.h5", loaded, 2));
    ck_assert(!same_files("a.h5", "c.h5"));
    unlink("elsewhere/b.h5");
    weft_params_free(params);
    weft_params_free(loaded);
}
END_TEST

START_TEST(mode_of_the_file)
{
    weft_params *params = new_model(1);
    struct stat about;
    umask(027);
    OK(save("c.h5", params, 1));
    ck_assert_int_eq(stat("c.h5", &about), 0);
    ck_assert_uint_eq(about.st_mode & 07777, 0640);
    ck_assert_int_eq(chmod("c.h5", 0604), 0);
    OK(save("c.h5", params, 2));
    ck_assert_int_eq(stat("c.h5", &about), 0);
    ck_assert_uint_eq(about.st_mode & 07777, 0604);
    ck_assert_int_eq(temp_dir_entries(false), 1);
    weft_params_free(params);
}
END_TEST

START_TEST(values_that_are_not_finite_are_not_saved)
{
    weft_params *params = new_model(1);
    OK(save("c.h5", params, 1));
    weft_params_value(params, 1).real[3] = (weft_real)NAN;
    says(WEFT_ERR_NUMERIC, save("c.h5", params, 2),
         "c.h5 is not saved: params/encoder.layers.0.norm1.bias: element 3 is");
    ck_assert_int_eq(mark_of("c.h5"), 1);
    weft_params_free(params);
}
END_TEST

/* ---- files that do not fit ----------------------------------------------------------------------- */

START_TEST(another_model_is_refused_and_left_alone)
{
    weft_params *saved = new_model(1);
    OK(save("c.h5", saved, 1));
    weft_checkpoint_file *file = NULL;
    OK(weft_checkpoint_open("c.h5", &file));

    weft_params *more = new_model(2), *before = new_model(2);
    add(more, "generator.weight", 2, 2);
    says(WEFT_ERR_SHAPE, weft_checkpoint_load_params(file, more),
         "c.h5: params/generator.weight is missing, the model has generator.weight [2, 2]");
    ck_assert(same_values(before, more));
    weft_params_free(more);

    weft_params *fewer = weft_params_new(3);
    add(fewer, "src_embed.weight", 7, 5);
    says(WEFT_ERR_SHAPE, weft_checkpoint_load_params(file, fewer),
         "params/encoder.layers.0.norm1.bias [5] is in the file, but not in the model");
    weft_params_free(fewer);

    weft_params *other = weft_params_new(3);
    add(other, "src_embed.weight", 7, 6);
    says(WEFT_ERR_SHAPE, weft_checkpoint_load_params(file, other),
         "params/src_embed.weight is [7, 5] in the file, [7, 6] in the model");
    weft_params_free(other);
    weft_checkpoint_close(file);
    weft_params_free(saved);
    weft_params_free(before);
}
END_TEST

static weft_store_writer *started(bool with_format)
{
    weft_store_writer *writer = weft_store_writer_new(0);
    ck_assert_ptr_nonnull(writer);
    if (with_format) OK(weft_store_write_int(writer, "format", 1));
    return writer;
}

static void refused(weft_store_writer *writer, const char *part)
{
    OK(weft_store_save(writer, "f.h5"));
    weft_store_writer_free(writer);
    weft_checkpoint_file *file = NULL;
    says(WEFT_ERR_FORMAT, weft_checkpoint_open("f.h5", &file), part);
    ck_assert_ptr_null(file);
}

START_TEST(foreign_layouts_are_refused)
{
    const float x[4] = { 1, 2, 3, 4 };
    const int64_t four = 4, two_two[2] = { 2, 2 };
    weft_store_writer *w = started(false);
    OK(weft_store_write_int(w, "x", 1));
    refused(w, "is an HDF5 file, but not a checkpoint");
    w = started(false);
    OK(weft_store_write_int(w, "format", 2));
    refused(w, "has checkpoint format 2, this weft reads 1: it was written by another version");
    w = started(false);
    OK(weft_store_write_text(w, "format", "1"));
    refused(w, "not a checkpoint of weft");
    w = started(true);
    OK(weft_store_write_int(w, "extra", 1));
    refused(w, "extra (int64 []) is no part of a checkpoint");
    w = started(true);
    OK(weft_store_write_int(w, "params/count", 1));
    refused(w, "params/count (int64 []) is no part");
    w = started(true);
    OK(weft_store_write(w, "params/a/b", WEFT_STORE_F32, 1, &four, x));
    refused(w, "params/a/b (float32 [4]) is no part");
    w = started(true);
    OK(weft_store_write(w, "state/x", WEFT_STORE_F64, 1, (int64_t[]){ 0 }, x));
    refused(w, "state/x (float64 [0]) is no part");
    w = started(true);
    OK(weft_store_write(w, "optim/m/a", WEFT_STORE_F32, 1, &four, x));
    refused(w, "optim/m/a belongs to no parameter");
    w = started(true);
    OK(weft_store_write(w, "params/a", WEFT_STORE_F32, 1, &four, x));
    OK(weft_store_write(w, "optim/m/a", WEFT_STORE_F32, 2, two_two, x));
    refused(w, "optim/m/a is float32 [2, 2], its parameter real [4]");
    w = started(true);
    OK(weft_store_write(w, "optim/m", WEFT_STORE_F32, 1, &four, x));
    refused(w, "optim/m is no part of a checkpoint");
    w = started(true);
    OK(weft_store_write(w, "text/x", WEFT_STORE_U8, 1, &four, "a\0b"));
    OK(weft_store_save(w, "f.h5"));
    weft_store_writer_free(w);
    weft_checkpoint_file *file = NULL;
    char *text;
    OK(weft_checkpoint_open("f.h5", &file));
    says(WEFT_ERR_FORMAT, weft_checkpoint_get_text(file, "x", &text), "a text with a NUL byte");
    weft_checkpoint_close(file);
}
END_TEST

START_TEST(a_file_of_the_other_precision_is_read)
{
    const weft_store_type other =
        WEFT_STORE_REAL == WEFT_STORE_F32 ? WEFT_STORE_F64 : WEFT_STORE_F32;
    const float f32[2] = { 0.1f, -2 };
    const double f64[2] = { 0.1, -2 };
    const int64_t two = 2;
    weft_store_writer *w = started(true);
    OK(weft_store_write(w, "params/a", other, 1, &two,
                        other == WEFT_STORE_F32 ? (const void *)f32 : (const void *)f64));
    OK(weft_store_save(w, "o.h5"));
    weft_store_writer_free(w);
    weft_params *params = weft_params_new(1);
    add(params, "a", 2, 0);
    weft_checkpoint_file *file = NULL;
    OK(weft_checkpoint_open("o.h5", &file));
    OK(weft_checkpoint_load_params(file, params));
    const weft_real *x = weft_params_value(params, 0).real;
    ck_assert(x[0] == (weft_real)0.1f || x[0] == (weft_real)0.1);
    ck_assert(x[1] == -2);
    weft_checkpoint_close(file);
    weft_params_free(params);
}
END_TEST

START_TEST(a_file_with_infinity_is_refused)
{
    const double x[2] = { 1, INFINITY };
    const int64_t two = 2;
    weft_store_writer *w = started(true);
    OK(weft_store_write(w, "params/a", WEFT_STORE_F64, 1, &two, x));
    OK(weft_store_save(w, "i.h5"));
    weft_store_writer_free(w);
    weft_params *params = weft_params_new(1);
    add(params, "a", 2, 0);
    const weft_real first = weft_params_value(params, 0).real[0];
    weft_checkpoint_file *file = NULL;
    OK(weft_checkpoint_open("i.h5", &file));
    says(WEFT_ERR_NUMERIC, weft_checkpoint_load_params(file, params), "params/a: element 1 is inf");
    ck_assert(weft_params_value(params, 0).real[0] == first);
    weft_checkpoint_close(file);
    weft_params_free(params);
}
END_TEST

/* ---- saves that are stopped ---------------------------------------------------------------------- */

/* The n-th call to the system fails (and the later ones too, where sticky), or the process ends
 * there. All calls are counted and traced by their first letter. */
typedef enum fault_kind {
    FAULT_ERRNO,
    FAULT_SHORT,
    FAULT_DIE,
    FAULT_DIE_HALF,
    FAULT_CORRUPT
} fault_kind;
static struct {
    int at, n;
    bool sticky;
    fault_kind kind;
    int error;
    char trace[256];
} fault;

static bool strikes(char what)
{
    if (fault.n + 1 < (int)sizeof fault.trace) fault.trace[fault.n] = what;
    fault.n++;
    const bool now = fault.n == fault.at || (fault.sticky && fault.at && fault.n > fault.at);
    if (now && fault.kind == FAULT_DIE) _exit(77);
    if (now) errno = fault.error;
    return now && fault.kind == FAULT_ERRNO;
}

static int faulty_open(const char *path, int flags, unsigned mode)
{
    const char what = flags & O_CREAT ? 'c' : flags & O_DIRECTORY ? 'd' : 'o';
    return strikes(what) ? -1 : weft_io_system.open(path, flags, mode);
}
static int64_t faulty_read(int fd, void *to, size_t n)
{
    if (strikes('r')) return -1;
    const bool shorter = fault.kind == FAULT_SHORT && fault.n >= fault.at && fault.at && n > 1;
    return weft_io_system.read(fd, to, shorter ? n / 2 : n);
}
static int64_t faulty_write(int fd, const void *from, size_t n)
{
    if (strikes('w')) return -1;
    if (fault.kind == FAULT_CORRUPT) { /* byte number fault.at of the file */
        uint8_t *copy = malloc(n);
        ck_assert_ptr_nonnull(copy);
        memcpy(copy, from, n);
        if ((size_t)fault.at < n) copy[fault.at] ^= 0x10;
        const int64_t kept = weft_io_system.write(fd, copy, n);
        free(copy);
        return kept;
    }
    const bool here = fault.at && fault.n >= fault.at && n > 1;
    const int64_t done =
        weft_io_system.write(fd, from, here && fault.kind != FAULT_ERRNO ? n / 2 : n);
    if (here && fault.kind == FAULT_DIE_HALF) _exit(77);
    return done;
}
static int faulty_fchmod(int fd, unsigned mode)
{
    return strikes('m') ? -1 : weft_io_system.fchmod(fd, mode);
}
static int faulty_fsync(int fd) { return strikes('s') ? -1 : weft_io_system.fsync(fd); }
static int faulty_close(int fd)
{
    const bool fails = strikes('x');
    const int rc = weft_io_system.close(fd); /* a failed close has closed too */
    if (fails) errno = fault.error;
    return fails ? -1 : rc;
}
static int faulty_rename(const char *from, const char *to)
{
    return strikes('n') ? -1 : weft_io_system.rename(from, to);
}
static int faulty_unlink(const char *path)
{
    return strikes('u') ? -1 : weft_io_system.unlink(path);
}

static const weft_io faulty = { faulty_open,  faulty_read,  faulty_write,  faulty_fchmod,
                                faulty_fsync, faulty_close, faulty_rename, faulty_unlink };

static weft_status save_with_fault(const weft_params *params, int64_t update, int at,
                                   fault_kind kind, int error, bool sticky)
{
    memset(&fault, 0, sizeof fault);
    fault.at = at;
    fault.kind = kind;
    fault.error = error;
    fault.sticky = sticky;
    weft_io_use(&faulty);
    const weft_status status = save("c.h5", params, update);
    weft_io_use(NULL);
    return status;
}

/* create, write, mode, sync, close; open, read, close to check; rename; directory: open, sync, close.
 * What the disk may lose in a power cut was synced before the name pointed to it. */
START_TEST(the_calls_of_a_save_and_their_order)
{
    weft_params *params = new_model(1);
    OK(save("c.h5", params, 1));
    OK(save_with_fault(params, 2, 0, FAULT_ERRNO, 0, false));
    ck_assert_str_eq(fault.trace, "cwmsxorxndsx");
    weft_params_free(params);
}
END_TEST

static const struct {
    fault_kind kind;
    int error;
    bool sticky;
} failures[] = { { FAULT_ERRNO, EIO, false },    { FAULT_ERRNO, EIO, true },
                 { FAULT_ERRNO, ENOSPC, false }, { FAULT_ERRNO, ENOSPC, true },
                 { FAULT_ERRNO, EINTR, false },  { FAULT_ERRNO, EACCES, false },
                 { FAULT_SHORT, 0, false },      { FAULT_SHORT, 0, true } };

START_TEST(a_failing_call_loses_nothing)
{
    weft_params *params = new_model(1);
    OK(save("c.h5", params, 0));
    int n_failed = 0;
    for (int at = 1;; at++) {
        const int64_t old = mark_of("c.h5");
        const weft_status status = save_with_fault(params, at, at, failures[_i].kind,
                                                   failures[_i].error, failures[_i].sticky);
        const int n_calls = fault.n;
        const bool renamed = memchr(fault.trace, 'n', 256) != NULL && fault.at != 9;
        const int64_t now = mark_of("c.h5");
        ck_assert_msg(now == at || now == old, "call %d: neither old nor new: %s", at,
                      weft_message());
        if (status == WEFT_OK) ck_assert_int_eq(now, at);
        if (status != WEFT_OK && !renamed) ck_assert_int_eq(now, old);
        n_failed += status != WEFT_OK;
        if (status == WEFT_OK || !failures[_i].sticky) /* a sticky fault hits the removal too */
            ck_assert_int_eq(temp_dir_entries(false), 1);
        OK(weft_checkpoint_remove_orphans("c.h5"));
        ck_assert_int_eq(temp_dir_entries(false), 1);
        if (at > n_calls) {
            ck_assert(status == WEFT_OK); /* past the last call: an undisturbed save */
            break;
        }
    }
    if (failures[_i].kind == FAULT_ERRNO && failures[_i].error != EINTR)
        ck_assert_int_ge(n_failed, 9); /* all but the closes after reading and of the directory */
    else if (failures[_i].kind == FAULT_SHORT)
        ck_assert_int_eq(n_failed, 0);
    weft_params_free(params);
}
END_TEST

/* A process that saves `update` and dies at call `at`; true where it lived to the end. */
static bool dies_saving(const weft_params *params, int64_t update, int at, fault_kind kind)
{
    fflush(NULL);
    const pid_t child = fork();
    if (child == 0) {
        const weft_status status = save_with_fault(params, update, at, kind, 0, false);
        _exit(status == WEFT_OK ? 0 : 1);
    }
    int how;
    ck_assert_int_eq(waitpid(child, &how, 0), child);
    ck_assert(WIFEXITED(how) && (WEXITSTATUS(how) == 77 || WEXITSTATUS(how) == 0));
    return WEXITSTATUS(how) == 0;
}

START_TEST(a_killed_process_loses_nothing)
{
    const fault_kind kind = _i ? FAULT_DIE_HALF : FAULT_DIE;
    weft_params *params = new_model(1);
    OK(save("c.h5", params, 0));
    int n_orphans = 0;
    for (int at = 1; at <= 12; at++) {
        const int64_t old = mark_of("c.h5");
        const bool lived = dies_saving(params, at, at, kind);
        const int64_t now = mark_of("c.h5");
        ck_assert_msg(now == at || (now == old && !lived), "call %d: %s", at, weft_message());
        n_orphans += temp_dir_entries(false) - 1;
        OK(weft_checkpoint_remove_orphans("./c.h5"));
        ck_assert_int_eq(temp_dir_entries(false), 1);
    }
    ck_assert_int_ge(n_orphans, kind == FAULT_DIE ? 8 : 2);
    weft_params_free(params);
}
END_TEST

START_TEST(orphans_of_the_living_stay)
{
    weft_params *params = new_model(1);
    OK(save("c.h5", params, 1));
    char name[64];
    snprintf(name, sizeof name, "c.h5.tmp.%ld.0", (long)getppid());
    static const char *const kept[] = { "c.h5.tmp.x.0",  "c.h5.tmp.9999999.", "c.h5.tmp.-1.0",
                                        "cc.h5.tmp.1.0", "c.h5.tmp.0.0",      "c.h5.bak" };
    fclose(fopen(name, "w"));
    for (size_t i = 0; i < 6; i++) fclose(fopen(kept[i], "w"));
    OK(weft_checkpoint_remove_orphans("c.h5"));
    ck_assert_int_eq(temp_dir_entries(false), 8);
    weft_params_free(params);
}
END_TEST

/* The system itself runs out: a limit on the size of files stands for a full disk. */
START_TEST(a_full_disk_keeps_the_old_file)
{
    weft_params *params = new_model(1);
    OK(save("c.h5", params, 1));
    struct rlimit limit;
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = 4096;
    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    says(WEFT_ERR_IO, save("c.h5", params, 2), "cannot write: File too large");
    limit.rlim_cur = limit.rlim_max;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    ck_assert_int_eq(mark_of("c.h5"), 1);
    ck_assert_int_eq(temp_dir_entries(false), 1);
    weft_params_free(params);
}
END_TEST

/* A disk that keeps another byte than was written, at every 61st place: found before the rename, or
 * it lies in a gap between arrays that nobody reads. */
START_TEST(what_is_written_is_read_back_before_it_counts)
{
    weft_params *params = new_model(1), *loaded = new_model(2);
    OK(save("c.h5", params, 0));
    struct stat about;
    ck_assert_int_eq(stat("c.h5", &about), 0);
    int n_found = 0, n_tried = 0;
    for (int at = 1; at < about.st_size; at += 61, n_tried++) {
        const int64_t old = mark_of("c.h5");
        const weft_status status =
            save_with_fault(params, n_tried + 1, at, FAULT_CORRUPT, 0, false);
        ck_assert_int_eq(mark_of("c.h5"), status == WEFT_OK ? n_tried + 1 : old);
        ck_assert_int_eq(temp_dir_entries(false), 1);
        n_found += status == WEFT_ERR_FORMAT;
        if (status != WEFT_OK) continue;
        weft_checkpoint_file *file = NULL;
        OK(weft_checkpoint_open("c.h5", &file));
        OK(weft_checkpoint_load_params(file, loaded));
        weft_checkpoint_close(file);
        ck_assert(same_values(params, loaded));
    }
    ck_assert_int_gt(n_found, n_tried / 2);
    weft_params_free(params);
    weft_params_free(loaded);
}
END_TEST

/* ---- memory -------------------------------------------------------------------------------------- */

START_TEST(running_out_of_memory_loses_nothing)
{
    weft_params *params = new_model(1), *loaded = new_model(2);
    OK(save("c.h5", params, 0));
    bool done = false;
    for (int64_t n = 1; !done; n++) {
        ck_assert_int_lt(n, 2000);
        const int64_t old = mark_of("c.h5");
        weft_alloc_fail_at(n, _i == 1);
        weft_status status = save("c.h5", params, n);
        weft_checkpoint_file *file = NULL;
        if (status == WEFT_OK) status = weft_checkpoint_open("c.h5", &file);
        if (status == WEFT_OK) status = weft_checkpoint_load_params(file, loaded);
        weft_alloc_fail_at(0, false);
        weft_checkpoint_close(file);
        ck_assert(status == WEFT_OK || status == WEFT_ERR_MEMORY);
        done = status == WEFT_OK;
        const int64_t now = mark_of("c.h5");
        ck_assert(now == old || now == n);
        ck_assert_int_eq(temp_dir_entries(false), 1);
    }
    ck_assert(same_values(params, loaded));
    weft_params_free(params);
    weft_params_free(loaded);
}
END_TEST

static TCase *in_directory(TCase *tcase, Suite *suite)
{
    tcase_add_checked_fixture(tcase, temp_dir_enter, temp_dir_leave);
    tcase_set_timeout(tcase, 240);
    suite_add_tcase(suite, tcase);
    return tcase;
}

int main(void)
{
    Suite *suite = suite_create("checkpoint");
    TCase *back = in_directory(tcase_create("round_trip"), suite);
    tcase_add_test(back, everything_comes_back_bit_for_bit);
    tcase_add_test(back, equal_runs_give_equal_files);
    tcase_add_test(back, mode_of_the_file);
    tcase_add_test(back, values_that_are_not_finite_are_not_saved);
    tcase_add_test(back, a_file_of_the_other_precision_is_read);

    TCase *fit = in_directory(tcase_create("mismatch"), suite);
    tcase_add_test(fit, another_model_is_refused_and_left_alone);
    tcase_add_test(fit, foreign_layouts_are_refused);
    tcase_add_test(fit, a_file_with_infinity_is_refused);

    TCase *stopped = in_directory(tcase_create("interrupted"), suite);
    tcase_add_test(stopped, the_calls_of_a_save_and_their_order);
    tcase_add_loop_test(stopped, a_failing_call_loses_nothing, 0,
                        sizeof failures / sizeof *failures);
    tcase_add_loop_test(stopped, a_killed_process_loses_nothing, 0, 2);
    tcase_add_test(stopped, orphans_of_the_living_stay);
    tcase_add_test(stopped, a_full_disk_keeps_the_old_file);
    tcase_add_test(stopped, what_is_written_is_read_back_before_it_counts);

    TCase *memory = in_directory(tcase_create("memory"), suite);
    tcase_add_loop_test(memory, running_out_of_memory_loses_nothing, 0, 2);
    return run_suite(suite);
}
