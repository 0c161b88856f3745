/*
 * kern_test.c - every fast kernel against kern_ref: products on odd shapes with every step that
 * may follow the sum, packing, and the plain loops, which must give the same bits.
 */
#include "check.h"

#include <stdlib.h>

#include "tensor/kern.h"
#include "tensor/rng.h"

/* Mean square of the difference over the mean square of the value. Measured: 1e-14. */
#define NMSE_MAX 1e-12

static float *noise(size_t n, uint64_t stream)
{
    float *x = malloc((n + 16) * sizeof *x);

    if (x == NULL)
        exit(1);
    for (size_t i = 0; i < n + 16; i++)
        x[i] = (float)rng_normal(7, stream, i);
    return x;
}

static double worst;

static void check_gemm(const struct kern *k, int m, int n, int depth, int how, int flat)
{
    size_t ld = (size_t)n + 3;
    float *a = noise((size_t)m * (size_t)depth, 1), *b = noise((size_t)depth * (size_t)n, 2);
    float *c1 = noise((size_t)m * ld, 3), *c2 = noise((size_t)m * ld, 3);
    float *bias = noise((size_t)n, 4), *gate = noise((size_t)m * ld, 5);
    float *packed = malloc((kern_packed(depth, n) + 16) * sizeof *packed);
    int words = kern_words(n);
    uint16_t *mask = malloc((size_t)(m * words + 1) * sizeof *mask);
    double off = 0, all = 0;

    if (packed == NULL || mask == NULL)
        exit(1);
    kern_ref.mask(mask, 0, (size_t)(m * words), 9, 9, 40000);
    struct gemm g = {.ldc = (ptrdiff_t)ld, .a = a, .rs = flat ? 1 : depth, .cs = flat ? m : 1,
                     .b = packed, .m = m, .n = n, .k = depth};
    g.bias = (how & 1) != 0 ? bias : NULL;
    g.relu = (how & 2) != 0;
    g.add = (how & 4) != 0;
    if ((how & 8) != 0) {
        g.mask = mask;
        g.mask_words = words;
        g.mask_scale = 1.6f;
    }
    if ((how & 16) != 0) {
        g.gate = gate;
        g.ld_gate = (ptrdiff_t)ld;
    }
    kern_ref.pack_rows(packed, b, n, depth, n);
    g.c = c1;
    kern_ref.gemm(&g);
    if (k->pack_rows != NULL)
        k->pack_rows(packed, b, n, depth, n);
    g.c = c2;
    k->gemm(&g);
    for (int i = 0; i < m; i++)
        for (size_t j = 0; j < ld; j++) {
            double d = (double)c1[(size_t)i * ld + j] - (double)c2[(size_t)i * ld + j];
            if (j >= (size_t)n) /* between the rows nothing may be touched */
                CHECK(c2[(size_t)i * ld + j] == c1[(size_t)i * ld + j]);
            off += d * d;
            all += (double)c1[(size_t)i * ld + j] * (double)c1[(size_t)i * ld + j];
        }
    CHECK(off <= NMSE_MAX * all);
    if (off > NMSE_MAX * all)
        printf("  %s: %d x %d x %d, steps %d, flat %d: nmse %.3g\n", k->name, m, n, depth, how,
               flat, off / all);
    if (all > 0 && off / all > worst)
        worst = off / all;
    free(a);
    free(b);
    free(c1);
    free(c2);
    free(bias);
    free(gate);
    free(packed);
    free(mask);
}

/* A product cut into ranges of rows and columns must not change a bit. */
static void check_cut(const struct kern *k)
{
    enum { M = 61, N = 150, K = 77, J = 64 };
    float *a = noise(M * K, 1), *b = noise(K * N, 2);
    static float whole[M * N], cut[M * N], packed[K * (N + PANEL)];
    struct gemm g = {.c = whole, .ldc = N, .a = a, .rs = K, .cs = 1, .b = packed, .m = M, .n = N,
                     .k = K};

    k->pack_rows(packed, b, N, K, N);
    k->gemm(&g);
    for (int i = 0; i < M;) {
        int rows = 1 + i % 14 < M - i ? 1 + i % 14 : M - i;
        g.c = cut + i * N;
        g.a = a + i * K;
        g.m = rows;
        g.n = J;
        g.b = packed;
        k->gemm(&g);
        g.c += J;
        g.b = packed + kern_packed(K, J);
        g.n = N - J;
        k->gemm(&g);
        i += rows;
    }
    CHECK(memcmp(whole, cut, sizeof whole) == 0);
    free(a);
    free(b);
}

static void check_pack(const struct kern *k, int depth, int n)
{
    float *b = noise((size_t)depth * (size_t)n, 3), *t = noise((size_t)depth * (size_t)n, 3);
    size_t count = kern_packed(depth, n);
    float *p = malloc((count + 1) * sizeof *p), *q = malloc((count + 1) * sizeof *q);

    if (p == NULL || q == NULL)
        exit(1);
    for (int i = 0; i < depth; i++)
        for (int j = 0; j < n; j++)
            t[j * depth + i] = b[i * n + j];
    kern_ref.pack_rows(p, b, n, depth, n);
    k->pack_rows(q, b, n, depth, n);
    CHECK(memcmp(p, q, count * sizeof *p) == 0);
    k->pack_cols(q, t, depth, depth, n);
    CHECK(memcmp(p, q, count * sizeof *p) == 0);
    free(b);
    free(t);
    free(p);
    free(q);
}

#define ROWS 13
#define LOOP 1031

static void check_loops(const struct kern *k, int n)
{
    const struct kern *r = &kern_ref;
    size_t all = (size_t)(ROWS * n);
    float *x = noise(all, 1), *dy = noise(all, 2), *gamma = noise((size_t)n, 3);
    float *beta = noise((size_t)n, 4), *y[2], mean[2][ROWS], rstd[2][ROWS];
    double m[2], sd[2];
    uint16_t mask[2][512];

    for (int i = 0; i < 2; i++) {
        const struct kern *q = i == 0 ? r : k;
        y[i] = noise(all * 10, 5);
        float *o = y[i];
        q->norm_fwd(o, mean[i], rstd[i], x, gamma, beta, 1e-5f, ROWS, n);
        q->norm_bwd(o + all, o + 2 * all, o + 3 * all, dy, x, mean[0], rstd[0], gamma, ROWS, n);
        q->mask(mask[i], (size_t)n, 300, 5, 6, 33000);
        q->drop(o + 4 * all, x, mask[0], kern_words(n), 1.25f, 4, n);
        q->colsum(o + 5 * all, x, n, ROWS, n);
        q->add(o + 6 * all, x, all);
        CHECK(q->dot(x, dy, all) == r->dot(x, dy, all));
        CHECK(q->take(o + 8 * all, x, all) == 0 && memcmp(o + 8 * all, x, all * sizeof *x) == 0);
        o[9 * all - 1] = NAN;
        CHECK(q->take(o + 9 * all, o + 8 * all, all) == 1);
        q->standard(o + 7 * all, &m[i], &sd[i], (size_t)n, 1e-5);
    }
    CHECK(memcmp(y[0], y[1], all * 10 * sizeof(float)) == 0);
    CHECK(m[0] == m[1] && sd[0] == sd[1]);
    CHECK(memcmp(mean[0], mean[1], sizeof mean[0]) == 0);
    CHECK(memcmp(rstd[0], rstd[1], sizeof rstd[0]) == 0);
    CHECK(memcmp(mask[0], mask[1], 300 * sizeof mask[0][0]) == 0);
    free(x);
    free(dy);
    free(gamma);
    free(beta);
    free(y[0]);
    free(y[1]);
}

static void check_optim(const struct kern *k)
{
    struct optim_step s = {.lr = 1e-3f, .beta1 = 0.9f, .beta2 = 0.999f, .rest1 = 0.1f,
                           .rest2 = 0.001f, .correct1 = 10, .correct2 = 31, .eps = 1e-8f,
                           .l2 = 0.01f, .shrink = 0.99f, .clip = 0.7f, .momentum = 0.9f};
    float *g = noise(LOOP, 1), *p[2], *m[2], *v[2];

    for (int i = 0; i < 2; i++) {
        const struct kern *q = i == 0 ? &kern_ref : k;
        p[i] = noise(LOOP, 2);
        m[i] = noise(LOOP, 3);
        v[i] = noise(2 * LOOP, 4);
        for (int j = 0; j < 2 * LOOP; j++)
            v[i][j] = fabsf(v[i][j]);
        for (s.amsgrad = 0; s.amsgrad < 2; s.amsgrad++)
            q->adam(p[i], g, m[i], v[i], v[i] + LOOP, LOOP, &s);
        for (s.first = 0; s.first < 2; s.first++)
            q->sgd(p[i], g, m[i], LOOP, &s);
    }
    CHECK(memcmp(p[0], p[1], LOOP * sizeof(float)) == 0);
    CHECK(memcmp(m[0], m[1], LOOP * sizeof(float)) == 0);
    CHECK(memcmp(v[0], v[1], 2 * LOOP * sizeof(float)) == 0);
    free(g);
    for (int i = 0; i < 2; i++) {
        free(p[i]);
        free(m[i]);
        free(v[i]);
    }
}

/* NaN and infinity must come through every step but the gate. */
static void check_nan(const struct kern *k)
{
    float a[3] = {1, NAN, INFINITY}, b[PANEL] = {1}, c[3] = {0}, bias[1] = {0};
    struct gemm g = {.c = c, .ldc = 1, .a = a, .rs = 1, .cs = 1, .b = b, .m = 3, .n = 1, .k = 1,
                     .bias = bias, .relu = 1};

    k->gemm(&g);
    CHECK(c[0] == 1 && isnan(c[1]) && isinf(c[2]));
}

int main(void)
{
    static const int sizes[] = {1, 2, 3, 5, 7, 12, 13, 16, 17, 25, 32, 33, 48, 65, 130};
    enum { N_SIZES = sizeof sizes / sizeof *sizes };

    CHECK(kern_use("no such") == -1);
    CHECK(kern() != NULL);
    for (int t = 0; kern_at(t) != NULL; t++) {
        const struct kern *k = kern_at(t);
        int turn = 0;
        worst = 0;
        for (int i = 0; i < N_SIZES; i++)
            for (int j = 0; j < N_SIZES; j++)
                for (int q = 0; q < N_SIZES; q++, turn++)
                    check_gemm(k, sizes[i], sizes[j], sizes[q], turn % 32, turn / 32 % 2);
        for (int m = 1; m < 30; m++)
            for (int how = 0; how < 32; how++)
                check_gemm(k, m, 21, 3, how, m % 2);
        check_gemm(k, 5, 40, 0, 5, 0);
        check_cut(k);
        for (int i = 0; i < N_SIZES; i++)
            for (int j = 0; j < N_SIZES; j++)
                check_pack(k, sizes[i], sizes[j]);
        for (int i = 0; i < N_SIZES; i++)
            check_loops(k, sizes[i]);
        check_optim(k);
        check_nan(k);
        printf("%s: worst nmse %.2g\n", k->name, worst);
    }
    return check_done();
}
