/* svg_plot.c - lines and dots over two axes. */
#include "train/markup_internal.h"

#include <math.h>
#include <stdio.h>

enum { LEFT = 62, RIGHT = 18, TOP = 30, BOTTOM = 42, ROW = 18, MOST_TICKS = 64 };

typedef struct axis {
    double low, high; /* of the values shown */
    double from, to;  /* pixels */
    bool log;
    int n_ticks;
    double ticks[MOST_TICKS];
} axis;

static bool shown(double value, bool log) { return isfinite(value) && (!log || value > 0); }

static double place(const axis *a, double value)
{
    const double low = a->log ? log10(a->low) : a->low, high = a->log ? log10(a->high) : a->high;
    return a->from + (a->to - a->from) * ((a->log ? log10(value) : value) - low) / (high - low);
}

/* 1, 2 or 5 times a power of ten, about `n` of them in `span`. */
static double nice_step(double span, int n)
{
    const double raw = span / n, power = pow(10, floor(log10(raw))), part = raw / power;
    return power * (part < 1.5 ? 1 : part < 3.5 ? 2 : part < 7.5 ? 5 : 10);
}

static void linear_ticks(axis *a, int n)
{
    const double step = nice_step(a->high - a->low, n);
    const double first = ceil(a->low / step - 1e-9);
    for (int i = 0; i < MOST_TICKS && (first + i) * step <= a->high + 1e-9 * step; i++)
        a->ticks[a->n_ticks++] = (first + i) * step;
}

/* Powers of ten; within few of them their doubles and fives, too; within one what a linear axis has. */
static void log_ticks(axis *a)
{
    const double decades = log10(a->high / a->low);
    static const double parts[] = { 1, 2, 5 };
    const int n_parts = decades > 3 ? 1 : 3;
    const int every = (int)ceil(decades / 12), last = (int)floor(log10(a->high) + 1e-9);
    for (int k = (int)floor(log10(a->low)); k <= last; k += every)
        for (int i = 0; i < n_parts; i++) {
            const double tick = parts[i] * pow(10, k);
            if (tick >= a->low * (1 - 1e-9) && tick <= a->high * (1 + 1e-9) &&
                a->n_ticks < MOST_TICKS)
                a->ticks[a->n_ticks++] = tick;
        }
    if (a->n_ticks > 1) return; /* else the range lies between two of them */
    a->n_ticks = 0;
    linear_ticks(a, 4);
}

/* The values' range, widened where it is none. */
static void set_range(axis *a, const weft_svg_plot *plot, bool is_y)
{
    a->log = is_y ? plot->log_y : plot->log_x;
    a->low = INFINITY;
    a->high = -INFINITY;
    for (int s = 0; s < plot->n_series; s++) {
        const weft_svg_series *of = &plot->series[s];
        for (int64_t i = 0; i < of->n; i++) {
            if (!shown(of->x[i], plot->log_x) || !shown(of->y[i], plot->log_y)) continue;
            a->low = fmin(a->low, is_y ? of->y[i] : of->x[i]);
            a->high = fmax(a->high, is_y ? of->y[i] : of->x[i]);
        }
    }
    if (!(a->low <= a->high)) a->low = a->high = 1; /* nothing to show */
    if (is_y && plot->from_zero && !a->log) a->low = fmin(a->low, 0);
    if (a->low == a->high && a->log) {
        a->low /= 2;
        a->high *= 2;
    } else if (a->low == a->high) {
        const double half = a->low == 0 ? 0.5 : fabs(a->low) / 2;
        a->low -= half;
        a->high += half;
    }
}

static void make_axes(const weft_svg_plot *plot, double width, double height, double top, axis *x,
                      axis *y)
{
    *x = (axis){ .from = LEFT, .to = width - RIGHT };
    *y = (axis){ .from = height - BOTTOM, .to = top };
    set_range(x, plot, false);
    set_range(y, plot, true);
    if (x->log)
        log_ticks(x);
    else
        linear_ticks(x, (int)((width - LEFT - RIGHT) / 90) + 1);
    if (y->log) {
        log_ticks(y);
        return;
    }
    const double step = nice_step(y->high - y->low, (int)((height - top) / 50) + 1);
    y->low = floor(y->low / step + 1e-9) * step;
    y->high = ceil(y->high / step - 1e-9) * step;
    linear_ticks(y, (int)((height - top) / 50) + 1);
}

/* 12000 as 12k: short enough to stand below a tick. */
static void put_number(weft_markup *m, double value)
{
    const double size = fabs(value);
    if (size >= 1e9 || (size > 0 && size < 1e-4))
        weft_markup_put(m, "%.3g", value);
    else if (size >= 1e6)
        weft_markup_put(m, "%.4gM", value / 1e6);
    else if (size >= 1e4)
        weft_markup_put(m, "%.4gk", value / 1e3);
    else
        weft_markup_put(m, "%.6g", size < 1e-12 ? 0 : value);
}

static void draw_axes(weft_markup *m, const weft_svg_plot *plot, const axis *x, const axis *y)
{
    for (int i = 0; i < y->n_ticks; i++) {
        const double at = place(y, y->ticks[i]);
        weft_markup_put(m,
                        "<path class=\"g\" d=\"M%.1f %.1fH%.1f\"/><text class=\"s\" x=\"%.1f\" "
                        "y=\"%.1f\" text-anchor=\"end\">",
                        x->from, at, x->to, x->from - 7, at + 4);
        put_number(m, y->ticks[i]);
        weft_markup_put(m, "</text>\n");
    }
    for (int i = 0; i < x->n_ticks; i++) {
        const double at = place(x, x->ticks[i]);
        weft_markup_put(m,
                        "<path class=\"g\" d=\"M%.1f %.1fv5\"/><text class=\"s\" x=\"%.1f\" "
                        "y=\"%.1f\" text-anchor=\"middle\">",
                        at, y->from, at, y->from + 18);
        put_number(m, x->ticks[i]);
        weft_markup_put(m, "</text>\n");
    }
    weft_markup_put(m, "<path class=\"g\" d=\"M%.1f %.1fH%.1f\"/>\n", x->from, y->from, x->to);
    if (plot->x_label) {
        weft_markup_put(m, "<text class=\"s\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">", x->to,
                        y->from + 35);
        weft_markup_text(m, plot->x_label);
        weft_markup_put(m, "</text>\n");
    }
    if (!plot->y_label) return;
    weft_markup_put(m,
                    "<text class=\"s\" transform=\"translate(14 %.1f) rotate(-90)\" "
                    "text-anchor=\"middle\">",
                    (y->from + y->to) / 2);
    weft_markup_text(m, plot->y_label);
    weft_markup_put(m, "</text>\n");
}

static bool point_shown(const weft_svg_plot *plot, const weft_svg_series *of, int64_t i)
{
    return i >= 0 && i < of->n && shown(of->x[i], plot->log_x) && shown(of->y[i], plot->log_y);
}

static void draw_dot(weft_markup *m, const weft_svg_series *of, int64_t i, const axis *x,
                     const axis *y)
{
    weft_markup_put(
        m, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"2.6\"><title>%.6g: %.6g</title></circle>\n",
        place(x, of->x[i]), place(y, of->y[i]), of->x[i], of->y[i]);
}

/* A line through the points, and dots where a point has no neighbour to draw a line to. */
static void draw_line(weft_markup *m, const weft_svg_plot *plot, const weft_svg_series *of,
                      const axis *x, const axis *y)
{
    weft_markup_put(m, "<path class=\"l\" stroke=\"currentColor\" d=\"");
    for (int64_t i = 0; i < of->n; i++)
        if (point_shown(plot, of, i))
            weft_markup_put(m, "%c%.1f %.1f", point_shown(plot, of, i - 1) ? 'L' : 'M',
                            place(x, of->x[i]), place(y, of->y[i]));
    weft_markup_put(m, "\"/>\n");
    for (int64_t i = 0; i < of->n; i++)
        if (point_shown(plot, of, i) && !point_shown(plot, of, i - 1) &&
            !point_shown(plot, of, i + 1))
            draw_dot(m, of, i, x, y);
}

static void draw_dots(weft_markup *m, const weft_svg_plot *plot, const weft_svg_series *of,
                      const axis *x, const axis *y)
{
    for (int64_t i = 0; i < of->n; i++)
        if (point_shown(plot, of, i)) draw_dot(m, of, i, x, y);
}

/* The names in rows below the title; returns how many rows they take. Nothing is put where !draw. */
static int legend(weft_markup *m, const weft_svg_plot *plot, double width, bool draw)
{
    double x = LEFT;
    int row = 0;
    if (plot->n_series < 2) return 0;
    for (int s = 0; s < plot->n_series; s++) {
        const double wide = weft_svg_text_width(plot->series[s].name) + 34;
        if (x > LEFT && x + wide > width - RIGHT) {
            x = LEFT;
            row++;
        }
        if (draw) {
            weft_markup_put(m,
                            "<path class=\"l\" stroke=\"var(--c%d)\" d=\"M%.1f %dh16\"/>"
                            "<text x=\"%.1f\" y=\"%d\">",
                            s % WEFT_SVG_COLOURS, x, TOP + ROW * row + 6, x + 20,
                            TOP + ROW * row + 10);
            weft_markup_text(m, plot->series[s].name);
            weft_markup_put(m, "</text>\n");
        }
        x += wide;
    }
    return row + 1;
}

void weft_svg_draw_plot(weft_markup *m, const weft_svg_plot *plot, bool alone)
{
    axis x, y;
    const double width = plot->width > 0 ? plot->width : 640,
                 height = plot->height > 0 ? plot->height : 320;
    const double top = TOP + 6 + ROW * legend(m, plot, width, false);
    make_axes(plot, width, height, top, &x, &y);
    weft_svg_begin(m, width, height, plot->title, alone);
    weft_markup_put(m, "<text class=\"t\" x=\"%d\" y=\"18\">", LEFT);
    weft_markup_text(m, plot->title);
    weft_markup_put(m, "</text>\n");
    (void)legend(m, plot, width, true);
    draw_axes(m, plot, &x, &y);
    for (int s = 0; s < plot->n_series; s++) {
        const weft_svg_series *of = &plot->series[s];
        weft_markup_put(m, "<g color=\"var(--c%d)\" fill=\"currentColor\">\n",
                        s % WEFT_SVG_COLOURS);
        if (of->mark == WEFT_SVG_LINE)
            draw_line(m, plot, of, &x, &y);
        else
            draw_dots(m, plot, of, &x, &y);
        weft_markup_put(m, "</g>\n");
    }
    weft_svg_end(m);
}
