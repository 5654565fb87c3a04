/* 06_multi_head.c - several heads from one.
 *
 * Q, K and V [N, H WIDTH] hold the heads side by side: head h is in columns h WIDTH .. (h + 1) WIDTH - 1.
 * Each attends by itself, and the results stand side by side again (Vaswani et al. 2017, section 3.2.2).
 * `one_head` is there; weft_slice(tape, x, 1, from, to) gives columns, weft_concat joins. */
#include "coursework.h"

enum { N = 6, H = 3, WIDTH = 4 };

static weft_var one_head(weft_tape *tape, weft_var q, weft_var k, weft_var v)
{
    const double width = (double)weft_shape(tape, q).dim[1];
    const weft_var scores = weft_matmul_t(tape, q, false, k, true);
    return weft_matmul(tape, weft_softmax(tape, weft_scale(tape, scores, 1 / sqrt(width))), v);
}

static weft_var multi_head(weft_tape *tape, weft_var q, weft_var k, weft_var v)
{
    /* ---- your part: this is one wide head ---- */
    return one_head(tape, q, k, v);
    /* ---- end of your part ---- */
}

int main(void)
{
    weft_tape *tape = weft_tape_new(0);
    const weft_var q = draw(tape, 1, N, (int64_t)H * WIDTH),
                   k = draw(tape, 2, N, (int64_t)H * WIDTH),
                   v = draw(tape, 3, N, (int64_t)H * WIDTH);
    const bool solved =
        same_values(tape, multi_head(tape, q, k, v),
                    weft_attention(tape, q, k, v, &(weft_attention_spec){ .heads = H }));
    weft_tape_free(tape);
    return verdict(solved, "each head has a softmax of its own, and a scale of its own width");
}
