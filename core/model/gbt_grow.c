/*
 * gbt_grow.c - see gbt_grow.h.
 *
 * Rows of a leaf stand together in `rows`, in ascending order. Per split: part the rows (chunks side
 * by side into two scratch halves, then moved together), sum the histogram of the smaller child, and
 * per column: take it, subtract it from the parent to get the sibling's, look for the best split of
 * both. All of it in whole numbers, so threads only change the time.
 *
 * The search is gbt_grow_search.c, the parting gbt_grow_rows.c; struct gbt_grow is in gbt_grow_part.h.
 */
#include "model/gbt_grow_part.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "tensor/rng.h"

#define PLAIN_ROWS 131072  /* up to here sums are plain, see gbt_hist.h */
#define MAX_FINITE 1e300  /* a bound that every number is below */

static int new_arrays(struct gbt_grow *w)
{
    const struct gbt_store *s = w->set.store;
    size_t n = s->n_rows + 64, l = (size_t)w->max_leaves, f = (size_t)s->n_features;
    size_t n_chunks = s->n_rows / PART_CHUNK + 2;

    w->leaves = mem_zero(l, sizeof *w->leaves);
    w->rules = mem_zero(l, sizeof *w->rules);
    w->slots = mem_zero(l + 2, sizeof *w->slots);
    w->free_slots = mem_zero(l + 2, sizeof *w->free_slots);
    w->is_plain = s->n_rows <= PLAIN_ROWS;
    w->gh = mem_aligned((w->is_plain ? 64 : n) * sizeof *w->gh);
    w->rows = mem_aligned(n * sizeof *w->rows);
    w->gh_rows = mem_aligned((w->is_plain ? 64 : n) * sizeof *w->gh_rows);
    w->halves.left = mem_aligned(n_chunks * PART_STEP * sizeof *w->rows);
    w->halves.right = mem_aligned(n_chunks * PART_STEP * sizeof *w->rows);
    w->halves.left_gh = mem_aligned((w->is_plain ? 1 : n_chunks) * PART_STEP * sizeof *w->rows);
    w->halves.right_gh = mem_aligned((w->is_plain ? 1 : n_chunks) * PART_STEP * sizeof *w->rows);
    w->bit_blocks = mem_zero(l, sizeof *w->bit_blocks);
    w->work = mem_zero((size_t)w->n_lanes, sizeof *w->work);
    w->marginal = mem_zero((size_t)w->n_lanes, sizeof *w->marginal);
    w->found = mem_zero(2 * f, sizeof *w->found);
    w->used = mem_zero((size_t)s->n_columns + 1, 1);
    w->node_features = mem_zero(2 * f, 1);
    w->hopeless = mem_zero(l * f, 1);
    w->n_left = mem_zero(n_chunks, sizeof *w->n_left);
    w->left_at = mem_zero(n_chunks, sizeof *w->left_at);
    if (w->leaves == NULL || w->rules == NULL || w->slots == NULL || w->free_slots == NULL ||
        w->gh == NULL || w->rows == NULL || w->gh_rows == NULL || w->halves.left == NULL ||
        w->halves.right == NULL || w->halves.left_gh == NULL || w->halves.right_gh == NULL ||
        w->bit_blocks == NULL || w->work == NULL || w->marginal == NULL || w->found == NULL ||
        w->used == NULL || w->node_features == NULL || w->hopeless == NULL || w->n_left == NULL || w->left_at == NULL)
        return -1;
    for (int i = 0; i < w->n_lanes; i++) {
        w->work[i] = mem_alloc(GBT_SPLIT_WORK(w->max_bins) * sizeof **w->work);
        w->marginal[i] = mem_alloc(GBT_CODES * sizeof **w->marginal);
        if (w->work[i] == NULL || w->marginal[i] == NULL)
            return -1;
    }
    return 0;
}

int gbt_grow_new(struct gbt_grow **out, const struct gbt_grow_setup *setup, struct err *e)
{
    struct gbt_grow *w = mem_zero(1, sizeof *w);

    *out = NULL;
    if (w == NULL)
        return err_set(e, ERR_NOMEM, "no memory to grow trees");
    w->set = *setup;
    w->n_lanes = par_threads(setup->par);
    w->max_leaves = setup->p->num_leaves;
    for (int f = 0; f < setup->store->n_features; f++)
        if (setup->store->bins[f].n_bins > w->max_bins)
            w->max_bins = setup->store->bins[f].n_bins;
    if (gbt_hist_new(&w->hist, setup->store, w->n_lanes, e) != 0) {
        gbt_grow_free(w);
        return -1;
    }
    if (new_arrays(w) != 0) {
        gbt_grow_free(w);
        return err_set(e, ERR_NOMEM, "no memory to grow trees on %zu rows", setup->store->n_rows);
    }
    *out = w;
    return 0;
}

void gbt_grow_free(struct gbt_grow *w)
{
    if (w == NULL)
        return;
    gbt_hist_free(w->hist);
    for (int i = 0; i < w->n_lanes; i++) {
        if (w->work != NULL)
            mem_free(w->work[i]);
        if (w->marginal != NULL)
            mem_free(w->marginal[i]);
    }
    for (int i = 0; i < w->max_leaves && w->bit_blocks != NULL; i++)
        mem_free(w->bit_blocks[i]);
    for (int i = 0; i < w->n_slots; i++)
        mem_free(w->slots[i]);
    mem_free(w->leaves);
    mem_free(w->rules);
    mem_free(w->slots);
    mem_free(w->free_slots);
    mem_free(w->gh);
    mem_free(w->rows);
    mem_free(w->gh_rows);
    mem_free(w->halves.left);
    mem_free(w->halves.right);
    mem_free(w->halves.left_gh);
    mem_free(w->halves.right_gh);
    mem_free(w->bit_blocks);
    mem_free(w->work);
    mem_free(w->marginal);
    mem_free(w->found);
    mem_free(w->used);
    mem_free(w->node_features);
    mem_free(w->hopeless);
    mem_free(w->n_left);
    mem_free(w->left_at);
    mem_free(w);
}

static double output(const struct gbt_grow *w, const struct gbt_cell *c, double l2, double low,
                     double high)
{
    return gbt_split_output(w->set.p, c->g * w->scale.g_scale, c->h * w->scale.h_scale, l2, low,
                            high);
}

/* Node `node` replaces leaf i, which becomes its left child; the right one is a new leaf. */
static void link_node(struct gbt_grow *w, int node, int i, const struct grow_leaf *l)
{
    struct gbt_tree *t = w->tree;
    const struct gbt_split *s = &l->best;
    const struct gbt_bin *b = &w->set.store->bins[s->feature];

    if (l->node >= 0) {
        if (l->is_right)
            t->right[l->node] = node;
        else
            t->left[l->node] = node;
    }
    t->left[node] = -i - 1;
    t->right[node] = -w->n_leaves - 1;
    t->feature[node] = s->feature;
    t->gain[node] = (float)(s->gain > FLT_MAX ? FLT_MAX : s->gain);
    t->node_value[node] = output(w, &l->sum, l->l2, l->low, l->high);
    t->node_weight[node] = l->sum.h * w->scale.h_scale;
    t->node_count[node] = (int64_t)l->n;
    t->decision[node] = (uint8_t)(b->missing << GBT_MISSING_SHIFT);
    if (s->is_cat) {
        t->decision[node] |= GBT_CATEGORICAL;
    } else {
        t->decision[node] |= s->default_left ? GBT_DEFAULT_LEFT : 0;
        t->threshold[node] = b->upper[s->bin] > MAX_FINITE ? MAX_FINITE : b->upper[s->bin];
    }
}

/* Allowed values of the children of a leaf split by a monotone feature. */
static void bound_children(struct gbt_grow *w, const struct grow_leaf *parent, struct grow_leaf *l,
                           struct grow_leaf *r)
{
    const struct gbt_param *p = w->set.p;
    const struct gbt_split *s = &parent->best;
    int m = s->feature < p->n_monotone ? p->monotone[s->feature] : 0;
    double mid;

    if (m == 0 || s->is_cat)
        return;
    mid = (output(w, &l->sum, l->l2, l->low, l->high) + output(w, &r->sum, r->l2, r->low, r->high)) / 2;
    if (m > 0) {
        l->high = fmin(l->high, mid);
        r->low = fmax(r->low, mid);
    } else {
        l->low = fmax(l->low, mid);
        r->high = fmin(r->high, mid);
    }
}

static int split_leaf(struct gbt_grow *w, int i, struct err *e)
{
    struct grow_leaf parent = w->leaves[i], *l = &w->leaves[i], *r = &w->leaves[w->n_leaves];
    int node = w->n_leaves - 1, small, large;
    size_t n_left;

    if (gbt_grow_rule(w, node, &parent.best, e) != 0)
        return -1;
    link_node(w, node, i, &parent);
    n_left = gbt_grow_part(w, &parent, &w->rules[node]);
    l->n = n_left;
    l->sum = parent.best.left;
    l->depth = parent.depth + 1;
    l->node = node;
    l->is_right = 0;
    l->l2 = parent.best.l2;
    *r = *l;
    r->first = parent.first + n_left;
    r->n = parent.n - n_left;
    r->sum = parent.best.right;
    r->is_right = 1;
    r->slot = l->slot = -1;
    l->best.gain = r->best.gain = 0;
    bound_children(w, &parent, l, r);
    memcpy(w->hopeless + (size_t)w->n_leaves * (size_t)w->set.store->n_features,
           w->hopeless + (size_t)i * (size_t)w->set.store->n_features,
           (size_t)w->set.store->n_features);
    w->n_leaves++;
    small = l->n <= r->n ? i : w->n_leaves - 1;
    large = l->n <= r->n ? w->n_leaves - 1 : i;
    w->leaves[large].slot = parent.slot;
    if (w->n_leaves == w->max_leaves || (!gbt_grow_can_split(w, l) && !gbt_grow_can_split(w, r))) {
        gbt_grow_drop(w, &w->leaves[large]);
        return 0;
    }
    return gbt_grow_search(w, small, large, e);
}

/* A tree without room for categories became one with them: sets in node order. */
static int add_sets(struct gbt_grow *w, struct err *e)
{
    struct gbt_tree *t = w->tree, *u;
    int n_cat = 0, n_words = 0, n = w->n_leaves - 1;

    for (int i = 0; i < n; i++)
        n_cat += (t->decision[i] & GBT_CATEGORICAL) != 0;
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1) {
            u = gbt_tree_new(w->n_leaves, n_cat, n_words);
            if (u == NULL)
                return err_set(e, ERR_NOMEM, "no memory for a tree");
            memcpy(u->feature, t->feature, (size_t)n * sizeof *u->feature);
            memcpy(u->left, t->left, (size_t)n * sizeof *u->left);
            memcpy(u->right, t->right, (size_t)n * sizeof *u->right);
            memcpy(u->threshold, t->threshold, (size_t)n * sizeof *u->threshold);
            memcpy(u->decision, t->decision, (size_t)n);
            memcpy(u->gain, t->gain, (size_t)n * sizeof *u->gain);
            memcpy(u->node_value, t->node_value, (size_t)n * sizeof *u->node_value);
            memcpy(u->node_weight, t->node_weight, (size_t)n * sizeof *u->node_weight);
            memcpy(u->node_count, t->node_count, (size_t)n * sizeof *u->node_count);
            gbt_tree_free(t);
            w->tree = t = u;
            n_cat = n_words = 0;
        }
        for (int i = 0; i < n; i++) {
            const struct gbt_bin *b = &w->set.store->bins[t->feature[i]];
            int top = -1;

            if (!(t->decision[i] & GBT_CATEGORICAL))
                continue;
            for (int k = 1; k < b->n_bins; k++)
                if (grow_is_bit(w->rules[i].bin_bits, k)) {
                    top = b->cats[k] > top ? b->cats[k] : top;
                    if (pass == 1)
                        grow_set_bit(t->cat_words + n_words, b->cats[k]);
                }
            n_words += top / 32 + 1;
            if (pass == 1) {
                t->threshold[i] = n_cat;
                t->cat_start[++n_cat] = n_words;
            }
        }
    }
    return 0;
}

static void leaf_value(struct gbt_grow *w, int i)
{
    const struct grow_leaf *l = &w->leaves[i];
    double h = l->sum.h * w->scale.h_scale;

    w->tree->leaf_value[i] =
        gbt_split_output(w->set.p, l->sum.g * w->scale.g_scale, h, l->l2, l->low, l->high);
    w->tree->leaf_weight[i] = h;
    w->tree->leaf_count[i] = (int64_t)l->n;
}

/* In row order; words for many rows. */
static void sum_all(const struct gbt_grow *w, struct gbt_cell *sum)
{
    const struct gbt_grow_task *k = w->task;

    *sum = (struct gbt_cell){ 0, 0 };
    for (size_t i = 0; i < k->n_rows; i++) {
        size_t r = k->rows != NULL ? k->rows[i] : i;

        if (w->is_plain) {
            sum->g += (double)k->g[r];
            sum->h += k->h != NULL ? (double)k->h[r] : k->h_const;
        } else {
            sum->g += (int16_t)(uint16_t)w->gh[r];
            sum->h += w->gh[r] >> 16;
        }
    }
}

static void start(struct gbt_grow *w)
{
    const struct gbt_store *s = w->set.store;
    struct grow_leaf *l = &w->leaves[0];

    w->n_free = 0;
    for (int i = 0; i < w->n_slots; i++)
        w->free_slots[w->n_free++] = i;
    memset(w->used, 0, (size_t)s->n_columns);
    for (int f = 0; f < s->n_features; f++)
        if (s->column_of[f] >= 0 && (w->task->features == NULL || w->task->features[f]))
            w->used[s->column_of[f]] = 1;
    memset(w->hopeless, 0, (size_t)s->n_features);
    memset(l, 0, sizeof *l);
    l->n = w->task->n_rows;
    l->low = -INFINITY;
    l->high = INFINITY;
    l->l2 = w->set.p->lambda_l2;
    l->slot = l->node = -1;
    w->n_leaves = 1;
}

static int best_leaf(const struct gbt_grow *w)
{
    int best = -1;

    for (int i = 0; i < w->n_leaves; i++)
        if (w->leaves[i].best.gain > (best < 0 ? 0 : w->leaves[best].best.gain) ||
            (best >= 0 && w->leaves[i].best.gain == w->leaves[best].best.gain &&
             w->leaves[i].best.feature < w->leaves[best].best.feature))
            best = i;
    return best;
}

int gbt_grow_tree(struct gbt_grow *w, const struct gbt_grow_task *task, struct gbt_tree **out,
                  struct err *e)
{
    struct gbt_tree *t;

    *out = NULL;
    w->task = task;
    if (w->is_plain)
        w->scale = (struct gbt_quant){ 1, 1 };
    else
        w->scale = gbt_quant_rows(task->g, task->h, task->h_const, task->rows, task->n_rows,
                                  rng_bits(task->key, 1, 0), w->gh, w->set.par);
    start(w);
    w->tree = gbt_tree_new(w->max_leaves, 0, 0);
    if (w->tree == NULL)
        return err_set(e, ERR_NOMEM, "no memory for a tree of %d leaves", w->max_leaves);
    if (w->is_plain || !gbt_grow_can_split(w, &w->leaves[0]) || w->set.store->n_columns == 0)
        sum_all(w, &w->leaves[0].sum);
    if (gbt_grow_can_split(w, &w->leaves[0]) && w->set.store->n_columns > 0 && gbt_grow_search(w, 0, -1, e) != 0)
        goto fail;
    for (int i; w->n_leaves < w->max_leaves && (i = best_leaf(w)) >= 0;) {
        if (w->set.cancelled != NULL && w->set.cancelled(w->set.ctx)) {
            err_set(e, ERR_CANCELLED, "training was cancelled");
            goto fail;
        }
        if (split_leaf(w, i, e) != 0)
            goto fail;
    }
    if (add_sets(w, e) != 0)
        goto fail;
    t = w->tree;
    for (int i = 0; i < w->n_leaves; i++)
        leaf_value(w, i);
    *out = t;
    return 0;
fail:
    gbt_tree_free(w->tree);
    w->tree = NULL;
    return -1;
}

struct gbt_grow_leaf gbt_grow_leaf_rows(const struct gbt_grow *w, int leaf)
{
    const struct grow_leaf *l = &w->leaves[leaf];
    const uint32_t *rows = l->node < 0 ? w->task->rows : w->rows + l->first;

    return (struct gbt_grow_leaf){ rows, l->n, l->low, l->high };
}

int gbt_grow_find(const struct gbt_grow *w, size_t row)
{
    const struct gbt_store *s = w->set.store;
    const struct gbt_tree *t = w->tree;
    int i = 0;

    if (w->n_leaves == 1)
        return 0;
    while (i >= 0)
        i = grow_is_bit(w->rules[i].code_bits, gbt_store_code(s, w->rules[i].column, row)) ? t->left[i]
                                                                                    : t->right[i];
    return -i - 1;
}

int gbt_grow_find_other(const struct gbt_grow *w, const uint16_t *bins, size_t n_rows, size_t row)
{
    const struct gbt_tree *t = w->tree;
    int i = 0;

    if (w->n_leaves == 1)
        return 0;
    while (i >= 0)
        i = grow_is_bit(w->rules[i].bin_bits, bins[(size_t)w->rules[i].feature * n_rows + row])
                ? t->left[i] : t->right[i];
    return -i - 1;
}
