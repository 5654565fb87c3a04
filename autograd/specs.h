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

typedef struct weft_attention_spec {
    int heads;          /* H >= 1 */
    int kv_heads;       /* G, divides H; 0 means H (multi-head) */
    double scale;       /* 0 means 1 / sqrt(K) */
    bool causal;        /* key position <= query position (same offsets on both sides) */
    weft_var q_offsets; /* int32 [B+1] */
    weft_var k_offsets; /* int32 [B+1]; WEFT_NIL means q_offsets */
    double dropout;     /* of the attention weights, in [0, 1) */
    weft_var q_rows;    /* row keys of the queries */
} weft_attention_spec;

typedef struct weft_cross_entropy_spec {
    double smoothing; /* eps in [0, 1): target (1 - eps) + eps/V, others eps/V */
    int32_t ignore;   /* rows with this target count 0 where `has_ignore` */
    bool has_ignore;
} weft_cross_entropy_spec;

typedef struct weft_adam_spec {
    double beta1, beta2, eps; /* all 0 means 0.9, 0.98, 1e-9 */
    double weight_decay;      /* decoupled (AdamW) */
    int64_t step;             /* 1 for the first update */
} weft_adam_spec;

#endif
