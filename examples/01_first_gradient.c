/* 01_first_gradient.c - a tape, two leaves, a few operations, backward; and what a mistake looks like.
 *
 *     cc 01_first_gradient.c $(pkg-config --cflags --libs weft) -lm -o 01_first_gradient
 *
 * The function is a small layer and the sum of its squares, y = tanh(W x + b), loss = y . y. By hand
 * and the chain rule, from the loss back to the leaves, with z = W x + b:
 *
 *     dy = 2 y          dz = dy (1 - y^2)          dW = dz x^T          db = dz
 *
 * The program prints these beside what the tape says and fails if they differ. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <weft/weft.h>

enum { ROWS = 2, COLS = 3 };

static const weft_real W[ROWS][COLS] = { { 0.5f, -1, 0.25f }, { 1, 0.75f, -0.5f } };
static const weft_real b[ROWS] = { 0.1f, -0.2f };
static const weft_real x[COLS] = { 1, 2, -1 };

/* The gradients by hand, in double. */
static void by_hand(double dW[ROWS][COLS], double db[ROWS])
{
    for (int i = 0; i < ROWS; i++) {
        double z = (double)b[i];
        for (int j = 0; j < COLS; j++) z += (double)W[i][j] * (double)x[j];
        const double y = tanh(z), dy = 2 * y, dz = dy * (1 - y * y);
        for (int j = 0; j < COLS; j++) dW[i][j] = dz * (double)x[j];
        db[i] = dz;
    }
}

static double compare(const char *name, int64_t n, const weft_real *got, const double *expected)
{
    double worst = 0;
    for (int64_t i = 0; i < n; i++) {
        printf("%s[%lld]  tape %10.6f   by hand %10.6f\n", name, (long long)i, (double)got[i],
               expected[i]);
        worst = fmax(worst, fabs((double)got[i] - expected[i]));
    }
    return worst;
}

int main(void)
{
    weft_tape *tape = weft_tape_new(0);
    if (!tape) {
        fprintf(stderr, "%s\n", weft_message());
        return EXIT_FAILURE;
    }
    /* Leaves want a gradient, constants do not. WEFT_DIMS(2, 3) is a rank and its dimensions. */
    const weft_var w = weft_leaf(tape, WEFT_DIMS(ROWS, COLS), &W[0][0]);
    const weft_var bias = weft_leaf(tape, WEFT_DIMS(ROWS, 1), b);
    const weft_var input = weft_constant(tape, WEFT_DIMS(COLS, 1), x);

    const weft_var z = weft_add(tape, weft_matmul(tape, w, input), bias);
    const weft_var y = weft_tanh(tape, z);
    const weft_var loss = weft_sum(tape, weft_mul(tape, y, y), WEFT_ALL, false);
    printf("loss = %.6f\n", weft_item(tape, loss));

    /* Any mistake made above is remembered and told here. */
    if (weft_backward(tape, loss, NULL) != WEFT_OK) {
        fprintf(stderr, "%s\n", weft_message());
        return EXIT_FAILURE;
    }
    double dW[ROWS][COLS], db[ROWS];
    by_hand(dW, db);
    const double worst_w = compare("dW", ROWS * COLS, weft_gradient(tape, w).real, &dW[0][0]);
    const double worst_b = compare("db", ROWS, weft_gradient(tape, bias).real, db);
    const double worst = fmax(worst_w, worst_b);
    printf("largest difference %.1e\n\n", worst);

    /* A reset ends the life of all variables and keeps the memory: the next step starts. Here it
     * makes a mistake in the middle of an expression; nothing crashes, and the sentence that
     * weft_backward leaves names the place. */
    weft_tape_reset(tape);
    const weft_var a = weft_name(tape, weft_leaf(tape, WEFT_DIMS(ROWS, COLS), &W[0][0]), "a");
    const weft_var wrong = weft_tanh(tape, weft_matmul(tape, a, a));
    const weft_status status = weft_backward(tape, wrong, NULL);
    printf("%s: %s\n", weft_status_name(status), weft_message());

    weft_tape_free(tape);
    return worst < 1e-6 && status == WEFT_ERR_SHAPE ? EXIT_SUCCESS : EXIT_FAILURE;
}
