/*
 * gbt_shap.h - how much each feature added to one prediction: exact Shapley values of the trees,
 * with the path-dependent expectation (leaf counts as weights).
 *
 * Source: Lundberg, Erion, Lee 2018, arXiv:1802.03888, algorithm 2 (TreeSHAP).
 */
#ifndef MODEL_GBT_SHAP_H
#define MODEL_GBT_SHAP_H

#include "model/gbt_model.h"

struct gbt_shap;

/* Scratch for one thread. The model is borrowed. `unsupported` when it has no leaf counts; `limit`
 * for a tree deeper than GBT_SHAP_DEPTH_MAX. */
#define GBT_SHAP_DEPTH_MAX 512
int gbt_shap_new(struct gbt_shap **out, const struct gbt_model *m, struct err *e);
void gbt_shap_free(struct gbt_shap *s); /* NULL is fine */

/* out (n_per_iter, n_features + 1): contributions to the raw score, the last is the expected value;
 * a line sums to the raw score. */
void gbt_shap_row(struct gbt_shap *s, const double *row, int n_iter, double *out);

#endif
