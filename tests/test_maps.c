/* test_maps.c - attention weights, and maps of them in files and pictures. */
#include "decode_models.h"

#include "temp_dir.h"
#include "train/maps_internal.h"

#include <math.h>

#define OK(call) ck_assert_msg((call) == WEFT_OK, "%s: %s", #call, weft_message())
#ifdef WEFT_F64
#define CLOSE 1e-13
#else
#define CLOSE 2e-5
#endif

/* ---- weights of an operation -------------------------------------------------------------------- */

enum { H = 4, K = 3, KV = 5, LONG = 150 };

static const struct {
    int kv_heads;
    bool causal, equal; /* equal: rank 3, no offsets */
    double scale;
    int n;
    int32_t q[4], k[4]; /* offsets */
} cases[] = {
    { 4, false, false, 0, 3, { 0, 5, 6, 13 }, { 0, 2, 9, 10 } },
    { 2, true, false, 0.7, 3, { 0, 5, 6, 13 }, { 0, 5, 6, 13 } },
    { 1, false, false, 0, 3, { 0, 5, 6, 13 }, { 0, 5, 5, 13 } }, /* a sentence without keys */
    { 4, true, false, 0, 2, { 0, LONG, LONG + 3 }, { 0, LONG, LONG + 3 } }, /* several tiles */
    { 2, false, false, 0, 2, { 0, 3, 70 }, { 0, LONG, LONG + 65 } },
    { 4, false, true, 0, 2, { 0, 6, 12 }, { 0, 7, 14 } },
    { 4, true, true, 0, 2, { 0, 6, 12 }, { 0, 6, 12 } },
};

static weft_var values(weft_tape *t, bool equal, int64_t B, int64_t rows, int64_t columns)
{
    if (equal) return weft_sample_normal(t, WEFT_DIMS(B, rows / B, columns));
    return weft_sample_normal(t, WEFT_DIMS(rows, columns));
}

/* exp(scale q k) of query i and key j of head h. */
static double weight_by_hand(const weft_tensor *q, const weft_tensor *k, int i, int j, int h, int g,
                             double scale)
{
    double s = 0;
    for (int c = 0; c < K; c++)
        s += (double)q->real[(int64_t)i * q->ld + h * K + c] *
             (double)k->real[(int64_t)j * k->ld + g * K + c];
    return exp(scale * s);
}

START_TEST(weights_are_those_of_the_definition)
{
    const int G = cases[_i].kv_heads, n = cases[_i].n;
    const int32_t *q_at = cases[_i].q, *k_at = cases[_i].k;
    const bool equal = cases[_i].equal;
    const double scale = cases[_i].scale > 0 ? cases[_i].scale : 1 / sqrt(K);
    weft_tape *t = weft_tape_new(0);
    weft_tape_seed(t, 3, (uint64_t)_i);
    const weft_var q = values(t, equal, n, q_at[n], H * K), k = values(t, equal, n, k_at[n], G * K),
                   v = values(t, equal, n, k_at[n], (int64_t)G * KV);
    weft_attention_spec spec = {
        .heads = H, .kv_heads = G, .causal = cases[_i].causal, .scale = cases[_i].scale
    };
    if (!equal) {
        spec.q_offsets = weft_constant_int(t, WEFT_DIMS(n + 1), q_at);
        spec.k_offsets = weft_constant_int(t, WEFT_DIMS(n + 1), k_at);
    }
    weft_scope_push(t, "here");
    const weft_var y = weft_attention(t, q, k, v, &spec);
    weft_scope_pop(t);
    const weft_var w = weft_attention_weights(t, y, H);
    ck_assert_msg(weft_tape_status(t) == WEFT_OK, "%s", weft_tape_message(t));
    ck_assert_int_eq(weft_attention_find(t, "here", 0).id, y.id);
    ck_assert(weft_is_nil(weft_attention_find(t, "here", 1)));
    ck_assert(weft_is_nil(weft_attention_find(t, "there", 0)));
    const weft_tensor tw = weft_value(t, w), tq = weft_value(t, q), tk = weft_value(t, k),
                      tv = weft_value(t, v), ty = weft_value(t, y);
    int S = 0;
    for (int b = 0; b < n; b++) S = k_at[b + 1] - k_at[b] > S ? k_at[b + 1] - k_at[b] : S;
    ck_assert(tw.rank == 3 && tw.dim[0] == q_at[n] && tw.dim[1] == H && tw.dim[2] == S);
    for (int b = 0; b < n; b++)
        for (int i = q_at[b]; i < q_at[b + 1]; i++)
            for (int h = 0; h < H; h++) {
                const int g = h / (H / G), n_k = k_at[b + 1] - k_at[b];
                const int seen = cases[_i].causal ? i - q_at[b] + 1 : n_k;
                const weft_real *row = tw.real + ((int64_t)i * H + h) * S;
                double sum = 0, out[KV] = { 0 };
                for (int j = 0; j < seen; j++)
                    sum += weight_by_hand(&tq, &tk, i, k_at[b] + j, h, g, scale);
                for (int j = 0; j < S; j++) {
                    if (j >= seen) { /* exactly 0 */
                        ck_assert(row[j] == 0);
                        continue;
                    }
                    const double p = weight_by_hand(&tq, &tk, i, k_at[b] + j, h, g, scale) / sum;
                    ck_assert_double_eq_tol((double)row[j], p, CLOSE);
                    for (int c = 0; c < KV; c++)
                        out[c] += (double)row[j] *
                                  (double)tv.real[(int64_t)(k_at[b] + j) * tv.ld + g * KV + c];
                }
                for (int c = 0; c < KV; c++)
                    ck_assert_double_eq_tol((double)ty.real[(int64_t)i * ty.ld + h * KV + c],
                                            out[c], 10 * CLOSE);
            }
    weft_tape_free(t);
}
END_TEST

/* With dropout they are what the values are really multiplied by; and they can be differentiated. */
START_TEST(weights_have_dropout_and_a_gradient)
{
    weft_tape *t = weft_tape_new(WEFT_RETAIN);
    const weft_var q = weft_sample_normal(t, WEFT_DIMS(9, 6)),
                   k = weft_sample_normal(t, WEFT_DIMS(9, 6)),
                   v = weft_sample_normal(t, WEFT_DIMS(9, 2));
    const weft_var y =
        weft_attention(t, q, k, v, &(weft_attention_spec){ .heads = 2, .dropout = 0.5 });
    const weft_var w = weft_attention_weights(t, y, 2);
    const weft_tensor tw = weft_value(t, w), tv = weft_value(t, v), ty = weft_value(t, y);
    int n_dropped = 0;
    for (int i = 0; i < 9; i++)
        for (int h = 0; h < 2; h++) {
            double out = 0;
            for (int j = 0; j < 9; j++) {
                const weft_real x = tw.real[(i * 2 + h) * 9 + j];
                n_dropped += x == 0;
                out += (double)x * (double)tv.real[j * 2 + h];
            }
            ck_assert_double_eq_tol((double)ty.real[i * 2 + h], out, 10 * CLOSE);
        }
    ck_assert(n_dropped > 40 && n_dropped < 122); /* of 162 */
    weft_attention_parts of;
    ck_assert(weft_attention_inputs(t, y, &of));
    ck_assert(of.q.id == q.id && of.k.id == k.id && of.v.id == v.id && weft_is_nil(of.q_offsets));

    /* d(sum w^2 / 2)/dq once through the kernel, once through the weights by hand. */
    const weft_var plain = weft_attention(t, q, k, v, &(weft_attention_spec){ .heads = 1 });
    const weft_var w1 = weft_reshape(t, weft_attention_weights(t, plain, 1), WEFT_DIMS(9, 9));
    OK(weft_backward(t, weft_sum(t, weft_mul(t, w1, w1), WEFT_ALL, false), NULL));
    weft_real dq[54];
    memcpy(dq, weft_gradient(t, q).real, sizeof dq);
    const weft_var by_hand =
        weft_softmax(t, weft_scale(t, weft_matmul_t(t, q, false, k, true), 1 / sqrt(6)));
    OK(weft_backward(t, weft_sum(t, weft_mul(t, by_hand, by_hand), WEFT_ALL, false), NULL));
    const weft_real *twice = weft_gradient(t, q).real; /* leaves go on accumulating */
    double largest = 0;
    for (int i = 0; i < 54; i++) {
        ck_assert_double_eq_tol((double)twice[i], 2 * (double)dq[i], 10 * CLOSE);
        largest = fmax(largest, fabs((double)dq[i]));
    }
    ck_assert_double_gt(largest, 1e-3);
    weft_tape_free(t);
}
END_TEST

/* Attention that is not exact, of four heads of queries as of keys; v has two, three wide. */
static weft_var approximation(weft_tape *t, int i, weft_var offsets, weft_var q, weft_var v)
{
    const weft_var four = weft_concat(t, 2, (weft_var[]){ v, v }, 1),
                   of[4] = { weft_slice(t, four, 1, 0, 3), weft_slice(t, four, 1, 0, 3),
                             weft_slice(t, four, 1, 3, 6), weft_slice(t, four, 1, 3, 6) };
    const weft_var wide = weft_concat(t, 4, of, 1);
    switch (i) {
    case 5:
        return weft_linear_attention(
            t, q, q, wide,
            &(weft_linear_attention_spec){ .heads = 4, .causal = true, .q_offsets = offsets });
    case 6:
        return weft_lsh_attention(
            t, q, wide,
            &(weft_lsh_spec){ .heads = 4, .rounds = 2, .chunk = 8, .key = 3, .offsets = offsets });
    default:
        return weft_probsparse_attention(
            t, q, q, wide,
            &(weft_probsparse_spec){ .heads = 4, .factor = 1, .key = 3, .q_offsets = offsets });
    }
}

/* Whatever decides the weights: they are what the values are multiplied by. */
START_TEST(weights_of_other_kinds)
{
    weft_tape *t = weft_tape_new(0);
    const weft_var offsets = weft_constant_int(t, WEFT_DIMS(3), (int32_t[]){ 0, 80, 97 }),
                   q = weft_sample_normal(t, WEFT_DIMS(97, 8)),
                   k = weft_sample_normal(t, WEFT_DIMS(97, 4)),
                   v = weft_sample_normal(t, WEFT_DIMS(97, 6));
    weft_attention_spec spec = { .heads = 4, .kv_heads = 2, .q_offsets = offsets };
    bool sums_to_1 = true;
    switch (_i) {
    case 0: spec.pattern = (weft_pattern_spec){ .kind = WEFT_PATTERN_WINDOW, .window = 6 }; break;
    case 1:
        spec.pattern =
            (weft_pattern_spec){ .kind = WEFT_PATTERN_WINDOW, .window = 6, .n_global = 2 };
        spec.causal = true;
        spec.alibi = true;
        break;
    case 2: spec.bias = weft_sample_normal(t, WEFT_DIMS(4, 97, 80)); break;
    case 3:
        spec.weights = WEFT_SIGMOID;
        sums_to_1 = false;
        break;
    default:
        spec.pattern = (weft_pattern_spec){ .kind = WEFT_PATTERN_BIGBIRD,
                                            .block = 5,
                                            .window_blocks = 3,
                                            .global_blocks = 2,
                                            .random_blocks = 1,
                                            .seed = 3 };
    }
    const weft_var y = _i < 5 ? weft_attention(t, q, k, v, &spec)
                              : approximation(t, _i, offsets, q, v),
                   w = weft_attention_weights(t, y, 4);
    ck_assert_msg(weft_tape_status(t) == WEFT_OK, "%s", weft_tape_message(t));
    const weft_tensor tw = weft_value(t, w), tv = weft_value(t, v), ty = weft_value(t, y);
    for (int i = 0; i < 97; i++)
        for (int h = 0; h < 4; h++) {
            const int first = i < 80 ? 0 : 80, n = i < 80 ? 80 : 17;
            const weft_real *row = tw.real + ((int64_t)i * 4 + h) * 80;
            double sum = 0, out[3] = { 0 };
            for (int j = 0; j < 80; j++) {
                if (j >= n) ck_assert(row[j] == 0);
                sum += (double)row[j];
                for (int c = 0; c < 3 && j < n; c++)
                    out[c] += (double)row[j] * (double)tv.real[(first + j) * 6 + h / 2 * 3 + c];
            }
            if (sums_to_1) ck_assert_double_eq_tol(sum, 1, 1e-4);
            for (int c = 0; c < 3; c++)
                ck_assert_double_eq_tol((double)ty.real[i * 12 + h * 3 + c], out[c], 10 * CLOSE);
            if (_i == 0 && i == 40) ck_assert(row[36] == 0 && row[37] > 0 && row[44] == 0);
        }
    weft_tape_free(t);
}
END_TEST

static void fails(weft_tape *t, weft_var y, int heads, weft_status code, const char *text)
{
    ck_assert(weft_is_nil(weft_attention_weights(t, y, heads)));
    ck_assert_int_eq(weft_tape_status(t), code);
    ck_assert_msg(strstr(weft_tape_message(t), text) != NULL, "%s", weft_tape_message(t));
    weft_tape_reset(t);
}

START_TEST(misuse_of_weights)
{
    weft_tape *t = weft_tape_new(0);
    weft_var x = weft_sample_normal(t, WEFT_DIMS(4, 6));
    fails(t, x, 2, WEFT_ERR_STATE, "queries, keys and values");
    x = weft_sample_normal(t, WEFT_DIMS(4, 6));
    fails(t, weft_mul(t, x, x), 2, WEFT_ERR_STATE, "queries, keys and values");
    const weft_attention_spec spec = { .heads = 2 };
    for (int heads = -1; heads < 5; heads += heads == 0 ? 4 : 1) {
        x = weft_sample_normal(t, WEFT_DIMS(4, 6));
        fails(t, weft_attention(t, x, x, x, &spec), heads, WEFT_ERR_RANGE, "heads");
    }
    x = weft_sample_normal(t, WEFT_DIMS(4, 6));
    const weft_var y = weft_attention(t, x, x, x, &spec);
    OK(weft_backward(t, weft_sum(t, y, WEFT_ALL, false), NULL));
    fails(t, y, 2, WEFT_ERR_STATE, "consumed");
    fails(t, y, 2, WEFT_ERR_STATE, "earlier step");
    fails(t, WEFT_NIL, 2, WEFT_ERR_STATE, "nil");
    weft_tape_free(t);
}
END_TEST

/* ---- maps of a model ---------------------------------------------------------------------------- */

static const int32_t source_ids[] = { 3, 7, 5, 4 }, target_ids[] = { 6, 3, 8 };

START_TEST(maps_of_a_translation)
{
    model m = model_new(false, _i == 1, WEFT_POSITION_SINUSOIDAL, 5);
    weft_maps maps = { 0 };
    OK(weft_maps_make(m.net, m.tape, source_ids, 4, target_ids, 3, &maps));
    ck_assert(maps.heads == 2 && maps.S == 5 && maps.T == 4);
    ck_assert(maps.source[4] == WEFT_EOS && maps.read[0] == WEFT_BOS && maps.read[3] == 8 &&
              maps.said[0] == 6 && maps.said[3] == WEFT_EOS);
    for (int kind = 0; kind < WEFT_MAP_KINDS; kind++) {
        const int64_t rows = weft_maps_rows(&maps, kind), columns = weft_maps_columns(&maps, kind);
        ck_assert_int_eq(maps.layers[kind], 2);
        ck_assert_int_eq(rows, kind == WEFT_MAP_ENCODER ? 5 : 4);
        ck_assert_int_eq(columns, kind == WEFT_MAP_DECODER ? 4 : 5);
        for (int64_t r = 0; r < 4 * rows; r++) {
            double sum = 0;
            for (int64_t j = 0; j < columns; j++) {
                const double w = (double)maps.weights[kind][r * columns + j];
                ck_assert(w >= 0 && w <= 1 + 1e-6);
                if (kind == WEFT_MAP_DECODER && j > r % rows) ck_assert(w == 0);
                sum += w;
            }
            ck_assert_double_eq_tol(sum, 1, 1e-5);
        }
    }
    /* A longer target leaves what was read before it as it was. */
    weft_maps shorter = { 0 };
    OK(weft_maps_make(m.net, m.tape, source_ids, 4, target_ids, 2, &shorter));
    for (int lh = 0; lh < 4; lh++)
        for (int i = 0; i < 3; i++)
            ck_assert_mem_eq(maps.weights[WEFT_MAP_CROSS] + (lh * 4 + i) * 5,
                             shorter.weights[WEFT_MAP_CROSS] + (lh * 3 + i) * 5,
                             5 * sizeof(weft_real));
    weft_maps_free(&shorter);
    weft_maps_free(&maps);
    model_free(&m);
}
END_TEST

START_TEST(maps_of_running_text)
{
    model m = model_new(true, true, WEFT_POSITION_LEARNED, 5);
    weft_maps maps = { 0 };
    OK(weft_maps_make(m.net, m.tape, NULL, 0, source_ids, 4, &maps));
    ck_assert(maps.S == 0 && maps.T == 3 && !maps.source && maps.layers[WEFT_MAP_DECODER] == 2 &&
              maps.layers[WEFT_MAP_CROSS] == 0 && maps.layers[WEFT_MAP_ENCODER] == 0);
    ck_assert(maps.read[2] == 5 && maps.said[0] == 7 && maps.said[2] == 4);
    refused(weft_maps_make(m.net, m.tape, NULL, 0, source_ids, 1, &maps), WEFT_ERR_RANGE,
            "two tokens at least, this has 1");
    ck_assert_ptr_null(maps.read);
    refused(weft_maps_make(m.net, m.tape, source_ids, 4, source_ids, 3, &maps), WEFT_ERR_STATE,
            "no source");
    weft_tape *records = weft_tape_new(0);
    refused(weft_maps_make(m.net, records, NULL, 0, source_ids, 4, &maps), WEFT_ERR_STATE,
            "WEFT_NO_GRAD");
    weft_tape_free(records);
    int32_t many[30]; /* more than learned positions */
    for (int i = 0; i < 30; i++) many[i] = 4;
    ck_assert_int_ne(weft_maps_make(m.net, m.tape, NULL, 0, many, 30, &maps), WEFT_OK);
    const weft_map_choice choices[] = { { 2, -1 }, { -1, 2 }, { 1, 1 }, { -1, -1 } };
    refused(weft_map_choice_check(&choices[0], &m.net->config), WEFT_ERR_INPUT,
            "no layer 2: the model's go from 0 to 1");
    refused(weft_map_choice_check(&choices[1], &m.net->config), WEFT_ERR_INPUT, "no head 2");
    OK(weft_map_choice_check(&choices[2], &m.net->config));
    OK(weft_map_choice_check(&choices[3], &m.net->config));
    model_free(&m);
}
END_TEST

START_TEST(maps_without_memory)
{
    model m = model_new(false, true, WEFT_POSITION_SINUSOIDAL, 5);
    weft_maps maps = { 0 };
    weft_status status = WEFT_ERR_MEMORY;
    for (int64_t n = 1; status != WEFT_OK; n++) {
        weft_alloc_fail_at(n, false);
        status = weft_maps_make(m.net, m.tape, source_ids, 4, target_ids, 3, &maps);
        weft_alloc_fail_at(0, false);
        ck_assert_msg(status == WEFT_OK || (status == WEFT_ERR_MEMORY && !maps.read), "%s",
                      weft_message());
    }
    weft_maps_free(&maps);
    model_free(&m);
}
END_TEST

/* ---- files and pictures ------------------------------------------------------------------------- */

/* A whole model around the one above: a vocabulary of words, one of them with markup. */
typedef struct whole {
    model m;
    weft_vocab *vocab;
    weft_model of;
} whole;

static void whole_init(whole *w)
{
    w->m = model_new(false, true, WEFT_POSITION_SINUSOIDAL, 5);
    const weft_vocab_spec spec = { .tokens = WEFT_TOKENS_SPACE };
    OK(weft_vocab_new(&spec, &w->vocab));
    OK(weft_vocab_count(
        w->vocab, "a a a a a a a a \xC3\xA4\xE4\xB8\xAD \xC3\xA4\xE4\xB8\xAD \xC3\xA4\xE4\xB8\xAD "
                  "c c c c c d d d d e e e e f f f g g </script><b>&\"'"));
    OK(weft_vocab_build(w->vocab));
    ck_assert_int_eq(weft_vocab_size(w->vocab), V);
    w->of =
        (weft_model){ .source_vocab = w->vocab, .target_vocab = w->vocab, .params = w->m.params };
    w->of.transformer = *w->m.net;
}

static void whole_free(whole *w)
{
    weft_vocab_free(w->vocab);
    model_free(&w->m);
}

START_TEST(a_file_of_maps)
{
    whole w;
    weft_maps maps = { 0 };
    whole_init(&w);
    OK(weft_maps_make(w.m.net, w.m.tape, source_ids, 4, target_ids, 3, &maps));
    weft_store_writer *writer = weft_store_writer_new(0);
    const weft_map_choice all = { -1, -1 }, one = { 1, 0 };
    OK(weft_maps_write(&maps, &w.of, &all, "sentences/1", writer));
    OK(weft_maps_write(&maps, &w.of, &one, "sentences/2", writer));
    OK(weft_store_save(writer, "maps.h5"));
    weft_store_writer_free(writer);

    weft_store *store;
    OK(weft_store_open("maps.h5", 0, &store));
    ck_assert_int_eq(weft_store_count(store), 12);
    const weft_store_entry *said = weft_store_find(store, "sentences/1/said");
    ck_assert_ptr_nonnull(said);
    ck_assert(said->type == WEFT_STORE_STRING && said->rank == 1 && said->dim[0] == 4);
    void *block;
    OK(weft_store_read_new(store, "sentences/1/said", WEFT_STORE_STRING, NULL, &block));
    for (int i = 0; i < 4; i++) {
        char text[64] = "";
        memcpy(text, (char *)block + (size_t)i * said->width, said->width);
        ck_assert_str_eq(text, weft_vocab_token(w.vocab, maps.said[i]));
    }
    weft_free(block);
    refused(weft_store_read_new(store, "sentences/1/said", WEFT_STORE_U8, NULL, &block),
            WEFT_ERR_TYPE, "is string, not uint8");
    weft_real cross[2 * 2 * 4 * 5], second[4 * 5];
    OK(weft_store_read(store, "sentences/1/cross", WEFT_STORE_REAL, 4, (int64_t[]){ 2, 2, 4, 5 },
                       cross));
    ck_assert_mem_eq(cross, maps.weights[WEFT_MAP_CROSS], sizeof cross);
    OK(weft_store_read(store, "sentences/2/cross", WEFT_STORE_REAL, 4, (int64_t[]){ 1, 1, 4, 5 },
                       second));
    ck_assert_mem_eq(second, cross + 2 * 20, sizeof second);
    weft_store_free(store);
    weft_maps_free(&maps);
    whole_free(&w);
}
END_TEST

static int count(const char *text, const char *part)
{
    int n = 0;
    for (; (text = strstr(text, part)) != NULL; text += strlen(part)) n++;
    return n;
}

START_TEST(a_picture_of_maps)
{
    whole w;
    weft_maps maps[2] = { { 0 }, { 0 } };
    char *svg;
    whole_init(&w);
    const int32_t hostile = weft_vocab_id(w.vocab, "</script><b>&\"'");
    ck_assert_int_ne(hostile, WEFT_UNK);
    OK(weft_maps_make(w.m.net, w.m.tape, &hostile, 1, target_ids, 3, &maps[0]));
    OK(weft_maps_make(w.m.net, w.m.tape, source_ids, 4, &hostile, 1, &maps[1]));
    const weft_map_choice all = { -1, -1 }, layer = { 1, -1 }, beyond = { 2, -1 };
    OK(weft_maps_picture(maps, 2, &w.of, &all, WEFT_MAP_CROSS, &svg));
    ck_assert_int_eq(strncmp(svg, "<svg xmlns=", 11), 0);
    ck_assert_int_eq(count(svg, "cross layer"), 8);
    ck_assert_int_eq(count(svg, "<svg"), 1);
    ck_assert_int_eq(count(svg, "</svg>\n"), 1);
    ck_assert_int_eq(count(svg, "<script"), 0);
    ck_assert_int_eq(count(svg, "<b>"), 0);
    ck_assert_int_gt(count(svg, "&lt;/script&gt;&lt;b&gt;&amp;&quot;&#39;"), 8);
    ck_assert_int_gt(count(svg, "<rect x="), 10);
    ck_assert_int_eq(count(svg, "<g"), count(svg, "</g>"));
    ck_assert_int_eq(count(svg, "<text"), count(svg, "</text>"));
    ck_assert_int_eq(count(svg, "nan"), 0);
    weft_free(svg);
    OK(weft_maps_picture(maps, 1, &w.of, &layer, WEFT_MAP_DECODER, &svg));
    ck_assert_int_eq(count(svg, "decoder layer 1 head"), 2);
    weft_free(svg);
    refused(weft_maps_picture(maps, 1, &w.of, &beyond, WEFT_MAP_ENCODER, &svg), WEFT_ERR_INPUT,
            "no encoder attention with weights in layer 2");
    ck_assert_ptr_null(svg);
    for (int64_t n = 1;; n += 3) {
        weft_alloc_fail_at(n, false);
        const weft_status status = weft_maps_picture(maps, 2, &w.of, &all, WEFT_MAP_ENCODER, &svg);
        weft_alloc_fail_at(0, false);
        ck_assert(status == WEFT_OK || (status == WEFT_ERR_MEMORY && !svg));
        if (status == WEFT_OK) break;
    }
    weft_free(svg);
    weft_maps_free(&maps[0]);
    weft_maps_free(&maps[1]);
    whole_free(&w);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("maps");
    TCase *tc = tcase_create("weights");
    tcase_add_loop_test(tc, weights_are_those_of_the_definition, 0, sizeof cases / sizeof *cases);
    tcase_add_loop_test(tc, weights_of_other_kinds, 0, 8);
    tcase_add_test(tc, weights_have_dropout_and_a_gradient);
    tcase_add_test(tc, misuse_of_weights);
    suite_add_tcase(suite, tc);
    tc = tcase_create("maps");
    tcase_add_loop_test(tc, maps_of_a_translation, 0, 2);
    tcase_add_test(tc, maps_of_running_text);
    tcase_add_test(tc, maps_without_memory);
    suite_add_tcase(suite, tc);
    tc = tcase_create("files");
    tcase_add_checked_fixture(tc, temp_dir_enter, temp_dir_leave);
    tcase_add_test(tc, a_file_of_maps);
    tcase_add_test(tc, a_picture_of_maps);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
