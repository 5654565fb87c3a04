/* 03_attention_by_hand.c - multi-head attention written out with primitives, beside weft_attention.
 *
 *     cc 03_attention_by_hand.c $(pkg-config --cflags --libs weft) -lm -o 03_attention_by_hand
 *
 * Vaswani et al. 2017, section 3.2: for each sentence and head,
 *
 *     O = softmax(Q K^T / sqrt(K), of the keys up to the query) V
 *
 * By hand it takes nine operations, which hold all B H T T weights several times over. weft_attention
 * is one operation that goes through them in tiles and never holds them. Both must give the same
 * outputs and the same gradients of queries, keys and values; the program fails if they do not. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <weft/weft.h>

enum { B = 2, T = 96, H = 4, K = 16, D = H * K };
enum { N = B * T * D };

/* [B, T, H K] -> [B, H, T, K]: one matrix for each sentence and head. */
static weft_var split_heads(weft_tape *tape, weft_var x)
{
    return weft_permute(tape, weft_reshape(tape, x, WEFT_DIMS(B, T, H, K)), 4,
                        (int[]){ 0, 2, 1, 3 });
}

/* int32 [T, T]: 1 where key j may be seen by query i, j <= i. */
static weft_var causal_mask(weft_tape *tape)
{
    int32_t mask[T * T];
    for (int i = 0; i < T; i++)
        for (int j = 0; j < T; j++) mask[i * T + j] = j <= i;
    return weft_constant_int(tape, WEFT_DIMS(T, T), mask);
}

static weft_var attention_by_hand(weft_tape *tape, weft_var q, weft_var k, weft_var v)
{
    const weft_var product =
        weft_matmul_t(tape, split_heads(tape, q), false, split_heads(tape, k), true);
    const weft_var scores = weft_scale(tape, product, 1 / sqrt(K));
    const weft_var seen = weft_where(tape, causal_mask(tape), scores, weft_scalar(tape, -INFINITY));
    const weft_var weights = weft_softmax(tape, seen); /* [B, H, T, T] */
    const weft_var heads = weft_matmul(tape, weights, split_heads(tape, v));
    return weft_reshape(tape, weft_permute(tape, heads, 4, (int[]){ 0, 2, 1, 3 }),
                        WEFT_DIMS(B, T, D));
}

static weft_var attention_fused(weft_tape *tape, weft_var q, weft_var k, weft_var v)
{
    /* Rank 3 means B sentences of equal length; packed ragged ones are [N, H K] with offsets. */
    return weft_attention(tape, q, k, v, &(weft_attention_spec){ .heads = H, .causal = true });
}

typedef weft_var attention(weft_tape *tape, weft_var q, weft_var k, weft_var v);
typedef struct result {
    weft_real y[N], d[3][N]; /* output; gradients of q, k and v */
    size_t peak_bytes;
} result;

static void fill(weft_real x[N], uint64_t site)
{
    const uint64_t key = weft_random_key(1, 0, site);
    for (int i = 0; i < N; i++) x[i] = (weft_real)weft_random_normal(key, (uint64_t)i, 0);
}

static void run(attention *f, result *r)
{
    static weft_real data[N], dy[N];
    weft_tape *tape = weft_tape_new(0);
    if (!tape) {
        fprintf(stderr, "%s\n", weft_message());
        exit(EXIT_FAILURE);
    }
    weft_var in[3];
    for (int i = 0; i < 3; i++) {
        fill(data, (uint64_t)i);
        in[i] = weft_leaf(tape, WEFT_DIMS(B, T, D), data);
    }
    fill(dy, 3);
    const weft_var y = f(tape, in[0], in[1], in[2]);
    const weft_tensor value = weft_value(tape, y);
    for (int i = 0; value.data && i < N; i++) r->y[i] = value.real[i];
    if (weft_backward(tape, y, dy) != WEFT_OK) { /* dy: the gradient of each element of y */
        fprintf(stderr, "%s\n", weft_message());
        exit(EXIT_FAILURE);
    }
    for (int j = 0; j < 3; j++)
        for (int i = 0; i < N; i++) r->d[j][i] = weft_gradient(tape, in[j]).real[i];
    r->peak_bytes = weft_tape_peak_bytes(tape);
    weft_tape_free(tape);
}

/* Largest difference over the largest value. */
static double difference(const char *name, const weft_real *a, const weft_real *b)
{
    double worst = 0, largest = 0;
    for (int i = 0; i < N; i++) {
        const double apart = fabs((double)a[i] - (double)b[i]), size = fabs((double)b[i]);
        if (apart > worst) worst = apart;
        if (size > largest) largest = size;
    }
    printf("%-7s differs by %.1e of its largest value, %.2f\n", name, worst / largest, largest);
    return worst / largest;
}

int main(void)
{
    static result hand, fused;
    run(attention_by_hand, &hand);
    run(attention_fused, &fused);
    double worst = difference("output", fused.y, hand.y);
    static const char *const names[] = { "dq", "dk", "dv" };
    for (int j = 0; j < 3; j++) worst = fmax(worst, difference(names[j], fused.d[j], hand.d[j]));
    printf("memory of the step: %zu kB by hand, %zu kB fused\n", hand.peak_bytes / 1024,
           fused.peak_bytes / 1024);
    return worst < 1e-5 && fused.peak_bytes < hand.peak_bytes ? EXIT_SUCCESS : EXIT_FAILURE;
}
