/*
 * db_stats.h - counters of every database of the process, for /metrics. Any thread.
 */
#ifndef DB_STATS_H
#define DB_STATS_H

#include <stdint.h>

#include "base/err.h"

/* Where a request ran. */
enum db_stats_kind { DB_STATS_INLINE, DB_STATS_READ, DB_STATS_WRITE, DB_STATS_KINDS };

#define DB_STATS_BUCKETS 14

/* Upper bounds in seconds; the last bucket is without bound and has no entry here. */
extern const double db_stats_bounds[DB_STATS_BUCKETS - 1];

struct db_stats {
    struct {
        uint64_t n, n_errors, n_busy, sum_ns; /* time from submit to answer */
        uint64_t buckets[DB_STATS_BUCKETS];   /* each counts its own, not those below it */
    } kinds[DB_STATS_KINDS];
    uint64_t n_cuts;    /* statements that were too long for the loop thread */
    uint64_t n_commits; /* transactions of our own making: n_grouped requests shared n_commits */
    uint64_t n_grouped;
    uint64_t n_aborts; /* transactions rolled back because their script ended or slept */
};

void db_stats_time(enum db_stats_kind kind, uint64_t ns, enum err_code code);
void db_stats_cut(void);
void db_stats_commit(int n_requests);
void db_stats_abort(void);

void db_stats_get(struct db_stats *s);

#endif
