/* layers_internal.h - small helpers of the layers. Not installed. */
#ifndef WEFT_LAYERS_INTERNAL_H
#define WEFT_LAYERS_INTERNAL_H

#include "layers/layers.h"

/** Add a parameter named PREFIX.NAME. Returns the status of weft_params_add. */
weft_status weft_add_param(weft_params *params, const char *prefix, const char *name, int rank,
                           const int64_t dim[], weft_init init, weft_param *out) WEFT_MUST_CHECK;
/** p while training, 0 on a tape without gradients. */
double weft_training_dropout(const weft_tape *tape, double p);
/** D, F, heads and probabilities are possible; a sentence that begins with `what` otherwise. */
weft_status weft_layer_config_check(const weft_layer_config *config,
                                    const char *what) WEFT_MUST_CHECK;

/* ---- forms of exact attention (exact.c) ---- */

/** Are they possible for this model? A sentence otherwise. */
weft_status weft_exact_check(const weft_transformer_config *config) WEFT_MUST_CHECK;
/** What an encoder-decoder's decoder has of them, and its attention to the encoder's output. */
weft_exact_config weft_exact_of_decoder(const weft_exact_config *exact);
weft_exact_config weft_exact_of_memory(const weft_exact_config *exact);
/** What a layer needs for them; after its in_proj. */
weft_status weft_exact_init(weft_attention_layer *layer, weft_params *params, const char *prefix,
                            const weft_layer_config *config) WEFT_MUST_CHECK;
/** weft_attention with spec and what the layer adds to it. `longest`: the most keys of a sentence, 0: not
 *  known; `global`: the rows of global tokens that have projections of their own, else those of all
 *  others. */
weft_var weft_exact_apply(const weft_attention_layer *layer, weft_tape *tape, weft_var q,
                          weft_var k, weft_var v, weft_attention_spec spec, int64_t longest,
                          bool global);

/* ---- approximations of self-attention (approximation.c) ---- */

/** Is it possible for this model? A sentence otherwise. */
weft_status weft_approximation_check(const weft_transformer_config *config) WEFT_MUST_CHECK;
/** What a layer of self-attention needs of its own. */
weft_status weft_approximation_init(weft_attention_layer *layer, weft_params *params,
                                    const char *prefix,
                                    const weft_approximation *approximation) WEFT_MUST_CHECK;
/** In place of weft_attention: [N, D] from q [N, D], k and v. */
weft_var weft_approximation_apply(const weft_attention_layer *layer, weft_tape *tape, weft_var q,
                                  weft_var k, weft_var v, const weft_packed *packed, bool causal);
/** Does decoding keep sums that do not grow with the text? */
bool weft_approximation_keeps_sums(const weft_layer_config *config);
/** Columns of what decoding keeps; G (K + Kv) of exact attention. */
int64_t weft_approximation_past_width(const weft_layer_config *config);
/** The same as apply for one further token a sentence: see weft_attention_layer_step. */
weft_var weft_approximation_step(const weft_attention_layer *layer, weft_tape *tape, weft_var q,
                                 weft_var k, weft_var v, const weft_packed *packed, weft_var *past,
                                 weft_var offsets);

/** "%s.%s" into buf; WEFT_ERR_RANGE where it does not fit. */
enum { WEFT_NAME_BYTES = 256 };
weft_status weft_join_name(char buf[WEFT_NAME_BYTES], const char *prefix,
                           const char *name) WEFT_MUST_CHECK;

/** What mixes tokens, as config->mixer says: PREFIX.self_attn or PREFIX.recurrent. */
weft_status weft_mixer_init(weft_attention_layer *self_attn, weft_recurrent_layer *recurrent,
                            weft_params *params, const char *prefix,
                            const weft_layer_config *config) WEFT_MUST_CHECK;
/** With `step`, x is the next token of each sentence: see weft_attention_layer_step and
 *  weft_recurrent_layer_step; else all tokens. A recurrent layer is causal by itself. */
weft_var weft_mixer_apply(const weft_attention_layer *self_attn,
                          const weft_recurrent_layer *recurrent, const weft_layer_config *config,
                          weft_tape *tape, weft_var x, const weft_packed *packed, bool causal,
                          weft_var *step, weft_var step_offsets);

/** config->init, times beta of DeepNorm: of values, output and feed-forward matrices. */
weft_init weft_scaled_init(const weft_layer_config *config);

/** Parameters PREFIX.linear1 and PREFIX.linear2. */
weft_status weft_feedforward_init(weft_feedforward *layer, weft_params *params, const char *prefix,
                                  const weft_layer_config *config) WEFT_MUST_CHECK;
weft_var weft_feedforward_apply(const weft_feedforward *layer, const weft_layer_config *config,
                                weft_tape *tape, weft_var x, weft_var rows);

/* What flows through sub-layers. Forms that normalise the sum keep both equal; the others carry the sum
 * along and hand its norm to the next sub-layer. */
typedef struct weft_stream {
    weft_var x;      /* input of the next sub-layer */
    weft_var stream; /* what its output is added to */
} weft_stream;
/** Parameters PREFIX.normN and, where the form has them, PREFIX.normN_out and PREFIX.lsN. */
weft_status weft_residual_init(weft_residual *residual, weft_params *params, const char *prefix,
                               int number, bool self_attention,
                               const weft_layer_config *config) WEFT_MUST_CHECK;
/** Before the first sub-layer. */
weft_stream weft_stream_of(const weft_layer_config *config, const weft_residual *first,
                           weft_tape *tape, weft_var x);
/** After a sub-layer that gave y; `next` is the residual of the next one, NULL after the last. */
weft_stream weft_join(const weft_layer_config *config, const weft_residual *residual,
                      const weft_residual *next, weft_tape *tape, weft_stream s, weft_var y,
                      weft_var rows);

#endif
