/* tokenise_13a.c - lower case, white space and the 13a tokeniser, as sacreBLEU 2.6.0 has them. */
#include "core/checked.h"
#include "train/metrics.h"
#include "train/metrics_internal.h"

#include <string.h>
#include <utf8proc.h>

int32_t weft_text_point(const char *text, size_t *n_bytes)
{
    *n_bytes = 1;
    if (*text == '\0') return 0;
    utf8proc_int32_t point;
    const utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)text,
                                                (utf8proc_ssize_t)strnlen(text, 4), &point);
    if (n <= 0) return -1;
    *n_bytes = (size_t)n;
    return point;
}

bool weft_text_is_space(int32_t point)
{
    return (point >= 0x09 && point <= 0x0D) || (point >= 0x1C && point <= 0x20) || point == 0x85 ||
           point == 0xA0 || point == 0x1680 || (point >= 0x2000 && point <= 0x200A) ||
           point == 0x2028 || point == 0x2029 || point == 0x202F || point == 0x205F ||
           point == 0x3000;
}

static weft_status invalid_utf8(const char *text, const char *at)
{
    return weft_error(WEFT_ERR_INPUT, "not valid UTF-8 at byte %zu", (size_t)(at - text) + 1);
}

weft_status weft_text_copy(const char *text, weft_text_buffer *out)
{
    size_t n_bytes;
    const char *p = text;
    for (; *p != '\0'; p += n_bytes) {
        if (weft_text_point(p, &n_bytes) < 0) return invalid_utf8(text, p);
    }
    out->n_bytes = (size_t)(p - text);
    const weft_status status = weft_text_reserve(out, out->n_bytes);
    if (status == WEFT_OK) memcpy(out->text, text, out->n_bytes + 1);
    return status;
}

/* ---- lower case ------------------------------------------------------------------------------ */

/* Unicode's Cased: letters with case, and those that are lower or upper case by property alone (the
 * ordinals, squared and circled capitals). */
static bool is_cased(int32_t point)
{
    const utf8proc_category_t category = utf8proc_category(point);
    return category == UTF8PROC_CATEGORY_LU || category == UTF8PROC_CATEGORY_LL ||
           category == UTF8PROC_CATEGORY_LT || utf8proc_tolower(point) != point ||
           utf8proc_toupper(point) != point || point == 0xAA || point == 0xBA ||
           (point >= 0x1F130 && point <= 0x1F149) || (point >= 0x1F150 && point <= 0x1F169) ||
           (point >= 0x1F170 && point <= 0x1F189);
}

/* Unicode's Case_Ignorable: marks, modifiers, formats, and punctuation inside words. */
static bool is_case_ignorable(int32_t point)
{
    static const int32_t inside_words[] = { '\'',   '.',    ':',    0xB7,   0x387,  0x55F,
                                            0x5F4,  0x2018, 0x2019, 0x2024, 0x2027, 0xFE13,
                                            0xFE52, 0xFE55, 0xFF07, 0xFF0E, 0xFF1A };
    for (size_t i = 0; i < sizeof inside_words / sizeof *inside_words; i++) {
        if (point == inside_words[i]) return true;
    }
    const utf8proc_category_t category = utf8proc_category(point);
    return category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_ME ||
           category == UTF8PROC_CATEGORY_CF || category == UTF8PROC_CATEGORY_LM ||
           category == UTF8PROC_CATEGORY_SK;
}

/* The Unicode standard's Final_Sigma looks at the nearest letter that is not ignorable. */
static bool cased_letter_follows(const char *text)
{
    size_t n_bytes;
    for (int32_t point; (point = weft_text_point(text, &n_bytes)) > 0; text += n_bytes) {
        if (!is_case_ignorable(point)) return is_cased(point);
    }
    return false;
}

weft_status weft_text_lower(const char *text, weft_text_buffer *out)
{
    enum { BIG_SIGMA = 0x3A3, FINAL_SIGMA = 0x3C2, BIG_DOTTED_I = 0x130, DOT_ABOVE = 0x307 };
    size_t most_bytes; /* the longest: U+0130 and U+023A, from 2 bytes to 3 */
    if (!weft_mul_bytes(strlen(text), 2, &most_bytes)) most_bytes = SIZE_MAX;
    const weft_status status = weft_text_reserve(out, most_bytes);
    if (status != WEFT_OK) return status;
    utf8proc_uint8_t *end = (utf8proc_uint8_t *)out->text;
    bool after_cased = false;
    size_t n_bytes;
    for (const char *p = text; *p != '\0'; p += n_bytes) {
        const int32_t point = weft_text_point(p, &n_bytes);
        if (point < 0) return invalid_utf8(text, p);
        int32_t lower = utf8proc_tolower(point);
        if (point == BIG_DOTTED_I) lower = 'i';
        if (point == BIG_SIGMA && after_cased && !cased_letter_follows(p + n_bytes)) {
            lower = FINAL_SIGMA;
        }
        end += utf8proc_encode_char(lower, end);
        if (point == BIG_DOTTED_I) end += utf8proc_encode_char(DOT_ABOVE, end);
        if (!is_case_ignorable(point)) after_cased = is_cased(point);
    }
    *end = '\0';
    out->n_bytes = (size_t)((char *)end - out->text);
    return WEFT_OK;
}

/* ---- 13a ------------------------------------------------------------------------------------- */

/* Replace each `from`, left to right, by the shorter `to`. */
static void replace(weft_text_buffer *buffer, const char *from, const char *to)
{
    const size_t from_bytes = strlen(from), to_bytes = strlen(to);
    char *write = buffer->text;
    const char *read = buffer->text;
    for (const char *hit; (hit = strstr(read, from)) != NULL; read = hit + from_bytes) {
        memmove(write, read, (size_t)(hit - read));
        write += hit - read;
        memcpy(write, to, to_bytes); /* NOLINT: the NUL comes with the rest, below */
        write += to_bytes;
    }
    const size_t rest_bytes = strlen(read);
    memmove(write, read, rest_bytes + 1);
    buffer->n_bytes = (size_t)(write - buffer->text) + rest_bytes;
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_no_digit(char c) { return !is_digit(c); }
static bool is_point_or_comma(char c) { return c == '.' || c == ','; }
static bool is_dash(char c) { return c == '-'; }

/* Everything printable of ASCII but letters, digits and ' , - . */
static bool is_symbol(char c)
{
    return (c >= '{' && c <= '~') || (c >= '[' && c <= '`') || (c >= ' ' && c <= '&') ||
           (c >= '(' && c <= '+') || (c >= ':' && c <= '@') || c == '/';
}

/* A rule for two neighbouring characters. Bytes beyond ASCII count as no digit, which gives the
 * same words as whole characters would. */
typedef struct pair_rule {
    bool (*first)(char), (*second)(char);
    bool space_before; /* "ab" becomes " a b", else "a b " */
} pair_rule;

static const pair_rule pair_rules[] = {
    { is_no_digit, is_point_or_comma, false }, /* a period or comma, unless a digit precedes it */
    { is_point_or_comma, is_no_digit, true },  /* ... unless a digit follows it */
    { is_digit, is_dash, false },              /* a dash after a digit */
};

/* One pass; pairs do not overlap. `out` has room for twice the bytes of `in`. */
static void apply_pair_rule(const pair_rule *rule, const weft_text_buffer *in,
                            weft_text_buffer *out)
{
    size_t n = 0;
    for (size_t i = 0; i < in->n_bytes; i++) {
        const char a = in->text[i], b = in->text[i + 1]; /* b is the zero byte at the end */
        if (i + 1 == in->n_bytes || !rule->first(a) || !rule->second(b)) {
            out->text[n++] = a;
            continue;
        }
        if (rule->space_before) out->text[n++] = ' ';
        out->text[n++] = a;
        out->text[n++] = ' ';
        out->text[n++] = b;
        if (!rule->space_before) out->text[n++] = ' ';
        i++;
    }
    out->text[n] = '\0';
    out->n_bytes = n;
}

static void put_spaces_round_symbols(const weft_text_buffer *in, weft_text_buffer *out)
{
    size_t n = 0;
    out->text[n++] = ' ';
    for (size_t i = 0; i < in->n_bytes; i++) {
        const bool symbol = is_symbol(in->text[i]);
        if (symbol) out->text[n++] = ' ';
        out->text[n++] = in->text[i];
        if (symbol) out->text[n++] = ' ';
    }
    out->text[n++] = ' ';
    out->text[n] = '\0';
    out->n_bytes = n;
}

/* Bytes of the text without its trailing white space. */
static weft_status trimmed_length(const char *text, size_t *trimmed_bytes)
{
    size_t n_bytes;
    *trimmed_bytes = 0;
    for (const char *p = text; *p != '\0'; p += n_bytes) {
        const int32_t point = weft_text_point(p, &n_bytes);
        if (point < 0) return invalid_utf8(text, p);
        if (!weft_text_is_space(point)) *trimmed_bytes = (size_t)(p - text) + n_bytes;
    }
    return WEFT_OK;
}

/* Any run of white space becomes one space, none at the ends. */
static void join_words(const weft_text_buffer *in, weft_text_buffer *out)
{
    size_t n = 0, n_bytes;
    bool gap = false;
    for (size_t i = 0; i < in->n_bytes; i += n_bytes) {
        if (weft_text_is_space(weft_text_point(in->text + i, &n_bytes))) {
            gap = n > 0;
            continue;
        }
        if (gap) out->text[n++] = ' ';
        gap = false;
        memcpy(out->text + n, in->text + i, n_bytes);
        n += n_bytes;
    }
    out->text[n] = '\0';
    out->n_bytes = n;
}

/* ASCII's punctuation, of which words may begin or end with one. */
static bool is_mark(char c)
{
    return c != ' ' && (is_symbol(c) || c == '\'' || c == ',' || c == '-' || c == '.');
}

/* chrF++ splits a mark off the end of a word, or else off its beginning. */
static size_t put_word(const char *word, size_t n_bytes, char *out)
{
    size_t n = 0, space = 0; /* before which byte a space goes in; 0: none */
    if (n_bytes > 1 && is_mark(word[0])) space = 1;
    if (n_bytes > 1 && is_mark(word[n_bytes - 1])) space = n_bytes - 1;
    for (size_t i = 0; i < n_bytes; i++) {
        if (i > 0 && i == space) out[n++] = ' ';
        out[n++] = word[i];
    }
    return n;
}

weft_status weft_text_split_marks(const weft_text_buffer *text, weft_text_buffer *scratch,
                                  weft_text_buffer *out)
{
    size_t most_bytes; /* a byte becomes at most two */
    if (!weft_mul_bytes(text->n_bytes, 2, &most_bytes)) most_bytes = SIZE_MAX;
    weft_status status = weft_text_reserve(scratch, text->n_bytes);
    if (status == WEFT_OK) status = weft_text_reserve(out, most_bytes);
    if (status != WEFT_OK) return status;
    join_words(text, scratch);
    size_t n = 0;
    for (const char *p = scratch->text; *p != '\0';) {
        const size_t n_bytes = strcspn(p, " ");
        n += put_word(p, n_bytes, out->text + n);
        p += n_bytes;
        if (*p == ' ') out->text[n++] = *p++;
    }
    out->text[n] = '\0';
    out->n_bytes = n;
    return WEFT_OK;
}

weft_status weft_text_tokenise_13a(const char *text, weft_text_buffer *scratch,
                                   weft_text_buffer *out)
{
    size_t n_bytes, most_bytes;
    weft_status status = trimmed_length(text, &n_bytes);
    if (status != WEFT_OK) return status;
    /* Two spaces round all; a byte becomes at most 3 round symbols, and each of the three pair
     * rules at most doubles. */
    if (!weft_add_bytes(n_bytes, 2, &most_bytes) || !weft_mul_bytes(most_bytes, 24, &most_bytes)) {
        return weft_error(WEFT_ERR_OVERFLOW, "metric: a text of %zu bytes is too long", n_bytes);
    }
    if ((status = weft_text_reserve(scratch, most_bytes)) != WEFT_OK) return status;
    if ((status = weft_text_reserve(out, most_bytes)) != WEFT_OK) return status;
    memcpy(scratch->text, text, n_bytes);
    scratch->text[n_bytes] = '\0';
    replace(scratch, "<skipped>", "");
    replace(scratch, "-\n", "");
    replace(scratch, "\n", " ");
    replace(scratch, "&quot;", "\"");
    replace(scratch, "&amp;", "&");
    replace(scratch, "&lt;", "<");
    replace(scratch, "&gt;", ">");
    put_spaces_round_symbols(scratch, out);
    apply_pair_rule(&pair_rules[0], out, scratch);
    apply_pair_rule(&pair_rules[1], scratch, out);
    apply_pair_rule(&pair_rules[2], out, scratch);
    join_words(scratch, out);
    return WEFT_OK;
}

char *weft_tokenise_13a(const char *text)
{
    weft_text_buffer scratch = { 0 }, out = { 0 };
    const weft_status status = weft_text_tokenise_13a(text, &scratch, &out);
    weft_text_release(&scratch);
    if (status == WEFT_OK) return out.text;
    weft_text_release(&out);
    return NULL;
}
