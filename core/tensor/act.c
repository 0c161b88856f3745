/*
 * act.c - functions of one value. See act.h.
 */
#include "tensor/act.h"

#include <math.h>

#define SQRT_2_OVER_PI 0.79788456080286535588
#define GELU_CUBE 0.044715

static double logistic(double x)
{
    double t = exp(-fabs(x));

    return x >= 0 ? 1 / (1 + t) : t / (1 + t);
}

void relu_fwd(float *y, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] < 0 ? 0 : x[i];
}

void relu_bwd(float *dx, const float *dy, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (x[i] > 0)
            dx[i] += dy[i];
}

void sigmoid_fwd(float *y, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = (float)logistic((double)x[i]);
}

void sigmoid_bwd(float *dx, const float *dy, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double t = exp(-fabs((double)x[i])); /* s (1 - s) without the loss of 1 - s near 1 */
        dx[i] += (float)((double)dy[i] * t / ((1 + t) * (1 + t)));
    }
}

void softplus_fwd(float *y, const float *x, double beta, double threshold, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double z = beta * (double)x[i];
        y[i] = z > threshold ? x[i] : (float)((fmax(z, 0) + log1p(exp(-fabs(z)))) / beta);
    }
}

void softplus_bwd(float *dx, const float *dy, const float *x, double beta, double threshold,
                  size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double z = beta * (double)x[i];
        dx[i] += z > threshold ? dy[i] : (float)((double)dy[i] * logistic(z));
    }
}

void tanh_fwd(float *y, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = (float)tanh((double)x[i]);
}

void tanh_bwd(float *dx, const float *dy, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double c = cosh((double)x[i]);
        dx[i] += (float)((double)dy[i] / (c * c));
    }
}

void gelu_fwd(float *y, const float *x, int by_tanh, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double v = (double)x[i];
        double t = by_tanh ? tanh(SQRT_2_OVER_PI * (v + GELU_CUBE * v * v * v))
                           : erf(v * 0.70710678118654752440);
        y[i] = (float)(0.5 * v * (1 + t));
    }
}

void gelu_bwd(float *dx, const float *dy, const float *x, int by_tanh, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double v = (double)x[i], g;
        if (by_tanh) {
            double t = tanh(SQRT_2_OVER_PI * (v + GELU_CUBE * v * v * v));
            g = 0.5 * (1 + t) +
                0.5 * v * (1 - t * t) * SQRT_2_OVER_PI * (1 + 3 * GELU_CUBE * v * v);
        } else {
            g = 0.5 * (1 + erf(v * 0.70710678118654752440)) +
                v * exp(-0.5 * v * v) * 0.39894228040143267794;
        }
        dx[i] += (float)((double)dy[i] * g);
    }
}

/* The largest value of a row and the sum of exp(x - largest). */
static double row_sum(const float *x, int n, double *largest)
{
    double s = 0;

    *largest = (double)x[0];
    for (int i = 1; i < n; i++)
        *largest = fmax(*largest, (double)x[i]);
    for (int i = 0; i < n; i++)
        s += exp((double)x[i] - *largest);
    return s;
}

void softmax_fwd(float *y, const float *x, int log_of, int rows, int n)
{
    for (int r = 0; n > 0 && r < rows; r++, x += n, y += n) {
        double top, s = row_sum(x, n, &top);
        for (int i = 0; i < n; i++)
            y[i] = (float)(log_of ? (double)x[i] - top - log(s) : exp((double)x[i] - top) / s);
    }
}

void softmax_bwd(float *dx, const float *dy, const float *x, int log_of, int rows, int n)
{
    for (int r = 0; n > 0 && r < rows; r++, x += n, dx += n, dy += n) {
        double top, s = row_sum(x, n, &top), t = 0;
        for (int i = 0; i < n; i++)
            t += (double)dy[i] * (log_of ? 1 : exp((double)x[i] - top) / s);
        for (int i = 0; i < n; i++) {
            double p = exp((double)x[i] - top) / s;
            dx[i] += (float)(log_of ? (double)dy[i] - p * t : p * ((double)dy[i] - t));
        }
    }
}
