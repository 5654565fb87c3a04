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

enum { MAX_ORDER = WEFT_CHRF_ORDER };

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

/* Counts of one order. */
typedef struct order_counts {
    int64_t hypothesis, reference, matches;
} order_counts;

struct weft_metric {
    weft_metric_kind kind;
    int n_refs;
    bool lowercase;
    int64_t n_segments, n_exact;
    int64_t hypothesis_words, reference_words; /* BLEU */
    order_counts order[MAX_ORDER];             /* BLEU leaves `reference` 0 */

    /* One segment: text 0 is the hypothesis, texts 1 .. n_refs are the references. */
    weft_text_buffer *text;
    weft_text_buffer scratch;
    int32_t *symbols;
    gram *grams;
    word *words;
    size_t symbols_room, grams_room, words_room;
    size_t *begin; /* [n_refs + 2]: where each text's symbols and grams begin */
    size_t *at;    /* [n_refs + 2]: where the walk is in each list */
};

weft_status weft_metric_new(weft_metric_kind kind, int n_refs, bool lowercase, weft_metric **metric)
{
    *metric = NULL;
    if (n_refs < 1) {
        return weft_error(WEFT_ERR_RANGE, "metric: n_refs is %d, at least 1 reference is needed",
                          n_refs);
    }
    weft_metric *made = weft_alloc(1, sizeof *made);
    if (made == NULL) return WEFT_ERR_MEMORY;
    made->kind = kind;
    made->n_refs = n_refs;
    made->lowercase = lowercase;
    made->text = weft_alloc((size_t)n_refs + 1, sizeof *made->text);
    made->begin = weft_alloc((size_t)n_refs + 2, sizeof *made->begin);
    made->at = weft_alloc((size_t)n_refs + 2, sizeof *made->at);
    if (made->text == NULL || made->begin == NULL || made->at == NULL) {
        weft_metric_free(made);
        return WEFT_ERR_MEMORY;
    }
    *metric = made;
    return WEFT_OK;
}

void weft_metric_free(weft_metric *metric)
{
    if (metric == NULL) return;
    for (int i = 0; metric->text != NULL && i <= metric->n_refs; i++) {
        weft_text_release(&metric->text[i]);
    }
    weft_text_release(&metric->scratch);
    weft_free(metric->text);
    weft_free(metric->symbols);
    weft_free(metric->grams);
    weft_free(metric->words);
    weft_free(metric->begin);
    weft_free(metric->at);
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
    if (metric->kind != WEFT_METRIC_BLEU) {
        return metric->lowercase ? weft_text_lower(text, out) : weft_text_copy(text, out);
    }
    if (!metric->lowercase) return weft_text_tokenise_13a(text, scratch, out);
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
    for (int i = 0; i < metric->n_refs && status == WEFT_OK; i++) {
        status = prepare(metric, references[i], &metric->text[i + 1]);
        if (status == WEFT_ERR_INPUT) return weft_error_prefix(status, "reference %d: ", i + 1);
    }
    return status;
}

/* Code points of every text, without white space. */
static weft_status points_to_symbols(weft_metric *metric)
{
    size_t n = 0, n_bytes;
    for (int i = 0; i <= metric->n_refs; i++) {
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
    metric->begin[metric->n_refs + 1] = n;
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
    for (int i = 0; i <= metric->n_refs; i++) {
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
    metric->begin[metric->n_refs + 1] = n;
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
    const size_t n = metric->begin[metric->n_refs + 1];
    const weft_status status =
        reserve((void **)&metric->grams, &metric->grams_room, n, sizeof *metric->grams);
    if (status != WEFT_OK) return status;
    for (int i = 0; i <= metric->n_refs; i++) {
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
    memcpy(metric->at, metric->begin, ((size_t)metric->n_refs + 2) * sizeof *metric->at);
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

static weft_status add_bleu(weft_metric *metric)
{
    weft_status status = words_to_symbols(metric);
    if (status == WEFT_OK) status = sort_grams(metric);
    if (status != WEFT_OK) return status;
    for (int order = 1; order <= WEFT_BLEU_ORDER; order++) {
        metric->order[order - 1].hypothesis += n_grams(metric, 0, order);
        metric->order[order - 1].matches += count_matches(metric, 1, metric->n_refs, order);
    }
    const int64_t n_words = n_grams(metric, 0, 1);
    int64_t closest = n_grams(metric, 1, 1); /* a tie goes to the shorter reference */
    for (int i = 2; i <= metric->n_refs; i++) {
        const int64_t n = n_grams(metric, i, 1);
        const int64_t distance = llabs(n - n_words), best = llabs(closest - n_words);
        if (distance < best || (distance == best && n < closest)) closest = n;
    }
    metric->hypothesis_words += n_words;
    metric->reference_words += closest;
    return WEFT_OK;
}

weft_bleu weft_metric_bleu(const weft_metric *metric)
{
    assert(metric->kind == WEFT_METRIC_BLEU);
    weft_bleu bleu = { .brevity = 1.0,
                       .hypothesis_words = metric->hypothesis_words,
                       .reference_words = metric->reference_words };
    bool any_match = false, every_order = true;
    for (int i = 0; i < WEFT_BLEU_ORDER; i++) {
        bleu.matches[i] = metric->order[i].matches;
        bleu.ngrams[i] = metric->order[i].hypothesis;
        any_match = any_match || bleu.matches[i] > 0;
        every_order = every_order && bleu.ngrams[i] > 0;
    }
    const double sys = (double)bleu.hypothesis_words, ref = (double)bleu.reference_words;
    if (sys < ref) bleu.brevity = sys > 0 ? exp(1 - ref / sys) : 0.0;
    if (!any_match) return bleu;
    double smooth = 1, sum_log = 0; /* the k-th order without a match counts 1 / (2^k n-grams) */
    for (int i = 0; i < WEFT_BLEU_ORDER && bleu.ngrams[i] > 0; i++) {
        if (bleu.matches[i] == 0) smooth *= 2;
        bleu.precision[i] = bleu.matches[i] == 0
                                ? 100.0 / (smooth * (double)bleu.ngrams[i])
                                : 100.0 * (double)bleu.matches[i] / (double)bleu.ngrams[i];
        sum_log += log(bleu.precision[i]);
    }
    if (every_order) bleu.score = bleu.brevity * exp(sum_log / WEFT_BLEU_ORDER);
    return bleu;
}

/* ---- chrF ------------------------------------------------------------------------------------ */

/* F score with beta = 2 of the precision and recall averaged over the orders that both sides have.
 */
static double chrf_score(const order_counts order[])
{
    const double beta_squared = 4;
    double precision = 0, recall = 0;
    int n_orders = 0;
    for (int i = 0; i < WEFT_CHRF_ORDER; i++) {
        if (order[i].hypothesis == 0 || order[i].reference == 0) continue;
        precision += (double)order[i].matches / (double)order[i].hypothesis;
        recall += (double)order[i].matches / (double)order[i].reference;
        n_orders++;
    }
    if (n_orders == 0) return 0;
    precision /= n_orders;
    recall /= n_orders;
    if (precision + recall == 0) return 0;
    return 100 * ((1 + beta_squared) * precision * recall / (beta_squared * precision + recall));
}

/* Of several references the one with the best score of this segment counts; a tie goes to the
 * first. n-grams of an order that the reference is too short for do not count. */
static weft_status add_chrf(weft_metric *metric)
{
    weft_status status = points_to_symbols(metric);
    if (status == WEFT_OK) status = sort_grams(metric);
    if (status != WEFT_OK) return status;
    order_counts best[WEFT_CHRF_ORDER] = { { 0 } };
    double best_score = -1;
    for (int i = 1; i <= metric->n_refs; i++) {
        order_counts counts[WEFT_CHRF_ORDER];
        for (int order = 1; order <= WEFT_CHRF_ORDER; order++) {
            order_counts *c = &counts[order - 1];
            c->reference = n_grams(metric, i, order);
            c->hypothesis = c->reference > 0 ? n_grams(metric, 0, order) : 0;
            c->matches = count_matches(metric, i, i, order);
        }
        const double score = chrf_score(counts);
        if (score <= best_score) continue;
        best_score = score;
        memcpy(best, counts, sizeof best);
    }
    for (int i = 0; i < WEFT_CHRF_ORDER; i++) {
        metric->order[i].hypothesis += best[i].hypothesis;
        metric->order[i].reference += best[i].reference;
        metric->order[i].matches += best[i].matches;
    }
    return WEFT_OK;
}

/* ---- all metrics ----------------------------------------------------------------------------- */

static bool equals_a_reference(const weft_metric *metric)
{
    for (int i = 1; i <= metric->n_refs; i++) {
        if (strcmp(metric->text[0].text, metric->text[i].text) == 0) return true;
    }
    return false;
}

weft_status weft_metric_add(weft_metric *metric, const char *hypothesis,
                            const char *const references[])
{
    weft_status status = prepare_all(metric, hypothesis, references);
    if (status == WEFT_OK && metric->kind == WEFT_METRIC_BLEU) status = add_bleu(metric);
    if (status == WEFT_OK && metric->kind == WEFT_METRIC_CHRF) status = add_chrf(metric);
    if (status != WEFT_OK) return status;
    if (metric->kind == WEFT_METRIC_EXACT) metric->n_exact += equals_a_reference(metric);
    metric->n_segments++;
    return WEFT_OK;
}

double weft_metric_score(const weft_metric *metric)
{
    if (metric->kind == WEFT_METRIC_BLEU) return weft_metric_bleu(metric).score;
    if (metric->kind == WEFT_METRIC_CHRF) return chrf_score(metric->order);
    if (metric->n_segments == 0) return 0;
    return 100.0 * (double)metric->n_exact / (double)metric->n_segments;
}

int64_t weft_metric_segments(const weft_metric *metric) { return metric->n_segments; }

const char *weft_metric_line(const weft_metric *metric, char buf[WEFT_METRIC_TEXT])
{
    const double score = weft_metric_score(metric);
    if (metric->kind == WEFT_METRIC_CHRF) {
        snprintf(buf, WEFT_METRIC_TEXT, "chrF2 = %.2f", score);
    } else if (metric->kind == WEFT_METRIC_EXACT) {
        snprintf(buf, WEFT_METRIC_TEXT, "exact match: %.2f %% (%lld of %lld)", score,
                 (long long)metric->n_exact, (long long)metric->n_segments);
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

const char *weft_metric_signature(const weft_metric *metric, char buf[WEFT_METRIC_TEXT])
{
    static const char *const how[] = { [WEFT_METRIC_BLEU] = "|eff:no|tok:13a|smooth:exp",
                                       [WEFT_METRIC_CHRF] = "|eff:yes|nc:6|nw:0|space:no",
                                       [WEFT_METRIC_EXACT] = "" };
    static const char *const name[] = {
        [WEFT_METRIC_BLEU] = "BLEU", [WEFT_METRIC_CHRF] = "chrF2", [WEFT_METRIC_EXACT] = "exact"
    };
    snprintf(buf, WEFT_METRIC_TEXT, "%s|nrefs:%d|case:%s%s|version:weft-" WEFT_VERSION,
             name[metric->kind], metric->n_refs, metric->lowercase ? "lc" : "mixed",
             how[metric->kind]);
    return buf;
}
