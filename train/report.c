/* report.c - the page of a run. */
#include "train/report_internal.h"

#include "data/file_internal.h"
#include "train/maps_internal.h"
#include "train/metrics.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_BYTES = 4096, N_SHOWN = 3 };

/* ---- parts of the page -------------------------------------------------------------------------- */

static const char style[] =
    "body{background:var(--paper);color:var(--ink);font:15px/1.45 system-ui,sans-serif;"
    "max-width:1360px;margin:0 auto;padding:24px 20px 60px}\n"
    "h1{font-size:26px;margin:0}h2{font-size:18px;margin:36px 0 10px}h3{font-size:15px;"
    "margin:22px 0 8px}\n"
    ".soft{color:var(--soft)}.plots{display:flex;flex-wrap:wrap;gap:14px}\n"
    "svg{max-width:100%;height:auto}.plots svg{flex:1 1 480px;max-width:660px}\n"
    ".map{overflow-x:auto;margin-top:8px}.map svg{max-width:none}\n"
    "table{border-collapse:collapse}td{padding:3px 18px 3px 0;vertical-align:top}"
    "td:first-child{color:var(--soft);white-space:nowrap}\n"
    ".said{border-left:3px solid var(--line);padding-left:14px;margin:0 0 22px}\n"
    "pre{background:var(--shade);padding:14px;overflow-x:auto;font-size:13px;line-height:1.4}\n"
    "summary{cursor:pointer;color:var(--soft)}\n"
    ":root{--shade:#f5f6f8}@media screen and (prefers-color-scheme:dark){:root{--shade:#202329}}\n"
    "@media print{body{max-width:none;padding:0;font-size:10pt}h2,h3{break-after:avoid}"
    ".said,svg,tr{break-inside:avoid}.plots svg{flex:0 0 48%}.map{overflow:visible}"
    ".map svg{max-width:100%}}\n";

static void put_text_in(weft_markup *m, const char *element, const char *text)
{
    weft_markup_put(m, "<%s>", element);
    weft_markup_text(m, text);
    weft_markup_put(m, "</%s>\n", element);
}

static void put_row(weft_markup *m, const char *name, const char *value)
{
    weft_markup_put(m, "<tr><td>");
    for (const char *p = name; *p; p++) weft_markup_put(m, "%c", *p == '_' ? ' ' : *p);
    weft_markup_put(m, "</td><td>");
    weft_markup_text(m, value);
    weft_markup_put(m, "</td></tr>\n");
}

static void put_facts(weft_markup *m, const char *title, const weft_fact facts[], int n)
{
    if (n == 0) return;
    put_text_in(m, "h2", title);
    weft_markup_put(m, "<table>\n");
    for (int i = 0; i < n; i++) put_row(m, facts[i].name, facts[i].value);
    weft_markup_put(m, "</table>\n");
}

static double last(const weft_curve *c) { return c->n > 0 ? c->y[c->n - 1] : (double)NAN; }

static void put_number(weft_markup *m, const char *what, double value, const char *unit)
{
    if (isfinite(value)) weft_markup_put(m, " \xC2\xB7 %s %.4g%s", what, value, unit);
}

static void put_head(weft_markup *m, const weft_report_page *page)
{
    const weft_run_log *log = page->log;
    weft_markup_put(m, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
                       "<meta name=\"viewport\" content=\"width=device-width\">\n");
    if (page->live) weft_markup_put(m, "<meta http-equiv=\"refresh\" content=\"30\">\n");
    put_text_in(m, "title", page->title);
    weft_markup_put(m, "<style>\n");
    weft_svg_style(m);
    weft_markup_put(m, "%s</style></head>\n<body>\n", style);
    put_text_in(m, "h1", page->title);
    weft_markup_put(m, "<p class=\"soft\">update %.0f", log->update);
    put_number(m, "training loss", last(&log->loss), "");
    put_number(m, "validation loss", last(&log->valid_loss), "");
    put_number(m, "BLEU", last(&log->bleu), "");
    put_number(m, "chrF2", last(&log->chrf), "");
    put_number(m, "exact match", last(&log->exact), " %");
    if (log->best_update >= 0) weft_markup_put(m, " \xC2\xB7 best at %.0f", log->best_update);
    put_number(m, "after", log->elapsed_s / 60, " minutes");
    weft_markup_put(m, " \xC2\xB7 ");
    if (log->end[0]) weft_markup_put(m, "ended by ");
    weft_markup_text(m, log->end[0] ? log->end : page->live ? "running" : "not ended");
    weft_markup_put(m, "</p>\n");
}

static void put_plots(weft_markup *m, const weft_run_log *log)
{
    weft_markup_put(m, "<h2>Curves</h2>\n<div class=\"plots\">\n");
    for (int plot = 0; plot < WEFT_REPORT_PLOTS; plot++)
        (void)weft_report_draw(m, log, (weft_report_plot)plot, false);
    weft_markup_put(m, "</div>\n");
}

/* ---- translations ------------------------------------------------------------------------------- */

typedef struct ranked {
    double score;
    int64_t i;
} ranked;

static int by_score(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    if (x->score != y->score) return x->score > y->score ? -1 : 1;
    return (x->i > y->i) - (x->i < y->i);
}

static weft_status score(const weft_translation *t, double *score)
{
    const weft_metric_spec spec = { .kind = WEFT_METRIC_CHRF, .n_refs = 1 };
    const char *const reference = t->reference;
    weft_metric *metric = NULL;
    weft_status status = weft_metric_new(&spec, &metric);
    if (status == WEFT_OK) status = weft_metric_add(metric, t->hypothesis, &reference);
    if (status == WEFT_OK) *score = weft_metric_score(metric);
    weft_metric_free(metric);
    return status;
}

static weft_status rank(const weft_translations *t, ranked *order)
{
    for (int64_t i = 0; i < t->n; i++) {
        order[i].i = i;
        const weft_status status = score(&t->at[i], &order[i].score);
        if (status != WEFT_OK) return status;
    }
    qsort(order, (size_t)t->n, sizeof *order, by_score);
    return WEFT_OK;
}

/* Cross attention of the last layer, in a fold of the page. Attention that has no weights has no map. */
static weft_status put_map(weft_markup *m, const weft_report_page *page, const weft_translation *t,
                           bool open)
{
    int32_t *source = NULL, *said = NULL;
    int64_t n_source, n_said;
    weft_maps maps = { 0 };
    const weft_map_choice choice = { page->model->transformer.config.decoder_layers - 1, -1 };
    weft_status status =
        weft_vocab_encode(page->model->source_vocab, t->source, &source, &n_source);
    if (status == WEFT_OK)
        status = weft_vocab_encode(page->model->target_vocab, t->hypothesis, &said, &n_said);
    if (status == WEFT_OK) {
        status = weft_maps_make(&page->model->transformer, page->tape, source, n_source, said,
                                n_said, &maps);
        if (status == WEFT_OK) {
            weft_markup_put(m, "<details%s><summary>attention</summary><div class=\"map\">\n",
                            open ? " open" : "");
            status = weft_maps_draw(m, &maps, 1, page->model, &choice, WEFT_MAP_CROSS, false);
            weft_markup_put(m, "</div></details>\n");
        } else if (status == WEFT_ERR_STATE) {
            status = WEFT_OK;
        }
    }
    weft_maps_free(&maps);
    weft_free(source);
    weft_free(said);
    return status;
}

static weft_status put_translation(weft_markup *m, const weft_report_page *page, const ranked *of,
                                   bool open)
{
    char number[64];
    const weft_translation *t = &page->translations->at[of->i];
    snprintf(number, sizeof number, "chrF2 %.1f, sentence %lld", of->score, (long long)of->i + 1);
    weft_markup_put(m, "<div class=\"said\"><table>\n");
    put_row(m, "source", t->source);
    put_row(m, "reference", t->reference);
    put_row(m, "hypothesis", t->hypothesis);
    put_row(m, "score", number);
    weft_markup_put(m, "</table>\n");
    const weft_status status = put_map(m, page, t, open);
    weft_markup_put(m, "</div>\n");
    return status;
}

static weft_status put_some(weft_markup *m, const weft_report_page *page, const char *title,
                            const ranked *order, int64_t n)
{
    weft_status status = WEFT_OK;
    if (n > 0) put_text_in(m, "h3", title);
    for (int64_t i = 0; i < n && status == WEFT_OK; i++)
        status = put_translation(m, page, &order[i], i == 0);
    return status;
}

/* The best half and the worst half, at most N_SHOWN of each. */
static weft_status put_translations(weft_markup *m, const weft_report_page *page)
{
    const weft_translations *t = page->translations;
    if (!t || t->n == 0) {
        if (page->why) put_text_in(m, "h2", "Translations");
        if (page->why) put_text_in(m, "p", page->why);
        return WEFT_OK;
    }
    ranked *const order = weft_alloc((size_t)t->n, sizeof *order);
    if (!order) return WEFT_ERR_MEMORY;
    weft_status status = rank(t, order);
    const int64_t n_best = (t->n + 1) / 2 < N_SHOWN ? (t->n + 1) / 2 : N_SHOWN,
                  n_worst = t->n - n_best < N_SHOWN ? t->n - n_best : N_SHOWN;
    put_text_in(m, "h2", "Translations of the validation text");
    if (status == WEFT_OK) status = put_some(m, page, "Best", order, n_best);
    if (status == WEFT_OK) {
        for (int64_t i = 0; i < n_worst / 2; i++) { /* the worst first */
            ranked *const a = &order[t->n - n_worst + i], *const b = &order[t->n - 1 - i],
                          kept = *a;
            *a = *b;
            *b = kept;
        }
        status = put_some(m, page, "Worst", order + t->n - n_worst, n_worst);
    }
    weft_free(order);
    return status;
}

weft_status weft_report_html(const weft_report_page *page, weft_markup *m)
{
    const weft_run_log *log = page->log;
    put_head(m, page);
    put_plots(m, log);
    const weft_status status = put_translations(m, page);
    if (status != WEFT_OK) return status;
    put_facts(m, "At the start", log->start, log->n_start);
    put_facts(m, "Environment", log->environment, log->n_environment);
    weft_markup_put(m, "<h2>Configuration</h2>\n<details><summary>every key</summary>\n");
    put_text_in(m, "pre", page->config);
    weft_markup_put(m, "</details>\n</body></html>\n");
    return m->status;
}

/* ---- from a folder ------------------------------------------------------------------------------ */

static weft_status path_in(const char *dir, const char *name, char path[PATH_BYTES])
{
    if (snprintf(path, PATH_BYTES, "%s/%s", dir, name) < PATH_BYTES) return WEFT_OK;
    return weft_error(WEFT_ERR_INPUT, "%s: the path is too long", dir);
}

static weft_status read_log(const char *dir, weft_run_log *log)
{
    char path[PATH_BYTES];
    uint8_t *bytes = NULL;
    size_t n_bytes = 0;
    weft_status status = path_in(dir, "log.jsonl", path);
    if (status == WEFT_OK) status = weft_file_read(path, &bytes, &n_bytes);
    if (status == WEFT_OK) status = weft_run_log_read((const char *)bytes, n_bytes, log);
    weft_free(bytes);
    return status;
}

weft_status weft_report_pictures(const char *dir, weft_picture_visitor *visit, void *user)
{
    weft_run_log log = { .update = 0 };
    weft_status status = read_log(dir, &log);
    for (int plot = 0; plot < WEFT_REPORT_PLOTS && status == WEFT_OK; plot++) {
        weft_markup m = { .status = WEFT_OK };
        if (weft_report_draw(&m, &log, (weft_report_plot)plot, true))
            status = m.status != WEFT_OK ? m.status
                                         : visit(weft_report_plot_name((weft_report_plot)plot),
                                                 m.buffer.text, user);
        weft_markup_release(&m);
    }
    weft_run_log_free(&log);
    return status;
}

/* What the page is made of. */
typedef struct report {
    weft_run_log log;
    weft_config config;
    char *config_text, why[1200];
    weft_model *model;
    weft_tape *tape;
    weft_corpus *corpus;
    weft_translations translations;
} report;

/* Curves need neither text nor model: the page says why there are no translations. */
static weft_status without(report *r, const char *key)
{
    snprintf(r->why, sizeof r->why, "There are none: %s%s", key, weft_message());
    return WEFT_OK;
}

/* The sentences that a validation translates. */
static weft_status translate(report *r, const char *dir)
{
    weft_corpus *all = NULL;
    weft_validation result = { 0 };
    if (r->config.model.kind == WEFT_CONFIG_DECODER_ONLY) return WEFT_OK;
    if (weft_dataset_read(&r->config, WEFT_PART_VALID, &all) != WEFT_OK)
        return without(r, "data.valid: ");
    if (!all) return WEFT_OK; /* the run has no validation text */
    weft_status status = weft_model_load(dir, &r->model);
    if (status == WEFT_ERR_INPUT) {
        weft_corpus_free(all);
        return without(r, "");
    }
    if (status == WEFT_OK)
        status = weft_corpus_encode(all, r->model->source_vocab, r->model->target_vocab);
    if (status == WEFT_OK) status = weft_trainer_sample(r->model, all, &r->corpus);
    if (status == WEFT_OK && (r->tape = weft_tape_new(WEFT_NO_GRAD)) == NULL)
        status = WEFT_ERR_MEMORY;
    if (status == WEFT_OK)
        status = weft_evaluate(r->model, r->tape, r->corpus, NULL, weft_translations_add,
                               &r->translations, &result);
    if (status == WEFT_OK) status = r->translations.status;
    weft_corpus_free(all);
    return status;
}

static weft_status gather(report *r, const char *dir)
{
    char path[PATH_BYTES];
    weft_config_init(&r->config);
    weft_status status = path_in(dir, "config.ini", path);
    if (status == WEFT_OK) status = weft_config_read(&r->config, path);
    if (status == WEFT_OK) status = read_log(dir, &r->log);
    if (status != WEFT_OK) return status;
    r->config_text = weft_config_text(&r->config, true);
    return r->config_text ? translate(r, dir) : WEFT_ERR_MEMORY;
}

static void report_free(report *r)
{
    weft_run_log_free(&r->log);
    weft_translations_free(&r->translations);
    weft_corpus_free(r->corpus);
    weft_tape_free(r->tape);
    weft_model_free(r->model);
    weft_free(r->config_text);
    weft_free(r);
}

weft_status weft_report_make(const char *dir, char **html)
{
    weft_markup m = { .status = WEFT_OK };
    report *const r = weft_alloc(1, sizeof *r);
    *html = NULL;
    if (!r) return WEFT_ERR_MEMORY;
    weft_status status = gather(r, dir);
    if (status == WEFT_OK)
        status = weft_report_html(&(weft_report_page){ .title = dir,
                                                       .config = r->config_text,
                                                       .why = r->why[0] ? r->why : NULL,
                                                       .log = &r->log,
                                                       .model = r->model,
                                                       .tape = r->tape,
                                                       .translations = &r->translations },
                                  &m);
    report_free(r);
    if (status == WEFT_OK)
        *html = m.buffer.text;
    else
        weft_markup_release(&m);
    return status;
}

weft_status weft_report_live(weft_trainer *t, const char *dir,
                             const weft_translations *translations)
{
    char path[PATH_BYTES];
    weft_markup m = { .status = WEFT_OK };
    weft_run_log log = { .update = 0 };
    char *const config = weft_config_text(&t->model->config, true);
    if (!config) return WEFT_ERR_MEMORY;
    weft_status status = read_log(dir, &log);
    weft_trainer_exchange(t); /* the average is what was validated */
    if (status == WEFT_OK)
        status = weft_report_html(&(weft_report_page){ .title = dir,
                                                       .config = config,
                                                       .log = &log,
                                                       .model = t->model,
                                                       .tape = t->valid_tape,
                                                       .translations = translations,
                                                       .live = !log.end[0] },
                                  &m);
    weft_trainer_exchange(t);
    if (status == WEFT_OK) status = path_in(dir, "report.html", path);
    if (status == WEFT_OK)
        status = weft_file_replace(path, m.buffer.text, m.buffer.n_bytes, NULL, NULL);
    weft_markup_release(&m);
    weft_run_log_free(&log);
    weft_free(config);
    return status;
}
