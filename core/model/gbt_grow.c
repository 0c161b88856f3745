/*
 * gbt_grow.c - see gbt_grow.h.
 *
 * Rows of a leaf stand together in `rows`, in ascending order. Per split: part the rows (chunks side
 * by side into two scratch halves, then moved together), sum the histogram of the smaller child, and
 * per column: take it, subtract it from the parent to get the sibling's, look for the best split of
 * both. All of it in whole numbers, so threads only change the time.
 */
#include "model/gbt_grow.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "model/gbt_quant.h"
#include "tensor/rng.h"

#define PART_CHUNK 8192
#define PART_STEP (PART_CHUNK + 64) /* kernels write up to 16 places past what counts */
#define PLAIN_ROWS 131072  /* up to here sums are plain, see gbt_hist.h */
#define MAX_FINITE 1e300  /* a bound that every number is below */

struct leaf {
    size_t first, n;
    struct gbt_cell sum;
    double low, high, l2;
    int depth, slot, node, is_right; /* slot: histogram, -1 when none; node: parent, -1 for the root */
    struct gbt_split best;
};

/* How a node parts codes and bins, for rows met later. */
struct node_rule {
    int column, feature;
    uint32_t *code_bits, *bin_bits; /* slices of `bits` */
};

struct gbt_grow {
    struct gbt_grow_setup set;
    struct gbt_hist *hist;
    int n_lanes, max_leaves, n_leaves, n_slots, max_bins;
    struct leaf *leaves;
    struct node_rule *rules;
    struct gbt_cell **slots;  /* histograms, made when first needed */
    int *free_slots, n_free;
    int is_plain;
    uint32_t *gh;             /* words by row */
    uint32_t *rows, *gh_rows; /* rows leaf by leaf, and their words (unless is_plain) */
    struct gbt_part halves;   /* scratch of the parting */
    uint32_t **bit_blocks;    /* per node */
    double **work;            /* per lane */
    struct gbt_cell **marginal; /* per lane: cells by bin of a bundled feature */
    struct gbt_split *found;  /* (2, n_features) */
    char *used;               /* per column, this tree */
    char *node_features;      /* (2, n_features) for feature_fraction_bynode */
    char *hopeless;           /* (max_leaves, n_features) no split was found in the parent */
    struct gbt_quant scale;
    const struct gbt_grow_task *task;
    struct gbt_tree *tree;
    /* the parting under way */
    const uint32_t *part_rows, *part_gh;
    size_t part_first, part_n;
    size_t *n_left, *left_at;
    struct node_rule *part_rule;
    /* the search under way: leaves a and b (-1: none), histogram of `a` fresh */
    int a, b;
    size_t *order;
};

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

static void drop_slot(struct gbt_grow *w, struct leaf *l)
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
    const struct leaf *l = &w->leaves[leaf];
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

static int can_split(const struct gbt_grow *w, const struct leaf *l)
{
    const struct gbt_param *p = w->set.p;
    double rows = p->min_data_in_leaf > 1 ? p->min_data_in_leaf : 1;

    return (p->max_depth <= 0 || l->depth < p->max_depth) && (double)l->n >= 2 * rows;
}

static void keep_best(struct gbt_grow *w, int which, struct leaf *l)
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
    if (best != NULL && can_split(w, l))
        l->best = *best;
    if (!(l->best.gain > 0))
        drop_slot(w, l);
}

/* The sums of the root: those of any column. */
static void sum_root(struct gbt_grow *w, struct leaf *l)
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
static int search(struct gbt_grow *w, int a, int b, struct err *e)
{
    struct leaf *la = &w->leaves[a];
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

static void part_chunk(void *ctx, int chunk, int lane)
{
    struct gbt_grow *w = ctx;
    const struct gbt_store *s = w->set.store;
    size_t from = (size_t)chunk * PART_CHUNK, n = w->part_n - from;
    const uint32_t *idx = w->part_rows != NULL ? w->part_rows + from : NULL;
    size_t at = (size_t)chunk * PART_STEP;
    struct gbt_part out = { w->halves.left + at, w->halves.right + at, NULL, NULL };
    const uint32_t *gh = NULL;
    int c = w->part_rule->column;

    (void)lane;
    n = n < PART_CHUNK ? n : PART_CHUNK;
    if (!w->is_plain) {
        out.left_gh = w->halves.left_gh + at;
        out.right_gh = w->halves.right_gh + at;
        gh = w->part_gh + from;
    }
    if (c < s->n_narrow)
        w->n_left[chunk] = gbt_hist_part(s->narrow + (size_t)c * s->n_rows, w->part_rule->code_bits,
                                         idx, gh, from, n, &out);
    else
        w->n_left[chunk] = gbt_hist_part_wide(s->wide + (size_t)(c - s->n_narrow) * s->n_rows,
                                              w->part_rule->code_bits, idx, gh, from, n, &out);
}

/* Both halves of a chunk to their places: lefts of all chunks, then rights of all. */
static void move_chunk(void *ctx, int chunk, int lane)
{
    struct gbt_grow *w = ctx;
    size_t from = (size_t)chunk * PART_CHUNK, n = w->part_n - from, l = w->n_left[chunk];
    size_t n_chunks = (w->part_n + PART_CHUNK - 1) / PART_CHUNK;
    size_t all_left = w->left_at[n_chunks], at = (size_t)chunk * PART_STEP, to_left, to_right;

    (void)lane;
    n = n < PART_CHUNK ? n : PART_CHUNK;
    to_left = w->part_first + w->left_at[chunk];
    to_right = w->part_first + all_left + from - w->left_at[chunk];
    memcpy(w->rows + to_left, w->halves.left + at, l * sizeof *w->rows);
    memcpy(w->rows + to_right, w->halves.right + at, (n - l) * sizeof *w->rows);
    if (w->is_plain)
        return;
    memcpy(w->gh_rows + to_left, w->halves.left_gh + at, l * sizeof *w->rows);
    memcpy(w->gh_rows + to_right, w->halves.right_gh + at, (n - l) * sizeof *w->rows);
}

/* Parts the rows of a leaf; returns how many went left. */
static size_t part(struct gbt_grow *w, const struct leaf *l, struct node_rule *rule)
{
    int n_chunks = (int)((l->n + PART_CHUNK - 1) / PART_CHUNK);

    w->part_rows = w->rows + l->first;
    w->part_gh = w->is_plain ? NULL : w->gh_rows + l->first;
    if (l->node < 0) { /* the root: rows in the bag, or all of them */
        w->part_rows = w->task->rows;
        if (w->task->rows == NULL) {
            w->part_gh = w->gh;
        } else if (!w->is_plain) { /* words by row: into the order of the bag */
            for (size_t i = 0; i < l->n; i++)
                w->gh_rows[i] = w->gh[w->task->rows[i]];
        }
    }
    w->part_first = l->first;
    w->part_n = l->n;
    w->part_rule = rule;
    par_run(w->set.par, n_chunks, part_chunk, w);
    w->left_at[0] = 0;
    for (int i = 0; i < n_chunks; i++)
        w->left_at[i + 1] = w->left_at[i] + w->n_left[i];
    par_run(w->set.par, n_chunks, move_chunk, w);
    return w->left_at[n_chunks];
}

static void set_bit(uint32_t *bits, int i)
{
    bits[i / 32] |= (uint32_t)1 << (i % 32);
}

static int is_bit(const uint32_t *bits, int i)
{
    return bits[i / 32] >> (i % 32) & 1;
}

/* Bits of the bins and codes that go left. */
static int make_rule(struct gbt_grow *w, int node, const struct gbt_split *s, struct err *e)
{
    const struct gbt_store *st = w->set.store;
    const struct gbt_bin *b = &st->bins[s->feature];
    struct node_rule *r = &w->rules[node];
    int c = st->column_of[s->feature];
    size_t bin_words = (size_t)b->n_bins / 32 + 1;
    size_t code_words = (size_t)(c < st->n_narrow ? GBT_CODES : st->columns[c].n_codes) / 32 + 1;

    mem_free(w->bit_blocks[node]);
    w->bit_blocks[node] = mem_zero(bin_words + code_words, sizeof(uint32_t));
    if (w->bit_blocks[node] == NULL)
        return err_set(e, ERR_NOMEM, "no memory for a node");
    r->column = c;
    r->feature = s->feature;
    r->bin_bits = w->bit_blocks[node];
    r->code_bits = r->bin_bits + bin_words;
    if (s->is_cat) {
        for (int i = 0; i < s->n_cats; i++)
            set_bit(r->bin_bits, s->cats[i]);
    } else {
        for (int i = 0; i <= s->bin && i < b->n_values; i++)
            set_bit(r->bin_bits, i);
        if (b->missing != GBT_MISSING_NONE) {
            int miss = b->missing == GBT_MISSING_NAN ? b->n_bins - 1 : b->zero_bin;

            r->bin_bits[miss / 32] &= ~((uint32_t)1 << (miss % 32));
            if (s->default_left)
                set_bit(r->bin_bits, miss);
        }
    }
    for (int k = 0; k < st->columns[c].n_codes; k++)
        if (is_bit(r->bin_bits, gbt_store_bin(st, s->feature, k)))
            set_bit(r->code_bits, k);
    return 0;
}

static double output(const struct gbt_grow *w, const struct gbt_cell *c, double l2, double low,
                     double high)
{
    return gbt_split_output(w->set.p, c->g * w->scale.g_scale, c->h * w->scale.h_scale, l2, low,
                            high);
}

/* Node `node` replaces leaf i, which becomes its left child; the right one is a new leaf. */
static void link_node(struct gbt_grow *w, int node, int i, const struct leaf *l)
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
static void bound_children(struct gbt_grow *w, const struct leaf *parent, struct leaf *l,
                           struct leaf *r)
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
    struct leaf parent = w->leaves[i], *l = &w->leaves[i], *r = &w->leaves[w->n_leaves];
    int node = w->n_leaves - 1, small, large;
    size_t n_left;

    if (make_rule(w, node, &parent.best, e) != 0)
        return -1;
    link_node(w, node, i, &parent);
    n_left = part(w, &parent, &w->rules[node]);
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
    if (w->n_leaves == w->max_leaves || (!can_split(w, l) && !can_split(w, r))) {
        drop_slot(w, &w->leaves[large]);
        return 0;
    }
    return search(w, small, large, e);
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
                if (is_bit(w->rules[i].bin_bits, k)) {
                    top = b->cats[k] > top ? b->cats[k] : top;
                    if (pass == 1)
                        set_bit(t->cat_words + n_words, b->cats[k]);
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
    const struct leaf *l = &w->leaves[i];
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
    struct leaf *l = &w->leaves[0];

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
    if (w->is_plain || !can_split(w, &w->leaves[0]) || w->set.store->n_columns == 0)
        sum_all(w, &w->leaves[0].sum);
    if (can_split(w, &w->leaves[0]) && w->set.store->n_columns > 0 && search(w, 0, -1, e) != 0)
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
    const struct leaf *l = &w->leaves[leaf];
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
        i = is_bit(w->rules[i].code_bits, gbt_store_code(s, w->rules[i].column, row)) ? t->left[i]
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
        i = is_bit(w->rules[i].bin_bits, bins[(size_t)w->rules[i].feature * n_rows + row])
                ? t->left[i] : t->right[i];
    return -i - 1;
}
