/*
 * reduce.h - many values to one. Sums run in f64, in index order.
 */
#ifndef TENSOR_REDUCE_H
#define TENSOR_REDUCE_H

#include <stddef.h>

/* n values `step` floats apart; n = 0 gives sum 0, mean and variance NaN. */
double reduce_sum(const float *x, ptrdiff_t step, size_t n);
double reduce_mean(const float *x, ptrdiff_t step, size_t n);
double reduce_var(const float *x, ptrdiff_t step, size_t n, int unbiased);
double reduce_norm(const float *x, ptrdiff_t step, size_t n);

/* Sorts upward in place, NaN last. */
void reduce_sort(float *x, size_t n);

/* The q-quantile of n >= 1 sorted values: linear between the two around position q (n - 1). */
double reduce_quantile(const float *sorted, size_t n, double q);


#endif
