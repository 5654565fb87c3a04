/* tasks_internal.h - what the generators of tasks are written with: a line and a die. */
#ifndef WEFT_DATA_TASKS_INTERNAL_H
#define WEFT_DATA_TASKS_INTERNAL_H

#include "tasks.h"

#include <string.h>

/* A line of text in the caller's buffer. What does not fit is dropped and remembered. */
typedef struct weft_line {
    char *text;
    size_t room_bytes, n_bytes; /* n_bytes without the final zero */
    bool full;
} weft_line;

static inline weft_line weft_line_on(char *text, size_t room_bytes)
{
    if (room_bytes > 0) text[0] = '\0';
    return (weft_line){ .text = text, .room_bytes = room_bytes, .full = room_bytes == 0 };
}

/* Append to the last word. */
static inline void weft_line_glue(weft_line *line, const char *part)
{
    const size_t n_bytes = strlen(part);
    if (line->full || n_bytes >= line->room_bytes - line->n_bytes) {
        line->full = true;
        return;
    }
    memcpy(line->text + line->n_bytes, part, n_bytes + 1);
    line->n_bytes += n_bytes;
}

/* Begin a new word (or several, with spaces between). */
static inline void weft_line_word(weft_line *line, const char *word)
{
    if (line->n_bytes > 0) weft_line_glue(line, " ");
    weft_line_glue(line, word);
}

/* A reproducible sequence of random numbers: row 0, 1, 2, ... of a key. */
typedef struct weft_dice {
    uint64_t key, row;
} weft_dice;

/* 0 .. n-1 */
static inline int weft_roll(weft_dice *dice, int n)
{
    return (int)weft_random_below(dice->key, dice->row++, (uint64_t)n);
}

/* true in `percent` of a hundred cases */
static inline bool weft_chance(weft_dice *dice, int percent)
{
    return weft_roll(dice, 100) < percent;
}

/** A length of the stream's range, each equally often. */
int weft_draw_length(weft_dice *dice, const weft_task_stream *stream);
/** A string of such a length over n_symbols characters from `first` on; its length. */
int weft_draw_string(weft_dice *dice, const weft_task_stream *stream, char first, int n_symbols,
                     char text[WEFT_TASK_LONGEST + 1]);
/** Write an example; true when its hash says that it is held out. */
bool weft_put_strings(weft_line *source, const char *text, weft_line *target, const char *answer);

/* Draws one example of a stream whose defaults are filled in; true when it is held out. */
typedef bool weft_task_draw(weft_dice *dice, const weft_task_stream *stream, weft_line *source,
                            weft_line *target);
weft_task_draw weft_phrases_draw; /* phrases.c: held out where it contains a held-out combination */
weft_task_draw weft_draw_parity, weft_draw_first, weft_draw_anbn, weft_draw_dyck, weft_draw_modular,
    weft_draw_induction, weft_draw_selective; /* formal.c */

#endif
