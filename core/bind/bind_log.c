/*
 * bind_log.c - core.log: one event, one line (base/log.h).
 *
 *   event(level, text [, fields])    level "debug" … "error"; fields: names to text, numbers,
 *                                    booleans or tables (as JSON)
 *   on(level) --> boolean
 *
 * The name of the run is put in as "run".
 */
#include <math.h>
#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/text.h"
#include "bind/bind.h"
#include "bind/bind_all.h"
#include "bind/bind_json.h"

#define FIELDS_MAX 32

static enum log_level check_level(lua_State *L, int arg)
{
    int level = log_level_of(luaL_checkstring(L, arg));

    luaL_argcheck(L, level >= LOG_DEBUG && level <= LOG_ERROR, arg, "debug, info, warn or error expected");
    return (enum log_level)level;
}

static int is_name(const char *s, size_t n)
{
    return n > 0 && n < 64 && strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.") == n;
}

/* One field from the value on top. Tables go through `json`; its bytes may move while it grows, so
 * their place is noted as an offset until all are in. -1: no memory, or no JSON: left out. */
static int take_field(lua_State *L, struct log_field *f, const char *name, struct buf *json)
{
    size_t n, at = json->len;
    const char *s;

    switch (lua_type(L, -1)) {
    case LUA_TSTRING:
        s = lua_tolstring(L, -1, &n);
        *f = LOG_T(name, s, n);
        return 0;
    case LUA_TBOOLEAN:
        *f = LOG_B(name, lua_toboolean(L, -1));
        return 0;
    case LUA_TNUMBER:
        if (lua_isinteger(L, -1))
            *f = LOG_I(name, lua_tointeger(L, -1));
        else
            *f = LOG_N(name, lua_tonumber(L, -1));
        return 0;
    case LUA_TTABLE:
        if (bind_json_encode(L, -1, 0, json, NULL) != 0)
            return -1;
        *f = LOG_J(name, NULL, json->len - at);
        f->number = (int64_t)at;
        return 0;
    default:
        return -1;
    }
}

static int l_event(lua_State *L)
{
    enum log_level level = check_level(L, 1);
    const char *text = luaL_checkstring(L, 2);
    struct log_field f[FIELDS_MAX + 1];
    size_t n = 0, name_bytes;
    struct buf json;

    lua_settop(L, 3);
    if (!lua_isnil(L, 3))
        luaL_checktype(L, 3, LUA_TTABLE);
    if (!log_on(level))
        return 0;
    bind_json_mark(L); /* now it exists, and encoding cannot raise any more */
    lua_pop(L, 1);
    luaL_checkstack(L, 8, NULL);
    struct run *r = run_of(L);
    if (r != NULL)
        f[n++] = LOG_S("run", run_name(r));
    buf_init(&json, LOG_LINE_MAX);
    if (lua_istable(L, 3)) {
        for (lua_pushnil(L); lua_next(L, 3); lua_pop(L, 1)) {
            if (lua_type(L, -2) != LUA_TSTRING || n > FIELDS_MAX)
                continue;
            const char *name = lua_tolstring(L, -2, &name_bytes);
            if (is_name(name, name_bytes))
                n += take_field(L, &f[n], name, &json) == 0;
        }
    }
    for (size_t i = 0; i < n; i++)
        if (f[i].kind == LOG_KIND_JSON)
            f[i].text = json.data + f[i].number;
    log_event(level, text, f, n);
    buf_deinit(&json);
    return 0;
}

static int l_on(lua_State *L)
{
    lua_pushboolean(L, log_on(check_level(L, 1)));
    return 1;
}

static const luaL_Reg FUNCTIONS[] = {
    { "event", l_event },
    { "on", l_on },
    { NULL, NULL },
};

int luaopen_core_log(lua_State *L)
{
    luaL_newlib(L, FUNCTIONS);
    return 1;
}
