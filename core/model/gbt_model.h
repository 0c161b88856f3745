/*
 * gbt_model.h - gradient-boosted trees as data: what gbt_text reads and writes, gbt_train makes,
 * gbt_predict, gbt_flat and gbt_shap use. No algorithm here but the check that a tree is a tree.
 *
 * A model never changes after it is made, so any number of threads may read it.
 */
#ifndef MODEL_GBT_MODEL_H
#define MODEL_GBT_MODEL_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* |x| up to this counts as zero: 1e-35 rounded to float, as in the model files. */
#define GBT_ZERO 1.0000000180025095e-35

#define GBT_FEATURES_MAX 1000000
#define GBT_CLASSES_MAX 10000
#define GBT_LEAVES_MAX 1000000

/* bits of a node's decision */
#define GBT_CATEGORICAL 1
#define GBT_DEFAULT_LEFT 2
#define GBT_MISSING_SHIFT 2
enum gbt_missing { GBT_MISSING_NONE, GBT_MISSING_ZERO, GBT_MISSING_NAN };

/* One tree. Children >= 0 are nodes, < 0 are leaf -child - 1. Node 0 is the root; a tree of one
 * leaf has no node. All arrays live in one block with the struct. */
struct gbt_tree {
    int n_leaves, n_cat, n_words;
    int *feature, *left, *right;       /* [n_leaves - 1] */
    double *threshold;                 /* left when x <= threshold; categorical: index k below */
    uint8_t *decision;                 /* GBT_CATEGORICAL | GBT_DEFAULT_LEFT | missing << 2 */
    float *gain;
    double *node_value, *node_weight;
    int64_t *node_count;
    double *leaf_value, *leaf_weight;  /* [n_leaves]; the weight is the sum of hessians */
    int64_t *leaf_count;
    int *cat_start;                    /* [n_cat + 1] words of set k: cat_start[k] .. [k + 1] */
    uint32_t *cat_words;               /* [n_words] a set bit goes left */
    double shrinkage;                  /* information only: it is in the leaf values already */
};

enum gbt_link { GBT_LINK_IDENTITY, GBT_LINK_SIGMOID, GBT_LINK_EXP, GBT_LINK_SOFTMAX,
                GBT_LINK_SIGN_SQUARE, GBT_LINK_LOG1P_EXP };

struct gbt_model {
    int n_class, n_per_iter, label_index, n_features;
    int average_output;     /* raw score is the mean of the trees, not the sum */
    char *objective;        /* as in the file: "binary sigmoid:1"; "" when there is none */
    enum gbt_link link;     /* follows from the objective */
    double sigmoid;
    char **feature_names;   /* [n_features] */
    char **feature_infos;   /* [n_features] "[min:max]", "none" or "-1:3:5" */
    int *monotone;          /* [n_features] or NULL */
    struct gbt_tree **trees; /* [n_trees]; tree i adds to class i mod n_per_iter */
    int n_trees, cap_trees;
    char *parameters;       /* lines "[name: value]" of the training run, or NULL */
    char *pandas;           /* the line "pandas_categorical:…" or NULL */
    int importance_kind;    /* 0 by splits, 1 by gain: what the file's own list shows */
};

struct gbt_model *gbt_model_new(void); /* NULL: nomem */
void gbt_model_free(struct gbt_model *m); /* NULL is fine */

/* A tree with every number zero. NULL: nomem. */
struct gbt_tree *gbt_tree_new(int n_leaves, int n_cat, int n_words);
void gbt_tree_free(struct gbt_tree *t);

/* Appends; takes `t` also when it fails. */
int gbt_model_add(struct gbt_model *m, struct gbt_tree *t, struct err *e);

/* Takes the objective's text and derives link and sigmoid from it. `unsupported` for a link unknown. */
int gbt_model_objective(struct gbt_model *m, const char *text, struct err *e);

/* Is it a tree: every node and leaf reached exactly once from the root, features and sets in range,
 * finite leaf values? `parse` error naming what is wrong. */
int gbt_tree_check(const struct gbt_tree *t, int n_features, struct err *e);

/* Longest way from the root to a leaf, in nodes; 0 for a single leaf. The tree has been checked.
 * -1 with nomem. */
int gbt_tree_depth(const struct gbt_tree *t, struct err *e);

/* Per feature: how many nodes split on it, or the sum of their gains. out[n_features]. The first
 * n_iter iterations, 0 = all. */
void gbt_model_importance(const struct gbt_model *m, int by_gain, int n_iter, double *out);

#endif
