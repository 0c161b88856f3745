/*
 * http_stat.h - what a server counts: connections, bytes, answers by class, and per route a number
 * and a histogram of durations. Read by /metrics. Loop thread only, nothing allocated after a
 * route's first answer.
 */
#ifndef HTTP_STAT_H
#define HTTP_STAT_H

#include <stddef.h>
#include <stdint.h>

#define HTTP_STAT_BUCKETS 14
#define HTTP_STAT_ROUTES 1024 /* more share the last one, named "other" */
#define HTTP_STAT_LABEL 128

/* Upper bounds in milliseconds; what is over the last one is only in `count`. */
extern const double http_stat_bounds_ms[HTTP_STAT_BUCKETS];

struct http_stat_route {
    char label[HTTP_STAT_LABEL]; /* method and pattern, as the app named it */
    uint64_t count;
    uint64_t classes[6];         /* [1] = 1xx … [5] = 5xx */
    uint64_t buckets[HTTP_STAT_BUCKETS]; /* not cumulative */
    uint64_t sum_ns;
};

struct http_stat {
    uint64_t accepted, refused, connections, in_flight, requests;
    uint64_t bytes_in, bytes_out;
    uint64_t classes[6];
    uint64_t malformed; /* heads that never became a request */
    struct http_stat_route **routes; /* n_routes of them */
    size_t n_routes, cap_routes;
    uint16_t index[2 * HTTP_STAT_ROUTES]; /* open hash of 1 + position; 0 = free */
};

void http_stat_deinit(struct http_stat *s);

/* Counts one answer. Without memory for a new route it is counted in the totals only. */
void http_stat_add(struct http_stat *s, const char *label, size_t n_label, int status,
                   uint64_t ns);

#endif
