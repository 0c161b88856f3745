/*
 * bind_baseline.c - core.baseline: simple forecasts of many series. lua/baseline.lua is the face.
 *
 *   new(opt) --> model                   opt: method, horizon and what baseline.h lists
 *   model:fit(data) --> model            waits; data (N, T)
 *   model:predict(data, horizon, levels?, details?) --> mean, quantiles, each      waits
 *   model:save(path) --> true            waits
 *   model:options() --> table            model:close()
 *   load(path) --> model                 waits
 *   methods() --> list of names
 *
 * Fitting and predicting copy the data and run on the compute pool; a model in use is counted, so
 * a script may close it while the pool still reads it. Rows are cut into chunks by number alone:
 * the same bits for any number of threads. Refused work raises an error object (bind_work.h).
 */
#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "base/mem.h"
#include "bind/bind.h"
#include "bind/bind_all.h"
#include "bind/bind_fs.h"
#include "bind/bind_numbers.h"
#include "bind/bind_work.h"
#include "model/baseline_file.h"
#include "model/baseline_model.h"

#define TYPE "core.baseline"
#define CHUNK_ROWS 32
#define HORIZON_MAX 100000
#define LEVELS_MAX 999
#define OUTPUT_MAX ((size_t)1 << 28) /* numbers in one answer */

/* A fitted model and who uses it: its box, and operations on the pool. */
struct shared {
    atomic_int users;
    struct baseline_model *model;
};

struct box {
    struct baseline_opt opt;
    size_t H;
    struct shared *fitted; /* NULL before fit and after close */
    int is_open;
};

struct op {
    struct bind_work work;
    struct baseline_opt opt;
    size_t H, Q;
    struct baseline_block data;
    int is_tensor, details;
    void *copy;              /* what data looks into */
    double *levels;
    void *mean, *quantile;   /* as wide as data */
    struct baseline_result *each;
    struct err *chunk_error; /* one per chunk; code ERR_NONE = well */
    struct shared *fitted;
    char *path;
};

/* ---- life ---- */

static void shared_drop(struct shared *s)
{
    if (s == NULL || atomic_fetch_sub(&s->users, 1) > 1)
        return;
    baseline_model_free(s->model);
    mem_free(s);
}

static struct shared *shared_use(struct shared *s)
{
    atomic_fetch_add(&s->users, 1);
    return s;
}

static struct shared *shared_new(struct baseline_model *m, struct err *e)
{
    struct shared *s = mem_alloc(sizeof *s);

    if (s == NULL) {
        err_set(e, ERR_NOMEM, "no memory for a baseline");
        return NULL;
    }
    atomic_init(&s->users, 1);
    s->model = m;
    return s;
}

static void op_free(struct bind_work *w)
{
    struct op *op = (struct op *)w;

    mem_free(op->copy);
    mem_free(op->levels);
    mem_free(op->mean);
    mem_free(op->quantile);
    mem_free(op->each);
    mem_free(op->chunk_error);
    mem_free(op->path);
    shared_drop(op->fitted);
}

static int op_stopped(void *job)
{
    return pool_cancelled(job);
}

static struct op *op_new(lua_State *L, int (*work)(struct bind_work *, struct err *),
                         int (*finish)(lua_State *, struct bind_work *))
{
    struct op *op = bind_work_new(L, sizeof *op, 1);

    op->work.work = work;
    op->work.finish = finish;
    op->work.free = op_free;
    return op;
}

/* Gives the operation back; nil, message, code. */
static int op_refuse(lua_State *L, struct op *op, const struct err *e)
{
    bind_work_drop(&op->work);
    return bind_fail(L, e);
}

/* Copies the rows of `n` into the operation. `nomem`. */
static int op_data(struct op *op, const struct numbers *n, struct err *e)
{
    int wide = n->v.d != NULL;
    size_t width = wide ? sizeof(double) : sizeof(float);

    op->is_tensor = n->is_tensor;
    op->copy = mem_alloc(n->v.n * width);
    if (op->copy == NULL)
        return err_set(e, ERR_NOMEM, "no memory for %zu values", n->v.n);
    if (n->v.n > 0)
        memcpy(op->copy, wide ? (const void *)n->v.d : (const void *)n->v.f, n->v.n * width);
    op->data = (struct baseline_block){wide ? op->copy : NULL, wide ? NULL : op->copy,
                                       n->shape[0], n->shape[1], n->shape[1]};
    return 0;
}

static int op_path(struct op *op, const char *path, struct err *e)
{
    op->path = mem_dup(path);
    return op->path != NULL ? 0 : err_set(e, ERR_NOMEM, "no memory for a path");
}

/* ---- arguments ---- */

static struct box *check_open(lua_State *L)
{
    struct box *b = luaL_checkudata(L, 1, TYPE);

    if (!b->is_open)
        luaL_error(L, "this baseline is closed");
    return b;
}

static struct shared *check_fitted(lua_State *L, const struct box *b)
{
    if (b->fitted == NULL)
        luaL_error(L, "this baseline is not fitted: call fit first");
    return b->fitted;
}

static void get_block(lua_State *L, int index, struct numbers *n)
{
    bind_numbers_get(L, index, n);
    luaL_argcheck(L, n->n_dims == 2 || (n->n_dims == 3 && n->shape[2] == 1), index,
                  "(series, time) expected: a matrix");
}

static struct box *push_box(lua_State *L)
{
    struct box *b = lua_newuserdatauv(L, sizeof *b, 0);

    memset(b, 0, sizeof *b);
    luaL_setmetatable(L, TYPE);
    b->is_open = 1;
    return b;
}

static double opt_share(lua_State *L, const char *field)
{
    return bind_opt_number(L, 1, field, NAN, 0, 1);
}

static int l_new(lua_State *L)
{
    static const char *const intervals[] = {"normal", "residual", "rolling"};
    const char *method, *interval;
    int kind = 0;
    struct baseline_opt o;
    struct box *b;
    struct err e;

    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    method = bind_opt_text(L, 1, "method", "");
    if (baseline_of(method) == BASELINE_COUNT)
        return luaL_argerror(L, 1, lua_pushfstring(L, "no baseline method is called \"%s\"",
                                                   method));
    o = baseline_default(baseline_of(method));
    interval = bind_opt_text(L, 1, "interval", intervals[BASELINE_ROLLING]);
    while (kind < 3 && strcmp(interval, intervals[kind]) != 0)
        kind++;
    luaL_argcheck(L, kind < 3, 1, "interval is rolling, normal or residual");
    o.interval = (enum baseline_interval)kind;
    o.season = (size_t)bind_opt_int(L, 1, "season", (lua_Integer)o.season, 1, 100000);
    o.window = (size_t)bind_opt_int(L, 1, "window", (lua_Integer)o.window, 1, 100000);
    o.alpha = opt_share(L, "alpha");
    o.beta = opt_share(L, "beta");
    o.gamma = opt_share(L, "gamma");
    o.phi = opt_share(L, "phi");
    o.alpha_p = opt_share(L, "alpha_p");
    o.floor = bind_opt_number(L, 1, "floor", -INFINITY, -INFINITY, 1e300);
    o.fallback = bind_opt_bool(L, 1, "fallback", 1);
    o.missing_zero = bind_opt_bool(L, 1, "missing_zero", 0);
    o.instance_norm = bind_opt_bool(L, 1, "instance_norm", 0);
    o.series_norm = bind_opt_bool(L, 1, "series_norm", 1);
    o.penalty = bind_opt_number(L, 1, "penalty", NAN, 0, 1e300);
    b = push_box(L);
    b->opt = o;
    b->H = (size_t)bind_opt_int(L, 1, "horizon", 1, 1, HORIZON_MAX);
    if (baseline_check(&o, &e) != 0)
        return bind_fail(L, &e);
    return 1;
}

/* ---- fit ---- */

/* What work has made becomes a model that is counted. */
static int keep_model(struct op *op, struct baseline_model *m, struct err *e)
{
    op->fitted = shared_new(m, e);
    if (op->fitted != NULL)
        return 0;
    baseline_model_free(m);
    return -1;
}

static int work_fit(struct bind_work *w, struct err *e)
{
    struct op *op = (struct op *)w;
    struct baseline_stop stop = {op_stopped, &w->job};
    struct baseline_model *m = NULL;

    if (baseline_model_fit(&m, &op->opt, op->H, &op->data, &stop, e) != 0)
        return -1;
    return keep_model(op, m, e);
}

static int finish_fit(lua_State *L, struct bind_work *w)
{
    struct box *b = check_open(L);

    shared_drop(b->fitted);
    b->fitted = shared_use(((struct op *)w)->fitted);
    lua_settop(L, 1);
    return 1;
}

static int l_fit(lua_State *L)
{
    struct box *b = check_open(L);
    struct numbers n;
    struct op *op;
    struct err e;

    lua_settop(L, 2);
    get_block(L, 2, &n);
    op = op_new(L, work_fit, finish_fit);
    op->opt = b->opt;
    op->H = b->H;
    if (op_data(op, &n, &e) != 0)
        return op_refuse(L, op, &e);
    lua_settop(L, 1);
    return bind_work_start(L, &op->work);
}

/* ---- predict ---- */

static void predict_chunk(void *ctx, int i)
{
    struct op *op = ctx;
    size_t from = (size_t)i * CHUNK_ROWS, to = from + CHUNK_ROWS;
    struct baseline_stop stop = {op_stopped, &op->work.job};
    struct baseline_out out = {.each = op->each};

    if (op->data.d != NULL) {
        out.mean_d = op->mean;
        out.quantile_d = op->quantile;
    } else {
        out.mean_f = op->mean;
        out.quantile_f = op->quantile;
    }
    to = to < op->data.N ? to : op->data.N;
    baseline_model_predict(op->fitted->model, &op->data, from, to, op->H, op->levels, op->Q, &out,
                           &stop, &op->chunk_error[i]);
}

static int work_predict(struct bind_work *w, struct err *e)
{
    struct op *op = (struct op *)w;
    int n_chunks = (int)((op->data.N + CHUNK_ROWS - 1) / CHUNK_ROWS);

    if (n_chunks == 0)
        return err_set(e, ERR_SHAPE, "no series to forecast");
    pool_for(w->job.pool, n_chunks, predict_chunk, op);
    for (int i = 0; i < n_chunks; i++) {
        if (op->chunk_error[i].code == ERR_NONE)
            continue;
        *e = op->chunk_error[i];
        return -1;
    }
    return 0;
}

static void set_number(lua_State *L, const char *name, double x)
{
    if (isnan(x))
        return;
    lua_pushnumber(L, x);
    lua_setfield(L, -2, name);
}

static void push_each(lua_State *L, const struct op *op)
{
    lua_createtable(L, (int)op->data.N, 0);
    for (size_t i = 0; i < op->data.N; i++) {
        const struct baseline_result *r = &op->each[i];

        lua_createtable(L, 0, 8);
        lua_pushboolean(L, r->is_defined);
        lua_setfield(L, -2, "defined");
        if (r->form[0] != 0) {
            lua_pushstring(L, r->form);
            lua_setfield(L, -2, "form");
        }
        set_number(L, "alpha", r->alpha);
        set_number(L, "beta", r->beta);
        set_number(L, "gamma", r->gamma);
        set_number(L, "phi", r->phi);
        set_number(L, "sse", r->sse);
        set_number(L, "chance", r->chance);
        set_number(L, "size", r->size);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

static int push_output(lua_State *L, const struct op *op, const void *x, int n_dims,
                       const size_t *shape, struct err *e)
{
    return bind_numbers_push(L, op->data.d != NULL ? x : NULL, op->data.d != NULL ? NULL : x,
                             n_dims, shape, op->is_tensor, e);
}

static int finish_predict(lua_State *L, struct bind_work *w)
{
    struct op *op = (struct op *)w;
    size_t shape[3] = {op->data.N, op->H, op->Q};
    struct err e;

    if (push_output(L, op, op->mean, 2, shape, &e) != 0)
        return bind_fail(L, &e);
    if (op->Q == 0)
        lua_pushnil(L);
    else if (push_output(L, op, op->quantile, 3, shape, &e) != 0)
        return bind_fail(L, &e);
    if (op->details)
        push_each(L, op);
    else
        lua_pushnil(L);
    return 3;
}

/* Room for the answer; -1 with `nomem`. */
static int predict_room(struct op *op, struct err *e)
{
    size_t width = op->data.d != NULL ? sizeof(double) : sizeof(float);
    size_t N = op->data.N, chunks = (N + CHUNK_ROWS - 1) / CHUNK_ROWS;

    op->mean = mem_alloc(N * op->H * width);
    op->quantile = op->Q > 0 ? mem_alloc(N * op->H * op->Q * width) : NULL;
    op->each = op->details ? mem_zero(N, sizeof *op->each) : NULL;
    op->chunk_error = mem_zero(chunks, sizeof *op->chunk_error);
    if (op->mean == NULL || (op->Q > 0 && op->quantile == NULL) ||
        (op->details && op->each == NULL) || op->chunk_error == NULL)
        return err_set(e, ERR_NOMEM, "no memory for forecasts of %zu series", N);
    return 0;
}

static int l_predict(lua_State *L)
{
    struct box *b = check_open(L);
    struct shared *fitted = check_fitted(L, b);
    lua_Integer H = luaL_optinteger(L, 3, (lua_Integer)b->H);
    struct numbers n, levels = {0};
    struct op *op;
    struct err e;

    luaL_argcheck(L, H >= 1 && H <= HORIZON_MAX, 3, "a horizon of 1 to 100000 expected");
    lua_settop(L, 5);
    get_block(L, 2, &n);
    if (!lua_isnil(L, 4))
        bind_numbers_get(L, 4, &levels);
    luaL_argcheck(L, levels.v.n <= LEVELS_MAX, 4, "at most 999 quantile levels");
    luaL_argcheck(L, n.shape[0] == 0 || (size_t)H * (levels.v.n + 1) <= OUTPUT_MAX / n.shape[0], 3,
                  "the answer would be too large: fewer series at once");
    op = op_new(L, work_predict, finish_predict);
    op->H = (size_t)H;
    op->Q = levels.v.n;
    op->details = lua_toboolean(L, 5);
    op->fitted = shared_use(fitted);
    op->levels = mem_alloc(levels.v.n * sizeof *op->levels);
    if (op->levels == NULL || op_data(op, &n, &e) != 0 || predict_room(op, &e) != 0) {
        if (op->levels == NULL)
            err_set(&e, ERR_NOMEM, "no memory for %zu levels", levels.v.n);
        return op_refuse(L, op, &e);
    }
    for (size_t i = 0; i < op->Q; i++)
        op->levels[i] = metric_at(&levels.v, i);
    lua_settop(L, 1);
    return bind_work_start(L, &op->work);
}

/* ---- files ---- */

static int work_save(struct bind_work *w, struct err *e)
{
    struct op *op = (struct op *)w;

    return baseline_file_save(op->fitted->model, bind_fs_roots(), op->path, e);
}

static int finish_save(lua_State *L, struct bind_work *w)
{
    (void)w;
    lua_pushboolean(L, 1);
    return 1;
}

/* The path at `index`; a zero byte inside is misuse. */
static const char *check_path(lua_State *L, int index)
{
    size_t len;
    const char *path = luaL_checklstring(L, index, &len);

    luaL_argcheck(L, len > 0 && strlen(path) == len, index, "a path expected");
    return path;
}

static int l_save(lua_State *L)
{
    struct shared *fitted = check_fitted(L, check_open(L));
    const char *path = check_path(L, 2);
    struct op *op = op_new(L, work_save, finish_save);
    struct err e;

    op->fitted = shared_use(fitted);
    if (op_path(op, path, &e) != 0)
        return op_refuse(L, op, &e);
    return bind_work_start(L, &op->work);
}

static int work_load(struct bind_work *w, struct err *e)
{
    struct op *op = (struct op *)w;
    struct baseline_model *m = NULL;

    if (baseline_file_load(&m, bind_fs_roots(), op->path, e) != 0)
        return -1;
    return keep_model(op, m, e);
}

static int finish_load(lua_State *L, struct bind_work *w)
{
    struct op *op = (struct op *)w;
    struct box *b = push_box(L);

    b->opt = *baseline_model_opt(op->fitted->model);
    b->H = baseline_model_horizon(op->fitted->model);
    b->fitted = shared_use(op->fitted);
    return 1;
}

static int l_load(lua_State *L)
{
    const char *path = check_path(L, 1);
    struct op *op = op_new(L, work_load, finish_load);
    struct err e;

    if (op_path(op, path, &e) != 0)
        return op_refuse(L, op, &e);
    return bind_work_start(L, &op->work);
}

/* ---- the rest ---- */

static int l_close(lua_State *L) /* close, __close, __gc */
{
    struct box *b = luaL_checkudata(L, 1, TYPE);

    shared_drop(b->fitted);
    b->fitted = NULL;
    b->is_open = 0;
    return 0;
}

static int l_options(lua_State *L)
{
    const struct box *b = check_open(L);

    lua_createtable(L, 0, 12);
    lua_pushstring(L, baseline_name(b->opt.method));
    lua_setfield(L, -2, "method");
    lua_pushinteger(L, (lua_Integer)b->H);
    lua_setfield(L, -2, "horizon");
    lua_pushinteger(L, (lua_Integer)b->opt.season);
    lua_setfield(L, -2, "season");
    lua_pushinteger(L, (lua_Integer)b->opt.window);
    lua_setfield(L, -2, "window");
    set_number(L, "alpha", b->opt.alpha);
    set_number(L, "beta", b->opt.beta);
    set_number(L, "gamma", b->opt.gamma);
    set_number(L, "phi", b->opt.phi);
    lua_pushboolean(L, b->fitted != NULL);
    lua_setfield(L, -2, "fitted");
    return 1;
}

static int l_methods(lua_State *L)
{
    lua_createtable(L, BASELINE_COUNT, 0);
    for (int i = 0; i < BASELINE_COUNT; i++) {
        lua_pushstring(L, baseline_name((enum baseline_method)i));
        lua_rawseti(L, -2, i + 1);
    }
    return 1;
}

static const luaL_Reg METHODS[] = {
    {"fit", l_fit},         {"predict", l_predict}, {"save", l_save},
    {"options", l_options}, {"close", l_close},     {NULL, NULL},
};

static const luaL_Reg META[] = {{"__gc", l_close}, {"__close", l_close}, {NULL, NULL}};

static const luaL_Reg FUNCTIONS[] = {
    {"new", l_new},
    {"load", l_load},
    {"methods", l_methods},
    {NULL, NULL},
};

int luaopen_core_baseline(lua_State *L)
{
    bind_class(L, TYPE, METHODS, META);
    luaL_newlib(L, FUNCTIONS);
    return 1;
}
