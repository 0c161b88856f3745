/*
 * gbt_store.h - the training rows as bins, in the two orders training reads them: row by row for
 * histograms, column by column for parting the rows of a leaf.
 *
 * Features with few bins share a column: its codes are the combinations of their bins that occur.
 * One histogram update then serves them all, and nothing is lost: gbt_split sums the codes of a bin.
 * So exclusive sparse features are bundled, and so are a week day and its week-end flag.
 */
#ifndef MODEL_GBT_STORE_H
#define MODEL_GBT_STORE_H

#include <stddef.h>
#include <stdint.h>

#include "model/gbt_bin.h"
#include "model/gbt_matrix.h"
#include "tensor/par.h"

#define GBT_CODES 256 /* codes of a narrow column */

struct gbt_column {
    int n_codes;
    int first_cell;       /* of n_codes cells in the histogram of a leaf */
    int is_wide;          /* one feature with more than 256 bins */
    int n_members;
    int *members;         /* features */
};

struct gbt_store {
    size_t n_rows;
    int n_features;
    struct gbt_bin *bins; /* [n_features] */
    int *column_of;       /* [n_features] -1 when useless */
    uint16_t **decode;    /* [n_features] code -> bin; NULL when they are the same */
    int n_columns, n_narrow, n_cells; /* narrow columns come first */
    struct gbt_column *columns;
    uint8_t *rows;        /* narrow codes, (n_rows, row_bytes), 64-byte aligned */
    size_t row_bytes;     /* a multiple of 8 */
    uint8_t *narrow;      /* (n_narrow, n_rows) */
    uint16_t *wide;       /* (n_columns - n_narrow, n_rows) */
};

/* Errors: nan (an infinite number), nomem, limit. */
int gbt_store_new(struct gbt_store **out, const struct gbt_matrix *x, const struct gbt_param *p,
                  struct par *par, struct err *e);
void gbt_store_free(struct gbt_store *s); /* NULL is fine */

/* The code of row r in column c. */
static inline int gbt_store_code(const struct gbt_store *s, int c, size_t r)
{
    return c < s->n_narrow ? s->narrow[(size_t)c * s->n_rows + r]
                           : s->wide[(size_t)(c - s->n_narrow) * s->n_rows + r];
}

static inline int gbt_store_bin(const struct gbt_store *s, int feature, int code)
{
    return s->decode[feature] != NULL ? s->decode[feature][code] : code;
}

/* Other rows by the same bins, not bundled: out (n_features, n_rows) u16. Owned by the caller.
 * Errors: shape, nan, nomem. */
int gbt_store_other(const struct gbt_store *s, const struct gbt_matrix *x, uint16_t **out,
                    struct par *par, struct err *e);

#endif
