/* report.c - `weft report`: what a run has to tell, as one page of HTML, and its curves as pictures. */
#include "train/report.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "data/file_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { PATH_BYTES = 4096 };

static weft_status join(const char *dir, const char *name, char path[PATH_BYTES])
{
    if (snprintf(path, PATH_BYTES, "%s/%s", dir, name) < PATH_BYTES) return WEFT_OK;
    return weft_error(WEFT_ERR_INPUT, "%s: the path is too long", dir);
}

/* A picture into the folder `user`. */
static weft_status write_picture(const char *name, const char *svg, void *user)
{
    char path[PATH_BYTES], file[64];
    snprintf(file, sizeof file, "%s.svg", name);
    const weft_status status = join(user, file, path);
    return status == WEFT_OK ? weft_file_replace(path, svg, strlen(svg), NULL, NULL) : status;
}

static weft_status write_pictures(const char *dir, const char *folder)
{
    if (mkdir(folder, 0777) != 0 && errno != EEXIST)
        return weft_error(weft_file_status(errno), "%s: %s", folder, strerror(errno));
    return weft_report_pictures(dir, write_picture, (void *)folder);
}

static weft_status write_page(const char *dir, const char *out)
{
    char path[PATH_BYTES], *html = NULL;
    weft_status status = out ? WEFT_OK : join(dir, "report.html", path);
    if (status == WEFT_OK) status = weft_report_make(dir, &html);
    if (status == WEFT_OK)
        status = weft_file_replace(out ? out : path, html, strlen(html), NULL, NULL);
    if (status == WEFT_OK) printf("%s\n", out ? out : path);
    weft_free(html);
    return status;
}

int weft_cli_report(int argc, char **argv)
{
    const char *out = NULL, *svg = NULL;
    int64_t n_threads = 0;
    const weft_cli_option options[] = {
        { "out", WEFT_CLI_TEXT, &out, "FILE.html", "the page; DIR/report.html", 0, 0 },
        { "svg", WEFT_CLI_TEXT, &svg, "FOLDER", "the curves as pictures instead of a page", 0, 0 },
        { "threads", WEFT_CLI_INTEGER, &n_threads, "N", "threads; 0, as many as there are", 0,
          256 },
    };
    const weft_cli_command command = {
        .name = "report",
        .synopsis = "DIR [--out FILE.html | --svg FOLDER] [--threads N]",
        .summary =
            "Show a run of weft train in one page: curves, lengths, the best and the worst\n"
            "translations with attention maps, environment, configuration. It needs nothing\n"
            "but a browser. `weft train` keeps it current with train.report = true.",
        .options = options,
        .n_options = sizeof options / sizeof *options,
        .takes_operands = true,
    };
    int first_operand, exit_code;
    if (!weft_cli_parse(&command, argc, argv, &first_operand, &exit_code)) return exit_code;
    if (first_operand != argc - 1 || !*argv[first_operand] || (out && svg)) {
        fprintf(stderr, "weft report: %s\n",
                out && svg ? "--out and --svg: one of the two" : "one folder of a run is needed");
        return WEFT_EXIT_USE;
    }
    const char *dir = argv[first_operand];
    weft_status status = weft_threads_set((int)n_threads);
    if (status == WEFT_OK) status = svg ? write_pictures(dir, svg) : write_page(dir, out);
    return status == WEFT_OK ? WEFT_EXIT_DONE : weft_cli_fail("report", status);
}
