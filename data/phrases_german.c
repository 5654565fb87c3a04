/* phrases_german.c - a meaning in German words. */
#include "data/phrases_internal.h"

#include <stdio.h>
#include <string.h>

/* ---- noun phrases --------------------------------------------------------------------------- */

/* Columns of all tables of endings: masculine, feminine, neuter, plural. */
enum { PLURAL_COLUMN = 3, N_COLUMNS = 4, N_CASES = 3 };

static const char *const definite[N_CASES][N_COLUMNS] = { { "der", "die", "das", "die" },
                                                          { "den", "die", "das", "die" },
                                                          { "dem", "der", "dem", "den" } };
/* dieser, jeder, aller, welcher, and adjectives where no determiner shows the case (strong) */
static const char *const strong[N_CASES][N_COLUMNS] = { { "er", "e", "es", "e" },
                                                        { "en", "e", "es", "e" },
                                                        { "em", "er", "em", "en" } };
/* ein, kein, mein: as dieser, but bare in three places */
static const char *const bare[N_CASES][N_COLUMNS] = { { "", "e", "", "e" },
                                                      { "en", "e", "", "e" },
                                                      { "em", "er", "em", "en" } };
/* adjectives where the determiner has shown the case */
static const char *const weak[N_CASES][N_COLUMNS] = { { "e", "e", "e", "en" },
                                                      { "en", "e", "e", "en" },
                                                      { "en", "en", "en", "en" } };

static int column(const weft_np *np)
{
    return np->plural ? PLURAL_COLUMN : (int)weft_nouns[np->noun].gender;
}

static void inflected(weft_line *line, const char *stem, const char *ending)
{
    weft_line_word(line, stem);
    weft_line_glue(line, ending);
}

/* Say the determiner; true when it shows the case, so that adjectives need not. */
static bool determiner(weft_line *line, const weft_np *np, weft_case role)
{
    static const char *const possessives[] = { "mein", "dein", "sein", "ihr", "unser", "ihr" };
    char number[WEFT_NUMERAL_BYTES];
    const char *strong_ending = strong[role][column(np)], *bare_ending = bare[role][column(np)];
    const char *stem;
    switch (np->determiner) {
    case ZERO: return false;
    case NUMBER: weft_line_word(line, weft_german_number(np->number, number)); return false;
    case MANY: inflected(line, "viel", strong_ending); return false;
    case HOW_MANY: inflected(line, "wie viel", strong_ending); return false;
    case THE: weft_line_word(line, definite[role][column(np)]); return true;
    case THIS: inflected(line, "dies", strong_ending); return true;
    case EVERY: inflected(line, "jed", strong_ending); return true;
    case ALL: inflected(line, "all", strong_ending); return true;
    case WHICH: inflected(line, "welch", strong_ending); return true;
    case A: stem = "ein"; break;
    case NO: stem = "kein"; break;
    default: stem = possessives[np->determiner - MY]; break;
    }
    inflected(line, stem, bare_ending);
    return bare_ending[0] != '\0';
}

/* Plural nouns take -n in the dative unless they end in -n or -s. */
static void noun_form(weft_line *line, const weft_np *np, weft_case role)
{
    const weft_noun *noun = &weft_nouns[np->noun];
    if (!np->plural) {
        weft_line_word(line,
                       noun->oblique != NULL && role != NOMINATIVE ? noun->oblique : noun->german);
        return;
    }
    const char last = noun->german_plural[strlen(noun->german_plural) - 1];
    inflected(line, noun->german_plural, role == DATIVE && last != 'n' && last != 's' ? "n" : "");
}

static void adjectives_and_noun(weft_line *line, const weft_np *np, weft_case role, bool shown)
{
    const char *ending = shown ? weak[role][column(np)] : strong[role][column(np)];
    for (int i = 0; i < np->n_adjectives; i++) {
        inflected(line, weft_adjectives[np->adjectives[i]].stem, ending);
    }
    noun_form(line, np, role);
}

static void noun_phrase(weft_line *line, const weft_np *np, weft_case role)
{
    static const char *const pronouns[N_CASES][N_PERSONS] = {
        { "ich", "du", "er", "sie", "wir", "sie" },
        { "mich", "dich", "ihn", "sie", "uns", "sie" },
        { "mir", "dir", "ihm", "ihr", "uns", "ihnen" }
    };
    switch (np->kind) {
    case NOTHING: return;
    case WHO: weft_line_word(line, "wer"); return;
    case WHAT: weft_line_word(line, "was"); return;
    case PRONOUN: weft_line_word(line, pronouns[role][np->person]); return;
    case NOUN: adjectives_and_noun(line, np, role, determiner(line, np, role)); return;
    }
}

/* ---- prepositions --------------------------------------------------------------------------- */

typedef struct preposition {
    const char *german;
    weft_case governs;
    const char *with_article[3]; /* contracted with the definite article, by gender; or NULL */
} preposition;

static const preposition prepositions[N_PREPOSITIONS] = {
    [NO_PREPOSITION] = { "", NOMINATIVE, { NULL } },
    [IN] = { "in", DATIVE, { "im", NULL, "im" } },
    [ON] = { "auf", DATIVE, { NULL } },
    [UNDER] = { "unter", DATIVE, { NULL } },
    [BEHIND] = { "hinter", DATIVE, { NULL } },
    [BEFORE] = { "vor", DATIVE, { NULL } },
    [NEXT_TO] = { "neben", DATIVE, { NULL } },
    [WITH] = { "mit", DATIVE, { NULL } },
    [WITHOUT] = { "ohne", ACCUSATIVE, { NULL } },
    [FOR] = { "für", ACCUSATIVE, { NULL } },
    [TO] = { "zu", DATIVE, { "zum", "zur", "zum" } },
    [INTO] = { "in", ACCUSATIVE, { NULL, NULL, "ins" } },
    [FROM] = { "aus", DATIVE, { NULL } },
    [THROUGH] = { "durch", ACCUSATIVE, { NULL } },
};

static void say_place(weft_line *line, const weft_clause *clause)
{
    const preposition *say = &prepositions[clause->preposition];
    const weft_np *np = &clause->place;
    if (clause->preposition == NO_PREPOSITION) return;
    const bool may_contract = np->kind == NOUN && np->determiner == THE && !np->plural;
    const char *contracted = may_contract ? say->with_article[weft_nouns[np->noun].gender] : NULL;
    if (contracted != NULL) {
        weft_line_word(line, contracted);
        adjectives_and_noun(line, np, say->governs, true);
    } else {
        weft_line_word(line, say->german);
        noun_phrase(line, np, say->governs);
    }
}

/* ---- verbs ---------------------------------------------------------------------------------- */

enum { N_AGREEMENTS = 4, VERB_BYTES = 32 };

static const char *const haben[N_AGREEMENTS] = { "habe", "hast", "hat", "haben" };
static const char *const sein[N_AGREEMENTS] = { "bin", "bist", "ist", "sind" };
static const char *const modals[N_MODALS][N_AGREEMENTS] = {
    [CAN] = { "kann", "kannst", "kann", "können" },
    [MUST] = { "muss", "musst", "muss", "müssen" },
    [SHOULD] = { "sollte", "solltest", "sollte", "sollten" },
    [MAY] = { "darf", "darfst", "darf", "dürfen" },
    [WILL] = { "werde", "wirst", "wird", "werden" },
    [WANT] = { "will", "willst", "will", "wollen" },
};

/* The present tense, without the prefix: ich drops the -n of the infinitive (gehe). */
static const char *present(const weft_verb *verb, weft_agreement agreement, char text[VERB_BYTES])
{
    if (verb->frame == COPULA) return sein[agreement];
    if (agreement == SECOND) return verb->du;
    if (agreement == THIRD) return verb->er;
    const size_t n = strlen(verb->infinitive) - (agreement == FIRST);
    snprintf(text, VERB_BYTES, "%.*s", (int)n, verb->infinitive);
    return text;
}

static void finite(weft_line *line, const weft_clause *clause, bool last)
{
    const weft_verb *verb = &weft_verbs[clause->verb];
    const weft_agreement agreement = weft_agreement_of(&clause->subject);
    char text[VERB_BYTES];
    if (clause->tense == MODAL) {
        weft_line_word(line, modals[clause->modal][agreement]);
    } else if (clause->tense == PERFECT) {
        weft_line_word(line, (verb->with_sein ? sein : haben)[agreement]);
    } else if (last && verb->prefix[0] != '\0') {
        inflected(line, verb->prefix, present(verb, agreement, text));
    } else {
        weft_line_word(line, present(verb, agreement, text));
    }
}

/* What stands at the end of a main clause: infinitive, participle or separated prefix. */
static void rest_of_verb(weft_line *line, const weft_clause *clause, bool last)
{
    const weft_verb *verb = &weft_verbs[clause->verb];
    if (clause->tense == PERFECT) {
        weft_line_word(line, verb->participle);
    } else if (clause->tense == MODAL) {
        inflected(line, verb->prefix, verb->infinitive);
    } else if (!last && verb->prefix[0] != '\0') {
        weft_line_word(line, verb->prefix);
    }
}

static void predicate(weft_line *line, const weft_clause *clause)
{
    char number[WEFT_NUMERAL_BYTES];
    switch (clause->predicate) {
    case IS_SOMEWHERE: return;
    case IS_YEARS_OLD:
        weft_line_word(line, clause->quality == 1 ? "ein Jahr"
                                                  : weft_german_number(clause->quality, number));
        weft_line_word(line, clause->quality == 1 ? "alt" : "Jahre alt");
        return;
    case IS_VERY: weft_line_word(line, "sehr"); break;
    case IS_TOO: weft_line_word(line, "zu"); break;
    case IS_ADJECTIVE: break;
    }
    weft_line_word(line, weft_adjectives[clause->quality].german);
}

/* ---- clauses -------------------------------------------------------------------------------- */

/* der, dieser, mein: such objects stand before oft and nie, others behind. */
static bool is_definite(const weft_np *np)
{
    const weft_determiner determiner = np->determiner;
    return np->kind == NOUN &&
           (determiner == THE || determiner == THIS || (determiner >= MY && determiner <= THEIR));
}

/* Between the two parts of the verb: pronouns, when, objects with how often among them, nicht,
 * where, what it is. */
static void middle(weft_line *line, const weft_clause *clause, weft_form form)
{
    static const char *const frequencies[] = { "", "oft", "immer", "manchmal", "nie" };
    const weft_np *objects[] = { &clause->dative, &clause->accusative };
    const weft_case cases[] = { DATIVE, ACCUSATIVE };
    bool said_frequency = clause->frequency == NO_FREQUENCY;
    for (int i = 0; i < 2; i++) {
        if (objects[i]->kind == PRONOUN) noun_phrase(line, objects[i], cases[i]);
    }
    if (!clause->time_first) weft_german_time(line, &clause->time);
    for (int i = 0; i < 2; i++) {
        const bool fronted = form == ASKED_OBJECT && cases[i] == ACCUSATIVE;
        if (objects[i]->kind != NOUN || fronted) continue;
        if (!said_frequency && !is_definite(objects[i])) {
            weft_line_word(line, frequencies[clause->frequency]);
            said_frequency = true;
        }
        noun_phrase(line, objects[i], cases[i]);
    }
    if (!said_frequency) weft_line_word(line, frequencies[clause->frequency]);
    if (clause->negated) weft_line_word(line, "nicht");
    say_place(line, clause);
    if (weft_verbs[clause->verb].frame == COPULA) predicate(line, clause);
}

/* Verb second (or first, after nothing or after a clause in front). */
static void main_clause(weft_line *line, const weft_clause *clause, weft_form form, bool fronted)
{
    static const char *const asking[] = { "", "", "wo", "warum", "wann", "" };
    const bool subject_first = form == STATEMENT && !clause->time_first && !fronted;
    if (asking[form][0] != '\0') weft_line_word(line, asking[form]);
    if (form == ASKED_OBJECT) noun_phrase(line, &clause->accusative, ACCUSATIVE);
    if (clause->time_first) weft_german_time(line, &clause->time);
    if (subject_first) noun_phrase(line, &clause->subject, NOMINATIVE);
    finite(line, clause, false);
    if (!subject_first) noun_phrase(line, &clause->subject, NOMINATIVE);
    middle(line, clause, form);
    rest_of_verb(line, clause, false);
}

/* Verb last. */
static void subordinate_clause(weft_line *line, const weft_clause *clause)
{
    noun_phrase(line, &clause->subject, NOMINATIVE);
    middle(line, clause, STATEMENT);
    rest_of_verb(line, clause, true);
    finite(line, clause, true);
}

void weft_say_german(weft_line *line, const weft_sentence *sentence)
{
    static const char *const conjunctions[] = { "weil", "wenn", "obwohl", "bevor",
                                                "dass", "und",  "aber" };
    const weft_clause *first = &sentence->first, *second = &sentence->second;
    const char *conjunction = conjunctions[sentence->conjunction];
    switch (sentence->shape) {
    case ONE_CLAUSE: main_clause(line, first, sentence->form, false); break;
    case CLAUSE_LAST:
        main_clause(line, first, STATEMENT, false);
        weft_line_word(line, ",");
        weft_line_word(line, conjunction);
        subordinate_clause(line, second);
        break;
    case CLAUSE_FIRST:
        weft_line_word(line, conjunction);
        subordinate_clause(line, first);
        weft_line_word(line, ",");
        main_clause(line, second, STATEMENT, true);
        break;
    case TWO_MAINS:
        main_clause(line, first, STATEMENT, false);
        if (sentence->conjunction == BUT) weft_line_word(line, ",");
        weft_line_word(line, conjunction);
        main_clause(line, second, STATEMENT, false);
        break;
    case THERE_IS:
        weft_line_word(line, "es gibt");
        noun_phrase(line, &first->accusative, ACCUSATIVE);
        say_place(line, first);
        break;
    case IT_IS_TIME:
        weft_line_word(line, "es ist");
        weft_german_clock(line, &first->time);
        break;
    case TODAY_IS:
        weft_line_word(line, "heute ist");
        weft_german_date(line, &first->time);
        break;
    }
    const bool asks = sentence->form != STATEMENT || first->subject.kind == WHO;
    weft_line_word(line, asks ? "?" : ".");
}
