/* report_internal.h - what a page is made of. Not installed. */
#ifndef WEFT_TRAIN_REPORT_INTERNAL_H
#define WEFT_TRAIN_REPORT_INTERNAL_H

#include "train/markup_internal.h"
#include "train/report.h"
#include "train/shown_internal.h"

typedef struct weft_curve {
    int64_t n;
    size_t room;
    double *x, *y;
} weft_curve;

enum { WEFT_REPORT_LAYERS = 24, WEFT_REPORT_TEXT = 192, WEFT_REPORT_FACTS = 24 };

/* A name and its value, as text. */
typedef struct weft_fact {
    char name[32], value[WEFT_REPORT_TEXT];
} weft_fact;

/* log.jsonl as numbers. */
typedef struct weft_run_log {
    weft_curve loss, lr, norm, speed;         /* of training */
    weft_curve valid_loss, bleu, chrf, exact; /* of validation */
    weft_curve lengths[2];                    /* histograms of source and target */
    struct {
        char name[64];
        weft_curve entropy, saturated; /* means of its heads */
    } layers[WEFT_REPORT_LAYERS];
    int n_layers;
    weft_fact start[WEFT_REPORT_FACTS], environment[WEFT_REPORT_FACTS];
    int n_start, n_environment;
    double update, elapsed_s, best_update;
    char end[32]; /* why the run ended; "" while it goes on */
} weft_run_log;

/** Read the lines; one that is no JSON ends it. */
weft_status weft_run_log_read(const char *text, size_t n_bytes, weft_run_log *log) WEFT_MUST_CHECK;
void weft_run_log_free(weft_run_log *log);

/* The pictures of a log, in their order. */
typedef enum weft_report_plot {
    WEFT_REPORT_LOSS,
    WEFT_REPORT_SCORES,
    WEFT_REPORT_LR,
    WEFT_REPORT_NORM,
    WEFT_REPORT_SPEED,
    WEFT_REPORT_LENGTHS,
    WEFT_REPORT_ENTROPY,
    WEFT_REPORT_SATURATED,
    WEFT_REPORT_PLOTS
} weft_report_plot;
const char *weft_report_plot_name(weft_report_plot plot); /* "gradient_norm" */
/** Draw one; false, and nothing is put, where it has no points. */
bool weft_report_draw(weft_markup *m, const weft_run_log *log, weft_report_plot plot, bool alone);

/** The page of a run. Without a model or translations, `why` says why there are none. */
typedef struct weft_report_page {
    const char *title, *config, *why;
    const weft_run_log *log;
    const weft_model *model;
    weft_tape *tape; /* made with WEFT_NO_GRAD */
    const weft_translations *translations;
    bool live; /* the page asks the browser to load it again now and then */
} weft_report_page;
weft_status weft_report_html(const weft_report_page *page, weft_markup *m) WEFT_MUST_CHECK;

/** Replace DIR/report.html while a run goes on, after a validation with these translations. */
weft_status weft_report_live(weft_trainer *trainer, const char *dir,
                             const weft_translations *translations) WEFT_MUST_CHECK;

/** Lines "environment" and "lengths" of the log, at the start of a run. */
weft_status weft_log_surroundings(FILE *log, const weft_trainer *trainer) WEFT_MUST_CHECK;

#endif
