/* log.h - what a run tells: a log of JSON lines for programs, a progress bar for people.
 *
 * Neither opens files nor knows of standard streams: the caller passes them. */
#ifndef WEFT_TRAIN_LOG_H
#define WEFT_TRAIN_LOG_H

#include "../core/core.h"

#include <stdio.h>

/* ---- JSON lines ------------------------------------------------------------------------------ */

typedef enum weft_log_kind {
    WEFT_LOG_INTEGER,
    WEFT_LOG_REAL,
    WEFT_LOG_TEXT,
    WEFT_LOG_BOOL
} weft_log_kind;

/* A name and its value; made by the functions below. */
typedef struct weft_log_field {
    const char *name;
    weft_log_kind kind;
    union {
        int64_t integer;
        double real;
        const char *text;
        bool boolean;
    };
} weft_log_field;

weft_log_field weft_log_integer(const char *name, int64_t value);
weft_log_field weft_log_real(const char *name, double value); /* 9 digits; NaN, infinity: null */
weft_log_field weft_log_text(const char *name, const char *value); /* UTF-8; NULL: null */
weft_log_field weft_log_bool(const char *name, bool value);

/** Write one line, {"event": "train", "update": 12, "loss": 3.25}, and flush it.
 *  Bytes that are not UTF-8 become U+FFFD. Errors: WEFT_ERR_IO, WEFT_ERR_MEMORY.
 *
 *      weft_log_write(file, "train", 2, (weft_log_field[]){ weft_log_integer("update", 12),
 *                                                           weft_log_real("loss", 3.25) }); */
weft_status weft_log_write(FILE *file, const char *event, int n_fields,
                           const weft_log_field fields[]) WEFT_MUST_CHECK;

/** Make a log ready to go on after `update`: cut it before the first line that is not complete, is
 *  no JSON object, or has an "update" beyond that, and stand at its end. `file` is open for reading
 *  and writing ("r+"). Errors: WEFT_ERR_IO, WEFT_ERR_MEMORY. */
weft_status weft_log_resume(FILE *file, int64_t update) WEFT_MUST_CHECK;

/* ---- progress -------------------------------------------------------------------------------- */

/* Where a run is. */
typedef struct weft_progress_state {
    int64_t update, n_updates; /* n_updates 0: not known */
    double loss;               /* NaN: not known */
    double tokens_per_s;
    double elapsed_s, left_s; /* left_s below 0: not known */
} weft_progress_state;

enum { WEFT_PROGRESS_TEXT = 512 };
/** One line without its end. columns >= 20: a bar fitted into that width, in colour where asked;
 *  columns 0: "update 1200/10000  loss 3.2512  10500 tokens/s  1:02:03 left". Returns buf. */
const char *weft_progress_text(const weft_progress_state *state, int columns, bool colour,
                               char buf[WEFT_PROGRESS_TEXT]);

/* A bar that redraws itself ten times a second on a terminal; elsewhere a plain line every ten
 * seconds. Time is what the states say; there is no clock in here. */
typedef struct weft_progress {
    FILE *out;
    bool terminal, colour;
    bool drawn;    /* a bar stands in the present line */
    double next_s; /* nothing is shown before this time */
} weft_progress;

/** `out`: where to show it, NULL for nowhere. It counts as a terminal where isatty() says so and
 *  TERM is not "dumb"; colours need NO_COLOR to be unset or empty (no-color.org). */
void weft_progress_init(weft_progress *progress, FILE *out);
/** Show the state if it is time. */
void weft_progress_show(weft_progress *progress, const weft_progress_state *state);
/** A line of its own above the bar: validation results, what was saved. Printf format. */
void weft_progress_note(weft_progress *progress, const char *fmt, ...) WEFT_PRINTF(2, 3);
/** Show the last state whatever the time is, and end the bar's line. */
void weft_progress_end(weft_progress *progress, const weft_progress_state *state);

#endif
