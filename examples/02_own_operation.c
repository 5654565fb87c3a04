/* 02_own_operation.c - precision: double - an operation of your own, in your own file.
 *
 *     cc 02_own_operation.c $(pkg-config --cflags --libs weft_f64) -lm -o 02_own_operation
 *
 * Mish (Misra 2019), an activation that weft does not have:
 *
 *     y = x tanh(s),   s = log(1 + e^x)          dy/dx = tanh(s) + x (1 - tanh(s)^2) / (1 + e^-x)
 *
 * It is a fused operation: kernels for value and gradient, and `define`, the same value written with
 * weft's operations. The definition states what the kernels mean, and gives gradients of gradients.
 * Weft itself is not touched anywhere; weft_gradcheck checks a user's operation as its own. Double,
 * because finite differences say little in float. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <weft/weft.h>

static weft_var mish(weft_tape *tape, weft_var x);

/* infer: the shapes of the outputs, from those of the inputs; here anything may fail, and nowhere
 * else. (Here nothing can: the tape has seen to it that x is real.) */
static bool infer(weft_call *c) { return weft_out(c, 0, WEFT_REAL, c->in[0].rank, c->in[0].dim); }

/* forward: write out[]. Inputs are dense unless the descriptor says `strided`. */
static void forward(const weft_call *c)
{
    const weft_real *x = c->in[0].real;
    weft_real *y = c->out[0].real;
    const int64_t n = weft_size(&c->in[0]);
    for (int64_t i = 0; i < n; i++) y[i] = x[i] * tanh(log1p(exp(x[i])));
}

/* backward: from dout[], write or add to din[], row by row, since the gradient of a column slice
 * lies between other columns. */
static void backward(const weft_call *c)
{
    const weft_tensor *x = &c->in[0], *dy = &c->dout[0], *dx = &c->din[0];
    const int64_t R = weft_rows(x), C = weft_cols(x);
    for (int64_t r = 0; r < R; r++)
        for (int64_t k = 0; k < C; k++) {
            const weft_real u = x->real[r * x->ld + k], t = tanh(log1p(exp(u)));
            const weft_real slope = t + u * (1 - t * t) / (1 + exp(-u));
            weft_real *out = &dx->real[r * dx->ld + k];
            *out = (c->add[0] ? *out : 0) + slope * dy->real[r * dy->ld + k];
        }
}

/* define: the meaning of forward. */
static void define(weft_rule *r)
{
    weft_tape *t = r->tape;
    const weft_var s = weft_log(t, weft_add(t, weft_exp(t, r->in[0]), weft_scalar(t, 1)));
    r->result[0] = weft_mul(t, r->in[0], weft_tanh(t, s));
}

/* sample: calls on which the operation is checked: shapes, ranges, views. */
static weft_var sample(weft_tape *t, int i)
{
    switch (i) {
    case 0: return mish(t, weft_sample_normal(t, WEFT_DIMS(3, 4)));
    case 1: return mish(t, weft_sample_normal(t, WEFT_DIMS(1)));
    case 2: return mish(t, weft_sample_uniform(t, -9, 9, WEFT_DIMS(2, 1, 5)));
    case 3: return mish(t, weft_sample_strided(t, WEFT_DIMS(4, 3)));
    case 4: return mish(t, mish(t, weft_sample_normal(t, WEFT_DIMS(6))));
    default: return WEFT_NIL;
    }
}

/* misuse: calls that must fail with a sentence. */
static weft_var misuse(weft_tape *t, int i)
{
    if (i == 0) return mish(t, weft_sample_int(t, 0, 9, WEFT_DIMS(3))); /* an integer */
    return i == 1 ? mish(t, WEFT_NIL) : weft_scalar(t, 0);
}

static const weft_op mish_op = { .name = "mish",
                                 .inputs = "x",
                                 .n_in = 1,
                                 .infer = infer,
                                 .forward = forward,
                                 .backward = backward,
                                 .define = define,
                                 .sample = sample,
                                 .misuse = misuse };

static weft_var mish(weft_tape *tape, weft_var x)
{
    return weft_apply1(tape, &mish_op, 1, &x, NULL, 0);
}

/* A gradient with an ordinary mistake: the second term is missing. Does the check notice? */
static void forgetful(const weft_call *c)
{
    const weft_tensor *x = &c->in[0], *dy = &c->dout[0], *dx = &c->din[0];
    const int64_t R = weft_rows(x), C = weft_cols(x);
    for (int64_t r = 0; r < R; r++)
        for (int64_t k = 0; k < C; k++) {
            weft_real *out = &dx->real[r * dx->ld + k];
            *out = (c->add[0] ? *out : 0) +
                   tanh(log1p(exp(x->real[r * x->ld + k]))) * dy->real[r * dy->ld + k];
        }
}

static bool check(const weft_op *replace)
{
    weft_gradcheck_report report = { 0 };
    const weft_gradcheck_options options = { .replace = replace };
    if (weft_gradcheck(&mish_op, &options, &report) != WEFT_OK) {
        fprintf(stderr, "%s\n", weft_message());
        exit(EXIT_FAILURE);
    }
    printf("%lld checks on %lld samples, worst relative error %.1e, %lld failed\n",
           (long long)report.n_checks, (long long)report.n_samples, report.worst,
           (long long)report.n_failed);
    if (report.n_failed > 0) printf("  the first: %s\n", report.failure);
    return report.n_checks > 0 && report.n_failed == 0;
}

int main(void)
{
    printf("mish: ");
    const bool right = check(NULL);

    weft_op wrong = mish_op;
    wrong.backward = forgetful;
    printf("mish with a term of its gradient missing: ");
    const bool caught = !check(&wrong);

    weft_tape *tape = weft_tape_new(0);
    for (int i = 0; i < 2; i++, weft_tape_reset(tape)) {
        (void)misuse(tape, i);
        printf("misuse %d: %s\n", i, weft_tape_message(tape));
    }
    weft_tape_free(tape);
    return right && caught ? EXIT_SUCCESS : EXIT_FAILURE;
}
