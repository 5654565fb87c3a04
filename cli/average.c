/* average.c - `weft average`: one model from several checkpoints. */
#include "train/average.h"
#include "cli/cli.h"
#include "cli/options.h"

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES = 4096 };

typedef struct arguments {
    const char *out;
    bool last, best;
} arguments;

/* The numbered files of each folder. */
static weft_status find_files(const arguments *args, int n, char **folders, glob_t *found)
{
    char pattern[PATH_BYTES];
    const char *kind = args->last ? "checkpoint-[0-9]*.h5" : "best-[0-9]*.h5";
    for (int i = 0; i < n; i++) {
        if (snprintf(pattern, sizeof pattern, "%s/%s", folders[i], kind) >= PATH_BYTES)
            return weft_error(WEFT_ERR_INPUT, "%s: the path is too long", folders[i]);
        const int code = glob(pattern, i > 0 ? GLOB_APPEND : 0, NULL, found);
        if (code == GLOB_NOSPACE) return weft_error(WEFT_ERR_MEMORY, "out of memory");
        if (code != 0)
            return weft_error(WEFT_ERR_INPUT, "there is no %s: train.%s keeps more than one",
                              pattern, args->last ? "keep" : "keep_best");
    }
    return WEFT_OK;
}

static weft_status average(const arguments *args, int n, char **files)
{
    char path[PATH_BYTES];
    if (snprintf(path, sizeof path, "%s/best.h5", args->out) >= PATH_BYTES)
        return weft_error(WEFT_ERR_INPUT, "%s: the path is too long", args->out);
    if (mkdir(args->out, 0777) != 0)
        return weft_error(WEFT_ERR_INPUT, "%s: %s", args->out, strerror(errno));
    const weft_status status = weft_average(n, (const char *const *)files, path);
    if (status != WEFT_OK) (void)rmdir(args->out);
    return status;
}

int weft_cli_average(int argc, char **argv)
{
    arguments args = { 0 };
    const weft_cli_option options[] = {
        { "out", WEFT_CLI_TEXT, &args.out, "DIR", "new folder for the model", 0, 0 },
        { "last", WEFT_CLI_FLAG, &args.last, NULL,
          "of each folder all checkpoint-UPDATE.h5 (see train.keep)", 0, 0 },
        { "best", WEFT_CLI_FLAG, &args.best, NULL,
          "of each folder all best-UPDATE.h5 (see train.keep_best)", 0, 0 },
    };
    const weft_cli_command command = {
        .name = "average",
        .synopsis = "DIR|FILE... --out DIR [--last | --best]",
        .summary =
            "Make a model whose parameters are the mean of those of several checkpoints, or\n"
            "of the best models of folders of weft train.",
        .options = options,
        .n_options = sizeof options / sizeof *options,
        .takes_operands = true,
    };
    int first, exit_code;
    if (!weft_cli_parse(&command, argc, argv, &first, &exit_code)) return exit_code;
    if (first == argc || !args.out || (args.last && args.best)) {
        fprintf(stderr, "weft average: checkpoints and --out DIR are needed, and at most one of "
                        "--last and --best\n");
        return WEFT_EXIT_USE;
    }
    glob_t files = { 0 };
    int n = argc - first;
    char **paths = argv + first;
    weft_status status = WEFT_OK;
    if (args.last || args.best) {
        status = find_files(&args, n, paths, &files);
        n = (int)files.gl_pathc;
        paths = files.gl_pathv;
    }
    if (status == WEFT_OK) status = average(&args, n, paths);
    if (status == WEFT_OK) printf("%s: the mean of %d models\n", args.out, n);
    globfree(&files);
    return status == WEFT_OK ? WEFT_EXIT_DONE : weft_cli_fail("average", status);
}
