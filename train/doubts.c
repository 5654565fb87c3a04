/* doubts.c - what is possible in pairs of sentences, but seldom meant. */
#include "train/loop_internal.h"

#include <xxhash.h>

/* Pairs of which one side is so many times as long as the other are hardly translations. */
static void note_uneven(const weft_trainer *t, weft_progress *progress)
{
    enum { TIMES = 9 };
    int64_t count = 0, first = 0, line = 0, n[2];
    for (int64_t i = 0; i < weft_corpus_size(t->train); i++) {
        weft_corpus_ids(t->train, WEFT_SOURCE, i, &n[0]);
        weft_corpus_ids(t->train, WEFT_TARGET, i, &n[1]);
        if (n[0] <= TIMES * n[1] && n[1] <= TIMES * n[0]) continue;
        if (count++ == 0) first = i;
    }
    if (count == 0) return;
    const char *path = weft_corpus_file(t->train, first, &line);
    weft_progress_note(progress,
                       "%lld training pairs are more than %d times as long on one side as on the "
                       "other, the first is %s:%lld: are they translations? data.max_ratio = %d "
                       "leaves them out",
                       (long long)count, TIMES, path, (long long)line, TIMES);
}

/* ---- sides ------------------------------------------------------------------------------------- */

/* Words of a side as places in a table, so that a few others pass for one of them; of the first pairs,
 * which are enough to know a language by. */
enum { N_PLACES = 1 << 20, N_PAIRS = 20000 };

/* The place of the next word; -1 at the end of the text. Byte by byte: strcspn would look at all of the text for
 * each word where AddressSanitizer checks strings, and lines may be long. */
static int32_t next_word(const char **text)
{
    while (**text == ' ') ++*text;
    const char *word = *text;
    while (**text != ' ' && **text != '\0') ++*text;
    const size_t n_bytes = (size_t)(*text - word);
    return n_bytes == 0 ? -1 : (int32_t)(XXH3_64bits(word, n_bytes) % N_PLACES);
}

static void enter_words(const weft_corpus *corpus, weft_side side, bool places[N_PLACES])
{
    const char *text;
    for (int64_t i = 0; i < N_PAIRS && (text = weft_corpus_text(corpus, side, i)) != NULL; i++)
        for (int32_t at; (at = next_word(&text)) >= 0;) places[at] = true;
}

/* How many words of a side are in a table; all of them are added to *n. */
static int64_t count_known(const weft_corpus *corpus, weft_side side, const bool places[N_PLACES],
                           int64_t *n)
{
    int64_t n_known = 0;
    const char *text;
    for (int64_t i = 0; i < N_PAIRS && (text = weft_corpus_text(corpus, side, i)) != NULL; i++)
        for (int32_t at; (at = next_word(&text)) >= 0; ++*n) n_known += places[at];
    return n_known;
}

/* Are the two languages of the validation in the order of the training? Names and numbers are in both, so
 * a doubt needs twice as many words of the wrong language, and most of all. */
static void note_exchanged(const weft_trainer *t, weft_progress *progress)
{
    bool *const places = weft_alloc(2, N_PLACES);
    if (!places) return; /* a run is worth more than a doubt */
    bool *const of[] = { places, places + N_PLACES };
    int64_t same = 0, other = 0, n = 0;
    for (int side = 0; side < 2; side++) enter_words(t->train, (weft_side)side, of[side]);
    for (int side = 0; side < 2; side++) {
        same += count_known(t->valid, (weft_side)side, of[side], &n);
        other += count_known(t->valid, (weft_side)side, of[1 - side], &n);
    }
    weft_free(places);
    if (other > 2 * same && 4 * other > n) /* each word was counted twice */
        weft_progress_note(progress,
                           "of %lld words of data.valid %lld are known from the other side of the "
                           "training text, and %lld from the same: are source and target "
                           "exchanged?",
                           (long long)(n / 2), (long long)other, (long long)same);
}

void weft_trainer_doubts(const weft_trainer *t, weft_progress *progress)
{
    const weft_config *config = &t->model->config;
    if (config->model.kind == WEFT_CONFIG_DECODER_ONLY || config->data.task[0] != '\0') return;
    if (config->data.max_ratio == 0) note_uneven(t, progress);
    if (t->valid) note_exchanged(t, progress);
}
