/*
 * reduce.c - many values to one. See reduce.h.
 */
#include "tensor/reduce.h"

#include <math.h>
#include <stdlib.h>

double reduce_sum(const float *x, ptrdiff_t step, size_t n)
{
    double s = 0;

    for (size_t i = 0; i < n; i++, x += step)
        s += (double)*x;
    return s;
}

double reduce_mean(const float *x, ptrdiff_t step, size_t n)
{
    return n == 0 ? NAN : reduce_sum(x, step, n) / (double)n;
}

double reduce_var(const float *x, ptrdiff_t step, size_t n, int unbiased)
{
    double mean = reduce_mean(x, step, n), s = 0;

    if (n == 0 || (unbiased && n == 1))
        return NAN;
    for (size_t i = 0; i < n; i++, x += step)
        s += ((double)*x - mean) * ((double)*x - mean);
    return s / (double)(unbiased ? n - 1 : n);
}

double reduce_norm(const float *x, ptrdiff_t step, size_t n)
{
    double s = 0;

    for (size_t i = 0; i < n; i++, x += step)
        s += (double)*x * (double)*x;
    return sqrt(s);
}

static int upward(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;

    if (isnan(x) || isnan(y))
        return (isnan(x) != 0) - (isnan(y) != 0);
    return (x > y) - (x < y);
}

void reduce_sort(float *x, size_t n)
{
    if (n > 1)
        qsort(x, n, sizeof *x, upward);
}

double reduce_quantile(const float *sorted, size_t n, double q)
{
    double at = q * (double)(n - 1);
    size_t i = (size_t)at;

    if (i + 1 >= n)
        return (double)sorted[n - 1];
    return (double)sorted[i] + ((double)sorted[i + 1] - (double)sorted[i]) * (at - (double)i);
}
