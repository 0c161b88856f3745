/*
 * gbt_matrix.h - a borrowed table of numbers, rows x features, as tensors hold it: f32 or f64, any
 * strides. NaN is a missing value.
 */
#ifndef MODEL_GBT_MATRIX_H
#define MODEL_GBT_MATRIX_H

#include <stddef.h>

struct gbt_matrix {
    const void *data;
    int is_f32;                    /* else f64 */
    size_t n_rows;
    int n_cols;
    ptrdiff_t row_step, col_step;  /* in numbers, not bytes */
};

static inline double gbt_matrix_at(const struct gbt_matrix *m, size_t row, int col)
{
    ptrdiff_t at = (ptrdiff_t)row * m->row_step + col * m->col_step;

    return m->is_f32 ? (double)((const float *)m->data)[at] : ((const double *)m->data)[at];
}

#endif
