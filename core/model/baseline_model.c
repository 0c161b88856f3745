/*
 * baseline_model.c - a baseline over a block of series. See baseline_model.h.
 */
#include "model/baseline_model.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "model/baseline_ridge.h"
#include "model/baseline_rolling.h"
#include "model/metric_quantile.h"

#define HORIZON_MAX 100000

struct baseline_model {
    struct baseline_opt opt;
    size_t H;
    struct baseline_ridge *ridge; /* NULL for the others */
    double *z;                    /* (H, BASELINE_GRID) rolling intervals, or NULL */
};

static int is_stopped(const struct baseline_stop *stop, struct err *e)
{
    if (stop == NULL || stop->fn == NULL || !stop->fn(stop->arg))
        return 0;
    err_set(e, ERR_CANCELLED, "the forecast was cancelled");
    return 1;
}

/* Row i as doubles; -1 when a value is infinite. */
static int read_row(double *y, const struct baseline_block *b, size_t i, int missing_zero,
                    struct err *e)
{
    for (size_t t = 0; t < b->T; t++) {
        double x = b->d != NULL ? b->d[i * b->stride + t] : (double)b->f[i * b->stride + t];

        if (isinf(x))
            return err_set(e, ERR_NAN, "series %zu: value %zu is infinite", i + 1, t + 1);
        y[t] = isnan(x) && missing_zero ? 0 : x;
    }
    return 0;
}

static int check_block(const struct baseline_block *b, size_t H, struct err *e)
{
    if (b->N == 0 || b->T == 0)
        return err_set(e, ERR_SHAPE, "a block of %zu series x %zu steps, 1 or more expected",
                       b->N, b->T);
    if (H == 0 || H > HORIZON_MAX)
        return err_set(e, ERR_INVALID, "horizon is %zu, 1 to %d expected", H, HORIZON_MAX);
    return 0;
}

static int new_model(struct baseline_model **out, const struct baseline_opt *o, size_t H,
                     struct err *e)
{
    struct baseline_model *m;

    *out = NULL;
    if (baseline_check(o, e) != 0)
        return -1;
    m = mem_zero(1, sizeof *m);
    if (m == NULL)
        return err_set(e, ERR_NOMEM, "no memory for a baseline");
    m->opt = *o;
    m->H = H;
    if (o->method == BASELINE_RIDGE && baseline_ridge_new(&m->ridge, o, H, e) != 0) {
        mem_free(m);
        return -1;
    }
    if (o->interval == BASELINE_ROLLING && o->method != BASELINE_CROSTON &&
        o->method != BASELINE_SBA && o->method != BASELINE_TSB) {
        m->z = mem_zero(H * BASELINE_GRID, sizeof *m->z);
        if (m->z == NULL) {
            baseline_model_free(m);
            return err_set(e, ERR_NOMEM, "no memory for a baseline");
        }
    }
    *out = m;
    return 0;
}

int baseline_model_fit(struct baseline_model **out, const struct baseline_opt *o, size_t H,
                       const struct baseline_block *data, const struct baseline_stop *stop,
                       struct err *e)
{
    struct baseline_model *m;
    double *row = NULL;

    *out = NULL;
    if (check_block(data, H, e) != 0 || new_model(&m, o, H, e) != 0)
        return -1;
    row = mem_alloc(data->T * sizeof *row);
    if (row == NULL) {
        err_set(e, ERR_NOMEM, "no memory for a series of %zu", data->T);
        goto fail;
    }
    for (size_t i = 0; i < data->N; i++) {
        if (is_stopped(stop, e) || read_row(row, data, i, o->missing_zero, e) != 0)
            goto fail;
        if (m->ridge != NULL)
            baseline_ridge_add(m->ridge, row, data->T);
    }
    if (m->ridge != NULL && baseline_ridge_solve(m->ridge, e) != 0)
        goto fail;
    if (m->z != NULL && baseline_rolling_fit(m->z, o, H, data, stop, e) != 0)
        goto fail;
    mem_free(row);
    *out = m;
    return 0;
fail:
    mem_free(row);
    baseline_model_free(m);
    return -1;
}

int baseline_model_restore(struct baseline_model **out, const struct baseline_opt *o, size_t H,
                           const double *weights, size_t count, struct err *e)
{
    size_t expected = 0, more;
    double *place;

    if (H == 0 || H > HORIZON_MAX)
        return err_set(e, ERR_INVALID, "horizon is %zu, 1 to %d expected", H, HORIZON_MAX);
    if (new_model(out, o, H, e) != 0)
        return -1;
    place = (*out)->ridge != NULL ? baseline_ridge_weights((*out)->ridge, &expected) : NULL;
    more = (*out)->z != NULL ? H * BASELINE_GRID : 0;
    if (count != expected + more) {
        baseline_model_free(*out);
        *out = NULL;
        return err_set(e, ERR_SHAPE, "%zu weights, %zu expected", count, expected + more);
    }
    for (size_t i = 0; i < expected; i++)
        place[i] = weights[i];
    for (size_t i = 0; i < more; i++)
        (*out)->z[i] = weights[expected + i];
    return 0;
}

void baseline_model_free(struct baseline_model *m)
{
    if (m == NULL)
        return;
    baseline_ridge_free(m->ridge);
    mem_free(m->z);
    mem_free(m);
}

static void store(double *d, float *f, size_t at, const double *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (d != NULL)
            d[at + i] = x[i];
        if (f != NULL)
            f[at + i] = (float)x[i];
    }
}

/* Ridge's forecast as the other methods give theirs. */
static void ridge_series(const struct baseline_model *m, const double *y, size_t T, size_t H,
                         const double *levels, size_t Q, struct baseline_result *r, double *work)
{
    r->alpha = r->beta = r->gamma = r->phi = r->sse = r->chance = r->size = NAN;
    memset(r->form, 0, sizeof r->form);
    baseline_ridge_predict(m->ridge, y, T, H, r->mean, r->sd, work);
    r->is_defined = !isnan(r->mean[0]);
    for (size_t q = 0; q < Q; q++) {
        double z = baseline_normal_quantile(levels[q]);

        for (size_t h = 0; h < H; h++)
            r->quantile[h * Q + q] = r->is_defined
                                         ? fmax(r->mean[h] + z * r->sd[h], m->opt.floor)
                                         : NAN;
    }
    for (size_t h = 0; h < H && r->is_defined; h++)
        r->mean[h] = fmax(r->mean[h], m->opt.floor);
}

/* Rolling intervals in place of what the method said; the floor is kept. */
static void widen(const struct baseline_model *m, struct baseline_result *r, size_t H,
                  const double *levels, size_t Q)
{
    for (size_t h = 0; h < H && r->is_defined; h++)
        for (size_t q = 0; q < Q; q++) {
            const double *z = m->z + (h < m->H ? h : m->H - 1) * BASELINE_GRID;
            r->quantile[h * Q + q] = fmax(r->mean[h] + r->sd[h] * baseline_rolling_at(z, levels[q]),
                                          m->opt.floor);
        }
}

static int check_predict(const struct baseline_model *m, const struct baseline_block *data,
                         size_t from, size_t to, size_t H, const double *levels, size_t Q,
                         struct err *e)
{
    if (check_block(data, H, e) != 0 || (Q > 0 && metric_quantile_check(levels, Q, e) != 0))
        return -1;
    if (from > to || to > data->N)
        return err_set(e, ERR_SHAPE, "rows %zu to %zu of %zu", from, to, data->N);
    if (m->ridge != NULL && H > m->H)
        return err_set(e, ERR_SHAPE, "horizon %zu asked, the model was fitted for %zu", H, m->H);
    return 0;
}

int baseline_model_predict(const struct baseline_model *m, const struct baseline_block *data,
                           size_t from, size_t to, size_t H, const double *levels, size_t Q,
                           const struct baseline_out *out, const struct baseline_stop *stop,
                           struct err *e)
{
    double *row;
    int rc = -1;

    if (check_predict(m, data, from, to, H, levels, Q, e) != 0)
        return -1;
    row = mem_alloc((data->T + m->opt.window + H * (Q + 2)) * sizeof *row);
    if (row == NULL)
        return err_set(e, ERR_NOMEM, "no memory to forecast %zu steps", H);
    for (size_t i = from; i < to; i++) {
        double *work = row + data->T, *mean = work + m->opt.window;
        struct baseline_result r = {.mean = mean, .sd = mean + H, .quantile = mean + 2 * H};

        if (is_stopped(stop, e) || read_row(row, data, i, m->opt.missing_zero, e) != 0)
            goto done;
        if (m->ridge != NULL)
            ridge_series(m, row, data->T, H, levels, Q, &r, work);
        else if (baseline_series(&m->opt, row, data->T, H, levels, Q, &r, e) != 0)
            goto done;
        if (m->z != NULL)
            widen(m, &r, H, levels, Q);
        store(out->mean_d, out->mean_f, i * H, r.mean, H);
        store(out->quantile_d, out->quantile_f, i * H * Q, r.quantile, H * Q);
        r.mean = r.sd = r.quantile = NULL;
        if (out->each != NULL)
            out->each[i] = r;
    }
    rc = 0;
done:
    mem_free(row);
    return rc;
}

const struct baseline_opt *baseline_model_opt(const struct baseline_model *m)
{
    return &m->opt;
}

size_t baseline_model_horizon(const struct baseline_model *m)
{
    return m->H;
}

const double *baseline_model_intervals(const struct baseline_model *m, size_t *count)
{
    *count = m->z != NULL ? m->H * BASELINE_GRID : 0;
    return m->z;
}

const double *baseline_model_weights(const struct baseline_model *m, size_t *count)
{
    *count = 0;
    return m->ridge != NULL ? baseline_ridge_weights(m->ridge, count) : NULL;
}
