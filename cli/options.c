/* options.c - parse a table of options, and print it as help. */
#include "cli/options.h"
#include "cli/cli.h"
#include "core/nearest_internal.h"

#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_OPTIONS = 32, FIRST_CODE = 256, HELP_CODE = FIRST_CODE + MOST_OPTIONS };

/* A sentence about a mistake; returns false. */
static bool WEFT_PRINTF(2, 3) mistake(const weft_cli_command *command, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fprintf(stderr, "weft %s: ", command->name);
    vfprintf(stderr, fmt, args);
    fprintf(stderr, "\nTry: weft %s --help\n", command->name);
    va_end(args);
    return false;
}

static void print_help(const weft_cli_command *command)
{
    char left[80];
    printf("usage: weft %s %s\n\n%s\n\n", command->name, command->synopsis, command->summary);
    for (int i = 0; i < command->n_options; i++) {
        const weft_cli_option *o = &command->options[i];
        snprintf(left, sizeof left, "--%s %s", o->name, o->argument != NULL ? o->argument : "");
        printf("  %-26s %s\n", left, o->help);
    }
    printf("  %-26s %s\n", "--help", "print this");
}

static bool take_choice(const weft_cli_option *o, const char *value)
{
    const size_t n_value = strlen(value);
    int place = 0;
    for (const char *name = o->argument;; place++) {
        const size_t n_name = strcspn(name, "|");
        if (n_name == n_value && memcmp(name, value, n_name) == 0) break;
        if (name[n_name] == '\0') return false;
        name += n_name + 1;
    }
    *(int *)o->target = place;
    return true;
}

static bool take_number(const weft_cli_option *o, const char *value)
{
    char *end;
    errno = 0;
    if (o->type == WEFT_CLI_INTEGER) {
        const long long x = strtoll(value, &end, 10);
        if (end == value || *end != '\0' || errno != 0) return false;
        *(int64_t *)o->target = x;
        return (double)x >= o->low && (double)x <= o->high;
    }
    const double x = strtod(value, &end);
    if (end == value || *end != '\0') return false;
    *(double *)o->target = x;
    return x >= o->low && x <= o->high; /* false for NaN */
}

static bool take_value(const weft_cli_command *command, const weft_cli_option *o, const char *value)
{
    weft_cli_texts *texts = o->target;
    switch (o->type) {
    case WEFT_CLI_FLAG: *(bool *)o->target = true; return true;
    case WEFT_CLI_TEXT: *(const char **)o->target = value; return true;
    case WEFT_CLI_TEXTS:
        if (texts->n == WEFT_CLI_MOST_TEXTS) {
            return mistake(command, "--%s is given more than %d times", o->name,
                           WEFT_CLI_MOST_TEXTS);
        }
        texts->text[texts->n++] = value;
        return true;
    case WEFT_CLI_CHOICE:
        if (take_choice(o, value)) return true;
        return mistake(command, "--%s %s: one of %s is needed", o->name, value, o->argument);
    case WEFT_CLI_INTEGER:
    case WEFT_CLI_REAL:
        if (take_number(o, value)) return true;
        return mistake(command, "--%s %s: a%s number from %.15g to %.15g is needed", o->name, value,
                       o->type == WEFT_CLI_INTEGER ? " whole" : "", o->low, o->high);
    }
    return false;
}

/* What getopt_long answered '?' to: `word` with its dashes, or the option of this code. */
static bool unknown_option(const weft_cli_command *command, const char *word, int code)
{
    char name[64], nearest_name[64];
    if (code >= FIRST_CODE && code < FIRST_CODE + command->n_options) {
        return mistake(command, "--%s takes no value", command->options[code - FIRST_CODE].name);
    }
    if (code > 0) return mistake(command, "unknown option -%c", code);
    snprintf(name, sizeof name, "%.*s", (int)strcspn(word, "="), word);
    weft_nearest nearest = weft_nearest_init(name + strspn(name, "-"));
    for (int i = 0; i < command->n_options; i++) {
        weft_nearest_offer(&nearest, command->options[i].name);
    }
    if (nearest.name == NULL) return mistake(command, "unknown option %s", name);
    snprintf(nearest_name, sizeof nearest_name, "--%s", nearest.name);
    return mistake(command, "unknown option %s (did you mean %s?)", name, nearest_name);
}

bool weft_cli_parse(const weft_cli_command *command, int argc, char **argv, int *first_operand,
                    int *exit_code)
{
    struct option table[MOST_OPTIONS + 2] = { { 0 } };
    assert(command->n_options <= MOST_OPTIONS);
    for (int i = 0; i < command->n_options; i++) {
        const weft_cli_option *o = &command->options[i];
        table[i] =
            (struct option){ .name = o->name,
                             .has_arg = o->type == WEFT_CLI_FLAG ? no_argument : required_argument,
                             .val = FIRST_CODE + i };
    }
    table[command->n_options] = (struct option){ .name = "help", .val = HELP_CODE };
    opterr = 0;
    optind = 1;
    *exit_code = WEFT_EXIT_USE;
    for (int code; (code = getopt_long(argc, argv, ":h", table, NULL)) != -1;) {
        const char *word = argv[optind - 1];
        if (code == HELP_CODE || code == 'h') {
            print_help(command);
            *exit_code = WEFT_EXIT_DONE;
            return false;
        }
        if (code == '?') return unknown_option(command, word, optopt);
        if (code == ':') return mistake(command, "%s needs a value", word);
        if (!take_value(command, &command->options[code - FIRST_CODE], optarg)) return false;
    }
    if (optind < argc && !command->takes_operands) {
        return mistake(command, "unexpected argument %s", argv[optind]);
    }
    *first_operand = optind;
    return true;
}
