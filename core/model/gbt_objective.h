/*
 * gbt_objective.h - what training minimises: start value, gradients, and leaf values that are
 * quantiles of residuals. Formulas are LightGBM's.
 */
#ifndef MODEL_GBT_OBJECTIVE_H
#define MODEL_GBT_OBJECTIVE_H

#include <stddef.h>
#include <stdint.h>

#include "model/gbt_param.h"
#include "tensor/par.h"

struct gbt_objective {
    const struct gbt_param *p;
    const double *label;  /* [n] borrowed */
    double *weight;       /* [n] owned; NULL: all 1. Sample times class weight */
    size_t n;
    int n_scores;         /* classes, or 1 */
    double pos_factor, neg_factor; /* binary: weights of the two labels in the gradient */
    double *start;        /* [n_scores] */
    double h_const;       /* hessian of every row, or 0 when they differ */
};

/* Checks the labels: `nan` for NaN or infinite, `invalid` for what the objective cannot have (row
 * named). weight may be NULL; it is copied. */
int gbt_objective_init(struct gbt_objective *o, const struct gbt_param *p, const double *label,
                       const double *weight, size_t n, struct err *e);
void gbt_objective_deinit(struct gbt_objective *o);

/* g, h (n_scores, n) from the scores (n_scores, n). h is not touched when h_const is set. */
void gbt_objective_gradients(const struct gbt_objective *o, const double *score, float *g,
                             float *h, struct par *par);

/* Are leaf values quantiles of the residuals? */
int gbt_objective_renews(const struct gbt_objective *o);

/* That quantile over rows idx[0..n) (NULL: 0..n); room for n pairs in `spare` (2 n doubles). */
double gbt_objective_renew(const struct gbt_objective *o, const double *score, const uint32_t *idx,
                           size_t n, double *spare);

/* Does score k need trees? No when a class has no or all rows. */
int gbt_objective_needs(const struct gbt_objective *o, int k);

#endif
