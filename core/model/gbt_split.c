/*
 * gbt_split.c - see gbt_split.h. Numbers first, categories below.
 */
#include "model/gbt_split.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/gbt_cpu.h"

#define TINY 1e-15 /* in every sum of hessians, so that none is zero */

static double cut_l1(double g, double l1)
{
    return g > l1 ? g - l1 : g < -l1 ? g + l1 : 0;
}

double gbt_split_output(const struct gbt_param *p, double g, double h, double l2, double low,
                        double high)
{
    double v = -cut_l1(g, p->lambda_l1) / (h + l2 > 0 ? h + l2 : TINY);

    if (p->max_delta_step > 0 && fabs(v) > p->max_delta_step)
        v = copysign(p->max_delta_step, v);
    return v < low ? low : v > high ? high : v;
}

/* What a leaf with value v takes off the loss, twice. */
static double gain_of(const struct gbt_param *p, double g, double h, double l2, double v)
{
    return -(2 * cut_l1(g, p->lambda_l1) * v + (h + l2) * v * v);
}

/* Is a leaf's value the best one for its sums? */
static int is_plain(const struct gbt_scan *s, int monotone)
{
    return s->p->max_delta_step == 0 && monotone == 0 && s->low == -INFINITY &&
           s->high == INFINITY;
}

static double leaf_gain(const struct gbt_scan *s, double g, double h, double l2)
{
    if (is_plain(s, 0)) {
        double cut = cut_l1(g, s->p->lambda_l1);

        return cut * cut / (h + l2);
    }
    return gain_of(s->p, g, h, l2, gbt_split_output(s->p, g, h, l2, s->low, s->high));
}

/* Gains of all n places to cut; -1 where a side is too small. pg, ph, pc: sums and rows of one side,
 * the other is what is left. Rows of a bin are estimated from its hessian, bin by bin. */
struct cuts {
    const double *pg, *ph, *pc;
    double *gain;
    int n, is_left;      /* the sums are of the left side */
    double g, h, rows, l2, min_h, min_rows;
};

static inline __attribute__((always_inline)) void cuts_loop(const struct cuts *c)
{
    const double *restrict pg = c->pg, *restrict ph = c->ph, *restrict pc = c->pc;
    double *restrict gain = c->gain;
    double g = c->g, h = c->h, l2 = c->l2, rows = c->rows;
    double min_h = c->min_h, min_rows = c->min_rows;

    for (int i = 0; i < c->n; i++) {
        double ga = pg[i], ha = ph[i], gb = g - ga, hb = h - ha;
        double low = ha < hb ? ha : hb, ca = pc[i], cb = rows - ca;
        double fewer = ca < cb ? ca : cb;
        double v = ga * ga / (ha + l2) + gb * gb / (hb + l2);

        gain[i] = ((low >= min_h) & (fewer >= min_rows)) ? v : -1;
    }
}

static void cuts_ref(const struct cuts *c)
{
    cuts_loop(c);
}

#if defined(__x86_64__)
GBT_AVX512 static void cuts_avx512(const struct cuts *c)
{
    cuts_loop(c);
}
#endif

/* The same with everything that bends a leaf's value. */
static void cuts_bent(const struct gbt_scan *s, const struct cuts *c, int monotone)
{
    for (int i = 0; i < c->n; i++) {
        double ga = c->pg[i], ha = c->ph[i], gb = c->g - ga, hb = c->h - ha, va, vb;

        c->gain[i] = -1;
        if (fmin(ha, hb) < c->min_h || c->pc[i] < c->min_rows || c->rows - c->pc[i] < c->min_rows)
            continue;
        va = gbt_split_output(s->p, ga, ha, c->l2, s->low, s->high);
        vb = gbt_split_output(s->p, gb, hb, c->l2, s->low, s->high);
        if (monotone != 0 && va != vb && (va < vb) == (c->is_left ? monotone < 0 : monotone > 0))
            continue;
        c->gain[i] = is_plain(s, monotone)
                         ? leaf_gain(s, ga, ha, c->l2) + leaf_gain(s, gb, hb, c->l2)
                         : gain_of(s->p, ga, ha, c->l2, va) + gain_of(s->p, gb, hb, c->l2, vb);
    }
}

static void run_cuts(const struct gbt_scan *s, const struct cuts *c, int monotone)
{
    if (!is_plain(s, monotone) || s->p->lambda_l1 > 0)
        cuts_bent(s, c, monotone);
#if defined(__x86_64__)
    else if (gbt_cpu_avx512())
        cuts_avx512(c);
#endif
    else
        cuts_ref(c);
}

/* The leaf's sums as gradients; TINY for each side, as LightGBM has it. */
static double sum_g(const struct gbt_scan *s)
{
    return s->sum.g * s->g_scale;
}

static double sum_h(const struct gbt_scan *s)
{
    return s->sum.h * s->h_scale + 2 * TINY;
}

/* Sums of both sides from those of the left, TINY included, in the order LightGBM has them. */
static void keep_sums(const struct gbt_scan *s, double gl, double hl, struct gbt_split *out)
{
    out->left.g = gl / s->g_scale;
    out->left.h = (hl - TINY) / s->h_scale;
    out->right.g = (sum_g(s) - gl) / s->g_scale;
    out->right.h = (sum_h(s) - hl - TINY) / s->h_scale;
}

static double rows_of(double h, double per_h)
{
    return floor(h * per_h + 0.5);
}

/* Sums of bins from one end: right to left when missing rows go left, so that they are "the rest".
 * `first`: rows of bin 0 when known better than by its hessian, else NaN. */
static void accumulate(const struct gbt_scan *s, const struct gbt_cell *cells, int n, int skip,
                       int from_right, double per_h, double first, double *pg, double *ph,
                       double *pc)
{
    double g = 0, h = TINY, c = 0;

    for (int k = 0; k < n; k++) {
        int i = from_right ? n - 1 - k : k, at = from_right ? i - 1 : i;

        if (i != skip) {
            double hb = cells[i].h * s->h_scale;

            g += cells[i].g * s->g_scale;
            h += hb;
            c += i == 0 && !isnan(first) ? first : rows_of(hb, per_h);
        }
        if (at < 0)
            break;
        pg[at] = g;
        ph[at] = h;
        pc[at] = c;
    }
}

static void find_numeric(const struct gbt_scan *s, const struct gbt_bin *b, int monotone,
                         const struct gbt_cell *cells, double *work, struct gbt_split *out)
{
    int n = b->n_values, skip = b->missing == GBT_MISSING_ZERO ? b->zero_bin : -1;
    double *pg = work, *ph = pg + n + 16, *pc = ph + n + 16, per_h, first = NAN;
    struct cuts c = { .pg = pg, .ph = ph, .pc = pc, .gain = pc + n + 16 };

    c.g = sum_g(s);
    c.h = sum_h(s);
    per_h = s->n_rows / c.h;
    c.rows = s->n_rows;
    c.l2 = s->p->lambda_l2;
    c.min_h = s->p->min_sum_hessian_in_leaf;
    c.min_rows = s->p->min_data_in_leaf > 1 ? s->p->min_data_in_leaf : 1;
    for (int miss_left = 1; miss_left >= 0; miss_left--) {
        int not = skip, found = -1;

        if (!miss_left && b->missing == GBT_MISSING_NONE)
            break; /* nothing is missing: one pass, and such nodes say "left" */
        if (!miss_left && b->common_bin == 0 && b->missing == GBT_MISSING_NAN) {
            first = s->n_rows; /* the common bin is what the others leave over, its rows too */
            for (int i = 1; i < b->n_bins; i++)
                first -= rows_of(cells[i].h * s->h_scale, per_h);
        }
        accumulate(s, cells, n, skip, miss_left, per_h, first, pg, ph, pc);
        if (miss_left && skip >= 0)
            not = skip - 1; /* parts the rows as `skip` does */
        /* with NaN on the right, nothing else need be there */
        c.n = !miss_left && b->missing == GBT_MISSING_NAN ? n : n - 1;
        c.is_left = !miss_left;
        run_cuts(s, &c, monotone);
        /* among equals: the highest bound when missing goes left, else the lowest */
        for (int k = 0; k < c.n; k++) {
            int i = miss_left ? c.n - 1 - k : k;

            if (c.gain[i] > out->gain && i != not) {
                out->gain = c.gain[i];
                found = i;
            }
        }
        if (found < 0)
            continue;
        out->bin = found;
        out->default_left = miss_left;
        keep_sums(s, miss_left ? c.g - pg[found] : pg[found], miss_left ? c.h - ph[found] : ph[found],
                  out);
    }
}

/* One category against the rest. */
static void find_one(const struct gbt_scan *s, const struct gbt_bin *b,
                     const struct gbt_cell *cells, struct gbt_split *out)
{
    const struct gbt_param *p = s->p;
    double g = sum_g(s), h = sum_h(s), per_h = s->n_rows / h;

    for (int i = 1; i < b->n_bins; i++) {
        double ga = cells[i].g * s->g_scale, ha = cells[i].h * s->h_scale;
        double hb = h - ha - TINY, rows = rows_of(ha, per_h), gain;

        if (fmin(ha, hb) < p->min_sum_hessian_in_leaf || rows < p->min_data_in_leaf ||
            s->n_rows - rows < p->min_data_in_leaf || cells[i].h <= 0)
            continue;
        gain = leaf_gain(s, g - ga, hb, p->lambda_l2) + leaf_gain(s, ga, ha + TINY, p->lambda_l2);
        if (gain > out->gain) {
            out->gain = gain;
            out->n_cats = 1;
            out->cats[0] = (uint16_t)i;
            keep_sums(s, ga, ha + TINY, out);
            out->l2 = p->lambda_l2;
        }
    }
}

struct ratio {
    double value;
    int bin;
};

static int ratio_cmp(const void *a, const void *b)
{
    const struct ratio *x = a, *y = b;

    if (x->value != y->value)
        return x->value < y->value ? -1 : 1;
    return x->bin - y->bin;
}

/* Categories in order of g / (h + smooth): runs from either end go left. */
static void find_many(const struct gbt_scan *s, const struct gbt_bin *b,
                      const struct gbt_cell *cells, struct ratio *order, struct gbt_split *out)
{
    const struct gbt_param *p = s->p;
    double g = sum_g(s), h = sum_h(s), per_h = s->n_rows / h, l2 = p->lambda_l2 + p->cat_l2;
    int n = 0, max_cats, best_n = 0, best_dir = 0;

    for (int i = 1; i < b->n_bins; i++) {
        double hb = cells[i].h * s->h_scale;

        if (rows_of(hb, per_h) >= p->cat_smooth)
            order[n++] = (struct ratio){ cells[i].g * s->g_scale / (hb + p->cat_smooth), i };
    }
    qsort(order, (size_t)n, sizeof *order, ratio_cmp);
    max_cats = (n + 1) / 2 < p->max_cat_threshold ? (n + 1) / 2 : p->max_cat_threshold;
    max_cats = max_cats < GBT_CATS_MAX ? max_cats : GBT_CATS_MAX;
    for (int dir = 1; dir >= -1; dir -= 2) {
        double gl = 0, hl = TINY, rows = 0, group = 0;

        for (int k = 0; k < n && k < max_cats; k++) {
            int i = order[dir > 0 ? k : n - 1 - k].bin;
            double hb = cells[i].h * s->h_scale, cb = rows_of(hb, per_h), rest, gain;

            gl += cells[i].g * s->g_scale;
            hl += hb;
            rows += cb;
            group += cb;
            if (rows < p->min_data_in_leaf || hl < p->min_sum_hessian_in_leaf)
                continue;
            rest = s->n_rows - rows;
            if (rest < p->min_data_in_leaf || rest < p->min_data_per_group ||
                h - hl < p->min_sum_hessian_in_leaf)
                break;
            if (group < p->min_data_per_group)
                continue;
            group = 0;
            gain = leaf_gain(s, gl, hl, l2) + leaf_gain(s, g - gl, h - hl, l2);
            if (gain > out->gain) {
                out->gain = gain;
                best_n = k + 1;
                best_dir = dir;
                keep_sums(s, gl, hl, out);
            }
        }
    }
    if (best_n == 0)
        return;
    out->n_cats = best_n;
    out->l2 = l2;
    for (int k = 0; k < best_n; k++)
        out->cats[k] = (uint16_t)order[best_dir > 0 ? k : n - 1 - k].bin;
}

void gbt_split_find(const struct gbt_scan *s, const struct gbt_bin *b, int feature,
                    const struct gbt_cell *cells, double *work, struct gbt_split *out)
{
    const struct gbt_param *p = s->p;
    int monotone = feature < p->n_monotone ? p->monotone[feature] : 0;
    double shift = leaf_gain(s, sum_g(s), sum_h(s), p->lambda_l2) + p->min_gain_to_split;

    out->gain = shift > 0 ? shift : 0; /* to beat; what is left over is the gain */
    out->feature = feature;
    out->is_cat = b->is_cat;
    out->default_left = 0;
    out->bin = -1;
    out->n_cats = 0;
    out->l2 = p->lambda_l2;
    out->left = out->right = (struct gbt_cell){ 0, 0 };
    if (s->g_scale == 0 || s->h_scale == 0) { /* nothing to learn from */
        out->gain = 0;
        return;
    }
    if (!b->is_cat)
        find_numeric(s, b, monotone, cells, work, out);
    else if (b->n_bins <= p->max_cat_to_onehot)
        find_one(s, b, cells, out);
    else
        find_many(s, b, cells, (struct ratio *)(void *)work, out);
    if (out->bin >= 0 || out->n_cats > 0)
        out->gain -= shift;
    else
        out->gain = 0;
}
