/*
 * baseline_theta.c - the Theta method: simple smoothing plus half of the linear trend.
 *
 * A season is taken out first when the series shows one (autocorrelation at lag m outside the 90 %
 * band) and put back after: as factors for values above 0, else as terms. Sources: Assimakopoulos
 * and Nikolopoulos 2000; Hyndman and Billah 2003 (the closed form used here and its variance
 * sd_1^2 (1 + (h - 1) alpha^2)). See baseline_part.h.
 */
#include <math.h>

#include "model/baseline_part.h"

#define SEASON_Z 1.645

static double mean_of(const double *y, size_t n)
{
    double sum = 0, count = 0;

    for (size_t t = 0; t < n; t++) {
        sum += isnan(y[t]) ? 0 : y[t];
        count += !isnan(y[t]);
    }
    return count > 0 ? sum / count : NAN;
}

static double correlation(const double *y, size_t n, size_t lag, double mean)
{
    double top = 0, bottom = 0;

    for (size_t t = 0; t < n; t++) {
        if (isnan(y[t]))
            continue;
        bottom += (y[t] - mean) * (y[t] - mean);
        if (t >= lag && !isnan(y[t - lag]))
            top += (y[t] - mean) * (y[t - lag] - mean);
    }
    return bottom > 0 ? top / bottom : 0;
}

static int is_seasonal(const double *y, size_t n, size_t m)
{
    double mean = mean_of(y, n), sum = 0;

    if (m < 2 || n / 2 < m)
        return 0;
    for (size_t lag = 1; lag < m; lag++) {
        double c = correlation(y, n, lag, mean);

        sum += c * c;
    }
    return fabs(correlation(y, n, m, mean)) > SEASON_Z * sqrt((1 + 2 * sum) / (double)n);
}

/* Slope of the least squares line through the known values. */
static double slope_of(const double *y, size_t n)
{
    double count = 0, st = 0, sy = 0, stt = 0, sty = 0, d;

    for (size_t t = 0; t < n; t++) {
        if (isnan(y[t]))
            continue;
        count += 1;
        st += (double)t;
        sy += y[t];
        stt += (double)t * (double)t;
        sty += (double)t * y[t];
    }
    d = count * stt - st * st;
    return d > 0 ? (count * sty - st * sy) / d : 0;
}

/* What the trend half adds at a one-step forecast after `seen` values, `more` steps further on. */
static double drift_at(double slope, double alpha, double seen, double more)
{
    return 0.5 * slope * (more + (1 - pow(1 - alpha, seen)) / alpha);
}

void baseline_theta_run(struct baseline_result *r, const struct baseline_opt *o, const double *y,
                        size_t n, size_t H, double *work)
{
    size_t m = o->season, first, last;
    double *index = work, *flat = work + m, alpha, level, slope, sigma;
    int season = 0; /* 1 terms, 2 factors */

    baseline_known(y, n, &first, &last);
    if (first == n || first == last)
        return;
    if (is_seasonal(y, n, m)) {
        if (baseline_season_index(index, y, n, m, 1, flat) == 0)
            season = 2;
        else if (baseline_season_index(index, y, n, m, 0, flat) == 0)
            season = 1;
    }
    for (size_t t = 0; t < n; t++)
        flat[t] = season == 2   ? y[t] / index[t % m]
                  : season == 1 ? y[t] - index[t % m]
                                : y[t];
    level = baseline_ets_level(&alpha, r->fitted, flat, n);
    slope = slope_of(flat, n);
    for (size_t t = 0; t < n; t++) {
        double x = r->fitted[t] + drift_at(slope, alpha, (double)t, 0);

        r->fitted[t] = season == 2 ? x * index[t % m] : season == 1 ? x + index[t % m] : x;
    }
    sigma = baseline_sigma(r, y, n, 3);
    for (size_t h = 0; h < H; h++) {
        double place = season ? index[(n + h) % m] : 0;
        double x = level + drift_at(slope, alpha, (double)n, (double)h);

        r->mean[h] = season == 2 ? x * place : season == 1 ? x + place : x;
        r->sd[h] = sigma * sqrt(1 + (double)h * alpha * alpha);
    }
    r->alpha = alpha;
    r->is_defined = 1;
}
