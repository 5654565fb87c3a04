/* test_positions.c - what encodings of positions promise: rotary scores by distance alone, lengths kept,
 * scalings with their end points (Su et al. 2021; Chen et al. 2023; Peng et al. 2023), and the two
 * sinusoids. Operations and their gradients are in test_ops.c. */
#include "check_main.h"

#include "autograd/autograd.h"

#include <math.h>
#include <string.h>

enum { K = 16, MOST = 64 };

static const double close_enough = sizeof(weft_real) == sizeof(double) ? 1e-12 : 2e-4;
static weft_tape *tape;

static void open_tape(void)
{
    tape = weft_tape_new(WEFT_NO_GRAD);
    ck_assert_ptr_nonnull(tape);
}

static void close_tape(void) { weft_tape_free(tape); }

/* Rows of one text at n positions from `first` on. */
static weft_var rows_from(int32_t first, int n)
{
    int32_t rows[2 * MOST];
    for (int i = 0; i < n; i++) {
        rows[2 * i] = 3;
        rows[2 * i + 1] = first + i;
    }
    return weft_constant_int(tape, WEFT_DIMS(n, 2), rows);
}

static weft_tensor value(weft_var x)
{
    const weft_tensor t = weft_value(tape, x);
    ck_assert_msg(t.data != NULL, "%s", weft_tape_message(tape));
    return t;
}

static weft_tensor angles_at(int32_t first, int n, int64_t D, const weft_sinusoid_spec *spec)
{
    return value(weft_sinusoid(tape, rows_from(first, n), D, spec));
}

/* The angular frequencies, from the angles of position 1 (all below pi). */
static void frequencies(const weft_sinusoid_spec *spec, int64_t D, double w[])
{
    const weft_tensor a = angles_at(1, 1, D, spec);
    for (int64_t i = 0; i < D / 2; i++)
        w[i] = atan2((double)a.real[2 * i], (double)a.real[2 * i + 1]);
}

static const weft_sinusoid_spec specs[] = {
    { 0 },
    { .base = 500 },
    { .scaling = WEFT_SCALE_LINEAR, .factor = 4 },
    { .scaling = WEFT_SCALE_NTK, .factor = 4 },
    { .scaling = WEFT_SCALE_YARN, .factor = 4, .length = 128 },
};
enum { N_SPECS = sizeof specs / sizeof *specs };

/* n rows of two heads, the same numbers at every call. */
static weft_var vectors(int n, int salt)
{
    weft_real x[MOST * 2 * K];
    for (int i = 0; i < n * 2 * K; i++) x[i] = (weft_real)sin(1.3 * i + salt);
    return weft_constant(tape, WEFT_DIMS(n, 2 * K), x);
}

static weft_tensor turned(int n, int salt, int32_t first, const weft_sinusoid_spec *spec,
                          bool halves)
{
    const weft_var angles = weft_sinusoid(tape, rows_from(first, n), K, spec);
    return value(weft_rotary(tape, vectors(n, salt), angles, halves));
}

static double dot(const weft_real *a, const weft_real *b)
{
    double s = 0;
    for (int i = 0; i < K; i++) s += (double)a[i] * (double)b[i];
    return s;
}

/* Queries and keys 1000 positions further on give the same scores. */
START_TEST(scores_depend_on_the_distance)
{
    enum { N = 9 };
    const weft_sinusoid_spec *spec = &specs[_i / 2];
    const bool halves = _i % 2 == 1;
    double near[N][N][2], change = 0;
    for (int far = 0; far < 2; far++) {
        weft_tape_reset(tape);
        const int32_t first = far ? 1000 : 0;
        const weft_tensor q = turned(N, 1, first, spec, halves),
                          k = turned(N, 2, first, spec, halves);
        for (int i = 0; i < N; i++)
            for (int j = 0; j < N; j++)
                for (int h = 0; h < 2; h++) {
                    const double s = dot(q.real + i * q.ld + h * K, k.real + j * k.ld + h * K);
                    if (!far) near[i][j][h] = s;
                    ck_assert_double_le(fabs(s - near[i][j][h]), close_enough * K);
                    change = fmax(change, fabs(s - near[0][0][h]));
                }
    }
    ck_assert_double_gt(change, 0.1);
}
END_TEST

START_TEST(turning_keeps_lengths_and_position_0)
{
    const bool halves = _i == 1;
    const weft_tensor x = value(vectors(MOST, 1)), y = turned(MOST, 1, 0, NULL, halves);
    for (int n = 0; n < MOST; n++) {
        const weft_real *a = x.real + n * x.ld, *b = y.real + n * y.ld;
        ck_assert_double_le(fabs(dot(a, a) - dot(b, b)), close_enough * K);
    }
    ck_assert_int_eq(memcmp(x.real, y.real, 2 * K * sizeof *x.real), 0);
    ck_assert_int_ne(memcmp(x.real + x.ld, y.real + y.ld, 2 * K * sizeof *x.real), 0);
}
END_TEST

/* Channel 2i of the interleaved layout is i of the halves, 2i + 1 is i + K/2. */
START_TEST(layouts_differ_in_order_only)
{
    const weft_tensor x = value(vectors(MOST, 1)), inter = turned(MOST, 1, 0, NULL, false);
    weft_real permuted[MOST * 2 * K];
    for (int n = 0; n < MOST; n++)
        for (int h = 0; h < 2; h++)
            for (int c = 0; c < K; c++)
                permuted[(n * 2 + h) * K + c / 2 + c % 2 * (K / 2)] = x.real[n * x.ld + h * K + c];
    const weft_var rows = rows_from(0, MOST);
    const weft_tensor half =
        value(weft_rotary(tape, weft_constant(tape, WEFT_DIMS(MOST, 2 * K), permuted),
                          weft_sinusoid(tape, rows, K, NULL), true));
    for (int n = 0; n < MOST; n++)
        for (int h = 0; h < 2; h++)
            for (int c = 0; c < K; c++)
                ck_assert_double_le(
                    fabs((double)half.real[n * half.ld + h * K + c / 2 + c % 2 * (K / 2)] -
                         (double)inter.real[n * inter.ld + h * K + c]),
                    sizeof(weft_real) == sizeof(double) ? 1e-15 : 1e-6);
}
END_TEST

START_TEST(backward_turns_back)
{
    weft_tape *records = weft_tape_new(WEFT_RETAIN);
    ck_assert_ptr_nonnull(records);
    weft_real data[MOST * 2 * K];
    int32_t rows[2 * MOST];
    for (int i = 0; i < MOST * 2 * K; i++) data[i] = (weft_real)cos(0.7 * i);
    for (int i = 0; i < MOST; i++) rows[2 * i] = 0, rows[2 * i + 1] = 5 * i;
    const weft_var x = weft_leaf(records, WEFT_DIMS(MOST, 2 * K), data);
    const weft_var at = weft_constant_int(records, WEFT_DIMS(MOST, 2), rows);
    const weft_var y = weft_rotary(records, x, weft_sinusoid(records, at, K, NULL), _i == 1);
    /* The gradient of <y, y turned> is what backward makes of y: x again. */
    ck_assert_int_eq(weft_backward(records, y, weft_value(records, y).real), WEFT_OK);
    const weft_real *dx = weft_gradient(records, x).real;
    for (int i = 0; i < MOST * 2 * K; i++)
        ck_assert_double_le(fabs((double)dx[i] - (double)data[i]), close_enough);
    weft_tape_free(records);
}
END_TEST

START_TEST(a_factor_of_one_scales_nothing)
{
    static const weft_sinusoid_spec ones[] = {
        { .scaling = WEFT_SCALE_LINEAR },
        { .scaling = WEFT_SCALE_NTK, .factor = 1 },
        { .scaling = WEFT_SCALE_DYNAMIC, .length = 20 },
        { .scaling = WEFT_SCALE_YARN, .factor = 1, .length = 20 },
    };
    const weft_tensor plain = angles_at(0, 20, K, NULL), one = angles_at(0, 20, K, &ones[_i]);
    for (int i = 0; i < 20 * K; i++)
        ck_assert_double_le(fabs((double)plain.real[i] - (double)one.real[i]), close_enough);
}
END_TEST

START_TEST(scalings_have_their_end_points)
{
    enum { D = 64, LAST = D / 2 - 1 };
    const double s = 8, eps = close_enough;
    double plain[D / 2], linear[D / 2], ntk[D / 2], yarn[D / 2];
    frequencies(NULL, D, plain);
    frequencies(&(weft_sinusoid_spec){ .scaling = WEFT_SCALE_LINEAR, .factor = s }, D, linear);
    frequencies(&(weft_sinusoid_spec){ .scaling = WEFT_SCALE_NTK, .factor = s }, D, ntk);
    frequencies(&(weft_sinusoid_spec){ .scaling = WEFT_SCALE_YARN, .factor = s, .length = 1024 }, D,
                yarn);
    for (int i = 0; i < D / 2; i++) {
        const double turns = 1024 * pow(10000, -2.0 * i / D) / 6.283185307179586;
        ck_assert_double_le(fabs(plain[i] - pow(10000, -2.0 * i / D)), eps);
        ck_assert_double_le(fabs(linear[i] - plain[i] / s), eps);
        ck_assert(ntk[i] <= plain[i] + eps && ntk[i] >= linear[i] - eps);
        ck_assert(yarn[i] <= plain[i] + eps && yarn[i] >= linear[i] - eps);
        if (turns > 40) ck_assert_double_le(fabs(yarn[i] - plain[i]), eps);
        if (turns < 0.7) ck_assert_double_le(fabs(yarn[i] - linear[i]), eps);
        if (turns > 2 && turns < 16)
            ck_assert(yarn[i] < 0.999 * plain[i] && yarn[i] > 1.001 * linear[i]);
    }
    ck_assert_double_le(fabs(ntk[0] - plain[0]), eps);                  /* highest: unchanged */
    ck_assert_double_le(fabs(ntk[LAST] / linear[LAST] - 1), 100 * eps); /* lowest: interpolated */
    const weft_tensor m = angles_at(
        0, 1, D, &(weft_sinusoid_spec){ .scaling = WEFT_SCALE_YARN, .factor = s, .length = 9 });
    ck_assert_double_le(fabs((double)m.real[1] - (0.1 * log(s) + 1)), 1e-6);
}
END_TEST

/* Texts up to `length` are left alone; a longer one has NTK's frequencies for its own length. */
START_TEST(dynamic_goes_by_the_text)
{
    enum { SHORT = 10, LONG = 40 };
    int32_t rows[2 * (SHORT + LONG)];
    for (int i = 0; i < SHORT + LONG; i++) {
        rows[2 * i] = i < SHORT ? 7 : 8;
        rows[2 * i + 1] = i < SHORT ? i : i - SHORT;
    }
    const weft_sinusoid_spec dynamic = { .scaling = WEFT_SCALE_DYNAMIC, .length = 16 };
    const weft_sinusoid_spec ntk = { .scaling = WEFT_SCALE_NTK, .factor = LONG / 16.0 };
    const weft_var at = weft_constant_int(tape, WEFT_DIMS(SHORT + LONG, 2), rows);
    const weft_tensor both = value(weft_sinusoid(tape, at, K, &dynamic));
    const weft_tensor plain = angles_at(0, SHORT, K, NULL), grown = angles_at(0, LONG, K, &ntk);
    const size_t row_bytes = K * sizeof(weft_real);
    ck_assert_int_eq(memcmp(both.real, plain.real, SHORT * row_bytes), 0);
    ck_assert_int_eq(memcmp(both.real + SHORT * K, grown.real, LONG * row_bytes), 0);
    /* a step: the last row alone knows how long the text is by its position */
    const weft_tensor last = angles_at(LONG - 1, 1, K, &dynamic);
    ck_assert_int_eq(memcmp(last.real, grown.real + (LONG - 1) * K, row_bytes), 0);
}
END_TEST

/* ---- sinusoids that are added -------------------------------------------------------------------- */

START_TEST(sinusoid_has_the_papers_values)
{
    const weft_tensor y = angles_at(0, MOST, K, NULL);
    for (int p = 0; p < MOST; p++)
        for (int i = 0; i < K / 2; i++) {
            const double angle = p / pow(10000, 2.0 * i / K);
            ck_assert_double_le(fabs((double)y.real[p * K + 2 * i] - sin(angle)), close_enough);
            ck_assert_double_le(fabs((double)y.real[p * K + 2 * i + 1] - cos(angle)), close_enough);
        }
    /* the product of two rows depends on their distance alone */
    ck_assert_double_le(
        fabs(dot(y.real + 3 * K, y.real + 7 * K) - dot(y.real + 40 * K, y.real + 44 * K)),
        K * close_enough);
}
END_TEST

/* PE(p + k) = R_k PE(p), with R_k of 2 x 2 rotations that do not depend on p (Vaswani et al. 2017, section
 * 3.5). */
START_TEST(a_step_is_a_rotation)
{
    const weft_tensor y = angles_at(0, MOST, K, NULL);
    for (int k = 0; k < MOST; k += 7)
        for (int p = 0; p + k < MOST; p++)
            for (int i = 0; i < K / 2; i++) {
                const double angle = k / pow(10000, 2.0 * i / K);
                const double s = (double)y.real[p * K + 2 * i],
                             c = (double)y.real[p * K + 2 * i + 1];
                const weft_real *far = y.real + (p + k) * K + 2 * i;
                ck_assert_double_le(fabs((double)far[0] - s * cos(angle) - c * sin(angle)),
                                    2 * close_enough);
                ck_assert_double_le(fabs((double)far[1] + s * sin(angle) - c * cos(angle)),
                                    2 * close_enough);
            }
}
END_TEST

START_TEST(halves_are_those_of_tensor2tensor)
{
    const weft_tensor y = angles_at(0, MOST, K, &(weft_sinusoid_spec){ .halves = true });
    for (int p = 0; p < MOST; p++)
        for (int i = 0; i < K / 2; i++) {
            const double angle = p * exp(-i * log(10000) / (K / 2 - 1));
            ck_assert_double_le(fabs((double)y.real[p * K + i] - sin(angle)), close_enough);
            ck_assert_double_le(fabs((double)y.real[p * K + K / 2 + i] - cos(angle)), close_enough);
        }
    const weft_tensor two = angles_at(5, 1, 2, &(weft_sinusoid_spec){ .halves = true });
    ck_assert_double_le(fabs((double)two.real[0] - sin(5)), close_enough);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("positions");
    TCase *rotary = tcase_create("rotary");
    tcase_add_checked_fixture(rotary, open_tape, close_tape);
    tcase_add_loop_test(rotary, scores_depend_on_the_distance, 0, 2 * N_SPECS);
    tcase_add_loop_test(rotary, turning_keeps_lengths_and_position_0, 0, 2);
    tcase_add_test(rotary, layouts_differ_in_order_only);
    tcase_add_loop_test(rotary, backward_turns_back, 0, 2);
    suite_add_tcase(suite, rotary);
    TCase *scaling = tcase_create("scaling");
    tcase_add_checked_fixture(scaling, open_tape, close_tape);
    tcase_add_loop_test(scaling, a_factor_of_one_scales_nothing, 0, 4);
    tcase_add_test(scaling, scalings_have_their_end_points);
    tcase_add_test(scaling, dynamic_goes_by_the_text);
    suite_add_tcase(suite, scaling);
    TCase *sinusoid = tcase_create("sinusoid");
    tcase_add_checked_fixture(sinusoid, open_tape, close_tape);
    tcase_add_test(sinusoid, sinusoid_has_the_papers_values);
    tcase_add_test(sinusoid, a_step_is_a_rotation);
    tcase_add_test(sinusoid, halves_are_those_of_tensor2tensor);
    suite_add_tcase(suite, sinusoid);
    return run_suite(suite);
}
