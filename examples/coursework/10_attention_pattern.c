/* 10_attention_pattern.c - an attention pattern of your own: a dilated window, and global tokens.
 *
 * Query p sees key j of a sentence of n tokens when
 *   - they are near: |p - j| is a multiple of GAP and at most REACH gaps, or
 *   - either of the two is one of the first N_GLOBAL tokens (Beltagy et al. 2020).
 * Write the rule; a mask made from it is given to weft_attention and compared with weft's own pattern,
 * in value and in the gradient of the keys. Then change the rule (the last GAP tokens only? every prime
 * distance?) and look at what weft_attention gives: any rule is a mask. */
#include "coursework.h"

enum { N = 20, H = 2, WIDTH = 4, GAP = 3, REACH = 2, N_GLOBAL = 1 };

static bool sees(int p, int j)
{
    /* ---- your part: this is the full pattern ---- */
    (void)p, (void)j;
    return true;
    /* ---- end of your part ---- */
}

/* Attention under a spec, and the gradient of its sum by k. */
static weft_var run(weft_tape *tape, const weft_attention_spec *spec, weft_var *dk)
{
    const weft_var q = draw(tape, 1, N, (int64_t)H * WIDTH),
                   v = draw(tape, 3, N, (int64_t)H * WIDTH);
    const weft_tensor values = weft_value(tape, draw(tape, 2, N, (int64_t)H * WIDTH));
    const weft_var k = weft_leaf(tape, WEFT_DIMS(N, H * WIDTH), values.real);
    const weft_var y = weft_attention(tape, q, k, v, spec);
    const weft_var loss = weft_sum(tape, weft_mul(tape, y, y), WEFT_ALL, false);
    if (weft_grad(tape, loss, WEFT_NIL, 1, &k, dk) != WEFT_OK) printf("%s\n", weft_message());
    return y;
}

int main(void)
{
    static int32_t mask[N][N];
    for (int p = 0; p < N; p++)
        for (int j = 0; j < N; j++) mask[p][j] = sees(p, j);
    weft_tape *tape = weft_tape_new(WEFT_RETAIN);
    const weft_attention_spec yours = { .heads = H,
                                        .mask = weft_constant_int(tape, WEFT_DIMS(N, N), mask[0]) };
    const weft_attention_spec theirs = { .heads = H,
                                         .pattern = { .kind = WEFT_PATTERN_DILATED,
                                                      .window = 2 * REACH + 1,
                                                      .gap = GAP,
                                                      .n_global = N_GLOBAL } };
    weft_var dk[2] = { WEFT_NIL, WEFT_NIL };
    const weft_var a = run(tape, &yours, &dk[0]), b = run(tape, &theirs, &dk[1]);
    const bool solved = same_values(tape, a, b) && same_values(tape, dk[0], dk[1]);
    weft_tape_free(tape);
    return verdict(solved,
                   "token 0 sees all and is seen by all; token 10 sees 4, 7, 10, 13, 16 and 0");
}
