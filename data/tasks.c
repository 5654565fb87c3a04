/* tasks.c - the tasks' list, their streams, and the tasks on strings that need no grammar. */
#include "data/tasks.h"

#include "core/nearest_internal.h"
#include "data/tasks_internal.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

/* ---- strings: a hash of the source decides -------------------------------------------------- */

enum { N_ALWAYS_TRAINING = 2, HELD_OUT_ONE_IN = 10 };

static bool hash_held_out(const char *text, size_t n_bytes)
{
    return XXH3_64bits(text, n_bytes) % HELD_OUT_ONE_IN == 0;
}

int weft_draw_length(weft_dice *dice, const weft_task_stream *stream)
{
    return stream->shortest + weft_roll(dice, stream->longest - stream->shortest + 1);
}

int weft_draw_string(weft_dice *dice, const weft_task_stream *stream, char first, int n_symbols,
                     char text[WEFT_TASK_LONGEST + 1])
{
    const int n = weft_draw_length(dice, stream);
    for (int i = 0; i < n; i++) text[i] = (char)(first + weft_roll(dice, n_symbols));
    text[n] = '\0';
    return n;
}

bool weft_put_strings(weft_line *source, const char *text, weft_line *target, const char *answer)
{
    weft_line_word(source, text);
    weft_line_word(target, answer);
    const size_t n = strlen(text);
    return n > N_ALWAYS_TRAINING && hash_held_out(text, n);
}

static bool draw_copy(weft_dice *dice, const weft_task_stream *stream, weft_line *source,
                      weft_line *target)
{
    char text[WEFT_TASK_LONGEST + 1];
    weft_draw_string(dice, stream, 'a', 26, text);
    return weft_put_strings(source, text, target, text);
}

static bool draw_reverse(weft_dice *dice, const weft_task_stream *stream, weft_line *source,
                         weft_line *target)
{
    char text[WEFT_TASK_LONGEST + 1], reversed[WEFT_TASK_LONGEST + 1] = "";
    const int n = weft_draw_string(dice, stream, 'a', 26, text);
    for (int i = 0; i < n; i++) reversed[i] = text[n - 1 - i];
    return weft_put_strings(source, text, target, reversed);
}

static int by_symbol(const void *a, const void *b) { return *(const char *)a - *(const char *)b; }

static bool draw_sort(weft_dice *dice, const weft_task_stream *stream, weft_line *source,
                      weft_line *target)
{
    char text[WEFT_TASK_LONGEST + 1], sorted[WEFT_TASK_LONGEST + 1];
    const int n = weft_draw_string(dice, stream, '0', 10, text);
    memcpy(sorted, text, sizeof sorted);
    qsort(sorted, (size_t)n, 1, by_symbol);
    return weft_put_strings(source, text, target, sorted);
}

/* A number without leading zero, every count of digits equally often. */
enum { MOST_DIGITS = 18 }; /* a sum of two such fits into 63 bits */
static int64_t draw_number(weft_dice *dice, const weft_task_stream *stream)
{
    int64_t end = 10;
    const int n_digits = weft_draw_length(dice, stream);
    for (int i = 1; i < n_digits; i++) end *= 10;
    const int64_t first = n_digits == 1 ? 0 : end / 10;
    return first + (int64_t)weft_random_below(dice->key, dice->row++, (uint64_t)(end - first));
}

static bool draw_sum(weft_dice *dice, const weft_task_stream *stream, bool units_first,
                     weft_line *source, weft_line *target)
{
    const int64_t a = draw_number(dice, stream), b = draw_number(dice, stream);
    const int64_t low = a < b ? a : b, high = a < b ? b : a, total = a + b;
    char text[2 * MOST_DIGITS + 8], sum[MOST_DIGITS + 8], sorted[2 * MOST_DIGITS + 8];
    snprintf(text, sizeof text, "%lld+%lld", (long long)a, (long long)b);
    const int n_digits = snprintf(sum, sizeof sum, "%lld", (long long)total);
    for (int i = 0, j = n_digits - 1; units_first && i < j; i++, j--) {
        const char digit = sum[i];
        sum[i] = sum[j];
        sum[j] = digit;
    }
    weft_line_word(source, text);
    weft_line_word(target, sum);
    if (high < 10) return false;
    const int n = snprintf(sorted, sizeof sorted, "%lld+%lld", (long long)low, (long long)high);
    return hash_held_out(sorted, (size_t)n);
}

/* A carry goes from the units on: answered in this order, each digit needs what is written already. */
static bool draw_add(weft_dice *dice, const weft_task_stream *stream, weft_line *source,
                     weft_line *target)
{
    return draw_sum(dice, stream, true, source, target);
}

static bool draw_add_plain(weft_dice *dice, const weft_task_stream *stream, weft_line *source,
                           weft_line *target)
{
    return draw_sum(dice, stream, false, source, target);
}

/* ---- the list ------------------------------------------------------------------------------- */

enum { LONGEST = WEFT_TASK_LONGEST };

static const weft_task tasks[] = {
    { "copy", WEFT_TOKENS_CHARS, 50000, 1000, { 1, 20, LONGEST }, { 0 } },
    { "reverse", WEFT_TOKENS_CHARS, 50000, 1000, { 1, 20, LONGEST }, { 0 } },
    { "sort", WEFT_TOKENS_CHARS, 50000, 1000, { 1, 20, LONGEST }, { 0 } },
    { "add", WEFT_TOKENS_CHARS, 200000, 1000, { 1, 3, MOST_DIGITS }, { 0 } },
    { "add_plain", WEFT_TOKENS_CHARS, 200000, 1000, { 1, 3, MOST_DIGITS }, { 0 } },
    { "phrases", WEFT_TOKENS_SPACE, 200000, 1000, { 0 }, { 0 } },
    { "parity", WEFT_TOKENS_CHARS, 50000, 1000, { 1, 20, LONGEST }, { 0 } },
    { "first", WEFT_TOKENS_CHARS, 50000, 1000, { 1, 20, LONGEST }, { 0 } },
    { "anbn", WEFT_TOKENS_CHARS, 50000, 1000, { 4, 40, LONGEST }, { 0 } },
    { "dyck", WEFT_TOKENS_CHARS, 50000, 1000, { 1, 20, LONGEST }, { 1, 2, 4 } },
    { "modular", WEFT_TOKENS_CHARS, 50000, 1000, { 1, 8, LONGEST / 2 }, { 2, 5, 10 } },
    { "induction", WEFT_TOKENS_CHARS, 50000, 1000, { 3, 20, LONGEST }, { 0 } },
    { "selective", WEFT_TOKENS_CHARS, 50000, 1000, { 1, 20, LONGEST }, { 0 } },
};

/* In the order of tasks[]. */
static weft_task_draw *const draws[] = {
    draw_copy,         draw_reverse,        draw_sort,           draw_add,       draw_add_plain,
    weft_phrases_draw, weft_draw_parity,    weft_draw_first,     weft_draw_anbn, weft_draw_dyck,
    weft_draw_modular, weft_draw_induction, weft_draw_selective,
};

enum { N_TASKS = sizeof tasks / sizeof tasks[0] };

const weft_task *weft_task_list(int64_t *n)
{
    *n = N_TASKS;
    return tasks;
}

/* "copy, reverse, ... and selective" */
static void list_names(char *text, size_t room_bytes)
{
    size_t n_bytes = 0;
    for (int i = 0; i < N_TASKS && n_bytes < room_bytes; i++) {
        const char *const before = i == 0 ? "" : i < N_TASKS - 1 ? ", " : " and ";
        n_bytes +=
            (size_t)snprintf(text + n_bytes, room_bytes - n_bytes, "%s%s", before, tasks[i].name);
    }
}

const weft_task *weft_task_find(const char *name)
{
    weft_nearest nearest = weft_nearest_init(name);
    for (int i = 0; i < N_TASKS; i++) {
        if (strcmp(tasks[i].name, name) == 0) return &tasks[i];
        weft_nearest_offer(&nearest, tasks[i].name);
    }
    char names[256];
    list_names(names, sizeof names);
    if (nearest.name != NULL) {
        weft_error(WEFT_ERR_INPUT, "unknown task %.64s (did you mean %s?)", name, nearest.name);
    } else {
        weft_error(WEFT_ERR_INPUT, "unknown task %.64s: there are %s", name, names);
    }
    return NULL;
}

/* ---- streams -------------------------------------------------------------------------------- */

/* A stream with its defaults filled in. */
static weft_status resolve(weft_task_stream *stream)
{
    const weft_task *task = stream->task;
    assert(task >= tasks && task < tasks + N_TASKS);
    const bool by_default = stream->shortest == 0 && stream->longest == 0 && stream->k == 0;
    if (stream->longest == 0) stream->longest = task->length.usual;
    if (stream->shortest == 0) stream->shortest = task->length.least;
    if (stream->k == 0) stream->k = task->k.usual;
    if (by_default) return WEFT_OK;
    if (stream->shortest < task->length.least || stream->longest > task->length.most ||
        stream->shortest > stream->longest) {
        if (task->length.most == 0)
            return weft_error(WEFT_ERR_RANGE, "task %s has no length to be chosen", task->name);
        return weft_error(WEFT_ERR_RANGE,
                          "task %s: lengths from %d to %d: they are %d to %d at most", task->name,
                          stream->shortest, stream->longest, task->length.least, task->length.most);
    }
    if (stream->k < task->k.least || stream->k > task->k.most) {
        if (task->k.most == 0)
            return weft_error(WEFT_ERR_RANGE, "task %s has no k to be chosen", task->name);
        return weft_error(WEFT_ERR_RANGE, "task %s: k = %d: it is %d to %d", task->name, stream->k,
                          task->k.least, task->k.most);
    }
    return WEFT_OK;
}

weft_status weft_task_example(const weft_task_stream *stream, int64_t index, char *source,
                              size_t source_bytes, char *target, size_t target_bytes)
{
    weft_task_stream full = *stream;
    const weft_task *task = stream->task;
    const weft_status status = resolve(&full);
    if (status != WEFT_OK) return status;
    if (index < 0) {
        return weft_error(WEFT_ERR_RANGE, "task %s: example %lld: an index is at least 0",
                          task->name, (long long)index);
    }
    const uint64_t site = XXH3_64bits(task->name, strlen(task->name)) ^ (uint64_t)stream->held_out;
    weft_dice dice = { .key = weft_random_key(stream->seed, (uint64_t)index, site) };
    weft_line source_line, target_line;
    do { /* until it lies on the right side of the border */
        source_line = weft_line_on(source, source_bytes);
        target_line = weft_line_on(target, target_bytes);
    } while (draws[task - tasks](&dice, &full, &source_line, &target_line) != stream->held_out);
    if (source_line.full || target_line.full) {
        if (source_bytes > 0) source[0] = '\0';
        if (target_bytes > 0) target[0] = '\0';
        return weft_error(
            WEFT_ERR_RANGE, "task %s: example %lld does not fit into %zu and %zu bytes; %d suffice",
            task->name, (long long)index, source_bytes, target_bytes, WEFT_TASK_LINE_BYTES);
    }
    return WEFT_OK;
}

/* A set of hashes, open addressing; 0 marks an empty place. */
typedef struct hash_set {
    uint64_t *places;
    size_t mask;
} hash_set;

static bool set_add(hash_set *set, uint64_t hash)
{
    if (hash == 0) hash = 1;
    size_t at = (size_t)hash & set->mask;
    for (; set->places[at] != 0; at = (at + 1) & set->mask) {
        if (set->places[at] == hash) return false;
    }
    set->places[at] = hash;
    return true;
}

static weft_status set_init(hash_set *set, int64_t n)
{
    size_t n_places = 16;
    while (n_places / 2 < (uint64_t)n && n_places <= SIZE_MAX / 4) n_places *= 2;
    set->mask = n_places - 1;
    set->places = weft_alloc(n_places, sizeof *set->places);
    return set->places == NULL ? WEFT_ERR_MEMORY : WEFT_OK;
}

/* Draws without a new example after which the space counts as exhausted. */
enum { PATIENCE = 200 };

static weft_status visit_distinct(const weft_task_stream *stream, int64_t first, int64_t end,
                                  hash_set *seen, weft_task_visitor *visit, void *user)
{
    char source[WEFT_TASK_LINE_BYTES], target[WEFT_TASK_LINE_BYTES];
    int64_t index = 0;
    for (int64_t found = 0; found < end; found++) {
        int n_repeats = 0;
        bool is_new = false;
        while (!is_new) {
            const weft_status status =
                weft_task_example(stream, index++, source, sizeof source, target, sizeof target);
            if (status != WEFT_OK) return status;
            is_new = set_add(seen, XXH3_64bits(source, strlen(source)));
            if (!is_new && ++n_repeats == PATIENCE) {
                return weft_error(WEFT_ERR_RANGE,
                                  "task %s: asked for %lld distinct held-out examples, found %lld "
                                  "and then nothing new in %d draws",
                                  stream->task->name, (long long)end, (long long)found, PATIENCE);
            }
        }
        const weft_status status = found < first ? WEFT_OK : visit(source, target, user);
        if (status != WEFT_OK) return status;
    }
    return WEFT_OK;
}

static weft_status visit_all(const weft_task_stream *stream, int64_t first, int64_t end,
                             weft_task_visitor *visit, void *user)
{
    char source[WEFT_TASK_LINE_BYTES], target[WEFT_TASK_LINE_BYTES];
    for (int64_t index = first; index < end; index++) {
        weft_status status =
            weft_task_example(stream, index, source, sizeof source, target, sizeof target);
        if (status == WEFT_OK) status = visit(source, target, user);
        if (status != WEFT_OK) return status;
    }
    return WEFT_OK;
}

weft_status weft_task_visit(const weft_task_stream *stream, int64_t first, int64_t n,
                            weft_task_visitor *visit, void *user)
{
    if (first < 0 || n < 0 || n > INT64_MAX - first) {
        return weft_error(WEFT_ERR_RANGE, "task %s: %lld examples asked for, from the %lld-th",
                          stream->task->name, (long long)n, (long long)first);
    }
    if (!stream->held_out) return visit_all(stream, first, first + n, visit, user);
    hash_set seen;
    weft_status status = set_init(&seen, first + n);
    if (status != WEFT_OK) return status;
    status = visit_distinct(stream, first, first + n, &seen, visit, user);
    weft_free(seen.places);
    return status;
}

static weft_status add_to_corpus(const char *source, const char *target, void *corpus)
{
    return weft_corpus_add(corpus, source, target);
}

weft_status weft_task_corpus(const weft_task_stream *stream, int64_t first, int64_t n,
                             weft_corpus *corpus)
{
    return weft_task_visit(stream, first, n, add_to_corpus, corpus);
}
