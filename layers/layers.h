/* layers.h - layers are plain structs of parameter handles: nothing to free.
 *
 * X_layer_init adds the parameters, named PREFIX.weight and so on as PyTorch's nn.Transformer names
 * them, to a weft_params; X_layer_apply records the layer on a tape. apply never fails by itself: a
 * mistake puts the tape into its failed state and gives WEFT_NIL. Dropout is applied unless the tape
 * was made with WEFT_NO_GRAD. Shapes use the letters of README.md: N tokens, D width. */
#ifndef WEFT_LAYERS_H
#define WEFT_LAYERS_H

#include "../autograd/autograd.h"
#include "batch.h"

/* A packed batch on a tape: offsets [B+1] and rows [N, 2] (see specs.h). */
typedef struct weft_packed {
    int64_t B, N, longest;       /* tokens of the longest sentence; 0: not known */
    weft_var ids, offsets, rows; /* int32 */
    weft_var angles;             /* rotary positions: [N, K], see weft_rotary; WEFT_NIL: none */
    weft_var past_angles; /* a step whose keys are kept as they are: of all tokens, [B (t+1), K] */
} weft_packed;
weft_packed weft_packed_of(weft_tape *tape, const weft_tokens *tokens);

/* ---- linear (linear.c): y = f(x W^T + b) ------------------------------------------------------- */

typedef struct weft_linear_layer {
    weft_param weight; /* [C, K] */
    weft_param bias;   /* [C] or none */
} weft_linear_layer;
weft_status weft_linear_layer_init(weft_linear_layer *layer, weft_params *params,
                                   const char *prefix, int64_t K, int64_t C, bool bias,
                                   weft_init init) WEFT_MUST_CHECK;
weft_var weft_linear_layer_apply(const weft_linear_layer *layer, weft_tape *tape, weft_var x,
                                 weft_activation f);
/** With dropout of f(z), as weft_linear_dropout. */
weft_var weft_linear_layer_dropout(const weft_linear_layer *layer, weft_tape *tape, weft_var x,
                                   weft_activation f, const weft_dropout_spec *dropout);

/* ---- norm (norm.c) ----------------------------------------------------------------------------- */

typedef struct weft_norm_layer {
    weft_param gain, bias; /* PREFIX.weight [D], PREFIX.bias [D] (none for RMSNorm) */
    int64_t D;
    weft_norm_spec spec;
    bool one_gain; /* ScaleNorm: PREFIX.weight [1], at first sqrt(D) */
} weft_norm_layer;
/** one_gain, of RMSNorm alone, makes it ScaleNorm. */
weft_status weft_norm_layer_init(weft_norm_layer *layer, weft_params *params, const char *prefix,
                                 int64_t D, weft_norm_spec spec, bool one_gain) WEFT_MUST_CHECK;
weft_var weft_norm_layer_apply(const weft_norm_layer *layer, weft_tape *tape, weft_var x);
/** s = residual + dropout(x), normalised; s itself in *sum (may be NULL). */
weft_var weft_norm_layer_apply_residual(const weft_norm_layer *layer, weft_tape *tape,
                                        weft_var residual, weft_var x, double dropout,
                                        weft_var rows, weft_var *sum);

/* ---- positions (position.c) --------------------------------------------------------------------- */

typedef enum weft_position_kind {
    WEFT_POSITION_SINUSOIDAL, /* PE(p, 2i) = sin(p / 10000^(2i/D)), PE(p, 2i+1) = cos(same): Vaswani
                                 et al. 2017, section 3.5 */
    WEFT_POSITION_SINUSOIDAL_HALF, /* all sines, then all cosines, as tensor2tensor and fairseq */
    WEFT_POSITION_LEARNED, /* a table [max_positions, D]; a position beyond it is an error */
    WEFT_POSITION_ROTARY,  /* self-attention turns queries and keys: Su et al. 2021 */
    WEFT_POSITION_NONE
} weft_position_kind;
typedef struct weft_position_config {
    weft_position_kind kind;
    int64_t width;                  /* D; rotary: that of a head, even */
    int64_t max_positions;          /* learned */
    weft_sinusoid_spec frequencies; /* sinusoidal and rotary */
} weft_position_config;
typedef struct weft_position_layer {
    weft_position_config config;
    weft_param table; /* learned: PREFIX.weight */
} weft_position_layer;
weft_status weft_position_layer_init(weft_position_layer *layer, weft_params *params,
                                     const char *prefix,
                                     const weft_position_config *config) WEFT_MUST_CHECK;
/** x [N, D] plus the encoding of each row's position (rows[n] = (sentence, position)); x itself where
 *  positions are rotary or none. */
weft_var weft_position_layer_add(const weft_position_layer *layer, weft_tape *tape, weft_var x,
                                 const weft_packed *packed);
/** Rotary: the angles [N, K] of rows [N, 2]. WEFT_NIL for the others. */
weft_var weft_position_layer_angles(const weft_position_layer *layer, weft_tape *tape,
                                    weft_var rows);

/* ---- multi-head attention (attention.c), Vaswani et al. 2017, section 3.2.2 ---------------------- */

/* How the tokens of a sentence learn of one another. */
typedef enum weft_mixer {
    WEFT_MIX_ATTENTION, /* self-attention */
    WEFT_MIX_RECURRENT  /* a recurrent layer in its place, from left to right */
} weft_mixer;

/* Where norms stand: residual.c has the formulas. */
typedef enum weft_norm_place {
    WEFT_POST_NORM,
    WEFT_PRE_NORM,
    WEFT_HYBRID_NORM,   /* pre-norm; the output of self-attention is normalised, too */
    WEFT_SANDWICH_NORM, /* pre-norm; every output is normalised, too */
    WEFT_DEEP_NORM      /* post-norm with residuals times alpha, initial values times beta */
} weft_norm_place;
/* What self-attention is replaced by (approximation.c, docs/attention.md). Attention to the encoder's
 * output is exact throughout. */
typedef enum weft_approximation_kind {
    WEFT_EXACT,         /* nothing */
    WEFT_BY_FEATURES,   /* linear attention with elu(x) + 1 (Katharopoulos et al. 2020) */
    WEFT_BY_RANDOM,     /* linear attention with random features (Choromanski et al. 2021) */
    WEFT_BY_BUCKETS,    /* of similar tokens; queries are keys (Kitaev et al. 2020) */
    WEFT_BY_PROJECTION, /* of keys and values to k rows (Wang et al. 2020): in encoders alone, the
                               decoder's is exact */
    WEFT_BY_CHOICE, /* of queries (Zhou et al. 2021), causal as published: it reads the future */
    WEFT_BY_CAUSAL_CHOICE /* the same, strictly causal where attention is */
} weft_approximation_kind;
typedef enum weft_projection_sharing {
    WEFT_SHARE_HEADWISE, /* one matrix for keys and one for values of a layer */
    WEFT_SHARE_KV,       /* one for both */
    WEFT_SHARE_LAYERWISE /* one for all layers */
} weft_projection_sharing;
typedef struct weft_approximation {
    weft_approximation_kind kind;
    int rounds;                      /* buckets: of hashing */
    int64_t chunk;                   /* buckets: tokens of a chunk */
    int64_t features;                /* random: m of them */
    bool hyperbolic;                 /* random: 2 m, of w and of -w */
    int64_t k, longest;              /* projection: rows, and the longest sentence */
    weft_projection_sharing sharing; /* projection */
    double factor;                   /* choice: c */
    int64_t
        redraw;    /* updates between new random directions, rotations or samples; 0: never. Without
                       gradients they are always those of the first updates */
    uint64_t seed; /* of these */
} weft_approximation;

/* Forms of exact attention (exact.c, docs/attention.md). Attention to the encoder's output shares the
 * weights alone. */
typedef enum weft_relative_kind {
    WEFT_RELATIVE_NONE,
    WEFT_RELATIVE_ALIBI, /* Press et al. 2022 */
    WEFT_RELATIVE_T5,    /* a bias for each of 32 buckets of distances: Raffel et al. 2020 */
    WEFT_RELATIVE_SHAW   /* a key and a value for each distance: Shaw et al. 2018 */
} weft_relative_kind;
enum { WEFT_BLOCK_OFFSETS = 32 };
typedef struct weft_exact_config {
    weft_pattern_spec pattern; /* without its variables */
    int n_blocks; /* WEFT_PATTERN_BLOCKS: block a sees a + blocks[0], a + blocks[1], ..., */
    int32_t blocks[WEFT_BLOCK_OFFSETS]; /* which rise; 0, its own, is among them */
    bool global_projections; /* Longformer: those of global tokens in an encoder; the decoder then
                                  sees all, as in LED (Beltagy et al. 2020, section 7) */
    weft_weights_kind weights;
    double sigmoid_bias; /* see weft_attention_spec */
    bool has_sigmoid_bias;
    weft_relative_kind relative;
    int64_t reach;    /* T5, Shaw: distances beyond count as this one */
    weft_param table; /* T5: of a layer below; none: the layer makes it */
} weft_exact_config;
/** Fill block_begin and block_index of a pattern of the kind BLOCKS for sentences of at most `longest` tokens:
 *  block a sees a + offsets[0], ..., a + offsets[n - 1], which rise, as far as there are such blocks. */
void weft_pattern_list(weft_pattern_spec *pattern, weft_tape *tape, int64_t longest, int n,
                       const int32_t offsets[]);

/* What all layers of a model share. */
typedef struct weft_layer_config {
    weft_mixer mixer;
    weft_cell cell; /* of a recurrent mixer */
    int64_t D, F;
    int heads;
    int kv_heads;        /* G, divides heads: grouped queries; 0: as many as heads */
    int64_t value_width; /* Kv of a head; 0: that of its keys, K = D / heads */
    weft_norm_place place;
    double alpha, beta; /* deep: weft_transformer_init sets them; 0 means 1 */
    weft_norm_spec norm;
    bool one_gain;      /* ScaleNorm, with norm.kind RMSNorm */
    bool qk_norm;       /* RMSNorm of each head of queries and keys */
    double layer_scale; /* initial gains of LayerScale; 0: none */
    weft_activation activation;
    bool gated; /* feed-forward a f(b) with [a, b] = W1 x (GLU, SwiGLU, ...): W1 is [2F, D] */
    double dropout, attention_dropout, activation_dropout;
    weft_init init;     /* of matrices */
    bool init_stacked;  /* in_proj as one [3D, D] matrix */
    bool rotary_halves; /* rotary positions turn channels i and i + K/2, not 2i and 2i + 1 */
    weft_approximation approximation; /* of self-attention */
    weft_exact_config exact;          /* where there is none */
} weft_layer_config;
/** Columns of keys and values together, G (K + Kv), and of values alone. */
int64_t weft_layer_kv_width(const weft_layer_config *config);
int64_t weft_layer_v_width(const weft_layer_config *config);
/** Rows and columns that a layer keeps of a sentence's first t tokens for its next: keys and values
 *  [t, G (K + Kv)], what an approximation needs of them, or the state of a recurrent layer [1, S] (none before
 *  the first token). */
int64_t weft_layer_past_rows(const weft_layer_config *config, int64_t t);
int64_t weft_layer_past_width(const weft_layer_config *config);

typedef struct weft_attention_layer {
    weft_param in_weight; /* PREFIX.in_proj_weight [D + G (K + Kv), D]: query, key, value stacked */
    weft_param in_bias;   /* PREFIX.in_proj_bias [D + G (K + Kv)] */
    weft_linear_layer out;       /* PREFIX.out_proj [D, H Kv] */
    int64_t D, k_width, v_width; /* G K, G Kv */
    int heads, kv_heads;
    bool qk_norm;
    weft_norm_layer q_norm,
        k_norm; /* PREFIX.q_norm, PREFIX.k_norm: over the K channels of a head */
    bool rotary_halves;
    double dropout; /* of the weights */
    weft_exact_config exact;
    weft_param relative;        /* T5: [H, 32]; Shaw: PREFIX.relative_keys [2 reach + 1, K] */
    weft_param relative_values; /* Shaw: PREFIX.relative_values [2 reach + 1, Kv] */
    weft_param global_weight, global_bias; /* PREFIX.in_proj_global_weight, _bias */
    weft_approximation approximation;
    weft_param project_k, project_v; /* WEFT_BY_PROJECTION: [k, longest]; may be one */
    uint64_t site;                   /* of the approximation's random numbers */
} weft_attention_layer;
/** config->init: of in_proj_weight; Xavier is over each of the three matrices by itself, as the paper,
 *  with init_stacked over all as one, as nn.Transformer. Of out_proj.weight too. */
weft_status weft_attention_layer_init(weft_attention_layer *layer, weft_params *params,
                                      const char *prefix,
                                      const weft_layer_config *config) WEFT_MUST_CHECK;
/** Self-attention of x [N, D]: one product gives q, k and v, which are read as its columns. */
weft_var weft_attention_layer_self(const weft_attention_layer *layer, weft_tape *tape, weft_var x,
                                   const weft_packed *packed, bool causal);
/** Keys and values of the encoder's output [M, D], side by side: [M, G (K + Kv)]. */
weft_var weft_attention_layer_memory(const weft_attention_layer *layer, weft_tape *tape,
                                     weft_var memory);
/** Attention of x [N, D] to keys and values [M, G (K + Kv)] whose sentences begin at offsets [B+1]. */
weft_var weft_attention_layer_cross(const weft_attention_layer *layer, weft_tape *tape, weft_var x,
                                    const weft_packed *packed, weft_var kv, weft_var offsets);
/** Self-attention of one further token a sentence, x [B, D], to all so far. *past: keys and values
 *  [B, t, G (K + Kv)] of the t tokens before (WEFT_NIL for none), then of t + 1; offsets [B+1]: b (t + 1).
 *  Rotary keys are kept turned; with packed->past_angles as they are, and all are turned anew.
 *  Approximations: *past is [B, rows, width] as weft_layer_past_rows and _width say. */
weft_var weft_attention_layer_step(const weft_attention_layer *layer, weft_tape *tape, weft_var x,
                                   const weft_packed *packed, weft_var *past, weft_var offsets);

/* ---- recurrent layers (recurrent.c): tanh, LSTM, GRU, from left to right --------------------------- */

typedef struct weft_recurrent_layer {
    weft_param weight_ih,
        weight_hh;               /* PREFIX.weight_ih_l0 [P D, C], PREFIX.weight_hh_l0 [P D, D] */
    weft_param bias_ih, bias_hh; /* PREFIX.bias_ih_l0, PREFIX.bias_hh_l0 [P D] */
    int64_t D;                   /* of the state; P parts of it: tanh 1, LSTM 4, GRU 3 */
    weft_cell cell;
} weft_recurrent_layer;
/** From x [N, C] to states [N, D], parameters named as those of PyTorch's nn.RNN, nn.LSTM and nn.GRU.
 *  Weights are uniform in +-1/sqrt(D), as there; biases are 0, but 1 for an LSTM's forget gate, which so
 *  begins by remembering (Gers et al. 2000; Jozefowicz et al. 2015). */
weft_status weft_recurrent_layer_init(weft_recurrent_layer *layer, weft_params *params,
                                      const char *prefix, int64_t C, int64_t D,
                                      weft_cell cell) WEFT_MUST_CHECK;
/** The states h [N, D] of packed sentences x [N, C]. */
weft_var weft_recurrent_layer_apply(const weft_recurrent_layer *layer, weft_tape *tape, weft_var x,
                                    const weft_packed *packed);
/** The states [B, D] after one further token a sentence, x [B, C]. *past: [B, 1, S] the whole state
 *  (h; of an LSTM h and c), WEFT_NIL before the first token; then that after it. */
weft_var weft_recurrent_layer_step(const weft_recurrent_layer *layer, weft_tape *tape, weft_var x,
                                   const weft_packed *packed, weft_var *past);

/* ---- encoder and decoder layers (encoder.c, decoder.c) ------------------------------------------- */

/* What belongs to the residual around one sub-layer. */
typedef struct weft_residual {
    weft_norm_layer norm;     /* of the sum or of the input: PREFIX.norm1 .. norm3 */
    weft_norm_layer out_norm; /* of the output, where norms_output: PREFIX.norm1_out .. */
    bool norms_output;
    weft_param gamma; /* LayerScale: PREFIX.ls1.gamma .. [D], or none */
} weft_residual;

typedef struct weft_feedforward {
    weft_linear_layer linear1, linear2; /* PREFIX.linear1 [F, D] (gated: [2F, D]), linear2 [D, F] */
} weft_feedforward;

/* Self-attention and feed-forward, each in its residual. A causal one is a layer of a decoder-only
 * model. */
typedef struct weft_encoder_layer {
    weft_attention_layer self_attn;
    weft_recurrent_layer recurrent; /* in its place */
    weft_feedforward feedforward;
    weft_residual residual[2];
    weft_layer_config config;
} weft_encoder_layer;
weft_status weft_encoder_layer_init(weft_encoder_layer *layer, weft_params *params,
                                    const char *prefix,
                                    const weft_layer_config *config) WEFT_MUST_CHECK;
weft_var weft_encoder_layer_apply(const weft_encoder_layer *layer, weft_tape *tape, weft_var x,
                                  const weft_packed *packed, bool causal);
/** The causal layer for one further token a sentence: see weft_attention_layer_step. */
weft_var weft_encoder_layer_step(const weft_encoder_layer *layer, weft_tape *tape, weft_var x,
                                 const weft_packed *packed, weft_var *past, weft_var past_offsets);

/* Masked self-attention, attention to the memory, feed-forward. */
typedef struct weft_decoder_layer {
    weft_attention_layer self_attn, multihead_attn;
    weft_recurrent_layer recurrent; /* in the place of self_attn */
    weft_feedforward feedforward;
    weft_residual residual[3];
    weft_layer_config config;
} weft_decoder_layer;
weft_status weft_decoder_layer_init(weft_decoder_layer *layer, weft_params *params,
                                    const char *prefix,
                                    const weft_layer_config *config) WEFT_MUST_CHECK;
weft_var weft_decoder_layer_apply(const weft_decoder_layer *layer, weft_tape *tape, weft_var x,
                                  const weft_packed *packed, weft_var memory,
                                  const weft_packed *memory_packed);
/** For one further token a sentence: see weft_attention_layer_step and _memory. Sentences may share
 *  a source: rows groups[s] .. groups[s+1] - 1 of x attend to the memory's sentence s. */
weft_var weft_decoder_layer_step(const weft_decoder_layer *layer, weft_tape *tape, weft_var x,
                                 const weft_packed *packed, weft_var *past, weft_var past_offsets,
                                 weft_var memory_kv, weft_var memory_offsets, weft_var groups);

/* ---- the whole model (transformer.c) -------------------------------------------------------------- */

typedef enum weft_tie {
    WEFT_TIE_NONE,   /* src_embed, tgt_embed and generator are three matrices */
    WEFT_TIE_TARGET, /* generator is tgt_embed (Press & Wolf 2017) */
    WEFT_TIE_ALL     /* all three are one, src_embed.weight (one vocabulary) */
} weft_tie;

typedef struct weft_transformer_config {
    bool decoder_only;
    weft_layer_config layer;
    int encoder_layers, decoder_layers;
    int64_t source_V, target_V; /* vocabulary sizes; equal where all are tied */
    weft_tie tie;
    bool final_norm;     /* encoder.norm, decoder.norm after the last layer, as nn.Transformer */
    bool no_embed_scale; /* embeddings without sqrt(D) */
    weft_position_kind position;
    int64_t max_positions;          /* learned positions */
    weft_sinusoid_spec frequencies; /* sinusoidal and rotary positions */
    double embedding_std;           /* 0 means D^-0.5 */
    weft_cross_entropy_spec loss;   /* label smoothing */
} weft_transformer_config;

enum { WEFT_MAX_LAYERS = 64 };
typedef struct weft_transformer {
    weft_transformer_config config;
    weft_param src_embed, tgt_embed, generator; /* [V, D]; handles may be equal */
    weft_position_layer src_position, tgt_position;
    weft_encoder_layer encoder[WEFT_MAX_LAYERS]; /* decoder-only: its causal layers */
    weft_decoder_layer decoder[WEFT_MAX_LAYERS];
    weft_norm_layer encoder_norm, decoder_norm;
} weft_transformer;

weft_status weft_transformer_init(weft_transformer *model, weft_params *params,
                                  const weft_transformer_config *config) WEFT_MUST_CHECK;
/** Fill the parameters of `to` from those of `from`, a model of the same form with more heads of keys and
 *  values: each of the fewer is the mean of those in its place (Ainslie et al. 2023, section 2.1); all
 *  else is copied. WEFT_ERR_SHAPE where the forms differ otherwise. */
weft_status weft_transformer_group_heads(const weft_transformer *from,
                                         weft_transformer *to) WEFT_MUST_CHECK;
/** The encoder's output [M, D] for a packed source. */
weft_var weft_transformer_encode(const weft_transformer *model, weft_tape *tape,
                                 const weft_tokens *source);
/** The decoder's output [N, D]; `memory` and `source` are unused by decoder-only models. */
weft_var weft_transformer_decode(const weft_transformer *model, weft_tape *tape,
                                 const weft_tokens *target, weft_var memory,
                                 const weft_tokens *source);
/* What the decoder keeps of the tokens it has read, layer by layer, so that the next one of each of
 * B sentences (all equally long so far) costs one row a sentence. */
typedef struct weft_past {
    weft_var
        self[WEFT_MAX_LAYERS]; /* keys and values of t tokens [B, t, G (K + Kv)]; WEFT_NIL: t = 0 */
    weft_var self_offsets;     /* int32 [B+1]: b (t + 1) */
    weft_var self_rows; /* int32 [B (t+1), 2]: rows of all tokens, with dynamic rotary positions */
    weft_var
        memory[WEFT_MAX_LAYERS]; /* of the encoder's output [M, G (K + Kv)]; unused without one */
    weft_var memory_offsets;     /* int32 [S+1]: those of S sources */
    weft_var groups; /* int32 [S+1]: sentences groups[s] .. groups[s+1] - 1 translate source s */
} weft_past;
/** Are rotary angles those of the whole sentence, so that steps need past->self_rows? */
bool weft_transformer_turns_later(const weft_transformer *model);
/** Fill past->memory from the encoder's output. */
void weft_transformer_memory(const weft_transformer *model, weft_tape *tape, weft_var memory,
                             weft_past *past);
/** The decoder's output [B, D] for `next`, one token a sentence; past->self becomes that of t + 1. */
weft_var weft_transformer_step(const weft_transformer *model, weft_tape *tape,
                               const weft_tokens *next, weft_past *past);
/** Logits [N, V] of decoder outputs. */
weft_var weft_transformer_logits(const weft_transformer *model, weft_tape *tape, weft_var x);
/** The sum over all target tokens of the label-smoothed cross-entropy (divide by their number), and
 *  in *nll (may be NULL) the sum of -log p of the labels. The logits are never held whole. */
weft_var weft_transformer_loss(const weft_transformer *model, weft_tape *tape,
                               const weft_batch *batch, weft_var *nll);

#endif
