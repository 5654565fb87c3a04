/* gemm_ref.c - the matrix product in plain C: the oracle of the tests, and the product where BLIS
 * is not built in. */
#include "core/gemm_internal.h"
#include "core/kernel.h"

#include <math.h>
#include <stdlib.h>

/* One row of C. Each element is one chain over k from 0 upwards, in double for float, so that the
 * oracle is nearly exact; the order is that of K alone and does not know how many rows there are.
 */
WEFT_KERNEL
static void reference_row(const weft_gemm_args *g, int64_t i)
{
    enum { BLOCK = 64 };
    const int64_t a_step = g->trans_a ? g->lda : 1, b_row = g->trans_b ? 1 : g->ldb;
    const int64_t b_col = g->trans_b ? g->ldb : 1;
    const weft_real *a = g->A + (g->trans_a ? i : i * g->lda);
    weft_real *c = g->C + i * g->ldc;
    for (int64_t first = 0; first < g->N; first += BLOCK) {
        const int64_t n = g->N - first < BLOCK ? g->N - first : BLOCK;
        double sum[BLOCK] = { 0 };
        for (int64_t k = 0; k < g->K; ++k) {
            const double a_k = (double)a[k * a_step];
            const weft_real *b = g->B + k * b_row + first * b_col;
            for (int64_t j = 0; j < n; ++j) sum[j] += a_k * (double)b[j * b_col];
        }
        for (int64_t j = 0; j < n; ++j) {
            const double product = (double)g->alpha * sum[j];
            const double old = g->beta == 0 ? 0 : (double)g->beta * (double)c[first + j];
            c[first + j] = (weft_real)(old + product);
        }
    }
}

void weft_gemm_reference(const weft_gemm_args *args)
{
    const int64_t M = args->M;
#pragma omp parallel for schedule(static) num_threads(weft_team(M, weft_gemm_work(args)))
    for (int64_t i = 0; i < M; ++i) reference_row(args, i);
}
