/* gradcheck_difference.c - the derivative of a recorded function along a direction, by differences.
 *
 * Ridders (1982, Accurate computation of F'(x) and F'(x) F''(x)): central differences of halved
 * steps, extrapolated to step 0 in a tableau, of which the entry of least estimated error counts. So
 * the step need not be known: where it is too large (curvature, a kink or the end of a domain near
 * by) the entries disagree, where it is too small they are noise. */
#include "autograd/gradcheck_internal.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { LEVELS = 30, WIDTH = 6 };
static const double epsilon = sizeof(weft_real) == 4 ? FLT_EPSILON : DBL_EPSILON;

void weft_difference_begin(weft_difference *d)
{
    const int64_t n = weft_size(&d->x);
    double squares = 0;
    for (int64_t k = 0; k < n; k++) squares += (double)d->x.real[k] * (double)d->x.real[k];
    const double size = n > 0 ? sqrt(squares / (double)n) : 0;
    /* Large values: between a step that rounding of x allows and one that unit scales need. */
    d->scale = size == 0 ? 1 : size > 1 ? sqrt(size) : size;
    memcpy(d->room, d->x.real, (size_t)n * sizeof *d->room);
}

/* Set x to x0 + step v and compute; y goes to `to`. */
static bool compute(weft_difference *d, double step, weft_real *to)
{
    const int64_t n = weft_size(&d->x);
    for (int64_t k = 0; k < n; k++)
        d->x.real[k] = (weft_real)((double)d->room[k] + step * (double)d->v[k]);
    if (weft_replay_changed(d->tape, &d->x) != WEFT_OK) return false;
    for (int j = 0; j < d->n; j++) {
        const weft_tensor y = weft_value(d->tape, d->y[j]);
        const int64_t R = weft_rows(&y), C = weft_cols(&y);
        for (int64_t r = 0; r < R; r++, to += C)
            memcpy(to, y.real + r * y.ld, (size_t)C * sizeof *to);
    }
    return true;
}

static int64_t size_of(const weft_difference *d)
{
    int64_t size = 0;
    for (int j = 0; j < d->n; j++) {
        const weft_tensor y = weft_shape(d->tape, d->y[j]);
        size += weft_size(&y);
    }
    return size;
}

/* (f(x + a v) - f(x + b v)) / (a - b), differences taken before anything is summed, and what
 * rounding of the y leaves unsure about it. */
static double quotient(weft_difference *d, double a, double b, double *rounding)
{
    const int64_t size = size_of(d);
    weft_real *at_a = d->room + weft_size(&d->x), *at_b = at_a + size;
    if (!compute(d, a, at_a) || !compute(d, b, at_b)) return NAN;
    double sum = 0, squares = 0;
    for (int64_t k = 0; k < size; k++) {
        sum += (double)d->w[k] * ((double)at_a[k] - (double)at_b[k]);
        squares += pow((double)d->w[k] * (double)at_a[k], 2);
    }
    *rounding = epsilon * sqrt(squares) / fabs(a - b);
    return sum / (a - b);
}

double weft_difference_central(weft_difference *d, double goal)
{
    double h = d->first > 0 ? d->first : 0.1 * d->scale, row[WIDTH], above[WIDTH], least = INFINITY,
           answer = NAN, rounding = 0;
    int width = 0;
    for (int level = 0; level < LEVELS && least > goal && least > rounding; level++, h /= 2) {
        row[0] = quotient(d, h, -h, &rounding);
        if (!isfinite(row[0])) {
            width = 0;
            rounding = 0;
            continue;
        }
        double factor = 1;
        for (int j = 1; j <= width && j < WIDTH; j++) {
            factor *= 4; /* central differences have even powers of h alone */
            row[j] = row[j - 1] + (row[j - 1] - above[j - 1]) / (factor - 1);
            const double error =
                fmax(rounding, fmax(fabs(row[j] - row[j - 1]), fabs(row[j] - above[j - 1])));
            if (error > least) continue;
            least = error;
            answer = row[j];
        }
        if (width < WIDTH) width++;
        memcpy(above, row, sizeof above);
    }
    return answer;
}

void weft_difference_sides(weft_difference *d, double side[2])
{
    for (int i = 0; i < 2; i++) {
        const double h = (i ? 1e-4 : -1e-4) * (sizeof(weft_real) == 4 ? 100 : 1) * d->scale;
        double unsure;
        const double half = quotient(d, h / 2, 0, &unsure), whole = quotient(d, h, 0, &unsure);
        side[i] = 2 * half - whole;
    }
}

void weft_difference_end(weft_difference *d)
{
    memcpy(d->x.real, d->room, (size_t)weft_size(&d->x) * sizeof *d->room);
    if (weft_replay_changed(d->tape, &d->x) != WEFT_OK) return; /* the tape keeps its failure */
}
