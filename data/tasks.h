/* tasks.h - tasks whose examples are computed, so that weft can be tried without any file.
 *
 * An example is a source line and the one right target line. Which side of the border an example
 * lies on depends on the example alone, never on the seed, so a held-out example is in no training
 * stream whatever the seeds. How the border is drawn:
 *
 *   copy     a string of 1 to 20 letters a-z -> itself.                    "hgat" -> "hgat"
 *   reverse  such a string -> from its end to its beginning.               "hgat" -> "tagh"
 *   sort     1 to 20 digits -> in ascending order.                         "3141" -> "1134"
 *   add      two numbers of 1 to 3 digits -> their sum.                    "123+45" -> "168"
 *            Tokens are characters. Held out: every tenth source by its XXH3 hash. Strings of one
 *            or two symbols and sums of two digits always belong to training (there are too few of
 *            them to spare any); a + b and b + a lie on the same side.
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
    WEFT_TASK_LINE_BYTES = 512 /* room for any source or target line and its final zero */
};

typedef struct weft_task {
    const char *name;
    const char *about;       /* one line for a list of tasks */
    weft_tokens_kind tokens; /* WEFT_TOKENS_CHARS or WEFT_TOKENS_SPACE */
    int64_t n_train;         /* training examples that suffice, */
    int64_t n_held_out;      /* and held-out ones for a verdict */
} weft_task;

/** All tasks, *n of them; they live as long as the program. */
const weft_task *weft_task_list(int64_t *n);

/** The task of this name. NULL, and a message with the nearest name (or all), where there
 *  is none. */
const weft_task *weft_task_find(const char *name);

/** The index-th example (index >= 0) of the training or held-out stream of a seed: a pure function
 *  of its arguments. Lines are UTF-8 and end with a zero; WEFT_TASK_LINE_BYTES always suffice.
 *  Streams may repeat an example.
 *  Errors: WEFT_ERR_RANGE (negative index; a buffer too small, which then holds ""). */
weft_status weft_task_example(const weft_task *task, uint64_t seed, int64_t index, bool held_out,
                              char *source, size_t source_bytes, char *target,
                              size_t target_bytes) WEFT_MUST_CHECK;

/** Called with one example; a status other than WEFT_OK ends the walk and is returned by it. */
typedef weft_status weft_task_visitor(const char *source, const char *target, void *user);

/** Give n examples of a stream, from the first-th (counted from 0), to `visit`, in order. The
 *  held-out stream is taken without repeats: the sources of all its examples differ from one another,
 *  so that those from 0 and those from n share none.
 *  Errors: WEFT_ERR_RANGE (first < 0, n < 0, or more distinct held-out examples asked for than were
 *  found), WEFT_ERR_MEMORY, and whatever `visit` returns. */
weft_status weft_task_visit(const weft_task *task, uint64_t seed, int64_t first, int64_t n,
                            bool held_out, weft_task_visitor *visit, void *user) WEFT_MUST_CHECK;

/** Append n examples of a stream to a corpus, as weft_task_visit gives them. The vocabulary for
 *  them: weft_task's `tokens`. */
weft_status weft_task_corpus(const weft_task *task, uint64_t seed, int64_t first, int64_t n,
                             bool held_out, weft_corpus *corpus) WEFT_MUST_CHECK;

#endif
