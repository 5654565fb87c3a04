/* convert.c - a trained model in another form. */
#include "train/convert.h"

weft_status weft_model_group_heads(weft_model *model, int64_t kv_heads)
{
    weft_config config = model->config;
    const int64_t before = config.model.kv_heads > 0 ? config.model.kv_heads : config.model.heads;
    if (kv_heads < 1 || before % kv_heads != 0)
        return weft_error(WEFT_ERR_INPUT,
                          "%lld heads of keys and values cannot be pooled into %lld: it must "
                          "divide them",
                          (long long)before, (long long)kv_heads);
    config.model.kv_heads = kv_heads;
    weft_model *grouped = NULL;
    weft_status status =
        weft_model_new(&config, model->source_vocab, model->target_vocab, &grouped);
    if (status != WEFT_OK) return status;
    status = weft_transformer_group_heads(&model->transformer, &grouped->transformer);
    if (status == WEFT_OK) {
        const weft_model old = *model;
        *model = *grouped;
        *grouped = old;
    }
    grouped->source_vocab = grouped->target_vocab = NULL; /* those of the model that stays */
    weft_model_free(grouped);
    return status;
}

weft_status weft_convert(const char *from, int n, const char *const set[], int64_t kv_heads,
                         const char *path)
{
    weft_checkpoint_file *file = NULL;
    weft_model *model = NULL;
    weft_config config;
    weft_status status = weft_model_open(from, &file);
    if (status == WEFT_OK) status = weft_model_config(file, &config);
    for (int i = 0; i < n && status == WEFT_OK; i++) status = weft_config_set(&config, set[i]);
    if (status == WEFT_OK) status = weft_config_check_model(&config);
    if (status == WEFT_OK) status = weft_model_read(file, &config, &model);
    weft_checkpoint_close(file);
    if (status == WEFT_OK && kv_heads > 0) status = weft_model_group_heads(model, kv_heads);
    if (status == WEFT_OK) status = weft_model_save(model, path);
    weft_model_free(model);
    return status;
}
