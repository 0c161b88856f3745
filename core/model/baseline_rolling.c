/*
 * baseline_rolling.c - intervals from errors at earlier origins. See baseline_rolling.h.
 */
#include "model/baseline_rolling.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "model/metric_quantile.h"

#define ORIGINS 3
#define ROLLING_ASKED 3000 /* forecasts in all: a bound on the time */
#define ENOUGH 50          /* errors a 5 % quantile can be read from */
#define SIGMA 0.841344746  /* the level one deviation above the middle */

struct errors {
    double *x; /* (H, room) */
    size_t *n; /* (H) */
    size_t room, H;
    double *mean, *high; /* (H) each: of one forecast */
};

static double value(const struct baseline_block *b, size_t i, size_t t)
{
    return b->d != NULL ? b->d[i * b->stride + t] : (double)b->f[i * b->stride + t];
}

/* Every step-th series forecast from `origin`. An origin too early for the method adds nothing. */
static int ask(struct errors *x, const struct baseline_opt *o, const struct baseline_block *data,
               size_t origin, size_t step, const struct baseline_stop *stop, struct err *e)
{
    const double level = SIGMA, unit = baseline_normal_quantile(SIGMA);
    struct baseline_block past = *data;
    struct baseline_model *m = NULL;
    struct err why = {0};
    int rc;

    past.T = origin;
    rc = baseline_model_fit(&m, o, x->H, &past, stop, &why);
    if (rc != 0 && (why.code == ERR_SHAPE || why.code == ERR_INVALID))
        return 0; /* ridge without a window so early: nothing to be learnt from this origin */
    if (rc != 0 && e != NULL)
        *e = why;
    for (size_t i = 0; i < data->N && rc == 0; i += step) {
        struct baseline_block row = past;
        struct baseline_out out = {.mean_d = x->mean, .quantile_d = x->high};
        if (row.d != NULL)
            row.d += i * row.stride;
        else
            row.f += i * row.stride;
        row.N = 1;
        rc = baseline_model_predict(m, &row, 0, 1, x->H, &level, 1, &out, stop, e);
        for (size_t h = 0; h < x->H && rc == 0; h++) {
            double sd = (x->high[h] - x->mean[h]) / unit;
            double y = value(data, i, origin + h);
            double off = (isnan(y) && o->missing_zero ? 0 : y) - x->mean[h];
            if (sd > 0 && isfinite(off / sd) && x->n[h] < x->room)
                x->x[h * x->room + x->n[h]++] = off / sd;
        }
    }
    baseline_model_free(m);
    return rc;
}

static void grid(double *z, double *sorted, size_t n)
{
    if (n > 0)
        metric_sort(sorted, n);
    for (int j = 0; j < BASELINE_GRID; j++) {
        double level = (j + 0.5) / BASELINE_GRID;
        z[j] = n < ENOUGH ? baseline_normal_quantile(level)
                          : metric_sorted_quantile(sorted, n, level);
    }
}

int baseline_rolling_fit(double *z, const struct baseline_opt *o, size_t H,
                         const struct baseline_block *data, const struct baseline_stop *stop,
                         struct err *e)
{
    size_t step = (data->N * ORIGINS + ROLLING_ASKED - 1) / ROLLING_ASKED;
    size_t apart = (H + ORIGINS - 1) / ORIGINS, all = 0;
    struct baseline_opt plain = *o;
    struct errors x = {.H = H};
    double *every;
    int rc = -1;

    step = step > 0 ? step : 1;
    x.room = data->T > 2 * H ? ((data->N + step - 1) / step) * ORIGINS : 1;
    plain.interval = BASELINE_NORMAL;
    plain.floor = -INFINITY;
    x.x = mem_alloc(H * x.room * sizeof *x.x);
    x.n = mem_zero(H, sizeof *x.n);
    x.mean = mem_alloc(2 * H * sizeof *x.mean);
    every = mem_alloc(H * x.room * sizeof *every);
    if (x.x == NULL || x.n == NULL || x.mean == NULL || every == NULL) {
        err_set(e, ERR_NOMEM, "no memory for the errors of %zu forecasts", x.room);
        goto done;
    }
    x.high = x.mean + H;
    for (size_t k = 0; k < ORIGINS; k++)
        if (data->T > 2 * H + k * apart &&
            ask(&x, &plain, data, data->T - H - k * apart, step, stop, e) != 0)
            goto done;
    for (size_t h = 0; h < H; h++) {
        memcpy(every + all, x.x + h * x.room, x.n[h] * sizeof *every);
        all += x.n[h];
    }
    grid(z, every, all);
    for (size_t h = H; h-- > 0;) {
        if (x.n[h] >= ENOUGH)
            grid(z + h * BASELINE_GRID, x.x + h * x.room, x.n[h]);
        else if (h > 0)
            memcpy(z + h * BASELINE_GRID, z, BASELINE_GRID * sizeof *z);
    }
    rc = 0;
done:
    mem_free(x.x);
    mem_free(x.n);
    mem_free(x.mean);
    mem_free(every);
    return rc;
}

double baseline_rolling_at(const double *z, double level)
{
    double at = level * BASELINE_GRID - 0.5;
    int j = (int)floor(at);

    if (j < 0)
        return z[0];
    if (j >= BASELINE_GRID - 1)
        return z[BASELINE_GRID - 1];
    return z[j] + (z[j + 1] - z[j]) * (at - j);
}
