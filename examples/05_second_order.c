/* 05_second_order.c - precision: double - gradients of gradients.
 *
 *     cc 05_second_order.c $(pkg-config --cflags --libs weft_f64) -lm -o 05_second_order
 *
 * A Hessian times a vector, without the Hessian (Pearlmutter 1994): H v = d(g . v) / dw, where
 * g = df / dw is itself a value on the tape. Checked against differences of gradients. */
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

int main(void)
{
    weft_tape *tape = weft_tape_new(WEFT_RETAIN); /* weft_grad needs all values */
    if (!tape) expect_ok(WEFT_ERR_MEMORY);
    const double worst = hessian_times_vector(tape);
    weft_tape_free(tape);
    return worst < 1e-8 ? EXIT_SUCCESS : EXIT_FAILURE;
}
