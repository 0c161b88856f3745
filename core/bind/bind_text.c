/*
 * bind_text.c - core.text: text for people: HTML escaping, number formats, and the writer that
 * templates put their pages together with (lua/template.lua).
 *
 *   html(text) --> text                 url(text) --> text
 *   number(v, decimals, group, point) --> text      round(v, decimals) --> float      tidy(v) --> float
 *   is_utf8(text) --> boolean
 *   raw(text) --> userdata              markup that a writer takes as it is
 *   writer(max_bytes) --> out, take
 *       out(literal, value, literal, value, …)      adds literals as they are, values escaped
 *       take() --> text                             what was added; the writer is empty then
 *
 * Values: text is escaped; numbers in their shortest form, 5.0 as 5; nil is nothing; raw(…) as it
 * is; anything else is an error.
 */
#include <math.h>
#include <string.h>

#include "base/buf.h"
#include "base/num.h"
#include "base/text.h"
#include "bind/bind.h"
#include "bind/bind_all.h"

#define RAW "core.text.raw"
#define WRITER "core.text.writer"
#define PAGE_MAX ((lua_Integer)256 << 20)

/* ---- plain functions ---- */

static int with_buf(lua_State *L, int (*add)(struct buf *, const char *, size_t, struct err *), size_t times)
{
    size_t n;
    const char *s = luaL_checklstring(L, 1, &n);
    struct err e;
    struct buf *b = lua_newuserdatauv(L, sizeof *b, 0);

    buf_init(b, n * times + 64);
    luaL_setmetatable(L, WRITER); /* for its __gc: pushing the result may raise */
    if (add(b, s, n, &e) != 0)
        return bind_raise(L, &e);
    lua_pushlstring(L, b->data ? b->data : "", b->len);
    buf_deinit(b);
    return 1;
}

static int l_html(lua_State *L)
{
    return with_buf(L, text_html, 5);
}

static int l_url(lua_State *L)
{
    return with_buf(L, text_url, 3);
}

static const char *check_sign(lua_State *L, int arg, const char *def)
{
    const char *s = luaL_optstring(L, arg, def);

    luaL_argcheck(L, strlen(s) <= 3, arg, "at most 3 bytes expected");
    return s;
}

static int l_number(lua_State *L)
{
    lua_Number v = luaL_checknumber(L, 1);
    lua_Integer decimals = luaL_optinteger(L, 2, 0);
    const char *group = check_sign(L, 3, ""), *point = check_sign(L, 4, ".");
    char text[NUM_FIXED_MAX];

    luaL_argcheck(L, decimals >= 0 && decimals <= 15, 2, "0 to 15 decimals expected");
    luaL_argcheck(L, isfinite(v), 1, "a finite number expected");
    lua_pushlstring(L, text, num_fixed(text, v, (int)decimals, group, point));
    return 1;
}

static int l_round(lua_State *L)
{
    lua_Number v = luaL_checknumber(L, 1);
    lua_Integer decimals = luaL_optinteger(L, 2, 0);

    luaL_argcheck(L, decimals >= 0 && decimals <= 30, 2, "0 to 30 decimals expected");
    lua_pushnumber(L, num_round(v, (int)decimals));
    return 1;
}

static int l_tidy(lua_State *L)
{
    if (lua_isinteger(L, 1))
        lua_settop(L, 1);
    else
        lua_pushnumber(L, num_tidy(luaL_checknumber(L, 1)));
    return 1;
}

static int l_is_utf8(lua_State *L)
{
    size_t n;
    const char *s = luaL_checklstring(L, 1, &n);

    lua_pushboolean(L, text_utf8_bad(s, n) == n);
    return 1;
}

/* ---- raw ---- */

static int l_raw(lua_State *L)
{
    luaL_checkstring(L, 1);
    lua_newuserdatauv(L, 0, 1);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 1);
    luaL_setmetatable(L, RAW);
    return 1;
}

static int l_raw_text(lua_State *L)
{
    luaL_checkudata(L, 1, RAW);
    lua_getiuservalue(L, 1, 1);
    return 1;
}

/* ---- the writer ---- */

static int l_writer_gc(lua_State *L)
{
    buf_deinit(luaL_checkudata(L, 1, WRITER));
    return 0;
}

static int add_number(lua_State *L, int arg, struct buf *b, struct err *e)
{
    char text[NUM_DOUBLE_MAX];
    size_t n;

    if (lua_isinteger(L, arg)) {
        n = num_int(text, lua_tointeger(L, arg));
    } else {
        lua_Number v = lua_tonumber(L, arg);
        if (!isfinite(v))
            return err_set(e, ERR_NAN, "a number that is not finite cannot be shown");
        n = num_double(text, v);
        if (n > 2 && memcmp(text + n - 2, ".0", 2) == 0)
            n -= 2;
    }
    return buf_add(b, text, n, e);
}

static int add_value(lua_State *L, int arg, struct buf *b, struct err *e)
{
    size_t n;
    const char *s;

    switch (lua_type(L, arg)) {
    case LUA_TSTRING:
        s = lua_tolstring(L, arg, &n);
        return text_html(b, s, n, e);
    case LUA_TNUMBER:
        return add_number(L, arg, b, e);
    case LUA_TNIL:
        return 0;
    case LUA_TBOOLEAN:
        return buf_adds(b, lua_toboolean(L, arg) ? "true" : "false", e);
    case LUA_TLIGHTUSERDATA: /* json.null */
        if (lua_touserdata(L, arg) == NULL)
            return 0;
        break;
    case LUA_TUSERDATA:
        if (luaL_testudata(L, arg, RAW) == NULL)
            break;
        lua_getiuservalue(L, arg, 1);
        s = lua_tolstring(L, -1, &n);
        int rc = buf_add(b, s, n, e);
        lua_pop(L, 1);
        return rc;
    default:
        break;
    }
    return err_set(e, ERR_INVALID, "a %s cannot be shown", luaL_typename(L, arg));
}

static int l_out(lua_State *L)
{
    struct buf *b = lua_touserdata(L, lua_upvalueindex(1));
    int n = lua_gettop(L);
    struct err e;
    size_t len;

    for (int i = 1; i <= n; i += 2) {
        const char *s = lua_tolstring(L, i, &len);
        int rc = s ? buf_add(b, s, len, &e) : 0;
        if (rc == 0 && i < n)
            rc = add_value(L, i + 1, b, &e);
        if (rc != 0) { /* template.lua knows which line has the value of that number */
            if (e.code == ERR_LIMIT || e.code == ERR_NOMEM)
                return bind_raise(L, &e);
            return luaL_error(L, "value %d: %s", i / 2 + 1, e.text);
        }
    }
    return 0;
}

static int l_take(lua_State *L)
{
    struct buf *b = lua_touserdata(L, lua_upvalueindex(1));

    lua_pushlstring(L, b->data ? b->data : "", b->len);
    buf_deinit(b);
    return 1;
}

static int l_writer(lua_State *L)
{
    lua_Integer max = luaL_optinteger(L, 1, PAGE_MAX);

    luaL_argcheck(L, max > 0 && max <= PAGE_MAX, 1, "1 byte to 256 MiB expected");
    struct buf *b = lua_newuserdatauv(L, sizeof *b, 0);
    buf_init(b, (size_t)max);
    luaL_setmetatable(L, WRITER);
    lua_pushvalue(L, -1);
    lua_pushcclosure(L, l_out, 1);
    lua_insert(L, -2);
    lua_pushcclosure(L, l_take, 1);
    return 2;
}

static const luaL_Reg FUNCTIONS[] = {
    { "html", l_html },       { "url", l_url },   { "number", l_number }, { "round", l_round },
    { "tidy", l_tidy },       { "is_utf8", l_is_utf8 }, { "raw", l_raw }, { "writer", l_writer },
    { NULL, NULL },
};
static const luaL_Reg RAW_META[] = { { "__tostring", l_raw_text }, { NULL, NULL } };
static const luaL_Reg WRITER_META[] = { { "__gc", l_writer_gc }, { NULL, NULL } };

int luaopen_core_text(lua_State *L)
{
    bind_class(L, RAW, NULL, RAW_META);
    bind_class(L, WRITER, NULL, WRITER_META);
    luaL_newlib(L, FUNCTIONS);
    return 1;
}
