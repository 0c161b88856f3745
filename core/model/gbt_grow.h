/*
 * gbt_grow.h - grows one tree, best leaf first, and says which leaf each row fell into.
 */
#ifndef MODEL_GBT_GROW_H
#define MODEL_GBT_GROW_H

#include "model/gbt_model.h"
#include "model/gbt_split.h"

struct gbt_grow;

/* What a training run lends to every tree. */
struct gbt_grow_setup {
    const struct gbt_store *store;
    const struct gbt_param *p;
    struct par *par;
    int (*cancelled)(void *ctx); /* NULL: never; asked before every split */
    void *ctx;
};

/* One tree's task. */
struct gbt_grow_task {
    const float *g, *h;     /* per row; h NULL: all are h_const */
    double h_const;
    const uint32_t *rows;   /* in the bag, ascending; NULL: all */
    size_t n_rows;
    const char *features;   /* [n_features] may be used; NULL: all */
    uint64_t key;           /* of what is random in this tree */
};

/* A leaf of the tree grown last: rows[0..n_rows), in ascending order, borrowed. */
struct gbt_grow_leaf {
    const uint32_t *rows;
    size_t n_rows;
    double low, high; /* allowed values */
};

int gbt_grow_new(struct gbt_grow **out, const struct gbt_grow_setup *setup, struct err *e);
void gbt_grow_free(struct gbt_grow *w); /* NULL is fine */

/* Leaf values are without learning rate. The tree is owned by the caller. nomem, cancelled. */
int gbt_grow_tree(struct gbt_grow *w, const struct gbt_grow_task *task, struct gbt_tree **out,
                  struct err *e);
struct gbt_grow_leaf gbt_grow_leaf_rows(const struct gbt_grow *w, int leaf);

/* The leaf of a stored row by the tree grown last, for rows out of the bag. */
int gbt_grow_find(const struct gbt_grow *w, size_t row);

/* The same for rows of gbt_store_other. */
int gbt_grow_find_other(const struct gbt_grow *w, const uint16_t *bins, size_t n_rows, size_t row);

#endif
