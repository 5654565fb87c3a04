/* activation.c - the activation functions as kernels: used by their own operations and by linear. */
#include "autograd/fused_internal.h"

#include "core/kernel.h"
#include "core/vecmath.h"

#include <assert.h>
#include <string.h>

/* sqrt(2 / pi) and the cubic term of GELU's tanh form (Hendrycks & Gimpel 2016, section 2). */
#define GELU_ROOT ((weft_real)0.79788456080286535588)
#define GELU_CUBIC ((weft_real)0.044715)
#define INV_SQRT_2 ((weft_real)0.70710678118654752440)
#define INV_SQRT_2PI ((weft_real)0.39894228040143267794)

WEFT_KERNEL static void relu(int64_t n, const weft_real *z, weft_real *y)
{
    for (int64_t k = 0; k < n; k++) y[k] = z[k] > 0 ? z[k] : 0;
}

WEFT_KERNEL static void relu_gradient(int64_t n, const weft_real *y, const weft_real *dy, bool add,
                                      weft_real *dz)
{
    if (add)
        for (int64_t k = 0; k < n; k++) dz[k] += y[k] > 0 ? dy[k] : 0;
    else
        for (int64_t k = 0; k < n; k++) dz[k] = y[k] > 0 ? dy[k] : 0;
}

/* y and f' of one z: what they share is computed once. */
typedef struct point {
    weft_real y, slope;
} point;

/* d/dz z Phi(z) = Phi(z) + z phi(z) */
WEFT_INLINE point gelu_at(weft_real z)
{
    const weft_real twice = 1 + real_erf(z * INV_SQRT_2);
    const weft_real phi = INV_SQRT_2PI * real_exp((weft_real)-0.5 * z * z);
    return (point){ (weft_real)0.5 * z * twice, (weft_real)0.5 * twice + z * phi };
}

WEFT_INLINE point gelu_tanh_at(weft_real z)
{
    const weft_real t = real_tanh(GELU_ROOT * (z + GELU_CUBIC * z * z * z));
    const weft_real du = GELU_ROOT * (1 + 3 * GELU_CUBIC * z * z);
    return (point){ (weft_real)0.5 * z * (1 + t), (weft_real)0.5 * (1 + t + z * (1 - t * t) * du) };
}

WEFT_INLINE point silu_at(weft_real z)
{
    const weft_real s = real_sigmoid(z);
    return (point){ z * s, s * (1 + z * (1 - s)) };
}

WEFT_INLINE point sigmoid_at(weft_real z)
{
    const weft_real s = real_sigmoid(z);
    return (point){ s, s * (1 - s) };
}

WEFT_INLINE point smooth_at(weft_activation f, weft_real z)
{
    switch (f) {
    case WEFT_GELU: return gelu_at(z);
    case WEFT_GELU_TANH: return gelu_tanh_at(z);
    case WEFT_LOGISTIC: return sigmoid_at(z);
    default: return silu_at(z);
    }
}

/* The loops below are compiled for each f: it must be a constant there, and no condition may stand in
 * the way of vectors. */
WEFT_INLINE void smooth(weft_activation f, int64_t n, const weft_real *z, weft_real *y)
{
#pragma omp simd
    for (int64_t k = 0; k < n; k++) y[k] = smooth_at(f, z[k]).y;
}

WEFT_INLINE void smooth_and_slope(weft_activation f, int64_t n, weft_real *z, weft_real *slope)
{
#pragma omp simd
    for (int64_t k = 0; k < n; k++) {
        const point at = smooth_at(f, z[k]);
        z[k] = at.y;
        slope[k] = at.slope;
    }
}

WEFT_INLINE void smooth_gradient(weft_activation f, int64_t n, const weft_real *z,
                                 const weft_real *dy, bool add, weft_real *dz)
{
    if (add) { /* NOLINT(bugprone-branch-clone): it does not look into the loops */
#pragma omp simd
        for (int64_t k = 0; k < n; k++) dz[k] += dy[k] * smooth_at(f, z[k]).slope;
    } else {
#pragma omp simd
        for (int64_t k = 0; k < n; k++) dz[k] = dy[k] * smooth_at(f, z[k]).slope;
    }
}

WEFT_KERNEL static void activate(weft_activation f, int64_t n, const weft_real *z, weft_real *y)
{
    if (f == WEFT_GELU)
        smooth(WEFT_GELU, n, z, y);
    else if (f == WEFT_GELU_TANH)
        smooth(WEFT_GELU_TANH, n, z, y);
    else if (f == WEFT_LOGISTIC)
        smooth(WEFT_LOGISTIC, n, z, y);
    else
        smooth(WEFT_SILU, n, z, y);
}

WEFT_KERNEL static void activate_and_slope(weft_activation f, int64_t n, weft_real *z,
                                           weft_real *slope)
{
    if (f == WEFT_GELU)
        smooth_and_slope(WEFT_GELU, n, z, slope);
    else if (f == WEFT_GELU_TANH)
        smooth_and_slope(WEFT_GELU_TANH, n, z, slope);
    else if (f == WEFT_LOGISTIC)
        smooth_and_slope(WEFT_LOGISTIC, n, z, slope);
    else
        smooth_and_slope(WEFT_SILU, n, z, slope);
}

WEFT_KERNEL static void activate_gradient(weft_activation f, int64_t n, const weft_real *z,
                                          const weft_real *dy, bool add, weft_real *dz)
{
    if (f == WEFT_GELU)
        smooth_gradient(WEFT_GELU, n, z, dy, add, dz);
    else if (f == WEFT_GELU_TANH)
        smooth_gradient(WEFT_GELU_TANH, n, z, dy, add, dz);
    else if (f == WEFT_LOGISTIC)
        smooth_gradient(WEFT_LOGISTIC, n, z, dy, add, dz);
    else
        smooth_gradient(WEFT_SILU, n, z, dy, add, dz);
}

void weft_activate(weft_activation f, int64_t n, const weft_real *z, weft_real *y)
{
    if (f == WEFT_RELU)
        relu(n, z, y);
    else if (f != WEFT_IDENTITY)
        activate(f, n, z, y);
    else if (y != z)
        memcpy(y, z, (size_t)n * sizeof *y);
}

void weft_activate_and_slope(weft_activation f, int64_t n, weft_real *z, weft_real *slope)
{
    assert(f != WEFT_RELU);
    if (f == WEFT_IDENTITY)
        for (int64_t k = 0; k < n; k++) slope[k] = 1;
    else
        activate_and_slope(f, n, z, slope);
}

void weft_activate_gradient(weft_activation f, int64_t n, const weft_real *z, const weft_real *y,
                            const weft_real *dy, bool add, weft_real *dz)
{
    assert(f != WEFT_IDENTITY);
    if (f == WEFT_RELU)
        relu_gradient(n, y, dy, add, dz);
    else
        activate_gradient(f, n, z, dy, add, dz);
}

bool weft_activation_reads_input(weft_activation f) { return f != WEFT_IDENTITY && f != WEFT_RELU; }

weft_var weft_activation_apply(weft_tape *tape, weft_activation f, weft_var z)
{
    switch (f) {
    case WEFT_RELU: return weft_relu(tape, z);
    case WEFT_GELU: return weft_gelu(tape, z);
    case WEFT_GELU_TANH: return weft_gelu_tanh(tape, z);
    case WEFT_SILU: return weft_silu(tape, z);
    case WEFT_LOGISTIC: return weft_sigmoid(tape, z);
    case WEFT_IDENTITY: break;
    }
    return z;
}
