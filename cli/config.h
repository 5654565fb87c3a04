/* config.h - the configuration that the options --config, --task and --set name. */
#ifndef WEFT_CLI_CONFIG_H
#define WEFT_CLI_CONFIG_H

#include "cli/options.h"
#include "train/config.h"

/** The file at `path`, or without one (NULL) a small model for the generated task of that name; then each
 *  section.key=value. Not checked yet: weft_config_check. */
weft_status weft_cli_config(const char *path, const char *task, const weft_cli_texts *set,
                            weft_config *config) WEFT_MUST_CHECK;
/** The same on top of what `config` holds; neither file nor task is allowed. */
weft_status weft_cli_config_on(const char *path, const char *task, const weft_cli_texts *set,
                               weft_config *config) WEFT_MUST_CHECK;

#endif
