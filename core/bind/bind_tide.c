/*
 * bind_tide.c - core.tide: the TiDE model for scripts.
 *
 *   new(conf, seed) --> model      load(path) --> model, waits      fit(model, data, opt) --> fit
 * Methods of a model: predict(data, opt) --> mean, quantiles (waits); save(path) (waits);
 * export(path, scale, a, b) (waits): ONNX, the scaling as in tide_onnx.h;
 * options() --> table; params() --> list of { name, rows, cols }; meta([text]) --> text; close().
 * A fit is in bind_tide_fit.c. All waiting methods raise error objects (bind_work.h).
 *
 * lua/tide.lua is the face: defaults, scaling, the loop over epochs.
 */
#include "bind/bind_tide.h"

#include <string.h>

#include "base/mem.h"
#include "bind/bind_all.h"
#include "bind/bind_tensor.h"
#include "bind/bind_work.h"
#include "model/tide_file.h"
#include "model/tide_onnx.h"
#include "model/tide_predict.h"

struct box {
    struct tide_held *h; /* NULL when closed */
};

void bind_tide_drop(struct tide_held *h)
{
    if (h == NULL || --h->refs > 0)
        return;
    tide_free(h->t);
    model_file_close(&h->file);
    mem_free(h->meta);
    mem_free(h);
}

struct tide_held *bind_tide_check(lua_State *L, int arg)
{
    struct box *b = luaL_checkudata(L, arg, BIND_TIDE);

    if (b->h == NULL)
        luaL_argerror(L, arg, "this model is closed");
    return b->h;
}

static struct box *push_box(lua_State *L)
{
    struct box *b = lua_newuserdatauv(L, sizeof *b, 0);

    b->h = NULL;
    luaL_setmetatable(L, BIND_TIDE);
    return b;
}

static struct tide_held *held_new(struct err *e)
{
    struct tide_held *h = mem_zero(1, sizeof *h);

    if (h == NULL)
        err_set(e, ERR_NOMEM, "no memory for a model");
    else
        h->refs = 1;
    return h;
}

/* --- configuration --- */

/* Field `name` of the table at `arg` as a list of numbers; how many, 0 when absent. */
static int opt_list(lua_State *L, int arg, const char *name, double *out, int max)
{
    int n = 0;

    if (lua_isnoneornil(L, arg))
        return 0;
    if (lua_getfield(L, arg, name) != LUA_TNIL) {
        if (!lua_istable(L, -1) || luaL_len(L, -1) > max)
            luaL_argerror(L, arg, lua_pushfstring(L, "%s: a list of at most %d numbers expected",
                                                  name, max));
        n = (int)luaL_len(L, -1);
        for (int i = 0; i < n; i++) {
            int is_number;
            lua_geti(L, -1, i + 1);
            out[i] = lua_tonumberx(L, -1, &is_number);
            if (!is_number)
                luaL_argerror(L, arg, lua_pushfstring(L, "%s: numbers expected", name));
            lua_pop(L, 1);
        }
    }
    lua_pop(L, 1);
    return n;
}

static void check_loss(lua_State *L, int arg, struct loss_conf *l)
{
    const char *name;
    int n_weights, kind;

    l->n_quantiles = opt_list(L, arg, "quantiles", l->quantiles, LOSS_QUANTILES);
    name = bind_opt_text(L, arg, "loss", l->n_quantiles > 0 ? "pinball" : "mse");
    kind = loss_kind_of(name);
    if (kind < 0)
        luaL_argerror(L, arg, lua_pushfstring(L, "loss is %s, expected mse, mae, huber or pinball",
                                              name));
    l->kind = (enum loss_kind)kind;
    for (int i = 0; i < l->n_quantiles; i++)
        l->q_weight[i] = 1;
    n_weights = opt_list(L, arg, "quantile_weights", l->q_weight, LOSS_QUANTILES);
    if (n_weights > 0 && n_weights != l->n_quantiles)
        luaL_argerror(L, arg, "as many quantile_weights as quantiles expected");
    double left = bind_opt_number(L, arg, "sigma_left", 0, 0, 1e6);
    double right = bind_opt_number(L, arg, "sigma_right", 0, 0, 1e6);
    if (n_weights == 0 && left > 0 && right > 0)
        loss_quantile_weights(l->q_weight, l->quantiles, l->n_quantiles, left, right, 0.5, 1);
}

static void check_conf(lua_State *L, int arg, struct tide_conf *c)
{
    luaL_checktype(L, arg, LUA_TTABLE);
    tide_conf_init(c);
    for (const struct tide_member *m = tide_members; m->name != NULL; m++) {
        int *i = (int *)((char *)c + m->at);
        double *d = (double *)((char *)c + m->at);
        if (m->kind == 'i')
            *i = (int)bind_opt_int(L, arg, m->name, *i, 0, 1 << 20);
        else if (m->kind == 'b')
            *i = bind_opt_bool(L, arg, m->name, *i);
        else
            *d = bind_opt_number(L, arg, m->name, *d, 0, 1e9);
    }
    check_loss(L, arg, &c->loss);
}

static int l_new(lua_State *L)
{
    struct tide_conf c;
    struct err e;
    lua_Integer seed = luaL_optinteger(L, 2, 1);

    check_conf(L, 1, &c);
    struct box *b = push_box(L);
    b->h = held_new(&e);
    if (b->h == NULL || tide_new(&b->h->t, &c, (uint64_t)seed, &e) != 0)
        return bind_fail(L, &e);
    return 1;
}

static int l_options(lua_State *L)
{
    const struct tide_conf *c = &bind_tide_check(L, 1)->t->conf;
    static const char *const losses[LOSS_COUNT] = {"mse", "mae", "huber", "pinball"};

    lua_newtable(L);
    for (const struct tide_member *m = tide_members; m->name != NULL; m++) {
        const char *at = (const char *)c + m->at;
        if (m->kind == 'd')
            lua_pushnumber(L, *(const double *)(const void *)at);
        else if (m->kind == 'b')
            lua_pushboolean(L, *(const int *)(const void *)at);
        else
            lua_pushinteger(L, *(const int *)(const void *)at);
        lua_setfield(L, -2, m->name);
    }
    lua_pushstring(L, losses[c->loss.kind]);
    lua_setfield(L, -2, "loss");
    if (c->loss.n_quantiles == 0)
        return 1;
    lua_createtable(L, c->loss.n_quantiles, 0);
    lua_createtable(L, c->loss.n_quantiles, 0);
    for (int i = 0; i < c->loss.n_quantiles; i++) {
        lua_pushnumber(L, c->loss.quantiles[i]);
        lua_rawseti(L, -3, i + 1);
        lua_pushnumber(L, c->loss.q_weight[i]);
        lua_rawseti(L, -2, i + 1);
    }
    lua_setfield(L, -3, "quantile_weights");
    lua_setfield(L, -2, "quantiles");
    return 1;
}

static int l_params(lua_State *L)
{
    const struct tide *t = bind_tide_check(L, 1)->t;

    lua_createtable(L, t->n_table, 0);
    for (int i = 0; i < t->n_table; i++) {
        lua_createtable(L, 0, 3);
        lua_pushstring(L, t->table[i].name);
        lua_setfield(L, -2, "name");
        lua_pushinteger(L, t->table[i].rows);
        lua_setfield(L, -2, "rows");
        lua_pushinteger(L, t->table[i].cols);
        lua_setfield(L, -2, "cols");
        lua_rawseti(L, -2, i + 1);
    }
    return 1;
}

static int l_meta(lua_State *L)
{
    struct tide_held *h = bind_tide_check(L, 1);
    size_t n;

    if (!lua_isnoneornil(L, 2)) {
        const char *text = luaL_checklstring(L, 2, &n);
        char *copy = mem_alloc(n);
        if (copy == NULL)
            return luaL_error(L, "not enough memory");
        memcpy(copy, text, n);
        mem_free(h->meta);
        h->meta = copy;
        h->meta_bytes = n;
    }
    lua_pushlstring(L, h->meta != NULL ? h->meta : "", h->meta_bytes);
    return 1;
}

static int l_close(lua_State *L) /* close, __close, __gc */
{
    struct box *b = luaL_checkudata(L, 1, BIND_TIDE);

    bind_tide_drop(b->h);
    b->h = NULL;
    return 0;
}

/* --- files --- */

struct file_op {
    struct bind_work work;
    struct tide_held *h;
    char *path;
    enum tide_scale scale; /* export */
    double a, b;
};

static void file_free(struct bind_work *w)
{
    struct file_op *op = (struct file_op *)w;

    bind_tide_drop(op->h);
    mem_free(op->path);
}

static int save_work(struct bind_work *w, struct err *e)
{
    struct file_op *op = (struct file_op *)w;

    return tide_save(op->h->t, op->path, op->h->meta, op->h->meta_bytes, e);
}

static int export_work(struct bind_work *w, struct err *e)
{
    struct file_op *op = (struct file_op *)w;

    return tide_onnx_save(op->h->t, op->scale, op->a, op->b, op->path, e);
}

static int load_work(struct bind_work *w, struct err *e)
{
    struct file_op *op = (struct file_op *)w;
    struct tide_held *h = op->h;
    const struct model_section *meta;

    if (model_file_open(&h->file, op->path, e) != 0)
        return -1;
    if (tide_open(&h->t, &h->file, e) != 0)
        return err_wrap(e, "%s", op->path);
    meta = model_file_find(&h->file, "meta");
    h->meta = meta != NULL ? mem_alloc(meta->bytes) : NULL;
    if (h->meta != NULL) {
        memcpy(h->meta, meta->data, meta->bytes);
        h->meta_bytes = meta->bytes;
    }
    return 0;
}

static int load_finish(lua_State *L, struct bind_work *w)
{
    struct file_op *op = (struct file_op *)w;
    struct box *b = push_box(L);

    b->h = op->h;
    op->h = NULL;
    return 1;
}

/* `like` says what is done, to whom and how it is scaled; h NULL: a new one is read. */
static int start_file(lua_State *L, const struct file_op *like, const char *path)
{
    struct file_op *op = bind_work_new(L, sizeof *op, lua_gettop(L));
    struct tide_held *h = like->h;
    struct err e;

    op->work.free = file_free;
    op->work.work = like->work.work;
    op->scale = like->scale;
    op->a = like->a;
    op->b = like->b;
    op->work.finish = h != NULL ? NULL : load_finish;
    op->path = mem_dup(path);
    op->h = h != NULL ? h : held_new(&e);
    if (h != NULL)
        h->refs++;
    if (op->path == NULL || op->h == NULL) {
        err_set(&e, ERR_NOMEM, "no memory for a model");
        bind_work_drop(&op->work);
        return bind_raise(L, &e);
    }
    return bind_work_start(L, &op->work);
}

static int busy(lua_State *L)
{
    struct err e;

    err_set(&e, ERR_BUSY, "this model is being trained");
    return bind_raise(L, &e);
}

static int l_save(lua_State *L)
{
    struct tide_held *h = bind_tide_check(L, 1);
    const char *path = luaL_checkstring(L, 2);

    return h->training ? busy(L)
                       : start_file(L, &(struct file_op){.work.work = save_work, .h = h}, path);
}

static int l_export(lua_State *L)
{
    static const char *const kinds[TIDE_SCALE_COUNT + 1] = {"none", "standard", "log_minmax", NULL};
    struct file_op op = {.work.work = export_work, .h = bind_tide_check(L, 1)};
    const char *path = luaL_checkstring(L, 2);

    op.scale = (enum tide_scale)luaL_checkoption(L, 3, "none", kinds);
    op.a = luaL_optnumber(L, 4, 0);
    op.b = luaL_optnumber(L, 5, 1);
    return op.h->training ? busy(L) : start_file(L, &op, path);
}

static int l_load(lua_State *L)
{
    return start_file(L, &(struct file_op){.work.work = load_work}, luaL_checkstring(L, 1));
}

/* --- prediction --- */

struct predict_op {
    struct bind_work work;
    struct tide_held *h;
    struct tide_set set;
    struct tide_predict_conf conf;
    int n_levels; /* asked for; conf's are those of the samples */
    double levels[LOSS_QUANTILES];
    int horizon, threads;
    struct tensor *mean, *quantiles;
};

static void predict_ended(struct bind_work *w)
{
    ((struct predict_op *)w)->h->reading--;
}

static void predict_free(struct bind_work *w)
{
    struct predict_op *op = (struct predict_op *)w;

    bind_tide_drop(op->h);
    bind_tide_set_free(&op->set);
    tensor_free(op->mean);
    tensor_free(op->quantiles);
}

/* From the model's values (or those of the samples) of one step and target to what was asked. */
static void read_off(const struct predict_op *op, const float *v, const double *at, int n,
                     float *mean, float *quantiles)
{
    *mean = (float)loss_quantile_draw(v, at, n, 0.5);
    for (int i = 0; i < op->n_levels; i++)
        quantiles[i] = (float)loss_quantile_draw(v, at, n, op->levels[i]);
}

static int predict_work(struct bind_work *w, struct err *e)
{
    struct predict_op *op = (struct predict_op *)w;
    const struct tide *t = op->h->t;
    const struct tide_conf *c = &t->conf;
    const ptrdiff_t N = op->set.d.N, H = c->output_chunk, C = c->n_targets;
    const int width = tide_predict_width(t, &op->conf), use = op->horizon;
    const int has_levels = op->conf.samples > 0 || t->Q > 1;
    const double *at = op->conf.samples > 0 ? op->conf.levels : c->loss.quantiles;
    ptrdiff_t shape[4] = {N, use, C, op->n_levels};
    float *raw = NULL;
    struct par *par = NULL;
    int rc = -1;

    if (C == 1)
        shape[2] = op->n_levels;
    raw = mem_aligned((size_t)(N * H * C) * (size_t)width * sizeof *raw);
    if (raw == NULL) {
        err_set(e, ERR_NOMEM, "no memory for the forecasts of %td series", N);
        goto done;
    }
    if (par_new(&par, op->threads, e) != 0 || tensor_new(&op->mean, C == 1 ? 2 : 3, shape, e) != 0)
        goto done;
    if (has_levels && op->n_levels > 0 &&
        tensor_new(&op->quantiles, C == 1 ? 3 : 4, shape, e) != 0)
        goto done;
    if (tide_predict(t, &op->set.d, &op->conf, raw, par, (const atomic_bool *)NULL, e) != 0)
        goto done;
    for (ptrdiff_t i = 0, o = 0; i < N * H * C; i++) {
        if (i / C % H >= use)
            continue;
        if (has_levels)
            read_off(op, raw + i * width, at, width, op->mean->data + o,
                     op->n_levels > 0 ? op->quantiles->data + o * op->n_levels : NULL);
        else
            op->mean->data[o] = raw[i];
        o++;
    }
    rc = 0;
done:
    par_free(par);
    mem_free(raw);
    return rc;
}

static int predict_finish(lua_State *L, struct bind_work *w)
{
    struct predict_op *op = (struct predict_op *)w;
    struct tensor **mean = bind_tensor_box(L);

    *mean = op->mean;
    op->mean = NULL;
    if (op->quantiles == NULL)
        return 1;
    struct tensor **q = bind_tensor_box(L);
    *q = op->quantiles;
    op->quantiles = NULL;
    return 2;
}

/* Of the samples: what was asked for, and the middle. */
static void sample_levels(struct predict_op *op)
{
    struct tide_predict_conf *c = &op->conf;
    int n = 0, has_middle = 0;

    for (int i = 0; i < op->n_levels && n < LOSS_QUANTILES; i++) {
        if (!has_middle && op->levels[i] >= 0.5) {
            if (op->levels[i] > 0.5 && n + 1 < LOSS_QUANTILES)
                c->levels[n++] = 0.5;
            has_middle = 1;
        }
        c->levels[n++] = op->levels[i];
    }
    if (!has_middle && n < LOSS_QUANTILES)
        c->levels[n++] = 0.5;
    c->n_levels = n;
}

static int l_predict(lua_State *L)
{
    struct tide_held *h = bind_tide_check(L, 1);
    struct predict_op in = {0}, *op;
    struct err e;

    luaL_checktype(L, 2, LUA_TTABLE);
    in.n_levels = opt_list(L, 3, "quantiles", in.levels, LOSS_QUANTILES - 1);
    for (int i = 0; i < in.n_levels; i++)
        if (!(in.levels[i] > 0 && in.levels[i] < 1) ||
            (i > 0 && !(in.levels[i] > in.levels[i - 1])))
            luaL_argerror(L, 3, "quantiles: rising values between 0 and 1 expected");
    in.horizon = (int)bind_opt_int(L, 3, "horizon", h->t->conf.output_chunk, 1,
                                   h->t->conf.output_chunk);
    in.threads = (int)bind_opt_int(L, 3, "threads", 1, 1, PAR_MAX);
    in.conf.samples = (int)bind_opt_int(L, 3, "samples", 0, 0, 100000);
    in.conf.seed = (uint64_t)bind_opt_int(L, 3, "seed", 1, INT64_MIN, INT64_MAX);
    in.conf.batch = (int)bind_opt_int(L, 3, "batch", 256, 1, 65536);
    in.conf.at = (int)bind_opt_int(L, 3, "at", 0, 0, INT32_MAX);
    if (h->changing)
        return busy(L);
    op = bind_work_new(L, sizeof *op, lua_gettop(L));
    in.work = op->work; /* what bind_work_new filled in */
    *op = in;
    op->work.work = predict_work;
    op->work.finish = predict_finish;
    op->work.free = predict_free;
    h->refs++;
    op->h = h;
    op->work.ended = predict_ended;
    if (bind_tide_set(L, 2, &h->t->conf, &op->set, &e) != 0) {
        bind_work_drop(&op->work);
        return bind_raise(L, &e);
    }
    if (op->conf.at == 0)
        op->conf.at = op->set.d.T;
    if (op->conf.samples > 0)
        sample_levels(op);
    h->reading++;
    return bind_work_start(L, &op->work);
}

static const luaL_Reg METHODS[] = {
    {"predict", l_predict}, {"save", l_save}, {"options", l_options}, {"params", l_params},
    {"meta", l_meta},       {"close", l_close}, {"export", l_export}, {NULL, NULL},
};

static const luaL_Reg META[] = {{"__gc", l_close}, {"__close", l_close}, {NULL, NULL}};

static const luaL_Reg FUNCTIONS[] = {
    {"new", l_new}, {"load", l_load}, {"fit", bind_tide_fit_new}, {NULL, NULL}};

int luaopen_core_tide(lua_State *L)
{
    bind_class(L, BIND_TIDE, METHODS, META);
    bind_tide_fit_open(L);
    luaL_newlib(L, FUNCTIONS);
    return 1;
}
