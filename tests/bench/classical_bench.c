/*
 * classical_bench.c - every simple model on real series, by rolling backtest, beside what others
 * published: RMSSE, MASE, scaled pinball loss, coverage of 5-95 %, bias.
 *
 * Reads $BENCH_DATA/carparts/carparts.csv and $BENCH_DATA/m1/M1.csv (default ../shared/data).
 * Three earlier origins choose a model by RMSSE; the last origin, which chose nothing, judges it:
 * the chosen one must be within 2 % of the best in hindsight. Exit code 1 when it is not.
 *
 * Published rows: mean MASE of the Monash archive (Godahewa et al. 2021); car parts there are
 * rounded and end in 2002-03, the file here ends in 2001-03, so those rows are for orientation.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "model/backtest.h"

#define FOLDS 3
#define MODELS_MAX 24
#define WITHIN 1.02

/* One data set: (N, T) aligned at the right, NaN before a series begins. */
struct set {
    char name[32];
    double *y;
    size_t N, T, H, season, window;
    size_t fold_H, fold_step; /* of the origins that choose */
    int counts;               /* nothing below 0, rare demand */
};

struct candidate {
    const char *label;
    struct baseline_opt opt;
};

struct published {
    const char *set, *label;
    double mase;
};

static const struct published published[] = {
    {"carparts", "zero", .746},      {"carparts", "ses", .897},
    {"carparts", "theta", .914},     {"carparts", "ets", .925},
    {"m1 yearly", "ses", 4.938},     {"m1 yearly", "theta", 4.191},
    {"m1 yearly", "ets", 3.771},     {"m1 yearly", "ridge", 4.588},
    {"m1 quarterly", "ses", 1.929},  {"m1 quarterly", "theta", 1.702},
    {"m1 quarterly", "ets", 1.658},  {"m1 quarterly", "ridge", 1.892},
    {"m1 monthly", "ses", 1.379},    {"m1 monthly", "theta", 1.091},
    {"m1 monthly", "ets", 1.074},    {"m1 monthly", "ridge", 1.123},
};

static const double levels[] = {0.05, 0.25, 0.5, 0.75, 0.95};
#define Q (sizeof levels / sizeof levels[0])

static double now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static FILE *open_data(const char *name)
{
    const char *root = getenv("BENCH_DATA");
    char path[1024];
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", root ? root : "../shared/data", name);
    f = fopen(path, "r");
    if (f == NULL)
        printf("%s: cannot be read\n", path);
    return f;
}

/* Rows are months, columns series; an empty cell is a month nothing was sold. */
static int read_carparts(struct set *s)
{
    FILE *f = open_data("carparts/carparts.csv");
    char *line = NULL;
    size_t cap = 0, rows = 0;
    double *table = NULL;

    if (f == NULL)
        return -1;
    *s = (struct set){"carparts", NULL, 0, 0, 12, 12, 12, 6, 3, 1};
    while (getline(&line, &cap, f) > 0) {
        size_t i = 0;

        if (s->N == 0) {
            for (const char *c = line; *c != 0; c++)
                s->N += *c == ',';
            continue;
        }
        table = realloc(table, (rows + 1) * s->N * sizeof *table);
        for (const char *c = strchr(line, ','); c != NULL && i < s->N; c = strchr(c + 1, ','))
            table[rows * s->N + i++] = strtod(c + 1, NULL);
        rows++;
    }
    fclose(f);
    free(line);
    s->T = rows;
    s->y = malloc(s->N * s->T * sizeof *s->y);
    for (size_t i = 0; i < s->N; i++)
        for (size_t t = 0; t < s->T; t++)
            s->y[i * s->T + t] = table[t * s->N + i];
    free(table);
    return 0;
}

/* The 7th field of a line, then train and test of one series, in two lines. */
static int read_m1(struct set *s, const char *period, size_t H, size_t season, size_t window)
{
    FILE *f = open_data("m1/M1.csv");
    char *line = NULL, prefix[32];
    size_t cap = 0, n = 0, T = 200;

    if (f == NULL)
        return -1;
    *s = (struct set){"", NULL, 0, T, H, season, window, H, (H + 1) / 3, 0};
    snprintf(prefix, sizeof prefix, ",%s,", period);
    s->y = malloc(1100 * T * sizeof *s->y);
    while (getline(&line, &cap, f) > 0) {
        char *p = strstr(line, prefix), *values = strrchr(line, ',');
        double row[200];

        if (p == NULL || values == NULL)
            continue;
        n = strstr(line, ",train,") != NULL ? 0 : n;
        if (n == 0) {
            for (size_t t = 0; t < T; t++)
                s->y[s->N * T + t] = NAN;
        }
        /* the row is shifted left by what comes */
        for (char *end = values + 1;;) {
            char *from = end;
            double x = strtod(from, &end);

            if (end == from)
                break;
            row[0] = x;
            memmove(s->y + s->N * T, s->y + s->N * T + 1, (T - 1) * sizeof *s->y);
            s->y[s->N * T + T - 1] = row[0];
            n++;
        }
        s->N += strstr(line, ",test,") != NULL;
    }
    fclose(f);
    free(line);
    return 0;
}

static size_t candidates(struct candidate *c, const struct set *s)
{
    static const enum baseline_method plain[] = {
        BASELINE_NAIVE, BASELINE_MEAN, BASELINE_MEDIAN, BASELINE_DRIFT, BASELINE_MOVING,
        BASELINE_SEASONAL, BASELINE_SES, BASELINE_HOLT, BASELINE_HW, BASELINE_ETS, BASELINE_THETA,
        BASELINE_RIDGE};
    static const enum baseline_method rare[] = {BASELINE_ZERO, BASELINE_CROSTON, BASELINE_SBA,
                                                BASELINE_TSB};
    size_t n = 0;

    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++)
        c[n++] = (struct candidate){baseline_name(plain[i]), baseline_default(plain[i])};
    c[n] = (struct candidate){"holt damped", baseline_default(BASELINE_HOLT)};
    c[n++].opt.phi = 0.9;
    c[n] = (struct candidate){"ridge instance", baseline_default(BASELINE_RIDGE)};
    c[n++].opt.instance_norm = 1;
    for (size_t i = 0; i < 4 && s->counts; i++)
        c[n++] = (struct candidate){baseline_name(rare[i]), baseline_default(rare[i])};
    if (s->counts) {
        c[n] = (struct candidate){"tsb .2", baseline_default(BASELINE_TSB)};
        c[n].opt.alpha = c[n].opt.beta = 0.2;
        n++;
    }
    for (size_t i = 0; i < n; i++) {
        c[i].opt.season = s->season;
        c[i].opt.window = s->window;
        c[i].opt.fallback = 1;
        c[i].opt.floor = s->counts ? 0 : -INFINITY;
    }
    return n;
}

/* One origin: everything before it is known, H steps after it are asked for. */
static int fold(struct backtest *b, const struct set *s, const struct baseline_opt *o,
                size_t origin, size_t H)
{
    struct baseline_block past = {.d = s->y, .N = s->N, .T = origin, .stride = s->T};
    struct baseline_block later = {.d = s->y + origin, .N = s->N, .T = H, .stride = s->T};
    double *mean = malloc(s->N * H * sizeof *mean), *quantile = malloc(s->N * H * Q * sizeof *mean);
    struct baseline_block mb = {.d = mean, .N = s->N, .T = H, .stride = H};
    struct baseline_block qb = {.d = quantile, .N = s->N, .T = H * Q, .stride = H * Q};
    struct baseline_out out = {.mean_d = mean, .quantile_d = quantile};
    struct baseline_model *m = NULL;
    struct err e = {0};
    int rc = baseline_model_fit(&m, o, H, &past, NULL, &e);

    if (rc == 0)
        rc = baseline_model_predict(m, &past, 0, s->N, H, levels, Q, &out, NULL, &e);
    if (rc == 0)
        rc = backtest_add(b, &past, &later, &mb, &qb, levels, Q, &e);
    if (rc != 0)
        printf("  %s at %zu: %s\n", baseline_name(o->method), origin, e.text);
    baseline_model_free(m);
    free(mean);
    free(quantile);
    return rc;
}

static double published_mase(const struct set *s, const char *label)
{
    for (size_t i = 0; i < sizeof published / sizeof published[0]; i++)
        if (strcmp(published[i].set, s->name) == 0 && strcmp(published[i].label, label) == 0)
            return published[i].mase;
    return NAN;
}

static int bench(const struct set *s)
{
    struct candidate c[MODELS_MAX];
    struct backtest_score past[MODELS_MAX], last[MODELS_MAX];
    size_t n = candidates(c, s), pick = 0, best = 0, test = s->T - s->H;
    double start = now_s();

    printf("\n%s: %zu series, %d origins of %zu steps choose, the last %zu steps judge\n", s->name,
           s->N, FOLDS, s->fold_H, s->H);
    printf("%-30s | %7s %7s | %7s %7s %7s %6s %7s | %s\n", "", "rmsse", "mase", "rmsse", "mase",
           "pinball", "inside", "bias", "published mase");
    for (size_t i = 0; i < n; i++) {
        struct backtest rolling, final;
        double other = published_mase(s, c[i].label);

        backtest_init(&rolling, s->season);
        backtest_init(&final, s->season);
        for (size_t k = 0; k < FOLDS; k++)
            fold(&rolling, s, &c[i].opt, test - s->fold_H - (FOLDS - 1 - k) * s->fold_step,
                 s->fold_H);
        fold(&final, s, &c[i].opt, test, s->H);
        past[i] = backtest_finish(&rolling);
        last[i] = backtest_finish(&final);
        printf("%-30s | %7.4f %7.4f | %7.4f %7.4f %7.4f %6.3f %+7.4f | ", c[i].label, past[i].rmsse,
               past[i].mase, last[i].rmsse, last[i].mase, last[i].pinball_scaled, last[i].coverage,
               last[i].bias);
        printf(isnan(other) ? "\n" : "%.3f\n", other);
        pick = past[i].rmsse < past[pick].rmsse ? i : pick;
        best = last[i].rmsse < last[best].rmsse ? i : best;
    }
    printf("chosen: %s, rmsse %.4f; best in hindsight: %s, %.4f: %+.2f %% (%.1f s)\n",
           c[pick].label, last[pick].rmsse, c[best].label, last[best].rmsse,
           100 * (last[pick].rmsse / last[best].rmsse - 1), now_s() - start);
    return last[pick].rmsse <= WITHIN * last[best].rmsse ? 0 : 1;
}

int main(void)
{
    struct set s[4];
    int bad = 0;

    if (read_carparts(&s[0]) != 0 || read_m1(&s[1], "YEARLY", 6, 1, 6) != 0 ||
        read_m1(&s[2], "QUARTERLY", 8, 4, 8) != 0 || read_m1(&s[3], "MONTHLY", 18, 12, 24) != 0)
        return 1;
    snprintf(s[1].name, sizeof s[1].name, "m1 yearly");
    snprintf(s[2].name, sizeof s[2].name, "m1 quarterly");
    snprintf(s[3].name, sizeof s[3].name, "m1 monthly");
    for (int i = 0; i < 4; i++) {
        bad |= bench(&s[i]);
        free(s[i].y);
    }
    return bad;
}
