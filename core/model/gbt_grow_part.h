/*
 * gbt_grow_part.h - what gbt_grow.c (memory, the order of splits, the tree), gbt_grow_search.c (sums
 * and the best split of a leaf) and gbt_grow_rows.c (which rows go where) share.
 */
#ifndef MODEL_GBT_GROW_PART_H
#define MODEL_GBT_GROW_PART_H

#include "model/gbt_grow.h"
#include "model/gbt_quant.h"

#define PART_CHUNK 8192
#define PART_STEP (PART_CHUNK + 64) /* kernels write up to 16 places past what counts */

struct grow_leaf {
    size_t first, n;
    struct gbt_cell sum;
    double low, high, l2;
    int depth, slot, node, is_right; /* slot: histogram, -1 when none; node: parent, -1 for the root */
    struct gbt_split best;
};

/* How a node parts codes and bins, for rows met later. */
struct grow_rule {
    int column, feature;
    uint32_t *code_bits, *bin_bits; /* slices of `bits` */
};

struct gbt_grow {
    struct gbt_grow_setup set;
    struct gbt_hist *hist;
    int n_lanes, max_leaves, n_leaves, n_slots, max_bins;
    struct grow_leaf *leaves;
    struct grow_rule *rules;
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
    struct grow_rule *part_rule;
    /* the search under way: leaves a and b (-1: none), histogram of `a` fresh */
    int a, b;
    size_t *order;
};

static inline void grow_set_bit(uint32_t *bits, int i)
{
    bits[i / 32] |= (uint32_t)1 << (i % 32);
}

static inline int grow_is_bit(const uint32_t *bits, int i)
{
    return bits[i / 32] >> (i % 32) & 1;
}

/* ---- gbt_grow_search.c ---- */

/* Best splits of leaf a, summed from its rows, and of b (or -1), which holds the parent's cells. nomem. */
int gbt_grow_search(struct gbt_grow *w, int a, int b, struct err *e);

/* A leaf that will not be split gives its histogram back. */
void gbt_grow_drop(struct gbt_grow *w, struct grow_leaf *l);

/* Are depth and rows enough for two children? */
int gbt_grow_can_split(const struct gbt_grow *w, const struct grow_leaf *l);

/* ---- gbt_grow_rows.c ---- */

/* Bits of the bins and codes that go left at a node. nomem. */
int gbt_grow_rule(struct gbt_grow *w, int node, const struct gbt_split *s, struct err *e);

/* Parts the rows of a leaf; returns how many went left. */
size_t gbt_grow_part(struct gbt_grow *w, const struct grow_leaf *l, struct grow_rule *rule);

#endif
