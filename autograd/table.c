/* table.c - the table of operations, made from ops.def, and what samples are drawn from. */
#include "autograd/tape_internal.h"

#include <string.h>

#define WEFT_OP(name, prototype) extern const weft_op weft_op_##name;
#include "autograd/ops.def"
#undef WEFT_OP

#define WEFT_OP(name, prototype) &weft_op_##name,
const weft_op *const weft_op_table[] = {
#include "autograd/ops.def"
};
#undef WEFT_OP

const int weft_op_count = sizeof weft_op_table / sizeof *weft_op_table;

const weft_op *weft_op_find(const char *name)
{
    for (int i = 0; i < weft_op_count; i++)
        if (strcmp(weft_op_table[i]->name, name) == 0) return weft_op_table[i];
    return NULL;
}

/* ---- samples -------------------------------------------------------------------------------- */

enum { NORMAL, UNIFORM, INTEGER };

/* A leaf (or integers) filled from the tape's seed; each sample draws its own stream. */
static weft_var draw(weft_tape *tape, int kind, double low, double high, int rank,
                     const int64_t dim[])
{
    weft_tensor shape;
    const weft_status status =
        weft_tensor_init(&shape, kind == INTEGER ? WEFT_INT32 : WEFT_REAL, rank, dim);
    if (status != WEFT_OK) {
        weft_tape_fail(tape, status, "sample: %s", weft_message());
        return WEFT_NIL;
    }
    const int64_t n = weft_size(&shape);
    void *data = weft_alloc((size_t)n, weft_dtype_bytes(shape.dtype));
    if (!data) {
        weft_tape_fail(tape, WEFT_ERR_MEMORY, "sample: %s", weft_message());
        return WEFT_NIL;
    }
    const uint64_t key = weft_random_key(tape->seed, UINT64_MAX, 0), row = tape->sample_row++;
    for (int64_t k = 0; k < n; k++) {
        const double u = weft_random_uniform(key, row, (uint32_t)k);
        if (kind == INTEGER)
            ((int32_t *)data)[k] = (int32_t)(low + (double)(int64_t)(u * (high - low)));
        else
            ((weft_real *)data)[k] =
                (weft_real)(kind == UNIFORM ? low + u * (high - low)
                                            : weft_random_normal(key, row, (uint32_t)k));
    }
    const weft_var x = kind == INTEGER ? weft_constant_int(tape, rank, dim, data)
                                       : weft_leaf(tape, rank, dim, data);
    weft_free(data);
    return x;
}

weft_var weft_sample_normal(weft_tape *tape, int rank, const int64_t dim[])
{
    return draw(tape, NORMAL, 0, 1, rank, dim);
}

weft_var weft_sample_uniform(weft_tape *tape, double low, double high, int rank,
                             const int64_t dim[])
{
    return draw(tape, UNIFORM, low, high, rank, dim);
}

weft_var weft_sample_int(weft_tape *tape, int32_t low, int32_t high, int rank, const int64_t dim[])
{
    return draw(tape, INTEGER, low, high, rank, dim);
}

weft_var weft_sample_strided(weft_tape *tape, int rank, const int64_t dim[])
{
    int64_t wide[WEFT_MAX_RANK] = { 0 };
    if (rank < 1 || rank > WEFT_MAX_RANK) {
        weft_tape_fail(tape, WEFT_ERR_SHAPE, "sample: rank %d has no column slice", rank);
        return WEFT_NIL;
    }
    memcpy(wide, dim, (size_t)rank * sizeof *dim);
    wide[rank - 1] += 3;
    return weft_slice(tape, weft_sample_normal(tape, rank, wide), rank - 1, 1, 1 + dim[rank - 1]);
}

void weft_sample_zero_gradient(weft_tape *tape) { tape->sample_zero_gradient = true; }
