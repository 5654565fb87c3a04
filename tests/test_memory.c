/* test_memory.c - the arena against a simple model; the plan of a dry tape against the real peak; a
 * step in steady state neither allocates nor faults. */
#include "autograd/autograd.h"
#include "tests/check_main.h"

#include <string.h>
#include <sys/resource.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#endif
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

/* ---- every malloc of this program is counted (a sanitizer has its own) -------------------------- */

#ifndef SANITIZED
static _Atomic long long n_mallocs;
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t n, size_t bytes);
void *__libc_realloc(void *old, size_t bytes);
void *malloc(size_t bytes)
{
    n_mallocs++;
    return __libc_malloc(bytes);
}
void *calloc(size_t n, size_t bytes)
{
    n_mallocs++;
    return __libc_calloc(n, bytes);
}
void *realloc(void *old, size_t bytes)
{
    n_mallocs++;
    return __libc_realloc(old, bytes);
}
#endif

/* ---- the arena ---------------------------------------------------------------------------------- */

enum { MOST = 200, STEPS = 4000 };

typedef struct taken {
    size_t offset, bytes;
    unsigned char mark;
} taken;

static size_t rounded(size_t bytes)
{
    return bytes ? (bytes + WEFT_ALIGN - 1) / WEFT_ALIGN * WEFT_ALIGN : WEFT_ALIGN;
}

static void check_marks(const weft_arena *arena, const taken *t)
{
    const unsigned char *p = weft_arena_at(arena, t->offset);
    bool same = true;
    for (size_t k = 0; k < t->bytes; k++) same = same && p[k] == t->mark;
    ck_assert(same);
}

START_TEST(arena_equals_a_simple_model)
{
    const uint64_t key = weft_random_key((uint64_t)_i + 1, 0, 0);
    weft_arena *arena = weft_arena_new(false), *dry = weft_arena_new(true);
    ck_assert(arena && dry);
    taken live[MOST];
    size_t n = 0, used = 0, peak = 0;
    for (uint32_t s = 0; s < STEPS; s++) {
        const uint64_t dice = weft_random_below(key, 3 * s, 1000);
        if (dice == 0) {
            weft_arena_reset(arena);
            weft_arena_reset(dry);
            n = used = 0;
        } else if (n < MOST && (n == 0 || dice < 550)) {
            const size_t bytes = (size_t)weft_random_below(key, 3 * s + 1,
                                                           dice % 10 == 0   ? 100000
                                                           : dice % 10 == 1 ? 1
                                                                            : 700);
            taken t = { .bytes = bytes, .mark = (unsigned char)s };
            size_t planned;
            ck_assert_int_eq(weft_arena_take(arena, bytes, &t.offset), WEFT_OK);
            ck_assert_int_eq(weft_arena_take(dry, bytes, &planned), WEFT_OK);
            ck_assert_uint_eq(planned, t.offset);
            ck_assert_uint_eq(t.offset % WEFT_ALIGN, 0);
            bool apart = true;
            for (size_t i = 0; i < n; i++)
                apart = apart && (t.offset + rounded(bytes) <= live[i].offset ||
                                  live[i].offset + rounded(live[i].bytes) <= t.offset);
            ck_assert(apart);
            memset(weft_arena_at(arena, t.offset), t.mark, bytes);
            live[n++] = t;
            used += rounded(bytes);
            if (t.offset + rounded(bytes) > peak) peak = t.offset + rounded(bytes);
        } else {
            const size_t i = (size_t)weft_random_below(key, 3 * s + 2, n);
            check_marks(arena, &live[i]);
            weft_arena_give(arena, live[i].offset, live[i].bytes);
            weft_arena_give(dry, live[i].offset, live[i].bytes);
            used -= rounded(live[i].bytes);
            live[i] = live[--n];
        }
        ck_assert_uint_eq(weft_arena_used_bytes(arena), used);
        ck_assert_uint_eq(weft_arena_peak_bytes(arena), peak);
        ck_assert_uint_eq(weft_arena_peak_bytes(dry), peak);
    }
    for (size_t i = 0; i < n; i++) check_marks(arena, &live[i]);
    /* Everything given back in any order leaves one empty arena. */
    while (n-- > 0) weft_arena_give(arena, live[n].offset, live[n].bytes);
    size_t first;
    ck_assert_int_eq(weft_arena_take(arena, peak, &first), WEFT_OK);
    ck_assert_uint_eq(first, 0);
    ck_assert_uint_eq(weft_arena_peak_bytes(arena), peak);
    weft_arena_free(arena);
    weft_arena_free(dry);
}
END_TEST

START_TEST(arena_says_when_memory_is_short)
{
    weft_arena *arena = weft_arena_new(false);
    size_t offset;
    ck_assert_ptr_nonnull(arena);
    ck_assert_int_eq(weft_arena_take(arena, SIZE_MAX / 4, &offset), WEFT_ERR_MEMORY);
    ck_assert_ptr_nonnull(strstr(weft_message(), "MiB are asked for, 0 MiB are taken"));
    ck_assert_int_eq(weft_arena_take(arena, 100, &offset), WEFT_OK); /* it is still of use */
    ck_assert_int_eq(weft_arena_reserve(arena, SIZE_MAX / 4), WEFT_ERR_MEMORY);
    ck_assert_int_eq(weft_arena_take(arena, SIZE_MAX, &offset), WEFT_ERR_MEMORY);
    weft_arena_free(arena);

    weft_alloc_fail_at(1, true);
    ck_assert_ptr_null(weft_arena_new(false));
    weft_alloc_fail_at(0, false);
    ck_assert_ptr_null(weft_alloc(SIZE_MAX / 2, 4));
    ck_assert_ptr_nonnull(strstr(weft_message(), "more than memory can address"));
}
END_TEST

/* The block at the top is given back without memory for the book, so that two arenas in step stay so. */
START_TEST(arena_gives_its_last_block_back_without_memory)
{
    weft_arena *arena = weft_arena_new(true);
    size_t first, second, again;
    ck_assert_ptr_nonnull(arena);
    ck_assert_int_eq(weft_arena_take(arena, 100, &first), WEFT_OK);
    ck_assert_int_eq(weft_arena_take(arena, 100, &second), WEFT_OK);
    weft_alloc_fail_at(1, true);
    weft_arena_give(arena, second, 100);
    weft_alloc_fail_at(0, false);
    ck_assert_int_eq(weft_arena_take(arena, 1000, &again), WEFT_OK);
    ck_assert_uint_eq(again, second);
    weft_arena_free(arena);
}
END_TEST

#if !defined(SANITIZED) && !defined(WEFT_EMULATED)
/* The last page of a reservation is touched too, wherever the peak lies in its page. */
START_TEST(what_was_reserved_does_not_fault)
{
    enum { HUGE_PAGE = 1 << 21, MORE = 4032 };
    weft_arena *arena = weft_arena_new(false);
    size_t offset;
    ck_assert_ptr_nonnull(arena);
    ck_assert_int_eq(weft_arena_take(arena, HUGE_PAGE - WEFT_ALIGN, &offset), WEFT_OK);
    ck_assert_int_eq(weft_arena_reserve(arena, HUGE_PAGE - WEFT_ALIGN + MORE), WEFT_OK);
    memset(weft_arena_at(arena, offset), 1, HUGE_PAGE - WEFT_ALIGN);
    ck_assert_int_eq(weft_arena_take(arena, MORE, &offset), WEFT_OK);
    struct rusage before, after;
    getrusage(RUSAGE_SELF, &before);
    getrusage(RUSAGE_SELF, &before); /* the first call may fault itself */
    memset(weft_arena_at(arena, offset), 1, MORE);
    getrusage(RUSAGE_SELF, &after);
    ck_assert_int_eq(after.ru_minflt, before.ru_minflt);
    weft_arena_free(arena);
}
END_TEST
#endif

#ifdef __SANITIZE_ADDRESS__
START_TEST(what_was_given_back_is_poisoned)
{
    weft_tape *tape = weft_tape_new(0);
    const weft_var x = weft_leaf(tape, WEFT_DIMS(3), (weft_real[]){ 1, 2, 3 });
    const weft_real *data = weft_value(tape, x).real;
    ck_assert(!__asan_address_is_poisoned(data + 2));
    weft_tape_reset(tape);
    ck_assert(__asan_address_is_poisoned(data));
    ck_assert(__asan_address_is_poisoned(data + 2));
    weft_tape_free(tape);
}
END_TEST
#endif

/* ---- a step of a small model -------------------------------------------------------------------- */

enum { D = 32, F = 64, V = 40, LAYERS = 3 };

typedef struct model {
    weft_params *params;
    weft_param w1[LAYERS], b1[LAYERS], w2[LAYERS], head;
} model;

static void add(model *m, const char *name, int rank, const int64_t dim[], weft_param *out)
{
    const weft_init init = { .kind = WEFT_INIT_NORMAL, .scale = 0.1 };
    ck_assert_int_eq(weft_params_add(m->params, name, rank, dim, init, out), WEFT_OK);
}

static void build(model *m)
{
    m->params = weft_params_new(3);
    ck_assert_ptr_nonnull(m->params);
    for (int i = 0; i < LAYERS; i++) {
        char name[32];
        snprintf(name, sizeof name, "%d.w1", i);
        add(m, name, WEFT_DIMS(F, D), &m->w1[i]);
        snprintf(name, sizeof name, "%d.b1", i);
        add(m, name, WEFT_DIMS(F), &m->b1[i]);
        snprintf(name, sizeof name, "%d.w2", i);
        add(m, name, WEFT_DIMS(D, F), &m->w2[i]);
    }
    add(m, "head", WEFT_DIMS(V, D), &m->head);
}

/* Layers with a residual, and cross-entropy from primitives: views, slices, several uses of values. */
static weft_var loss_of(weft_tape *tape, const model *m, int64_t N)
{
    weft_real x[64 * D];
    int32_t targets[64];
    for (int64_t k = 0; k < N * D; k++) x[k] = (weft_real)((double)(k * 37 % 101) / 50 - 1);
    for (int64_t r = 0; r < N; r++) targets[r] = (int32_t)(r * 7 % V);
    weft_var h = weft_constant(tape, WEFT_DIMS(N, D), x);
    for (int i = 0; i < LAYERS; i++) {
        weft_scope_push(tape, "layers.%d", i);
        const weft_var up =
            weft_add(tape, weft_matmul_t(tape, h, false, weft_use(tape, m->w1[i]), true),
                     weft_use(tape, m->b1[i]));
        const weft_var half = weft_mul(tape, weft_slice(tape, up, 1, 0, F / 2),
                                       weft_tanh(tape, weft_slice(tape, up, 1, F / 2, F)));
        const weft_var both = weft_concat(tape, 2, (weft_var[]){ half, half }, 1);
        h = weft_add(tape, h, weft_matmul_t(tape, both, false, weft_use(tape, m->w2[i]), true));
        weft_scope_pop(tape);
    }
    const weft_var logits = weft_matmul_t(tape, h, false, weft_use(tape, m->head), true);
    const weft_var picked = weft_gather(tape, weft_log_softmax(tape, logits), 1,
                                        weft_constant_int(tape, WEFT_DIMS(N, 1), targets));
    return weft_neg(tape, weft_sum(tape, picked, WEFT_ALL, false));
}

/* Without a ck_assert, which allocates. */
static weft_status step(weft_tape *tape, const model *m, int64_t N)
{
    weft_tape_reset(tape);
    weft_params_zero_gradients(m->params);
    return weft_backward(tape, loss_of(tape, m, N), NULL);
}

static size_t peak_of(unsigned flags, const model *m, int64_t N)
{
    weft_tape *tape = weft_tape_new(flags);
    ck_assert_ptr_nonnull(tape);
    ck_assert_int_eq(step(tape, m, N), WEFT_OK);
    const size_t bytes = weft_tape_peak_bytes(tape);
    weft_tape_free(tape);
    return bytes;
}

START_TEST(the_plan_is_the_peak)
{
    model m;
    build(&m);
    for (int64_t N = 1; N <= 64; N = 2 * N + 1) {
        const size_t consuming = peak_of(0, &m, N), retaining = peak_of(WEFT_RETAIN, &m, N);
        ck_assert_uint_eq(peak_of(WEFT_DRY, &m, N), consuming);
        ck_assert_uint_eq(peak_of(WEFT_DRY | WEFT_RETAIN, &m, N), retaining);
        ck_assert_uint_lt(consuming, retaining); /* backward reuses what it has passed */
    }
    weft_params_free(m.params);
}
END_TEST

static long long blocks(void)
{
#ifdef SANITIZED
    return 0;
#else
    return n_mallocs;
#endif
}

static long faults(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_minflt + usage.ru_majflt;
}

START_TEST(a_steady_step_takes_no_memory)
{
    enum { LARGEST = 61 };
    model m;
    build(&m);
    weft_tape *dry = weft_tape_new(WEFT_DRY), *tape = weft_tape_new(0);
    ck_assert(dry && tape);
    ck_assert_int_eq(step(dry, &m, LARGEST), WEFT_OK);
    const size_t planned = weft_tape_peak_bytes(dry);
    ck_assert_int_eq(weft_tape_reserve(tape, planned), WEFT_OK);
    ck_assert_int_eq(step(tape, &m, LARGEST),
                     WEFT_OK); /* arrays of the tape and buffers of the products, once */
    ck_assert_int_eq(step(tape, &m, 2), WEFT_OK);

    /* Threads and BLIS's buffers warm up when they first meet, and the system may take pages away:
     * one of five rounds must be without any. */
    long n_faults = 1;
    long long n_blocks = 1;
    for (int round = 0; round < 5 && (n_faults > 0 || n_blocks > 0); round++) {
        const int64_t allocations = weft_alloc_count();
        const long before = faults();
        const long long blocks_before = blocks();
        int n_ok = 0;
        for (int s = 0; s < 100; s++) n_ok += step(tape, &m, 1 + s * 13 % LARGEST) == WEFT_OK;
        n_faults = faults() - before;
        n_blocks = blocks() - blocks_before;
        ck_assert_int_eq(n_ok, 100);
        ck_assert_int_eq(weft_alloc_count(), allocations);
        ck_assert_uint_le(weft_tape_peak_bytes(tape), planned);
    }
    ck_assert_int_eq(n_blocks, 0);
#if !defined(SANITIZED) && !defined(WEFT_EMULATED)
    ck_assert_int_eq(n_faults, 0);
#endif
    weft_tape_free(dry);
    weft_tape_free(tape);
    weft_params_free(m.params);
}
END_TEST

#ifndef SANITIZED
START_TEST(malloc_is_counted)
{
    const long long before = n_mallocs;
    void *volatile block = malloc(10);
    ck_assert_int_eq(n_mallocs, before + 1);
    free(block);
    const long faults_before = faults();
    volatile char *fresh = calloc(1, 8 << 20);
    for (size_t k = 0; k < 8 << 20; k += 4096) fresh[k] = 1;
    ck_assert_int_gt(faults(), faults_before);
    free((void *)fresh);
}
END_TEST
#endif

/* Each allocation of a recorded step fails in turn: a status, and the tape is of use afterwards. */
START_TEST(every_failing_allocation_of_a_step_is_a_status)
{
    model m;
    build(&m);
    int64_t n = 1;
    for (bool done = false; !done; n++) {
        weft_alloc_fail_at(n, _i);
        weft_tape *tape = weft_tape_new(0);
        weft_status status = WEFT_ERR_MEMORY;
        if (tape) status = weft_backward(tape, loss_of(tape, &m, 5), NULL);
        weft_alloc_fail_at(0, false);
        done = status == WEFT_OK;
        if (!done) {
            ck_assert_int_eq(status, WEFT_ERR_MEMORY);
            ck_assert_msg(strstr(weft_message(), "out of memory") != NULL, "%s", weft_message());
        }
        if (tape) {
            weft_tape_reset(tape);
            ck_assert_int_eq(weft_backward(tape, loss_of(tape, &m, 5), NULL), WEFT_OK);
        }
        weft_tape_free(tape);
    }
    ck_assert_int_gt(n, 8);
    weft_params_free(m.params);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("memory");
    TCase *arena = tcase_create("arena");
    tcase_set_timeout(arena, 60);
    tcase_add_loop_test(arena, arena_equals_a_simple_model, 0, 4);
    tcase_add_test(arena, arena_says_when_memory_is_short);
    tcase_add_test(arena, arena_gives_its_last_block_back_without_memory);
#if !defined(SANITIZED) && !defined(WEFT_EMULATED)
    tcase_add_test(arena, what_was_reserved_does_not_fault);
#endif
#ifdef __SANITIZE_ADDRESS__
    tcase_add_test(arena, what_was_given_back_is_poisoned);
#endif
    suite_add_tcase(suite, arena);
    TCase *steps = tcase_create("steps");
    tcase_set_timeout(steps, 60);
    tcase_add_test(steps, the_plan_is_the_peak);
    tcase_add_test(steps, a_steady_step_takes_no_memory);
#ifndef SANITIZED
    tcase_add_test(steps, malloc_is_counted);
#endif
    tcase_add_loop_test(steps, every_failing_allocation_of_a_step_is_a_status, 0, 2);
    suite_add_tcase(suite, steps);
    return run_suite(suite);
}
