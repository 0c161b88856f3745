/*
 * gbt_flat_kern.c - the loops of gbt_flat.h: one body, compiled for what the CPU has.
 */
#include <math.h>
#include <string.h>

#include "model/gbt_cpu.h"
#include "model/gbt_flat_part.h"

#define INLINE static inline __attribute__((always_inline))

/* left = mask where code <= rank */
INLINE void node_bytes(const uint8_t *restrict code, uint8_t rank, const uint8_t *restrict mask,
                       uint8_t *restrict left, uint8_t *restrict right)
{
    for (int i = 0; i < FLAT_ROWS; i++) {
        uint8_t l = code[i] <= rank ? mask[i] : 0;

        left[i] = l;
        right[i] = mask[i] ^ l;
    }
}

INLINE void node_words(const uint16_t *restrict code, uint16_t rank, const uint8_t *restrict mask,
                       uint8_t *restrict left, uint8_t *restrict right)
{
    for (int i = 0; i < FLAT_ROWS; i++) {
        uint8_t l = code[i] <= rank ? mask[i] : 0;

        left[i] = l;
        right[i] = mask[i] ^ l;
    }
}

static void node_cats(const struct gbt_tree *t, int set, const int32_t *cat, const uint8_t *mask,
                      uint8_t *left, uint8_t *right)
{
    const uint32_t *words = t->cat_words + t->cat_start[set];
    int n_bits = 32 * (t->cat_start[set + 1] - t->cat_start[set]);

    for (int i = 0; i < FLAT_ROWS; i++) {
        int c = cat[i], in = c >= 0 && c < n_bits && (words[c / 32] >> (c % 32) & 1);

        left[i] = in ? mask[i] : 0;
        right[i] = mask[i] ^ left[i];
    }
}

/* Masks of all nodes and leaves, then the number of each row's leaf. */
INLINE void leaves(const struct gbt_flat *f, const struct flat_tree *t, const struct flat_block *b,
                   uint8_t *masks, uint8_t *leaf)
{
    memset(masks, 255, FLAT_ROWS);
    for (int k = 0; k < t->n_nodes; k++) {
        const struct flat_node *n = &t->nodes[k];
        const struct flat_view *v = &f->views[n->view];
        const uint8_t *mask = masks + k * FLAT_ROWS;
        uint8_t *left = masks + n->left * FLAT_ROWS, *right = masks + n->right * FLAT_ROWS;

        if (v->is_cat)
            node_cats(t->tree, n->rank, b->cats + n->view * FLAT_ROWS, mask, left, right);
        else if (v->n <= 255)
            node_bytes(b->bytes + n->view * FLAT_ROWS, (uint8_t)n->rank, mask, left, right);
        else
            node_words(b->codes + n->view * FLAT_ROWS, n->rank, mask, left, right);
    }
    memset(leaf, 0, FLAT_ROWS);
    for (int k = 1; k < t->n_leaves; k++) {
        const uint8_t *mask = masks + (t->n_nodes + k) * FLAT_ROWS;

        for (int i = 0; i < FLAT_ROWS; i++)
            leaf[i] |= (uint8_t)(mask[i] & k);
    }
}

static void add_ref(const struct gbt_flat *f, const struct flat_tree *t, const struct flat_block *b,
                    uint8_t *masks, double *score)
{
    uint8_t leaf[FLAT_ROWS];

    leaves(f, t, b, masks, leaf);
    for (int i = 0; i < FLAT_ROWS; i++)
        score[i] += t->values[leaf[i]];
}

/* How many thresholds are below x, all rows in step. */
INLINE void rank_all(const struct flat_view *v, const double *restrict x, int32_t *restrict at)
{
    const double *restrict u = v->ranks;

    for (int i = 0; i < FLAT_ROWS; i++)
        at[i] = 0;
    for (int half = (1 << v->n_steps) >> 1; half > 0; half >>= 1)
        for (int i = 0; i < FLAT_ROWS; i++)
            at[i] += u[at[i] + half - 1] < x[i] ? half : 0;
}

static void rank_ref(const struct flat_view *v, const double *x, int32_t *at)
{
    rank_all(v, x, at);
}

#if defined(__x86_64__)
#include <immintrin.h>

__attribute__((target("avx2"))) static void add_avx2(const struct gbt_flat *f,
                                                     const struct flat_tree *t,
                                                     const struct flat_block *b, uint8_t *masks,
                                                     double *score)
{
    uint8_t leaf[FLAT_ROWS];

    leaves(f, t, b, masks, leaf);
    for (int i = 0; i < FLAT_ROWS; i++)
        score[i] += t->values[leaf[i]];
}

#define AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,bmi,popcnt")))

AVX512 static void rank_avx512(const struct flat_view *v, const double *x, int32_t *at)
{
    for (int i = 0; i < FLAT_ROWS; i += 8) {
        __m512d values = _mm512_loadu_pd(x + i);
        __m256i pos = _mm256_setzero_si256();

        for (int half = (1 << v->n_steps) >> 1; half > 0; half >>= 1) {
            __m256i look = _mm256_add_epi32(pos, _mm256_set1_epi32(half - 1));
            __m512d bound = _mm512_i32gather_pd(look, v->ranks, 8);
            __mmask8 up = _mm512_cmp_pd_mask(bound, values, _CMP_LT_OQ);

            pos = _mm256_mask_add_epi32(pos, up, pos, _mm256_set1_epi32(half));
        }
        _mm256_storeu_si256((void *)(at + i), pos);
    }
}

/* Trees of at most 32 leaves, numbers only, byte codes: masks stay one word each. */
AVX512 static void add_small(const struct gbt_flat *f, const struct flat_tree *t,
                             const struct flat_block *b, double *score)
{
    uint64_t masks[2 * FLAT_SMALL];
    __m512i leaf = _mm512_setzero_si512();
    __m512d v0, v1, v2, v3;

    (void)f;
    masks[0] = ~(uint64_t)0;
    for (int k = 0; k < t->n_nodes; k++) {
        const struct flat_node *n = &t->nodes[k];
        uint64_t left = _mm512_mask_cmple_epu8_mask(
            masks[k], _mm512_loadu_si512(b->bytes + n->view * FLAT_ROWS),
            _mm512_set1_epi8((char)n->rank));

        masks[n->left] = left;
        masks[n->right] = masks[k] ^ left;
    }
    for (int k = 1; k < t->n_leaves; k++)
        leaf = _mm512_mask_blend_epi8(masks[t->n_nodes + k], leaf, _mm512_set1_epi8((char)k));
    v0 = _mm512_loadu_pd(t->values);
    v1 = _mm512_loadu_pd(t->values + 8);
    v2 = _mm512_loadu_pd(t->values + 16);
    v3 = _mm512_loadu_pd(t->values + 24);
    {
        uint8_t bytes[FLAT_ROWS];

        _mm512_storeu_si512(bytes, leaf);
        for (int i = 0; i < FLAT_ROWS; i += 8) {
            __m512i at = _mm512_cvtepu8_epi64(_mm_loadl_epi64((const void *)(bytes + i)));
            __m512d low = _mm512_permutex2var_pd(v0, at, v1);
            __m512d high = _mm512_permutex2var_pd(v2, at, v3);
            __mmask8 up = _mm512_test_epi64_mask(at, _mm512_set1_epi64(16));

            _mm512_storeu_pd(score + i, _mm512_add_pd(_mm512_loadu_pd(score + i),
                                                      _mm512_mask_blend_pd(up, low, high)));
        }
    }
}

AVX512 static void add_avx512(const struct gbt_flat *f, const struct flat_tree *t,
                              const struct flat_block *b, uint8_t *masks, double *score)
{
    uint8_t leaf[FLAT_ROWS];

    leaves(f, t, b, masks, leaf);
    for (int i = 0; i < FLAT_ROWS; i += 8) {
        __m256i at = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const void *)(leaf + i)));

        _mm512_storeu_pd(score + i, _mm512_add_pd(_mm512_loadu_pd(score + i),
                                                  _mm512_i32gather_pd(at, t->values, 8)));
    }
}

AVX512 void flat_row_avx512(const struct gbt_flat *f, const uint8_t *codes, double *out)
{
    __m512i row = _mm512_loadu_si512(codes);
    int n_classes = f->m->n_per_iter, c = 0;

    for (int k = 0; k < n_classes; k++)
        out[k] = 0;
    for (int i = 0; i < f->n_trees; i++) {
        const struct flat_row_tree *t = &f->row_trees[i];
        __m256i mine = _mm512_castsi512_si256(_mm512_permutexvar_epi8(
            _mm512_castsi256_si512(_mm256_load_si256((const void *)t->view)), row));
        uint32_t left = _mm256_cmple_epu8_mask(mine, _mm256_load_si256((const void *)t->rank));
        __m512i all = _mm512_set1_epi32((int)left);
        /* (all ^ want) & care, in one step */
        __m512i a = _mm512_ternarylogic_epi32(all, _mm512_load_si512(t->want),
                                              _mm512_load_si512(t->care), 0x28);
        __m512i b = _mm512_ternarylogic_epi32(all, _mm512_load_si512(t->want + 16),
                                              _mm512_load_si512(t->care + 16), 0x28);
        uint32_t hit = _mm512_testn_epi32_mask(a, a) |
                       (uint32_t)_mm512_testn_epi32_mask(b, b) << 16;

        out[c] += t->values[__builtin_ctz(hit)];
        c = c + 1 < n_classes ? c + 1 : 0;
    }
}
#else
void flat_row_avx512(const struct gbt_flat *f, const uint8_t *codes, double *out)
{
    (void)f;
    (void)codes;
    (void)out;
}
#endif

void flat_add_tree(const struct gbt_flat *f, const struct flat_tree *t, const struct flat_block *b,
                   uint8_t *masks, double *score)
{
#if defined(__x86_64__)
    if (gbt_cpu_avx512_vbmi()) {
        if (t->n_leaves <= FLAT_SMALL && !t->has_cats)
            add_small(f, t, b, score);
        else
            add_avx512(f, t, b, masks, score);
        return;
    }
    if (gbt_cpu_avx2()) {
        add_avx2(f, t, b, masks, score);
        return;
    }
#endif
    add_ref(f, t, b, masks, score);
}

void flat_codes(const struct flat_view *v, const double *x, uint16_t *codes)
{
    double known[FLAT_ROWS];
    int32_t at[FLAT_ROWS];
    uint16_t miss = (uint16_t)(v->default_left ? 0 : v->n);

    for (int i = 0; i < FLAT_ROWS; i++)
        known[i] = isnan(x[i]) ? 0 : x[i];
#if defined(__x86_64__)
    if (gbt_cpu_avx512_vbmi())
        rank_avx512(v, known, at);
    else
#endif
        rank_ref(v, known, at);
    for (int i = 0; i < FLAT_ROWS; i++)
        codes[i] = (uint16_t)at[i];
    if (v->missing == GBT_MISSING_NAN)
        for (int i = 0; i < FLAT_ROWS; i++)
            codes[i] = isnan(x[i]) ? miss : codes[i];
    if (v->missing == GBT_MISSING_ZERO)
        for (int i = 0; i < FLAT_ROWS; i++)
            codes[i] = fabs(known[i]) <= GBT_ZERO ? miss : codes[i];
}
