/* bench_step.c - `weft bench step`: one training step, forward to Adam, beside its matrix products. */
#include "cli/bench_internal.h"
#include "cli/cli.h"
#include "cli/multi30k_lengths.h"
#include "cli/options.h"
#include "core/core.h"
#include "layers/layers.h"
#include "optim/optim.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

/* The models that weft's speed is measured by. Dropout and final norms are where nn.Transformer has
 * them, so that PyTorch does the same work. */
static const struct workload {
    const char *name;
    weft_transformer_config config;
    int64_t n_sentences, length; /* of each batch; 0: batches of the real lengths */
} workloads[] = {
    { "tiny",
      { .layer = { .D = 128,
                   .F = 256,
                   .heads = 4,
                   .activation = WEFT_RELU,
                   .dropout = 0.3,
                   .attention_dropout = 0.3,
                   .activation_dropout = 0.3,
                   .init = { .kind = WEFT_INIT_XAVIER_UNIFORM } },
        .encoder_layers = 4,
        .decoder_layers = 4,
        .source_V = 9712,
        .target_V = 9712,
        .tie = WEFT_TIE_ALL,
        .final_norm = true,
        .loss = { .smoothing = 0.1 } },
      0,
      0 },
    { "base",
      { .layer = { .D = 512,
                   .F = 2048,
                   .heads = 8,
                   .activation = WEFT_RELU,
                   .dropout = 0.1,
                   .attention_dropout = 0.1,
                   .activation_dropout = 0.1,
                   .init = { .kind = WEFT_INIT_XAVIER_UNIFORM } },
        .encoder_layers = 6,
        .decoder_layers = 6,
        .source_V = 8000,
        .target_V = 8000,
        .tie = WEFT_TIE_ALL,
        .final_norm = true,
        .loss = { .smoothing = 0.1 } },
      16,
      64 },
    { "gpt",
      { .decoder_only = true,
        .layer = { .D = 256,
                   .F = 1024,
                   .heads = 8,
                   .place = WEFT_PRE_NORM,
                   .activation = WEFT_GELU_TANH,
                   .init = { WEFT_INIT_NORMAL, 0.02, 0 } },
        .decoder_layers = 6,
        .target_V = 8000,
        .tie = WEFT_TIE_TARGET,
        .final_norm = true,
        .no_embed_scale = true,
        .position = WEFT_POSITION_LEARNED,
        .max_positions = 128,
        .embedding_std = 0.02 },
      8,
      128 },
};
enum { BATCH_TOKENS = 4096, MOST_BATCHES = 256, WARM_UP = 2, MOST_STEPS = 10000 };
enum { N_LENGTHS = sizeof multi30k_lengths / sizeof multi30k_lengths[0] };

/* ---- batches ------------------------------------------------------------------------------------ */

/* Room for one batch; both sides are filled anew for each step. */
typedef struct feed {
    int32_t *ids[2], *labels, *offsets[2], *rows[2];
    weft_batch batch;
} feed;

static int64_t most_tokens(const struct workload *w)
{
    return w->n_sentences > 0 ? w->n_sentences * w->length : BATCH_TOKENS;
}

static weft_status feed_init(feed *f, const struct workload *w)
{
    const size_t N = (size_t)most_tokens(w);
    bool ok = (f->labels = weft_alloc(N, sizeof(int32_t))) != NULL;
    for (int side = 0; side < 2 && ok; side++)
        ok = (f->ids[side] = weft_alloc(N, sizeof(int32_t))) &&
             (f->offsets[side] = weft_alloc(N + 1, sizeof(int32_t))) &&
             (f->rows[side] = weft_alloc(2 * N, sizeof(int32_t)));
    return ok ? WEFT_OK : WEFT_ERR_MEMORY;
}

static void feed_free(feed *f)
{
    weft_free(f->labels);
    for (int side = 0; side < 2; side++) {
        weft_free(f->ids[side]);
        weft_free(f->offsets[side]);
        weft_free(f->rows[side]);
    }
}

static void add_sentence(weft_tokens *side, feed *f, int which, int64_t length, int64_t V,
                         uint64_t key)
{
    int64_t N = side->N;
    for (int64_t k = 0; k < length; k++, N++) {
        f->ids[which][N] = 4 + (int32_t)weft_random_below(key, (uint64_t)N, (uint64_t)V - 4);
        f->rows[which][2 * N] = (int32_t)side->B;
        f->rows[which][2 * N + 1] = (int32_t)k;
    }
    f->offsets[which][++side->B] = (int32_t)N;
    side->N = N;
}

static void begin_batch(feed *f)
{
    f->batch.source = (weft_tokens){ 0, 0, f->ids[0], f->offsets[0], f->rows[0] };
    f->batch.target = (weft_tokens){ 0, 0, f->ids[1], f->offsets[1], f->rows[1] };
    f->batch.labels = f->labels;
}

static void add_pair(feed *f, const struct workload *w, int64_t source, int64_t target)
{
    const uint64_t key = weft_random_key(1, 0, 1);
    if (!w->config.decoder_only)
        add_sentence(&f->batch.source, f, 0, source, w->config.source_V, key);
    add_sentence(&f->batch.target, f, 1, target, w->config.target_V, key + 1);
}

/* Walk through the lengths in their order, cutting where longest x sentences would exceed 4,096 as
 * fairseq's --max-tokens does. Fills batch `wanted` where f is given; returns how many there are. */
static int64_t real_batches(feed *f, const struct workload *w, int64_t wanted)
{
    int64_t n_batches = 0, n = 0;
    int longest = 0;
    for (int i = 0; i < N_LENGTHS; i++) {
        const int source = multi30k_lengths[i].source, target = multi30k_lengths[i].target;
        const int longer = source > target ? source : target;
        for (int k = 0; k < multi30k_lengths[i].count; k++) {
            if (longer > longest) longest = longer;
            if (longest * (n + 1) > BATCH_TOKENS) {
                n_batches++;
                n = 0;
                longest = longer;
            }
            n++;
            if (f && n_batches == wanted) add_pair(f, w, source, target);
        }
    }
    return n_batches + 1;
}

static void make_batch(feed *f, const struct workload *w, int64_t step)
{
    begin_batch(f);
    if (w->n_sentences > 0) {
        for (int64_t b = 0; b < w->n_sentences; b++) add_pair(f, w, w->length, w->length);
    } else {
        int64_t order[MOST_BATCHES];
        const int64_t n = real_batches(NULL, w, 0);
        weft_random_permutation(weft_random_key(1, 0, 0), n, order);
        (void)real_batches(f, w, order[step % n]);
    }
    const uint64_t key = weft_random_key(1, (uint64_t)step, 2);
    for (int64_t i = 0; i < f->batch.target.N; i++)
        f->labels[i] =
            4 + (int32_t)weft_random_below(key, (uint64_t)i, (uint64_t)w->config.target_V - 4);
}

/* ---- measuring ---------------------------------------------------------------------------------- */

typedef struct bench {
    struct workload workload;
    weft_transformer *model;
    weft_params *params;
    weft_tape *tape;
    weft_optimiser *adam;
    weft_bench_profile *profile; /* NULL: not wanted */
    feed feed;
    bool bf16;
    bool other_sizes; /* than the workload's own */
    double *times_s;
    int64_t n_steps, n_tokens;       /* of the steps that count */
    long long peak_MiB;              /* most resident memory until the last of them */
    int64_t n_faults, n_allocations; /* in them: page faults without a disk, blocks of the heap */
    double gemm_ms; /* the products alone, before and after the steps: the mean; 0 where
                                  the sizes are not the workload's */
} bench;

static weft_status bench_free(bench *b)
{
    weft_optimiser_free(b->adam);
    weft_tape_free(b->tape);
    weft_params_free(b->params);
    weft_free(b->model);
    feed_free(&b->feed);
    weft_free(b->times_s);
    return weft_bench_profile_free(b->profile);
}

static weft_status bench_init(bench *b)
{
    b->model = weft_alloc(1, sizeof *b->model);
    b->times_s = weft_alloc((size_t)b->n_steps, sizeof *b->times_s);
    b->params = weft_params_new(1);
    b->tape = weft_tape_new(b->bf16 ? WEFT_BF16 : 0);
    if (!b->model || !b->times_s || !b->params || !b->tape) return WEFT_ERR_MEMORY;
    weft_status status = feed_init(&b->feed, &b->workload);
    if (status == WEFT_OK) status = weft_transformer_init(b->model, b->params, &b->workload.config);
    if (status != WEFT_OK) return status;
    b->adam = weft_optimiser_new(b->params, &(weft_optimiser_spec){ .kind = WEFT_ADAM });
    return b->adam ? WEFT_OK : WEFT_ERR_MEMORY;
}

/* Memory for the largest of the batches to come, found out without computing. */
static weft_status reserve(bench *b)
{
    weft_tape *plan = weft_tape_new(WEFT_DRY);
    weft_status status = plan ? WEFT_OK : WEFT_ERR_MEMORY;
    for (int64_t step = 0; step < WARM_UP + b->n_steps && status == WEFT_OK; step++) {
        make_batch(&b->feed, &b->workload, step);
        weft_tape_reset(plan);
        const weft_var loss = weft_transformer_loss(b->model, plan, &b->feed.batch, NULL);
        status = weft_backward(plan, loss, NULL);
    }
    if (status == WEFT_OK) status = weft_tape_reserve(b->tape, weft_tape_peak_bytes(plan));
    weft_tape_free(plan);
    return status;
}

static weft_status one_step(bench *b, int64_t step)
{
    weft_tape_reset(b->tape);
    weft_tape_seed(b->tape, 1, (uint64_t)step);
    const weft_var loss = weft_transformer_loss(b->model, b->tape, &b->feed.batch, NULL);
    weft_status status = weft_backward(b->tape, loss, NULL);
    if (status != WEFT_OK) return status;
    const double start_s = weft_seconds();
    status =
        weft_optimiser_step(b->adam, b->params, 1e-4, 1 / (double)b->feed.batch.target.N, NULL);
    if (b->profile && step >= WARM_UP)
        weft_bench_profile_optimiser(b->profile, start_s, weft_params_block_size(b->params));
    return status;
}

static int64_t page_faults(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_minflt;
}

static weft_status measure(bench *b)
{
    weft_status status = reserve(b);
    for (int64_t step = 0; step < WARM_UP + b->n_steps && status == WEFT_OK; step++) {
        const bool counts = step >= WARM_UP;
        make_batch(&b->feed, &b->workload, step);
        if (counts && b->profile) {
            weft_tape_watch(b->tape, weft_bench_profile_watch, b->profile);
            weft_bench_profile_begin(b->profile);
        }
        const int64_t n_faults = page_faults(), n_allocations = weft_alloc_count();
        const double start_s = weft_seconds();
        status = one_step(b, step);
        if (status != WEFT_OK || !counts) continue;
        b->times_s[step - WARM_UP] = weft_seconds() - start_s;
        b->n_allocations += weft_alloc_count() - n_allocations;
        b->n_faults += page_faults() - n_faults;
        b->n_tokens += b->feed.batch.target.N;
        if (b->profile) weft_bench_profile_end(b->profile);
    }
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    b->peak_MiB = usage.ru_maxrss / 1024;
    return status;
}

static weft_status measure_products(bench *b)
{
    if (b->other_sizes) return WEFT_OK;
    const double ms = weft_bench_products_ms(b->workload.name);
    b->gemm_ms += ms / 2;
    return ms < 0 ? WEFT_ERR_MEMORY : WEFT_OK;
}

static void report(const bench *b, bool json)
{
    double sum_s = 0;
    for (int64_t i = 0; i < b->n_steps; i++) sum_s += b->times_s[i];
    const double ms = 1e3 * weft_bench_median(b->n_steps, b->times_s), ms_min = 1e3 * b->times_s[0],
                 ms_max = 1e3 * b->times_s[b->n_steps - 1];
    const double tokens_per_s = (double)b->n_tokens / sum_s;
    const char *const name = b->workload.name;
    const long long n_params = weft_params_size(b->params);
    char gemm_ms[32] = "null", kernel[32];
    snprintf(kernel, sizeof kernel, "%s%s", weft_gemm_kernel(), b->bf16 ? "-bf16" : "");
    if (!b->other_sizes) snprintf(gemm_ms, sizeof gemm_ms, "%.2f", b->gemm_ms);
    if (json) {
        printf("{\"workload\": \"%s\", \"threads\": %d, \"ms\": %.2f, \"ms_min\": %.2f, "
               "\"ms_max\": %.2f, \"tokens_per_s\": %.0f, \"gemm_ms\": %s, \"peak_MiB\": %lld, "
               "\"params\": %lld, \"faults\": %lld, \"allocations\": %lld, \"kernel\": \"%s\"}\n",
               name, weft_threads(), ms, ms_min, ms_max, tokens_per_s, gemm_ms, b->peak_MiB,
               n_params, (long long)b->n_faults, (long long)b->n_allocations, kernel);
        return;
    }
    printf("%s: %.1f ms a step (%.1f to %.1f, %lld steps), %.0f target tokens/s\n", name, ms,
           ms_min, ms_max, (long long)b->n_steps, tokens_per_s);
    if (!b->other_sizes)
        printf("%.2f times its matrix products (%s ms)\n", ms / b->gemm_ms, gemm_ms);
    printf("in these steps %lld page faults, %lld allocations\n", (long long)b->n_faults,
           (long long)b->n_allocations);
    printf("kernel %s, %d threads, %lld parameters, peak memory %lld MiB\n", kernel, weft_threads(),
           n_params, b->peak_MiB);
}

/* Sizes instead of the workload's own; 0 leaves one as it is. */
typedef struct sizes {
    int64_t D, layers, sentences, length;
} sizes;

static void resize(bench *b, const sizes *other)
{
    struct workload *w = &b->workload;
    weft_transformer_config *config = &w->config;
    if (other->D > 0) {
        config->layer.F = config->layer.F / config->layer.D * other->D;
        config->layer.D = other->D;
    }
    if (other->layers > 0) {
        config->decoder_layers = (int)other->layers;
        if (!config->decoder_only) config->encoder_layers = (int)other->layers;
    }
    if (other->sentences > 0) w->n_sentences = other->sentences;
    if (other->length > 0) w->length = other->length;
    if (w->n_sentences > 0 && w->length == 0) w->length = BATCH_TOKENS / 128;
    if (w->length > 0 && w->n_sentences == 0) w->n_sentences = BATCH_TOKENS / w->length;
    if (config->position == WEFT_POSITION_LEARNED) config->max_positions = (int)w->length;
    b->other_sizes = other->D || other->layers || other->sentences || other->length;
}

int weft_cli_bench_step(int argc, char **argv)
{
    int workload = 0, precision = 0;
    int64_t n_threads = 0, n_steps = 12;
    bool json = false, profile = false;
    const char *trace = NULL;
    sizes other = { 0 };
    const weft_cli_option options[] = {
        { "workload", WEFT_CLI_CHOICE, &workload, "tiny|base|gpt", "what to train; tiny", 0, 0 },
        { "threads", WEFT_CLI_INTEGER, &n_threads, "N", "threads; 0, as many as there are", 0,
          256 },
        { "precision", WEFT_CLI_CHOICE, &precision, "float|bf16",
          "of the operands of the step's products; float", 0, 0 },
        { "D", WEFT_CLI_INTEGER, &other.D, "N", "width instead of the workload's", 0, 1 << 14 },
        { "layers", WEFT_CLI_INTEGER, &other.layers, "N", "layers a side", 0, 256 },
        { "sentences", WEFT_CLI_INTEGER, &other.sentences, "N", "sentences a batch", 0, 1 << 16 },
        { "length", WEFT_CLI_INTEGER, &other.length, "N", "tokens of each sentence", 0, 1 << 14 },
        { "steps", WEFT_CLI_INTEGER, &n_steps, "N", "steps that count, after two that do not; 12",
          1, MOST_STEPS },
        { "json", WEFT_CLI_FLAG, &json, NULL, "print JSON, one object a line", 0, 0 },
        { "profile", WEFT_CLI_FLAG, &profile, NULL, "also print the time of each operation", 0, 0 },
        { "trace", WEFT_CLI_TEXT, &trace, "FILE",
          "write each operation of each step to a Chrome trace", 0, 0 },
    };
    const weft_cli_command command = {
        .name = "bench step",
        .synopsis = "[--workload tiny|base|gpt] [--precision float|bf16] [--threads N]\n"
                    "                       [--steps N] [--json] [--profile] [--trace FILE]",
        .summary = "Time a training step, from batch to Adam, beside its matrix products alone.\n"
                   "tiny: width 128, 4 + 4 layers, the sentence lengths of Multi30k; base: the\n"
                   "paper's base model, 16 pairs of 64 + 64; gpt: decoder alone, 8 x 128.",
        .options = options,
        .n_options = sizeof options / sizeof *options,
    };
    int first_operand, exit_code;
    if (!weft_cli_parse(&command, argc, argv, &first_operand, &exit_code)) return exit_code;
    bench b = { .workload = workloads[workload], .n_steps = n_steps, .bf16 = precision == 1 };
    resize(&b, &other);
    weft_status status = weft_threads_set((int)n_threads);
    if (status == WEFT_OK) status = weft_gemm_init(NULL);
    if (status == WEFT_OK && b.bf16) status = weft_gemm_check_bf16();
    if (status == WEFT_OK && (profile || trace)) {
        b.profile = weft_bench_profile_new(trace);
        if (!b.profile) status = trace ? WEFT_ERR_IO : WEFT_ERR_MEMORY;
    }
    if (status == WEFT_OK) status = measure_products(&b);
    if (status == WEFT_OK) status = bench_init(&b);
    if (status == WEFT_OK) status = measure(&b);
    if (status == WEFT_OK) status = measure_products(&b);
    if (status == WEFT_OK) report(&b, json);
    if (status == WEFT_OK && profile) weft_bench_profile_print(b.profile, json);
    const weft_status closed = bench_free(&b);
    if (status == WEFT_OK) status = closed;
    return status == WEFT_OK ? WEFT_EXIT_DONE : weft_cli_fail("bench step", status);
}
