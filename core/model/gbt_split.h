/*
 * gbt_split.h - the best way to part a leaf by one feature, from its histogram.
 *
 * gain = G_l^2 / (H_l + l2) + G_r^2 / (H_r + l2) - G^2 / (H + l2) - min_gain, G cut by lambda_l1.
 * Rules for missing values, categories and monotone features are LightGBM's.
 */
#ifndef MODEL_GBT_SPLIT_H
#define MODEL_GBT_SPLIT_H

#include "model/gbt_bin.h"
#include "model/gbt_hist.h"

#define GBT_CATS_MAX 256 /* categories on the left of one split; max_cat_threshold above is cut */

struct gbt_split {
    double gain;         /* above 0, or there is no split */
    int feature;
    int is_cat, default_left;
    int bin;             /* numeric: values up to this bin go left */
    int n_cats;
    uint16_t cats[GBT_CATS_MAX]; /* bins that go left */
    double l2;           /* that its leaf values use */
    struct gbt_cell left, right; /* their sums */
};

/* A leaf to part. Sums are whole; scales make them gradients again. */
struct gbt_scan {
    const struct gbt_param *p;
    double g_scale, h_scale;
    struct gbt_cell sum;
    double n_rows;
    double low, high;    /* allowed leaf values */
    double l2;           /* of the leaf's own value */
};

/* Scratch for one thread, in doubles. */
#define GBT_SPLIT_WORK(bins) (4 * ((size_t)(bins) + 16))

/* Finds the best split by feature `f`; out->gain is 0 when there is none. cells[b->n_bins]. */
void gbt_split_find(const struct gbt_scan *scan, const struct gbt_bin *b, int feature,
                    const struct gbt_cell *cells, double *work, struct gbt_split *out);

/* Value of a leaf before the learning rate. */
double gbt_split_output(const struct gbt_param *p, double g, double h, double l2, double low,
                        double high);

#endif
