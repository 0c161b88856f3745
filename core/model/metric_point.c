/*
 * metric_point.c - scores of point forecasts. See metric_point.h.
 */
#include "model/metric_point.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"

struct error_weight {
    double error, weight;
};

struct sums {
    double weight, abs, square, error, actual, actual_abs, smape, mape, mape_weight, mape_eps,
        mape_one;
};

static double share(double a, double b)
{
    return b > 0 ? a / b : NAN;
}

static int ascending(const void *a, const void *b)
{
    double x = ((const struct error_weight *)a)->error, y = ((const struct error_weight *)b)->error;

    return (x > y) - (x < y);
}

/* Where half of the weight lies below and half above; between two values when exactly there. */
static double weighted_median(struct error_weight *x, size_t n, double total)
{
    double sum = 0;

    if (n == 0 || !(total > 0))
        return NAN;
    qsort(x, n, sizeof *x, ascending);
    for (size_t i = 0; i < n; i++) {
        sum += x[i].weight;
        if (sum > 0.5 * total)
            return x[i].error;
        if (sum == 0.5 * total) {
            while (i + 1 < n && x[i + 1].weight == 0)
                i++;
            return i + 1 < n ? 0.5 * (x[i].error + x[i + 1].error) : x[i].error;
        }
    }
    return x[n - 1].error;
}

double metric_point_scale(const struct metric_vec *train, size_t start, size_t m, int squared)
{
    double sum = 0;
    size_t n = 0;

    for (size_t t = start; t < train->n && m < train->n - t; t++) {
        double d = metric_at(train, t + m) - metric_at(train, t);

        if (isnan(d))
            continue;
        sum += squared ? d * d : fabs(d);
        n++;
    }
    return n > 0 ? sum / (double)n : NAN;
}

static void add_one(struct metric_point *out, struct sums *s, double y, double f, double w)
{
    double d = fabs(f - y), both = fabs(y) + fabs(f);

    s->weight += w;
    s->abs += w * d;
    s->square += w * d * d;
    s->error += w * (f - y);
    s->actual += w * y;
    s->actual_abs += w * fabs(y);
    s->smape += both > 0 ? w * 2 * d / both : 0;
    s->mape_eps += w * d / fmax(fabs(y), DBL_EPSILON);
    s->mape_one += w * d / fmax(fabs(y), 1);
    if (y != 0) {
        s->mape += w * d / fabs(y);
        s->mape_weight += w;
        out->mape_nonzero_n++;
    }
    out->n++;
    if (w > 0 && !(d <= out->max_error))
        out->max_error = d;
}

static void fill_scaled(struct metric_point *out, const struct metric_vec *train, size_t season)
{
    size_t start = 0;

    out->mase = share(out->mae, metric_point_scale(train, 0, season, 0));
    out->rmsse = sqrt(share(out->mse, metric_point_scale(train, 0, season, 1)));
    while (start < train->n && !(fabs(metric_at(train, start)) > 0))
        start++;
    out->rmsse_m5 = sqrt(share(out->mse, metric_point_scale(train, start, 1, 1)));
}

static void fill(struct metric_point *out, const struct sums *s)
{
    out->mae = share(s->abs, s->weight);
    out->mse = share(s->square, s->weight);
    out->rmse = sqrt(out->mse);
    out->bias = share(s->error, s->weight);
    out->bias_share = share(s->error, s->actual_abs);
    out->mape_nonzero = share(s->mape, s->mape_weight);
    out->mape_eps = share(s->mape_eps, s->weight);
    out->mape_one = share(s->mape_one, s->weight);
    out->smape = share(s->smape, s->weight);
    out->wape = share(s->abs, s->actual_abs);
    out->mase = out->rmsse = out->rmsse_m5 = NAN;
}

static int check(const struct metric_vec *actual, const struct metric_vec *forecast,
                 const struct metric_vec *weight, const struct metric_vec *train, size_t season,
                 struct err *e)
{
    if (actual->n != forecast->n)
        return err_set(e, ERR_SHAPE, "%zu forecasts for %zu values", forecast->n, actual->n);
    if (season == 0)
        return err_set(e, ERR_INVALID, "season is 0, 1 or more expected");
    if (metric_check_finite(actual, "actual", 1, e) != 0 ||
        metric_check_finite(forecast, "forecast", 1, e) != 0 ||
        metric_check_weight(weight, actual->n, e) != 0)
        return -1;
    for (size_t i = 0; i < actual->n; i++)
        if (isnan(metric_at(forecast, i)) && !isnan(metric_at(actual, i)))
            return err_set(e, ERR_NAN, "forecast %zu is not a number", i + 1);
    return metric_given(train) ? metric_check_finite(train, "training value", 1, e) : 0;
}

int metric_point_calc(struct metric_point *out, const struct metric_vec *actual,
                      const struct metric_vec *forecast, const struct metric_vec *weight,
                      const struct metric_vec *train, size_t season, struct err *e)
{
    struct error_weight *errors;
    struct sums s = {0};
    double spread = 0, mean;

    *out = (struct metric_point){.max_error = NAN, .r2 = NAN};
    if (check(actual, forecast, weight, train, season, e) != 0)
        return -1;
    errors = mem_alloc(actual->n * sizeof *errors);
    if (errors == NULL)
        return err_set(e, ERR_NOMEM, "no memory for %zu errors", actual->n);
    for (size_t i = 0; i < actual->n; i++) {
        double y = metric_at(actual, i), f = metric_at(forecast, i);
        double w = metric_given(weight) ? metric_at(weight, i) : 1;

        if (isnan(y))
            continue;
        errors[out->n] = (struct error_weight){fabs(f - y), w};
        add_one(out, &s, y, f, w);
    }
    out->medae = weighted_median(errors, out->n, s.weight);
    mem_free(errors);
    fill(out, &s);
    mean = share(s.actual, s.weight);
    for (size_t i = 0; i < actual->n; i++) {
        double d = metric_at(actual, i) - mean;

        if (!isnan(d))
            spread += (metric_given(weight) ? metric_at(weight, i) : 1) * d * d;
    }
    if (out->n > 1 && spread > 0)
        out->r2 = 1 - s.square / spread;
    if (metric_given(train))
        fill_scaled(out, train, season);
    return 0;
}
