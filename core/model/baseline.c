/*
 * baseline.c - options, the choice of a method, and quantiles. See baseline.h.
 */
#include "model/baseline.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "model/baseline_part.h"
#include "model/metric_quantile.h"

#define BASELINE_NAME(constant, name) name,
static const char *const names[] = {BASELINE_METHODS(BASELINE_NAME)};
#undef BASELINE_NAME

static baseline_run *const runs[BASELINE_COUNT] = {
    [BASELINE_ZERO] = baseline_simple_zero,
    [BASELINE_NAIVE] = baseline_simple_naive,
    [BASELINE_MEAN] = baseline_simple_mean,
    [BASELINE_MEDIAN] = baseline_simple_median,
    [BASELINE_DRIFT] = baseline_simple_drift,
    [BASELINE_MOVING] = baseline_simple_moving,
    [BASELINE_SEASONAL] = baseline_simple_seasonal,
    [BASELINE_SES] = baseline_smooth_ses,
    [BASELINE_SES_GRID] = baseline_smooth_grid,
    [BASELINE_HOLT] = baseline_smooth_holt,
    [BASELINE_HW] = baseline_smooth_hw,
    [BASELINE_HW_CLASSIC] = baseline_smooth_hw,
    [BASELINE_CROSTON] = baseline_demand_croston,
    [BASELINE_SBA] = baseline_demand_croston,
    [BASELINE_TSB] = baseline_demand_tsb,
    [BASELINE_ETS] = baseline_ets_run,
    [BASELINE_THETA] = baseline_theta_run,
};

struct baseline_opt baseline_default(enum baseline_method method)
{
    return (struct baseline_opt){.method = method, .season = 1, .window = 12, .alpha = NAN,
                                 .beta = NAN, .gamma = NAN, .phi = NAN, .alpha_p = NAN,
                                 .floor = -INFINITY, .penalty = NAN, .series_norm = 1};
}

const char *baseline_name(enum baseline_method method)
{
    return method < BASELINE_COUNT ? names[method] : "?";
}

enum baseline_method baseline_of(const char *name)
{
    int i = 0;

    if (strcmp(name, "window_mean") == 0)
        return BASELINE_MOVING;
    if (strcmp(name, "holt_winters") == 0)
        return BASELINE_HW;
    while (i < BASELINE_COUNT && strcmp(names[i], name) != 0)
        i++;
    return (enum baseline_method)i;
}

int baseline_check(const struct baseline_opt *o, struct err *e)
{
    const struct {
        const char *name;
        double value;
    } shares[] = {{"alpha", o->alpha}, {"beta", o->beta}, {"gamma", o->gamma},
                  {"phi", o->phi}, {"alpha_p", o->alpha_p}};

    if (o->method >= BASELINE_COUNT)
        return err_set(e, ERR_INVALID, "no baseline method has number %d", (int)o->method);
    for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++)
        if (!isnan(shares[i].value) && !(shares[i].value >= 0 && shares[i].value <= 1))
            return err_set(e, ERR_INVALID, "%s is %g, 0 to 1 expected", shares[i].name,
                           shares[i].value);
    if (o->season == 0 || o->season > 100000)
        return err_set(e, ERR_INVALID, "season is %zu, 1 to 100000 expected", o->season);
    if (o->window == 0 || o->window > 100000)
        return err_set(e, ERR_INVALID, "window is %zu, 1 to 100000 expected", o->window);
    if (isnan(o->floor) || o->floor == INFINITY)
        return err_set(e, ERR_INVALID, "floor is %g, a number expected", o->floor);
    if (!isnan(o->penalty) && !(o->penalty >= 0 && isfinite(o->penalty)))
        return err_set(e, ERR_INVALID, "penalty is %g, 0 or more expected", o->penalty);
    return 0;
}

size_t baseline_work(size_t n, size_t season, size_t H)
{
    return 2 * n + 4 * season + 4 * H + 16;
}

double baseline_sigma(struct baseline_result *r, const double *y, size_t n, size_t n_par)
{
    double sum = 0, count = 0;

    for (size_t t = 0; t < n; t++) {
        double d = y[t] - r->fitted[t];

        if (isnan(d))
            continue;
        sum += d * d;
        count += 1;
    }
    r->sse = sum;
    if (count == 0)
        return 0;
    return sqrt(sum / (count > (double)n_par ? count - (double)n_par : count));
}

void baseline_known(const double *y, size_t n, size_t *first, size_t *last)
{
    *first = 0;
    while (*first < n && isnan(y[*first]))
        ++*first;
    *last = n;
    while (*last > *first && isnan(y[*last - 1]))
        --*last;
    *last -= *last > *first;
}

double baseline_normal_quantile(double p)
{
    double low = 0, high = 40, tail = p < 0.5 ? p : 1 - p, z = 0;

    /* tail = erfc(z / sqrt 2) / 2; bisection, then Newton steps to the last bit */
    for (int i = 0; i < 60; i++) {
        z = 0.5 * (low + high);
        if (0.5 * erfc(z * M_SQRT1_2) > tail)
            low = z;
        else
            high = z;
    }
    for (int i = 0; i < 2; i++)
        z += (0.5 * erfc(z * M_SQRT1_2) - tail) / (exp(-0.5 * z * z) * 0.3989422804014327);
    return p < 0.5 ? -z : z;
}

/* Sizes of the past or one-step errors, sorted, in `list`; how many. */
static size_t collect(double *list, const struct baseline_result *r, const double *y, size_t n,
                      int sizes)
{
    size_t count = 0;

    for (size_t t = 0; t < n; t++) {
        double x = sizes ? y[t] : y[t] - r->fitted[t];

        if (!isnan(x) && (!sizes || x != 0))
            list[count++] = x;
    }
    metric_sort(list, count);
    return count;
}

/* A sale happens with r->chance; its size is one of the past ones, scaled to r->size. */
static double demand_quantile(const struct baseline_result *r, const double *sizes, size_t count,
                              double scale, double level)
{
    double none = 1 - r->chance;

    if (count == 0 || level <= none)
        return 0;
    return scale * metric_sorted_quantile(sizes, count, (level - none) / r->chance);
}

static void fill_quantiles(struct baseline_result *r, const struct baseline_opt *o,
                           const double *y, size_t n, size_t H, const double *levels, size_t Q,
                           double *list)
{
    int demand = !isnan(r->chance);
    size_t count = demand || o->interval == BASELINE_RESIDUAL ? collect(list, r, y, n, demand) : 0;
    double sum = 0, scale;

    for (size_t i = 0; i < count; i++)
        sum += list[i];
    scale = sum != 0 ? r->size * (double)count / sum : 1;
    for (size_t q = 0; q < Q; q++) {
        double z = baseline_normal_quantile(levels[q]);
        double error = count > 0 ? metric_sorted_quantile(list, count, levels[q]) : 0;

        for (size_t h = 0; h < H; h++) {
            double *x = &r->quantile[h * Q + q], grow = r->sd[0] > 0 ? r->sd[h] / r->sd[0] : 1;

            if (demand)
                *x = demand_quantile(r, list, count, scale, levels[q]);
            else
                *x = r->mean[h] + (o->interval == BASELINE_RESIDUAL ? grow * error : z * r->sd[h]);
            *x = fmax(*x, o->floor);
        }
    }
}

static void clear(struct baseline_result *r, size_t n, size_t H, size_t Q)
{
    for (size_t h = 0; h < H; h++)
        r->mean[h] = r->sd[h] = NAN;
    for (size_t t = 0; t < n; t++)
        r->fitted[t] = NAN;
    for (size_t i = 0; r->quantile != NULL && i < H * Q; i++)
        r->quantile[i] = NAN;
    r->is_defined = 0;
    r->alpha = r->beta = r->gamma = r->phi = r->sse = r->chance = r->size = NAN;
    memset(r->form, 0, sizeof r->form);
}

/* The method, or where it is not defined and a stand-in is asked for, Holt's and then the last. */
static void run(struct baseline_result *r, const struct baseline_opt *o, const double *y, size_t n,
                size_t H, size_t Q, double *work)
{
    static const enum baseline_method instead[] = {BASELINE_HOLT, BASELINE_NAIVE};
    struct baseline_opt other = baseline_default(o->method);

    clear(r, n, H, Q);
    runs[o->method](r, o, y, n, H, work);
    for (int i = 0; o->fallback && i < 2 && !r->is_defined; i++) {
        other.method = instead[i];
        clear(r, n, H, Q);
        if (n > 3 || i > 0) /* a trend through two or three points is no forecast */
            runs[other.method](r, &other, y, n, H, work);
    }
}

int baseline_series(const struct baseline_opt *o, const double *y, size_t n, size_t H,
                    const double *levels, size_t Q, struct baseline_result *r, struct err *e)
{
    double *work, *fitted = r->fitted;
    size_t first = 0; /* a series begins with its first known value */
    int infinite = 0;

    if (baseline_check(o, e) != 0 || (Q > 0 && metric_quantile_check(levels, Q, e) != 0))
        return -1;
    if (o->method == BASELINE_RIDGE)
        return err_set(e, ERR_INVALID, "ridge is fitted to all series, not forecast from one");
    for (size_t t = 0; t < n && !infinite; t++)
        if ((infinite = isinf(y[t])))
            err_set(e, ERR_NAN, "value %zu is infinite", t + 1);
    if (infinite)
        return -1;
    work = mem_alloc((baseline_work(n, o->season, H) + n) * sizeof *work);
    if (work == NULL)
        return err_set(e, ERR_NOMEM, "no memory to forecast a series of %zu", n);
    if (fitted == NULL)
        r->fitted = work + baseline_work(n, o->season, H);
    for (; first < n && isnan(y[first]); first++)
        r->fitted[first] = NAN;
    r->fitted += first;
    run(r, o, y + first, n - first, H, Q, work);
    if (r->is_defined) {
        for (size_t h = 0; h < H; h++)
            r->mean[h] = fmax(r->mean[h], o->floor);
        if (Q > 0 && r->quantile != NULL)
            fill_quantiles(r, o, y + first, n - first, H, levels, Q, work);
    }
    mem_free(work);
    r->fitted = fitted;
    return 0;
}
