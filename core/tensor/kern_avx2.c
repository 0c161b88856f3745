/*
 * kern_avx2.c - the matrix product for CPUs with AVX2 and FMA; all else is kern_loops.h compiled
 * for them.
 *
 * Up to 6 rows by half a panel (16 columns): 12 sums in registers. A block that is not whole is
 * put down in a small square first and finished value by value.
 */
#include "tensor/kern.h"

#if defined(__x86_64__)

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif

#include <immintrin.h>

#define FN(name) avx2_##name
#include "tensor/kern_loops.h"

#define INLINE static inline __attribute__((always_inline))
#define ROWS 6
#define COLS 16

static float finish_one(const struct gemm *g, int i, int j, float v)
{
    if (g->bias != NULL)
        v += g->bias[j];
    if (g->mask != NULL)
        v = (g->mask[i * g->mask_words + j / 16] >> (j % 16) & 1) != 0 ? v * g->mask_scale : 0;
    if (g->relu && v < 0)
        v = 0;
    if (g->gate != NULL && !(g->gate[i * g->ld_gate + j] > 0))
        v = 0;
    if (g->add)
        v += g->c[i * g->ldc + j];
    return v;
}

/* Eight whole columns of row i. */
INLINE void finish(const struct gemm *g, int i, int j, __m256 v)
{
    float *c = g->c + i * g->ldc + j;

    if (g->bias != NULL)
        v = _mm256_add_ps(v, _mm256_loadu_ps(g->bias + j));
    if (g->mask != NULL) {
        int bits = g->mask[i * g->mask_words + j / 16] >> (j % 16);
        __m256i one = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
        __m256i on = _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32(bits), one), one);
        v = _mm256_and_ps(_mm256_mul_ps(v, _mm256_set1_ps(g->mask_scale)),
                          _mm256_castsi256_ps(on));
    }
    if (g->relu) /* the order of the operands keeps NaN */
        v = _mm256_max_ps(_mm256_setzero_ps(), v);
    if (g->gate != NULL)
        v = _mm256_and_ps(v, _mm256_cmp_ps(_mm256_loadu_ps(g->gate + i * g->ld_gate + j),
                                           _mm256_setzero_ps(), _CMP_GT_OQ));
    if (g->add)
        v = _mm256_add_ps(v, _mm256_loadu_ps(c));
    _mm256_storeu_ps(c, v);
}

INLINE void block(const struct gemm *g, int i0, int j0, const int MR)
{
    __m256 s[ROWS][2];
    const ptrdiff_t rs = g->rs, cs = g->cs;
    const float *a0 = g->a + i0 * rs, *a3 = a0 + 3 * rs;
    const float *b = g->b + kern_packed(g->k, j0 / PANEL * PANEL) + j0 % PANEL;
    int w = g->n - j0;

#pragma GCC unroll 6
    for (int i = 0; i < MR; i++)
        s[i][0] = s[i][1] = _mm256_setzero_ps();
    for (int k = g->k; k > 0; k--, b += PANEL, a0 += cs, a3 += cs) {
        __m256 b0 = _mm256_loadu_ps(b), b1 = _mm256_loadu_ps(b + 8);
#pragma GCC unroll 6
        for (int i = 0; i < MR; i++) {
            __m256 a = _mm256_broadcast_ss(i < 3 ? a0 + i * rs : a3 + (i - 3) * rs);
            s[i][0] = _mm256_fmadd_ps(a, b0, s[i][0]);
            s[i][1] = _mm256_fmadd_ps(a, b1, s[i][1]);
        }
    }
#pragma GCC unroll 6
    for (int i = 0; i < MR; i++) {
        if (w >= COLS) {
            finish(g, i0 + i, j0, s[i][0]);
            finish(g, i0 + i, j0 + 8, s[i][1]);
        } else {
            float v[COLS];
            _mm256_storeu_ps(v, s[i][0]);
            _mm256_storeu_ps(v + 8, s[i][1]);
            for (int j = 0; j < w; j++)
                g->c[(i0 + i) * g->ldc + j0 + j] = finish_one(g, i0 + i, j0 + j, v[j]);
        }
    }
}

static void avx2_gemm(const struct gemm *g)
{
    for (int j = 0; j < g->n; j += COLS) {
        int i = 0;
        for (; g->m - i >= ROWS; i += ROWS)
            block(g, i, j, ROWS);
        switch (g->m - i) {
        case 5: block(g, i, j, 5); break;
        case 4: block(g, i, j, 4); break;
        case 3: block(g, i, j, 3); break;
        case 2: block(g, i, j, 2); break;
        case 1: block(g, i, j, 1); break;
        default: break;
        }
    }
}

/* Eight columns of the panel at a time, so that each line of B is read once. */
static void avx2_pack_cols(float *out, const float *b, ptrdiff_t ld, int k, int n)
{
    for (int j0 = 0; j0 < n; j0 += PANEL, out += (size_t)k * PANEL)
        for (int j = j0; j < j0 + PANEL; j++)
            for (int i = 0; i < k; i++)
                out[(size_t)i * PANEL + (size_t)(j - j0)] = j < n ? b[j * ld + i] : 0;
}

const struct kern kern_avx2 = {
    .name = "avx2",
    .pack_rows = avx2_pack_rows,
    .pack_cols = avx2_pack_cols,
    .gemm = avx2_gemm,
    .norm_fwd = avx2_norm_fwd,
    .norm_bwd = avx2_norm_bwd,
    .drop = avx2_drop,
    .mask = avx2_mask,
    .colsum = avx2_colsum,
    .add = avx2_add,
    .take = avx2_take,
    .standard = avx2_standard,
    .dot = avx2_dot,
    .adam = avx2_adam,
    .sgd = avx2_sgd,
};

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
