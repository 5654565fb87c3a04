/* sample.c - text that goes on from a prompt. */
#include "data/vocab.h"
#include "train/decode_internal.h"

#include <assert.h>
#include <math.h>
#include <string.h>

typedef struct sampler {
    const weft_sample_spec *spec;
    weft_reader reader;
    int64_t context; /* INT64_MAX: no limit */
    uint64_t key;
    weft_choice *choices; /* [V] */
    int32_t *ids;         /* prompt and what was said */
    int64_t n, begin;     /* of ids; the reader has read ids[begin .. begin + t - 1] */
} sampler;

/* No tokens that would end n of them a second time. */
static void forbid_repeats(const sampler *s)
{
    const int64_t n = s->spec->no_repeat_ngram;
    if (n == 0 || s->n < n) return;
    const int32_t *const last = s->ids + s->n - (n - 1);
    for (int64_t i = n - 1; i < s->n; i++)
        if (memcmp(s->ids + i - (n - 1), last, (size_t)(n - 1) * sizeof *last) == 0)
            s->choices[s->ids[i]].logit = -INFINITY;
}

/* The token at place s->n, with one uniform number. */
static weft_status draw(sampler *s, const weft_tensor *logits, int32_t *id)
{
    const weft_sample_spec *spec = s->spec;
    const int64_t V = weft_size(logits);
    assert(logits->real);
    for (int64_t i = 0; i < V; i++) {
        s->choices[i] = (weft_choice){ .logit = (double)logits->real[i], .id = (int32_t)i };
        if (!isfinite(s->choices[i].logit))
            return weft_error(WEFT_ERR_NUMERIC, "weft_sample: the logit of token %lld is %g",
                              (long long)i, s->choices[i].logit);
    }
    forbid_repeats(s);
    *id = weft_draw(s->choices, V, spec->temperature, spec->top_k, spec->top_p,
                    weft_random_uniform(s->key, (uint64_t)s->n, 0));
    return WEFT_OK;
}

/* Read all tokens that were not read yet; the logits of the last one. */
static weft_status read_on(sampler *s, weft_tensor *logits)
{
    weft_reader *const reader = &s->reader;
    if (s->n - s->begin > s->context) { /* full: forget the older half, or all but the last */
        const int64_t kept = s->context > 1 ? s->context / 2 : 1;
        s->begin = s->n - (reader->t > 0 ? kept : s->context);
        weft_reader_rewind(reader);
    }
    weft_var last = WEFT_NIL;
    while (s->begin + reader->t < s->n) {
        last = weft_reader_step(reader, &s->ids[s->begin + reader->t]);
        if (weft_tape_status(reader->tape) != WEFT_OK) return weft_tape_status(reader->tape);
        const weft_status status = weft_reader_keep(reader, 1, (int32_t[]){ 0 });
        if (status != WEFT_OK) return status;
    }
    *logits = weft_value(reader->tape, last);
    return weft_tape_status(reader->tape);
}

static weft_status check(int64_t n_prompt, const weft_sample_spec *spec)
{
    if (n_prompt < 1)
        return weft_error(WEFT_ERR_RANGE, "weft_sample: the prompt needs at least one token");
    if (spec->n_tokens < 0 || spec->n_tokens > INT32_MAX || n_prompt > INT32_MAX)
        return weft_error(WEFT_ERR_RANGE, "weft_sample: %lld tokens after a prompt of %lld",
                          (long long)spec->n_tokens, (long long)n_prompt);
    if (spec->context < 0)
        return weft_error(WEFT_ERR_RANGE, "weft_sample: a context of %lld is negative",
                          (long long)spec->context);
    if (spec->no_repeat_ngram < 0)
        return weft_error(WEFT_ERR_RANGE, "weft_sample: no_repeat_ngram %lld is negative",
                          (long long)spec->no_repeat_ngram);
    return weft_draw_check("weft_sample", spec->temperature, spec->top_k, spec->top_p);
}

static weft_status generate(sampler *s, int64_t n_prompt, weft_hypotheses *out)
{
    while (s->n < n_prompt + s->spec->n_tokens) {
        weft_tensor logits = { .rank = 0 };
        weft_status status = read_on(s, &logits);
        int32_t id = WEFT_EOS;
        if (status == WEFT_OK) status = draw(s, &logits, &id);
        if (status != WEFT_OK) return status;
        if (id == WEFT_EOS) break;
        s->ids[s->n++] = id;
    }
    int64_t *const offsets = weft_alloc(2, sizeof *offsets);
    if (!offsets) return WEFT_ERR_MEMORY;
    offsets[1] = s->n - n_prompt;
    memmove(s->ids, s->ids + n_prompt, (size_t)offsets[1] * sizeof *s->ids);
    weft_hypotheses_free(out);
    *out = (weft_hypotheses){ .B = 1, .offsets = offsets, .ids = s->ids };
    s->ids = NULL;
    return WEFT_OK;
}

weft_status weft_sample(const weft_transformer *model, weft_tape *tape, const int32_t *prompt,
                        int64_t n_prompt, const weft_sample_spec *spec, weft_hypotheses *out)
{
    weft_status status = weft_decode_check("weft_sample", model, tape, true);
    if (status == WEFT_OK) status = check(n_prompt, spec);
    if (status != WEFT_OK) return status;
    sampler s = { .spec = spec,
                  .context = spec->context > 0 ? spec->context : INT64_MAX,
                  .key = weft_random_key(spec->seed, 0, 0),
                  .choices = weft_alloc((size_t)model->config.target_V, sizeof *s.choices),
                  .ids = weft_alloc((size_t)(n_prompt + spec->n_tokens), sizeof *s.ids),
                  .n = n_prompt };
    if (model->config.position == WEFT_POSITION_LEARNED && s.context > model->config.max_positions)
        s.context = model->config.max_positions;
    status = weft_reader_init(&s.reader, model, tape, 1, 1, 1);
    if (!s.choices || !s.ids) status = WEFT_ERR_MEMORY;
    if (status == WEFT_OK) {
        memcpy(s.ids, prompt, (size_t)n_prompt * sizeof *s.ids);
        status = generate(&s, n_prompt, out);
    }
    weft_reader_free(&s.reader);
    weft_free(s.choices);
    weft_free(s.ids);
    return status;
}
