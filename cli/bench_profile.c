/* bench_profile.c - where the time of a step goes: a table by operation and a Chrome trace. */
#include "cli/bench_internal.h"
#include "core/core.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_ROWS = 128, MOST_EVENTS = 16384 };

/* What one operation, forward or backward, took and did in all steps. */
typedef struct profile_row {
    const char *name, *pass;
    int64_t n_calls;
    double s, flop, bytes;
} profile_row;

/* An event of the trace, written to the file after its step. */
typedef struct trace_event {
    const char *name, *pass, *scope;
    double start_s, s;
} trace_event;

struct weft_bench_profile {
    profile_row rows[MOST_ROWS];
    int n_rows;
    int64_t n_steps;
    double step_s; /* all steps together */
    double first_s, step_start_s, call_start_s;
    FILE *trace; /* NULL: none */
    trace_event events[MOST_EVENTS];
    int n_events;
};

/* ---- what an operation does ---------------------------------------------------------------------- */

static double size_of(const weft_tensor *x) { return x->rank < 0 ? 0 : (double)weft_size(x); }

/* Pairs of query and key of attention, over all sentences and one head. */
static double attention_pairs(const weft_call *c)
{
    const weft_tensor *q = &c->in[3], *k = c->in[4].rank >= 0 ? &c->in[4] : q;
    if (q->rank < 0) return (double)weft_rows(&c->in[0]) * (double)weft_rows(&c->in[1]);
    double pairs = 0;
    for (int64_t b = 0; b + 1 < q->dim[0]; b++)
        pairs += (double)(q->i32[b + 1] - q->i32[b]) * (double)(k->i32[b + 1] - k->i32[b]);
    return pairs;
}

/* Multiplications and additions of the products in a call; 0 for what has none. Attention's are those of
 * all pairs, seen or not: two products forward, five backward. */
static double flop_of(const weft_call *c, bool backward)
{
    const weft_tensor *in = c->in;
    const double size = 2 * size_of(&in[0]);
    if (strcmp(c->op->name, "linear") == 0)
        return size * (double)in[1].dim[0] * (backward ? c->wants[0] + c->wants[1] : 1);
    if (strcmp(c->op->name, "projection_loss") == 0)
        return backward
                   ? 0
                   : size * (double)in[1].dim[0] * (1 + !!c->saved[0].data + !!c->saved[1].data);
    if (strcmp(c->op->name, "attention") == 0) {
        const double K = (double)weft_cols(&in[0]), Kv = (double)weft_cols(&c->out[0]);
        return 2 * attention_pairs(c) * (backward ? 3 * K + 2 * Kv : K + Kv);
    }
    return 0;
}

/* Is the call's output a view of its first input? */
static bool is_view(const weft_call *c)
{
    const char *x = c->in[0].data, *y = c->out[0].data;
    return y >= x && y < x + (size_t)weft_rows(&c->in[0]) * (size_t)c->in[0].ld * sizeof(weft_real);
}

/* Bytes that a call must read or write when it touches each array once. */
static double bytes_of(const weft_call *c, bool backward)
{
    double n = 0;
    if (is_view(c)) return 0;
    if (strcmp(c->op->name, "embedding") == 0) /* of the table, the rows that occur */
        return sizeof(weft_real) * size_of(&c->out[0]) * (backward ? 3 : 2);
    for (int i = 0; i < c->n_in; i++) {
        n += size_of(&c->in[i]);
        if (backward && c->din[i].data) n += size_of(&c->din[i]) * (1 + c->add[i]);
    }
    for (int j = 0; j < c->n_out; j++) n += size_of(backward ? &c->dout[j] : &c->out[j]);
    return sizeof(weft_real) * n;
}

/* ---- collecting ---------------------------------------------------------------------------------- */

weft_bench_profile *weft_bench_profile_new(const char *trace_path)
{
    weft_bench_profile *p = weft_alloc(1, sizeof *p);
    if (!p) return NULL;
    if (trace_path) {
        p->trace = fopen(trace_path, "w");
        if (!p->trace) {
            (void)weft_error(WEFT_ERR_IO, "cannot write the trace to %s: %s", trace_path,
                             strerror(errno));
            weft_free(p);
            return NULL;
        }
        fprintf(p->trace, "{\"displayTimeUnit\": \"ms\", \"traceEvents\": [\n");
    }
    p->first_s = weft_seconds();
    return p;
}

weft_status weft_bench_profile_free(weft_bench_profile *p)
{
    if (!p) return WEFT_OK;
    bool written = true;
    if (p->trace) {
        fprintf(p->trace, "\n]}\n");
        written = !ferror(p->trace);
        written = fclose(p->trace) == 0 && written;
    }
    weft_free(p);
    return written ? WEFT_OK : weft_error(WEFT_ERR_IO, "the trace could not be written");
}

static profile_row *row_of(weft_bench_profile *p, const char *name, const char *pass)
{
    for (int i = 0; i < p->n_rows; i++)
        if (strcmp(p->rows[i].name, name) == 0 && strcmp(p->rows[i].pass, pass) == 0)
            return &p->rows[i];
    if (p->n_rows < MOST_ROWS) p->n_rows++; /* there are fewer operations */
    profile_row *row = &p->rows[p->n_rows - 1];
    row->name = name;
    row->pass = pass;
    return row;
}

/* Something took from start_s until now. */
static profile_row *add(weft_bench_profile *p, const char *name, const char *pass,
                        const char *scope, double start_s)
{
    const double s = weft_seconds() - start_s;
    profile_row *row = row_of(p, name, pass);
    row->n_calls++;
    row->s += s;
    if (p->trace && p->n_events < MOST_EVENTS)
        p->events[p->n_events++] = (trace_event){ name, pass, scope, start_s, s };
    return row;
}

void weft_bench_profile_watch(void *profile, const weft_event *event)
{
    weft_bench_profile *p = profile;
    const weft_call *c = event->call;
    if (event->done) {
        profile_row *row = add(p, c->op->name, event->backward ? "backward" : "forward",
                               event->scope, p->call_start_s);
        const bool kernel = event->backward && c->dout; /* not a part of a primitive's gradient */
        row->flop += flop_of(c, kernel);
        row->bytes += bytes_of(c, kernel);
    }
    p->call_start_s = weft_seconds();
}

void weft_bench_profile_begin(weft_bench_profile *p) { p->step_start_s = weft_seconds(); }

void weft_bench_profile_optimiser(weft_bench_profile *p, double start_s, int64_t n_values)
{
    /* The norm reads g; the sweep reads and writes p, g, m and v. */
    add(p, "optimiser", "update", NULL, start_s)->bytes +=
        9.0 * sizeof(weft_real) * (double)n_values;
}

void weft_bench_profile_end(weft_bench_profile *p)
{
    const double s = weft_seconds() - p->step_start_s;
    p->step_s += s;
    if (p->trace) {
        fprintf(p->trace,
                "%s{\"name\": \"step\", \"cat\": \"step\", \"ph\": \"X\", \"ts\": %.3f, "
                "\"dur\": %.3f, \"pid\": 1, \"tid\": 1}",
                p->n_steps ? ",\n" : "", 1e6 * (p->step_start_s - p->first_s), 1e6 * s);
        for (int i = 0; i < p->n_events; i++) {
            const trace_event *e = &p->events[i];
            fprintf(p->trace,
                    ",\n{\"name\": \"%s\", \"cat\": \"%s\", \"ph\": \"X\", \"ts\": %.3f, "
                    "\"dur\": %.3f, \"pid\": 1, \"tid\": 1, \"args\": {\"scope\": \"%s\"}}",
                    e->name, e->pass, 1e6 * (e->start_s - p->first_s), 1e6 * e->s,
                    e->scope ? e->scope : "");
        }
    }
    p->n_events = 0;
    p->n_steps++;
}

/* ---- the table ----------------------------------------------------------------------------------- */

/* What a row did a second, in units of 10^9, and what the machine can at most. */
typedef struct row_rate {
    const char *unit, *key;
    double giga, peak;
} row_rate;

static row_rate rate_of(const profile_row *row, double peak_gflops, double peak_gbytes)
{
    row_rate rate = { "GB/s", "gbytes_per_s", 1e-9 * row->bytes / row->s, peak_gbytes };
    if (row->flop > 0)
        rate = (row_rate){ "GFLOP/s", "gflops", 1e-9 * row->flop / row->s, peak_gflops };
    return rate;
}

static void print_row(const weft_bench_profile *p, const profile_row *row, const row_rate *rate,
                      bool json)
{
    const double n = (double)p->n_steps, ms = 1e3 * row->s / n, share = row->s / p->step_s;
    if (json)
        printf("{\"operation\": \"%s\", \"pass\": \"%s\", \"calls\": %.0f, \"ms\": %.4f, "
               "\"share\": %.4f",
               row->name, row->pass, (double)row->n_calls / n, ms, share);
    else
        printf("%-16s %-9s %6.0f %10.3f %7.1f %%", row->name, row->pass, (double)row->n_calls / n,
               ms, 100 * share);
    const double part = rate->peak > 0 ? rate->giga / rate->peak : 0;
    if (json && rate->giga > 0)
        printf(", \"%s\": %.2f, \"part_of_peak\": %.3f}\n", rate->key, rate->giga, part);
    else if (json)
        printf("}\n");
    else if (rate->giga > 0)
        printf(" %9.1f %-8s %6.1f %%\n", rate->giga, rate->unit, 100 * part);
    else
        printf("\n");
}

static int compare_rows(const void *a, const void *b)
{
    const double x = ((const profile_row *)a)->s, y = ((const profile_row *)b)->s;
    return (x < y) - (x > y);
}

void weft_bench_profile_print(weft_bench_profile *p, bool json)
{
    const double gflops = weft_fma_peak(weft_threads()), gbytes = weft_copy_peak(weft_threads());
    profile_row rest = { .name = "tape", .pass = "all", .s = p->step_s };
    for (int i = 0; i < p->n_rows; i++) rest.s -= p->rows[i].s;
    rest.n_calls = p->n_steps;
    qsort(p->rows, (size_t)p->n_rows, sizeof p->rows[0], compare_rows);
    if (!json)
        printf("\nA step by operation (peak: %.1f GFLOP/s of fused multiply-adds, %.1f GB/s of a "
               "copy in memory;\nwhat lies in the caches can be faster than that)\n"
               "%-16s %-9s %6s %10s %9s %18s %8s\n",
               gflops, gbytes, "operation", "pass", "calls", "ms", "share", "rate", "of peak");
    for (int i = 0; i < p->n_rows; i++) {
        const row_rate rate = rate_of(&p->rows[i], gflops, gbytes);
        print_row(p, &p->rows[i], &rate, json);
    }
    print_row(p, &rest, &(row_rate){ 0 }, json);
    const profile_row all = { "step", "all", p->n_steps, p->step_s, 0, 0 };
    print_row(p, &all, &(row_rate){ 0 }, json);
}
