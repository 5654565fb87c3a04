/* vocab.c - counting tokens, giving them ids, text to ids and back. */
#include "data/vocab.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "data/grow_internal.h"
#include "data/text.h"
#include "data/vocab_internal.h"

typedef struct token_entry {
    uint64_t hash;
    size_t begin, n_bytes; /* in `bytes`, followed by a NUL */
    int64_t count;         /* while counting */
} token_entry;

/* Entry i is the token of id i; the first three are the specials, which no text can find. */
struct weft_vocab {
    weft_vocab_spec spec;
    bool built;
    char *bytes; /* all tokens, each followed by a NUL */
    size_t bytes_used, bytes_room;
    token_entry *entries;
    size_t n_entries, entries_room;
    int32_t *slots; /* [n_slots], a power of two: id of an entry, or 0 for none; linear probing */
    size_t n_slots;
    weft_token_walk walk; /* for counting */
};

static const char *const special_names[WEFT_N_SPECIALS] = { "<unk>", "<s>", "</s>" };
static const char *const kind_names[] = { "space", "punct", "chars" };
enum { N_KINDS = sizeof kind_names / sizeof kind_names[0], FIRST_SLOTS = 1024 };

const char *weft_tokens_kind_name(weft_tokens_kind kind)
{
    return (unsigned)kind < N_KINDS ? kind_names[kind] : "unknown";
}

weft_status weft_tokens_kind_parse(const char *name, weft_tokens_kind *kind)
{
    for (int i = 0; i < N_KINDS; i++) {
        if (strcmp(name, kind_names[i]) != 0) continue;
        *kind = (weft_tokens_kind)i;
        return WEFT_OK;
    }
    return weft_error(WEFT_ERR_INPUT, "tokens are space, punct or chars, not \"%s\"", name);
}

/* ---- the table ------------------------------------------------------------------------------ */

static const char *token_of(const weft_vocab *vocab, size_t id)
{
    return vocab->bytes + vocab->entries[id].begin;
}

/* The slot where this token is, or the free one where it belongs. */
static size_t find_slot(const weft_vocab *vocab, const char *token, size_t n_bytes, uint64_t hash)
{
    const size_t mask = vocab->n_slots - 1;
    size_t slot = (size_t)hash & mask;
    while (vocab->slots[slot] != 0) {
        const token_entry *entry = &vocab->entries[vocab->slots[slot]];
        if (entry->hash == hash && entry->n_bytes == n_bytes &&
            memcmp(vocab->bytes + entry->begin, token, n_bytes) == 0) {
            break;
        }
        slot = (slot + 1) & mask;
    }
    return slot;
}

/* A new table of n_slots for the entries there are. */
static weft_status rehash(weft_vocab *vocab, size_t n_slots)
{
    int32_t *slots = weft_alloc(n_slots, sizeof *slots);
    if (!slots) return WEFT_ERR_MEMORY;
    weft_free(vocab->slots);
    vocab->slots = slots;
    vocab->n_slots = n_slots;
    for (size_t id = WEFT_N_SPECIALS; id < vocab->n_entries; id++) {
        const token_entry *entry = &vocab->entries[id];
        slots[find_slot(vocab, token_of(vocab, id), entry->n_bytes, entry->hash)] = (int32_t)id;
    }
    return WEFT_OK;
}

/* Append an entry; the caller puts it into a slot. */
static weft_status append(weft_vocab *vocab, const char *token, size_t n_bytes, uint64_t hash)
{
    if (vocab->n_entries >= INT32_MAX / 2) {
        return weft_error(WEFT_ERR_OVERFLOW, "a vocabulary has at most %d different tokens",
                          INT32_MAX / 2);
    }
    token_entry *entries =
        weft_grow(vocab->entries, &vocab->entries_room, vocab->n_entries + 1, sizeof *entries);
    if (!entries) return WEFT_ERR_MEMORY;
    vocab->entries = entries;
    char *bytes = weft_grow(vocab->bytes, &vocab->bytes_room, vocab->bytes_used + n_bytes + 1, 1);
    if (!bytes) return WEFT_ERR_MEMORY;
    vocab->bytes = bytes;

    memcpy(bytes + vocab->bytes_used, token, n_bytes);
    bytes[vocab->bytes_used + n_bytes] = '\0';
    entries[vocab->n_entries++] = (token_entry){ hash, vocab->bytes_used, n_bytes, 0 };
    vocab->bytes_used += n_bytes + 1;
    return WEFT_OK;
}

/* The id of a token, given a new one if need be; *is_new tells. */
static weft_status intern(weft_vocab *vocab, const char *token, size_t n_bytes, size_t *id,
                          bool *is_new)
{
    if (2 * (vocab->n_entries + 1) > vocab->n_slots) {
        const weft_status status = rehash(vocab, 2 * vocab->n_slots);
        if (status != WEFT_OK) return status;
    }
    const uint64_t hash = XXH3_64bits(token, n_bytes);
    const size_t slot = find_slot(vocab, token, n_bytes, hash);
    *is_new = vocab->slots[slot] == 0;
    if (*is_new) {
        const weft_status status = append(vocab, token, n_bytes, hash);
        if (status != WEFT_OK) return status;
        vocab->slots[slot] = (int32_t)(vocab->n_entries - 1);
    }
    *id = (size_t)vocab->slots[slot];
    return WEFT_OK;
}

/* ---- life ----------------------------------------------------------------------------------- */

static weft_status append_specials(weft_vocab *vocab)
{
    for (int i = 0; i < WEFT_N_SPECIALS; i++) {
        const weft_status status = append(vocab, special_names[i], strlen(special_names[i]), 0);
        if (status != WEFT_OK) return status;
    }
    return WEFT_OK;
}

weft_status weft_vocab_new(const weft_vocab_spec *spec, weft_vocab **vocab)
{
    *vocab = NULL;
    if ((unsigned)spec->tokens >= N_KINDS || spec->min_count < 0 || spec->max_size < 0 ||
        (spec->max_size > 0 && spec->max_size <= WEFT_N_SPECIALS)) {
        return weft_error(
            WEFT_ERR_RANGE,
            "vocabulary: tokens is %d (0 .. %d), min_count %lld (>= 0), max_size %lld "
            "(0, or more than the %d specials)",
            (int)spec->tokens, N_KINDS - 1, (long long)spec->min_count, (long long)spec->max_size,
            WEFT_N_SPECIALS);
    }
    weft_vocab *fresh = weft_alloc(1, sizeof *fresh);
    if (!fresh) return WEFT_ERR_MEMORY;
    fresh->spec = *spec;
    fresh->walk = weft_vocab_walk(fresh);
    weft_status status = append_specials(fresh);
    if (status == WEFT_OK) status = rehash(fresh, FIRST_SLOTS);
    if (status == WEFT_OK) {
        *vocab = fresh;
    } else {
        weft_vocab_free(fresh);
    }
    return status;
}

void weft_vocab_free(weft_vocab *vocab)
{
    if (!vocab) return;
    weft_token_end(&vocab->walk);
    weft_free(vocab->bytes);
    weft_free(vocab->entries);
    weft_free(vocab->slots);
    weft_free(vocab);
}

static weft_status check_text(const char *text)
{
    const size_t n_bytes = strlen(text), bad = weft_utf8_check(text, n_bytes);
    if (bad == n_bytes) return WEFT_OK;
    return weft_error(WEFT_ERR_INPUT, "byte %zu of the text (0x%02X) is not valid UTF-8", bad + 1,
                      (unsigned)(unsigned char)text[bad]);
}

weft_status weft_vocab_count(weft_vocab *vocab, const char *text)
{
    if (vocab->built) {
        return weft_error(WEFT_ERR_STATE, "the vocabulary is built: nothing more can be counted");
    }
    weft_status status = check_text(text);
    if (status != WEFT_OK) return status;
    weft_token_walk *walk = &vocab->walk;
    weft_token_start(walk, text);
    for (;;) {
        status = weft_token_next(walk);
        if (status != WEFT_OK || !walk->token) return status;
        size_t id;
        bool is_new;
        status = intern(vocab, walk->token, walk->n_bytes, &id, &is_new);
        if (status != WEFT_OK) return status;
        vocab->entries[id].count++;
    }
}

typedef struct ranked_token {
    int64_t count;
    const char *token;
    size_t n_bytes;
    uint64_t hash;
} ranked_token;

static int by_rank(const void *left, const void *right)
{
    const ranked_token *a = left, *b = right;
    if (a->count != b->count) return a->count > b->count ? -1 : 1;
    return strcmp(a->token, b->token); /* bytes as unsigned; tokens hold no NUL and differ */
}

weft_status weft_vocab_build(weft_vocab *vocab)
{
    if (vocab->built) return weft_error(WEFT_ERR_STATE, "the vocabulary is built already");
    const size_t n = vocab->n_entries - WEFT_N_SPECIALS;
    ranked_token *ranked = weft_alloc(n, sizeof *ranked);
    if (!ranked) return WEFT_ERR_MEMORY;
    size_t n_kept = 0;
    for (size_t id = WEFT_N_SPECIALS; id < vocab->n_entries; id++) {
        const token_entry *e = &vocab->entries[id];
        if (e->count < vocab->spec.min_count) continue;
        ranked[n_kept++] = (ranked_token){ e->count, token_of(vocab, id), e->n_bytes, e->hash };
    }
    qsort(ranked, n_kept, sizeof *ranked, by_rank);
    const int64_t max_kept = vocab->spec.max_size - WEFT_N_SPECIALS;
    if (vocab->spec.max_size > 0 && (int64_t)n_kept > max_kept) n_kept = (size_t)max_kept;

    /* A second vocabulary takes the chosen ones in order, then changes places with this one, so
     * that a failure leaves the counts as they were. */
    weft_vocab *built;
    weft_status status = weft_vocab_new(&vocab->spec, &built);
    assert(built || status != WEFT_OK);
    for (size_t i = 0; i < n_kept && status == WEFT_OK; i++) {
        status = append(built, ranked[i].token, ranked[i].n_bytes, ranked[i].hash);
    }
    weft_free(ranked);
    size_t n_slots = FIRST_SLOTS;
    while (n_slots < 2 * (n_kept + WEFT_N_SPECIALS)) n_slots *= 2;
    if (status == WEFT_OK) status = rehash(built, n_slots);
    if (status == WEFT_OK) {
        const weft_vocab counted = *vocab;
        *vocab = *built;
        *built = counted;
        vocab->built = true;
    }
    weft_vocab_free(built);
    return status;
}

bool weft_vocab_is_built(const weft_vocab *vocab) { return vocab->built; }

int64_t weft_vocab_size(const weft_vocab *vocab) { return (int64_t)vocab->n_entries; }

weft_vocab_spec weft_vocab_get_spec(const weft_vocab *vocab) { return vocab->spec; }

const char *weft_vocab_token(const weft_vocab *vocab, int64_t id)
{
    if (id < 0 || id >= (int64_t)vocab->n_entries) return NULL;
    return token_of(vocab, (size_t)id);
}

static int32_t id_of(const weft_vocab *vocab, const char *token, size_t n_bytes)
{
    return vocab->slots[find_slot(vocab, token, n_bytes, XXH3_64bits(token, n_bytes))];
}

int32_t weft_vocab_id(const weft_vocab *vocab, const char *token)
{
    return id_of(vocab, token, strlen(token));
}

/* ---- text to ids and back -------------------------------------------------------------------- */

weft_token_walk weft_vocab_walk(const weft_vocab *vocab)
{
    return (weft_token_walk){ .kind = vocab->spec.tokens, .lowercase = vocab->spec.lowercase };
}

weft_status weft_vocab_encode_with(const weft_vocab *vocab, weft_token_walk *walk, const char *text,
                                   int32_t *ids, int64_t *n_ids)
{
    int64_t n = 0;
    weft_token_start(walk, text);
    weft_status status;
    while ((status = weft_token_next(walk)) == WEFT_OK && walk->token) {
        ids[n++] = id_of(vocab, walk->token, walk->n_bytes);
    }
    *n_ids = n;
    return status;
}

weft_status weft_vocab_encode(const weft_vocab *vocab, const char *text, int32_t *ids,
                              int64_t *n_ids)
{
    *n_ids = 0;
    if (!vocab->built) {
        return weft_error(WEFT_ERR_STATE, "the vocabulary is not built: it has no ids yet");
    }
    weft_status status = check_text(text);
    if (status != WEFT_OK) return status;
    weft_token_walk walk = weft_vocab_walk(vocab);
    status = weft_vocab_encode_with(vocab, &walk, text, ids, n_ids);
    weft_token_end(&walk);
    return status;
}

weft_status weft_vocab_decode(const weft_vocab *vocab, const int32_t *ids, int64_t n_ids,
                              char **text)
{
    *text = NULL;
    size_t need = 1;
    for (int64_t i = 0; i < n_ids; i++) {
        if (ids[i] < 0 || (size_t)ids[i] >= vocab->n_entries) {
            return weft_error(WEFT_ERR_RANGE,
                              "id %d at place %lld is not in the vocabulary (0 .. %zu)",
                              (int)ids[i], (long long)i, vocab->n_entries - 1);
        }
        need += vocab->entries[ids[i]].n_bytes + 1;
    }
    char *out = weft_alloc(need, 1);
    if (!out) return WEFT_ERR_MEMORY;
    size_t n = 0;
    bool glued = true;
    for (int64_t i = 0; i < n_ids; i++) {
        if (ids[i] == WEFT_BOS || ids[i] == WEFT_EOS) continue;
        const token_entry *entry = &vocab->entries[ids[i]];
        weft_token_join(vocab->spec.tokens, vocab->bytes + entry->begin, entry->n_bytes, &glued,
                        out, &n);
    }
    out[n] = '\0';
    *text = out;
    return WEFT_OK;
}

/* ---- as a block of text ---------------------------------------------------------------------- */

enum { HEADER_BYTES = 64 };

static void write_header(const weft_vocab_spec *spec, char header[HEADER_BYTES])
{
    snprintf(header, HEADER_BYTES, "weft-vocab 1 tokens=%s lowercase=%d",
             weft_tokens_kind_name(spec->tokens), spec->lowercase);
}

char *weft_vocab_write(const weft_vocab *vocab)
{
    char header[HEADER_BYTES];
    write_header(&vocab->spec, header);
    size_t need =
        strlen(header) + 2 + vocab->bytes_used; /* a token's NUL makes room for its '\n' */
    for (size_t i = 0; i < vocab->bytes_used; i++) {
        need += vocab->bytes[i] == '\n' || vocab->bytes[i] == '\\';
    }
    char *text = weft_alloc(need, 1);
    if (!text) return NULL;
    char *out = text + snprintf(text, need, "%s\n", header);
    for (size_t id = 0; id < vocab->n_entries; id++) {
        for (const char *c = token_of(vocab, id); *c; c++) {
            if (*c == '\n' || *c == '\\') *out++ = '\\';
            *out++ = *c == '\n' ? 'n' : *c;
        }
        *out++ = '\n';
    }
    *out = '\0';
    return text;
}

/* Undo the escapes of a line in place. */
static bool unescape(char *line, size_t *n_bytes)
{
    size_t n = 0;
    for (size_t i = 0; i < *n_bytes; i++, n++) {
        line[n] = line[i];
        if (line[i] != '\\') continue;
        if (++i == *n_bytes || (line[i] != 'n' && line[i] != '\\')) return false;
        line[n] = line[i] == 'n' ? '\n' : '\\';
    }
    *n_bytes = n;
    return true;
}

static weft_status parse_header(const char *line, size_t n_bytes, const char *name,
                                weft_vocab_spec *spec)
{
    for (int i = 0; i < 2 * N_KINDS; i++) {
        char header[HEADER_BYTES];
        *spec = (weft_vocab_spec){ .tokens = (weft_tokens_kind)(i / 2), .lowercase = i % 2 };
        write_header(spec, header);
        if (n_bytes == strlen(header) && memcmp(line, header, n_bytes) == 0) return WEFT_OK;
    }
    return weft_error(WEFT_ERR_FORMAT, "%s:1: not the first line of a vocabulary of weft", name);
}

static weft_status parse_token(weft_vocab *vocab, char *line, size_t n_bytes, const char *name,
                               int64_t number)
{
    const char *wrong = NULL;
    const int64_t id = number - 2;
    if (id < WEFT_N_SPECIALS) {
        const char *special = special_names[id];
        if (n_bytes == strlen(special) && memcmp(line, special, n_bytes) == 0) return WEFT_OK;
        return weft_error(WEFT_ERR_FORMAT, "%s:%lld: %s is missing", name, (long long)number,
                          special);
    }
    if (n_bytes == 0) {
        wrong = "empty token";
    } else if (weft_utf8_check(line, n_bytes) != n_bytes) {
        wrong = "the token is not valid UTF-8";
    } else if (!unescape(line, &n_bytes)) {
        wrong = "after a backslash stands n or another backslash";
    }
    if (wrong) {
        return weft_error(WEFT_ERR_FORMAT, "%s:%lld: %s", name, (long long)number, wrong);
    }
    size_t found;
    bool is_new;
    const weft_status status = intern(vocab, line, n_bytes, &found, &is_new);
    if (status != WEFT_OK || is_new) return status;
    return weft_error(WEFT_ERR_FORMAT, "%s:%lld: the token of line %zu again", name,
                      (long long)number, found + 2);
}

/* `text` is a copy that may be written to. */
static weft_status parse_lines(char *text, const char *name, weft_vocab **vocab)
{
    int64_t number = 0;
    for (char *line = text, *end; *line; line = end + 1) {
        number++;
        end = strchr(line, '\n');
        if (!end) {
            return weft_error(WEFT_ERR_FORMAT, "%s:%lld: the vocabulary is cut off", name,
                              (long long)number);
        }
        weft_status status;
        if (number == 1) {
            weft_vocab_spec spec;
            status = parse_header(line, (size_t)(end - line), name, &spec);
            if (status == WEFT_OK) status = weft_vocab_new(&spec, vocab);
        } else {
            assert(*vocab);
            status = parse_token(*vocab, line, (size_t)(end - line), name, number);
        }
        if (status != WEFT_OK) return status;
    }
    if (number > WEFT_N_SPECIALS) return WEFT_OK;
    return weft_error(WEFT_ERR_FORMAT, "%s: the vocabulary is cut off after line %lld", name,
                      (long long)number);
}

weft_status weft_vocab_parse(const char *text, const char *name, weft_vocab **vocab)
{
    *vocab = NULL;
    char *copy = weft_strdup(text);
    if (!copy) return WEFT_ERR_MEMORY;
    weft_vocab *parsed = NULL;
    const weft_status status = parse_lines(copy, name, &parsed);
    weft_free(copy);
    assert(parsed || status != WEFT_OK);
    if (status == WEFT_OK) {
        parsed->built = true;
        *vocab = parsed;
    } else {
        weft_vocab_free(parsed);
    }
    return status;
}
