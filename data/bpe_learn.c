/* bpe_learn.c - which merges a text teaches.
 *
 * Each pair of neighbouring symbols has its count over the text and the words that it was seen in.
 * A merge changes these words alone: they are counted anew. A heap gives the most frequent pair; a
 * count that has fallen since it was put there is found out when it comes to the top. */
#include "data/bpe_internal.h"

#include <assert.h>
#include <string.h>

#include "data/grow_internal.h"
#include "data/vocab_internal.h"

typedef struct pair {
    int32_t left, right;
    int64_t count;  /* "x x x" has (x, x) twice */
    int64_t queued; /* the count that the heap has for it; 0: none */
    bool touched;   /* by the present merge */
    int32_t *words; /* [n_words] that it has been in; some may have it no more */
    size_t n_words, words_room;
} pair;

typedef struct word {
    size_t begin; /* of its symbols */
    int32_t n;    /* of them */
    int64_t count;
} word;

typedef struct queued_pair {
    int64_t count;
    int32_t pair;
} queued_pair;

typedef struct learner {
    weft_strings symbols;
    word *words;
    size_t n_words;
    int32_t *text; /* the symbols of all words */
    pair *pairs;
    size_t n_pairs, pairs_room;
    weft_pairs table; /* two symbols -> number of the pair */
    int32_t *touched; /* [n_touched] pairs */
    size_t n_touched, touched_room;
    queued_pair *heap; /* [n_heap] the most frequent on top */
    size_t n_heap, heap_room;
    char *joined; /* of two symbols */
    size_t joined_room;
} learner;

static void end(learner *l)
{
    for (size_t i = 0; i < l->n_pairs; i++) weft_free(l->pairs[i].words);
    weft_strings_free(&l->symbols);
    weft_free(l->words);
    weft_free(l->text);
    weft_free(l->pairs);
    weft_free(l->table.slots);
    weft_free(l->touched);
    weft_free(l->heap);
    weft_free(l->joined);
}

/* ---- counts ---------------------------------------------------------------------------------- */

static weft_status find_pair(learner *l, int32_t left, int32_t right, pair **found)
{
    int32_t number = weft_pairs_find(&l->table, left, right);
    if (number < 0) {
        pair *pairs = weft_grow(l->pairs, &l->pairs_room, l->n_pairs + 1, sizeof *pairs);
        if (!pairs) return WEFT_ERR_MEMORY;
        l->pairs = pairs;
        number = (int32_t)l->n_pairs;
        const weft_status status = weft_pairs_put(&l->table, left, right, number);
        if (status != WEFT_OK) return status;
        pairs[l->n_pairs++] = (pair){ .left = left, .right = right };
    }
    *found = &l->pairs[number];
    return WEFT_OK;
}

static weft_status touch(learner *l, pair *p)
{
    if (p->touched) return WEFT_OK;
    int32_t *touched = weft_grow(l->touched, &l->touched_room, l->n_touched + 1, sizeof *touched);
    if (!touched) return WEFT_ERR_MEMORY;
    l->touched = touched;
    touched[l->n_touched++] = (int32_t)(p - l->pairs);
    p->touched = true;
    return WEFT_OK;
}

/* A word's number joins those of a pair. */
static weft_status note_word(pair *p, int32_t number)
{
    if (p->n_words > 0 && p->words[p->n_words - 1] == number) return WEFT_OK;
    int32_t *words = weft_grow(p->words, &p->words_room, p->n_words + 1, sizeof *words);
    if (!words) return WEFT_ERR_MEMORY;
    p->words = words;
    words[p->n_words++] = number;
    return WEFT_OK;
}

enum { ALL = -1 };

/* Count the pairs of a word (sign = 1), or take them out of the counts (-1). Those that have part in
 * the symbol `made`, or ALL, are new there. */
static weft_status count_word(learner *l, int32_t number, int sign, int32_t made)
{
    assert(l->words);
    const word *w = &l->words[number];
    const int32_t *s = l->text + w->begin;
    for (int32_t i = 1; i < w->n; i++) {
        pair *p;
        weft_status status = find_pair(l, s[i - 1], s[i], &p);
        if (status == WEFT_OK) status = touch(l, p);
        const bool is_new = sign > 0 && (made == ALL || s[i - 1] == made || s[i] == made);
        if (status == WEFT_OK && is_new) status = note_word(p, number);
        if (status != WEFT_OK) return status;
        p->count += sign * w->count;
    }
    return WEFT_OK;
}

/* ---- the heap -------------------------------------------------------------------------------- */

/* Of equal counts the pair that comes last in the order of its symbols is first. */
static bool comes_before(const learner *l, queued_pair a, queued_pair b)
{
    if (a.count != b.count) return a.count > b.count;
    const pair *x = &l->pairs[a.pair], *y = &l->pairs[b.pair];
    int order = weft_strings_compare(&l->symbols, x->left, y->left);
    if (order == 0) order = weft_strings_compare(&l->symbols, x->right, y->right);
    return order > 0;
}

static weft_status push(learner *l, int32_t number)
{
    queued_pair *heap = weft_grow(l->heap, &l->heap_room, l->n_heap + 1, sizeof *heap);
    if (!heap) return WEFT_ERR_MEMORY;
    l->heap = heap;
    const queued_pair entry = { l->pairs[number].count, number };
    l->pairs[number].queued = entry.count;
    size_t i = l->n_heap++;
    for (size_t parent; i > 0; i = parent) {
        parent = (i - 1) / 2;
        if (!comes_before(l, entry, heap[parent])) break;
        heap[i] = heap[parent];
    }
    heap[i] = entry;
    return WEFT_OK;
}

static queued_pair pop(learner *l)
{
    const queued_pair top = l->heap[0], last = l->heap[--l->n_heap];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < l->n_heap; i = child) {
        if (child + 1 < l->n_heap && comes_before(l, l->heap[child + 1], l->heap[child])) child++;
        if (!comes_before(l, l->heap[child], last)) break;
        l->heap[i] = l->heap[child];
    }
    l->heap[i] = last;
    return top;
}

/* Queue the pairs whose counts have risen. */
static weft_status push_touched(learner *l)
{
    for (size_t i = 0; i < l->n_touched; i++) {
        const int32_t number = l->touched[i];
        pair *p = &l->pairs[number];
        p->touched = false;
        const weft_status status = p->count > p->queued ? push(l, number) : WEFT_OK;
        if (status != WEFT_OK) return status;
    }
    l->n_touched = 0;
    return WEFT_OK;
}

/* The most frequent pair; NULL where none is left. */
static weft_status most_frequent(learner *l, pair **best)
{
    *best = NULL;
    while (l->n_heap > 0) {
        const queued_pair top = pop(l);
        pair *p = &l->pairs[top.pair];
        if (top.count != p->queued) continue; /* queued again since, with more */
        p->queued = 0;
        if (top.count == p->count) {
            *best = p;
            return WEFT_OK;
        }
        const weft_status status = p->count > 0 ? push(l, top.pair) : WEFT_OK;
        if (status != WEFT_OK) return status;
    }
    return WEFT_OK;
}

/* ---- one merge ------------------------------------------------------------------------------- */

static bool has_pair(const learner *l, const word *w, int32_t left, int32_t right)
{
    const int32_t *s = l->text + w->begin;
    for (int32_t i = 1; i < w->n; i++) {
        if (s[i - 1] == left && s[i] == right) return true;
    }
    return false;
}

static weft_status merge_in_word(learner *l, int32_t number, int32_t left, int32_t right,
                                 int32_t made)
{
    word *w = &l->words[number];
    if (!has_pair(l, w, left, right)) return WEFT_OK;
    const weft_status status = count_word(l, number, -1, made);
    if (status != WEFT_OK) return status;
    int32_t *s = l->text + w->begin, n = 0;
    for (int32_t i = 0; i < w->n; n++) {
        const bool here = i + 1 < w->n && s[i] == left && s[i + 1] == right;
        s[n] = here ? made : s[i];
        i += here ? 2 : 1;
    }
    w->n = n;
    return count_word(l, number, 1, made);
}

static weft_status join(learner *l, int32_t left, int32_t right, int32_t *made)
{
    const size_t n_left = l->symbols.at[left].n_bytes, n_right = l->symbols.at[right].n_bytes;
    char *joined = weft_grow(l->joined, &l->joined_room, n_left + n_right, 1);
    if (!joined) return WEFT_ERR_MEMORY;
    l->joined = joined;
    memcpy(joined, weft_strings_text(&l->symbols, left), n_left);
    memcpy(joined + n_left, weft_strings_text(&l->symbols, right), n_right);
    return weft_strings_intern(&l->symbols, joined, n_left + n_right, made, NULL);
}

static weft_status merge(learner *l, const pair *p)
{
    const int32_t left = p->left, right = p->right, number = (int32_t)(p - l->pairs);
    int32_t made;
    weft_status status = join(l, left, right, &made);
    if (status != WEFT_OK) return status;
    /* Of these words none gets the pair again, so its list does not grow meanwhile. */
    for (size_t i = 0; i < l->pairs[number].n_words && status == WEFT_OK; i++) {
        status = merge_in_word(l, l->pairs[number].words[i], left, right, made);
    }
    return status == WEFT_OK ? push_touched(l) : status;
}

/* ---- from words to merges -------------------------------------------------------------------- */

/* The next character of a word; with the end of the word where it is the last. */
static weft_status intern_character(learner *l, const char *text, size_t n_bytes, bool last,
                                    int32_t *symbol)
{
    char both[4 + WEFT_BPE_WORD_END_BYTES];
    memcpy(both, text, n_bytes);
    if (last) memcpy(both + n_bytes, WEFT_BPE_WORD_END, WEFT_BPE_WORD_END_BYTES);
    const size_t n = n_bytes + (last ? WEFT_BPE_WORD_END_BYTES : 0);
    return weft_strings_intern(&l->symbols, both, n, symbol, NULL);
}

static weft_status split_word(learner *l, const char *text, size_t n_bytes, word *w)
{
    int32_t *s = l->text + w->begin;
    for (size_t i = 0, n_char; i < n_bytes; i += n_char) {
        n_char = 1;
        while (i + n_char < n_bytes && ((unsigned char)text[i + n_char] & 0xC0) == 0x80) n_char++;
        const bool last = i + n_char == n_bytes;
        const weft_status status = intern_character(l, text + i, n_char, last, &s[w->n]);
        if (status != WEFT_OK) return status;
        w->n++;
    }
    return WEFT_OK;
}

static weft_status take_words(learner *l, const weft_vocab *vocab)
{
    size_t n_bytes = 0;
    l->n_words = weft_vocab_counted(vocab);
    for (size_t i = 0; i < l->n_words; i++) {
        const weft_counted counted = weft_vocab_counted_at(vocab, i);
        if (counted.n_bytes > INT32_MAX) {
            return weft_error(WEFT_ERR_OVERFLOW, "a word of %zu bytes is too long",
                              counted.n_bytes);
        }
        n_bytes += counted.n_bytes;
    }
    l->words = weft_alloc(l->n_words, sizeof *l->words);
    l->text = weft_alloc(n_bytes, sizeof *l->text);
    if (!l->words || !l->text) return WEFT_ERR_MEMORY;
    size_t begin = 0;
    for (size_t i = 0; i < l->n_words; i++) {
        const weft_counted counted = weft_vocab_counted_at(vocab, i);
        l->words[i] = (word){ .begin = begin, .count = counted.count };
        const weft_status status = split_word(l, counted.token, counted.n_bytes, &l->words[i]);
        if (status != WEFT_OK) return status;
        begin += (size_t)l->words[i].n;
    }
    return WEFT_OK;
}

static weft_status count_words(learner *l)
{
    weft_status status = WEFT_OK;
    for (size_t i = 0; i < l->n_words && status == WEFT_OK; i++) {
        status = count_word(l, (int32_t)i, 1, ALL);
    }
    return status == WEFT_OK ? push_touched(l) : status;
}

static weft_status add(weft_bpe *bpe, const learner *l, const pair *p)
{
    const weft_string *left = &l->symbols.at[p->left], *right = &l->symbols.at[p->right];
    return weft_bpe_add(bpe, l->symbols.bytes + left->begin, left->n_bytes,
                        l->symbols.bytes + right->begin, right->n_bytes);
}

static weft_status learn(learner *l, const weft_vocab *words, const weft_bpe_spec *spec,
                         weft_bpe *bpe)
{
    weft_status status = take_words(l, words);
    const int64_t n_characters = (int64_t)l->symbols.n;
    if (status == WEFT_OK) status = count_words(l);
    const int64_t n = spec->merges > 0 ? spec->merges : spec->vocab_size - n_characters;
    const int64_t min_count = spec->min_count > 0 ? spec->min_count : 2;
    for (int64_t i = 0; i < n && status == WEFT_OK; i++) {
        pair *best;
        status = most_frequent(l, &best);
        if (status != WEFT_OK || !best || best->count < min_count) break;
        status = add(bpe, l, best);
        if (status == WEFT_OK) status = merge(l, best);
    }
    return status;
}

weft_status weft_bpe_learn(const weft_vocab *words, const weft_bpe_spec *spec, weft_bpe **bpe)
{
    *bpe = NULL;
    const bool wrong = spec->merges < 0 || spec->vocab_size < 0 || spec->min_count < 0;
    if (wrong || (spec->merges > 0) == (spec->vocab_size > 0) || spec->merges > INT32_MAX) {
        return weft_error(WEFT_ERR_RANGE,
                          "BPE: merges is %lld, vocab_size %lld, min_count %lld: one of the first "
                          "two is needed, and none may be negative",
                          (long long)spec->merges, (long long)spec->vocab_size,
                          (long long)spec->min_count);
    }
    const weft_vocab_spec of = weft_vocab_get_spec(words);
    if (weft_vocab_is_built(words) || of.tokens == WEFT_TOKENS_CHARS || of.bpe) {
        return weft_error(WEFT_ERR_STATE,
                          "BPE is learnt from words that were counted, before ids are given out");
    }
    learner l = { .n_words = 0 };
    weft_bpe *learnt = weft_bpe_new();
    const weft_status status = learnt ? learn(&l, words, spec, learnt) : WEFT_ERR_MEMORY;
    end(&l);
    if (status == WEFT_OK) {
        *bpe = learnt;
    } else {
        weft_bpe_free(learnt);
    }
    return status;
}
