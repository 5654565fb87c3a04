/* surroundings.c - what a run was made of and on: lengths of its sentences, versions, processor. */
#include "train/report_internal.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#if defined __x86_64__
#include <cpuid.h>
#endif

enum { BINS = 40 };

static void processor_name(char name[64])
{
    snprintf(name, 64, "unknown");
#if defined __x86_64__
    unsigned part[12] = { 0 };
    for (unsigned i = 0; i < 3; i++)
        if (!__get_cpuid(0x80000002u + i, &part[4 * i], &part[4 * i + 1], &part[4 * i + 2],
                         &part[4 * i + 3]))
            return;
    char text[sizeof part + 1] = "";
    memcpy(text, part, sizeof part);
    snprintf(name, 64, "%s", text + strspn(text, " "));
#endif
}

static weft_status log_environment(FILE *log)
{
    char processor[64], system[256] = "", began[32] = "", precision[16];
    struct utsname about;
    struct tm utc;
    const time_t now = time(NULL);
    processor_name(processor);
    if (uname(&about) == 0)
        snprintf(system, sizeof system, "%.60s %.100s %.60s", about.sysname, about.release,
                 about.machine);
    if (gmtime_r(&now, &utc)) strftime(began, sizeof began, "%Y-%m-%d %H:%M UTC", &utc);
    snprintf(precision, sizeof precision, "float%d", 8 * (int)sizeof(weft_real));
    const weft_log_field fields[] = { weft_log_integer("update", 0),
                                      weft_log_text("weft", WEFT_VERSION),
                                      weft_log_text("precision", precision),
                                      weft_log_text("products", weft_gemm_describe()),
                                      weft_log_integer("threads", weft_threads()),
                                      weft_log_text("processor", processor),
                                      weft_log_text("system", system),
                                      weft_log_text("compiler", __VERSION__),
                                      weft_log_text("began", began) };
    return weft_log_write(log, "environment", sizeof fields / sizeof *fields, fields);
}

/* How many items have 1 to w tokens, w + 1 to 2w, and so on: at most BINS numbers. */
static weft_status log_lengths(FILE *log, const weft_corpus *corpus, weft_side side)
{
    int64_t longest = 1, n, counts[BINS] = { 0 };
    char text[BINS * 21] = "";
    const int64_t items = weft_corpus_size(corpus);
    for (int64_t i = 0; i < items; i++)
        if (weft_corpus_ids(corpus, side, i, &n) && n > longest) longest = n;
    const int64_t width = (longest + BINS - 1) / BINS;
    for (int64_t i = 0; i < items; i++)
        if (weft_corpus_ids(corpus, side, i, &n) && n > 0) counts[(n - 1) / width]++;
    for (int64_t b = 0; b * width < longest; b++) {
        const size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, "%s%lld", b ? " " : "", (long long)counts[b]);
    }
    const weft_log_field fields[] = {
        weft_log_integer("update", 0),
        weft_log_text("side", side == WEFT_SOURCE ? "source" : "target"),
        weft_log_integer("width", width), weft_log_text("counts", text)
    };
    return weft_log_write(log, "lengths", sizeof fields / sizeof *fields, fields);
}

weft_status weft_log_surroundings(FILE *log, const weft_trainer *t)
{
    weft_status status = log_environment(log);
    if (t->model->config.model.kind == WEFT_CONFIG_DECODER_ONLY) return status; /* no sentences */
    if (status == WEFT_OK) status = log_lengths(log, t->train, WEFT_SOURCE);
    if (status == WEFT_OK) status = log_lengths(log, t->train, WEFT_TARGET);
    return status;
}
