/*
 * Template text: any bytes become Lua code or a parse error. The code either compiles or is refused
 * with a line that the template has.
 */
#include <assert.h>
#include <lauxlib.h>
#include <lualib.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/embed.h"

static int open_face(lua_State *L)
{
    const struct embed_file *f = embed_find(lua_tostring(L, lua_upvalueindex(1)));

    assert(f != NULL);
    if (luaL_loadbufferx(L, f->data, f->bytes, f->name, "t") != LUA_OK)
        return lua_error(L);
    lua_call(L, 0, 1);
    return 1;
}

static void preload(lua_State *L, const char *name, const char *path)
{
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushstring(L, path);
    lua_pushcclosure(L, open_face, 1);
    lua_setfield(L, -2, name);
    lua_pop(L, 1);
}

static lua_State *start(void)
{
    lua_State *L = luaL_newstate();

    luaL_openlibs(L);
    preload(L, "raise", "lua/raise.lua");
    preload(L, "template_scan", "lua/template_scan.lua");
    preload(L, "template_parse", "lua/template_parse.lua");
    if (luaL_dostring(L, "local compile = require('template_parse').compile\n"
                         "local filters = setmetatable({}, { __index = function() return print end })\n"
                         "return function(s) return (compile('t', s, filters)) end") != LUA_OK)
        assert(0 && "the parser cannot be loaded");
    return L;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static lua_State *L;
    size_t n, lines = 1;

    if (L == NULL)
        L = start(); /* the compiling function stays at index 1 */
    for (size_t i = 0; i < size; i++)
        lines += data[i] == '\n';
    lua_pushvalue(L, 1);
    lua_pushlstring(L, (const char *)data, size);
    if (lua_pcall(L, 1, 1, 0) != LUA_OK) {
        assert(lua_istable(L, -1)); /* a plain text would be a bug of the parser itself */
        lua_getfield(L, -1, "code");
        assert(strcmp(lua_tostring(L, -1), "parse") == 0);
        lua_settop(L, 1);
        return 0;
    }
    const char *code = lua_tolstring(L, -1, &n);
    if (luaL_loadbufferx(L, code, n, "@t", "t") != LUA_OK) {
        const char *message = lua_tostring(L, -1);
        long line = strncmp(message, "t:", 2) == 0 ? strtol(message + 2, NULL, 10) : 1;
        assert(line >= 1 && (size_t)line <= lines);
    }
    lua_settop(L, 1);
    return 0;
}
