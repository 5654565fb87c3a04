/* plan.c - `weft plan`: the memory of a training step before it runs. */
#include "train/plan.h"
#include "cli/cli.h"
#include "cli/config.h"
#include "cli/options.h"
#include "data/store_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct arguments {
    const char *config, *task, *memory;
    weft_cli_texts set;
    int64_t tokens, length, V, threads;
    bool json;
} arguments;

/* Memory of this process beside what weft plans. */
typedef struct resident {
    size_t libraries; /* the program, BLIS, HDF5, the threads' stacks */
    size_t texts;     /* the corpus, its ids, vocabularies */
    size_t
        checkpoint; /* its file, made in memory, and once more as it is read back to be checked */
} resident;

static size_t all_beside(const resident *r) { return r->libraries + r->texts + r->checkpoint; }

/* Bytes that the process holds in memory now; 0 where the system does not say. */
static size_t resident_bytes(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file) return 0;
    if (fscanf(file, "%*s %ld", &pages) != 1) pages = 0;
    fclose(file);
    return pages > 0 ? (size_t)pages * (size_t)sysconf(_SC_PAGESIZE) : 0;
}

/* Have the libraries take what they take in a run: threads, the buffers of a product, a file. */
static weft_status warm_up(void)
{
    enum { N = 512 };
    weft_status status = weft_gemm_init(NULL);
    if (status != WEFT_OK) return status;
    weft_real *x = weft_alloc((size_t)2 * N * N, sizeof *x);
    if (!x) return WEFT_ERR_MEMORY;
    weft_gemm(&(weft_gemm_args){ .M = N,
                                 .N = N,
                                 .K = N,
                                 .alpha = 1,
                                 .A = x,
                                 .lda = N,
                                 .B = x,
                                 .ldb = N,
                                 .C = x + N * N,
                                 .ldc = N });
    weft_free(x);
    weft_hdf5_image *image = weft_hdf5_image_new(1);
    weft_hdf5_image_free(image);
    return image ? WEFT_OK : WEFT_ERR_MEMORY;
}

/* "1.5G", "512M", "4096": bytes, or powers of 1,024. */
static weft_status parse_size(const char *text, size_t *bytes)
{
    static const char units[] = "KMGT";
    char *end;
    double x = strtod(text, &end);
    const char *unit = *end ? strchr(units, *end) : NULL;
    if (unit) {
        x = ldexp(x, 10 * (int)(unit - units + 1));
        end++;
        if (strcmp(end, "iB") == 0) end += 2;
    }
    if (end == text || *end != '\0' || !(x >= 1 && x < 0x1p62))
        return weft_error(WEFT_ERR_INPUT,
                          "--memory %s: bytes, or a number with K, M, G or T (powers of 1,024)",
                          text);
    *bytes = (size_t)x;
    return WEFT_OK;
}

/* ---- printing ----------------------------------------------------------------------------------- */

static double MiB(size_t bytes) { return (double)bytes / (1 << 20); }

static void print_batch(const weft_plan *p)
{
    printf("%lld sentences, ", (long long)p->sentences);
    if (p->source_tokens > 0) printf("%lld source and ", (long long)p->source_tokens);
    printf("%lld target tokens (train.batch_tokens = %lld)\n", (long long)p->target_tokens,
           (long long)p->batch_tokens);
}

static void print_row(const char *name, size_t bytes)
{
    printf("%-28s %12.3f\n", name, MiB(bytes));
}

static void print_table(const weft_plan *p, const resident *r)
{
    printf("A step of ");
    print_batch(p);
    printf("\n%-28s %12s %12s\n", "MiB", "values", "gradients");
    printf("%-28s %12.3f %12.3f\n", "parameters", MiB(p->parameters), MiB(p->gradients));
    print_row("optimiser", p->optimiser);
    if (p->average > 0) print_row("running average", p->average);
    print_row("batch and constants", p->batch);
    for (int i = 0; i < p->n_parts; i++)
        printf("%-28s %12.3f %12.3f\n", p->parts[i].name, MiB(p->parts[i].activations),
               MiB(p->parts[i].gradients));
    print_row("output and loss", p->output);
    print_row("workspace", p->workspace);
    print_row("between blocks", p->gaps);
    print_row("all of the step", p->step);
    printf("\nbeside it, as measured here and now\n");
    print_row("program and libraries", r->libraries);
    print_row("texts and vocabularies", r->texts);
    print_row("a checkpoint, when written", r->checkpoint);
}

static void print_json_plan(const weft_plan *p)
{
    printf("{\"batch_tokens\": %lld, \"sentences\": %lld, \"source_tokens\": %lld, "
           "\"target_tokens\": %lld, \"parameters\": %zu, \"gradients\": %zu, \"optimiser\": %zu, "
           "\"average\": %zu, \"batch\": %zu, \"parts\": [",
           (long long)p->batch_tokens, (long long)p->sentences, (long long)p->source_tokens,
           (long long)p->target_tokens, p->parameters, p->gradients, p->optimiser, p->average,
           p->batch);
    for (int i = 0; i < p->n_parts; i++)
        printf("%s{\"name\": \"%s\", \"activations\": %zu, \"gradients\": %zu}", i ? ", " : "",
               p->parts[i].name, p->parts[i].activations, p->parts[i].gradients);
    printf("], \"output\": %zu, \"workspace\": %zu, \"gaps\": %zu, \"tape\": %zu, \"step\": %zu}",
           p->output, p->workspace, p->gaps, p->tape, p->step);
}

static void print_json(const weft_plan *p, const weft_plan *largest, const resident *r)
{
    printf("{\"plan\": ");
    print_json_plan(p);
    if (largest) {
        printf(", \"largest\": ");
        print_json_plan(largest);
    }
    printf(", \"libraries\": %zu, \"texts\": %zu, \"checkpoint\": %zu}\n", r->libraries, r->texts,
           r->checkpoint);
}

/* ---- the command -------------------------------------------------------------------------------- */

static weft_status read_config(const arguments *args, weft_config *config)
{
    const weft_status status = weft_cli_config(args->config, args->task, &args->set, config);
    if (status != WEFT_OK) return status;
    if (args->tokens == 0) return weft_config_check(config);
    config->train.batch_tokens = args->tokens;
    return weft_config_check_model(config);
}

static weft_status make_planner(const arguments *args, const weft_config *config,
                                weft_planner **planner)
{
    if (args->tokens == 0) return weft_planner_new(config, NULL, planner);
    const int64_t V = args->V > 0 ? args->V : config->data.max_vocab;
    if (V == 0)
        return weft_error(WEFT_ERR_INPUT,
                          "data.max_vocab = 0: --vocab N is needed to plan without data");
    const weft_plan_shape shape = { .length =
                                        args->length > 0 ? args->length : config->data.max_length,
                                    .V = V };
    return weft_planner_new(config, &shape, planner);
}

/* What is left of --memory for the step, and the largest batch in it. */
static weft_status find_largest(weft_planner *planner, const arguments *args, const resident *r,
                                weft_plan *largest)
{
    size_t bytes = 0;
    const weft_status status = parse_size(args->memory, &bytes);
    if (status != WEFT_OK) return status;
    const size_t beside = all_beside(r);
    if (bytes <= beside)
        return weft_error(WEFT_ERR_MEMORY,
                          "--memory %s: program, libraries, texts and a checkpoint that is written "
                          "alone take %.0f MiB",
                          args->memory, MiB(beside));
    return weft_planner_largest(planner, bytes - beside, largest);
}

static weft_status plan(const arguments *args)
{
    weft_config config;
    weft_planner *planner = NULL;
    weft_plan p = { 0 }, largest = { 0 };
    resident r = { 0 };
    weft_status status = weft_threads_set((int)args->threads);
    if (status == WEFT_OK) status = read_config(args, &config);
    if (status == WEFT_OK) status = warm_up();
    r.libraries = resident_bytes();
    if (status == WEFT_OK) status = make_planner(args, &config, &planner);
    const size_t now = resident_bytes();
    r.texts = args->tokens == 0 && now > r.libraries ? now - r.libraries : 0;
    if (status == WEFT_OK) status = weft_planner_plan(planner, 0, &p);
    r.checkpoint = 2 * (p.parameters + p.optimiser + p.average);
    if (status == WEFT_OK && args->memory) status = find_largest(planner, args, &r, &largest);
    if (status == WEFT_OK && args->json) {
        print_json(&p, args->memory ? &largest : NULL, &r);
    } else if (status == WEFT_OK) {
        print_table(&p, &r);
        if (args->memory) {
            printf("\nThe largest batch that fits into %s: %.3f MiB with ", args->memory,
                   MiB(largest.step + all_beside(&r)));
            print_batch(&largest);
        }
    }
    weft_plan_release(&p);
    weft_plan_release(&largest);
    weft_planner_free(planner);
    return status;
}

int weft_cli_plan(int argc, char **argv)
{
    arguments args = { 0 };
    const weft_cli_option options[] = {
        { "config", WEFT_CLI_TEXT, &args.config, "FILE", "what would be trained", 0, 0 },
        { "task", WEFT_CLI_TEXT, &args.task, "NAME", "or a generated task, as weft train has it", 0,
          0 },
        { "set", WEFT_CLI_TEXTS, &args.set, "SECTION.KEY=VALUE",
          "change the configuration; may be repeated", 0, 0 },
        { "memory", WEFT_CLI_TEXT, &args.memory, "SIZE",
          "also find the largest batch that fits: 4G, 512M", 0, 0 },
        { "tokens", WEFT_CLI_INTEGER, &args.tokens, "N", "read no data: a batch of N tokens a side",
          0, 100000000 },
        { "length", WEFT_CLI_INTEGER, &args.length, "N",
          "of sentences of that many tokens; data.max_length", 0, 1000000 },
        { "vocab", WEFT_CLI_INTEGER, &args.V, "N", "and so many words; data.max_vocab", 0,
          INT32_MAX },
        { "threads", WEFT_CLI_INTEGER, &args.threads, "N",
          "threads; 0, as many as there are processors", 0, 256 },
        { "json", WEFT_CLI_FLAG, &args.json, NULL, "print bytes as one JSON object", 0, 0 },
    };
    const weft_cli_command command = {
        .name = "plan",
        .synopsis = "--config FILE | --task NAME [--set SECTION.KEY=VALUE]... [--memory SIZE]\n"
                    "                 [--tokens N [--length N] [--vocab N]] [--threads N] [--json]",
        .summary =
            "What a training step will take, kind by kind and layer by layer, for the largest\n"
            "batch that the configuration and its data give. Nothing is trained.",
        .options = options,
        .n_options = sizeof options / sizeof *options,
    };
    int first_operand, exit_code = WEFT_EXIT_DONE;
    if (!weft_cli_parse(&command, argc, argv, &first_operand, &exit_code)) return exit_code;
    if ((args.config != NULL) == (args.task != NULL)) {
        fprintf(stderr, "weft plan: one of --config FILE and --task NAME is needed\n");
        return WEFT_EXIT_USE;
    }
    if (args.tokens == 0 && (args.length > 0 || args.V > 0)) {
        fprintf(stderr, "weft plan: --length and --vocab go with --tokens\n");
        return WEFT_EXIT_USE;
    }
    const weft_status status = plan(&args);
    if (status == WEFT_ERR_MEMORY && args.memory) { /* the answer is no */
        (void)weft_cli_fail("plan", status);
        return WEFT_EXIT_NO;
    }
    return status == WEFT_OK ? WEFT_EXIT_DONE : weft_cli_fail("plan", status);
}
