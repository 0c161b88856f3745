/*
 * db_stats.c - counters; see the header.
 */
#include "db/db_stats.h"

#include <stdatomic.h>

const double db_stats_bounds[DB_STATS_BUCKETS - 1] = {
    0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.01, 0.05, 0.25, 1, 5};

static struct {
    struct {
        _Atomic uint64_t n, n_errors, n_busy, sum_ns, buckets[DB_STATS_BUCKETS];
    } kinds[DB_STATS_KINDS];
    _Atomic uint64_t n_cuts, n_commits, n_grouped, n_aborts;
} all;

static void add(_Atomic uint64_t *to, uint64_t n)
{
    atomic_fetch_add_explicit(to, n, memory_order_relaxed);
}

static uint64_t get(_Atomic uint64_t *from)
{
    return atomic_load_explicit(from, memory_order_relaxed);
}

void db_stats_time(enum db_stats_kind kind, uint64_t ns, enum err_code code)
{
    double s = (double)ns * 1e-9;
    int i = 0;

    while (i < DB_STATS_BUCKETS - 1 && s > db_stats_bounds[i])
        i++;
    add(&all.kinds[kind].n, 1);
    add(&all.kinds[kind].sum_ns, ns);
    add(&all.kinds[kind].buckets[i], 1);
    if (code != ERR_NONE)
        add(&all.kinds[kind].n_errors, 1);
    if (code == ERR_BUSY)
        add(&all.kinds[kind].n_busy, 1);
}

void db_stats_cut(void) { add(&all.n_cuts, 1); }

void db_stats_commit(int n_requests)
{
    add(&all.n_commits, 1);
    add(&all.n_grouped, (uint64_t)n_requests);
}

void db_stats_abort(void) { add(&all.n_aborts, 1); }

void db_stats_get(struct db_stats *s)
{
    for (int k = 0; k < DB_STATS_KINDS; k++) {
        s->kinds[k].n = get(&all.kinds[k].n);
        s->kinds[k].n_errors = get(&all.kinds[k].n_errors);
        s->kinds[k].n_busy = get(&all.kinds[k].n_busy);
        s->kinds[k].sum_ns = get(&all.kinds[k].sum_ns);
        for (int i = 0; i < DB_STATS_BUCKETS; i++)
            s->kinds[k].buckets[i] = get(&all.kinds[k].buckets[i]);
    }
    s->n_cuts = get(&all.n_cuts);
    s->n_commits = get(&all.n_commits);
    s->n_grouped = get(&all.n_grouped);
    s->n_aborts = get(&all.n_aborts);
}
