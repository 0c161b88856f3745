/*
 * nn.h - layers: each is a forward and a backward function side by side.
 *
 * The model in tide.c composes the kernels itself, cut to its tiles; these are the same layers one
 * by one, for use from Lua and to be checked against references and finite differences. Backward
 * ADDS into every gradient that is not NULL. Kernels by `kern()`. Any thread.
 */
#ifndef MODEL_NN_H
#define MODEL_NN_H

#include <stddef.h>

#include "base/err.h"

/*
 * y (B, O) = x (B, I) w (O, I)' + b (O, or NULL). -1 with `nomem`: the weights are packed aside.
 */
int linear_fwd(float *y, const float *x, const float *w, const float *b, int B, int I, int O,
               struct err *e);
int linear_bwd(float *dx, float *dw, float *db, const float *dy, const float *x, const float *w,
               int B, int I, int O, struct err *e);

/* C (m, n) = A (m, k) B (k, n); backward: dA += dC B', dB += A' dC. */
int matmul_fwd(float *C, const float *A, const float *B, int m, int n, int k, struct err *e);
int matmul_bwd(float *dA, float *dB, const float *dC, const float *A, const float *B, int m, int n,
               int k, struct err *e);

/* Layer norm over the last axis; mean and rstd (rows) are kept by the caller. */
void layer_norm_fwd(float *y, float *mean, float *rstd, const float *x, const float *gamma,
                    const float *beta, float eps, int rows, int n);
void layer_norm_bwd(float *dx, float *dgamma, float *dbeta, const float *dy, const float *x,
                    const float *mean, const float *rstd, const float *gamma, int rows, int n);

/* y = x mask / (1 - p), mask of 0 and 1. The same function of dy is the way back. */
void dropout_apply(float *y, const float *x, const float *mask, double p, size_t n);

/*
 * Reversible instance norm (Kim et al. 2022) of x (B, L, C): mean and std = sqrt(var + eps) over L,
 * biased; z = (x - mean) / std * w + b, w and b (C) or both NULL. The statistics (B, C) are
 * constants to the gradient. The way out: y (B, H, C, Q) -> (y - b) / (w + eps^2) * std + mean.
 */
void rin_fwd(float *z, float *mean, float *std, const float *x, const float *w, const float *b,
             double eps, int B, int L, int C);
void rin_bwd(float *dx, float *dw, float *db, const float *dz, const float *x, const float *mean,
             const float *std, const float *w, int B, int L, int C);
void rin_out_fwd(float *out, const float *y, const float *mean, const float *std, const float *w,
                 const float *b, double eps, int B, int H, int C, int Q);
void rin_out_bwd(float *dy, float *dw, float *db, const float *dout, const float *y,
                 const float *std, const float *w, const float *b, double eps, int B, int H, int C,
                 int Q);

/*
 * The instance transform of the TiDE paper's code: std without eps, a std of 0 becomes 1, and the
 * way out divides by w + 1e-7. x (N, L), y (N, H); one w and b for all.
 */
void paper_norm_fwd(float *z, float *mean, float *std, const float *x, float w, float b, int N,
                    int L);
void paper_norm_out(float *out, const float *y, const float *mean, const float *std, float w,
                    float b, int N, int H);

#endif
