/* model.c - from a configuration, or from a checkpoint, to a model. */
#include "train/model.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static weft_init init_of(const weft_config *config)
{
    if (config->model.init == WEFT_CONFIG_NORMAL) return (weft_init){ WEFT_INIT_NORMAL, 0.02, 0 };
    return (weft_init){ .kind = WEFT_INIT_XAVIER_UNIFORM };
}

static weft_sinusoid_spec frequencies_of(const weft_config *config)
{
    if (config->model.position != WEFT_CONFIG_ROPE) return (weft_sinusoid_spec){ 0 };
    return (weft_sinusoid_spec){ .base = config->model.rope_base,
                                 .scaling = config->model.rope_scaling,
                                 .factor = config->model.rope_factor,
                                 .length = config->model.rope_length };
}

static weft_approximation approximation_of(const weft_config *config)
{
    static const weft_approximation_kind kinds[] = {
        [WEFT_CONFIG_FULL] = WEFT_EXACT,
        [WEFT_CONFIG_LINEAR_ATTENTION] = WEFT_BY_FEATURES,
        [WEFT_CONFIG_PERFORMER] = WEFT_BY_RANDOM,
        [WEFT_CONFIG_LSH] = WEFT_BY_BUCKETS,
        [WEFT_CONFIG_LINFORMER] = WEFT_BY_PROJECTION,
        [WEFT_CONFIG_PROBSPARSE] = WEFT_BY_CHOICE,
        [WEFT_CONFIG_PROBSPARSE_CAUSAL] = WEFT_BY_CAUSAL_CHOICE,
        [WEFT_CONFIG_BLOCKS] = WEFT_EXACT, /* and those between */
    };
    static const weft_projection_sharing sharing[] = {
        [WEFT_CONFIG_HEADWISE] = WEFT_SHARE_HEADWISE,
        [WEFT_CONFIG_KV] = WEFT_SHARE_KV,
        [WEFT_CONFIG_LAYERWISE] = WEFT_SHARE_LAYERWISE,
    };
    return (weft_approximation){
        .kind = kinds[config->model.attention],
        .rounds = (int)config->model.lsh_rounds,
        .chunk = config->model.lsh_chunk,
        .features = config->model.features,
        .hyperbolic = config->model.feature_kind == WEFT_CONFIG_HYPERBOLIC,
        .k = config->model.linformer_k,
        .longest = config->model.linformer_length,
        .sharing = sharing[config->model.linformer_share],
        .factor = config->model.probsparse_factor,
        .redraw = config->model.redraw,
        .seed = (uint64_t)config->train.seed,
    };
}

static weft_exact_config exact_of(const weft_config *config)
{
    static const weft_pattern_kind kinds[] = {
        [WEFT_CONFIG_FULL] = WEFT_PATTERN_FULL,
        [WEFT_CONFIG_WINDOW] = WEFT_PATTERN_WINDOW,
        [WEFT_CONFIG_DILATED] = WEFT_PATTERN_DILATED,
        [WEFT_CONFIG_STRIDED] = WEFT_PATTERN_STRIDED,
        [WEFT_CONFIG_FIXED] = WEFT_PATTERN_FIXED,
        [WEFT_CONFIG_LONGFORMER] = WEFT_PATTERN_WINDOW,
        [WEFT_CONFIG_BIGBIRD] = WEFT_PATTERN_BIGBIRD,
        [WEFT_CONFIG_BLOCKS] = WEFT_PATTERN_BLOCKS,
    };
    const weft_config_position position = config->model.position;
    weft_exact_config exact = { .pattern = { .kind = kinds[config->model.attention],
                                             .window = config->model.window,
                                             .gap = config->model.gap,
                                             .stride = config->model.stride,
                                             .summary = config->model.summary,
                                             .block = config->model.block,
                                             .window_blocks = config->model.window_blocks,
                                             .global_blocks = config->model.global_blocks,
                                             .random_blocks = config->model.random_blocks,
                                             .seed = (uint64_t)config->train.seed,
                                             .n_global = config->model.global_tokens },
                                .weights = config->model.attention_weights,
                                .sigmoid_bias = config->model.sigmoid_bias,
                                .has_sigmoid_bias = config->model.sigmoid_bias != 0 ||
                                                    !config->model.sigmoid_bias_auto,
                                .reach = config->model.max_distance };
    exact.n_blocks = weft_config_blocks(config, exact.blocks);
    exact.global_projections = config->model.attention == WEFT_CONFIG_LONGFORMER;
    if (position == WEFT_CONFIG_ALIBI) exact.relative = WEFT_RELATIVE_ALIBI;
    if (position == WEFT_CONFIG_T5) exact.relative = WEFT_RELATIVE_T5;
    if (position == WEFT_CONFIG_SHAW) exact.relative = WEFT_RELATIVE_SHAW;
    if (exact.reach == 0) exact.reach = position == WEFT_CONFIG_T5 ? 128 : 16;
    return exact;
}

weft_transformer_config weft_model_shape(const weft_config *config, int64_t source_V,
                                         int64_t target_V)
{
    static const weft_tie ties[] = { [WEFT_CONFIG_TIE_NONE] = WEFT_TIE_NONE,
                                     [WEFT_CONFIG_TIE_TARGET] = WEFT_TIE_TARGET,
                                     [WEFT_CONFIG_TIE_ALL] = WEFT_TIE_ALL };
    static const weft_position_kind positions[] = {
        [WEFT_CONFIG_SINUSOIDAL] = WEFT_POSITION_SINUSOIDAL,
        [WEFT_CONFIG_SINUSOIDAL_HALF] = WEFT_POSITION_SINUSOIDAL_HALF,
        [WEFT_CONFIG_LEARNED] = WEFT_POSITION_LEARNED,
        [WEFT_CONFIG_ROPE] = WEFT_POSITION_ROTARY,
        [WEFT_CONFIG_ALIBI] = WEFT_POSITION_NONE, /* attention has them */
        [WEFT_CONFIG_T5] = WEFT_POSITION_NONE,
        [WEFT_CONFIG_SHAW] = WEFT_POSITION_NONE,
        [WEFT_CONFIG_NO_POSITION] = WEFT_POSITION_NONE
    };
    static const weft_norm_place places[] = { [WEFT_CONFIG_POST_NORM] = WEFT_POST_NORM,
                                              [WEFT_CONFIG_PRE_NORM] = WEFT_PRE_NORM,
                                              [WEFT_CONFIG_HYBRID_NORM] = WEFT_HYBRID_NORM,
                                              [WEFT_CONFIG_SANDWICH_NORM] = WEFT_SANDWICH_NORM,
                                              [WEFT_CONFIG_DEEP_NORM] = WEFT_DEEP_NORM };
    static const weft_activation activations[] = {
        [WEFT_CONFIG_RELU] = WEFT_RELU,           [WEFT_CONFIG_GELU] = WEFT_GELU,
        [WEFT_CONFIG_GELU_TANH] = WEFT_GELU_TANH, [WEFT_CONFIG_SILU] = WEFT_SILU,
        [WEFT_CONFIG_GLU] = WEFT_LOGISTIC,        [WEFT_CONFIG_REGLU] = WEFT_RELU,
        [WEFT_CONFIG_GEGLU] = WEFT_GELU,          [WEFT_CONFIG_SWIGLU] = WEFT_SILU
    };
    static const weft_cell cells[] = { [WEFT_CONFIG_RNN] = WEFT_CELL_TANH,
                                       [WEFT_CONFIG_LSTM] = WEFT_CELL_LSTM,
                                       [WEFT_CONFIG_GRU] = WEFT_CELL_GRU,
                                       [WEFT_CONFIG_GRU_BEFORE] = WEFT_CELL_GRU_BEFORE };
    const bool recurrent = config->model.mixer != WEFT_CONFIG_ATTENTION;
    const weft_layer_config layer = {
        .mixer = recurrent ? WEFT_MIX_RECURRENT : WEFT_MIX_ATTENTION,
        .cell = recurrent ? cells[config->model.mixer] : WEFT_CELL_TANH,
        .D = config->model.d_model,
        .F = config->model.ffn,
        .heads = (int)config->model.heads,
        .kv_heads = (int)config->model.kv_heads,
        .value_width = config->model.value_width,
        .place = places[config->model.norm],
        .norm = { config->model.norm_kind == WEFT_CONFIG_LAYER_NORM ? WEFT_LAYER_NORM
                                                                    : WEFT_RMS_NORM,
                  config->model.norm_eps },
        .one_gain = config->model.norm_kind == WEFT_CONFIG_SCALE_NORM,
        .qk_norm = config->model.qk_norm,
        .layer_scale = config->model.layer_scale,
        .activation = activations[config->model.activation],
        .gated = config->model.activation >= WEFT_CONFIG_GLU,
        .dropout = config->model.dropout,
        .attention_dropout = config->model.attention_dropout,
        .activation_dropout = config->model.activation_dropout,
        .init = init_of(config),
        .init_stacked = config->model.init == WEFT_CONFIG_XAVIER_STACKED,
        .rotary_halves = config->model.rope_layout == WEFT_CONFIG_HALF,
        .approximation = approximation_of(config),
        .exact = exact_of(config),
    };
    return (weft_transformer_config){
        .decoder_only = config->model.kind == WEFT_CONFIG_DECODER_ONLY,
        .layer = layer,
        .encoder_layers = (int)config->model.encoder_layers,
        .decoder_layers = (int)config->model.decoder_layers,
        .source_V = source_V,
        .target_V = target_V,
        .tie = ties[config->model.tie],
        .final_norm = config->model.final_norm,
        .no_embed_scale = !config->model.embed_scale,
        .position = positions[config->model.position],
        .max_positions = config->model.max_positions,
        .frequencies = frequencies_of(config),
        .embedding_std = config->model.init == WEFT_CONFIG_NORMAL ? 0.02 : 0,
        .loss = { .smoothing = config->train.label_smoothing,
                  .kind = config->train.smoothing,
                  .never = WEFT_BOS },
    };
}

weft_status weft_model_new(const weft_config *config, weft_vocab *source, weft_vocab *target,
                           weft_model **model)
{
    *model = NULL;
    weft_model *made = weft_alloc(1, sizeof *made);
    if (!made) return WEFT_ERR_MEMORY;
    made->config = *config;
    made->params = weft_params_new((uint64_t)config->train.seed);
    weft_status status = made->params ? WEFT_OK : WEFT_ERR_MEMORY;
    if (status == WEFT_OK) {
        const weft_transformer_config shape =
            weft_model_shape(config, source ? weft_vocab_size(source) : 0, weft_vocab_size(target));
        status = weft_transformer_init(&made->transformer, made->params, &shape);
    }
    if (status != WEFT_OK) {
        weft_model_free(made);
        return status;
    }
    made->source_vocab = source;
    made->target_vocab = target;
    *model = made;
    return WEFT_OK;
}

void weft_model_free(weft_model *model)
{
    if (!model) return;
    if (model->source_vocab != model->target_vocab) weft_vocab_free(model->source_vocab);
    weft_vocab_free(model->target_vocab);
    weft_params_free(model->params);
    weft_free(model);
}

enum { PATH_BYTES = 4096 };

/* "DIR/checkpoint.h5, source_vocab": the name of a text in messages. */
static const char *text_name(const weft_checkpoint_file *file, const char *name,
                             char buf[PATH_BYTES])
{
    snprintf(buf, PATH_BYTES, "%s, %s", weft_store_path(weft_checkpoint_store(file)), name);
    return buf;
}

static weft_status read_vocab(const weft_checkpoint_file *file, const char *name,
                              weft_vocab **vocab)
{
    char *text = NULL, buf[PATH_BYTES];
    weft_status status = weft_checkpoint_get_text(file, name, &text);
    if (status == WEFT_OK) status = weft_vocab_parse(text, text_name(file, name, buf), vocab);
    weft_free(text);
    return status;
}

/* A configuration that cannot be read may be that of another version. */
static weft_status tell_version(const weft_checkpoint_file *file, weft_status status)
{
    char *numerics = NULL, own[64];
    char message[1024];
    snprintf(message, sizeof message, "%s", weft_message());
    snprintf(own, sizeof own, "weft %s,", WEFT_VERSION);
    if (weft_checkpoint_get_text(file, "numerics", &numerics) == WEFT_OK &&
        strncmp(numerics, own, strlen(own)) != 0)
        status = weft_error(status, "%s (the file was written by %.*s, this is weft %s)", message,
                            (int)strcspn(numerics, ","), numerics, WEFT_VERSION);
    else
        status = weft_error(status, "%s", message);
    weft_free(numerics);
    return status;
}

weft_status weft_model_config(const weft_checkpoint_file *file, weft_config *config)
{
    char *text = NULL, buf[PATH_BYTES];
    weft_config_init(config);
    weft_status status = weft_checkpoint_get_text(file, "config", &text);
    if (status == WEFT_OK) status = weft_config_parse(config, text, text_name(file, "config", buf));
    weft_free(text);
    return status == WEFT_OK ? WEFT_OK : tell_version(file, status);
}

weft_status weft_model_read_params(const weft_checkpoint_file *file, weft_params *params)
{
    if (!weft_checkpoint_has_block(file, WEFT_RUNNING_AVERAGE))
        return weft_checkpoint_load_params(file, params);
    const weft_status status =
        weft_checkpoint_load_block(file, WEFT_RUNNING_AVERAGE, params, weft_params_values(params));
    if (status == WEFT_OK) weft_params_changed(params);
    return status;
}

weft_status weft_model_read(const weft_checkpoint_file *file, const weft_config *config,
                            weft_model **model)
{
    weft_config own;
    weft_vocab *source = NULL, *target = NULL;
    weft_model *made = NULL;
    *model = NULL;
    weft_status status = config ? WEFT_OK : weft_model_config(file, &own);
    if (!config) config = &own;
    if (status == WEFT_OK) status = read_vocab(file, "target_vocab", &target);
    if (status == WEFT_OK && config->model.kind == WEFT_CONFIG_ENCODER_DECODER) {
        if (config->data.joint_vocab) {
            source = target;
        } else {
            status = read_vocab(file, "source_vocab", &source);
        }
    }
    if (status == WEFT_OK) status = weft_model_new(config, source, target, &made);
    if (status != WEFT_OK) {
        if (source != target) weft_vocab_free(source);
        weft_vocab_free(target);
    }
    if (status == WEFT_OK) status = weft_model_read_params(file, made->params);
    if (status != WEFT_OK) {
        weft_model_free(made);
        return status;
    }
    *model = made;
    return WEFT_OK;
}

static bool is_there(const char *path, bool *folder)
{
    struct stat about;
    if (stat(path, &about) != 0) return false;
    *folder = S_ISDIR(about.st_mode);
    return true;
}

weft_status weft_model_open(const char *path, weft_checkpoint_file **file)
{
    char inside[PATH_BYTES];
    bool folder = false;
    *file = NULL;
    if (!is_there(path, &folder))
        return weft_error(WEFT_ERR_INPUT, "%s: there is no such folder or file", path);
    if (!folder) return weft_checkpoint_open(path, file);
    static const char *const names[] = { "best.h5", "checkpoint.h5" };
    bool unused;
    for (size_t i = 0; i < 2; i++) {
        const int n = snprintf(inside, sizeof inside, "%s/%s", path, names[i]);
        if (n >= PATH_BYTES) return weft_error(WEFT_ERR_INPUT, "%s: the path is too long", path);
        if (is_there(inside, &unused)) return weft_checkpoint_open(inside, file);
    }
    return weft_error(WEFT_ERR_INPUT, "%s: there is no checkpoint in it", path);
}

weft_status weft_model_load(const char *path, weft_model **model)
{
    weft_checkpoint_file *file = NULL;
    *model = NULL;
    weft_status status = weft_model_open(path, &file);
    if (status == WEFT_OK) status = weft_model_read(file, NULL, model);
    weft_checkpoint_close(file);
    return status;
}
