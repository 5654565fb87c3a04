/* bench_variants.c - one function and one line for each kind of attention, named as the configuration names
 * it: a value of model.attention, model.position or model.attention_weights, or a key. */
#include "cli/bench_variants.h"

#include "layers/layers.h"

#include <math.h>
#include <string.h>

/* Windows, blocks, chunks, features and distances as many as the papers have. */
enum { WINDOW = 256, GLOBAL = 16, BLOCK = 64, CHUNK = 64, ROUNDS = 4, FEATURES = 256 };
enum { PROJECTED = 256, T5_REACH = 128, SHAW_REACH = 16 };

/* ---- one kernel, several patterns ---------------------------------------------------------------- */

static weft_attention_spec plain(const weft_bench_shape *s)
{
    return (weft_attention_spec){ .heads = s->heads, .causal = s->causal };
}

static weft_var full(weft_tape *t, const weft_bench_shape *s, weft_var q, weft_var k, weft_var v)
{
    const weft_attention_spec spec = plain(s);
    return weft_attention(t, q, k, v, &spec);
}

static weft_var window(weft_tape *t, const weft_bench_shape *s, weft_var q, weft_var k, weft_var v)
{
    weft_attention_spec spec = plain(s);
    spec.pattern = (weft_pattern_spec){ .kind = WEFT_PATTERN_WINDOW, .window = WINDOW };
    return weft_attention(t, q, k, v, &spec);
}

static weft_var global_tokens(weft_tape *t, const weft_bench_shape *s, weft_var q, weft_var k,
                              weft_var v)
{
    weft_attention_spec spec = plain(s);
    spec.pattern =
        (weft_pattern_spec){ .kind = WEFT_PATTERN_WINDOW, .window = WINDOW, .n_global = GLOBAL };
    return weft_attention(t, q, k, v, &spec);
}

/* A call for the global tokens, by projections of their own, and one for all others. */
static weft_var longformer(weft_tape *t, const weft_bench_shape *s, weft_var q, weft_var k,
                           weft_var v)
{
    weft_attention_spec spec = plain(s);
    spec.pattern = (weft_pattern_spec){
        .kind = WEFT_PATTERN_WINDOW, .window = WINDOW, .n_global = GLOBAL, .rows = WEFT_ROWS_LOCAL
    };
    const weft_var y = weft_attention(t, q, k, v, &spec);
    spec.pattern.rows = WEFT_ROWS_GLOBAL;
    return weft_add(t, y, weft_attention(t, q, k, v, &spec));
}

static weft_var dilated(weft_tape *t, const weft_bench_shape *s, weft_var q, weft_var k, weft_var v)
{
    weft_attention_spec spec = plain(s);
    spec.pattern = (weft_pattern_spec){ .kind = WEFT_PATTERN_DILATED, .window = WINDOW, .gap = 2 };
    return weft_attention(t, q, k, v, &spec);
}

/* Strides near the root of n (Child et al. 2019). */
static int64_t stride_of(const weft_bench_shape *s)
{
    const int64_t stride = (int64_t)sqrt((double)s->n);
    return stride > 1 ? stride : 1;
}

static weft_var strided(weft_tape *t, const weft_bench_shape *s, weft_var q, weft_var k, weft_var v)
{
    weft_attention_spec spec = plain(s);
    spec.pattern = (weft_pattern_spec){ .kind = WEFT_PATTERN_STRIDED, .stride = stride_of(s) };
    return weft_attention(t, q, k, v, &spec);
}

static weft_var fixed(weft_tape *t, const weft_bench_shape *s, weft_var q, weft_var k, weft_var v)
{
    weft_attention_spec spec = plain(s);
    const int64_t stride = stride_of(s);
    spec.pattern = (weft_pattern_spec){ .kind = WEFT_PATTERN_FIXED,
                                        .stride = stride,
                                        .summary = stride > 8 ? stride / 8 : 1 };
    return weft_attention(t, q, k, v, &spec);
}

static weft_var bigbird(weft_tape *t, const weft_bench_shape *s, weft_var q, weft_var k, weft_var v)
{
    weft_attention_spec spec = plain(s);
    spec.pattern = (weft_pattern_spec){ .kind = WEFT_PATTERN_BIGBIRD,
                                        .block = BLOCK,
                                        .window_blocks = 3,
                                        .global_blocks = 2,
                                        .random_blocks = 3,
                                        .seed = 1 };
    return weft_attention(t, q, k, v, &spec);
}

/* A list: each block sees itself, the one before and the fourth before. */
static weft_var blocks(weft_tape *t, const weft_bench_shape *s, weft_var q, weft_var k, weft_var v)
{
    weft_attention_spec spec = plain(s);
    spec.pattern = (weft_pattern_spec){ .kind = WEFT_PATTERN_BLOCKS, .block = BLOCK };
    weft_pattern_list(&spec.pattern, t, s->n, 3, (int32_t[]){ -4, -1, 0 });
    return weft_attention(t, q, k, v, &spec);
}

/* A fourth of the heads, or one. */
static weft_var kv_heads(weft_tape *t, const weft_bench_shape *s, weft_var q, weft_var k,
                         weft_var v)
{
    weft_attention_spec spec = plain(s);
    spec.kv_heads = s->heads % 4 == 0 ? s->heads / 4 : 1;
    const int64_t columns = spec.kv_heads * s->width;
    return weft_attention(t, q, weft_slice(t, k, 1, 0, columns), weft_slice(t, v, 1, 0, columns),
                          &spec);
}

static weft_var alibi(weft_tape *t, const weft_bench_shape *s, weft_var q, weft_var k, weft_var v)
{
    weft_attention_spec spec = plain(s);
    spec.alibi = true;
    return weft_attention(t, q, k, v, &spec);
}

/* A table [R, C] that wants a gradient, as a model's does: of one number of x. */
static weft_var table(weft_tape *t, weft_var x, int64_t R, int64_t C)
{
    const weft_var one = weft_slice(t, weft_slice(t, x, 0, 0, 1), 1, 0, 1);
    return weft_contiguous(t, weft_expand(t, one, WEFT_DIMS(R, C)));
}

static weft_var t5(weft_tape *t, const weft_bench_shape *s, weft_var q, weft_var k, weft_var v)
{
    weft_attention_spec spec = plain(s);
    spec.relative = table(t, q, s->heads, 2 * T5_REACH + 1);
    return weft_attention(t, q, k, v, &spec);
}

static weft_var shaw(weft_tape *t, const weft_bench_shape *s, weft_var q, weft_var k, weft_var v)
{
    enum { C = 2 * SHAW_REACH + 1 };
    weft_attention_spec spec = plain(s);
    const weft_var heads = weft_reshape(t, q, WEFT_DIMS(s->n * s->heads, s->width)),
                   by_distance = weft_matmul_t(t, heads, false, table(t, q, C, s->width), true);
    spec.relative = weft_permute(t, weft_reshape(t, by_distance, WEFT_DIMS(s->n, s->heads, C)), 3,
                                 (int[]){ 1, 0, 2 });
    spec.relative_values = table(t, v, C, s->width);
    return weft_attention(t, q, k, v, &spec);
}

static weft_var sigmoid(weft_tape *t, const weft_bench_shape *s, weft_var q, weft_var k, weft_var v)
{
    weft_attention_spec spec = plain(s);
    spec.weights = WEFT_SIGMOID;
    return weft_attention(t, q, k, v, &spec);
}

/* ---- approximations ----------------------------------------------------------------------------- */

static weft_var lsh(weft_tape *t, const weft_bench_shape *s, weft_var q, weft_var k, weft_var v)
{
    (void)k; /* queries are the keys */
    return weft_lsh_attention(
        t, q, v,
        &(weft_lsh_spec){
            .heads = s->heads, .rounds = ROUNDS, .chunk = CHUNK, .causal = s->causal, .key = 1 });
}

static weft_var linear(weft_tape *t, const weft_bench_shape *s, weft_var q, weft_var k, weft_var v)
{
    return weft_linear_attention(
        t, q, k, v, &(weft_linear_attention_spec){ .heads = s->heads, .causal = s->causal });
}

static weft_var performer(weft_tape *t, const weft_bench_shape *s, weft_var q, weft_var k,
                          weft_var v)
{
    const weft_var w = weft_favor_directions(t, FEATURES, s->width, false, 1);
    const weft_favor_spec queries = { .heads = s->heads, .stabiliser = WEFT_STABILISE_ROW };
    const weft_favor_spec keys = { .heads = s->heads,
                                   .stabiliser =
                                       s->causal ? WEFT_STABILISE_NONE : WEFT_STABILISE_SENTENCE };
    return weft_linear_attention(t, weft_favor(t, q, w, &queries), weft_favor(t, k, w, &keys), v,
                                 &(weft_linear_attention_spec){ .heads = s->heads,
                                                                .map = WEFT_FEATURES_GIVEN,
                                                                .causal = s->causal });
}

static weft_var linformer(weft_tape *t, const weft_bench_shape *s, weft_var q, weft_var k,
                          weft_var v)
{
    const weft_var project = weft_full(t, WEFT_DIMS(PROJECTED, s->n), 1 / sqrt((double)PROJECTED));
    const weft_attention_spec spec = { .heads = s->heads };
    return weft_attention(t, q, weft_sentence_project(t, project, k, WEFT_NIL),
                          weft_sentence_project(t, project, v, WEFT_NIL), &spec);
}

static weft_var probsparse(weft_tape *t, const weft_bench_shape *s, weft_var q, weft_var k,
                           weft_var v)
{
    return weft_probsparse_attention(
        t, q, k, v,
        &(weft_probsparse_spec){ .heads = s->heads,
                                 .kind = s->causal ? WEFT_PROBSPARSE_PUBLISHED : WEFT_PROBSPARSE,
                                 .key = 1 });
}

static weft_var probsparse_causal(weft_tape *t, const weft_bench_shape *s, weft_var q, weft_var k,
                                  weft_var v)
{
    return weft_probsparse_attention(
        t, q, k, v,
        &(weft_probsparse_spec){ .heads = s->heads, .kind = WEFT_PROBSPARSE_CAUSAL, .key = 1 });
}

/* Claims are of one head's work; memory that of forms that hold no scores. */
const weft_bench_variant weft_bench_variants[] = {
    { "full", true, true, "n^2", "n", full },
    { "window", true, true, "n", "n", window },
    { "dilated", true, true, "n", "n", dilated },
    { "strided", true, true, "n^1.5", "n", strided },
    { "fixed", true, true, "n^1.5", "n", fixed },
    { "longformer", false, true, "n", "n", longformer },
    { "bigbird", true, true, "n", "n", bigbird },
    { "blocks", true, true, "n", "n", blocks },
    { "global_tokens", true, true, "n", "n", global_tokens },
    { "kv_heads", true, true, "n^2", "n", kv_heads },
    { "alibi", true, true, "n^2", "n", alibi },
    { "t5", true, true, "n^2", "n", t5 },
    { "shaw", true, true, "n^2", "n", shaw },
    { "sigmoid", true, true, "n^2", "n", sigmoid },
    { "linear", true, true, "n", "n", linear },
    { "performer", true, true, "n", "n", performer },
    { "lsh", true, true, "n log n", "n", lsh },
    { "linformer", false, true, "n", "n", linformer },
    { "probsparse", true, true, "n log n", "n", probsparse },
    { "probsparse_causal", true, false, "n log n", "n", probsparse_causal },
};
const int weft_bench_n_variants = sizeof weft_bench_variants / sizeof *weft_bench_variants;

const weft_bench_variant *weft_bench_variant_find(const char *name)
{
    for (int i = 0; i < weft_bench_n_variants; i++)
        if (strcmp(weft_bench_variants[i].name, name) == 0) return &weft_bench_variants[i];
    return NULL;
}
