/* plan.c - the memory of a training step, from a dry run. */
#include "train/plan_internal.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum { MOST_BATCH_TOKENS = 100000000 }; /* that train.batch_tokens may be */

void weft_plan_release(weft_plan *plan)
{
    weft_free(plan->parts);
    *plan = (weft_plan){ 0 };
}

/* ---- the model ---------------------------------------------------------------------------------- */

static weft_status read_data(weft_planner *p, int64_t V[2])
{
    const weft_config *config = &p->config;
    weft_status status = weft_dataset_read(config, WEFT_PART_TRAIN, &p->corpus);
    if (status == WEFT_OK)
        status = weft_dataset_vocabs(config, p->corpus, &p->vocabs[0], &p->vocabs[1]);
    if (status == WEFT_OK) status = weft_corpus_encode(p->corpus, p->vocabs[0], p->vocabs[1]);
    if (status != WEFT_OK) return status;
    for (int side = 0; side < 2; side++)
        V[side] = p->vocabs[side] ? weft_vocab_size(p->vocabs[side]) : 0;
    return WEFT_OK;
}

static weft_status make_up(weft_planner *p, const weft_plan_shape *shape, int64_t V[2])
{
    if (shape->length < 1 || shape->length > MOST_BATCH_TOKENS || shape->V < 1 ||
        shape->V > INT32_MAX)
        return weft_error(WEFT_ERR_RANGE, "weft_planner_new: sentences of %lld tokens out of %lld",
                          (long long)shape->length, (long long)shape->V);
    p->made_up = true;
    p->shape = *shape;
    V[0] = V[1] = shape->V;
    return WEFT_OK;
}

weft_status weft_planner_new(const weft_config *config, const weft_plan_shape *shape,
                             weft_planner **planner)
{
    int64_t V[2] = { 0, 0 };
    *planner = NULL;
    weft_planner *p = weft_alloc(1, sizeof *p);
    if (!p) return WEFT_ERR_MEMORY;
    p->config = *config;
    weft_status status = shape ? make_up(p, shape, V) : read_data(p, V);
    if (status == WEFT_OK && (p->params = weft_params_new_dry()) == NULL) status = WEFT_ERR_MEMORY;
    if (status == WEFT_OK) {
        const weft_transformer_config model = weft_model_shape(config, V[0], V[1]);
        status = weft_transformer_init(&p->model, p->params, &model);
    }
    if (status == WEFT_OK)
        *planner = p;
    else
        weft_planner_free(p);
    return status;
}

void weft_planner_free(weft_planner *p)
{
    if (!p) return;
    if (p->vocabs[0] != p->vocabs[1]) weft_vocab_free(p->vocabs[0]);
    weft_vocab_free(p->vocabs[1]);
    weft_corpus_free(p->corpus);
    weft_params_free(p->params);
    weft_free(p);
}

/* ---- the account of a step ---------------------------------------------------------------------- */

/* "encoder.layers.0" of "encoder.layers.0.self_attn", "encoder" of "encoder". */
static void part_name(const char *scope, char name[WEFT_PLAN_NAME])
{
    const char *layers = strstr(scope, ".layers.");
    const size_t n = layers ? (size_t)(layers - scope) + strlen(".layers.") +
                                  strcspn(layers + strlen(".layers."), ".")
                            : strcspn(scope, ".");
    snprintf(name, WEFT_PLAN_NAME, "%.*s", (int)n, scope);
}

static weft_plan_part *part_of(weft_plan *plan, const char *scope)
{
    char name[WEFT_PLAN_NAME];
    part_name(scope, name);
    for (int i = 0; i < plan->n_parts; i++)
        if (strcmp(plan->parts[i].name, name) == 0) return &plan->parts[i];
    weft_plan_part *part = &plan->parts[plan->n_parts++];
    *part = (weft_plan_part){ .activations = 0 };
    memcpy(part->name, name, sizeof name);
    return part;
}

static weft_status enter(const weft_account *account, weft_plan *plan)
{
    plan->parts = weft_alloc((size_t)account->n_rows, sizeof *plan->parts);
    if (!plan->parts) return WEFT_ERR_MEMORY;
    plan->batch = account->leaves;
    plan->workspace = account->workspace;
    plan->gaps = account->gaps;
    plan->tape = account->peak;
    for (int i = 0; i < account->n_rows; i++) {
        const weft_account_row *row = &account->rows[i];
        if (strcmp(row->scope, "generator") == 0) {
            plan->output += row->values + row->saved + row->gradients;
            continue;
        }
        weft_plan_part *part = part_of(plan, row->scope);
        part->activations += row->values + row->saved;
        part->gradients += row->gradients;
    }
    return WEFT_OK;
}

static weft_status account(weft_planner *p, const weft_batch *batch, bool by_part, weft_plan *plan)
{
    const weft_config *config = &p->config;
    const weft_optimiser_spec spec = weft_trainer_optimiser(config);
    const size_t block = (size_t)weft_params_block_size(p->params) * sizeof(weft_real);
    plan->sentences = batch->target.B;
    plan->source_tokens = batch->source.N;
    plan->target_tokens = batch->target.N;
    plan->parameters = plan->gradients = block;
    plan->optimiser = weft_optimiser_bytes(p->params, &spec);
    plan->average = config->train.ema > 0 ? block : 0;
    weft_tape *tape =
        weft_tape_new(WEFT_DRY | (by_part ? WEFT_ACCOUNT : 0) | weft_trainer_tape_flags(config));
    if (!tape) return WEFT_ERR_MEMORY;
    const weft_var loss = weft_transformer_loss(&p->model, tape, batch, NULL);
    weft_status status = weft_backward(tape, loss, NULL);
    if (status == WEFT_OK) plan->tape = weft_tape_peak_bytes(tape);
    if (status == WEFT_OK && by_part) status = enter(weft_tape_account(tape), plan);
    if (status == WEFT_OK) status = weft_tape_status(tape); /* the account may fail, too */
    weft_tape_free(tape);
    plan->step = plan->parameters + plan->gradients + plan->optimiser + plan->average + plan->tape;
    return status;
}

/* ---- batches ------------------------------------------------------------------------------------ */

/* Sentences of one length; a dry tape looks at no ids and no offsets. */
static weft_status plan_made_up(weft_planner *p, bool by_part, weft_plan *plan)
{
    const int64_t length =
        p->shape.length < plan->batch_tokens ? p->shape.length : plan->batch_tokens;
    const weft_tokens side = { .B = plan->batch_tokens / length,
                               .N = plan->batch_tokens / length * length,
                               .longest = length };
    weft_batch batch = { .source = side, .target = side };
    if (p->model.config.decoder_only) batch.source = (weft_tokens){ 0 };
    return account(p, &batch, by_part, plan);
}

static weft_status plan_step(weft_planner *p, int64_t batch_tokens, bool by_part, weft_plan *plan)
{
    *plan = (weft_plan){ .batch_tokens = batch_tokens };
    if (p->made_up) return plan_made_up(p, by_part, plan);
    weft_config config = p->config;
    weft_batches *batches = NULL;
    weft_batch largest;
    config.train.batch_tokens = batch_tokens;
    weft_status status =
        weft_trainer_batches(&config, (const weft_vocab *const[]){ p->vocabs[0], p->vocabs[1] },
                             p->corpus, false, &batches);
    if (status != WEFT_OK) return status;
    weft_batches_largest(batches, &largest);
    status = account(p, &largest, by_part, plan);
    weft_batches_free(batches);
    return status;
}

weft_status weft_planner_plan(weft_planner *p, int64_t batch_tokens, weft_plan *plan)
{
    *plan = (weft_plan){ 0 };
    if (batch_tokens < 0 || batch_tokens > MOST_BATCH_TOKENS)
        return weft_error(WEFT_ERR_RANGE, "weft_planner_plan: batches of %lld tokens",
                          (long long)batch_tokens);
    if (batch_tokens == 0) batch_tokens = p->config.train.batch_tokens;
    const weft_status status = plan_step(p, batch_tokens, true, plan);
    if (status != WEFT_OK) weft_plan_release(plan);
    return status;
}

/* Does the step fit? Limits that let no sentence through do, with no bytes at all. */
static weft_status fits(weft_planner *p, int64_t batch_tokens, size_t bytes, bool *answer,
                        int64_t *tokens)
{
    weft_plan plan;
    *tokens = 0;
    weft_status status = plan_step(p, batch_tokens, false, &plan);
    if (status == WEFT_ERR_INPUT) {
        *answer = true;
        return WEFT_OK;
    }
    *answer = status == WEFT_OK && plan.step <= bytes;
    *tokens = plan.source_tokens + plan.target_tokens;
    /* A dry arena that overflows is a step that does not fit. */
    return status == WEFT_ERR_MEMORY || status == WEFT_ERR_OVERFLOW ? WEFT_OK : status;
}

/* Double until it does not fit, or until all of the corpus is in one batch; then halve between. */
static weft_status search(weft_planner *p, size_t bytes, int64_t *best)
{
    int64_t low = 0, high = 1, tokens = 0, before = -1;
    bool answer = true;
    for (;;) {
        const weft_status status = fits(p, high, bytes, &answer, &tokens);
        if (status != WEFT_OK) return status;
        if (!answer) break;
        low = high;
        if ((tokens > 0 && tokens == before) || high == MOST_BATCH_TOKENS) break;
        before = tokens;
        high = high > MOST_BATCH_TOKENS / 2 ? MOST_BATCH_TOKENS : 2 * high;
    }
    while (!answer && high - low > 1) {
        bool middle;
        const int64_t at = low + (high - low) / 2;
        const weft_status status = fits(p, at, bytes, &middle, &tokens);
        if (status != WEFT_OK) return status;
        if (middle)
            low = at;
        else
            high = at;
    }
    *best = low;
    return WEFT_OK;
}

weft_status weft_planner_largest(weft_planner *p, size_t bytes, weft_plan *plan)
{
    int64_t best = 0;
    *plan = (weft_plan){ 0 };
    weft_status status = search(p, bytes, &best);
    if (status != WEFT_OK) return status;
    status = best > 0 ? plan_step(p, best, true, plan) : WEFT_ERR_INPUT;
    if (status == WEFT_ERR_INPUT) {
        const weft_optimiser_spec spec = weft_trainer_optimiser(&p->config);
        const size_t block = (size_t)weft_params_block_size(p->params) * sizeof(weft_real);
        status = weft_error(WEFT_ERR_MEMORY,
                            "no batch fits into %zu bytes: parameters, gradients and optimiser "
                            "alone take %zu",
                            bytes, 2 * block + weft_optimiser_bytes(p->params, &spec));
    }
    if (status != WEFT_OK) weft_plan_release(plan);
    return status;
}
