/*
 * gbt_hist.h - sums of gradients per code and column over the rows of a leaf, and the parting of
 * those rows: the two loops where training spends its time.
 *
 * Many rows: gradients come as whole numbers (gbt_quant), g in 16 bits signed, h in 16 bits, one word
 * per row. Whole sums are exact, so neither the order of rows nor the number of threads can change a
 * bit. Few rows: plain sums in row order, one column per thread, which follow LightGBM's to the bit.
 */
#ifndef MODEL_GBT_HIST_H
#define MODEL_GBT_HIST_H

#include "model/gbt_store.h"

struct gbt_cell {
    double g, h; /* gradients, or whole numbers of gbt_quant's scale */
};

struct gbt_hist;

/* Scratch for `n_lanes` threads. The store is borrowed. */
int gbt_hist_new(struct gbt_hist **out, const struct gbt_store *s, int n_lanes, struct err *e);
void gbt_hist_free(struct gbt_hist *h); /* NULL is fine */

/* Sums over rows idx[0..n) (NULL: rows 0..n), columns with used[c] != 0 at least. gh holds the word
 * of each row, or with `in_order` those of idx[0], idx[1], … */
void gbt_hist_sum(struct gbt_hist *h, const uint32_t *gh, int in_order, const uint32_t *idx,
                  size_t n, const char *used, struct par *par);

/* The same in double from the gradients themselves; h NULL: every hessian is h_const. */
void gbt_hist_sum_plain(struct gbt_hist *h, const float *g, const float *hess, double h_const,
                        const uint32_t *idx, size_t n, const char *used, struct par *par);

/* Cells of column c of the last sum, into out[n_codes]. Columns may be taken in parallel. */
void gbt_hist_take(const struct gbt_hist *h, int c, struct gbt_cell *out);

/* Where parted rows go, and their words with them. */
struct gbt_part {
    uint32_t *left, *right;
    uint32_t *left_gh, *right_gh;
};

/*
 * Parts rows in order: bit `code` of `bits` set goes to `left`, else to `right`. idx NULL stands for
 * rows first .. first + n. gh: words in the order of idx, NULL when there are none to carry along.
 * Returns how many went left; up to 16 places past what counts are written. Outputs may not overlap
 * inputs.
 */
size_t gbt_hist_part(const uint8_t *column, const uint32_t bits[8], const uint32_t *idx,
                     const uint32_t *gh, size_t first, size_t n, const struct gbt_part *out);
size_t gbt_hist_part_wide(const uint16_t *column, const uint32_t *bits, const uint32_t *idx,
                          const uint32_t *gh, size_t first, size_t n, const struct gbt_part *out);

/* The packed form of a row's gradient. */
static inline uint32_t gbt_hist_pack(int g, int h)
{
    return (uint32_t)h << 16 | (uint16_t)g;
}

#endif
