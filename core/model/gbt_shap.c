/*
 * gbt_shap.c - see gbt_shap.h.
 *
 * The path from the root holds, for each feature met, the share of rows that go on when it is
 * unknown (`zero`), whether this row goes on when it is known (`one`), and the weight of all
 * subsets of each size. Going down extends the path, a leaf unwinds each feature in turn.
 */
#include "model/gbt_shap.h"

#include <string.h>

#include "base/mem.h"
#include "model/gbt_predict.h"

struct step {
    int feature;
    double zero, one, weight;
};

struct gbt_shap {
    const struct gbt_model *m;
    double *expected;   /* per tree */
    struct step *steps; /* one path after the other, a triangle */
};

/* What walks down: constant for one tree and row. */
struct walk {
    const struct gbt_tree *t;
    const double *row;
    double *phi;
};

static double node_rows(const struct gbt_tree *t, int i)
{
    return (double)(i >= 0 ? t->node_count[i] : t->leaf_count[-i - 1]);
}

/* Mean of the leaves, weighted by their rows. */
static double expected_value(const struct gbt_tree *t)
{
    double total = t->n_leaves > 1 ? (double)t->node_count[0] : 0, sum = 0;

    if (t->n_leaves == 1)
        return t->leaf_value[0];
    for (int i = 0; i < t->n_leaves; i++)
        sum += (double)t->leaf_count[i] / total * t->leaf_value[i];
    return sum;
}

static void extend(struct step *p, int depth, double zero, double one, int feature)
{
    p[depth] = (struct step){ feature, zero, one, depth == 0 ? 1 : 0 };
    for (int i = depth - 1; i >= 0; i--) {
        p[i + 1].weight += one * p[i].weight * (i + 1) / (depth + 1);
        p[i].weight = zero * p[i].weight * (depth - i) / (depth + 1);
    }
}

static void unwind(struct step *p, int depth, int at)
{
    double one = p[at].one, zero = p[at].zero, next = p[depth].weight;

    for (int i = depth - 1; i >= 0; i--) {
        if (one != 0) {
            double w = p[i].weight;

            p[i].weight = next * (depth + 1) / ((i + 1) * one);
            next = w - p[i].weight * zero * (depth - i) / (depth + 1);
        } else {
            p[i].weight = p[i].weight * (depth + 1) / (zero * (depth - i));
        }
    }
    for (int i = at; i < depth; i++) {
        p[i].feature = p[i + 1].feature;
        p[i].zero = p[i + 1].zero;
        p[i].one = p[i + 1].one;
    }
}

/* The sum of weights the path would have without step `at`. */
static double unwound_sum(const struct step *p, int depth, int at)
{
    double one = p[at].one, zero = p[at].zero, next = p[depth].weight, sum = 0;

    for (int i = depth - 1; i >= 0; i--) {
        if (one != 0) {
            double w = next * (depth + 1) / ((i + 1) * one);

            sum += w;
            next = p[i].weight - w * zero * (depth - i) / (depth + 1);
        } else {
            sum += p[i].weight / zero * (depth + 1) / (depth - i);
        }
    }
    return sum;
}

/* Recursion is as deep as the tree, at most GBT_SHAP_DEPTH_MAX. */
static void descend(const struct walk *w, int node, struct step *parent, int depth, double zero,
                    double one, int feature)
{
    const struct gbt_tree *t = w->t;
    struct step *p = parent + depth;
    int hot, cold, at;
    double in_zero = 1, in_one = 1, rows;

    if (depth > 0)
        memcpy(p, parent, (size_t)depth * sizeof *p);
    extend(p, depth, zero, one, feature);
    if (node < 0) {
        for (int i = 1; i <= depth; i++)
            w->phi[p[i].feature] += unwound_sum(p, depth, i) * (p[i].one - p[i].zero) *
                                    t->leaf_value[-node - 1];
        return;
    }
    if (gbt_node_left(t, node, w->row[t->feature[node]])) {
        hot = t->left[node];
        cold = t->right[node];
    } else {
        hot = t->right[node];
        cold = t->left[node];
    }
    for (at = 0; at <= depth && p[at].feature != t->feature[node]; at++)
        ;
    if (at <= depth) { /* met before: fold both into one step */
        in_zero = p[at].zero;
        in_one = p[at].one;
        unwind(p, depth, at);
        depth--;
    }
    rows = node_rows(t, node);
    descend(w, hot, p, depth + 1, node_rows(t, hot) / rows * in_zero, in_one, t->feature[node]);
    descend(w, cold, p, depth + 1, node_rows(t, cold) / rows * in_zero, 0, t->feature[node]);
}

static int counts_check(const struct gbt_tree *t, int index, struct err *e)
{
    for (int i = 0; i < t->n_leaves && t->n_leaves > 1; i++)
        if (t->leaf_count[i] <= 0 || (i + 1 < t->n_leaves && t->node_count[i] <= 0))
            return err_set(e, ERR_UNSUPPORTED,
                           "tree %d has no row counts: contributions cannot be computed", index);
    return 0;
}

int gbt_shap_new(struct gbt_shap **out, const struct gbt_model *m, struct err *e)
{
    struct gbt_shap *s = mem_zero(1, sizeof *s);
    int deepest = 0;

    *out = NULL;
    if (s == NULL)
        return err_set(e, ERR_NOMEM, "no memory for contributions");
    s->m = m;
    s->expected = mem_alloc((size_t)(m->n_trees + 1) * sizeof *s->expected);
    if (s->expected == NULL)
        goto nomem;
    for (int i = 0; i < m->n_trees; i++) {
        int depth = gbt_tree_depth(m->trees[i], e);

        if (depth < 0 || counts_check(m->trees[i], i, e) != 0)
            goto fail;
        if (depth > GBT_SHAP_DEPTH_MAX) {
            err_set(e, ERR_LIMIT, "tree %d is %d nodes deep, contributions need at most %d", i,
                    depth, GBT_SHAP_DEPTH_MAX);
            goto fail;
        }
        deepest = depth > deepest ? depth : deepest;
        s->expected[i] = expected_value(m->trees[i]);
    }
    s->steps = mem_zero((size_t)(deepest + 2) * (size_t)(deepest + 3) / 2 + 1, sizeof *s->steps);
    if (s->steps == NULL)
        goto nomem;
    *out = s;
    return 0;
nomem:
    err_set(e, ERR_NOMEM, "no memory for contributions");
fail:
    gbt_shap_free(s);
    return -1;
}

void gbt_shap_free(struct gbt_shap *s)
{
    if (s == NULL)
        return;
    mem_free(s->expected);
    mem_free(s->steps);
    mem_free(s);
}

void gbt_shap_row(struct gbt_shap *s, const double *row, int n_iter, double *out)
{
    const struct gbt_model *m = s->m;
    int n = gbt_predict_trees(m, n_iter), width = m->n_features + 1;

    memset(out, 0, (size_t)m->n_per_iter * (size_t)width * sizeof *out);
    for (int i = 0; i < n; i++) {
        double *phi = out + (size_t)(i % m->n_per_iter) * (size_t)width;
        struct walk w = { m->trees[i], row, phi };

        phi[m->n_features] += s->expected[i];
        if (m->trees[i]->n_leaves > 1)
            descend(&w, 0, s->steps, 0, 1, 1, -1);
    }
    if (m->average_output && n > 0)
        for (int k = 0; k < m->n_per_iter * width; k++)
            out[k] /= n / m->n_per_iter;
}
