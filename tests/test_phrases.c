/* precision: float - nothing here depends on it
 *
 * test_phrases.c - the phrase grammar: German written by hand beside what the grammar says. */
#include "check_main.h"
#include "data/phrases_internal.h"
#include "task_table.h"

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

/* Building meanings: the old man, many dogs, he. */
static weft_np np(weft_determiner determiner, const char *noun)
{
    return (weft_np){ .kind = NOUN, .determiner = determiner, .noun = find_noun(noun) };
}

static weft_np plural(weft_determiner determiner, const char *noun)
{
    weft_np made = np(determiner, noun);
    made.plural = true;
    return made;
}

static weft_np with(const char *adjective, weft_np made)
{
    made.adjectives[made.n_adjectives++] = find_adjective(adjective);
    return made;
}

static weft_np count(int number, const char *noun)
{
    weft_np made = plural(NUMBER, noun);
    made.number = number;
    return made;
}

static weft_np pronoun(weft_person person)
{
    return (weft_np){ .kind = PRONOUN, .person = person };
}

static weft_sentence one(weft_clause clause) { return (weft_sentence){ .first = clause }; }

static weft_sentence ask(weft_form form, weft_clause clause)
{
    return (weft_sentence){ .form = form, .first = clause };
}

static weft_sentence two(weft_shape shape, weft_conjunction conjunction, weft_clause first,
                         weft_clause second)
{
    return (weft_sentence){
        .shape = shape, .conjunction = conjunction, .first = first, .second = second
    };
}

static void check_sentence(weft_sentence sentence, const char *english, const char *german)
{
    char text[WEFT_TASK_LINE_BYTES];
    weft_line line = weft_line_on(text, sizeof text);
    weft_say_english(&line, &sentence);
    ck_assert_str_eq(text, english);
    line = weft_line_on(text, sizeof text);
    weft_say_german(&line, &sentence);
    ck_assert_str_eq(text, german);
}

/* A clause: who, does, and what else. */
#define CLAUSE(who, ...) ((weft_clause){ .subject = who, .verb = __VA_ARGS__ })
#define HIM pronoun(HE)
#define TO(np) .dative = np
#define OF(np) .accusative = np
#define PLACE_IS(preposition_, np) .preposition = preposition_, .place = np
#define MODAL_IS(modal_) .tense = MODAL, .modal = modal_
#define DONE .tense = PERFECT
#define NOT .negated = true
#define IS(adjective) .predicate = IS_ADJECTIVE, .quality = find_adjective(adjective)
#define AT(...) .time = { __VA_ARGS__ }
#define IN_FRONT .time_first = true

/* clang-format off */
static void check_statements(void)
{
    check_sentence(one(CLAUSE(np(THE, "man"), find_verb("sleep"))), "the man sleeps .", "der Mann schläft .");
    check_sentence(one(CLAUSE(pronoun(I), find_verb("work"), PLACE_IS(IN, np(A, "office")))),
          "I work in an office .", "ich arbeite in einem Büro .");
    check_sentence(one(CLAUSE(pronoun(I), find_verb("carry"), OF(np(THE, "bear")))),
          "I carry the bear .", "ich trage den Bären .");
    check_sentence(one(CLAUSE(HIM, find_verb("read"), OF(count(23, "book")))),
          "he reads twenty-three books .", "er liest dreiundzwanzig Bücher .");
    check_sentence(one(CLAUSE(HIM, find_verb("answer"), TO(np(THE, "woman")))),
          "he answers the woman .", "er antwortet der Frau .");
    check_sentence(one(CLAUSE(pronoun(SHE), find_verb("give"), TO(np(THE, "child")), OF(with("red", np(A, "apple"))))),
          "she gives the child a red apple .", "sie gibt dem Kind einen roten Apfel .");
    check_sentence(one(CLAUSE(pronoun(YOU), find_verb("show"), TO(pronoun(THEY)), OF(np(MY + YOU, "house")))),
          "you show them your house .", "du zeigst ihnen dein Haus .");
    check_sentence(one(CLAUSE(np(MY, "father"), find_verb("lend"), DONE, TO(pronoun(SHE)), OF(np(THE, "car")))),
          "my father has lent her the car .", "mein Vater hat ihr das Auto geliehen .");
    check_sentence(one(CLAUSE(pronoun(WE), find_verb("drink"), OF(with("cold", np(ZERO, "beer"))))),
          "we drink cold beer .", "wir trinken kaltes Bier .");
    check_sentence(one(CLAUSE(HIM, find_verb("buy"), OF(with("red", with("old", np(A, "chair")))),
                     PLACE_IS(FOR, np(MY + HE, "daughter")))),
          "he buys an old red chair for his daughter .",
          "er kauft einen alten roten Stuhl für seine Tochter .");
    check_sentence(one(CLAUSE(np(NO, "student"), find_verb("laugh"))), "no student laughs .", "kein Student lacht .");
    check_sentence(one(CLAUSE(pronoun(THEY), find_verb("have"), OF(plural(NO, "cat")))),
          "they have no cats .", "sie haben keine Katzen .");
    check_sentence(one(CLAUSE(pronoun(I), find_verb("take"), OF(np(THE, "key")), NOT)),
          "I do not take the key .", "ich nehme den Schlüssel nicht .");
    check_sentence(one(CLAUSE(np(THE, "dog"), find_verb("sleep"), NOT, PLACE_IS(UNDER, np(THE, "table")))),
          "the dog does not sleep under the table .", "der Hund schläft nicht unter dem Tisch .");
}

static void check_separable_verbs(void)
{
    check_sentence(one(CLAUSE(pronoun(WE), find_verb("call"), OF(np(THE, "boy")))),
          "we call the boy .", "wir rufen den Jungen an .");
    check_sentence(one(CLAUSE(HIM, find_verb("call"), DONE, OF(pronoun(YOU)))),
          "he has called you .", "er hat dich angerufen .");
    check_sentence(one(CLAUSE(pronoun(YOU), find_verb("call"), MODAL_IS(MUST), OF(pronoun(SHE)))),
          "you must call her .", "du musst sie anrufen .");
    check_sentence(one(CLAUSE(pronoun(YOU), find_verb("invite"), OF(pronoun(I)))),
          "you invite me .", "du lädst mich ein .");
    check_sentence(one(CLAUSE(pronoun(SHE), find_verb("get up"), DONE, AT(ADVERB, TODAY))),
          "she has got up today .", "sie ist heute aufgestanden .");
    check_sentence(one(CLAUSE(pronoun(THEY), find_verb("get up"), AT(ADVERB, NOW), IN_FRONT)),
          "now they get up .", "jetzt stehen sie auf .");
    check_sentence(one(CLAUSE(pronoun(SHE), find_verb("put on"), OF(np(MY + SHE, "coat")), NOT)),
          "she does not put on her coat .", "sie zieht ihren Mantel nicht an .");
    check_sentence(one(CLAUSE(plural(THE, "child"), find_verb("come back"), MODAL_IS(WILL), AT(ADVERB, TOMORROW))),
          "the children will come back tomorrow .", "die Kinder werden morgen zurückkommen .");
    check_sentence(one(CLAUSE(HIM, find_verb("arrive"), DONE, PLACE_IS(WITHOUT, pronoun(WE)))),
          "he has arrived without us .", "er ist ohne uns angekommen .");
    check_sentence(one(CLAUSE(HIM, find_verb("tidy"), OF(np(THIS, "room")))),
          "he tidies this room .", "er räumt dieses Zimmer auf .");
    check_sentence(one(CLAUSE(pronoun(I), find_verb("open"), OF(np(EVERY, "window")))),
          "I open every window .", "ich mache jedes Fenster auf .");
    check_sentence(one(CLAUSE(pronoun(WE), find_verb("close"), DONE, OF(plural(ALL, "door")))),
          "we have closed all doors .", "wir haben alle Türen zugemacht .");
    check_sentence(one(CLAUSE(pronoun(SHE), find_verb("fetch"), MODAL_IS(WANT), OF(plural(MY + SHE, "son")))),
          "she wants to fetch her sons .", "sie will ihre Söhne abholen .");
}

static void check_modals_and_tenses(void)
{
    check_sentence(one(CLAUSE(pronoun(I), find_verb("eat"), MODAL_IS(CAN), NOT, OF(np(THE, "egg")))),
          "I cannot eat the egg .", "ich kann das Ei nicht essen .");
    check_sentence(one(CLAUSE(pronoun(YOU), find_verb("see"), MODAL_IS(MAY), NOT, OF(np(THE, "letter")))),
          "you may not see the letter .", "du darfst den Brief nicht sehen .");
    check_sentence(one(CLAUSE(pronoun(THEY), find_verb("help"), MODAL_IS(SHOULD), TO(np(MY + THEY, "neighbour")))),
          "they should help their neighbour .", "sie sollten ihrem Nachbarn helfen .");
    check_sentence(one(CLAUSE(pronoun(WE), find_verb("sing"), MODAL_IS(WANT), NOT)),
          "we do not want to sing .", "wir wollen nicht singen .");
    check_sentence(one(CLAUSE(pronoun(I), find_verb("stay"), MODAL_IS(WILL), PLACE_IS(IN, np(THE, "city")))),
          "I will stay in the city .", "ich werde in der Stadt bleiben .");
    check_sentence(one(CLAUSE(np(THE, "bird"), find_verb("drink"), DONE, OF(np(THE, "water")))),
          "the bird has drunk the water .", "der Vogel hat das Wasser getrunken .");
    check_sentence(one(CLAUSE(pronoun(THEY), find_verb("follow"), DONE, TO(pronoun(HE)))),
          "they have followed him .", "sie sind ihm gefolgt .");
}

static void check_prepositions(void)
{
    check_sentence(one(CLAUSE(HIM, find_verb("go"), PLACE_IS(TO, np(THE, "church")))),
          "he goes to the church .", "er geht zur Kirche .");
    check_sentence(one(CLAUSE(HIM, find_verb("go"), DONE, PLACE_IS(TO, with("old", np(THE, "doctor"))))),
          "he has gone to the old doctor .", "er ist zum alten Arzt gegangen .");
    check_sentence(one(CLAUSE(pronoun(YOU), find_verb("run"), PLACE_IS(INTO, with("dark", np(THE, "house"))))),
          "you run into the dark house .", "du läufst ins dunkle Haus .");
    check_sentence(one(CLAUSE(pronoun(YOU), find_verb("run"), PLACE_IS(INTO, with("dark", np(A, "forest"))))),
          "you run into a dark forest .", "du läufst in einen dunklen Wald .");
    check_sentence(one(CLAUSE(pronoun(I), find_verb("go"), PLACE_IS(FROM, np(THE, "garden")))),
          "I go from the garden .", "ich gehe aus dem Garten .");
    check_sentence(one(CLAUSE(pronoun(WE), find_verb("go"), PLACE_IS(THROUGH, plural(MANY, "village")))),
          "we go through many villages .", "wir gehen durch viele Dörfer .");
    check_sentence(one(CLAUSE(pronoun(WE), find_verb("live"), PLACE_IS(IN, with("quiet", np(THE, "village"))))),
          "we live in the quiet village .", "wir wohnen im ruhigen Dorf .");
    check_sentence(one(CLAUSE(pronoun(I), find_verb("play"), PLACE_IS(WITH, plural(MY, "brother")))),
          "I play with my brothers .", "ich spiele mit meinen Brüdern .");
    check_sentence(one(CLAUSE(pronoun(SHE), find_verb("sing"), PLACE_IS(FOR, pronoun(I)))),
          "she sings for me .", "sie singt für mich .");
    check_sentence(one(CLAUSE(HIM, find_verb("dance"), PLACE_IS(WITHOUT, np(A, "friend")))),
          "he dances without a friend .", "er tanzt ohne einen Freund .");
    check_sentence(one(CLAUSE(HIM, find_verb("wait"), PLACE_IS(BEFORE, np(THE, "school")))),
          "he waits in front of the school .", "er wartet vor der Schule .");
    check_sentence(one(CLAUSE(HIM, find_verb("wait"), PLACE_IS(BEHIND, plural(THE, "tree")))),
          "he waits behind the trees .", "er wartet hinter den Bäumen .");
    check_sentence(one(CLAUSE(HIM, find_verb("wait"), PLACE_IS(NEXT_TO, np(MY + HE, "car")))),
          "he waits beside his car .", "er wartet neben seinem Auto .");
    check_sentence(one(CLAUSE(np(THE, "lamp"), find_verb("be"), .predicate = IS_SOMEWHERE,
                     PLACE_IS(ON, np(THE, "table")))),
          "the lamp is on the table .", "die Lampe ist auf dem Tisch .");
}

static void check_word_order(void)
{
    check_sentence(one(CLAUSE(np(THE, "mother"), find_verb("read"), OF(np(A, "book")), PLACE_IS(IN, np(THE, "kitchen")),
                     AT(DAYPART, 2))),
          "the mother reads a book in the kitchen in the evening .",
          "die Mutter liest am Abend ein Buch in der Küche .");
    check_sentence(one(CLAUSE(pronoun(I), find_verb("meet"), OF(pronoun(THEY)), AT(WEEKDAY, 0))),
          "I meet them on Monday .", "ich treffe sie am Montag .");
    check_sentence(one(CLAUSE(pronoun(I), find_verb("read"), OF(np(THE, "letter")), NOT, AT(ADVERB, TODAY), IN_FRONT)),
          "today I do not read the letter .", "heute lese ich den Brief nicht .");
    check_sentence(one(CLAUSE(pronoun(I), find_verb("read"), OF(np(THE, "newspaper")), .frequency = OFTEN)),
          "I often read the newspaper .", "ich lese die Zeitung oft .");
    check_sentence(one(CLAUSE(pronoun(I), find_verb("read"), OF(np(A, "newspaper")), .frequency = OFTEN)),
          "I often read a newspaper .", "ich lese oft eine Zeitung .");
    check_sentence(one(CLAUSE(HIM, find_verb("bring"), TO(np(THE, "girl")), OF(plural(ZERO, "flower")),
                     .frequency = ALWAYS)),
          "he always brings the girl flowers .", "er bringt dem Mädchen immer Blumen .");
    check_sentence(one(CLAUSE(pronoun(I), find_verb("forget"), DONE, OF(pronoun(YOU)), .frequency = NEVER)),
          "I have never forgotten you .", "ich habe dich nie vergessen .");
    check_sentence(one(CLAUSE(HIM, find_verb("sleep"), MODAL_IS(CAN), .frequency = SOMETIMES)),
          "he can sometimes sleep .", "er kann manchmal schlafen .");
}

static void check_copula(void)
{
    check_sentence(one(CLAUSE(pronoun(I), find_verb("be"), IS("tired"))), "I am tired .", "ich bin müde .");
    check_sentence(one(CLAUSE(np(THE, "coat"), find_verb("be"), NOT, IS("expensive"))),
          "the coat is not expensive .", "der Mantel ist nicht teuer .");
    check_sentence(one(CLAUSE(pronoun(WE), find_verb("be"), MODAL_IS(WILL), .predicate = IS_VERY,
                     .quality = find_adjective("happy"))),
          "we will be very happy .", "wir werden sehr glücklich sein .");
    check_sentence(one(CLAUSE(HIM, find_verb("be"), DONE, .predicate = IS_TOO, .quality = find_adjective("ill"))),
          "he has been too ill .", "er ist zu krank gewesen .");
    check_sentence(one(CLAUSE(np(MY, "sister"), find_verb("be"), .predicate = IS_YEARS_OLD, .quality = 17)),
          "my sister is seventeen years old .", "meine Schwester ist siebzehn Jahre alt .");
    check_sentence(one(CLAUSE(np(THE, "cow"), find_verb("be"), .predicate = IS_YEARS_OLD, .quality = 1)),
          "the cow is one year old .", "die Kuh ist ein Jahr alt .");
}

static void check_questions(void)
{
    const weft_np nobody = { .kind = WHO }, what = { .kind = WHAT };
    check_sentence(ask(YES_NO, CLAUSE(pronoun(YOU), find_verb("see"), OF(np(THE, "bridge")))),
          "do you see the bridge ?", "siehst du die Brücke ?");
    check_sentence(ask(YES_NO, CLAUSE(pronoun(YOU), find_verb("help"), MODAL_IS(CAN), TO(pronoun(I)), NOT)),
          "can you not help me ?", "kannst du mir nicht helfen ?");
    check_sentence(ask(YES_NO, CLAUSE(np(THE, "student"), find_verb("get up"), DONE)),
          "has the student got up ?", "ist der Student aufgestanden ?");
    check_sentence(ask(YES_NO, CLAUSE(np(THE, "soup"), find_verb("be"), IS("warm"))),
          "is the soup warm ?", "ist die Suppe warm ?");
    check_sentence(ask(WHERE, CLAUSE(pronoun(THEY), find_verb("live"))), "where do they live ?", "wo wohnen sie ?");
    check_sentence(ask(WHERE, CLAUSE(plural(MY, "shoe"), find_verb("be"), .predicate = IS_SOMEWHERE)),
          "where are my shoes ?", "wo sind meine Schuhe ?");
    check_sentence(ask(WHY, CLAUSE(np(THE, "child"), find_verb("cry"))), "why does the child cry ?",
          "warum weint das Kind ?");
    check_sentence(ask(WHEN, CLAUSE(HIM, find_verb("come back"), MODAL_IS(WANT))),
          "when does he want to come back ?", "wann will er zurückkommen ?");
    check_sentence(one(CLAUSE(nobody, find_verb("wash"), DONE, OF(plural(THE, "glass")))),
          "who has washed the glasses ?", "wer hat die Gläser gewaschen ?");
    check_sentence(ask(ASKED_OBJECT, CLAUSE(pronoun(SHE), find_verb("cook"), OF(what))),
          "what does she cook ?", "was kocht sie ?");
    check_sentence(ask(ASKED_OBJECT, CLAUSE(pronoun(YOU), find_verb("buy"), DONE, OF(with("blue", np(WHICH, "hat"))))),
          "which blue hat have you bought ?", "welchen blauen Hut hast du gekauft ?");
    check_sentence(ask(ASKED_OBJECT,
              CLAUSE(np(THE, "teacher"), find_verb("fetch"), OF(with("young", plural(HOW_MANY, "boy"))))),
          "how many young boys does the teacher fetch ?",
          "wie viele junge Jungen holt der Lehrer ab ?");
}

static void check_two_clauses(void)
{
    const weft_clause opens = CLAUSE(HIM, find_verb("open"), OF(np(THE, "door")));
    const weft_clause has_gone = CLAUSE(HIM, find_verb("go"), DONE, PLACE_IS(INTO, np(THE, "city")));
    const weft_clause may_not = CLAUSE(HIM, find_verb("play"), MODAL_IS(MAY), NOT);
    const weft_clause i_laugh = CLAUSE(pronoun(I), find_verb("laugh"));
    const weft_clause you_tired = CLAUSE(pronoun(YOU), find_verb("be"), IS("tired"));
    check_sentence(two(CLAUSE_LAST, BECAUSE, i_laugh, opens),
          "I laugh because he opens the door .", "ich lache , weil er die Tür aufmacht .");
    check_sentence(two(CLAUSE_LAST, ALTHOUGH, i_laugh, has_gone),
          "I laugh although he has gone into the city .",
          "ich lache , obwohl er in die Stadt gegangen ist .");
    check_sentence(two(CLAUSE_LAST, BECAUSE, i_laugh, may_not),
          "I laugh because he may not play .", "ich lache , weil er nicht spielen darf .");
    check_sentence(two(CLAUSE_LAST, THAT, CLAUSE(pronoun(SHE), find_verb("hope")), opens),
          "she hopes that he opens the door .", "sie hofft , dass er die Tür aufmacht .");
    check_sentence(two(CLAUSE_LAST, BEFORE_CLAUSE, i_laugh, CLAUSE(pronoun(WE), find_verb("get up"))),
          "I laugh before we get up .", "ich lache , bevor wir aufstehen .");
    check_sentence(two(CLAUSE_FIRST, IF, you_tired, opens),
          "if you are tired , he opens the door .", "wenn du müde bist , macht er die Tür auf .");
    check_sentence(two(CLAUSE_FIRST, BECAUSE, you_tired, has_gone),
          "because you are tired , he has gone into the city .",
          "weil du müde bist , ist er in die Stadt gegangen .");
    check_sentence(two(TWO_MAINS, AND, i_laugh, opens),
          "I laugh and he opens the door .", "ich lache und er macht die Tür auf .");
    check_sentence(two(TWO_MAINS, BUT, you_tired, may_not),
          "you are tired , but he may not play .", "du bist müde , aber er darf nicht spielen .");
}

static void check_fixed_beginnings(void)
{
    weft_sentence there = { .shape = THERE_IS };
    there.first.accusative = np(A, "tree");
    there.first.preposition = IN;
    there.first.place = np(THE, "park");
    check_sentence(there, "there is a tree in the park .", "es gibt einen Baum im Park .");
    there.first.accusative = count(61, "chair");
    check_sentence(there, "there are sixty-one chairs in the park .",
          "es gibt einundsechzig Stühle im Park .");
    weft_sentence today = { .shape = TODAY_IS, .first = { AT(DATE, 2, 7) } };
    check_sentence(today, "today is the seventh of March .", "heute ist der siebte März .");
    weft_sentence it_is = { .shape = IT_IS_TIME, .first = { AT(CLOCK, 0, 0, HALF_PAST, 12, 0) } };
    check_sentence(it_is, "it is half past twelve .", "es ist halb eins .");
}
/* clang-format on */

START_TEST(sentences_are_right)
{
    check_statements();
    check_separable_verbs();
    check_modals_and_tenses();
    check_prepositions();
    check_word_order();
    check_copula();
    check_questions();
    check_two_clauses();
    check_fixed_beginnings();
}
END_TEST

START_TEST(times_are_told_right)
{
    static const struct {
        weft_time time;
        const char *english, *german;
    } times[] = {
        { { ADVERB, TOMORROW, 0, 0, 0, 0 }, "tomorrow", "morgen" },
        { { CLOCK, 0, 0, HOUR, 1, 0 }, "at one o'clock", "um ein Uhr" },
        { { CLOCK, 0, 0, HOUR, 7, 0 }, "at seven o'clock", "um sieben Uhr" },
        { { CLOCK, 0, 0, HALF_PAST, 7, 0 }, "at half past seven", "um halb acht" },
        { { CLOCK, 0, 0, QUARTER_TO, 9, 0 }, "at a quarter to nine", "um Viertel vor neun" },
        { { CLOCK, 0, 0, QUARTER_PAST, 1, 0 }, "at a quarter past one", "um Viertel nach eins" },
        { { CLOCK, 0, 0, MINUTES_PAST, 6, 10 }, "at ten past six", "um zehn nach sechs" },
        { { CLOCK, 0, 0, MINUTES_TO, 8, 20 }, "at twenty to eight", "um zwanzig vor acht" },
        { { CLOCK, 0, 0, MINUTES_TO, 1, 5 }, "at five to one", "um fünf vor eins" },
        { { WEEKDAY, 2, 0, 0, 0, 0 }, "on Wednesday", "am Mittwoch" },
        { { DATE, 4, 3, 0, 0, 0 }, "on the third of May", "am dritten Mai" },
        { { DATE, 0, 1, 0, 0, 0 }, "on the first of January", "am ersten Januar" },
        { { DATE, 11, 31, 0, 0, 0 },
          "on the thirty-first of December",
          "am einunddreißigsten Dezember" },
        { { MONTH, 9, 0, 0, 0, 0 }, "in October", "im Oktober" },
        { { SEASON, 0, 0, 0, 0, 0 }, "in spring", "im Frühling" },
        { { DAYPART, 1, 0, 0, 0, 0 }, "in the afternoon", "am Nachmittag" },
        { { DAYPART, 3, 0, 0, 0, 0 }, "at night", "in der Nacht" },
        { { WEEKDAY_CLOCK, 6, 0, HALF_PAST, 3, 0 },
          "at half past three on Sunday",
          "am Sonntag um halb vier" },
    };
    char text[WEFT_TASK_LINE_BYTES];
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        weft_line line = weft_line_on(text, sizeof text);
        weft_english_time(&line, &times[i].time);
        ck_assert_str_eq(text, times[i].english);
        line = weft_line_on(text, sizeof text);
        weft_german_time(&line, &times[i].time);
        ck_assert_str_eq(text, times[i].german);
    }
}
END_TEST

static weft_status note(const char *source, const char *target, void *user)
{
    const char *before = table_add(user, source, target);
    if (before != NULL && strcmp(before, target) != 0) {
        ck_abort_msg("%s\n  is once %s\n  and once %s", source, before, target);
    }
    return WEFT_OK;
}

START_TEST(one_source_has_one_target)
{
    const weft_task *task = weft_task_find("phrases");
    table all = table_new();
    ck_assert_int_eq(weft_task_visit(&(weft_task_stream){ task, 1 }, 0, 100000, note, &all),
                     WEFT_OK);
    ck_assert_int_eq(weft_task_visit(&(weft_task_stream){ task, 1, true }, 0, 20000, note, &all),
                     WEFT_OK);
    ck_assert_int_gt(all.n, 100000);
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

START_TEST(sentences_are_short_and_well_formed)
{
    const weft_task *task = weft_task_find("phrases");
    char source[WEFT_TASK_LINE_BYTES], target[WEFT_TASK_LINE_BYTES];
    int n_short = 0;
    for (int64_t i = 0; i < 20000; i++) {
        const bool held_out = i % 2 == 1;
        example(task, 1, i, held_out, source, target);
        for (int side = 0; side < 2; side++) {
            const char *line = side == 0 ? source : target;
            int n_words = 1;
            for (const char *c = line; *c; c++) n_words += *c == ' ';
            ck_assert_int_ge(n_words, 3);
            ck_assert_int_le(n_words, !held_out ? 40 : side == 0 ? 16 : 24);
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
    Suite *suite = suite_create("phrases");
    TCase *grammar = tcase_create("grammar");
    tcase_set_timeout(grammar, 60);
    tcase_add_test(grammar, noun_phrases_agree_in_gender_case_and_number);
    tcase_add_test(grammar, sentences_are_right);
    tcase_add_test(grammar, times_are_told_right);
    tcase_add_test(grammar, numbers_and_ordinals_are_right);
    tcase_add_test(grammar, one_source_has_one_target);
    tcase_add_test(grammar, sentences_are_short_and_well_formed);
    suite_add_tcase(suite, grammar);
    return run_suite(suite);
}
