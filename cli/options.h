/* options.h - a table of options over getopt_long: one description for parsing, errors and --help. */
#ifndef WEFT_CLI_OPTIONS_H
#define WEFT_CLI_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

enum { WEFT_CLI_MOST_TEXTS = 64 };

/* The values of an option that may be given several times. */
typedef struct weft_cli_texts {
    int n;
    const char *text[WEFT_CLI_MOST_TEXTS];
} weft_cli_texts;

typedef enum weft_cli_type {
    WEFT_CLI_FLAG,    /* target: bool, becomes true */
    WEFT_CLI_TEXT,    /* const char * */
    WEFT_CLI_TEXTS,   /* weft_cli_texts */
    WEFT_CLI_CHOICE,  /* int: place of the value among the names of `argument`, "bleu|chrf" */
    WEFT_CLI_INTEGER, /* int64_t in low .. high */
    WEFT_CLI_REAL     /* double in low .. high */
} weft_cli_type;

typedef struct weft_cli_option {
    const char *name; /* without the dashes */
    weft_cli_type type;
    void *target;         /* holds the default before parsing */
    const char *argument; /* as --help shows it: "FILE", "bleu|chrf"; NULL for a flag */
    const char *help;
    double low, high;
} weft_cli_option;

typedef struct weft_cli_command {
    const char *name;     /* "score" */
    const char *synopsis; /* what follows the name: "--ref FILE [--lowercase] < hypotheses" */
    const char *summary;  /* a sentence or more, in lines of at most 80 characters */
    const weft_cli_option *options;
    int n_options;
    bool takes_operands; /* words that are no options; they are argv[*n_first] and on */
} weft_cli_command;

/** Parse argv[1] and on. true: go on. false: *exit_code says how to end, after --help (printed to
 *  the standard output) or a mistake (a sentence with the nearest option to the standard error). */
bool weft_cli_parse(const weft_cli_command *command, int argc, char **argv, int *first_operand,
                    int *exit_code);

#endif
