/*
 * metric_quantile.h - scores of quantile forecasts and of samples.
 *
 * Pinball loss of level q: max((q-1) d, q d) with d = actual - forecast. Sources: Gneiting and
 * Raftery 2007 (CRPS, interval score), Zamo and Naveau 2018 (the fair form).
 */
#ifndef MODEL_METRIC_QUANTILE_H
#define MODEL_METRIC_QUANTILE_H

#include "model/metric.h"

/* The three arrays hold one number per level; they are the caller's and may be NULL. */
struct metric_quantile {
    double *pinball; /* mean over rows */
    double *wql;     /* 2 sum pinball / sum |actual|; NaN when that sum is 0 */
    double *below;   /* share of rows with actual <= forecast */
    double pinball_mean, wql_mean;
    double pinball_weighted; /* mean over rows of sum over levels of level weight x pinball */
    double crps_mean;        /* 2 x pinball_mean */
    double crps_trapezoid;   /* 2 x integral over the given levels by trapezoids, mean over rows */
    double coverage;         /* share of rows between the first and the last level */
    double width, winkler;   /* of that interval; winkler adds 2/a x miss, a = 1 - (last - first) */
    size_t crossings;        /* adjacent pairs that descend */
    size_t n;                /* rows compared */
};

/*
 * actual (N), forecast (N, Q), levels (Q) ascending inside (0, 1). `weight` NULL or (N);
 * `level_weight` NULL (all 1) or (Q), used by pinball_weighted only. A row whose actual is NaN is
 * left out. Errors: shape, nan, invalid.
 */
int metric_quantile_calc(struct metric_quantile *out, const struct metric_vec *actual,
                         const struct metric_vec *forecast, const double *levels, size_t Q,
                         const struct metric_vec *weight, const double *level_weight,
                         struct err *e);

/*
 * CRPS of an ensemble: samples (N, S). `crps` = mean |s - y| - sum |s - s'| / (2 S^2), `fair` with
 * S (S - 1) in place of S^2 (NaN for S = 1). Errors: shape, nan, invalid, nomem.
 */
int metric_quantile_samples(double *crps, double *fair, const struct metric_vec *actual,
                            const struct metric_vec *samples, size_t S,
                            const struct metric_vec *weight, struct err *e);

/* Ascending, finite, inside (0, 1), at least one. `invalid`. */
int metric_quantile_check(const double *levels, size_t Q, struct err *e);

#endif
