/* test_unvisited.c - tiles in which nobody sees anybody are not visited, for each pattern: where they lie
 * the pages are taken away, and to read one would end the process. */
#include "check_main.h"

#include "autograd/attention_internal.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { TILE = WEFT_ATTENTION_TILE, TILES = 16, N = TILES * TILE };

static weft_tape *tape;
static void open_tape(void)
{
    tape = weft_tape_new(WEFT_RETAIN);
    ck_assert_ptr_nonnull(tape);
    weft_tape_seed(tape, 3, 0);
}
static void close_tape(void) { weft_tape_free(tape); }

/* Rows of which a tile is a page. */
typedef struct pages {
    weft_real *x; /* [N, K] */
    int64_t K;
    size_t page_bytes;
} pages;

static pages pages_new(void)
{
    pages p = { .page_bytes = (size_t)sysconf(_SC_PAGESIZE) };
    p.K = (int64_t)(p.page_bytes / TILE / sizeof *p.x);
    p.x = mmap(NULL, TILES * p.page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
               0);
    ck_assert(p.x != MAP_FAILED);
    for (int64_t k = 0; k < N * p.K; k++) p.x[k] = (weft_real)(k * k % 101) / 101;
    return p;
}

static weft_var borrowed(const pages *p) { return weft_borrow(tape, WEFT_DIMS(N, p->K), p->x); }

static void allow(const pages *p, int t, int access)
{
    void *at = (char *)p->x + (size_t)t * p->page_bytes;
    ck_assert_int_eq(mprotect(at, p->page_bytes, access), 0);
}

static weft_attention_spec spec_of(int i)
{
    static const int32_t begin[TILES + 1] = { [TILES] = 2 }, index[] = { 3, 14 };
    const weft_pattern_spec patterns[] = {
        { .kind = WEFT_PATTERN_WINDOW, .window = 100 },
        { .kind = WEFT_PATTERN_WINDOW, .window = 100, .n_global = 3 },
        { .kind = WEFT_PATTERN_DILATED, .window = 5, .gap = 200 },
        { .kind = WEFT_PATTERN_STRIDED, .stride = 300 },
        { .kind = WEFT_PATTERN_FIXED, .stride = 256, .summary = 4 },
        { .kind = WEFT_PATTERN_BIGBIRD,
          .block = TILE / 2,
          .window_blocks = 3,
          .global_blocks = 2,
          .random_blocks = 2 },
        { .kind = WEFT_PATTERN_BLOCKS,
          .block = TILE,
          .block_begin = weft_constant_int(tape, WEFT_DIMS(TILES + 1), begin),
          .block_index = weft_constant_int(tape, WEFT_DIMS(2), index) },
    };
    return (
        weft_attention_spec){ .heads = 1, .causal = true, .at_end = true, .pattern = patterns[i] };
}
enum { N_PATTERNS = 7 };

/* Which tiles of keys have one that the last tile of queries sees, by the weights. */
static int see(weft_var y, bool seen[TILES])
{
    const weft_tensor P = weft_value(tape, weft_attention_weights(tape, y, 1)); /* [TILE, 1, N] */
    ck_assert_msg(P.data != NULL, "%s", weft_tape_message(tape));
    int n = 0;
    for (int t = 0; t < TILES; t++) {
        seen[t] = false;
        for (int k = 0; k < TILE * TILE; k++)
            seen[t] |= P.real[k / TILE * N + t * TILE + k % TILE] != 0;
        n += seen[t];
    }
    return n;
}

/* The last tile of queries, forward and backward, in one piece and in pieces for two threads. */
START_TEST(keys_that_nobody_sees)
{
    const pages k = pages_new(), v = pages_new();
    const weft_attention_spec spec = spec_of(_i);
    const weft_var q = weft_sample_normal(tape, WEFT_DIMS(TILE, k.K)),
                   y = weft_attention(tape, q, borrowed(&k), borrowed(&v), &spec);
    bool seen[TILES];
    const int n = see(y, seen);
    ck_assert_msg(n > 0 && n < TILES, "%d tiles of %d", n, TILES);
    for (int t = 0; t < TILES; t++)
        if (!seen[t]) allow(&k, t, PROT_NONE), allow(&v, t, PROT_NONE);
    for (int threads = 1; threads <= 2; threads++) {
        ck_assert_int_eq(weft_threads_set(threads), WEFT_OK);
        const weft_var z = weft_attention(tape, q, borrowed(&k), borrowed(&v), &spec);
        const weft_tensor a = weft_value(tape, y), b = weft_value(tape, z);
        ck_assert_msg(b.data != NULL, "%s", weft_tape_message(tape));
        ck_assert_mem_eq(a.real, b.real, (size_t)weft_size(&a) * sizeof *a.real);
        ck_assert_int_eq(weft_backward(tape, z, a.real), WEFT_OK);
    }
}
END_TEST

/* Queries that see nobody, for the gradients of keys and values: all but the first, which is global. */
START_TEST(queries_that_see_nobody)
{
    const pages q = pages_new();
    const weft_attention_spec spec = { .heads = 1,
                                       .pattern = { .n_global = 1, .rows = WEFT_ROWS_GLOBAL } };
    ck_assert_int_eq(weft_threads_set(_i), WEFT_OK);
    const weft_var k = weft_sample_normal(tape, WEFT_DIMS(N, q.K)),
                   y = weft_attention(tape, borrowed(&q), k, k, &spec);
    const weft_tensor o = weft_value(tape, y);
    ck_assert_msg(o.data != NULL, "%s", weft_tape_message(tape));
    for (int t = 1; t < TILES; t++) allow(&q, t, PROT_NONE);
    ck_assert_int_eq(weft_backward(tape, y, o.real), WEFT_OK);
}
END_TEST

/* A tile is said to be seen by no one where that is so, and nowhere else: for all tiles of all patterns, of
 * sentences that begin and end within one. */
START_TEST(tiles_are_told_exactly)
{
    for (int causal = 0; causal < 2; causal++)
        for (int kind = WEFT_PATTERN_FULL; kind <= WEFT_PATTERN_FIXED; kind++)
            for (int n_global = 0; n_global < 2; n_global++) {
                const weft_pattern pattern = { .kind = (weft_pattern_kind)kind,
                                               .causal = causal,
                                               .window = 70,
                                               .gap = 3,
                                               .stride = 130,
                                               .summary = 5,
                                               .n_global = 66 * n_global };
                weft_sight s = { .pattern = &pattern, .n_q = 500, .n_k = 500 };
                weft_sight_init(&s);
                for (int64_t i0 = 0; i0 < s.n_q; i0 += TILE)
                    for (int64_t j0 = 0; j0 < s.n_k; j0 += TILE) {
                        const int64_t n_i = s.n_q - i0 < TILE ? s.n_q - i0 : TILE,
                                      n_j = s.n_k - j0 < TILE ? s.n_k - j0 : TILE;
                        bool any = false;
                        for (int64_t i = i0; i < i0 + n_i; i++) {
                            uint8_t sees[TILE];
                            weft_sight_row(&s, i, j0, n_j, sees);
                            any = any || memchr(sees, 1, (size_t)n_j) != NULL;
                        }
                        const weft_seen seen = weft_sight_tile(&s, i0, n_i, j0, n_j);
                        ck_assert_msg((seen != WEFT_SEES_NONE) == any,
                                      "pattern %d, causal %d: tile %d, %d", kind, causal, (int)i0,
                                      (int)j0);
                    }
            }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("unvisited");
    TCase *hidden = tcase_create("pages");
    tcase_add_checked_fixture(hidden, open_tape, close_tape);
    tcase_add_loop_test(hidden, keys_that_nobody_sees, 0, N_PATTERNS);
    tcase_add_loop_test(hidden, queries_that_see_nobody, 1, 3);
    suite_add_tcase(suite, hidden);
    TCase *tiles = tcase_create("tiles");
    tcase_add_test(tiles, tiles_are_told_exactly);
    suite_add_tcase(suite, tiles);
    return run_suite(suite);
}
