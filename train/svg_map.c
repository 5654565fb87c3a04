/* svg_map.c - attention weights as a picture: the darker a cell, the larger the weight. */
#include "train/markup_internal.h"

#include <math.h>

enum { LONGEST = 18 }; /* characters of a name that are shown */
enum { CELL = 15, GAP = 22, HEAD = 20, SLANT = 55, WIDEST = 1300 };

/* How far the names reach: those of columns are turned by SLANT degrees. */
static void margins(const weft_svg_map *map, double *left, double *top)
{
    double row = 0, column = 0;
    for (int64_t i = 0; i < map->rows; i++) row = fmax(row, weft_svg_text_width(map->row_names[i]));
    for (int64_t j = 0; j < map->columns; j++)
        column = fmax(column, weft_svg_text_width(map->column_names[j]));
    *left = fmin(row, LONGEST * 7) + 10;
    *top = HEAD + fmin(column, LONGEST * 7) * sin(SLANT * 3.14159265 / 180) + 12;
}

/* What the slanted name of the last column takes to its right. */
static double overhang(const weft_svg_map *map)
{
    double widest = 0;
    for (int64_t j = 0; j < map->columns; j++)
        widest = fmax(widest, fmin(weft_svg_text_width(map->column_names[j]), LONGEST * 7) *
                                      cos(SLANT * 3.14159265 / 180) -
                                  (double)(map->columns - 1 - j) * CELL);
    return widest + 8;
}

static double panel_width(const weft_svg_map *map)
{
    double width = (double)map->columns * CELL + fmax(GAP, overhang(map));
    for (int i = 0; i < map->panel_rows * map->panel_columns; i++)
        width = fmax(width, weft_svg_text_width(map->panel_names[i]) + GAP);
    return width;
}

/* Panels of a layer side by side, and the lines that they take: a wide picture would have to be moved
 * to and fro. */
static int side_by_side(const weft_svg_map *map, double left, int *lines)
{
    int n = (int)((WIDEST - left) / panel_width(map));
    n = n < 1 ? 1 : n > map->panel_columns ? map->panel_columns : n;
    *lines = (map->panel_columns + n - 1) / n;
    return n;
}

void weft_svg_map_size(const weft_svg_map *map, double *width, double *height)
{
    double left, top;
    int lines;
    margins(map, &left, &top);
    *width = left + side_by_side(map, left, &lines) * panel_width(map);
    *height = map->panel_rows * lines * (top + (double)map->rows * CELL + GAP);
}

static void draw_names(weft_markup *m, const weft_svg_map *map, double x, double y, bool rows)
{
    for (int64_t i = 0; i < map->rows && rows; i++) {
        weft_markup_put(m, "<text x=\"%.0f\" y=\"%.0f\" text-anchor=\"end\">", x - 5,
                        y + ((double)i + 0.75) * CELL);
        weft_svg_label(m, map->row_names[i], LONGEST);
        weft_markup_put(m, "</text>\n");
    }
    for (int64_t j = 0; j < map->columns; j++) {
        weft_markup_put(m, "<text transform=\"translate(%.0f %.0f) rotate(-%d)\">",
                        x + ((double)j + 0.75) * CELL, y - 4, SLANT);
        weft_svg_label(m, map->column_names[j], LONGEST);
        weft_markup_put(m, "</text>\n");
    }
}

/* Weights below half a percent leave the paper as it is. */
static void draw_cells(weft_markup *m, const weft_svg_map *map, const weft_real *weights, double x,
                       double y)
{
    weft_markup_put(m, "<rect class=\"g\" x=\"%.1f\" y=\"%.1f\" width=\"%.0f\" height=\"%.0f\"/>\n",
                    x - 0.5, y - 0.5, (double)map->columns * CELL + 1,
                    (double)map->rows * CELL + 1);
    weft_markup_put(m, "<g class=\"w\">\n");
    for (int64_t i = 0; i < map->rows; i++)
        for (int64_t j = 0; j < map->columns; j++) {
            const double w = (double)weights[i * map->columns + j];
            if (!(w >= 0.005)) continue;
            weft_markup_put(m,
                            "<rect x=\"%.0f\" y=\"%.0f\" width=\"%d\" height=\"%d\" "
                            "fill-opacity=\"%.2f\"><title>",
                            x + (double)j * CELL, y + (double)i * CELL, CELL, CELL, fmin(w, 1));
            weft_markup_text(m, map->row_names[i]);
            weft_markup_put(m, " \xE2\x86\x90 "); /* an arrow to the left */
            weft_markup_text(m, map->column_names[j]);
            weft_markup_put(m, " %.3f</title></rect>\n", w);
        }
    weft_markup_put(m, "</g>\n");
}

void weft_svg_draw_map(weft_markup *m, const weft_svg_map *map, double x, double y)
{
    double left, top;
    int lines;
    margins(map, &left, &top);
    const int n = side_by_side(map, left, &lines);
    for (int i = 0; i < map->panel_rows * map->panel_columns; i++) {
        const int c = i % map->panel_columns, line = i / map->panel_columns * lines + c / n;
        const double at_x = x + left + c % n * panel_width(map),
                     at_y = y + line * (top + (double)map->rows * CELL + GAP);
        weft_markup_put(m, "<text class=\"s\" x=\"%.0f\" y=\"%.0f\">", at_x, at_y + 13);
        weft_markup_text(m, map->panel_names[i]);
        weft_markup_put(m, "</text>\n");
        draw_names(m, map, at_x, at_y + top, c % n == 0);
        draw_cells(m, map, map->weights + (int64_t)i * map->rows * map->columns, at_x, at_y + top);
    }
}
