/* maps_picture.c - attention maps as SVG. */
#include "train/maps_internal.h"

#include <math.h>
#include <stdio.h>

/* The panels of one sentence with all that they point to. */
typedef struct panels {
    weft_svg_map map;
    const char **rows, **columns, **names;
    char (*name)[48];
    weft_real *weights;
    double width, height;
} panels;

static void panels_free(panels *p)
{
    weft_free(p->rows);
    weft_free(p->columns);
    weft_free(p->names);
    weft_free(p->name);
    weft_free(p->weights);
}

/* White space is to be seen. */
static const char **names_of(const weft_vocab *vocab, const int32_t *ids, int64_t n)
{
    const char **const names = weft_alloc((size_t)n, sizeof *names);
    for (int64_t i = 0; names && i < n; i++) {
        const char *const token = weft_vocab_token(vocab, ids[i]);
        names[i] = token[0] == ' '    ? "\xE2\x90\xA3" /* open box */
                   : token[0] == '\n' ? "\xE2\x86\xB5" /* return */
                                      : token;
    }
    return names;
}

static weft_status panels_init(panels *p, const weft_maps *maps, const weft_model *model,
                               const weft_map_choice *choice, weft_map_kind kind)
{
    const weft_map_part part = weft_map_part_of(maps, kind, choice);
    const int n = part.n_layers * part.n_heads;
    const int64_t rows = weft_maps_rows(maps, kind), columns = weft_maps_columns(maps, kind);
    if (n == 0)
        return weft_error(WEFT_ERR_INPUT, "the model has no %s attention with weights in layer %d",
                          weft_map_kind_name(kind), part.layer);
    const bool from_source = kind == WEFT_MAP_ENCODER, to_target = kind == WEFT_MAP_DECODER;
    p->rows = names_of(from_source ? model->source_vocab : model->target_vocab,
                       from_source ? maps->source : maps->said, rows);
    p->columns = names_of(to_target ? model->target_vocab : model->source_vocab,
                          to_target ? maps->read : maps->source, columns);
    p->names = weft_alloc((size_t)n, sizeof *p->names);
    p->name = weft_alloc((size_t)n, sizeof *p->name);
    p->weights = weft_alloc((size_t)(n * rows * columns), sizeof *p->weights);
    if (!p->rows || !p->columns || !p->names || !p->name || !p->weights) return WEFT_ERR_MEMORY;
    for (int i = 0; i < n; i++) {
        snprintf(p->name[i], sizeof p->name[i], "%s layer %d head %d", weft_map_kind_name(kind),
                 part.layer + i / part.n_heads, part.head + i % part.n_heads);
        p->names[i] = p->name[i];
    }
    weft_map_part_copy(maps, kind, &part, p->weights);
    p->map = (weft_svg_map){ .panel_rows = part.n_layers,
                             .panel_columns = part.n_heads,
                             .panel_names = p->names,
                             .rows = rows,
                             .columns = columns,
                             .row_names = p->rows,
                             .column_names = p->columns,
                             .weights = p->weights };
    weft_svg_map_size(&p->map, &p->width, &p->height);
    return WEFT_OK;
}

weft_status weft_maps_draw(weft_markup *m, const weft_maps maps[], int64_t n,
                           const weft_model *model, const weft_map_choice *choice,
                           weft_map_kind kind, bool alone)
{
    enum { EDGE = 12 };
    double width = 0, height = EDGE;
    panels *const all = weft_alloc((size_t)n, sizeof *all);
    weft_status status = all ? WEFT_OK : WEFT_ERR_MEMORY;
    for (int64_t i = 0; i < n && status == WEFT_OK; i++) {
        status = panels_init(&all[i], &maps[i], model, choice, kind);
        width = fmax(width, all[i].width);
        height += all[i].height;
    }
    if (status == WEFT_OK) {
        double y = EDGE;
        weft_svg_begin(m, width + 2 * EDGE, height, "attention", alone);
        for (int64_t i = 0; i < n; i++) {
            weft_svg_draw_map(m, &all[i].map, EDGE, y);
            y += all[i].height;
        }
        weft_svg_end(m);
        status = m->status;
    }
    for (int64_t i = 0; all && i < n; i++) panels_free(&all[i]);
    weft_free(all);
    return status;
}

weft_status weft_maps_picture(const weft_maps maps[], int64_t n, const weft_model *model,
                              const weft_map_choice *choice, weft_map_kind kind, char **svg)
{
    weft_markup m = { .status = WEFT_OK };
    const weft_status status = weft_maps_draw(&m, maps, n, model, choice, kind, true);
    *svg = NULL;
    if (status != WEFT_OK) {
        weft_markup_release(&m);
        return status;
    }
    *svg = m.buffer.text;
    return WEFT_OK;
}
