/* dataset.h - the texts and vocabularies that a configuration names. */
#ifndef WEFT_TRAIN_DATASET_H
#define WEFT_TRAIN_DATASET_H

#include "../data/data.h"
#include "config.h"

typedef enum weft_part { WEFT_PART_TRAIN, WEFT_PART_VALID, WEFT_PART_TEST } weft_part;

/** Read one part, not encoded: files (pairs, in one .tsv or in two; for a decoder-only model running
 *  text), or examples of the task. A task's validation and test have data.valid_size examples each,
 *  held out from training and from each other. *corpus = NULL where the configuration names none.
 *  Errors name file and line, and where a file is missing the key. */
weft_status weft_dataset_read(const weft_config *config, weft_part part,
                              weft_corpus **corpus) WEFT_MUST_CHECK;

/** Build the vocabularies from the training text, as data.vocab and its neighbours say (a task says
 *  itself what its tokens are). One for both languages: *target = *source. A decoder-only model:
 *  *source = NULL. */
weft_status weft_dataset_vocabs(const weft_config *config, const weft_corpus *train,
                                weft_vocab **source, weft_vocab **target) WEFT_MUST_CHECK;
/** WEFT_ERR_INPUT unless `vocab` cuts text as the configuration says: into characters, words or pieces,
 *  in lower case or not. */
weft_status weft_dataset_check_vocab(const weft_config *config,
                                     const weft_vocab *vocab) WEFT_MUST_CHECK;

#endif
