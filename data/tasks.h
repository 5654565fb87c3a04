/* tasks.h - tasks whose examples are computed, so that weft can be tried without any file.
 *
 * An example is a source line and the one right target line. Which side of the border an example
 * lies on depends on the example alone, never on the seed, so a held-out example is in no training
 * stream whatever the seeds. How the border is drawn:
 *
 *   copy     a string of 1 to 20 letters a-z -> itself.                    "hgat" -> "hgat"
 *   reverse  such a string -> from its end to its beginning.               "hgat" -> "tagh"
 *   sort     1 to 20 digits -> in ascending order.                         "3141" -> "1134"
 *   add      two numbers of 1 to 3 digits -> their sum, units first.       "123+45" -> "861"
 *   add_plain  such numbers -> their sum as one writes it.                 "123+45" -> "168"
 *   parity   1 to 20 bits -> 1 where the number of ones is odd, else 0.    "10110" -> "1"
 *   first    1 to 20 bits -> the first of them (FIRST of Chiang & Cholak 2022). "0111" -> "0"
 *   anbn     a beginning of a^n b^n a^m b^m ..., 4 to 40 letters up to a b -> the next letter: b
 *            while the last word lacks one, else a.                        "abaaab" -> "b"
 *   dyck     a beginning of a word of brackets of k = 2 kinds (k to 4), 1 to 20 of them -> the one
 *            that may close next, or a dot where none is open.             "([])[]" -> "."
 *   modular  1 to 8 numbers below k = 5 (k to 10) with + - * between them -> the value modulo k; *
 *            binds more tightly.                                           "2*3-4" -> "2"
 *   induction  3 to 20 letters, the last of which stood once before -> the letter that followed it
 *            there (Olsson et al. 2022).                                   "qbxczb" -> "x"
 *   selective  1 to 20 symbols, up to 16 of them letters, the others dots -> the letters (selective
 *            copying, Gu & Dao 2023).                                      ".b..a" -> "ba"
 *            Tokens are characters. Held out: every tenth source by its XXH3 hash. Strings of one
 *            or two symbols and sums of two digits always belong to training (there are too few of
 *            them to spare any); a + b and b + a lie on the same side. Every length of the range is
 *            equally likely (anbn: every even one), every answer of parity, first and anbn too. Other
 *            ranges, up to WEFT_TASK_LONGEST, are a matter of the stream: the length is that of the
 *            source in symbols; for sums the digits of each number (to 18), for modular the count of
 *            numbers.
 *   phrases  an English sentence -> German, by a grammar written for weft (phrases_internal.h).
 *            Tokens are what lies between spaces. Held out are whole COMBINATIONS, about a tenth
 *            of all pairs
 *              (adjective, noun)  the noun it stands before, or of which it is said ("is old")
 *              (verb, noun)       the noun that heads the verb's accusative object or, for a verb
 *                                 without one, its dative object
 *              (number, noun)     "twenty-three books"
 *              (day, month)       "the third of May"
 *            and no held-out pair occurs in any training sentence, in any case, number or tense,
 *            while every held-out sentence contains at least one and has at most 16 tokens (those of
 *            training have up to 30: the test is one of combinations, not of lengths). A pair
 *            (i, j) of places in the lexicon is held out when (3 i + 7 j) mod 10 has the value of
 *            its kind: a Latin square, so every word keeps nine tenths of its partners in
 *            training. */
#ifndef WEFT_DATA_TASKS_H
#define WEFT_DATA_TASKS_H

#include "corpus.h"

enum {
    WEFT_TASK_LONGEST = 1000,   /* symbols of a source */
    WEFT_TASK_LINE_BYTES = 2048 /* room for any source or target line and its final zero */
};

/* What may be chosen about a task: from least to most, and what it is by default. */
typedef struct weft_task_range {
    int least, usual, most; /* all 0: nothing */
} weft_task_range;

typedef struct weft_task {
    const char *name;
    weft_tokens_kind tokens; /* WEFT_TOKENS_CHARS or WEFT_TOKENS_SPACE */
    int64_t n_train;         /* training examples that suffice, */
    int64_t n_held_out;      /* and held-out ones for a verdict */
    weft_task_range length;  /* sources have least to usual symbols */
    weft_task_range k;       /* kinds of brackets of dyck, modulus of modular */
} weft_task;

/** All tasks, *n of them; they live as long as the program. */
const weft_task *weft_task_list(int64_t *n);

/** The task of this name. NULL, and a message with the nearest name (or all), where there
 *  is none. */
const weft_task *weft_task_find(const char *name);

/* A sequence of examples; zero is the default of every field but the task. */
typedef struct weft_task_stream {
    const weft_task *task;
    uint64_t seed;
    bool held_out;         /* the other side of the border */
    int shortest, longest; /* lengths of sources; 0: least and usual of the task's */
    int k;                 /* 0: the task's usual */
} weft_task_stream;

/** The index-th example (index >= 0) of a stream: a pure function of its arguments. Lines are UTF-8
 *  and end with a zero; WEFT_TASK_LINE_BYTES always suffice. Streams may repeat an example.
 *  Errors: WEFT_ERR_RANGE (negative index; lengths or k that the task has not; a buffer too small,
 *  which then holds ""). */
weft_status weft_task_example(const weft_task_stream *stream, int64_t index, char *source,
                              size_t source_bytes, char *target,
                              size_t target_bytes) WEFT_MUST_CHECK;

/** Called with one example; a status other than WEFT_OK ends the walk and is returned by it. */
typedef weft_status weft_task_visitor(const char *source, const char *target, void *user);

/** Give n examples of a stream, from the first-th (counted from 0), to `visit`, in order. A
 *  held-out stream is taken without repeats: the sources of all its examples differ from one another,
 *  so that those from 0 and those from n share none.
 *  Errors: WEFT_ERR_RANGE (first < 0, n < 0, or more distinct held-out examples asked for than were
 *  found; lengths or k that the task has not), WEFT_ERR_MEMORY, and whatever `visit` returns. */
weft_status weft_task_visit(const weft_task_stream *stream, int64_t first, int64_t n,
                            weft_task_visitor *visit, void *user) WEFT_MUST_CHECK;

/** Append n examples of a stream to a corpus, as weft_task_visit gives them. The vocabulary for
 *  them: weft_task's `tokens`. */
weft_status weft_task_corpus(const weft_task_stream *stream, int64_t first, int64_t n,
                             weft_corpus *corpus) WEFT_MUST_CHECK;

#endif
