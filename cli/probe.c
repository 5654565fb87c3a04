/* probe.c - print what train/probe.h finds out about a configuration. */
#include "cli/probe.h"
#include "train/probe.h"

#include <stdio.h>

static const char *verdict(bool good) { return good ? "fine" : "NOT AS IT SHOULD BE"; }

weft_status weft_cli_sanity(const weft_config *config, bool *passed)
{
    enum { MOST_UPDATES = 10 * WEFT_SANITY_UPDATES };
    weft_sanity s;
    const weft_status status = weft_sanity_check(config, MOST_UPDATES, &s);
    if (status != WEFT_OK) return status;
    printf("gradient norm  parameters  layer\n");
    for (int i = 0; i < s.n_layers; i++)
        printf("%13.4g  %10lld  %s\n", s.layers[i].norm, (long long)s.layers[i].size,
               s.layers[i].name);
    printf("every layer has a gradient: %s\n", verdict(s.reaches_all));
    printf("first loss %.4f, ln V = %.4f: %s\n", s.first_loss, s.uniform_loss,
           !s.starts_blind  ? "NOT AS IT SHOULD BE, the model sees what it predicts"
           : !s.starts_even ? "logits are large at the beginning, which costs the first updates"
                            : "fine");
    printf("one batch of %lld sentences, %lld tokens, by heart: loss %.4f after %lld updates: %s\n",
           (long long)s.sentences, (long long)s.tokens, s.last_loss, (long long)s.updates,
           verdict(s.learns));
    *passed = s.reaches_all && s.starts_blind && s.learns;
    weft_sanity_free(&s);
    return WEFT_OK;
}

weft_status weft_cli_rate_range(const weft_config *config)
{
    enum { N_UPDATES = 200, EVERY = 10 };
    weft_rate_point points[N_UPDATES];
    int64_t n;
    const weft_status status = weft_rate_range(config, N_UPDATES, 1e-6, 1, points, &n);
    if (status != WEFT_OK) return status;
    printf("learning rate      loss\n");
    for (int64_t i = 0; i < n; i++)
        if (i % EVERY == 0 || i == n - 1) printf("%13.3g  %8.4f\n", points[i].lr, points[i].loss);
    if (n < N_UPDATES) printf("beyond it the loss explodes\n");
    const weft_rate_advice advice = weft_rate_advise(points, n);
    if (advice.to > 0)
        printf(
            "the loss falls fastest at %.2g and is least at %.2g: a highest rate between %.2g and "
            "%.2g is a good start\n",
            advice.steepest, advice.least, advice.from, advice.to);
    else
        printf("the loss falls at none of these rates: does --sanity find the model sound?\n");
    return WEFT_OK;
}
