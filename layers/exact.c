/* exact.c - the forms of exact attention that a layer may have: which keys self-attention sees, what is
 * added to its scores for the distance, and softmax or sigmoid weights.
 *
 * Sources: ALiBi Press et al. 2022; buckets of distances Raffel et al. 2020, section 2.1, one table for all
 * layers of a stack; relative keys and values Shaw et al. 2018, equations 3 and 4; global projections
 * Beltagy et al. 2020, section 3.1. */
#include "layers/layers_internal.h"

#include <math.h>
#include <string.h>

/* Products with the keys of distances go by blocks of BLOCK. MAX_REACH is a multiple of it. */
enum { BUCKETS = 32, MAX_REACH = 65536, BLOCK = 128 };

static weft_status check_pattern(const weft_pattern_spec *p)
{
    const bool windowed = p->kind == WEFT_PATTERN_WINDOW || p->kind == WEFT_PATTERN_DILATED;
    const bool strided = p->kind == WEFT_PATTERN_STRIDED || p->kind == WEFT_PATTERN_FIXED;
    if (windowed && p->window < 1)
        return weft_error(WEFT_ERR_RANGE, "transformer: a window of %lld tokens",
                          (long long)p->window);
    if (p->kind == WEFT_PATTERN_DILATED && p->gap < 1)
        return weft_error(WEFT_ERR_RANGE, "transformer: a window in steps of %lld",
                          (long long)p->gap);
    if (strided && p->stride < 1)
        return weft_error(WEFT_ERR_RANGE, "transformer: a stride of %lld", (long long)p->stride);
    if (p->kind == WEFT_PATTERN_FIXED && (p->summary < 1 || p->summary > p->stride))
        return weft_error(WEFT_ERR_RANGE, "transformer: %lld summary tokens of a stride of %lld",
                          (long long)p->summary, (long long)p->stride);
    if (p->kind == WEFT_PATTERN_BLOCKS && p->block < 1)
        return weft_error(WEFT_ERR_RANGE, "transformer: blocks of %lld tokens",
                          (long long)p->block);
    if (p->kind == WEFT_PATTERN_BIGBIRD && (p->block < 1 || p->window_blocks % 2 != 1))
        return weft_error(
            WEFT_ERR_RANGE,
            "transformer: a window of %lld blocks of %lld tokens: their number is odd",
            (long long)p->window_blocks, (long long)p->block);
    return WEFT_OK;
}

/* Without its own block a token at the beginning would see nobody. */
static bool sees_itself(const weft_exact_config *exact)
{
    bool itself = false;
    if (exact->n_blocks < 1 || exact->n_blocks > WEFT_BLOCK_OFFSETS) return false;
    for (int i = 0; i < exact->n_blocks; i++) {
        if (i > 0 && exact->blocks[i] <= exact->blocks[i - 1]) return false;
        itself = itself || exact->blocks[i] == 0;
    }
    return itself;
}

weft_status weft_exact_check(const weft_transformer_config *config)
{
    const weft_layer_config *layer = &config->layer;
    const weft_exact_config *exact = &layer->exact;
    const bool all = exact->pattern.kind == WEFT_PATTERN_FULL && exact->pattern.n_global == 0;
    const bool plain = all && exact->relative == WEFT_RELATIVE_NONE &&
                       exact->weights == WEFT_SOFTMAX && !exact->global_projections;
    if (!plain && layer->approximation.kind != WEFT_EXACT)
        return weft_error(WEFT_ERR_STATE,
                          "transformer: patterns, relative positions and sigmoid weights belong to "
                          "exact attention, not to an approximation of it");
    if (!plain && layer->mixer != WEFT_MIX_ATTENTION)
        return weft_error(WEFT_ERR_STATE,
                          "transformer: a pattern of attention and a recurrent layer in its place");
    if (exact->global_projections && config->decoder_only)
        return weft_error(WEFT_ERR_STATE,
                          "transformer: global tokens with projections of their own see the whole "
                          "text, so they need an encoder");
    if (exact->global_projections && exact->pattern.n_global < 1)
        return weft_error(WEFT_ERR_RANGE,
                          "transformer: projections of global tokens, and no global tokens");
    if (exact->relative >= WEFT_RELATIVE_T5 && (exact->reach < 1 || exact->reach > MAX_REACH))
        return weft_error(WEFT_ERR_RANGE,
                          "transformer: relative positions up to a distance of %lld: 1 to %d",
                          (long long)exact->reach, MAX_REACH);
    if (exact->pattern.kind == WEFT_PATTERN_BLOCKS && !sees_itself(exact))
        return weft_error(WEFT_ERR_RANGE,
                          "transformer: the list of blocks that a block sees must rise and have 0, "
                          "its own, among at most %d",
                          WEFT_BLOCK_OFFSETS);
    return check_pattern(&exact->pattern);
}

weft_exact_config weft_exact_of_decoder(const weft_exact_config *exact)
{
    weft_exact_config own = *exact;
    if (own.global_projections) own.pattern = (weft_pattern_spec){ 0 };
    own.global_projections = false;
    return own;
}

weft_exact_config weft_exact_of_memory(const weft_exact_config *exact)
{
    return (weft_exact_config){ .weights = exact->weights,
                                .has_sigmoid_bias = exact->has_sigmoid_bias,
                                .sigmoid_bias = exact->sigmoid_bias };
}

/* The projections of global tokens begin as those of all tokens. */
static weft_status init_global(weft_attention_layer *layer, weft_params *params, const char *prefix)
{
    const weft_tensor weight = weft_params_value(params, layer->in_weight.index);
    const weft_init zeros = { WEFT_INIT_ZEROS, 0, 0 };
    weft_status status = weft_add_param(params, prefix, "in_proj_global_weight", weight.rank,
                                        weight.dim, zeros, &layer->global_weight);
    if (status == WEFT_OK)
        status = weft_add_param(params, prefix, "in_proj_global_bias", WEFT_DIMS(weight.dim[0]),
                                zeros, &layer->global_bias);
    if (status == WEFT_OK && weight.real)
        memcpy(weft_params_value(params, layer->global_weight.index).real, weight.real,
               (size_t)weft_size(&weight) * sizeof *weight.real);
    return status;
}

weft_status weft_exact_init(weft_attention_layer *layer, weft_params *params, const char *prefix,
                            const weft_layer_config *config)
{
    const weft_exact_config *exact = &config->exact;
    layer->exact = *exact;
    if (exact->relative == WEFT_RELATIVE_T5 && !weft_param_is_none(exact->table)) {
        layer->relative = exact->table;
    } else if (exact->relative == WEFT_RELATIVE_T5) {
        const weft_init init = { WEFT_INIT_NORMAL, 1 / sqrt((double)config->D), 0 };
        const weft_status status =
            weft_add_param(params, prefix, "relative_bias", WEFT_DIMS(config->heads, BUCKETS), init,
                           &layer->relative);
        if (status != WEFT_OK) return status;
    } else if (exact->relative == WEFT_RELATIVE_SHAW) {
        const int64_t K = config->D / config->heads, C = 2 * exact->reach + 1;
        const weft_init init = { WEFT_INIT_XAVIER_UNIFORM, config->init.scale, 0 };
        weft_status status = weft_add_param(params, prefix, "relative_keys", WEFT_DIMS(C, K), init,
                                            &layer->relative);
        if (status == WEFT_OK)
            status = weft_add_param(params, prefix, "relative_values",
                                    WEFT_DIMS(C, layer->v_width / layer->kv_heads), init,
                                    &layer->relative_values);
        if (status != WEFT_OK) return status;
    }
    return exact->global_projections ? init_global(layer, params, prefix) : WEFT_OK;
}

/* The bucket of a key `distance` after the query: near ones have one each, farther ones share in
 * logarithmic steps up to `reach`; causal: of what is before the query alone. */
static int32_t bucket(int64_t distance, int64_t reach, bool causal)
{
    const int64_t n = causal ? BUCKETS : BUCKETS / 2, exact = n / 2;
    const int64_t after = !causal && distance > 0 ? n : 0;
    int64_t d = distance < 0 ? -distance : causal ? 0 : distance;
    if (d >= exact && reach > exact) {
        const double share = log((double)d / (double)exact) / log((double)reach / (double)exact);
        d = exact + (int64_t)(share * (double)(n - exact));
    }
    return (int32_t)(after + (d < n ? d : n - 1));
}

/* [H, 2 reach + 1]: the bias at each distance. */
static weft_var biases_by_distance(const weft_attention_layer *layer, weft_tape *tape, bool causal)
{
    const int64_t reach = layer->exact.reach, C = 2 * reach + 1, H = layer->heads;
    int32_t *index = weft_alloc((size_t)(H * C), sizeof *index);
    if (!index) {
        weft_tape_fail(tape, WEFT_ERR_MEMORY, "%s", weft_message());
        return WEFT_NIL;
    }
    for (int64_t k = 0; k < H * C; k++) index[k] = bucket(k % C - reach, reach, causal);
    const weft_var at = weft_constant_int(tape, WEFT_DIMS(H, C), index);
    weft_free(index);
    return weft_gather(tape, weft_use(tape, layer->relative), 1, at);
}

/* Shaw: the farthest distance within sentences of at most `longest` tokens (0: not known). */
static int64_t reach_within(const weft_attention_layer *layer, int64_t longest)
{
    const int64_t reach = layer->exact.reach;
    return longest > 0 && longest <= reach ? longest - 1 : reach;
}

/* The products of q [R, K] with the keys of the distances up to `reach`: [R, 2 reach + 1]. The blocks lie
 * where they do whatever the reach, so that a sentence's gradients have the bits that they have beside a
 * longer one: a sum over more columns might be cut elsewhere. */
static weft_var products_by_distance(const weft_attention_layer *layer, weft_tape *tape, weft_var q,
                                     int64_t reach)
{
    weft_var parts[2 * MAX_REACH / BLOCK + 1];
    const weft_var table = weft_use(tape, layer->relative);
    const int64_t zero = layer->exact.reach; /* row of distance 0 */
    int n = 0;
    for (int64_t from = -reach, to; from <= reach; from = to) {
        const int64_t block = (from + BLOCK / 2 + MAX_REACH) / BLOCK;
        to = (block + 1) * BLOCK - MAX_REACH - BLOCK / 2;
        if (to > reach) to = reach + 1;
        const weft_var keys = weft_slice(tape, table, 0, zero + from, zero + to);
        parts[n++] = weft_matmul_t(tape, q, false, keys, true);
    }
    return n == 1 ? parts[0] : weft_concat(tape, n, parts, 1);
}

/* [H, N, 2 reach + 1]: the same for each head, as scores. */
static weft_var scores_by_distance(const weft_attention_layer *layer, weft_tape *tape, weft_var q,
                                   int64_t reach)
{
    const int64_t H = layer->heads, K = layer->D / H, C = 2 * reach + 1;
    if (weft_is_nil(q)) return WEFT_NIL;
    const int64_t N = weft_shape(tape, q).dim[0];
    const weft_var heads = weft_reshape(tape, q, WEFT_DIMS(N * H, K));
    const weft_var s = products_by_distance(layer, tape, heads, reach);
    const weft_var scaled = weft_scale(tape, s, 1 / sqrt((double)K));
    return weft_permute(tape, weft_reshape(tape, scaled, WEFT_DIMS(N, H, C)), 3,
                        (int[]){ 1, 0, 2 });
}

void weft_pattern_list(weft_pattern_spec *pattern, weft_tape *tape, int64_t longest, int n,
                       const int32_t offsets[])
{
    const int64_t A = (longest + pattern->block - 1) / pattern->block;
    int32_t *begin = weft_alloc((size_t)(A + 1), sizeof *begin),
            *index = weft_alloc((size_t)(A * n), sizeof *index);
    if (begin && index) {
        begin[0] = 0;
        for (int64_t a = 0; a < A; a++) {
            begin[a + 1] = begin[a];
            for (int i = 0; i < n; i++)
                if (a + offsets[i] >= 0 && a + offsets[i] < A)
                    index[begin[a + 1]++] = (int32_t)(a + offsets[i]);
        }
        pattern->block_begin = weft_constant_int(tape, WEFT_DIMS(A + 1), begin);
        pattern->block_index = weft_constant_int(tape, WEFT_DIMS(begin[A]), index);
    } else {
        weft_tape_fail(tape, WEFT_ERR_MEMORY, "%s", weft_message());
    }
    weft_free(begin);
    weft_free(index);
}

weft_var weft_exact_apply(const weft_attention_layer *layer, weft_tape *tape, weft_var q,
                          weft_var k, weft_var v, weft_attention_spec spec, int64_t longest,
                          bool global)
{
    const weft_exact_config *exact = &layer->exact;
    spec.pattern = exact->pattern;
    if (exact->global_projections) spec.pattern.rows = global ? WEFT_ROWS_GLOBAL : WEFT_ROWS_LOCAL;
    if (spec.pattern.kind == WEFT_PATTERN_BLOCKS)
        weft_pattern_list(&spec.pattern, tape, longest, exact->n_blocks, exact->blocks);
    spec.weights = exact->weights;
    spec.has_sigmoid_bias = exact->has_sigmoid_bias;
    spec.sigmoid_bias = exact->sigmoid_bias;
    spec.alibi = exact->relative == WEFT_RELATIVE_ALIBI;
    if (exact->relative == WEFT_RELATIVE_T5)
        spec.relative = biases_by_distance(layer, tape, spec.causal);
    if (exact->relative == WEFT_RELATIVE_SHAW) {
        const int64_t reach = reach_within(layer, longest), from = exact->reach - reach;
        spec.relative = scores_by_distance(layer, tape, q, reach);
        spec.relative_values =
            weft_slice(tape, weft_use(tape, layer->relative_values), 0, from, from + 2 * reach + 1);
    }
    return weft_attention(tape, q, k, v, &spec);
}
