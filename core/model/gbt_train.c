/*
 * gbt_train.c - see gbt_train.h.
 *
 * One iteration: gradients, bag, a tree per score, its leaf values, scores of all rows, metrics.
 */
#include "model/gbt_train.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "model/gbt_grow.h"
#include "model/gbt_metric.h"
#include "model/gbt_objective.h"
#include "model/gbt_sample.h"
#include "model/gbt_store.h"
#include "tensor/rng.h"

#define CHUNK 8192

struct train {
    const struct gbt_param *p;
    const struct gbt_rows *rows, *valid;
    const struct gbt_watch *watch;
    struct gbt_report *report;
    struct par *par;
    struct gbt_objective o;
    struct gbt_store *store;
    struct gbt_grow *grow;
    struct gbt_sample sample;
    struct gbt_model *m;
    size_t n, n_valid;
    float *g, *h;                     /* (n_scores, n); h NULL when constant */
    double *score, *valid_score;      /* (n_scores, n) */
    uint16_t *valid_bins;
    double *spare;                    /* 2 n, when leaves are renewed */
    char *features, *useful, *needs;
    struct gbt_tree *tree;            /* being added */
    int k;                            /* its score */
    /* early stopping */
    double best[GBT_METRICS_MAX];
    int best_at[GBT_METRICS_MAX];
};

void gbt_report_deinit(struct gbt_report *r)
{
    mem_free(r->train);
    mem_free(r->valid);
    r->train = r->valid = NULL;
}

static int name_features(struct gbt_model *m, const char *const *names, const struct gbt_store *s,
                         struct err *e)
{
    struct buf b;
    int rc = -1;

    buf_init(&b, 1 << 28);
    m->feature_names = mem_zero((size_t)m->n_features, sizeof *m->feature_names);
    m->feature_infos = mem_zero((size_t)m->n_features, sizeof *m->feature_infos);
    if (m->feature_names == NULL || m->feature_infos == NULL)
        goto nomem;
    for (int f = 0; f < m->n_features; f++) {
        buf_clear(&b);
        if ((names != NULL ? buf_adds(&b, names[f], e) : buf_addf(&b, e, "Column_%d", f)) != 0 ||
            buf_text(&b, e) == NULL)
            goto done;
        /* a model file separates names by blanks */
        for (size_t i = 0; i < b.len; i++)
            if ((unsigned char)b.data[i] <= ' ')
                b.data[i] = '_';
        m->feature_names[f] = mem_dup(b.len > 0 ? b.data : "_");
        buf_clear(&b);
        if (gbt_bin_info(&s->bins[f], &b, e) != 0 || buf_text(&b, e) == NULL)
            goto done;
        m->feature_infos[f] = mem_dup(b.data);
        if (m->feature_names[f] == NULL || m->feature_infos[f] == NULL)
            goto nomem;
    }
    rc = 0;
    goto done;
nomem:
    err_set(e, ERR_NOMEM, "no memory for %d feature names", m->n_features);
done:
    buf_deinit(&b);
    return rc;
}

static int make_model(struct train *t, const char *const *names, struct err *e)
{
    struct gbt_model *m = t->m = gbt_model_new();
    struct buf b;
    int rc = -1;

    if (m == NULL)
        return err_set(e, ERR_NOMEM, "no memory for a model");
    buf_init(&b, 1 << 20);
    m->n_class = m->n_per_iter = t->o.n_scores;
    m->n_features = t->store->n_features;
    if (name_features(m, names, t->store, e) != 0 || gbt_param_objective(t->p, &b, e) != 0 ||
        buf_text(&b, e) == NULL || gbt_model_objective(m, b.data, e) != 0)
        goto done;
    buf_clear(&b);
    if (gbt_param_write(t->p, &b, e) != 0 || buf_text(&b, e) == NULL)
        goto done;
    m->parameters = mem_dup(b.data);
    if (t->p->n_monotone > 0)
        m->monotone = mem_zero((size_t)m->n_features, sizeof *m->monotone);
    if (m->parameters == NULL || (t->p->n_monotone > 0 && m->monotone == NULL)) {
        err_set(e, ERR_NOMEM, "no memory for a model");
        goto done;
    }
    for (int f = 0; f < m->n_features && f < t->p->n_monotone; f++)
        m->monotone[f] = t->p->monotone[f];
    rc = 0;
done:
    buf_deinit(&b);
    return rc;
}

static int make_arrays(struct train *t, struct err *e)
{
    size_t all = t->n * (size_t)t->o.n_scores, f = (size_t)t->store->n_features;

    /* goss gives rows weights of their own */
    if (t->p->goss)
        t->o.h_const = 0;
    t->g = mem_aligned(all * sizeof *t->g + 64);
    t->h = t->o.h_const > 0 ? NULL : mem_aligned(all * sizeof *t->h + 64);
    t->score = mem_alloc(all * sizeof *t->score);
    t->spare = gbt_objective_renews(&t->o) ? mem_alloc(2 * t->n * sizeof *t->spare) : NULL;
    t->features = mem_zero(f, 1);
    t->useful = mem_zero(f, 1);
    t->needs = mem_zero((size_t)t->o.n_scores, 1);
    if (t->g == NULL || (t->h == NULL && t->o.h_const == 0) || t->score == NULL ||
        (t->spare == NULL && gbt_objective_renews(&t->o)) || t->features == NULL ||
        t->useful == NULL || t->needs == NULL)
        return err_set(e, ERR_NOMEM, "no memory for %zu rows", t->n);
    if (t->valid != NULL) {
        t->n_valid = t->valid->x.n_rows;
        t->valid_score = mem_alloc((t->n_valid * (size_t)t->o.n_scores + 1) * sizeof *t->valid_score);
        if (t->valid_score == NULL)
            return err_set(e, ERR_NOMEM, "no memory for %zu validation rows", t->n_valid);
        if (gbt_store_other(t->store, &t->valid->x, &t->valid_bins, t->par, e) != 0)
            return -1;
    }
    for (int c = 0; c < t->o.n_scores; c++) {
        t->needs[c] = (char)gbt_objective_needs(&t->o, c);
        for (size_t i = 0; i < t->n; i++)
            t->score[(size_t)c * t->n + i] = t->o.start[c];
        for (size_t i = 0; i < t->n_valid; i++)
            t->valid_score[(size_t)c * t->n_valid + i] = t->o.start[c];
    }
    for (size_t i = 0; i < f; i++)
        t->useful[i] = t->store->column_of[i] >= 0;
    return 0;
}

static void renew_leaf(void *ctx, int i, int lane)
{
    struct train *t = ctx;
    struct gbt_grow_leaf l = gbt_grow_leaf_rows(t->grow, i);
    size_t before = 0;
    double v;

    (void)lane;
    /* leaves are disjoint: each works in its own part of the scratch */
    for (int k = 0; k < i; k++)
        before += gbt_grow_leaf_rows(t->grow, k).n_rows;
    v = gbt_objective_renew(&t->o, t->score + (size_t)t->k * t->n, l.rows, l.n_rows,
                            t->spare + 2 * before);
    t->tree->leaf_value[i] = v < l.low ? l.low : v > l.high ? l.high : v;
}

static void add_leaf(void *ctx, int i, int lane)
{
    struct train *t = ctx;
    struct gbt_grow_leaf l = gbt_grow_leaf_rows(t->grow, i);
    double *score = t->score + (size_t)t->k * t->n, v = t->tree->leaf_value[i];

    (void)lane;
    for (size_t r = 0; r < l.n_rows; r++)
        score[l.rows != NULL ? l.rows[r] : r] += v;
}

static void add_out_of_bag(void *ctx, int chunk, int lane)
{
    struct train *t = ctx;
    size_t from = (size_t)chunk * CHUNK, to = from + CHUNK;
    double *score = t->score + (size_t)t->k * t->n;

    (void)lane;
    to = to < t->n ? to : t->n;
    for (size_t r = from; r < to; r++)
        if (!t->sample.in_bag[r])
            score[r] += t->tree->leaf_value[gbt_grow_find(t->grow, r)];
}

static void add_valid(void *ctx, int chunk, int lane)
{
    struct train *t = ctx;
    size_t from = (size_t)chunk * CHUNK, to = from + CHUNK;
    double *score = t->valid_score + (size_t)t->k * t->n_valid;

    (void)lane;
    to = to < t->n_valid ? to : t->n_valid;
    for (size_t r = from; r < to; r++)
        score[r] += t->tree->leaf_value[gbt_grow_find_other(t->grow, t->valid_bins, t->n_valid, r)];
}

static int n_chunks(size_t n)
{
    return (int)((n + CHUNK - 1) / CHUNK);
}

/* A tree of one leaf that holds `value`. */
static struct gbt_tree *constant_tree(double value, size_t n)
{
    struct gbt_tree *t = gbt_tree_new(1, 0, 0);

    if (t != NULL) {
        t->leaf_value[0] = value;
        t->leaf_count[0] = (int64_t)n;
    }
    return t;
}

/* The tree of score k; *grown: it has a split. */
static int add_tree(struct train *t, int iteration, int k, int *grown, struct err *e)
{
    struct gbt_grow_task task = { 0 };
    uint64_t number = (uint64_t)iteration * (uint64_t)t->o.n_scores + (uint64_t)k;

    t->k = k;
    t->tree = NULL;
    if (t->needs[k]) {
        gbt_sample_features(t->p, number, t->useful, t->store->n_features, t->features);
        task.g = t->g + (size_t)k * t->n;
        task.h = t->h != NULL ? t->h + (size_t)k * t->n : NULL;
        task.h_const = t->o.h_const;
        task.rows = t->sample.is_all ? NULL : t->sample.rows;
        task.n_rows = t->sample.is_all ? t->n : t->sample.n_rows;
        task.features = t->features;
        task.key = rng_bits((uint64_t)t->p->seed, 7, number);
        if (gbt_grow_tree(t->grow, &task, &t->tree, e) != 0)
            return -1;
    }
    if (t->tree == NULL || t->tree->n_leaves == 1) {
        gbt_tree_free(t->tree);
        t->tree = constant_tree(iteration == 0 ? t->o.start[k] : 0, t->n);
        return t->tree != NULL ? gbt_model_add(t->m, t->tree, e)
                               : err_set(e, ERR_NOMEM, "no memory for a tree");
    }
    *grown = 1;
    if (gbt_objective_renews(&t->o))
        par_run(t->par, t->tree->n_leaves, renew_leaf, t);
    for (int i = 0; i < t->tree->n_leaves; i++)
        t->tree->leaf_value[i] *= t->p->learning_rate;
    par_run(t->par, t->tree->n_leaves, add_leaf, t);
    if (!t->sample.is_all)
        par_run(t->par, n_chunks(t->n), add_out_of_bag, t);
    if (t->n_valid > 0)
        par_run(t->par, n_chunks(t->n_valid), add_valid, t);
    for (int i = 0; i < t->tree->n_leaves; i++)
        t->tree->leaf_value[i] += iteration == 0 ? t->o.start[k] : 0;
    for (int i = 0; i < t->tree->n_leaves - 1; i++)
        t->tree->node_value[i] = t->tree->node_value[i] * t->p->learning_rate +
                                 (iteration == 0 ? t->o.start[k] : 0);
    t->tree->shrinkage = iteration == 0 && t->o.start[k] != 0 ? 1 : t->p->learning_rate;
    return gbt_model_add(t->m, t->tree, e);
}

static int measure(struct train *t, int iteration, struct err *e)
{
    struct gbt_report *r = t->report;
    size_t at = (size_t)iteration * (size_t)r->n_metrics;

    for (int i = 0; i < r->n_metrics; i++) {
        if (r->train != NULL &&
            gbt_metric_value(r->metrics[i], t->p, t->score, t->rows->label, t->o.weight, t->n, t->par,
                             &r->train[at + (size_t)i], e) != 0)
            return -1;
        if (r->valid != NULL &&
            gbt_metric_value(r->metrics[i], t->p, t->valid_score, t->valid->label, t->valid->weight,
                             t->n_valid, t->par, &r->valid[at + (size_t)i], e) != 0)
            return -1;
    }
    r->n_iter = iteration + 1;
    if (t->watch != NULL && t->watch->told != NULL)
        t->watch->told(t->watch->ctx, iteration, r->train != NULL ? r->train + at : NULL,
                       r->valid != NULL ? r->valid + at : NULL);
    return 0;
}

/* The iteration to keep when a metric has not improved for long; -1: go on. */
static int stop_at(struct train *t, int iteration)
{
    const struct gbt_report *r = t->report;
    int n = t->p->first_metric_only && r->n_metrics > 1 ? 1 : r->n_metrics;

    if (t->p->early_stopping_round == 0 || r->valid == NULL)
        return -1;
    for (int i = 0; i < n; i++) {
        double v = r->valid[(size_t)iteration * (size_t)r->n_metrics + (size_t)i];
        double gain = (gbt_metric_is_gain(r->metrics[i]) ? v - t->best[i] : t->best[i] - v);

        if (iteration == 0 || gain > t->p->early_stopping_min_delta) {
            t->best[i] = v;
            t->best_at[i] = iteration;
        }
    }
    for (int i = 0; i < n; i++)
        if (iteration - t->best_at[i] >= t->p->early_stopping_round ||
            (iteration + 1 == t->p->num_iterations && i == 0))
            return t->best_at[i];
    return -1;
}

static void cut_trees(struct gbt_model *m, int n_iter)
{
    while (m->n_trees > n_iter * m->n_per_iter)
        gbt_tree_free(m->trees[--m->n_trees]);
}

static int boost(struct train *t, struct err *e)
{
    for (int it = 0; it < t->p->num_iterations; it++) {
        int grown = 0, keep;

        gbt_objective_gradients(&t->o, t->score, t->g, t->h, t->par);
        gbt_sample_rows(&t->sample, it, &t->o, t->g, t->h);
        for (int k = 0; k < t->o.n_scores; k++)
            if (add_tree(t, it, k, &grown, e) != 0)
                return -1;
        t->report->best_iter = it + 1;
        if (!grown && !(t->sample.rows != NULL && it + 1 < t->p->num_iterations)) {
            /* no leaf can be split any more: further trees would be the same nothing */
            if (it == 0)
                return measure(t, it, e);
            cut_trees(t->m, t->report->best_iter = it);
            return 0;
        }
        if (measure(t, it, e) != 0)
            return -1;
        keep = stop_at(t, it);
        if (keep >= 0) {
            cut_trees(t->m, t->report->best_iter = keep + 1);
            return 0;
        }
    }
    return 0;
}

static int check_rows(const struct gbt_rows *r, const char *what, struct err *e)
{
    if (r->x.n_rows == 0 || r->x.n_cols == 0)
        return err_set(e, ERR_SHAPE, "%s: %zu rows of %d features", what, r->x.n_rows, r->x.n_cols);
    if (r->x.n_rows > UINT32_MAX / 2 || r->x.n_cols > GBT_FEATURES_MAX)
        return err_set(e, ERR_LIMIT, "%s: %zu rows of %d features are too many", what, r->x.n_rows,
                       r->x.n_cols);
    return 0;
}

static int make_report(struct train *t, struct gbt_report *r, struct err *e)
{
    size_t n;

    memset(r, 0, sizeof *r);
    t->report = r;
    r->n_metrics = gbt_param_metrics(t->p, r->metrics);
    n = (size_t)t->p->num_iterations * (size_t)r->n_metrics + 1;
    if (t->watch != NULL && t->watch->train_metric)
        r->train = mem_zero(n, sizeof *r->train);
    if (t->valid != NULL)
        r->valid = mem_zero(n, sizeof *r->valid);
    if ((r->train == NULL && t->watch != NULL && t->watch->train_metric) ||
        (r->valid == NULL && t->valid != NULL))
        return err_set(e, ERR_NOMEM, "no memory for %zu metrics", n);
    return 0;
}

int gbt_train(struct gbt_model **out, const struct gbt_param *p, const struct gbt_rows *rows,
              const struct gbt_rows *valid, const char *const *feature_names,
              const struct gbt_watch *watch, struct gbt_report *report, struct par *par,
              struct err *e)
{
    struct train t = { .p = p, .rows = rows, .valid = valid, .watch = watch, .par = par,
                       .n = rows->x.n_rows };
    struct gbt_report own = { 0 };
    struct gbt_grow_setup setup = { .p = p, .par = par };
    int rc = -1;

    *out = NULL;
    if (watch != NULL) {
        setup.cancelled = watch->cancelled;
        setup.ctx = watch->ctx;
    }
    if (gbt_param_check(p, e) != 0 || check_rows(rows, "training", e) != 0 ||
        (valid != NULL && check_rows(valid, "validation", e) != 0) ||
        make_report(&t, report != NULL ? report : &own, e) != 0)
        goto done;
    if (gbt_objective_init(&t.o, p, rows->label, rows->weight, t.n, e) != 0 ||
        gbt_store_new(&t.store, &rows->x, p, par, e) != 0 || make_model(&t, feature_names, e) != 0 ||
        make_arrays(&t, e) != 0 || gbt_sample_init(&t.sample, p, t.n, e) != 0)
        goto done;
    setup.store = t.store;
    if (gbt_grow_new(&t.grow, &setup, e) != 0 || boost(&t, e) != 0)
        goto done;
    *out = t.m;
    t.m = NULL;
    rc = 0;
done:
    gbt_grow_free(t.grow);
    gbt_store_free(t.store);
    gbt_sample_deinit(&t.sample);
    gbt_objective_deinit(&t.o);
    gbt_model_free(t.m);
    gbt_report_deinit(&own);
    mem_free(t.g);
    mem_free(t.h);
    mem_free(t.score);
    mem_free(t.valid_score);
    mem_free(t.valid_bins);
    mem_free(t.spare);
    mem_free(t.features);
    mem_free(t.useful);
    mem_free(t.needs);
    return rc;
}
