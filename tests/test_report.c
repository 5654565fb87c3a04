/* precision: float - the page of a run: its log as numbers, its curves, and text that is hostile. */
#include "check_main.h"

#include "temp_dir.h"
#include "train/report_internal.h"

#include <math.h>

#define OK(call) ck_assert_msg((call) == WEFT_OK, "%s: %s", #call, weft_message())

static int count(const char *text, const char *part)
{
    int n = 0;
    for (; (text = strstr(text, part)) != NULL; text += strlen(part)) n++;
    return n;
}

static void has(const char *text, const char *part)
{
    ck_assert_msg(strstr(text, part) != NULL, "no \"%s\"", part);
}

/* Every element that begins ends, in the right order; nothing is loaded from elsewhere. */
static void check_markup(const char *html)
{
    char stack[64][16];
    int depth = 0;
    for (const char *p = html; (p = strchr(p, '<')) != NULL; p++) {
        char name[16] = "";
        const char *const end = strchr(p, '>');
        ck_assert_ptr_nonnull(end);
        const bool closes = p[1] == '/';
        sscanf(p + 1 + closes, "%15[a-zA-Z0-9]", name);
        if (p[1] == '!' || end[-1] == '/' || strcmp(name, "meta") == 0) continue;
        if (!closes) {
            ck_assert_int_lt(depth, 64);
            memcpy(stack[depth++], name, sizeof name);
        } else {
            ck_assert_msg(depth > 0 && strcmp(stack[depth - 1], name) == 0, "</%s> ends <%s>", name,
                          depth ? stack[depth - 1] : "");
            depth--;
        }
    }
    ck_assert_int_eq(depth, 0);
    static const char *const loading[] = { "<script", "src=", "href=",  "url(",    "@import",
                                           "<link",   "<img", "onload", "<object", "<iframe" };
    for (size_t i = 0; i < sizeof loading / sizeof *loading; i++)
        ck_assert_msg(strstr(html, loading[i]) == NULL, "%s in the page", loading[i]);
    ck_assert_int_eq(count(html, "nan"), 0);
    ck_assert_int_eq(count(html, "inf\""), 0);
}

/* ---- the log ------------------------------------------------------------------------------------ */

static const char some_log[] =
    "{\"event\": \"start\", \"update\": 0, \"parameters\": 12, \"read_s\": 0.5}\n"
    "{\"event\": \"lengths\", \"update\": 0, \"side\": \"source\", \"width\": 2, \"counts\": \"3 0 "
    "4\"}\n"
    "{\"event\": \"environment\", \"update\": 0, \"weft\": \"9\", \"system\": \"<b>&\"}\n"
    "{\"event\": \"train\", \"update\": 1, \"loss\": 4, \"lr\": 0.1, \"gradient_norm\": null, "
    "\"tokens_per_s\": 10, \"elapsed_s\": 1}\n"
    "{\"event\": \"train\", \"update\": 2, \"loss\": 3, \"lr\": 0.2, \"gradient_norm\": 2, "
    "\"tokens_per_s\": 20, \"elapsed_s\": 60}\n"
    "{\"event\": \"validation\", \"update\": 2, \"loss\": 2.5, \"bleu\": null, \"chrf\": 7, "
    "\"exact\": 1, \"best\": true}\n"
    "{\"event\": \"head\", \"update\": 2, \"layer\": \"x\", \"head\": 0, \"entropy\": 1, "
    "\"saturated\": 0.5}\n"
    "{\"event\": \"head\", \"update\": 2, \"layer\": \"x\", \"head\": 1, \"entropy\": 4, "
    "\"saturated\": 0}\n"
    "{\"event\": \"end\", \"update\": 2, \"reason\": \"max_updates\"}\n"
    "{\"event\": \"trai"; /* cut off by a kill */

START_TEST(a_log_as_numbers)
{
    weft_run_log log;
    OK(weft_run_log_read(some_log, strlen(some_log), &log));
    ck_assert(log.loss.n == 2 && log.loss.x[1] == 2 && log.loss.y[1] == 3);
    ck_assert(isnan(log.norm.y[0]) && log.norm.y[1] == 2 && log.speed.y[1] == 20);
    ck_assert(log.valid_loss.y[0] == 2.5 && isnan(log.bleu.y[0]) && log.chrf.y[0] == 7);
    ck_assert(log.lengths[0].n == 3 && log.lengths[0].x[0] == 1.5 && log.lengths[0].y[2] == 4 &&
              log.lengths[1].n == 0);
    ck_assert(log.n_layers == 1 && log.layers[0].entropy.n == 1 &&
              log.layers[0].entropy.y[0] == 2.5 && log.layers[0].saturated.y[0] == 25);
    ck_assert_str_eq(log.end, "max_updates");
    ck_assert(log.update == 2 && log.elapsed_s == 60 && log.best_update == 2);
    ck_assert(log.n_start == 2 && log.n_environment == 2);
    ck_assert_str_eq(log.start[0].value, "12");
    ck_assert_str_eq(log.environment[1].value, "<b>&");
    weft_run_log_free(&log);
    OK(weft_run_log_read("no json\n", 8, &log));
    ck_assert(log.loss.n == 0 && log.end[0] == '\0');
    weft_run_log_free(&log);
}
END_TEST

/* A long run's curves are thinned by means, and keep their course. */
START_TEST(long_logs_are_thinned)
{
    enum { N = 5000, ROOM = 160 };
    char *const text = calloc(N, ROOM);
    size_t n = 0;
    ck_assert_ptr_nonnull(text);
    for (int i = 1; i <= N; i++)
        n += (size_t)sprintf(text + n, "{\"event\": \"train\", \"update\": %d, \"loss\": %d}\n", i,
                             3 * i);
    weft_run_log log;
    OK(weft_run_log_read(text, n, &log));
    ck_assert_msg(log.loss.n == 1000, "%lld", (long long)log.loss.n);
    for (int64_t i = 0; i < log.loss.n; i++)
        ck_assert_double_eq_tol(log.loss.y[i], 3 * log.loss.x[i], 1e-6);
    ck_assert_double_eq_tol(log.loss.x[0], 3, 1e-9);
    weft_run_log_free(&log);
    free(text);
}
END_TEST

/* ---- pictures ----------------------------------------------------------------------------------- */

START_TEST(curves)
{
    weft_run_log log;
    OK(weft_run_log_read(some_log, strlen(some_log), &log));
    for (int plot = 0; plot < WEFT_REPORT_PLOTS; plot++) {
        weft_markup m = { .status = WEFT_OK };
        ck_assert(weft_report_draw(&m, &log, plot, true));
        OK(m.status);
        ck_assert_int_eq(strncmp(m.buffer.text, "<svg xmlns=", 11), 0);
        check_markup(m.buffer.text);
        has(m.buffer.text, "<path class=\"l\"");
        weft_markup_release(&m);
    }
    weft_run_log_free(&log);
    weft_run_log none = { .update = 0 };
    weft_markup m = { .status = WEFT_OK };
    for (int plot = 0; plot < WEFT_REPORT_PLOTS; plot++)
        ck_assert(!weft_report_draw(&m, &none, plot, false));
    ck_assert(!m.buffer.text);
}
END_TEST

/* Points where they belong: on a logarithmic axis each factor of ten is as long as the other. */
START_TEST(axes)
{
    const double x[] = { 1, 10, 100, 1000, -5 }, y[] = { 1, 100, NAN, 10000, 7 };
    const weft_svg_series series[] = { { "dots <&>", WEFT_SVG_DOTS, 5, x, y },
                                       { "line", WEFT_SVG_LINE, 5, x, y } };
    const weft_svg_plot plot = { .title = "a <title>",
                                 .x_label = "x & x",
                                 .y_label = "y",
                                 .log_x = true,
                                 .log_y = true,
                                 .n_series = 2,
                                 .series = series };
    weft_markup m = { .status = WEFT_OK };
    weft_svg_draw_plot(&m, &plot, true);
    OK(m.status);
    check_markup(m.buffer.text);
    /* three dots, and that of the line's last point, which has no neighbour */
    ck_assert_int_eq(count(m.buffer.text, "<circle"), 4);
    double at[3][2];
    const char *p = m.buffer.text;
    for (int i = 0; i < 3; i++, p++) {
        p = strstr(p, "<circle cx=");
        ck_assert_int_eq(sscanf(p, "<circle cx=\"%lf\" cy=\"%lf\"", &at[i][0], &at[i][1]), 2);
    }
    ck_assert_double_eq_tol(at[2][0] - at[1][0], 2 * (at[1][0] - at[0][0]), 0.31);
    ck_assert_double_eq_tol(at[2][1] - at[1][1], at[1][1] - at[0][1], 0.21);
    ck_assert(at[1][1] < at[0][1]); /* larger values stand higher */
    has(m.buffer.text, "dots &lt;&amp;&gt;");
    weft_markup_release(&m);
    /* one point, no point: a picture all the same */
    for (int n = 0; n < 2; n++) {
        const weft_svg_series one = { "one", WEFT_SVG_LINE, n, x, y };
        weft_svg_draw_plot(&m, &(weft_svg_plot){ .title = "t", .n_series = 1, .series = &one },
                           true);
        OK(m.status);
        check_markup(m.buffer.text);
        ck_assert_int_eq(count(m.buffer.text, "<circle"), n);
        weft_markup_release(&m);
    }
    /* a logarithmic axis between two of its ticks has others */
    const weft_svg_series near = { "near", WEFT_SVG_LINE, 2, x, (double[]){ 3.05, 3.12 } };
    weft_svg_draw_plot(
        &m, &(weft_svg_plot){ .title = "t", .log_y = true, .n_series = 1, .series = &near }, true);
    OK(m.status);
    has(m.buffer.text, ">3.08</text>");
    weft_markup_release(&m);
}
END_TEST

START_TEST(text_is_escaped)
{
    weft_markup m = { .status = WEFT_OK };
    weft_markup_text(&m, "<script>alert(\"x\")</script> & 'q' \x01 a\xFFz \xC3\xA9");
    OK(m.status);
    ck_assert_str_eq(m.buffer.text,
                     "&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt; &amp; &#39;q&#39; "
                     "\xEF\xBF\xBD a\xEF\xBF\xBDz \xC3\xA9");
    weft_markup_release(&m);
}
END_TEST

/* ---- the page ----------------------------------------------------------------------------------- */

static const char hostile[] = "</td><script>alert(1)</script> & \"quotes\"";

static void write_pairs(void)
{
    FILE *file = fopen("pairs.tsv", "w");
    ck_assert_ptr_nonnull(file);
    for (int i = 0; i < 12; i++)
        fprintf(file, "word%d %s\tWort%d %s\n", i % 4, hostile, i % 4, hostile);
    fclose(file);
}

static char *read_text(const char *path)
{
    static char text[1 << 20];
    FILE *file = fopen(path, "r");
    ck_assert_msg(file != NULL, "%s", path);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    return text;
}

/* Train with train.report, then make the page once more from the folder. */
START_TEST(page_of_a_run)
{
    weft_config config;
    weft_trainer *trainer;
    weft_train_end end;
    char *html;
    write_pairs();
    weft_config_init(&config);
    OK(weft_config_parse(&config,
                         "[data]\ntrain = pairs.tsv\nvalid = pairs.tsv\n[model]\nd_model = 8\n"
                         "ffn = 8\nheads = 2\nencoder_layers = 1\ndecoder_layers = 1\n[train]\n"
                         "max_updates = 6\nvalidate_every = 3\nlog_every = 2\nbatch_tokens = 40\n"
                         "max_decode_length = 12\nreport = true\nhead_stats = true\n"
                         "[optim]\nwarmup = 5\n",
                         "here"));
    OK(weft_config_check(&config));
    OK(weft_threads_set(1));
    FILE *log = fopen("log.jsonl", "w+");
    OK(weft_trainer_new(&config, &trainer));
    OK(weft_train(trainer, &(weft_train_run){ .dir = ".", .log = log }, &end));
    fclose(log);
    weft_trainer_free(trainer);

    const char *live = read_text("report.html");
    check_markup(live);
    has(live, "ended by max_updates");
    has(live, "Loss a token");
    has(live, "&lt;/td&gt;&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;quotes&quot;");
    has(live, "<h3>Best</h3>");
    has(live, "<h3>Worst</h3>");
    has(live, "Entropy of attention");
    has(live, "Lengths of the training sentences");
    has(live, "kernel=");
    has(live, "d_model = 8");
    ck_assert_int_eq(count(live, "<summary>attention</summary>"), 6);
    ck_assert_int_eq(count(live, "http-equiv"), 0); /* it is over */
    const int n_svg = count(live, "<svg");

    ck_assert_int_eq(weft_report_make(".", &html), WEFT_ERR_INPUT); /* no config.ini */
    ck_assert_ptr_null(html);
    char *text = weft_config_text(&config, true);
    FILE *ini = fopen("config.ini", "w");
    fputs(text, ini);
    fclose(ini);
    weft_free(text);
    OK(weft_report_make(".", &html));
    check_markup(html);
    ck_assert_int_eq(count(html, "<svg"), n_svg);
    weft_free(html);
    ck_assert_int_eq(rename("pairs.tsv", "gone.tsv"), 0);
    OK(weft_report_make(".", &html));
    has(html, "There are none: data.valid: pairs.tsv");
    check_markup(html);
    weft_free(html);
    ck_assert_int_eq(remove("log.jsonl"), 0);
    ck_assert_int_eq(weft_report_make(".", &html), WEFT_ERR_INPUT);
    temp_dir_entries(true);
}
END_TEST

START_TEST(page_without_memory)
{
    weft_run_log log;
    weft_status status = WEFT_ERR_MEMORY;
    for (int64_t n = 1; status != WEFT_OK; n++) {
        weft_alloc_fail_at(n, false);
        status = weft_run_log_read(some_log, strlen(some_log), &log);
        weft_alloc_fail_at(0, false);
        ck_assert(status == WEFT_OK || status == WEFT_ERR_MEMORY);
    }
    const weft_report_page page = {
        .title = "t", .config = "c", .why = "none", .log = &log, .live = true
    };
    status = WEFT_ERR_MEMORY;
    for (int64_t n = 1; status != WEFT_OK; n++) {
        weft_markup m = { .status = WEFT_OK };
        weft_alloc_fail_at(n, false);
        status = weft_report_html(&page, &m);
        weft_alloc_fail_at(0, false);
        ck_assert(status == WEFT_OK || status == WEFT_ERR_MEMORY);
        if (status == WEFT_OK) {
            check_markup(m.buffer.text);
            has(m.buffer.text, "http-equiv=\"refresh\"");
        }
        weft_markup_release(&m);
    }
    weft_run_log_free(&log);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("report");
    TCase *tc = tcase_create("log");
    tcase_add_test(tc, a_log_as_numbers);
    tcase_add_test(tc, long_logs_are_thinned);
    suite_add_tcase(suite, tc);
    tc = tcase_create("pictures");
    tcase_add_test(tc, curves);
    tcase_add_test(tc, axes);
    tcase_add_test(tc, text_is_escaped);
    suite_add_tcase(suite, tc);
    tc = tcase_create("page");
    tcase_add_checked_fixture(tc, temp_dir_enter, temp_dir_leave);
    tcase_add_test(tc, page_of_a_run);
    tcase_add_test(tc, page_without_memory);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
