/* optimiser.c - what all optimisers have in common: moments, the counter of updates, and a step that
 * looks at everything before it changes anything. */
#include "optim/optim_internal.h"

#include <math.h>

enum { MAX_BLOCKS = 2 };

struct weft_optimiser {
    weft_optimiser_spec spec;
    int64_t size; /* of the parameters' flat block, for which all this was made */
    int64_t n_updates;
    int n_blocks;
    weft_real *blocks[MAX_BLOCKS];
    double *partial; /* sums of squares, one a piece of a sweep */
};

static const char *const adam_blocks[MAX_BLOCKS] = { "m", "v" };

static bool in(double x, double low, double below) { return x >= low && x < below; }

static weft_status check_spec(const weft_optimiser_spec *spec)
{
    if (spec->kind != WEFT_ADAM && spec->kind != WEFT_ADAMW && spec->kind != WEFT_SGD)
        return weft_error(WEFT_ERR_RANGE, "optimiser: there is no kind %d", (int)spec->kind);
    const bool sgd = spec->kind == WEFT_SGD;
    if (!sgd && (!in(spec->beta1, 0, 1) || !in(spec->beta2, 0, 1)))
        return weft_error(WEFT_ERR_RANGE, "optimiser: beta1 = %g and beta2 = %g must be in [0, 1)",
                          spec->beta1, spec->beta2);
    if (!sgd && !((weft_real)spec->eps > 0 && isfinite(spec->eps)))
        return weft_error(WEFT_ERR_RANGE, "optimiser: eps = %g must be above 0", spec->eps);
    if (!in(spec->momentum, 0, 1))
        return weft_error(WEFT_ERR_RANGE, "optimiser: momentum = %g must be in [0, 1)",
                          spec->momentum);
    if (!sgd && spec->momentum != 0)
        return weft_error(WEFT_ERR_RANGE, "optimiser: momentum = %g belongs to SGD; Adam has beta1",
                          spec->momentum);
    if (!in(spec->weight_decay, 0, INFINITY))
        return weft_error(WEFT_ERR_RANGE,
                          "optimiser: weight_decay = %g must be finite and not negative",
                          spec->weight_decay);
    if (spec->kind == WEFT_ADAM && spec->weight_decay != 0)
        return weft_error(WEFT_ERR_RANGE, "optimiser: weight_decay = %g needs AdamW or SGD",
                          spec->weight_decay);
    if (!in(spec->clip, 0, INFINITY))
        return weft_error(WEFT_ERR_RANGE,
                          "optimiser: clip = %g must be finite and not negative (0: not clipped)",
                          spec->clip);
    return WEFT_OK;
}

static int blocks_of(const weft_optimiser_spec *spec)
{
    return spec->kind != WEFT_SGD ? 2 : spec->momentum != 0 ? 1 : 0;
}

size_t weft_optimiser_bytes(const weft_params *params, const weft_optimiser_spec *spec)
{
    const size_t size = (size_t)weft_params_block_size(params);
    return (size_t)blocks_of(spec) * size * sizeof(weft_real) +
           (size_t)weft_sweep_pieces((int64_t)size) * sizeof(double);
}

weft_optimiser *weft_optimiser_new(const weft_params *params, const weft_optimiser_spec *spec)
{
    weft_optimiser_spec s = *spec;
    if (s.beta1 == 0 && s.beta2 == 0 && s.eps == 0) s.beta1 = 0.9, s.beta2 = 0.98, s.eps = 1e-9;
    if (check_spec(&s) != WEFT_OK) return NULL;

    weft_optimiser *optimiser = weft_alloc(1, sizeof *optimiser);
    if (!optimiser) return NULL;
    optimiser->spec = s;
    optimiser->size = weft_params_block_size(params);
    optimiser->n_blocks = blocks_of(&s);
    for (int i = 0; i < optimiser->n_blocks; i++) {
        optimiser->blocks[i] = weft_alloc((size_t)optimiser->size, sizeof(weft_real));
        if (!optimiser->blocks[i]) goto no_memory;
    }
    optimiser->partial =
        weft_alloc((size_t)weft_sweep_pieces(optimiser->size), sizeof *optimiser->partial);
    if (!optimiser->partial) goto no_memory;
    return optimiser;

no_memory:
    weft_optimiser_free(optimiser);
    return NULL;
}

void weft_optimiser_free(weft_optimiser *optimiser)
{
    if (!optimiser) return;
    for (int i = 0; i < optimiser->n_blocks; i++) weft_free(optimiser->blocks[i]);
    weft_free(optimiser->partial);
    weft_free(optimiser);
}

int64_t weft_optimiser_updates(const weft_optimiser *optimiser) { return optimiser->n_updates; }

weft_status weft_optimiser_set_updates(weft_optimiser *optimiser, int64_t n_updates)
{
    if (n_updates < 0)
        return weft_error(WEFT_ERR_RANGE, "optimiser: %lld updates", (long long)n_updates);
    optimiser->n_updates = n_updates;
    return WEFT_OK;
}

int weft_optimiser_n_blocks(const weft_optimiser *optimiser) { return optimiser->n_blocks; }

const char *weft_optimiser_block_name(const weft_optimiser *optimiser, int index)
{
    return optimiser->spec.kind == WEFT_SGD ? "momentum" : adam_blocks[index];
}

weft_real *weft_optimiser_block(weft_optimiser *optimiser, int index)
{
    return optimiser->blocks[index];
}

/* The norm is not finite, so some gradient is not; or all are and their squares overflow. */
static weft_status bad_gradient(const weft_params *params, double norm)
{
    for (int i = 0; i < weft_params_count(params); i++) {
        const weft_tensor g = weft_params_gradient(params, i);
        const int64_t n = weft_size(&g);
        for (int64_t k = 0; k < n; k++) {
            if (isfinite(g.real[k])) continue;
            char shape[WEFT_SHAPE_TEXT];
            return weft_error(WEFT_ERR_NUMERIC,
                              "optimiser: the gradient of %s %s is %g at element %lld; nothing was "
                              "updated",
                              weft_params_name(params, i), weft_shape_text(&g, shape),
                              (double)g.real[k], (long long)k);
        }
    }
    return weft_error(WEFT_ERR_NUMERIC,
                      "optimiser: gradients of norm %g are too large to be squared; nothing was "
                      "updated (clip them, or lower the learning rate)",
                      norm);
}

weft_status weft_optimiser_step(weft_optimiser *optimiser, weft_params *params, double lr,
                                double gradient_scale, double *norm)
{
    const weft_optimiser_spec *spec = &optimiser->spec;
    const int64_t n = optimiser->size;
    if (weft_params_block_size(params) != n)
        return weft_error(
            WEFT_ERR_STATE,
            "optimiser: made for a block of %lld values, the parameters now have %lld; "
            "make it when all parameters are there",
            (long long)n, (long long)weft_params_block_size(params));
    if (!in(lr, 0, INFINITY) || !isfinite((weft_real)lr))
        return weft_error(
            WEFT_ERR_RANGE,
            "optimiser: learning rate %g must be finite, as a weft_real, and not negative", lr);
    if (!((weft_real)gradient_scale > 0 && isfinite((weft_real)gradient_scale)))
        return weft_error(
            WEFT_ERR_RANGE,
            "optimiser: gradient_scale = %g must be finite, as a weft_real, and above 0",
            gradient_scale);

    weft_real *p = weft_params_values(params), *g = weft_params_gradients(params);
    const double norm_g = gradient_scale * weft_sweep_norm(n, g, optimiser->partial);
    if (norm) *norm = norm_g;
    const double clip = weft_clip_factor(norm_g, spec->clip);
    /* An Adam whose v became infinite would stand still for ever without a word. */
    const double largest = spec->kind == WEFT_SGD ? clip * norm_g : pow(clip * norm_g, 2);
    if (!isfinite((weft_real)largest)) return bad_gradient(params, norm_g);

    const double factor = clip * gradient_scale;
    optimiser->n_updates++;
    if (spec->kind == WEFT_SGD)
        weft_sgd_sweep(spec, lr, factor, n, p, g, optimiser->blocks[0]);
    else
        weft_adam_sweep(spec, optimiser->n_updates, lr, factor, n, p, g, optimiser->blocks[0],
                        optimiser->blocks[1]);
    weft_params_changed(params);
    return WEFT_OK;
}
