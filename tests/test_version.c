/* precision: float - model folders of another version: what cannot be read is said to be another's. */
#include "check_main.h"

#include "temp_dir.h"
#include "train/model.h"

#define OK(call) ck_assert_msg((call) == WEFT_OK, "%s: %s", #call, weft_message())

static void save(const char *config, const char *numerics)
{
    weft_params *params = weft_params_new(1);
    weft_param p;
    OK(weft_params_add(params, "p", WEFT_DIMS(2), (weft_init){ WEFT_INIT_ONES, 0, 0 }, &p));
    const weft_checkpoint_text texts[] = { { "config", config }, { "numerics", numerics } };
    OK(weft_checkpoint_save("best.h5",
                            &(weft_checkpoint){ .params = params, .n_texts = 2, .texts = texts }));
    weft_params_free(params);
}

START_TEST(another_version_is_named)
{
    weft_model *model;
    save("[model]\nwings = 2\n", "weft 9.8.7, float32, kernel x");
    ck_assert_int_eq(weft_model_load(".", &model), WEFT_ERR_INPUT);
    ck_assert_msg(strstr(weft_message(), "best.h5") && strstr(weft_message(), "wings") &&
                      strstr(weft_message(),
                             "(the file was written by weft 9.8.7, this is weft " WEFT_VERSION ")"),
                  "%s", weft_message());
    save("[model]\nwings = 2\n", "weft " WEFT_VERSION ", float32, kernel x");
    ck_assert_int_eq(weft_model_load(".", &model), WEFT_ERR_INPUT);
    ck_assert_msg(strstr(weft_message(), "wings") && !strstr(weft_message(), "written by"), "%s",
                  weft_message());
    ck_assert_ptr_null(model);
}
END_TEST

/* The layout of the file has a number of its own. */
START_TEST(another_format_is_named)
{
    weft_model *model;
    weft_store_writer *writer = weft_store_writer_new(0);
    OK(weft_store_write_int(writer, "format", 7));
    OK(weft_store_save(writer, "best.h5"));
    weft_store_writer_free(writer);
    ck_assert_int_eq(weft_model_load(".", &model), WEFT_ERR_FORMAT);
    ck_assert_msg(strstr(weft_message(), "has checkpoint format 7, this weft reads 1"), "%s",
                  weft_message());
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("version");
    TCase *tc = tcase_create("version");
    tcase_add_checked_fixture(tc, temp_dir_enter, temp_dir_leave);
    tcase_add_test(tc, another_version_is_named);
    tcase_add_test(tc, another_format_is_named);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
