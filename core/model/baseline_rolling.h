/*
 * baseline_rolling.h - how wide the forecasts of a method have to be: by what it got wrong before.
 *
 * A method's own deviation is made of one-step errors on what it was fitted to, and grows with the
 * horizon as its model says; where the model is wrong, both are too small. So the method forecasts
 * from origins inside the data, and its errors, divided by its own deviation for that step, are
 * collected over series and origins, for each step of the horizon. Their quantiles times the
 * deviation are the intervals.
 * Source: Hyndman and Athanasopoulos, Forecasting: principles and practice, 5.5 (bootstrapped
 * residuals) and 5.10 (rolling origins); pooling over series is ours.
 */
#ifndef MODEL_BASELINE_ROLLING_H
#define MODEL_BASELINE_ROLLING_H

#include "model/baseline_model.h"

/* Quantiles kept of each step: levels (j + 0.5) / BASELINE_GRID. */
#define BASELINE_GRID 100

/*
 * Fills z (H, BASELINE_GRID). Steps with too few errors of their own take those of all steps; with
 * too few of these, the normal distribution's. At most ROLLING_ASKED forecasts are made. Errors:
 * nan, nomem, cancelled.
 */
int baseline_rolling_fit(double *z, const struct baseline_opt *o, size_t H,
                         const struct baseline_block *data, const struct baseline_stop *stop,
                         struct err *e);

/* z at a level, between the kept ones by a straight line, beyond them the outermost. */
double baseline_rolling_at(const double *z, double level);

#endif
