/* peak.c - the two roofs: independent fused multiply-adds in registers, and copies in memory. */
#include "core/core.h"

#include <math.h>
#include <omp.h>
#include <string.h>

enum { N_CHAINS = 12, N_ROUNDS = 200000, N_TRIES = 8 };

/* Each function runs N_ROUNDS rounds of N_CHAINS vector operations, returns something of the result
 * and stores in *n_lanes the width of a vector. Twelve chains hide the latency of four or five
 * cycles on two units. */
typedef weft_real peak_function(int *n_lanes);

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#ifdef WEFT_F64
typedef __m256d vector_256;
typedef __m512d vector_512;
#define SET_256 _mm256_set1_pd
#define FMA_256 _mm256_fmadd_pd
#define SET_512 _mm512_set1_pd
#define FMA_512 _mm512_fmadd_pd
#else
typedef __m256 vector_256;
typedef __m512 vector_512;
#define SET_256 _mm256_set1_ps
#define FMA_256 _mm256_fmadd_ps
#define SET_512 _mm512_set1_ps
#define FMA_512 _mm512_fmadd_ps
#endif

__attribute__((target("avx2,fma"))) static weft_real peak_256(int *n_lanes)
{
    vector_256 chain[N_CHAINS];
    const vector_256 a = SET_256((weft_real)0.999), b = SET_256((weft_real)0.001);
    for (int i = 0; i < N_CHAINS; ++i) chain[i] = SET_256((weft_real)i);
    for (int round = 0; round < N_ROUNDS; ++round)
        for (int i = 0; i < N_CHAINS; ++i) chain[i] = FMA_256(chain[i], a, b);
    weft_real sum = 0;
    for (int i = 0; i < N_CHAINS; ++i) sum += chain[i][0];
    *n_lanes = (int)(sizeof(vector_256) / sizeof(weft_real));
    return sum;
}

__attribute__((target("avx512f"))) static weft_real peak_512(int *n_lanes)
{
    vector_512 chain[N_CHAINS];
    const vector_512 a = SET_512((weft_real)0.999), b = SET_512((weft_real)0.001);
    for (int i = 0; i < N_CHAINS; ++i) chain[i] = SET_512((weft_real)i);
    for (int round = 0; round < N_ROUNDS; ++round)
        for (int i = 0; i < N_CHAINS; ++i) chain[i] = FMA_512(chain[i], a, b);
    weft_real sum = 0;
    for (int i = 0; i < N_CHAINS; ++i) sum += chain[i][0];
    *n_lanes = (int)(sizeof(vector_512) / sizeof(weft_real));
    return sum;
}
#endif

/* Without AVX2: multiplications and additions, for the compiler to vectorise as it can. */
static weft_real peak_plain(int *n_lanes)
{
    enum { LANES = 4 };
    weft_real chain[N_CHAINS][LANES];
    for (int i = 0; i < N_CHAINS; ++i)
        for (int lane = 0; lane < LANES; ++lane) chain[i][lane] = (weft_real)i;
    for (int round = 0; round < N_ROUNDS; ++round)
        for (int i = 0; i < N_CHAINS; ++i)
            for (int lane = 0; lane < LANES; ++lane)
                chain[i][lane] = chain[i][lane] * (weft_real)0.999 + (weft_real)0.001;
    weft_real sum = 0;
    for (int i = 0; i < N_CHAINS; ++i) sum += chain[i][0];
    *n_lanes = LANES;
    return sum;
}

static peak_function *peak_best(void)
{
#if defined(__x86_64__) && defined(__GNUC__)
    if (__builtin_cpu_supports("avx512f")) return peak_512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return peak_256;
#endif
    return peak_plain;
}

double weft_fma_peak(int threads)
{
    peak_function *const run = peak_best();
    volatile weft_real sink; /* keeps the work alive */
    double best_s = INFINITY;
    int n_lanes = 0;
    for (int i = 0; i < N_TRIES; ++i) {
        const double start_s = weft_seconds();
#pragma omp parallel num_threads(threads)
        {
            int lanes;
            const weft_real result = run(&lanes);
#pragma omp critical(weft_fma_peak)
            {
                sink = result;
                n_lanes = lanes;
            }
        }
        best_s = fmin(best_s, weft_seconds() - start_s);
    }
    (void)sink;
    return 2e-9 * N_ROUNDS * N_CHAINS * n_lanes * threads / best_s;
}

double weft_copy_peak(int threads)
{
    enum { PIECE = 1 << 20, N_PIECES = 128 };
    char *from = weft_alloc(N_PIECES, PIECE), *to = weft_alloc(N_PIECES, PIECE);
    double best_s = INFINITY;
    for (int k = 0; from && to && k <= N_TRIES; ++k) {
        const double start_s = weft_seconds();
#pragma omp parallel for schedule(static) num_threads(threads)
        for (int i = 0; i < N_PIECES; ++i)
            memcpy(to + (size_t)i * PIECE, from + (size_t)i * PIECE, PIECE);
        if (k > 0)
            best_s = fmin(best_s, weft_seconds() - start_s); /* the first one touches the pages */
    }
    weft_free(from);
    weft_free(to);
    return 2e-9 * N_PIECES * PIECE / best_s;
}
