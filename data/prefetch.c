/* prefetch.c - a thread that makes batches, one ahead.
 *
 *     caller    _next: takes a copy, asks --> computes ............... _next: takes a copy, asks -->
 *     thread           waits              --> makes one, waits ..............................   -->
 */
#include "data/prefetch.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>

typedef enum prefetch_turn {
    TURN_CALLER, /* nothing is asked for: the iterator is the caller's */
    TURN_THREAD, /* a batch is asked for: the iterator is the thread's until `made` */
    TURN_END
} prefetch_turn;

/* The caller's copy of one side. */
typedef struct prefetch_side {
    int32_t *ids, *offsets, *rows;
} prefetch_side;

struct weft_prefetch {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t turned;
    prefetch_turn turn; /* under `lock` */
    weft_batches *batches;
    weft_batch made; /* in the iterator's arrays */
    /* the caller's alone */
    bool asked;
    int64_t epoch, index;
    prefetch_side side[2];
    int32_t *labels;
    double waited_s;
};

/* ---- taking turns ------------------------------------------------------------------------------- */

static void give_turn(weft_prefetch *p, prefetch_turn turn)
{
    pthread_mutex_lock(&p->lock);
    p->turn = turn;
    pthread_cond_signal(&p->turned);
    pthread_mutex_unlock(&p->lock);
}

/* Wait until the turn is another one than `turn`, and return it. */
static prefetch_turn wait_while(weft_prefetch *p, prefetch_turn turn)
{
    pthread_mutex_lock(&p->lock);
    while (p->turn == turn) pthread_cond_wait(&p->turned, &p->lock);
    turn = p->turn;
    pthread_mutex_unlock(&p->lock);
    return turn;
}

static void *work(void *prefetch)
{
    weft_prefetch *p = prefetch;
    while (wait_while(p, TURN_CALLER) == TURN_THREAD) {
        weft_batches_next(p->batches, &p->made);
        give_turn(p, TURN_CALLER);
    }
    return NULL;
}

/* Signals are for the threads that were there before. */
static weft_status start_thread(weft_prefetch *p)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int error = pthread_create(&p->thread, NULL, work, p);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error == 0) return WEFT_OK;
    return weft_error(WEFT_ERR_MEMORY, "no thread to read ahead: %s", strerror(error));
}

/* ---- life --------------------------------------------------------------------------------------- */

static weft_status alloc_copy(weft_prefetch *p)
{
    const weft_batches_limits limits = weft_batches_get_limits(p->batches);
    const int64_t n_tokens[2] = { limits.source_tokens, limits.target_tokens };
    for (int s = 0; s < 2; s++) {
        const size_t N = (size_t)n_tokens[s];
        p->side[s].ids = weft_alloc(N, sizeof *p->side[s].ids);
        p->side[s].rows = weft_alloc(2 * N, sizeof *p->side[s].rows);
        p->side[s].offsets = weft_alloc((size_t)limits.sentences + 1, sizeof *p->side[s].offsets);
        if (!p->side[s].ids || !p->side[s].rows || !p->side[s].offsets) return WEFT_ERR_MEMORY;
    }
    p->labels = weft_alloc((size_t)limits.target_tokens, sizeof *p->labels);
    return p->labels ? WEFT_OK : WEFT_ERR_MEMORY;
}

static void free_memory(weft_prefetch *p)
{
    for (int s = 0; s < 2; s++) {
        weft_free(p->side[s].ids);
        weft_free(p->side[s].rows);
        weft_free(p->side[s].offsets);
    }
    weft_free(p->labels);
    weft_free(p);
}

weft_status weft_prefetch_new(weft_batches *batches, weft_prefetch **prefetch)
{
    *prefetch = NULL;
    weft_prefetch *p = weft_alloc(1, sizeof *p);
    if (!p) return WEFT_ERR_MEMORY;
    p->batches = batches;
    weft_batches_position(batches, &p->epoch, &p->index);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->turned, NULL);
    weft_status status = alloc_copy(p);
    if (status == WEFT_OK) status = start_thread(p);
    if (status == WEFT_OK) {
        *prefetch = p;
    } else {
        free_memory(p);
    }
    return status;
}

void weft_prefetch_free(weft_prefetch *p)
{
    if (!p) return;
    (void)wait_while(p, TURN_THREAD);
    give_turn(p, TURN_END);
    pthread_join(p->thread, NULL);
    pthread_cond_destroy(&p->turned);
    pthread_mutex_destroy(&p->lock);
    free_memory(p);
}

/* ---- use ---------------------------------------------------------------------------------------- */

static weft_tokens copy_side(prefetch_side *to, const weft_tokens *from)
{
    if (!from->ids) return *from;
    memcpy(to->ids, from->ids, (size_t)from->N * sizeof *to->ids);
    memcpy(to->rows, from->rows, 2 * (size_t)from->N * sizeof *to->rows);
    memcpy(to->offsets, from->offsets, ((size_t)from->B + 1) * sizeof *to->offsets);
    return (weft_tokens){ from->B, from->N, to->ids, to->offsets, to->rows };
}

void weft_prefetch_next(weft_prefetch *p, weft_batch *batch)
{
    if (!p->asked) give_turn(p, TURN_THREAD);
    p->asked = true;
    const double start_s = weft_seconds();
    (void)wait_while(p, TURN_THREAD);
    p->waited_s += weft_seconds() - start_s;
    weft_batches_position(p->batches, &p->epoch, &p->index);
    batch->source = copy_side(&p->side[WEFT_SOURCE], &p->made.source);
    batch->target = copy_side(&p->side[WEFT_TARGET], &p->made.target);
    batch->labels = NULL;
    if (p->made.labels) {
        memcpy(p->labels, p->made.labels, (size_t)p->made.target.N * sizeof *p->labels);
        batch->labels = p->labels;
    }
    give_turn(p, TURN_THREAD);
}

void weft_prefetch_position(const weft_prefetch *p, int64_t *epoch, int64_t *index)
{
    *epoch = p->epoch;
    *index = p->index;
}

double weft_prefetch_waited_s(const weft_prefetch *p) { return p->waited_s; }
