/*
 * gbt_metric.h - how good scores are, by the metrics of gbt_param.h. Weighted means in double.
 */
#ifndef MODEL_GBT_METRIC_H
#define MODEL_GBT_METRIC_H

#include <stddef.h>

#include "model/gbt_param.h"
#include "tensor/par.h"

/* score (n_scores, n) raw; weight NULL: all 1. `invalid` when the metric does not fit the
 * objective; nomem. auc of one class only is 1, as LightGBM has it. */
int gbt_metric_value(enum gbt_metric_id id, const struct gbt_param *p, const double *score,
                     const double *label, const double *weight, size_t n, struct par *par,
                     double *out, struct err *e);

/* auc and the like: more is better. */
int gbt_metric_is_gain(enum gbt_metric_id id);

#endif
