/* shown_internal.h - what a validation shows beside its scores. Not installed. */
#ifndef WEFT_TRAIN_SHOWN_INTERNAL_H
#define WEFT_TRAIN_SHOWN_INTERNAL_H

#include "train/loop_internal.h"

/* Translations with their texts; the source belongs to the corpus. { 0 } is empty. */
typedef struct weft_translation {
    const char *source;
    char *reference, *hypothesis;
} weft_translation;
typedef struct weft_translations {
    int64_t n;
    size_t room;
    weft_translation *at;
    weft_status status; /* of the first failure */
} weft_translations;
/** A weft_translation_visitor whose `user` is a weft_translations. */
void weft_translations_add(const char *source, const char *reference, const char *hypothesis,
                           void *user);
void weft_translations_free(weft_translations *t);

/** Show `n` of the translations, evenly chosen, and log each as a line "sample"; `log` may be NULL. */
weft_status weft_show_samples(FILE *log, weft_progress *progress, int64_t update,
                              const weft_translations *translations, int64_t n) WEFT_MUST_CHECK;
/** A line "head" of the log for each attention head, by the first batch of validation. */
weft_status weft_log_heads(FILE *log, weft_trainer *trainer) WEFT_MUST_CHECK;

#endif
