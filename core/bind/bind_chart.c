/*
 * bind_chart.c - core.chart: small drawings as SVG text, for the rows of tables (base/svg.h).
 *
 *   spark(series, width, height) --> text      series: '3 0 1.5' or an array of numbers; "" when empty
 *   interval(q1, q2, q3, q4, q5, max, width, height) --> text
 *
 * Both raise `parse`, `limit` or `nan` for numbers that cannot be drawn.
 */
#include "base/buf.h"
#include "base/svg.h"
#include "bind/bind.h"
#include "bind/bind_all.h"

#define TYPE "core.chart.buffer"
#define POINTS_MAX 600
#define BYTES_MAX (64 << 10)

static int size_of(lua_State *L, int arg)
{
    lua_Integer v = luaL_checkinteger(L, arg);

    luaL_argcheck(L, v >= 8 && v <= 4000, arg, "8 to 4000 expected");
    return (int)v;
}

static struct buf *fresh(lua_State *L)
{
    struct buf *b = lua_touserdata(L, lua_upvalueindex(1));

    buf_clear(b);
    return b;
}

static int push(lua_State *L, int status, const struct buf *b, const struct err *e)
{
    if (status != 0)
        return bind_raise(L, e);
    lua_pushlstring(L, b->data, b->len);
    return 1;
}

static int l_spark(lua_State *L)
{
    double v[POINTS_MAX];
    struct err e;
    int width = size_of(L, 2), height = size_of(L, 3), n = 0;
    size_t bytes;

    if (lua_istable(L, 1)) {
        lua_Unsigned len = lua_rawlen(L, 1);
        luaL_argcheck(L, len <= POINTS_MAX, 1, "at most 600 numbers expected");
        for (n = 0; n < (int)len; n++) {
            int is_number = 0;
            lua_rawgeti(L, 1, n + 1);
            v[n] = lua_tonumberx(L, -1, &is_number);
            luaL_argcheck(L, is_number, 1, "an array of numbers expected");
            lua_pop(L, 1);
        }
    } else {
        const char *text = luaL_checklstring(L, 1, &bytes);
        n = svg_numbers(text, bytes, v, POINTS_MAX, &e);
        if (n < 0)
            return bind_raise(L, &e);
    }
    struct buf *b = fresh(L);
    if (n == 0) {
        lua_pushliteral(L, "");
        return 1;
    }
    return push(L, svg_spark(b, v, (size_t)n, width, height, &e), b, &e);
}

static int l_interval(lua_State *L)
{
    double q[5];
    struct err e;
    int width = size_of(L, 7), height = size_of(L, 8);

    for (int i = 0; i < 5; i++)
        q[i] = luaL_checknumber(L, i + 1);
    struct buf *b = fresh(L);
    return push(L, svg_interval(b, q, luaL_checknumber(L, 6), width, height, &e), b, &e);
}

static int l_gc(lua_State *L)
{
    buf_deinit(luaL_checkudata(L, 1, TYPE));
    return 0;
}

static const luaL_Reg FUNCTIONS[] = {
    { "spark", l_spark }, { "interval", l_interval }, { NULL, NULL },
};
static const luaL_Reg META[] = { { "__gc", l_gc }, { NULL, NULL } };

int luaopen_core_chart(lua_State *L)
{
    bind_class(L, TYPE, NULL, META);
    luaL_newlibtable(L, FUNCTIONS);
    struct buf *b = lua_newuserdatauv(L, sizeof *b, 0); /* shared by all calls: nothing waits within one */
    buf_init(b, BYTES_MAX);
    luaL_setmetatable(L, TYPE);
    luaL_setfuncs(L, FUNCTIONS, 1);
    return 1;
}
