/* maps.c - attention maps of a sentence: read it once more, and ask each attention for its weights. */
#include "train/maps.h"

#include "core/checked.h"
#include "train/decode_internal.h"
#include "train/maps_internal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const char *weft_map_kind_name(weft_map_kind kind)
{
    static const char *const names[WEFT_MAP_KINDS] = {
        [WEFT_MAP_CROSS] = "cross", [WEFT_MAP_ENCODER] = "encoder", [WEFT_MAP_DECODER] = "decoder"
    };
    return names[kind];
}

int64_t weft_maps_rows(const weft_maps *maps, weft_map_kind kind)
{
    return kind == WEFT_MAP_ENCODER ? maps->S : maps->T;
}

int64_t weft_maps_columns(const weft_maps *maps, weft_map_kind kind)
{
    return kind == WEFT_MAP_DECODER ? maps->T : maps->S;
}

void weft_maps_free(weft_maps *maps)
{
    weft_free(maps->source);
    weft_free(maps->read);
    weft_free(maps->said);
    for (int kind = 0; kind < WEFT_MAP_KINDS; kind++) weft_free(maps->weights[kind]);
    *maps = (weft_maps){ 0 };
}

/* ---- making them -------------------------------------------------------------------------------- */

/* A text as a batch of its own. */
typedef struct one {
    int32_t offsets[2], *rows;
    weft_tokens tokens;
} one;

static weft_status one_init(one *o, const int32_t *ids, int64_t n)
{
    o->rows = weft_alloc((size_t)n, 2 * sizeof *o->rows);
    if (!o->rows) return WEFT_ERR_MEMORY;
    for (int64_t i = 0; i < n; i++) o->rows[2 * i + 1] = (int32_t)i;
    o->offsets[0] = 0;
    o->offsets[1] = (int32_t)n;
    o->tokens = (weft_tokens){ 1, n, ids, o->offsets, o->rows };
    return WEFT_OK;
}

void weft_map_scope(char scope[WEFT_MAP_SCOPE], weft_map_kind kind, int layer)
{
    snprintf(scope, WEFT_MAP_SCOPE, "%s.layers.%d.%s",
             kind == WEFT_MAP_ENCODER ? "encoder" : "decoder", layer,
             kind == WEFT_MAP_CROSS ? "multihead_attn" : "self_attn");
}

/* The weights [rows, H, columns] of a layer into [H, rows, columns]. */
static weft_status take(weft_tape *tape, weft_map_kind kind, int layer, weft_maps *maps)
{
    char scope[WEFT_MAP_SCOPE];
    weft_map_scope(scope, kind, layer);
    const weft_tensor w = weft_value(tape, weft_attention_weights_in(tape, scope, maps->heads));
    if (weft_tape_status(tape) != WEFT_OK)
        return weft_error(weft_tape_status(tape), "%s", weft_tape_message(tape));
    const int64_t rows = weft_maps_rows(maps, kind), columns = weft_maps_columns(maps, kind);
    if (w.dim[0] != rows || w.dim[2] != columns)
        return weft_error(WEFT_ERR_STATE, "%s: its keys are not the tokens", scope);
    weft_real *const to = maps->weights[kind] + layer * maps->heads * rows * columns;
    for (int h = 0; h < maps->heads; h++)
        for (int64_t i = 0; i < rows; i++)
            memcpy(to + (h * rows + i) * columns, w.real + (i * maps->heads + h) * columns,
                   (size_t)columns * sizeof *to);
    return WEFT_OK;
}

/* Has the first layer attention of this kind to tokens? Recurrent layers have none, and Linformer's keys
 * are sums over tokens. */
static bool has_kind(weft_tape *tape, weft_map_kind kind, const weft_maps *maps)
{
    char scope[WEFT_MAP_SCOPE];
    weft_attention_parts parts;
    weft_map_scope(scope, kind, 0);
    const weft_var y = weft_attention_find(tape, scope, 0);
    if (weft_is_nil(y) || !weft_attention_inputs(tape, y, &parts)) return false;
    const weft_tensor k = weft_shape(tape, parts.k);
    return weft_rows(&k) == weft_maps_columns(maps, kind);
}

static weft_status take_kind(weft_tape *tape, weft_map_kind kind, int layers, weft_maps *maps)
{
    int64_t size;
    if (weft_tape_status(tape) != WEFT_OK)
        return weft_error(weft_tape_status(tape), "%s", weft_tape_message(tape));
    if (!has_kind(tape, kind, maps)) return WEFT_OK;
    if (!weft_mul_i64(weft_maps_rows(maps, kind), weft_maps_columns(maps, kind), &size) ||
        !weft_mul_i64(size, (int64_t)layers * maps->heads, &size))
        return weft_error(WEFT_ERR_OVERFLOW, "attention maps of so many tokens are too large");
    maps->layers[kind] = layers;
    maps->weights[kind] = weft_alloc((size_t)size, sizeof *maps->weights[kind]);
    weft_status status = maps->weights[kind] ? WEFT_OK : WEFT_ERR_MEMORY;
    for (int i = 0; i < layers && status == WEFT_OK; i++) status = take(tape, kind, i, maps);
    return status;
}

static int32_t *copy_ids(int32_t first, const int32_t *ids, int64_t n, int32_t last)
{
    int32_t *const copy = weft_alloc((size_t)n + 2, sizeof *copy);
    if (!copy) return NULL;
    int64_t k = 0;
    if (first >= 0) copy[k++] = first;
    if (n > 0) memcpy(copy + k, ids, (size_t)n * sizeof *ids);
    k += n;
    if (last >= 0) copy[k] = last;
    return copy;
}

/* What the model reads and says. */
static weft_status copy_texts(const int32_t *source, int64_t n_source, const int32_t *target,
                              int64_t n_target, weft_maps *maps)
{
    const bool running = !source;
    maps->S = running ? 0 : n_source + 1;
    maps->T = running ? n_target - 1 : n_target + 1;
    if (!running) maps->source = copy_ids(-1, source, n_source, WEFT_EOS);
    maps->read =
        running ? copy_ids(-1, target, n_target - 1, -1) : copy_ids(WEFT_BOS, target, n_target, -1);
    maps->said = running ? copy_ids(-1, target + 1, n_target - 1, -1)
                         : copy_ids(-1, target, n_target, WEFT_EOS);
    return maps->read && maps->said && (running || maps->source) ? WEFT_OK : WEFT_ERR_MEMORY;
}

static weft_status read_again(const weft_transformer *model, weft_tape *tape, weft_maps *maps)
{
    one source = { .rows = NULL }, target = { .rows = NULL };
    const bool running = model->config.decoder_only;
    weft_status status = one_init(&target, maps->read, maps->T);
    if (status == WEFT_OK && !running) status = one_init(&source, maps->source, maps->S);
    if (status == WEFT_OK) {
        weft_tape_reset(tape);
        const weft_var memory =
            running ? WEFT_NIL : weft_transformer_encode(model, tape, &source.tokens);
        (void)weft_transformer_decode(model, tape, &target.tokens, memory, &source.tokens);
        const int decoder = model->config.decoder_layers, encoder = model->config.encoder_layers;
        if (!running) status = take_kind(tape, WEFT_MAP_ENCODER, encoder, maps);
        if (status == WEFT_OK) status = take_kind(tape, WEFT_MAP_DECODER, decoder, maps);
        if (status == WEFT_OK && !running) status = take_kind(tape, WEFT_MAP_CROSS, decoder, maps);
    }
    weft_free(source.rows);
    weft_free(target.rows);
    return status;
}

weft_status weft_maps_make(const weft_transformer *model, weft_tape *tape, const int32_t *source,
                           int64_t n_source, const int32_t *target, int64_t n_target,
                           weft_maps *maps)
{
    const bool running = model->config.decoder_only;
    weft_maps_free(maps);
    weft_status status = weft_decode_check("weft_maps_make", model, tape, running);
    if (status != WEFT_OK) return status;
    if (running != (source == NULL))
        return weft_error(WEFT_ERR_STATE, "weft_maps_make: %s",
                          running ? "a decoder has no source" : "there is no source");
    if (running && n_target < 2)
        return weft_error(WEFT_ERR_RANGE,
                          "attention maps need a text of two tokens at least, this has %lld",
                          (long long)n_target);
    maps->heads = model->config.layer.heads;
    status = copy_texts(source, n_source, target, n_target, maps);
    if (status == WEFT_OK) status = read_again(model, tape, maps);
    if (status != WEFT_OK) weft_maps_free(maps);
    return status;
}

/* ---- a file ------------------------------------------------------------------------------------- */

weft_status weft_map_choice_check(const weft_map_choice *choice,
                                  const weft_transformer_config *config)
{
    const int encoder = config->decoder_only ? 0 : config->encoder_layers;
    const int layers = encoder > config->decoder_layers ? encoder : config->decoder_layers;
    if (choice->layer >= layers)
        return weft_error(WEFT_ERR_INPUT, "there is no layer %lld: the model's go from 0 to %d",
                          (long long)choice->layer, layers - 1);
    if (choice->head >= config->layer.heads)
        return weft_error(WEFT_ERR_INPUT, "there is no head %lld: the model's go from 0 to %d",
                          (long long)choice->head, config->layer.heads - 1);
    return WEFT_OK;
}

weft_map_part weft_map_part_of(const weft_maps *maps, weft_map_kind kind,
                               const weft_map_choice *choice)
{
    const int layers = maps->layers[kind];
    weft_map_part part = { .layer = 0, .n_layers = layers, .head = 0, .n_heads = maps->heads };
    if (choice->layer >= 0) {
        part.layer = (int)choice->layer;
        part.n_layers = choice->layer < layers ? 1 : 0;
    }
    if (choice->head >= 0) {
        part.head = (int)choice->head;
        part.n_heads = 1;
    }
    return part;
}

void weft_map_part_copy(const weft_maps *maps, weft_map_kind kind, const weft_map_part *part,
                        weft_real *to)
{
    const int64_t size = weft_maps_rows(maps, kind) * weft_maps_columns(maps, kind);
    for (int l = 0; l < part->n_layers; l++)
        for (int h = 0; h < part->n_heads; h++) {
            const int64_t from = (int64_t)(part->layer + l) * maps->heads + part->head + h;
            memcpy(to + (int64_t)(l * part->n_heads + h) * size, maps->weights[kind] + from * size,
                   (size_t)size * sizeof *to);
        }
}

static weft_status write_kind(const weft_maps *maps, weft_map_kind kind,
                              const weft_map_choice *choice, const char *name,
                              weft_store_writer *writer)
{
    char path[WEFT_MAP_SCOPE];
    const weft_map_part part = weft_map_part_of(maps, kind, choice);
    const int64_t dim[] = { part.n_layers, part.n_heads, weft_maps_rows(maps, kind),
                            weft_maps_columns(maps, kind) };
    if (part.n_layers == 0) return WEFT_OK;
    weft_real *const chosen =
        weft_alloc((size_t)(dim[0] * dim[1] * dim[2] * dim[3]), sizeof *chosen);
    if (!chosen) return WEFT_ERR_MEMORY;
    weft_map_part_copy(maps, kind, &part, chosen);
    snprintf(path, sizeof path, "%s/%s", name, weft_map_kind_name(kind));
    const weft_status status = weft_store_write(writer, path, WEFT_STORE_REAL, 4, dim, chosen);
    weft_free(chosen);
    return status;
}

static weft_status write_tokens(const weft_vocab *vocab, const int32_t *ids, int64_t n,
                                const char *name, const char *what, weft_store_writer *writer)
{
    char path[WEFT_MAP_SCOPE];
    const char **const tokens = weft_alloc((size_t)n, sizeof *tokens);
    if (!tokens) return WEFT_ERR_MEMORY;
    for (int64_t i = 0; i < n; i++) tokens[i] = weft_vocab_token(vocab, ids[i]);
    snprintf(path, sizeof path, "%s/%s", name, what);
    const weft_status status = weft_store_write_strings(writer, path, n, tokens);
    weft_free(tokens);
    return status;
}

weft_status weft_maps_write(const weft_maps *maps, const weft_model *model,
                            const weft_map_choice *choice, const char *name,
                            weft_store_writer *writer)
{
    weft_status status = WEFT_OK;
    if (maps->source)
        status = write_tokens(model->source_vocab, maps->source, maps->S, name, "source", writer);
    if (status == WEFT_OK)
        status = write_tokens(model->target_vocab, maps->read, maps->T, name, "read", writer);
    if (status == WEFT_OK)
        status = write_tokens(model->target_vocab, maps->said, maps->T, name, "said", writer);
    for (int kind = 0; kind < WEFT_MAP_KINDS && status == WEFT_OK; kind++)
        status = write_kind(maps, (weft_map_kind)kind, choice, name, writer);
    return status;
}
