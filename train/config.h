/* config.h - everything that decides a training run, as plain fields.
 *
 * One table in config.c describes every key: it serves parsing, checking, `--set`, the text that
 * goes into a checkpoint, and docs/configuration.md, which has the meaning of each field. Defaults
 * are those of "Attention Is All You Need" (Vaswani et al. 2017). */
#ifndef WEFT_TRAIN_CONFIG_H
#define WEFT_TRAIN_CONFIG_H

#include "../autograd/autograd.h"
#include "../core/core.h"
#include "decode.h"

/* Room for a text or path with its zero byte. A line of a configuration file has at most 198 bytes
 * (a limit of inih), so a longer path could not be read back. */
enum { WEFT_CONFIG_TEXT = 176 };

enum { WEFT_CONFIG_CORPORA = 4 }; /* that training may read */

typedef enum weft_config_vocab {
    WEFT_CONFIG_WORD,
    WEFT_CONFIG_CHAR,
    WEFT_CONFIG_BPE
} weft_config_vocab;
typedef enum weft_config_words { WEFT_CONFIG_SPACE, WEFT_CONFIG_PUNCT } weft_config_words;
typedef enum weft_config_model {
    WEFT_CONFIG_ENCODER_DECODER,
    WEFT_CONFIG_DECODER_ONLY
} weft_config_model;
typedef enum weft_config_norm {
    WEFT_CONFIG_POST_NORM,
    WEFT_CONFIG_PRE_NORM,
    WEFT_CONFIG_HYBRID_NORM,
    WEFT_CONFIG_SANDWICH_NORM,
    WEFT_CONFIG_DEEP_NORM
} weft_config_norm;
typedef enum weft_config_norm_kind {
    WEFT_CONFIG_LAYER_NORM,
    WEFT_CONFIG_RMS_NORM,
    WEFT_CONFIG_SCALE_NORM
} weft_config_norm_kind;
typedef enum weft_config_activation {
    WEFT_CONFIG_RELU,
    WEFT_CONFIG_GELU,
    WEFT_CONFIG_GELU_TANH,
    WEFT_CONFIG_SILU,
    WEFT_CONFIG_GLU, /* from here on gated */
    WEFT_CONFIG_REGLU,
    WEFT_CONFIG_GEGLU,
    WEFT_CONFIG_SWIGLU
} weft_config_activation;
typedef enum weft_config_position {
    WEFT_CONFIG_SINUSOIDAL,
    WEFT_CONFIG_SINUSOIDAL_HALF,
    WEFT_CONFIG_LEARNED,
    WEFT_CONFIG_ROPE,
    WEFT_CONFIG_ALIBI,
    WEFT_CONFIG_T5,
    WEFT_CONFIG_SHAW,
    WEFT_CONFIG_NO_POSITION
} weft_config_position;
typedef enum weft_config_rope { WEFT_CONFIG_INTERLEAVED, WEFT_CONFIG_HALF } weft_config_rope;
typedef enum weft_config_tie {
    WEFT_CONFIG_TIE_NONE,
    WEFT_CONFIG_TIE_TARGET, /* target embedding and output projection (Press & Wolf 2017) */
    WEFT_CONFIG_TIE_ALL     /* the source embedding too */
} weft_config_tie;
typedef enum weft_config_init {
    WEFT_CONFIG_XAVIER, /* each [D, D] block of in_proj by itself, as the paper's reference */
    WEFT_CONFIG_XAVIER_STACKED, /* over [3D, D], as nn.Transformer */
    WEFT_CONFIG_NORMAL          /* N(0, 0.02), as GPT-2 */
} weft_config_init_kind;
typedef enum weft_config_mixer {
    WEFT_CONFIG_ATTENTION,
    WEFT_CONFIG_RNN,
    WEFT_CONFIG_LSTM,
    WEFT_CONFIG_GRU,
    WEFT_CONFIG_GRU_BEFORE
} weft_config_mixer;
typedef enum weft_config_attention {
    WEFT_CONFIG_FULL,
    WEFT_CONFIG_LINEAR_ATTENTION,
    WEFT_CONFIG_PERFORMER,
    WEFT_CONFIG_LSH,
    WEFT_CONFIG_LINFORMER,
    WEFT_CONFIG_PROBSPARSE,
    WEFT_CONFIG_PROBSPARSE_CAUSAL,
    WEFT_CONFIG_WINDOW, /* from here on exact, as full */
    WEFT_CONFIG_DILATED,
    WEFT_CONFIG_STRIDED,
    WEFT_CONFIG_FIXED,
    WEFT_CONFIG_LONGFORMER,
    WEFT_CONFIG_BIGBIRD,
    WEFT_CONFIG_BLOCKS
} weft_config_attention;
typedef enum weft_config_features {
    WEFT_CONFIG_POSITIVE,
    WEFT_CONFIG_HYPERBOLIC
} weft_config_features;
typedef enum weft_config_sharing {
    WEFT_CONFIG_HEADWISE,
    WEFT_CONFIG_KV,
    WEFT_CONFIG_LAYERWISE
} weft_config_sharing;
typedef enum weft_config_precision { WEFT_CONFIG_FLOAT, WEFT_CONFIG_BF16 } weft_config_precision;
typedef enum weft_config_monitor {
    WEFT_CONFIG_LOSS, /* the only one where less is better */
    WEFT_CONFIG_BLEU,
    WEFT_CONFIG_CHRF,
    WEFT_CONFIG_EXACT
} weft_config_monitor;
typedef enum weft_config_optim {
    WEFT_CONFIG_ADAM,
    WEFT_CONFIG_ADAMW,
    WEFT_CONFIG_SGD
} weft_config_optim;
typedef enum weft_config_schedule {
    WEFT_CONFIG_NOAM,
    WEFT_CONFIG_INVERSE_SQRT,
    WEFT_CONFIG_COSINE,
    WEFT_CONFIG_LINEAR,
    WEFT_CONFIG_CONSTANT
} weft_config_schedule;

typedef struct weft_config {
    struct {
        char train[WEFT_CONFIG_TEXT], valid[WEFT_CONFIG_TEXT], test[WEFT_CONFIG_TEXT]; /* paths */
        char more[WEFT_CONFIG_CORPORA - 1][WEFT_CONFIG_TEXT]; /* train2, train3, train4 */
        double weight[WEFT_CONFIG_CORPORA];
        char src[WEFT_CONFIG_TEXT], tgt[WEFT_CONFIG_TEXT]; /* suffixes; "" for one .tsv */
        char task[WEFT_CONFIG_TEXT];                       /* "" for files */
        weft_config_vocab vocab;
        weft_config_words tokenise;
        char codes[WEFT_CONFIG_TEXT], codes_tgt[WEFT_CONFIG_TEXT]; /* paths */
        bool lowercase, joint_vocab;
        int64_t length, test_length, task_k; /* of the task */
        int64_t merges, min_count, max_vocab, max_length, train_size, valid_size;
        double bpe_dropout, max_ratio;
    } data;
    struct {
        weft_config_model kind;
        int64_t d_model, ffn, heads, kv_heads, value_width, encoder_layers, decoder_layers,
            max_positions;
        double dropout, attention_dropout, activation_dropout;
        weft_config_activation activation;
        weft_config_norm norm;
        weft_config_norm_kind norm_kind;
        double norm_eps, layer_scale;
        bool final_norm, qk_norm, embed_scale;
        weft_config_position position;
        weft_config_rope rope_layout;
        weft_position_scaling rope_scaling;
        double rope_base, rope_factor;
        int64_t rope_length;
        weft_config_tie tie;
        weft_config_init_kind init;
        weft_config_mixer mixer;
        weft_config_attention attention;
        int64_t window, gap, stride, summary, block, window_blocks, global_blocks, random_blocks,
            global_tokens, max_distance;
        char blocks[WEFT_CONFIG_TEXT];
        weft_weights_kind attention_weights;
        double sigmoid_bias;
        bool sigmoid_bias_auto;
        weft_config_features feature_kind;
        weft_config_sharing linformer_share;
        int64_t features, redraw, lsh_rounds, lsh_chunk, linformer_k, linformer_length;
        double probsparse_factor;
    } model;
    struct {
        char init[WEFT_CONFIG_TEXT]; /* path */
        double max_minutes;
        int64_t max_updates, batch_tokens, seed, accumulate, log_every, validate_every,
            checkpoint_every, keep, keep_best, max_decode_length, validate_sentences, beam,
            patience;
        double label_smoothing, target_exact, ema, length_penalty;
        weft_label_smoothing smoothing;
        weft_length_penalty penalty;
        weft_config_monitor monitor;
        weft_config_precision precision;
        int64_t samples;
        bool check_finite, head_stats, report;
    } train;
    struct {
        weft_config_optim kind;
        weft_config_schedule schedule;
        double lr, lr_end, beta1, beta2, eps, momentum, weight_decay, clip;
        int64_t warmup;
    } optim;
} weft_config;

/** Every key at its default. */
void weft_config_init(weft_config *config);

/** Read an INI file on top of `config`. Strict: an unknown section or key (with the nearest known
 *  one), a key given twice, a value of the wrong type or out of range is WEFT_ERR_INPUT with file,
 *  line, key and what is allowed. After an error `config` is as it was. */
weft_status weft_config_read(weft_config *config, const char *path) WEFT_MUST_CHECK;
/** The same from text in memory; `name` stands for the file in messages. */
weft_status weft_config_parse(weft_config *config, const char *text,
                              const char *name) WEFT_MUST_CHECK;
/** One assignment, "section.key=value", as the option --set has it. */
weft_status weft_config_set(weft_config *config, const char *assignment) WEFT_MUST_CHECK;

/** The numbers of model.blocks, in their order: how many, 0 for none; -1 where it is no list of at most
 *  WEFT_BLOCK_OFFSETS whole numbers between -65536 and 65536 that rise, with 0 among them. */
int weft_config_blocks(const weft_config *config, int32_t offsets[]);
/** Do the values fit together? WEFT_ERR_INPUT with a sentence that names the keys. */
weft_status weft_config_check(const weft_config *config) WEFT_MUST_CHECK;

/** Tokens of a sentence beyond which it is taken for a mistake instead of being translated: ten times what
 *  the model was trained on. */
int64_t weft_config_longest(const weft_config *config);

/** The section [model] alone, for what needs no data. */
weft_status weft_config_check_model(const weft_config *config) WEFT_MUST_CHECK;

/** Make relative paths absolute, from `folder` on, so that they are the same from any other one. A path for
 *  which there is no room then (WEFT_CONFIG_TEXT) stays as it is. */
void weft_config_place(weft_config *config, const char *folder);

/** The resolved configuration as an INI text that weft_config_parse reads back to equal values, in
 *  the table's order; on the heap (weft_free), NULL without memory. Without paths it is what a
 *  checkpoint holds: equal runs give equal text wherever their files lie. */
char *weft_config_text(const weft_config *config, bool with_paths) WEFT_MUST_CHECK;

/** docs/configuration.md: every key with type, range, default and meaning; on the heap. */
char *weft_config_reference(void) WEFT_MUST_CHECK;

#endif
