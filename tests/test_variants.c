/* test_variants.c - every form of a model that a configuration can choose: a step with kept keys has the
 * bits of the whole prefix, a batch is the sum of its parts, gradients agree with differences, and a
 * dry tape plans what is needed. Encoder-decoder and decoder-only. */
#include "check_main.h"

#include "layers/layers.h"
#include "train/decode_internal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { V = 11, N_SENTENCES = 4, MOST = 128 };

typedef struct variant {
    const char *name;
    void (*change)(weft_transformer_config *config);
    bool sums; /* a step adds to sums, which the prefix has chunk by chunk: equal up to rounding */
} variant;

static void rotary(weft_transformer_config *c) { c->position = WEFT_POSITION_ROTARY; }
static void rotary_halves(weft_transformer_config *c)
{
    c->position = WEFT_POSITION_ROTARY;
    c->layer.rotary_halves = true;
    c->frequencies.base = 100;
}
/* One layer: what deeper ones have read was turned by the base of shorter texts (docs/layers.md). */
static void rotary_dynamic(weft_transformer_config *c)
{
    c->encoder_layers = c->decoder_layers = 1;
    c->position = WEFT_POSITION_ROTARY;
    c->frequencies = (weft_sinusoid_spec){ .base = 50, .scaling = WEFT_SCALE_DYNAMIC, .length = 3 };
}
static void rotary_yarn(weft_transformer_config *c)
{
    c->position = WEFT_POSITION_ROTARY;
    c->frequencies = (weft_sinusoid_spec){ .scaling = WEFT_SCALE_YARN, .factor = 4, .length = 64 };
}
static void learned(weft_transformer_config *c)
{
    c->position = WEFT_POSITION_LEARNED;
    c->max_positions = 32;
}
static void sinusoidal_half(weft_transformer_config *c)
{
    c->position = WEFT_POSITION_SINUSOIDAL_HALF;
}
static void no_position(weft_transformer_config *c) { c->position = WEFT_POSITION_NONE; }
static void grouped(weft_transformer_config *c) { c->layer.kv_heads = 2; }
static void multi_query(weft_transformer_config *c)
{
    c->layer.kv_heads = 1;
    c->position = WEFT_POSITION_ROTARY;
}
static void grouped_dynamic(weft_transformer_config *c)
{
    rotary_dynamic(c);
    c->layer.kv_heads = 2;
}

static void pre_norm(weft_transformer_config *c)
{
    c->layer.place = WEFT_PRE_NORM;
    c->final_norm = true;
}
static void rms_norm(weft_transformer_config *c)
{
    pre_norm(c);
    c->layer.norm.kind = WEFT_RMS_NORM;
}
static void scale_norm(weft_transformer_config *c)
{
    rms_norm(c);
    c->layer.one_gain = true;
}
static void hybrid_norm(weft_transformer_config *c) { c->layer.place = WEFT_HYBRID_NORM; }
static void sandwich_norm(weft_transformer_config *c)
{
    scale_norm(c);
    c->layer.place = WEFT_SANDWICH_NORM;
}
static void deep_norm(weft_transformer_config *c) { c->layer.place = WEFT_DEEP_NORM; }
static void layer_scale(weft_transformer_config *c)
{
    pre_norm(c);
    c->layer.layer_scale = 0.3;
}
static void qk_norm(weft_transformer_config *c) { c->layer.qk_norm = true; }
static void swiglu(weft_transformer_config *c)
{
    c->layer.gated = true;
    c->layer.activation = WEFT_SILU;
}
static void llama(weft_transformer_config *c)
{
    rms_norm(c);
    swiglu(c);
    rotary_halves(c);
    c->layer.kv_heads = 2;
    c->layer.qk_norm = true;
}
/* One layer where what is chosen changes with each token: deeper ones have read what was chosen when
 * the text was shorter (docs/attention.md). */
static void approximate(weft_transformer_config *c, weft_approximation_kind kind)
{
    c->layer.attention_dropout = 0;
    c->layer.approximation = (weft_approximation){ .kind = kind,
                                                   .rounds = 2,
                                                   .chunk = 2,
                                                   .features = 8,
                                                   .k = 3,
                                                   .longest = 12,
                                                   .factor = 1,
                                                   .redraw = 5 };
}
static void by_features(weft_transformer_config *c) { approximate(c, WEFT_BY_FEATURES); }
static void by_features_grouped(weft_transformer_config *c)
{
    approximate(c, WEFT_BY_FEATURES);
    c->layer.kv_heads = 2;
}
static void by_random(weft_transformer_config *c)
{
    approximate(c, WEFT_BY_RANDOM);
    c->position = WEFT_POSITION_ROTARY;
}
static void by_random_hyperbolic(weft_transformer_config *c)
{
    approximate(c, WEFT_BY_RANDOM);
    c->layer.approximation.hyperbolic = true;
    c->layer.kv_heads = 1;
}
static void by_buckets(weft_transformer_config *c)
{
    c->encoder_layers = c->decoder_layers = 1;
    approximate(c, WEFT_BY_BUCKETS);
}
static void by_projection(weft_transformer_config *c)
{
    if (!c->decoder_only) approximate(c, WEFT_BY_PROJECTION);
}
static void by_one_projection(weft_transformer_config *c)
{
    by_projection(c);
    c->layer.kv_heads = 2;
    c->layer.approximation.sharing = WEFT_SHARE_LAYERWISE;
}
static void by_choice(weft_transformer_config *c)
{
    c->encoder_layers = c->decoder_layers = 1;
    approximate(c, WEFT_BY_CHOICE);
}
static void turned_and_normed(weft_transformer_config *c)
{
    c->position = WEFT_POSITION_ROTARY;
    c->layer.qk_norm = true;
}
static void by_features_normed(weft_transformer_config *c)
{
    by_features_grouped(c);
    c->layer.qk_norm = true;
}
static void by_random_turned(weft_transformer_config *c)
{
    approximate(c, WEFT_BY_RANDOM);
    turned_and_normed(c);
    c->layer.kv_heads = 2;
}
static void by_buckets_turned(weft_transformer_config *c)
{
    by_buckets(c);
    turned_and_normed(c);
}
static void by_projection_normed(weft_transformer_config *c)
{
    by_one_projection(c);
    c->layer.qk_norm = true;
}
static void by_choice_turned(weft_transformer_config *c)
{
    by_choice(c);
    turned_and_normed(c);
}
static void by_causal_choice_turned(weft_transformer_config *c)
{
    approximate(c, WEFT_BY_CAUSAL_CHOICE);
    turned_and_normed(c);
}
static void by_causal_choice(weft_transformer_config *c) { approximate(c, WEFT_BY_CAUSAL_CHOICE); }

static void as_the_paper(weft_transformer_config *c) { (void)c; }
static void pattern(weft_transformer_config *c, weft_pattern_spec of)
{
    c->layer.exact.pattern = of;
}
static void window(weft_transformer_config *c)
{
    pattern(c, (weft_pattern_spec){ .kind = WEFT_PATTERN_WINDOW, .window = 3 });
    c->position = WEFT_POSITION_ROTARY;
}
static void window_global(weft_transformer_config *c)
{
    pattern(c, (weft_pattern_spec){ .kind = WEFT_PATTERN_WINDOW, .window = 2, .n_global = 1 });
    c->layer.kv_heads = 2;
}
static void dilated(weft_transformer_config *c)
{
    pattern(c, (weft_pattern_spec){ .kind = WEFT_PATTERN_DILATED, .window = 3, .gap = 2 });
}
static void strided(weft_transformer_config *c)
{
    pattern(c, (weft_pattern_spec){ .kind = WEFT_PATTERN_STRIDED, .stride = 3 });
}
static void fixed(weft_transformer_config *c)
{
    pattern(c, (weft_pattern_spec){ .kind = WEFT_PATTERN_FIXED, .stride = 3, .summary = 1 });
}
static void longformer(weft_transformer_config *c)
{
    pattern(c, (weft_pattern_spec){ .kind = WEFT_PATTERN_WINDOW, .window = 2, .n_global = 2 });
    c->layer.exact.global_projections = !c->decoder_only;
}
static void bigbird(weft_transformer_config *c)
{
    pattern(c, (weft_pattern_spec){ .kind = WEFT_PATTERN_BIGBIRD,
                                    .block = 2,
                                    .window_blocks = 1,
                                    .global_blocks = 1,
                                    .random_blocks = 1 });
}
static void blocks(weft_transformer_config *c)
{
    pattern(c, (weft_pattern_spec){ .kind = WEFT_PATTERN_BLOCKS, .block = 2 });
    c->layer.exact.n_blocks = 3;
    memcpy(c->layer.exact.blocks, (int32_t[]){ -2, 0, 1 }, 3 * sizeof(int32_t));
}
static void alibi(weft_transformer_config *c)
{
    c->position = WEFT_POSITION_NONE;
    c->layer.exact.relative = WEFT_RELATIVE_ALIBI;
}
static void t5(weft_transformer_config *c)
{
    alibi(c);
    c->layer.exact.relative = WEFT_RELATIVE_T5;
    c->layer.exact.reach = 20;
}
static void shaw(weft_transformer_config *c)
{
    alibi(c);
    c->layer.exact.relative = WEFT_RELATIVE_SHAW;
    c->layer.exact.reach = 3;
}
static void shaw_everything(weft_transformer_config *c)
{
    window_global(c);
    shaw(c);
    c->layer.qk_norm = true;
    c->layer.exact.weights = WEFT_SIGMOID;
}
static void sigmoid(weft_transformer_config *c) { c->layer.exact.weights = WEFT_SIGMOID; }
static void sigmoid_window(weft_transformer_config *c)
{
    window(c);
    sigmoid(c);
    c->layer.exact.has_sigmoid_bias = true;
    c->layer.exact.sigmoid_bias = -1;
}

/* Values narrower or wider than keys, which are 4 wide. */
static void wide_values(weft_transformer_config *c)
{
    shaw_everything(c);
    c->layer.exact.global_projections = !c->decoder_only;
    c->layer.exact.reach = 70; /* beyond any text */
    c->layer.value_width = 7;
}
static void narrow_values(weft_transformer_config *c) { c->layer.value_width = 3; }
static void narrow_values_turned(weft_transformer_config *c)
{
    grouped_dynamic(c);
    c->layer.qk_norm = true;
    narrow_values(c);
}
static void by_features_narrow(weft_transformer_config *c)
{
    by_features_grouped(c);
    narrow_values(c);
}
static void by_random_wide(weft_transformer_config *c)
{
    by_random_hyperbolic(c);
    c->layer.value_width = 6;
}
static void by_buckets_wide(weft_transformer_config *c)
{
    by_buckets(c);
    c->layer.value_width = 6;
}
static void by_causal_choice_narrow(weft_transformer_config *c)
{
    by_causal_choice(c);
    narrow_values(c);
}

static const variant variants[] = {
    { "RMSNorm", rms_norm },
    { "ScaleNorm", scale_norm },
    { "hybrid norm", hybrid_norm },
    { "sandwich norm", sandwich_norm },
    { "DeepNorm", deep_norm },
    { "LayerScale", layer_scale },
    { "QK-norm", qk_norm },
    { "SwiGLU", swiglu },
    { "LLaMA with QK-norm", llama },
    { "rotary", rotary },
    { "rotary, halves", rotary_halves },
    { "rotary, dynamic", rotary_dynamic },
    { "rotary, YaRN", rotary_yarn },
    { "learned", learned },
    { "sinusoid in halves", sinusoidal_half },
    { "no positions", no_position },
    { "grouped heads", grouped },
    { "multi-query, rotary", multi_query },
    { "grouped heads, rotary, dynamic", grouped_dynamic },
    { "window", window },
    { "window and global tokens", window_global },
    { "dilated window", dilated },
    { "strided", strided },
    { "fixed", fixed },
    { "Longformer", longformer },
    { "BigBird", bigbird },
    { "a list of blocks", blocks },
    { "ALiBi", alibi },
    { "buckets of distances", t5 },
    { "keys and values of distances", shaw },
    { "the same, window, global tokens, grouped heads, QK-norm, sigmoid", shaw_everything },
    { "sigmoid", sigmoid },
    { "sigmoid, window", sigmoid_window },
    { "linear attention", by_features, .sums = true },
    { "linear attention, grouped heads", by_features_grouped, .sums = true },
    { "random features, rotary", by_random, .sums = true },
    { "random features, hyperbolic", by_random_hyperbolic, .sums = true },
    { "buckets", by_buckets },
    { "projected keys", by_projection },
    { "projected keys, one matrix", by_one_projection },
    { "chosen queries", by_choice },
    { "chosen queries, strictly causal", by_causal_choice },
    { "linear attention, grouped heads, QK-norm", by_features_normed, .sums = true },
    { "random features, grouped heads, QK-norm, rotary", by_random_turned, .sums = true },
    { "buckets, QK-norm, rotary", by_buckets_turned },
    { "projected keys, grouped heads, QK-norm", by_projection_normed },
    { "chosen queries, QK-norm, rotary", by_choice_turned },
    { "chosen queries, strictly causal, QK-norm, rotary", by_causal_choice_turned },
    { "wide values, keys and values of distances, global projections", wide_values },
    { "narrow values, grouped heads, rotary, dynamic, QK-norm", narrow_values_turned },
    { "linear attention, narrow values", by_features_narrow, .sums = true },
    { "random features, wide values", by_random_wide, .sums = true },
    { "buckets, wide values", by_buckets_wide },
    { "chosen queries, strictly causal, narrow values", by_causal_choice_narrow },
    { "narrow values", narrow_values },
    { "as the paper", as_the_paper },
};
enum { N_VARIANTS = sizeof variants / sizeof *variants, N_CASES = 2 * N_VARIANTS };

/* ---- models and sentences ------------------------------------------------------------------------ */

static weft_transformer net;

/* Random weights, large enough that outputs depend on all that was read. Odd cases are decoder-only. */
static weft_params *build(int i)
{
    weft_transformer_config config = {
        .decoder_only = i % 2 == 1,
        .layer = { .D = 16,
                   .F = 24,
                   .heads = 4,
                   .activation = WEFT_GELU,
                   .dropout = 0.2,
                   .attention_dropout = 0.1,
                   .activation_dropout = 0.1,
                   .init = { WEFT_INIT_XAVIER_UNIFORM, 1.5, 0 } },
        .encoder_layers = 2,
        .decoder_layers = 2,
        .source_V = V,
        .target_V = V,
        .embedding_std = 1,
    };
    variants[i / 2].change(&config);
    weft_params *params = weft_params_new(11);
    ck_assert_ptr_nonnull(params);
    ck_assert_msg(weft_transformer_init(&net, params, &config) == WEFT_OK, "%s", weft_message());
    return params;
}

typedef struct side {
    int32_t ids[MOST], offsets[N_SENTENCES + 1], rows[2 * MOST];
} side;

/* Sentences first .. first + B - 1, whose ids and lengths depend on their numbers alone. */
static weft_tokens pack(side *s, int first, int B, int salt)
{
    int32_t n = 0;
    for (int b = 0; b < B; b++) {
        s->offsets[b] = n;
        const int length = 2 + (5 * (first + b) + salt) % 8;
        for (int p = 0; p < length; p++, n++) {
            s->ids[n] = (7 * (first + b) + 3 * p * p + salt) % V;
            s->rows[2 * n] = first + b;
            s->rows[2 * n + 1] = p;
        }
    }
    s->offsets[B] = n;
    return (weft_tokens){ B, n, s->ids, s->offsets, s->rows };
}

static weft_batch batch_of(side sides[2], int first, int B)
{
    static int32_t labels[MOST];
    weft_batch batch = { .target = pack(&sides[1], first, B, 2), .labels = labels };
    if (!net.config.decoder_only) batch.source = pack(&sides[0], first, B, 5);
    for (int64_t n = 0; n < batch.target.N; n++) labels[n] = (batch.target.ids[n] * 3 + 1) % V;
    return batch;
}

static double loss_of(weft_tape *tape, int first, int B, bool backward)
{
    static side sides[2];
    const weft_batch batch = batch_of(sides, first, B);
    weft_tape_reset(tape);
    weft_tape_seed(tape, 3, 11);
    const weft_var loss = weft_transformer_loss(&net, tape, &batch, NULL);
    const double value = weft_item(tape, loss);
    ck_assert_msg(weft_tape_status(tape) == WEFT_OK, "%s", weft_tape_message(tape));
    if (backward) ck_assert_int_eq(weft_backward(tape, loss, NULL), WEFT_OK);
    return value;
}

/* ---- decoding ------------------------------------------------------------------------------------ */

/* Logits [N, V] of a target read as a whole, for one sentence. */
static const weft_real *whole(weft_tape *tape, const weft_tokens *source, const weft_tokens *target)
{
    weft_tape_reset(tape);
    const weft_var memory =
        net.config.decoder_only ? WEFT_NIL : weft_transformer_encode(&net, tape, source);
    const weft_var x = weft_transformer_decode(&net, tape, target, memory, source);
    const weft_tensor logits = weft_value(tape, weft_transformer_logits(&net, tape, x));
    ck_assert_msg(logits.data != NULL, "%s", weft_tape_message(tape));
    return logits.real;
}

static bool nearly(const weft_real *a, const weft_real *b)
{
    const double eps = sizeof(weft_real) == sizeof(double) ? 1e-12 : 1e-4;
    double worst = 0, size = 0;
    for (int v = 0; v < V; v++) {
        worst = fmax(worst, fabs((double)a[v] - (double)b[v]));
        size = fmax(size, fabs((double)b[v]));
    }
    return size > 0 && worst <= eps * size;
}

/* The logits after each prefix of T tokens of B sentences, from steps and from the prefix alone. */
START_TEST(steps_have_the_bits_of_the_prefix)
{
    enum { B = N_SENTENCES, T = 9 };
    weft_params *params = build(_i);
    weft_tape *tape = weft_tape_new(WEFT_NO_GRAD), *other = weft_tape_new(WEFT_NO_GRAD);
    weft_reader reader = { 0 };
    side source;
    const weft_tokens sources = pack(&source, 0, B, 5);
    const bool alone = net.config.decoder_only;
    ck_assert_int_eq(weft_reader_init(&reader, &net, tape, alone ? 0 : B, B, B), WEFT_OK);
    if (!alone) ck_assert_int_eq(weft_reader_encode(&reader, &sources), WEFT_OK);
    int32_t said[B][T], next[B], keep[B];
    for (int t = 0; t < T; t++) {
        for (int b = 0; b < B; b++) {
            said[b][t] = next[b] = (3 * t * t + 5 * b + t) % V;
            keep[b] = b;
        }
        const weft_tensor step = weft_value(tape, weft_reader_step(&reader, next));
        ck_assert_msg(step.data != NULL, "%s: %s", variants[_i / 2].name, weft_tape_message(tape));
        for (int b = 0; b < B; b++) {
            int32_t offsets[] = { 0, t + 1 }, rows[2 * T], at[] = { 0, 0 };
            for (int p = 0; p <= t; p++) rows[2 * p] = b, rows[2 * p + 1] = p;
            const int32_t from = sources.offsets[b];
            at[1] = sources.offsets[b + 1] - from;
            const weft_tokens one = { 1, at[1], sources.ids + from, at, sources.rows + 2 * from };
            const weft_tokens target = { 1, t + 1, said[b], offsets, rows };
            const weft_real *prefix = whole(other, &one, &target) + (ptrdiff_t)t * V;
            const weft_real *logits = step.real + (ptrdiff_t)b * V;
            ck_assert_msg(variants[_i / 2].sums ? nearly(logits, prefix)
                                                : memcmp(logits, prefix, V * sizeof *prefix) == 0,
                          "%s: sentence %d differs after token %d", variants[_i / 2].name, b, t);
        }
        ck_assert_int_eq(weft_reader_keep(&reader, B, keep), WEFT_OK);
    }
    weft_reader_free(&reader);
    weft_tape_free(tape);
    weft_tape_free(other);
    weft_params_free(params);
}
END_TEST

/* ---- training ------------------------------------------------------------------------------------ */

/* Dropout included: loss and gradients of a batch are sums over its sentences. */
START_TEST(a_batch_is_the_sum_of_its_parts)
{
    weft_params *params = build(_i);
    weft_tape *tape = weft_tape_new(0);
    const double eps = sizeof(weft_real) == sizeof(double) ? 1e-12 : 1e-4;
    const int64_t n = weft_params_block_size(params);
    weft_real *g = weft_alloc((size_t)n, sizeof *g);
    const double all = loss_of(tape, 0, N_SENTENCES, true);
    memcpy(g, weft_params_gradients(params), (size_t)n * sizeof *g);
    weft_params_zero_gradients(params);
    const double parts = loss_of(tape, 0, 1, true) + loss_of(tape, 1, N_SENTENCES - 1, true);
    ck_assert_double_le(fabs(all - parts), eps * fabs(all));
    double worst = 0, size = 0;
    for (int64_t k = 0; k < n; k++) {
        size = fmax(size, fabs((double)g[k]));
        worst = fmax(worst, fabs((double)g[k] - (double)weft_params_gradients(params)[k]));
    }
    ck_assert_msg(size > 0 && worst <= eps * size, "%s: gradients differ by %g of %g",
                  variants[_i / 2].name, worst, size);
    weft_free(g);
    weft_tape_free(tape);
    weft_params_free(params);
}
END_TEST

/* Each parameter tensor along a random direction; float has too few digits for it. */
START_TEST(gradients_agree_with_differences)
{
    if (sizeof(weft_real) != sizeof(double)) return;
    weft_params *params = build(_i);
    weft_tape *tape = weft_tape_new(0);
    loss_of(tape, 0, N_SENTENCES, true);
    for (int i = 0; i < weft_params_count(params); i++) {
        const weft_tensor x = weft_params_value(params, i), dx = weft_params_gradient(params, i);
        const int64_t n = weft_size(&x);
        static const double steps[] = { 1, -1, 2, -2, 0 };
        const double h = 1e-5;
        double slope = 0, size = 0, loss[5], from = 0;
        for (int s = 0; s < 5; s++) { /* the last step goes back to where it began */
            for (int64_t k = 0; k < n; k++)
                x.real[k] += (weft_real)((steps[s] - from) * h * cos(2.3 * (double)k));
            from = steps[s];
            weft_params_changed(params);
            loss[s] = loss_of(tape, 0, N_SENTENCES, false);
        }
        for (int64_t k = 0; k < n; k++) {
            slope += (double)dx.real[k] * cos(2.3 * (double)k);
            size += (double)dx.real[k] * (double)dx.real[k];
        }
        const double difference = (8 * (loss[0] - loss[1]) - (loss[2] - loss[3])) / (12 * h);
        ck_assert_msg(fabs(slope - difference) <= 1e-6 * fmax(sqrt(size), 1),
                      "%s, %s: %.12g, by differences %.12g", variants[_i / 2].name,
                      weft_params_name(params, i), slope, difference);
    }
    weft_tape_free(tape);
    weft_params_free(params);
}
END_TEST

START_TEST(dry_plan_is_the_real_peak)
{
    static side sides[2];
    weft_params *params = build(_i);
    size_t peak[2];
    for (int dry = 0; dry < 2; dry++) {
        weft_tape *tape = weft_tape_new(dry ? WEFT_DRY : 0);
        const weft_batch batch = batch_of(sides, 0, N_SENTENCES);
        const weft_var loss = weft_transformer_loss(&net, tape, &batch, NULL);
        ck_assert_msg(weft_backward(tape, loss, NULL) == WEFT_OK, "%s", weft_message());
        peak[dry] = weft_tape_peak_bytes(tape);
        weft_tape_free(tape);
    }
    ck_assert_uint_eq(peak[0], peak[1]);
    weft_params_free(params);
}
END_TEST

/* ---- initial values -------------------------------------------------------------------------------- */

static double largest(const weft_tensor *x, int64_t from, int64_t to)
{
    double most = 0;
    for (int64_t k = from * x->dim[1]; k < to * x->dim[1]; k++)
        most = fmax(most, fabs((double)x->real[k]));
    return most;
}

/* Xavier by the size of each of the stacked matrices: 64 rows for queries, 16 for keys and values. */
START_TEST(stacked_matrices_are_drawn_apart)
{
    const weft_layer_config config = {
        .D = 64, .F = 8, .heads = 8, .kv_heads = 2, .init = { WEFT_INIT_XAVIER_UNIFORM, 0, 0 }
    };
    weft_params *params = weft_params_new(1);
    weft_attention_layer layer;
    ck_assert_int_eq(weft_attention_layer_init(&layer, params, "a", &config), WEFT_OK);
    const weft_tensor w = weft_params_value(params, weft_params_find(params, "a.in_proj_weight"));
    static const int64_t ends[] = { 0, 64, 80, 96 };
    ck_assert_int_eq(w.dim[0], 96);
    for (int i = 0; i < 3; i++) {
        const double bound = sqrt(6.0 / (double)(64 + ends[i + 1] - ends[i]));
        const double most = largest(&w, ends[i], ends[i + 1]);
        ck_assert_msg(most <= bound * (1 + 1e-6) && most > 0.99 * bound, "%d: %g, not %g", i, most,
                      bound);
    }
    weft_norm_layer norm;
    const weft_norm_spec layer_norm = { WEFT_LAYER_NORM, 0 };
    ck_assert_int_eq(weft_norm_layer_init(&norm, params, "n", 4, layer_norm, true), WEFT_ERR_SHAPE);
    const weft_init init = { WEFT_INIT_XAVIER_UNIFORM, 0, 3 };
    ck_assert_int_eq(weft_params_init_rows(layer.in_weight, 90, 97, init), WEFT_ERR_RANGE);
    ck_assert_int_eq(weft_params_init_rows(layer.in_weight, 0, 7, init), WEFT_ERR_RANGE);
    ck_assert_str_eq(weft_message(), "parameter a.in_proj_weight: rows 0 to 7 of 96 in 3 blocks");
    weft_params_free(params);
}
END_TEST

/* ScaleNorm is g x / |x| with g at first sqrt(D). */
START_TEST(scale_norm_is_its_formula)
{
    enum { N = 3, D = 5 };
    weft_params *params = weft_params_new(1);
    weft_tape *tape = weft_tape_new(0);
    weft_norm_layer norm;
    const weft_norm_spec spec = { WEFT_RMS_NORM, 1e-12 };
    ck_assert_int_eq(weft_norm_layer_init(&norm, params, "n", D, spec, true), WEFT_OK);
    const weft_tensor g = weft_params_value(params, 0);
    ck_assert_int_eq(weft_size(&g), 1);
    ck_assert_double_le(fabs((double)g.real[0] - sqrt(D)), 1e-6);
    g.real[0] = (weft_real)1.75;
    weft_params_changed(params);
    weft_real x[N * D];
    for (int i = 0; i < N * D; i++) x[i] = (weft_real)(sin(2.1 * i) * (i + 1));
    const weft_var y = weft_norm_layer_apply(&norm, tape, weft_constant(tape, WEFT_DIMS(N, D), x));
    const weft_real *got = weft_value(tape, y).real;
    for (int n = 0; n < N; n++) {
        double square = 0;
        for (int d = 0; d < D; d++) square += (double)x[n * D + d] * (double)x[n * D + d];
        for (int d = 0; d < D; d++)
            ck_assert_double_le(
                fabs((double)got[n * D + d] - 1.75 * (double)x[n * D + d] / sqrt(square)), 1e-6);
    }
    weft_tape_free(tape);
    weft_params_free(params);
}
END_TEST

/* alpha and beta of 12 decoder layers, and of 6 encoder with 4 decoder layers: the paper's table. */
START_TEST(deep_norm_has_the_papers_factors)
{
    weft_params *params = weft_params_new(1);
    weft_transformer_config config = {
        .decoder_only = _i == 0,
        .layer = { .D = 32,
                   .F = 32,
                   .heads = 2,
                   .place = WEFT_DEEP_NORM,
                   .init = { WEFT_INIT_XAVIER_UNIFORM, 0, 0 } },
        .encoder_layers = 6,
        .decoder_layers = _i == 0 ? 12 : 4,
        .source_V = V,
        .target_V = V,
    };
    ck_assert_int_eq(weft_transformer_init(&net, params, &config), WEFT_OK);
    const weft_layer_config *of = _i == 2 ? &net.decoder[0].config : &net.encoder[0].config;
    const double alpha[] = { 2.213363839400643, 0.81 * pow(6 * 6 * 6 * 6 * 4, 0.0625),
                             1.8612097182041991 };
    const double beta[] = { 0.31947156, 0.87 * pow(6 * 6 * 6 * 6 * 4, -0.0625), 0.37991784 };
    ck_assert_double_le(fabs(of->alpha - alpha[_i]), 1e-7);
    ck_assert_double_le(fabs(of->beta - beta[_i]), 1e-7);
    const char *stack = _i == 1 ? "encoder" : "decoder";
    static const struct {
        const char *name;
        int64_t from, to;
        bool scaled;
    } parts[] = { { "self_attn.in_proj_weight", 0, 32, false },
                  { "self_attn.in_proj_weight", 32, 64, false },
                  { "self_attn.in_proj_weight", 64, 96, true },
                  { "self_attn.out_proj.weight", 0, 32, true },
                  { "linear1.weight", 0, 32, true },
                  { "linear2.weight", 0, 32, true } };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        char name[96];
        snprintf(name, sizeof name, "%s.layers.0.%s", stack, parts[i].name);
        const weft_tensor w = weft_params_value(params, weft_params_find(params, name));
        const double bound = sqrt(6.0 / 64) * (parts[i].scaled ? of->beta : 1);
        const double most = largest(&w, parts[i].from, parts[i].to);
        ck_assert_msg(most <= bound * (1 + 1e-6) && most > 0.97 * bound, "%s: %g, not %g", name,
                      most, bound);
    }
    weft_params_free(params);
}
END_TEST

/* ---- fewer heads of keys and values ----------------------------------------------------------------- */

static weft_transformer grouped_net;

/* Make heads that are equal in pairs: `rows` each, the first from row `from` of w on. */
static void pair_heads(const weft_tensor *w, int64_t from, int64_t rows)
{
    const int64_t size = rows * (w->rank == 2 ? w->dim[1] : 1);
    weft_real *const first = w->real + size / rows * from;
    for (int64_t h = 0; h < 4; h += 2)
        memcpy(first + (h + 1) * size, first + h * size, (size_t)size * sizeof *first);
}

/* Heads that are equal in pairs are pooled without a change; others change what comes out. Values are 4
 * wide, as keys, or 3. */
START_TEST(pooling_equal_heads_changes_nothing)
{
    enum { D = 16, K = 4 };
    const bool equal = _i % 2 == 0;
    const int64_t Kv = _i < 2 ? K : 3;
    weft_params *params = build(2 * N_VARIANTS - (_i < 2 ? 2 : 4)), *few = weft_params_new(1);
    const weft_real *before, *after;
    weft_transformer_config config = net.config;
    ck_assert_int_eq(config.layer.kv_heads, 0);
    config.layer.kv_heads = 2;
    ck_assert_int_eq(weft_transformer_init(&grouped_net, few, &config), WEFT_OK);
    for (int i = 0; i < weft_params_count(params) && equal; i++) {
        const weft_tensor w = weft_params_value(params, i);
        if (!strstr(weft_params_name(params, i), ".in_proj_")) continue;
        pair_heads(&w, D, K);
        pair_heads(&w, D + 4 * K, Kv);
    }
    weft_params_changed(params);
    ck_assert_msg(weft_transformer_group_heads(&net, &grouped_net) == WEFT_OK, "%s",
                  weft_message());
    static side sides[2];
    const weft_tokens source = pack(&sides[0], 1, 1, 5), target = pack(&sides[1], 2, 1, 2);
    weft_tape *tape = weft_tape_new(WEFT_NO_GRAD), *other = weft_tape_new(WEFT_NO_GRAD);
    before = whole(tape, &source, &target);
    const weft_transformer many = net;
    net = grouped_net;
    after = whole(other, &source, &target);
    ck_assert_int_eq(memcmp(before, after, (size_t)(target.N * V) * sizeof *before) == 0, equal);
    ck_assert_int_eq(weft_transformer_group_heads(&grouped_net, &net), WEFT_OK); /* one by one */
    net = many;
    ck_assert_int_eq(weft_transformer_group_heads(&grouped_net, &net), WEFT_ERR_SHAPE);
    ck_assert_str_eq(weft_message(),
                     Kv == K ? "16 channels of keys and values cannot be pooled into 32"
                             : "14 channels of keys and values cannot be pooled into 28");
    weft_tape_free(tape);
    weft_tape_free(other);
    weft_params_free(params);
    weft_params_free(few);
}
END_TEST

/* ---- impossible ones ----------------------------------------------------------------------------- */

START_TEST(impossible_forms_get_a_sentence)
{
    static const struct {
        weft_layer_config layer;
        weft_position_kind position;
        weft_status status;
        const char *part;
    } wrong[] = {
        { { .D = 12, .F = 8, .heads = 4 },
          WEFT_POSITION_ROTARY,
          WEFT_ERR_SHAPE,
          "heads 3 wide are odd" },
        { { .D = 12, .F = 8, .heads = 4, .kv_heads = 3 },
          WEFT_POSITION_NONE,
          WEFT_ERR_SHAPE,
          "4 heads do not divide among 3 of keys and values" },
        { { .D = 12, .F = 8, .heads = 4, .kv_heads = -1 },
          WEFT_POSITION_NONE,
          WEFT_ERR_SHAPE,
          "4 heads do not divide among -1" },
        { { .D = 12, .F = 8, .heads = 4, .layer_scale = -1 },
          WEFT_POSITION_NONE,
          WEFT_ERR_RANGE,
          "must not be negative" },
        { { .D = 12, .F = 8, .heads = 4, .one_gain = true },
          WEFT_POSITION_NONE,
          WEFT_ERR_SHAPE,
          "LayerNorm has a gain for each channel" },
        { { .D = 12, .F = 8, .heads = 4, .place = WEFT_DEEP_NORM, .init_stacked = true },
          WEFT_POSITION_NONE,
          WEFT_ERR_RANGE,
          "not init_stacked" },
        { { .D = 16,
            .F = 8,
            .heads = 4,
            .approximation = { WEFT_BY_PROJECTION, .k = 2, .longest = 9 } },
          WEFT_POSITION_NONE,
          WEFT_ERR_STATE,
          "cannot be causal" },
        { { .D = 16,
            .F = 8,
            .heads = 4,
            .attention_dropout = 0.1,
            .approximation = { WEFT_BY_FEATURES } },
          WEFT_POSITION_NONE,
          WEFT_ERR_STATE,
          "no weights that attention_dropout = 0.1" },
        { { .D = 16,
            .F = 8,
            .heads = 4,
            .kv_heads = 2,
            .approximation = { WEFT_BY_BUCKETS, .rounds = 1, .chunk = 4 } },
          WEFT_POSITION_NONE,
          WEFT_ERR_STATE,
          "not 2 for 4" },
        { { .D = 16, .F = 8, .heads = 4, .approximation = { WEFT_BY_FEATURES } },
          WEFT_POSITION_ROTARY,
          WEFT_ERR_STATE,
          "no scores of single pairs" },
        { { .D = 16, .F = 8, .heads = 4, .approximation = { WEFT_BY_RANDOM } },
          WEFT_POSITION_NONE,
          WEFT_ERR_RANGE,
          "random features needs positive sizes" },
    };
    weft_params *params = weft_params_new(1);
    ck_assert_ptr_nonnull(params);
    const weft_transformer_config config = { .decoder_only = true,
                                             .layer = wrong[_i].layer,
                                             .decoder_layers = 1,
                                             .target_V = V,
                                             .position = wrong[_i].position };
    ck_assert_int_eq(weft_transformer_init(&net, params, &config), wrong[_i].status);
    ck_assert_msg(strstr(weft_message(), wrong[_i].part) != NULL, "%s", weft_message());
    weft_params_free(params);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("variants");
    TCase *decoding = tcase_create("decoding");
    tcase_add_loop_test(decoding, steps_have_the_bits_of_the_prefix, 0, N_CASES);
    suite_add_tcase(suite, decoding);
    TCase *training = tcase_create("training");
    tcase_add_loop_test(training, a_batch_is_the_sum_of_its_parts, 0, N_CASES);
    tcase_add_loop_test(training, gradients_agree_with_differences, 0, N_CASES);
    tcase_add_loop_test(training, dry_plan_is_the_real_peak, 0, N_CASES);
    suite_add_tcase(suite, training);
    TCase *initial = tcase_create("initial");
    tcase_add_test(initial, stacked_matrices_are_drawn_apart);
    tcase_add_test(initial, scale_norm_is_its_formula);
    tcase_add_loop_test(initial, deep_norm_has_the_papers_factors, 0, 3);
    suite_add_tcase(suite, initial);
    TCase *heads = tcase_create("heads");
    tcase_add_loop_test(heads, pooling_equal_heads_changes_nothing, 0, 4);
    suite_add_tcase(suite, heads);
    TCase *misuse = tcase_create("misuse");
    tcase_add_loop_test(misuse, impossible_forms_get_a_sentence, 0, 11);
    suite_add_tcase(suite, misuse);
    return run_suite(suite);
}
