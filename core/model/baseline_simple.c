/*
 * baseline_simple.c - forecasts that are a value or a mean of the past. See baseline_part.h.
 *
 * Growth of the deviation with h: FPP table 5.2 (naive, drift, seasonal naive, mean); a mean of k
 * values is treated as the mean of a sample of k.
 */
#include <math.h>
#include <string.h>

#include "model/baseline_part.h"
#include "model/metric.h"

static void fill(struct baseline_result *r, size_t H, double value)
{
    for (size_t h = 0; h < H; h++)
        r->mean[h] = value;
    r->is_defined = 1;
}

void baseline_simple_zero(struct baseline_result *r, const struct baseline_opt *o, const double *y,
                          size_t n, size_t H, double *work)
{
    double sigma;

    (void)o, (void)work;
    for (size_t t = 0; t < n; t++)
        r->fitted[t] = 0;
    fill(r, H, 0);
    sigma = baseline_sigma(r, y, n, 0);
    for (size_t h = 0; h < H; h++)
        r->sd[h] = sigma;
}

void baseline_simple_naive(struct baseline_result *r, const struct baseline_opt *o,
                           const double *y, size_t n, size_t H, double *work)
{
    double last = NAN, sigma;

    (void)o, (void)work;
    for (size_t t = 0; t < n; t++) {
        r->fitted[t] = last;
        last = isnan(y[t]) ? last : y[t];
    }
    if (isnan(last))
        return;
    fill(r, H, last);
    sigma = baseline_sigma(r, y, n, 0);
    for (size_t h = 0; h < H; h++)
        r->sd[h] = sigma * sqrt((double)h + 1);
}

void baseline_simple_mean(struct baseline_result *r, const struct baseline_opt *o, const double *y,
                          size_t n, size_t H, double *work)
{
    double sum = 0, count = 0, square = 0;

    (void)o, (void)work;
    for (size_t t = 0; t < n; t++) {
        r->fitted[t] = count > 0 ? sum / count : NAN;
        if (isnan(y[t]))
            continue;
        sum += y[t];
        count += 1;
    }
    if (count == 0)
        return;
    fill(r, H, sum / count);
    baseline_sigma(r, y, n, 0);
    for (size_t t = 0; t < n; t++)
        square += isnan(y[t]) ? 0 : (y[t] - r->mean[0]) * (y[t] - r->mean[0]);
    for (size_t h = 0; h < H; h++)
        r->sd[h] = count > 1 ? sqrt(square / (count - 1) * (1 + 1 / count)) : 0;
}

void baseline_simple_median(struct baseline_result *r, const struct baseline_opt *o,
                            const double *y, size_t n, size_t H, double *work)
{
    size_t count = 0;
    double sigma;

    (void)o;
    for (size_t t = 0; t < n; t++)
        if (!isnan(y[t]))
            work[count++] = y[t];
    if (count == 0)
        return;
    metric_sort(work, count);
    fill(r, H, metric_sorted_quantile(work, count, 0.5));
    for (size_t t = 0; t < n; t++)
        r->fitted[t] = r->mean[0];
    sigma = baseline_sigma(r, y, n, 1);
    for (size_t h = 0; h < H; h++)
        r->sd[h] = sigma;
}

void baseline_simple_drift(struct baseline_result *r, const struct baseline_opt *o,
                           const double *y, size_t n, size_t H, double *work)
{
    size_t first, last, prev;
    double slope, sigma, span;

    (void)o, (void)work;
    baseline_known(y, n, &first, &last);
    if (first == n)
        return;
    span = (double)(last - first);
    slope = last > first ? (y[last] - y[first]) / span : 0;
    prev = first;
    for (size_t t = first + 1; t < n; t++) {
        r->fitted[t] = y[prev] + slope * (double)(t - prev);
        prev = isnan(y[t]) ? prev : t;
    }
    sigma = baseline_sigma(r, y, n, 1);
    for (size_t h = 1; h <= H; h++) {
        double steps = (double)(n - 1 - last + h);

        r->mean[h - 1] = y[last] + steps * slope;
        r->sd[h - 1] = span > 0 ? sigma * sqrt(steps * (1 + steps / span)) : 0;
    }
    r->is_defined = 1;
}

/* The mean of the last k known values before t. */
static double mean_before(const double *y, size_t t, size_t k)
{
    double sum = 0;
    size_t count = 0, i = t;

    while (i > 0 && count < k) {
        i--;
        if (!isnan(y[i])) {
            sum += y[i];
            count++;
        }
    }
    return count > 0 ? sum / (double)count : NAN;
}

void baseline_simple_moving(struct baseline_result *r, const struct baseline_opt *o,
                            const double *y, size_t n, size_t H, double *work)
{
    double mean = mean_before(y, n, o->window), sigma;

    (void)work;
    if (isnan(mean))
        return;
    for (size_t t = 0; t < n; t++)
        r->fitted[t] = mean_before(y, t, o->window);
    fill(r, H, mean);
    sigma = baseline_sigma(r, y, n, 0);
    for (size_t h = 0; h < H; h++)
        r->sd[h] = sigma;
}

/* The newest known value a whole number of seasons before t; else the newest known at all. */
static double season_before(const double *y, size_t n, size_t t, size_t m, double last)
{
    size_t back = n >= m ? m * ((t - n) / m + 1) : t + 1;

    for (; back <= t; back += m)
        if (!isnan(y[t - back]))
            return y[t - back];
    return last;
}

void baseline_simple_seasonal(struct baseline_result *r, const struct baseline_opt *o,
                              const double *y, size_t n, size_t H, double *work)
{
    double last = NAN, sigma;

    (void)work;
    for (size_t t = 0; t < n; t++) {
        r->fitted[t] = t >= o->season ? season_before(y, t, t, o->season, last) : NAN;
        last = isnan(y[t]) ? last : y[t];
    }
    if (isnan(last))
        return;
    sigma = baseline_sigma(r, y, n, 0);
    for (size_t h = 0; h < H; h++) {
        r->mean[h] = season_before(y, n, n + h, o->season, last);
        r->sd[h] = sigma * sqrt((double)(h / o->season) + 1);
    }
    r->is_defined = 1;
}
