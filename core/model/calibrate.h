/*
 * calibrate.h - scores of a classifier to probabilities, and the threshold that decides best, both
 * from rows the classifier has not been trained on.
 */
#ifndef MODEL_CALIBRATE_H
#define MODEL_CALIBRATE_H

#include <stddef.h>

#include "base/err.h"

/* p = 1 / (1 + exp(a s + b)). Source: Platt 1999, with the targets and the safe Newton steps of Lin,
 * Lin, Weng 2007, "A note on Platt's probabilistic outputs". */
struct calibrate_platt {
    double a, b;
};

/* label[i] is 0 or 1; weight NULL: all 1. nan, invalid (one class only), nomem. */
int calibrate_platt_fit(struct calibrate_platt *out, const double *score, const double *label,
                        const double *weight, size_t n, struct err *e);
double calibrate_platt_value(const struct calibrate_platt *c, double score);

/* A rising line through (x, y), flat outside. Source: pool adjacent violators, Ayer et al. 1955. */
struct calibrate_isotonic {
    size_t n;
    double *x, *y; /* owned */
};

int calibrate_isotonic_fit(struct calibrate_isotonic *out, const double *score,
                           const double *label, const double *weight, size_t n, struct err *e);
void calibrate_isotonic_deinit(struct calibrate_isotonic *c); /* may run twice */
double calibrate_isotonic_value(const struct calibrate_isotonic *c, double score);

/* What the threshold is to make best. */
enum calibrate_rule {
    CALIBRATE_F1,
    CALIBRATE_ACCURACY,
    CALIBRATE_BALANCED, /* mean of the shares found in either class */
    CALIBRATE_COST,     /* least false_cost per false alarm + missed_cost per miss; value = -mean cost */
};

struct calibrate_choice {
    double threshold; /* yes when p >= threshold */
    double value, precision, recall, accuracy;
};

/* Among all thresholds between rows; the costs are only for CALIBRATE_COST. nan, invalid, nomem. */
int calibrate_threshold(struct calibrate_choice *out, enum calibrate_rule rule, double false_cost,
                        double missed_cost, const double *p, const double *label,
                        const double *weight, size_t n, struct err *e);

#endif
