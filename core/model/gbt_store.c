/*
 * gbt_store.c - see gbt_store.h. gbt_store_new runs the steps: bounds from a sample, bins of all
 * rows, bundles (gbt_bundle.c), the row order.
 */
#include "model/gbt_store.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "base/mem.h"
#include "model/gbt_bundle.h"
#include "tensor/rng.h"

#define BLOCK 2048 /* rows turned into bins at a time */
#define GROUP 32   /* features sampled at a time */

struct making {
    struct gbt_store *s;
    const struct gbt_matrix *x;
    const struct gbt_param *p;
    const char *is_cat;
    size_t n_sample;
    double *sample;             /* (GROUP, n_sample) of the features from first_feature on */
    int first_feature;
    struct err *errors;         /* per feature */
    uint16_t **bins_out;        /* per feature, where bins of all rows go; NULL: not wanted */
    uint8_t **bytes_out;
    _Atomic size_t bad_row;     /* lowest row with an infinite number, + 1; 0 = none */
};

/* Row i of the sample: the rows in order when all are taken, else one of each equal part. */
static size_t sample_row(const struct making *m, size_t i)
{
    size_t n = m->x->n_rows, a, b;
    int64_t seed = m->p->data_random_seed >= 0 ? m->p->data_random_seed : m->p->seed;

    if (m->n_sample == n)
        return i;
    a = (size_t)((double)n * (double)i / (double)m->n_sample);
    b = (size_t)((double)n * (double)(i + 1) / (double)m->n_sample);
    return b > a ? a + rng_bits((uint64_t)seed, 11, i) % (b - a) : a;
}

/* A block of the sample, all features of the group: rows are visited once. */
static void sample_block(void *ctx, int block, int lane)
{
    struct making *m = ctx;
    size_t i = (size_t)block * BLOCK, end = i + BLOCK;
    int n = m->s->n_features - m->first_feature;

    (void)lane;
    n = n < GROUP ? n : GROUP;
    end = end < m->n_sample ? end : m->n_sample;
    for (; i < end; i++) {
        size_t row = sample_row(m, i);

        for (int k = 0; k < n; k++) {
            double x = gbt_matrix_at(m->x, row, m->first_feature + k);

            /* infinite ones are refused later, with their row */
            m->sample[(size_t)k * m->n_sample + i] = isinf(x) ? 0 : x;
        }
    }
}

static void make_feature(void *ctx, int k, int lane)
{
    struct making *m = ctx;
    int f = m->first_feature + k;
    double *spare = mem_alloc((m->n_sample + 1) * sizeof *spare);

    (void)lane;
    if (spare == NULL)
        err_set(&m->errors[f], ERR_NOMEM, "no memory for a sample of %zu rows", m->n_sample);
    else
        gbt_bin_make(&m->s->bins[f], m->sample + (size_t)k * m->n_sample, spare, m->n_sample,
                     m->is_cat[f], m->p, &m->errors[f]);
    mem_free(spare);
}

static void note_bad(struct making *m, size_t row)
{
    size_t now = atomic_load(&m->bad_row);

    while ((now == 0 || row + 1 < now) &&
           !atomic_compare_exchange_weak(&m->bad_row, &now, row + 1))
        ;
}

static void fill_block(void *ctx, int block, int lane)
{
    struct making *m = ctx;
    size_t first = (size_t)block * BLOCK, n = m->x->n_rows - first;
    double x[BLOCK];

    (void)lane;
    n = n < BLOCK ? n : BLOCK;
    for (int f = 0; f < m->s->n_features; f++) {
        const struct gbt_bin *b = &m->s->bins[f];

        for (size_t i = 0; i < n; i++) {
            x[i] = gbt_matrix_at(m->x, first + i, f);
            if (isinf(x[i]))
                note_bad(m, first + i);
        }
        if (m->bins_out != NULL && m->bins_out[f] != NULL)
            gbt_bin_many(b, x, n, m->bins_out[f] + first);
        else if (m->bytes_out != NULL && m->bytes_out[f] != NULL)
            for (size_t i = 0; i < n; i++)
                m->bytes_out[f][first + i] = (uint8_t)gbt_bin_of(b, x[i]);
    }
}

static int fill(struct making *m, struct par *par, struct err *e)
{
    par_run(par, (int)((m->x->n_rows + BLOCK - 1) / BLOCK), fill_block, m);
    if (atomic_load(&m->bad_row) != 0)
        return err_set(e, ERR_NAN, "row %zu holds an infinite number", atomic_load(&m->bad_row) - 1);
    return 0;
}

static int make_bins(struct making *m, struct par *par, struct err *e)
{
    int n = m->s->n_features, rc = -1;
    char *is_cat = mem_zero((size_t)n, 1);

    m->errors = mem_zero((size_t)n, sizeof *m->errors);
    if (is_cat == NULL || m->errors == NULL) {
        err_set(e, ERR_NOMEM, "no memory for %d features", n);
        goto done;
    }
    for (int i = 0; i < m->p->n_categorical; i++) {
        if (m->p->categorical[i] >= n) {
            err_set(e, ERR_SHAPE, "categorical_feature %d of %d features", m->p->categorical[i], n);
            goto done;
        }
        is_cat[m->p->categorical[i]] = 1;
    }
    m->is_cat = is_cat;
    m->sample = mem_alloc((size_t)(n < GROUP ? n : GROUP) * m->n_sample * sizeof *m->sample);
    if (m->sample == NULL) {
        err_set(e, ERR_NOMEM, "no memory for a sample of %zu rows", m->n_sample);
        goto done;
    }
    for (m->first_feature = 0; m->first_feature < n; m->first_feature += GROUP) {
        int left = n - m->first_feature;

        par_run(par, (int)((m->n_sample + BLOCK - 1) / BLOCK), sample_block, m);
        par_run(par, left < GROUP ? left : GROUP, make_feature, m);
    }
    for (int f = 0; f < n; f++)
        if (m->errors[f].code != ERR_NONE) {
            *e = m->errors[f];
            goto done;
        }
    rc = 0;
done:
    m->is_cat = NULL;
    mem_free(m->sample);
    m->sample = NULL;
    mem_free(is_cat);
    mem_free(m->errors);
    m->errors = NULL;
    return rc;
}

/* One column per useful feature, wide ones behind; then the bytes of all rows. */
static int make_columns(struct making *m, struct par *par, struct err *e)
{
    struct gbt_store *s = m->s;
    size_t n_rows = s->n_rows;
    int n_used = 0, at = 0, rc;

    for (int f = 0; f < s->n_features; f++) {
        s->column_of[f] = -1;
        n_used += s->bins[f].n_bins > 1;
        s->n_narrow += s->bins[f].n_bins > 1 && s->bins[f].n_bins <= GBT_CODES;
    }
    s->columns = mem_zero((size_t)n_used + 1, sizeof *s->columns);
    s->narrow = mem_alloc((size_t)s->n_narrow * n_rows + 64);
    s->wide = mem_alloc((size_t)(n_used - s->n_narrow) * n_rows * sizeof *s->wide + 64);
    m->bytes_out = mem_zero((size_t)s->n_features, sizeof *m->bytes_out);
    m->bins_out = mem_zero((size_t)s->n_features, sizeof *m->bins_out);
    if (s->columns == NULL || s->narrow == NULL || s->wide == NULL || m->bytes_out == NULL ||
        m->bins_out == NULL)
        return err_set(e, ERR_NOMEM, "no memory for %zu rows of %d features", n_rows, n_used);
    for (int wide = 0; wide < 2; wide++)
        for (int f = 0; f < s->n_features; f++) {
            struct gbt_column *c = &s->columns[at];

            if (s->bins[f].n_bins < 2 || (s->bins[f].n_bins > GBT_CODES) != wide)
                continue;
            c->members = mem_alloc((size_t)s->n_features * sizeof *c->members);
            if (c->members == NULL)
                return err_set(e, ERR_NOMEM, "no memory for %d features", n_used);
            c->members[c->n_members++] = f;
            c->n_codes = s->bins[f].n_bins;
            c->is_wide = wide;
            if (wide)
                m->bins_out[f] = s->wide + (size_t)(at - s->n_narrow) * n_rows;
            else
                m->bytes_out[f] = s->narrow + (size_t)at * n_rows;
            s->column_of[f] = at++;
            s->n_columns = at;
        }
    rc = fill(m, par, e);
    return rc;
}

static void order_block(void *ctx, int block, int lane)
{
    struct gbt_store *s = ctx;
    size_t first = (size_t)block * BLOCK, end = first + BLOCK;

    (void)lane;
    end = end < s->n_rows ? end : s->n_rows;
    memset(s->rows + first * s->row_bytes, 0, (end - first) * s->row_bytes);
    for (int c = 0; c < s->n_narrow; c++) {
        const uint8_t *from = s->narrow + (size_t)c * s->n_rows;

        for (size_t r = first; r < end; r++)
            s->rows[r * s->row_bytes + (size_t)c] = from[r];
    }
}

static int make_rows(struct gbt_store *s, struct par *par, struct err *e)
{
    s->row_bytes = ((size_t)s->n_narrow + 7) & ~(size_t)7;
    s->rows = mem_aligned(s->n_rows * s->row_bytes + 64);
    if (s->rows == NULL)
        return err_set(e, ERR_NOMEM, "no memory for %zu rows", s->n_rows);
    par_run(par, (int)((s->n_rows + BLOCK - 1) / BLOCK), order_block, s);
    s->n_cells = 0;
    for (int c = 0; c < s->n_columns; c++) {
        s->columns[c].first_cell = s->n_cells;
        s->n_cells += s->columns[c].n_codes;
    }
    return 0;
}

int gbt_store_new(struct gbt_store **out, const struct gbt_matrix *x, const struct gbt_param *p,
                  struct par *par, struct err *e)
{
    struct gbt_store *s = mem_zero(1, sizeof *s);
    struct making m = { .s = s, .x = x, .p = p };
    int rc = -1;

    *out = NULL;
    if (s == NULL)
        return err_set(e, ERR_NOMEM, "no memory for training rows");
    s->n_rows = x->n_rows;
    s->n_features = x->n_cols;
    s->bins = mem_zero((size_t)x->n_cols, sizeof *s->bins);
    s->column_of = mem_alloc((size_t)x->n_cols * sizeof *s->column_of);
    s->decode = mem_zero((size_t)x->n_cols, sizeof *s->decode);
    m.n_sample = x->n_rows < (size_t)p->bin_construct_sample_cnt
                     ? x->n_rows
                     : (size_t)p->bin_construct_sample_cnt;
    if (s->bins == NULL || s->column_of == NULL || s->decode == NULL)
        err_set(e, ERR_NOMEM, "no memory for %d features", x->n_cols);
    else if (make_bins(&m, par, e) == 0 && make_columns(&m, par, e) == 0 &&
             (!p->enable_bundle || gbt_bundle(s, e) == 0) && make_rows(s, par, e) == 0)
        rc = 0;
    mem_free(m.bytes_out);
    mem_free(m.bins_out);
    if (rc != 0) {
        gbt_store_free(s);
        return -1;
    }
    *out = s;
    return 0;
}

void gbt_store_free(struct gbt_store *s)
{
    if (s == NULL)
        return;
    for (int f = 0; f < s->n_features; f++) {
        if (s->bins != NULL)
            gbt_bin_deinit(&s->bins[f]);
        if (s->decode != NULL)
            mem_free(s->decode[f]);
    }
    for (int c = 0; s->columns != NULL && c < s->n_columns; c++)
        mem_free(s->columns[c].members);
    mem_free(s->bins);
    mem_free(s->column_of);
    mem_free(s->decode);
    mem_free(s->columns);
    mem_free(s->rows);
    mem_free(s->narrow);
    mem_free(s->wide);
    mem_free(s);
}

int gbt_store_other(const struct gbt_store *s, const struct gbt_matrix *x, uint16_t **out,
                    struct par *par, struct err *e)
{
    struct making m = { .s = (struct gbt_store *)s, .x = x };
    int rc = -1;

    *out = NULL;
    if (x->n_cols != s->n_features)
        return err_set(e, ERR_SHAPE, "validation rows have %d features, training rows %d",
                       x->n_cols, s->n_features);
    *out = mem_alloc((x->n_rows * (size_t)x->n_cols + 1) * sizeof **out);
    m.bins_out = mem_alloc((size_t)x->n_cols * sizeof *m.bins_out);
    if (*out == NULL || m.bins_out == NULL) {
        err_set(e, ERR_NOMEM, "no memory for %zu validation rows", x->n_rows);
    } else {
        for (int f = 0; f < x->n_cols; f++)
            m.bins_out[f] = *out + (size_t)f * x->n_rows;
        rc = fill(&m, par, e);
    }
    mem_free(m.bins_out);
    if (rc != 0) {
        mem_free(*out);
        *out = NULL;
    }
    return rc;
}
