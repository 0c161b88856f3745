/*
 * baseline_search.h - the lowest point of a function of a few parameters, without derivatives.
 *
 * Nelder and Mead's simplex (1965) inside a box: a point outside is moved to the box's edge.
 * Deterministic. Any thread.
 */
#ifndef MODEL_BASELINE_SEARCH_H
#define MODEL_BASELINE_SEARCH_H

#include <stddef.h>

#define BASELINE_SEARCH_MAX 8

struct baseline_search {
    double (*value)(void *ctx, const double *x); /* INFINITY or NaN = not allowed there */
    void *ctx;
    size_t n; /* 1 to BASELINE_SEARCH_MAX */
    double low[BASELINE_SEARCH_MAX], high[BASELINE_SEARCH_MAX];
    double step[BASELINE_SEARCH_MAX]; /* size of the first simplex */
    size_t max_calls;
    double enough; /* stop when the simplex' values differ by less than this share */
};

/* From x (in and out) to the best point found; returns its value. */
double baseline_search_min(const struct baseline_search *s, double *x);

#endif
