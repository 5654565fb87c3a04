/* phrases.c - draws the meaning of a sentence, and says which combinations are held out. */
#include "data/phrases_internal.h"

#include <assert.h>

/* ---- held-out combinations (tasks.h explains the rule) --------------------------------------- */

typedef enum pair_kind { ADJECTIVE_NOUN, VERB_NOUN, NUMBER_NOUN, DAY_MONTH } pair_kind;

static bool pair_held_out(pair_kind kind, int i, int j)
{
    return (3 * i + 7 * j) % 10 == 3 * (int)kind;
}

static bool np_held_out(const weft_np *np)
{
    if (np->kind != NOUN) return false;
    for (int i = 0; i < np->n_adjectives; i++) {
        if (pair_held_out(ADJECTIVE_NOUN, np->adjectives[i], np->noun)) return true;
    }
    return np->determiner == NUMBER && pair_held_out(NUMBER_NOUN, np->number, np->noun);
}

static bool predicate_held_out(const weft_clause *clause)
{
    if (weft_verbs[clause->verb].frame != COPULA || clause->subject.kind != NOUN) return false;
    return clause->predicate < IS_YEARS_OLD &&
           pair_held_out(ADJECTIVE_NOUN, clause->quality, clause->subject.noun);
}

static bool object_held_out(const weft_clause *clause)
{
    const weft_np *object =
        clause->accusative.kind != NOTHING ? &clause->accusative : &clause->dative;
    return weft_verbs[clause->verb].frame != COPULA && object->kind == NOUN &&
           pair_held_out(VERB_NOUN, clause->verb, object->noun);
}

static bool clause_held_out(const weft_clause *clause)
{
    const weft_time *time = &clause->time;
    return np_held_out(&clause->subject) || np_held_out(&clause->dative) ||
           np_held_out(&clause->accusative) || np_held_out(&clause->place) ||
           predicate_held_out(clause) || object_held_out(clause) ||
           (time->kind == DATE && pair_held_out(DAY_MONTH, time->day, time->which));
}

/* ---- noun phrases --------------------------------------------------------------------------- */

/* Draw one of `n` things by weights in percent. */
static int weighted(weft_dice *dice, int n, const int percent[])
{
    int left = weft_roll(dice, 100);
    for (int i = 0; i < n; i++) {
        left -= percent[i];
        if (left < 0) return i;
    }
    return n - 1;
}

static int draw_noun(weft_dice *dice, unsigned kinds)
{
    int n = 0;
    for (int i = 0; i < weft_n_nouns; i++) n += (weft_nouns[i].kinds & kinds) != 0;
    assert(n > 0);
    int left = weft_roll(dice, n);
    for (int i = 0; i < weft_n_nouns; i++) {
        if ((weft_nouns[i].kinds & kinds) != 0 && left-- == 0) return i;
    }
    return 0;
}

static bool is_colour(int adjective)
{
    const char *name = weft_adjectives[adjective].english;
    return strcmp(name, "red") == 0 || strcmp(name, "blue") == 0 || strcmp(name, "green") == 0 ||
           strcmp(name, "white") == 0 || strcmp(name, "black") == 0;
}

static int draw_adjective(weft_dice *dice, unsigned kinds)
{
    int adjective;
    do {
        adjective = weft_roll(dice, weft_n_adjectives);
    } while ((weft_adjectives[adjective].kinds & kinds) == 0);
    return adjective;
}

/* None, one, or two of which the second is a colour (so English and German order agree). */
static void draw_adjectives(weft_dice *dice, weft_np *np)
{
    const unsigned kinds = weft_nouns[np->noun].kinds;
    if (!weft_chance(dice, 50)) return;
    np->adjectives[np->n_adjectives++] = draw_adjective(dice, kinds);
    if (is_colour(np->adjectives[0]) || !weft_chance(dice, 25)) return;
    const int second = draw_adjective(dice, kinds);
    if (is_colour(second)) np->adjectives[np->n_adjectives++] = second;
}

/* What a sentence allows of its noun phrases. */
typedef struct np_rules {
    bool definite; /* the, this, my: all that a negated clause can have */
    bool plain;    /* without adjectives */
} np_rules;

static weft_determiner draw_determiner(weft_dice *dice, const weft_np *np, np_rules rules)
{
    enum { N = 8, MINE = -1 };
    static const int kinds[N] = { THE, A, MINE, THIS, EVERY, ZERO, MANY, ALL };
    static const int in_singular[N] = { 38, 28, 20, 8, 6, 0, 0, 0 };
    static const int in_plural[N] = { 28, 0, 20, 10, 0, 20, 12, 10 };
    static const int of_drink[N] = { 40, 0, 20, 10, 0, 30, 0, 0 };
    static const int if_definite[N] = { 60, 0, 28, 12, 0, 0, 0, 0 };
    const bool drink = (weft_nouns[np->noun].kinds & DRINK) != 0;
    if (np->plural && !rules.definite && weft_chance(dice, 30)) return NUMBER;
    const int kind = kinds[weighted(dice, N,
                                    rules.definite ? if_definite
                                    : drink        ? of_drink
                                    : np->plural   ? in_plural
                                                   : in_singular)];
    return kind == MINE ? (weft_determiner)(MY + weft_roll(dice, N_PERSONS))
                        : (weft_determiner)kind;
}

/* 0 or 2 .. 99: one is another word (a book). */
static int draw_count(weft_dice *dice)
{
    const int n = weft_roll(dice, 99);
    return n == 0 ? 0 : n + 1;
}

static weft_np draw_np(weft_dice *dice, unsigned kinds, np_rules rules)
{
    weft_np np = { .kind = NOUN, .noun = draw_noun(dice, kinds) };
    np.plural = weft_nouns[np.noun].english_plural != NULL && weft_chance(dice, 35);
    np.determiner = draw_determiner(dice, &np, rules);
    if (np.determiner == NUMBER) np.number = draw_count(dice);
    if (!rules.plain) draw_adjectives(dice, &np);
    return np;
}

/* A pronoun that does not point back at the subject (that would be another word: myself). */
static weft_np draw_pronoun(weft_dice *dice, const weft_np *subject)
{
    weft_np np = { .kind = PRONOUN };
    bool reflexive;
    do {
        np.person = (weft_person)weft_roll(dice, N_PERSONS);
        const bool both_we =
            (np.person == I || np.person == WE) && (subject->person == I || subject->person == WE);
        reflexive = subject->kind == PRONOUN && (np.person == subject->person || both_we);
    } while (reflexive);
    return np;
}

static weft_np draw_object(weft_dice *dice, unsigned kinds, const weft_np *subject, np_rules rules)
{
    if ((kinds & PERSON) != 0 && weft_chance(dice, 25)) return draw_pronoun(dice, subject);
    return draw_np(dice, kinds, rules);
}

static weft_np draw_subject(weft_dice *dice, unsigned kinds, np_rules rules)
{
    static const int percent[N_PERSONS] = { 22, 24, 14, 14, 13, 13 };
    if ((kinds & PERSON) != 0 && weft_chance(dice, 40)) {
        return (weft_np){ .kind = PRONOUN,
                          .person = (weft_person)weighted(dice, N_PERSONS, percent) };
    }
    return draw_np(dice, kinds, rules);
}

/* ---- times and places ----------------------------------------------------------------------- */

static void draw_clock(weft_dice *dice, weft_time *time)
{
    static const int minutes[] = { 5, 10, 20 };
    time->clock = (weft_clock)weft_roll(dice, N_CLOCKS);
    time->hour = 1 + weft_roll(dice, 12);
    time->minutes = minutes[weft_roll(dice, 3)];
}

static void draw_date(weft_dice *dice, weft_time *time)
{
    static const int n_days[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    time->which = weft_roll(dice, N_MONTHS);
    time->day = 1 + weft_roll(dice, n_days[time->which]);
}

/* Of the perfect only "today" is said; "tomorrow" wants a modal verb. */
static weft_time draw_time(weft_dice *dice, weft_tense tense)
{
    static const int n_of[N_TIME_KINDS] = { [WEEKDAY] = N_WEEKDAYS,
                                            [MONTH] = N_MONTHS,
                                            [SEASON] = N_SEASONS,
                                            [DAYPART] = N_DAYPARTS,
                                            [WEEKDAY_CLOCK] = N_WEEKDAYS };
    static const int percent[N_TIME_KINDS] = { 0, 18, 22, 10, 20, 8, 6, 8, 8 };
    if (tense == PERFECT) return (weft_time){ .kind = ADVERB, .which = TODAY };
    weft_time time = { .kind = (weft_time_kind)weighted(dice, N_TIME_KINDS, percent) };
    if (time.kind == ADVERB) {
        time.which = weft_roll(dice, tense == MODAL ? N_ADVERBS : TOMORROW);
    } else if (time.kind == DATE) {
        draw_date(dice, &time);
    } else if (time.kind != CLOCK) {
        time.which = weft_roll(dice, n_of[time.kind]);
    }
    if (time.kind == CLOCK || time.kind == WEEKDAY_CLOCK) draw_clock(dice, &time);
    return time;
}

static void draw_location(weft_dice *dice, weft_clause *clause, np_rules rules)
{
    static const weft_preposition prepositions[] = { IN, ON, UNDER, BEHIND, BEFORE, NEXT_TO };
    static const unsigned kinds[] = { INSIDE, SURFACE, SURFACE, BESIDE, BESIDE, BESIDE };
    static const int percent[] = { 52, 10, 8, 10, 10, 10 };
    const int which = weighted(dice, 6, percent);
    clause->preposition = prepositions[which];
    clause->place = draw_np(dice, kinds[which], rules);
}

static void draw_direction(weft_dice *dice, weft_clause *clause, np_rules rules)
{
    static const weft_preposition prepositions[] = { TO, INTO, FROM, THROUGH };
    const int which = weft_roll(dice, 4);
    clause->preposition = prepositions[which];
    clause->place = which == 0 ? draw_object(dice, PLACE | PERSON, &clause->subject, rules)
                               : draw_np(dice, INSIDE, rules);
}

/* One phrase with a preposition, if the verb allows any. */
static void draw_place(weft_dice *dice, weft_clause *clause, np_rules rules)
{
    const unsigned allows = weft_verbs[clause->verb].allows;
    const int which = weft_roll(dice, 3);
    if (weft_verbs[clause->verb].frame == MOTION) {
        draw_direction(dice, clause, rules);
    } else if ((allows & NEEDS_PLACE) != 0 || (which == 0 && (allows & LOCATED) != 0)) {
        draw_location(dice, clause, rules);
    } else if (which == 1 && (allows & TOGETHER) != 0) {
        clause->preposition = weft_chance(dice, 70) ? WITH : WITHOUT;
        clause->place = draw_object(dice, PERSON | ANIMAL, &clause->subject, rules);
    } else if (which == 2 && (allows & BENEFIT) != 0) {
        clause->preposition = FOR;
        clause->place = draw_object(dice, PERSON, &clause->subject, rules);
    }
}

/* ---- clauses -------------------------------------------------------------------------------- */

/* What a verb is chosen from: separable verbs and those of motion are few, their rules many. */
static bool in_class(const weft_verb *verb, int class)
{
    enum { COPULAS, SEPARABLE, MOTIONS };
    switch (class) {
    case COPULAS: return verb->frame == COPULA;
    case SEPARABLE: return verb->prefix[0] != '\0';
    case MOTIONS: return verb->frame == MOTION;
    default: return verb->frame != CLAUSE_OBJECT;
    }
}

static bool fits_form(const weft_verb *verb, weft_form form)
{
    if (form == ASKED_OBJECT) return verb->frame == ACCUSATIVE_OBJECT;
    if (form == WHERE) return verb->frame == COPULA || (verb->allows & LOCATED) != 0;
    if (form == WHEN) return (verb->allows & TIMED) != 0;
    return true;
}

static int draw_verb(weft_dice *dice, weft_form form)
{
    static const int percent[] = { 18, 10, 5, 67 };
    for (;;) {
        const int class = weighted(dice, 4, percent);
        int verb;
        do verb = weft_roll(dice, weft_n_verbs);
        while (!in_class(&weft_verbs[verb], class));
        if (fits_form(&weft_verbs[verb], form)) return verb;
    }
}

static void draw_tense(weft_dice *dice, weft_clause *clause, bool may_negate)
{
    static const int percent[] = { 55, 27, 18 };
    clause->tense = (weft_tense)weighted(dice, 3, percent);
    if (clause->tense == MODAL) clause->modal = (weft_modal)weft_roll(dice, N_MODALS);
    clause->negated = may_negate && weft_chance(dice, 15);
    /* "must not" is not the negation of "must" */
    if (clause->negated && clause->tense == MODAL && clause->modal == MUST) clause->modal = CAN;
}

/* What is said of a subject. "May be" is a guess in English, leave in German: not said. */
static void draw_predicate(weft_dice *dice, weft_clause *clause, weft_form form, np_rules rules)
{
    if (clause->modal == MAY) clause->modal = WILL;
    const bool somewhere = form == WHERE || weft_chance(dice, 25);
    const bool age = !somewhere && form != WHEN && weft_chance(dice, 20);
    clause->subject = draw_subject(dice,
                                   somewhere ? PERSON | ANIMAL | THING | FOOD
                                   : age     ? PERSON | ANIMAL
                                             : ~0u,
                                   rules);
    if (somewhere) {
        clause->predicate = IS_SOMEWHERE;
        if (form != WHERE) draw_location(dice, clause, rules);
    } else if (age) {
        clause->predicate = IS_YEARS_OLD;
        clause->quality = weft_chance(dice, 5) ? 1 : 2 + weft_roll(dice, 98);
    } else {
        weft_np *subject = &clause->subject;
        clause->predicate = (weft_predicate)(weft_chance(dice, 70) ? 0 : 1 + weft_roll(dice, 2));
        clause->quality =
            draw_adjective(dice, subject->kind == NOUN ? weft_nouns[subject->noun].kinds : PERSON);
        /* an old man is old: no news */
        for (int i = 0; i < subject->n_adjectives; i++) {
            if (subject->adjectives[i] == clause->quality) subject->n_adjectives = 0;
        }
    }
}

static void draw_asked(weft_dice *dice, weft_clause *clause, np_rules rules)
{
    const unsigned objects = weft_verbs[clause->verb].objects;
    if (objects != PERSON && weft_chance(dice, 30)) {
        clause->accusative = (weft_np){ .kind = WHAT };
        return;
    }
    weft_np *np = &clause->accusative;
    *np = draw_np(dice, objects, rules);
    if (np->plural && weft_chance(dice, 60))
        np->determiner = HOW_MANY;
    else
        np->determiner = WHICH;
}

static void draw_objects(weft_dice *dice, weft_clause *clause, weft_form form, np_rules rules)
{
    const weft_verb *verb = &weft_verbs[clause->verb];
    if (form == ASKED_OBJECT) {
        draw_asked(dice, clause, rules);
    } else if (verb->frame == ACCUSATIVE_OBJECT) {
        clause->accusative = draw_object(dice, verb->objects, &clause->subject, rules);
    } else if (verb->frame == DATIVE_OBJECT) {
        clause->dative = draw_object(dice, verb->objects, &clause->subject, rules);
    } else if (verb->frame == TWO_OBJECTS) {
        clause->dative = draw_object(dice, PERSON, &clause->subject, rules);
        clause->accusative = draw_np(dice, verb->objects, rules);
        /* "gives her books" could be her own books */
        weft_np *given = &clause->accusative;
        if (clause->dative.kind == PRONOUN && given->determiner == ZERO) given->determiner = THE;
    }
}

/* "no": of the accusative object, else the subject, of a clause without other negation; not after
 * "must", where German would take another verb. */
static void draw_no(weft_dice *dice, weft_clause *clause)
{
    weft_np *np = clause->accusative.kind == NOUN ? &clause->accusative : &clause->subject;
    const bool must = clause->tense == MODAL && clause->modal == MUST;
    if (clause->negated || clause->frequency != NO_FREQUENCY || must || np->kind != NOUN) return;
    if (weft_chance(dice, 8)) np->determiner = NO;
}

static void draw_when(weft_dice *dice, weft_clause *clause, weft_form form, bool brief,
                      bool may_front)
{
    const bool timed = (weft_verbs[clause->verb].allows & TIMED) != 0 && form != WHEN &&
                       clause->predicate != IS_YEARS_OLD;
    const bool noun_object = clause->accusative.kind == NOUN || clause->dative.kind == NOUN;
    const bool only_front = clause->negated && noun_object;
    if (timed && weft_chance(dice, brief ? 15 : 30) && (may_front || !only_front)) {
        clause->time = draw_time(dice, clause->tense);
        clause->time_first = may_front && (only_front || weft_chance(dice, 50));
    } else if (!clause->negated && form != WHEN && clause->predicate != IS_YEARS_OLD &&
               weft_chance(dice, 15)) {
        clause->frequency = (weft_frequency)(1 + weft_roll(dice, N_FREQUENCIES - 1));
        /* "must never" is not "muss nie" */
        const bool must = clause->tense == MODAL && clause->modal == MUST;
        if (must && clause->frequency == NEVER) clause->frequency = ALWAYS;
    }
}

/* A clause; `brief` ones are parts of longer sentences, `may_front` ones stand alone. */
static weft_clause draw_clause(weft_dice *dice, weft_form form, bool brief, bool may_front)
{
    weft_clause clause = { .verb = draw_verb(dice, form) };
    draw_tense(dice, &clause, form == STATEMENT || form == YES_NO || form == WHY);
    const np_rules rules = { .definite = clause.negated, .plain = brief && weft_chance(dice, 65) };
    const weft_verb *verb = &weft_verbs[clause.verb];
    if (verb->frame == COPULA) {
        draw_predicate(dice, &clause, form, rules);
    } else {
        clause.subject = draw_subject(dice, verb->subjects, rules);
        draw_objects(dice, &clause, form, rules);
        const bool needed = verb->frame == MOTION || (verb->allows & NEEDS_PLACE) != 0;
        if (form != WHERE && (needed || weft_chance(dice, brief ? 25 : 60))) {
            draw_place(dice, &clause, rules);
        }
    }
    draw_when(dice, &clause, form, brief, may_front && form == STATEMENT);
    if (form == STATEMENT || form == YES_NO) draw_no(dice, &clause);
    return clause;
}

/* he says, the old man hopes */
static weft_clause draw_saying(weft_dice *dice)
{
    weft_clause clause = { 0 };
    do {
        clause.verb = weft_roll(dice, weft_n_verbs);
    } while (weft_verbs[clause.verb].frame != CLAUSE_OBJECT);
    draw_tense(dice, &clause, true);
    clause.subject = draw_subject(dice, PERSON, (np_rules){ .definite = true });
    return clause;
}

/* ---- sentences ------------------------------------------------------------------------------ */

static void draw_one_clause(weft_dice *dice, weft_sentence *sentence)
{
    static const int percent[] = { 70, 12, 4, 4, 4, 6 };
    sentence->form = (weft_form)weighted(dice, 6, percent);
    sentence->first = draw_clause(dice, sentence->form, false, true);
    weft_np *subject = &sentence->first.subject;
    const weft_clause *clause = &sentence->first;
    const bool may_ask = sentence->form == STATEMENT && !clause->time_first &&
                         subject->kind == NOUN && !subject->plural &&
                         (weft_nouns[subject->noun].kinds & PERSON) != 0;
    if (may_ask && weft_chance(dice, 15)) *subject = (weft_np){ .kind = WHO };
}

/* "before he does not sleep" says nothing, and "asks him if" would not be wenn. */
static void mend_conjunction(weft_sentence *sentence, const weft_clause *main,
                             const weft_clause *subordinate)
{
    const bool negative = subordinate->negated || subordinate->frequency == NEVER;
    const bool asks = strcmp(weft_verbs[main->verb].english, "ask") == 0;
    if ((sentence->conjunction == BEFORE_CLAUSE && negative) ||
        (sentence->conjunction == IF && asks)) {
        sentence->conjunction = BECAUSE;
    }
}

static void draw_clause_last(weft_dice *dice, weft_sentence *sentence)
{
    static const int percent[] = { 15, 15, 15, 15, 40 };
    sentence->conjunction = (weft_conjunction)weighted(dice, 5, percent);
    sentence->first = sentence->conjunction == THAT ? draw_saying(dice)
                                                    : draw_clause(dice, STATEMENT, true, false);
    sentence->second = draw_clause(dice, STATEMENT, true, false);
    mend_conjunction(sentence, &sentence->first, &sentence->second);
}

static void draw_there_is(weft_dice *dice, weft_sentence *sentence)
{
    static const weft_determiner in_plural[] = { NUMBER, NUMBER, NUMBER, MANY, NO };
    weft_clause *clause = &sentence->first;
    weft_np *np = &clause->accusative;
    *np = draw_np(dice, PERSON | ANIMAL | THING | FOOD, (np_rules){ .plain = false });
    np->determiner = np->plural ? in_plural[weft_roll(dice, 5)] : weft_chance(dice, 85) ? A : NO;
    if (np->determiner == NUMBER) np->number = draw_count(dice);
    draw_location(dice, clause, (np_rules){ .definite = true });
}

static weft_sentence draw_sentence(weft_dice *dice)
{
    static const int percent[] = { 66, 12, 6, 6, 6, 2, 2 };
    weft_sentence sentence = { .shape = (weft_shape)weighted(dice, 7, percent) };
    weft_clause *first = &sentence.first, *second = &sentence.second;
    switch (sentence.shape) {
    case ONE_CLAUSE: draw_one_clause(dice, &sentence); break;
    case CLAUSE_LAST: draw_clause_last(dice, &sentence); break;
    case CLAUSE_FIRST:
        sentence.conjunction = (weft_conjunction)weft_roll(dice, THAT);
        *first = draw_clause(dice, STATEMENT, true, false);
        *second = draw_clause(dice, STATEMENT, true, false);
        mend_conjunction(&sentence, second, first);
        break;
    case TWO_MAINS:
        sentence.conjunction = weft_chance(dice, 60) ? AND : BUT;
        *first = draw_clause(dice, STATEMENT, true, true);
        *second = draw_clause(dice, STATEMENT, true, true);
        break;
    case THERE_IS: draw_there_is(dice, &sentence); break;
    case IT_IS_TIME: draw_clock(dice, &first->time); break;
    case TODAY_IS:
        draw_date(dice, &first->time);
        first->time.kind = DATE;
        break;
    }
    return sentence;
}

static int n_words(const char *line)
{
    int n = 1;
    for (const char *c = line; *c; c++) n += *c == ' ';
    return n;
}

/* Held-out sentences test combinations, not lengths: none is as long as the longest of training, which
 * are too rare there to be learnt well. */
enum { MOST_WORDS_HELD_OUT = 16 };

bool weft_phrases_draw(weft_dice *dice, const weft_task_stream *stream, weft_line *source,
                       weft_line *target)
{
    (void)stream;
    const weft_line empty = *source;
    weft_sentence sentence;
    bool held_out;
    do {
        *source = empty;
        sentence = draw_sentence(dice);
        weft_say_english(source, &sentence);
        held_out = clause_held_out(&sentence.first) || clause_held_out(&sentence.second);
    } while (held_out && !source->full && n_words(source->text) > MOST_WORDS_HELD_OUT);
    weft_say_german(target, &sentence);
    return held_out;
}
