/* random.c - Philox4x32-10: random numbers that are a function of where they are used.
 *
 * Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3 (SC 2011). No state: an
 * element's number depends on (seed, update, site, row, head, channel) alone, so a replay, a
 * resumed run, other batches and any number of threads draw the same. */
#include "core/core.h"
#include "core/kernel.h"

#include <assert.h>
#include <math.h>

enum { PHILOX_ROUNDS = 10 };
static const uint32_t PHILOX_M0 = 0xD2511F53u, PHILOX_M1 = 0xCD9E8D57u; /* the paper's constants: */
static const uint32_t PHILOX_W0 = 0x9E3779B9u, PHILOX_W1 = 0xBB67AE85u; /* multipliers, key steps */

/* Ten rounds on one counter; inlined into a loop over counters and unrolled it vectorises. */
WEFT_INLINE weft_philox_counter philox_rounds(weft_philox_counter counter, uint32_t k0, uint32_t k1)
{
    uint32_t c0 = counter.w[0], c1 = counter.w[1], c2 = counter.w[2], c3 = counter.w[3];
#pragma GCC unroll 10
    for (int round = 0; round < PHILOX_ROUNDS; ++round) {
        const uint64_t p0 = (uint64_t)PHILOX_M0 * c0, p1 = (uint64_t)PHILOX_M1 * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += PHILOX_W0;
        k1 += PHILOX_W1;
    }
    return (weft_philox_counter){ { c0, c1, c2, c3 } };
}

weft_philox_counter weft_philox(weft_philox_counter counter, uint64_t key)
{
    return philox_rounds(counter, (uint32_t)key, (uint32_t)(key >> 32));
}

uint64_t weft_random_key(uint64_t seed, uint64_t update, uint64_t site)
{
    const weft_philox_counter counter = { { (uint32_t)update, (uint32_t)(update >> 32),
                                            (uint32_t)site, (uint32_t)(site >> 32) } };
    const weft_philox_counter out = weft_philox(counter, seed);
    return (uint64_t)out.w[1] << 32 | out.w[0];
}

/* Block `block` of a row holds the words of channels 4 block .. 4 block + 3. */
static weft_philox_counter random_block(uint64_t key, uint64_t row, uint32_t head, uint32_t block)
{
    const weft_philox_counter counter = { { block, head, (uint32_t)row, (uint32_t)(row >> 32) } };
    return weft_philox(counter, key);
}

uint32_t weft_random_word(uint64_t key, uint64_t row, uint32_t head, uint32_t channel)
{
    return random_block(key, row, head, channel / 4).w[channel % 4];
}

/* The middle of the word's interval: never 0, never 1, symmetric about 1/2. */
static double unit(uint32_t word) { return (word + 0.5) * 0x1p-32; }

double weft_random_uniform(uint64_t key, uint64_t row, uint32_t channel)
{
    return unit(weft_random_word(key, row, 0, channel));
}

/* Box and Muller (1958): channels 2j and 2j + 1 are the cosine and the sine of one pair. */
double weft_random_normal(uint64_t key, uint64_t row, uint32_t channel)
{
    const double two_pi = 6.283185307179586476925;
    const weft_philox_counter block = random_block(key, row, 0, channel / 4);
    const uint32_t *pair = block.w + (channel % 4 & ~1u);
    const double radius = sqrt(-2.0 * log(unit(pair[0]))), angle = two_pi * unit(pair[1]);
    return radius * (channel % 2 == 0 ? cos(angle) : sin(angle));
}

uint64_t weft_random_below(uint64_t key, uint64_t row, uint64_t n)
{
    assert(n >= 1);
    /* The largest 2^64 - r that n divides; numbers above it would favour small remainders. */
    const uint64_t last = UINT64_MAX - (UINT64_MAX % n + 1) % n;
    for (uint32_t block = 0;; ++block) {
        const weft_philox_counter out = random_block(key, row, 0, block);
        for (int half = 0; half < 4; half += 2) {
            const uint64_t x = (uint64_t)out.w[half + 1] << 32 | out.w[half];
            if (x <= last) return x % n;
        }
    }
}

void weft_random_permutation(uint64_t key, int64_t n, int64_t order[])
{
    for (int64_t i = 0; i < n; ++i) order[i] = i;
    for (int64_t i = n - 1; i > 0; --i) {
        const int64_t j = (int64_t)weft_random_below(key, (uint64_t)i, (uint64_t)i + 1);
        const int64_t taken = order[i];
        order[i] = order[j];
        order[j] = taken;
    }
}

enum { DROPOUT_LANES = 16 }; /* counters treated side by side: one AVX-512 register, two of AVX2 */

/* keep[] of 4 DROPOUT_LANES channels from block `first` on: `scale` where the word is above `last`,
 * the largest word that drops. */
WEFT_INLINE void dropout_lanes(uint64_t key, uint64_t row, uint32_t head, uint32_t first,
                               uint32_t last, weft_real scale, weft_real *restrict keep)
{
    const uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    const uint32_t row0 = (uint32_t)row, row1 = (uint32_t)(row >> 32);
#pragma omp simd
    for (int lane = 0; lane < DROPOUT_LANES; ++lane) {
        const weft_philox_counter counter = { { first + (uint32_t)lane, head, row0, row1 } };
        const weft_philox_counter out = philox_rounds(counter, k0, k1);
        keep[4 * lane] = out.w[0] > last ? scale : 0;
        keep[4 * lane + 1] = out.w[1] > last ? scale : 0;
        keep[4 * lane + 2] = out.w[2] > last ? scale : 0;
        keep[4 * lane + 3] = out.w[3] > last ? scale : 0;
    }
}

WEFT_KERNEL
static void dropout_row(uint64_t key, uint64_t row, uint32_t head, int64_t from, uint32_t last,
                        weft_real scale, int64_t C, weft_real *keep)
{
    const int64_t step = 4 * DROPOUT_LANES;
    int64_t c = 0;
    for (; c + step <= C; c += step)
        dropout_lanes(key, row, head, (uint32_t)((from + c) / 4), last, scale, keep + c);
    if (c < C) {
        weft_real rest[4 * DROPOUT_LANES];
        dropout_lanes(key, row, head, (uint32_t)((from + c) / 4), last, scale, rest);
        for (int64_t i = c; i < C; ++i) keep[i] = rest[i - c];
    }
}

void weft_dropout_row(uint64_t key, uint64_t row, uint32_t head, double p, int64_t C,
                      weft_real *keep)
{
    weft_dropout_span(key, row, head, p, 0, C, keep);
}

void weft_dropout_span(uint64_t key, uint64_t row, uint32_t head, double p, int64_t from, int64_t C,
                       weft_real *keep)
{
    assert(p >= 0 && p < 1 && from >= 0 && from % 4 == 0);
    /* word < p 2^32 is word <= last; as a count it could be 2^32, which no word holds. */
    const double dropped = ceil(p * 0x1p32);
    if (dropped == 0) {
        for (int64_t c = 0; c < C; ++c) keep[c] = 1;
        return;
    }
    dropout_row(key, row, head, from, (uint32_t)(dropped - 1), (weft_real)(1 / (1 - p)), C, keep);
}
