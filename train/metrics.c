/* metrics.c - statistics of BLEU, chrF and exact match, and their scores.
 *
 * A text becomes a row of integer symbols: words numbered within the segment for BLEU, code points
 * for chrF. Its n-grams of every order are the beginnings of its suffixes, so one sorted list of
 * suffixes (cut at the highest order) holds the n-grams of each order in ascending order, equal
 * ones side by side; shorter suffixes come before the longer ones that they begin. Matches are then
 * counted by walking the lists of hypothesis and references together. */
#include "train/metrics.h"
#include "core/checked.h"
#include "train/metrics_internal.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_ORDER = WEFT_CHRF_ORDER, WORD_ORDERS = WEFT_METRIC_ORDERS - WEFT_CHRF_ORDER };

/* A suffix, cut at MAX_ORDER symbols. */
typedef struct gram {
    int32_t symbol[MAX_ORDER];
    int32_t length;
} gram;

typedef struct word {
    const char *text;
    size_t n_bytes;
    size_t place; /* in the row of all the segment's words */
} word;

struct weft_metric {
    weft_metric_spec spec;
    weft_statistics sum;
    weft_statistics *each; /* of each segment, with spec.keep_segments */
    size_t each_room;

    /* One segment: text 0 is the hypothesis, texts 1 .. n_refs are the references. */
    weft_text_buffer *text;
    weft_text_buffer scratch;
    int32_t *symbols;
    gram *grams;
    word *words;
    size_t symbols_room, grams_room, words_room;
    size_t *begin;                 /* [n_refs + 2]: where each text's symbols and grams begin */
    size_t *at;                    /* [n_refs + 2]: where the walk is in each list */
    weft_statistics *by_reference; /* [n_refs], chrF */
};

static weft_status check(const weft_metric_spec *spec)
{
    if (spec->n_refs < 1)
        return weft_error(WEFT_ERR_RANGE, "metric: n_refs is %d, at least 1 reference is needed",
                          spec->n_refs);
    if (!(spec->smooth_value >= 0 && isfinite(spec->smooth_value)))
        return weft_error(WEFT_ERR_RANGE, "metric: smooth_value %g is not in [0, inf)",
                          spec->smooth_value);
    return WEFT_OK;
}

weft_status weft_metric_new(const weft_metric_spec *spec, weft_metric **metric)
{
    *metric = NULL;
    const weft_status status = check(spec);
    if (status != WEFT_OK) return status;
    weft_metric *made = weft_alloc(1, sizeof *made);
    if (made == NULL) return WEFT_ERR_MEMORY;
    const size_t n_refs = (size_t)spec->n_refs;
    made->spec = *spec;
    if (spec->smooth_value == 0)
        made->spec.smooth_value = spec->smoothing == WEFT_SMOOTH_FLOOR ? 0.1 : 1;
    made->text = weft_alloc(n_refs + 1, sizeof *made->text);
    made->begin = weft_alloc(n_refs + 2, sizeof *made->begin);
    made->at = weft_alloc(n_refs + 2, sizeof *made->at);
    made->by_reference = weft_alloc(n_refs, sizeof *made->by_reference);
    if (!made->text || !made->begin || !made->at || !made->by_reference) {
        weft_metric_free(made);
        return WEFT_ERR_MEMORY;
    }
    *metric = made;
    return WEFT_OK;
}

void weft_metric_free(weft_metric *metric)
{
    if (metric == NULL) return;
    for (int i = 0; metric->text != NULL && i <= metric->spec.n_refs; i++) {
        weft_text_release(&metric->text[i]);
    }
    weft_text_release(&metric->scratch);
    weft_free(metric->each);
    weft_free(metric->text);
    weft_free(metric->symbols);
    weft_free(metric->grams);
    weft_free(metric->words);
    weft_free(metric->begin);
    weft_free(metric->at);
    weft_free(metric->by_reference);
    weft_free(metric);
}

/* Room for n elements in *block, a little more than asked so that growth is rare. */
static weft_status reserve(void **block, size_t *room, size_t n, size_t each_bytes)
{
    if (n <= *room) return WEFT_OK;
    size_t more;
    if (!weft_add_bytes(n, n / 2, &more)) more = n;
    void *grown = weft_realloc(*block, more, each_bytes);
    if (grown == NULL) return WEFT_ERR_MEMORY;
    *block = grown;
    *room = more;
    return WEFT_OK;
}

/* ---- from texts to symbols ------------------------------------------------------------------- */

/* Lower case and tokeniser, as the metric wants them. */
static weft_status prepare(weft_metric *metric, const char *text, weft_text_buffer *out)
{
    weft_text_buffer *scratch = &metric->scratch;
    if (metric->spec.kind != WEFT_METRIC_BLEU) {
        return metric->spec.lowercase ? weft_text_lower(text, out) : weft_text_copy(text, out);
    }
    if (!metric->spec.lowercase) return weft_text_tokenise_13a(text, scratch, out);
    weft_text_buffer lower = { 0 };
    weft_status status = weft_text_lower(text, &lower);
    if (status == WEFT_OK) status = weft_text_tokenise_13a(lower.text, scratch, out);
    weft_text_release(&lower);
    return status;
}

static weft_status prepare_all(weft_metric *metric, const char *hypothesis,
                               const char *const references[])
{
    weft_status status = prepare(metric, hypothesis, &metric->text[0]);
    if (status == WEFT_ERR_INPUT) return weft_error_prefix(status, "hypothesis: ");
    for (int i = 0; i < metric->spec.n_refs && status == WEFT_OK; i++) {
        status = prepare(metric, references[i], &metric->text[i + 1]);
        if (status == WEFT_ERR_INPUT) return weft_error_prefix(status, "reference %d: ", i + 1);
    }
    return status;
}

/* Code points of every text, without white space. */
static weft_status points_to_symbols(weft_metric *metric)
{
    size_t n = 0, n_bytes;
    for (int i = 0; i <= metric->spec.n_refs; i++) {
        size_t most;
        if (!weft_add_bytes(n, metric->text[i].n_bytes, &most)) {
            return weft_error(WEFT_ERR_OVERFLOW, "metric: a segment is too long");
        }
        const weft_status status = reserve((void **)&metric->symbols, &metric->symbols_room, most,
                                           sizeof *metric->symbols);
        if (status != WEFT_OK) return status;
        metric->begin[i] = n;
        const char *text = metric->text[i].text;
        for (const char *p = text; *p != '\0'; p += n_bytes) {
            const int32_t point = weft_text_point(p, &n_bytes);
            if (!weft_text_is_space(point)) metric->symbols[n++] = point;
        }
    }
    metric->begin[metric->spec.n_refs + 1] = n;
    return WEFT_OK;
}

static int compare_words(const void *a, const void *b)
{
    const word *x = a, *y = b;
    const size_t n_bytes = x->n_bytes < y->n_bytes ? x->n_bytes : y->n_bytes;
    const int order = memcmp(x->text, y->text, n_bytes);
    if (order != 0) return order;
    return (x->n_bytes > y->n_bytes) - (x->n_bytes < y->n_bytes);
}

/* Words of every text, numbered so that equal words of the segment have equal numbers. */
static weft_status words_to_symbols(weft_metric *metric)
{
    size_t n = 0;
    for (int i = 0; i <= metric->spec.n_refs; i++) {
        metric->begin[i] = n;
        for (const char *p = metric->text[i].text; *p != '\0';) {
            const size_t n_bytes = strcspn(p, " ");
            const weft_status status =
                reserve((void **)&metric->words, &metric->words_room, n + 1, sizeof *metric->words);
            if (status != WEFT_OK) return status;
            metric->words[n] = (word){ .text = p, .n_bytes = n_bytes, .place = n };
            n++;
            p += n_bytes;
            if (*p == ' ') p++;
        }
    }
    metric->begin[metric->spec.n_refs + 1] = n;
    const weft_status status =
        reserve((void **)&metric->symbols, &metric->symbols_room, n, sizeof *metric->symbols);
    if (status != WEFT_OK) return status;
    if (n > INT32_MAX) return weft_error(WEFT_ERR_OVERFLOW, "metric: a segment is too long");
    if (n > 0) qsort(metric->words, n, sizeof *metric->words, compare_words);
    int32_t number = 0;
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && compare_words(&metric->words[i - 1], &metric->words[i]) != 0) number++;
        metric->symbols[metric->words[i].place] = number;
    }
    return WEFT_OK;
}

/* ---- from symbols to counts ------------------------------------------------------------------ */

/* Compare the first `order` symbols; a gram that ends earlier comes first. */
static int compare_up_to(const gram *a, const gram *b, int order)
{
    for (int i = 0; i < order; i++) {
        const bool a_ended = i >= a->length, b_ended = i >= b->length;
        if (a_ended || b_ended) return (int)b_ended - (int)a_ended;
        if (a->symbol[i] != b->symbol[i]) return a->symbol[i] < b->symbol[i] ? -1 : 1;
    }
    return 0;
}

static int compare_grams(const void *a, const void *b) { return compare_up_to(a, b, MAX_ORDER); }

static weft_status sort_grams(weft_metric *metric)
{
    const size_t n = metric->begin[metric->spec.n_refs + 1];
    const weft_status status =
        reserve((void **)&metric->grams, &metric->grams_room, n, sizeof *metric->grams);
    if (status != WEFT_OK) return status;
    for (int i = 0; i <= metric->spec.n_refs; i++) {
        const size_t begin = metric->begin[i], end = metric->begin[i + 1];
        for (size_t k = begin; k < end; k++) {
            gram *g = &metric->grams[k];
            g->length = end - k < MAX_ORDER ? (int32_t)(end - k) : MAX_ORDER;
            memcpy(g->symbol, metric->symbols + k, (size_t)g->length * sizeof *g->symbol);
        }
        if (end - begin > 1) {
            qsort(metric->grams + begin, end - begin, sizeof *metric->grams, compare_grams);
        }
    }
    return WEFT_OK;
}

/* How often `wanted` stands among the n-grams of text i, walking on from metric->at[i]. */
static int64_t count_in(weft_metric *metric, int i, const gram *wanted, int order)
{
    const size_t end = metric->begin[i + 1];
    size_t k = metric->at[i];
    while (k < end && compare_up_to(&metric->grams[k], wanted, order) < 0) k++;
    const size_t first = k;
    while (k < end && compare_up_to(&metric->grams[k], wanted, order) == 0) k++;
    metric->at[i] = k;
    return (int64_t)(k - first);
}

static int64_t n_grams(const weft_metric *metric, int i, int order)
{
    const int64_t n = (int64_t)(metric->begin[i + 1] - metric->begin[i]) - order + 1;
    return n > 0 ? n : 0;
}

/* n-grams of the hypothesis that stand in the references first .. last as well: each counts at most
 * as often as in the reference that has it most often. */
static int64_t count_matches(weft_metric *metric, int first, int last, int order)
{
    int64_t n_matches = 0;
    memcpy(metric->at, metric->begin, ((size_t)metric->spec.n_refs + 2) * sizeof *metric->at);
    while (metric->at[0] < metric->begin[1]) {
        const gram *wanted = &metric->grams[metric->at[0]];
        if (wanted->length < order) {
            metric->at[0]++;
            continue;
        }
        const int64_t n_hypothesis = count_in(metric, 0, wanted, order);
        int64_t n_most = 0;
        for (int i = first; i <= last; i++) {
            const int64_t n_reference = count_in(metric, i, wanted, order);
            if (n_reference > n_most) n_most = n_reference;
        }
        n_matches += n_hypothesis < n_most ? n_hypothesis : n_most;
    }
    return n_matches;
}

/* ---- BLEU ------------------------------------------------------------------------------------ */

static weft_status count_bleu(weft_metric *metric, weft_statistics *s)
{
    weft_status status = words_to_symbols(metric);
    if (status == WEFT_OK) status = sort_grams(metric);
    if (status != WEFT_OK) return status;
    for (int order = 1; order <= WEFT_BLEU_ORDER; order++) {
        s->order[order - 1].hypothesis = n_grams(metric, 0, order);
        s->order[order - 1].matches = count_matches(metric, 1, metric->spec.n_refs, order);
    }
    const int64_t n_words = n_grams(metric, 0, 1);
    int64_t closest = n_grams(metric, 1, 1); /* a tie goes to the shorter reference */
    for (int i = 2; i <= metric->spec.n_refs; i++) {
        const int64_t n = n_grams(metric, i, 1);
        const int64_t distance = llabs(n - n_words), best = llabs(closest - n_words);
        if (distance < best || (distance == best && n < closest)) closest = n;
    }
    s->hypothesis_words = n_words;
    s->reference_words = closest;
    return WEFT_OK;
}

/* Percent of the n-grams of an order (from 0) that match; *n_empty orders had no match so far. */
static double precision_of(const weft_metric_spec *spec, const weft_order_counts *c, int order,
                           int *n_empty)
{
    const bool add = spec->smoothing == WEFT_SMOOTH_ADD_K && order > 0;
    const double matches = (double)c->matches + (add ? spec->smooth_value : 0);
    const double ngrams = (double)c->hypothesis + (add ? spec->smooth_value : 0);
    if (matches > 0) return 100.0 * matches / ngrams;
    if (spec->smoothing == WEFT_SMOOTH_EXP) return 100.0 / (ldexp(1, ++*n_empty) * ngrams);
    return spec->smoothing == WEFT_SMOOTH_FLOOR ? 100.0 * spec->smooth_value / ngrams : 0;
}

static weft_bleu bleu_of(const weft_metric_spec *spec, const weft_statistics *s)
{
    weft_bleu bleu = { .brevity = 1.0,
                       .hypothesis_words = s->hypothesis_words,
                       .reference_words = s->reference_words };
    const bool add = spec->smoothing == WEFT_SMOOTH_ADD_K;
    bool any_match = false, every_order = true;
    for (int i = 0; i < WEFT_BLEU_ORDER; i++) {
        bleu.matches[i] = s->order[i].matches;
        bleu.ngrams[i] = s->order[i].hypothesis;
        any_match = any_match || bleu.matches[i] > 0;
        every_order = every_order && (bleu.ngrams[i] > 0 || (add && i > 0));
    }
    const double sys = (double)bleu.hypothesis_words, ref = (double)bleu.reference_words;
    if (sys < ref) bleu.brevity = sys > 0 ? exp(1 - ref / sys) : 0.0;
    if (!any_match) return bleu;
    double sum_log = 0;
    int n_empty = 0;
    for (int i = 0; i < WEFT_BLEU_ORDER && (bleu.ngrams[i] > 0 || (add && i > 0)); i++) {
        bleu.precision[i] = precision_of(spec, &s->order[i], i, &n_empty);
        sum_log += log(bleu.precision[i]);
    }
    if (every_order) bleu.score = bleu.brevity * exp(sum_log / WEFT_BLEU_ORDER);
    return bleu;
}

weft_bleu weft_metric_bleu(const weft_metric *metric)
{
    assert(metric->spec.kind == WEFT_METRIC_BLEU);
    return bleu_of(&metric->spec, &metric->sum);
}

/* ---- chrF ------------------------------------------------------------------------------------ */

/* F score with beta = 2 of the precision and recall averaged over the orders that both sides have.
 */
static double chrf_of(const weft_statistics *s)
{
    const double beta_squared = 4;
    double precision = 0, recall = 0;
    int n_orders = 0;
    for (int i = 0; i < WEFT_METRIC_ORDERS; i++) {
        const weft_order_counts *c = &s->order[i];
        if (c->hypothesis == 0 || c->reference == 0) continue;
        precision += (double)c->matches / (double)c->hypothesis;
        recall += (double)c->matches / (double)c->reference;
        n_orders++;
    }
    if (n_orders == 0) return 0;
    precision /= n_orders;
    recall /= n_orders;
    if (precision + recall == 0) return 0;
    return 100 * ((1 + beta_squared) * precision * recall / (beta_squared * precision + recall));
}

/* The n-grams of the present symbols against each reference, into order[first] and on. n-grams of an
 * order that the reference is too short for do not count. */
static weft_status count_orders(weft_metric *metric, int first, int n_orders)
{
    const weft_status status = sort_grams(metric);
    for (int i = 1; i <= metric->spec.n_refs && status == WEFT_OK; i++)
        for (int order = 1; order <= n_orders; order++) {
            weft_order_counts *c = &metric->by_reference[i - 1].order[first + order - 1];
            c->reference = n_grams(metric, i, order);
            c->hypothesis = c->reference > 0 ? n_grams(metric, 0, order) : 0;
            c->matches = count_matches(metric, i, i, order);
        }
    return status;
}

/* The words of each text in its place. */
static weft_status split_marks(weft_metric *metric)
{
    weft_text_buffer words = { 0 };
    weft_status status = WEFT_OK;
    for (int i = 0; i <= metric->spec.n_refs && status == WEFT_OK; i++) {
        status = weft_text_split_marks(&metric->text[i], &metric->scratch, &words);
        if (status != WEFT_OK) break;
        const weft_text_buffer characters = metric->text[i];
        metric->text[i] = words;
        words = characters;
    }
    weft_text_release(&words);
    return status;
}

/* Of several references the one with the best score of this segment counts; a tie goes to the
 * first. */
static weft_status count_chrf(weft_metric *metric, weft_statistics *s)
{
    weft_status status = points_to_symbols(metric);
    if (status == WEFT_OK) status = count_orders(metric, 0, WEFT_CHRF_ORDER);
    if (metric->spec.kind == WEFT_METRIC_CHRF_PLUS_PLUS) {
        if (status == WEFT_OK) status = split_marks(metric);
        if (status == WEFT_OK) status = words_to_symbols(metric);
        if (status == WEFT_OK) status = count_orders(metric, WEFT_CHRF_ORDER, WORD_ORDERS);
    }
    if (status != WEFT_OK) return status;
    int best = 0;
    for (int i = 1; i < metric->spec.n_refs; i++)
        if (chrf_of(&metric->by_reference[i]) > chrf_of(&metric->by_reference[best])) best = i;
    memcpy(s->order, metric->by_reference[best].order, sizeof s->order);
    return WEFT_OK;
}

/* ---- all metrics ----------------------------------------------------------------------------- */

static bool equals_a_reference(const weft_metric *metric)
{
    for (int i = 1; i <= metric->spec.n_refs; i++) {
        if (strcmp(metric->text[0].text, metric->text[i].text) == 0) return true;
    }
    return false;
}

void weft_statistics_add(weft_statistics *sum, const weft_statistics *of)
{
    sum->n_segments += of->n_segments;
    sum->n_exact += of->n_exact;
    sum->hypothesis_words += of->hypothesis_words;
    sum->reference_words += of->reference_words;
    for (int i = 0; i < WEFT_METRIC_ORDERS; i++) {
        sum->order[i].hypothesis += of->order[i].hypothesis;
        sum->order[i].reference += of->order[i].reference;
        sum->order[i].matches += of->order[i].matches;
    }
}

double weft_statistics_score(const weft_metric_spec *spec, const weft_statistics *of)
{
    switch (spec->kind) {
    case WEFT_METRIC_BLEU: return bleu_of(spec, of).score;
    case WEFT_METRIC_CHRF:
    case WEFT_METRIC_CHRF_PLUS_PLUS: return chrf_of(of);
    case WEFT_METRIC_EXACT: break;
    }
    return of->n_segments > 0 ? 100.0 * (double)of->n_exact / (double)of->n_segments : 0;
}

const weft_statistics *weft_metric_each(const weft_metric *metric, weft_metric_spec *spec)
{
    *spec = metric->spec;
    return metric->each;
}

weft_status weft_metric_add(weft_metric *metric, const char *hypothesis,
                            const char *const references[])
{
    weft_statistics of = { .n_segments = 1 };
    weft_status status = prepare_all(metric, hypothesis, references);
    if (status != WEFT_OK) return status;
    switch (metric->spec.kind) {
    case WEFT_METRIC_BLEU: status = count_bleu(metric, &of); break;
    case WEFT_METRIC_CHRF:
    case WEFT_METRIC_CHRF_PLUS_PLUS: status = count_chrf(metric, &of); break;
    case WEFT_METRIC_EXACT: of.n_exact = equals_a_reference(metric); break;
    }
    const size_t n = (size_t)metric->sum.n_segments;
    if (status == WEFT_OK && metric->spec.keep_segments)
        status = reserve((void **)&metric->each, &metric->each_room, n + 1, sizeof of);
    if (status != WEFT_OK) return status;
    if (metric->spec.keep_segments) metric->each[n] = of;
    weft_statistics_add(&metric->sum, &of);
    return WEFT_OK;
}

double weft_metric_score(const weft_metric *metric)
{
    return weft_statistics_score(&metric->spec, &metric->sum);
}

int64_t weft_metric_segments(const weft_metric *metric) { return metric->sum.n_segments; }

/* ---- texts ----------------------------------------------------------------------------------- */

static const char *const names[] = { [WEFT_METRIC_BLEU] = "BLEU",
                                     [WEFT_METRIC_CHRF] = "chrF2",
                                     [WEFT_METRIC_CHRF_PLUS_PLUS] = "chrF2++",
                                     [WEFT_METRIC_EXACT] = "exact" };

const char *weft_metric_line(const weft_metric *metric, char buf[WEFT_METRIC_TEXT])
{
    const double score = weft_metric_score(metric);
    if (metric->spec.kind == WEFT_METRIC_CHRF || metric->spec.kind == WEFT_METRIC_CHRF_PLUS_PLUS) {
        snprintf(buf, WEFT_METRIC_TEXT, "%s = %.2f", names[metric->spec.kind], score);
    } else if (metric->spec.kind == WEFT_METRIC_EXACT) {
        snprintf(buf, WEFT_METRIC_TEXT, "exact match: %.2f %% (%lld of %lld)", score,
                 (long long)metric->sum.n_exact, (long long)metric->sum.n_segments);
    } else {
        const weft_bleu bleu = weft_metric_bleu(metric);
        const double ratio = bleu.reference_words > 0
                                 ? (double)bleu.hypothesis_words / (double)bleu.reference_words
                                 : 0;
        snprintf(buf, WEFT_METRIC_TEXT,
                 "BLEU = %.2f %.1f/%.1f/%.1f/%.1f (BP = %.3f ratio = %.3f hyp_len = %lld "
                 "ref_len = %lld)",
                 score, bleu.precision[0], bleu.precision[1], bleu.precision[2], bleu.precision[3],
                 bleu.brevity, ratio, (long long)bleu.hypothesis_words,
                 (long long)bleu.reference_words);
    }
    return buf;
}

/* "exp", "floor[0.10]" */
static void smoothing_text(const weft_metric_spec *spec, char buf[48])
{
    static const char *const how[] = { [WEFT_SMOOTH_EXP] = "exp",
                                       [WEFT_SMOOTH_NONE] = "none",
                                       [WEFT_SMOOTH_FLOOR] = "floor",
                                       [WEFT_SMOOTH_ADD_K] = "add-k" };
    const bool valued =
        spec->smoothing == WEFT_SMOOTH_FLOOR || spec->smoothing == WEFT_SMOOTH_ADD_K;
    if (valued) {
        snprintf(buf, 48, "%s[%.2f]", how[spec->smoothing], spec->smooth_value);
    } else {
        snprintf(buf, 48, "%s", how[spec->smoothing]);
    }
}

const char *weft_metric_signature(const weft_metric *metric, char buf[WEFT_METRIC_TEXT])
{
    char smoothing[48], how[96] = "";
    const weft_metric_spec *spec = &metric->spec;
    smoothing_text(spec, smoothing);
    if (spec->kind == WEFT_METRIC_BLEU)
        snprintf(how, sizeof how, "|eff:no|tok:13a|smooth:%s", smoothing);
    if (spec->kind == WEFT_METRIC_CHRF || spec->kind == WEFT_METRIC_CHRF_PLUS_PLUS)
        snprintf(how, sizeof how, "|eff:yes|nc:6|nw:%d|space:no",
                 spec->kind == WEFT_METRIC_CHRF ? 0 : WORD_ORDERS);
    snprintf(buf, WEFT_METRIC_TEXT, "%s|nrefs:%d|case:%s%s|version:weft-" WEFT_VERSION,
             names[spec->kind], spec->n_refs, spec->lowercase ? "lc" : "mixed", how);
    return buf;
}
