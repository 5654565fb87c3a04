/* 09_adam.c - Adam (Kingma & Ba 2015, algorithm 1), with its correction of the bias:
 *
 *     m = beta1 m + (1 - beta1) g,   v = beta2 v + (1 - beta2) g^2
 *     p = p - lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps)
 *
 * Yours and weft's make ten updates of the same parameters with the same gradients. */
#include "coursework.h"

enum { N = 8, N_UPDATES = 10 };
static const double lr = 0.1, beta1 = 0.9, beta2 = 0.98, eps = 1e-9;

/* Update t = 1, 2, ...; m and v were 0 before the first. */
static void adam(int t, weft_real p[N], const weft_real g[N], weft_real m[N], weft_real v[N])
{
    /* ---- your part: this is plain gradient descent ---- */
    (void)t, (void)m, (void)v, (void)beta1, (void)beta2, (void)eps;
    for (int k = 0; k < N; k++) p[k] -= lr * g[k];
    /* ---- end of your part ---- */
}

int main(void)
{
    weft_real p[N], g[N], m[N] = { 0 }, v[N] = { 0 };
    weft_params *params = weft_params_new(1);
    weft_param param;
    bool solved = weft_params_add(params, "p", WEFT_DIMS(N), (weft_init){ WEFT_INIT_NORMAL, 1, 0 },
                                  &param) == WEFT_OK;
    weft_optimiser *theirs = weft_optimiser_new(
        params, &(weft_optimiser_spec){ .beta1 = beta1, .beta2 = beta2, .eps = eps });
    memcpy(p, weft_params_value(params, 0).real, sizeof p);
    for (int t = 1; t <= N_UPDATES && solved; t++) {
        for (int k = 0; k < N; k++) g[k] = weft_random_normal(7, (uint64_t)t, (uint32_t)k);
        memcpy(weft_params_gradient(params, 0).real, g, sizeof g);
        adam(t, p, g, m, v);
        solved = weft_optimiser_step(theirs, params, lr, 1, NULL) == WEFT_OK;
        printf("update %d: ", t);
        solved = solved && same(p, weft_params_value(params, 0).real, N, N);
        printf("%s", solved ? "equal\n" : "");
    }
    weft_optimiser_free(theirs);
    weft_params_free(params);
    return verdict(solved,
                   "in the first update every parameter moves by lr, whatever its gradient");
}
