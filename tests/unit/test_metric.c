/*
 * test_metric.c - what the golden files do not show of the metrics: weights, missing values,
 * calibration, what is refused, running out of memory.
 */
#include "check.h"

#include <stdlib.h>

#include "base/mem.h"
#include "model/backtest.h"
#include "model/metric_class.h"
#include "model/metric_interval.h"
#include "model/metric_point.h"
#include "model/metric_quantile.h"

static struct metric_vec vec(const double *x, size_t n)
{
    return (struct metric_vec){x, NULL, n};
}

/* A weight of 3 is the value three times; of 0, the value not there. */
static void test_point_weight(void)
{
    static const double y[] = {1, 4, 2, 9}, f[] = {2, 4.5, 0, 5}, w[] = {1, 3, 2, 0};
    static const double y6[] = {1, 4, 4, 4, 2, 2}, f6[] = {2, 4.5, 4.5, 4.5, 0, 0};
    struct metric_vec a = vec(y, 4), b = vec(f, 4), c = vec(w, 4), d = vec(y6, 6), g = vec(f6, 6);
    struct metric_point p, q;
    struct err e;

    CHECK_INT(metric_point_calc(&p, &a, &b, &c, NULL, 1, &e), 0);
    CHECK_INT(metric_point_calc(&q, &d, &g, NULL, NULL, 1, &e), 0);
    CHECK_NEAR(p.mae, q.mae, 1e-14, 1);
    CHECK_NEAR(p.mse, q.mse, 1e-14, 1);
    CHECK_NEAR(p.bias, q.bias, 1e-14, 1);
    CHECK_NEAR(p.medae, q.medae, 1e-14, 1);
    CHECK_NEAR(p.max_error, q.max_error, 1e-14, 1);
    CHECK_NEAR(p.mape_nonzero, q.mape_nonzero, 1e-14, 1);
    CHECK_NEAR(p.mape_one, q.mape_one, 1e-14, 1);
    CHECK_NEAR(p.smape, q.smape, 1e-14, 1);
    CHECK_NEAR(p.wape, q.wape, 1e-14, 1);
    CHECK_NEAR(p.r2, q.r2, 1e-14, 1);
    CHECK(isnan(p.mase) && isnan(p.rmsse));
}

static void test_point_missing(void)
{
    static const double y[] = {1, NAN, 3}, f[] = {2, NAN, 3}, x[] = {5, NAN, 7, 8};
    static const double bad[] = {NAN, 1, 3}, huge[] = {1, INFINITY, 3};
    struct metric_vec a = vec(y, 3), b = vec(f, 3), c = vec(x, 4), d = vec(bad, 3);
    struct metric_vec g = vec(huge, 3);
    struct metric_vec none = vec(y, 0), two = vec(y, 2);
    struct metric_point p;
    struct err e;

    CHECK_INT(metric_point_calc(&p, &a, &b, NULL, &c, 1, &e), 0);
    CHECK_INT(p.n, 2);
    CHECK_NEAR(p.mae, 0.5, 1e-15, 1);
    CHECK_NEAR(p.mase, 0.5, 1e-15, 1); /* the only known step is 7 to 8 */
    CHECK_INT(metric_point_calc(&p, &a, &d, NULL, NULL, 1, &e), -1);
    CHECK_STR(err_name(e.code), "nan");
    CHECK_INT(metric_point_calc(&p, &a, &g, NULL, NULL, 1, &e), -1);
    CHECK_STR(err_name(e.code), "nan");
    CHECK_INT(metric_point_calc(&p, &a, &two, NULL, NULL, 1, &e), -1);
    CHECK_STR(err_name(e.code), "shape");
    CHECK_INT(metric_point_calc(&p, &a, &b, NULL, NULL, 0, &e), -1);
    CHECK_STR(err_name(e.code), "invalid");
    CHECK_INT(metric_point_calc(&p, &none, &none, NULL, NULL, 1, &e), 0);
    CHECK_INT(p.n, 0);
    CHECK(isnan(p.mae) && isnan(p.medae) && isnan(p.max_error));
}

static void test_quantile_weight(void)
{
    static const double levels[] = {0.1, 0.9}, w[] = {1, 0}, lw[] = {2, 0};
    static const double y[] = {3, NAN}, f[] = {1, 2, 5, 6}, crossed[] = {0.9, 0.1};
    struct metric_vec a = vec(y, 2), b = vec(f, 4), c = vec(w, 2), d = vec(f, 3);
    struct metric_quantile q = {0};
    double crps, fair;
    struct err e;

    CHECK_INT(metric_quantile_calc(&q, &a, &b, levels, 2, &c, lw, &e), 0);
    CHECK_INT(q.n, 1);
    CHECK_NEAR(q.pinball_mean, (0.1 * 2 + 0.9 * 1) / 2, 1e-14, 1);
    CHECK_NEAR(q.pinball_weighted, 2 * 0.1 * 2, 1e-14, 1);
    CHECK_NEAR(q.coverage, 0, 0, 1);
    CHECK_INT(metric_quantile_calc(&q, &a, &d, levels, 2, NULL, NULL, &e), -1);
    CHECK_STR(err_name(e.code), "shape");
    CHECK_INT(metric_quantile_calc(&q, &a, &b, crossed, 2, NULL, NULL, &e), -1);
    CHECK_STR(err_name(e.code), "invalid");
    CHECK_INT(metric_quantile_calc(&q, &a, &b, levels, 0, NULL, NULL, &e), -1);
    CHECK_INT(metric_quantile_samples(&crps, &fair, &a, &b, 2, NULL, &e), 0);
    CHECK_NEAR(crps, 1.5 - 0.25, 1e-14, 1); /* |1-3|, |2-3|; spread 1 */
    CHECK_NEAR(fair, 1.5 - 0.5, 1e-14, 1);
}

static void test_interval(void)
{
    static const double x[] = {0, .1, .2, .3, .4, .2, .3, .4, .5, .6, .1, .1, .2, .2, .3};
    static const double y[] = {1e-6, 0.45, 0.9};
    struct metric_vec a = vec(x, 15), b = vec(y, 3);
    struct metric_interval_opt o = metric_interval_plain(METRIC_MIWS, 0);
    struct metric_interval miws, mic;
    double value;
    struct err e;

    CHECK_INT(metric_interval_init(&miws, &o, &e), 0);
    CHECK_INT(metric_interval_add(&miws, &a, 5, &b, &e), 0);
    CHECK_INT(metric_interval_value(&value, &miws, &e), 0);
    CHECK_NEAR(miws.zero_sum, 0.75998, 1e-5, 1);
    CHECK_NEAR(miws.nonzero_sum, 12.94, 1e-5, 1);
    CHECK_NEAR(value, 4.486937, 1e-6, 1);
    o = metric_interval_half(METRIC_MIWS, 0);
    CHECK_INT(metric_interval_init(&miws, &o, &e), 0);
    o = metric_interval_half(METRIC_MIC, 0);
    CHECK_INT(metric_interval_init(&mic, &o, &e), 0);
    CHECK_INT(metric_interval_add(&miws, &a, 5, &b, &e), 0);
    CHECK_INT(metric_interval_add(&mic, &a, 5, &b, &e), 0);
    CHECK_INT(metric_interval_ratio(&value, &miws, &mic, &e), 0);
    CHECK_NEAR(value, 129163.98, 1e-6, 1);
    CHECK_INT(metric_interval_add(&mic, &a, 4, &b, &e), -1);
    CHECK_STR(err_name(e.code), "shape");
    o.q_lo = 0.95;
    CHECK_INT(metric_interval_init(&mic, &o, &e), -1);
    CHECK_STR(err_name(e.code), "invalid");
}

static void test_class(void)
{
    static const double y[] = {1, 0, 1, 0, 1}, p[] = {0.9, 0.1, 0.8, 0.4, 1.0};
    static const double odd[] = {1, 2, 0, 0, 1};
    static const double wild[] = {3, -1, 2, 0, 9};
    struct metric_vec a = vec(y, 5), b = vec(p, 5), c = vec(odd, 5), d = vec(wild, 5);
    struct metric_vec none = vec(y, 0);
    struct metric_class m;
    struct metric_class_bin bins[2];
    double ece;
    struct err e;

    CHECK_INT(metric_class_calibration(bins, 2, &ece, &a, &b, NULL, &e), 0);
    CHECK_NEAR(bins[0].weight, 2, 0, 1);
    CHECK_NEAR(bins[0].mean_score, 0.25, 1e-15, 1);
    CHECK_NEAR(bins[0].yes_rate, 0, 0, 1);
    CHECK_NEAR(bins[1].mean_score, 0.9, 1e-15, 1);
    CHECK_NEAR(bins[1].yes_rate, 1, 0, 1);
    CHECK_NEAR(ece, (0.5 + 0.3) / 5, 1e-14, 1);
    CHECK_INT(metric_class_calc(&m, &a, &d, NULL, &e), 0); /* any score ranks; none is a chance */
    CHECK_NEAR(m.roc_auc, 1, 0, 1);
    CHECK(isnan(m.brier) && isnan(m.logloss));
    CHECK_INT(metric_class_calc(&m, &c, &b, NULL, &e), -1);
    CHECK_STR(err_name(e.code), "invalid");
    CHECK_INT(metric_class_calc(&m, &none, &none, NULL, &e), -1);
    CHECK_STR(err_name(e.code), "shape");
    CHECK_INT(metric_class_calibration(bins, 2, &ece, &a, &d, NULL, &e), -1);
    CHECK_STR(err_name(e.code), "invalid");
    CHECK_INT(metric_class_calibration(bins, 0, &ece, &a, &b, NULL, &e), -1);
}

static void test_backtest(void)
{
    static const double past[] = {1, 2, 1, 2, 5, 5, 5, 5, NAN, NAN, 4, 6};
    static const double later[] = {2, 3, 5, 6, NAN, NAN}, mean[] = {1, 3, 5, 5, 1, 1};
    static const double q[] = {0, 2, 2, 4, 4, 6, 4, 6, 1, 1, 1, 1}, levels[] = {0.1, 0.9};
    struct baseline_block h = {.d = past, .N = 3, .T = 4, .stride = 4};
    struct baseline_block a = {.d = later, .N = 3, .T = 2, .stride = 2};
    struct baseline_block m = {.d = mean, .N = 3, .T = 2, .stride = 2};
    struct baseline_block qb = {.d = q, .N = 3, .T = 4, .stride = 4}, wrong = m;
    struct backtest_score s;
    struct backtest b, before;
    struct err e;

    backtest_init(&b, 2); /* the first series does not change at lag 2: lag 1 scales it */
    CHECK_INT(backtest_add(&b, &h, &a, &m, &qb, levels, 2, &e), 0);
    s = backtest_finish(&b);
    CHECK_INT(s.values, 4);
    CHECK_INT(s.undefined, 2); /* a flat history has no scale; an unknown future no score */
    CHECK_NEAR(s.mase, 0.5, 1e-15, 1);
    CHECK_NEAR(s.mae, 0.5, 1e-15, 1);
    CHECK_NEAR(s.bias, -2.0 / 16, 1e-15, 1);
    CHECK_NEAR(s.wape, 2.0 / 16, 1e-15, 1);
    CHECK_NEAR(s.coverage, 1, 0, 1);
    before = b;
    wrong.T = 1;
    CHECK_INT(backtest_add(&b, &h, &a, &wrong, &qb, levels, 2, &e), -1);
    CHECK_STR(err_name(e.code), "shape");
    CHECK_INT(memcmp(&b, &before, sizeof b), 0);
}

static void test_no_memory(void)
{
    static const double y[] = {1, 0, 1, 0};
    struct metric_vec a = vec(y, 4), row = vec(y, 1);
    struct metric_interval_opt o = metric_interval_plain(METRIC_MIC, 0);
    struct metric_interval m, before;
    struct metric_point p;
    struct metric_class c;
    double x, z;
    size_t live = mem_live();
    struct err e;

    CHECK_INT(metric_interval_init(&m, &o, &e), 0);
    before = m;
    mem_fail_at(1);
    CHECK_INT(metric_point_calc(&p, &a, &a, NULL, NULL, 1, &e), -1);
    CHECK_STR(err_name(e.code), "nomem");
    mem_fail_at(1);
    CHECK_INT(metric_class_calc(&c, &a, &a, NULL, &e), -1);
    CHECK_STR(err_name(e.code), "nomem");
    mem_fail_at(1);
    CHECK_INT(metric_quantile_samples(&x, &z, &row, &a, 4, NULL, &e), -1);
    CHECK_STR(err_name(e.code), "nomem");
    mem_fail_at(1);
    CHECK_INT(metric_interval_add(&m, &a, 4, &row, &e), -1);
    CHECK_STR(err_name(e.code), "nomem");
    CHECK_INT(memcmp(&m, &before, sizeof m), 0);
    mem_fail_at(0);
    CHECK_INT(mem_live(), live);
}

int main(void)
{
    test_point_weight();
    test_point_missing();
    test_quantile_weight();
    test_interval();
    test_class();
    test_backtest();
    test_no_memory();
    return check_done();
}
