/* precision: float - what validation reads of its text. */
#include "train_runs.h"

/* A tiny model on pairs.tsv, validated on valid.tsv. */
static weft_config on_pairs(const char *more)
{
    weft_config config;
    weft_config_init(&config);
    OK(weft_threads_set(1));
    OK(weft_config_parse(&config,
                         "[data]\ntrain = pairs.tsv\nvalid = valid.tsv\n[model]\nd_model = 16\n"
                         "ffn = 16\nheads = 2\nencoder_layers = 1\ndecoder_layers = 1\n[train]\n"
                         "max_updates = 20\nmax_decode_length = 22\n",
                         "tiny"));
    OK(weft_config_parse(&config, more, "more"));
    OK(weft_config_check(&config));
    return config;
}

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    ck_assert_int_ge(fputs(text, file), 0);
    fclose(file);
}

static int64_t validated_sentences(const weft_trainer *trainer)
{
    int64_t n = 0;
    for (int64_t i = 0; i < weft_batches_count(trainer->valid_batches); i++) {
        weft_batch batch;
        OK(weft_batches_get(trainer->valid_batches, i, &batch));
        n += batch.target.B;
    }
    return n;
}

/* The filters are of training. Validation leaves out what is beyond the model's tables, of its loss and of
 * its translations alike; and what weft translate takes for no sentence. */
START_TEST(validation_takes_what_the_model_can)
{
    write_text("pairs.tsv", "a b\tx y\nb c\tz\na b c a b c a b\tx\n");
    write_text("valid.tsv", "a b\tx y\n"
                            "a b c a b c a b c a b c a b c a b c a b c a b c a b c a b c\tz z z\n"
                            "c\ty x z y x z y x z y x z y x z y x z\n");
    static const char more[] =
        "[data]\nmax_length = 4\nmax_ratio = 2\n[train]\nbatch_tokens = 10\n";
    weft_config config = on_pairs(more);
    weft_trainer *trainer = new_trainer(&config);
    weft_validation result;
    ck_assert_int_eq(weft_batches_get_limits(trainer->batches).dropped, 1);
    ck_assert_int_eq(validated_sentences(trainer), 3);
    OK(weft_trainer_validate(trainer, &result));
    ck_assert_int_eq(result.sentences, 3);
    weft_trainer_free(trainer);

    config.model.position = WEFT_CONFIG_LEARNED;
    config.model.max_positions = 23;
    OK(weft_config_check(&config));
    trainer = new_trainer(&config);
    ck_assert_int_eq(validated_sentences(trainer), 2);
    OK(weft_trainer_validate(trainer, &result));
    ck_assert_int_eq(result.sentences, 2);
    ck_assert_str_eq(weft_corpus_text(trainer->sample, WEFT_SOURCE, 1), "c");
    weft_trainer_free(trainer);

    config = on_pairs(more);
    config.data.max_length = 3; /* ten times as long is 30 */
    trainer = new_trainer(&config);
    ck_assert_int_eq(validated_sentences(trainer), 2);
    ck_assert_int_eq(weft_corpus_size(trainer->sample), 2);
    weft_trainer_free(trainer);

    write_text("pairs.tsv", "a\tx\n");
    write_text("valid.tsv", "a b c a b c a b c a b c a b c a b c a b c\tx\n");
    config.data.max_length = 2;
    ck_assert_int_eq(weft_trainer_new(&config, &trainer), WEFT_ERR_INPUT);
    ck_assert_str_eq(weft_message(),
                     "validation (valid.tsv): all 1 sentences are longer than max_length (20)");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("validation");
    TCase *tc = tcase_create("texts");
    tcase_add_checked_fixture(tc, temp_dir_enter, temp_dir_leave);
    tcase_add_test(tc, validation_takes_what_the_model_can);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
