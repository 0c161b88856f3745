/*
 * kern_avx512.c - the matrix product for CPUs with AVX-512; all else is kern_loops.h compiled for
 * them.
 *
 * The product works on a block of up to 12 rows by one panel (32 columns): 24 sums in registers,
 * one broadcast of A and two loads of B for every 2 FMAs a row. A single row takes four panels at
 * once instead, so that enough sums are under way. Every sum runs over k in order in one lane, so
 * the shape of the block never shows in the result.
 */
#include "tensor/kern.h"

#if defined(__x86_64__)

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,fma"))),  \
                             apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,fma,prefer-vector-width=512")
#endif

#include <immintrin.h>

#define INLINE static inline __attribute__((always_inline))

#include "tensor/rng.h"

/* x times f, all 64 bits of it. */
INLINE void wide(__m512i x, uint32_t f, __m512i *hi, __m512i *lo)
{
    __m512i m = _mm512_set1_epi64((int64_t)(uint64_t)f);
    __m512i even = _mm512_mul_epu32(x, m), odd = _mm512_mul_epu32(_mm512_srli_epi64(x, 32), m);

    *hi = _mm512_mask_mov_epi32(_mm512_srli_epi64(even, 32), 0xaaaa, odd);
    *lo = _mm512_mask_mov_epi32(even, 0xaaaa, _mm512_slli_epi64(odd, 32));
}

/* rng_philox for sixteen counters from c on; c is a multiple of 16, so the high half is one. */
#define KERN_NUMBERS
static void avx512_numbers(uint32_t v[4][16], uint64_t c, uint64_t key, uint64_t stream)
{
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    __m512i x0 = _mm512_add_epi32(_mm512_set1_epi32((int)(uint32_t)c),
                                  _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13,
                                                    14, 15));
    __m512i x1 = _mm512_set1_epi32((int)(uint32_t)(c >> 32));
    __m512i x2 = _mm512_set1_epi32((int)(uint32_t)stream);
    __m512i x3 = _mm512_set1_epi32((int)(uint32_t)(stream >> 32));

    for (int r = 0; r < 10; r++, k0 += 0x9e3779b9u, k1 += 0xbb67ae85u) {
        __m512i ph, pl, qh, ql;
        wide(x0, 0xd2511f53u, &ph, &pl);
        wide(x2, 0xcd9e8d57u, &qh, &ql);
        x0 = _mm512_xor_si512(_mm512_xor_si512(qh, x1), _mm512_set1_epi32((int)k0));
        x2 = _mm512_xor_si512(_mm512_xor_si512(ph, x3), _mm512_set1_epi32((int)k1));
        x1 = ql;
        x3 = pl;
    }
    _mm512_storeu_si512(v[0], x0);
    _mm512_storeu_si512(v[1], x1);
    _mm512_storeu_si512(v[2], x2);
    _mm512_storeu_si512(v[3], x3);
}

static inline uint16_t avx512_below(const uint32_t x[16], uint32_t shift, uint32_t keep)
{
    __m512i half = _mm512_and_si512(_mm512_srl_epi32(_mm512_loadu_si512(x),
                                                     _mm_cvtsi32_si128((int)shift)),
                                    _mm512_set1_epi32(0xffff));

    return _mm512_cmplt_epu32_mask(half, _mm512_set1_epi32((int)keep));
}

#define KERN_DROP
static void avx512_drop(float *out, const float *x, const uint16_t *mask, ptrdiff_t words,
                        float scale, int rows, int n)
{
    __m512 f = _mm512_set1_ps(scale);

    for (int r = 0; r < rows; r++, x += n, out += n, mask += words)
        for (int i = 0; i < n; i += 16) {
            __mmask16 in = (__mmask16)(n - i >= 16 ? 0xffffu : (1u << (n - i)) - 1);
            __m512 v = _mm512_maskz_loadu_ps(in, x + i);
            _mm512_mask_storeu_ps(out + i, in, _mm512_maskz_mul_ps(mask[i / 16], v, f));
        }
}

#define FN(name) avx512_##name
#include "tensor/kern_loops.h"

#define ROWS 12

/* 16 columns of row i from column j on: everything that follows the sum, then the store. */
INLINE void finish(const struct gemm *g, int i, int j, __m512 v)
{
    int w = g->n - j;
    __mmask16 in = (__mmask16)(w >= 16 ? 0xffffu : (1u << w) - 1);
    float *c = g->c + i * g->ldc + j;

    if (g->bias != NULL)
        v = _mm512_add_ps(v, _mm512_maskz_loadu_ps(in, g->bias + j));
    if (g->mask != NULL)
        v = _mm512_maskz_mul_ps(g->mask[i * g->mask_words + j / 16], v,
                                _mm512_set1_ps(g->mask_scale));
    if (g->relu) /* the order of the operands keeps NaN */
        v = _mm512_max_ps(_mm512_setzero_ps(), v);
    if (g->gate != NULL)
        v = _mm512_maskz_mov_ps(
            _mm512_cmp_ps_mask(_mm512_maskz_loadu_ps(in, g->gate + i * g->ld_gate + j),
                               _mm512_setzero_ps(), _CMP_GT_OQ),
            v);
    if (g->add)
        v = _mm512_add_ps(v, _mm512_maskz_loadu_ps(in, c));
    _mm512_mask_storeu_ps(c, in, v);
}

/* MR rows from i0 on by NV registers of columns from j0 on. FLAT: the rows of A lie side by side
 * (rs == 1, A is read transposed), so that their offsets are constants. */
INLINE void block(const struct gemm *g, int i0, int j0, const int MR, const int NV, const int FLAT)
{
    __m512 s[ROWS][2];
    const ptrdiff_t rs = g->rs, cs = g->cs;
    const float *a0 = g->a + i0 * rs, *a3 = a0 + 3 * rs, *a6 = a3 + 3 * rs, *a9 = a6 + 3 * rs;
    const float *b = g->b + kern_packed(g->k, j0 / PANEL * PANEL) + j0 % PANEL;

#pragma GCC unroll 12
    for (int i = 0; i < MR; i++)
        s[i][0] = s[i][1] = _mm512_setzero_ps();
    for (int k = g->k; k > 0; k--) {
        __m512 b0 = _mm512_loadu_ps(b), b1 = NV > 1 ? _mm512_loadu_ps(b + 16) : b0;
#pragma GCC unroll 12
        for (int i = 0; i < MR; i++) {
            const float *q = i < 3 ? a0 : i < 6 ? a3 : i < 9 ? a6 : a9;
            __m512 a = _mm512_set1_ps(FLAT ? a0[i] : q[i % 3 * rs]);
            s[i][0] = _mm512_fmadd_ps(a, b0, s[i][0]);
            if (NV > 1)
                s[i][1] = _mm512_fmadd_ps(a, b1, s[i][1]);
        }
        b += PANEL;
        a0 += cs;
        if (!FLAT) {
            a3 += cs;
            a6 += cs;
            a9 += cs;
        }
    }
#pragma GCC unroll 12
    for (int i = 0; i < MR; i++) {
        finish(g, i0 + i, j0, s[i][0]);
        if (NV > 1)
            finish(g, i0 + i, j0 + 16, s[i][1]);
    }
}

#define BLOCKS(nv, flat)                                                                          \
    static void rows_##nv##_##flat(const struct gemm *g, int j0)                                  \
    {                                                                                             \
        int i = 0;                                                                                \
        for (; g->m - i >= ROWS; i += ROWS)                                                       \
            block(g, i, j0, ROWS, nv, flat);                                                      \
        switch (g->m - i) {                                                                       \
        case 11: block(g, i, j0, 11, nv, flat); break;                                            \
        case 10: block(g, i, j0, 10, nv, flat); break;                                            \
        case 9: block(g, i, j0, 9, nv, flat); break;                                              \
        case 8: block(g, i, j0, 8, nv, flat); break;                                              \
        case 7: block(g, i, j0, 7, nv, flat); break;                                              \
        case 6: block(g, i, j0, 6, nv, flat); break;                                              \
        case 5: block(g, i, j0, 5, nv, flat); break;                                              \
        case 4: block(g, i, j0, 4, nv, flat); break;                                              \
        case 3: block(g, i, j0, 3, nv, flat); break;                                              \
        case 2: block(g, i, j0, 2, nv, flat); break;                                              \
        case 1: block(g, i, j0, 1, nv, flat); break;                                              \
        default: break;                                                                           \
        }                                                                                         \
    }
BLOCKS(1, 0)
BLOCKS(2, 0)
BLOCKS(1, 1)
BLOCKS(2, 1)

/* One row, four panels from j0 on. */
static void row_wide(const struct gemm *g, int i, int j0)
{
    __m512 s[8];
    const float *a = g->a + i * g->rs;
    const float *b = g->b + kern_packed(g->k, j0);
    const size_t next = (size_t)g->k * PANEL;

#pragma GCC unroll 8
    for (int q = 0; q < 8; q++)
        s[q] = _mm512_setzero_ps();
    for (int k = g->k; k > 0; k--, a += g->cs, b += PANEL) {
        __m512 v = _mm512_set1_ps(*a);
#pragma GCC unroll 8
        for (int q = 0; q < 8; q++)
            s[q] = _mm512_fmadd_ps(v, _mm512_loadu_ps(b + (size_t)(q / 2) * next + q % 2 * 16),
                                   s[q]);
    }
#pragma GCC unroll 8
    for (int q = 0; q < 8; q++)
        if (j0 + q * 16 < g->n)
            finish(g, i, j0 + q * 16, s[q]);
}

static void avx512_gemm(const struct gemm *g)
{
    int j = 0;

    if (g->m <= 2)
        for (; g->n - j > 3 * PANEL; j += 4 * PANEL)
            for (int i = 0; i < g->m; i++)
                row_wide(g, i, j);
    for (; j < g->n; j += PANEL) {
        if (g->rs == 1 && g->cs != 1) {
            if (g->n - j > 16)
                rows_2_1(g, j);
            else
                rows_1_1(g, j);
        } else {
            if (g->n - j > 16)
                rows_2_0(g, j);
            else
                rows_1_0(g, j);
        }
    }
}

/* 16 rows of 16 floats, turned: out row i = column i. */
INLINE void turn(float *out, ptrdiff_t ld_out, const float *b, ptrdiff_t ld, int rows, int cols)
{
    __m512 r[16], t[16];
    __mmask16 in = (__mmask16)(cols >= 16 ? 0xffffu : (1u << cols) - 1);

#pragma GCC unroll 16
    for (int i = 0; i < 16; i++)
        r[i] = i < rows ? _mm512_maskz_loadu_ps(in, b + i * ld) : _mm512_setzero_ps();
#pragma GCC unroll 8
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 16; i += 4) {
        __m512d a = _mm512_castps_pd(t[i]), b2 = _mm512_castps_pd(t[i + 2]);
        __m512d c = _mm512_castps_pd(t[i + 1]), d = _mm512_castps_pd(t[i + 3]);
        r[i] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b2));
        r[i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b2));
        r[i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(c, d));
        r[i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(c, d));
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) { /* 4 x 4 blocks of 4 x 4 already turned: now turn the blocks */
        __m512 a = _mm512_shuffle_f32x4(r[i], r[i + 4], 0x88);
        __m512 b2 = _mm512_shuffle_f32x4(r[i], r[i + 4], 0xdd);
        __m512 c = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0x88);
        __m512 d = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0xdd);
        t[i] = _mm512_shuffle_f32x4(a, c, 0x88);
        t[i + 8] = _mm512_shuffle_f32x4(a, c, 0xdd);
        t[i + 4] = _mm512_shuffle_f32x4(b2, d, 0x88);
        t[i + 12] = _mm512_shuffle_f32x4(b2, d, 0xdd);
    }
    for (int i = 0; i < 16; i++)
        if (i < cols)
            _mm512_storeu_ps(out + i * ld_out, t[i]);
}

static void avx512_pack_cols(float *out, const float *b, ptrdiff_t ld, int k, int n)
{
    for (int j = 0; j < n; j += PANEL, out += (size_t)k * PANEL)
        for (int i = 0; i < k; i += 16)
            for (int h = 0; h < PANEL; h += 16) {
                int rows = n - j - h, cols = k - i;
                float *to = out + (size_t)i * PANEL + h;
                if (rows >= 16 && cols >= 16)
                    turn(to, PANEL, b + (j + h) * ld + i, ld, 16, 16);
                else if (rows > 0)
                    turn(to, PANEL, b + (j + h) * ld + i, ld, rows, cols);
                else
                    for (int q = 0; q < cols && q < 16; q++)
                        _mm512_storeu_ps(to + q * PANEL, _mm512_setzero_ps());
            }
}

const struct kern kern_avx512 = {
    .name = "avx512",
    .pack_rows = avx512_pack_rows,
    .pack_cols = avx512_pack_cols,
    .gemm = avx512_gemm,
    .norm_fwd = avx512_norm_fwd,
    .norm_bwd = avx512_norm_bwd,
    .drop = avx512_drop,
    .mask = avx512_mask,
    .colsum = avx512_colsum,
    .add = avx512_add,
    .take = avx512_take,
    .standard = avx512_standard,
    .dot = avx512_dot,
    .adam = avx512_adam,
    .sgd = avx512_sgd,
};

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
