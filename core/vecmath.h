/* vecmath.h - exp, log, tanh, erf and the logistic function of one number, written so that a loop
 * over them vectorises (internal, not installed).
 *
 * Float: reduction and polynomial in float, every branch computed and the right one selected, no
 * multiplication fused with an addition: the same bits on every instruction set. The worst error
 * against double libm over all floats is noted at each function; tests/test_numerics.c holds a
 * sample of them to 2 ULP. Polynomials were fitted for this file (least maximum of the error
 * relative to the function, Lawson's weights) and rounded to float. Double: libm.
 *
 * Inside a loop over contiguous elements, in a function marked WEFT_KERNEL:
 *     #pragma omp simd
 *     for (int64_t c = 0; c < C; ++c) y[c] = real_exp(x[c]);
 * or, outside a kernel of one's own, the spans weft_vexp ... below. */
#ifndef WEFT_VECMATH_H
#define WEFT_VECMATH_H

#include "core/core.h"
#include "core/kernel.h"

#include <math.h>
#include <string.h>

/* y[i] = f(x[i]) for i = 0 .. n-1; y may be x. One thread. (vecmath.c) */
void weft_vexp(int64_t n, const weft_real *x, weft_real *y);
void weft_vlog(int64_t n, const weft_real *x, weft_real *y);
void weft_vtanh(int64_t n, const weft_real *x, weft_real *y);
void weft_verf(int64_t n, const weft_real *x, weft_real *y);
void weft_vsigmoid(int64_t n, const weft_real *x, weft_real *y);

#ifdef WEFT_F64

WEFT_INLINE weft_real real_exp(weft_real x) { return exp(x); }
WEFT_INLINE weft_real real_log(weft_real x) { return log(x); }
WEFT_INLINE weft_real real_tanh(weft_real x) { return tanh(x); }
WEFT_INLINE weft_real real_erf(weft_real x) { return erf(x); }
/* exp(-|x|) cannot overflow; for x < 0 the form e / (1 + e) keeps the small values' digits. */
WEFT_INLINE weft_real real_sigmoid(weft_real x)
{
    const weft_real e = exp(-fabs(x));
    return (x < 0 ? e : 1) / (1 + e);
}

#else

WEFT_INLINE uint32_t float_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

WEFT_INLINE float float_of_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* exp(x) = 2^n exp(r), n = round(x / ln 2), |r| <= ln 2 / 2 (Cody and Waite 1980: n times the upper
 * part of ln 2 is exact). The scaling in two halves reaches infinity and the denormal numbers.
 * Worst error 0.84 ULP. */
WEFT_INLINE float real_exp(float x)
{
    const float shift = 0x1.8p23f;                  /* t + shift - shift rounds t to an integer */
    const float above = x < -104.0f ? -104.0f : x;  /* 0 below; a NaN passes */
    const float in = above > 89.0f ? 89.0f : above; /* infinity above */
    const float shifted = in * 0x1.715476p0f + shift;
    const float n = shifted - shift;
    const float r = (in - n * 0x1.63p-1f) - n * -0x1.bd0106p-13f;
    const float p =
        (((0x1.6dbc64p-10f * r + 0x1.124148p-7f) * r + 0x1.555454p-5f) * r + 0x1.555486p-3f) * r +
        0.5f;
    const float sum = 1.0f + r, lost = r - (sum - 1.0f); /* exact: sum + lost = 1 + r */
    const float e = sum + (lost + r * r * p);
    const int32_t power = (int32_t)(float_bits(shifted) - float_bits(shift));
    const int32_t half = power >> 1;
    const float scale_1 = float_of_bits((uint32_t)(half + 127) << 23);
    const float scale_2 = float_of_bits((uint32_t)(power - half + 127) << 23);
    return e * scale_1 * scale_2;
}

/* log(x) = e ln 2 + log(1 + f), 1 + f in [sqrt(1/2), sqrt(2)). Worst error 0.85 ULP. */
WEFT_INLINE float real_log(float x)
{
    const uint32_t root_half = 0x3F3504F3u; /* sqrt(1/2) */
    const float scaled = x * 0x1p23f;
    const float normal = x < 0x1p-126f ? scaled : x;
    const float lowered = x < 0x1p-126f ? -23.0f : 0.0f;
    const uint32_t offset = float_bits(normal) - root_half;
    const float e = (float)((int32_t)offset >> 23) + lowered;
    const float f = float_of_bits((offset & 0x7FFFFFu) + root_half) - 1.0f;
    float p = 0x1.145724p-4f;
    p = p * f + -0x1.de3bf2p-4f;
    p = p * f + 0x1.e6f094p-4f;
    p = p * f + -0x1.fc2210p-4f;
    p = p * f + 0x1.233766p-3f;
    p = p * f + -0x1.555c4ep-3f;
    p = p * f + 0x1.99a4b6p-3f;
    p = p * f + -0x1.000006p-2f;
    p = p * f + 0x1.555548p-2f;
    const float square = f * f;
    const float tail = (square * f * p + e * -0x1.bd0106p-13f) - 0.5f * square;
    const float y = (f + tail) + e * 0x1.63p-1f;
    const float at_zero = x == 0 ? -INFINITY : y;
    const float at_end = x > 0x1.fffffep127f ? x : at_zero;
    return x >= 0 ? at_end : NAN;
}

/* Odd polynomial below 0.625, 1 - 2 / (exp(2|x|) + 1) above. Worst error 1.35 ULP. */
WEFT_INLINE float real_tanh(float x)
{
    const float z = x * x, size = fabsf(x);
    float p = -0x1.76abf6p-8f;
    p = p * z + 0x1.5256cep-6f;
    p = p * z + -0x1.b84448p-5f;
    p = p * z + 0x1.110768p-3f;
    p = p * z + -0x1.555534p-2f;
    const float near_0 = size + size * (z * p);
    const float far = 1.0f - 2.0f / (real_exp(2.0f * size) + 1.0f);
    return copysignf(size < 0.625f ? near_0 : far, x);
}

/* x + x q(x^2) below 1; above, 1 - exp(-g) with g a polynomial for -log(erfc(x)), whose errors
 * count for little beside the 1. From 4 on the result is 1.
 * Worst error 1.51 ULP. */
WEFT_INLINE float real_erf(float x)
{
    const float z = x * x, size = fabsf(x);
    float q = 0x1.4ae4bep-14f;
    q = q * z + -0x1.a485e4p-11f;
    q = q * z + 0x1.5419f4p-8f;
    q = q * z + -0x1.b7fbb4p-6f;
    q = q * z + 0x1.ce2d20p-4f;
    q = q * z + -0x1.81273ep-2f;
    q = q * z + 0x1.06eba8p-3f;
    const float near_0 = size + size * q;
    const float t = (size > 4.0f ? 4.0f : size) - 1.0f;
    float g = 0x1.6bd850p-16f;
    g = g * t + -0x1.2f97b2p-12f;
    g = g * t + 0x1.07b66cp-9f;
    g = g * t + -0x1.4933c2p-7f;
    g = g * t + 0x1.547cf0p-5f;
    g = g * t + 0x1.afabbcp-1f;
    g = g * t + 0x1.51c9b0p+1f;
    g = g * t + 0x1.d97fc0p+0f;
    const float far = 1.0f - real_exp(-g);
    return copysignf(size < 1.0f ? near_0 : far, x);
}

/* 1 / (1 + exp(-x)). exp(-|x|) cannot overflow; for x < 0 the form e / (1 + e) keeps the digits of
 * small values. What rounding 1 + e loses is given back to the quotient. Worst error 1.97 ULP. */
WEFT_INLINE float real_sigmoid(float x)
{
    const float e = real_exp(-fabsf(x)), sum = 1.0f + e, lost = e - (sum - 1.0f);
    const float y = (x < 0 ? e : 1.0f) / sum;
    return y - y * lost;
}

#endif
#endif
