/* maps.h - attention maps: which tokens each head of a model looks at, in one sentence. */
#ifndef WEFT_TRAIN_MAPS_H
#define WEFT_TRAIN_MAPS_H

#include "../data/store.h"
#include "model.h"

typedef enum weft_map_kind {
    WEFT_MAP_CROSS,   /* from what is said to the source */
    WEFT_MAP_ENCODER, /* within the source */
    WEFT_MAP_DECODER, /* within what was read of the target, or of running text */
    WEFT_MAP_KINDS
} weft_map_kind;
const char *weft_map_kind_name(weft_map_kind kind); /* "cross", "encoder", "decoder" */

/* All maps of one sentence. Start with { 0 }, end with weft_maps_free. Row t of the decoder's maps is
 * where it had read read[t] and said said[t]. */
typedef struct weft_maps {
    int heads;
    int64_t S, T;    /* tokens of source and target */
    int32_t *source; /* [S] x1 .. xn </s>; none for a decoder-only model */
    int32_t *read,
        *said; /* [T] <s> y1 .. yn, and y1 .. yn </s>; running text: t1 .. tn-1, t2 .. tn */
    int layers[WEFT_MAP_KINDS];         /* 0: the model has none of the kind that gives weights */
    weft_real *weights[WEFT_MAP_KINDS]; /* [layers, heads, rows, columns]: rows sum to 1 */
} weft_maps;
int64_t weft_maps_rows(const weft_maps *maps, weft_map_kind kind);
int64_t weft_maps_columns(const weft_maps *maps, weft_map_kind kind);
void weft_maps_free(weft_maps *maps);

/**
 * Let the model read a sentence once more, and note the weights of every layer and head. They are those
 * that its attention works with, whatever kernel it has (weft_attention_weights).
 *
 * @param tape      made with WEFT_NO_GRAD; it is reset
 * @param source    ids without </s>; NULL for a decoder-only model
 * @param target    ids without <s> and </s>; of running text at least two
 * @param maps      overwritten
 *
 * Errors: WEFT_ERR_STATE for another tape, or attention to what are no tokens; WEFT_ERR_RANGE for a text
 * too short; those of the layers; WEFT_ERR_MEMORY.
 */
weft_status weft_maps_make(const weft_transformer *model, weft_tape *tape, const int32_t *source,
                           int64_t n_source, const int32_t *target, int64_t n_target,
                           weft_maps *maps) WEFT_MUST_CHECK;

/* Which of them: -1 means all. */
typedef struct weft_map_choice {
    int64_t layer, head;
} weft_map_choice;
/** WEFT_ERR_INPUT where the model has no such layer or head. */
weft_status weft_map_choice_check(const weft_map_choice *choice,
                                  const weft_transformer_config *config) WEFT_MUST_CHECK;

/** Put them into a file as group `name`: tokens as strings, "cross", "encoder", "decoder" as float32
 *  [layers, heads, rows, columns] of the chosen layers and heads (docs/decoding.md). */
weft_status weft_maps_write(const weft_maps *maps, const weft_model *model,
                            const weft_map_choice *choice, const char *name,
                            weft_store_writer *writer) WEFT_MUST_CHECK;

/**
 * The text of a translation in which each <unk> is the source token that it looked at most: by the
 * cross attention of the chosen layer (-1: the last) and head (-1: the mean of all). For vocabularies of
 * words or characters (WEFT_ERR_STATE otherwise).
 *
 * @param source  the sentence as it was encoded into ids[n_ids]
 * @param text    new memory (weft_free)
 */
weft_status weft_maps_known(const weft_model *model, weft_tape *tape, const char *source,
                            const int32_t *ids, int64_t n_ids, const int32_t *said, int64_t n_said,
                            const weft_map_choice *choice, char **text) WEFT_MUST_CHECK;

/** The chosen maps of one kind, of n sentences one below the other, as an SVG picture in new memory
 *  (weft_free): a row of panels for each layer, a panel for each head. WEFT_ERR_INPUT where the model
 *  has none of the kind. */
weft_status weft_maps_picture(const weft_maps maps[], int64_t n, const weft_model *model,
                              const weft_map_choice *choice, weft_map_kind kind,
                              char **svg) WEFT_MUST_CHECK;

#endif
