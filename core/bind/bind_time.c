/*
 * bind_time.c - core.time: clocks, RFC 3339, zones (base/date.h).
 *
 *   now() --> seconds since 1970, float        monotonic() --> seconds, float: for durations
 *   parse(text) --> seconds, nanos             or nil, message, code
 *   format(seconds [, zone [, digits]]) --> text
 *   parts(seconds [, zone]) --> table { year, month, day, hour, minute, second, weekday, yearday,
 *                                       offset, dst, zone }
 *   moment(zone or nil, year, month, day, hour, minute, second) --> seconds
 *   days(year, month, day) --> days since 1970-01-01 or nil, message, code       civil(days) --> y, m, d
 */
#include <math.h>
#include <string.h>
#include <time.h>

#include "base/date.h"
#include "bind/bind.h"
#include "bind/bind_all.h"

#define ZONE "core.time.zone"
#define ZONES "core.time.zones" /* registry: name -> box */
#define SECONDS_MIN (-62135596800.0) /* 0001-01-01 */
#define SECONDS_MAX 253402300799.0   /* 9999-12-31 */

struct box {
    struct date_zone *zone;
};

static int l_zone_gc(lua_State *L)
{
    struct box *b = luaL_checkudata(L, 1, ZONE);

    date_zone_close(b->zone);
    b->zone = NULL;
    return 0;
}

/* The zone named at `arg`, kept for the next time; NULL is UTC. -1: nil, message, code are pushed. */
static int get_zone(lua_State *L, int arg, const struct date_zone **out)
{
    const char *name = luaL_optstring(L, arg, NULL);
    struct err e;

    *out = NULL;
    if (name == NULL)
        return 0;
    luaL_getsubtable(L, LUA_REGISTRYINDEX, ZONES);
    if (lua_getfield(L, -1, name) == LUA_TUSERDATA) {
        *out = ((struct box *)lua_touserdata(L, -1))->zone;
        lua_pop(L, 2);
        return 0;
    }
    struct box *b = lua_newuserdatauv(L, sizeof *b, 0);
    b->zone = NULL;
    luaL_setmetatable(L, ZONE);
    if (date_zone_open(&b->zone, name, &e) != 0) {
        bind_fail(L, &e);
        return -1;
    }
    *out = b->zone;
    lua_setfield(L, -3, name);
    lua_pop(L, 2);
    return 0;
}

static int l_now(lua_State *L)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    lua_pushnumber(L, (lua_Number)t.tv_sec + (lua_Number)t.tv_nsec * 1e-9);
    return 1;
}

static int l_monotonic(lua_State *L)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    lua_pushnumber(L, (lua_Number)t.tv_sec + (lua_Number)t.tv_nsec * 1e-9);
    return 1;
}

static int l_parse(lua_State *L)
{
    size_t n;
    const char *s = luaL_checklstring(L, 1, &n);
    int64_t seconds;
    int nanos;
    struct err e;

    if (date_parse(s, n, &seconds, &nanos, &e) != 0)
        return bind_fail(L, &e);
    lua_pushinteger(L, seconds);
    lua_pushinteger(L, nanos);
    return 2;
}

static lua_Number check_seconds(lua_State *L, int arg)
{
    lua_Number t = luaL_checknumber(L, arg);

    luaL_argcheck(L, t >= SECONDS_MIN && t <= SECONDS_MAX, arg, "a moment of the years 1 to 9999 expected");
    return t;
}

static int l_format(lua_State *L)
{
    lua_Number t = check_seconds(L, 1);
    lua_Integer digits = luaL_optinteger(L, 3, 0);
    const struct date_zone *z;
    struct date_parts p;
    char text[DATE_TEXT_MAX];

    luaL_argcheck(L, digits >= 0 && digits <= 9, 3, "0 to 9 digits expected");
    if (get_zone(L, 2, &z) != 0)
        return 3;
    lua_Number whole = floor(t);
    date_local(z, (int64_t)whole, &p);
    lua_pushlstring(L, text, date_format(text, &p, (int)((t - whole) * 1e9), (int)digits));
    return 1;
}

static void set_int(lua_State *L, const char *field, int value)
{
    lua_pushinteger(L, value);
    lua_setfield(L, -2, field);
}

static int l_parts(lua_State *L)
{
    lua_Number t = check_seconds(L, 1);
    const struct date_zone *z;
    struct date_parts p;

    if (get_zone(L, 2, &z) != 0)
        return 3;
    date_local(z, (int64_t)floor(t), &p);
    lua_createtable(L, 0, 11);
    set_int(L, "year", p.year);
    set_int(L, "month", p.month);
    set_int(L, "day", p.day);
    set_int(L, "hour", p.hour);
    set_int(L, "minute", p.minute);
    set_int(L, "second", p.second);
    set_int(L, "weekday", p.weekday);
    set_int(L, "yearday", p.yearday);
    set_int(L, "offset", p.offset);
    lua_pushboolean(L, p.is_dst);
    lua_setfield(L, -2, "dst");
    lua_pushstring(L, p.zone);
    lua_setfield(L, -2, "zone");
    return 1;
}

static int check_range(lua_State *L, int arg, int def, int low, int high)
{
    lua_Integer v = luaL_optinteger(L, arg, def);

    if (v < low || v > high)
        luaL_argerror(L, arg, lua_pushfstring(L, "%d to %d expected", low, high));
    return (int)v;
}

static void check_date(lua_State *L, int arg, struct date_parts *p)
{
    luaL_checkinteger(L, arg);
    p->year = check_range(L, arg, 1, 1, 9999);
    p->month = check_range(L, arg + 1, 1, 1, 12);
    p->day = check_range(L, arg + 2, 1, 1, date_month_days(p->year, p->month));
}

static int l_moment(lua_State *L)
{
    const struct date_zone *z;
    struct date_parts p = { 0 };

    check_date(L, 2, &p);
    p.hour = check_range(L, 5, 0, 0, 23);
    p.minute = check_range(L, 6, 0, 0, 59);
    p.second = check_range(L, 7, 0, 0, 59);
    if (get_zone(L, 1, &z) != 0)
        return 3;
    lua_pushinteger(L, date_utc(z, &p));
    return 1;
}

static int l_days(lua_State *L)
{
    struct date_parts p = { 0 };

    check_date(L, 1, &p);
    lua_pushinteger(L, date_days(p.year, p.month, p.day));
    return 1;
}

static int l_civil(lua_State *L)
{
    lua_Integer days = luaL_checkinteger(L, 1);
    int y, m, d;

    luaL_argcheck(L, days >= -719162 && days <= 2932896, 1, "a day of the years 1 to 9999 expected");
    date_civil(days, &y, &m, &d);
    lua_pushinteger(L, y);
    lua_pushinteger(L, m);
    lua_pushinteger(L, d);
    return 3;
}

static const luaL_Reg FUNCTIONS[] = {
    { "now", l_now },       { "monotonic", l_monotonic }, { "parse", l_parse },
    { "format", l_format }, { "parts", l_parts },         { "moment", l_moment },
    { "days", l_days },     { "civil", l_civil },         { NULL, NULL },
};
static const luaL_Reg ZONE_META[] = { { "__gc", l_zone_gc }, { NULL, NULL } };

int luaopen_core_time(lua_State *L)
{
    bind_class(L, ZONE, NULL, ZONE_META);
    luaL_newlib(L, FUNCTIONS);
    return 1;
}
