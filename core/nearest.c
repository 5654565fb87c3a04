/* nearest.c - edit distance, and the nearest of several names. */
#include "core/nearest_internal.h"

#include <stddef.h>
#include <string.h>

enum { MOST = 63 };

static int least(int a, int b) { return a < b ? a : b; }

int weft_edit_distance(const char *a, const char *b)
{
    const size_t n_a = strnlen(a, MOST), n_b = strnlen(b, MOST);
    int row[3][MOST + 1]; /* of the table: before the last, the last, the present one */
    for (size_t j = 0; j <= n_b; j++) row[0][j] = (int)j;
    for (size_t i = 1; i <= n_a; i++) {
        int *now = row[i % 3];
        const int *last = row[(i + 2) % 3], *before = row[(i + 1) % 3];
        now[0] = (int)i;
        for (size_t j = 1; j <= n_b; j++) {
            now[j] = least(least(now[j - 1], last[j]) + 1, last[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                now[j] = least(now[j], before[j - 2] + 1);
            }
        }
    }
    return row[n_a % 3][n_b];
}

weft_nearest weft_nearest_init(const char *word)
{
    /* At most half of the word may be wrong, or the suggestion is none. */
    const int most = (int)strnlen(word, MOST) / 2;
    return (weft_nearest){ .word = word, .distance = (most < 2 ? 2 : most) + 1 };
}

void weft_nearest_offer(weft_nearest *nearest, const char *name)
{
    const int distance = weft_edit_distance(nearest->word, name);
    if (distance >= nearest->distance) return;
    nearest->distance = distance;
    nearest->name = name;
}
