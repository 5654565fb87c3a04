/* checkpoint.h - all that a run needs to go on as if it had never stopped, in one file.
 *
 * Equal runs give equal files: put no path, clock, host name, number of threads or speed into one.
 * docs/checkpoint.md describes the layout and what is promised. */
#ifndef WEFT_CHECKPOINT_H
#define WEFT_CHECKPOINT_H

#include "../autograd/autograd.h"
#include "store.h"

/* A real for every parameter element, laid out as the parameters' flat block (weft_params_values):
 * the optimiser's moments ("m", "v"), a running mean of the parameters ("average"). */
typedef struct weft_checkpoint_block {
    const char *name;
    const weft_real *values;
} weft_checkpoint_block;
typedef struct weft_checkpoint_integer {
    const char *name; /* "update", "epoch", "batch", "seed", "tokens" ... */
    int64_t value;
} weft_checkpoint_integer;
typedef struct weft_checkpoint_double {
    const char *name; /* "best_score" ... */
    double value;
} weft_checkpoint_double;
typedef struct weft_checkpoint_text {
    const char *name; /* "config", "source_vocab", "target_vocab", "numerics" ... */
    const char *text;
} weft_checkpoint_text;

/* What is saved. Names hold no '/'; integers and doubles share one set of names. */
typedef struct weft_checkpoint {
    const weft_params *params;
    int n_blocks;
    const weft_checkpoint_block *blocks;
    int n_integers;
    const weft_checkpoint_integer *integers;
    int n_doubles;
    const weft_checkpoint_double *doubles;
    int n_texts;
    const weft_checkpoint_text *texts;
} weft_checkpoint;

/** Replace `path` by this state, or leave it as it was. WEFT_ERR_NUMERIC: a parameter or a block
 *  has a value that is not finite (the last good checkpoint is worth more). */
weft_status weft_checkpoint_save(const char *path, const weft_checkpoint *state) WEFT_MUST_CHECK;
/** Remove what killed savers of this path left (see weft_store_remove_orphans), or of any file in a
 *  folder "DIR/": call it at start. */
weft_status weft_checkpoint_remove_orphans(const char *path) WEFT_MUST_CHECK;

/* Loading has two steps, because the model is built from what the file says:
 *     weft_checkpoint_open(path, &file), weft_checkpoint_get_text(file, "config", &text),
 *     build the model, weft_checkpoint_load_params(file, params), ..._load_block(file, "m", ...) */
typedef struct weft_checkpoint_file weft_checkpoint_file;

/** Read and check the whole file (weft_store_open), and that nothing in it is unknown. */
weft_status weft_checkpoint_open(const char *path, weft_checkpoint_file **file) WEFT_MUST_CHECK;
void weft_checkpoint_close(weft_checkpoint_file *file); /* NULL is allowed */
/** Its arrays, for listings; "params/...", "optim/<block>/...", "state/...", "text/...". */
const weft_store *weft_checkpoint_store(const weft_checkpoint_file *file);

/* WEFT_ERR_FORMAT where there is none of that name. */
weft_status weft_checkpoint_get_integer(const weft_checkpoint_file *file, const char *name,
                                        int64_t *value) WEFT_MUST_CHECK;
weft_status weft_checkpoint_get_double(const weft_checkpoint_file *file, const char *name,
                                       double *value) WEFT_MUST_CHECK;
/** New memory, weft_free gives it back. */
weft_status weft_checkpoint_get_text(const weft_checkpoint_file *file, const char *name,
                                     char **text) WEFT_MUST_CHECK;
bool weft_checkpoint_has_block(const weft_checkpoint_file *file, const char *block);

/** Fill the parameters by name. They must be the file's, one for one: a missing one, one too many or
 *  another shape is WEFT_ERR_SHAPE with names and shapes, and nothing is changed. */
weft_status weft_checkpoint_load_params(const weft_checkpoint_file *file,
                                        weft_params *params) WEFT_MUST_CHECK;
/** The same for a block of weft_params_block_size(params) values; gaps between parameters are not
 *  written. */
weft_status weft_checkpoint_load_block(const weft_checkpoint_file *file, const char *block,
                                       const weft_params *params,
                                       weft_real *values) WEFT_MUST_CHECK;

#endif
