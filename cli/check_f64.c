/* check_f64.c - certificates in double. Configurations and certificates hold no weft_real, so that they
 * are the same in both libraries. */
#include "cli/check.h"

#include <stdio.h>

weft_status weft_cli_certify_f64(const weft_config *config, weft_certificate_kind kind,
                                 const weft_certify_spec *spec, int n_threads,
                                 weft_certificate *certificate, char message[1024])
{
    weft_status status = weft_threads_set(n_threads);
    if (status == WEFT_OK) status = weft_certify(config, kind, spec, certificate);
    if (status != WEFT_OK) snprintf(message, 1024, "%s", weft_message());
    return status;
}
