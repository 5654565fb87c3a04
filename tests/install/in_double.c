/* A user's program with both precisions: this half in double. */
#include <weft/weft.h>

int error_in_double(const char **message);

int error_in_double(const char **message)
{
    const weft_status status = weft_error(WEFT_ERR_SHAPE, "%d bytes", (int)sizeof(weft_real));
    *message = weft_message();
    return status;
}
