/* certify_gradient.c - the gradient of the loss by every parameter tensor against differences. */
#include "autograd/gradcheck_internal.h"
#include "train/certify_internal.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const double tolerance = sizeof(weft_real) == 4 ? 2e-2 : 1e-7;

/* Larger steps move some of the many inputs of a whole model's ReLUs past 0 and say nothing. In float,
 * where they are lost in rounding, steps are left to the differences. */
static const double first_step = sizeof(weft_real) == 4 ? 0 : 4e-4;
/* Where differences disagree all the same, fewer move past 0 with a 64th of the step. */
enum { TRIES = sizeof(weft_real) == 4 ? 1 : 3 };

typedef struct check {
    const weft_subject *subject;
    weft_certify_spec spec;
    weft_certificate *certificate;
    char worst_name[128];
    int64_t n_kinks, n_weak;
    double loss_value;
    weft_tape *tape; /* retains: replayed at other values of the parameters */
    weft_var loss;
    weft_real *v, *room; /* of the largest parameter */
} check;

/* A direction of norm 1. */
static void draw(weft_real *v, int64_t n, uint64_t key)
{
    double squares = 0;
    for (int64_t k = 0; k < n; k++) {
        v[k] = (weft_real)weft_random_normal(key, (uint64_t)k, 0);
        squares += (double)v[k] * (double)v[k];
    }
    for (int64_t k = 0; k < n; k++) v[k] = (weft_real)((double)v[k] / sqrt(squares));
}

/* Where one-sided derivatives disagree, the gradient must lie between them. */
static bool at_kink(weft_difference *d, double gv, double unit)
{
    double side[2];
    weft_difference_sides(d, side);
    const double low = fmin(side[0], side[1]), high = fmax(side[0], side[1]),
                 room = 1e-3 * fmax(high - low, unit);
    return high - low > tolerance * unit && gv >= low - room && gv <= high + room;
}

/* What the last digits of the loss, a sum over all tokens, make of a difference: a gradient that is much
 * smaller than those of other tensors is known no better. */
static double rounding(const check *c)
{
    return first_step > 0 ? 32 * DBL_EPSILON * c->loss_value / first_step : 0;
}

static void judge(check *c, int i, weft_difference *d, const weft_tensor *g)
{
    const int64_t n = weft_size(g);
    const char *name = weft_params_name(c->subject->params, i);
    double squares = 0, gv = 0;
    for (int64_t k = 0; k < n; k++) {
        squares += (double)g->real[k] * (double)g->real[k];
        gv += (double)g->real[k] * (double)d->v[k];
    }
    const double unit = fmax(sqrt(squares / (double)n), 1e-8);
    double difference = NAN, error = INFINITY;
    weft_difference_begin(d);
    for (int n_tried = 0; n_tried < TRIES && !(error <= tolerance); n_tried++, d->first /= 64) {
        const double tried = weft_difference_central(d, 0.3 * tolerance * unit),
                     off = fabs(gv - tried) / unit;
        if (off < error) difference = tried, error = off;
    }
    bool right = error <= tolerance;
    if (!right && error * unit <= rounding(c)) {
        right = true;
        c->n_weak++;
    } else if (!right && at_kink(d, gv, unit)) {
        right = true;
        c->n_kinks++;
    } else if (right && error > c->certificate->worst) {
        c->certificate->worst = error;
        snprintf(c->worst_name, sizeof c->worst_name, "%s", name);
    }
    weft_difference_end(d);
    c->certificate->n_questions++;
    if (!right)
        weft_certify_fail(c->certificate, "%s: the gradient gives %.9g, differences give %.9g",
                          name, gv, difference);
    else if (squares == 0)
        weft_certify_fail(c->certificate, "%s: no gradient reaches it", name);
}

static weft_status record(check *c, const weft_probe *p)
{
    const weft_subject *s = c->subject;
    weft_tape_seed(c->tape, c->spec.seed, 1);
    weft_params_zero_gradients(s->params);
    const weft_var labels = weft_constant_int(c->tape, WEFT_DIMS(p->N[1]), p->labels);
    c->loss = s->loss(s->model, c->tape, s->hidden(s->model, c->tape, &p->batch), labels);
    c->loss_value = fabs(weft_item(c->tape, c->loss));
    return weft_backward(c->tape, c->loss, NULL);
}

static weft_status ask_all(check *c)
{
    weft_params *params = c->subject->params;
    const weft_real one = 1;
    int64_t largest = 0;
    for (int i = 0; i < weft_params_count(params); i++) {
        const weft_tensor x = weft_params_value(params, i);
        if (weft_size(&x) > largest) largest = weft_size(&x);
    }
    c->v = weft_alloc((size_t)largest, sizeof *c->v);
    c->room = weft_alloc((size_t)largest + 2, sizeof *c->room);
    if (!c->v || !c->room) return WEFT_ERR_MEMORY;
    for (int i = 0; i < weft_params_count(params); i++) {
        const weft_tensor g = weft_params_gradient(params, i);
        for (int64_t k = 0; k < c->spec.probes; k++) {
            draw(c->v, weft_size(&g), weft_random_key(c->spec.seed, (uint64_t)i, (uint64_t)k));
            weft_difference d = { .tape = c->tape,
                                  .n = 1,
                                  .y = &c->loss,
                                  .w = &one,
                                  .x = weft_params_value(params, i),
                                  .v = c->v,
                                  .first = first_step,
                                  .room = c->room };
            judge(c, i, &d, &g);
            if (weft_tape_status(c->tape) != WEFT_OK) return weft_tape_status(c->tape);
        }
    }
    return WEFT_OK;
}

weft_status weft_certify_gradient(const weft_subject *subject, const weft_certify_spec *given,
                                  weft_certificate *certificate)
{
    check c = { .subject = subject, .certificate = certificate };
    weft_probe all = { 0 }, some = { 0 };
    *certificate = (weft_certificate){ .verdict = WEFT_HOLDS };
    weft_status status = weft_certify_defaults(given, &c.spec);
    if (!given || given->probes == 0) c.spec.probes = 1;
    if (status == WEFT_OK) status = weft_probe_init(&all, subject, &c.spec);
    /* short sentences: there are many parameters */
    if (status == WEFT_OK) status = weft_probe_select(&all, 3, (const int64_t[]){ 0, 2, 3 }, &some);
    if (status == WEFT_OK && !(c.tape = weft_tape_new(WEFT_RETAIN))) status = WEFT_ERR_MEMORY;
    if (status == WEFT_OK) status = record(&c, &some);
    if (status == WEFT_OK) status = ask_all(&c);
    weft_certify_say(
        certificate,
        "%d tensors, sentences of 1 to %lld tokens: worst relative error %.1e (%s)%s%s",
        weft_params_count(subject->params), (long long)c.spec.longest, certificate->worst,
        c.worst_name, c.n_kinks > 0 ? "; some at kinks, within both sides" : "",
        c.n_weak > 0 ? "; some so small that they are known up to the loss's rounding" : "");
    weft_tape_free(c.tape);
    weft_free(c.v);
    weft_free(c.room);
    weft_probe_free(&all);
    weft_probe_free(&some);
    return status;
}
