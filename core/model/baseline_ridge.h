/*
 * baseline_ridge.h - one linear map from the last L values to the next H, for all series.
 *
 * Least squares over every window of every series with lambda |W|^2. With instance_norm a window
 * is taken less its own mean and its deviation is one more regressor in place of the intercept.
 * Windows are never materialised: the sums of products slide along each series, so 1,000,000
 * windows cost (L + H) numbers each, not (L + H)^2. Sums in double, in series order.
 *
 * A window with a missing value is not learnt from; to predict from, missing values (and what is
 * before the first one) are the mean of the rest. Deviation of step h: root of the mean squared
 * residual of the training windows, times the series' deviation.
 * Source: the linear skip of Das et al. 2023 in closed form; Toner and Darlow 2024 (closed forms).
 */
#ifndef MODEL_BASELINE_RIDGE_H
#define MODEL_BASELINE_RIDGE_H

#include "model/baseline.h"

#define BASELINE_RIDGE_MAX 4096 /* of L + H */

struct baseline_ridge;

/* Empty sums for windows of o->window (L) and H. `limit`, `nomem`. */
int baseline_ridge_new(struct baseline_ridge **out, const struct baseline_opt *o, size_t H,
                       struct err *e);
void baseline_ridge_free(struct baseline_ridge *r); /* NULL is fine */

/* Learns the windows of one series; NaN = missing. Scratch is inside: one thread at a time. */
void baseline_ridge_add(struct baseline_ridge *r, const double *y, size_t n);

/* Solves. `shape`: not one whole window was seen; `invalid`: singular, a penalty is needed. */
int baseline_ridge_solve(struct baseline_ridge *r, struct err *e);

/* mean and sd (H) of the steps after y, H at most that of _new; NaN when nothing is known.
 * work (L). Any thread, after _solve. */
void baseline_ridge_predict(const struct baseline_ridge *r, const double *y, size_t n, size_t H,
                            double *mean, double *sd, double *work);

/* Horizon, lookback, and the solved weights as one row: count numbers, for a model file. */
size_t baseline_ridge_horizon(const struct baseline_ridge *r);
double *baseline_ridge_weights(struct baseline_ridge *r, size_t *count); /* borrowed */

#endif
