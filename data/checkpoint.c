/* checkpoint.c - which arrays a checkpoint has, and that they fit the model. */
#include "data/checkpoint.h"

#include "core/checked.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* The file is a tree of arrays:
 *     format               int64: the layout's number
 *     params/<parameter>   the values
 *     optim/<block>/<parameter>
 *     state/<name>         int64 or float64, one value
 *     text/<name>          uint8, UTF-8 without NUL */
enum { FORMAT = 1 };
enum { MAX_NAME = 1023 };

/* ---- saving -------------------------------------------------------------------------------------- */

static weft_status join(char name[MAX_NAME + 1], const char *group, const char *part)
{
    if (!part || !*part || strchr(part, '/'))
        return weft_error(WEFT_ERR_INPUT, "\"%s\" cannot name a part of a checkpoint (%s)",
                          part ? part : "", group);
    const int n = snprintf(name, MAX_NAME + 1, "%s/%s", group, part);
    if (n > MAX_NAME)
        return weft_error(WEFT_ERR_INPUT, "%s/%.40s...: the name is too long", group, part);
    return WEFT_OK;
}

static weft_status check_finite(const char *name, const weft_real *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (!isfinite(x[i]))
            return weft_error(WEFT_ERR_NUMERIC, "%s: element %lld is %g", name, (long long)i,
                              (double)x[i]);
    return WEFT_OK;
}

/* One array a parameter; `block` is laid out as the parameters' own. */
static weft_status write_block(weft_store_writer *writer, const char *group,
                               const weft_params *params, const weft_real *block)
{
    char name[MAX_NAME + 1];
    weft_status status = weft_store_write_group(writer, group, weft_params_count(params));
    for (int i = 0; status == WEFT_OK && i < weft_params_count(params); i++) {
        const weft_tensor shape = weft_params_value(params, i);
        const weft_real *x = block ? block + weft_params_offset(params, i) : shape.real;
        status = join(name, group, weft_params_name(params, i));
        if (status == WEFT_OK) status = check_finite(name, x, weft_size(&shape));
        if (status == WEFT_OK)
            status = weft_store_write(writer, name, WEFT_STORE_REAL, shape.rank, shape.dim, x);
    }
    return status;
}

static weft_status write_blocks(weft_store_writer *writer, const weft_checkpoint *state)
{
    weft_status status = write_block(writer, "params", state->params, NULL);
    char group[MAX_NAME + 1];
    for (int i = 0; status == WEFT_OK && i < state->n_blocks; i++) {
        status = join(group, "optim", state->blocks[i].name);
        if (status == WEFT_OK)
            status = write_block(writer, group, state->params, state->blocks[i].values);
    }
    return status;
}

static weft_status write_scalars(weft_store_writer *writer, const weft_checkpoint *state)
{
    char name[MAX_NAME + 1];
    weft_status status = WEFT_OK;
    for (int i = 0; status == WEFT_OK && i < state->n_integers; i++) {
        status = join(name, "state", state->integers[i].name);
        if (status == WEFT_OK)
            status = weft_store_write_int(writer, name, state->integers[i].value);
    }
    for (int i = 0; status == WEFT_OK && i < state->n_doubles; i++) {
        status = join(name, "state", state->doubles[i].name);
        if (status == WEFT_OK)
            status = weft_store_write_double(writer, name, state->doubles[i].value);
    }
    for (int i = 0; status == WEFT_OK && i < state->n_texts; i++) {
        status = join(name, "text", state->texts[i].name);
        if (status == WEFT_OK) status = weft_store_write_text(writer, name, state->texts[i].text);
    }
    return status;
}

/* Memory to set aside; 0 (let it grow) where the sum does not fit. */
static size_t expected_bytes(const weft_checkpoint *state)
{
    const int n_arrays = weft_params_count(state->params);
    size_t each, sum, texts = 0;
    if (!weft_mul_bytes((size_t)weft_params_size(state->params), sizeof(weft_real), &each) ||
        !weft_add_bytes(each, (size_t)n_arrays * 1024, &each) ||
        !weft_mul_bytes(each, (size_t)state->n_blocks + 1, &sum))
        return 0;
    for (int i = 0; i < state->n_texts; i++) texts += strlen(state->texts[i].text);
    return weft_add_bytes(sum, texts, &sum) ? sum : 0;
}

weft_status weft_checkpoint_save(const char *path, const weft_checkpoint *state)
{
    weft_store_writer *writer = weft_store_writer_new(expected_bytes(state));
    if (!writer) return weft_error_prefix(WEFT_ERR_MEMORY, "%s: ", path);
    weft_status status = weft_store_write_int(writer, "format", FORMAT);
    if (status == WEFT_OK) status = write_scalars(writer, state);
    if (status == WEFT_OK) status = write_blocks(writer, state);
    if (status == WEFT_OK)
        status = weft_store_save(writer, path);
    else
        weft_error_prefix(status, "%s is not saved: ", path);
    weft_store_writer_free(writer);
    return status;
}

weft_status weft_checkpoint_remove_orphans(const char *path)
{
    return weft_store_remove_orphans(path);
}

/* ---- opening ------------------------------------------------------------------------------------- */

struct weft_checkpoint_file {
    weft_store *store;
};

/* "params/x" in group "params": "x"; otherwise NULL. */
static const char *member(const char *name, const char *group)
{
    const size_t n = strlen(group);
    return strncmp(name, group, n) == 0 && name[n] == '/' ? name + n + 1 : NULL;
}

static bool is_real(const weft_store_entry *entry)
{
    return entry->type == WEFT_STORE_F32 || entry->type == WEFT_STORE_F64;
}

static bool same_shape(const weft_store_entry *a, const weft_store_entry *b)
{
    return a->rank == b->rank && memcmp(a->dim, b->dim, sizeof a->dim[0] * (size_t)a->rank) == 0;
}

/* Of a block's array: the parameter it belongs to, which must be there in the same shape. */
static weft_status check_block_entry(const weft_store *store, const weft_store_entry *entry,
                                     const char *part)
{
    const char *parameter = strchr(part, '/'), *path = weft_store_path(store);
    if (!parameter || strchr(parameter + 1, '/'))
        return weft_error(WEFT_ERR_FORMAT, "%s: %s is no part of a checkpoint", path, entry->name);
    char name[MAX_NAME + 1];
    snprintf(name, sizeof name, "params%s", parameter);
    const weft_store_entry *of = weft_store_find(store, name);
    if (!of)
        return weft_error(WEFT_ERR_FORMAT, "%s: %s belongs to no parameter", path, entry->name);
    if (is_real(entry) && same_shape(entry, of)) return WEFT_OK;
    char has[WEFT_SHAPE_TEXT], wants[WEFT_SHAPE_TEXT];
    return weft_error(WEFT_ERR_FORMAT, "%s: %s is %s %s, its parameter real %s", path, entry->name,
                      weft_store_type_name(entry->type), weft_store_shape_text(entry, has),
                      weft_store_shape_text(of, wants));
}

static weft_status check_entry(const weft_store *store, const weft_store_entry *entry)
{
    const char *part;
    bool right;
    if ((part = member(entry->name, "optim"))) return check_block_entry(store, entry, part);
    if ((part = member(entry->name, "params")))
        right = is_real(entry);
    else if ((part = member(entry->name, "state")))
        right =
            entry->rank == 0 && (entry->type == WEFT_STORE_I64 || entry->type == WEFT_STORE_F64);
    else if ((part = member(entry->name, "text")))
        right = entry->rank == 1 && entry->type == WEFT_STORE_U8;
    else
        right = strcmp(entry->name, "format") == 0;
    if (right && (!part || !strchr(part, '/'))) return WEFT_OK;
    char shape[WEFT_SHAPE_TEXT];
    return weft_error(WEFT_ERR_FORMAT, "%s: %s (%s %s) is no part of a checkpoint",
                      weft_store_path(store), entry->name, weft_store_type_name(entry->type),
                      weft_store_shape_text(entry, shape));
}

static weft_status check_layout(const weft_store *store)
{
    if (!weft_store_find(store, "format"))
        return weft_error(WEFT_ERR_FORMAT, "%s: is an HDF5 file, but not a checkpoint of weft",
                          weft_store_path(store));
    int64_t format;
    weft_status status = weft_store_read(store, "format", WEFT_STORE_I64, 0, NULL, &format);
    if (status != WEFT_OK) return weft_error_prefix(WEFT_ERR_FORMAT, "not a checkpoint of weft: ");
    if (format != FORMAT)
        return weft_error(WEFT_ERR_FORMAT,
                          "%s: has checkpoint format %lld, this weft reads %d: it was written by "
                          "another version, which can still use it",
                          weft_store_path(store), (long long)format, FORMAT);
    for (int i = 0; status == WEFT_OK && i < weft_store_count(store); i++)
        status = check_entry(store, weft_store_at(store, i));
    return status;
}

weft_status weft_checkpoint_open(const char *path, weft_checkpoint_file **file)
{
    weft_checkpoint_file *opened = weft_alloc(1, sizeof *opened);
    if (!opened) return WEFT_ERR_MEMORY;
    weft_status status = weft_store_open(path, 0, &opened->store);
    if (status == WEFT_OK) status = check_layout(opened->store);
    if (status != WEFT_OK) {
        weft_checkpoint_close(opened);
        return status;
    }
    *file = opened;
    return WEFT_OK;
}

void weft_checkpoint_close(weft_checkpoint_file *file)
{
    if (!file) return;
    weft_store_free(file->store);
    weft_free(file);
}

const weft_store *weft_checkpoint_store(const weft_checkpoint_file *file) { return file->store; }

/* ---- loading ------------------------------------------------------------------------------------- */

weft_status weft_checkpoint_get_integer(const weft_checkpoint_file *file, const char *name,
                                        int64_t *value)
{
    char full[MAX_NAME + 1];
    const weft_status status = join(full, "state", name);
    return status != WEFT_OK ? status
                             : weft_store_read(file->store, full, WEFT_STORE_I64, 0, NULL, value);
}

weft_status weft_checkpoint_get_double(const weft_checkpoint_file *file, const char *name,
                                       double *value)
{
    char full[MAX_NAME + 1];
    const weft_status status = join(full, "state", name);
    return status != WEFT_OK ? status
                             : weft_store_read(file->store, full, WEFT_STORE_F64, 0, NULL, value);
}

weft_status weft_checkpoint_get_text(const weft_checkpoint_file *file, const char *name,
                                     char **text)
{
    char full[MAX_NAME + 1];
    const weft_status status = join(full, "text", name);
    return status != WEFT_OK ? status : weft_store_read_text(file->store, full, text);
}

static int count_members(const weft_store *store, const char *group)
{
    int n = 0;
    for (int i = 0; i < weft_store_count(store); i++)
        n += member(weft_store_at(store, i)->name, group) != NULL;
    return n;
}

bool weft_checkpoint_has_block(const weft_checkpoint_file *file, const char *block)
{
    char group[MAX_NAME + 1];
    return join(group, "optim", block) == WEFT_OK && count_members(file->store, group) > 0;
}

static weft_status check_parameter(const weft_store *store, const char *name, const char *parameter,
                                   const weft_tensor *shape)
{
    const weft_store_entry *entry = weft_store_find(store, name);
    char wants[WEFT_SHAPE_TEXT], has[WEFT_SHAPE_TEXT];
    if (!entry)
        return weft_error(WEFT_ERR_SHAPE, "%s: %s is missing, the model has %s %s",
                          weft_store_path(store), name, parameter, weft_shape_text(shape, wants));
    bool same = entry->rank == shape->rank;
    for (int i = 0; same && i < shape->rank; i++) same = entry->dim[i] == shape->dim[i];
    if (same) return WEFT_OK;
    return weft_error(WEFT_ERR_SHAPE, "%s: %s is %s in the file, %s in the model",
                      weft_store_path(store), name, weft_store_shape_text(entry, has),
                      weft_shape_text(shape, wants));
}

/* Every parameter of the model in the file, and none besides. */
static weft_status check_parameters(const weft_store *store, const char *group,
                                    const weft_params *params)
{
    char name[MAX_NAME + 1];
    for (int i = 0; i < weft_params_count(params); i++) {
        const weft_tensor shape = weft_params_value(params, i);
        weft_status status = join(name, group, weft_params_name(params, i));
        if (status == WEFT_OK)
            status = check_parameter(store, name, weft_params_name(params, i), &shape);
        if (status != WEFT_OK) return status;
    }
    if (count_members(store, group) == weft_params_count(params)) return WEFT_OK;
    for (int i = 0; i < weft_store_count(store); i++) {
        const weft_store_entry *entry = weft_store_at(store, i);
        const char *parameter = member(entry->name, group);
        if (!parameter || weft_params_find(params, parameter) >= 0) continue;
        char has[WEFT_SHAPE_TEXT];
        return weft_error(WEFT_ERR_SHAPE, "%s: %s %s is in the file, but not in the model",
                          weft_store_path(store), entry->name, weft_store_shape_text(entry, has));
    }
    return WEFT_OK;
}

static weft_status load_group(const weft_store *store, const char *group, const weft_params *params,
                              weft_real *block)
{
    weft_status status = check_parameters(store, group, params);
    char name[MAX_NAME + 1];
    /* First pass into memory of our own: nothing of the model changes before all of it is good. */
    weft_real *loaded = NULL;
    if (status == WEFT_OK) {
        loaded = weft_alloc((size_t)weft_params_block_size(params), sizeof *loaded);
        if (!loaded) status = WEFT_ERR_MEMORY;
    }
    for (int i = 0; status == WEFT_OK && i < weft_params_count(params); i++) {
        const weft_tensor shape = weft_params_value(params, i);
        weft_real *x = loaded + weft_params_offset(params, i);
        status = join(name, group, weft_params_name(params, i));
        if (status == WEFT_OK)
            status = weft_store_read(store, name, WEFT_STORE_REAL, shape.rank, shape.dim, x);
        if (status == WEFT_OK) status = check_finite(name, x, weft_size(&shape));
    }
    for (int i = 0; status == WEFT_OK && i < weft_params_count(params); i++) {
        const weft_tensor shape = weft_params_value(params, i);
        const int64_t at = weft_params_offset(params, i);
        memcpy(block + at, loaded + at, (size_t)weft_size(&shape) * sizeof *block);
    }
    weft_free(loaded);
    return status;
}

weft_status weft_checkpoint_load_params(const weft_checkpoint_file *file, weft_params *params)
{
    const weft_status status =
        load_group(file->store, "params", params, weft_params_values(params));
    if (status == WEFT_OK) weft_params_changed(params);
    return status;
}

weft_status weft_checkpoint_load_block(const weft_checkpoint_file *file, const char *block,
                                       const weft_params *params, weft_real *values)
{
    char group[MAX_NAME + 1];
    const weft_status status = join(group, "optim", block);
    return status != WEFT_OK ? status : load_group(file->store, group, params, values);
}
