/* unknown.c - unknown words of a translation, taken from where the attention looked. */
#include "train/maps.h"

/* The source token that place t of the target looks at most, </s> left out; the first of equals. */
static int64_t looked_at(const weft_maps *maps, const weft_map_choice *choice, int64_t t)
{
    const int layers = maps->layers[WEFT_MAP_CROSS];
    const int64_t layer = choice->layer >= 0 ? choice->layer : layers - 1;
    const int64_t first = choice->head >= 0 ? choice->head : 0,
                  end = choice->head >= 0 ? choice->head + 1 : maps->heads;
    int64_t best = 0;
    double most = -1;
    for (int64_t s = 0; s < maps->S - 1; s++) {
        double sum = 0;
        for (int64_t h = first; h < end; h++)
            sum += (double)maps->weights[WEFT_MAP_CROSS]
                                        [((layer * maps->heads + h) * maps->T + t) * maps->S + s];
        if (sum > most) {
            most = sum;
            best = s;
        }
    }
    return best;
}

/* Words for the unknown ones among said[]. */
static weft_status find_words(const weft_maps *maps, const weft_map_choice *choice,
                              const char *const *tokens, const int32_t *said, int64_t n_said,
                              const char **words)
{
    if (maps->layers[WEFT_MAP_CROSS] == 0)
        return weft_error(WEFT_ERR_STATE, "the model's cross attention has no weights to go by");
    if (choice->layer >= maps->layers[WEFT_MAP_CROSS])
        return weft_error(WEFT_ERR_INPUT, "the decoder has no layer %lld",
                          (long long)choice->layer);
    for (int64_t t = 0; t < n_said; t++)
        if (said[t] == WEFT_UNK) words[t] = tokens[looked_at(maps, choice, t)];
    return WEFT_OK;
}

weft_status weft_maps_known(const weft_model *model, weft_tape *tape, const char *source,
                            const int32_t *ids, int64_t n_ids, const int32_t *said, int64_t n_said,
                            const weft_map_choice *choice, char **text)
{
    weft_maps maps = { 0 };
    const char **tokens = NULL, **words = NULL;
    int64_t n = 0;
    *text = NULL;
    weft_status status = weft_vocab_cut(model->source_vocab, source, &tokens, &n);
    if (status == WEFT_OK && (n != n_ids || n == 0))
        status = weft_error(WEFT_ERR_STATE, "%lld ids are not those of a text of %lld tokens",
                            (long long)n_ids, (long long)n);
    if (status == WEFT_OK)
        status = weft_maps_make(&model->transformer, tape, ids, n_ids, said, n_said, &maps);
    if (status == WEFT_OK) {
        words = weft_alloc((size_t)n_said, sizeof *words);
        if (!words) status = WEFT_ERR_MEMORY;
    }
    if (status == WEFT_OK) status = find_words(&maps, choice, tokens, said, n_said, words);
    if (status == WEFT_OK)
        status = weft_vocab_decode_with(model->target_vocab, said, n_said, words, text);
    weft_maps_free(&maps);
    weft_free(words);
    weft_free(tokens);
    return status;
}
