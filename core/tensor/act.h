/*
 * act.h - functions of one value, forward and backward, over n values.
 *
 * y may be x. Backward ADDS into dx. The exponentials are computed in f64 and rounded once, and
 * never overflow. Not the hot path: there relu lives inside the product (kern.h).
 */
#ifndef TENSOR_ACT_H
#define TENSOR_ACT_H

#include <stddef.h>

/* max(x, 0); the slope at 0 is 0; NaN stays NaN */
void relu_fwd(float *y, const float *x, size_t n);
void relu_bwd(float *dx, const float *dy, const float *x, size_t n);

/* 1 / (1 + exp(-x)) */
void sigmoid_fwd(float *y, const float *x, size_t n);
void sigmoid_bwd(float *dx, const float *dy, const float *x, size_t n);

/* log(1 + exp(beta x)) / beta; x itself where beta x > threshold */
void softplus_fwd(float *y, const float *x, double beta, double threshold, size_t n);
void softplus_bwd(float *dx, const float *dy, const float *x, double beta, double threshold,
                  size_t n);

void tanh_fwd(float *y, const float *x, size_t n);
void tanh_bwd(float *dx, const float *dy, const float *x, size_t n);

/* x P(X <= x), X normal; by erf, or by the tanh formula (Hendrycks and Gimpel, arXiv:1606.08415) */
void gelu_fwd(float *y, const float *x, int by_tanh, size_t n);
void gelu_bwd(float *dx, const float *dy, const float *x, int by_tanh, size_t n);

/* Over rows of x (rows, n); `log` gives the logarithm of the softmax. */
void softmax_fwd(float *y, const float *x, int log, int rows, int n);
void softmax_bwd(float *dx, const float *dy, const float *x, int log, int rows, int n);

#endif
