/*
 * baseline_search.c - Nelder and Mead's simplex in a box. See baseline_search.h.
 */
#include "model/baseline_search.h"

#include <math.h>
#include <string.h>

#define N_MAX BASELINE_SEARCH_MAX

struct corner {
    double x[N_MAX], value;
};

static double value_at(const struct baseline_search *s, double *x)
{
    double v;

    for (size_t i = 0; i < s->n; i++)
        x[i] = fmin(fmax(x[i], s->low[i]), s->high[i]);
    v = s->value(s->ctx, x);
    return isnan(v) ? INFINITY : v;
}

/* Insertion keeps equal corners in the order they came: deterministic. */
static void order(struct corner *c, size_t n)
{
    for (size_t i = 1; i <= n; i++) {
        struct corner x = c[i];
        size_t k = i;

        for (; k > 0 && c[k - 1].value > x.value; k--)
            c[k] = c[k - 1];
        c[k] = x;
    }
}

/* centre + by (centre - worst) */
static void go(const struct baseline_search *s, struct corner *to, const double *centre,
               const struct corner *worst, double by)
{
    for (size_t i = 0; i < s->n; i++)
        to->x[i] = centre[i] + by * (centre[i] - worst->x[i]);
    to->value = value_at(s, to->x);
}

static void shrink(const struct baseline_search *s, struct corner *c)
{
    for (size_t k = 1; k <= s->n; k++) {
        for (size_t i = 0; i < s->n; i++)
            c[k].x[i] = c[0].x[i] + 0.5 * (c[k].x[i] - c[0].x[i]);
        c[k].value = value_at(s, c[k].x);
    }
}

static void first_simplex(const struct baseline_search *s, struct corner *c, const double *x)
{
    for (size_t k = 0; k <= s->n; k++) {
        memcpy(c[k].x, x, s->n * sizeof *x);
        if (k > 0) {
            double *at = &c[k].x[k - 1];

            *at += *at + s->step[k - 1] <= s->high[k - 1] ? s->step[k - 1] : -s->step[k - 1];
        }
        c[k].value = value_at(s, c[k].x);
    }
}

double baseline_search_min(const struct baseline_search *s, double *x)
{
    struct corner c[N_MAX + 1], a, b;
    size_t n = s->n, calls = n + 1;

    first_simplex(s, c, x);
    for (;;) {
        double centre[N_MAX] = {0};

        order(c, n);
        if (calls >= s->max_calls || !(c[n].value - c[0].value > s->enough * fabs(c[0].value)))
            break;
        for (size_t k = 0; k < n; k++)
            for (size_t i = 0; i < n; i++)
                centre[i] += c[k].x[i] / (double)n;
        go(s, &a, centre, &c[n], 1);
        calls++;
        if (a.value < c[0].value) {
            go(s, &b, centre, &c[n], 2);
            calls++;
            c[n] = b.value < a.value ? b : a;
        } else if (a.value < c[n - 1].value) {
            c[n] = a;
        } else {
            go(s, &b, centre, &c[n], a.value < c[n].value ? 0.5 : -0.5);
            calls++;
            if (b.value < fmin(a.value, c[n].value)) {
                c[n] = b;
            } else {
                shrink(s, c);
                calls += n;
            }
        }
    }
    memcpy(x, c[0].x, n * sizeof *x);
    return c[0].value;
}
