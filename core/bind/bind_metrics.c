/*
 * bind_metrics.c - core.metrics: scores of forecasts. lua/metrics.lua is the face.
 *
 *   point(actual, forecast, opt?) --> table of scores         opt: weight, train, season
 *   quantile(actual, forecast, levels, opt?) --> table        opt: weight, level_weight
 *   samples(actual, samples, opt?) --> crps, fair             opt: weight
 *   class(label, score, opt?) --> table                       opt: weight
 *   class_at(label, score, threshold, opt?) --> table         opt: weight
 *   calibration(label, score, bins, opt?) --> table, ece      opt: weight
 *   interval(opt) --> state                                   MIWS or MIC, see metric_interval.h
 *     state:add(samples, actual)  state:value()  state:ratio(mic)  state:groups()
 *   backtest(season) --> state
 *     state:add(history, actual, mean, quantile?, levels?)  state:scores()
 *   demand(series) --> table                                  adi, cv2, class
 *
 * A score that is not defined is absent. Numbers are tensors or tables (bind_numbers.h).
 */
#include <math.h>
#include <string.h>

#include "bind/bind.h"
#include "bind/bind_all.h"
#include "bind/bind_numbers.h"
#include "model/backtest.h"
#include "model/metric_class.h"
#include "model/metric_interval.h"
#include "model/metric_point.h"
#include "model/metric_quantile.h"

#define INTERVAL "core.metrics.interval"
#define BACKTEST "core.metrics.backtest"
#define LEVELS_MAX 999
#define BINS_MAX 1000

/* Sets a field of the table on top; not a number = not defined = absent. */
static void set_score(lua_State *L, const char *name, double value)
{
    if (isnan(value))
        return;
    lua_pushnumber(L, value);
    lua_setfield(L, -2, name);
}

static void set_count(lua_State *L, const char *name, size_t n)
{
    lua_pushinteger(L, (lua_Integer)n);
    lua_setfield(L, -2, name);
}

static void set_list(lua_State *L, const char *name, const double *x, size_t n)
{
    lua_createtable(L, (int)n, 0);
    for (size_t i = 0; i < n; i++) {
        lua_pushnumber(L, x[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_setfield(L, -2, name);
}

static int l_point(lua_State *L)
{
    struct numbers y, f, w, x;
    struct metric_point p;
    struct err e;
    size_t season = (size_t)bind_opt_int(L, 3, "season", 1, 1, 1000000);

    lua_settop(L, 3);
    bind_numbers_get(L, 1, &y);
    bind_numbers_get(L, 2, &f);
    bind_numbers_field(L, 3, "weight", &w);
    bind_numbers_field(L, 3, "train", &x);
    if (metric_point_calc(&p, &y.v, &f.v, &w.v, &x.v, season, &e) != 0)
        return bind_fail(L, &e);
    lua_createtable(L, 0, 18);
    set_score(L, "mae", p.mae);
    set_score(L, "mse", p.mse);
    set_score(L, "rmse", p.rmse);
    set_score(L, "bias", p.bias);
    set_score(L, "bias_share", p.bias_share);
    set_score(L, "medae", p.medae);
    set_score(L, "max_error", p.max_error);
    set_score(L, "mape_nonzero", p.mape_nonzero);
    set_score(L, "mape_eps", p.mape_eps);
    set_score(L, "mape_one", p.mape_one);
    set_score(L, "smape", p.smape);
    set_score(L, "wape", p.wape);
    set_score(L, "r2", p.r2);
    set_score(L, "mase", p.mase);
    set_score(L, "rmsse", p.rmsse);
    set_score(L, "rmsse_m5", p.rmsse_m5);
    set_count(L, "n", p.n);
    set_count(L, "mape_nonzero_n", p.mape_nonzero_n);
    return 1;
}

/* The levels at `index`, as doubles of their own; pushes one userdata. */
static size_t get_levels(lua_State *L, int index, const double **levels)
{
    struct numbers n;
    double *to;

    bind_numbers_get(L, index, &n);
    luaL_argcheck(L, n.n_dims == 1 && n.v.n <= LEVELS_MAX, index, "a list of quantile levels");
    to = lua_newuserdatauv(L, (n.v.n + 1) * sizeof *to, 0);
    lua_remove(L, -2);
    for (size_t i = 0; i < n.v.n; i++)
        to[i] = metric_at(&n.v, i);
    *levels = to;
    return n.v.n;
}

static int l_quantile(lua_State *L)
{
    struct numbers y, f, w, lw;
    struct metric_quantile q;
    const double *levels;
    double *per;
    size_t Q;
    struct err e;

    lua_settop(L, 4);
    bind_numbers_get(L, 1, &y);
    bind_numbers_get(L, 2, &f);
    Q = get_levels(L, 3, &levels);
    bind_numbers_field(L, 4, "weight", &w);
    if (bind_numbers_field(L, 4, "level_weight", &lw))
        luaL_argcheck(L, lw.v.n == Q && lw.v.d != NULL, 4, "level_weight: a list, one per level");
    per = lua_newuserdatauv(L, (3 * Q + 1) * sizeof *per, 0);
    q = (struct metric_quantile){.pinball = per, .wql = per + Q, .below = per + 2 * Q};
    if (metric_quantile_calc(&q, &y.v, &f.v, levels, Q, &w.v, lw.v.d, &e) != 0)
        return bind_fail(L, &e);
    lua_createtable(L, 0, 14);
    set_score(L, "pinball", q.pinball_mean);
    set_score(L, "pinball_weighted", q.pinball_weighted);
    set_score(L, "wql", q.wql_mean);
    set_score(L, "crps", q.crps_mean);
    set_score(L, "crps_trapezoid", q.crps_trapezoid);
    set_score(L, "coverage", q.coverage);
    set_score(L, "width", q.width);
    set_score(L, "winkler", q.winkler);
    set_count(L, "crossings", q.crossings);
    set_count(L, "n", q.n);
    set_list(L, "pinball_per_quantile", q.pinball, Q);
    set_list(L, "wql_per_quantile", q.wql, isnan(q.wql_mean) ? 0 : Q);
    set_list(L, "below_per_quantile", q.below, Q);
    return 1;
}

static int l_samples(lua_State *L)
{
    struct numbers y, s, w;
    double crps, fair;
    struct err e;

    lua_settop(L, 3);
    bind_numbers_get(L, 1, &y);
    bind_numbers_get(L, 2, &s);
    bind_numbers_field(L, 3, "weight", &w);
    luaL_argcheck(L, s.n_dims >= 2, 2, "rows of samples expected");
    if (metric_quantile_samples(&crps, &fair, &y.v, &s.v, s.shape[s.n_dims - 1], &w.v, &e) != 0)
        return bind_fail(L, &e);
    lua_pushnumber(L, crps);
    if (isnan(fair))
        lua_pushnil(L);
    else
        lua_pushnumber(L, fair);
    return 2;
}

static int l_class(lua_State *L)
{
    struct numbers y, s, w;
    struct metric_class m;
    struct err e;

    lua_settop(L, 3);
    bind_numbers_get(L, 1, &y);
    bind_numbers_get(L, 2, &s);
    bind_numbers_field(L, 3, "weight", &w);
    if (metric_class_calc(&m, &y.v, &s.v, &w.v, &e) != 0)
        return bind_fail(L, &e);
    lua_createtable(L, 0, 8);
    set_score(L, "auc", m.roc_auc);
    set_score(L, "average_precision", m.average_precision);
    set_score(L, "brier", m.brier);
    set_score(L, "logloss", m.logloss);
    set_score(L, "best_f1", m.best_f1);
    set_score(L, "best_threshold", m.best_threshold);
    set_score(L, "base_rate", m.base_rate);
    set_count(L, "n", m.n);
    return 1;
}

static int l_class_at(lua_State *L)
{
    struct numbers y, s, w;
    struct metric_class_at m;
    double threshold = luaL_checknumber(L, 3);
    struct err e;

    lua_settop(L, 4);
    bind_numbers_get(L, 1, &y);
    bind_numbers_get(L, 2, &s);
    bind_numbers_field(L, 4, "weight", &w);
    if (metric_class_threshold(&m, &y.v, &s.v, &w.v, threshold, &e) != 0)
        return bind_fail(L, &e);
    lua_createtable(L, 0, 9);
    set_score(L, "threshold", threshold);
    set_score(L, "tp", m.tp);
    set_score(L, "fp", m.fp);
    set_score(L, "fn", m.fn);
    set_score(L, "tn", m.tn);
    set_score(L, "precision", m.precision);
    set_score(L, "recall", m.recall);
    set_score(L, "f1", m.f1);
    set_score(L, "accuracy", m.accuracy);
    return 1;
}

static int l_calibration(lua_State *L)
{
    struct numbers y, s, w;
    lua_Integer n = luaL_checkinteger(L, 3);
    struct metric_class_bin *bins;
    double ece;
    struct err e;

    luaL_argcheck(L, n >= 1 && n <= BINS_MAX, 3, "1 to 1000 bins expected");
    lua_settop(L, 4);
    bind_numbers_get(L, 1, &y);
    bind_numbers_get(L, 2, &s);
    bind_numbers_field(L, 4, "weight", &w);
    bins = lua_newuserdatauv(L, (size_t)n * sizeof *bins, 0);
    if (metric_class_calibration(bins, (size_t)n, &ece, &y.v, &s.v, &w.v, &e) != 0)
        return bind_fail(L, &e);
    lua_createtable(L, (int)n, 0);
    for (lua_Integer i = 0; i < n; i++) {
        lua_createtable(L, 0, 5);
        set_score(L, "low", (double)i / (double)n);
        set_score(L, "high", (double)(i + 1) / (double)n);
        set_score(L, "weight", bins[i].weight);
        set_score(L, "mean_score", bins[i].mean_score);
        set_score(L, "yes_rate", bins[i].yes_rate);
        lua_rawseti(L, -2, i + 1);
    }
    lua_pushnumber(L, ece);
    return 2;
}

static int l_demand(lua_State *L)
{
    struct numbers y;
    struct baseline_demand_class c;
    double *copy;

    lua_settop(L, 1);
    bind_numbers_get(L, 1, &y);
    copy = lua_newuserdatauv(L, (y.v.n + 1) * sizeof *copy, 0);
    for (size_t i = 0; i < y.v.n; i++)
        copy[i] = metric_at(&y.v, i);
    c = baseline_demand_of(copy, y.v.n);
    lua_createtable(L, 0, 3);
    set_score(L, "adi", c.adi);
    set_score(L, "cv2", c.cv2);
    if (c.name != NULL) {
        lua_pushstring(L, c.name);
        lua_setfield(L, -2, "class");
    }
    return 1;
}

/* ---- MIWS and MIC ---- */

static struct metric_interval *check_interval(lua_State *L, int arg)
{
    return luaL_checkudata(L, arg, INTERVAL);
}

static int l_interval(lua_State *L)
{
    static const char *const kinds[] = {"miws", "mic", NULL};
    static const char *const directions[] = {"none", "min", "max", NULL};
    struct metric_interval *m;
    struct metric_interval_opt o;
    struct err e;
    int half;

    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    lua_getfield(L, 1, "kind");
    o.kind = (enum metric_interval_kind)luaL_checkoption(L, 2, NULL, kinds);
    half = bind_opt_bool(L, 1, "for_ratio", 0);
    o = half ? metric_interval_half(o.kind, 0) : metric_interval_plain(o.kind, 0);
    o.single = bind_opt_bool(L, 1, "single", 0);
    o.q_lo = bind_opt_number(L, 1, "low", o.q_lo, 0, 1);
    o.q_hi = bind_opt_number(L, 1, "high", o.q_hi, 0, 1);
    o.zero_thresh = bind_opt_number(L, 1, "zero_threshold", o.zero_thresh, -1e9, 1e9);
    o.nonzero_thresh = bind_opt_number(L, 1, "nonzero_threshold", o.nonzero_thresh, -1e9, 1e9);
    o.exp_base = bind_opt_number(L, 1, "base", o.exp_base, 1, 1e9);
    lua_getfield(L, 1, "direction");
    if (!lua_isnil(L, 3))
        o.direction = (enum metric_direction)luaL_checkoption(L, 3, NULL, directions);
    m = lua_newuserdatauv(L, sizeof *m, 0);
    if (metric_interval_init(m, &o, &e) != 0)
        return bind_fail(L, &e);
    luaL_setmetatable(L, INTERVAL);
    return 1;
}

static int l_interval_add(lua_State *L)
{
    struct metric_interval *m = check_interval(L, 1);
    struct numbers x, y;
    struct err e;

    lua_settop(L, 3);
    bind_numbers_get(L, 2, &x);
    bind_numbers_get(L, 3, &y);
    luaL_argcheck(L, x.n_dims >= 2 || x.v.n == 0, 2, "rows of samples expected");
    if (metric_interval_add(m, &x.v, x.v.n == 0 ? 1 : x.shape[x.n_dims - 1], &y.v, &e) != 0)
        return bind_fail(L, &e);
    lua_settop(L, 1);
    return 1;
}

static int l_interval_value(lua_State *L)
{
    double value;
    struct err e;

    if (metric_interval_value(&value, check_interval(L, 1), &e) != 0)
        return bind_fail(L, &e);
    lua_pushnumber(L, value);
    return 1;
}

static int l_interval_ratio(lua_State *L)
{
    struct metric_interval *miws = check_interval(L, 1), *mic = check_interval(L, 2);
    double value;
    struct err e;

    luaL_argcheck(L, miws->opt.kind == METRIC_MIWS, 1, "a MIWS expected");
    luaL_argcheck(L, mic->opt.kind == METRIC_MIC, 2, "a MIC expected");
    if (metric_interval_ratio(&value, miws, mic, &e) != 0)
        return bind_fail(L, &e);
    lua_pushnumber(L, value);
    return 1;
}

static int l_interval_groups(lua_State *L)
{
    const struct metric_interval *m = check_interval(L, 1);

    lua_createtable(L, 0, 4);
    set_score(L, "zero_sum", m->zero_sum);
    set_score(L, "zero_count", m->zero_count);
    set_score(L, "nonzero_sum", m->nonzero_sum);
    set_score(L, "nonzero_count", m->nonzero_count);
    return 1;
}

/* ---- scores over rolling origins ---- */

static int l_backtest(lua_State *L)
{
    lua_Integer season = luaL_checkinteger(L, 1);
    struct backtest *b;

    luaL_argcheck(L, season >= 1 && season <= 1000000, 1, "a season of 1 or more expected");
    b = lua_newuserdatauv(L, sizeof *b, 0);
    backtest_init(b, (size_t)season);
    luaL_setmetatable(L, BACKTEST);
    return 1;
}

/* (N, …) as rows of everything behind the first dimension. */
static struct baseline_block get_rows(lua_State *L, int index)
{
    struct numbers n;
    size_t width = 1;

    bind_numbers_get(L, index, &n);
    luaL_argcheck(L, n.n_dims >= 2, index, "rows of numbers expected");
    for (int i = 1; i < n.n_dims; i++)
        width *= n.shape[i];
    return (struct baseline_block){n.v.d, n.v.f, n.shape[0], width, width};
}

static int l_backtest_add(lua_State *L)
{
    struct backtest *b = luaL_checkudata(L, 1, BACKTEST);
    struct baseline_block history, actual, mean, quantile = {0};
    const double *levels = NULL;
    size_t Q = 0;
    struct err e;

    lua_settop(L, 6);
    history = get_rows(L, 2);
    actual = get_rows(L, 3);
    mean = get_rows(L, 4);
    if (!lua_isnil(L, 5)) {
        quantile = get_rows(L, 5);
        Q = get_levels(L, 6, &levels);
    }
    if (backtest_add(b, &history, &actual, &mean, &quantile, levels, Q, &e) != 0)
        return bind_fail(L, &e);
    lua_settop(L, 1);
    return 1;
}

static int l_backtest_scores(lua_State *L)
{
    struct backtest_score s = backtest_finish(luaL_checkudata(L, 1, BACKTEST));

    lua_createtable(L, 0, 13);
    set_score(L, "mase", s.mase);
    set_score(L, "rmsse", s.rmsse);
    set_score(L, "mae", s.mae);
    set_score(L, "rmse", s.rmse);
    set_score(L, "smape", s.smape);
    set_score(L, "pinball", s.pinball);
    set_score(L, "pinball_scaled", s.pinball_scaled);
    set_score(L, "wql", s.wql);
    set_score(L, "coverage", s.coverage);
    set_score(L, "bias", s.bias);
    set_score(L, "wape", s.wape);
    set_count(L, "values", s.values);
    set_count(L, "undefined", s.undefined);
    return 1;
}

static const luaL_Reg INTERVAL_METHODS[] = {
    {"add", l_interval_add},       {"value", l_interval_value}, {"ratio", l_interval_ratio},
    {"groups", l_interval_groups}, {NULL, NULL},
};

static const luaL_Reg BACKTEST_METHODS[] = {
    {"add", l_backtest_add},
    {"scores", l_backtest_scores},
    {NULL, NULL},
};

static const luaL_Reg FUNCTIONS[] = {
    {"point", l_point},       {"quantile", l_quantile}, {"samples", l_samples},
    {"class", l_class},       {"class_at", l_class_at}, {"calibration", l_calibration},
    {"interval", l_interval}, {"backtest", l_backtest}, {"demand", l_demand},
    {NULL, NULL},
};

int luaopen_core_metrics(lua_State *L)
{
    bind_class(L, INTERVAL, INTERVAL_METHODS, NULL);
    bind_class(L, BACKTEST, BACKTEST_METHODS, NULL);
    luaL_newlib(L, FUNCTIONS);
    return 1;
}
