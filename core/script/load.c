/*
 * load.c - chunks and the framework's require. See load.h.
 */
#include "script/load.h"

#include <stdio.h>
#include <string.h>

#include <lauxlib.h>

#include "base/embed.h"

#define LOADED "plastinka.loaded" /* registry: module name -> its value, or false while it loads */

int load_chunk(lua_State *L, const char *name, const char *text, size_t len)
{
    lua_pushfstring(L, "@%s", name);                               /* env name */
    int status = luaL_loadbufferx(L, text, len, lua_tostring(L, -1), "t");
    lua_remove(L, -2);                                             /* env fn|message */
    if (status != LUA_OK) {
        lua_remove(L, -2);
        return -1;
    }
    lua_insert(L, -2);                                             /* fn env */
    if (lua_setupvalue(L, -2, 1) == NULL)
        lua_pop(L, 1); /* a chunk without any global name has no _ENV to set */
    return 0;
}

static int open_core(lua_State *L, const char *name) /* -- module, or -1 */
{
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    if (lua_getfield(L, -1, name) != LUA_TFUNCTION) {
        lua_pop(L, 2);
        return -1;
    }
    lua_pushstring(L, name);
    lua_call(L, 1, 1);
    lua_remove(L, -2);
    return 0;
}

static int open_file(lua_State *L, const char *name) /* -- module, or -1 */
{
    char path[160];
    int n = snprintf(path, sizeof path, "lua/%s.lua", name);

    for (char *dot = path; n > 4 && (dot = strchr(dot, '.')) != NULL && dot < path + n - 4;)
        *dot = '/'; /* cli.keys is lua/cli/keys.lua */
    const struct embed_file *f = n > 0 && (size_t)n < sizeof path ? embed_find(path) : NULL;

    if (f == NULL)
        return -1;
    load_env(L, 1);
    if (load_chunk(L, path, f->data, f->bytes) != 0)
        lua_error(L);
    lua_pushstring(L, name);
    lua_call(L, 1, 1);
    return 0;
}

static int open_module(lua_State *L) /* name -- module */
{
    const char *name = luaL_checkstring(L, 1);
    int found = strncmp(name, "core.", 5) == 0 ? open_core(L, name) : open_file(L, name);

    if (found != 0)
        return luaL_error(L, "module '%s' not found", name);
    if (!lua_istable(L, -1))
        return luaL_error(L, "module '%s' returned a %s, a table was expected", name,
                          luaL_typename(L, -1));
    return 1;
}

int load_require(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);

    lua_settop(L, 1);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LOADED); /* name loaded */
    int type = lua_getfield(L, 2, name);
    if (type == LUA_TTABLE)
        return 1;
    if (type != LUA_TNIL)
        return luaL_error(L, "module '%s' requires itself, by way of others", name);
    lua_pushboolean(L, 0);
    lua_setfield(L, 2, name);
    lua_pushcfunction(L, open_module);
    lua_pushvalue(L, 1);
    int failed = lua_pcall(L, 1, 1, 0); /* name loaded nil module|error */
    if (failed)
        lua_pushnil(L); /* no mark stays: the module may be asked for again */
    else
        lua_pushvalue(L, -1);
    lua_setfield(L, 2, name);
    return failed ? lua_error(L) : 1;
}
