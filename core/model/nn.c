/*
 * nn.c - layers. See nn.h.
 */
#include "model/nn.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "tensor/kern.h"

#define PAPER_EPS 1e-7

static float *room(int k, int n, struct err *e)
{
    float *p = mem_aligned(kern_packed(k, n) * sizeof *p + 64);

    if (p == NULL)
        err_set(e, ERR_NOMEM, "no memory to pack a %d x %d matrix", k, n);
    return p;
}

int linear_fwd(float *y, const float *x, const float *w, const float *b, int B, int I, int O,
               struct err *e)
{
    float *packed = room(I, O, e);
    struct gemm g = {.c = y, .ldc = O, .a = x, .rs = I, .cs = 1, .b = packed, .m = B, .n = O,
                     .k = I, .bias = b};

    if (packed == NULL)
        return -1;
    kern()->pack_cols(packed, w, I, I, O);
    kern()->gemm(&g);
    mem_free(packed);
    return 0;
}

int linear_bwd(float *dx, float *dw, float *db, const float *dy, const float *x, const float *w,
               int B, int I, int O, struct err *e)
{
    float *packed = room(B > O ? B : O, I, e);

    if (packed == NULL)
        return -1;
    if (dx != NULL) {
        struct gemm g = {.c = dx, .ldc = I, .a = dy, .rs = O, .cs = 1, .b = packed, .m = B,
                         .n = I, .k = O, .add = 1};
        kern()->pack_rows(packed, w, I, O, I);
        kern()->gemm(&g);
    }
    if (dw != NULL) {
        struct gemm g = {.c = dw, .ldc = I, .a = dy, .rs = 1, .cs = O, .b = packed, .m = O,
                         .n = I, .k = B, .add = 1};
        kern()->pack_rows(packed, x, I, B, I);
        kern()->gemm(&g);
    }
    if (db != NULL)
        kern()->colsum(db, dy, O, B, O);
    mem_free(packed);
    return 0;
}

int matmul_fwd(float *C, const float *A, const float *B, int m, int n, int k, struct err *e)
{
    float *packed = room(k, n, e);
    struct gemm g = {.c = C, .ldc = n, .a = A, .rs = k, .cs = 1, .b = packed, .m = m, .n = n,
                     .k = k};

    if (packed == NULL)
        return -1;
    kern()->pack_rows(packed, B, n, k, n);
    kern()->gemm(&g);
    mem_free(packed);
    return 0;
}

int matmul_bwd(float *dA, float *dB, const float *dC, const float *A, const float *B, int m, int n,
               int k, struct err *e)
{
    float *packed = room(n > m ? n : m, k > n ? k : n, e);

    if (packed == NULL)
        return -1;
    if (dA != NULL) {
        struct gemm g = {.c = dA, .ldc = k, .a = dC, .rs = n, .cs = 1, .b = packed, .m = m,
                         .n = k, .k = n, .add = 1};
        kern()->pack_cols(packed, B, n, n, k);
        kern()->gemm(&g);
    }
    if (dB != NULL) {
        struct gemm g = {.c = dB, .ldc = n, .a = A, .rs = 1, .cs = k, .b = packed, .m = k, .n = n,
                         .k = m, .add = 1};
        kern()->pack_rows(packed, dC, n, m, n);
        kern()->gemm(&g);
    }
    mem_free(packed);
    return 0;
}

void layer_norm_fwd(float *y, float *mean, float *rstd, const float *x, const float *gamma,
                    const float *beta, float eps, int rows, int n)
{
    kern()->norm_fwd(y, mean, rstd, x, gamma, beta, eps, rows, n);
}

void layer_norm_bwd(float *dx, float *dgamma, float *dbeta, const float *dy, const float *x,
                    const float *mean, const float *rstd, const float *gamma, int rows, int n)
{
    for (int r = 0; r < rows; r++, x += n, dy += n, dx += n) {
        double a = 0, b = 0, mu = (double)mean[r], is = (double)rstd[r];
        for (int i = 0; i < n; i++) {
            double h = ((double)x[i] - mu) * is;
            a += (double)dy[i] * (double)gamma[i] / n;
            b += (double)dy[i] * (double)gamma[i] * h / n;
            dgamma[i] += (float)((double)dy[i] * h);
            dbeta[i] += dy[i];
        }
        for (int i = 0; i < n; i++) {
            double h = ((double)x[i] - mu) * is;
            dx[i] += (float)(((double)dy[i] * (double)gamma[i] - a - h * b) * is);
        }
    }
}

void dropout_apply(float *y, const float *x, const float *mask, double p, size_t n)
{
    float scale = (float)(1 / (1 - p));

    for (size_t i = 0; i < n; i++)
        y[i] = x[i] * mask[i] * scale;
}

void rin_fwd(float *z, float *mean, float *std, const float *x, const float *w, const float *b,
             double eps, int B, int L, int C)
{
    for (int i = 0; i < B; i++, x += (ptrdiff_t)L * C, z += (ptrdiff_t)L * C)
        for (int c = 0; c < C; c++) {
            double s = 0, q = 0;
            for (int t = 0; t < L; t++)
                s += (double)x[t * C + c];
            s /= L;
            for (int t = 0; t < L; t++)
                q += ((double)x[t * C + c] - s) * ((double)x[t * C + c] - s);
            q = sqrt(q / L + eps);
            mean[i * C + c] = (float)s;
            std[i * C + c] = (float)q;
            for (int t = 0; t < L; t++) {
                double v = ((double)x[t * C + c] - s) / q;
                z[t * C + c] = (float)(w != NULL ? v * (double)w[c] + (double)b[c] : v);
            }
        }
}

void rin_bwd(float *dx, float *dw, float *db, const float *dz, const float *x, const float *mean,
             const float *std, const float *w, int B, int L, int C)
{
    for (int c = 0; c < C; c++) {
        double sw = 0, sb = 0;
        for (int i = 0; i < B; i++) {
            double m = (double)mean[i * C + c], s = (double)std[i * C + c];
            for (int t = 0; t < L; t++) {
                ptrdiff_t at = ((ptrdiff_t)i * L + t) * C + c;
                sw += (double)dz[at] * (((double)x[at] - m) / s);
                sb += (double)dz[at];
                if (dx != NULL)
                    dx[at] += (float)((double)dz[at] * (w != NULL ? (double)w[c] : 1) / s);
            }
        }
        if (dw != NULL) {
            dw[c] += (float)sw;
            db[c] += (float)sb;
        }
    }
}

void rin_out_fwd(float *out, const float *y, const float *mean, const float *std, const float *w,
                 const float *b, double eps, int B, int H, int C, int Q)
{
    for (int i = 0; i < B; i++)
        for (int h = 0; h < H; h++)
            for (int c = 0; c < C; c++) {
                double d = w != NULL ? (double)w[c] + eps * eps : 1;
                double o = w != NULL ? (double)b[c] : 0;
                for (int q = 0; q < Q; q++)
                    *out++ = (float)(((double)*y++ - o) / d * (double)std[i * C + c] +
                                     (double)mean[i * C + c]);
            }
}

void rin_out_bwd(float *dy, float *dw, float *db, const float *dout, const float *y,
                 const float *std, const float *w, const float *b, double eps, int B, int H, int C,
                 int Q)
{
    for (int c = 0; c < C; c++) {
        double d = w != NULL ? (double)w[c] + eps * eps : 1, o = w != NULL ? (double)b[c] : 0;
        double sw = 0, sb = 0;
        for (int i = 0; i < B; i++)
            for (int h = 0; h < H; h++)
                for (int q = 0; q < Q; q++) {
                    ptrdiff_t at = (((ptrdiff_t)i * H + h) * C + c) * Q + q;
                    double g = (double)dout[at] * (double)std[i * C + c] / d;
                    sb -= g;
                    sw -= g * ((double)y[at] - o) / d;
                    if (dy != NULL)
                        dy[at] += (float)g;
                }
        if (dw != NULL) {
            dw[c] += (float)sw;
            db[c] += (float)sb;
        }
    }
}

void paper_norm_fwd(float *z, float *mean, float *std, const float *x, float w, float b, int N,
                    int L)
{
    for (int i = 0; i < N; i++, x += L, z += L) {
        double s = 0, q = 0;
        for (int t = 0; t < L; t++)
            s += (double)x[t];
        s /= L;
        for (int t = 0; t < L; t++)
            q += ((double)x[t] - s) * ((double)x[t] - s);
        q = sqrt(q / L);
        if (q == 0)
            q = 1;
        mean[i] = (float)s;
        std[i] = (float)q;
        for (int t = 0; t < L; t++)
            z[t] = (float)(((double)x[t] - s) / q * (double)w + (double)b);
    }
}

void paper_norm_out(float *out, const float *y, const float *mean, const float *std, float w,
                    float b, int N, int H)
{
    for (int i = 0; i < N; i++)
        for (int t = 0; t < H; t++)
            *out++ = (float)(((double)*y++ - (double)b) / ((double)w + PAPER_EPS) *
                             (double)std[i] + (double)mean[i]);
}
