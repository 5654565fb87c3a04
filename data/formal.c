/* formal.c - tasks on formal languages and on memory: tasks.h says what each asks. */
#include "data/tasks_internal.h"

#include <assert.h>

bool weft_draw_parity(weft_dice *dice, const weft_task_stream *stream, weft_line *source,
                      weft_line *target)
{
    char text[WEFT_TASK_LONGEST + 1];
    const int n = weft_draw_string(dice, stream, '0', 2, text);
    int n_ones = 0;
    for (int i = 0; i < n; i++) n_ones += text[i] == '1';
    return weft_put_strings(source, text, target, n_ones % 2 == 1 ? "1" : "0");
}

bool weft_draw_first(weft_dice *dice, const weft_task_stream *stream, weft_line *source,
                     weft_line *target)
{
    char text[WEFT_TASK_LONGEST + 1];
    weft_draw_string(dice, stream, '0', 2, text);
    return weft_put_strings(source, text, target, text[0] == '1' ? "1" : "0");
}

/* ---- a^n b^n -------------------------------------------------------------------------------- */

/* n_a letters a and n_b letters b, written so that they end at text[end]; where they begin. */
static int write_word(char *text, int end, int n_a, int n_b)
{
    memset(text + end - n_b, 'b', (size_t)n_b);
    memset(text + end - n_b - n_a, 'a', (size_t)n_a);
    return end - n_a - n_b;
}

/* Lengths are even in both cases, so that the length alone tells nothing. From the end to the
 * beginning: half of the last word's length, then of the words before it, is drawn evenly. */
bool weft_draw_anbn(weft_dice *dice, const weft_task_stream *stream, weft_line *source,
                    weft_line *target)
{
    char text[WEFT_TASK_LONGEST + 2];
    int n = weft_draw_length(dice, stream);
    if (n % 2 == 1) n += n < stream->longest ? 1 : -1;
    const bool complete = weft_chance(dice, 50);
    const int least = complete ? 1 : 2; /* aaab */
    const int half = least + weft_roll(dice, n / 2 - least + 1);
    const int n_missing = complete ? 0 : 1 + weft_roll(dice, half - 1); /* half of them */
    text[n] = '\0';
    int at = write_word(text, n, half + n_missing, half - n_missing);
    while (at > 0) {
        const int m = 1 + weft_roll(dice, at / 2);
        at = write_word(text, at, m, m);
    }
    return weft_put_strings(source, text, target, complete ? "a" : "b");
}

/* ---- Dyck-k --------------------------------------------------------------------------------- */

/* The last bracket closes one wherever one is open: its own kind then says nothing about the next. */
bool weft_draw_dyck(weft_dice *dice, const weft_task_stream *stream, weft_line *source,
                    weft_line *target)
{
    static const char opening[] = "([{<", closing[] = ")]}>";
    char text[WEFT_TASK_LONGEST + 1], answer[2] = ".";
    int open[WEFT_TASK_LONGEST], depth = 0;
    const int n = weft_draw_length(dice, stream);
    for (int i = 0; i < n; i++) {
        if (depth > 0 && (i == n - 1 || weft_chance(dice, 50))) {
            text[i] = closing[open[--depth]];
        } else {
            open[depth] = weft_roll(dice, stream->k);
            text[i] = opening[open[depth++]];
        }
    }
    text[n] = '\0';
    if (depth > 0) answer[0] = closing[open[depth - 1]];
    return weft_put_strings(source, text, target, answer);
}

/* ---- arithmetic ----------------------------------------------------------------------------- */

bool weft_draw_modular(weft_dice *dice, const weft_task_stream *stream, weft_line *source,
                       weft_line *target)
{
    static const char operators[] = "+-*";
    char text[WEFT_TASK_LONGEST + 1];
    const int n = weft_draw_length(dice, stream), k = stream->k;
    int sum = 0, sign = 1, product = 1, at = 0;
    for (int i = 0; i < n; i++) {
        const int number = weft_roll(dice, k);
        const char op = i == 0 ? '\0' : operators[weft_roll(dice, 3)];
        if (op != '\0') text[at++] = op;
        text[at++] = (char)('0' + number);
        if (op != '*') { /* a term ends and another one begins */
            if (i > 0) sum += sign * product;
            sign = op == '-' ? -1 : 1;
            product = 1;
        }
        product = product * number % k;
    }
    text[at] = '\0';
    const int value = ((sum + sign * product) % k + k) % k;
    return weft_put_strings(source, text, target, (char[]){ (char)('0' + value), '\0' });
}

/* ---- memory --------------------------------------------------------------------------------- */

/* A letter other than `but`. */
static char other_letter(weft_dice *dice, char but)
{
    const char c = (char)('a' + weft_roll(dice, 25));
    return c < but ? c : (char)(c + 1);
}

bool weft_draw_induction(weft_dice *dice, const weft_task_stream *stream, weft_line *source,
                         weft_line *target)
{
    char text[WEFT_TASK_LONGEST + 1];
    const int n = weft_draw_length(dice, stream);
    assert(n >= 3);
    const char asked = (char)('a' + weft_roll(dice, 26));
    const int place = weft_roll(dice, n - 2);
    for (int i = 0; i < n - 1; i++) text[i] = other_letter(dice, asked);
    text[place] = text[n - 1] = asked;
    text[n] = '\0';
    return weft_put_strings(source, text, target, (char[]){ text[place + 1], '\0' });
}

bool weft_draw_selective(weft_dice *dice, const weft_task_stream *stream, weft_line *source,
                         weft_line *target)
{
    enum { MOST_LETTERS = 16 };
    char text[WEFT_TASK_LONGEST + 1], letters[MOST_LETTERS + 1];
    const int n = weft_draw_length(dice, stream);
    const int n_letters = 1 + weft_roll(dice, n < MOST_LETTERS ? n : MOST_LETTERS);
    int n_written = 0;
    for (int i = 0; i < n; i++) { /* every choice of places is equally likely */
        text[i] = '.';
        if (weft_roll(dice, n - i) >= n_letters - n_written) continue;
        text[i] = letters[n_written++] = (char)('a' + weft_roll(dice, 26));
    }
    text[n] = letters[n_letters] = '\0';
    return weft_put_strings(source, text, target, letters);
}
