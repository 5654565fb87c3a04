/* samples.c - the cases that elementwise operations share: ragged, single, strided, repeated. */
#include "autograd/ops_internal.h"

#include <string.h>

/* A column slice of a wider uniform leaf. */
static weft_var strided_uniform(weft_tape *tape, double low, double high, int rank,
                                const int64_t dim[])
{
    int64_t wide[WEFT_MAX_RANK] = { 0 };
    memcpy(wide, dim, (size_t)rank * sizeof *dim);
    wide[rank - 1] += 3;
    return weft_slice(tape, weft_sample_uniform(tape, low, high, rank, wide), rank - 1, 1,
                      1 + dim[rank - 1]);
}

weft_var weft_sample_unary(weft_tape *t, int i, weft_var (*f)(weft_tape *, weft_var), double low,
                           double high)
{
    weft_var x;
    switch (i) {
    case 0: return f(t, weft_sample_uniform(t, low, high, WEFT_DIMS(3, 4)));
    case 1: return f(t, weft_sample_uniform(t, low, high, 0, NULL));
    case 2: return f(t, weft_sample_uniform(t, low, high, WEFT_DIMS(37)));
    case 3: return f(t, weft_sample_uniform(t, low, high, WEFT_DIMS(2, 3, 5)));
    case 4: return f(t, strided_uniform(t, low, high, WEFT_DIMS(4, 5)));
    case 5: return f(t, strided_uniform(t, low, high, WEFT_DIMS(2, 3, 2)));
    case 6: x = weft_sample_uniform(t, low, high, WEFT_DIMS(3, 3)); return weft_mul(t, x, f(t, x));
    case 7:
        x = weft_sample_uniform(t, low, high, WEFT_DIMS(2, 5));
        return weft_mul(t, f(t, x), weft_mul(t, f(t, x), f(t, x)));
    case 8: return f(t, weft_sample_uniform(t, low, high, WEFT_DIMS(1, 1, 1, 1)));
    case 9: return f(t, weft_sample_uniform(t, low, high, WEFT_DIMS(9, 1)));
    default: return WEFT_NIL;
    }
}

weft_var weft_misuse_unary(weft_tape *t, int i, weft_var (*f)(weft_tape *, weft_var))
{
    switch (i) {
    case 0: return f(t, WEFT_NIL);
    case 1: return f(t, weft_sample_int(t, 0, 5, WEFT_DIMS(2, 3)));
    default: return WEFT_NIL;
    }
}

weft_var weft_sample_binary(weft_tape *t, int i, weft_var (*f)(weft_tape *, weft_var, weft_var),
                            double low, double high)
{
    weft_var x;
    switch (i) {
    case 0:
        return f(t, weft_sample_normal(t, WEFT_DIMS(3, 4)),
                 weft_sample_uniform(t, low, high, WEFT_DIMS(3, 4)));
    case 1: return f(t, weft_sample_normal(t, 0, NULL), weft_sample_uniform(t, low, high, 0, NULL));
    case 2:
        return f(t, weft_sample_normal(t, WEFT_DIMS(2, 3, 4)),
                 weft_sample_uniform(t, low, high, WEFT_DIMS(4)));
    case 3:
        return f(t, weft_sample_normal(t, WEFT_DIMS(5, 1)),
                 weft_sample_uniform(t, low, high, WEFT_DIMS(1, 7)));
    case 4:
        return f(t, weft_sample_strided(t, WEFT_DIMS(4, 5)),
                 weft_sample_uniform(t, low, high, WEFT_DIMS(4, 5)));
    case 5:
        return f(t, weft_sample_strided(t, WEFT_DIMS(2, 3, 5)),
                 strided_uniform(t, low, high, WEFT_DIMS(3, 5)));
    case 6:
        return f(t, weft_sample_normal(t, 0, NULL),
                 weft_sample_uniform(t, low, high, WEFT_DIMS(2, 3)));
    case 7: /* one value on both sides, and once more outside */
        x = weft_sample_uniform(t, low, high, WEFT_DIMS(3, 3));
        return weft_mul(t, x, f(t, weft_mul(t, x, x), x));
    case 8:
        return f(t, weft_sample_normal(t, WEFT_DIMS(2, 1, 3, 1)),
                 weft_sample_uniform(t, low, high, WEFT_DIMS(4, 1, 5)));
    case 9:
        return f(t, weft_sample_uniform(t, -1e3, 1e3, WEFT_DIMS(9)),
                 weft_sample_uniform(t, low, high, WEFT_DIMS(1)));
    default: return WEFT_NIL;
    }
}

weft_var weft_misuse_binary(weft_tape *t, int i, weft_var (*f)(weft_tape *, weft_var, weft_var))
{
    const weft_var x = weft_sample_normal(t, WEFT_DIMS(2, 3));
    switch (i) {
    case 0: return f(t, x, weft_sample_normal(t, WEFT_DIMS(2, 4)));
    case 1: return f(t, x, WEFT_NIL);
    case 2: return f(t, x, weft_sample_int(t, 0, 5, WEFT_DIMS(2, 3)));
    case 3: return f(t, weft_sample_int(t, 0, 5, WEFT_DIMS(2, 3)), x);
    default: return WEFT_NIL;
    }
}
