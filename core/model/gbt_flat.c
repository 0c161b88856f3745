/*
 * gbt_flat.c - see gbt_flat.h. Laying out first, predicting below; the loops are in gbt_flat_kern.c.
 */
#include "model/gbt_flat.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/gbt_cpu.h"
#include "model/gbt_flat_part.h"
#include "model/gbt_predict.h"

#define RANKS_MAX 65535
#define VIEWS_MAX 65535
#define CHUNK_BLOCKS 8 /* blocks of one task */

struct laying {
    struct gbt_flat *f;
    size_t n_nodes, n_values;
    double **bounds;    /* per feature: its thresholds in order, then padded */
    int *n_bounds;
    int *view_of;       /* (n_features, 8): by missing type and default side; last is categorical */
    int *place;         /* of a node, while its tree is laid out */
    int *stack;
};

static int double_cmp(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static int view_kind(int decision)
{
    if (decision & GBT_CATEGORICAL)
        return 7;
    return (decision >> GBT_MISSING_SHIFT) * 2 + ((decision & GBT_DEFAULT_LEFT) != 0);
}

/* Thresholds of every feature, each once, in order. */
static int collect(struct laying *l, struct err *e)
{
    const struct gbt_model *m = l->f->m;
    size_t *count = mem_zero((size_t)m->n_features, sizeof *count);

    l->bounds = mem_zero((size_t)m->n_features, sizeof *l->bounds);
    l->n_bounds = mem_zero((size_t)m->n_features, sizeof *l->n_bounds);
    if (count == NULL || l->bounds == NULL || l->n_bounds == NULL)
        goto nomem;
    for (int i = 0; i < l->f->n_trees; i++)
        for (int k = 0; k < m->trees[i]->n_leaves - 1; k++)
            count[m->trees[i]->feature[k]]++;
    for (int f = 0; f < m->n_features; f++) {
        if (count[f] == 0)
            continue;
        l->bounds[f] = mem_alloc(count[f] * sizeof **l->bounds);
        if (l->bounds[f] == NULL)
            goto nomem;
        count[f] = 0;
    }
    for (int i = 0; i < l->f->n_trees; i++)
        for (int k = 0; k < m->trees[i]->n_leaves - 1; k++)
            if (!(m->trees[i]->decision[k] & GBT_CATEGORICAL)) {
                int f = m->trees[i]->feature[k];

                l->bounds[f][count[f]++] = m->trees[i]->threshold[k];
            }
    for (int f = 0; f < m->n_features; f++) {
        int n = 0;

        if (count[f] == 0)
            continue;
        qsort(l->bounds[f], count[f], sizeof **l->bounds, double_cmp);
        for (size_t i = 0; i < count[f]; i++)
            if (n == 0 || l->bounds[f][i] != l->bounds[f][n - 1])
                l->bounds[f][n++] = l->bounds[f][i];
        l->n_bounds[f] = n;
    }
    mem_free(count);
    return 0;
nomem:
    mem_free(count);
    return err_set(e, ERR_NOMEM, "no memory to lay out %d features", m->n_features);
}

static int steps_of(int n)
{
    int steps = 0;

    while ((1 << steps) < n + 1)
        steps++;
    return steps;
}

/* One block with the padded thresholds of all features; views point into it. */
static int make_views(struct laying *l, struct err *e)
{
    struct gbt_flat *f = l->f;
    const struct gbt_model *m = f->m;
    size_t total = 1, at = 0, n_views = 1;

    l->view_of = mem_alloc((size_t)m->n_features * 8 * sizeof *l->view_of);
    for (int i = 0; i < m->n_features; i++)
        total += (size_t)1 << steps_of(l->n_bounds[i]);
    f->ranks = mem_alloc(total * sizeof *f->ranks);
    if (l->view_of == NULL || f->ranks == NULL)
        return err_set(e, ERR_NOMEM, "no memory to lay out %d features", m->n_features);
    for (int i = 0; i < m->n_features * 8; i++)
        l->view_of[i] = -1;
    for (int i = 0; i < f->n_trees; i++)
        for (int k = 0; k < m->trees[i]->n_leaves - 1; k++) {
            int *view = &l->view_of[m->trees[i]->feature[k] * 8 +
                                    view_kind(m->trees[i]->decision[k])];

            n_views += *view < 0;
            *view = 0;
        }
    f->views = mem_zero(n_views, sizeof *f->views);
    if (f->views == NULL)
        return err_set(e, ERR_NOMEM, "no memory to lay out %zu features", n_views);
    for (int i = 0; i < m->n_features; i++) {
        int steps = steps_of(l->n_bounds[i]);

        for (int k = 0; k < 1 << steps; k++)
            f->ranks[at + (size_t)k] = k < l->n_bounds[i] ? l->bounds[i][k] : INFINITY;
        for (int kind = 0; kind < 8; kind++)
            if (l->view_of[i * 8 + kind] == 0) {
                l->view_of[i * 8 + kind] = f->n_views;
                f->views[f->n_views++] = (struct flat_view){
                    .feature = i, .is_cat = kind == 7, .n = kind == 7 ? 0 : l->n_bounds[i],
                    .missing = kind == 7 ? GBT_MISSING_NONE : (enum gbt_missing)(kind / 2),
                    .default_left = kind % 2, .ranks = f->ranks + at, .n_steps = steps };
            }
        at += (size_t)1 << steps;
    }
    return 0;
}

/* The rank of a threshold that is certainly there. */
static int rank_of(const double *bounds, int n, double x)
{
    int low = 0, high = n - 1;

    while (low < high) {
        int mid = (low + high) / 2;

        if (bounds[mid] < x)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* Can a tree be laid out: small enough, every rank and view in range? */
static int is_flat(const struct laying *l, const struct gbt_tree *t)
{
    if (t->n_leaves > FLAT_LEAVES || l->f->n_views > VIEWS_MAX)
        return 0;
    for (int k = 0; k < t->n_leaves - 1; k++)
        if (l->n_bounds[t->feature[k]] > RANKS_MAX)
            return 0;
    return 1;
}

static void lay_tree(struct laying *l, const struct gbt_tree *t, struct flat_tree *out)
{
    struct gbt_flat *f = l->f;
    struct flat_node *nodes = f->nodes + l->n_nodes;
    double *values = f->values + l->n_values;
    int top = 0, n = 0;

    out->kind = FLAT_BLOCK;
    out->tree = t;
    out->nodes = nodes;
    out->values = values;
    out->n_nodes = t->n_leaves - 1;
    out->n_leaves = t->n_leaves;
    memcpy(values, t->leaf_value, (size_t)t->n_leaves * sizeof *values);
    l->n_nodes += (size_t)out->n_nodes;
    l->n_values += ((size_t)t->n_leaves + 31) & ~(size_t)31;
    if (t->n_leaves == 1)
        return;
    for (l->stack[top++] = 0; top > 0;) { /* places: parents first */
        int i = l->stack[--top];

        l->place[i] = n++;
        if (t->right[i] >= 0)
            l->stack[top++] = t->right[i];
        if (t->left[i] >= 0)
            l->stack[top++] = t->left[i];
    }
    for (int i = 0; i < out->n_nodes; i++) {
        struct flat_node *node = &nodes[l->place[i]];
        int a = t->left[i], b = t->right[i], is_cat = t->decision[i] & GBT_CATEGORICAL;

        out->has_cats |= is_cat;
        node->view = (uint16_t)l->view_of[t->feature[i] * 8 + view_kind(t->decision[i])];
        node->rank = (uint16_t)(is_cat ? (int)t->threshold[i]
                                       : rank_of(l->bounds[t->feature[i]],
                                                 l->n_bounds[t->feature[i]], t->threshold[i]));
        node->left = (uint16_t)(a >= 0 ? l->place[a] : out->n_nodes - a - 1);
        node->right = (uint16_t)(b >= 0 ? l->place[b] : out->n_nodes - b - 1);
        /* words instead of bytes: not for the small kernel */
        out->has_cats |= f->views[node->view].n > 255;
    }
}

/* The same for single rows: which comparisons lead to each leaf. */
static void lay_row_tree(const struct flat_tree *t, struct flat_row_tree *out)
{
    uint32_t want[2 * FLAT_SMALL] = { 0 }, care[2 * FLAT_SMALL] = { 0 };

    memset(out, 0, sizeof *out);
    for (int k = 0; k < t->n_nodes; k++) {
        const struct flat_node *n = &t->nodes[k];
        uint32_t bit = (uint32_t)1 << k;

        out->view[k] = (uint8_t)n->view;
        out->rank[k] = (uint8_t)n->rank;
        want[n->left] = want[k] | bit;
        want[n->right] = want[k];
        care[n->left] = care[n->right] = care[k] | bit;
    }
    memcpy(out->want, want + t->n_nodes, (size_t)t->n_leaves * sizeof *want);
    memcpy(out->care, care + t->n_nodes, (size_t)t->n_leaves * sizeof *care);
    memcpy(out->values, t->values, (size_t)t->n_leaves * sizeof *out->values);
}

static int lay_trees(struct laying *l, struct err *e)
{
    struct gbt_flat *f = l->f;
    const struct gbt_model *m = f->m;
    size_t n_nodes = 1, n_values = 1;

    f->trees = mem_zero((size_t)f->n_trees + 1, sizeof *f->trees);
    l->place = mem_alloc(FLAT_LEAVES * sizeof *l->place);
    l->stack = mem_alloc(FLAT_LEAVES * sizeof *l->stack);
    for (int i = 0; i < f->n_trees; i++)
        if (m->trees[i]->n_leaves <= FLAT_LEAVES) {
            n_nodes += (size_t)m->trees[i]->n_leaves;
            n_values += ((size_t)m->trees[i]->n_leaves + 31) & ~(size_t)31;
        }
    f->nodes = mem_zero(n_nodes, sizeof *f->nodes);
    f->values = mem_aligned(n_values * sizeof *f->values);
    if (f->trees == NULL || l->place == NULL || l->stack == NULL || f->nodes == NULL ||
        f->values == NULL)
        return err_set(e, ERR_NOMEM, "no memory to lay out %d trees", f->n_trees);
    memset(f->values, 0, n_values * sizeof *f->values);
    f->all_small = f->n_views <= FLAT_VIEWS;
    for (int i = 0; i < f->n_trees; i++) {
        f->trees[i].kind = FLAT_WALK;
        f->trees[i].tree = m->trees[i];
        if (is_flat(l, m->trees[i]))
            lay_tree(l, m->trees[i], &f->trees[i]);
        f->all_small = f->all_small && f->trees[i].kind == FLAT_BLOCK && !f->trees[i].has_cats &&
                       f->trees[i].n_leaves <= FLAT_SMALL;
    }
    if (!f->all_small || f->n_trees == 0)
        return 0;
    f->row_trees = mem_aligned((size_t)f->n_trees * sizeof *f->row_trees);
    if (f->row_trees == NULL)
        return err_set(e, ERR_NOMEM, "no memory to lay out %d trees", f->n_trees);
    for (int i = 0; i < f->n_trees; i++)
        lay_row_tree(&f->trees[i], &f->row_trees[i]);
    return 0;
}

int gbt_flat_new(struct gbt_flat **out, const struct gbt_model *m, int n_iter, struct err *e)
{
    struct gbt_flat *f = mem_zero(1, sizeof *f);
    struct laying l = { .f = f };
    int rc = -1;

    *out = NULL;
    if (f == NULL)
        return err_set(e, ERR_NOMEM, "no memory to lay out a model");
    f->m = m;
    f->n_trees = gbt_predict_trees(m, n_iter);
    if (collect(&l, e) == 0 && make_views(&l, e) == 0 && lay_trees(&l, e) == 0)
        rc = 0;
    for (int i = 0; i < m->n_features && l.bounds != NULL; i++)
        mem_free(l.bounds[i]);
    mem_free(l.bounds);
    mem_free(l.n_bounds);
    mem_free(l.view_of);
    mem_free(l.place);
    mem_free(l.stack);
    if (rc != 0) {
        gbt_flat_free(f);
        return -1;
    }
    *out = f;
    return 0;
}

void gbt_flat_free(struct gbt_flat *f)
{
    if (f == NULL)
        return;
    mem_free(f->views);
    mem_free(f->trees);
    mem_free(f->nodes);
    mem_free(f->values);
    mem_free(f->ranks);
    mem_free(f->row_trees);
    mem_free(f);
}

static void finish(const struct gbt_flat *f, int link, double *scores)
{
    int n = f->m->n_per_iter;

    for (int c = 0; c < n && f->m->average_output && f->n_trees > 0; c++)
        scores[c] /= f->n_trees / n;
    if (link)
        gbt_predict_link(f->m, scores);
}

/* The code of one value, as flat_codes gives it. */
static int one_code(const struct flat_view *v, double x)
{
    int at = 0;

    if ((v->missing == GBT_MISSING_NAN && isnan(x)) ||
        (v->missing == GBT_MISSING_ZERO && (isnan(x) || fabs(x) <= GBT_ZERO)))
        return v->default_left ? 0 : v->n;
    x = isnan(x) ? 0 : x;
    for (int half = (1 << v->n_steps) >> 1; half > 0; half >>= 1)
        at += v->ranks[at + half - 1] < x ? half : 0;
    return at;
}

void gbt_flat_row(const struct gbt_flat *f, const double *row, double *out)
{
    int n = f->m->n_per_iter, c = 0;

    if (f->row_trees != NULL && gbt_cpu_avx512_vbmi()) {
        uint8_t codes[FLAT_VIEWS] = { 0 };

        for (int i = 0; i < f->n_views; i++)
            codes[i] = (uint8_t)one_code(&f->views[i], row[f->views[i].feature]);
        flat_row_avx512(f, codes, out);
    } else {
        for (int k = 0; k < n; k++)
            out[k] = 0;
        for (int i = 0; i < f->n_trees; i++) {
            const struct gbt_tree *t = f->trees[i].tree;

            out[c] += t->leaf_value[gbt_tree_leaf(t, row)];
            c = c + 1 < n ? c + 1 : 0;
        }
    }
    finish(f, 0, out);
}

struct predicting {
    const struct gbt_flat *f;
    const struct gbt_matrix *x;
    int link;
    double *out;
    char *scratch; /* per lane */
    size_t lane_bytes;
};

/* What a lane works in. */
struct room {
    struct flat_block block;
    double *scores; /* (n_per_iter, FLAT_ROWS) */
    double *row;
    uint8_t *masks;
};

static size_t room_bytes(const struct gbt_flat *f)
{
    size_t views = (size_t)f->n_views * FLAT_ROWS;

    return views * (sizeof(uint16_t) + 1 + sizeof(int32_t)) +
           ((size_t)f->m->n_per_iter * FLAT_ROWS + (size_t)f->m->n_features) * sizeof(double) +
           2 * FLAT_LEAVES * FLAT_ROWS + 7 * 64;
}

static void *carve(char **at, size_t bytes)
{
    void *p = *at;

    *at += (bytes + 63) & ~(size_t)63;
    return p;
}

static void make_room(const struct gbt_flat *f, char *at, struct room *r)
{
    size_t views = (size_t)f->n_views * FLAT_ROWS;

    r->block.codes = carve(&at, views * sizeof(uint16_t));
    r->block.bytes = carve(&at, views);
    r->block.cats = carve(&at, views * sizeof(int32_t));
    r->scores = carve(&at, (size_t)f->m->n_per_iter * FLAT_ROWS * sizeof(double));
    r->row = carve(&at, (size_t)f->m->n_features * sizeof(double));
    r->masks = carve(&at, 2 * FLAT_LEAVES * FLAT_ROWS);
}

/* Codes of n <= FLAT_ROWS rows; the rest of the block repeats the first. */
static void code_block(const struct predicting *p, size_t first, size_t n, struct room *r)
{
    double x[FLAT_ROWS];

    for (int v = 0; v < p->f->n_views; v++) {
        const struct flat_view *view = &p->f->views[v];
        uint16_t *codes = r->block.codes + (size_t)v * FLAT_ROWS;

        if (v == 0 || view->feature != view[-1].feature)
            for (size_t i = 0; i < FLAT_ROWS; i++)
                x[i] = gbt_matrix_at(p->x, first + (i < n ? i : 0), view->feature);
        if (view->is_cat) {
            for (size_t i = 0; i < FLAT_ROWS; i++)
                r->block.cats[(size_t)v * FLAT_ROWS + i] =
                    x[i] > -1 && x[i] < 2147483648.0 ? (int32_t)x[i] : -1;
            continue;
        }
        if (view->n > RANKS_MAX)
            continue; /* its trees are walked */
        flat_codes(view, x, codes);
        for (size_t i = 0; i < FLAT_ROWS; i++)
            r->block.bytes[(size_t)v * FLAT_ROWS + i] = (uint8_t)codes[i];
    }
}

static void walk_block(const struct predicting *p, const struct gbt_tree *t, size_t first, size_t n,
                       struct room *r, double *score)
{
    for (size_t i = 0; i < n; i++) {
        gbt_predict_row(p->x, first + i, r->row);
        score[i] += t->leaf_value[gbt_tree_leaf(t, r->row)];
    }
}

static void predict_block(const struct predicting *p, size_t first, size_t n, struct room *r)
{
    const struct gbt_flat *f = p->f;
    int k = f->m->n_per_iter, c = 0;

    code_block(p, first, n, r);
    memset(r->scores, 0, (size_t)k * FLAT_ROWS * sizeof *r->scores);
    for (int i = 0; i < f->n_trees; i++) {
        const struct flat_tree *t = &f->trees[i];
        double *score = r->scores + c * FLAT_ROWS;

        if (t->kind == FLAT_WALK)
            walk_block(p, t->tree, first, n, r, score);
        else if (t->n_nodes == 0)
            for (int j = 0; j < FLAT_ROWS; j++)
                score[j] += t->values[0];
        else
            flat_add_tree(f, t, &r->block, r->masks, score);
        c = c + 1 < k ? c + 1 : 0;
    }
    for (size_t i = 0; i < n; i++) {
        double *out = p->out + (first + i) * (size_t)k;

        for (int j = 0; j < k; j++)
            out[j] = r->scores[(size_t)j * FLAT_ROWS + i];
        finish(f, p->link, out);
    }
}

static void predict_chunk(void *ctx, int chunk, int lane)
{
    const struct predicting *p = ctx;
    size_t at = (size_t)chunk * CHUNK_BLOCKS * FLAT_ROWS, end = at + CHUNK_BLOCKS * FLAT_ROWS;
    struct room r;

    end = end < p->x->n_rows ? end : p->x->n_rows;
    make_room(p->f, p->scratch + (size_t)lane * p->lane_bytes, &r);
    for (; at < end; at += FLAT_ROWS)
        predict_block(p, at, end - at < FLAT_ROWS ? end - at : FLAT_ROWS, &r);
}

int gbt_flat_predict(const struct gbt_flat *f, const struct gbt_matrix *x, int link, double *out,
                     struct par *par, struct err *e)
{
    struct predicting p = { f, x, link, out, NULL, 0 };
    size_t rows = CHUNK_BLOCKS * FLAT_ROWS;

    if (gbt_predict_check(f->m, x, e) != 0)
        return -1;
    p.lane_bytes = (room_bytes(f) + 127) & ~(size_t)63;
    p.scratch = mem_aligned((size_t)par_threads(par) * p.lane_bytes);
    if (p.scratch == NULL)
        return err_set(e, ERR_NOMEM, "no memory to predict with %d features", f->m->n_features);
    par_run(par, (int)((x->n_rows + rows - 1) / rows), predict_chunk, &p);
    mem_free(p.scratch);
    return 0;
}
