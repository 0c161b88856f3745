/*
 * gbt_sample.c - see gbt_sample.h.
 *
 * GOSS: Ke et al. 2017, "LightGBM", algorithm 2.
 */
#include "model/gbt_sample.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tensor/rng.h"

static uint64_t seed_of(int64_t own, int64_t seed, uint64_t salt)
{
    return own >= 0 ? (uint64_t)own : (uint64_t)seed * 0x9e3779b97f4a7c15u + salt;
}

static int has_bags(const struct gbt_param *p)
{
    int some = p->bagging_fraction < 1 ||
               (p->goal == GBT_BINARY &&
                (p->pos_bagging_fraction < 1 || p->neg_bagging_fraction < 1));

    return p->goss || (p->bagging_freq > 0 && some);
}

int gbt_sample_init(struct gbt_sample *s, const struct gbt_param *p, size_t n, struct err *e)
{
    memset(s, 0, sizeof *s);
    s->p = p;
    s->n = s->n_rows = n;
    s->is_all = 1;
    if (!has_bags(p))
        return 0;
    s->rows = mem_alloc((n + 1) * sizeof *s->rows);
    s->in_bag = mem_zero(n + 1, 1);
    s->spare = p->goss ? mem_alloc(2 * (n + 1) * sizeof *s->spare) : NULL;
    if (s->rows == NULL || s->in_bag == NULL || (p->goss && s->spare == NULL)) {
        gbt_sample_deinit(s);
        return err_set(e, ERR_NOMEM, "no memory to sample %zu rows", n);
    }
    return 0;
}

void gbt_sample_deinit(struct gbt_sample *s)
{
    mem_free(s->rows);
    mem_free(s->in_bag);
    mem_free(s->spare);
    s->rows = NULL;
    s->in_bag = NULL;
    s->spare = NULL;
}

static void gather(struct gbt_sample *s)
{
    size_t k = 0;

    for (size_t i = 0; i < s->n; i++) {
        s->rows[k] = (uint32_t)i;
        k += s->in_bag[i] != 0;
    }
    s->n_rows = k;
    s->is_all = k == s->n;
}

/* Exactly `want` rows of those left, each equally likely: row i with chance wanted / left. */
static void bag(struct gbt_sample *s, int iteration, const double *label)
{
    const struct gbt_param *p = s->p;
    uint64_t key = seed_of(p->bagging_seed, p->seed, 3);
    int by_label = p->goal == GBT_BINARY &&
                   (p->pos_bagging_fraction < 1 || p->neg_bagging_fraction < 1);
    size_t left[2] = { 0, 0 }, want[2];

    for (size_t i = 0; i < s->n; i++)
        left[by_label && label[i] > 0]++;
    want[0] = (size_t)((double)left[0] * (by_label ? p->neg_bagging_fraction : p->bagging_fraction));
    want[1] = (size_t)((double)left[1] * p->pos_bagging_fraction);
    if (want[0] + want[1] == 0)
        want[left[0] == 0] = 1;
    for (size_t i = 0; i < s->n; i++) {
        int k = by_label && label[i] > 0;
        double u = rng_uniform(key, (uint64_t)iteration, i);

        s->in_bag[i] = u * (double)left[k] < (double)want[k];
        want[k] -= (size_t)s->in_bag[i];
        left[k]--;
    }
    gather(s);
}

static int falling(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;

    return x > y ? -1 : x < y;
}

static void goss(struct gbt_sample *s, int iteration, const struct gbt_objective *o, float *g,
                 float *h)
{
    const struct gbt_param *p = s->p;
    uint64_t key = seed_of(p->bagging_seed, p->seed, 3);
    size_t n = s->n, top = (size_t)((double)n * p->top_rate), n_large = 0;
    size_t want = (size_t)((double)n * p->other_rate), left;
    float *size = s->spare, *sorted = s->spare + n, limit, factor;

    for (size_t i = 0; i < n; i++) {
        size[i] = 0;
        for (int k = 0; k < o->n_scores; k++) {
            size_t at = (size_t)k * n + i;

            size[i] += fabsf(g[at] * (o->h_const > 0 ? (float)o->h_const : h[at]));
        }
    }
    memcpy(sorted, size, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, falling);
    limit = top > 0 ? sorted[top - 1] : INFINITY;
    for (size_t i = 0; i < n; i++)
        n_large += size[i] >= limit;
    left = n - n_large;
    want = want < left ? want : left;
    /* what was drawn stands for all that could have been */
    factor = want > 0 ? (float)left / (float)want : 1;
    for (size_t i = 0; i < n; i++) {
        s->in_bag[i] = size[i] >= limit;
        if (s->in_bag[i])
            continue;
        if (rng_uniform(key, (uint64_t)iteration, i) * (double)left < (double)want) {
            s->in_bag[i] = 1;
            want--;
            for (int k = 0; k < o->n_scores; k++) {
                g[(size_t)k * n + i] *= factor;
                h[(size_t)k * n + i] *= factor;
            }
        }
        left--;
    }
    gather(s);
}

void gbt_sample_rows(struct gbt_sample *s, int iteration, const struct gbt_objective *o, float *g,
                     float *h)
{
    const struct gbt_param *p = s->p;

    if (s->rows == NULL)
        return;
    if (!p->goss) {
        if (iteration % p->bagging_freq == 0)
            bag(s, iteration, o->label);
        return;
    }
    /* the first trees see everything: gradients say little before them */
    if (iteration < (int)(1 / p->learning_rate)) {
        memset(s->in_bag, 1, s->n);
        gather(s);
        return;
    }
    goss(s, iteration, o, g, h);
}

void gbt_sample_features(const struct gbt_param *p, uint64_t tree, const char *useful,
                         int n_features, char *out)
{
    uint64_t key = seed_of(p->feature_fraction_seed, p->seed, 5);
    int n = 0, want, taken = 0;

    for (int f = 0; f < n_features; f++)
        n += useful[f] != 0;
    want = p->feature_fraction >= 1 ? n : (int)(n * p->feature_fraction + 0.5);
    want = want < 1 ? 1 : want;
    for (int f = 0; f < n_features; f++)
        out[f] = 0;
    for (int f = 0; f < n_features; f++) {
        if (!useful[f])
            continue;
        if (rng_uniform(key, tree, (uint64_t)f) * n < want - taken) {
            out[f] = 1;
            taken++;
        }
        n--;
    }
}
