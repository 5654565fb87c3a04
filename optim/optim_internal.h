/* optim_internal.h - the sweeps over flat blocks that weft_optimiser_step is made of. Each works in
 * pieces of WEFT_SWEEP values, one thread a piece, so that threads change no bit. */
#ifndef WEFT_OPTIM_INTERNAL_H
#define WEFT_OPTIM_INTERNAL_H

#include "optim/optim.h"

enum { WEFT_SWEEP = 4096 };
static inline int64_t weft_sweep_pieces(int64_t n) { return (n + WEFT_SWEEP - 1) / WEFT_SWEEP; }

/* clip.c */

/** 2-norm of x[n], summed in double. partial[] holds weft_sweep_pieces(n) values. */
double weft_sweep_norm(int64_t n, const weft_real *x, double *partial);
/** Clipping as torch.nn.utils.clip_grad_norm_: what multiplies gradients of this norm. */
double weft_clip_factor(double norm, double clip);

/* adam.c, sgd.c: p, the moments and g (which becomes 0) of n values; g counts `factor` times. */

void weft_adam_sweep(const weft_optimiser_spec *spec, int64_t t, double lr, double factor,
                     int64_t n, weft_real *p, weft_real *g, weft_real *m, weft_real *v);
/** momentum: NULL where spec->momentum is 0. */
void weft_sgd_sweep(const weft_optimiser_spec *spec, double lr, double factor, int64_t n,
                    weft_real *p, weft_real *g, weft_real *momentum);

#endif
