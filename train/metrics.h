/* metrics.h - how good hypotheses are: BLEU, chrF and exact match over a corpus.
 *
 * Scores are those of sacreBLEU 2.6.0 (Post 2018, "A call for clarity in reporting BLEU scores") to
 * the last printed digit. Segments are added one after the other; only their statistics are kept.
 */
#ifndef WEFT_TRAIN_METRICS_H
#define WEFT_TRAIN_METRICS_H

#include "../core/core.h"

typedef enum weft_metric_kind {
    WEFT_METRIC_BLEU, /* Papineni et al. 2002: words, orders 1 to 4, 13a tokeniser, exp smoothing */
    WEFT_METRIC_CHRF, /* Popovic 2015: chrF2, characters without white space, orders 1 to 6 */
    WEFT_METRIC_CHRF_PLUS_PLUS, /* Popovic 2017: chrF2++, words of orders 1 and 2 as well */
    WEFT_METRIC_EXACT           /* segments that equal one of their references byte for byte */
} weft_metric_kind;

/* What an order of BLEU without a match counts (Chen & Cherry 2014). */
typedef enum weft_smoothing {
    WEFT_SMOOTH_EXP,   /* the k-th such order 1 / 2^k of a match */
    WEFT_SMOOTH_NONE,  /* nothing: the score is 0 */
    WEFT_SMOOTH_FLOOR, /* smooth_value of a match */
    WEFT_SMOOTH_ADD_K  /* smooth_value is added to matches and n-grams of all orders above 1 */
} weft_smoothing;

typedef struct weft_metric_spec {
    weft_metric_kind kind;
    int n_refs;               /* references a segment, at least 1 */
    bool lowercase;           /* compare in lower case (Unicode's full mapping, with the Greek final
                                 sigma, as Python's str.lower) */
    weft_smoothing smoothing; /* of BLEU */
    double smooth_value;      /* 0: floor 0.1, add-k 1 */
    bool keep_segments;       /* for weft_metric_compare */
} weft_metric_spec;

enum { WEFT_BLEU_ORDER = 4, WEFT_CHRF_ORDER = 6, WEFT_METRIC_TEXT = 192 };

typedef struct weft_metric weft_metric;

/** A metric without segments. Errors (*metric is then NULL): WEFT_ERR_RANGE, WEFT_ERR_MEMORY. */
weft_status weft_metric_new(const weft_metric_spec *spec, weft_metric **metric) WEFT_MUST_CHECK;
void weft_metric_free(weft_metric *metric); /* NULL is allowed */

/** Add one segment: its hypothesis and n_refs references, UTF-8, without the end of the line.
 *  Errors: WEFT_ERR_INPUT invalid UTF-8, WEFT_ERR_MEMORY; the statistics are then unchanged. */
weft_status weft_metric_add(weft_metric *metric, const char *hypothesis,
                            const char *const references[]) WEFT_MUST_CHECK;

/** The score so far, 0 to 100 (BLEU of equal texts may exceed 100 in the last bit); 0 without
 *  segments. */
double weft_metric_score(const weft_metric *metric);
int64_t weft_metric_segments(const weft_metric *metric);

/** The parts of a BLEU score. */
typedef struct weft_bleu {
    double score;                      /* brevity * geometric mean of the precisions */
    double precision[WEFT_BLEU_ORDER]; /* percent, smoothed */
    double brevity;                    /* 1, or exp(1 - references / hypotheses) where shorter */
    int64_t matches[WEFT_BLEU_ORDER];  /* clipped by the references */
    int64_t ngrams[WEFT_BLEU_ORDER];   /* in the hypotheses */
    int64_t hypothesis_words, reference_words; /* the closest reference of each segment */
} weft_bleu;
/** Of a metric of kind WEFT_METRIC_BLEU. */
weft_bleu weft_metric_bleu(const weft_metric *metric);

/** "BLEU = 41.02 71.0/47.5/34.3/24.5 (BP = 0.999 ratio = 0.999 hyp_len = 12 ref_len = 12)",
 *  "chrF2 = 60.13", "chrF2++ = 58.90", or "exact match: 97.50 % (39 of 40)". Returns buf. */
const char *weft_metric_line(const weft_metric *metric, char buf[WEFT_METRIC_TEXT]);
/** What the score depends on, in sacreBLEU's form with our own version:
 *  "BLEU|nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:weft-0.1.0". Returns buf. */
const char *weft_metric_signature(const weft_metric *metric, char buf[WEFT_METRIC_TEXT]);

/* Two systems on the same segments, drawn anew n_samples times with replacement (Koehn 2004). */
typedef struct weft_comparison {
    struct {
        double score;      /* of all segments */
        double mean;       /* over the samples */
        double half_width; /* half the distance of their 2.5 % and 97.5 % quantiles */
    } system[2];
    double p; /* how often the scores differ by as much where the systems are alike: the paired
                 bootstrap of Moses and sacreBLEU, (1 + #{ |d| - mean |d| >= |difference| }) / (1 +
                 n_samples), but that they have > and so call equal systems different */
} weft_comparison;

/** Compare two metrics of equal specs with keep_segments, fed with equally many segments in the same
 *  order. Which segments are drawn depends on `seed` and their number alone. Errors:
 *  WEFT_ERR_STATE where they do not fit; WEFT_ERR_RANGE for n_samples < 1; WEFT_ERR_MEMORY. */
weft_status weft_metric_compare(const weft_metric *a, const weft_metric *b, int64_t n_samples,
                                uint64_t seed, weft_comparison *out) WEFT_MUST_CHECK;

/** The 13a tokeniser of mteval-v13a.pl: the words of `text` with one space between them, on the
 *  heap (weft_free). NULL: invalid UTF-8 or out of memory. */
char *weft_tokenise_13a(const char *text) WEFT_MUST_CHECK;

#endif
