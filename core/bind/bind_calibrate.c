/*
 * bind_calibrate.c - core.calibrate: scores to probabilities, and thresholds. lua/calibrate.lua is the
 * face. Everything is computed at once, on the loop: rows are those of a validation set.
 *
 *   platt(score, label, weight?) --> a, b
 *   isotonic(score, label, weight?) --> xs, ys
 *   threshold(rule, p, label, weight?, false_cost, missed_cost) --> table
 */
#include <string.h>

#include "bind/bind.h"
#include "bind/bind_all.h"
#include "bind/bind_numbers.h"
#include "model/calibrate.h"

/* Numbers at `index` as doubles in Lua's memory: may raise, never leaks. */
static double *column(lua_State *L, int index, size_t *n)
{
    struct numbers x;
    double *out;

    bind_numbers_get(L, index, &x);
    out = lua_newuserdatauv(L, (x.v.n + 1) * sizeof *out, 0);
    for (size_t i = 0; i < x.v.n; i++)
        out[i] = metric_at(&x.v, i);
    *n = x.v.n;
    return out;
}

struct columns {
    double *score, *label, *weight;
    size_t n;
};

/* score, label and perhaps weight from `index` on. */
static void get_columns(lua_State *L, int index, struct columns *c)
{
    size_t n_label, n_weight;

    c->score = column(L, index, &c->n);
    c->label = column(L, index + 1, &n_label);
    c->weight = NULL;
    luaL_argcheck(L, n_label == c->n, index + 1, "as many labels as scores expected");
    if (lua_isnoneornil(L, index + 2))
        return;
    c->weight = column(L, index + 2, &n_weight);
    luaL_argcheck(L, n_weight == c->n, index + 2, "as many weights as scores expected");
}

static int l_platt(lua_State *L)
{
    struct calibrate_platt c;
    struct columns x;
    struct err e;

    lua_settop(L, 3);
    get_columns(L, 1, &x);
    if (calibrate_platt_fit(&c, x.score, x.label, x.weight, x.n, &e) != 0)
        return bind_fail(L, &e);
    lua_pushnumber(L, c.a);
    lua_pushnumber(L, c.b);
    return 2;
}

static int l_isotonic(lua_State *L)
{
    struct calibrate_isotonic c;
    struct columns x;
    struct err e;
    double *xs;
    size_t n;

    lua_settop(L, 3);
    get_columns(L, 1, &x);
    xs = lua_newuserdatauv(L, (4 * x.n + 1) * sizeof *xs, 0);
    if (calibrate_isotonic_fit(&c, x.score, x.label, x.weight, x.n, &e) != 0)
        return bind_fail(L, &e);
    n = c.n; /* at most two per row */
    memcpy(xs, c.x, n * sizeof *xs);
    memcpy(xs + n, c.y, n * sizeof *xs);
    calibrate_isotonic_deinit(&c);
    for (int k = 0; k < 2; k++) {
        lua_createtable(L, (int)n, 0);
        for (size_t i = 0; i < n; i++) {
            lua_pushnumber(L, xs[(size_t)k * n + i]);
            lua_rawseti(L, -2, (lua_Integer)i + 1);
        }
    }
    return 2;
}

static int l_threshold(lua_State *L)
{
    static const char *const rules[] = { "f1", "accuracy", "balanced", "cost", NULL };
    enum calibrate_rule rule = (enum calibrate_rule)luaL_checkoption(L, 1, "f1", rules);
    double false_cost = luaL_optnumber(L, 5, 1), missed_cost = luaL_optnumber(L, 6, 1);
    struct calibrate_choice c;
    struct columns x;
    struct err e;

    luaL_argcheck(L, false_cost >= 0 && missed_cost >= 0, 5, "costs of at least 0 expected");
    lua_settop(L, 6);
    get_columns(L, 2, &x);
    if (calibrate_threshold(&c, rule, false_cost, missed_cost, x.score, x.label, x.weight, x.n,
                            &e) != 0)
        return bind_fail(L, &e);
    lua_createtable(L, 0, 5);
    lua_pushnumber(L, c.threshold);
    lua_setfield(L, -2, "threshold");
    lua_pushnumber(L, c.value);
    lua_setfield(L, -2, "value");
    lua_pushnumber(L, c.precision);
    lua_setfield(L, -2, "precision");
    lua_pushnumber(L, c.recall);
    lua_setfield(L, -2, "recall");
    lua_pushnumber(L, c.accuracy);
    lua_setfield(L, -2, "accuracy");
    return 1;
}

static const luaL_Reg FUNCTIONS[] = {
    { "platt", l_platt },
    { "isotonic", l_isotonic },
    { "threshold", l_threshold },
    { NULL, NULL },
};

int luaopen_core_calibrate(lua_State *L)
{
    luaL_newlib(L, FUNCTIONS);
    return 1;
}
