/* precision: float; labels: tsan - batches made ahead by a thread are those of the iterator. */
#include "batches_fixture.h"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { N_KINDS = 4 };

/* Pairs, pairs with weights and BPE-dropout, running text, one side in order. */
static fixture corpus_of(int kind)
{
    fixture f = kind == 1 ? make_pieces() : make(kind == 2 ? 40 : 200, kind != 2, kind != 3);
    if (kind != 1) return f;
    weft_corpus *weighted = weft_corpus_new();
    ck_assert_int_eq(weft_corpus_set_weight(weighted, 1.5), WEFT_OK);
    for (int64_t i = 0; i < weft_corpus_size(f.corpus); i++)
        ck_assert_int_eq(weft_corpus_add(weighted, weft_corpus_text(f.corpus, WEFT_SOURCE, i),
                                         weft_corpus_text(f.corpus, WEFT_TARGET, i)),
                         WEFT_OK);
    weft_corpus_free(f.corpus);
    f.corpus = weighted;
    ck_assert_int_eq(weft_corpus_encode(f.corpus, f.vocab, f.vocab), WEFT_OK);
    return f;
}

static weft_batches *batches_of(const fixture *f, int kind)
{
    weft_batches_spec spec = { .batch_tokens = BATCH_TOKENS, .seed = 5 };
    if (kind == 1) spec = dropout_spec(f, 0.3);
    if (kind == 1) spec.in_order = false;
    if (kind == 2) spec.context = 20;
    if (kind == 3) spec.in_order = true;
    return iterate(f, spec);
}

static uint64_t hash_all(const weft_batch *batch)
{
    uint64_t hash = hash_of(batch);
    for (int s = 0; s < 2; s++) {
        const weft_tokens *side = s == 0 ? &batch->source : &batch->target;
        for (int64_t i = 0; i < side->N; i++)
            hash = (hash ^ (uint32_t)side->rows[2 * i + 1]) * 1099511628211u;
    }
    for (int64_t i = 0; batch->labels && i < batch->target.N; i++)
        hash = (hash ^ (uint32_t)batch->labels[i]) * 1099511628211u;
    return hash;
}

static weft_prefetch *prefetch_of(weft_batches *batches)
{
    weft_prefetch *prefetch;
    ck_assert_msg(weft_prefetch_new(batches, &prefetch) == WEFT_OK, "%s", weft_message());
    return prefetch;
}

/* Over three epochs, from the second batch on: each batch and each position, the thread given time to
 * make the next one while the present one is looked at. No memory is taken. */
START_TEST(gives_the_batches_of_the_iterator)
{
    fixture f = corpus_of(_i);
    weft_batches *plain = batches_of(&f, _i), *ahead = batches_of(&f, _i);
    weft_batch a, b;
    int64_t epoch = 0, index = 0, epoch_ahead, index_ahead;
    weft_batches_next(plain, &a);
    weft_batches_next(ahead, &b);
    weft_prefetch *prefetch = prefetch_of(ahead);
    const int64_t n_allocations = weft_alloc_count();
    for (int64_t n = 0; epoch < 3; n++) {
        weft_batches_position(plain, &epoch, &index);
        weft_prefetch_position(prefetch, &epoch_ahead, &index_ahead);
        ck_assert_int_eq(epoch, epoch_ahead);
        ck_assert_int_eq(index, index_ahead);
        weft_batches_next(plain, &a);
        weft_prefetch_next(prefetch, &b);
        if (n % 16 == 0) nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
        ck_assert_int_eq(a.source.B, b.source.B);
        ck_assert_int_eq(a.target.B, b.target.B);
        ck_assert_int_eq(a.source.N, b.source.N);
        ck_assert_int_eq(a.target.N, b.target.N);
        ck_assert_uint_eq(hash_all(&a), hash_all(&b));
    }
    ck_assert_int_eq(weft_alloc_count(), n_allocations);
    weft_prefetch_free(prefetch);
    weft_batches_free(plain);
    weft_batches_free(ahead);
    drop(&f);
}
END_TEST

/* Before the first batch, while the thread is at one, and when it waits. */
START_TEST(ends_at_any_time)
{
    fixture f = make(60, true, true);
    weft_batches *batches = batches_of(&f, 0);
    for (int n = 0; n < 300; n++) {
        weft_batch batch;
        weft_prefetch *prefetch = prefetch_of(batches);
        for (int k = 0; k < n % 3; k++) weft_prefetch_next(prefetch, &batch);
        if (n % 7 == 0) nanosleep(&(struct timespec){ .tv_nsec = 100000 }, NULL);
        weft_prefetch_free(prefetch);
    }
    weft_prefetch_free(NULL);
    weft_batches_free(batches);
    drop(&f);
}
END_TEST

/* Signals reach the thread that was there before, and nothing of it is left blocked. */
static volatile sig_atomic_t n_seen;
static pthread_t seen_by;
static void on_signal(int number)
{
    (void)number;
    seen_by = pthread_self();
    n_seen++;
}

START_TEST(leaves_signals_alone)
{
    fixture f = make(60, true, true);
    weft_batches *batches = batches_of(&f, 0);
    sigset_t before, after;
    struct sigaction action = { .sa_handler = on_signal };
    sigaction(SIGUSR1, &action, NULL);
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    weft_prefetch *prefetch = prefetch_of(batches);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    for (int s = 1; s < 32; s++) ck_assert_int_eq(sigismember(&before, s), sigismember(&after, s));
    for (int n = 1; n <= 20; n++) {
        weft_batch batch;
        weft_prefetch_next(prefetch, &batch);
        kill(getpid(), SIGUSR1);
        while (n_seen < n) nanosleep(&(struct timespec){ .tv_nsec = 1000 }, NULL);
        ck_assert(pthread_equal(seen_by, pthread_self()));
    }
    weft_prefetch_free(prefetch);
    weft_batches_free(batches);
    drop(&f);
}
END_TEST

START_TEST(out_of_memory)
{
    fixture f = make(60, true, true);
    weft_batches *batches = batches_of(&f, 0);
    weft_status status = WEFT_ERR_MEMORY;
    int n_failed = 0;
    for (int64_t n = 1; status != WEFT_OK; n++) {
        weft_prefetch *prefetch;
        weft_alloc_fail_at(n, false);
        status = weft_prefetch_new(batches, &prefetch);
        weft_alloc_fail_at(0, false);
        if (status == WEFT_OK) {
            weft_prefetch_free(prefetch);
            continue;
        }
        n_failed++;
        ck_assert_int_eq(status, WEFT_ERR_MEMORY);
        ck_assert_ptr_null(prefetch);
    }
    ck_assert_int_eq(n_failed, 8);
    weft_batches_free(batches);
    drop(&f);
}
END_TEST

/* The stack of a thread is not to be had: an address space that is full. */
START_TEST(no_thread)
{
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && !defined(__clang__)
    fixture f = make(60, true, true);
    weft_batches *batches = batches_of(&f, 0);
    weft_prefetch *prefetch;
    struct rlimit limit;
    getrlimit(RLIMIT_AS, &limit);
    setrlimit(RLIMIT_AS, &(struct rlimit){ 1, limit.rlim_max });
    const weft_status status = weft_prefetch_new(batches, &prefetch);
    setrlimit(RLIMIT_AS, &limit);
    ck_assert_int_eq(status, WEFT_ERR_MEMORY);
    ck_assert_ptr_null(prefetch);
    ck_assert_msg(strstr(weft_message(), "no thread to read ahead: ") == weft_message(), "%s",
                  weft_message());
    weft_batches_free(batches);
    drop(&f);
#endif
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("prefetch");
    TCase *batches = tcase_create("batches");
    tcase_add_loop_test(batches, gives_the_batches_of_the_iterator, 0, N_KINDS);
    suite_add_tcase(suite, batches);
    TCase *life = tcase_create("life");
    tcase_add_test(life, ends_at_any_time);
    tcase_add_test(life, leaves_signals_alone);
    tcase_add_test(life, out_of_memory);
    tcase_add_test(life, no_thread);
    suite_add_tcase(suite, life);
    return run_suite(suite);
}
