/* gemm.c - matrix products: which kernel computes them, and how threads share them. The only file with
 * blis.h.
 *
 * Floats on a processor with AVX-512 go to our own kernel (gemm_avx512.c, for bfloat16 gemm_bf16.c), all
 * others to BLIS.
 * Three facts of BLIS shape this file:
 * - It chooses its kernel by the processor's family and takes `generic`, five times too slow, for
 *   one that it does not know (flame/blis#912). So weft chooses, before BLIS wakes up, through the
 *   only door there is: the environment variable BLIS_ARCH_TYPE.
 * - Its path for small matrices (sup) sums in another order for other numbers of rows, and reads
 *   beyond matrices (flame/blis#635, #821). It is off. Without it an element's sum depends on K and
 *   the kernel alone: one chain of multiply-adds over k from 0, cut at the kernel's blocks of K.
 * - Its threads meet at barriers that spin and never yield: beside another busy process a product
 *   takes ten times as long. So each of our threads computes tiles of C with BLIS on one thread;
 *   by the point above a tile has the bits that the whole product has there.
 * - It aborts when memory runs out, but allocates nothing once warm. So it is warmed up early. */
#include "core/gemm_internal.h"

#include <assert.h>
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
    void (*product)(const weft_gemm_args *); /* on one thread, beta 0 or 1, K > 0 */
    bool blis;                               /* has been started */
    char kernel[16];                         /* "avx512", "skx", "reference" */
    char reason[160];                        /* "chosen by weft for AVX-512" */
    atomic_int n_warm;                       /* BLIS has memory for this many threads */
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
    char known[128] = "auto, reference, avx512";
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

/* One product, without its beta where that is neither 0 nor 1: BLIS rounds beta C + AB once in the
 * middle of a matrix (fused) and twice at its edges, so a row would depend on its neighbours. */
static void blis_product(const weft_gemm_args *g)
{
    rntm_t rntm = BLIS_RNTM_INITIALIZER;
    bli_rntm_set_num_threads(1, &rntm);
    bli_rntm_disable_l3_sup(&rntm);
    weft_real alpha = g->alpha, beta = g->beta;
    /* BLIS 0.9 does not say const of what it only reads. */
    BLIS_GEMM(BLIS_NO_TRANSPOSE, BLIS_NO_TRANSPOSE, g->M, g->N, g->K, &alpha, (weft_real *)g->A,
              g->trans_a ? 1 : g->lda, g->trans_a ? g->lda : 1, (weft_real *)g->B,
              g->trans_b ? 1 : g->ldb, g->trans_b ? g->ldb : 1, &beta, g->C, g->ldc, 1, NULL,
              &rntm);
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
    state.blis = true;
    if (state.product) return WEFT_OK; /* only to be compared with */
    state.product = blis_product;
    snprintf(state.kernel, sizeof state.kernel, "%s", bli_arch_string(bli_arch_query_id()));
    snprintf(state.reason, sizeof state.reason, "%s", reason);
    return WEFT_OK;
}

/* Let BLIS allocate the packing buffers that `n_threads` threads hold at the same time. */
static void blis_warm_up(int n_threads)
{
    enum { SIZE = 256 };
    static weft_real zero[SIZE * SIZE];
    weft_real *result = weft_alloc((size_t)n_threads, sizeof(weft_real) * SIZE * SIZE);
    if (!result) return; /* then BLIS allocates at its first products */
#pragma omp parallel num_threads(n_threads)
    {
        const weft_gemm_args mine = { .M = SIZE,
                                      .N = SIZE,
                                      .K = SIZE,
                                      .alpha = 1,
                                      .A = zero,
                                      .lda = SIZE,
                                      .B = zero,
                                      .ldb = SIZE,
                                      .ldc = SIZE,
                                      .C = result + (size_t)omp_get_thread_num() * SIZE * SIZE };
#pragma omp barrier
        blis_product(&mine);
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

static weft_status choose(void (*product)(const weft_gemm_args *), const char *kernel,
                          const char *reason)
{
    state.product = product;
    snprintf(state.kernel, sizeof state.kernel, "%s", kernel);
    snprintf(state.reason, sizeof state.reason, "%s", reason);
    return WEFT_OK;
}

static weft_status start(const char *wanted)
{
    if (wanted && strcmp(wanted, "auto") == 0) wanted = NULL;
    if (wanted && strcmp(wanted, "reference") == 0)
        return choose(weft_gemm_reference, "reference", "asked for");
    if (wanted && strcmp(wanted, "avx512") == 0) {
        if (weft_gemm_has_avx512()) return choose(weft_gemm_avx512, "avx512", "asked for");
        return weft_error(WEFT_ERR_INPUT, "gemm: kernel avx512 needs %s",
                          sizeof(weft_real) == sizeof(float)
                              ? "AVX-512 (F, DQ, BW, VL), which this processor lacks"
                              : "floats; this library is in double");
    }
#ifdef WEFT_HAVE_BLIS
    if (wanted || getenv("BLIS_ARCH_TYPE") || !weft_gemm_has_avx512()) return blis_start(wanted);
#else
    if (wanted)
        return weft_error(WEFT_ERR_INPUT,
                          "gemm: no kernel named \"%s\"; this build, without BLIS, has auto, "
                          "reference, avx512",
                          wanted);
    if (!weft_gemm_has_avx512())
        return choose(weft_gemm_reference, "reference", "built without BLIS");
#endif
    return choose(weft_gemm_avx512, "avx512", "chosen by weft for this processor");
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
            (void)choose(weft_gemm_reference, "reference", weft_message());
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

/* A product on the calling thread. */
static void product(const weft_gemm_args *args, void (*run)(const weft_gemm_args *))
{
    if (args->M == 0 || args->N == 0) return;
    weft_gemm_args g = *args;
    if (g.K == 0 || g.alpha == 0 || (g.beta != 0 && g.beta != 1)) {
        if (g.beta != 1) scale(&g);
        if (g.K == 0 || g.alpha == 0) return;
        g.beta = 1;
    }
    run(&g);
}

/* Tiles of C: whole register blocks of BLIS's kernels (6 or 12 rows, 16 or 32 columns). */
typedef struct tiling {
    int64_t n_rows, n_cols; /* number of tiles down and across */
    int64_t rows, cols;     /* size of a tile; less at the borders */
} tiling;

static int64_t ceil_div(int64_t a, int64_t b) { return a / b + (a % b != 0); }

/* The way to cut C into `n` tiles that packs least: a tile packs its rows of A and its columns of B,
 * so the sum of its two sides should be small. */
static tiling tiling_best(int64_t M, int64_t N, int64_t n)
{
    enum { ROWS = 12, COLS = 32 };
    tiling best = { 0 };
    for (int64_t down = 1; down <= n; ++down) {
        if (n % down != 0) continue;
        tiling t = { .rows = ceil_div(ceil_div(M, down), ROWS) * ROWS,
                     .cols = ceil_div(ceil_div(N, n / down), COLS) * COLS };
        t.n_rows = ceil_div(M, t.rows);
        t.n_cols = ceil_div(N, t.cols);
        /* The longest tile decides, then the least packing. */
        const double area = (double)t.rows * (double)t.cols;
        const double best_area = (double)best.rows * (double)best.cols;
        if (best.n_rows == 0 || area < best_area ||
            (area == best_area && t.rows + t.cols < best.rows + best.cols))
            best = t;
    }
    return best;
}

static int64_t min_i64(int64_t a, int64_t b) { return a < b ? a : b; }

static void tile_product(const weft_gemm_args *g, void (*run)(const weft_gemm_args *),
                         const tiling *t, int64_t tile)
{
    const int64_t row = tile / t->n_cols * t->rows, col = tile % t->n_cols * t->cols;
    weft_gemm_args mine = *g;
    mine.M = min_i64(t->rows, g->M - row);
    mine.N = min_i64(t->cols, g->N - col);
    mine.A += g->trans_a ? row : row * g->lda;
    mine.B += g->trans_b ? col * g->ldb : col;
    mine.C += row * g->ldc + col;
    product(&mine, run);
}

/* One product, shared among threads. */
static void share(const weft_gemm_args *args, void (*run)(const weft_gemm_args *))
{
    if (args->M == 0 || args->N == 0) return;
    /* A tile of fewer than about 1,000 elements is more packing than product. */
    int64_t size;
    if (__builtin_mul_overflow(args->M, args->N, &size)) size = INT64_MAX;
    const int n_threads = weft_team(size / 1024 + 1, weft_gemm_work(args));
    if (n_threads == 1) {
        product(args, run);
        return;
    }
    warm_up(n_threads);
    const tiling t = tiling_best(args->M, args->N, n_threads);
    const int64_t n_tiles = t.n_rows * t.n_cols;
#pragma omp parallel for schedule(static) num_threads(n_threads)
    for (int64_t tile = 0; tile < n_tiles; ++tile) tile_product(args, run, &t, tile);
}

/* What computes it. */
static void (*runs(const weft_gemm_args *args))(const weft_gemm_args *)
{
    void (*const run)(const weft_gemm_args *) = ready()->product;
    if (!args->bf16) return run;
    assert(run == weft_gemm_avx512 && weft_gemm_has_bf16());
    return weft_gemm_bf16;
}

void weft_gemm(const weft_gemm_args *args) { share(args, runs(args)); }

weft_status weft_gemm_library(const weft_gemm_args *args)
{
#ifdef WEFT_HAVE_BLIS
    ready();
    pthread_mutex_lock(&state.lock);
    const weft_status status = state.blis ? WEFT_OK : blis_start(NULL);
    pthread_mutex_unlock(&state.lock);
    if (status == WEFT_OK) share(args, blis_product);
    return status;
#else
    (void)args;
    return weft_error(WEFT_ERR_STATE, "gemm: this build has no BLIS");
#endif
}

void weft_gemm_batch(int64_t n, const weft_gemm_args *args)
{
    int64_t work = 0;
    for (int64_t i = 0; i < n; ++i)
        if (__builtin_add_overflow(work, weft_gemm_work(&args[i]), &work)) work = INT64_MAX;
    if (n < weft_threads() && !omp_in_parallel()) { /* few, perhaps large: threads share each */
        for (int64_t i = 0; i < n; ++i) weft_gemm(&args[i]);
        return;
    }
    const int n_threads = weft_team(n, work);
    warm_up(n_threads);
#pragma omp parallel for schedule(static) num_threads(n_threads)
    for (int64_t i = 0; i < n; ++i) product(&args[i], runs(&args[i]));
}

const char *weft_gemm_kernel(void) { return ready()->kernel; }

weft_status weft_gemm_check_bf16(void)
{
    if (sizeof(weft_real) != sizeof(float))
        return weft_error(WEFT_ERR_INPUT,
                          "products in bfloat16 need floats; this library is in double");
    const struct gemm_state *s = ready();
    if (!weft_gemm_has_bf16())
        return weft_error(WEFT_ERR_INPUT,
                          "products in bfloat16 need AVX512_BF16, which this processor lacks");
    if (s->product != weft_gemm_avx512)
        return weft_error(WEFT_ERR_INPUT,
                          "products in bfloat16 need the kernel avx512, but %s is in use (%s)",
                          s->kernel, s->reason);
    return WEFT_OK;
}

const char *weft_gemm_describe(void)
{
    static _Thread_local char line[384];
    const struct gemm_state *s = ready();
    char library[32] = "weft";
#ifdef WEFT_HAVE_BLIS
    if (s->product == blis_product)
        snprintf(library, sizeof library, "BLIS %s", bli_info_get_version_str());
#endif
    snprintf(line, sizeof line, "%s kernel=%s (%s) threads=%d", library, s->kernel, s->reason,
             weft_threads());
    return line;
}
