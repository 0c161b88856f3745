/* test_baseline_rolling.c - intervals learnt from earlier origins: they hold what they should where
 * a method's own are too narrow, survive a file, and fall back where there is too little. */
#include "check.h"

#include <string.h>

#include "base/mem.h"
#include "model/baseline_file.h"
#include "model/baseline_rolling.h"
#include "tensor/rng.h"

enum { N = 150, T = 60, H = 6 };

static const double levels[3] = {0.05, 0.5, 0.95};
static double y[N * T], mean[N * H], quantile[N * H * 3], again[N * H * 3];
static struct err e;

/* Random walks: a method that takes them for noise around a mean is far too sure of itself. */
static void walk(void)
{
    for (int i = 0; i < N; i++) {
        double x = 100;
        for (int t = 0; t < T; t++) {
            x += rng_normal(7, (uint64_t)i, (uint64_t)t);
            y[i * T + t] = t < i % 20 ? NAN : x;
        }
    }
}

/* The share of the last H actuals inside 5-95 %. */
static double inside(enum baseline_method method, enum baseline_interval interval)
{
    struct baseline_opt o = baseline_default(method);
    struct baseline_block past = {.d = y, .N = N, .T = T - H, .stride = T};
    struct baseline_out out = {.mean_d = mean, .quantile_d = quantile};
    struct baseline_model *m;
    int in = 0;

    o.interval = interval;
    CHECK(baseline_model_fit(&m, &o, H, &past, NULL, &e) == 0);
    CHECK(baseline_model_predict(m, &past, 0, N, H, levels, 3, &out, NULL, &e) == 0);
    for (int i = 0; i < N * H; i++) {
        const double *q = quantile + i * 3;
        double actual = y[i / H * T + T - H + i % H];
        CHECK(q[0] <= q[1] && q[1] <= q[2]);
        in += actual >= q[0] && actual <= q[2];
    }
    baseline_model_free(m);
    return (double)in / (N * H);
}

static void covers(void)
{
    static const enum baseline_method all[] = {BASELINE_NAIVE, BASELINE_MEAN, BASELINE_SES,
                                               BASELINE_THETA, BASELINE_RIDGE, BASELINE_ETS};

    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        double own = inside(all[i], BASELINE_NORMAL), learnt = inside(all[i], BASELINE_ROLLING);
        printf("%s: %.3f of itself, %.3f learnt\n", baseline_name(all[i]), own, learnt);
        CHECK(learnt > 0.84 && learnt < 0.97);
    }
    CHECK(inside(BASELINE_MEAN, BASELINE_NORMAL) < 0.75);
}

static void survives(enum baseline_method method)
{
    struct baseline_opt o = baseline_default(method);
    struct baseline_block past = {.d = y, .N = N, .T = T, .stride = T};
    struct baseline_out out = {.mean_d = mean, .quantile_d = quantile};
    struct baseline_model *m, *back;
    struct buf b;

    o.interval = BASELINE_ROLLING;
    CHECK(baseline_model_fit(&m, &o, H, &past, NULL, &e) == 0);
    CHECK(baseline_model_predict(m, &past, 0, N, H, levels, 3, &out, NULL, &e) == 0);
    buf_init(&b, 1 << 20);
    CHECK(baseline_file_write(m, &b, &e) == 0);
    CHECK(baseline_file_read(&back, b.data, b.len, &e) == 0);
    out.quantile_d = again;
    CHECK(baseline_model_predict(back, &past, 0, N, H, levels, 3, &out, NULL, &e) == 0);
    CHECK(memcmp(quantile, again, sizeof again) == 0);
    /* a longer horizon than was learnt takes the last step's */
    CHECK(method == BASELINE_RIDGE ||
          baseline_model_predict(back, &past, 0, N / 2, 2 * H, levels, 3, &out, NULL, &e) == 0);
    baseline_model_free(m);
    CHECK(baseline_model_restore(&m, &o, H, &y[T - 1], 1, &e) == -1 && e.code == ERR_SHAPE);
    baseline_model_free(back);
    buf_deinit(&b);
}

/* One short series: the normal distribution's. */
static void falls_back(void)
{
    double z[2 * BASELINE_GRID];
    struct baseline_opt o = baseline_default(BASELINE_NAIVE);
    struct baseline_block one = {.d = y, .N = 1, .T = 9, .stride = T};

    CHECK(baseline_rolling_fit(z, &o, 2, &one, NULL, &e) == 0);
    CHECK_NEAR(baseline_rolling_at(z, 0.905), baseline_normal_quantile(0.905), 1e-9, 0);
    CHECK_NEAR(baseline_rolling_at(z + BASELINE_GRID, 0.5), 0, 0, 1e-9);
    CHECK(baseline_rolling_at(z, 0.0001) == z[0]);
    CHECK(baseline_rolling_at(z, 0.9999) == z[BASELINE_GRID - 1]);
    o = baseline_default(BASELINE_RIDGE); /* too early an origin for a window of 12 */
    one = (struct baseline_block){.d = y, .N = 1, .T = 16, .stride = T};
    CHECK(baseline_rolling_fit(z, &o, 2, &one, NULL, &e) == 0);
}

static int always(void *arg)
{
    (void)arg;
    return 1;
}

static void ends_early(void)
{
    double z[H * BASELINE_GRID];
    struct baseline_opt o = baseline_default(BASELINE_SES);
    struct baseline_block all = {.d = y, .N = N, .T = T, .stride = T};
    struct baseline_stop stop = {always, NULL};
    int rc = -1;

    CHECK(baseline_rolling_fit(z, &o, H, &all, &stop, &e) == -1 && e.code == ERR_CANCELLED);
    all.N = 3;
    for (size_t n = 1; rc != 0 && n < 1000; n++) {
        mem_fail_at(n);
        rc = baseline_rolling_fit(z, &o, H, &all, NULL, &e);
        mem_fail_at(0);
        CHECK(rc == 0 || e.code == ERR_NOMEM);
    }
    CHECK(rc == 0);
}

int main(void)
{
    size_t live = mem_live();

    walk();
    covers();
    survives(BASELINE_THETA);
    survives(BASELINE_RIDGE);
    falls_back();
    ends_early();
    CHECK_INT(mem_live(), live);
    return check_done();
}
