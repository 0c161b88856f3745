/*
 * metric_interval.c - MIWS, MIC and their ratio. See metric_interval.h.
 *
 * Arithmetic is in double; to() rounds each result to f32 where asked. Rounding a double sum,
 * product or quotient of two floats gives exactly the float operation.
 */
#include "model/metric_interval.h"

#include <math.h>

#include "base/mem.h"

#define ZERO_MARK 1e-6
#define GROUP_BETA 4.0
#define RATIO_BETA 2.0

static double to(int single, double x)
{
    return single ? (double)(float)x : x;
}

struct metric_interval_opt metric_interval_plain(enum metric_interval_kind kind, int single)
{
    return (struct metric_interval_opt){kind, 0.05, 0.95, 0, 0, 1, METRIC_ANY, single};
}

struct metric_interval_opt metric_interval_half(enum metric_interval_kind kind, int single)
{
    struct metric_interval_opt o = metric_interval_plain(kind, single);

    o.zero_thresh = o.nonzero_thresh = 0.8;
    o.exp_base = kind == METRIC_MIWS ? 6 : 4;
    o.direction = kind == METRIC_MIWS ? METRIC_MIN : METRIC_MAX;
    return o;
}

int metric_interval_init(struct metric_interval *m, const struct metric_interval_opt *opt,
                         struct err *e)
{
    if (!(opt->q_lo > 0 && opt->q_lo < opt->q_hi && opt->q_hi < 1))
        return err_set(e, ERR_INVALID, "interval %g to %g, 0 < low < high < 1 expected",
                       opt->q_lo, opt->q_hi);
    if (!isfinite(opt->zero_thresh) || !isfinite(opt->nonzero_thresh))
        return err_set(e, ERR_INVALID, "a threshold is not a finite number");
    if (!(opt->exp_base >= 1) || !isfinite(opt->exp_base))
        return err_set(e, ERR_INVALID, "penalty base is %g, 1 or more expected", opt->exp_base);
    *m = (struct metric_interval){.opt = *opt};
    return 0;
}

/* The q-quantile of a sorted row in the working width, from the nearer end as torch does. */
static double row_quantile(const double *x, size_t S, double q, int single)
{
    double at = to(single, to(single, q) * (double)(S - 1)), low = floor(at);
    double part = to(single, at - low), gap;
    size_t i = (size_t)low;

    if (i + 1 >= S)
        return x[S - 1];
    gap = to(single, x[i + 1] - x[i]);
    if (part < 0.5)
        return to(single, x[i] + to(single, part * gap));
    return to(single, x[i + 1] - to(single, gap * to(single, 1 - part)));
}

static double row_score(const struct metric_interval_opt *o, const double *row, size_t S, double y)
{
    int f = o->single;
    double lo = row_quantile(row, S, o->q_lo, f), hi = row_quantile(row, S, o->q_hi, f), width;

    if (o->kind == METRIC_MIC)
        return lo <= y && y <= hi;
    width = to(f, hi - lo);
    if (y < lo)
        return to(f, width + to(f, to(f, lo - y) / to(f, o->q_lo + 1e-9)));
    if (y > hi)
        return to(f, width + to(f, to(f, y - hi) / to(f, 1 - o->q_hi + 1e-9)));
    return width;
}

static int check_batch(const struct metric_vec *samples, size_t S, const struct metric_vec *actual,
                       struct err *e)
{
    if (S == 0 || samples->n / S != actual->n || samples->n % S != 0)
        return err_set(e, ERR_SHAPE, "%zu samples are not %zu rows of %zu", samples->n, actual->n,
                       S);
    if (metric_check_finite(actual, "actual", 1, e) != 0)
        return -1;
    for (size_t i = 0; i < samples->n; i++)
        if (!isfinite(metric_at(samples, i)) && !isnan(metric_at(actual, i / S)))
            return err_set(e, ERR_NAN, "sample %zu of row %zu is not a finite number", i % S + 1,
                           i / S + 1);
    return 0;
}

int metric_interval_add(struct metric_interval *m, const struct metric_vec *samples, size_t S,
                        const struct metric_vec *actual, struct err *e)
{
    double *row, sum[2] = {0, 0}, count[2] = {0, 0};
    int f = m->opt.single;

    if (check_batch(samples, S, actual, e) != 0)
        return -1;
    row = mem_alloc(S * sizeof *row);
    if (row == NULL)
        return err_set(e, ERR_NOMEM, "no memory for %zu samples", S);
    for (size_t i = 0; i < actual->n; i++) {
        double y = to(f, metric_at(actual, i));
        int zero = y == to(f || actual->f != NULL, ZERO_MARK); /* in the width it came in */

        if (isnan(y))
            continue;
        for (size_t s = 0; s < S; s++)
            row[s] = to(f, metric_at(samples, i * S + s));
        metric_sort(row, S);
        sum[zero] += row_score(&m->opt, row, S, y);
        count[zero] += 1;
    }
    mem_free(row);
    m->nonzero_sum = to(f, m->nonzero_sum + to(f, sum[0]));
    m->zero_sum = to(f, m->zero_sum + to(f, sum[1]));
    m->nonzero_count += count[0];
    m->zero_count += count[1];
    return 0;
}

/* The two scores as one: the weighted harmonic mean. */
static double wmean(double a, double b, double beta, int f)
{
    double top, bottom;

    if (isinf(a) || isinf(b))
        return INFINITY;
    top = to(f, to(f, (beta * beta + 1) * a) * b);
    bottom = to(f, to(f, to(f, a * beta * beta) + b) + to(f, 1e-9));
    return to(f, top / bottom);
}

static double penalty(const struct metric_interval_opt *o, double mean, double threshold)
{
    int f = o->single, hit;
    double d = to(f, mean - to(f, threshold)), more;

    if (threshold == 0)
        return 0;
    hit = o->direction == METRIC_MIN ? d > 0 : d < 0;
    /* In double a group that is not punished adds nothing. In single width the mask is a factor,
     * and 0 x infinity poisons the sum: that is how the original behaves, and it decides there. */
    if (!hit && !f)
        return 0;
    more = f ? (double)powf((float)o->exp_base, (float)fabs(d)) : pow(o->exp_base, fabs(d));
    more = to(f, hit * to(f, more - 1));
    return o->direction == METRIC_MIN ? more : -more;
}

int metric_interval_value(double *value, const struct metric_interval *m, struct err *e)
{
    const struct metric_interval_opt *o = &m->opt;
    double z = INFINITY, n = INFINITY, v;
    int f = o->single;

    if (m->zero_count > 0)
        z = to(f, m->zero_sum / m->zero_count);
    else if (o->zero_thresh != 0)
        return err_set(e, ERR_INVALID, "no zero values, but the zero group has a threshold");
    if (m->nonzero_count > 0)
        n = to(f, m->nonzero_sum / m->nonzero_count);
    else if (o->nonzero_thresh != 0)
        return err_set(e, ERR_INVALID, "only zero values, but the other group has a threshold");
    v = to(f, penalty(o, z, o->zero_thresh) + penalty(o, n, o->nonzero_thresh));
    v = to(f, wmean(z, n, GROUP_BETA, f) + v);
    *value = v > 0 ? v : 0;
    return 0;
}

int metric_interval_ratio(double *value, const struct metric_interval *miws,
                          const struct metric_interval *mic, struct err *e)
{
    int f = miws->opt.single;
    double a, b;

    if (metric_interval_value(&a, miws, e) != 0 || metric_interval_value(&b, mic, e) != 0)
        return -1;
    *value = wmean(a, to(f, 1 / to(f, b + 1e-10)), RATIO_BETA, f);
    return 0;
}
