/* recurrent_cell.c - one token of a tanh cell, an LSTM and the two GRUs. */
#include "autograd/recurrent_internal.h"

#include "core/vecmath.h"

int weft_cell_inputs(weft_cell cell)
{
    static const int n[] = {
        [WEFT_CELL_TANH] = 1, [WEFT_CELL_LSTM] = 4, [WEFT_CELL_GRU] = 3, [WEFT_CELL_GRU_BEFORE] = 3
    };
    return n[cell];
}

int weft_cell_state(weft_cell cell) { return cell == WEFT_CELL_LSTM ? 2 : 1; }

/* tanh: nothing, y says it; LSTM i f g o; GRU r z n, and U_n h + b where r gates that. */
int weft_cell_saved(weft_cell cell)
{
    static const int n[] = {
        [WEFT_CELL_TANH] = 0, [WEFT_CELL_LSTM] = 4, [WEFT_CELL_GRU] = 4, [WEFT_CELL_GRU_BEFORE] = 3
    };
    return n[cell];
}

/* ---- forward --------------------------------------------------------------------------------- */

WEFT_KERNEL static void tanh_of_sum(int64_t n, const weft_real *x, const weft_real *p, weft_real *y)
{
#pragma omp simd
    for (int64_t k = 0; k < n; k++) y[k] = real_tanh(x[k] + p[k]);
}

WEFT_KERNEL static void sigmoid_of_sum(int64_t n, const weft_real *x, const weft_real *p,
                                       weft_real *y)
{
#pragma omp simd
    for (int64_t k = 0; k < n; k++) y[k] = real_sigmoid(x[k] + p[k]);
}

WEFT_KERNEL static void lstm_state(int64_t D, const weft_real *gates, const weft_real *prev,
                                   weft_real *y)
{
    const weft_real *i = gates, *f = gates + D, *g = gates + 2 * D, *o = gates + 3 * D;
#pragma omp simd
    for (int64_t k = 0; k < D; k++) {
        const weft_real c = f[k] * prev[D + k] + i[k] * g[k];
        y[D + k] = c;
        y[k] = o[k] * real_tanh(c);
    }
}

WEFT_KERNEL static void gru_candidate(int64_t D, const weft_real *x, const weft_real *r,
                                      const weft_real *product, weft_real *n, weft_real *kept)
{
#pragma omp simd
    for (int64_t k = 0; k < D; k++) {
        const weft_real p = product[k];
        n[k] = real_tanh(x[k] + r[k] * p);
        kept[k] = p;
    }
}

WEFT_KERNEL static void mix(int64_t D, const weft_real *z, const weft_real *n, const weft_real *h,
                            weft_real *y)
{
    for (int64_t k = 0; k < D; k++) y[k] = (1 - z[k]) * n[k] + z[k] * h[k];
}

WEFT_KERNEL static void multiply(int64_t D, const weft_real *a, const weft_real *b, weft_real *y)
{
    for (int64_t k = 0; k < D; k++) y[k] = a[k] * b[k];
}

void weft_cell_forward(weft_cell cell, int64_t D, const weft_cell_row *row)
{
    weft_real *s = row->saved;
    switch (cell) {
    case WEFT_CELL_TANH: tanh_of_sum(D, row->x, row->product, row->y); return;
    case WEFT_CELL_LSTM:
        sigmoid_of_sum(2 * D, row->x, row->product, s);
        tanh_of_sum(D, row->x + 2 * D, row->product + 2 * D, s + 2 * D);
        sigmoid_of_sum(D, row->x + 3 * D, row->product + 3 * D, s + 3 * D);
        lstm_state(D, s, row->prev, row->y);
        return;
    case WEFT_CELL_GRU:
        sigmoid_of_sum(2 * D, row->x, row->product, s);
        gru_candidate(D, row->x + 2 * D, s, row->product + 2 * D, s + 2 * D, s + 3 * D);
        mix(D, s + D, s + 2 * D, row->prev, row->y);
        return;
    case WEFT_CELL_GRU_BEFORE:
        sigmoid_of_sum(2 * D, row->x, row->product, s);
        multiply(D, s, row->prev, row->gated);
        return;
    }
}

void weft_cell_finish(int64_t D, const weft_cell_row *row)
{
    weft_real *s = row->saved;
    tanh_of_sum(D, row->x + 2 * D, row->product + 2 * D, s + 2 * D);
    mix(D, s + D, s + 2 * D, row->prev, row->y);
}

/* ---- backward -------------------------------------------------------------------------------- */

WEFT_KERNEL static void tanh_backward(int64_t D, const weft_real *y, const weft_real *dy,
                                      weft_real *carry, weft_real *dz)
{
    for (int64_t k = 0; k < D; k++) {
        dz[k] = (dy[k] + carry[k]) * (1 - y[k] * y[k]);
        carry[k] = 0;
    }
}

WEFT_KERNEL static void lstm_backward(int64_t D, const weft_real *gates, const weft_real *prev,
                                      const weft_real *y, const weft_real *dy, weft_real *carry,
                                      weft_real *dz)
{
    const weft_real *i = gates, *f = gates + D, *g = gates + 2 * D, *o = gates + 3 * D;
#pragma omp simd
    for (int64_t k = 0; k < D; k++) {
        const weft_real tanh_c = real_tanh(y[D + k]), dh = dy[k] + carry[k];
        const weft_real dc = dy[D + k] + carry[D + k] + dh * o[k] * (1 - tanh_c * tanh_c);
        dz[k] = dc * g[k] * i[k] * (1 - i[k]);
        dz[D + k] = dc * prev[D + k] * f[k] * (1 - f[k]);
        dz[2 * D + k] = dc * i[k] * (1 - g[k] * g[k]);
        dz[3 * D + k] = dh * tanh_c * o[k] * (1 - o[k]);
        carry[k] = 0;
        carry[D + k] = dc * f[k];
    }
}

/* dz_z, and in dz_n the gradient of what tanh was applied to. */
WEFT_KERNEL static void gru_mix_backward(int64_t D, const weft_real *gates, const weft_real *h,
                                         const weft_real *dy, weft_real *carry, weft_real *dz_z,
                                         weft_real *dz_n)
{
    const weft_real *z = gates + D, *n = gates + 2 * D;
    for (int64_t k = 0; k < D; k++) {
        const weft_real dh = dy[k] + carry[k];
        dz_z[k] = dh * (h[k] - n[k]) * z[k] * (1 - z[k]);
        dz_n[k] = dh * (1 - z[k]) * (1 - n[k] * n[k]);
        carry[k] = dh * z[k];
    }
}

/* dr = d times what r multiplied, through the logistic function. */
WEFT_KERNEL static void gate_backward(int64_t D, const weft_real *r, const weft_real *other,
                                      const weft_real *d, weft_real *dz)
{
    for (int64_t k = 0; k < D; k++) dz[k] = d[k] * other[k] * r[k] * (1 - r[k]);
}

WEFT_KERNEL static void put(int64_t n, const weft_real *dz, bool add, weft_real *dx)
{
    if (add)
        for (int64_t k = 0; k < n; k++) dx[k] += dz[k];
    else
        for (int64_t k = 0; k < n; k++) dx[k] = dz[k];
}

WEFT_KERNEL static void add_product(int64_t D, const weft_real *a, const weft_real *b, weft_real *y)
{
    for (int64_t k = 0; k < D; k++) y[k] += a[k] * b[k];
}

void weft_cell_backward(weft_cell cell, int64_t D, const weft_cell_row *row)
{
    const weft_real *s = row->saved;
    weft_real *dz = row->dproduct;
    switch (cell) {
    case WEFT_CELL_TANH: tanh_backward(D, row->y, row->dy, row->carry, dz); break;
    case WEFT_CELL_LSTM: lstm_backward(D, s, row->prev, row->y, row->dy, row->carry, dz); break;
    case WEFT_CELL_GRU:
        gru_mix_backward(D, s, row->prev, row->dy, row->carry, dz + D, dz + 2 * D);
        gate_backward(D, s, s + 3 * D, dz + 2 * D, dz);
        if (row->dx) put(3 * D, dz, row->add, row->dx); /* x is added behind r, */
        multiply(D, s, dz + 2 * D, dz + 2 * D);         /* the product before it */
        return;
    case WEFT_CELL_GRU_BEFORE:
        gru_mix_backward(D, s, row->prev, row->dy, row->carry, dz + D, dz + 2 * D);
        multiply(D, s, row->prev, row->gated);
        return;
    }
    if (row->dx) put(weft_cell_inputs(cell) * D, dz, row->add, row->dx);
}

void weft_cell_finish_backward(int64_t D, const weft_cell_row *row)
{
    const weft_real *r = row->saved;
    gate_backward(D, r, row->prev, row->dgated, row->dproduct);
    add_product(D, r, row->dgated, row->carry);
    if (row->dx) put(3 * D, row->dproduct, row->add, row->dx);
}

/* ---- the definition -------------------------------------------------------------------------- */

/* Columns [from D, to D) of a row. */
static weft_var part(weft_tape *t, weft_var x, int64_t D, int from, int to)
{
    return weft_slice(t, x, 1, from * D, to * D);
}

/* h U^T + b for rows [from D, to D) of the weight. */
static weft_var product(weft_tape *t, int64_t D, weft_var h, weft_var weight, weft_var bias,
                        int from, int to)
{
    const weft_var rows = weft_slice(t, weight, 0, from * D, to * D);
    const weft_var p = weft_matmul_t(t, h, false, rows, true);
    return weft_is_nil(bias) ? p : weft_add(t, p, weft_slice(t, bias, 0, from * D, to * D));
}

static weft_var define_lstm(weft_tape *t, int64_t D, weft_var z, weft_var prev)
{
    const weft_var i = weft_sigmoid(t, part(t, z, D, 0, 1)),
                   f = weft_sigmoid(t, part(t, z, D, 1, 2)), g = weft_tanh(t, part(t, z, D, 2, 3)),
                   o = weft_sigmoid(t, part(t, z, D, 3, 4));
    const weft_var c = weft_add(t, weft_mul(t, f, part(t, prev, D, 1, 2)), weft_mul(t, i, g));
    const weft_var h = weft_mul(t, o, weft_tanh(t, c));
    return weft_concat(t, 2, (weft_var[]){ h, c }, 1);
}

static weft_var define_gru(weft_tape *t, bool before, int64_t D, weft_var x, weft_var h,
                           weft_var weight, weft_var bias)
{
    const weft_var rz =
        weft_sigmoid(t, weft_add(t, part(t, x, D, 0, 2), product(t, D, h, weight, bias, 0, 2)));
    const weft_var r = part(t, rz, D, 0, 1), z = part(t, rz, D, 1, 2);
    const weft_var p = before ? product(t, D, weft_mul(t, r, h), weight, bias, 2, 3)
                              : weft_mul(t, r, product(t, D, h, weight, bias, 2, 3));
    const weft_var n = weft_tanh(t, weft_add(t, part(t, x, D, 2, 3), p));
    return weft_add(t, weft_mul(t, weft_sub(t, weft_scalar(t, 1), z), n), weft_mul(t, z, h));
}

weft_var weft_cell_define(weft_tape *tape, weft_cell cell, int64_t D, weft_var x, weft_var prev,
                          weft_var weight, weft_var bias)
{
    const weft_var h = part(tape, prev, D, 0, 1);
    if (cell == WEFT_CELL_GRU || cell == WEFT_CELL_GRU_BEFORE)
        return define_gru(tape, cell == WEFT_CELL_GRU_BEFORE, D, x, h, weight, bias);
    const weft_var z =
        weft_add(tape, x, product(tape, D, h, weight, bias, 0, weft_cell_inputs(cell)));
    return cell == WEFT_CELL_LSTM ? define_lstm(tape, D, z, prev) : weft_tanh(tape, z);
}
