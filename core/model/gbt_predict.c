/*
 * gbt_predict.c - see gbt_predict.h.
 */
#include "model/gbt_predict.h"

#include <math.h>

static int in_set(const struct gbt_tree *t, int k, double x)
{
    int first = t->cat_start[k];
    double n_bits = 32.0 * (t->cat_start[k + 1] - first);
    int bit;

    if (!(x > -1) || !(x < n_bits)) /* NaN, negative, or past the last word */
        return 0;
    bit = (int)x;
    return t->cat_words[first + bit / 32] >> (bit % 32) & 1;
}

int gbt_node_left(const struct gbt_tree *t, int i, double x)
{
    int d = t->decision[i], missing = d >> GBT_MISSING_SHIFT;

    if (d & GBT_CATEGORICAL)
        return in_set(t, (int)t->threshold[i], x);
    if (isnan(x) && missing != GBT_MISSING_NAN)
        x = 0;
    if ((missing == GBT_MISSING_ZERO && fabs(x) <= GBT_ZERO) ||
        (missing == GBT_MISSING_NAN && isnan(x)))
        return (d & GBT_DEFAULT_LEFT) != 0;
    return x <= t->threshold[i];
}

int gbt_tree_leaf(const struct gbt_tree *t, const double *row)
{
    int i = 0;

    if (t->n_leaves == 1)
        return 0;
    while (i >= 0)
        i = gbt_node_left(t, i, row[t->feature[i]]) ? t->left[i] : t->right[i];
    return -i - 1;
}

int gbt_predict_trees(const struct gbt_model *m, int n_iter)
{
    return n_iter > 0 && n_iter < m->n_trees / m->n_per_iter ? n_iter * m->n_per_iter : m->n_trees;
}

void gbt_predict_raw(const struct gbt_model *m, const double *row, int n_iter, double *out)
{
    int n = gbt_predict_trees(m, n_iter), c = 0;

    for (int k = 0; k < m->n_per_iter; k++)
        out[k] = 0;
    for (int i = 0; i < n; i++) {
        const struct gbt_tree *t = m->trees[i];

        out[c] += t->leaf_value[gbt_tree_leaf(t, row)];
        c = c + 1 < m->n_per_iter ? c + 1 : 0;
    }
    if (m->average_output && n > 0)
        for (int k = 0; k < m->n_per_iter; k++)
            out[k] /= n / m->n_per_iter;
}

void gbt_predict_leaves(const struct gbt_model *m, const double *row, int n_iter, int *out)
{
    int n = gbt_predict_trees(m, n_iter);

    for (int i = 0; i < n; i++)
        out[i] = gbt_tree_leaf(m->trees[i], row);
}

static void softmax(double *s, int n)
{
    double top = s[0], sum = 0;

    for (int k = 1; k < n; k++)
        top = s[k] > top ? s[k] : top;
    for (int k = 0; k < n; k++)
        sum += s[k] = exp(s[k] - top);
    for (int k = 0; k < n; k++)
        s[k] /= sum;
}

void gbt_predict_link(const struct gbt_model *m, double *scores)
{
    if (m->link == GBT_LINK_SOFTMAX) {
        softmax(scores, m->n_per_iter);
        return;
    }
    for (int k = 0; k < m->n_per_iter; k++) {
        double s = scores[k];

        switch (m->link) {
        case GBT_LINK_SIGMOID:
            scores[k] = 1 / (1 + exp(-m->sigmoid * s));
            break;
        case GBT_LINK_EXP:
            scores[k] = exp(s);
            break;
        case GBT_LINK_SIGN_SQUARE:
            scores[k] = s < 0 ? -s * s : s * s;
            break;
        case GBT_LINK_LOG1P_EXP:
            scores[k] = log1p(exp(s));
            break;
        case GBT_LINK_IDENTITY:
        case GBT_LINK_SOFTMAX:
            break;
        }
    }
}

int gbt_predict_check(const struct gbt_model *m, const struct gbt_matrix *x, struct err *e)
{
    if (x->n_cols != m->n_features)
        return err_set(e, ERR_SHAPE, "the rows have %d features, the model expects %d", x->n_cols,
                       m->n_features);
    return 0;
}

void gbt_predict_row(const struct gbt_matrix *x, size_t r, double *row)
{
    for (int c = 0; c < x->n_cols; c++)
        row[c] = gbt_matrix_at(x, r, c);
}
