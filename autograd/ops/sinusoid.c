/**
 * weft_sinusoid - sines and cosines of positions: the encoding of Vaswani et al. 2017, section 3.5, and
 * the angles of rotary positions (weft_rotary).
 *
 *     y[n, 2i] = m sin(p w_i),   y[n, 2i+1] = m cos(p w_i),   p = rows[n, 1],   w_i = base^(-2i/D)
 *
 * or, with `halves`, y[n, i] = sin(p w_i) and y[n, D/2 + i] = cos(p w_i) with w_i = base^(-i/(D/2 - 1)),
 * as tensor2tensor and fairseq have it. m is 1 but for YaRN. Scalings by s serve rotary positions
 * beyond those of the training:
 *
 *     linear   w_i / s (position interpolation, Chen et al. 2023)
 *     NTK      base s^(D/(D-2)) for base: the highest frequency stays, the lowest is that of linear
 *     dynamic  NTK with s = max(1, n / length) for each sentence of n tokens
 *     YaRN     w_i for pairs that turn at least 32 times within `length`, w_i / s for those that turn
 *              less than once, between them a ramp over i; m = 0.1 ln s + 1 (Peng et al. 2023,
 *              sections 3.2 to 3.4, with the ramp as their program has it)
 *
 * @param rows  int32 [N, 2]: sentence and position (>= 0) of each row. Rows of one sentence whose
 *              positions rise by one are one text: the dynamic n is its last position + 1
 * @param D     >= 1; even for `halves` and with a scaling
 * @param spec  halves, base, scaling, factor s, length; NULL: all zero, the paper's
 * @return      [N, D]; a constant: there is nothing to differentiate
 *
 * Errors       WEFT_ERR_SHAPE  rows or D;  WEFT_ERR_RANGE  a negative position, numbers of the spec
 */
#include "autograd/ops_internal.h"

#include <math.h>
#include <string.h>

typedef struct sinusoid_attr {
    int64_t D;
    weft_sinusoid_spec spec; /* without zeros that mean something else */
} sinusoid_attr;

/* Most sentences are shorter than this: their rows are copied from a table made once a call. */
enum { TABLE = 256 };

static bool check_spec(const weft_call *c, const sinusoid_attr *a)
{
    const weft_sinusoid_spec *s = &a->spec;
    if (a->D < 1) return weft_fail(c, WEFT_ERR_SHAPE, "D is %lld", (long long)a->D);
    if (a->D % 2 != 0 && (s->halves || s->scaling != WEFT_UNSCALED))
        return weft_fail(c, WEFT_ERR_SHAPE, "D is %lld: it must be even", (long long)a->D);
    if (!(s->base > 1) || !isfinite(s->base))
        return weft_fail(c, WEFT_ERR_RANGE, "base is %g: it must be above 1", s->base);
    if (s->halves && s->scaling != WEFT_UNSCALED)
        return weft_fail(c, WEFT_ERR_RANGE, "halves have no scaling");
    if (!(s->factor >= 1) || !isfinite(s->factor))
        return weft_fail(c, WEFT_ERR_RANGE, "factor is %g: it must be at least 1", s->factor);
    if ((s->scaling == WEFT_SCALE_NTK || s->scaling == WEFT_SCALE_DYNAMIC) && a->D < 4)
        return weft_fail(c, WEFT_ERR_SHAPE, "D is %lld: NTK needs two frequencies",
                         (long long)a->D);
    if ((s->scaling == WEFT_SCALE_DYNAMIC || s->scaling == WEFT_SCALE_YARN) && s->length < 1)
        return weft_fail(c, WEFT_ERR_RANGE, "length is %lld: it must be positive",
                         (long long)s->length);
    return true;
}

static bool infer(weft_call *c)
{
    const sinusoid_attr *a = c->attr;
    const weft_tensor *rows = &c->in[0];
    if (rows->rank != 2 || rows->dim[1] != 2)
        return weft_fail(c, WEFT_ERR_SHAPE, "rows must be [N, 2]: sentence and position");
    if (!check_spec(c, a)) return false;
    for (int64_t n = 0; !weft_call_is_dry(c) && n < rows->dim[0]; n++)
        if (rows->i32[n * rows->ld + 1] < 0)
            return weft_fail(c, WEFT_ERR_RANGE, "position %d of row %lld is negative",
                             rows->i32[n * rows->ld + 1], (long long)n);
    if (!weft_out(c, 0, WEFT_REAL, 2, (int64_t[]){ rows->dim[0], a->D })) return false;
    c->scratch_bytes = (size_t)a->D * (sizeof(double) + TABLE * sizeof(weft_real)) +
                       (size_t)rows->dim[0] * sizeof(int64_t);
    return true;
}

/* Where among the pairs of an encoding D wide the one stands that turns `turns` times in `length`. */
static double pair_that_turns(const sinusoid_attr *a, double turns)
{
    const double tau = 6.283185307179586;
    return (double)a->D * log((double)a->spec.length / (turns * tau)) / (2 * log(a->spec.base));
}

/* w_i for the factor s. */
static double frequency(const sinusoid_attr *a, double s, int64_t i)
{
    const weft_sinusoid_spec *spec = &a->spec;
    const double D = (double)a->D;
    if (spec->halves) return pow(spec->base, -(double)i / fmax(D / 2 - 1, 1));
    const double exponent = -2 * (double)i / D, plain = pow(spec->base, exponent);
    switch (spec->scaling) {
    case WEFT_UNSCALED: break;
    case WEFT_SCALE_LINEAR: return plain / s;
    case WEFT_SCALE_NTK:
    case WEFT_SCALE_DYNAMIC: return pow(spec->base * pow(s, D / (D - 2)), exponent);
    case WEFT_SCALE_YARN: {
        const double low = fmax(floor(pair_that_turns(a, 32)), 0);
        const double high = fmin(ceil(pair_that_turns(a, 1)), D - 1);
        const double ramp = ((double)i - low) / (high > low ? high - low : 0.001);
        const double slowed = fmin(fmax(ramp, 0), 1);
        return plain * (1 - slowed) + plain / s * slowed;
    }
    }
    return plain;
}

/* The row of position p, with the frequencies given or, where NULL, those for the factor s. */
static void encode(const sinusoid_attr *a, int64_t p, const double *w, double s, weft_real *row)
{
    const int64_t D = a->D, n = (D + 1) / 2;
    const double m = a->spec.scaling == WEFT_SCALE_YARN ? 0.1 * log(s) + 1 : 1;
    const int64_t step = a->spec.halves ? 1 : 2, to_cosine = a->spec.halves ? D / 2 : 1;
    for (int64_t i = 0; i < n; i++) {
        const double angle = (double)p * (w ? w[i] : frequency(a, s, i));
        row[i * step] = (weft_real)(m * sin(angle));
        if (i * step + to_cosine < D) row[i * step + to_cosine] = (weft_real)(m * cos(angle));
    }
}

static int64_t position(const weft_tensor *rows, int64_t n) { return rows->i32[n * rows->ld + 1]; }

/* n_tokens[n]: of the text that row n belongs to. */
static void count_tokens(const weft_tensor *rows, int64_t n_tokens[])
{
    const int64_t N = rows->dim[0];
    for (int64_t n = N - 1; n >= 0; n--) {
        const bool goes_on = n + 1 < N &&
                             rows->i32[(n + 1) * rows->ld] == rows->i32[n * rows->ld] &&
                             position(rows, n + 1) == position(rows, n) + 1;
        n_tokens[n] = goes_on ? n_tokens[n + 1] : position(rows, n) + 1;
    }
}

static void forward(const weft_call *c)
{
    const sinusoid_attr *a = c->attr;
    const weft_tensor *rows = &c->in[0];
    const int64_t D = a->D, N = rows->dim[0], reach = a->spec.length;
    const bool dynamic = a->spec.scaling == WEFT_SCALE_DYNAMIC;
    const double s = dynamic ? 1 : a->spec.factor;
    double *w = c->scratch;
    int64_t *n_tokens = (void *)(w + D);
    weft_real *table = (void *)(n_tokens + N);
    int64_t longest = 0; /* rows of the table that are needed */
    for (int64_t n = 0; n < N; n++)
        if (position(rows, n) < TABLE && position(rows, n) >= longest)
            longest = position(rows, n) + 1;
    if (dynamic) count_tokens(rows, n_tokens);
    for (int64_t i = 0; 2 * i < D; i++) w[i] = frequency(a, s, i);
#pragma omp parallel for schedule(static) num_threads(weft_team(longest, 64 * longest * D))
    for (int64_t p = 0; p < longest; p++) encode(a, p, w, s, table + p * D);
#pragma omp parallel for schedule(static) num_threads(weft_team(N, N *D))
    for (int64_t n = 0; n < N; n++) {
        const int64_t p = position(rows, n);
        weft_real *y = c->out[0].real + n * D;
        if (dynamic && n_tokens[n] > reach)
            encode(a, p, NULL, (double)n_tokens[n] / (double)reach, y);
        else if (p < TABLE)
            memcpy(y, table + p * D, (size_t)D * sizeof *y);
        else
            encode(a, p, w, s, y);
    }
}

static weft_var scaled_sample(weft_tape *t, int i)
{
    static const weft_sinusoid_spec specs[] = {
        { .halves = true },
        { .base = 500 },
        { .scaling = WEFT_SCALE_LINEAR, .factor = 4 },
        { .scaling = WEFT_SCALE_NTK, .factor = 4 },
        { .scaling = WEFT_SCALE_DYNAMIC, .length = 3 },
        { .scaling = WEFT_SCALE_YARN, .factor = 8, .length = 256 },
    };
    static const int32_t rows[] = { 5, 0, 5, 1, 5, 2, 5, 3, 5, 0, 6, 1, 6, 2, 6, 900 };
    if (i >= (int)(sizeof specs / sizeof *specs)) return WEFT_NIL;
    return weft_sinusoid(t, weft_constant_int(t, WEFT_DIMS(8, 2), rows), 16, &specs[i]);
}

static weft_var sample(weft_tape *t, int i)
{
    static const int64_t N[] = { 1, 5, 3, 2, 4, 1, 7, 2, 33, 3 };
    static const int64_t D[] = { 1, 4, 7, 128, 2, 3, 6, 16, 5, 8 };
    static const int32_t high[] = { 1, 5, 300, 9, 100000, 257, 2, 256, 40, 1 };
    if (i >= 10) return scaled_sample(t, i - 10);
    return weft_sinusoid(t, weft_sample_int(t, 0, high[i], WEFT_DIMS(N[i], 2)), D[i], NULL);
}

static weft_var misuse(weft_tape *t, int i)
{
    static const struct {
        int64_t D;
        weft_sinusoid_spec spec;
    } wrong[] = {
        { 5, { .halves = true } },
        { 5, { .scaling = WEFT_SCALE_LINEAR } },
        { 4, { .base = 1 } },
        { 4, { .halves = true, .scaling = WEFT_SCALE_LINEAR } },
        { 4, { .scaling = WEFT_SCALE_LINEAR, .factor = 0.5 } },
        { 2, { .scaling = WEFT_SCALE_NTK } },
        { 4, { .scaling = WEFT_SCALE_DYNAMIC } },
        { 4, { .scaling = WEFT_SCALE_YARN } },
    };
    const weft_var rows = weft_sample_int(t, 0, 3, WEFT_DIMS(4, 2));
    switch (i) {
    case 0: return weft_sinusoid(t, weft_sample_int(t, 0, 3, WEFT_DIMS(4)), 4, NULL);
    case 1: return weft_sinusoid(t, rows, 0, NULL);
    case 2: return weft_sinusoid(t, weft_sample_int(t, -3, -1, WEFT_DIMS(4, 2)), 4, NULL);
    case 3: return weft_sinusoid(t, weft_sample_normal(t, WEFT_DIMS(4, 2)), 4, NULL);
    default:
        if (i - 4 >= (int)(sizeof wrong / sizeof *wrong)) return WEFT_NIL;
        return weft_sinusoid(t, rows, wrong[i - 4].D, &wrong[i - 4].spec);
    }
}

const weft_op weft_op_sinusoid = { .name = "sinusoid",
                                   .inputs = "rows",
                                   .n_in = 1,
                                   .integer = 1,
                                   .strided = 1,
                                   .infer = infer,
                                   .forward = forward,
                                   .sample = sample,
                                   .misuse = misuse };

weft_var weft_sinusoid(weft_tape *tape, weft_var rows, int64_t D, const weft_sinusoid_spec *spec)
{
    sinusoid_attr attr = { .D = D };
    if (spec) attr.spec = *spec;
    if (attr.spec.base == 0) attr.spec.base = 10000;
    if (attr.spec.factor == 0) attr.spec.factor = 1;
    return weft_apply1(tape, &weft_op_sinusoid, 1, &rows, &attr, sizeof attr);
}
