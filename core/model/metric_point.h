/*
 * metric_point.h - scores of point forecasts: one forecast per value.
 *
 * e = forecast - actual. All are fractions, never per cent. NaN where not defined.
 * Sources: Hyndman and Koehler 2006 (MASE), Makridakis et al. 2022 (RMSSE, M5), ours where said.
 */
#ifndef MODEL_METRIC_POINT_H
#define MODEL_METRIC_POINT_H

#include "model/metric.h"

struct metric_point {
    size_t n;              /* values compared: those whose actual is known */
    double mae, mse, rmse; /* mean |e|, mean e^2, its root */
    double bias;           /* mean e: above 0 = too much was forecast */
    double bias_share;     /* sum e / sum |actual| */
    double medae, max_error;
    double mape_nonzero;   /* mean |e|/|y| over y != 0 … */
    size_t mape_nonzero_n; /* … and how many those are */
    double mape_eps;       /* |y| replaced by max(|y|, 2.22e-16): near 1e15 when there are zeros */
    double mape_one;       /* |y| replaced by max(|y|, 1), for counts */
    double smape;          /* mean 2|e|/(|y|+|f|), 0/0 = 0; 0 to 2 */
    double wape;           /* sum |e| / sum |y| */
    double r2;             /* 1 - sum e^2 / sum (y - mean y)^2; undefined for one value */
    double mase;           /* mae / mean |x_t - x_(t-m)| of the training series */
    double rmsse;          /* root of mse / mean (x_t - x_(t-m))^2 */
    double rmsse_m5;       /* m = 1, the training series from its first non-zero value on */
};

/*
 * Compares two vectors of the same length. NaN in `actual` = not known: left out. `weight` is
 * NULL or one per value and enters every mean, sum and the median. `train` is NULL (the scaled
 * scores are NaN) or the series before the forecast, NaN = missing: pairs with one are left out.
 * `season` >= 1. Errors: shape, nan, invalid, nomem.
 */
int metric_point_calc(struct metric_point *out, const struct metric_vec *actual,
                      const struct metric_vec *forecast, const struct metric_vec *weight,
                      const struct metric_vec *train, size_t season, struct err *e);

/* The scale of MASE: mean |x_t - x_(t-m)|; `squared` = 1: mean of squares. From `start` on. NaN
 * when there is no pair. */
double metric_point_scale(const struct metric_vec *train, size_t start, size_t m, int squared);

#endif
