/* bench_gemm.c - `weft bench gemm`: the matrix products of one training step, beside the roof. */
#include "cli/bench_internal.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "core/core.h"

#include <stdio.h>
#include <string.h>

/* The products of a step: C[M, N] (+)= op(A)[M, K] op(B)[K, N], `count` of them. y = x W^T forward,
 * dx = dy W and dW += dy^T x backward. tiny: an encoder-decoder of width 128 on 3,600 tokens a side;
 * base: width 512 on 1,024 tokens; gpt: a decoder alone, width 256, on 1,024 tokens. The logits come
 * in blocks of 512 rows. */
static const struct bench_product {
    const char *workload;
    int64_t M, N, K;
    bool trans_a, trans_b;
    int count;
    const char *role;
} products[] = {
    { "tiny", 3600, 384, 128, false, true, 8, "self-attention qkv y = x W^T" },
    { "tiny", 3600, 128, 384, false, false, 8, "self-attention qkv dx = dy W" },
    { "tiny", 384, 128, 3600, true, false, 8, "self-attention qkv dW += dy^T x" },
    { "tiny", 3600, 128, 128, false, true, 8, "self-attention out y = x W^T" },
    { "tiny", 3600, 128, 128, false, false, 8, "self-attention out dx = dy W" },
    { "tiny", 128, 128, 3600, true, false, 8, "self-attention out dW += dy^T x" },
    { "tiny", 3600, 128, 128, false, true, 4, "cross-attention q y = x W^T" },
    { "tiny", 3600, 128, 128, false, false, 4, "cross-attention q dx = dy W" },
    { "tiny", 128, 128, 3600, true, false, 4, "cross-attention q dW += dy^T x" },
    { "tiny", 3600, 256, 128, false, true, 4, "cross-attention kv y = x W^T" },
    { "tiny", 3600, 128, 256, false, false, 4, "cross-attention kv dx = dy W" },
    { "tiny", 256, 128, 3600, true, false, 4, "cross-attention kv dW += dy^T x" },
    { "tiny", 3600, 128, 128, false, true, 4, "cross-attention out y = x W^T" },
    { "tiny", 3600, 128, 128, false, false, 4, "cross-attention out dx = dy W" },
    { "tiny", 128, 128, 3600, true, false, 4, "cross-attention out dW += dy^T x" },
    { "tiny", 3600, 256, 128, false, true, 8, "ffn 1 y = x W^T" },
    { "tiny", 3600, 128, 256, false, false, 8, "ffn 1 dx = dy W" },
    { "tiny", 256, 128, 3600, true, false, 8, "ffn 1 dW += dy^T x" },
    { "tiny", 3600, 128, 256, false, true, 8, "ffn 2 y = x W^T" },
    { "tiny", 3600, 256, 128, false, false, 8, "ffn 2 dx = dy W" },
    { "tiny", 128, 256, 3600, true, false, 8, "ffn 2 dW += dy^T x" },
    { "tiny", 512, 9712, 128, false, true, 7, "projection, 512 rows y = x W^T" },
    { "tiny", 512, 128, 9712, false, false, 7, "projection, 512 rows dx = dy W" },
    { "tiny", 9712, 128, 512, true, false, 7, "projection, 512 rows dW += dy^T x" },
    { "tiny", 16, 9712, 128, false, true, 1, "projection, rest y = x W^T" },
    { "tiny", 16, 128, 9712, false, false, 1, "projection, rest dx = dy W" },
    { "tiny", 9712, 128, 16, true, false, 1, "projection, rest dW += dy^T x" },
    { "base", 1024, 1536, 512, false, true, 12, "self-attention qkv y = x W^T" },
    { "base", 1024, 512, 1536, false, false, 12, "self-attention qkv dx = dy W" },
    { "base", 1536, 512, 1024, true, false, 12, "self-attention qkv dW += dy^T x" },
    { "base", 1024, 512, 512, false, true, 12, "self-attention out y = x W^T" },
    { "base", 1024, 512, 512, false, false, 12, "self-attention out dx = dy W" },
    { "base", 512, 512, 1024, true, false, 12, "self-attention out dW += dy^T x" },
    { "base", 1024, 512, 512, false, true, 6, "cross-attention q y = x W^T" },
    { "base", 1024, 512, 512, false, false, 6, "cross-attention q dx = dy W" },
    { "base", 512, 512, 1024, true, false, 6, "cross-attention q dW += dy^T x" },
    { "base", 1024, 1024, 512, false, true, 6, "cross-attention kv y = x W^T" },
    { "base", 1024, 512, 1024, false, false, 6, "cross-attention kv dx = dy W" },
    { "base", 1024, 512, 1024, true, false, 6, "cross-attention kv dW += dy^T x" },
    { "base", 1024, 512, 512, false, true, 6, "cross-attention out y = x W^T" },
    { "base", 1024, 512, 512, false, false, 6, "cross-attention out dx = dy W" },
    { "base", 512, 512, 1024, true, false, 6, "cross-attention out dW += dy^T x" },
    { "base", 1024, 2048, 512, false, true, 12, "ffn 1 y = x W^T" },
    { "base", 1024, 512, 2048, false, false, 12, "ffn 1 dx = dy W" },
    { "base", 2048, 512, 1024, true, false, 12, "ffn 1 dW += dy^T x" },
    { "base", 1024, 512, 2048, false, true, 12, "ffn 2 y = x W^T" },
    { "base", 1024, 2048, 512, false, false, 12, "ffn 2 dx = dy W" },
    { "base", 512, 2048, 1024, true, false, 12, "ffn 2 dW += dy^T x" },
    { "base", 512, 8000, 512, false, true, 2, "projection, 512 rows y = x W^T" },
    { "base", 512, 512, 8000, false, false, 2, "projection, 512 rows dx = dy W" },
    { "base", 8000, 512, 512, true, false, 2, "projection, 512 rows dW += dy^T x" },
    { "gpt", 1024, 768, 256, false, true, 6, "attention qkv y = x W^T" },
    { "gpt", 1024, 256, 768, false, false, 6, "attention qkv dx = dy W" },
    { "gpt", 768, 256, 1024, true, false, 6, "attention qkv dW += dy^T x" },
    { "gpt", 1024, 256, 256, false, true, 6, "attention out y = x W^T" },
    { "gpt", 1024, 256, 256, false, false, 6, "attention out dx = dy W" },
    { "gpt", 256, 256, 1024, true, false, 6, "attention out dW += dy^T x" },
    { "gpt", 1024, 1024, 256, false, true, 6, "ffn 1 y = x W^T" },
    { "gpt", 1024, 256, 1024, false, false, 6, "ffn 1 dx = dy W" },
    { "gpt", 1024, 256, 1024, true, false, 6, "ffn 1 dW += dy^T x" },
    { "gpt", 1024, 256, 1024, false, true, 6, "ffn 2 y = x W^T" },
    { "gpt", 1024, 1024, 256, false, false, 6, "ffn 2 dx = dy W" },
    { "gpt", 256, 1024, 1024, true, false, 6, "ffn 2 dW += dy^T x" },
    { "gpt", 512, 8000, 256, false, true, 2, "projection, 512 rows y = x W^T" },
    { "gpt", 512, 256, 8000, false, false, 2, "projection, 512 rows dx = dy W" },
    { "gpt", 8000, 256, 512, true, false, 2, "projection, 512 rows dW += dy^T x" },
};
enum { N_PRODUCTS = sizeof products / sizeof products[0], N_REPEATS = 5 };
static const char *const workloads[] = { "tiny", "base", "gpt" };
enum { N_WORKLOADS = sizeof workloads / sizeof workloads[0] };

/* n values uniform in (-1/2, 1/2), a period of them repeated; NULL without memory. In an arena, whose
 * memory goes back to the system: the step that is measured next should not seem to hold it. */
static weft_real *random_matrix(weft_arena *arena, int64_t n, uint64_t site)
{
    enum { PERIOD = 65521 };
    size_t at;
    if (weft_arena_take(arena, (size_t)n * sizeof(weft_real), &at) != WEFT_OK) return NULL;
    weft_real *x = weft_arena_at(arena, at);
    const uint64_t key = weft_random_key(1, 0, site);
    for (int64_t i = 0; i < n; ++i)
        x[i] = i < PERIOD ? (weft_real)(weft_random_uniform(key, 0, (uint32_t)i) - 0.5)
                          : x[i - PERIOD];
    return x;
}

/* Whose products: weft's own, or those of BLIS (in a build without it, weft's too). */
enum { WEFT, BLIS, N_SIDES };

static void run(int side, const weft_gemm_args *args)
{
    if (side == WEFT || weft_gemm_library(args) != WEFT_OK) weft_gemm(args);
}

/* Median seconds of one product on each side, turn by turn, after a first one that is not counted;
 * false without memory. */
static bool product_s(const struct bench_product *p, bool bf16, double s[N_SIDES])
{
    weft_arena *arena = weft_arena_new(false);
    if (!arena) return false;
    weft_real *A = random_matrix(arena, p->M * p->K, 1), *B = random_matrix(arena, p->K * p->N, 2);
    weft_real *C = random_matrix(arena, p->M * p->N, 3);
    double times_s[N_SIDES][N_REPEATS];
    const bool ok = A && B && C;
    if (ok) {
        /* A gradient of weights (the only transposed A) adds to what is there. */
        const weft_gemm_args args = { .bf16 = bf16,
                                      .trans_a = p->trans_a,
                                      .trans_b = p->trans_b,
                                      .M = p->M,
                                      .N = p->N,
                                      .K = p->K,
                                      .alpha = 1,
                                      .A = A,
                                      .lda = p->trans_a ? p->M : p->K,
                                      .B = B,
                                      .ldb = p->trans_b ? p->K : p->N,
                                      .beta = p->trans_a ? 1 : 0,
                                      .C = C,
                                      .ldc = p->N };
        for (int i = -1; i < N_REPEATS; ++i)
            for (int side = 0; side < N_SIDES; ++side) {
                const double start_s = weft_seconds();
                run(side, &args);
                if (i >= 0) times_s[side][i] = weft_seconds() - start_s;
            }
        for (int side = 0; side < N_SIDES; ++side)
            s[side] = weft_bench_median(N_REPEATS, times_s[side]);
    }
    weft_arena_free(arena);
    return ok;
}

static bool same_shape(const struct bench_product *a, const struct bench_product *b)
{
    return a->M == b->M && a->N == b->N && a->K == b->K && a->trans_a == b->trans_a &&
           a->trans_b == b->trans_b;
}

/* Seconds of all products of a workload on each side; equal shapes are measured once. */
static bool measure(const char *workload, bool bf16, double s[N_PRODUCTS][N_SIDES])
{
    memset(s, 0, N_PRODUCTS * sizeof s[0]);
    for (int i = 0; i < N_PRODUCTS; ++i) {
        if (strcmp(products[i].workload, workload) != 0) continue;
        int j = 0;
        while (j < i && !(s[j][WEFT] > 0 && same_shape(&products[i], &products[j]))) ++j;
        if (j < i)
            memcpy(s[i], s[j], sizeof s[i]);
        else if (!product_s(&products[i], bf16, s[i]))
            return false;
    }
    return true;
}

static double total_ms(double s[N_PRODUCTS][N_SIDES], int side)
{
    double sum = 0;
    for (int i = 0; i < N_PRODUCTS; ++i) sum += 1e3 * s[i][side] * products[i].count;
    return sum;
}

double weft_bench_products_ms(const char *workload)
{
    for (int i = 0; i < N_WORKLOADS; ++i) {
        if (strcmp(workloads[i], workload) != 0) continue;
        double s[N_PRODUCTS][N_SIDES];
        return measure(workload, false, s) ? total_ms(s, BLIS) : -1;
    }
    (void)weft_error(WEFT_ERR_INPUT, "no workload named \"%s\"; there are tiny, base and gpt",
                     workload);
    return -1;
}

static void print_product(const struct bench_product *p, const double s[N_SIDES], double peak,
                          bool json)
{
    const double gflops = 2e-9 * (double)p->M * (double)p->N * (double)p->K / s[WEFT];
    if (json)
        printf("{\"workload\": \"%s\", \"product\": \"%s\", \"M\": %lld, \"N\": %lld, "
               "\"K\": %lld, \"count\": %d, \"ms\": %.4f, \"gflops\": %.1f, "
               "\"part_of_peak\": %.3f, \"blis_ms\": %.4f}\n",
               p->workload, p->role, (long long)p->M, (long long)p->N, (long long)p->K, p->count,
               1e3 * s[WEFT], gflops, gflops / peak, 1e3 * s[BLIS]);
    else
        printf("%-5s %-34s %5lld %5lld %5lld  x%-2d %9.3f ms %7.1f GFLOP/s %5.1f %% %9.3f ms\n",
               p->workload, p->role, (long long)p->M, (long long)p->N, (long long)p->K, p->count,
               1e3 * s[WEFT], gflops, 100 * gflops / peak, 1e3 * s[BLIS]);
}

static void print_workload(const char *workload, double s[N_PRODUCTS][N_SIDES], double peak,
                           bool json)
{
    double flops = 0;
    for (int i = 0; i < N_PRODUCTS; ++i) {
        const struct bench_product *p = &products[i];
        if (strcmp(p->workload, workload) != 0) continue;
        flops += 2.0 * (double)p->M * (double)p->N * (double)p->K * p->count;
        print_product(p, s[i], peak, json);
    }
    const double ms = total_ms(s, WEFT), gflops = 1e-6 * flops / ms;
    if (json)
        printf("{\"workload\": \"%s\", \"ms\": %.3f, \"gflops\": %.1f, \"part_of_peak\": %.3f, "
               "\"gemm_ms\": %.3f}\n",
               workload, ms, gflops, gflops / peak, total_ms(s, BLIS));
    else
        printf("%-5s all products of a step: %.1f ms, %.1f GFLOP/s, %.1f %% of the peak; BLIS %.1f "
               "ms\n\n",
               workload, ms, gflops, 100 * gflops / peak, total_ms(s, BLIS));
}

int weft_cli_bench_gemm(int argc, char **argv)
{
    int64_t n_threads = 0;
    int precision = 0;
    bool json = false;
    const weft_cli_option options[] = {
        { "precision", WEFT_CLI_CHOICE, &precision, "float|bf16",
          "of the operands of weft's products; float", 0, 0 },
        { "threads", WEFT_CLI_INTEGER, &n_threads, "N", "threads; 0, as many as there are", 0,
          256 },
        { "json", WEFT_CLI_FLAG, &json, NULL, "print one JSON object a line", 0, 0 },
    };
    const weft_cli_command command = {
        .name = "bench gemm",
        .synopsis = "[--precision float|bf16] [--threads N] [--json]",
        .summary = "Time the matrix products of one training step of three workloads, beside the\n"
                   "processor's peak of fused multiply-adds; last, the time that BLIS needs.",
        .options = options,
        .n_options = sizeof options / sizeof *options,
    };
    int first_operand, exit_code;
    if (!weft_cli_parse(&command, argc, argv, &first_operand, &exit_code)) return exit_code;
    weft_status status = weft_threads_set((int)n_threads);
    const bool bf16 = precision == 1;
    if (status == WEFT_OK) status = weft_gemm_init(NULL);
    if (status == WEFT_OK && bf16) status = weft_gemm_check_bf16();
    if (status != WEFT_OK) return weft_cli_fail("bench gemm", status);
    const double peak = weft_fma_peak(weft_threads());
    if (json)
        printf("{\"gemm\": \"%s\", \"threads\": %d, \"fma_peak_gflops\": %.1f}\n",
               weft_gemm_describe(), weft_threads(), peak);
    else
        printf("gemm: %s\npeak: %.1f GFLOP/s of fused multiply-adds on %d threads\n\n",
               weft_gemm_describe(), peak, weft_threads());
    for (int i = 0; i < N_WORKLOADS; ++i) {
        double s[N_PRODUCTS][N_SIDES];
        if (!measure(workloads[i], bf16, s)) return weft_cli_fail("bench gemm", WEFT_ERR_MEMORY);
        print_workload(workloads[i], s, peak, json);
    }
    return 0;
}
