/*
 * bind_trees_rows.c - rows and columns from scripts, see bind_trees.h. Rows in a tensor are looked at
 * through a view of its block, which lives as long as the operation; a table is copied.
 */
#include <string.h>

#include "base/mem.h"
#include "bind/bind.h"
#include "bind/bind_trees.h"

void bind_trees_input_free(struct trees_input *in)
{
    tensor_free(in->view);
    mem_free(in->copy);
}

void bind_trees_given(lua_State *L, int index, struct trees_given *g)
{
    memset(g, 0, sizeof *g);
    g->t = bind_tensor_test(L, index);
    if (g->t == NULL) {
        bind_numbers_get(L, index, &g->n);
        luaL_argcheck(L, g->n.n_dims == 2, index, "(rows, features) expected: a matrix");
        return;
    }
    luaL_argcheck(L, g->t->n_dims == 2, index, "(rows, features) expected: a matrix");
    lua_pushnil(L);
}

int bind_trees_keep(const struct trees_given *g, struct trees_input *in, struct err *e)
{
    size_t rows = g->t != NULL ? (size_t)g->t->shape[0] : g->n.shape[0];
    size_t cols = g->t != NULL ? (size_t)g->t->shape[1] : g->n.shape[1];
    double *copy;

    if (cols > GBT_FEATURES_MAX)
        return err_set(e, ERR_LIMIT, "%zu features, at most %d expected", cols, GBT_FEATURES_MAX);
    in->x.n_rows = rows;
    in->x.n_cols = (int)cols;
    if (g->t != NULL) {
        if (tensor_slice(&in->view, g->t, 0, 0, g->t->shape[0], e) != 0)
            return -1;
        in->x.data = in->view->data;
        in->x.is_f32 = 1;
        in->x.row_step = in->view->step[0];
        in->x.col_step = in->view->step[1];
        return 0;
    }
    in->copy = copy = mem_alloc(rows * cols * sizeof *copy);
    if (copy == NULL)
        return err_set(e, ERR_NOMEM, "no memory for %zu rows", rows);
    for (size_t i = 0; i < rows * cols; i++)
        copy[i] = metric_at(&g->n.v, i);
    in->x.data = copy;
    in->x.row_step = (ptrdiff_t)cols;
    in->x.col_step = 1;
    return 0;
}

int bind_trees_column(const struct numbers *n, int given, const char *what, size_t rows,
                       double **out, struct err *e)
{
    if (!given)
        return 0;
    if (n->v.n != rows)
        return err_set(e, ERR_SHAPE, "%zu %s for %zu rows", n->v.n, what, rows);
    *out = mem_alloc(rows * sizeof **out);
    if (*out == NULL)
        return err_set(e, ERR_NOMEM, "no memory for %zu %s", rows, what);
    for (size_t i = 0; i < rows; i++)
        (*out)[i] = metric_at(&n->v, i);
    return 0;
}

struct gbt_matrix bind_trees_look(const struct trees_given *g)
{
    struct gbt_matrix x = { .row_step = 1, .col_step = 1 };

    if (g->t != NULL) {
        x.data = g->t->data;
        x.is_f32 = 1;
        x.n_rows = (size_t)g->t->shape[0];
        x.n_cols = (int)g->t->shape[1];
        x.row_step = g->t->step[0];
        x.col_step = g->t->step[1];
    } else {
        x.is_f32 = g->n.v.d == NULL;
        x.data = x.is_f32 ? (const void *)g->n.v.f : (const void *)g->n.v.d;
        x.n_rows = g->n.shape[0];
        x.n_cols = (int)g->n.shape[1];
        x.row_step = x.n_cols;
    }
    return x;
}
