/*
 * bind_load.c - core.load: chunks in environments of their own, for lua/generation.lua and
 * lua/template.lua. Text in, functions out; nothing here touches the disk.
 *
 *   env([framework]) --> table                        fresh, read-only base behind it
 *   chunk(name, text, env) --> function               or nil, "file:line: why", "parse"
 *   call(burst_ms, fn, ...) --> results               or nil, message, code, error object: in a run
 *                                                     of its own that may not wait
 *   lock(table) --> read-only proxy
 *   embedded(path) --> text or nil
 *   embedded_list(prefix) --> array of paths
 *   set_name(env, name, value)                        the one way to put a name into an environment
 */
#include "base/embed.h"
#include "bind/bind.h"
#include "bind/bind_all.h"
#include "script/load.h"

static int l_env(lua_State *L)
{
    load_env(L, lua_toboolean(L, 1));
    return 1;
}

static int l_chunk(lua_State *L)
{
    size_t len;
    const char *name = luaL_checkstring(L, 1), *text = luaL_checklstring(L, 2, &len);

    luaL_checktype(L, 3, LUA_TTABLE);
    lua_settop(L, 3);
    if (load_chunk(L, name, text, len) == 0)
        return 1;
    lua_pushnil(L);
    lua_insert(L, -2);
    lua_pushliteral(L, "parse");
    return 3;
}

static int l_call(lua_State *L)
{
    lua_Integer burst_ms = luaL_checkinteger(L, 1);
    struct err e;
    int n = 0, top;

    luaL_argcheck(L, burst_ms > 0 && burst_ms <= 600000, 1, "1 to 600000 ms expected");
    luaL_checktype(L, 2, LUA_TFUNCTION);
    top = lua_gettop(L);
    if (run_call(L, top - 2, (uint32_t)burst_ms, &n, &e) == 0)
        return n;
    bind_fail(L, &e);       /* error nil message code */
    lua_pushvalue(L, -4);
    return 4;
}

static int l_lock(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    load_lock(L);
    return 1;
}

static int l_embedded(lua_State *L)
{
    const struct embed_file *f = embed_find(luaL_checkstring(L, 1));

    if (f == NULL)
        return 0;
    lua_pushlstring(L, f->data, f->bytes);
    return 1;
}

static int l_embedded_list(lua_State *L)
{
    const char *prefix = luaL_checkstring(L, 1);
    const struct embed_file *f;
    lua_Integer n = 0;

    lua_newtable(L);
    for (size_t at = 0; (f = embed_next(prefix, &at)) != NULL;) {
        lua_pushstring(L, f->name);
        lua_rawseti(L, -2, ++n);
    }
    return 1;
}

static int l_set_name(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checkstring(L, 2);
    lua_settop(L, 3);
    lua_rawset(L, 1);
    return 0;
}

static const luaL_Reg FUNCTIONS[] = {
    { "env", l_env },           { "chunk", l_chunk },
    { "call", l_call },         { "lock", l_lock },
    { "embedded", l_embedded }, { "embedded_list", l_embedded_list },
    { "set_name", l_set_name }, { NULL, NULL },
};

int luaopen_core_load(lua_State *L)
{
    luaL_newlib(L, FUNCTIONS);
    return 1;
}
