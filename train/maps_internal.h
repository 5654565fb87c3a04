/* maps_internal.h - a part of a sentence's attention maps. Not installed. */
#ifndef WEFT_TRAIN_MAPS_INTERNAL_H
#define WEFT_TRAIN_MAPS_INTERNAL_H

#include "train/maps.h"
#include "train/markup_internal.h"

enum { WEFT_MAP_SCOPE = 256 };

/** Where a layer's attention is recorded: "decoder.layers.0.multihead_attn". */
void weft_map_scope(char scope[WEFT_MAP_SCOPE], weft_map_kind kind, int layer);

/* Layers and heads that a choice means; n_layers 0 where the kind has no such layer. */
typedef struct weft_map_part {
    int layer, n_layers, head, n_heads;
} weft_map_part;
weft_map_part weft_map_part_of(const weft_maps *maps, weft_map_kind kind,
                               const weft_map_choice *choice);
/** Its weights [n_layers, n_heads, rows, columns]. */
void weft_map_part_copy(const weft_maps *maps, weft_map_kind kind, const weft_map_part *part,
                        weft_real *to);

/** The part as a picture of its own within a page or a file. */
weft_status weft_maps_draw(weft_markup *m, const weft_maps maps[], int64_t n,
                           const weft_model *model, const weft_map_choice *choice,
                           weft_map_kind kind, bool alone) WEFT_MUST_CHECK;

#endif
