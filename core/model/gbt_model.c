/*
 * gbt_model.c - see gbt_model.h.
 */
#include "model/gbt_model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct gbt_model *gbt_model_new(void)
{
    struct gbt_model *m = mem_zero(1, sizeof *m);

    if (m != NULL) {
        m->n_class = m->n_per_iter = 1;
        m->sigmoid = 1;
    }
    return m;
}

void gbt_model_free(struct gbt_model *m)
{
    if (m == NULL)
        return;
    for (int i = 0; i < m->n_trees; i++)
        gbt_tree_free(m->trees[i]);
    for (int i = 0; i < m->n_features; i++) {
        if (m->feature_names != NULL)
            mem_free(m->feature_names[i]);
        if (m->feature_infos != NULL)
            mem_free(m->feature_infos[i]);
    }
    mem_free(m->feature_names);
    mem_free(m->feature_infos);
    mem_free(m->monotone);
    mem_free(m->objective);
    mem_free(m->trees);
    mem_free(m->parameters);
    mem_free(m->pandas);
    mem_free(m);
}

struct gbt_tree *gbt_tree_new(int n_leaves, int n_cat, int n_words)
{
    size_t n = (size_t)(n_leaves > 1 ? n_leaves - 1 : 0), l = (size_t)n_leaves;
    size_t bytes = sizeof(struct gbt_tree);
    struct gbt_tree *t;
    char *at;

    /* widest first, so that each array is aligned */
    bytes += n * (3 * sizeof(double) + sizeof(int64_t)) + l * (2 * sizeof(double) + sizeof(int64_t));
    bytes += n * (3 * sizeof(int) + sizeof(float)) + ((size_t)n_cat + 1) * sizeof(int);
    bytes += (size_t)n_words * sizeof(uint32_t) + n;
    t = mem_zero(1, bytes);
    if (t == NULL)
        return NULL;
    t->n_leaves = n_leaves;
    t->n_cat = n_cat;
    t->n_words = n_words;
    t->shrinkage = 1;
    at = (char *)(t + 1);
#define PLACE(field, count) (t->field = (void *)at, at += (count) * sizeof *t->field)
    PLACE(threshold, n);
    PLACE(node_value, n);
    PLACE(node_weight, n);
    PLACE(node_count, n);
    PLACE(leaf_value, l);
    PLACE(leaf_weight, l);
    PLACE(leaf_count, l);
    PLACE(feature, n);
    PLACE(left, n);
    PLACE(right, n);
    PLACE(gain, n);
    PLACE(cat_start, (size_t)n_cat + 1);
    PLACE(cat_words, (size_t)n_words);
    PLACE(decision, n);
#undef PLACE
    return t;
}

void gbt_tree_free(struct gbt_tree *t)
{
    mem_free(t);
}

int gbt_model_add(struct gbt_model *m, struct gbt_tree *t, struct err *e)
{
    if (m->n_trees == m->cap_trees) {
        int cap = m->cap_trees > 0 ? 2 * m->cap_trees : 64;
        void *p = mem_resize(m->trees, (size_t)cap * sizeof *m->trees);

        if (p == NULL) {
            gbt_tree_free(t);
            return err_set(e, ERR_NOMEM, "no memory for %d trees", cap);
        }
        m->trees = p;
        m->cap_trees = cap;
    }
    m->trees[m->n_trees++] = t;
    return 0;
}

static int is_word(const char *text, const char *word)
{
    size_t n = strlen(word);

    return strncmp(text, word, n) == 0 && (text[n] == '\0' || text[n] == ' ');
}

int gbt_model_objective(struct gbt_model *m, const char *text, struct err *e)
{
    static const struct { const char *name; enum gbt_link link; } links[] = {
        { "regression", GBT_LINK_IDENTITY }, { "regression_l2", GBT_LINK_IDENTITY },
        { "regression_l1", GBT_LINK_IDENTITY }, { "l2", GBT_LINK_IDENTITY },
        { "l1", GBT_LINK_IDENTITY }, { "huber", GBT_LINK_IDENTITY }, { "fair", GBT_LINK_IDENTITY },
        { "quantile", GBT_LINK_IDENTITY }, { "mape", GBT_LINK_IDENTITY },
        { "lambdarank", GBT_LINK_IDENTITY }, { "rank_xendcg", GBT_LINK_IDENTITY },
        { "custom", GBT_LINK_IDENTITY }, { "none", GBT_LINK_IDENTITY },
        { "poisson", GBT_LINK_EXP }, { "gamma", GBT_LINK_EXP }, { "tweedie", GBT_LINK_EXP },
        { "binary", GBT_LINK_SIGMOID }, { "multiclassova", GBT_LINK_SIGMOID },
        { "cross_entropy", GBT_LINK_SIGMOID }, { "cross_entropy_lambda", GBT_LINK_LOG1P_EXP },
        { "multiclass", GBT_LINK_SOFTMAX },
    };
    char *copy = mem_dup(text), *end;
    const char *at;
    size_t i, n = sizeof links / sizeof links[0];

    if (copy == NULL)
        return err_set(e, ERR_NOMEM, "no memory for the objective");
    mem_free(m->objective);
    m->objective = copy;
    m->link = GBT_LINK_IDENTITY;
    m->sigmoid = 1;
    if (text[0] == '\0')
        return 0;
    for (i = 0; i < n && !is_word(text, links[i].name); i++)
        ;
    if (i == n)
        return err_set(e, ERR_UNSUPPORTED, "objective \"%.60s\" is not known", text);
    m->link = links[i].link;
    if (m->link == GBT_LINK_IDENTITY && strstr(text, " sqrt") != NULL)
        m->link = GBT_LINK_SIGN_SQUARE;
    if (m->link == GBT_LINK_SIGMOID && (at = strstr(text, " sigmoid:")) != NULL) {
        m->sigmoid = strtod(at + 9, &end);
        if (end == at + 9 || !(m->sigmoid > 0) || !isfinite(m->sigmoid))
            return err_set(e, ERR_PARSE, "objective \"%.60s\": sigmoid is not a positive number",
                           text);
    }
    return 0;
}

static int node_check(const struct gbt_tree *t, int i, int n_features, struct err *e)
{
    int missing = t->decision[i] >> GBT_MISSING_SHIFT;

    if (t->feature[i] < 0 || t->feature[i] >= n_features)
        return err_set(e, ERR_PARSE, "node %d splits on feature %d of %d", i, t->feature[i],
                       n_features);
    if (missing > GBT_MISSING_NAN)
        return err_set(e, ERR_PARSE, "node %d has decision type %d", i, t->decision[i]);
    if (isnan(t->threshold[i]))
        return err_set(e, ERR_PARSE, "node %d has no threshold", i);
    if ((t->decision[i] & GBT_CATEGORICAL) &&
        !(t->threshold[i] >= 0 && t->threshold[i] < (double)t->n_cat))
        return err_set(e, ERR_PARSE, "node %d uses category set %g of %d", i, t->threshold[i],
                       t->n_cat);
    return 0;
}

int gbt_tree_check(const struct gbt_tree *t, int n_features, struct err *e)
{
    int n = t->n_leaves - 1, top = 0, rc = -1;
    int *stack = NULL;
    char *seen = NULL; /* nodes, then leaves */

    for (int i = 0; i < t->n_leaves; i++)
        if (!isfinite(t->leaf_value[i]))
            return err_set(e, ERR_PARSE, "leaf %d has value %g", i, t->leaf_value[i]);
    if (n <= 0)
        return 0;
    for (int k = 0; k < t->n_cat; k++)
        if (t->cat_start[k] < 0 || t->cat_start[k + 1] < t->cat_start[k] ||
            t->cat_start[k + 1] > t->n_words)
            return err_set(e, ERR_PARSE, "category set %d has bad bounds", k);
    stack = mem_alloc((size_t)t->n_leaves * sizeof *stack);
    seen = mem_zero((size_t)(n + t->n_leaves), 1);
    if (stack == NULL || seen == NULL) {
        err_set(e, ERR_NOMEM, "no memory to check a tree");
        goto done;
    }
    seen[0] = 1;
    stack[top++] = 0;
    while (top > 0) {
        int i = stack[--top], child[2] = { t->left[i], t->right[i] };

        if (node_check(t, i, n_features, e) != 0)
            goto done;
        for (int side = 0; side < 2; side++) {
            int c = child[side];
            int at;

            if (c >= n || c < -t->n_leaves || seen[at = c >= 0 ? c : n - 1 - c]) {
                err_set(e, ERR_PARSE, "node %d: child %d is out of range or met twice", i, c);
                goto done;
            }
            seen[at] = 1;
            if (c >= 0)
                stack[top++] = c;
        }
    }
    /* n nodes give n + 1 leaves, each once: all that was reached is a tree; is it everything? */
    for (int i = 0; i < n; i++)
        if (!seen[i]) {
            err_set(e, ERR_PARSE, "node %d is not reached from the root", i);
            goto done;
        }
    rc = 0;
done:
    mem_free(stack);
    mem_free(seen);
    return rc;
}

int gbt_tree_depth(const struct gbt_tree *t, struct err *e)
{
    int *stack, top = 0, deepest = 0;

    if (t->n_leaves < 2)
        return 0;
    stack = mem_alloc((size_t)t->n_leaves * 2 * sizeof *stack);
    if (stack == NULL)
        return err_set(e, ERR_NOMEM, "no memory to measure a tree");
    stack[top++] = 0;
    stack[top++] = 1;
    while (top > 0) {
        int depth = stack[--top], i = stack[--top];
        int child[2] = { t->left[i], t->right[i] };

        deepest = depth > deepest ? depth : deepest;
        for (int side = 0; side < 2; side++)
            if (child[side] >= 0) {
                stack[top++] = child[side];
                stack[top++] = depth + 1;
            }
    }
    mem_free(stack);
    return deepest;
}

void gbt_model_importance(const struct gbt_model *m, int by_gain, int n_iter, double *out)
{
    int n = m->n_trees;

    if (n_iter > 0 && n_iter < n / m->n_per_iter)
        n = n_iter * m->n_per_iter;
    for (int f = 0; f < m->n_features; f++)
        out[f] = 0;
    for (int i = 0; i < n; i++)
        for (int k = 0; k < m->trees[i]->n_leaves - 1; k++)
            /* a node without gain was forced, not chosen */
            if (m->trees[i]->gain[k] > 0)
                out[m->trees[i]->feature[k]] += by_gain ? (double)m->trees[i]->gain[k] : 1;
}
