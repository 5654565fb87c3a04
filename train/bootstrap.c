/* bootstrap.c - is one system better than another, or was it luck? Paired bootstrap resampling (Koehn
 * 2004, "Statistical Significance Tests for Machine Translation Evaluation"). */
#include "train/metrics.h"
#include "train/metrics_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static weft_status check(const weft_metric *a, const weft_metric *b, int64_t n_samples)
{
    weft_metric_spec of_a, of_b;
    const weft_statistics *each_a = weft_metric_each(a, &of_a),
                          *each_b = weft_metric_each(b, &of_b);
    const long long n_a = weft_metric_segments(a), n_b = weft_metric_segments(b);
    if (n_samples < 1)
        return weft_error(WEFT_ERR_RANGE, "metric: %lld samples, at least 1 is needed",
                          (long long)n_samples);
    if (n_a != n_b)
        return weft_error(WEFT_ERR_STATE, "metric: systems of %lld and %lld segments", n_a, n_b);
    if (!each_a || !each_b)
        return weft_error(WEFT_ERR_STATE, "metric: no segments were kept to be compared");
    if (of_a.kind != of_b.kind || of_a.n_refs != of_b.n_refs || of_a.lowercase != of_b.lowercase ||
        of_a.smoothing != of_b.smoothing || of_a.smooth_value != of_b.smooth_value)
        return weft_error(WEFT_ERR_STATE, "metric: two metrics cannot be compared");
    return WEFT_OK;
}

/* The scores of both on one sample. */
static void draw_sample(const weft_metric *a, const weft_metric *b, uint64_t key, int64_t sample,
                        double score[2])
{
    weft_metric_spec spec;
    const weft_statistics *const each[] = { weft_metric_each(a, &spec),
                                            weft_metric_each(b, &spec) };
    const uint64_t n = (uint64_t)weft_metric_segments(a);
    weft_statistics sum[2];
    memset(sum, 0, sizeof sum);
    for (uint64_t i = 0; i < n; i++) {
        const uint64_t k = weft_random_below(key, (uint64_t)sample * n + i, n);
        for (int s = 0; s < 2; s++) weft_statistics_add(&sum[s], &each[s][k]);
    }
    for (int s = 0; s < 2; s++) score[s] = weft_statistics_score(&spec, &sum[s]);
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double mean_of(const double *x, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += x[i];
    return sum / (double)n;
}

weft_status weft_metric_compare(const weft_metric *a, const weft_metric *b, int64_t n_samples,
                                uint64_t seed, weft_comparison *out)
{
    weft_status status = check(a, b, n_samples);
    if (status != WEFT_OK) return status;
    const size_t n = (size_t)n_samples;
    double *const scores[] = { weft_alloc(n, sizeof(double)), weft_alloc(n, sizeof(double)) };
    double *const apart = weft_alloc(n, sizeof(double));
    if (!scores[0] || !scores[1] || !apart) {
        status = WEFT_ERR_MEMORY;
        goto end;
    }
    const uint64_t key = weft_random_key(seed, 0, 0);
    for (int64_t i = 0; i < n_samples; i++) {
        double score[2];
        draw_sample(a, b, key, i, score);
        scores[0][i] = score[0];
        scores[1][i] = score[1];
        apart[i] = fabs(score[0] - score[1]);
    }
    const weft_metric *const metrics[] = { a, b };
    for (int s = 0; s < 2; s++) {
        qsort(scores[s], n, sizeof(double), by_value);
        out->system[s].score = weft_metric_score(metrics[s]);
        out->system[s].mean = mean_of(scores[s], n_samples);
        out->system[s].half_width = (scores[s][n - n / 40 - 1] - scores[s][n / 40]) / 2;
    }
    const double mean = mean_of(apart, n_samples);
    const double difference = fabs(out->system[0].score - out->system[1].score);
    int64_t n_larger = 0;
    for (int64_t i = 0; i < n_samples; i++) n_larger += apart[i] - mean >= difference;
    out->p = (double)(n_larger + 1) / (double)(n_samples + 1);
end:
    weft_free(scores[0]);
    weft_free(scores[1]);
    weft_free(apart);
    return status;
}
