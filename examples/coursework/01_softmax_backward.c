/* 01_softmax_backward.c - the gradient of softmax.
 *
 *     y_k = e^(x_k) / sum_j e^(x_j)      over each row of x [R, C]
 *
 * Given dy, the gradient by y, write dx, the gradient by x. First on paper: dy_k / dx_j has two cases,
 * k = j and k != j; then the sum over k collapses into one number a row. The check is that of weft
 * itself: finite differences along random directions. */
#include "coursework.h"

static weft_var softmax(weft_tape *tape, weft_var x);

static bool infer(weft_call *c)
{
    c->backward_scratch_bytes = (size_t)weft_cols(&c->in[0]) * sizeof(weft_real);
    return weft_out(c, 0, WEFT_REAL, c->in[0].rank, c->in[0].dim);
}

static void forward(const weft_call *c)
{
    const int64_t R = weft_rows(&c->in[0]), C = weft_cols(&c->in[0]);
    for (int64_t r = 0; r < R; r++) {
        const weft_real *x = c->in[0].real + r * C;
        weft_real *y = c->out[0].real + r * C, max = x[0], sum = 0;
        for (int64_t k = 1; k < C; k++) max = fmax(max, x[k]);
        for (int64_t k = 0; k < C; k++) sum += y[k] = exp(x[k] - max);
        for (int64_t k = 0; k < C; k++) y[k] /= sum;
    }
}

/* One row: dx[k] for k = 0 .. C-1, from y and dy. */
static void gradient_of_row(int64_t C, const weft_real *y, const weft_real *dy, weft_real *dx)
{
    /* ---- your part ---- */
    (void)y, (void)dy;
    for (int64_t k = 0; k < C; k++) dx[k] = 0;
    /* ---- end of your part ---- */
}

static void backward(const weft_call *c)
{
    const weft_tensor *dx = &c->din[0];
    const int64_t R = weft_rows(dx), C = weft_cols(dx);
    weft_real *row = c->scratch;
    for (int64_t r = 0; r < R; r++) {
        gradient_of_row(C, c->out[0].real + r * C, c->dout[0].real + r * C, row);
        for (int64_t k = 0; k < C; k++) {
            weft_real *to = dx->real + r * dx->ld + k;
            *to = (c->add[0] ? *to : 0) + row[k];
        }
    }
}

static void define(weft_rule *r) { r->result[0] = weft_softmax(r->tape, r->in[0]); }

static weft_var sample(weft_tape *t, int i)
{
    switch (i) {
    case 0: return softmax(t, weft_sample_normal(t, WEFT_DIMS(3, 4)));
    case 1: return softmax(t, weft_sample_uniform(t, -5, 5, WEFT_DIMS(2, 7)));
    default: return WEFT_NIL;
    }
}

static const weft_op op = { .name = "my_softmax",
                            .inputs = "x",
                            .n_in = 1,
                            .infer = infer,
                            .forward = forward,
                            .backward = backward,
                            .define = define,
                            .sample = sample };

static weft_var softmax(weft_tape *tape, weft_var x)
{
    return weft_apply1(tape, &op, 1, &x, NULL, 0);
}

int main(void)
{
    return verdict(gradient_is_right(&op),
                   "dx_j is the sum over k of dy_k dy_k/dx_j; a row of dx must sum to 0");
}
