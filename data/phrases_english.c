/* phrases_english.c - a meaning in English words. */
#include "data/phrases_internal.h"

static const char *const subjects[] = { "I", "you", "he", "she", "we", "they" };
static const char *const objects[] = { "me", "you", "him", "her", "us", "them" };
static const char *const modals[] = { "can", "must", "should", "may", "will", "want" };
static const char *const frequencies[] = { "", "often", "always", "sometimes", "never" };
static const char *const prepositions[] = { "",        "in",          "on",     "under",
                                            "behind",  "in front of", "beside", "with",
                                            "without", "for",         "to",     "into",
                                            "from",    "through" };
static const char *const conjunctions[] = { "because", "if",  "although", "before",
                                            "that",    "and", "but" };

/* ---- noun phrases --------------------------------------------------------------------------- */

static bool begins_with_vowel(const char *word) { return strchr("aeiou", word[0]) != NULL; }

static void determiner(weft_line *line, const weft_np *np, const char *next)
{
    static const char *const possessives[] = { "my", "your", "his", "her", "our", "their" };
    char number[WEFT_NUMERAL_BYTES];
    switch (np->determiner) {
    case ZERO: break;
    case THE: weft_line_word(line, "the"); break;
    case A: weft_line_word(line, begins_with_vowel(next) ? "an" : "a"); break;
    case NO: weft_line_word(line, "no"); break;
    case THIS: weft_line_word(line, np->plural ? "these" : "this"); break;
    case EVERY: weft_line_word(line, "every"); break;
    case MANY: weft_line_word(line, "many"); break;
    case ALL: weft_line_word(line, "all"); break;
    case NUMBER: weft_line_word(line, weft_english_number(np->number, number)); break;
    case WHICH: weft_line_word(line, "which"); break;
    case HOW_MANY: weft_line_word(line, "how many"); break;
    default: weft_line_word(line, possessives[np->determiner - MY]); break;
    }
}

static void noun_phrase(weft_line *line, const weft_np *np, bool is_subject)
{
    switch (np->kind) {
    case NOTHING: return;
    case WHO: weft_line_word(line, "who"); return;
    case WHAT: weft_line_word(line, "what"); return;
    case PRONOUN:
        weft_line_word(line, is_subject ? subjects[np->person] : objects[np->person]);
        return;
    case NOUN: break;
    }
    const weft_noun *noun = &weft_nouns[np->noun];
    const char *head = np->plural ? noun->english_plural : noun->english;
    determiner(line, np, np->n_adjectives > 0 ? weft_adjectives[np->adjectives[0]].english : head);
    for (int i = 0; i < np->n_adjectives; i++) {
        weft_line_word(line, weft_adjectives[np->adjectives[i]].english);
    }
    weft_line_word(line, head);
}

/* ---- verbs ---------------------------------------------------------------------------------- */

static bool is_copula(const weft_clause *clause)
{
    return weft_verbs[clause->verb].frame == COPULA;
}

/* does the man sleep, the man does not want to sleep */
static bool needs_do(const weft_clause *clause, bool inverted)
{
    const bool plain = (clause->tense == PRESENT && !is_copula(clause)) ||
                       (clause->tense == MODAL && clause->modal == WANT);
    return plain && (inverted || clause->negated);
}

/* The auxiliary that "not" follows and that changes places with the subject; NULL without one. */
static const char *auxiliary(const weft_clause *clause, bool inverted)
{
    const weft_agreement agreement = weft_agreement_of(&clause->subject);
    if (needs_do(clause, inverted)) return agreement == THIRD ? "does" : "do";
    if (clause->tense == PERFECT) return agreement == THIRD ? "has" : "have";
    if (clause->tense == MODAL) return clause->modal == WANT ? NULL : modals[clause->modal];
    if (!is_copula(clause)) return NULL;
    return agreement == FIRST ? "am" : agreement == THIRD ? "is" : "are";
}

/* What follows the auxiliary, or the whole verb where there is none. */
static void main_verb(weft_line *line, const weft_clause *clause, bool with_do)
{
    const weft_verb *verb = &weft_verbs[clause->verb];
    const bool third = weft_agreement_of(&clause->subject) == THIRD && !with_do;
    switch (clause->tense) {
    case PRESENT:
        if (!is_copula(clause)) weft_line_word(line, third ? verb->third : verb->english);
        break;
    case PERFECT: weft_line_word(line, verb->english_participle); break;
    case MODAL:
        if (clause->modal == WANT) weft_line_word(line, third ? "wants to" : "want to");
        weft_line_word(line, verb->english);
        break;
    }
}

static void subject_and_verb(weft_line *line, const weft_clause *clause, bool inverted)
{
    const char *aux = auxiliary(clause, inverted);
    if (!inverted) noun_phrase(line, &clause->subject, true);
    if (aux != NULL) weft_line_word(line, aux);
    if (inverted) noun_phrase(line, &clause->subject, true);
    if (clause->negated) {
        const bool cannot = clause->tense == MODAL && clause->modal == CAN && !inverted;
        if (cannot)
            weft_line_glue(line, "not");
        else
            weft_line_word(line, "not");
    }
    if (clause->frequency != NO_FREQUENCY) weft_line_word(line, frequencies[clause->frequency]);
    main_verb(line, clause, needs_do(clause, inverted));
}

static void predicate(weft_line *line, const weft_clause *clause)
{
    char number[WEFT_NUMERAL_BYTES];
    switch (clause->predicate) {
    case IS_SOMEWHERE: return;
    case IS_YEARS_OLD:
        weft_line_word(line, weft_english_number(clause->quality, number));
        weft_line_word(line, clause->quality == 1 ? "year old" : "years old");
        return;
    case IS_VERY: weft_line_word(line, "very"); break;
    case IS_TOO: weft_line_word(line, "too"); break;
    case IS_ADJECTIVE: break;
    }
    weft_line_word(line, weft_adjectives[clause->quality].english);
}

/* ---- clauses -------------------------------------------------------------------------------- */

static void say_place(weft_line *line, const weft_clause *clause)
{
    if (clause->preposition == NO_PREPOSITION) return;
    weft_line_word(line, prepositions[clause->preposition]);
    noun_phrase(line, &clause->place, false);
}

static void say_clause(weft_line *line, const weft_clause *clause, weft_form form)
{
    static const char *const asking[] = { "", "", "where", "why", "when", "" };
    if (clause->time_first) weft_english_time(line, &clause->time);
    if (asking[form][0] != '\0') weft_line_word(line, asking[form]);
    if (form == ASKED_OBJECT) noun_phrase(line, &clause->accusative, false);
    subject_and_verb(line, clause, form != STATEMENT);
    noun_phrase(line, &clause->dative, false);
    if (form != ASKED_OBJECT) noun_phrase(line, &clause->accusative, false);
    if (is_copula(clause)) predicate(line, clause);
    say_place(line, clause);
    if (!clause->time_first) weft_english_time(line, &clause->time);
}

void weft_say_english(weft_line *line, const weft_sentence *sentence)
{
    const weft_clause *first = &sentence->first, *second = &sentence->second;
    const char *conjunction = conjunctions[sentence->conjunction];
    switch (sentence->shape) {
    case ONE_CLAUSE: say_clause(line, first, sentence->form); break;
    case CLAUSE_LAST:
    case TWO_MAINS:
        say_clause(line, first, STATEMENT);
        if (sentence->conjunction == BUT) weft_line_word(line, ",");
        weft_line_word(line, conjunction);
        say_clause(line, second, STATEMENT);
        break;
    case CLAUSE_FIRST:
        weft_line_word(line, conjunction);
        say_clause(line, first, STATEMENT);
        weft_line_word(line, ",");
        say_clause(line, second, STATEMENT);
        break;
    case THERE_IS:
        weft_line_word(line, first->accusative.plural ? "there are" : "there is");
        noun_phrase(line, &first->accusative, false);
        say_place(line, first);
        break;
    case IT_IS_TIME:
        weft_line_word(line, "it is");
        weft_english_clock(line, &first->time);
        break;
    case TODAY_IS:
        weft_line_word(line, "today is");
        weft_english_date(line, &first->time);
        break;
    }
    const bool asks = sentence->form != STATEMENT || first->subject.kind == WHO;
    weft_line_word(line, asks ? "?" : ".");
}
