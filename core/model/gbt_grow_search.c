/*
 * gbt_grow_search.c - the best split of a leaf, see gbt_grow_part.h: sums the histogram of the smaller
 * of two siblings, subtracts it from the parent's to get the other's, and asks every column.
 */
#include "model/gbt_grow_part.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "tensor/rng.h"

static int take_slot(struct gbt_grow *w, struct err *e)
{
    if (w->n_free > 0)
        return w->free_slots[--w->n_free];
    w->slots[w->n_slots] =
        mem_aligned((size_t)w->set.store->n_cells * sizeof(struct gbt_cell) + 64);
    if (w->slots[w->n_slots] == NULL)
        return err_set(e, ERR_NOMEM, "no memory for the histogram of a leaf");
    return w->n_slots++;
}

void gbt_grow_drop(struct gbt_grow *w, struct grow_leaf *l)
{
    if (l->slot >= 0)
        w->free_slots[w->n_free++] = l->slot;
    l->slot = -1;
}

/* The most frequent bin as what the others leave over: LightGBM does not sum it, and with many equal
 * gains the last bit decides. */
static void fix_cells(const struct gbt_bin *b, const struct gbt_cell *sum, struct gbt_cell *cells)
{
    struct gbt_cell rest = *sum;

    for (int i = 0; i < b->n_bins; i++)
        if (i != b->common_bin) {
            rest.g -= cells[i].g;
            rest.h -= cells[i].h;
        }
    cells[b->common_bin] = rest;
}

/* The cells of a feature by bin: the column's own, or summed over its codes. */
static struct gbt_cell *feature_cells(const struct gbt_store *s, int f, struct gbt_cell *cells,
                                      struct gbt_cell *marginal)
{
    const uint16_t *decode = s->decode[f];

    if (decode == NULL)
        return cells;
    memset(marginal, 0, (size_t)s->bins[f].n_bins * sizeof *marginal);
    for (int k = 0; k < s->columns[s->column_of[f]].n_codes; k++) {
        marginal[decode[k]].g += cells[k].g;
        marginal[decode[k]].h += cells[k].h;
    }
    return marginal;
}

static void search_leaf(struct gbt_grow *w, int which, int leaf, int c, int lane)
{
    const struct gbt_store *s = w->set.store;
    const struct grow_leaf *l = &w->leaves[leaf];
    struct gbt_cell *cells = w->slots[l->slot] + s->columns[c].first_cell, *by_bin;
    char *hopeless = w->hopeless + (size_t)leaf * (size_t)s->n_features;
    struct gbt_scan scan = { .p = w->set.p, .g_scale = w->scale.g_scale,
                             .h_scale = w->scale.h_scale, .sum = l->sum, .n_rows = (double)l->n,
                             .low = l->low, .high = l->high, .l2 = l->l2 };

    for (int k = 0; k < s->columns[c].n_members; k++) {
        int f = s->columns[c].members[k];
        struct gbt_split *out = &w->found[which * s->n_features + f];

        out->gain = 0;
        if ((w->task->features != NULL && !w->task->features[f]) ||
            !w->node_features[which * s->n_features + f] || hopeless[f])
            continue;
        by_bin = feature_cells(s, f, cells, w->marginal[lane]);
        if (w->is_plain && which == 0)
            fix_cells(&s->bins[f], &l->sum, by_bin);
        gbt_split_find(&scan, &s->bins[f], f, by_bin, w->work[lane], out);
        hopeless[f] = !(out->gain > 0);
    }
}

/* Column c of leaves a (fresh) and b (its parent's histogram, from which a's is subtracted). */
static void search_column(void *ctx, int c, int lane)
{
    struct gbt_grow *w = ctx;
    const struct gbt_column *col = &w->set.store->columns[c];
    struct gbt_cell *a, *b;

    if (!w->used[c])
        return;
    a = w->slots[w->leaves[w->a].slot] + col->first_cell;
    gbt_hist_take(w->hist, c, a);
    search_leaf(w, 0, w->a, c, lane);
    if (w->b >= 0) {
        b = w->slots[w->leaves[w->b].slot] + col->first_cell;
        for (int i = 0; i < col->n_codes; i++) {
            b[i].g -= a[i].g;
            b[i].h -= a[i].h;
        }
    }
    if (w->b >= 0)
        search_leaf(w, 1, w->b, c, lane);
}

static void pick_node_features(struct gbt_grow *w, int which, uint64_t node)
{
    int n = w->set.store->n_features;
    char *out = w->node_features + which * n;
    int want = (int)ceil(w->set.p->feature_fraction_bynode * n);

    memset(out, want >= n, (size_t)n);
    for (int i = 0; i < want && want < n; i++)
        out[rng_shuffled(w->task->key, 2 * node + (uint64_t)which + 100, (uint64_t)i, (uint64_t)n)] = 1;
}

int gbt_grow_can_split(const struct gbt_grow *w, const struct grow_leaf *l)
{
    const struct gbt_param *p = w->set.p;
    double rows = p->min_data_in_leaf > 1 ? p->min_data_in_leaf : 1;

    return (p->max_depth <= 0 || l->depth < p->max_depth) && (double)l->n >= 2 * rows;
}

static void keep_best(struct gbt_grow *w, int which, struct grow_leaf *l)
{
    int n = w->set.store->n_features;
    const struct gbt_split *best = NULL;

    for (int f = 0; f < n; f++) {
        const struct gbt_split *s = &w->found[which * n + f];

        if (w->set.store->column_of[f] >= 0 && w->used[w->set.store->column_of[f]] &&
            s->gain > 0 && (best == NULL || s->gain > best->gain))
            best = s;
    }
    l->best.gain = 0;
    if (best != NULL && gbt_grow_can_split(w, l))
        l->best = *best;
    if (!(l->best.gain > 0))
        gbt_grow_drop(w, l);
}

/* The sums of the root: those of any column. */
static void sum_root(struct gbt_grow *w, struct grow_leaf *l)
{
    const struct gbt_store *s = w->set.store;
    struct gbt_cell *cells = w->slots[l->slot];
    int c = 0;

    while (c < s->n_columns && !w->used[c])
        c++;
    if (c == s->n_columns)
        return;
    gbt_hist_take(w->hist, c, cells + s->columns[c].first_cell);
    l->sum = (struct gbt_cell){ 0, 0 };
    for (int i = 0; i < s->columns[c].n_codes; i++) {
        l->sum.g += cells[s->columns[c].first_cell + i].g;
        l->sum.h += cells[s->columns[c].first_cell + i].h;
    }
}

/* Best splits of leaf a, summed from its rows, and of b (or -1), which holds the parent's cells. */
int gbt_grow_search(struct gbt_grow *w, int a, int b, struct err *e)
{
    struct grow_leaf *la = &w->leaves[a];
    const uint32_t *idx;

    if (la->slot < 0 && (la->slot = take_slot(w, e)) < 0)
        return -1;
    w->a = a;
    w->b = b;
    pick_node_features(w, 0, (uint64_t)w->n_leaves);
    pick_node_features(w, 1, (uint64_t)w->n_leaves);
    idx = la->node < 0 ? w->task->rows : w->rows + la->first;
    if (w->is_plain)
        gbt_hist_sum_plain(w->hist, w->task->g, w->task->h, w->task->h_const, idx, la->n, w->used,
                           w->set.par);
    else
        gbt_hist_sum(w->hist, la->node < 0 ? w->gh : w->gh_rows + la->first, la->node >= 0, idx,
                     la->n, w->used, w->set.par);
    if (b < 0 && !w->is_plain)
        sum_root(w, la);
    par_run(w->set.par, w->set.store->n_columns, search_column, w);
    keep_best(w, 0, la);
    if (b >= 0)
        keep_best(w, 1, &w->leaves[b]);
    return 0;
}
