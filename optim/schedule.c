/* schedule.c - the learning rate as a function of the update alone, so that a resumed run needs no
 * state for it. */
#include "optim/optim.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

static const char *const names[] = { "noam", "inverse_sqrt", "cosine", "linear", "constant" };
enum { N_KINDS = sizeof names / sizeof *names };

static bool has_end(const weft_schedule *s)
{
    return s->kind == WEFT_SCHEDULE_COSINE || s->kind == WEFT_SCHEDULE_LINEAR;
}

/* With the paper's values for zeros. */
static weft_schedule complete(const weft_schedule *schedule)
{
    weft_schedule s = *schedule;
    const bool noam = s.kind == WEFT_SCHEDULE_NOAM;
    if (noam && s.lr == 0) s.lr = 1;
    if ((noam || s.kind == WEFT_SCHEDULE_INVERSE_SQRT) && s.warmup == 0) s.warmup = 4000;
    return s;
}

weft_status weft_schedule_check(const weft_schedule *schedule)
{
    const weft_schedule s = complete(schedule);
    if ((int)s.kind < 0 || (int)s.kind >= N_KINDS)
        return weft_error(WEFT_ERR_RANGE, "schedule: there is no kind %d", (int)s.kind);
    const char *name = names[s.kind];
    if (!(s.lr > 0 && isfinite(s.lr)))
        return weft_error(WEFT_ERR_RANGE, "schedule %s: lr = %g must be finite and above 0", name,
                          s.lr);
    if (s.warmup < 0)
        return weft_error(WEFT_ERR_RANGE, "schedule %s: warmup = %" PRId64 " is negative", name,
                          s.warmup);
    if (s.kind == WEFT_SCHEDULE_NOAM && s.width < 1)
        return weft_error(WEFT_ERR_RANGE, "schedule %s: width = %" PRId64 " must be at least 1",
                          name, s.width);
    if (has_end(&s) && !(s.lr_end >= 0 && s.lr_end <= s.lr))
        return weft_error(WEFT_ERR_RANGE, "schedule %s: lr_end = %g must be in [0, lr = %g]", name,
                          s.lr_end, s.lr);
    if (has_end(&s) && s.n_updates <= s.warmup)
        return weft_error(WEFT_ERR_RANGE,
                          "schedule %s: n_updates = %" PRId64 ", where it ends, must be above "
                          "warmup = %" PRId64,
                          name, s.n_updates, s.warmup);
    return WEFT_OK;
}

double weft_schedule_rate(const weft_schedule *schedule, int64_t update)
{
    if (update < 1 || weft_schedule_check(schedule) != WEFT_OK) return NAN;
    const weft_schedule s = complete(schedule);
    const double t = (double)update, w = (double)s.warmup;
    const double peak =
        s.kind == WEFT_SCHEDULE_NOAM ? s.lr / sqrt((double)s.width * w) : s.lr; /* at t = w */
    if (update <= s.warmup) return peak * (t / w);

    const double span = (double)(s.n_updates - s.warmup);
    const double x = has_end(&s) && update < s.n_updates ? (t - w) / span : 1;
    switch (s.kind) {
    case WEFT_SCHEDULE_NOAM:
    case WEFT_SCHEDULE_INVERSE_SQRT: return peak * sqrt(w / t);
    case WEFT_SCHEDULE_COSINE:
        return s.lr_end + (s.lr - s.lr_end) * (1 + cos(3.14159265358979323846 * x)) / 2;
    case WEFT_SCHEDULE_LINEAR: return s.lr + (s.lr_end - s.lr) * x;
    case WEFT_SCHEDULE_CONSTANT: break;
    }
    return peak;
}

enum { N_SPACED = 20, LINE_BYTES = 48 };

static int print_line(char *text, const weft_schedule *schedule, int64_t t)
{
    return snprintf(text, LINE_BYTES, "%20" PRId64 "  %.6e\n", t, weft_schedule_rate(schedule, t));
}

char *weft_schedule_table(const weft_schedule *schedule, int64_t n_updates)
{
    if (weft_schedule_check(schedule) != WEFT_OK) return NULL;
    if (n_updates < 1) {
        (void)weft_error(WEFT_ERR_RANGE, "schedule %s: a table of %" PRId64 " updates",
                         names[schedule->kind], n_updates);
        return NULL;
    }
    char *text = weft_alloc(N_SPACED + 3, LINE_BYTES);
    if (!text) return NULL;
    const int64_t warmup = complete(schedule).warmup;
    const int64_t whole = n_updates / N_SPACED, rest = n_updates % N_SPACED;
    int length = snprintf(text, LINE_BYTES, "%20s  %s\n", "update", names[schedule->kind]);
    int64_t last = 0;
    for (int i = 0; i <= N_SPACED; i++) {
        /* i n / 20, which cannot overflow like this; the first line is update 1. */
        const int64_t t = i == 0 ? 1 : i * whole + i * rest / N_SPACED;
        if (last < warmup && warmup < t) length += print_line(text + length, schedule, warmup);
        if (last < t) length += print_line(text + length, schedule, t);
        if (last < t) last = t;
    }
    return text;
}
