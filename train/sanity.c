/* sanity.c - can this model learn anything? One batch by heart, and a look at the first gradient. */
#include "train/loop_internal.h"
#include "train/probe.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MOST_TOKENS = 512 };

/* The configuration, without what stands between a model and one batch. */
static weft_config plain(const weft_config *config)
{
    weft_config c = *config;
    c.model.dropout = c.model.attention_dropout = c.model.activation_dropout = 0;
    c.train.label_smoothing = c.train.ema = 0;
    if (c.train.batch_tokens > MOST_TOKENS) c.train.batch_tokens = MOST_TOKENS;
    c.optim.kind = WEFT_CONFIG_ADAM;
    c.optim.weight_decay = c.optim.momentum = 0;
    c.optim.schedule = WEFT_CONFIG_CONSTANT;
    c.optim.lr = 0.001;
    c.optim.lr_end = 0;
    c.optim.warmup = 10;
    return c;
}

/* "encoder.layers.0" of "encoder.layers.0.linear1.weight", "src_embed" of "src_embed.weight". */
static void layer_name(const char *parameter, char name[WEFT_LAYER_NAME])
{
    const char *layers = strstr(parameter, ".layers."), *last = strrchr(parameter, '.');
    const char *end = layers ? strchr(layers + strlen(".layers."), '.') : last;
    const int n = end ? (int)(end - parameter) : (int)strlen(parameter);
    snprintf(name, WEFT_LAYER_NAME, "%.*s", n, parameter);
}

/* Norms of the gradients that the parameters hold; those of a layer stand side by side. */
static weft_status measure(const weft_params *params, double scale, weft_sanity *result)
{
    const int n = weft_params_count(params);
    result->layers = weft_alloc((size_t)n, sizeof *result->layers);
    if (!result->layers) return WEFT_ERR_MEMORY;
    result->reaches_all = true;
    for (int i = 0; i < n; i++) {
        char name[WEFT_LAYER_NAME];
        layer_name(weft_params_name(params, i), name);
        weft_sanity_layer *layer = &result->layers[result->n_layers];
        if (result->n_layers > 0 && strcmp(layer[-1].name, name) == 0) {
            layer--;
        } else {
            result->n_layers++;
            memcpy(layer->name, name, sizeof name);
        }
        const weft_tensor g = weft_params_gradient(params, i);
        double sum = 0;
        for (int64_t k = 0; k < weft_size(&g); k++) sum += (double)g.real[k] * (double)g.real[k];
        layer->norm = hypot(layer->norm, scale * sqrt(sum));
        layer->size += weft_size(&g);
    }
    for (int i = 0; i < result->n_layers; i++)
        if (!(result->layers[i].norm > 0)) result->reaches_all = false;
    return WEFT_OK;
}

/* Learn one batch until it is known, or no longer learnt: slow is not wrong. */
static weft_status learn(weft_trainer *t, int64_t n_updates, weft_sanity *result)
{
    weft_batch batch;
    double loss, lr, norm, least = INFINITY, least_before = INFINITY;
    weft_prefetch_next(t->prefetch, &batch);
    const double tokens = (double)batch.target.N;
    result->sentences = batch.target.B;
    result->tokens = batch.target.N;
    result->uniform_loss = log((double)weft_vocab_size(t->model->target_vocab));
    for (int64_t i = 0;; i++) {
        weft_status status = weft_trainer_gradient(t, &batch, &loss);
        if (status != WEFT_OK) return status;
        result->updates = i;
        result->last_loss = loss / tokens;
        result->learns = result->last_loss < result->uniform_loss / 10;
        least = fmin(least, result->last_loss);
        if (i == 0) {
            result->first_loss = loss / tokens;
            status = measure(t->model->params, 1 / tokens, result);
        } else if (i % WEFT_SANITY_UPDATES == 0) {
            if (least > 0.9 * least_before) return WEFT_OK;
            least_before = least;
        }
        if (result->learns || i == n_updates) return status;
        if (status == WEFT_OK) status = weft_trainer_apply(t, batch.target.N, &lr, &norm);
        if (status != WEFT_OK) return status;
    }
}

weft_status weft_sanity_check(const weft_config *config, int64_t n_updates, weft_sanity *result)
{
    *result = (weft_sanity){ 0 };
    if (n_updates < 1)
        return weft_error(WEFT_ERR_RANGE, "sanity: %lld updates", (long long)n_updates);
    const weft_config own = plain(config);
    weft_trainer *trainer = NULL;
    weft_status status = weft_trainer_new(&own, &trainer);
    if (status == WEFT_OK) status = learn(trainer, n_updates, result);
    result->starts_blind = result->first_loss > result->uniform_loss - 1;
    result->starts_even = result->first_loss < result->uniform_loss + 1;
    weft_trainer_free(trainer);
    if (status != WEFT_OK) weft_sanity_free(result);
    return status;
}

void weft_sanity_free(weft_sanity *result)
{
    weft_free(result->layers);
    *result = (weft_sanity){ 0 };
}
