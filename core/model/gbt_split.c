/*
 * gbt_split.c - see gbt_split.h. Numbers first, categories below.
 */
#include "model/gbt_split.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/gbt_cpu.h"

#define TINY 1e-15 /* keeps empty sides from dividing by zero */

static double cut_l1(double g, double l1)
{
    return g > l1 ? g - l1 : g < -l1 ? g + l1 : 0;
}

double gbt_split_output(const struct gbt_param *p, double g, double h, double l2, double low,
                        double high)
{
    double v = -cut_l1(g, p->lambda_l1) / (h + l2 + TINY);

    if (p->max_delta_step > 0 && fabs(v) > p->max_delta_step)
        v = copysign(p->max_delta_step, v);
    return v < low ? low : v > high ? high : v;
}

/* What a leaf with value v takes off the loss, twice. */
static double gain_of(const struct gbt_param *p, double g, double h, double l2, double v)
{
    return -(2 * cut_l1(g, p->lambda_l1) * v + (h + l2) * v * v);
}

static double leaf_gain(const struct gbt_scan *s, double g, double h, double l2)
{
    return gain_of(s->p, g, h, l2, gbt_split_output(s->p, g, h, l2, s->low, s->high));
}

static int is_plain(const struct gbt_scan *s, int monotone)
{
    return s->p->lambda_l1 == 0 && s->p->max_delta_step == 0 && monotone == 0 &&
           s->low == -INFINITY && s->high == INFINITY;
}

/* Gains of all n places to cut; -1 where a side is too small. pg, ph, pc: sums and rows up to each
 * place. Rows of a bin are estimated from its hessian, bin by bin. */
struct cuts {
    const double *pg, *ph, *pc;
    double *gain;
    int n;
    double add_g, add_h, add_c; /* the missing rows, when they go left */
    double g, h, rows, l2, min_h, min_rows;
};

static inline __attribute__((always_inline)) void cuts_loop(const struct cuts *c)
{
    const double *restrict pg = c->pg, *restrict ph = c->ph, *restrict pc = c->pc;
    double *restrict gain = c->gain;
    double add_g = c->add_g, add_h = c->add_h, g = c->g, h = c->h, l2 = c->l2 + TINY;
    double min_h = c->min_h, min_rows = c->min_rows, add_c = c->add_c, rows = c->rows;

    for (int i = 0; i < c->n; i++) {
        double gl = pg[i] + add_g, hl = ph[i] + add_h, gr = g - gl, hr = h - hl;
        double low = hl < hr ? hl : hr, cl = pc[i] + add_c, cr = rows - cl;
        double fewer = cl < cr ? cl : cr;
        double v = gl * gl / (hl + l2) + gr * gr / (hr + l2);

        gain[i] = (low >= min_h) & (fewer >= min_rows) ? v : -1;
    }
}

static void cuts_ref(const struct cuts *c)
{
    cuts_loop(c);
}

#if defined(__x86_64__)
__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,prefer-vector-width=512"))) static void
cuts_avx512(const struct cuts *c)
{
    cuts_loop(c);
}
#endif

/* The same with everything that bends a leaf's value. */
static void cuts_bent(const struct gbt_scan *s, const struct cuts *c, int monotone)
{
    for (int i = 0; i < c->n; i++) {
        double gl = c->pg[i] + c->add_g, hl = c->ph[i] + c->add_h, gr = c->g - gl, hr = c->h - hl;
        double low = hl < hr ? hl : hr, cl = c->pc[i] + c->add_c, vl, vr;

        c->gain[i] = -1;
        if (low < c->min_h || cl < c->min_rows || c->rows - cl < c->min_rows)
            continue;
        vl = gbt_split_output(s->p, gl, hl, c->l2, s->low, s->high);
        vr = gbt_split_output(s->p, gr, hr, c->l2, s->low, s->high);
        if ((monotone > 0 && vl > vr) || (monotone < 0 && vl < vr))
            continue;
        c->gain[i] = gain_of(s->p, gl, hl, c->l2, vl) + gain_of(s->p, gr, hr, c->l2, vr);
    }
}

static void run_cuts(const struct gbt_scan *s, const struct cuts *c, int monotone)
{
    if (!is_plain(s, monotone))
        cuts_bent(s, c, monotone);
#if defined(__x86_64__)
    else if (gbt_cpu_avx512())
        cuts_avx512(c);
#endif
    else
        cuts_ref(c);
}

static double per_hessian(const struct gbt_scan *s)
{
    double h = (double)s->sum.h * s->h_scale;

    return h > 0 ? s->n_rows / h : 0;
}

static void find_numeric(const struct gbt_scan *s, const struct gbt_bin *b, int monotone,
                         const struct gbt_cell *cells, double *work, struct gbt_split *out)
{
    int n = b->n_values, skip = -1;
    double *pg = work, *ph = pg + n + 16, *pc = ph + n + 16, all = 0, per_h = per_hessian(s);
    int64_t g = 0, h = 0;
    struct gbt_cell none = { 0, 0 }, missing = none;
    struct cuts c = { .pg = pg, .ph = ph, .pc = pc, .gain = pc + n + 16, .n = n - 1 };

    if (b->missing == GBT_MISSING_NAN && b->n_bins > n)
        missing = cells[n];
    if (b->missing == GBT_MISSING_ZERO) {
        skip = b->zero_bin;
        missing = cells[skip];
    }
    for (int i = 0; i < n; i++) {
        if (i != skip) {
            g += cells[i].g;
            h += cells[i].h;
            all += floor((double)cells[i].h * s->h_scale * per_h + 0.5);
        }
        pg[i] = (double)g * s->g_scale;
        ph[i] = (double)h * s->h_scale;
        pc[i] = all;
    }
    c.g = (double)s->sum.g * s->g_scale;
    c.h = (double)s->sum.h * s->h_scale;
    c.rows = s->n_rows;
    c.l2 = s->p->lambda_l2;
    c.min_h = s->p->min_sum_hessian_in_leaf;
    c.min_rows = s->p->min_data_in_leaf > 1 ? s->p->min_data_in_leaf : 1;
    for (int miss_left = 1; miss_left >= 0; miss_left--) {
        int not = skip;

        if (!miss_left && b->missing == GBT_MISSING_NONE)
            break; /* nothing is missing: one pass, and such nodes say "left" */
        c.add_g = miss_left ? (double)missing.g * s->g_scale : 0;
        c.add_h = miss_left ? (double)missing.h * s->h_scale : 0;
        c.add_c = miss_left ? s->n_rows - all : 0;
        if (miss_left && skip >= 0)
            not = skip - 1; /* parts the rows as `skip` does */
        /* with NaN on the right, nothing else need be there */
        c.n = !miss_left && b->missing == GBT_MISSING_NAN ? n : n - 1;
        run_cuts(s, &c, monotone);
        /* among equals: the highest bound when missing goes left, else the lowest */
        for (int k = 0; k < c.n; k++) {
            int i = miss_left ? c.n - 1 - k : k;

            if (!(c.gain[i] > out->gain) || i == not)
                continue;
            out->gain = c.gain[i];
            out->bin = i;
            out->default_left = miss_left;
        }
    }
    if (out->bin < 0)
        return;
    out->left = none;
    for (int i = 0; i <= out->bin; i++)
        if (i != skip) {
            out->left.g += cells[i].g;
            out->left.h += cells[i].h;
        }
    if (out->default_left) {
        out->left.g += missing.g;
        out->left.h += missing.h;
    }
}

/* One category against the rest. */
static void find_one(const struct gbt_scan *s, const struct gbt_bin *b,
                     const struct gbt_cell *cells, struct gbt_split *out)
{
    const struct gbt_param *p = s->p;
    double g = (double)s->sum.g * s->g_scale, h = (double)s->sum.h * s->h_scale;
    double per_h = per_hessian(s);

    for (int i = 1; i < b->n_bins; i++) {
        double gl = (double)cells[i].g * s->g_scale, hl = (double)cells[i].h * s->h_scale;
        double low = fmin(hl, h - hl), rows = floor(hl * per_h + 0.5), gain;

        if (low < p->min_sum_hessian_in_leaf || rows < p->min_data_in_leaf ||
            s->n_rows - rows < p->min_data_in_leaf || cells[i].h <= 0)
            continue;
        gain = leaf_gain(s, gl, hl, p->lambda_l2) + leaf_gain(s, g - gl, h - hl, p->lambda_l2);
        if (gain > out->gain) {
            out->gain = gain;
            out->n_cats = 1;
            out->cats[0] = (uint16_t)i;
            out->left = cells[i];
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
    double g = (double)s->sum.g * s->g_scale, h = (double)s->sum.h * s->h_scale;
    double per_h = per_hessian(s), l2 = p->lambda_l2 + p->cat_l2;
    int n = 0, max_cats, best_n = 0, best_dir = 0;

    for (int i = 1; i < b->n_bins; i++) {
        double hb = (double)cells[i].h * s->h_scale;

        if (floor(hb * per_h + 0.5) >= p->cat_smooth)
            order[n++] = (struct ratio){ (double)cells[i].g * s->g_scale / (hb + p->cat_smooth), i };
    }
    qsort(order, (size_t)n, sizeof *order, ratio_cmp);
    max_cats = (n + 1) / 2 < p->max_cat_threshold ? (n + 1) / 2 : p->max_cat_threshold;
    max_cats = max_cats < GBT_CATS_MAX ? max_cats : GBT_CATS_MAX;
    for (int dir = 1; dir >= -1; dir -= 2) {
        double gl = 0, hl = 0, rows = 0, group = 0;

        for (int k = 0; k < n && k < max_cats; k++) {
            int i = order[dir > 0 ? k : n - 1 - k].bin;
            double hb = (double)cells[i].h * s->h_scale, cb = floor(hb * per_h + 0.5), rest, gain;

            gl += (double)cells[i].g * s->g_scale;
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
            }
        }
    }
    if (best_n == 0)
        return;
    out->n_cats = best_n;
    out->l2 = l2;
    for (int k = 0; k < best_n; k++) {
        int i = order[best_dir > 0 ? k : n - 1 - k].bin;

        out->cats[k] = (uint16_t)i;
        out->left.g += cells[i].g;
        out->left.h += cells[i].h;
    }
}

void gbt_split_find(const struct gbt_scan *s, const struct gbt_bin *b, int feature,
                    const struct gbt_cell *cells, double *work, struct gbt_split *out)
{
    const struct gbt_param *p = s->p;
    int monotone = feature < p->n_monotone ? p->monotone[feature] : 0;
    double shift = leaf_gain(s, (double)s->sum.g * s->g_scale, (double)s->sum.h * s->h_scale,
                             p->lambda_l2) + p->min_gain_to_split;

    out->gain = shift > 0 ? shift : 0; /* to beat; what is left over is the gain */
    out->feature = feature;
    out->is_cat = b->is_cat;
    out->default_left = 0;
    out->bin = -1;
    out->n_cats = 0;
    out->l2 = p->lambda_l2;
    out->left = (struct gbt_cell){ 0, 0 };
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
