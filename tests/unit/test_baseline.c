/*
 * test_baseline.c - what the golden files do not show: gaps, quantiles, ETS, Theta, ridge, blocks.
 */
#include "check.h"

#include <stdint.h>

#include "base/mem.h"
#include "model/baseline_model.h"

#define N_MAX 400

static double mean[64], sd[64], quantile[64 * 9], fitted[N_MAX];

static uint32_t state = 12345;

/* A plain generator: the same numbers everywhere. */
static double noise(void)
{
    double sum = 0;

    for (int i = 0; i < 12; i++) {
        state = state * 1664525u + 1013904223u;
        sum += (double)(state >> 8) / 16777216.0;
    }
    return sum - 6;
}

static struct baseline_result run(const struct baseline_opt *o, const double *y, size_t n, size_t H,
                                  const double *levels, size_t Q)
{
    struct baseline_result r = {.mean = mean, .sd = sd, .fitted = fitted, .quantile = quantile};
    struct err e;

    CHECK_INT(baseline_series(o, y, n, H, levels, Q, &r, &e), 0);
    return r;
}

static void test_normal(void)
{
    CHECK_NEAR(baseline_normal_quantile(0.975), 1.959963984540054, 1e-14, 1);
    CHECK_NEAR(baseline_normal_quantile(0.5), 0, 1e-15, 1);
    CHECK_NEAR(baseline_normal_quantile(1e-9), -5.997807015007687, 1e-13, 1);
    CHECK_NEAR(baseline_normal_quantile(0.05), -1.6448536269514729, 1e-14, 1);
}

static void test_names(void)
{
    for (int i = 0; i < BASELINE_COUNT; i++)
        CHECK_INT(baseline_of(baseline_name((enum baseline_method)i)), i);
    CHECK_INT(baseline_of("window_mean"), BASELINE_MOVING);
    CHECK_INT(baseline_of("holt_winters"), BASELINE_HW);
    CHECK_INT(baseline_of("no such method"), BASELINE_COUNT);
}

/* Every method: any series gives finite ascending quantiles, or is said to be not defined. */
static void test_every_method(void)
{
    static const double levels[] = {0.05, 0.25, 0.5, 0.75, 0.95};
    double y[60];
    const char *kinds = "cztnglm1"; /* constant, zeros, trend, noise, gaps, level, missing, one */

    for (int method = 0; method < BASELINE_RIDGE; method++)
        for (const char *k = kinds; *k != 0; k++)
            for (size_t n = *k == '1' ? 1 : 0; n < 60 && (*k != '1' || n < 2); n += n < 6 ? 1 : 9)
                for (int interval = 0; interval < 2; interval++) {
                    struct baseline_opt o = baseline_default((enum baseline_method)method);
                    struct baseline_result r;

                    o.season = 4;
                    o.fallback = 1;
                    o.floor = *k == 'z' ? 0 : -INFINITY;
                    o.interval = (enum baseline_interval)interval;
                    for (size_t t = 0; t < n; t++)
                        y[t] = *k == 'c'   ? 0.1
                               : *k == 'z' ? (t % 5 == 3 ? 2 : 0)
                               : *k == 't' ? 3 + 2 * (double)t
                               : *k == 'g' ? (t % 3 == 0 ? NAN : 5 + noise())
                               : *k == 'm' ? NAN
                                           : 1e6 + 1e3 * noise();
                    r = run(&o, y, n, 10, levels, 5);
                    CHECK_INT(r.is_defined, n > (*k == 'g') && *k != 'm' ? 1 : r.is_defined);
                    CHECK(r.is_defined || method == BASELINE_ZERO || n < 2 || *k == 'm');
                    for (size_t h = 0; h < 10 && r.is_defined; h++) {
                        CHECK(isfinite(mean[h]) && isfinite(sd[h]) && sd[h] >= 0);
                        for (size_t q = 1; q < 5; q++)
                            CHECK(quantile[h * 5 + q] >= quantile[h * 5 + q - 1]);
                    }
                }
}

/* A gap in the middle: what comes out is what the rule says. */
static void test_gaps(void)
{
    double y[] = {NAN, NAN, 4, NAN, 8, NAN}, z[] = {0, 3, NAN, 0, 2, NAN};
    struct baseline_opt o = baseline_default(BASELINE_SES);

    o.alpha = 0.5;
    CHECK_NEAR(run(&o, y, 6, 1, NULL, 0).mean[0], 6, 1e-15, 1);
    o.method = BASELINE_DRIFT;
    CHECK_NEAR(run(&o, y, 6, 1, NULL, 0).mean[0], 12, 1e-15, 1); /* 2 a step, two steps on */
    o.method = BASELINE_NAIVE;
    CHECK_NEAR(run(&o, y, 6, 1, NULL, 0).mean[0], 8, 1e-15, 1);
    o.method = BASELINE_MOVING;
    o.window = 5;
    CHECK_NEAR(run(&o, y, 6, 1, NULL, 0).mean[0], 6, 1e-15, 1);
    o.method = BASELINE_CROSTON; /* sizes 3, 2; gaps 2, 2: the unknown month is not a month */
    CHECK_NEAR(run(&o, z, 6, 1, NULL, 0).mean[0], 2.5 / 2, 1e-15, 1);
    o.method = BASELINE_SEASONAL; /* y[5] and y[3] unknown: the last known value stands in */
    o.season = 2;
    run(&o, y, 6, 2, NULL, 0);
    CHECK_NEAR(mean[0], 8, 1e-15, 1);
    CHECK_NEAR(mean[1], 8, 1e-15, 1);
}

static void test_demand_quantiles(void)
{
    static const double levels[] = {0.1, 0.5, 0.8, 0.95};
    double y[200];
    struct baseline_opt o = baseline_default(BASELINE_TSB);
    struct baseline_result r;

    for (int t = 0; t < 200; t++)
        y[t] = t % 4 == 0 ? 1 + t % 3 : 0;
    r = run(&o, y, 200, 1, levels, 4);
    CHECK(r.chance > 0.1 && r.chance < 0.5);
    CHECK_NEAR(quantile[0], 0, 0, 1);
    CHECK_NEAR(quantile[1], 0, 0, 1);
    CHECK(quantile[3] >= 1 && quantile[3] <= 4);
}

/* Intervals hold what they promise on data of the model's own kind. */
static void test_coverage(void)
{
    static const enum baseline_method methods[] = {BASELINE_SES, BASELINE_ETS, BASELINE_NAIVE,
                                                   BASELINE_THETA};
    static const double levels[] = {0.1, 0.9};
    double y[120];
    int inside[4] = {0}, inside_8[4] = {0}, trials = 400;

    for (int i = 0; i < trials; i++) {
        double level = 100;

        for (int t = 0; t < 120; t++) { /* a random walk: every method's step 8 is sqrt 8 wider */
            level += noise();
            y[t] = level;
        }
        for (int k = 0; k < 4; k++) {
            struct baseline_opt o = baseline_default(methods[k]);

            run(&o, y, 112, 8, levels, 2);
            inside[k] += y[112] >= quantile[0] && y[112] <= quantile[1];
            inside_8[k] += y[119] >= quantile[14] && y[119] <= quantile[15];
        }
    }
    for (int k = 0; k < 4; k++) {
        /* 0.8 +- 4 standard errors of 400 trials, less a little for estimated parameters */
        CHECK(inside[k] > 0.70 * trials && inside[k] < 0.88 * trials);
        CHECK(inside_8[k] > 0.66 * trials && inside_8[k] < 0.90 * trials);
    }
}

static void test_ets_choice(void)
{
    static const double season[] = {-10, 5, 12, -7};
    double y[80];
    struct baseline_opt o = baseline_default(BASELINE_ETS);
    struct baseline_result r;

    o.season = 4;
    for (int t = 0; t < 80; t++)
        y[t] = 100 + 0.5 * t + season[t % 4] + 0.3 * noise();
    r = run(&o, y, 80, 8, NULL, 0);
    CHECK(strchr("AM", r.form[0]) != NULL && strstr(r.form, "N") == NULL);
    for (int h = 0; h < 8; h++)
        CHECK_NEAR(mean[h], 100 + 0.5 * (80 + h) + season[(80 + h) % 4], 0.01, 1);
    for (int t = 0; t < 80; t++)
        y[t] = exp(2 + 0.02 * t) * (1 + 0.05 * season[t % 4]) * (1 + 0.005 * noise());
    r = run(&o, y, 80, 4, NULL, 0);
    CHECK(r.form[0] == 'M' && r.form[strlen(r.form) - 1] == 'M');
    for (int t = 0; t < 80; t++)
        y[t] = 50 + noise();
    r = run(&o, y, 80, 4, NULL, 0);
    CHECK(r.form[strlen(r.form) - 1] == 'N');
    CHECK_NEAR(mean[0], 50, 0.02, 1);
}

static void test_theta_trend(void)
{
    double y[60];
    struct baseline_opt o = baseline_default(BASELINE_THETA);

    for (int t = 0; t < 60; t++)
        y[t] = 10 + 2.0 * t;
    run(&o, y, 60, 5, NULL, 0);
    for (int h = 1; h < 5; h++) /* half of the slope per step */
        CHECK_NEAR(mean[h] - mean[h - 1], 1, 1e-9, 1);
    CHECK_NEAR(mean[0], 130, 0.02, 1);
}

/* Sliding sums give the map that the windows written out give. */
static void test_ridge_map(void)
{
    enum { L = 5, H = 2, N = 3, T = 60 };
    static double data[N * T], out[N * H];
    struct baseline_block block = {.d = data, .N = N, .T = T, .stride = T};
    struct baseline_out to = {.mean_d = out};
    struct err e;

    for (int norm = 0; norm < 4; norm++) {
        struct baseline_opt o = baseline_default(BASELINE_RIDGE);
        struct baseline_model *m = NULL;

        for (int i = 0; i < N; i++) { /* y_t = .6 y_(t-1) + .3 y_(t-2) + (1 - .9) x level, exact */
            double *y = data + i * T, level = 5 * (i + 1);

            y[0] = level + 3 + i;
            y[1] = level - 1;
            for (int t = 2; t < T; t++)
                y[t] = 0.6 * y[t - 1] - 0.8 * y[t - 2] + 1.2 * level + 0.2 * (t % 7 == 0);
        }
        o.window = L;
        o.penalty = 1e-12;
        o.instance_norm = norm & 1;
        o.series_norm = norm >> 1;
        CHECK_INT(baseline_model_fit(&m, &o, H, &block, NULL, &e), 0);
        CHECK_INT(baseline_model_predict(m, &block, 0, N, H, NULL, 0, &to, NULL, &e), 0);
        for (int i = 0; i < N && norm == 2; i++) { /* centred by series: the recursion is the map */
            const double *y = data + i * T;
            double level = 5 * (i + 1);
            double next = 0.6 * y[T - 1] - 0.8 * y[T - 2] + 1.2 * level;

            CHECK_NEAR(out[i * H], next, 0.05, 1);
            CHECK_NEAR(out[i * H + 1], 0.6 * next - 0.8 * y[T - 1] + 1.2 * level, 0.05, 1);
        }
        for (int i = 0; i < N * H; i++)
            CHECK(isfinite(out[i]));
        baseline_model_free(m);
    }
}

/* Solve the normal equations of written-out windows by elimination and compare. */
static void test_ridge_written_out(void)
{
    enum { L = 3, H = 2, T = 40, P = L + 1, W = T - L - H + 1 };
    double y[T], a[P][P + H] = {{0}}, out[H], lambda = 0, level = 0, dev = 0;
    struct baseline_opt o = baseline_default(BASELINE_RIDGE);
    struct baseline_block block = {.d = y, .N = 1, .T = T, .stride = T};
    struct baseline_out to = {.mean_d = out};
    struct baseline_model *m = NULL;
    struct err e;

    for (int t = 0; t < T; t++)
        y[t] = 20 + 3 * sin(t * 0.7) + noise();
    for (int w = 0; w <= W; w++) { /* w = W: the window to predict from */
        double z[P + H], mu = 0, s = 0;
        int at = w < W ? w : T - L;

        for (int i = 0; i < L; i++)
            mu += y[at + i] / L;
        for (int i = 0; i < L; i++)
            s += (y[at + i] - mu) * (y[at + i] - mu) / L;
        for (int i = 0; i < L; i++)
            z[i] = y[at + i] - mu;
        z[L] = sqrt(s);
        level = mu;
        dev = z[L];
        for (int h = 0; h < H && w < W; h++)
            z[P + h] = y[at + L + h] - mu;
        for (int i = 0; i < P && w < W; i++)
            for (int j = 0; j < P + H; j++)
                a[i][j] += z[i] * z[j];
    }
    for (int i = 0; i < P; i++)
        lambda += 0.01 * a[i][i] / P;
    for (int i = 0; i < P; i++)
        a[i][i] += lambda;
    for (int i = 0; i < P; i++)
        for (int k = 0; k < P; k++) {
            double f = a[k][i] / a[i][i];

            for (int j = 0; j < P + H && k != i; j++)
                a[k][j] -= f * a[i][j];
        }
    o.window = L;
    o.penalty = 0.01;
    o.instance_norm = 1;
    o.series_norm = 0;
    CHECK_INT(baseline_model_fit(&m, &o, H, &block, NULL, &e), 0);
    CHECK_INT(baseline_model_predict(m, &block, 0, 1, H, NULL, 0, &to, NULL, &e), 0);
    for (int h = 0; h < H; h++) {
        double x = level + a[L][P + h] / a[L][L] * dev;

        for (int i = 0; i < L; i++)
            x += a[i][P + h] / a[i][i] * (y[T - L + i] - level);
        CHECK_NEAR(out[h], x, 1e-9, 1);
    }
    baseline_model_free(m);
}

static int stop_after(void *arg)
{
    return --*(int *)arg < 0;
}

/* Any cut into ranges and either width of input; cancelling; what is refused. */
static void test_block(void)
{
    enum { N = 7, T = 30, H = 4, Q = 3 };
    static double data[N * T], a[N * H], b[N * H], qa[N * H * Q], qb[N * H * Q];
    static float narrow[N * T];
    static const double levels[Q] = {0.1, 0.5, 0.9}, crossed[Q] = {0.5, 0.1, 0.9};
    struct baseline_block block = {.d = data, .N = N, .T = T, .stride = T};
    struct baseline_out one = {.mean_d = a, .quantile_d = qa};
    struct baseline_out two = {.mean_d = b, .quantile_d = qb};
    struct err e;

    for (int i = 0; i < N * T; i++) {
        narrow[i] = (float)(10 + noise());
        data[i] = i % 11 == 0 ? NAN : (double)narrow[i];
        narrow[i] = i % 11 == 0 ? NAN : narrow[i];
    }
    for (int method = 0; method < BASELINE_COUNT; method++) {
        struct baseline_opt o = baseline_default((enum baseline_method)method);
        struct baseline_model *m = NULL, *back = NULL;
        struct baseline_block other = block;
        struct baseline_stop stop = {stop_after, NULL};
        const double *weights;
        size_t count;
        int left = 3;

        o.season = 4;
        o.window = 5;
        CHECK_INT(baseline_model_fit(&m, &o, H, &block, NULL, &e), 0);
        CHECK_INT(baseline_model_predict(m, &block, 0, N, H, levels, Q, &one, NULL, &e), 0);
        CHECK_INT(baseline_model_predict(m, &block, 3, N, H, levels, Q, &two, NULL, &e), 0);
        CHECK_INT(baseline_model_predict(m, &block, 0, 3, H, levels, Q, &two, NULL, &e), 0);
        CHECK(memcmp(a, b, sizeof a) == 0 && memcmp(qa, qb, sizeof qa) == 0);
        other.d = NULL;
        other.f = narrow;
        CHECK_INT(baseline_model_predict(m, &other, 0, N, H, levels, Q, &two, NULL, &e), 0);
        CHECK(memcmp(a, b, sizeof a) == 0);
        weights = baseline_model_weights(m, &count);
        CHECK_INT(baseline_model_restore(&back, &o, H, weights, count, &e), 0);
        CHECK_INT(baseline_model_predict(back, &block, 0, N, H, levels, Q, &two, NULL, &e), 0);
        CHECK(memcmp(a, b, sizeof a) == 0 && memcmp(qa, qb, sizeof qa) == 0);
        baseline_model_free(back);
        CHECK_INT(baseline_model_restore(&back, &o, H, weights, count + 1, &e), -1);
        stop.arg = &left;
        CHECK_INT(baseline_model_predict(m, &block, 0, N, H, NULL, 0, &two, &stop, &e), -1);
        CHECK_STR(err_name(e.code), "cancelled");
        CHECK_INT(baseline_model_predict(m, &block, 0, N, H, crossed, Q, &two, NULL, &e), -1);
        CHECK_STR(err_name(e.code), "invalid");
        CHECK_INT(baseline_model_predict(m, &block, 0, N + 1, H, levels, Q, &two, NULL, &e), -1);
        CHECK_STR(err_name(e.code), "shape");
        baseline_model_free(m);
    }
}

static void test_refused(void)
{
    double y[] = {1, 2, INFINITY, 4, 5, 6};
    struct baseline_block block = {.d = y, .N = 1, .T = 6, .stride = 6};
    struct baseline_opt o = baseline_default(BASELINE_SES);
    struct baseline_result r = {.mean = mean, .sd = sd};
    struct baseline_model *m = NULL;
    struct err e;

    CHECK_INT(baseline_series(&o, y, 6, 1, NULL, 0, &r, &e), -1);
    CHECK_STR(err_name(e.code), "nan");
    CHECK_INT(baseline_model_fit(&m, &o, 1, &block, NULL, &e), -1);
    CHECK_STR(err_name(e.code), "nan");
    y[2] = NAN;
    o.alpha = 1.5;
    CHECK_INT(baseline_series(&o, y, 6, 1, NULL, 0, &r, &e), -1);
    CHECK_STR(err_name(e.code), "invalid");
    o = baseline_default(BASELINE_RIDGE);
    CHECK_INT(baseline_series(&o, y, 6, 1, NULL, 0, &r, &e), -1);
    o.window = 4;
    CHECK_INT(baseline_model_fit(&m, &o, 1, &block, NULL, &e), -1); /* the gap cuts every window */
    CHECK_STR(err_name(e.code), "shape");
    o.window = 5000;
    CHECK_INT(baseline_model_fit(&m, &o, 1, &block, NULL, &e), -1);
    CHECK_STR(err_name(e.code), "limit");
    CHECK(m == NULL);
}

static void test_no_memory(void)
{
    static double y[40], out[40];
    struct baseline_block block = {.d = y, .N = 2, .T = 20, .stride = 20};
    struct baseline_out to = {.mean_d = out};
    size_t live = mem_live();

    for (int i = 0; i < 40; i++)
        y[i] = 1 + noise();
    for (size_t at = 1; at < 20; at++) {
        struct baseline_opt o = baseline_default(BASELINE_RIDGE);
        struct baseline_model *m = NULL;
        struct err e = {0};
        int rc;

        o.window = 4;
        mem_fail_at(at);
        rc = baseline_model_fit(&m, &o, 2, &block, NULL, &e);
        if (rc == 0)
            rc = baseline_model_predict(m, &block, 0, 2, 2, NULL, 0, &to, NULL, &e);
        mem_fail_at(0);
        CHECK(rc == 0 || e.code == ERR_NOMEM);
        baseline_model_free(m);
        CHECK_INT(mem_live(), live);
        CHECK(at > 1 || rc != 0);
    }
}

int main(void)
{
    test_normal();
    test_names();
    test_every_method();
    test_gaps();
    test_demand_quantiles();
    test_coverage();
    test_ets_choice();
    test_theta_trend();
    test_ridge_map();
    test_ridge_written_out();
    test_block();
    test_refused();
    test_no_memory();
    return check_done();
}
