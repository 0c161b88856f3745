/*
 * gbt_metric.c - see gbt_metric.h. Rows are summed in chunks, chunks in order.
 */
#include "model/gbt_metric.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"

#define CHUNK 8192
#define TINY 1e-15

struct eval {
    enum gbt_metric_id id;
    const struct gbt_param *p;
    const double *score, *label, *weight;
    size_t n;
    double *sums, *weights; /* per chunk */
};

int gbt_metric_is_gain(enum gbt_metric_id id)
{
    return id == GBT_M_AUC;
}

/* A raw score on the objective's scale. */
static double answer(const struct gbt_param *p, double s)
{
    switch (p->goal) {
    case GBT_POISSON:
    case GBT_GAMMA:
    case GBT_TWEEDIE:
        return exp(s);
    case GBT_BINARY:
        return 1 / (1 + exp(-p->sigmoid * s));
    default:
        return s;
    }
}

static double loss(const struct eval *v, double s, double y)
{
    const struct gbt_param *p = v->p;
    double a = answer(p, s), d = y - a, r = p->tweedie_variance_power;

    switch (v->id) {
    case GBT_M_L2:
    case GBT_M_RMSE:
        return d * d;
    case GBT_M_L1:
        return fabs(d);
    case GBT_M_HUBER:
        return fabs(d) <= p->alpha ? 0.5 * d * d : p->alpha * (fabs(d) - 0.5 * p->alpha);
    case GBT_M_FAIR:
        return p->fair_c * fabs(d) - p->fair_c * p->fair_c * log1p(fabs(d) / p->fair_c);
    case GBT_M_QUANTILE:
        return d < 0 ? (p->alpha - 1) * d : p->alpha * d;
    case GBT_M_MAPE:
        return fabs(d) / fmax(1, fabs(y));
    case GBT_M_POISSON:
        return a - y * log(fmax(a, 1e-10));
    case GBT_M_GAMMA:
        return y / fmax(a, 1e-10) + log(fmax(a, 1e-10));
    case GBT_M_TWEEDIE:
        a = fmax(a, 1e-10);
        return (r == 1 ? -y * log(a) : -y * pow(a, 1 - r) / (1 - r)) + pow(a, 2 - r) / (2 - r);
    case GBT_M_LOGLOSS:
        return -log(fmax(y > 0 ? a : 1 - a, TINY));
    case GBT_M_ERROR:
        return (a > 0.5) != (y > 0);
    default:
        return 0;
    }
}

static double class_loss(const struct eval *v, size_t i)
{
    int n = v->p->num_class, y = (int)v->label[i];
    double top = -INFINITY, sum = 0, mine = v->score[(size_t)y * v->n + i];

    for (int k = 0; k < n; k++)
        top = fmax(top, v->score[(size_t)k * v->n + i]);
    if (v->id == GBT_M_MULTI_ERROR) {
        int better = 0;

        for (int k = 0; k < n; k++)
            better += k != y && v->score[(size_t)k * v->n + i] >= mine;
        return better > 0;
    }
    for (int k = 0; k < n; k++)
        sum += exp(v->score[(size_t)k * v->n + i] - top);
    return -log(fmax(exp(mine - top) / sum, TINY));
}

static void eval_chunk(void *ctx, int chunk, int lane)
{
    struct eval *v = ctx;
    size_t from = (size_t)chunk * CHUNK, to = from + CHUNK;
    double sum = 0, total = 0;
    int classes = v->id == GBT_M_MULTI_LOGLOSS || v->id == GBT_M_MULTI_ERROR;

    (void)lane;
    to = to < v->n ? to : v->n;
    for (size_t i = from; i < to; i++) {
        double w = v->weight != NULL ? v->weight[i] : 1;

        sum += w * (classes ? class_loss(v, i) : loss(v, v->score[i], v->label[i]));
        total += w;
    }
    v->sums[chunk] = sum;
    v->weights[chunk] = total;
}

struct scored {
    double score, pos, neg;
};

static int scored_cmp(const void *a, const void *b)
{
    double x = ((const struct scored *)a)->score, y = ((const struct scored *)b)->score;

    return x < y ? -1 : x > y;
}

/* Share of (positive, negative) pairs in the right order; equal scores count half. */
static int auc(const struct eval *v, double *out, struct err *e)
{
    struct scored *s = mem_alloc((v->n + 1) * sizeof *s);
    double pos = 0, neg = 0, right = 0;

    if (s == NULL)
        return err_set(e, ERR_NOMEM, "no memory for auc of %zu rows", v->n);
    for (size_t i = 0; i < v->n; i++) {
        double w = v->weight != NULL ? v->weight[i] : 1;

        s[i] = (struct scored){ v->score[i], v->label[i] > 0 ? w : 0, v->label[i] > 0 ? 0 : w };
    }
    qsort(s, v->n, sizeof *s, scored_cmp);
    for (size_t i = 0, j; i < v->n; i = j) {
        double p = 0, q = 0;

        for (j = i; j < v->n && s[j].score == s[i].score; j++) {
            p += s[j].pos;
            q += s[j].neg;
        }
        right += p * (neg + 0.5 * q);
        pos += p;
        neg += q;
    }
    mem_free(s);
    *out = pos > 0 && neg > 0 ? right / (pos * neg) : 1;
    return 0;
}

int gbt_metric_value(enum gbt_metric_id id, const struct gbt_param *p, const double *score,
                     const double *label, const double *weight, size_t n, struct par *par,
                     double *out, struct err *e)
{
    size_t n_chunks = (n + CHUNK - 1) / CHUNK;
    struct eval v = { id, p, score, label, weight, n, NULL, NULL };
    int binary = id == GBT_M_LOGLOSS || id == GBT_M_ERROR || id == GBT_M_AUC;
    int classes = id == GBT_M_MULTI_LOGLOSS || id == GBT_M_MULTI_ERROR;
    double sum = 0, total = 0;

    if ((binary && p->goal != GBT_BINARY) || classes != (p->goal == GBT_MULTICLASS))
        return err_set(e, ERR_INVALID, "metric %s does not fit the objective",
                       gbt_param_metric_name(id));
    if (id == GBT_M_AUC)
        return auc(&v, out, e);
    v.sums = mem_alloc((2 * n_chunks + 1) * sizeof *v.sums);
    if (v.sums == NULL)
        return err_set(e, ERR_NOMEM, "no memory for a metric");
    v.weights = v.sums + n_chunks;
    par_run(par, (int)n_chunks, eval_chunk, &v);
    for (size_t i = 0; i < n_chunks; i++) {
        sum += v.sums[i];
        total += v.weights[i];
    }
    mem_free(v.sums);
    *out = id == GBT_M_RMSE ? sqrt(sum / total) : sum / total;
    return 0;
}
