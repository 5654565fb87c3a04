/* precision: float - lines of plain and gzip text, sentence pairs and running text from files. */
#include "check_main.h"
#include "temp_files.h"

#include "data/data.h"

static char expected[2048];
/* Build the message that is to come; returns it. */
#define EXPECT(...) (snprintf(expected, sizeof expected, __VA_ARGS__), expected)

/* The last line of `path` that can be read, then the status that ends it. */
static weft_status read_all(const char *path, int64_t *n_lines)
{
    weft_lines *lines;
    *n_lines = 0;
    weft_status status = weft_lines_open(path, &lines);
    if (status != WEFT_OK) {
        ck_assert_ptr_null(lines);
        return status;
    }
    const char *line;
    while ((status = weft_lines_next(lines, &line, NULL)) == WEFT_OK && line) ++*n_lines;
    if (status != WEFT_OK &&
        status != WEFT_ERR_INPUT) { /* an error stays, but for that of a line */
        weft_error(WEFT_ERR_SHAPE, "something else");
        ck_assert_int_eq(weft_lines_next(lines, &line, NULL), status);
        ck_assert_ptr_null(line);
    }
    weft_lines_free(lines);
    return status;
}

static void check_lines(const char *path, int n, const char *const want[])
{
    weft_lines *lines;
    ck_assert_int_eq(weft_lines_open(path, &lines), WEFT_OK);
    ck_assert_str_eq(weft_lines_path(lines), path);
    ck_assert_int_eq(weft_lines_number(lines), 0);
    const char *line;
    size_t n_bytes;
    for (int i = 0; i < n; i++) {
        ck_assert_int_eq(weft_lines_next(lines, &line, &n_bytes), WEFT_OK);
        ck_assert_ptr_nonnull(line);
        ck_assert_str_eq(line, want[i]);
        ck_assert_uint_eq(n_bytes, strlen(want[i]));
        ck_assert_int_eq(weft_lines_number(lines), i + 1);
    }
    for (int i = 0; i < 2; i++) { /* the end stays the end */
        ck_assert_int_eq(weft_lines_next(lines, &line, &n_bytes), WEFT_OK);
        ck_assert_ptr_null(line);
    }
    weft_lines_free(lines);
}

START_TEST(lines_end_at_newline_alone)
{
    const char *text = "\xEF\xBB\xBF"
                       "one\r\n\nt\rhree\vx\fy\xC2\x85z\xE2\x80\xA8\n\xEF\xBB\xBF"
                       "four";
    const char *const want[] = { "one", "", "t\rhree\vx\fy\xC2\x85z\xE2\x80\xA8",
                                 "\xEF\xBB\xBF"
                                 "four" };
    check_lines(temp_text("plain", text), 4, want);
    check_lines(temp_gz("packed.gz", text), 4, want);
    check_lines(temp_gz("packed.without.suffix", text), 4, want);
    check_lines(temp_text("empty", ""), 0, NULL);
    check_lines(temp_text("newline", "\n"), 1, (const char *const[]){ "" });
    check_lines(temp_text("bom", "\xEF\xBB\xBF"), 1, (const char *const[]){ "" });
}
END_TEST

START_TEST(lines_of_any_length)
{
    enum { N = 300000 };
    static char text[2 * N + 2];
    memset(text, 'a', N);
    text[N] = '\n';
    memset(text + N + 1, 'b', N);
    weft_lines *lines;
    ck_assert_int_eq(weft_lines_open(temp_gz("long.gz", text), &lines), WEFT_OK);
    for (int i = 0; i < 2; i++) {
        const char *line;
        size_t n_bytes;
        ck_assert_int_eq(weft_lines_next(lines, &line, &n_bytes), WEFT_OK);
        ck_assert_uint_eq(n_bytes, N);
        ck_assert_uint_eq(strspn(line, i == 0 ? "a" : "b"), N);
    }
    weft_lines_free(lines);
}
END_TEST

START_TEST(a_file_that_cannot_be_read)
{
    int64_t n;
    const char *missing = temp_path("missing.tsv");
    ck_assert_int_eq(read_all(missing, &n), WEFT_ERR_INPUT);
    ck_assert_str_eq(weft_message(), EXPECT("%s: No such file or directory", missing));
    ck_assert_int_eq(read_all(temp_dir, &n), WEFT_ERR_INPUT);
    ck_assert_str_eq(weft_message(), EXPECT("%s is a directory, not a file of text", temp_dir));
    const char *fake = temp_text("fake.gz", "not compressed\n");
    ck_assert_int_eq(read_all(fake, &n), WEFT_ERR_FORMAT);
    ck_assert_str_eq(weft_message(), EXPECT("%s is named .gz but does not hold gzip data", fake));
}
END_TEST

/* Text of other systems is named, with the way to have it in UTF-8 with '\n'. */
START_TEST(other_encodings)
{
    static const struct {
        const char *bytes;
        size_t n;
    } utf16[] = { { "\xFF\xFE"
                    "a\0\n\0",
                    6 },
                  { "\xFE\xFF\0a\0\n", 6 },
                  { "a\0\n\0", 4 },
                  { "\0a\0\n", 4 } };
    static const char *const mac[] = { "a\tb\rc\td\r", "a\rb" };
    static const char *const fine[] = { "a\rb\nc", "a\rb\n", "a\r" };
    int64_t n;
    for (size_t i = 0; i < sizeof utf16 / sizeof *utf16; i++) {
        const char *path = temp_write("utf16", utf16[i].bytes, utf16[i].n);
        ck_assert_int_eq(read_all(path, &n), WEFT_ERR_INPUT);
        ck_assert_str_eq(weft_message(), EXPECT("%s: looks like UTF-16, and UTF-8 is needed: iconv "
                                                "-f UTF-16 -t UTF-8 converts it",
                                                path));
    }
    for (size_t i = 0; i < sizeof mac / sizeof *mac; i++) {
        const char *path = temp_text("mac", mac[i]);
        ck_assert_int_eq(read_all(path, &n), WEFT_ERR_INPUT);
        ck_assert_str_eq(weft_message(), EXPECT("%s: its lines end in CR alone, as on old Macs: tr "
                                                "'\\r' '\\n' makes lines of them",
                                                path));
    }
    for (size_t i = 0; i < sizeof fine / sizeof *fine; i++)
        ck_assert_int_eq(read_all(temp_text("fine", fine[i]), &n), WEFT_OK);
}
END_TEST

START_TEST(invalid_utf8_names_line_and_byte)
{
    static const struct {
        const char *bytes;
        size_t n, column;
        unsigned byte;
    } cases[] = {
        { "\xE9t\xE9", 3, 1, 0xE9 },        /* Latin-1 */
        { "abc\xC3", 4, 4, 0xC3 },          /* cut off */
        { "ab\x80", 3, 3, 0x80 },           /* a continuation alone */
        { "\xC0\xAF", 2, 1, 0xC0 },         /* overlong */
        { "\xE0\x80\xAF", 3, 1, 0xE0 },     /* overlong */
        { "\xED\xA0\x80", 3, 1, 0xED },     /* surrogate */
        { "\xF4\x90\x80\x80", 4, 1, 0xF4 }, /* above U+10FFFF */
        { "\xF8\x88\x80\x80\x80", 5, 1, 0xF8 },
        { "12345678\xFF", 9, 9, 0xFF },
        { "1234567890\xC3\xBC\xFE", 13, 13, 0xFE },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[64];
        weft_lines *lines;
        const char *line;
        const int before = snprintf(text, sizeof text, "fine\n");
        memcpy(text + before, cases[i].bytes, cases[i].n);
        text[(size_t)before + cases[i].n] = '\n';
        const char *path = temp_write("bad", text, (size_t)before + cases[i].n + 1);
        int64_t n;
        ck_assert_int_eq(read_all(path, &n), WEFT_ERR_INPUT);
        ck_assert_int_eq(n, 1);
        ck_assert_str_eq(weft_message(), EXPECT("%s:2: byte %zu (0x%02X) is not valid UTF-8", path,
                                                cases[i].column, cases[i].byte));
        /* The lines behind it can be read. */
        memcpy(text + before + cases[i].n, "\nmore", 5);
        path = temp_write("bad", text, (size_t)before + cases[i].n + 5);
        ck_assert_int_eq(weft_lines_open(path, &lines), WEFT_OK);
        ck_assert_int_eq(weft_lines_next(lines, &line, NULL), WEFT_OK);
        ck_assert_int_eq(weft_lines_next(lines, &line, NULL), WEFT_ERR_INPUT);
        ck_assert_ptr_null(line);
        ck_assert_int_eq(weft_lines_number(lines), 2);
        ck_assert_int_eq(weft_lines_next(lines, &line, NULL), WEFT_OK);
        ck_assert_str_eq(line, "more");
        weft_lines_free(lines);
    }
    const char *nul = temp_write("nul", "a\nbc\0d\n", 7);
    int64_t n;
    ck_assert_int_eq(read_all(nul, &n), WEFT_ERR_INPUT);
    ck_assert_str_eq(weft_message(),
                     EXPECT("%s:2: byte 3 is NUL; this is not a file of text", nul));
}
END_TEST

START_TEST(utf8_check_takes_all_code_points)
{
    char text[16];
    for (uint32_t code = 1; code < 0x110000; code += code < 0x1000 ? 1 : 97) {
        size_t n = 0;
        if (code < 0x80) {
            text[n++] = (char)code;
        } else if (code < 0x800) {
            text[n++] = (char)(0xC0 | code >> 6);
        } else if (code < 0x10000) {
            text[n++] = (char)(0xE0 | code >> 12);
        } else {
            text[n++] = (char)(0xF0 | code >> 18);
            text[n++] = (char)(0x80 | (code >> 12 & 63));
        }
        if (code >= 0x800) text[n++] = (char)(0x80 | (code >> 6 & 63));
        if (code >= 0x80) text[n++] = (char)(0x80 | (code & 63));
        const bool surrogate = code >= 0xD800 && code < 0xE000;
        ck_assert_uint_eq(weft_utf8_check(text, n), surrogate ? 0 : n);
    }
    ck_assert_uint_eq(weft_utf8_check("", 0), 0);
    ck_assert_uint_eq(weft_utf8_check("abcdefgh\0ijklmnop", 17), 8);
}
END_TEST

/* Lines whose bytes hardly compress, so that a cut falls among them. */
static const char *noise_gz(void)
{
    enum { N_LINES = 4000, WIDTH = 24 };
    static char text[N_LINES * (WIDTH + 1) + 1];
    uint32_t state = 12345;
    for (int i = 0; i < N_LINES * (WIDTH + 1); i++) {
        state = state * 1664525u + 1013904223u;
        text[i] = i % (WIDTH + 1) == WIDTH ? '\n' : (char)('A' + (state >> 24) % 50);
    }
    return temp_gz("noise.gz", text);
}

START_TEST(truncated_or_damaged_gzip)
{
    const char *whole = noise_gz();
    const size_t size = temp_size(whole);
    const size_t keeps[] = { 5, 12, size / 2, size - 9, size - 1 };
    for (size_t i = 0; i < sizeof keeps / sizeof keeps[0]; i++) {
        const char *path = temp_damaged("cut.gz", whole, keeps[i], SIZE_MAX);
        int64_t n;
        ck_assert_int_eq(read_all(path, &n), WEFT_ERR_FORMAT);
        ck_assert_str_eq(weft_message(),
                         EXPECT("%s:%lld: the gzip data ends too early (truncated file)", path,
                                (long long)n + 1));
    }
    const char *check_sum = temp_damaged("flip.gz", whole, size, size - 6);
    int64_t n;
    ck_assert_int_eq(read_all(check_sum, &n), WEFT_ERR_FORMAT);
    ck_assert_ptr_nonnull(
        strstr(weft_message(), "the gzip data is damaged (incorrect data check)"));
}
END_TEST

/* ---- corpus from files ----------------------------------------------------------------------- */

static void check_pair(const weft_corpus *corpus, int64_t i, const char *source, const char *target)
{
    ck_assert_str_eq(weft_corpus_text(corpus, WEFT_SOURCE, i), source);
    ck_assert_str_eq(weft_corpus_text(corpus, WEFT_TARGET, i), target);
}

START_TEST(pairs_from_a_table)
{
    weft_corpus *corpus = weft_corpus_new();
    const char *text = "Hello.\tHallo.\r\nIt's me.\tIch bin's.\tCC-BY 2.0\tmore\n a\tb \n";
    ck_assert_int_eq(weft_corpus_read_tsv(corpus, temp_text("t.tsv", text)), WEFT_OK);
    ck_assert_int_eq(weft_corpus_read_tsv(corpus, temp_gz("t.tsv.gz", text)), WEFT_OK);
    ck_assert_int_eq(weft_corpus_size(corpus), 6);
    for (int64_t i = 0; i < 6; i += 3) {
        check_pair(corpus, i, "Hello.", "Hallo.");
        check_pair(corpus, i + 1, "It's me.", "Ich bin's.");
        check_pair(corpus, i + 2, " a", "b ");
    }
    ck_assert_ptr_null(weft_corpus_text(corpus, WEFT_SOURCE, 6));
    ck_assert_ptr_null(weft_corpus_text(corpus, WEFT_SOURCE, -1));
    weft_corpus_free(corpus);
}
END_TEST

START_TEST(pairs_from_two_files)
{
    weft_corpus *corpus = weft_corpus_new();
    temp_text("train.en", "one\ntwo\n");
    temp_gz("train.de.gz", "eins\nzwei");
    char prefix[TEMP_PATH + 8];
    snprintf(prefix, sizeof prefix, "%s/train", temp_dir);
    ck_assert_int_eq(weft_corpus_read_parallel(corpus, prefix, "en", "de"), WEFT_OK);
    ck_assert_int_eq(weft_corpus_size(corpus), 2);
    check_pair(corpus, 0, "one", "eins");
    check_pair(corpus, 1, "two", "zwei");

    ck_assert_int_eq(weft_corpus_read_parallel(corpus, prefix, "en", "fr"), WEFT_ERR_INPUT);
    ck_assert_str_eq(weft_message(), EXPECT("%s.fr: No such file or directory (nor is there "
                                            "%s.fr.gz)",
                                            prefix, prefix));
    const char *three = temp_text("train.nl", "een\ntwee\ndrie\n");
    ck_assert_int_eq(weft_corpus_read_parallel(corpus, prefix, "en", "nl"), WEFT_ERR_INPUT);
    ck_assert_str_eq(
        weft_message(),
        EXPECT("%s.en has 2 lines, %s has 3: they must pair line by line", prefix, three));
    ck_assert_int_eq(weft_corpus_read_parallel(corpus, prefix, "nl", "en"), WEFT_ERR_INPUT);
    ck_assert_str_eq(
        weft_message(),
        EXPECT("%s has 3 lines, %s.en has 2: they must pair line by line", three, prefix));
    const char *gap = temp_text("train.it", "uno\n \n");
    ck_assert_int_eq(weft_corpus_read_parallel(corpus, prefix, "en", "it"), WEFT_ERR_INPUT);
    ck_assert_str_eq(weft_message(), EXPECT("%s:2: empty line", gap));
    ck_assert_int_eq(weft_corpus_size(corpus), 2); /* nothing of the failed ones is left */
    check_pair(corpus, 1, "two", "zwei");
    weft_corpus_free(corpus);
}
END_TEST

/* An item is known by its file and line, and so is one that is too long. */
START_TEST(files_and_lines)
{
    weft_corpus *corpus = weft_corpus_new(), *tail = weft_corpus_new();
    weft_vocab *vocab;
    int64_t line = -1;
    ck_assert_int_eq(weft_corpus_add(corpus, "m", "m"), WEFT_OK);
    const char *table = temp_text("t.tsv", "a\tb\nb c a\ta\n");
    ck_assert_int_eq(weft_corpus_read_tsv(corpus, table), WEFT_OK);
    ck_assert_int_eq(weft_corpus_add(corpus, "m n", "m"), WEFT_OK);
    temp_text("p.en", "a\nb\n");
    temp_text("p.de", "b\nc a b c\n");
    char prefix[TEMP_PATH + 8];
    snprintf(prefix, sizeof prefix, "%s/p", temp_dir);
    ck_assert_int_eq(weft_corpus_read_parallel(corpus, prefix, "en", "de"), WEFT_OK);
    ck_assert_ptr_null(weft_corpus_file(corpus, 0, &line));
    ck_assert_int_eq(line, -1);
    ck_assert_str_eq(weft_corpus_file(corpus, 2, &line), table);
    ck_assert_int_eq(line, 2);
    ck_assert_ptr_null(weft_corpus_file(corpus, 3, &line));
    ck_assert_str_eq(weft_corpus_file(corpus, 4, &line), EXPECT("%s.en", prefix));
    ck_assert_int_eq(line, 1);

    ck_assert_int_eq(weft_vocab_new(&(weft_vocab_spec){ .tokens = WEFT_TOKENS_SPACE }, &vocab),
                     WEFT_OK);
    ck_assert_int_eq(weft_corpus_count(corpus, WEFT_SOURCE, vocab), WEFT_OK);
    ck_assert_int_eq(weft_vocab_build(vocab), WEFT_OK);
    ck_assert_int_eq(weft_corpus_encode(corpus, vocab, vocab), WEFT_OK);
    ck_assert_int_eq(weft_corpus_check_lengths(corpus, WEFT_SOURCE, 0, 3, "less"), WEFT_OK);
    ck_assert_int_eq(weft_corpus_check_lengths(corpus, WEFT_SOURCE, 0, 2, "less"), WEFT_ERR_INPUT);
    ck_assert_str_eq(weft_message(), EXPECT("%s:2: the source has 3 tokens, and the limit is 2: is "
                                            "it one sentence? less allows more",
                                            table));
    ck_assert_int_eq(weft_corpus_check_lengths(corpus, WEFT_TARGET, 0, 3, "less"), WEFT_ERR_INPUT);
    ck_assert_str_eq(weft_message(), EXPECT("%s.en:2: the target has 4 tokens, and the limit is 3: "
                                            "is it one sentence? less allows more",
                                            prefix));
    ck_assert_int_eq(weft_corpus_check_lengths(corpus, WEFT_SOURCE, 7, 0, "less"), WEFT_ERR_INPUT);
    ck_assert_str_eq(weft_message(), "line 8 has 1 tokens, and the limit is 0: is it one sentence? "
                                     "less allows more");

    ck_assert_int_eq(weft_corpus_split(corpus, 0.67, tail), WEFT_OK); /* 2 of 6 stay */
    ck_assert_ptr_null(weft_corpus_file(tail, 0, &line));
    ck_assert_int_eq(weft_corpus_add(corpus, "m", "m"), WEFT_OK);
    ck_assert_str_eq(weft_corpus_file(corpus, 1, &line), table);
    ck_assert_ptr_null(weft_corpus_file(corpus, 2, &line));
    weft_vocab_free(vocab);
    weft_corpus_free(tail);
    weft_corpus_free(corpus);
}
END_TEST

START_TEST(wrong_tables)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        { "", "%s: the file is empty" },
        { "a\tb\nab\n", "%s:2: no tab between source and target" },
        { "a\tb\n\nc\td\n", "%s:2: empty line" },
        { "a\tb\n\t\n", "%s:2: empty line" },
        { "\tb\n", "%s:1: the source (before the tab) is empty" },
        { "a\tb\na\t \n", "%s:2: the target (after the tab) is empty" },
        { "a\tb\na\t\tc\n", "%s:2: the target (after the tab) is empty" },
        { "a\tb\na\tb\xFF\n", "%s:2: byte 4 (0xFF) is not valid UTF-8" },
    };
    weft_corpus *corpus = weft_corpus_new();
    ck_assert_int_eq(weft_corpus_add(corpus, "x", "y"), WEFT_OK);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *path = temp_text("wrong.tsv", cases[i].text);
        ck_assert_int_eq(weft_corpus_read_tsv(corpus, path), WEFT_ERR_INPUT);
        ck_assert_str_eq(weft_message(), EXPECT(cases[i].message, path));
        ck_assert_int_eq(weft_corpus_size(corpus), 1);
        check_pair(corpus, 0, "x", "y");
    }
    weft_corpus_free(corpus);
}
END_TEST

START_TEST(lines_and_running_text)
{
    weft_corpus *corpus = weft_corpus_new(), *tail = weft_corpus_new();
    const char *path = temp_text("text", "\xC3\xA4hnlich\r\n\nzwei");
    ck_assert_int_eq(weft_corpus_read_text(corpus, path), WEFT_OK);
    ck_assert_ptr_null(weft_corpus_text(corpus, WEFT_SOURCE, 0));
    ck_assert_str_eq(weft_corpus_text(corpus, WEFT_TARGET, 0), "\xC3\xA4hnlich\n\nzwei\n");
    /* 14 characters: the last round(0.96 * 14) = 13 go, and the two bytes of the first stay. */
    ck_assert_int_eq(weft_corpus_split(corpus, 0.96, tail), WEFT_OK);
    ck_assert_str_eq(weft_corpus_text(corpus, WEFT_TARGET, 0), "\xC3\xA4");
    ck_assert_str_eq(weft_corpus_text(tail, WEFT_TARGET, 0), "hnlich\n\nzwei\n");
    ck_assert_int_eq(weft_corpus_split(corpus, 0.5, tail), WEFT_ERR_STATE);
    weft_corpus_free(tail);
    tail = weft_corpus_new();
    ck_assert_int_eq(weft_corpus_split(corpus, 0.1, tail), WEFT_ERR_RANGE);
    ck_assert_str_eq(weft_message(), "splitting off 0.1 of 1 characters leaves one part empty");
    weft_corpus_free(corpus);

    corpus = weft_corpus_new();
    ck_assert_int_eq(weft_corpus_read_lines(corpus, path, WEFT_SOURCE), WEFT_ERR_INPUT);
    ck_assert_str_eq(weft_message(), EXPECT("%s:2: empty line", path));
    ck_assert_int_eq(weft_corpus_size(corpus), 0);
    const char *three = temp_text("three", "a\nb\nc\n");
    ck_assert_int_eq(weft_corpus_read_lines(corpus, three, WEFT_SOURCE), WEFT_OK);
    ck_assert_int_eq(weft_corpus_read_lines(corpus, three, WEFT_TARGET), WEFT_ERR_STATE);
    ck_assert_str_eq(weft_message(),
                     "the items of this corpus have source, the new one has target");
    ck_assert_int_eq(weft_corpus_split(corpus, 0.34, tail), WEFT_OK);
    ck_assert_int_eq(weft_corpus_size(corpus), 2);
    ck_assert_str_eq(weft_corpus_text(tail, WEFT_SOURCE, 0), "c");
    ck_assert(!weft_corpus_has(tail, WEFT_TARGET));
    weft_corpus_free(corpus);
    weft_corpus_free(tail);
}
END_TEST

START_TEST(adding_wrong_items)
{
    weft_corpus *corpus = weft_corpus_new();
    ck_assert_int_eq(weft_corpus_add(corpus, NULL, NULL), WEFT_ERR_INPUT);
    ck_assert_int_eq(weft_corpus_add(corpus, "ok", "b\xC3"), WEFT_ERR_INPUT);
    ck_assert_str_eq(weft_message(), "item 0: byte 2 of the target (0xC3) is not valid UTF-8");
    ck_assert_int_eq(weft_corpus_add(corpus, NULL, "alone"), WEFT_OK);
    ck_assert_int_eq(weft_corpus_add(corpus, "a", "b"), WEFT_ERR_STATE);
    ck_assert_str_eq(weft_message(),
                     "the items of this corpus have target, the new one has source and target");
    ck_assert_int_eq(weft_corpus_encode(corpus, NULL, NULL), WEFT_ERR_STATE);
    ck_assert_int_eq(weft_corpus_size(corpus), 1);
    weft_corpus_free(corpus);
}
END_TEST

/* Everything from file to ids; false when an allocation failed. */
static bool read_and_encode(const char *tsv, const char *prefix, const char *running)
{
    weft_corpus *corpus = weft_corpus_new(), *text = weft_corpus_new(), *tail = weft_corpus_new();
    weft_vocab *vocab = NULL;
    const weft_vocab_spec spec = { .tokens = WEFT_TOKENS_PUNCT, .lowercase = true };
    weft_status status = corpus && text && tail ? WEFT_OK : WEFT_ERR_MEMORY;
    if (status == WEFT_OK) status = weft_corpus_read_tsv(corpus, tsv);
    if (status == WEFT_OK) status = weft_corpus_read_parallel(corpus, prefix, "en", "de");
    if (status == WEFT_OK) status = weft_corpus_read_text(text, running);
    if (status == WEFT_OK) status = weft_corpus_split(text, 0.5, tail);
    if (status == WEFT_OK) status = weft_vocab_new(&spec, &vocab);
    if (status == WEFT_OK) status = weft_corpus_count(corpus, WEFT_TARGET, vocab);
    if (status == WEFT_OK) status = weft_vocab_build(vocab);
    if (status == WEFT_OK) status = weft_corpus_encode(corpus, vocab, vocab);
    if (status == WEFT_OK) {
        int64_t n_unknown;
        ck_assert_int_gt(weft_corpus_tokens(corpus, WEFT_TARGET, &n_unknown), 0);
        ck_assert_int_eq(n_unknown, 0);
    } else {
        ck_assert_int_eq(status, WEFT_ERR_MEMORY);
    }
    weft_vocab_free(vocab);
    weft_corpus_free(corpus);
    weft_corpus_free(text);
    weft_corpus_free(tail);
    return status == WEFT_OK;
}

START_TEST(every_allocation_may_fail)
{
    const char *tsv = temp_text("t.tsv", "Hello.\tHallo!\nYes\tJa, es \"geht's\"\n");
    temp_text("train.en", "one\ntwo\n");
    temp_text("train.de", "eins\nzwei\n");
    char prefix[TEMP_PATH + 8];
    snprintf(prefix, sizeof prefix, "%s/train", temp_dir);
    const char *running = temp_text("text", "some text\n");
    int64_t n = 0;
    bool done;
    do {
        weft_alloc_fail_at(++n, false);
        done = read_and_encode(tsv, prefix, running);
        weft_alloc_fail_at(0, false);
        ck_assert_int_lt(n, 1000);
    } while (!done);
    ck_assert_int_gt(n, 20);
}
END_TEST

static TCase *with_files(Suite *suite, TCase *tcase)
{
    tcase_add_checked_fixture(tcase, temp_setup, temp_teardown);
    suite_add_tcase(suite, tcase);
    return tcase;
}

int main(void)
{
    Suite *suite = suite_create("data_text");
    TCase *lines = with_files(suite, tcase_create("lines"));
    tcase_add_test(lines, lines_end_at_newline_alone);
    tcase_add_test(lines, lines_of_any_length);
    tcase_add_test(lines, a_file_that_cannot_be_read);
    tcase_add_test(lines, invalid_utf8_names_line_and_byte);
    tcase_add_test(lines, other_encodings);
    tcase_add_test(lines, utf8_check_takes_all_code_points);
    tcase_add_test(lines, truncated_or_damaged_gzip);
    TCase *corpus = with_files(suite, tcase_create("corpus"));
    tcase_add_test(corpus, pairs_from_a_table);
    tcase_add_test(corpus, pairs_from_two_files);
    tcase_add_test(corpus, files_and_lines);
    tcase_add_test(corpus, wrong_tables);
    tcase_add_test(corpus, lines_and_running_text);
    tcase_add_test(corpus, adding_wrong_items);
    TCase *memory = with_files(suite, tcase_create("memory"));
    tcase_add_test(memory, every_allocation_may_fail);
    return run_suite(suite);
}
