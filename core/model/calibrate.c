/*
 * calibrate.c - see calibrate.h.
 */
#include "model/calibrate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define STEPS 100
#define FLAT 1e-12 /* added to the curvature, so that a step always exists */

static int check(const double *score, const double *label, const double *weight, size_t n,
                 double *pos, double *neg, struct err *e)
{
    *pos = *neg = 0;
    for (size_t i = 0; i < n; i++) {
        double w = weight != NULL ? weight[i] : 1;

        if (!isfinite(score[i]) || !isfinite(label[i]) || !isfinite(w))
            return err_set(e, ERR_NAN, "row %zu holds a value that is not a number", i);
        if ((label[i] != 0 && label[i] != 1) || w < 0)
            return err_set(e, ERR_INVALID, "row %zu: label %g, weight %g: 0 or 1, and at least 0 expected",
                           i, label[i], w);
        *(label[i] > 0 ? pos : neg) += w;
    }
    if (!(*pos > 0) || !(*neg > 0))
        return err_set(e, ERR_INVALID, "rows of both classes expected");
    return 0;
}

/* -log likelihood of one row with target t, without overflow. */
static double row_loss(double z, double t)
{
    return z >= 0 ? t * z + log1p(exp(-z)) : (t - 1) * z + log1p(exp(z));
}

struct platt {
    const double *score, *label, *weight;
    size_t n;
    double high, low; /* targets */
};

static double loss(const struct platt *q, double a, double b)
{
    double sum = 0;

    for (size_t i = 0; i < q->n; i++)
        sum += (q->weight != NULL ? q->weight[i] : 1) *
               row_loss(a * q->score[i] + b, q->label[i] > 0 ? q->high : q->low);
    return sum;
}

int calibrate_platt_fit(struct calibrate_platt *out, const double *score, const double *label,
                        const double *weight, size_t n, struct err *e)
{
    struct platt q = { score, label, weight, n, 0, 0 };
    double pos, neg, a = 0, b, best;

    if (check(score, label, weight, n, &pos, &neg, e) != 0)
        return -1;
    q.high = (pos + 1) / (pos + 2);
    q.low = 1 / (neg + 2);
    b = log((neg + 1) / (pos + 1));
    best = loss(&q, a, b);
    for (int step = 0; step < STEPS; step++) {
        double haa = FLAT, hbb = FLAT, hab = 0, ga = 0, gb = 0, det, da, db, along, size = 1;

        for (size_t i = 0; i < n; i++) {
            double z = a * score[i] + b, w = weight != NULL ? weight[i] : 1;
            double p = z >= 0 ? exp(-z) / (1 + exp(-z)) : 1 / (1 + exp(z));
            double d = w * ((label[i] > 0 ? q.high : q.low) - p), h = w * p * (1 - p);

            haa += score[i] * score[i] * h;
            hbb += h;
            hab += score[i] * h;
            ga += score[i] * d;
            gb += d;
        }
        if (fabs(ga) < 1e-9 * (1 + pos + neg) && fabs(gb) < 1e-9 * (1 + pos + neg))
            break;
        det = haa * hbb - hab * hab;
        det = det > FLAT * FLAT ? det : FLAT * FLAT;
        da = -(hbb * ga - hab * gb) / det;
        db = -(haa * gb - hab * ga) / det;
        along = ga * da + gb * db;
        for (; size >= 1e-10; size /= 2) { /* halve until it pays */
            double now = loss(&q, a + size * da, b + size * db);

            if (now < best + 1e-4 * size * along) {
                a += size * da;
                b += size * db;
                best = now;
                break;
            }
        }
        if (size < 1e-10)
            break;
    }
    *out = (struct calibrate_platt){ a, b };
    return 0;
}

double calibrate_platt_value(const struct calibrate_platt *c, double score)
{
    double z = c->a * score + c->b;

    return z >= 0 ? exp(-z) / (1 + exp(-z)) : 1 / (1 + exp(z));
}

struct point {
    double x, y, w;
};

static int point_cmp(const void *a, const void *b)
{
    double x = ((const struct point *)a)->x, y = ((const struct point *)b)->x;

    return x < y ? -1 : x > y;
}

/* Rows in order of score, equal scores as one. Returns how many. */
static size_t sorted_points(struct point *p, const double *score, const double *label,
                            const double *weight, size_t n)
{
    size_t k = 0;

    for (size_t i = 0; i < n; i++)
        p[i] = (struct point){ score[i], label[i], weight != NULL ? weight[i] : 1 };
    qsort(p, n, sizeof *p, point_cmp);
    for (size_t i = 0; i < n; i++) {
        if (p[i].w <= 0)
            continue;
        if (k > 0 && p[k - 1].x == p[i].x) {
            p[k - 1].y = (p[k - 1].y * p[k - 1].w + p[i].y * p[i].w) / (p[k - 1].w + p[i].w);
            p[k - 1].w += p[i].w;
        } else {
            p[k++] = p[i];
        }
    }
    return k;
}

int calibrate_isotonic_fit(struct calibrate_isotonic *out, const double *score,
                           const double *label, const double *weight, size_t n, struct err *e)
{
    double pos, neg;
    struct point *p;
    size_t *first, k, top = 0, m = 0;

    memset(out, 0, sizeof *out);
    if (check(score, label, weight, n, &pos, &neg, e) != 0)
        return -1;
    p = mem_alloc(2 * n * sizeof *p);
    first = mem_alloc((n + 1) * sizeof *first);
    out->x = mem_alloc(2 * n * sizeof *out->x);
    out->y = mem_alloc(2 * n * sizeof *out->y);
    if (p == NULL || first == NULL || out->x == NULL || out->y == NULL) {
        mem_free(p);
        mem_free(first);
        calibrate_isotonic_deinit(out);
        return err_set(e, ERR_NOMEM, "no memory to calibrate on %zu rows", n);
    }
    k = sorted_points(p, score, label, weight, n);
    for (size_t i = 0; i < k; i++) { /* blocks stand in the second half */
        struct point *block = p + n;

        first[top] = i;
        block[top++] = p[i];
        while (top > 1 && block[top - 2].y >= block[top - 1].y) {
            struct point *a = &block[top - 2], *b = &block[top - 1];

            a->y = (a->y * a->w + b->y * b->w) / (a->w + b->w);
            a->w += b->w;
            top--;
        }
    }
    first[top] = k;
    for (size_t i = 0; i < top; i++) { /* a block is flat from its first to its last score */
        double left = p[first[i]].x, right = p[first[i + 1] - 1].x;

        out->x[m] = left;
        out->y[m++] = p[n + i].y;
        if (right > left) {
            out->x[m] = right;
            out->y[m++] = p[n + i].y;
        }
    }
    out->n = m;
    mem_free(p);
    mem_free(first);
    return 0;
}

void calibrate_isotonic_deinit(struct calibrate_isotonic *c)
{
    mem_free(c->x);
    mem_free(c->y);
    c->x = c->y = NULL;
    c->n = 0;
}

double calibrate_isotonic_value(const struct calibrate_isotonic *c, double score)
{
    size_t low = 0, high = c->n;

    if (isnan(score))
        return NAN;
    while (low < high) { /* the first x above score */
        size_t mid = low + (high - low) / 2;

        if (c->x[mid] <= score)
            low = mid + 1;
        else
            high = mid;
    }
    if (low == 0)
        return c->y[0];
    if (low == c->n)
        return c->y[c->n - 1];
    return c->y[low - 1] + (c->y[low] - c->y[low - 1]) * (score - c->x[low - 1]) /
                               (c->x[low] - c->x[low - 1]);
}

int calibrate_threshold(struct calibrate_choice *out, enum calibrate_rule rule, double false_cost,
                        double missed_cost, const double *p, const double *label,
                        const double *weight, size_t n, struct err *e)
{
    double pos, neg, hits = 0, alarms = 0; /* rows above the threshold */
    struct point *s;
    size_t k;

    memset(out, 0, sizeof *out);
    if (check(p, label, weight, n, &pos, &neg, e) != 0)
        return -1;
    s = mem_alloc(n * sizeof *s);
    if (s == NULL)
        return err_set(e, ERR_NOMEM, "no memory to choose among %zu rows", n);
    k = sorted_points(s, p, label, weight, n);
    out->value = -INFINITY;
    for (size_t i = k + 1; i-- > 0;) { /* rows i and above say yes */
        double accuracy, value;

        if (i < k) {
            hits += s[i].y * s[i].w;
            alarms += (1 - s[i].y) * s[i].w;
        }
        accuracy = (hits + neg - alarms) / (pos + neg);
        value = rule == CALIBRATE_F1         ? 2 * hits / (pos + hits + alarms)
                : rule == CALIBRATE_ACCURACY ? accuracy
                : rule == CALIBRATE_BALANCED ? (hits / pos + 1 - alarms / neg) / 2
                                             : -(false_cost * alarms + missed_cost * (pos - hits)) /
                                                   (pos + neg);
        if (!(value > out->value))
            continue;
        out->value = value;
        out->accuracy = accuracy;
        out->recall = hits / pos;
        out->precision = hits + alarms > 0 ? hits / (hits + alarms) : 1;
        /* half way to the row below, so that rounding does not matter */
        out->threshold = i == k   ? nextafter(s[k - 1].x, INFINITY)
                         : i == 0 ? s[0].x
                                  : s[i - 1].x + (s[i].x - s[i - 1].x) / 2;
    }
    mem_free(s);
    return 0;
}
