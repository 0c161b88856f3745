/*
 * gbt_objective.c - see gbt_objective.h.
 */
#include "model/gbt_objective.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/gbt_cpu.h"

#define CHUNK 8192
#define TINY 1e-15

static double weight_of(const struct gbt_objective *o, size_t i)
{
    return o->weight != NULL ? o->weight[i] : 1;
}

static int check_label(const struct gbt_objective *o, size_t i, struct err *e)
{
    double y = o->label[i];

    if (!isfinite(y))
        return err_set(e, ERR_NAN, "row %zu: the label is not a number", i);
    switch (o->p->goal) {
    case GBT_BINARY:
        if (y != 0 && y != 1)
            return err_set(e, ERR_INVALID, "row %zu: label %g, binary needs 0 or 1", i, y);
        break;
    case GBT_MULTICLASS:
        if (y < 0 || y >= o->p->num_class || y != floor(y))
            return err_set(e, ERR_INVALID, "row %zu: label %g, a class from 0 to %d expected", i, y,
                           o->p->num_class - 1);
        break;
    case GBT_POISSON:
    case GBT_TWEEDIE:
        if (y < 0)
            return err_set(e, ERR_INVALID, "row %zu: label %g, 0 or more expected", i, y);
        break;
    case GBT_GAMMA:
        if (y <= 0)
            return err_set(e, ERR_INVALID, "row %zu: label %g, above 0 expected", i, y);
        break;
    default:
        break;
    }
    return 0;
}

struct pair {
    double x, w;
};

static int pair_cmp(const void *a, const void *b)
{
    double x = ((const struct pair *)a)->x, y = ((const struct pair *)b)->x;

    return x < y ? -1 : x > y;
}

/* The k-th smallest to place k, smaller before it, larger behind. */
static void select_kth(double *x, size_t n, size_t k)
{
    size_t lo = 0, hi = n - 1;

    while (lo < hi) {
        double a = x[lo], b = x[lo + (hi - lo) / 2], c = x[hi];
        double pivot = a < b ? (b < c ? b : a < c ? c : a) : (a < c ? a : b < c ? c : b);
        size_t i = lo, j = hi;

        for (;;) {
            double swap;

            while (x[i] < pivot)
                i++;
            while (x[j] > pivot)
                j--;
            if (i >= j)
                break;
            swap = x[i];
            x[i++] = x[j];
            x[j--] = swap;
        }
        if (k <= j)
            hi = j;
        else
            lo = j + 1;
    }
}

/* Between the two values around place alpha * (n - 1). */
static double quantile_plain(double *x, size_t n, double alpha)
{
    double from_top = (1 - alpha) * (double)(n - 1), high, low;
    size_t k = (size_t)from_top + 1; /* the k-th largest and the next */

    if (n == 1)
        return x[0];
    if (k >= n) {
        low = x[0];
        for (size_t i = 1; i < n; i++)
            low = x[i] < low ? x[i] : low;
        return low;
    }
    select_kth(x, n, n - k);
    high = x[n - k];
    low = x[0];
    for (size_t i = 1; i < n - k; i++)
        low = x[i] > low ? x[i] : low;
    return high - (high - low) * (from_top - (double)(k - 1));
}

static double quantile_weighted(struct pair *x, size_t n, double alpha)
{
    double total = 0, before = 0, after = 0;
    size_t i;

    qsort(x, n, sizeof *x, pair_cmp);
    for (i = 0; i < n; i++)
        total += x[i].w;
    for (i = 0; i < n; i++) {
        before = after;
        after += x[i].w;
        if (after > alpha * total)
            break;
    }
    if (i == 0 || i >= n - 1)
        return x[i >= n ? n - 1 : i].x;
    if (x[i].w >= 1)
        return x[i - 1].x + (x[i].x - x[i - 1].x) * (alpha * total - before) / x[i].w;
    return x[i].x;
}

/* The quantile is rounded to float, as LightGBM keeps it. */
static double alpha_of(const struct gbt_objective *o)
{
    return o->p->goal == GBT_L1 ? 0.5 : (double)(float)o->p->alpha;
}

int gbt_objective_renews(const struct gbt_objective *o)
{
    return o->p->goal == GBT_L1 || o->p->goal == GBT_QUANTILE;
}

double gbt_objective_renew(const struct gbt_objective *o, const double *score, const uint32_t *idx,
                           size_t n, double *spare)
{
    struct pair *pairs = (void *)spare;

    if (n == 0)
        return 0;
    for (size_t i = 0; i < n; i++) {
        size_t r = idx != NULL ? idx[i] : i;
        double x = o->label[r] - (score != NULL ? score[r] : 0);

        if (o->weight == NULL)
            spare[i] = x;
        else
            pairs[i] = (struct pair){ x, o->weight[r] };
    }
    return o->weight == NULL ? quantile_plain(spare, n, alpha_of(o))
                             : quantile_weighted(pairs, n, alpha_of(o));
}

static int make_start(struct gbt_objective *o, struct err *e)
{
    double sum = 0, total = 0, mean;
    double *spare;

    if (o->p->goal == GBT_MULTICLASS) {
        for (size_t i = 0; i < o->n; i++) {
            o->start[(int)o->label[i]] += weight_of(o, i);
            total += weight_of(o, i);
        }
        for (int k = 0; k < o->n_scores; k++)
            o->start[k] = log(fmax(TINY, o->start[k] / total));
        return 0;
    }
    for (size_t i = 0; i < o->n; i++) {
        sum += o->label[i] * weight_of(o, i);
        total += weight_of(o, i);
    }
    mean = sum / total;
    switch (o->p->goal) {
    case GBT_L1:
    case GBT_QUANTILE:
        spare = mem_alloc(2 * o->n * sizeof *spare);
        if (spare == NULL)
            return err_set(e, ERR_NOMEM, "no memory for %zu labels", o->n);
        o->start[0] = gbt_objective_renew(o, NULL, NULL, o->n, spare);
        mem_free(spare);
        break;
    case GBT_POISSON:
    case GBT_GAMMA:
    case GBT_TWEEDIE:
        if (mean <= 0)
            return err_set(e, ERR_INVALID, "all labels are 0: nothing to learn");
        o->start[0] = log(mean);
        break;
    case GBT_BINARY:
        mean = fmin(fmax(mean, TINY), 1 - TINY);
        o->start[0] = log(mean / (1 - mean)) / o->p->sigmoid;
        break;
    default:
        o->start[0] = mean;
    }
    return 0;
}

static void make_factors(struct gbt_objective *o)
{
    double pos = 0, neg;

    o->pos_factor = o->p->scale_pos_weight;
    o->neg_factor = 1;
    if (o->p->goal != GBT_BINARY || !o->p->is_unbalance)
        return;
    for (size_t i = 0; i < o->n; i++)
        pos += o->label[i];
    neg = (double)o->n - pos;
    if (pos > 0 && neg > pos)
        o->pos_factor = neg / pos;
    else if (neg > 0 && pos > neg)
        o->neg_factor = pos / neg;
}

static int make_weight(struct gbt_objective *o, const double *weight, struct err *e)
{
    double total = 0;

    if (weight == NULL && o->p->n_class_weight == 0)
        return 0;
    o->weight = mem_alloc(o->n * sizeof *o->weight);
    if (o->weight == NULL)
        return err_set(e, ERR_NOMEM, "no memory for %zu weights", o->n);
    for (size_t i = 0; i < o->n; i++) {
        double w = weight != NULL ? weight[i] : 1;

        if (!isfinite(w))
            return err_set(e, ERR_NAN, "row %zu: the weight is not a number", i);
        if (w < 0)
            return err_set(e, ERR_INVALID, "row %zu: weight %g, 0 or more expected", i, w);
        if (o->p->n_class_weight > 0)
            w *= o->p->class_weight[(int)o->label[i]];
        total += o->weight[i] = w;
    }
    if (!(total > 0) || !isfinite(total))
        return err_set(e, ERR_INVALID, "the weights sum to %g", total);
    return 0;
}

int gbt_objective_init(struct gbt_objective *o, const struct gbt_param *p, const double *label,
                       const double *weight, size_t n, struct err *e)
{
    memset(o, 0, sizeof *o);
    o->p = p;
    o->label = label;
    o->n = n;
    o->n_scores = p->goal == GBT_MULTICLASS ? p->num_class : 1;
    for (size_t i = 0; i < n; i++)
        if (check_label(o, i, e) != 0)
            return -1;
    o->start = mem_zero((size_t)o->n_scores, sizeof *o->start);
    if (o->start == NULL)
        return err_set(e, ERR_NOMEM, "no memory for %d classes", o->n_scores);
    if (make_weight(o, weight, e) != 0 || make_start(o, e) != 0) {
        gbt_objective_deinit(o);
        return -1;
    }
    make_factors(o);
    for (int k = 0; k < o->n_scores && !p->boost_from_average; k++)
        o->start[k] = 0;
    if (o->weight == NULL && (p->goal == GBT_REGRESSION || p->goal == GBT_L1 ||
                              p->goal == GBT_HUBER || p->goal == GBT_QUANTILE))
        o->h_const = 1;
    return 0;
}

void gbt_objective_deinit(struct gbt_objective *o)
{
    mem_free(o->weight);
    mem_free(o->start);
    o->weight = o->start = NULL;
}

int gbt_objective_needs(const struct gbt_objective *o, int k)
{
    size_t n = 0;

    if (o->p->goal != GBT_MULTICLASS && o->p->goal != GBT_BINARY)
        return 1;
    for (size_t i = 0; i < o->n; i++)
        n += (int)o->label[i] == (o->p->goal == GBT_BINARY ? 1 : k);
    return n > 0 && n < o->n;
}

struct pass {
    const struct gbt_objective *o;
    const double *score;
    float *g, *h;
};

/* Row i of a one-score objective. */
static void gradient(const struct gbt_objective *o, double s, double y, double *g, double *h)
{
    const struct gbt_param *p = o->p;
    double d = s - y, a, b;

    *g = 0;
    *h = 1;
    switch (p->goal) {
    case GBT_REGRESSION:
        *g = d;
        break;
    case GBT_L1:
        *g = d > 0 ? 1 : d < 0 ? -1 : 0;
        break;
    case GBT_HUBER:
        *g = fabs(d) <= p->alpha ? d : copysign(p->alpha, d);
        break;
    case GBT_FAIR:
        *g = p->fair_c * d / (fabs(d) + p->fair_c);
        *h = p->fair_c * p->fair_c / ((fabs(d) + p->fair_c) * (fabs(d) + p->fair_c));
        break;
    case GBT_QUANTILE:
        *g = d >= 0 ? 1 - alpha_of(o) : -alpha_of(o);
        break;
    case GBT_POISSON:
        a = exp(s);
        *g = a - y;
        *h = a * exp(p->poisson_max_delta_step);
        break;
    case GBT_GAMMA:
        a = exp(-s);
        *g = 1 - y * a;
        *h = y * a;
        break;
    case GBT_TWEEDIE:
        a = y * exp((1 - p->tweedie_variance_power) * s);
        b = exp((2 - p->tweedie_variance_power) * s);
        *g = b - a;
        *h = (2 - p->tweedie_variance_power) * b - (1 - p->tweedie_variance_power) * a;
        break;
    case GBT_BINARY:
        a = y > 0 ? -1 : 1;
        b = p->sigmoid / (1 + exp(-a * p->sigmoid * s));
        *g = a * b;
        *h = b * (p->sigmoid - b);
        a = y > 0 ? o->pos_factor : o->neg_factor;
        *g *= a;
        *h *= a;
        break;
    case GBT_MULTICLASS:
        break;
    }
}

static inline __attribute__((always_inline)) void difference(const double *restrict s,
                                                             const double *restrict y,
                                                             float *restrict g, size_t n)
{
    for (size_t i = 0; i < n; i++)
        g[i] = (float)(s[i] - y[i]);
}

#if defined(__x86_64__)
GBT_AVX512 static void difference_avx512(const double *s, const double *y, float *g, size_t n)
{
    difference(s, y, g, n);
}
#endif

static void one_score(const struct pass *q, size_t from, size_t to)
{
    const struct gbt_objective *o = q->o;

    if (o->p->goal == GBT_REGRESSION && o->h_const == 1) {
#if defined(__x86_64__)
        if (gbt_cpu_avx512()) {
            difference_avx512(q->score + from, o->label + from, q->g + from, to - from);
            return;
        }
#endif
        difference(q->score + from, o->label + from, q->g + from, to - from);
        return;
    }
    for (size_t i = from; i < to; i++) {
        double g, h, w = weight_of(o, i);

        gradient(o, q->score[i], o->label[i], &g, &h);
        q->g[i] = (float)(g * w);
        if (o->h_const == 0)
            q->h[i] = (float)(h * w);
    }
}

/* Softmax over the classes; the factor makes its diagonal hessian safe. */
static void many_scores(const struct pass *q, size_t from, size_t to)
{
    const struct gbt_objective *o = q->o;
    size_t n = o->n;
    int n_classes = o->n_scores;
    double factor = (double)n_classes / (n_classes - 1);

    for (size_t i = from; i < to; i++) {
        double top = -INFINITY, sum = 0, w = weight_of(o, i);

        for (int k = 0; k < n_classes; k++)
            top = fmax(top, q->score[(size_t)k * n + i]);
        for (int k = 0; k < n_classes; k++)
            sum += exp(q->score[(size_t)k * n + i] - top);
        for (int k = 0; k < n_classes; k++) {
            double p = exp(q->score[(size_t)k * n + i] - top) / sum;

            q->g[(size_t)k * n + i] = (float)((p - ((int)o->label[i] == k)) * w);
            q->h[(size_t)k * n + i] = (float)(factor * p * (1 - p) * w);
        }
    }
}

static void gradient_chunk(void *ctx, int chunk, int lane)
{
    const struct pass *q = ctx;
    size_t from = (size_t)chunk * CHUNK, to = from + CHUNK;

    (void)lane;
    to = to < q->o->n ? to : q->o->n;
    if (q->o->p->goal == GBT_MULTICLASS)
        many_scores(q, from, to);
    else
        one_score(q, from, to);
}

void gbt_objective_gradients(const struct gbt_objective *o, const double *score, float *g,
                             float *h, struct par *par)
{
    struct pass q = { o, score, g, h };

    par_run(par, (int)((o->n + CHUNK - 1) / CHUNK), gradient_chunk, &q);
}
