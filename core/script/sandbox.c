/*
 * sandbox.c - the names a script finds: an allow list, read-only.
 *
 * Library tables are empty proxies over the real ones, so that no script can change what another
 * one calls. The string metatable is locked. Missing on purpose: debug, io, os, load, dofile,
 * rawset, collectgarbage, string.dump. Replaced: setmetatable (no __gc: a finalizer runs with
 * hooks off, so it could not be stopped) and coroutine (keeps the time budget's eye on whichever
 * coroutine executes, and refuses to yield out of the run).
 */
#include <stdio.h>
#include <string.h>

#include <lauxlib.h>
#include <lualib.h>

#include "script/host_state.h"
#include "script/load.h"

#define FRAMEWORK_BASE "plastinka.framework"

/* ---- coroutine ---- */

static lua_State *check_coroutine(lua_State *L, int arg)
{
    lua_State *co = lua_tothread(L, arg);

    luaL_argexpected(L, co, arg, "coroutine");
    return co;
}

/* Resumes co with n values of L's top; pushes its results, or the error. Number, or -1. */
static int step(lua_State *L, lua_State *co, int n)
{
    struct limit_time *t = &host_of(L)->time;
    int n_results = 0;

    if (!lua_checkstack(co, n)) {
        lua_pushliteral(L, "too many arguments to resume");
        return -1;
    }
    lua_xmove(L, co, n);
    lua_State *outer = t->active;
    t->active = co;
    int status = lua_resume(co, L, n, &n_results);
    t->active = outer;
    if (t->killed) { /* it goes on here, or pcall would have swallowed it */
        limit_kill(L);
        luaL_error(L, "stopped: the script was over its time budget or cancelled");
    }
    if (status == LUA_OK || status == LUA_YIELD) {
        if (!lua_checkstack(L, n_results + 1)) {
            lua_pop(co, n_results);
            lua_pushliteral(L, "too many results to resume");
            return -1;
        }
        lua_xmove(co, L, n_results);
        return n_results;
    }
    lua_xmove(co, L, 1);
    return -1;
}

static int l_resume(lua_State *L)
{
    lua_State *co = check_coroutine(L, 1);

    if (run_of(co) != NULL)
        return luaL_error(L, "a run cannot be resumed by a script");
    int n = step(L, co, lua_gettop(L) - 1);
    lua_pushboolean(L, n >= 0);
    if (n < 0) {
        lua_insert(L, -2);
        return 2;
    }
    lua_insert(L, -(n + 1));
    return n + 1;
}

static int l_wrapped(lua_State *L)
{
    lua_State *co = lua_tothread(L, lua_upvalueindex(1));
    int n = step(L, co, lua_gettop(L));

    if (n >= 0)
        return n;
    int status = lua_status(co);
    if (status != LUA_OK && status != LUA_YIELD) {
        lua_resetthread(co); /* close its variables */
        if (status != LUA_ERRMEM && lua_type(L, -1) == LUA_TSTRING) {
            luaL_where(L, 1);
            lua_insert(L, -2);
            lua_concat(L, 2);
        }
    }
    return lua_error(L);
}

static int l_create(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_State *co = lua_newthread(L);
    lua_pushvalue(L, 1);
    lua_xmove(L, co, 1);
    return 1;
}

static int l_wrap(lua_State *L)
{
    l_create(L);
    lua_pushcclosure(L, l_wrapped, 1);
    return 1;
}

static int l_yield(lua_State *L)
{
    if (run_of(L) != NULL)
        return luaL_error(L, "coroutine.yield outside of a coroutine");
    return lua_yield(L, lua_gettop(L));
}

/* ---- a few base functions ---- */

static int l_setmetatable(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_argexpected(L, lua_isnil(L, 2) || lua_istable(L, 2), 2, "nil or table");
    if (luaL_getmetafield(L, 1, "__metatable") != LUA_TNIL)
        return luaL_error(L, "cannot change a protected metatable");
    if (lua_istable(L, 2)) {
        lua_pushliteral(L, "__gc");
        if (lua_rawget(L, 2) != LUA_TNIL)
            return luaL_error(L, "__gc is not allowed in scripts; use __close");
    }
    lua_settop(L, 2);
    lua_setmetatable(L, 1);
    return 1;
}

/*
 * xpcall whose handler runs after the stack is unwound. Lua's own calls it inside the error: for the
 * error of a hook that is with hooks off, where a handler that loops could never be stopped.
 */
static int handler_end(lua_State *L, int status, lua_KContext ctx)
{
    (void)status;
    (void)ctx;
    return lua_gettop(L) - 1;
}

static int xpcall_end(lua_State *L, int status, lua_KContext ctx) /* handler, results or error */
{
    (void)ctx;
    if (status == LUA_OK || status == LUA_YIELD) {
        lua_pushboolean(L, 1);
        lua_replace(L, 1);
        return lua_gettop(L);
    }
    lua_pushvalue(L, 1);
    lua_insert(L, -2);
    lua_pushboolean(L, 0);
    lua_insert(L, 2); /* handler false handler error */
    lua_callk(L, 1, LUA_MULTRET, 0, handler_end);
    return handler_end(L, LUA_OK, 0);
}

static int l_xpcall(lua_State *L) /* function, handler, arguments */
{
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_pushvalue(L, 1);
    lua_pushvalue(L, 2);
    lua_replace(L, 1);
    lua_replace(L, 2); /* handler, function, arguments */
    return xpcall_end(L, lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 0, 0, xpcall_end), 0);
}

static int l_print(lua_State *L)
{
    int n = lua_gettop(L);

    for (int i = 1; i <= n; i++) {
        size_t len;
        const char *s = luaL_tolstring(L, i, &len);
        if (i > 1)
            fputc('\t', stdout);
        fwrite(s, 1, len, stdout);
        lua_pop(L, 1);
    }
    fputc('\n', stdout);
    fflush(stdout);
    return 0;
}

static int l_traceback(lua_State *L)
{
    luaL_traceback(L, L, lua_tostring(L, 1), (int)luaL_optinteger(L, 2, 1));
    return 1;
}

/* ---- the tables ---- */

static int on_unknown(lua_State *L)
{
    return luaL_error(L, "unknown name '%s'", luaL_tolstring(L, 2, NULL));
}

static int on_global(lua_State *L)
{
    return luaL_error(L, "'%s' would be a new global: say local, or put it into a module",
                      luaL_tolstring(L, 2, NULL));
}

static int on_locked(lua_State *L)
{
    return luaL_error(L, "'%s' cannot be set: this table is read-only",
                      luaL_tolstring(L, 2, NULL));
}

void load_lock(lua_State *L) /* table -- proxy */
{
    lua_createtable(L, 0, 0);      /* table proxy */
    lua_createtable(L, 0, 4);      /* table proxy meta */
    lua_pushvalue(L, -3);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, on_locked);
    lua_setfield(L, -2, "__newindex");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
    lua_remove(L, -2);
}

static const char *const PLAIN[] = { "assert",   "error",    "ipairs",   "next",   "pairs",
                                     "pcall",    "select",   "type",     "tonumber", "tostring",
                                     "rawequal", "rawlen",   "rawget",   "getmetatable",
                                     "_VERSION", NULL };
static const char *const FRAMEWORK_TOO[] = { "rawset", "collectgarbage", "setmetatable", NULL };

static void copy_names(lua_State *L, const char *const *names) /* globals base -- same */
{
    for (; *names != NULL; names++) {
        lua_getfield(L, -2, *names);
        lua_setfield(L, -2, *names);
    }
}

static const luaL_Reg COROUTINE[] = {
    { "create", l_create }, { "resume", l_resume }, { "wrap", l_wrap }, { "yield", l_yield },
    { NULL, NULL },
};

static void add_libraries(lua_State *L) /* globals base -- same */
{
    static const char *const libs[] = { "string", "table", "math", "utf8", NULL };

    for (const char *const *lib = libs; *lib != NULL; lib++) {
        lua_getfield(L, -2, *lib);
        if (strcmp(*lib, "string") == 0) {
            lua_pushnil(L);
            lua_setfield(L, -2, "dump");
        }
        load_lock(L);
        lua_setfield(L, -2, *lib);
    }
    lua_getfield(L, -2, "coroutine"); /* status, close, running, isyieldable stay Lua's own */
    luaL_setfuncs(L, COROUTINE, 0);
    load_lock(L);
    lua_setfield(L, -2, "coroutine");
}

static void close_base(lua_State *L) /* base -- : unknown names are errors, then it is stored */
{
    lua_createtable(L, 0, 2);
    lua_pushcfunction(L, on_unknown);
    lua_setfield(L, -2, "__index");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
}

int sandbox_open(lua_State *L)
{
    static const luaL_Reg libs[] = {
        { LUA_GNAME, luaopen_base },           { LUA_STRLIBNAME, luaopen_string },
        { LUA_TABLIBNAME, luaopen_table },     { LUA_MATHLIBNAME, luaopen_math },
        { LUA_UTF8LIBNAME, luaopen_utf8 },     { LUA_COLIBNAME, luaopen_coroutine },
        { NULL, NULL },
    };

    for (const luaL_Reg *lib = libs; lib->name != NULL; lib++) {
        luaL_requiref(L, lib->name, lib->func, 1);
        lua_pop(L, 1);
    }
    lua_pushliteral(L, ""); /* lock the metatable of strings */
    lua_getmetatable(L, -1);
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 2);

    lua_pushglobaltable(L);
    lua_createtable(L, 0, 32); /* globals base */
    copy_names(L, PLAIN);
    add_libraries(L);
    lua_pushcfunction(L, l_setmetatable);
    lua_setfield(L, -2, "setmetatable");
    lua_pushcfunction(L, l_xpcall);
    lua_setfield(L, -2, "xpcall");
    lua_pushcfunction(L, l_print);
    lua_setfield(L, -2, "print");

    lua_createtable(L, 0, 32); /* globals base framework */
    lua_pushnil(L);
    while (lua_next(L, -3) != 0) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_settable(L, -4);
    }
    lua_insert(L, -2); /* globals framework base */
    close_base(L);
    lua_setfield(L, LUA_REGISTRYINDEX, SANDBOX_BASE);
    copy_names(L, FRAMEWORK_TOO); /* globals framework */
    lua_pushcfunction(L, l_traceback);
    lua_setfield(L, -2, "traceback");
    lua_pushcfunction(L, load_require);
    lua_setfield(L, -2, "require");
    close_base(L);
    lua_setfield(L, LUA_REGISTRYINDEX, FRAMEWORK_BASE);
    lua_pop(L, 1);
    return 0;
}

void load_env(lua_State *L, int framework)
{
    lua_createtable(L, 0, 0);
    lua_createtable(L, 0, 4);
    lua_getfield(L, LUA_REGISTRYINDEX, framework ? FRAMEWORK_BASE : SANDBOX_BASE);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, on_global);
    lua_setfield(L, -2, "__newindex");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
}
