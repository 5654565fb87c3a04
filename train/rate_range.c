/* rate_range.c - the loss under a growing learning rate. */
#include "train/loop_internal.h"
#include "train/probe.h"

#include <math.h>

/* The mean of the losses so far, in which each counts 0.9 of the next (Kingma & Ba 2015, section 3,
 * for the start). */
static double smooth(double *mean, double loss, int64_t n)
{
    const double decay = 0.9;
    *mean = decay * *mean + (1 - decay) * loss;
    return *mean / (1 - pow(decay, (double)n));
}

static weft_status measure(weft_trainer *t, int64_t n, double low, double high,
                           weft_rate_point points[], int64_t *n_points)
{
    double mean = 0, least = INFINITY;
    t->schedule = (weft_schedule){ .kind = WEFT_SCHEDULE_CONSTANT };
    for (int64_t i = 0; i < n; i++) {
        weft_train_step step;
        t->schedule.lr = low * pow(high / low, (double)i / (double)(n - 1));
        const weft_status status = weft_trainer_step(t, &step);
        if (status == WEFT_ERR_NUMERIC) return WEFT_OK;
        if (status != WEFT_OK) return status;
        const double loss = smooth(&mean, step.loss, i + 1);
        points[(*n_points)++] = (weft_rate_point){ step.lr, loss };
        if (loss < least) least = loss;
        if (!(loss < 4 * least)) return WEFT_OK;
    }
    return WEFT_OK;
}

weft_status weft_rate_range(const weft_config *config, int64_t n, double low, double high,
                            weft_rate_point points[], int64_t *n_points)
{
    *n_points = 0;
    if (n < 2 || !(low > 0 && low < high && isfinite(high)))
        return weft_error(WEFT_ERR_RANGE, "rate range: %lld updates from %g to %g", (long long)n,
                          low, high);
    weft_trainer *trainer = NULL;
    weft_status status = weft_trainer_new(config, &trainer);
    if (status == WEFT_OK) status = measure(trainer, n, low, high, points, n_points);
    weft_trainer_free(trainer);
    return status;
}

/* The rate at which the loss falls fastest per factor of the rate; 0 where it never falls. */
static double steepest_of(const weft_rate_point points[], int64_t n)
{
    const int64_t w = n < 20 ? 1 : n / 10; /* looks past the noise of batches */
    double steepest = 0, lr = 0;
    for (int64_t i = w; i < n - w; i++) {
        const weft_rate_point a = points[i - w], b = points[i + w];
        const double fall = (a.loss - b.loss) / log(b.lr / a.lr);
        if (!(fall > steepest)) continue;
        steepest = fall;
        lr = points[i].lr;
    }
    return lr;
}

weft_rate_advice weft_rate_advise(const weft_rate_point points[], int64_t n_points)
{
    int64_t least = 0;
    for (int64_t i = 1; i < n_points; i++)
        if (points[i].loss < points[least].loss) least = i;
    /* Beyond its least value the loss falls only after it has risen. */
    const double steepest = n_points > 0 ? steepest_of(points, least + 1) : 0;
    if (steepest == 0) return (weft_rate_advice){ 0 };
    const double tenth = points[least].lr / 10;
    return (weft_rate_advice){ .steepest = steepest,
                               .least = points[least].lr,
                               .from = fmin(steepest, tenth),
                               .to = fmax(steepest, tenth) };
}
