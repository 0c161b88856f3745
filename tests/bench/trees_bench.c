/*
 * trees_bench.c - gradient boosting on the store-item sales: time, memory and error of training and
 * prediction, one row at a time and many.
 *
 * Reads $BENCH_DATA/store-item/train.csv (default ../shared/data). 20 features: the nine of the
 * calendar and eleven of history at least 91 days old. Trains on all but the last 90 days, with
 * squared error, 31 leaves, learning rate 0.05, 255 bins; tests on those 90 days.
 *
 *   trees_bench [rounds = 1000] [threads = 2] [alone]
 *
 * The peer, XGBoost (trees_peer.py, Debian's python3-xgboost), runs on the same matrix afterwards unless
 * "alone" is given: f32 label and features, training rows first, in a file of the current folder.
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "model/gbt_flat.h"
#include "model/gbt_predict.h"
#include "model/gbt_train.h"

#define DAYS 1826
#define SERIES 500
#define F 20
#define TEST_DAYS 90
#define MATRIX "trees_bench.matrix"

static float sales[SERIES][DAYS];
static int calendar[DAYS][4]; /* year, month, day, week day */

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double cpu(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (double)u.ru_utime.tv_sec + 1e-6 * (double)u.ru_utime.tv_usec;
}

static int load(void)
{
    const char *root = getenv("BENCH_DATA");
    char path[4096], line[128];
    FILE *f;
    int n = 0, y, m, d, store, item, units;

    snprintf(path, sizeof path, "%s/store-item/train.csv", root != NULL ? root : "../shared/data");
    f = fopen(path, "r");
    if (f == NULL || fgets(line, sizeof line, f) == NULL) {
        printf("%s cannot be read\n", path);
        return -1;
    }
    while (fgets(line, sizeof line, f) != NULL &&
           sscanf(line, "%d-%d-%d,%d,%d,%d", &y, &m, &d, &store, &item, &units) == 6) {
        int day = n++ % DAYS;

        sales[(store - 1) * 50 + item - 1][day] = (float)units;
        calendar[day][0] = y;
        calendar[day][1] = m;
        calendar[day][2] = d;
        calendar[day][3] = (day + 1) % 7; /* 2013-01-01 was a Tuesday */
    }
    fclose(f);
    return n == DAYS * SERIES ? 0 : -1;
}

static float lag(int s, int day, int k)
{
    return day >= k ? sales[s][day - k] : NAN;
}

static float mean(int s, int day, int from, int n)
{
    float sum = 0;

    if (day < from + n - 1)
        return NAN;
    for (int i = 0; i < n; i++)
        sum += sales[s][day - from - i];
    return sum / (float)n;
}

static void features(float *x, int s, int day)
{
    const int *c = calendar[day];
    int last = day + 1 < DAYS ? calendar[day + 1][2] == 1 : 1;
    float all[F] = {
        (float)(s / 50 + 1), (float)(s % 50 + 1), (float)c[0], (float)c[1], (float)c[2], (float)c[3],
        (float)(c[3] >= 5), (float)(c[2] == 1), (float)last,
        lag(s, day, 91), lag(s, day, 98), lag(s, day, 182), lag(s, day, 364), lag(s, day, 371),
        mean(s, day, 91, 7), mean(s, day, 91, 28), mean(s, day, 91, 91), mean(s, day, 364, 7),
        mean(s, day, 361, 28), mean(s, day, 91, 182),
    };

    memcpy(x, all, sizeof all);
}

static void figure(const char *name, double ours, double peer, double target, const char *better)
{
    printf("@figure\ttrees %s\t%g\t%g\t%g\t%s\n", name, ours, peer, target, better);
}

/* Runs XGBoost and sets our figures beside its own. */
static void peer(const float *x, const double *y, size_t n, int rounds, int threads,
                 const double ours[4])
{
    const char *source = getenv("SOURCE_DIR");
    char command[4096], line[256];
    double train = 0, rows = 0, rmse = 0;
    FILE *f = fopen(MATRIX, "wb"), *out;

    if (f == NULL)
        return;
    for (size_t i = 0; i < n; i++) {
        float label = (float)y[i];

        fwrite(&label, sizeof label, 1, f);
        fwrite(x + i * F, sizeof *x, F, f);
    }
    fclose(f);
    snprintf(command, sizeof command, "/usr/bin/python3 %s/tests/bench/trees_peer.py %s %d %d",
             source != NULL ? source : ".", MATRIX, rounds, threads);
    fflush(stdout);
    out = popen(command, "r");
    while (out != NULL && fgets(line, sizeof line, out) != NULL) {
        fputs(line, stdout);
        sscanf(line, "xgboost %*s train %lf", &train);
        sscanf(line, "xgboost predict: %lf", &rows);
        sscanf(line, "xgboost test rmse %lf", &rmse);
    }
    if (out == NULL || pclose(out) != 0 || rmse == 0) {
        printf("no peer: python3-xgboost did not run\n");
    } else {
        /* seconds as rounds per second, so that more is better */
        figure("training, rounds a second to XGBoost's", rounds / ours[0], rounds / train, 1.4, "higher");
        figure("prediction, rows a second to XGBoost's", ours[1], rows, 2, "higher");
        figure("test RMSE to XGBoost's", ours[2], rmse, 1.01, "lower");
    }
    figure("one row in C, us to 15", ours[3], 15, 1, "lower");
    remove(MATRIX);
}

int main(int argc, char **argv)
{
    size_t n = (size_t)(DAYS - TEST_DAYS) * SERIES, n_test = (size_t)TEST_DAYS * SERIES, at = 0;
    float *x = malloc((n + n_test) * F * sizeof *x);
    double *y = malloc((n + n_test) * sizeof *y), t, used, se = 0, row[F], one, ours[4];
    struct gbt_param p;
    struct gbt_rows rows;
    struct gbt_model *m;
    struct gbt_flat *flat;
    struct gbt_matrix all;
    struct rusage u;
    struct par *par;
    struct err e;
    double *out;

    if (load() != 0)
        return 1;
    for (int test = 0; test < 2; test++)
        for (int s = 0; s < SERIES; s++)
            for (int day = test ? DAYS - TEST_DAYS : 0; day < (test ? DAYS : DAYS - TEST_DAYS); day++) {
                features(x + at * F, s, day);
                y[at++] = (double)sales[s][day];
            }
    gbt_param_init(&p);
    p.num_iterations = argc > 1 ? atoi(argv[1]) : 1000;
    p.learning_rate = 0.05;
    if (par_new(&par, argc > 2 ? atoi(argv[2]) : 2, &e) != 0)
        return 1;
    rows = (struct gbt_rows){ { x, 1, n, F, F, 1 }, y, NULL };
    t = now();
    used = cpu();
    if (gbt_train(&m, &p, &rows, NULL, NULL, NULL, NULL, par, &e) != 0) {
        printf("%s\n", e.text);
        return 1;
    }
    ours[0] = t = now() - t;
    getrusage(RUSAGE_SELF, &u);
    printf("train %zu x %d, %d rounds: %.2f s, cpu %.2f s, peak memory %ld MiB (data %zu)\n", n, F,
           p.num_iterations, t, cpu() - used,
           u.ru_maxrss / 1024, (n + n_test) * (F * sizeof *x + sizeof *y) >> 20);

    t = now();
    if (gbt_flat_new(&flat, m, 0, &e) != 0) {
        printf("%s\n", e.text);
        return 1;
    }
    printf("flatten: %.1f ms\n", 1e3 * (now() - t));
    out = malloc((n + n_test) * sizeof *out);
    all = (struct gbt_matrix){ x, 1, n + n_test, F, F, 1 };
    t = now();
    used = cpu();
    if (gbt_flat_predict(flat, &all, 0, out, par, &e) != 0)
        return 1;
    t = now() - t;
    ours[1] = (double)(n + n_test) / t;
    printf("predict %zu rows: %.0f rows/s, cpu %.2f s\n", n + n_test, (double)(n + n_test) / t, cpu() - used);
    for (size_t i = n; i < n + n_test; i++)
        se += (out[i] - y[i]) * (out[i] - y[i]);
    ours[2] = sqrt(se / (double)n_test);
    printf("test rmse %.4f\n", ours[2]);
    t = now();
    for (size_t i = 0; i < 2000; i++) {
        gbt_predict_row(&all, n + 17 * i, row);
        gbt_flat_row(flat, row, &one);
        if (one != out[n + 17 * i]) {
            printf("one row differs from many\n");
            return 1;
        }
    }
    ours[3] = 1e6 * (now() - t) / 2000;
    printf("one row: %.2f us\n", ours[3]);
    if (argc < 4)
        peer(x, y, n + n_test, p.num_iterations, par_threads(par), ours);
    gbt_flat_free(flat);
    gbt_model_free(m);
    par_free(par);
    free(x);
    free(y);
    free(out);
    return 0;
}
