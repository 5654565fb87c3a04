/* precision: float - nothing here depends on it
 *
 * test_tasks.c - the generated tasks: right answers, reproducible streams, and a border between
 * training and held-out examples that is checked on the text alone. */
#include "check_main.h"
#include "data/phrases_internal.h"
#include "data/tasks.h"

#include <string.h>

enum { N_TRAIN = 50000, N_HELD_OUT = 2000 };

/* ---- a table of strings --------------------------------------------------------------------- */

enum { N_PLACES = 1 << 19 };

typedef struct table {
    char **keys, **values;
    int *counts;
    int n;
} table;

static table table_new(void)
{
    return (table){ .keys = calloc(N_PLACES, sizeof(char *)),
                    .values = calloc(N_PLACES, sizeof(char *)),
                    .counts = calloc(N_PLACES, sizeof(int)) };
}

static void table_free(table *t)
{
    for (int i = 0; i < N_PLACES; i++) {
        free(t->keys[i]);
        free(t->values[i]);
    }
    free(t->keys);
    free(t->values);
    free(t->counts);
}

static int table_place(const table *t, const char *key)
{
    uint64_t hash = 1469598103934665603u;
    for (const char *c = key; *c != '\0'; c++) hash = (hash ^ (unsigned char)*c) * 1099511628211u;
    int at = (int)((hash ^ hash >> 32) % N_PLACES);
    while (t->keys[at] != NULL && strcmp(t->keys[at], key) != 0) at = (at + 1) % N_PLACES;
    return at;
}

static int table_count(const table *t, const char *key) { return t->counts[table_place(t, key)]; }

/* Count a key; the value it had before (NULL at first), else `value` is kept with it. */
static const char *table_add(table *t, const char *key, const char *value)
{
    const int at = table_place(t, key);
    const char *before = t->values[at];
    if (t->keys[at] == NULL) {
        ck_assert_int_lt(++t->n, N_PLACES / 2);
        t->keys[at] = strdup(key);
        t->values[at] = strdup(value);
    }
    t->counts[at]++;
    return before;
}

static void add_words(table *t, const char *line)
{
    char copy[WEFT_TASK_LINE_BYTES], *rest = NULL;
    strcpy(copy, line);
    for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        table_add(t, word, "");
    }
}

/* ---- all tasks ------------------------------------------------------------------------------ */

static void example(const weft_task *task, uint64_t seed, int64_t index, bool held_out,
                    char source[WEFT_TASK_LINE_BYTES], char target[WEFT_TASK_LINE_BYTES])
{
    ck_assert_int_eq(weft_task_example(task, seed, index, held_out, source, WEFT_TASK_LINE_BYTES,
                                       target, WEFT_TASK_LINE_BYTES),
                     WEFT_OK);
}

START_TEST(examples_are_a_function_of_their_arguments)
{
    char source[2][WEFT_TASK_LINE_BYTES], target[2][WEFT_TASK_LINE_BYTES];
    int64_t n_tasks;
    const weft_task *tasks = weft_task_list(&n_tasks);
    ck_assert_int_eq(n_tasks, 5);
    for (const weft_task *task = tasks; task < tasks + n_tasks; task++) {
        ck_assert_ptr_eq(weft_task_find(task->name), task);
        int n_same_of_other_seed = 0, n_same_of_next = 0;
        for (int64_t i = 0; i < 200; i++) {
            const bool held_out = i % 2 == 1;
            example(task, 7, i, held_out, source[0], target[0]);
            example(task, 8, i, held_out, source[1], target[1]);
            n_same_of_other_seed += strcmp(source[0], source[1]) == 0;
            example(task, 7, i + 2, held_out, source[1], target[1]);
            n_same_of_next += strcmp(source[0], source[1]) == 0;
            example(task, 7, i, held_out, source[1], target[1]);
            ck_assert_str_eq(source[0], source[1]);
            ck_assert_str_eq(target[0], target[1]);
        }
        ck_assert_int_lt(n_same_of_other_seed, 20);
        ck_assert_int_lt(n_same_of_next, 20);
    }
}
END_TEST

typedef struct stream {
    table *train, *held_out;
    int n_seen;
} stream;

static weft_status note_train(const char *source, const char *target, void *user)
{
    stream *s = user;
    const char *before = table_add(s->train, source, target);
    if (before != NULL) ck_assert_str_eq(before, target);
    s->n_seen++;
    return WEFT_OK;
}

static weft_status note_held_out(const char *source, const char *target, void *user)
{
    stream *s = user;
    ck_assert_msg(table_count(s->train, source) == 0, "held out and in training: %s", source);
    ck_assert_msg(table_add(s->held_out, source, target) == NULL, "twice held out: %s", source);
    s->n_seen++;
    return WEFT_OK;
}

START_TEST(held_out_examples_are_distinct_and_never_in_training)
{
    int64_t n_tasks;
    const weft_task *task = &weft_task_list(&n_tasks)[_i];
    table train = table_new(), held_out = table_new();
    stream s = { &train, &held_out, 0 };
    for (uint64_t seed = 1; seed <= 2; seed++) {
        ck_assert_int_eq(weft_task_visit(task, seed, N_TRAIN / 2, false, note_train, &s), WEFT_OK);
    }
    ck_assert_int_eq(s.n_seen, N_TRAIN);
    ck_assert_int_gt(train.n, N_TRAIN / 2);
    s.n_seen = 0;
    ck_assert_int_eq(weft_task_visit(task, 3, N_HELD_OUT, true, note_held_out, &s), WEFT_OK);
    ck_assert_int_eq(s.n_seen, N_HELD_OUT);
    table_free(&train);
    table_free(&held_out);
}
END_TEST

/* ---- strings -------------------------------------------------------------------------------- */

static bool in_alphabet(const char *text, const char *alphabet)
{
    return strspn(text, alphabet) == strlen(text);
}

static void check_string_task(const char *name, const char *alphabet)
{
    char source[WEFT_TASK_LINE_BYTES], target[WEFT_TASK_LINE_BYTES];
    const weft_task *task = weft_task_find(name);
    int n_of_length[21] = { 0 }, n_of_symbol[256] = { 0 };
    for (int64_t i = 0; i < 3000; i++) {
        const bool held_out = i % 3 == 0;
        example(task, 1, i, held_out, source, target);
        const size_t n = strlen(source);
        ck_assert(n >= 1 && n <= 20 && in_alphabet(source, alphabet));
        ck_assert_uint_eq(strlen(target), n);
        ck_assert_msg(!held_out || n > 2, "%s is too short to be held out", source);
        n_of_length[n]++;
        for (size_t j = 0; j < n; j++) n_of_symbol[(unsigned char)source[j]]++;
        int n_left[256] = { 0 };
        for (size_t j = 0; j < n; j++) {
            n_left[(unsigned char)source[j]]++;
            n_left[(unsigned char)target[j]]--;
            if (strcmp(name, "copy") == 0) ck_assert_int_eq(target[j], source[j]);
            if (strcmp(name, "reverse") == 0) ck_assert_int_eq(target[j], source[n - 1 - j]);
            if (strcmp(name, "sort") == 0 && j > 0) ck_assert_int_ge(target[j], target[j - 1]);
        }
        for (const char *c = alphabet; *c != '\0'; c++) {
            ck_assert_int_eq(n_left[(unsigned char)*c], 0);
        }
    }
    for (int n = 1; n <= 20; n++) ck_assert_int_gt(n_of_length[n], 60);
    for (const char *c = alphabet; *c; c++) ck_assert_int_gt(n_of_symbol[(unsigned char)*c], 500);
}

START_TEST(copy_reverse_and_sort_are_right)
{
    check_string_task("copy", "abcdefghijklmnopqrstuvwxyz");
    check_string_task("reverse", "abcdefghijklmnopqrstuvwxyz");
    check_string_task("sort", "0123456789");
}
END_TEST

START_TEST(add_is_right_and_held_out_in_either_order)
{
    char source[WEFT_TASK_LINE_BYTES], target[WEFT_TASK_LINE_BYTES], expected[16];
    const weft_task *task = weft_task_find("add");
    static unsigned char side[1000][1000]; /* 1: seen in training, 2: held out */
    int n_in_both_orders = 0;
    for (int64_t i = 0; i < 100000; i++) {
        const bool held_out = i % 2 == 0;
        int a, b, n_read = 0;
        example(task, 1, i, held_out, source, target);
        ck_assert_int_eq(sscanf(source, "%3d+%3d%n", &a, &b, &n_read), 2);
        ck_assert_int_eq(source[n_read], '\0');
        snprintf(expected, sizeof expected, "%d+%d", a, b); /* no leading zeros */
        ck_assert_str_eq(source, expected);
        snprintf(expected, sizeof expected, "%d", a + b);
        ck_assert_str_eq(target, expected);
        ck_assert(!held_out || a > 9 || b > 9);
        const int of_this = held_out ? 2 : 1;
        ck_assert_int_eq((side[a][b] | side[b][a]) & ~of_this, 0);
        n_in_both_orders += side[b][a] != 0 && a != b;
        side[a][b] |= (unsigned char)of_this;
    }
    ck_assert_int_gt(n_in_both_orders, 1000);
}
END_TEST

/* ---- errors --------------------------------------------------------------------------------- */

START_TEST(an_unknown_task_is_answered_with_the_nearest)
{
    ck_assert_ptr_null(weft_task_find("phrase"));
    ck_assert_str_eq(weft_message(), "unknown task phrase (did you mean phrases?)");
    ck_assert_ptr_null(weft_task_find("rverse"));
    ck_assert_ptr_nonnull(strstr(weft_message(), "mean reverse?"));
    ck_assert_ptr_null(weft_task_find("translation"));
    ck_assert_str_eq(weft_message(), "unknown task translation: there are copy, reverse, sort, add "
                                     "and phrases");
    ck_assert_ptr_null(weft_task_find(""));
    char longest[5000] = { 0 };
    memset(longest, 'x', sizeof longest - 1);
    ck_assert_ptr_null(weft_task_find(longest));
}
END_TEST

START_TEST(a_small_buffer_is_an_error_and_never_overrun)
{
    const weft_task *task = weft_task_find("phrases");
    char source[WEFT_TASK_LINE_BYTES], target[WEFT_TASK_LINE_BYTES], small[WEFT_TASK_LINE_BYTES];
    example(task, 1, 5, false, source, target);
    const size_t source_bytes = strlen(source) + 1, target_bytes = strlen(target) + 1;
    for (size_t n_bytes = 0; n_bytes < source_bytes; n_bytes++) {
        memset(small, '#', sizeof small);
        ck_assert_int_eq(
            weft_task_example(task, 1, 5, false, small, n_bytes, target, sizeof target),
            WEFT_ERR_RANGE);
        ck_assert_str_eq(target, "");
        if (n_bytes > 0) ck_assert_str_eq(small, "");
        for (size_t i = n_bytes; i < sizeof small; i++) ck_assert_int_eq(small[i], '#');
    }
    ck_assert_ptr_nonnull(strstr(weft_message(), "512 suffice"));
    ck_assert_int_eq(
        weft_task_example(task, 1, 5, false, source, sizeof source, target, target_bytes - 1),
        WEFT_ERR_RANGE);
    ck_assert_int_eq(
        weft_task_example(task, 1, 5, false, source, source_bytes, target, target_bytes), WEFT_OK);
    ck_assert_int_eq(
        weft_task_example(task, 1, -1, false, source, sizeof source, target, sizeof target),
        WEFT_ERR_RANGE);
}
END_TEST

static weft_status stop_at_third(const char *source, const char *target, void *user)
{
    (void)source, (void)target;
    return ++*(int *)user == 3 ? weft_error(WEFT_ERR_IO, "enough") : WEFT_OK;
}

START_TEST(walks_end_early_and_fail_cleanly)
{
    const weft_task *task = weft_task_find("copy");
    for (int held_out = 0; held_out < 2; held_out++) {
        int n = 0;
        ck_assert_int_eq(weft_task_visit(task, 1, 9, held_out, stop_at_third, &n), WEFT_ERR_IO);
        ck_assert_int_eq(n, 3);
        ck_assert_int_eq(weft_task_visit(task, 1, -1, held_out, stop_at_third, &n), WEFT_ERR_RANGE);
        ck_assert_int_eq(weft_task_visit(task, 1, 0, held_out, stop_at_third, &n), WEFT_OK);
        ck_assert_int_eq(n, 3);
    }
    int n = 0;
    ck_assert_int_eq(weft_task_visit(task, 1, INT64_MAX, true, stop_at_third, &n), WEFT_ERR_MEMORY);
    weft_alloc_fail_at(1, false);
    ck_assert_int_eq(weft_task_visit(task, 1, 9, true, stop_at_third, &n), WEFT_ERR_MEMORY);
    weft_alloc_fail_at(0, false);
    ck_assert_int_eq(n, 0);
}
END_TEST

static weft_status ignore(const char *source, const char *target, void *user)
{
    (void)source, (void)target, (void)user;
    return WEFT_OK;
}

/* add has about 49,000 unordered held-out sums, twice as many sources: not a million. */
START_TEST(a_space_that_is_exhausted_is_an_error)
{
    ck_assert_int_eq(weft_task_visit(weft_task_find("add"), 1, 1000000, true, ignore, NULL),
                     WEFT_ERR_RANGE);
    ck_assert_ptr_nonnull(strstr(weft_message(), "asked for 1000000 distinct held-out examples"));
}
END_TEST

START_TEST(a_corpus_is_filled_and_its_words_are_the_tokens)
{
    const weft_task *task = weft_task_find("phrases");
    char source[WEFT_TASK_LINE_BYTES], target[WEFT_TASK_LINE_BYTES];
    weft_corpus *corpus = weft_corpus_new();
    ck_assert_int_eq(weft_task_corpus(task, 4, 50, false, corpus), WEFT_OK);
    ck_assert_int_eq(weft_corpus_size(corpus), 50);
    example(task, 4, 49, false, source, target);
    ck_assert_str_eq(weft_corpus_text(corpus, WEFT_SOURCE, 49), source);
    ck_assert_str_eq(weft_corpus_text(corpus, WEFT_TARGET, 49), target);
    weft_corpus_free(corpus);
}
END_TEST

/* ---- phrases: the grammar against German written by hand ------------------------------------ */

static int find_noun(const char *english)
{
    for (int i = 0; i < weft_n_nouns; i++) {
        if (strcmp(weft_nouns[i].english, english) == 0) return i;
    }
    ck_abort_msg("no noun %s", english);
    return -1;
}

static int find_adjective(const char *english)
{
    for (int i = 0; i < weft_n_adjectives; i++) {
        if (strcmp(weft_adjectives[i].english, english) == 0) return i;
    }
    ck_abort_msg("no adjective %s", english);
    return -1;
}

static int find_verb(const char *english)
{
    for (int i = 0; i < weft_n_verbs; i++) {
        if (strcmp(weft_verbs[i].english, english) == 0) return i;
    }
    ck_abort_msg("no verb %s", english);
    return -1;
}

/* Nominative: "X schläft" or "X schlafen"; accusative: "er sieht X"; dative: "er hilft X". */
static void check_case(const weft_np *np, weft_case role, const char *expected)
{
    char english[WEFT_TASK_LINE_BYTES], german[WEFT_TASK_LINE_BYTES], whole[WEFT_TASK_LINE_BYTES];
    static const char *const verbs[] = { "sleep", "see", "help" };
    weft_line english_line = weft_line_on(english, sizeof english);
    weft_line german_line = weft_line_on(german, sizeof german);
    weft_sentence sentence = { .first = { .verb = find_verb(verbs[role]) } };
    weft_clause *clause = &sentence.first;
    clause->subject = role == NOMINATIVE ? *np : (weft_np){ .kind = PRONOUN, .person = HE };
    if (role == ACCUSATIVE) clause->accusative = *np;
    if (role == DATIVE) clause->dative = *np;
    weft_say_english(&english_line, &sentence);
    weft_say_german(&german_line, &sentence);
    if (role == NOMINATIVE) {
        snprintf(whole, sizeof whole, "%s %s .", expected, np->plural ? "schlafen" : "schläft");
    } else {
        snprintf(whole, sizeof whole, "er %s %s .", role == DATIVE ? "hilft" : "sieht", expected);
    }
    ck_assert_msg(strcmp(german, whole) == 0, "%s\n  is:     %s\n  should: %s", english, german,
                  whole);
}

typedef struct paradigm {
    weft_determiner determiner;
    bool plural;
    const char *adjective, *noun;
    const char *forms[3]; /* nominative, accusative, dative */
} paradigm;

/* clang-format off */
static const paradigm paradigms[] = {
    { THE, false, "old", "man", { "der alte Mann", "den alten Mann", "dem alten Mann" } },
    { THE, false, "old", "woman", { "die alte Frau", "die alte Frau", "der alten Frau" } },
    { THE, false, "old", "child", { "das alte Kind", "das alte Kind", "dem alten Kind" } },
    { THE, true, "old", "man", { "die alten Männer", "die alten Männer", "den alten Männern" } },
    { A, false, "old", "man", { "ein alter Mann", "einen alten Mann", "einem alten Mann" } },
    { A, false, "old", "woman", { "eine alte Frau", "eine alte Frau", "einer alten Frau" } },
    { A, false, "old", "child", { "ein altes Kind", "ein altes Kind", "einem alten Kind" } },
    { NO, false, "tired", "dog", { "kein müder Hund", "keinen müden Hund", "keinem müden Hund" } },
    { NO, false, "tired", "cat", { "keine müde Katze", "keine müde Katze", "keiner müden Katze" } },
    { NO, false, "tired", "horse", { "kein müdes Pferd", "kein müdes Pferd", "keinem müden Pferd" } },
    { NO, true, "tired", "horse", { "keine müden Pferde", "keine müden Pferde", "keinen müden Pferden" } },
    { MY, false, "young", "friend", { "mein junger Freund", "meinen jungen Freund", "meinem jungen Freund" } },
    { MY, true, "young", "friend", { "meine jungen Freunde", "meine jungen Freunde", "meinen jungen Freunden" } },
    { MY + WE, false, "small", "garden", { "unser kleiner Garten", "unseren kleinen Garten", "unserem kleinen Garten" } },
    { MY + WE, false, "small", "city", { "unsere kleine Stadt", "unsere kleine Stadt", "unserer kleinen Stadt" } },
    { MY + WE, false, "small", "village", { "unser kleines Dorf", "unser kleines Dorf", "unserem kleinen Dorf" } },
    { MY + SHE, false, "blue", "car", { "ihr blaues Auto", "ihr blaues Auto", "ihrem blauen Auto" } },
    { MY + SHE, true, "blue", "car", { "ihre blauen Autos", "ihre blauen Autos", "ihren blauen Autos" } },
    { MY + YOU, false, "red", "bag", { "deine rote Tasche", "deine rote Tasche", "deiner roten Tasche" } },
    { MY + HE, false, "clever", "student", { "sein kluger Student", "seinen klugen Studenten", "seinem klugen Studenten" } },
    { MY + THEY, true, "ill", "neighbour", { "ihre kranken Nachbarn", "ihre kranken Nachbarn", "ihren kranken Nachbarn" } },
    { THIS, false, "white", "table", { "dieser weiße Tisch", "diesen weißen Tisch", "diesem weißen Tisch" } },
    { THIS, false, "dark", "kitchen", { "diese dunkle Küche", "diese dunkle Küche", "dieser dunklen Küche" } },
    { THIS, false, "clean", "knife", { "dieses saubere Messer", "dieses saubere Messer", "diesem sauberen Messer" } },
    { THIS, true, "clean", "knife", { "diese sauberen Messer", "diese sauberen Messer", "diesen sauberen Messern" } },
    { EVERY, false, "big", "tree", { "jeder große Baum", "jeden großen Baum", "jedem großen Baum" } },
    { EVERY, false, "big", "church", { "jede große Kirche", "jede große Kirche", "jeder großen Kirche" } },
    { EVERY, false, "big", "house", { "jedes große Haus", "jedes große Haus", "jedem großen Haus" } },
    { ALL, true, "poor", "doctor", { "alle armen Ärzte", "alle armen Ärzte", "allen armen Ärzten" } },
    { MANY, true, "black", "bird", { "viele schwarze Vögel", "viele schwarze Vögel", "vielen schwarzen Vögeln" } },
    { ZERO, true, "expensive", "apple", { "teure Äpfel", "teure Äpfel", "teuren Äpfeln" } },
    { ZERO, true, "new", "museum", { "neue Museen", "neue Museen", "neuen Museen" } },
    { ZERO, false, "warm", "coffee", { "warmer Kaffee", "warmen Kaffee", "warmem Kaffee" } },
    { ZERO, false, "fresh", "milk", { "frische Milch", "frische Milch", "frischer Milch" } },
    { ZERO, false, "cold", "water", { "kaltes Wasser", "kaltes Wasser", "kaltem Wasser" } },
    { THE, false, "strong", "bear", { "der starke Bär", "den starken Bären", "dem starken Bären" } },
    { A, false, "quiet", "boy", { "ein ruhiger Junge", "einen ruhigen Jungen", "einem ruhigen Jungen" } },
    { THE, true, "happy", "girl", { "die glücklichen Mädchen", "die glücklichen Mädchen", "den glücklichen Mädchen" } },
    { THE, true, "heavy", "key", { "die schweren Schlüssel", "die schweren Schlüssel", "den schweren Schlüsseln" } },
    { THE, true, "cheap", "egg", { "die billigen Eier", "die billigen Eier", "den billigen Eiern" } },
};
/* clang-format on */

START_TEST(noun_phrases_agree_in_gender_case_and_number)
{
    for (size_t i = 0; i < sizeof paradigms / sizeof paradigms[0]; i++) {
        const paradigm *p = &paradigms[i];
        weft_np np = { .kind = NOUN,
                       .determiner = p->determiner,
                       .plural = p->plural,
                       .noun = find_noun(p->noun),
                       .n_adjectives = 1,
                       .adjectives = { find_adjective(p->adjective) } };
        for (weft_case role = NOMINATIVE; role <= DATIVE; role++) {
            check_case(&np, role, p->forms[role]);
        }
    }
}
END_TEST

/* Written and proof-read by hand; all of them occur in the first 200,000 examples. */
static const char *const golden[][2] = {
    { "he calls me .", "er ruft mich an ." },
    { "he has called you .", "er hat dich angerufen ." },
    { "we can call her .", "wir können sie anrufen ." },
    { "I tidy a big office .", "ich räume ein großes Büro auf ." },
    { "you do not sing .", "du singst nicht ." },
    { "they run to our man .", "sie laufen zu unserem Mann ." },
    { "I go into the museum .", "ich gehe ins Museum ." },
    { "she will run into a rich park .", "sie wird in einen reichen Park laufen ." },
    { "you may go into a clean city .", "du darfst in eine saubere Stadt gehen ." },
    { "he must run to the big neighbour .", "er muss zum großen Nachbarn laufen ." },
    { "who plays beside white cars ?", "wer spielt neben weißen Autos ?" },
    { "I sing for you .", "ich singe für dich ." },
    { "you are on the bridge .", "du bist auf der Brücke ." },
    { "he has got up .", "er ist aufgestanden ." },
    { "now he gets up .", "jetzt steht er auf ." },
    { "she puts on hats .", "sie zieht Hüte an ." },
    { "how many bags have you opened ?", "wie viele Taschen hast du aufgemacht ?" },
    { "which bed may I see ?", "welches Bett darf ich sehen ?" },
    { "what do they tidy ?", "was räumen sie auf ?" },
    { "when am I ill ?", "wann bin ich krank ?" },
    { "where is he ?", "wo ist er ?" },
    { "who is big ?", "wer ist groß ?" },
    { "it is half past seven .", "es ist halb acht ." },
    { "it is half past twelve .", "es ist halb eins ." },
    { "it is a quarter past one .", "es ist Viertel nach eins ." },
    { "it is twenty to six .", "es ist zwanzig vor sechs ." },
    { "on the eighth of May you cry .", "am achten Mai weinst du ." },
    { "I see her on the seventh of June .", "ich sehe sie am siebten Juni ." },
    { "today is the seventh of July .", "heute ist der siebte Juli ." },
    { "there are forty cats on the bed .", "es gibt vierzig Katzen auf dem Bett ." },
    { "there is no dog in my room .", "es gibt keinen Hund in meinem Zimmer ." },
    { "no good man dances .", "kein guter Mann tanzt ." },
    { "we never sing .", "wir singen nie ." },
    { "I am too tired .", "ich bin zu müde ." },
    { "who always thanks the man ?", "wer dankt dem Mann immer ?" },
    { "we must sleep .", "wir müssen schlafen ." },
};

START_TEST(one_source_has_one_target_and_known_translations_are_right)
{
    const weft_task *task = weft_task_find("phrases");
    table all = table_new();
    stream s = { &all, NULL, 0 };
    for (uint64_t seed = 1; seed <= 2; seed++) { /* note_train asserts: one target */
        ck_assert_int_eq(weft_task_visit(task, seed, 100000, false, note_train, &s), WEFT_OK);
    }
    const size_t n = sizeof golden / sizeof golden[0];
    ck_assert_uint_ge(n, 30);
    for (size_t i = 0; i < n; i++) {
        const char *german = all.values[table_place(&all, golden[i][0])];
        ck_assert_msg(german != NULL, "not drawn: %s", golden[i][0]);
        ck_assert_str_eq(german, golden[i][1]);
    }
    table_free(&all);
}
END_TEST

START_TEST(numbers_and_ordinals_are_right)
{
    static const struct {
        int n;
        const char *english, *german;
    } numbers[] = {
        { 0, "zero", "null" },
        { 1, "one", "eins" },
        { 2, "two", "zwei" },
        { 3, "three", "drei" },
        { 6, "six", "sechs" },
        { 7, "seven", "sieben" },
        { 11, "eleven", "elf" },
        { 12, "twelve", "zwölf" },
        { 13, "thirteen", "dreizehn" },
        { 15, "fifteen", "fünfzehn" },
        { 16, "sixteen", "sechzehn" },
        { 17, "seventeen", "siebzehn" },
        { 18, "eighteen", "achtzehn" },
        { 20, "twenty", "zwanzig" },
        { 21, "twenty-one", "einundzwanzig" },
        { 23, "twenty-three", "dreiundzwanzig" },
        { 30, "thirty", "dreißig" },
        { 35, "thirty-five", "fünfunddreißig" },
        { 40, "forty", "vierzig" },
        { 44, "forty-four", "vierundvierzig" },
        { 50, "fifty", "fünfzig" },
        { 66, "sixty-six", "sechsundsechzig" },
        { 71, "seventy-one", "einundsiebzig" },
        { 77, "seventy-seven", "siebenundsiebzig" },
        { 80, "eighty", "achtzig" },
        { 98, "ninety-eight", "achtundneunzig" },
        { 99, "ninety-nine", "neunundneunzig" },
    }, ordinals[] = {
        { 1, "first", "erste" },
        { 2, "second", "zweite" },
        { 3, "third", "dritte" },
        { 5, "fifth", "fünfte" },
        { 7, "seventh", "siebte" },
        { 8, "eighth", "achte" },
        { 9, "ninth", "neunte" },
        { 12, "twelfth", "zwölfte" },
        { 13, "thirteenth", "dreizehnte" },
        { 16, "sixteenth", "sechzehnte" },
        { 17, "seventeenth", "siebzehnte" },
        { 19, "nineteenth", "neunzehnte" },
        { 20, "twentieth", "zwanzigste" },
        { 21, "twenty-first", "einundzwanzigste" },
        { 22, "twenty-second", "zweiundzwanzigste" },
        { 27, "twenty-seventh", "siebenundzwanzigste" },
        { 30, "thirtieth", "dreißigste" },
        { 31, "thirty-first", "einunddreißigste" },
    };
    char text[WEFT_NUMERAL_BYTES];
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        ck_assert_str_eq(weft_english_number(numbers[i].n, text), numbers[i].english);
        ck_assert_str_eq(weft_german_number(numbers[i].n, text), numbers[i].german);
    }
    for (size_t i = 0; i < sizeof ordinals / sizeof ordinals[0]; i++) {
        ck_assert_str_eq(weft_english_ordinal(ordinals[i].n, text), ordinals[i].english);
        ck_assert_str_eq(weft_german_ordinal(ordinals[i].n, text), ordinals[i].german);
    }
}
END_TEST

/* ---- phrases: combinations, read off the English words --------------------------------------- */

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
    /* of "get up" the first word; what is no auxiliary */
    static const char *const forms_of_have[] = { "has", "have", "had", NULL };
    if (one_of(text, forms_of_have)) w.verb = find_verb("have");
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
        ck_assert_int_lt(n, MAX_WORDS);
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
    ck_assert(i >= 0 && i < 100 && j >= 0 && j < 100);
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
                ck_assert_msg(p->n_in_training[kind][i][j] == 0, "(%s) %d %d in training",
                              kinds[kind], i, j);
            }
        }
    }
    free(p);
}
END_TEST

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
                ck_assert_msg(n >= 5, "%s occurs %d times in training", w, n);
            }
        }
    }
    table_free(&english);
    table_free(&german);
}
END_TEST

START_TEST(sentences_are_short_and_well_formed)
{
    const weft_task *task = weft_task_find("phrases");
    char source[WEFT_TASK_LINE_BYTES], target[WEFT_TASK_LINE_BYTES];
    int n_short = 0;
    for (int64_t i = 0; i < 20000; i++) {
        example(task, 1, i, i % 2 == 1, source, target);
        for (int side = 0; side < 2; side++) {
            const char *line = side == 0 ? source : target;
            int n_words = 1;
            for (const char *c = line; *c; c++) n_words += *c == ' ';
            ck_assert_int_ge(n_words, 3);
            ck_assert_int_le(n_words, 40);
            n_short += n_words <= 12;
            ck_assert_ptr_null(strstr(line, "  "));
            ck_assert(line[0] != ' ' && strlen(line) < 400);
            const char last = line[strlen(line) - 1];
            ck_assert(last == '.' || last == '?');
        }
        ck_assert_int_eq(source[strlen(source) - 1], target[strlen(target) - 1]);
    }
    ck_assert_int_gt(n_short, 40000 * 7 / 10);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tasks");
    TCase *streams = tcase_create("streams");
    tcase_add_test(streams, examples_are_a_function_of_their_arguments);
    tcase_add_loop_test(streams, held_out_examples_are_distinct_and_never_in_training, 0, 5);
    tcase_add_test(streams, a_corpus_is_filled_and_its_words_are_the_tokens);
    suite_add_tcase(suite, streams);

    TCase *strings = tcase_create("strings");
    tcase_add_test(strings, copy_reverse_and_sort_are_right);
    tcase_add_test(strings, add_is_right_and_held_out_in_either_order);
    suite_add_tcase(suite, strings);

    TCase *errors = tcase_create("errors");
    tcase_set_timeout(errors, 60);
    tcase_add_test(errors, an_unknown_task_is_answered_with_the_nearest);
    tcase_add_test(errors, a_small_buffer_is_an_error_and_never_overrun);
    tcase_add_test(errors, walks_end_early_and_fail_cleanly);
    tcase_add_test(errors, a_space_that_is_exhausted_is_an_error);
    suite_add_tcase(suite, errors);

    TCase *grammar = tcase_create("grammar");
    tcase_set_timeout(grammar, 60);
    tcase_add_test(grammar, noun_phrases_agree_in_gender_case_and_number);
    tcase_add_test(grammar, numbers_and_ordinals_are_right);
    tcase_add_test(grammar, one_source_has_one_target_and_known_translations_are_right);
    tcase_add_test(grammar, sentences_are_short_and_well_formed);
    suite_add_tcase(suite, grammar);

    TCase *combinations = tcase_create("combinations");
    tcase_set_timeout(combinations, 60);
    tcase_add_test(combinations, held_out_combinations_never_occur_in_training);
    tcase_add_test(combinations, every_held_out_word_is_often_in_training);
    suite_add_tcase(suite, combinations);
    return run_suite(suite);
}
