/* inspect.c - `weft inspect`: what a checkpoint holds. Opening it checks every byte. */
#include "cli/cli.h"
#include "cli/options.h"
#include "train/model.h"

#include <stdio.h>
#include <string.h>

/* What follows `group` and '/' in the entry's name; NULL for other groups. */
static const char *in_group(const weft_store_entry *entry, const char *group)
{
    const size_t n = strlen(group);
    return strncmp(entry->name, group, n) == 0 && entry->name[n] == '/' ? entry->name + n + 1
                                                                        : NULL;
}

static void print_state(const weft_store *store)
{
    for (int i = 0; i < weft_store_count(store); i++) {
        const weft_store_entry *entry = weft_store_at(store, i);
        const char *name = in_group(entry, "state");
        if (!name) continue;
        int64_t integer;
        double real;
        if (entry->type == WEFT_STORE_I64) {
            memcpy(&integer, entry->data, sizeof integer);
            printf("  %-32s %lld\n", name, (long long)integer);
        } else {
            memcpy(&real, entry->data, sizeof real);
            printf("  %-32s %.9g\n", name, real);
        }
    }
}

/* Parameters and their number; returns the number of all elements. */
static int64_t print_params(const weft_store *store, int *n_arrays, const char **type)
{
    char shape[WEFT_SHAPE_TEXT];
    int64_t total = 0;
    *n_arrays = 0;
    *type = "";
    for (int i = 0; i < weft_store_count(store); i++) {
        const weft_store_entry *entry = weft_store_at(store, i);
        const char *name = in_group(entry, "params");
        if (!name) continue;
        printf("  %-48s %-16s %12lld\n", name, weft_store_shape_text(entry, shape),
               (long long)entry->size);
        total += entry->size;
        ++*n_arrays;
        *type = weft_store_type_name(entry->type);
    }
    return total;
}

static weft_status print_vocab(const weft_checkpoint_file *file, const char *name)
{
    char entry[64], *text = NULL;
    snprintf(entry, sizeof entry, "text/%s", name);
    if (!weft_store_find(weft_checkpoint_store(file), entry)) return WEFT_OK;
    weft_vocab *vocab = NULL;
    weft_status status = weft_checkpoint_get_text(file, name, &text);
    if (status == WEFT_OK) status = weft_vocab_parse(text, name, &vocab);
    if (status == WEFT_OK) {
        const weft_vocab_spec spec = weft_vocab_get_spec(vocab);
        printf("  %-32s %lld tokens (%s", name, (long long)weft_vocab_size(vocab),
               weft_tokens_kind_name(spec.tokens));
        if (spec.bpe) printf(", BPE of %lld merges", (long long)weft_bpe_size(spec.bpe));
        printf("%s)\n", spec.lowercase ? ", lower case" : "");
    }
    weft_vocab_free(vocab);
    weft_free(text);
    return status;
}

static weft_status print_file(const weft_checkpoint_file *file)
{
    const weft_store *store = weft_checkpoint_store(file);
    char *config = NULL;
    weft_status status = WEFT_OK;
    int64_t format = 0;
    memcpy(&format, weft_store_find(store, "format")->data, sizeof format);
    printf("%s\n  %-32s %lld\n", weft_store_path(store), "format", (long long)format);
    print_state(store);
    if ((status = print_vocab(file, "source_vocab")) != WEFT_OK ||
        (status = print_vocab(file, "target_vocab")) != WEFT_OK)
        return status;
    int n_arrays;
    const char *type;
    printf("\nparameters\n");
    const int64_t total = print_params(store, &n_arrays, &type);
    printf("  %lld parameters in %d arrays of %s\n", (long long)total, n_arrays, type);
    if (!weft_store_find(store, "text/config")) return WEFT_OK;
    status = weft_checkpoint_get_text(file, "config", &config);
    if (status == WEFT_OK) printf("\nconfiguration\n%s", config);
    weft_free(config);
    return status;
}

int weft_cli_inspect(int argc, char **argv)
{
    const weft_cli_command command = {
        .name = "inspect",
        .synopsis = "FILE|DIR",
        .summary =
            "Check a checkpoint, or the one that a folder's model is loaded from, to the last\n"
            "byte, and print its state, vocabularies, parameters and configuration.",
        .takes_operands = true,
    };
    int first_operand, exit_code;
    if (!weft_cli_parse(&command, argc, argv, &first_operand, &exit_code)) return exit_code;
    if (first_operand != argc - 1) {
        fprintf(stderr, "weft inspect: one file or folder is needed\n");
        return WEFT_EXIT_USE;
    }
    weft_checkpoint_file *file = NULL;
    weft_status status = weft_model_open(argv[first_operand], &file);
    if (status == WEFT_OK) status = print_file(file);
    weft_checkpoint_close(file);
    return status == WEFT_OK ? WEFT_EXIT_DONE : weft_cli_fail("inspect", status);
}
