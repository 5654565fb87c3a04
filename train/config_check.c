/* config_check.c - do the values of a configuration fit together? */
#include "data/vocab.h"
#include "train/config.h"

/* Keys of a task alone. */
static weft_status check_task(const weft_config *config)
{
    const bool vocab =
        config->data.vocab == WEFT_CONFIG_CHAR; /* pieces of its words are possible */
    if (config->data.task[0] != '\0' && (vocab || config->data.tokenise != WEFT_CONFIG_SPACE))
        return weft_error(WEFT_ERR_INPUT,
                          "data.%s is set beside data.task = %s, which says itself what its tokens "
                          "are",
                          vocab ? "vocab" : "tokenise", config->data.task);
    if (config->data.task[0] != '\0') return WEFT_OK;
    const struct {
        const char *name;
        int64_t value;
    } keys[] = { { "length", config->data.length },
                 { "test_length", config->data.test_length },
                 { "task_k", config->data.task_k } };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (keys[i].value != 0)
            return weft_error(WEFT_ERR_INPUT, "data.%s = %lld is set without data.task",
                              keys[i].name, (long long)keys[i].value);
    return WEFT_OK;
}

static weft_status check_data(const weft_config *config)
{
    const bool files = config->data.train[0] != '\0', task = config->data.task[0] != '\0';
    const bool src = config->data.src[0] != '\0', tgt = config->data.tgt[0] != '\0';
    if (!files && !task) {
        return weft_error(WEFT_ERR_INPUT, "nothing to train on: set data.train or data.task");
    }
    if (files && task) {
        return weft_error(WEFT_ERR_INPUT, "data.train = %s and data.task = %s: only one of the two",
                          config->data.train, config->data.task);
    }
    if (task && (config->data.valid[0] != '\0' || config->data.test[0] != '\0'))
        return weft_error(
            WEFT_ERR_INPUT,
            "data.%s is set beside data.task = %s, which brings its own held-out text",
            config->data.valid[0] != '\0' ? "valid" : "test", config->data.task);
    if (config->model.kind == WEFT_CONFIG_DECODER_ONLY &&
        (src || tgt || config->data.test[0] != '\0'))
        return weft_error(WEFT_ERR_INPUT,
                          "data.%s is set for model.kind = decoder-only, which does not use it",
                          src   ? "src"
                          : tgt ? "tgt"
                                : "test");
    if (src != tgt) {
        return weft_error(WEFT_ERR_INPUT, "data.%s is set without data.%s", src ? "src" : "tgt",
                          src ? "tgt" : "src");
    }
    return WEFT_OK;
}

/* Files after the first need the first; and weights a file. */
static weft_status check_corpora(const weft_config *config)
{
    for (int i = 0; i < WEFT_CONFIG_CORPORA - 1; i++) {
        const bool given = config->data.more[i][0] != '\0';
        if (given && config->data.train[0] == '\0')
            return weft_error(WEFT_ERR_INPUT, "data.train%d is set without data.train", i + 2);
        if (!given && config->data.weight[i + 1] != 1)
            return weft_error(WEFT_ERR_INPUT, "data.weight%d = %g is set without data.train%d",
                              i + 2, config->data.weight[i + 1], i + 2);
    }
    if (config->data.weight[0] != 1 && config->data.train[0] == '\0')
        return weft_error(WEFT_ERR_INPUT, "data.weight = %g is set without data.train",
                          config->data.weight[0]);
    if (config->data.max_ratio > 0 && config->data.max_ratio < 1)
        return weft_error(WEFT_ERR_INPUT,
                          "data.max_ratio = %g: 0, or a number from 1 on, is needed",
                          config->data.max_ratio);
    return WEFT_OK;
}

static weft_status check_bpe(const weft_config *config)
{
    const bool codes = config->data.codes[0] != '\0', codes_tgt = config->data.codes_tgt[0] != '\0';
    const long long max_vocab = config->data.max_vocab;
    enum { N_FIXED = WEFT_FIRST_BYTE + WEFT_N_BYTES };
    if (config->data.vocab != WEFT_CONFIG_BPE) {
        if (!codes && !codes_tgt && config->data.bpe_dropout == 0) return WEFT_OK;
        return weft_error(WEFT_ERR_INPUT, "data.%s needs data.vocab = bpe",
                          codes       ? "codes"
                          : codes_tgt ? "codes_tgt"
                                      : "bpe_dropout");
    }
    if (max_vocab > 0 && max_vocab <= N_FIXED) {
        return weft_error(
            WEFT_ERR_INPUT,
            "data.max_vocab = %lld is too small for data.vocab = bpe: %d are bytes and "
            "special tokens",
            max_vocab, N_FIXED);
    }
    if (config->data.merges == 0 && max_vocab == 0 && !codes) {
        return weft_error(WEFT_ERR_INPUT, "data.merges = 0 needs data.max_vocab or data.codes");
    }
    if (codes_tgt && (config->data.joint_vocab || !codes)) {
        return weft_error(WEFT_ERR_INPUT, "data.codes_tgt needs data.codes, and data.joint_vocab = "
                                          "false");
    }
    if (config->data.bpe_dropout > 0 && config->model.kind == WEFT_CONFIG_DECODER_ONLY) {
        return weft_error(WEFT_ERR_INPUT,
                          "data.bpe_dropout = %g is for sentence pairs: it needs "
                          "model.kind = encoder-decoder",
                          config->data.bpe_dropout);
    }
    return WEFT_OK;
}

static weft_status check_rope(const weft_config *config)
{
    static const char *const names[] = { "none", "linear", "ntk", "dynamic", "yarn" };
    const weft_position_scaling scaling = config->model.rope_scaling;
    const long long K = config->model.d_model / config->model.heads;
    const bool rope = config->model.position == WEFT_CONFIG_ROPE;
    const bool by_factor =
        scaling == WEFT_SCALE_LINEAR || scaling == WEFT_SCALE_NTK || scaling == WEFT_SCALE_YARN;
    const bool by_length = scaling == WEFT_SCALE_DYNAMIC || scaling == WEFT_SCALE_YARN;
    if (scaling != WEFT_UNSCALED && !rope)
        return weft_error(WEFT_ERR_INPUT, "model.rope_scaling = %s needs model.position = rope",
                          names[scaling]);
    if (config->model.rope_factor != 1 && !by_factor)
        return weft_error(WEFT_ERR_INPUT,
                          "model.rope_factor = %g needs model.rope_scaling = linear, ntk or yarn",
                          config->model.rope_factor);
    if (config->model.rope_length != 0 && !by_length)
        return weft_error(WEFT_ERR_INPUT,
                          "model.rope_length = %lld needs model.rope_scaling = dynamic or yarn",
                          (long long)config->model.rope_length);
    if (config->model.rope_length == 0 && by_length)
        return weft_error(WEFT_ERR_INPUT,
                          "model.rope_scaling = %s needs model.rope_length, the tokens that the "
                          "model was trained on",
                          names[scaling]);
    if (rope && config->model.mixer != WEFT_CONFIG_ATTENTION)
        return weft_error(WEFT_ERR_INPUT, "model.position = rope turns queries and keys of "
                                          "self-attention, and model.mixer puts another layer in "
                                          "its place");
    if (rope && K % 2 != 0)
        return weft_error(WEFT_ERR_INPUT,
                          "model.position = rope turns pairs of channels: model.d_model / "
                          "model.heads = %lld must be even",
                          K);
    if (K < 4 && (scaling == WEFT_SCALE_NTK || scaling == WEFT_SCALE_DYNAMIC))
        return weft_error(WEFT_ERR_INPUT,
                          "model.rope_scaling = %s needs two frequencies: model.d_model / "
                          "model.heads = %lld must be at least 4",
                          names[scaling], K);
    return WEFT_OK;
}

static bool is_exact(weft_config_attention is)
{
    return is == WEFT_CONFIG_FULL || is >= WEFT_CONFIG_WINDOW;
}

/* Keys of one kind of attention beside another kind. */
static weft_status check_strays(const weft_config *config)
{
    const weft_config_attention is = config->model.attention;
    weft_config usual;
    weft_config_init(&usual);
    const struct {
        const char *name, *needs;
        bool set, used;
    } keys[] = {
#define KEY(key, needs, used) { #key, needs, config->model.key != usual.model.key, used }
        KEY(features, "performer", is == WEFT_CONFIG_PERFORMER),
        KEY(feature_kind, "performer", is == WEFT_CONFIG_PERFORMER),
        KEY(redraw, "performer, lsh, probsparse or probsparse_causal",
            !is_exact(is) && is != WEFT_CONFIG_LINEAR_ATTENTION && is != WEFT_CONFIG_LINFORMER),
        KEY(lsh_rounds, "lsh", is == WEFT_CONFIG_LSH),
        KEY(lsh_chunk, "lsh", is == WEFT_CONFIG_LSH),
        KEY(linformer_k, "linformer", is == WEFT_CONFIG_LINFORMER),
        KEY(linformer_length, "linformer", is == WEFT_CONFIG_LINFORMER),
        KEY(linformer_share, "linformer", is == WEFT_CONFIG_LINFORMER),
        KEY(window, "window, dilated or longformer",
            is == WEFT_CONFIG_WINDOW || is == WEFT_CONFIG_DILATED || is == WEFT_CONFIG_LONGFORMER),
        KEY(gap, "dilated", is == WEFT_CONFIG_DILATED),
        KEY(stride, "strided or fixed", is == WEFT_CONFIG_STRIDED || is == WEFT_CONFIG_FIXED),
        KEY(summary, "fixed", is == WEFT_CONFIG_FIXED),
        KEY(block, "bigbird or blocks", is == WEFT_CONFIG_BIGBIRD || is == WEFT_CONFIG_BLOCKS),
        KEY(window_blocks, "bigbird", is == WEFT_CONFIG_BIGBIRD),
        KEY(global_blocks, "bigbird", is == WEFT_CONFIG_BIGBIRD),
        KEY(random_blocks, "bigbird", is == WEFT_CONFIG_BIGBIRD),
        KEY(global_tokens, "window, dilated, strided, fixed, longformer or blocks",
            is >= WEFT_CONFIG_WINDOW && is != WEFT_CONFIG_BIGBIRD),
        KEY(probsparse_factor, "probsparse or probsparse_causal",
            is == WEFT_CONFIG_PROBSPARSE || is == WEFT_CONFIG_PROBSPARSE_CAUSAL),
#undef KEY
    };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (keys[i].set && !keys[i].used)
            return weft_error(WEFT_ERR_INPUT, "model.%s needs model.attention = %s", keys[i].name,
                              keys[i].needs);
    return WEFT_OK;
}

/* What a layer in place of self-attention has not. */
static weft_status check_mixer(const weft_config *config)
{
    if (config->model.mixer == WEFT_CONFIG_ATTENTION) return WEFT_OK;
    if (config->model.kv_heads > 0)
        return weft_error(WEFT_ERR_INPUT,
                          "model.kv_heads = %lld groups the heads of self-attention: it needs "
                          "model.mixer = attention",
                          (long long)config->model.kv_heads);
    if (config->model.value_width > 0)
        return weft_error(WEFT_ERR_INPUT,
                          "model.value_width = %lld is that of heads of self-attention: it needs "
                          "model.mixer = attention",
                          (long long)config->model.value_width);
    if (config->model.qk_norm)
        return weft_error(WEFT_ERR_INPUT, "model.qk_norm normalises queries and keys of "
                                          "self-attention: it needs model.mixer = attention");
    return WEFT_OK;
}

/* A list of blocks, and only where it is asked for. */
static weft_status check_blocks(const weft_config *config)
{
    int32_t offsets[WEFT_BLOCK_OFFSETS];
    const char *blocks = config->model.blocks;
    if (config->model.attention != WEFT_CONFIG_BLOCKS)
        return blocks[0] == '\0'
                   ? WEFT_OK
                   : weft_error(WEFT_ERR_INPUT, "model.blocks needs model.attention = blocks");
    return weft_config_blocks(config, offsets) > 0
               ? WEFT_OK
               : weft_error(WEFT_ERR_INPUT,
                            "model.blocks = %s must be at most %d whole numbers that rise, "
                            "with 0, a token's own block, among them: -4,-1,0, say",
                            blocks[0] == '\0' ? "(nothing)" : blocks, WEFT_BLOCK_OFFSETS);
}

/* Patterns, biases and weights of exact attention. */
static weft_status check_exact(const weft_config *config)
{
    const weft_config_attention is = config->model.attention;
    const weft_config_position position = config->model.position;
    const bool relative =
        position == WEFT_CONFIG_ALIBI || position == WEFT_CONFIG_T5 || position == WEFT_CONFIG_SHAW;
    const bool exact = is_exact(is) && config->model.mixer == WEFT_CONFIG_ATTENTION;
    if (relative && !exact)
        return weft_error(WEFT_ERR_INPUT,
                          "model.position = %s is added to the scores of exact attention: it needs "
                          "model.attention = full or a pattern",
                          position == WEFT_CONFIG_ALIBI ? "alibi"
                          : position == WEFT_CONFIG_T5  ? "t5"
                                                        : "shaw");
    if (config->model.attention_weights == WEFT_SIGMOID && !exact)
        return weft_error(WEFT_ERR_INPUT,
                          "model.attention_weights = sigmoid needs exact attention: "
                          "model.attention = full or a pattern");
    if (config->model.sigmoid_bias != 0 && config->model.attention_weights != WEFT_SIGMOID)
        return weft_error(WEFT_ERR_INPUT,
                          "model.sigmoid_bias = %g needs model.attention_weights = sigmoid",
                          config->model.sigmoid_bias);
    if (!config->model.sigmoid_bias_auto && config->model.attention_weights != WEFT_SIGMOID)
        return weft_error(WEFT_ERR_INPUT, "model.sigmoid_bias_auto = false needs "
                                          "model.attention_weights = sigmoid");
    if (config->model.max_distance != 0 && position != WEFT_CONFIG_T5 &&
        position != WEFT_CONFIG_SHAW)
        return weft_error(WEFT_ERR_INPUT,
                          "model.max_distance = %lld needs model.position = t5 or shaw",
                          (long long)config->model.max_distance);
    if (is == WEFT_CONFIG_LONGFORMER && config->model.kind == WEFT_CONFIG_DECODER_ONLY)
        return weft_error(WEFT_ERR_INPUT,
                          "model.attention = longformer has global tokens that see the whole text, "
                          "so it needs an encoder: for model.kind = decoder-only take window");
    if (is == WEFT_CONFIG_LONGFORMER && config->model.global_tokens == 0)
        return weft_error(WEFT_ERR_INPUT, "model.attention = longformer needs model.global_tokens "
                                          "of at least 1");
    if (is == WEFT_CONFIG_FIXED && config->model.summary > config->model.stride)
        return weft_error(WEFT_ERR_INPUT,
                          "model.summary = %lld is more than the block of model.stride = %lld has",
                          (long long)config->model.summary, (long long)config->model.stride);
    if (config->model.window_blocks % 2 == 0)
        return weft_error(
            WEFT_ERR_INPUT,
            "model.window_blocks = %lld must be odd: a block and as many on each side",
            (long long)config->model.window_blocks);
    return check_blocks(config);
}

static weft_status check_approximation(const weft_config *config)
{
    static const char *const names[] = {
        "full",   "linear",  "performer", "lsh",   "linformer",  "probsparse", "probsparse_causal",
        "window", "dilated", "strided",   "fixed", "longformer", "bigbird",    "blocks"
    };
    const weft_config_attention is = config->model.attention;
    const bool grouped = config->model.kv_heads > 0 && config->model.kv_heads < config->model.heads;
    const weft_status status = check_strays(config);
    if (status != WEFT_OK || is == WEFT_CONFIG_FULL) return status;
    if (config->model.mixer != WEFT_CONFIG_ATTENTION)
        return weft_error(WEFT_ERR_INPUT, "model.attention = %s needs model.mixer = attention",
                          names[is]);
    if (is_exact(is)) return WEFT_OK;
    if (is == WEFT_CONFIG_LINFORMER && config->model.kind == WEFT_CONFIG_DECODER_ONLY)
        return weft_error(WEFT_ERR_INPUT,
                          "model.attention = linformer mixes all positions of a text, so it cannot "
                          "be causal: it needs model.kind = encoder-decoder, for its encoder");
    if (is == WEFT_CONFIG_LINFORMER && config->data.max_length + 1 > config->model.linformer_length)
        return weft_error(WEFT_ERR_INPUT,
                          "model.linformer_length = %lld is too small: data.max_length needs %lld",
                          (long long)config->model.linformer_length,
                          (long long)config->data.max_length + 1);
    if (is != WEFT_CONFIG_LINFORMER && config->model.attention_dropout > 0)
        return weft_error(WEFT_ERR_INPUT,
                          "model.attention = %s has no weights that model.attention_dropout = %g "
                          "could drop",
                          names[is], config->model.attention_dropout);
    if (grouped && is != WEFT_CONFIG_LINEAR_ATTENTION && is != WEFT_CONFIG_PERFORMER &&
        is != WEFT_CONFIG_LINFORMER)
        return weft_error(WEFT_ERR_INPUT,
                          "model.attention = %s needs as many heads of keys and values as of "
                          "queries, not model.kv_heads = %lld",
                          names[is], (long long)config->model.kv_heads);
    if (config->model.position != WEFT_CONFIG_ROPE) return WEFT_OK;
    if (is == WEFT_CONFIG_LINEAR_ATTENTION || is == WEFT_CONFIG_LINFORMER)
        return weft_error(WEFT_ERR_INPUT,
                          "model.attention = %s has no scores of single pairs, which "
                          "model.position = rope would make depend on the distance",
                          names[is]);
    if (config->model.rope_scaling == WEFT_SCALE_DYNAMIC)
        return weft_error(WEFT_ERR_INPUT,
                          "model.attention = %s keeps keys that are turned, which "
                          "model.rope_scaling = dynamic would turn anew",
                          names[is]);
    return WEFT_OK;
}

weft_status weft_config_check_model(const weft_config *config)
{
    const long long D = config->model.d_model, H = config->model.heads;
    const long long n_positions = config->model.max_positions;
    if (D % H != 0) {
        return weft_error(WEFT_ERR_INPUT,
                          "model.d_model = %lld must be divisible by model.heads = "
                          "%lld",
                          D, H);
    }
    if (config->model.kv_heads > 0 && H % config->model.kv_heads != 0)
        return weft_error(WEFT_ERR_INPUT,
                          "model.heads = %lld must be divisible by model.kv_heads = %lld", H,
                          (long long)config->model.kv_heads);
    if ((config->model.position == WEFT_CONFIG_SINUSOIDAL ||
         config->model.position == WEFT_CONFIG_SINUSOIDAL_HALF) &&
        D % 2 != 0) {
        return weft_error(WEFT_ERR_INPUT,
                          "model.d_model = %lld must be even: model.position = "
                          "sinusoidal has a sine and a cosine of each frequency",
                          D);
    }
    if (config->model.position == WEFT_CONFIG_LEARNED) {
        /* one more for the token that begins or ends a sentence */
        const long long n_data = config->data.max_length + 1;
        const long long n_decode = config->train.max_decode_length + 1;
        if (n_data > n_positions || n_decode > n_positions) {
            return weft_error(WEFT_ERR_INPUT,
                              "model.max_positions = %lld is too small for learned positions: %s "
                              "needs %lld",
                              n_positions,
                              n_data > n_positions ? "data.max_length" : "train.max_decode_length",
                              n_data > n_positions ? n_data : n_decode);
        }
    }
    if (config->model.tie == WEFT_CONFIG_TIE_ALL && !config->data.joint_vocab &&
        config->model.kind == WEFT_CONFIG_ENCODER_DECODER) {
        return weft_error(WEFT_ERR_INPUT,
                          "model.tie = all needs data.joint_vocab = true: one matrix "
                          "cannot serve two vocabularies");
    }
    if (config->model.norm == WEFT_CONFIG_DEEP_NORM &&
        config->model.init == WEFT_CONFIG_XAVIER_STACKED)
        return weft_error(
            WEFT_ERR_INPUT,
            "model.norm = deep draws values apart from queries and keys: model.init = "
            "xavier_stacked cannot be");
    weft_status status = check_rope(config);
    if (status == WEFT_OK) status = check_mixer(config);
    if (status == WEFT_OK) status = check_exact(config);
    return status == WEFT_OK ? check_approximation(config) : status;
}

static weft_status check_training(const weft_config *config)
{
    const long long n_updates = config->train.max_updates, n_warmup = config->optim.warmup;
    const weft_config_schedule schedule = config->optim.schedule;
    if (n_updates == 0 && config->train.max_minutes == 0 && config->train.target_exact == 0 &&
        config->train.patience == 0) {
        return weft_error(WEFT_ERR_INPUT,
                          "training would never end: set train.max_updates, "
                          "train.max_minutes, train.target_exact or train.patience");
    }
    if ((schedule == WEFT_CONFIG_COSINE || schedule == WEFT_CONFIG_LINEAR) &&
        n_warmup >= n_updates) {
        return weft_error(WEFT_ERR_INPUT,
                          "optim.warmup = %lld must be below train.max_updates = "
                          "%lld, where optim.schedule = %s ends",
                          n_warmup, n_updates,
                          schedule == WEFT_CONFIG_COSINE ? "cosine" : "linear");
    }
    if ((schedule == WEFT_CONFIG_NOAM || schedule == WEFT_CONFIG_INVERSE_SQRT) && n_warmup == 0) {
        return weft_error(WEFT_ERR_INPUT, "optim.warmup must be at least 1 for optim.schedule = %s",
                          schedule == WEFT_CONFIG_NOAM ? "noam" : "inverse_sqrt");
    }
    if (config->optim.lr_end > config->optim.lr) {
        return weft_error(WEFT_ERR_INPUT, "optim.lr_end = %g must not be above optim.lr = %g",
                          config->optim.lr_end, config->optim.lr);
    }
    if (config->optim.weight_decay > 0 && config->optim.kind == WEFT_CONFIG_ADAM) {
        return weft_error(WEFT_ERR_INPUT, "optim.weight_decay = %g needs optim.kind = adamw or sgd",
                          config->optim.weight_decay);
    }
    if (config->optim.momentum > 0 && config->optim.kind != WEFT_CONFIG_SGD) {
        return weft_error(WEFT_ERR_INPUT, "optim.momentum = %g needs optim.kind = sgd",
                          config->optim.momentum);
    }
    if (config->train.smoothing != WEFT_LABELS_UNIFORM && config->train.label_smoothing == 0)
        return weft_error(WEFT_ERR_INPUT,
                          "train.smoothing = %s needs train.label_smoothing above 0",
                          config->train.smoothing == WEFT_LABELS_OTHERS ? "others" : "annotated");
    return WEFT_OK;
}

/* What needs a text to validate on, and what the translations of one. */
static weft_status check_validation(const weft_config *config)
{
    const struct {
        const char *name;
        bool set;
    } keys[] = { { "target_exact", config->train.target_exact > 0 },
                 { "patience", config->train.patience > 0 },
                 { "samples", config->train.samples > 0 },
                 { "head_stats", config->train.head_stats },
                 { "monitor", config->train.monitor != WEFT_CONFIG_LOSS },
                 { "keep_best", config->train.keep_best > 1 } };
    const bool validates = config->data.valid[0] != '\0' || config->data.task[0] != '\0';
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (!validates && keys[i].set)
            return weft_error(WEFT_ERR_INPUT,
                              "train.%s needs data.valid: there is nothing to validate on",
                              keys[i].name);
    if (config->train.beam == 1 &&
        (config->train.penalty != WEFT_PENALTY_GNMT || config->train.length_penalty != 0))
        return weft_error(WEFT_ERR_INPUT,
                          "train.%s needs train.beam above 1: one hypothesis is not ranked",
                          config->train.length_penalty != 0 ? "length_penalty" : "penalty");
    if (config->train.monitor != WEFT_CONFIG_LOSS && config->model.kind == WEFT_CONFIG_DECODER_ONLY)
        return weft_error(WEFT_ERR_INPUT,
                          "train.monitor must be loss for model.kind = decoder-only: "
                          "nothing is translated");
    if (config->train.samples > 0 && config->model.kind == WEFT_CONFIG_DECODER_ONLY)
        return weft_error(WEFT_ERR_INPUT,
                          "train.samples = %lld is set for model.kind = "
                          "decoder-only, which translates nothing",
                          (long long)config->train.samples);
    return WEFT_OK;
}

weft_status weft_config_check(const weft_config *config)
{
    weft_status status = check_data(config);
    if (status == WEFT_OK) status = check_task(config);
    if (status == WEFT_OK) status = check_corpora(config);
    if (status == WEFT_OK) status = check_bpe(config);
    if (status == WEFT_OK) status = weft_config_check_model(config);
    if (status == WEFT_OK) status = check_training(config);
    if (status == WEFT_OK) status = check_validation(config);
    return status;
}
