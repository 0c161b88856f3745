/*
 * loss.c - losses with their gradients. See loss.h.
 */
#include "model/loss.h"

#include <math.h>
#include <string.h>

double loss_mse(float *dpred, const float *pred, const float *target, size_t n)
{
    double s = 0;

    for (size_t i = 0; i < n; i++) {
        double e = (double)pred[i] - (double)target[i];
        s += e * e;
        if (dpred != NULL)
            dpred[i] = (float)(2 * e / (double)n);
    }
    return s / (double)n;
}

double loss_mae(float *dpred, const float *pred, const float *target, size_t n)
{
    double s = 0;

    for (size_t i = 0; i < n; i++) {
        double e = (double)pred[i] - (double)target[i];
        s += fabs(e);
        if (dpred != NULL)
            dpred[i] = (float)((double)((e > 0) - (e < 0)) / (double)n);
    }
    return s / (double)n;
}

double loss_huber(float *dpred, const float *pred, const float *target, double delta, size_t n)
{
    double s = 0;

    for (size_t i = 0; i < n; i++) {
        double e = (double)pred[i] - (double)target[i], a = fabs(e);
        s += a <= delta ? e * e / 2 : delta * (a - delta / 2);
        if (dpred != NULL)
            dpred[i] = (float)(fmax(-delta, fmin(delta, e)) / (double)n);
    }
    return s / (double)n;
}

double loss_logits(float *dpred, const float *pred, const float *target, double pos_weight,
                   size_t n)
{
    double s = 0;

    for (size_t i = 0; i < n; i++) {
        double z = (double)pred[i], t = (double)target[i], small = exp(-fabs(z));
        double soft = log1p(small) + fmax(-z, 0); /* log(1 + exp(-z)) */
        double w = 1 + (pos_weight - 1) * t;
        double p = z >= 0 ? 1 / (1 + small) : small / (1 + small);
        s += (1 - t) * z + w * soft;
        if (dpred != NULL)
            dpred[i] = (float)(((1 - t) - w * (1 - p)) / (double)n);
    }
    return s / (double)n;
}

double loss_bce(float *dpred, double *each, const float *pred, const float *target, size_t n)
{
    double s = 0;

    for (size_t i = 0; i < n; i++) {
        double p = (double)pred[i], t = (double)target[i];
        double v = -(t * fmax(log(p), -100) + (1 - t) * fmax(log(1 - p), -100));
        s += v;
        if (each != NULL)
            each[i] = v;
        if (dpred != NULL)
            dpred[i] = (float)((p - t) / fmax(p * (1 - p), 1e-12) / (double)n);
    }
    return s / (double)n;
}

double loss_pinball(float *dpred, const float *pred, const float *target, const double *quantiles,
                    const double *q_weight, const float *weight, int Q, size_t n)
{
    double s = 0;

    for (size_t i = 0; i < n; i++) {
        double row = 0, w = weight != NULL ? (double)weight[i] : 1;
        for (int k = 0; k < Q; k++) {
            double q = quantiles[k], v = q_weight != NULL ? q_weight[k] : 1;
            double e = (double)target[i] - (double)pred[i * (size_t)Q + (size_t)k];
            row += v * fmax((q - 1) * e, q * e);
            if (dpred != NULL)
                dpred[i * (size_t)Q + (size_t)k] =
                    (float)(w * v * (e > 0 ? -q : e < 0 ? 1 - q : 0.5 - q) / (double)n);
        }
        s += w * row;
    }
    return s / (double)n;
}

int loss_kind_of(const char *name)
{
    static const char *const names[LOSS_COUNT] = {"mse", "mae", "huber", "pinball"};

    for (int i = 0; i < LOSS_COUNT; i++)
        if (strcmp(name, names[i]) == 0)
            return i;
    return -1;
}

/* Loss and slope of e = target - pred (slope in pred). */
static double point(const struct loss_conf *c, int k, double e, double *slope)
{
    double a = fabs(e), q, v;

    switch (c->kind) {
    case LOSS_MSE:
        *slope = -2 * e;
        return e * e;
    case LOSS_MAE:
        *slope = (e < 0) - (e > 0);
        return a;
    case LOSS_HUBER:
        *slope = -fmax(-c->delta, fmin(c->delta, e));
        return a <= c->delta ? e * e / 2 : c->delta * (a - c->delta / 2);
    default:
        q = c->quantiles[k];
        v = c->q_weight[k];
        *slope = v * (e > 0 ? -q : e < 0 ? 1 - q : 0.5 - q);
        return v * (e > 0 ? q * e : (q - 1) * e);
    }
}

double loss_sample(const struct loss_conf *c, float *dpred, const float *pred,
                   const float *target, int n, int Q, double weight, double scale)
{
    double s = 0;

    for (int i = 0; i < n; i++) {
        int missing = isnan(target[i]);
        for (int k = 0; k < Q; k++) {
            double slope = 0;
            if (!missing)
                s += point(c, k, (double)target[i] - (double)pred[i * Q + k], &slope);
            if (dpred != NULL)
                dpred[i * Q + k] = (float)(slope * weight * scale);
        }
    }
    return s * weight;
}

void loss_quantile_weights(double *out, const double *quantiles, int Q, double sigma_left,
                           double sigma_right, double peak, double base)
{
    double left = sigma_left * peak, right = sigma_right * (1 - peak);

    for (int i = 0; i < Q; i++) {
        double d = quantiles[i] - peak;
        if (sigma_left <= 0 && sigma_right <= 0)
            out[i] = Q == 1 ? 0.3 : 0.3 + (3 - 0.3) * i / (Q - 1);
        else if (d <= 0)
            out[i] = base * exp(-d * d / (2 * left * left));
        else
            out[i] = 0.5 + (base - 0.5) * exp(-d * d / (2 * right * right));
    }
}

double loss_quantile_draw(const float *value, const double *quantiles, int Q, double u)
{
    int k = 0;

    while (k < Q && quantiles[k] < u)
        k++;
    if (k == 0)
        return (double)value[0];
    if (k == Q)
        return (double)value[Q - 1];
    return (double)value[k - 1] + ((double)value[k] - (double)value[k - 1]) *
                                      (u - quantiles[k - 1]) / (quantiles[k] - quantiles[k - 1]);
}
