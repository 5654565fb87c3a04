/* certify_limits.c - is there room for the longest input: in tables of positions, and in memory? */
#include "train/certify_internal.h"
#include "train/plan_internal.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Tokens of the longest sentence of an encoded corpus, with the one that begins or ends it. */
static int64_t longest_of(const weft_corpus *corpus)
{
    int64_t most = 0;
    for (int64_t i = 0; i < weft_corpus_size(corpus); i++)
        for (int side = 0; side < 2; side++) {
            int64_t n = 0;
            if (weft_corpus_ids(corpus, (weft_side)side, i, &n) && n + 1 > most) most = n + 1;
        }
    return most;
}

/* What a model can take, in tokens of a sentence. */
static int64_t most_tokens(const weft_config *config)
{
    return config->model.position == WEFT_CONFIG_LEARNED ? config->model.max_positions : INT64_MAX;
}

/* Sentences are not cut when they are translated: one that is too long ends the run. */
static weft_status ask_text(const weft_planner *p, weft_part part, weft_certificate *c)
{
    static const char *const parts[] = { "training", "validation", "test" };
    weft_corpus *corpus = NULL;
    if (p->config.model.kind == WEFT_CONFIG_DECODER_ONLY) return WEFT_OK; /* cut into windows */
    weft_status status = weft_dataset_read(&p->config, part, &corpus);
    if (status != WEFT_OK || !corpus) return status;
    status = weft_corpus_encode(corpus, p->vocabs[0], p->vocabs[1]);
    if (status == WEFT_OK) {
        const int64_t longest = longest_of(corpus), most = most_tokens(&p->config);
        c->n_questions++;
        if (longest > most)
            weft_certify_fail(
                c, "the %s text has a sentence of %lld tokens, model.max_positions = %lld",
                parts[part], (long long)longest, (long long)most);
    }
    weft_corpus_free(corpus);
    return status;
}

static weft_status ask_memory(weft_planner *p, weft_certificate *c, size_t *step, size_t *here)
{
    weft_plan plan;
    const long pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE);
    const weft_status status = weft_planner_plan(p, 0, &plan);
    if (status != WEFT_OK) return status;
    *step = plan.step;
    *here = pages > 0 && page_bytes > 0 ? (size_t)pages * (size_t)page_bytes : SIZE_MAX;
    c->n_questions++;
    if (*step > *here)
        weft_certify_fail(c,
                          "a step of %lld + %lld tokens takes %zu MiB, this computer has %zu: make "
                          "train.batch_tokens smaller (weft plan --memory)",
                          (long long)plan.source_tokens, (long long)plan.target_tokens, *step >> 20,
                          *here >> 20);
    weft_plan_release(&plan);
    return WEFT_OK;
}

/* How many sentences training leaves out. */
static weft_status count_dropped(const weft_planner *p, int64_t *dropped)
{
    weft_batches *batches;
    const weft_vocab *const vocabs[2] = { p->vocabs[0], p->vocabs[1] };
    const weft_status status = weft_trainer_batches(&p->config, vocabs, p->corpus, false, &batches);
    if (status != WEFT_OK) return status;
    *dropped = weft_batches_get_limits(batches).dropped;
    weft_batches_free(batches);
    return WEFT_OK;
}

static weft_status ask_data(const weft_config *config, weft_certificate *c)
{
    weft_planner *p = NULL;
    int64_t dropped = 0, longest = 0;
    size_t step = 0, here = 0;
    weft_status status = weft_planner_new(config, NULL, &p);
    if (status == WEFT_OK) longest = longest_of(p->corpus);
    if (status == WEFT_OK) status = count_dropped(p, &dropped);
    if (status == WEFT_OK) status = ask_text(p, WEFT_PART_VALID, c);
    if (status == WEFT_OK) status = ask_text(p, WEFT_PART_TEST, c);
    if (status == WEFT_OK) status = ask_memory(p, c, &step, &here);
    if (config->model.kind == WEFT_CONFIG_DECODER_ONLY)
        longest = config->data.max_length; /* running text is cut */
    weft_certify_say(c,
                     "longest training sentence %lld tokens (data.max_length = %lld leaves out "
                     "%lld sentences); a step takes %zu of %zu MiB",
                     (long long)longest, (long long)config->data.max_length, (long long)dropped,
                     step >> 20, here >> 20);
    weft_planner_free(p);
    return status;
}

weft_status weft_certify_limits(const weft_config *config, weft_certificate *certificate)
{
    weft_certificate *c = certificate;
    const int64_t most = most_tokens(config);
    *c = (weft_certificate){ .verdict = WEFT_HOLDS };
    const int64_t asked[] = { config->data.max_length + 1, config->train.max_decode_length + 1 };
    for (int i = 0; i < 2; i++) {
        c->n_questions++;
        if (asked[i] > most)
            weft_certify_fail(c, "%s asks for %lld positions, model.max_positions = %lld",
                              i ? "train.max_decode_length" : "data.max_length",
                              (long long)asked[i], (long long)most);
    }
    if (c->verdict == WEFT_FAILS) return WEFT_OK;
    if (config->data.train[0] != '\0' || config->data.task[0] != '\0') return ask_data(config, c);
    weft_certify_say(c, "sentences of up to %lld tokens; the configuration names no data",
                     (long long)config->data.max_length);
    return WEFT_OK;
}
