/*
 * pool.c - compute threads. See pool.h.
 *
 * One mutex guards the queue of jobs, the list of finished ones and the current parallel loops. A
 * thread that finds neither job nor loop sleeps on one condition variable.
 */
#include "loop/pool.h"

#include <string.h>

#include "base/mem.h"

#define THREADS_MAX 64

struct share { /* one pool_for under way */
    void (*fn)(void *ctx, int i);
    void *ctx;
    int n, next, n_done;
    struct share *after;
};

struct pool {
    uv_async_t async;
    uv_mutex_t mutex;
    uv_cond_t work, shared;
    uv_thread_t threads[THREADS_MAX];
    unsigned n_wanted, n_threads;
    struct pool_job *first, *last;     /* waiting */
    struct pool_job *done, *done_last; /* finished, for the loop */
    struct pool_job *active[THREADS_MAX];
    struct share *shares;
    unsigned n_open; /* submitted, done not called yet: the loop stays alive */
    bool stopping;
};

static void queue_add(struct pool_job **first, struct pool_job **last, struct pool_job *job)
{
    job->next = NULL;
    if (*last != NULL)
        (*last)->next = job;
    else
        *first = job;
    *last = job;
}

/* Takes one piece of a parallel loop. Mutex held on entry and return; false when there is none. */
static bool share_step(struct pool *p, struct share *s)
{
    if (s->next >= s->n)
        return false;
    int i = s->next++;
    uv_mutex_unlock(&p->mutex);
    s->fn(s->ctx, i);
    uv_mutex_lock(&p->mutex);
    if (++s->n_done == s->n)
        uv_cond_broadcast(&p->shared);
    return true;
}

static struct share *share_open(struct pool *p)
{
    for (struct share *s = p->shares; s != NULL; s = s->after)
        if (s->next < s->n)
            return s;
    return NULL;
}

static void thread_main(void *arg)
{
    struct pool *p = arg;

    uv_mutex_lock(&p->mutex);
    for (;;) {
        struct share *s = share_open(p);
        if (s != NULL) {
            share_step(p, s);
            continue;
        }
        struct pool_job *job = p->first;
        if (job == NULL) {
            if (p->stopping)
                break;
            uv_cond_wait(&p->work, &p->mutex);
            continue;
        }
        p->first = job->next;
        if (p->first == NULL)
            p->last = NULL;
        unsigned slot = 0;
        while (p->active[slot] != NULL)
            slot++;
        p->active[slot] = job;
        uv_mutex_unlock(&p->mutex);
        if (!pool_cancelled(job))
            job->work(job);
        uv_mutex_lock(&p->mutex);
        p->active[slot] = NULL;
        queue_add(&p->done, &p->done_last, job);
        uv_async_send(&p->async);
    }
    uv_mutex_unlock(&p->mutex);
}

/* Calls done of what has finished. Loop thread. */
static void reap(struct pool *p)
{
    uv_mutex_lock(&p->mutex);
    struct pool_job *job = p->done;
    p->done = p->done_last = NULL;
    uv_mutex_unlock(&p->mutex);
    while (job != NULL) {
        struct pool_job *next = job->next;
        if (--p->n_open == 0)
            uv_unref((uv_handle_t *)&p->async);
        job->done(job);
        job = next;
    }
}

static void on_async(uv_async_t *async)
{
    struct pool *p = async->data;
    struct pool_job *jobs[THREADS_MAX];
    double fractions[THREADS_MAX];
    unsigned n = 0;

    uv_mutex_lock(&p->mutex); /* progress first: a job that is done hears of it before its end */
    for (unsigned i = 0; i < p->n_threads; i++) {
        struct pool_job *job = p->active[i];
        int value = job != NULL ? atomic_exchange(&job->progress, -1) : -1;
        if (value >= 0 && job->on_progress != NULL) {
            jobs[n] = job;
            fractions[n++] = value / 1e6;
        }
    }
    uv_mutex_unlock(&p->mutex);
    for (unsigned i = 0; i < n; i++) /* still ours: only reap, below, lets a job go */
        jobs[i]->on_progress(jobs[i], fractions[i]);
    reap(p);
}

void pool_progress(struct pool_job *job, double fraction)
{
    int value = fraction <= 0 ? 0 : fraction >= 1 ? 1000000 : (int)(fraction * 1e6);

    atomic_store(&job->progress, value);
    uv_async_send(&job->pool->async);
}

struct pool *pool_new(uv_loop_t *loop, unsigned n_threads, struct err *e)
{
    struct pool *p = mem_zero(1, sizeof *p);

    if (p == NULL) {
        err_set(e, ERR_NOMEM, "no memory for the compute pool");
        return NULL;
    }
    p->n_wanted = n_threads ? n_threads : uv_available_parallelism();
    if (p->n_wanted > THREADS_MAX)
        p->n_wanted = THREADS_MAX;
    if (uv_mutex_init(&p->mutex) != 0 || uv_cond_init(&p->work) != 0 ||
        uv_cond_init(&p->shared) != 0 || uv_async_init(loop, &p->async, on_async) != 0) {
        err_set(e, ERR_NOMEM, "cannot make the compute pool");
        mem_free(p);
        return NULL;
    }
    p->async.data = p;
    uv_unref((uv_handle_t *)&p->async);
    return p;
}

static void on_async_closed(uv_handle_t *async)
{
    struct pool *p = async->data;

    uv_cond_destroy(&p->shared);
    uv_cond_destroy(&p->work);
    uv_mutex_destroy(&p->mutex);
    mem_free(p);
}

void pool_close(struct pool *p)
{
    if (p == NULL)
        return;
    uv_mutex_lock(&p->mutex);
    p->stopping = true;
    for (struct pool_job *job = p->first; job != NULL; job = job->next)
        atomic_store(&job->cancelled, true);
    for (unsigned i = 0; i < p->n_threads; i++)
        if (p->active[i] != NULL)
            atomic_store(&p->active[i]->cancelled, true);
    uv_cond_broadcast(&p->work);
    uv_mutex_unlock(&p->mutex);
    for (unsigned i = 0; i < p->n_threads; i++)
        uv_thread_join(&p->threads[i]);
    reap(p);
    uv_close((uv_handle_t *)&p->async, on_async_closed);
}

static int start_threads(struct pool *p, struct err *e)
{
    while (p->n_threads < p->n_wanted) {
        if (uv_thread_create(&p->threads[p->n_threads], thread_main, p) != 0) {
            if (p->n_threads > 0)
                return 0; /* fewer threads are slower, not wrong */
            return err_set(e, ERR_NOMEM, "cannot start a compute thread");
        }
        p->n_threads++;
    }
    return 0;
}

int pool_submit(struct pool *p, struct pool_job *job, struct err *e)
{
    if (p->stopping)
        return err_set(e, ERR_CANCELLED, "the process is stopping");
    if (start_threads(p, e) != 0)
        return -1;
    job->pool = p;
    atomic_store(&job->cancelled, false);
    atomic_store(&job->progress, -1);
    if (p->n_open++ == 0)
        uv_ref((uv_handle_t *)&p->async);
    uv_mutex_lock(&p->mutex);
    queue_add(&p->first, &p->last, job);
    uv_cond_signal(&p->work);
    uv_mutex_unlock(&p->mutex);
    return 0;
}

void pool_cancel(struct pool_job *job)
{
    atomic_store(&job->cancelled, true);
}

void pool_for(struct pool *p, int n, void (*fn)(void *ctx, int i), void *ctx)
{
    struct share s = { .fn = fn, .ctx = ctx, .n = n };

    if (n <= 0)
        return;
    uv_mutex_lock(&p->mutex);
    s.after = p->shares;
    p->shares = &s;
    if (n > 1)
        uv_cond_broadcast(&p->work);
    while (share_step(p, &s))
        continue;
    while (s.n_done < n)
        uv_cond_wait(&p->shared, &p->mutex);
    struct share **at = &p->shares;
    while (*at != &s)
        at = &(*at)->after;
    *at = s.after;
    uv_mutex_unlock(&p->mutex);
}

unsigned pool_threads(const struct pool *p)
{
    return p->n_wanted;
}
