/* dispatch.h - from a word on the command line to the function that serves it. */
#ifndef WEFT_CLI_DISPATCH_H
#define WEFT_CLI_DISPATCH_H

typedef struct weft_cli_subcommand {
    const char *name;
    int (*run)(int argc, char **argv); /* argv[0] is the name; returns the exit code */
    const char *summary;
} weft_cli_subcommand;

/** Run the subcommand that argv[1] names, or --help. `program` is what stands before it: "weft",
 *  "weft bench". Returns the exit code. */
int weft_cli_dispatch(const char *program, const char *summary, int n,
                      const weft_cli_subcommand subcommands[], int argc, char **argv);

#endif
