/*
 * gbt_hist.c - see gbt_hist.h.
 *
 * A lane adds into cells of one 64-bit word, h above g: one addition per row and column. Before g
 * could leave its 32 bits the words are moved into wide sums.
 */
#include "model/gbt_hist.h"

#include <string.h>

#include "base/mem.h"
#include "model/gbt_cpu.h"

#define FLUSH_ROWS 65536 /* 2^16 rows of at most 2^15 stay below 2^31 */
#define AHEAD 16         /* rows fetched before they are needed */

struct lane {
    uint64_t *narrow;      /* (n_narrow rounded up to 8, GBT_CODES) */
    uint64_t *wide;        /* cells of the wide columns */
    struct gbt_cell *sums; /* n_cells, when has_sums */
    size_t n_rows;         /* in the words, not yet in sums */
    unsigned stamp;        /* of the sum it belongs to */
    int has_sums;
};

struct gbt_hist {
    const struct gbt_store *s;
    int n_lanes, n_wide_cells;
    unsigned stamp;
    struct lane *lanes;
    /* the sum under way */
    const uint32_t *gh, *idx;
    const float *g, *hess; /* plain */
    double h_const;
    int is_plain, in_order;
    size_t n, chunk;
    char groups[(1 << 20) / 8]; /* per 8 narrow columns: is one used? */
    const char *used;
};

int gbt_hist_new(struct gbt_hist **out, const struct gbt_store *s, int n_lanes, struct err *e)
{
    struct gbt_hist *h = mem_zero(1, sizeof *h);
    size_t narrow = s->row_bytes * GBT_CODES;

    *out = NULL;
    if (h == NULL)
        return err_set(e, ERR_NOMEM, "no memory for histograms");
    h->s = s;
    h->n_lanes = n_lanes;
    for (int c = s->n_narrow; c < s->n_columns; c++)
        h->n_wide_cells += s->columns[c].n_codes;
    h->lanes = mem_zero((size_t)n_lanes, sizeof *h->lanes);
    for (int i = 0; h->lanes != NULL && i < n_lanes; i++) {
        struct lane *l = &h->lanes[i];

        l->narrow = mem_aligned(narrow * sizeof *l->narrow + 64);
        l->wide = mem_aligned((size_t)h->n_wide_cells * sizeof *l->wide + 64);
        l->sums = mem_aligned((size_t)s->n_cells * sizeof *l->sums + 64);
        if (l->narrow == NULL || l->wide == NULL || l->sums == NULL) {
            gbt_hist_free(h);
            return err_set(e, ERR_NOMEM, "no memory for histograms of %d cells", s->n_cells);
        }
    }
    if (h->lanes == NULL) {
        gbt_hist_free(h);
        return err_set(e, ERR_NOMEM, "no memory for %d lanes", n_lanes);
    }
    *out = h;
    return 0;
}

void gbt_hist_free(struct gbt_hist *h)
{
    if (h == NULL)
        return;
    for (int i = 0; h->lanes != NULL && i < h->n_lanes; i++) {
        mem_free(h->lanes[i].narrow);
        mem_free(h->lanes[i].wide);
        mem_free(h->lanes[i].sums);
    }
    mem_free(h->lanes);
    mem_free(h);
}

/* h above g; a negative g borrows from h, add_word gives it back. */
static uint64_t word_of(uint32_t gh)
{
    return ((uint64_t)(gh >> 16) << 32) + (uint64_t)(int64_t)(int16_t)(uint16_t)gh;
}

static void add_word(struct gbt_cell *c, uint64_t word)
{
    int32_t g = (int32_t)(uint32_t)word;

    c->g += g;
    c->h += (double)((word - (uint64_t)(int64_t)g) >> 32);
}

/* The words of column c. */
static const uint64_t *words_of(const struct gbt_hist *h, const struct lane *l, int c)
{
    const struct gbt_store *s = h->s;

    if (c < s->n_narrow)
        return l->narrow + (size_t)c * GBT_CODES;
    return l->wide + s->columns[c].first_cell - s->columns[s->n_narrow].first_cell;
}

static void lane_clear(const struct gbt_hist *h, struct lane *l)
{
    memset(l->narrow, 0, h->s->row_bytes * GBT_CODES * sizeof *l->narrow);
    memset(l->wide, 0, (size_t)h->n_wide_cells * sizeof *l->wide);
    l->n_rows = 0;
}

static void lane_flush(const struct gbt_hist *h, struct lane *l)
{
    const struct gbt_store *s = h->s;

    if (!l->has_sums)
        memset(l->sums, 0, (size_t)s->n_cells * sizeof *l->sums);
    l->has_sums = 1;
    for (int c = 0; c < s->n_columns; c++) {
        const uint64_t *w = words_of(h, l, c);

        for (int i = 0; i < s->columns[c].n_codes; i++)
            add_word(&l->sums[s->columns[c].first_cell + i], w[i]);
    }
    lane_clear(h, l);
}

#define ADD8(hist, codes, word)                                                                   \
    do {                                                                                          \
        (hist)[(codes) & 255] += (word);                                                          \
        (hist)[256 + ((codes) >> 8 & 255)] += (word);                                             \
        (hist)[512 + ((codes) >> 16 & 255)] += (word);                                            \
        (hist)[768 + ((codes) >> 24 & 255)] += (word);                                            \
        (hist)[1024 + ((codes) >> 32 & 255)] += (word);                                           \
        (hist)[1280 + ((codes) >> 40 & 255)] += (word);                                           \
        (hist)[1536 + ((codes) >> 48 & 255)] += (word);                                           \
        (hist)[1792 + ((codes) >> 56)] += (word);                                                 \
    } while (0)

static uint64_t load8(const uint8_t *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof v);
    return v;
}

/* The loop for rows that stand anywhere (`idx`), or in order; `gh_at` likewise. */
#define SUM_LOOP(ROW, WORD, FETCH)                                                                \
    for (size_t i = from; i < to; i++) {                                                          \
        const uint8_t *row;                                                                       \
        uint64_t word;                                                                            \
                                                                                                  \
        FETCH;                                                                                    \
        row = rows + (size_t)(ROW)*bytes;                                                         \
        word = word_of(WORD);                                                                     \
        if (bytes == 16) {                                                                        \
            uint64_t a = load8(row), b = load8(row + 8);                                          \
                                                                                                  \
            ADD8(hist, a, word);                                                                  \
            ADD8(hist + 2048, b, word);                                                           \
            continue;                                                                             \
        }                                                                                         \
        for (size_t k = 0; k < bytes; k += 8) {                                                   \
            uint64_t codes = load8(row + k);                                                      \
                                                                                                  \
            if (h->groups[k / 8])                                                                 \
                ADD8(hist + k * GBT_CODES, codes, word);                                          \
        }                                                                                         \
    }

/* Additions are bound by stores, rows that stand anywhere by memory: they are fetched ahead. */
static void sum_narrow(const struct gbt_hist *h, uint64_t *restrict hist, size_t from, size_t to)
{
    const struct gbt_store *s = h->s;
    const uint8_t *restrict rows = s->rows;
    const uint32_t *restrict gh = h->gh, *restrict idx = h->idx;
    size_t bytes = s->row_bytes, last = h->n - 1;

    if (idx == NULL)
        SUM_LOOP(i, gh[i], (void)last)
    else if (h->in_order)
        SUM_LOOP(idx[i], gh[i], __builtin_prefetch(rows + idx[i + AHEAD < last ? i + AHEAD : last] * bytes))
    else
        SUM_LOOP(idx[i], gh[idx[i]], __builtin_prefetch(rows + idx[i + AHEAD < last ? i + AHEAD : last] * bytes))
}

static void sum_wide(const struct gbt_hist *h, struct lane *l, size_t from, size_t to)
{
    const struct gbt_store *s = h->s;

    for (int c = s->n_narrow; c < s->n_columns; c++) {
        const uint16_t *codes = s->wide + (size_t)(c - s->n_narrow) * s->n_rows;
        uint64_t *hist = l->wide + s->columns[c].first_cell - s->columns[s->n_narrow].first_cell;

        if (!h->used[c])
            continue;
        for (size_t i = from; i < to; i++) {
            size_t r = h->idx != NULL ? h->idx[i] : i;

            hist[codes[r]] += word_of(h->gh[h->in_order ? i : r]);
        }
    }
}

static void sum_chunk(void *ctx, int chunk, int lane)
{
    struct gbt_hist *h = ctx;
    struct lane *l = &h->lanes[lane];
    size_t from = (size_t)chunk * h->chunk, to = from + h->chunk;

    to = to < h->n ? to : h->n;
    if (l->stamp != h->stamp) {
        l->stamp = h->stamp;
        l->has_sums = 0;
        lane_clear(h, l);
    }
    if (l->n_rows + (to - from) > FLUSH_ROWS)
        lane_flush(h, l);
    l->n_rows += to - from;
    sum_narrow(h, l->narrow, from, to);
    sum_wide(h, l, from, to);
}

void gbt_hist_sum(struct gbt_hist *h, const uint32_t *gh, int in_order, const uint32_t *idx,
                  size_t n, const char *used, struct par *par)
{
    h->gh = gh;
    h->in_order = in_order;
    h->idx = idx;
    h->n = n;
    h->used = used;
    h->is_plain = 0;
    h->stamp++;
    memset(h->groups, 0, h->s->row_bytes / 8);
    for (int c = 0; c < h->s->n_narrow; c++)
        h->groups[c / 8] |= used[c];
    /* whole sums do not depend on the cut: several chunks per lane, each worth its cost */
    h->chunk = n / (4 * (size_t)h->n_lanes) + 1;
    h->chunk = h->chunk < 1024 ? 1024 : h->chunk > 16384 ? 16384 : h->chunk;
    par_run(par, (int)((n + h->chunk - 1) / h->chunk), sum_chunk, h);
}

static void plain_column(void *ctx, int c, int lane)
{
    struct gbt_hist *h = ctx;
    const struct gbt_store *s = h->s;
    struct gbt_cell *cells = h->lanes[0].sums + s->columns[c].first_cell;

    (void)lane;
    if (!h->used[c])
        return;
    memset(cells, 0, (size_t)s->columns[c].n_codes * sizeof *cells);
    for (size_t i = 0; i < h->n; i++) {
        size_t r = h->idx != NULL ? h->idx[i] : i;
        struct gbt_cell *cell = &cells[gbt_store_code(s, c, r)];

        cell->g += (double)h->g[r];
        cell->h += h->hess != NULL ? (double)h->hess[r] : h->h_const;
    }
}

void gbt_hist_sum_plain(struct gbt_hist *h, const float *g, const float *hess, double h_const,
                        const uint32_t *idx, size_t n, const char *used, struct par *par)
{
    h->g = g;
    h->hess = hess;
    h->h_const = h_const;
    h->idx = idx;
    h->n = n;
    h->used = used;
    h->is_plain = 1;
    par_run(par, h->s->n_columns, plain_column, h);
}

void gbt_hist_take(const struct gbt_hist *h, int c, struct gbt_cell *out)
{
    const struct gbt_column *col = &h->s->columns[c];

    if (h->is_plain) {
        memcpy(out, h->lanes[0].sums + col->first_cell, (size_t)col->n_codes * sizeof *out);
        return;
    }
    memset(out, 0, (size_t)col->n_codes * sizeof *out);
    for (int i = 0; i < h->n_lanes; i++) {
        const struct lane *l = &h->lanes[i];
        const uint64_t *w = words_of(h, l, c);

        if (l->stamp != h->stamp)
            continue;
        for (int k = 0; k < col->n_codes; k++)
            add_word(&out[k], w[k]);
        for (int k = 0; k < col->n_codes && l->has_sums; k++) {
            out[k].g += l->sums[col->first_cell + k].g;
            out[k].h += l->sums[col->first_cell + k].h;
        }
    }
}

/* One row to its side: both are written, one is kept. */
#define PART_LOOP                                                                                 \
    for (size_t i = 0; i < n; i++) {                                                              \
        uint32_t r = idx != NULL ? idx[i] : (uint32_t)(first + i), code = column[r];              \
        uint32_t go_left = bits[code >> 5] >> (code & 31) & 1;                                    \
                                                                                                  \
        out->left[n_left] = r;                                                                    \
        out->right[n_right] = r;                                                                  \
        if (gh != NULL) {                                                                         \
            out->left_gh[n_left] = gh[i];                                                         \
            out->right_gh[n_right] = gh[i];                                                       \
        }                                                                                         \
        n_left += go_left;                                                                        \
        n_right += 1 - go_left;                                                                   \
    }

static size_t part_ref(const uint8_t *column, const uint32_t bits[8], const uint32_t *idx,
                       const uint32_t *gh, size_t first, size_t n, const struct gbt_part *out)
{
    size_t n_left = 0, n_right = 0;

    PART_LOOP
    return n_left;
}

size_t gbt_hist_part_wide(const uint16_t *column, const uint32_t *bits, const uint32_t *idx,
                          const uint32_t *gh, size_t first, size_t n, const struct gbt_part *out)
{
    size_t n_left = 0, n_right = 0;

    PART_LOOP
    return n_left;
}

#if defined(__x86_64__)
#include <immintrin.h>

__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,popcnt"))) static size_t
part_avx512(const uint8_t *column, const uint32_t bits[8], const uint32_t *idx,
            const uint32_t *gh, size_t first, size_t n, const struct gbt_part *out)
{
    const __m512i table = _mm512_castsi256_si512(_mm256_loadu_si256((const void *)bits));
    const __m512i low8 = _mm512_set1_epi32(255), low5 = _mm512_set1_epi32(31);
    const __m512i steps = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    size_t i = 0, n_left = 0, n_right = 0;
    struct gbt_part rest;

    for (; i + 16 <= n; i += 16) {
        __m512i r, code, word;
        __mmask16 go, stay;

        if (idx != NULL) {
            r = _mm512_loadu_si512(idx + i);
            code = _mm512_and_si512(_mm512_i32gather_epi32(r, column, 1), low8);
        } else {
            r = _mm512_add_epi32(_mm512_set1_epi32((int)(first + i)), steps);
            code = _mm512_cvtepu8_epi32(_mm_loadu_si128((const void *)(column + first + i)));
        }
        word = _mm512_permutexvar_epi32(_mm512_srli_epi32(code, 5), table);
        word = _mm512_srlv_epi32(word, _mm512_and_si512(code, low5));
        go = _mm512_test_epi32_mask(word, _mm512_set1_epi32(1));
        stay = (__mmask16)~go;
        _mm512_storeu_si512(out->left + n_left, _mm512_maskz_compress_epi32(go, r));
        _mm512_storeu_si512(out->right + n_right, _mm512_maskz_compress_epi32(stay, r));
        if (gh != NULL) {
            __m512i w = _mm512_loadu_si512(gh + i);

            _mm512_storeu_si512(out->left_gh + n_left, _mm512_maskz_compress_epi32(go, w));
            _mm512_storeu_si512(out->right_gh + n_right, _mm512_maskz_compress_epi32(stay, w));
        }
        n_left += (size_t)__builtin_popcount(go);
        n_right += 16 - (size_t)__builtin_popcount(go);
    }
    rest = (struct gbt_part){ out->left + n_left, out->right + n_right, NULL, NULL };
    if (gh != NULL) {
        rest.left_gh = out->left_gh + n_left;
        rest.right_gh = out->right_gh + n_right;
    }
    return n_left + part_ref(column, bits, idx != NULL ? idx + i : NULL, gh != NULL ? gh + i : NULL,
                             first + i, n - i, &rest);
}
#endif

size_t gbt_hist_part(const uint8_t *column, const uint32_t bits[8], const uint32_t *idx,
                     const uint32_t *gh, size_t first, size_t n, const struct gbt_part *out)
{
#if defined(__x86_64__)
    if (gbt_cpu_avx512())
        return part_avx512(column, bits, idx, gh, first, n, out);
#endif
    return part_ref(column, bits, idx, gh, first, n, out);
}
