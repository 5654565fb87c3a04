/* attention.c - attention maps of what was said, collected for one file. */
#include "cli/attention.h"
#include "data/file_internal.h"

#include <stdio.h>
#include <string.h>

enum { FORMAT = 1, MOST_PICTURES = 100, MOST_GROUPS = 50000, USUAL_GROUPS = 2000 };

static bool ends_in(const char *path, const char *ending)
{
    const size_t n = strlen(path), n_ending = strlen(ending);
    return n > n_ending && strcmp(path + n - n_ending, ending) == 0;
}

static weft_status begin_file(weft_cli_attention *a, const weft_model *model)
{
    const weft_transformer_config *config = &model->transformer.config;
    a->writer = weft_store_writer_new(0);
    if (!a->writer) return WEFT_ERR_MEMORY;
    weft_status status = weft_store_write_int(a->writer, "format", FORMAT);
    if (status == WEFT_OK)
        status = weft_store_write_int(a->writer, "first_layer",
                                      a->choice.layer < 0 ? 0 : a->choice.layer);
    if (status == WEFT_OK)
        status =
            weft_store_write_int(a->writer, "first_head", a->choice.head < 0 ? 0 : a->choice.head);
    if (status == WEFT_OK) status = weft_store_write_int(a->writer, "heads", config->layer.heads);
    if (status == WEFT_OK) status = weft_store_write_group(a->writer, "sentences", USUAL_GROUPS);
    return status;
}

weft_status weft_cli_attention_begin(weft_cli_attention *a, const weft_model *model)
{
    const bool picture = ends_in(a->path, ".svg");
    if (!picture && !ends_in(a->path, ".h5"))
        return weft_error(WEFT_ERR_INPUT, "--attention %s: the file must end in .h5 or .svg",
                          a->path);
    if (picture && model->transformer.config.decoder_only && a->kind == WEFT_MAP_CROSS)
        a->kind = WEFT_MAP_DECODER; /* the only one there is */
    weft_status status = weft_map_choice_check(&a->choice, &model->transformer.config);
    if (status == WEFT_OK) status = weft_file_can_replace(a->path);
    return status != WEFT_OK || picture ? status : begin_file(a, model);
}

static weft_status keep(weft_cli_attention *a, weft_maps *maps)
{
    if (a->n_maps == MOST_PICTURES)
        return weft_error(WEFT_ERR_INPUT,
                          "%s: a picture of more than %d sentences helps nobody; a file .h5 holds "
                          "as many as you like",
                          a->path, MOST_PICTURES);
    weft_maps *const grown = weft_realloc(a->maps, (size_t)a->n_maps + 1, sizeof *grown);
    if (!grown) return WEFT_ERR_MEMORY;
    a->maps = grown;
    a->maps[a->n_maps++] = *maps;
    *maps = (weft_maps){ 0 };
    return WEFT_OK;
}

weft_status weft_cli_attention_add(weft_cli_attention *a, const weft_model *model, weft_tape *tape,
                                   int64_t number, const int32_t *source, int64_t n_source,
                                   const int32_t *target, int64_t n_target)
{
    char name[32];
    weft_maps maps = { 0 };
    weft_status status = WEFT_OK;
    if (a->writer && a->n_maps == MOST_GROUPS)
        return weft_error(WEFT_ERR_INPUT, "%s: a file holds the maps of at most %d sentences",
                          a->path, MOST_GROUPS);
    status = weft_maps_make(&model->transformer, tape, source, n_source, target, n_target, &maps);
    snprintf(name, sizeof name, "sentences/%lld", (long long)number);
    if (status == WEFT_OK && a->writer) {
        status = weft_maps_write(&maps, model, &a->choice, name, a->writer);
        a->n_maps++;
    } else if (status == WEFT_OK) {
        status = keep(a, &maps);
    }
    weft_maps_free(&maps);
    return status;
}

weft_status weft_cli_attention_end(weft_cli_attention *a, const weft_model *model)
{
    if (a->writer) return weft_store_save(a->writer, a->path);
    char *svg = NULL;
    if (a->n_maps == 0)
        return weft_error(WEFT_ERR_INPUT, "%s: there is no sentence to show", a->path);
    weft_status status =
        weft_maps_picture(a->maps, a->n_maps, model, &a->choice, (weft_map_kind)a->kind, &svg);
    if (status == WEFT_OK) status = weft_file_replace(a->path, svg, strlen(svg), NULL, NULL);
    weft_free(svg);
    return status;
}

void weft_cli_attention_free(weft_cli_attention *a)
{
    weft_store_writer_free(a->writer);
    for (int64_t i = 0; !a->writer && i < a->n_maps; i++) weft_maps_free(&a->maps[i]);
    weft_free(a->maps);
}
