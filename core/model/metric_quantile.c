/*
 * metric_quantile.c - scores of quantile forecasts and samples. See metric_quantile.h.
 */
#include "model/metric_quantile.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

/* Scores of all rows for one level. */
struct level_sums {
    double pinball, below;
};

int metric_quantile_check(const double *levels, size_t Q, struct err *e)
{
    if (Q == 0)
        return err_set(e, ERR_INVALID, "no quantile levels given");
    for (size_t q = 0; q < Q; q++) {
        if (!(levels[q] > 0 && levels[q] < 1))
            return err_set(e, ERR_INVALID, "quantile level %zu is %g, between 0 and 1 expected",
                           q + 1, levels[q]);
        if (q > 0 && !(levels[q] > levels[q - 1]))
            return err_set(e, ERR_INVALID, "quantile level %zu is %g, not above the one before",
                           q + 1, levels[q]);
    }
    return 0;
}

static double pinball(double y, double f, double q)
{
    double d = y - f;

    return fmax((q - 1) * d, q * d);
}

static struct level_sums level_sum(const struct metric_vec *actual,
                                   const struct metric_vec *forecast, size_t Q, size_t q,
                                   double level, const struct metric_vec *weight)
{
    struct level_sums s = {0, 0};

    for (size_t i = 0; i < actual->n; i++) {
        double y = metric_at(actual, i), f = metric_at(forecast, i * Q + q);
        double w = metric_given(weight) ? metric_at(weight, i) : 1;

        if (isnan(y))
            continue;
        s.pinball += w * pinball(y, f, level);
        s.below += y <= f ? w : 0;
    }
    return s;
}

/* Sums over rows of what looks at the whole row. */
static void row_sums(struct metric_quantile *out, const struct metric_vec *actual,
                     const struct metric_vec *forecast, const double *levels, size_t Q,
                     const struct metric_vec *weight)
{
    for (size_t i = 0; i < actual->n; i++) {
        double y = metric_at(actual, i), area = 0;
        double w = metric_given(weight) ? metric_at(weight, i) : 1;
        double lo = metric_at(forecast, i * Q), hi = metric_at(forecast, i * Q + Q - 1), miss;

        if (isnan(y))
            continue;
        for (size_t q = 1; q < Q; q++) {
            double a = metric_at(forecast, i * Q + q - 1), b = metric_at(forecast, i * Q + q);

            area += 0.5 * (levels[q] - levels[q - 1]) *
                    (pinball(y, a, levels[q - 1]) + pinball(y, b, levels[q]));
            out->crossings += b < a;
        }
        miss = fmax(lo - y, 0) + fmax(y - hi, 0); /* both, when the interval is upside down */
        out->crps_trapezoid += w * 2 * area;
        out->coverage += lo <= y && y <= hi ? w : 0;
        out->width += w * (hi - lo);
        out->winkler += w * (hi - lo + 2 / (1 - (levels[Q - 1] - levels[0])) * miss);
        out->n++;
    }
}

static int check_rows(const struct metric_vec *actual, const struct metric_vec *rows, size_t width,
                      const struct metric_vec *weight, const char *what, struct err *e)
{
    if (width == 0 || rows->n / width != actual->n || rows->n % width != 0)
        return err_set(e, ERR_SHAPE, "%zu %ss are not %zu rows of %zu", rows->n, what, actual->n,
                       width);
    if (metric_check_finite(actual, "actual", 1, e) != 0 ||
        metric_check_weight(weight, actual->n, e) != 0)
        return -1;
    for (size_t i = 0; i < rows->n; i++)
        if (!isfinite(metric_at(rows, i)) && !isnan(metric_at(actual, i / width)))
            return err_set(e, ERR_NAN, "%s %zu of row %zu is not a finite number", what,
                           i % width + 1, i / width + 1);
    return 0;
}

static double known_weight(const struct metric_vec *actual, const struct metric_vec *weight,
                           double *sum_abs)
{
    double total = 0;

    *sum_abs = 0;
    for (size_t i = 0; i < actual->n; i++) {
        double w = metric_given(weight) ? metric_at(weight, i) : 1;

        if (isnan(metric_at(actual, i)))
            continue;
        total += w;
        *sum_abs += w * fabs(metric_at(actual, i));
    }
    return total > 0 ? total : NAN;
}

int metric_quantile_calc(struct metric_quantile *out, const struct metric_vec *actual,
                         const struct metric_vec *forecast, const double *levels, size_t Q,
                         const struct metric_vec *weight, const double *level_weight,
                         struct err *e)
{
    double total, sum_abs, *per[3] = {out->pinball, out->wql, out->below};

    *out = (struct metric_quantile){.pinball = per[0], .wql = per[1], .below = per[2]};
    if (metric_quantile_check(levels, Q, e) != 0 ||
        check_rows(actual, forecast, Q, weight, "quantile", e) != 0)
        return -1;
    total = known_weight(actual, weight, &sum_abs);
    row_sums(out, actual, forecast, levels, Q, weight);
    for (size_t q = 0; q < Q; q++) {
        struct level_sums s = level_sum(actual, forecast, Q, q, levels[q], weight);
        double wql = sum_abs > 0 ? 2 * s.pinball / sum_abs : NAN;

        if (out->pinball != NULL)
            out->pinball[q] = s.pinball / total;
        if (out->wql != NULL)
            out->wql[q] = wql;
        if (out->below != NULL)
            out->below[q] = s.below / total;
        out->pinball_mean += s.pinball / total / (double)Q;
        out->wql_mean += wql / (double)Q;
        out->pinball_weighted += (level_weight ? level_weight[q] : 1) * s.pinball / total;
    }
    out->crps_mean = 2 * out->pinball_mean;
    out->crps_trapezoid /= total;
    out->coverage /= total;
    out->width /= total;
    out->winkler /= total;
    return 0;
}

int metric_quantile_samples(double *crps, double *fair, const struct metric_vec *actual,
                            const struct metric_vec *samples, size_t S,
                            const struct metric_vec *weight, struct err *e)
{
    double total, sum_abs, near = 0, apart = 0, n = (double)S, *row;

    if (check_rows(actual, samples, S, weight, "sample", e) != 0)
        return -1;
    row = mem_alloc(S * sizeof *row);
    if (row == NULL)
        return err_set(e, ERR_NOMEM, "no memory for %zu samples", S);
    total = known_weight(actual, weight, &sum_abs);
    for (size_t i = 0; i < actual->n; i++) {
        double y = metric_at(actual, i), a = 0, b = 0;
        double w = metric_given(weight) ? metric_at(weight, i) : 1;

        if (isnan(y))
            continue;
        for (size_t s = 0; s < S; s++) {
            row[s] = metric_at(samples, i * S + s);
            a += fabs(row[s] - y);
        }
        metric_sort(row, S);
        for (size_t s = 0; s < S; s++) /* sum over pairs |s - s'| without the pairs */
            b += (2 * (double)s - n + 1) * row[s];
        near += w * a / n;
        apart += w * b;
    }
    mem_free(row);
    *crps = (near - apart / (n * n)) / total;
    *fair = S > 1 ? (near - apart / (n * (n - 1))) / total : NAN;
    return 0;
}
