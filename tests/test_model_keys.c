/* test_model_keys.c - precision: float - each key of the section [model] reaches its own field of the
 * model's specification, and no other key's. */
#include "check_main.h"

#include "train/config.h"
#include "train/model.h"

#include <stddef.h>
#include <string.h>

typedef enum field_type { INT, INT64, REAL, BOOL } field_type; /* enums are INT */

typedef struct field {
    const char *key; /* of [model], with its value */
    size_t at;       /* in weft_transformer_config */
    field_type type;
    double value;
} field;

#define AT(member) offsetof(weft_transformer_config, member)
#define LAYER(member) AT(layer.member)
#define PATTERN(member) LAYER(exact.pattern.member)
#define APPROXIMATION(member) LAYER(approximation.member)

/* Different numbers, all set together. */
static const field numbers[] = {
    { "d_model=1001", LAYER(D), INT64, 1001 },
    { "ffn=1002", LAYER(F), INT64, 1002 },
    { "heads=103", LAYER(heads), INT, 103 },
    { "kv_heads=104", LAYER(kv_heads), INT, 104 },
    { "value_width=105", LAYER(value_width), INT64, 105 },
    { "encoder_layers=106", AT(encoder_layers), INT, 106 },
    { "decoder_layers=107", AT(decoder_layers), INT, 107 },
    { "dropout=0.01", LAYER(dropout), REAL, 0.01 },
    { "attention_dropout=0.02", LAYER(attention_dropout), REAL, 0.02 },
    { "activation_dropout=0.03", LAYER(activation_dropout), REAL, 0.03 },
    { "layer_scale=0.04", LAYER(layer_scale), REAL, 0.04 },
    { "norm_eps=0.05", LAYER(norm.eps), REAL, 0.05 },
    { "max_positions=108", AT(max_positions), INT64, 108 },
    { "rope_base=109", AT(frequencies.base), REAL, 109 },
    { "rope_factor=110", AT(frequencies.factor), REAL, 110 },
    { "rope_length=111", AT(frequencies.length), INT64, 111 },
    { "window=112", PATTERN(window), INT64, 112 },
    { "gap=113", PATTERN(gap), INT64, 113 },
    { "stride=114", PATTERN(stride), INT64, 114 },
    { "summary=115", PATTERN(summary), INT64, 115 },
    { "block=116", PATTERN(block), INT64, 116 },
    { "window_blocks=117", PATTERN(window_blocks), INT64, 117 },
    { "global_blocks=118", PATTERN(global_blocks), INT64, 118 },
    { "random_blocks=119", PATTERN(random_blocks), INT64, 119 },
    { "global_tokens=120", PATTERN(n_global), INT64, 120 },
    { "blocks=-7, -1 0,2", LAYER(exact.n_blocks), INT, 4 },
    { "blocks=-7, -1 0,2", LAYER(exact.blocks[0]), INT, -7 },
    { "sigmoid_bias=-2.5", LAYER(exact.sigmoid_bias), REAL, -2.5 },
    { "max_distance=121", LAYER(exact.reach), INT64, 121 },
    { "features=122", APPROXIMATION(features), INT64, 122 },
    { "redraw=123", APPROXIMATION(redraw), INT64, 123 },
    { "lsh_rounds=24", APPROXIMATION(rounds), INT, 24 },
    { "lsh_chunk=125", APPROXIMATION(chunk), INT64, 125 },
    { "linformer_k=126", APPROXIMATION(k), INT64, 126 },
    { "linformer_length=127", APPROXIMATION(longest), INT64, 127 },
    { "probsparse_factor=1.5", APPROXIMATION(factor), REAL, 1.5 },
};

/* Each on top of the defaults. A key may decide several fields: then it stands in several lines. */
static const field choices[] = {
    { "kind=encoder-decoder", AT(decoder_only), BOOL, false },
    { "kind=decoder-only", AT(decoder_only), BOOL, true },
    { "final_norm=true", AT(final_norm), BOOL, true },
    { "qk_norm=true", LAYER(qk_norm), BOOL, true },
    { "embed_scale=true", AT(no_embed_scale), BOOL, false },
    { "embed_scale=false", AT(no_embed_scale), BOOL, true },
    { "activation=relu", LAYER(activation), INT, WEFT_RELU },
    { "activation=gelu", LAYER(activation), INT, WEFT_GELU },
    { "activation=gelu_tanh", LAYER(activation), INT, WEFT_GELU_TANH },
    { "activation=silu", LAYER(activation), INT, WEFT_SILU },
    { "activation=glu", LAYER(activation), INT, WEFT_LOGISTIC },
    { "activation=reglu", LAYER(activation), INT, WEFT_RELU },
    { "activation=geglu", LAYER(activation), INT, WEFT_GELU },
    { "activation=swiglu", LAYER(activation), INT, WEFT_SILU },
    { "activation=silu", LAYER(gated), BOOL, false },
    { "activation=glu", LAYER(gated), BOOL, true },
    { "activation=swiglu", LAYER(gated), BOOL, true },
    { "norm=post", LAYER(place), INT, WEFT_POST_NORM },
    { "norm=pre", LAYER(place), INT, WEFT_PRE_NORM },
    { "norm=hybrid", LAYER(place), INT, WEFT_HYBRID_NORM },
    { "norm=sandwich", LAYER(place), INT, WEFT_SANDWICH_NORM },
    { "norm=deep", LAYER(place), INT, WEFT_DEEP_NORM },
    { "norm_kind=layer", LAYER(norm.kind), INT, WEFT_LAYER_NORM },
    { "norm_kind=rms", LAYER(norm.kind), INT, WEFT_RMS_NORM },
    { "norm_kind=rms", LAYER(one_gain), BOOL, false },
    { "norm_kind=scale", LAYER(norm.kind), INT, WEFT_RMS_NORM },
    { "norm_kind=scale", LAYER(one_gain), BOOL, true },
    { "position=sinusoidal", AT(position), INT, WEFT_POSITION_SINUSOIDAL },
    { "position=sinusoidal_half", AT(position), INT, WEFT_POSITION_SINUSOIDAL_HALF },
    { "position=learned", AT(position), INT, WEFT_POSITION_LEARNED },
    { "position=rope", AT(position), INT, WEFT_POSITION_ROTARY },
    { "position=none", AT(position), INT, WEFT_POSITION_NONE },
    { "position=none", LAYER(exact.relative), INT, WEFT_RELATIVE_NONE },
    { "position=alibi", AT(position), INT, WEFT_POSITION_NONE },
    { "position=alibi", LAYER(exact.relative), INT, WEFT_RELATIVE_ALIBI },
    { "position=t5", AT(position), INT, WEFT_POSITION_NONE },
    { "position=t5", LAYER(exact.relative), INT, WEFT_RELATIVE_T5 },
    { "position=t5", LAYER(exact.reach), INT64, 128 },
    { "position=shaw", AT(position), INT, WEFT_POSITION_NONE },
    { "position=shaw", LAYER(exact.relative), INT, WEFT_RELATIVE_SHAW },
    { "position=shaw", LAYER(exact.reach), INT64, 16 },
    { "position=sinusoidal", AT(frequencies.base), REAL, 0 },
    { "rope_layout=interleaved", LAYER(rotary_halves), BOOL, false },
    { "rope_layout=half", LAYER(rotary_halves), BOOL, true },
    { "rope_scaling=none", AT(frequencies.scaling), INT, WEFT_UNSCALED },
    { "rope_scaling=linear", AT(frequencies.scaling), INT, WEFT_SCALE_LINEAR },
    { "rope_scaling=ntk", AT(frequencies.scaling), INT, WEFT_SCALE_NTK },
    { "rope_scaling=dynamic", AT(frequencies.scaling), INT, WEFT_SCALE_DYNAMIC },
    { "rope_scaling=yarn", AT(frequencies.scaling), INT, WEFT_SCALE_YARN },
    { "tie=none", AT(tie), INT, WEFT_TIE_NONE },
    { "tie=target", AT(tie), INT, WEFT_TIE_TARGET },
    { "tie=all", AT(tie), INT, WEFT_TIE_ALL },
    { "init=xavier", LAYER(init.kind), INT, WEFT_INIT_XAVIER_UNIFORM },
    { "init=xavier", LAYER(init_stacked), BOOL, false },
    { "init=xavier_stacked", LAYER(init_stacked), BOOL, true },
    { "init=normal", LAYER(init.kind), INT, WEFT_INIT_NORMAL },
    { "init=normal", AT(embedding_std), REAL, 0.02 },
    { "mixer=attention", LAYER(mixer), INT, WEFT_MIX_ATTENTION },
    { "mixer=rnn", LAYER(mixer), INT, WEFT_MIX_RECURRENT },
    { "mixer=rnn", LAYER(cell), INT, WEFT_CELL_TANH },
    { "mixer=lstm", LAYER(cell), INT, WEFT_CELL_LSTM },
    { "mixer=gru", LAYER(cell), INT, WEFT_CELL_GRU },
    { "mixer=gru_before", LAYER(cell), INT, WEFT_CELL_GRU_BEFORE },
    { "attention=full", APPROXIMATION(kind), INT, WEFT_EXACT },
    { "attention=linear", APPROXIMATION(kind), INT, WEFT_BY_FEATURES },
    { "attention=performer", APPROXIMATION(kind), INT, WEFT_BY_RANDOM },
    { "attention=lsh", APPROXIMATION(kind), INT, WEFT_BY_BUCKETS },
    { "attention=linformer", APPROXIMATION(kind), INT, WEFT_BY_PROJECTION },
    { "attention=probsparse", APPROXIMATION(kind), INT, WEFT_BY_CHOICE },
    { "attention=probsparse_causal", APPROXIMATION(kind), INT, WEFT_BY_CAUSAL_CHOICE },
    { "attention=window", APPROXIMATION(kind), INT, WEFT_EXACT },
    { "attention=bigbird", APPROXIMATION(kind), INT, WEFT_EXACT },
    { "attention=full", PATTERN(kind), INT, WEFT_PATTERN_FULL },
    { "attention=linear", PATTERN(kind), INT, WEFT_PATTERN_FULL },
    { "attention=window", PATTERN(kind), INT, WEFT_PATTERN_WINDOW },
    { "attention=dilated", PATTERN(kind), INT, WEFT_PATTERN_DILATED },
    { "attention=strided", PATTERN(kind), INT, WEFT_PATTERN_STRIDED },
    { "attention=fixed", PATTERN(kind), INT, WEFT_PATTERN_FIXED },
    { "attention=longformer", PATTERN(kind), INT, WEFT_PATTERN_WINDOW },
    { "attention=bigbird", PATTERN(kind), INT, WEFT_PATTERN_BIGBIRD },
    { "attention=blocks", PATTERN(kind), INT, WEFT_PATTERN_BLOCKS },
    { "attention=window", LAYER(exact.global_projections), BOOL, false },
    { "attention=longformer", LAYER(exact.global_projections), BOOL, true },
    { "attention_weights=softmax", LAYER(exact.weights), INT, WEFT_SOFTMAX },
    { "attention_weights=sigmoid", LAYER(exact.weights), INT, WEFT_SIGMOID },
    { "sigmoid_bias=0", LAYER(exact.has_sigmoid_bias), BOOL, false },
    { "sigmoid_bias=2", LAYER(exact.has_sigmoid_bias), BOOL, true },
    { "sigmoid_bias_auto=false", LAYER(exact.has_sigmoid_bias), BOOL, true },
    { "sigmoid_bias_auto=false", LAYER(exact.sigmoid_bias), REAL, 0 },
    { "feature_kind=positive", APPROXIMATION(hyperbolic), BOOL, false },
    { "feature_kind=hyperbolic", APPROXIMATION(hyperbolic), BOOL, true },
    { "linformer_share=headwise", APPROXIMATION(sharing), INT, WEFT_SHARE_HEADWISE },
    { "linformer_share=kv", APPROXIMATION(sharing), INT, WEFT_SHARE_KV },
    { "linformer_share=layerwise", APPROXIMATION(sharing), INT, WEFT_SHARE_LAYERWISE },
};

#define COUNT(table) (sizeof(table) / sizeof *(table))

static void set(weft_config *config, const char *key)
{
    char text[96];
    snprintf(text, sizeof text, "model.%s", key);
    ck_assert_msg(weft_config_set(config, text) == WEFT_OK, "%s", weft_message());
}

static void expect(const weft_transformer_config *shape, const field *of)
{
    const void *const at = (const char *)shape + of->at;
    double value = 0;
    switch (of->type) {
    case INT: value = *(const int *)at; break;
    case INT64: value = (double)*(const int64_t *)at; break;
    case REAL: value = *(const double *)at; break;
    case BOOL: value = *(const bool *)at; break;
    }
    ck_assert_msg(value == of->value, "model.%s: the field is %g", of->key, value);
}

START_TEST(numbers_reach_their_fields)
{
    weft_config config;
    weft_config_init(&config);
    for (size_t i = 0; i < COUNT(numbers); i++) set(&config, numbers[i].key);
    set(&config, "position=rope"); /* whose frequencies these are */
    config.train.seed = 77;
    config.train.label_smoothing = 0.2;
    const weft_transformer_config shape = weft_model_shape(&config, 31, 32);
    for (size_t i = 0; i < COUNT(numbers); i++) expect(&shape, &numbers[i]);
    ck_assert_int_eq(shape.source_V, 31);
    ck_assert_int_eq(shape.target_V, 32);
    ck_assert(shape.loss.smoothing == 0.2);
    ck_assert_uint_eq(shape.layer.exact.pattern.seed, 77);
    ck_assert_uint_eq(shape.layer.approximation.seed, 77);
}
END_TEST

START_TEST(choices_reach_their_fields)
{
    for (size_t i = 0; i < COUNT(choices); i++) {
        weft_config config;
        weft_config_init(&config);
        if (strncmp(choices[i].key, "rope_", 5) == 0) set(&config, "position=rope");
        set(&config, choices[i].key);
        const weft_transformer_config shape = weft_model_shape(&config, 31, 32);
        expect(&shape, &choices[i]);
    }
}
END_TEST

static bool is_listed(const field table[], size_t n, const char *key, size_t n_bytes)
{
    for (size_t i = 0; i < n; i++)
        if (strncmp(table[i].key, key, n_bytes) == 0 && table[i].key[n_bytes] == '=') return true;
    return false;
}

/* A new key wants a line above. */
START_TEST(no_key_is_left_out)
{
    weft_config config;
    weft_config_init(&config);
    char *text = weft_config_text(&config, false);
    ck_assert_ptr_nonnull(text);
    const char *line = strstr(text, "[model]\n");
    int n = 0;
    for (line = strchr(line, '\n') + 1; *line != '\n'; line = strchr(line, '\n') + 1, n++) {
        const size_t n_bytes = strcspn(line, " ");
        ck_assert_msg(is_listed(numbers, COUNT(numbers), line, n_bytes) ||
                          is_listed(choices, COUNT(choices), line, n_bytes),
                      "model.%.*s", (int)n_bytes, line);
    }
    ck_assert_int_gt(n, 50);
    weft_free(text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("model_keys");
    TCase *keys = tcase_create("keys");
    tcase_add_test(keys, numbers_reach_their_fields);
    tcase_add_test(keys, choices_reach_their_fields);
    tcase_add_test(keys, no_key_is_left_out);
    suite_add_tcase(suite, keys);
    return run_suite(suite);
}
