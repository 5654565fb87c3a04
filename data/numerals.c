/* numerals.c - numbers, ordinals, times of the day and dates, in English and in German. */
#include "data/phrases_internal.h"

#include <assert.h>
#include <stdio.h>

/* ---- numbers -------------------------------------------------------------------------------- */

static const char *const english_small[] = { "zero",    "one",       "two",      "three",
                                             "four",    "five",      "six",      "seven",
                                             "eight",   "nine",      "ten",      "eleven",
                                             "twelve",  "thirteen",  "fourteen", "fifteen",
                                             "sixteen", "seventeen", "eighteen", "nineteen" };
static const char *const german_small[] = { "null",     "eins",     "zwei",     "drei",
                                            "vier",     "fünf",     "sechs",    "sieben",
                                            "acht",     "neun",     "zehn",     "elf",
                                            "zwölf",    "dreizehn", "vierzehn", "fünfzehn",
                                            "sechzehn", "siebzehn", "achtzehn", "neunzehn" };
static const char *const english_tens[] = { "",      "",      "twenty",  "thirty", "forty",
                                            "fifty", "sixty", "seventy", "eighty", "ninety" };
static const char *const german_tens[] = { "",        "",        "zwanzig", "dreißig", "vierzig",
                                           "fünfzig", "sechzig", "siebzig", "achtzig", "neunzig" };

const char *weft_english_number(int n, char text[WEFT_NUMERAL_BYTES])
{
    assert(n >= 0 && n < 100);
    const char *small = n < 20 || n % 10 != 0 ? english_small[n < 20 ? n : n % 10] : "";
    snprintf(text, WEFT_NUMERAL_BYTES, "%s%s%s", n < 20 ? "" : english_tens[n / 10],
             n > 20 && n % 10 != 0 ? "-" : "", small);
    return text;
}

const char *weft_german_number(int n, char text[WEFT_NUMERAL_BYTES])
{
    assert(n >= 0 && n < 100);
    if (n < 20 || n % 10 == 0) {
        snprintf(text, WEFT_NUMERAL_BYTES, "%s", n < 20 ? german_small[n] : german_tens[n / 10]);
    } else {
        snprintf(text, WEFT_NUMERAL_BYTES, "%sund%s", n % 10 == 1 ? "ein" : german_small[n % 10],
                 german_tens[n / 10]);
    }
    return text;
}

const char *weft_english_ordinal(int n, char text[WEFT_NUMERAL_BYTES])
{
    static const char *const small[] = { "",      "first",    "second",  "third",  "fourth",
                                         "fifth", "sixth",    "seventh", "eighth", "ninth",
                                         "tenth", "eleventh", "twelfth" };
    assert(n >= 1 && n <= 31);
    if (n <= 12) {
        snprintf(text, WEFT_NUMERAL_BYTES, "%s", small[n]);
    } else if (n < 20) {
        snprintf(text, WEFT_NUMERAL_BYTES, "%sth", english_small[n]);
    } else if (n % 10 == 0) {
        snprintf(text, WEFT_NUMERAL_BYTES, "%s", n == 20 ? "twentieth" : "thirtieth");
    } else {
        snprintf(text, WEFT_NUMERAL_BYTES, "%s-%s", english_tens[n / 10], small[n % 10]);
    }
    return text;
}

/* 1 to 19 take -te (with four irregular ones), from 20 on -ste. */
const char *weft_german_ordinal(int n, char text[WEFT_NUMERAL_BYTES])
{
    char number[WEFT_NUMERAL_BYTES];
    assert(n >= 1 && n <= 31);
    const char *irregular = n == 1   ? "erste"
                            : n == 3 ? "dritte"
                            : n == 7 ? "siebte"
                            : n == 8 ? "achte"
                                     : NULL;
    if (irregular != NULL) {
        snprintf(text, WEFT_NUMERAL_BYTES, "%s", irregular);
    } else {
        snprintf(text, WEFT_NUMERAL_BYTES, "%.24s%s", weft_german_number(n, number),
                 n < 20 ? "te" : "ste");
    }
    return text;
}

/* ---- times ---------------------------------------------------------------------------------- */

static const char *const english_adverbs[] = { "today", "now", "tomorrow" };
static const char *const german_adverbs[] = { "heute", "jetzt", "morgen" };
static const char *const english_weekdays[] = { "Monday", "Tuesday",  "Wednesday", "Thursday",
                                                "Friday", "Saturday", "Sunday" };
static const char *const german_weekdays[] = { "Montag",  "Dienstag", "Mittwoch", "Donnerstag",
                                               "Freitag", "Samstag",  "Sonntag" };
static const char *const english_months[] = { "January",   "February", "March",    "April",
                                              "May",       "June",     "July",     "August",
                                              "September", "October",  "November", "December" };
static const char *const german_months[] = { "Januar",    "Februar", "März",     "April",
                                             "Mai",       "Juni",    "Juli",     "August",
                                             "September", "Oktober", "November", "Dezember" };
static const char *const english_seasons[] = { "spring", "summer", "autumn", "winter" };
static const char *const german_seasons[] = { "Frühling", "Sommer", "Herbst", "Winter" };
static const char *const english_dayparts[] = { "in the morning", "in the afternoon",
                                                "in the evening", "at night" };
static const char *const german_dayparts[] = { "am Morgen", "am Nachmittag", "am Abend",
                                               "in der Nacht" };

void weft_english_clock(weft_line *line, const weft_time *time)
{
    char number[WEFT_NUMERAL_BYTES];
    switch (time->clock) {
    case HALF_PAST: weft_line_word(line, "half past"); break;
    case QUARTER_PAST: weft_line_word(line, "a quarter past"); break;
    case QUARTER_TO: weft_line_word(line, "a quarter to"); break;
    case MINUTES_PAST:
    case MINUTES_TO:
        weft_line_word(line, weft_english_number(time->minutes, number));
        weft_line_word(line, time->clock == MINUTES_PAST ? "past" : "to");
        break;
    default: break;
    }
    weft_line_word(line, weft_english_number(time->hour, number));
    if (time->clock == HOUR) weft_line_word(line, "o'clock");
}

/* "halb" counts towards the coming hour: half past seven is halb acht. */
void weft_german_clock(weft_line *line, const weft_time *time)
{
    char number[WEFT_NUMERAL_BYTES];
    switch (time->clock) {
    case HOUR:
        weft_line_word(line, time->hour == 1 ? "ein" : weft_german_number(time->hour, number));
        weft_line_word(line, "Uhr");
        return;
    case HALF_PAST:
        weft_line_word(line, "halb");
        weft_line_word(line, weft_german_number(time->hour % 12 + 1, number));
        return;
    case QUARTER_PAST: weft_line_word(line, "Viertel nach"); break;
    case QUARTER_TO: weft_line_word(line, "Viertel vor"); break;
    default:
        weft_line_word(line, weft_german_number(time->minutes, number));
        weft_line_word(line, time->clock == MINUTES_PAST ? "nach" : "vor");
        break;
    }
    weft_line_word(line, weft_german_number(time->hour, number));
}

void weft_english_date(weft_line *line, const weft_time *time)
{
    char ordinal[WEFT_NUMERAL_BYTES];
    weft_line_word(line, "the");
    weft_line_word(line, weft_english_ordinal(time->day, ordinal));
    weft_line_word(line, "of");
    weft_line_word(line, english_months[time->which]);
}

void weft_german_date(weft_line *line, const weft_time *time)
{
    char ordinal[WEFT_NUMERAL_BYTES];
    weft_line_word(line, "der");
    weft_line_word(line, weft_german_ordinal(time->day, ordinal));
    weft_line_word(line, german_months[time->which]);
}

static void two_words(weft_line *line, const char *first, const char *second)
{
    weft_line_word(line, first);
    weft_line_word(line, second);
}

void weft_english_time(weft_line *line, const weft_time *time)
{
    switch (time->kind) {
    case ADVERB: weft_line_word(line, english_adverbs[time->which]); break;
    case CLOCK:
        weft_line_word(line, "at");
        weft_english_clock(line, time);
        break;
    case WEEKDAY: two_words(line, "on", english_weekdays[time->which]); break;
    case DATE:
        weft_line_word(line, "on");
        weft_english_date(line, time);
        break;
    case MONTH: two_words(line, "in", english_months[time->which]); break;
    case SEASON: two_words(line, "in", english_seasons[time->which]); break;
    case DAYPART: weft_line_word(line, english_dayparts[time->which]); break;
    case WEEKDAY_CLOCK:
        weft_line_word(line, "at");
        weft_english_clock(line, time);
        two_words(line, "on", english_weekdays[time->which]);
        break;
    default: break;
    }
}

void weft_german_time(weft_line *line, const weft_time *time)
{
    char ordinal[WEFT_NUMERAL_BYTES];
    switch (time->kind) {
    case ADVERB: weft_line_word(line, german_adverbs[time->which]); break;
    case CLOCK:
        weft_line_word(line, "um");
        weft_german_clock(line, time);
        break;
    case WEEKDAY: two_words(line, "am", german_weekdays[time->which]); break;
    case DATE:
        two_words(line, "am", weft_german_ordinal(time->day, ordinal));
        weft_line_glue(line, "n");
        weft_line_word(line, german_months[time->which]);
        break;
    case MONTH: two_words(line, "im", german_months[time->which]); break;
    case SEASON: two_words(line, "im", german_seasons[time->which]); break;
    case DAYPART: weft_line_word(line, german_dayparts[time->which]); break;
    case WEEKDAY_CLOCK:
        two_words(line, "am", german_weekdays[time->which]);
        weft_line_word(line, "um");
        weft_german_clock(line, time);
        break;
    default: break;
    }
}
