/*
 * kern_loops.h - the kernels that are plain loops, one source for every CPU.
 *
 * Included once by each kern_*.c, which defines FN(name) and the target the compiler may use: the
 * loops turn into wider registers, the values stay the same bits, since sums go into sixteen
 * lanes of f64 in the source itself. What they do is written in kern.h.
 */
#include <math.h>
#include <string.h>

#include "tensor/rng.h"

#define LANES 16

static inline double FN(fold)(const double s[LANES])
{
    double t = 0;

    for (int j = 0; j < LANES; j++)
        t += s[j];
    return t;
}

/* Four panels a pass: longer runs of a row are read at once. */
static void FN(pack_rows)(float *restrict out, const float *restrict b, ptrdiff_t ld, int k, int n)
{
    const size_t next = (size_t)k * PANEL;
    int wide = n / (4 * PANEL) * 4 * PANEL;

    for (int j0 = 0; j0 < wide; j0 += 4 * PANEL, out += 3 * next)
        for (int i = 0; i < k; i++, out += PANEL) {
            const float *row = b + i * ld + j0;
            for (int p = 0; p < 4; p++)
                for (int j = 0; j < PANEL; j++)
                    out[(size_t)p * next + (size_t)j] = row[p * PANEL + j];
        }
    for (int j0 = wide; j0 < n; j0 += PANEL) {
        int w = n - j0 < PANEL ? n - j0 : PANEL;
        for (int i = 0; i < k; i++, out += PANEL) {
            const float *row = b + i * ld + j0;
            if (w == PANEL) {
                for (int j = 0; j < PANEL; j++)
                    out[j] = row[j];
            } else {
                for (int j = 0; j < PANEL; j++)
                    out[j] = j < w ? row[j] : 0;
            }
        }
    }
}

static void FN(norm_fwd)(float *y, float *mean, float *rstd, const float *x, const float *gamma,
                         const float *beta, float eps, int rows, int n)
{
    for (int r = 0; r < rows; r++, x += n, y += n) {
        double s[LANES] = {0}, q[LANES] = {0};
        int full = n / LANES * LANES;
        for (int i = 0; i < full; i += LANES)
            for (int j = 0; j < LANES; j++)
                s[j] += (double)x[i + j];
        for (int j = 0; j < n - full; j++)
            s[j] += (double)x[full + j];
        double mu = FN(fold)(s) / n;
        for (int i = 0; i < full; i += LANES)
            for (int j = 0; j < LANES; j++) {
                double d = (double)x[i + j] - mu;
                q[j] += d * d;
            }
        for (int j = 0; j < n - full; j++)
            q[j] += ((double)x[full + j] - mu) * ((double)x[full + j] - mu);
        double is = 1 / sqrt(FN(fold)(q) / n + (double)eps);
        mean[r] = (float)mu;
        rstd[r] = (float)is;
        for (int i = 0; i < n; i++)
            y[i] = (float)(((double)x[i] - mu) * is) * gamma[i] + beta[i];
    }
}

static void FN(norm_bwd)(float *dx, float *dgamma, float *dbeta, const float *dy, const float *x,
                         const float *mean, const float *rstd, const float *gamma, int rows, int n)
{
    for (int r = 0; r < rows; r++, x += n, dy += n, dx += n) {
        double s[LANES] = {0}, q[LANES] = {0};
        double mu = (double)mean[r], is = (double)rstd[r];
        int full = n / LANES * LANES;
        for (int i = 0; i < full; i += LANES)
            for (int j = 0; j < LANES; j++) {
                double g = (double)dy[i + j] * (double)gamma[i + j];
                s[j] += g;
                q[j] += g * (((double)x[i + j] - mu) * is);
            }
        for (int i = full; i < n; i++) {
            double g = (double)dy[i] * (double)gamma[i];
            s[i - full] += g;
            q[i - full] += g * (((double)x[i] - mu) * is);
        }
        double a = FN(fold)(s) / n, b = FN(fold)(q) / n;
        if (dgamma != NULL)
            for (int i = 0; i < n; i++) {
                dgamma[i] += dy[i] * (float)(((double)x[i] - mu) * is);
                dbeta[i] += dy[i];
            }
        for (int i = 0; i < n; i++) {
            double h = ((double)x[i] - mu) * is;
            dx[i] = (float)(((double)dy[i] * (double)gamma[i] - a - h * b) * is);
        }
    }
}

#ifndef KERN_DROP
static void FN(drop)(float *out, const float *x, const uint16_t *mask, ptrdiff_t words,
                     float scale, int rows, int n)
{
    for (int r = 0; r < rows; r++, x += n, out += n, mask += words)
        for (int i = 0; i < n; i += LANES) {
            uint32_t w = mask[i / LANES];
            int m = n - i < LANES ? n - i : LANES;
            if (m == LANES) {
                for (int j = 0; j < LANES; j++)
                    out[i + j] = (w >> j & 1) != 0 ? x[i + j] * scale : 0;
            } else {
                for (int j = 0; j < m; j++)
                    out[i + j] = (w >> j & 1) != 0 ? x[i + j] * scale : 0;
            }
        }
}
#endif

#ifndef KERN_NUMBERS
/* The numbers of sixteen counters from c on. */
static void FN(numbers)(uint32_t v[4][LANES], uint64_t c, uint64_t key, uint64_t stream)
{
    for (int j = 0; j < LANES; j++) {
        v[0][j] = (uint32_t)(c + (uint64_t)j);
        v[1][j] = (uint32_t)((c + (uint64_t)j) >> 32);
        v[2][j] = (uint32_t)stream;
        v[3][j] = (uint32_t)(stream >> 32);
        rng_philox(&v[0][j], &v[1][j], &v[2][j], &v[3][j], key);
    }
}
/* Bit j says whether 16 bits of x[j], from `shift` on, are below `keep`. */
static uint16_t FN(below)(const uint32_t x[LANES], uint32_t shift, uint32_t keep)
{
    uint32_t bits = 0;

    for (int j = 0; j < LANES; j++)
        bits |= (uint32_t)((x[j] >> shift & 0xffff) < keep) << j;
    return (uint16_t)bits;
}
#endif

/*
 * Words come in groups of 8: group g takes the sixteen counters from 16 g on, word q of it the low
 * (q even) or high half of number q / 2, bit j from counter 16 g + j.
 */
static void FN(mask)(uint16_t *words, size_t first, size_t n, uint64_t key, uint64_t stream,
                     uint32_t keep)
{
    for (size_t w = first; w < first + n;) {
        uint32_t v[4][LANES];
        uint64_t c = (uint64_t)(w / 8) * LANES;
        FN(numbers)(v, c, key, stream);
        do {
            words[w - first] = FN(below)(v[w % 8 / 2], w % 2 != 0 ? 16 : 0, keep);
            w++;
        } while (w % 8 != 0 && w < first + n);
    }
}

#define WIDE (4 * LANES)
static void FN(colsum)(float *out, const float *x, ptrdiff_t ld, int rows, int n)
{
    int wide = n / WIDE * WIDE;

    for (int i = 0; i < wide; i += WIDE) { /* four lines of a row at once */
        double s[WIDE] = {0};
        for (int r = 0; r < rows; r++)
            for (int j = 0; j < WIDE; j++)
                s[j] += (double)x[r * ld + i + j];
        for (int j = 0; j < WIDE; j++)
            out[i + j] += (float)s[j];
    }
    for (int i = wide; i < n; i += LANES) {
        double s[LANES] = {0};
        int m = n - i < LANES ? n - i : LANES;
        if (m == LANES) {
            for (int r = 0; r < rows; r++)
                for (int j = 0; j < LANES; j++)
                    s[j] += (double)x[r * ld + i + j];
        } else {
            for (int r = 0; r < rows; r++)
                for (int j = 0; j < m; j++)
                    s[j] += (double)x[r * ld + i + j];
        }
        for (int j = 0; j < m; j++)
            out[i + j] += (float)s[j];
    }
}

static int FN(take)(float *restrict out, const float *restrict x, size_t n)
{
    size_t full = n / LANES * LANES;
    uint32_t bad[LANES] = {0}, any = 0;

    for (size_t i = 0; i < full; i += LANES)
        for (int j = 0; j < LANES; j++) {
            out[i + (size_t)j] = x[i + (size_t)j];
            bad[j] |= x[i + (size_t)j] != x[i + (size_t)j];
        }
    for (size_t i = full; i < n; i++) {
        out[i] = x[i];
        bad[i - full] |= x[i] != x[i];
    }
    for (int j = 0; j < LANES; j++)
        any |= bad[j];
    return any != 0;
}

static void FN(standard)(float *x, double *mean, double *std, size_t n, double eps)
{
    double s[LANES] = {0}, q[LANES] = {0}, mu, is;
    size_t full = n / LANES * LANES;

    for (size_t i = 0; i < full; i += LANES)
        for (int j = 0; j < LANES; j++)
            s[j] += (double)x[i + (size_t)j];
    for (size_t i = full; i < n; i++)
        s[i - full] += (double)x[i];
    mu = FN(fold)(s) / (double)n;
    for (size_t i = 0; i < full; i += LANES)
        for (int j = 0; j < LANES; j++) {
            double d = (double)x[i + (size_t)j] - mu;
            q[j] += d * d;
        }
    for (size_t i = full; i < n; i++)
        q[i - full] += ((double)x[i] - mu) * ((double)x[i] - mu);
    *mean = mu;
    *std = sqrt(FN(fold)(q) / (double)n + eps);
    is = 1 / *std;
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(((double)x[i] - mu) * is);
}

static void FN(add)(float *restrict y, const float *restrict x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] += x[i];
}

static double FN(dot)(const float *x, const float *y, size_t n)
{
    double s[LANES] = {0};
    size_t full = n / LANES * LANES;

    for (size_t i = 0; i < full; i += LANES)
        for (int j = 0; j < LANES; j++)
            s[j] += (double)x[i + (size_t)j] * (double)y[i + (size_t)j];
    for (size_t i = full; i < n; i++)
        s[i - full] += (double)x[i] * (double)y[i];
    return FN(fold)(s);
}

static void FN(adam)(float *restrict p, const float *restrict g, float *restrict m,
                     float *restrict v, float *restrict vmax, size_t n,
                     const struct optim_step *s)
{
    const float lr = s->lr * s->correct1, b1 = s->beta1, b2 = s->beta2, eps = s->eps;
    const float c2 = s->correct2, l2 = s->l2, shrink = s->shrink, clip = s->clip;
    const float a1 = s->rest1, a2 = s->rest2;

    if (s->amsgrad) {
        for (size_t i = 0; i < n; i++) {
            float d = g[i] * clip + l2 * p[i];
            m[i] = b1 * m[i] + a1 * d;
            v[i] = b2 * v[i] + a2 * d * d;
            vmax[i] = vmax[i] > v[i] ? vmax[i] : v[i];
            p[i] = p[i] * shrink - lr * m[i] / (sqrtf(vmax[i]) * c2 + eps);
        }
        return;
    }
    for (size_t i = 0; i < n; i++) {
        float d = g[i] * clip + l2 * p[i];
        m[i] = b1 * m[i] + a1 * d;
        v[i] = b2 * v[i] + a2 * d * d;
        p[i] = p[i] * shrink - lr * m[i] / (sqrtf(v[i]) * c2 + eps);
    }
}

static void FN(sgd)(float *restrict p, const float *restrict g, float *restrict m, size_t n,
                    const struct optim_step *s)
{
    const float mu = s->momentum, lr = s->lr, l2 = s->l2, clip = s->clip, shrink = s->shrink;

    if (mu == 0) {
        for (size_t i = 0; i < n; i++)
            p[i] = p[i] * shrink - lr * (g[i] * clip + l2 * p[i]);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        float d = g[i] * clip + l2 * p[i];
        m[i] = s->first ? d : mu * m[i] + d;
        p[i] = p[i] * shrink - lr * m[i];
    }
}
