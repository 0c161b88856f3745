/*
 * bind_trees.c - core.trees: gradient-boosted trees. lua/trees.lua is the face.
 *
 *   train(X, y, params, extra) --> model, report     waits
 *       params: name = text; extra: weight, valid_x, valid_y, valid_weight, names, train_metric
 *   load(path) --> model     waits            parse(text) --> model
 *   model:predict(X, kind, n_iter) --> numbers       waits, unless there is little to do
 *       kind: "value" "raw" "contrib" "leaf"; a list of numbers is one row
 *   model:save(path, n_iter) --> true  waits   model:text(n_iter) --> text
 *   model:importance(kind) --> list   model:info() --> table   model:close()
 *
 * Training and large predictions run on the compute pool, with as many threads as it has; a model in
 * use is counted, so a script may close it while the pool still reads it. Rows in a tensor are looked
 * at through a view of its block; a table is copied.
 */
#include <string.h>

#include "base/mem.h"
#include "bind/bind.h"
#include "bind/bind_all.h"
#include "bind/bind_trees.h"
#include "model/gbt_predict.h"
#include "model/gbt_text.h"

#define TYPE "core.trees"
#define THREADS_ROWS 2048 /* rows from which threads pay */


static void shared_drop(struct trees_shared *s)
{
    if (s == NULL || atomic_fetch_sub(&s->users, 1) > 1)
        return;
    gbt_flat_free(s->flat);
    gbt_model_free(s->model);
    mem_free(s);
}

/* Takes the model, also when it fails. */
struct trees_shared *bind_trees_share(struct gbt_model *m, struct err *e)
{
    struct trees_shared *s = mem_zero(1, sizeof *s);

    if (s == NULL) {
        gbt_model_free(m);
        err_set(e, ERR_NOMEM, "no memory for a model");
        return NULL;
    }
    atomic_init(&s->users, 1);
    s->model = m;
    if (gbt_flat_new(&s->flat, m, 0, e) == 0)
        return s;
    shared_drop(s);
    return NULL;
}

struct trees_shared *bind_trees_use(struct trees_shared *s)
{
    atomic_fetch_add(&s->users, 1);
    return s;
}

static void op_free(struct bind_work *w)
{
    struct trees_op *op = (struct trees_op *)w;

    for (int i = 0; op->names != NULL && i < op->x.x.n_cols; i++)
        mem_free(op->names[i]);
    mem_free(op->names);
    bind_trees_input_free(&op->x);
    bind_trees_input_free(&op->valid_x);
    mem_free(op->label);
    mem_free(op->weight);
    mem_free(op->valid_label);
    mem_free(op->valid_weight);
    gbt_report_deinit(&op->report);
    mem_free(op->out);
    mem_free(op->path);
    shared_drop(op->s);
}

struct trees_op *bind_trees_op(lua_State *L, int n, int (*work)(struct bind_work *, struct err *),
                               int (*finish)(lua_State *, struct bind_work *))
{
    struct trees_op *op = bind_work_new(L, sizeof *op, n);

    op->work.work = work;
    op->work.finish = finish;
    op->work.free = op_free;
    return op;
}

int bind_trees_refuse(lua_State *L, struct trees_op *op, const struct err *e)
{
    bind_work_drop(&op->work);
    return bind_fail(L, e);
}

struct trees_shared *bind_trees_check(lua_State *L)
{
    struct trees_box *b = luaL_checkudata(L, 1, TYPE);

    if (b->s == NULL)
        luaL_error(L, "these trees are closed");
    return b->s;
}

struct trees_box *bind_trees_push(lua_State *L)
{
    struct trees_box *b = lua_newuserdatauv(L, sizeof *b, 0);

    b->s = NULL;
    luaL_setmetatable(L, TYPE);
    return b;
}

/* Threads of this pool for one computation; NULL when one is enough. */
int bind_trees_team(const struct trees_op *op, size_t rows, struct par **out, struct err *e)
{
    unsigned n = pool_threads(op->work.job.pool);

    *out = NULL;
    if (n < 2 || rows < THREADS_ROWS)
        return 0;
    return par_new(out, n < PAR_MAX ? (int)n : PAR_MAX, e);
}

/* ---- files ---- */

static const char *check_path(lua_State *L, int index)
{
    size_t len;
    const char *path = luaL_checklstring(L, index, &len);

    luaL_argcheck(L, len > 0 && strlen(path) == len, index, "a path expected");
    return path;
}

static int op_path(struct trees_op *op, const char *path, struct err *e)
{
    op->path = mem_dup(path);
    return op->path != NULL ? 0 : err_set(e, ERR_NOMEM, "no memory for a path");
}

static int work_load(struct bind_work *w, struct err *e)
{
    struct trees_op *op = (struct trees_op *)w;
    struct gbt_model *m;

    if (gbt_text_load(&m, op->path, e) != 0)
        return -1;
    op->s = bind_trees_share(m, e);
    return op->s != NULL ? 0 : -1;
}

static int finish_load(lua_State *L, struct bind_work *w)
{
    struct trees_op *op = (struct trees_op *)w;
    struct trees_box *b = bind_trees_push(L);

    b->s = op->s;
    op->s = NULL;
    return 1;
}

static int l_load(lua_State *L)
{
    const char *path = check_path(L, 1);
    struct trees_op *op = bind_trees_op(L, 1, work_load, finish_load);
    struct err e;

    if (op_path(op, path, &e) != 0)
        return bind_trees_refuse(L, op, &e);
    return bind_work_start(L, &op->work);
}

static int l_parse(lua_State *L)
{
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    struct trees_box *b = bind_trees_push(L);
    struct gbt_model *m;
    struct err e;

    if (gbt_text_read(&m, text, len, &e) != 0 || (b->s = bind_trees_share(m, &e)) == NULL)
        return bind_fail(L, &e);
    return 1;
}

static int work_save(struct bind_work *w, struct err *e)
{
    struct trees_op *op = (struct trees_op *)w;

    return gbt_text_save(op->s->model, op->n_iter, op->path, e);
}

static int finish_save(lua_State *L, struct bind_work *w)
{
    (void)w;
    lua_pushboolean(L, 1);
    return 1;
}

static int l_save(lua_State *L)
{
    struct trees_shared *s = bind_trees_check(L);
    const char *path = check_path(L, 2);
    int n_iter = (int)luaL_optinteger(L, 3, 0);
    struct trees_op *op = bind_trees_op(L, 1, work_save, finish_save);
    struct err e;

    op->s = bind_trees_use(s);
    op->n_iter = n_iter;
    if (op_path(op, path, &e) != 0)
        return bind_trees_refuse(L, op, &e);
    return bind_work_start(L, &op->work);
}

static int push_buf(lua_State *L)
{
    const struct buf *b = lua_touserdata(L, 1);

    lua_pushlstring(L, b->data, b->len);
    return 1;
}

static int l_text(lua_State *L)
{
    struct trees_shared *s = bind_trees_check(L);
    int n_iter = (int)luaL_optinteger(L, 2, 0), rc;
    struct buf b;
    struct err e;

    buf_init(&b, GBT_TEXT_MAX);
    if (gbt_text_write(s->model, n_iter, &b, &e) != 0) {
        buf_deinit(&b);
        return bind_fail(L, &e);
    }
    lua_pushcfunction(L, push_buf); /* protected: the text is ours until Lua has its own */
    lua_pushlightuserdata(L, &b);
    rc = lua_pcall(L, 1, 1, 0);
    buf_deinit(&b);
    return rc == LUA_OK ? 1 : lua_error(L);
}

/* ---- the rest ---- */

static int l_close(lua_State *L) /* close, __close, __gc */
{
    struct trees_box *b = luaL_checkudata(L, 1, TYPE);

    shared_drop(b->s);
    b->s = NULL;
    return 0;
}

static int l_importance(lua_State *L)
{
    static const char *const names[] = { "split", "gain", NULL };
    const struct gbt_model *m = bind_trees_check(L)->model;
    int by_gain = luaL_checkoption(L, 2, "split", names);
    double *out = lua_newuserdatauv(L, (size_t)m->n_features * sizeof *out, 0);

    gbt_model_importance(m, by_gain, 0, out);
    lua_createtable(L, m->n_features, 0);
    for (int f = 0; f < m->n_features; f++) {
        lua_pushnumber(L, out[f]);
        lua_rawseti(L, -2, f + 1);
    }
    return 1;
}

static int l_info(lua_State *L)
{
    const struct gbt_model *m = bind_trees_check(L)->model;

    lua_createtable(L, 0, 8);
    lua_pushinteger(L, m->n_features);
    lua_setfield(L, -2, "n_features");
    lua_pushinteger(L, m->n_trees);
    lua_setfield(L, -2, "n_trees");
    lua_pushinteger(L, m->n_per_iter);
    lua_setfield(L, -2, "n_classes");
    lua_pushinteger(L, m->n_trees / m->n_per_iter);
    lua_setfield(L, -2, "n_iterations");
    lua_pushstring(L, m->objective);
    lua_setfield(L, -2, "objective");
    if (m->parameters != NULL) {
        lua_pushstring(L, m->parameters);
        lua_setfield(L, -2, "parameters");
    }
    lua_createtable(L, m->n_features, 0);
    for (int f = 0; f < m->n_features; f++) {
        lua_pushstring(L, m->feature_names[f]);
        lua_rawseti(L, -2, f + 1);
    }
    lua_setfield(L, -2, "feature_names");
    return 1;
}

static const luaL_Reg METHODS[] = {
    { "predict", bind_trees_predict },       { "save", l_save },   { "text", l_text },
    { "importance", l_importance }, { "info", l_info },   { "close", l_close },
    { NULL, NULL },
};

static const luaL_Reg META[] = { { "__gc", l_close }, { "__close", l_close }, { NULL, NULL } };

static const luaL_Reg FUNCTIONS[] = {
    { "train", bind_trees_train }, { "load", l_load }, { "parse", l_parse }, { NULL, NULL },
};

int luaopen_core_trees(lua_State *L)
{
    bind_class(L, TYPE, METHODS, META);
    luaL_newlib(L, FUNCTIONS);
    return 1;
}
