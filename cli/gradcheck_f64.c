/* gradcheck_f64.c - `weft gradcheck`: check the gradients of operations, in double. */
#include "autograd/autograd.h"
#include "autograd/gradcheck_internal.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "core/nearest_internal.h"

#include <math.h>
#include <stdio.h>

/* This file sees the double library, whose messages are its own: weft_cli_fail has not got them. */
static int failed(weft_status status)
{
    fprintf(stderr, "weft gradcheck: %s\n", weft_message());
    return status == WEFT_ERR_MEMORY ? WEFT_EXIT_SYSTEM : WEFT_EXIT_USE;
}

static int print_result(int64_t n_checks, double worst, int64_t n_failed)
{
    printf("%lld checks, %.1e worst relative error, %lld failed\n", (long long)n_checks, worst,
           (long long)n_failed);
    return n_failed > 0 ? WEFT_EXIT_NO : WEFT_EXIT_DONE;
}

static int unknown(const char *name)
{
    weft_nearest nearest = weft_nearest_init(name);
    for (int i = 0; i < weft_op_count; i++) weft_nearest_offer(&nearest, weft_op_table[i]->name);
    fprintf(stderr, "weft gradcheck: unknown operation %s", name);
    if (nearest.name) fprintf(stderr, " (did you mean %s?)", nearest.name);
    fprintf(stderr, "\n");
    return WEFT_EXIT_USE;
}

/* Check one operation, or all of them where `only` is NULL. */
static int check(const weft_op *only, bool verbose)
{
    weft_gradcheck_report all = { 0 };
    for (int i = 0; i < weft_op_count; i++) {
        const weft_op *op = weft_op_table[i];
        weft_gradcheck_report r = { 0 };
        if (only && op != only) continue;
        const weft_status status = weft_gradcheck(op, NULL, &r);
        if (status != WEFT_OK) return failed(status);
        if (verbose || only)
            printf("%-16s %3lld samples %6lld checks %3lld kinks, worst %.1e (%s)\n", op->name,
                   (long long)r.n_samples, (long long)r.n_checks, (long long)r.n_kinks, r.worst,
                   r.worst_where);
        if (r.n_failed > 0)
            printf("%s: %lld of %lld checks failed, first %s\n", op->name, (long long)r.n_failed,
                   (long long)r.n_checks, r.failure);
        all.n_checks += r.n_checks;
        all.n_failed += r.n_failed;
        all.n_kinks += r.n_kinks;
        all.worst = fmax(all.worst, r.worst);
    }
    if (all.n_kinks > 0)
        printf("%lld checks lay at kinks, where the gradient must lie between both sides\n",
               (long long)all.n_kinks);
    return print_result(all.n_checks, all.worst, all.n_failed);
}

typedef struct tally {
    int64_t n_planted, n_missed, n_wrong; /* wrong: the right gradient failed */
    double worst;                         /* of the right gradients */
} tally;

/* Plant one fault in every input in turn; adds to the tally of the operation. */
static weft_status plant(const weft_op *op, weft_fault fault, bool verbose, tally *t)
{
    const int n_in = op->n_in < 0 ? 2 : op->n_in;
    for (int k = 0; k < (fault == WEFT_FAULT_NONE ? 1 : n_in); k++) {
        weft_gradcheck_report r = { 0 };
        bool planted;
        const weft_status status = weft_gradcheck_plant(op, fault, k, &r, &planted);
        if (status != WEFT_OK) return status;
        if (fault == WEFT_FAULT_NONE) {
            t->n_wrong += r.n_failed;
            t->worst = fmax(t->worst, r.worst);
            if (r.n_failed > 0) printf("%s: the right gradient failed: %s\n", op->name, r.failure);
            continue;
        }
        if (!planted) continue;
        t->n_planted++;
        t->n_missed += r.n_failed == 0;
        if (r.n_failed == 0 || verbose)
            printf("%-16s input %d: %-22s %s\n", op->name, k, weft_fault_name(fault),
                   r.n_failed == 0 ? "MISSED" : r.failure);
    }
    return WEFT_OK;
}

static int self_test(const weft_op *only, bool verbose)
{
    tally all = { 0 };
    int n_ops = 0, n_fused = 0;
    for (int i = 0; i < weft_op_count; i++) {
        const weft_op *op = weft_op_table[i];
        tally t = { 0 };
        if (only && op != only) continue;
        for (int fault = 0; fault < WEFT_FAULT_COUNT; fault++) {
            const weft_status status = plant(op, (weft_fault)fault, verbose, &t);
            if (status != WEFT_OK) return failed(status);
        }
        if (t.n_planted == 0 && (op->vjp || op->backward)) t.n_wrong++; /* nothing was tried */
        printf("%-16s %-9s %3lld faults planted, %3lld caught\n", op->name,
               op->backward ? "fused" : "primitive", (long long)t.n_planted,
               (long long)(t.n_planted - t.n_missed));
        n_ops += t.n_planted > 0;
        n_fused += t.n_planted > 0 && op->backward;
        all.n_planted += t.n_planted;
        all.n_missed += t.n_missed;
        all.n_wrong += t.n_wrong;
        all.worst = fmax(all.worst, t.worst);
    }
    printf("%lld faults planted in %d operations, %d of them fused; %lld caught, %lld missed\n",
           (long long)all.n_planted, n_ops, n_fused, (long long)(all.n_planted - all.n_missed),
           (long long)all.n_missed);
    return print_result(all.n_planted, all.worst, all.n_missed + all.n_wrong);
}

int weft_cli_gradcheck(int argc, char **argv)
{
    bool every = false, tests_itself = false, verbose = false;
    const char *name = NULL;
    const weft_cli_option options[] = {
        { "all", WEFT_CLI_FLAG, &every, NULL, "every operation", 0, 0 },
        { "op", WEFT_CLI_TEXT, &name, "NAME", "this one", 0, 0 },
        { "self-test", WEFT_CLI_FLAG, &tests_itself, NULL,
          "plant wrong gradients and see that each is caught", 0, 0 },
        { "verbose", WEFT_CLI_FLAG, &verbose, NULL, "a line for each operation or fault", 0, 0 },
    };
    const weft_cli_command command = {
        .name = "gradcheck",
        .synopsis = "--all | --op NAME | --self-test [--op NAME]   [--verbose]",
        .summary =
            "Check the gradients of operations against differences, in double: first and second\n"
            "order, fused kernels against their definitions, equal bits on several threads.\n"
            "Exits with 1 where a check fails.",
        .options = options,
        .n_options = sizeof options / sizeof *options,
    };
    int first_operand, exit_code;
    if (!weft_cli_parse(&command, argc, argv, &first_operand, &exit_code)) return exit_code;
    const weft_op *only = name ? weft_op_find(name) : NULL;
    if (name && !only) return unknown(name);
    if (tests_itself ? every : every == (name != NULL)) {
        fprintf(stderr, "weft gradcheck: one of --all, --op NAME and --self-test is needed\n");
        return WEFT_EXIT_USE;
    }
    return tests_itself ? self_test(only, verbose) : check(only, verbose);
}
