/* gemm.c - matrix products over BLIS; the only file with blis.h.
 *
 * Three facts of BLIS shape this file:
 * - It chooses its kernel by the processor's family and takes `generic`, five times too slow, for
 *   one that it does not know (flame/blis#912). So weft chooses, before BLIS wakes up, through the
 *   only door there is: the environment variable BLIS_ARCH_TYPE.
 * - Its path for small matrices (sup) sums in another order for other numbers of rows, and reads
 *   beyond matrices (flame/blis#635, #821). It is off. Without it BLIS never splits K among
 *   threads, and an element's sum depends on K and the kernel alone.
 * - It aborts when memory runs out, but allocates nothing once warm. So it is warmed up early. */
#include "core/gemm_internal.h"

#include <omp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef WEFT_HAVE_BLIS
#include <blis.h>
#ifdef WEFT_F64
#define BLIS_GEMM bli_dgemm_ex
#else
#define BLIS_GEMM bli_sgemm_ex
#endif
#endif

/* Chosen once, under `lock`, and constant from `ready` on. */
static struct gemm_state {
    pthread_mutex_t lock;
    atomic_bool ready;
    bool blis;         /* false: the reference product serves */
    char kernel[16];   /* "skx", "reference" */
    char reason[160];  /* "chosen by weft for AVX-512" */
    atomic_int n_warm; /* BLIS has memory for this many threads */
} state = { .lock = PTHREAD_MUTEX_INITIALIZER };

#ifdef WEFT_HAVE_BLIS
enum { NEEDS_AVX = 1, NEEDS_AVX2 = 2, NEEDS_AVX512 = 4 };

/* The kernels of this BLIS that weft can vouch for: BLIS itself starts any kernel it is told to,
 * and dies of an illegal instruction or aborts. */
static const struct blis_kernel {
    const char *name;
    int needs;
} kernels[] = {
#ifdef BLIS_CONFIG_SKX
    { "skx", NEEDS_AVX512 },
#endif
#ifdef BLIS_CONFIG_ZEN3
    { "zen3", NEEDS_AVX2 },
#endif
#ifdef BLIS_CONFIG_HASWELL
    { "haswell", NEEDS_AVX2 },
#endif
#ifdef BLIS_CONFIG_ZEN2
    { "zen2", NEEDS_AVX2 },
#endif
#ifdef BLIS_CONFIG_ZEN
    { "zen", NEEDS_AVX2 },
#endif
#ifdef BLIS_CONFIG_SANDYBRIDGE
    { "sandybridge", NEEDS_AVX },
#endif
#ifdef BLIS_CONFIG_GENERIC
    { "generic", 0 },
#endif
    { NULL, 0 },
};

static int processor_has(void)
{
    int has = 0;
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx")) has |= NEEDS_AVX;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) has |= NEEDS_AVX2;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
        has |= NEEDS_AVX512;
#endif
    return has;
}

static weft_status kernel_check(const char *name)
{
    for (const struct blis_kernel *kernel = kernels; kernel->name; ++kernel) {
        if (strcmp(kernel->name, name) != 0) continue;
        if ((kernel->needs & processor_has()) == kernel->needs) return WEFT_OK;
        return weft_error(WEFT_ERR_INPUT, "gemm: kernel %s needs %s, which this processor lacks",
                          name,
                          kernel->needs == NEEDS_AVX512 ? "AVX-512 (F, DQ, BW, VL)"
                          : kernel->needs == NEEDS_AVX2 ? "AVX2 and FMA"
                                                        : "AVX");
    }
    char known[128] = "auto, reference";
    for (const struct blis_kernel *kernel = kernels; kernel->name; ++kernel) {
        const size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, ", %s", kernel->name);
    }
    return weft_error(WEFT_ERR_INPUT, "gemm: no kernel named \"%s\"; this build has %s", name,
                      known);
}

/* BLIS's number for a kernel; it moves between versions. -1 where there is none. */
static int kernel_id(const char *name)
{
    for (int id = 0; id < BLIS_NUM_ARCHS; ++id)
        if (strcmp(bli_arch_string((arch_t)id), name) == 0) return id;
    return -1;
}

/* The kernel that BLIS_ARCH_TYPE asks for: its number (all that BLIS before 2.0 understands; it
 * reads a name as 0, which is skx) or its name. */
static weft_status kernel_from_environment(const char *value, const char **name)
{
    char *end;
    const long id = strtol(value, &end, 10);
    *name = value;
    if (*value != '\0' && *end == '\0') {
        if (id < 0 || id >= BLIS_NUM_ARCHS)
            return weft_error(WEFT_ERR_INPUT, "BLIS_ARCH_TYPE=%s: this BLIS has kernels 0 to %d",
                              value, BLIS_NUM_ARCHS - 1);
        *name = bli_arch_string((arch_t)id);
    }
    const weft_status status = kernel_check(*name);
    return status == WEFT_OK ? WEFT_OK : weft_error_prefix(status, "BLIS_ARCH_TYPE=%s: ", value);
}

/* The first kernel of the table that this processor can run and that is worth forcing. */
static const char *kernel_best(void)
{
    const int has = processor_has();
    for (const struct blis_kernel *kernel = kernels; kernel->name; ++kernel)
        if (kernel->needs != 0 && (kernel->needs & has) == kernel->needs) return kernel->name;
    return NULL; /* not x86 or very old: BLIS knows better */
}

static weft_status blis_check_version(void)
{
    const char *runs = bli_info_get_version_str();
#ifdef WEFT_BLIS_VERSION
    /* The layout of rntm_t changed under the same soname, so major.minor must agree. */
    int built[2] = { 0 }, found[2] = { 0 };
    if (sscanf(WEFT_BLIS_VERSION, "%d.%d", &built[0], &built[1]) == 2 &&
        sscanf(runs, "%d.%d", &found[0], &found[1]) == 2 &&
        (built[0] != found[0] || built[1] != found[1]))
        return weft_error(WEFT_ERR_STATE,
                          "gemm: weft was built with BLIS %s, but BLIS %s is loaded; their "
                          "structures differ, so rebuild weft",
                          WEFT_BLIS_VERSION, runs);
#endif
    (void)runs;
    return WEFT_OK;
}

static weft_status blis_start(const char *wanted)
{
    weft_status status = blis_check_version();
    if (status != WEFT_OK) return status;
    const char *from_user = getenv("BLIS_ARCH_TYPE"), *name = wanted;
    const char *reason = "asked for";
    if (!wanted && from_user) {
        status = kernel_from_environment(from_user, &name);
        reason = "BLIS_ARCH_TYPE";
    } else if (wanted) {
        status = kernel_check(wanted);
    } else {
        name = kernel_best();
        reason = name ? "chosen by weft for this processor" : "chosen by BLIS";
    }
    if (status != WEFT_OK) return status;
    if (name) {
        char id[16];
        snprintf(id, sizeof id, "%d", kernel_id(name));
        if (setenv("BLIS_ARCH_TYPE", id, 1) != 0)
            return weft_error(WEFT_ERR_MEMORY, "gemm: no memory for BLIS_ARCH_TYPE");
    }
    bli_init();
    snprintf(state.kernel, sizeof state.kernel, "%s", bli_arch_string(bli_arch_query_id()));
    snprintf(state.reason, sizeof state.reason, "%s", reason);
    return WEFT_OK;
}

/* One product, without its beta where that is neither 0 nor 1: BLIS rounds beta C + AB once in the
 * middle of a matrix (fused) and twice at its edges, so a row would depend on its neighbours. */
static void blis_product(const weft_gemm_args *g, int n_threads)
{
    rntm_t rntm = BLIS_RNTM_INITIALIZER;
    bli_rntm_set_num_threads(n_threads, &rntm);
    bli_rntm_disable_l3_sup(&rntm);
    weft_real alpha = g->alpha, beta = g->beta;
    /* BLIS 0.9 does not say const of what it only reads. */
    BLIS_GEMM(BLIS_NO_TRANSPOSE, BLIS_NO_TRANSPOSE, g->M, g->N, g->K, &alpha, (weft_real *)g->A,
              g->trans_a ? 1 : g->lda, g->trans_a ? g->lda : 1, (weft_real *)g->B,
              g->trans_b ? 1 : g->ldb, g->trans_b ? g->ldb : 1, &beta, g->C, g->ldc, 1, NULL,
              &rntm);
}

/* Let BLIS allocate what `n_threads` threads will ever hold: packing buffers for one product that
 * all share, whichever way it is cut, and for one product a thread at the same time. */
static void blis_warm_up(int n_threads)
{
    enum { SIZE = 256 };
    static weft_real zero[SIZE * SIZE];
    weft_real *result = weft_alloc((size_t)n_threads, sizeof(weft_real) * SIZE * SIZE);
    if (!result) return; /* then BLIS allocates at its first products */
    weft_gemm_args args = { .M = SIZE,
                            .N = SIZE,
                            .K = SIZE,
                            .alpha = 1,
                            .A = zero,
                            .lda = SIZE,
                            .B = zero,
                            .ldb = SIZE,
                            .C = result,
                            .ldc = SIZE };
    blis_product(&args, n_threads);
    args.M = 16;
    blis_product(&args, n_threads);
    args.M = SIZE, args.N = 16;
    blis_product(&args, n_threads);
    if (!omp_in_parallel()) {
#pragma omp parallel num_threads(n_threads)
        {
            weft_gemm_args mine = args;
            mine.C = result + (size_t)omp_get_thread_num() * SIZE * SIZE;
            mine.N = SIZE;
#pragma omp barrier
            blis_product(&mine, 1);
        }
    }
    weft_free(result);
}
#endif

/* Called before each product: a comparison, unless more threads are used than ever before. */
static void warm_up(int n_threads)
{
#ifdef WEFT_HAVE_BLIS
    if (!state.blis || n_threads <= atomic_load_explicit(&state.n_warm, memory_order_acquire))
        return;
    pthread_mutex_lock(&state.lock);
    if (n_threads > atomic_load(&state.n_warm)) {
        blis_warm_up(n_threads);
        atomic_store(&state.n_warm, n_threads);
    }
    pthread_mutex_unlock(&state.lock);
#else
    (void)n_threads;
#endif
}

static weft_status start(const char *wanted)
{
    if (wanted && strcmp(wanted, "auto") == 0) wanted = NULL;
    if (!wanted || strcmp(wanted, "reference") != 0) {
#ifdef WEFT_HAVE_BLIS
        const weft_status status = blis_start(wanted);
        if (status != WEFT_OK) return status;
        state.blis = true;
        return WEFT_OK;
#else
        if (wanted)
            return weft_error(WEFT_ERR_INPUT,
                              "gemm: no kernel named \"%s\"; this build, without BLIS, has auto, "
                              "reference",
                              wanted);
        snprintf(state.reason, sizeof state.reason, "built without BLIS");
#endif
    } else {
        snprintf(state.reason, sizeof state.reason, "asked for");
    }
    snprintf(state.kernel, sizeof state.kernel, "reference");
    return WEFT_OK;
}

weft_status weft_gemm_init(const char *kernel)
{
    weft_status status = WEFT_OK;
    pthread_mutex_lock(&state.lock);
    if (!atomic_load(&state.ready)) {
        status = start(kernel);
        if (status == WEFT_OK) atomic_store(&state.ready, true);
    } else if (kernel && strcmp(kernel, "auto") != 0 && strcmp(kernel, state.kernel) != 0) {
        status = weft_error(WEFT_ERR_STATE, "gemm: kernel %s asked for, but %s is already in use",
                            kernel, state.kernel);
    }
    pthread_mutex_unlock(&state.lock);
    if (status == WEFT_OK) warm_up(omp_in_parallel() ? 1 : weft_threads());
    return status;
}

/* The state, started if nobody did. An environment that asks for an impossible kernel must not stop
 * a product, which returns nothing: then the reference serves and weft_gemm_describe says why. */
static const struct gemm_state *ready(void)
{
    if (!atomic_load_explicit(&state.ready, memory_order_acquire) &&
        weft_gemm_init(NULL) != WEFT_OK) {
        pthread_mutex_lock(&state.lock);
        if (!atomic_load(&state.ready)) {
            snprintf(state.kernel, sizeof state.kernel, "reference");
            snprintf(state.reason, sizeof state.reason, "%s", weft_message());
            atomic_store(&state.ready, true);
        }
        pthread_mutex_unlock(&state.lock);
    }
    return &state;
}

static void scale_row(weft_real *c, int64_t n, weft_real beta)
{
    if (beta == 0)
        memset(c, 0, (size_t)n * sizeof *c);
    else
        for (int64_t j = 0; j < n; ++j) c[j] *= beta;
}

static void scale(const weft_gemm_args *g)
{
    for (int64_t i = 0; i < g->M; ++i) scale_row(g->C + i * g->ldc, g->N, g->beta);
}

/* A product on `n_threads` threads of BLIS, or its own team for the reference. */
static void product(const weft_gemm_args *args, int n_threads)
{
    if (args->M == 0 || args->N == 0) return;
    weft_gemm_args g = *args;
    if (g.K == 0 || g.alpha == 0 || (g.beta != 0 && g.beta != 1)) {
        if (g.beta != 1) scale(&g);
        if (g.K == 0 || g.alpha == 0) return;
        g.beta = 1;
    }
#ifdef WEFT_HAVE_BLIS
    if (state.blis) {
        blis_product(&g, n_threads);
        return;
    }
#endif
    (void)n_threads;
    weft_gemm_reference(&g);
}

/* Threads for one product: shared out in pieces of about 2,000 elements of C. */
static int product_team(const weft_gemm_args *g)
{
    if (omp_in_parallel()) return 1;
    int64_t size;
    if (__builtin_mul_overflow(g->M, g->N, &size)) size = INT64_MAX;
    return weft_team(size / 2048 + 1, weft_gemm_work(g));
}

void weft_gemm(const weft_gemm_args *args)
{
    ready();
    const int n_threads = product_team(args);
    warm_up(n_threads);
    product(args, n_threads);
}

void weft_gemm_batch(int64_t n, const weft_gemm_args *args)
{
    ready();
    int64_t work = 0;
    for (int64_t i = 0; i < n; ++i)
        if (__builtin_add_overflow(work, weft_gemm_work(&args[i]), &work)) work = INT64_MAX;
    const int n_threads = omp_in_parallel() ? 1 : weft_team(n, work);
    if (n < weft_threads() && !omp_in_parallel()) { /* few and perhaps large: one after the other */
        for (int64_t i = 0; i < n; ++i) weft_gemm(&args[i]);
        return;
    }
    warm_up(n_threads);
#pragma omp parallel for schedule(static) num_threads(n_threads)
    for (int64_t i = 0; i < n; ++i) product(&args[i], 1);
}

const char *weft_gemm_kernel(void)
{
    return ready()->kernel;
}

const char *weft_gemm_describe(void)
{
    static _Thread_local char line[384];
    const struct gemm_state *s = ready();
    char library[32] = "weft";
#ifdef WEFT_HAVE_BLIS
    if (s->blis) snprintf(library, sizeof library, "BLIS %s", bli_info_get_version_str());
#endif
    snprintf(line, sizeof line, "%s kernel=%s (%s) threads=%d", library, s->kernel, s->reason,
             weft_threads());
    return line;
}
