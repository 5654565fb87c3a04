/* progress.c - a bar on a terminal, plain lines elsewhere. */
#include "train/log.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define GREEN "\033[32m"
#define PLAIN "\033[0m"
#define CLEAR_LINE "\r\033[K"

/* "1:02:03" or "2:03". */
static void time_text(double seconds, char buf[32])
{
    const long long s = (long long)(seconds + 0.5);
    if (s >= 3600) {
        snprintf(buf, 32, "%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
    } else {
        snprintf(buf, 32, "%lld:%02lld", s / 60, s % 60);
    }
}

/* "update 1200/10000  loss 3.2512  10500 tokens/s  2:03 left" */
static void facts_text(const weft_progress_state *state, char buf[256])
{
    char total[32] = "", loss[48] = "", left[48] = "", time[32];
    if (state->n_updates > 0) snprintf(total, sizeof total, "/%lld", (long long)state->n_updates);
    if (!isnan(state->loss)) snprintf(loss, sizeof loss, "  loss %.4f", state->loss);
    if (state->left_s >= 0 && state->left_s < 1e9) {
        time_text(state->left_s, time);
        snprintf(left, sizeof left, "  %s left", time);
    }
    snprintf(buf, 256, "update %lld%s%s  %.0f tokens/s%s", (long long)state->update, total, loss,
             state->tokens_per_s, left);
}

/* By time, so that it is right for runs that are limited by time too. */
static double fraction_done(const weft_progress_state *state)
{
    const double total_s = state->elapsed_s + state->left_s;
    if (state->left_s < 0 || !(total_s > 0)) return 0;
    return state->elapsed_s / total_s;
}

const char *weft_progress_text(const weft_progress_state *state, int columns, bool colour,
                               char buf[WEFT_PROGRESS_TEXT])
{
    enum { MOST_BAR = 40, LEAST_BAR = 5, BESIDE = 10 }; /* "[", "] 100 %  " */
    char facts[256], bar[MOST_BAR + 1];
    facts_text(state, facts);
    int n_bar = columns - BESIDE - 1 - (int)strlen(facts);
    if (n_bar > MOST_BAR) n_bar = MOST_BAR;
    if (n_bar < LEAST_BAR || state->left_s < 0) {
        const int most = columns > 0 ? columns - 1 : WEFT_PROGRESS_TEXT - 1;
        snprintf(buf, WEFT_PROGRESS_TEXT, "%.*s", most, facts);
        return buf;
    }
    const double done = fraction_done(state);
    const int n_full = (int)(done * n_bar);
    memset(bar, ' ', (size_t)n_bar);
    memset(bar, '=', (size_t)n_full);
    if (n_full < n_bar) bar[n_full] = '>';
    bar[n_bar] = '\0';
    snprintf(buf, WEFT_PROGRESS_TEXT, "[%s%s%s] %3d %%  %s", colour ? GREEN : "", bar,
             colour ? PLAIN : "", (int)(100 * done), facts);
    return buf;
}

void weft_progress_init(weft_progress *progress, FILE *out)
{
    const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");
    *progress = (weft_progress){ .out = out };
    if (out == NULL) return;
    progress->terminal = isatty(fileno(out)) && term != NULL && strcmp(term, "dumb") != 0;
    progress->colour = progress->terminal && (no_color == NULL || no_color[0] == '\0');
}

static int terminal_columns(FILE *out)
{
    struct winsize size;
    return ioctl(fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_col >= 20 ? size.ws_col : 80;
}

static void clear_bar(weft_progress *progress)
{
    if (progress->drawn) fputs(CLEAR_LINE, progress->out);
    progress->drawn = false;
}

static void draw(weft_progress *progress, const weft_progress_state *state)
{
    char text[WEFT_PROGRESS_TEXT];
    clear_bar(progress);
    const int columns = progress->terminal ? terminal_columns(progress->out) : 0;
    fputs(weft_progress_text(state, columns, progress->colour, text), progress->out);
    progress->drawn = progress->terminal;
    if (!progress->terminal) fputc('\n', progress->out);
    fflush(progress->out);
}

void weft_progress_show(weft_progress *progress, const weft_progress_state *state)
{
    if (progress->out == NULL || state->elapsed_s < progress->next_s) return;
    progress->next_s = state->elapsed_s + (progress->terminal ? 0.1 : 10.0);
    draw(progress, state);
}

void weft_progress_note(weft_progress *progress, const char *fmt, ...)
{
    if (progress->out == NULL) return;
    clear_bar(progress);
    va_list args;
    va_start(args, fmt);
    vfprintf(progress->out, fmt, args);
    va_end(args);
    fputc('\n', progress->out);
    fflush(progress->out);
}

void weft_progress_end(weft_progress *progress, const weft_progress_state *state)
{
    if (progress->out == NULL) return;
    draw(progress, state);
    if (progress->terminal) fputc('\n', progress->out);
    progress->drawn = false;
    fflush(progress->out);
}
