/* dispatch.c - find the subcommand and run it. */
#include "cli/dispatch.h"
#include "cli/cli.h"
#include "core/nearest_internal.h"

#include <stdio.h>
#include <string.h>

static int help(const char *program, const char *summary, int n,
                const weft_cli_subcommand subcommands[])
{
    printf("usage: %s COMMAND [OPTIONS]\n\n%s\n\n", program, summary);
    for (int i = 0; i < n; i++) {
        printf("  %-12s %s\n", subcommands[i].name, subcommands[i].summary);
    }
    printf("\n`%s COMMAND --help` tells about a command.\n"
           "Exit codes: 0 done, 1 the answer is no, 2 wrong input or use, 3 the system failed,\n"
           "130 and 143 stopped by a signal.\n",
           program);
    return WEFT_EXIT_DONE;
}

int weft_cli_dispatch(const char *program, const char *summary, int n,
                      const weft_cli_subcommand subcommands[], int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "%s: a command is needed\nTry: %s --help\n", program, program);
        return WEFT_EXIT_USE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        return help(program, summary, n, subcommands);
    }
    weft_nearest nearest = weft_nearest_init(argv[1]);
    for (int i = 0; i < n; i++) {
        if (strcmp(argv[1], subcommands[i].name) == 0) {
            return subcommands[i].run(argc - 1, argv + 1);
        }
        weft_nearest_offer(&nearest, subcommands[i].name);
    }
    fprintf(stderr, "%s: unknown command %s", program, argv[1]);
    if (nearest.name != NULL) fprintf(stderr, " (did you mean %s?)", nearest.name);
    fprintf(stderr, "\nTry: %s --help\n", program);
    return WEFT_EXIT_USE;
}
