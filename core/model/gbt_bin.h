/*
 * gbt_bin.h - cuts one feature into bins: numbers by equal counts with zero in a bin of its own,
 * categories by frequency. The same mapper serves training and validation rows.
 *
 * Numeric: bins 0 .. n_values - 1 are in order of value, bin b holds upper[b - 1] < x <= upper[b];
 * with missing type nan one more bin at the end holds NaN. Categorical: bin 0 is NaN, negative,
 * rare and unseen; bin b is category cats[b].
 */
#ifndef MODEL_GBT_BIN_H
#define MODEL_GBT_BIN_H

#include <stdint.h>

#include "base/buf.h"
#include "model/gbt_model.h"
#include "model/gbt_param.h"

/* A model file holds one bit per category up to the highest of a set. */
#define GBT_CATEGORY_MAX 16777215

struct gbt_bin {
    int n_bins;               /* with the NaN bin; below 2 the feature is useless */
    int is_cat;
    enum gbt_missing missing;
    int zero_bin;             /* where 0 falls */
    int common_bin;           /* one that holds 70 % of the sample, else zero_bin */
    int n_values;             /* numeric: bins of values */
    double *upper;            /* [n_values], the last is DBL_MAX; padded to a power of two */
    int n_steps;              /* log2 of the padded length */
    int *cats;                /* [n_bins] category of a bin; cats[0] = -1 */
    int *hash;                /* category -> bin, open addressing, 2^hash_bits entries of 2 ints */
    int hash_bits;
    double low, high;         /* range of the sample */
};

/* Builds from a sample of `n` values (destroyed: sorted in place; `spare` has room for n as well). */
int gbt_bin_make(struct gbt_bin *b, double *sample, double *spare, size_t n, int is_cat,
                 const struct gbt_param *p, struct err *e);
void gbt_bin_deinit(struct gbt_bin *b);

int gbt_bin_of(const struct gbt_bin *b, double x);

/* out[i] = bin of x[i]. */
void gbt_bin_many(const struct gbt_bin *b, const double *x, size_t n, uint16_t *out);

/* "[min:max]", "none" or "-1:3:5", as a model file shows it. */
int gbt_bin_info(const struct gbt_bin *b, struct buf *out, struct err *e);

#endif
