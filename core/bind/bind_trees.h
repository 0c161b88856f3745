/*
 * bind_trees.h - what the files of core.trees share: bind_trees.c (life, files), bind_trees_rows.c
 * (numbers from scripts), bind_trees_train.c, bind_trees_predict.c.
 */
#ifndef BIND_BIND_TREES_H
#define BIND_BIND_TREES_H

#include <stdatomic.h>

#include "bind/bind_numbers.h"
#include "bind/bind_tensor.h"
#include "bind/bind_work.h"
#include "model/gbt_flat.h"
#include "model/gbt_train.h"

/* A model and who uses it: its box, and operations on the pool. */
struct trees_shared {
    atomic_int users;
    struct gbt_model *model;
    struct gbt_flat *flat;
};

struct trees_box {
    struct trees_shared *s; /* NULL when closed */
};

enum trees_kind { TREES_VALUE, TREES_RAW, TREES_CONTRIB, TREES_LEAF };

/* Rows as an operation keeps them. */
struct trees_input {
    struct gbt_matrix x;
    struct tensor *view;
    void *copy;
};

struct trees_op {
    struct bind_work work;
    struct gbt_param p;
    struct trees_input x, valid_x;
    double *label, *weight, *valid_label, *valid_weight;
    char **names;
    int train_metric;
    struct gbt_report report;
    enum trees_kind kind;
    int n_iter, is_tensor, n_dims;
    size_t shape[3];
    double *out;
    struct trees_shared *s;
    char *path;
};

/* What a script gave as rows: looked at now (may raise), kept later (may not). */
struct trees_given {
    struct tensor *t; /* or */
    struct numbers n;
};

/* Takes the model, also when it fails (NULL). */
struct trees_shared *bind_trees_share(struct gbt_model *m, struct err *e);
struct trees_shared *bind_trees_use(struct trees_shared *s); /* one user more */
struct trees_shared *bind_trees_check(lua_State *L);         /* of the model at index 1; raises */
struct trees_box *bind_trees_push(lua_State *L);             /* an empty one */

/* An operation that keeps the first n values of the stack; may raise. Then nothing may, see
 * bind_work.h. */
struct trees_op *bind_trees_op(lua_State *L, int n, int (*work)(struct bind_work *, struct err *),
                               int (*finish)(lua_State *, struct bind_work *));
int bind_trees_refuse(lua_State *L, struct trees_op *op, const struct err *e);

/* Threads of the operation's pool for `rows` rows; NULL when one is enough. */
int bind_trees_team(const struct trees_op *op, size_t rows, struct par **out, struct err *e);

/* Looks at rows; raises; always pushes one value. */
void bind_trees_given(lua_State *L, int index, struct trees_given *g);
int bind_trees_keep(const struct trees_given *g, struct trees_input *in, struct err *e);
void bind_trees_input_free(struct trees_input *in);

/* The rows where they are, for use before the script goes on. */
struct gbt_matrix bind_trees_look(const struct trees_given *g);

/* A column of as many numbers as there are rows; *out stays NULL for nothing given. */
int bind_trees_column(const struct numbers *n, int given, const char *what, size_t rows,
                      double **out, struct err *e);

/* Methods and functions of the other files. */
int bind_trees_train(lua_State *L);
int bind_trees_predict(lua_State *L);

#endif
