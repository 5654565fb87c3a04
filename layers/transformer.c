/* transformer.c - the whole model: embeddings, positions, encoder, decoder, projection and loss
 * (Vaswani et al. 2017, figure 1); or a decoder alone (Radford et al. 2018). */
#include "layers/layers_internal.h"

#include <math.h>
#include <stdio.h>

static weft_status check(const weft_transformer_config *config)
{
    const weft_status status = weft_layer_config_check(&config->layer, "transformer");
    if (status != WEFT_OK) return status;
    const int n = config->decoder_only ? 0 : config->encoder_layers;
    if (n < 0 || n > WEFT_MAX_LAYERS || config->decoder_layers < 1 ||
        config->decoder_layers > WEFT_MAX_LAYERS || (!config->decoder_only && n < 1))
        return weft_error(WEFT_ERR_RANGE,
                          "transformer: %d encoder and %d decoder layers: 1 to %d of each",
                          config->encoder_layers, config->decoder_layers, WEFT_MAX_LAYERS);
    if (config->target_V < 1 || (!config->decoder_only && config->source_V < 1))
        return weft_error(WEFT_ERR_RANGE,
                          "transformer: vocabularies of %lld and %lld tokens: at least 1 is needed",
                          (long long)config->source_V, (long long)config->target_V);
    if (config->tie == WEFT_TIE_ALL && !config->decoder_only &&
        config->source_V != config->target_V)
        return weft_error(
            WEFT_ERR_SHAPE,
            "transformer: one matrix for all needs one vocabulary, not %lld and %lld tokens",
            (long long)config->source_V, (long long)config->target_V);
    if (!(config->loss.smoothing >= 0 && config->loss.smoothing < 1))
        return weft_error(WEFT_ERR_RANGE, "transformer: label smoothing %g is not in [0, 1)",
                          config->loss.smoothing);
    const weft_status possible = weft_exact_check(config);
    return possible == WEFT_OK ? weft_approximation_check(config) : possible;
}

static weft_status init_embeddings(weft_transformer *model, weft_params *params)
{
    const weft_transformer_config *config = &model->config;
    const int64_t D = config->layer.D;
    const double std = config->embedding_std > 0 ? config->embedding_std : 1 / sqrt((double)D);
    const weft_init init = { WEFT_INIT_NORMAL, std, 0 };
    weft_status status = WEFT_OK;
    if (!config->decoder_only)
        status = weft_add_param(params, "src_embed", "weight", WEFT_DIMS(config->source_V, D), init,
                                &model->src_embed);
    if (status != WEFT_OK) return status;
    if (!config->decoder_only && config->tie == WEFT_TIE_ALL)
        model->tgt_embed = model->src_embed;
    else
        status = weft_add_param(params, "tgt_embed", "weight", WEFT_DIMS(config->target_V, D), init,
                                &model->tgt_embed);
    if (status != WEFT_OK) return status;
    if (config->tie != WEFT_TIE_NONE)
        model->generator = model->tgt_embed;
    else
        status = weft_add_param(params, "generator", "weight", WEFT_DIMS(config->target_V, D),
                                config->layer.init, &model->generator);
    return status;
}

/* The layers' configuration with alpha and beta of DeepNorm, which depend on the numbers N of encoder and
 * M of decoder layers (Wang et al. 2022, figure 2 and table of section 4.3). */
static weft_layer_config layer_config(const weft_transformer_config *config, bool encoder)
{
    weft_layer_config layer = config->layer;
    const double N = config->encoder_layers, M = config->decoder_layers;
    if (layer.place != WEFT_DEEP_NORM) return layer;
    if (config->decoder_only) {
        layer.alpha = pow(2 * M, 0.25);
        layer.beta = pow(8 * M, -0.25);
    } else if (encoder) {
        layer.alpha = 0.81 * pow(N * N * N * N * M, 1.0 / 16);
        layer.beta = 0.87 * pow(N * N * N * N * M, -1.0 / 16);
    } else {
        layer.alpha = pow(3 * M, 0.25);
        layer.beta = pow(12 * M, -0.25);
    }
    return layer;
}

static weft_status init_stack(weft_transformer *model, weft_params *params, bool encoder)
{
    const weft_transformer_config *config = &model->config;
    const int n = encoder ? config->encoder_layers : config->decoder_layers;
    const char *const stack = encoder ? "encoder" : "decoder";
    weft_layer_config layer = layer_config(config, encoder);
    char name[WEFT_NAME_BYTES];
    for (int i = 0; i < n; i++) {
        snprintf(name, sizeof name, "%s.layers.%d", stack, i);
        const weft_status status =
            encoder || config->decoder_only
                ? weft_encoder_layer_init(&model->encoder[i], params, name, &layer)
                : weft_decoder_layer_init(&model->decoder[i], params, name, &layer);
        if (status != WEFT_OK) return status;
        if (layer.exact.relative == WEFT_RELATIVE_T5)
            layer.exact.table = encoder || config->decoder_only
                                    ? model->encoder[0].self_attn.relative
                                    : model->decoder[0].self_attn.relative;
    }
    if (!config->final_norm) return WEFT_OK;
    snprintf(name, sizeof name, "%s.norm", stack);
    return weft_norm_layer_init(encoder ? &model->encoder_norm : &model->decoder_norm, params, name,
                                layer.D, layer.norm, layer.one_gain);
}

weft_status weft_transformer_init(weft_transformer *model, weft_params *params,
                                  const weft_transformer_config *config)
{
    weft_status status = check(config);
    if (status != WEFT_OK) return status;
    *model = (weft_transformer){ .config = *config };
    const weft_layer_config *layer = &config->layer;
    const weft_position_config position = {
        .kind = config->position,
        .width = config->position == WEFT_POSITION_ROTARY ? layer->D / layer->heads : layer->D,
        .max_positions = config->max_positions,
        .frequencies = config->frequencies,
    };
    if ((status = init_embeddings(model, params)) != WEFT_OK) return status;
    if (!config->decoder_only) {
        if ((status = weft_position_layer_init(&model->src_position, params, "src_position",
                                               &position)) != WEFT_OK ||
            (status = init_stack(model, params, true)) != WEFT_OK)
            return status;
    }
    status = weft_position_layer_init(&model->tgt_position, params, "tgt_position", &position);
    return status == WEFT_OK ? init_stack(model, params, false) : status;
}

/* dropout(embedding sqrt(D) + position), [N, D] */
static weft_var embed(const weft_transformer *model, weft_tape *tape, weft_param table,
                      const weft_position_layer *position, const weft_packed *packed)
{
    const weft_transformer_config *config = &model->config;
    const double scale = config->no_embed_scale ? 1 : sqrt((double)config->layer.D);
    const weft_var x = weft_embedding(tape, weft_use(tape, table), packed->ids, scale);
    const weft_var sum = weft_position_layer_add(position, tape, x, packed);
    const double p = weft_training_dropout(tape, config->layer.dropout);
    return weft_dropout(tape, sum, &(weft_dropout_spec){ p, packed->rows });
}

static weft_packed source_of(const weft_transformer *model, weft_tape *tape,
                             const weft_tokens *tokens)
{
    weft_packed packed = weft_packed_of(tape, tokens);
    packed.angles = weft_position_layer_angles(&model->src_position, tape, packed.rows);
    return packed;
}

static weft_packed target_of(const weft_transformer *model, weft_tape *tape,
                             const weft_tokens *tokens)
{
    weft_packed packed = weft_packed_of(tape, tokens);
    packed.angles = weft_position_layer_angles(&model->tgt_position, tape, packed.rows);
    return packed;
}

static weft_var encode(const weft_transformer *model, weft_tape *tape, const weft_packed *source)
{
    weft_scope_push(tape, "encoder");
    weft_var x = embed(model, tape, model->src_embed, &model->src_position, source);
    for (int i = 0; i < model->config.encoder_layers; i++) {
        weft_scope_push(tape, "layers.%d", i);
        x = weft_encoder_layer_apply(&model->encoder[i], tape, x, source, false);
        weft_scope_pop(tape);
    }
    if (model->config.final_norm) x = weft_norm_layer_apply(&model->encoder_norm, tape, x);
    weft_scope_pop(tape);
    return x;
}

/* One layer over all tokens of the target, or over the next of each sentence where there is a past. */
static weft_var decoder_layer(const weft_transformer *model, int i, weft_tape *tape, weft_var x,
                              const weft_packed *target, weft_var memory, const weft_packed *source,
                              weft_past *past)
{
    if (model->config.decoder_only)
        return past ? weft_encoder_layer_step(&model->encoder[i], tape, x, target, &past->self[i],
                                              past->self_offsets)
                    : weft_encoder_layer_apply(&model->encoder[i], tape, x, target, true);
    return past ? weft_decoder_layer_step(&model->decoder[i], tape, x, target, &past->self[i],
                                          past->self_offsets, past->memory[i], past->memory_offsets,
                                          past->groups)
                : weft_decoder_layer_apply(&model->decoder[i], tape, x, target, memory, source);
}

static weft_var decode(const weft_transformer *model, weft_tape *tape, const weft_packed *target,
                       weft_var memory, const weft_packed *source, weft_past *past)
{
    const weft_transformer_config *config = &model->config;
    weft_scope_push(tape, "decoder");
    weft_var x = embed(model, tape, model->tgt_embed, &model->tgt_position, target);
    for (int i = 0; i < config->decoder_layers; i++) {
        weft_scope_push(tape, "layers.%d", i);
        x = decoder_layer(model, i, tape, x, target, memory, source, past);
        weft_scope_pop(tape);
    }
    if (config->final_norm) x = weft_norm_layer_apply(&model->decoder_norm, tape, x);
    weft_scope_pop(tape);
    return x;
}

weft_var weft_transformer_encode(const weft_transformer *model, weft_tape *tape,
                                 const weft_tokens *source)
{
    const weft_packed packed = source_of(model, tape, source);
    return encode(model, tape, &packed);
}

weft_var weft_transformer_decode(const weft_transformer *model, weft_tape *tape,
                                 const weft_tokens *target, weft_var memory,
                                 const weft_tokens *source)
{
    const weft_packed packed = target_of(model, tape, target);
    if (model->config.decoder_only) return decode(model, tape, &packed, WEFT_NIL, NULL, NULL);
    const weft_packed packed_source = source_of(model, tape, source);
    return decode(model, tape, &packed, memory, &packed_source, NULL);
}

bool weft_transformer_turns_later(const weft_transformer *model)
{
    return model->config.position == WEFT_POSITION_ROTARY &&
           model->config.frequencies.scaling == WEFT_SCALE_DYNAMIC;
}

void weft_transformer_memory(const weft_transformer *model, weft_tape *tape, weft_var memory,
                             weft_past *past)
{
    for (int i = 0; i < model->config.decoder_layers; i++) {
        weft_scope_push(tape, "decoder.layers.%d.multihead_attn", i);
        past->memory[i] =
            weft_attention_layer_memory(&model->decoder[i].multihead_attn, tape, memory);
        weft_scope_pop(tape);
    }
}

weft_var weft_transformer_step(const weft_transformer *model, weft_tape *tape,
                               const weft_tokens *next, weft_past *past)
{
    weft_packed packed = target_of(model, tape, next);
    if (weft_transformer_turns_later(model))
        packed.past_angles =
            weft_position_layer_angles(&model->tgt_position, tape, past->self_rows);
    return decode(model, tape, &packed, WEFT_NIL, NULL, past);
}

weft_var weft_transformer_logits(const weft_transformer *model, weft_tape *tape, weft_var x)
{
    return weft_linear(tape, x, weft_use(tape, model->generator), WEFT_NIL, WEFT_IDENTITY);
}

weft_var weft_transformer_loss(const weft_transformer *model, weft_tape *tape,
                               const weft_batch *batch, weft_var *nll)
{
    const weft_packed target = target_of(model, tape, &batch->target);
    weft_var x;
    if (model->config.decoder_only) {
        x = decode(model, tape, &target, WEFT_NIL, NULL, NULL);
    } else {
        const weft_packed source = source_of(model, tape, &batch->source);
        x = decode(model, tape, &target, encode(model, tape, &source), &source, NULL);
    }
    const weft_var labels = weft_constant_int(tape, WEFT_DIMS(batch->target.N), batch->labels);
    weft_scope_push(tape, "generator");
    const weft_var loss = weft_projection_loss(tape, x, weft_use(tape, model->generator), WEFT_NIL,
                                               labels, &model->config.loss, nll);
    weft_scope_pop(tape);
    return loss;
}
