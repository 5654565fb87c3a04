/* threads.c - how many threads a loop gets, and a clock. Which thread does which part, and when, never
 * changes a result. */
#include "core/core.h"

#include <omp.h>
#include <stdatomic.h>
#include <time.h>

/* Scalar operations below which waking a thread costs more than it brings (a few microseconds). */
enum { WORK_PER_THREAD = 16384, MAX_THREADS = 256 };
static atomic_llong work_per_thread = WORK_PER_THREAD;

static atomic_int n_threads; /* 0: not set yet */
static atomic_int largest_team;

weft_status weft_threads_set(int n)
{
    if (n < 0 || n > MAX_THREADS)
        return weft_error(WEFT_ERR_RANGE, "threads must be 0 (all) to %d, not %d", MAX_THREADS, n);
    if (n == 0) n = omp_get_num_procs();
    n_threads = n < MAX_THREADS ? n : MAX_THREADS;
    return WEFT_OK;
}

int weft_threads(void)
{
    if (n_threads == 0) {
        const int n = omp_get_max_threads(); /* OMP_NUM_THREADS, or the processors we may use */
        n_threads = n < MAX_THREADS ? n : MAX_THREADS;
    }
    return n_threads;
}

int weft_team(int64_t n, int64_t work)
{
    int64_t team = weft_threads();
    if (omp_in_parallel()) team = 1; /* one level of parallelism only */
    if (team > work / work_per_thread) team = work / work_per_thread;
    if (team > n) team = n;
    if (team < 1) team = 1;
    if (team > largest_team) largest_team = (int)team;
    return (int)team;
}

int weft_team_largest(void) { return atomic_exchange(&largest_team, 0); }

void weft_team_work(int64_t work) { work_per_thread = work > 0 ? work : WORK_PER_THREAD; }

double weft_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}
