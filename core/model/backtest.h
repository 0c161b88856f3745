/*
 * backtest.h - scores of one model over rolling origins and many series.
 *
 * A fold is an origin: the model saw the history up to it and forecast H steps; the actuals came
 * later. Each series of each fold is scored by itself and the scores are averaged, so a large
 * series counts no more than a small one. Not defined ones (nothing known after the origin, no
 * change in the history) are left out and counted. Sums in double, in the order they are added.
 */
#ifndef MODEL_BACKTEST_H
#define MODEL_BACKTEST_H

#include "model/baseline_model.h"

struct backtest_mean {
    double sum;
    size_t n;
};

/* Zero-filled before the first fold. */
struct backtest {
    size_t season;                     /* of MASE and scaled pinball; set by the caller */
    struct backtest_mean mase, rmsse;  /* rmsse: season 1 */
    struct backtest_mean mae, rmse, smape;
    struct backtest_mean pinball;      /* mean over levels and steps, in pieces */
    struct backtest_mean pinball_scaled; /* divided by the scale of MASE */
    double error_sum, actual_sum, abs_sum;  /* over everything: bias share and WAPE */
    double pinball_sum, inside_sum;         /* quantiles: WQL and coverage, first to last level */
    size_t values, undefined;               /* values compared; series without a score */
};

struct backtest_score {
    double mase, rmsse, mae, rmse, smape;   /* means over series and folds */
    double pinball, pinball_scaled, wql, coverage; /* NaN without quantiles */
    double bias;                            /* sum of errors / sum of actuals */
    double wape;
    size_t values, undefined;
};

/* Starts empty. */
void backtest_init(struct backtest *b, size_t season);

/*
 * Adds one fold. history (N, T) up to the origin, actual (N, H) after it, NaN = not known;
 * mean (N, H) and quantile (N, H, Q) the model's. The scale of MASE falls back to lag 1 where lag
 * `season` has no pair or no change. A forecast of NaN is no score, unless nothing was known.
 * Errors: shape, nan, nomem.
 */
int backtest_add(struct backtest *b, const struct baseline_block *history,
                 const struct baseline_block *actual, const struct baseline_block *mean,
                 const struct baseline_block *quantile, const double *levels, size_t Q,
                 struct err *e);

struct backtest_score backtest_finish(const struct backtest *b);

#endif
