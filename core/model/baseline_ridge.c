/*
 * baseline_ridge.c - one linear map for all series, in closed form. See baseline_ridge.h.
 *
 * Letters: L lookback, H horizon, K = L + H a whole window, P regressors (L, or L + 1 with the
 * window's deviation). gram (K, K), upper triangle, holds sums of z_i z_j over windows z; the
 * instance form needs three more sums: of mean x z, of mean^2, of deviation x centred z.
 */
#include "model/baseline_ridge.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

#define PENALTY_DEFAULT 1e-3
#define FLAT 1e-12 /* a deviation below this share of the mean is none */

struct baseline_ridge {
    size_t L, H, K, P;
    int instance, norm;
    double penalty;
    double windows;
    double *gram;        /* (K, K) */
    double *sum;         /* (K) of z; instance: of mean x z */
    double *spread;      /* (K) of deviation x (z - mean) */
    double mean2, dev2;  /* of mean^2, of deviation^2 */
    double *weight;      /* solved: (H, P) weights, (H) intercepts, (H) deviations */
};

int baseline_ridge_new(struct baseline_ridge **out, const struct baseline_opt *o, size_t H,
                       struct err *e)
{
    size_t L = o->window, K = L + H, P = L + (o->instance_norm != 0);
    struct baseline_ridge *r;

    *out = NULL;
    if (H == 0 || L == 0 || L > BASELINE_RIDGE_MAX || H > BASELINE_RIDGE_MAX - L)
        return err_set(e, ERR_LIMIT, "window %zu and horizon %zu: 1 or more each, %d together", L,
                       H, BASELINE_RIDGE_MAX);
    r = mem_zero(1, sizeof *r);
    if (r == NULL)
        return err_set(e, ERR_NOMEM, "no memory for a ridge model");
    *r = (struct baseline_ridge){.L = L, .H = H, .K = K, .P = P, .instance = o->instance_norm,
                                 .norm = o->series_norm,
                                 .penalty = isnan(o->penalty) ? PENALTY_DEFAULT : o->penalty};
    r->gram = mem_zero(K * K, sizeof *r->gram);
    r->sum = mem_zero(K, sizeof *r->sum);
    r->spread = mem_zero(K, sizeof *r->spread);
    r->weight = mem_zero(H * (P + 2), sizeof *r->weight);
    if (r->gram == NULL || r->sum == NULL || r->spread == NULL || r->weight == NULL) {
        baseline_ridge_free(r);
        return err_set(e, ERR_NOMEM, "no memory for a ridge model of %zu x %zu", K, K);
    }
    *out = r;
    return 0;
}

void baseline_ridge_free(struct baseline_ridge *r)
{
    if (r == NULL)
        return;
    mem_free(r->gram);
    mem_free(r->sum);
    mem_free(r->spread);
    mem_free(r->weight);
    mem_free(r);
}

/* Mean and population deviation of the known values; a deviation that is rounding noise is 0. */
static void moments(const double *y, size_t n, double *mean, double *dev)
{
    double sum = 0, square = 0, count = 0;

    for (size_t t = 0; t < n; t++) {
        sum += isnan(y[t]) ? 0 : y[t];
        count += !isnan(y[t]);
    }
    *mean = count > 0 ? sum / count : 0;
    for (size_t t = 0; t < n; t++)
        square += isnan(y[t]) ? 0 : (y[t] - *mean) * (y[t] - *mean);
    *dev = count > 0 ? sqrt(square / count) : 0;
    if (*dev <= FLAT * fabs(*mean))
        *dev = 0;
}

/* The series' own shift and scale: the instance form loses its shift anyway, so it takes it out
 * first, for the digits. */
static void series_scale(const struct baseline_ridge *r, const double *y, size_t n, double *shift,
                         double *scale)
{
    moments(y, n, shift, scale);
    if (!r->norm || *scale == 0)
        *scale = 1;
    if (!r->norm && !r->instance)
        *shift = 0;
}

/* Sums over all windows of one run without gaps: z_w[i] = (x[w + i] - shift) / scale. */
static void add_run(struct baseline_ridge *r, const double *x, size_t n, double shift,
                    double scale)
{
    size_t K = r->K, W = n - K + 1;

    for (size_t k = 0; k < K; k++) { /* along each diagonal the sum slides by two products */
        double g = 0;

        for (size_t w = 0; w < W; w++)
            g += ((x[w] - shift) / scale) * ((x[w + k] - shift) / scale);
        for (size_t i = 0; i + k < K; i++) {
            r->gram[i * K + i + k] += g;
            if (i + k + 1 < K)
                g += (((x[W + i] - shift) / scale) * ((x[W + i + k] - shift) / scale)) -
                     (((x[i] - shift) / scale) * ((x[i + k] - shift) / scale));
        }
    }
    for (size_t w = 0; w < W; w++) {
        double mean = 1, dev = 0;

        if (r->instance) {
            moments(x + w, r->L, &mean, &dev);
            dev /= scale;
            mean = (mean - shift) / scale;
        }
        for (size_t i = 0; i < K; i++) {
            double z = (x[w + i] - shift) / scale;

            r->sum[i] += mean * z;
            r->spread[i] += dev * (z - mean);
        }
        r->mean2 += mean * mean;
        r->dev2 += dev * dev;
    }
    r->windows += (double)W;
}

void baseline_ridge_add(struct baseline_ridge *r, const double *y, size_t n)
{
    double shift, scale;

    series_scale(r, y, n, &shift, &scale);
    for (size_t t = 0, end; t < n; t = end + 1) {
        for (end = t; end < n && !isnan(y[end]); end++)
            ;
        if (end - t >= r->K)
            add_run(r, y + t, end - t, shift, scale);
    }
}

/* The sum of products of regressors or targets i <= j, centred as the form wants it. */
static double product(const struct baseline_ridge *r, size_t i, size_t j)
{
    double g = r->gram[i * r->K + j];

    if (r->instance)
        return g - r->sum[i] - r->sum[j] + r->mean2;
    return g - r->sum[i] * r->sum[j] / r->windows;
}

/* a (n, n) lower triangle becomes its Cholesky factor. -1 when not positive definite. */
static int factor(double *a, size_t n)
{
    for (size_t j = 0; j < n; j++) {
        for (size_t i = j; i < n; i++) {
            double s = a[i * n + j];

            for (size_t k = 0; k < j; k++)
                s -= a[i * n + k] * a[j * n + k];
            if (i == j && !(s > 0))
                return -1;
            a[i * n + j] = i == j ? sqrt(s) : s / a[j * n + j];
        }
    }
    return 0;
}

static void substitute(const double *a, size_t n, double *x)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < i; k++)
            x[i] -= a[i * n + k] * x[k];
        x[i] /= a[i * n + i];
    }
    for (size_t i = n; i-- > 0;) {
        x[i] /= a[i * n + i];
        for (size_t k = 0; k < i; k++)
            x[k] -= a[i * n + k] * x[i];
    }
}

/* Weights, intercept and residual of step h; `a` is the factor, `right` scratch (P). */
static void solve_step(struct baseline_ridge *r, const double *a, size_t h, double lambda,
                       double *right)
{
    double *w = r->weight + h * r->P, left = product(r, r->L + h, r->L + h), at = 0, square = 0;

    for (size_t i = 0; i < r->L; i++)
        right[i] = product(r, i, r->L + h);
    if (r->instance)
        right[r->L] = r->spread[r->L + h];
    memcpy(w, right, r->P * sizeof *w);
    substitute(a, r->P, w);
    for (size_t i = 0; i < r->P; i++) {
        left -= w[i] * right[i];
        square += w[i] * w[i];
        at += r->instance ? 0 : w[i] * r->sum[i];
    }
    r->weight[r->H * r->P + h] = r->instance ? 0 : (r->sum[r->L + h] - at) / r->windows;
    r->weight[r->H * (r->P + 1) + h] = sqrt(fmax(left - lambda * square, 0) / r->windows);
}

int baseline_ridge_solve(struct baseline_ridge *r, struct err *e)
{
    size_t P = r->P;
    double *a, lambda = 0;
    int rc = -1;

    if (r->windows == 0)
        return err_set(e, ERR_SHAPE, "no series has %zu known values in a row (window %zu and "
                       "horizon %zu)", r->K, r->L, r->H);
    a = mem_zero(P * P + P, sizeof *a);
    if (a == NULL)
        return err_set(e, ERR_NOMEM, "no memory to solve for %zu regressors", P);
    for (size_t i = 0; i < r->L; i++)
        for (size_t j = 0; j <= i; j++)
            a[i * P + j] = product(r, j, i);
    for (size_t j = 0; r->instance && j < r->L; j++)
        a[r->L * P + j] = r->spread[j];
    if (r->instance)
        a[r->L * P + r->L] = r->dev2;
    for (size_t i = 0; i < P; i++)
        lambda += a[i * P + i] / (double)P * r->penalty;
    if (lambda == 0 && r->penalty > 0)
        lambda = r->penalty; /* every window is flat: there is nothing to learn, weights are 0 */
    for (size_t i = 0; i < P; i++)
        a[i * P + i] += lambda;
    if (factor(a, P) != 0) {
        err_set(e, ERR_INVALID, "the windows do not determine %zu weights: a larger penalty is "
                "needed", P);
    } else {
        for (size_t h = 0; h < r->H; h++)
            solve_step(r, a, h, lambda, a + P * P);
        rc = 0;
    }
    mem_free(a);
    return rc;
}

void baseline_ridge_predict(const struct baseline_ridge *r, const double *y, size_t n, size_t H,
                            double *mean, double *sd, double *work)
{
    size_t L = r->L, from = n > L ? n - L : 0, pad = n > L ? 0 : L - n;
    double shift, scale, level, dev, count = 0;

    series_scale(r, y, n, &shift, &scale);
    for (size_t t = from; t < n; t++)
        count += !isnan(y[t]);
    for (size_t h = 0; h < H; h++)
        mean[h] = sd[h] = NAN;
    if (count == 0)
        return;
    moments(y + from, n - from, &level, &dev);
    for (size_t i = 0; i < L; i++) {
        double x = i < pad || isnan(y[from + i - pad]) ? level : y[from + i - pad];

        work[i] = (x - (r->instance ? level : shift)) / scale;
    }
    dev /= scale;
    for (size_t h = 0; h < H; h++) {
        const double *w = r->weight + h * r->P;
        double x = r->weight[r->H * r->P + h];

        for (size_t i = 0; i < L; i++)
            x += w[i] * work[i];
        x += r->instance ? w[L] * dev : 0;
        mean[h] = (r->instance ? level : shift) + x * scale;
        sd[h] = r->weight[r->H * (r->P + 1) + h] * scale;
    }
}

size_t baseline_ridge_horizon(const struct baseline_ridge *r)
{
    return r->H;
}

double *baseline_ridge_weights(struct baseline_ridge *r, size_t *count)
{
    *count = r->H * (r->P + 2);
    return r->weight;
}
