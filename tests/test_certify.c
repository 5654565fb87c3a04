/* test_certify.c - certificates hold for sound models, and each fails where a fault is planted. */
#include "check_main.h"

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

static sound make(const char *more, weft_tie tie)
{
    weft_config config;
    sound m = { weft_params_new(3), malloc(sizeof *m.model) };
    OK(weft_threads_set(1));
    weft_config_init(&config);
    OK(weft_config_parse(&config,
                         "[model]\nd_model = 16\nffn = 24\nheads = 2\nencoder_layers = 2\n"
                         "decoder_layers = 2\ndropout = 0.1\nattention_dropout = 0.2\n"
                         "activation_dropout = 0.1\n",
                         "small"));
    OK(weft_config_parse(&config, more, "more"));
    OK(weft_config_check_model(&config));
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
        ck_assert_int_eq(c.n_questions, 2 * spec.probes);
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
    ck_assert_int_eq(weft_certify_positions(m.model, 0, &c), WEFT_ERR_RANGE);
    drop(&m);
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
    MEAN,         /* the mean of the batch is taken off */
    ROW_NUMBER,   /* positions counted in the batch, not in the sentence */
    WRONG_FACTOR, /* a gradient that is off by a thousandth */
    UNUSED,       /* a parameter that nothing depends on */
    PUBLISHED,    /* ProbSparse as published: what is chosen depends on the future */
    STRICT,       /* the same, strictly causal: no fault */
    BUCKETS,      /* LSH: later tokens shift the chunks of earlier ones */
    LINEAR        /* causal linear attention: no fault */
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
        return weft_attention(tape, q, k, v,
                              &(weft_attention_spec){ .heads = HEADS,
                                                      .causal = m->fault != NOT_CAUSAL,
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
    x = weft_add(tape, x, own_position(m, tape, batch));
    if (m->fault == MEAN) x = weft_sub(tape, x, weft_mean(tape, x, 0, true));
    weft_scope_push(tape, "layer.self_attn");
    const weft_var bias = m->fault == UNUSED ? WEFT_NIL : weft_use(tape, m->bias);
    const weft_var qkv = weft_linear(tape, x, weft_use(tape, m->in), bias, WEFT_IDENTITY);
    weft_var y =
        own_attention(m, tape, weft_slice(tape, qkv, 1, 0, D), weft_slice(tape, qkv, 1, D, 2 * D),
                      weft_slice(tape, qkv, 1, 2 * D, 3 * D), offsets);
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
    if (sizeof(weft_real) == 8)
        expect(PEEKS, weft_certify_causality, "peek: position 0 depends on position 1 ");
    else /* too small for a digit of a float: the derivative sees it */
        expect(PEEKS, weft_certify_causality,
               "the derivative of position 0 by position 1 is not 0");
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
    suite_add_tcase(suite, tc);
    tc = tcase_create("faults");
    tcase_add_test(tc, a_leak_is_named);
    tcase_add_test(tc, a_choice_that_reads_the_future_is_caught);
    tcase_add_test(tc, a_sentence_is_not_alone);
    tcase_add_test(tc, a_gradient_is_wrong);
    tcase_add_test(tc, a_wrong_table_is_named);
    tcase_add_test(tc, mistakes_are_told);
    tcase_add_test(tc, memory_runs_out);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
