/*
 * metric.h - what the metrics share: numbers in either width, checks, medians and quantiles.
 *
 * A score is a plain number; NaN as a result means "not defined for these data" (a division by a
 * sum that is 0, one class only). Sums are in double and in index order, whatever the input's
 * width, so a score does not depend on threads. Any thread; nothing here keeps state.
 *
 * Start at metric_point.h (forecasts), metric_quantile.h (quantiles and samples), metric_interval.h
 * (MIWS, MIC) or metric_class.h (yes/no).
 */
#ifndef MODEL_METRIC_H
#define MODEL_METRIC_H

#include <stddef.h>

#include "base/err.h"

/* n numbers, f64 or f32: exactly one of the pointers is set (neither when n is 0). Borrowed. */
struct metric_vec {
    const double *d;
    const float *f;
    size_t n;
};

static inline double metric_at(const struct metric_vec *v, size_t i)
{
    return v->d != NULL ? v->d[i] : (double)v->f[i];
}

/* Is there anything in it? An absent option is a vector without a pointer. */
static inline int metric_given(const struct metric_vec *v)
{
    return v != NULL && (v->d != NULL || v->f != NULL);
}

/* Every number finite, else `nan` naming `what` and the place. `missing` = 1 lets NaN pass. */
int metric_check_finite(const struct metric_vec *v, const char *what, int missing, struct err *e);

/* `w` absent, or as long as `n`, finite and not negative. `shape`, `nan` or `invalid`. */
int metric_check_weight(const struct metric_vec *w, size_t n, struct err *e);

/* Sorts ascending. In place. */
void metric_sort(double *x, size_t n);

/* The q-quantile of sorted x by linear interpolation at q (n - 1). n > 0. */
double metric_sorted_quantile(const double *x, size_t n, double q);

#endif
