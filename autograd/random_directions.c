/* random_directions.c - the random vectors w of random features (Choromanski et al. 2021, section 2.4).
 *
 * Each block of K vectors is a random orthogonal basis (the rows of a Gaussian matrix, orthogonalised),
 * and each vector gets the length of a Gaussian one of its own: one alone is distributed as N(0, I). */
#include "autograd/autograd.h"
#include "core/checked.h"

#include <math.h>

/* In eight chains added in a fixed order. */
static double dot(int64_t n, const double *x, const double *y)
{
    double s[8] = { 0 };
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (int k = 0; k < 8; k++) s[k] += x[i + k] * y[i + k];
    for (int k = 0; i < n; i++, k++) s[k] += x[i] * y[i];
    return ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));
}

static void draw(uint64_t key, int64_t row, int64_t K, double *w)
{
    for (int64_t c = 0; c < K; c++) w[c] = weft_random_normal(key, (uint64_t)row, (uint32_t)c);
}

/* Row `row` of a block becomes orthogonal to those before it, and of length 1. Twice is enough (Giraud
 * et al. 2005). */
static void orthogonalise(int64_t row, int64_t K, double *block)
{
    double *w = block + row * K;
    for (int pass = 0; pass < 2; pass++)
        for (int64_t r = 0; r < row; r++) {
            const double *other = block + r * K, along = dot(K, w, other);
            for (int64_t c = 0; c < K; c++) w[c] -= along * other[c];
        }
    const double length = sqrt(dot(K, w, w));
    for (int64_t c = 0; c < K; c++) w[c] /= length;
}

/* block[K, K] and length[K] are room. */
static void draw_all(int64_t m, int64_t K, bool independent, uint64_t key, double *block,
                     weft_real *W)
{
    double *length = block + K * K;
    for (int64_t j = 0; j < m; j++) {
        double *w = block + j % K * K, scale = 1;
        draw(key, j, K, w);
        if (!independent) {
            orthogonalise(j % K, K, block);
            draw(key, m + j, K, length);
            scale = sqrt(dot(K, length, length));
        }
        for (int64_t c = 0; c < K; c++) W[j * K + c] = (weft_real)(scale * w[c]);
    }
}

weft_var weft_favor_directions(weft_tape *t, int64_t m, int64_t K, bool independent, uint64_t key)
{
    if (weft_tape_status(t) != WEFT_OK) return WEFT_NIL;
    int64_t size, square;
    if (m < 1 || K < 1 || !weft_mul_i64(m, K, &size) || !weft_mul_i64(K, K + 1, &square)) {
        weft_tape_fail(t, WEFT_ERR_RANGE, "favor_directions: %lld vectors of %lld elements",
                       (long long)m, (long long)K);
        return WEFT_NIL;
    }
    if (weft_tape_flags(t) & WEFT_DRY) return weft_constant(t, WEFT_DIMS(m, K), NULL);
    double *block = weft_alloc((size_t)square, sizeof *block);
    weft_real *W = weft_alloc((size_t)size, sizeof *W);
    weft_var x = WEFT_NIL;
    if (block && W) {
        draw_all(m, K, independent, key, block, W);
        x = weft_constant(t, WEFT_DIMS(m, K), W);
    } else {
        weft_tape_fail(t, WEFT_ERR_MEMORY, "favor_directions: %s", weft_message());
    }
    weft_free(block);
    weft_free(W);
    return x;
}
