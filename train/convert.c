/* convert.c - a trained model in another form. */
#include "train/convert.h"
#include "train/loop_internal.h"

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

/* What has changed, but for what matters to training alone, and longer reach, which is made to do
 * without. */
static weft_status list_changes(const weft_config *before, weft_config now, char **changes)
{
    now.model.init = before->model.init;
    now.model.dropout = before->model.dropout;
    now.model.attention_dropout = before->model.attention_dropout;
    now.model.activation_dropout = before->model.activation_dropout;
    now.model.rope_scaling = before->model.rope_scaling;
    now.model.rope_factor = before->model.rope_factor;
    now.model.rope_length = before->model.rope_length;
    return weft_trainer_changes(before, &now, changes);
}

weft_status weft_convert(const char *from, int n, const char *const set[], int64_t kv_heads,
                         const char *path, char **changes)
{
    weft_checkpoint_file *file = NULL;
    weft_model *model = NULL;
    weft_config before, config;
    *changes = NULL;
    weft_status status = weft_model_open(from, &file);
    if (status == WEFT_OK) status = weft_model_config(file, &before);
    if (status == WEFT_OK) config = before;
    for (int i = 0; i < n && status == WEFT_OK; i++) status = weft_config_set(&config, set[i]);
    if (status == WEFT_OK) status = weft_config_check_model(&config);
    if (status == WEFT_OK) status = weft_model_read(file, &config, &model);
    weft_checkpoint_close(file);
    if (status == WEFT_OK && kv_heads > 0) status = weft_model_group_heads(model, kv_heads);
    if (status == WEFT_OK) status = weft_model_save(model, path);
    if (status == WEFT_OK) status = list_changes(&before, model->config, changes);
    weft_model_free(model);
    return status;
}
