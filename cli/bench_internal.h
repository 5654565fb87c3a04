/* bench_internal.h - what the subcommands of `weft bench` share. */
#ifndef WEFT_BENCH_INTERNAL_H
#define WEFT_BENCH_INTERNAL_H

/** `weft bench gemm [--threads N] [--json]`; argv[0] is "gemm". Returns the exit code. */
int weft_cli_bench_gemm(int argc, char **argv);

/** `weft bench step [--workload W] [--threads N] [--steps N] [--json]`; argv[0] is "step". */
int weft_cli_bench_step(int argc, char **argv);

/** Milliseconds of all matrix products of one training step of a workload ("tiny", "base", "gpt";
 *  attention's own products are not counted) on the threads in force; medians of repetitions on
 *  random operands. Negative, with a message, for an unknown workload or without memory. */
double weft_bench_products_ms(const char *workload);

#endif
