/* config.c - read a configuration as the options say. */
#include "cli/config.h"
#include "data/tasks.h"

#include <stdio.h>

/* A small model that learns any of the tasks in minutes: what --task starts from. */
static const char task_config[] = "[model]\n"
                                  "d_model = 128\n"
                                  "ffn = 256\n"
                                  "heads = 4\n"
                                  "encoder_layers = 2\n"
                                  "decoder_layers = 2\n"
                                  "dropout = 0\n"
                                  "norm = pre\n"
                                  "final_norm = true\n"
                                  "[train]\n"
                                  "max_updates = 3000\n"
                                  "batch_tokens = 800\n"
                                  "label_smoothing = 0\n"
                                  "validate_every = 500\n"
                                  "checkpoint_every = 500\n"
                                  "max_decode_length = 40\n"
                                  "[optim]\n"
                                  "kind = adamw\n"
                                  "lr = 0.002\n"
                                  "beta2 = 0.95\n"
                                  "weight_decay = 0.1\n"
                                  "schedule = cosine\n"
                                  "warmup = 100\n"
                                  "clip = 1\n";

weft_status weft_cli_config(const char *path, const char *task_name, const weft_cli_texts *set,
                            weft_config *config)
{
    weft_config_init(config);
    return weft_cli_config_on(path, task_name, set, config);
}

weft_status weft_cli_config_on(const char *path, const char *task_name, const weft_cli_texts *set,
                               weft_config *config)
{
    weft_status status = WEFT_OK;
    if (path) {
        status = weft_config_read(config, path);
    } else if (task_name) {
        const weft_task *task = weft_task_find(task_name);
        if (!task) return WEFT_ERR_INPUT;
        status = weft_config_parse(config, task_config, "--task");
        snprintf(config->data.task, sizeof config->data.task, "%s", task->name);
        config->data.train_size = task->n_train;
        config->data.valid_size = task->n_held_out;
    }
    for (int i = 0; i < set->n && status == WEFT_OK; i++)
        status = weft_config_set(config, set->text[i]);
    return status;
}
