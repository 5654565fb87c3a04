/* 07_rotary.c - rotary positions (Su et al. 2021).
 *
 * The pair (x_2i, x_2i+1) of a query or key at position p is turned by the angle p w_i,
 * w_i = 10000^(-2i / WIDTH). The product of a query at p and a key at s then depends on p - s alone: the
 * check tries that first, and then compares with weft_rotary. */
#include "coursework.h"

enum { WIDTH = 8 };

static void turn(int64_t p, const weft_real x[WIDTH], weft_real y[WIDTH])
{
    /* ---- your part: this adds to the numbers instead ---- */
    for (int i = 0; i < WIDTH; i++) y[i] = x[i] + (weft_real)p;
    /* ---- end of your part ---- */
}

static weft_real score(int64_t p, int64_t s, const weft_real *q, const weft_real *k)
{
    weft_real a[WIDTH], b[WIDTH], sum = 0;
    turn(p, q, a);
    turn(s, k, b);
    for (int i = 0; i < WIDTH; i++) sum += a[i] * b[i];
    return sum;
}

static bool depends_on_distance(const weft_real *q, const weft_real *k)
{
    for (int64_t far = 0; far < 1000; far += 100) {
        const int64_t p = 5 + far, s = 2 + far;
        const weft_real here = score(5, 2, q, k), there = score(p, s, q, k);
        if (fabs(here - there) < 1e-9) continue;
        printf("positions 5 and 2 score %g, positions %lld and %lld %g\n", here, (long long)p,
               (long long)s, there);
        return false;
    }
    return true;
}

int main(void)
{
    weft_tape *tape = weft_tape_new(0);
    const weft_var x = draw(tape, 1, 2, WIDTH);
    const weft_real *values = weft_value(tape, x).real;
    const int32_t rows[] = { 0, 3, 0, 11 };
    const weft_var angles =
        weft_sinusoid(tape, weft_constant_int(tape, WEFT_DIMS(2, 2), rows), WIDTH, NULL);
    weft_real turned[2 * WIDTH];
    turn(3, values, turned);
    turn(11, values + WIDTH, turned + WIDTH);
    const bool solved =
        depends_on_distance(values, values + WIDTH) &&
        same(turned, weft_value(tape, weft_rotary(tape, x, angles, false)).real, 2 * WIDTH, WIDTH);
    weft_tape_free(tape);
    return verdict(solved, "a turn by t takes (a, b) to (a cos t - b sin t, a sin t + b cos t)");
}
