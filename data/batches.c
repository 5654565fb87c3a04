/* batches.c - packed batches: the plan of an epoch, and filling one batch from it. */
#include "data/batches.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "data/vocab_internal.h"

/* What is cut into batches: a sentence, or a window of running text. */
typedef struct batch_item {
    const int32_t *source, *target; /* ids; NULL for a side that is not there */
    int32_t n_source, n_target;     /* tokens in the batch: with </s> or <s>; 0 without that side */
    int32_t number;                 /* sentence or window: the first half of the row key */
} batch_item;

/* Memory for one side of a batch. */
typedef struct batch_side {
    int32_t *ids, *offsets, *rows, *labels;
    int32_t *part_offsets;
} batch_side;

struct weft_batches {
    const weft_corpus *corpus;
    weft_batches_spec spec;
    bool has[2];
    int32_t *kept; /* [n_kept] the sentences that are not left out */
    int64_t n_kept;
    weft_encoder cut[2];  /* BPE-dropout: the ids of all kept sentences in this epoch, */
    int64_t *first_id[2]; /* [n_kept + 1] and where those of each begin */
    batch_item *items;    /* [n_items] of this epoch */
    int64_t n_items, items_room;
    bool varies;             /* from epoch to epoch, other than in order */
    int64_t *order, *sorted; /* [items_room] */
    int64_t *counts;         /* [longest + 2] for sorting */
    int64_t longest;         /* tokens of the longest item, on either side */
    int64_t n_batches;
    int64_t *begin;       /* [items_room + 1] where in `order` each batch begins, and the end */
    int64_t *batch_order; /* [items_room] */
    int64_t epoch, index; /* what comes next; index < n_batches */
    weft_batches_limits limits;
    batch_side side[2];
};

/* Sites of random numbers: what is drawn here has nothing to do with what a model draws. */
static const uint64_t site_items = UINT64_C(0x646174612e697465);          /* "data.ite" */
static const uint64_t site_batches = UINT64_C(0x646174612e626174);        /* "data.bat" */
static const uint64_t site_window = UINT64_C(0x646174612e77696e);         /* "data.win" */
static const uint64_t site_weight = UINT64_C(0x646174612e776569);         /* "data.wei" */
static const uint64_t site_dropout[2] = { UINT64_C(0x646174612e627073),   /* "data.bps" */
                                          UINT64_C(0x646174612e627074) }; /* "data.bpt" */

/* ---- items ---------------------------------------------------------------------------------- */

static int64_t length_of(const batch_item *item, int side)
{
    return side == WEFT_SOURCE ? item->n_source : item->n_target;
}

/* Is it batch_tokens that leaves sentences out, and not max_length? */
static bool by_batch(const weft_batches *b)
{
    return b->spec.max_length == 0 ||
           (!b->spec.in_order && b->spec.max_length > b->spec.batch_tokens);
}

/* Tokens that a sentence may have on a side. */
static int64_t length_limit(const weft_batches *b)
{
    return by_batch(b) ? b->spec.batch_tokens : b->spec.max_length;
}

static weft_status too_long(const weft_batches *b, int64_t i, const int64_t n[2])
{
    const bool source = n[0] > n[1];
    return weft_error(WEFT_ERR_INPUT,
                      "sentence %lld has %lld %s tokens, more than a batch holds (%lld): "
                      "raise batch_tokens, or set max_length to leave such sentences out",
                      (long long)i + 1, (long long)(source ? n[0] : n[1]),
                      source ? "source" : "target", (long long)b->spec.batch_tokens);
}

/* Both lengths without <s> and </s>. */
static bool is_uneven(const weft_batches *b, int64_t n_source, int64_t n_target)
{
    const double ratio = b->spec.max_ratio;
    if (ratio == 0 || !b->has[0] || !b->has[1]) return false;
    return (double)n_source > ratio * (double)n_target ||
           (double)n_target > ratio * (double)n_source;
}

/* Keep the sentences that are fit for training. */
static weft_status filter(weft_batches *b)
{
    weft_batches_limits *limits = &b->limits;
    limits->first_dropped = -1;
    for (int64_t i = 0; i < weft_corpus_size(b->corpus); i++) {
        int64_t n[2], with_end[2];
        for (int side = 0; side < 2; side++) {
            weft_corpus_ids(b->corpus, (weft_side)side, i, &n[side]);
            with_end[side] = n[side] + b->has[side];
        }
        const bool is_long =
            (with_end[0] > with_end[1] ? with_end[0] : with_end[1]) > length_limit(b);
        if (is_long && b->spec.max_length == 0) return too_long(b, i, with_end);
        if (!is_long && !is_uneven(b, n[0], n[1])) {
            b->kept[b->n_kept++] = (int32_t)i;
            continue;
        }
        limits->too_long += is_long;
        limits->uneven += !is_long;
        if (limits->dropped++ == 0) limits->first_dropped = i;
    }
    return WEFT_OK;
}

/* How often item i is in this epoch. */
static int64_t copies(const weft_batches *b, int64_t i)
{
    if (b->spec.in_order) return 1;
    const double weight = weft_corpus_weight(b->corpus, i), whole = floor(weight);
    if (weight == whole) return (int64_t)whole;
    const uint64_t key = weft_random_key(b->spec.seed, (uint64_t)b->epoch, site_weight);
    return (int64_t)whole + (weft_random_uniform(key, (uint64_t)i, 0) < weight - whole);
}

/* Cut the texts of a side anew, passing over merges with probability p; first_id tells where each
 * begins. */
static weft_status cut_again(weft_batches *b, int side, double p)
{
    weft_encoder *cut = &b->cut[side];
    const uint64_t key = weft_random_key(b->spec.seed, (uint64_t)b->epoch, site_dropout[side]);
    cut->n_ids = 0;
    for (int64_t k = 0; k < b->n_kept; k++) {
        const int64_t i = b->kept[k];
        cut->cut.dropout = (weft_bpe_dropout){ .p = p, .key = key, .row = (uint64_t)i };
        b->first_id[side][k] = cut->n_ids;
        const weft_status status =
            weft_encode(b->spec.vocabs[side], cut, weft_corpus_text(b->corpus, (weft_side)side, i));
        if (status != WEFT_OK) return status;
    }
    b->first_id[side][b->n_kept] = cut->n_ids;
    return WEFT_OK;
}

/* Ids of the k-th kept sentence in this epoch, *n of them. */
static const int32_t *ids_of(const weft_batches *b, int side, int64_t k, int64_t *n)
{
    const int64_t *first = b->first_id[side];
    if (first) {
        *n = first[k + 1] - first[k];
        if (*n < length_limit(b)) return b->cut[side].ids + first[k];
    }
    return weft_corpus_ids(b->corpus, (weft_side)side, b->kept[k], n);
}

/* The sentences of this epoch. */
static void collect_sentences(weft_batches *b)
{
    for (int side = 0; side < 2; side++) {
        if (!b->first_id[side]) continue;
        const weft_status status = cut_again(b, side, b->spec.bpe_dropout);
        assert(status == WEFT_OK); /* all memory is there: see warm */
        (void)status;
    }
    const int64_t n_corpus = weft_corpus_size(b->corpus);
    b->n_items = 0;
    for (int64_t k = 0; k < b->n_kept; k++) {
        const int64_t n_copies = copies(b, b->kept[k]);
        for (int64_t copy = 0; copy < n_copies; copy++) {
            batch_item item = { .number = (int32_t)(b->kept[k] + copy * n_corpus) };
            int64_t n[2];
            item.source = ids_of(b, WEFT_SOURCE, k, &n[0]);
            item.target = ids_of(b, WEFT_TARGET, k, &n[1]);
            item.n_source = (int32_t)n[0] + b->has[0];
            item.n_target = (int32_t)n[1] + b->has[1];
            b->items[b->n_items++] = item;
        }
    }
}

/* The windows of one document; in training the first has a random length. */
static void collect_document(weft_batches *b, int64_t i, uint64_t key, uint64_t row)
{
    const int64_t L = b->spec.context;
    int64_t n, end = L;
    const int32_t *ids = weft_corpus_ids(b->corpus, WEFT_TARGET, i, &n);
    if (!b->spec.in_order) end -= (int64_t)weft_random_below(key, row, (uint64_t)L);
    for (int64_t from = 0; from < n - 1; from = end, end += L) {
        if (end > n - 1) end = n - 1;
        b->items[b->n_items] =
            (batch_item){ NULL, ids + from, 0, (int32_t)(end - from), (int32_t)b->n_items };
        b->n_items++;
    }
}

static void collect_windows(weft_batches *b)
{
    const uint64_t key = weft_random_key(b->spec.seed, (uint64_t)b->epoch, site_window);
    const int64_t n_corpus = weft_corpus_size(b->corpus);
    b->n_items = 0;
    for (int64_t i = 0; i < n_corpus; i++) {
        const int64_t n_copies = copies(b, i);
        for (int64_t copy = 0; copy < n_copies; copy++)
            collect_document(b, i, key, (uint64_t)(i + copy * n_corpus));
    }
}

/* ---- the plan of an epoch -------------------------------------------------------------------- */

/* Sort `order` by the length of a side, equal lengths as they stand (counting sort). */
static void sort_by_length(weft_batches *b, int side)
{
    memset(b->counts, 0, (size_t)(b->longest + 2) * sizeof *b->counts);
    for (int64_t i = 0; i < b->n_items; i++) b->counts[length_of(&b->items[i], side) + 1]++;
    for (int64_t l = 1; l <= b->longest + 1; l++) b->counts[l] += b->counts[l - 1];
    for (int64_t i = 0; i < b->n_items; i++) {
        const int64_t item = b->order[i];
        b->sorted[b->counts[length_of(&b->items[item], side)]++] = item;
    }
    int64_t *swap = b->order;
    b->order = b->sorted;
    b->sorted = swap;
}

/* Cut `order` where the next item would make a batch too large. */
static void cut(weft_batches *b)
{
    int64_t n_source = 0, n_target = 0;
    b->n_batches = 0;
    for (int64_t i = 0; i < b->n_items; i++) {
        const batch_item *item = &b->items[b->order[i]];
        n_source += item->n_source;
        n_target += item->n_target;
        if (i == 0 || n_source > b->spec.batch_tokens || n_target > b->spec.batch_tokens) {
            b->begin[b->n_batches++] = i;
            n_source = item->n_source;
            n_target = item->n_target;
        }
    }
    b->begin[b->n_batches] = b->n_items;
}

static void plan(weft_batches *b)
{
    const uint64_t seed = b->spec.seed, epoch = (uint64_t)b->epoch;
    if (b->spec.context > 0) {
        collect_windows(b);
    } else {
        collect_sentences(b);
    }
    if (b->spec.in_order) {
        for (int64_t i = 0; i < b->n_items; i++) b->order[i] = i;
        cut(b);
        for (int64_t i = 0; i < b->n_batches; i++) b->batch_order[i] = i;
        return;
    }
    weft_random_permutation(weft_random_key(seed, epoch, site_items), b->n_items, b->order);
    if (b->spec.context == 0) {
        if (b->has[WEFT_SOURCE]) sort_by_length(b, WEFT_SOURCE);
        if (b->has[WEFT_TARGET]) sort_by_length(b, WEFT_TARGET);
    }
    cut(b);
    weft_random_permutation(weft_random_key(seed, epoch, site_batches), b->n_batches,
                            b->batch_order);
}

static void batch_sizes(const weft_batches *b, int64_t index, int64_t n[2])
{
    const int64_t batch = b->batch_order[index];
    n[0] = n[1] = 0;
    for (int64_t i = b->begin[batch]; i < b->begin[batch + 1]; i++) {
        n[0] += b->items[b->order[i]].n_source;
        n[1] += b->items[b->order[i]].n_target;
    }
}

static int64_t max_i64(int64_t a, int64_t b) { return a > b ? a : b; }

static int64_t min_i64(int64_t a, int64_t b) { return a < b ? a : b; }

/* Where every epoch has the same sizes they are measured; else they are what the rules allow. */
static void find_limits(weft_batches *b)
{
    weft_batches_limits *limits = &b->limits;
    limits->longest = b->spec.context > 0 ? b->spec.context : b->longest;
    if (b->varies) {
        if (b->has[WEFT_SOURCE]) limits->source_tokens = b->spec.batch_tokens;
        if (b->has[WEFT_TARGET]) limits->target_tokens = b->spec.batch_tokens;
        limits->sentences = min_i64(b->spec.batch_tokens, b->items_room);
        return;
    }
    for (int64_t i = 0; i < b->n_batches; i++) {
        int64_t n[2];
        batch_sizes(b, i, n);
        limits->source_tokens = max_i64(limits->source_tokens, n[0]);
        limits->target_tokens = max_i64(limits->target_tokens, n[1]);
        limits->sentences = max_i64(limits->sentences, b->begin[i + 1] - b->begin[i]);
    }
}

/* ---- life ----------------------------------------------------------------------------------- */

static weft_status check_dropout(const weft_corpus *corpus, const weft_batches_spec *spec)
{
    const double p = spec->bpe_dropout;
    if (!(p >= 0 && p < 1)) {
        return weft_error(WEFT_ERR_RANGE, "bpe_dropout is %g; it lies in [0, 1)", p);
    }
    for (int side = 0; p > 0 && side < 2; side++) {
        if (!weft_corpus_has(corpus, (weft_side)side)) continue;
        const weft_vocab *vocab = spec->vocabs[side];
        if (vocab && weft_vocab_get_spec(vocab).bpe && spec->context == 0) continue;
        return weft_error(WEFT_ERR_STATE,
                          "BPE-dropout needs sentences, and vocabularies with codes");
    }
    return WEFT_OK;
}

static weft_status check_spec(const weft_corpus *corpus, const weft_batches_spec *spec)
{
    const long long batch_tokens = spec->batch_tokens, max_length = spec->max_length,
                    context = spec->context;
    int64_t n;
    if (!weft_corpus_ids(corpus, WEFT_SOURCE, 0, &n) &&
        !weft_corpus_ids(corpus, WEFT_TARGET, 0, &n)) {
        return weft_error(WEFT_ERR_STATE, "the corpus is not encoded (or changed since)");
    }
    if (batch_tokens < 1 || batch_tokens > INT32_MAX / 2) {
        return weft_error(WEFT_ERR_RANGE, "batch_tokens is %lld; it lies between 1 and %d",
                          batch_tokens, INT32_MAX / 2);
    }
    if (max_length < 0 || max_length > INT32_MAX / 2) {
        return weft_error(WEFT_ERR_RANGE, "max_length is %lld; it lies between 0 and %d",
                          max_length, INT32_MAX / 2);
    }
    if (context < 0 || context > batch_tokens) {
        return weft_error(WEFT_ERR_RANGE,
                          "context is %lld; it lies between 0 and batch_tokens (%lld)", context,
                          batch_tokens);
    }
    if (context > 0 && weft_corpus_has(corpus, WEFT_SOURCE)) {
        return weft_error(WEFT_ERR_STATE, "windows are cut from text that has no source side");
    }
    if (!(spec->max_ratio == 0 || spec->max_ratio >= 1)) {
        return weft_error(WEFT_ERR_RANGE, "max_ratio is %g; it is 0 (none) or at least 1",
                          spec->max_ratio);
    }
    return check_dropout(corpus, spec);
}

/* Room for all items of any epoch, and whether these vary. */
static weft_status count_items(weft_batches *b)
{
    const int64_t n_corpus = weft_corpus_size(b->corpus), context = b->spec.context;
    double room = 0, most = 1;
    b->varies = context > 0 || b->spec.bpe_dropout > 0;
    for (int64_t i = 0; i < n_corpus; i++) {
        const double weight = b->spec.in_order ? 1 : weft_corpus_weight(b->corpus, i);
        int64_t n;
        weft_corpus_ids(b->corpus, WEFT_TARGET, i, &n);
        room += ceil(weight) * (double)(context > 0 ? n / context + 2 : 1);
        if (weight != floor(weight)) b->varies = true;
        if (weight > most) most = weight;
    }
    if (room <= INT32_MAX && ceil(most) * (double)n_corpus <= INT32_MAX) {
        b->items_room = (int64_t)room;
        return WEFT_OK;
    }
    return weft_error(WEFT_ERR_OVERFLOW, "%.0f %s in an epoch are more than fit (%d)", room,
                      context > 0 ? "windows" : "sentences", INT32_MAX);
}

static weft_status alloc_plan(weft_batches *b)
{
    const size_t room = (size_t)b->items_room;
    b->items = weft_alloc(room, sizeof *b->items);
    b->order = weft_alloc(room, sizeof *b->order);
    b->sorted = weft_alloc(room, sizeof *b->sorted);
    b->begin = weft_alloc(room + 1, sizeof *b->begin);
    b->batch_order = weft_alloc(room, sizeof *b->batch_order);
    b->kept = weft_alloc((size_t)weft_corpus_size(b->corpus), sizeof *b->kept);
    const bool done = b->items && b->order && b->sorted && b->begin && b->batch_order && b->kept;
    return done ? WEFT_OK : WEFT_ERR_MEMORY;
}

/* BPE-dropout: passing over all merges once takes as much memory as any epoch may need. */
static weft_status warm(weft_batches *b)
{
    for (int side = 0; side < 2; side++) {
        if (!b->has[side] || b->spec.bpe_dropout == 0) continue;
        b->first_id[side] = weft_alloc((size_t)b->n_kept + 1, sizeof *b->first_id[side]);
        if (!b->first_id[side]) return WEFT_ERR_MEMORY;
        weft_encoder_init(&b->cut[side], b->spec.vocabs[side]);
        const weft_status status = cut_again(b, side, 1);
        if (status != WEFT_OK) return status;
    }
    return WEFT_OK;
}

/* For sentences; with BPE-dropout after `warm`, when their cuts are the longest. */
static weft_status alloc_counts(weft_batches *b)
{
    for (int64_t k = 0; k < b->n_kept; k++) {
        for (int side = 0; side < 2; side++) {
            int64_t n;
            weft_corpus_ids(b->corpus, (weft_side)side, b->kept[k], &n);
            b->longest = max_i64(b->longest, n + 1);
            const int64_t *first = b->first_id[side];
            if (!first) continue;
            n = min_i64(first[k + 1] - first[k] + 1, length_limit(b));
            b->longest = max_i64(b->longest, n);
        }
    }
    b->counts = weft_alloc((size_t)b->longest + 2, sizeof *b->counts);
    return b->counts ? WEFT_OK : WEFT_ERR_MEMORY;
}

/* The weight of an item that could be in an epoch; 0: there is none such. */
static double weight_of_any(const weft_batches *b)
{
    if (b->n_kept > 0) return weft_corpus_weight(b->corpus, b->kept[0]);
    for (int64_t i = 0; b->spec.context > 0 && i < weft_corpus_size(b->corpus); i++) {
        int64_t n;
        weft_corpus_ids(b->corpus, WEFT_TARGET, i, &n);
        if (n > 1) return weft_corpus_weight(b->corpus, i);
    }
    return 0;
}

/* Why nothing is left to make batches of. */
static weft_status nothing_left(const weft_batches *b)
{
    const weft_batches_limits *limits = &b->limits;
    const double weight = weight_of_any(b);
    const char *limit = by_batch(b) ? "batch_tokens" : "max_length";
    if (weight > 0)
        return weft_error(WEFT_ERR_INPUT,
                          "nothing is drawn for the first epoch: weight (%g) is too small for a "
                          "text of %lld items",
                          weight, (long long)weft_corpus_size(b->corpus));
    if (b->spec.context > 0)
        return weft_error(WEFT_ERR_INPUT, "the text has no two tokens to learn from");
    if (limits->uneven == 0 && limits->dropped > 0)
        return weft_error(WEFT_ERR_INPUT, "all %lld sentences are longer than %s (%lld)",
                          (long long)limits->dropped, limit, (long long)length_limit(b));
    return weft_error(WEFT_ERR_INPUT,
                      "no sentence is left: %lld are longer than %s (%lld), %lld differ in "
                      "length by more than max_ratio (%g)",
                      (long long)limits->too_long, limit, (long long)length_limit(b),
                      (long long)limits->uneven, b->spec.max_ratio);
}

static weft_status alloc_side(const weft_batches *b, batch_side *side, int64_t n_tokens)
{
    const size_t n = (size_t)n_tokens, n_offsets = (size_t)b->limits.sentences + 1;
    side->ids = weft_alloc(n, sizeof *side->ids);
    side->labels = weft_alloc(n, sizeof *side->labels);
    side->rows = weft_alloc(2 * n, sizeof *side->rows);
    side->offsets = weft_alloc(n_offsets, sizeof *side->offsets);
    side->part_offsets = weft_alloc(n_offsets, sizeof *side->part_offsets);
    const bool done =
        side->ids && side->labels && side->rows && side->offsets && side->part_offsets;
    return done ? WEFT_OK : WEFT_ERR_MEMORY;
}

static weft_status build(weft_batches *b)
{
    weft_status status = count_items(b);
    if (status == WEFT_OK) status = alloc_plan(b);
    if (status == WEFT_OK && b->spec.context == 0) status = filter(b);
    if (status == WEFT_OK) status = warm(b);
    if (status == WEFT_OK) status = alloc_counts(b);
    if (status != WEFT_OK) return status;
    plan(b);
    if (b->n_items == 0) return nothing_left(b);
    find_limits(b);
    status = alloc_side(b, &b->side[WEFT_SOURCE], b->limits.source_tokens);
    if (status == WEFT_OK) status = alloc_side(b, &b->side[WEFT_TARGET], b->limits.target_tokens);
    return status;
}

weft_status weft_batches_new(const weft_corpus *corpus, const weft_batches_spec *spec,
                             weft_batches **batches)
{
    *batches = NULL;
    weft_status status = check_spec(corpus, spec);
    if (status != WEFT_OK) return status;
    weft_batches *b = weft_alloc(1, sizeof *b);
    if (!b) return WEFT_ERR_MEMORY;
    b->corpus = corpus;
    b->spec = *spec;
    b->has[WEFT_SOURCE] = weft_corpus_has(corpus, WEFT_SOURCE);
    b->has[WEFT_TARGET] = weft_corpus_has(corpus, WEFT_TARGET);
    status = build(b);
    if (status == WEFT_OK) {
        *batches = b;
    } else {
        weft_batches_free(b);
    }
    return status;
}

void weft_batches_free(weft_batches *b)
{
    if (!b) return;
    for (int s = 0; s < 2; s++) {
        weft_free(b->side[s].ids);
        weft_free(b->side[s].labels);
        weft_free(b->side[s].rows);
        weft_free(b->side[s].offsets);
        weft_free(b->side[s].part_offsets);
        weft_encoder_free(&b->cut[s]);
        weft_free(b->first_id[s]);
    }
    weft_free(b->kept);
    weft_free(b->items);
    weft_free(b->order);
    weft_free(b->sorted);
    weft_free(b->counts);
    weft_free(b->begin);
    weft_free(b->batch_order);
    weft_free(b);
}

/* ---- filling a batch ------------------------------------------------------------------------- */

/* Append the ids of one item at row `at`, and its row keys. */
static void put_source(batch_side *side, int64_t at, const batch_item *item)
{
    const int64_t n = item->n_source - 1;
    memcpy(side->ids + at, item->source, (size_t)n * sizeof *side->ids);
    side->ids[at + n] = WEFT_EOS;
}

static void put_target(batch_side *side, int64_t at, const batch_item *item, bool window)
{
    if (window) {
        const size_t n_bytes = (size_t)item->n_target * sizeof *side->ids;
        memcpy(side->ids + at, item->target, n_bytes);
        memcpy(side->labels + at, item->target + 1, n_bytes);
        return;
    }
    const int64_t n = item->n_target - 1;
    side->ids[at] = WEFT_BOS;
    memcpy(side->ids + at + 1, item->target, (size_t)n * sizeof *side->ids);
    memcpy(side->labels + at, item->target, (size_t)n * sizeof *side->labels);
    side->labels[at + n] = WEFT_EOS;
}

static weft_tokens fill_side(weft_batches *b, int s, int64_t first, int64_t last)
{
    batch_side *side = &b->side[s];
    int64_t at = 0;
    for (int64_t i = first; i < last; i++) {
        const batch_item *item = &b->items[b->order[i]];
        side->offsets[i - first] = (int32_t)at;
        if (s == WEFT_SOURCE) {
            put_source(side, at, item);
        } else {
            put_target(side, at, item, b->spec.context > 0);
        }
        for (int32_t position = 0; position < length_of(item, s); position++, at++) {
            side->rows[2 * at] = item->number;
            side->rows[2 * at + 1] = position;
        }
    }
    side->offsets[last - first] = (int32_t)at;
    return (weft_tokens){ last - first, at, side->ids, side->offsets, side->rows };
}

static void fill(weft_batches *b, int64_t index, weft_batch *batch)
{
    const int64_t first = b->begin[b->batch_order[index]];
    const int64_t last = b->begin[b->batch_order[index] + 1];
    *batch = (weft_batch){ .labels = NULL };
    if (b->has[WEFT_SOURCE]) batch->source = fill_side(b, WEFT_SOURCE, first, last);
    if (!b->has[WEFT_TARGET]) return;
    batch->target = fill_side(b, WEFT_TARGET, first, last);
    batch->labels = b->side[WEFT_TARGET].labels;
}

static void go_to_epoch(weft_batches *b, int64_t epoch)
{
    if (b->epoch == epoch) return;
    b->epoch = epoch;
    plan(b);
}

void weft_batches_next(weft_batches *b, weft_batch *batch)
{
    fill(b, b->index++, batch);
    if (b->index < b->n_batches) return;
    do go_to_epoch(b, b->epoch + 1);
    while (b->n_batches == 0);
    b->index = 0;
}

void weft_batches_position(const weft_batches *b, int64_t *epoch, int64_t *index)
{
    *epoch = b->epoch;
    *index = b->index;
}

weft_status weft_batches_seek(weft_batches *b, int64_t epoch, int64_t index)
{
    if (epoch < 0) return weft_error(WEFT_ERR_RANGE, "epoch %lld is negative", (long long)epoch);
    const int64_t epoch_before = b->epoch;
    go_to_epoch(b, epoch);
    if (index < 0 || index >= b->n_batches) {
        const weft_status status =
            weft_error(WEFT_ERR_RANGE, "epoch %lld has batches 0 .. %lld, and not %lld",
                       (long long)epoch, (long long)b->n_batches - 1, (long long)index);
        go_to_epoch(b, epoch_before);
        return status;
    }
    b->index = index;
    return WEFT_OK;
}

int64_t weft_batches_count(const weft_batches *b) { return b->n_batches; }

weft_status weft_batches_get(weft_batches *b, int64_t index, weft_batch *batch)
{
    if (index < 0 || index >= b->n_batches) {
        return weft_error(WEFT_ERR_RANGE, "the epoch has batches 0 .. %lld, and not %lld",
                          (long long)b->n_batches - 1, (long long)index);
    }
    fill(b, index, batch);
    return WEFT_OK;
}

weft_batches_limits weft_batches_get_limits(const weft_batches *b) { return b->limits; }

void weft_batches_largest(weft_batches *b, weft_batch *batch)
{
    int64_t largest = 0, most = 0;
    for (int64_t i = 0; i < b->n_batches; i++) {
        int64_t n[2];
        batch_sizes(b, i, n);
        if (n[0] + n[1] <= most) continue;
        most = n[0] + n[1];
        largest = i;
    }
    fill(b, largest, batch);
    batch->source.longest = batch->target.longest = b->limits.longest;
}

/* ---- parts of a batch ------------------------------------------------------------------------ */

/* The sentence where part j of k begins: the first whose middle lies beyond j/k of the tokens. */
static int64_t part_begin(const weft_tokens *tokens, int64_t k, int64_t j)
{
    int64_t sentence = 0;
    while (sentence < tokens->B) {
        const int64_t twice_middle =
            (int64_t)tokens->offsets[sentence] + tokens->offsets[sentence + 1];
        if ((double)twice_middle * (double)k >= 2.0 * (double)j * (double)tokens->N) break;
        sentence++;
    }
    return sentence;
}

static weft_tokens part_side(batch_side *side, const weft_tokens *from, int64_t first, int64_t last)
{
    if (from->B == 0) return (weft_tokens){ .B = 0 };
    const int32_t start = from->offsets[first];
    for (int64_t i = first; i <= last; i++) {
        side->part_offsets[i - first] = from->offsets[i] - start;
    }
    return (weft_tokens){ last - first, from->offsets[last] - start, from->ids + start,
                          side->part_offsets, from->rows + 2 * (int64_t)start };
}

weft_status weft_batches_part(weft_batches *b, const weft_batch *batch, int64_t k, int64_t j,
                              weft_batch *part)
{
    if (k < 1 || j < 0 || j >= k) {
        return weft_error(WEFT_ERR_RANGE, "part %lld of %lld parts", (long long)j, (long long)k);
    }
    const weft_tokens *measure = batch->target.B > 0 ? &batch->target : &batch->source;
    const int64_t first = part_begin(measure, k, j);
    const int64_t last = j + 1 == k ? measure->B : part_begin(measure, k, j + 1);
    part->source = part_side(&b->side[WEFT_SOURCE], &batch->source, first, last);
    part->target = part_side(&b->side[WEFT_TARGET], &batch->target, first, last);
    part->labels = batch->labels ? batch->labels + batch->target.offsets[first] : NULL;
    return WEFT_OK;
}
