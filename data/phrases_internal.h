/* phrases_internal.h - an English to German phrase grammar: lexicon, meanings, two renderings.
 *
 * A sentence begins as a meaning (struct weft_sentence: who does what to whom, when, where, said or
 * asked), drawn at random in phrases.c. phrases_english.c and phrases_german.c each put the same
 * meaning into words, by the rules of their language. So no translation is looked up, and the
 * grammar of either language stands in one place.
 *
 * Every content word has one German word (in all its forms); what a function word becomes (her:
 * sie, ihr, ihre ...) its neighbours tell. So a source has one right target. The rules of German
 * that a model has to infer:
 *   - articles and determiners agree in gender, case and number (der, ein, kein, mein, dieser,
 *     jeder, alle, welcher); adjectives take strong, weak or mixed endings after them
 *   - nouns: irregular plurals, -n in the dative plural, weak masculines (den Jungen)
 *   - case: subject, accusative and dative objects, prepositions; im, ins, zum, zur contracted
 *   - the finite verb second, also after an adverb or a clause in front; first in questions; last
 *     in clauses with weil, dass, wenn, obwohl, bevor; infinitives and participles at the end;
 *     separable verbs (ruft ... an, anrufen, angerufen, weil er anruft); haben or sein
 *   - pronouns, then times, then nouns, then nicht; oft and nie behind definite objects, before
 *     others
 *   - dreiundzwanzig, am dritten Mai, um halb acht, um Viertel vor neun
 *
 * Lines are words with single spaces between; commas, full stops and question marks are words of
 * their own, sentences do not begin with a capital: equal lines are equal sentences. */
#ifndef WEFT_DATA_PHRASES_INTERNAL_H
#define WEFT_DATA_PHRASES_INTERNAL_H

#include "data/tasks_internal.h"

/* ---- lexicon (phrases_lexicon.c) ------------------------------------------------------------ */

typedef enum weft_gender { MASCULINE, FEMININE, NEUTER } weft_gender;
typedef enum weft_case { NOMINATIVE, ACCUSATIVE, DATIVE } weft_case;

/* What a noun is, one bit; adjectives and verbs say which kinds they go with. */
enum {
    PERSON = 1 << 0,
    ANIMAL = 1 << 1,
    THING = 1 << 2,
    FOOD = 1 << 3,
    DRINK = 1 << 4, /* without plural */
    PLACE = 1 << 5,
    IDEA = 1 << 6,
    /* and what it is fit for: */
    READABLE = 1 << 7,
    WRITABLE = 1 << 8,
    OPENABLE = 1 << 9,
    WEARABLE = 1 << 10,
    WASHABLE = 1 << 11,
    REPAIRABLE = 1 << 12,
    COOKABLE = 1 << 13,
    TIDY = 1 << 14,
    SMALL = 1 << 15,   /* can be carried, given, lent */
    SURFACE = 1 << 16, /* on and under it */
    BESIDE = 1 << 17,  /* behind, beside, in front of it */
    INSIDE = 1 << 18,  /* in, into, from it */
    GOODS = 1 << 19,   /* bought and sold */
    AUDIBLE = 1 << 20,
};

typedef struct weft_noun {
    const char *english, *english_plural;
    weft_gender gender;
    const char *german, *german_plural;
    const char *oblique; /* weak masculines: accusative and dative singular; NULL for others */
    unsigned kinds;
} weft_noun;

typedef struct weft_adjective {
    const char *english, *german;
    const char *stem; /* before endings: teuer, teur-es */
    unsigned kinds;
} weft_adjective;

typedef enum weft_frame {
    INTRANSITIVE,
    ACCUSATIVE_OBJECT,
    DATIVE_OBJECT,
    TWO_OBJECTS,
    CLAUSE_OBJECT, /* says that ... */
    MOTION,        /* needs a direction */
    COPULA,        /* is old, is in the garden */
} weft_frame;

/* What a verb allows besides. */
enum {
    TIMED = 1 << 0,      /* times and dates */
    LOCATED = 1 << 1,    /* in the garden, behind the house */
    TOGETHER = 1 << 2,   /* with, without */
    BENEFIT = 1 << 3,    /* for */
    NEEDS_PLACE = 1 << 4 /* lives in ... */
};

typedef struct weft_verb {
    const char *english, *third, *english_participle;
    const char *prefix;               /* separable, or "" */
    const char *infinitive, *du, *er; /* without the prefix */
    const char *participle;
    bool with_sein; /* ist gegangen */
    weft_frame frame;
    unsigned subjects, objects; /* kinds */
    unsigned allows;
} weft_verb;

extern const weft_noun weft_nouns[];
extern const weft_adjective weft_adjectives[];
extern const weft_verb weft_verbs[];
extern const int weft_n_nouns, weft_n_adjectives, weft_n_verbs;

typedef enum weft_modal { CAN, MUST, SHOULD, MAY, WILL, WANT, N_MODALS } weft_modal;
typedef enum weft_frequency {
    NO_FREQUENCY,
    OFTEN,
    ALWAYS,
    SOMETIMES,
    NEVER,
    N_FREQUENCIES
} weft_frequency;

/* ---- numbers, times, dates (numerals.c) ----------------------------------------------------- */

enum { WEFT_NUMERAL_BYTES = 32 };

/** 0 .. 99: "twenty-three", "dreiundzwanzig". */
const char *weft_english_number(int n, char text[WEFT_NUMERAL_BYTES]);
const char *weft_german_number(int n, char text[WEFT_NUMERAL_BYTES]);
/** 1 .. 31: "twenty-third"; "dreiundzwanzigste", to which the ending -n may be glued. */
const char *weft_english_ordinal(int n, char text[WEFT_NUMERAL_BYTES]);
const char *weft_german_ordinal(int n, char text[WEFT_NUMERAL_BYTES]);

typedef enum weft_clock {
    HOUR,
    HALF_PAST,
    QUARTER_PAST,
    QUARTER_TO,
    MINUTES_PAST,
    MINUTES_TO,
    N_CLOCKS
} weft_clock;

typedef enum weft_time_kind {
    NO_TIME,
    ADVERB,  /* today, now, tomorrow */
    CLOCK,   /* at half past seven */
    WEEKDAY, /* on Monday */
    DATE,    /* on the third of May */
    MONTH,   /* in May */
    SEASON,  /* in summer */
    DAYPART, /* in the evening */
    WEEKDAY_CLOCK,
    N_TIME_KINDS
} weft_time_kind;

enum {
    TODAY,
    NOW,
    TOMORROW,
    N_ADVERBS,
    N_WEEKDAYS = 7,
    N_MONTHS = 12,
    N_SEASONS = 4,
    N_DAYPARTS = 4
};

typedef struct weft_time {
    weft_time_kind kind;
    int which;        /* adverb, weekday, month, season or part of the day, from 0 */
    int day;          /* 1 .. 31 */
    weft_clock clock; /* how the time is told, */
    int hour;         /* 1 .. 12, */
    int minutes;      /* 5, 10 or 20 */
} weft_time;

/** "at half past seven"; nothing for NO_TIME. */
void weft_english_time(weft_line *line, const weft_time *time);
void weft_german_time(weft_line *line, const weft_time *time);
/** "half past seven", "halb acht" */
void weft_english_clock(weft_line *line, const weft_time *time);
void weft_german_clock(weft_line *line, const weft_time *time);
/** "the third of May", "der dritte Mai" */
void weft_english_date(weft_line *line, const weft_time *time);
void weft_german_date(weft_line *line, const weft_time *time);

/* ---- meanings (drawn in phrases.c) ---------------------------------------------------------- */

typedef enum weft_person { I, YOU, HE, SHE, WE, THEY, N_PERSONS } weft_person;

typedef enum weft_determiner {
    ZERO, /* plurals and drinks */
    THE,
    A,
    NO,
    THIS, /* these */
    EVERY,
    MY, /* ... six of them, in the order of persons */
    THEIR = MY + N_PERSONS - 1,
    MANY,
    ALL,
    NUMBER,
    WHICH,
    HOW_MANY,
    N_DETERMINERS
} weft_determiner;

typedef enum weft_np_kind { NOTHING, NOUN, PRONOUN, WHO, WHAT } weft_np_kind;

enum { MAX_ADJECTIVES = 2 };

typedef struct weft_np {
    weft_np_kind kind;
    weft_person person; /* of a pronoun */
    weft_determiner determiner;
    bool plural;
    int noun, number;
    int n_adjectives, adjectives[MAX_ADJECTIVES];
} weft_np;

typedef enum weft_preposition {
    NO_PREPOSITION,
    IN,
    ON,
    UNDER,
    BEHIND,
    BEFORE, /* in front of */
    NEXT_TO,
    WITH,
    WITHOUT,
    FOR,
    TO,
    INTO,
    FROM,
    THROUGH,
    N_PREPOSITIONS
} weft_preposition;

typedef enum weft_tense { PRESENT, MODAL, PERFECT } weft_tense;

/* What a copula says of its subject. */
typedef enum weft_predicate {
    IS_ADJECTIVE,
    IS_VERY,
    IS_TOO,
    IS_YEARS_OLD,
    IS_SOMEWHERE
} weft_predicate;

typedef struct weft_clause {
    weft_np subject;
    int verb;
    weft_tense tense;
    weft_modal modal;
    bool negated; /* not, nicht */
    weft_frequency frequency;
    weft_np dative, accusative;
    weft_preposition preposition;
    weft_np place; /* what the preposition governs */
    weft_time time;
    bool time_first; /* today the man sleeps */
    weft_predicate predicate;
    int quality; /* adjective or number of the predicate */
} weft_clause;

typedef enum weft_form {
    STATEMENT,
    YES_NO,
    WHERE,
    WHY,
    WHEN,
    ASKED_OBJECT, /* what, which book, how many books */
} weft_form;

typedef enum weft_conjunction {
    BECAUSE,
    IF,
    ALTHOUGH,
    BEFORE_CLAUSE,
    THAT,
    AND,
    BUT,
    N_CONJUNCTIONS
} weft_conjunction;

typedef enum weft_shape {
    ONE_CLAUSE,
    CLAUSE_LAST,  /* main, because sub */
    CLAUSE_FIRST, /* because sub, main */
    TWO_MAINS,    /* main and main */
    THERE_IS,     /* there is <accusative> <preposition place> */
    IT_IS_TIME,   /* it is half past seven */
    TODAY_IS,     /* today is the third of May */
} weft_shape;

typedef struct weft_sentence {
    weft_shape shape;
    weft_form form; /* of a single clause */
    weft_conjunction conjunction;
    weft_clause first, second; /* in the order of the words */
} weft_sentence;

void weft_say_english(weft_line *line, const weft_sentence *sentence);
void weft_say_german(weft_line *line, const weft_sentence *sentence);

/* Person of the verb, in both languages: I, you, the rest of the singular, plural. */
typedef enum weft_agreement { FIRST, SECOND, THIRD, PLURAL } weft_agreement;

static inline weft_agreement weft_agreement_of(const weft_np *np)
{
    if (np->kind == NOUN) return np->plural ? PLURAL : THIRD;
    if (np->kind != PRONOUN) return THIRD;
    return np->person == I ? FIRST : np->person == YOU ? SECOND : np->person < WE ? THIRD : PLURAL;
}

#endif
