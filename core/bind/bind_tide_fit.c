/*
 * bind_tide_fit.c - data sets for TiDE, and training it an epoch at a time.
 *
 *   core.tide.fit(model, data, opt) --> fit
 *   fit:epoch() --> report table (waits); its `finished` says the model is ready
 *   fit:save(path), fit:load(path)  checkpoint (wait)         fit:close()
 *
 * One operation of a fit runs at a time; closing waits for nobody: the state is counted and freed
 * with its last user. A cancelled epoch may be called again and goes on where it was. Between epochs
 * the model may forecast, with the weights it has then.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "bind/bind_tensor.h"
#include "bind/bind_tide.h"
#include "bind/bind_work.h"
#include "model/tide_fit.h"

/* --- data --- */

void bind_tide_set_free(struct tide_set *set)
{
    for (int i = 0; i < TIDE_HELD; i++) {
        tensor_free(set->held[i]);
        set->held[i] = NULL;
    }
    mem_free(set->keep);
    set->keep = NULL;
}

/* Field `name` of the table at `arg`, dense, into held[i]. 1 found, 0 absent, -1 with e. */
static int take(lua_State *L, int arg, const char *name, struct tide_set *set, int i,
                struct err *e)
{
    struct tensor *t;
    int rc;

    if (lua_getfield(L, arg, name) == LUA_TNIL) {
        lua_pop(L, 1);
        return 0;
    }
    t = luaL_testudata(L, -1, BIND_TENSOR) != NULL ? *(struct tensor **)lua_touserdata(L, -1)
                                                   : NULL;
    rc = t == NULL ? err_set(e, ERR_INVALID, "%s is %s, expected a tensor that is open", name,
                             luaL_typename(L, -1))
                   : tensor_reshape(&set->held[i], t, t->n_dims, t->shape, e);
    lua_pop(L, 1);
    return rc == 0 ? 1 : -1;
}

/* The tensor has the given sizes; -1 stands for any. `lead` dimensions may be left out in front. */
static int fits(const struct tensor *t, const char *name, const ptrdiff_t *want, int n, int lead,
                struct err *e)
{
    char text[96], expected[96] = "";
    size_t len = 0;
    int off = n - t->n_dims, ok = off >= 0 && off <= lead;

    for (int i = 0; ok && i < t->n_dims; i++)
        ok = want[i + off] < 0 || t->shape[i] == want[i + off];
    if (ok)
        return 0;
    for (int i = 0; i < n && len < sizeof expected; i++)
        len += (size_t)snprintf(expected + len, sizeof expected - len,
                                want[i] < 0 ? "%sany" : "%s%td", i > 0 ? ", " : "", want[i]);
    return err_set(e, ERR_SHAPE, "%s is %s, expected (%s)", name,
                   tensor_shape_text(t, text, sizeof text), expected);
}

static int flag(lua_State *L, int arg, const char *name)
{
    int v;

    lua_getfield(L, arg, name);
    v = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return v;
}

int bind_tide_set(lua_State *L, int arg, const struct tide_conf *c, struct tide_set *set,
                  struct err *e)
{
    struct tide_data *d = &set->d;
    ptrdiff_t want[3];
    int rc, i;

    memset(set, 0, sizeof *set);
    if ((rc = take(L, arg, "target", set, 0, e)) <= 0)
        return rc < 0 ? -1 : err_set(e, ERR_INVALID, "the data have no target");
    const struct tensor *y = set->held[0];
    if (y->n_dims < 2 || y->n_dims > 3 || (y->n_dims == 2 ? 1 : y->shape[2]) != c->n_targets ||
        y->shape[0] > INT32_MAX / 2 || y->shape[1] > INT32_MAX / 2) {
        char text[96];
        return err_set(e, ERR_SHAPE, "target is %s, expected (series, steps%s) with %d targets",
                       tensor_shape_text(y, text, sizeof text),
                       c->n_targets > 1 ? ", targets" : "", c->n_targets);
    }
    d->N = (int)y->shape[0];
    d->T = d->T_future = (int)y->shape[1];
    d->y = y->data;
    want[0] = d->N;
    want[1] = d->T;
    want[2] = c->past_cov;
    if ((rc = take(L, arg, "past", set, 1, e)) < 0 ||
        (rc > 0 && fits(set->held[1], "past", want, 3, 1, e) != 0))
        return -1;
    d->past = c->past_cov > 0 && rc > 0 ? set->held[1]->data : NULL;
    d->past_shared = rc > 0 && set->held[1]->n_dims == 2;
    want[1] = -1;
    want[2] = c->future_cov;
    if ((rc = take(L, arg, "future", set, 2, e)) < 0 ||
        (rc > 0 && fits(set->held[2], "future", want, 3, 1, e) != 0))
        return -1;
    if (rc > 0 && c->future_cov > 0) {
        i = set->held[2]->n_dims - 2;
        if (set->held[2]->shape[i] > INT32_MAX / 2)
            return err_set(e, ERR_LIMIT, "future covariates of %td steps", set->held[2]->shape[i]);
        d->future = set->held[2]->data;
        d->future_shared = i == 0;
        d->T_future = (int)set->held[2]->shape[i];
    }
    want[1] = c->static_cov;
    if ((rc = take(L, arg, "static", set, 3, e)) < 0 ||
        (rc > 0 && fits(set->held[3], "static", want, 2, 0, e) != 0))
        return -1;
    d->fixed = c->static_cov > 0 && rc > 0 ? set->held[3]->data : NULL;
    want[1] = d->T;
    if ((rc = take(L, arg, "weight", set, 4, e)) < 0 ||
        (rc > 0 && fits(set->held[4], "weight", want, 2, 0, e) != 0))
        return -1;
    d->weight = rc > 0 ? set->held[4]->data : NULL;
    if ((rc = take(L, arg, "keep", set, 5, e)) < 0 ||
        (rc > 0 && fits(set->held[5], "keep", want, 2, 0, e) != 0))
        return -1;
    if (rc > 0) {
        size_t n = tensor_count(set->held[5]);
        set->keep = mem_alloc(n);
        if (set->keep == NULL)
            return err_set(e, ERR_NOMEM, "no memory for %zu marks", n);
        for (size_t j = 0; j < n; j++)
            set->keep[j] = set->held[5]->data[j] > 0;
        d->keep = set->keep;
    }
    d->weight_lookback = flag(L, arg, "weight_lookback");
    d->missing = flag(L, arg, "missing");
    return 0;
}

/* --- a fit --- */

struct fit {
    int refs, busy;
    int owns; /* the model's parameters */
    struct tide_held *h;
    struct tide_set set;
    struct par *par;
    struct tide_fit *f;
};

struct box {
    struct fit *fit; /* NULL when closed */
};

/* The model is whole: others may use it. */
static void release(struct fit *f)
{
    if (f->owns)
        f->h->training = 0;
    f->owns = 0;
}

static void fit_drop(struct fit *f)
{
    if (f == NULL || --f->refs > 0)
        return;
    tide_fit_free(f->f);
    par_free(f->par);
    bind_tide_set_free(&f->set);
    release(f);
    bind_tide_drop(f->h);
    mem_free(f);
}

static struct fit *check_fit(lua_State *L)
{
    struct box *b = luaL_checkudata(L, 1, BIND_TIDE_FIT);
    struct err e;

    if (b->fit == NULL)
        luaL_argerror(L, 1, "this fit is closed");
    if (b->fit->busy) {
        err_set(&e, ERR_BUSY, "this fit is at work");
        bind_raise(L, &e);
    }
    return b->fit;
}

static void check_optim(lua_State *L, int arg, struct optim_conf *o)
{
    const char *name = bind_opt_text(L, arg, "optimizer", "adam");
    int kind = optim_kind_of(name);

    if (kind < 0)
        luaL_argerror(L, arg, lua_pushfstring(L, "optimizer is %s, expected adam, adamw or sgd",
                                              name));
    o->kind = (enum optim_kind)kind;
    o->weight_decay = bind_opt_number(L, arg, "weight_decay", 0, 0, 1e6);
    o->momentum = bind_opt_number(L, arg, "momentum", 0, 0, 1);
    o->clip_norm = bind_opt_number(L, arg, "clip_norm", 0, 0, 1e30);
    o->beta1 = bind_opt_number(L, arg, "beta1", o->beta1, 0, 1);
    o->beta2 = bind_opt_number(L, arg, "beta2", o->beta2, 0, 1);
    o->eps = bind_opt_number(L, arg, "eps", o->eps, 0, 1);
    o->amsgrad = bind_opt_bool(L, arg, "amsgrad", 0);
}

static void check_options(lua_State *L, int arg, struct tide_fit_conf *c)
{
    const char *schedule = bind_opt_text(L, arg, "schedule", "const");
    int kind = tide_schedule_of(schedule);
    const lua_Integer big = INT32_MAX / 2;

    tide_fit_conf_init(c);
    check_optim(L, arg, &c->optim);
    if (kind < 0)
        luaL_argerror(L, arg, lua_pushfstring(L, "schedule is %s, expected const, cosine, "
                                              "restarts, one_cycle or plateau", schedule));
    c->schedule = (enum tide_schedule)kind;
    c->lr = bind_opt_number(L, arg, "lr", c->lr, 0, 1e6);
    c->lr_floor = bind_opt_number(L, arg, "lr_floor", 0, 0, 1e6);
    c->T0 = bind_opt_number(L, arg, "T_0", c->T0, 0, 1e12);
    c->T_mult = (int)bind_opt_int(L, arg, "T_mult", c->T_mult, 1, 1000);
    c->cycle_div = bind_opt_number(L, arg, "cycle_div", c->cycle_div, 1, 1e12);
    c->cycle_final = bind_opt_number(L, arg, "cycle_final", c->cycle_final, 1, 1e12);
    c->cycle_warm = bind_opt_number(L, arg, "cycle_warm", c->cycle_warm, 0, 1);
    c->plateau_factor = bind_opt_number(L, arg, "plateau_factor", c->plateau_factor, 0, 1);
    c->plateau_patience = (int)bind_opt_int(L, arg, "plateau_patience", c->plateau_patience, 0,
                                            big);
    c->batch = (int)bind_opt_int(L, arg, "batch_size", c->batch, 1, 65536);
    c->epochs = (int)bind_opt_int(L, arg, "epochs", c->epochs, 1, 1000000);
    c->max_steps = (int)bind_opt_int(L, arg, "max_steps", 0, 0, big);
    c->seed = (uint64_t)bind_opt_int(L, arg, "seed", 1, INT64_MIN, INT64_MAX);
    c->train_from = (int)bind_opt_int(L, arg, "train_from", 0, 0, big);
    c->valid_from = (int)bind_opt_int(L, arg, "valid_from", 0, 0, big);
    c->valid_to = (int)bind_opt_int(L, arg, "valid_to", 0, 0, big);
    c->stride = (int)bind_opt_int(L, arg, "stride", 1, 1, big);
    c->patience = (int)bind_opt_int(L, arg, "patience", 0, 0, big);
    c->min_delta = bind_opt_number(L, arg, "min_delta", 0, 0, 1e30);
    c->swa_start = (int)bind_opt_int(L, arg, "swa_epoch_start", -1, -1, big);
    c->swa_lr = bind_opt_number(L, arg, "swa_lr", c->swa_lr, 0, 1e6);
    c->swa_anneal = (int)bind_opt_int(L, arg, "annealing_epochs", c->swa_anneal, 0, big);
    c->refit = bind_opt_bool(L, arg, "refit", 0);
    c->warm = bind_opt_bool(L, arg, "warm", 0);
    c->refit_factor = bind_opt_number(L, arg, "refit_factor", c->refit_factor, 0, 100);
}

int bind_tide_fit_new(lua_State *L)
{
    struct tide_held *h = bind_tide_check(L, 1);
    struct tide_fit_conf conf;
    struct err e;
    int threads;

    luaL_checktype(L, 2, LUA_TTABLE);
    if (lua_isnoneornil(L, 3)) {
        lua_settop(L, 2);
        lua_newtable(L);
    }
    check_options(L, 3, &conf);
    threads = (int)bind_opt_int(L, 3, "threads", 0, 0, PAR_MAX);
    if (threads == 0) {
        struct pool *pool = bind_work_pool(L, &e);
        threads = pool != NULL ? (int)pool_threads(pool) : 1;
        threads = threads > PAR_MAX ? PAR_MAX : threads;
    }
    if (h->training) {
        err_set(&e, ERR_BUSY, "this model is being trained");
        return bind_raise(L, &e);
    }
    struct box *b = lua_newuserdatauv(L, sizeof *b, 0);
    b->fit = NULL;
    luaL_setmetatable(L, BIND_TIDE_FIT);
    b->fit = mem_zero(1, sizeof *b->fit);
    if (b->fit == NULL)
        return luaL_error(L, "not enough memory");
    b->fit->refs = 1;
    if (tide_own(h->t, &e) != 0 || bind_tide_set(L, 2, &h->t->conf, &b->fit->set, &e) != 0 ||
        par_new(&b->fit->par, threads, &e) != 0 ||
        tide_fit_new(&b->fit->f, h->t, &b->fit->set.d, &conf, b->fit->par, &e) != 0)
        return bind_raise(L, &e); /* the box owns what there is */
    h->refs++;
    h->training = 1;
    b->fit->h = h;
    b->fit->owns = 1;
    return 1;
}

/* --- operations on the pool --- */

struct fit_op {
    struct bind_work work;
    struct fit *fit;
    char *path;
    struct tide_report report;
    int finished;
};

static void op_ended(struct bind_work *w)
{
    struct fit *f = ((struct fit_op *)w)->fit;

    f->busy = 0;
    f->h->changing = 0;
}

static void op_free(struct bind_work *w)
{
    struct fit_op *op = (struct fit_op *)w;

    fit_drop(op->fit);
    mem_free(op->path);
}

static int epoch_work(struct bind_work *w, struct err *e)
{
    struct fit_op *op = (struct fit_op *)w;
    int rc = 0;

    while (rc == 0)
        rc = tide_fit_step(op->fit->f, &w->job.cancelled, e);
    op->report = op->fit->f->report;
    op->finished = op->fit->f->s.finished;
    return rc < 0 ? -1 : 0;
}

static void set_number(lua_State *L, const char *name, double v)
{
    if (isnan(v))
        return;
    lua_pushnumber(L, v);
    lua_setfield(L, -2, name);
}

static int epoch_finish(lua_State *L, struct bind_work *w)
{
    const struct fit_op *op = (const struct fit_op *)w;
    const struct tide_report *r = &op->report;

    if (op->finished)
        release(op->fit);
    lua_createtable(L, 0, 12);
    lua_pushinteger(L, r->phase);
    lua_setfield(L, -2, "phase");
    lua_pushinteger(L, r->epoch);
    lua_setfield(L, -2, "epoch");
    lua_pushinteger(L, r->epochs);
    lua_setfield(L, -2, "epochs");
    lua_pushinteger(L, r->best_epoch);
    lua_setfield(L, -2, "best_epoch");
    lua_pushinteger(L, (lua_Integer)r->steps);
    lua_setfield(L, -2, "steps");
    lua_pushboolean(L, op->finished);
    lua_setfield(L, -2, "finished");
    set_number(L, "train_loss", r->train_loss);
    set_number(L, "valid_loss", r->valid_loss);
    set_number(L, "best_loss", isinf(r->best_loss) ? NAN : r->best_loss);
    set_number(L, "lr", r->lr);
    set_number(L, "grad_norm", r->grad_norm);
    set_number(L, "seconds", r->seconds);
    return 1;
}

static int save_work(struct bind_work *w, struct err *e)
{
    struct fit_op *op = (struct fit_op *)w;

    return tide_fit_save(op->fit->f, op->path, e);
}

static int load_work(struct bind_work *w, struct err *e)
{
    struct fit_op *op = (struct fit_op *)w;

    return tide_fit_load(op->fit->f, op->path, e);
}

static int start(lua_State *L, struct fit *f, const char *path,
                 int (*work)(struct bind_work *, struct err *))
{
    struct fit_op *op;
    struct err e;

    if (f->h->reading > 0) {
        err_set(&e, ERR_BUSY, "this model is forecasting");
        return bind_raise(L, &e);
    }
    op = bind_work_new(L, sizeof *op, lua_gettop(L));
    f->refs++;
    f->busy = f->h->changing = 1;
    op->fit = f;
    op->work.work = work;
    op->work.ended = op_ended;
    op->work.free = op_free;
    op->work.finish = path == NULL ? epoch_finish : NULL;
    if (path != NULL && (op->path = mem_dup(path)) == NULL) {
        f->busy = f->h->changing = 0;
        err_set(&e, ERR_NOMEM, "no memory");
        bind_work_drop(&op->work);
        return bind_raise(L, &e);
    }
    return bind_work_start(L, &op->work);
}

static int l_epoch(lua_State *L)
{
    return start(L, check_fit(L), NULL, epoch_work);
}

static int l_save(lua_State *L)
{
    return start(L, check_fit(L), luaL_checkstring(L, 2), save_work);
}

static int l_load(lua_State *L)
{
    return start(L, check_fit(L), luaL_checkstring(L, 2), load_work);
}

static int l_close(lua_State *L) /* close, __close, __gc */
{
    struct box *b = luaL_checkudata(L, 1, BIND_TIDE_FIT);

    fit_drop(b->fit);
    b->fit = NULL;
    return 0;
}

static const luaL_Reg METHODS[] = {
    {"epoch", l_epoch}, {"save", l_save}, {"load", l_load}, {"close", l_close}, {NULL, NULL},
};

static const luaL_Reg META[] = {{"__gc", l_close}, {"__close", l_close}, {NULL, NULL}};

void bind_tide_fit_open(lua_State *L)
{
    bind_class(L, BIND_TIDE_FIT, METHODS, META);
}
