/* 05_causal_attention.c - scaled dot-product attention of one head, with the causal mask:
 *
 *     O = softmax(Q K^T / sqrt(width) + M) V,   M_ij = 0 for j <= i, else -infinity
 *
 * Write it with operations on the tape: weft_matmul_t multiplies by a transposed matrix, weft_softmax
 * works on the last dimension, and a mask is a constant that is added. */
#include "coursework.h"

enum { N = 7, WIDTH = 4 };

/* q, k and v are [N, WIDTH]; so is the result. */
static weft_var attention(weft_tape *tape, weft_var q, weft_var k, weft_var v)
{
    /* ---- your part: this weighs all values alike ---- */
    const weft_var scores = weft_scale(tape, weft_matmul_t(tape, q, false, k, true), 0);
    return weft_matmul(tape, weft_softmax(tape, scores), v);
    /* ---- end of your part ---- */
}

int main(void)
{
    weft_tape *tape = weft_tape_new(0);
    const weft_var q = draw(tape, 1, N, WIDTH), k = draw(tape, 2, N, WIDTH),
                   v = draw(tape, 3, N, WIDTH);
    const weft_attention_spec spec = { .heads = 1, .causal = true };
    const bool solved =
        same_values(tape, attention(tape, q, k, v), weft_attention(tape, q, k, v, &spec));
    weft_tape_free(tape);
    return verdict(solved, "row 0 sees key 0 alone, so its output is the first value");
}
