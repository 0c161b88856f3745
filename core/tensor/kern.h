/*
 * kern.h - the table of kernels, filled once at start from what the CPU has.
 *
 * A kernel takes raw pointers and sizes, touches no globals, allocates nothing and cannot fail:
 * shapes are checked at the door by whoever calls. kern_ref is the definition, always there and
 * the fallback; the others give the same values up to the rounding of the matrix products (all
 * else is the same source compiled for wider registers, so the same bits).
 *
 * Everything is f32, row-major, unless a line says otherwise. Any thread; no output may overlap
 * an input except where "in place" is written.
 */
#ifndef TENSOR_KERN_H
#define TENSOR_KERN_H

#include <stddef.h>
#include <stdint.h>

/* Columns of a panel of a packed matrix: two registers of 16 floats. */
#define PANEL 32

/*
 * One matrix product with what follows it, C (m, n) = f(A (m, k) B (k, n)):
 *   v = sum; + bias; dropout by `mask`; relu; gate; + C when `add`
 * Zero or NULL switches a step off. The sum over k runs in index order whatever m and n are, so a
 * product may be cut into row or column ranges without changing a bit.
 */
struct gemm {
    float *c;
    ptrdiff_t ldc; /* floats from row to row */
    const float *a;
    ptrdiff_t rs, cs; /* A(i, k) = a[i * rs + k * cs]; one of them is 1 when speed matters */
    const float *b;   /* packed by pack_rows or pack_cols */
    int m, n, k;
    const float *bias;    /* (n) */
    const uint16_t *mask; /* keep bits, 16 columns a word, row after row */
    ptrdiff_t mask_words; /* words from row to row */
    float mask_scale;     /* 1 / (1 - p): kept values are multiplied by it */
    int relu;
    const float *gate; /* (m, n): the value stays where gate > 0, else becomes 0 */
    ptrdiff_t ld_gate;
    int add;
};

/* One step of an optimizer, see optim.h for what the numbers mean. */
struct optim_step {
    float lr, beta1, beta2, eps;
    float rest1, rest2;       /* 1 - beta1, 1 - beta2, rounded once */
    float correct1, correct2; /* 1 / (1 - beta1^t), 1 / sqrt(1 - beta2^t) */
    float l2;                 /* added to the gradient as l2 * p */
    float shrink;             /* decoupled decay: p *= shrink first; 1 = none */
    float clip;               /* factor for every gradient */
    float momentum;           /* sgd */
    int first;                /* sgd: the first step, momentum buffer is empty */
    int amsgrad;
};

struct kern {
    const char *name; /* "ref", "avx2", "avx512" */

    /* B (k, n) with rows ld apart, and B given as its transpose (n, k), into panels of PANEL
     * columns: panel after panel, each (k, PANEL), short ones filled with 0. */
    void (*pack_rows)(float *out, const float *b, ptrdiff_t ld, int k, int n);
    void (*pack_cols)(float *out, const float *b, ptrdiff_t ld, int k, int n);
    void (*gemm)(const struct gemm *g);

    /* y (rows, n) = layer norm of x (rows, n) over n; mean and rstd (rows) kept for the way back.
     * Biased variance, eps inside the root. In place is fine. */
    void (*norm_fwd)(float *y, float *mean, float *rstd, const float *x, const float *gamma,
                     const float *beta, float eps, int rows, int n);
    /* dx (rows, n) from dy; adds to dgamma (n), dbeta (n) when not NULL. dx may be dy. */
    void (*norm_bwd)(float *dx, float *dgamma, float *dbeta, const float *dy, const float *x,
                     const float *mean, const float *rstd, const float *gamma, int rows, int n);

    /* out (rows, n) = x * keep bit * scale; words is words from row to row. In place is fine. */
    void (*drop)(float *out, const float *x, const uint16_t *mask, ptrdiff_t words, float scale,
                 int rows, int n);
    /* Random keep bits: word i of stream (key, stream) has each bit set with chance keep/65536. */
    void (*mask)(uint16_t *words, size_t first, size_t n, uint64_t key, uint64_t stream,
                 uint32_t keep);

    /* out (n) += sum over rows of x (rows, n), rows ld apart; in f64, in row order: a sum
     * that cancels must come out as 0, or Adam makes a step of rounding noise. */
    void (*colsum)(float *out, const float *x, ptrdiff_t ld, int rows, int n);
    void (*add)(float *y, const float *x, size_t n);  /* y += x */
    int (*take)(float *out, const float *x, size_t n); /* out = x; whether one of x is NaN */
    /* In place (x - mean) / std; std is the root of the biased variance + eps. Sums in f64. */
    void (*standard)(float *x, double *mean, double *std, size_t n, double eps);
    double (*dot)(const float *x, const float *y, size_t n); /* in f64: sixteen sums, then one */

    /* Optimizer steps over n parameters, one pass; m, v, vmax are their memories. */
    void (*adam)(float *p, const float *g, float *m, float *v, float *vmax, size_t n,
                 const struct optim_step *s);
    void (*sgd)(float *p, const float *g, float *m, size_t n, const struct optim_step *s);
};

/* Floats a packed (k, n) takes. */
static inline size_t kern_packed(int k, int n)
{
    return (size_t)k * (size_t)((n + PANEL - 1) / PANEL * PANEL);
}

/* Words a row of n keep bits takes. */
static inline int kern_words(int n)
{
    return (n + 15) / 16;
}

/*
 * The table in use. The first call picks the best this CPU has, unless kern_use was called before.
 * kern_use: "best", "ref", "avx2" or "avx512"; -1 when the CPU or the build has no such.
 * Call it at start, before any other thread computes.
 */
const struct kern *kern(void);
int kern_use(const char *name);

/* The i-th table this CPU can run, 0 = ref; NULL past the last. For tests and benches. */
const struct kern *kern_at(int i);

extern const struct kern kern_ref;
#if defined(__x86_64__)
extern const struct kern kern_avx2;
extern const struct kern kern_avx512;
#endif

#endif
