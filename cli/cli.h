/* cli.h - what the subcommands of `weft` share. Each lives in a file of its own: parse, call, print.
 * A new one is a prototype here and a line in main.c. */
#ifndef WEFT_CLI_CLI_H
#define WEFT_CLI_CLI_H

#include "core/core.h"

enum {
    WEFT_EXIT_DONE = 0,
    WEFT_EXIT_NO = 1,          /* the answer is no: a check failed, a target was missed */
    WEFT_EXIT_USE = 2,         /* wrong input or use */
    WEFT_EXIT_SYSTEM = 3,      /* the system failed: disk, memory */
    WEFT_EXIT_INTERRUPT = 130, /* stopped by SIGINT after saving */
    WEFT_EXIT_TERMINATE = 143  /* stopped by SIGTERM after saving */
};

/** Print "weft COMMAND: message" of a failure; returns its exit code. */
int weft_cli_fail(const char *command, weft_status status);

/* argv[0] is the name of the subcommand; the result is the exit code. */
int weft_cli_average(int argc, char **argv);
int weft_cli_bench(int argc, char **argv);
int weft_cli_bpe(int argc, char **argv);
int weft_cli_check(int argc, char **argv);
int weft_cli_convert(int argc, char **argv);
int weft_cli_generate(int argc, char **argv);
int weft_cli_gradcheck(int argc, char **argv);
int weft_cli_inspect(int argc, char **argv);
int weft_cli_logprob(int argc, char **argv);
int weft_cli_plan(int argc, char **argv);
int weft_cli_report(int argc, char **argv);
int weft_cli_score(int argc, char **argv);
int weft_cli_train(int argc, char **argv);
int weft_cli_translate(int argc, char **argv);

#endif
