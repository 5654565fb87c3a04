/* task_table.h - what the tests of tasks share: a table of strings that counts, and examples. */
#ifndef WEFT_TESTS_TASK_TABLE_H
#define WEFT_TESTS_TASK_TABLE_H

#include "check_main.h"
#include "data/tasks.h"

#include <string.h>

enum { N_PLACES = 1 << 19 };

typedef struct table {
    char **keys, **values;
    int *counts;
    int n;
} table;

static inline table table_new(void)
{
    return (table){ .keys = calloc(N_PLACES, sizeof(char *)),
                    .values = calloc(N_PLACES, sizeof(char *)),
                    .counts = calloc(N_PLACES, sizeof(int)) };
}

static inline void table_free(table *t)
{
    for (int i = 0; i < N_PLACES; i++) {
        free(t->keys[i]);
        free(t->values[i]);
    }
    free(t->keys);
    free(t->values);
    free(t->counts);
}

static inline int table_place(const table *t, const char *key)
{
    uint64_t hash = 1469598103934665603u;
    for (const char *c = key; *c != '\0'; c++) hash = (hash ^ (unsigned char)*c) * 1099511628211u;
    int at = (int)((hash ^ hash >> 32) % N_PLACES);
    while (t->keys[at] != NULL && strcmp(t->keys[at], key) != 0) at = (at + 1) % N_PLACES;
    return at;
}

static inline int table_count(const table *t, const char *key)
{
    return t->counts[table_place(t, key)];
}

/* Count a key; the value it had before (NULL at first), else `value` is kept with it. */
static inline const char *table_add(table *t, const char *key, const char *value)
{
    const int at = table_place(t, key);
    const char *before = t->values[at];
    if (t->keys[at] == NULL) {
        if (++t->n > N_PLACES / 2) ck_abort_msg("a table is full");
        t->keys[at] = strdup(key);
        t->values[at] = strdup(value);
    }
    t->counts[at]++;
    return before;
}

static inline void example(const weft_task *task, uint64_t seed, int64_t index, bool held_out,
                           char source[WEFT_TASK_LINE_BYTES], char target[WEFT_TASK_LINE_BYTES])
{
    const weft_task_stream stream = { .task = task, .seed = seed, .held_out = held_out };
    const weft_status status = weft_task_example(&stream, index, source, WEFT_TASK_LINE_BYTES,
                                                 target, WEFT_TASK_LINE_BYTES);
    if (status != WEFT_OK) ck_abort_msg("%s", weft_message());
}

#endif
