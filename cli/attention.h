/* attention.h - the options --attention of subcommands that use a model: its maps into a file. */
#ifndef WEFT_CLI_ATTENTION_H
#define WEFT_CLI_ATTENTION_H

#include "cli/options.h"
#include "train/maps.h"

/* What the options say, and what was collected for the file. */
typedef struct weft_cli_attention {
    const char *path; /* FILE.h5 or FILE.svg; NULL: no maps are wanted */
    int kind;         /* weft_map_kind */
    weft_map_choice choice;
    weft_store_writer *writer; /* .h5 */
    weft_maps *maps;           /* .svg: all of them */
    int64_t n_maps;
} weft_cli_attention;

/* The options; `choice` must be { -1, -1 } before. */
#define WEFT_CLI_ATTENTION(a)                                                  \
    { "attention",                                                             \
      WEFT_CLI_TEXT,                                                           \
      &(a).path,                                                               \
      "FILE.h5|FILE.svg",                                                      \
      "write attention maps: all of them, or a picture",                       \
      0,                                                                       \
      0 },                                                                     \
        { "attention-layer",                                                   \
          WEFT_CLI_INTEGER,                                                    \
          &(a).choice.layer,                                                   \
          "L",                                                                 \
          "of this layer alone, from 0; all",                                  \
          0,                                                                   \
          1000 },                                                              \
        { "attention-head",                                                    \
          WEFT_CLI_INTEGER,                                                    \
          &(a).choice.head,                                                    \
          "H",                                                                 \
          "of this head alone, from 0; all",                                   \
          0,                                                                   \
          1000 },                                                              \
    {                                                                          \
        "attention-kind", WEFT_CLI_CHOICE, &(a).kind, "cross|encoder|decoder", \
            "which of them a picture shows; cross", 0, 0                       \
    }

/** Begin the file. WEFT_ERR_INPUT for another ending, a place where no file can be made, or a layer or
 *  head that the model has not. */
weft_status weft_cli_attention_begin(weft_cli_attention *a,
                                     const weft_model *model) WEFT_MUST_CHECK;
/** Add the maps of sentence `number`, from 1; NULL source for running text. */
weft_status weft_cli_attention_add(weft_cli_attention *a, const weft_model *model, weft_tape *tape,
                                   int64_t number, const int32_t *source, int64_t n_source,
                                   const int32_t *target, int64_t n_target) WEFT_MUST_CHECK;
/** Put the file in place. */
weft_status weft_cli_attention_end(weft_cli_attention *a, const weft_model *model) WEFT_MUST_CHECK;
void weft_cli_attention_free(weft_cli_attention *a);

#endif
