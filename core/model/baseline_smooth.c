/*
 * baseline_smooth.c - exponential smoothing with the plain start values: SES, Holt, Holt-Winters.
 *
 * A missing value changes the states as its own forecast would. Parameters given as NaN minimise
 * the sum of squared one-step errors. Deviations: FPP table for SES and Holt, Hyndman et al. 2008
 * table 6.2 (class 1) for all: var_h = var (1 + sum over j < h of c_j^2).
 * See baseline_part.h; the likelihood versions with chosen start values are in baseline_ets.c.
 */
#include <math.h>
#include <string.h>

#include "model/baseline_part.h"
#include "model/baseline_search.h"

struct par {
    double alpha, beta, gamma, phi;
};

struct series {
    const double *y;
    size_t n, m;
    int classic;
    double *season, *fitted; /* season (m) scratch; fitted (n) or NULL */
    double level, trend;     /* after the last step */
    size_t phase;            /* of the next step in `season` */
    const struct par *fixed; /* NaN = to be searched */
    double (*pass)(struct series *s, const struct par *p);
};

static double given(double value, double otherwise)
{
    return isnan(value) ? otherwise : value;
}

/* One pass of simple smoothing; the sum of squared errors. */
static double pass_ses(struct series *s, const struct par *p)
{
    double level = NAN, sse = 0;

    for (size_t t = 0; t < s->n; t++) {
        double y = s->y[t];

        if (s->fitted != NULL)
            s->fitted[t] = level;
        if (isnan(y))
            continue;
        if (!isnan(level))
            sse += (y - level) * (y - level);
        level = isnan(level) ? y : p->alpha * y + (1 - p->alpha) * level;
    }
    s->level = level;
    return sse;
}

static double pass_holt(struct series *s, const struct par *p)
{
    size_t a = 0, b;
    double level, trend, sse = 0;

    while (isnan(s->y[a]))
        a++;
    for (b = a + 1; isnan(s->y[b]);)
        b++;
    level = s->y[a];
    trend = (s->y[b] - s->y[a]) / (double)(b - a);
    for (size_t t = a + 1; t < s->n; t++) {
        double ahead = level + p->phi * trend, y = s->y[t], before = level;

        if (s->fitted != NULL)
            s->fitted[t] = ahead;
        if (isnan(y)) {
            level = ahead;
            trend = p->phi * trend;
            continue;
        }
        sse += (y - ahead) * (y - ahead);
        level = p->alpha * y + (1 - p->alpha) * ahead;
        trend = p->beta * (level - before) + (1 - p->beta) * p->phi * trend;
    }
    s->level = level;
    s->trend = trend;
    return sse;
}

/* Mean of the known values of y[from .. from + m); NaN when there is none. */
static double part_mean(const double *y, size_t from, size_t m)
{
    double sum = 0, count = 0;

    for (size_t i = from; i < from + m; i++) {
        if (isnan(y[i]))
            continue;
        sum += y[i];
        count += 1;
    }
    return count > 0 ? sum / count : NAN;
}

static double pass_hw(struct series *s, const struct par *p)
{
    size_t m = s->m;
    double first = part_mean(s->y, 0, m), second = part_mean(s->y, m, m);
    double level = first, trend = (second - first) / (double)m, sse = 0;

    for (size_t i = 0; i < m; i++)
        s->season[i] = !isnan(s->y[i]) ? s->y[i] - first : given(s->y[m + i] - second, 0);
    s->phase = 0;
    for (size_t t = m; t < s->n; t++, s->phase = (s->phase + 1) % m) {
        double *season = &s->season[s->phase], y = s->y[t], before = level, flat = level + trend;

        if (s->fitted != NULL)
            s->fitted[t] = flat + *season;
        if (isnan(y)) {
            level = flat;
            continue;
        }
        sse += (y - flat - *season) * (y - flat - *season);
        level = p->alpha * (y - *season) + (1 - p->alpha) * flat;
        trend = p->beta * (level - before) + (1 - p->beta) * trend;
        *season = p->gamma * (y - (s->classic ? level : flat)) + (1 - p->gamma) * *season;
    }
    s->level = level;
    s->trend = trend;
    return sse;
}

/* Spreads the searched numbers over the parameters that are not fixed. */
static struct par spread(const struct par *fixed, const double *x, size_t *n)
{
    struct par p = *fixed;
    double *field[4] = {&p.alpha, &p.beta, &p.gamma, &p.phi};

    *n = 0;
    for (int i = 0; i < 4; i++) {
        if (!isnan(*field[i]))
            continue;
        if (x != NULL)
            *field[i] = x[*n];
        (*n)++;
    }
    return p;
}

static double searched(void *ctx, const double *x)
{
    struct series *s = ctx;
    size_t n;
    struct par p = spread(s->fixed, x, &n);

    return s->pass(s, &p);
}

/* The parameters: as given, or the ones with the least squared error. */
static struct par choose(struct series *s, const struct par *fixed)
{
    struct baseline_search search = {searched, s, 0, {0}, {0}, {0}, 400, 1e-9};
    double x[4] = {0.3, 0.1, 0.1, 0.9}, *fitted = s->fitted;

    spread(fixed, NULL, &search.n);
    if (search.n == 0)
        return *fixed;
    for (size_t i = 0; i < search.n; i++) {
        search.low[i] = 1e-4;
        search.high[i] = 1 - 1e-4;
        search.step[i] = 0.2;
    }
    s->fixed = fixed;
    s->fitted = NULL;
    baseline_search_min(&search, x);
    s->fitted = fitted;
    return spread(fixed, x, &search.n);
}

static void keep(struct baseline_result *r, const struct par *p, int has_trend, int has_season)
{
    r->alpha = p->alpha;
    r->beta = has_trend ? p->beta : NAN;
    r->phi = has_trend ? p->phi : NAN;
    r->gamma = has_season ? p->gamma : NAN;
    r->is_defined = 1;
}

/* sd_h for the class 1 models; beta is Holt's, the trend's own weight. */
static void spread_sd(struct baseline_result *r, double sigma, const struct par *p, double gamma,
                      size_t m, size_t H)
{
    double sum = 0, damp = 0, power = 1;

    for (size_t h = 1; h <= H; h++) {
        double c;

        r->sd[h - 1] = sigma * sqrt(1 + sum);
        power *= p->phi;
        damp += power;
        c = p->alpha * (1 + p->beta * damp) + (m > 1 && h % m == 0 ? gamma : 0);
        sum += c * c;
    }
}

static void finish_ses(struct baseline_result *r, struct series *s, const struct par *p, size_t H,
                       size_t n_par)
{
    double sigma;

    keep(r, p, 0, 0);
    for (size_t h = 0; h < H; h++)
        r->mean[h] = s->level;
    sigma = baseline_sigma(r, s->y, s->n, n_par);
    spread_sd(r, sigma, p, 0, 1, H);
}

void baseline_smooth_ses(struct baseline_result *r, const struct baseline_opt *o, const double *y,
                         size_t n, size_t H, double *work)
{
    struct series s = {.y = y, .n = n, .fitted = r->fitted, .pass = pass_ses};
    struct par fixed = {o->alpha, 0, 0, 1}, p;

    (void)work;
    p = choose(&s, &fixed);
    s.pass(&s, &p);
    if (!isnan(s.level))
        finish_ses(r, &s, &p, H, 1);
}

/* The grid and its tie rule are part of the definition: a candidate must win by more than noise. */
void baseline_smooth_grid(struct baseline_result *r, const struct baseline_opt *o, const double *y,
                          size_t n, size_t H, double *work)
{
    struct series s = {.y = y, .n = n, .pass = pass_ses};
    struct par p = {0, 0, 0, 1}, best = p;
    double least = INFINITY;

    (void)o, (void)work;
    for (int i = 1; i <= 99; i++) {
        double sse;

        p.alpha = i / 100.0;
        sse = pass_ses(&s, &p);
        if (isinf(least) || sse < least - 1e-12 * (1 + least)) {
            least = sse;
            best = p;
        }
    }
    s.fitted = r->fitted;
    pass_ses(&s, &best);
    if (!isnan(s.level))
        finish_ses(r, &s, &best, H, 1);
}

void baseline_smooth_holt(struct baseline_result *r, const struct baseline_opt *o, const double *y,
                          size_t n, size_t H, double *work)
{
    struct series s = {.y = y, .n = n, .fitted = r->fitted, .pass = pass_holt};
    struct par fixed = {o->alpha, o->beta, 0, given(o->phi, 1)}, p;
    size_t first, last;
    double damp = 0, power = 1;

    (void)work;
    baseline_known(y, n, &first, &last);
    if (first == n || first == last)
        return;
    p = choose(&s, &fixed);
    s.pass(&s, &p);
    keep(r, &p, 1, 0);
    for (size_t h = 0; h < H; h++) {
        power *= p.phi;
        damp += power;
        r->mean[h] = s.level + damp * s.trend;
    }
    spread_sd(r, baseline_sigma(r, y, n, 2), &p, 0, 1, H);
}

void baseline_smooth_hw(struct baseline_result *r, const struct baseline_opt *o, const double *y,
                        size_t n, size_t H, double *work)
{
    struct series s = {.y = y, .n = n, .m = o->season, .season = work, .fitted = r->fitted,
                       .classic = o->method == BASELINE_HW_CLASSIC, .pass = pass_hw};
    struct par fixed = {o->alpha, o->beta, o->gamma, 1}, p;
    double gamma;

    if (n / 2 < s.m || isnan(part_mean(y, 0, s.m)) || isnan(part_mean(y, s.m, s.m)))
        return;
    p = choose(&s, &fixed);
    s.pass(&s, &p);
    keep(r, &p, 1, 1);
    for (size_t h = 0; h < H; h++)
        r->mean[h] = s.level + (double)(h + 1) * s.trend + s.season[(s.phase + h) % s.m];
    gamma = s.classic ? p.gamma * (1 - p.alpha) : p.gamma; /* what an error of 1 adds to a season */
    spread_sd(r, baseline_sigma(r, y, n, 3), &p, gamma, s.m, H);
}
