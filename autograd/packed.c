/* packed.c - sentences packed into one matrix: see packed_internal.h. */
#include "autograd/packed_internal.h"

int64_t weft_packed_sentences(const weft_tensor *x, const weft_tensor *offsets)
{
    return offsets->rank >= 0 ? offsets->dim[0] - 1 : x->rank == 3 ? x->dim[0] : 1;
}

int64_t weft_packed_begin(const weft_tensor *x, const weft_tensor *offsets, int64_t b)
{
    if (offsets->rank >= 0) return offsets->i32[b];
    return x->rank == 3 ? b * x->dim[1] : b * weft_rows(x);
}

bool weft_packed_check(const weft_call *c, int input, const char *name, int64_t rows)
{
    const weft_tensor *offsets = &c->in[input];
    if (offsets->rank < 0) return true;
    if (offsets->rank != 1 || offsets->dim[0] < 1)
        return weft_fail(c, WEFT_ERR_SHAPE, "%s must be [B+1]", name);
    if (weft_call_is_dry(c)) return true;
    const int64_t B = offsets->dim[0] - 1;
    const int32_t *at = offsets->i32;
    if (at[0] != 0 || at[B] != rows)
        return weft_fail(c, WEFT_ERR_RANGE, "%s go from %d to %d, not from 0 to the %lld rows",
                         name, (int)at[0], (int)at[B], (long long)rows);
    for (int64_t b = 0; b < B; b++)
        if (at[b] > at[b + 1])
            return weft_fail(c, WEFT_ERR_RANGE, "%s fall from %d to %d at sentence %lld", name,
                             (int)at[b], (int)at[b + 1], (long long)b);
    return true;
}

bool weft_packed_check_pair(const weft_call *c, int q, int q_offsets, int k, int k_offsets,
                            bool same)
{
    const weft_tensor *in = c->in, *of_q = &in[q_offsets], *of_k = &in[k_offsets];
    if ((of_q->rank < 0) != (of_k->rank < 0))
        return weft_fail(c, WEFT_ERR_SHAPE, "k_offsets without q_offsets");
    if (!weft_packed_check(c, q_offsets, "q_offsets", weft_rows(&in[q])) ||
        !weft_packed_check(c, k_offsets, "k_offsets", weft_rows(&in[k])))
        return false;
    const int64_t B = weft_packed_sentences(&in[q], of_q),
                  B_k = weft_packed_sentences(&in[k], of_k);
    if (B != B_k)
        return weft_fail(c, WEFT_ERR_SHAPE, "%lld sentences of queries, %lld of keys", (long long)B,
                         (long long)B_k);
    if (!same || weft_call_is_dry(c)) return true;
    for (int64_t b = 0; b < B; b++) {
        const int64_t n_q =
            weft_packed_begin(&in[q], of_q, b + 1) - weft_packed_begin(&in[q], of_q, b);
        const int64_t n_k =
            weft_packed_begin(&in[k], of_k, b + 1) - weft_packed_begin(&in[k], of_k, b);
        if (n_q != n_k)
            return weft_fail(c, WEFT_ERR_SHAPE,
                             "causal: sentence %lld has %lld queries and %lld keys", (long long)b,
                             (long long)n_q, (long long)n_k);
    }
    return true;
}

bool weft_packed_check_heads(const weft_call *c, int i, const char *name, int64_t heads)
{
    const weft_tensor *x = &c->in[i];
    if (heads < 1) return weft_fail(c, WEFT_ERR_RANGE, "%lld heads", (long long)heads);
    if (x->rank != 2 && x->rank != 3)
        return weft_fail(c, WEFT_ERR_SHAPE,
                         "%s must be [rows, heads * width] or [sentences, rows, heads * width]",
                         name);
    if (weft_cols(x) < heads || weft_cols(x) % heads != 0)
        return weft_fail(c, WEFT_ERR_SHAPE, "last dim of %s (%lld) is not a multiple of %lld heads",
                         name, (long long)weft_cols(x), (long long)heads);
    return true;
}

bool weft_packed_out(weft_call *c, int like, int64_t cols)
{
    const weft_tensor *x = &c->in[like];
    int64_t dim[WEFT_MAX_RANK] = { 0 };
    for (int i = 0; i < x->rank; i++) dim[i] = x->dim[i];
    dim[x->rank - 1] = cols;
    return weft_out(c, 0, WEFT_REAL, x->rank, dim);
}

/* ---- for definitions ---------------------------------------------------------------------------- */

weft_var weft_packed_part(weft_tape *t, weft_var x, int64_t row, int64_t n, int64_t h, int64_t C)
{
    return weft_slice(t, weft_slice(t, x, 0, row, row + n), 1, h * C, (h + 1) * C);
}

weft_var weft_packed_matrix(weft_tape *t, weft_var x)
{
    const weft_tensor shape = weft_shape(t, x);
    if (shape.rank == 2) return x;
    return weft_reshape(t, x, WEFT_DIMS(weft_rows(&shape), weft_cols(&shape)));
}

void weft_packed_inputs(const weft_rule *r, int first_offsets, weft_tensor in[])
{
    const bool dry = weft_tape_flags(r->tape) & WEFT_DRY;
    for (int i = 0; i < r->n_in; i++) {
        in[i] = (weft_tensor){ .rank = -1 };
        if (weft_is_nil(r->in[i]) || (dry && i >= first_offsets)) continue;
        in[i] = dry ? weft_shape(r->tape, r->in[i]) : weft_value(r->tape, r->in[i]);
    }
}

/* Room on the heap that a definition needs for a moment. */
static void *room(weft_tape *t, int64_t n, size_t each_bytes)
{
    void *x = weft_alloc((size_t)n, each_bytes);
    if (!x) weft_tape_fail(t, WEFT_ERR_MEMORY, "definition: %s", weft_message());
    return x;
}

weft_var weft_packed_mask(weft_tape *t, int64_t n_q, int64_t n_k,
                          bool (*see)(const void *context, int64_t i, int64_t j),
                          const void *context)
{
    int32_t *mask = room(t, n_q * n_k, sizeof *mask);
    if (!mask) return WEFT_NIL;
    for (int64_t i = 0; i < n_q; i++)
        for (int64_t j = 0; j < n_k; j++) mask[i * n_k + j] = see(context, i, j);
    const weft_var x = weft_constant_int(t, WEFT_DIMS(n_q, n_k), mask);
    weft_free(mask);
    return x;
}

void weft_packed_define(weft_rule *r, const weft_tensor *x, int64_t B, int64_t cols,
                        weft_var (*define_sentence)(const void *context, int64_t b),
                        const void *context)
{
    weft_tape *t = r->tape;
    weft_var *parts = room(t, B + 1, sizeof *parts);
    if (!parts) return;
    int n = 0;
    for (int64_t b = 0; b < B; b++) {
        parts[n] = define_sentence(context, b);
        if (!weft_is_nil(parts[n])) n++;
    }
    if (n == 0) parts[n++] = weft_full(t, WEFT_DIMS(0, cols), 0);
    int64_t dim[WEFT_MAX_RANK] = { 0 };
    for (int i = 0; i < x->rank; i++) dim[i] = x->dim[i];
    dim[x->rank - 1] = cols;
    r->result[0] = weft_reshape(t, weft_concat(t, n, parts, 0), x->rank, dim);
    weft_free(parts);
}

weft_var weft_packed_heads(weft_tape *t, int64_t H, int64_t b,
                           weft_var (*define_head)(const void *context, int64_t b, int64_t h),
                           const void *context)
{
    weft_var *heads = room(t, H, sizeof *heads);
    if (!heads) return WEFT_NIL;
    for (int64_t h = 0; h < H; h++) heads[h] = define_head(context, b, h);
    const weft_var y = weft_concat(t, (int)H, heads, 1);
    weft_free(heads);
    return y;
}
