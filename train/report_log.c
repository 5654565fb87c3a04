/* report_log.c - a run's log as numbers, and these as curves. */
#include "train/report_internal.h"

#include "data/grow_internal.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- reading ------------------------------------------------------------------------------------ */

static weft_status add(weft_curve *c, double x, double y)
{
    size_t room = c->room;
    double *const xs = weft_grow(c->x, &room, (size_t)c->n + 1, sizeof *xs);
    if (!xs) return WEFT_ERR_MEMORY;
    c->x = xs;
    double *const ys = weft_grow(c->y, &c->room, (size_t)c->n + 1, sizeof *ys);
    if (!ys) return WEFT_ERR_MEMORY;
    c->y = ys;
    xs[c->n] = x;
    ys[c->n++] = y;
    return WEFT_OK;
}

static double number(const json_t *line, const char *name)
{
    const json_t *value = json_object_get(line, name);
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

static const char *string(const json_t *line, const char *name)
{
    const char *text = json_string_value(json_object_get(line, name));
    return text ? text : "";
}

static weft_status read_curve(const json_t *line, const char *name, weft_curve *c)
{
    return add(c, number(line, "update"), number(line, name));
}

static weft_status read_train(weft_run_log *log, const json_t *line)
{
    weft_status status = read_curve(line, "loss", &log->loss);
    if (status == WEFT_OK) status = read_curve(line, "lr", &log->lr);
    if (status == WEFT_OK) status = read_curve(line, "gradient_norm", &log->norm);
    if (status == WEFT_OK) status = read_curve(line, "tokens_per_s", &log->speed);
    return status;
}

static weft_status read_validation(weft_run_log *log, const json_t *line)
{
    weft_status status = read_curve(line, "loss", &log->valid_loss);
    if (status == WEFT_OK) status = read_curve(line, "bleu", &log->bleu);
    if (status == WEFT_OK) status = read_curve(line, "chrf", &log->chrf);
    if (status == WEFT_OK) status = read_curve(line, "exact", &log->exact);
    if (json_is_true(json_object_get(line, "best"))) log->best_update = number(line, "update");
    return status;
}

/* Heads of one layer at one update follow each other: their mean is built up as they come. */
static weft_status read_head(weft_run_log *log, const json_t *line)
{
    const char *name = string(line, "layer");
    const double update = number(line, "update"), head = number(line, "head");
    int i = 0;
    while (i < log->n_layers && strcmp(log->layers[i].name, name) != 0) i++;
    if (i == WEFT_REPORT_LAYERS) return WEFT_OK; /* a picture of more would show nothing */
    if (i == log->n_layers)
        snprintf(log->layers[log->n_layers++].name, sizeof log->layers->name, "%s", name);
    weft_curve *const curves[2] = { &log->layers[i].entropy, &log->layers[i].saturated };
    static const char *const names[2] = { "entropy", "saturated" };
    weft_status status = WEFT_OK;
    for (int k = 0; k < 2 && status == WEFT_OK; k++) {
        weft_curve *const c = curves[k];
        const double value = (k ? 100 : 1) * number(line, names[k]);
        if (head == 0 || c->n == 0)
            status = add(c, update, value);
        else
            c->y[c->n - 1] += (value - c->y[c->n - 1]) / (head + 1);
    }
    return status;
}

/* "3 17 5": so many sentences in each bin, `width` lengths wide, from 1 on. */
static weft_status read_lengths(weft_run_log *log, const json_t *line)
{
    weft_curve *const c = &log->lengths[strcmp(string(line, "side"), "target") == 0];
    const double width = number(line, "width");
    const char *at = string(line, "counts");
    char *end;
    for (int i = 0;; i++, at = end) {
        const double count = strtod(at, &end);
        if (end == at) return WEFT_OK;
        const weft_status status = add(c, (i + 0.5) * width + 0.5, count);
        if (status != WEFT_OK) return status;
    }
}

/* All of a line but what every line has. */
static void read_facts(const json_t *line, weft_fact facts[WEFT_REPORT_FACTS], int *n)
{
    const char *name;
    const json_t *value;
    *n = 0;
    json_object_foreach((json_t *)line, name, value)
    {
        if (strcmp(name, "event") == 0 || strcmp(name, "update") == 0) continue;
        if (*n == WEFT_REPORT_FACTS) return;
        weft_fact *const f = &facts[*n];
        snprintf(f->name, sizeof f->name, "%s", name);
        if (json_is_string(value))
            snprintf(f->value, sizeof f->value, "%s", json_string_value(value));
        else if (json_is_integer(value))
            snprintf(f->value, sizeof f->value, "%lld", (long long)json_integer_value(value));
        else if (json_is_real(value))
            snprintf(f->value, sizeof f->value, "%.4g", json_real_value(value));
        else
            continue;
        ++*n;
    }
}

static weft_status read_line(weft_run_log *log, const json_t *line)
{
    const char *event = string(line, "event");
    const double elapsed = number(line, "elapsed_s"), update = number(line, "update");
    if (elapsed > log->elapsed_s) log->elapsed_s = elapsed;
    if (update > log->update) log->update = update;
    if (strcmp(event, "end") != 0) log->end[0] = '\0'; /* it went on */
    if (strcmp(event, "train") == 0) return read_train(log, line);
    if (strcmp(event, "validation") == 0) return read_validation(log, line);
    if (strcmp(event, "head") == 0) return read_head(log, line);
    if (strcmp(event, "lengths") == 0) return read_lengths(log, line);
    if (strcmp(event, "start") == 0) read_facts(line, log->start, &log->n_start);
    if (strcmp(event, "environment") == 0) read_facts(line, log->environment, &log->n_environment);
    if (strcmp(event, "end") == 0)
        snprintf(log->end, sizeof log->end, "%s", string(line, "reason"));
    return WEFT_OK;
}

/* A picture has at most so many points a curve: means of as many neighbours as it takes. */
enum { MOST_POINTS = 1200 };

static void thin(weft_curve *c)
{
    const int64_t each = (c->n + MOST_POINTS - 1) / MOST_POINTS;
    if (each <= 1) return;
    int64_t to = 0;
    for (int64_t from = 0; from < c->n; from += each, to++) {
        const int64_t n = c->n - from < each ? c->n - from : each;
        double x = 0, y = 0;
        for (int64_t i = 0; i < n; i++) {
            x += c->x[from + i] / (double)n;
            y += c->y[from + i] / (double)n;
        }
        c->x[to] = x;
        c->y[to] = y;
    }
    c->n = to;
}

weft_status weft_run_log_read(const char *text, size_t n_bytes, weft_run_log *log)
{
    weft_status status = WEFT_OK;
    *log = (weft_run_log){ .best_update = (double)NAN };
    for (size_t at = 0; at < n_bytes && status == WEFT_OK;) {
        const char *const end = memchr(text + at, '\n', n_bytes - at);
        const size_t n = end ? (size_t)(end - (text + at)) : n_bytes - at;
        json_t *const line = json_loadb(text + at, n, 0, NULL);
        if (!json_is_object(line)) {
            json_decref(line);
            break;
        }
        status = read_line(log, line);
        json_decref(line);
        at += n + 1;
    }
    if (status != WEFT_OK) {
        weft_run_log_free(log);
        return status;
    }
    weft_curve *const long_ones[] = { &log->loss, &log->lr, &log->norm, &log->speed };
    for (int i = 0; i < 4; i++) thin(long_ones[i]);
    return WEFT_OK;
}

static void curve_free(weft_curve *c)
{
    weft_free(c->x);
    weft_free(c->y);
}

void weft_run_log_free(weft_run_log *log)
{
    weft_curve *const curves[] = { &log->loss,       &log->lr,        &log->norm, &log->speed,
                                   &log->valid_loss, &log->bleu,      &log->chrf, &log->exact,
                                   &log->lengths[0], &log->lengths[1] };
    for (size_t i = 0; i < sizeof curves / sizeof *curves; i++) curve_free(curves[i]);
    for (int i = 0; i < log->n_layers; i++) {
        curve_free(&log->layers[i].entropy);
        curve_free(&log->layers[i].saturated);
    }
    *log = (weft_run_log){ .update = 0 };
}

/* ---- drawing ------------------------------------------------------------------------------------ */

const char *weft_report_plot_name(weft_report_plot plot)
{
    static const char *const names[WEFT_REPORT_PLOTS] = { [WEFT_REPORT_LOSS] = "loss",
                                                          [WEFT_REPORT_SCORES] = "scores",
                                                          [WEFT_REPORT_LR] = "learning_rate",
                                                          [WEFT_REPORT_NORM] = "gradient_norm",
                                                          [WEFT_REPORT_SPEED] = "tokens_per_s",
                                                          [WEFT_REPORT_LENGTHS] = "lengths",
                                                          [WEFT_REPORT_ENTROPY] = "head_entropy",
                                                          [WEFT_REPORT_SATURATED] =
                                                              "head_saturation" };
    return names[plot];
}

static bool has_points(const weft_curve *c)
{
    for (int64_t i = 0; i < c->n; i++)
        if (isfinite(c->y[i])) return true;
    return false;
}

static void offer(weft_svg_series series[], int *n, const char *name, const weft_curve *c)
{
    if (!has_points(c)) return;
    series[(*n)++] = (weft_svg_series){ .name = name, .n = c->n, .x = c->x, .y = c->y };
}

bool weft_report_draw(weft_markup *m, const weft_run_log *log, weft_report_plot plot, bool alone)
{
    weft_svg_series s[WEFT_REPORT_LAYERS];
    weft_svg_plot p = { .x_label = "update", .series = s };
    int n = 0;
    switch (plot) {
    case WEFT_REPORT_LOSS:
        p.title = "Loss a token";
        offer(s, &n, "training", &log->loss);
        offer(s, &n, "validation", &log->valid_loss);
        break;
    case WEFT_REPORT_SCORES:
        p.title = "Validation: 0 to 100";
        p.from_zero = true;
        offer(s, &n, "BLEU", &log->bleu);
        offer(s, &n, "chrF2", &log->chrf);
        offer(s, &n, "exact match", &log->exact);
        break;
    case WEFT_REPORT_LR:
        p.title = "Learning rate";
        p.from_zero = true;
        offer(s, &n, "learning rate", &log->lr);
        break;
    case WEFT_REPORT_NORM:
        p.title = "Norm of the gradient, before clipping";
        p.log_y = true;
        offer(s, &n, "norm", &log->norm);
        break;
    case WEFT_REPORT_SPEED:
        p.title = "Target tokens a second";
        p.from_zero = true;
        offer(s, &n, "tokens/s", &log->speed);
        break;
    case WEFT_REPORT_LENGTHS:
        p.title = "Lengths of the training sentences";
        p.x_label = "tokens";
        offer(s, &n, "source", &log->lengths[0]);
        offer(s, &n, "target", &log->lengths[1]);
        p.from_zero = true;
        break;
    case WEFT_REPORT_ENTROPY:
    case WEFT_REPORT_SATURATED:
        p.title = plot == WEFT_REPORT_ENTROPY ? "Entropy of attention, nats, mean of heads"
                                              : "Saturated queries, percent, mean of heads";
        p.from_zero = true;
        for (int i = 0; i < log->n_layers; i++)
            offer(s, &n, log->layers[i].name,
                  plot == WEFT_REPORT_ENTROPY ? &log->layers[i].entropy
                                              : &log->layers[i].saturated);
        break;
    case WEFT_REPORT_PLOTS: break;
    }
    p.n_series = n;
    if (n > 0) weft_svg_draw_plot(m, &p, alone);
    return n > 0;
}
