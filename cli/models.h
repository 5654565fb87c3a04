/* models.h - the models that a subcommand translates with: one, or several that decide together. */
#ifndef WEFT_CLI_MODELS_H
#define WEFT_CLI_MODELS_H

#include "cli/options.h"
#include "train/decode.h"
#include "train/model.h"

typedef struct weft_cli_models {
    int n;
    weft_model *model[WEFT_CLI_MOST_TEXTS];
    weft_translator translators[WEFT_CLI_MOST_TEXTS];
} weft_cli_models;

/** Load the models of --model. WEFT_ERR_INPUT where there is none, one is decoder-only, or they have
 *  not the same vocabularies. `models` must be freed after an error, too. */
weft_status weft_cli_models_load(const weft_cli_texts *paths,
                                 weft_cli_models *models) WEFT_MUST_CHECK;
void weft_cli_models_free(weft_cli_models *models);

#endif
