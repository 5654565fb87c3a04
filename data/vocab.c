/* vocab.c - counting tokens, giving them ids, and a vocabulary as a block of text. */
#include "data/vocab_internal.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/grow_internal.h"
#include "data/text.h"

static const char *const special_names[WEFT_N_SPECIALS] = { "<unk>", "<s>", "</s>" };
static const char *const kind_names[] = { "space", "punct", "chars" };
enum { N_KINDS = sizeof kind_names / sizeof kind_names[0], HIDDEN_BYTES = 16 };

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

/* ---- life ----------------------------------------------------------------------------------- */

/* Ids that no text is looked up for. */
static int n_hidden(bool bpe) { return bpe ? WEFT_FIRST_BYTE + WEFT_N_BYTES : WEFT_N_SPECIALS; }

static const char *hidden_name(int id, char name[HIDDEN_BYTES])
{
    if (id < WEFT_N_SPECIALS) return special_names[id];
    snprintf(name, HIDDEN_BYTES, "<0x%02X>", (unsigned)(id - WEFT_FIRST_BYTE));
    return name;
}

static weft_status append_hidden(weft_vocab *vocab)
{
    char name[HIDDEN_BYTES];
    for (int id = 0; id < n_hidden(vocab->bpe != NULL); id++) {
        const char *hidden = hidden_name(id, name);
        const weft_status status = weft_strings_hide(&vocab->tokens, hidden, strlen(hidden));
        if (status != WEFT_OK) return status;
    }
    return WEFT_OK;
}

static weft_status check_spec(const weft_vocab_spec *spec)
{
    const int hidden = n_hidden(spec->bpe != NULL);
    if ((unsigned)spec->tokens >= N_KINDS || spec->min_count < 0 || spec->max_size < 0 ||
        (spec->max_size > 0 && spec->max_size <= hidden)) {
        return weft_error(
            WEFT_ERR_RANGE,
            "vocabulary: tokens is %d (0 .. %d), min_count %lld (>= 0), max_size %lld "
            "(0, or more than the %d %s)",
            (int)spec->tokens, N_KINDS - 1, (long long)spec->min_count, (long long)spec->max_size,
            hidden, spec->bpe ? "specials and bytes" : "specials");
    }
    if (spec->bpe && spec->tokens == WEFT_TOKENS_CHARS) {
        return weft_error(WEFT_ERR_RANGE, "vocabulary: codes of BPE are for words, and the tokens "
                                          "are characters");
    }
    return WEFT_OK;
}

/* Takes the codes over, also when it fails. */
static weft_status new_with(const weft_vocab_spec *spec, weft_bpe *bpe, weft_vocab **vocab)
{
    weft_vocab *fresh = weft_alloc(1, sizeof *fresh);
    if (!fresh) {
        weft_bpe_free(bpe);
        return WEFT_ERR_MEMORY;
    }
    fresh->spec = *spec;
    fresh->spec.bpe = fresh->bpe = bpe;
    weft_encoder_init(&fresh->encoder, fresh);
    const weft_status status = append_hidden(fresh);
    if (status == WEFT_OK) {
        *vocab = fresh;
    } else {
        weft_vocab_free(fresh);
    }
    return status;
}

weft_status weft_vocab_new(const weft_vocab_spec *spec, weft_vocab **vocab)
{
    *vocab = NULL;
    weft_bpe *bpe = NULL;
    weft_status status = check_spec(spec);
    if (status == WEFT_OK && spec->bpe) status = weft_bpe_copy(spec->bpe, &bpe);
    return status == WEFT_OK ? new_with(spec, bpe, vocab) : status;
}

void weft_vocab_free(weft_vocab *vocab)
{
    if (!vocab) return;
    weft_encoder_free(&vocab->encoder);
    weft_bpe_free(vocab->bpe);
    weft_strings_free(&vocab->tokens);
    weft_free(vocab->counts);
    weft_free(vocab);
}

/* ---- counting -------------------------------------------------------------------------------- */

static weft_status count(weft_vocab *vocab, const char *token, size_t n_bytes, int64_t n)
{
    int32_t id;
    bool is_new;
    weft_status status = weft_strings_intern(&vocab->tokens, token, n_bytes, &id, &is_new);
    if (status != WEFT_OK) return status;
    int64_t *counts =
        weft_grow(vocab->counts, &vocab->counts_room, vocab->tokens.n, sizeof *counts);
    if (!counts) return WEFT_ERR_MEMORY;
    vocab->counts = counts;
    if (is_new) counts[id] = 0;
    counts[id] += n;
    return WEFT_OK;
}

/* There must be room for its name. */
static weft_status count_piece(weft_vocab *vocab, const char *piece, size_t n_bytes, bool last,
                               int64_t n)
{
    size_t n_name;
    if (!weft_encoder_name(&vocab->encoder, piece, n_bytes, last, &n_name)) return WEFT_OK;
    return count(vocab, vocab->encoder.token, n_name, n);
}

static weft_status count_word(weft_vocab *vocab, const char *word, size_t n_bytes, int64_t n)
{
    if (!vocab->bpe) return count(vocab, word, n_bytes, n);
    const weft_bpe_work *cut = &vocab->encoder.cut;
    weft_status status = weft_encoder_cut(vocab, &vocab->encoder, word, n_bytes);
    for (int32_t i = 0; i < cut->n_pieces && status == WEFT_OK; i++) {
        const weft_bpe_piece *piece = &cut->pieces[i];
        status = count_piece(vocab, word + piece->begin, (size_t)piece->n_bytes,
                             i + 1 == cut->n_pieces, n);
    }
    return status;
}

weft_status weft_vocab_count(weft_vocab *vocab, const char *text)
{
    if (vocab->built) {
        return weft_error(WEFT_ERR_STATE, "the vocabulary is built: nothing more can be counted");
    }
    weft_token_walk *walk = &vocab->encoder.walk;
    weft_status status = weft_vocab_check_text(text);
    if (status == WEFT_OK) status = weft_token_start(walk, text);
    while (status == WEFT_OK) {
        status = weft_token_next(walk);
        if (status != WEFT_OK || !walk->token) break;
        status = count_word(vocab, walk->token, walk->n_bytes, 1);
    }
    return status;
}

size_t weft_vocab_counted(const weft_vocab *vocab)
{
    return vocab->tokens.n - vocab->tokens.n_hidden;
}

weft_counted weft_vocab_counted_at(const weft_vocab *vocab, size_t i)
{
    const size_t id = vocab->tokens.n_hidden + i;
    return (weft_counted){ weft_strings_text(&vocab->tokens, (int64_t)id),
                           vocab->tokens.at[id].n_bytes, vocab->counts[id] };
}

weft_status weft_vocab_count_words(weft_vocab *vocab, const weft_vocab *words)
{
    if (vocab->built || words->built || words->bpe || vocab->spec.tokens != words->spec.tokens) {
        return weft_error(WEFT_ERR_STATE,
                          "words are counted from a vocabulary of the same kind, before either has "
                          "ids");
    }
    for (size_t i = 0; i < weft_vocab_counted(words); i++) {
        const weft_counted word = weft_vocab_counted_at(words, i);
        const weft_status status = count_word(vocab, word.token, word.n_bytes, word.count);
        if (status != WEFT_OK) return status;
    }
    return WEFT_OK;
}

/* Every symbol of the codes joins the tokens, with what it has been counted so far. */
static weft_status count_symbols(weft_vocab *vocab)
{
    const weft_strings *symbols = &vocab->bpe->symbols;
    weft_status status = WEFT_OK;
    for (size_t i = 0; i < symbols->n && status == WEFT_OK; i++) {
        const char *symbol = weft_strings_text(symbols, (int64_t)i);
        const size_t n_bytes = symbols->at[i].n_bytes, n_end = WEFT_BPE_WORD_END_BYTES;
        const bool last =
            n_bytes > n_end && memcmp(symbol + n_bytes - n_end, WEFT_BPE_WORD_END, n_end) == 0;
        status = weft_encoder_room(&vocab->encoder, n_bytes);
        if (status == WEFT_OK)
            status = count_piece(vocab, symbol, n_bytes - (last ? n_end : 0), last, 0);
    }
    return status;
}

/* ---- giving out ids -------------------------------------------------------------------------- */

static int by_rank(const void *left, const void *right)
{
    const weft_counted *a = left, *b = right;
    if (a->count != b->count) return a->count > b->count ? -1 : 1;
    return strcmp(a->token, b->token); /* bytes as unsigned; tokens hold no NUL and differ */
}

/* The tokens that get ids, in their order; *n of them in new memory. */
static weft_status rank(const weft_vocab *vocab, weft_counted **ranked, size_t *n)
{
    const weft_vocab_spec *spec = &vocab->spec;
    *ranked = weft_alloc(weft_vocab_counted(vocab), sizeof **ranked);
    if (!*ranked) return WEFT_ERR_MEMORY;
    *n = 0;
    for (size_t i = 0; i < weft_vocab_counted(vocab); i++) {
        const weft_counted token = weft_vocab_counted_at(vocab, i);
        if (token.count >= spec->min_count || spec->bpe_symbols) (*ranked)[(*n)++] = token;
    }
    qsort(*ranked, *n, sizeof **ranked, by_rank);
    const int64_t most = spec->max_size - (int64_t)vocab->tokens.n_hidden;
    if (spec->max_size > 0 && (int64_t)*n > most) *n = (size_t)most;
    return WEFT_OK;
}

weft_status weft_vocab_build(weft_vocab *vocab)
{
    if (vocab->built) return weft_error(WEFT_ERR_STATE, "the vocabulary is built already");
    weft_status status = WEFT_OK;
    if (vocab->bpe && vocab->spec.bpe_symbols) status = count_symbols(vocab);
    weft_counted *ranked = NULL;
    size_t n = 0;
    if (status == WEFT_OK) status = rank(vocab, &ranked, &n);
    if (status != WEFT_OK) return status;
    /* Another set takes the chosen ones in order, then changes places with this one, so that a
     * failure leaves the counts as they were. */
    weft_vocab built = { .bpe = vocab->bpe };
    status = append_hidden(&built);
    for (size_t i = 0; i < n && status == WEFT_OK; i++) {
        int32_t id;
        status = weft_strings_intern(&built.tokens, ranked[i].token, ranked[i].n_bytes, &id, NULL);
    }
    weft_free(ranked);
    if (status == WEFT_OK) {
        const weft_strings counted = vocab->tokens;
        vocab->tokens = built.tokens;
        built.tokens = counted;
        weft_free(vocab->counts);
        vocab->counts = NULL;
        vocab->built = true;
    }
    weft_strings_free(&built.tokens);
    return status;
}

bool weft_vocab_is_built(const weft_vocab *vocab) { return vocab->built; }

int64_t weft_vocab_size(const weft_vocab *vocab) { return (int64_t)vocab->tokens.n; }

weft_vocab_spec weft_vocab_get_spec(const weft_vocab *vocab) { return vocab->spec; }

const char *weft_vocab_token(const weft_vocab *vocab, int64_t id)
{
    if (id < 0 || id >= (int64_t)vocab->tokens.n) return NULL;
    return weft_strings_text(&vocab->tokens, id);
}

int32_t weft_vocab_id(const weft_vocab *vocab, const char *token)
{
    const int32_t id = weft_strings_find(&vocab->tokens, token, strlen(token));
    return id < 0 ? WEFT_UNK : id;
}

/* ---- as a block of text ---------------------------------------------------------------------- */

enum { HEADER_BYTES = 96 };

/* The header, but for the number of merges. */
static void write_header(weft_tokens_kind tokens, bool lowercase, bool bpe,
                         char header[HEADER_BYTES])
{
    snprintf(header, HEADER_BYTES, "weft-vocab %d tokens=%s lowercase=%d%s", bpe ? 2 : 1,
             weft_tokens_kind_name(tokens), lowercase, bpe ? " merges=" : "");
}

char *weft_vocab_write(const weft_vocab *vocab)
{
    const weft_strings *tokens = &vocab->tokens;
    char header[HEADER_BYTES];
    write_header(vocab->spec.tokens, vocab->spec.lowercase, vocab->bpe != NULL, header);
    /* A token's NUL makes room for its '\n'; 32 are for the number of merges and the end. */
    size_t need = strlen(header) + 32 + tokens->n_bytes;
    if (vocab->bpe) need += weft_bpe_lines_bytes(vocab->bpe);
    for (size_t i = 0; i < tokens->n_bytes; i++) {
        need += tokens->bytes[i] == '\n' || tokens->bytes[i] == '\\';
    }
    char *text = weft_alloc(need, 1);
    if (!text) return NULL;
    char *out = text + snprintf(text, need, "%s", header);
    if (vocab->bpe) {
        out += sprintf(out, "%lld", (long long)weft_bpe_size(vocab->bpe));
    }
    *out++ = '\n';
    if (vocab->bpe) out = weft_bpe_write_lines(vocab->bpe, out);
    for (size_t id = 0; id < tokens->n; id++) {
        for (const char *c = weft_strings_text(tokens, (int64_t)id); *c; c++) {
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

/* A header's number of merges, to the end of its line. */
static bool parse_merges(const char *text, size_t n_bytes, int64_t *n)
{
    *n = 0;
    for (size_t i = 0; i < n_bytes; i++) {
        if (text[i] < '0' || text[i] > '9' || *n > INT32_MAX) return false;
        *n = 10 * *n + (text[i] - '0');
    }
    return n_bytes > 0;
}

/* *n_merges: -1 for a vocabulary without codes. */
static weft_status parse_header(const char *line, size_t n_bytes, const char *name,
                                weft_vocab_spec *spec, int64_t *n_merges)
{
    *n_merges = -1;
    for (int i = 0; i < 4 * N_KINDS; i++) {
        char header[HEADER_BYTES];
        const bool bpe = i & 2;
        *spec = (weft_vocab_spec){ .tokens = (weft_tokens_kind)(i / 4), .lowercase = i & 1 };
        write_header(spec->tokens, spec->lowercase, bpe, header);
        const size_t n_header = strlen(header);
        if (n_bytes < n_header || memcmp(line, header, n_header) != 0) continue;
        if (bpe ? parse_merges(line + n_header, n_bytes - n_header, n_merges) : n_bytes == n_header)
            return WEFT_OK;
    }
    return weft_error(WEFT_ERR_FORMAT, "%s:1: not the first line of a vocabulary of weft", name);
}

static weft_status parse_token(weft_vocab *vocab, int64_t id, char *line, size_t n_bytes,
                               const char *name, int64_t number)
{
    const char *wrong = NULL;
    char buf[HIDDEN_BYTES];
    if (id < (int64_t)vocab->tokens.n_hidden) {
        const char *hidden = hidden_name((int)id, buf);
        if (n_bytes == strlen(hidden) && memcmp(line, hidden, n_bytes) == 0) return WEFT_OK;
        return weft_error(WEFT_ERR_FORMAT, "%s:%lld: %s is missing", name, (long long)number,
                          hidden);
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
    int32_t found;
    bool is_new;
    const weft_status status = weft_strings_intern(&vocab->tokens, line, n_bytes, &found, &is_new);
    if (status != WEFT_OK || is_new) return status;
    return weft_error(WEFT_ERR_FORMAT, "%s:%lld: the token of line %lld again", name,
                      (long long)number, (long long)number - id + found);
}

/* The lines of tokens, the first of which is line `number`. */
static weft_status parse_tokens(weft_vocab *vocab, char *text, const char *name, int64_t number)
{
    int64_t id = 0;
    for (char *line = text, *end; *line; line = end + 1, id++, number++) {
        end = strchr(line, '\n');
        if (!end) {
            return weft_error(WEFT_ERR_FORMAT, "%s:%lld: the vocabulary is cut off", name,
                              (long long)number);
        }
        const weft_status status = parse_token(vocab, id, line, (size_t)(end - line), name, number);
        if (status != WEFT_OK) return status;
    }
    if (id >= (int64_t)vocab->tokens.n_hidden) return WEFT_OK;
    return weft_error(WEFT_ERR_FORMAT, "%s: the vocabulary is cut off after line %lld", name,
                      (long long)number - 1);
}

/* `text` is a copy that may be written to. */
static weft_status parse_lines(char *text, const char *name, weft_vocab **vocab)
{
    weft_vocab_spec spec;
    weft_bpe *bpe = NULL;
    int64_t n_merges;
    const char *end = strchr(text, '\n');
    if (!end) return weft_error(WEFT_ERR_FORMAT, "%s:1: the vocabulary is cut off", name);
    const char *rest = end + 1;
    weft_status status = parse_header(text, (size_t)(end - text), name, &spec, &n_merges);
    if (status == WEFT_OK && n_merges >= 0)
        status = weft_bpe_parse_lines(rest, n_merges, name, 2, &bpe, &rest);
    spec.bpe = bpe;
    if (status == WEFT_OK) status = check_spec(&spec);
    if (status != WEFT_OK) {
        weft_bpe_free(bpe);
        return status;
    }
    status = new_with(&spec, bpe, vocab);
    if (status != WEFT_OK) return status;
    return parse_tokens(*vocab, text + (rest - text), name, 2 + (n_merges > 0 ? n_merges : 0));
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
