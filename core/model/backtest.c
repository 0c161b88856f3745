/*
 * backtest.c - scores over rolling origins. See backtest.h.
 */
#include "model/backtest.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "model/metric_point.h"
#include "model/metric_quantile.h"

static void put(struct backtest_mean *m, double x)
{
    if (isnan(x) || isinf(x))
        return;
    m->sum += x;
    m->n++;
}

static double mean_of(const struct backtest_mean *m)
{
    return m->n > 0 ? m->sum / (double)m->n : NAN;
}

static struct metric_vec row(const struct baseline_block *b, size_t i)
{
    return (struct metric_vec){b->d != NULL ? b->d + i * b->stride : NULL,
                               b->f != NULL ? b->f + i * b->stride : NULL, b->T};
}

void backtest_init(struct backtest *b, size_t season)
{
    memset(b, 0, sizeof *b);
    b->season = season;
}

/* The scale of MASE; lag 1 where the season says nothing. */
static double scale_of(const struct metric_vec *history, size_t season)
{
    double scale = metric_point_scale(history, 0, season, 0);

    return scale > 0 ? scale : metric_point_scale(history, 0, 1, 0);
}

/* Known values of the row and whether each has a forecast. */
static int is_scored(const struct metric_vec *actual, const struct metric_vec *mean)
{
    int known = 0;

    for (size_t h = 0; h < actual->n; h++) {
        if (isnan(metric_at(actual, h)))
            continue;
        if (isnan(metric_at(mean, h)))
            return 0;
        known = 1;
    }
    return known;
}

static int add_quantiles(struct backtest *b, const struct metric_vec *actual,
                         const struct metric_vec *rows, const double *levels, size_t Q,
                         double scale, struct err *e)
{
    struct metric_quantile q = {0};

    if (metric_quantile_calc(&q, actual, rows, levels, Q, NULL, NULL, e) != 0)
        return -1;
    put(&b->pinball, q.pinball_mean);
    put(&b->pinball_scaled, scale > 0 ? q.pinball_mean / scale : NAN);
    b->pinball_sum += q.pinball_mean * (double)q.n;
    b->inside_sum += q.coverage * (double)q.n;
    return 0;
}

static int add_series(struct backtest *b, size_t i, const struct baseline_block *history,
                      const struct baseline_block *actual, const struct baseline_block *mean,
                      const struct baseline_block *quantile, const double *levels, size_t Q,
                      struct err *e)
{
    struct metric_vec x = row(history, i), y = row(actual, i), f = row(mean, i), rows;
    double scale = scale_of(&x, b->season);
    struct metric_point p;

    if (!is_scored(&y, &f)) {
        b->undefined++;
        return 0;
    }
    if (metric_point_calc(&p, &y, &f, NULL, &x, 1, e) != 0)
        return err_wrap(e, "series %zu", i + 1);
    put(&b->mase, scale > 0 ? p.mae / scale : NAN);
    b->undefined += !(scale > 0);
    put(&b->rmsse, p.rmsse);
    put(&b->mae, p.mae);
    put(&b->rmse, p.rmse);
    put(&b->smape, p.smape);
    b->values += p.n;
    b->error_sum += p.bias * (double)p.n;
    b->abs_sum += p.mae * (double)p.n;
    for (size_t h = 0; h < y.n; h++)
        b->actual_sum += isnan(metric_at(&y, h)) ? 0 : fabs(metric_at(&y, h));
    if (Q == 0)
        return 0;
    rows = row(quantile, i);
    return add_quantiles(b, &y, &rows, levels, Q, scale, e) == 0 ? 0
                                                                 : err_wrap(e, "series %zu", i + 1);
}

int backtest_add(struct backtest *b, const struct baseline_block *history,
                 const struct baseline_block *actual, const struct baseline_block *mean,
                 const struct baseline_block *quantile, const double *levels, size_t Q,
                 struct err *e)
{
    struct backtest before = *b;

    if (history->N != actual->N || mean->N != actual->N || mean->T != actual->T)
        return err_set(e, ERR_SHAPE, "%zu histories, actuals %zu x %zu, forecasts %zu x %zu",
                       history->N, actual->N, actual->T, mean->N, mean->T);
    if (Q > 0 && (quantile->N != actual->N || quantile->T != actual->T * Q))
        return err_set(e, ERR_SHAPE, "quantiles %zu x %zu, expected %zu x %zu", quantile->N,
                       quantile->T, actual->N, actual->T * Q);
    for (size_t i = 0; i < actual->N; i++) {
        if (add_series(b, i, history, actual, mean, quantile, levels, Q, e) != 0) {
            *b = before;
            return -1;
        }
    }
    return 0;
}

struct backtest_score backtest_finish(const struct backtest *b)
{
    struct backtest_score s = {.mase = mean_of(&b->mase), .rmsse = mean_of(&b->rmsse),
                               .mae = mean_of(&b->mae), .rmse = mean_of(&b->rmse),
                               .smape = mean_of(&b->smape), .pinball = mean_of(&b->pinball),
                               .pinball_scaled = mean_of(&b->pinball_scaled),
                               .values = b->values, .undefined = b->undefined};
    int quantiles = b->pinball.n > 0;

    s.wql = quantiles && b->actual_sum > 0 ? 2 * b->pinball_sum / b->actual_sum : NAN;
    s.coverage = quantiles && b->values > 0 ? b->inside_sum / (double)b->values : NAN;
    s.bias = b->actual_sum > 0 ? b->error_sum / b->actual_sum : NAN;
    s.wape = b->actual_sum > 0 ? b->abs_sum / b->actual_sum : NAN;
    return s;
}
