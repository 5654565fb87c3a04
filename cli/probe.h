/* probe.h - what `weft train --sanity` and `--lr-range` print. */
#ifndef WEFT_CLI_PROBE_H
#define WEFT_CLI_PROBE_H

#include "train/config.h"

/** *passed: does the model look as if it will learn? */
weft_status weft_cli_sanity(const weft_config *config, bool *passed) WEFT_MUST_CHECK;
weft_status weft_cli_rate_range(const weft_config *config) WEFT_MUST_CHECK;

#endif
