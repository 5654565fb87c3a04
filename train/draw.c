/* draw.c - one token from softmax(logits / temperature), cut to the k likeliest (Fan et al. 2018,
 * "Hierarchical Neural Story Generation") and to the nucleus of probability p (Holtzman et al. 2020,
 * "The Curious Case of Neural Text Degeneration", section 3.1). */
#include "train/decode_internal.h"

#include <math.h>
#include <stdlib.h>

/* Likelier first, equals by id. */
static int by_logit(const void *a, const void *b)
{
    const weft_choice *x = a, *y = b;
    if (x->logit != y->logit) return x->logit > y->logit ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

weft_status weft_draw_check(const char *function, double temperature, int64_t top_k, double top_p)
{
    if (!(temperature >= 0 && isfinite(temperature)))
        return weft_error(WEFT_ERR_RANGE, "%s: a temperature of %g is not in [0, inf)", function,
                          temperature);
    if (top_k < 0)
        return weft_error(WEFT_ERR_RANGE, "%s: top_k %lld is negative", function, (long long)top_k);
    if (!(top_p >= 0 && top_p <= 1))
        return weft_error(WEFT_ERR_RANGE, "%s: top_p %g is not in [0, 1]", function, top_p);
    return WEFT_OK;
}

/* The first choice whose cumulative weight exceeds u of the whole. */
int32_t weft_draw(weft_choice choices[], int64_t n, double temperature, int64_t top_k, double top_p,
                  double u)
{
    qsort(choices, (size_t)n, sizeof *choices, by_logit);
    if (temperature == 0 || isinf(choices[0].logit)) return choices[0].id;
    if (top_k > 0 && top_k < n) n = top_k;
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += choices[i].weight = exp((choices[i].logit - choices[0].logit) / temperature);
    if (top_p > 0 && top_p < 1) {
        double nucleus = 0;
        int64_t n_nucleus = 0;
        while (n_nucleus < n && nucleus < top_p * sum) nucleus += choices[n_nucleus++].weight;
        n = n_nucleus;
        sum = nucleus;
    }
    double left = u * sum;
    int64_t i = 0;
    while (i < n - 1 && (left -= choices[i].weight) >= 0) i++;
    return choices[i].id;
}
