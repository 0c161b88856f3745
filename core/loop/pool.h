/*
 * pool.h - compute threads: training, prediction, parsing, hashing. Never uv's own pool, which also
 * serves files and DNS. Threads start with the first job and are as many as asked for.
 *
 * A job is a struct embedded in the caller's operation. Life: filled with zeros, work and done set,
 * pool_submit; work runs on a pool thread; done runs on the loop, once, also when cancelled, and is
 * where the operation is freed.
 */
#ifndef LOOP_POOL_H
#define LOOP_POOL_H

#include <stdatomic.h>
#include <stdbool.h>

#include <uv.h>

#include "base/err.h"

struct pool;

struct pool_job {
    void (*work)(struct pool_job *job);            /* pool thread; may not touch Lua or uv */
    void (*done)(struct pool_job *job);            /* loop thread */
    void (*on_progress)(struct pool_job *job, double fraction); /* loop thread, or NULL */
    struct pool *pool;
    struct pool_job *next;
    atomic_bool cancelled;
    atomic_int progress;                           /* 0…1000000, -1 = nothing new */
};

/* n_threads 0 = as many as the machine has cores. */
struct pool *pool_new(uv_loop_t *loop, unsigned n_threads, struct err *e);

/* Waits for running work (cancelled first), drops waiting jobs after calling their done. */
void pool_close(struct pool *p); /* NULL is fine */

/* -1 `nomem` when no thread can be started; then done is not called. Loop thread. */
int pool_submit(struct pool *p, struct pool_job *job, struct err *e);

/* Asks the job to stop; its done is called all the same. Loop thread. */
void pool_cancel(struct pool_job *job);

/* For work: true when it should stop. Poll once per batch or tree. */
static inline bool pool_cancelled(struct pool_job *job)
{
    return atomic_load_explicit(&job->cancelled, memory_order_relaxed);
}

/* For work: tells the loop how far it is, 0…1. Cheap; the newest value wins. */
void pool_progress(struct pool_job *job, double fraction);

/*
 * For work: fn(ctx, i) for i in 0…n-1 on the free threads of the pool and the calling one; returns
 * when all are done. Which thread takes which i is open, so fn(i) may depend on i alone.
 */
void pool_for(struct pool *p, int n, void (*fn)(void *ctx, int i), void *ctx);

unsigned pool_threads(const struct pool *p);

#endif
