/*
 * bind_json.c - `core.json` and the mark of arrays. See bind_json.h; reading is in bind_json_in.c,
 * writing in bind_json_out.c.
 *
 *   encode(value [, pretty]) --> text        or nil, message, code
 *   decode(text [, depth]) --> value         or nil, message, code; a null at the top is json.null
 *   array([t]) --> t, marked                 is_array(value) --> boolean
 */
#include "bind/bind_json.h"

#include <lauxlib.h>

#define ENCODE_MAX_BYTES ((size_t)256 << 20)
#define KEEP_MAX_BYTES ((size_t)1 << 20)

static const char MARK_KEY; /* its address is the name of the mark in the registry */

void bind_json_mark(lua_State *L)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &MARK_KEY) == LUA_TTABLE)
        return;
    lua_pop(L, 1);
    lua_createtable(L, 0, 2);
    lua_pushliteral(L, "json array");
    lua_setfield(L, -2, "__name");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &MARK_KEY);
}

void bind_json_array(lua_State *L, int index)
{
    index = lua_absindex(L, index);
    bind_json_mark(L);
    lua_setmetatable(L, index);
}

void bind_json_null(lua_State *L)
{
    lua_pushlightuserdata(L, NULL);
}

static int fail(lua_State *L, const struct err *e)
{
    lua_pushnil(L);
    lua_pushstring(L, e->text);
    lua_pushstring(L, err_name(e->code));
    return 3;
}

/* ---- core.json ---- */

static int l_buf_gc(lua_State *L)
{
    buf_deinit(lua_touserdata(L, 1));
    return 0;
}

/* encode(value [, sorted [, html [, tidy]]]) -> string | nil, message, code */
static int l_encode(lua_State *L)
{
    unsigned flags = (lua_toboolean(L, 2) ? BIND_JSON_SORTED : 0u) |
                     (lua_toboolean(L, 3) ? BIND_JSON_HTML : 0u) |
                     (lua_toboolean(L, 4) ? BIND_JSON_TIDY : 0u);
    struct err e;

    /* one buffer for all calls: encoding runs no Lua, so it cannot meet itself */
    struct buf *b = lua_touserdata(L, lua_upvalueindex(1));

    luaL_checkany(L, 1);
    if (b->cap > KEEP_MAX_BYTES)
        buf_deinit(b);
    buf_clear(b);
    if (bind_json_encode(L, 1, flags, b, &e) != 0)
        return fail(L, &e);
    lua_pushlstring(L, b->data, b->len);
    return 1;
}

/* decode(text [, depth]) -> value | nil, message, code; a null at the top is json.null */
static int l_decode(lua_State *L)
{
    size_t n;
    const char *s = luaL_checklstring(L, 1, &n);
    lua_Integer depth = luaL_optinteger(L, 2, BIND_JSON_DEPTH);
    struct err e;

    luaL_argcheck(L, depth >= 1 && depth <= BIND_JSON_DEPTH_MAX, 2, "1 to 512 expected");
    if (bind_json_decode(L, s, n, (int)depth, &e) != 0)
        return fail(L, &e);
    return 1;
}

/* array([t]) -> t, marked */
static int l_array(lua_State *L)
{
    if (lua_isnoneornil(L, 1)) {
        lua_settop(L, 0);
        lua_newtable(L);
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    if (lua_getmetatable(L, 1)) {
        bind_json_mark(L);
        if (lua_rawequal(L, -1, -2)) {
            lua_settop(L, 1);
            return 1;
        }
        return luaL_argerror(L, 1, "the table has a metatable already");
    }
    bind_json_array(L, 1);
    return 1;
}

/* is_array(v) -> whether v is a marked table */
static int l_is_array(lua_State *L)
{
    luaL_checkany(L, 1);
    if (!lua_istable(L, 1) || !lua_getmetatable(L, 1)) {
        lua_pushboolean(L, 0);
        return 1;
    }
    bind_json_mark(L);
    lua_pushboolean(L, lua_rawequal(L, -1, -2));
    return 1;
}

int luaopen_core_json(lua_State *L)
{
    static const luaL_Reg functions[] = {
        { "encode", l_encode },
        { "decode", l_decode },
        { "array", l_array },
        { "is_array", l_is_array },
        { NULL, NULL },
    };

    luaL_newlibtable(L, functions);
    struct buf *b = lua_newuserdatauv(L, sizeof *b, 0);
    buf_init(b, ENCODE_MAX_BYTES);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, l_buf_gc);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    luaL_setfuncs(L, functions, 1);
    bind_json_null(L);
    lua_setfield(L, -2, "null");
    return 1;
}
