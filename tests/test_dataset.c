/* precision: float - corpora and vocabularies as a configuration names them. */
#include "check_main.h"
#include "temp_files.h"

#include "train/dataset.h"

#define OK(call) ck_assert_msg((call) == WEFT_OK, "%s: %s", #call, weft_message())

/* [data] of sentence pairs in a .tsv, with more lines of that section. */
static weft_config config_of(const char *path, const char *more)
{
    weft_config config;
    char text[1024];
    weft_config_init(&config);
    ck_assert_int_lt(snprintf(text, sizeof text, "[data]\ntrain = %s\n%s", path, more),
                     (int)sizeof text);
    OK(weft_config_parse(&config, text, "test"));
    return config;
}

static const char pairs[] = "low lower low\tlau lauer\nlowest low\tlau lau\nlow low\tlauest\n";

typedef struct vocabs {
    weft_vocab *source, *target;
} vocabs;

static weft_status read_vocabs(const weft_config *config, vocabs *v)
{
    weft_corpus *train = NULL;
    *v = (vocabs){ NULL, NULL };
    weft_status status = weft_dataset_read(config, WEFT_PART_TRAIN, &train);
    if (status == WEFT_OK) status = weft_dataset_vocabs(config, train, &v->source, &v->target);
    weft_corpus_free(train);
    return status;
}

static void drop(vocabs *v)
{
    if (v->source != v->target) weft_vocab_free(v->source);
    weft_vocab_free(v->target);
}

static void assert_codes(const weft_vocab *vocab, const char *want)
{
    char *codes = weft_bpe_write(weft_vocab_get_spec(vocab).bpe);
    ck_assert_str_eq(codes, want);
    weft_free(codes);
}

/* ---- vocabularies ------------------------------------------------------------------------------ */

START_TEST(joint_codes_are_learnt_from_both)
{
    const weft_config config =
        config_of(temp_text("pairs.tsv", pairs), "vocab = bpe\nmerges = 3\n");
    vocabs v;
    OK(read_vocabs(&config, &v));
    ck_assert_ptr_eq(v.source, v.target);
    /* (l, o) is there seven times, (o, w</w>) and (l, a) five: of these (lo, w</w>) is the last. */
    assert_codes(v.source, "#version: 0.2\nl o\nlo w</w>\nl a\n");
    ck_assert_int_ne(weft_vocab_id(v.source, "low"), WEFT_UNK);
    ck_assert_int_ne(weft_vocab_id(v.source, "la@@"), WEFT_UNK);
    ck_assert_int_eq(weft_vocab_id(v.source, "l@@"), WEFT_UNK); /* never seen alone */
    drop(&v);
}
END_TEST

START_TEST(separate_codes)
{
    const weft_config config =
        config_of(temp_text("pairs.tsv", pairs), "vocab = bpe\nmerges = 1\njoint_vocab = false\n");
    vocabs v;
    OK(read_vocabs(&config, &v));
    assert_codes(v.source, "#version: 0.2\nl o\n");
    assert_codes(v.target, "#version: 0.2\nl a\n");
    ck_assert_int_eq(weft_vocab_id(v.source, "la@@"), WEFT_UNK);
    drop(&v);
}
END_TEST

START_TEST(as_many_merges_as_there_is_room)
{
    const weft_config config = config_of(temp_text("pairs.tsv", "abab abab\tabab\n"),
                                         "vocab = bpe\nmerges = 0\nmax_vocab = 263\n");
    vocabs v;
    OK(read_vocabs(&config, &v));
    /* 263 less 259 less the characters a, b, b</w>: one. */
    assert_codes(v.source, "#version: 0.2\nb a\n");
    drop(&v);
}
END_TEST

START_TEST(codes_from_files)
{
    char more[1024];
    const char *path = temp_text("pairs.tsv", pairs);
    const char *codes = temp_text("codes", "#version: 0.2\nw e\n");
    const char *codes_tgt = temp_text("codes_tgt", "#version: 0.2\na u\n");
    vocabs v;
    snprintf(more, sizeof more, "vocab = bpe\ncodes = %s\njoint_vocab = false\n", codes);
    weft_config config = config_of(path, more);
    OK(read_vocabs(&config, &v));
    assert_codes(v.source, "#version: 0.2\nw e\n");
    assert_codes(v.target, "#version: 0.2\nw e\n");
    drop(&v);
    snprintf(config.data.codes_tgt, sizeof config.data.codes_tgt, "%s", codes_tgt);
    OK(read_vocabs(&config, &v));
    assert_codes(v.source, "#version: 0.2\nw e\n");
    assert_codes(v.target, "#version: 0.2\na u\n");
    ck_assert_int_ne(weft_vocab_id(v.source, "we@@"), WEFT_UNK);
    ck_assert_int_ne(weft_vocab_id(v.target, "au@@"), WEFT_UNK);
    drop(&v);

    strcpy(config.data.codes_tgt, "/nowhere/codes");
    ck_assert_int_eq(read_vocabs(&config, &v), WEFT_ERR_INPUT);
    ck_assert_msg(strstr(weft_message(), "/nowhere/codes") != NULL, "%s", weft_message());
    snprintf(config.data.codes, sizeof config.data.codes, "%s", temp_text("damaged", "w e\n"));
    ck_assert_int_eq(read_vocabs(&config, &v), WEFT_ERR_FORMAT);
    ck_assert(v.source == NULL && v.target == NULL);
}
END_TEST

/* With dropout every symbol has an id, because training will meet it. */
START_TEST(dropout_gives_ids_to_all_symbols)
{
    const weft_config config =
        config_of(temp_text("pairs.tsv", pairs), "vocab = bpe\nmerges = 3\nbpe_dropout = 0.1\n");
    vocabs v;
    OK(read_vocabs(&config, &v));
    ck_assert_int_ne(weft_vocab_id(v.source, "l@@"), WEFT_UNK);
    ck_assert_int_ne(weft_vocab_id(v.source, "lo@@"), WEFT_UNK);
    drop(&v);
}
END_TEST

START_TEST(a_task_of_characters_has_no_pieces)
{
    weft_config config;
    weft_config_init(&config);
    OK(weft_config_parse(&config, "[data]\ntask = copy\ntrain_size = 5\nvocab = bpe\n", "test"));
    vocabs v;
    ck_assert_int_eq(read_vocabs(&config, &v), WEFT_ERR_INPUT);
    ck_assert_str_eq(weft_message(), "data.vocab = bpe cuts words, and data.task = copy has none");
    OK(weft_config_parse(&config, "[data]\ntask = phrases\n", "test"));
    OK(read_vocabs(&config, &v));
    ck_assert_ptr_nonnull(weft_vocab_get_spec(v.source).bpe);
    drop(&v);
}
END_TEST

/* ---- corpora ----------------------------------------------------------------------------------- */

START_TEST(several_corpora_with_weights)
{
    char more[1024];
    snprintf(more, sizeof more, "train2 = %s\ntrain4 = %s\nweight = 2\nweight4 = 0.25\n",
             temp_text("second.tsv", "a\tb\n"), temp_text("fourth.tsv", "c\td\ne\tf\n"));
    const weft_config config = config_of(temp_text("pairs.tsv", pairs), more);
    weft_corpus *train;
    OK(weft_config_check(&config));
    OK(weft_dataset_read(&config, WEFT_PART_TRAIN, &train));
    ck_assert_int_eq(weft_corpus_size(train), 6);
    static const double want[] = { 2, 2, 2, 1, 0.25, 0.25 };
    for (int i = 0; i < 6; i++) ck_assert(weft_corpus_weight(train, i) == want[i]);
    ck_assert_str_eq(weft_corpus_text(train, WEFT_TARGET, 3), "b");
    ck_assert_str_eq(weft_corpus_text(train, WEFT_SOURCE, 5), "e");
    weft_corpus_free(train);

    weft_config missing = config;
    strcpy(missing.data.more[1], "/nowhere/third.tsv");
    ck_assert_int_eq(weft_dataset_read(&missing, WEFT_PART_TRAIN, &train), WEFT_ERR_INPUT);
    ck_assert_ptr_null(train);
    ck_assert_msg(strstr(weft_message(), "third.tsv") != NULL, "%s", weft_message());
}
END_TEST

/* With src and tgt a .tsv is read as such all the same, in every part; a missing file's key is named. */
START_TEST(corpora_of_both_forms)
{
    char more[2048], wrong[1024];
    const char *en = temp_text("two.en", "e\nf\n");
    temp_text("two.de", "g\nh\n");
    const int n_prefix = (int)(strlen(en) - strlen(".en"));
    snprintf(more, sizeof more,
             "train2 = %.*s\ntrain3 = %s\nvalid = %s\ntest = %.*s\nsrc = en\ntgt = de\n", n_prefix,
             en, temp_gz("third.tsv.gz", "i\tj\n"), temp_text("v.tsv", "k\tl\n"), n_prefix, en);
    weft_config config = config_of(temp_text("pairs.tsv", pairs), more);
    static const int64_t want[] = { 3 + 2 + 1, 1, 2 };
    weft_corpus *corpus;
    for (int part = 0; part < 3; part++) {
        OK(weft_dataset_read(&config, (weft_part)part, &corpus));
        ck_assert_int_eq(weft_corpus_size(corpus), want[part]);
        weft_corpus_free(corpus);
    }
    OK(weft_dataset_read(&config, WEFT_PART_TRAIN, &corpus));
    ck_assert_str_eq(weft_corpus_text(corpus, WEFT_TARGET, 3), "g");
    ck_assert_str_eq(weft_corpus_text(corpus, WEFT_SOURCE, 5), "i");
    weft_corpus_free(corpus);

    strcpy(config.data.tgt, "nl");
    ck_assert_int_eq(weft_dataset_read(&config, WEFT_PART_TRAIN, &corpus), WEFT_ERR_INPUT);
    snprintf(wrong, sizeof wrong,
             "%.*s.nl: No such file or directory (nor is there %.*s.nl.gz); --set data.train2=PATH "
             "names "
             "another",
             n_prefix, en, n_prefix, en);
    ck_assert_str_eq(weft_message(), wrong);
    strcpy(config.data.valid, "/nowhere/v.tsv");
    ck_assert_int_eq(weft_dataset_read(&config, WEFT_PART_VALID, &corpus), WEFT_ERR_INPUT);
    ck_assert_str_eq(weft_message(), "/nowhere/v.tsv: No such file or directory; --set "
                                     "data.valid=PATH names another");
    snprintf(config.data.valid, sizeof config.data.valid, "%s", temp_text("w.tsv", "no tab\n"));
    ck_assert_int_eq(weft_dataset_read(&config, WEFT_PART_VALID, &corpus), WEFT_ERR_INPUT);
    ck_assert_ptr_null(strstr(weft_message(), "--set"));
}
END_TEST

static size_t longest_source(const weft_corpus *corpus, size_t *shortest)
{
    size_t longest = 0;
    *shortest = SIZE_MAX;
    for (int64_t i = 0; i < weft_corpus_size(corpus); i++) {
        const size_t n = strlen(weft_corpus_text(corpus, WEFT_SOURCE, i));
        if (n > longest) longest = n;
        if (n < *shortest) *shortest = n;
    }
    return longest;
}

START_TEST(a_task_is_tested_beyond_the_lengths_of_training)
{
    weft_config config;
    weft_corpus *parts[3];
    size_t longest[3], shortest[3];
    weft_config_init(&config);
    OK(weft_config_parse(&config,
                         "[data]\ntask = dyck\ntrain_size = 300\nvalid_size = 50\n"
                         "length = 12\ntest_length = 30\ntask_k = 1\n",
                         "test"));
    OK(weft_config_check(&config));
    for (int part = 0; part < 3; part++) {
        OK(weft_dataset_read(&config, (weft_part)part, &parts[part]));
        longest[part] = longest_source(parts[part], &shortest[part]);
        for (int64_t i = 0; i < weft_corpus_size(parts[part]); i++)
            ck_assert_ptr_null(strpbrk(weft_corpus_text(parts[part], WEFT_SOURCE, i), "[]"));
        weft_corpus_free(parts[part]);
    }
    ck_assert(longest[WEFT_PART_TRAIN] == 12 && shortest[WEFT_PART_TRAIN] == 1);
    ck_assert(longest[WEFT_PART_VALID] == 12 && longest[WEFT_PART_TEST] == 30);
    ck_assert(shortest[WEFT_PART_TEST] == 13);

    config.data.length = 30;
    ck_assert_int_eq(weft_dataset_read(&config, WEFT_PART_TRAIN, &parts[0]), WEFT_ERR_INPUT);
    ck_assert_str_eq(weft_message(),
                     "data.test_length = 30 must be above the 30 symbols of training");
    config.data.test_length = 0;
    strcpy(config.data.task, "phrases");
    ck_assert_int_eq(weft_dataset_read(&config, WEFT_PART_TRAIN, &parts[0]), WEFT_ERR_RANGE);
    ck_assert_str_eq(weft_message(), "task phrases has no length to be chosen");
}
END_TEST

/* ---- memory ------------------------------------------------------------------------------------ */

START_TEST(every_allocation_may_fail)
{
    const weft_config config =
        config_of(temp_text("pairs.tsv", pairs), "vocab = bpe\nmerges = 3\njoint_vocab = false\n"
                                                 "bpe_dropout = 0.1\n");
    int64_t n = 0;
    weft_status status;
    do {
        vocabs v;
        weft_alloc_fail_at(++n, false);
        status = read_vocabs(&config, &v);
        weft_alloc_fail_at(0, false);
        ck_assert_int_lt(n, 1000);
        ck_assert(status == WEFT_OK || (status == WEFT_ERR_MEMORY && !v.source && !v.target));
        drop(&v);
    } while (status != WEFT_OK);
    ck_assert_int_gt(n, 60);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("dataset");
    TCase *vocabularies = tcase_create("vocabularies");
    tcase_add_checked_fixture(vocabularies, temp_setup, temp_teardown);
    tcase_add_test(vocabularies, joint_codes_are_learnt_from_both);
    tcase_add_test(vocabularies, separate_codes);
    tcase_add_test(vocabularies, as_many_merges_as_there_is_room);
    tcase_add_test(vocabularies, codes_from_files);
    tcase_add_test(vocabularies, dropout_gives_ids_to_all_symbols);
    tcase_add_test(vocabularies, a_task_of_characters_has_no_pieces);
    suite_add_tcase(suite, vocabularies);
    TCase *corpora = tcase_create("corpora");
    tcase_add_checked_fixture(corpora, temp_setup, temp_teardown);
    tcase_add_test(corpora, several_corpora_with_weights);
    tcase_add_test(corpora, corpora_of_both_forms);
    tcase_add_test(corpora, a_task_is_tested_beyond_the_lengths_of_training);
    suite_add_tcase(suite, corpora);
    TCase *memory = tcase_create("memory");
    tcase_add_checked_fixture(memory, temp_setup, temp_teardown);
    tcase_add_test(memory, every_allocation_may_fail);
    suite_add_tcase(suite, memory);
    return run_suite(suite);
}
