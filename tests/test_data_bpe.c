/* precision: float - byte pair encoding: as subword-nmt does it, dropout, files, and vocabularies of
 * pieces, which no text is unknown to. */
#include "check_main.h"
#include "temp_files.h"

#include "data/data.h"

#define GOLDEN WEFT_SOURCE_DIR "/tests/golden/subword-nmt/"

static void append(char *text, size_t room, const char *more)
{
    const size_t n = strlen(text);
    ck_assert_uint_lt(n + strlen(more), room);
    snprintf(text + n, room - n, "%s", more);
}

static weft_vocab *words_of(const char *path)
{
    weft_vocab *words;
    weft_lines *lines;
    const char *line;
    ck_assert_int_eq(weft_vocab_new(&(weft_vocab_spec){ .tokens = WEFT_TOKENS_SPACE }, &words),
                     WEFT_OK);
    ck_assert_int_eq(weft_lines_open(path, &lines), WEFT_OK);
    while (weft_lines_next(lines, &line, NULL) == WEFT_OK && line) {
        ck_assert_int_eq(weft_vocab_count(words, line), WEFT_OK);
    }
    weft_lines_free(lines);
    return words;
}

static weft_bpe *learnt_from(const char *path, weft_bpe_spec spec)
{
    weft_vocab *words = words_of(path);
    weft_bpe *bpe;
    ck_assert_int_eq(weft_bpe_learn(words, &spec, &bpe), WEFT_OK);
    weft_vocab_free(words);
    return bpe;
}

/* Codes that make "ab", then "abc" at a word's end, then "bc" elsewhere. */
static const char few[] = "#version: 0.2\na b\nab c</w>\nb c\n";

static weft_bpe *codes_of(const char *text)
{
    weft_bpe *bpe;
    ck_assert_msg(weft_bpe_read(temp_text("codes", text), &bpe) == WEFT_OK, "%s", weft_message());
    return bpe;
}

static void assert_cut(const weft_bpe *bpe, const weft_bpe_apply_spec *spec, const char *text,
                       const char *want)
{
    char *cut;
    ck_assert_int_eq(weft_bpe_apply(bpe, spec, text, &cut), WEFT_OK);
    ck_assert_str_eq(cut, want);
    weft_free(cut);
}

/* ---- against subword-nmt ---------------------------------------------------------------------- */

static const struct {
    const char *name, *text, *other;
    weft_bpe_spec spec;
} golden[] = {
    { "prose", "prose", "prose", { .merges = 300 } },
    { "total", "prose", "prose", { .vocab_size = 200 } },
    { "rare", "prose", "prose", { .merges = 300, .min_count = 9 } },
    { "runs", "runs", "runs", { .merges = 80 } },
    { "letters", "letters", "letters", { .merges = 150 } },
    { "marks", "marks", "marks", { .merges = 100 } },
    { "order", NULL, "letters", { .merges = 1 } },
};
enum { N_GOLDEN = sizeof golden / sizeof golden[0] };

static const char *golden_path(const char *name, const char *ending)
{
    static char path[2][TEMP_PATH];
    static int next;
    next = !next;
    snprintf(path[next], TEMP_PATH, GOLDEN "%s.%s", name, ending);
    return path[next];
}

static char *read_whole(const char *path)
{
    static char text[1 << 16];
    FILE *file = fopen(path, "rb");
    ck_assert_ptr_nonnull(file);
    const size_t n = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[n] = '\0';
    return text;
}

START_TEST(learns_what_subword_nmt_learns)
{
    for (int i = 0; i < N_GOLDEN; i++) {
        if (!golden[i].text) continue;
        weft_bpe *bpe = learnt_from(golden_path(golden[i].text, "text"), golden[i].spec);
        char *text = weft_bpe_write(bpe);
        ck_assert_msg(strcmp(text, read_whole(golden_path(golden[i].name, "codes"))) == 0, "%s",
                      golden[i].name);
        ck_assert_int_gt(weft_bpe_size(bpe), 20);
        weft_free(text);
        weft_bpe_free(bpe);
    }
}
END_TEST

/* Without the spaces at a line's ends, which are not words. */
static const char *trimmed(const char *line)
{
    static char text[4096];
    const size_t n_before = strspn(line, " ");
    snprintf(text, sizeof text, "%s", line + n_before);
    size_t n = strlen(text);
    while (n > 0 && text[n - 1] == ' ') text[--n] = '\0';
    return text;
}

START_TEST(cuts_as_subword_nmt_cuts)
{
    for (int i = 0; i < N_GOLDEN; i++) {
        weft_bpe *bpe;
        weft_lines *other, *want;
        const char *line, *cut;
        ck_assert_int_eq(weft_bpe_read(golden_path(golden[i].name, "codes"), &bpe), WEFT_OK);
        ck_assert_int_eq(weft_lines_open(golden_path(golden[i].other, "other"), &other), WEFT_OK);
        ck_assert_int_eq(weft_lines_open(golden_path(golden[i].name, "cut"), &want), WEFT_OK);
        for (;;) {
            ck_assert_int_eq(weft_lines_next(other, &line, NULL), WEFT_OK);
            ck_assert_int_eq(weft_lines_next(want, &cut, NULL), WEFT_OK);
            ck_assert((line == NULL) == (cut == NULL));
            if (!line) break;
            assert_cut(bpe, NULL, line, trimmed(cut));
        }
        ck_assert_int_gt(weft_lines_number(other), 4);
        weft_lines_free(other);
        weft_lines_free(want);
        weft_bpe_free(bpe);
    }
}
END_TEST

/* ---- cutting ---------------------------------------------------------------------------------- */

START_TEST(merges_in_the_order_of_the_codes)
{
    weft_bpe *bpe = codes_of(few);
    ck_assert_int_eq(weft_bpe_size(bpe), 3);
    assert_cut(bpe, NULL, "abc abcd bcd a \t ab", "abc ab@@ c@@ d bc@@ d a a@@ b");
    assert_cut(bpe, NULL, "ababcabc", "ab@@ ab@@ c@@ abc");
    assert_cut(bpe, NULL, " ", "");
    assert_cut(bpe, NULL, "", "");
    weft_bpe_free(bpe);
    /* One merge everywhere before the next one, also where that comes first in the codes. */
    bpe = codes_of("#version: 0.2\nb c\nabc a\na bc\n");
    assert_cut(bpe, NULL, "abcabcx", "abc@@ abc@@ x");
    weft_bpe_free(bpe);
    /* words found and written otherwise */
    bpe = codes_of(few);
    const weft_bpe_apply_spec punct = { .tokens = WEFT_TOKENS_PUNCT, .lowercase = true };
    assert_cut(bpe, &punct, "ABC.", "abc \xEF\xBF\xAD@@ .");
    /* one way of writing a character is cut as the other */
    weft_bpe_free(bpe);
    bpe = codes_of("#version: 0.2\n\xC3\xA4 b\n");
    assert_cut(bpe, NULL,
               "a\xCC\x88"
               "bc",
               "\xC3\xA4"
               "b@@ c");
    weft_bpe_free(bpe);
}
END_TEST

/* A long word takes no longer than many short ones. */
START_TEST(a_word_of_a_million_characters)
{
    enum { N = 999999 };
    weft_bpe *bpe = codes_of(few);
    char *word = malloc(N + 1), *cut;
    for (int i = 0; i < N; i++) word[i] = "abc"[i % 3];
    word[N] = '\0';
    ck_assert_int_eq(weft_bpe_apply(bpe, NULL, word, &cut), WEFT_OK);
    ck_assert_uint_eq(strlen(cut), N / 3 * 9 - 6);
    ck_assert_int_eq(strncmp(cut, "ab@@ c@@ ab@@ c@@ ", 18), 0);
    ck_assert_str_eq(cut + strlen(cut) - 8, " c@@ abc");
    weft_free(cut);
    free(word);
    weft_bpe_free(bpe);
}
END_TEST

/* The cut without its marks and spaces is the word again. */
static void assert_pieces_of(const char *cut, const char *word)
{
    char joined[64] = "";
    for (const char *c = cut; *c; c++) {
        if (strncmp(c, "@@ ", 3) == 0) {
            c += 2;
        } else {
            append(joined, sizeof joined, (char[]){ *c, '\0' });
        }
    }
    ck_assert_str_eq(joined, word);
}

START_TEST(dropout_is_keyed_and_passes_over_some)
{
    enum { N = 4000 };
    weft_bpe *bpe = codes_of(few);
    int n_whole = 0, n_characters = 0, n_same = 0;
    weft_bpe_apply_spec spec = { .dropout = { .p = 0.3, .key = 5 } };
    for (int i = 0; i < N; i++) {
        char *cut, *again, *elsewhere;
        spec.dropout.row = (uint64_t)i;
        ck_assert_int_eq(weft_bpe_apply(bpe, &spec, "abc", &cut), WEFT_OK);
        ck_assert_int_eq(weft_bpe_apply(bpe, &spec, "abc", &again), WEFT_OK);
        spec.dropout.row = (uint64_t)i + N;
        ck_assert_int_eq(weft_bpe_apply(bpe, &spec, "abc", &elsewhere), WEFT_OK);
        ck_assert_str_eq(cut, again);
        assert_pieces_of(cut, "abc");
        n_same += strcmp(cut, elsewhere) == 0;
        n_whole += strcmp(cut, "abc") == 0;
        n_characters += strcmp(cut, "a@@ b@@ c") == 0;
        weft_free(cut);
        weft_free(again);
        weft_free(elsewhere);
    }
    /* (a, b) is made with 0.7, then (ab, c) with 0.7; "abc" offers no other merge: (b, c</w>) is
     * not in the codes. Five standard deviations are 0.04. */
    ck_assert_double_eq_tol((double)n_whole / N, 0.49, 0.04);
    ck_assert_double_eq_tol((double)n_characters / N, 0.3, 0.04);
    ck_assert_int_lt(n_same, N / 2);
    weft_bpe_free(bpe);
}
END_TEST

/* A merge that was passed over may be made after another one: with (x, y) and (y, z) on "xyzw" the
 * second comes out where the first was passed over, and nothing of the first is lost for good. */
START_TEST(dropout_passes_over_one_merge_at_a_time)
{
    enum { N = 4000 };
    weft_bpe *bpe = codes_of("#version: 0.2\nx y\nz v\n");
    int n[4] = { 0 };
    static const char *const cuts[4] = { "xy@@ zv@@ w", "x@@ y@@ zv@@ w", "xy@@ z@@ v@@ w",
                                         "x@@ y@@ z@@ v@@ w" };
    weft_bpe_apply_spec spec = { .dropout = { .p = 0.5, .key = 6 } };
    for (int i = 0; i < N; i++) {
        char *cut;
        spec.dropout.row = (uint64_t)i;
        ck_assert_int_eq(weft_bpe_apply(bpe, &spec, "xyzvw", &cut), WEFT_OK);
        for (int j = 0; j < 4; j++) n[j] += strcmp(cut, cuts[j]) == 0;
        weft_free(cut);
    }
    /* First step: (x, y) 1/2, else (z, v) 1/4, else none 1/4. Second step: the other one 1/2. */
    ck_assert_double_eq_tol((double)n[0] / N, 0.375, 0.04);
    ck_assert_double_eq_tol((double)n[1] / N, 0.125, 0.03);
    ck_assert_double_eq_tol((double)n[2] / N, 0.25, 0.04);
    ck_assert_double_eq_tol((double)n[3] / N, 0.25, 0.04);
    weft_bpe_free(bpe);
}
END_TEST

START_TEST(misuse)
{
    weft_bpe *bpe = codes_of(few), *none;
    char *cut;
    ck_assert_int_eq(weft_bpe_apply(bpe, NULL, "a\xFF", &cut), WEFT_ERR_INPUT);
    ck_assert_ptr_null(cut);
    ck_assert_str_eq(weft_message(), "byte 2 of the text (0xFF) is not valid UTF-8");
    const weft_bpe_apply_spec certain = { .dropout = { .p = 1 } };
    const weft_bpe_apply_spec chars = { .tokens = WEFT_TOKENS_CHARS };
    ck_assert_int_eq(weft_bpe_apply(bpe, &certain, "a", &cut), WEFT_ERR_RANGE);
    ck_assert_str_eq(weft_message(),
                     "BPE cuts words (not space), and its dropout 1 lies in [0, 1)");
    ck_assert_int_eq(weft_bpe_apply(bpe, &chars, "a", &cut), WEFT_ERR_RANGE);

    weft_vocab *words;
    ck_assert_int_eq(weft_vocab_new(&(weft_vocab_spec){ .tokens = WEFT_TOKENS_SPACE }, &words),
                     WEFT_OK);
    static const weft_bpe_spec wrong[] = {
        { 0 }, { .merges = -1 }, { .merges = 1, .vocab_size = 1 }, { .merges = 1, .min_count = -1 }
    };
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(weft_bpe_learn(words, &wrong[i], &none), WEFT_ERR_RANGE);
        ck_assert_ptr_null(none);
    }
    /* No words, or words of one character, teach nothing. */
    const weft_bpe_spec right = { .merges = 10 };
    ck_assert_int_eq(weft_bpe_learn(words, &right, &none), WEFT_OK);
    ck_assert_int_eq(weft_bpe_size(none), 0);
    weft_bpe_free(none);
    ck_assert_int_eq(weft_vocab_count(words, "a b b a"), WEFT_OK);
    ck_assert_int_eq(weft_bpe_learn(words, &right, &none), WEFT_OK);
    ck_assert_int_eq(weft_bpe_size(none), 0);
    char *text = weft_bpe_write(none);
    ck_assert_str_eq(text, "#version: 0.2\n");
    weft_free(text);
    weft_bpe_free(none);
    ck_assert_int_eq(weft_vocab_build(words), WEFT_OK);
    ck_assert_int_eq(weft_bpe_learn(words, &right, &none), WEFT_ERR_STATE);
    weft_vocab_free(words);
    weft_bpe_free(bpe);
    weft_bpe_free(NULL);
}
END_TEST

START_TEST(damaged_codes)
{
    static const char *const cases[][2] = {
        { "", ":1: a file of BPE codes begins with \"#version: 0.2\"" },
        { "a b\n", ":1: a file of BPE codes begins with \"#version: 0.2\"" },
        { "#version: 0.1\na b\n", ":1: a file of BPE codes begins with \"#version: 0.2\"" },
        { "#version: 0.2\na b\nab\n", ":3: a merge is two symbols with one space between" },
        { "#version: 0.2\na b c\n", ":2: a merge is two symbols with one space between" },
        { "#version: 0.2\na  b\n", ":2: a merge is two symbols with one space between" },
        { "#version: 0.2\n b\n", ":2: a merge is two symbols with one space between" },
        { "#version: 0.2\na \n", ":2: a merge is two symbols with one space between" },
        { "#version: 0.2\na b\n\nc d\n", ":3: a merge is two symbols with one space between" },
    };
    weft_bpe *bpe;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *path = temp_text("damaged", cases[i][0]);
        ck_assert_int_eq(weft_bpe_read(path, &bpe), WEFT_ERR_FORMAT);
        ck_assert_ptr_null(bpe);
        ck_assert_str_eq(weft_message() + strlen(path), cases[i][1]);
    }
    ck_assert_int_eq(weft_bpe_read(temp_text("utf8", "#version: 0.2\na \xFF\n"), &bpe),
                     WEFT_ERR_INPUT);
    ck_assert_int_eq(weft_bpe_read("/nowhere/codes", &bpe), WEFT_ERR_INPUT);
    ck_assert_ptr_null(bpe);
    /* Windows line ends, gzip, a last line without its end, no merges. */
    ck_assert_int_eq(weft_bpe_read(temp_gz("codes.gz", "#version: 0.2\r\na b\r\nab c"), &bpe),
                     WEFT_OK);
    ck_assert_int_eq(weft_bpe_size(bpe), 2);
    weft_bpe_free(bpe);
    ck_assert_int_eq(weft_bpe_read(temp_text("none", "#version: 0.2"), &bpe), WEFT_OK);
    ck_assert_int_eq(weft_bpe_size(bpe), 0);
    assert_cut(bpe, NULL, "abc", "a@@ b@@ c");
    weft_bpe_free(bpe);
}
END_TEST

/* ---- vocabularies of pieces ------------------------------------------------------------------- */

static weft_vocab *vocab_of(weft_vocab_spec spec, const char *text)
{
    weft_vocab *vocab;
    ck_assert_msg(weft_vocab_new(&spec, &vocab) == WEFT_OK, "%s", weft_message());
    ck_assert_int_eq(weft_vocab_count(vocab, text), WEFT_OK);
    ck_assert_int_eq(weft_vocab_build(vocab), WEFT_OK);
    return vocab;
}

/* The tokens of a text, joined by '|', and the text that they give back. */
static void check(const weft_vocab *vocab, const char *text, const char *tokens, const char *back)
{
    int32_t *ids;
    int64_t n;
    ck_assert_int_eq(weft_vocab_encode(vocab, text, &ids, &n), WEFT_OK);
    char joined[1024] = "", *decoded;
    for (int64_t i = 0; i < n; i++) {
        ck_assert_int_ge(ids[i], WEFT_FIRST_BYTE);
        append(joined, sizeof joined, i > 0 ? "|" : "");
        append(joined, sizeof joined, weft_vocab_token(vocab, ids[i]));
    }
    if (tokens) ck_assert_str_eq(joined, tokens);
    ck_assert_int_eq(weft_vocab_decode(vocab, ids, n, &decoded), WEFT_OK);
    ck_assert_str_eq(decoded, back);
    weft_free(decoded);
    weft_free(ids);
}

START_TEST(pieces_have_ids)
{
    weft_bpe *bpe = codes_of(few);
    weft_vocab *vocab = vocab_of((weft_vocab_spec){ .bpe = bpe }, "abc abc abd");
    weft_bpe_free(bpe); /* it has its own */
    ck_assert_int_eq(weft_vocab_size(vocab), WEFT_FIRST_BYTE + WEFT_N_BYTES + 3);
    ck_assert_str_eq(weft_vocab_token(vocab, WEFT_FIRST_BYTE + 0xAB), "<0xAB>");
    ck_assert_str_eq(weft_vocab_token(vocab, WEFT_FIRST_BYTE + WEFT_N_BYTES), "abc");
    ck_assert_int_eq(weft_vocab_id(vocab, "<0xAB>"), WEFT_UNK);
    ck_assert_int_eq(weft_bpe_size(weft_vocab_get_spec(vocab).bpe), 3);
    check(vocab, "abc abd", "abc|ab@@|d", "abc abd");
    check(vocab, "", "", "");
    check(vocab, "dd", "<0x64>|d", "dd"); /* d has been seen at an end alone */
    check(vocab, "ab ab", "<0x61>|<0x62>|<0x20>|<0x61>|<0x62>|<0x20>", "ab ab");
    check(vocab, "\xE6\x97\xA5 d", "<0xE6>|<0x97>|<0xA5>|<0x20>|d", "\xE6\x97\xA5 d");
    check(vocab, "<0x41> <s> </s> <unk>", NULL, "<0x41> <s> </s> <unk>");
    weft_vocab_free(vocab);
}
END_TEST

/* A piece without an id is cut as before its last merge, as subword-nmt does by --vocabulary. */
START_TEST(pieces_without_ids_are_cut_again)
{
    weft_bpe *bpe = codes_of("#version: 0.2\na b\nab c\nabc d</w>\n");
    const char *text = "abcd ab. ab. ab. c. c. c. d d d d";
    weft_vocab *vocab = vocab_of((weft_vocab_spec){ .bpe = bpe, .min_count = 2 }, text);
    check(vocab, "abcd", "ab@@|c@@|d", "abcd");
    weft_vocab_free(vocab);
    const int64_t room = WEFT_FIRST_BYTE + WEFT_N_BYTES + 2;
    vocab = vocab_of((weft_vocab_spec){ .bpe = bpe, .max_size = room }, text);
    ck_assert_int_eq(weft_vocab_size(vocab), room);
    check(vocab, "abcd.", NULL, "abcd.");
    weft_vocab_free(vocab);
    vocab = vocab_of((weft_vocab_spec){ .bpe = bpe, .min_count = 3, .bpe_symbols = true }, text);
    ck_assert_int_ne(weft_vocab_id(vocab, "abcd"), WEFT_UNK);
    ck_assert_int_ne(weft_vocab_id(vocab, "abc@@"), WEFT_UNK); /* never seen in the text */
    ck_assert_int_ne(weft_vocab_id(vocab, "a@@"), WEFT_UNK);
    weft_vocab_free(vocab);
    weft_bpe_free(bpe);
}
END_TEST

/* The tokens of a text as subword-nmt writes them, or with "<0xAB>" for bytes. */
static void tokens_of(const weft_vocab *vocab, const char *text, char *tokens, size_t room)
{
    int32_t *ids;
    int64_t n;
    ck_assert_int_eq(weft_vocab_encode(vocab, text, &ids, &n), WEFT_OK);
    tokens[0] = '\0';
    for (int64_t i = 0; i < n; i++) {
        append(tokens, room, i > 0 ? " " : "");
        append(tokens, room, weft_vocab_token(vocab, ids[i]));
    }
    weft_free(ids);
}

/* Line by line but for those with rare characters, which subword-nmt leaves unknown. */
START_TEST(rare_pieces_as_subword_nmt_cuts_them)
{
    weft_bpe *bpe;
    weft_lines *text, *want;
    const char *line, *filtered;
    ck_assert_int_eq(weft_bpe_read(golden_path("prose", "codes"), &bpe), WEFT_OK);
    weft_vocab *vocab = vocab_of((weft_vocab_spec){ .bpe = bpe, .min_count = 2 },
                                 read_whole(golden_path("prose", "text")));
    ck_assert_int_eq(weft_lines_open(golden_path("prose", "text"), &text), WEFT_OK);
    ck_assert_int_eq(weft_lines_open(golden_path("prose", "filtered"), &want), WEFT_OK);
    int n_equal = 0, n_changed = 0;
    for (;;) {
        char tokens[1024], *plain;
        ck_assert_int_eq(weft_lines_next(text, &line, NULL), WEFT_OK);
        ck_assert_int_eq(weft_lines_next(want, &filtered, NULL), WEFT_OK);
        if (!line) break;
        tokens_of(vocab, line, tokens, sizeof tokens);
        if (strstr(tokens, "<0x")) continue;
        ck_assert_str_eq(tokens, filtered);
        n_equal++;
        ck_assert_int_eq(weft_bpe_apply(bpe, NULL, line, &plain), WEFT_OK);
        n_changed += strcmp(plain, tokens) != 0;
        weft_free(plain);
    }
    ck_assert_int_gt(n_equal, 15);
    ck_assert_int_gt(n_changed, 5);
    weft_lines_free(text);
    weft_lines_free(want);
    weft_vocab_free(vocab);
    weft_bpe_free(bpe);
}
END_TEST

/* What looks like a mark is text all the same. */
START_TEST(marks_in_the_text)
{
    weft_bpe *bpe = codes_of("#version: 0.2\na @\na@ @</w>\n@ @</w>\n@ @\n");
    weft_vocab *vocab = vocab_of((weft_vocab_spec){ .bpe = bpe }, "a@@ @@ @@@ a@@b @ a b");
    static const char *const texts[] = { "a@@", "@@", "@@@", "a@@ b", "a@@b", "@ @", "@@ @@@@ a@" };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        check(vocab, texts[i], NULL, texts[i]);
    weft_vocab_free(vocab);
    weft_bpe_free(bpe);
    /* Nor is "</w>" the end of a word; and codes that cut it do no harm. */
    bpe = codes_of("#version: 0.2\na <\na< /w>\na< /\na</ w\na</w >\na< /w></w>\nb< /w>\n");
    vocab = vocab_of((weft_vocab_spec){ .bpe = bpe, .bpe_symbols = true }, "a b");
    check(vocab, "a</w> a a</w>b b </w>", NULL, "a</w> a a</w>b b </w>");
    weft_vocab_free(vocab);
    vocab = vocab_of((weft_vocab_spec){ .bpe = bpe }, "b");
    check(vocab, "a</w> a b</w>", NULL, "a</w> a b</w>");
    weft_vocab_free(vocab);
    weft_bpe_free(bpe);
}
END_TEST

/* Any text comes back, whatever of it was seen. */
START_TEST(no_text_is_unknown)
{
    static const char *const pieces[] = { "a", "b", "c", "@", "\xC3\xA4",     "\xE6\x97\xA5",
                                          ".", " ", "1", "'", "\xEF\xBF\xAD", "\xF0\x9F\x98\x80" };
    enum { N_PIECES = sizeof pieces / sizeof pieces[0] };
    weft_bpe *bpe = codes_of(few);
    const weft_vocab_spec spec = { .tokens = WEFT_TOKENS_PUNCT, .bpe = bpe };
    weft_vocab *vocab = vocab_of(spec, "abc. ab a@");
    for (uint64_t round = 0; round < 2000; round++) {
        char text[128] = "";
        const uint64_t n_pieces = weft_random_below(1, round, 20);
        for (uint64_t i = 0; i < n_pieces; i++) {
            const char *piece = pieces[weft_random_below(2, 20 * round + i, N_PIECES)];
            const size_t n = strlen(text);
            if (*piece == ' ' && (n == 0 || text[n - 1] == ' ' || i + 1 == n_pieces)) continue;
            append(text, sizeof text, piece);
        }
        if (text[0] && text[strlen(text) - 1] == ' ') text[strlen(text) - 1] = '\0';
        check(vocab, text, NULL, text);
    }
    weft_vocab_free(vocab);
    weft_bpe_free(bpe);
}
END_TEST

START_TEST(any_ids_give_text)
{
    weft_bpe *bpe = codes_of(few);
    weft_vocab *vocab = vocab_of((weft_vocab_spec){ .bpe = bpe }, "abc abd");
    const int32_t byte = WEFT_FIRST_BYTE, abc = weft_vocab_id(vocab, "abc"),
                  ab = weft_vocab_id(vocab, "ab@@");
#define DECODED(want, ...)                                                                         \
    do {                                                                                           \
        const int32_t ids[] = { __VA_ARGS__ };                                                     \
        char *text;                                                                                \
        ck_assert_int_eq(weft_vocab_decode(vocab, ids, sizeof ids / sizeof *ids, &text), WEFT_OK); \
        ck_assert_str_eq(text, want);                                                              \
        weft_free(text);                                                                           \
    } while (0)
    DECODED("abab abc", ab, ab, byte + ' ', byte + ' ', abc, WEFT_EOS);
    DECODED("ab\xEF\xBF\xBD\xEF\xBF\xBD", WEFT_BOS, ab, byte + 0xE6, byte + 0x97);
    DECODED("\xEF\xBF\xBDx\xEF\xBF\xBD\xEF\xBF\xBD"
            "abc",
            byte + 0, byte + 'x', byte + '\n', byte + '\t', abc);
    DECODED("<unk> abc", WEFT_UNK, abc);
    DECODED("ab", ab);
    weft_vocab_free(vocab);
    weft_bpe_free(bpe);

    /* Marks of punctuation at places where no text has them are not seen. */
    bpe = codes_of("#version: 0.2\n\xEF\xBF\xAD .</w>\n\xEF\xBF\xAD \xEF\xBF\xAD</w>\n");
    const weft_vocab_spec punct = { .tokens = WEFT_TOKENS_PUNCT, .bpe = bpe };
    vocab = vocab_of(punct, "abc. a");
    const int32_t a = weft_vocab_id(vocab, "a"), a_goes_on = weft_vocab_id(vocab, "a@@"),
                  dot = weft_vocab_id(vocab, "\xEF\xBF\xAD.");
    ck_assert(a != WEFT_UNK && a_goes_on != WEFT_UNK && dot != WEFT_UNK);
    DECODED("a. a", a, dot, a);
    DECODED("aa. a", a_goes_on, a_goes_on, dot, a);
    DECODED("aa", a, byte + 0xEF, byte + 0xBF, byte + 0xAD, byte + ' ', byte + 'a');
    weft_vocab_free(vocab);
    weft_bpe_free(bpe);
}
END_TEST

START_TEST(written_and_parsed)
{
    weft_bpe *bpe = codes_of("#version: 0.2\na \\\na\\ b</w>\n");
    const weft_vocab_spec spec = { .tokens = WEFT_TOKENS_PUNCT, .lowercase = true, .bpe = bpe };
    weft_vocab *vocab = vocab_of(spec, "a\\b A"), *parsed;
    char *text = weft_vocab_write(vocab);
    const char *head =
        "weft-vocab 2 tokens=punct lowercase=1 merges=2\na \\\na\\ b</w>\n<unk>\n<s>\n"
        "</s>\n<0x00>\n<0x01>\n";
    ck_assert_int_eq(strncmp(text, head, strlen(head)), 0);
    ck_assert_int_eq(weft_vocab_parse(text, "v", &parsed), WEFT_OK);
    char *again = weft_vocab_write(parsed);
    ck_assert_str_eq(again, text);
    ck_assert_int_eq(weft_bpe_size(weft_vocab_get_spec(parsed).bpe), 2);
    check(parsed, "a\\b a", NULL, "a\\b a");
    weft_free(again);
    weft_vocab_free(parsed);

    /* Damaged at every byte: refused, or a vocabulary all the same; never anything else. */
    const size_t n_bytes = strlen(text);
    for (size_t i = 0; i < n_bytes; i += i < 200 ? 1 : 17) {
        char *damaged = weft_strdup(text);
        damaged[i] = damaged[i] == '\n' ? 'x' : '\n';
        const weft_status status = weft_vocab_parse(damaged, "v", &parsed);
        ck_assert(status == WEFT_ERR_FORMAT || (status == WEFT_OK && parsed));
        weft_vocab_free(parsed);
        damaged[i] = '\0'; /* cut off */
        if (i > 0) ck_assert_int_eq(weft_vocab_parse(damaged, "v", &parsed), WEFT_ERR_FORMAT);
        weft_free(damaged);
    }
    weft_free(text);
    static const char *const cases[][2] = {
        { "weft-vocab 2 tokens=punct lowercase=0 merges=\n",
          "v:1: not the first line of a vocabulary of weft" },
        { "weft-vocab 2 tokens=punct lowercase=0 merges=99999999999999999999\n",
          "v:1: not the first line of a vocabulary of weft" },
        { "weft-vocab 2 tokens=punct lowercase=0 merges=2\na b\n", "v:3: the merges are cut off" },
        { "weft-vocab 2 tokens=punct lowercase=0 merges=1\nab\n",
          "v:2: a merge is two symbols with one space between" },
        { "weft-vocab 2 tokens=punct lowercase=0 merges=1\n\xFF b\n",
          "v:2: the merge is not valid UTF-8" },
        { "weft-vocab 2 tokens=punct lowercase=0 merges=1\na b\n<unk>\n<s>\n</s>\na\n",
          "v:6: <0x00> is missing" },
        { "weft-vocab 2 tokens=punct lowercase=0 merges=0\n<unk>\n<s>\n</s>\n",
          "v: the vocabulary is cut off after line 4" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ck_assert_int_eq(weft_vocab_parse(cases[i][0], "v", &parsed), WEFT_ERR_FORMAT);
        ck_assert_ptr_null(parsed);
        ck_assert_str_eq(weft_message(), cases[i][1]);
    }
    weft_vocab_free(vocab);
    weft_bpe_free(bpe);
}
END_TEST

START_TEST(vocabulary_misuse)
{
    weft_bpe *bpe = codes_of(few);
    weft_vocab *vocab, *words;
    const weft_vocab_spec chars = { .tokens = WEFT_TOKENS_CHARS, .bpe = bpe };
    ck_assert_int_eq(weft_vocab_new(&chars, &vocab), WEFT_ERR_RANGE);
    ck_assert_ptr_null(vocab);
    const weft_vocab_spec small = { .max_size = WEFT_FIRST_BYTE + WEFT_N_BYTES, .bpe = bpe };
    ck_assert_int_eq(weft_vocab_new(&small, &vocab), WEFT_ERR_RANGE);
    ck_assert_str_eq(weft_message(),
                     "vocabulary: tokens is 0 (0 .. 2), min_count 0 (>= 0), max_size "
                     "259 (0, or more than the 259 specials and bytes)");
    ck_assert_int_eq(weft_vocab_new(&(weft_vocab_spec){ .bpe = bpe }, &vocab), WEFT_OK);
    ck_assert_int_eq(weft_vocab_new(&(weft_vocab_spec){ .tokens = WEFT_TOKENS_PUNCT }, &words),
                     WEFT_OK);
    ck_assert_int_eq(weft_vocab_count_words(vocab, words), WEFT_ERR_STATE);
    ck_assert_int_eq(weft_vocab_count_words(vocab, vocab), WEFT_ERR_STATE);
    weft_vocab_free(words);
    ck_assert_int_eq(weft_vocab_new(&(weft_vocab_spec){ .min_count = 0 }, &words), WEFT_OK);
    ck_assert_int_eq(weft_vocab_count(words, "abc abc ab"), WEFT_OK);
    ck_assert_int_eq(weft_vocab_count_words(vocab, words), WEFT_OK);
    ck_assert_int_eq(weft_vocab_build(vocab), WEFT_OK);
    ck_assert_str_eq(weft_vocab_token(vocab, WEFT_FIRST_BYTE + WEFT_N_BYTES), "abc");
    ck_assert_int_eq(weft_vocab_count_words(vocab, words), WEFT_ERR_STATE);
    weft_vocab_free(words);
    weft_vocab_free(vocab);
    weft_bpe_free(bpe);
}
END_TEST

/* ---- memory ----------------------------------------------------------------------------------- */

static weft_status whole_life(const char *path)
{
    weft_vocab *words = NULL, *vocab = NULL, *parsed = NULL;
    weft_bpe *bpe = NULL, *read = NULL;
    char *text = NULL, *decoded = NULL, *cut = NULL;
    int32_t *ids = NULL;
    int64_t n;
    const char *sentence = "aba abab e\xCC\x81 \xE6\x97\xA5 bab.";
    weft_vocab_spec spec = { .tokens = WEFT_TOKENS_PUNCT, .lowercase = true };
    weft_status status = weft_vocab_new(&spec, &words);
    if (status == WEFT_OK) status = weft_vocab_count(words, sentence);
    if (status == WEFT_OK) status = weft_bpe_learn(words, &(weft_bpe_spec){ .merges = 3 }, &bpe);
    if (status == WEFT_OK) status = weft_bpe_read(path, &read);
    if (status == WEFT_OK) status = weft_bpe_apply(read, NULL, sentence, &cut);
    spec.bpe = bpe;
    spec.bpe_symbols = true;
    if (status == WEFT_OK) status = weft_vocab_new(&spec, &vocab);
    if (status == WEFT_OK) status = weft_vocab_count_words(vocab, words);
    if (status == WEFT_OK) status = weft_vocab_build(vocab);
    if (status == WEFT_OK && !(text = weft_vocab_write(vocab))) status = WEFT_ERR_MEMORY;
    if (status == WEFT_OK) status = weft_vocab_parse(text, "v", &parsed);
    if (status == WEFT_OK) status = weft_vocab_encode(parsed, "aba \xE6\x9C\xAC", &ids, &n);
    if (status == WEFT_OK) status = weft_vocab_decode(parsed, ids, n, &decoded);
    if (status == WEFT_OK) ck_assert_str_eq(decoded, "aba \xE6\x9C\xAC");
    weft_free(text);
    weft_free(decoded);
    weft_free(cut);
    weft_free(ids);
    weft_vocab_free(words);
    weft_vocab_free(vocab);
    weft_vocab_free(parsed);
    weft_bpe_free(bpe);
    weft_bpe_free(read);
    return status;
}

START_TEST(every_allocation_may_fail)
{
    const char *path = temp_text("codes", few);
    int64_t n = 0;
    weft_status status;
    do {
        weft_alloc_fail_at(++n, false);
        status = whole_life(path);
        weft_alloc_fail_at(0, false);
        ck_assert_int_lt(n, 1000);
        ck_assert(status == WEFT_OK || status == WEFT_ERR_MEMORY);
    } while (status != WEFT_OK);
    ck_assert_int_gt(n, 60);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("data_bpe");
    TCase *reference = tcase_create("reference");
    tcase_add_test(reference, learns_what_subword_nmt_learns);
    tcase_add_test(reference, cuts_as_subword_nmt_cuts);
    suite_add_tcase(suite, reference);
    TCase *cutting = tcase_create("cutting");
    tcase_add_checked_fixture(cutting, temp_setup, temp_teardown);
    tcase_add_test(cutting, merges_in_the_order_of_the_codes);
    tcase_add_test(cutting, a_word_of_a_million_characters);
    tcase_add_test(cutting, dropout_is_keyed_and_passes_over_some);
    tcase_add_test(cutting, dropout_passes_over_one_merge_at_a_time);
    tcase_add_test(cutting, misuse);
    tcase_add_test(cutting, damaged_codes);
    suite_add_tcase(suite, cutting);
    TCase *vocab = tcase_create("vocabulary");
    tcase_add_checked_fixture(vocab, temp_setup, temp_teardown);
    tcase_add_test(vocab, pieces_have_ids);
    tcase_add_test(vocab, pieces_without_ids_are_cut_again);
    tcase_add_test(vocab, rare_pieces_as_subword_nmt_cuts_them);
    tcase_add_test(vocab, marks_in_the_text);
    tcase_add_test(vocab, no_text_is_unknown);
    tcase_add_test(vocab, any_ids_give_text);
    tcase_add_test(vocab, written_and_parsed);
    tcase_add_test(vocab, vocabulary_misuse);
    suite_add_tcase(suite, vocab);
    TCase *memory = tcase_create("memory");
    tcase_add_checked_fixture(memory, temp_setup, temp_teardown);
    tcase_add_test(memory, every_allocation_may_fail);
    suite_add_tcase(suite, memory);
    return run_suite(suite);
}
