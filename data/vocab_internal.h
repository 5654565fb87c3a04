/* vocab_internal.h - what the corpus needs of a vocabulary beside vocab.h. */
#ifndef WEFT_DATA_VOCAB_INTERNAL_H
#define WEFT_DATA_VOCAB_INTERNAL_H

#include "data/tokens_internal.h"

/* A walk with the vocabulary's rules; end it with weft_token_end. */
weft_token_walk weft_vocab_walk(const weft_vocab *vocab);
/* weft_vocab_encode for text known to be UTF-8, with a walk kept from text to text. */
weft_status weft_vocab_encode_with(const weft_vocab *vocab, weft_token_walk *walk, const char *text,
                                   int32_t *ids, int64_t *n_ids) WEFT_MUST_CHECK;

#endif
