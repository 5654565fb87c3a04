/* 08_lstm_step.c - one step of an LSTM (Hochreiter & Schmidhuber 1997; forget gate: Gers et al. 2000).
 *
 *     i, f, g, o = the four D-wide parts of x + h U^T
 *     c' = sigma(f) c + sigma(i) tanh(g),   h' = sigma(o) tanh(c')
 *
 * x [1, 4 D] is what the token brings, U is [4 D, D], h and c are [1, D]. Five steps of yours are
 * compared with weft_recurrent, which takes all of them at once. */
#include "coursework.h"

enum { T = 5, D = 3 };

static void step(weft_tape *tape, weft_var x, weft_var U, weft_var *h, weft_var *c)
{
    const weft_var z = weft_add(tape, x, weft_matmul_t(tape, *h, false, U, true));
    /* ---- your part: this is a layer that forgets everything ---- */
    *c = weft_slice(tape, z, 1, 0, D);
    *h = weft_tanh(tape, *c);
    /* ---- end of your part ---- */
}

int main(void)
{
    weft_tape *tape = weft_tape_new(0);
    const weft_var x = draw(tape, 1, T, 4 * D), U = draw(tape, 2, 4 * D, D);
    weft_var h = weft_full(tape, WEFT_DIMS(1, D), 0), c = h, states[T];
    for (int t = 0; t < T; t++) {
        step(tape, weft_slice(tape, x, 0, t, t + 1), U, &h, &c);
        states[t] = h;
    }
    const weft_var all =
        weft_recurrent(tape, x, U, WEFT_NIL, &(weft_recurrent_spec){ .cell = WEFT_CELL_LSTM });
    const bool solved =
        same_values(tape, weft_concat(tape, T, states, 0), weft_slice(tape, all, 1, 0, D));
    weft_tape_free(tape);
    return verdict(solved,
                   "the old c stays behind the forget gate; h is what the output gate lets out");
}
