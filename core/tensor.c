/* tensor.c - shapes: sizes, text, broadcasting. */
#include "core/checked.h"
#include "core/core.h"

#include <stdio.h>
#include <string.h>

size_t weft_dtype_bytes(weft_dtype dtype)
{
    switch (dtype) {
    case WEFT_REAL: return sizeof(weft_real);
    case WEFT_INT32: return sizeof(int32_t);
    case WEFT_BYTE: return 1;
    }
    return 0;
}

int64_t weft_cols(const weft_tensor *x) { return x->rank > 0 ? x->dim[x->rank - 1] : 1; }

int64_t weft_rows(const weft_tensor *x)
{
    int64_t R = 1;
    for (int i = 0; i + 1 < x->rank; i++) R *= x->dim[i];
    return R;
}

int64_t weft_size(const weft_tensor *x) { return weft_rows(x) * weft_cols(x); }

bool weft_is_dense(const weft_tensor *x) { return x->ld == weft_cols(x) || weft_rows(x) <= 1; }

bool weft_same_shape(const weft_tensor *a, const weft_tensor *b)
{
    if (a->rank != b->rank) return false;
    for (int i = 0; i < a->rank; i++)
        if (a->dim[i] != b->dim[i]) return false;
    return true;
}

weft_status weft_tensor_init(weft_tensor *x, weft_dtype dtype, int rank, const int64_t dim[])
{
    if (rank < 0 || rank > WEFT_MAX_RANK)
        return weft_error(WEFT_ERR_SHAPE, "a tensor has 0 to %d dimensions, not %d", WEFT_MAX_RANK,
                          rank);
    *x = (weft_tensor){ .rank = rank, .dtype = dtype };
    int64_t product = (int64_t)weft_dtype_bytes(dtype);
    bool fits = true;
    for (int i = 0; i < rank; i++) {
        if (dim[i] < 0)
            return weft_error(WEFT_ERR_SHAPE, "dimension %d is %lld: a size cannot be negative", i,
                              (long long)dim[i]);
        x->dim[i] = dim[i];
        /* A zero must not hide that the others overflow: sizes are multiplied in any order later. */
        fits = fits && weft_mul_i64(product, dim[i] ? dim[i] : 1, &product);
    }
    if (!fits) {
        char text[WEFT_SHAPE_TEXT];
        return weft_error(WEFT_ERR_OVERFLOW, "a tensor %s has more bytes than 64 bits can count",
                          weft_shape_text(x, text));
    }
    x->ld = weft_cols(x);
    return WEFT_OK;
}

weft_status weft_broadcast(const weft_tensor *a, const weft_tensor *b, int *rank, int64_t dim[])
{
    *rank = a->rank > b->rank ? a->rank : b->rank;
    for (int i = 1; i <= *rank; i++) { /* from the last dimension */
        const int64_t m = i <= a->rank ? a->dim[a->rank - i] : 1;
        const int64_t n = i <= b->rank ? b->dim[b->rank - i] : 1;
        if (m != n && m != 1 && n != 1) {
            char text_a[WEFT_SHAPE_TEXT], text_b[WEFT_SHAPE_TEXT];
            return weft_error(WEFT_ERR_SHAPE,
                              "%s and %s do not broadcast: dimension %d from the end is %lld and "
                              "%lld; sizes must be equal or 1",
                              weft_shape_text(a, text_a), weft_shape_text(b, text_b), i,
                              (long long)m, (long long)n);
        }
        dim[*rank - i] = m == 1 ? n : m;
    }
    return WEFT_OK;
}

const char *weft_shape_text(const weft_tensor *x, char buf[WEFT_SHAPE_TEXT])
{
    size_t n = (size_t)snprintf(buf, WEFT_SHAPE_TEXT, "[");
    for (int i = 0; i < x->rank && i < WEFT_MAX_RANK; i++)
        n += (size_t)snprintf(buf + n, WEFT_SHAPE_TEXT - n, "%s%lld", i ? ", " : "",
                              (long long)x->dim[i]);
    snprintf(buf + n, WEFT_SHAPE_TEXT - n, "]");
    return buf;
}
