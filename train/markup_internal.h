/* markup_internal.h - XML and HTML as text that grows, and pictures in it. Not installed.
 *
 * The first failure sticks: later calls add nothing, and whoever takes the text looks at `status`. */
#ifndef WEFT_TRAIN_MARKUP_INTERNAL_H
#define WEFT_TRAIN_MARKUP_INTERNAL_H

#include "train/text_buffer_internal.h"

/* { 0 } is empty. */
typedef struct weft_markup {
    weft_text_buffer buffer;
    weft_status status;
} weft_markup;

/** Add markup as it stands, printf format. */
void weft_markup_put(weft_markup *m, const char *fmt, ...) WEFT_PRINTF(2, 3);
/** Add text: what has a meaning in markup is escaped, also within quotes; a byte that is not UTF-8, and
 *  a control character, becomes U+FFFD. */
void weft_markup_text(weft_markup *m, const char *text);
void weft_markup_release(weft_markup *m);

/* ---- pictures (svg_plot.c, svg_map.c) ---------------------------------------------------------- */

/* A picture is an <svg> element. Its colours come from weft_svg_style: a page has that in its <style>
 * once, a picture that stands alone brings it along. */
void weft_svg_style(weft_markup *m);
/** Its beginning, with the style where it stands alone; width and height in pixels. */
void weft_svg_begin(weft_markup *m, double width, double height, const char *title, bool alone);
void weft_svg_end(weft_markup *m);
/** About how wide a text is at 12 pixels, which only a browser knows. */
double weft_svg_text_width(const char *text);
/** Put the text into the markup, cut to `most` characters with an ellipsis. */
void weft_svg_label(weft_markup *m, const char *text, int most);

enum { WEFT_SVG_COLOURS = 8 };

typedef enum weft_svg_mark { WEFT_SVG_LINE, WEFT_SVG_DOTS } weft_svg_mark;
/* Points (x[i], y[i]); one that is not finite, or not positive on a logarithmic axis, is left out and
 * interrupts the line. */
typedef struct weft_svg_series {
    const char *name;
    weft_svg_mark mark;
    int64_t n;
    const double *x, *y;
} weft_svg_series;

typedef struct weft_svg_plot {
    const char *title, *x_label, *y_label; /* each may be NULL, but the title */
    double width, height;                  /* 0: 640 by 320 */
    bool log_x, log_y, from_zero;          /* from_zero: the y axis has 0 in it */
    int n_series;
    const weft_svg_series *series; /* named in a legend where there is more than one */
} weft_svg_plot;
void weft_svg_draw_plot(weft_markup *m, const weft_svg_plot *plot, bool alone);

/* A grid of panels of weights in [0, 1], [panel_rows, panel_columns, rows, columns], with the names of
 * their rows and columns. */
typedef struct weft_svg_map {
    int panel_rows, panel_columns;
    const char *const *panel_names; /* [panel_rows, panel_columns] */
    int64_t rows, columns;
    const char *const *row_names, *const *column_names;
    const weft_real *weights;
} weft_svg_map;
/** How wide and high the panels will be. */
void weft_svg_map_size(const weft_svg_map *map, double *width, double *height);
/** The panels, with their upper left corner at x, y, into an <svg> that has begun. */
void weft_svg_draw_map(weft_markup *m, const weft_svg_map *map, double x, double y);

#endif
