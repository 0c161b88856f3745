/*
 * gbt_quant.c - see gbt_quant.h. Two passes: the largest, then the rounding.
 */
#include "model/gbt_quant.h"

#include <math.h>

#include "model/gbt_cpu.h"
#include "model/gbt_hist.h"

#define CHUNK 16384
#define CHUNKS_MAX 4096

struct quant {
    const float *g, *h;
    const uint32_t *idx;
    size_t n, chunk;
    uint32_t coin;
    uint32_t *gh;
    float g_mul, h_mul;
    float g_max[CHUNKS_MAX], h_max[CHUNKS_MAX];
};

static inline __attribute__((always_inline)) float largest(const float *x, size_t n)
{
    float top[16] = { 0 }, all = 0;
    size_t i = 0;

    for (; i + 16 <= n; i += 16)
        for (int k = 0; k < 16; k++) {
            float v = fabsf(x[i + (size_t)k]);

            top[k] = v > top[k] ? v : top[k];
        }
    for (; i < n; i++)
        all = fabsf(x[i]) > all ? fabsf(x[i]) : all;
    for (int k = 0; k < 16; k++)
        all = top[k] > all ? top[k] : all;
    return all;
}

static inline __attribute__((always_inline)) uint32_t flip(uint32_t row, uint32_t coin)
{
    uint32_t x = (row ^ coin) * 0x9e3779b1u;

    x ^= x >> 15;
    x *= 0x85ebca77u;
    x ^= x >> 13;
    x *= 0xc2b2ae3du;
    return x ^ x >> 16;
}

static inline __attribute__((always_inline)) int round_fair(float v, uint32_t bits, float top)
{
    /* 23 bits make [0, 1); clamped, since adding may round up to the next whole number */
    float r = v + (float)(int)(bits >> 9) * 0x1p-23f;
    float f = floorf(r);

    f = f > top ? top : f;
    return (int)f;
}

static inline __attribute__((always_inline)) void round_all(const struct quant *q, size_t from,
                                                            size_t to)
{
    const float *restrict g = q->g, *restrict h = q->h;
    uint32_t *restrict gh = q->gh;
    float g_mul = q->g_mul, h_mul = q->h_mul;
    uint32_t coin = q->coin;

    if (h == NULL)
        for (size_t r = from; r < to; r++)
            gh[r] = gbt_hist_pack(
                round_fair(g[r] * g_mul, flip((uint32_t)r, coin), GBT_QUANT_MAX), 1);
    else
        for (size_t r = from; r < to; r++) {
            uint32_t bits = flip((uint32_t)r, coin);

            gh[r] = gbt_hist_pack(round_fair(g[r] * g_mul, bits, GBT_QUANT_MAX),
                                  round_fair(h[r] * h_mul, flip(bits, ~coin), 65535));
        }
}

#if defined(__x86_64__)
#include <immintrin.h>

/* One hessian for all: what nearly every large training has. The steps of round_all, 16 at once. */
GBT_AVX512 static size_t round_const(const struct quant *q, size_t from, size_t to)
{
    const __m512i steps = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m512 mul = _mm512_set1_ps(q->g_mul), unit = _mm512_set1_ps(0x1p-23f);
    const __m512 top = _mm512_set1_ps(GBT_QUANT_MAX);
    size_t r = from;

    for (; r + 16 <= to; r += 16) {
        __m512i x = _mm512_add_epi32(_mm512_set1_epi32((int)r), steps);
        __m512 v;

        x = _mm512_mullo_epi32(_mm512_xor_si512(x, _mm512_set1_epi32((int)q->coin)),
                               _mm512_set1_epi32((int)0x9e3779b1u));
        x = _mm512_xor_si512(x, _mm512_srli_epi32(x, 15));
        x = _mm512_mullo_epi32(x, _mm512_set1_epi32((int)0x85ebca77u));
        x = _mm512_xor_si512(x, _mm512_srli_epi32(x, 13));
        x = _mm512_mullo_epi32(x, _mm512_set1_epi32((int)0xc2b2ae3du));
        x = _mm512_xor_si512(x, _mm512_srli_epi32(x, 16));
        v = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_srli_epi32(x, 9)), unit);
        v = _mm512_add_ps(_mm512_mul_ps(_mm512_loadu_ps(q->g + r), mul), v);
        v = _mm512_min_ps(_mm512_roundscale_ps(v, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC), top);
        x = _mm512_and_si512(_mm512_cvtps_epi32(v), _mm512_set1_epi32(65535));
        _mm512_storeu_si512(q->gh + r, _mm512_or_si512(x, _mm512_set1_epi32(1 << 16)));
    }
    return r;
}

GBT_AVX512 static void round_avx512(const struct quant *q, size_t from, size_t to)
{
    if (q->h == NULL)
        from = round_const(q, from, to);
    round_all(q, from, to);
}

GBT_AVX512 static float largest_avx512(const float *x, size_t n)
{
    return largest(x, n);
}
#endif

static void max_chunk(void *ctx, int chunk, int lane)
{
    struct quant *q = ctx;
    size_t from = (size_t)chunk * q->chunk, to = from + q->chunk;
    float g = 0, h = 0;

    (void)lane;
    to = to < q->n ? to : q->n;
    if (q->idx != NULL) {
        for (size_t i = from; i < to; i++) {
            g = fmaxf(g, fabsf(q->g[q->idx[i]]));
            h = q->h != NULL ? fmaxf(h, q->h[q->idx[i]]) : 0;
        }
#if defined(__x86_64__)
    } else if (gbt_cpu_avx512()) {
        g = largest_avx512(q->g + from, to - from);
        h = q->h != NULL ? largest_avx512(q->h + from, to - from) : 0;
#endif
    } else {
        g = largest(q->g + from, to - from);
        h = q->h != NULL ? largest(q->h + from, to - from) : 0;
    }
    q->g_max[chunk] = g;
    q->h_max[chunk] = h;
}

static void round_chunk(void *ctx, int chunk, int lane)
{
    struct quant *q = ctx;
    size_t from = (size_t)chunk * q->chunk, to = from + q->chunk;

    (void)lane;
    to = to < q->n ? to : q->n;
    if (q->idx != NULL) {
        for (size_t i = from; i < to; i++)
            round_all(q, q->idx[i], (size_t)q->idx[i] + 1);
        return;
    }
#if defined(__x86_64__)
    if (gbt_cpu_avx512()) {
        round_avx512(q, from, to);
        return;
    }
#endif
    round_all(q, from, to);
}

struct gbt_quant gbt_quant_rows(const float *g, const float *h, double h_const, const uint32_t *idx,
                                size_t n, uint32_t coin, uint32_t *gh, struct par *par)
{
    struct quant q = { .g = g, .h = h, .idx = idx, .n = n, .coin = coin, .gh = gh };
    struct gbt_quant out = { 0, h_const };
    float g_max = 0, h_max = 0;
    int n_chunks;

    q.chunk = n / CHUNKS_MAX + 1;
    q.chunk = q.chunk < CHUNK ? CHUNK : q.chunk;
    n_chunks = (int)((n + q.chunk - 1) / q.chunk);
    par_run(par, n_chunks, max_chunk, &q);
    for (int i = 0; i < n_chunks; i++) {
        g_max = fmaxf(g_max, q.g_max[i]);
        h_max = fmaxf(h_max, q.h_max[i]);
    }
    /* nothing to learn from: every number becomes 0 */
    q.g_mul = g_max > 0 ? GBT_QUANT_MAX / g_max : 0;
    q.h_mul = h_max > 0 ? 65535 / h_max : 0;
    q.g_mul = isfinite(q.g_mul) ? q.g_mul : 0;
    q.h_mul = isfinite(q.h_mul) ? q.h_mul : 0;
    out.g_scale = q.g_mul > 0 ? 1 / (double)q.g_mul : 0;
    if (h != NULL)
        out.h_scale = q.h_mul > 0 ? 1 / (double)q.h_mul : 0;
    par_run(par, n_chunks, round_chunk, &q);
    return out;
}
