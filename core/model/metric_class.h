/*
 * metric_class.h - scores of a yes/no prediction: how well a score ranks, and how true it is as a
 * probability.
 *
 * NaN where not defined (one class only). `weight` may be NULL and enters every count.
 * Sources: Fawcett 2006 (AUC, ties count half), Brier 1950, ours for the calibration table.
 */
#ifndef MODEL_METRIC_CLASS_H
#define MODEL_METRIC_CLASS_H

#include "model/metric.h"

struct metric_class {
    double roc_auc;
    double average_precision; /* step-wise sum, equal scores are one step */
    double brier, logloss;    /* p clipped to [2.22e-16, 1 - 2.22e-16]; NaN outside of 0..1 */
    double best_f1;           /* over thresholds equal to the distinct scores … */
    double best_threshold;    /* … the largest one among equals */
    double base_rate;         /* share of yes */
    size_t n;
};

struct metric_class_at {
    double tp, fp, fn, tn;
    double precision, recall, f1, accuracy; /* 0/0 = 0 */
};

struct metric_class_bin {
    double weight, mean_score, yes_rate; /* the means are NaN in an empty bin */
};

/* label (N) of 0 and 1, score (N), N > 0. Errors: shape, nan, invalid, nomem. */
int metric_class_calc(struct metric_class *out, const struct metric_vec *label,
                      const struct metric_vec *score, const struct metric_vec *weight,
                      struct err *e);

/* "yes" is said when score >= threshold. Errors as above. */
int metric_class_threshold(struct metric_class_at *out, const struct metric_vec *label,
                           const struct metric_vec *score, const struct metric_vec *weight,
                           double threshold, struct err *e);

/*
 * Reliability: scores in [0, 1] cut into `n_bins` of equal width (a score of 1 is in the last);
 * *ece is the weighted mean |mean_score - yes_rate|. Errors as above.
 */
int metric_class_calibration(struct metric_class_bin *bins, size_t n_bins, double *ece,
                             const struct metric_vec *label, const struct metric_vec *score,
                             const struct metric_vec *weight, struct err *e);

#endif
