/**
 * weft_adam - one update of Adam as an operation, so that a loss can be differentiated through it.
 *
 *     m' = beta1 m + (1 - beta1) g,        v' = beta2 v + (1 - beta2) g^2
 *     p' = p - lr (M / (sqrt(V) + eps) + weight_decay p)
 *     with M = m' / (1 - beta1^step),  V = v' / (1 - beta2^step)
 *
 * (Kingma & Ba 2015, algorithm 1; decoupled decay: Loshchilov & Hutter 2019.)
 *
 * @param p, g, m, v    one shape; v >= 0
 * @param lr            a scalar
 * @param spec          step >= 1; beta1, beta2 in [0, 1), eps >= 0 (all 0: 0.9, 0.98, 1e-9)
 * @param m_out, v_out  m' and v'; NULL where not wanted
 * @return              p'
 *
 * Gradient  with s = sqrt(V), D = s + eps:  dM = -lr dp' / D,  dV = lr dp' M / D^2 / (2 s), and 0 where
 *           s = 0 (a parameter that no gradient ever reached must not give NaN);
 *           dm' += dM / (1 - beta1^step),  dv' += dV / (1 - beta2^step);
 *           dp = dp' (1 - lr weight_decay),  dlr = -sum dp' (M / D + weight_decay p),
 *           dm = beta1 dm',  dv = beta2 dv',  dg = (1 - beta1) dm' + 2 (1 - beta2) g dv'
 * Errors    WEFT_ERR_SHAPE  shapes that differ, lr no scalar;  WEFT_ERR_RANGE  spec
 */
#include "autograd/ops_internal.h"

#include "core/kernel.h"

#include <math.h>
#include <tgmath.h>

enum { P, G_IN, M_IN, V_IN, LR, N_INPUTS };
enum { CHUNK = 4096 }; /* elements a thread treats at once; the sum of dlr goes chunk by chunk */

/* The constants of one update. */
typedef struct update {
    weft_real beta1, beta2, eps, decay, fix1, fix2; /* fix = 1 / (1 - beta^step) */
} update;

static update update_of(const weft_adam_spec *s)
{
    return (update){ .beta1 = (weft_real)s->beta1,
                     .beta2 = (weft_real)s->beta2,
                     .eps = (weft_real)s->eps,
                     .decay = (weft_real)s->weight_decay,
                     .fix1 = (weft_real)(1 / (1 - pow(s->beta1, (double)s->step))),
                     .fix2 = (weft_real)(1 / (1 - pow(s->beta2, (double)s->step))) };
}

static int64_t n_chunks(const weft_call *c) { return (weft_size(&c->in[P]) + CHUNK - 1) / CHUNK; }

static bool infer(weft_call *c)
{
    const weft_adam_spec *s = c->attr;
    if (s->step < 1)
        return weft_fail(c, WEFT_ERR_RANGE, "step is %lld: the first update is 1",
                         (long long)s->step);
    if (!(s->beta1 >= 0 && s->beta1 < 1 && s->beta2 >= 0 && s->beta2 < 1))
        return weft_fail(c, WEFT_ERR_RANGE, "beta1 is %g and beta2 %g: they must be in [0, 1)",
                         s->beta1, s->beta2);
    if (!(s->eps >= 0 && isfinite(s->eps) && isfinite(s->weight_decay)))
        return weft_fail(c, WEFT_ERR_RANGE, "eps is %g and weight_decay %g", s->eps,
                         s->weight_decay);
    for (int i = G_IN; i <= V_IN; i++)
        if (!weft_same_shape(&c->in[P], &c->in[i]))
            return weft_fail(c, WEFT_ERR_SHAPE,
                             "parameter, gradient, m and v must be of one shape");
    if (c->in[LR].rank != 0)
        return weft_fail(c, WEFT_ERR_SHAPE, "the learning rate must be a scalar");
    c->backward_scratch_bytes = (size_t)n_chunks(c) * sizeof(double);
    for (int j = 0; j < 3; j++)
        if (!weft_out(c, j, WEFT_REAL, c->in[P].rank, c->in[P].dim)) return false;
    return true;
}

WEFT_KERNEL static void forward_chunk(const weft_call *c, const update *u, int64_t from, int64_t n)
{
    const weft_real *p = c->in[P].real + from, *g = c->in[G_IN].real + from,
                    *m = c->in[M_IN].real + from, *v = c->in[V_IN].real + from;
    weft_real *p_new = c->out[0].real + from, *m_new = c->out[1].real + from,
              *v_new = c->out[2].real + from;
    const weft_real lr = c->in[LR].real[0];
    for (int64_t k = 0; k < n; k++) {
        m_new[k] = u->beta1 * m[k] + (1 - u->beta1) * g[k];
        v_new[k] = u->beta2 * v[k] + (1 - u->beta2) * g[k] * g[k];
        const weft_real v_hat = v_new[k] > 0 ? v_new[k] * u->fix2 : 0; /* as the definition */
        const weft_real step = m_new[k] * u->fix1 / (sqrt(v_hat) + u->eps);
        p_new[k] = p[k] - lr * (step + u->decay * p[k]);
    }
}

static void forward(const weft_call *c)
{
    const update u = update_of(c->attr);
    const int64_t size = weft_size(&c->in[P]), n = n_chunks(c);
#pragma omp parallel for schedule(static) num_threads(weft_team(n, 8 * size))
    for (int64_t i = 0; i < n; i++)
        forward_chunk(c, &u, i * CHUNK, size - i * CHUNK < CHUNK ? size - i * CHUNK : CHUNK);
}

static void put(const weft_call *c, int input, int64_t k, weft_real x)
{
    if (!c->din[input].data) return;
    c->din[input].real[k] = c->add[input] ? c->din[input].real[k] + x : x;
}

/* All gradients of one chunk; returns its part of -dlr. */
static double backward_chunk(const weft_call *c, const update *u, int64_t from, int64_t to)
{
    const weft_real *dout[3], lr = c->in[LR].real[0];
    double dlr = 0;
    for (int j = 0; j < 3; j++) dout[j] = c->dout[j].data ? c->dout[j].real : NULL;
    for (int64_t k = from; k < to; k++) {
        const weft_real p = c->in[P].real[k], g = c->in[G_IN].real[k];
        const weft_real dp = dout[0] ? dout[0][k] : 0;
        const weft_real m_hat = c->out[1].real[k] * u->fix1;
        const weft_real v = c->out[2].real[k];
        const weft_real root = sqrt(v > 0 ? v * u->fix2 : 0), below = root + u->eps;
        weft_real dm = dout[1] ? dout[1][k] : 0, dv = dout[2] ? dout[2][k] : 0;
        dm -= lr * dp / below * u->fix1;
        if (root > 0) dv += lr * dp * (m_hat / below) / below / (2 * root) * u->fix2;
        dlr += (double)(dp * (m_hat / below + u->decay * p));
        put(c, P, k, dp * (1 - lr * u->decay));
        put(c, M_IN, k, u->beta1 * dm);
        put(c, V_IN, k, u->beta2 * dv);
        put(c, G_IN, k, (1 - u->beta1) * dm + 2 * (1 - u->beta2) * g * dv);
    }
    return dlr;
}

static void backward(const weft_call *c)
{
    const update u = update_of(c->attr);
    const int64_t size = weft_size(&c->in[P]), n = n_chunks(c);
    double *parts = c->scratch, dlr = 0;
#pragma omp parallel for schedule(static) num_threads(weft_team(n, 16 * size))
    for (int64_t i = 0; i < n; i++)
        parts[i] =
            backward_chunk(c, &u, i * CHUNK, (i + 1) * CHUNK < size ? (i + 1) * CHUNK : size);
    for (int64_t i = 0; i < n; i++) dlr -= parts[i];
    put(c, LR, 0, (weft_real)dlr);
}

static void define(weft_rule *r)
{
    weft_tape *t = r->tape;
    const weft_adam_spec *s = r->attr;
    const weft_var p = r->in[P], g = r->in[G_IN], one = weft_scalar(t, 1), zero = weft_scalar(t, 0);
    const weft_var m = weft_add(t, weft_scale(t, r->in[M_IN], s->beta1),
                                weft_scale(t, g, 1 - s->beta1)),
                   v = weft_add(t, weft_scale(t, r->in[V_IN], s->beta2),
                                weft_scale(t, weft_mul(t, g, g), 1 - s->beta2));
    const weft_var m_hat = weft_scale(t, m, 1 / (1 - pow(s->beta1, (double)s->step))),
                   v_hat = weft_scale(t, v, 1 / (1 - pow(s->beta2, (double)s->step)));
    /* the root and its slope are 0 where v is */
    const weft_var positive = weft_greater(t, v_hat, zero);
    const weft_var root =
        weft_where(t, positive, weft_sqrt(t, weft_where(t, positive, v_hat, one)), zero);
    const weft_var step = weft_div(t, m_hat, weft_add(t, root, weft_scalar(t, s->eps)));
    const weft_var change = weft_add(t, step, weft_scale(t, p, s->weight_decay));
    r->result[0] = weft_sub(t, p, weft_mul(t, r->in[LR], change));
    r->result[1] = m;
    r->result[2] = v;
}

/* A value that depends on all three results, each weighted by a draw. */
static weft_var all_results(weft_tape *t, weft_var p, weft_var g, weft_var m, weft_var v,
                            weft_var lr, const weft_adam_spec *spec)
{
    weft_var m_new, v_new;
    const weft_var p_new = weft_adam(t, p, g, m, v, lr, spec, &m_new, &v_new);
    return weft_add(t, p_new, weft_add(t, weft_scale(t, m_new, 0.7), weft_mul(t, v_new, v_new)));
}

static weft_var with(weft_tape *t, int rank, const int64_t dim[], weft_adam_spec spec)
{
    const weft_var p = weft_sample_normal(t, rank, dim), g = weft_sample_normal(t, rank, dim),
                   m = weft_sample_normal(t, rank, dim),
                   v = weft_sample_uniform(t, 0.2, 2, rank, dim);
    return all_results(t, p, g, m, v, weft_sample_uniform(t, 0.1, 0.5, 0, NULL), &spec);
}

/* Elements that no gradient ever reached: g, m and v are exactly 0 there. v is a leaf itself, so that
 * the derivative by v = 0, which is 0, is seen. */
static weft_var sample_unused(weft_tape *t)
{
    const weft_real used_values[] = { 1, 0, 0, 1, 1, 0 };
    const weft_real v_values[] = { (weft_real)0.4, 0, 0, (weft_real)1.3, (weft_real)0.7, 0 };
    const weft_var used = weft_constant(t, WEFT_DIMS(3, 2), used_values);
    const weft_var p = weft_sample_normal(t, WEFT_DIMS(3, 2)),
                   g = weft_mul(t, used, weft_sample_normal(t, WEFT_DIMS(3, 2))),
                   m = weft_mul(t, used, weft_sample_normal(t, WEFT_DIMS(3, 2))),
                   v = weft_leaf(t, WEFT_DIMS(3, 2), v_values);
    return all_results(t, p, g, m, v, weft_sample_uniform(t, 0.1, 0.5, 0, NULL),
                       &(weft_adam_spec){ .step = 3 });
}

static weft_var sample(weft_tape *t, int i)
{
    weft_var x, lr;
    switch (i) {
    case 0: return with(t, WEFT_DIMS(3, 4), (weft_adam_spec){ .step = 1 });
    case 1: return with(t, WEFT_DIMS(7), (weft_adam_spec){ .step = 5, .weight_decay = 0.3 });
    case 2: return with(t, 0, NULL, (weft_adam_spec){ .step = 2 });
    case 3:
        return with(t, WEFT_DIMS(2, 3, 5),
                    (weft_adam_spec){ .beta1 = 0.5, .beta2 = 0.9, .eps = 0.1, .step = 4 });
    case 4: return sample_unused(t);
    case 5: /* only the parameter is used */
        x = weft_sample_normal(t, WEFT_DIMS(4));
        return weft_adam(t, x, weft_sample_normal(t, WEFT_DIMS(4)),
                         weft_sample_normal(t, WEFT_DIMS(4)),
                         weft_sample_uniform(t, 0.2, 2, WEFT_DIMS(4)), weft_scalar(t, 0.1),
                         &(weft_adam_spec){ .step = 9 }, NULL, NULL);
    case 6: /* strided inputs */
        x = weft_sample_strided(t, WEFT_DIMS(3, 4));
        return all_results(
            t, x, weft_sample_strided(t, WEFT_DIMS(3, 4)), weft_sample_normal(t, WEFT_DIMS(3, 4)),
            weft_sample_uniform(t, 0.2, 2, WEFT_DIMS(3, 4)),
            weft_sample_uniform(t, 0.1, 0.5, 0, NULL), &(weft_adam_spec){ .step = 2 });
    case 7: /* one value on several sides */
        x = weft_sample_uniform(t, 0.3, 2, WEFT_DIMS(5));
        return all_results(t, x, x, x, x, weft_sample_uniform(t, 0.1, 0.5, 0, NULL),
                           &(weft_adam_spec){ .step = 2 });
    case 8: /* more than a chunk */
        return with(t, WEFT_DIMS(4100), (weft_adam_spec){ .step = 3, .weight_decay = 0.1 });
    case 9: /* two updates one after the other */
        x = weft_sample_normal(t, WEFT_DIMS(3));
        lr = weft_sample_uniform(t, 0.1, 0.5, 0, NULL);
        x = all_results(t, x, weft_mul(t, x, x), weft_full(t, WEFT_DIMS(3), 0.1),
                        weft_full(t, WEFT_DIMS(3), 0.2), lr, &(weft_adam_spec){ .step = 1 });
        return all_results(t, x, weft_mul(t, x, x), weft_full(t, WEFT_DIMS(3), 0.1),
                           weft_full(t, WEFT_DIMS(3), 0.2), lr, &(weft_adam_spec){ .step = 2 });
    default: return WEFT_NIL;
    }
}

static weft_var misuse(weft_tape *t, int i)
{
    const weft_var x = weft_sample_normal(t, WEFT_DIMS(2, 3)),
                   y = weft_sample_normal(t, WEFT_DIMS(3)), lr = weft_scalar(t, 0.1);
    weft_adam_spec spec = { .step = 1 };
    switch (i) {
    case 0: return weft_adam(t, x, y, x, x, lr, &spec, NULL, NULL);
    case 1: return weft_adam(t, x, x, x, y, lr, &spec, NULL, NULL);
    case 2: return weft_adam(t, x, x, x, x, y, &spec, NULL, NULL);
    case 3: spec.step = 0; return weft_adam(t, x, x, x, x, lr, &spec, NULL, NULL);
    case 4: spec.beta1 = 1; return weft_adam(t, x, x, x, x, lr, &spec, NULL, NULL);
    case 5: spec.eps = -1; return weft_adam(t, x, x, x, x, lr, &spec, NULL, NULL);
    case 6: return weft_adam(t, x, x, WEFT_NIL, x, lr, &spec, NULL, NULL);
    case 7: return weft_adam(t, x, x, x, x, lr, NULL, NULL, NULL);
    default: return WEFT_NIL;
    }
}

const weft_op weft_op_adam = { .name = "adam",
                               .inputs = "parameter gradient m v lr",
                               .n_in = N_INPUTS,
                               .n_out = 3,
                               .infer = infer,
                               .forward = forward,
                               .backward = backward,
                               .define = define,
                               .sample = sample,
                               .misuse = misuse };

weft_var weft_adam(weft_tape *tape, weft_var p, weft_var g, weft_var m, weft_var v, weft_var lr,
                   const weft_adam_spec *spec, weft_var *m_out, weft_var *v_out)
{
    if (m_out) *m_out = WEFT_NIL;
    if (v_out) *v_out = WEFT_NIL;
    if (!spec) {
        weft_tape_fail(tape, WEFT_ERR_STATE, "adam: no spec, which says the step");
        return WEFT_NIL;
    }
    weft_adam_spec attr = *spec;
    if (attr.beta1 == 0 && attr.beta2 == 0 && attr.eps == 0) {
        attr.beta1 = 0.9;
        attr.beta2 = 0.98;
        attr.eps = 1e-9;
    }
    weft_var out[WEFT_MAX_OUT];
    weft_apply(tape, &weft_op_adam, N_INPUTS, (weft_var[]){ p, g, m, v, lr }, &attr, sizeof attr,
               out);
    if (m_out) *m_out = out[1];
    if (v_out) *v_out = out[2];
    return out[0];
}
