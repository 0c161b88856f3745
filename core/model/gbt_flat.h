/*
 * gbt_flat.h - a model laid out for speed: the same bits as gbt_predict, many times faster.
 *
 * Values become ranks among the model's own thresholds, so a node compares small whole numbers. Many
 * rows: 64 at a time, every node of a tree is evaluated for all of them and masks carry the rows down
 * to the leaves; nothing depends on a branch. One row: all nodes of two trees at once.
 *
 * Source: the leaf masks are QuickScorer's (Lucchese et al. 2015), used row-parallel.
 */
#ifndef MODEL_GBT_FLAT_H
#define MODEL_GBT_FLAT_H

#include "model/gbt_matrix.h"
#include "model/gbt_model.h"
#include "tensor/par.h"

struct gbt_flat;

/* Lays out the first n_iter iterations (0 = all). The model is borrowed and must stay. nomem. */
int gbt_flat_new(struct gbt_flat **out, const struct gbt_model *m, int n_iter, struct err *e);
void gbt_flat_free(struct gbt_flat *f); /* NULL is fine */

/* out (n_rows, n_per_iter): raw scores, or on the objective's scale with `link`. shape, nomem. */
int gbt_flat_predict(const struct gbt_flat *f, const struct gbt_matrix *x, int link, double *out,
                     struct par *par, struct err *e);

/* One row of n_features doubles: raw scores out[n_per_iter]. Any thread, no memory. */
void gbt_flat_row(const struct gbt_flat *f, const double *row, double *out);

#endif
