/* tasks.c - the tasks' list, their streams, and the four tasks on strings. */
#include "data/tasks.h"

#include "core/nearest_internal.h"
#include "data/tasks_internal.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

/* ---- strings: a hash of the source decides -------------------------------------------------- */

enum { MAX_SYMBOLS = 20, N_ALWAYS_TRAINING = 2, HELD_OUT_ONE_IN = 10 };

static bool hash_held_out(const char *text, size_t n_bytes)
{
    return XXH3_64bits(text, n_bytes) % HELD_OUT_ONE_IN == 0;
}

static bool string_held_out(const char *text, int n)
{
    return n > N_ALWAYS_TRAINING && hash_held_out(text, (size_t)n);
}

/* 1 to 20 symbols, every length equally often. */
static int draw_string(weft_dice *dice, char first, int n_symbols, char text[MAX_SYMBOLS + 1])
{
    const int n = 1 + weft_roll(dice, MAX_SYMBOLS);
    for (int i = 0; i < n; i++) text[i] = (char)(first + weft_roll(dice, n_symbols));
    text[n] = '\0';
    return n;
}

static bool draw_copy(weft_dice *dice, weft_line *source, weft_line *target)
{
    char text[MAX_SYMBOLS + 1];
    const int n = draw_string(dice, 'a', 26, text);
    weft_line_word(source, text);
    weft_line_word(target, text);
    return string_held_out(text, n);
}

static bool draw_reverse(weft_dice *dice, weft_line *source, weft_line *target)
{
    char text[MAX_SYMBOLS + 1], reversed[MAX_SYMBOLS + 1] = "";
    const int n = draw_string(dice, 'a', 26, text);
    for (int i = 0; i < n; i++) reversed[i] = text[n - 1 - i];
    weft_line_word(source, text);
    weft_line_word(target, reversed);
    return string_held_out(text, n);
}

static int by_symbol(const void *a, const void *b) { return *(const char *)a - *(const char *)b; }

static bool draw_sort(weft_dice *dice, weft_line *source, weft_line *target)
{
    char text[MAX_SYMBOLS + 1], sorted[MAX_SYMBOLS + 1];
    const int n = draw_string(dice, '0', 10, text);
    memcpy(sorted, text, sizeof sorted);
    qsort(sorted, (size_t)n, 1, by_symbol);
    weft_line_word(source, text);
    weft_line_word(target, sorted);
    return string_held_out(text, n);
}

/* A number of 1, 2 or 3 digits, every count of digits equally often; no leading zero. */
static int draw_number(weft_dice *dice)
{
    static const int first[] = { 0, 10, 100 }, end[] = { 10, 100, 1000 };
    const int n_digits = weft_roll(dice, 3);
    return first[n_digits] + weft_roll(dice, end[n_digits] - first[n_digits]);
}

static bool draw_add(weft_dice *dice, weft_line *source, weft_line *target)
{
    const int a = draw_number(dice), b = draw_number(dice);
    char text[16], sum[8], sorted[16];
    snprintf(text, sizeof text, "%d+%d", a, b);
    snprintf(sum, sizeof sum, "%d", a + b);
    weft_line_word(source, text);
    weft_line_word(target, sum);
    if (a < 10 && b < 10) return false;
    const int n = snprintf(sorted, sizeof sorted, "%d+%d", a < b ? a : b, a < b ? b : a);
    return hash_held_out(sorted, (size_t)n);
}

/* ---- the list ------------------------------------------------------------------------------- */

static const weft_task tasks[] = {
    { "copy", "1 to 20 letters, as they are", WEFT_TOKENS_CHARS, 50000, 1000 },
    { "reverse", "1 to 20 letters, from end to beginning", WEFT_TOKENS_CHARS, 50000, 1000 },
    { "sort", "1 to 20 digits, in ascending order", WEFT_TOKENS_CHARS, 50000, 1000 },
    { "add", "the sum of two numbers of up to three digits", WEFT_TOKENS_CHARS, 200000, 1000 },
    { "phrases", "English sentences of a grammar, in German", WEFT_TOKENS_SPACE, 200000, 1000 },
};

/* In the order of tasks[]. Draws one example; true when it is held out. */
static bool (*const draws[])(weft_dice *, weft_line *, weft_line *) = { draw_copy, draw_reverse,
                                                                        draw_sort, draw_add,
                                                                        weft_phrases_draw };

enum { N_TASKS = sizeof tasks / sizeof tasks[0] };

const weft_task *weft_task_list(int64_t *n)
{
    *n = N_TASKS;
    return tasks;
}

const weft_task *weft_task_find(const char *name)
{
    weft_nearest nearest = weft_nearest_init(name);
    for (int i = 0; i < N_TASKS; i++) {
        if (strcmp(tasks[i].name, name) == 0) return &tasks[i];
        weft_nearest_offer(&nearest, tasks[i].name);
    }
    if (nearest.name != NULL) {
        weft_error(WEFT_ERR_INPUT, "unknown task %.64s (did you mean %s?)", name, nearest.name);
    } else {
        weft_error(WEFT_ERR_INPUT,
                   "unknown task %.64s: there are copy, reverse, sort, add and phrases", name);
    }
    return NULL;
}
/* ---- streams -------------------------------------------------------------------------------- */

weft_status weft_task_example(const weft_task *task, uint64_t seed, int64_t index, bool held_out,
                              char *source, size_t source_bytes, char *target, size_t target_bytes)
{
    assert(task >= tasks && task < tasks + N_TASKS);
    if (index < 0) {
        return weft_error(WEFT_ERR_RANGE, "task %s: example %lld: an index is at least 0",
                          task->name, (long long)index);
    }
    const uint64_t site = XXH3_64bits(task->name, strlen(task->name)) ^ (uint64_t)held_out;
    weft_dice dice = { .key = weft_random_key(seed, (uint64_t)index, site) };
    weft_line source_line, target_line;
    do { /* until it lies on the right side of the border */
        source_line = weft_line_on(source, source_bytes);
        target_line = weft_line_on(target, target_bytes);
    } while (draws[task - tasks](&dice, &source_line, &target_line) != held_out);
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

static weft_status visit_distinct(const weft_task *task, uint64_t seed, int64_t first, int64_t end,
                                  hash_set *seen, weft_task_visitor *visit, void *user)
{
    char source[WEFT_TASK_LINE_BYTES], target[WEFT_TASK_LINE_BYTES];
    int64_t index = 0;
    for (int64_t found = 0; found < end; found++) {
        int n_repeats = 0;
        bool is_new = false;
        while (!is_new) {
            const weft_status status = weft_task_example(task, seed, index++, true, source,
                                                         sizeof source, target, sizeof target);
            if (status != WEFT_OK) return status;
            is_new = set_add(seen, XXH3_64bits(source, strlen(source)));
            if (!is_new && ++n_repeats == PATIENCE) {
                return weft_error(WEFT_ERR_RANGE,
                                  "task %s: asked for %lld distinct held-out examples, found %lld "
                                  "and then nothing new in %d draws",
                                  task->name, (long long)end, (long long)found, PATIENCE);
            }
        }
        const weft_status status = found < first ? WEFT_OK : visit(source, target, user);
        if (status != WEFT_OK) return status;
    }
    return WEFT_OK;
}

static weft_status visit_all(const weft_task *task, uint64_t seed, int64_t first, int64_t end,
                             weft_task_visitor *visit, void *user)
{
    char source[WEFT_TASK_LINE_BYTES], target[WEFT_TASK_LINE_BYTES];
    for (int64_t index = first; index < end; index++) {
        weft_status status = weft_task_example(task, seed, index, false, source, sizeof source,
                                               target, sizeof target);
        if (status == WEFT_OK) status = visit(source, target, user);
        if (status != WEFT_OK) return status;
    }
    return WEFT_OK;
}

weft_status weft_task_visit(const weft_task *task, uint64_t seed, int64_t first, int64_t n,
                            bool held_out, weft_task_visitor *visit, void *user)
{
    if (first < 0 || n < 0 || n > INT64_MAX - first) {
        return weft_error(WEFT_ERR_RANGE, "task %s: %lld examples asked for, from the %lld-th",
                          task->name, (long long)n, (long long)first);
    }
    if (!held_out) return visit_all(task, seed, first, first + n, visit, user);
    hash_set seen;
    weft_status status = set_init(&seen, first + n);
    if (status != WEFT_OK) return status;
    status = visit_distinct(task, seed, first, first + n, &seen, visit, user);
    weft_free(seen.places);
    return status;
}

static weft_status add_to_corpus(const char *source, const char *target, void *corpus)
{
    return weft_corpus_add(corpus, source, target);
}

weft_status weft_task_corpus(const weft_task *task, uint64_t seed, int64_t first, int64_t n,
                             bool held_out, weft_corpus *corpus)
{
    return weft_task_visit(task, seed, first, n, held_out, add_to_corpus, corpus);
}
