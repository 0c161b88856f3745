/*
 * baseline.h - forecasts without training: what every model has to beat, and what small data get.
 *
 * A series is y_1..y_n with NaN = missing. Smoothing treats a missing value as "as expected" (the
 * error is 0); demand methods do not count the period; leading and trailing gaps are skipped in
 * time, not closed up. Methods estimate what they need from the series alone, each time: there is
 * no state between calls and no series sees another (`ridge` excepted, see baseline_ridge.h).
 *
 * Uncertainty. Every method gives a standard deviation per step and from it quantiles:
 *   normal     mean + z sd_h. sd_1 is the root of the mean squared one-step error with the degrees
 *              of freedom taken off; growth with h by method (Hyndman and Athanasopoulos,
 *              Forecasting: principles and practice, table 5.2; Hyndman et al. 2008, Forecasting
 *              with exponential smoothing, table 6.2 for everything of the smoothing family)
 *   residual   mean + sd_h/sd_1 x the empirical quantile of the one-step errors (ours)
 *   rolling    blocks of series only (baseline_model.h): mean + sd_h x the quantile of what the
 *              method got wrong h steps ahead from earlier origins, see baseline_rolling.h
 *   demand     croston, sba, tsb: 0 with the chance of no demand, else the empirical sizes of the
 *              past scaled to the smoothed size (ours; a normal curve is no model of demand)
 * A series too short for an error has sd 0: every quantile is the forecast.
 *
 * Any thread; rows are independent, so any cut into ranges gives the same bits.
 */
#ifndef MODEL_BASELINE_H
#define MODEL_BASELINE_H

#include <stddef.h>

#include "base/err.h"

/* X(constant, name) */
#define BASELINE_METHODS(X)                                                                       \
    X(BASELINE_ZERO, "zero")                     /* 0: the honest reference of rare demand */     \
    X(BASELINE_NAIVE, "naive")                   /* the last value */                             \
    X(BASELINE_MEAN, "mean")                     /* of everything */                              \
    X(BASELINE_MEDIAN, "median")                 /* of everything */                              \
    X(BASELINE_DRIFT, "drift")                   /* the line from the first to the last value */  \
    X(BASELINE_MOVING, "moving_average")         /* mean of the last `window` */                  \
    X(BASELINE_SEASONAL, "seasonal_naive")       /* the value one season ago */                   \
    X(BASELINE_SES, "ses")                       /* level */                                      \
    X(BASELINE_SES_GRID, "ses_grid")             /* level, alpha = the best of .01 .02 … .99 */   \
    X(BASELINE_HOLT, "holt")                     /* level and trend, phi < 1 damps it */          \
    X(BASELINE_HW, "holt_winters_additive")      /* level, trend, season */                       \
    X(BASELINE_HW_CLASSIC, "holt_winters_additive_classic") /* season from the new level */       \
    X(BASELINE_CROSTON, "croston")               /* size and interval of demand apart */          \
    X(BASELINE_SBA, "sba")                       /* Syntetos-Boylan: Croston without its bias */  \
    X(BASELINE_TSB, "tsb")                       /* Teunter-Syntetos-Babai: demand can die out */ \
    X(BASELINE_ETS, "ets")                       /* the best exponential smoothing form */       \
    X(BASELINE_THETA, "theta")                   /* SES and half the linear trend */              \
    X(BASELINE_RIDGE, "ridge")                   /* one linear map for all series */

#define BASELINE_ENUM(constant, name) constant,
enum baseline_method { BASELINE_METHODS(BASELINE_ENUM) BASELINE_COUNT };
#undef BASELINE_ENUM

enum baseline_interval { BASELINE_NORMAL, BASELINE_RESIDUAL, BASELINE_ROLLING };

struct baseline_opt {
    enum baseline_method method;
    enum baseline_interval interval;
    size_t season;      /* m; 1 = none */
    size_t window;      /* moving_average: k; ridge: lookback */
    double alpha, beta; /* smoothing, 0..1; NaN = chosen by least squares (demand: 0.1) */
    double gamma, phi;  /* phi: damping; NaN = 1 for holt */
    double alpha_p;     /* of Croston's interval; NaN = alpha */
    double floor;       /* forecasts and quantiles are not below it; -INFINITY = no floor */
    int fallback;       /* too short for the method: holt, then naive, instead of "not defined" */
    int missing_zero;   /* blocks: a missing value is a 0 (nothing sold), not a gap */
    int instance_norm;  /* ridge: each window less its own mean, its deviation as regressor */
    int series_norm;    /* ridge: each series less its mean, by its deviation, before anything */
    double penalty;     /* ridge: lambda as a share of the mean diagonal; NaN = 1e-3 */
};

/* What one series came to. The arrays are the caller's; fitted and quantile may be NULL. */
struct baseline_result {
    double *mean;     /* (H) NaN when not defined: series too short or without a value */
    double *sd;       /* (H) */
    double *fitted;   /* (n) one-step forecasts, NaN where there is none */
    double *quantile; /* (H, Q) never crossing */
    int is_defined;
    double alpha, beta, gamma, phi; /* as used; NaN where the method has none */
    double sse;                     /* sum of squared one-step errors; NaN where none */
    double chance;                  /* demand methods: of a sale in a period; else NaN */
    double size;                    /* demand methods: of one sale; else NaN */
    char form[8];                   /* ets: "ANN" … "MAdM"; "" elsewhere */
};

struct baseline_demand_class {
    double adi, cv2;  /* NaN when there was no demand */
    const char *name; /* smooth, erratic, intermittent, lumpy; NULL when there was no demand */
};

/* season 1, window 12, series_norm, everything else chosen by the method, no floor, no fallback. */
struct baseline_opt baseline_default(enum baseline_method method);

/* The name of a method; the method of a name (also window_mean and holt_winters), or
 * BASELINE_COUNT. */
const char *baseline_name(enum baseline_method method);
enum baseline_method baseline_of(const char *name);

/* Every option within its range? `invalid` names it. */
int baseline_check(const struct baseline_opt *o, struct err *e);

/*
 * Forecasts H steps of one series, any method but ridge. levels (Q) ascending in (0, 1); Q = 0 for
 * none. NaN = missing, infinite is `nan`. Errors: nan, invalid, nomem.
 */
int baseline_series(const struct baseline_opt *o, const double *y, size_t n, size_t H,
                    const double *levels, size_t Q, struct baseline_result *r, struct err *e);

/* Croston's classes by Syntetos, Boylan and Croston 2005: ADI 1.32, squared CV 0.49. */
struct baseline_demand_class baseline_demand_of(const double *y, size_t n);

/* The z with normal probability p below it, 0 < p < 1. */
double baseline_normal_quantile(double p);

#endif
