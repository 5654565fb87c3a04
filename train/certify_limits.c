/* certify_limits.c - is there room for the longest input: in tables of positions, and in memory? */
#include "train/certify_internal.h"
#include "train/plan_internal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Tokens of the longest sentence of either side of an encoded corpus, with the one that begins or ends it. */
static void longest_of(const weft_corpus *corpus, int64_t longest[2])
{
    for (int side = 0; side < 2; side++) {
        longest[side] = 0;
        for (int64_t i = 0; i < weft_corpus_size(corpus); i++) {
            int64_t n = 0;
            if (weft_corpus_ids(corpus, (weft_side)side, i, &n) && n + 1 > longest[side])
                longest[side] = n + 1;
        }
    }
}

/* What something of the model can take, in tokens of a sentence, and the key that says so. */
typedef struct limit {
    int64_t most;
    bool source_alone; /* of the encoder */
    char what[96];
} limit;
enum { LIMITS = 3 };

/* Tables of positions, fixed lengths, and how far scaled rotary angles reach. */
static int limits_of(const weft_config *config, limit limits[LIMITS])
{
    int n = 0;
    if (config->model.position == WEFT_CONFIG_LEARNED)
        limits[n++] = (limit){ config->model.max_positions, false, "model.max_positions" };
    if (config->model.attention == WEFT_CONFIG_LINFORMER)
        limits[n++] = (limit){ config->model.linformer_length, true, "model.linformer_length" };
    if (config->model.position == WEFT_CONFIG_ROPE && config->model.rope_scaling == WEFT_SCALE_YARN)
        limits[n++] =
            (limit){ (int64_t)((double)config->model.rope_length * config->model.rope_factor),
                     false, "model.rope_factor times model.rope_length" };
    for (int i = 0; i < n; i++)
        snprintf(limits[i].what + strlen(limits[i].what),
                 sizeof limits[i].what - strlen(limits[i].what), " = %lld",
                 (long long)limits[i].most);
    return n;
}

/* A sentence of so many tokens, against all of them. */
static void ask_length(const weft_config *config, const int64_t length[2], const char *whose,
                       weft_certificate *c)
{
    limit limits[LIMITS];
    const int n = limits_of(config, limits);
    for (int i = 0; i < n; i++)
        for (int side = 0; side < 2; side++) {
            if (length[side] == 0 || (limits[i].source_alone && side == 1)) continue;
            c->n_questions++;
            if (length[side] > limits[i].most)
                weft_certify_fail(c, "%s %lld tokens, %s", whose, (long long)length[side],
                                  limits[i].what);
        }
}

/* The last length of which ProbSparse attention chooses all queries: c ceil(ln n) of n. */
static int64_t all_chosen(double factor)
{
    enum { MOST = 1 << 20 };
    int64_t last = 1;
    for (int64_t n = 1; n <= MOST; n++)
        if (ceil(factor * ceil(log((double)n))) >= (double)n) last = n;
    return last;
}

/* The last length of which each token sees all: up to the farthest block that the list has without a gap. */
static int64_t blocks_span(const weft_config *config, bool causal)
{
    int32_t offsets[WEFT_BLOCK_OFFSETS];
    const int n = weft_config_blocks(config, offsets);
    int64_t before = 0, after = 0;
    for (int i = n; i-- > 0;)
        if (offsets[i] == -before - 1) before++;
    for (int i = 0; i < n; i++)
        if (offsets[i] == after + 1) after++;
    return config->model.block * (1 + (causal || before < after ? before : after));
}

int64_t weft_certify_span(const weft_config *config, bool causal, const char **key)
{
    const int64_t half = config->model.window / 2 + 1, keys = causal ? config->model.window : half;
    switch (config->model.attention) {
    case WEFT_CONFIG_WINDOW: *key = "model.window"; return keys;
    case WEFT_CONFIG_DILATED: *key = "model.window"; return config->model.gap * (keys - 1) + 1;
    case WEFT_CONFIG_LONGFORMER: *key = "model.window"; return half; /* the decoder sees all */
    case WEFT_CONFIG_STRIDED: *key = "model.stride"; return config->model.stride + 1;
    case WEFT_CONFIG_FIXED: *key = "model.stride"; return config->model.stride;
    case WEFT_CONFIG_BIGBIRD:
        *key = "model.block";
        return config->model.block * (config->model.window_blocks / 2 + 1 +
                                      config->model.global_blocks + config->model.random_blocks);
    case WEFT_CONFIG_BLOCKS: *key = "model.blocks"; return blocks_span(config, causal);
    case WEFT_CONFIG_LSH: *key = "model.lsh_chunk"; return config->model.lsh_chunk;
    case WEFT_CONFIG_LINFORMER: *key = "model.linformer_k"; return config->model.linformer_k;
    case WEFT_CONFIG_PROBSPARSE:
    case WEFT_CONFIG_PROBSPARSE_CAUSAL:
        *key = "model.probsparse_factor";
        return all_chosen(config->model.probsparse_factor);
    default: return 0;
    }
}

/* What is no mistake, but perhaps not meant. */
enum { NOTES = 192 };
static void note(const weft_config *config, int64_t longest, char text[NOTES])
{
    const char *key = "";
    const bool running = config->model.kind == WEFT_CONFIG_DECODER_ONLY;
    const bool gaps = config->model.attention == WEFT_CONFIG_DILATED && config->model.gap > 1;
    size_t n = 0;
    text[0] = '\0';
    if (weft_certify_span(config, running, &key) >= longest && !gaps)
        n += (size_t)snprintf(text, NOTES, "; no text is beyond %s: each is seen whole", key);
    const bool scaled = config->model.position == WEFT_CONFIG_ROPE &&
                        config->model.rope_scaling >= WEFT_SCALE_DYNAMIC;
    if (scaled && longest > config->model.rope_length && n < NOTES)
        snprintf(text + n, NOTES - n, "; texts are longer than model.rope_length = %lld",
                 (long long)config->model.rope_length);
}

/* Sentences are not cut when they are translated: one that is too long is left out of validation, and ends
 * the final test. */
static weft_status ask_text(const weft_planner *p, weft_part part, weft_certificate *c)
{
    static const char *const parts[] = { "training", "validation", "test" };
    weft_corpus *corpus = NULL;
    if (p->config.model.kind == WEFT_CONFIG_DECODER_ONLY) return WEFT_OK; /* cut into windows */
    weft_status status = weft_dataset_read(&p->config, part, &corpus);
    if (status != WEFT_OK || !corpus) return status;
    status = weft_corpus_encode(corpus, p->vocabs[0], p->vocabs[1]);
    if (status == WEFT_OK) {
        int64_t longest[2];
        char whose[64];
        longest_of(corpus, longest);
        snprintf(whose, sizeof whose, "the %s text has a sentence of", parts[part]);
        ask_length(&p->config, longest, whose, c);
    }
    weft_corpus_free(corpus);
    return status;
}

/* *step_bytes of *here that the computer has. */
static weft_status ask_memory(weft_planner *p, weft_certificate *c, size_t *step_bytes,
                              size_t *here)
{
    const long pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE);
    weft_plan plan = { 0 };
    const weft_status status = weft_planner_plan(p, 0, &plan);
    if (status != WEFT_OK) return status;
    *step_bytes = plan.step;
    *here = pages > 0 && page_bytes > 0 ? (size_t)pages * (size_t)page_bytes : SIZE_MAX;
    c->n_questions++;
    if (plan.step > *here)
        weft_certify_fail(c,
                          "a step of %lld + %lld tokens takes %zu MiB, this computer has %zu: make "
                          "train.batch_tokens smaller (weft plan --memory)",
                          (long long)plan.source_tokens, (long long)plan.target_tokens,
                          plan.step >> 20, *here >> 20);
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

/* Texts, and the step of their largest batch. */
static weft_status ask_data(const weft_config *config, weft_certificate *c)
{
    weft_planner *p = NULL;
    int64_t dropped = 0, sides[2] = { 0, 0 };
    size_t step_bytes = 0, here = 0;
    char notes[NOTES] = "";
    weft_status status = weft_planner_new(config, NULL, &p);
    if (status == WEFT_OK) longest_of(p->corpus, sides);
    if (status == WEFT_OK) status = count_dropped(p, &dropped);
    if (status == WEFT_OK) status = ask_text(p, WEFT_PART_VALID, c);
    if (status == WEFT_OK) status = ask_text(p, WEFT_PART_TEST, c);
    if (status == WEFT_OK) status = ask_memory(p, c, &step_bytes, &here);
    int64_t longest = sides[0] > sides[1] ? sides[0] : sides[1];
    const bool running = config->model.kind == WEFT_CONFIG_DECODER_ONLY; /* text is cut */
    if (running && longest > config->data.max_length) longest = config->data.max_length;
    note(config, longest, notes);
    weft_certify_say(c,
                     "longest training sentence %lld tokens (%lld sentences are left out); a step "
                     "takes %zu of %zu MiB%s",
                     (long long)longest, (long long)dropped, step_bytes >> 20, here >> 20, notes);
    weft_planner_free(p);
    return status;
}

/* Without texts: the step with as many of the longest sentences as a batch may have. */
static weft_status ask_shape(const weft_config *config, weft_certificate *c)
{
    const int64_t longest = config->data.max_length;
    const weft_plan_shape shape = { .length = longest, .V = config->data.max_vocab };
    weft_planner *p = NULL;
    size_t step_bytes = 0, here = 0;
    char notes[NOTES] = "", memory[96] = "; no data.max_vocab says what a step takes";
    weft_status status = WEFT_OK;
    if (shape.V > 0) {
        status = weft_planner_new(config, &shape, &p);
        if (status == WEFT_OK) status = ask_memory(p, c, &step_bytes, &here);
        snprintf(memory, sizeof memory, "; a step takes %zu of %zu MiB", step_bytes >> 20,
                 here >> 20);
        weft_planner_free(p);
    }
    note(config, longest, notes);
    weft_certify_say(c, "sentences of up to %lld tokens; the configuration names no data%s%s",
                     (long long)longest, memory, notes);
    return status;
}

weft_status weft_certify_limits(const weft_config *config, weft_certificate *certificate)
{
    weft_certificate *c = certificate;
    const int64_t most = config->data.max_length + 1, said = config->train.max_decode_length;
    *c = (weft_certificate){ .verdict = WEFT_HOLDS };
    ask_length(config, (const int64_t[]){ most, most }, "data.max_length asks for", c);
    ask_length(config, (const int64_t[]){ 0, said > 0 ? said + 1 : 0 },
               "train.max_decode_length asks for", c);
    if (c->verdict == WEFT_FAILS) return WEFT_OK;
    if (config->data.train[0] != '\0' || config->data.task[0] != '\0') return ask_data(config, c);
    return ask_shape(config, c);
}
