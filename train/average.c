/* average.c - the mean of the parameters of several checkpoints. */
#include "train/average.h"
#include "train/model.h"

#include <string.h>

typedef struct average {
    weft_model *model; /* of the first checkpoint */
    double *sum;       /* as the parameters' block */
    char *target, *source;
} average;

static weft_status check_vocab(const weft_checkpoint_file *file, const char *name,
                               const char *expected)
{
    char *text = NULL;
    weft_status status = weft_checkpoint_get_text(file, name, &text);
    if (status == WEFT_OK && strcmp(text, expected) != 0)
        status = weft_error(WEFT_ERR_INPUT, "%s has another %s than the first checkpoint",
                            weft_store_path(weft_checkpoint_store(file)), name);
    weft_free(text);
    return status;
}

static weft_status begin(average *a, const weft_checkpoint_file *file)
{
    weft_status status = weft_model_read(file, NULL, &a->model);
    if (status != WEFT_OK) return status;
    a->sum = weft_alloc((size_t)weft_params_block_size(a->model->params), sizeof *a->sum);
    a->target = weft_vocab_write(a->model->target_vocab);
    if (!a->sum || !a->target) return WEFT_ERR_MEMORY;
    if (!a->model->source_vocab || a->model->source_vocab == a->model->target_vocab) return WEFT_OK;
    a->source = weft_vocab_write(a->model->source_vocab);
    return a->source ? WEFT_OK : WEFT_ERR_MEMORY;
}

static weft_status add(average *a, const weft_checkpoint_file *file)
{
    weft_params *const params = a->model->params;
    weft_status status = weft_model_read_params(file, params);
    if (status == WEFT_OK) status = check_vocab(file, "target_vocab", a->target);
    if (status == WEFT_OK && a->source) status = check_vocab(file, "source_vocab", a->source);
    if (status != WEFT_OK) return status;
    const weft_real *const p = weft_params_values(params);
    for (int64_t i = 0; i < weft_params_block_size(params); i++) a->sum[i] += (double)p[i];
    return WEFT_OK;
}

weft_status weft_average(int n, const char *const checkpoints[], const char *path)
{
    average a = { 0 };
    if (n < 1)
        return weft_error(WEFT_ERR_RANGE, "average: at least one checkpoint is needed, not %d", n);
    weft_status status = WEFT_OK;
    for (int i = 0; i < n && status == WEFT_OK; i++) {
        weft_checkpoint_file *file = NULL;
        status = weft_model_open(checkpoints[i], &file);
        if (status == WEFT_OK && i == 0) status = begin(&a, file);
        if (status == WEFT_OK) status = add(&a, file);
        weft_checkpoint_close(file);
    }
    if (status == WEFT_OK) {
        weft_real *const p = weft_params_values(a.model->params);
        const int64_t size = weft_params_block_size(a.model->params);
        for (int64_t i = 0; i < size; i++) p[i] = (weft_real)(a.sum[i] / n);
        weft_params_changed(a.model->params);
        status = weft_model_save(a.model, path);
    }
    weft_free(a.sum);
    weft_free(a.target);
    weft_free(a.source);
    weft_model_free(a.model);
    return status;
}
