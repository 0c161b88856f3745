/*
 * gbt_bin.c - see gbt_bin.h. Sorting first, then one walk over distinct values and their counts.
 *
 * Source: LightGBM docs/Features.rst and Parameters.rst (max_bin, min_data_in_bin): equal counts,
 * values too frequent for a share get a bin of their own, bounds half way between neighbours.
 */
#include "model/gbt_bin.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* Order of doubles as unsigned integers. */
static uint64_t key_of(double x)
{
    uint64_t u;

    memcpy(&u, &x, sizeof u);
    return u ^ ((u >> 63) != 0 ? ~(uint64_t)0 : (uint64_t)1 << 63);
}

static double key_back(uint64_t u)
{
    double x;

    u ^= (u >> 63) != 0 ? (uint64_t)1 << 63 : ~(uint64_t)0;
    memcpy(&x, &u, sizeof x);
    return x;
}

/* Radix sort by bytes, skipping bytes all keys share. The result is in `x`. */
static void sort_doubles(double *x, double *spare, size_t n)
{
    uint64_t *a = (void *)x, *b = (void *)spare, *from = a, *to = b;
    static const int n_bytes = 8;

    for (size_t i = 0; i < n; i++)
        a[i] = key_of(x[i]);
    for (int byte = 0; byte < n_bytes; byte++) {
        size_t count[256] = { 0 }, at = 0;
        int shift = 8 * byte;
        uint64_t *swap;

        for (size_t i = 0; i < n; i++)
            count[from[i] >> shift & 255]++;
        if (n == 0 || count[from[0] >> shift & 255] == n)
            continue;
        for (int v = 0; v < 256; v++) {
            size_t c = count[v];

            count[v] = at;
            at += c;
        }
        for (size_t i = 0; i < n; i++)
            to[count[from[i] >> shift & 255]++] = from[i];
        swap = from;
        from = to;
        to = swap;
    }
    for (size_t i = 0; i < n; i++)
        x[i] = key_back(from[i]);
}

/* Distinct values of a sorted sample with their counts. */
struct distinct {
    double *value;
    int *count;
    int n;
};

static double between(double a, double b)
{
    return nextafter(a + (b - a) / 2, INFINITY);
}

struct bounds {
    double *at;
    int n;
};

static void push_bound(struct bounds *b, double x)
{
    if (b->n == 0 || x > nextafter(b->at[b->n - 1], INFINITY))
        b->at[b->n++] = x;
}

/* Few distinct values: one bin each, neighbours joined until min_data_in_bin. */
static void cut_few(const struct distinct *d, int min_data, struct bounds *out)
{
    int rows = 0;

    for (int i = 0; i + 1 < d->n; i++) {
        rows += d->count[i];
        if (rows >= min_data) {
            push_bound(out, between(d->value[i], d->value[i + 1]));
            rows = 0;
        }
    }
}

/* Many: equal shares, frequent values alone. */
static void cut_many(const struct distinct *d, int max_bins, int64_t total, int min_data,
                     struct bounds *out)
{
    double share, half;
    int64_t rest = total;
    int rest_bins, rows = 0, made = 0;

    if (max_bins > total / min_data)
        max_bins = (int)(total / min_data);
    max_bins = max_bins < 1 ? 1 : max_bins;
    share = (double)total / max_bins;
    rest_bins = max_bins;
    for (int i = 0; i < d->n; i++)
        if (d->count[i] >= share) {
            rest_bins--;
            rest -= d->count[i];
        }
    half = rest_bins > 0 ? (double)rest / rest_bins : INFINITY;
    for (int i = 0; i + 1 < d->n && made < max_bins - 1; i++) {
        int big = d->count[i] >= share, next_big = d->count[i + 1] >= share;

        if (!big)
            rest -= d->count[i];
        rows += d->count[i];
        if (big || rows >= half || (next_big && rows >= fmax(1, half * 0.5))) {
            push_bound(out, between(d->value[i], d->value[i + 1]));
            made++;
            rows = 0;
            if (!big) {
                rest_bins--;
                half = rest_bins > 0 ? (double)rest / rest_bins : INFINITY;
            }
        }
    }
}

/* Bounds inside one sign; room for max_bins of them. */
static void cut(const struct distinct *d, int max_bins, int min_data, struct bounds *out)
{
    int64_t total = 0;

    for (int i = 0; i < d->n; i++)
        total += d->count[i];
    if (d->n == 0 || max_bins < 1)
        return;
    if (d->n <= max_bins)
        cut_few(d, min_data, out);
    else
        cut_many(d, max_bins, total, min_data, out);
}

/* Negative, zero, positive: zero has its own bin between -GBT_ZERO and GBT_ZERO. */
static void cut_signs(const struct distinct *d, int max_bins, int min_data, struct bounds *out)
{
    int n_neg = 0, n_zero = 0;
    int64_t neg = 0, zero = 0, pos = 0;
    struct distinct part;

    for (int i = 0; i < d->n; i++) {
        if (d->value[i] < -GBT_ZERO) {
            n_neg++;
            neg += d->count[i];
        } else if (d->value[i] <= GBT_ZERO) {
            n_zero++;
            zero += d->count[i];
        } else {
            pos += d->count[i];
        }
    }
    (void)zero;
    if (n_neg > 0) {
        int bins = (int)((double)neg / (double)(neg + pos) * (max_bins - 1));

        part = (struct distinct){ d->value, d->count, n_neg };
        cut(&part, bins < 1 ? 1 : bins, min_data, out);
        push_bound(out, -GBT_ZERO);
    }
    if (n_neg + n_zero < d->n) {
        int bins = max_bins - 1 - out->n;

        if (bins > 0) {
            push_bound(out, GBT_ZERO);
            part = (struct distinct){ d->value + n_neg + n_zero, d->count + n_neg + n_zero,
                                      d->n - n_neg - n_zero };
            cut(&part, bins, min_data, out);
        }
    }
}

static int make_numeric(struct gbt_bin *b, const struct distinct *d, size_t n_nan,
                        const struct gbt_param *p, struct err *e)
{
    int max_bins = p->max_bin - (b->missing == GBT_MISSING_NAN), padded = 1;
    struct bounds bounds = { NULL, 0 };

    bounds.at = mem_alloc(((size_t)max_bins + 8) * sizeof *bounds.at);
    if (bounds.at == NULL)
        return err_set(e, ERR_NOMEM, "no memory for %d bins", max_bins);
    cut_signs(d, max_bins, p->min_data_in_bin, &bounds);
    while (padded < bounds.n + 1) {
        padded *= 2;
        b->n_steps++;
    }
    b->upper = mem_alloc((size_t)padded * sizeof *b->upper);
    if (b->upper == NULL) {
        mem_free(bounds.at);
        return err_set(e, ERR_NOMEM, "no memory for %d bins", max_bins);
    }
    for (int i = 0; i < padded; i++)
        b->upper[i] = i < bounds.n ? bounds.at[i] : DBL_MAX;
    b->n_values = bounds.n + 1;
    b->n_bins = b->n_values + (b->missing == GBT_MISSING_NAN && n_nan > 0);
    mem_free(bounds.at);
    return 0;
}

struct cat {
    int value, count;
};

static int cat_cmp(const void *a, const void *b)
{
    const struct cat *x = a, *y = b;

    return x->count != y->count ? y->count - x->count : x->value - y->value;
}

static uint32_t cat_slot(const struct gbt_bin *b, int cat)
{
    return (uint32_t)cat * 2654435761u >> (32 - b->hash_bits);
}

static int cat_bin(const struct gbt_bin *b, int cat)
{
    uint32_t mask = ((uint32_t)1 << b->hash_bits) - 1;

    for (uint32_t s = cat_slot(b, cat); b->hash[2 * s + 1] != 0; s = (s + 1) & mask)
        if (b->hash[2 * s] == cat)
            return b->hash[2 * s + 1];
    return 0;
}

static int make_hash(struct gbt_bin *b)
{
    for (b->hash_bits = 2; (1 << b->hash_bits) < 2 * b->n_bins; b->hash_bits++)
        ;
    b->hash = mem_zero((size_t)2 << b->hash_bits, sizeof *b->hash);
    if (b->hash == NULL)
        return -1;
    for (int i = 1; i < b->n_bins; i++) {
        uint32_t mask = ((uint32_t)1 << b->hash_bits) - 1, s = cat_slot(b, b->cats[i]);

        while (b->hash[2 * s + 1] != 0)
            s = (s + 1) & mask;
        b->hash[2 * s] = b->cats[i];
        b->hash[2 * s + 1] = i;
    }
    return 0;
}

/* Frequent categories first, until 99 % of the rows and max_bin bins are covered. */
static int make_categorical(struct gbt_bin *b, const struct distinct *d, size_t n_nan,
                            const struct gbt_param *p, struct err *e)
{
    struct cat *cats = mem_alloc(((size_t)d->n + 1) * sizeof *cats);
    int n = 0, rc = -1, max_bins, i;
    int64_t total = 0, covered = 0;

    if (cats == NULL)
        return err_set(e, ERR_NOMEM, "no memory for %d categories", d->n);
    for (i = 0; i < d->n; i++)
        if (d->value[i] > -1) {
            int v;

            if (d->value[i] > GBT_CATEGORY_MAX) {
                rc = err_set(e, ERR_LIMIT, "category %g: at most %d expected", d->value[i],
                             GBT_CATEGORY_MAX);
                goto done;
            }
            v = (int)d->value[i];
            if (n > 0 && cats[n - 1].value == v)
                cats[n - 1].count += d->count[i];
            else
                cats[n++] = (struct cat){ v, d->count[i] };
            total += d->count[i];
        }
    qsort(cats, (size_t)n, sizeof *cats, cat_cmp);
    b->cats = mem_alloc(((size_t)n + 1) * sizeof *b->cats);
    if (b->cats == NULL)
        goto nomem;
    b->cats[0] = -1;
    b->n_bins = 1;
    max_bins = n + (n_nan > 0) < p->max_bin ? n + (n_nan > 0) : p->max_bin;
    for (i = 0; i < n && b->n_bins < 65536; i++) {
        if ((double)covered >= floor(0.99 * (double)total + 0.5) && b->n_bins >= max_bins)
            break;
        if (cats[i].count < p->min_data_in_bin && i > 1)
            break;
        b->cats[b->n_bins++] = cats[i].value;
        covered += cats[i].count;
    }
    b->missing = i == n && n_nan == 0 ? GBT_MISSING_NONE : GBT_MISSING_NAN;
    if (make_hash(b) != 0)
        goto nomem;
    rc = 0;
    goto done;
nomem:
    err_set(e, ERR_NOMEM, "no memory for %d categories", d->n);
done:
    mem_free(cats);
    return rc;
}

static int find_common(struct gbt_bin *b, const struct distinct *d, size_t n_nan, struct err *e)
{
    size_t *rows = mem_zero((size_t)b->n_bins + 1, sizeof *rows), total = n_nan;

    if (rows == NULL)
        return err_set(e, ERR_NOMEM, "no memory for %d bins", b->n_bins);
    b->common_bin = b->zero_bin = gbt_bin_of(b, 0);
    rows[gbt_bin_of(b, NAN)] += n_nan;
    for (int i = 0; i < d->n; i++) {
        rows[gbt_bin_of(b, d->value[i])] += (size_t)d->count[i];
        total += (size_t)d->count[i];
    }
    for (int i = 0; i < b->n_bins; i++)
        if ((double)rows[i] >= 0.7 * (double)total)
            b->common_bin = i;
    mem_free(rows);
    return 0;
}

int gbt_bin_make(struct gbt_bin *b, double *sample, double *spare, size_t n, int is_cat,
                 const struct gbt_param *p, struct err *e)
{
    struct distinct d = { spare, NULL, 0 };
    size_t n_nan = 0, kept = 0;
    int rc;

    memset(b, 0, sizeof *b);
    b->is_cat = is_cat;
    b->missing = !p->use_missing ? GBT_MISSING_NONE : p->zero_as_missing ? GBT_MISSING_ZERO
                                                                         : GBT_MISSING_NAN;
    for (size_t i = 0; i < n; i++) {
        double x = sample[i];

        if (isnan(x)) {
            if (b->missing == GBT_MISSING_NAN) {
                n_nan++;
                continue;
            }
            x = 0;
        }
        sample[kept++] = x == 0 ? 0 : x; /* no negative zero */
    }
    if (b->missing == GBT_MISSING_NAN && n_nan == 0)
        b->missing = GBT_MISSING_NONE;
    sort_doubles(sample, spare, kept);
    b->low = kept > 0 ? sample[0] : 0;
    b->high = kept > 0 ? sample[kept - 1] : 0;
    d.count = mem_alloc((kept + 1) * sizeof *d.count);
    if (d.count == NULL)
        return err_set(e, ERR_NOMEM, "no memory for %zu values", kept);
    for (size_t i = 0; i < kept; i++) {
        if (d.n > 0 && sample[i] <= nextafter(d.value[d.n - 1], INFINITY)) {
            d.count[d.n - 1]++;
        } else {
            d.value[d.n] = sample[i]; /* behind what is read: spare holds the distinct ones */
            d.count[d.n++] = 1;
        }
    }
    rc = is_cat ? make_categorical(b, &d, n_nan, p, e) : make_numeric(b, &d, n_nan, p, e);
    if (rc == 0)
        rc = find_common(b, &d, n_nan, e);
    mem_free(d.count);
    return rc;
}

void gbt_bin_deinit(struct gbt_bin *b)
{
    mem_free(b->upper);
    mem_free(b->cats);
    mem_free(b->hash);
    b->upper = NULL;
    b->cats = b->hash = NULL;
}

/* How many bounds are below x, without a branch that could be mispredicted. */
static int value_bin(const struct gbt_bin *b, double x)
{
    const double *u = b->upper;
    int at = 0;

    for (int half = (1 << b->n_steps) >> 1; half > 0; half >>= 1)
        at += u[at + half - 1] < x ? half : 0;
    return at;
}

int gbt_bin_of(const struct gbt_bin *b, double x)
{
    if (b->is_cat)
        return x > -1 && x <= INT32_MAX ? cat_bin(b, (int)x) : 0;
    if (isnan(x)) {
        if (b->missing == GBT_MISSING_NAN)
            return b->n_bins - 1;
        x = 0;
    }
    return value_bin(b, x);
}

void gbt_bin_many(const struct gbt_bin *b, const double *x, size_t n, uint16_t *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (uint16_t)gbt_bin_of(b, x[i]);
}

int gbt_bin_info(const struct gbt_bin *b, struct buf *out, struct err *e)
{
    if (b->n_bins < 2)
        return buf_adds(out, "none", e);
    if (!b->is_cat)
        return buf_addf(out, e, "[%.17g:%.17g]", b->low, b->high);
    for (int i = 0; i < b->n_bins; i++)
        if (buf_addf(out, e, i > 0 ? ":%d" : "%d", b->cats[i]) != 0)
            return -1;
    return 0;
}
