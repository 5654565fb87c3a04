/* loop.c - a run: update after update until something ends it. */
#include "train/loop_internal.h"
#include "train/report_internal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { PATH_BYTES = 4096 };

/* A run on its way. */
typedef struct loop {
    weft_trainer *t;
    const weft_train_run *run;
    const weft_config *config;
    weft_progress progress;
    double begin_s;       /* what the clock said */
    int64_t begin_update; /* when this process took over */
    double shown_loss, tokens_per_s;
    weft_train_step step;       /* the last */
    int64_t saved;              /* after this update; -1: not yet */
    weft_validation validation; /* the last, and what it translated */
    weft_translations translations;
} loop;

static double elapsed_s(const loop *l) { return weft_seconds() - l->begin_s; }

static weft_status path_in(const loop *l, const char *name, char path[PATH_BYTES])
{
    if (snprintf(path, PATH_BYTES, "%s/%s", l->run->dir, name) < PATH_BYTES) return WEFT_OK;
    return weft_error(WEFT_ERR_INPUT, "%s: the path is too long", l->run->dir);
}

static weft_status write_log(const loop *l, const char *event, int n, const weft_log_field fields[])
{
    return l->run->log ? weft_log_write(l->run->log, event, n, fields) : WEFT_OK;
}
#define LOG(l, event, ...)                                                                  \
    write_log(l, event, sizeof((weft_log_field[]){ __VA_ARGS__ }) / sizeof(weft_log_field), \
              (weft_log_field[]){ __VA_ARGS__ })

/* ---- progress ----------------------------------------------------------------------------------- */

/* Seconds left, by whichever limit comes first; -1: not known. */
static double left_s(const loop *l, double elapsed)
{
    const int64_t n = l->config->train.max_updates, done = l->t->update - l->begin_update;
    double left = -1;
    if (n > 0 && done > 0) left = elapsed / (double)done * (double)(n - l->t->update);
    if (l->config->train.max_minutes > 0) {
        const double by_time = 60 * l->config->train.max_minutes - elapsed;
        if (left < 0 || by_time < left) left = by_time;
    }
    return left < 0 && n > 0 && l->t->update >= n ? 0 : left;
}

static weft_progress_state state_of(const loop *l)
{
    const double elapsed = elapsed_s(l);
    return (weft_progress_state){ .update = l->t->update,
                                  .n_updates = l->config->train.max_updates,
                                  .loss = l->shown_loss,
                                  .tokens_per_s = l->tokens_per_s,
                                  .elapsed_s = elapsed,
                                  .left_s = left_s(l, elapsed) };
}

/* ---- what is done now and then ------------------------------------------------------------------ */

static bool is_due(int64_t update, int64_t every) { return every > 0 && update % every == 0; }

static weft_status log_line(loop *l)
{
    int64_t epoch, batch;
    weft_prefetch_position(l->t->prefetch, &epoch, &batch);
    const double loss = l->t->line_loss / (double)l->t->line_tokens;
    return LOG(
        l, "train", weft_log_integer("update", l->t->update), weft_log_integer("epoch", epoch),
        weft_log_real("loss", loss), weft_log_real("lr", l->step.lr),
        weft_log_real("gradient_norm", l->step.norm), weft_log_integer("tokens", l->t->tokens),
        weft_log_real("tokens_per_s", l->tokens_per_s), weft_log_real("elapsed_s", elapsed_s(l)));
}

static weft_status save_as(loop *l, const char *name)
{
    char path[PATH_BYTES];
    const weft_status status = path_in(l, name, path);
    return status == WEFT_OK ? weft_trainer_save(l->t, path) : status;
}

static weft_status log_validation(loop *l, bool best)
{
    const weft_validation *v = &l->validation;
    const double exact = v->sentences > 0 ? 100.0 * (double)v->n_exact / (double)v->sentences : NAN;
    const double bleu = v->sentences > 0 ? v->bleu : NAN, chrf = v->sentences > 0 ? v->chrf : NAN;
    if (v->sentences > 0) {
        weft_progress_note(&l->progress,
                           "update %lld: validation loss %.4f, exact match %.1f %%, BLEU %.2f%s",
                           (long long)l->t->update, v->loss, exact, bleu, best ? " (best)" : "");
    } else {
        weft_progress_note(&l->progress, "update %lld: validation loss %.4f, perplexity %.3f%s",
                           (long long)l->t->update, v->loss, exp(v->loss), best ? " (best)" : "");
    }
    return LOG(l, "validation", weft_log_integer("update", l->t->update),
               weft_log_real("loss", v->loss), weft_log_real("perplexity", exp(v->loss)),
               weft_log_real("exact", exact), weft_log_real("bleu", bleu),
               weft_log_real("chrf", chrf), weft_log_bool("best", best),
               weft_log_real("elapsed_s", elapsed_s(l)));
}

/* Did the last validation reach train.target_exact? */
static bool has_reached_target(const loop *l)
{
    const double target = l->config->train.target_exact;
    const double n = (double)l->t->n_sentences;
    return target > 0 && n > 0 && 100 * (double)l->t->n_exact >= target * n;
}

/* What train.monitor looks at, with the sign by which more is better. */
static double score_of(const loop *l)
{
    const weft_validation *v = &l->validation;
    switch (l->config->train.monitor) {
    case WEFT_CONFIG_LOSS: return -v->loss;
    case WEFT_CONFIG_BLEU: return v->bleu;
    case WEFT_CONFIG_CHRF: return v->chrf;
    case WEFT_CONFIG_EXACT: break;
    }
    return 100 * (double)v->n_exact / (double)v->sentences;
}

/* Where the last validation stands among the best so far; one that reached the target is the first. */
static int64_t rank_of(const loop *l, double score)
{
    int64_t rank = 0;
    if (has_reached_target(l)) return 0;
    while (rank < l->t->n_best && !(score > l->t->best[rank].score)) rank++;
    return rank;
}

static void best_name(char name[64], int64_t update)
{
    snprintf(name, 64, "best-%lld.h5", (long long)update);
}

/* The files of a validation that is now the rank-th best. */
static weft_status save_best(loop *l, int64_t rank)
{
    char name[64];
    weft_status status = WEFT_OK;
    if (rank == 0) status = save_as(l, "best.h5");
    if (status == WEFT_OK && l->config->train.keep_best > 1) {
        best_name(name, l->t->update);
        status = save_as(l, name);
    }
    return status;
}

/* Put the last validation among the best; the one that falls out loses its file. */
static weft_status remember(loop *l, int64_t rank, double score)
{
    char name[64], path[PATH_BYTES];
    weft_trainer *const t = l->t;
    const int64_t keep = l->config->train.keep_best;
    for (int64_t i = 0; i < t->n_best; i++)
        if (t->best[i].update == t->update) return WEFT_OK; /* the run ended here before */
    if (rank >= keep) return WEFT_OK;
    const int64_t fallen = t->n_best == keep ? t->best[keep - 1].update : -1;
    if (t->n_best < keep) t->n_best++;
    for (int64_t i = t->n_best - 1; i > rank; i--) t->best[i] = t->best[i - 1];
    t->best[rank] = (weft_best){ t->update, score };
    weft_status status = save_best(l, rank);
    if (status != WEFT_OK || fallen < 0 || keep == 1) return status;
    best_name(name, fallen);
    status = path_in(l, name, path);
    if (status == WEFT_OK) (void)remove(path); /* may have been taken away */
    return status;
}

/* Sample translations and the state of the heads, where they are asked for. */
static weft_status show(loop *l)
{
    weft_status status = weft_show_samples(l->run->log, &l->progress, l->t->update,
                                           &l->translations, l->config->train.samples);
    if (status == WEFT_OK && l->config->train.head_stats && l->run->log)
        status = weft_log_heads(l->run->log, l->t);
    return status;
}

/* The page, with train.report. A run is worth more than its page: it goes on without one. */
static void report(loop *l)
{
    if (!l->config->train.report || !l->run->log) return;
    if (weft_report_live(l->t, l->run->dir, &l->translations) != WEFT_OK)
        weft_progress_note(&l->progress, "report.html was not written: %s", weft_message());
}

static weft_status validate(loop *l)
{
    weft_translations_free(&l->translations);
    weft_status status = weft_trainer_validate_each(l->t, l->run->stop, weft_translations_add,
                                                    &l->translations, &l->validation);
    if (status == WEFT_OK) status = l->translations.status;
    if (status != WEFT_OK) return status;
    l->t->validated = l->t->update;
    l->t->n_sentences = l->validation.sentences;
    l->t->n_exact = l->validation.n_exact;
    const double score = score_of(l);
    const int64_t rank = rank_of(l, score);
    l->t->n_worse = rank == 0 ? 0 : l->t->n_worse + 1;
    status = log_validation(l, rank == 0);
    if (status == WEFT_OK) status = show(l);
    if (status == WEFT_OK) status = remember(l, rank, score);
    if (status == WEFT_OK) report(l);
    return status;
}

/* With train.keep > 1: the last so many under names of their own. */
static weft_status keep_numbered(loop *l)
{
    char name[64], path[PATH_BYTES];
    const int64_t keep = l->config->train.keep, every = l->config->train.checkpoint_every;
    if (keep < 2 || l->t->update == 0 || !is_due(l->t->update, every)) return WEFT_OK;
    snprintf(name, sizeof name, "checkpoint-%lld.h5", (long long)l->t->update);
    weft_status status = save_as(l, name);
    if (status != WEFT_OK || l->t->update <= keep * every) return status;
    snprintf(name, sizeof name, "checkpoint-%lld.h5", (long long)(l->t->update - keep * every));
    status = path_in(l, name, path);
    if (status == WEFT_OK) (void)remove(path); /* may have been taken away */
    return status;
}

static weft_status checkpoint(loop *l)
{
    /* The numbered ones first: a run that is killed between goes on from before and does it again. */
    weft_status status = keep_numbered(l);
    if (status == WEFT_OK) status = save_as(l, "checkpoint.h5");
    if (status == WEFT_OK) l->saved = l->t->update;
    return status;
}

/* ---- the loop ------------------------------------------------------------------------------------ */

static bool is_stopped(const loop *l) { return l->run->stop && *l->run->stop != 0; }

static bool has_ended(const loop *l, weft_train_end *end)
{
    const weft_config *config = l->config;
    if (l->t->validated == l->t->update && has_reached_target(l)) {
        *end = WEFT_TRAIN_TARGET;
    } else if (config->train.max_updates > 0 && l->t->update >= config->train.max_updates) {
        *end = WEFT_TRAIN_UPDATES;
    } else if (is_stopped(l)) {
        *end = WEFT_TRAIN_STOPPED;
    } else if (config->train.patience > 0 && l->t->n_worse >= config->train.patience) {
        *end = WEFT_TRAIN_PATIENCE;
    } else if (config->train.max_minutes > 0 && elapsed_s(l) >= 60 * config->train.max_minutes) {
        *end = WEFT_TRAIN_TIME;
    } else {
        return false;
    }
    return true;
}

static void account(loop *l, double seconds)
{
    l->t->line_loss += l->step.loss * (double)l->step.tokens;
    l->t->line_tokens += l->step.tokens;
    /* Means over some twenty updates, so that the eye has something to rest on. */
    const double fresh = l->t->update - l->begin_update > 1 ? 0.05 : 1;
    const double speed = (double)l->step.tokens / seconds;
    l->shown_loss += fresh * (l->step.loss - l->shown_loss);
    l->tokens_per_s += fresh * (speed - l->tokens_per_s);
    if (fresh == 1) l->shown_loss = l->step.loss;
}

/* What is due after an update. Where the validation is stopped the run ends before it, and makes it when
 * it goes on, before it saves. */
static weft_status validate_and_save(loop *l)
{
    const int64_t u = l->t->update;
    const bool validates =
        l->t->valid && l->t->validated != u && is_due(u, l->config->train.validate_every);
    const weft_status status = validates ? validate(l) : WEFT_OK;
    if (status != WEFT_OK) return status == WEFT_ERR_STOPPED ? WEFT_OK : status;
    if (validates) l->saved = -1;
    return l->saved != u && is_due(u, l->config->train.checkpoint_every) ? checkpoint(l) : WEFT_OK;
}

static weft_status update(loop *l)
{
    const double begin_s = weft_seconds();
    weft_status status = weft_trainer_step(l->t, &l->step);
    if (status != WEFT_OK) return status;
    account(l, weft_seconds() - begin_s);
    const weft_progress_state state = state_of(l);
    weft_progress_show(&l->progress, &state);
    if (is_due(l->t->update, l->config->train.log_every)) {
        status = log_line(l);
        l->t->line_loss = 0;
        l->t->line_tokens = 0;
    }
    return status == WEFT_OK ? validate_and_save(l) : status;
}

/* What the filters of length kept out, where they did. */
static void note_left_out(loop *l, bool validation)
{
    char what[WEFT_CONFIG_TEXT + 16] = "training";
    const weft_batches *batches = validation ? l->t->valid_batches : l->t->batches;
    if (!batches) return;
    const weft_batches_limits limits = weft_batches_get_limits(batches);
    const weft_length_limit longest = weft_trainer_longest(l->config, validation);
    if (validation)
        snprintf(what, sizeof what, "validation (%s)", weft_trainer_valid_name(l->config));
    if (limits.too_long > 0)
        weft_progress_note(&l->progress, "%s: %lld items longer than %s = %lld left out", what,
                           (long long)limits.too_long, longest.key, (long long)longest.most);
    if (limits.uneven > 0)
        weft_progress_note(
            &l->progress,
            "%s: %lld items left out of which one side is more than data.max_ratio = "
            "%g times as long as the other",
            what, (long long)limits.uneven, l->config->data.max_ratio);
    if (limits.dropped > 0)
        weft_progress_note(&l->progress, "%s: the first of these is item %lld", what,
                           (long long)limits.first_dropped + 1);
}

/* The source's own vocabulary; NULL where both languages share one. */
static const weft_vocab *own_source(const weft_model *model)
{
    return model->source_vocab == model->target_vocab ? NULL : model->source_vocab;
}

/* "9963", or "9963 of 10000 merges". */
static void describe_vocab(const weft_vocab *vocab, char text[64])
{
    const weft_bpe *bpe = weft_vocab_get_spec(vocab).bpe;
    const int n = snprintf(text, 64, "%lld", (long long)weft_vocab_size(vocab));
    if (bpe) snprintf(text + n, 64 - (size_t)n, " of %lld merges", (long long)weft_bpe_size(bpe));
}

enum { VOCABULARIES = 160 };
static void describe_vocabs(const weft_model *model, char text[VOCABULARIES])
{
    char source[64], target[64];
    describe_vocab(model->target_vocab, target);
    if (!own_source(model)) {
        snprintf(text, VOCABULARIES, "vocabulary %s", target);
        return;
    }
    describe_vocab(model->source_vocab, source);
    snprintf(text, VOCABULARIES, "vocabularies %s and %s", source, target);
}

/* Fewer merges were learnt than asked for. */
static void note_merges(loop *l, const weft_vocab *vocab)
{
    const weft_bpe *bpe = weft_vocab_get_spec(vocab).bpe;
    const int64_t wanted = l->config->data.codes[0] == '\0' ? l->config->data.merges : 0;
    if (bpe && weft_bpe_size(bpe) < wanted)
        weft_progress_note(&l->progress,
                           "data.merges = %lld: the training text gives no more than %lld merges",
                           (long long)wanted, (long long)weft_bpe_size(bpe));
}

/* What is possible, but seldom meant. */
static void note_doubts(loop *l)
{
    const weft_model *model = l->t->model;
    if (l->config->model.kind == WEFT_CONFIG_ENCODER_DECODER && weft_corpus_size(l->t->train) == 1)
        weft_progress_note(&l->progress, "the training text is one pair: is each sentence on a "
                                         "line of its own?");
    if (own_source(model)) note_merges(l, model->source_vocab);
    note_merges(l, model->target_vocab);
}

/* A key that fits the parameters may still make another function of them: it is named. */
static void note_changes(loop *l)
{
    weft_progress_note(&l->progress, "parameters and vocabulary are those of %s", l->t->from);
    for (const char *line = l->t->changes; *line; line += strcspn(line, "\n") + 1)
        weft_progress_note(&l->progress, "model.%.*s", (int)strcspn(line, "\n"), line);
}

/* What the run is about to do, and with what. */
static void note_start(loop *l)
{
    const weft_trainer *t = l->t;
    char vocabularies[VOCABULARIES];
    describe_vocabs(t->model, vocabularies);
    weft_progress_note(&l->progress,
                       "%lld parameters, %s, %lld items for training (%lld left out), "
                       "%lld batches an epoch; texts read in %.2f s",
                       (long long)weft_params_size(t->model->params), vocabularies,
                       (long long)weft_corpus_size(t->train),
                       (long long)weft_batches_get_limits(t->batches).dropped,
                       (long long)t->n_batches, t->read_s);
    if (t->from) note_changes(l);
    note_doubts(l);
    weft_trainer_doubts(t, &l->progress);
    note_left_out(l, false);
    note_left_out(l, true);
}

static weft_status begin(loop *l)
{
    char path[PATH_BYTES];
    const weft_trainer *t = l->t;
    const weft_batches_limits limits = weft_batches_get_limits(t->batches);
    weft_status status = path_in(l, "", path); /* numbered checkpoints' and config.ini's too */
    if (status == WEFT_OK) status = weft_checkpoint_remove_orphans(path);
    if (status != WEFT_OK) return status;
    if (t->other_numerics)
        weft_progress_note(&l->progress, "the checkpoint was made with another kernel of matrix "
                                         "products: the last digits will differ");
    if (t->update > 0) return WEFT_OK;
    note_start(l);
    status = checkpoint(l);
    if (status != WEFT_OK) return status;
    status = LOG(
        l, "start", weft_log_integer("update", 0),
        weft_log_integer("parameters", weft_params_size(t->model->params)),
        weft_log_integer("vocabulary", weft_vocab_size(t->model->target_vocab)),
        weft_log_real("source_vocabulary",
                      own_source(t->model) ? (double)weft_vocab_size(t->model->source_vocab) : NAN),
        weft_log_integer("train_items", weft_corpus_size(t->train)),
        weft_log_integer("left_out", limits.dropped), weft_log_integer("too_long", limits.too_long),
        weft_log_integer("uneven", limits.uneven), weft_log_integer("batches", t->n_batches),
        weft_log_text("from", t->from), weft_log_real("read_s", t->read_s),
        weft_log_real("start_s", weft_seconds() - t->begin_s - t->read_s));
    if (status == WEFT_OK && l->run->log) status = weft_log_surroundings(l->run->log, l->t);
    if (status == WEFT_OK && l->config->train.head_stats && l->run->log)
        status = weft_log_heads(l->run->log, l->t);
    if (status == WEFT_OK) report(l);
    return status;
}

/* The last checkpoint comes before a validation that only the end has brought about: so a run that
 * goes on from it is the same as one that never ended here. */
static weft_status finish(loop *l, weft_train_end *end)
{
    static const char *const reasons[] = { [WEFT_TRAIN_UPDATES] = "max_updates",
                                           [WEFT_TRAIN_TIME] = "max_minutes",
                                           [WEFT_TRAIN_TARGET] = "target_exact",
                                           [WEFT_TRAIN_PATIENCE] = "patience",
                                           [WEFT_TRAIN_STOPPED] = "stopped" };
    weft_status status = WEFT_OK;
    if (l->saved != l->t->update) status = checkpoint(l);
    /* The rest of a line, which is in the checkpoint for a run that goes on. */
    const bool has_rest = l->t->line_tokens > 0 && l->t->update > l->begin_update;
    if (status == WEFT_OK && has_rest && *end != WEFT_TRAIN_STOPPED) status = log_line(l);
    if (status == WEFT_OK && l->t->valid && *end != WEFT_TRAIN_STOPPED &&
        l->t->validated != l->t->update)
        status = validate(l);
    if (status == WEFT_ERR_STOPPED) {
        *end = WEFT_TRAIN_STOPPED;
        status = WEFT_OK;
    }
    if (status != WEFT_OK) return status;
    status = LOG(l, "end", weft_log_integer("update", l->t->update),
                 weft_log_text("reason", reasons[*end]),
                 weft_log_real("waited_s", weft_prefetch_waited_s(l->t->prefetch)),
                 weft_log_real("elapsed_s", elapsed_s(l)));
    if (status == WEFT_OK) report(l);
    return status;
}

weft_status weft_train(weft_trainer *trainer, const weft_train_run *run, weft_train_end *end)
{
    loop l = { .t = trainer,
               .run = run,
               .config = &trainer->model->config,
               .begin_s = weft_seconds(),
               .begin_update = trainer->update,
               .shown_loss = NAN,
               .saved = trainer->update > 0 ? trainer->update : -1 };
    weft_progress_init(&l.progress, run->progress);
    weft_status status = begin(&l);
    if (status == WEFT_OK && trainer->update > 0) status = validate_and_save(&l);
    while (status == WEFT_OK && !has_ended(&l, end)) status = update(&l);
    const weft_progress_state state = state_of(&l);
    if (status == WEFT_OK) status = finish(&l, end);
    weft_progress_end(&l.progress, &state);
    weft_translations_free(&l.translations);
    return status;
}
