/* main.c - the program `weft`: hands over to a subcommand. */
#include "cli/bench_internal.h"

#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    if (argc >= 3 && strcmp(argv[1], "bench") == 0 && strcmp(argv[2], "gemm") == 0)
        return weft_cli_bench_gemm(argc - 2, argv + 2);
    fprintf(stderr, "use: weft bench gemm [--threads N] [--json]\n");
    return 2;
}
