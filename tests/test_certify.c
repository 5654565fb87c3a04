/* test_certify.c - certificates hold for sound models, and each fails where a fault is planted. */
#include "check_main.h"

#include "autograd/tape_internal.h"
#include "train/certify_internal.h"
#include "train/model.h"

#include <math.h>
#include <string.h>

#define OK(call) ck_assert_msg((call) == WEFT_OK, "%s: %s", #call, weft_message())

static const weft_certify_spec spec = { .longest = 20, .probes = 6 };

/* ---- the models of configurations --------------------------------------------------------------- */

typedef struct sound {
    weft_params *params;
    weft_transformer *model;
} sound;

static weft_config configure(const char *more)
{
    weft_config config;
    OK(weft_threads_set(1));
    weft_config_init(&config);
    OK(weft_config_parse(&config,
                         "[model]\nd_model = 16\nffn = 24\nheads = 2\nencoder_layers = 2\n"
                         "decoder_layers = 2\ndropout = 0.1\nattention_dropout = 0.2\n"
                         "activation_dropout = 0.1\n",
                         "small"));
    OK(weft_config_parse(&config, more, "more"));
    OK(weft_config_check_model(&config));
    return config;
}

static sound make(const char *more, weft_tie tie)
{
    const weft_config config = configure(more);
    sound m = { weft_params_new(3), malloc(sizeof *m.model) };
    const int64_t V = weft_subject_ids(&spec);
    weft_transformer_config shape = weft_model_shape(&config, V, V);
    shape.tie = tie;
    OK(weft_transformer_init(m.model, m.params, &shape));
    return m;
}

static void drop(sound *m)
{
    weft_params_free(m->params);
    free(m->model);
}

static const char *const configurations[] = {
    "",
    "[model]\nkind = decoder-only\n",
    "[model]\nnorm = pre\nfinal_norm = true\nnorm_kind = rms\nactivation = silu\n"
    "[train]\nsmoothing = annotated\n",
    "[data]\nmax_length = 20\n[train]\nmax_decode_length = 20\n[model]\nposition = learned\n"
    "max_positions = 30\nheads = 1\n",
    "[model]\nattention = longformer\nwindow = 6\nglobal_tokens = 2\n", /* two calls a layer */
};
enum { N_CONFIGURATIONS = sizeof configurations / sizeof *configurations };

START_TEST(sound_models_do_not_leak)
{
    for (int i = 0; i < N_CONFIGURATIONS; i++) {
        weft_certificate c;
        sound m = make(configurations[i], WEFT_TIE_NONE);
        const weft_subject s = weft_subject_of(m.model, m.params);
        OK(weft_certify_causality(&s, &spec, &c));
        ck_assert_msg(c.verdict == WEFT_HOLDS, "%d: %s", i, c.text);
        ck_assert_int_eq(c.n_questions, 3 * spec.probes);
        ck_assert_ptr_nonnull(strstr(c.text, "6 places"));
        OK(weft_certify_isolation(&s, &spec, &c));
        ck_assert_msg(c.verdict == WEFT_HOLDS, "%d: %s", i, c.text);
        ck_assert_int_eq(c.n_questions, 2 * 6 * 4);
        drop(&m);
    }
}
END_TEST

/* What begins a sentence is never a label, which smoothing = annotated would refuse. */
START_TEST(labels_are_ordinary_tokens)
{
    sound m = make("[train]\nsmoothing = annotated\n", WEFT_TIE_ALL);
    const weft_subject s = weft_subject_of(m.model, m.params);
    for (uint64_t seed = 1; seed <= 40; seed++) {
        const weft_certify_spec other = { .longest = 20, .probes = 6, .seed = seed };
        weft_probe p;
        OK(weft_probe_init(&p, &s, &other));
        for (int64_t r = 0; r < p.N[1]; r++) ck_assert_int_ge(p.labels[r], WEFT_N_SPECIALS);
        weft_probe_free(&p);
    }
    drop(&m);
}
END_TEST

START_TEST(their_gradients_are_right)
{
    if (sizeof(weft_real) == 4) return;
    for (int i = 0; i < N_CONFIGURATIONS; i++) {
        weft_certificate c;
        sound m = make(configurations[i], i % 2 ? WEFT_TIE_TARGET : WEFT_TIE_NONE);
        const weft_subject s = weft_subject_of(m.model, m.params);
        OK(weft_certify_gradient(&s, &(weft_certify_spec){ .longest = 20 }, &c));
        ck_assert_msg(c.verdict == WEFT_HOLDS, "%d: %s", i, c.text);
        ck_assert_int_eq(c.n_questions, weft_params_count(m.params));
        ck_assert(c.worst > 0 && c.worst < 1e-7);
        drop(&m);
    }
}
END_TEST

START_TEST(their_attention_is_sound)
{
    for (int i = 0; i < N_CONFIGURATIONS; i++) {
        weft_certificate c;
        sound m = make(configurations[i], WEFT_TIE_NONE);
        const bool pair = !m.model->config.decoder_only;
        OK(weft_certify_rows(m.model, m.params, &spec, &c));
        ck_assert_msg(c.verdict == WEFT_HOLDS, "%d: %s", i, c.text);
        ck_assert_ptr_nonnull(strstr(c.text, pair ? "6 attentions" : "2 attentions"));
        OK(weft_certify_decoding(m.model, m.params, &spec, &c));
        ck_assert_msg(c.verdict == WEFT_HOLDS, "%d: %s", i, c.text);
        ck_assert_ptr_nonnull(strstr(c.text, "bit by bit"));
        drop(&m);
    }
}
END_TEST

/* ---- how long probes are ------------------------------------------------------------------------ */

/* The certificate of a configuration holds, or fails, and says so. */
static void say(weft_certificate_kind kind, const char *more, const weft_certify_spec *how,
                weft_verdict verdict, const char *text)
{
    const weft_config config = configure(more);
    weft_certificate c;
    OK(weft_certify(&config, kind, how, &c));
    ck_assert_msg(c.verdict == verdict, "%s%s", more, c.text);
    ck_assert_msg(strstr(c.text, text) != NULL, "%s\nis not in\n%s", text, c.text);
}

#define RUNNING "[data]\nmax_length = 4096\n[model]\nkind = decoder-only\n"
#define UNDROPPED RUNNING "attention_dropout = 0\n"

/* What a model does only beyond two tiles is seen, too: chunks, choices, windows, blocks, angles. */
START_TEST(probes_are_longer_than_what_models_span)
{
    static const weft_certify_spec one = { .probes = 1 }, two = { .probes = 2 };
    say(WEFT_CERTIFY_CAUSALITY, UNDROPPED "attention = lsh\nlsh_chunk = 150\n", &two, WEFT_FAILS,
        "layers.0.self_attn (lsh_attention), head ");
    say(WEFT_CERTIFY_CAUSALITY, UNDROPPED "attention = probsparse\nprobsparse_factor = 30\n", NULL,
        WEFT_FAILS, "layers.0.self_attn (probsparse_attention), head ");
    say(WEFT_CERTIFY_CAUSALITY, RUNNING "attention = window\nwindow = 200\n", &one, WEFT_HOLDS,
        "1 places in sentences of up to 402 tokens");
    say(WEFT_CERTIFY_CAUSALITY, RUNNING "attention = strided\nstride = 100\n", &one, WEFT_HOLDS,
        "of up to 204 tokens");
    say(WEFT_CERTIFY_CAUSALITY, RUNNING "attention = dilated\nwindow = 50\ngap = 3\n", &one,
        WEFT_HOLDS, "of up to 298 tokens");
    say(WEFT_CERTIFY_ISOLATION,
        RUNNING "attention = bigbird\nblock = 20\nwindow_blocks = 3\nglobal_blocks = 1\n"
                "random_blocks = 2\n",
        NULL, WEFT_HOLDS, "sentences of 1 to 202 tokens");
    say(WEFT_CERTIFY_ISOLATION, RUNNING "position = t5\nmax_distance = 80\n", NULL, WEFT_HOLDS,
        "sentences of 1 to 162 tokens");
    say(WEFT_CERTIFY_GRADIENT, UNDROPPED "attention = lsh\nlsh_chunk = 150\n", NULL, WEFT_HOLDS,
        "sentences of 1 to 130 tokens");
}
END_TEST

/* Where they are not, the certificate says so: texts are shorter, or the model is too large. */
START_TEST(probes_that_are_not_say_so)
{
    static const weft_certify_spec one = { .probes = 1 },
                                   short_one = { .longest = 40, .probes = 1 };
    say(WEFT_CERTIFY_CAUSALITY,
        "[data]\nmax_length = 90\n[model]\nattention = lsh\nlsh_chunk = 150\n"
        "attention_dropout = 0\n",
        &one, WEFT_HOLDS,
        "of up to 91 tokens: derivatives by later inputs and other sentences are 0, logits keep "
        "their bits whatever follows, and if nothing does; no probe is longer than the 150 tokens "
        "that model.lsh_chunk spans");
    say(WEFT_CERTIFY_CAUSALITY, UNDROPPED "attention = lsh\nlsh_chunk = 3000\n", &one, WEFT_HOLDS,
        "; no probe is longer than the 3000 tokens that model.lsh_chunk spans");
    say(WEFT_CERTIFY_CAUSALITY, UNDROPPED "attention = lsh\nlsh_chunk = 40\n", &short_one,
        WEFT_HOLDS, "; no probe is longer than the 40 tokens that model.lsh_chunk spans");
}
END_TEST

/* Steps go on until what they keep lies beyond a window, a chunk, the length of the training. */
START_TEST(decoding_goes_as_far)
{
    say(WEFT_CERTIFY_DECODING, RUNNING "attention = window\nwindow = 70\n", NULL, WEFT_HOLDS,
        "3 sentences of 142 tokens: step by step as all at once, bit by bit");
    say(WEFT_CERTIFY_DECODING, RUNNING, &(weft_certify_spec){ .longest = 150 }, WEFT_HOLDS,
        "3 sentences of 150 tokens: step by step as all at once, bit by bit");
    say(WEFT_CERTIFY_DECODING, UNDROPPED "attention = lsh\nlsh_chunk = 70\n", NULL, WEFT_FAILS,
        "from those of reading all at once");
    say(WEFT_CERTIFY_DECODING,
        RUNNING "position = rope\nrope_scaling = dynamic\nrope_length = 100\n", NULL, WEFT_FAILS,
        "from those of reading all at once; model.rope_scaling = dynamic: beyond model.rope_length "
        "= 100 tokens all angles depend on how many there are");
}
END_TEST

/* ---- rows --------------------------------------------------------------------------------------- */

/* Of a query that sees one key alone the scores' gradient is 0, but for rounding: no sum is a fault. */
START_TEST(rows_of_one_key_are_sound)
{
    static const char *const kinds[] = {
        "[model]\nattention = window\nwindow = 1\n",
        "[model]\nattention = linformer\nlinformer_k = 1\n",
        "[model]\nattention = bigbird\nblock = 1\nwindow_blocks = 1\nrandom_blocks = 0\n"
        "global_blocks = 0\n",
        "[model]\nattention = dilated\nwindow = 3\ngap = 400\n",
        "[model]\nattention = window\nwindow = 1\nkv_heads = 1\n",
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        say(WEFT_CERTIFY_ROWS, kinds[i], NULL, WEFT_HOLDS,
            "6 attentions: weights sum to 1, rows of the scores' gradient to 0, within ");
}
END_TEST

/* Buckets, features and choices have weights as well; of features no score has a gradient. */
START_TEST(rows_of_approximations_are_sound)
{
    say(WEFT_CERTIFY_ROWS, UNDROPPED "attention = lsh\nlsh_chunk = 20\n", NULL, WEFT_HOLDS,
        "2 attentions: weights sum to 1, within ");
    say(WEFT_CERTIFY_ROWS, UNDROPPED "attention = linear\n", NULL, WEFT_HOLDS,
        "2 attentions: weights sum to 1, within ");
    say(WEFT_CERTIFY_ROWS, UNDROPPED "attention = linear\nheads = 16\n", NULL, WEFT_HOLDS,
        "2 attentions: weights sum to 1, within "); /* features that are small */
    say(WEFT_CERTIFY_ROWS, UNDROPPED "attention = performer\nfeatures = 20\n", NULL, WEFT_HOLDS,
        "2 attentions: weights sum to 1, within ");
    say(WEFT_CERTIFY_ROWS, UNDROPPED "attention = probsparse_causal\n", NULL, WEFT_HOLDS,
        "2 attentions: weights sum to 1, rows of the scores' gradient to 0, within ");
    say(WEFT_CERTIFY_ROWS, UNDROPPED "attention = probsparse\n", NULL, WEFT_FAILS,
        "decoder.layers.0.self_attn, head ");
    say(WEFT_CERTIFY_ROWS, RUNNING "mixer = gru\nattention_dropout = 0\n", NULL, WEFT_NOT_ASKED,
        "the model has no attention");
}
END_TEST

/* Attention with a gradient by one key that is a little too large. */
static void lean_backward(const weft_call *c)
{
    weft_op_find("attention")->backward(c);
    const weft_tensor *dk = &c->din[1];
    for (int64_t k = 0; k < weft_cols(dk); k++)
        dk->real[2 * dk->ld + k] *= (weft_real)(sizeof(weft_real) == 4 ? 1.1 : 1 + 1e-9);
}

START_TEST(rows_that_do_not_sum_are_caught)
{
    for (int wrong = 0; wrong < 2; wrong++) {
        weft_op lean = *weft_op_find("attention");
        lean.backward = lean_backward;
        weft_certificate c = { .verdict = WEFT_HOLDS };
        weft_rows_watch watch = { .certificate = &c, .heads = 2 };
        weft_tape *tape = weft_tape_new(0);
        const weft_var offsets = weft_constant_int(tape, WEFT_DIMS(3), (int32_t[]){ 0, 7, 16 });
        weft_var in[3];
        for (int i = 0; i < 3; i++) in[i] = weft_sample_normal(tape, WEFT_DIMS(16, 8));
        const weft_var y = weft_attention(
            tape, in[0], in[1], in[2],
            &(weft_attention_spec){ .heads = 2, .q_offsets = offsets, .k_offsets = offsets });
        if (wrong) tape->nodes[tape->n_nodes - 1].op = &lean;
        weft_tape_watch(tape, weft_rows_watch_keys, &watch);
        OK(weft_backward(tape, weft_sum(tape, weft_mul(tape, y, y), WEFT_ALL, false), NULL));
        ck_assert(watch.asked);
        ck_assert_msg((c.verdict == WEFT_FAILS) == (wrong == 1), "%s", c.text);
        if (wrong) ck_assert_ptr_nonnull(strstr(c.text, "the gradients by the keys from row 0 on"));
        weft_tape_free(tape);
    }
}
END_TEST

/* ---- positions ---------------------------------------------------------------------------------- */

START_TEST(their_positions_follow_the_formula)
{
    static const char *const kinds[] = {
        "[model]\nposition = sinusoidal\n",
        "[model]\nposition = sinusoidal_half\n",
        "[model]\nposition = rope\n",
        "[model]\nposition = rope\nrope_layout = half\nrope_base = 500\n",
        "[model]\nposition = rope\nrope_scaling = linear\nrope_factor = 4\n",
        "[model]\nposition = rope\nrope_scaling = ntk\nrope_factor = 3\n",
        "[model]\nposition = rope\nrope_scaling = dynamic\nrope_length = 20\n",
        "[model]\nposition = rope\nrope_scaling = yarn\nrope_factor = 4\nrope_length = 50\n",
        "[data]\nmax_length = 20\n[train]\nmax_decode_length = 20\n[model]\nposition = learned\n"
        "max_positions = 30\n",
        "[model]\nposition = rope\nattention_dropout = 0\nattention = lsh\nlsh_chunk = 8\n",
        "[model]\nposition = rope\nattention_dropout = 0\nattention = performer\nfeatures = 8\n",
        "[model]\nposition = rope\nattention_weights = sigmoid\nkv_heads = 1\nqk_norm = true\n",
        "[model]\nposition = alibi\n",
        "[model]\nposition = alibi\nd_model = 24\nheads = 6\nattention_weights = sigmoid\n",
        "[model]\nposition = t5\nmax_distance = 20\n",
        "[model]\nposition = shaw\nattention = window\nwindow = 7\n",
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        weft_certificate c;
        sound m = make(kinds[i], WEFT_TIE_NONE);
        OK(weft_certify_positions(m.model, 60, &c));
        ck_assert_msg(c.verdict == WEFT_HOLDS, "%s: %s", kinds[i], c.text);
        ck_assert_int_gt(c.n_questions, 400);
        drop(&m);
    }
    weft_certificate c;
    sound m = make("[model]\nposition = none\n", WEFT_TIE_NONE);
    OK(weft_certify_positions(m.model, 60, &c));
    ck_assert_int_eq(c.verdict, WEFT_NOT_ASKED);
    ck_assert_str_eq(c.text, "the model knows of no positions: neither its embeddings nor queries, "
                             "keys and scores");
    ck_assert_int_eq(weft_certify_positions(m.model, 0, &c), WEFT_ERR_RANGE);
    drop(&m);
}
END_TEST

static void spoil_base(weft_transformer *m) { m->src_position.config.frequencies.base = 1000; }
static void spoil_table(weft_transformer *m)
{
    const weft_param table = m->src_position.table;
    const weft_tensor x = weft_params_value(table.params, table.index);
    memcpy(x.real + 7 * x.ld, x.real + 3 * x.ld, (size_t)weft_cols(&x) * sizeof *x.real);
}
static void spoil_angles(weft_transformer *m) { m->tgt_position.config.kind = WEFT_POSITION_NONE; }
/* The encoder adds an encoding as well. */
static void spoil_source(weft_transformer *m)
{
    m->src_position.config.kind = WEFT_POSITION_SINUSOIDAL;
}
static void spoil_layout(weft_transformer *m) { m->decoder[1].self_attn.rotary_halves = true; }
static void spoil_slopes(weft_transformer *m)
{
    m->encoder[1].self_attn.exact.relative = WEFT_RELATIVE_NONE;
}
static void spoil_buckets(weft_transformer *m)
{
    m->decoder[0].self_attn.exact.relative = WEFT_RELATIVE_NONE;
}

START_TEST(wrong_positions_of_a_model_are_named)
{
    static const struct {
        const char *more;
        void (*spoil)(weft_transformer *);
        const char *text;
    } faults[] = {
        { "[model]\nposition = sinusoidal\n", spoil_base,
          "encoder: the frequencies are those of base 1000, not 10000" },
        { "[data]\nmax_length = 20\n[train]\nmax_decode_length = 20\n[model]\n"
          "position = learned\nmax_positions = 30\n",
          spoil_table, "encoder: positions 3 and 7 have one encoding: it repeats" },
        { "[model]\nposition = rope\n", spoil_angles, "decoder: there are no angles" },
        { "[model]\nposition = alibi\n", spoil_source,
          "encoder.layers.0.self_attn: one token is not read alike wherever it stands" },
        { "[model]\nposition = rope\n", spoil_layout,
          "decoder.layers.1.self_attn: queries at position 1, head 0, pair 0: (" },
        { "[model]\nposition = rope\nattention_dropout = 0\nattention = performer\n", spoil_layout,
          "decoder.layers.1.self_attn: queries or keys at position 1, head 0, pair 0: (" },
        { "[model]\nposition = rope\nattention_dropout = 0\nattention = lsh\n", spoil_layout,
          "decoder.layers.1.self_attn: queries and keys at position 1, head 0, pair 0: (" },
        { "[model]\nposition = alibi\n", spoil_slopes,
          "encoder.layers.1.self_attn, head 0: from position 0 to 1 the score is " },
        { "[model]\nposition = t5\n", spoil_buckets,
          "decoder.layers.0.self_attn, head 0: scores do not depend on distances" },
    };
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        weft_certificate c;
        sound m = make(faults[i].more, WEFT_TIE_NONE);
        faults[i].spoil(m.model);
        OK(weft_certify_positions(m.model, 40, &c));
        ck_assert_msg(c.verdict == WEFT_FAILS && strstr(c.text, faults[i].text), "%s: %s",
                      faults[i].text, c.text);
        drop(&m);
    }
}
END_TEST

enum { L = 50, WIDTH = 8 };

static void fill(weft_real *x, double base, int64_t period)
{
    for (int64_t p = 0; p < L; p++)
        for (int64_t i = 0; i < WIDTH / 2; i++) {
            const double angle = (double)(p % period) * pow(base, -2.0 * (double)i / WIDTH);
            x[p * WIDTH + 2 * i] = (weft_real)sin(angle);
            x[p * WIDTH + 2 * i + 1] = (weft_real)cos(angle);
        }
}

START_TEST(a_wrong_table_is_named)
{
    weft_real x[L * WIDTH];
    double w[WIDTH / 2];
    weft_certificate c;
    const weft_position_table table = { x, L, WIDTH, WIDTH };
    for (int i = 0; i < WIDTH / 2; i++) w[i] = pow(10000, -2.0 * i / WIDTH);
    const weft_position_formula formula = { .w = w, .magnitude = 1, .base = 10000 };
    fill(x, 10000, L);
    weft_certify_table(&table, &formula, &c);
    ck_assert_msg(c.verdict == WEFT_HOLDS, "%s", c.text);
    fill(x, 1000, L);
    weft_certify_table(&table, &formula, &c);
    ck_assert_str_eq(c.text, "the frequencies are those of base 1000, not 10000");
    fill(x, 10000, 20);
    weft_certify_table(&table, &formula, &c);
    ck_assert_ptr_nonnull(strstr(c.text, "position 20, pair 0: (0, 1) instead of ("));
    weft_certify_table(&table, NULL, &c);
    ck_assert_str_eq(c.text, "positions 0 and 20 have one encoding: it repeats");
    fill(x, 10000, L);
    x[33] = (weft_real)NAN;
    weft_certify_table(&table, NULL, &c);
    ck_assert_str_eq(c.text, "position 4 has the value nan");
}
END_TEST

/* ---- a user's model, with and without faults ---------------------------------------------------- */

typedef enum fault {
    NO_FAULT,
    NOT_CAUSAL,   /* attention that sees everything */
    PEEKS,        /* an operation that adds a little of the next row */
    CHOOSES,      /* a sign that depends on all tokens of the sentence; no gradient flows */
    COUNTS,       /* embeddings divided by the number of tokens of the sentence */
    MEAN,         /* the mean of the batch is taken off */
    ROW_NUMBER,   /* positions counted in the batch, not in the sentence */
    WRONG_FACTOR, /* a gradient that is off by a thousandth */
    UNUSED,       /* a parameter that nothing depends on */
    PUBLISHED,    /* ProbSparse as published: what is chosen depends on the future */
    STRICT,       /* the same, strictly causal: no fault */
    BUCKETS,      /* LSH: later tokens shift the chunks of earlier ones */
    LINEAR,       /* causal linear attention: no fault */
    /* from here on positions are known to attention alone */
    TURNS,         /* queries and keys are turned: no fault */
    TURNS_QUERIES, /* queries alone */
    TURNS_NONE,
    SLOPES, /* ALiBi: no fault */
    PLACES  /* scores that grow with the product of both positions */
} fault;

typedef struct own_model {
    fault fault;
    weft_params *params;
    weft_param embed, in, out, bias;
} own_model;

enum { D = 8, HEADS = 2 };

static weft_status own_init(own_model *m, fault which)
{
    *m = (own_model){ .fault = which, .params = weft_params_new(5) };
    const int64_t V = weft_subject_ids(&spec);
    const weft_init normal = { WEFT_INIT_NORMAL, 0.5, 0 };
    weft_status status = weft_params_add(m->params, "embed", WEFT_DIMS(V, D), normal, &m->embed);
    if (status == WEFT_OK)
        status = weft_params_add(m->params, "in", WEFT_DIMS(3 * D, D), normal, &m->in);
    if (status == WEFT_OK)
        status = weft_params_add(m->params, "out", WEFT_DIMS(V, D), normal, &m->out);
    if (status == WEFT_OK)
        status = weft_params_add(m->params, "bias", WEFT_DIMS(3 * D), normal, &m->bias);
    return status;
}

/* y_n = x_n + small x_{n+1} */
static bool peek_infer(weft_call *c)
{
    return weft_out(c, 0, WEFT_REAL, c->in[0].rank, c->in[0].dim);
}
static const double small = 1e-9;
static void peek_forward(const weft_call *c)
{
    const int64_t N = c->in[0].dim[0];
    for (int64_t n = 0; n < N; n++)
        for (int64_t d = 0; d < D; d++)
            c->out[0].real[n * D + d] =
                c->in[0].real[n * D + d] +
                (weft_real)(n + 1 < N ? small * (double)c->in[0].real[(n + 1) * D + d] : 0);
}
static void peek_backward(const weft_call *c)
{
    const int64_t N = c->in[0].dim[0];
    for (int64_t n = 0; n < N; n++)
        for (int64_t d = 0; d < D; d++) {
            const weft_real g =
                c->dout[0].real[n * D + d] +
                (weft_real)(n > 0 ? small * (double)c->dout[0].real[(n - 1) * D + d] : 0);
            weft_real *dx = &c->din[0].real[n * c->din[0].ld + d];
            *dx = c->add[0] ? *dx + g : g;
        }
}
static const weft_op peek = { .name = "peek",
                              .n_in = 1,
                              .infer = peek_infer,
                              .forward = peek_forward,
                              .backward = peek_backward };

/* y = x, with a gradient that is not quite dy */
static void off_forward(const weft_call *c)
{
    memcpy(c->out[0].real, c->in[0].real, (size_t)weft_size(&c->in[0]) * sizeof(weft_real));
}
static void off_backward(const weft_call *c)
{
    const int64_t N = c->in[0].dim[0];
    for (int64_t n = 0; n < N; n++)
        for (int64_t d = 0; d < D; d++) {
            const weft_real g = c->dout[0].real[n * D + d] * (weft_real)1.001;
            weft_real *dx = &c->din[0].real[n * c->din[0].ld + d];
            *dx = c->add[0] ? *dx + g : g;
        }
}
static const weft_op off = {
    .name = "off", .n_in = 1, .infer = peek_infer, .forward = off_forward, .backward = off_backward
};

/* +1 or -1 for each row, by the sum of its sentence: what a selection among all queries does. */
static weft_var choice(weft_tape *tape, weft_var x, const weft_batch *batch)
{
    const int64_t N = batch->target.N;
    weft_real *sign = malloc((size_t)N * sizeof *sign);
    const weft_tensor t = weft_value(tape, x);
    for (int64_t b = 0; b < batch->target.B; b++) {
        double sum = 0;
        for (int64_t n = batch->target.offsets[b]; n < batch->target.offsets[b + 1]; n++)
            for (int64_t d = 0; d < D; d++) sum += (double)t.real[n * t.ld + d];
        for (int64_t n = batch->target.offsets[b]; n < batch->target.offsets[b + 1]; n++)
            sign[n] = (int)floor(1000 * fabs(sum)) % 2 ? 1 : -1;
    }
    const weft_var y = weft_constant(tape, WEFT_DIMS(N, 1), sign);
    free(sign);
    return y;
}

/* For each row one over the tokens of its sentence. */
static weft_var share(weft_tape *tape, const weft_tokens *t)
{
    weft_real *one = malloc((size_t)t->N * sizeof *one);
    for (int64_t b = 0; b < t->B; b++)
        for (int64_t n = t->offsets[b]; n < t->offsets[b + 1]; n++)
            one[n] = 1 / (weft_real)(t->offsets[b + 1] - t->offsets[b]);
    const weft_var y = weft_constant(tape, WEFT_DIMS(t->N, 1), one);
    free(one);
    return y;
}

static weft_var own_position(const own_model *m, weft_tape *tape, const weft_batch *batch)
{
    const int64_t N = batch->target.N;
    int32_t *rows = malloc((size_t)N * 2 * sizeof *rows);
    memcpy(rows, batch->target.rows, (size_t)N * 2 * sizeof *rows);
    for (int64_t n = 0; n < N && m->fault == ROW_NUMBER; n++) rows[2 * n + 1] = (int32_t)n;
    const weft_var y = weft_sinusoid(tape, weft_constant_int(tape, WEFT_DIMS(N, 2), rows), D, NULL);
    free(rows);
    return y;
}

/* A bias [HEADS, N, N] of one sentence. */
static weft_var places(weft_tape *tape, int64_t N)
{
    weft_real *x = malloc((size_t)(HEADS * N * N) * sizeof *x);
    for (int64_t n = 0; n < HEADS * N * N; n++) x[n] = (weft_real)(n / N % N * (n % N)) / 1000;
    const weft_var y = weft_constant(tape, WEFT_DIMS(HEADS, N, N), x);
    free(x);
    return y;
}

/* Queries or keys, turned or not. */
static weft_var turned(const own_model *m, weft_tape *tape, weft_var x, const weft_tokens *t,
                       bool query)
{
    if (m->fault != TURNS && !(m->fault == TURNS_QUERIES && query)) return x;
    const weft_var rows = weft_constant_int(tape, WEFT_DIMS(t->N, 2), t->rows);
    return weft_rotary(tape, x, weft_sinusoid(tape, rows, D / HEADS, NULL), false);
}

/* Attention of the kinds that approximate, or that of weft_attention. */
static weft_var own_attention(const own_model *m, weft_tape *tape, weft_var q, weft_var k,
                              weft_var v, weft_var offsets)
{
    switch (m->fault) {
    case PUBLISHED:
    case STRICT:
        return weft_probsparse_attention(
            tape, q, k, v,
            &(weft_probsparse_spec){ .heads = HEADS,
                                     .kind = m->fault == STRICT ? WEFT_PROBSPARSE_CAUSAL
                                                                : WEFT_PROBSPARSE_PUBLISHED,
                                     .factor = 1,
                                     .key = 1,
                                     .q_offsets = offsets });
    case BUCKETS:
        return weft_lsh_attention(
            tape, q, v,
            &(weft_lsh_spec){
                .heads = HEADS, .chunk = 4, .causal = true, .key = 1, .offsets = offsets });
    case LINEAR:
        return weft_linear_attention(
            tape, q, k, v,
            &(weft_linear_attention_spec){ .heads = HEADS, .causal = true, .q_offsets = offsets });
    default:
        return weft_attention(
            tape, q, k, v,
            &(weft_attention_spec){
                .heads = HEADS,
                .causal = m->fault != NOT_CAUSAL,
                .alibi = m->fault == SLOPES,
                .bias = m->fault == PLACES ? places(tape, weft_shape(tape, q).dim[0]) : WEFT_NIL,
                .q_offsets = offsets });
    }
}

static weft_var own_hidden(const void *model, weft_tape *tape, const weft_batch *batch)
{
    const own_model *m = model;
    const weft_tokens *t = &batch->target;
    const weft_var ids = weft_constant_int(tape, WEFT_DIMS(t->N), t->ids),
                   offsets = weft_constant_int(tape, WEFT_DIMS(t->B + 1), t->offsets);
    weft_var x = weft_embedding(tape, weft_use(tape, m->embed), ids, 1);
    if (m->fault < TURNS) x = weft_add(tape, x, own_position(m, tape, batch));
    if (m->fault == COUNTS) x = weft_mul(tape, x, share(tape, t));
    if (m->fault == MEAN) x = weft_sub(tape, x, weft_mean(tape, x, 0, true));
    weft_scope_push(tape, "layer.self_attn");
    const weft_var bias = m->fault == UNUSED ? WEFT_NIL : weft_use(tape, m->bias);
    const weft_var qkv = weft_linear(tape, x, weft_use(tape, m->in), bias, WEFT_IDENTITY);
    const weft_var q = turned(m, tape, weft_slice(tape, qkv, 1, 0, D), t, true),
                   k = turned(m, tape, weft_slice(tape, qkv, 1, D, 2 * D), t, false);
    weft_var y = own_attention(m, tape, q, k, weft_slice(tape, qkv, 1, 2 * D, 3 * D), offsets);
    weft_scope_pop(tape);
    if (m->fault == CHOOSES) y = weft_mul(tape, y, choice(tape, x, batch));
    if (m->fault == PEEKS) y = weft_apply1(tape, &peek, 1, &y, NULL, 0);
    if (m->fault == WRONG_FACTOR) y = weft_apply1(tape, &off, 1, &y, NULL, 0);
    return weft_add(tape, x, y);
}

static weft_var own_logits(const void *model, weft_tape *tape, weft_var hidden)
{
    return weft_linear(tape, hidden, weft_use(tape, ((const own_model *)model)->out), WEFT_NIL,
                       WEFT_IDENTITY);
}

static weft_var own_loss(const void *model, weft_tape *tape, weft_var hidden, weft_var labels)
{
    return weft_projection_loss(tape, hidden, weft_use(tape, ((const own_model *)model)->out),
                                WEFT_NIL, labels, NULL, NULL);
}

static weft_subject own_subject(const own_model *m)
{
    return (weft_subject){ .model = m,
                           .params = m->params,
                           .target_embed = m->embed,
                           .V = weft_subject_ids(&spec),
                           .heads = HEADS,
                           .hidden = own_hidden,
                           .logits = own_logits,
                           .loss = own_loss };
}

typedef weft_status certify(const weft_subject *, const weft_certify_spec *, weft_certificate *);

static void expect(fault which, certify *ask, const char *text)
{
    own_model m;
    weft_certificate c;
    OK(own_init(&m, which));
    const weft_subject s = own_subject(&m);
    OK(ask(&s, &spec, &c));
    ck_assert_msg((c.verdict == WEFT_HOLDS) == (text == NULL), "fault %d: %s", which, c.text);
    if (text) ck_assert_msg(strstr(c.text, text) != NULL, "%s\nis not in\n%s", text, c.text);
    weft_params_free(m.params);
}

START_TEST(a_leak_is_named)
{
    OK(weft_threads_set(1));
    expect(NO_FAULT, weft_certify_causality, NULL);
    expect(
        NOT_CAUSAL, weft_certify_causality,
        "layer.self_attn (attention), head 0: position 0 depends on position 1 (a sentence of 20");
    expect(CHOOSES, weft_certify_causality, "mul: position ");
    expect(COUNTS, weft_certify_causality,
           "mul: position 0 depends on how long its sentence is (20 tokens; alone, its first 1 "
           "give other bits)");
    if (sizeof(weft_real) == 8)
        expect(PEEKS, weft_certify_causality, "peek: position 0 depends on position 1 ");
    else /* too small for a digit of a float: the derivative sees it */
        expect(PEEKS, weft_certify_causality,
               "the derivative of position 0 by position 1 is not 0");
}
END_TEST

/* Which none of the later tokens says, but their number: angles of the whole sentence. */
START_TEST(dynamic_angles_are_caught)
{
    const char *const dynamic =
        "[model]\nposition = rope\nrope_scaling = dynamic\nrope_length = 70\n";
    say(WEFT_CERTIFY_CAUSALITY, dynamic, NULL, WEFT_FAILS,
        "sinusoid: position 1 depends on how long its sentence is (142 tokens; alone, its first ");
    say(WEFT_CERTIFY_CAUSALITY, dynamic, NULL, WEFT_FAILS,
        "; model.rope_scaling = dynamic: beyond model.rope_length = 70 tokens all angles depend on "
        "how many there are");
    say(WEFT_CERTIFY_CAUSALITY, dynamic, &(weft_certify_spec){ .longest = 70 }, WEFT_HOLDS,
        "; no probe is longer than the 70 tokens that model.rope_length spans");
}
END_TEST

/* Choices by which the future is known, though no gradient says so. */
START_TEST(a_choice_that_reads_the_future_is_caught)
{
    OK(weft_threads_set(1));
    expect(PUBLISHED, weft_certify_causality, "layer.self_attn (probsparse_attention), head ");
    expect(STRICT, weft_certify_causality, NULL);
    expect(BUCKETS, weft_certify_causality, "layer.self_attn (lsh_attention), head ");
    expect(LINEAR, weft_certify_causality, NULL);
    for (fault which = PUBLISHED; which <= LINEAR; which++)
        expect(which, weft_certify_isolation, NULL);
}
END_TEST

START_TEST(a_sentence_is_not_alone)
{
    OK(weft_threads_set(1));
    expect(NO_FAULT, weft_certify_isolation, NULL);
    expect(NOT_CAUSAL, weft_certify_isolation, NULL); /* within the sentence */
    expect(MEAN, weft_certify_isolation,
           "sentence 0 (3 tokens), position 0: other bits in its logits");
    expect(MEAN, weft_certify_causality, "another sentence");
    expect(ROW_NUMBER, weft_certify_isolation,
           "sinusoid: sentence 1 (20 tokens), position 0: other");
}
END_TEST

/* What a layer of one's own makes of positions. */
START_TEST(wrong_turns_and_scores_are_named)
{
    static const double w[] = { 1, 0.01 }, slopes[] = { 0.0625, 0.00390625 },
                        steep[] = { 0.1, 0.1 };
    static const weft_position_formula formula = { .w = w, .magnitude = 1, .base = 10000 };
    static const weft_distances any = { NULL, WEFT_SOFTMAX }, alibi = { slopes, WEFT_SOFTMAX },
                                wrong = { steep, WEFT_SOFTMAX };
    const struct {
        fault which;
        const weft_distances *of; /* NULL: turns */
        const char *text;         /* NULL: no fault */
    } asked[] = {
        { TURNS, NULL, NULL },
        { TURNS_QUERIES, NULL, "layer.self_attn: keys at position 1, head 0, pair 0: (" },
        { TURNS_NONE, NULL, ": not turned" },
        { NO_FAULT, NULL, "layer.self_attn: one token is not read alike wherever it stands" },
        { SLOPES, &alibi, NULL },
        { SLOPES, &any, NULL },
        { TURNS, &any, NULL },
        { SLOPES, &wrong,
          "layer.self_attn, head 0: from position 1 to 0 the score is -0.0625 more than to itself, "
          "not -0.1" },
        { PLACES, &any, "layer.self_attn, head 0: from position 2 to 1 the score is " },
        { TURNS_NONE, &any, "layer.self_attn, head 0: scores do not depend on distances" },
    };
    OK(weft_threads_set(1));
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
        own_model m;
        weft_certificate c;
        OK(own_init(&m, asked[i].which));
        const weft_subject s = own_subject(&m);
        if (asked[i].of)
            OK(weft_certify_distances(&s, 70, asked[i].of, &c));
        else
            OK(weft_certify_turns(&s, 70, D / HEADS, &formula, &c));
        ck_assert_msg((c.verdict == WEFT_HOLDS) == !asked[i].text, "%zu: %s", i, c.text);
        if (asked[i].text)
            ck_assert_msg(strstr(c.text, asked[i].text) != NULL, "%s\nis not in\n%s", asked[i].text,
                          c.text);
        weft_params_free(m.params);
    }
}
END_TEST

START_TEST(a_gradient_is_wrong)
{
    OK(weft_threads_set(1));
    if (sizeof(weft_real) == 4) return;
    expect(NO_FAULT, weft_certify_gradient, NULL);
    expect(WRONG_FACTOR, weft_certify_gradient, ": the gradient gives ");
    expect(UNUSED, weft_certify_gradient, "bias: no gradient reaches it");
}
END_TEST

START_TEST(mistakes_are_told)
{
    own_model m;
    weft_certificate c;
    OK(own_init(&m, NO_FAULT));
    weft_subject s = own_subject(&m);
    ck_assert_int_eq(weft_certify_causality(&s, &(weft_certify_spec){ .longest = 1 }, &c),
                     WEFT_ERR_RANGE);
    ck_assert_int_eq(weft_certify_isolation(&s, &(weft_certify_spec){ .probes = -1 }, &c),
                     WEFT_ERR_RANGE);
    ck_assert_int_eq(weft_certify_gradient(&s, &(weft_certify_spec){ .longest = 21 }, &c),
                     WEFT_ERR_SHAPE);
    ck_assert_ptr_nonnull(strstr(weft_message(), "the probes need"));
    weft_params_free(m.params);
}
END_TEST

START_TEST(memory_runs_out)
{
    own_model m;
    OK(own_init(&m, NOT_CAUSAL));
    OK(weft_threads_set(1));
    const weft_subject s = own_subject(&m);
    certify *const all[] = { weft_certify_causality, weft_certify_isolation,
                             weft_certify_gradient };
    for (int i = 0; i < 3; i++) {
        weft_status status = WEFT_ERR_MEMORY;
        for (int64_t n = 1; status != WEFT_OK; n += 5) {
            weft_certificate c;
            weft_alloc_fail_at(n, false);
            status = all[i](&s, &(weft_certify_spec){ .longest = 4, .probes = 2 }, &c);
            weft_alloc_fail_at(0, false);
            ck_assert_msg(status == WEFT_OK || status == WEFT_ERR_MEMORY, "%s", weft_message());
        }
    }
    weft_params_free(m.params);
    static const char *const kinds[] = { "[model]\nposition = rope\n", "[model]\nposition = t5\n" };
    for (int i = 0; i < 2; i++) {
        sound of = make(kinds[i], WEFT_TIE_NONE);
        weft_status status = WEFT_ERR_MEMORY;
        for (int64_t n = 1; status != WEFT_OK; n += 5) {
            weft_certificate c;
            weft_alloc_fail_at(n, false);
            status = weft_certify_positions(of.model, 9, &c);
            weft_alloc_fail_at(0, false);
            ck_assert_msg(status == WEFT_OK || status == WEFT_ERR_MEMORY, "%s", weft_message());
        }
        drop(&of);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("certify");
    TCase *tc = tcase_create("sound");
    tcase_add_test(tc, sound_models_do_not_leak);
    tcase_add_test(tc, their_attention_is_sound);
    tcase_add_test(tc, their_positions_follow_the_formula);
    tcase_add_test(tc, labels_are_ordinary_tokens);
    tcase_add_test(tc, their_gradients_are_right);
    tcase_add_test(tc, rows_of_one_key_are_sound);
    tcase_add_test(tc, rows_of_approximations_are_sound);
    tcase_add_test(tc, probes_are_longer_than_what_models_span);
    tcase_add_test(tc, probes_that_are_not_say_so);
    tcase_add_test(tc, decoding_goes_as_far);
    suite_add_tcase(suite, tc);
    tc = tcase_create("faults");
    tcase_add_test(tc, a_leak_is_named);
    tcase_add_test(tc, dynamic_angles_are_caught);
    tcase_add_test(tc, rows_that_do_not_sum_are_caught);
    tcase_add_test(tc, a_choice_that_reads_the_future_is_caught);
    tcase_add_test(tc, a_sentence_is_not_alone);
    tcase_add_test(tc, a_gradient_is_wrong);
    tcase_add_test(tc, a_wrong_table_is_named);
    tcase_add_test(tc, wrong_positions_of_a_model_are_named);
    tcase_add_test(tc, wrong_turns_and_scores_are_named);
    tcase_add_test(tc, mistakes_are_told);
    tcase_add_test(tc, memory_runs_out);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
