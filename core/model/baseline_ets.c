/*
 * baseline_ets.c - exponential smoothing in state space form, the form chosen by itself.
 *
 * Forms are error (A M), trend (N A Ad), season (N A M), without the unstable ones (additive error
 * with multiplied season); multiplied errors and seasons only for values above 0. Smoothing
 * parameters, first level and first trend maximise the likelihood; the first season comes from
 * classical decomposition. The form with the least corrected AIC wins; earlier in the list wins
 * ties. Source: Hyndman, Koehler, Ord and Snyder 2008, chapters 2, 5 and 6 (forecast variances:
 * table 6.2 class 1, 6.3 class 2, 6.4 class 3). See baseline_part.h.
 */
#include <math.h>
#include <string.h>

#include "model/baseline_part.h"
#include "model/baseline_search.h"

#define CALLS_MAX 500
#define FIRST_PART 10    /* values the first level and trend are guessed from, or 2 seasons */
#define EXACT 1e-12      /* share of the squares below which an error is rounding noise */
#define PHI_LOW 0.8      /* damping outside of this is no damping, or no trend */
#define PHI_HIGH 0.98

struct form {
    char name[8];
    int product_error, trend, damped, season; /* season: 0 none, 1 sum, 2 product */
};

static const struct form forms[] = {
    {"ANN", 0, 0, 0, 0}, {"MNN", 1, 0, 0, 0}, {"AAN", 0, 1, 0, 0},  {"MAN", 1, 1, 0, 0},
    {"AAdN", 0, 1, 1, 0}, {"MAdN", 1, 1, 1, 0}, {"ANA", 0, 0, 0, 1}, {"MNA", 1, 0, 0, 1},
    {"MNM", 1, 0, 0, 2}, {"AAA", 0, 1, 0, 1}, {"MAA", 1, 1, 0, 1},  {"MAM", 1, 1, 0, 2},
    {"AAdA", 0, 1, 1, 1}, {"MAdA", 1, 1, 1, 1}, {"MAdM", 1, 1, 1, 2},
};
#define N_FORMS (sizeof forms / sizeof forms[0])

/* In state space terms: beta and gamma already hold their product with alpha. */
struct par {
    double alpha, beta, gamma, phi, level, trend;
};

struct ets {
    const struct form *form;
    const double *y;
    size_t n, m, n_known;
    double *first; /* (m) the season at the start */
    double *state; /* (m) the season now */
    double square_floor;
    double level, trend; /* after the last step */
    size_t phase;
    double error_sum; /* squared errors, relative ones for a product form */
};

/* What the searched numbers mean: alpha, [beta share], [gamma share], [phi], level, [trend]. */
static struct par spread(const struct form *f, const double *x)
{
    struct par p = {.alpha = x[0], .phi = 1};
    size_t i = 1;

    if (f->trend)
        p.beta = p.alpha * x[i++];
    if (f->season)
        p.gamma = (1 - p.alpha) * x[i++];
    if (f->damped)
        p.phi = x[i++];
    p.level = x[i++];
    if (f->trend)
        p.trend = x[i];
    return p;
}

static size_t n_searched(const struct form *f)
{
    return 2 + 2 * (size_t)f->trend + (f->season != 0) + (size_t)f->damped;
}

/* One pass; -2 log likelihood up to a constant, INFINITY where the form is not defined. */
static double pass(struct ets *s, const struct par *p, double *fitted)
{
    const struct form *f = s->form;
    double level = p->level, trend = p->trend, sum = 0, logs = 0;

    if (f->season)
        memcpy(s->state, s->first, s->m * sizeof *s->state);
    s->phase = 0;
    for (size_t t = 0; t < s->n; t++) {
        double *season = &s->state[f->season ? s->phase : 0], y = s->y[t], flat, ahead, e, to;

        flat = level + p->phi * trend;
        ahead = f->season == 2 ? flat * *season : f->season == 1 ? flat + *season : flat;
        if (fitted != NULL)
            fitted[t] = ahead;
        if (f->season && ++s->phase == s->m)
            s->phase = 0;
        if (f->product_error && !(ahead > 0 && flat > 0))
            return INFINITY;
        if (isnan(y)) {
            trend *= p->phi;
            level = flat;
            continue;
        }
        e = f->product_error ? (y - ahead) / ahead : y - ahead;
        sum += e * e;
        logs += f->product_error ? log(ahead) : 0;
        to = f->season == 2 ? y / *season : f->season == 1 ? y - *season : y;
        level = flat + p->alpha * (to - flat);
        trend = p->phi * trend + p->beta * (to - flat);
        if (f->season)
            *season += p->gamma * ((f->season == 2 ? y / flat : y - flat) - *season);
    }
    s->level = level;
    s->trend = trend;
    s->error_sum = sum;
    if (!isfinite(level) || !isfinite(sum))
        return INFINITY;
    if (f->product_error)
        sum = fmax(sum, EXACT * (double)s->n_known);
    return (double)s->n_known * log(fmax(sum, f->product_error ? 0 : s->square_floor)) + 2 * logs;
}

static double searched(void *ctx, const double *x)
{
    struct ets *s = ctx;
    struct par p = spread(s->form, x);

    return pass(s, &p, NULL);
}

/* Level and slope of the first values without their season, by least squares. */
static void guess(const struct ets *s, double *level, double *slope)
{
    size_t part = s->form->season && 2 * s->m > FIRST_PART ? 2 * s->m : FIRST_PART;
    double n = 0, st = 0, sy = 0, stt = 0, sty = 0, d;

    for (size_t t = 0; t < s->n && (t < part || n < 2); t++) {
        double y = s->y[t], at = (double)t + 1;

        if (isnan(y))
            continue;
        if (s->form->season)
            y = s->form->season == 2 ? y / s->first[t % s->m] : y - s->first[t % s->m];
        n += 1;
        st += at;
        sy += y;
        stt += at * at;
        sty += at * y;
    }
    d = n * stt - st * st;
    *slope = d > 0 && s->form->trend ? (n * sty - st * sy) / d : 0;
    *level = n > 0 ? (sy - *slope * st) / n : NAN;
}

/* The best parameters of one form; its criterion, INFINITY when it cannot be. */
static double fit(struct ets *s, double *x, double spread_y)
{
    const struct form *f = s->form;
    struct baseline_search search = {.value = searched, .ctx = s, .n = n_searched(f),
                                     .max_calls = CALLS_MAX, .enough = 1e-8};
    double level, slope, lik;
    size_t i = 0, k = 1 + (f->trend != 0) + (f->season ? s->m - 1 : 0) + 2 + (size_t)f->trend +
                      (f->season != 0) + (size_t)f->damped;

    if (s->n_known < k + 2)
        return INFINITY;
    guess(s, &level, &slope);
    for (; i < 1u + (size_t)f->trend + (f->season != 0); i++) {
        x[i] = i == 0 ? 0.3 : 0.1;
        search.low[i] = 1e-4;
        search.high[i] = 1 - 1e-4;
        search.step[i] = 0.2;
    }
    if (f->damped) {
        x[i] = 0.95;
        search.low[i] = PHI_LOW;
        search.high[i] = PHI_HIGH;
        search.step[i++] = 0.05;
    }
    for (size_t j = 0; j <= (size_t)f->trend; j++, i++) {
        double width = j == 0 ? spread_y : spread_y / 4;

        x[i] = j == 0 ? level : slope;
        search.low[i] = x[i] - 10 * spread_y - 1;
        search.high[i] = x[i] + 10 * spread_y + 1;
        search.step[i] = width > 0 ? 0.5 * width : 0.1;
    }
    lik = baseline_search_min(&search, x);
    return lik + 2 * (double)k + 2 * (double)k * (double)(k + 1) / (double)(s->n_known - k - 1);
}

/* Forecast means and deviations from the last states; sigma in the form's own errors. */
static void ahead(struct baseline_result *r, const struct ets *s, const struct par *p,
                  double sigma, size_t H, double *c, double *theta)
{
    const struct form *f = s->form;
    double damp = 0, power = 1, v = sigma * sigma, sum = 0;

    for (size_t h = 1; h <= H; h++) {
        double season = f->season ? s->state[(s->phase + h - 1) % s->m] : 0, flat, mu, more;

        power *= p->phi;
        damp += power;
        flat = s->level + damp * s->trend;
        mu = f->season == 1 ? flat + season : flat; /* a product season multiplies at the end */
        c[h] = p->alpha + p->beta * damp +
               (f->season == 1 && h % s->m == 0 ? p->gamma : 0);
        more = 0;
        for (size_t j = 1; f->product_error && j < h; j++)
            more += c[j] * c[j] * theta[h - j];
        theta[h] = mu * mu + v * more;
        r->mean[h - 1] = f->season == 2 ? flat * season : mu;
        if (!f->product_error) {
            r->sd[h - 1] = sigma * sqrt(1 + sum);
            sum += c[h] * c[h];
        } else {
            double turns = f->season == 2 ? (double)((h - 1) / s->m) : 0;
            double var = theta[h] * (1 + v) * pow(1 + p->gamma * p->gamma * v, turns) - mu * mu;

            r->sd[h - 1] = sqrt(fmax(var, 0)) * (f->season == 2 ? season : 1);
        }
    }
}

static void prepare(struct ets *s, double *spread_y, int *above_0)
{
    double square = 0, low = INFINITY, high = -INFINITY;

    *above_0 = 1;
    for (size_t t = 0; t < s->n; t++) {
        if (isnan(s->y[t]))
            continue;
        s->n_known++;
        square += s->y[t] * s->y[t];
        low = fmin(low, s->y[t]);
        high = fmax(high, s->y[t]);
        *above_0 = *above_0 && s->y[t] > 0;
    }
    *spread_y = s->n_known > 0 ? high - low : 0;
    s->square_floor = EXACT * square + 1e-300;
}

/* Ready for a form with that season? Fills s->first. */
static int has_season(struct ets *s, const struct form *f, int above_0, double *work)
{
    if (!f->season)
        return 1;
    if (f->season == 2 && !above_0)
        return 0;
    return baseline_season_index(s->first, s->y, s->n, s->m, f->season == 2, work) == 0;
}

void baseline_ets_run(struct baseline_result *r, const struct baseline_opt *o, const double *y,
                      size_t n, size_t H, double *work)
{
    size_t m = o->season;
    struct ets s = {.y = y, .n = n, .m = m, .first = work, .state = work + m};
    double best = INFINITY, spread_y, x[BASELINE_SEARCH_MAX], best_x[BASELINE_SEARCH_MAX] = {0};
    const struct form *chosen = NULL;
    struct par p;
    size_t k;
    int above_0;

    prepare(&s, &spread_y, &above_0);
    for (size_t i = 0; i < N_FORMS; i++) {
        double value;

        s.form = &forms[i];
        if ((s.form->product_error && !above_0) || (s.form->season && m < 2) ||
            !has_season(&s, s.form, above_0, work + 2 * m))
            continue;
        value = fit(&s, x, spread_y);
        if (value < best - 1e-9 * fabs(best) || (chosen == NULL && value < INFINITY)) {
            best = value;
            chosen = s.form;
            memcpy(best_x, x, sizeof best_x);
        }
    }
    if (chosen == NULL)
        return;
    s.form = chosen;
    has_season(&s, chosen, above_0, work + 2 * m);
    p = spread(chosen, best_x);
    pass(&s, &p, r->fitted);
    memcpy(r->form, chosen->name, sizeof r->form);
    r->alpha = p.alpha;
    r->beta = chosen->trend ? p.beta : NAN;
    r->gamma = chosen->season ? p.gamma : NAN;
    r->phi = chosen->trend ? p.phi : NAN;
    r->is_defined = 1;
    baseline_sigma(r, y, n, 0);
    k = n_searched(chosen) + (chosen->season ? m - 1 : 0);
    k = s.n_known > k ? s.n_known - k : 1;
    ahead(r, &s, &p, sqrt(s.error_sum / (double)k), H, work + 2 * m, work + 2 * m + H + 1);
}

double baseline_ets_level(double *alpha, double *fitted, const double *y, size_t n)
{
    struct ets s = {.form = &forms[0], .y = y, .n = n, .m = 1};
    double none = 0, spread_y, x[BASELINE_SEARCH_MAX];
    struct par p;
    int above_0;

    s.first = s.state = &none;
    prepare(&s, &spread_y, &above_0);
    if (s.n_known < 2)
        return NAN;
    s.n_known += 4; /* no form to choose: the criterion's degrees of freedom do not matter */
    fit(&s, x, spread_y);
    p = spread(s.form, x);
    pass(&s, &p, fitted);
    *alpha = p.alpha;
    return s.level;
}
