/* 05_second_order.c - precision: double - gradients of gradients.
 *
 *     cc 05_second_order.c $(pkg-config --cflags --libs weft_f64) -lm -o 05_second_order
 *
 * A Hessian times a vector, without the Hessian (Pearlmutter 1994): H v = d(g . v) / dw, where
 * g = df / dw is itself a value on the tape. Checked against differences of gradients.
 *
 * A learning rate learnt by gradient descent (Maclaurin et al. 2015): a small Transformer takes two
 * steps of Adam on the tape, and the loss after them is differentiated by the learning rate, through
 * both updates and through the gradients that they use. Checked against differences of losses. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <weft/weft.h>

static void expect_ok(weft_status status)
{
    if (status == WEFT_OK) return;
    fprintf(stderr, "%s\n", weft_message());
    exit(EXIT_FAILURE);
}

/* ---- the Hessian of a logistic loss, f(w) = sum_i log(1 + exp(a_i . w)) ------------------------ */

enum { R = 4, C = 3 };
static const weft_real A[R * C] = { 1, -0.5, 2, 0.3, 1, -1, -2, 0.4, 0.7, 0.1, -1.5, 0.2 };
static const weft_real w0[C] = { 0.2, -0.4, 0.1 }, direction[C] = { 1, 2, -1 };

/* The gradient of f at w, and with `product` also H v. */
static void logistic(weft_tape *tape, const weft_real w[C], weft_real gradient[C],
                     weft_real product[C])
{
    weft_tape_reset(tape);
    const weft_var x = weft_leaf(tape, WEFT_DIMS(C, 1), w);
    const weft_var z = weft_matmul(tape, weft_constant(tape, WEFT_DIMS(R, C), A), x);
    const weft_var f = weft_sum(tape, weft_softplus(tape, z), WEFT_ALL, false);
    weft_var g, hv;
    expect_ok(weft_grad(tape, f, WEFT_NIL, 1, &x, &g)); /* g is a variable like any other */
    for (int i = 0; i < C; i++) gradient[i] = weft_value(tape, g).real[i];
    if (!product) return;
    const weft_var v = weft_constant(tape, WEFT_DIMS(C, 1), direction);
    const weft_var gv = weft_sum(tape, weft_mul(tape, g, v), WEFT_ALL, false);
    expect_ok(weft_grad(tape, gv, WEFT_NIL, 1, &x, &hv));
    for (int i = 0; i < C; i++) product[i] = weft_value(tape, hv).real[i];
}

static double hessian_times_vector(weft_tape *tape)
{
    const double h = 1e-5;
    weft_real g[C], hv[C], low[C], high[C], w[C];
    logistic(tape, w0, g, hv);
    for (int i = 0; i < C; i++) w[i] = w0[i] + h * direction[i];
    logistic(tape, w, high, NULL);
    for (int i = 0; i < C; i++) w[i] = w0[i] - h * direction[i];
    logistic(tape, w, low, NULL);
    double worst = 0;
    for (int i = 0; i < C; i++) {
        const double difference = (high[i] - low[i]) / (2 * h);
        printf("(H v)[%d]  tape %12.9f   differences %12.9f\n", i, hv[i], difference);
        worst = fmax(worst, fabs(hv[i] - difference));
    }
    return worst;
}

/* ---- a learning rate learnt through Adam's updates of a Transformer ----------------------------- */

/* Two sentences to be reversed; 1 is <s>, 2 is </s> (layers/batch.h). */
enum { N = 7, V = 7, N_STEPS = 2, MAX_PARAMS = 64 };
static const int32_t source[N] = { 3, 4, 5, 2, 6, 3, 2 }, target[N] = { 1, 5, 4, 3, 1, 3, 6 };
static const int32_t labels[N] = { 5, 4, 3, 2, 3, 6, 2 }, offsets[] = { 0, 4, N };
static const int32_t rows[2 * N] = { 0, 0, 0, 1, 0, 2, 0, 3, 1, 0, 1, 1, 1, 2 };
static const weft_batch batch = {
    .source = { .B = 2, .N = N, .ids = source, .offsets = offsets, .rows = rows },
    .target = { .B = 2, .N = N, .ids = target, .offsets = offsets, .rows = rows },
    .labels = labels
};

/* A tape knows a model at one set of values: before the first update, after it, after the second. */
static weft_params *params[N_STEPS + 1];
static weft_transformer model[N_STEPS + 1];

static void make_models(void)
{
    const weft_init xavier = { .kind = WEFT_INIT_XAVIER_UNIFORM };
    const weft_layer_config layer = {
        .D = 8, .F = 16, .heads = 2, .activation = WEFT_GELU, .init = xavier
    };
    for (int t = 0; t <= N_STEPS; t++) {
        if (!(params[t] = weft_params_new(1))) expect_ok(WEFT_ERR_MEMORY);
        expect_ok(weft_transformer_init(&model[t], params[t],
                                        &(weft_transformer_config){ .layer = layer,
                                                                    .encoder_layers = 1,
                                                                    .decoder_layers = 1,
                                                                    .source_V = V,
                                                                    .target_V = V,
                                                                    .tie = WEFT_TIE_ALL }));
    }
}

/* The loss after two updates with this learning rate, and its derivative by the rate. */
static double loss_after(weft_tape *tape, double rate, double *derivative)
{
    weft_tape_reset(tape);
    const weft_var lr = weft_leaf(tape, 0, NULL, &(weft_real){ rate });
    weft_var p[MAX_PARAMS], g[MAX_PARAMS], m[MAX_PARAMS], v[MAX_PARAMS], loss;
    const int n = weft_params_count(params[0]);
    if (n > MAX_PARAMS) exit(EXIT_FAILURE);
    for (int i = 0; i < n; i++) {
        const weft_tensor start = weft_params_value(params[0], i);
        p[i] = weft_leaf(tape, start.rank, start.dim, start.real);
        m[i] = v[i] = weft_full(tape, start.rank, start.dim, 0);
    }
    for (int t = 0;; t++) {
        for (int i = 0; i < n; i++) expect_ok(weft_bind(tape, (weft_param){ params[t], i }, p[i]));
        loss = weft_scale(tape, weft_transformer_loss(&model[t], tape, &batch, NULL), 1.0 / N);
        if (t == N_STEPS) break;
        expect_ok(weft_grad(tape, loss, WEFT_NIL, n, p, g));
        const weft_adam_spec spec = { .beta1 = 0.9, .beta2 = 0.98, .eps = 1e-4, .step = t + 1 };
        for (int i = 0; i < n; i++)
            p[i] = weft_adam(tape, p[i], g[i], m[i], v[i], lr, &spec, &m[i], &v[i]);
    }
    expect_ok(weft_backward(tape, loss, NULL));
    if (derivative) *derivative = weft_gradient(tape, lr).real[0];
    return weft_item(tape, loss);
}

int main(void)
{
    weft_tape *tape = weft_tape_new(WEFT_RETAIN); /* weft_grad needs all values */
    if (!tape) expect_ok(WEFT_ERR_MEMORY);
    const double worst = hessian_times_vector(tape);

    make_models();
    double lr = 1e-3, derivative;
    const double h = 1e-6, first = loss_after(tape, lr, &derivative);
    const double difference =
        (loss_after(tape, lr + h, NULL) - loss_after(tape, lr - h, NULL)) / (2 * h);
    printf("\nd loss / d rate   tape %.8f   differences %.8f\n", derivative, difference);
    const double error = fabs(derivative / difference - 1);
    double last = first;
    for (int i = 0; i < 15; i++) {
        last = loss_after(tape, lr, &derivative);
        if (i % 2 == 0) printf("rate %.5f   loss after two updates %.5f\n", lr, last);
        lr *= exp(-lr * derivative); /* descent along log(rate) */
    }
    for (int t = 0; t <= N_STEPS; t++) weft_params_free(params[t]);
    weft_tape_free(tape);
    const bool right = worst < 1e-8 && error < 1e-6 && last < 0.8 * first;
    return right ? EXIT_SUCCESS : EXIT_FAILURE;
}
