/* bench_internal.h - what the subcommands of `weft bench` share. */
#ifndef WEFT_BENCH_INTERNAL_H
#define WEFT_BENCH_INTERNAL_H

#include "autograd/autograd.h"

/** `weft bench gemm [--threads N] [--json]`; argv[0] is "gemm". Returns the exit code. */
int weft_cli_bench_gemm(int argc, char **argv);

/** `weft bench step [--workload W] [--threads N] ...`; argv[0] is "step". */
int weft_cli_bench_step(int argc, char **argv);

/** `weft bench attention [--variant V] [--n A..B] ...`; argv[0] is "attention". */
int weft_cli_bench_attention(int argc, char **argv);

/** `weft bench translate --model DIR [--source FILE] [--beam K] ...`; argv[0] is "translate". */
int weft_cli_bench_translate(int argc, char **argv);

/** The median of n > 0 values, which are sorted for it. */
double weft_bench_median(int64_t n, double *x);

/** Milliseconds of all matrix products of one training step of a workload ("tiny", "base", "gpt";
 *  attention's own products are not counted) by BLIS on the threads in force; medians of
 *  repetitions on random operands. Negative, with a message, for an unknown workload or without memory. */
double weft_bench_products_ms(const char *workload);

/* ---- where the time of a step goes (bench_profile.c) --------------------------------------------- */

typedef struct weft_bench_profile weft_bench_profile;
/** `trace_path`: a file for the events, as Chrome's and Perfetto's viewers read them; NULL: none.
 *  NULL with a message without memory or where the file cannot be written. */
weft_bench_profile *weft_bench_profile_new(const char *trace_path);
/** Ends the trace; NULL is allowed. WEFT_ERR_IO where it could not be written. */
weft_status weft_bench_profile_free(weft_bench_profile *profile);
/** For weft_tape_watch, with the profile as context. */
void weft_bench_profile_watch(void *profile, const weft_event *event);
/** Around each step, before the tape is reset for the next one. */
void weft_bench_profile_begin(weft_bench_profile *profile);
void weft_bench_profile_end(weft_bench_profile *profile);
/** The optimiser ran on n_values from start_s until now. */
void weft_bench_profile_optimiser(weft_bench_profile *profile, double start_s, int64_t n_values);
/** The mean step as a table, or one JSON object a row; what no operation took is the row "tape". */
void weft_bench_profile_print(weft_bench_profile *profile, bool json);

#endif
