/*
 * metric.c - what the metrics share. See metric.h.
 */
#include "model/metric.h"

#include <math.h>
#include <stdlib.h>

int metric_check_finite(const struct metric_vec *v, const char *what, int missing, struct err *e)
{
    for (size_t i = 0; i < v->n; i++) {
        double x = metric_at(v, i);

        if (isfinite(x) || (missing && isnan(x)))
            continue;
        return err_set(e, ERR_NAN, "%s %zu is %s, a number expected", what, i + 1,
                       isnan(x) ? "not a number" : "infinite");
    }
    return 0;
}

int metric_check_weight(const struct metric_vec *w, size_t n, struct err *e)
{
    if (!metric_given(w))
        return 0;
    if (w->n != n)
        return err_set(e, ERR_SHAPE, "%zu weights for %zu values", w->n, n);
    if (metric_check_finite(w, "weight", 0, e) != 0)
        return -1;
    for (size_t i = 0; i < n; i++)
        if (metric_at(w, i) < 0)
            return err_set(e, ERR_INVALID, "weight %zu is %g, 0 or more expected", i + 1,
                           metric_at(w, i));
    return 0;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

void metric_sort(double *x, size_t n)
{
    if (n > 1)
        qsort(x, n, sizeof *x, ascending);
}

double metric_sorted_quantile(const double *x, size_t n, double q)
{
    double at = q * (double)(n - 1), low = floor(at), part = at - low;
    size_t i = (size_t)low;

    if (i + 1 >= n)
        return x[n - 1];
    return x[i] + part * (x[i + 1] - x[i]);
}
