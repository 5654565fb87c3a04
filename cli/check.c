/* check.c - `weft check`: is the model of a configuration what it should be? */
#include "cli/check.h"
#include "cli/cli.h"
#include "cli/config.h"
#include "cli/options.h"

#include <stdio.h>
#include <string.h>

typedef struct arguments {
    const char *config, *task, *only;
    weft_cli_texts set;
    weft_certify_spec spec;
    int64_t threads;
    bool json;
} arguments;

/* The certificates in their order. What is said of bits is asked in float as well, which is what trains;
 * limits are those of float alone. */
static const struct question {
    weft_certificate_kind kind;
    bool in_float;
} questions[] = {
    { WEFT_CERTIFY_CAUSALITY, false }, { WEFT_CERTIFY_CAUSALITY, true },
    { WEFT_CERTIFY_ISOLATION, false }, { WEFT_CERTIFY_ISOLATION, true },
    { WEFT_CERTIFY_GRADIENT, false },  { WEFT_CERTIFY_ROWS, false },
    { WEFT_CERTIFY_POSITIONS, false }, { WEFT_CERTIFY_DECODING, false },
    { WEFT_CERTIFY_LIMITS, true },
};
enum { N_QUESTIONS = sizeof questions / sizeof *questions };

static const char *const verdicts[] = {
    [WEFT_HOLDS] = "holds", [WEFT_FAILS] = "FAILS", [WEFT_NOT_ASKED] = "-"
};

static void print_text(const struct question *q, const weft_certificate *c)
{
    const char *precision = q->kind == WEFT_CERTIFY_LIMITS ? "" : q->in_float ? "float" : "double";
    printf("%-10s %-7s %-6s %s\n", weft_certificate_name(q->kind), precision, verdicts[c->verdict],
           c->text);
}

/* A certificate's text has no control characters, but names of texts may have quotes. */
static void print_json(const struct question *q, const weft_certificate *c)
{
    static const char *const names[] = {
        [WEFT_HOLDS] = "holds", [WEFT_FAILS] = "fails", [WEFT_NOT_ASKED] = "not asked"
    };
    printf("{\"certificate\": \"%s\", \"precision\": \"%s\", \"verdict\": \"%s\", \"questions\": "
           "%lld, \"worst\": %.3g, \"text\": \"",
           weft_certificate_name(q->kind), q->in_float ? "float" : "double", names[c->verdict],
           (long long)c->n_questions, c->worst);
    for (const char *p = c->text; *p; p++) printf(*p == '"' || *p == '\\' ? "\\%c" : "%c", *p);
    printf("\"}\n");
}

static weft_status ask(const struct question *q, const weft_config *config, const arguments *args,
                       weft_certificate *c)
{
    if (q->in_float) return weft_certify(config, q->kind, &args->spec, c);
    char message[1024] = "";
    const weft_status status =
        weft_cli_certify_f64(config, q->kind, &args->spec, (int)args->threads, c, message);
    return status == WEFT_OK ? WEFT_OK : weft_error(status, "%s", message);
}

static weft_status check(const arguments *args, int *exit_code)
{
    weft_config config;
    int n_held = 0, n_asked = 0;
    weft_status status = weft_threads_set((int)args->threads);
    if (status == WEFT_OK) status = weft_cli_config(args->config, args->task, &args->set, &config);
    if (status == WEFT_OK) status = weft_config_check_model(&config);
    for (int i = 0; i < N_QUESTIONS && status == WEFT_OK; i++) {
        const struct question *q = &questions[i];
        if (args->only && strcmp(args->only, weft_certificate_name(q->kind)) != 0) continue;
        weft_certificate c;
        status = ask(q, &config, args, &c);
        if (status != WEFT_OK)
            return weft_error_prefix(status, "%s: ", weft_certificate_name(q->kind));
        if (args->json)
            print_json(q, &c);
        else
            print_text(q, &c);
        fflush(stdout); /* a large model takes minutes */
        n_held += c.verdict == WEFT_HOLDS;
        n_asked += c.verdict != WEFT_NOT_ASKED;
    }
    if (status != WEFT_OK) return status;
    if (!args->json) printf("%d of %d certificates hold\n", n_held, n_asked);
    if (n_held < n_asked) *exit_code = WEFT_EXIT_NO;
    return WEFT_OK;
}

static bool is_known(const char *name)
{
    for (int kind = 0; kind < WEFT_CERTIFICATES; kind++)
        if (strcmp(name, weft_certificate_name((weft_certificate_kind)kind)) == 0) return true;
    return false;
}

int weft_cli_check(int argc, char **argv)
{
    arguments args = { 0 };
    const weft_cli_option options[] = {
        { "config", WEFT_CLI_TEXT, &args.config, "FILE", "the model", 0, 0 },
        { "task", WEFT_CLI_TEXT, &args.task, "NAME", "or that of a generated task", 0, 0 },
        { "set", WEFT_CLI_TEXTS, &args.set, "SECTION.KEY=VALUE",
          "change the configuration; may be repeated", 0, 0 },
        { "only", WEFT_CLI_TEXT, &args.only, "NAME",
          "one certificate: causality, isolation, gradient, rows, positions, decoding,\n"
          "                             limits",
          0, 0 },
        { "longest", WEFT_CLI_INTEGER, &args.spec.longest, "N",
          "tokens of the longest probe; beyond two tiles, windows, chunks, ... of the model", 0,
          1 << 20 },
        { "probes", WEFT_CLI_INTEGER, &args.spec.probes, "N",
          "places (gradient: directions of a tensor) that are asked about; 8 (1)", 0, 1 << 20 },
        { "threads", WEFT_CLI_INTEGER, &args.threads, "N",
          "threads; 0, as many as there are processors", 0, 256 },
        { "json", WEFT_CLI_FLAG, &args.json, NULL, "print one JSON object a line", 0, 0 },
    };
    const weft_cli_command command = {
        .name = "check",
        .synopsis = "--config FILE | --task NAME [--set SECTION.KEY=VALUE]... [--only NAME]\n"
                    "                  [--longest N] [--probes N] [--threads N] [--json]",
        .summary =
            "Certificates of the model that a configuration describes: no output knows what comes\n"
            "later, sentences of a batch do not see each other, gradients are right, and so on\n"
            "(docs/check.md). Exits with 1 where one fails.",
        .options = options,
        .n_options = sizeof options / sizeof *options,
    };
    int first_operand, exit_code = WEFT_EXIT_DONE;
    if (!weft_cli_parse(&command, argc, argv, &first_operand, &exit_code)) return exit_code;
    if ((args.config != NULL) == (args.task != NULL)) {
        fprintf(stderr, "weft check: one of --config FILE and --task NAME is needed\n");
        return WEFT_EXIT_USE;
    }
    if (args.only && !is_known(args.only)) {
        fprintf(stderr, "weft check: there is no certificate %s\n", args.only);
        return WEFT_EXIT_USE;
    }
    exit_code = WEFT_EXIT_DONE;
    const weft_status status = check(&args, &exit_code);
    return status == WEFT_OK ? exit_code : weft_cli_fail("check", status);
}
