/*
 * bind_trees_predict.c - model:predict of core.trees, see bind_trees.c. Little work is done at once, the
 * rest on the pool.
 */
#include <string.h>

#include "base/mem.h"
#include "bind/bind.h"
#include "bind/bind_trees.h"
#include "model/gbt_predict.h"
#include "model/gbt_shap.h"

#define ROW_MAX 1024  /* features of a row predicted without a wait */
#define AT_ONCE 65536 /* rows times trees predicted without a wait */
#define OUTPUT_MAX ((size_t)1 << 28)

static const char *const kinds[] = { "value", "raw", "contrib", "leaf", NULL };

/* Sizes of the answer for `rows` rows. */
static int answer_shape(const struct gbt_model *m, enum trees_kind kind, int n_iter, size_t rows,
                        size_t shape[3])
{
    size_t k = (size_t)m->n_per_iter, width = (size_t)m->n_features + 1;
    int n = 1;

    shape[0] = rows;
    if (kind == TREES_LEAF)
        shape[n++] = (size_t)gbt_predict_trees(m, n_iter);
    else if (k > 1)
        shape[n++] = k;
    if (kind == TREES_CONTRIB)
        shape[n++] = width;
    return n;
}

static size_t count(int n_dims, const size_t *shape)
{
    size_t n = 1;

    for (int i = 0; i < n_dims; i++)
        n *= shape[i];
    return n;
}

struct explain {
    struct trees_op *op;
    struct gbt_shap **shap; /* per lane */
    double *rows;           /* per lane */
    int *leaves;            /* per lane */
    size_t line;
};

static void explain_row(void *ctx, int r, int lane)
{
    struct explain *x = ctx;
    struct trees_op *op = x->op;
    const struct gbt_model *m = op->s->model;
    double *row = x->rows + (size_t)lane * (size_t)m->n_features;
    double *out = op->out + (size_t)r * x->line;
    int *leaves = x->leaves + (size_t)lane * (size_t)m->n_trees;

    if (pool_cancelled(&op->work.job))
        return;
    gbt_predict_row(&op->x.x, (size_t)r, row);
    if (op->kind == TREES_CONTRIB) {
        gbt_shap_row(x->shap[lane], row, op->n_iter, out);
        return;
    }
    gbt_predict_leaves(m, row, op->n_iter, leaves);
    for (size_t i = 0; i < x->line; i++)
        out[i] = leaves[i];
}

/* Contributions and leaves, row by row. */
static int explain(struct trees_op *op, struct par *par, struct err *e)
{
    const struct gbt_model *m = op->s->model;
    int n_lanes = par_threads(par), rc = -1;
    struct explain x = { .op = op };

    if (gbt_predict_check(m, &op->x.x, e) != 0)
        return -1;
    x.line = op->shape[0] > 0 ? count(op->n_dims, op->shape) / op->shape[0] : 0;
    x.shap = mem_zero((size_t)n_lanes, sizeof *x.shap);
    x.rows = mem_alloc((size_t)n_lanes * (size_t)m->n_features * sizeof *x.rows);
    x.leaves = mem_alloc((size_t)n_lanes * (size_t)m->n_trees * sizeof *x.leaves + 1);
    if (x.shap == NULL || x.rows == NULL || x.leaves == NULL) {
        err_set(e, ERR_NOMEM, "no memory to explain %zu rows", op->shape[0]);
        goto done;
    }
    for (int i = 0; i < n_lanes && op->kind == TREES_CONTRIB; i++)
        if (gbt_shap_new(&x.shap[i], m, e) != 0)
            goto done;
    par_run(par, (int)op->shape[0], explain_row, &x);
    rc = pool_cancelled(&op->work.job) ? err_set(e, ERR_CANCELLED, "prediction was cancelled") : 0;
done:
    for (int i = 0; i < n_lanes && x.shap != NULL; i++)
        gbt_shap_free(x.shap[i]);
    mem_free(x.shap);
    mem_free(x.rows);
    mem_free(x.leaves);
    return rc;
}

/* Values of all rows, from the whole model or its first iterations. */
static int predict_all(const struct trees_shared *s, const struct gbt_matrix *x, int n_iter, int link,
                       double *out, struct par *par, struct err *e)
{
    struct gbt_flat *part;
    int rc;

    if (gbt_predict_trees(s->model, n_iter) == s->model->n_trees)
        return gbt_flat_predict(s->flat, x, link, out, par, e);
    if (gbt_flat_new(&part, s->model, n_iter, e) != 0)
        return -1;
    rc = gbt_flat_predict(part, x, link, out, par, e);
    gbt_flat_free(part);
    return rc;
}

static int work_predict(struct bind_work *w, struct err *e)
{
    struct trees_op *op = (struct trees_op *)w;
    struct par *par;
    int rc;

    if (bind_trees_team(op, op->shape[0], &par, e) != 0)
        return -1;
    if (op->kind == TREES_CONTRIB || op->kind == TREES_LEAF)
        rc = explain(op, par, e);
    else
        rc = predict_all(op->s, &op->x.x, op->n_iter, op->kind == TREES_VALUE, op->out, par, e);
    par_free(par);
    return rc;
}

static int finish_predict(lua_State *L, struct bind_work *w)
{
    struct trees_op *op = (struct trees_op *)w;
    struct err e;

    if (bind_numbers_push(L, op->out, NULL, op->n_dims, op->shape, op->is_tensor, &e) != 0)
        return bind_fail(L, &e);
    return 1;
}

/* One row from a list of numbers: at once, without memory. Pushes a number, or a list per class. */
static int predict_one(lua_State *L, const struct trees_shared *s, enum trees_kind kind, int n_iter)
{
    double row[ROW_MAX], out[64];
    const struct gbt_model *m = s->model;

    for (int f = 0; f < m->n_features; f++) {
        int is_number;

        lua_rawgeti(L, 2, f + 1);
        row[f] = lua_tonumberx(L, -1, &is_number);
        luaL_argcheck(L, is_number, 2, "a list of numbers expected");
        lua_pop(L, 1);
    }
    if (gbt_predict_trees(m, n_iter) == m->n_trees)
        gbt_flat_row(s->flat, row, out);
    else
        gbt_predict_raw(m, row, n_iter, out);
    if (kind == TREES_VALUE)
        gbt_predict_link(m, out);
    if (m->n_per_iter == 1) {
        lua_pushnumber(L, out[0]);
        return 1;
    }
    lua_createtable(L, m->n_per_iter, 0);
    for (int k = 0; k < m->n_per_iter; k++) {
        lua_pushnumber(L, out[k]);
        lua_rawseti(L, -2, k + 1);
    }
    return 1;
}

static int is_list(lua_State *L, int index)
{
    int type;

    if (lua_type(L, index) != LUA_TTABLE)
        return 0;
    type = lua_rawgeti(L, index, 1);
    lua_pop(L, 1);
    return type == LUA_TNUMBER;
}

/* Few rows: the answer now, everything in Lua's memory. */
static int predict_now(lua_State *L, const struct trees_shared *s, const struct trees_given *g, enum trees_kind kind,
                       int n_iter, int n_dims, const size_t *shape)
{
    double *out = lua_newuserdatauv(L, (count(n_dims, shape) + 1) * sizeof *out, 0);
    struct gbt_matrix x = bind_trees_look(g);
    struct err e;

    if (gbt_predict_check(s->model, &x, &e) != 0 ||
        predict_all(s, &x, n_iter, kind == TREES_VALUE, out, NULL, &e) != 0 ||
        bind_numbers_push(L, out, NULL, n_dims, shape, g->t != NULL, &e) != 0)
        return bind_fail(L, &e);
    return 1;
}

int bind_trees_predict(lua_State *L)
{
    struct trees_shared *s = bind_trees_check(L);
    const struct gbt_model *m = s->model;
    enum trees_kind kind = (enum trees_kind)luaL_checkoption(L, 3, "value", kinds);
    lua_Integer n_iter = luaL_optinteger(L, 4, 0);
    size_t shape[3], rows;
    struct trees_given x;
    struct trees_op *op;
    struct err e;
    int n_dims;

    luaL_argcheck(L, n_iter >= 0 && n_iter <= INT32_MAX, 4, "0 or more iterations expected");
    lua_settop(L, 4);
    if (is_list(L, 2)) {
        if (lua_rawlen(L, 2) != (size_t)m->n_features) {
            err_set(&e, ERR_SHAPE, "the row has %zu features, the model expects %d",
                    (size_t)lua_rawlen(L, 2), m->n_features);
            return bind_fail(L, &e);
        }
        if (m->n_features <= ROW_MAX && m->n_per_iter <= 64 && (kind == TREES_VALUE || kind == TREES_RAW))
            return predict_one(L, s, kind, (int)n_iter);
        lua_createtable(L, 1, 0); /* the row as a matrix */
        lua_pushvalue(L, 2);
        lua_rawseti(L, -2, 1);
        lua_replace(L, 2);
    }
    bind_trees_given(L, 2, &x);
    rows = x.t != NULL ? (size_t)x.t->shape[0] : x.n.shape[0];
    n_dims = answer_shape(m, kind, (int)n_iter, rows, shape);
    luaL_argcheck(L, rows <= INT32_MAX && count(n_dims, shape) <= OUTPUT_MAX, 2,
                  "the answer would be too large: fewer rows at once");
    if ((kind == TREES_VALUE || kind == TREES_RAW) && rows * (size_t)(m->n_trees + 1) <= AT_ONCE)
        return predict_now(L, s, &x, kind, (int)n_iter, n_dims, shape);
    op = bind_trees_op(L, lua_gettop(L), work_predict, finish_predict);
    op->kind = kind;
    op->n_iter = (int)n_iter;
    op->n_dims = n_dims;
    op->is_tensor = x.t != NULL;
    memcpy(op->shape, shape, sizeof shape);
    op->s = bind_trees_use(s);
    op->out = mem_alloc((count(n_dims, shape) + 1) * sizeof *op->out);
    if (op->out == NULL) {
        err_set(&e, ERR_NOMEM, "no memory to predict %zu rows", rows);
        return bind_trees_refuse(L, op, &e);
    }
    if (bind_trees_keep(&x, &op->x, &e) != 0 || gbt_predict_check(m, &op->x.x, &e) != 0)
        return bind_trees_refuse(L, op, &e);
    lua_settop(L, 1);
    return bind_work_start(L, &op->work);
}
