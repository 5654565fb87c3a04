/* precision: float - nothing here depends on it
 *
 * test_held_out.c - the border between training and held-out combinations of the phrase grammar,
 * read off the English words alone. */
#include "check_main.h"
#include "data/phrases_internal.h"
#include "task_table.h"

enum { N_TRAIN = 50000, N_HELD_OUT = 2000 };

enum { MAX_WORDS = 64 };

/* What a word is, found in the lexicon; -1 for what it is not. */
typedef struct word {
    const char *text;
    int noun, adjective, verb, number, day, month;
    bool is_pronoun, ends_clause;
} word;

typedef enum combination { ADJECTIVE_NOUN, VERB_NOUN, NUMBER_NOUN, DAY_MONTH } combination;

static bool one_of(const char *text, const char *const *list)
{
    for (; *list != NULL; list++) {
        if (strcmp(text, *list) == 0) return true;
    }
    return false;
}

static bool equals(const char *a, const char *b) { return b != NULL && strcmp(a, b) == 0; }

static word look_up_anew(const char *text)
{
    static const char *const months[] = { "January",   "February", "March",    "April",
                                          "May",       "June",     "July",     "August",
                                          "September", "October",  "November", "December" };
    static const char *const pronouns[] = { "I", "you", "he", "she", "we", "they", "who", NULL };
    static const char *const ends[] = { ",", "and", "but",    "because",  "that", ".",
                                        "?", "if",  "before", "although", NULL };
    char other[WEFT_NUMERAL_BYTES];
    word w = { text, -1, -1, -1, -1, -1, -1, one_of(text, pronouns), one_of(text, ends) };
    for (int i = 0; i < weft_n_nouns; i++) {
        if (equals(text, weft_nouns[i].english) || equals(text, weft_nouns[i].english_plural)) {
            w.noun = i;
        }
    }
    for (int i = 0; i < weft_n_adjectives; i++) {
        if (equals(text, weft_adjectives[i].english)) w.adjective = i;
    }
    for (int i = 0; i < 100; i++) {
        if (equals(text, weft_english_number(i, other))) w.number = i;
    }
    for (int i = 1; i <= 31; i++) {
        if (equals(text, weft_english_ordinal(i, other))) w.day = i;
    }
    for (int i = 0; i < 12; i++) {
        if (equals(text, months[i])) w.month = i;
    }
    /* of "get up" the first word */
    for (int i = 1; i < weft_n_verbs; i++) {
        const weft_verb *v = &weft_verbs[i];
        const char *forms[] = { v->english, v->third, v->english_participle };
        for (int f = 0; f < 3 && w.verb < 0; f++) {
            const size_t n = strcspn(forms[f], " ");
            if (strncmp(text, forms[f], n) == 0 && text[n] == '\0') w.verb = i;
        }
    }
    return w;
}

/* The same, remembered: the sentences of the test have a million words, the lexicon hundreds. */
static word look_up(const char *text)
{
    static table places; /* of words seen, in known[] */
    static word known[1000];
    if (places.keys == NULL) places = table_new();
    const int at = table_place(&places, text);
    if (places.keys[at] == NULL) {
        ck_assert_int_lt(places.n, 1000);
        table_add(&places, text, "");
        places.counts[at] = places.n - 1;
        known[places.counts[at]] = look_up_anew(places.keys[at]);
    }
    return known[places.counts[at]];
}

static int read_words(char *line, word words[MAX_WORDS])
{
    char *rest = NULL;
    int n = 0;
    for (char *text = strtok_r(line, " ", &rest); text; text = strtok_r(NULL, " ", &rest)) {
        if (n == MAX_WORDS) ck_abort_msg("too many words");
        words[n++] = look_up(text);
    }
    return n;
}

typedef void pair_visitor(combination kind, int i, int j, void *user);

/* The noun of which the adjective at `at` is said: the last before it, unless a pronoun or the
 * beginning of the clause comes first. */
static int noun_before(const word *words, int at)
{
    for (int i = at - 1; i >= 0 && !words[i].is_pronoun && !words[i].ends_clause; i--) {
        if (words[i].noun >= 0) return words[i].noun;
    }
    return -1;
}

static bool is_preposition(const char *text)
{
    static const char *const list[] = { "in",   "on",      "under", "behind", "beside",
                                        "with", "without", "for",   "to",     "into",
                                        "from", "through", "at",    NULL };
    return one_of(text, list);
}

/* "at half past six sons cry": six is no number of sons; but "he goes to six sons" */
static bool is_hour(const word *words, int at)
{
    if (at < 2) return false;
    const bool minutes = words[at - 2].number >= 0 || strcmp(words[at - 2].text, "quarter") == 0;
    return strcmp(words[at - 1].text, "past") == 0 ||
           (strcmp(words[at - 1].text, "to") == 0 && minutes);
}

/* Noun phrases end in a noun: adjectives and a number before it belong to it. */
static void visit_noun_phrase(const word *words, int at, pair_visitor *visit, void *user)
{
    int i = at - 1;
    for (; i >= 0 && words[i].adjective >= 0; i--) {
        visit(ADJECTIVE_NOUN, words[i].adjective, words[at].noun, user);
    }
    if (i >= 0 && words[i].number >= 0 && !is_hour(words, i)) {
        visit(NUMBER_NOUN, words[i].number, words[at].noun, user);
    }
}

/* A predicate adjective stands before no noun (nor an adjective before one). */
static void visit_predicate(const word *words, int at, pair_visitor *visit, void *user)
{
    const bool after_adjective = at > 0 && words[at - 1].adjective >= 0;
    int end = at;
    while (words[end].adjective >= 0) end++;
    const bool years = at > 0 && strncmp(words[at - 1].text, "year", 4) == 0;
    if (words[end].noun >= 0 || after_adjective || years) return;
    const int noun = noun_before(words, at);
    if (noun >= 0) visit(ADJECTIVE_NOUN, words[at].adjective, noun, user);
}

/* The noun object: the last noun after the verb and before any preposition ("put on" is a verb); or,
 * asked for (which book, how many books), the first noun of the sentence. */
static void visit_object(const word *words, int at, pair_visitor *visit, void *user)
{
    int object = -1;
    for (int i = at + 1; !words[i].ends_clause; i++) {
        const bool particle = i == at + 1 && strncmp(words[at].text, "put", 3) == 0;
        if (is_preposition(words[i].text) && !particle) break;
        if (strcmp(words[i].text, "front") == 0) break;
        if (words[i].noun >= 0) object = words[i].noun;
    }
    const weft_frame frame = weft_verbs[words[at].verb].frame;
    if (frame == INTRANSITIVE || frame == MOTION || frame == CLAUSE_OBJECT) return;
    const bool asked = strcmp(words[0].text, "which") == 0 || strcmp(words[0].text, "how") == 0;
    for (int i = 0; asked && object < 0; i++) object = words[i].noun;
    if (object >= 0) visit(VERB_NOUN, words[at].verb, object, user);
}

/* The full verb of a clause: has ... seen is see, does ... have is have, has ... had is have. */
static bool is_full_verb(const word *words, int at)
{
    if (words[at].verb < 0) return false;
    for (int i = at + 1; !words[i].ends_clause; i++) {
        if (words[i].verb >= 0 || strcmp(words[i].text, "been") == 0) return false;
    }
    return true;
}

static void visit_combinations(const char *source, pair_visitor *visit, void *user)
{
    char line[WEFT_TASK_LINE_BYTES];
    word words[MAX_WORDS];
    strcpy(line, source);
    const int n = read_words(line, words);
    for (int i = 0; i < n; i++) {
        if (words[i].noun >= 0) visit_noun_phrase(words, i, visit, user);
        if (words[i].adjective >= 0) visit_predicate(words, i, visit, user);
        if (is_full_verb(words, i)) visit_object(words, i, visit, user);
        if (words[i].day >= 0) visit(DAY_MONTH, words[i].day, words[i + 2].month, user);
    }
}

typedef struct pairs {
    int n_in_training[4][100][100];
    int n_unseen;               /* of one held-out sentence */
    int n_sentences_of_kind[4]; /* held-out sentences that are so for this reason, among others */
    bool unseen_of_kind[4];
} pairs;

static void note_pair(combination kind, int i, int j, void *user)
{
    if (i < 0 || i >= 100 || j < 0 || j >= 100) ck_abort_msg("pair %d %d", i, j);
    ((pairs *)user)->n_in_training[kind][i][j]++;
}

static void look_for_unseen(combination kind, int i, int j, void *user)
{
    pairs *p = user;
    if (p->n_in_training[kind][i][j] == 0) {
        p->n_unseen++;
        p->unseen_of_kind[kind] = true;
    }
}

START_TEST(held_out_combinations_never_occur_in_training)
{
    static const char *const kinds[] = { "adjective, noun", "verb, noun", "number, noun",
                                         "day, month" };
    const weft_task *task = weft_task_find("phrases");
    char source[WEFT_TASK_LINE_BYTES], target[WEFT_TASK_LINE_BYTES];
    pairs *p = calloc(1, sizeof *p);
    for (int64_t i = 0; i < N_TRAIN; i++) {
        example(task, 1, i, false, source, target);
        visit_combinations(source, note_pair, p);
    }
    for (int64_t i = 0; i < N_HELD_OUT; i++) {
        p->n_unseen = 0;
        memset(p->unseen_of_kind, 0, sizeof p->unseen_of_kind);
        example(task, 1, i, true, source, target);
        visit_combinations(source, look_for_unseen, p);
        ck_assert_msg(p->n_unseen > 0, "all combinations of this occur in training: %s", source);
        for (int kind = 0; kind < 4; kind++)
            p->n_sentences_of_kind[kind] += p->unseen_of_kind[kind];
    }
    for (int kind = 0; kind < 4; kind++) {
        int n_pairs = 0;
        for (int i = 0; i < 100; i++) {
            for (int j = 0; j < 100; j++) n_pairs += p->n_in_training[kind][i][j] > 0;
        }
        printf("(%s): %d pairs in training, unseen ones in %d of %d held-out sentences\n",
               kinds[kind], n_pairs, p->n_sentences_of_kind[kind], N_HELD_OUT);
        ck_assert_int_gt(p->n_sentences_of_kind[kind], N_HELD_OUT / 50);
    }
    /* and by the rule of tasks.h, which the grammar applies to meanings, not to words */
    for (int kind = 0; kind < 4; kind++) {
        for (int i = 0; i < 100; i++) {
            for (int j = 0; j < 100; j++) {
                if ((3 * i + 7 * j) % 10 != 3 * kind) continue;
                if (p->n_in_training[kind][i][j] > 0) {
                    ck_abort_msg("(%s) %d %d in training", kinds[kind], i, j);
                }
            }
        }
    }
    free(p);
}
END_TEST

static void add_words(table *t, const char *line)
{
    char copy[WEFT_TASK_LINE_BYTES], *rest = NULL;
    strcpy(copy, line);
    for (char *text = strtok_r(copy, " ", &rest); text; text = strtok_r(NULL, " ", &rest)) {
        table_add(t, text, "");
    }
}

START_TEST(every_held_out_word_is_often_in_training)
{
    const weft_task *task = weft_task_find("phrases");
    char source[WEFT_TASK_LINE_BYTES], target[WEFT_TASK_LINE_BYTES];
    table english = table_new(), german = table_new();
    for (int64_t i = 0; i < task->n_train / 2; i++) {
        example(task, 1, i, false, source, target);
        add_words(&english, source);
        add_words(&german, target);
    }
    printf("%d English and %d German word forms\n", english.n, german.n);
    ck_assert(english.n > 500 && english.n < 700);
    ck_assert(german.n > 900 && german.n < 1100);
    for (int64_t i = 0; i < 10 * N_HELD_OUT; i++) {
        char copy[2 * WEFT_TASK_LINE_BYTES], *rest = NULL;
        example(task, 2, i, true, source, target);
        for (int side = 0; side < 2; side++) {
            strcpy(copy, side == 0 ? source : target);
            for (char *w = strtok_r(copy, " ", &rest); w; w = strtok_r(NULL, " ", &rest)) {
                const int n = table_count(side == 0 ? &english : &german, w);
                if (n < 5) ck_abort_msg("%s occurs %d times in training", w, n);
            }
        }
    }
    table_free(&english);
    table_free(&german);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("held_out");
    TCase *combinations = tcase_create("combinations");
    tcase_set_timeout(combinations, 120);
    tcase_add_test(combinations, held_out_combinations_never_occur_in_training);
    tcase_add_test(combinations, every_held_out_word_is_often_in_training);
    suite_add_tcase(suite, combinations);
    return run_suite(suite);
}
