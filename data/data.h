/* data.h - files and text: everything of the folder data/. */
#ifndef WEFT_DATA_H
#define WEFT_DATA_H

#include "batches.h"
#include "bpe.h"
#include "checkpoint.h"
#include "chunks.h"
#include "corpus.h"
#include "prefetch.h"
#include "store.h"
#include "tasks.h"
#include "text.h"
#include "vocab.h"

#endif
