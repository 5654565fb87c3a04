/* test_golden_attention.c - weft_attention against PyTorch's scaled_dot_product_attention and
 * nn.MultiheadAttention, with each kind of mask (tests/golden/make_attention.py): outputs and all
 * gradients, in double to 1e-10. The first takes True as keep, as weft does, the second as drop. */
#include "golden_file.h"

static weft_tape *tape;

static void open_all(void)
{
    open_golden("attention.h5");
    tape = weft_tape_new(WEFT_RETAIN);
    ck_assert_ptr_nonnull(tape);
}

static void close_all(void)
{
    weft_tape_free(tape);
    close_golden();
}

static weft_var optional_leaf(const char *group, const char *name)
{
    return look_up(group, name) ? leaf(tape, group, name) : WEFT_NIL;
}

static weft_var optional_integers(const char *group, const char *name)
{
    return look_up(group, name) ? integers(tape, group, name) : WEFT_NIL;
}

/* GROUP/output/y, and what comes back from GROUP/doutput/y. */
static void run(const char *group, weft_var y)
{
    ck_assert_msg(weft_tape_status(tape) == WEFT_OK, "%s", weft_tape_message(tape));
    expect(weft_value(tape, y), group, "output/y", close_enough);
    weft_real *dy = read_new(group, "doutput/y", WEFT_STORE_REAL);
    ck_assert_msg(weft_backward(tape, y, dy) == WEFT_OK, "%s", weft_message());
    weft_free(dy);
}

static void expect_gradient(weft_var x, const char *group, const char *name)
{
    if (!weft_is_nil(x)) expect(weft_gradient(tape, x), group, name, close_enough);
}

/* ---- scaled_dot_product_attention ---------------------------------------------------------------- */

static const struct {
    const char *group;
    weft_attention_spec spec;
} sdpa[] = {
    { "sdpa/full", { .heads = 2 } },
    { "sdpa/cross", { .heads = 2 } },
    { "sdpa/causal", { .heads = 2, .causal = true } },
    { "sdpa/scale", { .heads = 2, .scale = 0.7 } },
    { "sdpa/causal_tiles", { .heads = 2, .causal = true } },
    { "sdpa/grouped", { .heads = 6, .kv_heads = 2 } },
    { "sdpa/grouped_causal", { .heads = 4, .kv_heads = 2, .causal = true } },
    { "sdpa/multi_query", { .heads = 4, .kv_heads = 1 } },
    { "sdpa/boolean", { .heads = 2 } },
    { "sdpa/boolean_heads", { .heads = 2 } },
    { "sdpa/boolean_grouped", { .heads = 4, .kv_heads = 2 } },
    { "sdpa/additive", { .heads = 2 } },
    { "sdpa/additive_holes", { .heads = 2 } },
    { "sdpa/additive_grouped", { .heads = 4, .kv_heads = 2 } },
};

START_TEST(sdpa_equals_pytorch)
{
    const char *group = sdpa[_i].group;
    weft_attention_spec spec = sdpa[_i].spec;
    const weft_var q = leaf(tape, group, "input/q"), k = leaf(tape, group, "input/k"),
                   v = leaf(tape, group, "input/v");
    spec.q_offsets = integers(tape, group, "input/q_offsets");
    spec.k_offsets = optional_integers(group, "input/k_offsets");
    spec.mask = optional_integers(group, "input/mask"); /* True keeps: as it stands */
    spec.bias = optional_leaf(group, "input/bias");
    run(group, weft_attention(tape, q, k, v, &spec));
    expect_gradient(q, group, "dinput/q");
    expect_gradient(k, group, "dinput/k");
    expect_gradient(v, group, "dinput/v");
    expect_gradient(spec.bias, group, "dinput/bias");
}
END_TEST

/* ---- nn.MultiheadAttention ------------------------------------------------------------------------ */

enum { D = 12, H = 3 };
static const char *const multihead[] = { "mha/self",     "mha/self_causal",
                                         "mha/cross", /* what a layer does */
                                         "mha/masked",   "mha/masked_heads",
                                         "mha/additive", "mha/widths" };
enum { N_LAYERS = 3, N_MULTIHEAD = 7 };

/* weft's attention with PyTorch's masks, on the sentences of a case. */
typedef struct oracle {
    const char *group;
    weft_packed of_q, of_k;
    int64_t S; /* keys of the longest sentence */
    weft_var query, key, value, attn_mask;
} oracle;

static oracle open_case(const char *group)
{
    oracle o = { .group = group, .query = leaf(tape, group, "input/query") };
    o.key = look_up(group, "input/key") ? leaf(tape, group, "input/key") : o.query;
    o.value = look_up(group, "input/value") ? leaf(tape, group, "input/value") : o.key;
    o.of_q = packed_by(tape, group, "input/q_offsets", weft_shape(tape, o.query).dim[0]);
    o.of_k = look_up(group, "input/k_offsets")
                 ? packed_by(tape, group, "input/k_offsets", weft_shape(tape, o.key).dim[0])
                 : o.of_q;
    const int32_t *at = weft_value(tape, o.of_k.offsets).i32;
    for (int64_t b = 0; b < o.of_k.B; b++) o.S = at[b + 1] - at[b] > o.S ? at[b + 1] - at[b] : o.S;
    return o;
}

/* For head h and packed query n, the sentence b, and the row of attn_mask: [T, S] is for all, in
 * [B H, T, S] each sentence and head has its own. */
static int64_t mask_row(const oracle *o, const weft_store_entry *e, int64_t h, int64_t n,
                        int64_t *b)
{
    const int32_t *at = weft_value(tape, o->of_q.offsets).i32;
    for (*b = 0; at[*b + 1] <= n;) ++*b;
    const int64_t t = n - at[*b];
    return e && e->rank == 3 ? (*b * H + h) * e->dim[1] + t : t;
}

/* The mask [H, N, S] of what attn_mask and key_padding_mask do not drop. The padding behind a sentence
 * is not there in a packed batch; what it drops within one is. */
static weft_var kept(const oracle *o)
{
    const weft_store_entry *e = look_up(o->group, "input/attn_mask");
    const bool of_keys = look_up(o->group, "input/key_padding_mask");
    if (e && e->type != WEFT_STORE_I32) e = NULL;
    if (!e && !of_keys) return WEFT_NIL;
    const int64_t N = o->of_q.N, S = o->S;
    int32_t *drop = e ? read_new(o->group, "input/attn_mask", WEFT_STORE_I32) : NULL;
    int32_t *padding =
        of_keys ? read_new(o->group, "input/key_padding_mask", WEFT_STORE_I32) : NULL;
    int32_t *keep = weft_alloc((size_t)(H * N * S), sizeof *keep);
    ck_assert_ptr_nonnull(keep);
    for (int64_t k = 0, b; k < H * N * S; k++) {
        const int64_t row = mask_row(o, e, k / (N * S), k / S % N, &b);
        keep[k] = !(drop && drop[row * S + k % S]) && !(padding && padding[b * S + k % S]);
    }
    const weft_var mask = weft_constant_int(tape, WEFT_DIMS(H, N, S), keep);
    weft_free(drop);
    weft_free(padding);
    weft_free(keep);
    return mask;
}

/* The bias [H, N, S] that a float attn_mask is: its rows, where their queries stand in the batch. */
static weft_var added(oracle *o)
{
    const weft_store_entry *e = look_up(o->group, "input/attn_mask");
    if (!e || e->type == WEFT_STORE_I32) return WEFT_NIL;
    const int64_t N = o->of_q.N, S = o->S;
    int32_t row[512];
    for (int64_t k = 0, b; k < H * N; k++) row[k] = (int32_t)mask_row(o, e, k / N, k % N, &b);
    o->attn_mask = leaf(tape, o->group, "input/attn_mask");
    const weft_var rows = weft_reshape(tape, o->attn_mask, WEFT_DIMS(e->size / S, S)),
                   at = weft_constant_int(tape, WEFT_DIMS(H * N), row);
    return weft_reshape(tape, weft_embedding(tape, rows, at, 1), WEFT_DIMS(H, N, S));
}

/* PyTorch averages the weights over the heads. */
static void expect_weights(const oracle *o, weft_var attention)
{
    const weft_var each = weft_attention_weights(tape, attention, H);
    ck_assert_msg(!weft_is_nil(each), "%s", weft_tape_message(tape));
    expect(weft_value(tape, weft_mean(tape, each, 1, false)), o->group, "output/weights",
           close_enough);
}

static void expect_inputs(const oracle *o)
{
    expect_gradient(o->query, o->group, "dinput/query");
    if (look_up(o->group, "input/key")) expect_gradient(o->key, o->group, "dinput/key");
    if (look_up(o->group, "input/value")) expect_gradient(o->value, o->group, "dinput/value");
    expect_gradient(o->attn_mask, o->group, "dinput/attn_mask");
}

/* From operations: projections, attention with masks, projection. */
START_TEST(multihead_equals_pytorch)
{
    static const char *const own[] = { "q_proj_weight", "k_proj_weight", "v_proj_weight" };
    oracle o = open_case(multihead[_i]);
    const char *group = o.group;
    const bool stacked = look_up(group, "param/in_proj_weight");
    const weft_var bias = leaf(tape, group, "param/in_proj_bias"),
                   in = optional_leaf(group, "param/in_proj_weight"),
                   out = leaf(tape, group, "param/out_proj.weight"),
                   out_bias = leaf(tape, group, "param/out_proj.bias"),
                   x[3] = { o.query, o.key, o.value };
    weft_var weight[3], y[3];
    for (int i = 0; i < 3; i++) {
        char name[32];
        snprintf(name, sizeof name, "param/%s", own[i]);
        weight[i] = stacked ? weft_slice(tape, in, 0, i * D, i * D + D) : leaf(tape, group, name);
        y[i] = weft_linear(tape, x[i], weight[i], weft_slice(tape, bias, 0, i * D, i * D + D),
                           WEFT_IDENTITY);
    }
    const weft_attention_spec spec = { .heads = H,
                                       .q_offsets = o.of_q.offsets,
                                       .k_offsets = o.of_k.offsets,
                                       .mask = kept(&o),
                                       .bias = added(&o) };
    const weft_var attention = weft_attention(tape, y[0], y[1], y[2], &spec);
    run(group, weft_linear(tape, attention, out, out_bias, WEFT_IDENTITY));
    expect_inputs(&o);
    expect_gradient(bias, group, "dparam/in_proj_bias");
    expect_gradient(in, group, "dparam/in_proj_weight");
    expect_gradient(out, group, "dparam/out_proj.weight");
    expect_gradient(out_bias, group, "dparam/out_proj.bias");
    for (int i = 0; i < 3 && !stacked; i++) {
        char name[32];
        snprintf(name, sizeof name, "dparam/%s", own[i]);
        expect_gradient(weight[i], group, name);
    }
    expect_weights(&o, attention);
}
END_TEST

/* By the layer: packed sentences need neither padding nor its mask. */
START_TEST(layer_equals_pytorch)
{
    oracle o = open_case(multihead[_i]);
    char param[64], dparam[64];
    snprintf(param, sizeof param, "%s/param", o.group);
    snprintf(dparam, sizeof dparam, "%s/dparam", o.group);
    weft_params *params = weft_params_new(1);
    const weft_layer_config config = { .D = D, .heads = H };
    weft_attention_layer layer;
    ck_assert_msg(weft_attention_layer_init(&layer, params, "", &config) == WEFT_OK, "%s",
                  weft_message());
    load_params(params, param);
    if (strstr(o.group, "self")) {
        run(o.group, weft_attention_layer_self(&layer, tape, o.query, &o.of_q,
                                               strstr(o.group, "causal") != NULL));
    } else {
        const weft_var kv = weft_attention_layer_memory(&layer, tape, o.key);
        run(o.group,
            weft_attention_layer_cross(&layer, tape, o.query, &o.of_q, kv, o.of_k.offsets));
    }
    expect_inputs(&o);
    expect_gradients(params, dparam, close_enough);
    weft_params_free(params);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("golden_attention");
    TCase *tests = tcase_create("pytorch");
    tcase_add_checked_fixture(tests, open_all, close_all);
    tcase_add_loop_test(tests, sdpa_equals_pytorch, 0, sizeof sdpa / sizeof *sdpa);
    tcase_add_loop_test(tests, multihead_equals_pytorch, 0, N_MULTIHEAD);
    tcase_add_loop_test(tests, layer_equals_pytorch, 0, N_LAYERS);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
