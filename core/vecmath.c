/* vecmath.c - the functions of vecmath.h over spans, compiled for several instruction sets. */
#include "core/vecmath.h"

WEFT_KERNEL
static void span_exp(int64_t n, const weft_real *x, weft_real *y)
{
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) y[i] = real_exp(x[i]);
}

WEFT_KERNEL
static void span_log(int64_t n, const weft_real *x, weft_real *y)
{
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) y[i] = real_log(x[i]);
}

WEFT_KERNEL
static void span_tanh(int64_t n, const weft_real *x, weft_real *y)
{
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) y[i] = real_tanh(x[i]);
}

WEFT_KERNEL
static void span_erf(int64_t n, const weft_real *x, weft_real *y)
{
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) y[i] = real_erf(x[i]);
}

WEFT_KERNEL
static void span_sigmoid(int64_t n, const weft_real *x, weft_real *y)
{
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) y[i] = real_sigmoid(x[i]);
}

/* The copies that WEFT_KERNEL makes are static, so that exactly one symbol a name is exported. */
void weft_vexp(int64_t n, const weft_real *x, weft_real *y) { span_exp(n, x, y); }
void weft_vlog(int64_t n, const weft_real *x, weft_real *y) { span_log(n, x, y); }
void weft_vtanh(int64_t n, const weft_real *x, weft_real *y) { span_tanh(n, x, y); }
void weft_verf(int64_t n, const weft_real *x, weft_real *y) { span_erf(n, x, y); }
void weft_vsigmoid(int64_t n, const weft_real *x, weft_real *y) { span_sigmoid(n, x, y); }
