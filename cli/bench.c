/* bench.c - `weft bench`: the benchmarks, one a line. */
#include "cli/bench_internal.h"
#include "cli/cli.h"
#include "cli/dispatch.h"

static const weft_cli_subcommand benchmarks[] = {
    { "step", weft_cli_bench_step, "a training step, beside its matrix products" },
    { "gemm", weft_cli_bench_gemm, "the matrix products of a training step, beside the peak" },
};

int weft_cli_bench(int argc, char **argv)
{
    return weft_cli_dispatch("weft bench", "Measure parts of weft on this machine.",
                             sizeof benchmarks / sizeof *benchmarks, benchmarks, argc, argv);
}
