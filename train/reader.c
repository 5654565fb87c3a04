/* reader.c - reading one token a sentence at a time, with the keys and values of those before.
 *
 * A step reads them where they lie, joins them to its own on the tape, and what goes on is copied from
 * there. */
#include "train/decode_internal.h"

#include <string.h>

weft_status weft_decode_check(const char *function, const weft_transformer *model,
                              const weft_tape *tape, bool decoder_only)
{
    if (model->config.decoder_only != decoder_only)
        return weft_error(WEFT_ERR_STATE, "%s: the model has %s encoder", function,
                          decoder_only ? "an" : "no");
    if (!(weft_tape_flags(tape) & WEFT_NO_GRAD) || (weft_tape_flags(tape) & WEFT_DRY))
        return weft_error(WEFT_ERR_STATE,
                          "%s: the tape must be made with WEFT_NO_GRAD and without WEFT_DRY",
                          function);
    return WEFT_OK;
}

weft_status weft_translators_check(const char *function, const weft_translator models[],
                                   int n_models)
{
    if (n_models < 1)
        return weft_error(WEFT_ERR_RANGE, "%s: at least one model is needed", function);
    for (int i = 0; i < n_models; i++) {
        const weft_status status =
            weft_decode_check(function, models[i].model, models[i].tape, false);
        if (status != WEFT_OK) return status;
        const weft_transformer_config *a = &models[0].model->config, *b = &models[i].model->config;
        if (a->target_V != b->target_V || a->source_V != b->source_V)
            return weft_error(WEFT_ERR_SHAPE,
                              "%s: models of different vocabularies: %lld and %lld tokens, and "
                              "%lld and %lld",
                              function, (long long)a->source_V, (long long)a->target_V,
                              (long long)b->source_V, (long long)b->target_V);
    }
    return WEFT_OK;
}

weft_status weft_translators_reach(const weft_translator models[], int n_models, int64_t i,
                                   int64_t n)
{
    for (int k = 0; k < n_models; k++) {
        const weft_transformer_config *config = &models[k].model->config;
        const weft_approximation *const a = &config->layer.approximation;
        const char *what = NULL;
        int64_t most = 0;
        if (config->position == WEFT_POSITION_LEARNED && n >= config->max_positions)
            what = "model.max_positions", most = config->max_positions;
        if (a->kind == WEFT_BY_PROJECTION && n >= a->longest)
            what = "model.linformer_length", most = a->longest;
        if (what)
            return weft_error(WEFT_ERR_INPUT,
                              "sentence %lld has %lld tokens; %s is %lld (the end of the sentence "
                              "counts)",
                              (long long)i + 1, (long long)n, what, (long long)most);
    }
    return WEFT_OK;
}

static int64_t kv_width(const weft_reader *reader)
{
    return weft_layer_kv_width(&reader->model->config.layer);
}

/* Room for n + 1 elements of a table. */
static bool make_table(int32_t **table, int64_t n, size_t element_bytes)
{
    int32_t *const new = weft_realloc(*table, (size_t)n + 1, element_bytes);
    if (new) *table = new;
    return new != NULL;
}

static weft_status make_tables(weft_reader *reader, int64_t S, int64_t most)
{
    if (S > reader->S_room || !reader->groups) {
        if (!make_table(&reader->memory_offsets, S, sizeof(int32_t)) ||
            !make_table(&reader->groups, S, sizeof(int32_t)))
            return WEFT_ERR_MEMORY;
        reader->S_room = S;
    }
    if (most <= reader->B_room) return WEFT_OK;
    if (!make_table(&reader->offsets, most, sizeof(int32_t)) ||
        !make_table(&reader->self_offsets, most, sizeof(int32_t)) ||
        !make_table(&reader->rows, most, 2 * sizeof(int32_t)))
        return WEFT_ERR_MEMORY;
    for (int64_t b = 0; b <= most; b++) reader->offsets[b] = (int32_t)b;
    reader->B_room = most;
    return WEFT_OK;
}

weft_status weft_reader_init(weft_reader *reader, const weft_transformer *model, weft_tape *tape,
                             int64_t S, int64_t B, int64_t most)
{
    reader->model = model;
    reader->tape = tape;
    reader->S = S;
    reader->B = B;
    reader->t = 0;
    const weft_status status = make_tables(reader, S, most);
    for (int64_t s = 0; s <= S && S > 0 && status == WEFT_OK; s++)
        reader->groups[s] = (int32_t)(s * (B / S));
    return status;
}

void weft_reader_free(weft_reader *reader)
{
    for (int i = 0; i < WEFT_MAX_LAYERS; i++) {
        weft_free(reader->self[i]);
        weft_free(reader->memory[i]);
    }
    weft_free(reader->memory_offsets);
    weft_free(reader->groups);
    weft_free(reader->offsets);
    weft_free(reader->self_offsets);
    weft_free(reader->rows);
    weft_free(reader->self_rows);
    *reader = (weft_reader){ 0 };
}

void weft_readers_free(weft_reader readers[], int n)
{
    for (int i = 0; readers && i < n; i++) weft_reader_free(&readers[i]);
    weft_free(readers);
}

/* Room for `need` elements in the buffer of each layer, growing by halves. Their contents may be lost. */
static weft_status make_room(const weft_reader *reader, weft_real *buffers[], int64_t *room,
                             int64_t need)
{
    if (need <= *room) return WEFT_OK;
    *room = 0;
    for (int i = 0; i < reader->model->config.decoder_layers; i++) {
        weft_free(buffers[i]);
        buffers[i] = weft_alloc((size_t)(need + need / 2), sizeof(weft_real));
        if (!buffers[i]) return WEFT_ERR_MEMORY;
    }
    *room = need + need / 2;
    return WEFT_OK;
}

weft_status weft_reader_encode(weft_reader *reader, const weft_tokens *source)
{
    weft_tape *const tape = reader->tape;
    weft_tape_reset(tape);
    const weft_var memory = weft_transformer_encode(reader->model, tape, source);
    weft_transformer_memory(reader->model, tape, memory, &reader->past);
    if (weft_tape_status(tape) != WEFT_OK) return weft_tape_status(tape);
    const int64_t n = source->N * kv_width(reader);
    const weft_status status = make_room(reader, reader->memory, &reader->memory_room, n);
    if (status != WEFT_OK) return status;
    for (int i = 0; i < reader->model->config.decoder_layers; i++)
        memcpy(reader->memory[i], weft_value(tape, reader->past.memory[i]).real,
               (size_t)n * sizeof(weft_real));
    memcpy(reader->memory_offsets, source->offsets, ((size_t)source->B + 1) * sizeof(int32_t));
    return WEFT_OK;
}

/* Sentence and position of all tokens up to the next one; WEFT_NIL where no step asks for them. */
static weft_var enter_rows(weft_reader *reader)
{
    const int64_t B = reader->B, T = reader->t + 1;
    if (!weft_transformer_turns_later(reader->model)) return WEFT_NIL;
    if (B * T > reader->self_rows_room) {
        const int64_t room = B * T + B * T / 2;
        int32_t *const rows = weft_realloc(reader->self_rows, (size_t)room, 2 * sizeof *rows);
        if (!rows) {
            weft_tape_fail(reader->tape, WEFT_ERR_MEMORY, "decoding: %s", weft_message());
            return WEFT_NIL;
        }
        reader->self_rows = rows;
        reader->self_rows_room = room;
    }
    for (int64_t i = 0; i < B * T; i++) {
        reader->self_rows[2 * i] = (int32_t)(i / T);
        reader->self_rows[2 * i + 1] = (int32_t)(i % T);
    }
    return weft_constant_int(reader->tape, WEFT_DIMS(B * T, 2), reader->self_rows);
}

/* What earlier steps have left, on the tape of this one. */
static void enter_past(weft_reader *reader)
{
    weft_tape *const tape = reader->tape;
    const weft_transformer_config *config = &reader->model->config;
    const int64_t B = reader->B, t = reader->t, W = kv_width(reader);
    const int64_t n_rows = weft_layer_past_rows(&config->layer, t),
                  width = weft_layer_past_width(&config->layer);
    for (int64_t b = 0; b <= B; b++) reader->self_offsets[b] = (int32_t)(b * (t + 1));
    reader->past = (weft_past){ .self_offsets =
                                    weft_constant_int(tape, WEFT_DIMS(B + 1), reader->self_offsets),
                                .self_rows = enter_rows(reader) };
    for (int i = 0; i < config->decoder_layers && t > 0; i++)
        reader->past.self[i] = weft_borrow(tape, WEFT_DIMS(B, n_rows, width), reader->self[i]);
    if (config->decoder_only) return;
    const int64_t S = reader->S, M = reader->memory_offsets[S];
    reader->past.memory_offsets = weft_constant_int(tape, WEFT_DIMS(S + 1), reader->memory_offsets);
    reader->past.groups = weft_constant_int(tape, WEFT_DIMS(S + 1), reader->groups);
    for (int i = 0; i < config->decoder_layers; i++)
        reader->past.memory[i] = weft_borrow(tape, WEFT_DIMS(M, W), reader->memory[i]);
}

weft_var weft_reader_step(weft_reader *reader, const int32_t *ids)
{
    weft_tape *const tape = reader->tape;
    weft_tape_reset(tape);
    if (reader->B * (reader->t + 1) > INT32_MAX) {
        weft_tape_fail(tape, WEFT_ERR_OVERFLOW, "decoding: %lld sentences of %lld tokens",
                       (long long)reader->B, (long long)reader->t + 1);
        return WEFT_NIL;
    }
    enter_past(reader);
    for (int64_t b = 0; b < reader->B; b++) {
        reader->rows[2 * b] = (int32_t)b;
        reader->rows[2 * b + 1] = (int32_t)reader->t;
    }
    const weft_tokens next = { reader->B, reader->B, ids, reader->offsets, reader->rows };
    const weft_var x = weft_transformer_step(reader->model, tape, &next, &reader->past);
    return weft_transformer_logits(reader->model, tape, x);
}

/* The memory of those sources that still have sentences. */
static void keep_sources(weft_reader *reader, int64_t n, const int32_t *keep)
{
    const size_t row_bytes = (size_t)kv_width(reader) * sizeof(weft_real);
    int32_t *const offsets = reader->memory_offsets, *const groups = reader->groups;
    int32_t to = 0;
    int64_t k = 0, n_kept = 0;
    for (int64_t s = 0; s < reader->S; s++) {
        const int64_t first = k;
        const int32_t from = offsets[s], n_rows = offsets[s + 1] - from;
        while (k < n && keep[k] < groups[s + 1]) k++;
        if (k == first) continue;
        for (int i = 0; i < reader->model->config.decoder_layers && to != from; i++)
            memmove((char *)reader->memory[i] + (size_t)to * row_bytes,
                    (char *)reader->memory[i] + (size_t)from * row_bytes,
                    (size_t)n_rows * row_bytes);
        offsets[n_kept] = to; /* n_kept <= s: what is still to be read lies behind */
        groups[n_kept++] = (int32_t)first;
        to += n_rows;
    }
    offsets[n_kept] = to;
    groups[n_kept] = (int32_t)n;
    reader->S = n_kept;
}

weft_status weft_reader_keep(weft_reader *reader, int64_t n, const int32_t *keep)
{
    const weft_layer_config *layer = &reader->model->config.layer;
    const int64_t size = weft_layer_past_rows(layer, reader->t + 1) *
                         weft_layer_past_width(layer); /* of a sentence */
    const weft_status status = make_room(reader, reader->self, &reader->self_room, n * size);
    if (status != WEFT_OK) return status;
    for (int i = 0; i < reader->model->config.decoder_layers; i++) {
        const weft_real *const kv = weft_value(reader->tape, reader->past.self[i]).real;
        weft_real *const self = reader->self[i];
#pragma omp parallel for schedule(static) num_threads(weft_team(n, n *size))
        for (int64_t k = 0; k < n; k++)
            memcpy(self + k * size, kv + keep[k] * size, (size_t)size * sizeof(weft_real));
    }
    if (!reader->model->config.decoder_only) keep_sources(reader, n, keep);
    reader->B = n;
    reader->t++;
    return WEFT_OK;
}

void weft_reader_rewind(weft_reader *reader) { reader->t = 0; }
