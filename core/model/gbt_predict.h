/*
 * gbt_predict.h - scores of a model by walking its trees: the definition. gbt_flat does the same
 * faster and must give the same bits.
 *
 * A row is `n_features` doubles, NaN for missing. n_iter: the first iterations only, 0 = all.
 */
#ifndef MODEL_GBT_PREDICT_H
#define MODEL_GBT_PREDICT_H

#include "model/gbt_matrix.h"
#include "model/gbt_model.h"

/* Does node `i` send the value left? */
int gbt_node_left(const struct gbt_tree *t, int i, double x);

/* The leaf a row falls into. */
int gbt_tree_leaf(const struct gbt_tree *t, const double *row);

/* out[n_per_iter]: the raw scores, summed in tree order in double. */
void gbt_predict_raw(const struct gbt_model *m, const double *row, int n_iter, double *out);

/* out[number of trees used]: the leaf of each tree. */
void gbt_predict_leaves(const struct gbt_model *m, const double *row, int n_iter, int *out);

/* Raw scores to the objective's scale, in place: probabilities, rates, … */
void gbt_predict_link(const struct gbt_model *m, double *scores);

/* Trees in the first n_iter iterations. */
int gbt_predict_trees(const struct gbt_model *m, int n_iter);

/* `shape` error unless x has the model's number of columns. */
int gbt_predict_check(const struct gbt_model *m, const struct gbt_matrix *x, struct err *e);

/* Row r of x as doubles. */
void gbt_predict_row(const struct gbt_matrix *x, size_t r, double *row);

#endif
