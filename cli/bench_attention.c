/* bench_attention.c - `weft bench attention`: how time and memory of attention grow with the sentence. */
#include "cli/bench_internal.h"
#include "cli/bench_variants.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "core/core.h"
#include "data/file_internal.h"
#include "train/markup_internal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MOST_SIZES = 24, MOST_VARIANTS = 24, MOST_RUNS = 64 };

typedef struct arguments {
    const char *variant, *n, *svg;
    int64_t heads, width, threads;
    double seconds;
    bool causal, json;
} arguments;

typedef struct measured {
    int64_t n;
    double forward_ms, ms; /* alone, for inference; and with backward */
    double bytes;          /* the arena of forward and backward, inputs included */
} measured;

typedef struct course {
    const weft_bench_variant *variant;
    int n_sizes;
    measured sizes[MOST_SIZES];
} course;

/* ---- measuring ---------------------------------------------------------------------------------- */

/* Record the variant once on random q, k and v; its result. */
static weft_var record(weft_tape *tape, const weft_bench_variant *variant,
                       const weft_bench_shape *shape, const weft_real *x)
{
    const int64_t C = shape->heads * shape->width, size = shape->n * C;
    weft_var in[3];
    weft_tape_reset(tape);
    for (int i = 0; i < 3; i++) in[i] = weft_leaf(tape, WEFT_DIMS(shape->n, C), x + i * size);
    return variant->record(tape, shape, in[0], in[1], in[2]);
}

/* The median of runs: at least two, and so many seconds, after one that warms up. */
static weft_status time_runs(weft_tape *tape, const weft_bench_variant *variant,
                             const weft_bench_shape *shape, const weft_real *x, const weft_real *dy,
                             double seconds, double *ms)
{
    double times[MOST_RUNS], all_s = 0;
    int64_t n = 0;
    for (int run = 0; run <= MOST_RUNS && (run < 3 || all_s < seconds); run++) {
        const double start_s = weft_seconds();
        const weft_var y = record(tape, variant, shape, x);
        const weft_status status = dy ? weft_backward(tape, y, dy) : weft_tape_status(tape);
        if (status != WEFT_OK) return status;
        const double s = weft_seconds() - start_s;
        all_s += s;
        if (run > 0) times[n++] = 1e3 * s;
    }
    *ms = weft_bench_median(n, times);
    return WEFT_OK;
}

static weft_status measure(const weft_bench_variant *variant, const weft_bench_shape *shape,
                           double seconds, measured *m)
{
    const int64_t size = shape->n * shape->heads * shape->width;
    *m = (measured){ .n = shape->n };
    weft_real *x = weft_alloc((size_t)(4 * size), sizeof *x);
    weft_tape *tape = weft_tape_new(0), *inference = weft_tape_new(WEFT_NO_GRAD);
    weft_status status = x && tape && inference ? WEFT_OK : WEFT_ERR_MEMORY;
    const uint64_t key = weft_random_key(1, 0, 0);
    for (int64_t i = 0; i < 4 * size && status == WEFT_OK; i++)
        x[i] = (weft_real)weft_random_normal(key, (uint64_t)(i / 1024), (uint32_t)(i % 1024));
    if (status == WEFT_OK)
        status = time_runs(inference, variant, shape, x, NULL, seconds, &m->forward_ms);
    if (status == WEFT_OK)
        status = time_runs(tape, variant, shape, x, x + 3 * size, seconds, &m->ms);
    if (status == WEFT_OK) m->bytes = (double)weft_tape_peak_bytes(tape);
    weft_tape_free(tape);
    weft_tape_free(inference);
    weft_free(x);
    return status;
}

/* The slope of ln y over ln n by least squares, over the larger half of the sizes: small ones measure
 * what does not grow. NAN for less than two. */
static double exponent(const course *c, bool bytes)
{
    double sx = 0, sy = 0, sxx = 0, sxy = 0, n = 0;
    const int first = c->n_sizes > 3 ? c->n_sizes / 2 : 0;
    for (int i = first; i < c->n_sizes; i++) {
        const double x = log((double)c->sizes[i].n),
                     y = log(bytes ? c->sizes[i].bytes : c->sizes[i].ms);
        sx += x;
        sy += y;
        sxx += x * x;
        sxy += x * y;
        n++;
    }
    return n < 2 ? NAN : (n * sxy - sx * sy) / (n * sxx - sx * sx);
}

/* ---- printing ----------------------------------------------------------------------------------- */

static void print_size(const course *c, const measured *m, bool json)
{
    if (json)
        printf("{\"variant\": \"%s\", \"n\": %lld, \"forward_ms\": %.3f, \"ms\": %.3f, \"bytes\": "
               "%.0f}\n",
               c->variant->name, (long long)m->n, m->forward_ms, m->ms, m->bytes);
    else
        printf("%-18s %8lld %12.3f %14.3f %10.2f\n", c->variant->name, (long long)m->n,
               m->forward_ms, m->ms, m->bytes / (1 << 20));
    fflush(stdout);
}

static void print_exponents(const course *c, bool json)
{
    if (c->n_sizes < 2) return;
    const double time = exponent(c, false), bytes = exponent(c, true);
    if (json)
        printf("{\"variant\": \"%s\", \"time_exponent\": %.3f, \"claimed_time\": \"%s\", "
               "\"bytes_exponent\": %.3f, \"claimed_bytes\": \"%s\"}\n",
               c->variant->name, time, c->variant->claimed_time, bytes, c->variant->claimed_bytes);
    else
        printf("%-18s time grows as n^%.2f (claimed: %s), memory as n^%.2f (claimed: %s)\n",
               c->variant->name, time, c->variant->claimed_time, bytes, c->variant->claimed_bytes);
}

/* ---- the picture -------------------------------------------------------------------------------- */

/* One plot of all courses; those beyond the colours are dots. */
static void draw(weft_markup *m, const course courses[], int n, bool bytes, const char *title)
{
    static double x[MOST_VARIANTS][MOST_SIZES], y[MOST_VARIANTS][MOST_SIZES];
    weft_svg_series series[MOST_VARIANTS];
    for (int i = 0; i < n; i++) {
        for (int k = 0; k < courses[i].n_sizes; k++) {
            x[i][k] = (double)courses[i].sizes[k].n;
            y[i][k] = bytes ? courses[i].sizes[k].bytes / (1 << 20) : courses[i].sizes[k].ms;
        }
        series[i] = (weft_svg_series){ .name = courses[i].variant->name,
                                       .mark = i < WEFT_SVG_COLOURS ? WEFT_SVG_LINE : WEFT_SVG_DOTS,
                                       .n = courses[i].n_sizes,
                                       .x = x[i],
                                       .y = y[i] };
    }
    weft_svg_draw_plot(m,
                       &(weft_svg_plot){ .title = title,
                                         .x_label = "tokens",
                                         .y_label = bytes ? "MiB" : "ms",
                                         .log_x = true,
                                         .log_y = true,
                                         .n_series = n,
                                         .series = series },
                       false);
}

static weft_status write_svg(const char *path, const course courses[], int n)
{
    enum { WIDTH = 640, HEIGHT = 320 };
    weft_markup m = { .status = WEFT_OK };
    weft_svg_begin(&m, WIDTH, 2 * HEIGHT, "attention: time and memory", true);
    draw(&m, courses, n, false, "forward and backward");
    weft_markup_put(&m, "<g transform=\"translate(0 %d)\">\n", HEIGHT);
    draw(&m, courses, n, true, "memory of forward and backward");
    weft_markup_put(&m, "</g>\n");
    weft_svg_end(&m);
    weft_status status = m.status;
    if (status == WEFT_OK)
        status = weft_file_replace(path, m.buffer.text, strlen(m.buffer.text), NULL, NULL);
    weft_markup_release(&m);
    return status;
}

/* ---- the command -------------------------------------------------------------------------------- */

/* "256..16384": doubled from the first to the last; "512": one. */
static weft_status parse_sizes(const char *text, int64_t *first, int64_t *last)
{
    long long a = 0, b = 0;
    int n = 0;
    if (sscanf(text, "%lld..%lld%n", &a, &b, &n) != 2 || text[n] != '\0') {
        if (sscanf(text, "%lld%n", &a, &n) != 1 || text[n] != '\0') a = 0;
        b = a;
    }
    if (a < 1 || b < a || b > 1 << 20)
        return weft_error(WEFT_ERR_INPUT,
                          "--n %s: a length, or two as 256..16384, from 1 to 1048576", text);
    *first = a;
    *last = b;
    return WEFT_OK;
}

static weft_status run_course(const arguments *args, int64_t first, int64_t last, course *c)
{
    for (int64_t n = first; n <= last && c->n_sizes < MOST_SIZES; n *= 2) {
        const weft_bench_shape shape = {
            .n = n, .width = args->width, .heads = (int)args->heads, .causal = args->causal
        };
        measured *m = &c->sizes[c->n_sizes];
        const weft_status status = measure(c->variant, &shape, args->seconds, m);
        if (status != WEFT_OK) return weft_error_prefix(status, "%s: ", c->variant->name);
        print_size(c, m, args->json);
        c->n_sizes++;
    }
    print_exponents(c, args->json);
    return WEFT_OK;
}

/* All variants that there are with this causality, or the one that is named. */
static weft_status choose(const arguments *args, course courses[MOST_VARIANTS], int *n)
{
    const bool all = strcmp(args->variant, "all") == 0;
    *n = 0;
    if (!all && !weft_bench_variant_find(args->variant))
        return weft_error(WEFT_ERR_INPUT, "--variant %s: there is no such attention",
                          args->variant);
    for (int i = 0; i < weft_bench_n_variants; i++) {
        const weft_bench_variant *v = &weft_bench_variants[i];
        const bool fits = args->causal ? v->causal : v->not_causal;
        if (!all && strcmp(v->name, args->variant) != 0) continue;
        if (fits)
            courses[(*n)++] = (course){ .variant = v };
        else if (!all)
            return weft_error(WEFT_ERR_INPUT, "--variant %s: there is %s", v->name,
                              args->causal ? "no causal one" : "only a causal one");
    }
    return WEFT_OK;
}

static weft_status bench(const arguments *args)
{
    static course courses[MOST_VARIANTS];
    int64_t first = 0, last = 0;
    int n = 0;
    weft_status status = weft_threads_set((int)args->threads);
    if (status == WEFT_OK) status = weft_gemm_init(NULL);
    if (status == WEFT_OK) status = parse_sizes(args->n, &first, &last);
    if (status == WEFT_OK) status = choose(args, courses, &n);
    if (status != WEFT_OK) return status;
    if (!args->json)
        printf("%lld heads of %lld, %s, %d threads\n%-18s %8s %12s %14s %10s\n",
               (long long)args->heads, (long long)args->width,
               args->causal ? "causal" : "not causal", weft_threads(), "", "n", "forward ms",
               "and backward", "MiB");
    for (int i = 0; i < n && status == WEFT_OK; i++)
        status = run_course(args, first, last, &courses[i]);
    if (status == WEFT_OK && args->svg) status = write_svg(args->svg, courses, n);
    return status;
}

int weft_cli_bench_attention(int argc, char **argv)
{
    arguments args = { .variant = "full", .n = "256..4096", .heads = 8, .width = 64, .seconds = 1 };
    const weft_cli_option options[] = {
        { "variant", WEFT_CLI_TEXT, &args.variant, "NAME",
          "full, window, dilated, strided, fixed, longformer, bigbird, blocks,\n"
          "                             global_tokens, kv_heads, alibi, t5, shaw, sigmoid,\n"
          "                             linear, performer, lsh, linformer, probsparse,\n"
          "                             probsparse_causal or all; full",
          0, 0 },
        { "n", WEFT_CLI_TEXT, &args.n, "A..B", "tokens, doubled from A to B; 256..4096", 0, 0 },
        { "heads", WEFT_CLI_INTEGER, &args.heads, "H", "heads; 8", 1, 1024 },
        { "width", WEFT_CLI_INTEGER, &args.width, "K", "columns of a head; 64", 1, 4096 },
        { "causal", WEFT_CLI_FLAG, &args.causal, NULL, "only what came before is seen", 0, 0 },
        { "threads", WEFT_CLI_INTEGER, &args.threads, "N", "threads; 0, as many as there are", 0,
          256 },
        { "seconds", WEFT_CLI_REAL, &args.seconds, "S",
          "repeat each for so long, at least twice; 1", 0, 3600 },
        { "json", WEFT_CLI_FLAG, &args.json, NULL, "print JSON, one object a line", 0, 0 },
        { "svg", WEFT_CLI_TEXT, &args.svg, "FILE", "write a picture of all that was measured", 0,
          0 },
    };
    const weft_cli_command command = {
        .name = "bench attention",
        .synopsis = "[--variant NAME|all] [--n A..B] [--heads H] [--width K] [--causal]\n"
                    "                            [--threads N] [--seconds S] [--json] [--svg FILE]",
        .summary =
            "Time one sentence of n tokens through attention, forward alone and with backward,\n"
            "and its memory; and how both grow, beside what the papers claim.",
        .options = options,
        .n_options = sizeof options / sizeof *options,
    };
    int first_operand, exit_code;
    if (!weft_cli_parse(&command, argc, argv, &first_operand, &exit_code)) return exit_code;
    const weft_status status = bench(&args);
    return status == WEFT_OK ? WEFT_EXIT_DONE : weft_cli_fail("bench attention", status);
}
