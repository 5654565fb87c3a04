/* models.c - load one model, or several for the same vocabularies. */
#include "cli/models.h"

#include <string.h>

static weft_status same_vocab(const weft_vocab *a, const weft_vocab *b, bool *same)
{
    char *x = weft_vocab_write(a), *y = weft_vocab_write(b);
    const weft_status status = x && y ? WEFT_OK : WEFT_ERR_MEMORY;
    *same = status == WEFT_OK && strcmp(x, y) == 0;
    weft_free(x);
    weft_free(y);
    return status;
}

/* Can the models decide together? */
static weft_status check_vocabs(const weft_cli_texts *paths, const weft_cli_models *models, int i)
{
    bool same_source = true, same_target = true;
    const weft_model *first = models->model[0], *m = models->model[i];
    weft_status status = same_vocab(first->source_vocab, m->source_vocab, &same_source);
    if (status == WEFT_OK) status = same_vocab(first->target_vocab, m->target_vocab, &same_target);
    if (status != WEFT_OK || (same_source && same_target)) return status;
    return weft_error(WEFT_ERR_INPUT,
                      "%s and %s have different %s vocabularies: they cannot translate together",
                      paths->text[0], paths->text[i], same_source ? "target" : "source");
}

weft_status weft_cli_models_load(const weft_cli_texts *paths, weft_cli_models *models)
{
    *models = (weft_cli_models){ 0 };
    if (paths->n == 0) return weft_error(WEFT_ERR_INPUT, "a model is needed: --model DIR");
    for (int i = 0; i < paths->n; i++) {
        weft_status status = weft_model_load(paths->text[i], &models->model[i]);
        if (status != WEFT_OK) return status;
        models->n++;
        if (models->model[i]->transformer.config.decoder_only)
            return weft_error(WEFT_ERR_INPUT,
                              "%s: the model continues text (weft generate), it does not translate",
                              paths->text[i]);
        if (i > 0) status = check_vocabs(paths, models, i);
        if (status != WEFT_OK) return status;
        weft_tape *tape = weft_tape_new(WEFT_NO_GRAD);
        if (!tape) return WEFT_ERR_MEMORY;
        models->translators[i] = (weft_translator){ &models->model[i]->transformer, tape };
    }
    return WEFT_OK;
}

void weft_cli_models_free(weft_cli_models *models)
{
    for (int i = 0; i < models->n; i++) {
        weft_tape_free(models->translators[i].tape);
        weft_model_free(models->model[i]);
    }
}
