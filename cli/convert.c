/* convert.c - `weft convert`: a trained model in another form. */
#include "train/convert.h"
#include "cli/cli.h"
#include "cli/options.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES = 4096 };

typedef struct arguments {
    const char *model, *out;
    weft_cli_texts set;
    int64_t kv_heads;
} arguments;

static weft_status convert(const arguments *args)
{
    char path[PATH_BYTES], *changes;
    if (snprintf(path, sizeof path, "%s/best.h5", args->out) >= PATH_BYTES)
        return weft_error(WEFT_ERR_INPUT, "%s: the path is too long", args->out);
    if (mkdir(args->out, 0777) != 0)
        return weft_error(WEFT_ERR_INPUT, "%s: %s", args->out, strerror(errno));
    const weft_status status =
        weft_convert(args->model, args->set.n, args->set.text, args->kv_heads, path, &changes);
    if (status != WEFT_OK) (void)rmdir(args->out);
    if (status == WEFT_OK && *changes)
        fprintf(
            stderr,
            "%s must be trained on (weft train --init %s), as it is another model than before:\n",
            args->out, args->out);
    for (const char *line = changes; line && *line; line += strcspn(line, "\n") + 1)
        fprintf(stderr, "model.%.*s\n", (int)strcspn(line, "\n"), line);
    weft_free(changes);
    return status;
}

int weft_cli_convert(int argc, char **argv)
{
    arguments args = { 0 };
    const weft_cli_option options[] = {
        { "model", WEFT_CLI_TEXT, &args.model, "DIR", "folder of weft train, or a checkpoint", 0,
          0 },
        { "out", WEFT_CLI_TEXT, &args.out, "DIR", "new folder for the model", 0, 0 },
        { "kv-heads", WEFT_CLI_INTEGER, &args.kv_heads, "G",
          "heads of keys and values, each the mean of several; as before", 1, 1024 },
        { "set", WEFT_CLI_TEXTS, &args.set, "SECTION.KEY=VALUE",
          "change what leaves the parameters as they are, such as model.rope_scaling", 0, 0 },
    };
    const weft_cli_command command = {
        .name = "convert",
        .synopsis = "--model DIR --out DIR [--kv-heads G] [--set SECTION.KEY=VALUE]...",
        .summary =
            "Make another model of a trained one: with fewer heads of keys and values, or with\n"
            "other values of its configuration.",
        .options = options,
        .n_options = sizeof options / sizeof *options,
    };
    int first_operand, exit_code;
    if (!weft_cli_parse(&command, argc, argv, &first_operand, &exit_code)) return exit_code;
    if (!args.model || !args.out) {
        fprintf(stderr, "weft convert: --model DIR and --out DIR are needed\n");
        return WEFT_EXIT_USE;
    }
    const weft_status status = convert(&args);
    if (status == WEFT_OK) printf("%s: the model in its new form\n", args.out);
    return status == WEFT_OK ? WEFT_EXIT_DONE : weft_cli_fail("convert", status);
}
