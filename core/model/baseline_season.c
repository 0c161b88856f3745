/*
 * baseline_season.c - classical decomposition: the season's indices. See baseline_part.h.
 */
#include <math.h>

#include "model/baseline_part.h"

/* The centred mean over one season around t; even seasons take half of both ends. */
static double centre(const double *y, size_t t, size_t m)
{
    size_t half = m / 2;
    double sum = 0;

    for (size_t i = t - half; i <= t + half; i++)
        sum += (m % 2 == 0 && (i == t - half || i == t + half) ? 0.5 : 1) * y[i];
    return sum / (double)m; /* NaN when one is missing */
}

int baseline_season_index(double *index, const double *y, size_t n, size_t m, int product,
                          double *work)
{
    size_t half = m / 2;
    double mean = 0;

    if (m < 2 || n / 2 < m)
        return -1;
    for (size_t t = 0; t < n; t++)
        if (product && y[t] <= 0)
            return -1;
    for (size_t t = 0; t < n; t++) {
        double flat = t >= half && t + half < n ? centre(y, t, m) : NAN;

        work[t] = product ? y[t] / flat : y[t] - flat;
    }
    for (size_t i = 0; i < m; i++) {
        double sum = 0, count = 0;

        for (size_t t = i; t < n; t += m) {
            if (isnan(work[t]))
                continue;
            sum += work[t];
            count += 1;
        }
        if (count == 0)
            return -1;
        index[i] = sum / count;
        mean += index[i] / (double)m;
    }
    for (size_t i = 0; i < m; i++)
        index[i] = product ? index[i] / mean : index[i] - mean;
    return 0;
}
