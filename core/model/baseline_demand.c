/*
 * baseline_demand.c - rare demand: Croston, Syntetos-Boylan, Teunter-Syntetos-Babai, and classes.
 *
 * Size and chance of a sale are smoothed apart. Missing periods are not counted. Sources: Croston
 * 1972; Syntetos and Boylan 2005; Teunter, Syntetos and Babai 2011. See baseline_part.h.
 */
#include <math.h>

#include "model/baseline_part.h"

#define ADI_LIMIT 1.32
#define CV2_LIMIT 0.49
#define ALPHA_DEFAULT 0.1

static double given(double value, double otherwise)
{
    return isnan(value) ? otherwise : value;
}

static void finish(struct baseline_result *r, const double *y, size_t n, size_t H, double mean)
{
    double sigma;

    for (size_t h = 0; h < H; h++)
        r->mean[h] = mean;
    r->is_defined = 1;
    sigma = baseline_sigma(r, y, n, 2);
    for (size_t h = 0; h < H; h++)
        r->sd[h] = sigma;
}

void baseline_demand_croston(struct baseline_result *r, const struct baseline_opt *o,
                             const double *y, size_t n, size_t H, double *work)
{
    double alpha = given(o->alpha, ALPHA_DEFAULT), alpha_p = given(o->alpha_p, alpha);
    double factor = o->method == BASELINE_SBA ? 1 - alpha_p / 2 : 1;
    double size = 0, gap = 0, since = 0, seen = 0;

    (void)work;
    for (size_t t = 0; t < n; t++) {
        r->fitted[t] = gap > 0 ? factor * size / gap : 0;
        if (isnan(y[t]))
            continue;
        seen += 1;
        since += 1;
        if (y[t] == 0)
            continue;
        size = gap > 0 ? alpha * y[t] + (1 - alpha) * size : y[t];
        gap = gap > 0 ? alpha_p * since + (1 - alpha_p) * gap : since;
        since = 0;
    }
    if (seen == 0)
        return;
    r->alpha = alpha;
    r->size = size;
    r->chance = gap > 0 ? fmin(factor / gap, 1) : 0;
    finish(r, y, n, H, gap > 0 ? factor * (size / gap) : 0);
}

void baseline_demand_tsb(struct baseline_result *r, const struct baseline_opt *o, const double *y,
                         size_t n, size_t H, double *work)
{
    double alpha = given(o->alpha, ALPHA_DEFAULT), beta = given(o->beta, ALPHA_DEFAULT);
    double size = 0, chance = 0, seen = 0;
    int sold = 0;

    (void)work;
    for (size_t t = 0; t < n; t++) {
        r->fitted[t] = size * chance;
        if (isnan(y[t]))
            continue;
        seen += 1;
        if (y[t] != 0 && !sold) {
            size = y[t];
            chance = 1 / seen;
            sold = 1;
        } else if (y[t] != 0) {
            chance += beta * (1 - chance);
            size += alpha * (y[t] - size);
        } else {
            chance *= 1 - beta;
        }
    }
    if (seen == 0)
        return;
    r->alpha = alpha;
    r->beta = beta;
    r->size = size;
    r->chance = chance;
    finish(r, y, n, H, size * chance);
}

struct baseline_demand_class baseline_demand_of(const double *y, size_t n)
{
    struct baseline_demand_class c = {NAN, NAN, NULL};
    double seen = 0, count = 0, sum = 0, square = 0, mean;
    int rare, uneven;

    for (size_t t = 0; t < n; t++) {
        seen += !isnan(y[t]);
        if (isnan(y[t]) || y[t] == 0)
            continue;
        count += 1;
        sum += y[t];
    }
    if (count == 0)
        return c;
    mean = sum / count;
    for (size_t t = 0; t < n; t++)
        if (!isnan(y[t]) && y[t] != 0)
            square += (y[t] - mean) * (y[t] - mean);
    c.adi = seen / count;
    c.cv2 = square / count / (mean * mean);
    rare = c.adi >= ADI_LIMIT;
    uneven = c.cv2 >= CV2_LIMIT;
    c.name = rare ? (uneven ? "lumpy" : "intermittent") : (uneven ? "erratic" : "smooth");
    return c;
}
