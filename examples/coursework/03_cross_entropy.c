/* 03_cross_entropy.c - the gradient of softmax and cross-entropy together.
 *
 *     loss_r = -log softmax(x_r)[t_r]      for each row r of logits x [R, V], target t_r
 *
 * Taken together the two have a gradient by the logits that is simpler than that of either. Here the
 * target of row r is r mod V. */
#include "coursework.h"

static weft_var loss(weft_tape *tape, weft_var x);

static bool infer(weft_call *c)
{
    c->backward_scratch_bytes = (size_t)weft_cols(&c->in[0]) * sizeof(weft_real);
    return weft_out(c, 0, WEFT_REAL, WEFT_DIMS(weft_rows(&c->in[0])));
}

static weft_real log_sum_exp(int64_t V, const weft_real *x)
{
    weft_real max = x[0];
    for (int64_t k = 1; k < V; k++) max = fmax(max, x[k]);
    weft_real sum = exp(x[0] - max);
    for (int64_t k = 1; k < V; k++) sum += exp(x[k] - max);
    return max + log(sum);
}

static void forward(const weft_call *c)
{
    const int64_t R = weft_rows(&c->in[0]), V = weft_cols(&c->in[0]);
    for (int64_t r = 0; r < R; r++) {
        const weft_real *x = c->in[0].real + r * V;
        c->out[0].real[r] = log_sum_exp(V, x) - x[r % V];
    }
}

/* One row: dx[k] for k = 0 .. V-1, from its logits, its target and dloss, the gradient by its loss. */
static void gradient_of_row(int64_t V, const weft_real *x, int64_t target, weft_real dloss,
                            weft_real *dx)
{
    /* ---- your part ---- */
    (void)x, (void)target, (void)dloss;
    for (int64_t k = 0; k < V; k++) dx[k] = 0;
    /* ---- end of your part ---- */
}

static void backward(const weft_call *c)
{
    const weft_tensor *dx = &c->din[0];
    const int64_t R = weft_rows(dx), V = weft_cols(dx);
    weft_real *row = c->scratch;
    for (int64_t r = 0; r < R; r++) {
        gradient_of_row(V, c->in[0].real + r * V, r % V, c->dout[0].real[r], row);
        for (int64_t k = 0; k < V; k++) {
            weft_real *to = dx->real + r * dx->ld + k;
            *to = (c->add[0] ? *to : 0) + row[k];
        }
    }
}

static void define(weft_rule *r)
{
    weft_tape *t = r->tape;
    const weft_tensor x = weft_shape(t, r->in[0]);
    int32_t targets[16];
    for (int64_t k = 0; k < x.dim[0]; k++) targets[k] = (int32_t)(k % x.dim[1]);
    const weft_var index = weft_constant_int(t, WEFT_DIMS(x.dim[0], 1), targets);
    const weft_var chosen = weft_gather(t, weft_log_softmax(t, r->in[0]), 1, index);
    r->result[0] = weft_neg(t, weft_reshape(t, chosen, WEFT_DIMS(x.dim[0])));
}

static weft_var sample(weft_tape *t, int i)
{
    switch (i) {
    case 0: return loss(t, weft_sample_normal(t, WEFT_DIMS(5, 4)));
    case 1: return loss(t, weft_sample_uniform(t, -4, 4, WEFT_DIMS(3, 9)));
    default: return WEFT_NIL;
    }
}

static const weft_op op = { .name = "my_cross_entropy",
                            .inputs = "x",
                            .n_in = 1,
                            .infer = infer,
                            .forward = forward,
                            .backward = backward,
                            .define = define,
                            .sample = sample };

static weft_var loss(weft_tape *tape, weft_var x) { return weft_apply1(tape, &op, 1, &x, NULL, 0); }

int main(void)
{
    return verdict(gradient_is_right(&op),
                   "what the model says, softmax(x), less what it should say; both sum to 1");
}
