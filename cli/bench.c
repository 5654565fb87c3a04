/* bench.c - `weft bench`: the benchmarks, one a line. */
#include "cli/bench_internal.h"
#include "cli/cli.h"
#include "cli/dispatch.h"

#include <stdlib.h>

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double weft_bench_median(int64_t n, double *x)
{
    qsort(x, (size_t)n, sizeof *x, compare_doubles);
    return x[n / 2];
}

static const weft_cli_subcommand benchmarks[] = {
    { "step", weft_cli_bench_step, "a training step, beside its matrix products" },
    { "attention", weft_cli_bench_attention, "attention of any kind, by the sentence's length" },
    { "translate", weft_cli_bench_translate, "how many tokens a second a model translates" },
    { "gemm", weft_cli_bench_gemm, "the matrix products of a training step, beside the peak" },
};

int weft_cli_bench(int argc, char **argv)
{
    return weft_cli_dispatch("weft bench", "Measure parts of weft on this machine.",
                             sizeof benchmarks / sizeof *benchmarks, benchmarks, argc, argv);
}
