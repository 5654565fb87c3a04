/* 04_positions.c - the sinusoidal encoding of positions (Vaswani et al. 2017, section 3.5):
 *
 *     PE(p, 2i) = sin(p / 10000^(2i / D)),   PE(p, 2i + 1) = cos(p / 10000^(2i / D))
 *
 * Fill a table of N positions. It is compared with weft_sinusoid. */
#include "coursework.h"

enum { N = 40, D = 12 };

static void positions(weft_real table[N][D])
{
    /* ---- your part ---- */
    memset(table, 0, sizeof(weft_real[N][D]));
    /* ---- end of your part ---- */
}

int main(void)
{
    static weft_real table[N][D];
    int32_t rows[N][2] = { { 0 } };
    for (int32_t p = 0; p < N; p++) rows[p][1] = p;
    weft_tape *tape = weft_tape_new(WEFT_NO_GRAD);
    positions(table);
    const weft_var wanted =
        weft_sinusoid(tape, weft_constant_int(tape, WEFT_DIMS(N, 2), rows[0]), D, NULL);
    const bool solved = same(table[0], weft_value(tape, wanted).real, (int64_t)N * D, D);
    weft_tape_free(tape);
    return verdict(solved,
                   "columns 2i and 2i + 1 have one frequency; position 0 is 0, 1, 0, 1, ...");
}
