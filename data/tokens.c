/* tokens.c - cutting text into tokens and joining them again; the rules stand in vocab.h. */
#include "data/tokens_internal.h"

#include <string.h>

#include <utf8proc.h>

#include "data/grow_internal.h"

/* U+FFED marks the side on which a token touches its neighbour; U+FFEE escapes both. */
static const char joiner[] = "\xEF\xBF\xAD", escape[] = "\xEF\xBF\xAE";
enum { JOINER = 0xFFED, ESCAPE = 0xFFEE, MARK_BYTES = 3, CODE_BYTES = 4, APOSTROPHE = 0x2019 };

static bool is_space(int32_t code) { return code == ' ' || (code >= '\t' && code <= '\r'); }

static bool is_digit(int32_t code) { return code >= '0' && code <= '9'; }

/* Letters, marks and numbers of any script. */
static bool is_word(int32_t code)
{
    if (code < 0x80) {
        return is_digit(code) || (code >= 'A' && code <= 'Z') || (code >= 'a' && code <= 'z');
    }
    const utf8proc_category_t category = utf8proc_category(code);
    return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_NO;
}

/* The code point at `text` and its length; 0 and 0 at the end. The text is valid UTF-8. */
static int32_t code_at(const char *text, size_t *n_bytes)
{
    const unsigned char first = (unsigned char)*text;
    if (first < 0x80) {
        *n_bytes = first != 0;
        return first;
    }
    utf8proc_int32_t code;
    const utf8proc_ssize_t used =
        utf8proc_iterate((const utf8proc_uint8_t *)text, CODE_BYTES, &code);
    *n_bytes = (size_t)used;
    return code;
}

static void step(weft_token_walk *walk, int32_t code, size_t n_bytes)
{
    walk->before = code;
    walk->at += n_bytes;
}

/* Advance to the end of a word: letters, marks, numbers, and [.,] between ASCII digits. */
static void skip_word(weft_token_walk *walk)
{
    for (;;) {
        size_t n, n_after;
        const int32_t code = code_at(walk->at, &n);
        const bool in_number = (code == '.' || code == ',') && is_digit(walk->before) &&
                               is_digit(code_at(walk->at + n, &n_after));
        if (!is_word(code) && !in_number) return;
        step(walk, code, n);
    }
}

static void put(char *out, size_t *n_out, const char *bytes, size_t n)
{
    memcpy(out + *n_out, bytes, n);
    *n_out += n;
}

/* Does a text that ends here touch what will go on from it: an opening bracket, or a quotation mark
 * that no character touches? */
static bool opens(int32_t code, bool glued)
{
    const utf8proc_category_t category = utf8proc_category(code);
    if (category == UTF8PROC_CATEGORY_PS) return true;
    return !glued && (code == '"' || code == '\'' || category == UTF8PROC_CATEGORY_PI ||
                      category == UTF8PROC_CATEGORY_PF);
}

/* One character that is no word, or an apostrophe with the rest of its word, with its marks. */
static weft_status punct_token(weft_token_walk *walk, int32_t code, size_t n_bytes)
{
    const char *start = walk->at;
    const bool glued = walk->before != 0 && !is_space(walk->before);
    const bool after_letter = glued && is_word(walk->before);
    size_t n_next;
    step(walk, code, n_bytes);
    const int32_t next = code_at(walk->at, &n_next);
    const bool before_word = is_word(next);
    const bool apostrophe = (code == '\'' || code == APOSTROPHE) && after_letter && before_word;
    if (apostrophe) skip_word(walk);
    const size_t length = (size_t)(walk->at - start);

    const size_t need = length + 2 * MARK_BYTES + 1;
    char *marked = weft_grow(walk->marked, &walk->marked_room, need, 1);
    if (!marked) return WEFT_ERR_MEMORY;
    walk->marked = marked;
    size_t n = 0;
    if (glued) put(marked, &n, joiner, MARK_BYTES);
    if (code == JOINER || code == ESCAPE) {
        put(marked, &n, escape, MARK_BYTES);
        put(marked, &n, code == JOINER ? "1" : "0", 1);
    } else {
        put(marked, &n, start, length);
    }
    const bool touches = before_word ? !apostrophe : next == 0 && opens(code, glued);
    if (touches) put(marked, &n, joiner, MARK_BYTES);
    walk->token = marked;
    walk->n_bytes = n;
    return WEFT_OK;
}

/* Normalisation leaves everything below U+0300, where the combining marks begin, as it is; in UTF-8
 * these are the texts without a byte from 0xCC on. */
static bool is_normal(const char *text)
{
    for (; *text; text++) {
        if ((unsigned char)*text >= 0xCC) return false;
    }
    return true;
}

static int mark_class(int32_t code) { return utf8proc_get_property(code)->combining_class; }

/* Append a part of a decomposition, marks in the order of their classes. Sorting them takes the square
 * of their number, which a text may make as large as it likes. So no more than MOST_MARKS stand in a
 * row: a joiner that nobody sees goes between, as in the Stream-Safe Text Format (Annex 15). */
static void put_part(int32_t *codes, size_t *n, int *n_marks, int32_t part)
{
    enum { MOST_MARKS = 30, GRAPHEME_JOINER = 0x034F };
    const int class = mark_class(part);
    *n_marks = class == 0 ? 0 : *n_marks + 1;
    if (*n_marks > MOST_MARKS) {
        codes[(*n)++] = GRAPHEME_JOINER;
        *n_marks = 1;
    }
    size_t at = (*n)++;
    for (; class > 0 && at > 0 && mark_class(codes[at - 1]) > class; at--)
        codes[at] = codes[at - 1];
    codes[at] = part;
}

static const utf8proc_option_t canonical_form = UTF8PROC_STABLE | UTF8PROC_COMPOSE;

/* The text's canonical decomposition, into walk->codes. */
static weft_status decompose(weft_token_walk *walk, const char *text, size_t *n_codes)
{
    enum { MOST_PARTS = 4 };
    int n_marks = 0;
    *n_codes = 0;
    for (size_t n; *text; text += n) {
        int32_t parts[MOST_PARTS];
        const size_t need = *n_codes + 2 * MOST_PARTS; /* each may have a joiner before it */
        int32_t *codes = weft_grow(walk->codes, &walk->codes_room, need, sizeof *codes);
        if (!codes) return WEFT_ERR_MEMORY;
        walk->codes = codes;
        const utf8proc_ssize_t n_parts =
            utf8proc_decompose_char(code_at(text, &n), parts, MOST_PARTS, canonical_form, NULL);
        for (utf8proc_ssize_t i = 0; i < n_parts; i++) put_part(codes, n_codes, &n_marks, parts[i]);
    }
    return WEFT_OK;
}

/* Go to the text's canonical composition (NFC, Unicode Standard Annex 15): to itself, or in
 * walk->normal. */
static weft_status normalise(weft_token_walk *walk, const char *text)
{
    walk->at = text;
    if (is_normal(text)) return WEFT_OK;
    size_t n_codes;
    const weft_status status = decompose(walk, text, &n_codes);
    if (status != WEFT_OK) return status;
    const utf8proc_ssize_t n =
        utf8proc_normalize_utf32(walk->codes, (utf8proc_ssize_t)n_codes, canonical_form);
    char *normal = weft_grow(walk->normal, &walk->normal_room, (size_t)n + 1, CODE_BYTES);
    if (!normal) return WEFT_ERR_MEMORY;
    walk->at = walk->normal = normal;
    for (utf8proc_ssize_t i = 0; i < n; i++) {
        normal += utf8proc_encode_char(walk->codes[i], (utf8proc_uint8_t *)normal);
    }
    *normal = '\0';
    return WEFT_OK;
}

/* A code point's lower case may be longer in bytes (U+023A), never more than CODE_BYTES. */
static weft_status to_lower(weft_token_walk *walk)
{
    char *lower = weft_grow(walk->lower, &walk->lower_room, strlen(walk->at) + 1, CODE_BYTES);
    if (!lower) return WEFT_ERR_MEMORY;
    walk->lower = lower;
    for (size_t n; *walk->at; walk->at += n) {
        const int32_t code = utf8proc_tolower(code_at(walk->at, &n));
        lower += utf8proc_encode_char(code, (utf8proc_uint8_t *)lower);
    }
    *lower = '\0';
    return WEFT_OK;
}

weft_status weft_token_start(weft_token_walk *walk, const char *text)
{
    walk->before = 0;
    weft_status status = normalise(walk, text);
    if (status != WEFT_OK || !walk->lowercase) return status;
    status = to_lower(walk);
    /* Small letters may compose where capitals do not: H and U+0331. */
    return status == WEFT_OK ? normalise(walk, walk->lower) : status;
}

void weft_token_end(weft_token_walk *walk)
{
    weft_free(walk->codes);
    weft_free(walk->normal);
    weft_free(walk->marked);
    weft_free(walk->lower);
}

weft_status weft_token_next(weft_token_walk *walk)
{
    size_t n;
    int32_t code = code_at(walk->at, &n);
    if (walk->kind != WEFT_TOKENS_CHARS) {
        while (is_space(code)) {
            step(walk, code, n);
            code = code_at(walk->at, &n);
        }
    }
    walk->token = n == 0 ? NULL : walk->at;
    walk->n_bytes = 0;
    if (n == 0) return WEFT_OK;

    if (walk->kind == WEFT_TOKENS_CHARS) {
        step(walk, code, n);
        walk->n_bytes = n;
    } else if (walk->kind == WEFT_TOKENS_SPACE) {
        while (n > 0 && !is_space(code)) {
            step(walk, code, n);
            code = code_at(walk->at, &n);
        }
        walk->n_bytes = (size_t)(walk->at - walk->token);
    } else if (is_word(code)) {
        skip_word(walk);
        walk->n_bytes = (size_t)(walk->at - walk->token);
    } else {
        return punct_token(walk, code, n);
    }
    return WEFT_OK;
}

static bool starts_with(const char *token, size_t n_bytes, const char *mark)
{
    return n_bytes >= MARK_BYTES && memcmp(token, mark, MARK_BYTES) == 0;
}

/* Copy a token without its marks, undoing the escapes. Within a token, where a model may put a mark
 * though no text does, it touches both sides anyway. */
static void join_punct(const char *token, size_t n_bytes, bool *glued, char *out, size_t *n_out)
{
    const bool touch_left = *glued || starts_with(token, n_bytes, joiner);
    if (!touch_left) out[(*n_out)++] = ' ';
    *glued = false;
    for (size_t i = 0, n; i < n_bytes; i += n) {
        const char *at = token + i;
        const size_t left = n_bytes - i;
        *glued = starts_with(at, left, joiner);
        n = *glued ? MARK_BYTES : 1;
        if (*glued) continue;
        if (starts_with(at, left, escape) && left > MARK_BYTES &&
            (at[MARK_BYTES] == '0' || at[MARK_BYTES] == '1')) {
            put(out, n_out, at[MARK_BYTES] == '1' ? joiner : escape, MARK_BYTES);
            n = MARK_BYTES + 1;
        } else {
            put(out, n_out, at, 1);
        }
    }
}

void weft_token_join(weft_tokens_kind kind, const char *token, size_t n_bytes, bool *glued,
                     char *out, size_t *n_out)
{
    if (kind == WEFT_TOKENS_PUNCT) {
        join_punct(token, n_bytes, glued, out, n_out);
        return;
    }
    if (kind == WEFT_TOKENS_SPACE && !*glued) out[(*n_out)++] = ' ';
    put(out, n_out, token, n_bytes);
    *glued = false;
}
