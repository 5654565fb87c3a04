/* activation.c - the activation functions as kernels: used by their own operations and by linear. */
#include "autograd/fused_internal.h"

#include "core/kernel.h"
#include "core/vecmath.h"

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
    for (int64_t k = 0; k < n; k++) dz[k] = (add ? dz[k] : 0) + (y[k] > 0 ? dy[k] : 0);
}

WEFT_KERNEL static void gelu(int64_t n, const weft_real *z, weft_real *y)
{
#pragma omp simd
    for (int64_t k = 0; k < n; k++)
        y[k] = (weft_real)0.5 * z[k] * (1 + real_erf(z[k] * INV_SQRT_2));
}

/* d/dz z Phi(z) = Phi(z) + z phi(z) */
WEFT_KERNEL static void gelu_gradient(int64_t n, const weft_real *z, const weft_real *dy, bool add,
                                      weft_real *dz)
{
#pragma omp simd
    for (int64_t k = 0; k < n; k++) {
        const weft_real Phi = (weft_real)0.5 * (1 + real_erf(z[k] * INV_SQRT_2));
        const weft_real phi = INV_SQRT_2PI * real_exp((weft_real)-0.5 * z[k] * z[k]);
        dz[k] = (add ? dz[k] : 0) + dy[k] * (Phi + z[k] * phi);
    }
}

WEFT_KERNEL static void gelu_tanh(int64_t n, const weft_real *z, weft_real *y)
{
#pragma omp simd
    for (int64_t k = 0; k < n; k++) {
        const weft_real u = GELU_ROOT * (z[k] + GELU_CUBIC * z[k] * z[k] * z[k]);
        y[k] = (weft_real)0.5 * z[k] * (1 + real_tanh(u));
    }
}

WEFT_KERNEL static void gelu_tanh_gradient(int64_t n, const weft_real *z, const weft_real *dy,
                                           bool add, weft_real *dz)
{
#pragma omp simd
    for (int64_t k = 0; k < n; k++) {
        const weft_real t = real_tanh(GELU_ROOT * (z[k] + GELU_CUBIC * z[k] * z[k] * z[k]));
        const weft_real du = GELU_ROOT * (1 + 3 * GELU_CUBIC * z[k] * z[k]);
        dz[k] = (add ? dz[k] : 0) + dy[k] * (weft_real)0.5 * (1 + t + z[k] * (1 - t * t) * du);
    }
}

WEFT_KERNEL static void silu(int64_t n, const weft_real *z, weft_real *y)
{
#pragma omp simd
    for (int64_t k = 0; k < n; k++) y[k] = z[k] * real_sigmoid(z[k]);
}

WEFT_KERNEL static void silu_gradient(int64_t n, const weft_real *z, const weft_real *dy, bool add,
                                      weft_real *dz)
{
#pragma omp simd
    for (int64_t k = 0; k < n; k++) {
        const weft_real s = real_sigmoid(z[k]);
        dz[k] = (add ? dz[k] : 0) + dy[k] * s * (1 + z[k] * (1 - s));
    }
}

void weft_activate(weft_activation f, int64_t n, const weft_real *z, weft_real *y)
{
    switch (f) {
    case WEFT_RELU: relu(n, z, y); break;
    case WEFT_GELU: gelu(n, z, y); break;
    case WEFT_GELU_TANH: gelu_tanh(n, z, y); break;
    case WEFT_SILU: silu(n, z, y); break;
    case WEFT_IDENTITY:
        for (int64_t k = 0; k < n; k++) y[k] = z[k];
        break;
    }
}

void weft_activate_gradient(weft_activation f, int64_t n, const weft_real *z, const weft_real *y,
                            const weft_real *dy, bool add, weft_real *dz)
{
    switch (f) {
    case WEFT_RELU: relu_gradient(n, y, dy, add, dz); break;
    case WEFT_GELU: gelu_gradient(n, z, dy, add, dz); break;
    case WEFT_GELU_TANH: gelu_tanh_gradient(n, z, dy, add, dz); break;
    case WEFT_SILU: silu_gradient(n, z, dy, add, dz); break;
    case WEFT_IDENTITY:
        for (int64_t k = 0; k < n; k++) dz[k] = (add ? dz[k] : 0) + dy[k];
        break;
    }
}

bool weft_activation_reads_input(weft_activation f)
{
    return f == WEFT_GELU || f == WEFT_GELU_TANH || f == WEFT_SILU;
}

weft_var weft_activation_apply(weft_tape *tape, weft_activation f, weft_var z)
{
    switch (f) {
    case WEFT_RELU: return weft_relu(tape, z);
    case WEFT_GELU: return weft_gelu(tape, z);
    case WEFT_GELU_TANH: return weft_gelu_tanh(tape, z);
    case WEFT_SILU: return weft_silu(tape, z);
    case WEFT_IDENTITY: break;
    }
    return z;
}
