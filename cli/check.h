/* check.h - certificates from the double library. */
#ifndef WEFT_CLI_CHECK_H
#define WEFT_CLI_CHECK_H

#include "train/certify.h"

/** weft_certify of the double library, whose messages are its own: after an error its sentence is put
 *  into `message`. */
weft_status weft_cli_certify_f64(const weft_config *config, weft_certificate_kind kind,
                                 const weft_certify_spec *spec, int n_threads,
                                 weft_certificate *certificate, char message[1024]) WEFT_MUST_CHECK;

#endif
