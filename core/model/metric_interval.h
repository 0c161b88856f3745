/*
 * metric_interval.h - MIWS, MIC and their ratio: how wide an interval is, and whether it holds.
 *
 * Sales forecasts are dominated by zeros, so rows are scored in two groups. A row belongs to the
 * zero group when its actual is exactly 1e-6 (in its own width), the value the scaler gives to
 * "sold nothing"; every
 * other one, 0.0 included, is non-zero. State is summed over batches; the value is taken last.
 *
 *   lo, hi  quantiles q_lo and q_hi of a row's S samples, linear at q (S - 1)
 *   MIWS    hi - lo, + (lo - y)/(q_lo + 1e-9) below, + (y - hi)/(1 - q_hi + 1e-9) above
 *   MIC     1 when lo <= y <= hi, else 0
 *   value   max(0, wmean(z, n, 4) + penalty), z and n the groups' means
 *   wmean   (B^2 + 1) a b / (a B^2 + b + 1e-9); infinite when a or b is
 *
 * In single width every operation is rounded to f32, as the float32 training loop does it: there
 * the penalty base^|d| overflows for wide intervals, and the value is then infinite (or 0, where
 * the masked infinity is not a number).
 */
#ifndef MODEL_METRIC_INTERVAL_H
#define MODEL_METRIC_INTERVAL_H

#include "model/metric.h"

enum metric_interval_kind { METRIC_MIWS, METRIC_MIC };
enum metric_direction { METRIC_ANY, METRIC_MIN, METRIC_MAX };

struct metric_interval_opt {
    enum metric_interval_kind kind;
    double q_lo, q_hi;                  /* 0 < q_lo < q_hi < 1 */
    double zero_thresh, nonzero_thresh; /* 0 = no penalty for that group */
    double exp_base;                    /* >= 1, of the penalty */
    enum metric_direction direction;    /* min: above is punished; else below is rewarded less */
    int single;                         /* round like float32 */
};

struct metric_interval {
    struct metric_interval_opt opt;
    double zero_sum, nonzero_sum;
    double zero_count, nonzero_count;
};

/* The plain metric: 0.05 to 0.95, no thresholds. */
struct metric_interval_opt metric_interval_plain(enum metric_interval_kind kind, int single);

/* The two halves of the ratio: thresholds 0.8, MIWS base 6 "min", MIC base 4 "max". */
struct metric_interval_opt metric_interval_half(enum metric_interval_kind kind, int single);

/* Starts empty. `invalid`. */
int metric_interval_init(struct metric_interval *m, const struct metric_interval_opt *opt,
                         struct err *e);

/* One batch: samples (N, S), actual (N). NaN in `actual` = not known: left out. N may be 0.
 * Errors: shape, nan, nomem; the state is then as before. */
int metric_interval_add(struct metric_interval *m, const struct metric_vec *samples, size_t S,
                        const struct metric_vec *actual, struct err *e);

/* Infinite while a group is empty; `invalid` when that group has a threshold. */
int metric_interval_value(double *value, const struct metric_interval *m, struct err *e);

/* wmean(MIWS, 1/(MIC + 1e-10), 2) of two states made with metric_interval_half. */
int metric_interval_ratio(double *value, const struct metric_interval *miws,
                          const struct metric_interval *mic, struct err *e);

#endif
