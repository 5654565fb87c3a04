/* 06_forgotten_scale.c - needs: data - what happens to attention without the factor 1/sqrt(K), and how it shows.
 *
 *     cc 06_forgotten_scale.c $(pkg-config --cflags --libs weft) -lm -o 06_forgotten_scale
 *
 * Queries and keys of K numbers with mean 0 and variance 1 have products of variance K: "we suspect
 * that for large values of d_k, the dot products grow large in magnitude, pushing the softmax function
 * into regions where it has extremely small gradients" (Vaswani et al. 2017, section 3.2.1). So they
 * divide by sqrt(K). The program forgets it, and asks each head for its entropy, for the part of its
 * queries that look at one key alone, and for the gradients that it gets. `weft train` logs the same
 * of a model with train.head_stats = true. It fails if the difference does not show.
 *
 * What shows is the entropy. The gradients of queries and keys as a whole do not vanish: those few
 * queries that waver between two keys get all of it, and far too much. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <weft/weft.h>

enum { T = 64, H = 4, K = 256, D = H * K };

static int fail(void)
{
    fprintf(stderr, "%s\n", weft_message());
    return EXIT_FAILURE;
}

/* [T, D] of mean 0 and variance 1, as after a norm and a well initialised projection. */
static weft_var draw(weft_tape *tape, uint64_t site)
{
    static weft_real data[T * D];
    const uint64_t key = weft_random_key(1, 0, site);
    for (int i = 0; i < T * D; i++) data[i] = (weft_real)weft_random_normal(key, (uint64_t)i, 0);
    return weft_leaf(tape, WEFT_DIMS(T, D), data);
}

/* The heads of attention with this scale (0: the default, 1/sqrt(K)), and the mean of each number. */
static weft_status look(const char *name, double scale, weft_head_stats *mean)
{
    weft_tape *tape = weft_tape_new(WEFT_RETAIN); /* gradients of values between are wanted */
    if (!tape) return WEFT_ERR_MEMORY;
    const weft_var q = draw(tape, 1), k = draw(tape, 2), v = draw(tape, 3), goal = draw(tape, 4);
    const weft_var y =
        weft_attention(tape, q, k, v, &(weft_attention_spec){ .heads = H, .scale = scale });
    weft_status status = weft_backward(tape, weft_mse(tape, y, goal), NULL);

    weft_head_stats stats[H];
    if (status == WEFT_OK) status = weft_head_weights(tape, y, H, stats);
    if (status == WEFT_OK) status = weft_head_gradients(tape, y, H, stats);
    *mean = (weft_head_stats){ 0 };
    printf("%s\nhead  entropy  saturated  gradient by q, k and v\n", name);
    for (int h = 0; h < H && status == WEFT_OK; h++) {
        const weft_head_stats *s = &stats[h];
        printf("%4d  %7.3f  %8.1f %%  %.2e  %.2e  %.2e\n", h, s->entropy, 100 * s->saturated,
               s->gradient[0], s->gradient[1], s->gradient[2]);
        mean->entropy += s->entropy / H;
        mean->saturated += s->saturated / H;
        for (int i = 0; i < 3; i++) mean->gradient[i] += s->gradient[i] / H;
    }
    printf("\n");
    weft_tape_free(tape);
    return status;
}

int main(void)
{
    weft_head_stats good, bad;
    if (look("divided by sqrt(K):", 0, &good) != WEFT_OK) return fail();
    if (look("forgotten:", 1, &bad) != WEFT_OK) return fail();
    printf("Looking at all %d keys alike has the entropy ln %d = %.3f.\n", T, T, log(T));
    printf("It fell from %.2f to %.2f; %.0f %% of the queries look at one key alone, and the "
           "gradient\n"
           "of the queries is %.0f times as large for scores %.0f times as large.\n",
           good.entropy, bad.entropy, 100 * bad.saturated, bad.gradient[0] / good.gradient[0],
           sqrt(K));
    const bool shows = good.saturated < 0.01 && bad.saturated > 0.3 &&
                       good.entropy > 0.8 * log(T) && bad.entropy < 0.1 * log(T) &&
                       bad.gradient[0] > 2 * sqrt(K) * good.gradient[0];
    return shows ? EXIT_SUCCESS : EXIT_FAILURE;
}
