/* attention_samples.c - the cases that the tests of attention run, and the calls that must fail. */
#include "autograd/attention_internal.h"

#include <math.h>

static weft_var integers(weft_tape *t, int64_t n, const int32_t *x)
{
    return weft_constant_int(t, WEFT_DIMS(n), x);
}

/* q, k, v of H heads (G of keys), K wide. */
static weft_var self(weft_tape *t, int64_t N, int64_t K, const weft_attention_spec *spec)
{
    const int64_t H = spec->heads, G = spec->kv_heads ? spec->kv_heads : H;
    const weft_var q = weft_sample_normal(t, WEFT_DIMS(N, H * K)),
                   k = weft_sample_normal(t, WEFT_DIMS(N, G * K)),
                   v = weft_sample_normal(t, WEFT_DIMS(N, G * (K + 1)));
    return weft_attention(t, q, k, v, spec);
}

static weft_var sample_cross(weft_tape *t)
{
    /* the second sentence has no keys, the fourth no queries */
    const weft_attention_spec spec = { .heads = 2,
                                       .q_offsets =
                                           integers(t, 6, (int32_t[]){ 0, 3, 5, 6, 6, 10 }),
                                       .k_offsets =
                                           integers(t, 6, (int32_t[]){ 0, 2, 2, 7, 9, 10 }),
                                       .dropout = 0.3 };
    const weft_var q = weft_sample_normal(t, WEFT_DIMS(10, 6)),
                   k = weft_sample_strided(t, WEFT_DIMS(10, 6)),
                   v = weft_sample_strided(t, WEFT_DIMS(10, 8));
    return weft_attention(t, q, k, v, &spec);
}

/* Tiles: sentences longer than one, ragged, beside a short one. */
static weft_var sample_long(weft_tape *t, bool causal, double dropout, int kv_heads)
{
    const weft_attention_spec spec = { .heads = 2,
                                       .kv_heads = kv_heads,
                                       .causal = causal,
                                       .dropout = dropout,
                                       .q_offsets = integers(t, 4, (int32_t[]){ 0, 131, 140, 205 }),
                                       .q_rows = weft_sample_int(t, 0, 1000, WEFT_DIMS(205, 2)) };
    return self(t, 205, 3, &spec);
}

/* Slices of one product, as a layer makes them. */
static weft_var sample_sliced(weft_tape *t)
{
    const weft_var x = weft_sample_normal(t, WEFT_DIMS(7, 18)),
                   o = integers(t, 3, (int32_t[]){ 0, 4, 7 });
    return weft_attention(t, weft_slice(t, x, 1, 0, 6), weft_slice(t, x, 1, 6, 12),
                          weft_slice(t, x, 1, 12, 18),
                          &(weft_attention_spec){ .heads = 3, .causal = true, .q_offsets = o });
}

/* ---- patterns and biases -------------------------------------------------------------------------- */

/* Three sentences, one of a single token, one longer than a tile or two; H heads of 2. */
static weft_var packed(weft_tape *t, bool long_one, weft_attention_spec spec)
{
    const int32_t n = long_one ? 133 : 11;
    spec.q_offsets = integers(t, 4, (int32_t[]){ 0, 7, 8, 8 + n });
    return self(t, 8 + n, 2, &spec);
}

static weft_attention_spec patterned(weft_pattern_spec pattern, bool causal)
{
    return (weft_attention_spec){ .heads = 2, .causal = causal, .pattern = pattern };
}

/* Each with and without causal, short and longer than a tile. */
static weft_var sample_pattern(weft_tape *t, int i)
{
    static const weft_pattern_spec patterns[] = {
        { .kind = WEFT_PATTERN_WINDOW, .window = 2 },
        { .kind = WEFT_PATTERN_WINDOW, .window = 5 },
        { .kind = WEFT_PATTERN_WINDOW, .window = 1000 },
        { .kind = WEFT_PATTERN_WINDOW, .window = 3, .n_global = 2 },
        { .kind = WEFT_PATTERN_WINDOW, .window = 4, .n_global = 2, .rows = WEFT_ROWS_LOCAL },
        { .n_global = 3, .rows = WEFT_ROWS_GLOBAL },
        { .kind = WEFT_PATTERN_DILATED, .window = 4, .gap = 3 },
        { .kind = WEFT_PATTERN_DILATED, .window = 2, .gap = 70, .n_global = 1 },
        { .kind = WEFT_PATTERN_STRIDED, .stride = 4 },
        { .kind = WEFT_PATTERN_STRIDED, .stride = 50 },
        { .kind = WEFT_PATTERN_FIXED, .stride = 4, .summary = 1 },
        { .kind = WEFT_PATTERN_FIXED, .stride = 67, .summary = 3 },
        { .kind = WEFT_PATTERN_BIGBIRD,
          .block = 3,
          .window_blocks = 1,
          .global_blocks = 1,
          .random_blocks = 1,
          .seed = 5 },
        { .kind = WEFT_PATTERN_BIGBIRD,
          .block = 16,
          .window_blocks = 3,
          .global_blocks = 2,
          .random_blocks = 2 },
        { .kind = WEFT_PATTERN_BIGBIRD, .block = 40, .window_blocks = 1 },
    };
    const int n = (int)(sizeof patterns / sizeof *patterns);
    if (i >= 4 * n) return WEFT_NIL;
    return packed(t, i % 4 >= 2, patterned(patterns[i / 4], i % 2 == 1));
}

/* Global tokens by a mask; a list of blocks, of which one sees nobody. */
static weft_var sample_listed(weft_tape *t, int i)
{
    const int32_t N = 90;
    int32_t global[90] = { 0 };
    global[2] = global[81] = 1;
    weft_attention_spec spec = { .heads = 2, .causal = i % 2 == 1 };
    if (i < 2)
        spec.pattern = (weft_pattern_spec){ .kind = WEFT_PATTERN_WINDOW,
                                            .window = 3,
                                            .global = integers(t, N, global) };
    else
        spec.pattern =
            (weft_pattern_spec){ .kind = WEFT_PATTERN_BLOCKS,
                                 .block = 20,
                                 .block_begin = integers(t, 6, (int32_t[]){ 0, 2, 2, 3, 5, 8 }),
                                 .block_index =
                                     integers(t, 8, (int32_t[]){ 0, 3, 2, 0, 3, 0, 1, 4 }) };
    return self(t, N, 2, &spec);
}

/* The last queries of sentences whose keys are all there. */
static weft_var sample_at_end(weft_tape *t, weft_attention_spec spec)
{
    spec.at_end = spec.causal = true;
    spec.q_offsets = integers(t, 3, (int32_t[]){ 0, 1, 4 });
    spec.k_offsets = integers(t, 3, (int32_t[]){ 0, 70, 79 });
    const int64_t G = spec.kv_heads ? spec.kv_heads : spec.heads;
    return weft_attention(t, weft_sample_normal(t, WEFT_DIMS(4, 2 * spec.heads)),
                          weft_sample_normal(t, WEFT_DIMS(79, 2 * G)),
                          weft_sample_normal(t, WEFT_DIMS(79, 3 * G)), &spec);
}

/* Bias, relative of either form, mask, slopes and relative values, for softmax and sigmoid. */
static weft_var sample_biased(weft_tape *t, int i, weft_weights_kind weights)
{
    const int32_t long_n = i % 2 ? 133 : 11, N = 8 + long_n, C = long_n + 2;
    weft_attention_spec spec = { .heads = 3, .causal = i % 3 == 1, .weights = weights };
    int32_t *mask;
    switch (i / 2) {
    case 0: spec.bias = weft_sample_normal(t, WEFT_DIMS(3, N, C)); break;
    case 1: spec.relative = weft_sample_normal(t, WEFT_DIMS(3, 7)); break;
    case 2: spec.relative = weft_sample_normal(t, WEFT_DIMS(3, N, 5)); break;
    case 3: spec.alibi = true; break;
    case 4:
        mask = weft_alloc((size_t)N * (size_t)C, sizeof *mask);
        if (!mask) return WEFT_NIL;
        for (int64_t k = 0; k < N * C; k++) mask[k] = k % 3 != 0 && k / C != 4;
        spec.mask = weft_constant_int(t, WEFT_DIMS(N, C), mask);
        weft_free(mask);
        break;
    case 5: /* values of distances: near and far, the latter together */
        spec.kv_heads = i % 2 ? 1 : 3;
        spec.dropout = i % 2 ? 0 : 0.2;
        spec.relative_values = weft_sample_normal(t, WEFT_DIMS(i % 2 ? 9 : 1, 3));
        break;
    default: /* all at once, with dropout and one head of keys */
        spec.kv_heads = 1;
        spec.dropout = 0.3;
        spec.alibi = true;
        spec.bias = weft_sample_strided(t, WEFT_DIMS(3, N, C));
        spec.relative = weft_sample_strided(t, WEFT_DIMS(3, 9));
        spec.relative_values = weft_sample_strided(t, WEFT_DIMS(7, 3));
        spec.pattern = (weft_pattern_spec){ .kind = WEFT_PATTERN_WINDOW, .window = 6 };
    }
    return packed(t, i % 2, spec);
}

static weft_var sample_sigmoid(weft_tape *t, int i)
{
    weft_attention_spec spec = { .heads = 2, .weights = WEFT_SIGMOID };
    switch (i) {
    case 0: return packed(t, true, spec);
    case 1: spec.causal = true; return packed(t, true, spec);
    case 2:
        spec.dropout = 0.2;
        spec.has_sigmoid_bias = true;
        return packed(t, false, spec);
    default: spec.kv_heads = 1; return sample_at_end(t, spec);
    }
}

/* Lengths at the edges of tiles, and of one token; one head, or as many of keys as of queries, said. */
static weft_var sample_edges(weft_tape *t, int i)
{
    weft_attention_spec spec = { .heads = i < 2 ? 1 : 3, .kv_heads = i == 2 ? 3 : 1 };
    spec.causal = i % 2 == 1;
    spec.q_offsets = integers(t, 6, (int32_t[]){ 0, 1, 64, 128, 193, 193 });
    if (i == 3) spec.pattern = (weft_pattern_spec){ .kind = WEFT_PATTERN_WINDOW, .window = 66 };
    if (i == 4) /* longer than any sentence */
        spec.pattern = (weft_pattern_spec){ .kind = WEFT_PATTERN_WINDOW, .window = 200 };
    return self(t, 193, 2, &spec);
}

/* Samples of one family follow those of another. */
enum {
    ALL_BIASES = 12,
    PLAIN = 13,
    PATTERNS = 60,
    LISTED = 4,
    BIASED = 14,
    SIGMOIDS = 4,
    EDGES = 5
};

static weft_var sample_further(weft_tape *t, int i)
{
    if (i < PATTERNS) return sample_pattern(t, i);
    if ((i -= PATTERNS) < LISTED) return sample_listed(t, i);
    if ((i -= LISTED) < BIASED) return sample_biased(t, i, WEFT_SOFTMAX);
    if ((i -= BIASED) < BIASED) return sample_biased(t, i, WEFT_SIGMOID);
    if ((i -= BIASED) < SIGMOIDS) return sample_sigmoid(t, i);
    if ((i -= SIGMOIDS) < EDGES) return sample_edges(t, i);
    switch (i - EDGES) {
    case 0: return sample_at_end(t, (weft_attention_spec){ .heads = 2 });
    case 1:
        return sample_at_end(
            t, (weft_attention_spec){ .heads = 2,
                                      .alibi = true,
                                      .pattern = { .kind = WEFT_PATTERN_WINDOW, .window = 5 } });
    case 2:
        return sample_at_end(
            t, (weft_attention_spec){ .heads = 2,
                                      .relative_values = weft_sample_normal(t, WEFT_DIMS(5, 3)) });
    default: return WEFT_NIL;
    }
}

weft_var weft_attention_sample(weft_tape *t, int i)
{
    weft_var x;
    if (i == 0)
        return sample_biased(t, ALL_BIASES, WEFT_SOFTMAX); /* every input, for planted faults */
    switch (i - 1) {
    case 0: return self(t, 5, 3, &(weft_attention_spec){ .heads = 2 });
    case 1: return self(t, 6, 4, &(weft_attention_spec){ .heads = 2, .causal = true });
    case 2:
        return self(t, 17, 2, &(weft_attention_spec){ .heads = 4, .kv_heads = 2, .scale = 0.7 });
    case 3:
        return self(t, 9, 5, &(weft_attention_spec){ .heads = 3, .kv_heads = 1, .dropout = 0.4 });
    case 4: return sample_sliced(t);
    case 5: return sample_cross(t);
    case 6: return sample_long(t, false, 0, 0);
    case 7: return sample_long(t, true, 0.2, 1);
    case 8: /* one value as q, k and v */
        x = weft_sample_normal(t, WEFT_DIMS(5, 4));
        return weft_attention(t, x, x, x, &(weft_attention_spec){ .heads = 2, .causal = true });
    case 9: /* batches of equal lengths */
        return weft_attention(
            t, weft_sample_normal(t, WEFT_DIMS(2, 3, 4)), weft_sample_normal(t, WEFT_DIMS(2, 5, 4)),
            weft_sample_normal(t, WEFT_DIMS(2, 5, 6)), &(weft_attention_spec){ .heads = 2 });
    case 10: /* scores of hundreds: weights of nearly 0 and 1 */
        return weft_attention(t, weft_sample_uniform(t, -20, 20, WEFT_DIMS(4, 3)),
                              weft_sample_uniform(t, -20, 20, WEFT_DIMS(4, 3)),
                              weft_sample_normal(t, WEFT_DIMS(4, 2)),
                              &(weft_attention_spec){ .heads = 1, .scale = 0.05 });
    case 11: /* one key: its weight is 1, whatever the score; one value, so that no rounding
                hides in dP - rowsum(dO O) */
        weft_sample_zero_gradient(t);
        return weft_attention(
            t, weft_sample_normal(t, WEFT_DIMS(1, 2)), weft_sample_normal(t, WEFT_DIMS(1, 2)),
            weft_sample_normal(t, WEFT_DIMS(1, 1)), &(weft_attention_spec){ .heads = 1 });
    case 12: return sample_long(t, true, 0, 0);
    default: return sample_further(t, i - 1 - PLAIN);
    }
}

/* Lists of blocks for six tokens that are wrong: the end, a fall, columns that do not rise, too few. */
static weft_pattern_spec listed(weft_tape *t, int i)
{
    static const int32_t start[4][4] = { { 0, 1, 2, 2 }, { 0, 2, 1, 3 }, { 0, 2, 3, 3 }, { 0, 3 } };
    const int32_t index[3] = { 1, i == 2 ? 1 : 2, 3 };
    return (weft_pattern_spec){ .kind = WEFT_PATTERN_BLOCKS,
                                .block = 2,
                                .block_begin = integers(t, i == 3 ? 2 : 4, start[i]),
                                .block_index = integers(t, 3, index) };
}

weft_var weft_attention_misuse(weft_tape *t, int i)
{
    const weft_var x = weft_sample_normal(t, WEFT_DIMS(6, 4)),
                   y = weft_sample_normal(t, WEFT_DIMS(5, 4));
    const weft_var good = integers(t, 3, (int32_t[]){ 0, 2, 6 });
    weft_attention_spec spec = { .heads = 2 };
    switch (i) {
    case 0: spec.heads = 3; return weft_attention(t, x, x, x, &spec);
    case 1: spec.heads = 0; return weft_attention(t, x, x, x, &spec);
    case 2: spec.kv_heads = 3; return weft_attention(t, x, x, x, &spec);
    case 3: return weft_attention(t, x, x, y, &spec);
    case 4: spec.causal = true; return weft_attention(t, x, y, y, &spec);
    case 5:
        spec.q_offsets = integers(t, 3, (int32_t[]){ 0, 2, 5 });
        return weft_attention(t, x, x, x, &spec);
    case 6:
        spec.q_offsets = integers(t, 4, (int32_t[]){ 0, 4, 2, 6 });
        return weft_attention(t, x, x, x, &spec);
    case 7: spec.k_offsets = good; return weft_attention(t, x, x, x, &spec);
    case 8:
        spec.q_offsets = good;
        spec.k_offsets = integers(t, 2, (int32_t[]){ 0, 6 });
        return weft_attention(t, x, x, x, &spec);
    case 9: spec.dropout = 1; return weft_attention(t, x, x, x, &spec);
    case 10:
        spec.q_rows = weft_sample_int(t, 0, 9, WEFT_DIMS(5, 2));
        return weft_attention(t, x, x, x, &spec);
    case 11: spec.scale = INFINITY; return weft_attention(t, x, x, x, &spec);
    case 12: return weft_attention(t, weft_sample_normal(t, WEFT_DIMS(4)), x, x, &spec);
    case 13: spec.kv_heads = 1; return weft_attention(t, x, x, x, &spec);
    case 14:
        spec.causal = true;
        spec.q_offsets = good;
        spec.k_offsets = integers(t, 3, (int32_t[]){ 0, 3, 6 });
        return weft_attention(t, x, x, x, &spec);
    case 15: return weft_attention(t, x, WEFT_NIL, x, &spec);
    case 16: return weft_attention(t, x, x, x, NULL);
    case 17: spec.at_end = true; return weft_attention(t, x, y, y, &spec);
    case 18: spec.bias = weft_sample_normal(t, WEFT_DIMS(2, 5, 6)); break;
    case 19: spec.bias = weft_sample_normal(t, WEFT_DIMS(2, 6, 5)); break;
    case 20: spec.mask = weft_sample_int(t, 0, 2, WEFT_DIMS(2, 6)); break;
    case 21: spec.relative = weft_sample_normal(t, WEFT_DIMS(2, 4)); break;
    case 22: spec.relative = weft_sample_normal(t, WEFT_DIMS(2, 5, 3)); break;
    case 23: spec.weights = (weft_weights_kind)7; break;
    case 24: spec.sigmoid_bias = NAN; break;
    case 25: spec.pattern.kind = WEFT_PATTERN_WINDOW; break;
    case 26: spec.pattern = (weft_pattern_spec){ .kind = WEFT_PATTERN_DILATED, .window = 3 }; break;
    case 27: spec.pattern.kind = WEFT_PATTERN_STRIDED; break;
    case 28:
        spec.pattern = (weft_pattern_spec){ .kind = WEFT_PATTERN_FIXED, .stride = 2, .summary = 3 };
        break;
    case 29:
        spec.pattern =
            (weft_pattern_spec){ .kind = WEFT_PATTERN_BIGBIRD, .block = 2, .window_blocks = 2 };
        break;
    case 30: spec.pattern = (weft_pattern_spec){ .kind = WEFT_PATTERN_BLOCKS, .block = 2 }; break;
    case 31: spec.pattern = (weft_pattern_spec){ .n_global = -1 }; break;
    case 32: spec.pattern.global = weft_sample_int(t, 0, 2, WEFT_DIMS(5)); break;
    case 33: spec.pattern.kind = (weft_pattern_kind)99; break;
    case 34: spec.pattern.n_global = 1; return weft_attention(t, x, y, y, &spec);
    case 35:
    case 36:
    case 37:
    case 38: spec.pattern = listed(t, i - 35); break;
    case 39: spec.pattern.rows = (weft_pattern_rows)3; break;
    case 40: spec.relative_values = weft_sample_normal(t, WEFT_DIMS(4, 2)); break;
    case 41: spec.relative_values = weft_sample_normal(t, WEFT_DIMS(5, 3)); break;
    default: return WEFT_NIL;
    }
    return weft_attention(t, x, x, x, &spec);
}
