/*
 * gbt_flat_part.h - the layout that gbt_flat.c makes and gbt_flat_kern.c runs.
 */
#ifndef MODEL_GBT_FLAT_PART_H
#define MODEL_GBT_FLAT_PART_H

#include "model/gbt_model.h"

#define FLAT_ROWS 64   /* rows of a block */
#define FLAT_LEAVES 256 /* larger trees are walked */
#define FLAT_VIEWS 64  /* views that fit one register, for single rows */
#define FLAT_SMALL 32  /* leaves of a tree for single rows */

/* A feature as some nodes see it: where its missing values go. Codes are ranks. */
struct flat_view {
    int feature, is_cat;
    int n;                 /* thresholds; codes 0 .. n */
    enum gbt_missing missing;
    int default_left;
    const double *ranks;   /* [1 << n_steps] thresholds in order, padded with infinity */
    int n_steps;
};

/* A node: `view` <= rank goes left. Places of masks: nodes in order, then leaves. */
struct flat_node {
    uint16_t view, rank;   /* categorical: the number of the set, in the tree */
    uint16_t left, right;
};

enum { FLAT_BLOCK, FLAT_WALK };

struct flat_tree {
    int kind, has_cats;
    int n_nodes, n_leaves;
    const struct flat_node *nodes; /* parents before children */
    const double *values;          /* [n_leaves rounded up to 32] */
    const struct gbt_tree *tree;
};

/* A tree of at most 32 leaves for one row: leaf j when ((left ^ want) & care)[j] == 0. */
struct flat_row_tree {
    uint8_t view[32], rank[32];
    uint32_t want[32], care[32];
    double values[32];
};

struct gbt_flat {
    const struct gbt_model *m;
    int n_trees, n_views;
    int all_small;               /* single rows: every tree has its row_trees entry */
    struct flat_view *views;
    struct flat_tree *trees;
    struct flat_node *nodes;
    double *values, *ranks;
    struct flat_row_tree *row_trees; /* 64-byte aligned; NULL unless all_small */
};

/* Codes of a block, as the kernels read them. */
struct flat_block {
    uint16_t *codes;   /* (n_views, FLAT_ROWS) */
    uint8_t *bytes;    /* the same where a view has at most 255 thresholds */
    int32_t *cats;     /* (n_views, FLAT_ROWS) categories, -1 for none */
};

/* Adds the values of one tree (kind FLAT_BLOCK) to score[FLAT_ROWS]. `masks` is scratch of
 * (2 * FLAT_LEAVES, FLAT_ROWS) bytes. */
void flat_add_tree(const struct gbt_flat *f, const struct flat_tree *t, const struct flat_block *b,
                   uint8_t *masks, double *score);

/* Codes of FLAT_ROWS values of a view. */
void flat_codes(const struct flat_view *v, const double *x, uint16_t *codes);

/* Raw scores of one row from its byte codes (FLAT_VIEWS of them). Needs gbt_cpu_avx512_vbmi. */
void flat_row_avx512(const struct gbt_flat *f, const uint8_t *codes, double *out);

#endif
