/* bench_variants.c - one function and one line for each kind of attention. */
#include "cli/bench_variants.h"

#include <math.h>
#include <string.h>

/* Windows, blocks, chunks and features as long as the papers have them. */
enum { WINDOW = 256, BLOCK = 64, CHUNK = 64, ROUNDS = 4, FEATURES = 256, PROJECTED = 256 };

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

static weft_var favor(weft_tape *t, const weft_bench_shape *s, weft_var q, weft_var k, weft_var v)
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
                                 .kind = s->causal ? WEFT_PROBSPARSE_CAUSAL : WEFT_PROBSPARSE,
                                 .key = 1 });
}

/* Claims are of one head's work; memory that of forms that hold no scores. */
const weft_bench_variant weft_bench_variants[] = {
    { "full", true, true, "n^2", "n", full },
    { "window", true, true, "n", "n", window },
    { "dilated", true, true, "n", "n", dilated },
    { "strided", true, true, "n^1.5", "n", strided },
    { "fixed", true, true, "n^1.5", "n", fixed },
    { "bigbird", true, true, "n", "n", bigbird },
    { "sigmoid", true, true, "n^2", "n", sigmoid },
    { "lsh", true, true, "n log n", "n", lsh },
    { "linear", true, true, "n", "n", linear },
    { "favor", true, true, "n", "n", favor },
    { "linformer", false, true, "n", "n", linformer },
    { "probsparse", true, true, "n log n", "n", probsparse },
};
const int weft_bench_n_variants = sizeof weft_bench_variants / sizeof *weft_bench_variants;

const weft_bench_variant *weft_bench_variant_find(const char *name)
{
    for (int i = 0; i < weft_bench_n_variants; i++)
        if (strcmp(weft_bench_variants[i].name, name) == 0) return &weft_bench_variants[i];
    return NULL;
}
