/* precision: float. The log of JSON lines, its resumption, and the progress bar. */
#define _GNU_SOURCE /* posix_openpt and its kin */
#include "check_main.h"
#include "train/log.h"

#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

/* All of a file, from its beginning. */
static const char *contents(FILE *file, char buf[4096])
{
    rewind(file);
    buf[fread(buf, 1, 4095, file)] = '\0';
    return buf;
}

START_TEST(a_line_is_json)
{
    char buf[4096];
    FILE *file = tmpfile();
    const weft_log_field fields[] = {
        weft_log_integer("update", 9007199254740993),
        weft_log_real("loss", 3.14159265358979),
        weft_log_real("bad", NAN),
        weft_log_real("inf", -INFINITY),
        weft_log_text("text", "a\"\\\n\t\x01\x7F \xC3\xA9"),
        weft_log_text("none", NULL),
        weft_log_bool("best", true),
    };
    ck_assert_int_eq(weft_log_write(file, "train", 7, fields), WEFT_OK);
    ck_assert_str_eq(contents(file, buf),
                     "{\"event\": \"train\", \"update\": 9007199254740993, \"loss\": 3.14159265, "
                     "\"bad\": null, \"inf\": null, \"text\": \"a\\\"\\\\\\n\\t\\u0001\\u007f "
                     "\xC3\xA9\", \"none\": null, \"best\": true}\n");
    json_t *json = json_loads(buf, 0, NULL);
    ck_assert(json != NULL);
    ck_assert_str_eq(json_string_value(json_object_get(json, "text")), fields[4].text);
    json_decref(json);
    fclose(file);
}
END_TEST

START_TEST(wrong_utf8_is_replaced)
{
    char buf[4096];
    FILE *file = tmpfile();
    const weft_log_field field = weft_log_text("t", "a\xFF\xC3\xA9\xC3");
    ck_assert_int_eq(weft_log_write(file, "x", 1, &field), WEFT_OK);
    ck_assert_str_eq(contents(file, buf),
                     "{\"event\": \"x\", \"t\": \"a\\ufffd\xC3\xA9\\ufffd\"}\n");
    fclose(file);
}
END_TEST

START_TEST(a_full_disk_is_an_error)
{
    FILE *file = fopen("/dev/full", "w");
    if (file == NULL) return; /* no such device here */
    ck_assert_int_eq(weft_log_write(file, "x", 0, NULL), WEFT_ERR_IO);
    ck_assert(strstr(weft_message(), "the log could not be written: ") == weft_message());
    fclose(file);
}
END_TEST

START_TEST(no_memory_writes_nothing)
{
    char buf[4096];
    FILE *file = tmpfile();
    const weft_log_field field = weft_log_text("t", "0123456789012345678901234567890123456789");
    int n_failed = 0;
    for (int64_t n = 1;; n++, n_failed++) {
        weft_alloc_fail_at(n, false);
        const weft_status status = weft_log_write(file, "x", 1, &field);
        weft_alloc_fail_at(0, false);
        if (status == WEFT_OK) break;
        ck_assert_int_eq(status, WEFT_ERR_MEMORY);
        ck_assert_str_eq(contents(file, buf), "");
    }
    ck_assert_int_gt(n_failed, 2);
    fclose(file);
}
END_TEST

/* What is left of `before` when a run resumes from update 20, and a line is written after it. */
static void assert_resumed(const char *before, const char *kept)
{
    char buf[4096], wanted[4096];
    FILE *file = tmpfile();
    fputs(before, file);
    ck_assert_int_eq(weft_log_resume(file, 20), WEFT_OK);
    ck_assert_int_eq(weft_log_write(file, "go", 0, NULL), WEFT_OK);
    snprintf(wanted, sizeof wanted, "%s{\"event\": \"go\"}\n", kept);
    ck_assert_str_eq(contents(file, buf), wanted);
    fclose(file);
}

START_TEST(a_log_goes_on_where_the_run_does)
{
#define A "{\"event\": \"start\"}\n{\"event\": \"t\", \"update\": 10}\n"
#define B "{\"event\": \"t\", \"update\": 20}\n"
    assert_resumed("", "");
    assert_resumed(A B, A B);
    assert_resumed(A B "{\"event\": \"t\", \"update\": 21}\n" B, A B);
    assert_resumed(A "{\"event\": \"t\", \"upd", A);
    assert_resumed(A "{\"event\": \"t\"}", A); /* complete but for its end */
    assert_resumed(A "nonsense\n" B, A);
    assert_resumed(A "[1]\n" B, A);
    char line[2048], log[4096];
    memset(line, 'x', sizeof line);
    line[sizeof line - 1] = '\0';
    snprintf(log, sizeof log, "%s{\"text\": \"%s\"}\n", A, line); /* longer than one read */
    assert_resumed(log, log);
}
END_TEST

START_TEST(resuming_without_memory_cuts_nothing)
{
    char buf[4096];
    FILE *file = tmpfile();
    fputs(A B, file);
    weft_alloc_fail_at(1, true);
    ck_assert_int_eq(weft_log_resume(file, 10), WEFT_ERR_MEMORY);
    weft_alloc_fail_at(0, false);
    ck_assert_str_eq(contents(file, buf), A B);
    fclose(file);
}
END_TEST

/* ---- progress -------------------------------------------------------------------------------- */

static const weft_progress_state half = { .update = 1200,
                                          .n_updates = 2400,
                                          .loss = 3.2512,
                                          .tokens_per_s = 10500.4,
                                          .elapsed_s = 123,
                                          .left_s = 123 };
#define FACTS "update 1200/2400  loss 3.2512  10500 tokens/s  2:03 left"

START_TEST(states_become_lines)
{
    char buf[WEFT_PROGRESS_TEXT];
    weft_progress_state state = half;
    state.loss = 3.2512;
    ck_assert_str_eq(weft_progress_text(&state, 0, false, buf), FACTS);
    ck_assert_str_eq(weft_progress_text(&state, 77, false, buf), "[=====>    ]  50 %  " FACTS);
    ck_assert_str_eq(weft_progress_text(&state, 77, true, buf),
                     "[\033[32m=====>    \033[0m]  50 %  " FACTS);
    ck_assert_int_eq(strlen(weft_progress_text(&state, 200, false, buf)), 40 + 10 + strlen(FACTS));
    for (int columns = 20; columns < 200; columns++) { /* never as wide as the terminal */
        ck_assert_int_lt(strlen(weft_progress_text(&state, columns, false, buf)), columns);
    }
    state.left_s = 3723.4;
    state.elapsed_s = 0;
    ck_assert(strstr(weft_progress_text(&state, 120, false, buf), "]   0 %  ") != NULL);
    ck_assert(strstr(buf, "  1:02:03 left") != NULL);
    state = (weft_progress_state){ .update = 3, .loss = NAN, .tokens_per_s = 7, .left_s = -1 };
    ck_assert_str_eq(weft_progress_text(&state, 120, true, buf), "update 3  7 tokens/s");
    state = half;
    state.left_s = 0;
    ck_assert(strstr(weft_progress_text(&state, 120, false, buf), "=] 100 %  ") != NULL);
}
END_TEST

START_TEST(a_file_gets_plain_lines_now_and_then)
{
    char buf[4096];
    FILE *file = tmpfile();
    weft_progress progress;
    weft_progress_init(&progress, file);
    ck_assert(!progress.terminal && !progress.colour);
    weft_progress_state state = half;
    for (int s = 0; s <= 12; s++) { /* at 0 and 10 */
        state.update = s;
        state.elapsed_s = s;
        weft_progress_show(&progress, &state);
    }
    weft_progress_note(&progress, "saved %d", 7);
    weft_progress_end(&progress, &state);
    const char *tail = "/2400  loss 3.2512  10500 tokens/s  2:03 left\n";
    char wanted[1024];
    snprintf(wanted, sizeof wanted, "update 0%supdate 10%ssaved 7\nupdate 12%s", tail, tail, tail);
    ck_assert_str_eq(contents(file, buf), wanted);
    fclose(file);
    weft_progress_init(&progress, NULL); /* nowhere */
    weft_progress_show(&progress, &state);
    weft_progress_note(&progress, "nothing");
    weft_progress_end(&progress, &state);
}
END_TEST

/* What a terminal of 77 columns is sent for two states, a note and the end. */
static void assert_on_terminal(const char *wanted)
{
    const int master = posix_openpt(O_RDWR | O_NOCTTY);
    if (master < 0) return; /* a machine without pseudo-terminals (/dev/pts is not mounted) */
    ck_assert(grantpt(master) == 0 && unlockpt(master) == 0);
    const int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    ck_assert_int_ge(slave, 0);
    struct termios raw;
    ck_assert_int_eq(tcgetattr(slave, &raw), 0);
    cfmakeraw(&raw);
    ck_assert_int_eq(tcsetattr(slave, TCSANOW, &raw), 0);
    const struct winsize size = { .ws_row = 24, .ws_col = 77 };
    ck_assert_int_eq(ioctl(slave, TIOCSWINSZ, &size), 0);
    FILE *out = fdopen(slave, "w");
    weft_progress progress;
    weft_progress_init(&progress, out);
    weft_progress_state state = half;
    weft_progress_show(&progress, &state);
    state.elapsed_s += 0.05; /* too early */
    weft_progress_show(&progress, &state);
    weft_progress_note(&progress, "saved");
    weft_progress_end(&progress, &state);
    fflush(out);
    char got[2048];
    size_t n = 0;
    const size_t n_wanted = strlen(wanted);
    while (n < n_wanted) {
        const ssize_t n_read = read(master, got + n, sizeof got - 1 - n);
        ck_assert_int_gt(n_read, 0);
        n += (size_t)n_read;
    }
    got[n] = '\0';
    ck_assert_str_eq(got, wanted);
    fclose(out);
    close(master);
}

START_TEST(a_terminal_gets_a_bar)
{
    setenv("TERM", "xterm", 1);
    setenv("NO_COLOR", "1", 1);
#define BAR "[=====>    ]  50 %  " FACTS
    assert_on_terminal(BAR "\r\033[Ksaved\n" BAR "\n");
    unsetenv("NO_COLOR");
#define COLOURED "[\033[32m=====>    \033[0m]  50 %  " FACTS
    assert_on_terminal(COLOURED "\r\033[Ksaved\n" COLOURED "\n");
    setenv("NO_COLOR", "", 1); /* empty counts as unset */
    assert_on_terminal(COLOURED "\r\033[Ksaved\n" COLOURED "\n");
    setenv("TERM", "dumb", 1);
    assert_on_terminal(FACTS "\nsaved\n" FACTS "\n");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("log");
    TCase *lines = tcase_create("lines");
    tcase_add_test(lines, a_line_is_json);
    tcase_add_test(lines, wrong_utf8_is_replaced);
    tcase_add_test(lines, a_full_disk_is_an_error);
    tcase_add_test(lines, no_memory_writes_nothing);
    suite_add_tcase(suite, lines);
    TCase *resume = tcase_create("resume");
    tcase_add_test(resume, a_log_goes_on_where_the_run_does);
    tcase_add_test(resume, resuming_without_memory_cuts_nothing);
    suite_add_tcase(suite, resume);
    TCase *progress = tcase_create("progress");
    tcase_add_test(progress, states_become_lines);
    tcase_add_test(progress, a_file_gets_plain_lines_now_and_then);
    tcase_add_test(progress, a_terminal_gets_a_bar);
    suite_add_tcase(suite, progress);
    return run_suite(suite);
}
