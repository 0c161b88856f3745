/*
 * par.c - a fixed team of threads that share the chunks of one call. See par.h.
 *
 * A call is published by raising `round`; every thread then takes chunk numbers from one counter.
 * A thread that runs dry waits for the next round: it looks for SPIN turns, since the next call of
 * a training step comes within microseconds, then sleeps. The counter holds the round in its upper
 * half and the chunks nobody has taken yet in its lower: a late thread finds either another round
 * or nothing left, whatever else has been written for the next call by then.
 */
#include "tensor/par.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>

#include "base/mem.h"

#define SPIN 4000

struct member {
    struct par *par;
    pthread_t thread;
    int lane;
};

struct par {
    int n_threads, n_started;
    par_fn *fn; /* of the round; written before `next` opens it */
    void *ctx;
    _Atomic uint64_t next; /* round << 32 | chunks not taken */
    _Atomic uint32_t round, n_done;
    uint32_t n_chunks; /* as fn */
    atomic_int stop;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct member members[PAR_MAX];
};

static void pause_cpu(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#else
    atomic_signal_fence(memory_order_seq_cst);
#endif
}

/* Runs chunks of `round` until there are none left. */
static void work(struct par *p, uint32_t round, int lane)
{
    for (;;) {
        uint64_t at = atomic_load_explicit(&p->next, memory_order_acquire);
        uint32_t left = (uint32_t)at;
        if ((uint32_t)(at >> 32) != round || left == 0)
            return;
        if (!atomic_compare_exchange_weak(&p->next, &at, at - 1))
            continue;
        /* a chunk of this round is ours: fn, ctx and n_chunks cannot change until it is done */
        p->fn(p->ctx, (int)(p->n_chunks - left), lane);
        atomic_fetch_add_explicit(&p->n_done, 1, memory_order_release);
    }
}

static void *run_member(void *arg)
{
    struct member *m = arg;
    struct par *p = m->par;
    uint32_t seen = 0;

    for (;;) {
        for (int i = 0; i < SPIN && atomic_load(&p->round) == seen && !atomic_load(&p->stop); i++)
            pause_cpu();
        if (atomic_load(&p->round) == seen && !atomic_load(&p->stop)) {
            pthread_mutex_lock(&p->lock);
            while (atomic_load(&p->round) == seen && !atomic_load(&p->stop))
                pthread_cond_wait(&p->wake, &p->lock);
            pthread_mutex_unlock(&p->lock);
        }
        if (atomic_load(&p->stop))
            return NULL;
        seen = atomic_load(&p->round);
        work(p, seen, m->lane);
    }
}

int par_new(struct par **out, int n_threads, struct err *e)
{
    struct par *p;

    *out = NULL;
    if (n_threads < 1 || n_threads > PAR_MAX)
        return err_set(e, ERR_INVALID, "%d threads: 1 to %d expected", n_threads, PAR_MAX);
    p = mem_zero(1, sizeof *p);
    if (p == NULL)
        return err_set(e, ERR_NOMEM, "no memory for %d threads", n_threads);
    p->n_threads = n_threads;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    for (int i = 1; i < n_threads; i++) {
        struct member *m = &p->members[i];
        m->par = p;
        m->lane = i;
        int rc = pthread_create(&m->thread, NULL, run_member, m);
        if (rc != 0) {
            par_free(p);
            return err_errno(e, rc, "starting thread %d of %d", i + 1, n_threads);
        }
        p->n_started++;
    }
    *out = p;
    return 0;
}

void par_free(struct par *p)
{
    if (p == NULL)
        return;
    pthread_mutex_lock(&p->lock);
    atomic_store(&p->stop, 1);
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
    for (int i = 1; i <= p->n_started; i++)
        pthread_join(p->members[i].thread, NULL);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->lock);
    mem_free(p);
}

int par_threads(const struct par *p)
{
    return p == NULL ? 1 : p->n_threads;
}

void par_run(struct par *p, int n, par_fn *fn, void *ctx)
{
    if (p == NULL || p->n_threads == 1 || n <= 1) {
        for (int i = 0; i < n; i++)
            fn(ctx, i, 0);
        return;
    }
    uint32_t round = atomic_load(&p->round) + 1;
    p->fn = fn;
    p->ctx = ctx;
    p->n_chunks = (uint32_t)n;
    atomic_store(&p->n_done, 0);
    atomic_store(&p->next, (uint64_t)round << 32 | (uint32_t)n);
    pthread_mutex_lock(&p->lock);
    atomic_store(&p->round, round);
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
    work(p, round, 0);
    for (int i = 0; atomic_load_explicit(&p->n_done, memory_order_acquire) < (uint32_t)n; i++) {
        if (i < SPIN)
            pause_cpu();
        else
            sched_yield();
    }
}
