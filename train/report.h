/* report.h - a run as one page of HTML that needs nothing else, and its curves as pictures. */
#ifndef WEFT_TRAIN_REPORT_H
#define WEFT_TRAIN_REPORT_H

#include "model.h"

/**
 * What the folder of a run has to tell: configuration, curves, lengths, environment, from its config.ini
 * and log.jsonl; the best and the worst translations of the validation text with attention maps, by its
 * best model, where the text is there. All text of others is escaped, and nothing is loaded from
 * elsewhere.
 *
 * @param html  new memory (weft_free)
 *
 * Errors: WEFT_ERR_INPUT for a folder without config.ini or log.jsonl; those of weft_model_load and of
 * weft_evaluate; WEFT_ERR_MEMORY. A validation text that cannot be read, or a folder without a checkpoint, is
 * no error: the page says so.
 */
weft_status weft_report_make(const char *dir, char **html) WEFT_MUST_CHECK;

/** Called for each curve: "loss", and the picture as SVG; a failure ends the pictures. */
typedef weft_status weft_picture_visitor(const char *name, const char *svg, void *user);
/** The curves of a folder's log.jsonl, each that has points. */
weft_status weft_report_pictures(const char *dir, weft_picture_visitor *visit,
                                 void *user) WEFT_MUST_CHECK;

#endif
