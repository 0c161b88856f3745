/*
 * baseline_part.h - the methods themselves, one series each; only baseline.c calls them.
 *
 * Each fills mean, sd and fitted (all three are there), the parameters and sse of `r`, and sets
 * is_defined; the caller has filled everything with NaN before. `work` holds baseline_work()
 * numbers. y is (n), NaN = missing, all else finite. One file per family:
 * baseline_simple.c, baseline_smooth.c, baseline_demand.c, baseline_ets.c, baseline_theta.c.
 */
#ifndef MODEL_BASELINE_PART_H
#define MODEL_BASELINE_PART_H

#include "model/baseline.h"

typedef void baseline_run(struct baseline_result *r, const struct baseline_opt *o, const double *y,
                          size_t n, size_t H, double *work);

baseline_run baseline_simple_zero, baseline_simple_naive, baseline_simple_mean,
    baseline_simple_median, baseline_simple_drift, baseline_simple_moving,
    baseline_simple_seasonal;
baseline_run baseline_smooth_ses, baseline_smooth_grid, baseline_smooth_holt, baseline_smooth_hw;
baseline_run baseline_demand_croston, baseline_demand_tsb;
baseline_run baseline_ets_run, baseline_theta_run;

/* Numbers of scratch a method may use. */
size_t baseline_work(size_t n, size_t season, size_t H);

/* Root of sse over the errors seen (fitted and y known), less `n_par` where that many are left;
 * also sets r->sse. 0 when there is no error. */
double baseline_sigma(struct baseline_result *r, const double *y, size_t n, size_t n_par);

/*
 * What each place of the season adds (or multiplies by), from a centred moving average: index (m),
 * mean 0 (or 1), index[i] for times i, i + m, …. work (n). -1 when a place has no value to tell it
 * from, or a product is asked of values that are not above 0.
 */
int baseline_season_index(double *index, const double *y, size_t n, size_t m, int product,
                          double *work);

/* Simple smoothing with alpha and first level by least squares; the last level. fitted (n) or NULL.
 * NaN without a value. */
double baseline_ets_level(double *alpha, double *fitted, const double *y, size_t n);

/* First and last known value, as indices; *first = n when there is none. */
void baseline_known(const double *y, size_t n, size_t *first, size_t *last);

#endif
