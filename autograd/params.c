/* params.c - named parameters in two flat blocks, values and gradients.
 *
 * Both blocks are arenas from which nothing is given back: addresses are reserved once, so adding a
 * parameter moves none, and an optimiser is one loop over one block. */
#include "autograd/autograd.h"

#include "core/checked.h"

#include <assert.h>
#include <math.h>
#include <string.h>
#define XXH_INLINE_ALL /* the header alone: these rooms need no library */
#include <xxhash.h>

typedef struct entry {
    char *name;
    weft_tensor shape;
    int64_t offset; /* elements from the start of the blocks */
} entry;

struct weft_params {
    weft_arena *values, *gradients;
    entry *entries;
    int n, capacity;
    int64_t size; /* elements, without padding */
    uint64_t seed, version;
};

static weft_params *make(uint64_t seed, bool dry)
{
    weft_params *params = weft_alloc(1, sizeof *params);
    if (!params) return NULL;
    params->seed = seed;
    params->values = weft_arena_new(dry);
    params->gradients = weft_arena_new(dry);
    if (!params->values || !params->gradients) {
        weft_params_free(params);
        return NULL;
    }
    return params;
}

weft_params *weft_params_new(uint64_t seed) { return make(seed, false); }
weft_params *weft_params_new_dry(void) { return make(0, true); }

void weft_params_free(weft_params *params)
{
    if (!params) return;
    for (int i = 0; i < params->n; i++) weft_free(params->entries[i].name);
    weft_free(params->entries);
    weft_arena_free(params->values);
    weft_arena_free(params->gradients);
    weft_free(params);
}

/* Rows [from, to) of C values in `blocks` equal blocks; fan_out and fan_in are those of one block. */
static void initialise(const weft_params *params, const entry *e, int64_t from, int64_t to,
                       weft_init init, weft_real *x)
{
    const int64_t C = weft_cols(&e->shape);
    const double scale = init.scale == 0 ? 1 : init.scale;
    const int64_t fan_out = (to - from) / (init.blocks > 0 ? init.blocks : 1);
    const double bound = init.kind == WEFT_INIT_XAVIER_UNIFORM
                             ? scale * sqrt(6.0 / (double)(C + (fan_out ? fan_out : 1)))
                             : scale;
    const uint64_t key = weft_random_key(params->seed, 0, XXH3_64bits(e->name, strlen(e->name)));
    for (int64_t r = from; r < to; r++) {
        for (int64_t c = 0; c < C; c++) {
            double value = 0;
            switch (init.kind) {
            case WEFT_INIT_ZEROS: break;
            case WEFT_INIT_ONES: value = scale; break;
            case WEFT_INIT_NORMAL:
                value = scale * weft_random_normal(key, (uint64_t)r, (uint32_t)c);
                break;
            case WEFT_INIT_UNIFORM:
            case WEFT_INIT_XAVIER_UNIFORM:
                value = bound * (2 * weft_random_uniform(key, (uint64_t)r, (uint32_t)c) - 1);
                break;
            }
            x[r * C + c] = (weft_real)value;
        }
    }
}

static weft_status check_new(const weft_params *params, const char *name, const weft_tensor *shape,
                             weft_init init)
{
    if (!name || !*name) return weft_error(WEFT_ERR_INPUT, "a parameter needs a name");
    if (weft_params_find(params, name) >= 0)
        return weft_error(WEFT_ERR_STATE, "parameter %s: there is one of this name already", name);
    const int blocks = init.blocks ? init.blocks : 1;
    if (blocks < 1 || weft_rows(shape) % blocks != 0)
        return weft_error(WEFT_ERR_SHAPE, "parameter %s: %lld rows do not divide into %d blocks",
                          name, (long long)weft_rows(shape), blocks);
    return WEFT_OK;
}

weft_status weft_params_add(weft_params *params, const char *name, int rank, const int64_t dim[],
                            weft_init init, weft_param *out)
{
    entry e = { 0 };
    *out = (weft_param){ NULL, 0 };
    weft_status status = weft_tensor_init(&e.shape, WEFT_REAL, rank, dim);
    if (status != WEFT_OK) return weft_error_prefix(status, "parameter %s: ", name ? name : "?");
    if ((status = check_new(params, name, &e.shape, init)) != WEFT_OK) return status;

    if (params->n == params->capacity) {
        const int capacity = params->capacity ? 2 * params->capacity : 64;
        entry *entries = weft_realloc(params->entries, (size_t)capacity, sizeof *entries);
        if (!entries) return WEFT_ERR_MEMORY;
        params->entries = entries;
        params->capacity = capacity;
    }
    const size_t bytes = (size_t)weft_size(&e.shape) * sizeof(weft_real);
    size_t at, at_gradient;
    if (!(e.name = weft_strdup(name))) return WEFT_ERR_MEMORY;
    if ((status = weft_arena_take(params->values, bytes, &at)) != WEFT_OK) goto no_memory;
    if ((status = weft_arena_take(params->gradients, bytes, &at_gradient)) != WEFT_OK) {
        weft_arena_give(params->values, at, bytes);
        goto no_memory;
    }
    assert(at == at_gradient);
    e.offset = (int64_t)(at / sizeof(weft_real));
    weft_real *x = weft_arena_at(params->values, at);
    if (x) initialise(params, &e, 0, weft_rows(&e.shape), init, x);
    params->entries[params->n] = e;
    params->size += weft_size(&e.shape);
    params->version++;
    *out = (weft_param){ params, params->n++ };
    return WEFT_OK;

no_memory:
    weft_free(e.name);
    return weft_error_prefix(status, "parameter %s: ", name);
}

weft_status weft_params_init_rows(weft_param param, int64_t from, int64_t to, weft_init init)
{
    const entry *e = &param.params->entries[param.index];
    const int blocks = init.blocks > 0 ? init.blocks : 1;
    if (from < 0 || from >= to || to > weft_rows(&e->shape) || (to - from) % blocks != 0)
        return weft_error(WEFT_ERR_RANGE, "parameter %s: rows %lld to %lld of %lld in %d blocks",
                          e->name, (long long)from, (long long)to, (long long)weft_rows(&e->shape),
                          blocks);
    weft_real *x = weft_params_value(param.params, param.index).real;
    if (x) initialise(param.params, e, from, to, init, x);
    param.params->version++;
    return WEFT_OK;
}

int weft_params_count(const weft_params *params) { return params->n; }
int64_t weft_params_size(const weft_params *params) { return params->size; }
const char *weft_params_name(const weft_params *params, int index)
{
    return params->entries[index].name;
}

int64_t weft_params_offset(const weft_params *params, int index)
{
    return params->entries[index].offset;
}

static weft_tensor tensor_in(const weft_arena *block, const entry *e)
{
    weft_tensor x = e->shape;
    x.data = weft_arena_at(block, (size_t)e->offset * sizeof(weft_real));
    return x;
}

weft_tensor weft_params_value(const weft_params *params, int index)
{
    return tensor_in(params->values, &params->entries[index]);
}

weft_tensor weft_params_gradient(const weft_params *params, int index)
{
    return tensor_in(params->gradients, &params->entries[index]);
}

int weft_params_find(const weft_params *params, const char *name)
{
    for (int i = 0; i < params->n; i++)
        if (strcmp(params->entries[i].name, name) == 0) return i;
    return -1;
}

int64_t weft_params_block_size(const weft_params *params)
{
    return (int64_t)(weft_arena_used_bytes(params->values) / sizeof(weft_real));
}

weft_real *weft_params_values(weft_params *params) { return weft_arena_at(params->values, 0); }
weft_real *weft_params_gradients(weft_params *params)
{
    return weft_arena_at(params->gradients, 0);
}

void weft_params_zero_gradients(weft_params *params)
{
    weft_real *g = weft_params_gradients(params);
    if (g) memset(g, 0, weft_arena_used_bytes(params->gradients));
}

void weft_params_changed(weft_params *params) { params->version++; }
uint64_t weft_params_version(const weft_params *params) { return params->version; }
