/*
 * gbt_text.c - the writer of gbt_text.h; the reader is gbt_text_read.c.
 *
 * The digits are LightGBM's: 17 for leaf values, leaf weights and thresholds, 6 for what is only
 * information. So a file read and written again is the same file.
 */
#include "model/gbt_text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

#define ADD(...)                                                                                  \
    do {                                                                                          \
        if (buf_addf(b, e, __VA_ARGS__) != 0)                                                     \
            return -1;                                                                            \
    } while (0)

static int add_doubles(struct buf *b, const char *key, const double *x, int n, const char *form,
                       struct err *e)
{
    ADD("%s=", key);
    for (int i = 0; i < n; i++) {
        char text[40];

        /* the format is one of the two below, never from outside */
        if (form[0] == 'l')
            snprintf(text, sizeof text, "%.17g", x[i]);
        else
            snprintf(text, sizeof text, "%g", x[i]);
        if ((i > 0 && buf_addc(b, ' ', e) != 0) || buf_adds(b, text, e) != 0)
            return -1;
    }
    return buf_addc(b, '\n', e);
}

static int add_ints(struct buf *b, const char *key, const int *x, int n, struct err *e)
{
    ADD("%s=", key);
    for (int i = 0; i < n; i++)
        ADD(i > 0 ? " %d" : "%d", x[i]);
    return buf_addc(b, '\n', e);
}

static int add_counts(struct buf *b, const char *key, const int64_t *x, int n, struct err *e)
{
    ADD("%s=", key);
    for (int i = 0; i < n; i++)
        ADD(i > 0 ? " %lld" : "%lld", (long long)x[i]);
    return buf_addc(b, '\n', e);
}

static int add_tree(const struct gbt_tree *t, int index, struct buf *b, struct err *e)
{
    int n = t->n_leaves - 1;

    ADD("Tree=%d\nnum_leaves=%d\nnum_cat=%d\n", index, t->n_leaves, t->n_cat);
    if (add_ints(b, "split_feature", t->feature, n, e) != 0)
        return -1;
    ADD("split_gain=");
    for (int i = 0; i < n; i++)
        ADD(i > 0 ? " %g" : "%g", (double)t->gain[i]);
    if (buf_addc(b, '\n', e) != 0 ||
        add_doubles(b, "threshold", t->threshold, n, "long", e) != 0)
        return -1;
    ADD("decision_type=");
    for (int i = 0; i < n; i++)
        ADD(i > 0 ? " %d" : "%d", t->decision[i]);
    if (buf_addc(b, '\n', e) != 0 || add_ints(b, "left_child", t->left, n, e) != 0 ||
        add_ints(b, "right_child", t->right, n, e) != 0 ||
        add_doubles(b, "leaf_value", t->leaf_value, t->n_leaves, "long", e) != 0)
        return -1;
    if (add_doubles(b, "leaf_weight", t->leaf_weight, t->n_leaves, "long", e) != 0 ||
        add_counts(b, "leaf_count", t->leaf_count, t->n_leaves, e) != 0 ||
        add_doubles(b, "internal_value", t->node_value, n, "short", e) != 0 ||
        add_doubles(b, "internal_weight", t->node_weight, n, "short", e) != 0 ||
        add_counts(b, "internal_count", t->node_count, n, e) != 0)
        return -1;
    if (t->n_cat > 0) {
        if (add_ints(b, "cat_boundaries", t->cat_start, t->n_cat + 1, e) != 0)
            return -1;
        ADD("cat_threshold=");
        for (int i = 0; i < t->n_words; i++)
            ADD(i > 0 ? " %u" : "%u", t->cat_words[i]);
        if (buf_addc(b, '\n', e) != 0)
            return -1;
    }
    ADD("is_linear=0\nshrinkage=%g\n\n\n", t->shrinkage);
    return 0;
}

static int add_words(struct buf *b, const char *key, char *const *words, int n, struct err *e)
{
    ADD("%s=", key);
    for (int i = 0; i < n; i++)
        if ((i > 0 && buf_addc(b, ' ', e) != 0) || buf_adds(b, words[i], e) != 0)
            return -1;
    return buf_addc(b, '\n', e);
}

static int add_head(const struct gbt_model *m, struct buf *b, struct err *e)
{
    ADD("tree\nversion=v4\nnum_class=%d\nnum_tree_per_iteration=%d\nlabel_index=%d\n"
        "max_feature_idx=%d\n", m->n_class, m->n_per_iter, m->label_index, m->n_features - 1);
    if (m->objective != NULL && m->objective[0] != '\0')
        ADD("objective=%s\n", m->objective);
    if (m->average_output)
        ADD("average_output\n");
    if (add_words(b, "feature_names", m->feature_names, m->n_features, e) != 0)
        return -1;
    if (m->monotone != NULL && add_ints(b, "monotone_constraints", m->monotone, m->n_features, e) != 0)
        return -1;
    if (m->feature_infos != NULL &&
        add_words(b, "feature_infos", m->feature_infos, m->n_features, e) != 0)
        return -1;
    return 0;
}

struct rank {
    double value;
    int feature;
};

/* Largest first; equal ones keep their order. */
static int rank_cmp(const void *a, const void *b)
{
    const struct rank *x = a, *y = b;

    if (x->value != y->value)
        return x->value > y->value ? -1 : 1;
    return x->feature - y->feature;
}

static int add_importance(const struct gbt_model *m, int n_iter, struct buf *b, struct err *e)
{
    double *value = mem_alloc((size_t)m->n_features * sizeof *value);
    struct rank *rank = mem_alloc((size_t)m->n_features * sizeof *rank);
    int n = 0, rc = -1;

    if (value == NULL || rank == NULL) {
        err_set(e, ERR_NOMEM, "no memory for the importances");
        goto done;
    }
    gbt_model_importance(m, m->importance_kind, n_iter, value);
    for (int f = 0; f < m->n_features; f++)
        if (value[f] >= 1) /* the file shows whole numbers and no zero */
            rank[n++] = (struct rank){ (double)(long long)value[f], f };
    qsort(rank, (size_t)n, sizeof *rank, rank_cmp);
    if (buf_adds(b, "\nfeature_importances:\n", e) != 0)
        goto done;
    for (int i = 0; i < n; i++)
        if (buf_addf(b, e, "%s=%lld\n", m->feature_names[rank[i].feature],
                     (long long)rank[i].value) != 0)
            goto done;
    rc = 0;
done:
    mem_free(value);
    mem_free(rank);
    return rc;
}

int gbt_text_write(const struct gbt_model *m, int n_iter, struct buf *b, struct err *e)
{
    struct buf trees, sizes;
    size_t before;
    int n = m->n_trees, rc = -1;

    if (n_iter > 0 && n_iter < n / m->n_per_iter)
        n = n_iter * m->n_per_iter;
    buf_init(&trees, GBT_TEXT_MAX);
    buf_init(&sizes, GBT_TEXT_MAX);
    if (buf_adds(&sizes, "tree_sizes=", e) != 0)
        goto done;
    for (int i = 0; i < n; i++) {
        before = trees.len;
        if (add_tree(m->trees[i], i, &trees, e) != 0 ||
            buf_addf(&sizes, e, i > 0 ? " %zu" : "%zu", trees.len - before) != 0)
            goto done;
    }
    if (add_head(m, b, e) != 0 || buf_add(b, sizes.data, sizes.len, e) != 0 ||
        buf_adds(b, "\n\n", e) != 0 || buf_add(b, trees.data, trees.len, e) != 0 ||
        buf_adds(b, "end of trees\n", e) != 0 || add_importance(m, n_iter, b, e) != 0)
        goto done;
    if (m->parameters != NULL &&
        (buf_adds(b, "\nparameters:\n", e) != 0 || buf_adds(b, m->parameters, e) != 0 ||
         buf_adds(b, "end of parameters\n", e) != 0))
        goto done;
    if (m->pandas != NULL && (buf_addc(b, '\n', e) != 0 || buf_adds(b, m->pandas, e) != 0 ||
                              buf_addc(b, '\n', e) != 0))
        goto done;
    rc = 0;
done:
    buf_deinit(&trees);
    buf_deinit(&sizes);
    return rc;
}

static int write_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        data += n;
        len -= (size_t)n;
    }
    return fsync(fd);
}

int gbt_text_save(const struct gbt_model *m, int n_iter, const char *path, struct err *e)
{
    struct buf b, part;
    int fd = -1, rc = -1;

    buf_init(&b, GBT_TEXT_MAX);
    buf_init(&part, 8192);
    if (gbt_text_write(m, n_iter, &b, e) != 0 ||
        buf_addf(&part, e, "%s.%ld.part", path, (long)getpid()) != 0 || buf_text(&part, e) == NULL)
        goto done;
    fd = open(part.data, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0) {
        err_errno(e, errno, "model file %s", path);
        goto done;
    }
    rc = write_all(fd, b.data, b.len);
    if ((close(fd) != 0 || rc != 0) || rename(part.data, path) != 0) {
        rc = err_errno(e, errno, "model file %s", path);
        unlink(part.data);
    }
done:
    buf_deinit(&b);
    buf_deinit(&part);
    return rc;
}
