/* specs.h - argument structs of the larger operations. Designated initialisers are C's named
 * arguments; zero means the default of "Attention Is All You Need" (Vaswani et al. 2017). */
#ifndef WEFT_SPECS_H
#define WEFT_SPECS_H

/* Sentences are packed, never padded: a batch is one [N, ...] matrix of all its tokens. `offsets`
 * is int32 [B+1], the row where each sentence begins (offsets[0] = 0, offsets[B] = N); `rows` is
 * int32 [N, 2], for each row its sentence's number in the corpus and its position: the key of its
 * random numbers. Both are variables on the tape; WEFT_NIL offsets: one sentence (or, for rank 3,
 * dim[0] sentences of equal length); WEFT_NIL rows: the row number is the key. */

/* Dropout (Srivastava et al. 2014): multiply by 1/(1-p) or 0. */
typedef struct weft_dropout_spec {
    double p;      /* in [0, 1); 0 records nothing */
    weft_var rows; /* row keys */
} weft_dropout_spec;

typedef enum weft_norm_kind { WEFT_LAYER_NORM, WEFT_RMS_NORM } weft_norm_kind;
typedef struct weft_norm_spec {
    weft_norm_kind kind;
    double eps; /* inside the root of the biased variance; 0 means 1e-5 */
} weft_norm_spec;

typedef struct weft_add_norm_spec {
    weft_norm_spec norm;
    weft_dropout_spec dropout; /* of the sub-layer's output, before it is added */
} weft_add_norm_spec;

/* Which keys a query sees. A query at position p and a key at position j count from the beginning of
 * their sentence; with `causal` j <= p holds besides, in every pattern. */
typedef enum weft_pattern_kind {
    WEFT_PATTERN_FULL,
    WEFT_PATTERN_WINDOW,  /* |p - j| <= window / 2; causal: p - j < window */
    WEFT_PATTERN_DILATED, /* the same in steps of `gap`: |p - j| <= gap (window / 2), or p - j <
                             gap window, and p - j a multiple of gap */
    WEFT_PATTERN_STRIDED, /* Child et al. 2019: |p - j| <= stride, or p - j a multiple of it */
    WEFT_PATTERN_FIXED, /* Child et al. 2019: both in one of the blocks of `stride`, or j among the
                             last `summary` of its block */
    WEFT_PATTERN_BIGBIRD, /* Zaheer et al. 2020, by blocks of `block`: `window_blocks` around the
                             query's own (odd), `global_blocks`, which see and are seen by all (half of
                             them at the end; causal: all at the beginning), `random_blocks` others,
                             drawn for each block and head (causal: among the earlier ones) */
    WEFT_PATTERN_BLOCKS   /* a list: block a of queries sees blocks block_index[block_begin[a]] ..
                             block_index[block_begin[a + 1] - 1] of keys, rising */
} weft_pattern_kind;
/* Where global tokens have projections of their own, as in Longformer, their queries are one call, all
 * others a second one, and the sum of both is the output: a query that sees nobody gives 0. */
typedef enum weft_pattern_rows {
    WEFT_ROWS_ALL,
    WEFT_ROWS_LOCAL, /* global tokens see nobody (they are seen) */
    WEFT_ROWS_GLOBAL /* all others see nobody */
} weft_pattern_rows;
typedef struct weft_pattern_spec {
    weft_pattern_kind kind;
    int64_t window, gap, stride, summary, block, window_blocks, global_blocks, random_blocks;
    uint64_t seed;                     /* of the random blocks */
    weft_var block_begin, block_index; /* int32 [A+1] and [n], for sentences of at most A blocks */
    /* with any kind: tokens that see all and are seen by all (Beltagy et al. 2020) */
    int64_t n_global; /* the first of each sentence */
    weft_var global;  /* int32 [M], 1: is one */
    weft_pattern_rows rows;
} weft_pattern_spec;

typedef enum weft_weights_kind {
    WEFT_SOFTMAX,
    WEFT_SIGMOID /* Ramapuram et al. 2024: sigmoid(score + b), not normalised */
} weft_weights_kind;

typedef struct weft_attention_spec {
    int heads;          /* H >= 1 */
    int kv_heads;       /* G, divides H; 0 means H (multi-head) */
    double scale;       /* 0 means 1 / sqrt(K) */
    bool causal;        /* key position <= query position */
    bool at_end;        /* the queries are the last of their sentence's positions (decoding with the
                           keys of the past), not the first */
    weft_var q_offsets; /* int32 [B+1] */
    weft_var k_offsets; /* int32 [B+1]; WEFT_NIL means q_offsets */
    weft_pattern_spec pattern;
    /* Row n is that of packed query n, column j the key j of its sentence; C is at least the keys of
     * the longest one. */
    weft_var mask;     /* int32 [N, C] or [H, N, C]: 1 = may be seen, 0 = not */
    weft_var bias;     /* [H, N, C], added to the scores */
    weft_var relative; /* [H, 2L-1] or, for each query, [H, N, 2L-1], added to the scores: column
                          L - 1 + j - p, distances beyond L - 1 as L - 1 */
    /* [2L-1, Kv], with an L of its own: row L - 1 + j - p is added to the value of key j, in all heads
     * (Shaw et al. 2018, equation 3). */
    weft_var relative_values;
    bool alibi; /* minus m |p - j| with the slopes m of Press et al. 2022 */
    weft_weights_kind weights;
    double sigmoid_bias; /* b of the sigmoid, where has_sigmoid_bias; else -log n with n the keys of
                              the sentence (causal: those up to the query) */
    bool has_sigmoid_bias;
    double dropout;  /* of the attention weights, in [0, 1) */
    weft_var q_rows; /* row keys of the queries */
} weft_attention_spec;

/* What a recurrent layer computes from its input and its last state; sigma is the logistic function. */
typedef enum weft_cell {
    WEFT_CELL_TANH,      /* Elman 1990: h = tanh(x + U h) */
    WEFT_CELL_LSTM,      /* Hochreiter & Schmidhuber 1997, with forget gate (Gers et al. 2000) */
    WEFT_CELL_GRU,       /* r gates what the product U h gave, as PyTorch's nn.GRU and cuDNN */
    WEFT_CELL_GRU_BEFORE /* r gates h before the product: Cho et al. 2014 */
} weft_cell;
typedef struct weft_recurrent_spec {
    weft_cell cell;
    weft_var offsets; /* int32 [B+1] */
    weft_var state;   /* [B, S] before each sentence's first token; WEFT_NIL: zeros */
} weft_recurrent_spec;

/* Scalings of rotary positions beyond the length of the training: see weft_sinusoid. */
typedef enum weft_position_scaling {
    WEFT_UNSCALED,
    WEFT_SCALE_LINEAR,  /* position interpolation */
    WEFT_SCALE_NTK,     /* a larger base */
    WEFT_SCALE_DYNAMIC, /* a base that grows with the sentence */
    WEFT_SCALE_YARN     /* linear for slow pairs alone */
} weft_position_scaling;
typedef struct weft_sinusoid_spec {
    bool halves; /* sines, then cosines: tensor2tensor, fairseq */
    double base; /* 0 means 10000 */
    weft_position_scaling scaling;
    double factor;  /* s >= 1; 0 means 1 */
    int64_t length; /* dynamic and YaRN: positions of the training */
} weft_sinusoid_spec;

/* Feature maps of linear attention. */
typedef enum weft_feature_map {
    WEFT_FEATURES_ELU,  /* elu(x) + 1 (Katharopoulos et al. 2020) */
    WEFT_FEATURES_GIVEN /* q and k are features already (weft_favor) */
} weft_feature_map;
typedef struct weft_linear_attention_spec {
    int heads, kv_heads; /* H; G, divides H, 0 means H */
    weft_feature_map map;
    bool causal;
    double eps;                    /* added to the denominator; 0 means 1e-6 */
    weft_var q_offsets, k_offsets; /* int32 [B+1]; WEFT_NIL k_offsets means q_offsets */
} weft_linear_attention_spec;

/* What is subtracted in the exponent of random features, so that nothing overflows. */
typedef enum weft_stabiliser {
    WEFT_STABILISE_NONE,    /* nothing: for the keys of causal attention */
    WEFT_STABILISE_ROW,     /* the row's largest: for queries */
    WEFT_STABILISE_SENTENCE /* the sentence's largest: for keys */
} weft_stabiliser;
typedef struct weft_favor_spec {
    int heads;
    bool hyperbolic; /* features of w and of -w: 2 m of them */
    double scale;    /* of x; 0 means K^(-1/4), so that products are those of attention */
    double eps;      /* added to each feature, before 1 / sqrt(m) */
    weft_stabiliser stabiliser;
    weft_var offsets; /* int32 [B+1] */
} weft_favor_spec;

typedef struct weft_lsh_spec {
    int heads;
    int rounds;      /* of hashing; 0 means 1 */
    int64_t buckets; /* 1 or even; 0: 1 for a sentence of up to one chunk, else 2 ceil(n / chunk) */
    int64_t chunk;   /* tokens, of those sorted by bucket; 0 means 64 */
    bool causal;
    double scale;     /* 0 means 1 / sqrt(K) */
    uint64_t key;     /* of the rotations */
    weft_var offsets; /* int32 [B+1] */
    weft_var hashes;  /* int32 [N, H rounds]: the buckets, where they are known */
} weft_lsh_spec;

typedef enum weft_probsparse_kind {
    WEFT_PROBSPARSE,           /* every query may see every key */
    WEFT_PROBSPARSE_PUBLISHED, /* causal as published: what is selected depends on the future */
    WEFT_PROBSPARSE_CAUSAL     /* strictly causal */
} weft_probsparse_kind;
typedef struct weft_probsparse_spec {
    int heads;
    weft_probsparse_kind kind;
    double factor;                 /* c; 0 means 5 */
    double scale;                  /* 0 means 1 / sqrt(K) */
    uint64_t key;                  /* of the sampled keys */
    weft_var q_offsets, k_offsets; /* int32 [B+1]; WEFT_NIL k_offsets means q_offsets */
    weft_var selected;             /* int32 [N, H]: 1 where a query attends, where that is known */
} weft_probsparse_spec;

/* What label smoothing asks of each of V classes, in place of 1 of the target and 0 of all others. */
typedef enum weft_label_smoothing {
    WEFT_LABELS_UNIFORM, /* target 1 - eps + eps/V, others eps/V: Szegedy et al. 2016, Vaswani et al.
                            2017, PyTorch */
    WEFT_LABELS_OTHERS,  /* target 1 - eps, others eps/(V-1): tensor2tensor, fairseq since 2020 */
    WEFT_LABELS_ANNOTATED /* target 1 - eps, others eps/(V-2), `never` 0: The Annotated Transformer
                             (Rush 2018), JoeyNMT */
} weft_label_smoothing;
typedef struct weft_cross_entropy_spec {
    double smoothing; /* eps in [0, 1) */
    weft_label_smoothing kind;
    int32_t never;  /* annotated: a class that is never a target (padding there, where there is any;
                       or what begins a sentence) */
    int32_t ignore; /* rows with this target count 0 where `has_ignore` */
    bool has_ignore;
} weft_cross_entropy_spec;

typedef struct weft_adam_spec {
    double beta1, beta2, eps; /* all 0 means 0.9, 0.98, 1e-9 */
    double weight_decay;      /* decoupled (AdamW) */
    int64_t step;             /* 1 for the first update */
} weft_adam_spec;

#endif
