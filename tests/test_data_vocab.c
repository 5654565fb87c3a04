/* precision: float - vocabularies: cutting text into tokens, ids, text again, and on disk. */
#include "check_main.h"

#include <string.h>

#include "data/data.h"

static weft_vocab *vocab_of(weft_vocab_spec spec, int n, const char *const texts[])
{
    weft_vocab *vocab;
    ck_assert_int_eq(weft_vocab_new(&spec, &vocab), WEFT_OK);
    for (int i = 0; i < n; i++) ck_assert_int_eq(weft_vocab_count(vocab, texts[i]), WEFT_OK);
    ck_assert(!weft_vocab_is_built(vocab));
    ck_assert_int_eq(weft_vocab_build(vocab), WEFT_OK);
    ck_assert(weft_vocab_is_built(vocab));
    return vocab;
}

static void append(char *text, size_t room, const char *more)
{
    const size_t n = strlen(text);
    ck_assert_uint_lt(n + strlen(more), room);
    snprintf(text + n, room - n, "%s", more);
}

/* The tokens without ids are the same ones. */
static void check_cut(const weft_vocab *vocab, const char *text, const char *joined)
{
    const char **tokens;
    int64_t n;
    char cut[1024] = "";
    ck_assert_int_eq(weft_vocab_cut(vocab, text, &tokens, &n), WEFT_OK);
    for (int64_t i = 0; i < n; i++) {
        append(cut, sizeof cut, i > 0 ? "|" : "");
        append(cut, sizeof cut, tokens[i]);
    }
    ck_assert_str_eq(cut, joined);
    weft_free(tokens);
}

/* The tokens of `text`, joined by '|'; then the ids are decoded, and must give `back`, as which the
 * vocabulary reads it. */
static void check_tokens(weft_vocab_spec spec, const char *text, const char *tokens,
                         const char *back)
{
    weft_vocab *vocab = vocab_of(spec, 1, &text);
    int32_t *ids;
    int64_t n;
    ck_assert_int_eq(weft_vocab_encode(vocab, text, &ids, &n), WEFT_OK);
    char joined[1024] = "";
    for (int64_t i = 0; i < n; i++) {
        ck_assert_int_ge(ids[i], WEFT_N_SPECIALS);
        append(joined, sizeof joined, i > 0 ? "|" : "");
        append(joined, sizeof joined, weft_vocab_token(vocab, ids[i]));
    }
    ck_assert_str_eq(joined, tokens);
    check_cut(vocab, text, tokens);
    char *decoded, *normal;
    ck_assert_int_eq(weft_vocab_decode(vocab, ids, n, &decoded), WEFT_OK);
    ck_assert_str_eq(decoded, back);
    ck_assert_int_eq(weft_vocab_normalise(vocab, text, &normal), WEFT_OK);
    ck_assert_str_eq(normal, back);
    weft_free(normal);
    weft_free(decoded);
    weft_free(ids);
    weft_vocab_free(vocab);
}

#define J "\xEF\xBF\xAD" /* the joiner */
#define E "\xEF\xBF\xAE" /* the escape */

START_TEST(words_between_spaces)
{
    const weft_vocab_spec spec = { .tokens = WEFT_TOKENS_SPACE };
    check_tokens(spec, "a b. c", "a|b.|c", "a b. c");
    check_tokens(spec, " \t a\v\f b\r\n", "a|b", "a b");
    check_tokens(spec,
                 "a\xC2\xA0"
                 "b " J,
                 "a\xC2\xA0"
                 "b|" J,
                 "a\xC2\xA0"
                 "b " J);
    check_tokens(spec, "", "", "");
}
END_TEST

START_TEST(punctuation_split_off)
{
    const weft_vocab_spec spec = { .tokens = WEFT_TOKENS_PUNCT };
    static const char *const cases[][2] = {
        { "Hello.", "Hello|" J "." },
        { "He said: \"Don't pay 3.50 (net)!\"",
          "He|said|" J ":|\"" J "|Don|" J "'t|pay|3.50|(" J "|net|" J ")|" J "!|" J "\"" },
        { "well-known", "well|" J "-" J "|known" },
        { "a - b", "a|-|b" },
        { "...a", ".|" J ".|" J "." J "|a" },
        { "1,000. 2:30 3. .5", "1,000|" J ".|2|" J ":" J "|30|3|" J ".|." J "|5" },
        { "'tis Tom\xE2\x80\x99s boys' o'clock's",
          "'" J "|tis|Tom|" J "\xE2\x80\x99s|boys|" J "'|o|" J "'clock|" J "'s" },
        { "\xC3\x9C"
          "ber\xC3\xA4ll\xE2\x80\xA6",
          "\xC3\x9C"
          "ber\xC3\xA4ll|" J "\xE2\x80\xA6" },
        { "a\xC2\xA0"
          "b",
          "a|" J "\xC2\xA0" J "|b" },
        { "a" J " " J "b " E J, "a|" J E "1|" E "1" J "|b|" E "0|" J E "1" },
        { "q\xCC\x81t", "q\xCC\x81t" }, /* a combining accent belongs to the word */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        check_tokens(spec, cases[i][0], cases[i][1], cases[i][0]);
    }
    check_tokens(spec, "  a  ,b ", "a|," J "|b", "a ,b");
}
END_TEST

/* What a text begins with, and how it goes on, are joined as the whole is. */
START_TEST(punctuation_before_what_is_to_come)
{
    static const char *const cases[][3] = {
        { "He said (", "net", "He said (net" },
        { "said(", "net", "said(net" },
        { "He \"", "net", "He \"net" },
        { "\xC2\xAB", "net", "\xC2\xABnet" },
        { "He\"", "net", "He\" net" },
        { "He ( ", "net", "He ( net" },
        { "He,", "net", "He, net" },
        { "He -", "net", "He - net" },
        { "He", "net", "He net" },
    };
    const char *const texts[] = { "He, said (net) \"net\"(net \xC2\xABnet - net",
                                  "( \" He\" said( net" };
    weft_vocab *vocab = vocab_of((weft_vocab_spec){ .tokens = WEFT_TOKENS_PUNCT }, 2, texts);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int32_t *ids, *rest;
        int64_t n, n_rest;
        char *text;
        ck_assert_int_eq(weft_vocab_encode(vocab, cases[i][0], &ids, &n), WEFT_OK);
        ck_assert_int_eq(weft_vocab_encode(vocab, cases[i][1], &rest, &n_rest), WEFT_OK);
        ck_assert_int_eq(n_rest, 1);
        int32_t both[8];
        ck_assert_int_lt(n, 8);
        memcpy(both, ids, (size_t)n * sizeof *ids);
        both[n] = *rest;
        ck_assert_int_eq(weft_vocab_decode(vocab, both, n + 1, &text), WEFT_OK);
        ck_assert_str_eq(text, cases[i][2]);
        weft_free(text);
        weft_free(ids);
        weft_free(rest);
    }
    weft_vocab_free(vocab);
}
END_TEST

/* Any mixture of these characters comes back, whatever their order. */
START_TEST(punctuation_is_reversible)
{
    static const char *const pieces[] = { "a", "Z",        "7",        "0",
                                          ".", ",",        "'",        "\xE2\x80\x99",
                                          "-", "(",        "\"",       " ",
                                          " ", "\xC3\xA4", "\xC2\xA0", J,
                                          E,   "1",        "\xCC\xB8", "\xF0\x9F\x98\x80" };
    enum { N_PIECES = sizeof pieces / sizeof pieces[0] };
    const weft_vocab_spec spec = { .tokens = WEFT_TOKENS_PUNCT };
    for (uint64_t round = 0; round < 3000; round++) {
        char text[128] = "";
        const uint64_t n_pieces = weft_random_below(1, round, 20);
        for (uint64_t i = 0; i < n_pieces; i++) {
            const char *piece = pieces[weft_random_below(2, 20 * round + i, N_PIECES)];
            const size_t n = strlen(text);
            if (*piece == ' ' && (n == 0 || text[n - 1] == ' ' || i + 1 == n_pieces)) continue;
            append(text, sizeof text, piece);
        }
        if (text[0] && text[strlen(text) - 1] == ' ') text[strlen(text) - 1] = '\0';
        const char *one = text;
        weft_vocab *vocab = vocab_of(spec, 1, &one);
        int32_t *ids;
        int64_t n;
        char *back;
        ck_assert_int_eq(weft_vocab_encode(vocab, text, &ids, &n), WEFT_OK);
        ck_assert_int_eq(weft_vocab_decode(vocab, ids, n, &back), WEFT_OK);
        ck_assert_str_eq(back, text);
        weft_free(back);
        weft_free(ids);
        weft_vocab_free(vocab);
    }
}
END_TEST

START_TEST(characters)
{
    const weft_vocab_spec spec = { .tokens = WEFT_TOKENS_CHARS };
    check_tokens(spec, " a\xC3\xA4\n", " |a|\xC3\xA4|\n", " a\xC3\xA4\n");
    check_tokens(spec, "\xF0\x9F\x98\x80" J, "\xF0\x9F\x98\x80|" J, "\xF0\x9F\x98\x80" J);
}
END_TEST

START_TEST(lower_case)
{
    weft_vocab_spec spec = { .tokens = WEFT_TOKENS_PUNCT, .lowercase = true };
    check_tokens(spec, "\xC3\x84hm, DON'T", "\xC3\xA4hm|" J ",|don|" J "'t", "\xC3\xA4hm, don't");
    /* U+023A has two bytes, its lower case U+2C65 three. */
    check_tokens(spec, "a'\xC8\xBA\xC8\xBA", "a|" J "'\xE2\xB1\xA5\xE2\xB1\xA5",
                 "a'\xE2\xB1\xA5\xE2\xB1\xA5");
    spec.tokens = WEFT_TOKENS_SPACE;
    check_tokens(spec, "AbC \xCE\xA3", "abc|\xCF\x83", "abc \xCF\x83");
    spec.tokens = WEFT_TOKENS_CHARS;
    check_tokens(spec, "A\xC3\x84", "a|\xC3\xA4", "a\xC3\xA4");
}
END_TEST

/* Two ways of writing a character are one; what is composed already, or stands alone, stays. */
START_TEST(normalised)
{
    weft_vocab_spec spec = { .tokens = WEFT_TOKENS_SPACE };
    check_tokens(spec, "a\xCC\x88 \xC3\xA4", "\xC3\xA4|\xC3\xA4", "\xC3\xA4 \xC3\xA4");
    check_tokens(spec, "\xE2\x84\xA6", "\xCE\xA9", "\xCE\xA9"); /* ohm: omega */
    check_tokens(spec, "q\xCC\x88 \xEF\xAC\x81", "q\xCC\x88|\xEF\xAC\x81",
                 "q\xCC\x88 \xEF\xAC\x81"); /* no such letter; a ligature is no composition */
    /* What grows: U+1D160 has four bytes, its normal form twelve. */
    check_tokens(spec, "\xF0\x9D\x85\xA0", "\xF0\x9D\x85\x98\xF0\x9D\x85\xA5\xF0\x9D\x85\xAE",
                 "\xF0\x9D\x85\x98\xF0\x9D\x85\xA5\xF0\x9D\x85\xAE");
    spec.tokens = WEFT_TOKENS_CHARS;
    check_tokens(spec, "a\xCC\x88", "\xC3\xA4", "\xC3\xA4");
    spec.tokens = WEFT_TOKENS_PUNCT;
    spec.lowercase = true;
    check_tokens(spec, "A\xCC\x88!", "\xC3\xA4|" J "!", "\xC3\xA4!");
    /* There is no capital of U+1E96: it composes once the letter is small. */
    check_tokens(spec, "H\xCC\xB1 h\xCC\xB1", "\xE1\xBA\x96|\xE1\xBA\x96",
                 "\xE1\xBA\x96 \xE1\xBA\x96");
}
END_TEST

/* The only token of "q" and so many marks, every other one of a lower class: they change places. */
static char *marked_word(int n_marks)
{
    const weft_vocab_spec spec = { .tokens = WEFT_TOKENS_SPACE };
    weft_vocab *vocab = vocab_of(spec, 0, NULL);
    char *const text = weft_alloc((size_t)n_marks + 1, 2);
    ck_assert_ptr_nonnull(text);
    text[0] = 'q';
    for (int i = 0; i < n_marks; i++)
        memcpy(text + 1 + 2 * (ptrdiff_t)i, i % 2 == 0 ? "\xCC\x81" : "\xCC\xA3", 2);
    const char **tokens;
    int64_t n;
    ck_assert_int_eq(weft_vocab_cut(vocab, text, &tokens, &n), WEFT_OK);
    ck_assert_int_eq(n, 1);
    char *const word = weft_strdup(tokens[0]);
    weft_free(tokens);
    weft_free(text);
    weft_vocab_free(vocab);
    return word;
}

/* Thirty marks in a row are sorted; more are parted by U+034F, and no number of them takes for ever. */
START_TEST(marks_without_end)
{
    enum { MOST = 30, MANY = 1000000 };
    char *word = marked_word(MOST), *longer = marked_word(MOST + 1), *longest = marked_word(MANY);
    for (int i = 0; i < MOST; i++)
        ck_assert_mem_eq(word + 1 + 2 * (ptrdiff_t)i, i < MOST / 2 ? "\xCC\xA3" : "\xCC\x81", 2);
    ck_assert_uint_eq(strlen(word), 1 + 2 * MOST);
    ck_assert_mem_eq(longer, word, 1 + 2 * MOST);
    ck_assert_str_eq(longer + 1 + 2 * MOST, "\xCD\x8F\xCC\x81");
    ck_assert_mem_eq(longest, word, 1 + 2 * MOST);
    ck_assert_uint_eq(strlen(longest), 1 + 2 * (MANY + (MANY - 1) / MOST));
    weft_free(word);
    weft_free(longer);
    weft_free(longest);
}
END_TEST

START_TEST(ids_by_count_then_bytes)
{
    const char *const texts[] = { "b a c c \xC3\xA4 a d d d", "e z" };
    weft_vocab_spec spec = { .tokens = WEFT_TOKENS_SPACE };
    weft_vocab *vocab = vocab_of(spec, 2, texts);
    static const char *const want[] = { "<unk>", "<s>", "</s>", "d", "a",
                                        "c",     "b",   "e",    "z", "\xC3\xA4" };
    ck_assert_int_eq(weft_vocab_size(vocab), 10);
    for (int i = 0; i < 10; i++) ck_assert_str_eq(weft_vocab_token(vocab, i), want[i]);
    for (int i = 3; i < 10; i++) ck_assert_int_eq(weft_vocab_id(vocab, want[i]), i);
    ck_assert_int_eq(weft_vocab_id(vocab, "nowhere"), WEFT_UNK);
    ck_assert_int_eq(weft_vocab_id(vocab, "</s>"), WEFT_UNK);
    ck_assert_ptr_null(weft_vocab_token(vocab, 10));
    ck_assert_ptr_null(weft_vocab_token(vocab, -1));
    weft_vocab_free(vocab);

    spec.min_count = 2;
    vocab = vocab_of(spec, 2, texts);
    ck_assert_int_eq(weft_vocab_size(vocab), 6);
    ck_assert_int_eq(weft_vocab_id(vocab, "b"), WEFT_UNK);
    weft_vocab_free(vocab);

    spec.min_count = 0;
    spec.max_size = 4;
    vocab = vocab_of(spec, 2, texts);
    ck_assert_int_eq(weft_vocab_size(vocab), 4);
    ck_assert_str_eq(weft_vocab_token(vocab, 3), "d");
    weft_vocab_free(vocab);
}
END_TEST

START_TEST(specials_and_unknown)
{
    const char *const texts[] = { "a </s> <s> <unk> b" };
    weft_vocab *vocab = vocab_of((weft_vocab_spec){ .tokens = WEFT_TOKENS_SPACE }, 1, texts);
    int32_t *ids;
    int64_t n;
    ck_assert_int_eq(weft_vocab_encode(vocab, "</s> <s> <unk> new", &ids, &n), WEFT_OK);
    ck_assert_int_eq(n, 4);
    for (int i = 0; i < 3; i++) ck_assert_int_ge(ids[i], WEFT_N_SPECIALS);
    ck_assert_int_eq(ids[3], WEFT_UNK);
    weft_free(ids);
    char *text;
    const int32_t mixed[] = { WEFT_BOS, weft_vocab_id(vocab, "a"), WEFT_UNK, WEFT_EOS };
    ck_assert_int_eq(weft_vocab_decode(vocab, mixed, 4, &text), WEFT_OK);
    ck_assert_str_eq(text, "a <unk>");
    weft_free(text);
    const int32_t beyond[] = { 3, 8 };
    ck_assert_int_eq(weft_vocab_decode(vocab, beyond, 2, &text), WEFT_ERR_RANGE);
    ck_assert_ptr_null(text);
    ck_assert_str_eq(weft_message(), "id 8 at place 1 is not in the vocabulary (0 .. 7)");
    weft_vocab_free(vocab);
}
END_TEST

/* Words in the place of unknown ones join as tokens of the text do. */
START_TEST(words_instead_of_ids)
{
    const char *const texts[] = { "a b , '" };
    const weft_vocab_spec spec = { .tokens = WEFT_TOKENS_PUNCT };
    weft_vocab *vocab = vocab_of(spec, 1, texts);
    const int32_t ids[] = { weft_vocab_id(vocab, "a"), WEFT_UNK, WEFT_UNK, WEFT_UNK,
                            weft_vocab_id(vocab, "b") };
    const char *const words[] = { NULL, "Zyx", NULL, J "!", NULL };
    char *text;
    ck_assert_int_eq(weft_vocab_decode_with(vocab, ids, 5, words, &text), WEFT_OK);
    ck_assert_str_eq(text, "a Zyx <unk>! b");
    weft_free(text);
    const int32_t beyond[] = { 99 };
    ck_assert_int_eq(weft_vocab_decode_with(vocab, beyond, 1, words, &text), WEFT_ERR_RANGE);
    ck_assert_ptr_null(text);
    const char **tokens;
    int64_t n;
    ck_assert_int_eq(weft_vocab_cut(vocab, "a\377", &tokens, &n), WEFT_ERR_INPUT);
    ck_assert_int_eq(weft_vocab_cut(vocab, "", &tokens, &n), WEFT_OK);
    ck_assert_int_eq(n, 0);
    weft_free(tokens);
    weft_vocab_free(vocab);
}
END_TEST

START_TEST(misuse)
{
    weft_vocab *vocab;
    const weft_vocab_spec wrong[] = { { .tokens = (weft_tokens_kind)3 },
                                      { .min_count = -1 },
                                      { .max_size = 3 },
                                      { .max_size = -1 } };
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(weft_vocab_new(&wrong[i], &vocab), WEFT_ERR_RANGE);
        ck_assert_ptr_null(vocab);
    }
    const weft_vocab_spec spec = { .tokens = WEFT_TOKENS_SPACE };
    ck_assert_int_eq(weft_vocab_new(&spec, &vocab), WEFT_OK);
    int32_t *ids;
    int64_t n;
    ck_assert_int_eq(weft_vocab_encode(vocab, "a", &ids, &n), WEFT_ERR_STATE);
    ck_assert_int_eq(weft_vocab_count(vocab, "a\xFF"), WEFT_ERR_INPUT);
    ck_assert_str_eq(weft_message(), "byte 2 of the text (0xFF) is not valid UTF-8");
    ck_assert_int_eq(weft_vocab_build(vocab), WEFT_OK);
    ck_assert_int_eq(weft_vocab_build(vocab), WEFT_ERR_STATE);
    ck_assert_int_eq(weft_vocab_count(vocab, "a"), WEFT_ERR_STATE);
    ck_assert_int_eq(weft_vocab_encode(vocab, "a\xFF", &ids, &n), WEFT_ERR_INPUT);
    ck_assert_int_eq(n, 0);
    ck_assert_ptr_null(ids);
    weft_vocab_free(vocab);
    weft_vocab_free(NULL);

    weft_tokens_kind kind;
    ck_assert_int_eq(weft_tokens_kind_parse("punct", &kind), WEFT_OK);
    ck_assert_int_eq(kind, WEFT_TOKENS_PUNCT);
    ck_assert_int_eq(weft_tokens_kind_parse("words", &kind), WEFT_ERR_INPUT);
    ck_assert_str_eq(weft_message(), "tokens are space, punct or chars, not \"words\"");
}
END_TEST

START_TEST(written_and_parsed)
{
    const char *const texts[] = { "a\n\\\\ n\n\\n B" };
    const weft_vocab_spec spec = { .tokens = WEFT_TOKENS_CHARS, .lowercase = true };
    weft_vocab *vocab = vocab_of(spec, 1, texts), *parsed;
    char *text = weft_vocab_write(vocab);
    ck_assert_str_eq(text, "weft-vocab 1 tokens=chars lowercase=1\n<unk>\n<s>\n</s>\n\\\\\n\\n\n \n"
                           "n\na\nb\n");
    ck_assert_int_eq(weft_vocab_parse(text, "checkpoint", &parsed), WEFT_OK);
    char *again = weft_vocab_write(parsed);
    ck_assert_str_eq(again, text);
    ck_assert_int_eq(weft_vocab_get_spec(parsed).tokens, WEFT_TOKENS_CHARS);
    ck_assert(weft_vocab_get_spec(parsed).lowercase);
    ck_assert_int_eq(weft_vocab_id(parsed, "\n"), weft_vocab_id(vocab, "\n"));
    weft_free(text);
    weft_free(again);
    weft_vocab_free(vocab);
    weft_vocab_free(parsed);
}
END_TEST

START_TEST(damaged_text)
{
#define HEAD "weft-vocab 1 tokens=space lowercase=0\n<unk>\n<s>\n</s>\n"
    static const char *const cases[][2] = {
        { "", "v:1: the vocabulary is cut off" },
        { "weft-vocab 2 tokens=space lowercase=0\n",
          "v:1: not the first line of a vocabulary of weft" },
        { "weft-vocab 1 tokens=space lowercase=0", "v:1: the vocabulary is cut off" },
        { "weft-vocab 1 tokens=space lowercase=0\n<unk>\n<s>\n",
          "v: the vocabulary is cut off after line 3" },
        { "weft-vocab 1 tokens=space lowercase=0\n<unk>\n</s>\n", "v:3: <s> is missing" },
        { HEAD "a\nb", "v:6: the vocabulary is cut off" },
        { HEAD "a\n\nb\n", "v:6: empty token" },
        { HEAD "a\nb\na\n", "v:7: the token of line 5 again" },
        { HEAD "a\\x\n", "v:5: after a backslash stands n or another backslash" },
        { HEAD "a\\\n", "v:5: after a backslash stands n or another backslash" },
        { HEAD "a\n\xFF\n", "v:6: the token is not valid UTF-8" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        weft_vocab *vocab;
        ck_assert_int_eq(weft_vocab_parse(cases[i][0], "v", &vocab), WEFT_ERR_FORMAT);
        ck_assert_ptr_null(vocab);
        ck_assert_str_eq(weft_message(), cases[i][1]);
    }
}
END_TEST

/* More different tokens than the first table holds, so that it grows and is built anew. */
START_TEST(many_tokens)
{
    enum { N = 20000 };
    weft_vocab *vocab;
    const weft_vocab_spec spec = { .tokens = WEFT_TOKENS_SPACE };
    ck_assert_int_eq(weft_vocab_new(&spec, &vocab), WEFT_OK);
    char text[32];
    for (int i = 0; i < N; i++) {
        snprintf(text, sizeof text, "w%05d", i);
        ck_assert_int_eq(weft_vocab_count(vocab, text), WEFT_OK);
    }
    ck_assert_int_eq(weft_vocab_build(vocab), WEFT_OK);
    for (int i = 0; i < N; i++) {
        snprintf(text, sizeof text, "w%05d", i);
        ck_assert_int_eq(weft_vocab_id(vocab, text), WEFT_N_SPECIALS + i);
    }
    weft_vocab_free(vocab);
}
END_TEST

static weft_status whole_life(void)
{
    weft_vocab *vocab = NULL, *parsed = NULL;
    char *text = NULL, *decoded = NULL, *normal = NULL;
    int32_t *ids = NULL;
    int64_t n;
    const weft_vocab_spec spec = { .tokens = WEFT_TOKENS_PUNCT, .lowercase = true };
    const char *sentence = "A \"Well-known\" one isn't it e\xCC\x81.";
    weft_status status = weft_vocab_new(&spec, &vocab);
    if (status == WEFT_OK) status = weft_vocab_count(vocab, sentence);
    if (status == WEFT_OK) status = weft_vocab_build(vocab);
    if (status == WEFT_OK && !(text = weft_vocab_write(vocab))) status = WEFT_ERR_MEMORY;
    if (status == WEFT_OK) status = weft_vocab_parse(text, "v", &parsed);
    if (status == WEFT_OK) status = weft_vocab_encode(parsed, sentence, &ids, &n);
    if (status == WEFT_OK) status = weft_vocab_decode(parsed, ids, n, &decoded);
    if (status == WEFT_OK) status = weft_vocab_normalise(parsed, sentence, &normal);
    ck_assert((status == WEFT_OK) == (normal != NULL));
    if (status == WEFT_OK) ck_assert_str_eq(decoded, "a \"well-known\" one isn't it \xC3\xA9.");
    weft_free(text);
    weft_free(decoded);
    weft_free(normal);
    weft_free(ids);
    weft_vocab_free(vocab);
    weft_vocab_free(parsed);
    return status;
}

START_TEST(every_allocation_may_fail)
{
    int64_t n = 0;
    weft_status status;
    do {
        weft_alloc_fail_at(++n, false);
        status = whole_life();
        weft_alloc_fail_at(0, false);
        ck_assert_int_lt(n, 1000);
        ck_assert(status == WEFT_OK || status == WEFT_ERR_MEMORY);
    } while (status != WEFT_OK);
    ck_assert_int_gt(n, 15);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("data_vocab");
    TCase *tokens = tcase_create("tokens");
    tcase_add_test(tokens, words_between_spaces);
    tcase_add_test(tokens, punctuation_split_off);
    tcase_add_test(tokens, punctuation_before_what_is_to_come);
    tcase_add_test(tokens, punctuation_is_reversible);
    tcase_add_test(tokens, characters);
    tcase_add_test(tokens, lower_case);
    tcase_add_test(tokens, normalised);
    tcase_add_test(tokens, marks_without_end);
    suite_add_tcase(suite, tokens);
    TCase *ids = tcase_create("ids");
    tcase_add_test(ids, ids_by_count_then_bytes);
    tcase_add_test(ids, specials_and_unknown);
    tcase_add_test(ids, words_instead_of_ids);
    tcase_add_test(ids, misuse);
    tcase_add_test(ids, many_tokens);
    suite_add_tcase(suite, ids);
    TCase *text = tcase_create("text");
    tcase_add_test(text, written_and_parsed);
    tcase_add_test(text, damaged_text);
    suite_add_tcase(suite, text);
    TCase *memory = tcase_create("memory");
    tcase_add_test(memory, every_allocation_may_fail);
    suite_add_tcase(suite, memory);
    return run_suite(suite);
}
