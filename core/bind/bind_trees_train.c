/*
 * bind_trees_train.c - core.trees.train, see bind_trees.c.
 */
#include <string.h>

#include "base/mem.h"
#include "bind/bind.h"
#include "bind/bind_trees.h"

static int op_cancelled(void *ctx)
{
    struct trees_op *op = ctx;

    return pool_cancelled(&op->work.job);
}

static void op_told(void *ctx, int iteration, const double *train, const double *valid)
{
    struct trees_op *op = ctx;

    (void)train;
    (void)valid;
    pool_progress(&op->work.job, (iteration + 1.0) / op->p.num_iterations);
}

static int work_train(struct bind_work *w, struct err *e)
{
    struct trees_op *op = (struct trees_op *)w;
    struct gbt_rows rows = { op->x.x, op->label, op->weight };
    struct gbt_rows valid = { op->valid_x.x, op->valid_label, op->valid_weight };
    struct gbt_watch watch = { op_cancelled, op_told, op, op->train_metric };
    struct gbt_model *m;
    struct par *par;
    int rc;

    if (bind_trees_team(op, rows.x.n_rows, &par, e) != 0)
        return -1;
    rc = gbt_train(&m, &op->p, &rows, op->valid_label != NULL ? &valid : NULL,
                   (const char *const *)op->names, &watch, &op->report, par, e);
    par_free(par);
    if (rc != 0)
        return -1;
    op->s = bind_trees_share(m, e);
    return op->s != NULL ? 0 : -1;
}

/* report[name] = { metric = { value per iteration } } */
static void push_curve(lua_State *L, const struct gbt_report *r, const char *name, const double *x)
{
    if (x == NULL)
        return;
    lua_createtable(L, 0, r->n_metrics);
    for (int i = 0; i < r->n_metrics; i++) {
        lua_createtable(L, r->n_iter, 0);
        for (int k = 0; k < r->n_iter; k++) {
            lua_pushnumber(L, x[k * r->n_metrics + i]);
            lua_rawseti(L, -2, k + 1);
        }
        lua_setfield(L, -2, gbt_param_metric_name(r->metrics[i]));
    }
    lua_setfield(L, -2, name);
}

static int finish_train(lua_State *L, struct bind_work *w)
{
    struct trees_op *op = (struct trees_op *)w;
    struct trees_box *b = bind_trees_push(L);

    b->s = op->s;
    op->s = NULL;
    lua_createtable(L, 0, 3);
    lua_pushinteger(L, op->report.best_iter);
    lua_setfield(L, -2, "best_iteration");
    push_curve(L, &op->report, "train", op->report.train);
    push_curve(L, &op->report, "valid", op->report.valid);
    return 2;
}

/* Sets every parameter of the table at `index`; does not raise. */
static int set_params(lua_State *L, int index, struct gbt_param *p, struct err *e)
{
    gbt_param_init(p);
    for (lua_pushnil(L); lua_next(L, index) != 0; lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TSTRING) {
            lua_pop(L, 2);
            return err_set(e, ERR_INVALID, "parameters: names and texts expected");
        }
        if (gbt_param_set(p, lua_tostring(L, -2), lua_tostring(L, -1), e) != 0) {
            lua_pop(L, 2);
            return -1;
        }
    }
    return gbt_param_check(p, e);
}

/* The list of names at `index`, or nil; does not raise. */
static int keep_names(lua_State *L, int index, struct trees_op *op, struct err *e)
{
    int n = op->x.x.n_cols, rc = 0;

    if (lua_isnil(L, index))
        return 0;
    if (lua_rawlen(L, index) != (size_t)n)
        return err_set(e, ERR_SHAPE, "%zu feature names for %d features",
                       (size_t)lua_rawlen(L, index), n);
    op->names = mem_zero((size_t)n, sizeof *op->names);
    if (op->names == NULL)
        return err_set(e, ERR_NOMEM, "no memory for feature names");
    for (int i = 0; i < n && rc == 0; i++) {
        if (lua_rawgeti(L, index, i + 1) != LUA_TSTRING)
            rc = err_set(e, ERR_INVALID, "feature name %d is not a text", i + 1);
        else if ((op->names[i] = mem_dup(lua_tostring(L, -1))) == NULL)
            rc = err_set(e, ERR_NOMEM, "no memory for feature names");
        lua_pop(L, 1);
    }
    return rc;
}

int bind_trees_train(lua_State *L)
{
    struct trees_given x, valid_x = { 0 };
    struct numbers y, weight, valid_y, valid_weight;
    int has_weight, has_valid_y, has_valid_weight, has_valid, train_metric;
    struct trees_op *op;
    struct err e;

    luaL_checktype(L, 3, LUA_TTABLE);
    luaL_checktype(L, 4, LUA_TTABLE);
    lua_settop(L, 4);
    bind_trees_given(L, 1, &x);                                                             /* 5 */
    bind_numbers_get(L, 2, &y);                                                       /* 6 */
    has_weight = bind_numbers_field(L, 4, "weight", &weight);                         /* 7 */
    has_valid_y = bind_numbers_field(L, 4, "valid_y", &valid_y);                      /* 8 */
    has_valid_weight = bind_numbers_field(L, 4, "valid_weight", &valid_weight);       /* 9 */
    has_valid = lua_getfield(L, 4, "valid_x") != LUA_TNIL;                            /* 10 */
    if (lua_getfield(L, 4, "names") != LUA_TNIL)                                      /* 11 */
        luaL_checktype(L, 11, LUA_TTABLE);
    if (has_valid)
        bind_trees_given(L, 10, &valid_x);                                                  /* 12 */
    train_metric = bind_opt_bool(L, 4, "train_metric", 0);
    luaL_argcheck(L, has_valid == has_valid_y, 4, "valid_x and valid_y belong together");
    op = bind_trees_op(L, lua_gettop(L), work_train, finish_train);
    op->train_metric = train_metric;
    if (set_params(L, 3, &op->p, &e) != 0 || bind_trees_keep(&x, &op->x, &e) != 0 ||
        keep_names(L, 11, op, &e) != 0 ||
        bind_trees_column(&y, 1, "labels", op->x.x.n_rows, &op->label, &e) != 0 ||
        bind_trees_column(&weight, has_weight, "weights", op->x.x.n_rows, &op->weight, &e) != 0 ||
        (has_valid && bind_trees_keep(&valid_x, &op->valid_x, &e) != 0) ||
        bind_trees_column(&valid_y, has_valid_y, "validation labels", op->valid_x.x.n_rows,
                    &op->valid_label, &e) != 0 ||
        bind_trees_column(&valid_weight, has_valid && has_valid_weight, "validation weights",
                    op->valid_x.x.n_rows, &op->valid_weight, &e) != 0)
        return bind_trees_refuse(L, op, &e);
    lua_settop(L, 1);
    return bind_work_start(L, &op->work);
}
