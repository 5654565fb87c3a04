/* A user's program with both precisions: this half in float. */
#include <stdio.h>
#include <string.h>
#include <weft/weft.h>

int error_in_double(const char **message);

/* The two libraries are apart: each has its own message, and its own number type. */
int main(void)
{
    const char *in_double;
    if (sizeof(weft_real) != sizeof(float)) return 1;
    if (weft_error(WEFT_ERR_RANGE, "%d bytes", (int)sizeof(weft_real)) != WEFT_ERR_RANGE) return 2;
    if (error_in_double(&in_double) != WEFT_ERR_SHAPE) return 3;
    printf("weft %s: %s, %s\n", WEFT_VERSION, weft_message(), in_double);
    return strcmp(weft_message(), "4 bytes") || strcmp(in_double, "8 bytes");
}
