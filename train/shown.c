/* shown.c - translations and attention heads in the log of a validation. */
#include "train/shown_internal.h"

#include "data/grow_internal.h"
#include "train/heads.h"

/* ---- translations ------------------------------------------------------------------------------- */

void weft_translations_add(const char *source, const char *reference, const char *hypothesis,
                           void *user)
{
    weft_translations *const t = user;
    if (t->status != WEFT_OK) return;
    weft_translation *const at = weft_grow(t->at, &t->room, (size_t)t->n + 1, sizeof *at);
    if (at) t->at = at;
    char *const wanted = at ? weft_strdup(reference) : NULL;
    char *const said = wanted ? weft_strdup(hypothesis) : NULL;
    if (!said) {
        weft_free(wanted);
        t->status = WEFT_ERR_MEMORY;
        return;
    }
    t->at[t->n++] = (weft_translation){ source, wanted, said };
}

void weft_translations_free(weft_translations *t)
{
    for (int64_t i = 0; i < t->n; i++) {
        weft_free(t->at[i].reference);
        weft_free(t->at[i].hypothesis);
    }
    weft_free(t->at);
    *t = (weft_translations){ 0 };
}

weft_status weft_show_samples(FILE *log, weft_progress *progress, int64_t update,
                              const weft_translations *translations, int64_t n)
{
    weft_status status = WEFT_OK;
    if (n > translations->n) n = translations->n;
    for (int64_t i = 0; i < n && status == WEFT_OK; i++) {
        const int64_t k = i * translations->n / n;
        const weft_translation *t = &translations->at[k];
        weft_progress_note(progress, "  source      %s\n  reference   %s\n  hypothesis  %s",
                           t->source, t->reference, t->hypothesis);
        const weft_log_field fields[] = { weft_log_integer("update", update),
                                          weft_log_integer("sentence", k + 1),
                                          weft_log_text("source", t->source),
                                          weft_log_text("reference", t->reference),
                                          weft_log_text("hypothesis", t->hypothesis) };
        if (log) status = weft_log_write(log, "sample", sizeof fields / sizeof *fields, fields);
    }
    return status;
}

/* ---- heads -------------------------------------------------------------------------------------- */

typedef struct head_log {
    FILE *log;
    int64_t update;
    weft_status status;
} head_log;

static void log_head(const char *layer, int head, const weft_head_stats *stats, void *user)
{
    head_log *const to = user;
    if (to->status != WEFT_OK) return;
    const weft_log_field fields[] = { weft_log_integer("update", to->update),
                                      weft_log_text("layer", layer),
                                      weft_log_integer("head", head),
                                      weft_log_real("entropy", stats->entropy),
                                      weft_log_real("largest", stats->largest),
                                      weft_log_real("saturated", stats->saturated),
                                      weft_log_real("gradient_q", stats->gradient[0]),
                                      weft_log_real("gradient_k", stats->gradient[1]),
                                      weft_log_real("gradient_v", stats->gradient[2]) };
    to->status = weft_log_write(to->log, "head", sizeof fields / sizeof *fields, fields);
}

weft_status weft_log_heads(FILE *log, weft_trainer *t)
{
    weft_batch batch;
    head_log to = { .log = log, .update = t->update };
    weft_status status = weft_batches_get(t->valid_batches, 0, &batch);
    if (status == WEFT_OK)
        status = weft_heads_measure(t->model, t->valid_tape, &batch, (uint64_t)t->update + 1,
                                    log_head, &to);
    return status == WEFT_OK ? to.status : status;
}
