/*
 * gbt_sample.h - which rows and features a tree may see: bagging, GOSS, feature_fraction. Random
 * numbers depend on seed, iteration and row only.
 */
#ifndef MODEL_GBT_SAMPLE_H
#define MODEL_GBT_SAMPLE_H

#include <stddef.h>
#include <stdint.h>

#include "model/gbt_objective.h"

struct gbt_sample {
    const struct gbt_param *p;
    size_t n;
    uint32_t *rows;  /* in the bag, ascending; NULL: all rows, always */
    char *in_bag;    /* [n], with rows */
    size_t n_rows;
    int is_all;      /* now: every row is in */
    float *spare;    /* goss: sizes of gradients */
};

int gbt_sample_init(struct gbt_sample *s, const struct gbt_param *p, size_t n, struct err *e);
void gbt_sample_deinit(struct gbt_sample *s);

/* Draws the bag of an iteration. GOSS also multiplies g and h (n_scores, n) of small gradients that
 * were drawn; h NULL when constant: then g alone, and the hessian of those rows stays 1. */
void gbt_sample_rows(struct gbt_sample *s, int iteration, const struct gbt_objective *o, float *g,
                     float *h);

/* out[n_features] = 1 for the features of a tree. useful[f] != 0: the others are never drawn. */
void gbt_sample_features(const struct gbt_param *p, uint64_t tree, const char *useful,
                         int n_features, char *out);

#endif
